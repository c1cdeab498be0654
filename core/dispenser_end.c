/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispenser: how a resource goes back, and how it ends
 *
 * Whoever decides that a resource is to go condemns it: it leaves every list
 * and the map of ids, so that a driver whose ids are used again (a descriptor,
 * an address) may hand the same one out before we hear that the old one is
 * gone. The operation that condemned it asks the driver, and only then goes
 * on. A resource that the driver could not destroy is BROKEN: its id is known
 * again, so that it is refused when a driver makes it a second time, and close
 * tries once more (B42).
 *
 * The scan goes through the list of free resources, which is ordered by the
 * time at which they became free. Nothing that became free less than the
 * shortest idle timeout ago can have expired, so there the scan ends: with one
 * timeout for all it looks at what has expired and one more.
 *
 * Closing takes the holder out of the map first, so that every later call is
 * refused, and condemns what it finds, one resource at a time. What is claimed
 * by another operation, that operation condemns when it lets go.
 */
#include "core/dispenser_priv.h"

/* ---- Free and request_destroy ---- */

int dispenser_free(struct dispenser *dispenser, struct dispenser_op *op,
		   uint64_t holder, struct dispenser_id id, uint64_t now_ns)
{
	struct dispenser_item *item = NULL;
	int r = op_begin(dispenser, op, holder);

	if (r < 0)
		return r;
	r = id_judge(op->holder, id);
	if (r == 0)
		item = item_find(op->holder, id);
	if (r == 0 && (!item || item->state != ITEM_IN_USE || item->op))
		r = -EINVAL;
	if (r < 0) {
		op->holder->n_ops--;
		return r;
	}
	op->now_ns = now_ns;
	if (item->doomed) {
		item_condemn(op, item, DISPENSER_END_REQUEST);
		op_enter(op, OP_LEAVE);
		return 0;
	}
	item_claim(op, item);
	op->item = item;
	op_enter(op, OP_RESET);
	return 0;
}

void free_reset_done(struct dispenser_op *op)
{
	struct dispenser_holder *holder = op->holder;
	struct dispenser_item *item = op->item;
	int status = op->answer.status;

	op->item = NULL;
	op_enter(op, OP_LEAVE);
	if (status < 0)
		holder->stat.driver_failures++;
	else if (status > 0)
		holder->stat.nonsense++;
	if (holder->closed) {
		item_release(op, item);
	} else if (item->doomed) {
		item_condemn(op, item, DISPENSER_END_REQUEST);
	} else if (status != 0) {
		item_condemn(op, item, DISPENSER_END_RESET);
	} else {
		holder->latest_ns = max_u64(holder->latest_ns, op->now_ns);
		item_enter(holder, item,
			   item->transaction ? ITEM_PARKED : ITEM_FREE);
		item_release(op, item);
	}
}

static bool is_requestable(const struct dispenser_item *item)
{
	if (item->doomed)
		return false;
	return item->state == ITEM_FREE || item->state == ITEM_PARKED ||
	       item->state == ITEM_IN_USE || item->state == ITEM_TRACKED;
}

int dispenser_request_destroy(struct dispenser *dispenser,
			      struct dispenser_op *op, uint64_t holder,
			      struct dispenser_id id)
{
	struct dispenser_item *item = NULL;
	int r = op_begin(dispenser, op, holder);

	if (r < 0)
		return r;
	r = id_judge(op->holder, id);
	if (r == 0)
		item = item_find(op->holder, id);
	if (r == 0 && (!item || !is_requestable(item)))
		r = -EINVAL;
	if (r < 0) {
		op->holder->n_ops--;
		return r;
	}
	if (item->op || item->state == ITEM_IN_USE)
		item->doomed = true;
	else
		item_condemn(op, item, DISPENSER_END_REQUEST);
	op_enter(op, OP_LEAVE);
	return 0;
}

/* ---- Tracked resources ---- */

static int track(struct dispenser_op *op, struct dispenser_id id)
{
	struct dispenser_holder *holder = op->holder;
	struct heap *heap = &op->dispenser->heap;
	size_t bytes = id.string ? strnlen(id.string, DISPENSER_STRING_BYTES) :
				   0;
	struct dispenser_item *item;
	char *string = NULL;

	if (item_find(holder, id))
		return -EINVAL;
	if (holder_size(holder) >= holder->options.resources_max)
		return -EDQUOT;
	item = item_new(holder);
	if (item && id.string)
		string = heap->alloc(heap->context, bytes + 1);
	if (!item || (id.string && !string)) {
		heap->free(heap->context, item);
		return -ENOMEM;
	}
	if (string)
		memcpy(string, id.string, bytes + 1);
	id.string = string;
	item_publish(holder, item, id, string, ITEM_TRACKED);
	return 0;
}

static int untrack(struct dispenser_op *op, struct dispenser_id id)
{
	struct dispenser_item *item = item_find(op->holder, id);

	if (!item || item->state != ITEM_TRACKED)
		return -EINVAL;
	assert(!item->op);
	item_enter(op->holder, item, ITEM_STATES);
	item_unmap(op->holder, item);
	item_free(op->holder, item);
	return 0;
}

/* Both call no driver, so they are over at once. */
static int at_once(struct dispenser *dispenser, uint64_t holder,
		   struct dispenser_id id,
		   int (*act)(struct dispenser_op *op, struct dispenser_id id))
{
	struct dispenser_op op;
	int r = op_begin(dispenser, &op, holder);

	if (r < 0)
		return r;
	r = id_judge(op.holder, id);
	if (r == 0)
		r = act(&op, id);
	op.holder->n_ops--;
	return r;
}

int dispenser_track(struct dispenser *dispenser, uint64_t holder,
		    struct dispenser_id id)
{
	return at_once(dispenser, holder, id, track);
}

int dispenser_untrack(struct dispenser *dispenser, uint64_t holder,
		      struct dispenser_id id)
{
	return at_once(dispenser, holder, id, untrack);
}

/* ---- The end of a transaction ---- */

int dispenser_complete(struct dispenser *dispenser, struct dispenser_op *op,
		       uint64_t holder, uint64_t transaction, uint64_t now_ns)
{
	int r = op_begin(dispenser, op, holder);

	if (r < 0)
		return r;
	op->now_ns = now_ns;
	op->reserve = transaction_find(op->holder, transaction);
	if (op->reserve) {
		/* From here on the same number means another transaction. */
		idmap_remove(&op->holder->transactions, &op->reserve->node);
		op->reserve->ending = true;
	}
	op_enter(op, OP_COMPLETE);
	return 0;
}

/* What is parked becomes free now; what is in use is so no longer for a
 * transaction. */
static void unenlist(struct dispenser_op *op, struct dispenser_item *item)
{
	struct dispenser_holder *holder = op->holder;
	bool parked = item->state == ITEM_PARKED;

	if (parked)
		item_enter(holder, item, ITEM_STATES);
	transaction_leave(holder, item);
	if (!parked)
		return;
	holder->latest_ns = max_u64(holder->latest_ns, op->now_ns);
	item_enter(holder, item, ITEM_FREE);
}

bool complete_some(struct dispenser_op *op)
{
	struct dispenser_transaction *transaction = op->reserve;

	for (int i = 0; i < DISPENSER_STEP_ITEMS; i++) {
		if (!transaction || transaction->n_members == 0) {
			op_enter(op, OP_LEAVE);
			return false;
		}
		unenlist(op, container(transaction->members.next,
				       struct dispenser_item, member));
	}
	return true;
}

/* ---- Scan ---- */

int dispenser_scan(struct dispenser *dispenser, struct dispenser_op *op,
		   uint64_t holder, uint64_t now_ns, uint64_t budget)
{
	int r = op_begin(dispenser, op, holder);

	if (r < 0)
		return r;
	op->now_ns = now_ns;
	op->budget = budget;
	op->quiet = true;
	op->more = true;
	op_enter(op, OP_SCAN);
	return 0;
}

static uint64_t idle_ns(const struct dispenser_op *op,
			const struct dispenser_item *item)
{
	return op->now_ns > item->since_ns ? op->now_ns - item->since_ns : 0;
}

/* Looks at one resource; false when there is none to look at. */
static bool scan_one(struct dispenser_op *op)
{
	struct dispenser_holder *holder = op->holder;
	struct chain *end = &holder->states[ITEM_FREE];
	struct dispenser_item *item;

	if (holder->cursor == end)
		holder->cursor = end->next;
	if (holder->cursor == end)
		return false;
	item = item_of_link(holder->cursor);
	if (idle_ns(op, item) <= holder->shortest_ns) {
		holder->cursor = end;
		return false;
	}
	holder->cursor = item->link.next;
	if (!item->op && idle_ns(op, item) > item->idle_timeout_ns)
		item_condemn(op, item, DISPENSER_END_IDLE);
	return holder->cursor != end;
}

bool scan_some(struct dispenser_op *op)
{
	for (int i = 0; i < DISPENSER_STEP_ITEMS; i++) {
		if (op->holder->closed || op->budget == 0) {
			op_enter(op, OP_LEAVE);
			return false;
		}
		op->budget--;
		op->more = scan_one(op);
		if (!op->more)
			op->budget = 0;
		if (op->victims)
			return false;
	}
	return true;
}

/* ---- Close ---- */

int dispenser_close(struct dispenser *dispenser, struct dispenser_op *op,
		    uint64_t id)
{
	int r = op_begin(dispenser, op, id);

	if (r < 0)
		return r;
	idmap_remove(&dispenser->holders, &op->holder->node);
	op->holder->closed = true;
	op_enter(op, OP_CLOSE);
	return 0;
}

/* Something that no other operation holds; those held are few. */
static struct dispenser_item *close_next(struct dispenser_holder *holder)
{
	for (int state = 0; state < ITEM_STATES; state++) {
		struct chain *list = &holder->states[state];

		if (state == ITEM_DYING)
			continue;
		for (struct chain *link = list->next; link != list;
		     link = link->next) {
			if (!item_of_link(link)->op)
				return item_of_link(link);
		}
	}
	return NULL;
}

void close_some(struct dispenser_op *op)
{
	struct dispenser_item *item = close_next(op->holder);

	if (item)
		item_condemn(op, item, DISPENSER_END_CLOSE);
	else
		op_enter(op, OP_LEAVE);
}

/* ---- What the driver says about a destruction ---- */

static void destruction_failed(struct dispenser_op *op,
			       struct dispenser_item *item)
{
	struct dispenser_holder *holder = op->holder;
	int status = op->answer.status;

	holder->stat.destroy_failures++;
	if (status > 0)
		holder->stat.nonsense++;
	if (op->status == 0 && !op->quiet)
		op->status = status == -ENOTSUP && !holder->closed ? -ENOTSUP :
								     -EIO;
	if (holder->closed) {
		item_free(holder, item);
		return;
	}
	item_enter(holder, item, ITEM_BROKEN);
	/* A driver may have made the id anew while it destroyed the old one. */
	if (!item_find(holder, item_id(item)))
		item_map(holder, item);
}

void victim_answered(struct dispenser_op *op)
{
	struct dispenser_item *item = op->dying;

	op->dying = NULL;
	item->op = NULL;
	if (op->answer.status != 0) {
		if (op->holder->closed)
			item_enter(op->holder, item, ITEM_STATES);
		destruction_failed(op, item);
		return;
	}
	op->holder->stat.destroyed[item->end]++;
	item_enter(op->holder, item, ITEM_STATES);
	item_free(op->holder, item);
}
