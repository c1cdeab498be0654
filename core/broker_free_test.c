/* SPDX-License-Identifier: Apache-2.0 */
#include "core/broker.h"

#include "tests/support/random.h"
#include "tests/support/seat.h"

enum {
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED
};

static struct wire_reply refusals[LIST_ENTRIES_MAX];

static uint32_t free_many(struct seat *s, const uint64_t *handles,
			  uint32_t count)
{
	return inproc_free_each(s->world, s->client, handles, count, refusals);
}

/* The status of freeing one; the refusal is the seat's reply. */
static int free_handle(struct seat *s, uint64_t handle)
{
	uint32_t n = free_many(s, &handle, 1);

	s->reply.head = (struct wire_reply){ 0 };
	if (n == 0)
		return 0;
	assert_int_equal(n, 1);
	assert_int_equal(refusals[0].opcode, WIRE_OP_FREE);
	assert_int_equal(refusals[0].id, 0);
	assert_int_equal(refusals[0].index, WIRE_NO_INDEX);
	assert_int_equal(refusals[0].value[0], handle);
	s->reply.head = refusals[0];
	return refusals[0].status;
}

static void g1_what_may_be_freed(void **state)
{
	struct seat *s = *state, other;
	uint64_t of_device, resource, of_resource[3], shared, children[2];
	uint64_t token[2], opened, theirs[2];

	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &of_device), 0);
	assert_int_equal(seat_create(s, 0, RESOURCE, 3, &resource, of_resource),
			 0);
	assert_int_equal(seat_create(s, 0, SHARED, 2, &shared, children), 0);
	assert_int_equal(seat_share(s, shared, TENURE_RIGHT_READ, token), 0);
	seat_take_as(&other, s->world, 4);
	assert_int_equal(seat_open(&other, token, 2, &opened, theirs), 0);

	assert_int_equal(free_handle(s, of_device), 0);
	assert_int_equal(free_handle(s, of_resource[1]), 0);
	assert_int_equal(seat_slot(s, resource)->resource.count, 2);
	assert_int_equal(free_handle(s, resource), 0);
	assert_int_equal(free_handle(s, shared), 0);
	assert_int_equal(free_handle(&other, opened), 0);
	inproc_pump_all(s->world);
	inproc_check(s->world);
	assert_int_equal(seat_session(s)->n_allocations, 0);
	assert_int_equal(seat_session(&other)->n_resources, 0);
	assert_int_equal(seat_revoke(s, token), 0);
	inproc_pump_all(s->world);
	assert_int_equal(world_state(s->world)->n_objects, 0);
}

static void expect_refused(struct seat *s, uint64_t handle, int status,
			   enum tenure_reason reason)
{
	assert_unchanged(s, free_handle(s, handle), status, reason);
}

static void g1_what_may_not(void **state)
{
	struct seat *s = *state, other;
	uint64_t shared, children[2], token[2], opened, mine[2], stale[2];
	uint64_t theirs, resource;

	assert_int_equal(seat_create(s, 0, SHARED, 2, &shared, children), 0);
	assert_int_equal(seat_share(s, shared, TENURE_RIGHT_READ, token), 0);
	assert_int_equal(seat_open(s, token, 2, &opened, mine), 0);
	assert_int_equal(seat_create(s, 0, RESOURCE, 1, &resource, &stale[0]),
			 0);
	stale[1] = resource;
	assert_int_equal(seat_destroy(s, resource, NULL, 0, 0), 0);
	seat_take_as(&other, s->world, 4);
	assert_int_equal(seat_create(&other, 0, 0, 1, NULL, &theirs), 0);

	expect_refused(s, 0, -EINVAL, TENURE_REASON_ENTRY_ZERO);
	expect_refused(s, stale[0], -EINVAL, TENURE_REASON_ENTRY_INVALID);
	expect_refused(s, stale[1], -EINVAL, TENURE_REASON_RESOURCE_INVALID);
	expect_refused(s, children[0], -EINVAL, TENURE_REASON_ENTRY_OF_SHARED);
	expect_refused(s, mine[1], -EINVAL, TENURE_REASON_ENTRY_OF_SHARED);
	expect_refused(s, s->device, -EINVAL, TENURE_REASON_WRONG_TYPE);
	expect_refused(s, s->adapter, -EINVAL, TENURE_REASON_WRONG_TYPE);
	expect_refused(s, UINT64_MAX, -EINVAL, TENURE_REASON_ENTRY_INVALID);
	/* A foreign handle is what a stale or a made up one of its kind is. */
	theirs ^= seat_session(&other)->secret ^ seat_session(s)->secret;
	expect_refused(s, theirs, -EINVAL, TENURE_REASON_ENTRY_INVALID);
	expect_refused(s, s->device ^ UINT64_C(1) << 32, -EINVAL,
		       TENURE_REASON_ENTRY_INVALID);
}

/* What else a device owns has requests of its own. */
static void g1_other_kinds(void **state)
{
	struct seat *s = *state;
	uint64_t context, fence, scratch[2];

	assert_int_equal(seat_context_create(s, &context, NULL), 0);
	assert_int_equal(seat_fence_create(s, 1, &fence, NULL), 0);
	assert_int_equal(seat_context_allocate(s, context, 0, 1, &scratch[0]),
			 0);
	assert_int_equal(seat_context_allocate(s, context, 1, 1, &scratch[1]),
			 0);
	expect_refused(s, context, -EINVAL, TENURE_REASON_WRONG_TYPE);
	expect_refused(s, fence, -EINVAL, TENURE_REASON_WRONG_TYPE);
	expect_refused(s, scratch[0], -EINVAL, TENURE_REASON_WRONG_TYPE);
	expect_refused(s, scratch[1], -EINVAL, TENURE_REASON_WRONG_TYPE);
	inproc_check(s->world);
}

static void g1_no_oracle_in_any_bit(void **state)
{
	struct seat *s = *state, other;
	uint64_t theirs, native;
	struct random random = { 5 };

	seat_take_as(&other, s->world, 4);
	assert_int_equal(seat_create(&other, 0, 0, 1, NULL, &theirs), 0);
	native = theirs ^ seat_session(&other)->secret;
	for (uint32_t i = 0; i < 2000; i++) {
		uint64_t guess = native ^
				 (random_next(&random) & random_next(&random) &
				  random_next(&random));
		enum tenure_reason reason;

		guess ^= seat_session(s)->secret;
		if (guess == s->adapter || guess == s->device || guess == 0)
			continue;
		assert_int_equal(free_handle(s, guess), -EINVAL);
		reason = s->reply.head.reason;
		assert_true(reason == TENURE_REASON_ENTRY_INVALID ||
			    reason == TENURE_REASON_RESOURCE_INVALID);
	}
}

static void g1_of_a_removed_device(void **state)
{
	struct seat *s = *state;
	uint64_t handle, resource, child;

	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &handle), 0);
	assert_int_equal(seat_create(s, 0, RESOURCE, 1, &resource, &child), 0);
	assert_int_equal(seat_event(s, WIRE_TEST_DEVICE_ERROR, s->device, 0),
			 0);
	assert_int_equal(free_handle(s, handle), 0); /* A08 */
	inproc_pump_by_itself(s->world, false);
	assert_int_equal(seat_event(s, WIRE_TEST_ADAPTER_STOP, 0, s->adapter),
			 0);
	expect_refused(s, resource, -ENODEV, TENURE_REASON_DEVICE_REMOVED);
	expect_refused(s, child, -ENODEV, TENURE_REASON_DEVICE_REMOVED);
	inproc_pump_all(s->world);
	inproc_check(s->world);
}

static void g1_on_the_device_that_it_belongs_to(void **state)
{
	struct seat *s = *state;
	uint64_t handles[8], device;

	for (int i = 0; i < 8; i++) {
		assert_int_equal(seat_device_create(s, s->adapter, &device), 0);
		s->device = device;
		assert_int_equal(seat_create(s, 0, 0, 1, NULL, &handles[i]), 0);
	}
	assert_int_equal(free_many(s, handles, 8), 0);
	assert_int_equal(seat_session(s)->n_allocations, 0);
	inproc_pump_all(s->world);
	inproc_check(s->world);
}

static void g2_refusals_stand_alone(void **state)
{
	struct seat *s = *state;
	uint64_t handles[LIST_ENTRIES_MAX];
	uint64_t before = world_state(s->world)->refused_total;
	uint32_t n = 0;

	assert_int_equal(seat_create(s, 0, 0, LIST_ENTRIES_MAX, NULL, handles),
			 0);
	for (uint32_t i = 0; i < LIST_ENTRIES_MAX; i += 7)
		handles[i] ^= UINT64_C(1) << 40;
	assert_int_equal(free_many(s, handles, LIST_ENTRIES_MAX), 147);
	for (uint32_t i = 0; i < LIST_ENTRIES_MAX; i += 7)
		assert_int_equal(refusals[n++].value[0], handles[i]);
	assert_int_equal(seat_session(s)->n_allocations, 147);
	assert_int_equal(world_state(s->world)->refused_total, before + 147);
	inproc_pump_all(s->world);
	inproc_check(s->world);
	for (uint32_t i = 0; i < LIST_ENTRIES_MAX; i++)
		handles[i] ^= i % 7 == 0 ? UINT64_C(1) << 40 : 0;
	assert_int_equal(free_many(s, handles, LIST_ENTRIES_MAX),
			 LIST_ENTRIES_MAX - 147);
	assert_int_equal(seat_session(s)->n_allocations, 0);
}

static void g3_the_same_handle_twice(void **state)
{
	struct seat *s = *state;
	uint64_t handle, list[3];

	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &handle), 0);
	list[0] = list[1] = list[2] = handle;
	assert_int_equal(free_many(s, list, 3), 2);
	assert_int_equal(refusals[1].reason, TENURE_REASON_ENTRY_INVALID);
	inproc_pump_all(s->world);
	inproc_check(s->world);
}

static void a_child_after_its_resource(void **state)
{
	struct seat *s = *state;
	uint64_t list[3];

	assert_int_equal(seat_create(s, 0, RESOURCE, 2, &list[1], &list[0]), 0);
	assert_int_equal(seat_create(s, 0, RESOURCE, 1, &list[1], &list[2]), 0);
	assert_int_equal(free_many(s, list, 3), 1);
	assert_int_equal(refusals[0].value[0], list[2]);
	assert_int_equal(refusals[0].reason, TENURE_REASON_ENTRY_INVALID);
}

/* Without memory for the queue nothing is freed, and each is told so. */
static void without_memory(void **state)
{
	struct seat *s = *state;
	uint64_t handles[LIST_ENTRIES_MAX], first[LIST_ENTRIES_MAX];
	uint32_t n, rounds = 0;

	inproc_releases(s->world, INPROC_RELEASES_HELD);
	/* A create makes sure of what it needs to take itself back, so twice
	 * as many frees, until they need chunks that are not there. */
	do {
		assert_int_equal(
			seat_create(s, 0, 0, LIST_ENTRIES_MAX, NULL, first), 0);
		assert_int_equal(seat_create(s, 0, 0, LIST_ENTRIES_MAX, NULL,
					     handles),
				 0);
		assert_int_equal(free_many(s, first, LIST_ENTRIES_MAX), 0);
		world_fail_commit(s->world, 1);
		n = free_many(s, handles, LIST_ENTRIES_MAX);
		world_fail_commit(s->world, 0);
		assert_true(rounds++ < 1000);
	} while (n == 0);
	assert_int_equal(n, LIST_ENTRIES_MAX);
	for (uint32_t i = 0; i < LIST_ENTRIES_MAX; i++) {
		assert_int_equal(refusals[i].status, -ENOMEM);
		assert_int_equal(refusals[i].reason,
				 TENURE_REASON_DAEMON_MEMORY);
	}
	inproc_check(s->world);
	assert_int_equal(free_many(s, handles, LIST_ENTRIES_MAX), 0);
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(s->world);
	inproc_check(s->world);
}

static void a_few_children_at_a_time(void **state)
{
	enum { MANY = 5, AT_ONCE = FREES_CHILDREN_MAX / RESOURCE_CHILDREN_MAX };
	static uint64_t children[RESOURCE_CHILDREN_MAX];
	struct seat *s = *state;
	uint64_t handles[MANY + 1];
	uint32_t done, at = 0;

	for (int i = 0; i < MANY; i++)
		assert_int_equal(seat_create(s, 0, RESOURCE,
					     RESOURCE_CHILDREN_MAX, &handles[i],
					     children),
				 0);
	handles[MANY] = 4711;
	while (at < MANY / AT_ONCE * AT_ONCE) {
		assert_int_equal(broker_free_some(inproc_broker(s->world),
						  s->client, &handles[at],
						  MANY + 1 - at, 1, refusals,
						  &done),
				 0);
		assert_int_equal(done, AT_ONCE);
		at += done;
	}
	assert_int_equal(seat_session(s)->n_resources, MANY - at);
	/* The others, and one that is refused; and the same all at once. */
	assert_int_equal(broker_free_some(inproc_broker(s->world), s->client,
					  &handles[at], MANY + 1 - at, 1,
					  refusals, &done),
			 1);
	assert_int_equal(done, MANY + 1 - at);
	assert_int_equal(refusals[0].value[0], 4711);
	assert_int_equal(free_many(s, handles, MANY + 1), MANY + 1);
	inproc_pump_all(s->world);
	inproc_check(s->world);
}

static void nothing_to_free(void **state)
{
	struct seat *s = *state;

	assert_int_equal(free_many(s, NULL, 0), 0);
}

#define SEAT_TEST(name) \
	cmocka_unit_test_setup_teardown(name, seat_set_up, seat_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEAT_TEST(g1_what_may_be_freed),
		SEAT_TEST(g1_what_may_not),
		SEAT_TEST(g1_other_kinds),
		SEAT_TEST(g1_no_oracle_in_any_bit),
		SEAT_TEST(g1_of_a_removed_device),
		SEAT_TEST(g1_on_the_device_that_it_belongs_to),
		SEAT_TEST(g2_refusals_stand_alone),
		SEAT_TEST(g3_the_same_handle_twice),
		SEAT_TEST(a_child_after_its_resource),
		SEAT_TEST(without_memory),
		SEAT_TEST(a_few_children_at_a_time),
		SEAT_TEST(nothing_to_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
