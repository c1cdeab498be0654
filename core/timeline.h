/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits for the progress of one context, in the order of the values that
 * it waits for. One thread.
 */
#ifndef CORE_TIMELINE_H
#define CORE_TIMELINE_H

#include "core/state.h"

static inline bool timeline_is_empty(const struct timeline *timeline)
{
	return timeline->head == 0;
}

/* Whether the first item waits for no more than done. */
static inline bool timeline_is_reached(const struct timeline *timeline,
				       uint64_t done)
{
	return !timeline_is_empty(timeline) && timeline->first_value <= done;
}

/*
 * Appends an item that waits for value. The caller has reserved
 * (stream_reserve). A value below the last one is rounded up to it.
 */
void timeline_append(struct region *region, struct timeline *timeline,
		     uint64_t value, uint32_t item);

/*
 * Appends an item to the last record, if that waits for the value or a later
 * one and has room. The caller counts it in state.n_items. The chunks are
 * those of the region, from number 0 on.
 */
static ALWAYS_INLINE bool timeline_extend(struct chunk *chunks,
					  struct timeline *timeline,
					  uint64_t value, uint32_t item)
{
	if (timeline_is_empty(timeline) || value > timeline->last_value ||
	    timeline->used == CHUNK_ITEMS)
		return false;
	chunks[timeline->tail].items[timeline->used++] = item;
	return true;
}

/* Takes items that wait for no more than done, up to most: how many. One that
 * is marked ITEM_AGAIN is taken alone. */
uint32_t timeline_take(struct region *region, struct timeline *timeline,
		       uint64_t done, uint32_t *ret_items, uint32_t most);

/*
 * Calls visit for each item with the value that it waits for, first to last,
 * and returns how many chunks there are. For the checker and for people.
 */
uint32_t
timeline_walk(const struct region *region, const struct timeline *timeline,
	      void (*visit)(void *context, uint64_t value, uint32_t item),
	      void *context);

#endif
