/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/spin.h"

static void test_alone(void **state)
{
	struct spin spin;

	(void)state;
	spin_init(&spin, 1);
	for (int i = 0; i < 2 * SPIN_PROBE_LAST; i++) {
		assert_int_equal(spin_budget_ns(&spin), 0); /* G1 */
		spin_learn(&spin, 0, 10);
	}
}

static void test_bounds(void **state)
{
	struct spin spin;

	(void)state;
	spin_init(&spin, 2);
	for (uint64_t waited = 1; waited < UINT64_MAX / 16; waited *= 3) {
		for (int i = 0; i < 7; i++) {
			uint32_t budget = spin_budget_ns(&spin);

			assert_in_range(budget, SPIN_MIN_NS, SPIN_MAX_NS);
			spin_learn(&spin, budget, i % 2 ? waited : 1);
		}
	}
}

/* Long waits cost little: all but rare probes look for the shortest time. */
static void test_long_waits(void **state)
{
	enum { WAITS = 100 * SPIN_PROBE_LAST };
	struct spin spin;
	uint64_t sum = 0;

	(void)state;
	spin_init(&spin, 2);
	for (int i = 0; i < WAITS; i++) {
		uint32_t budget = spin_budget_ns(&spin);

		sum += budget;
		spin_learn(&spin, budget, NS_PER_S);
	}
	assert_true(sum / WAITS <= SPIN_MIN_NS + 100); /* G2 */
}

static void test_becomes_quick(void **state)
{
	struct spin spin;
	int found = 0;

	(void)state;
	spin_init(&spin, 2);
	for (int i = 0; i < 32; i++)
		spin_learn(&spin, spin_budget_ns(&spin), NS_PER_S);
	assert_int_equal(spin.budget_ns, SPIN_MIN_NS);
	/* The daemon would answer in 20 us; only a probe can find that out. */
	for (int i = 0; i < SPIN_PROBE_LAST; i++) {
		uint32_t budget = spin_budget_ns(&spin);

		found += budget >= 20000;
		spin_learn(&spin, budget, budget >= 20000 ? 20000 : 70000);
	}
	assert_true(found > SPIN_PROBE_LAST / 2); /* G3 */
	/* And what is too long comes down again. */
	for (int i = 0; i < 200; i++)
		spin_learn(&spin, spin_budget_ns(&spin), 500);
	assert_true(spin.budget_ns < 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_waits),
		cmocka_unit_test(test_becomes_quick),
	};

	return cmocka_run_group_tests_name("spin", tests, NULL, NULL);
}
