/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPUs a measurement runs on. */
#ifndef BENCH_AFFINITY_H
#define BENCH_AFFINITY_H

#include <stdbool.h>

struct cpus {
	int near; /* where whatever is measured runs */
	int far; /* another core, or -1 when there is none */
};

/* Two allowed CPUs of one package that are not threads of one core. */
struct cpus cpus_choose(void);

/* The calling thread, and what it starts, runs on that CPU only. */
bool pin_to(int cpu);

/* The same on all CPUs that there are for it. */
bool unpin(void);

#endif
