/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebuild, the slots: what became of each is in its own control word.
 *
 *	LIVE     and its store was never born, or its parent never published
 *	         --> it was never told to anybody: FREE
 *	LIVE     child of a RETIRED resource        --> RETIRED: a group dies whole
 *	RETIRED  and nothing hangs on it            --> FREE
 *	anything else stays as it is
 *
 * From then on the states are final, and what follows from them is made new:
 * which children a living resource has, which have left one that waits to be
 * released (orphans), which slots are free, and whose a segment is. A resource
 * that is RETIRED keeps its run as it stands, since a run changes only while
 * its resource lives, and then loses children from the back.
 */
#include "core/rebuild_part.h"

#include "core/session.h"
#include "core/uses.h"

/* The session behind the owner of a segment, or 0. */
static uint32_t session_of(const struct rebuild *r, uint32_t owner)
{
	uint32_t session = owner;

	if (owner_is_device(owner)) {
		uint32_t device = owner_device(owner);

		if (!rebuild_is_used(r, AREA_DEVICES, device))
			return 0;
		session = device_at(r->region, device)->session;
	}
	return rebuild_is_session(r, session) ? session : 0;
}

static uint32_t owner_of(const struct rebuild *r, uint32_t segment)
{
	return table_owner(r->region, (struct handle){ (uint64_t)segment
						       << SEGMENT_SLOTS_LOG2 });
}

static void visit_segment(struct rebuild *r, uint32_t session, uint32_t segment,
			  rebuild_visit *visit)
{
	for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
		uint32_t index = (segment << SEGMENT_SLOTS_LOG2) + i;
		struct slot *slot = slot_at(r->region, index);
		enum slot_state state = slot_state(slot);

		if (state == SLOT_LIVE || state == SLOT_RETIRED)
			visit(r, session, index, slot);
	}
}

void rebuild_each_slot(struct rebuild *r, rebuild_visit *visit)
{
	uint32_t used = region_area(r->region, AREA_SEGMENTS)->used;

	for (uint32_t segment = 1; segment < used; segment++) {
		uint32_t session = session_of(r, owner_of(r, segment));

		if (session != 0)
			visit_segment(r, session, segment, visit);
	}
}

/* The slot goes, for nothing hangs on it: in one step, since one that is found
 * RETIRED, and whose store was never born, would be taken for an item. */
static void free_now(struct slot *slot)
{
	if (slot_state(slot) == SLOT_LIVE)
		control_try_end(&slot->control);
	else
		control_try_reclaim(&slot->control);
}

static bool is_live(const struct slot *slot)
{
	return slot_state(slot) == SLOT_LIVE;
}

/* A session's own slots: adapters and devices. */
static void visit_own(struct rebuild *r, uint32_t session, uint32_t index,
		      struct slot *slot)
{
	struct device *d;

	if (slot_kind(slot) != KIND_ADAPTER && slot_kind(slot) != KIND_DEVICE)
		return;
	if (!is_live(slot)) {
		free_now(slot);
		return;
	}
	if (slot_kind(slot) == KIND_ADAPTER) {
		session_at(r->region, session)
			->adapter_opens[slot->adapter.adapter]++;
		return;
	}
	d = device_at(r->region, slot->device.device);
	assert(d->session == session && d->slot == index);
	d->record.in_use = 1;
}

static void link_device(struct rebuild *r, uint32_t device)
{
	struct device *d = device_at(r->region, device);
	struct session *s = session_at(r->region, d->session);

	d->previous = 0;
	d->next = s->first_device;
	if (d->next != 0)
		device_at(r->region, d->next)->previous = device;
	s->first_device = device;
	s->n_devices++;
	r->state->n_devices++;
	d->first_context = d->unquiet = d->n_fences = 0;
	d->cursor_segment = d->cursor_slot = 0;
	d->sweep = d->state == DEVICE_REMOVED ? SWEEP_QUIESCE : SWEEP_NONE;
	d->terminate &= d->state == DEVICE_REMOVED;
	d->owner.id = owner_of_device(device);
	owner_reset(&d->owner);
}

/* No device is in use while the session's segments are looked at, so no
 * device's segments are. */
void rebuild_devices(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_DEVICES)->used;

	rebuild_clear(r, AREA_DEVICES);
	rebuild_each_slot(r, visit_own);
	for (uint32_t i = 1; i < used; i++)
		if (rebuild_is_used(r, AREA_DEVICES, i))
			link_device(r, i);
}

static bool is_resource(const struct slot *slot)
{
	return (is_live(slot) || slot_state(slot) == SLOT_RETIRED) &&
	       slot_kind(slot) == KIND_RESOURCE;
}

static void decide_allocation(struct rebuild *r, struct slot *slot)
{
	const struct slot_allocation *a = &slot->allocation;
	struct slot *parent = a->parent == 0 ? NULL :
					       slot_at(r->region, a->parent);

	if (!is_live(slot)) {
		/* Of a shared resource none dies alone. */
		if (parent != NULL && a->store != 0 && is_resource(parent) &&
		    is_live(parent) && parent->resource.object != 0)
			table_retire(parent);
		return;
	}
	if (!store_at(r->region, a->store)->born ||
	    (parent != NULL && !is_resource(parent)))
		free_now(slot);
	else
		slot->waiter = 0;
}

static void visit_fate(struct rebuild *r, uint32_t session, uint32_t index,
		       struct slot *slot)
{
	(void)session;
	(void)index;
	switch (slot_kind(slot)) {
	case KIND_ALLOCATION:
	case KIND_CONTEXT_ALLOCATION:
		decide_allocation(r, slot);
		return;
	case KIND_CONTEXT:
		if (is_live(slot))
			context_at(r->region, slot->context.context)
				->record.in_use = 1;
		else
			free_now(slot);
		return;
	case KIND_FENCE:
		if (is_live(slot))
			fence_at(r->region, slot->fence.fence)->record.in_use =
				1;
		else
			free_now(slot);
		return;
	default:
		return;
	}
}

void rebuild_fates(struct rebuild *r)
{
	rebuild_clear(r, AREA_CONTEXTS);
	rebuild_clear(r, AREA_FENCES);
	rebuild_each_slot(r, visit_fate);
}

/*
 * The run of a RETIRED resource. Children that have been freed are at its
 * end. When the memory of one is known to be back, so is that of all: one job
 * releases them.
 */
static void settle_run(struct rebuild *r, uint32_t resource,
		       struct slot_resource *res)
{
	uint32_t *run = res->count == 0 ? NULL : block_at(r->region, res->run);
	bool back = false;

	while (res->count > 0) {
		const struct slot *last =
			slot_at(r->region, run[res->count - 1]);

		if ((is_live(last) || slot_state(last) == SLOT_RETIRED) &&
		    slot_kind(last) == KIND_ALLOCATION &&
		    last->allocation.parent == resource)
			break;
		res->count--;
	}
	for (uint16_t i = 0; i < res->count; i++) {
		struct slot *child = slot_at(r->region, run[i]);

		if (is_live(child))
			table_retire(child);
		child->allocation.position = i;
		back |= child->allocation.store == 0;
	}
	for (uint32_t i = 0; back && i < res->count; i++)
		slot_at(r->region, run[i])->allocation.store = 0;
	/* The backend's own value goes when its resource has gone. */
	if (res->object == 0 && res->backing == 0)
		res->released = 1;
}

static void visit_resource(struct rebuild *r, uint32_t session, uint32_t index,
			   struct slot *slot)
{
	(void)session;
	if (slot_kind(slot) != KIND_RESOURCE)
		return;
	slot->use_who = 0;
	slot->use_value = 0;
	if (is_live(slot)) {
		slot->waiter = 0;
		slot->resource.count = 0;
	} else {
		settle_run(r, index, &slot->resource);
	}
}

static void visit_child(struct rebuild *r, uint32_t session, uint32_t index,
			struct slot *slot)
{
	struct slot_allocation *a = &slot->allocation;
	struct slot_resource *res;
	uint32_t *run;

	(void)session;
	if (slot_kind(slot) != KIND_ALLOCATION || a->parent == 0)
		return;
	res = &slot_at(r->region, a->parent)->resource;
	if (is_live(slot)) {
		assert(res->count < res->capacity);
		run = block_at(r->region, res->run);
		a->position = res->count;
		run[res->count++] = index;
		return;
	}
	if (a->store == 0 || res->object != 0)
		return;
	run = res->count == 0 ? NULL : block_at(r->region, res->run);
	if (is_live(slot_at(r->region, a->parent)) ||
	    a->position >= res->count || run[a->position] != index)
		slot_at(r->region, a->parent)->use_value++;
}

void rebuild_runs(struct rebuild *r)
{
	rebuild_each_slot(r, visit_resource);
	rebuild_each_slot(r, visit_child);
}

void rebuild_segments(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_SEGMENTS)->used;

	table_relink_begin(r->region);
	for (uint32_t segment = 1; segment < used; segment++) {
		uint32_t id = owner_of(r, segment);
		uint32_t session = session_of(r, id);
		struct owner *owner;

		if (session == 0) {
			table_relink(r->region, segment, NULL);
			continue;
		}
		owner = owner_is_device(id) ?
				&device_at(r->region, owner_device(id))->owner :
				&session_at(r->region, session)->owner;
		table_relink(r->region, segment, owner);
		session_charge(r->env, session, CHARGE_SEGMENTS, 1);
	}
}
