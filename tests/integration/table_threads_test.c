/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handle table under real threads: one owner that creates, retires and
 * reclaims, and readers that look up and pin whatever handles they can find,
 * stale ones above all. Small on purpose: few slots, so that they are reused
 * at once and a reader nearly always comes too early or too late.
 *
 * Every incarnation of a slot carries a stamp that its handle alone
 * determines. What a pinned slot says must be that stamp, twice (G3); and a
 * handle whose retirement has been announced must never be found again (G1).
 * ThreadSanitizer watches the accesses themselves.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "core/state.h"
#include "core/table.h"
#include "tests/support/random.h"
#include "tests/support/test_pages.h"

enum { SLOTS = 6, READERS = 3, CYCLES = 20000, PINS = 20000, OWNER = 7 };

struct board {
	struct region region;
	/*
	 * What the owner tells: the handle in each place, and the last one of
	 * that place whose retirement is complete. The first is told without
	 * any order, so that what a reader sees behind a handle is owed to
	 * the table alone; the second is looked at seldom, because its order
	 * would lend the table some.
	 */
	_Atomic uint64_t live[SLOTS], dead[SLOTS];
	atomic_bool stop;
	atomic_uint pinned, wrong_stamp, resurrected;
};

static uint64_t stamp_of(uint32_t index, uint32_t generation)
{
	struct random random = { (uint64_t)generation << 32 | index };

	return random_next(&random);
}

static void read_pinned(struct board *board, const struct slot *slot,
			struct handle handle)
{
	uint64_t stamp =
		stamp_of(handle_index(handle), handle_generation(handle));

	if (slot->allocation.size_bytes != stamp ||
	    slot->allocation.backing != ~stamp ||
	    slot->allocation.size_bytes != stamp)
		atomic_fetch_add(&board->wrong_stamp, 1);
	atomic_fetch_add_explicit(&board->pinned, 1, memory_order_relaxed);
}

static void look_for_the_dead(struct board *board, uint32_t i)
{
	struct handle dead = { atomic_load(&board->dead[i]) };
	struct slot *slot;

	if (dead.value == 0)
		return;
	if (table_peek(&board->region, OWNER, dead) != NULL)
		atomic_fetch_add(&board->resurrected, 1);
	slot = table_pin(&board->region, OWNER, dead);
	if (slot == NULL)
		return;
	atomic_fetch_add(&board->resurrected, 1);
	table_unpin(slot);
}

static void *reader(void *argument)
{
	struct board *board = argument;
	struct random random = { (uintptr_t)&random };

	while (!atomic_load_explicit(&board->stop, memory_order_relaxed)) {
		uint32_t i = random_below(&random, SLOTS);
		struct handle live = { atomic_load_explicit(
			&board->live[i], memory_order_relaxed) };
		struct slot *slot;

		if (random_below(&random, 64) == 0)
			look_for_the_dead(board, i);
		slot = table_pin(&board->region, OWNER, live);
		if (slot == NULL)
			continue;
		read_pinned(board, slot, live);
		table_unpin(slot);
	}
	return NULL;
}

static struct handle create(struct board *board, struct owner *owner)
{
	uint32_t index = table_take(&board->region, owner);
	struct slot *slot = slot_at(&board->region, index);
	uint64_t stamp = stamp_of(
		index, control_generation(atomic_load(&slot->control)));

	slot->allocation.size_bytes = stamp;
	slot->allocation.backing = ~stamp;
	return table_publish(&board->region, index, KIND_ALLOCATION);
}

static void announce(struct board *board, uint32_t i, struct handle handle)
{
	atomic_store_explicit(&board->live[i], handle.value,
			      memory_order_relaxed);
}

/* Retires what is in place i, announces it, and reclaims when it can. */
static void end(struct board *board, struct owner *owner, uint32_t i)
{
	struct handle handle = { atomic_load(&board->live[i]) };

	table_retire(slot_at(&board->region, handle_index(handle)));
	atomic_store(&board->dead[i], handle.value);
	while (!table_try_reclaim(&board->region, owner, handle_index(handle)))
		;
}

static void own(struct board *board, struct owner *owner)
{
	struct random random = { 3 };
	uint32_t i, cycle;

	for (i = 0; i < SLOTS; i++)
		announce(board, i, create(board, owner));
	for (cycle = 0; cycle < CYCLES || atomic_load(&board->pinned) < PINS;
	     cycle++) {
		i = random_below(&random, SLOTS);
		end(board, owner, i);
		assert_int_equal(table_reserve(&board->region, owner, 1), 0);
		announce(board, i, create(board, owner));
	}
	for (i = 0; i < SLOTS; i++)
		end(board, owner, i);
}

static void owner_against_readers(void **state)
{
	static struct board board;
	struct test_pages memory = { 0 };
	struct pages pages = test_pages_interface(&memory);
	struct owner owner = { .id = OWNER };
	pthread_t readers[READERS];
	uint32_t i;

	(void)state;
	assert_int_equal(
		region_init(&board.region, &pages, sizeof(struct state)), 0);
	assert_int_equal(table_init(&board.region, 1), 0);
	assert_int_equal(table_reserve(&board.region, &owner, SLOTS), 0);
	for (i = 0; i < READERS; i++)
		assert_int_equal(
			pthread_create(&readers[i], NULL, reader, &board), 0);
	own(&board, &owner);
	atomic_store(&board.stop, true);
	for (i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	print_message("%u lookups held a pin\n", board.pinned);
	assert_int_equal(board.wrong_stamp, 0);
	assert_int_equal(board.resurrected, 0);
	assert_int_equal(owner.live, 0);
	table_abandon(&board.region, &owner);
	region_deinit(&board.region);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owner_against_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
