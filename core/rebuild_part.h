/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the rebuild share: core/rebuild.c calls them in turn. */
#ifndef CORE_REBUILD_PART_H
#define CORE_REBUILD_PART_H

#include "core/env.h"
#include "core/state.h"

struct rebuild {
	struct env *env;
	struct region *region;
	struct state *state;
	uint64_t *blocks; /* a bit for each unit that somebody has */
	uint32_t items; /* that must come into a queue again */
	int result; /* 0 or -ENOMEM */
};

typedef void rebuild_visit(struct rebuild *r, uint32_t session, uint32_t index,
			   struct slot *slot);

/* Visits each slot in use of those who are there. */
void rebuild_each_slot(struct rebuild *r, rebuild_visit *visit);

static inline bool rebuild_is_index(const struct rebuild *r, enum area area,
				    uint32_t index)
{
	return index > 0 && index < region_area(r->region, area)->used;
}

static inline bool rebuild_is_used(const struct rebuild *r, enum area area,
				   uint32_t index)
{
	const struct record *record;

	if (!rebuild_is_index(r, area, index))
		return false;
	record = pool_at(r->region, area, index);
	return record->in_use != 0;
}

/* Whether a session is whole, and has not ended. */
bool rebuild_is_session(const struct rebuild *r, uint32_t session);

/* No record of an area is in use any more; it says so for all. */
void rebuild_clear(struct rebuild *r, enum area area);

/* The free list of an area: all records that are not in use. */
void rebuild_free_list(struct rebuild *r, enum area area);

/* core/rebuild_slots.c: devices, the fate of each slot, runs of children. */
void rebuild_devices(struct rebuild *r);
void rebuild_fates(struct rebuild *r);
void rebuild_runs(struct rebuild *r);
void rebuild_segments(struct rebuild *r);

/* core/rebuild_memory.c: who holds which memory, and who pays. */
void rebuild_memory(struct rebuild *r);
void rebuild_blocks(struct rebuild *r);

/* core/rebuild_work.c: words, contexts, fences, uses. */
void rebuild_work(struct rebuild *r);

/* core/rebuild_waits.c: who waits for an answer. */
void rebuild_waits(struct rebuild *r);

#endif
