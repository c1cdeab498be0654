/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races: A80, A81, A82 and A83. In process, A82 is in work_test.c.
 *
 * In process, one thread decides, so a race is an interleaving: requests
 * between which no teardown, reclaim or release happens, or happens in part.
 * Through the daemon the same sentences are tried with real threads on one
 * connection, with requests that are in the socket at the same time, and with
 * two clients at once.
 */
#include "tests/rows/world.h"

#include "tests/support/inproc.h"

#include <pthread.h>
#include <stdatomic.h>

enum { ROUNDS = 200, THREADS = 4 };

static struct wire_request destroy_one(uint64_t device, uint64_t id)
{
	return (struct wire_request){
		.opcode = WIRE_OP_DESTROY,
		.form = WIRE_FORM_LIST,
		.id = id,
		.device = device,
		.count = 1,
		.args_bytes = sizeof(uint64_t),
	};
}

static uint64_t talker_allocation(struct talker *talker, uint64_t device)
{
	struct wire_allocation size = { .size_bytes = PAGE };
	struct wire_request head = { .opcode = WIRE_OP_CREATE,
				     .device = device,
				     .count = 1,
				     .args_bytes = sizeof(size) };
	struct raw_reply reply;
	uint64_t handle;

	assert_int_equal(talker_ask(talker, head, &size, sizeof(size), &reply),
			 0);
	memcpy(&handle, reply.data, sizeof(handle));
	return handle;
}

/* Both destroys are on their way before either is answered. */
static void a80_two_destroys_in_flight(void **state)
{
	struct talker *talker = talker_new(*state);
	uint64_t device = talker_device(talker, NULL);
	unsigned int i, flags;

	for (i = 0; i < ROUNDS; i++) {
		uint64_t handle = talker_allocation(talker, device);
		struct wire_request first = destroy_one(device, 1);
		struct wire_request second = destroy_one(device, 2);
		struct raw_reply reply;

		flags = i % 4;
		first.flags = flags;
		second.flags = flags ^ (i & 4 ? TENURE_DESTROY_SYNCHRONOUS : 0);
		world_freeze(*state);
		talker_say(talker, &first, &handle, sizeof(handle));
		talker_say(talker, &second, &handle, sizeof(handle));
		world_thaw(*state);
		talker_hear(talker, 1, &reply);
		assert_int_equal(reply.head.status, 0);
		talker_hear(talker, 2, &reply);
		assert_int_equal(reply.head.status, -EINVAL);
		assert_int_equal(reply.head.reason,
				 TENURE_REASON_ENTRY_INVALID);
		assert_int_equal(reply.head.index, 0);
	}
	assert_stores(*state, 0);
	talker_free(talker);
	row_proved("A80");
}

struct contest {
	struct party *party;
	struct tenure_allocation allocation;
	struct tenure_resource resource;
	pthread_barrier_t barrier;
	atomic_uint successes, invalid, others;
};

static void count_result(struct contest *contest, int result)
{
	if (result == 0)
		atomic_fetch_add(&contest->successes, 1);
	else if (result == -EINVAL)
		atomic_fetch_add(&contest->invalid, 1);
	else
		atomic_fetch_add(&contest->others, 1);
}

static void *destroy_in_thread(void *argument)
{
	struct contest *contest = argument;

	pthread_barrier_wait(&contest->barrier);
	count_result(contest,
		     destroy_list(contest->party, &contest->allocation, 1));
	count_result(contest,
		     destroy_resource(contest->party, contest->resource.value));
	return NULL;
}

/* Threads of one process on one connection, released at the same moment. */
static void a80_threads(void **state)
{
	struct party p = party_new(*state);
	struct contest contest = { .party = &p };
	pthread_t threads[THREADS];
	unsigned int i, round;

	for (round = 0; round < 50; round++) {
		contest.allocation = make_allocation(&p, PAGE);
		contest.resource = make_resource(&p, 0, 2, NULL);
		contest.successes = contest.invalid = contest.others = 0;
		pthread_barrier_init(&contest.barrier, NULL, THREADS);
		for (i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL,
							destroy_in_thread,
							&contest),
					 0);
		for (i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		pthread_barrier_destroy(&contest.barrier);
		assert_int_equal(contest.successes, 2);
		assert_int_equal(contest.invalid, 2 * THREADS - 2);
		assert_int_equal(contest.others, 0);
	}
	assert_int_equal(party_stat(&p).bytes, 0);
	assert_stores(*state, 0);
	row_proved("A80");
}

/*
 * A handle is generation, kind and index under an XOR. Who knows a dead
 * handle of generation 1 knows the next one of its slot: two bits flipped.
 */
static uint64_t next_generation(uint64_t first)
{
	return first ^ (UINT64_C(1) ^ UINT64_C(2)) << 32;
}

/* Destroys of a guessed handle around, and in the same breath as, the create
 * that will give it out. */
static void a81_guess_before_the_create(void **state)
{
	struct talker *talker = talker_new(*state);
	uint64_t device = talker_device(talker, NULL);
	struct wire_allocation size = { .size_bytes = PAGE };
	struct wire_request create = { .opcode = WIRE_OP_CREATE,
				       .id = 10,
				       .device = device,
				       .count = 1,
				       .args_bytes = sizeof(size) };
	struct wire_request kill = destroy_one(device, 11);
	struct raw_reply reply;
	uint64_t guess, made;

	made = talker_allocation(talker, device);
	kill.flags = TENURE_DESTROY_SYNCHRONOUS;
	talker_say(talker, &kill, &made, sizeof(made));
	talker_hear(talker, 11, &reply);
	assert_int_equal(reply.head.status, 0);
	guess = next_generation(made);
	world_freeze(*state);
	talker_say(talker, &kill, &guess, sizeof(guess));
	talker_say(talker, &create, &size, sizeof(size));
	world_thaw(*state);
	talker_hear(talker, 11, &reply);
	assert_int_equal(reply.head.status, -EINVAL);
	assert_int_equal(reply.head.reason, TENURE_REASON_ENTRY_INVALID);
	talker_hear(talker, 10, &reply);
	assert_int_equal(reply.head.status, 0);
	memcpy(&made, reply.data, sizeof(made));
	/* A good guess destroys after the create, as its owner may. */
	kill.id = 12;
	talker_say(talker, &kill, &made, sizeof(made));
	talker_hear(talker, 12, &reply);
	assert_int_equal(reply.head.status, 0);
	talker_free(talker);
	row_proved("A81");
}

struct guessing {
	struct party *party;
	uint64_t guess;
	atomic_bool stop;
	atomic_uint successes, others;
};

static void *guess_in_thread(void *argument)
{
	struct guessing *g = argument;

	while (!atomic_load(&g->stop)) {
		struct tenure_allocation a = { g->guess };
		int result = destroy_list(g->party, &a, 1);

		if (result == 0)
			atomic_fetch_add(&g->successes, 1);
		else if (result != -EINVAL)
			atomic_fetch_add(&g->others, 1);
	}
	return NULL;
}

static void a81_guessing_thread(void **state)
{
	struct party p = party_new(*state);
	struct guessing g = { .party = &p };
	unsigned int round;

	for (round = 0; round < 40; round++) {
		struct tenure_allocation own = make_allocation(&p, PAGE);
		pthread_t thread;
		int result;

		assert_ok(destroy(&p, 0, &own, 1, TENURE_DESTROY_SYNCHRONOUS));
		g.guess = next_generation(own.value);
		g.stop = false;
		g.successes = 0;
		assert_int_equal(
			pthread_create(&thread, NULL, guess_in_thread, &g), 0);
		own = make_allocation(&p, PAGE);
		result = destroy_list(&p, &own, 1);
		g.stop = true;
		pthread_join(thread, NULL);
		/* Exactly one of the two destroyed it. */
		if (result == 0)
			assert_int_equal(g.successes, 0);
		else
			assert_int_equal(g.successes, 1);
		assert_int_equal(g.others, 0);
		/* Generations only start at 1 on a fresh device. */
		assert_ok(tenure_device_destroy(p.t, p.device));
		assert_ok(tenure_device_create(p.t, p.adapter, &p.device));
	}
	assert_int_equal(party_stat(&p).bytes, 0);
	row_proved("A81");
}

/* A create that fails late: the guess is never good. In process only the
 * backend can be told to fail. */
static void a81_failed_create_publishes_nothing(void **state)
{
	struct world *world = *state;
	struct party p = party_new(world);
	struct tenure_allocation own = make_allocation(&p, PAGE), guess;
	const size_t size = PAGE;
	struct tenure_allocation made;

	assert_ok(destroy(&p, 0, &own, 1, TENURE_DESTROY_SYNCHRONOUS));
	guess.value = next_generation(own.value);
	if (world->inproc) {
		checking_fail(inproc_backend(world->inproc, 0), CHECKING_CREATE,
			      1, -EMFILE);
		assert_int_not_equal(tenure_allocation_create(p.t, p.device,
							      &size, 1, &made),
				     0);
		assert_refused_at(&p, destroy_list(&p, &guess, 1), -EINVAL,
				  TENURE_REASON_ENTRY_INVALID, 0);
		checking_fail(inproc_backend(world->inproc, 0), CHECKING_OPEN,
			      1, -EMFILE);
		assert_int_not_equal(tenure_allocation_create(p.t, p.device,
							      &size, 1, &made),
				     0);
	}
	assert_refused_at(&p, destroy_list(&p, &guess, 1), -EINVAL,
			  TENURE_REASON_ENTRY_INVALID, 0);
	assert_int_equal(party_stat(&p).bytes, 0);
}

/* One thread's list and resource, while another ends their device. */
struct ending {
	struct party *party;
	unsigned int flags;
	struct tenure_allocation list[2];
	struct tenure_resource resource;
	pthread_barrier_t barrier;
	int results[2];
};

static void *destroy_both_in_thread(void *argument)
{
	struct ending *e = argument;

	pthread_barrier_wait(&e->barrier);
	e->results[0] =
		destroy(e->party, 0, e->list, ARRAY_SIZE(e->list), e->flags);
	e->results[1] = destroy(e->party, e->resource.value, NULL, 0, e->flags);
	return NULL;
}

/* Some of it is in use, so that a synchronous destroy has to wait. */
static void ending_prepare(struct ending *e, unsigned int round)
{
	struct tenure_context context;
	struct tenure_allocation child[2];

	e->flags = round % 4;
	e->results[0] = e->results[1] = 1;
	make_allocations(e->party, ARRAY_SIZE(e->list), e->list);
	e->resource = make_resource(e->party, 0, ARRAY_SIZE(child), child);
	assert_ok(
		tenure_context_create(e->party->t, e->party->device, &context));
	assert_ok(tenure_context_use(e->party->t, context, &e->list[1], 1));
	assert_ok(tenure_context_use(e->party->t, context, child, 1));
	assert_ok(tenure_context_submit(e->party->t, context, 1));
}

/* Each has one of three outcomes, and all of it is gone, once. */
static void ending_judge(struct ending *e, uint64_t released_before)
{
	struct wire_status status;

	for (unsigned int i = 0; i < ARRAY_SIZE(e->results); i++)
		assert_true(e->results[i] == 0 || e->results[i] == -ENODEV ||
			    e->results[i] == -EINVAL);
	world_status(e->party->world, &status);
	assert_int_equal(status.stores, 0);
	assert_int_equal(status.released_bytes_total - released_before,
			 4 * PAGE);
	assert_int_equal(destroy_list(e->party, e->list, 2), -EINVAL);
	assert_int_equal(destroy_resource(e->party, e->resource.value),
			 -EINVAL);
}

/* Two threads of one client, released at the same moment. */
static void a82_threads(void **state)
{
	struct party p = party_new(*state);
	struct ending e = { .party = &p };
	struct wire_status before;
	pthread_t thread;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		ending_prepare(&e, round);
		world_status(*state, &before);
		pthread_barrier_init(&e.barrier, NULL, 2);
		assert_int_equal(pthread_create(&thread, NULL,
						destroy_both_in_thread, &e),
				 0);
		pthread_barrier_wait(&e.barrier);
		assert_ok(tenure_device_terminate(p.t, p.device));
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&e.barrier);
		ending_judge(&e, before.released_bytes_total);
		assert_ok(tenure_device_create(p.t, p.adapter, &p.device));
	}
	assert_int_equal(party_stat(&p).bytes, 0);
	row_proved("A82");
}

struct opener {
	struct party *party;
	struct tenure_token token;
	pthread_barrier_t barrier;
	int result;
	struct tenure_resource resource;
	struct tenure_allocation child[2];
};

static void *open_in_thread(void *argument)
{
	struct opener *o = argument;

	pthread_barrier_wait(&o->barrier);
	o->result = tenure_resource_open(o->party->t, o->party->device,
					 &o->token, 0, 2, NULL, 0, &o->resource,
					 o->child);
	return NULL;
}

/* One client destroys and revokes while another opens. */
static void race_open(struct party *owner, struct opener *o, bool threads)
{
	struct tenure_allocation child[2];
	struct tenure_resource resource =
		make_resource(owner, TENURE_CREATE_SHARED, 2, child);
	pthread_t thread;
	void *pointer;
	size_t size;

	o->token = make_token(owner, resource, TENURE_RIGHT_READ);
	assert_ok(tenure_map(owner->t, owner->device, child[1],
			     TENURE_MAP_READ | TENURE_MAP_WRITE, &pointer,
			     &size));
	*(unsigned char *)pointer = 0x3c;
	o->result = 1;
	pthread_barrier_init(&o->barrier, NULL, threads ? 2 : 1);
	if (threads) {
		assert_int_equal(
			pthread_create(&thread, NULL, open_in_thread, o), 0);
		pthread_barrier_wait(&o->barrier);
	}
	assert_ok(destroy_resource(owner, resource.value));
	if (!threads)
		open_in_thread(o);
	assert_ok(tenure_token_revoke(owner->t, &o->token));
	if (threads)
		pthread_join(thread, NULL);
	pthread_barrier_destroy(&o->barrier);
}

/* Everybody else has let go: the opening is whole, or it is not there. */
static void assert_whole_or_nothing(const struct party *owner,
				    const struct opener *o)
{
	const struct party *p = o->party;
	void *pointer;
	size_t size;

	assert_int_equal(party_stat(owner).bytes, 0);
	if (o->result != 0) {
		assert_int_equal(o->result, -EINVAL);
		return;
	}
	assert_stores(p->world, 1);
	assert_ok(tenure_map(p->t, p->device, o->child[1], TENURE_MAP_READ,
			     &pointer, &size));
	assert_int_equal(*(unsigned char *)pointer, 0x3c);
	assert_ok(destroy_resource(p, o->resource.value));
}

static void a83_destroy_racing_open(void **state)
{
	struct world *world = *state;
	struct party owner = party_new(world), reader = party_new(world);
	struct opener o = { .party = &reader };
	unsigned int round, i;

	for (round = 0; round < 60; round++) {
		/* The broker in this process is for one thread only; there
		 * the original's teardown rests at a different point each
		 * time when the open comes. */
		if (world->inproc) {
			inproc_pump_by_itself(world->inproc, false);
			for (i = 0; i < round % 5; i++)
				inproc_pump(world->inproc);
		}
		race_open(&owner, &o, !world->inproc);
		if (world->inproc)
			inproc_pump_by_itself(world->inproc, true);
		assert_whole_or_nothing(&owner, &o);
		assert_int_equal(party_stat(&reader).bytes, 0);
		assert_stores(world, 0);
	}
	row_proved("A83");
}

static const struct CMUnitTest inproc_tests[] = {
	world_test(a80_two_destroys_in_flight),
	world_test(a81_guess_before_the_create),
	world_test(a81_failed_create_publishes_nothing),
	world_test(a83_destroy_racing_open),
};

static const struct CMUnitTest daemon_tests[] = {
	world_test(a80_two_destroys_in_flight),
	world_test(a80_threads),
	world_test(a81_guess_before_the_create),
	world_test(a81_guessing_thread),
	world_test(a82_threads),
	world_test(a83_destroy_racing_open),
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "daemon") == 0)
		return world_main(argc, argv, "races", daemon_tests,
				  ARRAY_SIZE(daemon_tests));
	return world_main(argc, argv, "races", inproc_tests,
			  ARRAY_SIZE(inproc_tests));
}
