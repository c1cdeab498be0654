/* SPDX-License-Identifier: Apache-2.0 */
#include "core/session.h"

#include "tests/support/seat.h"

static struct inproc *small_world(uint64_t clients, uint64_t of_principal)
{
	struct inproc_config config;

	inproc_config_default(&config);
	config.memfds = false;
	config.limits.clients = clients;
	config.limits.principal[CHARGE_CLIENTS] = of_principal;
	return inproc_new(&config);
}

static void expect_no_entry(struct inproc *world, const struct peer *peer,
			    int status, enum tenure_reason expected)
{
	struct image *image = image_take(world);
	enum tenure_reason reason = TENURE_REASON_NONE;
	uint32_t client = 4711;

	assert_int_equal(inproc_connect(world, peer, &client, &reason), status);
	assert_int_equal(reason, expected);
	assert_int_equal(client, 4711);
	image_same(world, image);
}

static void g1_limits_of_connections(void **state)
{
	const struct peer other = { .uid = 5, .pid = 1, .cgroup = "" };
	struct inproc *world = small_world(3, 2);
	uint32_t clients[3];

	(void)state;
	assert_int_equal(inproc_connect(world, NULL, &clients[0], NULL), 0);
	assert_int_equal(inproc_connect(world, NULL, &clients[1], NULL), 0);
	expect_no_entry(world, NULL, -EDQUOT, TENURE_REASON_PRINCIPAL_CLIENTS);
	assert_int_equal(inproc_connect(world, &other, &clients[2], NULL), 0);
	expect_no_entry(world, &other, -EDQUOT, TENURE_REASON_DAEMON_CLIENTS);
	inproc_kill(world, clients[0]);
	assert_int_equal(inproc_connect(world, NULL, &clients[0], NULL), 0);
	broker_stop_accepting(inproc_broker(world));
	inproc_kill(world, clients[2]);
	expect_no_entry(world, &other, -ESHUTDOWN,
			TENURE_REASON_DAEMON_STOPPING);
	inproc_free(world);
}

static void g1_a_principal_that_may_not_connect_at_all(void **state)
{
	struct inproc *world = small_world(3, 0);

	(void)state;
	expect_no_entry(world, NULL, -EDQUOT, TENURE_REASON_PRINCIPAL_CLIENTS);
	inproc_free(world);
}

static void g1_without_memory(void **state)
{
	enum tenure_reason reason;
	uint32_t client;

	(void)state;
	for (uint64_t n = 1;; n++) {
		struct inproc *world = inproc_new(NULL);
		const struct state *s = world_state(world);
		int r;

		world_fail_commit(world, n);
		r = inproc_connect(world, NULL, &client, &reason);
		world_fail_commit(world, 0);
		if (r != 0) {
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(reason, TENURE_REASON_DAEMON_MEMORY);
			assert_int_equal(s->n_sessions, 0);
			assert_int_equal(s->clients_total, 0);
			inproc_check(world);
			assert_int_equal(
				inproc_connect(world, NULL, &client, NULL), 0);
		}
		inproc_free(world);
		if (r == 0) {
			assert_true(n > 3);
			return;
		}
	}
}

static void principals_are_uid_and_cgroup(void **state)
{
	static char a[400], b[400];
	const struct peer peers[] = {
		{ .uid = 1, .cgroup = "/x" },  { .uid = 2, .cgroup = "/x" },
		{ .uid = 1, .cgroup = "/xx" }, { .uid = 1, .cgroup = "" },
		{ .uid = 1, .cgroup = a },     { .uid = 1, .cgroup = b },
	};
	struct inproc *world = inproc_new(NULL);
	uint32_t first[ARRAY_SIZE(peers)], again;

	(void)state;
	/* Longer than what is kept for display, and different only there. */
	memset(a, 'c', sizeof(a) - 1);
	memset(b, 'c', sizeof(b) - 1);
	a[390] = 'd';
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		uint32_t p;

		assert_int_equal(
			inproc_connect(world, &peers[i], &first[i], NULL), 0);
		assert_int_equal(inproc_connect(world, &peers[i], &again, NULL),
				 0);
		p = session_at(world_region(world), first[i])->principal;
		assert_int_equal(
			session_at(world_region(world), again)->principal, p);
		assert_int_equal(p, i + 1);
	}
	inproc_check(world);
	inproc_free(world);
}

static void a_known_principal_needs_no_new_record(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct region *region = world_region(world);
	const struct peer stranger = { .uid = 77, .cgroup = "" };
	enum tenure_reason reason;
	uint32_t client, first;

	(void)state;
	assert_int_equal(inproc_connect(world, NULL, &client, NULL), 0);
	first = region_area(region, AREA_PRINCIPALS)->used;
	assert_int_equal(pool_reserve(region, AREA_PRINCIPALS,
				      PRINCIPALS_MAX - first),
			 0);
	for (uint32_t i = first; i < PRINCIPALS_MAX; i++)
		pool_take(region, AREA_PRINCIPALS);
	assert_int_equal(inproc_connect(world, &stranger, &client, &reason),
			 -ENOMEM);
	assert_int_equal(inproc_connect(world, NULL, &client, NULL), 0);
	for (uint32_t i = first; i < PRINCIPALS_MAX; i++)
		pool_give(region, AREA_PRINCIPALS, i);
	inproc_free(world);
}

static void end_with_a_charge(void *argument)
{
	struct seat *seat = argument;

	session_charge(world_env(seat->world), seat->client, CHARGE_BYTES, 1);
	inproc_kill(seat->world, seat->client);
}

static void g2_a_session_ends_with_empty_accounts(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	assert_asserts(end_with_a_charge, &seat);
	inproc_free(world);
}

/* One allocation on a device of its own: a segment for a page. */
static int spread(struct seat *seat, uint64_t *ret_device)
{
	uint64_t handle;
	int r = seat_device_create(seat, seat->adapter, ret_device);

	if (r != 0)
		return r;
	seat->device = *ret_device;
	return seat_create(seat, 0, 0, 1, NULL, &handle);
}

static void segments_are_limited(void **state)
{
	struct inproc_config config;
	struct inproc *world;
	struct seat one, other;
	uint64_t first, second, third;

	(void)state;
	inproc_config_default(&config);
	config.limits.client[CHARGE_SEGMENTS] = 3;
	config.limits.principal[CHARGE_SEGMENTS] = 4;
	world = inproc_new(&config);
	seat_take(&one, world);
	assert_int_equal(seat_session(&one)->account.used[CHARGE_SEGMENTS], 1);
	assert_int_equal(spread(&one, &first), 0);
	assert_int_equal(spread(&one, &second), 0);
	assert_int_equal(seat_session(&one)->account.used[CHARGE_SEGMENTS], 3);
	assert_int_equal(seat_device_create(&one, one.adapter, &third), 0);
	one.device = third;
	assert_unchanged(&one, seat_create(&one, 0, 0, 1, NULL, &second),
			 -EDQUOT, TENURE_REASON_CLIENT_SEGMENTS);
	assert_unchanged(&one, seat_context_create(&one, &second, NULL),
			 -EDQUOT, TENURE_REASON_CLIENT_SEGMENTS);
	assert_unchanged(&one, seat_fence_create(&one, 0, &second, NULL),
			 -EDQUOT, TENURE_REASON_CLIENT_SEGMENTS);
	/* Its principal has one more, which the next client's handles take. */
	seat_take(&other, world);
	assert_int_equal(spread(&other, &second), -EDQUOT);
	assert_int_equal(other.reply.head.reason,
			 TENURE_REASON_PRINCIPAL_SEGMENTS);
	/* A device that goes gives its segment back. */
	assert_int_equal(seat_device_destroy(&one, first), 0);
	assert_int_equal(seat_create(&other, 0, 0, 1, NULL, &second), 0);
	inproc_check(world);
	inproc_free(world);
}

/* An opening in the last slots of its segment, so that a sweep of the segment
 * comes to its end right after the opening has been retired. */
static void open_last(struct seat *seat, const uint64_t token[2])
{
	static uint64_t list[SEGMENT_SLOTS - 2];

	assert_int_equal(seat_create(seat, 0, 0, SEGMENT_SLOTS - 2, NULL, list),
			 0);
	assert_int_equal(seat_open(seat, token, 1, NULL, NULL), 0);
	assert_int_equal(seat_destroy(seat, 0, list, SEGMENT_SLOTS - 2, 0), 0);
}

/* A session with a long stream of openings that others hold, too: they need
 * no release job, so there is always something that can be done at once. */
static void keep_busy(struct seat *seat, const uint64_t token[2])
{
	enum { OPENINGS = 1500 };
	static uint64_t opened[OPENINGS];

	for (int i = 0; i < OPENINGS; i++)
		assert_int_equal(seat_open(seat, token, 1, &opened[i], NULL),
				 0);
	inproc_pump_by_itself(seat->world, false);
	for (int i = 0; i < OPENINGS; i++)
		assert_int_equal(seat_destroy(seat, opened[i], NULL, 0, 0), 0);
}

/*
 * A session may end in the very turn in which it was woken, and a tick may
 * end with that turn, since others spend its budget. The session must not be
 * on the ring then: its record may be another's before the ring comes round.
 */
static void end_beside_a_busy_one(uint32_t budget)
{
	const uint32_t shared = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED;
	struct inproc *world = inproc_new(NULL);
	struct broker *broker = inproc_broker(world);
	struct seat maker, opener, busy;
	uint64_t resource, token[2];

	seat_take(&maker, world);
	seat_take(&busy, world);
	seat_take(&opener, world);
	assert_int_equal(seat_create(&maker, 0, shared, 1, &resource, NULL), 0);
	assert_int_equal(seat_share(&maker, resource, 1, token), 0);
	open_last(&opener, token);
	keep_busy(&busy, token);
	inproc_kill(world, opener.client);
	while (session_next_ended(world_env(world)) == 0)
		broker_tick(broker, 1, budget);
	inproc_check(world);
	session_free(world_env(world), opener.client);
	/* The same record, at once. */
	assert_int_equal(session_new(world_env(world),
				     &(struct peer){ .cgroup = "" }, 0,
				     &(struct outcome){ 0 }),
			 opener.client);
	inproc_check(world);
	broker_disconnect(broker, opener.client, 1, NULL);
	inproc_pump_all(world);
	assert_int_equal(seat_session(&busy)->n_retired, 0);
	inproc_free(world);
}

static void the_ring_forgets_who_has_ended(void **state)
{
	(void)state;
	for (uint32_t budget = 1; budget < 300; budget += 1 + budget / 16)
		end_beside_a_busy_one(budget);
}

static void g3_who_has_asked_is_told_once(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct broker *broker = inproc_broker(world);
	const struct wire_request ask = { .opcode = WIRE_OP_NOTICES };
	struct wire_request stop = { .opcode = WIRE_OP_TEST_EVENT };
	struct seat seats[4];
	uint32_t told = 0, first, second;

	(void)state;
	for (int i = 0; i < 4; i++)
		seat_take(&seats[i], world);
	stop.object = seats[0].adapter;
	for (int i = 1; i < 4; i++)
		assert_int_equal(seat_ask(&seats[i], ask, NULL, 0), 0);
	inproc_kill(world, seats[2].client);
	for (int round = 0; round < 2; round++) {
		stop.flags = WIRE_TEST_ADAPTER_STOP;
		assert_int_equal(seat_ask(&seats[0], stop, NULL, 0), 0);
		inproc_check(world);
		/* What ends before it was told is not told. */
		if (round == 1)
			inproc_kill(world, seats[1].client);
		assert_int_equal(broker_next_notice(broker, &told), round == 0);
		if (round == 0) {
			assert_true(told == seats[1].client ||
				    told == seats[3].client);
			broker_notice_sent(broker, told);
			first = told;
			assert_true(broker_next_notice(broker, &told));
			assert_false(broker_next_notice(broker, &told));
			/* The second was not sent before the process ended. */
			for (int again = 0; again < 2; again++) {
				second = told;
				if (again == 0)
					inproc_move(world);
				else
					inproc_recover(world, true);
				inproc_check(world);
				assert_true(broker_next_notice(broker, &told));
				assert_int_equal(told, second);
				assert_int_not_equal(told, first);
				assert_false(broker_next_notice(broker, &told));
			}
			broker_notice_sent(broker, told);
			inproc_move(world);
			assert_false(broker_next_notice(broker, &told));
		}
		stop.flags = WIRE_TEST_ADAPTER_START;
		assert_int_equal(seat_ask(&seats[0], stop, NULL, 0), 0);
		if (round == 0)
			assert_int_equal(seat_device_create(&seats[1],
							    seats[1].adapter,
							    &seats[1].device),
					 0);
	}
	inproc_free(world);
}

static void secrets_differ(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct seat a, b;

	(void)state;
	seat_take(&a, world);
	seat_take(&b, world);
	assert_int_not_equal(seat_session(&a)->secret,
			     seat_session(&b)->secret);
	assert_int_equal(seat_session(&a)->secret >> HANDLE_INDEX_BITS & 15,
			 KIND_NEVER);
	assert_int_not_equal(a.device, b.device);
	inproc_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_limits_of_connections),
		cmocka_unit_test(g1_a_principal_that_may_not_connect_at_all),
		cmocka_unit_test(g1_without_memory),
		cmocka_unit_test(principals_are_uid_and_cgroup),
		cmocka_unit_test(a_known_principal_needs_no_new_record),
		cmocka_unit_test(g2_a_session_ends_with_empty_accounts),
		cmocka_unit_test(segments_are_limited),
		cmocka_unit_test(the_ring_forgets_who_has_ended),
		cmocka_unit_test(g3_who_has_asked_is_told_once),
		cmocka_unit_test(secrets_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
