/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log-linear histogram of 64-bit values; the reasoning is in histogram.c.
 * Not for several threads at once.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
	/* Each power of two is cut into that many equal buckets. */
	HISTOGRAM_CUTS_LOG2 = 7,
	HISTOGRAM_CUTS = 1 << HISTOGRAM_CUTS_LOG2,
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_CUTS_LOG2 + 1) * HISTOGRAM_CUTS,
};

struct histogram {
	uint64_t count, least, most;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Makes it empty. */
void histogram_init(struct histogram *histogram);

/* Counts one value. */
void histogram_record(struct histogram *histogram, uint64_t value);

/*
 * The value that the share q (0 to 1) of all values does not exceed: exact to
 * one part in HISTOGRAM_CUTS, and never outside what was recorded. 0 when
 * nothing was.
 */
uint64_t histogram_quantile(const struct histogram *histogram, double q);

#endif
