/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The atomic operations of this tree, with the memory order in the name. No
 * order is ever spelled at a place of use; everything but relaxed carries a
 * comment "order TAG:" there, and docs/MEMORY_MODEL.md lists every tag with
 * both partners. There are no stand-alone fences: ThreadSanitizer does not
 * model them, so the order always sits on the operation.
 */
#ifndef CORE_ATOMIC_H
#define CORE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint64_t atomic_u64;
typedef _Atomic uint32_t atomic_u32;

static inline uint64_t load_relaxed_u64(const atomic_u64 *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline uint64_t load_acquire_u64(const atomic_u64 *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static inline void store_relaxed_u64(atomic_u64 *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline uint64_t fetch_add_relaxed_u64(atomic_u64 *word, uint64_t value)
{
	return atomic_fetch_add_explicit(word, value, memory_order_relaxed);
}

static inline uint64_t fetch_add_acquire_u64(atomic_u64 *word, uint64_t value)
{
	return atomic_fetch_add_explicit(word, value, memory_order_acquire);
}

static inline uint64_t fetch_add_release_u64(atomic_u64 *word, uint64_t value)
{
	return atomic_fetch_add_explicit(word, value, memory_order_release);
}

static inline uint64_t fetch_sub_relaxed_u64(atomic_u64 *word, uint64_t value)
{
	return atomic_fetch_sub_explicit(word, value, memory_order_relaxed);
}

static inline uint64_t fetch_sub_release_u64(atomic_u64 *word, uint64_t value)
{
	return atomic_fetch_sub_explicit(word, value, memory_order_release);
}

static inline bool cas_strong_acquire_u64(atomic_u64 *word, uint64_t *expected,
					  uint64_t desired)
{
	return atomic_compare_exchange_strong_explicit(word, expected, desired,
						       memory_order_acquire,
						       memory_order_relaxed);
}

static inline uint32_t load_acquire_u32(const atomic_u32 *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static inline void store_release_u32(atomic_u32 *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

#endif
