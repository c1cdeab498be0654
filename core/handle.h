/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 64-bit handle.
 *
 *	 63            32 31   28 27                 0
 *	[ generation 32  | kind 4 |      index 28     ]
 *
 * Generations start at 1 and only grow, and a slot whose generation would
 * wrap is never used again, so no value is issued twice in the life of the
 * state, and 0 is never one.
 *
 * On the wire a handle is XORed with a secret of the connection. That turns
 * an accidental use on another connection into an error and hides how fast
 * others allocate; isolation comes from the owner check, not from secrecy.
 * The secret's kind nibble is all ones and no kind is, so no handle becomes 0.
 */
#ifndef CORE_HANDLE_H
#define CORE_HANDLE_H

#include "core/base.h"

enum kind {
	KIND_NONE = 0,
	KIND_ADAPTER = 1,
	KIND_DEVICE = 2,
	KIND_RESOURCE = 3,
	KIND_ALLOCATION = 4,
	KIND_CONTEXT = 5,
	KIND_FENCE = 6,
	KIND_CONTEXT_ALLOCATION = 7,
	KIND_NEVER = 15, /* the secret's nibble */
};

enum {
	HANDLE_INDEX_BITS = 28,
	HANDLE_KIND_BITS = 4,
	HANDLE_GENERATION_BITS = 32,
};

static_assert(HANDLE_INDEX_BITS + HANDLE_KIND_BITS + HANDLE_GENERATION_BITS ==
		      64,
	      "a handle is one word");

#define HANDLE_INDEX_MASK ((UINT64_C(1) << HANDLE_INDEX_BITS) - 1)

/* A native handle, never seen outside. */
struct handle {
	uint64_t value;
};

static inline struct handle handle_make(uint32_t generation, enum kind kind,
					uint32_t index)
{
	return (struct handle){ (uint64_t)generation << 32 |
				(uint64_t)kind << HANDLE_INDEX_BITS |
				(index & HANDLE_INDEX_MASK) };
}

static inline uint32_t handle_index(struct handle handle)
{
	return (uint32_t)(handle.value & HANDLE_INDEX_MASK);
}

static inline enum kind handle_kind(struct handle handle)
{
	return (enum kind)((handle.value >> HANDLE_INDEX_BITS) & 15);
}

static inline uint32_t handle_generation(struct handle handle)
{
	return (uint32_t)(handle.value >> 32);
}

/* Any 64 random bits made into a secret. */
static inline uint64_t secret_make(uint64_t random)
{
	return random | (uint64_t)KIND_NEVER << HANDLE_INDEX_BITS;
}

static inline uint64_t handle_to_wire(struct handle handle, uint64_t secret)
{
	return handle.value ^ secret;
}

/* A value from outside; 0 stays 0, which no slot matches. */
static inline struct handle handle_from_wire(uint64_t value, uint64_t secret)
{
	return (struct handle){ value == 0 ? 0 : value ^ secret };
}

#endif
