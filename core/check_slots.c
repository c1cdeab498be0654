/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot checker: one walk over all segments, and what each slot adds up to.
 *
 *	segment --> bitmap == states of its slots
 *	   \--> slot --> charges, references of objects and stores, waiters,
 *	                 runs of children and the way back
 *
 * The sums stand in arrays of the walk (core/check_tally.h); core/check.c
 * compares them with the records in the end.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Each slot in use is added to exactly one session.
 */
#include "core/check_slots.h"

#include "core/uses.h"
#include "core/words.h"

/* Whoever adopts the state forgets what is in a store that is not born. */
static void tally_private(struct check *c, uint32_t session,
			  const struct slot *slot)
{
	uint32_t store = slot->allocation.store;

	if (!check_is_used(c, AREA_STORES, store)) {
		check_expect(c, "store of allocation", store, 0, 1);
		return;
	}
	check_expect(c, "store of an allocation, born", store,
		     store_at(c->region, store)->born, 1);
	c->store_refs[store]++;
	c->store_session[store] = session;
	c->bytes += slot->allocation.size_bytes;
	check_owe(c, session, CHARGE_BYTES, slot->allocation.size_bytes);
}

/* A set of users: each record once, in use, with names of words only, and with
 * the slot by which whoever adopts the state finds it. */
static void tally_uses(struct check *c, uint32_t session, uint32_t index)
{
	const struct slot *slot = slot_at(c->region, index);
	uint32_t at = (uint32_t)slot->use_value, n = 0;

	if (slot->use_who != USE_SET)
		return;
	while (at != 0 && n++ <= USERS_PER_ALLOCATION_MAX) {
		if (!check_is_used(c, AREA_USERS, at)) {
			check_expect(c, "users of allocation", at, 0, 1);
			return;
		}
		check_expect(c, "slot of users", at,
			     users_at(c->region, at)->slot, index);
		for (int i = 0; i < USERS_IN_RECORD; i++)
			check_expect(c, "word that uses an allocation of",
				     session,
				     (users_at(c->region, at)->who[i] &
				      WORD_MASK) < WORDS_PER_CLIENT_MAX,
				     1);
		c->users++;
		c->sessions[session].users++;
		at = users_at(c->region, at)->next;
	}
	check_expect(c, "end of the users of an allocation of", session, at, 0);
}

static bool is_private(const struct check *c, const struct slot *slot)
{
	uint32_t parent = slot->allocation.parent;

	return parent == 0 || slot_at(c->region, parent)->resource.object == 0;
}

/* A living allocation of a context stands in its run. */
static void check_in_run(struct check *c, uint32_t session, uint32_t index)
{
	const struct slot *slot = slot_at(c->region, index);
	const struct words *words = &session_at(c->region, session)->words;
	uint32_t context = words_find(c->region, words, slot->use_who);
	const struct context *x;
	bool in_run = false;

	if (check_is_used(c, AREA_CONTEXTS, context)) {
		const uint32_t *run;

		x = context_at(c->region, context);
		run = x->count == 0 ? NULL : block_at(c->region, x->run);
		in_run = slot->allocation.position < x->count &&
			 run[slot->allocation.position] == index;
	}
	check_expect(c, "context allocation in its run", index, in_run, 1);
}

static void tally_allocation(struct check *c, uint32_t session, uint32_t index)
{
	const struct slot *slot = slot_at(c->region, index);
	bool live = slot_state(slot) == SLOT_LIVE;
	const struct slot *parent;
	const uint32_t *run;

	c->sessions[session].allocations += live;
	tally_uses(c, session, index);
	if (live && slot_kind(slot) == KIND_CONTEXT_ALLOCATION &&
	    slot->use_who != USE_ALL)
		check_in_run(c, session, index);
	if (is_private(c, slot) && (live || slot->allocation.store != 0))
		tally_private(c, session, slot);
	if (slot->allocation.parent == 0 || !live)
		return;
	parent = slot_at(c->region, slot->allocation.parent);
	check_expect(c, "parent's state of allocation", index,
		     slot_state(parent), SLOT_LIVE);
	if (slot->allocation.position >= parent->resource.count) {
		check_expect(c, "position of allocation in its run", index, 0,
			     1);
		return;
	}
	run = block_at(c->region, parent->resource.run);
	check_expect(c, "back-position of allocation", index,
		     run[slot->allocation.position], index);
}

static void tally_opening(struct check *c, uint32_t session,
			  const struct slot *slot)
{
	uint32_t object = slot->resource.object;

	if (slot->resource.released)
		return;
	if (!check_is_used(c, AREA_OBJECTS, object)) {
		check_expect(c, "object of opening", object, 0, 1);
		return;
	}
	c->object_refs[object]++;
	c->sessions[session].used[CHARGE_BYTES] +=
		object_at(c->region, object)->size_bytes;
	c->sessions[session].used[CHARGE_STORES]++;
}

static void tally_resource(struct check *c, uint32_t session, uint32_t index)
{
	const struct slot *slot = slot_at(c->region, index);
	const struct slot_resource *r = &slot->resource;
	const uint32_t *run = r->count == 0 ? NULL :
					      block_at(c->region, r->run);

	c->sessions[session].resources += slot_state(slot) == SLOT_LIVE;
	check_hold_block(c, r->run, r->capacity * sizeof(uint32_t));
	check_hold_block(c, r->private_block, r->private_bytes);
	if (r->object != 0)
		tally_opening(c, session, slot);
	/* Set aside: it has a place in the stream that it comes back to. */
	if (slot_state(slot) == SLOT_RETIRED && slot->use_who != 0) {
		check_expect(c, "orphans of a resource set aside", index,
			     slot->use_value > 0, 1);
		c->sessions[session].streamed++;
		c->items++;
	}
	for (uint32_t i = 0; i < r->count; i++) {
		const struct slot *child = slot_at(c->region, run[i]);

		check_expect(c, "kind of child", run[i], slot_kind(child),
			     KIND_ALLOCATION);
		check_expect(c, "parent of child", run[i],
			     child->allocation.parent, index);
		check_expect(c, "state of child", run[i], slot_state(child),
			     slot_state(slot));
	}
}

void check_tally_waiter(struct check *c, uint32_t waiter)
{
	if (waiter == 0)
		return;
	if (check_is_used(c, AREA_WAITERS, waiter))
		c->waiter_refs[waiter]++;
	else
		check_expect(c, "waiter of a slot or device", waiter, 0, 1);
}

static void tally_fence(struct check *c, const struct slot *slot)
{
	check_tally_fence(c, slot->fence.fence);
	c->fence_openings++;
}

/* One slot that is LIVE or RETIRED. */
static void tally_slot(struct check *c, uint32_t session, uint32_t index)
{
	const struct slot *slot = slot_at(c->region, index);

	check_owe(c, session, CHARGE_HANDLES, 1);
	c->sessions[session].retired += slot_state(slot) == SLOT_RETIRED;
	/* What is known to be pinned is told of elsewhere. */
	if (slot_state(slot) != SLOT_RETIRED ||
	    session_at(c->region, session)->n_pinned == 0)
		check_expect(c, "pins of slot", index, slot_pins(slot), 0);
	check_tally_waiter(c, slot->waiter);
	if (slot_kind(slot) == KIND_ALLOCATION ||
	    slot_kind(slot) == KIND_CONTEXT_ALLOCATION)
		tally_allocation(c, session, index);
	else if (slot_kind(slot) == KIND_RESOURCE)
		tally_resource(c, session, index);
	else if (slot_kind(slot) == KIND_FENCE)
		tally_fence(c, slot);
	else if (slot_kind(slot) == KIND_ADAPTER)
		c->sessions[session].opens[slot->adapter.adapter]++;
}

/* Adds one segment's slots to a session; its free and taken slots. */
static void walk_segment(struct check *c, uint32_t session, uint32_t segment,
			 uint32_t *live, uint32_t *free)
{
	const struct segment *s = segment_at(c->region, segment);
	const struct free_map *map = free_map_at(c->region, segment);
	uint32_t n_free = 0, n_dead = 0;

	for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
		uint32_t index = (segment << SEGMENT_SLOTS_LOG2) + i;
		const struct slot *slot = slot_at(c->region, index);
		bool bit = map->bits[i / 64] >> (i % 64) & 1;
		bool freed = table_is_freed(c->region, index);

		check_expect(c, "free bit of slot", index, bit,
			     slot_state(slot) == SLOT_FREE && !freed);
		/* Or a handle that is dead would live again some day. */
		check_expect(c, "generation of slot, beyond its segment's",
			     index,
			     !s->mixed && slot_generation(slot) > s->generation,
			     0);
		n_free += bit;
		n_dead += slot_state(slot) == SLOT_DEAD && !freed;
		*live += freed;
		if (slot_state(slot) != SLOT_LIVE &&
		    slot_state(slot) != SLOT_RETIRED)
			continue;
		check_expect(c, "owner of a slot in use", index, session != 0,
			     1);
		if (session == 0)
			return;
		tally_slot(c, session, index);
		++*live;
	}
	check_expect(c, "free slots of segment", segment, s->free, n_free);
	check_expect(c, "dead slots of segment", segment, s->dead, n_dead);
	*free += n_free;
}

void check_owner(struct check *c, const struct owner *owner, uint32_t session)
{
	uint32_t segment = owner->segments, live = 0, free = 0, n = 0;
	uint64_t fences = c->fence_openings;

	while (segment != 0 && n++ < SEGMENTS_MAX && c->result == 0) {
		struct handle any = { (uint64_t)segment << SEGMENT_SLOTS_LOG2 };

		check_expect(c, "owner of segment", segment,
			     table_owner(c->region, any), owner->id);
		walk_segment(c, session, segment, &live, &free);
		segment = segment_at(c->region, segment)->next;
	}
	if (owner_is_device(owner->id))
		check_expect(
			c, "openings of fences of device",
			owner_device(owner->id),
			device_at(c->region, owner_device(owner->id))->n_fences,
			c->fence_openings - fences);
	check_expect(c, "segments of owner", owner->id, owner->n_segments, n);
	check_owe(c, session, CHARGE_SEGMENTS, n);
	check_expect(c, "live slots of owner", owner->id, owner->live, live);
	check_expect(c, "free slots of owner", owner->id, owner->free, free);
}

static void expect_nobodys(struct check *c, uint32_t segment)
{
	struct handle any = { (uint64_t)segment << SEGMENT_SLOTS_LOG2 };

	check_expect(c, "owner of segment in depot", segment,
		     table_owner(c->region, any), 0);
}

void check_depot(struct check *c)
{
	uint32_t live = 0, free = 0, n = 0, segment = 0;

	while (n <= SEGMENTS_MAX && c->result == 0 &&
	       (segment = table_depot_next(c->region, DEPOT_WARM, segment)) !=
		       0) {
		expect_nobodys(c, segment);
		walk_segment(c, 0, segment, &live, &free);
		n++;
	}
	check_expect(c, "segments in depot", 0, table_depot_count(c->region),
		     n);
	n = segment = 0;
	while (n++ <= SEGMENTS_MAX && c->result == 0 &&
	       (segment = table_depot_next(c->region, DEPOT_WORN, segment)) !=
		       0) {
		expect_nobodys(c, segment);
		walk_segment(c, 0, segment, &live, &free);
	}
	n = segment = 0;
	while (n++ <= SEGMENTS_MAX && c->result == 0 &&
	       (segment = table_depot_next(c->region, DEPOT_BARE, segment)) !=
		       0) {
		expect_nobodys(c, segment);
		check_expect(c, "bare segment", segment,
			     segment_at(c->region, segment)->bare, 1);
	}
}
