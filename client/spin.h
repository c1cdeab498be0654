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
	/* Waits between two that look for the longest time, to find out. */
	SPIN_PROBE_FIRST = 32,
	SPIN_PROBE_LAST = 1024,
};

struct spin {
	uint32_t budget_ns;
	uint32_t probe_every;
	uint32_t waits; /* since the last probe */
	bool alone; /* one CPU: looking only keeps the daemon from running */
};

/* cpus: how many the machine has. */
void spin_init(struct spin *spin, unsigned int cpus);

/* For how long the next wait should look; 0: one look. */
uint32_t spin_budget_ns(struct spin *spin);

/* The wait that had this budget is over and took so long, asleep or not. */
void spin_learn(struct spin *spin, uint32_t budget_ns, uint64_t waited_ns);

#endif
