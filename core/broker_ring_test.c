/* SPDX-License-Identifier: Apache-2.0 */
#include "core/broker_ring.h"

#include "core/ring/ring.h"
#include "tests/support/seat.h"

static int ask_op(struct seat *s, uint8_t opcode, uint16_t acked)
{
	const struct wire_request r = { .opcode = opcode, .fds_acked = acked };

	return seat_ask(s, r, NULL, 0);
}

static int ask_ring(struct seat *s)
{
	return ask_op(s, WIRE_OP_RING, 0);
}

static int ask_doorbell(struct seat *s)
{
	return ask_op(s, WIRE_OP_DOORBELL, 0);
}

static uint64_t paid(const struct seat *s)
{
	return seat_session(s)->account.used[CHARGE_BYTES];
}

static uint64_t principal_paid(const struct seat *s)
{
	return principal_at(world_region(s->world), seat_session(s)->principal)
		->account.used[CHARGE_BYTES];
}

static void expect_kill(struct seat *s, struct wire_request head,
			enum tenure_reason reason)
{
	assert_int_equal(seat_send(s, head, NULL, 0), BROKER_KILL);
	assert_int_equal(s->reply.head.reason, reason);
	assert_int_equal(s->reply.head.status, -EPROTO);
	inproc_check(s->world);
}

static void g1_a_ring_is_paid_for(void **state)
{
	struct seat *s = *state, other;
	uint64_t handle, whole = sizeof(struct ring);
	struct obituary obituary;

	assert_int_equal(ask_ring(s), 0);
	assert_int_equal(s->reply.head.fds, 1);
	assert_int_equal(s->reply.head.value[0], whole);
	assert_int_equal(paid(s), whole);
	assert_int_equal(principal_paid(s), whole);
	inproc_check(s->world);
	seat_take(&other, s->world);
	assert_int_equal(ask_ring(&other), 0);
	assert_int_equal(principal_paid(s), 2 * whole);
	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &handle), 0);
	inproc_kill(s->world, s->client);
	inproc_pump_all(s->world);
	assert_int_equal(principal_paid(&other), whole);
	assert_true(inproc_take_obituary(s->world, s->client, &obituary));
	assert_int_equal(obituary.bytes, whole + PAGE_BYTES);
	assert_int_equal(obituary.freed_bytes, whole + PAGE_BYTES);
	inproc_check(s->world);
}

static void g1_within_both_limits(void **state)
{
	struct seat *s = *state;
	struct limits *limits = &world_env(s->world)->config.limits;

	limits->client[CHARGE_BYTES] = sizeof(struct ring) - 1;
	assert_unchanged(s, ask_ring(s), -EDQUOT, TENURE_REASON_CLIENT_BYTES);
	assert_int_equal(s->reply.head.fds, 0);
	limits->client[CHARGE_BYTES] = sizeof(struct ring);
	limits->principal[CHARGE_BYTES] = sizeof(struct ring) - 1;
	assert_unchanged(s, ask_ring(s), -EDQUOT,
			 TENURE_REASON_PRINCIPAL_BYTES);
	limits->principal[CHARGE_BYTES] = sizeof(struct ring);
	assert_int_equal(ask_ring(s), 0);
}

static void g2_one_ring_and_one_doorbell(void **state)
{
	static const uint8_t orders[][3] = {
		{ WIRE_OP_DOORBELL, 0, 0 },
		{ WIRE_OP_RING, WIRE_OP_RING, 0 },
		{ WIRE_OP_RING, WIRE_OP_DOORBELL, WIRE_OP_DOORBELL },
		{ WIRE_OP_RING, WIRE_OP_DOORBELL, WIRE_OP_RING },
	};
	struct seat *stage = *state, s;

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		size_t n = 0;

		seat_take(&s, stage->world);
		while (n < 2 && orders[i][n + 1] != 0) {
			assert_int_equal(ask_op(&s, orders[i][n], 0), 0);
			n++;
		}
		expect_kill(&s, (struct wire_request){ .opcode = orders[i][n] },
			    TENURE_REASON_RING_TWICE);
	}
}

static void both_count_as_descriptors(void **state)
{
	struct seat *s = *state;

	assert_int_equal(ask_ring(s), 0);
	assert_int_equal(ask_doorbell(s), 0);
	assert_int_equal(s->reply.head.fds, 1);
	assert_int_equal(seat_session(s)->fds_unacknowledged, 2);
	assert_int_equal(ask_op(s, WIRE_OP_PING, 2), 0);
	assert_int_equal(seat_session(s)->fds_unacknowledged, 0);
}

static void not_while_too_many_descriptors_are_out(void **state)
{
	struct seat *s = *state;

	seat_session(s)->fds_unacknowledged = FDS_UNACKNOWLEDGED_MAX;
	assert_unchanged(s, ask_ring(s), -EDQUOT,
			 TENURE_REASON_FDS_UNACKNOWLEDGED);
	assert_int_equal(ask_op(s, WIRE_OP_RING, 1), 0);
	assert_unchanged(s, ask_doorbell(s), -EDQUOT,
			 TENURE_REASON_FDS_UNACKNOWLEDGED);
	assert_int_equal(ask_op(s, WIRE_OP_DOORBELL, FDS_UNACKNOWLEDGED_MAX),
			 0);
	assert_int_equal(seat_session(s)->fds_unacknowledged, 1);
}

/* What the daemon does when there is no memory, or no descriptor. */
static void make_fail(struct seat *s, uint8_t opcode, int status)
{
	const struct wire_request r = { .opcode = opcode, .id = 7 };
	struct broker_reply reply;

	assert_int_equal(broker_receive(inproc_broker(s->world), s->client,
					BROKER_PORT_SOCKET, &r, sizeof(r), 1,
					&reply),
			 BROKER_REPLY);
	assert_int_equal(reply.head.status, 0);
	assert_int_equal(broker_descriptor_failed(inproc_broker(s->world),
						  &reply, status),
			 BROKER_REPLY);
	assert_int_equal(reply.head.status, status);
	assert_int_equal(reply.head.reason, TENURE_REASON_BACKEND);
	assert_int_equal(reply.head.id, 7);
	assert_int_equal(reply.head.fds, 0);
	assert_int_equal(reply.head.value[0], 0);
	s->reply.head = reply.head;
}

static int fail_ring(struct seat *s)
{
	make_fail(s, WIRE_OP_RING, -ENOMEM);
	return s->reply.head.status;
}

static int fail_doorbell(struct seat *s)
{
	make_fail(s, WIRE_OP_DOORBELL, -EMFILE);
	return s->reply.head.status;
}

static void g3_what_could_not_be_made(void **state)
{
	struct seat *s = *state;

	assert_unchanged(s, fail_ring(s), -ENOMEM, TENURE_REASON_BACKEND);
	assert_int_equal(ask_ring(s), 0);
	assert_unchanged(s, fail_doorbell(s), -EMFILE, TENURE_REASON_BACKEND);
	assert_int_equal(ask_doorbell(s), 0);
	assert_int_equal(seat_session(s)->fds_unacknowledged, 2);
	inproc_check(s->world);
}

/* By the ring itself, what needs a descriptor breaks the protocol. */
static void not_by_the_ring(void **state)
{
	static const struct wire_request bad[] = {
		{ .opcode = WIRE_OP_HELLO, .object = WIRE_MAGIC },
		{ .opcode = WIRE_OP_RING },
		{ .opcode = WIRE_OP_DOORBELL },
		{ .opcode = WIRE_OP_MAP, .flags = WIRE_MAP_WANT_FD },
		{ .opcode = WIRE_OP_MAP,
		  .flags = WIRE_MAP_WANT_FD | WIRE_MAP_WRITE },
		{ .opcode = WIRE_OP_STAT },
		{ .opcode = WIRE_OP_STAT,
		  .data_capacity = sizeof(struct wire_stat) - 1 },
		{ .opcode = WIRE_OP_PING, .form = 4 },
	};
	struct seat *stage = *state, s;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		inproc_by_ring(stage->world, false);
		seat_take(&s, stage->world);
		inproc_by_ring(stage->world, true);
		expect_kill(&s, bad[i], TENURE_REASON_MALFORMED);
	}
}

static void by_the_ring(void **state)
{
	const struct wire_request stat = {
		.opcode = WIRE_OP_STAT,
		.args_offset = 3 * RING_BLOCK_BYTES,
		.data_capacity = sizeof(struct wire_stat),
	};
	struct seat *s = *state;

	assert_int_equal(
		seat_ask(s, (struct wire_request){ .opcode = WIRE_OP_PING },
			 NULL, 0),
		0);
	assert_int_equal(s->reply.port, BROKER_PORT_SOCKET);
	inproc_by_ring(s->world, true);
	assert_int_equal(seat_ask(s, stat, NULL, 0), 0);
	assert_int_equal(s->reply.port, BROKER_PORT_RING);
	assert_int_equal(s->reply.head.data_bytes, sizeof(struct wire_stat));
	assert_false(s->reply.quiet);
}

static void quiet_success_and_loud_refusal(void **state)
{
	struct wire_request r = { .opcode = WIRE_OP_UNMAP,
				  .form = WIRE_FORM_QUIET };
	struct seat *s = *state;
	uint64_t handle;

	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &handle), 0);
	assert_int_equal(seat_map(s, handle, 0), 0);
	inproc_by_ring(s->world, true);
	r.device = s->device;
	r.object = handle;
	assert_int_equal(seat_ask(s, r, NULL, 0), 0);
	assert_true(s->reply.quiet);
	assert_unchanged(s, seat_ask(s, r, NULL, 0), -EINVAL,
			 TENURE_REASON_NOT_MAPPED);
	assert_false(s->reply.quiet);
}

/* An answer that comes late goes the way of its request, quiet or not. */
static void late_answers_know_their_way(void **state)
{
	struct wire_request r = { .opcode = WIRE_OP_DESTROY,
				  .form = WIRE_FORM_LIST,
				  .flags = TENURE_DESTROY_SYNCHRONOUS,
				  .count = 1 };
	struct seat *s = *state;
	uint64_t handles[3];

	assert_int_equal(seat_create(s, 0, 0, 3, NULL, handles), 0);
	r.device = s->device;
	for (int i = 0; i < 3; i++) {
		inproc_by_ring(s->world, i > 0);
		if (i == 2)
			r.form |= WIRE_FORM_QUIET;
		assert_int_equal(seat_send(s, r, &handles[i], 8), BROKER_LATER);
		assert_true(seat_heard(s, s->id));
		assert_int_equal(s->reply.head.status, 0);
		assert_int_equal(s->reply.port,
				 i > 0 ? BROKER_PORT_RING : BROKER_PORT_SOCKET);
		assert_int_equal(s->reply.quiet, i == 2);
	}
	r = (struct wire_request){ .opcode = WIRE_OP_DEVICE_DESTROY,
				   .form = WIRE_FORM_QUIET,
				   .device = s->device };
	assert_int_equal(seat_ask(s, r, NULL, 0), 0);
	assert_true(s->reply.quiet);
	assert_int_equal(s->reply.port, BROKER_PORT_RING);
	r = (struct wire_request){ .opcode = WIRE_OP_ADAPTER_CLOSE,
				   .object = s->adapter };
	assert_int_equal(seat_ask(s, r, NULL, 0), 0);
	assert_int_equal(s->reply.port, BROKER_PORT_RING);
}

/* Descriptors that came by the socket may be acknowledged by the ring. */
static void acknowledged_by_the_ring(void **state)
{
	struct seat *s = *state;

	assert_int_equal(ask_ring(s), 0);
	inproc_by_ring(s->world, true);
	assert_int_equal(ask_op(s, WIRE_OP_PING, 1), 0);
	assert_int_equal(seat_session(s)->fds_unacknowledged, 0);
	expect_kill(s,
		    (struct wire_request){ .opcode = WIRE_OP_PING,
					   .fds_acked = 1 },
		    TENURE_REASON_ACK_EXCESS);
}

#define SEAT_TEST(name) \
	cmocka_unit_test_setup_teardown(name, seat_set_up, seat_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEAT_TEST(g1_a_ring_is_paid_for),
		SEAT_TEST(g1_within_both_limits),
		SEAT_TEST(g2_one_ring_and_one_doorbell),
		SEAT_TEST(both_count_as_descriptors),
		SEAT_TEST(not_while_too_many_descriptors_are_out),
		SEAT_TEST(g3_what_could_not_be_made),
		SEAT_TEST(not_by_the_ring),
		SEAT_TEST(by_the_ring),
		SEAT_TEST(quiet_success_and_loud_refusal),
		SEAT_TEST(late_answers_know_their_way),
		SEAT_TEST(acknowledged_by_the_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
