/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispenser: how a resource is found or made
 *
 *	SEARCH (parked) -> RATE -> RATED -+-> RATE the next one
 *	SEARCH (free)   -> ...            +-> nothing better: the best
 *	CREATE -> CREATED                 +-> nothing at all: the next stage
 *
 *	-> ENLIST -> ENLISTED -> HAND_OUT -> LEAVE
 *
 * A search holds at most two claims: the candidate that the driver is rating
 * and the best so far. The candidate's place in its bin is the place where the
 * search stands, so the next one is found before the candidate is let go of.
 * When the candidate has left the stage meanwhile (its transaction ended), the
 * rest of its bin is passed over.
 *
 * Whatever is condemned before the operation has ended is not handed out; the
 * operation then makes a new one.
 */
#include "core/dispenser_priv.h"

enum { RATING_USELESS = 0, RATING_PERFECT = 100, NOT_TRANSACTIONAL = 1 };

int dispenser_alloc(struct dispenser *dispenser, struct dispenser_op *op,
		    uint64_t holder, uint64_t type, uint64_t transaction,
		    uint64_t now_ns)
{
	struct dispenser_transaction *reserve = NULL;
	int r = op_begin(dispenser, op, holder);

	if (r < 0)
		return r;
	if (transaction != 0) {
		reserve = dispenser->heap.alloc(dispenser->heap.context,
						sizeof(*reserve));
		if (!reserve) {
			op->holder->n_ops--;
			return -ENOMEM;
		}
	}
	op->reserve = reserve;
	op->type = type;
	op->transaction = transaction;
	op->now_ns = now_ns;
	op->quiet = true;
	op->stage = transaction != 0 ? STAGE_PARKED : STAGE_FREE;
	op_enter(op, OP_SEARCH);
	return 0;
}

/* ---- The order of candidates ---- */

static struct shelf *stage_shelf(const struct dispenser_op *op)
{
	struct dispenser_transaction *transaction;

	if (op->stage == STAGE_FREE)
		return &op->holder->free;
	transaction = transaction_find(op->holder, op->transaction);
	return transaction ? &transaction->parked : NULL;
}

static bool in_stage(const struct dispenser_op *op,
		     const struct dispenser_item *item)
{
	if (op->stage == STAGE_FREE)
		return item->state == ITEM_FREE;
	return item->state == ITEM_PARKED &&
	       item->transaction->id == op->transaction &&
	       !item->transaction->ending;
}

static struct shelf_node *next_bin(struct dispenser_op *op,
				   const struct shelf *shelf)
{
	struct shelf_node *node = NULL;

	op->in_bin = 0;
	if (!op->below) {
		node = shelf_above(shelf, op->bin);
		op->below = !node;
		op->bin = node ? op->bin : op->type;
	}
	if (!node)
		node = shelf_below(shelf, op->bin);
	if (node)
		op->bin = node->key;
	return node;
}

/* The next candidate from node on, or NULL at the end of the window. */
static struct dispenser_item *first_from(struct dispenser_op *op,
					 const struct shelf *shelf,
					 struct shelf_node *node)
{
	while (node && op->looked < op->holder->options.window) {
		struct dispenser_item *item = item_of_place(node);

		/* What was seen has been put behind: nothing new is there. */
		if (item->seen == op->search) {
			node = next_bin(op, shelf);
			continue;
		}
		op->looked++;
		op->in_bin++;
		if (!item->op) {
			item->seen = op->search;
			return item;
		}
		node = op->in_bin < op->holder->options.depth ?
			       shelf_behind(node) :
			       NULL;
		if (!node)
			node = next_bin(op, shelf);
	}
	return NULL;
}

static struct dispenser_item *search_first(struct dispenser_op *op)
{
	const struct shelf *shelf = stage_shelf(op);
	struct shelf_node *node;

	op->search = ++op->dispenser->last_search;
	op->bin = op->type;
	op->below = false;
	op->looked = op->in_bin = 0;
	if (!shelf)
		return NULL;
	node = shelf_at(shelf, op->type);
	return first_from(op, shelf, node ? node : next_bin(op, shelf));
}

static struct dispenser_item *search_next(struct dispenser_op *op,
					  const struct dispenser_item *last)
{
	const struct shelf *shelf = stage_shelf(op);
	struct shelf_node *node = NULL;

	if (!shelf)
		return NULL;
	if (in_stage(op, last) && op->in_bin < op->holder->options.depth)
		node = shelf_behind(&last->place);
	return first_from(op, shelf, node ? node : next_bin(op, shelf));
}

/* ---- Choice ---- */

/* Everything that the operation holds, after its holder was closed. */
static void abandon(struct dispenser_op *op)
{
	if (op->item)
		item_release(op, op->item);
	if (op->best)
		item_release(op, op->best);
	op->item = op->best = NULL;
	op->status = -EINVAL;
	op_enter(op, OP_LEAVE);
}

/* Out of the inventory, unless it has just been made. It stays claimed until
 * the operation ends: nobody may free what its caller does not know yet. */
static void hand_out(struct dispenser_op *op, struct dispenser_item *item)
{
	if (item->state != ITEM_IN_USE)
		item_enter(op->holder, item, ITEM_IN_USE);
	op->item = item;
	op_enter(op, OP_HAND_OUT);
}

/* Enlists what has been chosen, unless it cannot or need not be. */
static void choose(struct dispenser_op *op, struct dispenser_item *item)
{
	op->item = item;
	op->best = NULL;
	if (op->transaction != 0 && !item->transaction &&
	    !item->not_transactional)
		op_enter(op, OP_ENLIST);
	else
		hand_out(op, item);
}

/* A stage has shown all its candidates. */
static void conclude(struct dispenser_op *op)
{
	struct dispenser_item *best = op->best;

	op->best = NULL;
	if (best && !best->doomed) {
		choose(op, best);
		return;
	}
	if (best)
		item_release(op, best);
	op->best_rating = 0;
	if (++op->stage < STAGES)
		op_enter(op, OP_SEARCH);
	else
		op_enter(op, OP_CREATE);
}

void alloc_search(struct dispenser_op *op)
{
	struct dispenser_item *item;

	if (op->holder->closed) {
		abandon(op);
		return;
	}
	item = search_first(op);
	if (!item) {
		conclude(op);
		return;
	}
	item_claim(op, item);
	op->item = item;
	op_enter(op, OP_RATE);
}

static int rating_said(struct dispenser_op *op)
{
	int rating = op->answer.status;

	if (rating >= RATING_USELESS && rating <= RATING_PERFECT)
		return rating;
	if (rating < 0)
		op->holder->stat.driver_failures++;
	else
		op->holder->stat.nonsense++;
	return RATING_USELESS;
}

/* Lets go of a candidate that is not the best. */
static void pass_over(struct dispenser_op *op, struct dispenser_item *item,
		      bool useless)
{
	struct shelf *shelf = item->transaction ? &item->transaction->parked :
						  &op->holder->free;

	if (useless && item->place.key == op->type)
		shelf_demote(shelf, &item->place);
	item_release(op, item);
}

void alloc_rated(struct dispenser_op *op)
{
	struct dispenser_item *item = op->item, *next = NULL;
	int rating = rating_said(op);

	if (op->holder->closed) {
		abandon(op);
		return;
	}
	if (rating < RATING_PERFECT || item->doomed)
		next = search_next(op, item);
	if (next)
		item_claim(op, next);
	op->item = next;
	if (item->doomed || rating <= op->best_rating) {
		pass_over(op, item, rating == RATING_USELESS);
	} else {
		if (op->best)
			pass_over(op, op->best, false);
		op->best = item;
		op->best_rating = rating;
	}
	if (next)
		op_enter(op, OP_RATE);
	else
		conclude(op);
}

/* ---- Creation ---- */

static bool reserve_item(struct dispenser_op *op)
{
	struct dispenser_holder *holder = op->holder;
	struct heap *heap = &op->dispenser->heap;

	op->item = item_new(holder);
	if (!op->item)
		return false;
	if (!holder->options.string_ids)
		return true;
	op->string = heap->alloc(heap->context, DISPENSER_STRING_BYTES);
	if (op->string) {
		memset(op->string, 0, DISPENSER_STRING_BYTES);
		return true;
	}
	item_free(holder, op->item);
	op->item = NULL;
	return false;
}

/* Condemns what has been free for the longest time, so that a full holder has
 * room for another type; false when all is in use. */
static bool make_room(struct dispenser_op *op)
{
	struct chain *list = &op->holder->states[ITEM_FREE];

	for (struct chain *link = list->next; link != list; link = link->next) {
		if (item_of_link(link)->op)
			continue;
		item_condemn(op, item_of_link(link), DISPENSER_END_ROOM);
		return true;
	}
	return false;
}

void alloc_create(struct dispenser_op *op)
{
	struct dispenser_holder *holder = op->holder;

	if (holder->closed)
		op->status = -EINVAL;
	else if (holder_size(holder) >= holder->options.resources_max &&
		 make_room(op))
		return;
	else if (holder_size(holder) >= holder->options.resources_max)
		op->status = -EDQUOT;
	else if (!reserve_item(op))
		op->status = -ENOMEM;
	if (op->status < 0) {
		op_enter(op, OP_LEAVE);
		return;
	}
	holder->reserved++;
	holder->stat.misses++;
	op_enter(op, OP_CREATED);
}

/* 0 and the id of what the driver made, or why it is none. */
static int created_id(struct dispenser_op *op, struct dispenser_id *ret_id)
{
	struct dispenser_holder *holder = op->holder;
	int status = op->answer.status;

	*ret_id = (struct dispenser_id){
		.number = op->string ? 0 : op->answer.number,
		.string = op->string,
	};
	if (status < 0) {
		holder->stat.driver_failures++;
		return status;
	}
	if (status > 0) {
		holder->stat.nonsense++;
		return -EIO;
	}
	if (id_judge(holder, *ret_id) == 0 && !item_find(holder, *ret_id))
		return 0;
	holder->stat.nonsense++;
	return -EINVAL;
}

/* The string as long as it is; where there is no memory, longer. */
static char *trim(struct dispenser_op *op)
{
	struct heap *heap = &op->dispenser->heap;
	char *longer = op->string, *string;
	size_t bytes;

	op->string = NULL;
	if (!longer)
		return NULL;
	bytes = strlen(longer) + 1;
	string = heap->alloc(heap->context, bytes);
	if (!string)
		return longer;
	memcpy(string, longer, bytes);
	heap->free(heap->context, longer);
	return string;
}

void alloc_created(struct dispenser_op *op)
{
	struct dispenser_holder *holder = op->holder;
	struct dispenser_item *item = op->item;
	struct dispenser_id id;

	holder->reserved--;
	op->status = created_id(op, &id);
	if (op->status < 0) {
		op->item = NULL;
		item_free(holder, item);
		op_enter(op, OP_LEAVE);
		return;
	}
	holder->stat.created++;
	item->place.key = op->answer.type;
	item->idle_timeout_ns = op->answer.idle_timeout_ns;
	item_publish(holder, item, id, trim(op), ITEM_IN_USE);
	item_claim(op, item);
	op->fresh = true;
	if (holder->closed)
		abandon(op);
	else
		choose(op, item);
}

/* ---- Enlistment ---- */

static void enlist(struct dispenser_op *op, struct dispenser_item *item)
{
	struct dispenser_holder *holder = op->holder;
	struct dispenser_transaction *transaction =
		transaction_find(holder, op->transaction);

	if (!transaction) {
		transaction = op->reserve;
		op->reserve = NULL;
		memset(transaction, 0, sizeof(*transaction));
		transaction->id = op->transaction;
		chain_init(&transaction->members);
		transaction->node.hash = idmap_hash_number(op->transaction);
		idmap_insert(&holder->transactions, &transaction->node);
	}
	transaction_join(holder, transaction, item);
}

/* The alloc fails; the resource stays, behind all others of its type. */
static void not_enlisted(struct dispenser_op *op, struct dispenser_item *item)
{
	struct dispenser_holder *holder = op->holder;

	if (op->answer.status < 0)
		holder->stat.driver_failures++;
	else
		holder->stat.nonsense++;
	op->status = -EIO;
	op->item = NULL;
	if (op->fresh) {
		holder->latest_ns = max_u64(holder->latest_ns, op->now_ns);
		item_enter(holder, item, ITEM_FREE);
	}
	shelf_demote(&holder->free, &item->place);
	item_release(op, item);
	op_enter(op, OP_LEAVE);
}

void alloc_enlisted(struct dispenser_op *op)
{
	struct dispenser_item *item = op->item;
	int status = op->answer.status;

	if (op->holder->closed) {
		abandon(op);
		return;
	}
	if (status != 0 && status != NOT_TRANSACTIONAL) {
		not_enlisted(op, item);
		return;
	}
	item->not_transactional = status == NOT_TRANSACTIONAL;
	op->enlisted = status == 0;
	hand_out(op, item);
}

/* ---- The end ---- */

void alloc_hand_out(struct dispenser_op *op)
{
	struct dispenser_item *item = op->item;

	if (op->holder->closed) {
		abandon(op);
		return;
	}
	op->item = NULL;
	if (item->doomed) {
		item_condemn(op, item, DISPENSER_END_REQUEST);
		op->fresh = op->enlisted = false;
		op_enter(op, OP_CREATE);
		return;
	}
	if (op->enlisted)
		enlist(op, item);
	if (!op->fresh)
		op->holder->stat.hits++;
	op->id = item_id(item);
	item_release(op, item);
	op_enter(op, OP_LEAVE);
}
