/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds: what takes microseconds is timed one by one, so that the tail is
 * seen. The clock's own share is subtracted from every sample, and what is
 * done between the rounds is in no figure.
 */
#include "bench/bench.h"

#include "bench/clock.h"

static bool step(bool (*what)(void *context), void *context)
{
	return !what || what(context);
}

static bool one_pass(const struct bench *bench, const struct rounds *rounds,
		     unsigned int count, struct histogram *histogram,
		     uint64_t *ret_timed_ns)
{
	histogram_init(histogram);
	*ret_timed_ns = 0;
	for (unsigned int i = 0; i < count; i++) {
		uint64_t start, elapsed;

		if (!step(rounds->before, rounds->context))
			return false;
		start = now_ns();
		if (!rounds->timed(rounds->context))
			return false;
		elapsed = without_clock(now_ns() - start, bench->clock_cost_ns);
		histogram_record(histogram, elapsed * 1000);
		*ret_timed_ns += elapsed;
		if (!step(rounds->after, rounds->context))
			return false;
	}
	return true;
}

bool measure_rounds(const struct bench *bench, const struct rounds *rounds,
		    struct quantiles *ret)
{
	static struct histogram histogram;
	unsigned int count = bench->smoke ? 20 : 3000;
	struct passes passes = { 0 };

	for (unsigned int pass = 0; pass <= bench_passes(bench); pass++) {
		uint64_t timed_ns;

		if (!one_pass(bench, rounds, count, &histogram, &timed_ns)) {
			fprintf(stderr, "tenure-bench: a round has failed\n");
			return false;
		}
		if (pass > 0)
			passes_add(&passes, &histogram, count, timed_ns);
	}
	*ret = passes_median(&passes);
	return true;
}
