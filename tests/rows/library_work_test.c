/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work in flight, said by the library: A63, A70 to A73, B01, B02, B04 and
 * the ends of contexts and devices.
 *
 * A call that waits for work needs somebody who does that work meanwhile: in
 * process it is the test itself, at the moment when the library would wait;
 * through the daemon it is a second thread on the same connection.
 */
#include "tests/rows/world.h"

#include "tests/support/inproc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum {
	ASSUME = TENURE_DESTROY_ASSUME_NOT_IN_USE,
	SYNC = TENURE_DESTROY_SYNCHRONOUS,
};

struct hand {
	const struct party *party;
	struct tenure_context context;
	uint64_t value;
	atomic_bool done;
	pthread_t thread;
};

static void do_work(void *context)
{
	struct hand *hand = context;

	if (atomic_exchange(&hand->done, true))
		fail_msg("waits although the work is done");
	assert_ok(tenure_context_progress(hand->party->t, hand->context,
					  hand->value));
}

static void *do_work_soon(void *context)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	do_work(context);
	return NULL;
}

/* The work will be done while somebody waits. */
static void hand_start(struct hand *hand, const struct party *party,
		       struct tenure_context context, uint64_t value)
{
	*hand = (struct hand){
		.party = party,
		.context = context,
		.value = value,
	};
	if (party->world->inproc)
		inproc_while_waiting(party->world->inproc, do_work, hand);
	else
		pthread_create(&hand->thread, NULL, do_work_soon, hand);
}

/* Whether it was done before the call returned that waited for it. */
static bool hand_end(struct hand *hand)
{
	bool done = atomic_load(&hand->done);

	if (hand->party->world->inproc)
		inproc_while_waiting(hand->party->world->inproc, NULL, NULL);
	else
		pthread_join(hand->thread, NULL);
	return done;
}

static struct tenure_context make_context(const struct party *party)
{
	struct tenure_context context;

	assert_ok(tenure_context_create(party->t, party->device, &context));
	return context;
}

/* Work that uses these and ends at value. */
static void submit(const struct party *party, struct tenure_context context,
		   uint64_t value, const struct tenure_allocation *list,
		   unsigned int count)
{
	assert_ok(tenure_context_use(party->t, context, list, count));
	assert_ok(tenure_context_submit(party->t, context, value));
}

static void progress(const struct party *party, struct tenure_context context,
		     uint64_t value)
{
	assert_ok(tenure_context_progress(party->t, context, value));
}

/* Long enough for what would happen to have happened. */
static void assert_stores_stay(struct world *world, uint64_t count)
{
	for (int i = 0; i < 5; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
		assert_stores(world, count);
	}
}

static void a63_destroyed_under_work(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_allocation a = make_allocation(&p, PAGE);
	struct tenure_allocation b = make_allocation(&p, PAGE);

	submit(&p, context, 1, &a, 1);
	submit(&p, context, 2, &b, 1);
	assert_ok(destroy_list(&p, &a, 1));
	assert_ok(destroy_list(&p, &b, 1));
	/* A stale use is found out by its submit. */
	assert_ok(tenure_context_use(p.t, context, &a, 1));
	assert_int_equal(tenure_context_submit(p.t, context, 2), -EINVAL);
	assert_int_equal(destroy_list(&p, &a, 1), -EINVAL);
	assert_stores_stay(*state, 2);
	progress(&p, context, 1);
	assert_stores(*state, 1);
	progress(&p, context, 2);
	assert_stores(*state, 0);
	row_proved("A63");
}

/* Two contexts use it; the last one to end lets go. */
static void a70_deferred(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context one = make_context(&p), two = make_context(&p);
	struct tenure_allocation list[3];
	struct tenure_resource resource = make_resource(&p, 0, 3, list);

	submit(&p, one, 5, list, 2);
	submit(&p, two, 9, &list[2], 1);
	assert_ok(destroy(&p, resource.value, NULL, 0, 0));
	assert_int_equal(destroy_resource(&p, resource.value), -EINVAL);
	progress(&p, two, 9);
	assert_stores_stay(*state, 1);
	progress(&p, one, 5);
	assert_stores(*state, 0);
	row_proved("A70");
}

static void a71_assume_not_in_use(void **state)
{
	struct party p = party_new(*state), other = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_context theirs = make_context(&other);
	struct tenure_allocation list[1], opened[1];
	struct tenure_resource resource =
		make_resource(&p, TENURE_CREATE_SHARED, 1, list);
	struct tenure_token token = make_token(&p, resource, TENURE_RIGHT_READ);
	struct tenure_resource opening =
		open_token(&other, &token, 0, 1, opened);

	assert_ok(tenure_token_revoke(p.t, &token));
	submit(&p, context, 1, list, 1);
	submit(&other, theirs, 1, opened, 1);
	/* Its own work is ignored, the other device's is not. */
	assert_ok(destroy(&p, resource.value, NULL, 0, ASSUME));
	assert_int_equal(party_stat(&p).bytes, 0);
	assert_stores(*state, 1);
	assert_ok(destroy(&other, opening.value, NULL, 0, 0));
	assert_stores_stay(*state, 1);
	progress(&other, theirs, 1);
	assert_stores(*state, 0);
	row_proved("A71");
}

static void a72_synchronous(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_allocation a = make_allocation(&p, PAGE);
	struct wire_status status;
	struct hand hand;

	submit(&p, context, 3, &a, 1);
	hand_start(&hand, &p, context, 3);
	assert_ok(destroy(&p, 0, &a, 1, SYNC));
	assert_true(hand_end(&hand));
	world_status(*state, &status);
	assert_int_equal(status.stores, 0);
	row_proved("A72");
}

static void a73_both(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_allocation a = make_allocation(&p, PAGE);
	struct wire_status status;

	submit(&p, context, 3, &a, 1);
	assert_ok(destroy(&p, 0, &a, 1, SYNC | ASSUME));
	world_status(*state, &status);
	assert_int_equal(status.stores, 0);
	progress(&p, context, 3);
	row_proved("A73");
}

/* Recorded, not submitted: the memory outlives the next work all the same. */
static void b01_uses_are_sent_first(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_allocation list[2], opened[2];
	struct tenure_resource resource =
		make_resource(&p, TENURE_CREATE_SHARED, 2, list);
	struct tenure_token token = make_token(&p, resource, TENURE_RIGHT_READ);
	struct tenure_resource opening = open_token(&p, &token, 0, 2, opened);

	assert_ok(tenure_token_revoke(p.t, &token));
	submit(&p, context, 10, NULL, 0);
	/* Created and opened alike. */
	assert_ok(tenure_context_use(p.t, context, &list[1], 1));
	assert_ok(tenure_context_use(p.t, context, &opened[0], 1));
	assert_ok(tenure_resource_destroy(p.t, p.device, resource));
	assert_ok(tenure_resource_destroy(p.t, p.device, opening));
	assert_int_equal(destroy_resource(&p, resource.value), -EINVAL);
	/* The work goes on, and is announced only now. */
	progress(&p, context, 15);
	assert_stores_stay(*state, 1);
	assert_ok(tenure_context_submit(p.t, context, 20));
	assert_stores_stay(*state, 1);
	progress(&p, context, 20);
	assert_stores(*state, 0);
	row_proved("B01");
}

static void b02_refused(void **state)
{
	struct party p = party_new(*state), second = party_second_device(&p);
	struct tenure_context context = make_context(&p);
	struct tenure_allocation list[1];
	struct tenure_resource resource = make_resource(&p, 0, 1, list);

	assert_ok(tenure_context_use(p.t, context, list, 1));
	assert_refused(&p,
		       tenure_resource_destroy(p.t, second.device, resource),
		       -EINVAL, TENURE_REASON_OTHER_DEVICE);
	assert_allocation_alive(&p, list[0]);
	assert_ok(tenure_context_submit(p.t, context, 1));
	assert_ok(tenure_resource_destroy(p.t, p.device, resource));
	assert_stores_stay(*state, 1);
	progress(&p, context, 1);
	assert_stores(*state, 0);
	row_proved("B02");
}

/* All that was deferred is gone when the destroy of the device returns. */
static void b04_nothing_is_left_of_a_device(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_allocation list[2];
	struct tenure_resource resource = make_resource(&p, 0, 2, list);
	struct tenure_allocation a = make_allocation(&p, PAGE);
	struct wire_status status;
	struct hand hand;

	submit(&p, context, 4, list, 2);
	submit(&p, context, 5, &a, 1);
	assert_ok(tenure_resource_destroy(p.t, p.device, resource));
	assert_ok(destroy_list(&p, &a, 1));
	assert_ok(tenure_flush(p.t));
	hand_start(&hand, &p, context, 5);
	assert_ok(tenure_device_destroy(p.t, p.device));
	assert_true(hand_end(&hand));
	world_status(*state, &status);
	assert_int_equal(status.stores, 0);
	assert_int_equal(tenure_context_progress(p.t, context, 6), -EINVAL);
	row_proved("B04");
}

/* Uses whose work was never submitted hold up no end. */
static void ends_do_not_wait_for_open_uses(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context one = make_context(&p), two = make_context(&p);
	struct tenure_allocation list[1];
	struct tenure_resource resource = make_resource(&p, 0, 1, list);
	struct tenure_allocation a = make_allocation(&p, PAGE);
	struct hand hand;

	submit(&p, one, 1, NULL, 0);
	assert_ok(tenure_context_use(p.t, one, list, 1));
	assert_ok(tenure_resource_destroy(p.t, p.device, resource));
	assert_ok(tenure_context_use(p.t, two, &a, 1));
	assert_ok(tenure_flush(p.t));
	assert_ok(destroy_list(&p, &a, 1));
	assert_stores_stay(*state, 2);
	/* Nothing was ever announced on this one. */
	assert_ok(tenure_context_destroy(p.t, two, 0));
	assert_stores(*state, 1);
	/* This one waits for what was, and for no more. */
	hand_start(&hand, &p, one, 1);
	assert_ok(tenure_context_destroy(p.t, one, 0));
	assert_true(hand_end(&hand));
	assert_stores(*state, 0);
	/* And so does a device, and an adapter. */
	one = make_context(&p);
	resource = make_resource(&p, 0, 1, list);
	assert_ok(tenure_context_use(p.t, one, list, 1));
	assert_ok(tenure_resource_destroy(p.t, p.device, resource));
	assert_stores_stay(*state, 1);
	assert_ok(tenure_adapter_close(p.t, p.adapter));
	assert_stores(*state, 0);
}

static void terminated_work_counts_as_done(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context one = make_context(&p), two = make_context(&p);
	struct tenure_allocation a = make_allocation(&p, PAGE);
	struct tenure_allocation b = make_allocation(&p, PAGE);

	submit(&p, one, 1, &a, 1);
	submit(&p, two, 1, &b, 1);
	assert_ok(destroy_list(&p, &a, 1));
	assert_ok(destroy_list(&p, &b, 1));
	assert_stores_stay(*state, 2);
	assert_ok(tenure_context_destroy(p.t, one, TENURE_END_TERMINATE));
	assert_stores(*state, 1);
	assert_ok(tenure_device_terminate(p.t, p.device));
	assert_stores(*state, 0);
}

/* A client that ends takes its work with it, and nobody else's. */
static void death_ends_work(void **state)
{
	struct party p = party_new(*state), other = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_context theirs = make_context(&other);
	struct tenure_allocation a = make_allocation(&p, PAGE);
	struct tenure_allocation b = make_allocation(&other, PAGE);

	submit(&p, context, 7, &a, 1);
	submit(&other, theirs, 7, &b, 1);
	assert_ok(destroy_list(&p, &a, 1));
	assert_ok(destroy_list(&other, &b, 1));
	assert_stores_stay(*state, 2);
	party_end(&p);
	assert_stores(*state, 1);
	progress(&other, theirs, 7);
	assert_stores(*state, 0);
}

/* Nothing but an append and a store, and time for the daemon to fall asleep
 * between them. */
static void frees_that_nobody_sends(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_allocation list[3];

	for (unsigned int i = 0; i < 3; i++)
		list[i] = make_allocation(&p, PAGE);
	for (unsigned int i = 0; i < 3; i++) {
		submit(&p, context, i + 1, &list[i], 1);
		assert_stores_stay(*state, 3 - i);
		assert_ok(tenure_allocations_free(p.t, &list[i], 1));
		assert_stores_stay(*state, 3 - i);
		progress(&p, context, i + 1);
		assert_stores(*state, 2 - i);
	}
}

static void frees_that_nobody_waits_for(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_allocation list[2];
	struct tenure_resource resource = make_resource(&p, 0, 2, list);
	struct tenure_allocation a = make_allocation(&p, PAGE);

	submit(&p, context, 1, &a, 1);
	assert_ok(tenure_context_use(p.t, context, list, 1));
	assert_ok(tenure_allocations_free(p.t, &a, 1));
	assert_ok(tenure_resource_free(p.t, resource));
	assert_ok(tenure_flush(p.t));
	assert_int_equal(tenure_refusals_take(p.t, NULL, 0, NULL), 0);
	assert_stores_stay(*state, 2);
	progress(&p, context, 1);
	assert_stores_stay(*state, 1);
	submit(&p, context, 2, NULL, 0);
	progress(&p, context, 2);
	assert_stores(*state, 0);
}

static const struct CMUnitTest tests[] = {
	world_test(a63_destroyed_under_work),
	world_test(a70_deferred),
	world_test(a71_assume_not_in_use),
	world_test(a72_synchronous),
	world_test(a73_both),
	world_test(b01_uses_are_sent_first),
	world_test(b02_refused),
	world_test(b04_nothing_is_left_of_a_device),
	world_test(ends_do_not_wait_for_open_uses),
	world_test(terminated_work_counts_as_done),
	world_test(death_ends_work),
	world_test(frees_that_nobody_sends),
	world_test(frees_that_nobody_waits_for),
};

WORLD_MAIN("library_work")
