/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fence waits: requests that are answered when fences have come far enough.
 *
 *	waiter --> wait --> wait --> wait          one for each fence it names
 *	             |        |        |
 *	          fence A   fence B  fence A       each on its fence's list
 *
 * A wait for all counts down, one for any ends with the first; whichever way
 * it ends, by success, by the death of a fence or by being cancelled, all that
 * belongs to it leaves the lists at once. Timeouts are the client's affair: it
 * cancels. A request that only looks leaves nothing behind. How many waits a
 * fence has and how many fences a wait names are both limited, and a wait is
 * charged for each, so a signal is bounded work.
 *
 *	a fence's waits, 1024 at most
 *	+----------+---------------------------------------------+
 *	| maker    | everybody else: 256 of a principal at most, |
 *	| 128      | 128 of a client at most                     |
 *	+----------+---------------------------------------------+
 *
 * So one client cannot fill a list that others need, nor can one principal: the
 * maker has room of its own, the rest is for several principals, and that of
 * one principal for several clients. A wait that names a fence twice counts
 * twice. Who has how many is counted as they come and go (core/crowd.c), so to
 * look costs no walk, however many wait for the fences that a request names.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A wait is answered once.
 *  G2  A wait succeeds only if what it asked for was true.
 *  G3  A refused wait, and one that only looks, has changed nothing.
 *  G4  However many waits others have on a fence, its maker finds room for
 *      its own; and however many one client or one principal has, so does
 *      another client or principal.
 *  G5  What a wait costs depends on the fences that it names, and not on how
 *      many others wait for them.
 */
#include "core/fence_wait.h"

#include "core/crowd.h"
#include "core/fence.h"
#include "core/rules.h"
#include "core/session.h"
#include "core/waiter.h"

/* Takes one wait off the list of its fence, and gives it back. */
static void remove_wait(struct env *env, uint32_t index)
{
	struct region *region = &env->region;
	const struct wait *w = wait_at(region, index);
	struct fence *f = fence_at(region, w->fence);

	if (w->next != 0)
		wait_at(region, w->next)->previous = w->previous;
	if (w->previous != 0)
		wait_at(region, w->previous)->next = w->next;
	else
		f->first_wait = w->next;
	f->n_waits--;
	crowd_leave(region, w->fence, waiter_at(region, w->waiter)->session);
	session_at(region, f->session)->n_fence_waits--;
	pool_give(region, AREA_WAITS, index);
}

/* Nothing of a waiter is on any list any more. */
static void remove_all(struct env *env, uint32_t waiter)
{
	uint32_t wait = waiter_at(&env->region, waiter)->first_wait;

	waiter_at(&env->region, waiter)->first_wait = 0;
	while (wait != 0) {
		uint32_t next = wait_at(&env->region, wait)->next_own;

		remove_wait(env, wait);
		wait = next;
	}
}

static void succeed(struct env *env, uint32_t waiter, uint32_t position)
{
	struct waiter *w = waiter_at(&env->region, waiter);

	w->value = w->any ? position : 0;
	stored();
	w->decided = 1;
	stored();
	remove_all(env, waiter);
	w->remaining = 1;
	waiter_done(env, waiter);
}

static void fail(struct env *env, uint32_t waiter, int status,
		 enum tenure_reason reason)
{
	struct waiter *w = waiter_at(&env->region, waiter);

	w->status = status;
	w->reason = reason;
	stored();
	w->decided = 1;
	stored();
	remove_all(env, waiter);
	w->remaining = 0;
	waiter_fail(env, waiter, status, reason);
}

/* Takes one wait out of its waiter's own list, of at most 64. */
static void leave_waiter(struct env *env, uint32_t index)
{
	const struct wait *w = wait_at(&env->region, index);
	uint32_t *link = &waiter_at(&env->region, w->waiter)->first_wait;

	while (*link != index)
		link = &wait_at(&env->region, *link)->next_own;
	*link = w->next_own;
}

/* Whether the whole wait has ended with this one. */
static bool arrive(struct env *env, uint32_t index)
{
	const struct wait *arrived = wait_at(&env->region, index);
	uint32_t waiter = arrived->waiter, position = arrived->position;
	struct waiter *w = waiter_at(&env->region, waiter);

	if (w->any || w->remaining == 1) {
		succeed(env, waiter, position);
		return true;
	}
	w->remaining--;
	leave_waiter(env, index);
	remove_wait(env, index);
	return false;
}

/* The next wait of a fence that belongs to another waiter: whoever ends takes
 * all of his own along. */
static uint32_t next_of_others(const struct env *env, const struct wait *w)
{
	uint32_t next = w->next;

	while (next != 0 && wait_at(&env->region, next)->waiter == w->waiter)
		next = wait_at(&env->region, next)->next;
	return next;
}

void fence_wait_wake(struct env *env, uint32_t fence)
{
	const struct fence *f = fence_at(&env->region, fence);
	uint32_t index = f->first_wait;

	while (index != 0) {
		const struct wait *w = wait_at(&env->region, index);
		uint32_t next = w->next, others;

		if (w->value <= f->value) {
			others = next_of_others(env, w);
			next = arrive(env, index) ? others : next;
		}
		index = next;
	}
}

void fence_wait_fail(struct env *env, uint32_t fence, uint32_t slot)
{
	uint32_t index = fence_at(&env->region, fence)->first_wait;

	while (index != 0) {
		const struct wait *w = wait_at(&env->region, index);
		uint32_t next = w->next;

		if (slot == 0 || w->slot == slot) {
			next = next_of_others(env, w);
			fail(env, w->waiter, -ENODEV, TENURE_REASON_FENCE_GONE);
		}
		index = next;
	}
}

void fence_wait_forget(struct env *env, uint32_t session)
{
	uint32_t waiter = session_at(&env->region, session)->first_waiter;

	while (waiter != 0) {
		struct waiter *w = waiter_at(&env->region, waiter);
		uint32_t next = w->next_own;

		if (w->opcode == WIRE_OP_FENCE_WAIT &&
		    w->phase == WAITER_PENDING)
			fail(env, waiter, -ECANCELED,
			     TENURE_REASON_WAIT_CANCELLED);
		waiter = next;
	}
}

/* Ends one of that id, if need be of those that a descriptor answers. */
static bool try_cancel(struct env *env, uint32_t session, uint64_t id,
		       bool watches_only)
{
	uint32_t waiter = session_at(&env->region, session)->first_waiter;

	while (waiter != 0) {
		const struct waiter *w = waiter_at(&env->region, waiter);

		if (w->opcode == WIRE_OP_FENCE_WAIT && w->id == id &&
		    w->phase == WAITER_PENDING &&
		    (w->port == BROKER_PORT_WATCH || !watches_only)) {
			fail(env, waiter, -ECANCELED,
			     TENURE_REASON_WAIT_CANCELLED);
			return true;
		}
		waiter = w->next_own;
	}
	return false;
}

struct outcome fence_wait_cancel(struct env *env, uint32_t session, uint64_t id)
{
	if (try_cancel(env, session, id, false))
		return outcome_ok();
	return refuse(-EINVAL, TENURE_REASON_WAIT_UNKNOWN);
}

void fence_watch_cancel(struct env *env, uint32_t session, uint64_t id)
{
	try_cancel(env, session, id, true);
}

static struct outcome check_shape(const struct wait_args *args)
{
	if (args->flags & ~(uint32_t)TENURE_WAIT_ALL)
		return refuse(-EINVAL, TENURE_REASON_FLAGS_RESERVED);
	if (args->count == 0)
		return refuse(-EINVAL, TENURE_REASON_LIST_MISSING);
	if (args->count > FENCES_PER_WAIT_MAX)
		return refuse(-EINVAL, TENURE_REASON_WAIT_TOO_LONG);
	if (args->list_bytes < args->count * sizeof(args->list[0]))
		return refuse(-EINVAL, TENURE_REASON_LIST_TRUNCATED);
	return outcome_ok();
}

/* Every entry; slots[i] is its opening, and *ret_missing how many have not
 * come, *ret_first the first that has. */
static struct outcome check_entries(struct env *env, uint32_t session,
				    uint32_t device,
				    const struct wait_args *args,
				    uint32_t *slots, uint32_t *ret_missing,
				    uint32_t *ret_first)
{
	*ret_missing = 0;
	*ret_first = args->count;
	for (uint32_t i = 0; i < args->count; i++) {
		struct outcome outcome;
		struct slot *slot = fence_find(env, session, device,
					       args->list[i].fence, &outcome);

		if (slot == NULL) {
			outcome.index = i;
			return outcome;
		}
		fence_look(env, slot->fence.fence);
		slots[i] = slot_index(&env->region, slot);
		if (fence_at(&env->region, slot->fence.fence)->value <
		    args->list[i].value)
			++*ret_missing;
		else if (*ret_first == args->count)
			*ret_first = i;
	}
	return outcome_ok();
}

/* How many waits would come to the fence of entry i: all of them with the
 * first entry that names it, none with the others. */
static uint32_t count_new(const struct env *env, const struct wait_args *args,
			  const uint32_t *slots, uint32_t i)
{
	const struct region *region = &env->region;
	uint32_t fence = slot_at(region, slots[i])->fence.fence, n = 0;

	for (uint32_t k = 0; k < args->count; k++) {
		if (slot_at(region, slots[k])->fence.fence != fence)
			continue;
		if (k < i)
			return 0;
		n += fence_at(region, fence)->value < args->list[k].value;
	}
	return n;
}

/* Whether a fence has room for more waits of a client. */
static struct outcome check_fence(const struct env *env, uint32_t session,
				  uint32_t fence, uint32_t more)
{
	const struct region *region = &env->region;
	const struct fence *f = fence_at(region, fence);
	uint32_t principal = session_at(region, session)->principal;
	uint32_t own = crowd_of_client(region, fence, session);
	uint32_t of_maker = crowd_of_client(region, fence, f->session);
	uint32_t others = f->n_waits - of_maker;
	uint32_t of_principal = crowd_of_principal(region, fence, principal);

	/* The maker's own have room of their own. */
	if (session_at(region, f->session)->principal == principal)
		of_principal -= of_maker;
	if (own + more > WAITS_PER_FENCE_CLIENT_MAX)
		return refuse(-EDQUOT, TENURE_REASON_CLIENT_FENCE_WAITS);
	if (session == f->session)
		return outcome_ok();
	if (of_principal + more > WAITS_PER_FENCE_PRINCIPAL_MAX)
		return refuse(-EDQUOT, TENURE_REASON_PRINCIPAL_FENCE_WAITS);
	if (others + more > WAITS_PER_FENCE_MAX - WAITS_PER_FENCE_CLIENT_MAX)
		return refuse(-EDQUOT, TENURE_REASON_FENCE_WAITS);
	return outcome_ok();
}

/* Whether each fence has room for the waits that would come to it. */
static struct outcome check_room(const struct env *env, uint32_t session,
				 const struct wait_args *args,
				 const uint32_t *slots)
{
	for (uint32_t i = 0; i < args->count; i++) {
		uint32_t fence = slot_at(&env->region, slots[i])->fence.fence;
		struct outcome outcome;
		uint32_t more;

		if (fence_at(&env->region, fence)->n_waits + args->count <=
		    WAITS_PER_FENCE_CLIENT_MAX)
			continue;
		more = count_new(env, args, slots, i);
		if (more == 0)
			continue;
		outcome = check_fence(env, session, fence, more);
		if (outcome.status != 0) {
			outcome.index = i;
			return outcome;
		}
	}
	return outcome_ok();
}

static void add_wait(struct env *env, uint32_t waiter, uint32_t slot,
		     uint32_t position, uint64_t value)
{
	struct region *region = &env->region;
	uint32_t index = pool_take(region, AREA_WAITS);
	struct wait *w = wait_at(region, index);
	struct fence *f;

	w->fence = slot_at(region, slot)->fence.fence;
	w->waiter = waiter;
	w->slot = slot;
	w->position = position;
	w->value = value;
	f = fence_at(region, w->fence);
	w->next = f->first_wait;
	if (w->next != 0)
		wait_at(region, w->next)->previous = index;
	f->first_wait = index;
	f->n_waits++;
	crowd_join(region, w->fence, waiter_at(region, waiter)->session);
	session_await(env, f->session);
	session_at(region, f->session)->n_fence_waits++;
	w->next_own = waiter_at(region, waiter)->first_wait;
	waiter_at(region, waiter)->first_wait = index;
}

static struct outcome begin(struct env *env, uint32_t session,
			    const struct wait_args *args,
			    const struct ticket *ticket, const uint32_t *slots,
			    uint32_t missing)
{
	struct region *region = &env->region;
	struct outcome outcome = check_room(env, session, args, slots);
	uint32_t waiter;

	if (outcome.status != 0)
		return outcome;
	if (pool_reserve(region, AREA_WAITS, missing) != 0 ||
	    crowd_reserve(region, missing) != 0)
		return refuse_memory();
	waiter = waiter_new_for(env, session, ticket, WIRE_OP_FENCE_WAIT,
				missing, &outcome);
	if (waiter == 0)
		return outcome;
	for (uint32_t i = 0; i < args->count; i++) {
		uint32_t fence = slot_at(region, slots[i])->fence.fence;

		if (fence_at(region, fence)->value < args->list[i].value)
			add_wait(env, waiter, slots[i], i, args->list[i].value);
	}
	waiter_at(region, waiter)->any = (args->flags & TENURE_WAIT_ALL) == 0;
	waiter_expect(env, waiter, missing);
	outcome.later = true;
	return outcome;
}

struct outcome fence_wait(struct env *env, uint32_t session,
			  const struct wait_args *args,
			  const struct ticket *ticket, uint64_t *ret_position)
{
	uint32_t slots[FENCES_PER_WAIT_MAX], missing, first, device;
	struct outcome outcome = check_shape(args);

	if (outcome.status != 0)
		return outcome;
	device = rules_device(&env->region, session, args->device, &outcome);
	if (device == 0)
		return outcome;
	outcome = check_entries(env, session, device, args, slots, &missing,
				&first);
	if (outcome.status != 0)
		return outcome;
	if (missing == 0 ||
	    (missing < args->count && !(args->flags & TENURE_WAIT_ALL))) {
		*ret_position = args->flags & TENURE_WAIT_ALL ? 0 : first;
		return outcome;
	}
	if (args->only_looks) {
		*ret_position = args->count;
		return outcome;
	}
	return begin(env, session, args, ticket, slots, missing);
}
