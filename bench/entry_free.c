/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions, between real processes by the ring, with a daemon whose memory is
 * none (null_daemon.c):
 *
 * S1a: how long does a destroy take from the application's call until its slot
 * can be used again, when 10^7 are live and the order is random? A burst of
 * 65536 frees, a flush, and questions until nothing is retired any more; all of
 * it divided by the length. The floor is two visits to a random line on pages
 * as the daemon has them, as for S0.
 *
 * S3a: what does the application pay for one free, alone in its call, in
 * bursts that fit the ring? The floor is free() of jemalloc, of 64 bytes in as
 * random an order among as many, in a program of its own in the same run.
 * S3a-list is the same with 1024 in a call; S3a-two with two threads that free
 * on one connection, as each of them sees it.
 *
 * S1-N: how long does a destroy that is waited for take for each handle, with
 * N handles in a list?
 *
 * The library's process is pinned to the near CPU. The daemon may run on all:
 * on one CPU alone its worker would never look for work, since it could not
 * know that its clients run elsewhere. In S1a-same it has only that CPU, so
 * each burst is as many doorbells and wake-ups as it has rings' full.
 */
#include "bench/bench.h"

#include "bench/child.h"
#include "bench/clock.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <tenure/tenure.h>

enum { LIST = 1024, RING_BURST = 8192, LONG_BURST = 65536, BURSTS = 16 };

static const double S1A_TARGET = 1.5, S3A_TARGET = 1;

struct field {
	const struct service *service;
	struct tenure *connection;
	struct tenure_device device;
	struct tenure_allocation *handles; /* shuffled */
	size_t live, at;
	uint64_t random;
	int far; /* a CPU for a second thread, or -1 */
	bool same; /* the daemon has the library's CPU, and no other */
};

static size_t pick(struct field *field, size_t below)
{
	field->random = field->random * UINT64_C(6364136223846793005) +
			UINT64_C(1442695040888963407);
	return (size_t)((field->random >> 33) % below);
}

static bool make(struct field *field, struct tenure_allocation *to, size_t n)
{
	static size_t sizes[LIST];

	for (size_t i = 0; i < LIST; i++)
		sizes[i] = 4096;
	for (size_t i = 0; i < n; i += LIST) {
		unsigned int count =
			(unsigned int)(n - i < LIST ? n - i : LIST);

		if (tenure_allocation_create(field->connection, field->device,
					     sizes, count, to + i) != 0)
			return false;
	}
	return true;
}

static void shuffle(struct field *field)
{
	for (size_t i = field->live - 1; i > 0; i--) {
		size_t other = pick(field, i + 1);
		struct tenure_allocation handle = field->handles[i];

		field->handles[i] = field->handles[other];
		field->handles[other] = handle;
	}
}

static bool plant(struct field *field, const struct service *service,
		  size_t live)
{
	struct tenure_adapter adapter;

	field->service = service;
	field->live = live;
	field->random = 1;
	field->handles = calloc(live, sizeof(*field->handles));
	if (!field->handles ||
	    tenure_connect(service->socket, 0, &field->connection) != 0 ||
	    tenure_adapter_open(field->connection, NULL, &adapter) != 0 ||
	    tenure_device_create(field->connection, adapter, &field->device) !=
		    0 ||
	    !make(field, field->handles, live))
		return false;
	shuffle(field);
	return true;
}

static void clear(struct field *field)
{
	tenure_disconnect(field->connection);
	free(field->handles);
}

/* The next so many handles. */
static struct tenure_allocation *next(struct field *field, size_t n)
{
	struct tenure_allocation *first;

	if (field->at + n > field->live)
		field->at = 0;
	first = field->handles + field->at;
	field->at += n;
	return first;
}

/* Until all that was destroyed can be used again. */
static bool settle(struct field *field)
{
	struct tenure_stat stat;

	do {
		if (tenure_stat(field->connection, &stat) != 0)
			return false;
	} while (stat.retired > 0);
	return true;
}

/* One burst, in nanoseconds; 0 when it failed. */
typedef uint64_t burst_fn(struct field *field, struct tenure_allocation *list);

static uint64_t free_singly(struct field *field, struct tenure_allocation *list)
{
	uint64_t start = now_ns();

	for (size_t i = 0; i < RING_BURST; i++)
		tenure_allocations_free(field->connection, &list[i], 1);
	return now_ns() - start;
}

static uint64_t free_lists(struct field *field, struct tenure_allocation *list)
{
	uint64_t start = now_ns();

	for (size_t i = 0; i < RING_BURST; i += LIST)
		tenure_allocations_free(field->connection, list + i, LIST);
	return now_ns() - start;
}

static uint64_t free_whole_way(struct field *field,
			       struct tenure_allocation *list)
{
	uint64_t start = now_ns();

	for (size_t i = 0; i < LONG_BURST; i += LIST)
		tenure_allocations_free(field->connection, list + i, LIST);
	if (tenure_flush(field->connection) != 0 || !settle(field))
		return 0;
	return now_ns() - start;
}

struct half {
	pthread_t thread;
	struct field *field;
	struct tenure_allocation *list;
	bool is_far;
	int *ready; /* how many of the two are */
	uint64_t elapsed;
};

static void *free_half(void *argument)
{
	struct half *half = argument;
	uint64_t start;

	if (half->is_far)
		pin_to(half->field->far);
	__atomic_add_fetch(half->ready, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(half->ready, __ATOMIC_RELAXED) < 2)
		sched_yield();
	start = now_ns();
	for (size_t i = 0; i < RING_BURST / 2; i++)
		tenure_allocations_free(half->field->connection, &half->list[i],
					1);
	half->elapsed = now_ns() - start;
	return NULL;
}

/* As each of two threads sees it: twice the mean, for half as many each. */
static uint64_t free_by_two(struct field *field, struct tenure_allocation *list)
{
	int ready = 0;
	struct half halves[2] = {
		{ .field = field, .list = list, .ready = &ready },
		{ .field = field,
		  .list = list + RING_BURST / 2,
		  .is_far = field->far >= 0,
		  .ready = &ready }
	};

	if (pthread_create(&halves[1].thread, NULL, free_half, &halves[1]) != 0)
		return 0;
	free_half(&halves[0]);
	pthread_join(halves[1].thread, NULL);
	return halves[0].elapsed + halves[1].elapsed;
}

/*
 * What a pass has destroyed is made anew when it ends, as in S0: handles are
 * made in the order of their slots, and after that the processor has forgotten
 * where all others are.
 */
static bool one_pass(struct field *field, burst_fn *burst, size_t length,
		     unsigned int bursts, struct passes *passes)
{
	static struct histogram histogram;
	struct tenure_allocation *first = next(field, bursts * length);
	uint64_t sum = 0;

	histogram_init(&histogram);
	for (unsigned int i = 0; i < bursts; i++) {
		uint64_t elapsed = burst(field, first + i * length);

		if (elapsed == 0 || tenure_flush(field->connection) != 0 ||
		    !settle(field))
			return false;
		histogram_record(&histogram, elapsed * 1000 / length);
		sum += elapsed;
	}
	passes_add(passes, &histogram, bursts * length, sum);
	return make(field, first, bursts * length);
}

static bool measure(const struct bench *bench, struct field *field,
		    burst_fn *burst, size_t length, struct quantiles *ret)
{
	struct passes passes = { 0 }, warm = { 0 };

	if (!one_pass(field, burst, length, 1, &warm))
		return false;
	for (unsigned int i = 0; i < bench_passes(bench); i++)
		if (!one_pass(field, burst, length, bench->smoke ? 1 : BURSTS,
			      &passes))
			return false;
	*ret = passes_median(&passes);
	return true;
}

static void add(struct bench *bench, const char *id, const char *what,
		const struct quantiles *q, double floor, double doubt,
		double target)
{
	struct result result = {
		.unit = "ns",
		.q = *q,
		.floor = floor,
		.doubt = doubt,
		.target_kind = target > 0 ? TARGET_RATIO : TARGET_NONE,
		.target = target,
	};

	snprintf(result.id, sizeof(result.id), "%s", id);
	snprintf(result.name, sizeof(result.name), "%s", what);
	report_add(bench->report, &result);
}

static const char *daemon_pages(const struct field *field)
{
	uint64_t bytes, huge;

	service_resident(field->service, &bytes, &huge);
	return huge > bytes / 2 ? "thp" : "4k";
}

static bool whole_way(struct bench *bench, struct field *field)
{
	struct quantiles before, after, q;
	const char *pages = daemon_pages(field);
	double doubt = 1, visit;
	char what[80], live[16];

	if (!measure_visit(bench, field->live, pages, "add", &before) ||
	    !measure(bench, field, free_whole_way, LONG_BURST, &q) ||
	    !measure_visit(bench, field->live, pages, "add", &after))
		return false;
	visit = middle_of(&before, &after, &doubt);
	snprintf(what, sizeof(what),
		 "destroy by the ring until reusable, %s, a handle, %s live",
		 field->same ? "one core" : "two cores",
		 bench_count(live, field->live));
	add(bench, field->same ? "S1a-same" : "S1a", what, &q, 2 * visit, doubt,
	    field->same ? 0 : S1A_TARGET);
	return true;
}

static bool heap_free(size_t live, struct quantiles *ret)
{
	char path[CHILD_PATH_BYTES], number[24], burst[24];
	const char *argv[] = { path, number, burst, NULL };

	child_beside("tenure-heap-floor", path);
	snprintf(number, sizeof(number), "%zu", live);
	snprintf(burst, sizeof(burst), "%d", RING_BURST);
	return child_quantiles(argv, -1, ret);
}

static const struct way {
	const char *suffix, *what;
	burst_fn *burst;
} ways[] = {
	{ "", "one in a call", free_singly },
	{ "-list", "1024 in a call", free_lists },
	{ "-two", "one in a call, two threads", free_by_two },
};

static bool frees(struct bench *bench, struct field *field)
{
	struct quantiles before, after, q;
	char what[80], live[16], id[24];

	bench_count(live, field->live);
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		double doubt = 1, floor;

		if (!heap_free(field->live, &before) ||
		    !measure(bench, field, ways[i].burst, RING_BURST, &q) ||
		    !heap_free(field->live, &after))
			return false;
		floor = middle_of(&before, &after, &doubt);
		snprintf(id, sizeof(id), "S3a-%s%s", live, ways[i].suffix);
		snprintf(what, sizeof(what), "free, %s, %s live, jemalloc",
			 ways[i].what, live);
		add(bench, id, what, &q, floor, doubt, i == 2 ? 0 : S3A_TARGET);
	}
	return true;
}

/* A destroy of so many that is waited for, and what makes them. */
struct listed {
	struct field *field;
	struct tenure_allocation list[LIST];
	unsigned int count;
};

static bool make_list(void *context)
{
	struct listed *l = context;

	return make(l->field, l->list, l->count);
}

static bool destroy_list(void *context)
{
	struct listed *l = context;
	const struct tenure_destroy destroy = {
		.device = l->field->device,
		.list = l->list,
		.count = l->count,
	};

	return tenure_destroy(l->field->connection, &destroy) == 0;
}

static bool lists(struct bench *bench, struct field *field)
{
	static const unsigned int counts[] = { 1, 4, 16, 64, 256, 1024 };
	struct listed l = { .field = field };
	const struct rounds rounds = { make_list, destroy_list, NULL, &l };
	char id[24], what[80];
	struct quantiles q;

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		l.count = counts[i];
		if (!measure_rounds(bench, &rounds, &q))
			return false;
		q.p50 /= l.count;
		q.p99 /= l.count;
		q.p999 /= l.count;
		q.throughput *= l.count;
		snprintf(id, sizeof(id), "S1-%u", l.count);
		snprintf(what, sizeof(what),
			 "destroy and answer, a handle, %u in a list", l.count);
		add(bench, id, what, &q, NAN, 0, 0);
	}
	return true;
}

/* With the daemon on that CPU; -1 is any. */
static bool run_beside(struct bench *bench, size_t live, int cpu,
		       bool (*what)(struct bench *bench, struct field *field))
{
	struct service service = { .is_null = true };
	struct field field = { .far = bench->cpus.far, .same = cpu >= 0 };
	bool good = service_start(&service, cpu) &&
		    plant(&field, &service, live) && what(bench, &field);

	clear(&field);
	service_stop(&service);
	return good;
}

static bool run(struct bench *bench, size_t live,
		bool (*what)(struct bench *bench, struct field *field))
{
	return run_beside(bench, live, -1, what);
}

bool entry_whole_way(struct bench *bench)
{
	size_t live = bench->smoke ? LONG_BURST : bench_live(bench);

	return run(bench, live, whole_way) &&
	       run_beside(bench, live, bench->cpus.near, whole_way);
}

bool entry_free(struct bench *bench)
{
	if (bench->smoke)
		return run(bench, RING_BURST, frees);
	return run(bench, 1000000, frees) && run(bench, 8000000, frees);
}

bool entry_lists(struct bench *bench)
{
	return run(bench, RING_BURST, lists);
}
