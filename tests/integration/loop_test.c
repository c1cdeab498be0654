/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An application's own loop with a real daemon: it learns of refusals,
 * removals and deaths by a descriptor, while it makes no calls at all, and is
 * never woken again and again for the same thing.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/ring/ring_shared.h"
#include "tenure/tenure.h"
#include "tests/integration/ring_world.h"

enum {
	SOON_MS = 10000, /* until something must have come */
	QUIET_MS = 50, /* in which nothing may come */
	STALE = 4711,
};

static int waited(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms);
}

/* Waits for the descriptor and dispatches, until there is a report. */
static int next_report(struct tenure *t, int fd)
{
	int report = 0;

	while (report == 0) {
		if (waited(fd, SOON_MS) != 1)
			fail_msg("nothing came");
		report = tenure_dispatch(t);
	}
	return report;
}

static void expect_quiet(int fd)
{
	assert_int_equal(waited(fd, QUIET_MS), 0);
}

/* All is taken. The last notice may speak of that, and come late; then it is
 * silent. */
static void settle(struct tenure *t, int fd)
{
	int late = 0;

	assert_int_equal(tenure_dispatch(t), 0);
	while (waited(fd, QUIET_MS) == 1) {
		assert_int_equal(tenure_dispatch(t), 0);
		assert_true(++late <= 2);
	}
}

static struct tenure *connect_to(const struct stage *stage, int *ret_fd)
{
	struct tenure *t;

	assert_int_equal(tenure_connect(stage->socket, 0, &t), 0);
	*ret_fd = tenure_event_fd(t);
	assert_true(*ret_fd >= 0);
	return t;
}

/* count frees that will be refused; nobody flushes. */
static void free_wrongly(struct tenure *t, unsigned int count)
{
	struct tenure_allocation stale = { STALE };

	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(tenure_allocations_free(t, &stale, 1), 0);
}

static unsigned int take_all(struct tenure *t)
{
	struct tenure_async_refusal refusals[64];
	unsigned int total = 0;
	int n;

	do {
		n = tenure_refusals_take(t, refusals, 64, NULL);
		assert_true(n >= 0);
		for (int i = 0; i < n; i++)
			assert_int_equal(refusals[i].handle, STALE);
		total += (unsigned int)n;
	} while (n > 0);
	return total;
}

static void refusals_come_by_themselves(void **state)
{
	unsigned int taken;
	struct tenure *t;
	int fd;

	t = connect_to(*state, &fd);
	expect_quiet(fd);
	for (int round = 0; round < 50; round++) {
		unsigned int count = 1 + (unsigned int)round * 3;

		free_wrongly(t, count);
		for (taken = 0; taken < count; taken += take_all(t))
			assert_int_equal(next_report(t, fd),
					 TENURE_EVENT_REFUSALS);
		assert_int_equal(taken, count);
	}
	settle(t, fd);
	tenure_disconnect(t);
}

/* Nobody takes them: the descriptor says so once, not for ever. */
static void refusals_that_nobody_takes(void **state)
{
	unsigned int wakes = 0;
	struct tenure *t;
	int fd;

	t = connect_to(*state, &fd);
	free_wrongly(t, 10);
	assert_int_equal(next_report(t, fd), TENURE_EVENT_REFUSALS);
	while (waited(fd, QUIET_MS) == 1) {
		assert_int_equal(tenure_dispatch(t), TENURE_EVENT_REFUSALS);
		assert_true(++wakes <= 20);
	}
	assert_int_equal(tenure_dispatch(t), TENURE_EVENT_REFUSALS);
	assert_int_equal(take_all(t), 10);
	tenure_disconnect(t);
}

/* Successes say nothing. */
static void nothing_is_said_of_success(void **state)
{
	struct tenure_memory memory;
	struct tenure *t;
	int fd;

	t = connect_to(*state, &fd);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(tenure_alloc(t, 4096, &memory), 0);
		assert_int_equal(tenure_free(t, &memory), 0);
	}
	assert_int_equal(tenure_flush(t), 0);
	expect_quiet(fd);
	assert_int_equal(tenure_dispatch(t), 0);
	tenure_disconnect(t);
}

static void the_daemon_dies(void **state)
{
	struct daemon_process *daemon = daemon_start(NULL);
	const struct stage stage = { .socket = daemon_socket(daemon) };
	struct tenure *t;
	int fd;

	(void)state;
	t = connect_to(&stage, &fd);
	expect_quiet(fd);
	daemon_kill(daemon);
	assert_int_equal(next_report(t, fd), -ECONNRESET);
	expect_quiet(fd);
	assert_int_equal(tenure_dispatch(t), -ECONNRESET);
	expect_quiet(fd);
	tenure_disconnect(t);
	daemon_bury(daemon);
}

/* One that stops says farewell. */
static void the_daemon_stops(void **state)
{
	struct daemon_process *daemon = daemon_start(NULL);
	const struct stage stage = { .socket = daemon_socket(daemon) };
	struct tenure *t;
	int fd;

	(void)state;
	t = connect_to(&stage, &fd);
	daemon_stop(daemon);
	assert_int_equal(next_report(t, fd), -ESHUTDOWN);
	expect_quiet(fd);
	tenure_disconnect(t);
}

/* What only a daemon for tests does on demand: its adapter stops, starts. */
static void adapter_event(int raw, uint64_t adapter, uint32_t event)
{
	const struct wire_request head = {
		.opcode = WIRE_OP_TEST_EVENT,
		.flags = event,
		.object = adapter,
	};
	struct raw_reply reply;

	assert_int_equal(raw_call(raw, &head, NULL, 0, &reply), 0);
}

static void devices_are_removed(void **state)
{
	struct wire_request open = { .opcode = WIRE_OP_ADAPTER_OPEN };
	struct daemon_process *daemon = daemon_start(NULL);
	const struct stage stage = { .socket = daemon_socket(daemon) };
	int raw = raw_client(stage.socket), fd, idle_fd;
	struct tenure_adapter adapter;
	struct tenure_device device, other;
	struct tenure_context context;
	struct tenure *t, *idle;
	struct raw_reply reply;

	(void)state;
	t = connect_to(&stage, &fd);
	idle = connect_to(&stage, &idle_fd);
	memcpy(open.value, "system", 6);
	assert_int_equal(raw_call(raw, &open, NULL, 0, &reply), 0);
	assert_int_equal(tenure_adapter_open(t, NULL, &adapter), 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(tenure_device_create(t, adapter, &device), 0);
		assert_int_equal(tenure_device_create(t, adapter, &other), 0);
		adapter_event(raw, reply.head.value[0], WIRE_TEST_ADAPTER_STOP);
		assert_int_equal(next_report(t, fd), TENURE_EVENT_REMOVED);
		assert_int_equal(tenure_context_create(t, device, &context),
				 -ENODEV);
		expect_quiet(fd);
		adapter_event(raw, reply.head.value[0],
			      WIRE_TEST_ADAPTER_START);
		assert_int_equal(tenure_device_destroy(t, device), 0);
		assert_int_equal(tenure_device_destroy(t, other), 0);
		expect_quiet(fd);
	}
	/* It had none. */
	expect_quiet(idle_fd);
	tenure_disconnect(t);
	tenure_disconnect(idle);
	close(raw);
	daemon_stop_clean(daemon);
}

/* ---- Beside other threads ---- */

struct busy {
	struct tenure *t;
	atomic_bool stop;
	atomic_uint failures, rounds;
	pthread_t thread;
};

static void *call_again_and_again(void *context)
{
	struct busy *b = context;

	while (!atomic_load(&b->stop)) {
		const size_t sizes[2] = { 1, 5000 };
		struct tenure_memory memory;
		struct tenure_adapter adapter;
		struct tenure_device device;
		struct tenure_allocation list[2];

		if (tenure_adapter_open(b->t, NULL, &adapter) ||
		    tenure_device_create(b->t, adapter, &device) ||
		    tenure_allocation_create(b->t, device, sizes, 2, list) ||
		    tenure_allocation_destroy(b->t, device, list[0],
					      TENURE_DESTROY_SYNCHRONOUS) ||
		    tenure_device_destroy(b->t, device) ||
		    tenure_adapter_close(b->t, adapter) ||
		    tenure_alloc(b->t, 100, &memory) ||
		    tenure_free(b->t, &memory))
			atomic_fetch_add(&b->failures, 1);
		atomic_fetch_add(&b->rounds, 1);
	}
	return NULL;
}

static void beside_calls_of_other_threads(void **state)
{
	struct busy busy[2] = { { 0 } };
	unsigned int taken = 0, wanted = 0;
	struct tenure *t;
	int fd;

	t = connect_to(*state, &fd);
	for (int i = 0; i < 2; i++) {
		busy[i].t = t;
		assert_int_equal(pthread_create(&busy[i].thread, NULL,
						call_again_and_again, &busy[i]),
				 0);
	}
	for (int round = 0; round < 200; round++) {
		free_wrongly(t, 5);
		wanted += 5;
		while (taken < wanted) {
			assert_int_equal(next_report(t, fd),
					 TENURE_EVENT_REFUSALS);
			taken += take_all(t);
		}
	}
	for (int i = 0; i < 2; i++) {
		atomic_store(&busy[i].stop, true);
		pthread_join(busy[i].thread, NULL);
		assert_int_equal(busy[i].failures, 0);
		assert_true(busy[i].rounds > 0);
	}
	assert_int_equal(taken, wanted);
	settle(t, fd);
	tenure_disconnect(t);
}

/* ---- Hostile ---- */

/* It wishes without end and never reads a letter: one is kept for it. */
static void wishes_without_end(void **state)
{
	struct stage *stage = *state;
	struct raw_ring ring = ring_client(stage);
	struct wire_reply reply;
	unsigned int letters = 0;
	struct raw_reply letter;

	for (int round = 0; round < 3000; round++) {
		ring_client_wish(&ring.end);
		if (ring_client_free(&ring.end, STALE) == 1)
			raw_ring_knock(&ring);
		assert_true(raw_ring_drain(&ring));
		while (ring_client_reap(&ring.end, &reply) == 1)
			assert_int_equal(reply.opcode, WIRE_OP_FREE);
		if (ring_client_reaped(&ring.end))
			raw_ring_knock(&ring);
	}
	canary_sing(stage->canary, 20);
	/* All are notices; the socket holds only so many. */
	while (raw_receive(ring.socket, &letter) > 0 &&
	       letter.head.opcode == WIRE_OP_NOTICE) {
		assert_int_equal(letter.head.id, 0);
		assert_int_equal(letter.head.value[0], WIRE_NOTICE_REFUSALS);
		letters++;
		if (waited(ring.socket, QUIET_MS) == 0)
			break;
	}
	print_message("%u letters for 3000 wishes\n", letters);
	assert_true(letters > 0 && letters <= 3000);
	raw_ring_close(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ring_test(refusals_come_by_themselves),
		ring_test(refusals_that_nobody_takes),
		ring_test(nothing_is_said_of_success),
		cmocka_unit_test(the_daemon_dies),
		cmocka_unit_test(the_daemon_stops),
		cmocka_unit_test(devices_are_removed),
		ring_test(beside_calls_of_other_threads),
		ring_test(wishes_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
