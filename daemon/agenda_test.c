/* SPDX-License-Identifier: Apache-2.0 */
/* Agenda: G1, against a search through all ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/agenda.h"
#include "tests/support/random.h"

enum { PORTS = 12, STEPS = 20000 };

static struct port ports[PORTS];

static uint64_t earliest(const uint64_t *due_ns)
{
	uint64_t least = 0;

	for (int i = 0; i < PORTS; i++) {
		if (due_ns[i] && (least == 0 || due_ns[i] < least))
			least = due_ns[i];
	}
	return least;
}

static void g1_the_earliest_comes_first(void **state)
{
	struct random random = { 1 };
	struct agenda agenda = { 0 };
	uint64_t due_ns[PORTS] = { 0 };

	(void)state;
	for (int step = 0; step < STEPS; step++) {
		uint32_t i = random_below(&random, PORTS);
		uint64_t now_ns = random_below(&random, 100);
		struct port *due;

		agenda_remove(&agenda, &ports[i]);
		assert_int_equal(ports[i].offers_due_ns, 0);
		/* 0 is not noted. */
		due_ns[i] = random_below(&random, 50);
		ports[i].offers_due_ns = due_ns[i];
		agenda_add(&agenda, &ports[i]);
		assert_int_equal(agenda.due_ns, earliest(due_ns));
		due = agenda_due(&agenda, now_ns);
		assert_int_equal(due != NULL,
				 agenda.due_ns != 0 && agenda.due_ns <= now_ns);
		if (due)
			assert_in_range(due->offers_due_ns, 1, now_ns);
	}
	for (int i = 0; i < PORTS; i++)
		agenda_remove(&agenda, &ports[i]);
	assert_null(agenda.first);
	assert_int_equal(agenda.due_ns, 0);
	agenda_remove(&agenda, &ports[0]);
	assert_null(agenda_due(&agenda, UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_the_earliest_comes_first),
	};

	return cmocka_run_group_tests_name("agenda", tests, NULL, NULL);
}
