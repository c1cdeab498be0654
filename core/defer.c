/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deferral: from a handle's death to the moment its memory may go.
 *
 *	retired --uses?--> timeline of context A --reached--> timeline of B
 *	    |                                                     | reached
 *	    +------------- none, or ASSUME_NOT_IN_USE ------------+
 *	                                                          v
 *	                                           stream of the session
 *
 * A retired item stands in exactly one queue. It is parked on the first
 * context that still works on it, at the last value that this context was
 * given for it; when the context has come there, the item is looked at again
 * if others used it too, and moves on: once for each context at most. Only
 * the client's own contexts count. Others who hold the same memory have
 * openings of their own, with their own work; the object goes with the last.
 *
 * The queues of one client are moved in turn, a few items each, so a context
 * with a million items that have become free does not hold up the next.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  No item is in the session's stream while work that was submitted
 *      before its destroy uses it, unless the destroy said otherwise.
 *  G2  Moving needs no memory and cannot fail.
 *  G3  One call moves no more than its budget and one resource's children.
 */
#include "core/defer.h"

#include "core/context.h"
#include "core/retire.h"
#include "core/session.h"
#include "core/timeline.h"
#include "core/uses.h"

enum { TURN = 64 };

/* The same after looking at the words of those who seem to be working. */
static struct pending look(struct env *env, uint32_t session, uint32_t slot,
			   uint32_t after)
{
	struct pending p = uses_pending(&env->region, session, slot, after);

	while (p.context != 0 && context_look(env, p.context))
		p = uses_pending(&env->region, session, slot, after);
	return p;
}

/* A wait for work, unlike one for the release, ends with the device. */
static void park(struct env *env, uint32_t session, uint32_t slot,
		 const struct pending *p)
{
	struct region *region = &env->region;
	uint32_t waiter = slot_at(region, slot)->waiter;

	if (waiter != 0)
		waiter_at(region, waiter)->device = table_device(region, slot);
	timeline_append(region, &context_at(region, p->context)->timeline,
			p->value, slot | (p->again ? ITEM_AGAIN : 0));
	session_await(env, session);
	session_at(region, session)->n_parked++;
}

static void queue(struct env *env, uint32_t session, uint32_t slot,
		  const struct pending *p)
{
	if (p->context != 0) {
		park(env, session, slot, p);
		return;
	}
	stream_append(&env->region, &session_at(&env->region, session)->stream,
		      slot);
	session_wake(env, session);
}

void defer(struct env *env, uint32_t session, uint32_t slot, bool assume)
{
	struct pending p = { 0 };

	if (!assume)
		p = look(env, session, slot, 0);
	queue(env, session, slot, &p);
}

static void move_one(struct env *env, uint32_t session, uint32_t context,
		     int64_t *budget)
{
	struct region *region = &env->region;
	struct pending p = { 0 };
	uint32_t item =
		timeline_take(region, &context_at(region, context)->timeline);
	uint32_t slot = item & ~ITEM_AGAIN;

	session_at(region, session)->n_parked--;
	*budget -= 1;
	if (item & ITEM_AGAIN) {
		const struct slot *s = slot_at(region, slot);

		if (slot_kind(s) == KIND_RESOURCE)
			*budget -= s->resource.count;
		p = look(env, session, slot, context);
	}
	queue(env, session, slot, &p);
}

bool defer_move(struct env *env, uint32_t session, int64_t *budget)
{
	struct region *region = &env->region;
	struct session *s = session_at(region, session);
	uint32_t context = s->reached.head, turn = TURN;
	struct context *c;

	if (context == 0)
		return false;
	c = context_at(region, context);
	s->reached.head = c->next_reached;
	if (s->reached.head == 0)
		s->reached.tail = 0;
	while (turn-- > 0 && *budget > 0 &&
	       timeline_is_reached(region, &c->timeline, c->done))
		move_one(env, session, context, budget);
	c->is_reached = 0;
	context_settle(env, context);
	return true;
}
