/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenure-null-daemon: tenured, except that its memory is none. Everything
 * between the application and the backend is the daemon's own; what stands here
 * in the place of daemon/backend_system.c counts and returns. So 10^7
 * allocations fit into any machine, and what a destroy costs without payload
 * can be measured between real processes. Nothing of it can be mapped.
 */
#include "daemon/backend_system.h"
#include "daemon/daemon.h"

#include <stdlib.h>

struct backend_system {
	uint32_t last_store;
	uint64_t last_id;
};

static int create(void *state, struct backend_create *create)
{
	struct backend_system *system = state;

	create->store = ++system->last_store;
	if (create->new_resource)
		create->resource = ++system->last_id;
	create->store_bytes = 0;
	for (uint32_t i = 0; i < create->count; i++) {
		create->allocations[i].offset = create->store_bytes;
		create->allocations[i].allocation = ++system->last_id;
		create->store_bytes += create->allocations[i].size_bytes;
	}
	return 0;
}

static int open_any(void *state, const struct backend_opening *o)
{
	(void)state;
	(void)o;
	return 0;
}

static void close_any(void *state, const struct backend_opening *o)
{
	(void)state;
	(void)o;
}

static int destroy(void *state, struct backend_destroy *destroy)
{
	(void)state;
	(void)destroy;
	return 0;
}

static bool is_quick(void *state, const struct backend_destroy *destroy)
{
	(void)state;
	(void)destroy;
	return true;
}

const struct backend_ops backend_system_ops = {
	.create_allocation = create,
	.open_allocation = open_any,
	.close_allocation = close_any,
	.destroy_allocation = destroy,
	.is_quick = is_quick,
	.closes_readers_only = true,
};

int backend_system_new(const struct backend_system_config *config,
		       struct backend_system **ret)
{
	(void)config;
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void backend_system_free(struct backend_system *system)
{
	free(system);
}

/* There is nothing to map, and who asks is no benchmark. */
int backend_system_acquire(struct backend_system *system, uint32_t store,
			   bool read_only)
{
	(void)system;
	(void)store;
	(void)read_only;
	abort();
}

void backend_system_release(struct backend_system *system, uint32_t store,
			    bool read_only)
{
	(void)system;
	(void)store;
	(void)read_only;
}

void backend_system_stat(struct backend_system *system,
			 struct backend_system_stat *ret)
{
	(void)system;
	*ret = (struct backend_system_stat){ 0 };
}

int main(int argc, char **argv)
{
	return daemon_main(argc, argv, false);
}
