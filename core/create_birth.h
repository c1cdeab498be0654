/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a create that every kind of create takes: core/create.c has
 * them, core/create_context.c is the other one that uses them. One thread.
 */
#ifndef CORE_CREATE_BIRTH_H
#define CORE_CREATE_BIRTH_H

#include "core/create.h"

/* Working values of one create. */
struct birth {
	const struct create_args *args;
	uint32_t session, device, adapter;
	uint32_t resource; /* slot of the one to add to, or of the new one */
	uint32_t context; /* that they are to belong to, or 0 */
	enum kind kind; /* of the allocations */
	bool is_new, shared;
	uint64_t bytes; /* whole pages, over all allocations */
	uint32_t run, layout, private_block; /* blocks */
	uint32_t run_capacity; /* of run; 0 when the old one has room */
	uint32_t store;
	struct backend_create create;
	/* One for each allocation: outside, because it is large, and filled in
	 * only as far as it is used. */
	struct backend_allocation *made;
};

/* Number and length of what was asked for, and each size in order. */
struct outcome birth_check_counts(const struct create_args *args);
struct outcome birth_check_sizes(struct birth *birth);

/* Affords, reserves, makes and publishes what has been checked. */
struct outcome birth_finish(struct env *env, struct birth *birth,
			    struct created *ret);

/* New slots, not yet published, come to belong to a context, or to all. */
void birth_join_context(struct env *env, const struct birth *birth,
			const uint32_t *slots);

#endif
