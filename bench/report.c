/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Report
 *
 * The JSON form is one flat list, each element complete by itself, so that
 * lists of many runs can be put together with cat and jq:
 *
 *	[{id, name, unit, p50, p99, p999, throughput, floor, ratio, commit,
 *	  machine}]
 *
 * What has no meaning for a result is null. Targets and verdicts are not in
 * it: they belong to the source, which the commit names.
 */
#include "bench/report.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

void report_add(struct report *report, const struct result *result)
{
	assert(report->count < RESULTS_MAX);
	report->results[report->count++] = *result;
}

double result_ratio(const struct result *result)
{
	return result->floor > 0 ? result->q.p50 / result->floor : NAN;
}

/* ---- The table ---- */

static const char *verdict(const struct result *result)
{
	double value = result->target_kind == TARGET_VALUE ?
			       result->q.p50 :
			       result_ratio(result);
	double doubt = result->doubt > 1 ? result->doubt : 1;

	if (result->target_kind == TARGET_NONE)
		return "no target";
	if (isnan(value))
		return "no floor";
	if (result->target_kind == TARGET_RATIO_LEAST && value > 0)
		return value / doubt >= result->target ? "met" :
		       value * doubt < result->target  ? "not met" :
							 "unsure";
	if (value * doubt <= result->target)
		return "met";
	return value / doubt > result->target ? "not met" : "unsure";
}

/* Four significant digits, a dash for nothing. */
static const char *number(char buffer[16], double value)
{
	if (isnan(value))
		return "-";
	snprintf(buffer, 16, value < 100 ? "%.2f" : "%.0f", value);
	return buffer;
}

static const char *target(char buffer[16], const struct result *result)
{
	if (result->target_kind == TARGET_NONE)
		return "-";
	snprintf(buffer, 16,
		 result->target_kind == TARGET_VALUE ? "%.4g" :
		 result->target_kind == TARGET_RATIO ? "%.4gx" :
						       ">%.4gx",
		 result->target);
	return buffer;
}

static const char *colour(const char *word)
{
	if (strcmp(word, "met") == 0)
		return "\033[32m";
	return strcmp(word, "not met") == 0 ? "\033[31m" : "";
}

static void row(const struct result *result, FILE *to, int in_colour)
{
	const char *word = verdict(result);
	char text[6][16];

	fprintf(to, "%-15s %9s %9s %9s %-5s %9s %7s %7s  ", result->id,
		number(text[0], result->q.p50), number(text[1], result->q.p99),
		number(text[2], result->q.p999), result->unit,
		number(text[3], result->floor),
		number(text[4], result_ratio(result)), target(text[5], result));
	if (in_colour)
		fprintf(to, "%s%-9s\033[0m", colour(word), word);
	else
		fprintf(to, "%-9s", word);
	fprintf(to, "  %s\n", result->name);
}

void report_table(const struct report *report, FILE *to, int in_colour)
{
	fprintf(to, "%s, commit %s\n\n", report->machine, report->commit);
	fprintf(to, "%-15s %9s %9s %9s %-5s %9s %7s %7s  %-9s  %s\n", "id",
		"p50", "p99", "p99.9", "unit", "floor", "ratio", "target",
		"verdict", "what");
	for (unsigned int i = 0; i < report->count; i++)
		row(&report->results[i], to, in_colour);
}

/* ---- JSON ---- */

static json_t *real(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

static json_t *element(const struct report *report, const struct result *r)
{
	double rate = r->q.throughput > 0 ? r->q.throughput : NAN;

	return json_pack("{ss, ss, ss, so, so, so, so, so, so, ss, ss}", "id",
			 r->id, "name", r->name, "unit", r->unit, "p50",
			 real(r->q.p50), "p99", real(r->q.p99), "p999",
			 real(r->q.p999), "throughput", real(rate), "floor",
			 real(r->floor), "ratio", real(result_ratio(r)),
			 "commit", report->commit, "machine", report->machine);
}

int report_write(const struct report *report, const char *path)
{
	json_t *list = json_array();
	FILE *file = fopen(path, "we");
	int r = file ? 0 : -1;

	for (unsigned int i = 0; i < report->count && r == 0; i++)
		r = json_array_append_new(list,
					  element(report, &report->results[i]));
	if (r == 0)
		r = json_dumpf(list, file,
			       JSON_INDENT(1) | JSON_REAL_PRECISION(6));
	if (r == 0 && fputc('\n', file) == EOF)
		r = -1;
	if (file && fclose(file) != 0)
		r = -1;
	json_decref(list);
	return r;
}
