/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sweep: a million allocations that go with their device.
 *
 *	free map    1 1 0 0 0 0 0 0 | 0 0 0 1 ...      0: perhaps in use
 *	slots           a a R a a c   a a a
 *	                ^ cursor
 *	job             a a . a a   : told, released, and freed as one word of
 *	                              the map, a store and a session at a time
 *
 * When a device has been removed every request that names what it owns is
 * refused, its work has ended, and a backend that hears of readers only need
 * not be told that allocations close. So nothing is left to say in between:
 * they need not be retired one by one, queued and found again. A job takes them
 * as they lie in the table, alive; when it comes back, each goes from LIVE to
 * FREE in one step. What they charged is counted on the way and given back at
 * once, and as long as the job is out all of them are what they were: alive,
 * charged, and counted.
 *
 * Slots of other kinds lie between them and are left to the passes after
 * (core/teardown.c). Nobody makes or destroys anything of the device any more,
 * so the walk over the same slots finds the same ones again, when the job has
 * failed and when it is done.
 *
 * A slot that somebody pins is retired, and waits in the stream, which has room
 * for all of one job.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A job names each living allocation of its device once, and no other.
 *  G2  One that fails names the same ones again.
 *  G3  A pinned slot stays what it was until the pin has gone.
 */
#include "core/sweep.h"

#include "core/object.h"
#include "core/retire.h"
#include "core/session.h"
#include "core/uses.h"

#include "core/reclaim.h"

static_assert((int)SWEEP_SLOTS <= (int)CHUNK_ITEMS, "what is pinned has room");

static ALWAYS_INLINE bool is_taken(const struct slot *slot)
{
	return slot_is(slot, SLOT_LIVE, KIND_ALLOCATION) &&
	       slot->allocation.parent == 0;
}

bool sweep_takes(const struct slot *slot)
{
	return is_taken(slot);
}

/* One of contexts that belongs to none of them: its close is to be heard. */
static bool is_of_all(const struct slot *slot)
{
	return slot_state(slot) == SLOT_LIVE &&
	       slot_kind(slot) == KIND_CONTEXT_ALLOCATION &&
	       slot->use_who == USE_ALL;
}

/* Where a walk over the slots of a device stands. */
struct place {
	uint32_t segment, slot;
};

static struct place place_of(const struct device *d)
{
	return (struct place){ d->cursor_segment, d->cursor_slot };
}

static void move_cursor(struct device *d, const struct place *to)
{
	d->cursor_segment = to->segment;
	d->cursor_slot = to->slot;
}

static uint32_t index_of(const struct place *at)
{
	return (at->segment << SEGMENT_SLOTS_LOG2) + at->slot;
}

static void move_to(const struct region *region, struct place *at,
		    uint32_t slot)
{
	at->slot = slot;
	if (slot < SEGMENT_SLOTS)
		return;
	at->slot = 0;
	at->segment = segment_at(region, at->segment)->next;
}

static void next_word(const struct region *region, struct place *at)
{
	move_to(region, at, at->slot / 64 * 64 + 64);
}

/* ---- To find, and to tell ---- */

/* Within one word; whether one was found, or the budget is spent: then it stands
 * at the first that was not looked at. */
static bool find_in_word(const struct region *region, struct place *at,
			 int64_t *budget)
{
	uint32_t first = at->slot / 64 * 64;
	uint64_t taken = table_taken(region, index_of(at));

	for (; taken != 0; taken &= taken - 1) {
		const struct slot *slot;

		at->slot = first + (uint32_t)__builtin_ctzll(taken);
		if (*budget <= 0)
			return true;
		slot = slot_at(region, index_of(at));
		if (is_taken(slot) || is_of_all(slot))
			return true;
		*budget -= 1;
	}
	return false;
}

uint32_t sweep_find(const struct region *region, struct device *d,
		    int64_t *budget)
{
	struct place at = place_of(d);

	while (*budget > 0 && at.segment != 0 &&
	       !find_in_word(region, &at, budget)) {
		*budget -= 1;
		next_word(region, &at);
	}
	move_cursor(d, &at);
	return *budget > 0 && at.segment != 0 ? index_of(&at) : 0;
}

void sweep_start(struct env *env, uint32_t device, int64_t *budget)
{
	const struct device *d = device_at(&env->region, device);
	const struct job job = { .kind = JOB_SWEEP,
				 .object = device,
				 .slots = SWEEP_SLOTS };

	session_start_job(env, d->session, &job);
	*budget -= SWEEP_SLOTS;
}

/* What a job is to release, as far as it is known. */
struct told {
	uint64_t *allocations;
	uint64_t bytes;
	uint32_t count;
	uint32_t left; /* slots and words that may be looked at */
};

/* Adds those of one word; whether the next word may follow. */
static bool tell_word(const struct region *region, const struct place *at,
		      struct told *told)
{
	const struct slot *slots =
		slot_at(region, index_of(at) - at->slot % 64);
	uint64_t taken = table_taken(region, index_of(at));
	uint64_t bytes = told->bytes;
	uint32_t n = told->count, left = told->left - 1;

	for (; taken != 0 && left > 0; taken &= taken - 1, left--) {
		const struct slot *slot = &slots[__builtin_ctzll(taken)];

		if (UNLIKELY(!is_taken(slot))) {
			if (is_of_all(slot))
				break;
			continue;
		}
		if (n > 0 &&
		    bytes + slot->allocation.size_bytes > JOB_BYTES_MAX)
			break;
		told->allocations[n++] = slot->allocation.backing;
		bytes += slot->allocation.size_bytes;
	}
	told->bytes = bytes;
	told->count = n;
	told->left = left;
	return taken == 0 && left > 0;
}

void sweep_tell(const struct env *env, struct session *s, struct release *ret)
{
	const struct region *region = &env->region;
	const struct device *d = device_at(region, s->job.object);
	struct told told = { .allocations = ret->allocations,
			     .left = SWEEP_SLOTS };
	struct place at = place_of(d);

	while (at.segment != 0 && tell_word(region, &at, &told))
		next_word(region, &at);
	assert(told.count > 0);
	s->job.items = (uint16_t)told.count;
	s->job.bytes = told.bytes;
	ret->args.count = told.count;
	ret->adapter = d->adapter;
}

/* ---- When they are released ---- */

/* What goes with the slots of one job. */
struct swept {
	struct env *env;
	uint32_t session;
	struct owner *owner;
	uint32_t left; /* allocations of the job still to come */
	uint32_t freed;
	uint32_t store, in_store; /* those in a row that are in one */
	uint64_t stores; /* that have gone */
};

static void leave_store(struct swept *w, uint32_t next)
{
	if (w->in_store > 0)
		w->stores += store_drop(w->env, w->store, w->in_store);
	w->store = next;
	w->in_store = 0;
}

/* Its memory is back, and it is dead; its slot goes later. */
static void keep_pinned(struct swept *w, struct slot *slot)
{
	struct region *region = &w->env->region;
	struct session *s = session_at(region, w->session);

	table_retire(slot);
	stored();
	slot->allocation.store = 0;
	s->n_retired++;
	stream_append(region, &s->stream, slot_index(region, slot));
}

static ALWAYS_INLINE void note_store(struct swept *w, const struct slot *slot)
{
	if (UNLIKELY(slot->allocation.store != w->store))
		leave_store(w, slot->allocation.store);
	w->in_store++;
}

/* Frees one slot, if nobody pins it. */
static ALWAYS_INLINE void end_slot(struct swept *w, struct gained *gained,
				   struct slot *slot, uint32_t bit)
{
	uint32_t generation = slot_generation(slot) + 1;
	enum reclaimed reclaimed = control_try_end(&slot->control);

	if (UNLIKELY(reclaimed == RECLAIM_PINNED)) {
		keep_pinned(w, slot);
		return;
	}
	gained->most = (uint32_t)max_u64(gained->most, generation);
	if (UNLIKELY(reclaimed == RECLAIM_DEAD)) {
		gained->dead++;
		return;
	}
	gained->bits |= UINT64_C(1) << bit;
	gained->freed++;
}

/* Frees those of one word, and moves behind the last of them. */
static void free_word(struct swept *w, struct place *at)
{
	struct region *region = &w->env->region;
	uint32_t first = index_of(at) - at->slot % 64;
	struct slot *slots = slot_at(region, first);
	uint64_t taken = table_taken(region, index_of(at));
	struct gained gained = { 0 };

	for (; taken != 0 && w->left > 0; taken &= taken - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(taken);
		struct slot *slot = &slots[bit];

		/* the next job's, while the locked instructions wait */
		__builtin_prefetch(slot + SWEEP_SLOTS, 1);
		if (UNLIKELY(!is_taken(slot)))
			continue;
		w->left--;
		note_store(w, slot);
		if (UNLIKELY(slot->use_who != USE_NONE))
			uses_forget(region, w->session, slot);
		end_slot(w, &gained, slot, bit);
	}
	table_gain_word(region, w->owner, first, &gained);
	w->freed += gained.freed + gained.dead;
	if (taken == 0)
		next_word(region, at);
	else
		move_to(region, at,
			at->slot / 64 * 64 + (uint32_t)__builtin_ctzll(taken));
}

void sweep_released(struct env *env, uint32_t session)
{
	struct state *state = region_state(&env->region);
	struct session *s = session_at(&env->region, session);
	struct device *d = device_at(&env->region, s->job.object);
	struct swept w = { .env = env,
			   .session = session,
			   .owner = &d->owner,
			   .left = s->job.items };
	struct place at = place_of(d);

	while (w.left > 0)
		free_word(&w, &at);
	leave_store(&w, 0);
	move_cursor(d, &at);
	s->n_allocations -= s->job.items;
	state->n_allocations -= s->job.items;
	state->destroyed_total += s->job.items;
	session_release(env, session, CHARGE_BYTES, s->job.bytes);
	session_release(env, session, CHARGE_STORES, w.stores);
	session_release(env, session, CHARGE_HANDLES, w.freed);
}
