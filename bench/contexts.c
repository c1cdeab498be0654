/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts
 *
 * What is destroyed while work uses it goes to the timeline of a context, at
 * the value that ends that work. How dear this is depends on how many
 * timelines the destroys of one list are spread over, and on how many of them
 * wait for one value: so both are chosen here.
 *
 *	handles:   h0 h1 h2 h3 | h4 h5 h6 h7 | h8 ...
 *	contexts:   2  0  3  1 |  1  3  0  2 |  0 ...     count 4
 *	value:      ------- 1 --------------- |  2 ...    per_value 2
 *
 * A row is dealt in an order of its own, so that nobody can guess whose turn
 * is next.
 */
#include "bench/contexts.h"

#include "core/context.h"

#include <stdio.h>
#include <stdlib.h>

static void require(struct outcome outcome, const char *what)
{
	if (outcome.status == 0)
		return;
	fprintf(stderr, "tenure-bench: %s: %d\n", what, outcome.status);
	exit(1);
}

void contexts_init(struct contexts *c, struct world *world, uint32_t count,
		   uint32_t per_value)
{
	*c = (struct contexts){ .world = world,
				.count = count,
				.per_value = per_value };
	c->handles = calloc(count, sizeof(*c->handles));
	c->words = calloc(count, sizeof(*c->words));
	c->deal = calloc(count, sizeof(*c->deal));
	c->used = calloc(count, sizeof(*c->used));
	c->lists = calloc((size_t)count * per_value, sizeof(*c->lists));
	if (!c->handles || !c->words || !c->deal || !c->used || !c->lists)
		abort();
	for (uint32_t i = 0; i < count; i++) {
		c->deal[i] = i;
		require(context_create(&world->broker.env, world->session,
				       world->device, &c->handles[i],
				       &c->words[i]),
			"a context is refused");
	}
}

void contexts_deinit(struct contexts *c)
{
	free(c->handles);
	free(c->words);
	free(c->deal);
	free(c->used);
	free(c->lists);
}

static void shuffle(struct contexts *c)
{
	for (uint32_t i = c->count; i > 1; i--) {
		uint32_t other = (uint32_t)(world_random(c->world) % i);
		uint32_t context = c->deal[i - 1];

		c->deal[i - 1] = c->deal[other];
		c->deal[other] = context;
	}
}

static void submit(struct contexts *c, uint32_t context)
{
	struct world *world = c->world;
	const struct submit_args args = {
		.device = world->device,
		.context = c->handles[context],
		.value = c->value,
		.list = c->lists + (size_t)context * c->per_value,
		.count = c->used[context],
		.list_bytes = c->used[context] * sizeof(*args.list),
	};

	if (args.count > 0)
		require(context_submit(&world->broker.env, world->session,
				       &args, &world->broker.rules),
			"work is refused");
	c->used[context] = 0;
}

/* One value of every context: how many handles it takes. */
static size_t use_some(struct contexts *c, const uint64_t *handles, size_t n)
{
	size_t all = min_u64(n, (size_t)c->count * c->per_value);

	c->value++;
	for (size_t i = 0; i < all; i++) {
		size_t turn = i % c->count;
		uint32_t context;

		if (turn == 0)
			shuffle(c);
		context = c->deal[turn];
		c->lists[(size_t)context * c->per_value + c->used[context]++] =
			handles[i];
	}
	for (uint32_t i = 0; i < c->count; i++)
		submit(c, i);
	return all;
}

void contexts_use(struct contexts *c, const uint64_t *handles, size_t n)
{
	c->first = c->value + 1;
	for (size_t done = 0; done < n;)
		done += use_some(c, handles + done, n - done);
}

/* A store for each, and one look at them all. */
static void say(struct contexts *c, uint64_t value)
{
	struct world *world = c->world;

	for (uint32_t i = 0; i < c->count; i++)
		world->words[c->words[i]] = value;
	broker_progressed(&world->broker, world->session);
}

void contexts_finish(struct contexts *c, size_t n)
{
	say(c, c->first - 1 + n / ((size_t)c->count * c->per_value));
}

void contexts_finish_all(struct contexts *c)
{
	say(c, c->value);
}
