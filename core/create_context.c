/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layer L4: memory that belongs to a context.
 *
 * Scratch space of a queue of work: nobody lists it in a submit, because all
 * work of its context may use it. So it is in use exactly while the context
 * has work, and its destroy, which is legal at any time and names only an
 * adapter and a handle, waits for what the context had been given by then:
 * the next moment at which none of that is left. Work submitted later cannot
 * use it, since its handle is dead.
 *
 *	context --> run of slots          destroy: at (context, submitted)
 *	    ^          | position         context goes: they go with it
 *	    +- use_who +
 *
 * In the slot the name of the context stands where others note who uses them,
 * so that the same code finds what to wait for. One that is shared across
 * contexts names them all, waits for each in turn, and goes with the device.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A refused create or destroy has changed nothing.
 *  G2  The memory stays until the work of its context is done that was
 *      submitted before the destroy.
 */
#include "core/context.h"
#include "core/create_birth.h"
#include "core/destroy.h"
#include "core/device.h"
#include "core/retire.h"
#include "core/rules.h"
#include "core/uses.h"
#include "core/words.h"

static struct outcome check_context(struct env *env, struct birth *b)
{
	struct outcome outcome;
	uint32_t context = context_find(env, b->session, b->args->device,
					b->args->resource, false, &outcome);
	const struct context *c;

	if (context == 0)
		return outcome;
	c = context_at(&env->region, context);
	b->device = c->device;
	if (b->args->flags & TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS)
		return outcome;
	if (c->count + b->args->count > CONTEXT_ALLOCATIONS_MAX)
		return refuse(-EINVAL, TENURE_REASON_CONTEXT_FULL);
	b->context = context;
	return outcome;
}

struct outcome context_allocation_create(struct env *env, uint32_t session,
					 const struct create_args *args,
					 struct created *ret)
{
	struct backend_allocation made[LIST_ENTRIES_MAX];
	struct birth b = {
		.args = args,
		.made = made,
		.session = session,
		.kind = KIND_CONTEXT_ALLOCATION,
	};
	struct outcome outcome;

	if (args->flags &
	    ~(uint32_t)TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS)
		return refuse(-EINVAL, TENURE_REASON_FLAGS_RESERVED);
	outcome = birth_check_counts(args);
	if (outcome.status == 0)
		outcome = check_context(env, &b);
	if (outcome.status == 0)
		outcome = birth_check_sizes(&b);
	return outcome.status != 0 ? outcome : birth_finish(env, &b, ret);
}

/* Moves the context's run to the longer one, if there is one. */
static void grow_run(struct env *env, const struct birth *b, struct context *c)
{
	struct region *region = &env->region;

	if (b->run == 0)
		return;
	if (c->count > 0)
		memcpy(block_at(region, b->run), block_at(region, c->run),
		       c->count * sizeof(uint32_t));
	block_free(region, c->run, c->capacity * sizeof(uint32_t));
	c->run = b->run;
	stored();
	c->capacity = b->run_capacity;
}

void birth_join_context(struct env *env, const struct birth *b,
			const uint32_t *slots)
{
	struct region *region = &env->region;
	struct context *c;
	uint32_t *run;

	if (b->context == 0) {
		for (uint32_t i = 0; i < b->args->count; i++)
			slot_at(region, slots[i])->use_who = USE_ALL;
		return;
	}
	c = context_at(region, b->context);
	grow_run(env, b, c);
	run = block_at(region, c->run);
	for (uint32_t i = 0; i < b->args->count; i++) {
		struct slot *slot = slot_at(region, slots[i]);

		slot->use_who = c->who;
		slot->allocation.position = (uint16_t)c->count;
		run[c->count++] = slots[i];
	}
}

/* The slot by its handle alone: whatever device of the client it is on. */
static struct slot *find(struct env *env, uint32_t session, uint64_t wire,
			 struct outcome *ret)
{
	const struct region *region = &env->region;
	enum tenure_reason reason = TENURE_REASON_ALLOCATION_INVALID;
	struct handle handle =
		handle_from_wire(wire, session_at(region, session)->secret);
	uint32_t owner = table_owner(region, handle);
	struct slot *slot = NULL;

	if (wire != 0 && owner_is_device(owner) &&
	    device_at(region, owner_device(owner))->session == session)
		slot = rules_find(region, session, owner_device(owner),
				  KIND_CONTEXT_ALLOCATION, wire,
				  TENURE_REASON_ALLOCATION_INVALID, &reason);
	else
		rules_find(region, session, 0, KIND_CONTEXT_ALLOCATION, wire,
			   TENURE_REASON_ALLOCATION_INVALID, &reason);
	*ret = slot == NULL ? refuse(-EINVAL, reason) : outcome_ok();
	return slot;
}

struct outcome context_allocation_destroy(struct env *env, uint32_t session,
					  uint64_t adapter, uint64_t allocation)
{
	struct region *region = &env->region;
	const struct device *d;
	struct outcome outcome;
	struct slot *slot;
	uint32_t index, context;

	outcome = adapter_find(env, session, adapter, &index);
	if (outcome.status != 0)
		return outcome;
	slot = find(env, session, allocation, &outcome);
	if (slot == NULL)
		return outcome;
	d = device_at(region, table_device(region, slot_index(region, slot)));
	if (d->state == DEVICE_REMOVED)
		return refuse(-ENODEV, TENURE_REASON_DEVICE_REMOVED);
	if (d->adapter != index)
		return refuse(-EINVAL, TENURE_REASON_ADAPTER_INVALID);
	if (stream_reserve(region, 1) != 0)
		return refuse_memory();
	context = words_find(region, &session_at(region, session)->words,
			     slot->use_who);
	if (slot->use_who != USE_ALL)
		slot->use_value = context_at(region, context)->submitted;
	allocation_retire(env, session, slot_index(region, slot), false);
	return outcome;
}
