/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releaser
 *
 * Giving back a gigabyte takes tens of milliseconds, and nobody's request
 * shall wait for it. So one thread makes the broker's destroy_allocation
 * calls, one after the other. At most one job is out for each client, and one
 * job gives back no more than JOB_BYTES_MAX, unless a single allocation or a
 * resource has more; so nobody can fill the queue for all others, neither with
 * calls nor with bytes.
 *
 *	free --room, submit--> todo --thread--> done --next_done--> free
 *	                                          \-- failed: resting --/
 *
 * The jobs are allocated once, and a job is on exactly one list. A job that
 * failed would be issued again at once, so its result rests a while before the
 * broker hears of it: a backend that always fails costs ten calls per second
 * and client, not a processor.
 *
 * The mutex guards the lists todo and done, the flag that ends the thread, and
 * whether somebody watches. A job's contents belong to whoever took it off a
 * list. A job is put on the list and the flag is read in one step, so a watcher
 * who stops sees either the job or, later, its notification.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Every submitted job is carried out once and its result comes back once.
 *  G2  The result of a failed job comes no sooner than RELEASER_REST_MS later.
 *  G3  No call runs when releaser_free has returned.
 *  G4  A result that nobody is notified of is there when the watcher stops.
 */
#include "daemon/releaser.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define REST_NS (RELEASER_REST_MS * UINT64_C(1000000))

struct task {
	struct task *next;
	int status;
	uint64_t rested_ns; /* when a failed job may be reported */
	struct release release;
};

struct list {
	struct task *first, *last;
};

struct releaser {
	struct releaser_config config;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop, watched;
	struct list todo, done;
	/* Only the caller's. */
	struct list free, resting;
	struct task tasks[RELEASER_JOBS];
};

static void append(struct list *list, struct task *task)
{
	task->next = NULL;
	if (list->last)
		list->last->next = task;
	else
		list->first = task;
	list->last = task;
}

static struct task *take(struct list *list)
{
	struct task *task = list->first;

	if (!task)
		return NULL;
	list->first = task->next;
	if (!list->first)
		list->last = NULL;
	return task;
}

/* Waits for a job, or for the end. */
static struct task *next_todo(struct releaser *releaser)
{
	struct task *task = NULL;

	pthread_mutex_lock(&releaser->lock);
	while (!releaser->stop && !(task = take(&releaser->todo)))
		pthread_cond_wait(&releaser->wake, &releaser->lock);
	pthread_mutex_unlock(&releaser->lock);
	return task;
}

static void *run(void *argument)
{
	struct releaser *releaser = argument;
	struct task *task;
	bool watched;

	while ((task = next_todo(releaser))) {
		const struct backend *backend =
			&releaser->config.adapters[task->release.adapter]
				 .backend;

		task->status = backend->ops->destroy_allocation(
			backend->state, &task->release.args);
		pthread_mutex_lock(&releaser->lock);
		append(&releaser->done, task);
		watched = releaser->watched;
		pthread_mutex_unlock(&releaser->lock);
		if (!watched)
			releaser->config.notify(releaser->config.context);
	}
	return NULL;
}

/* Signals are the loop's. */
static int start_without_signals(struct releaser *releaser)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&releaser->thread, NULL, run, releaser);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int releaser_new(const struct releaser_config *config, struct releaser **ret)
{
	struct releaser *releaser = calloc(1, sizeof(*releaser));
	int r;

	if (!releaser)
		return -ENOMEM;
	releaser->config = *config;
	pthread_mutex_init(&releaser->lock, NULL);
	pthread_cond_init(&releaser->wake, NULL);
	for (size_t i = 0; i < RELEASER_JOBS; i++)
		append(&releaser->free, &releaser->tasks[i]);
	r = start_without_signals(releaser);
	if (r < 0) {
		free(releaser);
		return r;
	}
	*ret = releaser;
	return 0;
}

void releaser_free(struct releaser *releaser)
{
	if (!releaser)
		return;
	pthread_mutex_lock(&releaser->lock);
	releaser->stop = true;
	pthread_cond_signal(&releaser->wake);
	pthread_mutex_unlock(&releaser->lock);
	pthread_join(releaser->thread, NULL);
	pthread_mutex_destroy(&releaser->lock);
	pthread_cond_destroy(&releaser->wake);
	free(releaser);
}

struct release *releaser_room(struct releaser *releaser)
{
	return releaser->free.first ? &releaser->free.first->release : NULL;
}

void releaser_submit(struct releaser *releaser)
{
	struct task *task = take(&releaser->free);

	assert(task && task->release.adapter < releaser->config.n_adapters);
	pthread_mutex_lock(&releaser->lock);
	append(&releaser->todo, task);
	pthread_cond_signal(&releaser->wake);
	pthread_mutex_unlock(&releaser->lock);
}

static struct task *next_finished(struct releaser *releaser, uint64_t now_ns)
{
	struct task *task;

	pthread_mutex_lock(&releaser->lock);
	while ((task = take(&releaser->done)) && task->status != 0) {
		task->rested_ns = now_ns + REST_NS;
		append(&releaser->resting, task);
	}
	pthread_mutex_unlock(&releaser->lock);
	if (!task && releaser->resting.first &&
	    releaser->resting.first->rested_ns <= now_ns)
		task = take(&releaser->resting);
	return task;
}

bool releaser_next_done(struct releaser *releaser, uint64_t now_ns,
			struct releaser_result *ret)
{
	struct task *task = next_finished(releaser, now_ns);

	if (!task)
		return false;
	*ret = (struct releaser_result){
		.client = task->release.args.client,
		.status = task->status,
		.resource = task->release.args.resource,
		.bytes = task->release.bytes,
		.count = task->release.args.count,
	};
	append(&releaser->free, task);
	return true;
}

void releaser_watch(struct releaser *releaser)
{
	pthread_mutex_lock(&releaser->lock);
	releaser->watched = true;
	pthread_mutex_unlock(&releaser->lock);
}

bool releaser_unwatch(struct releaser *releaser)
{
	bool any;

	pthread_mutex_lock(&releaser->lock);
	releaser->watched = false;
	any = releaser->done.first;
	pthread_mutex_unlock(&releaser->lock);
	return any;
}

uint64_t releaser_rest_until(const struct releaser *releaser)
{
	return releaser->resting.first ? releaser->resting.first->rested_ns : 0;
}
