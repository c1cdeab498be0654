/* SPDX-License-Identifier: Apache-2.0 */
/* Agenda: G1, against a search through all ports; G2, by its shape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/agenda.h"
#include "tests/support/random.h"

enum { PORTS = 12, STEPS = 20000, CROWD = 3000 };

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
			assert_int_equal(due->offers_due_ns, agenda.due_ns);
	}
	for (int i = 0; i < PORTS; i++)
		agenda_remove(&agenda, &ports[i]);
	assert_null(agenda.first);
	assert_int_equal(agenda.due_ns, 0);
	agenda_remove(&agenda, &ports[0]);
	assert_null(agenda_due(&agenda, UINT64_MAX));
}

/* The number of ports below and with this one, each in its right place. */
static unsigned int weigh(const struct port *port)
{
	const struct agenda_node *node = &port->offers;
	const struct port *below[2] = { node->left, node->right };
	unsigned int ranks[2] = { 0, 0 }, n = 1;

	for (int i = 0; i < 2; i++) {
		if (!below[i])
			continue;
		assert_ptr_equal(below[i]->offers.parent, port);
		assert_true(below[i]->offers_due_ns >= port->offers_due_ns);
		ranks[i] = below[i]->offers.rank;
		n += weigh(below[i]);
	}
	assert_true(ranks[1] <= ranks[0]);
	assert_int_equal(node->rank, ranks[1] + 1);
	/* So the way down on the right is short. */
	assert_true(n >= (1U << node->rank) - 1);
	return n;
}

static void note(struct agenda *agenda, struct port *port, uint64_t due_ns)
{
	port->offers_due_ns = due_ns;
	agenda_add(agenda, port);
}

/* As many as there may be, in several orders, and all due over and over. */
static void g2_short_ways(void **state)
{
	static struct port crowd[CROWD];
	struct random random = { 2 };
	struct agenda agenda = { 0 };
	uint64_t now_ns = CROWD;

	(void)state;
	for (uint64_t i = 0; i < CROWD; i++)
		note(&agenda, &crowd[i], i < 1000 ? i + 1 : CROWD - i);
	assert_int_equal(weigh(agenda.first), CROWD);
	for (int i = 0; i < 4 * CROWD; i++) {
		struct port *port = agenda_due(&agenda, now_ns);

		assert_non_null(port);
		agenda_remove(&agenda, port);
		note(&agenda, port, now_ns);
		now_ns += i % 3 == 0;
	}
	assert_int_equal(weigh(agenda.first), CROWD);
	for (int i = 0; i < CROWD; i++) {
		agenda_remove(&agenda, &crowd[random_below(&random, CROWD)]);
		if (i % 500 == 0)
			weigh(agenda.first);
	}
	for (int i = 0; i < CROWD; i++)
		agenda_remove(&agenda, &crowd[i]);
	assert_null(agenda.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_the_earliest_comes_first),
		cmocka_unit_test(g2_short_ways),
	};

	return cmocka_run_group_tests_name("agenda", tests, NULL, NULL);
}
