/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inventory: what the backends are to have, as the state knows it.
 *
 *	slot of a private allocation   --> an allocation
 *	slot of a private resource     --> a resource
 *	object                         --> a resource, an allocation for each
 *	                                   entry of its layout
 *	slot that is LIVE and was opened --> an opening
 *
 * A backend's own tables die with its process. After a death it goes by this:
 * what is named is there, what is not named goes, and what is to be released
 * may be gone: what is RETIRED, and what a removed device has that need not be
 * (core/sweep.c). An allocation that was destroyed out of its resource has left
 * the opening of that one.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Between two calls the inventory is what the backends have.
 */
#include "core/inventory.h"

#include "core/destroy.h"
#include "core/state.h"
#include "core/sweep.h"

struct walk {
	const struct env *env;
	const struct region *region;
	const struct inventory_visitor *visitor;
};

typedef void visit_slot(struct walk *w, uint32_t device, uint32_t index,
			const struct slot *slot);

static void each_slot(struct walk *w, visit_slot *visit)
{
	uint32_t used = region_area(w->region, AREA_SEGMENTS)->used;

	for (uint32_t segment = 1; segment < used; segment++) {
		uint32_t first = segment << SEGMENT_SLOTS_LOG2;
		uint32_t owner =
			table_owner(w->region, (struct handle){ first });

		if (!owner_is_device(owner))
			continue;
		for (uint32_t i = first; i < first + SEGMENT_SLOTS; i++) {
			const struct slot *slot = slot_at(w->region, i);
			enum slot_state state = slot_state(slot);

			if (state == SLOT_LIVE || state == SLOT_RETIRED)
				visit(w, owner_device(owner), i, slot);
		}
	}
}

static bool is_retired(const struct slot *slot)
{
	return slot_state(slot) == SLOT_RETIRED;
}

/*
 * Whether a slot goes straight from LIVE to FREE, because its device has been
 * removed (core/sweep.c): until then its memory may be back at any moment, and
 * nobody is told that it closes.
 */
static bool is_swept(const struct walk *w, uint32_t device,
		     const struct slot *slot)
{
	return device_at(w->region, device)->state == DEVICE_REMOVED &&
	       sweep_takes(slot) && device_retires_plainly(w->env, device);
}

static void visit_resource(struct walk *w, uint32_t device, uint32_t index,
			   const struct slot *slot)
{
	const struct slot_resource *r = &slot->resource;
	const struct inventory_resource told = {
		.adapter = device_at(w->region, device)->adapter,
		.resource = r->backing,
		.retired = is_retired(slot),
	};

	(void)index;
	if (slot_kind(slot) == KIND_RESOURCE && r->object == 0 && !r->released)
		w->visitor->resource(w->visitor->context, &told);
}

/* Whether it was destroyed out of the resource that it belonged to. */
static bool is_orphan(const struct walk *w, uint32_t index,
		      const struct slot *slot)
{
	const struct slot_allocation *a = &slot->allocation;
	const struct slot_resource *r;
	const uint32_t *run;

	if (a->parent == 0 || !is_retired(slot))
		return false;
	r = &slot_at(w->region, a->parent)->resource;
	if (a->position >= r->count)
		return true;
	run = block_at(w->region, r->run);
	return run[a->position] != index;
}

static void visit_allocation(struct walk *w, uint32_t device, uint32_t index,
			     const struct slot *slot)
{
	const struct slot_allocation *a = &slot->allocation;
	const struct slot_resource *r = NULL;
	struct inventory_allocation told;

	if ((slot_kind(slot) != KIND_ALLOCATION &&
	     slot_kind(slot) != KIND_CONTEXT_ALLOCATION) ||
	    a->store == 0)
		return;
	if (a->parent != 0)
		r = &slot_at(w->region, a->parent)->resource;
	if (r != NULL && r->object != 0)
		return;
	told = (struct inventory_allocation){
		.adapter = store_at(w->region, a->store)->adapter,
		.allocation = a->backing,
		.resource = r == NULL ? 0 : r->backing,
		.store = store_at(w->region, a->store)->backing,
		.size_bytes = a->size_bytes,
		.offset = a->offset,
		.retired = is_retired(slot) || is_swept(w, device, slot),
		.closed_alone = is_orphan(w, index, slot),
	};
	w->visitor->allocation(w->visitor->context, &told);
}

static void visit_opening(struct walk *w, uint32_t device, uint32_t index,
			  const struct slot *slot)
{
	const struct device *d = device_at(w->region, device);
	struct backend_opening o;

	if (is_retired(slot) || is_swept(w, device, slot))
		return;
	if (slot_kind(slot) != KIND_RESOURCE &&
	    slot_kind(slot) != KIND_CONTEXT_ALLOCATION &&
	    (slot_kind(slot) != KIND_ALLOCATION ||
	     slot->allocation.parent != 0))
		return;
	o = opening_of(w->env, d->session, index);
	w->visitor->opening(w->visitor->context, d->adapter, &o);
}

static void tell_layout(struct walk *w, const struct object *o)
{
	const struct layout_entry *layout = block_at(w->region, o->layout);

	for (uint32_t i = 0; i < o->count; i++) {
		const struct inventory_allocation told = {
			.adapter = o->adapter,
			.allocation = layout[i].backing,
			.resource = o->backing,
			.store = store_at(w->region, o->store)->backing,
			.size_bytes = layout[i].size_bytes,
			.offset = layout[i].offset,
			.retired = o->refs == 0,
		};

		w->visitor->allocation(w->visitor->context, &told);
	}
}

static void each_object(struct walk *w, bool layouts)
{
	uint32_t used = region_area(w->region, AREA_OBJECTS)->used;

	for (uint32_t i = 1; i < used; i++) {
		const struct object *o = object_at(w->region, i);
		const struct inventory_resource told = {
			.adapter = o->adapter,
			.resource = o->backing,
			.retired = o->refs == 0,
		};

		if (!o->record.in_use)
			continue;
		if (layouts)
			tell_layout(w, o);
		else
			w->visitor->resource(w->visitor->context, &told);
	}
}

void inventory(const struct env *env, const struct inventory_visitor *visitor)
{
	struct walk w = { env, &env->region, visitor };

	each_object(&w, false);
	each_slot(&w, visit_resource);
	each_object(&w, true);
	each_slot(&w, visit_allocation);
	each_slot(&w, visit_opening);
}
