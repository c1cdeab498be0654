/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question: how fast can this machine visit cache lines in random order, and
 * how fast do two threads answer each other through one?
 *
 * These are the least that an implementation can pay: one with a line for
 * each object visits it to destroy and visits it again to reclaim; a request
 * to another core goes there and back. So this is a program of its own, and
 * it shares nothing with what it bounds.
 *
 *	tenure-floor [--lines N] [--distance N] [--pages thp|4k|shm]
 *		     [--operation add|read|sweep|judge] [--passes N]
 *		     [--visits N] [--elsewhere BYTES]
 *	tenure-floor --spin CPU,CPU [--passes N] [--visits N]
 *
 * A visit is a locked addition to one word (add) or a load of it (read),
 * prefetched so many visits ahead. The order is a random permutation of the
 * lines, taken round and round; sweep is add in the order of their addresses.
 * Who must have looked at all of a list before he changes any of it cannot do
 * with one visit: judge reads 1024 lines, and then adds to each.
 * With --elsewhere each pass begins after so much other memory has been read:
 * then the caches know nothing of the lines, nor of the tables by which a
 * processor finds their pages.
 * Samples are blocks of 1024 visits. One JSON object is printed, in
 * nanoseconds: p50, p99 and p999 are medians over the passes, and visit_ns is
 * the median of the passes' means.
 */
#include "bench/affinity.h"
#include "bench/clock.h"
#include "bench/passes.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE_WORDS = 8, BLOCK = 1024, USAGE = 64 };

struct job {
	size_t lines, distance, visits, elsewhere_bytes;
	unsigned int passes;
	const char *pages;
	const char *operation;
	bool reads, sweeps, judges, spins;
	int cpu[2];
};

struct ground {
	uint64_t *words; /* LINE_WORDS for each line */
	uint64_t *elsewhere;
	uint32_t *order; /* as many as visits, and distance more */
};

/* What a read finds goes here, so that it has to be done. */
static volatile uint64_t sink;

static uint64_t mixed(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A permutation of the lines, and again and again. */
static void lay_order(uint32_t *order, size_t count, size_t lines, bool sweeps)
{
	uint32_t *all = malloc(lines * sizeof(*all));

	if (!all)
		abort();
	for (size_t i = 0; sweeps && i < lines; i++)
		all[i] = (uint32_t)i;
	for (size_t i = 0; !sweeps && i < lines; i++) {
		size_t other = mixed(i + 1) % (i + 1);

		all[i] = all[other];
		all[other] = (uint32_t)i;
	}
	for (size_t i = 0; i < count; i++)
		order[i] = all[i % lines];
	free(all);
}

static bool lay_ground(const struct job *job, struct ground *ret)
{
	size_t bytes = job->lines * LINE_WORDS * sizeof(uint64_t);
	size_t count = job->visits + job->distance;
	size_t elsewhere = job->elsewhere_bytes;
	int sharing = strcmp(job->pages, "shm") == 0 ? MAP_SHARED : MAP_PRIVATE;
	void *words = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   sharing | MAP_ANONYMOUS, -1, 0);

	ret->order = malloc(count * sizeof(*ret->order));
	ret->elsewhere = calloc(1, elsewhere);
	if (words == MAP_FAILED || !ret->order ||
	    (elsewhere > 0 && !ret->elsewhere))
		return false;
	for (size_t i = 0; i < elsewhere / sizeof(*ret->elsewhere); i++)
		ret->elsewhere[i] = i; /* pages of its own */
	madvise(words, bytes,
		strcmp(job->pages, "4k") == 0 ? MADV_NOHUGEPAGE :
						MADV_HUGEPAGE);
	memset(words, 1, bytes);
	lay_order(ret->order, count, job->lines, job->sweeps);
	ret->words = words;
	return true;
}

static inline uint64_t *word_of(const struct ground *ground, size_t i)
{
	return ground->words + (size_t)ground->order[i] * LINE_WORDS;
}

static void add_block(const struct ground *ground, size_t from, size_t distance)
{
	for (size_t i = from; i < from + BLOCK; i++) {
		if (distance > 0)
			__builtin_prefetch(word_of(ground, i + distance), 1);
		__atomic_fetch_add(word_of(ground, i), 1, __ATOMIC_ACQ_REL);
	}
}

static void read_block(const struct ground *ground, size_t from,
		       size_t distance)
{
	uint64_t sum = 0;

	for (size_t i = from; i < from + BLOCK; i++) {
		if (distance > 0)
			__builtin_prefetch(word_of(ground, i + distance), 0);
		sum += __atomic_load_n(word_of(ground, i), __ATOMIC_ACQUIRE);
	}
	sink = sum;
}

static void judge_block(const struct ground *ground, size_t from,
			size_t distance)
{
	read_block(ground, from, distance);
	add_block(ground, from, 0);
}

static void read_elsewhere(const struct job *job, const struct ground *ground)
{
	size_t words = job->elsewhere_bytes / sizeof(*ground->elsewhere);
	uint64_t sum = 0;

	for (size_t i = 0; i < words; i += LINE_WORDS)
		sum += ground->elsewhere[i];
	sink = sum;
}

/* One pass over all visits; its samples go to the histogram. */
static uint64_t gather(const struct job *job, const struct ground *ground,
		       struct histogram *histogram)
{
	uint64_t start, before;

	read_elsewhere(job, ground);
	start = before = now_ns();
	histogram_init(histogram);
	for (size_t i = 0; i + BLOCK <= job->visits; i += BLOCK) {
		uint64_t now;

		if (job->reads)
			read_block(ground, i, job->distance);
		else if (job->judges)
			judge_block(ground, i, job->distance);
		else
			add_block(ground, i, job->distance);
		now = now_ns();
		histogram_record(histogram, (now - before) * 1000 / BLOCK);
		before = now;
	}
	return before - start;
}

/* ---- Two threads and one word each ---- */

struct court {
	_Alignas(128) uint64_t ping;
	_Alignas(128) uint64_t pong;
	uint64_t last; /* the word that ends the game */
	int cpu;
};

static void *answer(void *argument)
{
	struct court *court = argument;
	uint64_t seen = 0;

	pin_to(court->cpu);
	while (seen != court->last) {
		uint64_t now = __atomic_load_n(&court->ping, __ATOMIC_ACQUIRE);

		if (now != seen)
			__atomic_store_n(&court->pong, now, __ATOMIC_RELEASE);
		seen = now;
	}
	return NULL;
}

static void rally(struct court *court, uint64_t from, uint64_t count)
{
	for (uint64_t i = from; i < from + count; i++) {
		__atomic_store_n(&court->ping, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&court->pong, __ATOMIC_ACQUIRE) != i)
			;
	}
}

/* Times every round trip by itself, as a caller would see it. */
static bool spin(const struct job *job, struct passes *passes)
{
	static struct histogram histogram;
	static struct court court;
	uint64_t cost = clock_cost_ns(), next = 1;
	pthread_t thread;

	court.cpu = job->cpu[1];
	court.last = job->visits * (job->passes + 1) + 1;
	if (!pin_to(job->cpu[0]) ||
	    pthread_create(&thread, NULL, answer, &court) != 0)
		return false;
	rally(&court, next, job->visits);
	next += job->visits;
	for (unsigned int p = 0; p < job->passes; p++) {
		uint64_t timed = 0;

		histogram_init(&histogram);
		for (uint64_t i = 0; i < job->visits; i++, next++) {
			uint64_t start = now_ns(), elapsed;

			rally(&court, next, 1);
			elapsed = without_clock(now_ns() - start, cost);
			histogram_record(&histogram, elapsed * 1000);
			timed += elapsed;
		}
		passes_add(passes, &histogram, job->visits, timed);
	}
	rally(&court, next, 1);
	pthread_join(thread, NULL);
	return true;
}

/* ---- The command line ---- */

static void print(const struct job *job, const struct passes *passes)
{
	struct quantiles q = passes_median(passes);

	if (job->spins)
		printf("{\"spin\":[%d,%d],", job->cpu[0], job->cpu[1]);
	else
		printf("{\"lines\":%zu,\"pages\":\"%s\",\"distance\":%zu,"
		       "\"operation\":\"%s\",\"visit_ns\":%.2f,",
		       job->lines, job->pages, job->distance, job->operation,
		       1e9 / q.throughput);
	printf("\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,"
	       "\"throughput\":%.0f}\n",
	       q.p50, q.p99, q.p999, q.throughput);
}

static bool parse_size(const char *text, size_t least, size_t most, size_t *ret)
{
	char *end;
	double value = strtod(text, &end); /* so that 1e7 is a number */

	if (end == text || *end != '\0' || !(value >= (double)least) ||
	    value > (double)most)
		return false;
	*ret = (size_t)value;
	return true;
}

static bool take(int option, const char *text, struct job *job)
{
	size_t passes;

	switch (option) {
	case 'l':
		return parse_size(text, 1, UINT32_MAX, &job->lines);
	case 'd':
		return parse_size(text, 0, 4096, &job->distance);
	case 'v':
		return parse_size(text, BLOCK, UINT32_MAX, &job->visits);
	case 'e':
		return parse_size(text, 0, UINT32_MAX, &job->elsewhere_bytes);
	case 'n':
		if (!parse_size(text, 1, PASSES_MAX, &passes))
			return false;
		job->passes = (unsigned int)passes;
		return true;
	case 'p':
		job->pages = text;
		return strcmp(text, "thp") == 0 || strcmp(text, "4k") == 0 ||
		       strcmp(text, "shm") == 0;
	case 'o':
		job->operation = text;
		job->reads = strcmp(text, "read") == 0;
		job->sweeps = strcmp(text, "sweep") == 0;
		job->judges = strcmp(text, "judge") == 0;
		return job->reads || job->sweeps || job->judges ||
		       strcmp(text, "add") == 0;
	case 's':
		job->spins = true;
		return sscanf(text, "%d,%d", &job->cpu[0], &job->cpu[1]) == 2;
	default:
		return false;
	}
}

static bool parse(int argc, char **argv, struct job *job)
{
	static const struct option options[] = {
		{ "lines", required_argument, NULL, 'l' },
		{ "distance", required_argument, NULL, 'd' },
		{ "visits", required_argument, NULL, 'v' },
		{ "elsewhere", required_argument, NULL, 'e' },
		{ "passes", required_argument, NULL, 'n' },
		{ "pages", required_argument, NULL, 'p' },
		{ "operation", required_argument, NULL, 'o' },
		{ "spin", required_argument, NULL, 's' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!take(option, optarg, job))
			return false;
	return optind == argc;
}

/* Visits lines; false when there is no memory. */
static bool visit(const struct job *job, struct passes *passes)
{
	static struct histogram histogram;
	struct ground ground = { 0 };

	if (!lay_ground(job, &ground))
		return false;
	gather(job, &ground, &histogram); /* warms up */
	for (unsigned int i = 0; i < job->passes; i++) {
		uint64_t elapsed = gather(job, &ground, &histogram);

		passes_add(passes, &histogram, job->visits, elapsed);
	}
	free(ground.elsewhere);
	free(ground.order);
	return true;
}

int main(int argc, char **argv)
{
	static struct passes passes;
	struct job job = { .lines = 10000000,
			   .distance = 24,
			   .passes = 7,
			   .visits = 4 << 20,
			   .pages = "thp",
			   .operation = "add" };

	if (!parse(argc, argv, &job)) {
		fprintf(stderr, "tenure-floor: bad arguments\n");
		return USAGE;
	}
	if (!(job.spins ? spin(&job, &passes) : visit(&job, &passes))) {
		fprintf(stderr, "tenure-floor: %s\n", strerror(errno));
		return 1;
	}
	print(&job, &passes);
	return 0;
}
