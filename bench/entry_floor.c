/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question: what can this machine do at best? Visits to cache lines on each
 * kind of page, two threads that answer each other, two processes that do so
 * over a socket or share memory, and Python's way of sharing memory.
 *
 * The figures come from programs that contain nothing of Tenure's; here they
 * are only run and reported. Other entries take them as their floors.
 */
#include "bench/bench.h"

#include "bench/child.h"

#include <string.h>

/* What the floor program is to do between two passes, and in one. */
struct rhythm {
	const char *visits, *elsewhere_bytes;
};

static bool measure(const struct bench *bench, size_t lines, const char *pages,
		    const char *operation, const struct rhythm *rhythm,
		    struct quantiles *ret)
{
	char path[CHILD_PATH_BYTES], count[24];
	const char *argv[] = { path,
			       "--lines",
			       count,
			       "--pages",
			       pages,
			       "--operation",
			       operation,
			       "--visits",
			       rhythm->visits,
			       "--elsewhere",
			       rhythm->elsewhere_bytes,
			       NULL };

	child_beside("tenure-floor", path);
	snprintf(count, sizeof(count), "%zu", lines);
	return child_quantiles(argv, bench->cpus.near, ret);
}

bool measure_visit(const struct bench *bench, size_t lines, const char *pages,
		   const char *operation, struct quantiles *ret)
{
	const struct rhythm rhythm = { bench->smoke ? "4096" : "4194304", "0" };

	return measure(bench, lines, pages, operation, &rhythm, ret);
}

double middle_of(const struct quantiles *before, const struct quantiles *after,
		 double *doubt)
{
	double low = fmin(before->p50, after->p50);
	double high = fmax(before->p50, after->p50);

	if (high > 1.1 * low)
		fprintf(stderr,
			"tenure-bench: %.2f ns before and %.2f after: a noisy "
			"machine\n",
			before->p50, after->p50);
	*doubt *= high / low;
	return (low + high) / 2;
}

bool measure_raw(const struct bench *bench, const char *game, int peer_cpu,
		 struct quantiles *ret)
{
	char path[CHILD_PATH_BYTES], near[16], far[16], passes[16];
	const char *rounds = bench->smoke ? "20" : "5000";
	const char *argv[] = { path, game, near, far, rounds, passes, NULL };

	child_beside("tenure-raw-peers", path);
	snprintf(near, sizeof(near), "%d", bench->cpus.near);
	snprintf(far, sizeof(far), "%d", peer_cpu);
	snprintf(passes, sizeof(passes), "%u", bench_passes(bench));
	return child_quantiles(argv, -1, ret);
}

static void add(struct bench *bench, const char *id, const char *name,
		const struct quantiles *q)
{
	struct result result = { .unit = "ns", .q = *q, .floor = NAN };

	snprintf(result.id, sizeof(result.id), "%s", id);
	snprintf(result.name, sizeof(result.name), "%s", name);
	report_add(bench->report, &result);
}

static const struct visit {
	const char *id, *name, *pages, *operation;
} visits[] = {
	{ "F-thp", "one prefetched random addition, huge pages", "thp", "add" },
	{ "F-4k", "the same on 4 KiB pages", "4k", "add" },
	{ "F-shm", "the same on shared pages", "shm", "add" },
	{ "F-read", "one prefetched random read, huge pages", "thp", "read" },
	{ "F-judge", "F-read, then F-thp, 1024 lines after 1024", "thp",
	  "judge" },
};

/* What a burst pays that finds the machine as others have left it. */
static bool add_cold(struct bench *bench)
{
	const struct rhythm rhythm = { bench->smoke ? "4096" : "16384",
				       bench->smoke ? "4096" : "268435456" };
	struct quantiles q;

	if (!measure(bench, bench_live(bench), "thp", "add", &rhythm, &q))
		return false;
	add(bench, "F-cold", "F-thp, 16384 times after 256 MiB of other memory",
	    &q);
	return true;
}

static bool add_raw(struct bench *bench, const char *game, const char *id,
		    const char *name, int peer_cpu)
{
	struct quantiles q;

	if (peer_cpu < 0)
		return true;
	if (!measure_raw(bench, game, peer_cpu, &q))
		return false;
	add(bench, id, name, &q);
	return true;
}

bool entry_floor(struct bench *bench)
{
	struct quantiles q;

	for (unsigned int i = 0; i < sizeof(visits) / sizeof(*visits); i++) {
		if (!measure_visit(bench, bench_live(bench), visits[i].pages,
				   visits[i].operation, &q))
			return false;
		add(bench, visits[i].id, visits[i].name, &q);
	}
	return add_cold(bench) &&
	       add_raw(bench, "echo", "F-echo-same",
		       "64 bytes there and back by SEQPACKET, one core",
		       bench->cpus.near) &&
	       add_raw(bench, "echo", "F-echo-cross", "the same, two cores",
		       bench->cpus.far) &&
	       add_raw(bench, "memfd", "F-memfd-same",
		       "memfd, SCM_RIGHTS and two mmaps, one core",
		       bench->cpus.near) &&
	       add_raw(bench, "memfd", "F-memfd-cross", "the same, two cores",
		       bench->cpus.far);
}
