/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions, about several clients of one daemon:
 *
 * S14: what does a client lose when another one is stalled, with a list of
 * allocations destroyed while work uses them that never ends? Millions of
 * allocations that it makes and destroys in a second, with the stalled client
 * and without, in turns; the floor is without. The ones without are also two
 * groups, between which nothing differs: how far these are apart is the doubt.
 *
 * S16: what do a daemon and eight clients with rings cost when nothing is to
 * be done? Their processor time in five seconds, as a part of one CPU.
 *
 * S1-clients-N: what does a free cost for each handle, when each of N clients
 * frees 64 and then each waits until its own are carried out?
 *
 * All clients are in the harness, each with a connection and a ring of its own.
 * The daemon of S14 and S1-clients has no memory (null_daemon.c), so that what
 * is measured is what clients share.
 */
#include "bench/bench.h"

#include "bench/child.h"
#include "bench/clock.h"

#include <stdlib.h>
#include <tenure/tenure.h>
#include <time.h>
#include <unistd.h>

enum {
	LIST = 1024,
	EACH = 64, /* frees by each client of a round */
	CLIENTS_MAX = 1000,
	ROUND_CLIENTS = 4000, /* of a pass: rounds multiplied by clients */
	IDLE_CLIENTS = 8,
};

static const double S14_TARGET = 0.95, S16_TARGET_PERCENT = 0.1;

struct member {
	struct tenure *connection;
	struct tenure_device device;
	struct tenure_allocation handles[LIST];
};

static bool join(struct member *m, const struct service *service)
{
	struct tenure_adapter adapter;

	return tenure_connect(service->socket, 0, &m->connection) == 0 &&
	       tenure_adapter_open(m->connection, NULL, &adapter) == 0 &&
	       tenure_device_create(m->connection, adapter, &m->device) == 0;
}

/* At most LIST of one page. */
static bool make(struct member *m, struct tenure_allocation *to,
		 unsigned int count)
{
	static size_t sizes[LIST];

	for (unsigned int i = 0; i < count; i++)
		sizes[i] = 4096;
	return tenure_allocation_create(m->connection, m->device, sizes, count,
					to) == 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), by_value);
	return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/* ---- S14 ---- */

/* Destroys a list that work uses which never ends. */
static bool stall(struct member *m, const struct service *service)
{
	struct tenure_context context;

	return join(m, service) && make(m, m->handles, LIST) &&
	       tenure_context_create(m->connection, m->device, &context) == 0 &&
	       tenure_context_use(m->connection, context, m->handles, LIST) ==
		       0 &&
	       tenure_context_submit(m->connection, context, 1) == 0 &&
	       tenure_allocations_free(m->connection, m->handles, LIST) == 0 &&
	       tenure_flush(m->connection) == 0;
}

/* Millions of allocations made and destroyed in a second; 0 when it failed. */
static double churn(const struct bench *bench, struct member *m)
{
	unsigned int lists = bench->smoke ? 2 : 512;
	uint64_t start = now_ns();

	for (unsigned int i = 0; i < lists; i++)
		if (!make(m, m->handles, LIST) ||
		    tenure_allocations_free(m->connection, m->handles, LIST) !=
			    0)
			return 0;
	if (tenure_flush(m->connection) != 0)
		return 0;
	return 1e3 * (double)((uint64_t)lists * LIST) /
	       (double)(now_ns() - start);
}

static bool with_stalled(const struct bench *bench, struct member *worker,
			 const struct service *service, double *ret)
{
	struct member *stalled = calloc(1, sizeof(*stalled));

	*ret = 0;
	if (stalled && stall(stalled, service))
		*ret = churn(bench, worker);
	if (stalled)
		tenure_disconnect(stalled->connection);
	free(stalled);
	return *ret > 0;
}

static bool measure_stalled(struct bench *bench, struct member *worker,
			    const struct service *service)
{
	enum { TURNS = 10 };
	double with[TURNS], without[TURNS], even, odd;
	unsigned int turns = bench->smoke ? 2 : TURNS;
	struct result result = {
		.id = "S14",
		.name = "made and destroyed by one client, another is stalled",
		.unit = "M/s",
		.target_kind = TARGET_RATIO_LEAST,
		.target = S14_TARGET,
	};

	if (!join(worker, service) || churn(bench, worker) <= 0)
		return false;
	for (unsigned int i = 0; i < turns; i++) {
		/* The two groups of those without: the halves of the array. */
		double *to = &without[i % 2 * (turns / 2) + i / 2];

		*to = churn(bench, worker);
		if (*to <= 0 || !with_stalled(bench, worker, service, &with[i]))
			return false;
	}
	even = median(without, turns / 2);
	odd = median(without + turns / 2, turns / 2);
	result.doubt = fmax(even, odd) / fmin(even, odd);
	result.floor = median(without, turns);
	result.q.p50 = median(with, turns);
	/* The slow end, which is the low one. */
	result.q.p99 = result.q.p999 = with[0];
	result.q.throughput = result.q.p50 * 1e6;
	report_add(bench->report, &result);
	return true;
}

bool entry_stalled(struct bench *bench)
{
	struct service service = { .is_null = true };
	struct member *worker = calloc(1, sizeof(*worker));
	bool good = worker && service_start(&service, -1) &&
		    measure_stalled(bench, worker, &service);

	if (worker)
		tenure_disconnect(worker->connection);
	free(worker);
	service_stop(&service);
	return good;
}

/* ---- S16 ---- */

static double cpu_ns(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static bool measure_idle(struct bench *bench, const struct service *service)
{
	unsigned int ms = bench->smoke ? 20 : 5000;
	clockid_t daemon;
	uint64_t start;
	double used;
	struct result result = {
		.id = "S16",
		.name = "idle daemon and 8 idle clients, part of one CPU",
		.unit = "%",
		.floor = NAN,
		.target_kind = TARGET_VALUE,
		.target = S16_TARGET_PERCENT,
	};

	if (clock_getcpuclockid(service->pid, &daemon) != 0)
		return false;
	/* Those who looked for work have given up by then. */
	usleep(ms * 100);
	start = now_ns();
	used = cpu_ns(daemon) + cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	usleep(ms * 1000);
	used = cpu_ns(daemon) + cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - used;
	result.q.p50 = 100 * used / (double)(now_ns() - start);
	result.q.p99 = result.q.p999 = result.q.p50;
	report_add(bench->report, &result);
	return true;
}

bool entry_idle(struct bench *bench)
{
	struct service service = { 0 };
	struct member *members = calloc(IDLE_CLIENTS, sizeof(*members));
	bool good = members && service_start(&service, -1);

	for (unsigned int i = 0; good && i < IDLE_CLIENTS; i++)
		good = join(&members[i], &service) &&
		       make(&members[i], members[i].handles, 1) &&
		       tenure_allocations_free(members[i].connection,
					       members[i].handles, 1) == 0 &&
		       tenure_flush(members[i].connection) == 0;
	good = good && measure_idle(bench, &service);
	for (unsigned int i = 0; members && i < IDLE_CLIENTS; i++)
		tenure_disconnect(members[i].connection);
	free(members);
	service_stop(&service);
	return good;
}

/* ---- S1-clients ---- */

struct crowd {
	struct member *members;
	unsigned int count;
};

static bool make_all(struct crowd *c)
{
	for (unsigned int i = 0; i < c->count; i++)
		if (!make(&c->members[i], c->members[i].handles, EACH))
			return false;
	return true;
}

static bool free_all(struct crowd *c)
{
	for (unsigned int i = 0; i < c->count; i++)
		if (tenure_allocations_free(c->members[i].connection,
					    c->members[i].handles, EACH) != 0)
			return false;
	for (unsigned int i = 0; i < c->count; i++)
		if (tenure_flush(c->members[i].connection) != 0)
			return false;
	return true;
}

/* One pass after the other, each of so many rounds; the first warms up. */
static bool measure_crowd(struct bench *bench, struct crowd *c)
{
	unsigned int rounds = bench->smoke ? 2 : ROUND_CLIENTS / c->count;
	struct result result = { .unit = "ns", .floor = NAN };
	struct histogram histogram;
	struct passes passes = { 0 };

	for (unsigned int pass = 0; pass <= bench_passes(bench); pass++) {
		uint64_t sum = 0;

		histogram_init(&histogram);
		for (unsigned int i = 0; i < rounds; i++) {
			uint64_t start, elapsed;

			if (!make_all(c))
				return false;
			start = now_ns();
			if (!free_all(c))
				return false;
			elapsed = now_ns() - start;
			sum += elapsed;
			histogram_record(&histogram,
					 elapsed * 1000 / (c->count * EACH));
		}
		if (pass > 0)
			passes_add(&passes, &histogram,
				   (uint64_t)rounds * c->count * EACH, sum);
	}
	result.q = passes_median(&passes);
	snprintf(result.id, sizeof(result.id), "S1-clients-%u", c->count);
	snprintf(result.name, sizeof(result.name),
		 "free and flush, a handle, 64 by each of %u clients",
		 c->count);
	report_add(bench->report, &result);
	return true;
}

bool entry_clients(struct bench *bench)
{
	struct service service = { .is_null = true };
	struct crowd c = { calloc(CLIENTS_MAX, sizeof(*c.members)), 0 };
	unsigned int most = bench->smoke ? 10 : CLIENTS_MAX;
	bool good = c.members && service_start(&service, -1);

	for (unsigned int next = 1; good && next <= most; next *= 10) {
		while (good && c.count < next)
			good = join(&c.members[c.count++], &service);
		good = good && measure_crowd(bench, &c);
	}
	for (unsigned int i = 0; i < c.count; i++)
		tenure_disconnect(c.members[i].connection);
	free(c.members);
	service_stop(&service);
	return good;
}
