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
 * seems to take 60. So one wait in 32 looks for the longest time, and a daemon
 * that has become quick again is found out.
 *
 * With one usable CPU nobody looks: the daemon could not run meanwhile.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  The budget is 0 on one CPU, and otherwise between SPIN_MIN_NS and
 *      SPIN_MAX_NS.
 *  G2  A process whose waits are all long spends at most a few microseconds of
 *      CPU time for each.
 *  G3  Once waits are short, the budget soon covers them.
 */
#include "client/spin.h"

#include <sched.h>

void spin_init(struct spin *spin, unsigned int cpus)
{
	*spin = (struct spin){
		.budget_ns = SPIN_MAX_NS,
		.alone = cpus < 2,
	};
}

uint32_t spin_budget_ns(struct spin *spin)
{
	if (spin->alone)
		return 0;
	if (++spin->waits < SPIN_PROBE_EVERY)
		return spin->budget_ns;
	spin->waits = 0;
	return SPIN_MAX_NS;
}

void spin_learn(struct spin *spin, uint64_t waited_ns)
{
	uint64_t wanted = max_u64(2 * waited_ns, SPIN_MIN_NS);

	if (waited_ns > SPIN_MAX_NS)
		spin->budget_ns /= 2;
	else if (wanted > spin->budget_ns)
		spin->budget_ns = (uint32_t)min_u64(wanted, SPIN_MAX_NS);
	else
		spin->budget_ns -= (uint32_t)(spin->budget_ns - wanted) / 8;
	if (spin->budget_ns < SPIN_MIN_NS)
		spin->budget_ns = SPIN_MIN_NS;
}

unsigned int spin_usable_cpus(void)
{
	cpu_set_t set;

	/* It fails where there are more CPUs than the set has room for. */
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 2;
	return (unsigned int)CPU_COUNT(&set);
}
