/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores, memory objects, holdings and share tokens: what outlives a handle.
 * One thread.
 */
#ifndef CORE_OBJECT_H
#define CORE_OBJECT_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/state.h"

/* Makes sure that there is a record for one store; 0 or -ENOMEM. */
int store_reserve(struct env *env);

/* A store that create_allocation has made; the caller reserved the record. */
uint32_t store_new(struct env *env, uint32_t adapter, uint32_t backing,
		   uint64_t size_bytes, uint32_t refs);

/* No allocation is in a store any more, and its memory is back. */
void store_empty(struct env *env, uint32_t store);

/* Lets go of refs allocations; true when the store has gone with them. */
static inline bool store_drop(struct env *env, uint32_t store, uint32_t refs)
{
	uint32_t *left = &store_refs(&env->region)[store];

	assert(*left >= refs);
	*left -= refs;
	if (LIKELY(*left > 0))
		return false;
	store_empty(env, store);
	return true;
}

/* What a principal pays for its first hold on an object of that size. */
struct bill object_bill(uint64_t size_bytes);

/* Makes sure that the next object_new or object_hold succeeds; 0, -ENOMEM. */
int object_reserve(struct env *env);

/* A new object without references; the caller fills in the rest. */
uint32_t object_new(struct env *env);

/* The bill for one more hold by a principal: nothing if it has one. */
struct bill object_hold_bill(const struct env *env, uint32_t object,
			     uint32_t principal);

/* One more opening or token of that principal; reserved and afforded. */
void object_hold(struct env *env, uint32_t object, uint32_t principal);

/*
 * One less. True when it was the last of all: the caller must have the memory
 * released and then call object_free. Until then the last holder pays.
 */
bool object_drop(struct env *env, uint32_t object, uint32_t principal);

/* The memory has been released. */
void object_free(struct env *env, uint32_t object);

/* Makes a token of a session for an object; or the outcome says why not. */
struct outcome token_new(struct env *env, uint32_t session, uint32_t object,
			 uint32_t rights, uint64_t ret_value[2]);

/* The same for a fence. */
struct outcome token_new_of_fence(struct env *env, uint32_t session,
				  uint32_t fence, uint32_t rights,
				  uint64_t ret_value[2]);

/* The token with that value, or 0. */
uint32_t token_find(const struct env *env, const uint64_t value[2]);

/* Forgets a token; true when it was the last hold on its object. */
bool token_free(struct env *env, uint32_t token);

#endif
