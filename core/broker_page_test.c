/* SPDX-License-Identifier: Apache-2.0 */
#include "core/broker_page.h"

#include "core/ring/ring.h"
#include "tests/support/seat.h"

enum { R = TENURE_RIGHT_READ, RW = R | TENURE_RIGHT_WRITE, TAG = 99 };

struct stage {
	struct seat maker, other;
	uint64_t fence, opened; /* by other, for reading and writing */
};

static int ask(struct seat *s, struct wire_request head)
{
	return seat_ask(s, head, NULL, 0);
}

static int ask_op(struct seat *s, uint8_t opcode)
{
	return ask(s, (struct wire_request){ .opcode = opcode });
}

static int set_up(void **state)
{
	static struct stage s;
	uint64_t token[2];

	seat_take(&s.maker, inproc_new(NULL));
	seat_take_as(&s.other, s.maker.world, 8);
	assert_int_equal(ask_op(&s.maker, WIRE_OP_RING), 0);
	assert_int_equal(seat_fence_create(&s.maker, 3, &s.fence, NULL), 0);
	assert_int_equal(seat_fence_share(&s.maker, s.fence, RW, token), 0);
	assert_int_equal(seat_fence_open(&s.other, token, 0, &s.opened), 0);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *s = *state;

	inproc_check(s->maker.world);
	inproc_free(s->maker.world);
	return 0;
}

static int publish(struct seat *s, uint64_t fence, uint64_t entry, uint64_t tag)
{
	return ask(s, (struct wire_request){ .opcode = WIRE_OP_FENCE_PUBLISH,
					     .device = s->device,
					     .object = fence,
					     .value = { entry, tag } });
}

static int map(struct seat *s, uint64_t fence, uint32_t flags)
{
	return ask(s, (struct wire_request){ .opcode = WIRE_OP_FENCE_MAP,
					     .device = s->device,
					     .object = fence,
					     .flags = flags });
}

static struct fence_page *page(struct stage *s)
{
	return inproc_page(s->maker.world, s->maker.client);
}

/* As the library does: the first value, the broker, the tag. */
static void publish_well(struct stage *s, uint32_t entry)
{
	assert_int_equal(ask_op(&s->maker, WIRE_OP_FENCE_PAGE), 0);
	assert_int_equal(s->maker.reply.head.fds, 1);
	assert_int_equal(s->maker.reply.head.value[0],
			 sizeof(struct fence_page));
	fence_page_begin(page(s), entry, 3);
	assert_int_equal(publish(&s->maker, s->fence, entry, TAG), 0);
	fence_page_publish(page(s), entry, TAG);
}

static uint64_t value(struct seat *s, uint64_t fence)
{
	uint64_t v = 77;

	assert_int_equal(seat_fence_value(s, fence, &v), 0);
	return v;
}

static uint64_t read_entry(struct stage *s, uint32_t entry)
{
	uint64_t v = 88;

	assert_true(fence_page_read(page(s), entry, TAG, &v));
	return v;
}

static void g1_one_page_and_paid_for(void **state)
{
	struct stage *s = *state;
	uint64_t before = seat_session(&s->maker)->account.used[CHARGE_BYTES];

	publish_well(s, 1);
	assert_int_equal(seat_session(&s->maker)->account.used[CHARGE_BYTES],
			 before + sizeof(struct fence_page));
	inproc_check(s->maker.world);
	assert_int_equal(
		seat_send(&s->maker,
			  (struct wire_request){ .opcode = WIRE_OP_FENCE_PAGE },
			  NULL, 0),
		BROKER_KILL);
	/* Without a ring there is none. */
	assert_int_equal(
		seat_send(&s->other,
			  (struct wire_request){ .opcode = WIRE_OP_FENCE_PAGE },
			  NULL, 0),
		BROKER_KILL);
}

static void g2_who_publishes(void **state)
{
	struct stage *s = *state;

	assert_unchanged(&s->maker, publish(&s->maker, s->fence, 1, TAG),
			 -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	publish_well(s, 1);
	assert_unchanged(&s->other, publish(&s->other, s->opened, 1, TAG),
			 -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	assert_unchanged(&s->maker, publish(&s->maker, s->fence, 2, TAG),
			 -EINVAL, TENURE_REASON_FENCE_ENTRY);
	assert_int_equal(seat_fence_create(&s->maker, 0, &s->fence, NULL), 0);
	assert_unchanged(&s->maker, publish(&s->maker, s->fence, 0, TAG),
			 -EINVAL, TENURE_REASON_FENCE_ENTRY);
	assert_unchanged(&s->maker,
			 publish(&s->maker, s->fence, FENCE_PAGE_ENTRIES, TAG),
			 -EINVAL, TENURE_REASON_FENCE_ENTRY);
	assert_unchanged(&s->maker, publish(&s->maker, s->fence, 2, 0), -EINVAL,
			 TENURE_REASON_FENCE_ENTRY);
	assert_int_equal(
		publish(&s->maker, s->fence, FENCE_PAGE_ENTRIES - 1, TAG), 0);
}

static void g3_who_maps(void **state)
{
	struct stage *s = *state;
	uint64_t serial;

	assert_unchanged(&s->other, map(&s->other, s->opened, 0), -ENOTSUP,
			 TENURE_REASON_FENCE_UNPUBLISHED);
	publish_well(s, 7);
	assert_int_equal(map(&s->other, s->opened, 0), 0);
	assert_int_equal(s->other.reply.head.fds, 0);
	serial = s->other.reply.head.value[0];
	assert_int_not_equal(serial, 0);
	assert_int_equal(s->other.reply.head.value[1], 7);
	assert_int_equal(s->other.reply.head.value[2], TAG);
	assert_int_equal(s->other.reply.head.value[3],
			 sizeof(struct fence_page));
	assert_int_equal(map(&s->other, s->opened, WIRE_MAP_WANT_FD), 0);
	assert_int_equal(s->other.reply.head.fds, 1);
	assert_int_equal(s->other.reply.head.value[0], serial);
	assert_unchanged(&s->other, map(&s->other, s->opened, 1), -EINVAL,
			 TENURE_REASON_FLAGS_RESERVED);
	assert_unchanged(&s->other, map(&s->other, s->fence, 0), -EINVAL,
			 TENURE_REASON_FENCE_INVALID);
	assert_int_equal(seat_fence_destroy(&s->maker, s->fence), 0);
	assert_unchanged(&s->other, map(&s->other, s->opened, 0), -ENODEV,
			 TENURE_REASON_FENCE_GONE);
}

/* The value is one, whoever raises it and wherever. */
static void one_value(void **state)
{
	struct stage *s = *state;

	assert_int_equal(seat_fence_signal(&s->other, s->opened, 5), 0);
	publish_well(s, 1);
	assert_int_equal(read_entry(s, 1), 5);
	assert_true(fence_page_raise(page(s), 1, 6));
	assert_int_equal(value(&s->other, s->opened), 6);
	assert_int_equal(seat_fence_signal(&s->other, s->opened, 8), 0);
	assert_int_equal(read_entry(s, 1), 8);
	assert_int_equal(seat_fence_signal(&s->other, s->opened, 7), 0);
	assert_int_equal(read_entry(s, 1), 8);
	/* A maker that goes back is not followed. */
	fence_page_begin(page(s), 1, 2);
	assert_int_equal(value(&s->other, s->opened), 8);
}

static void waits_end_by_the_page(void **state)
{
	struct stage *s = *state;
	struct wire_fence_wait one;
	uint64_t id;

	publish_well(s, 1);
	one = (struct wire_fence_wait){ s->opened, 9 };
	assert_int_equal(seat_fence_wait(&s->other, 0, &one, 1), BROKER_LATER);
	id = s->other.id;
	fence_page_raise(page(s), 1, 9);
	inproc_ring_bell(s->maker.world, s->maker.client);
	assert_true(seat_heard(&s->other, id));
	assert_int_equal(s->other.reply.head.status, 0);
}

static void g4_the_end_is_told(void **state)
{
	struct stage *s = *state;
	struct wire_fence_wait one;
	uint64_t id, v;

	publish_well(s, 1);
	one = (struct wire_fence_wait){ s->opened, 9 };
	assert_int_equal(seat_fence_wait(&s->other, 0, &one, 1), BROKER_LATER);
	id = s->other.id;
	/* What was stored before the end, and nobody rang for. */
	fence_page_raise(page(s), 1, 9);
	assert_int_equal(seat_fence_destroy(&s->maker, s->fence), 0);
	assert_false(fence_page_read(page(s), 1, TAG, &v));
	assert_true(seat_heard(&s->other, id));
	assert_int_equal(s->other.reply.head.status, 0);
}

static void g5_what_could_not_be_made(void **state)
{
	struct stage *s = *state;
	struct broker *broker = inproc_broker(s->maker.world);
	struct wire_request head = { .opcode = WIRE_OP_FENCE_PAGE, .id = 1 };
	struct broker_reply reply;

	assert_int_equal(broker_receive(broker, s->maker.client,
					BROKER_PORT_SOCKET, &head, sizeof(head),
					1, &reply),
			 BROKER_REPLY);
	assert_int_equal(reply.head.fds, 1);
	assert_int_equal(broker_descriptor_failed(broker, &reply, -EMFILE),
			 BROKER_REPLY);
	assert_int_equal(reply.head.status, -EMFILE);
	assert_int_equal(reply.head.fds, 0);
	assert_int_equal(seat_session(&s->maker)->page_serial, 0);
	inproc_check(s->maker.world);
	publish_well(s, 1);
}

/* P4: an acknowledgement that overtakes the descriptor is no promise of ours
 * that is broken, but a lie of the client. */
static void g5_acknowledged_before_it_was_made(void **state)
{
	struct stage *s = *state;
	struct broker *broker = inproc_broker(s->maker.world);
	struct wire_request head = { .opcode = WIRE_OP_FENCE_PAGE, .id = 1 };
	/* That of the ring, too. */
	struct wire_request ping = { .opcode = WIRE_OP_PING, .fds_acked = 2 };
	struct broker_reply reply, pong;

	assert_int_equal(broker_receive(broker, s->maker.client,
					BROKER_PORT_SOCKET, &head, sizeof(head),
					1, &reply),
			 BROKER_REPLY);
	assert_int_equal(broker_receive(broker, s->maker.client,
					BROKER_PORT_RING, &ping, sizeof(ping),
					1, &pong),
			 BROKER_REPLY);
	assert_int_equal(broker_descriptor_failed(broker, &reply, -EPERM),
			 BROKER_KILL);
	assert_int_equal(reply.head.status, -EPROTO);
	assert_int_equal(reply.head.reason, TENURE_REASON_ACK_EXCESS);
	assert_int_equal(reply.head.fds, 0);
	assert_int_equal(seat_session(&s->maker)->page_serial, 0);
	inproc_check(s->maker.world);
}

#define STAGE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(g1_one_page_and_paid_for),
		STAGE_TEST(g2_who_publishes),
		STAGE_TEST(g3_who_maps),
		STAGE_TEST(one_value),
		STAGE_TEST(waits_end_by_the_page),
		STAGE_TEST(g4_the_end_is_told),
		STAGE_TEST(g5_what_could_not_be_made),
		STAGE_TEST(g5_acknowledged_before_it_was_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
