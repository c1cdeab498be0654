/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's end of a ring, with every load of shared memory replaced: what
 * it reads may be another value each time. The target that is linked with this
 * says which.
 */
#include "core/atomic.h"

uint32_t fresh_u32(const atomic_u32 *word);
uint64_t fresh_u64(const atomic_u64 *word);

#define load_relaxed_u32(word) fresh_u32(word)
#define load_acquire_u32(word) fresh_u32(word)
#define load_seq_cst_u32(word) fresh_u32(word)
#define load_relaxed_u64(word) fresh_u64(word)
#define load_acquire_u64(word) fresh_u64(word)
#define load_seq_cst_u64(word) fresh_u64(word)

#include "core/ring/ring_client.c"
