/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispenser: each sentence of the rules, with a driver that does and says what
 * the test wants, and with operations that run between each other's steps.
 * tests/dispenser compares it with a naive one.
 */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/dispenser.h"
#include "tests/support/random.h"

#include <cmocka.h>

enum { IDS = 4096, LOG = 1 << 16 };

/* What the driver was called for. */
struct call {
	enum dispenser_verb verb;
	uint64_t id, type, transaction;
	bool needs_enlist;
};

struct fixture {
	struct dispenser dispenser;
	uint64_t holder, now_ns;
	/* What the driver says. */
	uint64_t last_id, idle_timeout_ns, forced_id;
	int create_status, enlist_status, reset_status, destroy_status;
	int rating[IDS]; /* of each id; 50 at first */
	bool strings, long_string;
	/* What it was asked. */
	struct call log[LOG];
	size_t n_log;
	/* Memory. */
	uint64_t n_blocks, fail_after;
	struct block *blocks;
};

struct block {
	struct block *next, **link;
	size_t size_bytes;
	alignas(max_align_t) uint8_t bytes[];
};

static void *block_alloc(void *context, size_t size_bytes)
{
	struct fixture *f = context;
	struct block *block;

	if (f->fail_after == 0)
		return NULL;
	f->fail_after--;
	f->n_blocks++;
	block = malloc(sizeof(*block) + size_bytes);
	assert_non_null(block);
	*block = (struct block){ f->blocks, &f->blocks, size_bytes };
	if (block->next)
		block->next->link = &block->next;
	f->blocks = block;
	return block->bytes;
}

static void block_free(void *context, void *bytes)
{
	struct fixture *f = context;
	struct block *block;

	if (!bytes)
		return;
	block = (void *)((uint8_t *)bytes - offsetof(struct block, bytes));
	*block->link = block->next;
	if (block->next)
		block->next->link = block->link;
	f->n_blocks--;
	free(block);
}

static uint64_t mix(uint64_t hash, const void *start, size_t size_bytes)
{
	const uint8_t *bytes = start;

	for (size_t i = 0; i < size_bytes; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* Of every byte that the dispenser has. */
static uint64_t image(const struct fixture *f)
{
	uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), &f->dispenser,
			    sizeof(f->dispenser));

	for (const struct block *b = f->blocks; b; b = b->next)
		hash = mix(mix(hash, &b, sizeof(b)), b->bytes, b->size_bytes);
	return hash;
}

/* ---- The driver ---- */

static char *string_of(uint64_t id, char string[32])
{
	string[0] = 0;
	if (id != 0)
		snprintf(string, 32, "r%d", (int)id);
	return string;
}

static struct dispenser_id id_of(const struct fixture *f, uint64_t id,
				 char string[32])
{
	if (f->strings)
		return (struct dispenser_id){ .string = string_of(id, string) };
	return (struct dispenser_id){ .number = id };
}

static uint64_t number_of(struct dispenser_id id)
{
	return id.string ? strtoull(id.string + 1, NULL, 10) : id.number;
}

static struct dispenser_answer create(struct fixture *f,
				      const struct dispenser_ask *ask)
{
	uint64_t id = f->forced_id != IDS ? f->forced_id : ++f->last_id;
	char string[32];

	if (f->strings)
		strcpy(ask->ret_string, string_of(id, string));
	if (f->long_string)
		memset(ask->ret_string, 'x', DISPENSER_STRING_BYTES);
	return (struct dispenser_answer){
		.status = f->create_status,
		.number = f->strings ? 0 : id,
		.type = ask->type,
		.idle_timeout_ns = f->idle_timeout_ns,
	};
}

static struct dispenser_answer call_driver(struct fixture *f,
					   const struct dispenser_ask *ask)
{
	struct dispenser_answer answer = { 0 };
	uint64_t id = ask->verb == DISPENSER_CREATE ? 0 : number_of(ask->id);

	assert_true(f->n_log < LOG && id < IDS);
	assert_int_equal(ask->id.string != NULL,
			 f->strings && ask->verb != DISPENSER_CREATE);
	f->log[f->n_log++] = (struct call){ ask->verb, id, ask->type,
					    ask->transaction,
					    ask->needs_enlist };
	switch (ask->verb) {
	case DISPENSER_CREATE:
		return create(f, ask);
	case DISPENSER_RATE:
		answer.status = f->rating[id];
		break;
	case DISPENSER_ENLIST:
		answer.status = f->enlist_status;
		break;
	case DISPENSER_RESET:
		answer.status = f->reset_status;
		break;
	case DISPENSER_DESTROY:
		answer.status = f->destroy_status;
		break;
	}
	return answer;
}

/* How often it was asked that, about an id (0: any). */
static size_t asked(const struct fixture *f, enum dispenser_verb verb,
		    uint64_t id)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_log; i++)
		n += f->log[i].verb == verb && (!id || f->log[i].id == id);
	return n;
}

static const struct call *last_call(const struct fixture *f)
{
	assert_true(f->n_log > 0);
	return &f->log[f->n_log - 1];
}

/* ---- Operations, run to their end ---- */

static int run(struct fixture *f, struct dispenser_op *op)
{
	struct dispenser_ask ask;
	struct dispenser_answer answer;
	enum dispenser_turn turn;

	while ((turn = dispenser_step(op, &ask)) != DISPENSER_DONE) {
		if (turn == DISPENSER_ASK) {
			answer = call_driver(f, &ask);
			dispenser_tell(op, &answer);
		}
	}
	dispenser_check(&f->dispenser);
	return op->status;
}

static int alloc_in(struct fixture *f, uint64_t type, uint64_t transaction,
		    uint64_t *ret_id)
{
	struct dispenser_op op;
	int r = dispenser_alloc(&f->dispenser, &op, f->holder, type,
				transaction, f->now_ns);

	if (r == 0)
		r = run(f, &op);
	if (r == 0)
		*ret_id = number_of(op.id);
	return r;
}

static uint64_t must_alloc_in(struct fixture *f, uint64_t type,
			      uint64_t transaction)
{
	uint64_t id = 0;

	assert_int_equal(alloc_in(f, type, transaction, &id), 0);
	return id;
}

static uint64_t must_alloc(struct fixture *f, uint64_t type)
{
	return must_alloc_in(f, type, 0);
}

static int alloc_status(struct fixture *f)
{
	uint64_t id;

	return alloc_in(f, 1, 0, &id);
}

static int give_back(struct fixture *f, uint64_t id)
{
	struct dispenser_op op;
	char string[32];
	int r = dispenser_free(&f->dispenser, &op, f->holder,
			       id_of(f, id, string), f->now_ns);

	return r < 0 ? r : run(f, &op);
}

static int request(struct fixture *f, uint64_t id)
{
	struct dispenser_op op;
	char string[32];
	int r = dispenser_request_destroy(&f->dispenser, &op, f->holder,
					  id_of(f, id, string));

	return r < 0 ? r : run(f, &op);
}

static int track(struct fixture *f, uint64_t id)
{
	char string[32];

	return dispenser_track(&f->dispenser, f->holder, id_of(f, id, string));
}

static int untrack(struct fixture *f, uint64_t id)
{
	char string[32];

	return dispenser_untrack(&f->dispenser, f->holder,
				 id_of(f, id, string));
}

static int complete(struct fixture *f, uint64_t transaction)
{
	struct dispenser_op op;
	int r = dispenser_complete(&f->dispenser, &op, f->holder, transaction,
				   f->now_ns);

	return r < 0 ? r : run(f, &op);
}

/* Whether there is more to scan. */
static bool scan(struct fixture *f, uint64_t budget)
{
	struct dispenser_op op;

	assert_int_equal(dispenser_scan(&f->dispenser, &op, f->holder,
					f->now_ns, budget),
			 0);
	assert_int_equal(run(f, &op), 0);
	return op.more;
}

static int shut(struct fixture *f)
{
	struct dispenser_op op;
	int r = dispenser_close(&f->dispenser, &op, f->holder);

	return r < 0 ? r : run(f, &op);
}

static struct dispenser_stat stat_of(const struct fixture *f)
{
	struct dispenser_stat stat;

	assert_int_equal(dispenser_stat(&f->dispenser, f->holder, &stat), 0);
	return stat;
}

/* n resources of a type, free; their ids are consecutive. */
static uint64_t stock(struct fixture *f, uint64_t type, uint64_t n)
{
	uint64_t first = f->last_id + 1;

	for (uint64_t i = 0; i < n; i++) {
		for (uint64_t id = 1; id < first + i; id++)
			f->rating[id] = 0;
		assert_int_equal(must_alloc(f, type), first + i);
		for (uint64_t id = 1; id <= first + i; id++)
			f->rating[id] = 50;
	}
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(give_back(f, first + i), 0);
	f->n_log = 0;
	return first;
}

static int begin_kind(void **state, bool strings)
{
	static struct fixture f;
	const struct heap heap = { &f, block_alloc, block_free };

	memset(&f, 0, sizeof(f));
	f.strings = strings;
	f.forced_id = IDS;
	f.fail_after = UINT64_MAX;
	f.now_ns = 1000;
	f.idle_timeout_ns = DISPENSER_NEVER;
	for (int i = 0; i < IDS; i++)
		f.rating[i] = 50;
	dispenser_init(&f.dispenser, &heap);
	assert_int_equal(dispenser_register(&f.dispenser,
					    &(struct dispenser_options){
						    .string_ids = strings },
					    &f.holder),
			 0);
	*state = &f;
	return 0;
}

static int set_up(void **state)
{
	return begin_kind(state, false);
}

static int set_up_strings(void **state)
{
	return begin_kind(state, true);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	shut(f);
	dispenser_deinit(&f->dispenser);
	assert_int_equal(f->n_blocks, 0);
	return 0;
}

/* ---- Search ---- */

static void nothing_free_is_created(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(must_alloc(f, 7), 1);
	assert_int_equal(must_alloc(f, 7), 2);
	assert_int_equal(asked(f, DISPENSER_RATE, 0), 0);
	assert_int_equal(last_call(f)->verb, DISPENSER_CREATE);
	assert_int_equal(last_call(f)->type, 7);
	assert_int_equal(stat_of(f).misses, 2);
	assert_int_equal(stat_of(f).hits, 0);
	assert_int_equal(stat_of(f).created, 2);
	assert_int_equal(stat_of(f).in_use, 2);
}

static void rating_0_is_unusable_and_all_0_creates(void **state)
{
	struct fixture *f = *state;
	uint64_t first = stock(f, 1, 3);

	for (int i = 0; i < 3; i++)
		f->rating[first + i] = 0;
	assert_int_equal(must_alloc(f, 1), first + 3);
	assert_int_equal(asked(f, DISPENSER_RATE, 0), 3);
	assert_int_equal(stat_of(f).free, 3);
}

static void highest_rating_wins(void **state)
{
	struct fixture *f = *state;
	uint64_t first = stock(f, 1, 5);

	f->rating[first] = 10;
	f->rating[first + 1] = 99;
	f->rating[first + 2] = 0;
	f->rating[first + 3] = 98;
	f->rating[first + 4] = 1;
	assert_int_equal(must_alloc(f, 1), first + 1);
	assert_int_equal(asked(f, DISPENSER_RATE, 0), 5);
	assert_int_equal(must_alloc(f, 1), first + 3);
	assert_int_equal(must_alloc(f, 1), first);
	assert_int_equal(must_alloc(f, 1), first + 4);
	assert_int_equal(stat_of(f).hits, 4);
	assert_int_equal(must_alloc(f, 1), first + 5);
}

static void rating_100_stops_the_search(void **state)
{
	struct fixture *f = *state;
	uint64_t first = stock(f, 1, 5);

	/* The one freed last is asked first. */
	f->rating[first + 3] = 100;
	f->rating[first] = 100;
	assert_int_equal(must_alloc(f, 1), first + 3);
	assert_int_equal(asked(f, DISPENSER_RATE, 0), 2);
}

static void equals_go_to_the_one_freed_last(void **state)
{
	struct fixture *f = *state;
	uint64_t first = stock(f, 1, 4);

	assert_int_equal(must_alloc(f, 1), first + 3);
	assert_int_equal(must_alloc(f, 1), first + 2);
}

static void ratings_beyond_the_scale_are_0(void **state)
{
	struct fixture *f = *state;
	uint64_t first = stock(f, 1, 3);

	f->rating[first] = 101;
	f->rating[first + 1] = -1;
	f->rating[first + 2] = INT32_MIN;
	assert_int_equal(must_alloc(f, 1), first + 3);
	assert_int_equal(stat_of(f).nonsense, 1);
	assert_int_equal(stat_of(f).driver_failures, 2);
}

static void nearest_types_come_first(void **state)
{
	const uint64_t order[] = { 5, 6, 9, 4, 1 };
	struct fixture *f = *state;
	uint64_t first = stock(f, 1, 1);

	assert_int_equal(stock(f, 4, 1), first + 1);
	assert_int_equal(stock(f, 5, 1), first + 2);
	assert_int_equal(stock(f, 6, 1), first + 3);
	assert_int_equal(stock(f, 9, 1), first + 4);
	for (int i = 0; i < 5; i++)
		f->rating[first + i] = 0;
	must_alloc(f, 5);
	for (int i = 0; i < 5; i++) {
		const uint64_t types[] = { 1, 4, 5, 6, 9 };

		assert_int_equal(f->log[i].verb, DISPENSER_RATE);
		assert_int_equal(f->log[i].type, 5);
		assert_int_equal(types[f->log[i].id - first], order[i]);
	}
}

static void g5_a_search_looks_at_a_window(void **state)
{
	struct fixture *f = *state;
	uint64_t own = stock(f, 5, DISPENSER_DEPTH * 2);
	uint64_t above = stock(f, 6, DISPENSER_DEPTH * 2);
	uint64_t below = stock(f, 4, DISPENSER_DEPTH * 2);

	for (uint64_t id = own; id <= f->last_id; id++)
		f->rating[id] = 0;
	must_alloc(f, 5);
	assert_int_equal(asked(f, DISPENSER_RATE, 0), DISPENSER_WINDOW);
	for (uint64_t id = below; id < below + 2 * DISPENSER_DEPTH; id++)
		assert_int_equal(asked(f, DISPENSER_RATE, id), 0);
	/* Half of each of the two types: its depth. */
	assert_int_equal(asked(f, DISPENSER_RATE, own + DISPENSER_DEPTH), 1);
	assert_int_equal(asked(f, DISPENSER_RATE, own), 0);
	assert_int_equal(asked(f, DISPENSER_RATE, above + DISPENSER_DEPTH), 1);
	assert_int_equal(asked(f, DISPENSER_RATE, above), 0);
}

static void what_is_unusable_hides_nothing_for_ever(void **state)
{
	struct fixture *f = *state;
	uint64_t first = stock(f, 5, DISPENSER_DEPTH * 5);
	uint64_t got = 0;
	int n = 0;

	for (uint64_t id = first; id <= f->last_id; id++)
		f->rating[id] = 0;
	f->rating[first] = 1; /* it stands behind all others */
	while (got != first) {
		got = must_alloc(f, 5);
		if (got != first)
			f->rating[got] = 0;
		assert_true(++n <= 5);
	}
	assert_int_equal(n, 5);
}

static void an_unlimited_search_is_exact(void **state)
{
	struct fixture *f = *state;
	uint64_t first;

	shut(f);
	assert_int_equal(dispenser_register(&f->dispenser,
					    &(struct dispenser_options){
						    .window = UINT64_MAX,
						    .depth = UINT64_MAX },
					    &f->holder),
			 0);
	first = stock(f, 5, 100);
	stock(f, 7, 100);
	for (uint64_t id = first; id <= f->last_id; id++)
		f->rating[id] = 1;
	f->rating[first] = 2;
	f->rating[first + 100] = 3;
	assert_int_equal(must_alloc(f, 5), first + 100);
	assert_int_equal(asked(f, DISPENSER_RATE, 0), 200);
	assert_int_equal(must_alloc(f, 5), first);
}

/* ---- Transactions ---- */

static void an_alloc_in_a_transaction_enlists(void **state)
{
	struct fixture *f = *state;
	uint64_t free = stock(f, 1, 1);

	/* Found, then enlisted; created, then enlisted. */
	assert_int_equal(must_alloc_in(f, 1, 9), free);
	assert_true(f->log[0].needs_enlist);
	assert_int_equal(last_call(f)->verb, DISPENSER_ENLIST);
	assert_int_equal(last_call(f)->transaction, 9);
	assert_int_equal(must_alloc_in(f, 1, 9), free + 1);
	assert_int_equal(last_call(f)->verb, DISPENSER_ENLIST);
	assert_int_equal(stat_of(f).enlisted, 2);
	/* Without a transaction nobody is enlisted. */
	must_alloc(f, 1);
	assert_int_equal(last_call(f)->verb, DISPENSER_CREATE);
	assert_int_equal(stat_of(f).enlisted, 2);
}

static void enlisted_in_the_own_transaction_comes_first(void **state)
{
	struct fixture *f = *state;
	uint64_t mine = must_alloc_in(f, 1, 9);
	uint64_t other = must_alloc_in(f, 1, 8);
	uint64_t none = must_alloc(f, 1);

	assert_int_equal(give_back(f, mine), 0);
	assert_int_equal(give_back(f, other), 0);
	assert_int_equal(give_back(f, none), 0);
	f->rating[none] = 100;
	f->rating[mine] = 1;
	f->rating[other] = 100;
	f->n_log = 0;
	assert_int_equal(must_alloc_in(f, 1, 9), mine);
	assert_int_equal(f->n_log, 1);
	assert_false(f->log[0].needs_enlist);
	/* When it is unusable, the others that are free are looked at; what
	 * is enlisted elsewhere never is. */
	assert_int_equal(give_back(f, mine), 0);
	f->rating[mine] = 0;
	f->n_log = 0;
	assert_int_equal(must_alloc_in(f, 1, 9), none);
	assert_int_equal(asked(f, DISPENSER_RATE, other), 0);
	assert_int_equal(asked(f, DISPENSER_ENLIST, none), 1);
	/* Nor without a transaction. */
	f->rating[mine] = 100;
	assert_int_equal(must_alloc(f, 1), none + 1);
}

static void not_transactional_is_never_asked_again(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	f->enlist_status = 1;
	id = must_alloc_in(f, 1, 9);
	assert_int_equal(asked(f, DISPENSER_ENLIST, id), 1);
	assert_int_equal(stat_of(f).enlisted, 0);
	assert_int_equal(give_back(f, id), 0);
	f->enlist_status = 0;
	assert_int_equal(must_alloc_in(f, 1, 9), id);
	assert_int_equal(must_alloc_in(f, 1, 9), id + 1);
	assert_int_equal(asked(f, DISPENSER_ENLIST, id), 1);
	assert_false(f->log[3].needs_enlist);
	assert_int_equal(stat_of(f).enlisted, 1);
}

static void the_end_of_a_transaction_unenlists(void **state)
{
	struct fixture *f = *state;
	uint64_t a = must_alloc_in(f, 1, 9), b = must_alloc_in(f, 1, 9);

	assert_int_equal(give_back(f, a), 0);
	assert_int_equal(stat_of(f).free, 1);
	assert_int_equal(complete(f, 9), 0);
	assert_int_equal(stat_of(f).enlisted, 0);
	/* One was free, and is so for everybody; the other was in use. */
	assert_int_equal(must_alloc(f, 1), a);
	assert_int_equal(give_back(f, b), 0);
	assert_int_equal(must_alloc_in(f, 1, 8), b);
	assert_int_equal(asked(f, DISPENSER_ENLIST, b), 2);
	/* The same number is another transaction now. */
	assert_int_equal(complete(f, 9), 0);
	assert_int_equal(complete(f, 12345), 0);
	assert_int_equal(stat_of(f).enlisted, 1);
}

static void the_end_of_a_large_transaction_is_many_steps(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	struct dispenser_ask ask;
	int again = 0;

	for (int i = 0; i < 3 * DISPENSER_STEP_ITEMS; i++)
		must_alloc_in(f, 1, 9);
	assert_int_equal(dispenser_complete(&f->dispenser, &op, f->holder, 9,
					    f->now_ns),
			 0);
	while (dispenser_step(&op, &ask) == DISPENSER_AGAIN) {
		/* Between two of them, others allocate and free. */
		dispenser_check(&f->dispenser);
		assert_int_equal(give_back(f, ++again), 0);
		must_alloc_in(f, 1, 9);
	}
	assert_true(again >= 3);
	assert_int_equal(stat_of(f).enlisted, again);
}

static void a_failed_enlistment_fails_the_alloc(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	f->enlist_status = -EPERM;
	assert_int_equal(alloc_in(f, 1, 9, &id), -EIO); /* it was new */
	assert_int_equal(stat_of(f).free, 1);
	assert_int_equal(alloc_in(f, 1, 9, &id), -EIO); /* it was found */
	f->enlist_status = 2;
	assert_int_equal(alloc_in(f, 1, 9, &id), -EIO);
	assert_int_equal(stat_of(f).free, 1);
	assert_int_equal(stat_of(f).enlisted, 0);
	assert_int_equal(stat_of(f).nonsense, 1);
	assert_int_equal(stat_of(f).driver_failures, 2);
	f->enlist_status = 0;
	assert_int_equal(must_alloc_in(f, 1, 9), 1);
}

/* ---- Creation ---- */

static void an_empty_id_is_refused(void **state)
{
	struct fixture *f = *state;

	f->forced_id = 0;
	assert_int_equal(alloc_status(f), -EINVAL);
	assert_int_equal(stat_of(f).in_use, 0);
	assert_int_equal(stat_of(f).created, 0);
	assert_int_equal(stat_of(f).nonsense, 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 0), 0);
}

static void a_string_without_end_is_refused(void **state)
{
	struct fixture *f = *state;

	f->long_string = true;
	assert_int_equal(alloc_status(f), -EINVAL);
	assert_int_equal(stat_of(f).nonsense, 1);
}

static void a_duplicate_id_is_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t id = must_alloc(f, 1);

	f->forced_id = id;
	assert_int_equal(alloc_status(f), -EINVAL); /* in use */
	assert_int_equal(give_back(f, id), 0);
	f->rating[id] = 0;
	assert_int_equal(alloc_status(f), -EINVAL); /* free */
	assert_int_equal(track(f, 77), 0);
	f->forced_id = 77;
	assert_int_equal(alloc_status(f), -EINVAL); /* tracked */
	assert_int_equal(stat_of(f).created, 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 0), 0);
	/* A destroyed one may come again: it is another resource. */
	assert_int_equal(request(f, id), 0);
	f->forced_id = id;
	assert_int_equal(must_alloc(f, 1), id);
}

static void a_failed_creation_says_why(void **state)
{
	struct fixture *f = *state;

	f->create_status = -ENOSPC;
	assert_int_equal(alloc_status(f), -ENOSPC);
	f->create_status = 5;
	assert_int_equal(alloc_status(f), -EIO);
	assert_int_equal(stat_of(f).driver_failures, 1);
	assert_int_equal(stat_of(f).nonsense, 1);
	f->create_status = 0;
	assert_int_equal(alloc_status(f), 0);
}

static void resources_are_limited(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	shut(f);
	assert_int_equal(dispenser_register(&f->dispenser,
					    &(struct dispenser_options){
						    .resources_max = 2,
						    .string_ids = f->strings },
					    &f->holder),
			 0);
	id = must_alloc(f, 1);
	assert_int_equal(track(f, 100), 0);
	assert_int_equal(alloc_status(f), -EDQUOT);
	assert_int_equal(track(f, 101), -EDQUOT);
	assert_int_equal(request(f, id), 0);
	assert_int_equal(alloc_status(f), -EDQUOT); /* it is still in use */
	assert_int_equal(give_back(f, id), 0);
	assert_int_equal(alloc_status(f), 0);
}

static void a_full_holder_makes_room(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	shut(f);
	assert_int_equal(dispenser_register(&f->dispenser,
					    &(struct dispenser_options){
						    .resources_max = 3 },
					    &f->holder),
			 0);
	assert_int_equal(stock(f, 1, 2), 1);
	for (id = 1; id <= 2; id++)
		f->rating[id] = 0;
	must_alloc(f, 2);
	/* Full now: what has been free the longest goes, then the other. */
	must_alloc(f, 2);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 1), 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 2), 0);
	must_alloc(f, 2);
	assert_int_equal(stat_of(f).destroyed[DISPENSER_END_ROOM], 2);
	assert_int_equal(alloc_status(f), -EDQUOT);
	/* What cannot be destroyed makes no room. */
	assert_int_equal(give_back(f, 3), 0);
	f->rating[3] = 0;
	f->destroy_status = -EIO;
	assert_int_equal(alloc_status(f), -EDQUOT);
	assert_int_equal(stat_of(f).broken, 1);
}

static void holders_are_limited(void **state)
{
	const struct dispenser_options options = { 0 };
	struct fixture *f = *state;
	uint64_t holders[DISPENSER_HOLDERS_MAX - 1], id = 0;
	struct dispenser_op op;

	for (size_t i = 0; i < ARRAY_SIZE(holders); i++)
		assert_int_equal(dispenser_register(&f->dispenser, &options,
						    &holders[i]),
				 0);
	assert_int_equal(dispenser_register(&f->dispenser, &options, &id),
			 -EDQUOT);
	assert_int_equal(id, 0);
	for (size_t i = 0; i < ARRAY_SIZE(holders); i++) {
		assert_int_equal(
			dispenser_close(&f->dispenser, &op, holders[i]), 0);
		run(f, &op);
	}
}

/* ---- Free ---- */

static void free_resets_first(void **state)
{
	struct fixture *f = *state;
	uint64_t id = must_alloc(f, 1);

	f->n_log = 0;
	assert_int_equal(give_back(f, id), 0);
	assert_int_equal(f->n_log, 1);
	assert_int_equal(f->log[0].verb, DISPENSER_RESET);
	assert_int_equal(f->log[0].id, id);
	assert_int_equal(must_alloc(f, 1), id);
}

static void what_cannot_be_reset_is_destroyed(void **state)
{
	struct fixture *f = *state;
	uint64_t id = must_alloc(f, 1);

	f->reset_status = -EBUSY;
	assert_int_equal(give_back(f, id), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, id), 1);
	assert_int_equal(stat_of(f).free, 0);
	f->reset_status = 1;
	assert_int_equal(give_back(f, must_alloc(f, 1)), 0);
	assert_int_equal(stat_of(f).destroyed[DISPENSER_END_RESET], 2);
	assert_int_equal(stat_of(f).driver_failures, 1);
	assert_int_equal(stat_of(f).nonsense, 1);
}

static void ids_never_issued_are_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t id = must_alloc(f, 1);

	assert_int_equal(give_back(f, id + 1), -EINVAL);
	assert_int_equal(request(f, id + 1), -EINVAL);
	assert_int_equal(untrack(f, id + 1), -EINVAL);
	assert_int_equal(untrack(f, id), -EINVAL);
	assert_int_equal(give_back(f, 0), -EINVAL);
	assert_int_equal(request(f, 0), -EINVAL);
	assert_int_equal(track(f, 0), -EINVAL);
	assert_int_equal(track(f, id), -EINVAL);
	assert_int_equal(give_back(f, id), 0);
	assert_int_equal(give_back(f, id), -EINVAL);
	assert_int_equal(asked(f, DISPENSER_RESET, 0), 1);
}

static void another_holders_ids_are_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t id = must_alloc(f, 1), mine = f->holder;

	assert_int_equal(dispenser_register(&f->dispenser,
					    &(struct dispenser_options){
						    .string_ids = f->strings },
					    &f->holder),
			 0);
	assert_int_equal(give_back(f, id), -EINVAL);
	assert_int_equal(request(f, id), -EINVAL);
	assert_int_equal(shut(f), 0);
	f->holder = mine;
	assert_int_equal(give_back(f, id), 0);
}

#define unchanged(f, call, result)                    \
	do {                                          \
		uint64_t image_ = image(f);           \
		size_t asked_ = (f)->n_log;           \
		assert_int_equal(call, result);       \
		assert_true(image(f) == image_);      \
		assert_int_equal((f)->n_log, asked_); \
	} while (0)

static void g3_refused_by_its_id(void **state)
{
	struct fixture *f = *state;
	uint64_t used = must_alloc(f, 1), enlisted = must_alloc_in(f, 1, 9);
	uint64_t free = stock(f, 2, 1);

	assert_int_equal(track(f, 500), 0);
	for (int i = 0; i < 2; i++) {
		const uint64_t none = i == 0 ? 0 : 77;

		unchanged(f, give_back(f, none), -EINVAL);
		unchanged(f, request(f, none), -EINVAL);
		unchanged(f, untrack(f, none), -EINVAL);
	}
	unchanged(f, track(f, 0), -EINVAL);
	unchanged(f, track(f, used), -EINVAL);
	unchanged(f, track(f, free), -EINVAL);
	unchanged(f, track(f, 500), -EINVAL);
	unchanged(f, untrack(f, used), -EINVAL);
	unchanged(f, untrack(f, enlisted), -EINVAL);
	unchanged(f, give_back(f, free), -EINVAL);
	unchanged(f, give_back(f, 500), -EINVAL);
	f->strings = !f->strings;
	unchanged(f, give_back(f, used), -ENOTSUP);
	unchanged(f, request(f, used), -ENOTSUP);
	unchanged(f, track(f, 501), -ENOTSUP);
	unchanged(f, untrack(f, 500), -ENOTSUP);
	f->strings = !f->strings;
}

static void g3_refused_by_its_holder_or_memory(void **state)
{
	struct fixture *f = *state;
	uint64_t used = must_alloc(f, 1), mine = f->holder, other = 0;
	const struct dispenser_options options = { .resources_max = 1 };
	struct dispenser_op op;

	f->holder = mine + 99;
	unchanged(f, alloc_status(f), -EINVAL);
	unchanged(f, give_back(f, used), -EINVAL);
	unchanged(f, request(f, used), -EINVAL);
	unchanged(f, track(f, 500), -EINVAL);
	unchanged(f, untrack(f, 500), -EINVAL);
	unchanged(f, complete(f, 9), -EINVAL);
	unchanged(f, shut(f), -EINVAL);
	unchanged(f,
		  dispenser_scan(&f->dispenser, &op, f->holder, f->now_ns, 9),
		  -EINVAL);
	f->holder = mine;
	f->fail_after = 0;
	unchanged(f, dispenser_register(&f->dispenser, &options, &other),
		  -ENOMEM);
	unchanged(f, track(f, 500), -ENOMEM);
	f->fail_after = UINT64_MAX;
	assert_int_equal(other, 0);
}

/* ---- Tracked resources ---- */

static void tracked_ones_are_never_pooled(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(track(f, 50), 0);
	assert_int_equal(track(f, 50), -EINVAL);
	f->rating[50] = 100;
	assert_int_equal(must_alloc(f, 1), 1);
	assert_int_equal(asked(f, DISPENSER_RATE, 0), 0);
	assert_int_equal(give_back(f, 50), -EINVAL);
	assert_int_equal(stat_of(f).tracked, 1);
	assert_int_equal(untrack(f, 50), 0);
	assert_int_equal(untrack(f, 50), -EINVAL);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 0), 0);
	/* Asked to, the holder destroys one; and it goes with the holder. */
	assert_int_equal(track(f, 51), 0);
	assert_int_equal(request(f, 51), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 51), 1);
	assert_int_equal(track(f, 52), 0);
	assert_int_equal(shut(f), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 52), 1);
}

/* ---- Destruction ---- */

static void b40_an_id_of_the_right_kind_is_destroyed(void **state)
{
	struct fixture *f = *state;
	uint64_t id = stock(f, 1, 1);

	assert_int_equal(request(f, id), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, id), 1);
	assert_int_equal(stat_of(f).free, 0);
	assert_int_equal(stat_of(f).destroyed[DISPENSER_END_REQUEST], 1);
	assert_int_equal(request(f, id), -EINVAL);
	assert_int_equal(must_alloc(f, 1), id + 1);
}

static void b41_the_other_kind_is_not_supported(void **state)
{
	struct fixture *f = *state;
	uint64_t id = stock(f, 1, 1);

	f->strings = !f->strings;
	assert_int_equal(request(f, id), -ENOTSUP);
	assert_int_equal(give_back(f, id), -ENOTSUP);
	assert_int_equal(track(f, id), -ENOTSUP);
	assert_int_equal(untrack(f, id), -ENOTSUP);
	assert_int_equal(request(f, 0), -ENOTSUP);
	f->strings = !f->strings;
	assert_int_equal(f->n_log, 0);
	/* And when the driver itself says so. */
	f->destroy_status = -ENOTSUP;
	assert_int_equal(request(f, id), -ENOTSUP);
	assert_int_equal(stat_of(f).broken, 1);
}

static void b42_a_failed_destruction(void **state)
{
	struct fixture *f = *state;
	uint64_t id = stock(f, 1, 1);

	f->destroy_status = -EPERM;
	f->rating[id] = 100;
	assert_int_equal(request(f, id), -EIO);
	/* It has left the inventory, is counted, and never handed out again,
	 * not even when the driver makes the same id once more. */
	assert_int_equal(stat_of(f).free, 0);
	assert_int_equal(stat_of(f).broken, 1);
	assert_int_equal(stat_of(f).destroy_failures, 1);
	assert_int_equal(request(f, id), -EINVAL);
	assert_int_equal(give_back(f, id), -EINVAL);
	assert_int_equal(track(f, id), -EINVAL);
	f->forced_id = id;
	assert_int_equal(alloc_status(f), -EINVAL);
	/* Close tries again. */
	f->destroy_status = 0;
	assert_int_equal(shut(f), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, id), 2);
}

static void b42_whoever_destroys(void **state)
{
	struct fixture *f = *state;
	uint64_t a = must_alloc(f, 1), b = must_alloc(f, 1);

	f->destroy_status = 3; /* nonsense is a failure */
	assert_int_equal(request(f, a), 0);
	assert_int_equal(give_back(f, a), -EIO);
	f->reset_status = -EIO;
	assert_int_equal(give_back(f, b), -EIO);
	assert_int_equal(track(f, 50), 0);
	assert_int_equal(request(f, 50), -EIO);
	assert_int_equal(stat_of(f).broken, 3);
	assert_int_equal(stat_of(f).destroy_failures, 3);
	assert_int_equal(shut(f), -EIO);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 0), 6);
	/* It is closed nevertheless. */
	assert_int_equal(alloc_status(f), -EINVAL);
}

/* A driver that fails now and then, and what it made until all is closed. */
static void a_random_step(struct fixture *f, struct random *random,
			  bool *is_used)
{
	uint64_t id = 1 + random_below(random, (uint32_t)f->last_id + 1);
	uint32_t what = random_below(random, 100);

	f->now_ns += random_below(random, 50);
	f->enlist_status = random_chance(random, 10) ? -EIO : 0;
	f->reset_status = random_chance(random, 10) ? -EIO : 0;
	f->destroy_status = random_chance(random, 20) ? -EIO : 0;
	f->rating[random_below(random, IDS)] = (int)random_below(random, 101);
	if (what < 40) {
		if (alloc_in(f, random_below(random, 4),
			     random_below(random, 3), &id) == 0)
			is_used[id] = true;
	} else if (what < 80) {
		if (is_used[id])
			give_back(f, id);
		is_used[id] = false;
	} else if (what < 90) {
		request(f, id);
	} else if (what < 95) {
		complete(f, random_below(random, 3));
	} else {
		scan(f, 4);
	}
}

/* Once, and at the close once more if that has failed. */
static void expect_once_each(const struct fixture *f, uint64_t broken)
{
	static uint32_t n[IDS];
	uint64_t twice = 0;

	memset(n, 0, sizeof(n));
	for (size_t i = 0; i < f->n_log; i++)
		n[f->log[i].id] += f->log[i].verb == DISPENSER_DESTROY;
	for (uint64_t id = 1; id <= f->last_id; id++) {
		assert_in_range(n[id], 1, 2);
		twice += n[id] - 1;
	}
	assert_int_equal(twice, broken);
}

static void g2_destroyed_once_each(void **state)
{
	struct fixture *f = *state;
	struct random random = { 2 };
	static bool is_used[IDS];
	uint64_t broken;

	memset(is_used, 0, sizeof(is_used));
	f->idle_timeout_ns = 400;
	for (int i = 0; i < 3000; i++)
		a_random_step(f, &random, is_used);
	broken = stat_of(f).broken;
	assert_true(broken > 10 && f->last_id > 100);
	f->destroy_status = 0;
	assert_int_equal(shut(f), 0);
	expect_once_each(f, broken);
}

static void request_on_one_in_use_waits_for_its_free(void **state)
{
	struct fixture *f = *state;
	uint64_t id = must_alloc(f, 1);

	assert_int_equal(request(f, id), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 0), 0);
	assert_int_equal(request(f, id), -EINVAL);
	assert_int_equal(give_back(f, id), 0);
	assert_int_equal(asked(f, DISPENSER_RESET, 0), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, id), 1);
	assert_int_equal(stat_of(f).destroyed[DISPENSER_END_REQUEST], 1);
	assert_int_equal(stat_of(f).free, 0);
}

static void request_takes_one_out_of_its_transaction(void **state)
{
	struct fixture *f = *state;
	uint64_t id = must_alloc_in(f, 1, 9);

	assert_int_equal(give_back(f, id), 0);
	assert_int_equal(request(f, id), 0);
	assert_int_equal(stat_of(f).enlisted, 0);
	assert_int_equal(must_alloc_in(f, 1, 9), id + 1);
}

/* ---- Scan ---- */

static void longer_idle_than_its_timeout_is_destroyed(void **state)
{
	struct fixture *f = *state;
	uint64_t a, b, used;

	f->idle_timeout_ns = 100;
	a = must_alloc(f, 1);
	b = must_alloc(f, 1);
	used = must_alloc(f, 1);
	assert_int_equal(give_back(f, a), 0);
	f->now_ns += 60;
	assert_int_equal(give_back(f, b), 0);
	f->now_ns += 40;
	assert_false(scan(f, UINT64_MAX)); /* as long, not longer */
	assert_int_equal(stat_of(f).free, 2);
	f->now_ns += 1;
	assert_false(scan(f, UINT64_MAX));
	assert_int_equal(asked(f, DISPENSER_DESTROY, a), 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, b), 0);
	f->now_ns += 100;
	scan(f, UINT64_MAX);
	assert_int_equal(asked(f, DISPENSER_DESTROY, b), 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, used), 0);
	assert_int_equal(stat_of(f).destroyed[DISPENSER_END_IDLE], 2);
	/* Use sets the clock back. */
	assert_int_equal(give_back(f, used), 0);
	f->now_ns += 100;
	assert_int_equal(must_alloc(f, 1), used);
	assert_int_equal(give_back(f, used), 0);
	f->now_ns += 100;
	scan(f, UINT64_MAX);
	assert_int_equal(stat_of(f).free, 1);
	/* A clock that goes back makes nothing idle. */
	f->now_ns = 0;
	scan(f, UINT64_MAX);
	assert_int_equal(stat_of(f).free, 1);
}

static void enlisted_ones_are_not_idle(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	f->idle_timeout_ns = 100;
	id = must_alloc_in(f, 1, 9);
	assert_int_equal(give_back(f, id), 0);
	f->now_ns += 1000;
	scan(f, UINT64_MAX);
	assert_int_equal(stat_of(f).free, 1);
	/* They begin to be with the end of their transaction. */
	assert_int_equal(complete(f, 9), 0);
	f->now_ns += 100;
	scan(f, UINT64_MAX);
	assert_int_equal(stat_of(f).free, 1);
	f->now_ns += 1;
	scan(f, UINT64_MAX);
	assert_int_equal(stat_of(f).free, 0);
}

static void a_scan_goes_on_where_the_last_one_stopped(void **state)
{
	struct fixture *f = *state;
	uint64_t first, n = 0;

	/* One that never expires before each that does. */
	for (int i = 0; i < 50; i++) {
		f->idle_timeout_ns = i % 2 ? 100 : DISPENSER_NEVER;
		must_alloc(f, 1);
	}
	first = 1;
	for (int i = 0; i < 50; i++)
		assert_int_equal(give_back(f, first + i), 0);
	f->now_ns += 101;
	while (scan(f, 10)) {
		assert_int_equal(stat_of(f).destroyed[DISPENSER_END_IDLE],
				 ++n * 5);
		/* Where the scan stands, things change meanwhile. */
		if (n == 2)
			assert_int_equal(request(f, first + 20), 0);
	}
	assert_int_equal(n, 4);
	assert_int_equal(stat_of(f).destroyed[DISPENSER_END_IDLE], 25);
	assert_int_equal(stat_of(f).free, 24);
	assert_true(scan(f, 10));
}

static void a_scan_does_not_look_at_what_is_young(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	struct dispenser_ask ask;

	f->idle_timeout_ns = 100;
	stock(f, 1, 600);
	/* One step is enough for 600 of which none is old enough. */
	assert_int_equal(dispenser_scan(&f->dispenser, &op, f->holder,
					f->now_ns + 50, UINT64_MAX),
			 0);
	assert_int_equal(dispenser_step(&op, &ask), DISPENSER_DONE);
	assert_false(op.more);
}

static void a_scan_that_cannot_destroy_is_no_error(void **state)
{
	struct fixture *f = *state;

	f->idle_timeout_ns = 0;
	stock(f, 1, 3);
	f->now_ns += 1;
	f->destroy_status = -EIO;
	assert_false(scan(f, UINT64_MAX));
	assert_int_equal(stat_of(f).broken, 3);
}

/* ---- Close ---- */

static void close_destroys_all_and_ends_all(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	struct dispenser_stat stat;
	uint64_t free = stock(f, 1, 2), used = must_alloc_in(f, 1, 9);
	uint64_t parked = must_alloc_in(f, 1, 9);
	uint64_t id, new = must_alloc(f, 1);

	assert_int_equal(give_back(f, parked), 0);
	assert_int_equal(track(f, 60), 0);
	f->n_log = 0;
	assert_int_equal(shut(f), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, free), 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, used), 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, parked), 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 60), 1);
	assert_int_equal(f->n_log, 4);
	assert_int_equal(alloc_in(f, 1, 0, &id), -EINVAL);
	assert_int_equal(give_back(f, new), -EINVAL);
	assert_int_equal(request(f, used), -EINVAL);
	assert_int_equal(track(f, 61), -EINVAL);
	assert_int_equal(untrack(f, 60), -EINVAL);
	assert_int_equal(complete(f, 9), -EINVAL);
	assert_int_equal(dispenser_scan(&f->dispenser, &op, f->holder, 0, 1),
			 -EINVAL);
	assert_int_equal(dispenser_stat(&f->dispenser, f->holder, &stat),
			 -EINVAL);
	assert_int_equal(shut(f), -EINVAL);
	assert_int_equal(f->n_log, 4);
	assert_int_equal(f->n_blocks, 0);
}

/* ---- Operations between the steps of others (G1, G6) ---- */

/* Steps until the driver is asked that; nothing else may come. */
static void step_to(struct dispenser_op *op, enum dispenser_verb verb)
{
	struct dispenser_ask ask;

	assert_int_equal(dispenser_step(op, &ask), DISPENSER_ASK);
	assert_int_equal(ask.verb, verb);
}

static void tell(struct dispenser_op *op, int status)
{
	dispenser_tell(op, &(struct dispenser_answer){ .status = status });
}

static void begin_alloc(struct fixture *f, struct dispenser_op *op,
			uint64_t transaction)
{
	assert_int_equal(dispenser_alloc(&f->dispenser, op, f->holder, 1,
					 transaction, f->now_ns),
			 0);
}

static void two_searches_never_meet(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op a, b;
	uint64_t first = stock(f, 1, 2);

	begin_alloc(f, &a, 0);
	begin_alloc(f, &b, 0);
	step_to(&a, DISPENSER_RATE);
	step_to(&b, DISPENSER_RATE);
	dispenser_check(&f->dispenser);
	tell(&a, 100);
	tell(&b, 100);
	assert_int_equal(run(f, &b), 0);
	assert_int_equal(run(f, &a), 0);
	assert_int_equal(number_of(a.id), first + 1);
	assert_int_equal(number_of(b.id), first);
}

static void what_is_being_reset_is_nobodys(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	char string[32];
	uint64_t id = must_alloc(f, 1);

	assert_int_equal(dispenser_free(&f->dispenser, &op, f->holder,
					id_of(f, id, string), f->now_ns),
			 0);
	step_to(&op, DISPENSER_RESET);
	assert_int_equal(give_back(f, id), -EINVAL);
	assert_int_equal(must_alloc(f, 1), id + 1);
	assert_int_equal(request(f, id), 0);
	assert_int_equal(request(f, id), -EINVAL);
	tell(&op, 0);
	assert_int_equal(run(f, &op), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, id), 1);
}

static void a_candidate_that_is_doomed_is_not_handed_out(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	uint64_t id = stock(f, 1, 1);

	begin_alloc(f, &op, 0);
	step_to(&op, DISPENSER_RATE);
	assert_int_equal(request(f, id), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 0), 0);
	tell(&op, 100);
	assert_int_equal(run(f, &op), 0);
	assert_int_equal(number_of(op.id), id + 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, id), 1);
}

static void the_best_that_is_doomed_is_not_handed_out(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	uint64_t first = stock(f, 1, 2);

	begin_alloc(f, &op, 0);
	step_to(&op, DISPENSER_RATE); /* the second one */
	tell(&op, 60);
	step_to(&op, DISPENSER_RATE);
	assert_int_equal(request(f, first + 1), 0);
	tell(&op, 40);
	assert_int_equal(run(f, &op), 0);
	assert_int_equal(number_of(op.id), first + 2);
	assert_int_equal(asked(f, DISPENSER_DESTROY, first + 1), 1);
	assert_int_equal(stat_of(f).free, 1);
}

static void one_that_is_doomed_while_it_enlists(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	uint64_t id = stock(f, 1, 1);

	begin_alloc(f, &op, 9);
	step_to(&op, DISPENSER_RATE);
	tell(&op, 100);
	step_to(&op, DISPENSER_ENLIST);
	assert_int_equal(request(f, id), 0);
	tell(&op, 0);
	assert_int_equal(run(f, &op), 0);
	assert_int_equal(number_of(op.id), id + 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, id), 1);
	/* So it is with a new one. */
	f->rating[id + 1] = 0;
	begin_alloc(f, &op, 8);
	step_to(&op, DISPENSER_CREATE);
	dispenser_tell(&op, &(struct dispenser_answer){ .number = 70 });
	step_to(&op, DISPENSER_ENLIST);
	assert_int_equal(give_back(f, 70), -EINVAL);
	assert_int_equal(request(f, 70), 0);
	tell(&op, 0);
	assert_int_equal(run(f, &op), 0);
	assert_int_equal(number_of(op.id), id + 2);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 70), 1);
	assert_int_equal(stat_of(f).enlisted, 2);
}

/* An operation claims before it asks; what is doomed in between, since a
 * victim's end came first, is only destroyed. */
static void g1_nothing_is_asked_about_what_was_doomed(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	uint64_t first = stock(f, 1, 3);

	begin_alloc(f, &op, 0);
	step_to(&op, DISPENSER_RATE); /* the last one */
	assert_int_equal(request(f, first + 2), 0);
	tell(&op, 40);
	step_to(&op, DISPENSER_DESTROY);
	assert_int_equal(request(f, first + 1), 0);
	tell(&op, 0);
	assert_int_equal(run(f, &op), 0);
	assert_int_equal(number_of(op.id), first);
	assert_int_equal(asked(f, DISPENSER_RATE, first + 1), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, first + 1), 1);
}

static void g1_what_was_doomed_is_not_enlisted(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	uint64_t first = stock(f, 1, 2);

	begin_alloc(f, &op, 7);
	step_to(&op, DISPENSER_RATE);
	tell(&op, 60);
	step_to(&op, DISPENSER_RATE);
	assert_int_equal(request(f, first + 1), 0);
	tell(&op, 100);
	step_to(&op, DISPENSER_DESTROY); /* of the one that was the best */
	assert_int_equal(request(f, first), 0);
	tell(&op, 0);
	assert_int_equal(run(f, &op), 0);
	assert_int_equal(number_of(op.id), first + 2);
	assert_int_equal(asked(f, DISPENSER_ENLIST, first), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, first), 1);
	assert_int_equal(stat_of(f).enlisted, 1);
}

static void g1_what_was_doomed_is_not_reset(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	char string[32];
	uint64_t id = must_alloc(f, 1);

	assert_int_equal(dispenser_free(&f->dispenser, &op, f->holder,
					id_of(f, id, string), f->now_ns),
			 0);
	assert_int_equal(request(f, id), 0);
	assert_int_equal(run(f, &op), 0);
	assert_int_equal(asked(f, DISPENSER_RESET, id), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, id), 1);
	assert_int_equal(stat_of(f).destroyed[DISPENSER_END_REQUEST], 1);
}

/* Between the choice and the end of an alloc, when it has a victim. */
static void what_is_chosen_is_nobodys_yet(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	uint64_t first = stock(f, 1, 2);

	begin_alloc(f, &op, 0);
	step_to(&op, DISPENSER_RATE); /* the second one */
	assert_int_equal(request(f, first + 1), 0);
	tell(&op, 1);
	step_to(&op, DISPENSER_DESTROY);
	tell(&op, 0);
	step_to(&op, DISPENSER_RATE);
	tell(&op, 100);
	assert_int_equal(run(f, &op), 0);
	assert_int_equal(number_of(op.id), first);
	assert_int_equal(give_back(f, first), 0);
	/* The same with the victim asked about last. */
	f->rating[first] = 0;
	must_alloc(f, 1);
	f->rating[first] = 50;
	assert_int_equal(give_back(f, first + 2), 0);
	begin_alloc(f, &op, 0);
	step_to(&op, DISPENSER_RATE);
	tell(&op, 50);
	step_to(&op, DISPENSER_RATE);
	assert_int_equal(request(f, first), 0);
	tell(&op, 0);
	step_to(&op, DISPENSER_DESTROY);
	assert_int_equal(give_back(f, first + 2), -EINVAL);
	assert_int_equal(request(f, first + 2), 0);
	tell(&op, 0);
	assert_int_equal(run(f, &op), 0);
	assert_int_equal(number_of(op.id), first + 3);
	assert_int_equal(asked(f, DISPENSER_DESTROY, first + 2), 1);
}

static void a_transaction_that_ends_during_a_search(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	uint64_t a = must_alloc_in(f, 1, 9), b = must_alloc_in(f, 1, 9);

	assert_int_equal(give_back(f, a), 0);
	assert_int_equal(give_back(f, b), 0);
	begin_alloc(f, &op, 9);
	step_to(&op, DISPENSER_RATE);
	assert_int_equal(complete(f, 9), 0);
	tell(&op, 50);
	assert_int_equal(run(f, &op), 0);
	/* What it had found is free now, and enlisted anew. */
	assert_int_equal(number_of(op.id), b);
	assert_int_equal(asked(f, DISPENSER_ENLIST, b), 2);
	assert_int_equal(stat_of(f).enlisted, 1);
}

static void an_id_may_come_again_while_its_end_is_awaited(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op op;
	uint64_t id = stock(f, 1, 1);

	assert_int_equal(dispenser_request_destroy(
				 &f->dispenser, &op, f->holder,
				 (struct dispenser_id){ .number = id }),
			 0);
	step_to(&op, DISPENSER_DESTROY);
	f->forced_id = id;
	assert_int_equal(must_alloc(f, 1), id);
	/* Whether the old one goes or not, the new one is not touched. */
	tell(&op, -EIO);
	assert_int_equal(run(f, &op), -EIO);
	assert_int_equal(stat_of(f).broken, 1);
	assert_int_equal(stat_of(f).in_use, 1);
	assert_int_equal(give_back(f, id), 0);
	assert_int_equal(must_alloc(f, 1), id);
	assert_int_equal(request(f, id), 0);
	assert_int_equal(give_back(f, id), 0);
	assert_int_equal(stat_of(f).broken, 1);
}

static void a_close_during_each_call_of_the_driver(void **state)
{
	struct fixture *f = *state;
	struct dispenser_op alloc, search, enlist, back;
	uint64_t first = stock(f, 1, 2), used;

	f->rating[first] = f->rating[first + 1] = 0;
	used = must_alloc(f, 1);
	begin_alloc(f, &search, 0);
	step_to(&search, DISPENSER_RATE);
	begin_alloc(f, &enlist, 9);
	step_to(&enlist, DISPENSER_RATE);
	tell(&enlist, 100);
	step_to(&enlist, DISPENSER_ENLIST);
	begin_alloc(f, &alloc, 9);
	step_to(&alloc, DISPENSER_CREATE);
	assert_int_equal(dispenser_free(&f->dispenser, &back, f->holder,
					(struct dispenser_id){ .number = used },
					f->now_ns),
			 0);
	step_to(&back, DISPENSER_RESET);
	assert_int_equal(shut(f), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 0), 0);
	tell(&search, 100);
	assert_int_equal(run(f, &search), -EINVAL);
	tell(&enlist, 0);
	assert_int_equal(run(f, &enlist), -EINVAL);
	dispenser_tell(&alloc, &(struct dispenser_answer){ .number = 80 });
	assert_int_equal(run(f, &alloc), -EINVAL);
	assert_true(f->n_blocks > 0);
	tell(&back, 0);
	assert_int_equal(run(f, &back), 0);
	assert_int_equal(asked(f, DISPENSER_DESTROY, first), 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, first + 1), 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, used), 1);
	assert_int_equal(asked(f, DISPENSER_DESTROY, 80), 1);
	assert_int_equal(f->n_blocks, 0);
}

/* ---- Memory ---- */

static int one_of_everything(struct fixture *f)
{
	uint64_t id;
	int r = alloc_in(f, 1, 9, &id);

	if (r == 0)
		r = give_back(f, id);
	assert_int_not_equal(r, -EIO);
	return r == 0 ? track(f, 500) : r;
}

static void g4_the_nth_block_fails(void **state)
{
	struct fixture *f = *state;
	struct dispenser_stat before, after;
	uint64_t holder = 0, n = 0;
	int r;

	f->fail_after = 0;
	assert_int_equal(dispenser_register(&f->dispenser,
					    &(struct dispenser_options){ 0 },
					    &holder),
			 -ENOMEM);
	assert_int_equal(holder, 0);
	do {
		before = stat_of(f);
		f->fail_after = n++;
		r = one_of_everything(f);
		after = stat_of(f);
		dispenser_check(&f->dispenser);
		assert_true(r == 0 || r == -ENOMEM);
		assert_int_equal(asked(f, DISPENSER_DESTROY, 0), 0);
		assert_int_equal(after.created - before.created,
				 after.free - before.free);
	} while (r < 0);
	assert_true(n > 3);
}

#define plain(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define string(test) \
	cmocka_unit_test_setup_teardown(test, set_up_strings, tear_down)
#define both(test) plain(test), string(test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		both(nothing_free_is_created),
		plain(rating_0_is_unusable_and_all_0_creates),
		both(highest_rating_wins),
		plain(rating_100_stops_the_search),
		plain(equals_go_to_the_one_freed_last),
		plain(ratings_beyond_the_scale_are_0),
		plain(nearest_types_come_first),
		plain(g5_a_search_looks_at_a_window),
		plain(what_is_unusable_hides_nothing_for_ever),
		plain(an_unlimited_search_is_exact),
		both(an_alloc_in_a_transaction_enlists),
		plain(enlisted_in_the_own_transaction_comes_first),
		plain(not_transactional_is_never_asked_again),
		plain(the_end_of_a_transaction_unenlists),
		plain(the_end_of_a_large_transaction_is_many_steps),
		plain(a_failed_enlistment_fails_the_alloc),
		both(an_empty_id_is_refused),
		string(a_string_without_end_is_refused),
		both(a_duplicate_id_is_refused),
		both(a_failed_creation_says_why),
		both(resources_are_limited),
		plain(a_full_holder_makes_room),
		plain(holders_are_limited),
		both(free_resets_first),
		plain(what_cannot_be_reset_is_destroyed),
		both(ids_never_issued_are_refused),
		both(another_holders_ids_are_refused),
		both(g3_refused_by_its_id),
		both(g3_refused_by_its_holder_or_memory),
		both(tracked_ones_are_never_pooled),
		both(b40_an_id_of_the_right_kind_is_destroyed),
		both(b41_the_other_kind_is_not_supported),
		both(b42_a_failed_destruction),
		both(b42_whoever_destroys),
		both(g2_destroyed_once_each),
		plain(request_on_one_in_use_waits_for_its_free),
		plain(request_takes_one_out_of_its_transaction),
		plain(longer_idle_than_its_timeout_is_destroyed),
		plain(enlisted_ones_are_not_idle),
		plain(a_scan_goes_on_where_the_last_one_stopped),
		plain(a_scan_does_not_look_at_what_is_young),
		plain(a_scan_that_cannot_destroy_is_no_error),
		both(close_destroys_all_and_ends_all),
		plain(two_searches_never_meet),
		plain(what_is_being_reset_is_nobodys),
		plain(a_candidate_that_is_doomed_is_not_handed_out),
		plain(the_best_that_is_doomed_is_not_handed_out),
		plain(one_that_is_doomed_while_it_enlists),
		plain(g1_nothing_is_asked_about_what_was_doomed),
		plain(g1_what_was_doomed_is_not_enlisted),
		plain(g1_what_was_doomed_is_not_reset),
		plain(what_is_chosen_is_nobodys_yet),
		plain(a_transaction_that_ends_during_a_search),
		plain(an_id_may_come_again_while_its_end_is_awaited),
		plain(a_close_during_each_call_of_the_driver),
		both(g4_the_nth_block_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
