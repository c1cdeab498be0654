/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon is killed while clients sleep on what only it would have changed:
 * a word of their ring, or the socket. Whatever a thread waits for, it wakes
 * with -ECONNRESET, within the bound of client/ringside.c (G3) and the time
 * that a busy machine takes to run it; later calls say the same at once; and
 * the memory that is mapped stays as it is until the connection is ended.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/ringside.h"
#include "core/base.h"
#include "core/ring/ring_sizes.h"
#include "tenure/tenure.h"
#include "tests/support/daemon_process.h"

enum {
	SLEEPERS = 4,
	/* Twice the bound, and what the scheduler of a busy machine may add. */
	AWAKE_MS = 2 * RING_LIVENESS_MS + 2000,
	ASLEEP_MS = 10000,
	PAGE = 4096,
};

struct stage {
	struct daemon_process *daemon;
	struct tenure *t;
	struct tenure_adapter adapter;
	struct tenure_device device;
	struct tenure_context context;
	struct tenure_fence fence;
	struct tenure_allocation used[SLEEPERS]; /* by work in flight */
	unsigned char *mapped; /* the page of another one */
};

/* A thread that waits for the daemon in a way of its own. */
struct sleeper {
	const struct stage *stage;
	int (*call)(const struct stage *stage, unsigned int number);
	unsigned int number;
	pthread_t thread;
	pid_t tid; /* written by the thread before it calls */
	int status;
	enum tenure_reason reason;
	uint64_t woke_ms;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void stage_open(struct stage *stage)
{
	const size_t sizes[SLEEPERS + 1] = { PAGE, PAGE, PAGE, PAGE, PAGE };
	struct tenure_allocation list[SLEEPERS + 1];
	void *pointer;
	size_t size;

	stage->daemon = daemon_start(NULL);
	assert_int_equal(
		tenure_connect(daemon_socket(stage->daemon), 0, &stage->t), 0);
	assert_int_equal(tenure_adapter_open(stage->t, NULL, &stage->adapter),
			 0);
	assert_int_equal(tenure_device_create(stage->t, stage->adapter,
					      &stage->device),
			 0);
	assert_int_equal(tenure_context_create(stage->t, stage->device,
					       &stage->context),
			 0);
	assert_int_equal(tenure_fence_create(stage->t, stage->device, 0,
					     &stage->fence),
			 0);
	assert_int_equal(tenure_allocation_create(stage->t, stage->device,
						  sizes, SLEEPERS + 1, list),
			 0);
	memcpy(stage->used, list, sizeof(stage->used));
	assert_int_equal(tenure_context_use(stage->t, stage->context,
					    stage->used, SLEEPERS),
			 0);
	assert_int_equal(tenure_context_submit(stage->t, stage->context, 1), 0);
	assert_int_equal(tenure_map(stage->t, stage->device, list[SLEEPERS],
				    TENURE_MAP_READ | TENURE_MAP_WRITE,
				    &pointer, &size),
			 0);
	stage->mapped = pointer;
	memset(stage->mapped, 0x5a, PAGE);
}

/* The system call in which a thread sleeps, as the kernel shows it: its number
 * and its second argument; false when it runs. */
static bool is_in(pid_t tid, long *ret_number, unsigned long *ret_second)
{
	char path[64], line[256];
	bool asleep;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	asleep = fgets(line, sizeof(line), file) &&
		 sscanf(line, "%ld %*x %lx", ret_number, ret_second) == 2;
	fclose(file);
	return asleep;
}

/* Nobody else in this process uses a futex that is shared with others: it is
 * the ring's. */
static bool sleeps_on_ring(const struct sleeper *s)
{
	unsigned long second;
	long number;

	return is_in(__atomic_load_n(&s->tid, __ATOMIC_ACQUIRE), &number,
		     &second) &&
	       number == SYS_futex && second == 0;
}

static bool sleeps(const struct sleeper *s)
{
	unsigned long second;
	long number;

	return is_in(__atomic_load_n(&s->tid, __ATOMIC_ACQUIRE), &number,
		     &second);
}

/* Until one of them, or all, sleep in that way. */
static void await(const struct sleeper *sleepers, unsigned int n,
		  unsigned int wanted, bool (*in_way)(const struct sleeper *s))
{
	uint64_t end = now_ms() + ASLEEP_MS;

	for (;;) {
		unsigned int found = 0;

		for (unsigned int i = 0; i < n; i++)
			found += in_way(&sleepers[i]);
		if (found >= wanted)
			return;
		if (now_ms() > end)
			fail_msg("only %u of %u threads sleep", found, wanted);
		nap();
	}
}

static void *sleeper_run(void *context)
{
	struct sleeper *s = context;
	struct tenure_refusal refusal;

	__atomic_store_n(&s->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	s->status = s->call(s->stage, s->number);
	s->woke_ms = now_ms();
	tenure_last_refusal(&refusal);
	s->reason = refusal.reason;
	return NULL;
}

static void sleepers_start(struct sleeper *sleepers, unsigned int n,
			   const struct stage *stage,
			   int (*call)(const struct stage *, unsigned int))
{
	for (unsigned int i = 0; i < n; i++) {
		sleepers[i] = (struct sleeper){
			.stage = stage,
			.call = call,
			.number = i,
			.status = 1,
		};
		assert_int_equal(pthread_create(&sleepers[i].thread, NULL,
						sleeper_run, &sleepers[i]),
				 0);
	}
}

/* The daemon dies now; every one of them must learn of it in time. */
static void kill_under(struct stage *stage, struct sleeper *sleepers,
		       unsigned int n)
{
	uint64_t died_ms, worst = 0;

	daemon_kill(stage->daemon);
	died_ms = now_ms();
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(sleepers[i].thread, NULL);
		assert_int_equal(sleepers[i].status, -ECONNRESET);
		assert_int_equal(sleepers[i].reason,
				 TENURE_REASON_CONNECTION_LOST);
		if (sleepers[i].woke_ms > died_ms + worst)
			worst = sleepers[i].woke_ms - died_ms;
	}
	print_message("the last of %u woke %u ms after the death\n", n,
		      (unsigned int)worst);
	assert_true(worst <= AWAKE_MS);
}

/* What the application sees afterwards, whatever it calls. */
static void stage_close(struct stage *stage)
{
	struct tenure_async_refusal refusals[1];
	struct tenure_allocation none = { 1 };
	struct tenure_stat stat;
	uint64_t began = now_ms();

	assert_int_equal(tenure_stat(stage->t, &stat), -ECONNRESET);
	assert_int_equal(tenure_flush(stage->t), -ECONNRESET);
	assert_int_equal(tenure_context_progress(stage->t, stage->context, 1),
			 -ECONNRESET);
	assert_int_equal(tenure_fence_signal(stage->t, stage->device,
					     stage->fence, 1),
			 -ECONNRESET);
	assert_int_equal(tenure_allocations_free(stage->t, &none, 1),
			 -ECONNRESET);
	assert_int_equal(tenure_refusals_take(stage->t, refusals, 1, NULL), 0);
	assert_true(now_ms() - began <= AWAKE_MS);
	for (int i = 0; i < PAGE; i++)
		assert_int_equal(stage->mapped[i], 0x5a);
	memset(stage->mapped, 1, PAGE);
	tenure_disconnect(stage->t);
	daemon_bury(stage->daemon);
}

/* Synchronous destroys wait for work of this process, by the ring: one thread
 * sleeps on it, the others on that thread. */
static int wait_for_work(const struct stage *stage, unsigned int number)
{
	return tenure_allocation_destroy(stage->t, stage->device,
					 stage->used[number],
					 TENURE_DESTROY_SYNCHRONOUS);
}

static void while_waiting_for_work(void **state)
{
	struct sleeper sleepers[SLEEPERS];
	struct stage stage;

	(void)state;
	stage_open(&stage);
	sleepers_start(sleepers, SLEEPERS, &stage, wait_for_work);
	await(sleepers, SLEEPERS, 1, sleeps_on_ring);
	await(sleepers, SLEEPERS, SLEEPERS, sleeps);
	kill_under(&stage, sleepers, SLEEPERS);
	stage_close(&stage);
}

/* A call that is answered at once, by a daemon that does not run. */
static int ask(const struct stage *stage, unsigned int number)
{
	struct tenure_stat stat;

	(void)number;
	return tenure_stat(stage->t, &stat);
}

static void while_waiting_for_an_answer(void **state)
{
	struct sleeper sleepers[SLEEPERS];
	struct stage stage;

	(void)state;
	stage_open(&stage);
	daemon_freeze(stage.daemon);
	sleepers_start(sleepers, SLEEPERS, &stage, ask);
	await(sleepers, SLEEPERS, 1, sleeps_on_ring);
	kill_under(&stage, sleepers, SLEEPERS);
	stage_close(&stage);
}

/* More destroys than the queue takes, and a daemon that takes none. */
static int fill_queue(const struct stage *stage, unsigned int number)
{
	struct tenure_allocation handle = { 1 };
	int status = 0;

	(void)number;
	for (int i = 0; i <= RING_FQ_ENTRIES && status == 0; i++)
		status = tenure_allocations_free(stage->t, &handle, 1);
	return status;
}

static void while_waiting_for_room(void **state)
{
	struct sleeper sleepers[SLEEPERS];
	struct stage stage;

	(void)state;
	stage_open(&stage);
	daemon_freeze(stage.daemon);
	sleepers_start(sleepers, SLEEPERS, &stage, fill_queue);
	await(sleepers, SLEEPERS, 1, sleeps_on_ring);
	kill_under(&stage, sleepers, SLEEPERS);
	stage_close(&stage);
}

/* By the socket, where death is seen at once. */
static int wait_for_fence(const struct stage *stage, unsigned int number)
{
	const struct tenure_fence_value one = { stage->fence, 1 + number };

	return tenure_fence_wait(stage->t, stage->device, &one, 1, 0,
				 TENURE_FOREVER, NULL);
}

static void while_waiting_for_a_fence(void **state)
{
	struct sleeper sleepers[SLEEPERS];
	struct stage stage;

	(void)state;
	stage_open(&stage);
	sleepers_start(sleepers, SLEEPERS, &stage, wait_for_fence);
	await(sleepers, SLEEPERS, SLEEPERS, sleeps);
	kill_under(&stage, sleepers, SLEEPERS);
	stage_close(&stage);
}

/* Some on the ring, some on the socket, of one connection. */
static int wait_for_either(const struct stage *stage, unsigned int number)
{
	return number & 1 ? wait_for_fence(stage, number) :
			    wait_for_work(stage, number);
}

static void while_waiting_for_both(void **state)
{
	struct sleeper sleepers[SLEEPERS];
	struct stage stage;

	(void)state;
	stage_open(&stage);
	sleepers_start(sleepers, SLEEPERS, &stage, wait_for_either);
	await(sleepers, SLEEPERS, 1, sleeps_on_ring);
	await(sleepers, SLEEPERS, SLEEPERS, sleeps);
	kill_under(&stage, sleepers, SLEEPERS);
	stage_close(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(while_waiting_for_work),
		cmocka_unit_test(while_waiting_for_an_answer),
		cmocka_unit_test(while_waiting_for_room),
		cmocka_unit_test(while_waiting_for_a_fence),
		cmocka_unit_test(while_waiting_for_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
