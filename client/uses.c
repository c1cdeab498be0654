/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses
 *
 * The daemon keeps the memory of what is destroyed for the work that was
 * submitted with it. A pool does not destroy: it hands the same memory out
 * again, to this same process, and nobody but this library can know when. It
 * knows all that is needed, since uses, submits and progress go through it.
 * So for each buffer of a pool it remembers, for each context, where the last
 * work ends that uses it:
 *
 *	tenure_context_use(c, buffer)       buffer: c, in its batch
 *	tenure_context_submit(c, 7)         buffer: c, ends at 7
 *	tenure_context_progress(c, 7)       over
 *
 * "Is in the batch" is not noted a second time: the batch is asked. So whatever
 * takes an allocation out of a batch (a refusal, a destroy) is seen. And
 * whether a value has been reached is asked of the context in the same way as
 * what the daemon may know of it (work_reached): a use that was flushed before
 * its submit ends with that submit, not before.
 *
 * A context that is known no more has ended, and its work with it: its destroy
 * waited for that work, or was told to count it as done.
 *
 * Allocations that no pool watches cost nothing, and a buffer that was never
 * named to a context costs its pool one load (uses_any): whoever gives a buffer
 * back has seen whoever recorded a use of it, or the application has a race of
 * its own.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  uses_over says true only when no batch has the allocation and all work
 *      that was sent with it has ended, or its context has.
 *  G2  Once that is so and nothing new is recorded, it says true.
 *  G3  Memory is needed only to record, and before anything changes; in the
 *      steady state none is.
 */
#include "client/uses.h"

#include <stdlib.h>

#include "client/connection.h"

enum { ROOM_FIRST = 2 };

/* Where the last work of a context ends that was sent with the allocation; 0:
 * none was. */
struct use {
	uint64_t context, value;
};

void uses_watch(struct tenure *connection, struct uses *uses,
		uint64_t allocation)
{
	uses->node.key = allocation;
	pthread_mutex_lock(&connection->lock);
	keymap_insert(&connection->work.watched, &uses->node);
	pthread_mutex_unlock(&connection->lock);
}

void uses_unwatch(struct tenure *connection, struct uses *uses)
{
	pthread_mutex_lock(&connection->lock);
	keymap_remove(&connection->work.watched, &uses->node);
	pthread_mutex_unlock(&connection->lock);
	free(uses->list);
	*uses = (struct uses){ 0 };
}

/* ---- Ends ---- */

static bool is_over(const struct work *work, const struct uses *uses,
		    const struct use *use)
{
	const struct work_context *c = work_find(work, use->context);

	return !c || (!batch_has(&c->batch, uses->node.key) &&
		      work_reached(c, use->value));
}

/* Forgets the uses that are over. */
static void prune(const struct work *work, struct uses *uses)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < uses->count; i++) {
		if (!is_over(work, uses, &uses->list[i]))
			uses->list[kept++] = uses->list[i];
	}
	uses->count = kept;
}

bool uses_over(struct tenure *connection, struct uses *uses)
{
	bool over;

	pthread_mutex_lock(&connection->lock);
	prune(&connection->work, uses);
	over = uses->count == 0;
	if (over)
		word_mark(&uses->any, false);
	pthread_mutex_unlock(&connection->lock);
	return over;
}

/* ---- Recording ---- */

static struct uses *find(const struct work *work, uint64_t allocation)
{
	if (work->watched.count == 0)
		return NULL;
	/* Nodes are first members. */
	return (struct uses *)(void *)keymap_find(&work->watched, allocation);
}

static struct use *find_use(struct uses *uses, const struct work_context *c)
{
	for (uint32_t i = 0; i < uses->count; i++) {
		if (uses->list[i].context == c->node.key)
			return &uses->list[i];
	}
	return NULL;
}

/* Room for one more context. */
static int reserve(const struct work *work, struct uses *uses)
{
	uint32_t room = uses->room ? uses->room * 2 : ROOM_FIRST;
	struct use *list;

	if (uses->count == uses->room)
		prune(work, uses);
	if (uses->count < uses->room)
		return 0;
	list = realloc(uses->list, room * sizeof(*list));
	if (!list)
		return -ENOMEM;
	uses->list = list;
	uses->room = room;
	return 0;
}

int uses_reserve(struct work *work, const struct work_context *c,
		 const uint64_t *list, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct uses *uses = find(work, list[i]);

		if (uses && !find_use(uses, c) && reserve(work, uses) < 0)
			return -ENOMEM;
	}
	return 0;
}

void uses_record(struct work *work, const struct work_context *c,
		 const uint64_t *list, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct uses *uses = find(work, list[i]);

		if (!uses)
			continue;
		word_mark(&uses->any, true);
		if (find_use(uses, c))
			continue;
		assert(uses->count < uses->room);
		uses->list[uses->count++] =
			(struct use){ .context = c->node.key };
	}
}

void uses_sent(struct work *work, const struct work_context *c, uint64_t value)
{
	const uint64_t *list = batch_handles(&c->batch);

	for (uint32_t i = 0; i < c->batch.count; i++) {
		struct uses *uses = find(work, list[i]);
		struct use *use = uses ? find_use(uses, c) : NULL;

		/* One that was watched after it was recorded has none. */
		if (use)
			use->value = value;
	}
}
