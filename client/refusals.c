/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals
 *
 * A destroy that nobody waits for can still be refused: the handle was stale,
 * or it names one allocation of a shared resource. Such a refusal is never
 * silent. It is kept in a queue of fixed length, in the order in which the
 * daemon refused, until the application asks for it; when the queue is full,
 * the newest are counted and dropped, because the oldest is the one that
 * explains the others.
 *
 *	items:  . . [first] # # # # . .      count = 5
 *
 * Guarantees, cited by the tests:
 *
 *  G1  What was put is taken exactly once, in the order of the puts, or
 *      counted as lost.
 *  G2  The queue never grows.
 */
#include "client/refusals.h"

void refusals_put(struct refusals *refusals,
		  const struct tenure_async_refusal *refusal)
{
	if (refusals->count == REFUSALS_MAX) {
		refusals->lost++;
		return;
	}
	refusals->items[(refusals->first + refusals->count++) % REFUSALS_MAX] =
		*refusal;
}

unsigned int refusals_take(struct refusals *refusals,
			   struct tenure_async_refusal *ret,
			   unsigned int capacity)
{
	unsigned int n = 0;

	while (n < capacity && refusals->count > 0) {
		ret[n++] = refusals->items[refusals->first];
		refusals->first = (refusals->first + 1) % REFUSALS_MAX;
		refusals->count--;
	}
	return n;
}
