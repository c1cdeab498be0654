/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broker: the free queue. Handles come in bare, up to a thousand at once, and
 * each is destroyed alone: as by a DESTROY of its own, with flags 0, on the
 * device that it belongs to.
 *
 * The idea: a free is a message of eight bytes. What a DESTROY says besides
 * the handle follows from it: the device is the one whose segment the slot
 * lies in, and the kind in the handle says whether a resource goes or one
 * allocation. Nobody waits for an answer, so success has none; a refusal has
 * one, since silence would be a leak that nobody can see.
 *
 * The slots of a list of handles lie anywhere. So their lines are asked for
 * first, a few dozen ahead of the one that is being judged.
 *
 *	handles:  h h h h h h h h h h h h h h
 *	                  ^ judge, retire   ^ prefetch
 *
 * Nearly all are allocations that no resource holds and at most one context
 * uses, many of one device after the other. These are retired here and queued together; all
 * others go the long way, after those that came before them.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Each handle has the result that its own DESTROY would have.
 *  G2  A handle that is refused changes nothing and does not affect the others.
 *  G3  The same handle twice is destroyed once and refused once.
 */
#include "core/broker.h"
#include "core/destroy.h"
#include "core/retire.h"
#include "core/state.h"
#include "core/uses.h"

/* What is known about a list while it is gone through. */
struct frees {
	struct env *env;
	uint32_t client;
	/* The device of the last handle, if allocations of it are retired by
	 * a word alone; else nobody. */
	uint32_t owner;
	uint64_t secret;
	uint32_t retired; /* allocations, that are not queued yet */
	uint32_t used; /* not 0 when work uses one of them */
	uint32_t children; /* of the resources that were retired */
	uint32_t slots[RETIRED_BLOCK];
};

/* Only a line of the client's own is asked for. */
static ALWAYS_INLINE void ask_for(const struct frees *frees, uint64_t wire)
{
	const struct region *region = &frees->env->region;
	const struct handle handle = { wire ^ frees->secret };
	uint32_t owner = table_owner(region, handle);

	if (LIKELY(owner == frees->owner) ||
	    (owner_is_device(owner) &&
	     device_at(region, owner_device(owner))->session == frees->client))
		slot_prefetch(region, handle_index(handle));
}

static void queue_retired(struct frees *frees)
{
	allocations_retired(frees->env, frees->client, frees->slots,
			    frees->retired, frees->used != 0);
	frees->retired = frees->used = 0;
}

/* What most handles are. (Zero becomes the secret, whose kind none has.) */
static inline bool free_plain(struct frees *frees, uint64_t wire)
{
	const struct handle handle = { wire ^ frees->secret };
	struct slot *slot;

	if (handle_kind(handle) != KIND_ALLOCATION)
		return false;
	slot = table_peek(&frees->env->region, frees->owner, handle);
	if (slot == NULL || slot->allocation.parent != 0 ||
	    slot->use_who == USE_SET)
		return false;
	frees->used |= slot->use_who;
	slot->waiter = 0;
	table_retire(slot);
	frees->slots[frees->retired++] = handle_index(handle);
	if (frees->retired == RETIRED_BLOCK)
		queue_retired(frees);
	return true;
}

/* Any handle; the next ones are likely to be of its device. */
static struct outcome free_any(struct frees *frees, uint64_t wire)
{
	struct env *env = frees->env;
	struct outcome outcome;
	struct slot *slot =
		rules_free(&env->region, frees->client, wire, &outcome);
	uint32_t index, device;

	queue_retired(frees);
	if (slot == NULL)
		return outcome;
	index = slot_index(&env->region, slot);
	device = table_device(&env->region, index);
	frees->owner = device_retires_plainly(env, device) ?
			       owner_of_device(device) :
			       0;
	slot->waiter = 0;
	if (slot_kind(slot) == KIND_RESOURCE) {
		frees->children += slot->resource.count;
		resource_retire(env, frees->client, index, false);
	} else {
		allocation_retire(env, frees->client, index, false);
	}
	return outcome;
}

static struct wire_reply refusal(uint64_t wire, const struct outcome *outcome)
{
	return (struct wire_reply){
		.opcode = WIRE_OP_FREE,
		.status = outcome->status,
		.reason = outcome->reason,
		.index = WIRE_NO_INDEX,
		.value = { wire },
	};
}

/* Only what is read before it is written: the slots are many. */
static void begin(struct frees *frees, struct env *env, uint32_t client)
{
	frees->env = env;
	frees->client = client;
	frees->owner = 0;
	frees->secret = session_at(&env->region, client)->secret;
	frees->retired = frees->used = frees->children = 0;
}

uint32_t broker_free_some(struct broker *broker, uint32_t client,
			  const uint64_t *handles, uint32_t count,
			  uint64_t now_ns, struct wire_reply *ret_refusals,
			  uint32_t *ret_done)
{
	struct env *env = &broker->env;
	const struct session *s = session_at(&env->region, client);
	struct outcome outcome = outcome_ok();
	struct frees frees;
	uint32_t refused = 0;

	assert(s->phase == SESSION_ACTIVE && count <= LIST_ENTRIES_MAX);
	begin(&frees, env, client);
	if (stream_reserve(&env->region, count) != 0)
		outcome = refuse_memory();
	for (uint32_t i = 0; i < count && i < PREFETCH_AHEAD; i++)
		ask_for(&frees, handles[i]);
	for (uint32_t i = 0; i < count; i++) {
		struct outcome one = outcome;

		if (i + PREFETCH_AHEAD < count)
			ask_for(&frees, handles[i + PREFETCH_AHEAD]);
		if (one.status == 0) {
			if (LIKELY(free_plain(&frees, handles[i])))
				continue;
			one = free_any(&frees, handles[i]);
			if (frees.children >= FREES_CHILDREN_MAX)
				count = i + 1;
		}
		if (one.status == 0)
			continue;
		session_note_refusal(env, client, WIRE_OP_FREE, &one, now_ns);
		ret_refusals[refused++] = refusal(handles[i], &one);
	}
	queue_retired(&frees);
	*ret_done = count;
	return refused;
}
