/* SPDX-License-Identifier: Apache-2.0 */
#include "core/destroy.h"

#include "tests/support/random.h"
#include "tests/support/seat.h"

enum {
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED,
	SYNC = TENURE_DESTROY_SYNCHRONOUS,
	ASSUME = TENURE_DESTROY_ASSUME_NOT_IN_USE
};

/* One bad entry in a long list, at some places; nothing has changed. */
static void g1_all_or_nothing(void **state)
{
	static const uint32_t places[] = { 0, 1, 500, 1022, 1023 };
	static uint64_t list[LIST_ENTRIES_MAX];
	struct seat *s = *state;

	assert_int_equal(seat_create(s, 0, 0, LIST_ENTRIES_MAX, NULL, list), 0);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint64_t saved = list[places[i]];

		list[places[i]] = saved ^ UINT64_C(1) << 60;
		assert_unchanged(s,
				 seat_destroy(s, 0, list, LIST_ENTRIES_MAX, 0),
				 -EINVAL, TENURE_REASON_ENTRY_INVALID);
		assert_int_equal(s->reply.head.index, places[i]);
		list[places[i]] = saved;
	}
	assert_int_equal(seat_destroy(s, 0, list, LIST_ENTRIES_MAX, 0), 0);
	assert_unchanged(s, seat_destroy(s, 0, list, 1, 0), -EINVAL,
			 TENURE_REASON_ENTRY_INVALID);
}

static void g1_without_room_in_the_stream(void **state)
{
	static uint64_t list[LIST_ENTRIES_MAX];
	struct seat *s = *state;
	uint32_t before;
	uint64_t n = 0;

	inproc_releases(s->world, INPROC_RELEASES_HELD);
	/* Until a destroy needs chunks that are not there. */
	for (;;) {
		assert_int_equal(
			seat_create(s, 0, 0, LIST_ENTRIES_MAX, NULL, list), 0);
		before = seat_session(s)->n_allocations;
		world_fail_commit(s->world, 1);
		if (seat_destroy(s, 0, list, LIST_ENTRIES_MAX,
				 SYNC * (n % 2)) != 0)
			break;
		world_fail_commit(s->world, 0);
		assert_true(n++ < 1000);
	}
	world_fail_commit(s->world, 0);
	assert_int_equal(s->reply.head.status, -ENOMEM);
	assert_int_equal(s->reply.head.reason, TENURE_REASON_DAEMON_MEMORY);
	assert_int_equal(seat_session(s)->n_allocations, before);
	inproc_check(s->world);
	assert_int_equal(seat_destroy(s, 0, list, LIST_ENTRIES_MAX, 0), 0);
}

/* The checking backend ends the program at a destroy before a close. */
static void g2_closed_at_once_and_first(void **state)
{
	struct seat *s = *state;
	struct checking *backend = inproc_backend(s->world, 0);
	uint64_t resource, children[4], own[3];

	inproc_releases(s->world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_create(s, 0, RESOURCE, 4, &resource, children),
			 0);
	assert_int_equal(seat_create(s, 0, 0, 3, NULL, own), 0);
	assert_int_equal(checking_openings(backend), 4);
	assert_int_equal(seat_destroy(s, 0, own, 3, 0), 0);
	assert_int_equal(checking_openings(backend), 1);
	assert_int_equal(seat_destroy(s, 0, children, 2, 0), 0);
	assert_int_equal(checking_calls(backend, CHECKING_CLOSE), 5);
	assert_int_equal(seat_destroy(s, resource, NULL, 0, 0), 0);
	assert_int_equal(checking_openings(backend), 0);
	/* B03: one call for the whole group. */
	assert_int_equal(checking_calls(backend, CHECKING_CLOSE), 6);
	assert_int_equal(checking_calls(backend, CHECKING_DESTROY), 0);
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(s->world);
	assert_int_equal(checking_calls(backend, CHECKING_DESTROY), 3);
}

/* Runs until the answer has come, and says when the memory had gone. */
static void expect_answer_after_release(struct seat *s, uint64_t stores)
{
	struct checking *backend = inproc_backend(s->world, 0);
	uint64_t id = s->id;

	inproc_pump_all(s->world);
	inproc_check(s->world);
	assert_false(seat_heard(s, id));
	inproc_releases(s->world, INPROC_RELEASES_RANDOM);
	while (!seat_heard(s, id))
		assert_true(inproc_pump(s->world));
	assert_int_equal(s->reply.head.status, 0);
	assert_int_equal(checking_stores(backend), stores);
	inproc_check(s->world);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
}

static void g3_answered_after_the_release(void **state)
{
	static uint64_t list[600];
	struct seat *s = *state;
	uint64_t resource;

	inproc_releases(s->world, INPROC_RELEASES_HELD);
	for (uint32_t flags = SYNC; flags <= (SYNC | ASSUME); flags++) {
		assert_int_equal(seat_create(s, 0, 0, 600, NULL, list), 0);
		assert_int_equal(seat_send_destroy(s, 0, list, 600, flags),
				 BROKER_LATER);
		expect_answer_after_release(s, 0);
		assert_int_equal(
			seat_create(s, 0, RESOURCE, 9, &resource, list), 0);
		assert_int_equal(seat_send_destroy(s, 0, &list[3], 2, flags),
				 BROKER_LATER);
		expect_answer_after_release(s, 1);
		assert_int_equal(seat_send_destroy(s, resource, NULL, 0, flags),
				 BROKER_LATER);
		expect_answer_after_release(s, 0);
		assert_int_equal(seat_create(s, 0, SHARED, 9, &resource, NULL),
				 0);
		assert_int_equal(seat_send_destroy(s, resource, NULL, 0, flags),
				 BROKER_LATER);
		expect_answer_after_release(s, 0);
	}
}

/* A72: nobody waits for a foreign opener. */
static void g3_only_for_this_opening(void **state)
{
	struct seat *s = *state, reader;
	uint64_t resource, opened, token[2];

	seat_take_as(&reader, s->world, 9);
	assert_int_equal(seat_create(s, 0, SHARED, 2, &resource, NULL), 0);
	assert_int_equal(seat_share(s, resource, 1, token), 0);
	assert_int_equal(seat_open(&reader, token, 2, &opened, NULL), 0);
	assert_int_equal(seat_revoke(s, token), 0);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_destroy(s, resource, NULL, 0, SYNC), 0);
	assert_int_equal(checking_stores(inproc_backend(s->world, 0)), 1);
	assert_int_equal(seat_send_destroy(&reader, opened, NULL, 0, SYNC),
			 BROKER_LATER);
	inproc_pump_all(s->world);
	assert_false(seat_heard(&reader, reader.id));
}

static void nothing_to_wait_for(void **state)
{
	struct seat *s = *state;

	assert_int_equal(seat_send_destroy(s, 0, NULL, 0, SYNC), BROKER_REPLY);
	assert_int_equal(s->reply.head.status, 0);
	assert_int_equal(seat_send_destroy(s, 0, (uint64_t[]){ 0 }, 0, SYNC),
			 BROKER_REPLY);
	assert_int_equal(s->reply.head.status, 0);
}

/* The run of a resource while it loses its children in any order. */
static void runs_keep_their_back_positions(void **state)
{
	enum { N = 200 };
	struct seat *s = *state;
	struct random random = { 51 };
	uint64_t resource, children[N];

	assert_int_equal(seat_create(s, 0, RESOURCE, N, &resource, children),
			 0);
	for (uint32_t n = N; n > 0;) {
		uint32_t k = 1 + random_below(&random, 5);
		uint64_t list[5];

		for (uint32_t i = 0; i < k && n > 0; i++) {
			uint32_t at = random_below(&random, n);

			list[i] = children[at];
			children[at] = children[--n];
			if (n == 0)
				k = i + 1;
		}
		assert_int_equal(seat_destroy(s, 0, list, k, 0), 0);
		assert_int_equal(seat_slot(s, resource)->resource.count, n);
		inproc_check(s->world);
	}
	/* A37 */
	assert_int_equal(seat_destroy(s, resource, NULL, 0, 0), 0);
	assert_int_equal(checking_resources(inproc_backend(s->world, 0)), 0);
}

/* Law 2: whatever was destroyed is dead for every request there is. */
static void a_dead_handle_is_dead_everywhere(void **state)
{
	struct seat *s = *state;
	uint64_t resource, children[2], token[2], keep;

	inproc_releases(s->world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_create(s, 0, SHARED, 2, &resource, children), 0);
	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &keep), 0);
	assert_int_equal(seat_destroy(s, resource, NULL, 0, 0), 0);
	for (int round = 0; round < 2; round++) {
		assert_unchanged(s, seat_destroy(s, resource, NULL, 0, 0),
				 -EINVAL, TENURE_REASON_RESOURCE_INVALID);
		assert_unchanged(s, seat_share(s, resource, 1, token), -EINVAL,
				 TENURE_REASON_RESOURCE_INVALID);
		assert_unchanged(s, seat_create(s, resource, 0, 1, NULL, NULL),
				 -EBADF, TENURE_REASON_RESOURCE_INVALID);
		for (int i = 0; i < 2; i++) {
			assert_unchanged(s,
					 seat_destroy(s, 0, &children[i], 1, 0),
					 -EINVAL, TENURE_REASON_ENTRY_INVALID);
			assert_unchanged(s, seat_map(s, children[i], 0),
					 -EINVAL,
					 TENURE_REASON_ALLOCATION_INVALID);
			assert_unchanged(s, seat_unmap(s, children[i]), -EINVAL,
					 TENURE_REASON_ALLOCATION_INVALID);
		}
		/* Once retired, once reclaimed. */
		inproc_releases(s->world, INPROC_RELEASES_PROMPT);
		inproc_pump_all(s->world);
	}
	assert_int_equal(seat_map(s, keep, 0), 0);
}

#define seated(test) \
	cmocka_unit_test_setup_teardown(test, seat_set_up, seat_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		seated(g1_all_or_nothing),
		seated(g1_without_room_in_the_stream),
		seated(g2_closed_at_once_and_first),
		seated(g3_answered_after_the_release),
		seated(g3_only_for_this_opening),
		seated(nothing_to_wait_for),
		seated(runs_keep_their_back_positions),
		seated(a_dead_handle_is_dead_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
