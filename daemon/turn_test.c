/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/turn.h"

#include "core/fence_wait.h"

#include "core/limits.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint32_t budget_of(uint64_t items, bool ending)
{
	struct pace pace = { 0 };
	const struct turn_load load = { .items = items, .ending = ending };
	struct turn turn;

	turn_begin(&turn, &pace, &load);
	assert_int_equal(turn.visits, turn.budget);
	return turn.budget;
}

static void test_bounds_g1(void **state)
{
	uint32_t last = 0;

	(void)state;
	assert_int_equal(budget_of(0, false), TURN_VISITS_MIN);
	assert_int_equal(budget_of(0, true), TURN_VISITS_MAX);
	assert_int_equal(budget_of(UINT64_MAX / TURN_VISITS_EACH, false),
			 TURN_VISITS_MAX);
	for (uint64_t items = 1; items < 1 << 20; items += items / 3 + 1) {
		uint32_t budget = budget_of(items, false);

		assert_in_range(budget, TURN_VISITS_MIN, TURN_VISITS_MAX);
		assert_true(budget >= last);
		/* A backlog that is between the bounds goes in TURN_BACKLOG. */
		if (budget > TURN_VISITS_MIN && budget < TURN_VISITS_MAX)
			assert_in_range(items * TURN_VISITS_EACH,
					(uint64_t)budget * TURN_BACKLOG,
					(uint64_t)(budget + 1) * TURN_BACKLOG);
		last = budget;
	}
	assert_int_equal(last, TURN_VISITS_MAX);
}

static void test_releases_end_g1(void **state)
{
	struct pace pace = { 0 };
	struct turn turn;
	unsigned int n = 0;

	(void)state;
	turn_begin(&turn, &pace, &(struct turn_load){ .ending = true });
	for (; turn_may_release(&turn); n++)
		turn_release(&turn, 1, 1);
	assert_int_equal(n, TURN_RELEASES_MAX);
	assert_true(turn_goes_on(&turn));
	turn_begin(&turn, &pace, &(struct turn_load){ .ending = true });
	turn_release(&turn, 1, TURN_RELEASE_BYTES_MAX - 1);
	assert_true(turn_may_release(&turn));
	turn_release(&turn, 1, UINT64_MAX);
	assert_false(turn_may_release(&turn));
	turn_begin(&turn, &pace, &(struct turn_load){ 0 });
	turn_release(&turn, TURN_VISITS_MIN / TURN_VISITS_DONE, 1);
	assert_false(turn_goes_on(&turn));
	assert_false(turn_may_release(&turn));
}

/* Rounds of requests, and turns that take as much as they may. */
struct game {
	struct pace pace;
	uint64_t destroyed, items; /* items: that can go */
	uint64_t loosened, loose; /* loose: waits that are to go, before them */
	unsigned int turns;
};

/* Until no turn is to come before the next request; none of them is larger
 * than it may be. */
static void catch_up(struct game *g)
{
	bool more;

	do {
		const struct turn_load load = { .items = g->items,
						.destroyed = g->destroyed,
						.loose = g->loose,
						.loosened = g->loosened };
		struct turn turn;
		uint64_t go;

		turn_begin(&turn, &g->pace, &load);
		assert_in_range(turn.budget, TURN_VISITS_MIN, TURN_VISITS_MAX);
		go = min_u64(g->loose, turn.visits / (WAIT_VISITS + 1));
		g->loose -= go;
		turn_visit(&turn, go * (WAIT_VISITS + 1));
		go = min_u64(g->items, turn.visits / TURN_VISITS_EACH);
		g->items -= go;
		turn_visit(&turn, go * TURN_VISITS_EACH);
		g->turns++;
		more = g->items > 0 || g->loose > 0;
		if (!turn_end(&turn, &g->pace, more, g->destroyed))
			break;
	} while (more);
}

static void test_backlog_does_not_grow_g2(void **state)
{
	struct random random = { 20 };
	struct game g = { .items = 1000000 };
	bool empty = false;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint64_t before = g.items;
		uint64_t fresh = random_below(&random, 3) == 0 ?
					 random_below(&random, 20000) :
					 0;
		uint64_t fresh_waits;

		g.destroyed += fresh;
		g.items += fresh;
		fresh_waits = random_below(&random, 4) == 0 ?
				      random_below(&random, 2000) :
				      0;
		g.loosened += fresh_waits;
		g.loose += fresh_waits;
		catch_up(&g);
		assert_true(g.items <= before);
		/* It has gone by as much as has come. */
		assert_true(before - g.items >= min_u64(before, fresh));
		empty |= g.items == 0;
	}
	assert_true(empty);
	/* A turn, or those for what has come. */
	assert_true(g.turns <
		    20000 + (g.destroyed * TURN_VISITS_EACH * TURN_CATCH_UP +
			     g.loosened * (WAIT_VISITS + 1)) /
				    TURN_VISITS_MIN);
}

static void test_what_is_not_owed_g3(void **state)
{
	struct pace pace = { 0 };
	struct turn turn;

	(void)state;
	/* A million that the turn itself retires. */
	turn_begin(&turn, &pace, &(struct turn_load){ .ending = true });
	assert_false(turn_end(&turn, &pace, true, 1000000));
	turn_begin(&turn, &pace, &(struct turn_load){ .destroyed = 1000000 });
	assert_int_equal(turn.budget, TURN_VISITS_MIN);
	assert_false(turn_end(&turn, &pace, true, 1000000));
	/* As many by requests, of which nothing can go. */
	turn_begin(&turn, &pace, &(struct turn_load){ .destroyed = 2000000 });
	assert_int_equal(turn.budget, TURN_VISITS_MAX);
	assert_false(turn_end(&turn, &pace, false, 2000000));
	turn_begin(&turn, &pace, &(struct turn_load){ .destroyed = 2000000 });
	assert_int_equal(turn.budget, TURN_VISITS_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds_g1),
		cmocka_unit_test(test_releases_end_g1),
		cmocka_unit_test(test_backlog_does_not_grow_g2),
		cmocka_unit_test(test_what_is_not_owed_g3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
