/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No stale handle is ever accepted, however often slots are used again.
 *
 *	stale_test [PAIRS]
 *
 * PAIRS (10^7) times a handle is created and destroyed in a table whose slots
 * begin LIVES generations before their last one, so that they are used up and
 * die all the time. After each pair two old handles are tried: one of the last
 * few, whose slot has probably been given out again, and one of all that were
 * kept. Now and then everything goes back to the depot, its memory goes and
 * comes back, and another owner goes on. Cites table G1.
 */
#include "core/table.h"

#include <stdlib.h>

#include "tests/support/random.h"
#include "tests/support/seat.h"

enum {
	LIVES = 1000,
	KEPT = 1 << 16,
	LIVE = 64, /* handles at a time */
	ABANDON_EVERY = 1 << 20,
	WARM = 64, /* segments of the other owner */
};

static uint64_t pairs = 10000000;

struct history {
	struct bare bare;
	struct owner owners[2];
	uint32_t turn; /* whose it is */
	struct random random;
	struct handle kept[KEPT], live[LIVE];
	uint64_t n_kept, accepted, tried;
};

static void try_stale(struct history *h, struct handle handle)
{
	const struct region *region = &h->bare.region;

	h->tried++;
	for (uint32_t o = 0; o < 2; o++)
		h->accepted += table_peek(region, h->owners[o].id, handle) !=
			       NULL;
	h->accepted += table_pin(region, h->owners[h->turn].id, handle) != NULL;
}

static void keep(struct history *h, struct handle handle)
{
	h->kept[h->n_kept++ % KEPT] = handle;
}

static struct handle create(struct history *h)
{
	struct region *region = &h->bare.region;
	struct owner *owner = &h->owners[h->turn];

	if (owner->free == 0)
		assert_int_equal(table_reserve(region, owner, 1), 0);
	return table_publish(region, table_take(region, owner),
			     KIND_ALLOCATION);
}

static void destroy(struct history *h, struct handle handle)
{
	struct region *region = &h->bare.region;
	uint32_t index = handle_index(handle);

	table_retire(slot_at(region, index));
	assert_true(table_try_reclaim(region, &h->owners[h->turn], index));
	keep(h, handle);
}

/* Everything goes, memory too, and the other owner goes on. */
static void change_owner(struct history *h)
{
	struct region *region = &h->bare.region;

	for (uint32_t i = 0; i < LIVE; i++) {
		destroy(h, h->live[i]);
		h->live[i] = (struct handle){ 0 };
	}
	table_abandon(region, &h->owners[h->turn]);
	while (table_trim(region, 16) > 0)
		;
	h->turn = 1 - h->turn;
	assert_int_equal(table_reserve(region, &h->owners[h->turn],
				       WARM * SEGMENT_SLOTS),
			 0);
	for (uint32_t i = 0; i < LIVE; i++)
		h->live[i] = create(h);
}

static void one_pair(struct history *h)
{
	uint64_t recent = min_u64(h->n_kept, 256);
	uint64_t kept = min_u64(h->n_kept, KEPT);
	uint32_t i = random_below(&h->random, LIVE);
	struct handle old = h->live[i];

	destroy(h, old);
	h->live[i] = create(h);
	try_stale(h, old);
	if (recent > 0)
		try_stale(h,
			  h->kept[(h->n_kept - 1 -
				   random_below(&h->random, (uint32_t)recent)) %
				  KEPT]);
	try_stale(h,
		  h->kept[random_below(&h->random, (uint32_t)kept + 1) % KEPT]);
}

static void g1_no_stale_handle_is_accepted(void **state)
{
	static struct history h = { .owners = { { .id = 5 }, { .id = 6 } },
				    .random = { 31 } };
	uint64_t dead = 0;

	(void)state;
	bare_init(&h.bare, SLOT_GENERATION_MAX - LIVES);
	/* So many segments that some give their memory back. */
	assert_int_equal(table_stock(&h.bare.region, DEPOT_KEEP + WARM), 0);
	for (uint32_t i = 0; i < LIVE; i++)
		h.live[i] = create(&h);
	for (uint64_t i = 0; i < pairs; i++) {
		one_pair(&h);
		if (i % ABANDON_EVERY == ABANDON_EVERY - 1)
			change_owner(&h);
	}
	for (uint32_t s = 1;
	     s < region_area(&h.bare.region, AREA_SEGMENTS)->used; s++)
		dead += segment_at(&h.bare.region, s)->dead;
	print_message("%llu pairs, %llu stale handles tried, %llu accepted, "
		      "%llu slots used up, %llu MiB given back\n",
		      (unsigned long long)pairs, (unsigned long long)h.tried,
		      (unsigned long long)h.accepted, (unsigned long long)dead,
		      (unsigned long long)(h.bare.memory.cleared_bytes >> 20));
	assert_int_equal(h.accepted, 0);
	assert_true(dead > 0);
	bare_deinit(&h.bare);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_no_stale_handle_is_accepted),
	};

	if (argc > 1)
		pairs = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
