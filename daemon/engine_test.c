/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/engine.h"

#include "tests/support/engine_seat.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* More than the box holds. */
enum { MANY = 2 * ENGINE_MAIL + 10 };

static struct engine_seat seat;

static int setup(void **state)
{
	(void)state;
	engine_seat_init(&seat);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	engine_seat_deinit(&seat);
	return 0;
}

/* A destroy that is answered later. */
static void destroy(uint32_t client, uint64_t device, uint64_t id)
{
	const uint64_t handle = engine_seat_create(&seat, client, device);
	struct broker_reply reply;

	assert_int_equal(
		engine_seat_ask(&seat, client,
				engine_seat_destroy(
					device, TENURE_DESTROY_SYNCHRONOUS, id),
				&handle, &reply),
		BROKER_LATER);
}

/* The same by a ring. */
static void destroy_by_ring(uint32_t client, uint64_t device, uint64_t id,
			    bool quiet)
{
	struct {
		struct wire_request head;
		uint64_t handle;
	} message = {
		.head = engine_seat_destroy(device, TENURE_DESTROY_SYNCHRONOUS,
					    id),
		.handle = engine_seat_create(&seat, client, device),
	};
	struct broker_reply reply;

	if (quiet)
		message.head.form |= WIRE_FORM_QUIET;
	engine_lock(&seat.engine);
	assert_int_equal(broker_receive(&seat.engine.broker, client,
					BROKER_PORT_RING, &message,
					sizeof(message), 1, &reply),
			 BROKER_LATER);
	engine_unlock(&seat.engine);
}

static void test_socket_replies_g2(void **state)
{
	uint64_t device, next = 0;
	uint32_t client = engine_seat_join(&seat, &device);
	struct engine_mail mail;

	(void)state;
	for (uint64_t id = 0; id < MANY; id++)
		destroy(client, device, id);
	engine_seat_settle(&seat);
	assert_int_equal(seat.engine.mail_count, ENGINE_MAIL);
	assert_true(seat.engine.holds);
	while (next < MANY) {
		assert_true(engine_seat_pump(&seat).mail);
		while (engine_next_mail(&seat.engine, &mail)) {
			assert_int_equal(mail.kind, ENGINE_REPLY);
			assert_int_equal(mail.reply.client, client);
			assert_int_equal(mail.reply.head.id, next);
			assert_int_equal(mail.reply.head.status, 0);
			next++;
		}
	}
	assert_false(engine_seat_pump(&seat).mail);
	engine_seat_leave(&seat, client);
	engine_seat_bury(&seat, 1);
}

/* A ring with little room. */
static struct {
	struct engine_sink sink;
	uint64_t ids[MANY];
	uint32_t count, room;
} ring;

static bool take(struct engine_sink *sink, const struct broker_reply *reply)
{
	assert_ptr_equal(sink, &ring.sink);
	assert_int_equal(reply->port, BROKER_PORT_RING);
	assert_int_equal(reply->quiet, reply->head.id % 3 == 0);
	if (ring.count == ring.room)
		return false;
	ring.ids[ring.count++] = reply->head.id;
	return true;
}

static void test_both_ways_g1(void **state)
{
	uint64_t device;
	uint32_t client = engine_seat_join(&seat, &device);
	struct engine_mail mail;
	uint64_t by_socket = 0;

	(void)state;
	memset(&ring, 0, sizeof(ring));
	ring.sink.take = take;
	engine_lock(&seat.engine);
	engine_attach_locked(&seat.engine, client, &ring.sink);
	engine_unlock(&seat.engine);
	for (uint64_t id = 0; id < MANY; id++) {
		destroy_by_ring(client, device, id, id % 3 == 0);
		destroy(client, device, 1000 + id);
	}
	while (ring.count < MANY || by_socket < MANY) {
		ring.room += ring.room < MANY;
		engine_seat_settle(&seat);
		while (engine_next_mail(&seat.engine, &mail)) {
			assert_int_equal(mail.reply.port, BROKER_PORT_SOCKET);
			assert_int_equal(mail.reply.head.id, 1000 + by_socket);
			by_socket++;
		}
	}
	for (uint64_t id = 0; id < MANY; id++)
		assert_int_equal(ring.ids[id], id);
	engine_seat_leave(&seat, client);
	engine_seat_bury(&seat, 1);
}

static void test_nothing_after_the_end_g3(void **state)
{
	uint64_t device, other_device;
	uint32_t client = engine_seat_join(&seat, &device);
	uint32_t other = engine_seat_join(&seat, &other_device);
	struct engine_mail mail;

	(void)state;
	destroy(other, other_device, 1000);
	for (uint64_t id = 0; id < MANY; id++)
		destroy(client, device, id);
	engine_seat_settle(&seat);
	assert_true(seat.engine.holds);
	engine_seat_leave(&seat, client);
	assert_true(engine_next_mail(&seat.engine, &mail));
	assert_int_equal(mail.kind, ENGINE_REPLY);
	assert_int_equal(mail.reply.client, other);
	assert_int_equal(mail.reply.head.id, 1000);
	engine_seat_bury(&seat, 1);
	engine_seat_leave(&seat, other);
	engine_seat_bury(&seat, 1);
}

/* What a full sink had kept waiting, goes with its client. */
static void test_no_sink_after_the_end_g3(void **state)
{
	uint64_t device;
	uint32_t client = engine_seat_join(&seat, &device);

	(void)state;
	memset(&ring, 0, sizeof(ring));
	ring.sink.take = take;
	engine_lock(&seat.engine);
	engine_attach_locked(&seat.engine, client, &ring.sink);
	engine_unlock(&seat.engine);
	for (uint64_t id = 0; id < MANY; id++)
		destroy_by_ring(client, device, id, id % 3 == 0);
	engine_seat_settle(&seat);
	assert_true(seat.engine.holds);
	ring.room = MANY;
	engine_seat_leave(&seat, client);
	engine_seat_bury(&seat, 1);
	assert_int_equal(ring.count, 0);
}

static void test_many_obituaries_g2(void **state)
{
	uint32_t clients[MANY];
	uint64_t device;

	(void)state;
	for (unsigned int i = 0; i < MANY; i++)
		clients[i] = engine_seat_join(&seat, &device);
	for (unsigned int i = 0; i < MANY; i++)
		engine_seat_leave(&seat, clients[i]);
	engine_seat_bury(&seat, MANY);
}

/* Whether the loop was notified within a while. */
static bool is_notified(void)
{
	for (int i = 0; i < 1000; i++) {
		if (sem_trywait(&seat.notified) == 0)
			return true;
		sched_yield();
	}
	return false;
}

static void watch(void)
{
	engine_lock(&seat.engine);
	engine_watch_locked(&seat.engine);
	engine_unlock(&seat.engine);
}

static bool unwatch(void)
{
	bool left;

	engine_lock(&seat.engine);
	left = engine_unwatch_locked(&seat.engine);
	engine_unlock(&seat.engine);
	return left;
}

static void test_watching_g4(void **state)
{
	uint64_t device;
	uint32_t client = engine_seat_join(&seat, &device);
	struct engine_mail mail;

	(void)state;
	destroy(client, device, 1);
	engine_seat_pump(&seat);
	sem_wait(&seat.notified);
	engine_seat_settle(&seat);
	watch();
	watch();
	destroy(client, device, 2);
	engine_seat_settle(&seat);
	assert_false(is_notified());
	assert_false(unwatch());
	assert_false(unwatch());
	/* Either the last watcher hears of it, or the loop is notified. */
	for (uint64_t id = 3; id < 100; id++) {
		watch();
		destroy(client, device, id);
		engine_seat_pump(&seat);
		if (!unwatch())
			sem_wait(&seat.notified);
		engine_seat_settle(&seat);
	}
	engine_seat_leave(&seat, client);
	engine_seat_settle(&seat);
	while (engine_next_mail(&seat.engine, &mail))
		engine_seat_pump(&seat);
}

static bool quick;

static bool is_quick(void *state, const struct backend_destroy *destroy)
{
	assert_ptr_equal(state, seat.system);
	assert_true(destroy->count || destroy->flags);
	return quick;
}

static int setup_quick(void **state)
{
	seat.ops.is_quick = is_quick;
	return setup(state);
}

static int teardown_quick(void **state)
{
	seat.ops.is_quick = NULL;
	return teardown(state);
}

static void test_quick_releases_g5(void **state)
{
	uint64_t device;
	uint32_t client = engine_seat_join(&seat, &device);
	struct engine_mail mail;
	struct engine_rest rest;

	(void)state;
	quick = true;
	for (uint64_t id = 0; id < 20; id++)
		destroy(client, device, id);
	do {
		rest = engine_seat_pump(&seat);
		assert_false(rest.jobs);
	} while (rest.more);
	for (uint64_t id = 0; id < 20; id++) {
		assert_true(engine_next_mail(&seat.engine, &mail));
		assert_int_equal(mail.reply.head.id, id);
	}
	assert_int_equal(sem_trywait(&seat.notified), -1);
	quick = false;
	destroy(client, device, 20);
	assert_true(engine_seat_pump(&seat).jobs);
	sem_wait(&seat.notified);
	quick = true;
	engine_seat_leave(&seat, client);
	engine_seat_bury(&seat, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_socket_replies_g2),
		TEST(test_both_ways_g1),
		TEST(test_nothing_after_the_end_g3),
		TEST(test_no_sink_after_the_end_g3),
		TEST(test_many_obituaries_g2),
		TEST(test_watching_g4),
		cmocka_unit_test_setup_teardown(test_quick_releases_g5,
						setup_quick, teardown_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
