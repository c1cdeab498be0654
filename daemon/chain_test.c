/* SPDX-License-Identifier: Apache-2.0 */
/* Chains: G1 and G2 of daemon/chain.c. */
#include "daemon/chain.h"

#include "daemon/port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PORTS = 5 };

static struct port *ports;

static int setup(void **state)
{
	(void)state;
	ports = calloc(PORTS, sizeof(*ports));
	return ports ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(ports);
	return 0;
}

static void expect_empty(const struct chain *chain)
{
	assert_null(chain->first);
	assert_null(chain->last);
	assert_int_equal(chain->count, 0);
}

static void test_in_order_g1(void **state)
{
	struct chain chain = CHAIN_OF(active_node);

	(void)state;
	assert_null(chain_take(&chain));
	for (int i = 0; i < PORTS; i++)
		chain_put(&chain, &ports[i]);
	assert_int_equal(chain.count, PORTS);
	for (int i = 0; i < PORTS; i++)
		assert_ptr_equal(chain_take(&chain), &ports[i]);
	assert_null(chain_take(&chain));
	expect_empty(&chain);
}

/* From the middle and from both ends; what is left keeps its order. */
static void test_remove_g1_g2(void **state)
{
	static const int order[PORTS] = { 2, 0, 4, 1, 3 };
	struct chain chain = CHAIN_OF(timer_node);
	bool gone[PORTS] = { false };

	(void)state;
	for (int i = 0; i < PORTS; i++)
		chain_put(&chain, &ports[i]);
	for (int k = 0; k < PORTS; k++) {
		struct port *port;

		chain_remove(&chain, &ports[order[k]]);
		gone[order[k]] = true;
		assert_null(ports[order[k]].timer_node.next);
		assert_null(ports[order[k]].timer_node.previous);
		port = chain.first;
		for (int i = 0; i < PORTS; i++) {
			if (gone[i])
				continue;
			assert_ptr_equal(port, &ports[i]);
			port = port->timer_node.next;
		}
		assert_null(port);
		assert_int_equal(chain.count, PORTS - 1 - k);
	}
	expect_empty(&chain);
}

/* One port, in chains of two kinds and out of one of them. */
static void test_kinds(void **state)
{
	struct chain active = CHAIN_OF(active_node),
		     timers = CHAIN_OF(timer_node);

	(void)state;
	for (int i = 0; i < 2; i++) {
		chain_put(&active, &ports[i]);
		chain_put(&timers, &ports[1 - i]);
	}
	chain_remove(&active, &ports[0]);
	assert_ptr_equal(chain_take(&timers), &ports[1]);
	assert_ptr_equal(chain_take(&timers), &ports[0]);
	assert_ptr_equal(chain_take(&active), &ports[1]);
}

static void test_all_g1(void **state)
{
	struct chain chain = CHAIN_OF(active_node), all;

	(void)state;
	all = chain_take_all(&chain);
	expect_empty(&all);
	chain_put(&chain, &ports[1]);
	chain_put(&chain, &ports[0]);
	all = chain_take_all(&chain);
	expect_empty(&chain);
	chain_put(&chain, &ports[2]);
	assert_ptr_equal(chain_take(&all), &ports[1]);
	assert_ptr_equal(chain_take(&all), &ports[0]);
	expect_empty(&all);
	assert_ptr_equal(chain_take(&chain), &ports[2]);
}

/* Whichever port it begins with, it is whole in both directions. */
static void test_begin_with_g1(void **state)
{
	struct chain chain = CHAIN_OF(active_node);

	(void)state;
	for (int i = 0; i < PORTS; i++)
		chain_put(&chain, &ports[i]);
	for (int k = 0; k < PORTS; k++) {
		struct port *port, *previous = NULL;
		int n = 0;

		chain_begin_with(&chain, &ports[k]);
		for (port = chain.first; port; port = port->active_node.next) {
			assert_ptr_equal(port, &ports[(k + n++) % PORTS]);
			assert_ptr_equal(port->active_node.previous, previous);
			previous = port;
		}
		assert_int_equal(n, PORTS);
		assert_ptr_equal(chain.last, previous);
		assert_int_equal(chain.count, PORTS);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_in_order_g1),	  TEST(test_remove_g1_g2),
		TEST(test_kinds),	  TEST(test_all_g1),
		TEST(test_begin_with_g1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
