/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinned: a watchdog for pins that are not given back.
 *
 * Who reads a slot while its owner may destroy it holds a pin, for some
 * nanoseconds. A slot that is pinned cannot be freed, and reclaim works from
 * the front of a session's stream; so a pin that is never given back would
 * hold up all later garbage of the session, and keep the daemon awake, which
 * would look at it for ever. A pin leaks only by a defect of ours. The defect
 * shall cost one slot, and be heard of.
 *
 *	stream of the session            set aside, of all sessions
 *	[ P | a | a | b ... ]  --------> [ P | Q | ... ]
 *	  ^ looked at               ^      | looked at each PINNED_PERIOD_NS
 *	  | PINNED_LOOKS times      |      v
 *	  +---- nobody pins it <----+------+
 *
 * What is set aside has no memory any more: that is given back whether a slot
 * is pinned or not. It keeps its handle's charge, and its device and its
 * session cannot end before it is free. It stays an item, so its place in a
 * stream is reserved (core/retire.c), and going back needs no memory. Teardown
 * has reserved nothing for what it puts into a stream, as long as that is no
 * more than a stream has room for: so it is reserved here, before teardown goes
 * on. The list exists only while there is something in it; if there is no memory
 * for it, nothing is set aside.
 *
 * Its born_s says from then on since when it has been pinned.
 *
 * After an adoption there are no pins (core/table.h), so core/rebuild.c puts
 * all of this back into streams.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A leaked pin delays nothing but the slot, what it is part of, and the
 *      end of its device and its session.
 *  G2  While nothing else is to be done there is one look in a period, at no
 *      more than PINNED_AT_ONCE items.
 *  G3  What is not pinned any more is freed at the second look at the latest.
 *  G4  Each that stays pinned is reported once.
 */
#include "core/pinned.h"

#include "core/retire.h"
#include "core/session.h"

static uint32_t *born_s(struct slot *slot)
{
	return slot_kind(slot) == KIND_RESOURCE ? &slot->resource.born_s :
						  &slot->allocation.born_s;
}

static uint32_t pins_of(const struct region *region, uint32_t index)
{
	const struct slot *slot = slot_at(region, index);
	uint32_t pins = slot_pins(slot);
	const uint32_t *run;

	if (slot_kind(slot) != KIND_RESOURCE || slot->resource.count == 0)
		return pins;
	run = block_at(region, slot->resource.run);
	for (uint32_t i = 0; i < slot->resource.count; i++)
		pins += slot_pins(slot_at(region, run[i]));
	return pins;
}

bool pinned_is(const struct region *region, uint32_t slot)
{
	return pins_of(region, slot) > 0;
}

bool pinned_set_aside(struct env *env, uint32_t session, uint64_t now_ns)
{
	struct region *region = &env->region;
	struct state *state = region_state(region);
	struct session *s = session_at(region, session);
	uint32_t item;

	if (++s->pinned_looks < PINNED_LOOKS || stream_reserve(region, 0) != 0)
		return false;
	if (state->pinned.head == 0) {
		if (stream_init(region, &state->pinned) != 0)
			return false;
		state->pinned_due_ns = now_ns + PINNED_PERIOD_NS;
	}
	s->pinned_looks = 0;
	stream_peek(region, &s->stream, &item, 1);
	stream_pop(region, &s->stream, 1);
	stream_append(region, &state->pinned, item);
	*born_s(slot_at(region, item)) = (uint32_t)(now_ns / NS_PER_S);
	s->n_pinned++;
	state->pinned_total++;
	return true;
}

/* The session whose slot it is. */
static uint32_t session_of(const struct region *region, uint32_t index)
{
	return device_at(region, table_device(region, index))->session;
}

static void put_back(struct env *env, uint32_t index)
{
	uint32_t session = session_of(&env->region, index);
	struct session *s = session_at(&env->region, session);

	stream_append(&env->region, &s->stream, index);
	s->n_pinned--;
	session_wake(env, session);
}

/* Whether it is to be reported now; there is room for one report. */
static bool report(struct env *env, uint32_t index, uint64_t now_ns)
{
	const struct region *region = &env->region;
	struct state *state = region_state(region);
	struct slot *slot = slot_at(region, index);
	uint32_t now_s = (uint32_t)(now_ns / NS_PER_S);
	uint32_t session = session_of(region, index);
	const struct session *s = session_at(region, session);

	if (state->pinned_report.handle != 0 ||
	    now_s < *born_s(slot) + PINNED_TOLD_S)
		return false;
	state->pinned_report = (struct pinned_report){
		.handle = handle_to_wire(slot_handle(slot, index), s->secret),
		.client = session,
		.pid = s->pid,
		.uid = principal_at(region, s->principal)->uid,
		.device = table_device(region, index),
		.pins = pins_of(region, index),
		.seconds = now_s - *born_s(slot),
	};
	return true;
}

/* The first of those set aside: it goes back, or to the end. */
static uint32_t look_at_first(struct env *env, uint64_t now_ns)
{
	struct region *region = &env->region;
	struct state *state = region_state(region);
	uint32_t item, index, cost = 1;
	const struct slot *slot;

	stream_peek(region, &state->pinned, &item, 1);
	stream_pop(region, &state->pinned, 1);
	index = item & ~ITEM_TOLD;
	slot = slot_at(region, index);
	if (slot_kind(slot) == KIND_RESOURCE)
		cost += slot->resource.count;
	if (!pinned_is(region, index)) {
		put_back(env, index);
		return cost;
	}
	if (!(item & ITEM_TOLD) && report(env, index, now_ns))
		item |= ITEM_TOLD;
	stream_append(region, &state->pinned, item);
	return cost;
}

void pinned_look(struct env *env, uint64_t now_ns, int64_t *budget)
{
	struct state *state = region_state(&env->region);
	uint64_t n = min_u64(state->pinned.count, PINNED_AT_ONCE);

	if (n == 0 || now_ns < state->pinned_due_ns)
		return;
	for (; n > 0 && *budget > 0; n--)
		*budget -= look_at_first(env, now_ns);
	state->pinned_due_ns = now_ns + PINNED_PERIOD_NS;
	if (state->pinned.count == 0) {
		stream_deinit(&env->region, &state->pinned);
		state->pinned_due_ns = 0;
	}
}

uint64_t pinned_due_ns(const struct region *region)
{
	return region_state(region)->pinned_due_ns;
}

bool pinned_next_report(struct env *env, struct pinned_report *ret)
{
	struct state *state = region_state(&env->region);

	if (state->pinned_report.handle == 0)
		return false;
	*ret = state->pinned_report;
	state->pinned_report = (struct pinned_report){ 0 };
	return true;
}
