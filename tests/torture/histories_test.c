/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories of the handle table, checked against the sequential one.
 *
 *	histories_test [HISTORIES]
 *
 * One owner thread creates, destroys and reclaims in a few slots; three others
 * look up, pin and unpin whatever handle was told last, the one before and the
 * one to come, without any order between telling and reading. Each operation
 * notes when it began and when it had ended, on a clock that all share (a
 * counter), and what it said. After each round the histories are put together,
 * and there must be an order of all operations in which each lies between its
 * two times and says what a table with one thread would say.
 *
 * For a table that order can be found exactly. Each generation of a slot is an
 * object of its own, and operations of many objects have an order if and only if
 * those of each object have one (linearizability is a local property: Herlihy and
 * Wing, 1990). So what four threads said of one generation is one history, and a
 * normal run has a million of them. A generation is
 *
 *	created   at c, between begin and end of its create
 *	destroyed at d, likewise
 *	found     needs a moment in (c, d)
 *	missed    needs one before c or after d
 *
 * so c is best chosen as late as its own end and the first end of a "found"
 * allow, d as early as its own begin and the last begin of a "found" allow: no
 * other choice satisfies more of the "missed". And of reclaims: one that worked
 * ended after every unpin of that slot had begun; one that did not overlaps
 * somebody's pin. Cites table G1, G3, G4.
 */
#include "core/table.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "tests/support/random.h"
#include "tests/support/seat.h"

enum {
	READERS = 3,
	SLOTS = 2,
	LIVES = 15000, /* generations of each slot in a round */
	LOOKUPS = 50000, /* of each reader in a round */
	YIELD_PERCENT = 2, /* of operations between which others may run */
	OWNER = 7,
};

static uint64_t histories = 1000000;

/* A lookup: of which slot and generation, when, and what it said. */
struct lookup {
	uint32_t slot, generation;
	uint64_t began, ended;
	uint64_t let_go, gone; /* of a pin: when the unpin began and ended */
	bool is_pin, found;
	bool held; /* others run under the pin */
};

struct span {
	uint64_t began, ended;
};

/* One generation of one slot, as its owner saw it. */
struct life {
	struct span create, destroy, reclaim;
	struct span refused; /* the last reclaim that found a pin */
};

struct reader {
	pthread_t thread;
	struct round *round;
	uint64_t seed;
	struct lookup lookups[LOOKUPS];
};

struct round {
	struct bare bare;
	struct owner owner;
	uint32_t index[SLOTS];
	pthread_barrier_t start;
	atomic_u64 clock;
	atomic_u32 told[SLOTS]; /* the generation that was created last */
	struct life lives[SLOTS][LIVES + 2];
	struct reader readers[READERS];
	uint64_t found, refused;
};

static uint64_t tick(struct round *round)
{
	return atomic_fetch_add(&round->clock, 1);
}

static void look_up(struct round *round, struct lookup *l)
{
	struct handle handle = handle_make(l->generation, KIND_ALLOCATION,
					   round->index[l->slot]);
	struct slot *slot;

	l->began = tick(round);
	slot = l->is_pin ? table_pin(&round->bare.region, OWNER, handle) :
			   table_peek(&round->bare.region, OWNER, handle);
	l->ended = tick(round);
	l->found = slot != NULL;
	l->let_go = l->gone = l->ended;
	if (l->held)
		sched_yield();
	if (!l->is_pin || slot == NULL)
		return;
	l->let_go = tick(round);
	table_unpin(slot);
	l->gone = tick(round);
}

static void *read_all(void *argument)
{
	struct reader *reader = argument;
	struct round *round = reader->round;
	struct random random = { reader->seed };

	pthread_barrier_wait(&round->start);
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		struct lookup *l = &reader->lookups[i];
		uint32_t told;

		l->slot = random_below(&random, SLOTS);
		told = load_relaxed_u32(&round->told[l->slot]);
		l->generation = told + random_below(&random, 3);
		l->generation -= l->generation > 1 ? 1 : 0;
		l->is_pin = random_chance(&random, 70);
		l->held = random_chance(&random, YIELD_PERCENT);
		look_up(round, l);
	}
	return NULL;
}

/* Ends the life that slot s has, when it has one. */
static void end_life(struct round *round, uint32_t s, uint32_t generation)
{
	struct region *region = &round->bare.region;
	struct slot *slot = slot_at(region, round->index[s]);
	struct life *life = &round->lives[s][generation];
	bool reclaimed = false;

	life->destroy.began = tick(round);
	table_retire(slot);
	life->destroy.ended = tick(round);
	while (!reclaimed) {
		life->reclaim.began = tick(round);
		reclaimed = table_try_reclaim(region, &round->owner,
					      round->index[s]);
		life->reclaim.ended = tick(round);
		if (!reclaimed) {
			life->refused = life->reclaim;
			sched_yield();
		}
	}
}

static void begin_life(struct round *round, uint32_t s, uint32_t generation)
{
	struct region *region = &round->bare.region;
	struct life *life = &round->lives[s][generation];
	struct handle handle;

	assert_int_equal(table_take(region, &round->owner), round->index[s]);
	life->create.began = tick(round);
	handle = table_publish(region, round->index[s], KIND_ALLOCATION);
	life->create.ended = tick(round);
	assert_int_equal(handle_generation(handle), generation);
	store_relaxed_u32(&round->told[s], generation);
}

/* The owner: one slot at a time, so that table_take gives that one back. */
static void own(struct round *round)
{
	struct random random = { 41 };

	pthread_barrier_wait(&round->start);
	for (uint32_t g = 1; g <= LIVES; g++)
		for (uint32_t s = 0; s < SLOTS; s++) {
			if (g > 1)
				end_life(round, s, g - 1);
			begin_life(round, s, g);
			if (random_chance(&random, YIELD_PERCENT))
				sched_yield();
		}
	for (uint32_t s = 0; s < SLOTS; s++)
		end_life(round, s, LIVES);
}

/* When a generation was made at the latest and destroyed at the earliest. */
struct bounds {
	uint64_t created, destroyed;
};

/* Whether its generation allows what one lookup has said. */
static bool is_possible(const struct lookup *l, const struct bounds *b,
			const struct life *life)
{
	if (!l->found)
		return l->began < b->created || l->ended > b->destroyed;
	return l->ended > life->create.began &&
	       l->began < life->destroy.ended &&
	       (!l->is_pin || l->let_go < life->reclaim.ended);
}

/* The first lookup of a reader that had not gone by then. */
static uint32_t first_gone_after(const struct lookup *lookups, uint64_t time)
{
	uint32_t from = 0, to = LOOKUPS;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (lookups[middle].gone > time)
			to = middle;
		else
			from = middle + 1;
	}
	return from;
}

/* Some pin, also one that came too late, touched the slot then. */
static bool somebody_pinned(const struct round *round, uint32_t slot,
			    const struct span *span)
{
	for (int r = 0; r < READERS; r++) {
		const struct lookup *l = round->readers[r].lookups;
		uint32_t i = first_gone_after(l, span->began);

		for (; i < LOOKUPS && l[i].began < span->ended; i++)
			if (l[i].slot == slot && l[i].is_pin)
				return true;
	}
	return false;
}

static struct bounds all_bounds[SLOTS][LIVES + 3];

/* The bounds of all generations at once: each lookup narrows one of them. */
static void narrow(struct round *round)
{
	for (uint32_t s = 0; s < SLOTS; s++)
		for (uint32_t g = 1; g <= LIVES; g++)
			all_bounds[s][g] = (struct bounds){
				round->lives[s][g].create.ended,
				round->lives[s][g].destroy.began
			};
	for (int r = 0; r < READERS; r++)
		for (uint32_t i = 0; i < LOOKUPS; i++) {
			const struct lookup *l = &round->readers[r].lookups[i];
			struct bounds *b = &all_bounds[l->slot][l->generation];

			if (!l->found)
				continue;
			assert_in_range(l->generation, 1, LIVES);
			b->created = min_u64(b->created, l->ended);
			b->destroyed = max_u64(b->destroyed, l->began);
			round->found++;
		}
}

static void check_round(struct round *round)
{
	narrow(round);
	for (uint32_t s = 0; s < SLOTS; s++)
		for (uint32_t g = 1; g <= LIVES; g++) {
			const struct life *life = &round->lives[s][g];
			const struct bounds *b = &all_bounds[s][g];

			assert_true(b->created > life->create.began);
			assert_true(b->destroyed < life->destroy.ended);
			if (life->refused.ended == 0)
				continue;
			round->refused++;
			assert_true(somebody_pinned(round, s, &life->refused));
		}
	for (int r = 0; r < READERS; r++)
		for (uint32_t i = 0; i < LOOKUPS; i++) {
			const struct lookup *l = &round->readers[r].lookups[i];

			if (l->generation >= 1 && l->generation <= LIVES)
				assert_true(is_possible(
					l, &all_bounds[l->slot][l->generation],
					&round->lives[l->slot][l->generation]));
		}
}

static void run_round(struct round *round, uint64_t seed)
{
	memset(round, 0, sizeof(*round));
	round->owner.id = OWNER;
	pthread_barrier_init(&round->start, NULL, READERS + 1);
	bare_init(&round->bare, 1);
	assert_int_equal(table_reserve(&round->bare.region, &round->owner, 1),
			 0);
	for (uint32_t s = 0; s < SLOTS; s++)
		round->index[s] = round->owner.segments * SEGMENT_SLOTS + s;
	for (int r = 0; r < READERS; r++) {
		struct reader *reader = &round->readers[r];

		reader->round = round;
		reader->seed = seed * READERS + (uint64_t)r;
		assert_int_equal(pthread_create(&reader->thread, NULL, read_all,
						reader),
				 0);
	}
	own(round);
	for (int r = 0; r < READERS; r++)
		pthread_join(round->readers[r].thread, NULL);
	check_round(round);
	pthread_barrier_destroy(&round->start);
	bare_deinit(&round->bare);
}

static void g1_g3_g4_every_history_has_an_order(void **state)
{
	static struct round round;
	uint64_t found = 0, refused = 0, rounds = 0, lookups;

	(void)state;
	while (rounds * SLOTS * LIVES < histories) {
		run_round(&round, ++rounds);
		found += round.found;
		refused += round.refused;
	}
	lookups = rounds * READERS * LOOKUPS;
	assert_true(found > lookups / 50 && refused > 0);
	print_message("%llu histories in %llu rounds; %llu of %llu lookups "
		      "found something, %llu reclaims had to wait for a pin\n",
		      (unsigned long long)(rounds * SLOTS * LIVES),
		      (unsigned long long)rounds, (unsigned long long)found,
		      (unsigned long long)lookups, (unsigned long long)refused);
}

/* The checker must notice: four lookups that no table could have made. */
static void the_checker_notices(void **state)
{
	const struct life life = { .create = { 10, 20 },
				   .destroy = { 50, 60 },
				   .reclaim = { 70, 80 } };
	const struct bounds b = { 20, 50 };
	const struct lookup early = { .began = 1, .ended = 9, .found = true };
	const struct lookup late = { .began = 61, .ended = 65, .found = true };
	const struct lookup blind = { .began = 21, .ended = 49 };
	const struct lookup held = { .began = 30,
				     .ended = 31,
				     .let_go = 81,
				     .gone = 82,
				     .is_pin = true,
				     .found = true };
	const struct lookup *const wrong[] = { &early, &late, &blind, &held };
	const struct lookup *const right[] = {
		&(struct lookup){ .began = 15, .ended = 19 },
		&(struct lookup){ .began = 15, .ended = 19, .found = true },
		&(struct lookup){ .began = 45, .ended = 51 },
		&(struct lookup){ .began = 59, .ended = 90, .found = true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(right); i++)
		assert_true(is_possible(right[i], &b, &life));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_false(is_possible(wrong[i], &b, &life));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checker_notices),
		cmocka_unit_test(g1_g3_g4_every_history_has_an_order),
	};

	if (argc > 1)
		histories = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
