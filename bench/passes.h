/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repeated passes of one measurement, and the median over them. Samples are
 * in picoseconds, so that a batch divided by its length keeps its fraction;
 * what comes out is in nanoseconds.
 */
#ifndef BENCH_PASSES_H
#define BENCH_PASSES_H

#include "bench/histogram.h"

enum { PASSES_MAX = 16 };

struct quantiles {
	double p50, p99, p999;
	double throughput; /* operations a second; 0: it has no meaning */
};

struct passes {
	unsigned int count;
	struct quantiles each[PASSES_MAX];
};

/*
 * Takes one pass: the histogram of its samples in picoseconds, and the time
 * that all its operations took together.
 */
void passes_add(struct passes *passes, const struct histogram *histogram,
		uint64_t operations, uint64_t elapsed_ns);

/* Each of the four figures' own median over the passes. */
struct quantiles passes_median(const struct passes *passes);

#endif
