/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebuild: the state after a process was killed between any two instructions.
 *
 * The state says many things twice: who is on which list, how many there are,
 * who owes what. All of that saves time while the broker runs, and all of it
 * is wrong while it is being changed. So after a death none of it is believed.
 * What is believed are few words, each written by one store when all that it
 * announces is there:
 *
 *	slot.control    an opening is LIVE, RETIRED, FREE
 *	segment owner   whose slots these are
 *	store.born      the create that made it is past its last step
 *	session.owner   the session is whole; session.phase, how far it has gone
 *	token.session, waiter.cost, waiter.decided, users.slot
 *	allocation.store 0, resource.released: this memory is back
 *	object.payer 0: likewise
 *
 * and the fields that such a word publishes. All else is made new from them,
 * in an order in which each step stands on those before:
 *
 *	sessions -> devices -> fate of slots -> runs -> segments
 *	         -> objects, stores, charges -> words, contexts, fences, uses
 *	         -> waiters -> blocks, free lists -> roll forward -> streams
 *
 * A change that was cut short is then either as if it had never been begun or
 * as if it had come to its end; core/rebuild_slots.c says which. Between the
 * words of one change the compiler is held (stored() in core/base.h); that is
 * all that a running broker pays.
 *
 * What is lost: the order in which memory that was retired is given back, that
 * a destroy was told to assume that nothing uses it (it then waits for the work
 * after all), and up to where one of all contexts waited for them (it waits for
 * what was submitted since, too). A release job that was out is handed out
 * again, at once or after such a wait, and says so: who carries it out must
 * find done what is done. Until then its memory is charged, though it may be
 * back.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Afterwards core/check finds nothing wrong, wherever the death came.
 *  G2  What was LIVE and known to its owner before the call that was cut short
 *      is LIVE, unless that call destroys it.
 *  G3  What was not LIVE before that call is not LIVE, unless it creates it.
 *  G4  A create is there entirely or not at all; so is the destroy of a
 *      resource. Of a list each entry is.
 *  G5  What is retired is given back in the end, and its charge with it.
 *  G6  Being killed within a rebuild is being killed once more.
 */
#include "core/rebuild.h"

#include "core/context.h"
#include "core/defer.h"
#include "core/device.h"
#include "core/fence_wait.h"
#include "core/rebuild_part.h"
#include "core/retire.h"
#include "core/session.h"
#include "core/waiter.h"
#include "core/warm.h"

bool rebuild_is_session(const struct rebuild *r, uint32_t session)
{
	const struct session *s;

	if (!rebuild_is_used(r, AREA_SESSIONS, session))
		return false;
	s = session_at(r->region, session);
	return s->phase != SESSION_ENDED &&
	       s->owner.id == owner_of_session(session);
}

void rebuild_clear(struct rebuild *r, enum area area)
{
	uint32_t used = region_area(r->region, area)->used;

	for (uint32_t i = 1; i < used; i++)
		((struct record *)pool_at(r->region, area, i))->in_use = 0;
}

void rebuild_free_list(struct rebuild *r, enum area area)
{
	struct area_head *head = region_area(r->region, area);

	head->free_head = head->free_count = 0;
	for (uint32_t i = head->used; i-- > 1;) {
		struct record *record = pool_at(r->region, area, i);

		if (record->in_use)
			continue;
		record->link = head->free_head;
		head->free_head = i;
		head->free_count++;
	}
}

/* ---- Sessions ---- */

/* What the rest of a session is made new from stays; so does what it says of
 * itself to people. */
static void reset_session(struct session *s)
{
	s->again |= s->job.phase == JOB_OUT;
	/* They went with their connection. */
	s->fds_unacknowledged = 0;
	s->first_device = s->n_devices = 0;
	s->first_token = s->n_tokens = 0;
	s->first_waiter = 0;
	s->first_pool = s->n_pools = 0;
	s->n_resources = s->n_allocations = s->n_retired = 0;
	s->n_parked = s->n_quiescing = s->n_fence_waits = 0;
	s->n_watches = s->n_users = 0;
	if (s->notice != NOTICE_NONE)
		s->notice = s->phase == SESSION_ACTIVE ? NOTICE_DUE :
							 NOTICE_NONE;
	s->reached = s->quiet = s->loose = (struct queue){ 0 };
	memset(s->adapter_opens, 0, sizeof(s->adapter_opens));
	owner_reset(&s->owner);
	s->account = (struct account){ 0 };
	s->stream = (struct stream){ 0 };
	s->job = (struct job){ 0 };
	s->pinned_looks = s->n_pinned = 0;
	s->next_ready = s->next_ended = 0;
	s->is_ready = 0;
}

static void begin_session(struct rebuild *r, uint32_t session)
{
	struct session *s = session_at(r->region, session);

	if (s->owner.id != owner_of_session(session)) {
		s->record.in_use = 0;
		return;
	}
	reset_session(s);
	principal_at(r->region, s->principal)->record.in_use = 1;
	principal_ref(r->env, s->principal);
	r->state->n_sessions++;
	r->state->n_noticed += s->notice == NOTICE_DUE;
	if (s->phase == SESSION_ENDED) {
		queue_put(r->region, &r->state->ended, LINK_ENDED, session);
		return;
	}
	r->state->n_ending += s->phase == SESSION_ENDING;
	session_charge(r->env, session, CHARGE_CLIENTS, 1);
	session_charge(r->env, session, CHARGE_BYTES, s->ring_bytes);
}

static void begin_sessions(struct rebuild *r)
{
	uint32_t principals = region_area(r->region, AREA_PRINCIPALS)->used;
	uint32_t sessions = region_area(r->region, AREA_SESSIONS)->used;

	for (uint32_t i = 1; i < principals; i++) {
		struct principal *p = principal_at(r->region, i);

		p->record.in_use = 0;
		p->refs = p->n_watches = p->n_users = 0;
		p->account = (struct account){ 0 };
	}
	for (uint32_t i = 1; i < sessions; i++)
		if (rebuild_is_used(r, AREA_SESSIONS, i))
			begin_session(r, i);
	rebuild_free_list(r, AREA_SESSIONS);
}

/* Totals and queues that the parts add to. */
static void begin_state(struct state *state)
{
	state->n_items = state->n_streams = 0;
	state->ready = state->jobs = (struct queue){ 0 };
	state->answered = state->ended = (struct queue){ 0 };
	state->n_loose_waits = 0;
	state->n_sessions = state->n_ending = state->n_devices = 0;
	state->n_contexts = state->n_fences = state->n_noticed = 0;
	state->n_resources = state->n_allocations = 0;
	state->n_stores = state->n_objects = state->n_tokens = 0;
	state->store_bytes = 0;
	state->pinned = (struct stream){ 0 };
	state->pinned_due_ns = 0;
	state->pinned_report = (struct pinned_report){ 0 };
}

static void link_pools(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_WARM_POOLS)->used;

	for (uint32_t i = 1; i < used; i++) {
		struct warm_pool *pool = warm_pool_at(r->region, i);
		struct session *s;

		if (!pool->record.in_use)
			continue;
		if (!rebuild_is_session(r, pool->session) ||
		    pool->number == 0 || pool->size_bytes == 0) {
			pool->record.in_use = 0;
			continue;
		}
		s = session_at(r->region, pool->session);
		pool->next = s->first_pool;
		s->first_pool = i;
		s->n_pools++;
		r->state->last_pool =
			max_u64(r->state->last_pool, pool->number);
	}
	rebuild_free_list(r, AREA_WARM_POOLS);
}

/* ---- What is to be released ---- */

/* Whether a retired slot is an item, and not part of another one. */
static bool is_item(const struct rebuild *r, uint32_t index,
		    const struct slot *slot)
{
	const struct slot_allocation *a = &slot->allocation;
	const struct slot *parent;
	const uint32_t *run;

	if (slot_state(slot) != SLOT_RETIRED)
		return false;
	if (slot_kind(slot) != KIND_ALLOCATION || a->parent == 0)
		return true;
	parent = slot_at(r->region, a->parent);
	if (slot_state(parent) != SLOT_RETIRED ||
	    slot_kind(parent) != KIND_RESOURCE || parent->resource.count == 0)
		return true;
	run = block_at(r->region, parent->resource.run);
	return a->position >= parent->resource.count ||
	       run[a->position] != index;
}

static void visit_count(struct rebuild *r, uint32_t session, uint32_t index,
			struct slot *slot)
{
	(void)session;
	r->items += is_item(r, index, slot);
}

static void visit_queue(struct rebuild *r, uint32_t session, uint32_t index,
			struct slot *slot)
{
	if (is_item(r, index, slot))
		defer(r->env, session, index, false);
}

/* Each session has its stream, and there is room for all items. */
static int make_streams(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_SESSIONS)->used;

	rebuild_clear(r, AREA_CHUNKS);
	rebuild_free_list(r, AREA_CHUNKS);
	for (uint32_t i = 1; i < used; i++)
		if (rebuild_is_session(r, i) &&
		    stream_init(r->region, &session_at(r->region, i)->stream) !=
			    0)
			return -ENOMEM;
	rebuild_each_slot(r, visit_count);
	return stream_reserve(r->region, r->items);
}

static void queue_objects(struct rebuild *r)
{
	uint32_t objects = region_area(r->region, AREA_OBJECTS)->used;
	uint32_t sessions = region_area(r->region, AREA_SESSIONS)->used;

	for (uint32_t i = 1; i < objects; i++) {
		const struct object *o = object_at(r->region, i);
		uint32_t session = 1;

		if (!o->record.in_use || o->refs > 0)
			continue;
		while (session < sessions &&
		       (!rebuild_is_session(r, session) ||
			session_at(r->region, session)->principal != o->payer))
			session++;
		assert(session < sessions);
		session_at(r->region, session)->again = 1;
		stream_append(r->region,
			      &session_at(r->region, session)->stream,
			      i | ITEM_OBJECT);
	}
}

/* ---- What was begun comes to its end ---- */

static void finish_device(struct rebuild *r, uint32_t device)
{
	struct device *d = device_at(r->region, device);
	struct session *s = session_at(r->region, d->session);
	uint32_t context = d->first_context;

	if (r->state->adapters[d->adapter].stopped &&
	    d->state != DEVICE_REMOVED)
		adapter_stop(r->env, d->adapter);
	if (s->phase == SESSION_ENDING)
		device_close(r->env, device, true);
	else if (s->adapter_opens[d->adapter] == 0 && !d->closing)
		device_close(r->env, device, false);
	if (d->state == DEVICE_REMOVED)
		waiter_fail_all(r->env, d->session, device, -ENODEV,
				TENURE_REASON_DEVICE_REMOVED);
	for (; context != 0; context = context_at(r->region, context)->next)
		if (context_at(r->region, context)->state == CONTEXT_ENDING)
			context_end(r->env, context,
				    s->phase == SESSION_ENDING || d->terminate);
}

static void finish_sessions(struct rebuild *r)
{
	uint32_t devices = region_area(r->region, AREA_DEVICES)->used;
	uint32_t sessions = region_area(r->region, AREA_SESSIONS)->used;

	for (uint32_t i = 1; i < sessions; i++) {
		if (!rebuild_is_session(r, i) ||
		    session_at(r->region, i)->phase != SESSION_ENDING)
			continue;
		fence_wait_forget(r->env, i);
		warm_forget(r->env, i);
	}
	for (uint32_t i = 1; i < devices; i++)
		if (rebuild_is_used(r, AREA_DEVICES, i))
			finish_device(r, i);
}

/* Everybody looks at what there is to do. */
static void wake_all(struct rebuild *r)
{
	uint32_t contexts = region_area(r->region, AREA_CONTEXTS)->used;
	uint32_t sessions = region_area(r->region, AREA_SESSIONS)->used;

	for (uint32_t i = 1; i < contexts; i++)
		if (rebuild_is_used(r, AREA_CONTEXTS, i))
			context_settle(r->env, i);
	for (uint32_t i = 1; i < sessions; i++)
		if (rebuild_is_session(r, i))
			session_wake(r->env, i);
}

/* ---- All of it ---- */

static int remake(struct rebuild *r)
{
	begin_state(r->state);
	begin_sessions(r);
	rebuild_devices(r);
	rebuild_fates(r);
	rebuild_runs(r);
	rebuild_segments(r);
	rebuild_memory(r);
	if (r->result != 0)
		return r->result;
	rebuild_work(r);
	rebuild_waits(r);
	rebuild_blocks(r);
	link_pools(r);
	rebuild_free_list(r, AREA_PRINCIPALS);
	rebuild_free_list(r, AREA_DEVICES);
	if (make_streams(r) != 0)
		return -ENOMEM;
	finish_sessions(r);
	queue_objects(r);
	rebuild_each_slot(r, visit_queue);
	wake_all(r);
	r->state->call = (struct call_at_work){ 0 };
	return 0;
}

int rebuild(struct env *env, const struct pages *scratch)
{
	struct rebuild r = {
		.env = env,
		.region = &env->region,
		.state = region_state(&env->region),
	};
	uint32_t units = region_area(r.region, AREA_BLOCKS)->used;
	size_t bytes = align_up_u64(units / 64 * 8 + 8, 65536);

	r.blocks = scratch->reserve(scratch->context, bytes);
	if (r.blocks == NULL)
		return -ENOMEM;
	r.result = scratch->commit(scratch->context, r.blocks, bytes);
	if (r.result == 0)
		r.result = remake(&r);
	scratch->unreserve(scratch->context, r.blocks, bytes);
	return r.result;
}
