/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destroy: the commit behind the rules.
 *
 *	rules_destroy --verdict--> reserve --> close (L3) --> retire --> defer
 *	   (pure)                (may fail)      |-- nothing can fail from here
 *
 * Three laws meet here. All or nothing: the verdict is complete and the queue
 * space is reserved before the first slot changes. Handle death is immediate:
 * retiring is one addition to the slot's word, and no lookup succeeds after
 * it. Exactly once: a slot is retired by whoever holds it LIVE, stands in one
 * queue at a time (core/defer.c), and is reclaimed from the last of them.
 *
 * A resource is one item, whatever it holds: a group that was born at once
 * dies at once (B03). An allocation that is destroyed alone leaves the run of
 * its private resource, which survives, even empty (A51, A37).
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A refused destroy has changed nothing.
 *  G2  The backend hears close for an opening before anything else (B25).
 *  G3  A synchronous destroy is answered after the release, never before.
 */
#include "core/destroy.h"

#include "core/defer.h"
#include "core/retire.h"
#include "core/session.h"
#include "core/uses.h"
#include "core/waiter.h"
#include "core/words.h"

static struct backend_opening opening_of_resource(const struct env *env,
						  const struct slot *slot)
{
	const struct slot_resource *r = &slot->resource;
	struct backend_opening o = {
		.read_only = (r->rights & TENURE_RIGHT_WRITE) == 0,
		.resource = r->backing,
	};

	if (r->object != 0) {
		const struct object *object =
			object_at(&env->region, r->object);

		o.resource = object->backing;
		o.store = store_at(&env->region, object->store)->backing;
	}
	return o;
}

static struct backend_opening opening_of_allocation(const struct env *env,
						    const struct slot *slot)
{
	const struct slot_allocation *a = &slot->allocation;
	struct backend_opening o = {
		.allocation = a->backing,
		.store = store_at(&env->region, a->store)->backing,
	};

	if (a->parent != 0)
		o.resource = slot_at(&env->region, a->parent)->resource.backing;
	return o;
}

struct backend_opening opening_of(const struct env *env, uint32_t session,
				  uint32_t slot)
{
	const struct slot *s = slot_at(&env->region, slot);
	struct backend_opening o = slot_kind(s) == KIND_RESOURCE ?
					   opening_of_resource(env, s) :
					   opening_of_allocation(env, s);

	o.client = session;
	return o;
}

static void close_opening(struct env *env, uint32_t session, uint32_t slot)
{
	uint32_t device = table_device(&env->region, slot);
	const struct backend *backend =
		env_backend(env, device_at(&env->region, device)->adapter);
	struct backend_opening o = opening_of(env, session, slot);

	backend->ops->close_allocation(backend->state, &o);
}

static void count_retired(struct env *env, uint32_t session,
			  uint32_t n_resources, uint32_t n_allocations)
{
	struct state *state = region_state(&env->region);
	struct session *s = session_at(&env->region, session);

	s->n_resources -= n_resources;
	s->n_allocations -= n_allocations;
	s->n_retired += n_resources + n_allocations;
	state->n_resources -= n_resources;
	state->n_allocations -= n_allocations;
	state->destroyed_total += n_resources + n_allocations;
}

static void retire_resource(struct env *env, uint32_t session, uint32_t slot,
			    bool assume)
{
	struct region *region = &env->region;
	struct slot *s = slot_at(region, slot);
	const uint32_t *run;

	/* First, so that a death in between finds that all are to go. */
	table_retire(s);
	if (s->resource.count > 0) {
		run = block_at(region, s->resource.run);
		for (uint32_t i = 0; i < s->resource.count; i++)
			table_retire(slot_at(region, run[i]));
	}
	count_retired(env, session, 1, s->resource.count);
	defer(env, session, slot, assume);
}

void resource_retire(struct env *env, uint32_t session, uint32_t slot,
		     bool assume)
{
	close_opening(env, session, slot);
	retire_resource(env, session, slot, assume);
}

void resource_retire_unopened(struct env *env, uint32_t session, uint32_t slot)
{
	retire_resource(env, session, slot, true);
}

/* Takes a child out of its resource's run; the last one takes its place. */
static void leave_run(const struct region *region, const struct slot *child)
{
	struct slot *parent = slot_at(region, child->allocation.parent);
	uint32_t *run = block_at(region, parent->resource.run);
	uint16_t position = child->allocation.position;
	uint32_t moved = run[--parent->resource.count];

	run[position] = moved;
	slot_at(region, moved)->allocation.position = position;
	parent->use_value++; /* an orphan, see core/reclaim.c */
}

/* Takes an allocation out of its context's run, in the same way. */
static void leave_context(const struct region *region, uint32_t session,
			  const struct slot *slot)
{
	uint32_t context = words_find(
		region, &session_at(region, session)->words, slot->use_who);
	struct context *c = context_at(region, context);
	uint32_t *run = block_at(region, c->run);
	uint16_t position = slot->allocation.position;
	uint32_t moved = run[--c->count];

	run[position] = moved;
	slot_at(region, moved)->allocation.position = position;
}

static void retire_allocation(struct env *env, uint32_t session, uint32_t slot,
			      bool assume)
{
	struct region *region = &env->region;
	struct slot *s = slot_at(region, slot);

	if (s->allocation.parent != 0)
		leave_run(region, s);
	else if (slot_kind(s) == KIND_CONTEXT_ALLOCATION &&
		 s->use_who != USE_ALL)
		leave_context(region, session, s);
	table_retire(s);
	count_retired(env, session, 0, 1);
	defer(env, session, slot, assume);
}

void allocation_retire(struct env *env, uint32_t session, uint32_t slot,
		       bool assume)
{
	close_opening(env, session, slot);
	retire_allocation(env, session, slot, assume);
}

void allocation_retire_unopened(struct env *env, uint32_t session,
				uint32_t slot)
{
	retire_allocation(env, session, slot, true);
}

bool device_retires_plainly(const struct env *env, uint32_t device)
{
	const struct backend *backend =
		env_backend(env, device_at(&env->region, device)->adapter);

	return backend->ops->closes_readers_only;
}

void allocations_retired(struct env *env, uint32_t session,
			 const uint32_t *slots, uint32_t count, bool used)
{
	if (count == 0)
		return;
	count_retired(env, session, 0, count);
	if (used) {
		defer_list(env, session, slots, count);
		return;
	}
	stream_append_list(&env->region,
			   &session_at(&env->region, session)->stream, slots,
			   count);
	session_wake(env, session);
}

/* Retires the plain ones at the front of a block: how many there are. */
static uint32_t retire_block(struct env *env, uint32_t session,
			     const uint32_t *slots, uint32_t count,
			     uint32_t waiter, bool assume)
{
	const struct region *region = &env->region;
	uint32_t n, used = 0;

	for (n = 0; n < count; n++) {
		struct slot *slot = slot_at(region, slots[n]);

		if (slot->allocation.parent != 0 || slot->use_who == USE_SET)
			break;
		used |= slot->use_who;
		slot->waiter = waiter;
		table_retire(slot);
	}
	allocations_retired(env, session, slots, n, used != 0 && !assume);
	return n;
}

static void commit_list(struct env *env, uint32_t session,
			const struct destroy_verdict *verdict, uint32_t waiter,
			bool assume)
{
	bool plainly = device_retires_plainly(env, verdict->device);

	for (uint32_t i = 0; i < verdict->count;) {
		const uint32_t *slots = verdict->slots + i;
		uint32_t most =
			(uint32_t)min_u64(verdict->count - i, RETIRED_BLOCK);
		uint32_t n = plainly ? retire_block(env, session, slots, most,
						    waiter, assume) :
				       0;

		i += n;
		if (n == most)
			continue;
		slot_at(&env->region, slots[n])->waiter = waiter;
		allocation_retire(env, session, slots[n], assume);
		i++;
	}
}

static void commit(struct env *env, uint32_t session,
		   const struct destroy_verdict *verdict, uint32_t waiter,
		   bool assume)
{
	if (verdict->action == DESTROY_LIST) {
		commit_list(env, session, verdict, waiter, assume);
		return;
	}
	slot_at(&env->region, verdict->resource)->waiter = waiter;
	resource_retire(env, session, verdict->resource, assume);
}

struct outcome destroy_request(struct env *env, uint32_t session,
			       const struct destroy_args *args,
			       const struct ticket *ticket,
			       struct rules_scratch *scratch)
{
	struct region *region = &env->region;
	struct destroy_verdict verdict;
	struct outcome outcome;
	uint32_t items, waiter = 0;

	rules_destroy(region, session, args, scratch, &verdict);
	outcome = verdict.outcome;
	if (outcome.status != 0 || verdict.action == DESTROY_NOTHING)
		return outcome;
	items = verdict.action == DESTROY_RESOURCE ? 1 : verdict.count;
	if (stream_reserve(region, items) != 0)
		return refuse_memory();
	if (args->flags & TENURE_DESTROY_SYNCHRONOUS) {
		waiter = waiter_new(env, session, ticket, WIRE_OP_DESTROY,
				    &outcome);
		if (waiter == 0)
			return outcome;
		waiter_expect(env, waiter, items);
		outcome.later = true;
	}
	commit(env, session, &verdict, waiter,
	       (args->flags & TENURE_DESTROY_ASSUME_NOT_IN_USE) != 0);
	return outcome;
}
