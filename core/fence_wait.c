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
 * belongs to it leaves the lists before it is answered. Timeouts are the
 * client's affair: it cancels. A request that only looks leaves nothing behind.
 * How many waits a fence has and how many fences a wait names are both limited,
 * and a wait is charged for each.
 *
 * So a signal is bounded work, but the bound is a thousand waiters with 64 waits
 * each, on lists and in crowds that lie anywhere: some 40 ms. What takes that
 * long is not to decide, which is a note in each waiter, but to let the waits
 * go. So the signal, or the end of a fence, only decides, at once and for all:
 * who has come, and who has lost, does not depend on what happens later. Whoever
 * has waits to let go is *loose* then. A few waiters the decision lets go
 * itself, at its end, so that who waits with few others hears at once; the rest
 * go in the turns of their own clients, a waiter at a time (core/reclaim.c).
 * A waiter is answered when all his waits have gone. Until then they still
 * count, and keep the record of a fence that is dead. What turns spend on them
 * is owed like garbage (daemon/turn.c), so it is not garbage that pays. To
 * decide takes 0.1 to 0.3 ms for the thousand waits of a
 * fence, and 2 ms for those of 64, whose maker has stored into all and waits.
 *
 *	signal --> waits of the fence: decided, decided, came, decided ...
 *	                           |      \--> loose waiters of each client
 *	                           +--> a few: answer
 *	client's turn --> waits of one waiter go --> answer
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
 *  G6  A signal, or the end of a fence, lets go no more than 128 waits by
 *      itself; a turn lets go those of one waiter at a time.
 *  G7  What a signal or an end has decided stays so, whatever happens before
 *      the answer.
 */
#include "core/fence_wait.h"

#include "core/crowd.h"
#include "core/fence.h"
#include "core/rules.h"
#include "core/session.h"
#include "core/waiter.h"

/* What a decision lets go by itself: so many waiters, with so many waits. */
enum { AT_ONCE_MAX = 16, AT_ONCE_WAITS = 128 };

static_assert(AT_ONCE_WAITS >= (int)FENCES_PER_WAIT_MAX, "any waiter, alone");

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
	crowd_leave(region, w->fence, waiter_at(region, w->waiter)->session);
	fence_unwait(env, w->fence);
	pool_give(region, AREA_WAITS, index);
}

/* What is decided of a waiter leaves the lists, and so does a waiter of which
 * all is. It is not loose, or does not go on to be. */
static void tidy(struct env *env, uint32_t waiter)
{
	struct waiter *w = waiter_at(&env->region, waiter);
	uint32_t *link = &w->first_wait;

	while (*link != 0) {
		uint32_t index = *link;
		struct wait *wait = wait_at(&env->region, index);

		if (!w->decided && !wait->came) {
			link = &wait->next_own;
			continue;
		}
		*link = wait->next_own;
		remove_wait(env, index);
	}
	if (w->decided)
		waiter_done(env, waiter);
}

/* The waiters that have waits to let go by one decision: those that the caller
 * of loosen() may let go himself. */
struct few {
	uint32_t waiter[AT_ONCE_MAX];
	uint32_t n, waits;
};

/* Some waits of it are to go: soon, or when its client has its turn. */
static void loosen(struct env *env, uint32_t waiter, struct few *few)
{
	struct waiter *w = waiter_at(&env->region, waiter);
	struct state *state = region_state(&env->region);

	if (w->is_loose)
		return;
	w->is_loose = 1;
	if (few->n < AT_ONCE_MAX && few->waits + w->cost <= AT_ONCE_WAITS) {
		few->waits += w->cost;
		few->waiter[few->n++] = waiter;
		return;
	}
	state->n_loose_waits += w->cost;
	state->loosened_total += w->cost;
	queue_put(&env->region, &session_at(&env->region, w->session)->loose,
		  LINK_LOOSE, waiter);
	session_wake(env, w->session);
}

static void let_go(struct env *env, const struct few *few)
{
	for (uint32_t i = 0; i < few->n; i++) {
		waiter_at(&env->region, few->waiter[i])->is_loose = 0;
		tidy(env, few->waiter[i]);
	}
}

/* All that it waited for is one thing now: that its waits go. */
static void decide(struct waiter *w)
{
	stored();
	w->decided = 1;
	w->remaining = 1;
}

static void fail(struct env *env, uint32_t waiter, int status,
		 enum tenure_reason reason)
{
	struct waiter *w = waiter_at(&env->region, waiter);

	w->status = status;
	w->reason = reason;
	decide(w);
}

/* One of those that it waits for has come, perhaps the last. */
static void arrive(struct env *env, struct wait *wait, struct few *few)
{
	struct waiter *w = waiter_at(&env->region, wait->waiter);

	if (w->any || w->remaining == 1) {
		w->value = w->any ? wait->position : 0;
		decide(w);
	} else {
		wait->came = 1;
		w->remaining--;
	}
	loosen(env, wait->waiter, few);
}

/* Whether what becomes of it is not decided yet. */
static bool is_open(const struct env *env, const struct wait *wait)
{
	return !wait->came && !waiter_at(&env->region, wait->waiter)->decided;
}

void fence_wait_wake(struct env *env, uint32_t fence)
{
	const struct fence *f = fence_at(&env->region, fence);
	uint32_t index = f->first_wait;
	struct few few;

	few.n = few.waits = 0;
	while (index != 0) {
		struct wait *w = wait_at(&env->region, index);

		if (w->value <= f->value && is_open(env, w))
			arrive(env, w, &few);
		index = w->next;
	}
	let_go(env, &few);
}

void fence_wait_fail(struct env *env, uint32_t fence, uint32_t slot)
{
	uint32_t index = fence_at(&env->region, fence)->first_wait;
	struct few few;

	few.n = few.waits = 0;
	while (index != 0) {
		const struct wait *w = wait_at(&env->region, index);

		if ((slot == 0 || w->slot == slot) && is_open(env, w)) {
			fail(env, w->waiter, -ENODEV, TENURE_REASON_FENCE_GONE);
			loosen(env, w->waiter, &few);
		}
		index = w->next;
	}
	let_go(env, &few);
}

/* It is in no queue of loose ones any more. */
static void take_loose(struct env *env, uint32_t waiter)
{
	struct waiter *w = waiter_at(&env->region, waiter);

	if (w->is_loose)
		region_state(&env->region)->n_loose_waits -= w->cost;
	w->is_loose = 0;
}

void fence_wait_tidy(struct env *env, uint32_t session, int64_t *budget)
{
	const struct area_head *waits = region_area(&env->region, AREA_WAITS);
	uint32_t before = waits->free_count;
	uint32_t waiter = queue_take(&env->region,
				     &session_at(&env->region, session)->loose,
				     LINK_LOOSE);

	take_loose(env, waiter);
	tidy(env, waiter);
	*budget -= 1 + WAIT_VISITS * (waits->free_count - before);
}

void fence_wait_forget(struct env *env, uint32_t session)
{
	uint32_t waiter = session_at(&env->region, session)->first_waiter;

	while (waiter != 0) {
		struct waiter *w = waiter_at(&env->region, waiter);
		uint32_t next = w->next_own;

		if (w->opcode == WIRE_OP_FENCE_WAIT &&
		    w->phase == WAITER_PENDING) {
			take_loose(env, waiter);
			fail(env, waiter, -ECANCELED,
			     TENURE_REASON_WAIT_CANCELLED);
			tidy(env, waiter);
		}
		waiter = next;
	}
	session_at(&env->region, session)->loose = (struct queue){ 0 };
}

/* Ends one of that id, if need be of those that a descriptor answers. */
static bool try_cancel(struct env *env, uint32_t session, uint64_t id,
		       bool watches_only)
{
	uint32_t waiter = session_at(&env->region, session)->first_waiter;

	while (waiter != 0) {
		const struct waiter *w = waiter_at(&env->region, waiter);

		if (w->opcode == WIRE_OP_FENCE_WAIT && w->id == id &&
		    w->phase == WAITER_PENDING && !w->decided &&
		    (w->port == BROKER_PORT_WATCH || !watches_only)) {
			fail(env, waiter, -ECANCELED,
			     TENURE_REASON_WAIT_CANCELLED);
			if (!w->is_loose)
				tidy(env, waiter);
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
