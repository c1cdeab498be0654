/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenure-frames [FRAMES [KIB]]: what a pool saves
 *
 * A camera's pipeline in one process: this thread captures frame after frame
 * into a buffer, another thread works on it for a while after the first has
 * let go of it. First each frame gets fresh memory, then one from a pool, which
 * hands a buffer out again when the worker's progress says that it is done: a
 * word of this program's, and then the progress of a context, to which each
 * frame's use is submitted; there the pool is just told "free".
 *
 *	capture --frame--> worker --progress--> (free)
 *
 * What counts is the steady state, after the first WARM_UP frames: page faults
 * of this process, as getrusage tells, and allocations made by the daemon, as
 * its totals tell. With a pool both are to be none; exit status 1 if not.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "client/transport.h"
#include "core/wire/msg.h"
#include "tenure/pool.h"
#include "tenure/tenure.h"

enum {
	WARM_UP = 32,
	AHEAD = 4, /* frames that the worker may be behind */
	/* Faults that are not a buffer's: a stack or a table that grows. */
	FAULTS_OF_OTHERS = 8,
};

struct frame {
	const unsigned char *bytes;
	size_t size;
};

/* Frames on their way to the worker. */
static struct line {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct frame frames[AHEAD];
	uint64_t sent, last; /* last: how many there will be */
	uint64_t progress; /* frames that are done; it only grows */
	struct tenure *t;
	struct tenure_context context; /* 0: the word alone counts */
	unsigned char sum;
} line = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .moved = PTHREAD_COND_INITIALIZER };

static void *work(void *nothing)
{
	(void)nothing;
	for (uint64_t n = line.progress; n < line.last; n++) {
		struct frame frame;

		pthread_mutex_lock(&line.lock);
		while (line.sent == n)
			pthread_cond_wait(&line.moved, &line.lock);
		frame = line.frames[n % AHEAD];
		pthread_mutex_unlock(&line.lock);
		for (size_t i = 0; i < frame.size; i += 64)
			line.sum ^= frame.bytes[i];
		if (line.context.value != 0 &&
		    tenure_context_progress(line.t, line.context, n + 1) < 0)
			abort();
		pthread_mutex_lock(&line.lock);
		__atomic_store_n(&line.progress, n + 1, __ATOMIC_RELEASE);
		pthread_cond_broadcast(&line.moved);
		pthread_mutex_unlock(&line.lock);
	}
	return NULL;
}

/* Hands a frame to the worker; waits while he is too far behind. */
static void send_frame(const struct frame *frame)
{
	pthread_mutex_lock(&line.lock);
	while (line.sent - line.progress == AHEAD)
		pthread_cond_wait(&line.moved, &line.lock);
	line.frames[line.sent++ % AHEAD] = *frame;
	pthread_cond_broadcast(&line.moved);
	pthread_mutex_unlock(&line.lock);
}

static void await_frame(uint64_t number)
{
	pthread_mutex_lock(&line.lock);
	while (line.progress < number)
		pthread_cond_wait(&line.moved, &line.lock);
	pthread_mutex_unlock(&line.lock);
}

/* ---- Where buffers come from ---- */

struct source {
	const char *name;
	struct tenure *t;
	struct tenure_pool *pool; /* or NULL: fresh memory */
	struct tenure_memory fresh[AHEAD + 1];
};

/* One frame, captured and on its way; 0 or a negative errno. */
static int fresh_frame(struct source *source, uint64_t n, size_t size)
{
	struct tenure_memory *memory = &source->fresh[n % (AHEAD + 1)];
	struct frame frame;
	int status;

	/* Whoever had this place: its work must have ended. */
	if (n > AHEAD)
		await_frame(n - AHEAD);
	status = tenure_free(source->t, memory);
	if (status == 0)
		status = tenure_alloc(source->t, size, memory);
	if (status < 0)
		return status;
	memset(memory->pointer, (int)n, size);
	frame = (struct frame){ memory->pointer, size };
	send_frame(&frame);
	return 0;
}

static int pool_frame(struct source *source, uint64_t n, size_t size)
{
	struct tenure_buffer buffer;
	struct frame frame;
	int status = tenure_pool_alloc(source->pool, size, &buffer);

	if (status < 0)
		return status;
	memset(buffer.pointer, (int)n, size);
	frame = (struct frame){ buffer.pointer, size };
	if (line.context.value == 0) {
		send_frame(&frame);
		return tenure_pool_free_after(source->pool, &buffer,
					      &line.progress, n + 1);
	}
	status = tenure_context_use(source->t, line.context, &buffer.allocation,
				    1);
	if (status == 0)
		status = tenure_context_submit(source->t, line.context, n + 1);
	if (status < 0)
		return status;
	send_frame(&frame);
	return tenure_pool_free(source->pool, &buffer);
}

/* ---- What it costs ---- */

struct costs {
	uint64_t faults, created, now_ns;
};

static bool look(struct tenure *t, struct costs *ret)
{
	const struct wire_request head = { .opcode = WIRE_OP_STATUS };
	struct wire_status status;
	struct wire_reply reply;
	struct rusage usage;
	struct timespec now;

	if (connection_request(t, &head, NULL, 0, &reply, &status,
			       sizeof(status)) < 0 ||
	    reply.status < 0)
		return false;
	getrusage(RUSAGE_SELF, &usage);
	clock_gettime(CLOCK_MONOTONIC, &now);
	ret->faults = (uint64_t)usage.ru_minflt;
	ret->created = status.created_total;
	ret->now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	return true;
}

static int run_frames(struct source *source, uint64_t from, uint64_t to,
		      size_t size)
{
	int status = 0;

	for (uint64_t n = from; n < to && status == 0; n++)
		status = source->pool ? pool_frame(source, n, size) :
					fresh_frame(source, n, size);
	return status;
}

static bool failed(const char *what)
{
	char why[200];

	fprintf(stderr, "tenure-frames: %s: %s\n", what,
		tenure_explain(why, sizeof(why)));
	return false;
}

/* The steady state of a source, measured and printed. */
static bool measure(struct source *source, uint64_t frames, size_t size,
		    struct costs *ret)
{
	uint64_t first = line.sent, steady = first + WARM_UP;
	struct costs before, after;
	pthread_t worker;

	line.last = steady + frames;
	if (pthread_create(&worker, NULL, work, NULL) != 0)
		return failed("a thread");
	/* The worker waits for all of them: without them it cannot end. */
	if (run_frames(source, first, steady, size) < 0 ||
	    !look(source->t, &before) ||
	    run_frames(source, steady, line.last, size) < 0 ||
	    !look(source->t, &after)) {
		failed(source->name);
		exit(1);
	}
	pthread_join(worker, NULL);
	ret->faults = after.faults - before.faults;
	ret->created = after.created - before.created;
	ret->now_ns = after.now_ns - before.now_ns;
	printf("%-21s %8.1f faults %8.2f allocations %10.1f us  for a frame\n",
	       source->name, (double)ret->faults / (double)frames,
	       (double)ret->created / (double)frames,
	       (double)ret->now_ns / 1000 / (double)frames);
	return true;
}

/* As many buffers as can be under way, so that none is made later. */
static bool fill_pool(struct tenure_pool *pool, size_t size,
		      struct tenure_device *ret_device)
{
	struct tenure_buffer buffers[AHEAD + 2] = { 0 };
	int status = 0;

	for (int i = 0; i < AHEAD + 2 && status == 0; i++)
		status = tenure_pool_alloc(pool, size, &buffers[i]);
	*ret_device = buffers[0].device;
	for (int i = 0; i < AHEAD + 2 && status == 0; i++)
		status = tenure_pool_free(pool, &buffers[i]);
	return status == 0;
}

/* Whether a steady state with a pool cost what it may. */
static bool is_steady(const struct source *source, const struct costs *costs)
{
	if (costs->created == 0 && costs->faults <= FAULTS_OF_OTHERS)
		return true;
	fprintf(stderr,
		"tenure-frames: the steady state of %s made %ju allocations "
		"and %ju page faults\n",
		source->name, (uintmax_t)costs->created,
		(uintmax_t)costs->faults);
	return false;
}

/* A pool whose buffers go back by the word, then by the context. */
static bool measure_pool(struct source *warm, uint64_t frames, size_t size)
{
	struct tenure_device device;
	struct costs costs;
	bool good;

	if (!fill_pool(warm->pool, size, &device))
		return failed("a pool");
	good = measure(warm, frames, size, &costs) && is_steady(warm, &costs);
	if (tenure_context_create(warm->t, device, &line.context) < 0)
		return failed("a context");
	warm->name = "the same, by contexts";
	return measure(warm, frames, size, &costs) && is_steady(warm, &costs) &&
	       good;
}

static bool compare(struct tenure *t, uint64_t frames, size_t size)
{
	const struct tenure_pool_options options = { .size = size };
	struct source fresh = { .name = "fresh memory", .t = t };
	struct source warm = { .name = "a pool", .t = t };
	struct costs costs;
	bool good;

	line.t = t;
	if (!measure(&fresh, frames, size, &costs))
		return false;
	for (int i = 0; i <= AHEAD; i++)
		tenure_free(t, &fresh.fresh[i]);
	if (tenure_pool_create(t, &options, &warm.pool) < 0)
		return failed("a pool");
	good = measure_pool(&warm, frames, size);
	tenure_pool_destroy(warm.pool);
	return good;
}

int main(int argc, char **argv)
{
	uint64_t frames = argc > 1 ? strtoull(argv[1], NULL, 10) : 300;
	size_t size = (argc > 2 ? strtoull(argv[2], NULL, 10) : 3072) * 1024;
	struct tenure *t = NULL;
	bool good;

	if (frames == 0 || size == 0) {
		fprintf(stderr, "usage: tenure-frames [FRAMES [KIB]]\n");
		return 64;
	}
	if (tenure_connect(NULL, TENURE_CONNECT_SPAWN, &t) < 0)
		return !failed("connect");
	printf("%ju frames of %zu KiB, after the first %d:\n",
	       (uintmax_t)frames, size / 1024, WARM_UP);
	good = compare(t, frames, size);
	tenure_disconnect(t);
	return good ? 0 : 1;
}
