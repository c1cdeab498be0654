/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Teardown: death in named phases.
 *
 *	device:   END -> QUIESCE -> ALLOCATIONS -> RESOURCES -> CONTEXTS -> FENCES
 *	                  -> DRAIN -> DONE -> handle, record
 *	session:  devices -> tokens -> adapter handles -> ENDED
 *	context:  quiet -> its allocations -> handle, record
 *
 * The order is that of the rules: work first, then device-owned allocations,
 * resources, contexts with what belongs to them, then the device handle; for
 * a client its devices first, then its tokens, then the session. Handles are
 * dead before a backend is told: removing a device and ending a session make
 * every request fail at once.
 *
 * A device tells its contexts that they end, and waits in QUIESCE until every
 * one of them is quiet, and looks at each once; nothing is swept before, so no
 * memory goes while work uses it. When the work is terminated, or its client is
 * dead, it counts as done when the context is told.
 *
 * A step retires no more than fits into the chunk that a stream always has,
 * and runs only when the stream is empty: so teardown never needs memory, and
 * the work of one tick is bounded however much a client held. The sweep walks
 * the device's segments with a cursor, a million slots in as many ticks as
 * their number asks for, while everybody else is served. Nearly all that a
 * client has is plain: allocations of which only the backend has to hear. Those
 * go straight from the table (core/sweep.c), and a segment that one pass has
 * emptied is not looked at by the later ones.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A step never fails and never allocates.
 *  G2  After DRAIN no slot of the device is left (asserted).
 *  G3  A session becomes ENDED when nothing that it charged is left.
 *  G4  A step visits about as much as it takes from its budget, and as little
 *      however many contexts are quiet already.
 */
#include "core/teardown.h"

#include "core/context.h"
#include "core/destroy.h"
#include "core/device.h"
#include "core/fence.h"
#include "core/fence_wait.h"
#include "core/object.h"
#include "core/retire.h"
#include "core/session.h"
#include "core/sweep.h"
#include "core/uses.h"
#include "core/waiter.h"
#include "core/warm.h"

/* Lines that are visited for the end of one. */
enum {
	END_VISITS = 2, /* it is told that it ends */
	CONTEXT_VISITS = 8, /* its word, slot, segment, map, neighbours, run */
	DEVICE_VISITS = 8,
	FENCE_VISITS = 4,
	TOKEN_VISITS = 4,
};

void teardown_begin(struct env *env, uint32_t session)
{
	struct state *state = region_state(&env->region);
	struct session *s = session_at(&env->region, session);
	uint32_t device = s->first_device;

	assert(s->phase == SESSION_HELLO || s->phase == SESSION_ACTIVE);
	s->phase = SESSION_ENDING;
	state->n_ending++;
	fence_wait_forget(env, session);
	waiter_purge(env, session);
	warm_forget(env, session);
	session_forget_notice(env, session);
	for (; device != 0; device = device_at(&env->region, device)->next)
		device_close(env, device, true);
	session_wake(env, session);
}

/* Whether the pass that a device is in retires this slot. */
static bool is_due(const struct device *d, const struct slot *slot)
{
	if (slot_state(slot) != SLOT_LIVE)
		return false;
	if (d->sweep == SWEEP_RESOURCES)
		return slot_kind(slot) == KIND_RESOURCE;
	if (d->sweep == SWEEP_FENCES)
		return slot_kind(slot) == KIND_FENCE;
	if (slot_kind(slot) == KIND_CONTEXT_ALLOCATION)
		return slot->use_who == USE_ALL;
	return slot_kind(slot) == KIND_ALLOCATION &&
	       slot->allocation.parent == 0;
}

/* All its waits are gone through, and some go. */
static uint32_t end_fence(struct env *env, uint32_t session, uint32_t index)
{
	uint32_t fence = slot_at(&env->region, index)->fence.fence;
	uint32_t waits = fence_at(&env->region, fence)->n_waits;
	const struct area_head *pool = region_area(&env->region, AREA_WAITS);
	uint32_t before = pool->free_count;

	fence_close(env, session, index);
	return FENCE_VISITS + WAIT_DECIDE_VISITS * waits +
	       WAIT_VISITS * (pool->free_count - before);
}

static void retire_due(struct env *env, const struct device *d, uint32_t index,
		       int64_t *budget)
{
	uint32_t cost = 1;

	if (d->sweep == SWEEP_FENCES) {
		cost = end_fence(env, d->session, index);
	} else if (d->sweep == SWEEP_RESOURCES) {
		cost += slot_at(&env->region, index)->resource.count;
		resource_retire(env, d->session, index, true);
	} else {
		allocation_retire(env, d->session, index, true);
	}
	*budget -= cost;
}

/* Whether every slot of a segment is known to be free, or used up. */
static bool is_empty(const struct segment *segment)
{
	return segment->free + segment->dead == SEGMENT_SLOTS;
}

static void leave_segment(const struct region *region, struct device *d)
{
	d->cursor_segment = segment_at(region, d->cursor_segment)->next;
	d->cursor_slot = 0;
}

/* Moves the cursor over one segment, as far as budget and room allow. */
static void sweep_segment(struct env *env, struct device *d, int64_t *budget)
{
	struct region *region = &env->region;
	const struct stream *stream = &session_at(region, d->session)->stream;
	uint32_t first = d->cursor_segment << SEGMENT_SLOTS_LOG2;

	/* Mostly an earlier pass has left nothing for the later ones. */
	if (d->cursor_slot == 0 &&
	    is_empty(segment_at(region, d->cursor_segment))) {
		leave_segment(region, d);
		return;
	}
	while (*budget > 0 && d->cursor_slot < SEGMENT_SLOTS &&
	       stream_room(region, stream) > 0) {
		uint32_t index = first + d->cursor_slot++;

		if (is_due(d, slot_at(region, index)))
			retire_due(env, d, index, budget);
		else
			--*budget;
	}
	if (d->cursor_slot == SEGMENT_SLOTS)
		leave_segment(region, d);
}

/*
 * The same over allocations of a device whose backend need not be told that
 * they close: nearly all that a client has. They make a job by themselves.
 */
static void sweep_plain(struct env *env, struct device *d, int64_t *budget)
{
	struct region *region = &env->region;
	uint32_t index = sweep_find(region, d, budget);

	if (index == 0)
		return;
	if (sweep_takes(slot_at(region, index)))
		sweep_start(env, table_device(region, index), budget);
	else
		retire_due(env, d, index, budget);
}

static void sweep_pass(struct env *env, struct device *d, int64_t *budget)
{
	if (d->cursor_segment != 0) {
		if (d->sweep == SWEEP_ALLOCATIONS &&
		    device_retires_plainly(env, owner_device(d->owner.id)))
			sweep_plain(env, d, budget);
		else
			sweep_segment(env, d, budget);
		return;
	}
	if (d->sweep == SWEEP_ALLOCATIONS)
		d->sweep = SWEEP_RESOURCES;
	else if (d->sweep == SWEEP_RESOURCES)
		d->sweep = SWEEP_CONTEXTS;
	else
		d->sweep = SWEEP_DRAIN;
	d->cursor_segment = d->owner.segments;
}

bool teardown_is_quiet(const struct region *region, const struct device *d)
{
	uint32_t context = d->first_context;

	for (; context != 0; context = context_at(region, context)->next)
		if (!context_is_quiet(context_at(region, context)))
			return false;
	return true;
}

/*
 * The same, from where the last look stopped, as far as the budget goes: a
 * context that is quiet stays so, since a removed device takes no more work.
 */
static bool quiesce(const struct region *region, struct device *d,
		    int64_t *budget)
{
	while (d->unquiet != 0 && *budget > 0 &&
	       context_is_quiet(context_at(region, d->unquiet))) {
		d->unquiet = context_at(region, d->unquiet)->next;
		*budget -= 1;
	}
	return d->unquiet == 0;
}

bool teardown_waits_for_pins(const struct region *region,
			     const struct device *d)
{
	return d->owner.live > 0 && session_at(region, d->session)->n_pinned;
}

/* Tells the contexts of a removed device that they end, as far as the budget
 * goes; whether all know. */
static bool tell_end(struct env *env, struct device *d, int64_t *budget)
{
	while (d->unquiet != 0 && *budget > 0) {
		uint32_t context = d->unquiet;

		d->unquiet = context_at(&env->region, context)->next;
		context_end(env, context, d->terminate);
		*budget -= END_VISITS;
	}
	return d->unquiet == 0;
}

/* A quiet context: what belongs to it first, in a later step itself. */
static void end_context(struct env *env, uint32_t context, int64_t *budget)
{
	struct region *region = &env->region;
	struct context *c = context_at(region, context);
	const struct stream *stream = &session_at(region, c->session)->stream;

	if (c->count == 0) {
		context_free(env, context);
		*budget -= CONTEXT_VISITS;
		return;
	}
	while (c->count > 0 && *budget > 0 && stream_room(region, stream) > 0) {
		const uint32_t *run = block_at(region, c->run);

		allocation_retire(env, c->session, run[c->count - 1], true);
		--*budget;
	}
}

/* A context that was destroyed alone; a device's sweep takes the others. */
static bool end_quiet_context(struct env *env, uint32_t session,
			      int64_t *budget)
{
	struct session *s = session_at(&env->region, session);
	uint32_t context = s->quiet.head;
	struct context *c;

	if (context == 0)
		return false;
	c = context_at(&env->region, context);
	if (c->count > 0) {
		end_context(env, context, budget);
		return true;
	}
	queue_take(&env->region, &s->quiet, LINK_QUIET);
	c->is_quiet = 0;
	context_free(env, context);
	*budget -= CONTEXT_VISITS;
	return true;
}

/* One step of one device; false when there is nothing to do for it. */
static bool sweep_device(struct env *env, uint32_t device, int64_t *budget)
{
	struct device *d = device_at(&env->region, device);

	switch ((enum device_sweep)d->sweep) {
	case SWEEP_NONE:
		return false;
	case SWEEP_END:
		if (tell_end(env, d, budget)) {
			d->sweep = SWEEP_QUIESCE;
			d->unquiet = d->first_context;
		}
		return true;
	case SWEEP_QUIESCE:
		if (!quiesce(&env->region, d, budget))
			return *budget <= 0;
		d->sweep = SWEEP_ALLOCATIONS;
		d->cursor_segment = d->owner.segments;
		d->cursor_slot = 0;
		return true;
	case SWEEP_ALLOCATIONS:
	case SWEEP_RESOURCES:
	case SWEEP_FENCES:
		sweep_pass(env, d, budget);
		return true;
	case SWEEP_CONTEXTS:
		if (d->first_context != 0)
			end_context(env, d->first_context, budget);
		else
			d->sweep = d->n_fences > 0 ? SWEEP_FENCES : SWEEP_DRAIN;
		return true;
	case SWEEP_DRAIN:
		if (teardown_waits_for_pins(&env->region, d))
			return false;
		session_abandon_slots(env, d->session, &d->owner);
		d->sweep = SWEEP_DONE;
		return true;
	case SWEEP_DONE:
		if (!d->closing)
			return false;
		device_free(env, device);
		*budget -= DEVICE_VISITS;
		return true;
	}
	return false;
}

/* A step of the first device that has one to make. What it takes to find it
 * is paid afterwards: a step begins with something to spend. */
static bool sweep_devices(struct env *env, uint32_t session, int64_t *budget)
{
	uint32_t device = session_at(&env->region, session)->first_device;
	uint32_t looked = 0;
	bool any = false;

	while (device != 0 && !any) {
		uint32_t next = device_at(&env->region, device)->next;

		any = sweep_device(env, device, budget);
		device = next;
		looked++;
	}
	*budget -= looked;
	return any;
}

static void sweep_tokens(struct env *env, uint32_t session, int64_t *budget)
{
	struct region *region = &env->region;
	struct session *s = session_at(region, session);

	while (s->first_token != 0 && *budget > 0 &&
	       stream_room(region, &s->stream) > 0) {
		uint32_t object = token_at(region, s->first_token)->object;

		if (token_free(env, s->first_token))
			stream_append(region, &s->stream, object | ITEM_OBJECT);
		*budget -= TOKEN_VISITS;
	}
}

/* The adapter handles: at most ADAPTER_OPENS_PER_CLIENT_MAX of them. */
static void free_adapters(struct env *env, uint32_t session, int64_t *budget)
{
	struct region *region = &env->region;
	struct session *s = session_at(region, session);
	uint32_t segment = s->owner.segments;

	for (; segment != 0; segment = segment_at(region, segment)->next) {
		for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
			uint32_t slot = (segment << SEGMENT_SLOTS_LOG2) + i;

			if (slot_state(slot_at(region, slot)) == SLOT_LIVE)
				session_slot_free(env, session, slot);
		}
		*budget -= SEGMENT_SLOTS;
	}
}

bool teardown_step(struct env *env, uint32_t session, uint64_t now_ns,
		   int64_t *budget)
{
	struct session *s = session_at(&env->region, session);

	assert(s->stream.count == 0 && s->job.kind == JOB_NONE);
	if (end_quiet_context(env, session, budget) ||
	    sweep_devices(env, session, budget)) {
		*budget -= 1;
		return true;
	}
	/* A device stays as long as a slot of it is pinned. */
	if (s->phase != SESSION_ENDING || s->n_devices > 0)
		return false;
	if (s->first_token != 0) {
		sweep_tokens(env, session, budget);
		return true;
	}
	free_adapters(env, session, budget);
	session_end(env, session, now_ns);
	return false;
}
