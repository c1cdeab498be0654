/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of warm memory: their guarantees, on the fake daemon. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/pool.h"
#include "client/word.h"
#include "client/world_test.h"

enum { KIB = 1024, THREADS = 4, ROUNDS = 400 };

static bool no_dontfork, no_remove;

int __real_madvise(void *start, size_t size, int advice);
int __wrap_madvise(void *start, size_t size, int advice);

int __wrap_madvise(void *start, size_t size, int advice)
{
	if ((no_dontfork && advice == MADV_DONTFORK) ||
	    (no_remove && advice == MADV_REMOVE)) {
		errno = EINVAL;
		return -1;
	}
	return __real_madvise(start, size, advice);
}

struct fixture {
	struct world w;
	struct tenure_pool *pool;
};

static void begin(struct fixture *f, unsigned int reset, unsigned int count,
		  uint64_t idle_timeout_ns)
{
	const struct tenure_pool_options options = {
		.size = 1024 * KIB,
		.count = count,
		.reset = reset,
		.idle_timeout_ns = idle_timeout_ns,
	};

	assert_int_equal(
		tenure_pool_create(f->w.connection, &options, &f->pool), 0);
}

static int set_up(void **state)
{
	static struct fixture f;

	no_dontfork = no_remove = false;
	world_open(&f.w);
	f.pool = NULL;
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(tenure_pool_destroy(f->pool), 0);
	assert_int_equal(f->w.fake->n_allocations, 2);
	assert_int_equal(f->w.fake->n_devices, 1);
	assert_int_equal(f->w.fake->n_adapters, 1);
	assert_int_equal(f->w.fake->n_pools, 0);
	world_check_fds(&f->w);
	world_close(&f->w);
	return 0;
}

static struct tenure_buffer must_alloc(struct fixture *f, size_t size)
{
	struct tenure_buffer buffer;

	assert_int_equal(tenure_pool_alloc(f->pool, size, &buffer), 0);
	assert_true(buffer.size >= size);
	return buffer;
}

static void must_free(struct fixture *f, struct tenure_buffer *buffer)
{
	assert_int_equal(tenure_pool_free(f->pool, buffer), 0);
	assert_null(buffer->pointer);
}

static struct tenure_pool_stat stat_of(struct fixture *f)
{
	struct tenure_pool_stat stat;

	assert_int_equal(tenure_pool_stat(f->pool, &stat), 0);
	return stat;
}

/* Its own user, or one to whom the daemon has given the handle too: the memory
 * is there as long as the pool may hand it out. */
static void g6_destroyed_by_somebody_else(void **state)
{
	struct fixture *f = *state;
	struct tenure *t = f->w.connection;
	struct tenure_buffer buffer;

	begin(f, TENURE_POOL_KEEP, 0, 0);
	buffer = must_alloc(f, 4 * KIB);
	assert_int_equal(tenure_unmap(t, buffer.device, buffer.allocation),
			 -EINVAL);
	assert_int_equal(tenure_allocation_destroy(t, buffer.device,
						   buffer.allocation, 0),
			 0);
	memset(buffer.pointer, 1, buffer.size);
	must_free(f, &buffer);
	buffer = must_alloc(f, 4 * KIB);
	memset(buffer.pointer, 2, buffer.size);
	must_free(f, &buffer);
	assert_int_equal(tenure_pool_destroy(f->pool), -EIO);
	f->pool = NULL;
}

/* ---- Choice ---- */

static void classes_waste_little(void **state)
{
	uint64_t before = 0;

	(void)state;
	for (uint64_t size = 1; size < 40 * PAGE_BYTES; size += 97) {
		uint64_t class = pool_class(size);

		assert_true(class >= size && class % PAGE_BYTES == 0);
		assert_true(class < size + PAGE_BYTES || class * 4 < size * 5);
		assert_true(class >= before);
		assert_int_equal(pool_class(class), class);
		before = class;
	}
	assert_int_equal(pool_class(1), PAGE_BYTES);
	assert_int_equal(pool_class(8 * PAGE_BYTES + 1), 10 * PAGE_BYTES);
}

static void ratings(void **state)
{
	(void)state;
	assert_int_equal(pool_rating(4096, 4096, false), 100);
	assert_int_equal(pool_rating(8192, 4096, false), 0);
	assert_int_equal(pool_rating(4096, 12288, false), 0);
	assert_int_equal(pool_rating(4096, 8192, false), 50);
	assert_true(pool_rating(16384, 20480, false) >
		    pool_rating(16384, 24576, false));
	assert_true(pool_rating(4096, 4096, true) > 0);
	assert_true(pool_rating(4096, 4096, true) <
		    pool_rating(16384, 20480, false));
	assert_int_equal(pool_rating(4096, 8192, true), 20);
}

static void the_closest_fit_is_taken(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer small, middle, large, got;
	void *wanted;

	begin(f, TENURE_POOL_KEEP, 0, 0);
	small = must_alloc(f, 40 * KIB);
	middle = must_alloc(f, 80 * KIB);
	large = must_alloc(f, 112 * KIB);
	wanted = middle.pointer;
	must_free(f, &small);
	must_free(f, &middle);
	must_free(f, &large);
	got = must_alloc(f, 64 * KIB);
	assert_ptr_equal(got.pointer, wanted);
	/* Nothing is more than twice as large as it need be. */
	must_alloc(f, 20 * KIB + 1);
	assert_int_equal(stat_of(f).misses, 3);
	must_alloc(f, 4 * KIB);
	assert_int_equal(stat_of(f).misses, 4);
	must_free(f, &got);
}

/* ---- Use ---- */

static void g2_a_warm_buffer_costs_no_message(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer buffer;
	unsigned int requests;
	void *pointer;

	begin(f, TENURE_POOL_KEEP, 0, 0);
	buffer = must_alloc(f, 100 * KIB);
	pointer = buffer.pointer;
	memset(pointer, 7, buffer.size);
	must_free(f, &buffer);
	requests = f->w.fake->n_requests;
	for (int i = 0; i < 100; i++) {
		buffer = must_alloc(f, 100 * KIB);
		assert_ptr_equal(buffer.pointer, pointer);
		/* Kept as it was. */
		assert_int_equal(((char *)pointer)[i * KIB], 7);
		must_free(f, &buffer);
	}
	assert_true(f->w.fake->n_requests <= requests + 2);
	assert_int_equal(stat_of(f).hits, 100);
	assert_int_equal(stat_of(f).created, 1);
	assert_int_equal(stat_of(f).free, 1);
}

static void zero_is_zero(void **state)
{
	struct fixture *f = *state;

	for (unsigned int reset = TENURE_POOL_ZERO; reset <= TENURE_POOL_DROP;
	     reset++) {
		struct tenure_buffer buffer;
		void *pointer;

		begin(f, reset, 0, 0);
		buffer = must_alloc(f, 10 * KIB);
		pointer = buffer.pointer;
		for (int round = 0; round < 3; round++) {
			assert_ptr_equal(buffer.pointer, pointer);
			for (size_t i = 0; i < buffer.size; i++)
				assert_int_equal(((char *)pointer)[i], 0);
			memset(pointer, 0x55, buffer.size);
			must_free(f, &buffer);
			buffer = must_alloc(f, 10 * KIB);
		}
		assert_int_equal(tenure_pool_destroy(f->pool), 0);
	}
	f->pool = NULL;
}

static void what_cannot_be_dropped_is_destroyed(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer buffer;

	begin(f, TENURE_POOL_DROP, 0, 0);
	buffer = must_alloc(f, 1);
	no_remove = true;
	must_free(f, &buffer);
	assert_int_equal(stat_of(f).destroyed_unfit, 1);
	assert_int_equal(stat_of(f).bytes, 0);
}

static void a_pool_has_room_for_count(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer a, b, c = { 0 };

	begin(f, TENURE_POOL_KEEP, 2, 0);
	a = must_alloc(f, 4 * KIB);
	b = must_alloc(f, 4 * KIB);
	assert_int_equal(tenure_pool_alloc(f->pool, 4 * KIB, &c), -EDQUOT);
	assert_int_equal(world_reason(), TENURE_REASON_HOLDER_FULL);
	assert_null(c.pointer);
	/* A free one of another size makes room. */
	must_free(f, &a);
	c = must_alloc(f, 100 * KIB);
	assert_int_equal(stat_of(f).destroyed_for_room, 1);
	must_free(f, &b);
	must_free(f, &c);
}

static void idle_buffers_go(void **state)
{
	const struct timespec moment = { .tv_nsec = 3000000 };
	struct fixture *f = *state;
	struct tenure_buffer buffer;

	begin(f, TENURE_POOL_KEEP, 0, 1000000);
	buffer = must_alloc(f, 4 * KIB);
	must_free(f, &buffer);
	nanosleep(&moment, NULL);
	assert_int_equal(tenure_pool_trim(f->pool), 0);
	assert_int_equal(stat_of(f).destroyed_idle, 1);
	assert_int_equal(stat_of(f).free, 0);
	assert_int_equal(f->w.fake->n_allocations, 2);
}

static void a_device_of_the_callers(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer buffer;

	assert_int_equal(
		tenure_pool_create(f->w.connection,
				   &(struct tenure_pool_options){
					   .size = 1, .device = f->w.device },
				   &f->pool),
		0);
	assert_int_equal(f->w.fake->n_devices, 1);
	buffer = must_alloc(f, 1);
	assert_int_equal(buffer.device.value, f->w.device.value);
	assert_int_equal(buffer.size, WORLD_PAGE);
	assert_int_equal(fake_daemon_maps(f->w.fake, buffer.allocation), 1);
}

static void the_daemon_is_told(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer a, b;

	begin(f, TENURE_POOL_KEEP, 0, 0);
	assert_int_equal(f->w.fake->n_pools, 1);
	a = must_alloc(f, 4 * KIB);
	b = must_alloc(f, 4 * KIB);
	must_free(f, &a);
	assert_int_equal(f->w.fake->told.free, 1);
	assert_int_equal(f->w.fake->told.in_use, 1);
	must_free(f, &b);
	b = must_alloc(f, 4 * KIB);
	/* Not each time; but always when trimmed. */
	assert_int_equal(f->w.fake->told.hits, 0);
	assert_int_equal(tenure_pool_trim(f->pool), 0);
	assert_int_equal(f->w.fake->told.hits, 1);
	assert_int_equal(f->w.fake->told.misses, 2);
	must_free(f, &b);
}

static void a_daemon_that_does_not_know_pools(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer buffer;

	f->w.fake->refuse_opcode = WIRE_OP_POOL_CREATE;
	f->w.fake->refuse_status = -ENOTSUP;
	begin(f, TENURE_POOL_KEEP, 0, 0);
	assert_int_equal(f->w.fake->n_pools, 0);
	buffer = must_alloc(f, 1);
	must_free(f, &buffer);
	assert_int_equal(tenure_pool_trim(f->pool), 0);
	assert_int_equal(f->w.fake->told.free, 0);
}

/* ---- In flight (G1) ---- */

static void g1_not_before_its_work_has_ended(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer a, b, c, copy;
	uint64_t progress = 4, stalled = 0;
	void *pointer;

	begin(f, TENURE_POOL_KEEP, 0, 0);
	a = must_alloc(f, 4 * KIB);
	b = must_alloc(f, 4 * KIB);
	copy = a;
	pointer = a.pointer;
	/* The first one never ends; the second is not held up by it. */
	assert_int_equal(tenure_pool_free_after(f->pool, &b, &stalled, 1), 0);
	assert_int_equal(tenure_pool_free_after(f->pool, &a, &progress, 5), 0);
	assert_null(a.pointer);
	assert_int_equal(stat_of(f).in_flight, 2);
	assert_int_equal(stat_of(f).in_use, 0);
	/* It is nobody's meanwhile. */
	assert_int_equal(tenure_pool_free(f->pool, &copy), -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_ID_UNKNOWN);
	assert_int_equal(tenure_pool_free_after(f->pool, &copy, &progress, 0),
			 -EINVAL);
	c = must_alloc(f, 4 * KIB);
	assert_ptr_not_equal(c.pointer, pointer);
	progress = 5;
	a = must_alloc(f, 4 * KIB);
	assert_ptr_equal(a.pointer, pointer);
	assert_int_equal(stat_of(f).in_flight, 1);
	/* What has been reached already is free at once. */
	assert_int_equal(tenure_pool_free_after(f->pool, &a, &progress, 5), 0);
	assert_int_equal(stat_of(f).free, 1);
	must_free(f, &c);
}

/* A context of the world's device, and a pool of buffers there. */
static struct tenure_context begin_with_context(struct fixture *f)
{
	const struct tenure_pool_options options = {
		.size = 1024 * KIB,
		.device = f->w.device,
	};
	struct tenure_context context;

	assert_int_equal(
		tenure_pool_create(f->w.connection, &options, &f->pool), 0);
	assert_int_equal(tenure_context_create(f->w.connection, f->w.device,
					       &context),
			 0);
	return context;
}

static void must_use(struct fixture *f, struct tenure_context context,
		     const struct tenure_buffer *buffer)
{
	assert_int_equal(tenure_context_use(f->w.connection, context,
					    &buffer->allocation, 1),
			 0);
}

static void must_submit(struct fixture *f, struct tenure_context context,
			uint64_t value)
{
	assert_int_equal(tenure_context_submit(f->w.connection, context, value),
			 0);
}

static void must_progress(struct fixture *f, struct tenure_context context,
			  uint64_t value)
{
	assert_int_equal(
		tenure_context_progress(f->w.connection, context, value), 0);
}

/* Nobody names a value: the pool knows what work uses a buffer. */
static void g1_not_before_the_work_of_contexts_has_ended(void **state)
{
	struct fixture *f = *state;
	struct tenure_context context = begin_with_context(f);
	struct tenure_buffer a = must_alloc(f, 4 * KIB), b, copy = a;
	void *pointer = a.pointer;

	must_use(f, context, &a);
	/* Recorded and not yet submitted counts too. */
	must_free(f, &a);
	assert_int_equal(stat_of(f).in_flight, 1);
	assert_int_equal(tenure_pool_free(f->pool, &copy), -EINVAL);
	assert_int_equal(tenure_pool_trim(f->pool), 0);
	assert_int_equal(stat_of(f).in_flight, 1);
	must_submit(f, context, 5);
	b = must_alloc(f, 4 * KIB);
	assert_ptr_not_equal(b.pointer, pointer);
	must_progress(f, context, 4);
	must_free(f, &b); /* which no work uses */
	assert_int_equal(stat_of(f).in_flight, 1);
	assert_int_equal(stat_of(f).free, 1);
	must_progress(f, context, 5);
	assert_int_equal(tenure_pool_trim(f->pool), 0);
	assert_int_equal(stat_of(f).in_flight, 0);
	a = must_alloc(f, 4 * KIB);
	assert_ptr_equal(a.pointer, pointer);
	/* Used again, and done before its free: it is free at once. */
	must_use(f, context, &a);
	must_submit(f, context, 6);
	must_progress(f, context, 6);
	must_free(f, &a);
	assert_int_equal(stat_of(f).in_flight, 0);
	assert_int_equal(stat_of(f).free, 2);
}

/* After free_after both must have come. */
static void g1_contexts_and_progress(void **state)
{
	struct fixture *f = *state;
	struct tenure_context context = begin_with_context(f);
	struct tenure_buffer buffer;
	uint64_t progress;

	for (unsigned int turn = 0; turn < 2; turn++) {
		progress = 0;
		buffer = must_alloc(f, 1);
		must_use(f, context, &buffer);
		must_submit(f, context, turn + 1);
		assert_int_equal(tenure_pool_free_after(f->pool, &buffer,
							&progress, 1),
				 0);
		if (turn == 0)
			must_progress(f, context, turn + 1);
		else
			progress = 1;
		assert_int_equal(tenure_pool_trim(f->pool), 0);
		assert_int_equal(stat_of(f).in_flight, 1);
		if (turn == 0)
			progress = 1;
		else
			must_progress(f, context, turn + 1);
		assert_int_equal(tenure_pool_trim(f->pool), 0);
		assert_int_equal(stat_of(f).in_flight, 0);
	}
}

/* Its work counts as done, so what it uses comes back. */
static void g1_the_end_of_a_context(void **state)
{
	struct fixture *f = *state;
	struct tenure_context context = begin_with_context(f);
	struct tenure_buffer buffer = must_alloc(f, 1);

	must_use(f, context, &buffer);
	must_submit(f, context, 5);
	must_free(f, &buffer);
	assert_int_equal(stat_of(f).in_flight, 1);
	assert_int_equal(tenure_context_destroy(f->w.connection, context,
						TENURE_END_TERMINATE),
			 0);
	assert_int_equal(tenure_pool_trim(f->pool), 0);
	assert_int_equal(stat_of(f).in_flight, 0);
	/* A pool may also end while work uses what it has. */
	assert_int_equal(tenure_context_create(f->w.connection, f->w.device,
					       &context),
			 0);
	buffer = must_alloc(f, 1);
	must_use(f, context, &buffer);
	must_submit(f, context, 1);
	must_free(f, &buffer);
	buffer = must_alloc(f, 1);
	must_use(f, context, &buffer);
}

static void many_in_flight_are_looked_at_in_turn(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer buffers[40];
	uint64_t progress = 0, stalled = 0;

	begin(f, TENURE_POOL_KEEP, 0, 0);
	for (int i = 0; i < 40; i++)
		buffers[i] = must_alloc(f, 1);
	for (int i = 0; i < 40; i++)
		assert_int_equal(tenure_pool_free_after(
					 f->pool, &buffers[i],
					 i < 30 ? &stalled : &progress, 1),
				 0);
	progress = 1;
	/* A few with each call, and all of them in the end. */
	for (int i = 0; i < 8; i++) {
		buffers[0] = must_alloc(f, 1);
		must_free(f, &buffers[0]);
	}
	assert_int_equal(stat_of(f).in_flight, 30);
	stalled = 1;
	assert_int_equal(tenure_pool_trim(f->pool), 0);
	assert_int_equal(stat_of(f).in_flight, 0);
	/* A pool with some in flight ends as any other. */
	for (int i = 0; i < 3; i++) {
		buffers[i] = must_alloc(f, 1);
		assert_int_equal(tenure_pool_free_after(f->pool, &buffers[i],
							&progress, 9),
				 0);
	}
}

/* ---- Fork (G3) ---- */

static int in_child(struct fixture *f, struct tenure_buffer *buffer)
{
	struct tenure_buffer other;

	if (world_is_mapped(buffer->pointer))
		return 1;
	if (tenure_pool_alloc(f->pool, 1, &other) != -EOWNERDEAD ||
	    tenure_pool_free(f->pool, buffer) != -EOWNERDEAD ||
	    tenure_pool_trim(f->pool) != -EOWNERDEAD ||
	    tenure_pool_destroy(f->pool) != -EOWNERDEAD)
		return 2;
	return 0;
}

static void g3_a_child_has_no_buffers(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer buffer;
	int status;
	pid_t pid;

	begin(f, TENURE_POOL_KEEP, 0, 0);
	buffer = must_alloc(f, 4 * KIB);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(in_child(f, &buffer));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(world_is_mapped(buffer.pointer));
	must_free(f, &buffer);
	assert_int_equal(stat_of(f).free, 1);
}

static void what_a_child_may_have_is_not_used_again(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer buffer;

	begin(f, TENURE_POOL_KEEP, 0, 0);
	no_dontfork = true;
	buffer = must_alloc(f, 4 * KIB);
	must_free(f, &buffer);
	assert_int_equal(stat_of(f).free, 0);
	assert_int_equal(stat_of(f).destroyed_unfit, 1);
}

/* ---- Refusals (G4) ---- */

static void refusals_say_why(void **state)
{
	struct tenure_pool_options options = { .size = 0 };
	struct fixture *f = *state;
	struct tenure_buffer buffer = { 0 }, wrong;
	struct tenure_pool *pool;
	uint64_t progress = 0;

	assert_int_equal(tenure_pool_create(f->w.connection, &options, &pool),
			 -EINVAL);
	options = (struct tenure_pool_options){ .size = 1, .reset = 3 };
	assert_int_equal(tenure_pool_create(f->w.connection, &options, &pool),
			 -EINVAL);
	assert_int_equal(tenure_pool_create(f->w.connection, NULL, &pool),
			 -EINVAL);
	begin(f, TENURE_POOL_KEEP, 0, 0);
	assert_int_equal(tenure_pool_alloc(f->pool, 0, &buffer), -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_POOL_SIZE);
	assert_int_equal(tenure_pool_alloc(f->pool, 1024 * KIB + 1, &buffer),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_POOL_SIZE);
	assert_int_equal(tenure_pool_alloc(f->pool, 1, NULL), -EINVAL);
	assert_int_equal(tenure_pool_free(f->pool, NULL), -EINVAL);
	assert_int_equal(tenure_pool_free(f->pool, &buffer), 0);
	assert_int_equal(tenure_pool_free_after(f->pool, &buffer, &progress, 1),
			 0);
	assert_int_equal(tenure_pool_free_after(f->pool, &buffer, NULL, 1),
			 -EINVAL);
	assert_int_equal(tenure_pool_stat(f->pool, NULL), -EINVAL);
	assert_int_equal(tenure_pool_trim(NULL), -EINVAL);
	/* What it has not handed out, or has got back. */
	buffer = must_alloc(f, 1);
	wrong = buffer;
	must_free(f, &buffer);
	assert_int_equal(tenure_pool_free(f->pool, &wrong), -EINVAL);
	wrong.allocation = f->w.allocations[0];
	assert_int_equal(tenure_pool_free(f->pool, &wrong), -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_ID_UNKNOWN);
}

static void g4_whatever_the_daemon_refuses(void **state)
{
	static const uint8_t opcodes[] = { WIRE_OP_CREATE, WIRE_OP_MAP };
	struct fixture *f = *state;
	struct tenure_buffer buffer;
	struct tenure_pool *pool;

	f->w.fake->refuse_opcode = WIRE_OP_DEVICE_CREATE;
	f->w.fake->refuse_status = -EDQUOT;
	assert_int_equal(
		tenure_pool_create(f->w.connection,
				   &(struct tenure_pool_options){ .size = 1 },
				   &pool),
		-EDQUOT);
	assert_int_equal(f->w.fake->n_adapters, 1);
	f->w.fake->refuse_opcode = WIRE_OP_POOL_CREATE;
	assert_int_equal(
		tenure_pool_create(f->w.connection,
				   &(struct tenure_pool_options){ .size = 1 },
				   &pool),
		-EDQUOT);
	assert_int_equal(f->w.fake->n_devices, 1);
	begin(f, TENURE_POOL_KEEP, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		f->w.fake->refuse_opcode = opcodes[i];
		f->w.fake->refuse_status = -ENOMEM;
		assert_int_equal(tenure_pool_alloc(f->pool, 1, &buffer),
				 -ENOMEM);
		assert_int_not_equal(world_reason(),
				     TENURE_REASON_DRIVER_FAILED);
		assert_int_equal(f->w.fake->n_allocations, 2);
		assert_int_equal(stat_of(f).bytes, 0);
	}
	/* A destroy that is refused is tried again with the pool's end. */
	no_dontfork = true;
	buffer = must_alloc(f, 1);
	f->w.fake->refuse_opcode = WIRE_OP_DESTROY;
	f->w.fake->refuse_status = -EINVAL;
	must_free(f, &buffer);
	assert_int_equal(stat_of(f).destroy_failures, 1);
	assert_int_equal(f->w.fake->n_allocations, 3);
}

/* ---- Threads ---- */

struct worker {
	pthread_t thread;
	struct tenure_pool *pool;
	char number;
	const char *failed;
};

static const char *one_round(struct worker *worker, uint64_t *progress, int i)
{
	struct tenure_buffer buffer;
	size_t size = (size_t)(1 + i % 5) * 8 * KIB;
	int status;

	if (tenure_pool_alloc(worker->pool, size, &buffer) < 0)
		return "alloc";
	memset(buffer.pointer, worker->number, buffer.size);
	for (size_t at = 0; at < buffer.size; at += 512) {
		if (((char *)buffer.pointer)[at] != worker->number)
			return "somebody else writes to it";
	}
	if (i % 3 == 0) {
		status = tenure_pool_free_after(worker->pool, &buffer, progress,
						(uint64_t)i + 2);
		__atomic_store_n(progress, (uint64_t)i, __ATOMIC_RELEASE);
	} else {
		status = tenure_pool_free(worker->pool, &buffer);
	}
	return status < 0 ? "free" : NULL;
}

static void *work(void *argument)
{
	/* The words live as long as the pool. */
	static uint64_t progress[THREADS];
	struct worker *worker = argument;

	for (int i = 0; i < ROUNDS && !worker->failed; i++)
		worker->failed =
			one_round(worker, &progress[worker->number - 1], i);
	return NULL;
}

static void threads_share_a_pool(void **state)
{
	struct worker workers[THREADS];
	struct fixture *f = *state;

	begin(f, TENURE_POOL_KEEP, 0, 0);
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .pool = f->pool,
					      .number = (char)(i + 1) };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work,
						&workers[i]),
				 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	for (int i = 0; i < THREADS; i++) {
		if (workers[i].failed)
			fail_msg("%s", workers[i].failed);
	}
	assert_int_equal(stat_of(f).in_use, 0);
	assert_true(stat_of(f).hits > stat_of(f).misses);
	assert_int_equal(stat_of(f).destroy_failures, 0);
}

/* ---- Offered to the daemon (with a ring) ---- */

static int set_up_ring(void **state)
{
	static struct fixture f;

	no_dontfork = no_remove = false;
	world_open_ring(&f.w);
	f.pool = NULL;
	*state = &f;
	return 0;
}

static int tear_down_ring(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(tenure_pool_destroy(f->pool), 0);
	assert_int_equal(tenure_flush(f->w.connection), 0);
	assert_int_equal(
		fake_daemon_count(f->w.fake, &f->w.fake->n_allocations), 2);
	world_close(&f->w);
	return 0;
}

/* The daemon destroys what is offered until then: how many. */
static uint32_t reap(struct fixture *f, uint64_t now_ns)
{
	static uint64_t handles[RING_OFFERS];
	uint64_t due_ns;
	uint32_t n = offers_take(&fake_ring_memory(f->w.ring)->offers, now_ns,
				 handles, &due_ns);

	pthread_mutex_lock(&f->w.fake->lock);
	for (uint32_t i = 0; i < n; i++) {
		if (!fake_daemon_destroy(f->w.fake, handles[i]))
			abort();
	}
	pthread_mutex_unlock(&f->w.fake->lock);
	return n;
}

static uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void g5_a_quiet_client_gives_back(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer buffers[3];

	begin(f, TENURE_POOL_KEEP, 3, 3600 * NS_PER_S);
	for (int i = 0; i < 3; i++)
		buffers[i] = must_alloc(f, 4 * KIB);
	/* None that is in use, or young. */
	assert_int_equal(reap(f, UINT64_MAX - 2), 0);
	for (int i = 1; i < 3; i++)
		must_free(f, &buffers[i]);
	assert_int_equal(reap(f, monotonic_ns()), 0);
	assert_int_equal(reap(f, monotonic_ns() + 3601 * NS_PER_S), 2);
	/* The pool is as full as it was, and goes on. */
	buffers[1] = must_alloc(f, 4 * KIB);
	memset(buffers[1].pointer, 1, 4 * KIB);
	assert_int_equal(stat_of(f).created, 4);
	must_free(f, &buffers[1]);
	must_free(f, &buffers[0]);
	assert_int_equal(stat_of(f).destroy_failures, 0);
}

/* Without a timeout nothing is offered. */
static void without_a_timeout_all_stays(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer buffer;

	begin(f, TENURE_POOL_KEEP, 0, 0);
	buffer = must_alloc(f, 1);
	must_free(f, &buffer);
	assert_int_equal(reap(f, UINT64_MAX - 1), 0);
}

static struct {
	struct fixture *fixture;
	pthread_t thread;
	uint32_t taken;
	uint64_t stop;
} taker;

static void *take_at_once(void *nothing)
{
	while (!word_reached(&taker.stop, 1))
		taker.taken += reap(taker.fixture, UINT64_MAX - 2);
	return nothing;
}

/* The daemon takes what it can get while it is taken back: each buffer that
 * is handed out exists, and each that was taken is gone. */
static void g5_taken_or_taken_back(void **state)
{
	struct fixture *f = *state;
	struct tenure_buffer buffers[4];
	struct tenure_pool_stat stat;
	uint32_t n = 0;

	begin(f, TENURE_POOL_KEEP, 0, 3600 * NS_PER_S);
	taker.fixture = f;
	taker.stop = 0;
	taker.taken = 0;
	assert_int_equal(
		pthread_create(&taker.thread, NULL, take_at_once, NULL), 0);
	/* As long as the fake daemon has room: each may be taken back. */
	for (int round = 0;
	     round < ROUNDS &&
	     fake_daemon_count(f->w.fake, &f->w.fake->n_stores) + 5 <
		     FAKE_STORES_MAX;
	     round++) {
		for (int i = 0; i < 4; i++) {
			buffers[i] = must_alloc(f, 1);
			assert_int_equal(
				fake_daemon_maps(f->w.fake,
						 buffers[i].allocation),
				1);
			*(char *)buffers[i].pointer = 1;
			n++;
		}
		for (int i = 0; i < 4; i++)
			must_free(f, &buffers[i]);
	}
	__atomic_store_n(&taker.stop, 1, __ATOMIC_RELEASE);
	pthread_join(taker.thread, NULL);
	stat = stat_of(f);
	assert_int_equal(stat.hits + stat.created, n + stat.destroyed_idle);
	assert_int_equal(stat.destroyed_unfit + stat.destroy_failures, 0);
	assert_true(taker.taken >= stat.destroyed_idle);
}

#define with(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define with_ring(test) \
	cmocka_unit_test_setup_teardown(test, set_up_ring, tear_down_ring)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_waste_little),
		cmocka_unit_test(ratings),
		with(the_closest_fit_is_taken),
		with(g6_destroyed_by_somebody_else),
		with(g2_a_warm_buffer_costs_no_message),
		with(zero_is_zero),
		with(what_cannot_be_dropped_is_destroyed),
		with(a_pool_has_room_for_count),
		with(idle_buffers_go),
		with(a_device_of_the_callers),
		with(the_daemon_is_told),
		with(a_daemon_that_does_not_know_pools),
		with(g1_not_before_its_work_has_ended),
		with(g1_not_before_the_work_of_contexts_has_ended),
		with(g1_contexts_and_progress),
		with(g1_the_end_of_a_context),
		with(many_in_flight_are_looked_at_in_turn),
		with(g3_a_child_has_no_buffers),
		with(what_a_child_may_have_is_not_used_again),
		with(refusals_say_why),
		with(g4_whatever_the_daemon_refuses),
		with(threads_share_a_pool),
		with_ring(g5_a_quiet_client_gives_back),
		with_ring(without_a_timeout_all_stays),
		with_ring(g5_taken_or_taken_back),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
