/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work checker: contexts, their timelines and words, and who uses what.
 *
 *	context --> word names it and it names the word
 *	   |    --> slot of its device names it
 *	   |--> timeline: retired slots that use it, values that only grow
 *	   \--> run: live context allocations, and the way back
 *
 * And what no record shows by itself: a context that has come to the first
 * value on its timeline is in its session's queue, one that ends and is quiet
 * too, and done never exceeds what was submitted. Without these garbage would
 * stay for ever in a state in which every number is right.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Each invariant, broken by hand, is reported (the test breaks them).
 */
#include "core/check_work.h"

#include "core/context.h"
#include "core/crowd.h"
#include "core/retire.h"
#include "core/timeline.h"
#include "core/uses.h"
#include "core/words.h"

/* One timeline on its way. */
struct walk {
	struct check *c;
	uint32_t session, context;
	uint64_t first, last;
	uint32_t items;
};

/* What one context alone uses stands behind that one, and far enough. */
static void check_place(const struct walk *w, uint64_t value, uint32_t item)
{
	const struct region *region = w->c->region;
	const struct words *words = &session_at(region, w->session)->words;
	const struct slot *slot = slot_at(region, item);

	if (slot_kind(slot) == KIND_RESOURCE || slot->use_who == USE_SET ||
	    slot->use_who == USE_ALL)
		return;
	check_expect(w->c, "context that an item waits for", item, w->context,
		     words_find(region, words, slot->use_who));
	check_expect(w->c, "value that an item waits for", item,
		     value >= slot->use_value, 1);
}

static void visit_item(void *context, uint64_t value, uint32_t item)
{
	struct walk *w = context;

	check_expect(w->c, "order of values on a timeline of session",
		     w->session, value >= w->last, 1);
	if (w->items == 0)
		w->first = value;
	w->last = value;
	w->items++;
	check_tally_item(w->c, w->session, item & ~ITEM_AGAIN);
	if (w->c->result == 0)
		check_place(w, value, item & ~ITEM_AGAIN);
}

/* What the next item goes by: the last record, and the value that it has. */
static void check_last(struct check *c, uint32_t index, uint64_t last)
{
	const struct timeline *t = &context_at(c->region, index)->timeline;
	uint64_t value = 0;

	check_expect(c, "tail of timeline of context", index, t->tail != 0,
		     t->head != 0);
	check_expect(c, "last record of timeline of context", index,
		     t->last <= t->used && t->used <= CHUNK_ITEMS, 1);
	if (c->result != 0)
		return;
	if (t->tail != 0)
		memcpy(&value, &chunk_at(c->region, t->tail)->items[t->last],
		       sizeof(value));
	check_expect(c, "value of the last record of context", index,
		     t->last_value, value);
	check_expect(c, "value of the last item of context", index, last,
		     value);
}

static void walk_timeline(struct check *c, uint32_t index)
{
	const struct context *x = context_at(c->region, index);
	struct walk w = { .c = c, .session = x->session, .context = index };

	c->chunks += timeline_walk(c->region, &x->timeline, visit_item, &w);
	check_expect(c, "first value of timeline of context", index,
		     x->timeline.first_value, w.first);
	check_expect(c, "last value of timeline of context", index,
		     w.items == 0 || w.last <= x->submitted, 1);
	check_last(c, index, w.last);
	c->items += w.items;
	c->streams++;
	c->sessions[x->session].parked += w.items;
}

static void walk_run(struct check *c, uint32_t index)
{
	const struct context *x = context_at(c->region, index);
	const uint32_t *run = x->count == 0 ? NULL :
					      block_at(c->region, x->run);

	check_hold_block(c, x->run, x->capacity * sizeof(uint32_t));
	for (uint32_t i = 0; i < x->count; i++) {
		const struct slot *slot = slot_at(c->region, run[i]);

		check_expect(c, "kind of context allocation", run[i],
			     slot_kind(slot), KIND_CONTEXT_ALLOCATION);
		check_expect(c, "state of context allocation", run[i],
			     slot_state(slot), SLOT_LIVE);
		check_expect(c, "context of context allocation", run[i],
			     slot->use_who, x->who);
		check_expect(c, "back-position of context allocation", run[i],
			     slot->allocation.position, i);
	}
}

static void check_names(struct check *c, uint32_t index)
{
	const struct context *x = context_at(c->region, index);
	const struct words *words = &session_at(c->region, x->session)->words;
	const struct slot *slot = slot_at(c->region, x->slot);

	check_expect(c, "context of its word", index,
		     words_find(c->region, words, x->who), index);
	check_expect(c, "kind of slot of context", index, slot_kind(slot),
		     KIND_CONTEXT);
	check_expect(c, "context of its slot", index, slot->context.context,
		     index);
	check_expect(c, "session of device of context", index,
		     device_at(c->region, x->device)->session, x->session);
}

static void check_phase(struct check *c, uint32_t index)
{
	const struct context *x = context_at(c->region, index);
	const struct device *d = device_at(c->region, x->device);
	bool removed = d->state == DEVICE_REMOVED;
	bool ending = x->state == CONTEXT_ENDING;

	check_expect(c, "done of context, not beyond submitted", index,
		     x->done <= x->submitted, 1);
	check_expect(c, "context of a removed device, ending", index,
		     removed && d->sweep != SWEEP_END && !ending, 0);
	check_expect(c, "context awaited", index, x->is_awaited,
		     ending && x->done < x->submitted);
	check_expect(c, "context with items to move in its queue", index,
		     x->is_reached, timeline_is_reached(&x->timeline, x->done));
	if (!removed)
		check_expect(c, "context that can go in its queue", index,
			     x->is_quiet, ending && context_is_quiet(x));
	c->sessions[x->session].quiescing += x->is_awaited;
}

/* Every word that can be given out is on the free list, once. */
static void walk_free_words(struct check *c, uint32_t session)
{
	const struct words *words = &session_at(c->region, session)->words;
	const struct word *all =
		words->used == 0 ? NULL : block_at(c->region, words->block);
	uint32_t at = words->first_free, n = 0, expected = 0;

	for (uint32_t i = 1; i < words->used; i++)
		expected += (all[i].what & WORD_FREE) &&
			    all[i].incarnation <= WORD_INCARNATION_LAST;
	for (; at != 0 && at < words->used && n <= expected; n++) {
		check_expect(c, "free word that is held", at,
			     all[at].what >= WORD_FREE, 1);
		at = all[at].what & ~WORD_FREE;
	}
	check_expect(c, "end of the free words of session", session, at, 0);
	check_expect(c, "free words of session", session, n, expected);
}

/* Every word that is held is held by something that names it. */
static void walk_words(struct check *c, uint32_t session)
{
	const struct words *words = &session_at(c->region, session)->words;
	uint32_t live = 0;

	check_hold_block(c, words->block,
			 words->capacity * sizeof(struct word));
	for (uint32_t i = 1; i < words->used; i++) {
		uint32_t what = words_holder(c->region, words, i);

		if (what == 0)
			continue;
		live++;
		check_expect(c, "holder of word", i,
			     what & WORD_FENCE ?
				     check_is_used(c, AREA_FENCES,
						   what & ~WORD_FENCE) :
				     check_is_used(c, AREA_CONTEXTS, what),
			     1);
	}
	check_expect(c, "words of session", session, words->live, live);
	walk_free_words(c, session);
}

void check_work(struct check *c)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < check_used(c, AREA_CONTEXTS); i++) {
		if (!check_is_used(c, AREA_CONTEXTS, i))
			continue;
		n++;
		check_tally_waiter(c, context_at(c->region, i)->waiter);
		check_names(c, i);
		walk_timeline(c, i);
		walk_run(c, i);
		check_phase(c, i);
	}
	check_expect(c, "contexts in all", 0, c->state->n_contexts, n);
	check_expect(c, "users in all", 0, c->users,
		     check_used(c, AREA_USERS) - 1 -
			     region_area(c->region, AREA_USERS)->free_count);
	for (uint32_t i = 1; i < check_used(c, AREA_SESSIONS); i++)
		if (check_is_used(c, AREA_SESSIONS, i))
			walk_words(c, i);
}

void check_tally_fence(struct check *c, uint32_t fence)
{
	if (check_is_used(c, AREA_FENCES, fence))
		c->fence_refs[fence]++;
	else
		check_expect(c, "fence of an opening or token", fence, 0, 1);
}

/* A wait counts with its client's crowd and with its principal's. */
static void tally_crowd(struct check *c, const struct wait *w)
{
	uint32_t session = waiter_at(c->region, w->waiter)->session;
	uint32_t principal = session_at(c->region, session)->principal;
	uint32_t crowds[2] = {
		crowd_find(c->region, w->fence, session),
		crowd_find(c->region, w->fence, principal | CROWD_PRINCIPAL),
	};

	for (int i = 0; i < 2; i++) {
		if (check_is_used(c, AREA_CROWDS, crowds[i]))
			c->crowd_waits[crowds[i]]++;
		else
			check_expect(c, "crowd of a wait for fence", w->fence,
				     crowds[i], 1);
	}
}

/* Whether it is to go, with its waiter or before. */
static bool is_decided(const struct check *c, const struct wait *w)
{
	return check_is_used(c, AREA_WAITERS, w->waiter) &&
	       waiter_at(c->region, w->waiter)->is_loose &&
	       (w->came || waiter_at(c->region, w->waiter)->decided);
}

/* The waits on a fence: whole, in time, and each known to its waiter. */
static void walk_waits(struct check *c, uint32_t fence)
{
	const struct fence *f = fence_at(c->region, fence);
	uint32_t index = f->first_wait, previous = 0, n = 0;

	while (index != 0 && n <= f->n_waits) {
		const struct wait *w;

		if (!check_is_used(c, AREA_WAITS, index)) {
			check_expect(c, "wait for fence", index, 0, 1);
			return;
		}
		w = wait_at(c->region, index);
		check_expect(c, "fence of wait", index, w->fence, fence);
		check_expect(c, "wait before wait", index, w->previous,
			     previous);
		if (check_is_used(c, AREA_WAITERS, w->waiter))
			tally_crowd(c, w);
		if (!is_decided(c, w)) {
			check_expect(c, "wait that should have ended", index,
				     w->value <= f->value, 0);
			check_tally_waiter(c, w->waiter);
		}
		check_expect(c, "wait that nobody will end", index,
			     (f->dead || w->came) && !is_decided(c, w), 0);
		previous = index;
		index = w->next;
		n++;
	}
	check_expect(c, "waits of fence", fence, n, f->n_waits);
	if (!f->dead)
		c->sessions[f->session].fence_waits += n;
}

/* A waiter's own list has as many as it still expects, or those that go. */
static void walk_waits_of(struct check *c, uint32_t waiter)
{
	const struct waiter *w = waiter_at(c->region, waiter);
	uint32_t index = w->first_wait, n = 0;

	if (w->opcode != WIRE_OP_FENCE_WAIT)
		return;
	for (uint32_t i = 0;
	     i <= FENCES_PER_WAIT_MAX && check_is_used(c, AREA_WAITS, index);
	     i++) {
		check_expect(c, "waiter of wait", index,
			     wait_at(c->region, index)->waiter, waiter);
		n += !is_decided(c, wait_at(c->region, index));
		index = wait_at(c->region, index)->next_own;
	}
	if (w->is_loose && w->decided)
		check_tally_waiter(c, waiter);
	else
		check_expect(c, "waits of waiter", waiter, n, w->remaining);
}

static void check_fence(struct check *c, uint32_t index)
{
	const struct fence *f = fence_at(c->region, index);
	const struct session *maker;

	check_expect(c, "references of fence", index, f->refs,
		     c->fence_refs[index]);
	walk_waits(c, index);
	if (f->dead) {
		check_expect(c, "dead fence that nobody knows", index,
			     f->refs == 0 && f->n_waits == 0, 0);
		check_expect(c, "maker of a dead fence", index, f->session, 0);
		return;
	}
	maker = session_at(c->region, f->session);
	check_expect(c, "fence of its word", index,
		     words_find(c->region, &maker->words, f->who),
		     WORD_FENCE | index);
	if (f->entry == 0)
		return;
	check_expect(c, "tag of published fence", index, f->tag != 0, 1);
	check_expect(c, "page of published fence", index,
		     maker->page_serial != 0 &&
			     maker->page_serial <= c->state->last_page,
		     1);
}

void check_fences(struct check *c)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < check_used(c, AREA_FENCES); i++) {
		if (!check_is_used(c, AREA_FENCES, i))
			continue;
		n++;
		check_fence(c, i);
	}
	check_expect(c, "fences in all", 0, c->state->n_fences, n);
	for (uint32_t i = 1; i < check_used(c, AREA_CROWDS); i++)
		if (check_is_used(c, AREA_CROWDS, i))
			check_expect(c, "waits of crowd", i,
				     crowd_at(c->region, i)->n_waits,
				     c->crowd_waits[i]);
	for (uint32_t i = 1; i < check_used(c, AREA_WAITERS); i++)
		if (check_is_used(c, AREA_WAITERS, i))
			walk_waits_of(c, i);
}
