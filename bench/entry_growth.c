/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (S13): how much dearer does a destroy become when a hundred times
 * as many handles are live, and how much dearer does the memory itself become?
 *
 * S0 with 10^5 and with 10^7 live (10^8 too with --full), each quantile
 * divided by that of 10^5; the floor is the same quotient of the floor
 * program's visits. So a floor of 4 and a ratio of 1 means that only the
 * caches and the TLB are to blame.
 */
#include "bench/bench.h"

#include "bench/world.h"

static const double S13_TARGET = 1.2;

static bool grow(struct bench *bench, const struct destroy_figures *small,
		 double small_visit, size_t n, const char *id)
{
	struct result result = { .unit = "x",
				 .target_kind = TARGET_RATIO,
				 .target = S13_TARGET };
	struct quantiles before, after;
	struct destroy_figures large;
	char live[16];

	if (!measure_visit(bench, n, small->pages, "add", &before))
		return false;
	large = measure_destroy(bench, n, false);
	if (!measure_visit(bench, n, small->pages, "add", &after))
		return false;
	snprintf(result.id, sizeof(result.id), "%s", id);
	snprintf(result.name, sizeof(result.name),
		 "core: a destroy at %s live against 100k, %s pages",
		 bench_count(live, n), large.pages);
	result.q = (struct quantiles){
		.p50 = large.both.p50 / small->both.p50,
		.p99 = large.both.p99 / small->both.p99,
		.p999 = large.both.p999 / small->both.p999,
	};
	result.floor = floor_between(&before, &after) / small_visit;
	report_add(bench->report, &result);
	return true;
}

bool entry_growth(struct bench *bench)
{
	size_t few = bench->smoke ? 4096 : 100000;
	struct quantiles before, after;
	struct destroy_figures small;
	double visit;

	small = measure_destroy(bench, few, false);
	if (!measure_visit(bench, few, small.pages, "add", &before) ||
	    !measure_visit(bench, few, small.pages, "add", &after))
		return false;
	visit = floor_between(&before, &after);
	if (!grow(bench, &small, visit, bench_live(bench), "S13"))
		return false;
	return !bench->full ||
	       grow(bench, &small, visit, 10 * bench_live(bench), "S13-1e8");
}
