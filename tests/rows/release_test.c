/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a destroy costs and what happens when it goes wrong below: A84, a
 * backend that fails, and B03, one call for a group.
 *
 * In process the checking backend fails once each time when it is told to,
 * and time stands still between two attempts. The daemon fails by itself so
 * many times, rests after each, and is looked at meanwhile: what is asserted
 * of one look holds as long as the last failure has not been counted.
 */
#include "tests/rows/world.h"

#include "client/connection.h"
#include "tests/support/checking.h"
#include "tests/support/daemon_process.h"
#include "tests/support/inproc.h"

#include <stdlib.h>
#include <time.h>

enum { FAILURES = 3, GROUP = 8 };

/* ---- A backend that fails ---- */

/* A world whose first releases fail. */
static struct world *failing_world(void)
{
	struct world *world;

	assert_int_equal(setenv("TENURE_TEST_RELEASES_FAIL", "3", 1), 0);
	world = world_new(NULL);
	assert_int_equal(unsetenv("TENURE_TEST_RELEASES_FAIL"), 0);
	return world;
}

/* What the broker holds, while nothing moves on because of the question. */
static struct wire_status look(struct world *world)
{
	struct wire_status status;

	if (world->inproc)
		broker_status(inproc_broker(world->inproc), &status);
	else
		daemon_status(world->daemon, &status);
	return status;
}

/* In process: one attempt, which fails. Through the daemon: some time. */
static void go_on(struct world *world)
{
	uint64_t failures = look(world).release_failures_total;

	if (!world->inproc) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		return;
	}
	checking_fail(inproc_backend(world->inproc, 0), CHECKING_DESTROY, 1,
		      -EIO);
	while (look(world).release_failures_total == failures)
		assert_true(inproc_pump(world->inproc));
	inproc_check(world->inproc);
}

static void assert_dead(const struct party *p, struct tenure_allocation a)
{
	void *pointer;
	size_t size;

	assert_int_equal(tenure_map(p->t, p->device, a, TENURE_MAP_READ,
				    &pointer, &size),
			 -EINVAL);
	assert_int_equal(destroy_list(p, &a, 1), -EINVAL);
}

/* Dead, charged, not released, however often it fails. */
static void watch_failures(const struct party *p, struct tenure_allocation a,
			   uint64_t bytes)
{
	struct world *world = p->world;
	struct tenure_stat stat;
	struct wire_status status;
	unsigned int looks = 0;

	for (;;) {
		assert_dead(p, a);
		assert_ok(tenure_stat(p->t, &stat));
		status = look(world);
		if (status.release_failures_total >= FAILURES)
			break;
		assert_int_equal(stat.bytes - p->ring_bytes, bytes);
		assert_int_equal(status.stores, 1);
		assert_int_equal(status.released_bytes_total, 0);
		looks++;
		go_on(world);
	}
	assert_true(looks > 0);
}

static void assert_gone(const struct party *p, uint64_t bytes)
{
	struct wire_status status;

	assert_stores(p->world, 0);
	assert_int_equal(party_stat(p).bytes, 0);
	status = look(p->world);
	assert_int_equal(status.release_failures_total, FAILURES);
	assert_int_equal(status.released_bytes_total, bytes);
	if (p->world->daemon)
		assert_true(daemon_logged(p->world->daemon,
					  "failed: Input/output error; "
					  "it will be tried again"));
}

/* What nobody has ever had is given back without a call that could fail. */
static void write_to(const struct party *p, struct tenure_allocation a)
{
	void *pointer;
	size_t size;

	assert_ok(tenure_map(p->t, p->device, a, TENURE_MAP_WRITE, &pointer,
			     &size));
	memset(pointer, 1, size);
	assert_ok(tenure_unmap(p->t, p->device, a));
}

/* Once of a device's own list, once of a resource. */
static void a84_release_fails(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct world *world = failing_world();
		struct party p = party_new(world);
		struct tenure_allocation list[2];
		struct tenure_resource resource = { 0 };

		if (kind == 0)
			make_allocations(&p, 2, list);
		else
			resource = make_resource(&p, 0, 2, list);
		write_to(&p, list[0]);
		if (world->inproc)
			inproc_pump_by_itself(world->inproc, false);
		assert_ok(destroy(&p, resource.value, kind ? NULL : list,
				  kind ? 0 : 2, 0));
		watch_failures(&p, list[1], 2 * PAGE);
		if (world->inproc)
			inproc_pump_by_itself(world->inproc, true);
		assert_gone(&p, 2 * PAGE);
		party_end(&p);
		world_free(world);
	}
	row_proved("A84");
}

/* Who waits for the memory waits longer, and hears of no failure. */
static void a84_synchronous(void **state)
{
	struct world *world = failing_world();
	struct party p = party_new(world);
	struct tenure_allocation a = make_allocation(&p, PAGE);
	uint64_t failures = world->inproc ? 1 : FAILURES;
	struct wire_status status;

	(void)state;
	write_to(&p, a);
	if (world->inproc)
		checking_fail(inproc_backend(world->inproc, 0),
			      CHECKING_DESTROY, 1, -EIO);
	assert_ok(destroy(&p, 0, &a, 1, TENURE_DESTROY_SYNCHRONOUS));
	status = look(world);
	assert_int_equal(status.release_failures_total, failures);
	assert_int_equal(status.stores, 0);
	assert_int_equal(status.released_bytes_total, PAGE);
	assert_dead(&p, a);
	party_end(&p);
	world_free(world);
	row_proved("A84");
}

/* ---- One call for a group ---- */

static unsigned int requests;

int __real_connection_call_locked(struct tenure *connection, struct call *call);
int __wrap_connection_call_locked(struct tenure *connection, struct call *call);

int __wrap_connection_call_locked(struct tenure *connection, struct call *call)
{
	requests++;
	return __real_connection_call_locked(connection, call);
}

/* Of the backend, so far; of the daemon's nothing is known. */
static uint64_t backend_calls(struct world *world, enum checking_call call)
{
	if (!world->inproc)
		return 0;
	inproc_pump_all(world->inproc);
	return checking_calls(inproc_backend(world->inproc, 0), call);
}

static void b03_one_call_for_a_group(void **state)
{
	struct world *world = *state;
	struct party p = party_new(world);
	struct tenure_allocation list[GROUP];
	const uint64_t one = world->inproc ? 1 : 0;

	for (int kind = 0; kind < 2; kind++) {
		uint64_t made = backend_calls(world, CHECKING_CREATE);
		uint64_t gone = backend_calls(world, CHECKING_DESTROY);
		struct tenure_resource resource = { 0 };

		requests = 0;
		if (kind == 0)
			make_allocations(&p, GROUP, list);
		else
			resource = make_resource(&p, 0, GROUP, list);
		assert_int_equal(requests, 1);
		assert_int_equal(backend_calls(world, CHECKING_CREATE),
				 made + one);
		requests = 0;
		if (kind == 0)
			assert_ok(destroy_list(&p, list, GROUP));
		else
			assert_ok(tenure_resource_destroy(p.t, p.device,
							  resource));
		assert_int_equal(requests, 1);
		assert_stores(world, 0);
		assert_int_equal(backend_calls(world, CHECKING_DESTROY),
				 gone + one);
	}
	row_proved("B03");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a84_release_fails),
	cmocka_unit_test(a84_synchronous),
	world_test(b03_one_call_for_a_group),
};

WORLD_MAIN("release")
