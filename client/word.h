/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A progress word in memory of the application: how the library looks at it.
 * Whoever does the work stores to it; the library only reads.
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

#endif
