/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reclaim: what has been retired is given back, in order, in bounded steps.
 *
 *	stream of a session            job (one at a time)        releaser
 *	[ a a a | R | o | a ... ]  --> allocations a a a     -->  L3 destroy
 *	  ^ front                      resource R                  |
 *	  |                            object behind o             |
 *	  +---- released: free the slots, pop  <-------------------+
 *
 * What waits for work comes into the stream when that has ended
 * (core/defer.c). The front of a stream decides. Memory that must be released
 * makes a job; when the job comes back its items are marked released and their
 * memory is no longer charged, and the next steps free their slots. An opening
 * whose object others still hold needs no job. Consecutive allocations of one
 * device and one parent go into one job, so a burst of small destroys is one
 * call of the backend; their slots are freed when it comes back. So such a slot
 * is visited twice after its destroy, to tell and to free, and both times its
 * line has been asked for long before. A session has at most one job out: that
 * is what "never concurrently for one client" (B25) means, and it makes the
 * in/out value of a resource (B20) well defined.
 *
 * An allocation that was destroyed out of a private resource (A51) is an orphan
 * until it is released, which may be later than its resource's destroy when
 * work uses it. Its value belongs to the resource, whose own release must come
 * after it. So what is still in a resource with orphans is released without
 * the resource; the shell, which has no memory and which nobody waits for, is
 * set aside, and goes when the last orphan has (B22).
 *
 * Sessions with work stand in a ring and get a quantum in turn: garbage
 * delays only whoever made it. Waits for fences that have ended come first, in
 * the same quanta (core/fence_wait.c). When its stream is empty a session's teardown
 * takes a step (core/teardown.c), which may refill the stream, or start a job
 * past it (core/sweep.c).
 *
 * A job that fails changes nothing, is counted, and is handed out again
 * (A84). A slot that somebody pins stays at the front and is tried again, and
 * is set aside when that does not end (core/pinned.c).
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A slot is freed once, after its memory has been released once.
 *  G2  A tick looks at no more slots than its budget and one job's, and takes
 *      from the budget what handing out that job will look at.
 *  G3  Jobs of one session come out in the order of its destroys.
 */
#include "core/reclaim.h"

#include "core/defer.h"
#include "core/fence_wait.h"
#include "core/object.h"
#include "core/pinned.h"
#include "core/retire.h"
#include "core/session.h"
#include "core/sweep.h"
#include "core/teardown.h"
#include "core/uses.h"
#include "core/waiter.h"

enum { QUANTUM = 256, SET_ASIDE = 1 };

/* Whether allocations that were destroyed out of it are not yet released. */
static bool has_orphans(const struct slot *resource)
{
	return resource->resource.object == 0 && resource->use_value > 0;
}

static bool is_allocation(const struct slot *slot)
{
	return slot_kind(slot) != KIND_RESOURCE;
}

/* Whether the memory of a retired slot is back, or others hold it. */
static bool is_released(const struct slot *slot)
{
	return is_allocation(slot) ? slot->allocation.store == 0 :
				     slot->resource.released;
}

/* A job for as many allocations at the front as go together: which ones is
 * seen when it is handed out. */
static void start_allocations(struct env *env, uint32_t session)
{
	const struct session *s = session_at(&env->region, session);

	session_start_job(env, session,
			  &(struct job){
				  .kind = JOB_ALLOCATIONS,
				  .slots = (uint32_t)min_u64(s->stream.count,
							     JOB_SLOTS_MAX),
			  });
}

static void start_resource(struct env *env, uint32_t session,
			   const struct slot *slot)
{
	struct job job = {
		.kind = has_orphans(slot) ? JOB_CHILDREN : JOB_RESOURCE,
		.items = 1,
		.slots = slot->resource.count,
	};
	const uint32_t *run =
		slot->resource.count == 0 ?
			NULL :
			block_at(&env->region, slot->resource.run);

	for (uint32_t i = 0; i < slot->resource.count; i++)
		job.bytes +=
			slot_at(&env->region, run[i])->allocation.size_bytes;
	session_start_job(env, session, &job);
}

static void start_object(struct env *env, uint32_t session, uint32_t object)
{
	struct job job = {
		.kind = JOB_OBJECT,
		.items = 1,
		.slots = object_at(&env->region, object)->count,
		.object = object,
		.bytes = object_at(&env->region, object)->size_bytes,
	};

	session_start_job(env, session, &job);
}

/* Frees one slot and what it charged; false while somebody pins it. */
static bool free_slot(struct env *env, uint32_t session, uint32_t device,
		      uint32_t index)
{
	struct region *region = &env->region;
	struct slot *slot = slot_at(region, index);
	uint32_t waiter = slot->waiter;

	uses_forget(region, session, slot);
	if (!table_try_reclaim(region, &device_at(region, device)->owner,
			       index))
		return false;
	session_release(env, session, CHARGE_HANDLES, 1);
	session_at(region, session)->n_retired--;
	waiter_done(env, waiter);
	return true;
}

/* The children of a resource, from the back; false while one is pinned. */
static bool free_children(struct env *env, uint32_t session, struct slot *slot,
			  int64_t *budget)
{
	struct slot_resource *r = &slot->resource;
	const uint32_t *run = r->count == 0 ? NULL :
					      block_at(&env->region, r->run);

	while (r->count > 0) {
		uint32_t child = run[r->count - 1];

		if (!free_slot(env, session, r->device, child))
			return false;
		r->count--;
		*budget -= 1;
	}
	return true;
}

/* A resource whose memory is back or belongs to others. */
static bool free_resource(struct env *env, uint32_t session, uint32_t index,
			  int64_t *budget)
{
	struct region *region = &env->region;
	struct slot *slot = slot_at(region, index);
	struct slot_resource r;

	if (!free_children(env, session, slot, budget))
		return false;
	r = slot->resource;
	if (!free_slot(env, session, r.device, index))
		return false;
	block_free(region, r.run, r.capacity * sizeof(uint32_t));
	block_free(region, r.private_block, r.private_bytes);
	return true;
}

/* Lets go of the object behind an opening, once; true if it was the last. */
static bool let_go(struct env *env, uint32_t session, struct slot *slot)
{
	struct session *s = session_at(&env->region, session);
	uint32_t object = slot->resource.object;
	uint64_t bytes = object_at(&env->region, object)->size_bytes;
	bool last = object_drop(env, object, s->principal);

	account_release(&s->account, CHARGE_BYTES, bytes);
	account_release(&s->account, CHARGE_STORES, 1);
	slot->resource.released = 1;
	if (last)
		start_object(env, session, object);
	return last;
}

/* Starts what the front item needs, if its memory is not back yet. */
static void release_front(struct env *env, uint32_t session, uint32_t item)
{
	struct slot *slot;

	if (item & ITEM_OBJECT) {
		start_object(env, session, item & ~ITEM_OBJECT);
		return;
	}
	slot = slot_at(&env->region, item);
	if (is_allocation(slot))
		start_allocations(env, session);
	else if (slot->resource.object == 0)
		start_resource(env, session, slot);
	else
		let_go(env, session, slot);
}

/* A shell leaves the front: the release of its last orphan brings it back. */
static void set_aside(struct env *env, uint32_t session, uint32_t resource)
{
	struct region *region = &env->region;
	struct slot *slot = slot_at(region, resource);

	stream_pop(region, &session_at(region, session)->stream, 1);
	/* Its place is kept. */
	region_state(region)->n_items++;
	slot->use_who = SET_ASIDE;
	waiter_done(env, slot->waiter);
	slot->waiter = 0;
}

/* Whether the children of a private resource are released, and it is not. */
static bool is_half_released(const struct env *env, const struct slot *slot)
{
	const uint32_t *run;

	if (slot->resource.object != 0 || slot->resource.released ||
	    slot->resource.count == 0)
		return false;
	run = block_at(&env->region, slot->resource.run);
	return is_released(slot_at(&env->region, run[0]));
}

/* A resource at the front; false when the usual steps are to be taken. */
static bool reclaim_half(struct env *env, uint32_t session, uint32_t item,
			 int64_t *budget, bool *ret_progress)
{
	struct slot *slot = slot_at(&env->region, item);

	if (slot_kind(slot) != KIND_RESOURCE)
		return false;
	*ret_progress = true;
	if (is_half_released(env, slot)) {
		*ret_progress = free_children(env, session, slot, budget);
		return true;
	}
	if (!has_orphans(slot) || slot->resource.count > 0)
		return false;
	set_aside(env, session, item);
	return true;
}

/* One step at the front of a stream; false while a pin is in the way. */
static bool reclaim_front(struct env *env, uint32_t session, int64_t *budget)
{
	struct region *region = &env->region;
	struct session *s = session_at(region, session);
	struct slot *slot;
	uint32_t item;
	bool freed;

	stream_peek(region, &s->stream, &item, 1);
	*budget -= 1;
	if (!(item & ITEM_OBJECT) &&
	    reclaim_half(env, session, item, budget, &freed))
		return freed;
	if ((item & ITEM_OBJECT) || !is_released(slot_at(region, item))) {
		release_front(env, session, item);
		*budget -= s->job.slots;
		return true;
	}
	slot = slot_at(region, item);
	freed = is_allocation(slot) ?
			free_slot(env, session, table_device(region, item),
				  item) :
			free_resource(env, session, item, budget);
	if (freed)
		stream_pop(region, &s->stream, 1);
	return freed;
}

/*
 * Serves one session until its quantum is spent or it has to wait; whether
 * there is more to do for it at once.
 */
static bool serve(struct env *env, uint32_t session, uint64_t now_ns,
		  int64_t *quantum)
{
	struct session *s = session_at(&env->region, session);

	while (*quantum > 0) {
		if (s->loose.head != 0) {
			fence_wait_tidy(env, session, quantum);
			continue;
		}
		if (defer_move(env, session, quantum))
			continue;
		if (s->job.kind != JOB_NONE)
			return false;
		if (s->stream.count > 0) {
			if (!reclaim_front(env, session, quantum) &&
			    !pinned_set_aside(env, session, now_ns))
				return true;
		} else if (!teardown_step(env, session, now_ns, quantum)) {
			return false;
		}
	}
	return true;
}

bool reclaim_tick(struct env *env, uint64_t now_ns, uint32_t *budget)
{
	int64_t left = *budget;

	pinned_look(env, now_ns, &left);
	while (left > 0) {
		uint32_t session = session_next_ready(env);
		int64_t quantum = left < QUANTUM ? left : QUANTUM;
		int64_t rest = quantum;

		if (session == 0)
			break;
		session_served(env, session,
			       serve(env, session, now_ns, &rest));
		/* a look costs, too: pinned fronts must not spin us here */
		left -= rest == quantum ? 1 : quantum - rest;
	}
	*budget = left > 0 ? (uint32_t)left : 0;
	return region_state(&env->region)->ready.head != 0;
}

/*
 * The allocations at the front of a stream that one call releases: those of
 * the device and the parent of the first one, with no more than JOB_BYTES_MAX
 * unless the first one has, and JOB_SLOTS_MAX of them. Their slots are touched
 * here for the first time since they were retired. A job that failed takes the
 * same ones again.
 */
static void tell_allocations(const struct env *env, struct session *s,
			     struct release *ret)
{
	const struct region *region = &env->region;
	uint32_t items[JOB_SLOTS_MAX], n, i;
	uint32_t most = s->job.items == 0 ? JOB_SLOTS_MAX : s->job.items;
	uint32_t device, parent;
	uint64_t bytes = 0;

	n = stream_peek(region, &s->stream, items, most);
	device = table_device(region, items[0]);
	parent = slot_at(region, items[0])->allocation.parent;
	for (i = 0; i < min_u64(n, PREFETCH_AHEAD); i++)
		slot_prefetch(region, items[i] & ~ITEM_OBJECT);
	for (i = 0; i < n && !(items[i] & ITEM_OBJECT); i++) {
		const struct slot *slot = slot_at(region, items[i]);

		if (i + PREFETCH_AHEAD < n)
			slot_prefetch(region,
				      items[i + PREFETCH_AHEAD] & ~ITEM_OBJECT);
		if (table_device(region, items[i]) != device ||
		    !is_allocation(slot) || is_released(slot) ||
		    slot->allocation.parent != parent ||
		    (i > 0 &&
		     bytes + slot->allocation.size_bytes > JOB_BYTES_MAX))
			break;
		ret->allocations[i] = slot->allocation.backing;
		bytes += slot->allocation.size_bytes;
	}
	s->job.items = (uint16_t)i;
	s->job.bytes = bytes;
	ret->args.count = i;
	ret->adapter = device_at(region, device)->adapter;
	if (parent != 0)
		ret->args.resource = slot_at(region, parent)->resource.backing;
}

static void tell_resource(const struct env *env, const struct session *s,
			  struct release *ret)
{
	const struct slot_resource *r;
	uint32_t item;

	stream_peek(&env->region, &s->stream, &item, 1);
	r = &slot_at(&env->region, item)->resource;
	for (uint32_t i = 0; i < r->count; i++) {
		const uint32_t *run = block_at(&env->region, r->run);

		ret->allocations[i] =
			slot_at(&env->region, run[i])->allocation.backing;
	}
	ret->adapter = device_at(&env->region, r->device)->adapter;
	ret->args.count = r->count;
	ret->args.resource = r->backing;
	if (s->job.kind == JOB_RESOURCE)
		ret->args.flags = BACKEND_DESTROY_RESOURCE;
}

static void tell_object(const struct env *env, const struct session *s,
			struct release *ret)
{
	const struct object *o = object_at(&env->region, s->job.object);
	const struct layout_entry *layout = block_at(&env->region, o->layout);

	for (uint32_t i = 0; i < o->count; i++)
		ret->allocations[i] = layout[i].backing;
	ret->adapter = o->adapter;
	ret->args.count = o->count;
	ret->args.resource = o->backing;
	ret->args.flags = BACKEND_DESTROY_RESOURCE;
}

bool reclaim_next_job(struct env *env, struct release *ret)
{
	uint32_t session = session_next_job(env);
	struct session *s;

	if (session == 0)
		return false;
	s = session_at(&env->region, session);
	ret->args = (struct backend_destroy){
		.allocations = ret->allocations,
		.client = session,
	};
	if (s->job.kind == JOB_ALLOCATIONS)
		tell_allocations(env, s, ret);
	else if (s->job.kind == JOB_RESOURCE || s->job.kind == JOB_CHILDREN)
		tell_resource(env, s, ret);
	else if (s->job.kind == JOB_SWEEP)
		sweep_tell(env, s, ret);
	else
		tell_object(env, s, ret);
	ret->bytes = s->job.bytes;
	return true;
}

/* The value that the backend left in hResource, for a resource that stays. */
static void keep_resource_value(struct env *env, uint32_t item, uint64_t value)
{
	uint32_t parent = slot_at(&env->region, item)->allocation.parent;

	if (parent != 0)
		slot_at(&env->region, parent)->resource.backing = value;
}

/* The memory of one private allocation is back: its charges end here. */
static void allocation_released(struct env *env, uint32_t session,
				uint32_t index)
{
	struct slot *slot = slot_at(&env->region, index);

	session_release(env, session, CHARGE_BYTES,
			slot->allocation.size_bytes);
	if (store_drop(env, slot->allocation.store, 1))
		session_release(env, session, CHARGE_STORES, 1);
	slot->allocation.store = 0;
}

/* The last orphan of a shell that was set aside brings it back. */
static void orphan_released(struct env *env, uint32_t session, uint32_t index)
{
	struct region *region = &env->region;
	uint32_t parent = slot_at(region, index)->allocation.parent;
	struct slot *slot;

	if (parent == 0)
		return;
	slot = slot_at(region, parent);
	assert(slot->use_value > 0);
	if (--slot->use_value > 0 || slot->use_who != SET_ASIDE)
		return;
	slot->use_who = 0;
	region_state(region)->n_items--;
	stream_append(region, &session_at(region, session)->stream, parent);
}

/* Asks for what items further on will need: slots first, then what these say. */
static ALWAYS_INLINE void ask_ahead(const struct region *region,
				    const uint32_t *items, uint32_t at,
				    uint32_t n)
{
	if (at + 2 * PREFETCH_AHEAD < n)
		slot_prefetch(region, items[at + 2 * PREFETCH_AHEAD]);
	if (at + PREFETCH_AHEAD >= n)
		return;
	at += PREFETCH_AHEAD;
	table_prefetch_free(region, items[at]);
	__builtin_prefetch(
		&store_refs(
			region)[slot_at(region, items[at])->allocation.store],
		1);
}

/* Frees one slot of a job that is done, or leaves it for the usual steps. */
static bool item_done(struct env *env, uint32_t session, uint32_t index,
		      struct reclaimer *reclaimer, bool in_order)
{
	struct slot *slot = slot_at(&env->region, index);
	uint32_t waiting = slot->waiter;

	slot->allocation.store = 0;
	if (slot->use_who != USE_NONE)
		uses_forget(&env->region, session, slot);
	if (slot->allocation.parent != 0)
		orphan_released(env, session, index);
	if (!in_order || !table_reclaim(reclaimer, index))
		return false;
	waiter_done(env, waiting);
	return true;
}

/* Nothing but the slot itself is to be given back; what it said of itself is
 * made new when it is taken again. */
static ALWAYS_INLINE bool item_is_plain(const struct slot *slot)
{
	return slot->use_who != USE_SET &&
	       (slot->waiter | slot->allocation.parent) == 0;
}

/*
 * A job for allocations is done, and its slots are freed in the same go, from
 * the front up to one that is pinned: that and those behind it have no memory
 * any more and stay for the usual steps.
 */
static void allocations_released(struct env *env, uint32_t session,
				 uint64_t resource)
{
	const struct region region = env->region;
	struct session *s = session_at(&region, session);
	uint32_t items[LIST_ENTRIES_MAX];
	uint32_t n = stream_peek(&region, &s->stream, items, s->job.items);
	struct reclaimer reclaimer = table_reclaim_begin(
		&region,
		&device_at(&region, table_device(&region, items[0]))->owner);
	uint64_t stores = 0;
	uint32_t freed = 0;

	keep_resource_value(env, items[0], resource);
	for (uint32_t i = 0; i < n; i++) {
		struct slot *slot = slot_at(&region, items[i]);

		ask_ahead(&region, items, i, n);
		stores += store_drop(env, slot->allocation.store, 1);
		if (LIKELY(item_is_plain(slot) && freed == i) &&
		    table_reclaim(&reclaimer, items[i]))
			freed++;
		else
			freed += item_done(env, session, items[i], &reclaimer,
					   freed == i);
	}
	table_reclaim_end(&reclaimer);
	session_release(env, session, CHARGE_BYTES, s->job.bytes);
	session_release(env, session, CHARGE_STORES, stores);
	session_release(env, session, CHARGE_HANDLES, freed);
	s->n_retired -= freed;
	stream_pop(&env->region, &s->stream, freed);
}

static void resource_released(struct env *env, uint32_t session,
			      uint64_t resource)
{
	const struct session *s = session_at(&env->region, session);
	struct slot *slot;
	uint32_t item;

	stream_peek(&env->region, &s->stream, &item, 1);
	slot = slot_at(&env->region, item);
	for (uint32_t i = 0; i < slot->resource.count; i++) {
		const uint32_t *run =
			block_at(&env->region, slot->resource.run);

		allocation_released(env, session, run[i]);
	}
	slot->resource.released = s->job.kind == JOB_RESOURCE;
	slot->resource.backing = resource;
}

static void object_released(struct env *env, struct session *s)
{
	uint32_t item;

	object_free(env, s->job.object);
	stream_peek(&env->region, &s->stream, &item, 1);
	if (item & ITEM_OBJECT)
		stream_pop(&env->region, &s->stream, 1);
}

void reclaim_job_done(struct env *env, uint32_t session, int status,
		      uint64_t resource)
{
	struct state *state = region_state(&env->region);
	struct session *s = session_at(&env->region, session);

	assert(s->job.phase == JOB_OUT);
	if (status != 0) {
		state->release_failures_total++;
		session_retry_job(env, session);
		return;
	}
	state->released_bytes_total += s->job.bytes;
	state->store_bytes -= s->job.bytes;
	s->freed_bytes += s->job.bytes;
	if (s->job.kind == JOB_OBJECT)
		object_released(env, s);
	else if (s->job.kind == JOB_RESOURCE || s->job.kind == JOB_CHILDREN)
		resource_released(env, session, resource);
	else if (s->job.kind == JOB_SWEEP)
		sweep_released(env, session);
	else
		allocations_released(env, session, resource);
	s->job = (struct job){ 0 };
	session_wake(env, session);
}
