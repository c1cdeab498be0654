/* SPDX-License-Identifier: Apache-2.0 */
/* Offers: G1 to G3; the test is the daemon that takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/offer.h"
#include "client/world_test.h"

enum { HANDLES = 100 }; /* from here on, which the fake never gives out */

static int set_up(void **state)
{
	static struct world w;

	world_open_ring(&w);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	world_close(*state);
	return 0;
}

/* Takes what is due at a time: how many. */
static uint32_t take(struct world *w, uint64_t now_ns, uint64_t *ret_handles)
{
	uint64_t due_ns;

	return offers_take(&fake_ring_memory(w->ring)->offers, now_ns,
			   ret_handles, &due_ns);
}

static void g1_withdrawn_or_lost(void **state)
{
	static uint64_t handles[RING_OFFERS];
	struct world *w = *state;
	struct offer a, b;

	offer_begin(w->connection, &a, HANDLES);
	offer_begin(w->connection, &b, HANDLES + 1);
	assert_true(offer_withdraw(&a)); /* of what was not offered */
	offer_make(&a, NS_PER_S);
	offer_make(&b, NS_PER_S);
	assert_int_equal(take(w, 1, handles), 0);
	assert_true(offer_withdraw(&a));
	assert_false(offer_is_lost(&b));
	assert_int_equal(take(w, UINT64_MAX - 2, handles), 1);
	assert_int_equal(handles[0], HANDLES + 1);
	assert_true(offer_is_lost(&b));
	assert_false(offer_is_lost(&a));
	assert_false(offer_withdraw(&b));
	offer_end(w->connection, &a);
	offer_end(w->connection, &b);
}

static void for_ever_is_no_offer(void **state)
{
	static uint64_t handles[RING_OFFERS];
	struct world *w = *state;
	struct offer a;

	offer_begin(w->connection, &a, HANDLES);
	offer_make(&a, UINT64_MAX);
	assert_int_equal(take(w, UINT64_MAX - 1, handles), 0);
	assert_true(offer_withdraw(&a));
	/* Very long is, to the end of time. */
	offer_make(&a, UINT64_MAX - 1);
	assert_int_equal(take(w, UINT64_MAX - 2, handles), 0);
	assert_int_equal(take(w, UINT64_MAX - 1, handles), 1);
	assert_false(offer_withdraw(&a));
	offer_end(w->connection, &a);
}

static void g2_entries_are_limited_and_used_again(void **state)
{
	static struct offer offers[RING_OFFERS];
	struct world *w = *state;
	struct offer more;
	uint64_t bits = 0;

	for (uint32_t turn = 0; turn < 2; turn++) {
		bits = 0;
		for (uint32_t i = 0; i < RING_OFFERS; i++) {
			offer_begin(w->connection, &offers[i], HANDLES + i);
			assert_ptr_equal(offers[i].side,
					 w->connection->ringside);
			bits += offers[i].entry;
		}
		assert_int_equal(bits,
				 (uint64_t)RING_OFFERS * (RING_OFFERS - 1) / 2);
		offer_begin(w->connection, &more, HANDLES);
		assert_null(more.side);
		/* G3: what has no entry stays where it is. */
		offer_make(&more, 1);
		assert_false(offer_is_lost(&more));
		assert_true(offer_withdraw(&more));
		offer_end(w->connection, &more);
		for (uint32_t i = 0; i < RING_OFFERS; i++)
			offer_end(w->connection, &offers[i]);
	}
}

static void g3_without_a_ring_there_is_none(void **state)
{
	struct offer offer;
	struct world w;

	(void)state;
	world_open(&w);
	offer_begin(w.connection, &offer, HANDLES);
	assert_null(offer.side);
	offer_make(&offer, 1);
	assert_true(offer_withdraw(&offer));
	offer_end(w.connection, &offer);
	world_close(&w);
}

/* One bell for many offers: whoever looks has said until when he sleeps. */
static void one_bell_for_many(void **state)
{
	static uint64_t handles[RING_OFFERS];
	struct world *w = *state;
	struct ring_offers *offers = &fake_ring_memory(w->ring)->offers;
	struct offer offer;

	offer_begin(w->connection, &offer, HANDLES);
	offer_make(&offer, 10 * NS_PER_S);
	assert_true(offers_called(offers));
	assert_int_equal(take(w, 1, handles), 0);
	for (int i = 0; i < 100; i++) {
		assert_true(offer_withdraw(&offer));
		offer_make(&offer, 10 * NS_PER_S);
		assert_false(offers_called(offers));
	}
	assert_true(offer_withdraw(&offer));
	offer_make(&offer, NS_PER_S);
	assert_true(offers_called(offers));
	assert_true(offer_withdraw(&offer));
	offer_end(w->connection, &offer);
}

static void what_is_lost_is_forgotten(void **state)
{
	struct world *w = *state;
	size_t size = WORLD_PAGE;
	struct tenure_allocation allocation;
	unsigned int asked;
	void *pointer;

	assert_int_equal(tenure_allocation_create(w->connection, w->device,
						  &size, 1, &allocation),
			 0);
	assert_int_equal(tenure_map(w->connection, w->device, allocation,
				    TENURE_MAP_WRITE, &pointer, &size),
			 0);
	asked = fake_daemon_count(w->fake, &w->fake->n_requests);
	offer_forget(w->connection, allocation.value);
	assert_false(world_is_mapped(pointer));
	assert_int_equal(fake_daemon_count(w->fake, &w->fake->n_requests),
			 asked);
	/* Once more is nothing. */
	offer_forget(w->connection, allocation.value);
}

#define test(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(g1_withdrawn_or_lost),
		test(for_ever_is_no_offer),
		test(g2_entries_are_limited_and_used_again),
		cmocka_unit_test(g3_without_a_ring_there_is_none),
		test(one_bell_for_many),
		test(what_is_lost_is_forgotten),
	};

	return cmocka_run_group_tests_name("offer", tests, NULL, NULL);
}
