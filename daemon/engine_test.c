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

/* A pin that nobody gives back, until the end. */
static void test_leaked_pin_g8(void **state)
{
	struct region *region = &seat.engine.broker.env.region;
	uint64_t device, wire, now_ns = 5 * NS_PER_S;
	uint32_t client = engine_seat_join(&seat, &device), owner, told = 0;
	struct wire_request head = engine_seat_destroy(0, 0, 1);
	struct broker_reply reply;
	struct engine_rest rest;
	struct engine_mail mail;
	struct handle handle;
	struct slot *slot;

	(void)state;
	head.device = device;
	wire = engine_seat_create(&seat, client, device);
	handle = handle_from_wire(wire, session_at(region, client)->secret);
	owner = table_owner(region, handle);
	slot = table_pin(region, owner, handle);
	assert_non_null(slot);
	assert_int_equal(engine_seat_ask(&seat, client, head, &wire, &reply),
			 BROKER_REPLY);
	engine_seat_settle(&seat);
	for (int i = 0; i < 30; i++, now_ns += PINNED_PERIOD_NS) {
		rest = engine_pump(&seat.engine, now_ns);
		assert_false(rest.more);
		assert_true(rest.due_ns > now_ns);
		assert_true(rest.due_ns <= now_ns + PINNED_PERIOD_NS);
		while (engine_next_mail(&seat.engine, &mail)) {
			assert_int_equal(mail.kind, ENGINE_PINNED);
			assert_int_equal(mail.pinned.handle, wire);
			assert_int_equal(mail.pinned.client, client);
			told++;
		}
	}
	assert_int_equal(told, 1);
	table_unpin(slot);
	assert_int_equal(engine_pump(&seat.engine, now_ns).due_ns, 0);
	assert_int_equal(slot_state(slot), SLOT_FREE);
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

uint32_t __real_broker_progressed_some(struct broker *broker, uint32_t client,
				       uint32_t looks, uint32_t *word);
uint32_t __wrap_broker_progressed_some(struct broker *broker, uint32_t client,
				       uint32_t looks, uint32_t *word);

/* Looks at words, and what the longest has cost. */
static uint32_t n_looks, longest_look;

uint32_t __wrap_broker_progressed_some(struct broker *broker, uint32_t client,
				       uint32_t looks, uint32_t *word)
{
	uint32_t cost =
		__real_broker_progressed_some(broker, client, looks, word);

	n_looks++;
	if (cost > longest_look)
		longest_look = cost;
	return cost;
}

/* All have come, whatever they are. */
static uint64_t all_ones(struct engine_sink *sink, uint32_t word)
{
	(void)sink;
	(void)word;
	return 1;
}

static void ignore_reset(struct engine_sink *sink, uint32_t word,
			 uint64_t value)
{
	(void)sink;
	(void)word;
	(void)value;
}

static void ignore_awaited(struct engine_sink *sink)
{
	(void)sink;
}

/* The last of many fences of a client that is about to end. */
static uint64_t make_fences(uint32_t client, uint64_t device, uint32_t n)
{
	const struct wire_request create = { .opcode = WIRE_OP_FENCE_CREATE,
					     .device = device };
	struct broker_reply reply;

	while (n--)
		assert_int_equal(engine_seat_ask(&seat, client, create, NULL,
						 &reply),
				 BROKER_REPLY);
	return reply.head.value[0];
}

static void test_stored_before_the_end_g10(void **state)
{
	enum { FENCES = 3 * ENGINE_LOOKS };
	struct wire_fence_wait list = { .value = 1 };
	struct wire_request wait = { .opcode = WIRE_OP_FENCE_WAIT,
				     .id = 7,
				     .count = 1,
				     .args_bytes = sizeof(list) };
	uint32_t client = engine_seat_join(&seat, &wait.device);
	struct broker_reply reply;
	struct engine_mail mail;

	(void)state;
	memset(&ring, 0, sizeof(ring));
	ring.sink = (struct engine_sink){ .take = take,
					  .read = all_ones,
					  .reset = ignore_reset,
					  .awaited = ignore_awaited };
	list.fence = make_fences(client, wait.device, FENCES);
	assert_int_equal(engine_seat_ask(&seat, client, wait, &list, &reply),
			 BROKER_LATER);
	engine_lock(&seat.engine);
	engine_attach_locked(&seat.engine, client, &ring.sink);
	engine_unlock(&seat.engine);
	n_looks = longest_look = 0;
	engine_hear_out(&seat.engine, client);
	assert_in_range(n_looks, FENCES / ENGINE_LOOKS,
			FENCES / ENGINE_LOOKS + 1);
	assert_in_range(longest_look, 1, 2 * ENGINE_LOOKS);
	engine_seat_settle(&seat);
	assert_true(engine_next_mail(&seat.engine, &mail));
	assert_int_equal(mail.kind, ENGINE_REPLY);
	assert_int_equal(mail.reply.head.id, 7);
	assert_int_equal(mail.reply.head.status, 0);
	/* Nobody waits any more, and nobody looks. */
	engine_hear_out(&seat.engine, client);
	engine_seat_leave(&seat, client);
	engine_seat_bury(&seat, 1);
	assert_in_range(n_looks, FENCES / ENGINE_LOOKS,
			FENCES / ENGINE_LOOKS + 1);
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

/* What the releases of one turn were; counted when the engine asks. */
static struct {
	uint32_t calls, slots, last_slots;
} turn;

static bool is_quick_and_counted(void *state,
				 const struct backend_destroy *destroy)
{
	turn.calls++;
	turn.slots += destroy->count;
	turn.last_slots = destroy->count;
	return is_quick(state, destroy);
}

static int setup_counted(void **state)
{
	quick = true;
	seat.ops.is_quick = is_quick_and_counted;
	return setup(state);
}

static void ask(uint32_t client, struct wire_request head, const void *args,
		struct broker_reply *ret)
{
	assert_int_equal(engine_seat_ask(&seat, client, head, args, ret),
			 BROKER_REPLY);
	assert_int_equal(ret->head.status, 0);
}

/* At most LIST_ENTRIES_MAX allocations of one page each. */
static void make_list(uint32_t client, uint64_t device, uint32_t n,
		      bool destroys)
{
	struct wire_allocation sizes[LIST_ENTRIES_MAX] = { 0 };
	struct wire_request head = engine_seat_destroy(device, 0, 1);
	uint64_t handles[LIST_ENTRIES_MAX];
	struct broker_reply reply;

	for (uint32_t i = 0; i < n; i++)
		sizes[i].size_bytes = PAGE_BYTES;
	ask(client,
	    (struct wire_request){ .opcode = WIRE_OP_CREATE,
				   .device = device,
				   .count = n,
				   .args_bytes = n * sizeof(*sizes) },
	    sizes, &reply);
	memcpy(handles, reply.data, n * sizeof(*handles));
	head.count = n;
	head.args_bytes = n * sizeof(*handles);
	if (destroys)
		ask(client, head, handles, &reply);
}

static void make(uint32_t client, uint64_t device, uint32_t n, bool destroys)
{
	for (; n > LIST_ENTRIES_MAX; n -= LIST_ENTRIES_MAX)
		make_list(client, device, LIST_ENTRIES_MAX, destroys);
	make_list(client, device, n, destroys);
}

static const struct state *totals(void)
{
	return region_state(&seat.engine.broker.env.region);
}

/* One turn, and that it was within its budgets. */
static struct engine_rest one_turn(void)
{
	uint64_t bytes = totals()->store_bytes;
	struct engine_rest rest;

	turn.calls = turn.slots = turn.last_slots = 0;
	rest = engine_seat_pump(&seat);
	assert_false(rest.jobs);
	assert_int_equal(bytes - totals()->store_bytes,
			 turn.slots * PAGE_BYTES);
	assert_in_range(turn.calls, 0, TURN_RELEASES_MAX);
	bytes = (turn.slots - turn.last_slots) * PAGE_BYTES;
	assert_true(bytes < TURN_RELEASE_BYTES_MAX);
	assert_true((turn.slots - turn.last_slots) * TURN_VISITS_DONE <
		    TURN_VISITS_MAX);
	if (turn.calls == TURN_RELEASES_MAX ||
	    turn.slots * PAGE_BYTES >= TURN_RELEASE_BYTES_MAX)
		assert_true(rest.more);
	return rest;
}

static void test_turns_are_bounded_g6(void **state)
{
	enum { CLIENTS = 20, FULL = TURN_RELEASE_BYTES_MAX / PAGE_BYTES };
	uint32_t clients[CLIENTS], turns;
	uint64_t devices[CLIENTS];

	(void)state;
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = engine_seat_join(&seat, &devices[i]);
	/* As many calls as a turn makes, as many bytes, and more of both. */
	for (uint32_t each = 1; each <= 2 * FULL; each += FULL / 2) {
		for (int i = 0; i < CLIENTS; i++)
			make(clients[i], devices[i], each, true);
		for (turns = 1; one_turn().more; turns++)
			;
		assert_int_equal(totals()->store_bytes, 0);
		assert_true(turns >= CLIENTS / TURN_RELEASES_MAX);
		assert_true(turns >= CLIENTS * each / (FULL + each));
	}
	for (int i = 0; i < CLIENTS; i++)
		engine_seat_leave(&seat, clients[i]);
	engine_seat_bury(&seat, CLIENTS);
}

/* With the largest budget, too, while a client ends. */
static void test_deaths_are_bounded_g6(void **state)
{
	uint64_t device;
	uint32_t client = engine_seat_join(&seat, &device), turns = 1;
	struct engine_mail mail;

	(void)state;
	make(client, device, 6000, false);
	engine_seat_leave(&seat, client);
	for (; one_turn().more; turns++)
		;
	assert_true(turns > 6000 * TURN_VISITS_EACH / TURN_VISITS_MAX);
	assert_true(engine_next_mail(&seat.engine, &mail));
	assert_int_equal(mail.kind, ENGINE_OBITUARY);
}

/* Whatever a round of requests retires is gone before the next one; and what
 * the dead have left goes meanwhile. */
static void test_no_backlog_of_requests_g7(void **state)
{
	enum { CLIENTS = 3 };
	uint32_t clients[CLIENTS], dying;
	uint64_t devices[CLIENTS], left, device;
	struct engine_mail mail;

	(void)state;
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = engine_seat_join(&seat, &devices[i]);
	for (uint32_t n = 1; n < 2000; n = 3 * n + 1) {
		for (int i = 0; i < CLIENTS; i++)
			make(clients[i], devices[i], n, true);
		assert_false(engine_pump(&seat.engine, 1).behind);
		assert_int_equal(totals()->store_bytes, 0);
		assert_int_equal(totals()->n_items, 0);
	}
	/* That takes several turns, and the first one says so. */
	make(clients[0], devices[0], 2000, true);
	assert_true(engine_seat_pump(&seat).behind);
	engine_pump(&seat.engine, 1);
	dying = engine_seat_join(&seat, &device);
	make(dying, device, 6000, false);
	engine_seat_leave(&seat, dying);
	left = totals()->store_bytes;
	for (uint32_t round = 0; totals()->n_ending > 0; round++) {
		assert_true(round < 100);
		make(clients[0], devices[0], 500, true);
		engine_pump(&seat.engine, 1);
		assert_true(totals()->store_bytes <= left);
		left = totals()->store_bytes;
	}
	assert_true(engine_next_mail(&seat.engine, &mail));
	for (int i = 0; i < CLIENTS; i++)
		engine_seat_leave(&seat, clients[i]);
	engine_seat_bury(&seat, CLIENTS);
}

static bool settles(void)
{
	struct engine_rest rest;
	bool done;

	engine_lock(&seat.engine);
	done = engine_try_settle_locked(&seat.engine, 1, &rest);
	engine_unlock(&seat.engine);
	return done;
}

static void test_few_are_settled_g9(void **state)
{
	uint64_t device;
	uint32_t client = engine_seat_join(&seat, &device);
	struct engine_mail mail;

	(void)state;
	make(client, device, TURN_FEW_ITEMS, true);
	assert_true(settles());
	assert_int_equal(totals()->store_bytes, 0);
	make(client, device, TURN_FEW_ITEMS + 1, true);
	assert_false(settles());
	assert_int_equal(totals()->n_items, TURN_FEW_ITEMS + 1);
	engine_pump(&seat.engine, 1);
	/* Nobody has counted what the dead have. */
	engine_seat_leave(&seat, client);
	assert_false(settles());
	engine_pump(&seat.engine, 1);
	assert_true(engine_next_mail(&seat.engine, &mail));
	assert_true(settles());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define COUNTED(name) \
	cmocka_unit_test_setup_teardown(name, setup_counted, teardown_quick)
	const struct CMUnitTest tests[] = {
		TEST(test_socket_replies_g2),
		TEST(test_both_ways_g1),
		TEST(test_nothing_after_the_end_g3),
		TEST(test_no_sink_after_the_end_g3),
		TEST(test_many_obituaries_g2),
		TEST(test_watching_g4),
		cmocka_unit_test_setup_teardown(test_quick_releases_g5,
						setup_quick, teardown_quick),
		COUNTED(test_turns_are_bounded_g6),
		COUNTED(test_deaths_are_bounded_g6),
		COUNTED(test_no_backlog_of_requests_g7),
		TEST(test_stored_before_the_end_g10),
		TEST(test_leaked_pin_g8),
		COUNTED(test_few_are_settled_g9),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
