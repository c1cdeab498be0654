/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offers: allocations that a client does not use now, and that the daemon may
 * destroy when a time has come, unless the client has taken them back before.
 * They lie in the client's ring. See offers.c.
 *
 * Times are of CLOCK_MONOTONIC, in nanoseconds. No system call: the caller has
 * the doorbell and the timer. "Ring" means: write 8 bytes into the doorbell.
 */
#ifndef CORE_RING_OFFERS_H
#define CORE_RING_OFFERS_H

#include <stdalign.h>

#include "core/atomic.h"
#include "core/base.h"
#include "core/ring/ring_sizes.h"

/* Two lines of a cache: neighbours are fetched in pairs. */
enum { OFFERS_LINE_BYTES = 128 };

struct ring_offer {
	atomic_u64 handle; /* written by the client while it is no offer */
	atomic_u64 until_ns; /* or one of the two below */
};

#define OFFER_NONE UINT64_C(0)
#define OFFER_TAKEN UINT64_MAX

/* Zero is where it begins. */
struct ring_offers {
	/* The client rings for an offer; the daemon clears it. */
	alignas(OFFERS_LINE_BYTES) atomic_u32 called;
	/* Written by the daemon: when it looks; 0: it does not. */
	alignas(OFFERS_LINE_BYTES) atomic_u64 due_ns;
	alignas(OFFERS_LINE_BYTES) struct ring_offer entries[RING_OFFERS];
};

/* ---- The client's end. Any thread, one for each entry at a time ---- */

/* Gives an entry to an allocation: one that had none, or whose offer was
 * withdrawn or is known to be taken. One caller at a time. */
void offers_name(struct ring_offers *offers, uint32_t entry, uint64_t handle);

/* Offers it, until a time that has not come and is not UINT64_MAX. True:
 * ring. */
bool offers_make(struct ring_offers *offers, uint32_t entry, uint64_t until_ns);

/* Takes it back; until_ns as it was given. False: it is too late, the daemon
 * destroys the allocation. */
bool offers_withdraw(struct ring_offers *offers, uint32_t entry,
		     uint64_t until_ns);

/* Whether it is too late already. */
bool offers_is_taken(const struct ring_offers *offers, uint32_t entry);

/* ---- The daemon's end. One thread ---- */

/* Whether the client has rung for an offer since the last look. */
bool offers_called(const struct ring_offers *offers);

/*
 * Takes all offers whose time has come, at most RING_OFFERS, and writes their
 * handles, which are whatever the client wrote. *ret_due_ns is when the next
 * look is due, 0 when none is; until then the client rings for what is due
 * earlier. Never earlier than now_ns + RING_OFFERS_PERIOD_NS.
 */
uint32_t offers_take(struct ring_offers *offers, uint64_t now_ns,
		     uint64_t *ret_handles, uint64_t *ret_due_ns);

#endif
