/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences: H40 to H45. They order people's work and never decide when memory
 * goes.
 */
#include "tests/rows/work.h"

#include "tests/support/inproc.h"

enum {
	R = TENURE_RIGHT_READ,
	RW = TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
	ALL = TENURE_WAIT_ALL,
};

static uint64_t make_fence(struct worker *w, uint64_t value)
{
	assert_int_equal(work_fence(w, WIRE_OP_FENCE_CREATE, 0, value), 0);
	return w->reply.head.value[0];
}

static uint64_t value_of(struct worker *w, uint64_t fence)
{
	assert_int_equal(work_fence(w, WIRE_OP_FENCE_VALUE, fence, 0), 0);
	return w->reply.head.value[0];
}

static int signal_fence(struct worker *w, uint64_t fence, uint64_t value)
{
	return work_fence(w, WIRE_OP_FENCE_SIGNAL, fence, value);
}

static int end_fence(struct worker *w, uint64_t fence)
{
	return work_fence(w, WIRE_OP_FENCE_DESTROY, fence, 0);
}

static void share_fence(struct worker *w, uint64_t fence, uint32_t rights,
			uint64_t ret[2])
{
	const struct wire_request head = { .opcode = WIRE_OP_FENCE_SHARE,
					   .device = w->device,
					   .object = fence,
					   .flags = rights };

	assert_int_equal(work_ask(w, head, NULL, 0), 0);
	memcpy(ret, w->reply.head.value, 16);
}

static int open_fence(struct worker *w, const uint64_t token[2],
		      uint32_t rights, uint64_t *ret)
{
	const struct wire_request head = { .opcode = WIRE_OP_FENCE_OPEN,
					   .device = w->device,
					   .flags = rights,
					   .value = { token[0], token[1] } };
	int status = work_ask(w, head, NULL, 0);

	if (status == 0)
		*ret = w->reply.head.value[0];
	return status;
}

static uint64_t wait_one(struct worker *w, uint64_t fence, uint64_t value)
{
	const struct wire_fence_wait one = { fence, value };

	return work_say_wait(w, 0, &one, 1);
}

static void h40_a_fence_only_grows(void **state)
{
	struct worker w, other;
	uint64_t fence, opened, token[2];

	worker_take(&w, *state);
	worker_take(&other, *state);
	fence = make_fence(&w, 3);
	share_fence(&w, fence, RW, token);
	assert_int_equal(open_fence(&other, token, 0, &opened), 0);
	assert_int_equal(value_of(&other, opened), 3);
	assert_int_equal(signal_fence(&other, opened, 9), 0);
	/* Going back is ignored. */
	assert_int_equal(signal_fence(&w, fence, 4), 0);
	assert_int_equal(signal_fence(&w, fence, 0), 0);
	assert_int_equal(value_of(&w, fence), 9);
	assert_int_equal(signal_fence(&w, fence, UINT64_MAX), 0);
	assert_int_equal(value_of(&other, opened), UINT64_MAX);
	worker_leave(&w);
	worker_leave(&other);
	row_proved("H40");
}

static void h41_waits_for_any_and_all(void **state)
{
	struct worker w, other;
	uint64_t a, b, token[2], opened, any, all, one, id;
	struct wire_fence_wait list[2];

	worker_take(&w, *state);
	worker_take(&other, *state);
	a = make_fence(&w, 0);
	b = make_fence(&w, 0);
	share_fence(&w, a, R, token);
	assert_int_equal(open_fence(&other, token, 0, &opened), 0);
	list[0] = (struct wire_fence_wait){ a, 5 };
	list[1] = (struct wire_fence_wait){ b, 5 };
	any = work_say_wait(&w, 0, list, 2);
	all = work_say_wait(&w, ALL, list, 2);
	one = wait_one(&other, opened, 6);
	work_silent(&w, any);
	assert_int_equal(signal_fence(&w, b, 5), 0);
	assert_int_equal(work_hear(&w, any), 0);
	assert_int_equal(w.reply.head.value[0], 1);
	work_silent(&w, all);
	assert_int_equal(signal_fence(&w, a, 5), 0);
	assert_int_equal(work_hear(&w, all), 0);
	work_silent(&other, one);
	assert_int_equal(signal_fence(&w, a, 6), 0);
	assert_int_equal(work_hear(&other, one), 0);
	/* What is there is answered at once, what is cancelled too. */
	assert_int_equal(work_hear(&w, wait_one(&w, a, 6)), 0);
	id = wait_one(&w, a, 7);
	work_silent(&w, id);
	assert_int_equal(work_fence(&(struct worker){ .world = w.world,
						      .talker = w.talker,
						      .next_id = 5000 },
				    WIRE_OP_FENCE_WAIT_CANCEL, 0, id),
			 0);
	assert_int_equal(work_hear(&w, id), -ECANCELED);
	worker_leave(&w);
	worker_leave(&other);
	row_proved("H41");
}

static void h42_rights_of_a_fence(void **state)
{
	struct worker w, other;
	uint64_t fence, opened, token[2];

	worker_take(&w, *state);
	worker_take(&other, *state);
	fence = make_fence(&w, 0);
	share_fence(&w, fence, R, token);
	assert_int_equal(open_fence(&other, token, RW, &opened), -EACCES);
	assert_int_equal(open_fence(&other, token, R, &opened), 0);
	assert_int_equal(signal_fence(&other, opened, 5), -EACCES);
	assert_int_equal(other.reply.head.reason,
			 TENURE_REASON_RIGHTS_EXCEEDED);
	assert_int_equal(value_of(&w, fence), 0);
	assert_int_equal(signal_fence(&other, fence, 5), -EINVAL);
	worker_leave(&w);
	worker_leave(&other);
	row_proved("H42");
}

static void h43_destroying_a_fence_wakes_its_waiters(void **state)
{
	struct worker w, other;
	uint64_t fence, opened, token[2], mine, theirs, stored = 0;
	uint32_t word;

	worker_take(&w, *state);
	worker_take(&other, *state);
	fence = make_fence(&w, 0);
	word = (uint32_t)w.reply.head.value[1];
	share_fence(&w, fence, RW, token);
	assert_int_equal(open_fence(&other, token, 0, &opened), 0);
	mine = wait_one(&w, fence, 5);
	theirs = wait_one(&other, opened, 5);
	work_silent(&w, mine);
	/* An opener's destroy ends its own waits. */
	assert_int_equal(end_fence(&other, opened), 0);
	assert_int_equal(work_hear(&other, theirs), -ENODEV);
	work_silent(&w, mine);
	assert_int_equal(open_fence(&other, token, 0, &opened), 0);
	theirs = wait_one(&other, opened, 5);
	work_silent(&other, theirs);
	/* What the maker stored before it, for which nobody rang. */
	if (w.world->inproc) {
		stored = wait_one(&other, opened, 2);
		inproc_store_word(w.world->inproc, w.talker->client, word, 2);
	}
	/* The maker's ends everybody's, and never with success. */
	assert_int_equal(end_fence(&w, fence), 0);
	if (w.world->inproc)
		assert_int_equal(work_hear(&other, stored), 0);
	assert_int_equal(work_hear(&w, mine), -ENODEV);
	assert_int_equal(work_hear(&other, theirs), -ENODEV);
	assert_int_equal(other.reply.head.reason, TENURE_REASON_FENCE_GONE);
	assert_int_equal(work_hear(&other, wait_one(&other, opened, 0)),
			 -ENODEV);
	assert_int_equal(work_fence(&other, WIRE_OP_FENCE_VALUE, opened, 0),
			 -ENODEV);
	assert_int_equal(end_fence(&other, opened), 0);
	assert_int_equal(end_fence(&other, opened), -EINVAL);
	worker_leave(&w);
	worker_leave(&other);
	row_proved("H43");
}

static void h44_removal_and_death_wake_waiters(void **state)
{
	struct worker w, other;
	uint64_t fence, opened, token[2], id;

	worker_take(&other, *state);
	for (int death = 0; death < 2; death++) {
		worker_take(&w, *state);
		fence = make_fence(&w, 0);
		share_fence(&w, fence, R, token);
		assert_int_equal(open_fence(&other, token, 0, &opened), 0);
		id = wait_one(&other, opened, UINT64_MAX);
		work_silent(&other, id);
		if (death)
			worker_leave(&w);
		else
			assert_int_equal(
				work_hear(&w, work_say_end_device(&w, 0)), 0);
		assert_int_equal(work_hear(&other, id), -ENODEV);
		assert_int_equal(end_fence(&other, opened), 0);
		if (!death)
			worker_leave(&w);
	}
	worker_leave(&other);
	row_proved("H44");
}

static void h45_fences_never_drive_reclaim(void **state)
{
	struct worker w;
	uint64_t fence, context, list[2];

	worker_take(&w, *state);
	fence = make_fence(&w, 0);
	context = work_context(&w);
	work_create(&w, 0, 2, list);
	assert_int_equal(work_submit(&w, context, 5, list, 2), 0);
	assert_int_equal(work_destroy(&w, 0, list, 2, 0), 0);
	assert_int_equal(signal_fence(&w, fence, UINT64_MAX), 0);
	assert_pages(*state, 2);
	assert_int_equal(end_fence(&w, fence), 0);
	assert_pages(*state, 2);
	assert_int_equal(work_progress(&w, context, 5), 0);
	assert_pages(*state, 0);
	worker_leave(&w);
	row_proved("H45");
}

static const struct CMUnitTest tests[] = {
	world_test(h40_a_fence_only_grows),
	world_test(h41_waits_for_any_and_all),
	world_test(h42_rights_of_a_fence),
	world_test(h43_destroying_a_fence_wakes_its_waiters),
	world_test(h44_removal_and_death_wake_waiters),
	world_test(h45_fences_never_drive_reclaim),
};

WORLD_MAIN("fences")
