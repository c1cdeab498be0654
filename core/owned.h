/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owned: whose a slot is, and lookups that ask for it.
 *
 *	           adopt              leave, or give
 *	 nobody ----------> an owner ---------------> nobody
 *	    ^                                           |
 *	    +----------------- depot <------------------+
 *
 * Each segment has a word that says who owns its slots. It is looked at before
 * the slot, so that a foreign or made-up handle never reads, moves or faults
 * in a foreign line. Beyond that one look proves nothing: the segment may go
 * from one owner to another between it and the look at the slot. Whoever has
 * his handle from its owner does not mind, its generation was that owner's and
 * does not come again. But a thread of the former owner that guesses the next
 * generation finds a slot that is LIVE and not his.
 *
 *	 the asker's thread      the next owner's        a third one's
 *	 word: mine
 *	                         adopts
 *	                         publishes
 *	 slot: LIVE, and pinned
 *	 word: not mine
 *	 unpins
 *	                         reclaims, leaves
 *	                                                 adopts
 *
 * So a pin looks again, and then the answer holds: the look at the slot has
 * acquired what its publisher did before, the adoption too (order PUBLISH),
 * and nobody leaves a segment before he has reclaimed its slots, which waits
 * for the unpin (order UNPIN). The word is the publisher's from the one to the
 * other, and none of its own accesses needs an order: that one adopts after the
 * last has left is the depot's (order DEPOT).
 *
 * A peek leaves nothing behind that a second look could rely on: the segment
 * may have come back meanwhile. Who wants to decide about a handle that may be
 * a guess either keeps owners from changing, as whoever has the broker does,
 * or pins.
 *
 * An owner is a number here. One that has left and whose number is somebody
 * else's now is the same owner.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A pin that succeeds is on a slot of the owner that asked, whoever made
 *      the handle up, and the segment is his until the unpin.
 *  G2  Who is not the segment's owner does not touch the slot.
 *  G3  A peek for an owner finds nothing by a handle of his that is retired,
 *      wherever the segment has gone.
 *  G4  An owner finds what he has published: who has left does not wipe the
 *      next one's name.
 *
 * Progress: wait-free, but for what control_pin() says. This is the text that
 * models/ checks: it must compile as C++, too.
 */
#ifndef CORE_OWNED_H
#define CORE_OWNED_H

#include "core/atomic.h"
#include "core/control.h"
#include "core/depot.h"

/* The owner, or 0: a hint, unless owners cannot change meanwhile. */
static inline uint32_t owned_by(const atomic_u32 *word)
{
	/* relaxed: it only says where to look; the slot's word, and under a
	 * pin a second look, decide */
	return load_relaxed_u32(word);
}

static inline bool owned_is(const atomic_u32 *word, uint32_t owner)
{
	return owned_by(word) == owner && owner != 0;
}

/* Nobody's segment is that owner's. Before he publishes any of its slots. */
static inline void owned_adopt(atomic_u32 *word, uint32_t owner)
{
	/* relaxed: whoever finds a slot of his has acquired its publishing,
	 * which comes later */
	store_relaxed_u32(word, owner);
}

/* It is nobody's again. All of its slots are FREE or DEAD. */
static inline void owned_leave(atomic_u32 *word)
{
	/* relaxed: every pin has been seen to end, and the next owner comes
	 * by the depot */
	store_relaxed_u32(word, 0);
}

/* The same, and whoever takes it from the depot may adopt it at once. */
static inline void owned_give(atomic_u32 *word, struct depot *depot,
			      atomic_u32 *links, uint32_t segment)
{
	owned_leave(word);
	depot_push(depot, links, segment);
}

/* Whether the handle names what is LIVE in a slot of that owner. */
static inline bool owned_peek(const atomic_u32 *word, uint32_t owner,
			      const atomic_u64 *control, struct handle handle)
{
	return owned_is(word, owner) && control_peek(control, handle);
}

/* The same, for certain, and it cannot be reclaimed until control_unpin. */
static inline bool owned_pin(const atomic_u32 *word, uint32_t owner,
			     atomic_u64 *control, struct handle handle)
{
	if (!owned_is(word, owner) || !control_pin(control, handle))
		return false;
	if (owned_by(word) == owner)
		return true;
	control_unpin(control);
	return false;
}

#endif
