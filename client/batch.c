/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batch
 *
 * A use is noted each time that work is recorded, often for the same few
 * buffers, and sent once for each submit. So a batch is a set: a list of
 * handles as it goes to the daemon, and beside it a table of places in the
 * list, to find a handle again.
 *
 *	list:	[h0] [h1] [h2]             count = 3
 *	table:	. 2 . . 1 . . 3 .          1 + place, 0 is free
 *
 * The table is twice as long as the list can become, and probed in a line, so
 * a search ends after a few steps. A handle that leaves is replaced in the
 * list by the last one, and in the table what follows moves up to close the
 * gap: nothing is left behind that a search would have to step over.
 *
 * A context that never records has no memory here.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  What was added is there, once, until it is removed or all is cleared.
 *  G2  After batch_reserve nothing fails.
 *  G3  A full batch still finds, removes and clears.
 */
#include "client/batch.h"

#include <stdlib.h>

enum { TABLE = 2 * BATCH_MAX };

static_assert((TABLE & (TABLE - 1)) == 0, "places wrap by a mask");
static_assert(BATCH_MAX < UINT16_MAX, "a place fits");

struct batch_room {
	uint64_t list[BATCH_MAX];
	uint16_t table[TABLE];
};

void batch_deinit(struct batch *batch)
{
	free(batch->room);
	*batch = (struct batch){ 0 };
}

int batch_reserve(struct batch *batch)
{
	if (!batch->room)
		batch->room = calloc(1, sizeof(*batch->room));
	return batch->room ? 0 : -ENOMEM;
}

/* Where the search for a handle begins. */
static uint32_t home(uint64_t handle)
{
	return (uint32_t)((handle * UINT64_C(0x9e3779b97f4a7c15)) >> 40) &
	       (TABLE - 1);
}

/* The entry of the table with that handle, or the free one where it would
 * be. */
static uint32_t find(const struct batch_room *room, uint64_t handle)
{
	uint32_t at = home(handle);

	while (room->table[at] != 0 &&
	       room->list[room->table[at] - 1] != handle)
		at = (at + 1) & (TABLE - 1);
	return at;
}

bool batch_has(const struct batch *batch, uint64_t handle)
{
	return batch->count > 0 &&
	       batch->room->table[find(batch->room, handle)] != 0;
}

void batch_add(struct batch *batch, uint64_t handle)
{
	struct batch_room *room = batch->room;
	uint32_t at;

	assert(room && handle != 0);
	at = find(room, handle);
	if (room->table[at] != 0)
		return;
	assert(batch->count < BATCH_MAX);
	room->list[batch->count++] = handle;
	room->table[at] = (uint16_t)batch->count;
}

/* Closes the gap at an entry that was freed: each later entry of the run that
 * may stand there moves up, and leaves the next gap. */
static void close_gap(struct batch_room *room, uint32_t gap)
{
	uint32_t at = gap;

	for (;;) {
		uint32_t distance;

		at = (at + 1) & (TABLE - 1);
		if (room->table[at] == 0)
			break;
		distance = (at - home(room->list[room->table[at] - 1])) &
			   (TABLE - 1);
		if (distance < ((at - gap) & (TABLE - 1)))
			continue;
		room->table[gap] = room->table[at];
		gap = at;
	}
	room->table[gap] = 0;
}

void batch_remove(struct batch *batch, uint64_t handle)
{
	struct batch_room *room = batch->room;
	uint32_t at, place;
	uint64_t last;

	if (!batch_has(batch, handle))
		return;
	at = find(room, handle);
	place = room->table[at] - 1u;
	/* The last one of the list takes its place there, while the table can
	 * still be searched. */
	last = room->list[batch->count - 1];
	room->table[find(room, last)] = (uint16_t)(place + 1);
	room->list[place] = last;
	room->list[batch->count - 1] = handle;
	room->table[at] = (uint16_t)batch->count;
	close_gap(room, at);
	batch->count--;
}

void batch_clear(struct batch *batch)
{
	if (batch->count > 0)
		memset(batch->room->table, 0, sizeof(batch->room->table));
	batch->count = 0;
}

const uint64_t *batch_handles(const struct batch *batch)
{
	return batch->count > 0 ? batch->room->list : NULL;
}
