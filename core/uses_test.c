/* SPDX-License-Identifier: Apache-2.0 */
/* Uses: G1 to G3 of core/uses.c. */
#include "tests/support/seat.h"

#include "core/uses.h"
#include "tests/support/random.h"

enum { CONTEXTS = 18, ALLOCATIONS = 4 };

struct stage {
	struct seat seat;
	uint64_t context[CONTEXTS];
	uint64_t resource, list[ALLOCATIONS];
};

static int set_up(void **state)
{
	static struct stage s;

	seat_take(&s.seat, inproc_new(NULL));
	for (int i = 0; i < CONTEXTS; i++)
		assert_int_equal(
			seat_context_create(&s.seat, &s.context[i], NULL), 0);
	assert_int_equal(seat_create(&s.seat, 0, TENURE_CREATE_RESOURCE,
				     ALLOCATIONS, &s.resource, s.list),
			 0);
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

static struct pending pending_of(struct stage *s, uint64_t handle)
{
	return uses_pending(world_region(s->seat.world), s->seat.client,
			    seat_slot_index(&s->seat, handle), 0);
}

static uint32_t index_of(struct stage *s, int context)
{
	return seat_slot(&s->seat, s->context[context])->context.context;
}

static uint32_t users(struct stage *s)
{
	const struct area_head *head =
		region_area(world_region(s->seat.world), AREA_USERS);

	return head->used - 1 - head->free_count;
}

static void g1_one_context(void **state)
{
	struct stage *s = *state;
	struct pending p;

	assert_int_equal(pending_of(s, s->list[0]).context, 0);
	assert_int_equal(seat_submit(&s->seat, s->context[0], 5, s->list, 1),
			 0);
	assert_int_equal(seat_submit(&s->seat, s->context[0], 8, s->list, 1),
			 0);
	p = pending_of(s, s->list[0]);
	assert_int_equal(p.context, index_of(s, 0));
	assert_int_equal(p.value, 8);
	assert_false(p.again);
	assert_int_equal(pending_of(s, s->list[1]).context, 0);
	assert_int_equal(seat_progress(&s->seat, s->context[0], 7), 0);
	assert_int_equal(pending_of(s, s->list[0]).value, 8);
	assert_int_equal(seat_progress(&s->seat, s->context[0], 8), 0);
	assert_int_equal(pending_of(s, s->list[0]).context, 0);
	assert_int_equal(users(s), 0);
}

/* The name of a context that has gone is not that of the next one. */
static void g1_a_context_that_has_gone(void **state)
{
	struct stage *s = *state;
	uint64_t next;
	uint32_t word, old;

	assert_int_equal(seat_submit(&s->seat, s->context[0], 900, s->list, 1),
			 0);
	assert_int_equal(seat_progress(&s->seat, s->context[0], 900), 0);
	old = seat_context(&s->seat, s->context[0])->who;
	assert_int_equal(seat_context_destroy(&s->seat, s->context[0], 0), 0);
	assert_int_equal(seat_context_create(&s->seat, &next, &word), 0);
	assert_int_equal(word, old & 4095);
	assert_int_equal(seat_submit(&s->seat, next, 1, NULL, 0), 0);
	assert_int_equal(pending_of(s, s->list[0]).context, 0);
	assert_int_equal(seat_slot(&s->seat, s->list[0])->use_who, old);
}

/* One list after work of another context, some of which has not ended. */
static void g1_behind_another_context(void **state)
{
	struct stage *s = *state;
	struct pending p;

	assert_int_equal(seat_submit(&s->seat, s->context[0], 3, s->list, 2),
			 0);
	assert_int_equal(
		seat_submit(&s->seat, s->context[0], 4, &s->list[2], 1), 0);
	assert_int_equal(seat_progress(&s->seat, s->context[0], 3), 0);
	assert_int_equal(seat_submit(&s->seat, s->context[1], 7, s->list, 4),
			 0);
	for (int i = 0; i < ALLOCATIONS; i++) {
		p = pending_of(s, s->list[i]);
		assert_int_equal(p.again, i == 2);
		if (i != 2)
			assert_int_equal(p.context, index_of(s, 1));
	}
	assert_int_equal(users(s), 1);
	assert_int_equal(uses_done(world_region(s->seat.world), s->seat.client,
				   seat_context(&s->seat, s->context[0])->who),
			 3);
	assert_int_equal(seat_progress(&s->seat, s->context[1], 7), 0);
	p = pending_of(s, s->list[2]);
	assert_int_equal(p.context, index_of(s, 0));
	assert_int_equal(p.value, 4);
	assert_int_equal(seat_progress(&s->seat, s->context[0], 4), 0);
	assert_int_equal(pending_of(s, s->list[2]).context, 0);
}

static void g1_g3_as_many_as_there_can_be(void **state)
{
	struct stage *s = *state;
	struct pending p;

	for (int i = 0; i < USERS_PER_ALLOCATION_MAX; i++)
		assert_int_equal(
			seat_submit(&s->seat, s->context[i], 3, s->list, 2), 0);
	assert_int_equal(users(s),
			 2 * USERS_PER_ALLOCATION_MAX / USERS_IN_RECORD);
	assert_unchanged(&s->seat,
			 seat_submit(&s->seat, s->context[16], 3, s->list, 3),
			 -EDQUOT, TENURE_REASON_USERS_TOO_MANY);
	assert_int_equal(s->seat.reply.head.index, 0);
	/* One that is there already needs no new place. */
	assert_int_equal(seat_submit(&s->seat, s->context[3], 4, s->list, 2),
			 0);
	p = pending_of(s, s->list[0]);
	assert_true(p.again);
	/* Work that has ended makes room, without a new record. */
	assert_int_equal(seat_progress(&s->seat, s->context[5], 3), 0);
	assert_int_equal(seat_submit(&s->seat, s->context[16], 3, s->list, 2),
			 0);
	assert_int_equal(users(s), 8);
	for (int i = 0; i < CONTEXTS; i++)
		assert_int_equal(seat_progress(&s->seat, s->context[i], 9), 0);
	assert_int_equal(pending_of(s, s->list[0]).context, 0);
	assert_int_equal(seat_destroy(&s->seat, s->resource, NULL, 0, 0), 0);
	assert_int_equal(users(s), 0);
}

static void g2_a_resource_waits_for_all_its_children(void **state)
{
	struct stage *s = *state;
	struct pending p;

	assert_int_equal(seat_submit(&s->seat, s->context[0], 2, s->list, 1),
			 0);
	assert_int_equal(
		seat_submit(&s->seat, s->context[1], 5, &s->list[1], 1), 0);
	assert_int_equal(
		seat_submit(&s->seat, s->context[0], 7, &s->list[3], 1), 0);
	p = pending_of(s, s->resource);
	assert_int_equal(p.context, index_of(s, 0));
	assert_int_equal(p.value, 7);
	assert_true(p.again);
	assert_int_equal(seat_progress(&s->seat, s->context[0], 7), 0);
	p = pending_of(s, s->resource);
	assert_int_equal(p.context, index_of(s, 1));
	assert_int_equal(p.value, 5);
	assert_false(p.again);
}

static void g3_without_memory(void **state)
{
	struct stage *s = *state;

	assert_int_equal(seat_submit(&s->seat, s->context[0], 2, s->list, 4),
			 0);
	world_fail_commit(s->seat.world, 1);
	assert_int_equal(seat_submit(&s->seat, s->context[1], 2, s->list, 4),
			 -ENOMEM);
	world_fail_commit(s->seat.world, 0);
	assert_int_equal(seat_context(&s->seat, s->context[1])->submitted, 0);
	assert_int_equal(pending_of(s, s->list[0]).context, index_of(s, 0));
	assert_false(pending_of(s, s->list[0]).again);
}

/* Records are few for all, so each client and each principal has its limit. */
static void records_are_limited(void **state)
{
	struct stage *s = *state;
	struct region *region = world_region(s->seat.world);
	struct session *session = seat_session(&s->seat);
	struct principal *principal = principal_at(region, session->principal);

	assert_int_equal(seat_submit(&s->seat, s->context[0], 2, s->list, 4),
			 0);
	session->n_users = USERS_PER_CLIENT_MAX - 3;
	assert_unchanged(&s->seat,
			 seat_submit(&s->seat, s->context[1], 2, s->list, 4),
			 -EDQUOT, TENURE_REASON_CLIENT_USERS);
	session->n_users = 0;
	principal->n_users = USERS_PER_PRINCIPAL_MAX - 3;
	assert_unchanged(&s->seat,
			 seat_submit(&s->seat, s->context[1], 2, s->list, 4),
			 -EDQUOT, TENURE_REASON_PRINCIPAL_USERS);
	principal->n_users = 0;
	assert_int_equal(seat_submit(&s->seat, s->context[1], 2, s->list, 4),
			 0);
	assert_int_equal(session->n_users, 4);
	assert_int_equal(principal->n_users, 4);
	assert_int_equal(seat_progress(&s->seat, s->context[0], 2), 0);
	assert_int_equal(seat_progress(&s->seat, s->context[1], 2), 0);
	assert_int_equal(seat_destroy(&s->seat, s->resource, NULL, 0, 0), 0);
	assert_int_equal(session->n_users + principal->n_users, 0);
}

/* Against a table of last values. */
static void g1_against_a_table(void **state)
{
	static uint64_t last[ALLOCATIONS][CONTEXTS];
	uint64_t submitted[CONTEXTS] = { 0 }, done[CONTEXTS] = { 0 };
	struct stage *s = *state;
	struct random random = { 11 };

	memset(last, 0, sizeof(last));
	for (int round = 0; round < 20000; round++) {
		uint32_t c = random_below(&random, 12);
		uint32_t a = random_below(&random, ALLOCATIONS);
		struct pending p;
		uint32_t unfinished = 0;

		if (random_chance(&random, 50)) {
			submitted[c] += 1 + random_below(&random, 3);
			last[a][c] = submitted[c];
			assert_int_equal(seat_submit(&s->seat, s->context[c],
						     submitted[c], &s->list[a],
						     1),
					 0);
		} else if (submitted[c] > done[c]) {
			done[c] += 1 + random_below(&random,
						    (uint32_t)(submitted[c] -
							       done[c]));
			assert_int_equal(seat_progress(&s->seat, s->context[c],
						       done[c]),
					 0);
		}
		for (int i = 0; i < 12; i++)
			unfinished += last[a][i] > done[i];
		p = pending_of(s, s->list[a]);
		assert_int_equal(p.context != 0, unfinished > 0);
		assert_int_equal(p.again, unfinished > 1);
		for (int i = 0; i < 12; i++)
			if (p.context == index_of(s, i))
				assert_int_equal(p.value, last[a][i]);
	}
}

#define on_stage(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_stage(g1_one_context),
		on_stage(g1_a_context_that_has_gone),
		on_stage(g1_behind_another_context),
		on_stage(g1_g3_as_many_as_there_can_be),
		on_stage(g2_a_resource_waits_for_all_its_children),
		on_stage(g3_without_memory),
		on_stage(records_are_limited),
		on_stage(g1_against_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
