/* SPDX-License-Identifier: Apache-2.0 */
#include "core/waiter.h"

#include "tests/support/seat.h"

static void g1_a_waiter_is_answered_once(void **state)
{
	const uint32_t sync = TENURE_DESTROY_SYNCHRONOUS;
	struct inproc *world = inproc_new(NULL);
	uint64_t handles[3];
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	assert_int_equal(seat_create(&seat, 0, 0, 3, NULL, handles), 0);
	inproc_releases(world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_send_destroy(&seat, 0, handles, 3, sync),
			 BROKER_LATER);
	inproc_pump_all(world);
	assert_int_equal(seat_session(&seat)->account.used[CHARGE_WAITS], 1);
	assert_false(seat_heard(&seat, seat.id));
	inproc_check(world);
	inproc_releases(world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(world);
	assert_true(seat_heard(&seat, seat.id));
	assert_int_equal(seat.reply.head.status, 0);
	assert_int_equal(seat.reply.head.opcode, WIRE_OP_DESTROY);
	assert_int_equal(seat_session(&seat)->account.used[CHARGE_WAITS], 0);
	assert_false(seat_heard(&seat, seat.id));
	inproc_free(world);
}

static void g1_nobody_is_there_to_read(void **state)
{
	const uint32_t sync = TENURE_DESTROY_SYNCHRONOUS;
	struct inproc *world = inproc_new(NULL);
	struct seat seat, other;
	uint64_t handle, others;

	(void)state;
	seat_take(&seat, world);
	seat_take(&other, world);
	assert_int_equal(seat_create(&seat, 0, 0, 1, NULL, &handle), 0);
	assert_int_equal(seat_create(&other, 0, 0, 1, NULL, &others), 0);
	inproc_releases(world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_send_destroy(&seat, 0, &handle, 1, sync),
			 BROKER_LATER);
	assert_int_equal(seat_send_destroy(&other, 0, &others, 1, sync),
			 BROKER_LATER);
	inproc_kill(world, seat.client);
	inproc_check(world);
	inproc_releases(world, INPROC_RELEASES_PROMPT);
	/* The harness ends the program at a reply to one that has gone. */
	inproc_pump_all(world);
	assert_true(seat_heard(&other, other.id));
	inproc_free(world);
}

static void g1_answers_that_nobody_took(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct env *env = world_env(world);
	struct outcome outcome;
	struct seat a, b;
	uint32_t waiters[6];

	(void)state;
	seat_take(&a, world);
	seat_take(&b, world);
	for (uint32_t i = 0; i < 6; i++) {
		waiters[i] = waiter_new(env, i % 2 ? a.client : b.client,
					&(struct ticket){ .id = i },
					WIRE_OP_PING, &outcome);
		assert_int_equal(outcome.status, 0);
		waiter_expect(env, waiters[i], 2);
		waiter_done(env, waiters[i]);
		waiter_done(env, waiters[i]);
	}
	inproc_check(world);
	waiter_purge(env, a.client);
	inproc_check(world);
	for (uint32_t i = 0; i < 6; i += 2) {
		assert_int_equal(waiter_next_answered(env), waiters[i]);
		waiter_drop(env, waiters[i]);
	}
	assert_int_equal(waiter_next_answered(env), 0);
	waiter_done(env, 0);
	inproc_free(world);
}

/* One waiter that waits for others, each of which is answered by itself. */
static void g1_followers(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct env *env = world_env(world);
	uint32_t first, second, last;
	struct outcome outcome;
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	first = waiter_new(env, seat.client, &(struct ticket){ .id = 1 },
			   WIRE_OP_PING, &outcome);
	second = waiter_new(env, seat.client, &(struct ticket){ .id = 2 },
			    WIRE_OP_PING, &outcome);
	last = waiter_new(env, seat.client, &(struct ticket){ .id = 3 },
			  WIRE_OP_PING, &outcome);
	waiter_expect(env, first, 1);
	waiter_expect(env, second, 1);
	waiter_follow(env, last, first);
	waiter_follow(env, last, second);
	waiter_follow(env, last, first);
	assert_int_equal(waiter_at(&env->region, last)->remaining, 2);
	waiter_done(env, second);
	assert_int_equal(waiter_next_answered(env), second);
	assert_int_equal(waiter_next_answered(env), 0);
	waiter_done(env, first);
	assert_int_equal(waiter_next_answered(env), first);
	assert_int_equal(waiter_next_answered(env), last);
	assert_int_equal(waiter_next_answered(env), 0);
	waiter_drop(env, first);
	waiter_drop(env, second);
	waiter_drop(env, last);
	inproc_free(world);
}

static void g2_waits_are_limited(void **state)
{
	const uint32_t sync = TENURE_DESTROY_SYNCHRONOUS;
	struct inproc_config config;
	struct inproc *world;
	uint64_t handles[4];
	struct seat seat;

	(void)state;
	inproc_config_default(&config);
	config.limits.client[CHARGE_WAITS] = 2;
	world = inproc_new(&config);
	seat_take(&seat, world);
	assert_int_equal(seat_create(&seat, 0, 0, 4, NULL, handles), 0);
	inproc_releases(world, INPROC_RELEASES_HELD);
	for (int i = 0; i < 2; i++)
		assert_int_equal(seat_send_destroy(&seat, 0, &handles[i], 1,
						   sync),
				 BROKER_LATER);
	assert_unchanged(&seat, seat_destroy(&seat, 0, &handles[2], 2, sync),
			 -EDQUOT, TENURE_REASON_CLIENT_WAITS);
	assert_int_equal(seat_destroy(&seat, 0, &handles[2], 2, 0), 0);
	inproc_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_a_waiter_is_answered_once),
		cmocka_unit_test(g1_nobody_is_there_to_read),
		cmocka_unit_test(g1_answers_that_nobody_took),
		cmocka_unit_test(g1_followers),
		cmocka_unit_test(g2_waits_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
