/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned: G1 to G4, with pins that are leaked on purpose. */
#include "core/pinned.h"

#include "tests/support/seat.h"

enum {
	RESOURCE = TENURE_CREATE_RESOURCE,
	MANY = PINNED_AT_ONCE + 40,
};

static uint64_t create(struct seat *s)
{
	uint64_t handle;

	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &handle), 0);
	return handle;
}

/* Whatever is to be done is done, and then nothing is: the broker says so. */
static void settle(struct seat *s)
{
	inproc_pump_all(s->world);
	assert_false(broker_tick(inproc_broker(s->world),
				 inproc_now_ns(s->world), 1));
	inproc_check(s->world);
}

static void wait_a_period(struct seat *s)
{
	inproc_advance_ns(s->world, PINNED_PERIOD_NS);
	settle(s);
}

static void g1_the_rest_goes_on(void **state)
{
	struct seat *s = *state, other;
	uint64_t handle, resource, children[3];
	struct slot *leaked[2];

	seat_take(&other, s->world);
	handle = create(s);
	assert_int_equal(seat_create(s, 0, RESOURCE, 3, &resource, children),
			 0);
	leaked[0] = seat_pin(s, handle);
	leaked[1] = seat_pin(s, children[1]);
	assert_int_equal(seat_destroy(s, 0, &handle, 1, 0), 0);
	assert_int_equal(seat_destroy(s, resource, NULL, 0, 0), 0);
	settle(s);
	/* Of the resource, one child is free, the last. */
	assert_int_equal(seat_session(s)->n_retired, 4);
	assert_int_equal(seat_session(s)->n_pinned, 2);
	/* All their memory is back, and later garbage goes at once. */
	assert_int_equal(checking_stores(inproc_backend(s->world, 0)), 0);
	for (int i = 0; i < 1000; i++) {
		handle = create(s);
		assert_int_equal(seat_destroy(s, 0, &handle, 1,
					      TENURE_DESTROY_SYNCHRONOUS),
				 0);
	}
	settle(s);
	assert_int_equal(seat_session(s)->n_retired, 4);
	table_unpin(leaked[0]);
	table_unpin(leaked[1]);
	wait_a_period(s);
	assert_int_equal(seat_session(s)->n_retired, 0);
	assert_int_equal(seat_session(s)->n_pinned, 0);
	assert_int_equal(broker_due_ns(inproc_broker(s->world)), 0);
}

/* Its device and its session wait for it, other devices of theirs do not. */
static void g1_the_end_waits(void **state)
{
	struct seat *s = *state, dying;
	uint64_t handle, device;
	struct obituary obituary;
	struct slot *leaked, *alive;

	seat_take(&dying, s->world);
	handle = create(&dying);
	leaked = seat_pin(&dying, handle);
	assert_int_equal(seat_device_create(&dying, dying.adapter, &device), 0);
	assert_int_equal(seat_destroy(&dying, 0, &handle, 1, 0), 0);
	assert_int_equal(seat_device_destroy(&dying, device), 0);
	assert_int_equal(seat_send_device_destroy(&dying, dying.device, 0),
			 BROKER_LATER);
	settle(s);
	assert_false(seat_heard(&dying, dying.id));
	/* Another device of it has one that is pinned while it lives. */
	assert_int_equal(
		seat_device_create(&dying, dying.adapter, &dying.device), 0);
	alive = seat_pin(&dying, create(&dying));
	inproc_kill(s->world, dying.client);
	settle(s);
	assert_false(inproc_take_obituary(s->world, dying.client, &obituary));
	assert_int_equal(world_state(s->world)->n_ending, 1);
	table_unpin(leaked);
	wait_a_period(s);
	assert_int_equal(world_state(s->world)->n_ending, 1);
	table_unpin(alive);
	wait_a_period(s);
	assert_true(inproc_take_obituary(s->world, dying.client, &obituary));
	assert_int_equal(world_state(s->world)->n_ending, 0);
}

/* What waits for the slot is answered when it is free. */
static void g1_who_waits_is_answered(void **state)
{
	struct seat *s = *state;
	uint64_t handle = create(s);
	struct slot *leaked = seat_pin(s, handle);

	assert_int_equal(seat_send_destroy(s, 0, &handle, 1,
					   TENURE_DESTROY_SYNCHRONOUS),
			 BROKER_LATER);
	settle(s);
	wait_a_period(s);
	assert_false(seat_heard(s, s->id));
	table_unpin(leaked);
	wait_a_period(s);
	assert_true(seat_heard(s, s->id));
	assert_int_equal(s->reply.head.status, 0);
}

static void g2_one_look_in_a_period(void **state)
{
	struct seat *s = *state;
	struct broker *broker = inproc_broker(s->world);
	struct slot *leaked[MANY];
	uint64_t list[MANY];
	uint32_t left = 100000;

	assert_int_equal(seat_create(s, 0, 0, MANY, NULL, list), 0);
	for (int i = 0; i < MANY; i++)
		leaked[i] = seat_pin(s, list[i]);
	assert_int_equal(seat_destroy(s, 0, list, MANY, 0), 0);
	settle(s);
	assert_int_equal(seat_session(s)->n_pinned, MANY);
	inproc_advance_ns(s->world, PINNED_PERIOD_NS);
	assert_false(
		broker_tick_budget(broker, inproc_now_ns(s->world), &left));
	assert_int_equal(100000 - left, PINNED_AT_ONCE);
	assert_int_equal(broker_due_ns(broker),
			 inproc_now_ns(s->world) + PINNED_PERIOD_NS);
	inproc_advance_ns(s->world, PINNED_PERIOD_NS - 1);
	broker_tick_budget(broker, inproc_now_ns(s->world), &left);
	assert_int_equal(100000 - left, PINNED_AT_ONCE);
	/* Never more than the budget says. */
	inproc_advance_ns(s->world, 1);
	left = 10;
	broker_tick_budget(broker, inproc_now_ns(s->world), &left);
	assert_int_equal(left, 0);
	for (int i = 0; i < MANY; i++)
		table_unpin(leaked[i]);
	wait_a_period(s);
	wait_a_period(s);
	assert_int_equal(seat_session(s)->n_retired, 0);
}

/* The one that is free stands behind others that are not. */
static void g3_freed_at_the_next_look(void **state)
{
	struct seat *s = *state;
	struct slot *leaked[10];
	uint64_t list[10];

	assert_int_equal(seat_create(s, 0, 0, 10, NULL, list), 0);
	for (int i = 0; i < 10; i++)
		leaked[i] = seat_pin(s, list[i]);
	assert_int_equal(seat_destroy(s, 0, list, 10, 0), 0);
	settle(s);
	for (uint32_t i = 0; i < 10; i++) {
		table_unpin(leaked[i * 7 % 10]);
		wait_a_period(s);
		assert_int_equal(seat_session(s)->n_retired, 9 - i);
	}
}

static void g4_each_is_reported_once(void **state)
{
	struct seat *s = *state;
	struct broker *broker = inproc_broker(s->world);
	struct pinned_report report;
	struct slot *leaked[2];
	struct wire_status status;
	uint64_t list[2];
	uint32_t reports[2] = { 0 };

	assert_int_equal(seat_create(s, 0, 0, 2, NULL, list), 0);
	for (int i = 0; i < 2; i++)
		leaked[i] = seat_pin(s, list[i]);
	assert_int_equal(seat_destroy(s, 0, list, 2, 0), 0);
	settle(s);
	assert_false(broker_next_pinned(broker, &report));
	for (int i = 0; i < 40; i++) {
		wait_a_period(s);
		if (!broker_next_pinned(broker, &report))
			continue;
		assert_true(i >= 8);
		assert_int_equal(report.client, s->client);
		assert_int_equal(report.pid, 100);
		assert_int_equal(report.uid, 1000);
		assert_int_equal(report.pins, 1);
		assert_in_range(report.seconds, PINNED_TOLD_S, 4);
		for (int k = 0; k < 2; k++)
			reports[k] += report.handle == list[k];
	}
	assert_int_equal(reports[0], 1);
	assert_int_equal(reports[1], 1);
	broker_status(broker, &status);
	assert_int_equal(status.pinned, 2);
	assert_int_equal(status.pinned_total, 2);
	for (int i = 0; i < 2; i++)
		table_unpin(leaked[i]);
	wait_a_period(s);
	broker_status(broker, &status);
	assert_int_equal(status.pinned, 0);
	assert_int_equal(status.pinned_total, 2);
}

/* Whoever pinned it is gone with his process. */
static void test_adoption(void **state)
{
	struct seat *s = *state;
	uint64_t handle;

	for (int i = 0; i < 2; i++) {
		handle = create(s);
		seat_pin(s, handle);
		assert_int_equal(seat_destroy(s, 0, &handle, 1, 0), 0);
		settle(s);
		assert_int_equal(seat_session(s)->n_pinned, 1);
		if (i == 0)
			inproc_move(s->world);
		else
			inproc_recover(s->world, true);
		wait_a_period(s);
		assert_int_equal(seat_session(s)->n_pinned, 0);
		assert_int_equal(seat_session(s)->n_retired, 0);
	}
}

#define seated(f)                                                      \
	cmocka_unit_test_setup_teardown(f, seat_set_up_without_memfds, \
					seat_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		seated(g1_the_rest_goes_on),
		seated(g1_the_end_waits),
		seated(g1_who_waits_is_answered),
		seated(g2_one_look_in_a_period),
		seated(g3_freed_at_the_next_look),
		seated(g4_each_is_reported_once),
		seated(test_adoption),
	};

	return cmocka_run_group_tests_name("pinned", tests, NULL, NULL);
}
