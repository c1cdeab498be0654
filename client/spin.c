/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spin
 *
 * An answer by the ring comes within a microsecond while the daemon's worker
 * is looking, and a sleeper is woken within fifty or so. So a caller looks
 * first and sleeps afterwards; for how long it looks is learned from how long
 * the last waits took:
 *
 *	wait        0 ........ 50 us .................... 5 ms
 *	budget      up to twice the wait   |  halved, down to 2 us
 *
 * A short wait raises the budget towards twice its length; a long one, of a
 * daemon that is busy or of a destroy that waits for work, halves it. What is
 * learned asleep is coloured by the sleep: a daemon that would answer in 10 us
 * seems to take 60. So now and then a wait looks for the longest time, and a
 * daemon that has become quick is found out. The two microseconds are for a
 * worker that waits longer than usual, in its turn to find out: it answers at
 * once, and both are awake again. A probe that finds nothing makes the next one
 * rarer: a process that shares its only CPU with the daemon would
 * look in vain for ever.
 *
 * With one CPU in the machine nobody looks.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  The budget is 0 on one CPU, and otherwise between SPIN_MIN_NS and
 *      SPIN_MAX_NS.
 *  G2  A process whose waits are all long spends little more than SPIN_MIN_NS
 *      of CPU time on looking in each.
 *  G3  Once waits are short, the budget soon covers them.
 */
#include "client/spin.h"

void spin_init(struct spin *spin, unsigned int cpus)
{
	*spin = (struct spin){
		.budget_ns = SPIN_MAX_NS,
		.probe_every = SPIN_PROBE_FIRST,
		.alone = cpus < 2,
	};
}

uint32_t spin_budget_ns(struct spin *spin)
{
	if (spin->alone)
		return 0;
	if (++spin->waits < spin->probe_every)
		return spin->budget_ns;
	spin->waits = 0;
	return SPIN_MAX_NS;
}

static void learn_short(struct spin *spin, uint64_t waited_ns)
{
	uint64_t wanted = max_u64(2 * waited_ns, SPIN_MIN_NS);

	spin->probe_every = SPIN_PROBE_FIRST;
	if (wanted > spin->budget_ns)
		spin->budget_ns = (uint32_t)min_u64(wanted, SPIN_MAX_NS);
	else
		spin->budget_ns -= (uint32_t)(spin->budget_ns - wanted) / 8;
}

static void learn_long(struct spin *spin, bool probed)
{
	if (probed && spin->budget_ns == SPIN_MIN_NS &&
	    spin->probe_every < SPIN_PROBE_LAST)
		spin->probe_every *= 2;
	spin->budget_ns = (uint32_t)max_u64(spin->budget_ns / 2, SPIN_MIN_NS);
}

void spin_learn(struct spin *spin, uint32_t budget_ns, uint64_t waited_ns)
{
	if (waited_ns <= SPIN_MAX_NS)
		learn_short(spin, waited_ns);
	else
		learn_long(spin, budget_ns == SPIN_MAX_NS);
}
