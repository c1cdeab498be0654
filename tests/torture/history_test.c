/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker of histories must notice: histories that no table could have
 * made, and short random ones, right and wrong, for which a search through all
 * orders says the same.
 */
#include "tests/torture/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/random.h"

enum {
	LOOKUPS = 5, /* of a random history, at most */
	OPERATIONS = 3 + 2 * LOOKUPS,
	RUNS = 300000,
};

/* ---- The search ---- */

enum what { CREATE, DESTROY, RECLAIM, LOOK, UNPIN };

struct operation {
	enum what what;
	const struct span *span;
	const struct lookup *lookup;
};

/* All operations of a history, and what a table of one thread has become of
 * those that are done. */
struct search {
	struct operation operations[OPERATIONS];
	uint32_t n, done; /* done: a bit for each */
	int changes; /* 0: not there; 1: live; 2: retired; 3: reclaimed */
	uint32_t pins;
};

static void add(struct search *s, enum what what, const struct span *span,
		const struct lookup *lookup)
{
	s->operations[s->n++] = (struct operation){ what, span, lookup };
}

/* Whether the table allows that operation next; then it has happened. */
static bool happens(struct search *s, const struct operation *o)
{
	const struct lookup *l = o->lookup;

	switch (o->what) {
	case CREATE:
		return s->changes++ == 0;
	case DESTROY:
		return s->changes++ == 1;
	case RECLAIM:
		return s->changes++ == 2 && s->pins == 0;
	case UNPIN:
		return s->pins-- > 0;
	case LOOK:
		break;
	}
	s->pins += l->found && l->is_pin;
	return l->found == (s->changes == 1 && !l->foreign);
}

static bool some_order(const struct search *s)
{
	uint64_t first_end = UINT64_MAX;

	if (s->done == (1u << s->n) - 1)
		return true;
	for (uint32_t i = 0; i < s->n; i++)
		if ((s->done >> i & 1) == 0)
			first_end = min_u64(first_end,
					    s->operations[i].span->ended);
	for (uint32_t i = 0; i < s->n; i++) {
		struct search next = *s;

		if ((s->done >> i & 1) != 0 ||
		    s->operations[i].span->began > first_end)
			continue;
		next.done |= 1u << i;
		if (happens(&next, &s->operations[i]) && some_order(&next))
			return true;
	}
	return false;
}

static bool search(const struct history *h)
{
	struct search s = { .n = 0 };

	add(&s, CREATE, &h->create, NULL);
	add(&s, DESTROY, &h->destroy, NULL);
	add(&s, RECLAIM, &h->reclaim, NULL);
	for (const struct lookup *l = h->lookups; l != NULL; l = l->next) {
		add(&s, LOOK, &l->span, l);
		if (l->is_pin && l->found)
			add(&s, UNPIN, &l->unpin, l);
	}
	return some_order(&s);
}

/* ---- Random histories ---- */

/* What one thread does, one after another. */
struct script {
	uint64_t *times[2 * OPERATIONS];
	uint32_t n, done;
};

static void plan(struct script *script, struct span *span)
{
	script->times[script->n++] = &span->began;
	script->times[script->n++] = &span->ended;
}

static void make(struct random *random, struct history *h,
		 struct lookup *lookups)
{
	struct script scripts[HISTORY_THREADS] = { 0 };
	uint32_t n = 1 + random_below(random, LOOKUPS), left = 0;

	memset(h, 0, sizeof(*h));
	plan(&scripts[0], &h->create);
	plan(&scripts[0], &h->destroy);
	plan(&scripts[0], &h->reclaim);
	for (uint32_t i = 0; i < n; i++) {
		struct lookup *l = &lookups[i];

		*l = (struct lookup){ .next = h->lookups };
		h->lookups = l;
		l->thread = (uint8_t)(1 + random_below(random,
						       HISTORY_THREADS - 1));
		l->found = random_chance(random, 50);
		l->is_pin = random_chance(random, 50);
		l->foreign = random_chance(random, 5);
		plan(&scripts[l->thread], &l->span);
		if (l->is_pin && l->found)
			plan(&scripts[l->thread], &l->unpin);
	}
	for (int t = 0; t < HISTORY_THREADS; t++)
		left += scripts[t].n;
	for (uint64_t now = 1; left > 0;) {
		struct script *s =
			&scripts[random_below(random, HISTORY_THREADS)];

		if (s->done == s->n)
			continue;
		*s->times[s->done++] = now++;
		left--;
	}
}

static void as_a_search_says(void **state)
{
	struct random random = { 17 };
	struct lookup lookups[LOOKUPS];
	uint32_t right = 0;

	(void)state;
	for (uint32_t run = 0; run < RUNS; run++) {
		struct history h;
		bool found;

		make(&random, &h, lookups);
		found = search(&h);
		assert_int_equal(history_has_order(&h), found);
		right += found;
	}
	print_message("%u of %u have an order\n", right, RUNS);
	assert_in_range(right, RUNS / 10, RUNS - RUNS / 10);
}

/* ---- By hand ---- */

static struct history with(struct lookup *l)
{
	return (struct history){ .create = { 10, 20 },
				 .destroy = { 50, 60 },
				 .reclaim = { 70, 80 },
				 .lookups = l };
}

static bool allows(struct lookup l)
{
	struct history h = with(&l);

	return history_has_order(&h);
}

static void what_no_table_says(void **state)
{
	(void)state;
	assert_true(allows((struct lookup){ .span = { 15, 19 } }));
	assert_true(allows((struct lookup){ .span = { 45, 51 } }));
	assert_true(allows((struct lookup){ .span = { 15, 19 }, .found = 1 }));
	assert_true(allows((struct lookup){ .span = { 59, 90 }, .found = 1 }));
	assert_true(
		allows((struct lookup){ .span = { 30, 31 }, .foreign = 1 }));
	assert_false(allows((struct lookup){ .span = { 1, 9 }, .found = 1 }));
	assert_false(allows((struct lookup){ .span = { 61, 65 }, .found = 1 }));
	assert_false(allows((struct lookup){ .span = { 21, 49 } }));
	assert_false(allows((struct lookup){
		.span = { 30, 31 }, .found = 1, .foreign = 1 }));
	assert_false(allows((struct lookup){ .span = { 30, 31 },
					     .unpin = { 81, 82 },
					     .is_pin = 1,
					     .found = 1 }));
}

/* Each alone is possible. */
static void what_no_table_says_of_two(void **state)
{
	struct lookup missed = { .span = { 54, 55 }, .thread = 1 };
	struct lookup found = { .span = { 56, 58 }, .thread = 2, .found = 1 };
	struct history h = with(&missed);

	(void)state;
	assert_true(history_has_order(&h));
	h.lookups = &found;
	assert_true(history_has_order(&h));
	found.next = &missed;
	assert_false(history_has_order(&h));
	found.span.began = 53;
	assert_true(history_has_order(&h));
}

static void who_took_part_and_met(void **state)
{
	struct lookup a = { .span = { 22, 25 }, .thread = 1 };
	struct lookup b = { .span = { 26, 30 }, .thread = 2, .next = &a };
	struct history h = with(&b);

	(void)state;
	assert_int_equal(history_threads(&h), 3);
	assert_false(history_meets_change(&h));
	assert_false(history_meets_lookup(&h));
	a.span.began = 19;
	assert_true(history_meets_change(&h));
	a.span.ended = 27;
	assert_true(history_meets_lookup(&h));
	a.thread = 2;
	assert_false(history_meets_lookup(&h));
	assert_int_equal(history_threads(&h), 2);
	a.foreign = b.foreign = true;
	assert_false(history_meets_change(&h));
	assert_int_equal(history_threads(&h), 1);
	a.foreign = false;
	a.span = (struct span){ 71, 72 };
	assert_true(history_meets_change(&h));
	h.reclaimer = 2; /* the same */
	assert_false(history_meets_change(&h));
	assert_int_equal(history_threads(&h), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_no_table_says),
		cmocka_unit_test(what_no_table_says_of_two),
		cmocka_unit_test(who_took_part_and_met),
		cmocka_unit_test(as_a_search_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
