/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offers
 *
 * A pool keeps buffers that nobody uses, and gives them back when that has
 * lasted for long enough. But a process that has gone quiet calls nothing, so
 * nobody in it would see that the time has come. So the pool says beforehand:
 * each free buffer is an *offer*, a handle and a time. When the time comes the
 * daemon takes the offer and destroys the allocation, as if the client had
 * asked it to just then. To use the buffer again the client withdraws the
 * offer first. Both do that to the same word, and whoever is first has it:
 *
 *	            make(until)               take, once until has come
 *	 NONE ---------------------> until -------------------------> TAKEN
 *	   ^                           |                                |
 *	   +------- withdraw ----------+             name (another one) |
 *	   +------------------------------------------------------------+
 *
 * Neither costs a message. What costs something is that the daemon must wake
 * up at the right time, although it sleeps without a timer while nobody wants
 * anything. It says when it will look (due_ns), and a client rings only for an
 * offer that ends before that. Offers of one pool end in the order in which
 * they are made, so it rings for the first one at most:
 *
 *	client				daemon
 *	until := t			due := 0
 *	if due == 0 or t < due		look at all: take, or find the earliest
 *		ring			due := that
 *
 * An offer is missed by neither: one that is made before due := 0 is seen by
 * the look, and whoever makes one after it finds 0, or a time at which there
 * is a look after its own.
 *
 * The client is not believed: its handles are judged by the broker like those
 * of any free, and its times decide only about its own memory.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  An offer is withdrawn or taken, never both.
 *  G2  It is not taken before its time, and an offer that stays is taken, if
 *      the client rings when it is told to and the daemon looks when it is due.
 *  G3  A look is bounded, and none is due within RING_OFFERS_PERIOD_NS,
 *      whatever the client writes.
 */
#include "core/ring/offers.h"

void offers_name(struct ring_offers *offers, uint32_t entry, uint64_t handle)
{
	assert(entry < RING_OFFERS && handle != 0);
	store_relaxed_u64(&offers->entries[entry].handle, handle);
	/* Nobody looks at it before it is an offer. */
	store_relaxed_u64(&offers->entries[entry].until_ns, OFFER_NONE);
}

bool offers_make(struct ring_offers *offers, uint32_t entry, uint64_t until_ns)
{
	uint64_t due_ns;

	assert(until_ns != OFFER_NONE && until_ns != OFFER_TAKEN);
	/* order OFFER-MADE: whoever takes the offer sees its handle, and comes
	 * after the last use of the memory; order OFFER-DUE: and the daemon's
	 * look sees it, or the load behind this sees that there will be none
	 * in time. */
	exchange_seq_cst_u64(&offers->entries[entry].until_ns, until_ns);
	/* order OFFER-DUE: see above. */
	due_ns = load_seq_cst_u64(&offers->due_ns);
	if (due_ns != 0 && due_ns <= until_ns)
		return false;
	/* The bell comes behind it. */
	store_relaxed_u32(&offers->called, 1);
	return true;
}

bool offers_withdraw(struct ring_offers *offers, uint32_t entry,
		     uint64_t until_ns)
{
	/* order OFFER-TAKEN: when it fails, the daemon has read the handle, and
	 * the entry may have another one. Nothing hangs on it when it does
	 * not. */
	return cas_strong_acquire_both_u64(&offers->entries[entry].until_ns,
					   &until_ns, OFFER_NONE);
}

bool offers_is_taken(const struct ring_offers *offers, uint32_t entry)
{
	/* order OFFER-TAKEN: as if withdrawing had failed. */
	return load_acquire_u64(&offers->entries[entry].until_ns) ==
	       OFFER_TAKEN;
}

bool offers_called(const struct ring_offers *offers)
{
	return load_relaxed_u32(&offers->called) != 0;
}

/* Takes one if its time has come: 1 and its handle, or 0. *earliest_ns is
 * lowered to its time otherwise. */
static uint32_t take_one(struct ring_offer *offer, uint64_t now_ns,
			 uint64_t *ret_handle, uint64_t *earliest_ns)
{
	/* order OFFER-DUE, order OFFER-MADE: see offers_make(). */
	uint64_t until_ns = load_seq_cst_u64(&offer->until_ns);

	if (until_ns == OFFER_NONE)
		return 0;
	/* What is taken already is later than any time. */
	if (until_ns > now_ns) {
		*earliest_ns = min_u64(*earliest_ns, until_ns);
		return 0;
	}
	/* Read before it is taken: afterwards the entry may soon have another
	 * one. It may have one already if the offer was withdrawn since the
	 * load; one that was made after that ends after now, so that this one
	 * is not taken. */
	*ret_handle = load_relaxed_u64(&offer->handle);
	/* order OFFER-TAKEN: the handle has been read before the client finds
	 * that it may write another one. */
	return cas_strong_release_u64(&offer->until_ns, &until_ns, OFFER_TAKEN);
}

uint32_t offers_take(struct ring_offers *offers, uint64_t now_ns,
		     uint64_t *ret_handles, uint64_t *ret_due_ns)
{
	uint64_t earliest_ns = UINT64_MAX;
	uint32_t n = 0;

	store_relaxed_u32(&offers->called, 0);
	/* order OFFER-DUE: who makes an offer sees this and rings, or the loads
	 * behind it see the offer. */
	exchange_seq_cst_u64(&offers->due_ns, 0);
	for (uint32_t i = 0; i < RING_OFFERS; i++)
		n += take_one(&offers->entries[i], now_ns, &ret_handles[n],
			      &earliest_ns);
	*ret_due_ns =
		earliest_ns == UINT64_MAX ?
			0 :
			max_u64(earliest_ns, now_ns + RING_OFFERS_PERIOD_NS);
	/* Relaxed: nothing is read behind it. Who sees it has made an offer
	 * before the 0 of the next look, which orders the two; who sees it
	 * late rings for nothing. */
	store_relaxed_u64(&offers->due_ns, *ret_due_ns);
	return n;
}
