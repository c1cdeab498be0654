/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device: a client's use of an adapter, and how that ends.
 *
 *	LIVE --error--> ERROR --\
 *	  \----------------------+--remove--> REMOVED --swept--> (empty)
 *	                                         |
 *	           closing: the handle goes with the last reclaim
 *
 * A device owns segments of the handle table; everything made on it lies in
 * them. So removing it is one assignment: every request names its device, and
 * from then on gets ENODEV (A07) whatever else it names; only progress is
 * still heard, since removal waits for the work in flight. What the device
 * held is then swept up in bounded steps (core/teardown.c).
 *
 * Who removes: device_destroy and the last adapter close, which also take the
 * handle and wait for the end; an adapter that stops, which leaves the handle
 * to be destroyed by its owner; the end of the session.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  When device_destroy is answered, nothing of the device is left (B04).
 *  G2  A device is freed once, whoever removed it and in whatever order.
 */
#include "core/device.h"

#include "core/rules.h"
#include "core/session.h"
#include "core/waiter.h"

/* The padding counts: "system", NUL, "x" is no name. */
static uint32_t adapter_by_name(const struct env *env, const char *name)
{
	for (uint32_t i = 0; i < env->n_adapters; i++) {
		char known[ADAPTER_NAME_BYTES] = { 0 };

		memcpy(known, env->adapters[i].name,
		       strnlen(env->adapters[i].name, sizeof(known)));
		if (memcmp(known, name, sizeof(known)) == 0)
			return i;
	}
	return ADAPTERS_MAX;
}

struct outcome adapter_open(struct env *env, uint32_t session,
			    const char name[ADAPTER_NAME_BYTES],
			    uint64_t *ret_adapter)
{
	struct session *s = session_at(&env->region, session);
	uint32_t adapter = adapter_by_name(env, name), slot, opens = 0;
	struct outcome outcome;

	if (adapter == ADAPTERS_MAX)
		return refuse(-ENODEV, TENURE_REASON_ADAPTER_UNKNOWN);
	if (region_state(&env->region)->adapters[adapter].stopped)
		return refuse(-ENODEV, TENURE_REASON_ADAPTER_STOPPED);
	for (uint32_t i = 0; i < env->n_adapters; i++)
		opens += s->adapter_opens[i];
	if (opens >= ADAPTER_OPENS_PER_CLIENT_MAX)
		return refuse(-EDQUOT, TENURE_REASON_CLIENT_ADAPTERS);
	outcome = session_slot_afford(env, session);
	if (outcome.status != 0)
		return outcome;
	slot = table_take(&env->region, &s->owner);
	slot_at(&env->region, slot)->adapter.adapter = adapter;
	s->adapter_opens[adapter]++;
	*ret_adapter = session_slot_publish(env, session, slot, KIND_ADAPTER);
	return outcome;
}

static struct slot *find_adapter(struct env *env, uint32_t session,
				 uint64_t adapter, struct outcome *ret)
{
	enum tenure_reason reason;
	struct slot *slot = rules_find(&env->region, session, 0, KIND_ADAPTER,
				       adapter, TENURE_REASON_ADAPTER_INVALID,
				       &reason);

	*ret = slot == NULL ? refuse(-EINVAL, reason) : outcome_ok();
	return slot;
}

struct outcome adapter_find(struct env *env, uint32_t session, uint64_t adapter,
			    uint32_t *ret_adapter)
{
	struct outcome outcome;
	struct slot *slot = find_adapter(env, session, adapter, &outcome);

	if (slot != NULL)
		*ret_adapter = slot->adapter.adapter;
	return outcome;
}

/* Waits for work end here; those for the release go on. That its contexts end
 * is the first that its teardown does. */
static void device_remove(struct env *env, uint32_t device, bool terminate)
{
	struct device *d = device_at(&env->region, device);
	bool again = terminate && !d->terminate;

	d->terminate |= terminate;
	stored();
	if (d->state != DEVICE_REMOVED) {
		d->state = DEVICE_REMOVED;
		waiter_fail_all(env, d->session, device, -ENODEV,
				TENURE_REASON_DEVICE_REMOVED);
	} else if (!again || d->sweep > SWEEP_QUIESCE) {
		return;
	}
	d->sweep = SWEEP_END;
	d->unquiet = d->first_context;
}

void device_close(struct env *env, uint32_t device, bool terminate)
{
	struct device *d = device_at(&env->region, device);

	device_remove(env, device, terminate);
	d->closing = 1;
	session_wake(env, d->session);
}

/* Removes the session's devices on an adapter; a waiter awaits them all, also
 * those that somebody else has closed and that are still going. */
static void close_devices(struct env *env, uint32_t session, uint32_t adapter,
			  uint32_t waiter)
{
	uint32_t device = session_at(&env->region, session)->first_device;

	for (; device != 0; device = device_at(&env->region, device)->next) {
		struct device *d = device_at(&env->region, device);

		if (d->adapter != adapter)
			continue;
		if (d->waiter != 0) {
			waiter_follow(env, waiter, d->waiter);
			continue;
		}
		/* It may be closed, and he who waited be gone (core/rebuild.c). */
		d->waiter = waiter;
		waiter_expect(env, waiter, 1);
		device_close(env, device, false);
	}
}

struct outcome adapter_close(struct env *env, uint32_t session,
			     uint64_t adapter, const struct ticket *ticket)
{
	struct session *s = session_at(&env->region, session);
	struct outcome outcome;
	struct slot *slot = find_adapter(env, session, adapter, &outcome);
	uint32_t index, waiter;

	if (slot == NULL)
		return outcome;
	index = slot->adapter.adapter;
	if (s->adapter_opens[index] > 1) {
		session_slot_free(env, session, slot_index(&env->region, slot));
		s->adapter_opens[index]--;
		return outcome;
	}
	waiter = waiter_new(env, session, ticket, WIRE_OP_ADAPTER_CLOSE,
			    &outcome);
	if (waiter == 0)
		return outcome;
	session_slot_free(env, session, slot_index(&env->region, slot));
	s->adapter_opens[index]--;
	close_devices(env, session, index, waiter);
	if (waiter_at(&env->region, waiter)->remaining == 0)
		waiter_drop(env, waiter);
	else
		outcome.later = true;
	return outcome;
}

void adapter_stop(struct env *env, uint32_t adapter)
{
	uint32_t used = region_area(&env->region, AREA_DEVICES)->used;

	region_state(&env->region)->adapters[adapter].stopped = 1;
	for (uint32_t i = 1; i < used; i++) {
		struct device *d = device_at(&env->region, i);

		if (!d->record.in_use || d->adapter != adapter)
			continue;
		if (d->state != DEVICE_REMOVED)
			session_notice(env, d->session);
		stored();
		device_remove(env, i, false);
		session_wake(env, d->session);
	}
}

void adapter_start(struct env *env, uint32_t adapter)
{
	region_state(&env->region)->adapters[adapter].stopped = 0;
}

static void link_device(struct env *env, uint32_t device)
{
	struct device *d = device_at(&env->region, device);
	struct session *s = session_at(&env->region, d->session);

	d->next = s->first_device;
	if (d->next != 0)
		device_at(&env->region, d->next)->previous = device;
	s->first_device = device;
	s->n_devices++;
	region_state(&env->region)->n_devices++;
}

static void unlink_device(struct env *env, uint32_t device)
{
	struct device *d = device_at(&env->region, device);
	struct session *s = session_at(&env->region, d->session);

	if (d->next != 0)
		device_at(&env->region, d->next)->previous = d->previous;
	if (d->previous != 0)
		device_at(&env->region, d->previous)->next = d->next;
	else
		s->first_device = d->next;
	s->n_devices--;
	region_state(&env->region)->n_devices--;
}

struct outcome device_create(struct env *env, uint32_t session,
			     uint64_t adapter, uint64_t *ret_device)
{
	struct region *region = &env->region;
	struct session *s = session_at(region, session);
	struct outcome outcome;
	struct slot *slot = find_adapter(env, session, adapter, &outcome);
	struct device *d;
	uint32_t device;

	if (slot == NULL)
		return outcome;
	if (region_state(region)->adapters[slot->adapter.adapter].stopped)
		return refuse(-ENODEV, TENURE_REASON_ADAPTER_STOPPED);
	if (s->n_devices >= DEVICES_PER_CLIENT_MAX)
		return refuse(-EDQUOT, TENURE_REASON_CLIENT_DEVICES);
	outcome = session_slot_afford(env, session);
	if (outcome.status != 0)
		return outcome;
	if (pool_reserve(region, AREA_DEVICES, 1) != 0)
		return refuse_memory();
	device = pool_take(region, AREA_DEVICES);
	d = device_at(region, device);
	d->adapter = (uint8_t)slot->adapter.adapter;
	d->session = session;
	d->owner.id = owner_of_device(device);
	d->slot = table_take(region, &s->owner);
	slot_at(region, d->slot)->device.device = device;
	link_device(env, device);
	*ret_device = session_slot_publish(env, session, d->slot, KIND_DEVICE);
	return outcome;
}

struct outcome device_destroy(struct env *env, uint32_t session,
			      uint64_t device, uint32_t flags,
			      const struct ticket *ticket)
{
	enum tenure_reason reason;
	struct slot *slot = rules_find(&env->region, session, 0, KIND_DEVICE,
				       device, TENURE_REASON_DEVICE_INVALID,
				       &reason);
	struct outcome outcome;
	struct device *d;
	uint32_t waiter;

	if (flags & ~(uint32_t)TENURE_END_TERMINATE)
		return refuse(-EINVAL, TENURE_REASON_FLAGS_RESERVED);
	if (slot == NULL)
		return refuse(-EINVAL, reason);
	d = device_at(&env->region, slot->device.device);
	if (d->closing)
		return refuse(-ENODEV, TENURE_REASON_DEVICE_REMOVED);
	waiter = waiter_new(env, session, ticket, WIRE_OP_DEVICE_DESTROY,
			    &outcome);
	if (waiter == 0)
		return outcome;
	waiter_expect(env, waiter, 1);
	d->waiter = waiter;
	device_close(env, slot->device.device,
		     (flags & TENURE_END_TERMINATE) != 0);
	outcome.later = true;
	return outcome;
}

void device_free(struct env *env, uint32_t device)
{
	struct device *d = device_at(&env->region, device);
	uint32_t waiter = d->waiter;

	assert(d->closing && d->sweep == SWEEP_DONE);
	session_slot_free(env, d->session, d->slot);
	unlink_device(env, device);
	pool_give(&env->region, AREA_DEVICES, device);
	waiter_done(env, waiter);
}
