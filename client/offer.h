/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offers a buffer that is free to the daemon, which destroys it when a time has
 * come, although this process calls nothing. See offer.c. Functions that are
 * given a connection take its lock.
 */
#ifndef CLIENT_OFFER_H
#define CLIENT_OFFER_H

#include "core/base.h"

struct ringside;
struct tenure;

/* All zero has no entry: it cannot be offered. */
struct offer {
	struct ringside *side;
	uint32_t entry;
	uint64_t until_ns; /* while it is offered, else 0 */
};

/* Takes an entry for an allocation, if there is a ring with one left. */
void offer_begin(struct tenure *connection, struct offer *offer,
		 uint64_t allocation);

/* Gives it back; what was offered is so no longer. */
void offer_end(struct tenure *connection, struct offer *offer);

/* Offers the allocation for the time when it will have been free for
 * timeout_ns, UINT64_MAX: never. */
void offer_make(struct offer *offer, uint64_t timeout_ns);

/* True: it is the caller's again, or was all the time. False: it is lost. */
bool offer_withdraw(struct offer *offer);

/* Whether it is lost for certain; a hint when it says no. */
bool offer_is_lost(const struct offer *offer);

/* Forgets an allocation whose offer was lost, as after its destroy. */
void offer_forget(struct tenure *connection, uint64_t allocation);

#endif
