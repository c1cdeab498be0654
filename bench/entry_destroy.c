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
 * A sample is one batch: its destroy and its reclaim, divided by 1024. Nobody
 * uses them, so there is one stream, the session's.
 *
 * S0-free: the same handles by the free queue, 1024 at a time, each judged and
 * retired by itself: a list that is all or nothing is gone through twice.
 *
 * S0-64 and S0-4095: the same while work of so many contexts uses them, each
 * one that of one context, so that the entries of a list go to as many
 * timelines. 64 of them wait for each value of a context, or each has a value
 * of its own; 4095 is the most that a client can have. Then the contexts say
 * that they have come further, by 64 batches at a time, and what was set free
 * is moved and reclaimed; so the reclaim of a sample is the mean over those 64,
 * with what the contexts said in it.
 *
 * The floor is two visits to a random line on pages of the same size, before
 * and after, in the same run.
 */
#include "bench/bench.h"

#include "bench/clock.h"
#include "bench/contexts.h"
#include "bench/world.h"

#include <stdlib.h>

enum { PASS_HANDLES = 1 << 20, STEP_BATCHES = 64 };

static const double S0_TARGET = 1.25, DISTINCT_TARGET = 1.7;

/* Picoseconds of each batch in one pass. */
struct batches {
	size_t count;
	bool alone; /* see struct destroy_case */
	uint64_t *retire, *reclaim;
};

static void retire_all(struct world *world, const uint64_t *handles,
		       struct batches *b)
{
	void (*step)(struct world *, const uint64_t *, uint32_t) =
		b->alone ? world_free_each : world_destroy;
	uint64_t before = now_ns();

	for (size_t i = 0; i < b->count; i++) {
		uint64_t now;

		step(world, handles + i * WORLD_BATCH, WORLD_BATCH);
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

/* Batches from to, of which the contexts say that the work has ended. */
static void reclaim_step(struct contexts *contexts, struct batches *b,
			 size_t from, size_t to)
{
	uint64_t before = now_ns(), each;

	if (to == b->count)
		contexts_finish_all(contexts);
	else
		contexts_finish(contexts, to * WORLD_BATCH);
	while (world_reclaim(contexts->world))
		;
	each = (now_ns() - before) * 1000 / ((to - from) * WORLD_BATCH);
	for (size_t i = from; i < to; i++)
		b->reclaim[i] = each;
}

static void reclaim_finished(struct contexts *contexts, struct batches *b)
{
	for (size_t i = 0; i < b->count; i += STEP_BATCHES)
		reclaim_step(contexts, b, i,
			     min_u64(i + STEP_BATCHES, b->count));
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

static void destroy_pass(struct world *world, struct contexts *contexts,
			 uint64_t *handles, struct batches *b)
{
	memset(b->reclaim, 0, b->count * sizeof(*b->reclaim));
	if (contexts)
		contexts_use(contexts, handles, b->count * WORLD_BATCH);
	retire_all(world, handles, b);
	if (contexts)
		reclaim_finished(contexts, b);
	else
		reclaim_all(world, b);
	for (size_t i = 0; i < b->count; i++)
		world_create(world, handles + i * WORLD_BATCH, WORLD_BATCH);
}

static void destroy_passes(const struct bench *bench, struct world *world,
			   struct contexts *contexts, struct batches *b,
			   struct destroy_figures *ret)
{
	struct passes both = { 0 }, retire = { 0 }, reclaim = { 0 };
	size_t at = 0;

	for (unsigned int pass = 0; pass <= bench_passes(bench); pass++) {
		if (at + b->count * WORLD_BATCH > world->n_handles) {
			world_shuffle(world);
			at = 0;
		}
		destroy_pass(world, contexts, world->handles + at, b);
		at += b->count * WORLD_BATCH;
		if (pass == 0)
			continue; /* it warms up */
		add_pass(&both, b, b->retire, b->reclaim);
		add_pass(&retire, b, b->retire, NULL);
		add_pass(&reclaim, b, b->reclaim, NULL);
	}
	ret->both = passes_median(&both);
	ret->retire = passes_median(&retire);
	ret->reclaim = passes_median(&reclaim);
}

struct destroy_figures measure_destroy(const struct bench *bench,
				       const struct destroy_case *what)
{
	struct world *world =
		world_new(what->n, WORLD_BATCH,
			  what->small ? WORLD_PAGES_SMALL : WORLD_PAGES_DAEMON);
	struct batches b = { .count = pass_batches(what->n),
			     .alone = what->alone };
	struct destroy_figures figures = { .pages = world_page_name(world) };
	struct contexts contexts;

	b.retire = calloc(b.count, sizeof(*b.retire));
	b.reclaim = calloc(b.count, sizeof(*b.reclaim));
	if (what->contexts > 0) {
		contexts_init(&contexts, world, what->contexts,
			      what->per_value);
		destroy_passes(bench, world, &contexts, &b, &figures);
		contexts_deinit(&contexts);
	} else {
		destroy_passes(bench, world, NULL, &b, &figures);
	}
	free(b.retire);
	free(b.reclaim);
	world_free(world);
	return figures;
}

/* So many visits of so many nanoseconds bound it. */
struct floor {
	double visits, visit, doubt;
};

static void add(struct bench *bench, const char *id, const char *suffix,
		const char *what, const char *pages,
		const struct destroy_case *which, const struct quantiles *q,
		const struct floor *floor, double target)
{
	struct result result = {
		.unit = "ns",
		.q = *q,
		.floor = floor->visits * floor->visit,
		.doubt = floor->doubt,
		.target_kind = target > 0 ? TARGET_RATIO : TARGET_NONE,
		.target = target,
	};
	char live[16], users[32] = "";

	if (which->contexts > 0)
		snprintf(users, sizeof(users), "%u contexts, ",
			 which->contexts);
	snprintf(result.id, sizeof(result.id), "%s%s", id, suffix);
	snprintf(result.name, sizeof(result.name),
		 "core: %s a handle, %s%s live, %s pages", what, users,
		 bench_count(live, which->n), pages);
	report_add(bench->report, &result);
}

static bool run(struct bench *bench, const char *id,
		const struct destroy_case *what, double target)
{
	const char *pages = what->small ? "4k" : "thp";
	size_t n = what->n;
	struct quantiles before, after;
	struct floor floor = { .visits = 2, .doubt = 1 };
	struct destroy_figures f;

	if (!measure_visit(bench, n, pages, "add", &before))
		return false;
	f = measure_destroy(bench, what);
	if (strcmp(f.pages, pages) != 0 &&
	    !measure_visit(bench, n, f.pages, "add", &before))
		return false;
	if (!measure_visit(bench, n, f.pages, "add", &after))
		return false;
	floor.visit = middle_of(&before, &after, &floor.doubt);
	add(bench, id, "", "destroy and reclaim", f.pages, what, &f.both,
	    &floor, target);
	floor.visits = 1;
	add(bench, id, "-retire", "validate and retire", f.pages, what,
	    &f.retire, &floor, 0);
	add(bench, id, "-reclaim", "reclaim", f.pages, what, &f.reclaim, &floor,
	    0);
	return true;
}

bool entry_destroy(struct bench *bench)
{
	struct destroy_case what = { .n = bench_live(bench) };
	const struct destroy_case alone = { .n = what.n, .alone = true };

	if (!run(bench, "S0", &what, S0_TARGET) ||
	    !run(bench, "S0-free", &alone, S0_TARGET))
		return false;
	what.n *= 10;
	return !bench->full || run(bench, "S0-1e8", &what, 0);
}

/* What S0 is when the kernel gives no huge pages. */
bool entry_destroy_small(struct bench *bench)
{
	const struct destroy_case what = { .n = bench_live(bench),
					   .small = true };

	return run(bench, "S0-small", &what, 0);
}

bool entry_destroy_contexts(struct bench *bench)
{
	const struct destroy_case few = { .n = bench_live(bench),
					  .contexts = 64,
					  .per_value = 64 };
	const struct destroy_case many = { .n = bench_live(bench),
					   .contexts = CONTEXTS_MOST,
					   .per_value = 1 };

	return run(bench, "S0-64", &few, S0_TARGET) &&
	       run(bench, "S0-4095", &many, DISTINCT_TARGET);
}
