/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (S8): what does a program wait for 1 MiB into each page of which it
 * then writes one byte, when a pool hands it out warm, and when it is fresh?
 *
 * tenure_pool_alloc of a buffer that was used before, against memfd_create,
 * ftruncate and mmap; then the same writes. Giving back is not timed. Both run
 * on the near CPU; the daemon runs there too, and has nothing to do.
 */
#include "bench/bench.h"

#include "bench/child.h"

#include <sys/mman.h>
#include <tenure/pool.h>
#include <unistd.h>

static const double S8_TARGET = 0.02;

enum { BYTES = 1 << 20, PAGE = 4096 };

struct program {
	struct tenure *connection;
	struct tenure_pool *pool;
	struct tenure_buffer buffer;
	void *fresh;
};

static void touch(void *memory)
{
	volatile char *bytes = memory;

	for (size_t i = 0; i < BYTES; i += PAGE)
		bytes[i] = 1;
}

static bool take_warm(void *context)
{
	struct program *p = context;

	if (tenure_pool_alloc(p->pool, BYTES, &p->buffer) < 0)
		return false;
	touch(p->buffer.pointer);
	return true;
}

static bool give_warm(void *context)
{
	struct program *p = context;

	return tenure_pool_free(p->pool, &p->buffer) == 0;
}

static bool take_fresh(void *context)
{
	struct program *p = context;
	int fd = memfd_create("fresh", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, BYTES) < 0)
		return false;
	p->fresh = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p->fresh == MAP_FAILED)
		return false;
	touch(p->fresh);
	return true;
}

static bool give_fresh(void *context)
{
	struct program *p = context;

	return munmap(p->fresh, BYTES) == 0;
}

static bool measure(const struct bench *bench, struct quantiles *ret_warm,
		    struct quantiles *ret_fresh)
{
	const struct tenure_pool_options options = { .size = BYTES };
	struct service service = { 0 };
	struct program program = { 0 };
	struct rounds warm = { NULL, take_warm, give_warm, &program };
	struct rounds fresh = { NULL, take_fresh, give_fresh, &program };
	bool good;

	good = service_start(&service, bench->cpus.near) &&
	       tenure_connect(service.socket, 0, &program.connection) == 0 &&
	       tenure_pool_create(program.connection, &options,
				  &program.pool) == 0 &&
	       measure_rounds(bench, &warm, ret_warm) &&
	       measure_rounds(bench, &fresh, ret_fresh);
	tenure_pool_destroy(program.pool);
	tenure_disconnect(program.connection);
	service_stop(&service);
	return good;
}

bool entry_warm(struct bench *bench)
{
	struct result warm = {
		.id = "S8",
		.name = "warm 1 MiB from a pool, one byte in each page",
		.unit = "ns",
		.target_kind = TARGET_RATIO,
		.target = S8_TARGET,
	};
	struct result fresh = {
		.id = "F-fresh-1MiB",
		.name = "fresh memfd of 1 MiB, one byte in each page",
		.unit = "ns",
		.floor = NAN,
	};

	if (!measure(bench, &warm.q, &fresh.q))
		return false;
	warm.floor = fresh.q.p50;
	report_add(bench->report, &warm);
	report_add(bench->report, &fresh);
	return true;
}
