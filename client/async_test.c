/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destroys that nobody waits for. Everything that an application can see is
 * tried with a ring and without one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/world_test.h"

/* Far from any handle that the fake gives out. */
enum { STALE = 1 << 28 };

static void open_world(struct world *w, bool ring)
{
	if (ring)
		world_open_ring(w);
	else
		world_open(w);
}

static unsigned int allocations(struct world *w)
{
	return fake_daemon_count(w->fake, &w->fake->n_allocations);
}

/* Stale handles: the fake refuses them, as the daemon does. */
static void free_stale(struct world *w, uint64_t first, unsigned int n)
{
	struct tenure_allocation *list = calloc(n, sizeof(*list));

	assert_non_null(list);
	for (unsigned int i = 0; i < n; i++)
		list[i].value = first + i;
	assert_int_equal(tenure_allocations_free(w->connection, list, n), 0);
	free(list);
}

static void check_free_unmaps(bool ring)
{
	struct tenure_resource_info info;
	struct tenure_memory a, b;
	void *pointers[2], *pointer;
	struct world w;
	size_t size;

	open_world(&w, ring);
	assert_int_equal(tenure_alloc(w.connection, 1, &a), 0);
	assert_int_equal(tenure_alloc_shared(w.connection, 1, &b), 0);
	pointers[0] = a.pointer;
	pointers[1] = b.pointer;
	assert_int_equal(tenure_map(w.connection, w.device, w.allocations[1],
				    TENURE_MAP_READ, &pointer, &size),
			 0);
	assert_int_equal(
		tenure_allocations_free(w.connection, &a.allocation, 1), 0);
	assert_false(world_is_mapped(pointers[0])); /* G1 */
	assert_true(world_is_mapped(pointers[1]));
	assert_true(world_is_mapped(pointer));
	assert_int_equal(tenure_resource_free(w.connection, b.resource), 0);
	assert_false(world_is_mapped(pointers[1]));
	assert_int_equal(tenure_resource_free(w.connection, w.resource), 0);
	assert_false(world_is_mapped(pointer));
	/* The question follows them by the ring. */
	assert_int_equal(tenure_resource_query(w.connection, &w.token, &info,
					       NULL, 0),
			 0);
	assert_int_equal(allocations(&w), 0);
	assert_int_equal(tenure_refusals_take(w.connection, NULL, 0, NULL), 0);
	world_close(&w);
}

/* A resource without allocations is one as any other. */
static void check_free_emptied(bool ring)
{
	struct tenure_async_refusal got;
	struct world w;

	open_world(&w, ring);
	for (int i = 0; i < 2; i++)
		assert_int_equal(tenure_allocation_destroy(w.connection,
							   w.device,
							   w.allocations[i], 0),
				 0);
	assert_int_equal(tenure_resource_free(w.connection, w.resource), 0);
	assert_int_equal(tenure_flush(w.connection), 0);
	assert_int_equal(tenure_refusals_take(w.connection, &got, 1, NULL), 0);
	assert_int_equal(fake_daemon_count(w.fake, &w.fake->n_resources), 0);
	world_close(&w);
}

/* A flush settles: ringside G4. */
static void check_refusals(bool ring)
{
	struct tenure_async_refusal got[3] = { 0 };
	struct tenure_refusal before, after;
	uint64_t lost = 7;
	struct world w;

	open_world(&w, ring);
	/* What is refused later is no refusal of a call. */
	assert_int_equal(tenure_map(w.connection, w.device, w.allocations[0], 0,
				    NULL, NULL),
			 -EINVAL);
	tenure_last_refusal(&before);
	free_stale(&w, 0, 1);
	free_stale(&w, STALE, 3);
	assert_int_equal(tenure_resource_free(w.connection,
					      (struct tenure_resource){ 77 }),
			 0);
	assert_int_equal(
		tenure_allocations_free(w.connection, &w.allocations[0], 1), 0);
	assert_int_equal(tenure_flush(w.connection), 0);
	tenure_last_refusal(&after);
	assert_memory_equal(&before, &after, sizeof(after));
	/* G2: in order, once, and the good one is not among them. */
	assert_int_equal(tenure_refusals_take(w.connection, got, 3, &lost), 3);
	assert_int_equal(lost, 0);
	assert_int_equal(got[0].handle, 0);
	assert_int_equal(got[1].handle, STALE);
	assert_int_equal(got[2].handle, STALE + 1);
	assert_int_equal(got[0].status, -EINVAL);
	assert_int_not_equal(got[0].reason, TENURE_REASON_NONE);
	assert_int_equal(tenure_refusals_take(w.connection, got, 3, NULL), 2);
	assert_int_equal(got[0].handle, STALE + 2);
	assert_int_equal(got[1].handle, 77);
	assert_int_equal(tenure_refusals_take(w.connection, got, 3, NULL), 0);
	assert_int_equal(allocations(&w), 1);
	world_close(&w);
}

static void check_lost(bool ring)
{
	enum { MANY = 10 * REFUSALS_MAX };
	static struct tenure_async_refusal got[REFUSALS_MAX + 1];
	uint64_t lost;
	struct world w;

	open_world(&w, ring);
	free_stale(&w, STALE, MANY);
	assert_int_equal(tenure_flush(w.connection), 0);
	assert_int_equal(tenure_refusals_take(w.connection, got,
					      REFUSALS_MAX + 1, &lost),
			 REFUSALS_MAX);
	for (unsigned int i = 0; i < REFUSALS_MAX; i++)
		assert_int_equal(got[i].handle, STALE + i);
	assert_int_equal(lost, MANY - REFUSALS_MAX); /* G2 */
	assert_int_equal(tenure_refusals_take(w.connection, got, 1, &lost), 0);
	assert_int_equal(lost, 0);
	world_close(&w);
}

static void check_arguments(bool ring)
{
	struct tenure_async_refusal got;
	struct world w;

	open_world(&w, ring);
	assert_int_equal(tenure_allocations_free(w.connection, NULL, 1),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_ARGUMENT);
	assert_int_equal(tenure_allocations_free(w.connection, NULL, 0), 0);
	assert_int_equal(tenure_allocations_free(NULL, w.allocations, 1),
			 -EINVAL);
	assert_int_equal(tenure_resource_free(NULL, w.resource), -EINVAL);
	assert_int_equal(tenure_flush(NULL), -EINVAL);
	assert_int_equal(tenure_refusals_take(NULL, &got, 1, NULL), -EINVAL);
	assert_int_equal(tenure_refusals_take(w.connection, NULL, 1, NULL),
			 -EINVAL);
	assert_int_equal(tenure_refusals_take(w.connection, &got, UINT32_MAX,
					      NULL),
			 -EINVAL);
	assert_int_equal(tenure_refusals_take(w.connection, NULL, 0, NULL), 0);
	assert_int_equal(allocations(&w), 2);
	world_close(&w);
}

/* G3 */
static void test_both_ways(void **state)
{
	(void)state;
	for (int ring = 0; ring < 2; ring++) {
		check_free_unmaps(ring);
		check_free_emptied(ring);
		check_refusals(ring);
		check_lost(ring);
		check_arguments(ring);
	}
}

/* A request by the socket waits for what was freed before it. */
static void test_before_the_socket(void **state)
{
	struct tenure_allocation list[100];
	size_t sizes[100], size;
	void *pointer;
	struct world w;

	(void)state;
	world_open_ring(&w);
	for (int i = 0; i < 100; i++)
		sizes[i] = 1;
	assert_int_equal(tenure_allocation_create(w.connection, w.device, sizes,
						  100, list),
			 0);
	assert_int_equal(tenure_allocations_free(w.connection, list, 100), 0);
	assert_int_equal(tenure_map(w.connection, w.device, w.allocations[0],
				    TENURE_MAP_READ, &pointer, &size),
			 0);
	assert_int_equal(allocations(&w), 2);
	/* And of what has just been freed there is no map. */
	assert_int_equal(tenure_allocation_create(w.connection, w.device, sizes,
						  1, list),
			 0);
	assert_int_equal(tenure_allocations_free(w.connection, list, 1), 0);
	assert_int_equal(tenure_map(w.connection, w.device, list[0],
				    TENURE_MAP_READ, &pointer, &size),
			 -EINVAL);
	world_close(&w);
}

/* Nobody asks for anything: the daemon looks by itself. */
static void test_by_itself(void **state)
{
	struct tenure_memory memory;
	struct world w;

	(void)state;
	world_open_ring(&w);
	for (int round = 0; round < 50; round++) {
		assert_int_equal(tenure_alloc(w.connection, 1, &memory), 0);
		assert_int_equal(tenure_free(w.connection, &memory), 0);
		usleep((useconds_t)(round * 100));
		/* Two milliseconds are promised; other work runs here too. */
		for (int i = 0; allocations(&w) > 2; i++) {
			assert_true(i < 20000);
			usleep(100);
		}
	}
	world_close(&w);
}

struct pusher {
	pthread_t thread;
	struct world *world;
	uint64_t first;
	unsigned int n;
	volatile bool done;
};

static void *push(void *argument)
{
	struct pusher *p = argument;

	free_stale(p->world, p->first, p->n);
	__atomic_store_n(&p->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void start(struct pusher *p, struct world *w, uint64_t first,
		  unsigned int n)
{
	*p = (struct pusher){ .world = w, .first = first, .n = n };
	assert_int_equal(pthread_create(&p->thread, NULL, push, p), 0);
}

/* A daemon that stands still: appends wait when the queue is full, and go on
 * when it goes on. */
static void test_back_pressure(void **state)
{
	struct pusher fits, waits;
	struct world w;

	(void)state;
	world_open_ring(&w);
	fake_ring_hold(w.ring);
	start(&fits, &w, STALE, RING_FQ_ENTRIES);
	pthread_join(fits.thread, NULL);
	start(&waits, &w, 2 * STALE, 10);
	usleep(50000);
	assert_false(__atomic_load_n(&waits.done, __ATOMIC_ACQUIRE));
	assert_int_equal(fake_ring_frees(w.ring), 0);
	fake_ring_let_go(w.ring);
	pthread_join(waits.thread, NULL);
	assert_int_equal(tenure_flush(w.connection), 0);
	assert_int_equal(fake_ring_frees(w.ring), RING_FQ_ENTRIES + 10);
	world_close(&w);
}

/* Several threads that free, and one that flushes and takes. */
static void test_threads(void **state)
{
	enum { PUSHERS = 3, EACH = 20000 };
	static struct tenure_async_refusal got[REFUSALS_MAX];
	uint64_t total = 0, lost;
	struct pusher pushers[PUSHERS];
	struct world w;
	int n;

	(void)state;
	world_open_ring(&w);
	for (int i = 0; i < PUSHERS; i++)
		start(&pushers[i], &w, STALE + (uint64_t)i * EACH, EACH);
	while (total < PUSHERS * EACH) {
		assert_int_equal(tenure_flush(w.connection), 0);
		n = tenure_refusals_take(w.connection, got, REFUSALS_MAX,
					 &lost);
		assert_true(n >= 0);
		total += (uint64_t)n + lost;
	}
	for (int i = 0; i < PUSHERS; i++)
		pthread_join(pushers[i].thread, NULL);
	assert_int_equal(total, PUSHERS * EACH);
	assert_int_equal(tenure_refusals_take(w.connection, got, 1, &lost), 0);
	assert_int_equal(lost, 0);
	world_close(&w);
}

/* The end does not wait for a daemon that stands still. */
static void test_disconnect(void **state)
{
	struct world w;

	(void)state;
	world_open_ring(&w);
	fake_ring_hold(w.ring);
	free_stale(&w, STALE, 100);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_before_the_socket),
		cmocka_unit_test(test_by_itself),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_disconnect),
	};

	return cmocka_run_group_tests_name("async", tests, NULL, NULL);
}
