/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences: what is sent, and what is judged before; waits are in
 * tests/rows/library_fences_test.c, too, with somebody who signals.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/socket.h"
#include "client/world_test.h"

static void test_requests(void **state)
{
	const struct wire_request *said;
	struct tenure_fence fence = { 99 }, made;
	struct tenure_token token = { { 1, 2 } };
	uint64_t value = 7;
	struct world w;

	(void)state;
	world_open(&w);
	said = &w.fake->request;
	assert_int_equal(tenure_fence_create(w.connection, w.device, 5, &made),
			 0);
	assert_int_equal(said->opcode, WIRE_OP_FENCE_CREATE);
	assert_int_equal(said->device, w.device.value);
	assert_int_equal(said->object, 0);
	assert_int_equal(said->value[0], 5);
	assert_int_equal(tenure_fence_signal(w.connection, w.device, fence, 8),
			 0);
	assert_int_equal(said->opcode, WIRE_OP_FENCE_SIGNAL);
	assert_int_equal(said->object, 99);
	assert_int_equal(said->value[0], 8);
	assert_int_equal(
		tenure_fence_value(w.connection, w.device, fence, &value), 0);
	assert_int_equal(said->opcode, WIRE_OP_FENCE_VALUE);
	assert_int_equal(value, 0);
	assert_int_equal(tenure_fence_share(w.connection, w.device, fence,
					    TENURE_RIGHT_READ, &token),
			 0);
	assert_int_equal(said->opcode, WIRE_OP_FENCE_SHARE);
	assert_int_equal(said->flags, TENURE_RIGHT_READ);
	token.bytes[8] = 3;
	assert_int_equal(
		tenure_fence_open(w.connection, w.device, &token, 0, &made), 0);
	assert_int_equal(said->opcode, WIRE_OP_FENCE_OPEN);
	assert_memory_equal(said->value, token.bytes, 16);
	assert_int_equal(tenure_fence_destroy(w.connection, w.device, fence),
			 0);
	assert_int_equal(said->opcode, WIRE_OP_FENCE_DESTROY);
	world_close(&w);
}

static void test_arguments(void **state)
{
	struct tenure_fence fence = { 99 };
	struct tenure_token token = { { 1 } };
	struct world w;
	unsigned int n;

	(void)state;
	world_open(&w);
	n = w.fake->n_requests;
	assert_int_equal(tenure_fence_create(w.connection, w.device, 0, NULL),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_ARGUMENT);
	assert_int_equal(tenure_fence_value(w.connection, w.device, fence,
					    NULL),
			 -EINVAL);
	assert_int_equal(tenure_fence_share(w.connection, w.device, fence, 1,
					    NULL),
			 -EINVAL);
	assert_int_equal(tenure_fence_open(w.connection, w.device, NULL, 0,
					   &fence),
			 -EINVAL);
	assert_int_equal(tenure_fence_open(w.connection, w.device, &token, 0,
					   NULL),
			 -EINVAL);
	assert_int_equal(tenure_fence_wait(w.connection, w.device, NULL, 1, 0,
					   0, NULL),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_LIST_MISSING);
	assert_int_equal(w.fake->n_requests, n);
	world_close(&w);
}

/* A daemon that answers a wait when it is asked to cancel it. */
struct late_daemon {
	int fd;
	bool cancel_first; /* the answer to the cancel comes first */
	int wait_status;
	unsigned int pause_us; /* between the two */
};

static void say(int fd, const struct wire_request *to, int status,
		uint32_t count)
{
	const struct wire_reply reply = {
		.opcode = to->opcode,
		.id = to->id,
		.status = status,
		.reason = status == -EINVAL ? TENURE_REASON_WAIT_UNKNOWN : 0,
		.index = WIRE_NO_INDEX,
		.count = count,
	};

	send(fd, &reply, sizeof(reply), 0);
}

static struct wire_request hear(int fd)
{
	uint8_t bytes[4096] = { 0 };
	struct wire_request request = { 0 };

	if (recv(fd, bytes, sizeof(bytes), 0) > 0)
		memcpy(&request, bytes, sizeof(request));
	return request;
}

static void *answer_late(void *context)
{
	const struct late_daemon *daemon = context;
	struct wire_request first = hear(daemon->fd), cancel;
	int status = daemon->wait_status == 0 ? -EINVAL : 0;

	say(daemon->fd, &first, 0, WIRE_VERSION_MAX);
	first = hear(daemon->fd); /* a ring */
	say(daemon->fd, &first, -EDQUOT, 0);
	first = hear(daemon->fd);
	cancel = hear(daemon->fd);
	if (first.opcode != WIRE_OP_FENCE_WAIT ||
	    cancel.opcode != WIRE_OP_FENCE_WAIT_CANCEL)
		return NULL;
	if (daemon->cancel_first)
		say(daemon->fd, &cancel, status, 0);
	usleep(daemon->pause_us);
	say(daemon->fd, &first, daemon->wait_status, 0);
	if (!daemon->cancel_first)
		say(daemon->fd, &cancel, status, 0);
	return NULL;
}

/* What a wait says whose time is over before such a daemon answers it. */
static int wait_too_long(struct late_daemon daemon)
{
	const struct tenure_fence_value one = { { 99 }, 5 };
	struct transport *transport;
	struct tenure *t;
	pthread_t thread;
	int fds[2], status;

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	daemon.fd = fds[1];
	assert_int_equal(socket_transport_adopt(fds[0], &transport), 0);
	assert_int_equal(pthread_create(&thread, NULL, answer_late, &daemon),
			 0);
	assert_int_equal(connection_new(transport, &t), 0);
	status = tenure_fence_wait(t, (struct tenure_device){ 7 }, &one, 1, 0,
				   1, NULL);
	pthread_join(thread, NULL);
	tenure_disconnect(t);
	close(fds[1]);
	return status;
}

static void g1_a_success_that_comes_late(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(wait_too_long((struct late_daemon){
					 .cancel_first = i & 1,
					 .pause_us = i & 2 ? 20000 : 0 }),
				 0);
}

static void g2_one_that_never_comes(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(wait_too_long((struct late_daemon){
					 .wait_status = -ECANCELED,
					 .cancel_first = i & 1,
					 .pause_us = i & 2 ? 20000 : 0 }),
				 -ETIMEDOUT);
}

/* What a daemon could say by a descriptor. */
static void expect_result(const void *word, size_t size, int status,
			  enum tenure_reason reason)
{
	unsigned int index = 77;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	assert_int_equal(tenure_fence_fd_result(ends[0], &index), -EAGAIN);
	assert_int_equal(world_reason(), TENURE_REASON_NONE);
	assert_int_equal(send(ends[1], word, size, 0), size);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tenure_fence_fd_result(ends[0], &index),
				 status);
		if (status < 0)
			assert_int_equal(world_reason(), reason);
		close(ends[1]);
		ends[1] = -1;
	}
	assert_int_equal(index, status == 0 ? 63 : 77);
	assert_int_equal(tenure_fence_fd_result(ends[0], NULL), status);
	close(ends[0]);
}

static void g4_results(void **state)
{
	static const struct wire_watch wrong[] = {
		{ 1, 0, 0 },	      { -4096, 0, 0 },
		{ INT32_MIN, 0, 0 },  { 0, 0, FENCES_PER_WAIT_MAX },
		{ 0, 0, UINT64_MAX },
	};
	const struct wire_watch good = { 0, 0, 63 };
	const struct wire_watch gone = { -ENODEV, TENURE_REASON_FENCE_GONE, 0 };
	struct wire_watch two[2] = { good, good };
	int ends[2];

	(void)state;
	expect_result(&good, sizeof(good), 0, 0);
	expect_result(&gone, sizeof(gone), -ENODEV, TENURE_REASON_FENCE_GONE);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		expect_result(&wrong[i], sizeof(wrong[i]), -EPROTO,
			      TENURE_REASON_DAEMON_PROTOCOL);
	expect_result(&good, sizeof(good) - 1, -EPROTO,
		      TENURE_REASON_DAEMON_PROTOCOL);
	expect_result(two, sizeof(two), -EPROTO, TENURE_REASON_DAEMON_PROTOCOL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	close(ends[1]);
	assert_int_equal(tenure_fence_fd_result(ends[0], NULL), -ECONNRESET);
	close(ends[0]);
	assert_int_equal(tenure_fence_fd_result(ends[0], NULL), -EBADF);
}

/* The fake sends no descriptor: that is no answer. */
static void g4_no_descriptor(void **state)
{
	const struct tenure_fence_value one = { { 99 }, 1 };
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_fence_fd(w.connection, w.device, NULL, 1, 0),
			 -EINVAL);
	assert_int_equal(tenure_fence_fd(w.connection, w.device, &one, 1, 0),
			 -EPROTO);
	assert_int_equal(w.fake->request.opcode, WIRE_OP_FENCE_WATCH);
	assert_int_equal(w.fake->request.args_bytes, sizeof(one));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_a_success_that_comes_late),
		cmocka_unit_test(g2_one_that_never_comes),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(g4_results),
		cmocka_unit_test(g4_no_descriptor),
	};

	return cmocka_run_group_tests_name("fence", tests, NULL, NULL);
}
