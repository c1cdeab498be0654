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

/* What it costs with few live. */
struct base {
	struct quantiles destroy;
	double visit, doubt;
	const char *pages;
};

/* Each of the two twice, in turn, to see whether the machine stands still. */
static bool measure_base(const struct bench *bench, size_t few,
			 struct base *ret)
{
	struct destroy_figures destroy[2];
	struct quantiles visit[2];

	for (unsigned int i = 0; i < 2; i++) {
		destroy[i] = measure_destroy(
			bench, &(struct destroy_case){ .n = few });
		if (!measure_visit(bench, few, destroy[i].pages, "add",
				   &visit[i]))
			return false;
	}
	ret->doubt = 1;
	ret->visit = middle_of(&visit[0], &visit[1], &ret->doubt);
	ret->destroy = destroy[0].both;
	ret->destroy.p50 =
		middle_of(&destroy[0].both, &destroy[1].both, &ret->doubt);
	ret->pages = destroy[0].pages;
	return true;
}

static bool grow(struct bench *bench, const struct base *base, size_t n,
		 const char *id)
{
	struct result result = { .unit = "x",
				 .doubt = base->doubt,
				 .target_kind = TARGET_RATIO,
				 .target = S13_TARGET };
	struct quantiles before, after;
	struct destroy_figures large;
	char live[16];

	if (!measure_visit(bench, n, base->pages, "add", &before))
		return false;
	large = measure_destroy(bench, &(struct destroy_case){ .n = n });
	if (!measure_visit(bench, n, base->pages, "add", &after))
		return false;
	snprintf(result.id, sizeof(result.id), "%s", id);
	snprintf(result.name, sizeof(result.name),
		 "core: a destroy at %s live against 100k, %s pages",
		 bench_count(live, n), large.pages);
	result.q = (struct quantiles){
		.p50 = large.both.p50 / base->destroy.p50,
		.p99 = large.both.p99 / base->destroy.p99,
		.p999 = large.both.p999 / base->destroy.p999,
	};
	result.floor = middle_of(&before, &after, &result.doubt) / base->visit;
	report_add(bench->report, &result);
	return true;
}

bool entry_growth(struct bench *bench)
{
	struct base base;

	if (!measure_base(bench, bench->smoke ? 4096 : 100000, &base) ||
	    !grow(bench, &base, bench_live(bench), "S13"))
		return false;
	return !bench->full ||
	       grow(bench, &base, 10 * bench_live(bench), "S13-1e8");
}
