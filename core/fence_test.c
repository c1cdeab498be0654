/* SPDX-License-Identifier: Apache-2.0 */
/* Fences, and waits: names have the guarantees of core/fence.c, comments those of
 * core/fence_wait.c, whose G5 is in core/crowd_test.c; and names with g6 and g7
 * are of fence_wait G6 and fence_wait G7. */
#include "tests/support/seat.h"

#include "tests/support/random.h"

enum {
	R = TENURE_RIGHT_READ,
	RW = R | TENURE_RIGHT_WRITE,
	ALL = TENURE_WAIT_ALL
};

struct stage {
	struct seat maker, other;
	uint64_t fence[3];
	uint32_t word[3];
	uint64_t token[2], reader[2]; /* for fence 0: RW, R */
	uint64_t opened; /* by other, RW */
};

static int set_up(void **state)
{
	static struct stage s;

	seat_take(&s.maker, inproc_new(NULL));
	seat_take_as(&s.other, s.maker.world, 8);
	for (int i = 0; i < 3; i++)
		assert_int_equal(seat_fence_create(&s.maker, 0, &s.fence[i],
						   &s.word[i]),
				 0);
	assert_int_equal(seat_fence_share(&s.maker, s.fence[0], RW, s.token),
			 0);
	assert_int_equal(seat_fence_share(&s.maker, s.fence[0], R, s.reader),
			 0);
	assert_int_equal(seat_fence_open(&s.other, s.token, 0, &s.opened), 0);
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

static uint64_t value(struct seat *seat, uint64_t fence)
{
	uint64_t v = 77;

	assert_int_equal(seat_fence_value(seat, fence, &v), 0);
	inproc_check(seat->world);
	return v;
}

/* Asks for a wait that cannot be answered yet; the id of the request. */
static uint64_t wait_for(struct seat *seat, uint32_t flags, uint64_t a,
			 uint64_t a_value, uint64_t b, uint64_t b_value)
{
	const struct wire_fence_wait list[2] = { { a, a_value },
						 { b, b_value } };

	assert_int_equal(seat_fence_wait(seat, flags, list, b == 0 ? 1 : 2),
			 BROKER_LATER);
	inproc_check(seat->world);
	return seat->id;
}

static void g1_the_value_only_grows(void **state)
{
	struct stage *s = *state;

	assert_int_equal(value(&s->maker, s->fence[0]), 0);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 5), 0);
	assert_int_equal(value(&s->other, s->opened), 5);
	assert_int_equal(seat_fence_signal(&s->other, s->opened, 3), 0);
	assert_int_equal(value(&s->maker, s->fence[0]), 5);
	inproc_store_word(s->maker.world, s->maker.client, s->word[0], 4);
	assert_int_equal(value(&s->maker, s->fence[0]), 5);
	inproc_store_word(s->maker.world, s->maker.client, s->word[0], 9);
	assert_int_equal(value(&s->other, s->opened), 9);
	inproc_store_word(s->maker.world, s->maker.client, s->word[0], 0);
	assert_int_equal(value(&s->other, s->opened), 9);
	assert_int_equal(seat_fence_signal(&s->other, s->opened, UINT64_MAX),
			 0);
	assert_int_equal(value(&s->maker, s->fence[0]), UINT64_MAX);
}

static void a_first_value(void **state)
{
	struct stage *s = *state;
	uint64_t fence;
	uint32_t word;

	inproc_store_word(s->maker.world, s->maker.client, s->word[2], 50);
	assert_int_equal(seat_fence_destroy(&s->maker, s->fence[2]), 0);
	assert_int_equal(seat_fence_create(&s->maker, 7, &fence, &word), 0);
	assert_int_equal(word, s->word[2]);
	assert_int_equal(value(&s->maker, fence), 7);
}

static void waits_end_by_signal_and_by_word(void **state)
{
	struct stage *s = *state;
	struct broker *broker = inproc_broker(s->maker.world);
	uint64_t a = wait_for(&s->other, 0, s->opened, 5, 0, 0);
	uint64_t b = wait_for(&s->maker, 0, s->fence[0], 6, 0, 0);

	assert_true(broker_waits_for_progress(broker, s->maker.client));
	assert_false(broker_waits_for_progress(broker, s->other.client));
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 4), 0);
	assert_false(seat_heard(&s->other, a));
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 5), 0);
	assert_true(seat_heard(&s->other, a));
	assert_int_equal(s->other.reply.head.status, 0);
	assert_false(seat_heard(&s->maker, b));
	inproc_store_word(s->maker.world, s->maker.client, s->word[0], 6);
	inproc_ring_bell(s->maker.world, s->maker.client);
	assert_true(seat_heard(&s->maker, b));
	assert_false(broker_waits_for_progress(broker, s->maker.client));
}

static void what_is_there_is_answered_at_once(void **state)
{
	struct stage *s = *state;
	struct wire_fence_wait list[3] = { { s->fence[0], 1 },
					   { s->fence[1], 0 },
					   { s->fence[2], 0 } };

	assert_int_equal(seat_fence_wait(&s->maker, 0, list, 3), BROKER_REPLY);
	assert_int_equal(s->maker.reply.head.status, 0);
	assert_int_equal(s->maker.reply.head.value[0], 1);
	assert_int_equal(seat_fence_wait(&s->maker, ALL, list + 1, 2),
			 BROKER_REPLY);
	assert_int_equal(s->maker.reply.head.status, 0);
	inproc_store_word(s->maker.world, s->maker.client, s->word[0], 1);
	assert_int_equal(seat_fence_wait(&s->maker, ALL, list, 3),
			 BROKER_REPLY);
}

static void any_and_all(void **state)
{
	struct stage *s = *state;
	uint64_t any = wait_for(&s->maker, 0, s->fence[0], 5, s->fence[1], 5);
	uint64_t all = wait_for(&s->maker, ALL, s->fence[0], 5, s->fence[1], 5);
	/* The same fence twice. */
	uint64_t twice =
		wait_for(&s->maker, ALL, s->fence[1], 5, s->fence[1], 7);

	assert_int_equal(seat_fence_signal(&s->maker, s->fence[1], 5), 0);
	assert_true(seat_heard(&s->maker, any));
	assert_int_equal(s->maker.reply.head.value[0], 1);
	assert_false(seat_heard(&s->maker, all));
	assert_false(seat_heard(&s->maker, twice));
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 9), 0);
	assert_true(seat_heard(&s->maker, all));
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[1], 9), 0);
	assert_true(seat_heard(&s->maker, twice));
}

/* fence_wait G1 */
static void a_wait_can_be_cancelled(void **state)
{
	struct stage *s = *state;
	uint64_t id = wait_for(&s->maker, 0, s->fence[0], 5, s->fence[1], 5);

	assert_int_equal(seat_fence_wait_cancel(&s->other, id), -EINVAL);
	assert_int_equal(seat_fence_wait_cancel(&s->maker, id), 0);
	assert_true(seat_heard(&s->maker, id));
	assert_int_equal(s->maker.reply.head.status, -ECANCELED);
	assert_unchanged(&s->maker, seat_fence_wait_cancel(&s->maker, id),
			 -EINVAL, TENURE_REASON_WAIT_UNKNOWN);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 5), 0);
	assert_false(seat_heard(&s->maker, id));
}

/* Nor is it one of a wait: fence_wait G2. */
static void g2_the_end_of_a_fence_is_no_success(void **state)
{
	struct stage *s = *state;
	uint64_t a = wait_for(&s->other, 0, s->opened, 5, 0, 0);
	uint64_t b = wait_for(&s->maker, ALL, s->fence[0], 5, s->fence[1], 5);
	struct wire_fence_wait list[1] = { { s->opened, 0 } };
	uint64_t v;

	assert_int_equal(seat_fence_destroy(&s->maker, s->fence[0]), 0);
	assert_true(seat_heard(&s->other, a));
	assert_int_equal(s->other.reply.head.status, -ENODEV);
	assert_int_equal(s->other.reply.head.reason, TENURE_REASON_FENCE_GONE);
	assert_true(seat_heard(&s->maker, b));
	assert_int_equal(s->maker.reply.head.status, -ENODEV);
	assert_unchanged(&s->other, seat_fence_value(&s->other, s->opened, &v),
			 -ENODEV, TENURE_REASON_FENCE_GONE);
	assert_unchanged(&s->other, seat_fence_signal(&s->other, s->opened, 9),
			 -ENODEV, TENURE_REASON_FENCE_GONE);
	assert_int_equal(seat_fence_wait(&s->other, 0, list, 1), BROKER_REPLY);
	assert_int_equal(s->other.reply.head.status, -ENODEV);
	assert_int_equal(s->other.reply.head.index, 0);
	assert_unchanged(&s->other, seat_fence_open(&s->other, s->token, 0, &v),
			 -ENODEV, TENURE_REASON_FENCE_GONE);
	assert_int_equal(seat_fence_destroy(&s->other, s->opened), 0);
	assert_int_equal(world_state(s->maker.world)->n_fences, 3);
	assert_int_equal(seat_revoke(&s->maker, s->token), 0);
	assert_int_equal(seat_revoke(&s->maker, s->reader), 0);
	assert_int_equal(world_state(s->maker.world)->n_fences, 2);
}

static void g2_closing_an_opening_ends_its_own_waits(void **state)
{
	struct stage *s = *state;
	uint64_t a = wait_for(&s->other, 0, s->opened, 5, 0, 0);
	uint64_t b = wait_for(&s->maker, 0, s->fence[0], 5, 0, 0);

	assert_int_equal(seat_fence_destroy(&s->other, s->opened), 0);
	assert_true(seat_heard(&s->other, a));
	assert_int_equal(s->other.reply.head.status, -ENODEV);
	assert_false(seat_heard(&s->maker, b));
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 5), 0);
	assert_true(seat_heard(&s->maker, b));
	assert_int_equal(s->maker.reply.head.status, 0);
}

static void g2_device_and_death_of_the_maker(void **state)
{
	struct stage *s = *state;
	uint64_t a = wait_for(&s->other, 0, s->opened, 5, 0, 0);
	uint64_t fence, token[2], id;

	assert_int_equal(seat_device_destroy(&s->maker, s->maker.device), 0);
	assert_true(seat_heard(&s->other, a));
	assert_int_equal(s->other.reply.head.status, -ENODEV);
	assert_int_equal(seat_device_create(&s->maker, s->maker.adapter,
					    &s->maker.device),
			 0);
	assert_int_equal(seat_fence_create(&s->maker, 0, &fence, NULL), 0);
	assert_int_equal(seat_fence_share(&s->maker, fence, R, token), 0);
	assert_int_equal(seat_fence_open(&s->other, token, 0, &fence), 0);
	id = wait_for(&s->other, ALL, fence, 1, fence, 2);
	inproc_kill(s->maker.world, s->maker.client);
	assert_true(seat_heard(&s->other, id));
	assert_int_equal(s->other.reply.head.status, -ENODEV);
	inproc_check(s->maker.world);
	/* The openings of others keep the dead record until they go. */
	assert_int_equal(world_state(s->maker.world)->n_fences, 2);
}

/* The maker stores 5 and ends the fence before anybody looks. */
static void stored_and_ended(struct stage *s, void (*end)(struct stage *s))
{
	uint64_t came = wait_for(&s->other, 0, s->opened, 5, 0, 0);
	uint64_t beyond = wait_for(&s->other, 0, s->opened, 6, 0, 0);

	inproc_store_word(s->maker.world, s->maker.client, s->word[0], 5);
	end(s);
	inproc_check(s->maker.world);
	assert_true(seat_heard(&s->other, came));
	assert_int_equal(s->other.reply.head.status, 0);
	assert_true(seat_heard(&s->other, beyond));
	assert_int_equal(s->other.reply.head.status, -ENODEV);
}

static void end_fence(struct stage *s)
{
	assert_int_equal(seat_fence_destroy(&s->maker, s->fence[0]), 0);
}

static void end_device(struct stage *s)
{
	assert_int_equal(seat_device_destroy(&s->maker, s->maker.device), 0);
}

static void end_maker(struct stage *s)
{
	inproc_kill(s->maker.world, s->maker.client);
}

static void g4_stored_before_its_destroy(void **state)
{
	stored_and_ended(*state, end_fence);
}

static void g4_stored_before_the_end_of_the_device(void **state)
{
	stored_and_ended(*state, end_device);
}

static void g4_stored_before_the_death_of_the_maker(void **state)
{
	stored_and_ended(*state, end_maker);
}

static void a_client_that_dies_waiting(void **state)
{
	struct stage *s = *state;

	wait_for(&s->other, ALL, s->opened, 5, s->opened, 6);
	wait_for(&s->other, 0, s->opened, 7, 0, 0);
	inproc_kill(s->other.world, s->other.client);
	inproc_check(s->maker.world);
	assert_int_equal(seat_session(&s->maker)->n_fence_waits, 0);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 9), 0);
}

/* Fences that there are, and what they take. */
static uint32_t fences(const struct stage *s)
{
	const struct area_head *head =
		region_area(world_region(s->maker.world), AREA_FENCES);

	return head->used - 1 - head->free_count;
}

/* The first fence has two openings and two tokens, which end in each order. */
static void end_one(struct stage *s, int which)
{
	if (which == 0)
		assert_int_equal(seat_fence_destroy(&s->maker, s->fence[0]), 0);
	else if (which == 1)
		assert_int_equal(seat_fence_destroy(&s->other, s->opened), 0);
	else
		assert_int_equal(seat_revoke(&s->maker,
					     which == 2 ? s->token : s->reader),
				 0);
}

static void g3_in_every_order(void **state)
{
	struct stage *s = *state;

	for (int order = 0; order < 4 * 4 * 4; order++) {
		const int first[3] = { order % 4, order / 4 % 4, order / 16 };
		const int last = 6 - first[0] - first[1] - first[2];

		if (first[0] == first[1] || first[0] == first[2] ||
		    first[1] == first[2])
			continue;
		for (int i = 0; i < 3; i++) {
			end_one(s, first[i]);
			assert_int_equal(fences(s), 3);
		}
		end_one(s, last);
		assert_int_equal(fences(s), 2);
		inproc_check(s->maker.world);
		assert_int_equal(seat_fence_create(&s->maker, 0, &s->fence[0],
						   &s->word[0]),
				 0);
		assert_int_equal(seat_fence_share(&s->maker, s->fence[0], RW,
						  s->token),
				 0);
		assert_int_equal(seat_fence_share(&s->maker, s->fence[0], R,
						  s->reader),
				 0);
		assert_int_equal(
			seat_fence_open(&s->other, s->token, 0, &s->opened), 0);
	}
}

static void rights_of_openings(void **state)
{
	struct stage *s = *state;
	uint64_t reader, token[2];

	assert_unchanged(&s->other,
			 seat_fence_open(&s->other, s->reader, RW, &reader),
			 -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	assert_unchanged(&s->other,
			 seat_fence_open(&s->other, s->reader, 2, &reader),
			 -EINVAL, TENURE_REASON_RIGHTS_INVALID);
	assert_int_equal(seat_fence_open(&s->other, s->reader, 0, &reader), 0);
	assert_unchanged(&s->other, seat_fence_signal(&s->other, reader, 5),
			 -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	assert_unchanged(&s->other,
			 seat_fence_share(&s->other, reader, RW, token),
			 -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	assert_unchanged(&s->other,
			 seat_fence_share(&s->other, reader, 0, token), -EINVAL,
			 TENURE_REASON_RIGHTS_INVALID);
	assert_int_equal(seat_fence_share(&s->other, reader, R, token), 0);
	assert_int_equal(value(&s->other, reader), 0);
}

/* A token names a resource or a fence, and each is opened as what it is. */
static void tokens_of_another_kind(void **state)
{
	struct stage *s = *state;
	uint64_t resource, token[2], handle;

	assert_int_equal(seat_create(&s->maker, 0,
				     TENURE_CREATE_RESOURCE |
					     TENURE_CREATE_SHARED,
				     1, &resource, NULL),
			 0);
	assert_int_equal(seat_share(&s->maker, resource, RW, token), 0);
	assert_unchanged(&s->other,
			 seat_fence_open(&s->other, token, 0, &handle), -EINVAL,
			 TENURE_REASON_TOKEN_UNKNOWN);
	assert_unchanged(&s->other,
			 seat_open(&s->other, s->token, 1, &handle, NULL),
			 -EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	assert_unchanged(&s->maker,
			 seat_share(&s->maker, s->fence[0], RW, token), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
}

/* The status of a wait that is answered at once. */
static int asked(struct seat *seat, uint32_t flags,
		 const struct wire_fence_wait *list, uint32_t count)
{
	assert_int_equal(seat_fence_wait(seat, flags, list, count),
			 BROKER_REPLY);
	return seat->reply.head.status;
}

/* fence_wait G3 */
static void what_is_refused(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->maker;
	struct wire_fence_wait list[65];

	for (int i = 0; i < 65; i++)
		list[i] = (struct wire_fence_wait){ s->fence[0], 5 };
	assert_unchanged(q, asked(q, 2, list, 1), -EINVAL,
			 TENURE_REASON_FLAGS_RESERVED);
	assert_unchanged(q, asked(q, 0, list, 0), -EINVAL,
			 TENURE_REASON_LIST_MISSING);
	assert_unchanged(q, asked(q, 0, list, 65), -EINVAL,
			 TENURE_REASON_WAIT_TOO_LONG);
	list[3].fence = 0;
	assert_unchanged(q, asked(q, 0, list, 5), -EINVAL,
			 TENURE_REASON_FENCE_INVALID);
	assert_int_equal(q->reply.head.index, 3);
	list[3].fence = q->device;
	assert_unchanged(q, asked(q, 0, list, 5), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	list[3].fence = s->opened;
	assert_unchanged(q, asked(q, 0, list, 5), -EINVAL,
			 TENURE_REASON_FENCE_INVALID);
}

/* As many waits as that are on the fence after it; in lists of at most 64. */
static void crowd(struct seat *seat, uint64_t fence, uint32_t n)
{
	struct wire_fence_wait list[64];

	for (int i = 0; i < 64; i++)
		list[i] = (struct wire_fence_wait){ fence, 5 };
	for (; n > 64; n -= 64)
		assert_int_equal(seat_fence_wait(seat, ALL, list, 64),
				 BROKER_LATER);
	assert_int_equal(seat_fence_wait(seat, ALL, list, n), BROKER_LATER);
	inproc_check(seat->world);
}

static void refused_for(struct seat *seat, uint64_t fence,
			enum tenure_reason reason)
{
	const struct wire_fence_wait one = { fence, 5 };

	assert_unchanged(seat, asked(seat, 0, &one, 1), -EDQUOT, reason);
	assert_int_equal(seat->reply.head.index, 0);
}

/* A look finds that it has not come, and needs no room. */
static void can_look(struct seat *seat, uint64_t fence)
{
	const struct wire_fence_wait list[2] = { { fence, 5 }, { fence, 6 } };
	uint64_t used = seat_session(seat)->account.used[CHARGE_WAITS];

	assert_int_equal(seat_fence_look(seat, 0, list, 2), BROKER_REPLY);
	assert_int_equal(seat->reply.head.status, 0);
	assert_int_equal(seat->reply.head.value[0], 2);
	assert_int_equal(seat_session(seat)->account.used[CHARGE_WAITS], used);
	inproc_check(seat->world);
}

/* fence_wait G3 */
static void as_many_as_a_client_may_have(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->maker;
	struct wire_fence_wait one = { .value = 5 };
	uint64_t fence = s->fence[0];
	uint32_t word;

	for (int i = 0; i < 8; i++) {
		if (i > 0)
			assert_int_equal(seat_fence_create(q, 0, &fence, &word),
					 0);
		crowd(q, fence, WAITS_PER_FENCE_CLIENT_MAX);
		refused_for(q, fence, TENURE_REASON_CLIENT_FENCE_WAITS);
		can_look(q, fence);
	}
	one.fence = s->fence[1];
	assert_unchanged(q, asked(q, 0, &one, 1), -EDQUOT,
			 TENURE_REASON_CLIENT_WAITS);
	can_look(q, s->fence[1]);
	assert_int_equal(seat_fence_signal(q, s->fence[0], 5), 0);
	assert_int_equal(seat_session(q)->account.used[CHARGE_WAITS],
			 7 * WAITS_PER_FENCE_CLIENT_MAX);
	crowd(q, s->fence[1], WAITS_PER_FENCE_CLIENT_MAX);
}

/* fence_wait G3 */
static void what_a_look_finds(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->other;
	struct wire_fence_wait list[2] = { { s->opened, 2 }, { s->opened, 1 } };

	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 1), 0);
	assert_int_equal(seat_fence_look(q, 0, list, 2), BROKER_REPLY);
	assert_int_equal(q->reply.head.value[0], 1);
	assert_int_equal(seat_fence_look(q, ALL, list, 2), BROKER_REPLY);
	assert_int_equal(q->reply.head.value[0], 2);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 2), 0);
	assert_int_equal(seat_fence_look(q, ALL, list, 2), BROKER_REPLY);
	assert_int_equal(q->reply.head.value[0], 0);
	list[1].fence = 0;
	assert_int_equal(seat_fence_look(q, 0, list, 2), BROKER_REPLY);
	assert_int_equal(q->reply.head.status, -EINVAL);
	assert_int_equal(q->reply.head.index, 1);
}

/* A client of that user, 0 for the maker's, with the fence open. */
static uint64_t come_in(const struct stage *s, struct seat *seat, uint32_t uid)
{
	uint64_t opened;

	if (uid == 0)
		seat_take(seat, s->maker.world);
	else
		seat_take_as(seat, s->maker.world, uid);
	assert_int_equal(seat_fence_open(seat, s->reader, 0, &opened), 0);
	return opened;
}

/* fence_wait G4 */
static void one_client_does_not_take_it_all(void **state)
{
	struct stage *s = *state;
	struct wire_fence_wait list[64];
	struct seat same;
	uint64_t opened = come_in(s, &same, 8);

	crowd(&s->other, s->opened, WAITS_PER_FENCE_CLIENT_MAX);
	refused_for(&s->other, s->opened, TENURE_REASON_CLIENT_FENCE_WAITS);
	/* Only those that are for this fence count. */
	crowd(&same, opened, WAITS_PER_FENCE_CLIENT_MAX - 1);
	for (int i = 0; i < 64; i++)
		list[i] = (struct wire_fence_wait){ opened, i < 62 ? 0 : 5 };
	assert_int_equal(asked(&same, ALL, list, 64), -EDQUOT);
	assert_int_equal(same.reply.head.reason,
			 TENURE_REASON_CLIENT_FENCE_WAITS);
	assert_int_equal(same.reply.head.index, 0);
	list[63].value = 0;
	assert_int_equal(seat_fence_wait(&same, ALL, list, 64), BROKER_LATER);
	refused_for(&same, opened, TENURE_REASON_CLIENT_FENCE_WAITS);
	crowd(&s->maker, s->fence[0], WAITS_PER_FENCE_CLIENT_MAX);
}

/* fence_wait G4 */
static void nor_does_one_principal(void **state)
{
	struct stage *s = *state;
	struct seat second, third, foreign;
	uint64_t opened[3] = { come_in(s, &second, 8), come_in(s, &third, 8),
			       come_in(s, &foreign, 9) };

	crowd(&s->other, s->opened, 100);
	crowd(&second, opened[0], WAITS_PER_FENCE_CLIENT_MAX);
	crowd(&third, opened[1], 28);
	refused_for(&third, opened[1], TENURE_REASON_PRINCIPAL_FENCE_WAITS);
	refused_for(&s->other, s->opened, TENURE_REASON_PRINCIPAL_FENCE_WAITS);
	can_look(&third, opened[1]);
	crowd(&foreign, opened[2], WAITS_PER_FENCE_CLIENT_MAX);
	crowd(&s->maker, s->fence[0], WAITS_PER_FENCE_CLIENT_MAX);
}

/* Its own principal's clients are others, too: fence_wait G4. */
static void the_maker_finds_room(void **state)
{
	struct stage *s = *state;
	struct seat crowds[7], late;
	uint64_t opened;

	for (uint32_t i = 0; i < 7; i++) {
		opened = come_in(s, &crowds[i], i < 2 ? 0 : 20 + i / 2);
		crowd(&crowds[i], opened, WAITS_PER_FENCE_CLIENT_MAX);
	}
	opened = come_in(s, &late, 40);
	refused_for(&late, opened, TENURE_REASON_FENCE_WAITS);
	refused_for(&s->other, s->opened, TENURE_REASON_FENCE_WAITS);
	can_look(&late, opened);
	crowd(&s->maker, s->fence[0], WAITS_PER_FENCE_CLIENT_MAX);
	refused_for(&s->maker, s->fence[0], TENURE_REASON_CLIENT_FENCE_WAITS);
	assert_int_equal(seat_session(&s->maker)->n_fence_waits,
			 WAITS_PER_FENCE_MAX);
	inproc_kill(s->maker.world, crowds[0].client);
	crowd(&late, opened, WAITS_PER_FENCE_CLIENT_MAX);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 5), 0);
	assert_int_equal(seat_session(&s->maker)->n_fence_waits, 0);
}

/* Against a plain table of who waits for what: fence_wait G1, G2. */
static void against_a_table(void **state)
{
	struct {
		uint64_t id, value[2];
		uint32_t fence[2], flags;
	} open[32] = { 0 };
	struct stage *s = *state;
	struct random random = { 21 };
	uint64_t now[3] = { 0 };

	for (int round = 0; round < 6000; round++) {
		uint32_t f = random_below(&random, 3);
		uint32_t k = random_below(&random, 32);

		if (random_chance(&random, 40)) {
			now[f] += random_below(&random, 4);
			assert_int_equal(seat_fence_signal(&s->maker,
							   s->fence[f], now[f]),
					 0);
		} else if (open[k].id == 0) {
			struct wire_fence_wait list[2];

			open[k].flags = random_below(&random, 2);
			for (int i = 0; i < 2; i++) {
				open[k].fence[i] = random_below(&random, 3);
				open[k].value[i] = now[open[k].fence[i]] + 1 +
						   random_below(&random, 6);
				list[i].fence = s->fence[open[k].fence[i]];
				list[i].value = open[k].value[i];
			}
			assert_int_equal(seat_fence_wait(&s->maker,
							 open[k].flags, list,
							 2),
					 BROKER_LATER);
			open[k].id = s->maker.id;
		}
		for (k = 0; k < 32; k++) {
			bool a = now[open[k].fence[0]] >= open[k].value[0];
			bool b = now[open[k].fence[1]] >= open[k].value[1];
			bool due = open[k].flags ? a && b : a || b;

			if (open[k].id == 0)
				continue;
			assert_int_equal(seat_heard(&s->maker, open[k].id),
					 due);
			if (!due)
				continue;
			assert_int_equal(s->maker.reply.head.status, 0);
			if (!open[k].flags)
				assert_true(s->maker.reply.head.value[0] == 0 ?
						    a :
						    b);
			open[k].id = 0;
		}
		if (round % 64 == 0)
			inproc_check(s->maker.world);
	}
}

/* ---- Waits that are told in steps ---- */

static uint32_t waits_left(const struct stage *s)
{
	const struct area_head *waits =
		region_area(world_region(s->maker.world), AREA_WAITS);

	return waits->used - 1 - waits->free_count;
}

/* Of so many the decision lets some go by itself, and turns the others. */
enum { CROWD = 36, AT_ONCE = 16, LATER = CROWD - AT_ONCE };

/* Each names the fence twice, and ends with 1 or more. */
static void many_wait(struct stage *s, uint64_t ids[CROWD])
{
	for (int i = 0; i < CROWD; i++)
		ids[i] = wait_for(&s->other, 0, s->opened, 1, s->opened, 2);
	inproc_pump_by_itself(s->maker.world, false);
	assert_int_equal(waits_left(s), 2 * CROWD);
}

/* The smallest steps there are: how many, until nobody is left. */
static uint32_t tell_all(struct stage *s)
{
	struct inproc *world = s->maker.world;
	uint32_t steps = 0, before;

	while ((before = waits_left(s)) > 0) {
		broker_tick(inproc_broker(world), inproc_now_ns(world), 1);
		assert_true(before - waits_left(s) <= 2);
		steps += before > waits_left(s);
		inproc_check(world);
		if (steps == LATER / 2)
			inproc_move(world);
	}
	inproc_pump_all(world);
	return steps;
}

static void all_heard(struct stage *s, const uint64_t ids[CROWD], int status)
{
	for (int i = 0; i < CROWD; i++) {
		assert_true(seat_heard(&s->other, ids[i]));
		assert_int_equal(s->other.reply.head.status, status);
	}
}

static void g6_a_signal_is_told_in_steps(void **state)
{
	struct stage *s = *state;
	uint64_t ids[CROWD], v = 0;

	many_wait(s, ids);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 1), 0);
	assert_int_equal(waits_left(s), 2 * LATER);
	assert_int_equal(seat_fence_value(&s->other, s->opened, &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(tell_all(s), LATER);
	all_heard(s, ids, 0);
}

/* Whoever waits with few others does not wait for anybody's turn. */
static void g6_a_few_hear_at_once(void **state)
{
	struct stage *s = *state;
	uint64_t ids[3];

	for (int i = 0; i < 3; i++)
		ids[i] = wait_for(&s->other, i == 0 ? TENURE_WAIT_ALL : 0,
				  s->opened, 1, s->opened, 1);
	inproc_pump_by_itself(s->maker.world, false);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 1), 0);
	assert_int_equal(waits_left(s), 0);
	assert_int_equal(world_state(s->maker.world)->n_loose_waits, 0);
	assert_true(world_state(s->maker.world)->answered.head != 0);
	inproc_check(s->maker.world);
	inproc_pump_all(s->maker.world);
	for (int i = 0; i < 3; i++)
		assert_true(seat_heard(&s->other, ids[i]));
}

static void g6_so_is_what_was_stored(void **state)
{
	struct stage *s = *state;
	uint64_t ids[CROWD];
	uint32_t at = 0;

	many_wait(s, ids);
	inproc_store_word(s->maker.world, s->maker.client, s->word[0], 1);
	/* To decide costs, too. */
	assert_true(broker_progressed_some(inproc_broker(s->maker.world),
					   s->maker.client, CROWD,
					   &at) > CROWD);
	assert_int_equal(at, s->word[0] + 1);
	assert_int_equal(waits_left(s), 2 * LATER);
	inproc_kill(s->maker.world, s->maker.client);
	assert_int_equal(waits_left(s), 2 * LATER);
	assert_int_equal(tell_all(s), LATER);
	all_heard(s, ids, 0);
}

static void g6_so_is_the_end(void **state)
{
	struct stage *s = *state;
	uint64_t ids[CROWD], v;

	many_wait(s, ids);
	assert_int_equal(seat_fence_destroy(&s->maker, s->fence[0]), 0);
	assert_int_equal(waits_left(s), 2 * LATER);
	assert_unchanged(&s->other, seat_fence_value(&s->other, s->opened, &v),
			 -ENODEV, TENURE_REASON_FENCE_GONE);
	assert_int_equal(tell_all(s), LATER);
	all_heard(s, ids, -ENODEV);
}

/* Only the waits that are to go know the fence any more. */
static void g6_the_last_opening_goes_first(void **state)
{
	struct stage *s = *state;
	uint64_t ids[CROWD];

	many_wait(s, ids);
	assert_int_equal(seat_revoke(&s->maker, s->token), 0);
	assert_int_equal(seat_revoke(&s->maker, s->reader), 0);
	assert_int_equal(seat_fence_destroy(&s->maker, s->fence[0]), 0);
	assert_int_equal(seat_fence_destroy(&s->other, s->opened), 0);
	inproc_check(s->maker.world);
	assert_int_equal(waits_left(s), 2 * LATER);
	assert_int_equal(world_state(s->maker.world)->n_fences, 3);
	inproc_pump_all(s->maker.world);
	assert_int_equal(world_state(s->maker.world)->n_fences, 2);
	all_heard(s, ids, -ENODEV);
}

static void g6_whoever_dies_meanwhile(void **state)
{
	struct stage *s = *state;
	uint64_t ids[CROWD];

	many_wait(s, ids);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 1), 0);
	broker_tick(inproc_broker(s->maker.world), 0, 1);
	inproc_kill(s->maker.world, s->other.client);
	inproc_check(s->maker.world);
	assert_int_equal(waits_left(s), 0);
	inproc_kill(s->maker.world, s->maker.client);
	inproc_check(s->maker.world);
	inproc_pump_all(s->maker.world);
}

/* Those that the next decision about the first fence lets go by itself: who
 * waits for it already is left to the turns. */
static void others_are_first(struct stage *s)
{
	const struct wire_fence_wait one = { s->fence[0], 5 };

	for (int i = 0; i < AT_ONCE; i++)
		assert_int_equal(seat_fence_wait(&s->maker, 0, &one, 1),
				 BROKER_LATER);
}

/* It has come, and nobody was told, when something else would end the wait. */
static void come_and_untold(struct stage *s, void (*end)(struct stage *s))
{
	uint64_t other, any, all;
	struct wire_fence_wait list[2] = { { s->opened, 5 }, { 0, 7 } };

	assert_int_equal(seat_fence_create(&s->other, 0, &other, NULL), 0);
	list[1].fence = other;
	inproc_pump_by_itself(s->maker.world, false);
	assert_int_equal(seat_fence_wait(&s->other, 0, list, 2), BROKER_LATER);
	any = s->other.id;
	list[1] = (struct wire_fence_wait){ s->opened, 6 };
	assert_int_equal(seat_fence_wait(&s->other, ALL, list, 2),
			 BROKER_LATER);
	all = s->other.id;
	others_are_first(s);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 6), 0);
	assert_int_equal(waits_left(s), 4);
	s->other.id = any;
	s->fence[1] = other;
	end(s);
	inproc_check(s->maker.world);
	inproc_pump_all(s->maker.world);
	assert_true(seat_heard(&s->other, any));
	assert_int_equal(s->other.reply.head.status, 0);
	assert_int_equal(s->other.reply.head.value[0], 0);
	assert_true(seat_heard(&s->other, all));
	assert_int_equal(s->other.reply.head.status, 0);
}

static void cancel_it(struct stage *s)
{
	assert_int_equal(seat_fence_wait_cancel(&s->other, s->other.id),
			 -EINVAL);
	assert_int_equal(s->other.reply.head.reason,
			 TENURE_REASON_WAIT_UNKNOWN);
}

static void close_its_opening(struct stage *s)
{
	assert_int_equal(seat_fence_destroy(&s->other, s->opened), 0);
}

static void end_the_other_fence(struct stage *s)
{
	assert_int_equal(seat_fence_destroy(&s->other, s->fence[1]), 0);
}

static void kill_the_broker(struct stage *s)
{
	end_fence(s);
	end_the_other_fence(s);
	inproc_recover(s->maker.world, true);
}

/* The first end decides, also when what would have been enough comes next. */
static void g7_lost_is_lost(void **state)
{
	struct stage *s = *state;
	uint64_t id = wait_for(&s->maker, 0, s->fence[0], 5, s->fence[1], 5);

	inproc_pump_by_itself(s->maker.world, false);
	others_are_first(s);
	assert_int_equal(seat_fence_destroy(&s->maker, s->fence[0]), 0);
	assert_int_equal(waits_left(s), 2);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[1], 5), 0);
	inproc_check(s->maker.world);
	inproc_pump_all(s->maker.world);
	assert_true(seat_heard(&s->maker, id));
	assert_int_equal(s->maker.reply.head.status, -ENODEV);
}

/* One of two has come; it does not matter that its fence ends then. */
static void one_has_come(struct stage *s, bool recover)
{
	uint64_t id = wait_for(&s->maker, ALL, s->fence[0], 5, s->fence[1], 5);

	inproc_pump_by_itself(s->maker.world, false);
	others_are_first(s);
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[0], 5), 0);
	assert_int_equal(waits_left(s), 2);
	inproc_check(s->maker.world);
	assert_int_equal(seat_fence_destroy(&s->maker, s->fence[0]), 0);
	inproc_check(s->maker.world);
	if (recover)
		inproc_recover(s->maker.world, true);
	inproc_pump_all(s->maker.world);
	inproc_check(s->maker.world);
	assert_false(seat_heard(&s->maker, id));
	assert_int_equal(seat_fence_signal(&s->maker, s->fence[1], 5), 0);
	inproc_pump_all(s->maker.world);
	assert_true(seat_heard(&s->maker, id));
	assert_int_equal(s->maker.reply.head.status, 0);
}

static void g7_one_has_come(void **state)
{
	one_has_come(*state, false);
}

static void g7_one_has_come_and_the_broker_dies(void **state)
{
	one_has_come(*state, true);
}

static void g7_cancelled_too_late(void **state)
{
	come_and_untold(*state, cancel_it);
}

static void g7_its_opening_is_closed(void **state)
{
	come_and_untold(*state, close_its_opening);
}

static void g7_another_fence_of_it_ends(void **state)
{
	come_and_untold(*state, end_the_other_fence);
}

static void g7_its_fence_ends(void **state)
{
	come_and_untold(*state, end_fence);
}

static void g7_its_maker_dies(void **state)
{
	come_and_untold(*state, end_maker);
}

static void g7_the_broker_dies(void **state)
{
	come_and_untold(*state, kill_the_broker);
}

#define on_stage(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_stage(g1_the_value_only_grows),
		on_stage(a_first_value),
		on_stage(waits_end_by_signal_and_by_word),
		on_stage(what_is_there_is_answered_at_once),
		on_stage(any_and_all),
		on_stage(a_wait_can_be_cancelled),
		on_stage(g2_the_end_of_a_fence_is_no_success),
		on_stage(g2_closing_an_opening_ends_its_own_waits),
		on_stage(g2_device_and_death_of_the_maker),
		on_stage(g4_stored_before_its_destroy),
		on_stage(g4_stored_before_the_end_of_the_device),
		on_stage(g4_stored_before_the_death_of_the_maker),
		on_stage(a_client_that_dies_waiting),
		on_stage(g3_in_every_order),
		on_stage(rights_of_openings),
		on_stage(tokens_of_another_kind),
		on_stage(what_is_refused),
		on_stage(as_many_as_a_client_may_have),
		on_stage(what_a_look_finds),
		on_stage(one_client_does_not_take_it_all),
		on_stage(nor_does_one_principal),
		on_stage(the_maker_finds_room),
		on_stage(against_a_table),
		on_stage(g6_a_signal_is_told_in_steps),
		on_stage(g6_a_few_hear_at_once),
		on_stage(g6_so_is_what_was_stored),
		on_stage(g6_so_is_the_end),
		on_stage(g6_the_last_opening_goes_first),
		on_stage(g6_whoever_dies_meanwhile),
		on_stage(g7_lost_is_lost),
		on_stage(g7_one_has_come),
		on_stage(g7_one_has_come_and_the_broker_dies),
		on_stage(g7_cancelled_too_late),
		on_stage(g7_its_opening_is_closed),
		on_stage(g7_another_fence_of_it_ends),
		on_stage(g7_its_fence_ends),
		on_stage(g7_its_maker_dies),
		on_stage(g7_the_broker_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
