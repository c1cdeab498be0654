/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patience
 *
 * Being woken costs some tens of microseconds on both sides; looking costs a
 * processor. Who looks for as long as a wake-up takes, and only then sleeps,
 * never wastes more than twice of what a prophet would have spent. That is the
 * cap, and three things are learned below it:
 *
 *  - A client that usually comes back within two microseconds and has not come
 *    back within eight times as long does something else now: sleep sooner.
 *  - A client that did not come back within the window eight times running is
 *    slow: then only a twelfth of the cap is spent on it.
 *  - It may be slow only because we are: both sides sleep, each wakes the
 *    other, and from each the other looks slow. So every eighth time it gets
 *    twice the cap, which is enough for its own wake-up; a client that can be
 *    quick is found out by that.
 *
 *	work  work   work                         work (rung)
 *	 |-gap-|-gap--|------window------| sleep    |--window--|
 *	                                 lost
 *
 * Nobody looks before the first work, so who is idle costs nothing.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A window is at most twice the cap, and 0 if the cap is 0.
 *  G2  A client that is slow for ever costs at most a third of the cap for
 *      each wake-up, on average.
 *  G3  A client whose gaps are shorter than the cap is waited for, after at
 *      most PATIENCE_PROBE wake-ups.
 */
#include "daemon/patience.h"

void patience_init(struct patience *patience, uint64_t cap_ns)
{
	*patience = (struct patience){
		.cap_ns = cap_ns,
		.usual_ns = cap_ns / 8,
		.credit = PATIENCE_CREDIT,
	};
}

uint64_t patience_window_ns(const struct patience *patience)
{
	uint64_t cap_ns = patience->cap_ns;

	if (patience->credit)
		return min_u64(max_u64(8 * patience->usual_ns, cap_ns / 4),
			       cap_ns);
	if (patience->failures % PATIENCE_PROBE == 0)
		return 2 * cap_ns;
	return cap_ns / 12;
}

void patience_found(struct patience *patience, uint64_t gap_ns)
{
	gap_ns = min_u64(gap_ns, 2 * patience->cap_ns);
	patience->usual_ns = (7 * patience->usual_ns + gap_ns) / 8;
	patience->credit = PATIENCE_CREDIT;
	patience->failures = 0;
}

void patience_lost(struct patience *patience)
{
	patience->failures++;
	if (patience->credit)
		patience->credit--;
}
