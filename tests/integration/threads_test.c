/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads on one connection: every function of the library may be called by
 * any thread at any time. Under ThreadSanitizer this is the race test of the
 * library; in every build the daemon must agree at the end that nothing was
 * lost or done twice.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tenure/tenure.h"
#include "tests/support/daemon_process.h"
#include "tests/support/random.h"

enum { THREADS = 4, ROUNDS = 300 };

struct common {
	struct tenure *t;
	struct tenure_adapter adapter;
	struct tenure_device device;
	struct tenure_token token;
	struct tenure_allocation mapped; /* by all threads, all the time */
	atomic_uint failures;
};

struct worker {
	struct common *common;
	unsigned int number;
	pthread_t thread;
};

static bool private_memory(struct common *c, unsigned int number)
{
	struct tenure_memory memory;
	unsigned char *bytes;

	if (tenure_alloc(c->t, 3 * 4096, &memory))
		return false;
	bytes = memory.pointer;
	memset(bytes, (int)number, memory.size);
	if (bytes[0] != number || bytes[memory.size - 1] != number)
		return false;
	return tenure_free(c->t, &memory) == 0;
}

static bool open_and_close(struct common *c)
{
	struct tenure_allocation child[2];
	struct tenure_resource resource;
	void *pointer;
	size_t size;

	if (tenure_resource_open(c->t, c->device, &c->token, 0, 2, NULL, 0,
				 &resource, child))
		return false;
	if (tenure_map(c->t, c->device, child[1], TENURE_MAP_READ, &pointer,
		       &size) ||
	    *(volatile unsigned char *)pointer != 0x66)
		return false;
	return tenure_resource_destroy(c->t, c->device, resource) == 0;
}

static bool map_and_unmap(struct common *c)
{
	void *pointer;
	size_t size;

	if (tenure_map(c->t, c->device, c->mapped,
		       TENURE_MAP_READ | TENURE_MAP_WRITE, &pointer, &size))
		return false;
	atomic_fetch_add((atomic_uint *)pointer, 1);
	return tenure_unmap(c->t, c->device, c->mapped) == 0;
}

/* A refusal, and the reason must be this thread's own. */
static bool refusal_of_this_thread(struct common *c, unsigned int number)
{
	struct tenure_destroy wrong = { .device = c->device };
	struct tenure_allocation zero = { 0 };
	struct tenure_refusal refusal;

	if (number & 1)
		wrong.flags = 1u << 20;
	wrong.list = &zero;
	wrong.count = 1;
	if (tenure_destroy(c->t, &wrong) != -EINVAL)
		return false;
	tenure_last_refusal(&refusal);
	return refusal.reason == (number & 1 ? TENURE_REASON_FLAGS_RESERVED :
					       TENURE_REASON_ENTRY_ZERO);
}

static bool own_device(struct common *c)
{
	struct tenure_allocation list[2];
	const size_t sizes[2] = { 1, 5000 };
	struct tenure_resource resource;
	struct tenure_device device;

	if (tenure_device_create(c->t, c->adapter, &device) ||
	    tenure_resource_create(c->t, device, 0, sizes, 2, NULL, 0,
				   &resource, list))
		return false;
	return tenure_device_destroy(c->t, device) == 0;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	struct random random = { w->number };
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		struct tenure_stat stat;
		bool ok = false;

		switch (random_below(&random, 6)) {
		case 0:
			ok = private_memory(w->common, w->number);
			break;
		case 1:
			ok = open_and_close(w->common);
			break;
		case 2:
			ok = map_and_unmap(w->common);
			break;
		case 3:
			ok = refusal_of_this_thread(w->common, w->number);
			break;
		case 4:
			ok = own_device(w->common);
			break;
		case 5:
			ok = tenure_stat(w->common->t, &stat) == 0;
			break;
		}
		if (!ok)
			atomic_fetch_add(&w->common->failures, 1);
	}
	return NULL;
}

/* Returns what the connection itself is charged for. */
static uint64_t prepare(struct common *c, const char *socket)
{
	const size_t sizes[2] = { 4096, 4096 };
	struct tenure_allocation child[2];
	struct tenure_resource resource;
	struct tenure_stat fresh;
	void *pointer;
	size_t size;

	assert_int_equal(tenure_connect(socket, 0, &c->t), 0);
	assert_int_equal(tenure_stat(c->t, &fresh), 0);
	assert_int_equal(tenure_adapter_open(c->t, NULL, &c->adapter), 0);
	assert_int_equal(tenure_device_create(c->t, c->adapter, &c->device), 0);
	assert_int_equal(tenure_resource_create(c->t, c->device,
						TENURE_CREATE_SHARED, sizes, 2,
						NULL, 0, &resource, child),
			 0);
	assert_int_equal(tenure_map(c->t, c->device, child[1],
				    TENURE_MAP_READ | TENURE_MAP_WRITE,
				    &pointer, &size),
			 0);
	*(unsigned char *)pointer = 0x66;
	assert_int_equal(tenure_resource_share(c->t, c->device, resource,
					       TENURE_RIGHT_READ, &c->token),
			 0);
	assert_int_equal(tenure_allocation_create(c->t, c->device, sizes, 1,
						  &c->mapped),
			 0);
	return fresh.bytes;
}

static void threads_on_one_connection(void **state)
{
	struct daemon_process *daemon = daemon_start(NULL);
	struct worker workers[THREADS];
	struct common common = { 0 };
	struct tenure_stat stat;
	uint64_t ring_bytes;
	unsigned int i;

	(void)state;
	ring_bytes = prepare(&common, daemon_socket(daemon));
	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .common = &common, .number = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work,
						&workers[i]),
				 0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	assert_int_equal(common.failures, 0);
	do
		assert_int_equal(tenure_stat(common.t, &stat), 0);
	while (stat.retired);
	assert_int_equal(stat.resources, 1);
	assert_int_equal(stat.allocations, 3);
	assert_int_equal(stat.bytes - ring_bytes, 3 * 4096);
	tenure_disconnect(common.t);
	daemon_stop_clean(daemon);
}

/* One connection for each thread: nothing shared but the library itself. */
static void *connect_and_work(void *argument)
{
	const char *socket = argument;
	unsigned int round;
	long failures = 0;

	for (round = 0; round < 60; round++) {
		struct tenure_memory memory;
		struct tenure *t;

		if (tenure_connect(socket, 0, &t)) {
			failures++;
			continue;
		}
		failures += tenure_alloc(t, 4096, &memory) != 0;
		if (round & 1)
			failures += tenure_free(t, &memory) != 0;
		tenure_disconnect(t);
	}
	return (void *)failures;
}

static void connections_in_many_threads(void **state)
{
	struct daemon_process *daemon = daemon_start(NULL);
	char socket[256];
	pthread_t threads[THREADS];
	unsigned int i;

	(void)state;
	strcpy(socket, daemon_socket(daemon));
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						connect_and_work, socket),
				 0);
	for (i = 0; i < THREADS; i++) {
		void *failures;

		pthread_join(threads[i], &failures);
		assert_null(failures);
	}
	daemon_stop_clean(daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_on_one_connection),
		cmocka_unit_test(connections_in_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
