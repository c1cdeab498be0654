/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/patience.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { CAP = 48000, US = 1000 };

/*
 * A client that comes back gap_ns after its last work when it is waited for,
 * and after each wake-up otherwise. Returns what the looking has cost.
 */
static uint64_t live(struct patience *patience, uint64_t gap_ns,
		     unsigned int rounds, unsigned int *ret_found)
{
	uint64_t cost_ns = 0;

	*ret_found = 0;
	while (rounds--) {
		uint64_t window_ns = patience_window_ns(patience);

		if (gap_ns <= window_ns) {
			patience_found(patience, gap_ns);
			(*ret_found)++;
			cost_ns += gap_ns;
		} else {
			patience_lost(patience);
			cost_ns += window_ns;
		}
	}
	return cost_ns;
}

static void test_bounds_g1(void **state)
{
	static const uint64_t gaps[] = {
		0, 1, US, CAP, CAP + 1, 2 * CAP, 3 * CAP, UINT64_MAX
	};
	struct patience patience, none;

	(void)state;
	patience_init(&patience, CAP);
	patience_init(&none, 0);
	for (unsigned int i = 0; i < 10000; i++) {
		uint64_t gap_ns = gaps[i * i % 7 % ARRAY_SIZE(gaps)];
		unsigned int found;

		live(&patience, gap_ns, i % 20, &found);
		live(&none, gap_ns, i % 20, &found);
		assert_true(patience_window_ns(&patience) <= 2 * CAP);
		assert_true(patience_window_ns(&patience) > 0);
		assert_int_equal(patience_window_ns(&none), 0);
	}
}

static void test_slow_clients_g2(void **state)
{
	struct patience patience;
	unsigned int found;

	(void)state;
	patience_init(&patience, CAP);
	assert_true(live(&patience, 100 * CAP, 10000, &found) <=
		    10000 * (uint64_t)CAP / 3 + 10 * CAP);
	assert_int_equal(found, 0);
}

static void test_quick_clients_g3(void **state)
{
	struct patience patience;
	unsigned int found;

	(void)state;
	patience_init(&patience, CAP);
	live(&patience, US, 1000, &found);
	assert_int_equal(found, 1000);
	/* It sleeps sooner after those that were quicker. */
	assert_int_equal(patience_window_ns(&patience), CAP / 4);
	live(&patience, 100 * CAP, 1000, &found);
	assert_int_equal(found, 0);
	/* Was slow, and is quick again. */
	live(&patience, CAP - 1, PATIENCE_PROBE, &found);
	assert_in_range(found, 1, PATIENCE_PROBE);
	live(&patience, CAP - 1, 1000, &found);
	assert_int_equal(found, 1000);
}

/* One whose gap is long only because it has to be woken, too. */
static void test_both_asleep_g3(void **state)
{
	struct patience patience;
	unsigned int found;

	(void)state;
	patience_init(&patience, CAP);
	live(&patience, 100 * CAP, 1000, &found);
	live(&patience, CAP + CAP / 2, PATIENCE_PROBE, &found);
	assert_int_equal(found, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds_g1),
		cmocka_unit_test(test_slow_clients_g2),
		cmocka_unit_test(test_quick_clients_g3),
		cmocka_unit_test(test_both_asleep_g3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
