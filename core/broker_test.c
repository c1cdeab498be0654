/* SPDX-License-Identifier: Apache-2.0 */
#include "core/broker.h"

#include "tests/support/random.h"
#include "tests/support/seat.h"

enum {
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED
};

static void expect_kill(struct seat *s, struct wire_request head,
			enum tenure_reason reason)
{
	assert_int_equal(seat_send(s, head, NULL, 0), BROKER_KILL);
	assert_int_equal(s->reply.head.reason, reason);
	assert_int_equal(s->reply.head.status, -EPROTO);
	assert_false(inproc_alive(s->world, s->client));
}

static struct wire_request hello(uint64_t magic, uint64_t oldest,
				 uint64_t newest)
{
	return (struct wire_request){ .opcode = WIRE_OP_HELLO,
				      .object = magic,
				      .value = { oldest, newest } };
}

static void hello_comes_first_and_once(void **state)
{
	struct seat *stage = *state, s;
	const struct wire_request ping = { .opcode = WIRE_OP_PING };
	const struct wire_request unknown = { .opcode = 99 };

	seat_connect(&s, stage->world);
	expect_kill(&s, ping, TENURE_REASON_HELLO_EXPECTED);
	seat_connect(&s, stage->world);
	expect_kill(&s, unknown, TENURE_REASON_HELLO_EXPECTED);
	seat_connect(&s, stage->world);
	assert_int_equal(inproc_hello(s.world, s.client), 0);
	expect_kill(&s, hello(WIRE_MAGIC, 1, 1), TENURE_REASON_HELLO_TWICE);
	seat_connect(&s, stage->world);
	expect_kill(&s, hello(WIRE_MAGIC + 1, 1, 1), TENURE_REASON_MAGIC);
	seat_connect(&s, stage->world);
	expect_kill(&s, hello(__builtin_bswap64(WIRE_MAGIC), 1, 1),
		    TENURE_REASON_MAGIC);
}

static void versions(void **state)
{
	static const struct {
		uint64_t oldest, newest;
		bool ok;
	} rows[] = {
		{ 1, 1, true },
		{ 0, 1, true },
		{ 1, 99, true },
		{ 0, UINT64_MAX, true },
		{ 0, 0, false },
		{ 2, 2, false },
		{ 2, 1, false },
		{ UINT64_MAX, 0, false },
		{ UINT64_MAX, UINT64_MAX, false },
	};
	struct seat *stage = *state, s;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int status;

		seat_connect(&s, stage->world);
		status = seat_ask(
			&s, hello(WIRE_MAGIC, rows[i].oldest, rows[i].newest),
			NULL, 0);
		if (rows[i].ok) {
			assert_int_equal(status, 0);
			assert_int_equal(s.reply.head.count, 1);
			assert_int_equal(s.reply.head.value[0], s.client);
			assert_int_equal(s.reply.head.value[1], PAGE_BYTES);
			continue;
		}
		assert_int_equal(status, -EPROTONOSUPPORT);
		assert_int_equal(s.reply.head.reason, TENURE_REASON_VERSION);
		assert_int_equal(s.reply.head.value[0], WIRE_VERSION_MIN);
		assert_int_equal(s.reply.head.value[1], WIRE_VERSION_MAX);
		/* It may try again with another range. */
		assert_int_equal(inproc_hello(s.world, s.client), 0);
	}
}

static void messages_that_are_none(void **state)
{
	static uint8_t bytes[WIRE_REQUEST_BYTES_MAX + 100];
	struct seat *stage = *state, s;

	for (size_t size = 0; size < sizeof(struct wire_request); size++) {
		seat_take(&s, stage->world);
		assert_int_equal(inproc_send_bytes(s.world, s.client, bytes,
						   size, &s.reply),
				 BROKER_KILL);
		assert_int_equal(s.reply.head.reason, TENURE_REASON_MALFORMED);
	}
	for (size_t more = 1; more <= 100; more += 33) {
		seat_take(&s, stage->world);
		assert_int_equal(
			inproc_send_bytes(s.world, s.client, bytes,
					  WIRE_REQUEST_BYTES_MAX + more,
					  &s.reply),
			BROKER_KILL);
		assert_int_equal(s.reply.head.reason,
				 TENURE_REASON_MESSAGE_TOO_LONG);
	}
	inproc_check(stage->world);
}

static void unknown_requests_are_survived(void **state)
{
	struct seat *s = *state;

	for (unsigned int op = 0; op <= UINT8_MAX; op++) {
		struct wire_request r = { .opcode = (uint8_t)op,
					  .value = { 1, 2 } };

		if ((op >= 1 && op <= WIRE_OP_DOORBELL) ||
		    op == WIRE_OP_NOTICES ||
		    (op >= WIRE_OP_CONTEXT_CREATE &&
		     op <= WIRE_OP_FENCE_WATCH) ||
		    (op >= WIRE_OP_POOL_CREATE && op <= WIRE_OP_FENCE_MAP) ||
		    op == WIRE_OP_TEST_EVENT)
			continue;
		assert_unchanged(s, seat_ask(s, r, NULL, 0), -ENOTSUP,
				 TENURE_REASON_UNKNOWN_REQUEST);
		assert_int_equal(s->reply.head.opcode, op);
	}
}

static void test_events_only_where_they_are_wanted(void **state)
{
	struct seat *s = *state;

	world_env(s->world)->config.test_events = false;
	for (uint32_t event = 0; event < 5; event++)
		assert_unchanged(s, seat_event(s, event, s->device, s->adapter),
				 -ENOTSUP, TENURE_REASON_UNKNOWN_REQUEST);
}

static void acks_beyond_what_was_sent(void **state)
{
	struct seat *stage = *state, s;
	struct wire_request r = { .opcode = WIRE_OP_PING, .fds_acked = 1 };

	seat_take(&s, stage->world);
	expect_kill(&s, r, TENURE_REASON_ACK_EXCESS);
	seat_take(&s, stage->world);
	r.fds_acked = UINT16_MAX;
	expect_kill(&s, r, TENURE_REASON_ACK_EXCESS);
	/* Also with a request that is not known. */
	seat_take(&s, stage->world);
	r.opcode = 99;
	expect_kill(&s, r, TENURE_REASON_ACK_EXCESS);
}

/* Rubbish behind a good head, with every opcode: a refusal, never an assert. */
static void g1_random_messages(void **state)
{
	struct seat *stage = *state, s;
	struct random random = { 71 };
	uint64_t known[8], n_killed = 0;

	seat_take(&s, stage->world);
	for (int i = 0; i < 20000; i++) {
		struct wire_request r = { 0 };
		uint8_t args[512];
		size_t n = random_chance(&random, 50) ?
				   0 :
				   random_below(&random, sizeof(args) + 1);
		enum broker_verdict verdict;

		if (i % 500 == 0 || !inproc_alive(s.world, s.client)) {
			if (inproc_alive(s.world, s.client))
				inproc_kill(s.world, s.client);
			seat_take(&s, stage->world);
			known[0] = s.device;
			known[1] = s.adapter;
			assert_int_equal(seat_create(&s, 0, RESOURCE, 3,
						     &known[2], &known[3]),
					 0);
			assert_int_equal(seat_create(&s, 0, SHARED, 1,
						     &known[6], &known[7]),
					 0);
		}
		r.opcode = (uint8_t)random_below(&random, 20);
		if (r.opcode == WIRE_OP_HELLO && random_chance(&random, 95))
			r.opcode = WIRE_OP_DESTROY;
		r.flags = random_below(&random, 5);
		r.form = (uint8_t)random_below(&random, 2);
		r.device = random_chance(&random, 80) ?
				   s.device :
				   known[random_below(&random, 8)];
		r.object = random_chance(&random, 70) ?
				   known[random_below(&random, 8)] :
				   0;
		r.count = random_below(&random, 4);
		r.value[0] = random_below(&random, 3);
		for (size_t k = 0; k + 8 <= n; k += 8)
			memcpy(args + k, &known[random_below(&random, 8)], 8);
		verdict = seat_send(&s, r, args, n);
		assert_true(verdict == BROKER_REPLY || verdict == BROKER_KILL ||
			    seat_heard(&s, s.id));
		if (verdict == BROKER_REPLY) {
			assert_int_equal(s.reply.head.id, s.id);
			assert_int_equal(s.reply.head.opcode, r.opcode);
			assert_int_equal(s.reply.head.status == 0,
					 s.reply.head.reason == 0);
		}
		n_killed += verdict == BROKER_KILL;
		if (i % 200 == 0)
			inproc_check(stage->world);
	}
	assert_true(n_killed > 100);
}

/* A backend that writes over the message while it is being carried out. */
struct scribbler {
	struct backend backend;
	uint8_t *message;
	size_t size;
};

static int scribble_and_create(void *state, struct backend_create *create)
{
	struct scribbler *s = state;

	memset(s->message, 0xff, s->size);
	return s->backend.ops->create_allocation(s->backend.state, create);
}

static int pass_open(void *state, const struct backend_opening *o)
{
	struct scribbler *s = state;

	return s->backend.ops->open_allocation(s->backend.state, o);
}

static void pass_close(void *state, const struct backend_opening *o)
{
	struct scribbler *s = state;

	s->backend.ops->close_allocation(s->backend.state, o);
}

static void g2_only_the_copy_is_read(void **state)
{
	static const struct backend_ops ops = {
		.create_allocation = scribble_and_create,
		.open_allocation = pass_open,
		.close_allocation = pass_close,
	};
	struct seat *s = *state;
	struct backend *backend = &world_env(s->world)->adapters[0].backend;
	struct {
		struct wire_request head;
		struct wire_allocation sizes[2];
		uint8_t private_data[64];
	} message = {
		.head = { .opcode = WIRE_OP_CREATE,
			  .id = 4711,
			  .device = s->device,
			  .flags = SHARED,
			  .count = 2,
			  .args_bytes = 96,
			  .value = { 64, 0 } },
		.sizes = { { .size_bytes = PAGE_BYTES },
			   { .size_bytes = 3 * PAGE_BYTES } },
	};
	struct scribbler scribbler = { *backend, (uint8_t *)&message,
				       sizeof(message) };
	struct session *session = seat_session(s);
	const struct slot *slot;
	uint8_t expected[64];

	memset(message.private_data, 0x42, 64);
	memset(expected, 0x42, 64);
	*backend = (struct backend){ &ops, &scribbler };
	assert_int_equal(inproc_send_bytes(s->world, s->client, &message,
					   sizeof(message), &s->reply),
			 BROKER_REPLY);
	*backend = scribbler.backend;
	assert_int_equal(message.head.opcode, 0xff);
	assert_int_equal(s->reply.head.status, 0);
	assert_int_equal(s->reply.head.id, 4711);
	assert_int_equal(s->reply.head.count, 2);
	assert_int_equal(session->account.used[CHARGE_BYTES], 4 * PAGE_BYTES);
	slot = seat_slot(s, s->reply.head.value[0]);
	assert_memory_equal(block_at(world_region(s->world),
				     object_at(world_region(s->world),
					       slot->resource.object)
					     ->private_block),
			    expected, 64);
	inproc_check(s->world);
}

static void deinit_with_a_client(void *argument)
{
	struct seat *s = argument;

	broker_deinit(inproc_broker(s->world));
}

static void g3_deinit_is_the_leak_test(void **state)
{
	assert_asserts(deinit_with_a_client, *state);
}

/* Synchronous destroys of many clients, with releases in any order. */
static void g1_late_replies_once_each(void **state)
{
	enum { CLIENTS = 6 };
	struct seat *stage = *state, seats[CLIENTS];
	struct random random = { 72 };
	uint64_t waiting[CLIENTS] = { 0 };

	for (int i = 0; i < CLIENTS; i++)
		seat_take(&seats[i], stage->world);
	inproc_pump_by_itself(stage->world, false);
	inproc_releases(stage->world, INPROC_RELEASES_RANDOM);
	for (int round = 0; round < 2000; round++) {
		uint32_t i = random_below(&random, CLIENTS);
		uint64_t list[3];

		if (waiting[i] != 0) {
			if (seat_heard(&seats[i], waiting[i])) {
				assert_false(seat_heard(&seats[i], waiting[i]));
				waiting[i] = 0;
			}
		} else {
			assert_int_equal(
				seat_create(&seats[i], 0, 0, 3, NULL, list), 0);
			assert_int_equal(
				seat_send_destroy(&seats[i], 0, list, 3,
						  TENURE_DESTROY_SYNCHRONOUS),
				BROKER_LATER);
			waiting[i] = seats[i].id;
		}
		inproc_pump(stage->world);
		if (round % 100 == 0)
			inproc_check(stage->world);
	}
	inproc_pump_by_itself(stage->world, true);
	inproc_releases(stage->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(stage->world);
	for (int i = 0; i < CLIENTS; i++)
		if (waiting[i] != 0)
			assert_true(seat_heard(&seats[i], waiting[i]));
}

static void obituaries_in_turn_and_numbers_again(void **state)
{
	struct seat *stage = *state, s[3];
	struct broker *broker = inproc_broker(stage->world);
	struct obituary obituary;
	uint32_t client;

	inproc_pump_by_itself(stage->world, false);
	for (int i = 0; i < 3; i++)
		seat_connect(&s[i], stage->world);
	for (int i = 0; i < 3; i++)
		inproc_kill(stage->world, s[2 - i].client);
	while (broker_tick(broker, 1, 64))
		;
	/* Nobody gets a number that still has an obituary to come. */
	assert_int_equal(inproc_connect(stage->world, NULL, &client, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(client, s[i].client);
	inproc_pump(stage->world);
	for (int i = 0; i < 3; i++)
		assert_true(inproc_take_obituary(stage->world, s[i].client,
						 &obituary));
	assert_false(broker_next_obituary(broker, &obituary));
	inproc_pump_by_itself(stage->world, true);
	inproc_check(stage->world);
}

static void stat_tells_what_a_client_holds(void **state)
{
	struct seat *s = *state;
	const struct wire_request r = { .opcode = WIRE_OP_STAT };
	uint64_t shared, token[2], handles[4];
	struct wire_stat stat;

	assert_int_equal(seat_create(s, 0, 0, 4, NULL, handles), 0);
	assert_int_equal(seat_create(s, 0, SHARED, 2, &shared, NULL), 0);
	assert_int_equal(seat_share(s, shared, 1, token), 0);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_destroy(s, 0, handles, 1, 0), 0);
	assert_int_equal(seat_ask(s, r, NULL, 0), 0);
	assert_int_equal(s->reply.head.data_bytes, sizeof(stat));
	memcpy(&stat, s->reply.data, sizeof(stat));
	assert_int_equal(stat.bytes, 6 * PAGE_BYTES);
	assert_int_equal(
		stat.bytes_limit,
		world_env(s->world)->config.limits.client[CHARGE_BYTES]);
	assert_int_equal(stat.handles, 1 + 1 + 4 + 3);
	assert_int_equal(stat.tokens, 1);
	assert_int_equal(stat.stores, 2);
	assert_int_equal(stat.devices, 1);
	assert_int_equal(stat.resources, 1);
	assert_int_equal(stat.allocations, 5);
	assert_int_equal(stat.retired, 1);
}

static void status_is_for_the_privileged(void **state)
{
	struct seat *s = *state, root;
	const struct wire_request r = { .opcode = WIRE_OP_STATUS };
	const struct peer peer = { .cgroup = "", .privileged = true };
	struct wire_status status;
	uint64_t handles[3];

	assert_unchanged(s, seat_ask(s, r, NULL, 0), -EACCES,
			 TENURE_REASON_NOT_PERMITTED);
	root = (struct seat){ .world = s->world };
	assert_int_equal(inproc_connect(s->world, &peer, &root.client, NULL),
			 0);
	assert_int_equal(inproc_hello(s->world, root.client), 0);
	assert_int_equal(seat_create(s, 0, SHARED, 3, NULL, NULL), 0);
	assert_int_equal(seat_create(s, 0, 0, 3, NULL, handles), 0);
	assert_int_equal(seat_destroy(s, 0, handles, 3, 0), 0);
	assert_int_equal(seat_ask(&root, r, NULL, 0), 0);
	assert_int_equal(root.reply.head.data_bytes, sizeof(status));
	memcpy(&status, root.reply.data, sizeof(status));
	assert_int_equal(status.clients, 2);
	assert_int_equal(status.clients_ending, 0);
	assert_int_equal(status.devices, 1);
	assert_int_equal(status.resources, 1);
	assert_int_equal(status.allocations, 3);
	assert_int_equal(status.objects, 1);
	assert_int_equal(status.stores, 1);
	assert_int_equal(status.bytes, 3 * PAGE_BYTES);
	assert_int_equal(status.handles, 1 + 1 + 4);
	assert_int_equal(status.created_total, 7);
	assert_int_equal(status.destroyed_total, 3);
	assert_int_equal(status.released_bytes_total, 3 * PAGE_BYTES);
	assert_int_equal(status.refused_total, 1);
	assert_int_equal(status.releases_pending, 0);
}

static void init_without_memory(void **state)
{
	struct inproc_config config;
	int status;

	(void)state;
	inproc_config_default(&config);
	config.fail_init_reserve = 1;
	assert_null(inproc_try_new(&config, &status));
	assert_int_equal(status, -ENOMEM);
	config.fail_init_reserve = 0;
	for (uint64_t n = 1;; n++) {
		struct inproc *world;

		config.fail_init_commit = n;
		world = inproc_try_new(&config, &status);
		if (world != NULL) {
			assert_true(n > 3);
			inproc_free(world);
			return;
		}
		assert_int_equal(status, -ENOMEM);
	}
}

static void init_with_a_configuration_that_cannot_be(void **state)
{
	static struct broker broker;
	struct test_pages memory = { 0 };
	struct pages pages = test_pages_interface(&memory);
	struct entropy entropy = { NULL, NULL };
	struct broker_adapter adapters[ADAPTERS_MAX + 1] = {
		{ .name = "0123456789abcdef" }
	};
	struct broker_config config = { .first_generation = 1 };

	(void)state;
	assert_int_equal(broker_init(&broker, &pages, &entropy, &config,
				     adapters, 1),
			 -EINVAL);
	adapters[0].name = "";
	assert_int_equal(broker_init(&broker, &pages, &entropy, &config,
				     adapters, 1),
			 -EINVAL);
	adapters[0].name = "system";
	assert_int_equal(broker_init(&broker, &pages, &entropy, &config,
				     adapters, 0),
			 -EINVAL);
	assert_int_equal(broker_init(&broker, &pages, &entropy, &config,
				     adapters, ADAPTERS_MAX + 1),
			 -EINVAL);
	config.first_generation = 0;
	assert_int_equal(broker_init(&broker, &pages, &entropy, &config,
				     adapters, 1),
			 -EINVAL);
	config.first_generation = UINT32_MAX - 1;
	assert_int_equal(broker_init(&broker, &pages, &entropy, &config,
				     adapters, 1),
			 -EINVAL);
	assert_null(memory.start);
}

/* Near the end of the generations everything still works. */
static void slots_that_are_used_up(void **state)
{
	struct inproc_config config;
	uint64_t handles[64];
	struct seat s;

	(void)state;
	inproc_config_default(&config);
	config.memfds = false;
	config.first_generation = UINT32_MAX - 2;
	seat_take(&s, inproc_new(&config));
	for (int round = 0; round < 100; round++) {
		uint64_t device = s.device;

		assert_int_equal(seat_create(&s, 0, 0, 64, NULL, handles), 0);
		assert_int_equal(seat_destroy(&s, 0, handles, 64, 0), 0);
		assert_int_equal(seat_device_create(&s, s.adapter, &s.device),
				 0);
		assert_int_equal(seat_device_destroy(&s, device), 0);
		inproc_check(s.world);
	}
	inproc_free(s.world);
}

/* A client's devices have a segment each, and so has the client. */
static void memory_of_the_table_goes_in_a_quiet_turn(void **state)
{
	struct inproc_config config;
	const struct test_pages *pages;
	uint64_t handle;
	struct seat s[2];

	(void)state;
	inproc_config_default(&config);
	config.memfds = false;
	s[0].world = inproc_new(&config);
	pages = inproc_pages(s[0].world);
	for (int i = 0; i < 2; i++) {
		seat_take(&s[i], s[0].world);
		for (int n = 1; n < DEVICES_PER_CLIENT_MAX; n++) {
			assert_int_equal(seat_device_create(&s[i], s[i].adapter,
							    &s[i].device),
					 0);
			assert_int_equal(
				seat_create(&s[i], 0, 0, 1, NULL, &handle), 0);
		}
	}
	assert_int_equal(pages->cleared_bytes, 0);
	for (int i = 0; i < 2; i++)
		inproc_kill(s[i].world, s[i].client);
	inproc_pump_all(s[0].world);
	assert_true(pages->cleared_bytes >=
		    (2 * DEVICES_PER_CLIENT_MAX - DEPOT_KEEP) * SEGMENT_SLOTS *
			    sizeof(struct slot));
	assert_int_equal(
		table_depot_count(&inproc_broker(s[0].world)->env.region),
		DEPOT_KEEP);
	inproc_check(s[0].world);
	inproc_free(s[0].world);
}

#define seated(test) \
	cmocka_unit_test_setup_teardown(test, seat_set_up, seat_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		seated(hello_comes_first_and_once),
		seated(versions),
		seated(messages_that_are_none),
		seated(unknown_requests_are_survived),
		seated(test_events_only_where_they_are_wanted),
		seated(acks_beyond_what_was_sent),
		seated(g1_random_messages),
		seated(g1_late_replies_once_each),
		seated(g2_only_the_copy_is_read),
		seated(g3_deinit_is_the_leak_test),
		seated(obituaries_in_turn_and_numbers_again),
		seated(stat_tells_what_a_client_holds),
		seated(status_is_for_the_privileged),
		cmocka_unit_test(init_without_memory),
		cmocka_unit_test(init_with_a_configuration_that_cannot_be),
		cmocka_unit_test(slots_that_are_used_up),
		cmocka_unit_test(memory_of_the_table_goes_in_a_quiet_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
