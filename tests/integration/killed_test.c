/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that is killed between any two stores
 *
 * A story with three clients, in which everything happens that a broker can
 * do, is told store by store (tests/support/assassin.h). At each store a copy
 * of the process finds the region as it is, takes it over and judges rebuild
 * G1 to G6: the checker finds nothing (G1), every handle that was alive and is
 * not meant to die in this step is alive (G2), nothing that was dead lives
 * (G3), creates and the destroys of resources are entirely there or not at
 * all (G4). A fence can be read in its maker's page exactly while it lives,
 * what its maker stored before it ended has been signalled for who watches it,
 * and who has lost a device is to be told of it. Then it goes on: everything
 * comes to rest, all clients end, and nothing is left, in the broker or in the
 * backends, which allow no allocation to be released twice (G5). Some copies
 * are killed again while they take over (G6).
 *
 * Every instruction that stores is a place where it dies at least once, however
 * far apart the other points are. At the end the places are named by their
 * functions: those of killed_in.h, which store more than once, must be among
 * them, or the story has lost its way there.
 *
 * TENURE_KILL_STRIDE takes each n-th point (0: all of the first 8 of a
 * step and ever fewer of the others, TENURE_KILL_PHASE says which ones, if the
 * stride is not given or too large for all), TENURE_KILL_STEP and
 * TENURE_KILL_POINT a single one, TENURE_KILL_AGAIN each n-th death at a new
 * place for further ones (20; 0: none), TENURE_KILL_TRACE says how many points
 * a step has, and how many deaths a function. Random ones are in
 * tests/differential/.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/broker_recover.h"
#include "core/ring/fence_page.h"
#include "core/table.h"
#include "tests/integration/killed_in.h"
#include "tests/support/assassin.h"
#include "tests/support/places.h"
#include "tests/support/seat.h"

enum {
	SEATS = 3,
	KNOWN_MAX = 4096,
	OFTEN = 64,
	MOVE_EVERY = 16,
	CLOSE_EVERY = 3,
	/* Of the fence in the page of the first seat. */
	ENTRY = 3,
	TAG = 77,
};

enum fate {
	ALIVE,
	DYING, /* in this step, each by itself */
	DYING_TOGETHER,
	DEAD,
};

struct known {
	int seat;
	uint64_t wire;
	enum fate fate;
};

struct story {
	struct inproc *world;
	struct seat seats[SEATS];
	struct known known[KNOWN_MAX];
	uint32_t n_known;
	/* How many resources and allocations live before this step, and how
	 * many more after it, if it is all or nothing. */
	uint64_t lives;
	int delta;
	bool is_atomic;
	const char *step;
	struct assassin assassin;
	struct assassin second; /* within a copy */
	uint64_t again;
	uint64_t token[2], fence_token[2];
	uint64_t contexts[2], fence, fence_opened;
	/* What can be read of the fence as long as it lives, or 0. */
	uint64_t published;
	uint64_t watch; /* a request of the second seat, or 0 */
	uint64_t removed; /* its device that an adapter takes along, or 0 */
	struct random random;
};

static uint64_t number_from(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : usual;
}

/* ---- Judgement, in the copy ---- */

__attribute__((noreturn, format(printf, 2, 3))) static void
guilty(const struct story *s, const char *format, ...)
{
	va_list list;

	fprintf(stderr, "step %s: ", s->step);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	_exit(2);
}

static bool lives(const struct story *s, const struct known *known)
{
	const struct region *region = world_region(s->world);
	const struct seat *seat = &s->seats[known->seat];
	const struct session *session = seat_session(seat);
	struct handle handle = handle_from_wire(known->wire, session->secret);

	return session->record.in_use && session->phase == SESSION_ACTIVE &&
	       control_peek(&slot_at(region, handle_index(handle))->control,
			    handle);
}

static void judge_handles(const struct story *s)
{
	int together = -1;

	for (uint32_t i = 0; i < s->n_known; i++) {
		const struct known *k = &s->known[i];
		bool alive = lives(s, k);

		if (k->fate == ALIVE && !alive)
			guilty(s, "handle %u of %d is lost", i, k->seat);
		if (k->fate == DEAD && alive)
			guilty(s, "handle %u of %d lives again", i, k->seat);
		if (k->fate != DYING_TOGETHER)
			continue;
		if (together >= 0 && together != alive)
			guilty(s, "half of a resource died");
		together = alive;
	}
}

static uint64_t count_lives(const struct story *s)
{
	const struct state *state = world_state(s->world);

	return state->n_resources + state->n_allocations;
}

static void judge_number(const struct story *s)
{
	uint64_t now = count_lives(s);

	if (s->is_atomic && now != s->lives &&
	    now != s->lives + (uint64_t)(int64_t)s->delta)
		guilty(s, "%ju live, before it were %ju", (uintmax_t)now,
		       (uintmax_t)s->lives);
}

static bool fence_lives(const struct story *s)
{
	for (uint32_t i = 0; i < s->n_known; i++)
		if (s->known[i].wire == s->fence && s->known[i].seat == 0)
			return lives(s, &s->known[i]);
	return false;
}

static void judge_page(const struct story *s)
{
	const struct fence_page *page =
		inproc_page(s->world, s->seats[0].client);
	bool alive = fence_lives(s);
	uint64_t value = 0;

	if (fence_page_read(page, ENTRY, TAG, &value) && !alive)
		guilty(s, "%ju is read of a fence that has ended",
		       (uintmax_t)value);
	if (alive && value < s->published)
		guilty(s, "%ju is read, and it is %ju", (uintmax_t)value,
		       (uintmax_t)s->published);
}

/* One that waits for what has been stored, or will be in the story. */
static void judge_watch(struct story *s)
{
	struct seat *seat = &s->seats[1];

	if (s->watch == 0)
		return;
	if (seat_heard(seat, s->watch)) {
		if (seat->reply.head.status != 0)
			guilty(s, "the watch fails: %s",
			       strerror(-seat->reply.head.status));
		return;
	}
	/* Otherwise it was said to who has been killed. */
	if (!fence_lives(s) && seat_session(seat)->n_watches != 0)
		guilty(s, "the watch outlives its fence");
}

/* Who has lost a device is to be told, and nobody else. */
static void judge_notice(struct story *s)
{
	struct seat *seat = &s->seats[1];
	uint32_t client = 0;
	bool noticed;

	if (s->removed == 0)
		return;
	noticed = broker_next_notice(inproc_broker(s->world), &client);
	if (noticed != (seat_device(seat, s->removed)->state == DEVICE_REMOVED))
		guilty(s, "a notice is lost, or of nothing");
	if (noticed && client != seat->client)
		guilty(s, "the notice is for %u", client);
}

/* Clients that live on use what they have: some end nothing, but close. */
static void live_on(struct story *s)
{
	for (int i = 0; i < SEATS; i++) {
		struct wire_request close = { .opcode = WIRE_OP_ADAPTER_CLOSE };
		struct seat *seat = &s->seats[i];

		if (seat->adapter == 0 ||
		    seat_session(seat)->phase != SESSION_ACTIVE)
			continue;
		close.object = seat->adapter;
		seat_send(seat, close, NULL, 0);
		inproc_pump_all(s->world);
		inproc_check(s->world);
	}
}

/* All that may happen afterwards happens. */
static void judge(struct story *s, uint64_t point)
{
	inproc_recover(s->world, point % MOVE_EVERY == 0);
	judge_handles(s);
	judge_number(s);
	judge_page(s);
	judge_notice(s);
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(s->world);
	inproc_check(s->world);
	judge_handles(s);
	judge_page(s);
	judge_watch(s);
	if (point % CLOSE_EVERY == 0)
		live_on(s);
	inproc_free(s->world);
}

static void after_second(void *context, uint64_t point)
{
	judge(context, point);
}

/* Deaths at different places leave different things to mend. */
static bool dies_again(const struct story *s)
{
	return s->again != 0 && s->assassin.is_first &&
	       s->assassin.firsts % s->again == 0;
}

static void after_death(void *context, uint64_t point)
{
	struct story *s = context;

	if (!dies_again(s)) {
		judge(s, point);
		return;
	}
	s->second = (struct assassin){
		.pages = inproc_pages(s->world),
		.afterwards = after_second,
		.context = s,
		.stride = 701 + point % 64,
		.often = OFTEN,
		.name = "within a rebuild",
	};
	assassin_arm(&s->second);
	inproc_take_over(s->world);
	assassin_disarm(&s->second);
	judge(s, point);
}

/* ---- Telling ---- */

static void know(struct story *s, int seat, uint64_t wire)
{
	assert(s->n_known < KNOWN_MAX);
	s->known[s->n_known++] = (struct known){ seat, wire, ALIVE };
}

static void know_all(struct story *s, int seat, const uint64_t *wires,
		     uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		know(s, seat, wires[i]);
}

static void doom(struct story *s, uint64_t wire, enum fate fate)
{
	for (uint32_t i = 0; i < s->n_known; i++)
		if (s->known[i].wire == wire)
			s->known[i].fate = fate;
}

static void doom_all(struct story *s, const uint64_t *wires, uint32_t count,
		     enum fate fate)
{
	for (uint32_t i = 0; i < count; i++)
		doom(s, wires[i], fate);
}

static void doom_seat(struct story *s, int seat)
{
	for (uint32_t i = 0; i < s->n_known; i++)
		if (s->known[i].seat == seat && s->known[i].fate == ALIVE)
			s->known[i].fate = DYING;
}

static bool begin(struct story *s, const char *step)
{
	const char *only = getenv("TENURE_KILL_STEP");

	s->step = step;
	s->lives = count_lives(s);
	s->assassin.points = 0;
	s->assassin.name = step;
	if (only == NULL || strcmp(only, step) == 0)
		assassin_arm(&s->assassin);
	else
		s->step = NULL;
	return true;
}

static void end(struct story *s)
{
	if (s->step != NULL)
		assassin_disarm(&s->assassin);
	if (getenv("TENURE_KILL_TRACE"))
		print_message("%s: %ju points\n", s->assassin.name,
			      (uintmax_t)s->assassin.points);
	for (uint32_t i = 0; i < s->n_known; i++)
		if (s->known[i].fate == DYING ||
		    s->known[i].fate == DYING_TOGETHER)
			s->known[i].fate = DEAD;
	s->is_atomic = false;
	s->delta = 0;
}

#define STEP(s, name, ...)      \
	do {                    \
		begin(s, name); \
		__VA_ARGS__;    \
		end(s);         \
	} while (0)

/* A step that makes or destroys so many at once, or none. */
#define STEP_WHOLE(s, name, by, ...)        \
	do {                                \
		(s)->is_atomic = true;      \
		(s)->delta = by;            \
		STEP(s, name, __VA_ARGS__); \
	} while (0)

static void story_begin(struct story *s, uint64_t seed,
			uint32_t first_generation, uint64_t stride)
{
	struct inproc_config config;

	memset(s, 0, sizeof(*s));
	inproc_config_default(&config);
	config.seed = seed;
	config.first_generation = first_generation;
	config.memfds = false;
	config.tick_budget = 1 + (uint32_t)(seed % 64);
	s->random.state = seed;
	s->world = inproc_new(&config);
	s->again = number_from("TENURE_KILL_AGAIN", 20);
	s->assassin = (struct assassin){
		.pages = inproc_pages(s->world),
		.afterwards = after_death,
		.context = s,
		.stride = number_from("TENURE_KILL_STRIDE", stride),
		.phase = number_from("TENURE_KILL_PHASE", seed),
		.only = number_from("TENURE_KILL_POINT", 0),
	};
}

static int count_missed(const struct places *places,
			const char *const *functions)
{
	int missed = 0;

	for (; *functions; functions++) {
		if (places_deaths(places, *functions) > 0)
			continue;
		print_error("nobody was killed in %s\n", *functions);
		missed++;
	}
	return missed;
}

/* Whoever asks for some points alone does not ask this. */
static void nobody_was_missed(void **state)
{
	bool is_again = number_from("TENURE_KILL_AGAIN", 1) != 0;
	struct places *places;
	int missed;

	(void)state;
	if (!assassin_can() || getenv("TENURE_KILL_STEP") ||
	    getenv("TENURE_KILL_POINT"))
		skip();
	places = places_new();
	missed = places_can(places) ? count_missed(places, killed_in) : 0;
	if (places_can(places) && is_again)
		missed += count_missed(places, killed_again_in);
	if (getenv("TENURE_KILL_TRACE"))
		places_print(places);
	places_free(places);
	assert_int_equal(missed, 0);
}

static void story_end(struct story *s)
{
	print_message("%ju deaths\n", (uintmax_t)s->assassin.deaths);
	inproc_free(s->world);
}

/* Client i, with a device. Its own handles are known afterwards. */
static void arrive(struct story *s, int i, uint32_t uid)
{
	struct seat *seat = &s->seats[i];
	const struct peer peer = { .uid = uid, .pid = 7, .cgroup = "/k" };

	*seat = (struct seat){ .world = s->world };
	STEP(s, "connect",
	     assert_int_equal(
		     inproc_connect(s->world, &peer, &seat->client, NULL), 0));
	STEP(s, "hello",
	     assert_int_equal(inproc_hello(s->world, seat->client), 0));
	STEP(s, "adapter_open",
	     assert_int_equal(seat_adapter_open(seat, "system", &seat->adapter),
			      0));
	know(s, i, seat->adapter);
	STEP(s, "device_create",
	     assert_int_equal(seat_device_create(seat, seat->adapter,
						 &seat->device),
			      0));
	know(s, i, seat->device);
}

static void tell_memory(struct story *s)
{
	struct seat *one = &s->seats[0], *two = &s->seats[1];
	uint64_t lone[4], kept, children[6], shared, parts[3], opened, seen[3];

	STEP_WHOLE(s, "create_lone", 4,
		   assert_int_equal(seat_create(one, 0, 0, 4, NULL, lone), 0));
	know_all(s, 0, lone, 4);
	STEP_WHOLE(s, "create_resource", 5,
		   assert_int_equal(seat_create(one, 0, TENURE_CREATE_RESOURCE,
						4, &kept, children),
				    0));
	know(s, 0, kept);
	know_all(s, 0, children, 4);
	STEP_WHOLE(s, "create_more", 2,
		   assert_int_equal(seat_create(one, kept, 0, 2, NULL,
						children + 4),
				    0));
	know_all(s, 0, children + 4, 2);
	STEP_WHOLE(s, "create_shared", 4,
		   assert_int_equal(seat_create(one, 0,
						TENURE_CREATE_RESOURCE |
							TENURE_CREATE_SHARED,
						3, &shared, parts),
				    0));
	know(s, 0, shared);
	know_all(s, 0, parts, 3);
	STEP(s, "share",
	     assert_int_equal(seat_share(one, shared, 3, s->token), 0));
	STEP_WHOLE(s, "open", 4,
		   assert_int_equal(seat_open(two, s->token, 3, &opened, seen),
				    0));
	know(s, 1, opened);
	know_all(s, 1, seen, 3);
	doom_all(s, lone, 2, DYING);
	STEP(s, "destroy_list",
	     assert_int_equal(seat_destroy(one, 0, lone, 2, 0), 0));
	doom_all(s, children, 2, DYING);
	STEP(s, "destroy_children",
	     assert_int_equal(seat_destroy(one, 0, children, 2, 0), 0));
	doom(s, kept, DYING_TOGETHER);
	doom_all(s, children + 2, 4, DYING_TOGETHER);
	STEP_WHOLE(s, "destroy_resource", -5,
		   assert_int_equal(seat_destroy(one, kept, NULL, 0,
						 TENURE_DESTROY_SYNCHRONOUS),
				    0));
	doom(s, shared, DYING_TOGETHER);
	doom_all(s, parts, 3, DYING_TOGETHER);
	STEP_WHOLE(s, "destroy_shared", -4,
		   assert_int_equal(seat_destroy(one, shared, NULL, 0, 0), 0));
	doom(s, opened, DYING_TOGETHER);
	doom_all(s, seen, 3, DYING_TOGETHER);
	STEP_WHOLE(s, "destroy_opened", -4,
		   assert_int_equal(seat_destroy(two, opened, NULL, 0, 0), 0));
	STEP(s, "revoke", assert_int_equal(seat_revoke(one, s->token), 0));
}

/* One that grows beyond its room, and has tokens that go in any order. */
static void tell_growth(struct story *s)
{
	enum { MORE = 40 };
	struct seat *one = &s->seats[0];
	uint64_t kept, child, more[MORE], shared, token[3][2];

	assert_int_equal(seat_create(one, 0, TENURE_CREATE_RESOURCE, 1, &kept,
				     &child),
			 0);
	know(s, 0, kept);
	know(s, 0, child);
	STEP_WHOLE(s, "create_beyond_room", MORE,
		   assert_int_equal(seat_create(one, kept, 0, MORE, NULL, more),
				    0));
	know_all(s, 0, more, MORE);
	assert_int_equal(seat_create(one, 0,
				     TENURE_CREATE_RESOURCE |
					     TENURE_CREATE_SHARED,
				     1, &shared, &child),
			 0);
	know(s, 0, shared);
	know(s, 0, child);
	for (int i = 0; i < 3; i++)
		STEP(s, "share_again",
		     assert_int_equal(seat_share(one, shared, 3, token[i]), 0));
	STEP(s, "revoke_between",
	     assert_int_equal(seat_revoke(one, token[1]), 0));
	STEP(s, "revoke_last", assert_int_equal(seat_revoke(one, token[2]), 0));
}

/* What asks for little: maps, pools, a refusal, a device in error. */
static void tell_small(struct story *s)
{
	struct wire_request head = { .opcode = WIRE_OP_POOL_CREATE,
				     .count = 8,
				     .value = { PAGE_BYTES, NS_PER_S } };
	struct wire_pool_told told = { .free = 3 };
	struct seat *one = &s->seats[0];
	uint64_t lone[2], second, third, adapter;

	assert_int_equal(seat_create(one, 0, 0, 2, NULL, lone), 0);
	know_all(s, 0, lone, 2);
	STEP(s, "map",
	     assert_int_equal(seat_map(one, lone[0], WIRE_MAP_WRITE), 0));
	STEP(s, "map_with_descriptor",
	     assert_int_equal(seat_map(one, lone[1], WIRE_MAP_WANT_FD), 0));
	STEP(s, "unmap", assert_int_equal(seat_unmap(one, lone[0]), 0));
	STEP(s, "refused",
	     assert_int_equal(seat_destroy(one, one->device, NULL, 0, 0),
			      -EINVAL));
	for (int i = 0; i < 2; i++)
		STEP(s, "pool_create",
		     assert_int_equal(seat_ask(one, head, NULL, 0), 0));
	head = (struct wire_request){ .opcode = WIRE_OP_POOL_REPORT,
				      .object = one->reply.head.value[0] };
	STEP(s, "pool_report",
	     assert_int_equal(seat_ask(one, head, &told, sizeof(told)), 0));
	head.opcode = WIRE_OP_POOL_DESTROY;
	STEP(s, "pool_destroy",
	     assert_int_equal(seat_ask(one, head, NULL, 0), 0));
	STEP(s, "device_create_beside",
	     assert_int_equal(seat_device_create(one, one->adapter, &second),
			      0));
	know(s, 0, second);
	assert_int_equal(seat_device_create(one, one->adapter, &third), 0);
	know(s, 0, third);
	doom(s, second, DYING);
	STEP(s, "device_destroy_between",
	     assert_int_equal(seat_device_destroy(one, second), 0));
	second = third;
	STEP(s, "device_error",
	     assert_int_equal(
		     seat_event(one, WIRE_TEST_DEVICE_ERROR, second, 0), 0));
	STEP(s, "adapter_open_again",
	     assert_int_equal(seat_adapter_open(one, "system", &adapter), 0));
	know(s, 0, adapter);
	doom(s, adapter, DYING);
	STEP(s, "adapter_close_one",
	     assert_int_equal(seat_adapter_close(one, adapter), 0));
}

/* Memory that belongs to all contexts, and uses by many of them. */
static void tell_shared_uses(struct story *s)
{
	enum { CONTEXTS = 6 };
	struct seat *one = &s->seats[0];
	uint64_t context[CONTEXTS], scratch[2], lone[2];

	for (int i = 0; i < CONTEXTS; i++) {
		assert_int_equal(seat_context_create(one, &context[i], NULL),
				 0);
		know(s, 0, context[i]);
	}
	STEP_WHOLE(
		s, "context_allocate_for_all", 2,
		assert_int_equal(
			seat_context_allocate(
				one, context[0],
				TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS,
				2, scratch),
			0));
	know_all(s, 0, scratch, 2);
	assert_int_equal(seat_create(one, 0, 0, 2, NULL, lone), 0);
	know_all(s, 0, lone, 2);
	for (int i = 0; i < CONTEXTS; i++)
		STEP(s, "submit_by_many",
		     assert_int_equal(seat_submit(one, context[i], 1, lone, 2),
				      0));
	doom(s, scratch[0], DYING);
	STEP(s, "context_free_of_all",
	     assert_int_equal(seat_context_free(one, one->adapter, scratch[0]),
			      0));
	doom(s, lone[0], DYING);
	STEP(s, "destroy_synchronous",
	     assert_int_equal(seat_send_destroy(one, 0, lone, 1,
						TENURE_DESTROY_SYNCHRONOUS),
			      BROKER_LATER));
	doom(s, context[1], DYING);
	STEP(s, "context_destroy_awaited",
	     assert_int_equal(seat_send_context_destroy(one, context[1], 0),
			      BROKER_LATER));
	/* It ends with its work. */
	doom(s, context[1], DYING);
	STEP(s, "awaited_goes",
	     assert_int_equal(seat_progress(one, context[1], 1), 0);
	     inproc_pump_all(s->world));
	for (int i = 0; i < CONTEXTS; i++)
		if (i != 1)
			STEP(s, "progress_of_many",
			     assert_int_equal(seat_progress(one, context[i], 1),
					      0));
	doom(s, context[0], DYING);
	STEP(s, "context_destroy_between",
	     assert_int_equal(seat_context_destroy(one, context[0], 0), 0));
}

/* More than a chunk has room for, behind work and in a session's stream; and
 * a backend that cannot release. */
static void tell_long(struct story *s)
{
	enum { N = 600 };
	static uint64_t made[N];
	struct seat *one = &s->seats[0];
	uint64_t context;

	assert_int_equal(seat_context_create(one, &context, NULL), 0);
	know(s, 0, context);
	assert_int_equal(seat_create(one, 0, 0, N, NULL, made), 0);
	know_all(s, 0, made, N);
	assert_int_equal(seat_submit(one, context, 1, made, 200), 0);
	assert_int_equal(seat_submit(one, context, 2, made + 200, 200), 0);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	doom_all(s, made, N, DYING);
	STEP(s, "destroy_long",
	     assert_int_equal(seat_send_destroy(one, 0, made, N, 0),
			      BROKER_REPLY));
	checking_fail(inproc_backend(s->world, 0), CHECKING_DESTROY, 1, -EIO);
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	STEP(s, "release_fails", inproc_pump(s->world));
	inproc_pump_all(s->world);
	STEP(s, "progress_long",
	     assert_int_equal(seat_progress(one, context, 2), 0);
	     inproc_pump_all(s->world));
}

/* A segment without a free slot, and again with one. */
static void tell_full(struct story *s)
{
	enum { LAST = 8 };
	struct seat *one = &s->seats[0];
	uint64_t first = one->device, device, last[LAST];

	assert_int_equal(seat_device_create(one, one->adapter, &device), 0);
	know(s, 0, device);
	one->device = device;
	assert_int_equal(
		seat_create(one, 0, 0, SEGMENT_SLOTS - LAST, NULL, NULL), 0);
	STEP_WHOLE(s, "create_to_the_brim", LAST,
		   assert_int_equal(seat_create(one, 0, 0, LAST, NULL, last),
				    0));
	know_all(s, 0, last, LAST);
	doom_all(s, last, LAST, DYING);
	STEP(s, "destroy_at_the_brim",
	     assert_int_equal(seat_destroy(one, 0, last, LAST, 0), 0));
	doom(s, device, DYING);
	STEP(s, "device_destroy_full",
	     assert_int_equal(seat_device_destroy(one, device), 0));
	one->device = first;
}

/* A close that waits for a device that somebody waits for. */
static void tell_followers(struct story *s)
{
	struct seat *two = &s->seats[1];
	uint64_t first = two->device, other, device, context, lone;

	assert_int_equal(seat_adapter_open(two, "other", &other), 0);
	assert_int_equal(seat_device_create(two, other, &device), 0);
	know(s, 1, other);
	know(s, 1, device);
	two->device = device;
	assert_int_equal(seat_context_create(two, &context, NULL), 0);
	assert_int_equal(seat_create(two, 0, 0, 1, NULL, &lone), 0);
	know(s, 1, context);
	know(s, 1, lone);
	doom(s, context, DYING);
	doom(s, lone, DYING);
	doom(s, device, DYING);
	assert_int_equal(seat_submit(two, context, 1, &lone, 1), 0);
	STEP(s, "device_destroy_awaited",
	     assert_int_equal(seat_send_device_destroy(two, device, 0),
			      BROKER_LATER));
	doom(s, context, DYING);
	doom(s, lone, DYING);
	doom(s, device, DYING);
	doom(s, other, DYING);
	STEP(s, "adapter_close_follows",
	     assert_int_equal(seat_send(two,
					(struct wire_request){
						.opcode = WIRE_OP_ADAPTER_CLOSE,
						.object = other },
					NULL, 0),
			      BROKER_LATER));
	doom(s, context, DYING);
	doom(s, lone, DYING);
	doom(s, device, DYING);
	doom(s, other, DYING);
	STEP(s, "both_are_answered",
	     assert_int_equal(seat_progress(two, context, 1), 0);
	     inproc_pump_all(s->world));
	two->device = first;
}

/* What was destroyed out of a resource outlives it in its work: the shell is
 * set aside, and comes back. */
static void tell_shell(struct story *s)
{
	struct seat *one = &s->seats[0];
	uint64_t resource, child[2];

	assert_int_equal(seat_create(one, 0, TENURE_CREATE_RESOURCE, 2,
				     &resource, child),
			 0);
	know(s, 0, resource);
	know_all(s, 0, child, 2);
	assert_int_equal(seat_submit(one, s->contexts[1], 6, child, 1), 0);
	doom(s, child[0], DYING);
	STEP(s, "destroy_orphan",
	     assert_int_equal(seat_destroy(one, 0, child, 1, 0), 0));
	doom(s, resource, DYING_TOGETHER);
	doom(s, child[1], DYING_TOGETHER);
	STEP_WHOLE(s, "shell_set_aside", -2,
		   assert_int_equal(seat_destroy(one, resource, NULL, 0,
						 TENURE_DESTROY_SYNCHRONOUS),
				    0));
	STEP(s, "shell_comes_back",
	     assert_int_equal(seat_progress(one, s->contexts[1], 6), 0));
}

static void tell_work(struct story *s)
{
	struct seat *one = &s->seats[0];
	uint64_t lone[6], kept, children[4], scratch[3];
	uint32_t word;

	for (int i = 0; i < 2; i++) {
		STEP(s, "context_create",
		     assert_int_equal(seat_context_create(one, &s->contexts[i],
							  &word),
				      0));
		know(s, 0, s->contexts[i]);
	}
	assert_int_equal(seat_create(one, 0, 0, 6, NULL, lone), 0);
	know_all(s, 0, lone, 6);
	assert_int_equal(seat_create(one, 0, TENURE_CREATE_RESOURCE, 4, &kept,
				     children),
			 0);
	know(s, 0, kept);
	know_all(s, 0, children, 4);
	STEP(s, "submit",
	     assert_int_equal(seat_submit(one, s->contexts[0], 5, lone, 4), 0));
	STEP(s, "submit_set",
	     assert_int_equal(seat_submit(one, s->contexts[1], 3, lone + 1, 3),
			      0));
	assert_int_equal(seat_submit(one, s->contexts[1], 3, lone + 5, 1), 0);
	assert_int_equal(seat_submit(one, s->contexts[1], 4, children, 2), 0);
	STEP_WHOLE(s, "context_allocate", 3,
		   assert_int_equal(seat_context_allocate(one, s->contexts[0],
							  0, 3, scratch),
				    0));
	know_all(s, 0, scratch, 3);
	doom(s, scratch[0], DYING);
	STEP(s, "context_free",
	     assert_int_equal(seat_context_free(one, one->adapter, scratch[0]),
			      0));
	doom_all(s, lone, 5, DYING);
	STEP(s, "destroy_used",
	     assert_int_equal(seat_destroy(one, 0, lone, 5, 0), 0));
	doom(s, children[0], DYING);
	STEP(s, "destroy_used_child",
	     assert_int_equal(seat_destroy(one, 0, children, 1, 0), 0));
	doom(s, kept, DYING_TOGETHER);
	doom_all(s, children + 1, 3, DYING_TOGETHER);
	STEP_WHOLE(s, "destroy_with_orphans", -4,
		   assert_int_equal(seat_destroy(one, kept, NULL, 0, 0), 0));
	/* What that says is lost with who has it; the memory is back once. */
	doom(s, lone[5], DYING);
	STEP(s, "destroy_assumed",
	     assert_int_equal(seat_destroy(one, 0, lone + 5, 1,
					   TENURE_DESTROY_ASSUME_NOT_IN_USE),
			      0));
	STEP(s, "progress",
	     assert_int_equal(seat_progress(one, s->contexts[0], 5), 0));
	STEP(s, "progress_set",
	     assert_int_equal(seat_progress(one, s->contexts[1], 4), 0));
	tell_shell(s);
	doom(s, s->contexts[0], DYING);
	doom_all(s, scratch + 1, 2, DYING);
	STEP(s, "context_destroy",
	     assert_int_equal(seat_context_destroy(one, s->contexts[0], 0), 0));
}

/*
 * On the other adapter, whose backend hears of readers only, a list is put
 * behind its work as a list: several blocks of it, some entries behind what is
 * there already, some behind nothing, one used by two contexts.
 */
static void tell_lists(struct story *s)
{
	enum { N = 40, CONTEXTS = 3 };
	static struct wire_reply refusals[N];
	struct seat *one = &s->seats[0];
	uint64_t first = one->device, other, device, context[CONTEXTS], made[N];
	uint32_t refused = 0;

	assert_int_equal(seat_adapter_open(one, "other", &other), 0);
	assert_int_equal(seat_device_create(one, other, &device), 0);
	know(s, 0, other);
	know(s, 0, device);
	one->device = device;
	for (int i = 0; i < CONTEXTS; i++) {
		assert_int_equal(seat_context_create(one, &context[i], NULL),
				 0);
		know(s, 0, context[i]);
	}
	for (uint64_t round = 0; round < 3; round++) {
		assert_int_equal(seat_create(one, 0, 0, N, NULL, made), 0);
		know_all(s, 0, made, N);
		for (uint64_t i = 0; i < CONTEXTS - 1; i++)
			STEP(s, "submit_list",
			     assert_int_equal(seat_submit(one, context[i],
							  10 * round + i + 1,
							  made + 16 * i, 16),
					      0));
		assert_int_equal(seat_submit(one, context[CONTEXTS - 1],
					     10 * round + 5, &made[20], 1),
				 0);
		doom_all(s, made, N, DYING);
		if (round == 0)
			STEP(s, "destroy_list_of_work",
			     assert_int_equal(seat_destroy(one, 0, made, N, 0),
					      0));
		else if (round == 1)
			STEP(s, "destroy_list_synchronous",
			     assert_int_equal(
				     seat_send_destroy(
					     one, 0, made, N,
					     TENURE_DESTROY_SYNCHRONOUS),
				     BROKER_LATER));
		else
			STEP(s, "free_queue",
			     refused = inproc_free_each(s->world, one->client,
							made, N, refusals));
		assert_int_equal(refused, 0);
		for (uint64_t i = 0; i < CONTEXTS; i++)
			STEP(s, "progress_list",
			     assert_int_equal(seat_progress(one, context[i],
							    10 * round + 9),
					      0));
	}
	doom(s, device, DYING);
	doom_all(s, context, CONTEXTS, DYING);
	STEP(s, "device_with_contexts",
	     assert_int_equal(seat_device_destroy(one, device), 0));
	one->device = first;
}

/* A descriptor that the daemon cannot make. */
static void not_made(struct seat *seat, struct wire_request head)
{
	struct broker *broker = inproc_broker(seat->world);
	struct broker_reply reply;

	head.id = ++seat->id;
	assert_int_equal(broker_receive(broker, seat->client,
					BROKER_PORT_SOCKET, &head, sizeof(head),
					1, &reply),
			 BROKER_REPLY);
	assert_int_equal(reply.head.status, 0);
	assert_int_equal(broker_descriptor_failed(broker, &reply, -EMFILE),
			 BROKER_REPLY);
}

/* The fence can be read in a page, as the library makes it so. */
static void tell_page(struct story *s)
{
	struct seat *one = &s->seats[0], *two = &s->seats[1];
	struct fence_page *page = inproc_page(s->world, one->client);
	struct wire_request head = { .opcode = WIRE_OP_RING };

	STEP(s, "ring_fails", not_made(two, head));
	STEP(s, "ring", assert_int_equal(seat_ask(one, head, NULL, 0), 0));
	head.fds_acked = 1;
	head.opcode = WIRE_OP_DOORBELL;
	STEP(s, "doorbell_fails", not_made(one, head));
	head.fds_acked = 0;
	STEP(s, "doorbell", assert_int_equal(seat_ask(one, head, NULL, 0), 0));
	head.opcode = WIRE_OP_FENCE_PAGE;
	STEP(s, "fence_page_fails", not_made(one, head));
	head.fds_acked = 1;
	STEP(s, "fence_page",
	     assert_int_equal(seat_ask(one, head, NULL, 0), 0));
	fence_page_begin(page, ENTRY, 1);
	head = (struct wire_request){ .opcode = WIRE_OP_FENCE_PUBLISH,
				      .device = one->device,
				      .object = s->fence,
				      .value = { ENTRY, TAG } };
	STEP(s, "fence_publish",
	     assert_int_equal(seat_ask(one, head, NULL, 0), 0));
	fence_page_publish(page, ENTRY, TAG);
	s->published = 1;
	head = (struct wire_request){ .opcode = WIRE_OP_FENCE_MAP,
				      .flags = WIRE_MAP_WANT_FD,
				      .device = two->device,
				      .object = s->fence_opened };
	STEP(s, "fence_map", assert_int_equal(seat_ask(two, head, NULL, 0), 0));
}

static void watch(struct seat *seat, uint64_t fence, uint64_t value)
{
	const struct wire_fence_wait one = { fence, value };
	struct wire_request head = { .opcode = WIRE_OP_FENCE_WATCH,
				     .device = seat->device,
				     .fds_acked = 1,
				     .count = 1 };

	assert_int_equal(seat_ask(seat, head, &one, sizeof(one)), 0);
}

static void tell_watches(struct story *s)
{
	struct seat *two = &s->seats[1];

	STEP(s, "fence_watch", watch(two, s->fence_opened, 9));
	STEP(s, "fence_watch_cancel",
	     assert_int_equal(seat_fence_wait_cancel(two, two->id), 0));
	watch(two, s->fence_opened, 8);
	s->watch = two->id;
}

static void tell_fences(struct story *s)
{
	struct seat *one = &s->seats[0], *two = &s->seats[1];
	struct wire_fence_wait list[2];
	uint64_t other;
	uint32_t word;

	STEP(s, "fence_create",
	     assert_int_equal(seat_fence_create(one, 1, &s->fence, &word), 0));
	know(s, 0, s->fence);
	STEP(s, "fence_share",
	     assert_int_equal(
		     seat_fence_share(one, s->fence, 3, s->fence_token), 0));
	STEP(s, "fence_open",
	     assert_int_equal(seat_fence_open(two, s->fence_token, 0,
					      &s->fence_opened),
			      0));
	know(s, 1, s->fence_opened);
	tell_page(s);
	assert_int_equal(seat_fence_create(two, 0, &other, &word), 0);
	know(s, 1, other);
	list[0] = (struct wire_fence_wait){ s->fence_opened, 5 };
	list[1] = (struct wire_fence_wait){ other, 7 };
	STEP(s, "fence_wait_any",
	     assert_int_equal(seat_fence_wait(two, 0, list, 2), BROKER_LATER));
	STEP(s, "fence_wait_all",
	     assert_int_equal(seat_fence_wait(two, TENURE_WAIT_ALL, list, 2),
			      BROKER_LATER));
	/* More than a signal lets go by itself. */
	for (int i = 0; i < 18; i++)
		assert_int_equal(seat_fence_wait(two, 0, list, 1),
				 BROKER_LATER);
	STEP(s, "fence_signal",
	     assert_int_equal(seat_fence_signal(one, s->fence, 6), 0));
	s->published = 6;
	tell_watches(s);
	/* Stored, and nobody has rung: who destroys it now has signalled. */
	fence_page_raise(inproc_page(s->world, one->client), ENTRY, 8);
	s->published = 8;
	doom(s, s->fence, DYING);
	STEP(s, "fence_destroy",
	     assert_int_equal(seat_fence_destroy(one, s->fence), 0));
	assert_true(seat_heard(two, s->watch));
	s->watch = 0;
	STEP(s, "revoke_fence",
	     assert_int_equal(seat_revoke(one, s->fence_token), 0));
	doom(s, s->fence_opened, DYING);
	STEP(s, "fence_close",
	     assert_int_equal(seat_fence_destroy(two, s->fence_opened), 0));
}

/*
 * What a device of the other adapter has, whose backend hears of readers only,
 * and will lose in the next step: allocations, with a resource and what is in
 * it in between.
 */
static void make_plain(struct story *s, int seat, uint64_t device)
{
	struct seat *one = &s->seats[seat];
	uint64_t first = one->device, made[6], resource;

	one->device = device;
	assert_int_equal(seat_create(one, 0, 0, 2, NULL, made), 0);
	assert_int_equal(seat_create(one, 0, TENURE_CREATE_RESOURCE, 1,
				     &resource, made + 2),
			 0);
	assert_int_equal(seat_create(one, 0, 0, 3, NULL, made + 3), 0);
	one->device = first;
	know(s, seat, resource);
	know_all(s, seat, made, 6);
	doom_all(s, made, 6, DYING);
	doom(s, resource, DYING);
}

/* Slots that stay pinned are set aside, and come back. Who dies takes the pins
 * along. */
static void tell_pins(struct story *s)
{
	struct seat *one = &s->seats[0];
	uint64_t lone, resource, children[2];
	struct pinned_report report;
	struct slot *pinned[2];

	assert_int_equal(seat_create(one, 0, 0, 1, NULL, &lone), 0);
	assert_int_equal(seat_create(one, 0, TENURE_CREATE_RESOURCE, 2,
				     &resource, children),
			 0);
	know(s, 0, lone);
	know(s, 0, resource);
	know_all(s, 0, children, 2);
	pinned[0] = seat_pin(one, lone);
	pinned[1] = seat_pin(one, children[0]);
	doom(s, lone, DYING);
	STEP(s, "destroy_pinned",
	     assert_int_equal(seat_destroy(one, 0, &lone, 1, 0), 0));
	doom(s, resource, DYING_TOGETHER);
	doom_all(s, children, 2, DYING_TOGETHER);
	STEP_WHOLE(s, "destroy_with_pinned", -3,
		   assert_int_equal(seat_destroy(one, resource, NULL, 0, 0),
				    0));
	assert_int_equal(seat_session(one)->n_pinned, 2);
	inproc_advance_ns(s->world, PINNED_PERIOD_NS);
	STEP(s, "look_at_pinned", inproc_pump_all(s->world));
	assert_int_equal(seat_session(one)->n_pinned, 2);
	inproc_advance_ns(s->world, PINNED_TOLD_S * NS_PER_S);
	STEP(s, "pinned_for_long", inproc_pump_all(s->world));
	STEP(s, "report_pinned",
	     assert_true(broker_next_pinned(inproc_broker(s->world), &report)));
	table_unpin(pinned[0]);
	table_unpin(pinned[1]);
	inproc_advance_ns(s->world, PINNED_PERIOD_NS);
	STEP(s, "pinned_go_back", inproc_pump_all(s->world));
	assert_int_equal(seat_session(one)->n_pinned, 0);
}

/* A sweep meets slots that are pinned, or were used by several contexts. */
static void tell_pinned_sweep(struct story *s)
{
	struct seat *one = &s->seats[0];
	uint64_t first = one->device, other, device, context[2], made[4];
	struct slot *pinned;

	assert_int_equal(seat_adapter_open(one, "other", &other), 0);
	assert_int_equal(seat_device_create(one, other, &device), 0);
	know(s, 0, other);
	know(s, 0, device);
	one->device = device;
	assert_int_equal(seat_create(one, 0, 0, 4, NULL, made), 0);
	know_all(s, 0, made, 4);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(seat_context_create(one, &context[i], NULL),
				 0);
		know(s, 0, context[i]);
		doom(s, context[i], DYING);
		assert_int_equal(seat_submit(one, context[i], 1, made + i, 2),
				 0);
	}
	pinned = seat_pin(one, made[2]);
	doom_all(s, made, 4, DYING);
	doom(s, device, DYING);
	STEP(s, "device_destroy_pinned",
	     seat_send_device_destroy(one, device, TENURE_END_TERMINATE);
	     inproc_pump_all(s->world));
	assert_int_equal(seat_session(one)->n_pinned, 1);
	/* It stays as long as the pin does. */
	doom(s, device, DYING);
	table_unpin(pinned);
	inproc_advance_ns(s->world, PINNED_PERIOD_NS);
	STEP(s, "device_goes", inproc_pump_all(s->world));
	one->device = first;
	assert_int_equal(seat_session(one)->n_pinned, 0);
}

/* A destroy that waits for work of a device that goes with its adapter in the
 * next step. */
static void wait_in_vain(struct story *s, int seat, uint64_t adapter)
{
	struct seat *one = &s->seats[seat];
	uint64_t first = one->device, context, used;

	assert_int_equal(seat_device_create(one, adapter, &one->device), 0);
	assert_int_equal(seat_context_create(one, &context, NULL), 0);
	assert_int_equal(seat_create(one, 0, 0, 1, NULL, &used), 0);
	assert_int_equal(seat_submit(one, context, 1, &used, 1), 0);
	assert_int_equal(seat_send_destroy(one, 0, &used, 1,
					   TENURE_DESTROY_SYNCHRONOUS),
			 BROKER_LATER);
	one->device = first;
	know(s, seat, used);
	doom(s, used, DYING);
}

/* Clients of an adapter that stops under them. */
static void tell_removal(struct story *s)
{
	struct seat *one = &s->seats[0], *two = &s->seats[1];
	struct wire_request ask = { .opcode = WIRE_OP_NOTICES };
	uint64_t theirs, mine, device;
	uint32_t told;

	assert_int_equal(seat_adapter_open(one, "other", &mine), 0);
	assert_int_equal(seat_adapter_open(two, "other", &theirs), 0);
	assert_int_equal(seat_device_create(two, theirs, &device), 0);
	know(s, 1, device);
	STEP(s, "notices", assert_int_equal(seat_ask(two, ask, NULL, 0), 0));
	make_plain(s, 1, device);
	wait_in_vain(s, 1, theirs);
	s->removed = device;
	STEP(s, "adapter_stop",
	     assert_int_equal(seat_event(one, WIRE_TEST_ADAPTER_STOP, 0, mine),
			      0));
	STEP(s, "adapter_start",
	     assert_int_equal(seat_event(one, WIRE_TEST_ADAPTER_START, 0, mine),
			      0));
	/* Until it is said to be sent it may be lost with who has it. */
	STEP(s, "take_notice",
	     assert_true(broker_next_notice(inproc_broker(s->world), &told)));
	assert_int_equal(told, two->client);
	s->removed = 0;
	STEP(s, "notice_sent",
	     broker_notice_sent(inproc_broker(s->world), told));
	assert_false(broker_next_notice(inproc_broker(s->world), &told));
}

static void tell_ends(struct story *s)
{
	struct seat *one = &s->seats[0], *two = &s->seats[1];
	uint64_t first = one->device, second, made[4], token[2], shared, part;
	uint64_t other, plain;

	assert_int_equal(seat_device_create(one, one->adapter, &second), 0);
	one->device = second;
	assert_int_equal(seat_create(one, 0, 0, 3, NULL, made), 0);
	assert_int_equal(seat_create(one, 0,
				     TENURE_CREATE_RESOURCE |
					     TENURE_CREATE_SHARED,
				     1, &shared, &part),
			 0);
	assert_int_equal(seat_share(one, shared, 3, token), 0);
	assert_int_equal(seat_open(two, token, 1, NULL, NULL), 0);
	know(s, 0, second);
	know_all(s, 0, made, 3);
	know(s, 0, shared);
	know(s, 0, part);
	doom(s, second, DYING);
	doom_all(s, made, 3, DYING);
	doom(s, shared, DYING);
	doom(s, part, DYING);
	STEP(s, "device_destroy",
	     assert_int_equal(seat_device_destroy(one, second), 0));
	one->device = first;
	arrive(s, 2, 1002);
	doom(s, s->seats[2].adapter, DYING);
	doom(s, s->seats[2].device, DYING);
	STEP(s, "adapter_close",
	     assert_int_equal(
		     seat_adapter_close(&s->seats[2], s->seats[2].adapter), 0));
	assert_int_equal(seat_adapter_open(one, "other", &other), 0);
	assert_int_equal(seat_device_create(one, other, &plain), 0);
	know(s, 0, plain);
	make_plain(s, 0, plain);
	doom(s, plain, DYING);
	STEP(s, "plain_device_destroy",
	     assert_int_equal(seat_device_destroy(one, plain), 0));
	assert_int_equal(seat_device_create(one, other, &plain), 0);
	know(s, 0, plain);
	make_plain(s, 0, plain);
	doom_seat(s, 0);
	STEP(s, "client_dies", inproc_kill(s->world, one->client));
	doom_seat(s, 1);
	STEP(s, "last_client_dies", inproc_kill(s->world, two->client));
}

static void g1_to_g6_the_whole_story(void **state)
{
	static struct story s;

	(void)state;
	if (!assassin_can())
		skip();
	story_begin(&s, 1, 1, 0);
	arrive(&s, 0, 1000);
	arrive(&s, 1, 1001);
	tell_memory(&s);
	tell_growth(&s);
	tell_small(&s);
	tell_work(&s);
	tell_shared_uses(&s);
	tell_full(&s);
	tell_long(&s);
	tell_lists(&s);
	tell_followers(&s);
	tell_fences(&s);
	tell_removal(&s);
	tell_pins(&s);
	tell_pinned_sweep(&s);
	tell_ends(&s);
	story_end(&s);
}

/* So many devices with a segment each. */
static void make_devices(struct seat *seat, uint64_t *devices, uint32_t n)
{
	uint64_t first = seat->device;

	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(seat_device_create(seat, seat->adapter,
						    &devices[i]),
				 0);
		seat->device = devices[i];
		assert_int_equal(seat_create(seat, 0, 0, 1, NULL, NULL), 0);
	}
	seat->device = first;
}

/* Segments that nobody needs lose their memory, and are taken again. */
static void g1_to_g6_segments_without_memory(void **state)
{
	enum { DEVICES = 140, AT_ONCE = 3, SPARSE = 20000 };
	static uint64_t devices[2][DEVICES];
	static struct story s;
	struct seat *one = &s.seats[0];
	uint32_t i = 0;

	(void)state;
	if (!assassin_can())
		skip();
	story_begin(&s, 1, 1, SPARSE);
	for (int k = 0; k < 2; k++) {
		arrive(&s, k, 1000);
		make_devices(&s.seats[k], devices[k], DEVICES);
	}
	while (table_depot_count(world_region(s.world)) < DEPOT_KEEP) {
		struct seat *seat = &s.seats[i % 2];

		assert_int_equal(
			seat_device_destroy(seat, devices[i % 2][i / 2]), 0);
		i++;
	}
	STEP(&s, "trim",
	     for (uint32_t k = 1; k <= AT_ONCE; k++)
		     seat_send_device_destroy(one, devices[0][DEVICES - k], 0);
	     inproc_pump_all(s.world));
	for (int k = 0; k < 2; k++)
		make_devices(&s.seats[k], devices[k], DEPOT_KEEP / 2 - 2);
	for (int k = 0; k < 8; k++)
		STEP(&s, "take_trimmed", make_devices(one, devices[0], 1));
	story_end(&s);
}

/* Slots whose handles have come to their end. */
static void g1_to_g6_the_last_generations(void **state)
{
	static struct story s;
	struct seat *one = &s.seats[0];
	uint64_t made[4], resource, context;

	(void)state;
	if (!assassin_can())
		skip();
	story_begin(&s, 1, SLOT_GENERATION_MAX - 2, 128);
	arrive(&s, 0, 1000);
	for (int round = 0; round < 3; round++) {
		/* Those that are not the last come first. */
		assert_int_equal(seat_create(one, 0, 0, 4, NULL, made), 0);
		assert_int_equal(seat_destroy(one, 0, made, 4, 0), 0);
		STEP_WHOLE(&s, "create_at_the_end", 4,
			   assert_int_equal(
				   seat_create(one, 0, 0, 4, NULL, made), 0));
		know_all(&s, 0, made, 4);
		doom_all(&s, made, 4, DYING);
		STEP(&s, "destroy_at_the_end",
		     assert_int_equal(seat_destroy(one, 0, made, 4, 0), 0));
		assert_int_equal(seat_create(one, 0, TENURE_CREATE_RESOURCE, 2,
					     &resource, made),
				 0);
		know(&s, 0, resource);
		know_all(&s, 0, made, 2);
		doom(&s, resource, DYING_TOGETHER);
		doom_all(&s, made, 2, DYING_TOGETHER);
		STEP_WHOLE(&s, "destroy_resource_at_the_end", -3,
			   assert_int_equal(
				   seat_destroy(one, resource, NULL, 0, 0), 0));
		STEP(&s, "context_at_the_end",
		     assert_int_equal(seat_context_create(one, &context, NULL),
				      0));
		know(&s, 0, context);
		doom(&s, context, DYING);
		STEP(&s, "context_destroy_at_the_end",
		     assert_int_equal(seat_context_destroy(one, context, 0),
				      0));
	}
	doom_seat(&s, 0);
	STEP(&s, "client_dies", inproc_kill(s.world, one->client));
	story_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_to_g6_the_whole_story),
		cmocka_unit_test(g1_to_g6_segments_without_memory),
		cmocka_unit_test(g1_to_g6_the_last_generations),
		cmocka_unit_test(nobody_was_missed), /* by those above */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
