/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Atomics of which the fuzzer decides what a load returns: in place of
 * core/atomic.h, whose guard it takes. Order means nothing in one thread.
 */
#ifndef FUZZ_FRESH_H
#define FUZZ_FRESH_H
#define CORE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t atomic_u64;
typedef uint32_t atomic_u32;

/* What a shared word says this time; word_bytes is 4 or 8. */
uint64_t fresh_load(const void *word, uint32_t word_bytes);
void fresh_store(void *word, uint32_t word_bytes, uint64_t value);

static inline uint64_t load_relaxed_u64(const atomic_u64 *word)
{
	return fresh_load(word, 8);
}

static inline uint64_t load_seq_cst_u64(const atomic_u64 *word)
{
	return fresh_load(word, 8);
}

static inline void store_relaxed_u64(atomic_u64 *word, uint64_t value)
{
	fresh_store(word, 8, value);
}

static inline uint64_t exchange_seq_cst_u64(atomic_u64 *word, uint64_t value)
{
	fresh_store(word, 8, value);
	return 0;
}

static inline uint32_t load_relaxed_u32(const atomic_u32 *word)
{
	return (uint32_t)fresh_load(word, 4);
}

static inline uint32_t load_acquire_u32(const atomic_u32 *word)
{
	return (uint32_t)fresh_load(word, 4);
}

static inline uint32_t load_seq_cst_u32(const atomic_u32 *word)
{
	return (uint32_t)fresh_load(word, 4);
}

static inline void store_relaxed_u32(atomic_u32 *word, uint32_t value)
{
	fresh_store(word, 4, value);
}

static inline void store_release_u32(atomic_u32 *word, uint32_t value)
{
	fresh_store(word, 4, value);
}

static inline uint32_t exchange_seq_cst_u32(atomic_u32 *word, uint32_t value)
{
	fresh_store(word, 4, value);
	return 0;
}

#endif
