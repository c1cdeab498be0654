/* SPDX-License-Identifier: Apache-2.0 */
/* What has been measured: as JSON, and as a table with verdicts. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/passes.h"

#include <math.h>
#include <stdio.h>

enum { RESULTS_MAX = 96 };

enum target_kind {
	TARGET_NONE,
	TARGET_RATIO, /* p50 divided by the floor is at most target */
	TARGET_RATIO_LEAST, /* at least target; p50 is a throughput */
	TARGET_VALUE, /* p50 is at most target */
};

struct result {
	char id[24];
	char name[80];
	const char *unit;
	struct quantiles q;
	double floor; /* what the same run measured as the bound, or NAN */
	/* By what factor the ratio may be wrong, because what is measured
	 * before and after was not the same; 0 when that is not known. */
	double doubt;
	enum target_kind target_kind;
	double target;
};

struct report {
	char machine[512];
	char commit[64];
	unsigned int count;
	struct result results[RESULTS_MAX];
};

/* Takes a result; asserts that there is room. */
void report_add(struct report *report, const struct result *result);

/* p50 divided by the floor, or NAN. */
double result_ratio(const struct result *result);

/* The table; in colours only when asked for. */
void report_table(const struct report *report, FILE *to, int in_colour);

/* The JSON form into a file; 0 or -1 with errno. */
int report_write(const struct report *report, const char *path);

#endif
