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
 *  G4  How long a call takes does not depend on what the client stores into
 *      its words meanwhile.
 *
 * models/defer.pml has these rules once more, beside contexts that halt.
 */
#include "core/defer.h"

#include "core/context.h"
#include "core/retire.h"
#include "core/session.h"
#include "core/timeline.h"
#include "core/uses.h"
#include "core/words.h"

enum {
	TURN = 64,
	/* As many contexts as one allocation may have. */
	LOOKS = USERS_PER_ALLOCATION_MAX,
};

/*
 * The same after looking at the words of those who seem to be working: at each
 * once, and not at many. The client may store into them all the time, and what
 * has not been seen here is seen by whoever waits for it.
 */
static struct pending look(struct env *env, uint32_t session, uint32_t slot,
			   uint32_t after)
{
	struct pending p = uses_pending(&env->region, session, slot, after);
	uint32_t context = 0;

	for (int i = 0; i < LOOKS && p.context != 0 && p.context != context;
	     i++) {
		context = p.context;
		if (!context_look(env, context))
			break;
		p = uses_pending(&env->region, session, slot, after);
	}
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

/*
 * Lists: most allocations that work uses are used by one context, and a list
 * of them may go to as many timelines as it has entries. So it is gone through
 * in blocks, three at a time: of the first the contexts are found and their
 * lines asked for, of the second the places in their timelines, and the third
 * is put there.
 */
enum { BLOCK = 16 };

struct list {
	struct env *env;
	uint32_t session;
	struct slot *slots;
	struct context *contexts;
	struct chunk *chunks;
	struct words_table words;
	uint32_t found[3 * BLOCK]; /* the contexts of three blocks */
	uint32_t parked;
};

static void find_contexts(struct list *list, const uint32_t *slots,
			  uint32_t *found, uint32_t count)
{
	const struct words_table words = list->words;
	const struct slot *all = list->slots;

	static_assert((USE_NONE & WORD_MASK) == 0, "nobody has no word");
	for (uint32_t i = 0; i < count; i++) {
		found[i] = words_look_up(&words, all[slots[i]].use_who);
		__builtin_prefetch(&list->contexts[found[i]], 1);
	}
}

static void ask_timelines(const struct list *list, const uint32_t *found,
			  uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct timeline *t = &list->contexts[found[i]].timeline;

		__builtin_prefetch(&list->chunks[t->tail].items[t->used], 1);
	}
}

/* Whether the word of a context says no more than is known already. */
static inline bool says_nothing_new(const struct progress *progress,
				    const struct context *c)
{
	return progress->read == NULL || c->done == c->submitted ||
	       progress->read(progress->context, c->session,
			      c->who & WORD_MASK) <= c->done;
}

/* Whether the work of a context has not come to a value. */
static inline bool is_ahead(struct env *env, const struct context *c,
			    uint32_t context, uint64_t value)
{
	if (value <= c->done)
		return false;
	if (LIKELY(says_nothing_new(&env->config.progress, c)))
		return true;
	context_look(env, context);
	return value > c->done;
}

static void park_entry(struct list *list, struct context *c, uint32_t slot)
{
	struct region *region = &list->env->region;
	const struct slot *s = &list->slots[slot];

	if (list->parked++ == 0)
		session_await(list->env, list->session);
	if (s->waiter != 0)
		waiter_at(region, s->waiter)->device = c->device;
	if (timeline_extend(list->chunks, &c->timeline, s->use_value, slot))
		region_state(region)->n_items++;
	else
		timeline_append(region, &c->timeline, s->use_value, slot);
}

static void put_block(struct list *list, const uint32_t *slots,
		      const uint32_t *found, uint32_t count)
{
	struct region *region = &list->env->region;
	uint32_t free[BLOCK], n = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct context *c = &list->contexts[found[i]];

		if (found[i] != 0 && is_ahead(list->env, c, found[i],
					      list->slots[slots[i]].use_value))
			park_entry(list, c, slots[i]);
		else
			free[n++] = slots[i];
	}
	if (n == 0)
		return;
	stream_append_list(region, &session_at(region, list->session)->stream,
			   free, n);
	session_wake(list->env, list->session);
}

void defer_list(struct env *env, uint32_t session, const uint32_t *slots,
		uint32_t count)
{
	struct list list = {
		.env = env,
		.session = session,
		.slots = slot_at(&env->region, 0),
		.words = words_table(&env->region,
				     &session_at(&env->region, session)->words),
		.contexts = region_start(&env->region, AREA_CONTEXTS),
		.chunks = region_start(&env->region, AREA_CHUNKS),
	};

	for (uint32_t at = 0; at < count + 2 * BLOCK; at += BLOCK) {
		uint32_t *first = &list.found[at % (3 * BLOCK)];
		uint32_t *second = &list.found[(at + 2 * BLOCK) % (3 * BLOCK)];
		uint32_t *third = &list.found[(at + BLOCK) % (3 * BLOCK)];

		if (at < count)
			find_contexts(&list, slots + at, first,
				      (uint32_t)min_u64(count - at, BLOCK));
		if (at >= BLOCK && at - BLOCK < count)
			ask_timelines(&list, second,
				      (uint32_t)min_u64(count - (at - BLOCK),
							BLOCK));
		if (at >= 2 * BLOCK)
			put_block(&list, slots + at - 2 * BLOCK, third,
				  (uint32_t)min_u64(count - (at - 2 * BLOCK),
						    BLOCK));
	}
	session_at(&env->region, session)->n_parked += list.parked;
}

/* One item that others may use, too. */
static void move_on(struct env *env, uint32_t session, uint32_t context,
		    uint32_t slot, int64_t *budget)
{
	const struct slot *s = slot_at(&env->region, slot);
	struct pending p;

	if (slot_kind(s) == KIND_RESOURCE)
		*budget -= s->resource.count;
	p = look(env, session, slot, context);
	queue(env, session, slot, &p);
}

/* Up to count items of a context that has come to them, but only the one in
 * front when others may use that, too; how many. */
static uint32_t move_some(struct env *env, uint32_t session, uint32_t context,
			  uint32_t count, int64_t *budget)
{
	struct region *region = &env->region;
	struct context *c = context_at(region, context);
	uint32_t items[TURN];
	uint32_t n = timeline_take(region, &c->timeline, c->done, items, count);

	session_at(region, session)->n_parked -= n;
	*budget -= n;
	if (n == 1 && (items[0] & ITEM_AGAIN)) {
		move_on(env, session, context, items[0] & ~ITEM_AGAIN, budget);
	} else if (n > 0) {
		stream_append_list(region, &session_at(region, session)->stream,
				   items, n);
		session_wake(env, session);
	}
	return n;
}

/* Asks for what the contexts behind this one in the queue need. */
static void ask_next(const struct region *region, const struct context *c)
{
	const struct context *contexts = region_start(region, AREA_CONTEXTS);
	const struct chunk *chunks = region_start(region, AREA_CHUNKS);
	const struct context *next = &contexts[c->record.link];
	const struct timeline *t = &next->timeline;

	__builtin_prefetch(&chunks[t->head].items[t->read]);
	__builtin_prefetch(&contexts[next->record.link], 1);
}

bool defer_move(struct env *env, uint32_t session, int64_t *budget)
{
	struct region *region = &env->region;
	struct session *s = session_at(region, session);
	uint32_t context = queue_take(region, &s->reached, LINK_REACHED);
	uint32_t turn = 0, n = 1;
	struct context *c;

	if (context == 0)
		return false;
	c = context_at(region, context);
	ask_next(region, c);
	while (n > 0 && *budget > 0 && turn < TURN) {
		n = move_some(env, session, context,
			      (uint32_t)min_u64(TURN - turn, (uint64_t)*budget),
			      budget);
		turn += n;
	}
	c->is_reached = 0;
	context_settle(env, context);
	return true;
}
