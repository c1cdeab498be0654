/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which work of which contexts uses an allocation that is to be used again: a
 * buffer of a pool. See uses.c. The connection's lock is the caller's, unless
 * a function says that it takes it.
 */
#ifndef CLIENT_USES_H
#define CLIENT_USES_H

#include "client/keymap.h"
#include "client/word.h"
#include "core/base.h"

struct tenure;
struct use;
struct work;
struct work_context;

/* Of one allocation, in memory of its owner's that does not move. */
struct uses {
	struct keymap_node node; /* in work->watched; key: the allocation */
	struct use *list; /* one for each context */
	uint32_t count, room;
	uint64_t any; /* for uses_any */
};

/* Begins to watch an allocation that no context uses yet; *uses is all zero.
 * Takes the lock. */
void uses_watch(struct tenure *connection, struct uses *uses,
		uint64_t allocation);

/* Ends that, and frees what *uses has. Takes the lock. */
void uses_unwatch(struct tenure *connection, struct uses *uses);

/*
 * Whether anything was recorded since uses_over() said true the last time. By
 * whoever may be asked to give the allocation back, without the lock.
 */
static inline bool uses_any(const struct uses *uses)
{
	return word_is_marked(&uses->any);
}

/*
 * Whether all work that uses the allocation has ended, recorded or submitted:
 * then it is as if there had been none. Takes the lock.
 */
bool uses_over(struct tenure *connection, struct uses *uses);

/* ---- For work.c ---- */

/* Makes sure that uses of those allocations by the context can be recorded: 0
 * or -ENOMEM. Those that are not watched cost one look into an empty map. */
int uses_reserve(struct work *work, const struct work_context *c,
		 const uint64_t *list, unsigned int count);

/* They have become part of the context's batch. */
void uses_record(struct work *work, const struct work_context *c,
		 const uint64_t *list, unsigned int count);

/* The context's batch has been sent as work that ends at value. */
void uses_sent(struct work *work, const struct work_context *c, uint64_t value);

#endif
