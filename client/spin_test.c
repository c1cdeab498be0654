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
	for (int i = 0; i < 2 * SPIN_PROBE_EVERY; i++) {
		assert_int_equal(spin_budget_ns(&spin), 0); /* G1 */
		spin_learn(&spin, 10);
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
			spin_learn(&spin, i % 2 ? waited : 1); /* G1 */
		}
	}
}

/* Long waits cost little: all but the probes look for the shortest time. */
static void test_long_waits(void **state)
{
	enum { WAITS = 100 * SPIN_PROBE_EVERY };
	struct spin spin;
	uint64_t sum = 0;

	(void)state;
	spin_init(&spin, 2);
	for (int i = 0; i < 32; i++)
		spin_learn(&spin, NS_PER_S);
	for (int i = 0; i < WAITS; i++) {
		sum += spin_budget_ns(&spin);
		spin_learn(&spin, NS_PER_S);
	}
	assert_true(sum / WAITS <= /* G2 */
		    SPIN_MIN_NS + SPIN_MAX_NS / SPIN_PROBE_EVERY);
}

static void test_becomes_quick(void **state)
{
	struct spin spin;
	int probes = 0;

	(void)state;
	spin_init(&spin, 2);
	for (int i = 0; i < 32; i++)
		spin_learn(&spin, NS_PER_S);
	/* The daemon would answer in 20 us; only a probe can find that out. */
	for (int i = 0; i < SPIN_PROBE_EVERY; i++) {
		bool found = spin_budget_ns(&spin) >= 20000;

		probes += found;
		spin_learn(&spin, found ? 20000 : 70000);
	}
	assert_int_equal(probes, 1);
	assert_true(spin_budget_ns(&spin) >= 20000); /* G3 */
	/* And what is too long comes down again. */
	for (int i = 0; i < 200; i++)
		spin_learn(&spin, 500);
	assert_true(spin_budget_ns(&spin) < 4000);
}

static void test_cpus(void **state)
{
	(void)state;
	assert_true(spin_usable_cpus() >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_waits),
		cmocka_unit_test(test_becomes_quick),
		cmocka_unit_test(test_cpus),
	};

	return cmocka_run_group_tests_name("spin", tests, NULL, NULL);
}
