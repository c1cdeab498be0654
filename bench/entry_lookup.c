/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (S11): what does a lookup cost when the slot is in the cache, and
 * what when 10^7 are live, the handles are random and come in batches?
 *
 * table_peek, called as the core calls it. Hot: 16 handles, over and over.
 * Random: the slot of the handle 24 places ahead is prefetched, as a caller
 * with a batch can do. A sample is 1024 lookups. The floor of the random one
 * is a prefetched random read of a line on pages of the same size.
 */
#include "bench/bench.h"

#include "bench/clock.h"
#include "bench/world.h"

enum { BLOCK = 1024, AHEAD = PREFETCH_AHEAD, HOT = 16 };

static const double HOT_TARGET_NS = 2, RANDOM_TARGET = 1.3;

/* How many were found goes here, so that they have to be looked for. */
static volatile size_t sink;

static size_t hot_block(const struct world *world, size_t from)
{
	const struct region *region = &world->broker.env.region;
	size_t found = 0;

	(void)from;
	for (size_t i = 0; i < BLOCK; i++) {
		struct handle handle = { world->handles[i % HOT] };

		found += table_peek(region, world->owner, handle) != NULL;
	}
	return found;
}

static size_t random_block(const struct world *world, size_t from)
{
	const struct region *region = &world->broker.env.region;
	size_t found = 0;

	for (size_t i = from; i < from + BLOCK; i++) {
		struct handle handle = { world->handles[i] };
		struct handle ahead = { world->handles[i + AHEAD] };

		__builtin_prefetch(slot_at(region, handle_index(ahead)));
		found += table_peek(region, world->owner, handle) != NULL;
	}
	return found;
}

static struct quantiles
measure(const struct bench *bench, const struct world *world,
	size_t (*block)(const struct world *world, size_t from))
{
	static struct histogram histogram;
	size_t blocks = (world->n_handles - AHEAD) / BLOCK;
	struct passes passes = { 0 };

	for (unsigned int pass = 0; pass <= bench_passes(bench); pass++) {
		uint64_t start = now_ns(), before = start, now = start;

		histogram_init(&histogram);
		for (size_t i = 0; i < blocks; i++, before = now) {
			sink = block(world, i * BLOCK);
			now = now_ns();
			histogram_record(&histogram,
					 (now - before) * 1000 / BLOCK);
		}
		if (sink != BLOCK)
			fprintf(stderr, "tenure-bench: lookups fail\n");
		if (pass > 0)
			passes_add(&passes, &histogram, blocks * BLOCK,
				   now - start);
	}
	return passes_median(&passes);
}

bool entry_lookup(struct bench *bench)
{
	size_t n = bench_live(bench);
	struct world *world = world_new(n, WORLD_BATCH, WORLD_PAGES_DAEMON);
	const char *pages = world_page_name(world);
	struct result hot = { .id = "S11-hot",
			      .unit = "ns",
			      .floor = NAN,
			      .name = "core: lookup, the slot in the cache",
			      .target_kind = TARGET_VALUE,
			      .target = HOT_TARGET_NS };
	struct result random = { .id = "S11-random",
				 .doubt = 1,
				 .unit = "ns",
				 .target_kind = TARGET_RATIO,
				 .target = RANDOM_TARGET };
	struct quantiles visit[2];
	char live[16];
	bool good;

	/* The handles of the wire would have to be decoded each time. */
	for (size_t i = 0; i < n; i++)
		world->handles[i] =
			handle_from_wire(world->handles[i], world->secret).value;
	hot.q = measure(bench, world, hot_block);
	good = measure_visit(bench, n, pages, "read", &visit[0]);
	random.q = measure(bench, world, random_block);
	good = good && measure_visit(bench, n, pages, "read", &visit[1]);
	world_free(world);
	if (!good)
		return false;
	random.floor = middle_of(&visit[0], &visit[1], &random.doubt);
	snprintf(random.name, sizeof(random.name),
		 "core: lookup, %s live, prefetched, %s pages",
		 bench_count(live, n), pages);
	report_add(bench->report, &hot);
	report_add(bench->report, &random);
	return true;
}
