/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences: what is sent, and what is judged before; waits (G1, G2) are in
 * tests/rows/library_fences_test.c, with somebody who signals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_arguments),
	};

	return cmocka_run_group_tests_name("fence", tests, NULL, NULL);
}
