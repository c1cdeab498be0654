/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/refusals.h"

static struct refusals queue;

static void put(uint64_t handle)
{
	const struct tenure_async_refusal refusal = {
		.handle = handle,
		.status = -EINVAL,
		.reason = TENURE_REASON_ENTRY_INVALID,
	};

	refusals_put(&queue, &refusal);
}

/* Every length and every place at which the queue wraps. */
static void test_order(void **state)
{
	struct tenure_async_refusal got[40];
	uint64_t next_in = 1, next_out = 1;

	(void)state;
	queue = (struct refusals){ 0 };
	for (unsigned int round = 0; round < 5 * REFUSALS_MAX; round++) {
		unsigned int n = round % 37;

		for (unsigned int i = 0; i < n; i++)
			put(next_in++);
		n = refusals_take(&queue, got, (round + 1) % 39);
		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(got[i].handle, next_out++); /* G1 */
			assert_int_equal(got[i].status, -EINVAL);
			assert_int_equal(got[i].reason,
					 TENURE_REASON_ENTRY_INVALID);
		}
		assert_int_equal(queue.count, next_in - next_out);
	}
	assert_int_equal(queue.lost, 0);
}

static void test_full(void **state)
{
	struct tenure_async_refusal got;

	(void)state;
	queue = (struct refusals){ .first = 17 };
	for (uint64_t i = 0; i < REFUSALS_MAX + 5; i++)
		put(i + 1);
	assert_int_equal(queue.lost, 5); /* G2, the newest */
	for (uint64_t i = 0; i < REFUSALS_MAX; i++) {
		assert_int_equal(refusals_take(&queue, &got, 1), 1);
		assert_int_equal(got.handle, i + 1);
	}
	assert_int_equal(refusals_take(&queue, &got, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
