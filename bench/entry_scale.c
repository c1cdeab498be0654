/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (S2-core): what does the core pay for each handle when very many
 * are live, 10^7 or with --full 10^8: to create it, to look it up, to destroy
 * it and to reclaim it? And what do others pay for less?
 *
 * All handles are made in lists of 1024, looked up in random order, destroyed
 * in random order in lists of 1024, and only then reclaimed: so every step
 * finds its line out of the cache. Each step is timed as a whole, a sample is
 * one list. The floor of each is the visits to a line that it cannot do
 * without, on pages of the same size, before and after, in the same run.
 *
 * The peers (deferring_peers.c) destroy and take back a million out of as many
 * objects, or out of 10^7 where 13 GB are not free for 10^8: liburcu's call_rcu,
 * Concurrency Kit's epochs, a mutex with a hash table. They check nothing; see
 * there.
 */
#include "bench/bench.h"

#include "bench/child.h"
#include "bench/clock.h"
#include "bench/world.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AHEAD = PREFETCH_AHEAD };

static const double S2_TARGET = 2;

/* How many were found goes here, so that they have to be looked for. */
static volatile size_t sink;

enum step { STEP_LOOKUP, STEP_DESTROY, STEP_RECLAIM, STEPS };

static void look_up(const struct world *world, size_t from)
{
	const struct region *region = &world->broker.env.region;
	const uint64_t *handles = world->handles + from;
	size_t found = 0;

	for (size_t i = 0; i < WORLD_BATCH; i++) {
		size_t next = i + AHEAD < WORLD_BATCH ? i + AHEAD : i;

		table_prefetch(region, world->owner,
			       handle_from_wire(handles[next], world->secret));
		found += table_peek(region, world->owner,
				    handle_from_wire(handles[i],
						     world->secret)) != NULL;
	}
	sink = found;
}

/* One list of a step; false when there are no more. */
static bool one_list(struct world *world, enum step step, size_t from)
{
	if (step == STEP_RECLAIM)
		return world_reclaim(world);
	if (step == STEP_LOOKUP)
		look_up(world, from);
	else
		world_destroy(world, world->handles + from, WORLD_BATCH);
	return from + 2 * WORLD_BATCH <= world->n_handles;
}

static struct quantiles time_step(struct world *world, enum step step)
{
	static struct histogram histogram;
	uint64_t start = now_ns(), before = start;
	struct passes passes = { 0 };
	bool more = true;

	histogram_init(&histogram);
	for (size_t from = 0; more; from += WORLD_BATCH) {
		uint64_t now;

		more = one_list(world, step, from);
		now = now_ns();
		histogram_record(&histogram,
				 (now - before) * 1000 / WORLD_BATCH);
		before = now;
	}
	passes_add(&passes, &histogram, world->n_handles, before - start);
	return passes_median(&passes);
}

static void add(struct bench *bench, const char *id, const char *what, size_t n,
		const char *pages, const struct quantiles *q, double floor,
		double doubt, double target)
{
	struct result result = {
		.unit = "ns",
		.q = *q,
		.floor = floor,
		.doubt = doubt,
		.target_kind = target > 0 ? TARGET_RATIO : TARGET_NONE,
		.target = target,
	};
	char live[16];

	snprintf(result.id, sizeof(result.id), "%s", id);
	snprintf(result.name, sizeof(result.name), "%s, %s live, %s pages",
		 what, bench_count(live, n), pages);
	report_add(bench->report, &result);
}

static void add_peer(struct bench *bench, const char *name, const char *what,
		     size_t n, double visits)
{
	char path[CHILD_PATH_BYTES], count[24], passes[8], id[24];
	const char *argv[] = { path,	   name,   "--objects", count,
			       "--passes", passes, NULL };
	struct quantiles q;

	child_beside("tenure-deferring-peers", path);
	snprintf(count, sizeof(count), "%zu", n);
	snprintf(passes, sizeof(passes), "%u", bench_passes(bench));
	if (!child_quantiles(argv, bench->cpus.near, &q))
		return; /* it is not built without its libraries */
	snprintf(id, sizeof(id), "S2-peer-%s", name);
	add(bench, id, what, n, "thp", &q, visits, 0, 0);
}

static struct quantiles plus(const struct quantiles *a,
			     const struct quantiles *b)
{
	return (struct quantiles){
		a->p50 + b->p50, a->p99 + b->p99, a->p999 + b->p999,
		1 / (1 / a->throughput + 1 / b->throughput)
	};
}

/* Whether n objects of theirs, in order, and a hash table fit into memory. */
static bool has_room_for_peers(size_t n)
{
	const size_t object = 64, number = 4, cells = 4 * 16;
	size_t pages = (size_t)sysconf(_SC_AVPHYS_PAGES);

	return pages >=
	       n / (size_t)sysconf(_SC_PAGESIZE) * (object + number + cells);
}

bool entry_scale(struct bench *bench)
{
	size_t n = bench_live(bench) * (bench->full ? 10 : 1);
	struct quantiles visit[2], steps[STEPS], create, both;
	struct world *world;
	double floor, doubt = 1;
	const char *pages;

	if (!measure_visit(bench, n, "thp", "add", &visit[0]))
		return false;
	world = world_new(n - n % WORLD_BATCH, WORLD_BATCH, WORLD_PAGES_DAEMON);
	create = (struct quantiles){ world->create_ns, world->create_ns,
				     world->create_ns, 1e9 / world->create_ns };
	pages = world_page_name(world);
	for (int step = 0; step < STEPS; step++)
		steps[step] = time_step(world, (enum step)step);
	world_free(world);
	if (strcmp(pages, "thp") != 0 &&
	    !measure_visit(bench, n, pages, "add", &visit[0]))
		return false;
	if (!measure_visit(bench, n, pages, "add", &visit[1]))
		return false;
	floor = middle_of(&visit[0], &visit[1], &doubt);
	both = plus(&steps[STEP_DESTROY], &steps[STEP_RECLAIM]);
	add(bench, "S2-core", "core: destroy and reclaim", n, pages, &both,
	    2 * floor, doubt, S2_TARGET);
	add(bench, "S2-core-create", "core: create, 1024 at once", n, pages,
	    &create, floor, doubt, 0);
	add(bench, "S2-core-lookup", "core: lookup", n, pages,
	    &steps[STEP_LOOKUP], floor, doubt, 0);
	add(bench, "S2-core-destroy", "core: destroy", n, pages,
	    &steps[STEP_DESTROY], floor, doubt, 0);
	add(bench, "S2-core-reclaim", "core: reclaim", n, pages,
	    &steps[STEP_RECLAIM], floor, doubt, 0);
	if (n > bench_live(bench) && !has_room_for_peers(n)) {
		n = bench_live(bench);
		if (!measure_visit(bench, n, "thp", "add", &visit[0]))
			return false;
		floor = visit[0].p50;
	}
	add_peer(bench, "urcu", "liburcu: call_rcu", n, 2 * floor);
	add_peer(bench, "epoch", "Concurrency Kit: epoch", n, 2 * floor);
	add_peer(bench, "mutex", "a mutex and a hash table", n, 2 * floor);
	return true;
}
