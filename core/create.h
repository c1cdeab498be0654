/* SPDX-License-Identifier: Apache-2.0 */
/* Create and open: how handles are born. One thread. */
#ifndef CORE_CREATE_H
#define CORE_CREATE_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/state.h"

/* The arguments of a create, copied. Handles are wire values. */
struct create_args {
	uint64_t device, resource;
	uint32_t flags; /* enum tenure_create_flags */
	uint32_t count;
	const struct wire_allocation *allocations;
	const void *private_data;
	uint64_t private_bytes;
	uint64_t args_bytes; /* that came for allocations and private data */
	uint32_t now_s;
};

/* What a successful create or open tells. */
struct created {
	uint64_t resource; /* wire handle, or 0 */
	uint64_t bytes; /* charged */
	uint32_t rights;
	uint32_t count;
	uint64_t *handles; /* in: room for count; out: wire handles */
	void *private_data; /* in: room; out (open only) */
};

/* Creates count allocations, in a new, an existing or no resource. */
struct outcome create_request(struct env *env, uint32_t session,
			      const struct create_args *args,
			      struct created *ret);

/*
 * Layer L4: creates count allocations that belong to a context, whose handle
 * is args->resource, or with the flag to all contexts of its device.
 */
struct outcome context_allocation_create(struct env *env, uint32_t session,
					 const struct create_args *args,
					 struct created *ret);

/*
 * Destroys one, at any time, by its adapter and handle; its memory goes when
 * the work that its context has now is done.
 */
struct outcome context_allocation_destroy(struct env *env, uint32_t session,
					  uint64_t adapter,
					  uint64_t allocation);

struct open_args {
	uint64_t device;
	uint64_t token[2];
	uint32_t rights; /* wanted; 0: all that the token gives */
	uint32_t count;
	uint64_t private_bytes;
	uint32_t now_s;
};

/* Opens what a token names. */
struct outcome open_request(struct env *env, uint32_t session,
			    const struct open_args *args, struct created *ret);

#endif
