/* SPDX-License-Identifier: Apache-2.0 */
#include "core/broker_watch.h"

#include "tests/support/seat.h"

enum { WATCHED = 10 };

struct stage {
	struct seat maker, other;
	uint64_t fence;
};

static int set_up(void **state)
{
	static struct stage s;
	struct inproc *world = inproc_new(NULL);

	seat_take(&s.maker, world);
	seat_take(&s.other, world);
	assert_int_equal(seat_fence_create(&s.maker, 0, &s.fence, NULL), 0);
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

static struct wire_request watch_head(const struct seat *seat, uint16_t acked)
{
	return (struct wire_request){ .opcode = WIRE_OP_FENCE_WATCH,
				      .device = seat->device,
				      .fds_acked = acked,
				      .count = 1 };
}

/* Watches a fence; the status. Its id is seat->id. */
static int watch(struct seat *seat, uint64_t fence, uint64_t value,
		 uint16_t acked)
{
	const struct wire_fence_wait one = { fence, value };

	return seat_ask(seat, watch_head(seat, acked), &one, sizeof(one));
}

static uint32_t watches(const struct seat *seat)
{
	const struct session *s = seat_session(seat);

	assert_true(s->n_watches <=
		    principal_at(world_region(seat->world), s->principal)
			    ->n_watches);
	return s->n_watches;
}

/* What the descriptor says. */
static void expect_said(struct seat *seat, uint64_t id, int status)
{
	assert_true(seat_heard(seat, id));
	assert_int_equal(seat->reply.port, BROKER_PORT_WATCH);
	assert_int_equal(seat->reply.head.status, status);
	assert_false(seat_heard(seat, id));
}

static void g1_over_when_it_comes(void **state)
{
	struct stage *s = *state;
	uint64_t id;

	assert_int_equal(watch(&s->maker, s->fence, WATCHED, 0), 0);
	assert_int_equal(s->maker.reply.head.fds, 1);
	assert_int_equal(s->maker.reply.port, BROKER_PORT_SOCKET);
	id = s->maker.id;
	assert_int_equal(watches(&s->maker), 1);
	inproc_check(s->maker.world);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence, WATCHED - 1),
			 0);
	assert_false(seat_heard(&s->maker, id));
	assert_int_equal(seat_fence_signal(&s->maker, s->fence, WATCHED), 0);
	expect_said(&s->maker, id, 0);
	assert_int_equal(watches(&s->maker), 0);
}

static void g1_over_at_once(void **state)
{
	struct stage *s = *state;
	uint64_t id;

	assert_int_equal(seat_fence_signal(&s->maker, s->fence, WATCHED), 0);
	assert_int_equal(watch(&s->maker, s->fence, WATCHED, 0), 0);
	id = s->maker.id;
	assert_int_equal(s->maker.reply.head.fds, 1);
	assert_int_equal(watches(&s->maker), 0);
	assert_false(seat_heard(&s->maker, id));
}

static void g1_over_with_the_fence(void **state)
{
	struct stage *s = *state;
	uint64_t id;

	assert_int_equal(watch(&s->maker, s->fence, WATCHED, 0), 0);
	id = s->maker.id;
	assert_int_equal(seat_fence_destroy(&s->maker, s->fence), 0);
	expect_said(&s->maker, id, -ENODEV);
	assert_int_equal(s->maker.reply.head.reason, TENURE_REASON_FENCE_GONE);
}

static void g1_over_by_a_cancel(void **state)
{
	struct stage *s = *state;
	struct broker *broker = inproc_broker(s->maker.world);
	uint64_t id;

	assert_int_equal(watch(&s->maker, s->fence, WATCHED, 0), 0);
	id = s->maker.id;
	/* Nobody else's, and no wait that is none of a descriptor. */
	broker_watch_cancel(broker, s->other.client, id);
	broker_watch_cancel(broker, s->maker.client, id + 1);
	inproc_pump_all(s->maker.world);
	assert_false(seat_heard(&s->maker, id));
	broker_watch_cancel(broker, s->maker.client, id);
	inproc_pump_all(s->maker.world);
	expect_said(&s->maker, id, -ECANCELED);
	/* By its own request, as any wait. */
	assert_int_equal(watch(&s->maker, s->fence, WATCHED, 0), 0);
	id = s->maker.id;
	assert_int_equal(seat_fence_wait_cancel(&s->maker, id), 0);
	expect_said(&s->maker, id, -ECANCELED);
	assert_int_equal(seat_fence_wait_cancel(&s->maker, id), -EINVAL);
	assert_int_equal(watches(&s->maker), 0);
}

static void g1_never_if_the_client_ends(void **state)
{
	struct stage *s = *state;
	const struct principal *p =
		principal_at(world_region(s->maker.world),
			     seat_session(&s->maker)->principal);

	assert_int_equal(watch(&s->maker, s->fence, WATCHED, 0), 0);
	assert_int_equal(p->n_watches, 1);
	/* One that is over and not yet said. */
	inproc_pump_by_itself(s->maker.world, false);
	assert_int_equal(watch(&s->maker, s->fence, WATCHED, 0), 0);
	seat_fence_wait_cancel(&s->maker, s->maker.id);
	inproc_kill(s->maker.world, s->maker.client);
	inproc_pump_by_itself(s->maker.world, true);
	inproc_pump_all(s->maker.world);
	assert_int_equal(p->n_watches, 0);
}

static void g2_limits(void **state)
{
	struct stage *s = *state;
	uint64_t ids[WATCHES_PER_CLIENT_MAX];

	for (unsigned int i = 0; i < WATCHES_PER_CLIENT_MAX; i++) {
		assert_int_equal(watch(&s->maker, s->fence, 1 + i, i > 0), 0);
		ids[i] = s->maker.id;
	}
	assert_unchanged(&s->maker, watch(&s->maker, s->fence, 1, 0), -EDQUOT,
			 TENURE_REASON_CLIENT_WATCHES);
	/* The limit is of what is not over. */
	assert_int_equal(seat_fence_signal(&s->maker, s->fence, 1), 0);
	expect_said(&s->maker, ids[0], 0);
	assert_int_equal(watch(&s->maker, s->fence, 1000, 0), 0);
	principal_at(world_region(s->maker.world),
		     seat_session(&s->other)->principal)
		->n_watches +=
		WATCHES_PER_PRINCIPAL_MAX - WATCHES_PER_CLIENT_MAX;
	assert_int_equal(watch(&s->other, 1, 1, 0), -EDQUOT);
	assert_int_equal(s->other.reply.head.reason,
			 TENURE_REASON_PRINCIPAL_WATCHES);
	principal_at(world_region(s->maker.world),
		     seat_session(&s->other)->principal)
		->n_watches -=
		WATCHES_PER_PRINCIPAL_MAX - WATCHES_PER_CLIENT_MAX;
}

static void g2_descriptors_are_acknowledged(void **state)
{
	struct stage *s = *state;

	for (int i = 0; i < FDS_UNACKNOWLEDGED_MAX; i++)
		assert_int_equal(watch(&s->maker, s->fence, 0, 0), 0);
	assert_unchanged(&s->maker, watch(&s->maker, s->fence, 0, 0), -EDQUOT,
			 TENURE_REASON_FDS_UNACKNOWLEDGED);
	assert_int_equal(watch(&s->maker, s->fence, 0, 1), 0);
}

static void g3_refused_as_a_wait(void **state)
{
	struct stage *s = *state;
	struct wire_request head = watch_head(&s->maker, 0);

	assert_unchanged(&s->maker, watch(&s->maker, s->fence ^ 1, 1, 0),
			 -EINVAL, TENURE_REASON_FENCE_INVALID);
	assert_unchanged(&s->other, watch(&s->other, s->fence, 1, 0), -EINVAL,
			 TENURE_REASON_FENCE_INVALID);
	head.count = 0;
	assert_unchanged(&s->maker, seat_ask(&s->maker, head, NULL, 0), -EINVAL,
			 TENURE_REASON_LIST_MISSING);
	assert_int_equal(s->maker.reply.head.fds, 0);
}

/* What the caller of the broker could not make; over or not. */
static void fail_to_make(struct stage *s, uint64_t value)
{
	const struct wire_fence_wait one = { s->fence, value };
	struct {
		struct wire_request head;
		struct wire_fence_wait one;
	} message = { watch_head(&s->maker, 0), one };
	struct broker *broker = inproc_broker(s->maker.world);
	struct broker_reply reply;

	message.head.id = 1 << 20;
	message.head.args_bytes = sizeof(one);
	assert_int_equal(broker_receive(broker, s->maker.client,
					BROKER_PORT_SOCKET, &message,
					sizeof(message), 1, &reply),
			 BROKER_REPLY);
	assert_int_equal(reply.over, value == 0);
	assert_int_equal(broker_descriptor_failed(broker, &reply, -EMFILE),
			 BROKER_REPLY);
	assert_int_equal(reply.head.status, -EMFILE);
	assert_int_equal(reply.head.reason, TENURE_REASON_BACKEND);
	assert_int_equal(reply.head.fds, 0);
	inproc_pump_all(s->maker.world);
	/* Said for nobody. */
	assert_int_equal(seat_heard(&s->maker, 1 << 20), value != 0);
	assert_int_equal(watches(&s->maker), 0);
	assert_int_equal(seat_session(&s->maker)->fds_unacknowledged, 0);
	inproc_check(s->maker.world);
}

static void g3_what_could_not_be_made(void **state)
{
	fail_to_make(*state, 0);
	fail_to_make(*state, 1);
}

#define STAGE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(g1_over_when_it_comes),
		STAGE_TEST(g1_over_at_once),
		STAGE_TEST(g1_over_with_the_fence),
		STAGE_TEST(g1_over_by_a_cancel),
		STAGE_TEST(g1_never_if_the_client_ends),
		STAGE_TEST(g2_limits),
		STAGE_TEST(g2_descriptors_are_acknowledged),
		STAGE_TEST(g3_refused_as_a_wait),
		STAGE_TEST(g3_what_could_not_be_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
