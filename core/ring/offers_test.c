/* SPDX-License-Identifier: Apache-2.0 */
/* Offers: G1 to G3, both ends in one thread; models/ has two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/ring/offers.h"

static struct ring_offers offers;
static uint64_t handles[RING_OFFERS];

static int set_up(void **state)
{
	(void)state;
	memset(&offers, 0, sizeof(offers));
	return 0;
}

/* A look: how many were taken. */
static uint32_t look(uint64_t now_ns, uint64_t expected_due_ns)
{
	uint64_t due_ns = 1;
	uint32_t n = offers_take(&offers, now_ns, handles, &due_ns);

	assert_int_equal(due_ns, expected_due_ns);
	return n;
}

static void nothing_was_offered(void **state)
{
	(void)state;
	assert_false(offers_called(&offers));
	assert_int_equal(look(100, 0), 0);
	offers_name(&offers, 3, 33);
	assert_int_equal(look(100, 0), 0);
}

static void g2_taken_when_its_time_has_come(void **state)
{
	const uint64_t until = 5 * NS_PER_S;

	(void)state;
	offers_name(&offers, 7, 77);
	assert_true(offers_make(&offers, 7, until));
	assert_true(offers_called(&offers));
	assert_int_equal(look(1, until), 0);
	assert_false(offers_called(&offers));
	assert_false(offers_is_taken(&offers, 7));
	assert_int_equal(look(until - 1, until - 1 + RING_OFFERS_PERIOD_NS), 0);
	assert_int_equal(look(until, 0), 1);
	assert_int_equal(handles[0], 77);
	assert_true(offers_is_taken(&offers, 7));
	/* Once. */
	assert_int_equal(look(2 * until, 0), 0);
}

static void g1_withdrawn_or_taken(void **state)
{
	(void)state;
	offers_name(&offers, 0, 5);
	offers_make(&offers, 0, 1000);
	assert_true(offers_withdraw(&offers, 0, 1000));
	assert_int_equal(look(2000, 0), 0);
	/* It was, so it is none now. */
	assert_false(offers_withdraw(&offers, 0, 1000));
	offers_make(&offers, 0, 3000);
	assert_int_equal(look(3000, 0), 1);
	assert_false(offers_withdraw(&offers, 0, 3000));
	/* The entry is another allocation's. */
	offers_name(&offers, 0, 6);
	assert_false(offers_is_taken(&offers, 0));
	offers_make(&offers, 0, 4000);
	assert_int_equal(look(4000, 0), 1);
	assert_int_equal(handles[0], 6);
}

/* One rings for the first offer, and for one that ends before the look. */
static void g2_rings_for_what_is_due_earlier(void **state)
{
	const uint64_t s = NS_PER_S;

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		offers_name(&offers, i, i + 1);
	assert_true(offers_make(&offers, 0, 10 * s));
	assert_int_equal(look(s, 10 * s), 0);
	assert_false(offers_make(&offers, 1, 11 * s));
	assert_false(offers_make(&offers, 2, 10 * s));
	assert_false(offers_called(&offers));
	assert_true(offers_make(&offers, 3, 9 * s));
	assert_true(offers_called(&offers));
	assert_int_equal(look(s, 9 * s), 0);
	/* The look at 10 finds three of them, and when the last one is due. */
	assert_int_equal(look(10 * s, 11 * s), 3);
	assert_int_equal(handles[0] + handles[1] + handles[2], 1 + 3 + 4);
	assert_int_equal(look(11 * s, 0), 1);
	/* The earliest decides, wherever it lies. */
	for (uint32_t i = 0; i < 3; i++)
		offers_name(&offers, i, i + 1);
	offers_make(&offers, 0, 22 * s);
	offers_make(&offers, 1, 20 * s);
	offers_make(&offers, 2, 21 * s);
	assert_int_equal(look(11 * s, 20 * s), 0);
	assert_int_equal(look(22 * s, 0), 3);
	/* With none left nobody looks, and the next one rings. */
	offers_name(&offers, 0, 9);
	assert_true(offers_make(&offers, 0, 30 * s));
}

static void g3_many_and_nonsense(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < RING_OFFERS; i++) {
		offers_name(&offers, i, i + 1);
		offers_make(&offers, i, i % 2 ? 1000 : 5000);
	}
	assert_int_equal(look(1000, 1000 + RING_OFFERS_PERIOD_NS),
			 RING_OFFERS / 2);
	assert_int_equal(look(5000, 0), RING_OFFERS / 2);
	for (uint32_t i = 0; i < RING_OFFERS; i++)
		assert_true(offers_is_taken(&offers, i));
	/* A time that has passed before it is offered. */
	offers_name(&offers, 5, 0x1234);
	offers_make(&offers, 5, 1);
	assert_int_equal(look(5000, 0), 1);
	assert_int_equal(handles[0], 0x1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_was_offered, set_up),
		cmocka_unit_test_setup(g2_taken_when_its_time_has_come, set_up),
		cmocka_unit_test_setup(g1_withdrawn_or_taken, set_up),
		cmocka_unit_test_setup(g2_rings_for_what_is_due_earlier,
				       set_up),
		cmocka_unit_test_setup(g3_many_and_nonsense, set_up),
	};

	return cmocka_run_group_tests_name("offers", tests, NULL, NULL);
}
