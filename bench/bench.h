/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an entry of the harness is, and what it is given. Every entry answers
 * the question at the top of its file, and reports one result or several.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "bench/affinity.h"
#include "bench/report.h"

#include <stdbool.h>
#include <stddef.h>

struct bench {
	struct report *report;
	struct cpus cpus;
	uint64_t clock_cost_ns;
	bool smoke; /* sizes that only prove that it runs */
	bool full; /* 10^8 as well */
};

struct entry {
	const char *id;
	const char *question;
	/* False when it could not be measured; it has said why on stderr. */
	bool (*run)(struct bench *bench);
};

/* How many objects are live in the large entries, and how many passes. */
static inline size_t bench_live(const struct bench *bench)
{
	return bench->smoke ? 8192 : 10000000;
}

static inline unsigned int bench_passes(const struct bench *bench)
{
	return bench->smoke ? 1 : 5;
}

bool entry_floor(struct bench *bench);
bool entry_destroy(struct bench *bench);
bool entry_destroy_small(struct bench *bench);
bool entry_destroy_contexts(struct bench *bench);
bool entry_round_trip(struct bench *bench);
bool entry_whole_way(struct bench *bench);
bool entry_free(struct bench *bench);
bool entry_lists(struct bench *bench);
bool entry_clients(struct bench *bench);
bool entry_stalled(struct bench *bench);
bool entry_idle(struct bench *bench);
bool entry_create_map(struct bench *bench);
bool entry_share(struct bench *bench);
bool entry_lookup(struct bench *bench);
bool entry_memory(struct bench *bench);
bool entry_growth(struct bench *bench);
bool entry_scale(struct bench *bench);
bool entry_warm(struct bench *bench);
bool entry_submit(struct bench *bench);
bool entry_death(struct bench *bench);
bool entry_tick(struct bench *bench);
bool entry_dispenser(struct bench *bench);

/* "10M": a number of objects for people. */
static inline const char *bench_count(char buffer[16], size_t n)
{
	if (n >= 1000000)
		snprintf(buffer, 16, "%.4gM", (double)n / 1e6);
	else
		snprintf(buffer, 16, "%.4gk", (double)n / 1e3);
	return buffer;
}

/* What of the core's destroy path is measured. */
struct destroy_case {
	size_t n; /* allocations live */
	bool small; /* on 4 KiB pages */
	/* So many contexts use them, per_value of them until the same value of
	 * one; none: nobody does. */
	uint32_t contexts, per_value;
	bool alone; /* each by a free of its own, not by lists */
};

/* Figures for each handle: both steps together, and each of them. */
struct destroy_figures {
	struct quantiles both, retire, reclaim;
	const char *pages; /* "thp" or "4k" */
};

struct destroy_figures measure_destroy(const struct bench *bench,
				       const struct destroy_case *what);

/* The floor program on so many lines: one visit. */
bool measure_visit(const struct bench *bench, size_t lines, const char *pages,
		   const char *operation, struct quantiles *ret);

/*
 * The same thing measured before and after something else: the mean of the
 * p50s. *doubt, which begins as 1, grows by the factor between them.
 */
double middle_of(const struct quantiles *before, const struct quantiles *after,
		 double *doubt);

/* A game of tenure-raw-peers between the near CPU and peer_cpu. */
bool measure_raw(const struct bench *bench, const char *game, int peer_cpu,
		 struct quantiles *ret);

/* A round of something that takes microseconds; before and after may be NULL.
 * A step that returns false ends the measurement. */
struct rounds {
	bool (*before)(void *context);
	bool (*timed)(void *context);
	bool (*after)(void *context);
	void *context;
};

/*
 * Times each round by itself, with a pass to warm up; false with a line on
 * stderr when a step failed.
 */
bool measure_rounds(const struct bench *bench, const struct rounds *rounds,
		    struct quantiles *ret);

/*
 * Instructions of the core's hot paths, counted by callgrind and compared
 * with those in a file of the JSON form; the exit status of the harness.
 */
int instructions_run(struct report *report, const char *baseline);

/* Runs one of those paths, under callgrind; the exit status. */
int instructions_path(const char *name);

#endif
