/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port turned by hand: the worker's part is this thread's, and so is the
 * client's.
 */
#include "daemon/port.h"

#include "core/ring/ring_shared.h"
#include "tests/support/engine_seat.h"
#include "tests/support/raw_ring.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Calls that fail when they are called for the n-th time. */
static int fail_at, calls;

static bool fails(void)
{
	return fail_at && ++calls == fail_at;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
int __real_memfd_create(const char *name, unsigned int flags);
int __wrap_memfd_create(const char *name, unsigned int flags);
int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);
int __real_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
void *__real_mmap(void *at, size_t length, int protection, int flags, int fd,
		  off_t offset);
void *__wrap_mmap(void *at, size_t length, int protection, int flags, int fd,
		  off_t offset);

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

static int fail_with(int error)
{
	errno = error;
	return -1;
}

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	return fails() ? fail_with(EMFILE) : __real_memfd_create(name, flags);
}

int __wrap_eventfd(unsigned int count, int flags)
{
	return fails() ? fail_with(EMFILE) : __real_eventfd(count, flags);
}

int __wrap_ftruncate(int fd, off_t length)
{
	return fails() ? fail_with(ENOSPC) : __real_ftruncate(fd, length);
}

int __wrap_fchmod(int fd, mode_t mode)
{
	return fails() ? fail_with(EPERM) : __real_fchmod(fd, mode);
}

void *__wrap_mmap(void *at, size_t length, int protection, int flags, int fd,
		  off_t offset)
{
	if (!fails())
		return __real_mmap(at, length, protection, flags, fd, offset);
	errno = ENOMEM;
	return MAP_FAILED;
}

static struct engine_seat seat;
static struct port_bench bench;
static struct port *port;
static struct raw_ring ring;
static uint32_t client;
static uint64_t device;
static unsigned int told; /* that late replies have come */

static void count_told(struct port *which)
{
	assert_ptr_equal(which, port);
	told++;
}

static int setup(void **state)
{
	(void)state;
	engine_seat_init(&seat);
	client = engine_seat_join(&seat, &device);
	assert_int_equal(port_new(&seat.engine, client, 0, &port), 0);
	port->late_came = count_told;
	told = 0;
	engine_lock(&seat.engine);
	engine_attach_locked(&seat.engine, client, &port->sink);
	engine_unlock(&seat.engine);
	return raw_ring_map(port_take_memory(port), dup(port->doorbell_fd),
			    &ring);
}

static void leave(void)
{
	engine_lock(&seat.engine);
	engine_disconnect_locked(&seat.engine, client, 2, NULL);
	port->ended = true;
	engine_unlock(&seat.engine);
}

static int teardown(void **state)
{
	(void)state;
	if (!port->ended)
		leave();
	engine_seat_bury(&seat, 1);
	raw_ring_close(&ring);
	port_free(port);
	engine_seat_deinit(&seat);
	return 0;
}

static enum port_served serve(uint32_t *ret_done)
{
	*ret_done = 0;
	return port_serve(port, &bench, 1, ret_done);
}

static void put(struct wire_request head, const void *args, size_t args_bytes)
{
	assert_true(raw_ring_send(&ring, &head, args, args_bytes) >= 0);
}

static void test_requests_are_bounded_g1_g3(void **state)
{
	const struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct wire_reply reply;
	uint32_t done, sum = 0;

	(void)state;
	assert_int_equal(serve(&done), PORT_IDLE);
	for (int i = 0; i < RING_SQ_ENTRIES; i++)
		put(ping, NULL, 0);
	while (serve(&done) == PORT_BUSY) {
		assert_in_range(done, 1, PORT_REQUESTS);
		sum += done;
	}
	assert_int_equal(sum, RING_SQ_ENTRIES);
	for (uint64_t id = 1; id <= RING_SQ_ENTRIES; id++) {
		assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
		assert_int_equal(reply.id, id);
		assert_int_equal(reply.status, 0);
	}
	assert_int_equal(ring_client_reap(&ring.end, &reply), 0);
}

static void test_frees_are_bounded_g1(void **state)
{
	struct wire_reply reply;
	uint32_t done, sum = 0, refused = 0;

	(void)state;
	while (ring_client_free(&ring.end, 4711) != -EAGAIN)
		;
	ring_client_publish(&ring.end);
	while (sum < RING_FQ_ENTRIES) {
		assert_int_equal(serve(&done), PORT_BUSY);
		assert_in_range(done, 1, PORT_FREES + PORT_FREES / 2);
		sum += done;
		while (ring_client_reap(&ring.end, &reply) == 1) {
			assert_int_equal(reply.opcode, WIRE_OP_FREE);
			assert_int_equal(reply.status, -EINVAL);
			refused++;
		}
		ring_client_reaped(&ring.end);
	}
	assert_int_equal(sum, RING_FQ_ENTRIES);
	assert_int_equal(refused, RING_FQ_ENTRIES);
	assert_int_equal(serve(&done), PORT_IDLE);
}

static uint64_t create_resource(void)
{
	static struct wire_allocation sizes[RESOURCE_CHILDREN_MAX];
	const struct wire_request create = { .opcode = WIRE_OP_CREATE,
					     .device = device,
					     .flags = TENURE_CREATE_RESOURCE,
					     .count = ARRAY_SIZE(sizes) };
	struct wire_reply reply;
	uint32_t done;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		sizes[i].size_bytes = PAGE_BYTES;
	put(create, sizes, sizeof(sizes));
	assert_int_equal(serve(&done), PORT_BUSY);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
	assert_int_equal(reply.status, 0);
	ring_client_block_free(&ring.end, 0);
	return reply.value[0];
}

static uint64_t resources_left(void)
{
	const struct wire_request stat = { .opcode = WIRE_OP_STAT };
	struct broker_reply reply;
	struct wire_stat answer;

	assert_int_equal(engine_seat_ask(&seat, client, stat, NULL, &reply),
			 BROKER_REPLY);
	memcpy(&answer, reply.data, sizeof(answer));
	return answer.resources;
}

/* Frees of resources, and requests behind them. */
static void test_children_are_bounded_g1_g3(void **state)
{
	const struct wire_request ping = { .opcode = WIRE_OP_PING };
	enum { MANY = 7, AT_ONCE = FREES_CHILDREN_MAX / RESOURCE_CHILDREN_MAX };
	struct wire_reply reply;
	uint64_t left = MANY, resources[MANY], first;
	uint32_t done;

	(void)state;
	for (int i = 0; i < MANY; i++)
		resources[i] = create_resource();
	for (int i = 0; i < MANY; i++)
		ring_client_free(&ring.end, resources[i]);
	ring_client_free(&ring.end, 4711);
	put(ping, NULL, 0);
	put(ping, NULL, 0);
	first = ring.ids - 1;
	while (left > AT_ONCE) {
		assert_int_equal(serve(&done), PORT_BUSY);
		left -= AT_ONCE;
		assert_int_equal(resources_left(), left);
		assert_int_equal(ring_client_reap(&ring.end, &reply), 0);
		assert_int_equal(ring_client_is_drained(&ring.end), 0);
	}
	assert_int_equal(serve(&done), PORT_BUSY);
	assert_int_equal(resources_left(), 0);
	assert_int_equal(ring_client_is_drained(&ring.end), 1);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
	assert_int_equal(reply.opcode, WIRE_OP_FREE);
	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
		assert_int_equal(reply.id, first + i);
	}
	assert_int_equal(ring_client_reap(&ring.end, &reply), 0);
	assert_int_equal(serve(&done), PORT_IDLE);
	engine_seat_settle(&seat);
}

enum { OFFERED = 5 };

static void offer_resources(void)
{
	struct ring_offers *offers = &ring.ring->offers;

	for (uint32_t i = 0; i < OFFERED; i++) {
		offers_name(offers, i, create_resource());
		offers_make(offers, i, 1);
	}
}

/* Offers of resources: a look takes all of them and frees a few, what these
 * cost is paid, and the next look is due at once. */
static void test_offers_with_children_g1(void **state)
{
	enum { AT_ONCE = FREES_CHILDREN_MAX / RESOURCE_CHILDREN_MAX };
	uint32_t done = 0;

	(void)state;
	offer_resources();
	for (uint32_t left = OFFERED; left > 0;) {
		port_take_offers(port, &bench, 2, &done);
		left -= left < AT_ONCE ? left : AT_ONCE;
		assert_int_equal(done, OFFERED - left);
		assert_int_equal(bench.has_settled, left > 0);
		assert_int_equal(resources_left(), left);
		assert_int_equal(port->offers_due_ns, 2);
	}
	/* One that was made meanwhile is seen then. */
	offers_make(&ring.ring->offers, OFFERED, 7);
	port_take_offers(port, &bench, 2, &done);
	assert_int_equal(done, OFFERED);
	assert_int_equal(port->offers_due_ns, 2 + RING_OFFERS_PERIOD_NS);
	port->offers_due_ns = 0;
	engine_seat_settle(&seat);
}

/* Without memory to keep the others, a look goes on. */
static void test_offers_without_memory_g1(void **state)
{
	uint32_t done = 0;

	(void)state;
	offer_resources();
	engine_seat_settle(&seat);
	fail_at = 1;
	calls = 0;
	port_take_offers(port, &bench, 2, &done);
	fail_at = 0;
	assert_int_equal(calls, 2);
	assert_int_equal(done, 4);
	assert_int_equal(resources_left(), OFFERED - 4);
	assert_int_equal(port->offers_due_ns, 2);
	port_take_offers(port, &bench, 2, &done);
	assert_int_equal(done, OFFERED);
	port->offers_due_ns = 0;
	engine_seat_settle(&seat);
}

/* What is left when its client ends is nobody's. */
static void test_offers_of_one_that_ends_g2(void **state)
{
	uint32_t done = 0;

	(void)state;
	offer_resources();
	port_take_offers(port, &bench, 2, &done);
	engine_lock(&seat.engine);
	port->ended = true;
	engine_unlock(&seat.engine);
	port_take_offers(port, &bench, 2, &done);
	assert_true(resources_left() > 0);
	assert_int_equal(port->n_left, 0);
	engine_lock(&seat.engine);
	port->ended = false;
	engine_unlock(&seat.engine);
	port->offers_due_ns = 0;
	engine_seat_settle(&seat);
}

static void test_data_and_silence_g3(void **state)
{
	struct wire_request stat = { .opcode = WIRE_OP_STAT };
	uint64_t handle = engine_seat_create(&seat, client, device);
	struct wire_request destroy = engine_seat_destroy(device, 0, 0);
	struct wire_reply reply;
	struct wire_stat answer;
	uint32_t done;
	int block;

	(void)state;
	destroy.form |= WIRE_FORM_QUIET;
	put(destroy, &handle, sizeof(handle));
	put(destroy, &handle, sizeof(handle));
	block = raw_ring_send(&ring, &stat, NULL, 0);
	assert_int_equal(serve(&done), PORT_BUSY);
	assert_int_equal(done, 3);
	/* Success was silent, the refusal is not. */
	assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
	assert_int_equal(reply.status, -EINVAL);
	assert_int_equal(reply.id, 2);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
	assert_int_equal(reply.data_bytes, sizeof(answer));
	ring_client_block_read(&ring.end, block, &answer, sizeof(answer));
	assert_int_equal(answer.allocations, 0);
	assert_int_equal(answer.devices, 1);
	assert_int_equal(ring_client_is_drained(&ring.end), 1);
}

static void test_nothing_after_the_end_g2(void **state)
{
	const struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct wire_reply reply;
	uint32_t done;

	(void)state;
	put(ping, NULL, 0);
	assert_int_equal(ring_client_free(&ring.end, 4711), 1);
	leave();
	serve(&done);
	assert_int_equal(done, 0);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 0);
}

/* So much that turns of the engine are the pump's. */
static void retire_many(void)
{
	struct broker *broker = &seat.engine.broker;
	struct wire_reply refusals[1];
	uint32_t done;

	for (int i = 0; i <= TURN_FEW_ITEMS; i++) {
		uint64_t handle = engine_seat_create(&seat, client, device);

		engine_lock(&seat.engine);
		assert_int_equal(broker_free_some(broker, client, &handle, 1, 1,
						  refusals, &done),
				 0);
		engine_unlock(&seat.engine);
	}
}

static void test_late_replies_g3(void **state)
{
	const struct wire_request destroy =
		engine_seat_destroy(device, TENURE_DESTROY_SYNCHRONOUS, 0);
	struct wire_request quiet = destroy;
	enum { MANY = 3 * PORT_LATE };
	struct wire_reply reply;
	uint32_t done;

	(void)state;
	quiet.form |= WIRE_FORM_QUIET;
	retire_many();
	for (int i = 0; i < MANY; i++) {
		uint64_t handle = engine_seat_create(&seat, client, device);

		put(i % 4 ? destroy : quiet, &handle, sizeof(handle));
		assert_int_equal(serve(&done), PORT_BUSY);
		assert_int_equal(done, 1);
		/* It is done with, as far as its arguments go. */
		assert_int_equal(ring_client_is_drained(&ring.end), 1);
		ring_client_block_free(&ring.end, 0);
		assert_int_equal(ring_client_reap(&ring.end, &reply), 0);
	}
	for (int i = 0; i < MANY / PORT_LATE; i++) {
		engine_seat_settle(&seat);
		assert_int_equal(told, i + 1);
		assert_int_equal(port->late_count, PORT_LATE);
		port_serve_late(port, &bench);
	}
	for (uint64_t i = 0; i < MANY; i++) {
		if (i % 4 == 0)
			continue;
		assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
		assert_int_equal(reply.opcode, WIRE_OP_DESTROY);
		assert_int_equal(reply.id, i + 1);
	}
	assert_int_equal(ring_client_reap(&ring.end, &reply), 0);
}

static bool is_quick(void *state, const struct backend_destroy *destroy)
{
	(void)state;
	(void)destroy;
	return true;
}

static int setup_quick(void **state)
{
	seat.ops.is_quick = is_quick;
	return setup(state);
}

static int teardown_quick(void **state)
{
	int r = teardown(state);

	seat.ops.is_quick = NULL;
	return r;
}

/* Puts a destroy that is waited for, and serves. */
static void destroy_one(unsigned int form)
{
	struct wire_request destroy =
		engine_seat_destroy(device, TENURE_DESTROY_SYNCHRONOUS, 0);
	uint64_t handle = engine_seat_create(&seat, client, device);
	uint32_t done;

	destroy.form |= (uint8_t)form;
	put(destroy, &handle, sizeof(handle));
	assert_int_equal(serve(&done), PORT_BUSY);
	assert_int_equal(done, 1);
	ring_client_block_free(&ring.end, 0);
}

static void test_answered_at_once_g6(void **state)
{
	struct wire_reply reply;
	uint32_t done;

	(void)state;
	destroy_one(0);
	assert_true(bench.has_settled);
	assert_false(bench.rest.more);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
	assert_int_equal(reply.id, 1);
	assert_int_equal(reply.status, 0);
	destroy_one(WIRE_FORM_QUIET);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 0);
	assert_int_equal(port->server.reserved, 0);
	assert_int_equal(told, 0);
	assert_int_equal(serve(&done), PORT_IDLE);
	assert_false(bench.any_later || bench.has_settled);
	retire_many();
	destroy_one(0);
	assert_true(bench.any_later && !bench.has_settled);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 0);
	engine_seat_settle(&seat);
	assert_int_equal(told, 1);
	port_serve_late(port, &bench);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
	assert_int_equal(reply.id, 3);
}

/* What a turn finds for others is theirs to fetch, and they are told. */
static void test_others_are_told_g6(void **state)
{
	const struct wire_request destroy =
		engine_seat_destroy(device, TENURE_DESTROY_SYNCHRONOUS, 0);
	uint64_t handle = engine_seat_create(&seat, client, device);
	struct wire_reply reply;
	uint32_t done;

	(void)state;
	retire_many();
	put(destroy, &handle, sizeof(handle));
	assert_int_equal(serve(&done), PORT_BUSY);
	engine_lock(&seat.engine);
	while (turn_load_of(&seat.engine.broker).items > 0)
		engine_pump_locked(&seat.engine, 1);
	engine_unlock(&seat.engine);
	assert_int_equal(told, 1);
	assert_int_equal(port->late_count, 1);
	ring_client_block_free(&ring.end, 0);
	/* One that settles takes with it what had come before. */
	destroy_one(0);
	assert_int_equal(port->late_count, 0);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
	port_serve_late(port, &bench);
	assert_int_equal(bench.n_late, 0);
	assert_false(port->late_told);
}

static void test_faults_g3(void **state)
{
	const struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct wire_reply reply;
	uint32_t done;

	(void)state;
	put(ping, NULL, 0);
	put((struct wire_request){ .opcode = WIRE_OP_PING, .args_offset = 1 },
	    NULL, 0);
	/* What came before it is done and answered. */
	assert_int_equal(serve(&done), PORT_FAULT);
	assert_int_equal(done, 1);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
	assert_int_equal(reply.id, 1);
	assert_int_equal(port->farewell.reason, TENURE_REASON_RING_CORRUPT);
	assert_int_equal(port->farewell.status, -EPROTO);
	assert_string_equal(port->cause, "arguments outside the arena");
}

static void test_malformed_g3(void **state)
{
	const struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct wire_reply reply;
	uint32_t done;

	(void)state;
	put(ping, NULL, 0);
	put((struct wire_request){ .opcode = WIRE_OP_PING, .device = 1 }, NULL,
	    0);
	put(ping, NULL, 0);
	assert_int_equal(serve(&done), PORT_FAULT);
	/* The last one was never executed. */
	assert_int_equal(done, 2);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 1);
	assert_int_equal(ring_client_reap(&ring.end, &reply), 0);
	assert_int_equal(port->farewell.reason, TENURE_REASON_MALFORMED);
	assert_null(port->cause);
}

static void test_memory_g4(void **state)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st;

	(void)state;
	assert_int_equal(fcntl(ring.memory, F_GET_SEALS) & seals, seals);
	assert_int_equal(fstat(ring.memory, &st), 0);
	assert_int_equal(st.st_size, PORT_BYTES);
	assert_int_equal(st.st_mode & 07777, 0);
	assert_int_equal(port->memory_fd, -1);
}

static unsigned int descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

static void test_failures_g5(void **state)
{
	unsigned int before = descriptors();
	struct port *other = NULL;
	int failures = 0, r;

	(void)state;
	for (fail_at = 1;; fail_at++) {
		calls = 0;
		r = port_new(&seat.engine, client, 0, &other);
		if (r == 0)
			break;
		failures++;
		assert_null(other);
		assert_true(r < 0);
		assert_int_equal(descriptors(), before);
	}
	fail_at = 0;
	assert_int_equal(failures, 6);
	port_free(other);
	port_free(NULL);
	assert_int_equal(descriptors(), before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define QUICK(name) \
	cmocka_unit_test_setup_teardown(name, setup_quick, teardown_quick)
	const struct CMUnitTest tests[] = {
		TEST(test_requests_are_bounded_g1_g3),
		TEST(test_frees_are_bounded_g1),
		TEST(test_children_are_bounded_g1_g3),
		TEST(test_offers_with_children_g1),
		TEST(test_offers_without_memory_g1),
		TEST(test_offers_of_one_that_ends_g2),
		TEST(test_data_and_silence_g3),
		TEST(test_nothing_after_the_end_g2),
		TEST(test_late_replies_g3),
		QUICK(test_answered_at_once_g6),
		QUICK(test_others_are_told_g6),
		TEST(test_faults_g3),
		TEST(test_malformed_g3),
		TEST(test_memory_g4),
		TEST(test_failures_g5),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
