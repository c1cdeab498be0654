/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals of work that nobody waits for, kept until the application takes
 * them. See refusals.c. The connection's lock is the caller's.
 */
#ifndef CLIENT_REFUSALS_H
#define CLIENT_REFUSALS_H

#include "client/api.h"
#include "core/base.h"

enum { REFUSALS_MAX = 1024 };

/* All zero is the empty queue. */
struct refusals {
	uint32_t first, count;
	uint64_t lost; /* since the last take */
	struct tenure_async_refusal items[REFUSALS_MAX];
};

/* Adds one, or counts it as lost when the queue is full. */
void refusals_put(struct refusals *refusals,
		  const struct tenure_async_refusal *refusal);

/* Takes out at most capacity, the oldest first; returns how many. */
unsigned int refusals_take(struct refusals *refusals,
			   struct tenure_async_refusal *ret,
			   unsigned int capacity);

#endif
