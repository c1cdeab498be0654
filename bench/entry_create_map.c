/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (S6): how long does a program wait for 4 KiB of private memory that
 * is created and mapped, and how long does a Python program for shared memory
 * that is created and attached to?
 *
 * tenure_alloc through the library and the socket, with the daemon on the same
 * CPU, against peers/shared_memory.py. Freeing is not timed. There is no ring
 * and no arena yet: every allocation is a memfd and a mapping of its own.
 */
#include "bench/bench.h"

#include "bench/child.h"

#include <tenure/tenure.h>

static const double S6_TARGET = 0.1;

struct program {
	struct tenure *connection;
	struct tenure_memory memory;
};

static bool allocate(void *context)
{
	struct program *p = context;

	return tenure_alloc(p->connection, 4096, &p->memory) == 0;
}

static bool release(void *context)
{
	struct program *p = context;

	return tenure_free(p->connection, &p->memory) == 0;
}

static bool measure_python(const struct bench *bench, struct quantiles *ret)
{
	char path[CHILD_PATH_BYTES], cpu[16];
	const char *rounds = bench->smoke ? "20" : "2000";
	const char *argv[] = { "/usr/bin/python3", path, cpu, rounds, NULL };

	child_beside("shared_memory.py", path);
	snprintf(cpu, sizeof(cpu), "%d", bench->cpus.near);
	return child_quantiles(argv, -1, ret);
}

static bool measure(const struct bench *bench, struct quantiles *ret)
{
	struct service service = { 0 };
	struct program program = { 0 };
	struct rounds rounds = { NULL, allocate, release, &program };
	bool good;

	good = service_start(&service, bench->cpus.near) &&
	       tenure_connect(service.socket, 0, &program.connection) == 0 &&
	       measure_rounds(bench, &rounds, ret);
	tenure_disconnect(program.connection);
	service_stop(&service);
	return good;
}

bool entry_create_map(struct bench *bench)
{
	struct result ours = {
		.id = "S6",
		.name = "create and map 4 KiB, against Python's SharedMemory",
		.unit = "ns",
		.target_kind = TARGET_RATIO,
		.target = S6_TARGET,
	};
	struct result python = {
		.id = "P-python",
		.name = "Python SharedMemory: create and attach",
		.unit = "ns",
		.floor = NAN,
	};

	if (!measure(bench, &ours.q) || !measure_python(bench, &python.q))
		return false;
	ours.floor = python.q.p50;
	report_add(bench->report, &ours);
	report_add(bench->report, &python);
	return true;
}
