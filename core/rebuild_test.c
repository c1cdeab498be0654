/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows from something else is spoilt by hand, and must be made new
 * from what it follows from. Deaths between any two stores are the business of
 * tests/integration/killed_test.c.
 */
#include "core/rebuild.h"

#include "core/broker_recover.h"
#include "core/check.h"
#include "core/ring/fence_page.h"
#include "core/uses.h"
#include "tests/support/assassin.h"
#include "tests/support/specimen.h"

#include <unistd.h>

static int rebuild_it(struct specimen *sp)
{
	struct test_pages memory = { 0 };
	struct pages scratch = test_pages_interface(&memory);

	return rebuild(world_env(sp->world), &scratch);
}

/* The backends go by the state that has been put in order, and it is used. */
static void expect_whole(struct specimen *sp)
{
	inproc_check(sp->world);
	inproc_recover(sp->world, false);
	assert_int_equal(seat_destroy(&sp->maker, 0, sp->own, 3, 0), 0);
	assert_int_equal(seat_destroy(&sp->maker, sp->private, NULL, 0, 0), 0);
	assert_int_equal(seat_destroy(&sp->opener, sp->opened, NULL, 0, 0), 0);
}

static void spoil_pools(struct region *region)
{
	static const enum area pools[] = {
		AREA_STORES,  AREA_HOLDINGS, AREA_CHUNKS,   AREA_USERS,
		AREA_WAITERS, AREA_CONTEXTS, AREA_DEVICES,  AREA_FENCES,
		AREA_OBJECTS, AREA_TOKENS,   AREA_SESSIONS, AREA_PRINCIPALS,
		AREA_CROWDS,
	};

	for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
		struct area_head *head = region_area(region, pools[i]);

		head->free_head = head->used > 2 ? 2 : 0;
		head->free_count = 77;
	}
}

static void g1_counters_and_lists_are_made_new(void **state)
{
	struct specimen *sp = *state;
	struct state *s = world_state(sp->world);
	struct session *session = seat_session(&sp->maker);
	struct device *device = seat_device(&sp->maker, sp->maker.device);
	struct context *context = seat_context(&sp->maker, sp->context);

	memset(s->block_free, 0xff, sizeof(s->block_free));
	s->n_items = s->n_streams = s->n_resources = s->n_tokens = 1000;
	s->store_bytes = 1;
	s->n_sessions = s->n_devices = 5555;
	s->ready = s->jobs = s->answered = s->ended = (struct queue){ 9, 9 };
	memset(&session->account, 0x11, sizeof(session->account));
	session->first_device = session->first_token = 3;
	session->first_waiter = session->n_parked = 40;
	session->stream = (struct stream){ 1, 1, 1, 1 };
	device->owner.roomy = device->owner.segments = 1;
	device->owner.live = device->owner.free = 3;
	device->first_context = 7;
	context->timeline.head = 99;
	context->count = 60;
	spoil_pools(world_region(sp->world));
	assert_int_equal(rebuild_it(sp), 0);
	expect_whole(sp);
}

static void g1_runs_are_made_new(void **state)
{
	struct specimen *sp = *state;
	struct slot *resource = seat_slot(&sp->maker, sp->private);
	uint32_t *run =
		block_at(world_region(sp->world), resource->resource.run);

	run[0] = run[1] = run[2] = 0;
	resource->resource.count = 1;
	resource->use_value = 5;
	seat_slot(&sp->maker, sp->child[2])->allocation.position = 17;
	assert_int_equal(rebuild_it(sp), 0);
	assert_int_equal(resource->resource.count, 3);
	expect_whole(sp);
}

static void g3_what_was_never_announced_goes(void **state)
{
	struct specimen *sp = *state;
	struct slot *own = seat_slot(&sp->maker, sp->own[1]);
	struct store *store =
		store_at(world_region(sp->world), own->allocation.store);

	store->born = 0;
	assert_int_equal(rebuild_it(sp), 0);
	assert_int_equal(slot_state(own), SLOT_FREE);
	assert_int_equal(store->record.in_use, 0);
	inproc_recover(sp->world, true);
	assert_int_equal(seat_destroy(&sp->maker, 0, sp->own, 3, 0), -EINVAL);
}

static void g4_a_group_dies_whole(void **state)
{
	struct specimen *sp = *state;

	table_retire(seat_slot(&sp->maker, sp->private));
	assert_int_equal(rebuild_it(sp), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			slot_state(seat_slot(&sp->maker, sp->child[i])),
			SLOT_RETIRED);
	inproc_check(sp->world);
	inproc_recover(sp->world, false);
}

/* A use that was noted for work that was never submitted. */
static void uses_are_cut_to_what_was_submitted(void **state)
{
	struct specimen *sp = *state;
	struct slot *slot = seat_slot(&sp->maker, sp->own[0]);
	struct context *context = seat_context(&sp->maker, sp->context);

	slot->use_who = context->who;
	slot->use_value = context->submitted + 1000;
	assert_int_equal(rebuild_it(sp), 0);
	assert_int_equal(slot->use_value, context->submitted);
	expect_whole(sp);
}

enum { ENTRY = 5, TAG = 9 };

/* The specimen's fence is published; the page that it is read in. */
static struct fence_page *publish(struct specimen *sp)
{
	struct fence_page *page = inproc_page(sp->world, sp->maker.client);
	struct wire_request head = { .opcode = WIRE_OP_RING };

	assert_int_equal(seat_ask(&sp->maker, head, NULL, 0), 0);
	head.opcode = WIRE_OP_FENCE_PAGE;
	assert_int_equal(seat_ask(&sp->maker, head, NULL, 0), 0);
	head = (struct wire_request){ .opcode = WIRE_OP_FENCE_PUBLISH,
				      .device = sp->maker.device,
				      .object = sp->fence,
				      .value = { ENTRY, TAG } };
	assert_int_equal(seat_ask(&sp->maker, head, NULL, 0), 0);
	fence_page_publish(page, ENTRY, TAG);
	return page;
}

/* Its maker was ending it: nobody reads a value any more. */
static void dead_fences_are_not_read(void **state)
{
	struct specimen *sp = *state;
	struct fence_page *page = publish(sp);
	uint64_t value;

	assert_int_equal(rebuild_it(sp), 0);
	assert_true(fence_page_read(page, ENTRY, TAG, &value));
	table_retire(seat_slot(&sp->maker, sp->fence));
	assert_int_equal(rebuild_it(sp), 0);
	assert_false(fence_page_read(page, ENTRY, TAG, &value));
	inproc_recover(sp->world, false);
	assert_int_equal(seat_fence_value(&sp->opener, sp->fence_opened,
					  &value),
			 -ENODEV);
}

/* What the specimen's wait, for 5, comes to when that was stored before. */
static int wait_after(struct specimen *sp, uint64_t stored_value)
{
	const struct region *region = world_region(sp->world);
	struct slot *slot = seat_slot(&sp->maker, sp->fence);
	uint32_t wait = fence_at(region, slot->fence.fence)->first_wait;
	uint64_t id = waiter_at(region, wait_at(region, wait)->waiter)->id;

	fence_page_raise(publish(sp), ENTRY, stored_value);
	table_retire(slot);
	inproc_recover(sp->world, false);
	inproc_pump_all(sp->world);
	assert_true(seat_heard(&sp->opener, id));
	return sp->opener.reply.head.status;
}

static void what_was_stored_before_the_end_counts(void **state)
{
	assert_int_equal(wait_after(*state, 5), 0);
}

static void what_was_not_stored_does_not(void **state)
{
	assert_int_equal(wait_after(*state, 4), -ENODEV);
}

static void g6_again_and_again(void **state)
{
	struct specimen *sp = *state;

	for (int i = 0; i < 5; i++) {
		assert_int_equal(rebuild_it(sp), 0);
		inproc_check(sp->world);
	}
	expect_whole(sp);
}

/* In a copy, which found it half mended. */
static void mend_again(void *context, uint64_t point)
{
	struct specimen *sp = context;

	(void)point;
	inproc_recover(sp->world, false);
	inproc_check(sp->world);
	if (slot_state(seat_slot(&sp->maker, sp->own[1])) != SLOT_FREE)
		_exit(1);
}

static void g6_killed_while_it_mends(void **state)
{
	struct specimen *sp = *state;
	struct slot *own = seat_slot(&sp->maker, sp->own[1]);
	struct assassin assassin = {
		.pages = inproc_pages(sp->world),
		.afterwards = mend_again,
		.context = sp,
		.stride = 17,
		.often = 32,
		.name = "mending",
	};

	if (!assassin_can())
		skip();
	store_at(world_region(sp->world), own->allocation.store)->born = 0;
	table_retire(seat_slot(&sp->maker, sp->private));
	assassin_arm(&assassin);
	assert_int_equal(inproc_take_over(sp->world), 0);
	assassin_disarm(&assassin);
	assert_true(assassin.firsts > 50);
	inproc_recover(sp->world, false);
	inproc_check(sp->world);
}

static void without_memory(void **state)
{
	struct specimen *sp = *state;
	struct test_pages memory = { .fail_reserve = 1 };
	struct pages scratch = test_pages_interface(&memory);

	assert_int_equal(rebuild(world_env(sp->world), &scratch), -ENOMEM);
	memory.fail_commit = 1;
	assert_int_equal(rebuild(world_env(sp->world), &scratch), -ENOMEM);
	assert_int_equal(rebuild(world_env(sp->world), &scratch), 0);
	expect_whole(sp);
}

#define WITH_SPECIMEN(test) \
	cmocka_unit_test_setup_teardown(test, specimen_setup, specimen_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SPECIMEN(g1_counters_and_lists_are_made_new),
		WITH_SPECIMEN(g1_runs_are_made_new),
		WITH_SPECIMEN(g3_what_was_never_announced_goes),
		WITH_SPECIMEN(g4_a_group_dies_whole),
		WITH_SPECIMEN(uses_are_cut_to_what_was_submitted),
		WITH_SPECIMEN(dead_fences_are_not_read),
		WITH_SPECIMEN(what_was_stored_before_the_end_counts),
		WITH_SPECIMEN(what_was_not_stored_does_not),
		WITH_SPECIMEN(g6_again_and_again),
		WITH_SPECIMEN(g6_killed_while_it_mends),
		WITH_SPECIMEN(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
