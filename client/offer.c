/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offers, the client's side
 *
 * A buffer that lies in a pool for too long shall go, also when the process
 * sleeps. So whoever puts it there leaves a note in the ring, "from then on it
 * is yours", and takes the note away before the next use (core/ring/offers.c).
 * Both are one instruction on one word. The doorbell is rung for an offer only
 * when the daemon has none that ends earlier: about once in an idle timeout.
 *
 *	offer_make ----> offered ----(daemon, in time)----> lost
 *	                    |                                 |
 *	   withdraw: true <-+              withdraw: false <--+
 *
 * What was lost the daemon has destroyed, or is about to. It is a dead handle
 * then like after any destroy, and is forgotten here without a message.
 *
 * Without a ring, or with all entries in use, nothing is offered, and a buffer
 * goes when its pool is called the next time.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  What is withdrawn stays, what is lost is never used again.
 *  G2  An entry has one allocation, and is used again after offer_end.
 *  G3  Nothing here can fail.
 */
#include "client/offer.h"

#include <time.h>

#include "client/connection.h"

/* The lowest entry that nobody has, or RING_OFFERS. */
static uint32_t lowest_free(const struct ringside *side)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(side->offers_used); i++) {
		if (~side->offers_used[i] != 0)
			return i * 64 +
			       (uint32_t)__builtin_ctzll(~side->offers_used[i]);
	}
	return RING_OFFERS;
}

void offer_begin(struct tenure *connection, struct offer *offer,
		 uint64_t allocation)
{
	struct ringside *side;
	uint32_t entry;

	*offer = (struct offer){ 0 };
	pthread_mutex_lock(&connection->lock);
	side = connection->ringside;
	entry = side ? lowest_free(side) : RING_OFFERS;
	if (entry < RING_OFFERS) {
		side->offers_used[entry / 64] |= UINT64_C(1) << entry % 64;
		offers_name(&side->map.ring->offers, entry, allocation);
		*offer = (struct offer){ .side = side, .entry = entry };
	}
	pthread_mutex_unlock(&connection->lock);
}

void offer_end(struct tenure *connection, struct offer *offer)
{
	struct ringside *side = offer->side;
	uint32_t entry = offer->entry;

	if (!side)
		return;
	offer_withdraw(offer);
	pthread_mutex_lock(&connection->lock);
	side->offers_used[entry / 64] &= ~(UINT64_C(1) << entry % 64);
	pthread_mutex_unlock(&connection->lock);
	*offer = (struct offer){ 0 };
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void offer_make(struct offer *offer, uint64_t timeout_ns)
{
	uint64_t now, until_ns;

	if (!offer->side || timeout_ns == UINT64_MAX)
		return;
	assert(offer->until_ns == 0);
	now = now_ns();
	/* The last value but one, when it is as far away as that. */
	until_ns = timeout_ns < UINT64_MAX - 1 - now ? now + timeout_ns :
						       UINT64_MAX - 1;
	offer->until_ns = until_ns;
	if (offers_make(&offer->side->map.ring->offers, offer->entry, until_ns))
		ringmap_bell(&offer->side->map);
}

bool offer_withdraw(struct offer *offer)
{
	uint64_t until_ns = offer->until_ns;

	offer->until_ns = 0;
	return until_ns == 0 || offers_withdraw(&offer->side->map.ring->offers,
						offer->entry, until_ns);
}

bool offer_is_lost(const struct offer *offer)
{
	return offer->until_ns != 0 &&
	       offers_is_taken(&offer->side->map.ring->offers, offer->entry);
}

void offer_forget(struct tenure *connection, uint64_t allocation)
{
	pthread_mutex_lock(&connection->lock);
	work_drop_allocation(connection, allocation);
	ledger_allocation_forget(&connection->ledger, allocation);
	pthread_mutex_unlock(&connection->lock);
}
