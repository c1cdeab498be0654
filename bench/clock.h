/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of all measurements, and what reading it costs. Nothing here is
 * shared with what is measured.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of a clock that only goes forward. */
static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The difference of two readings with nothing between them: the median. */
uint64_t clock_cost_ns(void);

/* A measured time without the clock's own share; never below zero. */
static inline uint64_t without_clock(uint64_t elapsed_ns, uint64_t cost_ns)
{
	return elapsed_ns > cost_ns ? elapsed_ns - cost_ns : 0;
}

#endif
