/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log-linear histogram
 *
 * Latencies reach over six orders of magnitude, and the interesting ones are
 * rare. Keeping all values costs memory and disturbs what is measured;
 * equal buckets are too coarse at one end. So each power of two is cut into
 * 128 equal buckets: a value is found by its highest bit and the seven bits
 * below it.
 *
 *	value     0 .. 127     128 .. 255    256 .. 511    512 .. 1023
 *	width     1            1             2             4
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A quantile differs from the exact one by less than 1/128 of it.
 *  G2  Values below 256 are exact.
 *  G3  No quantile lies outside the least and the most recorded value.
 */
#include "bench/histogram.h"

#include <string.h>

void histogram_init(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
	histogram->least = UINT64_MAX;
}

static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < HISTOGRAM_CUTS)
		return (unsigned int)value;
	shift = 63 - HISTOGRAM_CUTS_LOG2 - (unsigned int)__builtin_clzll(value);
	return (shift << HISTOGRAM_CUTS_LOG2) + (unsigned int)(value >> shift);
}

/* The middle of a bucket. */
static uint64_t value_of(unsigned int bucket)
{
	unsigned int shift = bucket >> HISTOGRAM_CUTS_LOG2;
	uint64_t low;

	if (shift <= 1)
		return bucket;
	shift--;
	low = (uint64_t)(bucket - (shift << HISTOGRAM_CUTS_LOG2)) << shift;
	return low + (UINT64_C(1) << (shift - 1));
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
	histogram->buckets[bucket_of(value)]++;
	histogram->count++;
	if (value < histogram->least)
		histogram->least = value;
	if (value > histogram->most)
		histogram->most = value;
}

uint64_t histogram_quantile(const struct histogram *histogram, double q)
{
	double wanted = q * (double)histogram->count;
	uint64_t seen = 0, value;
	unsigned int bucket = 0;

	if (histogram->count == 0)
		return 0;
	for (;; bucket++) {
		seen += histogram->buckets[bucket];
		if (seen > 0 &&
		    ((double)seen >= wanted || bucket == HISTOGRAM_BUCKETS - 1))
			break;
	}
	value = value_of(bucket);
	if (value < histogram->least)
		return histogram->least;
	return value > histogram->most ? histogram->most : value;
}
