/* SPDX-License-Identifier: Apache-2.0 */
/* Deferral: G1 to G4 of core/defer.c, and how it ends with a device. */
#include "tests/support/seat.h"

#include "core/defer.h"

enum {
	ASSUME = TENURE_DESTROY_ASSUME_NOT_IN_USE,
	SYNC = TENURE_DESTROY_SYNCHRONOUS,
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED
};

struct stage {
	struct seat seat;
	uint64_t a, b; /* contexts */
	uint64_t list[3], resource, child[4];
};

static int set_up(void **state)
{
	static struct stage s;

	seat_take(&s.seat, inproc_new(NULL));
	assert_int_equal(seat_context_create(&s.seat, &s.a, NULL), 0);
	assert_int_equal(seat_context_create(&s.seat, &s.b, NULL), 0);
	assert_int_equal(seat_create(&s.seat, 0, 0, 3, NULL, s.list), 0);
	assert_int_equal(
		seat_create(&s.seat, 0, RESOURCE, 4, &s.resource, s.child), 0);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *s = *state;

	inproc_check(s->seat.world);
	inproc_free(s->seat.world);
	return 0;
}

static uint64_t allocations(struct stage *s)
{
	inproc_check(s->seat.world);
	return checking_allocations(inproc_backend(s->seat.world, 0));
}

static void g1_nothing_goes_before_its_work(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;

	assert_int_equal(seat_submit(q, s->a, 1, &s->list[0], 1), 0);
	assert_int_equal(seat_submit(q, s->a, 2, &s->list[1], 1), 0);
	assert_int_equal(seat_destroy(q, 0, s->list, 3, 0), 0);
	/* The handles are dead; the unused one has gone. */
	assert_int_equal(seat_map(q, s->list[0], 0), -EINVAL);
	assert_int_equal(seat_destroy(q, 0, s->list, 1, 0), -EINVAL);
	assert_int_equal(allocations(s), 6);
	assert_int_equal(seat_progress(q, s->a, 1), 0);
	assert_int_equal(allocations(s), 5);
	assert_int_equal(seat_progress(q, s->a, 2), 0);
	assert_int_equal(allocations(s), 4);
}

/* Two contexts: it moves from one to the other. */
static void g1_g2_one_context_after_the_other(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;

	assert_int_equal(seat_submit(q, s->a, 5, &s->list[0], 1), 0);
	assert_int_equal(seat_submit(q, s->b, 7, &s->list[0], 1), 0);
	assert_int_equal(seat_destroy(q, 0, s->list, 1, 0), 0);
	assert_int_equal(allocations(s), 7);
	world_fail_commit(q->world, 1);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_int_equal(allocations(s), 7);
	assert_int_equal(seat_progress(q, s->b, 6), 0);
	assert_int_equal(allocations(s), 7);
	assert_int_equal(seat_progress(q, s->b, 7), 0);
	world_fail_commit(q->world, 0);
	assert_int_equal(allocations(s), 6);
}

static void g1_a_resource_waits_for_every_child(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;

	assert_int_equal(seat_submit(q, s->a, 5, &s->child[1], 1), 0);
	assert_int_equal(seat_submit(q, s->b, 7, &s->child[3], 1), 0);
	assert_int_equal(seat_destroy(q, 0, &s->child[0], 1, 0), 0);
	assert_int_equal(allocations(s), 6);
	assert_int_equal(seat_destroy(q, s->resource, NULL, 0, 0), 0);
	assert_int_equal(allocations(s), 6);
	assert_int_equal(seat_progress(q, s->b, 7), 0);
	assert_int_equal(allocations(s), 6);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_int_equal(allocations(s), 3);
}

/* An allocation destroyed out of a resource may outlive all the others. */
static void an_orphan_keeps_only_the_shell(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;
	struct checking *backend = inproc_backend(q->world, 0);
	struct checking_record record;

	assert_int_equal(seat_submit(q, s->a, 5, &s->child[1], 1), 0);
	assert_int_equal(seat_destroy(q, 0, &s->child[1], 1, 0), 0);
	assert_int_equal(seat_destroy(q, s->resource, NULL, 0, SYNC), 0);
	assert_int_equal(allocations(s), 4);
	assert_int_equal(checking_resources(backend), 1);
	assert_true(checking_record(backend, 0, &record));
	assert_int_equal(record.count, 3);
	assert_int_equal(record.flags, 0);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_int_equal(allocations(s), 3);
	assert_int_equal(checking_resources(backend), 0);
	assert_true(checking_record(backend, 0, &record));
	assert_int_equal(record.count, 0);
	assert_int_equal(record.flags, BACKEND_DESTROY_RESOURCE);
}

/* What others have open is let go of in the same way. */
static void g1_openings_wait_for_their_own_client_only(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat, other;
	uint64_t resource, child, token[2], opened, mine, context;

	seat_take_as(&other, q->world, 8);
	assert_int_equal(seat_context_create(&other, &context, NULL), 0);
	assert_int_equal(seat_create(q, 0, SHARED, 1, &resource, &child), 0);
	assert_int_equal(seat_share(q, resource, 3, token), 0);
	assert_int_equal(seat_open(&other, token, 1, &opened, &mine), 0);
	assert_int_equal(seat_revoke(q, token), 0);
	assert_int_equal(seat_submit(q, s->a, 1, &child, 1), 0);
	assert_int_equal(seat_submit(&other, context, 1, &mine, 1), 0);
	assert_int_equal(seat_send_destroy(q, resource, NULL, 0, ASSUME | SYNC),
			 BROKER_LATER);
	assert_true(seat_heard(q, q->id));
	assert_int_equal(allocations(s), 8);
	assert_int_equal(seat_send_destroy(&other, opened, NULL, 0, SYNC),
			 BROKER_LATER);
	assert_false(seat_heard(&other, other.id));
	assert_int_equal(allocations(s), 8);
	assert_int_equal(seat_progress(&other, context, 1), 0);
	assert_int_equal(allocations(s), 7);
	assert_true(seat_heard(&other, other.id - 1));
}

static void flags_and_completion(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;
	uint64_t id;

	assert_int_equal(seat_submit(q, s->a, 5, s->list, 3), 0);
	assert_int_equal(seat_send_destroy(q, 0, s->list, 1, 0), BROKER_REPLY);
	assert_int_equal(allocations(s), 7);
	assert_int_equal(seat_send_destroy(q, 0, &s->list[1], 1, SYNC),
			 BROKER_LATER);
	id = q->id;
	assert_int_equal(seat_send_destroy(q, 0, &s->list[2], 1, ASSUME | SYNC),
			 BROKER_LATER);
	assert_true(seat_heard(q, q->id));
	assert_int_equal(allocations(s), 6);
	assert_false(seat_heard(q, id));
	assert_int_equal(seat_submit(q, s->a, 9, s->child, 4), 0);
	assert_int_equal(seat_send_destroy(q, s->resource, NULL, 0, ASSUME),
			 BROKER_REPLY);
	assert_int_equal(allocations(s), 2);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_true(seat_heard(q, id));
	assert_int_equal(q->reply.head.status, 0);
	assert_int_equal(allocations(s), 0);
}

static void g3_a_stalled_context_delays_nobody_else(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat, other;
	uint64_t handle, many[200];

	seat_take_as(&other, q->world, 8);
	assert_int_equal(seat_create(q, 0, 0, 200, NULL, many), 0);
	assert_int_equal(seat_submit(q, s->a, 5, many, 200), 0);
	assert_int_equal(seat_destroy(q, 0, many, 200, 0), 0);
	assert_int_equal(seat_create(&other, 0, 0, 1, NULL, &handle), 0);
	assert_int_equal(seat_destroy(&other, 0, &handle, 1, SYNC), 0);
	/* Nor any other context of the same client. */
	assert_int_equal(seat_submit(q, s->b, 1, s->list, 3), 0);
	assert_int_equal(seat_destroy(q, 0, s->list, 3, 0), 0);
	assert_int_equal(seat_progress(q, s->b, 1), 0);
	assert_int_equal(allocations(s), 204);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_int_equal(allocations(s), 4);
}

static void g3_a_move_is_bounded(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;
	uint64_t many[300];
	int64_t budget = 10;

	assert_int_equal(seat_create(q, 0, 0, 300, NULL, many), 0);
	assert_int_equal(seat_submit(q, s->a, 5, many, 300), 0);
	assert_int_equal(seat_destroy(q, 0, many, 300, 0), 0);
	inproc_pump_by_itself(q->world, false);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_true(defer_move(world_env(q->world), q->client, &budget));
	assert_int_equal(budget, 0);
	assert_int_equal(seat_session(q)->n_parked, 290);
	inproc_check(q->world);
	inproc_pump_by_itself(q->world, true);
}

static void device_destroy_waits_for_the_work(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;
	uint64_t wait, end;

	assert_int_equal(seat_submit(q, s->a, 5, s->list, 3), 0);
	assert_int_equal(seat_send_destroy(q, 0, s->list, 1, SYNC),
			 BROKER_LATER);
	wait = q->id;
	assert_unchanged(q,
			 seat_send_device_destroy(q, q->device, 2) ?
				 0 :
				 q->reply.head.status,
			 -EINVAL, TENURE_REASON_FLAGS_RESERVED);
	assert_int_equal(seat_send_device_destroy(q, q->device, 0),
			 BROKER_LATER);
	end = q->id;
	/* Nothing goes, but whoever waited for work is told. */
	assert_int_equal(allocations(s), 7);
	assert_true(seat_heard(q, wait));
	assert_int_equal(q->reply.head.status, -ENODEV);
	assert_int_equal(q->reply.head.reason, TENURE_REASON_DEVICE_REMOVED);
	assert_int_equal(seat_submit(q, s->a, 6, s->list, 1), -ENODEV);
	assert_int_equal(seat_progress(q, s->a, 4), 0);
	assert_false(seat_heard(q, end));
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_true(seat_heard(q, end));
	assert_int_equal(q->reply.head.status, 0);
	assert_int_equal(allocations(s), 0);
}

static void device_destroy_can_terminate_the_work(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;

	assert_int_equal(seat_submit(q, s->a, 5, s->list, 3), 0);
	assert_int_equal(seat_submit(q, s->b, 5, s->child, 4), 0);
	assert_int_equal(seat_destroy(q, 0, s->list, 2, 0), 0);
	assert_int_equal(seat_send_device_destroy(q, q->device,
						  TENURE_END_TERMINATE),
			 BROKER_LATER);
	assert_true(seat_heard(q, q->id));
	assert_int_equal(allocations(s), 0);
}

static void death_is_the_end_of_the_work(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;

	assert_int_equal(seat_submit(q, s->a, 5, s->list, 3), 0);
	assert_int_equal(seat_destroy(q, 0, s->list, 2, SYNC | ASSUME), 0);
	assert_int_equal(seat_send_destroy(q, 0, &s->list[2], 1, SYNC),
			 BROKER_LATER);
	assert_int_equal(seat_send_context_destroy(q, s->a, 0), BROKER_LATER);
	inproc_kill(q->world, q->client);
	assert_int_equal(allocations(s), 0);
}

/* The adapter is gone, the work of the client is not. */
static void a_stopped_adapter_waits_for_the_work(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;

	assert_int_equal(seat_submit(q, s->a, 5, s->list, 3), 0);
	assert_int_equal(seat_event(q, WIRE_TEST_ADAPTER_STOP, 0, q->adapter),
			 0);
	assert_int_equal(allocations(s), 7);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_int_equal(allocations(s), 0);
	assert_int_equal(seat_device_destroy(q, q->device), 0);
}

/* How many are refused. */
static uint32_t free_all(struct seat *q, const uint64_t *handles,
			 uint32_t count)
{
	static struct wire_reply refusals[LIST_ENTRIES_MAX];
	uint32_t refused =
		inproc_free_each(q->world, q->client, handles, count, refusals);

	inproc_pump(q->world);
	return refused;
}

/* On an adapter that does not hear of every close, lists are put behind their
 * work as lists: the entries wait for different contexts and values, one for
 * two contexts, and some for nothing. */
static void g1_a_list_behind_many_contexts(void **state)
{
	enum { CONTEXTS = 40, ENTRIES = 333, PLACES = CONTEXTS + 2 };
	struct stage *s = *state;
	struct seat *q = &s->seat;
	struct checking *backend = inproc_backend(q->world, 1);
	uint64_t adapter, first = q->device, context[PLACES], list[ENTRIES];

	assert_int_equal(seat_adapter_open(q, "other", &adapter), 0);
	assert_int_equal(seat_device_create(q, adapter, &q->device), 0);
	for (int i = 0; i < PLACES; i++)
		assert_int_equal(seat_context_create(q, &context[i], NULL), 0);
	for (int round = 0; round < 2; round++) {
		uint64_t left = ENTRIES - (ENTRIES / PLACES + 1);

		assert_int_equal(seat_create(q, 0, 0, ENTRIES, NULL, list), 0);
		for (uint32_t i = 0; i < ENTRIES; i++)
			if (i % PLACES > 0)
				assert_int_equal(
					seat_submit(q, context[i % PLACES],
						    1 + i + round * 1000,
						    &list[i], 1),
					0);
		/* The last of them all, by a second context, too. */
		assert_int_equal(seat_submit(q, context[0], 7 + round * 1000,
					     &list[PLACES - 1], 1),
				 0);
		if (round == 0)
			assert_int_equal(seat_destroy(q, 0, list, ENTRIES, 0),
					 0);
		else
			assert_int_equal(free_all(q, list, ENTRIES), 0);
		inproc_check(q->world);
		assert_int_equal(checking_allocations(backend), left);
		for (uint32_t i = 0; i < ENTRIES; i++) {
			if (i % PLACES == 0)
				continue;
			assert_int_equal(seat_progress(q, context[i % PLACES],
						       1 + i + round * 1000),
					 0);
			left -= i != PLACES - 1;
			inproc_check(q->world);
			assert_int_equal(checking_allocations(backend), left);
		}
		assert_int_equal(seat_progress(q, context[0], 7 + round * 1000),
				 0);
		assert_int_equal(checking_allocations(backend), 0);
	}
	q->device = first;
}

/* A client that stores into its word all the time. */
static uint64_t read_restless(void *context, uint32_t client, uint32_t word)
{
	(void)client;
	(void)word;
	return ++*(uint64_t *)context;
}

static void g4_a_restless_word_is_read_a_few_times(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;
	struct progress *progress = &world_env(q->world)->config.progress;
	struct progress usual = *progress;
	uint64_t reads = 0;

	assert_int_equal(seat_submit(q, s->a, 1000, s->child, 4), 0);
	assert_int_equal(seat_submit(q, s->b, 1000, s->child, 4), 0);
	progress->context = &reads;
	progress->read = read_restless;
	assert_int_equal(seat_destroy(q, s->resource, NULL, 0, 0), 0);
	*progress = usual;
	assert_in_range(reads, 1, 16);
	assert_int_equal(allocations(s), 7);
	assert_int_equal(seat_progress(q, s->a, 1000), 0);
	assert_int_equal(seat_progress(q, s->b, 1000), 0);
	assert_int_equal(allocations(s), 3);
}

static void no_room_on_the_queue(void **state)
{
	enum { LISTS = 12 };
	static uint64_t many[LISTS][LIST_ENTRIES_MAX];
	struct stage *s = *state;
	struct seat *q = &s->seat;
	uint64_t failed = 0;

	for (int i = 0; i < LISTS; i++) {
		assert_int_equal(seat_create(q, 0, 0, LIST_ENTRIES_MAX, NULL,
					     many[i]),
				 0);
		assert_int_equal(
			seat_submit(q, s->a, 5, many[i], LIST_ENTRIES_MAX), 0);
	}
	for (int i = 0; i < LISTS; i++) {
		int status;

		world_fail_commit(q->world, 1);
		status = seat_destroy(q, 0, many[i], LIST_ENTRIES_MAX, 0);
		world_fail_commit(q->world, 0);
		assert_true(status == 0 || status == -ENOMEM);
		failed += status != 0;
	}
	assert_in_range(failed, 1, LISTS - 1);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_int_equal(allocations(s), 7 + failed * LIST_ENTRIES_MAX);
}

#define on_stage(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_stage(g1_nothing_goes_before_its_work),
		on_stage(g1_g2_one_context_after_the_other),
		on_stage(g1_a_resource_waits_for_every_child),
		on_stage(an_orphan_keeps_only_the_shell),
		on_stage(g1_openings_wait_for_their_own_client_only),
		on_stage(flags_and_completion),
		on_stage(g3_a_stalled_context_delays_nobody_else),
		on_stage(g3_a_move_is_bounded),
		on_stage(device_destroy_waits_for_the_work),
		on_stage(device_destroy_can_terminate_the_work),
		on_stage(death_is_the_end_of_the_work),
		on_stage(a_stopped_adapter_waits_for_the_work),
		on_stage(g1_a_list_behind_many_contexts),
		on_stage(g4_a_restless_word_is_read_a_few_times),
		on_stage(no_room_on_the_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
