/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispenser, layer L5: resources that are expensive to make are kept,
 * rated, handed out again, and destroyed when nobody wants them. This is the
 * state machine; what makes resources is a driver, and calling it is the
 * caller's business. See dispenser.c.
 *
 * An operation is begun, and then run:
 *
 *	r = dispenser_alloc(&d, &op, holder, type, transaction, now);
 *	if (r < 0)
 *		return r;
 *	while ((turn = dispenser_step(&op, &ask)) != DISPENSER_DONE) {
 *		if (turn == DISPENSER_ASK) {
 *			call the driver as ask says, without any lock;
 *			dispenser_tell(&op, &answer);
 *		}
 *	}
 *	return op.status;
 *
 * Nothing here is thread-safe: begin, step and tell of one dispenser are made
 * under one lock. Between a step that asks and the tell that answers it, the
 * lock is meant to be free, and other operations may run; tell and the step
 * behind it belong together, under one hold of the lock. An operation that was
 * begun must be run to its end. Results are 0 or a negative errno; a begin
 * that fails has changed nothing.
 */
#ifndef CORE_DISPENSER_H
#define CORE_DISPENSER_H

#include "core/base.h"
#include "core/idmap.h"
#include "core/limits.h"
#include "core/mem.h"

/* An idle timeout that never passes. */
#define DISPENSER_NEVER UINT64_MAX

struct dispenser_item;
struct dispenser_holder;

/* All of a process's, or of a pool's, holders. Does not move. */
struct dispenser {
	struct heap heap;
	struct idmap holders;
	uint64_t last_holder, last_search;
};

struct dispenser_options {
	bool string_ids; /* else numbers */
	uint64_t resources_max; /* 0: DISPENSER_RESOURCES_MAX */
	/* Candidates that a search looks at, and those of one type; 0 takes
	 * the limits of core/limits.h, UINT64_MAX looks at all. */
	uint64_t window, depth;
};

/* A number that is not 0 or, in a holder with string ids, a string that is
 * not empty; the other member is 0. */
struct dispenser_id {
	uint64_t number;
	const char *string;
};

/* What the caller is asked to call the driver for. */
enum dispenser_verb {
	DISPENSER_CREATE, /* type -> id, perhaps type, idle timeout */
	DISPENSER_RATE, /* type, id, needs_enlist -> 0..100 */
	DISPENSER_ENLIST, /* id, transaction -> 0, 1: not transactional */
	DISPENSER_RESET, /* id -> 0 */
	DISPENSER_DESTROY, /* id -> 0, -ENOTSUP: not this kind of id */
};

struct dispenser_ask {
	enum dispenser_verb verb;
	struct dispenser_id id; /* valid until the answer */
	uint64_t type, transaction;
	uint64_t item_type; /* of the resource itself; RATE */
	bool needs_enlist;
	/* CREATE with string ids: room of DISPENSER_STRING_BYTES for the new
	 * one. Valid until the answer. */
	char *ret_string;
};

/*
 * What the driver said. A value that is none of those allowed is nonsense;
 * that is counted, and taken as a failure or as the rating 0.
 */
struct dispenser_answer {
	int status; /* 0, a rating, or a negative errno */
	/* CREATE only: */
	uint64_t number; /* id, unless it is a string */
	uint64_t type; /* of what was made: usually that which was asked for */
	uint64_t idle_timeout_ns; /* or DISPENSER_NEVER */
};

enum dispenser_turn {
	DISPENSER_DONE, /* status says how it ended */
	DISPENSER_ASK, /* call the driver, then tell */
	DISPENSER_AGAIN, /* enough for one hold of a lock: step again */
};

/* Why a resource was destroyed. */
enum dispenser_end {
	DISPENSER_END_IDLE, /* longer free than its timeout */
	DISPENSER_END_REQUEST, /* request_destroy */
	DISPENSER_END_RESET, /* its reset failed, so it cannot be pooled */
	DISPENSER_END_ROOM, /* idle, and the holder was full */
	DISPENSER_END_CLOSE, /* with its holder */
	DISPENSER_ENDS,
};

struct dispenser_stat {
	uint64_t free, in_use; /* enlisted ones are in one of these, too */
	uint64_t enlisted, tracked;
	/* Left the inventory, but their destruction failed (B42). */
	uint64_t broken;
	uint64_t hits, misses; /* allocs served from the inventory, or not */
	uint64_t created;
	uint64_t destroyed[DISPENSER_ENDS];
	uint64_t destroy_failures, driver_failures, nonsense;
};

/*
 * An operation under way, in memory of the caller's that does not move. status
 * and id may be read when it is done, more also when a scan is.
 */
struct dispenser_op {
	int status;
	/* Of an alloc; a string is valid while the resource is in use. */
	struct dispenser_id id;
	bool more; /* a scan that has not reached the end */

	/* The rest is the dispenser's own. */
	struct dispenser *dispenser;
	struct dispenser_holder *holder;
	struct dispenser_answer answer;
	int state;
	bool waiting, fresh, enlisted;
	bool quiet; /* nobody who began it asked for its victims' end */
	uint64_t now_ns, type, transaction, budget;
	struct dispenser_item *item, *best, *victims, *dying;
	struct dispenser_transaction *reserve;
	char *string;
	int best_rating, stage;
	uint64_t search, looked, in_bin, bin;
	bool below;
};

/* heap is copied. */
void dispenser_init(struct dispenser *dispenser, const struct heap *heap);

/* Every holder has been closed, and every operation has ended. */
void dispenser_deinit(struct dispenser *dispenser);

/* Makes a holder. -EDQUOT: too many; -ENOMEM. */
int dispenser_register(struct dispenser *dispenser,
		       const struct dispenser_options *options,
		       uint64_t *ret_holder);

/*
 * Hands out a resource for a type: the best rated of those that are free and
 * enlisted in the transaction (0: none), else of those that are free and not
 * enlisted, else a new one; a full holder destroys what has been free for the
 * longest time first. -EINVAL: no such holder, or the driver's new id is empty
 * or not new; -EDQUOT: resources_max are in use; -ENOMEM; -EIO: the driver failed;
 * or what it said when it could not create.
 */
int dispenser_alloc(struct dispenser *dispenser, struct dispenser_op *op,
		    uint64_t holder, uint64_t type, uint64_t transaction,
		    uint64_t now_ns);

/*
 * Resets a resource that was handed out and puts it back, or destroys it.
 * -EINVAL: no such holder, or not handed out; -ENOTSUP: the holder's ids are
 * of the other kind; -EIO: it is gone, but its destruction failed (B42).
 */
int dispenser_free(struct dispenser *dispenser, struct dispenser_op *op,
		   uint64_t holder, struct dispenser_id id, uint64_t now_ns);

/*
 * Destroys a free or tracked resource; one in use is destroyed at its free
 * instead of pooled, and asking a second time is -EINVAL. Else as
 * dispenser_free.
 */
int dispenser_request_destroy(struct dispenser *dispenser,
			      struct dispenser_op *op, uint64_t holder,
			      struct dispenser_id id);

/*
 * Notes a resource that somebody else made, so that it is destroyed with the
 * holder; it is never handed out. -EINVAL: an id that is empty or known;
 * -ENOTSUP, -EDQUOT, -ENOMEM as above.
 */
int dispenser_track(struct dispenser *dispenser, uint64_t holder,
		    struct dispenser_id id);

/* Forgets a tracked resource without destroying it. */
int dispenser_untrack(struct dispenser *dispenser, uint64_t holder,
		      struct dispenser_id id);

/* The transaction has ended: nothing is enlisted in it any more. One that
 * nothing is enlisted in is no error. */
int dispenser_complete(struct dispenser *dispenser, struct dispenser_op *op,
		       uint64_t holder, uint64_t transaction, uint64_t now_ns);

/*
 * Looks at up to budget free resources, those that have been free for the
 * longest time first, going on where the last scan stopped, and destroys those
 * that have been free for longer than their timeout. more says that the end
 * was not reached.
 */
int dispenser_scan(struct dispenser *dispenser, struct dispenser_op *op,
		   uint64_t holder, uint64_t now_ns, uint64_t budget);

/*
 * Ends a holder: every later call on it is -EINVAL, and all that it has is
 * destroyed, in use or not; what other operations hold, they destroy. -EIO:
 * the holder is closed, but the driver did not destroy everything.
 */
int dispenser_close(struct dispenser *dispenser, struct dispenser_op *op,
		    uint64_t holder);

/* One step of an operation, in bounded work. */
enum dispenser_turn dispenser_step(struct dispenser_op *op,
				   struct dispenser_ask *ret_ask);

/* The answer to what the last step asked for. */
void dispenser_tell(struct dispenser_op *op,
		    const struct dispenser_answer *answer);

/* -EINVAL: no such holder. */
int dispenser_stat(const struct dispenser *dispenser, uint64_t holder,
		   struct dispenser_stat *ret_stat);

/* Walks everything, O(resources), and asserts what dispenser.c promises. For
 * tests. */
void dispenser_check(const struct dispenser *dispenser);

#endif
