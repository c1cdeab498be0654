/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many threads on one connection: each sees its own memory, its own refusals,
 * and the daemon's counts are right at the end. For ThreadSanitizer.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/world_test.h"

enum { THREADS = 4, ROUNDS = 60 };

struct worker {
	pthread_t thread;
	struct world *world;
	int number;
	const char *failed; /* what, or NULL */
};

static const char *one_round(struct worker *worker)
{
	struct tenure *t = worker->world->connection;
	struct tenure_memory mine, theirs;
	struct tenure_token token;
	struct tenure_refusal refusal;

	if (tenure_alloc_shared(t, 100, &mine) < 0)
		return "alloc_shared";
	memset(mine.pointer, worker->number, mine.size);
	if (tenure_share(t, &mine, TENURE_RIGHT_READ, &token) < 0)
		return "share";
	if (tenure_open_shared(t, &token, &theirs) < 0)
		return "open_shared";
	if (tenure_free(t, &mine) < 0)
		return "free";
	if (*(char *)theirs.pointer != worker->number)
		return "contents";
	if (tenure_map(t, worker->world->device, theirs.allocation, 0, NULL,
		       NULL) != -EINVAL)
		return "map";
	tenure_last_refusal(&refusal);
	if (refusal.status != -EINVAL)
		return "last_refusal";
	return tenure_free(t, &theirs) < 0 ? "free" : NULL;
}

/* The two allocations that all threads map and unmap. */
static const char *map_round(struct worker *worker)
{
	struct world *w = worker->world;
	unsigned int flags = worker->number % 2 ? TENURE_MAP_WRITE :
						  TENURE_MAP_READ;
	void *pointer;
	size_t size;

	for (int i = 0; i < 2; i++) {
		if (tenure_map(w->connection, w->device, w->allocations[i],
			       flags | TENURE_MAP_POPULATE, &pointer,
			       &size) < 0)
			return "map";
		if (*(volatile char *)pointer != 0)
			return "contents";
		if (tenure_unmap(w->connection, w->device, w->allocations[i]) <
		    0)
			return "unmap";
	}
	return NULL;
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	for (int i = 0; i < ROUNDS && !worker->failed; i++) {
		worker->failed = one_round(worker);
		if (!worker->failed)
			worker->failed = map_round(worker);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct worker workers[THREADS];
	struct world w;

	(void)state;
	world_open(&w);
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .world = &w, .number = i + 1 };
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
	assert_int_equal(w.fake->n_resources, 1);
	assert_int_equal(w.fake->n_allocations, 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fake_daemon_maps(w.fake, w.allocations[i]), 0);
	assert_int_equal(w.fake->n_devices, 2);
	world_check_fds(&w);
	world_close(&w);
}

struct racer {
	pthread_t thread;
	pthread_barrier_t *start;
	struct world *world;
	struct tenure_resource resource;
	struct tenure_allocation allocation;
	int status;
};

static void *race_to_add(void *argument)
{
	struct racer *r = argument;
	const size_t size = 1;

	pthread_barrier_wait(r->start);
	r->status = tenure_resource_add(r->world->connection, r->world->device,
					r->resource, &size, 1, &r->allocation);
	return NULL;
}

static void *race_to_destroy(void *argument)
{
	struct racer *r = argument;

	pthread_barrier_wait(r->start);
	r->status = tenure_allocation_destroy(
		r->world->connection, r->world->device, r->allocation, 0);
	return NULL;
}

/* Whichever comes first, what was added goes with its resource (A61). */
static void check_race(struct world *w, pthread_barrier_t *start)
{
	const size_t size = 1;
	struct racer add = { .start = start, .world = w }, destroy = add;
	size_t mapped_size;
	void *pointer;

	assert_int_equal(tenure_resource_create(
				 w->connection, w->device, 0, &size, 1, NULL, 0,
				 &add.resource, &destroy.allocation),
			 0);
	assert_int_equal(pthread_create(&add.thread, NULL, race_to_add, &add),
			 0);
	assert_int_equal(pthread_create(&destroy.thread, NULL, race_to_destroy,
					&destroy),
			 0);
	pthread_join(add.thread, NULL);
	pthread_join(destroy.thread, NULL);
	assert_int_equal(add.status, 0);
	assert_int_equal(destroy.status, 0);
	assert_int_equal(tenure_map(w->connection, w->device, add.allocation,
				    TENURE_MAP_READ, &pointer, &mapped_size),
			 0);
	assert_int_equal(tenure_resource_destroy(w->connection, w->device,
						 add.resource),
			 0);
	assert_false(world_is_mapped(pointer));
}

static void test_add_against_destroy(void **state)
{
	pthread_barrier_t start;
	struct world w;

	(void)state;
	world_open_ring(&w);
	pthread_barrier_init(&start, NULL, 2);
	for (int i = 0; i < 4 * ROUNDS; i++)
		check_race(&w, &start);
	pthread_barrier_destroy(&start);
	assert_int_equal(fake_daemon_count(w.fake, &w.fake->n_resources), 1);
	assert_int_equal(fake_daemon_count(w.fake, &w.fake->n_allocations), 2);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_add_against_destroy),
	};

	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
