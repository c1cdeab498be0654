/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/gate.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 20000 };

static struct gate gate;
static unsigned int inside, entries; /* guarded by the gate */

static void *hammer(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		gate_lock(&gate);
		assert(inside == 0);
		inside++;
		entries++;
		inside--;
		gate_unlock(&gate);
	}
	return unused;
}

static void exclusion(unsigned int spins)
{
	pthread_t threads[THREADS];

	entries = 0;
	gate_init(&gate, spins);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, hammer, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	gate_deinit(&gate);
	assert_int_equal(entries, THREADS * ROUNDS);
}

static void test_exclusion_g1(void **state)
{
	(void)state;
	exclusion(0);
	exclusion(500);
}

static void *enter_once(void *unused)
{
	gate_lock(&gate);
	entries++;
	gate_unlock(&gate);
	return unused;
}

/* Whoever waits holds the turnstile. */
static bool somebody_waits(void)
{
	if (pthread_mutex_trylock(&gate.turnstile) != 0)
		return true;
	pthread_mutex_unlock(&gate.turnstile);
	return false;
}

static void nobody_passes(unsigned int spins)
{
	pthread_t waiter;

	entries = 0;
	gate_init(&gate, spins);
	for (unsigned int i = 0; i < 200; i++) {
		gate_lock(&gate);
		assert_int_equal(
			pthread_create(&waiter, NULL, enter_once, NULL), 0);
		while (!somebody_waits())
			sched_yield();
		gate_unlock(&gate);
		gate_lock(&gate);
		assert_int_equal(entries, i + 1);
		gate_unlock(&gate);
		pthread_join(waiter, NULL);
	}
	gate_deinit(&gate);
}

static void test_fairness_g2(void **state)
{
	(void)state;
	nobody_passes(0);
	nobody_passes(500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exclusion_g1),
		cmocka_unit_test(test_fairness_g2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
