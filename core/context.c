/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Context: a queue of work with one timeline that only its owner advances.
 *
 *	            done           submitted
 *	0 ===========|.................|------------------->  values
 *	  work ended    work in flight    never heard of
 *
 * Work is done by the client's process, not here. The client says which
 * allocations a piece of work uses and at which value it ends (submit), and
 * later that it has come so far (progress): by a message, or by storing the
 * value into a word that the daemon reads. What counts is the greater of the
 * two, ever: going back is ignored, and so is what lies beyond the last value
 * submitted, since work that was never announced cannot have ended. A client
 * that lies says of its own memory that it is no longer used, and of nobody
 * else's: others who hold the same memory have openings of their own.
 *
 *	LIVE --destroy, removal, death--> ENDING --quiet--> freed
 *
 * An ENDING context takes no more work and still makes progress, also by
 * message, or it could never end. It is quiet when its work is done and
 * nothing is parked on its timeline; terminating it says that its work counts
 * as done now.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  done never goes back and never exceeds submitted.
 *  G2  A refused submit has noted no use.
 *  G3  A context is freed when it is quiet, and not before.
 *  G4  A context that came to a value with something parked there is in its
 *      session's queue, and the session on the ring.
 */
#include "core/context.h"

#include "core/retire.h"
#include "core/session.h"
#include "core/timeline.h"
#include "core/uses.h"
#include "core/waiter.h"
#include "core/words.h"

/* Its device may be going already: then it can still make progress. */
static uint32_t find_device(const struct env *env, uint32_t session,
			    uint64_t device, bool ending, struct outcome *ret)
{
	enum tenure_reason reason;
	struct slot *slot;

	if (!ending)
		return rules_device(&env->region, session, device, ret);
	slot = rules_find(&env->region, session, 0, KIND_DEVICE, device,
			  TENURE_REASON_DEVICE_INVALID, &reason);
	*ret = slot == NULL ? refuse(-EINVAL, reason) : outcome_ok();
	return slot == NULL ? 0 : slot->device.device;
}

uint32_t context_find(const struct env *env, uint32_t session, uint64_t device,
		      uint64_t context, bool ending, struct outcome *ret)
{
	uint32_t d = find_device(env, session, device, ending, ret);
	enum tenure_reason reason;
	struct slot *slot;

	if (d == 0)
		return 0;
	slot = rules_find(&env->region, session, d, KIND_CONTEXT, context,
			  TENURE_REASON_CONTEXT_INVALID, &reason);
	if (slot == NULL) {
		*ret = refuse(-EINVAL, reason);
		return 0;
	}
	if (!ending && context_at(&env->region, slot->context.context)->state ==
			       CONTEXT_ENDING) {
		*ret = refuse(-EINVAL, TENURE_REASON_CONTEXT_ENDING);
		return 0;
	}
	return slot->context.context;
}

static struct outcome afford(struct env *env, uint32_t session, uint32_t device)
{
	const struct bill bill = { .amount = { [CHARGE_HANDLES] = 1 } };
	struct region *region = &env->region;
	struct outcome outcome = session_afford(env, session, &bill, &bill);
	int r;

	if (outcome.status == 0)
		outcome = session_reserve_slots(
			env, session, &device_at(region, device)->owner, 1);
	if (outcome.status != 0)
		return outcome;
	r = words_reserve(region, &session_at(region, session)->words);
	if (r == -EDQUOT)
		return refuse(-EDQUOT, TENURE_REASON_CLIENT_WORDS);
	if (r != 0 || pool_reserve(region, AREA_CONTEXTS, 1) != 0 ||
	    stream_reserve_another(region) != 0)
		return refuse_memory();
	return outcome;
}

static void link_context(struct env *env, uint32_t context)
{
	struct context *c = context_at(&env->region, context);
	struct device *d = device_at(&env->region, c->device);

	c->next = d->first_context;
	if (c->next != 0)
		context_at(&env->region, c->next)->previous = context;
	d->first_context = context;
	region_state(&env->region)->n_contexts++;
	region_state(&env->region)->n_streams++;
}

static void unlink_context(struct env *env, const struct context *c)
{
	struct device *d = device_at(&env->region, c->device);

	if (d->unquiet != 0 && context_at(&env->region, d->unquiet) == c)
		d->unquiet = c->next;
	if (c->next != 0)
		context_at(&env->region, c->next)->previous = c->previous;
	if (c->previous != 0)
		context_at(&env->region, c->previous)->next = c->next;
	else
		d->first_context = c->next;
	region_state(&env->region)->n_contexts--;
	region_state(&env->region)->n_streams--;
}

struct outcome context_create(struct env *env, uint32_t session,
			      uint64_t device, uint64_t *ret_context,
			      uint32_t *ret_word)
{
	const struct progress *progress = &env->config.progress;
	struct region *region = &env->region;
	struct session *s = session_at(region, session);
	struct outcome outcome;
	uint32_t d = rules_device(region, session, device, &outcome), index;
	struct context *c;

	if (d == 0)
		return outcome;
	outcome = afford(env, session, d);
	if (outcome.status != 0)
		return outcome;
	index = pool_take(region, AREA_CONTEXTS);
	c = context_at(region, index);
	c->session = (uint16_t)session;
	c->device = d;
	c->who = words_take(region, &s->words, index);
	c->slot = table_take(region, &device_at(region, d)->owner);
	slot_at(region, c->slot)->context.context = index;
	link_context(env, index);
	*ret_word = c->who & WORD_MASK;
	if (progress->reset != NULL)
		progress->reset(progress->context, session, *ret_word, 0);
	*ret_context =
		session_slot_publish(env, session, c->slot, KIND_CONTEXT);
	return outcome;
}

static void push_reached(struct env *env, uint32_t context)
{
	struct context *c = context_at(&env->region, context);
	struct queue *queue = &session_at(&env->region, c->session)->reached;

	if (c->is_reached)
		return;
	c->is_reached = 1;
	queue_put(&env->region, queue, LINK_REACHED, context);
}

/* It can go; if its device goes too, that one's sweep will take it. */
static void push_quiet(struct env *env, uint32_t context)
{
	struct context *c = context_at(&env->region, context);
	struct queue *queue = &session_at(&env->region, c->session)->quiet;

	if (c->is_quiet ||
	    device_at(&env->region, c->device)->state == DEVICE_REMOVED)
		return;
	c->is_quiet = 1;
	queue_put(&env->region, queue, LINK_QUIET, context);
}

bool context_is_quiet(const struct context *context)
{
	return context->done == context->submitted &&
	       timeline_is_empty(&context->timeline);
}

void context_settle(struct env *env, uint32_t context)
{
	struct context *c = context_at(&env->region, context);
	bool ending = c->state == CONTEXT_ENDING;

	if (ending && c->is_awaited && c->done == c->submitted) {
		c->is_awaited = 0;
		session_at(&env->region, c->session)->n_quiescing--;
	}
	if (timeline_is_reached(&c->timeline, c->done)) {
		push_reached(env, context);
		session_wake(env, c->session);
	} else if (ending && context_is_quiet(c)) {
		push_quiet(env, context);
		session_wake(env, c->session);
	}
}

/* The greatest that was ever said counts, up to what was submitted. */
static bool advance(struct env *env, uint32_t context, uint64_t value)
{
	struct context *c = context_at(&env->region, context);

	value = min_u64(value, c->submitted);
	if (value <= c->done)
		return false;
	c->done = value;
	context_settle(env, context);
	return true;
}

bool context_look(struct env *env, uint32_t context)
{
	const struct progress *progress = &env->config.progress;
	const struct context *c = context_at(&env->region, context);

	if (progress->read == NULL || c->done == c->submitted)
		return false;
	return advance(env, context,
		       progress->read(progress->context, c->session,
				      c->who & WORD_MASK));
}

struct outcome context_progress(struct env *env, uint32_t session,
				uint64_t device, uint64_t context,
				uint64_t value)
{
	struct outcome outcome;
	uint32_t index =
		context_find(env, session, device, context, true, &outcome);

	if (index != 0)
		advance(env, index, value);
	return outcome;
}

/* What is the same for all entries of a submit. */
struct entries {
	const uint64_t *list;
	uint32_t count, session, device, owner, who;
	uint64_t secret;
	/* The last other context that an entry had been used by, and the last
	 * of its values that is done: nearly always that of the next, too. */
	uint32_t other;
	uint64_t other_done;
	uint32_t *slots;
	/* What they cost; whether each notes its use in its own slot alone. */
	uint32_t cost;
	bool plain;
};

/*
 * Nearly always an entry is in use by nobody else, and one look at its slot
 * says so. Goes to the first that is not so plain, and returns its position.
 */
static uint32_t pass_plain(const struct region *region,
			   const struct entries *entries, uint32_t from,
			   uint32_t to)
{
	const struct slot *all = slot_at(region, 0);
	const struct entries e = *entries;
	uint32_t i;

	for (i = from; i < to; i++) {
		struct handle handle = handle_from_wire(e.list[i], e.secret);
		const struct slot *slot = &all[e.slots[i]];

		if (e.slots[i] == 0 || !control_peek(&slot->control, handle) ||
		    !(slot->use_who == e.who || slot->use_who == USE_NONE ||
		      (slot->use_who == e.other &&
		       slot->use_value <= e.other_done)))
			break;
	}
	return i;
}

static struct outcome check_entry(struct env *env, struct entries *e,
				  uint32_t i)
{
	const struct region *region = &env->region;
	enum tenure_reason reason;
	struct slot *slot;
	int cost;

	if (e->list[i] == 0)
		return refuse_entry(-EINVAL, TENURE_REASON_ENTRY_ZERO, i);
	slot = rules_find(region, e->session, e->device, KIND_ALLOCATION,
			  e->list[i], TENURE_REASON_ENTRY_INVALID, &reason);
	if (slot == NULL)
		return refuse_entry(-EINVAL, reason, i);
	cost = uses_cost(region, e->session, slot, e->who);
	if (cost < 0)
		return refuse_entry(cost, TENURE_REASON_USERS_TOO_MANY, i);
	e->slots[i] = slot_index(region, slot);
	e->cost += (uint32_t)cost;
	if (cost > 0 || slot->use_who == USE_SET) {
		e->plain = false;
	} else {
		e->other = slot->use_who;
		e->other_done = uses_done(region, e->session, slot->use_who);
	}
	return outcome_ok();
}

/* Entries in order; their slots go to the scratch. */
static struct outcome check_entries(struct env *env, struct entries *e)
{
	const struct region *region = &env->region;
	uint32_t next = (uint32_t)min_u64(RULES_BLOCK, e->count), at = 0;

	rules_name(region, e->secret, e->owner, e->list, 0, next, e->slots);
	while (at < e->count) {
		uint32_t to = next;

		next = (uint32_t)min_u64(to + RULES_BLOCK, e->count);
		rules_name(region, e->secret, e->owner, e->list, to, next,
			   e->slots);
		while ((at = pass_plain(region, e, at, to)) < to) {
			struct outcome outcome = check_entry(env, e, at++);

			if (outcome.status != 0)
				return outcome;
		}
	}
	return outcome_ok();
}

static void note_plain(const struct region *region, const struct entries *e,
		       uint64_t value)
{
	struct slot *all = slot_at(region, 0);
	const uint32_t *slots = e->slots;
	uint32_t who = e->who, count = e->count;

	for (uint32_t i = 0; i < count; i++)
		uses_note_alone(&all[slots[i]], who, value);
}

static void note_entries(struct region *region, const struct entries *e,
			 uint64_t value)
{
	if (e->plain) {
		note_plain(region, e, value);
		return;
	}
	for (uint32_t i = 0; i < e->count; i++)
		uses_note(region, e->session, slot_at(region, e->slots[i]),
			  e->who, value);
}

static struct outcome check_submit(struct env *env, uint32_t session,
				   const struct submit_args *args,
				   uint32_t *ret_context)
{
	struct outcome outcome;
	const struct context *c;

	if (args->count > LIST_ENTRIES_MAX)
		return refuse(-EINVAL, TENURE_REASON_LIST_TOO_LONG);
	if (args->list_bytes < args->count * sizeof(args->list[0]))
		return refuse(-EINVAL, TENURE_REASON_LIST_TRUNCATED);
	*ret_context = context_find(env, session, args->device, args->context,
				    false, &outcome);
	if (*ret_context == 0)
		return outcome;
	c = context_at(&env->region, *ret_context);
	if (args->value == 0)
		return refuse(-EINVAL, TENURE_REASON_VALUE_ZERO);
	if (args->value < c->submitted)
		return refuse(-EINVAL, TENURE_REASON_VALUE_BACKWARDS);
	return outcome;
}

/* So many records of who uses what are there, and may be taken. */
static struct outcome afford_users(struct region *region, uint32_t session,
				   uint32_t count)
{
	const struct session *s = session_at(region, session);
	const struct principal *p = principal_at(region, s->principal);

	if (count == 0)
		return outcome_ok();
	if (s->n_users + count > USERS_PER_CLIENT_MAX)
		return refuse(-EDQUOT, TENURE_REASON_CLIENT_USERS);
	if (p->n_users + count > USERS_PER_PRINCIPAL_MAX)
		return refuse(-EDQUOT, TENURE_REASON_PRINCIPAL_USERS);
	if (pool_reserve(region, AREA_USERS, count) != 0)
		return refuse_memory();
	return outcome_ok();
}

struct outcome context_submit(struct env *env, uint32_t session,
			      const struct submit_args *args,
			      struct rules_scratch *scratch)
{
	struct region *region = &env->region;
	uint32_t index;
	struct outcome outcome = check_submit(env, session, args, &index);
	struct entries entries = {
		.list = args->list,
		.count = args->count,
		.session = session,
		.secret = session_at(region, session)->secret,
		.slots = scratch->slots,
		.plain = true,
	};
	struct context *c;

	if (outcome.status != 0)
		return outcome;
	c = context_at(region, index);
	entries.device = c->device;
	entries.owner = owner_of_device(c->device);
	entries.who = c->who;
	outcome = check_entries(env, &entries);
	if (outcome.status != 0)
		return outcome;
	outcome = afford_users(region, session, entries.cost);
	if (outcome.status != 0)
		return outcome;
	note_entries(region, &entries, args->value);
	c->submitted = args->value;
	return outcome;
}

struct outcome context_destroy(struct env *env, uint32_t session,
			       uint64_t device, uint64_t context,
			       uint32_t flags, const struct ticket *ticket)
{
	struct outcome outcome;
	uint32_t index, waiter;

	if (flags & ~(uint32_t)TENURE_END_TERMINATE)
		return refuse(-EINVAL, TENURE_REASON_FLAGS_RESERVED);
	index = context_find(env, session, device, context, false, &outcome);
	if (index == 0)
		return outcome;
	context_look(env, index);
	if (context_is_quiet(context_at(&env->region, index)) &&
	    context_at(&env->region, index)->count == 0) {
		context_free(env, index);
		return outcome;
	}
	waiter = waiter_new(env, session, ticket, WIRE_OP_CONTEXT_DESTROY,
			    &outcome);
	if (waiter == 0)
		return outcome;
	waiter_expect(env, waiter, 1);
	context_at(&env->region, index)->waiter = waiter;
	context_end(env, index, (flags & TENURE_END_TERMINATE) != 0);
	outcome.later = true;
	return outcome;
}

void context_end(struct env *env, uint32_t context, bool terminate)
{
	struct context *c = context_at(&env->region, context);

	c->state = CONTEXT_ENDING;
	if (terminate)
		advance(env, context, c->submitted);
	else
		context_look(env, context);
	if (c->done < c->submitted && !c->is_awaited) {
		session_await(env, c->session);
		c->is_awaited = 1;
		session_at(&env->region, c->session)->n_quiescing++;
	}
	context_settle(env, context);
}

/* Nobody pins a context, so its slot is free at once. */
void context_free(struct env *env, uint32_t context)
{
	struct region *region = &env->region;
	struct context *c = context_at(region, context);
	uint32_t session = c->session, waiter = c->waiter;
	bool reclaimed;

	assert(context_is_quiet(c) && c->count == 0);
	assert(!c->is_reached && !c->is_quiet && !c->is_awaited);
	words_give(region, &session_at(region, session)->words, c->who);
	table_retire(slot_at(region, c->slot));
	reclaimed = table_try_reclaim(
		region, &device_at(region, c->device)->owner, c->slot);
	assert(reclaimed);
	session_release(env, session, CHARGE_HANDLES, 1);
	unlink_context(env, c);
	block_free(region, c->run, c->capacity * sizeof(uint32_t));
	pool_give(region, AREA_CONTEXTS, context);
	waiter_done(env, waiter);
}
