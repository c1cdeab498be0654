/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispenser
 *
 * A pool of things that are expensive to make. A *holder* has resources of one
 * driver; the driver makes them, says how well one suits a request (0 to 100),
 * resets and destroys them. Driver calls may take long, fail, lie, and call
 * back. So the dispenser never makes one: an operation runs in steps, and a
 * step that needs the driver *asks* its caller, who calls it with no lock held
 * and *tells* the answer. The one idea that makes this safe is the claim:
 *
 *	An operation works only on resources that it has claimed. A claimed
 *	resource stays where it is, every other operation passes over it, and
 *	whatever happens to it meanwhile (a request to destroy it, the end of
 *	its holder) is a mark that its claimer sees when it lets go.
 *
 *	            create              free, enlisted
 *	   (driver) ------> IN_USE <---------------> PARKED
 *	                     ^  |                       | complete
 *	               alloc |  | free                  v
 *	                     +--+--------------------> FREE
 *	                        |                       |
 *	     TRACKED -----------+---> DYING <-----------+
 *	       ^  | untrack             |  driver fails
 *	       |  v                     v--------------> BROKEN --> DYING
 *	   (somebody else)            (gone)                 close
 *
 * Enlisted or not, free or in use: FREE is "not enlisted, free", PARKED
 * "enlisted, free", and an item in use has a transaction or not.
 *
 * Search
 *
 * "Highest rating wins" taken literally asks the driver about everything that
 * is free: a million calls for one alloc. Ratings cannot be kept, since they
 * depend on the request and, for a connection that may have broken, on the
 * moment. So a search looks at a window of candidates in a fixed order, and is
 * exact among these:
 *
 *	first those of the type that is asked for, then types above it from
 *	the nearest on, then types below it; in each type the one that was
 *	freed last first; at most depth of a type and window in all.
 *
 * Types are numbers whose order the driver chooses: for memory the size, so
 * that what fits best comes first. The first 100 ends the search. Nothing can
 * hide for ever behind what is unusable: a candidate that is rated 0 for its
 * own type goes behind all others of it, so that as many searches as there are
 * windows in a type have looked at all of it. A holder whose inventory is no
 * larger than the window, or that asks for an unlimited one, gets the
 * document's rule to the letter. An alloc costs at most 2 * window driver
 * calls and O(window * log types) steps of its own, whatever the inventory.
 *
 * Invariants, asserted by dispenser_check: an item is on the list of its state
 * and on no other; FREE items are on holder->free and PARKED ones on their
 * transaction's shelf; the list of FREE is ordered by since_ns; all but DYING
 * items are mapped, BROKEN ones perhaps; a doomed item is claimed or in use.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  An item is handed out to one caller at a time, and after its free was
 *      begun, its destruction requested or its holder closed, to nobody, until
 *      the driver has reset it. Once its destruction was requested or its
 *      holder closed, the driver is asked nothing about it but to destroy it.
 *  G2  Every id that the driver made is destroyed through the driver exactly
 *      once, but for one more try at close after a failure (B42).
 *  G3  A call that is refused has changed nothing.
 *  G4  Nothing but an alloc, a track and a registration needs memory, and an
 *      alloc has it before the driver is asked to create.
 *  G5  A step is bounded by the window or DISPENSER_STEP_ITEMS, and calls
 *      nobody.
 *  G6  What a driver says can be wrong, late, or come from another thread; it
 *      can break no invariant, and concerns no other holder.
 *
 * What it is not: it has no clock, starts nothing by itself, and does not know
 * what its resources are.
 */
#include "core/dispenser_priv.h"

void dispenser_init(struct dispenser *dispenser, const struct heap *heap)
{
	memset(dispenser, 0, sizeof(*dispenser));
	dispenser->heap = *heap;
	idmap_init(&dispenser->holders, heap);
}

void dispenser_deinit(struct dispenser *dispenser)
{
	assert(dispenser->holders.count == 0);
	idmap_deinit(&dispenser->holders);
}

static void *heap_alloc(struct dispenser *dispenser, size_t size_bytes)
{
	return dispenser->heap.alloc(dispenser->heap.context, size_bytes);
}

static void heap_free(struct dispenser *dispenser, void *block)
{
	dispenser->heap.free(dispenser->heap.context, block);
}

/* ---- Holders ---- */

int dispenser_register(struct dispenser *dispenser,
		       const struct dispenser_options *options,
		       uint64_t *ret_holder)
{
	struct dispenser_holder *holder;

	if (dispenser->holders.count >= DISPENSER_HOLDERS_MAX)
		return -EDQUOT;
	holder = heap_alloc(dispenser, sizeof(*holder));
	if (!holder)
		return -ENOMEM;
	memset(holder, 0, sizeof(*holder));
	holder->dispenser = dispenser;
	holder->id = ++dispenser->last_holder;
	holder->options = *options;
	if (options->resources_max == 0)
		holder->options.resources_max = DISPENSER_RESOURCES_MAX;
	if (options->window == 0)
		holder->options.window = DISPENSER_WINDOW;
	if (options->depth == 0)
		holder->options.depth = DISPENSER_DEPTH;
	idmap_init(&holder->items, &dispenser->heap);
	idmap_init(&holder->transactions, &dispenser->heap);
	for (int i = 0; i < ITEM_STATES; i++)
		chain_init(&holder->states[i]);
	holder->cursor = &holder->states[ITEM_FREE];
	holder->shortest_ns = DISPENSER_NEVER;
	holder->node.hash = idmap_hash_number(holder->id);
	idmap_insert(&dispenser->holders, &holder->node);
	*ret_holder = holder->id;
	return 0;
}

static struct dispenser_holder *holder_find(const struct dispenser *dispenser,
					    uint64_t id)
{
	struct idmap_node *node =
		idmap_find(&dispenser->holders, idmap_hash_number(id));

	return node ? container(node, struct dispenser_holder, node) : NULL;
}

uint64_t holder_size(const struct dispenser_holder *holder)
{
	uint64_t size = holder->reserved;

	for (int i = 0; i < ITEM_STATES; i++)
		size += holder->counts[i];
	return size;
}

static void holder_free(struct dispenser_holder *holder)
{
	struct dispenser *dispenser = holder->dispenser;

	assert(holder_size(holder) == 0);
	assert(holder->transactions.count == 0);
	idmap_deinit(&holder->items);
	idmap_deinit(&holder->transactions);
	heap_free(dispenser, holder);
}

int dispenser_stat(const struct dispenser *dispenser, uint64_t id,
		   struct dispenser_stat *ret_stat)
{
	const struct dispenser_holder *holder = holder_find(dispenser, id);

	if (!holder)
		return -EINVAL;
	*ret_stat = holder->stat;
	ret_stat->free =
		holder->counts[ITEM_FREE] + holder->counts[ITEM_PARKED];
	ret_stat->in_use = holder->counts[ITEM_IN_USE];
	ret_stat->tracked = holder->counts[ITEM_TRACKED];
	ret_stat->broken = holder->counts[ITEM_BROKEN];
	return 0;
}

/* ---- Ids ---- */

int id_judge(const struct dispenser_holder *holder, struct dispenser_id id)
{
	if (holder->options.string_ids != (id.string != NULL))
		return -ENOTSUP;
	if (!id.string)
		return id.number == 0 ? -EINVAL : 0;
	if (id.string[0] == '\0' ||
	    !memchr(id.string, '\0', DISPENSER_STRING_BYTES))
		return -EINVAL;
	return 0;
}

static uint64_t id_hash(struct dispenser_id id)
{
	return id.string ? idmap_hash_string(id.string) :
			   idmap_hash_number(id.number);
}

struct dispenser_id item_id(const struct dispenser_item *item)
{
	return (struct dispenser_id){ item->number, item->string };
}

struct dispenser_item *item_find(const struct dispenser_holder *holder,
				 struct dispenser_id id)
{
	struct idmap_node *node = idmap_find(&holder->items, id_hash(id));

	for (; node; node = idmap_next(node)) {
		struct dispenser_item *item =
			container(node, struct dispenser_item, node);

		if (!id.string || strcmp(item->string, id.string) == 0)
			return item;
	}
	return NULL;
}

void item_map(struct dispenser_holder *holder, struct dispenser_item *item)
{
	assert(!item->mapped);
	item->node.hash = id_hash(item_id(item));
	idmap_insert(&holder->items, &item->node);
	item->mapped = true;
}

void item_unmap(struct dispenser_holder *holder, struct dispenser_item *item)
{
	if (!item->mapped)
		return;
	idmap_remove(&holder->items, &item->node);
	item->mapped = false;
}

/* ---- Items ---- */

struct dispenser_item *item_new(struct dispenser_holder *holder)
{
	struct dispenser_item *item =
		heap_alloc(holder->dispenser, sizeof(*item));

	if (!item)
		return NULL;
	memset(item, 0, sizeof(*item));
	chain_init(&item->link);
	chain_init(&item->member);
	item->state = ITEM_STATES;
	item->idle_timeout_ns = DISPENSER_NEVER;
	return item;
}

void item_free(struct dispenser_holder *holder, struct dispenser_item *item)
{
	assert(!item->mapped && !item->op && !item->transaction);
	heap_free(holder->dispenser, item->string);
	heap_free(holder->dispenser, item);
}

static struct shelf *shelf_of(struct dispenser_holder *holder,
			      struct dispenser_item *item)
{
	return item->transaction ? &item->transaction->parked : &holder->free;
}

static bool is_shelved(enum item_state state)
{
	return state == ITEM_FREE || state == ITEM_PARKED;
}

void item_enter(struct dispenser_holder *holder, struct dispenser_item *item,
		enum item_state state)
{
	if (item->state != ITEM_STATES) {
		if (holder->cursor == &item->link)
			holder->cursor = item->link.next;
		chain_remove(&item->link);
		holder->counts[item->state]--;
		if (is_shelved(item->state))
			shelf_take(shelf_of(holder, item), &item->place);
	}
	item->state = state;
	if (state == ITEM_STATES)
		return;
	assert((state == ITEM_PARKED) <= (item->transaction != NULL));
	assert((state == ITEM_FREE) <= (item->transaction == NULL));
	chain_append(&holder->states[state], &item->link);
	holder->counts[state]++;
	if (is_shelved(state)) {
		item->since_ns = holder->latest_ns;
		shelf_push(shelf_of(holder, item), &item->place);
	}
}

void item_publish(struct dispenser_holder *holder, struct dispenser_item *item,
		  struct dispenser_id id, char *string, enum item_state state)
{
	item->number = id.number;
	item->string = string;
	item_map(holder, item);
	item_enter(holder, item, state);
	holder->shortest_ns =
		min_u64(holder->shortest_ns, item->idle_timeout_ns);
}

void item_claim(struct dispenser_op *op, struct dispenser_item *item)
{
	assert(!item->op);
	item->op = op;
}

void item_condemn(struct dispenser_op *op, struct dispenser_item *item,
		  enum dispenser_end end)
{
	struct dispenser_holder *holder = op->holder;

	item_enter(holder, item, ITEM_DYING);
	item_unmap(holder, item);
	if (item->transaction)
		transaction_leave(holder, item);
	item->op = op;
	item->end = end;
	item->doomed = false;
	item->next_victim = op->victims;
	op->victims = item;
}

void item_release(struct dispenser_op *op, struct dispenser_item *item)
{
	assert(item->op == op);
	item->op = NULL;
	if (op->holder->closed)
		item_condemn(op, item, DISPENSER_END_CLOSE);
	else if (item->doomed && is_shelved(item->state))
		item_condemn(op, item, DISPENSER_END_REQUEST);
}

/* ---- Transactions ---- */

struct dispenser_transaction *
transaction_find(const struct dispenser_holder *holder, uint64_t id)
{
	struct idmap_node *node =
		idmap_find(&holder->transactions, idmap_hash_number(id));

	return node ? container(node, struct dispenser_transaction, node) :
		      NULL;
}

void transaction_join(struct dispenser_holder *holder,
		      struct dispenser_transaction *transaction,
		      struct dispenser_item *item)
{
	assert(!item->transaction && item->state == ITEM_IN_USE);
	item->transaction = transaction;
	chain_append(&transaction->members, &item->member);
	transaction->n_members++;
	holder->stat.enlisted++;
}

/* The item is on no shelf, or its caller takes it to another one next. */
void transaction_leave(struct dispenser_holder *holder,
		       struct dispenser_item *item)
{
	struct dispenser_transaction *transaction = item->transaction;

	assert(item->state != ITEM_PARKED);
	chain_remove(&item->member);
	item->transaction = NULL;
	holder->stat.enlisted--;
	if (--transaction->n_members > 0 || transaction->ending)
		return;
	idmap_remove(&holder->transactions, &transaction->node);
	heap_free(holder->dispenser, transaction);
}

/* ---- Operations ---- */

void op_enter(struct dispenser_op *op, enum op_state state)
{
	assert(op->state != OP_DONE);
	op->state = (int)state;
}

int op_begin(struct dispenser *dispenser, struct dispenser_op *op, uint64_t id)
{
	struct dispenser_holder *holder = holder_find(dispenser, id);

	if (!holder)
		return -EINVAL;
	*op = (struct dispenser_op){
		.dispenser = dispenser,
		.holder = holder,
	};
	holder->n_ops++;
	return 0;
}

/* The last one to leave a closed holder frees it. */
static void op_leave(struct dispenser_op *op)
{
	struct dispenser_holder *holder = op->holder;

	assert(!op->victims && !op->dying && !op->item && !op->best);
	heap_free(op->dispenser, op->reserve);
	heap_free(op->dispenser, op->string);
	op->reserve = NULL;
	op->string = NULL;
	op->holder = NULL;
	op_enter(op, OP_DONE);
	if (--holder->n_ops == 0 && holder->closed)
		holder_free(holder);
}

static enum dispenser_turn ask(struct dispenser_op *op,
			       enum dispenser_verb verb,
			       const struct dispenser_item *item,
			       struct dispenser_ask *ret_ask)
{
	*ret_ask = (struct dispenser_ask){
		.verb = verb,
		.type = op->type,
		.transaction = op->transaction,
	};
	if (verb == DISPENSER_CREATE)
		ret_ask->ret_string = op->string;
	else
		ret_ask->id = item_id(item);
	if (verb == DISPENSER_RATE) {
		ret_ask->item_type = item->place.key;
		ret_ask->needs_enlist = op->transaction != 0 &&
					!item->transaction &&
					!item->not_transactional;
	}
	op->waiting = true;
	return DISPENSER_ASK;
}

/*
 * Asks about what the operation has claimed, unless its end, or that of its
 * holder, has been requested since: then nobody wants to know, and how the
 * operation goes on does not depend on the answer.
 */
static bool ask_about(struct dispenser_op *op, enum dispenser_verb verb,
		      struct dispenser_ask *ret_ask,
		      enum dispenser_turn *ret_turn)
{
	op->answer = (struct dispenser_answer){ 0 };
	if (op->holder->closed || op->item->doomed)
		return false;
	*ret_turn = ask(op, verb, op->item, ret_ask);
	return true;
}

void dispenser_tell(struct dispenser_op *op,
		    const struct dispenser_answer *answer)
{
	assert(op->waiting);
	op->answer = *answer;
	op->waiting = false;
}

/* What an operation does between two calls of the driver; true when the step
 * is over and *ret_turn says how. */
static bool carry_on(struct dispenser_op *op, struct dispenser_ask *ret_ask,
		     enum dispenser_turn *ret_turn)
{
	*ret_turn = DISPENSER_AGAIN;
	switch ((enum op_state)op->state) {
	case OP_SEARCH:
		alloc_search(op);
		return false;
	case OP_RATE:
		op_enter(op, OP_RATED);
		return ask_about(op, DISPENSER_RATE, ret_ask, ret_turn);
	case OP_RATED:
		alloc_rated(op);
		return false;
	case OP_CREATE:
		alloc_create(op);
		if (op->state == OP_CREATED)
			*ret_turn = ask(op, DISPENSER_CREATE, NULL, ret_ask);
		return op->state == OP_CREATED;
	case OP_CREATED:
		alloc_created(op);
		return false;
	case OP_ENLIST:
		op_enter(op, OP_ENLISTED);
		return ask_about(op, DISPENSER_ENLIST, ret_ask, ret_turn);
	case OP_ENLISTED:
		alloc_enlisted(op);
		return false;
	case OP_HAND_OUT:
		alloc_hand_out(op);
		return false;
	case OP_RESET:
		op_enter(op, OP_RESET_DONE);
		return ask_about(op, DISPENSER_RESET, ret_ask, ret_turn);
	case OP_RESET_DONE:
		free_reset_done(op);
		return false;
	case OP_COMPLETE:
		return complete_some(op);
	case OP_SCAN:
		return scan_some(op);
	case OP_CLOSE:
		close_some(op);
		return false;
	case OP_LEAVE:
		op_leave(op);
		*ret_turn = DISPENSER_DONE;
		return true;
	case OP_NEW:
	case OP_DONE:
		break;
	}
	/* A step of an operation that is not under way. */
	assert(false);
	return true;
}

/* Victims come first: whoever condemned them waits for their end. */
enum dispenser_turn dispenser_step(struct dispenser_op *op,
				   struct dispenser_ask *ret_ask)
{
	enum dispenser_turn turn;

	assert(!op->waiting);
	if (op->dying)
		victim_answered(op);
	do {
		if (op->victims) {
			op->dying = op->victims;
			op->victims = op->dying->next_victim;
			return ask(op, DISPENSER_DESTROY, op->dying, ret_ask);
		}
	} while (!carry_on(op, ret_ask, &turn));
	return turn;
}
