/* SPDX-License-Identifier: Apache-2.0 */
/* The allocations of a device that goes, straight from its slots to the
 * backend and back. One thread. */
#ifndef CORE_SWEEP_H
#define CORE_SWEEP_H

#include "core/env.h"
#include "core/state.h"

struct release;

enum {
	/* Slots that one job looks at: those of them that are pinned fit into
	 * the chunk that a stream always has. */
	SWEEP_SLOTS = JOB_SLOTS_MAX,
};

/* Whether a slot is a living allocation that belongs to no resource. */
bool sweep_takes(const struct slot *slot);

/*
 * Moves the cursor of a device to its next slot that goes with its allocations:
 * one that sweep_takes, or an allocation of contexts that belongs to none of
 * them. That slot, or 0 when the budget is spent or there is none (left).
 */
uint32_t sweep_find(const struct region *region, struct device *d,
		    int64_t *budget);

/*
 * A job for the allocations from the cursor on, which is at one; the stream of
 * the session is empty, and it has no other job. Takes from the budget what
 * handing it out will visit.
 */
void sweep_start(struct env *env, uint32_t device, int64_t *budget);

/* Fills in the call for it: the same ones whenever it is handed out. */
void sweep_tell(const struct env *env, struct session *s, struct release *ret);

/* Their memory is back: frees the slots, and moves the cursor behind them. */
void sweep_released(struct env *env, uint32_t session);

#endif
