/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories of the handle table, checked against the sequential one.
 *
 *	histories_test [HISTORIES]
 *
 * A history is what four threads have said of one generation of one slot: its
 * owner, and three who look up, pin and unpin. There is one slot, so all that
 * they do meets there. Each operation notes when it began and when it had
 * ended, on a clock that all share (a counter), and what it said; afterwards
 * there must be an order of all of them that a table with one thread allows
 * (history.h).
 *
 * So that a history has several threads in it, the owner tells at some stages
 * of a life which generation it is: before it is there, while it is live,
 * within the destroy. Then each reader looks up a few times, that generation
 * at first, later also the one before and the one to come, now and then in the
 * name of another owner. At one stage of each life the owner goes on only when
 * two of them have begun. What they do from there on has no order. Some let
 * others run in the middle of an operation, and a timer makes readers do so
 * between any two instructions: so operations meet on one processor, too.
 *
 * The test goes on until as many histories as it was asked for had three
 * threads in them, and in three of five of all a lookup met a change that
 * another thread made, and in one of four two threads' lookups met. It fails if
 * it takes a quarter more of them.
 *
 * Some lives are reclaimed by a reader, remotely. Every few lives the segment
 * goes to another owner by the depot.
 *
 * A reclaim that was refused overlaps somebody's pin of that generation, or of
 * one before that came too late. Cites table G1, G2, G3, G4, G6.
 */
#include "tests/torture/history.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdlib.h>

#include "core/table.h"
#include "tests/support/random.h"
#include "tests/support/seat.h"
#include "tests/torture/interrupts.h"

/* Stages of a life at which the owner may tell of it. */
enum stage { COMING, PRESENT, GOING, STAGES };

enum {
	READERS = HISTORY_THREADS - 1,
	LIVES = 2000, /* in a round */
	TURN = 3, /* lookups of a reader when it is told something, at most */
	LOOKUPS = LIVES * STAGES * TURN, /* so many are told in a round */
	MET = 2, /* readers that must have begun at one stage of a life */
	TELL_PERCENT = 50, /* of the other stages are told of */
	YIELD_PERCENT = 15, /* of places where others may run */
	REMOTE_PERCENT = 25, /* of lives that a reader reclaims */
	EXCHANGE = 16, /* lives of one owner in a row */
	ENOUGH = UINT32_MAX, /* told at the end of a round */
};

static uint64_t histories = 1000000;

struct reader {
	pthread_t thread;
	struct round *round;
	struct random random;
	uint8_t number; /* from 1 on */
	uint32_t n; /* lookups */
	struct lookup lookups[LOOKUPS];
	alignas(64) atomic_u32 begun; /* what it was told when it last began */
};

struct round {
	alignas(64) atomic_u64 clock;
	alignas(64) atomic_u32 told; /* the generation, and the stage */
	alignas(64) atomic_u32 mail; /* a generation to reclaim, or 0 */
	alignas(64) struct bare bare;
	struct owner owners[2];
	uint32_t index;
	struct random random;
	pthread_barrier_t start;
	struct history histories[LIVES + 2];
	struct span refused[LIVES + 2]; /* the last reclaim that found a pin */
	struct reader readers[READERS];
};

/* What all rounds together had. */
struct tally {
	uint64_t histories, three, four, met_change, met_lookup;
	uint64_t lookups, found, refused, remote;
};

static uint64_t tick(struct round *round)
{
	return atomic_fetch_add(&round->clock, 1);
}

static uint32_t owner_of(uint32_t generation)
{
	return generation / EXCHANGE % 2;
}

/* Every now and then. */
static void let_others_run(struct random *random)
{
	if (random_chance(random, YIELD_PERCENT))
		sched_yield();
}

/* ---- A reader ---- */

static void look_up(struct reader *reader, struct lookup *l, uint32_t told)
{
	struct round *round = reader->round;
	struct handle handle =
		handle_make(l->generation, KIND_ALLOCATION, round->index);
	uint32_t owner = owner_of(l->generation) ^ l->foreign;
	uint32_t id = round->owners[owner].id;
	struct slot *slot;

	l->thread = reader->number;
	l->span.began = tick(round);
	store_relaxed_u32(&reader->begun, told);
	let_others_run(&reader->random);
	slot = l->is_pin ? table_pin(&round->bare.region, id, handle) :
			   table_peek(&round->bare.region, id, handle);
	l->span.ended = tick(round);
	l->found = slot != NULL;
	if (!l->is_pin || slot == NULL)
		return;
	let_others_run(&reader->random);
	l->unpin.began = tick(round);
	table_unpin(slot);
	l->unpin.ended = tick(round);
}

/* One more of those that it makes when told that. */
static void take_turn(struct reader *reader, uint32_t told, bool first)
{
	struct random *random = &reader->random;
	struct lookup *l = &reader->lookups[reader->n++];

	assert(reader->n <= LOOKUPS);
	l->generation = told / STAGES;
	if (!first)
		l->generation += random_below(random, 3);
	l->generation -= !first && l->generation > 1 ? 1 : 0;
	l->is_pin = random_chance(random, 70);
	/* A peek in another's name promises nothing: core/owned.h. */
	l->foreign = !first && l->is_pin && random_chance(random, 10);
	look_up(reader, l, told);
}

/* The owner may have retired something for others to reclaim. */
static void read_mail(struct reader *reader)
{
	struct round *round = reader->round;
	uint32_t generation = load_relaxed_u32(&round->mail);
	struct history *h;
	struct owner *owner;
	bool reclaimed = false;

	if (generation == 0 ||
	    (generation = atomic_exchange(&round->mail, 0)) == 0)
		return;
	h = &round->histories[generation];
	owner = &round->owners[owner_of(generation)];
	h->reclaimer = reader->number;
	while (!reclaimed) {
		h->reclaim.began = tick(round);
		let_others_run(&reader->random);
		reclaimed = table_try_reclaim_remote(&round->bare.region, owner,
						     round->index);
		h->reclaim.ended = tick(round);
		if (!reclaimed) {
			round->refused[generation] = h->reclaim;
			sched_yield();
		}
	}
}

static void *read_all(void *argument)
{
	struct reader *reader = argument;
	struct round *round = reader->round;
	uint32_t before = 0, left = 0, told;

	interrupts_allow(true);
	pthread_barrier_wait(&round->start);
	while ((told = load_relaxed_u32(&round->told)) != ENOUGH) {
		read_mail(reader);
		if (told == before && left == 0) {
			sched_yield();
			continue;
		}
		if (told != before)
			left = 1 + random_below(&reader->random, TURN);
		take_turn(reader, told, told != before);
		before = told;
		left--;
	}
	return NULL;
}

/* ---- The owner ---- */

static uint32_t begun(const struct round *round, uint32_t told)
{
	uint32_t n = 0;

	for (int r = 0; r < READERS; r++)
		n += load_relaxed_u32(&round->readers[r].begun) >= told;
	return n;
}

/* At the stage at which they meet, all are told and some are waited for. */
static void tell(struct round *round, uint32_t generation, enum stage stage,
		 enum stage meet)
{
	uint32_t told = generation * STAGES + stage;
	uint32_t wanted = random_below(&round->random, MET);

	if (stage == meet)
		wanted = MET;
	else if (!random_chance(&round->random, TELL_PERCENT))
		return;
	store_relaxed_u32(&round->told, told);
	while (begun(round, told) < wanted)
		sched_yield();
}

static void reclaim(struct round *round, struct owner *owner,
		    uint32_t generation)
{
	struct history *h = &round->histories[generation];
	bool reclaimed = false;

	while (!reclaimed) {
		h->reclaim.began = tick(round);
		reclaimed = table_try_reclaim(&round->bare.region, owner,
					      round->index);
		h->reclaim.ended = tick(round);
		if (!reclaimed) {
			round->refused[generation] = h->reclaim;
			sched_yield();
		}
	}
}

/* A reader does it, and its owner collects. */
static void have_reclaimed(struct round *round, struct owner *owner,
			   uint32_t generation)
{
	atomic_store(&round->mail, generation);
	while (table_uncollected(owner) == 0)
		sched_yield();
	table_collect(&round->bare.region, owner);
	assert_int_equal(table_uncollected(owner), 0);
}

static void live(struct round *round, struct owner *owner, uint32_t generation)
{
	struct region *region = &round->bare.region;
	struct history *h = &round->histories[generation];
	enum stage meet = (enum stage)random_below(&round->random, STAGES);
	struct handle handle;

	assert_int_equal(table_take(region, owner), round->index);
	h->create.began = tick(round);
	tell(round, generation, COMING, meet);
	handle = table_publish(region, round->index, KIND_ALLOCATION);
	h->create.ended = tick(round);
	assert_int_equal(handle_generation(handle), generation);
	tell(round, generation, PRESENT, meet);
	h->destroy.began = tick(round);
	tell(round, generation, GOING, meet);
	table_retire(slot_at(region, round->index));
	h->destroy.ended = tick(round);
	if (random_chance(&round->random, REMOTE_PERCENT))
		have_reclaimed(round, owner, generation);
	else
		reclaim(round, owner, generation);
	assert_int_equal(owner->live, 0);
}

static void own(struct round *round)
{
	struct region *region = &round->bare.region;

	pthread_barrier_wait(&round->start);
	for (uint32_t g = 1; g <= LIVES; g++) {
		struct owner *owner = &round->owners[owner_of(g)];

		if (owner->n_segments == 0) {
			table_abandon(region, &round->owners[!owner_of(g)]);
			assert_int_equal(
				table_reserve_stocked(region, owner, 1), 0);
		}
		live(round, owner, g);
	}
	store_relaxed_u32(&round->told, ENOUGH);
}

/* ---- The check ---- */

/* The first lookup of a reader that had not let go by then. */
static uint32_t first_after(const struct reader *reader, uint64_t time)
{
	uint32_t from = 0, to = reader->n;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;
		const struct lookup *l = &reader->lookups[middle];

		if (max_u64(l->span.ended, l->unpin.ended) > time)
			to = middle;
		else
			from = middle + 1;
	}
	return from;
}

/* Some pin touched the slot then: also one that came too late, but none of a
 * generation that was not there yet. */
static bool somebody_pinned(const struct round *round, uint32_t generation)
{
	const struct span *refused = &round->refused[generation];

	for (int r = 0; r < READERS; r++) {
		const struct reader *reader = &round->readers[r];
		uint32_t i = first_after(reader, refused->began);

		for (; i < reader->n &&
		       reader->lookups[i].span.began < refused->ended;
		     i++)
			if (reader->lookups[i].is_pin &&
			    !reader->lookups[i].foreign &&
			    reader->lookups[i].generation <= generation)
				return true;
	}
	return false;
}

/* Each lookup goes to the history of its generation. */
static void gather(struct round *round, struct tally *tally)
{
	for (int r = 0; r < READERS; r++) {
		struct reader *reader = &round->readers[r];

		for (uint32_t i = 0; i < reader->n; i++) {
			struct lookup *l = &reader->lookups[i];
			struct history *h = &round->histories[l->generation];

			l->next = h->lookups;
			h->lookups = l;
			tally->lookups++;
			tally->found += l->found;
		}
	}
}

static void check_round(struct round *round, struct tally *tally)
{
	gather(round, tally);
	/* None of them was ever made. */
	for (const struct lookup *l = round->histories[LIVES + 1].lookups;
	     l != NULL; l = l->next)
		assert_false(l->found);
	for (uint32_t g = 1; g <= LIVES; g++) {
		const struct history *h = &round->histories[g];
		uint32_t threads = history_threads(h);

		assert_true(history_has_order(h));
		tally->histories++;
		tally->three += threads >= 3;
		tally->four += threads == HISTORY_THREADS;
		tally->met_change += history_meets_change(h);
		tally->met_lookup += history_meets_lookup(h);
		tally->remote += h->reclaimer != 0;
		if (round->refused[g].ended == 0)
			continue;
		tally->refused++;
		assert_true(somebody_pinned(round, g));
	}
}

static void run_round(struct round *round, uint64_t seed, struct tally *tally)
{
	memset(round, 0, sizeof(*round));
	round->random.state = seed;
	pthread_barrier_init(&round->start, NULL, READERS + 1);
	bare_init(&round->bare, 1);
	round->owners[0].id = 7;
	round->owners[1].id = 8;
	assert_int_equal(
		table_reserve(&round->bare.region, &round->owners[0], 1), 0);
	round->index = round->owners[0].segments * SEGMENT_SLOTS;
	for (uint8_t r = 0; r < READERS; r++) {
		struct reader *reader = &round->readers[r];

		reader->round = round;
		reader->number = r + 1;
		reader->random.state = seed * HISTORY_THREADS + r + 1;
		assert_int_equal(pthread_create(&reader->thread, NULL, read_all,
						reader),
				 0);
	}
	own(round);
	for (int r = 0; r < READERS; r++)
		pthread_join(round->readers[r].thread, NULL);
	check_round(round, tally);
	pthread_barrier_destroy(&round->start);
	bare_deinit(&round->bare);
}

static void print_tally(const struct tally *t)
{
	print_message(
		"%llu histories, %llu with three threads or more, %llu "
		"with four; %llu in which a lookup met a change, %llu in "
		"which two lookups met; %llu of %llu lookups found "
		"something, %llu reclaims had to wait for a pin, %llu were "
		"remote\n",
		(unsigned long long)t->histories, (unsigned long long)t->three,
		(unsigned long long)t->four, (unsigned long long)t->met_change,
		(unsigned long long)t->met_lookup, (unsigned long long)t->found,
		(unsigned long long)t->lookups, (unsigned long long)t->refused,
		(unsigned long long)t->remote);
}

/* Enough histories of three threads, and in enough of them operations met.
 * In two of three lives the stage of the meeting is within a change. */
static bool is_enough(const struct tally *t)
{
	return t->three >= histories && t->met_change >= t->histories / 5 * 3 &&
	       t->met_lookup >= t->histories / 4;
}

static void g1_g2_g3_g4_g6_every_history_has_an_order(void **state)
{
	static struct round round;
	struct tally tally = { 0 };
	timer_t timer = interrupts_begin();

	(void)state;
	for (uint64_t seed = 1; !is_enough(&tally); seed++) {
		if (tally.histories > histories + histories / 4 + LIVES)
			break;
		run_round(&round, seed, &tally);
	}
	interrupts_end(timer);
	print_tally(&tally);
	assert_true(is_enough(&tally));
	assert_true(tally.found > tally.lookups / 5);
	assert_true(tally.refused > 0 && tally.remote > 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_g2_g3_g4_g6_every_history_has_an_order),
	};

	if (argc > 1)
		histories = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
