/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading the clock costs: the median of many pairs of readings. The
 * first thousand warm the page that the kernel keeps the time in.
 */
#include "bench/clock.h"

#include "bench/histogram.h"

enum { WARM_UP = 1000, PAIRS = 20000 };

uint64_t clock_cost_ns(void)
{
	struct histogram histogram;

	histogram_init(&histogram);
	for (int i = 0; i < WARM_UP + PAIRS; i++) {
		uint64_t start = now_ns(), end = now_ns();

		if (i >= WARM_UP)
			histogram_record(&histogram, end - start);
	}
	return histogram_quantile(&histogram, 0.5);
}
