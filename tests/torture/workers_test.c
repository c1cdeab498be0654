/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several workers on one table: more than the daemon has today, and what the
 * depot and the remote frees are for.
 *
 *	workers_test [CREATES]
 *
 * Each of WORKERS threads has an owner of its own. It creates, retires, and
 * gives half of its retire records to the next worker, who reclaims those
 * slots remotely. Now and then it waits for all of them, gives its segments to
 * the depot and goes on with whatever it finds there. Between two creates it
 * looks up and pins something of its own that lives, and must find it (G2 and
 * G3: nobody else ends it, or takes the segment). One thread more keeps the
 * depot stocked, takes memory away, and is the only one that grows the table.
 * Readers look up and pin what was told last and what was told long ago.
 *
 * Each object carries a stamp that its handle alone determines; under a pin it
 * must be that one (table G3). A handle whose end was told is never found (G1).
 * At the end nothing is live, all bits are free and each segment is in one
 * place (G4, G6, depot G1, remote G1).
 *
 * Then a relay: fewer segments than owners, each of whom takes one as soon as
 * it is in the depot, makes one object there, finds it, and leaves, with a
 * timer that interrupts them anywhere.
 */
#include "core/table.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "tests/support/random.h"
#include "tests/support/seat.h"
#include "tests/torture/interrupts.h"

enum {
	WORKERS = 2,
	READERS = 2,
	PLACES = 512, /* objects that a worker has at a time */
	ABANDON_EVERY = 20000,
	MAIL = 4096, /* retire records on their way to one worker */
	RUNNERS = 4,
	BATONS = 2, /* segments */
};

static uint64_t creates = 500000; /* of each worker */

/* Retire records from one worker to the next: one writer, one reader. */
struct mailbox {
	atomic_u32 sent, taken;
	uint32_t index[MAIL];
	struct owner *owner[MAIL];
};

struct worker {
	pthread_t thread;
	struct hall *hall;
	uint32_t number;
	struct owner owner;
	struct mailbox mail; /* from the worker before */
	struct handle live[PLACES];
	atomic_u64 told[PLACES]; /* without order: the table has to do it */
	atomic_u64 ended; /* one whose end is complete */
	uint64_t remote, kept_back;
	uint64_t own, lost; /* looks at what is his, and those that missed */
};

struct hall {
	struct bare bare;
	struct worker workers[WORKERS];
	atomic_u32 stop, working;
	atomic_u64 pinned, wrong, resurrected, stocked, trimmed;
};

static uint64_t stamp_of(uint64_t handle)
{
	struct random random = { handle };

	return random_next(&random);
}

static bool send(struct mailbox *mail, struct owner *owner, uint32_t index)
{
	uint32_t sent = load_relaxed_u32(&mail->sent);

	if (sent - load_acquire_u32(&mail->taken) == MAIL)
		return false;
	mail->index[sent % MAIL] = index;
	mail->owner[sent % MAIL] = owner;
	fetch_add_release_u32(&mail->sent, 1);
	return true;
}

/* Reclaims what the worker before has sent; a pinned one holds up the rest. */
static void read_mail(struct worker *w)
{
	struct mailbox *mail = &w->mail;
	uint32_t taken = load_relaxed_u32(&mail->taken);

	for (; taken != load_acquire_u32(&mail->sent); taken++) {
		if (!table_try_reclaim_remote(&w->hall->bare.region,
					      mail->owner[taken % MAIL],
					      mail->index[taken % MAIL]))
			return;
		fetch_add_release_u32(&mail->taken, 1);
		w->remote++;
	}
}

static void end(struct worker *w, struct handle handle, bool far)
{
	struct region *region = &w->hall->bare.region;
	struct worker *next = &w->hall->workers[(w->number + 1) % WORKERS];
	uint32_t index = handle_index(handle);

	table_retire(slot_at(region, index));
	atomic_store(&w->ended, handle.value);
	if (far && send(&next->mail, &w->owner, index))
		return;
	while (!table_try_reclaim(region, &w->owner, index)) {
		w->kept_back++;
		read_mail(w);
	}
}

static struct handle begin(struct worker *w)
{
	struct region *region = &w->hall->bare.region;
	struct handle handle;
	struct slot *slot;
	uint32_t index;

	while (table_reserve_stocked(region, &w->owner, 1) != 0) {
		read_mail(w);
		sched_yield();
	}
	index = table_take(region, &w->owner);
	slot = slot_at(region, index);
	handle = handle_make(
		control_generation(load_relaxed_u64(&slot->control)),
		KIND_ALLOCATION, index);
	slot->allocation.size_bytes = stamp_of(handle.value);
	slot->allocation.backing = ~stamp_of(handle.value);
	assert_true(table_publish(region, index, KIND_ALLOCATION).value ==
		    handle.value);
	return handle;
}

/* An owner finds what lives and is his, and by a pin, too. */
static bool finds(const struct region *region, uint32_t owner,
		  struct handle handle)
{
	struct slot *slot = slot_at(region, handle_index(handle));

	if (table_peek(region, owner, handle) != slot ||
	    table_pin(region, owner, handle) != slot)
		return false;
	table_unpin(slot);
	return true;
}

/* One of those that are this worker's. */
static void find_own(struct worker *w, uint32_t place)
{
	if (w->live[place].value == 0)
		return;
	w->own++;
	w->lost += !finds(&w->hall->bare.region, w->owner.id, w->live[place]);
}

/* Everything goes; what others reclaim is waited for, and collected. */
static void leave(struct worker *w)
{
	struct region *region = &w->hall->bare.region;

	for (uint32_t i = 0; i < PLACES; i++) {
		if (w->live[i].value != 0)
			end(w, w->live[i], i % 2 == 0);
		w->live[i].value = 0;
	}
	while (w->owner.live > 0 || table_uncollected(&w->owner) != 0) {
		read_mail(w);
		table_collect(region, &w->owner);
		sched_yield();
	}
	table_abandon(region, &w->owner);
}

/* On a busy machine the others may not have had a turn yet. */
static bool all_took_part(const struct hall *hall)
{
	return load_relaxed_u64(&hall->pinned) > 0 &&
	       load_relaxed_u64(&hall->trimmed) > 0;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	struct random random = { w->number + 100 };

	for (uint64_t n = 0; n < creates || !all_took_part(w->hall); n++) {
		uint32_t i = random_below(&random, PLACES);

		if (w->live[i].value != 0)
			end(w, w->live[i], random_chance(&random, 50));
		w->live[i] = begin(w);
		store_relaxed_u64(&w->told[i], w->live[i].value);
		find_own(w, i);
		find_own(w, random_below(&random, PLACES));
		if (n % 16 == 0)
			read_mail(w);
		if (n % ABANDON_EVERY == ABANDON_EVERY - 1)
			leave(w);
	}
	leave(w);
	atomic_fetch_sub(&w->hall->working, 1);
	/* The others may still send, and wait for it. */
	while (atomic_load(&w->hall->working) > 0)
		read_mail(w);
	return NULL;
}

static void look(struct hall *hall, struct worker *w, struct random *random)
{
	struct handle ended = { atomic_load(&w->ended) };
	struct handle handle = { load_relaxed_u64(
		&w->told[random_below(random, PLACES)]) };
	uint32_t owner = w->number + 1;
	uint64_t stamp = stamp_of(handle.value);
	struct slot *slot = table_pin(&hall->bare.region, owner, handle);

	if (slot != NULL) {
		if (slot->allocation.size_bytes != stamp ||
		    slot->allocation.backing != ~stamp)
			atomic_fetch_add(&hall->wrong, 1);
		table_unpin(slot);
		fetch_add_relaxed_u64(&hall->pinned, 1);
	}
	if (ended.value == 0)
		return;
	if (table_peek(&hall->bare.region, owner, ended) != NULL)
		atomic_fetch_add(&hall->resurrected, 1);
	slot = table_pin(&hall->bare.region, owner, ended);
	if (slot == NULL)
		return;
	table_unpin(slot);
	atomic_fetch_add(&hall->resurrected, 1);
}

static void *read_all(void *argument)
{
	struct hall *hall = argument;
	struct random random = { (uintptr_t)&random };

	while (!atomic_load(&hall->stop))
		look(hall, &hall->workers[random_below(&random, WORKERS)],
		     &random);
	return NULL;
}

/* The one that grows the table and takes memory away. */
static void *tend(void *argument)
{
	struct hall *hall = argument;
	struct region *region = &hall->bare.region;

	while (!atomic_load(&hall->stop)) {
		assert_int_equal(table_stock(region, DEPOT_KEEP + 4), 0);
		fetch_add_relaxed_u64(&hall->stocked, 1);
		fetch_add_relaxed_u64(&hall->trimmed, table_trim(region, 2));
		sched_yield();
	}
	return NULL;
}

static uint32_t count_depot(const struct region *region, enum depot_kind kind)
{
	uint32_t segment = 0, n = 0;

	while ((segment = table_depot_next(region, kind, segment)) != 0) {
		assert_int_equal(
			table_owner(region,
				    handle_make(1, KIND_DEVICE,
						segment << SEGMENT_SLOTS_LOG2)),
			0);
		n++;
	}
	return n;
}

static void expect_all_at_home(const struct hall *hall)
{
	const struct region *region = &hall->bare.region;
	uint32_t used = region_area(region, AREA_SEGMENTS)->used;
	uint32_t n = 0;

	for (int kind = 0; kind < DEPOT_KINDS; kind++)
		n += count_depot(region, (enum depot_kind)kind);
	assert_int_equal(n, used - 1);
	assert_int_equal(table_depot_count(region),
			 count_depot(region, DEPOT_WARM));
	for (uint32_t s = 1; s < used; s++)
		for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
			const struct slot *slot =
				slot_at(region, s * SEGMENT_SLOTS + i);

			assert_int_equal(slot_state(slot), SLOT_FREE);
			assert_int_equal(slot_pins(slot), 0);
			assert_false(
				table_is_freed(region, s * SEGMENT_SLOTS + i));
		}
}

static void start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	assert_int_equal(pthread_create(thread, NULL, run, argument), 0);
}

static void g1_g3_g4_g6_workers(void **state)
{
	static struct hall hall;
	pthread_t readers[READERS], tender;
	uint64_t remote = 0, kept_back = 0, own = 0, lost = 0;

	(void)state;
	bare_init(&hall.bare, 1);
	atomic_store(&hall.working, WORKERS);
	for (uint32_t i = 0; i < WORKERS; i++) {
		struct worker *w = &hall.workers[i];

		w->hall = &hall;
		w->number = i;
		w->owner.id = i + 1;
	}
	start(&tender, tend, &hall);
	for (uint32_t i = 0; i < READERS; i++)
		start(&readers[i], read_all, &hall);
	for (uint32_t i = 0; i < WORKERS; i++)
		start(&hall.workers[i].thread, work, &hall.workers[i]);
	for (uint32_t i = 0; i < WORKERS; i++) {
		pthread_join(hall.workers[i].thread, NULL);
		remote += hall.workers[i].remote;
		kept_back += hall.workers[i].kept_back;
		own += hall.workers[i].own;
		lost += hall.workers[i].lost;
	}
	atomic_store(&hall.stop, 1);
	pthread_join(tender, NULL);
	for (uint32_t i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	print_message("%llu creates, %llu remote frees, %llu pins held, %llu "
		      "reclaims put off, %llu segments stripped\n",
		      (unsigned long long)creates * WORKERS,
		      (unsigned long long)remote,
		      (unsigned long long)hall.pinned,
		      (unsigned long long)kept_back,
		      (unsigned long long)hall.trimmed);
	assert_int_equal(hall.wrong, 0);
	assert_int_equal(hall.resurrected, 0);
	assert_true(remote > 0 && hall.trimmed > 0 && hall.pinned > 0);
	assert_true(own >= creates * WORKERS);
	assert_int_equal(lost, 0);
	expect_all_at_home(&hall);
	bare_deinit(&hall.bare);
}

/* ---- The relay ---- */

struct runner {
	pthread_t thread;
	struct relay *relay;
	struct owner owner;
	struct handle last;
	uint64_t passed, lost; /* segments from others, objects not found */
};

struct relay {
	struct bare bare;
	struct runner runners[RUNNERS];
	atomic_u32 started;
};

/* One object in whatever segment comes; what lives is found. */
static void run_turn(struct runner *r, struct random *random)
{
	struct region *region = &r->relay->bare.region;
	struct handle handle;
	uint32_t index;

	while (table_reserve_stocked(region, &r->owner, 1) != 0)
		sched_yield();
	index = table_take(region, &r->owner);
	handle = table_publish(region, index, KIND_ALLOCATION);
	r->passed += handle_index(r->last) != index ||
		     handle_generation(r->last) + 1 !=
			     handle_generation(handle);
	r->last = handle;
	if (random_chance(random, 10))
		sched_yield();
	r->lost += !finds(region, r->owner.id, handle);
	table_retire(slot_at(region, index));
	while (!table_try_reclaim(region, &r->owner, index))
		r->lost++; /* nobody else pins */
	table_abandon(region, &r->owner);
	if (random_chance(random, 10))
		sched_yield();
}

static void *run(void *argument)
{
	struct runner *r = argument;
	struct random random = { r->owner.id };

	interrupts_allow(true);
	atomic_fetch_add(&r->relay->started, 1);
	while (atomic_load(&r->relay->started) < RUNNERS)
		sched_yield();
	for (uint64_t n = 0; n < creates; n++)
		run_turn(r, &random);
	return NULL;
}

static void g2_g3_whose_segment_it_is_finds_it(void **state)
{
	static struct relay relay;
	timer_t timer = interrupts_begin();
	uint64_t passed = 0, lost = 0;

	(void)state;
	bare_init(&relay.bare, 1);
	assert_int_equal(table_stock(&relay.bare.region, BATONS), 0);
	for (uint32_t i = 0; i < RUNNERS; i++) {
		relay.runners[i].relay = &relay;
		relay.runners[i].owner.id = i + 1;
	}
	for (uint32_t i = 0; i < RUNNERS; i++)
		start(&relay.runners[i].thread, run, &relay.runners[i]);
	for (uint32_t i = 0; i < RUNNERS; i++) {
		pthread_join(relay.runners[i].thread, NULL);
		passed += relay.runners[i].passed;
		lost += relay.runners[i].lost;
	}
	interrupts_end(timer);
	print_message("%llu turns, %llu segments passed on, %llu objects not "
		      "found\n",
		      (unsigned long long)creates * RUNNERS,
		      (unsigned long long)passed, (unsigned long long)lost);
	assert_int_equal(lost, 0);
	assert_true(passed >= creates / 100);
	assert_int_equal(table_depot_count(&relay.bare.region), BATONS);
	bare_deinit(&relay.bare);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_g3_g4_g6_workers),
		cmocka_unit_test(g2_g3_whose_segment_it_is_finds_it),
	};

	if (argc > 1)
		creates = strtoull(argv[1], NULL, 10) / WORKERS;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
