/* SPDX-License-Identifier: Apache-2.0 */
/* Layer L4, memory that belongs to contexts: see context_allocation.c. */
#ifndef CLIENT_CONTEXT_ALLOCATION_H
#define CLIENT_CONTEXT_ALLOCATION_H

#include "client/connection.h"

struct context_creation {
	uint64_t device, context;
	unsigned int flags; /* enum tenure_context_allocation_flags */
	const size_t *sizes;
	unsigned int count;
};

int context_allocation_create_locked(struct tenure *connection,
				     const struct context_creation *creation,
				     struct tenure_allocation *ret_allocations);

#endif
