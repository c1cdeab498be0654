/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (S12): how much memory of its own does the daemon need for each
 * live private allocation of 4 KiB?
 *
 * S12 is the real daemon: its anonymous memory before and after a client has
 * created 4 million, 1024 in a request, divided by their number; that counts
 * the table, the backend's records, the heap and what they waste. The others
 * are the core's region alone: resident memory with 64 allocations in a create
 * and with one, and committed memory with 64.
 *
 * With one store for each request the daemon's descriptors bound how many
 * allocations there can be; when they do, the name says how many there were.
 */
#include "bench/bench.h"

#include "bench/child.h"
#include "bench/world.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <tenure/tenure.h>

static const double S12_TARGET_BYTES = 96;

enum { DESCRIPTORS_SPARE = 128 };

static void add(struct bench *bench, const char *id, const char *what, size_t n,
		double bytes, double target)
{
	struct result result = {
		.unit = "bytes",
		.q = { .p50 = bytes, .p99 = bytes, .p999 = bytes },
		.floor = NAN,
		.target_kind = target > 0 ? TARGET_VALUE : TARGET_NONE,
		.target = target,
	};
	char live[16];

	snprintf(result.id, sizeof(result.id), "%s", id);
	snprintf(result.name, sizeof(result.name), "%s, %s live", what,
		 bench_count(live, n));
	report_add(bench->report, &result);
}

static void measure_core(struct bench *bench, size_t n)
{
	uint64_t resident, huge;
	struct world *world = world_new(n, 64, WORLD_PAGES_DAEMON);

	world_resident(world, &resident, &huge);
	add(bench, "S12-core", "core: region, resident, 64 in a create", n,
	    (double)resident / (double)n, 0);
	add(bench, "S12-commit", "core: region, committed, 64 in a create", n,
	    (double)world->committed_bytes / (double)n, 0);
	world_free(world);
	world = world_new(n, 1, WORLD_PAGES_DAEMON);
	world_resident(world, &resident, &huge);
	add(bench, "S12-single", "core: region, resident, one in a create", n,
	    (double)resident / (double)n, 0);
	world_free(world);
}

/* Creates about n allocations of 4 KiB; how many there are. */
static size_t fill(struct tenure *connection, size_t n)
{
	static size_t sizes[WORLD_BATCH];
	static struct tenure_allocation made[WORLD_BATCH];
	struct tenure_adapter adapter;
	struct tenure_device device;
	size_t count = 0;

	if (tenure_adapter_open(connection, NULL, &adapter) != 0 ||
	    tenure_device_create(connection, adapter, &device) != 0)
		return 0;
	for (unsigned int i = 0; i < WORLD_BATCH; i++)
		sizes[i] = PAGE_BYTES;
	while (count < n && tenure_allocation_create(connection, device, sizes,
						     WORLD_BATCH, made) == 0)
		count += WORLD_BATCH;
	return count;
}

static bool measure_daemon(struct bench *bench, size_t n)
{
	struct service service = { 0 };
	struct tenure *connection = NULL;
	uint64_t before, after, huge;
	size_t count = 0;

	if (service_start(&service, bench->cpus.near) &&
	    tenure_connect(service.socket, 0, &connection) == 0) {
		service_resident(&service, &before, &huge);
		count = fill(connection, n);
		service_resident(&service, &after, &huge);
	}
	if (count > 0)
		add(bench, "S12", "daemon: anonymous memory, 1024 in a create",
		    count, (double)(after - before) / (double)count,
		    S12_TARGET_BYTES);
	tenure_disconnect(connection);
	service_stop(&service);
	return count > 0;
}

bool entry_memory(struct bench *bench)
{
	size_t n = bench->smoke ? 8192 : 4000000;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
	    files.rlim_cur < n / WORLD_BATCH + DESCRIPTORS_SPARE)
		n = (files.rlim_cur / 2) * WORLD_BATCH;
	if (!measure_daemon(bench, n))
		return false;
	measure_core(bench, n);
	return true;
}
