/* SPDX-License-Identifier: Apache-2.0 */
#include "core/teardown.h"

#include "tests/support/seat.h"

enum {
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED
};

static void take_seat(struct seat *seat, uint32_t tick_budget)
{
	struct inproc_config config;

	inproc_config_default(&config);
	config.memfds = false;
	config.tick_budget = tick_budget;
	seat_take(seat, inproc_new(&config));
}

static int set_up(void **state)
{
	static struct seat seat;

	take_seat(&seat, 1024);
	*state = &seat;
	return 0;
}

/* Some of everything, on two devices; shared with the other seat. */
static void furnish(struct seat *s, struct seat *other)
{
	uint64_t second, resource, token[2];

	for (int device = 0; device < 2; device++) {
		assert_int_equal(seat_create(s, 0, 0, 700, NULL, NULL), 0);
		assert_int_equal(seat_create(s, 0, RESOURCE, 300, NULL, NULL),
				 0);
		assert_int_equal(seat_create(s, 0, SHARED, 5, &resource, NULL),
				 0);
		for (int i = 0; i < 300; i++)
			assert_int_equal(seat_share(s, resource, 1, token), 0);
		assert_int_equal(seat_open(other, token, 5, NULL, NULL), 0);
		assert_int_equal(
			seat_create(other, 0, SHARED, 5, &resource, NULL), 0);
		assert_int_equal(seat_share(other, resource, 1, token), 0);
		assert_int_equal(seat_open(s, token, 5, NULL, NULL), 0);
		assert_int_equal(seat_device_create(s, s->adapter, &second), 0);
		s->device = second;
	}
}

static void g1_no_memory_is_needed(void **state)
{
	uint32_t used[AREAS];
	struct seat *s = *state, other;
	uint64_t commits;

	seat_take_as(&other, s->world, 9);
	furnish(s, &other);
	commits = inproc_pages(s->world)->commits;
	for (int a = 0; a < AREAS; a++)
		used[a] =
			region_area(world_region(s->world), (enum area)a)->used;
	world_fail_commit(s->world, 1);
	inproc_kill(s->world, s->client);
	world_fail_commit(s->world, 0);
	assert_int_equal(inproc_pages(s->world)->commits, commits);
	for (int a = 0; a < AREAS; a++)
		assert_int_equal(
			region_area(world_region(s->world), (enum area)a)->used,
			used[a]);
	inproc_check(s->world);
	assert_int_equal(world_state(s->world)->n_sessions, 1);
}

/* A thousand in one segment, in steps that could take more than a chunk. */
static void g1_a_sweep_takes_what_fits_into_the_chunk(void **state)
{
	struct seat *s = *state;
	const struct area_head *chunks =
		region_area(world_region(s->world), AREA_CHUNKS);
	uint32_t used;

	assert_int_equal(seat_create(s, 0, 0, 1000, NULL, NULL), 0);
	used = chunks->used;
	assert_int_equal(chunks->free_count, 0);
	assert_int_equal(seat_device_destroy(s, s->device), 0);
	assert_int_equal(chunks->used, used);
	assert_int_equal(chunks->free_count, 0);
}

/* The oldest of the last n destroys first. */
static void g2_device_owned_before_resources(void **state)
{
	struct seat *s = *state;
	struct checking *backend = inproc_backend(s->world, 0);
	struct checking_record record;
	bool resources = false;
	uint64_t before, n;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(seat_create(s, 0, RESOURCE, 2, NULL, NULL), 0);
		assert_int_equal(seat_create(s, 0, 0, 2, NULL, NULL), 0);
	}
	before = checking_calls(backend, CHECKING_DESTROY);
	assert_int_equal(seat_device_destroy(s, s->device), 0);
	n = checking_calls(backend, CHECKING_DESTROY) - before;
	assert_true(n >= 4);
	while (n-- > 0) {
		assert_true(checking_record(backend, (uint32_t)n, &record));
		if (record.resource_in != 0)
			resources = true;
		else
			assert_false(resources);
	}
	assert_true(resources);
}

static void g2_nothing_is_left_of_a_device(void **state)
{
	struct seat *s = *state, other;
	uint32_t segments;

	seat_take_as(&other, s->world, 9);
	furnish(s, &other);
	segments = region_area(world_region(s->world), AREA_SEGMENTS)->used;
	inproc_kill(s->world, s->client);
	/* The next one lives in what the last one left. */
	seat_take(s, s->world);
	furnish(s, &other);
	inproc_check(s->world);
	assert_int_equal(
		region_area(world_region(s->world), AREA_SEGMENTS)->used,
		segments);
}

static void g3_ended_means_nothing_is_charged(void **state)
{
	struct seat *s = *state, other;
	struct obituary held, ended;
	const struct session *session = seat_session(s);

	seat_take_as(&other, s->world, 9);
	furnish(s, &other);
	inproc_pump_by_itself(s->world, false);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	broker_disconnect(inproc_broker(s->world), s->client, 5000, &held);
	assert_int_equal(held.client, s->client);
	assert_int_equal(held.devices, 3);
	assert_int_equal(held.resources, 6);
	assert_int_equal(held.allocations, 2 * (700 + 300 + 5 + 5));
	assert_int_equal(held.tokens, 600);
	assert_int_equal(held.bytes, PAGE_BYTES * 2 * (700 + 300 + 5 + 5));
	assert_int_equal(held.uid, 1000);
	assert_int_equal(held.pid, 100);
	assert_string_equal(held.cgroup, "/test");
	while (broker_tick(inproc_broker(s->world), 6000, 64))
		inproc_check(s->world);
	assert_int_equal(session->phase, SESSION_ENDING);
	assert_false(broker_next_obituary(inproc_broker(s->world), &ended));
	/* By hand, since the harness has not been told of this death. */
	for (;;) {
		static struct release job;
		struct broker *b = inproc_broker(s->world);

		while (broker_tick(b, 7000, 64))
			;
		if (broker_next_obituary(b, &ended))
			break;
		assert_true(broker_next_release(b, &job));
		assert_int_equal(job.args.client, s->client);
		assert_int_equal(
			checking_destroy_begin(inproc_backend(s->world, 0),
					       &job.args),
			0);
		checking_destroy_end(inproc_backend(s->world, 0),
				     job.args.client);
		broker_release_done(b, s->client, 0, job.args.resource, 7000);
		inproc_check(s->world);
	}
	assert_int_equal(ended.client, s->client);
	assert_int_equal(ended.began_ns, 5000);
	assert_int_equal(ended.ended_ns, 7000);
	assert_int_equal(ended.allocations, held.allocations);
	/* What the other one still holds was not given back. */
	assert_int_equal(ended.freed_bytes, PAGE_BYTES * 2 * (700 + 300));
	/* The harness still waits for that client; give it another one. */
	inproc_pump_by_itself(s->world, true);
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	assert_int_equal(session_new(world_env(s->world),
				     &(struct peer){ .cgroup = "" }, 0,
				     &(struct outcome){ 0 }),
			 s->client);
}

/* A client that says nothing and goes; one that only opened an adapter. */
static void g3_ends_of_every_kind(void **state)
{
	struct seat *stage = *state, s;
	struct obituary obituary;
	uint64_t adapter;

	seat_connect(&s, stage->world);
	inproc_kill(s.world, s.client);
	assert_true(inproc_take_obituary(s.world, s.client, &obituary));
	seat_connect(&s, stage->world);
	assert_int_equal(inproc_hello(s.world, s.client), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(seat_adapter_open(&s, "other", &adapter), 0);
	inproc_kill(s.world, s.client);
	assert_true(inproc_take_obituary(s.world, s.client, &obituary));
	assert_int_equal(obituary.devices + obituary.bytes, 0);
	inproc_check(stage->world);
}

/* An answer is due, and its client goes before it is taken. */
static void g3_answers_go_with_the_client(void **state)
{
	static struct release job;
	struct seat *stage = *state, s;
	struct state *totals = world_state(stage->world);
	struct broker *b = inproc_broker(stage->world);
	uint64_t handle;

	seat_take(&s, stage->world);
	assert_int_equal(seat_create(&s, 0, 0, 1, NULL, &handle), 0);
	inproc_pump_by_itself(s.world, false);
	assert_int_equal(seat_send_destroy(&s, 0, &handle, 1,
					   TENURE_DESTROY_SYNCHRONOUS),
			 BROKER_LATER);
	broker_tick(b, 1, 64);
	assert_true(broker_next_release(b, &job));
	assert_int_equal(checking_destroy_begin(inproc_backend(s.world, 0),
						&job.args),
			 0);
	checking_destroy_end(inproc_backend(s.world, 0), job.args.client);
	broker_release_done(b, s.client, 0, job.args.resource, 1);
	assert_int_not_equal(totals->answered.head, 0);
	inproc_kill(s.world, s.client);
	assert_int_equal(totals->answered.head, 0);
	inproc_check(s.world);
	inproc_pump_by_itself(s.world, true);
	inproc_pump_all(s.world);
}

/* How many slots a client has that are LIVE, and that are taken at all. */
struct measure {
	uint64_t live, taken;
};

static struct measure measure(const struct session *s)
{
	return (struct measure){
		.live = s->n_resources + s->n_allocations,
		.taken = s->account.used[CHARGE_HANDLES],
	};
}

/* One round of the harness, in which no tick does more than its budget and
 * one job or resource. */
static void bounded_round(const struct seat *s, uint32_t budget)
{
	struct measure before = measure(seat_session(s)), after;

	inproc_pump(s->world);
	after = measure(seat_session(s));
	assert_true(before.live - after.live <= budget + 1025);
	assert_true(before.taken - after.taken <= budget + 1025);
}

/* 20,000 allocations go, while somebody else is served all the time. */
static void bounded_work(uint32_t budget)
{
	struct seat s, other;
	uint64_t rounds = 0, served = 0, id = 0, handle;
	struct obituary unused;

	take_seat(&s, budget);
	seat_take_as(&other, s.world, 9);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(seat_create(&s, 0, 0, 1000, NULL, NULL), 0);
		assert_int_equal(seat_create(&s, 0, i % 2 ? RESOURCE : SHARED,
					     1000, NULL, NULL),
				 0);
	}
	inproc_pump_by_itself(s.world, false);
	inproc_kill(s.world, s.client);
	while (!inproc_take_obituary(s.world, s.client, &unused)) {
		bounded_round(&s, budget);
		rounds++;
		if (id != 0 && !seat_heard(&other, id))
			continue;
		served += id != 0;
		assert_int_equal(seat_create(&other, 0, 0, 1, NULL, &handle),
				 0);
		assert_int_equal(seat_send_destroy(&other, 0, &handle, 1,
						   TENURE_DESTROY_SYNCHRONOUS),
				 BROKER_LATER);
		id = other.id;
	}
	assert_true(rounds > 20);
	assert_true(served > rounds / 8);
	inproc_pump_by_itself(s.world, true);
	inproc_free(s.world);
}

static void bounded_work_in_steps_of_any_size(void **state)
{
	(void)state;
	bounded_work(16);
	bounded_work(64);
	bounded_work(600);
}

/* Resources that lie side by side and are large: each is paid for in full. */
static void bounded_work_of_large_resources(void **state)
{
	enum { RESOURCES = 20, BUDGET = 16 };
	uint64_t resources[RESOURCES];
	struct wire_request r = { .opcode = WIRE_OP_DEVICE_DESTROY };
	struct seat s;

	(void)state;
	take_seat(&s, BUDGET);
	for (int i = 0; i < RESOURCES; i++)
		assert_int_equal(seat_create(&s, 0, RESOURCE, 1, &resources[i],
					     NULL),
				 0);
	for (int i = 0; i < RESOURCES; i++)
		assert_int_equal(
			seat_create(&s, resources[i], 0, 800, NULL, NULL), 0);
	inproc_pump_by_itself(s.world, false);
	r.device = s.device;
	assert_int_equal(seat_send(&s, r, NULL, 0), BROKER_LATER);
	while (seat_session(&s)->n_devices > 0)
		bounded_round(&s, BUDGET);
	inproc_free(s.world);
}

/* Killed after every number of ticks of a device's own teardown. */
static void death_at_every_step(void **state)
{
	struct seat *stage = *state;
	const struct wire_request destroy = { .opcode =
						      WIRE_OP_DEVICE_DESTROY };

	for (uint32_t steps = 0; steps < 60; steps++) {
		struct wire_request r = destroy;
		struct seat s;

		inproc_pump_by_itself(stage->world, true);
		seat_take(&s, stage->world);
		assert_int_equal(seat_create(&s, 0, 0, 40, NULL, NULL), 0);
		assert_int_equal(seat_create(&s, 0, RESOURCE, 20, NULL, NULL),
				 0);
		assert_int_equal(seat_create(&s, 0, SHARED, 20, NULL, NULL), 0);
		inproc_pump_by_itself(stage->world, false);
		r.device = s.device;
		assert_int_equal(seat_send(&s, r, NULL, 0), BROKER_LATER);
		for (uint32_t i = 0; i < steps; i++) {
			broker_tick(inproc_broker(stage->world), 1, 1 + i % 9);
			if (i % 4 == 3)
				inproc_pump(stage->world);
		}
		inproc_check(stage->world);
		inproc_kill(stage->world, s.client);
		inproc_check(stage->world);
		inproc_pump_all(stage->world);
		inproc_check(stage->world);
		assert_int_equal(world_state(stage->world)->n_sessions, 1);
	}
	inproc_pump_by_itself(stage->world, true);
}

/* What one tick takes from a budget. */
static int64_t spent(const struct seat *s, uint32_t budget)
{
	uint32_t left = budget;

	broker_tick_budget(inproc_broker(s->world), 1, &left);
	return (int64_t)budget - left;
}

/*
 * A device with many contexts, of which one still works: the request only says
 * that they end. They are told, and the others looked at, once, in ticks that
 * take no more than their budget, and not again whenever the client has
 * something to do. When the work has ended they are freed, by ticks that pay for
 * the lines of each.
 */
static void g4_contexts_are_looked_at_once(void **state)
{
	enum { CONTEXTS = 600, BUDGET = 100 };
	struct seat *s = *state;
	const struct state *totals = world_state(s->world);
	uint64_t working, handle;
	int64_t sum = 0;

	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &handle), 0);
	/* The last one that a walk comes to. */
	assert_int_equal(seat_context_create(s, &working, NULL), 0);
	assert_int_equal(seat_submit(s, working, 5, &handle, 1), 0);
	for (int i = 1; i < CONTEXTS; i++)
		assert_int_equal(seat_context_create(s, &handle, NULL), 0);
	inproc_pump_by_itself(s->world, false);
	assert_int_equal(seat_send_device_destroy(s, s->device, 0),
			 BROKER_LATER);
	while (totals->ready.head != 0) {
		int64_t cost = spent(s, BUDGET);

		assert_in_range(cost, 1, BUDGET);
		sum += cost;
	}
	/* Each is told that it ends, two visits, and looked at. */
	assert_in_range(sum, 3 * CONTEXTS - 1, 3 * CONTEXTS + 20);
	for (int i = 0; i < 10; i++) {
		session_wake(world_env(s->world), s->client);
		assert_in_range(spent(s, BUDGET), 1, 3);
		assert_int_equal(totals->ready.head, 0);
	}
	inproc_check(s->world);
	assert_int_equal(seat_progress(s, working, 5), 0);
	while (totals->n_contexts > 0) {
		uint32_t before = totals->n_contexts;

		spent(s, BUDGET);
		assert_in_range(before - totals->n_contexts, 0, BUDGET / 8 + 1);
		inproc_pump(s->world);
	}
	inproc_pump_by_itself(s->world, true);
	inproc_pump_all(s->world);
	assert_int_equal(seat_session(s)->n_devices, 0);
	inproc_check(s->world);
}

/* Work that was left to end is terminated while contexts are being told. */
static void g4_terminated_meanwhile(void **state)
{
	enum { CONTEXTS = 40 };
	struct seat *s = *state;
	const struct session *session = seat_session(s);
	uint64_t contexts[CONTEXTS];

	for (int i = 0; i < CONTEXTS; i++) {
		assert_int_equal(seat_context_create(s, &contexts[i], NULL), 0);
		assert_int_equal(seat_submit(s, contexts[i], 5, NULL, 0), 0);
	}
	inproc_pump_by_itself(s->world, false);
	assert_int_equal(seat_event(s, WIRE_TEST_ADAPTER_STOP, 0, s->adapter),
			 0);
	assert_int_equal(session->n_quiescing, 0);
	spent(s, CONTEXTS);
	assert_int_equal(session->n_quiescing, CONTEXTS / 2);
	inproc_check(s->world);
	assert_int_equal(seat_send_device_destroy(s, s->device,
						  TENURE_END_TERMINATE),
			 BROKER_LATER);
	spent(s, CONTEXTS);
	assert_int_equal(session->n_quiescing, 0);
	assert_int_equal(seat_context(s, contexts[0])->done, 0);
	assert_int_equal(seat_context(s, contexts[CONTEXTS - 1])->done, 5);
	inproc_check(s->world);
	/* Who takes over now goes on with it. */
	inproc_recover(s->world, true);
	inproc_check(s->world);
	inproc_pump_by_itself(s->world, true);
	inproc_pump_all(s->world);
	assert_int_equal(world_state(s->world)->n_contexts, 0);
	inproc_check(s->world);
}

/* Each of the first fences is waited for by a wait that names many others. */
static void g4_waits_that_end_with_fences(void **state)
{
	enum { FENCES = 80, WAITS = 10, BUDGET = 100 };
	struct seat *s = *state;
	const struct area_head *waits =
		region_area(world_region(s->world), AREA_WAITS);
	struct wire_fence_wait list[FENCES_PER_WAIT_MAX];
	uint64_t fences[FENCES];
	uint32_t before, began;

	for (int i = 0; i < FENCES; i++)
		assert_int_equal(seat_fence_create(s, 0, &fences[i], NULL), 0);
	for (int i = 0; i < WAITS; i++) {
		for (int k = 0; k < FENCES_PER_WAIT_MAX; k++)
			list[k] = (struct wire_fence_wait){
				k ? fences[WAITS + k] : fences[i], 1
			};
		assert_int_equal(seat_fence_wait(s, TENURE_WAIT_ALL, list,
						 FENCES_PER_WAIT_MAX),
				 BROKER_LATER);
	}
	inproc_pump_by_itself(s->world, false);
	assert_int_equal(seat_send_device_destroy(s, s->device, 0),
			 BROKER_LATER);
	began = waits->free_count;
	while (world_state(s->world)->n_fences > 0) {
		before = waits->free_count;
		spent(s, BUDGET);
		assert_in_range(waits->free_count - before, 0,
				FENCES_PER_WAIT_MAX);
		inproc_check(s->world);
	}
	assert_int_equal(waits->free_count - began,
			 WAITS * FENCES_PER_WAIT_MAX);
	inproc_pump_by_itself(s->world, true);
	inproc_pump_all(s->world);
}

/* Contexts that were destroyed alone and go while the others are looked at. */
static void g4_contexts_that_go_meanwhile(void **state)
{
	enum { CONTEXTS = 20 };
	struct seat *s = *state;
	uint64_t contexts[CONTEXTS];

	for (int i = 0; i < CONTEXTS; i++) {
		assert_int_equal(seat_context_create(s, &contexts[i], NULL), 0);
		assert_int_equal(seat_submit(s, contexts[i], 5, NULL, 0), 0);
	}
	inproc_pump_by_itself(s->world, false);
	/* Both orders: these are in the queue of quiet ones. */
	for (int i = 0; i < CONTEXTS; i += 2) {
		assert_int_equal(seat_send_context_destroy(s, contexts[i], 0),
				 BROKER_LATER);
		assert_int_equal(seat_progress(s, contexts[i], 5), 0);
	}
	assert_int_equal(seat_send_device_destroy(s, s->device, 0),
			 BROKER_LATER);
	for (int i = CONTEXTS - 1; i > 0; i -= 2) {
		spent(s, 1);
		inproc_check(s->world);
		assert_int_equal(seat_progress(s, contexts[i], 5), 0);
	}
	inproc_pump_by_itself(s->world, true);
	inproc_pump_all(s->world);
	assert_int_equal(seat_session(s)->n_devices, 0);
	assert_int_equal(world_state(s->world)->n_contexts, 0);
	inproc_check(s->world);
}

/* The last of many devices goes, by ticks that cannot look at all of them. */
static void g4_many_devices(void **state)
{
	struct seat *s = *state;
	uint64_t device = s->device;

	for (int i = 0; i < 100; i++)
		assert_int_equal(seat_device_create(s, s->adapter, &device), 0);
	assert_int_equal(seat_create(s, 0, 0, 500, NULL, NULL), 0);
	inproc_pump_by_itself(s->world, false);
	assert_int_equal(seat_send_device_destroy(s, s->device, 0),
			 BROKER_LATER);
	for (int i = 0; seat_session(s)->n_devices > 100; i++) {
		assert_in_range(i, 0, 2000);
		spent(s, 10);
		inproc_pump(s->world);
	}
	inproc_pump_by_itself(s->world, true);
	inproc_check(s->world);
}

#define seated(test) \
	cmocka_unit_test_setup_teardown(test, set_up, seat_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		seated(g1_no_memory_is_needed),
		seated(g1_a_sweep_takes_what_fits_into_the_chunk),
		seated(g2_device_owned_before_resources),
		seated(g2_nothing_is_left_of_a_device),
		seated(g3_ended_means_nothing_is_charged),
		seated(g3_ends_of_every_kind),
		seated(g3_answers_go_with_the_client),
		seated(g4_contexts_are_looked_at_once),
		seated(g4_contexts_that_go_meanwhile),
		seated(g4_waits_that_end_with_fences),
		seated(g4_terminated_meanwhile),
		seated(g4_many_devices),
		cmocka_unit_test(bounded_work_of_large_resources),
		cmocka_unit_test(bounded_work_in_steps_of_any_size),
		seated(death_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
