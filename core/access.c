/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access: sharing what exists, and getting at its memory.
 *
 *	opening rw --share r--> token r --open--> opening r of another
 *	   |  |                     |                 |  |
 *	   |  +--- one hold each ---+-----------------+--|----> object
 *	   |                                             |        |
 *	   +-- map: place, descriptor rw                 |        v
 *	                       map: place, descriptor r -+      store
 *
 * A token is made from an opening and can give at most that opening's rights;
 * it refers to the object, not to the opening, so it outlives the handle it
 * was made from (A40). Only its maker can revoke it, and to anybody else a
 * token of another is one that never was.
 *
 * Mapping is what a client does for itself with a descriptor of the store.
 * The broker counts maps, says where in the store the allocation lies, and
 * sends the descriptor when it is asked to: at most FDS_UNACKNOWLEDGED_MAX
 * that the client has not said it received, because descriptors in flight are
 * charged to the daemon's user and one idle reader could use up everybody's.
 * The count dies with the handle (A61).
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A refused request has changed nothing.
 *  G2  No descriptor that can write goes to an opening that cannot.
 */
#include "core/access.h"

#include "core/object.h"
#include "core/retire.h"
#include "core/rules.h"
#include "core/session.h"

#define RIGHTS_ALL ((uint32_t)(TENURE_RIGHT_READ | TENURE_RIGHT_WRITE))

struct outcome share_request(struct env *env, uint32_t session, uint64_t device,
			     uint64_t resource, uint32_t rights,
			     uint64_t ret_token[2])
{
	struct region *region = &env->region;
	enum tenure_reason reason;
	struct outcome outcome;
	struct slot *slot;
	uint32_t d;

	if ((rights & ~RIGHTS_ALL) != 0 || (rights & TENURE_RIGHT_READ) == 0)
		return refuse(-EINVAL, TENURE_REASON_RIGHTS_INVALID);
	d = rules_device(region, session, device, &outcome);
	if (d == 0)
		return outcome;
	slot = rules_find(region, session, d, KIND_RESOURCE, resource,
			  TENURE_REASON_RESOURCE_INVALID, &reason);
	if (slot == NULL)
		return refuse(-EINVAL, reason);
	if (slot->resource.object == 0)
		return refuse(-EINVAL, TENURE_REASON_NOT_SHAREABLE);
	if ((rights & ~(uint32_t)slot->resource.rights) != 0)
		return refuse(-EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	return token_new(env, session, slot->resource.object, rights,
			 ret_token);
}

struct outcome revoke_request(struct env *env, uint32_t session,
			      const uint64_t token[2])
{
	struct region *region = &env->region;
	struct session *s = session_at(region, session);
	uint32_t index = token_find(env, token), object;

	if (index == 0 || token_at(region, index)->session != session)
		return refuse(-EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	if (stream_reserve(region, 1) != 0)
		return refuse_memory();
	object = token_at(region, index)->object;
	if (token_free(env, index)) {
		stream_append(region, &s->stream, object | ITEM_OBJECT);
		session_wake(env, session);
	}
	return outcome_ok();
}

struct outcome query_request(struct env *env, const uint64_t token[2],
			     struct queried *ret)
{
	struct region *region = &env->region;
	uint32_t index = token_find(env, token);
	const struct layout_entry *layout;
	const struct object *o;

	if (index == 0 || token_at(region, index)->object == 0)
		return refuse(-EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	o = object_at(region, token_at(region, index)->object);
	layout = block_at(region, o->layout);
	ret->count = o->count;
	ret->rights = token_at(region, index)->rights;
	ret->private_bytes = o->private_bytes;
	ret->bytes = o->size_bytes;
	for (uint32_t i = 0; i < o->count; i++)
		ret->sizes[i] = layout[i].size_bytes;
	return outcome_ok();
}

static struct slot *find_allocation(struct env *env, uint32_t session,
				    uint64_t device, uint64_t allocation,
				    struct outcome *ret)
{
	enum tenure_reason reason;
	uint32_t d = rules_device(&env->region, session, device, ret);
	enum kind kind;
	struct slot *slot;

	if (d == 0)
		return NULL;
	kind = handle_kind(handle_from_wire(
		       allocation,
		       session_at(&env->region, session)->secret)) ==
			       KIND_CONTEXT_ALLOCATION ?
		       KIND_CONTEXT_ALLOCATION :
		       KIND_ALLOCATION;
	slot = rules_find(&env->region, session, d, kind, allocation,
			  TENURE_REASON_ALLOCATION_INVALID, &reason);
	if (slot == NULL)
		*ret = refuse(-EINVAL, reason);
	return slot;
}

static uint32_t rights_of(const struct env *env, const struct slot *slot)
{
	if (slot->allocation.parent == 0)
		return RIGHTS_ALL;
	return slot_at(&env->region, slot->allocation.parent)->resource.rights;
}

struct outcome map_request(struct env *env, uint32_t session, uint64_t device,
			   uint64_t allocation, uint32_t flags,
			   struct mapped *ret)
{
	struct session *s = session_at(&env->region, session);
	const struct store *store;
	struct outcome outcome;
	struct slot *slot;
	uint32_t rights;

	if (flags & ~(uint32_t)(WIRE_MAP_WRITE | WIRE_MAP_WANT_FD))
		return refuse(-EINVAL, TENURE_REASON_FLAGS_RESERVED);
	slot = find_allocation(env, session, device, allocation, &outcome);
	if (slot == NULL)
		return outcome;
	rights = rights_of(env, slot);
	if ((flags & WIRE_MAP_WRITE) && !(rights & TENURE_RIGHT_WRITE))
		return refuse(-EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	if (slot->allocation.maps >= MAPS_PER_ALLOCATION_MAX)
		return refuse(-EDQUOT, TENURE_REASON_MAPPED_TOO_OFTEN);
	if (flags & WIRE_MAP_WANT_FD) {
		if (s->fds_unacknowledged >= FDS_UNACKNOWLEDGED_MAX)
			return refuse(-EDQUOT,
				      TENURE_REASON_FDS_UNACKNOWLEDGED);
		s->fds_unacknowledged++;
	}
	slot->allocation.maps++;
	store = store_at(&env->region, slot->allocation.store);
	*ret = (struct mapped){
		.store_serial = store->serial,
		.offset = slot->allocation.offset,
		.size_bytes = slot->allocation.size_bytes,
		.store_bytes = store->size_bytes,
		.attach = (flags & WIRE_MAP_WANT_FD) != 0,
		.adapter = store->adapter,
		.backing = store->backing,
		.read_only = (rights & TENURE_RIGHT_WRITE) == 0,
	};
	return outcome_ok();
}

struct outcome unmap_request(struct env *env, uint32_t session, uint64_t device,
			     uint64_t allocation)
{
	struct outcome outcome;
	struct slot *slot =
		find_allocation(env, session, device, allocation, &outcome);

	if (slot == NULL)
		return outcome;
	if (slot->allocation.maps == 0)
		return refuse(-EINVAL, TENURE_REASON_NOT_MAPPED);
	slot->allocation.maps--;
	return outcome_ok();
}
