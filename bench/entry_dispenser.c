/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (L5): what do an alloc and a free of the dispenser cost with 10^3
 * to 10^6 resources in the inventory, beside a list that is looked through?
 *
 * The core's state machine, with a driver that answers at once. Resources are
 * of n / 8 types and requests for any of them. In the first mix what is of the
 * right type is perfect, as a pool's buffers are; in the second nothing ever
 * is, so that a search goes on to the end of its window. The list holds types
 * and ids, the one freed last at its end, and is searched from there, with the
 * same ratings; it stops at 100 too. Its figure is the mean of a few rounds.
 */
#include "bench/bench.h"

#include "bench/clock.h"
#include "core/dispenser.h"

#include <stdlib.h>

enum { PER_TYPE = 8, NAIVE_VISITS = 40000000 };

static const double L5_TARGET = 0.05;

struct stock {
	struct dispenser dispenser;
	uint64_t holder, last_id, random, now_ns, types;
	bool perfect; /* the first mix */
	/* The list. */
	struct {
		uint64_t type, id;
	} * list;
	size_t n;
};

static void *block_alloc(void *context, size_t size_bytes)
{
	(void)context;
	return malloc(size_bytes);
}

static void block_free(void *context, void *block)
{
	(void)context;
	free(block);
}

static uint64_t draw(struct stock *stock)
{
	stock->random += UINT64_C(0x9e3779b97f4a7c15);
	return idmap_hash_number(stock->random);
}

static int rating_of(const struct stock *stock, uint64_t wanted, uint64_t type,
		     uint64_t id)
{
	if (wanted != type)
		return 0;
	return stock->perfect ? 100 : 1 + (int)(idmap_hash_number(id) % 99);
}

static int run(struct stock *stock, struct dispenser_op *op)
{
	struct dispenser_answer answer = { .idle_timeout_ns = DISPENSER_NEVER };
	struct dispenser_ask ask;
	enum dispenser_turn turn;

	while ((turn = dispenser_step(op, &ask)) != DISPENSER_DONE) {
		if (turn != DISPENSER_ASK)
			continue;
		answer.status = 0;
		answer.type = ask.type;
		if (ask.verb == DISPENSER_CREATE)
			answer.number = ++stock->last_id;
		else if (ask.verb == DISPENSER_RATE)
			answer.status = rating_of(stock, ask.type,
						  ask.item_type, ask.id.number);
		dispenser_tell(op, &answer);
	}
	return op->status;
}

static bool take(struct stock *stock, uint64_t type, struct dispenser_id *ret)
{
	struct dispenser_op op;

	if (dispenser_alloc(&stock->dispenser, &op, stock->holder, type, 0,
			    stock->now_ns) < 0 ||
	    run(stock, &op) < 0)
		return false;
	*ret = op.id;
	return true;
}

static bool give(struct stock *stock, struct dispenser_id id)
{
	struct dispenser_op op;

	return dispenser_free(&stock->dispenser, &op, stock->holder, id,
			      ++stock->now_ns) == 0 &&
	       run(stock, &op) == 0;
}

static bool one_pair(void *context)
{
	struct stock *stock = context;
	struct dispenser_id id;

	return take(stock, draw(stock) % stock->types, &id) && give(stock, id);
}

/* The same by looking through the list. */
static void naive_pair(struct stock *stock)
{
	uint64_t type = draw(stock) % stock->types, id;
	size_t best = stock->n;
	int best_rating = 0;

	for (size_t i = stock->n; i-- > 0 && best_rating < 100;) {
		int rating = rating_of(stock, type, stock->list[i].type,
				       stock->list[i].id);

		if (rating > best_rating) {
			best_rating = rating;
			best = i;
		}
	}
	if (best == stock->n)
		return;
	id = stock->list[best].id;
	for (size_t i = best; i + 1 < stock->n; i++)
		stock->list[i] = stock->list[i + 1];
	stock->list[stock->n - 1].type = type;
	stock->list[stock->n - 1].id = id;
}

static double naive_ns(const struct bench *bench, struct stock *stock)
{
	size_t rounds = bench->smoke ? 3 : NAIVE_VISITS / stock->n;
	uint64_t start = now_ns();

	for (size_t i = 0; i < rounds; i++)
		naive_pair(stock);
	return (double)(now_ns() - start) / (double)rounds;
}

static bool fill(struct stock *stock, size_t n)
{
	const struct heap heap = { NULL, block_alloc, block_free };
	const struct dispenser_options options = { 0 };
	struct dispenser_id *ids = malloc(n * sizeof(*ids));
	bool good;

	memset(stock, 0, sizeof(*stock));
	stock->types = n / PER_TYPE;
	dispenser_init(&stock->dispenser, &heap);
	good = ids && dispenser_register(&stock->dispenser, &options,
					 &stock->holder) == 0;
	stock->list = malloc(n * sizeof(*stock->list));
	stock->n = n;
	for (size_t i = 0; good && i < n; i++)
		good = take(stock, i % stock->types, &ids[i]);
	for (size_t i = 0; good && i < n; i++) {
		good = stock->list && give(stock, ids[i]);
		stock->list[i].type = i % stock->types;
		stock->list[i].id = ids[i].number;
	}
	free(ids);
	return good;
}

static void empty(struct stock *stock)
{
	struct dispenser_op op;

	if (dispenser_close(&stock->dispenser, &op, stock->holder) == 0)
		run(stock, &op);
	dispenser_deinit(&stock->dispenser);
	free(stock->list);
}

static bool measure(struct bench *bench, struct stock *stock, bool perfect)
{
	struct rounds rounds = { NULL, one_pair, NULL, stock };
	struct result result = { .unit = "ns",
				 .target_kind = TARGET_RATIO,
				 .target = L5_TARGET };
	char count[16];

	stock->perfect = perfect;
	snprintf(result.id, sizeof(result.id), "L5-%s%s",
		 bench_count(count, stock->n), perfect ? "" : "-mix");
	snprintf(result.name, sizeof(result.name),
		 "dispenser: alloc and free, %s free, %s", count,
		 perfect ? "a perfect one" : "none perfect");
	if (stock->n < 1000000)
		result.target_kind = TARGET_NONE;
	result.floor = naive_ns(bench, stock);
	if (!measure_rounds(bench, &rounds, &result.q))
		return false;
	report_add(bench->report, &result);
	return true;
}

bool entry_dispenser(struct bench *bench)
{
	static struct stock stock;
	size_t most = bench->smoke ? 1000 : 1000000;
	bool good = true;

	for (size_t n = 1000; good && n <= most; n *= 10) {
		good = fill(&stock, n) && measure(bench, &stock, true) &&
		       measure(bench, &stock, false);
		empty(&stock);
	}
	return good;
}
