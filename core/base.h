/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C dialect of this tree: fixed-width integers, asserts that are always
 * on, and the three helpers that everything uses. Nothing here has state.
 *
 * An assert states a promise of ours, never one of a peer: no byte that a
 * client sends may reach an assert that can fail.
 */
#ifndef CORE_BASE_H
#define CORE_BASE_H

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define NS_PER_S UINT64_C(1000000000)

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* For a function that only prefetches: gcc takes it for one without effect and
 * drops its calls, unless it is inlined before it can think so. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * What the program stores before this is in memory before what it stores
 * after this, for whoever finds the memory after the program was killed
 * between any two instructions (core/rebuild.c). It keeps the compiler from
 * moving stores across, and is no instruction: it orders nothing between
 * threads.
 */
static inline void stored(void)
{
	__asm__ volatile("" ::: "memory");
}

/* Rounds up to a multiple of a power of two; the caller excludes overflow. */
static inline uint64_t align_up_u64(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

#endif
