/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The atomic operations of this tree, with the memory order in the name. No
 * order is ever spelled at a place of use; everything but relaxed carries a
 * comment "order TAG:" there, and docs/MEMORY_MODEL.md lists every tag with
 * both partners. There are no stand-alone fences: ThreadSanitizer does not
 * model them, so the order always sits on the operation.
 *
 * With TENURE_MODEL the names of C11 below are those of a model checker, so
 * that what is checked is the text that ships.
 */
#ifndef CORE_ATOMIC_H
#define CORE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#ifdef TENURE_MODEL
#include "models/checker.h"
#else
#include <stdatomic.h>

typedef _Atomic uint64_t atomic_u64;
typedef _Atomic uint32_t atomic_u32;
#endif

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

static inline uint64_t fetch_or_relaxed_u64(atomic_u64 *word, uint64_t bits)
{
	return atomic_fetch_or_explicit(word, bits, memory_order_relaxed);
}

static inline uint64_t fetch_or_release_u64(atomic_u64 *word, uint64_t bits)
{
	return atomic_fetch_or_explicit(word, bits, memory_order_release);
}

static inline uint64_t exchange_relaxed_u64(atomic_u64 *word, uint64_t value)
{
	return atomic_exchange_explicit(word, value, memory_order_relaxed);
}

static inline uint64_t exchange_acquire_u64(atomic_u64 *word, uint64_t value)
{
	return atomic_exchange_explicit(word, value, memory_order_acquire);
}

/* A compare-and-swap that fails says in *expected what it found; a weak one
 * may fail for nothing. Only one that reads or writes behind what it found
 * needs an order then. */
static inline bool cas_strong_relaxed_u64(atomic_u64 *word, uint64_t *expected,
					  uint64_t desired)
{
	return atomic_compare_exchange_strong_explicit(word, expected, desired,
						       memory_order_relaxed,
						       memory_order_relaxed);
}

static inline bool cas_strong_acquire_u64(atomic_u64 *word, uint64_t *expected,
					  uint64_t desired)
{
	return atomic_compare_exchange_strong_explicit(word, expected, desired,
						       memory_order_acquire,
						       memory_order_relaxed);
}

/* C11 wants the order of a failure to be no stronger than that of a success. */
static inline bool cas_strong_acquire_both_u64(atomic_u64 *word,
					       uint64_t *expected,
					       uint64_t desired)
{
	return atomic_compare_exchange_strong_explicit(word, expected, desired,
						       memory_order_acquire,
						       memory_order_acquire);
}

static inline bool cas_strong_release_u64(atomic_u64 *word, uint64_t *expected,
					  uint64_t desired)
{
	return atomic_compare_exchange_strong_explicit(word, expected, desired,
						       memory_order_release,
						       memory_order_relaxed);
}

static inline bool cas_weak_relaxed_u64(atomic_u64 *word, uint64_t *expected,
					uint64_t desired)
{
	return atomic_compare_exchange_weak_explicit(word, expected, desired,
						     memory_order_relaxed,
						     memory_order_relaxed);
}

static inline bool cas_weak_acquire_u64(atomic_u64 *word, uint64_t *expected,
					uint64_t desired)
{
	return atomic_compare_exchange_weak_explicit(word, expected, desired,
						     memory_order_acquire,
						     memory_order_acquire);
}

static inline bool cas_weak_release_u64(atomic_u64 *word, uint64_t *expected,
					uint64_t desired)
{
	return atomic_compare_exchange_weak_explicit(word, expected, desired,
						     memory_order_release,
						     memory_order_relaxed);
}

static inline uint64_t load_seq_cst_u64(const atomic_u64 *word)
{
	return atomic_load_explicit(word, memory_order_seq_cst);
}

static inline bool cas_strong_seq_cst_u64(atomic_u64 *word, uint64_t *expected,
					  uint64_t desired)
{
	return atomic_compare_exchange_strong_explicit(word, expected, desired,
						       memory_order_seq_cst,
						       memory_order_relaxed);
}

static inline void store_release_u64(atomic_u64 *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static inline uint64_t exchange_seq_cst_u64(atomic_u64 *word, uint64_t value)
{
	return atomic_exchange_explicit(word, value, memory_order_seq_cst);
}

static inline uint32_t load_relaxed_u32(const atomic_u32 *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void store_relaxed_u32(atomic_u32 *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline uint32_t load_seq_cst_u32(const atomic_u32 *word)
{
	return atomic_load_explicit(word, memory_order_seq_cst);
}

static inline uint32_t exchange_seq_cst_u32(atomic_u32 *word, uint32_t value)
{
	return atomic_exchange_explicit(word, value, memory_order_seq_cst);
}

static inline uint32_t load_acquire_u32(const atomic_u32 *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static inline void store_release_u32(atomic_u32 *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static inline uint32_t fetch_add_relaxed_u32(atomic_u32 *word, uint32_t value)
{
	return atomic_fetch_add_explicit(word, value, memory_order_relaxed);
}

static inline uint32_t fetch_add_release_u32(atomic_u32 *word, uint32_t value)
{
	return atomic_fetch_add_explicit(word, value, memory_order_release);
}

#endif
