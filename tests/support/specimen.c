/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Specimen
 *
 * Nothing is pumped by itself, so each thing stays in the phase in which the
 * checker is to see it: a job that is ready and not taken, a session on the
 * ring, an answer that is due, an obituary that waits, free records in the
 * pools, a segment in the depot.
 */
#include "tests/support/specimen.h"
#include "core/session.h"

#include "core/waiter.h"
enum {
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED
};

/* Leaves free records, free blocks and a segment in the depot behind. */
static void leave_traces(struct specimen *sp)
{
	struct seat *m = &sp->maker;
	uint64_t first = m->device, device, resource, tokens[3][2];

	assert_int_equal(seat_device_create(m, m->adapter, &device), 0);
	m->device = device;
	assert_int_equal(seat_create(m, 0, SHARED, 30, &resource, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(seat_share(m, resource, 1, tokens[i]), 0);
	assert_int_equal(seat_device_destroy(m, device), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(seat_revoke(m, tokens[i]), 0);
	m->device = first;
}

static void settle(struct specimen *sp)
{
	struct seat *m = &sp->maker;

	assert_int_equal(seat_create(m, 0, 0, 3, NULL, sp->own), 0);
	assert_int_equal(seat_create(m, 0, 0, 2, NULL, sp->dying), 0);
	assert_int_equal(
		seat_create(m, 0, RESOURCE, 3, &sp->private, sp->child), 0);
	assert_int_equal(seat_create(m, 0, SHARED, 2, &sp->shared, NULL), 0);
	assert_int_equal(seat_share(m, sp->shared, 3, sp->token), 0);
	assert_int_equal(seat_share(m, sp->shared, 1, sp->token), 0);
	assert_int_equal(
		seat_open(&sp->opener, sp->token, 2, &sp->opened, NULL), 0);
}

/* Work in flight with something parked behind it, and a wait for a fence. */
static void work(struct specimen *sp)
{
	struct seat *m = &sp->maker;
	struct wire_fence_wait wait = { .value = 5 };
	uint64_t token[2];

	assert_int_equal(seat_context_create(m, &sp->context, NULL), 0);
	assert_int_equal(seat_context_create(m, &sp->idle, NULL), 0);
	assert_int_equal(seat_create(m, 0, 0, 2, NULL, sp->used), 0);
	assert_int_equal(seat_submit(m, sp->context, 7, sp->used, 2), 0);
	assert_int_equal(seat_submit(m, sp->idle, 3, &sp->used[1], 1), 0);
	assert_int_equal(seat_destroy(m, 0, sp->used, 1, 0), 0);
	assert_int_equal(
		seat_context_allocate(m, sp->context, 0, 2, sp->scratch), 0);
	assert_int_equal(seat_fence_create(m, 0, &sp->fence, NULL), 0);
	assert_int_equal(seat_fence_share(m, sp->fence, 1, token), 0);
	assert_int_equal(
		seat_fence_open(&sp->opener, token, 0, &sp->fence_opened), 0);
	wait.fence = sp->fence_opened;
	assert_int_equal(seat_fence_wait(&sp->opener, 0, &wait, 1),
			 BROKER_LATER);
}

void specimen_make(struct specimen *sp)
{
	struct broker *broker;
	struct outcome outcome;
	uint64_t handle;

	*sp = (struct specimen){ .world = inproc_new(NULL) };
	broker = inproc_broker(sp->world);
	seat_take(&sp->maker, sp->world);
	seat_take_as(&sp->opener, sp->world, 8);
	settle(sp);
	leave_traces(sp);
	work(sp);
	assert_int_equal(seat_create(&sp->opener, 0, 0, 1, NULL, &handle), 0);
	assert_int_equal(inproc_connect(sp->world, NULL, &sp->ended, NULL), 0);
	inproc_pump_by_itself(sp->world, false);
	inproc_kill(sp->world, sp->ended);
	while (broker_tick(broker, 1, 64))
		;
	assert_int_equal(seat_send_destroy(&sp->maker, 0, sp->dying, 2,
					   TENURE_DESTROY_SYNCHRONOUS),
			 BROKER_LATER);
	while (broker_tick(broker, 1, 64))
		;
	assert_int_equal(seat_destroy(&sp->opener, 0, &handle, 1, 0), 0);
	sp->answered = waiter_new(world_env(sp->world), sp->opener.client,
				  &(struct ticket){ .id = 900 }, WIRE_OP_PING,
				  &outcome);
	waiter_expect(world_env(sp->world), sp->answered, 1);
	waiter_done(world_env(sp->world), sp->answered);
	inproc_check(sp->world);
}

void specimen_free(struct specimen *sp)
{
	inproc_pump_by_itself(sp->world, true);
	inproc_free(sp->world);
}

int specimen_setup(void **state)
{
	static struct specimen specimen;

	specimen_make(&specimen);
	*state = &specimen;
	return 0;
}

int specimen_teardown(void **state)
{
	specimen_free(*state);
	return 0;
}
