/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebuild, the work: contexts and fences that a slot names, their words, and
 * who uses which allocation.
 *
 *	slot LIVE --> context, fence --who--> word of the session
 *	users --slot--> allocation with a set of them
 *
 * A context or fence that is there has the word that it names, in that
 * incarnation. Every other word is free in its next incarnation, whether it
 * was given back before or never came to be used: nobody can have its name.
 * A fence that was dying is dead: what its maker had stored counts, and nobody
 * reads it in a page any more.
 *
 * A use by work that was never submitted is cut back to what was, which makes
 * a destroy wait at most longer.
 */
#include "core/rebuild_part.h"

#include "core/uses.h"
#include "core/words.h"

static struct word *word_at(const struct rebuild *r, const struct words *words,
			    uint32_t number)
{
	return (struct word *)block_at(r->region, words->block) + number;
}

/* ---- Words ---- */

static void forget_holders(struct rebuild *r, struct words *words)
{
	words->live = 0;
	words->first_free = 0;
	if (words->block == 0)
		words->used = words->capacity = 0;
	for (uint32_t i = 1; i < words->used; i++)
		word_at(r, words, i)->what = WORD_FREE;
}

static void note_holder(struct rebuild *r, uint32_t session, uint32_t who,
			uint32_t what)
{
	struct words *words = &session_at(r->region, session)->words;
	struct word *word = word_at(r, words, who & WORD_MASK);

	assert((who & WORD_MASK) > 0 && (who & WORD_MASK) < words->used);
	word->what = what;
	word->incarnation = who >> WORD_BITS;
	words->live++;
}

static void free_words(struct rebuild *r, struct words *words)
{
	for (uint32_t i = words->used; i-- > 1;) {
		struct word *word = word_at(r, words, i);

		if (!(word->what & WORD_FREE) ||
		    word->incarnation > WORD_INCARNATION_LAST)
			continue;
		if (word->incarnation++ == WORD_INCARNATION_LAST)
			continue;
		word->what = WORD_FREE | words->first_free;
		words->first_free = i;
	}
}

/* ---- Contexts ---- */

static void link_context(struct rebuild *r, uint32_t index)
{
	struct context *c = context_at(r->region, index);
	struct device *d = device_at(r->region, c->device);

	c->previous = 0;
	c->next = d->first_context;
	if (c->next != 0)
		context_at(r->region, c->next)->previous = index;
	d->first_context = d->unquiet = index;
	c->timeline = (struct timeline){ 0 };
	c->is_reached = c->is_quiet = c->is_awaited = 0;
	c->record.link = c->next_quiet = 0;
	c->count = 0;
	if (d->state == DEVICE_REMOVED)
		c->state = CONTEXT_ENDING;
	if (c->state != CONTEXT_ENDING)
		c->waiter = 0;
	note_holder(r, c->session, c->who, index);
	r->state->n_contexts++;
	r->state->n_streams++;
}

/* ---- Fences ---- */

static void visit_opening(struct rebuild *r, uint32_t session, uint32_t index,
			  struct slot *slot)
{
	struct fence *f;

	if (slot_kind(slot) != KIND_FENCE)
		return;
	f = fence_at(r->region, slot->fence.fence);
	f->refs++;
	device_at(r->region, table_device(r->region, index))->n_fences++;
	if (!slot->fence.own)
		return;
	f->dead = 0;
	f->session = session;
	note_holder(r, session, f->who, WORD_FENCE | slot->fence.fence);
}

/*
 * The maker destroyed it, and that was cut short: what it had stored by then
 * counts, and whoever reads the fence in the maker's page is told that it has
 * ended. One that names its maker has not come to that yet.
 */
static void end_fence(struct rebuild *r, struct fence *f)
{
	const struct progress *progress = &r->env->config.progress;

	if (f->session == 0)
		return;
	if (progress->read != NULL && (f->who & WORD_MASK) != 0)
		f->value = max_u64(f->value,
				   progress->read(progress->context, f->session,
						  f->who & WORD_MASK));
	if (f->entry != 0 && progress->read_entry != NULL)
		f->value = max_u64(f->value,
				   progress->read_entry(progress->context,
							f->session, f->entry));
	if (f->entry != 0 && progress->end_entry != NULL)
		progress->end_entry(progress->context, f->session, f->entry);
	stored();
	f->session = 0;
}

/* Dead is who has no opening of its maker any more. */
static void settle_fences(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_FENCES)->used;
	uint32_t tokens = region_area(r->region, AREA_TOKENS)->used;

	for (uint32_t i = 1; i < used; i++) {
		struct fence *f = fence_at(r->region, i);

		f->refs = f->first_wait = f->n_waits = 0;
		f->dead = 1;
		r->state->n_fences += f->record.in_use;
	}
	rebuild_each_slot(r, visit_opening);
	for (uint32_t i = 1; i < tokens; i++)
		if (rebuild_is_used(r, AREA_TOKENS, i) &&
		    token_at(r->region, i)->object == 0)
			fence_at(r->region, token_at(r->region, i)->fence)
				->refs++;
	for (uint32_t i = 1; i < used; i++) {
		struct fence *f = fence_at(r->region, i);

		if (f->dead)
			end_fence(r, f);
	}
	rebuild_free_list(r, AREA_FENCES);
}

/* ---- Uses ---- */

static uint64_t cut(const struct rebuild *r, uint32_t session, uint32_t who,
		    uint64_t value)
{
	const struct words *words = &session_at(r->region, session)->words;
	uint32_t context = words_find(r->region, words, who);

	if (context == 0 || (context & WORD_FENCE))
		return value;
	return min_u64(value, context_at(r->region, context)->submitted);
}

static void visit_uses(struct rebuild *r, uint32_t session, uint32_t index,
		       struct slot *slot)
{
	const struct words *words = &session_at(r->region, session)->words;
	struct context *c;
	uint32_t *run;

	if (slot_kind(slot) != KIND_ALLOCATION &&
	    slot_kind(slot) != KIND_CONTEXT_ALLOCATION)
		return;
	if (slot->use_who == USE_SET)
		slot->use_value = 0;
	else if (slot->use_who != USE_ALL)
		slot->use_value =
			cut(r, session, slot->use_who, slot->use_value);
	if (slot_kind(slot) == KIND_ALLOCATION || slot->use_who == USE_ALL ||
	    slot_state(slot) != SLOT_LIVE)
		return;
	c = context_at(r->region, words_find(r->region, words, slot->use_who));
	assert(c->count < c->capacity);
	run = block_at(r->region, c->run);
	slot->allocation.position = (uint16_t)c->count;
	run[c->count++] = index;
}

static bool is_in_use(const struct slot *slot)
{
	return slot_state(slot) == SLOT_LIVE ||
	       slot_state(slot) == SLOT_RETIRED;
}

/* A record belongs to the slot that it names, while that has a set. */
static void attach_users(struct rebuild *r, uint32_t index)
{
	struct users *u = users_at(r->region, index);
	uint32_t all = region_area(r->region, AREA_SEGMENTS)->used
		       << SEGMENT_SLOTS_LOG2;
	uint32_t session;
	struct slot *slot;

	slot = slot_at(r->region, u->slot < all ? u->slot : 0);
	if (u->slot == 0 || !is_in_use(slot) || slot->use_who != USE_SET) {
		u->record.in_use = 0;
		u->slot = 0;
		return;
	}
	u->record.in_use = 1;
	u->next = (uint32_t)slot->use_value;
	slot->use_value = index;
	session =
		device_at(r->region, table_device(r->region, u->slot))->session;
	session_at(r->region, session)->n_users++;
	principal_at(r->region, session_at(r->region, session)->principal)
		->n_users++;
	for (int i = 0; i < USERS_IN_RECORD; i++)
		u->value[i] = cut(r, session, u->who[i], u->value[i]);
}

void rebuild_work(struct rebuild *r)
{
	uint32_t sessions = region_area(r->region, AREA_SESSIONS)->used;
	uint32_t contexts = region_area(r->region, AREA_CONTEXTS)->used;
	uint32_t users = region_area(r->region, AREA_USERS)->used;

	for (uint32_t i = 1; i < sessions; i++)
		if (rebuild_is_session(r, i))
			forget_holders(r, &session_at(r->region, i)->words);
	for (uint32_t i = 1; i < contexts; i++)
		if (rebuild_is_used(r, AREA_CONTEXTS, i))
			link_context(r, i);
	rebuild_free_list(r, AREA_CONTEXTS);
	settle_fences(r);
	for (uint32_t i = 1; i < sessions; i++)
		if (rebuild_is_session(r, i))
			free_words(r, &session_at(r->region, i)->words);
	rebuild_each_slot(r, visit_uses);
	for (uint32_t i = 1; i < users; i++)
		attach_users(r, i);
	rebuild_free_list(r, AREA_USERS);
}
