/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the dispenser share: its records and the few functions
 * that move a resource from one state to another. See dispenser.c.
 */
#ifndef CORE_DISPENSER_PRIV_H
#define CORE_DISPENSER_PRIV_H

#include "core/dispenser.h"
#include "core/shelf.h"

#define container(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* A ring of links with a head of its own. */
struct chain {
	struct chain *next, *prev;
};

static inline void chain_init(struct chain *head)
{
	head->next = head->prev = head;
}

static inline bool chain_empty(const struct chain *head)
{
	return head->next == head;
}

static inline void chain_append(struct chain *head, struct chain *link)
{
	link->next = head;
	link->prev = head->prev;
	link->prev->next = link;
	head->prev = link;
}

static inline void chain_remove(struct chain *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	chain_init(link);
}

/* The picture is in dispenser.c. */
enum item_state {
	ITEM_FREE, /* in the inventory, enlisted in nothing */
	ITEM_PARKED, /* in the inventory, enlisted in a transaction */
	ITEM_IN_USE,
	ITEM_TRACKED,
	ITEM_DYING, /* the driver is being asked to destroy it */
	ITEM_BROKEN, /* the driver could not */
	ITEM_STATES,
};

/* What is enlisted in one transaction of one holder. */
struct dispenser_transaction {
	struct idmap_node node;
	uint64_t id;
	struct shelf parked;
	struct chain members;
	uint64_t n_members;
	bool ending; /* an operation takes its members out and then frees it */
};

/* A resource. */
struct dispenser_item {
	struct idmap_node node; /* in holder->items, if mapped */
	struct shelf_node place; /* when FREE or PARKED; key = its type */
	struct chain link; /* in holder->states[state] */
	struct chain member; /* of transaction */
	struct dispenser_transaction *transaction;
	struct dispenser_op *op; /* which works on it, or NULL */
	struct dispenser_item *next_victim;
	uint64_t number;
	char *string;
	uint64_t since_ns, idle_timeout_ns;
	uint64_t seen; /* the last search that looked at it */
	enum item_state state;
	enum dispenser_end end; /* when DYING */
	bool mapped, doomed, not_transactional;
};

struct dispenser_holder {
	struct idmap_node node; /* in dispenser->holders until it is closed */
	uint64_t id;
	struct dispenser *dispenser;
	struct dispenser_options options;
	struct idmap items, transactions;
	struct shelf free;
	struct chain states[ITEM_STATES];
	uint64_t counts[ITEM_STATES];
	struct chain *cursor; /* where the scan goes on, or the head */
	uint64_t shortest_ns; /* the shortest idle timeout there was */
	uint64_t latest_ns; /* the last time that anything became free */
	uint64_t reserved; /* resources being created */
	uint64_t n_ops;
	bool closed;
	struct dispenser_stat stat; /* the totals in it */
};

/* What an operation does next. */
enum op_state {
	OP_NEW,
	OP_SEARCH, /* a stage begins */
	OP_RATE,
	OP_RATED,
	OP_CREATE,
	OP_CREATED,
	OP_ENLIST,
	OP_ENLISTED,
	OP_HAND_OUT,
	OP_RESET,
	OP_RESET_DONE,
	OP_COMPLETE,
	OP_SCAN,
	OP_CLOSE,
	OP_LEAVE, /* nothing more but to go */
	OP_DONE,
};

/* Where a search looks first and second. */
enum { STAGE_PARKED, STAGE_FREE, STAGES };

static inline struct dispenser_item *item_of_place(struct shelf_node *place)
{
	return place ? container(place, struct dispenser_item, place) : NULL;
}

static inline struct dispenser_item *item_of_link(struct chain *link)
{
	return container(link, struct dispenser_item, link);
}

/* ---- dispenser.c ---- */

/* The only function that assigns op->state. */
void op_enter(struct dispenser_op *op, enum op_state state);

/* The only function that assigns item->state; moves it between lists and
 * shelves. A FREE item becomes free now. */
void item_enter(struct dispenser_holder *holder, struct dispenser_item *item,
		enum item_state state);

/* A resource in memory of its own, in no list yet, or NULL. */
struct dispenser_item *item_new(struct dispenser_holder *holder);
void item_free(struct dispenser_holder *holder, struct dispenser_item *item);

/* Begins its life with an id that is valid and unknown; takes over string. */
void item_publish(struct dispenser_holder *holder, struct dispenser_item *item,
		  struct dispenser_id id, char *string, enum item_state state);

/* The item that answers to an id, or NULL. */
struct dispenser_item *item_find(const struct dispenser_holder *holder,
				 struct dispenser_id id);

/* The two ways in and out of the map of ids. */
void item_map(struct dispenser_holder *holder, struct dispenser_item *item);
void item_unmap(struct dispenser_holder *holder, struct dispenser_item *item);

struct dispenser_id item_id(const struct dispenser_item *item);

/* 0; -ENOTSUP: the other kind; -EINVAL: empty or too long. */
int id_judge(const struct dispenser_holder *holder, struct dispenser_id id);

/* Resources that there are or will be: what resources_max limits. */
uint64_t holder_size(const struct dispenser_holder *holder);

/* Enters or leaves a transaction; leaving the last one frees it. */
void transaction_join(struct dispenser_holder *holder,
		      struct dispenser_transaction *transaction,
		      struct dispenser_item *item);
void transaction_leave(struct dispenser_holder *holder,
		       struct dispenser_item *item);
struct dispenser_transaction *
transaction_find(const struct dispenser_holder *holder, uint64_t id);

/* Begins an operation on a holder, or -EINVAL. */
int op_begin(struct dispenser *dispenser, struct dispenser_op *op,
	     uint64_t holder);

/* Takes a resource for an operation, and gives it back: what has been doomed
 * meanwhile becomes the operation's victim. */
void item_claim(struct dispenser_op *op, struct dispenser_item *item);
void item_release(struct dispenser_op *op, struct dispenser_item *item);

/* The operation will have it destroyed. */
void item_condemn(struct dispenser_op *op, struct dispenser_item *item,
		  enum dispenser_end end);

/* ---- dispenser_alloc.c; each carries on one state ---- */

void alloc_search(struct dispenser_op *op);
void alloc_rated(struct dispenser_op *op);
void alloc_create(struct dispenser_op *op);
void alloc_created(struct dispenser_op *op);
void alloc_enlisted(struct dispenser_op *op);
void alloc_hand_out(struct dispenser_op *op);

/* ---- dispenser_end.c ---- */

void free_reset_done(struct dispenser_op *op);
bool complete_some(struct dispenser_op *op); /* true: there is more */
bool scan_some(struct dispenser_op *op); /* likewise */
void close_some(struct dispenser_op *op);
void victim_answered(struct dispenser_op *op);

#endif
