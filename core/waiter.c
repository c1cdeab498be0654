/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiter: a request that is answered later.
 *
 * It counts down; at zero it joins the queue of answers, or vanishes if its
 * session is no longer there to read one. One that fails is answered at once;
 * its record stays for those who will still tell it that they have come.
 *
 *	PENDING --all came, or failed--> DUE --answer taken--> TOLD --> gone
 *	                                            (when all have come)
 *
 * Several may wait for the same: who comes later follows who came first, and
 * they form a line. To follow is a walk along it, past as many as one client may
 * have waiting (1024 by default); and the last close of an adapter follows once
 * for each of at most 256 devices. Measured, at worst: one millisecond, of a
 * client with a thousand such closes open.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A waiter is answered exactly once, or never if its session ended.
 *  G2  A refused waiter_new has changed nothing.
 */
#include "core/waiter.h"

#include "core/session.h"

uint32_t waiter_new(struct env *env, uint32_t session,
		    const struct ticket *ticket, uint8_t opcode,
		    struct outcome *ret)
{
	return waiter_new_for(env, session, ticket, opcode, 1, ret);
}

/* One that a descriptor answers begins or ends. */
static void count_watch(struct env *env, const struct waiter *w, int by)
{
	struct session *s = session_at(&env->region, w->session);

	if (w->port != BROKER_PORT_WATCH)
		return;
	s->n_watches += (uint32_t)by;
	principal_at(&env->region, s->principal)->n_watches += (uint32_t)by;
}

uint32_t waiter_new_for(struct env *env, uint32_t session,
			const struct ticket *ticket, uint8_t opcode,
			uint32_t cost, struct outcome *ret)
{
	const struct bill bill = { .amount = { [CHARGE_WAITS] = cost } };
	struct waiter *w;
	uint32_t index;

	*ret = session_afford(env, session, &bill, &bill);
	if (ret->status != 0)
		return 0;
	if (pool_reserve(&env->region, AREA_WAITERS, 1) != 0) {
		*ret = refuse_memory();
		return 0;
	}
	index = pool_take(&env->region, AREA_WAITERS);
	w = waiter_at(&env->region, index);
	w->session = session;
	w->id = ticket->id;
	w->port = (uint8_t)ticket->port;
	w->quiet = ticket->quiet;
	w->opcode = opcode;
	w->next_own = session_at(&env->region, session)->first_waiter;
	if (w->next_own != 0)
		waiter_at(&env->region, w->next_own)->previous_own = index;
	session_at(&env->region, session)->first_waiter = index;
	stored();
	w->cost = cost;
	session_charge(env, session, CHARGE_WAITS, cost);
	count_watch(env, w, 1);
	return index;
}

static void unlink_waiter(struct env *env, const struct waiter *w)
{
	if (w->next_own != 0)
		waiter_at(&env->region, w->next_own)->previous_own =
			w->previous_own;
	if (w->previous_own != 0)
		waiter_at(&env->region, w->previous_own)->next_own =
			w->next_own;
	else
		session_at(&env->region, w->session)->first_waiter =
			w->next_own;
}

/* One that was answered early stays until the last it expected has come. */
void waiter_drop(struct env *env, uint32_t waiter)
{
	struct waiter *w = waiter_at(&env->region, waiter);

	assert(w->phase != WAITER_TOLD);
	assert(w->remaining == 0 || w->phase == WAITER_DUE);
	session_release(env, w->session, CHARGE_WAITS, w->cost);
	count_watch(env, w, -1);
	unlink_waiter(env, w);
	w->phase = WAITER_TOLD;
	if (w->remaining == 0)
		pool_give(&env->region, AREA_WAITERS, waiter);
}

void waiter_expect(struct env *env, uint32_t waiter, uint32_t more)
{
	waiter_at(&env->region, waiter)->remaining += more;
}

void waiter_follow(struct env *env, uint32_t waiter, uint32_t leader)
{
	struct waiter *w = waiter_at(&env->region, leader);

	/* Followers form a line; whoever stands in it already is counted. */
	while (w->follower != 0 && w->follower != waiter)
		w = waiter_at(&env->region, w->follower);
	if (w->follower == waiter)
		return;
	w->follower = waiter;
	waiter_expect(env, waiter, 1);
}

/* It is to be answered, or nobody is there to. */
static void waiter_end(struct env *env, uint32_t waiter)
{
	struct state *state = region_state(&env->region);
	struct waiter *w = waiter_at(&env->region, waiter);

	if (session_at(&env->region, w->session)->phase != SESSION_ACTIVE) {
		waiter_drop(env, waiter);
		return;
	}
	w->phase = WAITER_DUE;
	queue_put(&env->region, &state->answered, LINK_ANSWERED, waiter);
}

/* All that a waiter expected has come. */
static void waiter_complete(struct env *env, uint32_t waiter)
{
	switch ((enum waiter_phase)waiter_at(&env->region, waiter)->phase) {
	case WAITER_PENDING:
		waiter_end(env, waiter);
		break;
	case WAITER_DUE:
		break;
	case WAITER_TOLD:
		pool_give(&env->region, AREA_WAITERS, waiter);
		break;
	}
}

void waiter_done(struct env *env, uint32_t waiter)
{
	while (waiter != 0) {
		struct waiter *w = waiter_at(&env->region, waiter);
		uint32_t follower = w->follower;

		assert(w->remaining > 0);
		if (--w->remaining > 0)
			return;
		waiter_complete(env, waiter);
		waiter = follower;
	}
}

static void fail(struct env *env, uint32_t waiter, int status,
		 enum tenure_reason reason)
{
	struct waiter *w = waiter_at(&env->region, waiter);

	if (w->phase != WAITER_PENDING)
		return;
	w->status = status;
	w->reason = reason;
	w->phase = WAITER_DUE;
	waiter_end(env, waiter);
}

void waiter_fail_all(struct env *env, uint32_t session, uint32_t device,
		     int status, enum tenure_reason reason)
{
	uint32_t waiter = session_at(&env->region, session)->first_waiter;

	while (waiter != 0) {
		uint32_t next = waiter_at(&env->region, waiter)->next_own;

		if (waiter_at(&env->region, waiter)->device == device)
			fail(env, waiter, status, reason);
		waiter = next;
	}
}

uint32_t waiter_next_answered(struct env *env)
{
	return queue_take(&env->region, &region_state(&env->region)->answered,
			  LINK_ANSWERED);
}

void waiter_purge(struct env *env, uint32_t session)
{
	struct state *state = region_state(&env->region);
	struct queue all = state->answered;
	uint32_t waiter;

	state->answered = (struct queue){ 0 };
	while ((waiter = queue_take(&env->region, &all, LINK_ANSWERED)) != 0) {
		if (waiter_at(&env->region, waiter)->session == session)
			waiter_drop(env, waiter);
		else
			queue_put(&env->region, &state->answered, LINK_ANSWERED,
				  waiter);
	}
}
