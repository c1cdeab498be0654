/* SPDX-License-Identifier: Apache-2.0 */
/* Which work uses an allocation, and which of it is not done. One thread. */
#ifndef CORE_USES_H
#define CORE_USES_H

#include "core/state.h"

/* Values of slot.use_who that are no name of a context. */
enum {
	USE_NONE = 0,
	USE_SET = 1, /* use_value is the first of a chain of struct users */
	USE_ALL = 2, /* every context of the device: shared across contexts */
};

/*
 * How many struct users it takes to note that who uses the allocation: 0 or
 * 1, or -EDQUOT when too many contexts have work on it.
 */
int uses_cost(const struct region *region, uint32_t session,
	      const struct slot *slot, uint32_t who);

/* Up to which value the work of a context is done; all of it, when there is no
 * such context (any more). */
uint64_t uses_done(const struct region *region, uint32_t session, uint32_t who);

/* Notes it in the slot, for which nobody else has unfinished work. */
static inline void uses_note_alone(struct slot *slot, uint32_t who,
				   uint64_t value)
{
	slot->use_who = who;
	slot->use_value = value;
}

/* Notes it; the caller has asked for the cost and reserved it. */
void uses_note(struct region *region, uint32_t session, struct slot *slot,
	       uint32_t who, uint64_t value);

/* Forgets all uses, when the slot goes. */
void uses_forget(struct region *region, uint32_t session, struct slot *slot);

/* What an item has to wait for next. */
struct pending {
	uint32_t context; /* 0: nothing */
	uint64_t value;
	bool again; /* when that is reached, something else may be left */
};

/*
 * What the destroy of an allocation, or of a resource with all its children,
 * has to wait for. after is the context that it has waited for last, or 0. It
 * looks at what the contexts have said so far; it changes nothing.
 */
struct pending uses_pending(const struct region *region, uint32_t session,
			    uint32_t index, uint32_t after);

#endif
