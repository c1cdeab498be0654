/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library with the real daemon, which it spawns itself: memory is shared
 * between processes, outlives its maker, and the daemon leaves no trace.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base.h"
#include "tenure/pool.h"
#include "tenure/tenure.h"

static char directory[32];

static struct tenure *spawn(void)
{
	struct tenure *t;
	char why[200];

	if (tenure_connect(NULL, TENURE_CONNECT_SPAWN, &t) < 0)
		fail_msg("%s", tenure_explain(why, sizeof(why)));
	return t;
}

/* The daemon ends by itself and removes its directory. */
static void wait_until_gone(const char *socket)
{
	char path[108];
	struct stat st;

	snprintf(path, sizeof(path), "%s", socket);
	*strrchr(path, '/') = '\0';
	for (int i = 0; i < 500; i++) {
		if (stat(path, &st) < 0)
			return;
		usleep(10 * 1000);
	}
	fail_msg("%s is still there", path);
}

static void test_spawned_daemon_goes(void **state)
{
	struct tenure *t = spawn(), *second;
	struct tenure_memory memory;
	struct tenure_stat fresh, stat;
	char path[108];

	(void)state;
	assert_int_equal(tenure_stat(t, &fresh), 0);
	strcpy(path, tenure_socket_path(t));
	assert_memory_equal(path, directory, strlen(directory));
	assert_int_equal(tenure_alloc(t, 5000, &memory), 0);
	assert_int_equal(memory.size, 8192);
	memset(memory.pointer, 1, memory.size);
	assert_int_equal(tenure_connect(path, 0, &second), 0);
	tenure_disconnect(second);
	assert_int_equal(tenure_stat(t, &stat), 0);
	assert_int_equal(stat.bytes - fresh.bytes, 8192);
	assert_int_equal(stat.allocations, 1);
	assert_int_equal(tenure_free(t, &memory), 0);
	tenure_disconnect(t);
	wait_until_gone(path);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* In another process: opens, checks, leaves its mark, and dies at once. */
static int stranger(const char *path, const struct tenure_token *token)
{
	struct tenure_memory memory;
	struct tenure *t;

	if (tenure_connect(path, 0, &t) < 0 ||
	    tenure_open_shared(t, token, &memory) < 0 ||
	    strcmp(memory.pointer, "from the parent") != 0)
		return 1;
	strcpy(memory.pointer, "from the child");
	return 0;
}

static void test_between_processes(void **state)
{
	struct tenure *t = spawn();
	struct tenure_memory mine, again;
	struct tenure_token token;
	char path[108];
	int exit_status;
	pid_t pid;

	(void)state;
	strcpy(path, tenure_socket_path(t));
	assert_int_equal(tenure_alloc_shared(t, 100, &mine), 0);
	strcpy(mine.pointer, "from the parent");
	assert_int_equal(tenure_share(t, &mine,
				      TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
				      &token),
			 0);
	pid = fork();
	if (pid == 0)
		_exit(stranger(path, &token));
	assert_int_equal(waitpid(pid, &exit_status, 0), pid);
	assert_int_equal(exit_status, 0);
	assert_string_equal(mine.pointer, "from the child");
	assert_int_equal(tenure_free(t, &mine), 0);
	assert_int_equal(tenure_open_shared(t, &token, &again), 0);
	assert_string_equal(again.pointer, "from the child");
	assert_int_equal(tenure_token_revoke(t, &token), 0);
	assert_int_equal(tenure_free(t, &again), 0);
	assert_int_equal(tenure_open_shared(t, &token, &again), -EINVAL);
	tenure_disconnect(t);
	wait_until_gone(path);
}

/* Reading is what a token for reading gives, in this process too. */
static void test_read_only(void **state)
{
	struct tenure *t = spawn();
	struct tenure_memory mine, theirs;
	struct tenure_token token;
	struct tenure_device device;
	struct tenure_adapter adapter;
	struct tenure_resource resource;
	struct tenure_allocation allocation;
	char path[108];
	void *pointer;
	size_t size;

	(void)state;
	strcpy(path, tenure_socket_path(t));
	assert_int_equal(tenure_alloc_shared(t, 100, &mine), 0);
	assert_int_equal(tenure_share(t, &mine, TENURE_RIGHT_READ, &token), 0);
	assert_int_equal(tenure_open_shared(t, &token, &theirs), 0);
	strcpy(mine.pointer, "x");
	assert_string_equal(theirs.pointer, "x");
	assert_ptr_not_equal(theirs.pointer, mine.pointer);
	assert_int_equal(tenure_adapter_open(t, "system", &adapter), 0);
	assert_int_equal(tenure_device_create(t, adapter, &device), 0);
	assert_int_equal(tenure_resource_open(t, device, &token, 0, 1, NULL, 0,
					      &resource, &allocation),
			 0);
	assert_int_equal(tenure_map(t, device, allocation, TENURE_MAP_READ,
				    &pointer, &size),
			 0);
	assert_int_equal(tenure_map(t, device, allocation, TENURE_MAP_WRITE,
				    &pointer, &size),
			 -EACCES);
	assert_int_equal(tenure_device_destroy(t, device), 0);
	assert_int_equal(tenure_adapter_close(t, adapter), 0);
	assert_string_equal(theirs.pointer, "x");
	tenure_disconnect(t);
	wait_until_gone(path);
}

struct worker {
	pthread_t thread;
	struct tenure *tenure;
	int number;
	bool failed;
};

static void *work(void *argument)
{
	struct worker *w = argument;
	struct tenure_memory memory;

	for (int i = 0; i < 100 && !w->failed; i++) {
		w->failed = tenure_alloc(w->tenure, 4096, &memory) < 0;
		if (w->failed)
			break;
		w->failed = *(int *)memory.pointer != 0;
		*(int *)memory.pointer = w->number;
		w->failed |= tenure_free(w->tenure, &memory) < 0;
	}
	return NULL;
}

/* Several threads on one connection. */
static void test_threads(void **state)
{
	struct worker workers[4];
	struct tenure *t = spawn();
	struct tenure_stat stat;
	char path[108];

	(void)state;
	strcpy(path, tenure_socket_path(t));
	for (int i = 0; i < 4; i++) {
		workers[i] = (struct worker){ .tenure = t, .number = i + 1 };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work,
						&workers[i]),
				 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_false(workers[i].failed);
	}
	assert_int_equal(tenure_stat(t, &stat), 0);
	assert_int_equal(stat.allocations, 0);
	tenure_disconnect(t);
	wait_until_gone(path);
}

/* ---- A pool whose buffers are used by work in flight ---- */

enum { FRAMES = 400, FRAME_BYTES = 64 * 1024 };

/* Frames on their way to a thread that works more slowly than they come. */
static struct pipeline {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct tenure *tenure;
	struct tenure_context context;
	const unsigned char *frames[FRAMES];
	int sent, damaged;
} line = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .moved = PTHREAD_COND_INITIALIZER };

static const unsigned char *next_frame(int n)
{
	pthread_mutex_lock(&line.lock);
	while (line.sent == n)
		pthread_cond_wait(&line.moved, &line.lock);
	pthread_mutex_unlock(&line.lock);
	return line.frames[n];
}

static void *consume(void *nothing)
{
	for (int n = 0; n < FRAMES; n++) {
		const unsigned char *frame = next_frame(n);

		usleep(100);
		for (size_t i = 0; i < FRAME_BYTES; i += 512)
			line.damaged += frame[i] != (unsigned char)n;
		if (tenure_context_progress(line.tenure, line.context,
					    (uint64_t)n + 1) < 0)
			line.damaged++;
	}
	return nothing;
}

/* Captures a frame, says what uses it, and lets go of it at once. */
static void produce(struct tenure_pool *pool, int n)
{
	struct tenure_buffer frame;

	/* All may be in flight. */
	while (tenure_pool_alloc(pool, FRAME_BYTES, &frame) == -EDQUOT)
		usleep(50);
	memset(frame.pointer, n, FRAME_BYTES);
	assert_int_equal(tenure_context_use(line.tenure, line.context,
					    &frame.allocation, 1),
			 0);
	assert_int_equal(tenure_context_submit(line.tenure, line.context,
					       (uint64_t)n + 1),
			 0);
	pthread_mutex_lock(&line.lock);
	line.frames[line.sent++] = frame.pointer;
	pthread_cond_signal(&line.moved);
	pthread_mutex_unlock(&line.lock);
	assert_int_equal(tenure_pool_free(pool, &frame), 0);
}

static void test_pool_waits_for_contexts(void **state)
{
	struct tenure *t = spawn();
	struct tenure_pool_options options = { .size = FRAME_BYTES,
					       .count = 6 };
	struct tenure_adapter adapter;
	struct tenure_pool_stat stat;
	struct tenure_pool *pool;
	pthread_t consumer;
	char path[108];

	(void)state;
	strcpy(path, tenure_socket_path(t));
	line.tenure = t;
	assert_int_equal(tenure_adapter_open(t, NULL, &adapter), 0);
	assert_int_equal(tenure_device_create(t, adapter, &options.device), 0);
	assert_int_equal(
		tenure_context_create(t, options.device, &line.context), 0);
	assert_int_equal(tenure_pool_create(t, &options, &pool), 0);
	assert_int_equal(pthread_create(&consumer, NULL, consume, NULL), 0);
	for (int n = 0; n < FRAMES; n++)
		produce(pool, n);
	pthread_join(consumer, NULL);
	assert_int_equal(line.damaged, 0);
	assert_int_equal(tenure_pool_trim(pool), 0);
	assert_int_equal(tenure_pool_stat(pool, &stat), 0);
	assert_int_equal(stat.in_flight, 0);
	assert_int_equal(stat.free, stat.created);
	assert_int_equal(stat.hits + stat.created, FRAMES);
	assert_true(stat.created > 1 && stat.created <= 6);
	assert_int_equal(tenure_pool_destroy(pool), 0);
	tenure_disconnect(t);
	wait_until_gone(path);
}

/* How many pages of a mapping there are. */
static size_t count_resident(void *start, size_t size_bytes)
{
	unsigned char resident[FRAME_BYTES / 4096];
	size_t n = 0;

	assert_int_equal(mincore(start, size_bytes, resident), 0);
	for (size_t i = 0; i < size_bytes / 4096; i++)
		n += resident[i] & 1;
	return n;
}

/* A process that calls nothing gives back what it does not use. */
static void test_idle_pool(void **state)
{
	const struct tenure_pool_options options = {
		.size = FRAME_BYTES,
		.idle_timeout_ns = UINT64_C(50000000),
	};
	struct tenure *t = spawn();
	struct tenure_buffer buffers[4];
	struct tenure_pool_stat stat;
	struct tenure_pool *pool;
	struct tenure_stat held;
	char path[108];
	void *idle;

	(void)state;
	strcpy(path, tenure_socket_path(t));
	assert_int_equal(tenure_pool_create(t, &options, &pool), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(
			tenure_pool_alloc(pool, FRAME_BYTES, &buffers[i]), 0);
		memset(buffers[i].pointer, i, FRAME_BYTES);
	}
	idle = buffers[2].pointer;
	for (int i = 1; i < 4; i++)
		assert_int_equal(tenure_pool_free(pool, &buffers[i]), 0);
	assert_int_equal(tenure_stat(t, &held), 0);
	assert_int_equal(held.allocations, 4);
	/* Not a call of the pool, so its own scan cannot be what does it. */
	for (int i = 0; i < 500 && held.allocations > 1; i++) {
		usleep(10 * 1000);
		assert_int_equal(tenure_stat(t, &held), 0);
	}
	assert_int_equal(held.allocations, 1);
	/* Not only the handles have gone, and soon: this process still maps the
	 * pages, and there are none. */
	for (int i = 0; i < 500 && count_resident(idle, FRAME_BYTES) > 0; i++)
		usleep(10 * 1000);
	assert_int_equal(count_resident(idle, FRAME_BYTES), 0);
	/* What is in use stays, and the pool goes on. */
	assert_int_equal(*(char *)buffers[0].pointer, 0);
	assert_int_equal(tenure_pool_alloc(pool, FRAME_BYTES, &buffers[1]), 0);
	memset(buffers[1].pointer, 1, FRAME_BYTES);
	assert_int_equal(*(char *)buffers[0].pointer, 0);
	assert_int_equal(tenure_pool_trim(pool), 0);
	assert_int_equal(tenure_pool_stat(pool, &stat), 0);
	assert_int_equal(stat.destroyed_idle, 3);
	assert_int_equal(stat.destroyed_unfit + stat.destroy_failures, 0);
	assert_int_equal(stat.bytes, 2 * FRAME_BYTES);
	assert_int_equal(tenure_pool_destroy(pool), 0);
	tenure_disconnect(t);
	wait_until_gone(path);
}

/* That would be found instead of spawning one. */
static bool machine_has_daemon(void)
{
	struct tenure *t = NULL;
	int status = tenure_connect("/run/tenured/tenured.sock", 0, &t);

	tenure_disconnect(t);
	return status != -ENOENT && status != -ECONNREFUSED;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spawned_daemon_goes),
		cmocka_unit_test(test_between_processes),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_pool_waits_for_contexts),
		cmocka_unit_test(test_idle_pool),
	};
	char daemon[4096];
	int failed;

	if (machine_has_daemon())
		return 77;
	assert(getenv("TENURE_BIN_DIR"));
	snprintf(daemon, sizeof(daemon), "%s/tenured",
		 getenv("TENURE_BIN_DIR"));
	strcpy(directory, "/tmp/treal-XXXXXX");
	assert(mkdtemp(directory));
	setenv("TENURE_DAEMON", daemon, 1);
	unsetenv("TENURE_SOCKET");
	setenv("XDG_RUNTIME_DIR", directory, 1);
	failed = cmocka_run_group_tests_name("real", tests, NULL, NULL);
	rmdir(directory);
	return failed;
}
