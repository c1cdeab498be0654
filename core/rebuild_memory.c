/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebuild, the memory: who holds what, what it costs him, and which bytes of
 * the region are in use.
 *
 *	slot, token --names--> object --> layout, store
 *	slot        --names--> store
 *	holding     made new: one for each principal and object that is named
 *
 * What somebody names is there, whatever its record says of itself: a record
 * is given back after the last name has gone, and is whole until it is taken
 * again. What nobody names is gone, but for one case: an object that was let
 * go of by the last and has not been released. Its record is in use and still
 * has a payer; it goes to a session of his, to be released. One whose create
 * did not come to its end is forgotten: its memory is no longer named, and
 * whoever keeps the memory lets go of what is not (core/inventory.c).
 */
#include "core/rebuild_part.h"

#include "core/object.h"
#include "core/session.h"

static void charge_opening(struct rebuild *r, uint32_t session, uint32_t object)
{
	struct session *s = session_at(r->region, session);

	account_charge(&s->account, CHARGE_BYTES,
		       object_at(r->region, object)->size_bytes);
	account_charge(&s->account, CHARGE_STORES, 1);
}

/* One more opening or token, as object_hold() counts it. */
static void hold(struct rebuild *r, uint32_t session, uint32_t object)
{
	object_at(r->region, object)->record.in_use = 1;
	if (pool_reserve(r->region, AREA_HOLDINGS, 1) != 0) {
		r->result = -ENOMEM;
		return;
	}
	object_hold(r->env, object, session_at(r->region, session)->principal);
}

static void hold_private(struct rebuild *r, uint32_t session,
			 const struct slot_allocation *a)
{
	struct store *store = store_at(r->region, a->store);

	if (store_refs(r->region)[a->store]++ == 0) {
		store->record.in_use = 1;
		session_charge(r->env, session, CHARGE_STORES, 1);
	}
	session_charge(r->env, session, CHARGE_BYTES, a->size_bytes);
	r->state->store_bytes += a->size_bytes;
}

static bool is_private(const struct rebuild *r, const struct slot_allocation *a)
{
	return a->parent == 0 ||
	       slot_at(r->region, a->parent)->resource.object == 0;
}

static void count(struct rebuild *r, uint32_t session, const struct slot *slot)
{
	struct session *s = session_at(r->region, session);
	bool live = slot_state(slot) == SLOT_LIVE;

	session_charge(r->env, session, CHARGE_HANDLES, 1);
	s->n_retired += !live;
	if (!live)
		return;
	if (slot_kind(slot) == KIND_RESOURCE) {
		s->n_resources++;
		r->state->n_resources++;
	} else if (slot_kind(slot) == KIND_ALLOCATION ||
		   slot_kind(slot) == KIND_CONTEXT_ALLOCATION) {
		s->n_allocations++;
		r->state->n_allocations++;
	}
}

static void visit_holder(struct rebuild *r, uint32_t session, uint32_t index,
			 struct slot *slot)
{
	const struct slot_allocation *a = &slot->allocation;

	(void)index;
	count(r, session, slot);
	switch (slot_kind(slot)) {
	case KIND_RESOURCE:
		if (slot->resource.object == 0 || slot->resource.released)
			return;
		hold(r, session, slot->resource.object);
		charge_opening(r, session, slot->resource.object);
		return;
	case KIND_ALLOCATION:
	case KIND_CONTEXT_ALLOCATION:
		if (a->store != 0 && is_private(r, a))
			hold_private(r, session, a);
		return;
	default:
		return;
	}
}

static void link_token(struct rebuild *r, uint32_t token)
{
	struct region *region = r->region;
	struct token *t = token_at(region, token);
	struct session *s = session_at(region, t->session);
	uint32_t *bucket =
		(uint32_t *)region_start(region, AREA_TOKEN_BUCKETS) +
		t->value[0] % TOKEN_BUCKETS;

	t->next_bucket = *bucket;
	*bucket = token;
	t->previous = 0;
	t->next = s->first_token;
	if (t->next != 0)
		token_at(region, t->next)->previous = token;
	s->first_token = token;
	s->n_tokens++;
	r->state->n_tokens++;
	session_charge(r->env, t->session, CHARGE_TOKENS, 1);
}

static void find_tokens(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_TOKENS)->used;

	memset(region_start(r->region, AREA_TOKEN_BUCKETS), 0,
	       TOKEN_BUCKETS * sizeof(uint32_t));
	for (uint32_t i = 1; i < used; i++) {
		struct token *t = token_at(r->region, i);

		if (t->record.in_use && !rebuild_is_session(r, t->session))
			t->record.in_use = 0;
		if (!t->record.in_use)
			continue;
		link_token(r, i);
		if (t->object != 0) {
			hold(r, t->session, t->object);
			object_at(r->region, t->object)->tokens++;
		} else {
			fence_at(r->region, t->fence)->record.in_use = 1;
		}
	}
	rebuild_free_list(r, AREA_TOKENS);
}

/* A session of the principal that an object can be released through, or 0. */
static uint32_t session_of_payer(const struct rebuild *r, uint32_t principal)
{
	uint32_t used = region_area(r->region, AREA_SESSIONS)->used;

	for (uint32_t i = 1; principal != 0 && i < used; i++)
		if (rebuild_is_session(r, i) &&
		    session_at(r->region, i)->principal == principal)
			return i;
	return 0;
}

/* One that nobody names: to be released, or gone. */
static void decide_unnamed(struct rebuild *r, uint32_t object)
{
	struct object *o = object_at(r->region, object);
	uint32_t session = session_of_payer(r, o->payer);

	if (!rebuild_is_index(r, AREA_STORES, o->store) ||
	    !store_at(r->region, o->store)->born)
		session = 0;
	o->payer = session == 0 ? 0 : o->payer;
	if (session == 0) {
		o->record.in_use = 0;
		return;
	}
	hold(r, session, object);
	if (r->result == 0)
		object_drop(r->env, object, o->payer);
	r->items++;
}

static void settle_objects(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_OBJECTS)->used;

	for (uint32_t i = 1; i < used; i++) {
		struct object *o = object_at(r->region, i);
		struct store *store;

		if (o->record.in_use && o->refs == 0)
			decide_unnamed(r, i);
		if (!o->record.in_use)
			continue;
		store = store_at(r->region, o->store);
		store->record.in_use = 1;
		store_refs(r->region)[o->store] += o->count;
		r->state->n_objects++;
		r->state->store_bytes += o->size_bytes;
	}
	rebuild_free_list(r, AREA_OBJECTS);
}

static void settle_stores(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_STORES)->used;

	for (uint32_t i = 1; i < used; i++) {
		const struct store *store = store_at(r->region, i);

		r->state->next_store_serial =
			max_u64(r->state->next_store_serial, store->serial);
		r->state->n_stores += store->record.in_use;
	}
	rebuild_free_list(r, AREA_STORES);
}

void rebuild_memory(struct rebuild *r)
{
	uint32_t objects = region_area(r->region, AREA_OBJECTS)->used;
	uint32_t stores = region_area(r->region, AREA_STORES)->used;

	rebuild_clear(r, AREA_HOLDINGS);
	rebuild_free_list(r, AREA_HOLDINGS);
	for (uint32_t i = 1; i < objects; i++) {
		struct object *o = object_at(r->region, i);

		o->refs = o->tokens = o->holdings = 0;
	}
	for (uint32_t i = 1; i < stores; i++) {
		store_refs(r->region)[i] = 0;
		store_at(r->region, i)->record.in_use = 0;
	}
	rebuild_each_slot(r, visit_holder);
	find_tokens(r);
	settle_objects(r);
	settle_stores(r);
}

/* ---- Blocks ---- */

static void mark(struct rebuild *r, uint32_t block, size_t size_bytes)
{
	uint32_t end = block + block_units(size_bytes);

	for (uint32_t i = block; block != 0 && i < end; i++)
		r->blocks[i / 64] |= UINT64_C(1) << (i % 64);
}

static void visit_blocks(struct rebuild *r, uint32_t session, uint32_t index,
			 struct slot *slot)
{
	const struct slot_resource *res = &slot->resource;

	(void)session;
	(void)index;
	if (slot_kind(slot) != KIND_RESOURCE)
		return;
	mark(r, res->run, res->capacity * sizeof(uint32_t));
	mark(r, res->private_block, res->private_bytes);
}

static void mark_all(struct rebuild *r)
{
	uint32_t objects = region_area(r->region, AREA_OBJECTS)->used;
	uint32_t contexts = region_area(r->region, AREA_CONTEXTS)->used;
	uint32_t sessions = region_area(r->region, AREA_SESSIONS)->used;

	rebuild_each_slot(r, visit_blocks);
	for (uint32_t i = 1; i < objects; i++) {
		const struct object *o = object_at(r->region, i);

		if (!o->record.in_use)
			continue;
		mark(r, o->layout, o->count * sizeof(struct layout_entry));
		mark(r, o->private_block, o->private_bytes);
	}
	for (uint32_t i = 1; i < contexts; i++) {
		const struct context *c = context_at(r->region, i);

		if (c->record.in_use)
			mark(r, c->run, c->capacity * sizeof(uint32_t));
	}
	for (uint32_t i = 1; i < sessions; i++) {
		const struct words *w = &session_at(r->region, i)->words;

		if (rebuild_is_session(r, i))
			mark(r, w->block, w->capacity * sizeof(struct word));
	}
}

/* The largest block that fits into a gap goes first. */
static void give_gap(struct rebuild *r, uint32_t from, uint32_t to)
{
	while (from < to) {
		uint32_t units = 1u << (BLOCK_CLASSES - 1);

		while (units > to - from)
			units /= 2;
		block_free(r->region, from, (size_t)units * BLOCK_UNIT_BYTES);
		from += units;
	}
}

void rebuild_blocks(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_BLOCKS)->used;
	uint32_t from = 1;

	memset(r->state->block_free, 0, sizeof(r->state->block_free));
	mark_all(r);
	for (uint32_t i = 1; i < used; i++) {
		if (r->blocks[i / 64] >> (i % 64) & 1) {
			give_gap(r, from, i);
			from = i + 1;
		}
	}
	give_gap(r, from, used);
}
