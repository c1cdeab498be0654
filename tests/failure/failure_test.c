/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th thing fails
 *
 * Every step that makes something runs with the 1st, 2nd, ... n-th commit of
 * memory failing, and with each call of the backend failing, until nothing is
 * left to fail. Each time: the request is refused with a reason, nothing that
 * the client or the daemon holds has changed, the region check is content,
 * and the same request succeeds when it is made again. inproc_free() asserts
 * that nothing is left at the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/seat.h"

enum { FAILURES_MAX = 1000 };

/* What there is, of the client and of the daemon. */
struct holdings {
	struct wire_stat stat;
	struct wire_status status;
};

static struct holdings look(struct seat *seat)
{
	struct holdings h;

	inproc_pump_all(seat->world);
	inproc_check(seat->world);
	assert_int_equal(
		seat_ask(seat, (struct wire_request){ .opcode = WIRE_OP_STAT },
			 NULL, 0),
		0);
	memcpy(&h.stat, seat->reply.data, sizeof(h.stat));
	broker_status(inproc_broker(seat->world), &h.status);
	/* Totals of all time count what was tried, too. */
	h.status.refused_total = 0;
	h.status.created_total = 0;
	h.status.destroyed_total = 0;
	h.status.released_bytes_total = 0;
	return h;
}

static void assert_as_before(struct seat *seat, const struct holdings *before)
{
	struct holdings now = look(seat);

	assert_memory_equal(&now.stat, &before->stat, sizeof(now.stat));
	assert_memory_equal(&now.status, &before->status, sizeof(now.status));
}

static void fail_commit(struct seat *seat, uint64_t n)
{
	inproc_pages(seat->world)->fail_commit = n;
}

/* True when the failure that was ordered has not come: nothing is left to
 * fail. Takes it back. */
static bool unspent(struct seat *seat)
{
	bool left = inproc_pages(seat->world)->fail_commit > 0;

	fail_commit(seat, 0);
	return left;
}

/* ---- The broker itself ---- */

static void init_fails_at_each_commit(void **state)
{
	struct inproc_config config;
	struct inproc *world = NULL;
	int status = 0;

	(void)state;
	inproc_config_default(&config);
	for (config.fail_init_commit = 1; world == NULL;
	     config.fail_init_commit++) {
		assert_true(config.fail_init_commit < FAILURES_MAX);
		world = inproc_try_new(&config, &status);
		if (world == NULL)
			assert_int_equal(status, -ENOMEM);
	}
	assert_true(config.fail_init_commit > 2);
	inproc_free(world);
}

static void init_fails_without_address_space(void **state)
{
	struct inproc_config config;
	int status = 0;

	(void)state;
	inproc_config_default(&config);
	config.fail_init_reserve = 1;
	assert_null(inproc_try_new(&config, &status));
	assert_int_equal(status, -ENOMEM);
}

/* A first client on a fresh broker: everything is committed for it. */
static void connect_fails_at_each_commit(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < FAILURES_MAX; n++) {
		struct inproc *world = inproc_new(NULL);
		enum tenure_reason reason;
		struct wire_status status;
		uint32_t client;
		int r;

		inproc_pages(world)->fail_commit = n;
		r = inproc_connect(world, NULL, &client, &reason);
		if (r == 0) {
			inproc_pages(world)->fail_commit = 0;
			inproc_free(world);
			assert_true(n > 1);
			return;
		}
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(reason, TENURE_REASON_DAEMON_MEMORY);
		inproc_check(world);
		broker_status(inproc_broker(world), &status);
		assert_int_equal(status.clients, 0);
		assert_int_equal(inproc_connect(world, NULL, &client, NULL), 0);
		inproc_check(world);
		inproc_free(world);
	}
	fail_msg("there is always something left to fail");
}

/* ---- Requests ---- */

/* One request that makes something, on a seat that has all it needs. */
struct maker {
	const char *name;
	int (*make)(struct seat *seat);
	void (*prepare)(struct seat *seat);
};

/* What the makers need; one test runs at a time. */
static struct {
	uint64_t resource, token[2], handles[LIST_ENTRIES_MAX];
	uint64_t shared, shared_handles[8];
} have;

static void prepare_nothing(struct seat *seat)
{
	(void)seat;
}

static void prepare_resource(struct seat *seat)
{
	assert_int_equal(seat_create(seat, 0, TENURE_CREATE_RESOURCE, 2,
				     &have.resource, have.handles),
			 0);
}

static void prepare_shared(struct seat *seat)
{
	assert_int_equal(seat_create(seat, 0,
				     TENURE_CREATE_RESOURCE |
					     TENURE_CREATE_SHARED,
				     3, &have.shared, have.shared_handles),
			 0);
}

static void prepare_token(struct seat *seat)
{
	prepare_shared(seat);
	assert_int_equal(seat_share(seat, have.shared, TENURE_RIGHT_READ,
				    have.token),
			 0);
}

static int make_adapter_open(struct seat *seat)
{
	uint64_t adapter;

	return seat_adapter_open(seat, "other", &adapter);
}

static int make_device(struct seat *seat)
{
	uint64_t device;

	return seat_device_create(seat, seat->adapter, &device);
}

static int make_allocations(struct seat *seat)
{
	return seat_create(seat, 0, 0, 5, NULL, have.handles);
}

static int make_many_allocations(struct seat *seat)
{
	return seat_create(seat, 0, 0, LIST_ENTRIES_MAX, NULL, have.handles);
}

static int make_resource(struct seat *seat)
{
	return seat_create(seat, 0, TENURE_CREATE_RESOURCE, 600, &have.resource,
			   have.handles);
}

static int make_shared(struct seat *seat)
{
	return seat_create(seat, 0,
			   TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED, 700,
			   &have.resource, have.handles);
}

static int make_added(struct seat *seat)
{
	return seat_create(seat, have.resource, 0, 900, NULL, have.handles);
}

static int make_token(struct seat *seat)
{
	uint64_t token[2];

	return seat_share(seat, have.shared, TENURE_RIGHT_READ, token);
}

static int make_opening(struct seat *seat)
{
	uint64_t resource, handles[3];

	return seat_open(seat, have.token, 3, &resource, handles);
}

static const struct maker makers[] = {
	{ "adapter open", make_adapter_open, prepare_nothing },
	{ "device create", make_device, prepare_nothing },
	{ "allocations", make_allocations, prepare_nothing },
	{ "1024 allocations", make_many_allocations, prepare_nothing },
	{ "resource", make_resource, prepare_nothing },
	{ "shared resource", make_shared, prepare_nothing },
	{ "add", make_added, prepare_resource },
	{ "share", make_token, prepare_shared },
	{ "open", make_opening, prepare_token },
};

/* On a fresh broker each time, so that memory has to be committed. Returns
 * whether the failure came. */
static bool try_maker(const struct maker *maker, uint64_t n)
{
	struct inproc *world = inproc_new(NULL);
	struct holdings before;
	struct seat seat;
	bool left;
	int r;

	seat_take(&seat, world);
	maker->prepare(&seat);
	before = look(&seat);
	fail_commit(&seat, n);
	r = maker->make(&seat);
	left = unspent(&seat);
	if (left)
		assert_int_equal(r, 0);
	if (r != 0) {
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(seat.reply.head.reason,
				 TENURE_REASON_DAEMON_MEMORY);
		assert_as_before(&seat, &before);
		assert_int_equal(maker->make(&seat), 0);
	}
	inproc_check(world);
	inproc_free(world);
	return !left;
}

static void requests_fail_at_each_commit(void **state)
{
	uint64_t failures = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
		uint64_t n = 1;

		while (try_maker(&makers[i], n)) {
			assert_true(n < FAILURES_MAX);
			failures++;
			n++;
		}
	}
	/* The big ones must have asked for memory, or this tests nothing. */
	assert_true(failures >= 4);
}

/* A life with more of everything than a commit holds: each commit fails once,
 * the request is refused, and made again. */
static int persist(struct seat *seat, uint32_t step, uint64_t *tokens)
{
	uint64_t resource, handles[8];
	int r;

	switch (step % 4) {
	case 0:
		return seat_create(seat, 0, 0, 7, NULL, handles);
	case 1:
		return seat_create(
			seat, 0, TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED,
			5, &have.shared, handles);
	case 2:
		r = seat_share(seat, have.shared, TENURE_RIGHT_READ, tokens);
		return r;
	default:
		return seat_open(seat, tokens, 5, &resource, handles);
	}
}

/* Thousands of stores live at once there: not one descriptor for each. */
static struct inproc *crowded_world(void)
{
	struct inproc_config config;

	inproc_config_default(&config);
	config.memfds = false;
	return inproc_new(&config);
}

static void growth_fails_at_each_commit(void **state)
{
	uint64_t token[2] = { 0 }, failures = 0;
	struct inproc *world = crowded_world();
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	for (uint32_t step = 0; step < 4000; step++) {
		fail_commit(&seat, 1);
		if (persist(&seat, step, token) != 0) {
			assert_int_equal(seat.reply.head.status, -ENOMEM);
			failures++;
			fail_commit(&seat, 0);
			assert_int_equal(persist(&seat, step, token), 0);
		}
		fail_commit(&seat, 0);
		if (step % 100 == 0)
			inproc_check(world);
	}
	assert_true(failures > 10);
	inproc_check(world);
	assert_int_equal(seat_device_destroy(&seat, seat.device), 0);
	inproc_check(world);
	inproc_free(world);
}

/* A client dies while there is no memory: its end needs none. */
static void death_needs_no_memory(void **state)
{
	struct inproc *world = crowded_world();
	uint64_t token[2] = { 0 }, commits;
	struct obituary obituary;
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	for (uint32_t step = 0; step < 3000; step++)
		assert_int_equal(persist(&seat, step, token), 0);
	commits = inproc_pages(world)->commits;
	inproc_kill(world, seat.client);
	inproc_pump_all(world);
	assert_true(inproc_take_obituary(world, seat.client, &obituary));
	assert_int_equal(inproc_pages(world)->commits, commits);
	inproc_free(world);
}

/* ---- The backend ---- */

static void backend_refuses(const struct maker *maker, enum checking_call call,
			    uint64_t n, int status)
{
	struct inproc *world = inproc_new(NULL);
	struct checking *backend = inproc_backend(world, 0);
	struct holdings before;
	struct seat seat;

	seat_take(&seat, world);
	maker->prepare(&seat);
	before = look(&seat);
	checking_fail(backend, call, n, status);
	assert_int_equal(maker->make(&seat), status);
	assert_int_equal(seat.reply.head.reason, TENURE_REASON_BACKEND);
	assert_as_before(&seat, &before);
	assert_int_equal(maker->make(&seat), 0);
	inproc_check(world);
	inproc_free(world);
}

static void backend_refuses_to_create(void **state)
{
	static const int statuses[] = { -ENOMEM, -EMFILE, -ENFILE, -ENOSPC };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		for (size_t m = 2; m < 7; m++)
			backend_refuses(&makers[m], CHECKING_CREATE, 1,
					statuses[i]);
}

static void backend_refuses_to_open(void **state)
{
	(void)state;
	/* Allocations of a device are opened one by one: each may fail. */
	for (uint64_t n = 1; n <= 5; n++)
		backend_refuses(&makers[2], CHECKING_OPEN, n, -ENOMEM);
	backend_refuses(&makers[3], CHECKING_OPEN, LIST_ENTRIES_MAX, -EMFILE);
	backend_refuses(&makers[4], CHECKING_OPEN, 1, -ENOMEM);
	backend_refuses(&makers[5], CHECKING_OPEN, 1, -ENOMEM);
	backend_refuses(&makers[8], CHECKING_OPEN, 1, -ENOMEM);
}

/* A84: the n-th release fails; it is counted, retried, and never reported. */
static void releases_are_retried(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 3; n++) {
		struct inproc *world = inproc_new(NULL);
		struct wire_status status;
		struct seat seat;

		seat_take(&seat, world);
		prepare_resource(&seat);
		prepare_shared(&seat);
		assert_int_equal(make_allocations(&seat), 0);
		checking_fail(inproc_backend(world, 0), CHECKING_DESTROY, n,
			      -EIO);
		assert_int_equal(seat_destroy(&seat, 0, have.handles, 5,
					      TENURE_DESTROY_SYNCHRONOUS),
				 0);
		assert_int_equal(seat_destroy(&seat, have.resource, NULL, 0,
					      TENURE_DESTROY_SYNCHRONOUS),
				 0);
		assert_int_equal(seat_device_destroy(&seat, seat.device), 0);
		broker_status(inproc_broker(world), &status);
		assert_int_equal(status.release_failures_total, 1);
		assert_int_equal(status.bytes, 0);
		assert_int_equal(status.stores, 0);
		inproc_check(world);
		inproc_free(world);
	}
}

/* ---- Limits that no operator can change ---- */

static void devices_have_a_limit(void **state)
{
	struct inproc *world = inproc_new(NULL);
	uint64_t device = 0;
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	for (uint32_t i = 1; i < DEVICES_PER_CLIENT_MAX; i++)
		assert_int_equal(
			seat_device_create(&seat, seat.adapter, &device), 0);
	assert_unchanged(&seat, make_device(&seat), -EDQUOT,
			 TENURE_REASON_CLIENT_DEVICES);
	assert_int_equal(seat_device_destroy(&seat, device), 0);
	assert_int_equal(make_device(&seat), 0);
	inproc_free(world);
}

static void maps_have_a_limit(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	assert_int_equal(make_allocations(&seat), 0);
	for (uint32_t i = 0; i < MAPS_PER_ALLOCATION_MAX; i++)
		assert_int_equal(seat_map(&seat, have.handles[0], 0), 0);
	assert_unchanged(&seat, seat_map(&seat, have.handles[0], 0), -EDQUOT,
			 TENURE_REASON_MAPPED_TOO_OFTEN);
	assert_int_equal(seat_unmap(&seat, have.handles[0]), 0);
	assert_int_equal(seat_map(&seat, have.handles[0], 0), 0);
	inproc_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_fails_at_each_commit),
		cmocka_unit_test(init_fails_without_address_space),
		cmocka_unit_test(connect_fails_at_each_commit),
		cmocka_unit_test(requests_fail_at_each_commit),
		cmocka_unit_test(growth_fails_at_each_commit),
		cmocka_unit_test(death_needs_no_memory),
		cmocka_unit_test(backend_refuses_to_create),
		cmocka_unit_test(backend_refuses_to_open),
		cmocka_unit_test(releases_are_retried),
		cmocka_unit_test(devices_have_a_limit),
		cmocka_unit_test(maps_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
