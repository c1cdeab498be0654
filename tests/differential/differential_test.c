/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differential test: the broker against the naive model
 *
 *	differential_test [--seed N] [--ops N] [--run-ops N] [--run N] [--trace]
 *			  [--deaths N]
 *
 * Many short runs, each with its own limits, pace, share of wrong requests
 * and set of operations (a swarm: each run leaves some out, so that those
 * that are left get further). A divergence ends the program with the command
 * that repeats it; --run-ops 50 looks for a small one. --seed 0 takes a seed
 * that nobody has tried.
 *
 * With --deaths N the broker is killed at about one in N of its stores, while
 * it carries out what was drawn: each time a copy of the process takes the
 * state over, has it checked, lets all clients end, and must be left with
 * nothing (tests/support/assassin.h). The model is not asked there: what was
 * being done may have been done.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/differential/draw.h"
#include "tests/support/assassin.h"

struct options {
	uint64_t seed, ops, run_ops, deaths;
	bool one_run, trace;
	uint32_t run;
};

static uint64_t parse_number(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 0);

	if (*text == '\0' || *end != '\0') {
		fprintf(stderr, "not a number: %s\n", text);
		exit(64);
	}
	return number;
}

static void parse(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'o' },
		{ "run-ops", required_argument, NULL, 'p' },
		{ "run", required_argument, NULL, 'r' },
		{ "trace", no_argument, NULL, 't' },
		{ "deaths", required_argument, NULL, 'd' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 's':
			ret->seed = parse_number(optarg);
			break;
		case 'o':
			ret->ops = parse_number(optarg);
			break;
		case 'p':
			ret->run_ops = parse_number(optarg);
			break;
		case 'r':
			ret->run = (uint32_t)parse_number(optarg);
			ret->one_run = true;
			break;
		case 'd':
			ret->deaths = parse_number(optarg);
			break;
		case 't':
			ret->trace = true;
			break;
		default:
			exit(64);
		}
	}
	if (ret->seed == 0)
		ret->seed = (uint64_t)time(NULL);
	if (ret->run_ops == 0)
		ret->run_ops = 1;
}

/* Which steps this run makes, and how often. */
static uint32_t draw_weights(struct run *run, uint32_t *weights)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < n_steps; i++) {
		bool is_in = steps[i].always || random_chance(&run->random, 75);
		uint32_t factor = 1 + random_below(&run->random, 4);

		weights[i] = is_in ? steps[i].weight * factor : 0;
		sum += weights[i];
	}
	return sum;
}

/* A client that has no adapter or no device gets one soon. */
static bool make_missing(struct run *run, int client)
{
	const struct model *m = run->model;
	uint32_t i;

	if (client == MODEL_NOTHING || random_chance(&run->random, 70))
		return false;
	if (model_count(m, client, MODEL_ADAPTER) == 0)
		i = 1;
	else if (model_count(m, client, MODEL_DEVICE) == 0)
		i = 2;
	else
		return false;
	steps[i].make(run, client);
	return true;
}

static void make_step(struct run *run, const uint32_t *weights, uint32_t sum)
{
	uint32_t at = random_below(&run->random, sum), i = 0;
	int client = draw_client(run);

	if (make_missing(run, client))
		return;
	while (at >= weights[i])
		at -= weights[i++];
	if (client != MODEL_NOTHING || steps[i].any_client)
		steps[i].make(run, client);
}

/* Most of what there is to draw needs a client with a device. */
static void make_ground(struct run *run)
{
	for (uint32_t i = 0; i < 3; i++)
		for (uint32_t times = 1 + random_below(&run->random, 3);
		     times > 0; times--) {
			int client = draw_client(run);

			if (client != MODEL_NOTHING || steps[i].any_client)
				steps[i].make(run, client);
		}
}

/* In the copy: what is left of the world goes on, and comes to its end. */
static void after_death(void *context, uint64_t point)
{
	struct run *run = context;

	inproc_recover(run->world, point % 8 == 0);
	inproc_releases(run->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(run->world);
	inproc_check(run->world);
	inproc_free(run->world);
}

/* A step, at some of whose stores the broker dies. The draw is not the run's:
 * with or without deaths it is the same one. */
static void make_deadly_step(struct run *run, const struct options *options,
			     const uint32_t *weights, uint32_t sum,
			     uint64_t *deaths)
{
	struct random random = { run->seed * 2654435761u + run->op };
	struct assassin assassin = {
		.pages = inproc_pages(run->world),
		.afterwards = after_death,
		.context = run,
		.name = "drawn",
		.stride = options->deaths,
		.phase = random_next(&random) % options->deaths,
	};

	assassin_arm(&assassin);
	make_step(run, weights, sum);
	assassin_disarm(&assassin);
	*deaths += assassin.deaths;
}

static void make_run(const struct options *options, uint32_t index,
		     uint64_t *requests, uint64_t *refused, uint64_t *deaths)
{
	uint32_t weights[64], sum;
	struct run run;

	run_begin(&run, options->seed, index, options->trace);
	assert(n_steps <= ARRAY_SIZE(weights));
	sum = draw_weights(&run, weights);
	run.ops = options->run_ops;
	make_ground(&run);
	for (run.op = 0; run.op < run.ops; run.op++) {
		if (options->deaths > 0 && assassin_can())
			make_deadly_step(&run, options, weights, sum, deaths);
		else
			make_step(&run, weights, sum);
		if (run.op % MOVE_PERIOD == run.seed % MOVE_PERIOD)
			inproc_move(run.world);
		if (run.op % CHECK_PERIOD == 0)
			inproc_check(run.world);
	}
	run_end(&run);
	*requests += run.requests;
	*refused += run.refused;
}

int main(int argc, char **argv)
{
	struct options options = { .seed = 1, .ops = 200000, .run_ops = 2000 };
	uint64_t requests = 0, refused = 0, deaths = 0;

	parse(argc, argv, &options);
	printf("seed %ju\n", (uintmax_t)options.seed);
	fflush(stdout);
	if (options.one_run) {
		make_run(&options, options.run, &requests, &refused, &deaths);
	} else {
		for (uint32_t i = 0; i < options.ops / options.run_ops; i++)
			make_run(&options, i, &requests, &refused, &deaths);
	}
	printf("%ju requests, %ju of them refused, no divergence\n",
	       (uintmax_t)requests, (uintmax_t)refused);
	if (options.deaths > 0)
		printf("%ju deaths\n", (uintmax_t)deaths);
	return 0;
}
