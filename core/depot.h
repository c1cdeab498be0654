/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Depot: whole segments on their way from one owner to the next.
 *
 *	head [ tag | id ] --> links[id] --> links[...] --> 0
 *
 * A stack of numbers. The link of each number lies in an array that is never
 * freed, so whoever lost a race reads an old link, not foreign memory; and
 * each change of the head adds one to its tag, so that an old link is never
 * installed: without the tag, a number that was popped and pushed again
 * between a rival's read of the link and its compare-and-swap would leave two
 * owners of what lay below it.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A number that was pushed once is popped once.
 *  G2  What the pusher wrote before is visible to the popper.
 *
 * Progress: lock-free. Any thread. The tag wraps after 2^32 changes; a thread
 * would have to sleep through exactly that many between two instructions.
 *
 * This is the text that models/ checks: it must compile as C++, too.
 */
#ifndef CORE_DEPOT_H
#define CORE_DEPOT_H

#include "core/atomic.h"
#include "core/base.h"

struct depot {
	atomic_u64 head; /* tag in the high half, id in the low one */
};

static inline uint64_t depot_head(uint64_t before, uint32_t id)
{
	return ((before >> 32) + 1) << 32 | id;
}

/* The number on top, or 0: for one thread, or as a hint. */
static inline uint32_t depot_top(const struct depot *depot)
{
	/* relaxed: a hint */
	return (uint32_t)load_relaxed_u64(&depot->head);
}

/* The number below another: for one thread only. */
static inline uint32_t depot_below(const atomic_u32 *links, uint32_t id)
{
	/* relaxed: there is one thread */
	return load_relaxed_u32(&links[id]);
}

/* Puts a number other than 0 on top. It must not be in the depot. */
static inline void depot_push(struct depot *depot, atomic_u32 *links,
			      uint32_t id)
{
	/* relaxed: the compare-and-swap decides */
	uint64_t head = load_relaxed_u64(&depot->head);

	assert(id != 0);
	do {
		/* relaxed: published by the head */
		store_relaxed_u32(&links[id], (uint32_t)head);
		/* order DEPOT: pairs with the acquire in depot_pop(): the
		 * link, and what its owner wrote into the segment */
	} while (!cas_weak_release_u64(&depot->head, &head,
				       depot_head(head, id)));
}

/* Takes the number on top, or 0. */
static inline uint32_t depot_pop(struct depot *depot, atomic_u32 *links)
{
	/* order DEPOT: pairs with the release in depot_push(): the link of
	 * the number that is on top */
	uint64_t head = load_acquire_u64(&depot->head);

	while ((uint32_t)head != 0) {
		/* relaxed: it may be old; then the tag has changed */
		uint32_t below = load_relaxed_u32(&links[(uint32_t)head]);

		/* order DEPOT: acquires again what a newer head published */
		if (cas_weak_acquire_u64(&depot->head, &head,
					 depot_head(head, below)))
			return (uint32_t)head;
	}
	return 0;
}

#endif
