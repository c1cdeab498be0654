/* SPDX-License-Identifier: Apache-2.0 */
/* Layer L4: G1 and G2 of core/create_context.c. */
#include "tests/support/seat.h"

enum { SHARED = TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS };

struct stage {
	struct seat seat;
	uint64_t a, b; /* contexts */
	uint64_t list[5], ordinary;
};

static int set_up(void **state)
{
	static struct stage s;

	seat_take(&s.seat, inproc_new(NULL));
	assert_int_equal(seat_context_create(&s.seat, &s.a, NULL), 0);
	assert_int_equal(seat_context_create(&s.seat, &s.b, NULL), 0);
	assert_int_equal(seat_create(&s.seat, 0, 0, 1, NULL, &s.ordinary), 0);
	assert_int_equal(seat_context_allocate(&s.seat, s.a, 0, 3, s.list), 0);
	assert_int_equal(
		seat_context_allocate(&s.seat, s.a, SHARED, 2, &s.list[3]), 0);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *s = *state;

	inproc_check(s->seat.world);
	inproc_free(s->seat.world);
	return 0;
}

static uint64_t allocations(struct stage *s)
{
	inproc_check(s->seat.world);
	return checking_allocations(inproc_backend(s->seat.world, 0));
}

static int end(struct stage *s, uint64_t handle)
{
	return seat_context_free(&s->seat, s->seat.adapter, handle);
}

static void g2_an_idle_context_lets_go_at_once(void **state)
{
	struct stage *s = *state;

	assert_int_equal(seat_map(&s->seat, s->list[1], 0), 0);
	assert_int_equal(end(s, s->list[1]), 0);
	assert_int_equal(allocations(s), 5);
	assert_int_equal(seat_map(&s->seat, s->list[1], 0), -EINVAL);
	assert_int_equal(end(s, s->list[1]), -EINVAL);
	assert_int_equal(end(s, s->list[4]), 0);
	assert_int_equal(allocations(s), 4);
}

static void g2_queued_work_keeps_the_memory(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;

	assert_int_equal(seat_submit(q, s->a, 5, NULL, 0), 0);
	assert_int_equal(end(s, s->list[0]), 0);
	assert_int_equal(allocations(s), 6);
	/* Work that comes later cannot use it. */
	assert_int_equal(seat_submit(q, s->a, 9, NULL, 0), 0);
	assert_int_equal(seat_progress(q, s->a, 4), 0);
	assert_int_equal(allocations(s), 6);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_int_equal(allocations(s), 5);
}

static void g2_a_shared_one_waits_for_all_contexts(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;

	assert_int_equal(seat_submit(q, s->a, 5, NULL, 0), 0);
	assert_int_equal(seat_submit(q, s->b, 7, NULL, 0), 0);
	assert_int_equal(end(s, s->list[3]), 0);
	assert_int_equal(seat_progress(q, s->b, 7), 0);
	assert_int_equal(allocations(s), 6);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_int_equal(allocations(s), 5);
}

static void they_go_with_their_context(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;
	uint64_t id;

	assert_int_equal(seat_submit(q, s->a, 5, NULL, 0), 0);
	assert_int_equal(seat_send_context_destroy(q, s->a, 0), BROKER_LATER);
	id = q->id;
	assert_int_equal(allocations(s), 6);
	assert_int_equal(seat_context_allocate(q, s->a, 0, 1, NULL), -EINVAL);
	assert_int_equal(seat_progress(q, s->a, 5), 0);
	assert_true(seat_heard(q, id));
	/* The ordinary one and the two that are shared. */
	assert_int_equal(allocations(s), 3);
	assert_int_equal(end(s, s->list[0]), -EINVAL);
	assert_int_equal(end(s, s->list[3]), 0);
	assert_int_equal(allocations(s), 2);
	assert_int_equal(seat_device_destroy(q, q->device), 0);
	assert_int_equal(allocations(s), 0);
}

static void an_idle_context_takes_its_memory_along(void **state)
{
	struct stage *s = *state;

	assert_int_equal(seat_context_destroy(&s->seat, s->a, 0), 0);
	assert_int_equal(allocations(s), 3);
}

static void g1_what_is_refused(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat, stranger;
	uint64_t other, second, first = q->device;

	assert_unchanged(q, end(s, s->ordinary), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	assert_unchanged(q, end(s, s->a), -EINVAL, TENURE_REASON_WRONG_TYPE);
	assert_unchanged(q, end(s, 0), -EINVAL,
			 TENURE_REASON_ALLOCATION_INVALID);
	assert_unchanged(q, end(s, ~s->list[0]), -EINVAL,
			 TENURE_REASON_ALLOCATION_INVALID);
	assert_unchanged(q, end(s, q->device), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	assert_unchanged(q, seat_context_free(q, s->a, s->list[0]), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	assert_unchanged(q, seat_context_free(q, 0, s->list[0]), -EINVAL,
			 TENURE_REASON_ADAPTER_INVALID);
	assert_int_equal(seat_adapter_open(q, "other", &other), 0);
	assert_unchanged(q, seat_context_free(q, other, s->list[0]), -EINVAL,
			 TENURE_REASON_ADAPTER_INVALID);
	/* L2 does not destroy them. */
	assert_unchanged(q, seat_destroy(q, 0, s->list, 1, 0), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	assert_unchanged(q, seat_context_allocate(q, s->a, 2, 1, NULL), -EINVAL,
			 TENURE_REASON_FLAGS_RESERVED);
	assert_unchanged(q, seat_context_allocate(q, s->a, 0, 0, NULL), -EINVAL,
			 TENURE_REASON_COUNT_ZERO);
	assert_unchanged(q, seat_context_allocate(q, s->ordinary, 0, 1, NULL),
			 -EINVAL, TENURE_REASON_WRONG_TYPE);
	assert_unchanged(q, seat_context_allocate(q, s->a, 0, 1022, NULL),
			 -EINVAL, TENURE_REASON_CONTEXT_FULL);
	assert_int_equal(seat_device_create(q, q->adapter, &second), 0);
	q->device = second;
	assert_unchanged(q, seat_context_allocate(q, s->a, 0, 1, NULL), -EINVAL,
			 TENURE_REASON_OTHER_DEVICE);
	/* By adapter and handle: the device does not matter. */
	assert_int_equal(end(s, s->list[0]), 0);
	q->device = first;
	seat_take_as(&stranger, q->world, 8);
	assert_unchanged(&stranger,
			 seat_context_free(&stranger, stranger.adapter,
					   s->list[1]),
			 -EINVAL, TENURE_REASON_ALLOCATION_INVALID);
}

static void a_context_holds_1024(void **state)
{
	static uint64_t many[CONTEXT_ALLOCATIONS_MAX];
	struct stage *s = *state;

	assert_int_equal(seat_context_allocate(&s->seat, s->b, 0, 1000, many),
			 0);
	assert_int_equal(
		seat_context_allocate(&s->seat, s->b, 0, 24, &many[1000]), 0);
	assert_int_equal(seat_context_allocate(&s->seat, s->b, 0, 1, NULL),
			 -EINVAL);
	assert_int_equal(seat_context_allocate(&s->seat, s->b, SHARED, 1, NULL),
			 0);
	for (int i = 0; i < CONTEXT_ALLOCATIONS_MAX; i += 2)
		assert_int_equal(end(s, many[i]), 0);
	assert_int_equal(allocations(s), 6 + 1 + CONTEXT_ALLOCATIONS_MAX / 2);
	assert_int_equal(seat_context_destroy(&s->seat, s->b, 0), 0);
	assert_int_equal(allocations(s), 7);
}

static void g1_a_backend_that_will_not(void **state)
{
	struct stage *s = *state;

	for (int n = 1; n <= 2; n++) {
		checking_fail(inproc_backend(s->seat.world, 0), CHECKING_OPEN,
			      (uint64_t)n, -ENOMEM);
		assert_int_equal(seat_context_allocate(&s->seat, s->a, 0, 2,
						       NULL),
				 -ENOMEM);
		assert_int_equal(allocations(s), 6);
	}
	checking_fail(inproc_backend(s->seat.world, 0), CHECKING_CREATE, 1,
		      -EMFILE);
	assert_unchanged(&s->seat,
			 (inproc_check(s->seat.world),
			  seat_context_allocate(&s->seat, 0, 0, 2, NULL)),
			 -EINVAL, TENURE_REASON_CONTEXT_INVALID);
	assert_int_equal(seat_context_allocate(&s->seat, s->a, 0, 2, NULL),
			 -EMFILE);
	assert_int_equal(allocations(s), 6);
}

#define on_stage(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_stage(g2_an_idle_context_lets_go_at_once),
		on_stage(g2_queued_work_keeps_the_memory),
		on_stage(g2_a_shared_one_waits_for_all_contexts),
		on_stage(they_go_with_their_context),
		on_stage(an_idle_context_takes_its_memory_along),
		on_stage(g1_what_is_refused),
		on_stage(a_context_holds_1024),
		on_stage(g1_a_backend_that_will_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
