/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passes
 *
 * One pass that is disturbed must not decide what is printed. So every pass
 * has a histogram of its own, and each figure is the median over the passes:
 * of their medians, of their 99th percentiles, and so on. A disturbance that
 * comes in most passes stays in the result, as it should.
 */
#include "bench/passes.h"

#include <assert.h>
#include <stdlib.h>

void passes_add(struct passes *passes, const struct histogram *histogram,
		uint64_t operations, uint64_t elapsed_ns)
{
	struct quantiles *q = &passes->each[passes->count];

	assert(passes->count < PASSES_MAX);
	q->p50 = (double)histogram_quantile(histogram, 0.5) / 1000;
	q->p99 = (double)histogram_quantile(histogram, 0.99) / 1000;
	q->p999 = (double)histogram_quantile(histogram, 0.999) / 1000;
	q->throughput = elapsed_ns == 0 ?
				0 :
				(double)operations * 1e9 / (double)elapsed_ns;
	passes->count++;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int count)
{
	qsort(values, count, sizeof(*values), by_value);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

struct quantiles passes_median(const struct passes *passes)
{
	double v[4][PASSES_MAX];

	assert(passes->count > 0);
	for (unsigned int i = 0; i < passes->count; i++) {
		v[0][i] = passes->each[i].p50;
		v[1][i] = passes->each[i].p99;
		v[2][i] = passes->each[i].p999;
		v[3][i] = passes->each[i].throughput;
	}
	return (struct quantiles){
		.p50 = median(v[0], passes->count),
		.p99 = median(v[1], passes->count),
		.p999 = median(v[2], passes->count),
		.throughput = median(v[3], passes->count),
	};
}
