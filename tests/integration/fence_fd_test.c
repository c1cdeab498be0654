/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of fences with a real daemon: they can be read when the wait is
 * over, whatever ended it, and not before; nothing is left of those that were
 * closed early, and whoever opens too many is told so.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tenure/tenure.h"
#include "tests/integration/ring_world.h"

enum { SOON_MS = 10000, QUIET_MS = 20 };

struct party {
	struct tenure *t;
	struct tenure_adapter adapter;
	struct tenure_device device;
};

static struct party party_at(const char *socket)
{
	struct party p;

	assert_int_equal(tenure_connect(socket, 0, &p.t), 0);
	assert_int_equal(tenure_adapter_open(p.t, NULL, &p.adapter), 0);
	assert_int_equal(tenure_device_create(p.t, p.adapter, &p.device), 0);
	return p;
}

static struct party party_new(void **state)
{
	return party_at(((const struct stage *)*state)->socket);
}

static struct tenure_fence make_fence(const struct party *p)
{
	struct tenure_fence fence;

	assert_int_equal(tenure_fence_create(p->t, p->device, 0, &fence), 0);
	return fence;
}

/* The other's opening of it. */
static struct tenure_fence lend(const struct party *p, struct tenure_fence f,
				const struct party *other)
{
	struct tenure_fence opened;
	struct tenure_token token;

	assert_int_equal(tenure_fence_share(p->t, p->device, f,
					    TENURE_RIGHT_READ, &token),
			 0);
	assert_int_equal(tenure_fence_open(other->t, other->device, &token, 0,
					   &opened),
			 0);
	assert_int_equal(tenure_token_revoke(p->t, &token), 0);
	return opened;
}

static int watch(const struct party *p, struct tenure_fence fence,
		 uint64_t value)
{
	const struct tenure_fence_value one = { fence, value };

	return tenure_fence_fd(p->t, p->device, &one, 1, 0);
}

static void come_to(const struct party *p, struct tenure_fence f, uint64_t to)
{
	assert_int_equal(tenure_fence_signal(p->t, p->device, f, to), 0);
}

static int waited(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms);
}

static void expect_not_over(int fd)
{
	assert_int_equal(waited(fd, QUIET_MS), 0);
	assert_int_equal(tenure_fence_fd_result(fd, NULL), -EAGAIN);
}

/* It can be read, and says so for ever. */
static unsigned int expect_over(int fd, int status)
{
	unsigned int index = 99;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(waited(fd, SOON_MS), 1);
		assert_int_equal(tenure_fence_fd_result(fd, &index), status);
	}
	assert_int_equal(close(fd), 0);
	return index;
}

static void readable_when_it_comes(void **state)
{
	struct party p = party_new(state), other = party_new(state);
	struct tenure_fence fence = make_fence(&p);
	struct tenure_fence opened = lend(&p, fence, &other);

	for (uint64_t value = 2; value <= 200; value += 2) {
		int fd = watch(&other, opened, value);
		int later = watch(&p, fence, value + 1);

		assert_true(fd >= 0 && later >= 0);
		if (value < 10)
			expect_not_over(fd);
		come_to(&p, fence, value);
		assert_int_equal(expect_over(fd, 0), 0);
		assert_int_equal(tenure_fence_fd_result(later, NULL), -EAGAIN);
		come_to(&p, fence, value + 1);
		expect_over(later, 0);
		/* One that is over already. */
		expect_over(watch(&other, opened, value), 0);
	}
	tenure_disconnect(p.t);
	tenure_disconnect(other.t);
}

static void any_and_all(void **state)
{
	struct party p = party_new(state);
	struct tenure_fence_value two[2] = { { make_fence(&p), 5 },
					     { make_fence(&p), 5 } };
	int any = tenure_fence_fd(p.t, p.device, two, 2, 0);
	int all = tenure_fence_fd(p.t, p.device, two, 2, TENURE_WAIT_ALL);

	expect_not_over(any);
	come_to(&p, two[1].fence, 5);
	assert_int_equal(expect_over(any, 0), 1);
	expect_not_over(all);
	come_to(&p, two[0].fence, 6);
	assert_int_equal(expect_over(all, 0), 0);
	tenure_disconnect(p.t);
}

static void gone_fences(void **state)
{
	struct party p = party_new(state), other = party_new(state);
	struct tenure_fence fence = make_fence(&p), second = make_fence(&p);
	struct tenure_fence opened = lend(&p, fence, &other);
	struct tenure_fence by_death = lend(&p, second, &other);
	int one = watch(&other, opened, 1), own = watch(&other, opened, 2);
	int two = watch(&other, by_death, 1);
	struct tenure_refusal refusal;

	expect_not_over(one);
	assert_int_equal(tenure_fence_destroy(p.t, p.device, fence), 0);
	expect_over(one, -ENODEV);
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.reason, TENURE_REASON_FENCE_GONE);
	expect_over(own, -ENODEV);
	expect_not_over(two);
	tenure_disconnect(p.t);
	expect_over(two, -ENODEV);
	assert_int_equal(watch(&other, opened, 1), -ENODEV);
	/* By the end of the own device. */
	fence = make_fence(&other);
	one = watch(&other, fence, 1);
	assert_int_equal(tenure_device_destroy(other.t, other.device), 0);
	expect_over(one, -ENODEV);
	tenure_disconnect(other.t);
}

/* Whoever asked has gone; the descriptor stays the application's. */
static void the_session_ends(void **state)
{
	struct party p = party_new(state);
	int fd = watch(&p, make_fence(&p), 1);

	expect_not_over(fd);
	tenure_disconnect(p.t);
	expect_over(fd, -ECONNRESET);
}

static void the_daemon_dies(void **state)
{
	struct daemon_process *daemon = daemon_start(NULL);
	struct party p = party_at(daemon_socket(daemon));
	struct tenure_fence fence = make_fence(&p);
	int fd = watch(&p, fence, 1), over = watch(&p, fence, 0);

	(void)state;
	expect_not_over(fd);
	daemon_kill(daemon);
	expect_over(fd, -ECONNRESET);
	expect_over(over, 0);
	assert_int_equal(watch(&p, fence, 1), -ECONNRESET);
	tenure_disconnect(p.t);
	daemon_bury(daemon);
}

static void refused(void **state)
{
	struct party p = party_new(state);
	struct tenure_fence fence = make_fence(&p), wrong = { 5 };
	struct tenure_fence_value many[65];
	int fds[WATCHES_PER_CLIENT_MAX];
	struct tenure_refusal refusal;

	for (unsigned int i = 0; i < 65; i++)
		many[i] = (struct tenure_fence_value){ fence, 1 };
	assert_int_equal(tenure_fence_fd(p.t, p.device, many, 65, 0), -EINVAL);
	assert_int_equal(tenure_fence_fd(p.t, p.device, NULL, 1, 0), -EINVAL);
	assert_int_equal(tenure_fence_fd(p.t, p.device, NULL, 0, 0), -EINVAL);
	assert_int_equal(watch(&p, wrong, 1), -EINVAL);
	for (unsigned int i = 0; i < WATCHES_PER_CLIENT_MAX; i++) {
		fds[i] = watch(&p, fence, 1 + i);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(watch(&p, fence, 1000), -EDQUOT);
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.reason, TENURE_REASON_CLIENT_WATCHES);
	for (unsigned int i = 0; i < WATCHES_PER_CLIENT_MAX; i++) {
		come_to(&p, fence, 1 + i);
		expect_over(fds[i], 0);
	}
	assert_true((fds[0] = watch(&p, fence, 1000)) >= 0);
	close(fds[0]);
	tenure_disconnect(p.t);
}

/* As many waits for one fence as a client can get keep nobody else away. */
static void one_takes_what_it_can(void **state)
{
	struct party p = party_new(state), taker = party_new(state),
		     other = party_new(state);
	struct tenure_fence fence = make_fence(&p);
	struct tenure_fence taken = lend(&p, fence, &taker);
	struct tenure_fence opened = lend(&p, fence, &other);
	struct tenure_fence_value many[64];
	struct tenure_refusal refusal;
	int fds[4];

	for (int i = 0; i < 64; i++)
		many[i] = (struct tenure_fence_value){ taken, 1 };
	for (int i = 0; i < 2; i++) {
		fds[i] = tenure_fence_fd(taker.t, taker.device, many, 64, 0);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(watch(&taker, taken, 1), -EDQUOT);
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.reason, TENURE_REASON_CLIENT_FENCE_WAITS);
	assert_int_equal(tenure_fence_wait(taker.t, taker.device, many, 1, 0,
					   TENURE_FOREVER, NULL),
			 -EDQUOT);
	assert_int_equal(tenure_fence_wait(taker.t, taker.device, many, 1, 0, 0,
					   NULL),
			 -ETIMEDOUT);
	assert_true((fds[2] = watch(&other, opened, 1)) >= 0);
	assert_true((fds[3] = watch(&p, fence, 1)) >= 0);
	come_to(&p, fence, 1);
	for (int i = 0; i < 4; i++)
		expect_over(fds[i], 0);
	tenure_disconnect(p.t);
	tenure_disconnect(taker.t);
	tenure_disconnect(other.t);
}

/* Closed before they are over, again and again; some stay. */
static void closed_early(void **state)
{
	const struct stage *stage = *state;
	struct party p = party_new(state);
	struct tenure_fence fence = make_fence(&p);
	unsigned int before = daemon_descriptors(stage->daemon);
	int kept[8];

	for (int i = 0; i < 2000; i++) {
		int fd = watch(&p, fence, 1);

		assert_true(fd >= 0);
		if (i % 250 == 0)
			kept[i / 250] = fd;
		else
			close(fd);
		assert_true(daemon_descriptors(stage->daemon) <=
			    before + WATCHES_PER_CLIENT_MAX);
	}
	come_to(&p, fence, 1);
	for (int i = 0; i < 8; i++)
		expect_over(kept[i], 0);
	/* It has said its words before it closes the last of them. */
	while (daemon_descriptors(stage->daemon) != before)
		usleep(1000);
	tenure_disconnect(p.t);
}

/* In a forked child, as in any process that was given it. */
static void in_another_process(void **state)
{
	struct party p = party_new(state);
	struct tenure_fence fence = make_fence(&p);
	int fd = watch(&p, fence, 1), status;
	pid_t child = ring_fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(waited(fd, SOON_MS) == 1 ?
			      -tenure_fence_fd_result(fd, NULL) :
			      99);
	come_to(&p, fence, 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	expect_over(fd, 0);
	tenure_disconnect(p.t);
}

/* A client that uses one id for all that it asks for. */
static void one_id_for_all(void **state)
{
	const struct stage *stage = *state;
	struct party p = party_new(state);
	struct raw_ring ring = ring_client(stage);
	uint64_t device = ring_device(&ring);
	struct wire_request head = { .opcode = WIRE_OP_FENCE_CREATE,
				     .device = device };
	struct wire_fence_wait one = { .value = 1 };
	struct raw_reply reply;
	int granted = 0;

	assert_int_equal(raw_ring_call(&ring, &head, NULL, 0, &reply), 0);
	one.fence = reply.head.value[0];
	for (int i = 0; i < 200; i++) {
		head = (struct wire_request){ .opcode = WIRE_OP_FENCE_WATCH,
					      .id = 7,
					      .device = device,
					      .count = 1,
					      .args_bytes = sizeof(one),
					      .fds_acked = granted > 0 };
		if (raw_call(ring.socket, &head, &one, sizeof(one), &reply)) {
			assert_int_equal(reply.head.status, -EDQUOT);
			break;
		}
		granted++;
		assert_true(reply.fd >= 0);
		close(reply.fd);
	}
	/* It confuses its own waits, and is not even thrown out. */
	assert_true(granted >= WATCHES_PER_CLIENT_MAX / 2);
	assert_int_equal(ring_stat(&ring).devices, 1);
	canary_sing(stage->canary, 10);
	raw_ring_close(&ring);
	tenure_disconnect(p.t);
}

/* ---- Signals and waits at the same time ---- */

enum { ROUNDS = 500 };

struct signaller {
	const struct party *p;
	struct tenure_fence fence;
	pthread_t thread;
};

static void *signal_all(void *context)
{
	const struct signaller *s = context;

	for (uint64_t value = 1; value <= ROUNDS; value++)
		if (tenure_fence_signal(s->p->t, s->p->device, s->fence, value))
			return context;
	return NULL;
}

static void no_signal_is_lost(void **state)
{
	struct party p = party_new(state), other = party_new(state);
	struct signaller s = { .p = &p, .fence = make_fence(&p) };
	struct tenure_fence opened = lend(&p, s.fence, &other);
	void *failed;

	assert_int_equal(pthread_create(&s.thread, NULL, signal_all, &s), 0);
	for (uint64_t value = 1; value <= ROUNDS; value++) {
		int fd = watch(&other, opened, value);

		assert_true(fd >= 0);
		expect_over(fd, 0);
	}
	pthread_join(s.thread, &failed);
	assert_null(failed);
	tenure_disconnect(p.t);
	tenure_disconnect(other.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ring_test(readable_when_it_comes),
		ring_test(any_and_all),
		ring_test(gone_fences),
		ring_test(the_session_ends),
		cmocka_unit_test(the_daemon_dies),
		ring_test(refused),
		ring_test(one_takes_what_it_can),
		ring_test(closed_early),
		ring_test(in_another_process),
		ring_test(one_id_for_all),
		ring_test(no_signal_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
