/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences: what is sent, and what is judged before; waits (G1, G2) are in
 * tests/rows/library_fences_test.c, with somebody who signals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

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
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(g4_results),
		cmocka_unit_test(g4_no_descriptor),
	};

	return cmocka_run_group_tests_name("fence", tests, NULL, NULL);
}
