/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to look for an answer before going to sleep. See spin.c. The
 * connection's lock is the caller's.
 */
#ifndef CLIENT_SPIN_H
#define CLIENT_SPIN_H

#include "core/base.h"

enum {
	SPIN_MIN_NS = 2000,
	SPIN_MAX_NS = 50000,
	/* One wait of so many looks for the longest time. */
	SPIN_PROBE_EVERY = 32,
};

struct spin {
	uint32_t budget_ns;
	uint32_t waits; /* since the last probe */
	bool alone; /* one CPU: looking only keeps the daemon from running */
};

/* cpus: how many this process may run on. */
void spin_init(struct spin *spin, unsigned int cpus);

/* For how long the next wait should look; 0: not at all. */
uint32_t spin_budget_ns(struct spin *spin);

/* The wait is over and took that long, asleep or not. */
void spin_learn(struct spin *spin, uint64_t waited_ns);

/* CPUs that the calling process may run on, at least 1. */
unsigned int spin_usable_cpus(void);

#endif
