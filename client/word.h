/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words that more than one thread looks at without a lock. A progress word is
 * memory of the application: whoever does the work stores to it, the library
 * only reads.
 */
#ifndef CLIENT_WORD_H
#define CLIENT_WORD_H

#include "core/base.h"

/* Whether *word has come to value. What the work did before is then seen. */
static inline bool word_reached(const uint64_t *word, uint64_t value)
{
	/* order POOL-PROGRESS: pairs with the release store of whoever did
	 * the work, so that its last access to a buffer comes before the
	 * buffer's next use. */
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) >= value;
}

/* A mark that is set and seen by threads which have been ordered by other
 * means: relaxed, since nothing is published by it. */
static inline void word_mark(uint64_t *mark, bool set)
{
	__atomic_store_n(mark, (uint64_t)set, __ATOMIC_RELAXED);
}

static inline bool word_is_marked(const uint64_t *mark)
{
	return __atomic_load_n(mark, __ATOMIC_RELAXED) != 0;
}

#endif
