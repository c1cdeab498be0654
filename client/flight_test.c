/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/flight.h"

static struct wire_reply reply_to(const struct flight_call *call)
{
	return (struct wire_reply){
		.opcode = call->opcode,
		.id = call->id,
		.index = WIRE_NO_INDEX,
	};
}

static void launch(struct flight *flight, struct flight_call *call)
{
	*call = (struct flight_call){
		.opcode = WIRE_OP_CREATE,
		.capacity = 100,
	};
	flight_launch(flight, call);
}

/* All calls at once, answered backwards; then again with other places. */
static void test_any_order(void **state)
{
	struct flight_call calls[FLIGHT_CALLS_MAX], one;
	struct flight flight = { 0 };
	struct wire_reply reply;

	(void)state;
	launch(&flight, &one);
	flight_remove(&flight, &one);
	for (int i = 0; i < FLIGHT_CALLS_MAX; i++) {
		assert_false(flight_is_full(&flight));
		launch(&flight, &calls[i]);
		assert_true(calls[i].id > one.id);
		assert_false(calls[i].done);
	}
	assert_true(flight_is_full(&flight));
	for (int i = FLIGHT_CALLS_MAX - 1; i >= 0; i--) {
		reply = reply_to(&calls[i]);
		reply.value[0] = (uint64_t)i;
		assert_int_equal(flight_land(&flight, &reply), 0); /* G1 */
		assert_true(calls[i].done);
		assert_int_equal(calls[i].reply.value[0], i);
		assert_true(i == 0 || !calls[i - 1].done);
		flight_remove(&flight, &calls[i]);
	}
	assert_int_equal(flight.count, 0);
}

/* The place of a call that stays is passed over. */
static void test_places(void **state)
{
	struct flight flight = { 0 };
	struct flight_call stays, call;

	(void)state;
	launch(&flight, &stays);
	for (int i = 0; i < 3 * FLIGHT_CALLS_MAX; i++) {
		uint64_t before = call.id;

		launch(&flight, &call);
		assert_int_not_equal(call.id, stays.id);
		assert_true(i == 0 || call.id != before);
		flight_remove(&flight, &call);
	}
	flight_remove(&flight, &stays);
}

static void test_nonsense(void **state)
{
	struct flight flight = { 0 };
	struct flight_call call;
	struct wire_reply good, bad;

	(void)state;
	launch(&flight, &call);
	good = reply_to(&call);
	good.data_bytes = 100;
#define REFUSED(field, wrong)                                          \
	do {                                                           \
		bad = good;                                            \
		bad.field = (wrong);                                   \
		assert_int_equal(flight_land(&flight, &bad), -EPROTO); \
		assert_false(call.done); /* G2 */                      \
	} while (0)
	REFUSED(id, 0);
	REFUSED(id, call.id + 1);
	REFUSED(id, call.id + FLIGHT_CALLS_MAX);
	REFUSED(id, UINT64_MAX);
	REFUSED(opcode, WIRE_OP_OPEN);
	REFUSED(reserved, 1);
	REFUSED(fds, 1);
	REFUSED(data_bytes, 101);
	REFUSED(status, 1);
	REFUSED(status, -4096);
	assert_int_equal(flight_land(&flight, &good), 0);
	assert_true(call.done);
	bad = good;
	bad.value[0] = 1;
	assert_int_equal(flight_land(&flight, &bad), -EPROTO); /* twice */
	assert_int_equal(call.reply.value[0], 0);
	flight_remove(&flight, &call);
	assert_int_equal(flight_land(&flight, &good), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests_name("flight", tests, NULL, NULL);
}
