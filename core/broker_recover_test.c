/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning from what somebody else has left, call by call. */
#include "core/broker_recover.h"

#include <stdlib.h>

#include "tests/support/seat.h"

static void jobs_that_were_out_come_again(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct release *job = malloc(sizeof(*job));
	struct seat seat;
	uint64_t list[3], first;

	(void)state;
	assert_non_null(job);
	seat_take(&seat, world);
	assert_int_equal(seat_create(&seat, 0, 0, 3, NULL, list), 0);
	inproc_releases(world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_destroy(&seat, 0, list, 2, 0), 0);
	assert_int_equal(inproc_releases_out(world), 1);
	first = seat_slot(&seat, list[0])->allocation.backing;
	inproc_recover(world, true);
	assert_int_equal(inproc_releases_out(world), 0);
	while (broker_tick(inproc_broker(world), 1, 64))
		;
	assert_true(broker_next_release(inproc_broker(world), job));
	assert_true(job->again);
	assert_int_equal(job->args.count, 2);
	assert_int_equal(job->allocations[0], first);
	broker_release_done(inproc_broker(world), seat.client, -EIO, 0, 1);
	inproc_releases(world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(world);
	assert_int_equal(seat_destroy(&seat, 0, list + 2, 1, 0), 0);
	free(job);
	inproc_free(world);
}

static void jobs_that_were_not_out_are_new(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct release *job = malloc(sizeof(*job));
	struct seat seat;
	uint64_t list[2];

	(void)state;
	assert_non_null(job);
	seat_take(&seat, world);
	assert_int_equal(seat_create(&seat, 0, 0, 2, NULL, list), 0);
	inproc_recover(world, false);
	inproc_pump_by_itself(world, false);
	assert_int_equal(seat_send_destroy(&seat, 0, list, 2, 0), BROKER_REPLY);
	while (broker_tick(inproc_broker(world), 1, 64))
		;
	assert_true(broker_next_release(inproc_broker(world), job));
	assert_false(job->again);
	broker_release_done(inproc_broker(world), seat.client, -EIO, 0, 1);
	inproc_pump_by_itself(world, true);
	free(job);
	inproc_free(world);
}

static void clients_are_told_in_turn(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct broker *broker = inproc_broker(world);
	struct seat one, two;

	(void)state;
	assert_int_equal(broker_next_client(broker, 0), 0);
	seat_take(&one, world);
	seat_take(&two, world);
	assert_int_equal(broker_next_client(broker, 0), one.client);
	assert_int_equal(broker_next_client(broker, one.client), two.client);
	assert_int_equal(broker_next_client(broker, two.client), 0);
	inproc_kill(world, one.client);
	assert_int_equal(broker_next_client(broker, 0), two.client);
	inproc_free(world);
}

/* A synchronous destroy whose work has not ended is still answered. */
static void who_waited_still_waits(void **state)
{
	struct inproc *world = inproc_new(NULL);
	uint64_t context, list[1], id;
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	assert_int_equal(seat_context_create(&seat, &context, NULL), 0);
	assert_int_equal(seat_create(&seat, 0, 0, 1, NULL, list), 0);
	assert_int_equal(seat_submit(&seat, context, 4, list, 1), 0);
	assert_int_equal(seat_send_destroy(&seat, 0, list, 1,
					   TENURE_DESTROY_SYNCHRONOUS),
			 BROKER_LATER);
	id = seat.id;
	inproc_recover(world, true);
	inproc_pump_all(world);
	assert_false(seat_heard(&seat, id));
	assert_int_equal(seat_progress(&seat, context, 4), 0);
	assert_true(seat_heard(&seat, id));
	assert_int_equal(seat.reply.head.status, 0);
	inproc_free(world);
}

/*
 * The destroy of a device was cut short: it goes on, nobody is told, and its
 * work keeps it. Who closes the adapter then waits for it.
 */
static void a_device_that_goes_for_nobody(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct wire_request close = { .opcode = WIRE_OP_ADAPTER_CLOSE };
	struct seat seat;
	uint64_t context;

	(void)state;
	seat_take(&seat, world);
	assert_int_equal(seat_context_create(&seat, &context, NULL), 0);
	assert_int_equal(seat_submit(&seat, context, 4, NULL, 0), 0);
	assert_int_equal(seat_send_device_destroy(&seat, seat.device, 0),
			 BROKER_LATER);
	world_state(world)->call = (struct call_at_work){
		.id = seat.id,
		.client = seat.client,
		.port = BROKER_PORT_SOCKET,
	};
	inproc_recover(world, true);
	inproc_pump_all(world);
	assert_int_equal(seat_device(&seat, seat.device)->waiter, 0);
	close.object = seat.adapter;
	assert_int_equal(seat_send(&seat, close, NULL, 0), BROKER_LATER);
	inproc_pump_all(world);
	inproc_check(world);
	assert_false(seat_heard(&seat, seat.id));
	assert_int_equal(seat_progress(&seat, context, 4), 0);
	assert_true(seat_heard(&seat, seat.id - 1));
	assert_int_equal(seat.reply.head.status, 0);
	inproc_check(world);
	inproc_free(world);
}

/* The job of a destroy is carried out, and who did it dies before he says so;
 * all that can be released again is. */
static void die_with_the_answer(struct seat *seat)
{
	struct checking *backend = inproc_backend(seat->world, 0);

	while (checking_stores(backend) > 0)
		inproc_pump(seat->world);
	assert_int_equal(inproc_releases_out(seat->world), 1);
	inproc_recover(seat->world, false);
	inproc_releases(seat->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(seat->world);
	inproc_check(seat->world);
}

static uint64_t stores_held(struct inproc *world)
{
	struct wire_status status;

	broker_status(inproc_broker(world), &status);
	return status.stores;
}

/*
 * What was said to be unused, and has been released, waits for its work all
 * the same: until that has ended it is counted, and nobody has it.
 */
static void what_was_assumed_waits_without_memory(void **state)
{
	struct inproc *world = inproc_new(NULL);
	uint64_t context, list[1], id;
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	assert_int_equal(seat_context_create(&seat, &context, NULL), 0);
	assert_int_equal(seat_create(&seat, 0, 0, 1, NULL, list), 0);
	assert_int_equal(seat_submit(&seat, context, 4, list, 1), 0);
	inproc_pump_by_itself(world, false);
	inproc_releases(world, INPROC_RELEASES_RANDOM);
	assert_int_equal(
		seat_send_destroy(&seat, 0, list, 1,
				  TENURE_DESTROY_SYNCHRONOUS |
					  TENURE_DESTROY_ASSUME_NOT_IN_USE),
		BROKER_LATER);
	id = seat.id;
	die_with_the_answer(&seat);
	assert_int_equal(stores_held(world), 1);
	assert_false(seat_heard(&seat, id));
	inproc_pump_by_itself(world, true);
	assert_int_equal(seat_progress(&seat, context, 4), 0);
	assert_true(seat_heard(&seat, id));
	assert_int_equal(seat.reply.head.status, 0);
	assert_int_equal(stores_held(world), 0);
	inproc_check(world);
	inproc_free(world);
}

/* The same for one of all contexts: it waits for what was submitted since. */
static void what_all_share_waits_without_memory(void **state)
{
	struct inproc *world = inproc_new(NULL);
	uint64_t context, shared;
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	assert_int_equal(seat_context_create(&seat, &context, NULL), 0);
	assert_int_equal(
		seat_context_allocate(
			&seat, context,
			TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS, 1,
			&shared),
		0);
	inproc_pump_by_itself(world, false);
	inproc_releases(world, INPROC_RELEASES_RANDOM);
	assert_int_equal(seat_context_free(&seat, seat.adapter, shared), 0);
	assert_int_equal(seat_submit(&seat, context, 4, NULL, 0), 0);
	die_with_the_answer(&seat);
	assert_int_equal(stores_held(world), 1);
	inproc_pump_by_itself(world, true);
	assert_int_equal(seat_progress(&seat, context, 4), 0);
	assert_int_equal(stores_held(world), 0);
	inproc_check(world);
	inproc_free(world);
}

/*
 * The connection by which they were sent has ended, and what was on its way
 * with it: whoever comes back begins with none.
 */
static void descriptors_that_nobody_can_acknowledge(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct seat seat;
	uint64_t handle;

	(void)state;
	seat_take(&seat, world);
	assert_int_equal(seat_create(&seat, 0, 0, 1, NULL, &handle), 0);
	for (int i = 0; i < FDS_UNACKNOWLEDGED_MAX; i++)
		assert_int_equal(seat_map(&seat, handle, WIRE_MAP_WANT_FD), 0);
	inproc_recover(world, true);
	for (int i = 0; i < FDS_UNACKNOWLEDGED_MAX; i++)
		assert_int_equal(seat_map(&seat, handle, WIRE_MAP_WANT_FD), 0);
	ping.fds_acked = FDS_UNACKNOWLEDGED_MAX;
	assert_int_equal(seat_ask(&seat, ping, NULL, 0), 0);
	ping.fds_acked = 1;
	assert_int_equal(seat_send(&seat, ping, NULL, 0), BROKER_KILL);
	inproc_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_that_were_out_come_again),
		cmocka_unit_test(jobs_that_were_not_out_are_new),
		cmocka_unit_test(clients_are_told_in_turn),
		cmocka_unit_test(who_waited_still_waits),
		cmocka_unit_test(a_device_that_goes_for_nobody),
		cmocka_unit_test(what_was_assumed_waits_without_memory),
		cmocka_unit_test(what_all_share_waits_without_memory),
		cmocka_unit_test(descriptors_that_nobody_can_acknowledge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
