/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the public functions share: one fake daemon, a connection
 * to it, and a device with a shared resource of two allocations. Include it
 * after cmocka.h.
 */
#ifndef CLIENT_WORLD_TEST_H
#define CLIENT_WORLD_TEST_H

#include <sys/mman.h>

#include "client/fake_daemon.h"
#include "client/fake_ring.h"

enum { WORLD_PAGE = 4096 };

struct world {
	struct fake_daemon *fake;
	struct fake_ring *ring; /* or NULL */
	struct tenure *connection;
	struct tenure_adapter adapter;
	struct tenure_device device;
	struct tenure_resource resource;
	struct tenure_allocation allocations[2];
	struct tenure_token token;
	unsigned int fds_before;
};

static inline void world_populate(struct world *world)
{
	static const size_t sizes[] = { 1, 2 * WORLD_PAGE };

	world->connection = fake_daemon_connect(world->fake);
	assert_int_equal(tenure_adapter_open(world->connection, NULL,
					     &world->adapter),
			 0);
	assert_int_equal(tenure_device_create(world->connection, world->adapter,
					      &world->device),
			 0);
	assert_int_equal(
		tenure_resource_create(world->connection, world->device,
				       TENURE_CREATE_SHARED, sizes, 2, "abc", 4,
				       &world->resource, world->allocations),
		0);
	assert_int_equal(tenure_resource_share(world->connection, world->device,
					       world->resource,
					       TENURE_RIGHT_READ,
					       &world->token),
			 0);
	world->fds_before = fake_open_fds();
	world->fds_before -=
		fake_daemon_count(world->fake, &world->fake->n_stores);
}

static inline void world_open(struct world *world)
{
	memset(world, 0, sizeof(*world));
	world->fake = fake_daemon_new();
	world_populate(world);
}

/* The same with a ring. */
static inline void world_open_ring(struct world *world)
{
	memset(world, 0, sizeof(*world));
	world->fake = fake_daemon_new();
	world->ring = fake_ring_new(world->fake);
	world_populate(world);
}

static inline void world_close(struct world *world)
{
	tenure_disconnect(world->connection);
	assert_true(world->fake->closed);
	if (world->ring)
		fake_ring_free(world->ring);
	fake_daemon_free(world->fake);
}

/* The next answer of the fake goes through lie. */
static inline void world_lie(struct world *world,
			     int (*lie)(void *context, struct exchange *x))
{
	world->fake->lie = lie;
	world->fake->lie_context = world;
	world->fake->lie_at = world->fake->n_requests + 1;
}

static inline enum tenure_reason world_reason(void)
{
	struct tenure_refusal refusal;

	tenure_last_refusal(&refusal);
	return refusal.reason;
}

/* No descriptor is open but those of the fake's stores. */
static inline void world_check_fds(const struct world *world)
{
	assert_int_equal(fake_open_fds(),
			 world->fds_before + world->fake->n_stores);
}

/* Whether there is memory at an address. */
static inline bool world_is_mapped(void *pointer)
{
	unsigned char resident;

	return mincore(pointer, 1, &resident) == 0;
}

#endif
