/* SPDX-License-Identifier: Apache-2.0 */
/* Warm pools: G1 to G3 of core/warm.c, and how they are shown. */
#include "tests/support/seat.h"

#include "core/check_lists.h"
#include "core/inspect.h"

enum { PAGE = 4096 };

struct stage {
	struct seat mine, theirs;
};

static int set_up(void **state)
{
	static struct stage s;

	seat_take(&s.mine, inproc_new(NULL));
	seat_take_as(&s.theirs, s.mine.world, 4711);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *s = *state;

	inproc_check(s->mine.world);
	inproc_free(s->mine.world);
	return 0;
}

static int create(struct seat *seat, uint64_t size, uint64_t *ret_pool)
{
	const struct wire_request head = { .opcode = WIRE_OP_POOL_CREATE,
					   .count = 8,
					   .value = { size, 5000 } };
	int status = seat_ask(seat, head, NULL, 0);

	if (status == 0)
		*ret_pool = seat->reply.head.value[0];
	return status;
}

static int report(struct seat *seat, uint64_t pool, const void *told,
		  uint32_t bytes)
{
	const struct wire_request head = { .opcode = WIRE_OP_POOL_REPORT,
					   .object = pool,
					   .args_bytes = bytes };

	return seat_ask(seat, head, told, bytes);
}

static int destroy(struct seat *seat, uint64_t pool)
{
	const struct wire_request head = { .opcode = WIRE_OP_POOL_DESTROY,
					   .object = pool };

	return seat_ask(seat, head, NULL, 0);
}

/* All rows there are. */
static uint32_t look(struct stage *s, struct wire_pool rows[8])
{
	const struct inspect_page page = {
		.list = INSPECT_POOLS,
		.rows = rows,
		.room_bytes = 8 * sizeof(*rows),
	};
	struct inspected done;

	inspect(world_env(s->mine.world), &page, &done);
	assert_int_equal(done.cursor, 0);
	assert_int_equal(done.bytes, done.count * sizeof(*rows));
	return done.count;
}

static enum tenure_reason reason(const struct seat *seat)
{
	return seat->reply.head.reason;
}

static void what_was_told_is_shown(void **state)
{
	const struct wire_pool_told told = { .free = 1,
					     .hits = 20,
					     .bytes = 3 * PAGE };
	struct stage *s = *state;
	struct wire_pool rows[8];
	uint64_t a = 0, b = 0;

	assert_int_equal(look(s, rows), 0);
	assert_int_equal(create(&s->mine, PAGE, &a), 0);
	assert_int_equal(create(&s->theirs, 2 * PAGE, &b), 0);
	assert_int_not_equal(a, b);
	assert_int_equal(report(&s->theirs, b, &told, sizeof(told)), 0);
	assert_int_equal(look(s, rows), 2);
	assert_int_equal(rows[0].pool, a);
	assert_int_equal(rows[0].client, s->mine.client);
	assert_int_equal(rows[0].size_bytes, PAGE);
	assert_int_equal(rows[0].idle_timeout_ns, 5000);
	assert_int_equal(rows[0].count, 8);
	assert_int_equal(rows[0].told.hits, 0);
	assert_int_equal(rows[1].uid, 4711);
	assert_memory_equal(&rows[1].told, &told, sizeof(told));
	assert_int_equal(destroy(&s->mine, a), 0);
	assert_int_equal(look(s, rows), 1);
	assert_int_equal(rows[0].pool, b);
}

static void g1_only_the_own_ones(void **state)
{
	const struct wire_pool_told told = { 0 };
	struct stage *s = *state;
	uint64_t pool = 0, again = 0;

	assert_int_equal(create(&s->mine, PAGE, &pool), 0);
	assert_int_equal(report(&s->theirs, pool, &told, sizeof(told)),
			 -EINVAL);
	assert_int_equal(reason(&s->theirs), TENURE_REASON_POOL_UNKNOWN);
	assert_int_equal(destroy(&s->theirs, pool), -EINVAL);
	assert_int_equal(reason(&s->theirs), TENURE_REASON_POOL_UNKNOWN);
	assert_int_equal(destroy(&s->mine, 0), -EINVAL);
	assert_int_equal(destroy(&s->mine, pool), 0);
	assert_int_equal(destroy(&s->mine, pool), -EINVAL);
	/* The record is used again, the number is not. */
	assert_int_equal(create(&s->theirs, PAGE, &again), 0);
	assert_int_not_equal(again, pool);
	assert_int_equal(report(&s->mine, pool, &told, sizeof(told)), -EINVAL);
}

static void g2_they_end_with_their_session(void **state)
{
	struct stage *s = *state;
	struct wire_pool rows[8];
	uint64_t pool = 0;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(create(&s->mine, PAGE, &pool), 0);
		assert_int_equal(create(&s->theirs, PAGE, &pool), 0);
	}
	inproc_kill(s->theirs.world, s->theirs.client);
	assert_int_equal(look(s, rows), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rows[i].client, s->mine.client);
}

static void g3_refusals(void **state)
{
	const struct wire_pool_told told = { 0 };
	struct stage *s = *state;
	uint64_t pool = 7, n = 0;

	assert_int_equal(create(&s->mine, 0, &pool), -EINVAL);
	assert_int_equal(reason(&s->mine), TENURE_REASON_SIZE_ZERO);
	assert_int_equal(create(&s->mine, ALLOCATION_BYTES_MAX + 1, &pool),
			 -EINVAL);
	assert_int_equal(reason(&s->mine), TENURE_REASON_SIZE_TOO_LARGE);
	assert_int_equal(pool, 7);
	while (create(&s->mine, PAGE, &pool) == 0)
		n++;
	assert_int_equal(n, POOLS_PER_CLIENT_MAX);
	assert_int_equal(s->mine.reply.head.status, -EDQUOT);
	assert_int_equal(reason(&s->mine), TENURE_REASON_CLIENT_POOLS);
	assert_int_equal(report(&s->mine, pool, &told, sizeof(told) - 8),
			 -EINVAL);
	assert_int_equal(reason(&s->mine), TENURE_REASON_ARGUMENT);
	assert_int_equal(create(&s->theirs, PAGE, &pool), 0);
}

/* A list that is cut, doubled or miscounted is noticed. */
static void the_checker_sees_the_list(void **state)
{
	struct stage *s = *state;
	struct region *region = &world_env(s->mine.world)->region;
	struct session *session = session_at(region, s->mine.client);
	struct broken_list broken;
	uint64_t pool = 0;
	uint32_t first;

	assert_int_equal(create(&s->mine, PAGE, &pool), 0);
	assert_int_equal(create(&s->mine, PAGE, &pool), 0);
	assert_true(check_lists(region, &broken));
	session->n_pools++;
	assert_false(check_lists(region, &broken));
	session->n_pools--;
	first = session->first_pool;
	session->first_pool = warm_pool_at(region, first)->next;
	assert_false(check_lists(region, &broken));
	session->first_pool = first;
	warm_pool_at(region, first)->session = s->theirs.client;
	assert_false(check_lists(region, &broken));
	warm_pool_at(region, first)->session = s->mine.client;
	assert_true(check_lists(region, &broken));
}

#define staged(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		staged(what_was_told_is_shown),
		staged(g1_only_the_own_ones),
		staged(g2_they_end_with_their_session),
		staged(g3_refusals),
		staged(the_checker_sees_the_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
