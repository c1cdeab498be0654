/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the checker share: the sums of one walk, and how a
 * difference is reported. One thread.
 */
#ifndef CORE_CHECK_TALLY_H
#define CORE_CHECK_TALLY_H

#include "core/state.h"

struct session_tally {
	uint64_t used[CHARGE_KINDS];
	uint64_t resources, allocations, retired, devices, tokens;
	uint64_t streamed; /* slots that the items of its streams stand for */
	uint64_t parked; /* items on its timelines */
	uint64_t quiescing;
	uint64_t fence_waits; /* on fences that it signals */
	uint64_t watches, users;
	uint64_t pinned; /* items that are set aside */
	uint64_t opens[ADAPTERS_MAX];
};

struct check {
	const struct region *region;
	const struct state *state;
	struct session_tally *sessions;
	struct account *principals;
	uint32_t *principal_refs;
	uint32_t *store_refs, *object_refs, *object_tokens, *holding_refs;
	uint32_t *store_session; /* who pays for a private store */
	uint32_t *waiter_refs; /* who tells a waiter */
	uint32_t *fence_refs; /* openings and tokens */
	uint32_t *crowd_waits;
	uint8_t *held_units; /* of blocks: whether somebody has them */
	uint64_t block_units, chunks, items, streams, users;
	uint64_t fence_openings;
	uint64_t bytes; /* of memory not yet given back */
	char *message;
	size_t size;
	int result;
};

/* Reports "what [index]: is found, should be expected", once. */
void check_expect(struct check *c, const char *what, uint64_t index,
		  uint64_t found, uint64_t expected);

/* Notes that somebody has a block of that size, or none if it is 0. */
void check_hold_block(struct check *c, uint32_t block, size_t size_bytes);

/* Adds what an account of a session and of its principal must hold. */
void check_owe(struct check *c, uint32_t session, enum charge_kind kind,
	       uint64_t amount);

/* Counts one that will tell a waiter, if it is one. */
void check_tally_waiter(struct check *c, uint32_t waiter);

/* Counts an opening or token of a fence. */
void check_tally_fence(struct check *c, uint32_t fence);

/* Counts an item of a stream or timeline with what it stands for. */
void check_tally_item(struct check *c, uint32_t session, uint32_t item);

static inline uint32_t check_used(const struct check *c, enum area area)
{
	return region_area(c->region, area)->used;
}

static inline bool check_is_used(const struct check *c, enum area area,
				 uint32_t index)
{
	const struct record *record;

	if (index == 0 || index >= check_used(c, area))
		return false;
	record = pool_at(c->region, area, index);
	return record->in_use != 0;
}

#endif
