/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function with its first, second, ... allocation failing: it answers
 * -ENOMEM, the daemon holds what it held, and the next call works. Where the
 * daemon had already made something, it has been undone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/world_test.h"

/* The allocation that fails, counted from 1; 0: none. */
static unsigned int fail_at, n_allocations;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
	return ++n_allocations == fail_at ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return ++n_allocations == fail_at ? NULL : __real_calloc(count, size);
}

static int try_adapter_open(struct world *w)
{
	struct tenure_adapter adapter;

	return tenure_adapter_open(w->connection, NULL, &adapter);
}

static int try_device_create(struct world *w)
{
	struct tenure_device device;

	return tenure_device_create(w->connection, w->adapter, &device);
}

static int try_create(struct world *w)
{
	static const size_t sizes[100] = { 1 };
	struct tenure_resource resource;
	struct tenure_allocation allocations[100];

	return tenure_resource_create(w->connection, w->device, 0, sizes, 100,
				      NULL, 0, &resource, allocations);
}

static int try_open(struct world *w)
{
	struct tenure_resource resource;
	struct tenure_allocation allocations[2];
	char private_data[4];

	return tenure_resource_open(w->connection, w->device, &w->token, 0, 2,
				    private_data, 4, &resource, allocations);
}

static int try_map(struct world *w)
{
	void *pointer;
	size_t size;

	return tenure_map(w->connection, w->device, w->allocations[1],
			  TENURE_MAP_WRITE, &pointer, &size);
}

static int try_alloc(struct world *w)
{
	struct tenure_memory memory;

	return tenure_alloc(w->connection, 1, &memory);
}

static int try_alloc_shared(struct world *w)
{
	struct tenure_memory memory;

	return tenure_alloc_shared(w->connection, 1, &memory);
}

static int try_open_shared(struct world *w)
{
	struct tenure_memory mine, memory;
	struct tenure_token token;
	int status = tenure_alloc_shared(w->connection, 1, &mine);

	if (status == 0)
		status = tenure_share(w->connection, &mine, TENURE_RIGHT_READ,
				      &token);
	if (status == 0)
		status = tenure_open_shared(w->connection, &token, &memory);
	return status;
}

/* What the daemon thinks the client has. */
struct holdings {
	unsigned int adapters, devices, resources, allocations, maps;
};

static struct holdings holdings(const struct world *w)
{
	return (struct holdings){
		.adapters = w->fake->n_adapters,
		.devices = w->fake->n_devices,
		.resources = w->fake->n_resources,
		.allocations = w->fake->n_allocations,
		.maps = fake_daemon_maps(w->fake, w->allocations[1]),
	};
}

/* Returns whether the n-th allocation was one too many. */
static bool fails_cleanly(int (*try)(struct world *), unsigned int n)
{
	struct holdings before, after;
	struct world w;
	int status;

	world_open(&w);
	before = holdings(&w);
	n_allocations = 0;
	fail_at = n;
	status = try(&w);
	fail_at = 0;
	after = holdings(&w);
	world_check_fds(&w);
	if (status != 0) {
		assert_int_equal(status, -ENOMEM);
		assert_int_equal(world_reason(), TENURE_REASON_LIBRARY_MEMORY);
		if (try != try_open_shared && try != try_alloc &&
		    try != try_alloc_shared)
			assert_memory_equal(&before, &after, sizeof(before));
		assert_int_equal(after.maps, before.maps);
		assert_int_equal(try(&w), 0);
	}
	world_close(&w);
	return status != 0;
}

static void test_every_allocation(void **state)
{
	int (*const tries[])(struct world *) = {
		try_adapter_open, try_device_create, try_create,
		try_open,	  try_map,	     try_alloc,
		try_alloc_shared, try_open_shared,
	};
	unsigned int n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		for (n = 1; fails_cleanly(tries[i], n); n++)
			;
		assert_true(n > 1);
	}
}

/* What tenure_alloc keeps after a failure is its default device, no more. */
static void test_default_device_stays(void **state)
{
	struct holdings after;
	struct world w;

	(void)state;
	for (unsigned int n = 1; n < 5; n++) {
		world_open(&w);
		n_allocations = 0;
		fail_at = n;
		assert_int_equal(try_alloc_shared(&w), -ENOMEM);
		fail_at = 0;
		after = holdings(&w);
		assert_int_equal(after.allocations, 2);
		assert_int_equal(after.resources, 1);
		assert_int_equal(after.devices, n <= 2 ? 1 : 2);
		assert_int_equal(after.adapters, n <= 2 ? 1 : 2);
		world_close(&w);
	}
}

/* ---- Pools ---- */

enum { POOL_BUFFERS = 40, BUFFER_BYTES = 64 };

/* Takes buffers and gives them back, half of them used by a context. */
static int use_pool(struct world *w, struct tenure_pool *pool,
		    struct tenure_context context)
{
	struct tenure_buffer buffers[POOL_BUFFERS] = { 0 };
	struct tenure_pool_stat stat;
	int status = 0;

	for (unsigned int i = 0; i < POOL_BUFFERS && status == 0; i++) {
		status = tenure_pool_alloc(pool, BUFFER_BYTES, &buffers[i]);
		if (status == 0 && i % 2)
			status = tenure_context_use(w->connection, context,
						    &buffers[i].allocation, 1);
	}
	if (status < 0)
		assert_int_equal(world_reason(), TENURE_REASON_LIBRARY_MEMORY);
	/* What was to be had before the failure goes back all the same. */
	for (unsigned int i = 0; i < POOL_BUFFERS; i++)
		assert_int_equal(tenure_pool_free(pool, &buffers[i]), 0);
	assert_int_equal(tenure_pool_stat(pool, &stat), 0);
	assert_int_equal(stat.in_use, 0);
	assert_int_equal(stat.free + stat.in_flight, stat.created);
	assert_int_equal(stat.destroy_failures, 0);
	return status;
}

static int try_pool(struct world *w)
{
	const struct tenure_pool_options options = {
		.size = BUFFER_BYTES,
		.device = w->device,
	};
	struct tenure_context context;
	struct tenure_pool *pool = NULL;
	int status = tenure_context_create(w->connection, w->device, &context);

	if (status < 0)
		return status;
	status = tenure_pool_create(w->connection, &options, &pool);
	if (status == 0)
		status = use_pool(w, pool, context);
	if (status == 0) {
		assert_int_equal(
			tenure_context_submit(w->connection, context, 1), 0);
		assert_int_equal(
			tenure_context_progress(w->connection, context, 1), 0);
		status = use_pool(w, pool, context);
	}
	assert_int_equal(tenure_pool_destroy(pool), 0);
	assert_int_equal(tenure_context_destroy(w->connection, context, 0), 0);
	return status;
}

/* Whether there was an n-th allocation. Not every failure is one of the pool:
 * a table that could not grow goes on as it is. */
static bool pool_survives(unsigned int n)
{
	struct holdings before, after;
	struct world w;
	int status;
	bool reached;

	world_open(&w);
	before = holdings(&w);
	n_allocations = 0;
	fail_at = n;
	status = try_pool(&w);
	reached = n_allocations >= n;
	fail_at = 0;
	after = holdings(&w);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(w.fake->n_pools, 0);
	world_check_fds(&w);
	if (status != 0) {
		assert_true(reached);
		assert_int_equal(status, -ENOMEM);
		assert_int_equal(try_pool(&w), 0);
	}
	world_close(&w);
	return reached;
}

static void test_pool(void **state)
{
	unsigned int n = 1;

	(void)state;
	while (pool_survives(n))
		n++;
	/* At least a buffer, its item and its place in the ledger each. */
	assert_true(n > 3 * POOL_BUFFERS);
}

static void test_connection_new(void **state)
{
	struct fake_daemon *fake = fake_daemon_new();
	struct tenure *connection = NULL;

	(void)state;
	n_allocations = 0;
	fail_at = 1;
	assert_int_equal(connection_new(&fake->transport, &connection),
			 -ENOMEM);
	fail_at = 0;
	assert_null(connection);
	assert_int_equal(fake->n_requests, 0);
	fake_daemon_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation),
		cmocka_unit_test(test_default_device_stays),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_connection_new),
	};

	return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
