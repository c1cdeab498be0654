/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destroy rules: the whole of table A as one decision.
 *
 * The idea: decide everything here, on a state that nobody changes, and hand
 * a list of slots to a commit that cannot fail. So a refused destroy has
 * changed nothing (law 1) because nothing that could change was touched.
 *
 * Order of checks, visible when two rules are broken:
 *
 *	flags -> shape -> device handle -> device state -> resource
 *	                                                \> entries, in order
 *
 *  flags     A74 A75
 *  shape     A19 A12 A14 A13   (A10 A11 A16 A17 A18 pass)
 *  device    A03 A04 A05 A06
 *  state     A07               (A08 passes)
 *  resource  A30 to A35        (A16 A37 to A40 pass)
 *  entries   A56 A57 A58 A55 A54 A52 A53 A60
 *
 * To a client, a handle that was never issued, that is stale and that is
 * another client's are one and the same: the owner check comes before the
 * slot, so there is not even a different cache line to tell them by. For
 * handles of its own it gets a better answer.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  The state is the same before and after.
 *  G2  Every slot in a verdict is LIVE, of the device, named once, and an
 *      allocation of one private resource or of the device itself.
 *  G3  A list that is not to be read is not read (A11 A14 A17 A18).
 *
 * Duplicates (A60): a bitmap of hashed slot indices, of 64 bits for each
 * entry, says of nearly every slot that it is new, and only then the entries
 * before it are gone through. So the cost is linear in the list and nothing is
 * written to a slot; the bitmap is as large as the list asks for, since it must
 * be cleared. A client knows the indices of its slots and may choose those that
 * it names, so the hash has a multiplier that it cannot know: nobody can make
 * them collide.
 */
#include "core/rules.h"

#define FLAGS_KNOWN \
	(TENURE_DESTROY_ASSUME_NOT_IN_USE | TENURE_DESTROY_SYNCHRONOUS)

/* Whether an owner id is the session or one of its devices still in use. */
static bool owner_is_own(const struct region *region, uint32_t session,
			 uint32_t owner)
{
	if (!owner_is_device(owner))
		return owner != 0 && owner == owner_of_session(session);
	return device_at(region, owner_device(owner))->session == session &&
	       device_at(region, owner_device(owner))->state != DEVICE_REMOVED;
}

struct slot *rules_find(const struct region *region, uint32_t session,
			uint32_t device, enum kind kind, uint64_t wire,
			enum tenure_reason invalid,
			enum tenure_reason *ret_reason)
{
	struct handle handle =
		handle_from_wire(wire, session_at(region, session)->secret);
	uint32_t owner = table_owner(region, handle);
	uint32_t expected = device == 0 ? owner_of_session(session) :
					  owner_of_device(device);
	struct slot *slot = NULL;

	*ret_reason = invalid;
	if (wire == 0)
		return NULL;
	if (owner == expected || owner_is_own(region, session, owner))
		slot = table_peek(region, owner, handle);
	if (slot == NULL)
		return NULL;
	if (owner == expected && handle_kind(handle) == kind)
		return slot;
	if (device != 0 && owner_is_device(owner) && owner != expected)
		*ret_reason = TENURE_REASON_OTHER_DEVICE;
	else
		*ret_reason = TENURE_REASON_WRONG_TYPE;
	return NULL;
}

uint32_t rules_device(const struct region *region, uint32_t session,
		      uint64_t wire, struct outcome *ret)
{
	enum tenure_reason reason;
	struct slot *slot = rules_find(region, session, 0, KIND_DEVICE, wire,
				       TENURE_REASON_DEVICE_INVALID, &reason);

	if (slot == NULL) {
		*ret = refuse(-EINVAL, reason);
		return 0;
	}
	if (device_at(region, slot->device.device)->state == DEVICE_REMOVED) {
		*ret = refuse(-ENODEV, TENURE_REASON_DEVICE_REMOVED);
		return 0;
	}
	*ret = outcome_ok();
	return slot->device.device;
}

static struct outcome check_flags(uint32_t flags)
{
	if (flags & TENURE_DESTROY_SYSTEM_USE_ONLY)
		return refuse(-EINVAL, TENURE_REASON_FLAGS_SYSTEM_ONLY);
	if (flags & ~(uint32_t)FLAGS_KNOWN)
		return refuse(-EINVAL, TENURE_REASON_FLAGS_RESERVED);
	return outcome_ok();
}

static struct outcome check_shape(const struct destroy_args *args)
{
	if (args->resource != 0) {
		if (args->list != NULL && args->count > 0)
			return refuse(-EINVAL, TENURE_REASON_RESOURCE_AND_LIST);
		return outcome_ok();
	}
	if (args->count == 0)
		return outcome_ok();
	if (args->list == NULL)
		return refuse(-EINVAL, TENURE_REASON_LIST_MISSING);
	if (args->count > LIST_ENTRIES_MAX)
		return refuse(-EINVAL, TENURE_REASON_LIST_TOO_LONG);
	if (args->list_bytes < args->count * sizeof(args->list[0]))
		return refuse(-EINVAL, TENURE_REASON_LIST_TRUNCATED);
	return outcome_ok();
}

static void judge_resource(const struct region *region, uint32_t session,
			   const struct destroy_args *args,
			   struct destroy_verdict *ret)
{
	enum tenure_reason reason;
	struct slot *slot = rules_find(region, session, ret->device,
				       KIND_RESOURCE, args->resource,
				       TENURE_REASON_RESOURCE_INVALID, &reason);

	if (slot == NULL) {
		ret->outcome = refuse(-EINVAL, reason);
		return;
	}
	ret->action = DESTROY_RESOURCE;
	ret->resource = slot_index(region, slot);
}

/* Empties as many bits as a list asks for. */
static void forget_slots(struct rules_scratch *scratch, uint32_t count)
{
	static_assert((LIST_ENTRIES_MAX & (LIST_ENTRIES_MAX - 1)) == 0,
		      "a list rounded up to a power of two has its bits");
	scratch->seen_log2 = RULES_SEEN_BITS_LOG2;
	if (count > 1)
		scratch->seen_log2 += 32 - (uint32_t)__builtin_clz(count - 1);
	memset(scratch->seen, 0, (UINT64_C(1) << scratch->seen_log2) / 8);
}

/* Whether one of the first entries is that slot. */
static bool was_named(const struct rules_scratch *scratch, uint32_t position,
		      uint32_t index)
{
	for (uint32_t i = 0; i < position; i++)
		if (scratch->slots[i] == index)
			return true;
	return false;
}

/* Notes the slot of an entry; false when it had been noted before. */
static bool note_slot(struct rules_scratch *scratch, uint32_t position,
		      uint32_t index)
{
	uint32_t at = (index * (scratch->multiplier | 1)) >>
		      (32 - scratch->seen_log2);
	uint64_t bit = UINT64_C(1) << (at % 64);

	scratch->slots[position] = index;
	if (UNLIKELY(scratch->seen[at / 64] & bit))
		return !was_named(scratch, position, index);
	scratch->seen[at / 64] |= bit;
	return true;
}

/* Whether an allocation may stand in a list that began with first. */
static enum tenure_reason judge_parent(const struct region *region,
				       const struct slot *first,
				       const struct slot *slot)
{
	uint32_t parent = slot->allocation.parent;

	if (parent != 0 && slot_at(region, parent)->resource.object != 0)
		return TENURE_REASON_ENTRY_OF_SHARED;
	if (parent == first->allocation.parent)
		return TENURE_REASON_NONE;
	if (parent == 0 || first->allocation.parent == 0)
		return TENURE_REASON_ENTRY_MIXED_OWNERS;
	return TENURE_REASON_ENTRY_OTHER_RESOURCE;
}

/* What is the same for all entries of a list. */
struct list {
	const struct region *region;
	uint32_t session, device, owner;
	uint32_t parent; /* of the first entry, which has been judged */
	uint64_t secret;
	struct rules_scratch *scratch;
};

void rules_name(const struct region *region, uint64_t secret, uint32_t owner,
		const uint64_t *entries, uint32_t from, uint32_t to,
		uint32_t *ret_slots)
{
	/* A copy: no store into slots can change it. */
	const struct region r = *region;

	for (uint32_t i = from; i < to; i++) {
		const struct handle handle = { entries[i] ^ secret };
		uint32_t index = handle_index(handle);

		if (table_owner(&r, handle) == owner &&
		    handle_kind(handle) == KIND_ALLOCATION)
			slot_prefetch(&r, index);
		else
			index = 0;
		ret_slots[i] = index;
	}
}

static void name_slots(const struct list *list, const uint64_t *entries,
		       uint32_t from, uint32_t to)
{
	rules_name(list->region, list->secret, list->owner, entries, from, to,
		   list->scratch->slots);
}

/*
 * Nearly always an entry is a new one, in use, and of the same parent as the
 * first: then one look at its slot says so. Goes from one entry to the first
 * that is not so plain, and returns its position: judge_entry must be asked.
 */
static uint32_t pass_plain(const struct list *list, const uint64_t *entries,
			   uint32_t from, uint32_t to)
{
	const struct slot *all = slot_at(list->region, 0);
	const struct rules_scratch *scratch = list->scratch;
	const uint32_t shift = 32 - scratch->seen_log2;
	const uint32_t multiplier = scratch->multiplier | 1;
	const uint32_t parent = list->parent;
	const uint64_t secret = list->secret;
	const uint32_t *slots = scratch->slots;
	uint64_t *seen = list->scratch->seen;
	uint32_t i;

	for (i = from; i < to; i++) {
		const struct handle handle = { entries[i] ^ secret };
		const struct slot *slot = &all[slots[i]];
		uint32_t at = (slots[i] * multiplier) >> shift;
		uint64_t bit = UINT64_C(1) << (at % 64);

		if (slots[i] == 0 || !control_peek(&slot->control, handle) ||
		    slot->allocation.parent != parent ||
		    UNLIKELY(seen[at / 64] & bit))
			break;
		seen[at / 64] |= bit;
	}
	return i;
}

static enum tenure_reason judge_entry(const struct list *list, uint64_t entry,
				      uint32_t position)
{
	struct rules_scratch *scratch = list->scratch;
	const struct region *region = list->region;
	enum tenure_reason reason;
	struct slot *slot;

	if (entry == 0)
		return TENURE_REASON_ENTRY_ZERO;
	slot = rules_find(region, list->session, list->device, KIND_ALLOCATION,
			  entry, TENURE_REASON_ENTRY_INVALID, &reason);
	if (slot == NULL)
		return reason;
	reason = judge_parent(
		region,
		position == 0 ? slot : slot_at(region, scratch->slots[0]),
		slot);
	if (reason != TENURE_REASON_NONE)
		return reason;
	if (!note_slot(scratch, position, slot_index(region, slot)))
		return TENURE_REASON_ENTRY_TWICE;
	return TENURE_REASON_NONE;
}

/* Judges entries up to one that is refused, and says at which it stopped. */
static enum tenure_reason judge_block(const struct list *list,
				      const uint64_t *entries, uint32_t *at,
				      uint32_t to)
{
	while ((*at = pass_plain(list, entries, *at, to)) < to) {
		enum tenure_reason reason =
			judge_entry(list, entries[*at], *at);

		if (reason != TENURE_REASON_NONE)
			return reason;
		++*at;
	}
	return TENURE_REASON_NONE;
}

static void judge_list(const struct region *region, uint32_t session,
		       const struct destroy_args *args,
		       struct rules_scratch *scratch,
		       struct destroy_verdict *ret)
{
	const uint32_t n = args->count;
	struct list list = {
		.region = region,
		.session = session,
		.device = ret->device,
		.owner = owner_of_device(ret->device),
		.secret = session_at(region, session)->secret,
		.scratch = scratch,
	};
	uint32_t at = 0, next = (uint32_t)min_u64(1 + RULES_BLOCK, n);
	enum tenure_reason reason;

	forget_slots(scratch, n);
	name_slots(&list, args->list, 1, next);
	reason = judge_entry(&list, args->list[at], at);
	if (reason == TENURE_REASON_NONE)
		list.parent =
			slot_at(region, scratch->slots[at++])->allocation.parent;
	while (reason == TENURE_REASON_NONE && at < n) {
		uint32_t to = next;

		next = (uint32_t)min_u64(to + RULES_BLOCK, n);
		name_slots(&list, args->list, to, next);
		reason = judge_block(&list, args->list, &at, to);
	}
	if (reason != TENURE_REASON_NONE) {
		ret->outcome = refuse_entry(-EINVAL, reason, at);
		return;
	}
	ret->action = DESTROY_LIST;
	ret->slots = scratch->slots;
	ret->count = args->count;
}

void rules_destroy(const struct region *region, uint32_t session,
		   const struct destroy_args *args,
		   struct rules_scratch *scratch, struct destroy_verdict *ret)
{
	*ret = (struct destroy_verdict){ .outcome = check_flags(args->flags) };
	if (ret->outcome.status != 0)
		return;
	ret->outcome = check_shape(args);
	if (ret->outcome.status != 0)
		return;
	ret->device =
		rules_device(region, session, args->device, &ret->outcome);
	if (ret->device == 0)
		return;
	if (args->resource != 0)
		judge_resource(region, session, args, ret);
	else if (args->count > 0)
		judge_list(region, session, args, scratch, ret);
}

/* Why a handle of the free queue names nothing: what a removed device of the
 * session owns goes by itself (A07). */
static struct outcome names_nothing(const struct region *region,
				    uint32_t session, uint32_t owner,
				    enum tenure_reason invalid)
{
	const struct device *d;

	if (!owner_is_device(owner))
		return refuse(-EINVAL, invalid);
	d = device_at(region, owner_device(owner));
	if (d->session == session && d->state == DEVICE_REMOVED)
		return refuse(-ENODEV, TENURE_REASON_DEVICE_REMOVED);
	return refuse(-EINVAL, invalid);
}

struct slot *rules_free(const struct region *region, uint32_t session,
			uint64_t wire, struct outcome *ret)
{
	struct handle handle =
		handle_from_wire(wire, session_at(region, session)->secret);
	uint32_t owner = table_owner(region, handle);
	enum kind kind = handle_kind(handle);
	bool resource = kind == KIND_RESOURCE;
	enum tenure_reason reason = resource ? TENURE_REASON_RESOURCE_INVALID :
					       TENURE_REASON_ENTRY_INVALID;
	struct slot *slot = NULL;

	if (wire == 0)
		reason = TENURE_REASON_ENTRY_ZERO;
	else if (owner_is_own(region, session, owner))
		slot = table_peek(region, owner, handle);
	if (slot == NULL) {
		*ret = names_nothing(region, session, owner, reason);
		return NULL;
	}
	reason = TENURE_REASON_NONE;
	if (!owner_is_device(owner) || (!resource && kind != KIND_ALLOCATION))
		reason = TENURE_REASON_WRONG_TYPE;
	else if (!resource)
		reason = judge_parent(region, slot, slot);
	*ret = reason == TENURE_REASON_NONE ? outcome_ok() :
					      refuse(-EINVAL, reason);
	return reason == TENURE_REASON_NONE ? slot : NULL;
}
