/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question: what does free() of jemalloc cost an application, for 64 bytes in
 * random order among so many that live?
 *
 *	tenure-heap-floor LIVE [BURST [PASSES]]
 *
 * A burst of frees is timed and divided by its length; what it freed is
 * allocated again, untimed. One JSON object is printed, in nanoseconds. Nothing
 * of Tenure is in here.
 */
#include "bench/clock.h"
#include "bench/passes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBJECT_BYTES = 64, BURSTS = 64, USAGE = 64 };

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return *state >> 33;
}

/* One object, written as its owner would. */
static void *make(void)
{
	void *object = malloc(OBJECT_BYTES);

	if (!object)
		abort();
	memset(object, 1, OBJECT_BYTES);
	return object;
}

static void **make_all(size_t live)
{
	void **objects = malloc(live * sizeof(*objects));
	uint64_t random = 1;

	if (!objects)
		abort();
	for (size_t i = 0; i < live; i++)
		objects[i] = make();
	for (size_t i = live - 1; i > 0; i--) {
		size_t other = next_random(&random) % (i + 1);
		void *object = objects[i];

		objects[i] = objects[other];
		objects[other] = object;
	}
	return objects;
}

static void free_all(void **objects, size_t live)
{
	for (size_t i = 0; i < live; i++)
		free(objects[i]);
	free(objects);
}

static uint64_t one_pass(void **objects, size_t live, size_t burst, size_t *at,
			 struct histogram *histogram)
{
	uint64_t sum = 0;

	histogram_init(histogram);
	for (int b = 0; b < BURSTS; b++) {
		uint64_t start, elapsed;

		if (*at + burst > live)
			*at = 0;
		start = now_ns();
		for (size_t i = 0; i < burst; i++)
			free(objects[*at + i]);
		elapsed = now_ns() - start;
		histogram_record(histogram, elapsed * 1000 / burst);
		sum += elapsed;
		for (size_t i = 0; i < burst; i++)
			objects[(*at)++] = make();
	}
	return sum;
}

int main(int argc, char **argv)
{
	static struct histogram histogram;
	size_t live = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	size_t burst = argc > 2 ? strtoul(argv[2], NULL, 10) : 8192;
	unsigned long passes = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;
	struct passes all = { 0 };
	struct quantiles q;
	void **objects;
	size_t at = 0;

	if (burst == 0 || live < burst || passes == 0 || passes > PASSES_MAX) {
		fprintf(stderr, "tenure-heap-floor: bad arguments\n");
		return USAGE;
	}
	objects = make_all(live);
	for (unsigned long pass = 0; pass <= passes; pass++) {
		uint64_t elapsed =
			one_pass(objects, live, burst, &at, &histogram);

		if (pass > 0)
			passes_add(&all, &histogram, BURSTS * burst, elapsed);
	}
	free_all(objects, live);
	q = passes_median(&all);
	printf("{\"what\": \"jemalloc free\", \"live\": %zu, \"p50\": %.3f, "
	       "\"p99\": %.3f, \"p999\": %.3f, \"throughput\": %.1f}\n",
	       live, q.p50, q.p99, q.p999, q.throughput);
	return 0;
}
