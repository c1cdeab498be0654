/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses: which work an allocation is used by.
 *
 * A use is a context and the value at which its work ends. An allocation
 * remembers the last value of each context that used it; what it says about
 * itself stands in its own slot, so noting a use writes one line that was
 * read anyway to check the handle. Uses are noted for each allocation, not for
 * its resource: a list destroy of one (A51) then waits for its own work only,
 * and the destroy of a resource, which visits every child, finds all.
 *
 *	who NAME, value V          one context: the usual case, no record
 *	who SET,  value ---> users ---> users      up to 16 contexts
 *	who ALL                    a context allocation shared by all of them
 *
 * A use ends when its context has come to the value, or has gone; names are
 * never used twice (core/words.c), so a slot can keep a stale one until it is
 * written over. Only the uses that have not ended count: a second context
 * takes the place of the first when that one's work is done, and a set only
 * grows while all its places are taken by unfinished work.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  uses_pending names a context exactly while one that was noted has not
 *      come to its last value.
 *  G2  An item moves at most once for each context: the value it is told to
 *      wait for is the last of that context, over all children.
 *  G3  uses_note takes no more records than uses_cost said.
 */
#include "core/uses.h"

#include "core/words.h"

static const struct words *words_of(const struct region *region,
				    uint32_t session)
{
	return &session_at(region, session)->words;
}

/* The context of a use that has not ended, or 0. */
static uint32_t unfinished(const struct region *region, uint32_t session,
			   uint32_t who, uint64_t value)
{
	uint32_t index = words_find(region, words_of(region, session), who);

	if (index == 0 || value <= context_at(region, index)->done)
		return 0;
	return index;
}

uint64_t uses_done(const struct region *region, uint32_t session, uint32_t who)
{
	uint32_t index = words_find(region, words_of(region, session), who);

	return index == 0 ? UINT64_MAX : context_at(region, index)->done;
}

static int set_cost(const struct region *region, uint32_t session,
		    uint32_t first, uint32_t who)
{
	uint32_t users = 0;
	bool room = false;

	for (uint32_t at = first; at != 0; at = users_at(region, at)->next) {
		const struct users *u = users_at(region, at);

		for (int i = 0; i < USERS_IN_RECORD; i++) {
			if (u->who[i] == who)
				return 0;
			if (unfinished(region, session, u->who[i], u->value[i]))
				users++;
			else
				room = true;
		}
	}
	if (room)
		return 0;
	return users >= USERS_PER_ALLOCATION_MAX ? -EDQUOT : 1;
}

int uses_cost(const struct region *region, uint32_t session,
	      const struct slot *slot, uint32_t who)
{
	assert(slot->use_who != USE_ALL);
	if (slot->use_who == USE_SET)
		return set_cost(region, session, (uint32_t)slot->use_value,
				who);
	return slot->use_who != who &&
	       unfinished(region, session, slot->use_who, slot->use_value) != 0;
}

/* The place of who in a set, or one that is free, or NULL. */
static struct users *find_place(const struct region *region, uint32_t session,
				uint32_t first, uint32_t who, int *ret_place)
{
	struct users *found = NULL;

	for (uint32_t at = first; at != 0; at = users_at(region, at)->next) {
		struct users *u = users_at(region, at);

		for (int i = 0; i < USERS_IN_RECORD; i++) {
			if (u->who[i] != who &&
			    (found != NULL ||
			     unfinished(region, session, u->who[i],
					u->value[i])))
				continue;
			found = u;
			*ret_place = i;
			if (u->who[i] == who)
				return found;
		}
	}
	return found;
}

static uint32_t take_record(struct region *region, uint32_t session)
{
	struct session *s = session_at(region, session);

	s->n_users++;
	principal_at(region, s->principal)->n_users++;
	return pool_take(region, AREA_USERS);
}

static void note_in_set(struct region *region, uint32_t session,
			struct slot *slot, uint32_t who, uint64_t value)
{
	uint32_t first = (uint32_t)slot->use_value;
	int place = 0;
	struct users *u = find_place(region, session, first, who, &place);

	if (u == NULL) {
		uint32_t index = take_record(region, session);

		u = users_at(region, index);
		u->next = first;
		slot->use_value = index;
	}
	u->who[place] = who;
	u->value[place] = value;
	stored();
	u->slot = slot_index(region, slot);
}

/* The one use that stood in the slot becomes the first of a set. */
static void begin_set(struct region *region, uint32_t session,
		      struct slot *slot)
{
	uint32_t index = take_record(region, session);
	struct users *u = users_at(region, index);

	u->who[0] = slot->use_who;
	u->value[0] = slot->use_value;
	u->slot = slot_index(region, slot);
	stored();
	slot->use_who = USE_SET;
	stored();
	slot->use_value = index;
}

void uses_note(struct region *region, uint32_t session, struct slot *slot,
	       uint32_t who, uint64_t value)
{
	if (slot->use_who != USE_SET) {
		if (slot->use_who == who ||
		    !unfinished(region, session, slot->use_who,
				slot->use_value)) {
			uses_note_alone(slot, who, value);
			return;
		}
		begin_set(region, session, slot);
	}
	note_in_set(region, session, slot, who, value);
}

void uses_forget(struct region *region, uint32_t session, struct slot *slot)
{
	uint32_t at = slot->use_who == USE_SET ? (uint32_t)slot->use_value : 0;
	struct session *s = session_at(region, session);

	while (at != 0) {
		uint32_t next = users_at(region, at)->next;

		users_at(region, at)->slot = 0;
		pool_give(region, AREA_USERS, at);
		s->n_users--;
		principal_at(region, s->principal)->n_users--;
		at = next;
	}
	slot->use_who = USE_NONE;
	slot->use_value = 0;
}

/* Adds one use to what is to be waited for. */
static void add(const struct region *region, uint32_t session, uint32_t who,
		uint64_t value, struct pending *p)
{
	uint32_t context = unfinished(region, session, who, value);

	if (context == 0)
		return;
	if (p->context == 0)
		*p = (struct pending){ .context = context, .value = value };
	else if (p->context == context)
		p->value = max_u64(p->value, value);
	else
		p->again = true;
}

static void add_slot(const struct region *region, uint32_t session,
		     const struct slot *slot, struct pending *p)
{
	uint32_t at = (uint32_t)slot->use_value;

	if (slot->use_who != USE_SET) {
		add(region, session, slot->use_who, slot->use_value, p);
		return;
	}
	for (; at != 0; at = users_at(region, at)->next) {
		const struct users *u = users_at(region, at);

		for (int i = 0; i < USERS_IN_RECORD; i++)
			add(region, session, u->who[i], u->value[i], p);
	}
}

/*
 * One context of the device after the other, each with all that it has been
 * given so far. New contexts come in front, so the walk only meets older ones
 * and ends.
 */
static struct pending all_pending(const struct region *region, uint32_t index,
				  uint32_t after)
{
	const struct device *d = device_at(region, table_device(region, index));
	uint32_t at = after == 0 ? d->first_context :
				   context_at(region, after)->next;

	for (; at != 0; at = context_at(region, at)->next) {
		const struct context *c = context_at(region, at);

		if (c->done < c->submitted)
			return (struct pending){ at, c->submitted, true };
	}
	return (struct pending){ 0 };
}

struct pending uses_pending(const struct region *region, uint32_t session,
			    uint32_t index, uint32_t after)
{
	const struct slot *slot = slot_at(region, index);
	struct pending p = { 0 };
	const uint32_t *run;

	if (slot->use_who == USE_ALL)
		return all_pending(region, index, after);
	if (slot_kind(slot) != KIND_RESOURCE) {
		add_slot(region, session, slot, &p);
		return p;
	}
	run = slot->resource.count == 0 ? NULL :
					  block_at(region, slot->resource.run);
	for (uint32_t i = 0; i < slot->resource.count; i++)
		add_slot(region, session, slot_at(region, run[i]), &p);
	return p;
}
