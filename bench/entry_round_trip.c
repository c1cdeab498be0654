/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (S4): how long does a caller wait for a synchronous destroy of one
 * allocation, through the library, the ring and the daemon?
 *
 * The target's bound is two threads that answer each other through shared
 * memory. Beside it every row has the bound of a socket: 64 bytes there and
 * back between two processes. -stat is a request that changes nothing; -async
 * is a destroy that is answered before the memory is back, S4-hot the same
 * against the target's bound.
 *
 * The allocation is created before the round, untimed, and its memory is
 * never touched: the release closes an empty memfd. S4-bare has a daemon whose
 * memory is none (null_daemon.c).
 *
 * -same: everything on one CPU, so every answer is a switch from one process to
 * the other. -cross: the daemon may run on all CPUs, since a worker that has
 * only one never looks for work, and the library is pinned.
 */
#include "bench/bench.h"

#include "bench/child.h"

#include <tenure/tenure.h>

static const double S4_TARGET = 2;

struct caller {
	struct tenure *connection;
	struct tenure_device device;
	struct tenure_allocation allocation;
};

static bool create(void *context)
{
	struct caller *c = context;
	size_t size = 4096;

	return tenure_allocation_create(c->connection, c->device, &size, 1,
					&c->allocation) == 0;
}

static bool destroy_sync(void *context)
{
	struct caller *c = context;

	return tenure_allocation_destroy(c->connection, c->device,
					 c->allocation,
					 TENURE_DESTROY_SYNCHRONOUS) == 0;
}

static bool destroy_async(void *context)
{
	struct caller *c = context;

	return tenure_allocation_destroy(c->connection, c->device,
					 c->allocation, 0) == 0;
}

static bool ask(void *context)
{
	struct caller *c = context;
	struct tenure_stat stat;

	return tenure_stat(c->connection, &stat) == 0;
}

static const struct kind {
	const char *id, *what;
	bool (*before)(void *context), (*timed)(void *context);
} kinds[] = {
	{ "S4", "synchronous destroy", create, destroy_sync },
	{ "S4-async", "destroy, not synchronous", create, destroy_async },
	{ "S4-stat", "a question", NULL, ask },
};

static bool attach(const struct service *service, struct caller *ret)
{
	struct tenure_adapter adapter;

	return tenure_connect(service->socket, 0, &ret->connection) == 0 &&
	       tenure_adapter_open(ret->connection, NULL, &adapter) == 0 &&
	       tenure_device_create(ret->connection, adapter, &ret->device) ==
		       0;
}

static void add(struct bench *bench, const struct kind *kind, bool cross,
		const struct quantiles *q, double echo)
{
	struct result result = { .unit = "ns", .q = *q, .floor = echo };

	snprintf(result.id, sizeof(result.id), "%s-%s", kind->id,
		 cross ? "cross" : "same");
	snprintf(result.name, sizeof(result.name),
		 "%s against an echo, %s core%s", kind->what,
		 cross ? "two" : "one", cross ? "s" : "");
	report_add(bench->report, &result);
}

/* Against a round trip through shared memory: the target's own row is that of
 * the synchronous one. */
static bool add_target(struct bench *bench, const struct quantiles *q,
		       const char *id, const char *what)
{
	char path[CHILD_PATH_BYTES], pair[32];
	const char *argv[] = { path, "--spin", pair, "--visits", "20000", NULL };
	struct result result = {
		.unit = "ns",
		.q = *q,
		.target_kind = TARGET_RATIO,
		.target = S4_TARGET,
	};
	struct quantiles spin;

	snprintf(result.id, sizeof(result.id), "%s", id);
	snprintf(result.name, sizeof(result.name),
		 "%s against a spin round trip", what);
	child_beside("tenure-floor", path);
	snprintf(pair, sizeof(pair), "%d,%d", bench->cpus.near,
		 bench->cpus.far);
	if (!child_quantiles(argv, -1, &spin))
		return false;
	result.floor = spin.p50;
	report_add(bench->report, &result);
	return true;
}

static bool measure(struct bench *bench, struct caller *caller, int peer_cpu)
{
	bool cross = peer_cpu != bench->cpus.near;
	struct quantiles echo, q;

	if (!measure_raw(bench, "echo", peer_cpu, &echo))
		return false;
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct rounds rounds = { kinds[i].before, kinds[i].timed, NULL,
					 caller };

		if (!measure_rounds(bench, &rounds, &q))
			return false;
		if (cross && i < 2 &&
		    !add_target(bench, &q, i == 0 ? "S4" : "S4-hot",
				kinds[i].what))
			return false;
		add(bench, &kinds[i], cross, &q, echo.p50);
	}
	return true;
}

/* Without payload: nothing is closed, so what is left is rings and rules. */
static bool measure_bare(struct bench *bench, struct caller *caller,
			 int peer_cpu)
{
	struct rounds rounds = { create, destroy_sync, NULL, caller };
	struct quantiles q;

	(void)peer_cpu;
	return measure_rounds(bench, &rounds, &q) &&
	       add_target(bench, &q, "S4-bare",
			  "synchronous destroy without payload");
}

static bool run(struct bench *bench, int peer_cpu, bool is_null)
{
	struct service service = { .is_null = is_null };
	struct caller caller = { 0 };
	bool cross = peer_cpu != bench->cpus.near;
	bool good;

	good = service_start(&service, cross ? -1 : peer_cpu) &&
	       attach(&service, &caller) &&
	       (is_null ? measure_bare : measure)(bench, &caller, peer_cpu);
	tenure_disconnect(caller.connection);
	service_stop(&service);
	return good;
}

bool entry_round_trip(struct bench *bench)
{
	int far = bench->cpus.far;

	if (far >= 0 && (!run(bench, far, true) || !run(bench, far, false)))
		return false;
	return run(bench, bench->cpus.near, false);
}
