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

/* How far ahead lines are asked for: about the latency of memory divided by
 * the time that one free takes. */
enum { AHEAD = 24 };

/* Only a line of the client's own is asked for. */
static void ask_for(const struct region *region, uint32_t client, uint64_t wire)
{
	struct handle handle =
		handle_from_wire(wire, session_at(region, client)->secret);
	uint32_t owner = table_owner(region, handle);

	if (owner_is_device(owner) &&
	    device_at(region, owner_device(owner))->session == client)
		slot_prefetch(region, handle_index(handle));
}

static struct outcome free_one(struct env *env, uint32_t client, uint64_t wire)
{
	struct outcome outcome;
	struct slot *slot = rules_free(&env->region, client, wire, &outcome);
	uint32_t index;

	if (slot == NULL)
		return outcome;
	index = slot_index(&env->region, slot);
	slot->waiter = 0;
	if (slot_kind(slot) == KIND_RESOURCE)
		resource_retire(env, client, index, false);
	else
		allocation_retire(env, client, index, false);
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

uint32_t broker_free(struct broker *broker, uint32_t client,
		     const uint64_t *handles, uint32_t count, uint64_t now_ns,
		     struct wire_reply *ret_refusals)
{
	struct env *env = &broker->env;
	struct region *region = &env->region;
	struct session *s = session_at(region, client);
	struct outcome outcome = outcome_ok();
	uint32_t refused = 0;

	assert(s->phase == SESSION_ACTIVE && count <= LIST_ENTRIES_MAX);
	if (stream_reserve(region, count) != 0)
		outcome = refuse_memory();
	for (uint32_t i = 0; i < count && i < AHEAD; i++)
		ask_for(region, client, handles[i]);
	for (uint32_t i = 0; i < count; i++) {
		struct outcome one = outcome;

		if (i + AHEAD < count)
			ask_for(region, client, handles[i + AHEAD]);
		if (one.status == 0)
			one = free_one(env, client, handles[i]);
		if (one.status == 0)
			continue;
		session_note_refusal(env, client, WIRE_OP_FREE, &one, now_ns);
		ret_refusals[refused++] = refusal(handles[i], &one);
	}
	return refused;
}
