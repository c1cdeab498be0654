/* SPDX-License-Identifier: Apache-2.0 */
#include "core/reclaim.h"

#include "tests/support/random.h"
#include "tests/support/seat.h"

enum {
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED
};

static struct checking *backend_of(const struct seat *s)
{
	return inproc_backend(s->world, 0);
}

/* G1: the checking backend ends the program at a second release; that there
 * was a first one shows in its counts. Jobs at random times. */
static void g1_released_once_and_freed_once(void **state)
{
	enum { N = 60 };
	struct seat *s = *state;
	struct random random = { 61 };
	uint64_t handles[N];
	uint32_t n = 0;

	inproc_releases(s->world, INPROC_RELEASES_RANDOM);
	inproc_pump_by_itself(s->world, false);
	for (int i = 0; i < 3000; i++) {
		uint32_t k = 1 + random_below(&random, 5);

		if (random_chance(&random, 50) && n + k <= N) {
			assert_int_equal(
				seat_create(s, 0, 0, k, NULL, &handles[n]), 0);
			n += k;
		} else if (k <= n) {
			n -= k;
			assert_int_equal(seat_destroy(s, 0, &handles[n], k, 0),
					 0);
		}
		inproc_pump(s->world);
		if (i % 50 == 0)
			inproc_check(s->world);
	}
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(s->world);
	assert_int_equal(checking_allocations(backend_of(s)), n);
	assert_int_equal(seat_session(s)->n_retired, 0);
	inproc_check(s->world);
	inproc_pump_by_itself(s->world, true);
}

/* Whoever holds a pin delays the slot, and nobody but its owner's stream. */
static void g1_a_pinned_slot_waits(void **state)
{
	struct seat *s = *state, other;
	uint64_t resource, children[3], handle;
	struct slot *slot;

	seat_take(&other, s->world);
	assert_int_equal(seat_create(s, 0, RESOURCE, 3, &resource, children),
			 0);
	assert_int_equal(seat_create(&other, 0, 0, 1, NULL, &handle), 0);
	slot = seat_pin(s, children[1]);
	inproc_pump_by_itself(s->world, false);
	assert_int_equal(seat_destroy(s, resource, NULL, 0, 0), 0);
	assert_int_equal(seat_destroy(&other, 0, &handle, 1, 0), 0);
	for (int i = 0; i < 50; i++)
		inproc_pump(s->world);
	assert_int_equal(slot_state(slot), SLOT_RETIRED);
	assert_int_equal(slot->allocation.size_bytes, PAGE_BYTES);
	assert_int_equal(seat_session(s)->n_retired, 3);
	assert_int_equal(seat_session(&other)->n_retired, 0);
	/* The memory is back already; only the slot is not. */
	assert_int_equal(checking_stores(backend_of(s)), 0);
	table_unpin(slot);
	inproc_pump_by_itself(s->world, true);
	inproc_advance_ns(s->world, PINNED_PERIOD_NS);
	inproc_pump_all(s->world);
	assert_int_equal(seat_session(s)->n_retired, 0);
	inproc_check(s->world);
}

/* Length of the queue of jobs. */
static uint32_t jobs_ready(struct inproc *world)
{
	uint32_t n = 0, session = world_state(world)->jobs.head;

	for (; session != 0; n++)
		session = session_at(world_region(world), session)->job.next;
	return n;
}

/* Ten clients with a thousand dead allocations each; starting their jobs is
 * work as well, and one small tick does not do all of it. */
static void g2_starting_jobs_is_work(void **state)
{
	enum { CLIENTS = 10 };
	static uint64_t list[LIST_ENTRIES_MAX];
	struct seat *stage = *state, seats[CLIENTS];
	uint32_t before = 0;

	for (int kind = 0; kind < 2; kind++) {
		for (int i = 0; i < CLIENTS; i++) {
			struct seat *s = &seats[i];
			uint64_t resource;

			seat_take(s, stage->world);
			assert_int_equal(seat_create(s, 0, kind ? RESOURCE : 0,
						     1000, &resource, list),
					 0);
			inproc_pump_by_itself(stage->world, false);
			assert_int_equal(seat_destroy(s, kind ? resource : 0,
						      kind ? NULL : list,
						      kind ? 0 : 1000, 0),
					 0);
		}
		while (jobs_ready(stage->world) < CLIENTS) {
			before = jobs_ready(stage->world);
			broker_tick(inproc_broker(stage->world), 1, 64);
			assert_true(jobs_ready(stage->world) - before <= 1);
		}
		inproc_pump_by_itself(stage->world, true);
		for (int i = 0; i < CLIENTS; i++)
			inproc_kill(stage->world, seats[i].client);
	}
	inproc_check(stage->world);
}

static uint32_t spent_by_a_tick(struct inproc *world, uint32_t budget)
{
	uint32_t left = budget;

	broker_tick_budget(inproc_broker(world), 1, &left);
	return budget - left;
}

/* A job is paid for, with all that it hands out, when it starts. */
static void g2_a_tick_says_what_it_spent(void **state)
{
	struct seat *s = *state;
	uint64_t resource, list[100];

	inproc_pump_by_itself(s->world, false);
	for (int shared = 0; shared < 2; shared++) {
		assert_int_equal(spent_by_a_tick(s->world, 4096), 0);
		assert_int_equal(seat_create(s, 0, shared ? SHARED : 0, 100,
					     &resource, list),
				 0);
		assert_int_equal(seat_destroy(s, shared ? resource : 0,
					      shared ? NULL : list,
					      shared ? 0 : 100, 0),
				 0);
		assert_in_range(spent_by_a_tick(s->world, 4096), 101, 110);
		assert_int_equal(jobs_ready(s->world), 1);
		inproc_pump_all(s->world);
	}
	inproc_pump_by_itself(s->world, true);
}

/* Slots that were pinned when their memory came back, are freed one by one,
 * by ticks of any size. */
static void g2_a_tick_frees_no_more(void **state)
{
	enum { N = JOB_SLOTS_MAX };
	struct seat *s = *state;
	uint64_t list[N];
	struct slot *slot;
	uint32_t n = N;

	assert_int_equal(seat_create(s, 0, 0, N, NULL, list), 0);
	inproc_pump_by_itself(s->world, false);
	slot = seat_pin(s, list[0]);
	assert_int_equal(seat_destroy(s, 0, list, N, 0), 0);
	while (checking_allocations(backend_of(s)) > 0)
		inproc_pump(s->world);
	assert_int_equal(seat_session(s)->n_retired, N);
	/* A look at what is pinned is work, too, and ends with the budget. */
	assert_int_equal(spent_by_a_tick(s->world, 100), 100);
	table_unpin(slot);
	for (uint32_t budget = 1; n > 0; budget = budget * 3 / 2 + 1) {
		spent_by_a_tick(s->world, budget);
		assert_int_equal(n - seat_session(s)->n_retired,
				 min_u64(n, budget));
		n = (uint32_t)seat_session(s)->n_retired;
	}
	inproc_pump_by_itself(s->world, true);
}

/* Destroys of one client come out as they went in. */
static void g3_jobs_in_the_order_of_destroys(void **state)
{
	enum { N = 12 };
	struct seat *s = *state;
	uint64_t expected[N];
	struct checking_record record;

	inproc_releases(s->world, INPROC_RELEASES_HELD);
	for (uint32_t i = 0; i < N; i++) {
		uint64_t resource, handle;
		bool grouped = i % 2;

		assert_int_equal(seat_create(s, 0, grouped ? RESOURCE : 0, 1,
					     &resource, &handle),
				 0);
		expected[i] = seat_slot(s, handle)->allocation.backing;
		assert_int_equal(seat_destroy(s, grouped ? resource : 0,
					      grouped ? NULL : &handle,
					      grouped ? 0 : 1, 0),
				 0);
	}
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(s->world);
	for (uint32_t i = 0; i < N; i++) {
		assert_true(checking_record(backend_of(s), N - 1 - i, &record));
		assert_int_equal(record.first_allocation, expected[i]);
		assert_int_equal(record.count, 1);
		assert_int_equal(record.flags,
				 i % 2 ? BACKEND_DESTROY_RESOURCE : 0);
		assert_int_equal(record.resource_in != 0, i % 2);
	}
}

/* A burst of small destroys is one call, a longer one several. */
static void bursts_go_together(void **state)
{
	enum { N = JOB_SLOTS_MAX };
	static uint64_t list[N];
	struct seat *s = *state;
	struct checking_record record;
	uint64_t before = checking_calls(backend_of(s), CHECKING_DESTROY);

	inproc_pump_by_itself(s->world, false);
	assert_int_equal(seat_create(s, 0, 0, N, NULL, list), 0);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(seat_destroy(s, 0, &list[i], 1, 0), 0);
	assert_int_equal(seat_create(s, 0, 0, 10, NULL, list), 0);
	assert_int_equal(seat_destroy(s, 0, list, 10, 0), 0);
	inproc_pump_all(s->world);
	assert_int_equal(checking_calls(backend_of(s), CHECKING_DESTROY),
			 before + 2);
	assert_true(checking_record(backend_of(s), 1, &record));
	assert_int_equal(record.count, N);
	assert_true(checking_record(backend_of(s), 0, &record));
	assert_int_equal(record.count, 10);
	inproc_pump_by_itself(s->world, true);
}

/* A job takes what follows as long as its bytes allow, and one item always. */
static void jobs_are_limited_in_bytes(void **state)
{
	enum { N = 7 };
	/* In quarters of what a job may give back. */
	static const uint64_t quarters[N] = { 2, 1, 1, 1, 9, 2, 3 };
	enum { JOBS = 5 };
	static const uint32_t jobs[JOBS] = { 3, 1, 1, 1, 1 };
	struct seat *s = *state;
	struct wire_allocation sizes[N] = { 0 };
	struct checking_record record;
	uint64_t list[N];

	for (int i = 0; i < N; i++)
		sizes[i].size_bytes = quarters[i] * JOB_BYTES_MAX / 4;
	assert_int_equal(seat_ask(s,
				  (struct wire_request){
					  .opcode = WIRE_OP_CREATE,
					  .device = s->device,
					  .count = N,
				  },
				  sizes, sizeof(sizes)),
			 0);
	memcpy(list, s->reply.data, sizeof(list));
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_destroy(s, 0, list, N, 0), 0);
	/* The first one fails, and comes again as it was. */
	checking_fail(backend_of(s), CHECKING_DESTROY, 1, -EIO);
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(s->world);
	for (uint32_t i = 0; i < JOBS; i++) {
		assert_true(
			checking_record(backend_of(s), JOBS - 1 - i, &record));
		assert_int_equal(record.count, jobs[i]);
	}
	assert_int_equal(checking_allocations(backend_of(s)), 0);
	inproc_check(s->world);
}

/* B20: each call may replace hResource, and the next one has the new value;
 * the checking backend takes no other. */
static void hresource_goes_in_and_out(void **state)
{
	struct seat *s = *state;
	struct checking_record record;
	uint64_t resource, children[6], last = 0;

	assert_int_equal(seat_create(s, 0, RESOURCE, 6, &resource, children),
			 0);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(seat_destroy(s, 0, &children[i], 1, 0), 0);
		assert_true(checking_record(backend_of(s), 0, &record));
		assert_int_equal(record.flags, 0);
		if (i > 0)
			assert_int_equal(record.resource_in, last);
		assert_int_not_equal(record.resource_out, record.resource_in);
		last = record.resource_out;
	}
	/* It can grow again, with the value that it has now. */
	assert_int_equal(seat_create(s, resource, 0, 2, NULL, children), 0);
	assert_int_equal(seat_destroy(s, 0, children, 2, 0), 0);
	/* B22, A37 */
	assert_int_equal(seat_destroy(s, resource, NULL, 0, 0), 0);
	assert_true(checking_record(backend_of(s), 0, &record));
	assert_int_equal(record.count, 0);
	assert_int_equal(record.flags, BACKEND_DESTROY_RESOURCE);
	assert_int_equal(checking_resources(backend_of(s)), 0);
}

/* A84, for a job of each kind: counted, handed out again, and released. */
static void a_job_that_fails_comes_again(void **state)
{
	struct seat *s = *state, reader;
	struct state *totals = world_state(s->world);

	seat_take_as(&reader, s->world, 9);
	for (int kind = 0; kind < 4; kind++) {
		static const uint32_t flags[] = { 0, RESOURCE, SHARED, SHARED };
		uint64_t resource, handles[3], token[2], done;
		uint64_t failures = totals->release_failures_total;

		assert_int_equal(seat_create(s, 0, flags[kind], 3, &resource,
					     handles),
				 0);
		if (kind == 3) {
			/* The last hold is a token's. */
			assert_int_equal(seat_share(s, resource, 1, token), 0);
			assert_int_equal(seat_destroy(s, resource, NULL, 0, 0),
					 0);
		}
		done = totals->released_bytes_total;
		inproc_pump_by_itself(s->world, false);
		checking_fail(backend_of(s), CHECKING_DESTROY, 1, -EIO);
		if (kind == 3)
			assert_int_equal(seat_revoke(s, token), 0);
		else
			assert_int_equal(seat_destroy(s, kind ? resource : 0,
						      kind ? NULL : handles,
						      kind ? 0 : 3, 0),
					 0);
		while (totals->release_failures_total == failures)
			assert_true(inproc_pump(s->world));
		inproc_check(s->world);
		/* Dead for the client, charged, and not released. */
		assert_int_equal(seat_destroy(s, 0, handles, 1, 0), -EINVAL);
		assert_int_equal(principal_at(&world_env(s->world)->region,
					      seat_session(s)->principal)
					 ->account.used[CHARGE_BYTES],
				 3 * PAGE_BYTES);
		assert_int_equal(totals->released_bytes_total, done);
		inproc_pump_by_itself(s->world, true);
		inproc_pump_all(s->world);
		assert_int_equal(totals->release_failures_total, failures + 1);
		assert_int_equal(totals->released_bytes_total,
				 done + 3 * PAGE_BYTES);
		assert_int_equal(checking_stores(backend_of(s)), 0);
		inproc_check(s->world);
	}
}

/* A client's garbage delays that client alone. */
static void garbage_delays_whoever_made_it(void **state)
{
	static uint64_t list[LIST_ENTRIES_MAX];
	struct seat *s = *state, other;
	uint64_t handle, id;
	int ticks = 0;

	seat_take(&other, s->world);
	inproc_pump_by_itself(s->world, false);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(
			seat_create(s, 0, 0, LIST_ENTRIES_MAX, NULL, list), 0);
		assert_int_equal(seat_destroy(s, 0, list, LIST_ENTRIES_MAX, 0),
				 0);
	}
	assert_int_equal(seat_create(&other, 0, 0, 1, NULL, &handle), 0);
	assert_int_equal(seat_send_destroy(&other, 0, &handle, 1,
					   TENURE_DESTROY_SYNCHRONOUS),
			 BROKER_LATER);
	id = other.id;
	while (!seat_heard(&other, id)) {
		inproc_pump(s->world);
		ticks++;
	}
	assert_true(ticks < 50);
	assert_true(seat_session(s)->n_retired > 10000);
	inproc_pump_by_itself(s->world, true);
	inproc_pump_all(s->world);
	assert_int_equal(seat_session(s)->n_retired, 0);
}

/* Within one large tick, too, everybody has a turn. */
static void turns_within_one_tick(void **state)
{
	enum { N = 1000 };
	struct seat *s = *state, other;
	uint64_t list[N], context, handle;

	seat_take(&other, s->world);
	assert_int_equal(seat_create(s, 0, 0, N, NULL, list), 0);
	assert_int_equal(seat_context_create(s, &context, NULL), 0);
	assert_int_equal(seat_submit(s, context, 5, list, N), 0);
	assert_int_equal(seat_create(&other, 0, 0, 1, NULL, &handle), 0);
	inproc_pump_by_itself(s->world, false);
	assert_int_equal(seat_destroy(s, 0, list, N, 0), 0);
	/* A thousand can be moved now, and one has to be released. */
	assert_int_equal(seat_progress(s, context, 5), 0);
	assert_int_equal(seat_destroy(&other, 0, &handle, 1, 0), 0);
	broker_tick(inproc_broker(s->world), 1, 512);
	assert_int_equal(jobs_ready(s->world), 1);
	assert_int_equal(seat_session(&other)->job.phase, JOB_READY);
	assert_true(seat_session(s)->n_parked > 0);
	inproc_pump_by_itself(s->world, true);
	inproc_pump_all(s->world);
	assert_int_equal(seat_session(s)->n_retired, 0);
}

static void nothing_to_do(void **state)
{
	static struct release release;
	struct seat *s = *state;
	struct broker *broker = inproc_broker(s->world);

	assert_false(broker_tick(broker, 1, 1000));
	assert_false(broker_tick(broker, 1, 0));
	assert_false(broker_next_release(broker, &release));
}

static void done_that_is_not_out(void *argument)
{
	struct seat *s = argument;

	broker_release_done(inproc_broker(s->world), s->client, 0, 0, 1);
}

static void only_a_job_that_is_out_comes_back(void **state)
{
	assert_asserts(done_that_is_not_out, *state);
}

#define seated(test)                                                      \
	cmocka_unit_test_setup_teardown(test, seat_set_up_without_memfds, \
					seat_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		seated(g1_released_once_and_freed_once),
		seated(g1_a_pinned_slot_waits),
		seated(g2_starting_jobs_is_work),
		seated(g2_a_tick_says_what_it_spent),
		seated(g2_a_tick_frees_no_more),
		seated(g3_jobs_in_the_order_of_destroys),
		seated(bursts_go_together),
		seated(jobs_are_limited_in_bytes),
		seated(hresource_goes_in_and_out),
		seated(a_job_that_fails_comes_again),
		seated(garbage_delays_whoever_made_it),
		seated(turns_within_one_tick),
		seated(nothing_to_do),
		seated(only_a_job_that_is_out_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
