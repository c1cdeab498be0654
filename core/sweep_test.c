/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sweep.h"

#include "tests/support/seat.h"

enum { RESOURCE = TENURE_CREATE_RESOURCE, N = 700 };

/* On the adapter whose backend hears of readers only. */
static int set_up(void **state)
{
	static struct seat seat;
	struct inproc_config config;
	uint64_t adapter, device;

	inproc_config_default(&config);
	config.memfds = false;
	config.tick_budget = 1024;
	seat_take(&seat, inproc_new(&config));
	assert_int_equal(seat_adapter_open(&seat, "other", &adapter), 0);
	assert_int_equal(seat_device_create(&seat, adapter, &device), 0);
	seat.device = device;
	*state = &seat;
	return 0;
}

static struct checking *backend_of(const struct seat *s)
{
	return inproc_backend(s->world, 1);
}

static uint64_t destroys(const struct seat *s)
{
	return checking_calls(backend_of(s), CHECKING_DESTROY);
}

/* The n-th last call; how many allocations it has released. */
static uint32_t released_by(const struct seat *s, uint32_t back)
{
	struct checking_record record;

	assert_true(checking_record(backend_of(s), back, &record));
	assert_int_equal(record.resource_in, 0);
	return record.count;
}

/* 700 in full jobs, whatever lies in the table: one job looks at 256, words of
 * the map included. */
static void g1_full_jobs(void **state)
{
	struct seat *s = *state;
	uint64_t list[N], before;
	uint32_t n = 0;

	assert_int_equal(seat_create(s, 0, 0, N, NULL, list), 0);
	before = destroys(s);
	assert_int_equal(seat_device_destroy(s, s->device), 0);
	assert_int_equal(destroys(s) - before, 3);
	for (uint32_t i = 0; i < 3; i++)
		n += released_by(s, i);
	assert_int_equal(n, N);
	assert_in_range(released_by(s, 2), SWEEP_SLOTS - 5, SWEEP_SLOTS);
	assert_int_equal(checking_allocations(backend_of(s)), 0);
	inproc_check(s->world);
}

/* Holes, resources and what is in them, and a second segment. */
static void g1_what_lies_between(void **state)
{
	struct seat *s = *state;
	uint64_t list[N], children[300], resource;

	for (int round = 0; round < 3; round++) {
		assert_int_equal(seat_create(s, 0, 0, N, NULL, list), 0);
		for (int i = round; i < N; i += 3)
			assert_int_equal(seat_destroy(s, 0, &list[i], 1, 0), 0);
		assert_int_equal(seat_create(s, 0, RESOURCE, 300, &resource,
					     children),
				 0);
	}
	inproc_check(s->world);
	inproc_kill(s->world, s->client);
	assert_int_equal(checking_allocations(backend_of(s)), 0);
	assert_int_equal(checking_resources(backend_of(s)), 0);
	inproc_check(s->world);
}

/* As long as their job is out they are what they were. */
static void g1_alive_until_released(void **state)
{
	struct seat *s = *state;
	uint64_t list[3];
	const struct slot *slot;

	assert_int_equal(seat_create(s, 0, 0, 3, NULL, list), 0);
	slot = seat_slot(s, list[1]);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	inproc_pump_by_itself(s->world, false);
	seat_send_device_destroy(s, s->device, 0);
	for (int i = 0; i < 10; i++)
		inproc_pump(s->world);
	assert_int_equal(inproc_releases_out(s->world), 1);
	assert_int_equal(slot_state(slot), SLOT_LIVE);
	assert_int_equal(seat_session(s)->n_allocations, 3);
	/* Though no request can name them. */
	assert_int_equal(seat_destroy(s, 0, list, 1, 0), -ENODEV);
	inproc_check(s->world);
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	inproc_pump_by_itself(s->world, true);
	inproc_pump_all(s->world);
	assert_int_equal(slot_state(slot), SLOT_FREE);
	assert_int_equal(seat_session(s)->n_allocations, 0);
	inproc_check(s->world);
}

/* Work of one context and of several used them: that is forgotten. */
static void g1_what_was_used(void **state)
{
	struct seat *s = *state;
	uint64_t list[4], context[2];

	assert_int_equal(seat_create(s, 0, 0, 4, NULL, list), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(seat_context_create(s, &context[i], NULL), 0);
		assert_int_equal(seat_submit(s, context[i], 5, list + i, 2), 0);
	}
	assert_int_equal(seat_session(s)->n_users, 1);
	inproc_kill(s->world, s->client);
	assert_int_equal(checking_allocations(backend_of(s)), 0);
	inproc_check(s->world);
}

static void g2_the_same_ones_again(void **state)
{
	struct seat *s = *state;
	struct checking_record first, again;
	uint64_t list[N], failures, handle;

	assert_int_equal(seat_create(s, 0, 0, N, NULL, list), 0);
	handle = seat_slot(s, list[0])->allocation.backing;
	failures = world_state(s->world)->release_failures_total;
	checking_fail(backend_of(s), CHECKING_DESTROY, 1, -EIO);
	assert_int_equal(seat_device_destroy(s, s->device), 0);
	assert_int_equal(world_state(s->world)->release_failures_total,
			 failures + 1);
	assert_true(checking_record(backend_of(s), 2, &first));
	assert_int_equal(first.first_allocation, handle);
	assert_true(checking_record(backend_of(s), 1, &again));
	assert_int_not_equal(again.first_allocation, handle);
	assert_int_equal(checking_allocations(backend_of(s)), 0);
	inproc_check(s->world);
}

/* Every slot of a job is pinned: all of them find room in the stream. */
static void g3_pinned_ones_stay(void **state)
{
	struct seat *s = *state;
	uint64_t list[N];
	struct slot *slots[N];

	assert_int_equal(seat_create(s, 0, 0, N, NULL, list), 0);
	for (int i = 0; i < N; i++)
		slots[i] = seat_pin(s, list[i]);
	inproc_pump_by_itself(s->world, false);
	seat_send_device_destroy(s, s->device, 0);
	world_fail_commit(s->world, 1);
	for (int i = 0; i < 10; i++)
		inproc_pump(s->world);
	/* The memory of the first job is back, and its slots are dead. */
	assert_in_range(N - checking_allocations(backend_of(s)),
			SWEEP_SLOTS - 5, SWEEP_SLOTS);
	assert_int_equal(slot_state(slots[0]), SLOT_RETIRED);
	assert_int_equal(slot_state(slots[N - 1]), SLOT_LIVE);
	assert_int_equal(slots[0]->allocation.size_bytes, PAGE_BYTES);
	assert_int_equal(seat_session(s)->n_retired,
			 N - checking_allocations(backend_of(s)));
	for (int i = 0; i < N; i++)
		table_unpin(slots[i]);
	/* Some have been set aside (core/pinned.c). */
	for (int i = 0; i <= N / PINNED_AT_ONCE + 1; i++) {
		inproc_advance_ns(s->world, PINNED_PERIOD_NS);
		inproc_pump_all(s->world);
	}
	world_fail_commit(s->world, 0);
	inproc_pump_by_itself(s->world, true);
	assert_int_equal(slot_state(slots[0]), SLOT_FREE);
	assert_int_equal(checking_allocations(backend_of(s)), 0);
	assert_int_equal(seat_session(s)->n_retired, 0);
	inproc_check(s->world);
}

/* However many are pinned: what is set aside is more than one job leaves. */
static void g3_thousands_pinned(void **state)
{
	enum { MANY = 24 * LIST_ENTRIES_MAX };
	static struct slot *slots[MANY];
	struct seat *s = *state;

	for (uint32_t i = 0; i < MANY; i += LIST_ENTRIES_MAX) {
		uint64_t list[LIST_ENTRIES_MAX];

		assert_int_equal(
			seat_create(s, 0, 0, LIST_ENTRIES_MAX, NULL, list), 0);
		for (uint32_t k = 0; k < LIST_ENTRIES_MAX; k++)
			slots[i + k] = seat_pin(s, list[k]);
	}
	inproc_pump_by_itself(s->world, false);
	seat_send_device_destroy(s, s->device, 0);
	while (inproc_pump(s->world))
		;
	assert_int_equal(checking_allocations(backend_of(s)), 0);
	assert_int_equal(seat_session(s)->n_pinned, MANY);
	for (uint32_t i = 0; i < MANY; i++)
		table_unpin(slots[i]);
	while (seat_session(s)->n_pinned > 0) {
		inproc_advance_ns(s->world, PINNED_PERIOD_NS);
		inproc_pump_all(s->world);
	}
	inproc_pump_by_itself(s->world, true);
	inproc_check(s->world);
}

/* At its last generation: the slot is used up, the others are not. */
static void used_up(void **state)
{
	struct seat *s = *state;
	struct slot *slot;
	uint64_t list[3];

	assert_int_equal(seat_create(s, 0, 0, 3, NULL, list), 0);
	slot = seat_slot(s, list[1]);
	store_relaxed_u64(&slot->control,
			  control_make(SLOT_GENERATION_MAX - 1, SLOT_LIVE) |
				  (uint64_t)KIND_ALLOCATION << SLOT_KIND_SHIFT);
	assert_int_equal(seat_device_destroy(s, s->device), 0);
	assert_int_equal(slot_state(slot), SLOT_DEAD);
	inproc_check(s->world);
}

/* Whatever the budget is, a step of it goes on where the last one stopped. */
static void g1_in_small_steps(void **state)
{
	struct seat *s = *state;
	uint64_t list[N];

	assert_int_equal(seat_create(s, 0, 0, N, NULL, list), 0);
	for (int i = 0; i < N; i++)
		if (i % 50 != 7)
			assert_int_equal(seat_destroy(s, 0, &list[i], 1, 0), 0);
	inproc_pump_by_itself(s->world, false);
	seat_send_device_destroy(s, s->device, 0);
	for (uint32_t i = 0; checking_allocations(backend_of(s)) > 0; i++) {
		static struct release job;

		assert_in_range(i, 0, 500);
		broker_tick(inproc_broker(s->world), 1, 1 + i % 3);
		while (broker_next_release(inproc_broker(s->world), &job)) {
			assert_int_equal(job.args.count, N / 50);
			assert_int_equal(checking_destroy_begin(backend_of(s),
								&job.args),
					 0);
			checking_destroy_end(backend_of(s), job.args.client);
			broker_release_done(inproc_broker(s->world),
					    job.args.client, 0,
					    job.args.resource, 1);
		}
	}
	inproc_pump_by_itself(s->world, true);
	inproc_pump_all(s->world);
	inproc_check(s->world);
}

int main(void)
{
#define SEATED(test) \
	cmocka_unit_test_setup_teardown(test, set_up, seat_tear_down)
	const struct CMUnitTest tests[] = {
		SEATED(g1_full_jobs),
		SEATED(g1_what_lies_between),
		SEATED(g1_alive_until_released),
		SEATED(g1_what_was_used),
		SEATED(g1_in_small_steps),
		SEATED(g2_the_same_ones_again),
		SEATED(g3_pinned_ones_stay),
		SEATED(g3_thousands_pinned),
		SEATED(used_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
