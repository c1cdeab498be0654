/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispenser: the invariants of dispenser.c as a walk over everything. It costs
 * as much as there are resources, so only tests and fuzzers call it; in
 * production the asserts of each function stand alone.
 */
#include "core/dispenser_priv.h"

static void check_item(const struct dispenser_holder *holder,
		       struct dispenser_item *item)
{
	enum item_state state = item->state;
	bool mapped = item_find(holder, item_id(item)) == item;

	assert(item->mapped == mapped);
	assert(state == ITEM_BROKEN || mapped == (state != ITEM_DYING));
	assert((state == ITEM_FREE) <= (item->transaction == NULL));
	assert((state == ITEM_PARKED) <= (item->transaction != NULL));
	assert((state >= ITEM_TRACKED) <= (item->transaction == NULL));
	assert((state == ITEM_DYING) <= (item->op != NULL));
	assert(!item->doomed || item->op || state == ITEM_IN_USE);
	assert(!item->doomed || state <= ITEM_IN_USE);
	assert(!holder->closed || item->op || state < ITEM_DYING ||
	       state == ITEM_BROKEN);
	if (item->op)
		assert(item->op->holder == holder);
}

static uint64_t check_list(struct dispenser_holder *holder,
			   enum item_state state)
{
	struct chain *list = &holder->states[state];
	uint64_t n = 0, since_ns = 0;

	for (struct chain *link = list->next; link != list; link = link->next) {
		struct dispenser_item *item = item_of_link(link);

		assert(item->state == state);
		check_item(holder, item);
		n += 1;
		if (state != ITEM_FREE)
			continue;
		assert(item->since_ns >= since_ns);
		assert(item->idle_timeout_ns >= holder->shortest_ns);
		since_ns = item->since_ns;
	}
	assert(n == holder->counts[state]);
	return n;
}

/* All nodes of a shelf, in the order of their keys. */
static uint64_t check_shelf(const struct shelf *shelf, enum item_state state,
			    const struct dispenser_transaction *transaction)
{
	struct shelf_node *front = shelf_at(shelf, 0);
	uint64_t n = 0, n_bins = 0;

	for (front = front ? front : shelf_above(shelf, 0); front;
	     front = shelf_above(shelf, front->key)) {
		assert(front->front && ++n_bins <= shelf->count);
		for (struct shelf_node *node = front; node;
		     node = shelf_behind(node)) {
			assert(node->key == front->key);
			assert(item_of_place(node)->state == state);
			assert(item_of_place(node)->transaction == transaction);
			n++;
		}
	}
	assert(n == shelf->count);
	return n;
}

/* Each transaction once: through the first of its members. */
static void check_transactions(struct dispenser_holder *holder)
{
	uint64_t parked = 0, members = 0;

	for (int state = ITEM_PARKED; state <= ITEM_IN_USE; state++) {
		struct chain *list = &holder->states[state];

		for (struct chain *link = list->next; link != list;
		     link = link->next) {
			struct dispenser_item *item = item_of_link(link);
			struct dispenser_transaction *t = item->transaction;

			if (!t || t->members.next != &item->member)
				continue;
			assert(t->ending ==
			       (transaction_find(holder, t->id) != t));
			parked += check_shelf(&t->parked, ITEM_PARKED, t);
			members += t->n_members;
		}
	}
	assert(parked == holder->counts[ITEM_PARKED]);
	assert(members == holder->stat.enlisted);
}

static void check_holder(struct dispenser_holder *holder)
{
	uint64_t mapped = 0;

	assert(!holder->closed);
	for (int state = 0; state < ITEM_STATES; state++) {
		uint64_t n = check_list(holder, (enum item_state)state);

		if (state < ITEM_DYING)
			mapped += n;
	}
	assert(check_shelf(&holder->free, ITEM_FREE, NULL) ==
	       holder->counts[ITEM_FREE]);
	check_transactions(holder);
	assert(mapped <= holder->items.count);
	assert(holder->items.count <= mapped + holder->counts[ITEM_BROKEN]);
	assert(holder_size(holder) <= holder->options.resources_max);
}

void dispenser_check(const struct dispenser *dispenser)
{
	uint64_t seen = 0;

	/* Numbers of holders are small where this is called. */
	for (uint64_t id = 1; id <= dispenser->last_holder; id++) {
		struct idmap_node *node =
			idmap_find(&dispenser->holders, idmap_hash_number(id));

		if (!node)
			continue;
		check_holder(container(node, struct dispenser_holder, node));
		seen++;
	}
	assert(seen == dispenser->holders.count);
}
