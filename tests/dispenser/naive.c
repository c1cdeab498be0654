/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The naive holder. Each function is the sentence of the rules that it is
 * named after; the order of candidates is that of docs/decisions/0010.
 */
#include "tests/dispenser/naive.h"

#include <stdlib.h>

void naive_init(struct naive *naive, const struct dispenser_options *options,
		struct oracle *oracle)
{
	memset(naive, 0, sizeof(*naive));
	naive->options = *options;
	naive->oracle = oracle;
	naive->shortest_ns = DISPENSER_NEVER;
}

static struct naive_item *find(struct naive *naive, uint64_t id)
{
	for (size_t i = 0; i < naive->n_items; i++) {
		if (naive->items[i].id == id &&
		    naive->items[i].state != NAIVE_GONE)
			return &naive->items[i];
	}
	return NULL;
}

static uint64_t size_of(const struct naive *naive)
{
	uint64_t n = 0;

	for (size_t i = 0; i < naive->n_items; i++)
		n += naive->items[i].state != NAIVE_GONE;
	return n;
}

static struct naive_item *add(struct naive *naive, uint64_t id)
{
	struct naive_item *item = &naive->items[0];

	while (item < &naive->items[naive->n_items] &&
	       item->state != NAIVE_GONE)
		item++;
	assert(item < &naive->items[NAIVE_ITEMS]);
	if (item == &naive->items[naive->n_items])
		naive->n_items++;
	*item = (struct naive_item){ .id = id };
	return item;
}

static bool is_idle(const struct naive_item *item)
{
	return item->state == NAIVE_FREE && item->transaction == 0;
}

/* The idle one that became free first after that, or NULL. */
static struct naive_item *next_idle(struct naive *naive, uint64_t entered)
{
	struct naive_item *next = NULL;

	for (size_t i = 0; i < naive->n_items; i++) {
		struct naive_item *item = &naive->items[i];

		if (is_idle(item) && item->entered > entered &&
		    (!next || item->entered < next->entered))
			next = item;
	}
	return next;
}

/* What changes an item that may be where the scan stands begins with this. */
static void leave_scan(struct naive *naive, const struct naive_item *item)
{
	struct naive_item *next;

	if (!is_idle(item) || naive->cursor != item->entered)
		return;
	next = next_idle(naive, item->entered);
	naive->cursor = next ? next->entered : 0;
}

static void become_free(struct naive *naive, struct naive_item *item,
			uint64_t now_ns)
{
	naive->latest_ns = max_u64(naive->latest_ns, now_ns);
	item->state = NAIVE_FREE;
	item->since_ns = naive->latest_ns;
	item->rank = ++naive->highest;
	item->entered = ++naive->last_entered;
}

/* 0, or the status of whoever asked for the destruction. */
static int destroy(struct naive *naive, struct naive_item *item,
		   enum dispenser_end end)
{
	int status = oracle_say(naive->oracle, DISPENSER_DESTROY, item->id);

	leave_scan(naive, item);
	item->transaction = 0;
	item->doomed = false;
	if (status == 0) {
		item->state = NAIVE_GONE;
		naive->totals.destroyed[end]++;
		return 0;
	}
	item->state = NAIVE_BROKEN;
	naive->totals.destroy_failures++;
	naive->totals.nonsense += status > 0;
	return status == -ENOTSUP ? -ENOTSUP : -EIO;
}

/* ---- Alloc ---- */

struct candidate {
	struct naive_item *item;
	uint64_t asked;
};

/* Own type, then above ascending, then below descending; then by rank. */
static int by_nearness(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	uint64_t x = a->item->type, y = b->item->type;
	int side_x = x == a->asked ? 0 : x > a->asked ? 1 : 2;
	int side_y = y == a->asked ? 0 : y > a->asked ? 1 : 2;

	if (side_x != side_y)
		return side_x - side_y;
	if (x != y)
		return (x < y ? -1 : 1) * (side_x == 2 ? -1 : 1);
	return a->item->rank > b->item->rank ? -1 : 1;
}

static size_t gather(struct naive *naive, uint64_t type, uint64_t transaction,
		     struct candidate *ret)
{
	size_t n = 0, kept = 0;
	uint64_t in_type = 0;

	for (size_t i = 0; i < naive->n_items; i++) {
		struct naive_item *item = &naive->items[i];

		if (item->state == NAIVE_FREE &&
		    item->transaction == transaction)
			ret[n++] = (struct candidate){ item, type };
	}
	qsort(ret, n, sizeof(*ret), by_nearness);
	for (size_t i = 0; i < n && kept < naive->options.window; i++) {
		bool same = i > 0 && ret[i].item->type == ret[i - 1].item->type;

		in_type = same ? in_type + 1 : 1;
		if (in_type <= naive->options.depth)
			ret[kept++] = ret[i];
	}
	return kept;
}

static int rate(struct naive *naive, const struct naive_item *item,
		uint64_t type, uint64_t transaction)
{
	bool needs_enlist = transaction != 0 && item->transaction == 0 &&
			    !item->not_transactional;
	int rating = oracle_rate(naive->oracle, item->id, type, needs_enlist);

	naive->totals.driver_failures += rating < 0;
	naive->totals.nonsense += rating > 100;
	return rating < 0 || rating > 100 ? 0 : rating;
}

static struct naive_item *search(struct naive *naive, uint64_t type,
				 uint64_t wanted, uint64_t transaction)
{
	static struct candidate candidates[NAIVE_ITEMS];
	size_t n = gather(naive, type, wanted, candidates);
	struct naive_item *best = NULL;
	int best_rating = 0;

	for (size_t i = 0; i < n && best_rating < 100; i++) {
		struct naive_item *item = candidates[i].item;
		int rating = rate(naive, item, type, transaction);

		if (rating == 0 && item->type == type)
			item->rank = --naive->lowest;
		if (rating > best_rating) {
			best_rating = rating;
			best = item;
		}
	}
	return best;
}

static int create(struct naive *naive, uint64_t type,
		  struct naive_item **ret_item)
{
	struct dispenser_answer answer;
	struct naive_item *item;

	while (size_of(naive) >= naive->options.resources_max &&
	       next_idle(naive, 0))
		destroy(naive, next_idle(naive, 0), DISPENSER_END_ROOM);
	if (size_of(naive) >= naive->options.resources_max)
		return -EDQUOT;
	naive->totals.misses++;
	answer = oracle_create(naive->oracle, type);
	if (answer.status < 0) {
		naive->totals.driver_failures++;
		return answer.status;
	}
	if (answer.status > 0) {
		naive->totals.nonsense++;
		return -EIO;
	}
	if (answer.number == 0 || find(naive, answer.number)) {
		naive->totals.nonsense++;
		return -EINVAL;
	}
	item = add(naive, answer.number);
	item->state = NAIVE_USED;
	item->type = answer.type;
	item->idle_timeout_ns = answer.idle_timeout_ns;
	naive->shortest_ns =
		min_u64(naive->shortest_ns, answer.idle_timeout_ns);
	naive->totals.created++;
	*ret_item = item;
	return 0;
}

/* 0 when the item may be handed out. */
static int enlist(struct naive *naive, struct naive_item *item,
		  uint64_t transaction, uint64_t now_ns)
{
	int status = oracle_say(naive->oracle, DISPENSER_ENLIST, item->id);

	if (status != 0 && status != 1) {
		naive->totals.driver_failures += status < 0;
		naive->totals.nonsense += status > 0;
		if (item->state == NAIVE_USED)
			become_free(naive, item, now_ns);
		item->rank = --naive->lowest;
		return -EIO;
	}
	if (status == 1) {
		item->not_transactional = true;
		return 0;
	}
	leave_scan(naive, item);
	item->transaction = transaction;
	item->joined = ++naive->last_joined;
	return 0;
}

int naive_alloc(struct naive *naive, uint64_t type, uint64_t transaction,
		uint64_t now_ns, uint64_t *ret_id)
{
	struct naive_item *item = NULL;
	bool found;
	int r = 0;

	if (transaction != 0)
		item = search(naive, type, transaction, transaction);
	if (!item)
		item = search(naive, type, 0, transaction);
	found = item != NULL;
	if (!item)
		r = create(naive, type, &item);
	if (r == 0 && transaction != 0 && item->transaction == 0 &&
	    !item->not_transactional)
		r = enlist(naive, item, transaction, now_ns);
	if (r < 0)
		return r;
	if (found) {
		leave_scan(naive, item);
		naive->totals.hits++;
	}
	item->state = NAIVE_USED;
	*ret_id = item->id;
	return 0;
}

/* ---- The rest ---- */

int naive_free(struct naive *naive, uint64_t id, uint64_t now_ns)
{
	struct naive_item *item = find(naive, id);
	int status;

	if (id == 0 || !item || item->state != NAIVE_USED)
		return -EINVAL;
	if (item->doomed)
		return destroy(naive, item, DISPENSER_END_REQUEST);
	status = oracle_say(naive->oracle, DISPENSER_RESET, id);
	naive->totals.driver_failures += status < 0;
	naive->totals.nonsense += status > 0;
	if (status != 0)
		return destroy(naive, item, DISPENSER_END_RESET);
	/* Enlisted ones do not touch the idle clock of others, but time is. */
	become_free(naive, item, now_ns);
	return 0;
}

int naive_request(struct naive *naive, uint64_t id)
{
	struct naive_item *item = find(naive, id);

	if (id == 0 || !item || item->state == NAIVE_BROKEN || item->doomed)
		return -EINVAL;
	if (item->state != NAIVE_USED)
		return destroy(naive, item, DISPENSER_END_REQUEST);
	item->doomed = true;
	return 0;
}

int naive_track(struct naive *naive, uint64_t id)
{
	struct naive_item *item;

	if (id == 0 || find(naive, id))
		return -EINVAL;
	if (size_of(naive) >= naive->options.resources_max)
		return -EDQUOT;
	item = add(naive, id);
	item->state = NAIVE_TRACKED;
	return 0;
}

int naive_untrack(struct naive *naive, uint64_t id)
{
	struct naive_item *item = find(naive, id);

	if (id == 0 || !item || item->state != NAIVE_TRACKED)
		return -EINVAL;
	item->state = NAIVE_GONE;
	return 0;
}

void naive_complete(struct naive *naive, uint64_t transaction, uint64_t now_ns)
{
	struct naive_item *first;

	if (transaction == 0)
		return;
	do {
		first = NULL;
		for (size_t i = 0; i < naive->n_items; i++) {
			struct naive_item *item = &naive->items[i];

			if (item->state != NAIVE_GONE &&
			    item->transaction == transaction &&
			    (!first || item->joined < first->joined))
				first = item;
		}
		if (first) {
			first->transaction = 0;
			if (first->state == NAIVE_FREE)
				become_free(naive, first, now_ns);
		}
	} while (first);
}

/* Looks at one; false at the end. */
static bool scan_one(struct naive *naive, uint64_t now_ns)
{
	struct naive_item *item, *next;
	uint64_t idle_ns;

	item = next_idle(naive, naive->cursor == 0 ? 0 : naive->cursor - 1);
	if (!item)
		return false;
	idle_ns = now_ns > item->since_ns ? now_ns - item->since_ns : 0;
	if (idle_ns <= naive->shortest_ns) {
		naive->cursor = 0;
		return false;
	}
	next = next_idle(naive, item->entered);
	naive->cursor = next ? next->entered : 0;
	if (idle_ns > item->idle_timeout_ns)
		destroy(naive, item, DISPENSER_END_IDLE);
	return naive->cursor != 0;
}

bool naive_scan(struct naive *naive, uint64_t now_ns, uint64_t budget)
{
	bool more = true;

	for (; budget > 0 && more; budget--)
		more = scan_one(naive, now_ns);
	return more;
}

int naive_close(struct naive *naive)
{
	int r = 0;

	for (size_t i = 0; i < naive->n_items; i++) {
		struct naive_item *item = &naive->items[i];

		if (item->state != NAIVE_GONE &&
		    destroy(naive, item, DISPENSER_END_CLOSE) < 0)
			r = -EIO;
	}
	return r;
}

struct dispenser_stat naive_stat(const struct naive *naive)
{
	struct dispenser_stat stat = naive->totals;

	for (size_t i = 0; i < naive->n_items; i++) {
		const struct naive_item *item = &naive->items[i];

		stat.free += item->state == NAIVE_FREE;
		stat.in_use += item->state == NAIVE_USED;
		stat.tracked += item->state == NAIVE_TRACKED;
		stat.broken += item->state == NAIVE_BROKEN;
		stat.enlisted += item->state != NAIVE_GONE &&
				 item->transaction != 0;
	}
	return stat;
}
