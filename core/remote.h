/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote frees: slots that another thread than their owner's has reclaimed.
 *
 *	reclaimer                         owner's thread
 *	bits |= slot      (release)
 *	freed += 1        (release)  -->  freed > taken?      (acquire)
 *	                                  bits = 0, and merge (acquire)
 *
 * The owner's bitmap of free slots is its own and not atomic. A second one
 * takes the frees of all others: setting a bit is one addition to a word that
 * lies with the other slots of the segment, and taking all of them is one
 * exchange. There is no list, so there is nothing to be mistaken about (ABA),
 * and what is freed comes back grouped by segment.
 *
 * The count is the last thing that a reclaimer touches. So when the owner has
 * counted as many as it misses, nobody is on his way to its bits any more,
 * and its segments can go to somebody else.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A bit that was set once is taken once.
 *  G2  What the reclaimer did before (its look at the pins of the slot) is
 *      before what the owner does with the slot.
 *  G3  When the count says n, n bits are there to be taken, or were taken.
 *
 * Progress: wait-free. This is the text that models/ checks: it must compile
 * as C++, too.
 */
#ifndef CORE_REMOTE_H
#define CORE_REMOTE_H

#include "core/atomic.h"
#include "core/base.h"

/* Any thread but the owner's: one bit, which must not be set, and the count. */
static inline void remote_free(atomic_u64 *words, uint32_t bit,
			       atomic_u32 *freed)
{
	/* order REMOTE: pairs with the acquire in remote_take() */
	uint64_t before = fetch_or_release_u64(&words[bit / 64],
					       UINT64_C(1) << (bit % 64));

	assert((before >> (bit % 64) & 1) == 0);
	(void)before;
	/* order REMOTE: pairs with the acquire in remote_count(): the bit is
	 * there before it is counted */
	fetch_add_release_u32(freed, 1);
}

/* How many bits have been set since the beginning, modulo 2^32. */
static inline uint32_t remote_count(const atomic_u32 *freed)
{
	/* order REMOTE: pairs with the release in remote_free() */
	return load_acquire_u32(freed);
}

/* Takes the bits of one word. The owner's thread only. */
static inline uint64_t remote_take(atomic_u64 *word)
{
	/* relaxed: a bit that is not seen yet is taken the next time */
	if (load_relaxed_u64(word) == 0)
		return 0;
	/* order REMOTE: pairs with the release in remote_free(): the slots
	 * are as the reclaimer left them */
	return exchange_acquire_u64(word, 0);
}

#endif
