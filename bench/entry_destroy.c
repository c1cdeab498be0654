/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (S0): what does the core pay to validate and retire a handle, and
 * later to reclaim it, when 10^7 are live and the order is random?
 *
 * The core by itself, through the path that the daemon uses: destroys of 1024
 * handles (rules, commit, stream), then ticks and release jobs of a backend
 * that does nothing. A pass destroys about a million handles before it
 * reclaims the first, so that the second visit finds its line out of the
 * cache again; what it destroyed is made anew, untimed, before the next pass.
 * A sample is one batch: its destroy and its reclaim, divided by 1024. There
 * are no contexts yet, so there is one stream.
 *
 * The floor is two visits to a random line on pages of the same size, before
 * and after, in the same run.
 */
#include "bench/bench.h"

#include "bench/clock.h"
#include "bench/world.h"

#include <stdlib.h>

enum { PASS_HANDLES = 1 << 20 };

static const double S0_TARGET = 1.25;

/* Picoseconds of each batch in one pass. */
struct batches {
	size_t count;
	uint64_t *retire, *reclaim;
};

static void retire_all(struct world *world, const uint64_t *handles,
		       struct batches *b)
{
	uint64_t before = now_ns();

	for (size_t i = 0; i < b->count; i++) {
		uint64_t now;

		world_destroy(world, handles + i * WORLD_BATCH, WORLD_BATCH);
		now = now_ns();
		b->retire[i] = (now - before) * 1000 / WORLD_BATCH;
		before = now;
	}
}

/* One more round than batches: the last one only frees slots. */
static void reclaim_all(struct world *world, struct batches *b)
{
	uint64_t before = now_ns();
	size_t i = 0;

	for (bool more = true; more; i++) {
		size_t at = i < b->count ? i : b->count - 1;
		uint64_t now;

		more = world_reclaim(world);
		now = now_ns();
		b->reclaim[at] += (now - before) * 1000 / WORLD_BATCH;
		before = now;
	}
}

static void add_pass(struct passes *passes, const struct batches *b,
		     const uint64_t *first, const uint64_t *second)
{
	static struct histogram histogram;
	uint64_t sum = 0;

	histogram_init(&histogram);
	for (size_t i = 0; i < b->count; i++) {
		uint64_t sample = first[i] + (second ? second[i] : 0);

		histogram_record(&histogram, sample);
		sum += sample;
	}
	passes_add(passes, &histogram, b->count * WORLD_BATCH,
		   sum * WORLD_BATCH / 1000);
}

/* How many batches a pass can take from n live ones. */
static size_t pass_batches(size_t n)
{
	size_t most = n / 2 / WORLD_BATCH;

	return most < PASS_HANDLES / WORLD_BATCH ? most :
						   PASS_HANDLES / WORLD_BATCH;
}

struct destroy_figures measure_destroy(const struct bench *bench, size_t n,
				       bool small)
{
	struct world *world = world_new(
		n, WORLD_BATCH, small ? WORLD_PAGES_SMALL : WORLD_PAGES_DAEMON);
	struct batches b = { .count = pass_batches(n) };
	struct passes both = { 0 }, retire = { 0 }, reclaim = { 0 };
	struct destroy_figures figures = { .pages = world_page_name(world) };
	size_t at = 0;

	b.retire = calloc(b.count, sizeof(*b.retire));
	b.reclaim = calloc(b.count, sizeof(*b.reclaim));
	for (unsigned int pass = 0; pass <= bench_passes(bench); pass++) {
		if (at + b.count * WORLD_BATCH > n) {
			world_shuffle(world);
			at = 0;
		}
		memset(b.reclaim, 0, b.count * sizeof(*b.reclaim));
		retire_all(world, world->handles + at, &b);
		reclaim_all(world, &b);
		for (size_t i = 0; i < b.count; i++, at += WORLD_BATCH)
			world_create(world, world->handles + at, WORLD_BATCH);
		if (pass == 0)
			continue; /* it warms up */
		add_pass(&both, &b, b.retire, b.reclaim);
		add_pass(&retire, &b, b.retire, NULL);
		add_pass(&reclaim, &b, b.reclaim, NULL);
	}
	free(b.retire);
	free(b.reclaim);
	world_free(world);
	figures.both = passes_median(&both);
	figures.retire = passes_median(&retire);
	figures.reclaim = passes_median(&reclaim);
	return figures;
}

/* So many visits of so many nanoseconds bound it. */
struct floor {
	double visits, visit, doubt;
};

static void add(struct bench *bench, const char *id, const char *suffix,
		const char *what, const char *pages, size_t n,
		const struct quantiles *q, const struct floor *floor,
		double target)
{
	struct result result = {
		.unit = "ns",
		.q = *q,
		.floor = floor->visits * floor->visit,
		.doubt = floor->doubt,
		.target_kind = target > 0 ? TARGET_RATIO : TARGET_NONE,
		.target = target,
	};
	char live[16];

	snprintf(result.id, sizeof(result.id), "%s%s", id, suffix);
	snprintf(result.name, sizeof(result.name),
		 "core: %s a handle, %s live, %s pages", what,
		 bench_count(live, n), pages);
	report_add(bench->report, &result);
}

static bool run(struct bench *bench, const char *id, size_t n, bool small,
		double target)
{
	const char *pages = small ? "4k" : "thp";
	struct quantiles before, after;
	struct floor floor = { .visits = 2, .doubt = 1 };
	struct destroy_figures f;

	if (!measure_visit(bench, n, pages, "add", &before))
		return false;
	f = measure_destroy(bench, n, small);
	if (strcmp(f.pages, pages) != 0 &&
	    !measure_visit(bench, n, f.pages, "add", &before))
		return false;
	if (!measure_visit(bench, n, f.pages, "add", &after))
		return false;
	floor.visit = middle_of(&before, &after, &floor.doubt);
	add(bench, id, "", "destroy and reclaim", f.pages, n, &f.both, &floor,
	    target);
	floor.visits = 1;
	add(bench, id, "-retire", "validate and retire", f.pages, n, &f.retire,
	    &floor, 0);
	add(bench, id, "-reclaim", "reclaim", f.pages, n, &f.reclaim, &floor,
	    0);
	return true;
}

bool entry_destroy(struct bench *bench)
{
	if (!run(bench, "S0", bench_live(bench), false, S0_TARGET))
		return false;
	return !bench->full ||
	       run(bench, "S0-1e8", 10 * bench_live(bench), false, 0);
}

/* What S0 is when the kernel gives no huge pages. */
bool entry_destroy_small(struct bench *bench)
{
	return run(bench, "S0-small", bench_live(bench), true, 0);
}
