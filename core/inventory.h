/* SPDX-License-Identifier: Apache-2.0 */
/* What a state says that its backends have. One thread. */
#ifndef CORE_INVENTORY_H
#define CORE_INVENTORY_H

#include "core/env.h"

struct inventory_allocation {
	uint32_t adapter;
	uint64_t allocation; /* hAllocation */
	uint64_t resource; /* hResource, or 0 */
	uint32_t store; /* the backend's id */
	uint64_t size_bytes, offset;
	/* It is to be released: perhaps it has been, and is there no more. */
	bool retired;
	bool closed_alone; /* it has left the opening of its resource (A51) */
};

struct inventory_resource {
	uint32_t adapter;
	uint64_t resource; /* hResource: the value that counts from now on */
	bool retired;
};

/*
 * Each function is called once for each of what it takes: first all resources,
 * then all allocations, then all openings, which are as open_allocation was
 * told of them and not closed.
 */
struct inventory_visitor {
	void *context;
	void (*resource)(void *context, const struct inventory_resource *r);
	void (*allocation)(void *context, const struct inventory_allocation *a);
	void (*opening)(void *context, uint32_t adapter,
			const struct backend_opening *o);
};

/* Walks all slots and objects; changes nothing. */
void inventory(const struct env *env, const struct inventory_visitor *visitor);

#endif
