/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's side of a ring, against a thread that serves it with the
 * daemon's own end: many threads, late answers in any order, a daemon that
 * stands still, goes away or writes what it must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/world_test.h"

#define COUNT(what) fake_daemon_count(w.fake, &w.fake->what)

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pause_ms(unsigned int ms)
{
	usleep(1000 * ms);
}

/* A call of another thread, and what came of it. */
struct asked {
	pthread_t thread;
	struct world *world;
	struct tenure_device device;
	int status;
	enum tenure_reason reason;
};

static void *destroy_device(void *argument)
{
	struct asked *asked = argument;

	asked->status =
		tenure_device_destroy(asked->world->connection, asked->device);
	asked->reason = world_reason();
	return NULL;
}

static void ask(struct asked *asked, struct world *world)
{
	asked->world = world;
	assert_int_equal(
		pthread_create(&asked->thread, NULL, destroy_device, asked), 0);
}

static void ask_to_destroy_devices(struct asked *asked, unsigned int n,
				   struct world *w)
{
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(tenure_device_create(w->connection, w->adapter,
						      &asked[i].device),
				 0);
	fake_ring_delay(w->ring, WIRE_OP_DEVICE_DESTROY);
	for (unsigned int i = 0; i < n; i++)
		ask(&asked[i], w);
	while (fake_ring_kept(w->ring) < n)
		pause_ms(1);
}

/* What is asked goes by the ring, but for what brings a descriptor. */
static void test_everything(void **state)
{
	struct tenure_memory mine, theirs;
	struct tenure_resource resource;
	struct tenure_allocation allocations[2];
	struct tenure_resource_info info;
	struct tenure_stat stat;
	struct tenure_token token;
	size_t sizes[2];
	char private[4];
	struct world w;

	(void)state;
	world_open_ring(&w);
	assert_non_null(w.connection->ringside);
	assert_int_equal(tenure_alloc_shared(w.connection, 100, &mine), 0);
	strcpy(mine.pointer, "here");
	assert_int_equal(tenure_share(w.connection, &mine, TENURE_RIGHT_READ,
				      &token),
			 0);
	assert_int_equal(tenure_open_shared(w.connection, &token, &theirs), 0);
	assert_string_equal(theirs.pointer, "here");
	assert_int_equal(tenure_resource_query(w.connection, &w.token, &info,
					       sizes, 2),
			 0);
	assert_int_equal(info.count, 2);
	assert_int_equal(sizes[1], 2 * WORLD_PAGE);
	assert_int_equal(tenure_resource_open(w.connection, w.device, &w.token,
					      0, 2, private, 4, &resource,
					      allocations),
			 0);
	assert_string_equal(private, "abc");
	assert_int_equal(tenure_free(w.connection, &mine), 0);
	assert_int_equal(
		tenure_resource_destroy(w.connection, w.device, resource), 0);
	assert_int_equal(tenure_stat(w.connection, &stat), 0);
	assert_int_equal(stat.resources, 2); /* the world's and theirs */
	assert_int_equal(tenure_device_destroy(w.connection, w.device), 0);
	assert_int_equal(tenure_adapter_close(w.connection, w.adapter), 0);
	world_close(&w);
}

/* The largest arguments and the largest data there can be. */
static void test_largest(void **state)
{
	static size_t sizes[LIST_ENTRIES_MAX];
	static struct tenure_allocation list[LIST_ENTRIES_MAX + 1];
	struct tenure_destroy destroy = { .list = list };
	struct world w;

	(void)state;
	for (int i = 0; i < LIST_ENTRIES_MAX; i++)
		sizes[i] = 1;
	world_open_ring(&w);
	assert_int_equal(tenure_allocation_create(w.connection, w.device, sizes,
						  LIST_ENTRIES_MAX, list),
			 0);
	destroy.device = w.device;
	destroy.count = LIST_ENTRIES_MAX;
	assert_int_equal(COUNT(n_allocations), LIST_ENTRIES_MAX + 2);
	assert_int_equal(tenure_destroy(w.connection, &destroy), 0);
	assert_int_equal(COUNT(n_allocations), 2);
	/* A list that cannot be read is found before it is sent. */
	destroy.list = (const struct tenure_allocation *)8;
	assert_int_equal(tenure_destroy(w.connection, &destroy), -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_LIST_TRUNCATED);
	destroy.list = mmap(NULL, 2 * WORLD_PAGE, PROT_READ,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap((char *)(uintptr_t)destroy.list + WORLD_PAGE, WORLD_PAGE);
	assert_int_equal(tenure_destroy(w.connection, &destroy), -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_LIST_TRUNCATED);
	munmap((void *)(uintptr_t)destroy.list, WORLD_PAGE);
	assert_int_equal(COUNT(n_allocations), 2);
	world_close(&w);
}

/* While several threads wait for what takes long, another one works. */
static void test_others_go_on(void **state)
{
	enum { WAITING = 20 };
	struct asked asked[WAITING];
	struct tenure_memory memory;
	struct world w;

	(void)state;
	world_open_ring(&w);
	ask_to_destroy_devices(asked, WAITING, &w);
	for (int i = 0; i < 50; i++) { /* G2 */
		assert_int_equal(tenure_alloc(w.connection, 1, &memory), 0);
		assert_int_equal(tenure_free(w.connection, &memory), 0);
	}
	fake_ring_delay(w.ring, 0);
	fake_ring_late(w.ring); /* the newest first */
	for (int i = 0; i < WAITING; i++) {
		pthread_join(asked[i].thread, NULL);
		assert_int_equal(asked[i].status, 0); /* G1 */
	}
	world_close(&w);
}

/* More calls than may be in flight: the others wait for their place. */
static void test_more_than_fit(void **state)
{
	enum { MORE = FLIGHT_CALLS_MAX + 10 };
	struct asked asked[MORE];
	struct world w;

	(void)state;
	world_open_ring(&w);
	for (int i = 0; i < MORE; i++)
		assert_int_equal(tenure_device_create(w.connection, w.adapter,
						      &asked[i].device),
				 0);
	fake_ring_delay(w.ring, WIRE_OP_DEVICE_DESTROY);
	for (int i = 0; i < MORE; i++)
		ask(&asked[i], &w);
	while (fake_ring_kept(w.ring) < FLIGHT_CALLS_MAX)
		pause_ms(1);
	pause_ms(20);
	assert_int_equal(fake_ring_kept(w.ring), FLIGHT_CALLS_MAX);
	fake_ring_delay(w.ring, 0);
	fake_ring_late(w.ring);
	for (int i = 0; i < MORE; i++) {
		pthread_join(asked[i].thread, NULL);
		assert_int_equal(asked[i].status, 0);
	}
	assert_int_equal(COUNT(n_devices), 1);
	world_close(&w);
}

struct worker {
	pthread_t thread;
	struct world *world;
	int number;
	const char *failed;
};

static const char *one_round(struct worker *worker)
{
	struct tenure *t = worker->world->connection;
	struct tenure_memory mine;
	struct tenure_refusal refusal;
	struct tenure_device device;
	void *pointer;
	size_t size;

	if (tenure_alloc(t, 100, &mine) < 0)
		return "alloc";
	if (*(char *)mine.pointer != 0)
		return "contents";
	*(int *)mine.pointer = worker->number;
	if (tenure_device_create(t, worker->world->adapter, &device) < 0 ||
	    tenure_device_destroy(t, device) < 0)
		return "device";
	if (tenure_map(t, worker->world->device, worker->world->allocations[0],
		       TENURE_MAP_READ, &pointer, &size) < 0 ||
	    *(volatile char *)pointer != 0 ||
	    tenure_unmap(t, worker->world->device,
			 worker->world->allocations[0]) < 0)
		return "map";
	tenure_last_refusal(&refusal);
	if (refusal.reason != TENURE_REASON_NONE)
		return "a refusal of another thread";
	return tenure_free(t, &mine) < 0 ? "free" : NULL;
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	for (int i = 0; i < 200 && !worker->failed; i++)
		worker->failed = one_round(worker);
	return NULL;
}

static void test_threads(void **state)
{
	struct worker workers[4];
	struct world w;

	(void)state;
	world_open_ring(&w);
	for (int i = 0; i < 4; i++) {
		workers[i] = (struct worker){ .world = &w, .number = i + 1 };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work,
						&workers[i]),
				 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(workers[i].thread, NULL);
	for (int i = 0; i < 4; i++) {
		if (workers[i].failed)
			fail_msg("%s", workers[i].failed);
	}
	assert_int_equal(tenure_flush(w.connection), 0);
	assert_int_equal(COUNT(n_allocations), 2);
	assert_int_equal(COUNT(n_devices), 2);
	assert_int_equal(fake_daemon_maps(w.fake, w.allocations[0]), 0);
	world_close(&w);
}

static int end_of_file(void *context, struct exchange *x)
{
	(void)context;
	(void)x;
	return -ECONNRESET;
}

static int farewell(void *context, struct exchange *x)
{
	(void)context;
	x->reply = (struct wire_reply){
		.status = -ESHUTDOWN,
		.reason = TENURE_REASON_DAEMON_STOPPING,
	};
	x->data_bytes = 0;
	x->fd = -1;
	return 0;
}

/* The daemon goes while threads sleep on its word. */
static void check_death(int (*end)(void *, struct exchange *), int status,
			enum tenure_reason reason)
{
	enum { WAITING = 5 };
	struct tenure_allocation one = { 1 };
	struct asked asked[WAITING];
	struct world w;
	uint64_t began;

	world_open_ring(&w);
	ask_to_destroy_devices(asked, WAITING, &w);
	pause_ms(50);
	pthread_mutex_lock(&w.fake->lock);
	w.fake->listen = end;
	pthread_mutex_unlock(&w.fake->lock);
	began = now_ms();
	for (int i = 0; i < WAITING; i++) {
		pthread_join(asked[i].thread, NULL);
		assert_int_equal(asked[i].status, status); /* G3 */
		assert_int_equal(asked[i].reason, reason);
	}
	/* Ten times as long as said: other work runs here too. */
	assert_true(now_ms() - began < 10 * RING_LIVENESS_MS);
	assert_int_equal(tenure_flush(w.connection), status);
	assert_int_equal(tenure_allocations_free(w.connection, &one, 1),
			 status);
	assert_int_equal(tenure_refusals_take(w.connection, NULL, 0, NULL), 0);
	world_close(&w);
}

static void test_death(void **state)
{
	(void)state;
	check_death(end_of_file, -ECONNRESET, TENURE_REASON_CONNECTION_LOST);
	check_death(farewell, -ESHUTDOWN, TENURE_REASON_DAEMON_STOPPING);
}

/* Each of these ends the connection, also for those who wait. */
static void check_nonsense(const struct wire_reply *reply)
{
	struct asked asked;
	struct world w;

	world_open_ring(&w);
	ask_to_destroy_devices(&asked, 1, &w);
	fake_ring_send(w.ring, reply);
	pthread_join(asked.thread, NULL);
	assert_int_equal(asked.status, -EPROTO); /* G5 */
	assert_int_equal(asked.reason, TENURE_REASON_DAEMON_PROTOCOL);
	assert_int_equal(tenure_flush(w.connection), -EPROTO);
	world_close(&w);
}

static void test_nonsense(void **state)
{
	const struct wire_reply nonsense[] = {
		{ .opcode = WIRE_OP_PING },
		{ .opcode = WIRE_OP_DEVICE_DESTROY, .id = 12345 },
		{ .opcode = WIRE_OP_FREE, .status = 0 },
		{ .opcode = WIRE_OP_FREE, .status = -EINVAL, .id = 1 },
		{ .opcode = WIRE_OP_FREE, .status = -EINVAL, .fds = 1 },
		{ .opcode = WIRE_OP_FREE, .status = -EINVAL, .reserved = 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++)
		check_nonsense(&nonsense[i]);
}

/* A daemon that writes all over its own ring. */
static void test_scribble(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct tenure_device device;
		struct world w;
		uint64_t *words;

		world_open_ring(&w);
		fake_ring_hold(w.ring);
		words = (void *)fake_ring_memory(w.ring);
		for (size_t i = 0; i < sizeof(struct ring) / 8; i++) {
			random = random * UINT64_C(6364136223846793005) + 1;
			__atomic_store_n(&words[i], random, __ATOMIC_RELAXED);
		}
		assert_int_equal(tenure_device_create(w.connection, w.adapter,
						      &device),
				 -EPROTO); /* G5 */
		world_close(&w);
	}
}

/* A child has no ring and no connection; its parent's goes on. */
static void test_fork(void **state)
{
	struct tenure_memory memory;
	struct tenure_allocation one;
	struct world w;
	int exit_status;
	pid_t pid;

	(void)state;
	world_open_ring(&w);
	assert_int_equal(tenure_alloc(w.connection, 1, &memory), 0);
	one = memory.allocation;
	pid = fork();
	if (pid == 0) {
		if (tenure_free(w.connection, &memory) != -EOWNERDEAD ||
		    tenure_flush(w.connection) != -EOWNERDEAD ||
		    tenure_allocations_free(w.connection, &one, 1) !=
			    -EOWNERDEAD ||
		    tenure_refusals_take(w.connection, NULL, 0, NULL) !=
			    -EOWNERDEAD)
			_exit(1);
		tenure_disconnect(w.connection);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &exit_status, 0), pid);
	assert_int_equal(exit_status, 0);
	assert_int_equal(tenure_free(w.connection, &memory), 0);
	assert_int_equal(tenure_flush(w.connection), 0);
	assert_int_equal(fake_ring_frees(w.ring), 1);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_others_go_on),
		cmocka_unit_test(test_more_than_fit),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_death),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_scribble),
		cmocka_unit_test(test_fork),
	};

	return cmocka_run_group_tests_name("ringside", tests, NULL, NULL);
}
