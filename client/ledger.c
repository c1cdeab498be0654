/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ledger
 *
 * The daemon knows what a client holds; the client needs to know only as much
 * as unmapping takes. When a resource goes, its allocations' maps go (A61),
 * and the daemon does not send a list of them. So the library keeps what it
 * was told at birth:
 *
 *	adapter (opens counted)
 *	    ^ handle
 *	device ---> group ---> group ---> group      one for each create or open
 *	              | handles of its allocations, one store
 *	resource -----+  (several groups, if allocations were added)
 *
 * A group is one piece of memory, made before the daemon is asked: after the
 * daemon's yes nothing can fail but the daemon itself, if it hands out the
 * same handle twice. It goes with the last of its allocations, but for the
 * last group of a resource: a resource lives on without allocations (A37, A51),
 * so that group stays, empty, until the resource itself goes. What is not here
 * any more is therefore dead, and what is born into it is so too.
 *
 * What is not here (allocations that a device owns itself, handles made by raw
 * requests) becomes known when it is mapped: that makes a group of one for it,
 * which ends with the allocation, its device or the connection. So a program
 * with millions of allocations that it has not mapped pays for none of them,
 * and a free finds out by a look into a small table that nothing is mapped.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Forgetting unmaps exactly what went: the allocation, the resource's,
 *      the device's, those of all devices of an adapter closed for the last
 *      time.
 *  G2  A publish that fails has changed nothing.
 *  G3  Whatever was published is freed by forget or by deinit, once.
 *  G4  Forgetting costs the number of what is forgotten, not of what is held;
 *      only the last close of an adapter looks at all devices, the end of a
 *      context at all groups of its device, and that of a device at those of
 *      all devices that are not known here.
 *  G5  A resource that was published is known, as one of its device, until it
 *      or its device is forgotten; without allocations it costs one empty
 *      group.
 */
#include "client/ledger.h"

#include <stdlib.h>

void ledger_init(struct ledger *ledger)
{
	keymap_init(&ledger->allocations);
	keymap_init(&ledger->resources);
	keymap_init(&ledger->devices);
	keymap_init(&ledger->adapters);
	keymap_init(&ledger->views);
	ledger->strays = NULL;
}

struct ledger_group *ledger_group_new(uint32_t count)
{
	struct ledger_group *group;

	group = calloc(1, sizeof(*group) + count * sizeof(*group->allocations));
	if (group)
		group->count = count;
	return group;
}

static void group_link(struct ledger_group *group, struct ledger_group **list)
{
	group->link = list;
	group->next = *list;
	if (group->next)
		group->next->link = &group->next;
	*list = group;
}

static struct ledger_device *device_find(const struct ledger *ledger,
					 uint64_t device)
{
	/* Nodes are first members, here and below. */
	return (struct ledger_device *)(void *)keymap_find(&ledger->devices,
							   device);
}

bool ledger_knows_adapter(const struct ledger *ledger, uint64_t adapter)
{
	return keymap_find(&ledger->adapters, adapter) != NULL;
}

bool ledger_knows_device(const struct ledger *ledger, uint64_t device)
{
	return device_find(ledger, device) != NULL;
}

bool ledger_knows_resource(const struct ledger *ledger, uint64_t resource)
{
	return keymap_find(&ledger->resources, resource) != NULL;
}

uint64_t ledger_device_of_resource(const struct ledger *ledger,
				   uint64_t resource)
{
	const struct ledger_group *group =
		(const void *)keymap_find(&ledger->resources, resource);

	return group ? group->device : 0;
}

static int publish_handles(struct ledger *ledger, struct ledger_group *group,
			   const uint64_t *handles)
{
	for (uint32_t i = 0; i < group->count; i++) {
		struct ledger_allocation *a = &group->allocations[i];

		if (handles[i] == 0 || ledger_allocation(ledger, handles[i])) {
			while (i-- > 0)
				keymap_remove(&ledger->allocations,
					      &group->allocations[i].node);
			return -EPROTO;
		}
		a->node.key = handles[i];
		a->group = group;
		keymap_insert(&ledger->allocations, &a->node);
	}
	group->live = group->count;
	return 0;
}

int ledger_group_publish(struct ledger *ledger, struct ledger_group *group,
			 uint64_t device, uint64_t resource,
			 const uint64_t *handles)
{
	struct ledger_device *owner = device_find(ledger, device);
	int status = publish_handles(ledger, group, handles);

	if (status < 0)
		return status;
	group->device = device;
	group->node.key = resource;
	group_link(group, owner ? &owner->groups : &ledger->strays);
	if (resource)
		keymap_insert(&ledger->resources, &group->node);
	return 0;
}

struct ledger_allocation *ledger_allocation(const struct ledger *ledger,
					    uint64_t handle)
{
	return (struct ledger_allocation *)(void *)keymap_find(
		&ledger->allocations, handle);
}

uint64_t ledger_adapter_of_device(const struct ledger *ledger, uint64_t device)
{
	const struct ledger_device *record = device_find(ledger, device);

	return record ? record->adapter : 0;
}

bool ledger_adapter_opened_once(const struct ledger *ledger, uint64_t adapter)
{
	const struct ledger_adapter *known =
		(void *)keymap_find(&ledger->adapters, adapter);

	return known && known->opens == 1;
}

bool ledger_resource_is_of(const struct ledger *ledger, uint64_t resource,
			   uint64_t device)
{
	const struct ledger_group *group =
		(void *)keymap_find(&ledger->resources, resource);

	return group && group->device == device;
}

void ledger_resource_each(const struct ledger *ledger, uint64_t resource,
			  void (*visit)(void *context, uint64_t allocation),
			  void *context)
{
	struct keymap_node *node = keymap_find(&ledger->resources, resource);

	for (; node; node = node->next) {
		const struct ledger_group *group = (void *)node;

		if (node->key != resource)
			continue;
		/* A key of 0 marks one that has been destroyed alone. */
		for (uint32_t i = 0; i < group->count; i++)
			if (group->allocations[i].node.key != 0)
				visit(context, group->allocations[i].node.key);
	}
}

void ledger_attach(struct ledger_allocation *allocation, struct view *view,
		   const struct placement *place, bool writable)
{
	assert(!allocation->view);
	view_ref(view);
	allocation->view = view;
	allocation->pointer = view->base + place->offset;
	allocation->size_bytes = place->size_bytes;
	allocation->writable = writable;
	allocation->maps = 1;
	allocation->daemon_maps = 1;
}

void ledger_detach(struct ledger *ledger, struct ledger_allocation *allocation)
{
	struct view *view = allocation->view;

	if (!view)
		return;
	/* Writable in a read-only view: it was upgraded in place. */
	if (allocation->writable && !view_writable(view) && view->refs > 1)
		view_downgrade(view, allocation->pointer,
			       allocation->size_bytes);
	allocation->view = NULL;
	allocation->pointer = NULL;
	allocation->maps = 0;
	allocation->daemon_maps = 0;
	allocation->writable = false;
	view_unref(&ledger->views, view);
}

static void allocation_drop(struct ledger *ledger,
			    struct ledger_allocation *allocation)
{
	ledger_detach(ledger, allocation);
	keymap_remove(&ledger->allocations, &allocation->node);
	/* Marks it as gone for group_drop: 0 is never a handle. */
	allocation->node.key = 0;
	allocation->group->live--;
}

static void group_unlink(struct ledger *ledger, struct ledger_group *group)
{
	if (group->node.key != 0)
		keymap_remove(&ledger->resources, &group->node);
	*group->link = group->next;
	if (group->next)
		group->next->link = group->link;
}

/* Forgets a group with what is left of its allocations. */
static void group_drop(struct ledger *ledger, struct ledger_group *group)
{
	for (uint32_t i = 0; group->live > 0; i++) {
		if (group->allocations[i].node.key != 0)
			allocation_drop(ledger, &group->allocations[i]);
	}
	group_unlink(ledger, group);
	free(group);
}

/* Whether no other group of its resource is left. */
static bool is_last_group(const struct ledger *ledger,
			  const struct ledger_group *group)
{
	const uint64_t resource = group->node.key;
	const struct keymap_node *node;

	if (resource == 0)
		return false;
	node = keymap_find(&ledger->resources, resource);
	if (node != &group->node)
		return false;
	/* Others with its key would follow it in the same chain. */
	do {
		node = node->next;
	} while (node && node->key != resource);
	return !node;
}

/* What a group without allocations is about: a resource that lives. */
static void group_keep_empty(struct ledger *ledger, struct ledger_group *group)
{
	struct ledger_device *owner = device_find(ledger, group->device);
	struct ledger_group *smaller;

	group_unlink(ledger, group);
	group->count = 0;
	smaller = realloc(group, sizeof(*group));
	/* Without memory to move to, it stays as large as it is. */
	if (smaller)
		group = smaller;
	group_link(group, owner ? &owner->groups : &ledger->strays);
	keymap_insert(&ledger->resources, &group->node);
}

bool ledger_allocation_claim(struct ledger *ledger, uint64_t handle)
{
	struct ledger_allocation *a = ledger_allocation(ledger, handle);

	if (!a || !a->view || a->is_claimed)
		return false;
	a->is_claimed = true;
	return true;
}

void ledger_allocation_disclaim(struct ledger *ledger, uint64_t handle)
{
	struct ledger_allocation *a = ledger_allocation(ledger, handle);

	if (a)
		a->is_claimed = false;
}

void ledger_allocation_forget(struct ledger *ledger, uint64_t handle)
{
	struct ledger_allocation *a = ledger_allocation(ledger, handle);
	struct ledger_group *group;

	if (!a || a->is_claimed)
		return;
	group = a->group;
	allocation_drop(ledger, a);
	if (group->live > 0)
		return;
	if (is_last_group(ledger, group))
		group_keep_empty(ledger, group);
	else
		group_drop(ledger, group);
}

void ledger_resource_forget(struct ledger *ledger, uint64_t resource)
{
	struct keymap_node *node;

	while ((node = keymap_find(&ledger->resources, resource)))
		group_drop(ledger, (struct ledger_group *)(void *)node);
}

void ledger_context_forget(struct ledger *ledger, uint64_t device,
			   uint64_t context)
{
	struct ledger_device *record = device_find(ledger, device);
	struct ledger_group *next;

	for (struct ledger_group *g = record ? record->groups : NULL; g;
	     g = next) {
		next = g->next;
		if (g->context == context)
			group_drop(ledger, g);
	}
}

void ledger_device_forget(struct ledger *ledger, uint64_t device)
{
	struct ledger_device *record = device_find(ledger, device);
	struct ledger_group *next;

	for (struct ledger_group *g = ledger->strays; g; g = next) {
		next = g->next;
		if (g->device == device)
			group_drop(ledger, g);
	}
	if (!record)
		return;
	while (record->groups)
		group_drop(ledger, record->groups);
	keymap_remove(&ledger->devices, &record->node);
	free(record);
}

int ledger_device_publish(struct ledger *ledger, struct ledger_device *record,
			  uint64_t device, uint64_t adapter)
{
	if (device == 0 || device_find(ledger, device))
		return -EPROTO;
	*record = (struct ledger_device){
		.node.key = device,
		.adapter = adapter,
	};
	keymap_insert(&ledger->devices, &record->node);
	return 0;
}

int ledger_adapter_opened(struct ledger *ledger, struct ledger_adapter *record,
			  uint64_t adapter)
{
	struct ledger_adapter *known =
		(void *)keymap_find(&ledger->adapters, adapter);

	if (adapter == 0) {
		free(record);
		return -EPROTO;
	}
	if (known) {
		free(record);
		known->opens++;
		return 0;
	}
	*record = (struct ledger_adapter){ .node.key = adapter, .opens = 1 };
	keymap_insert(&ledger->adapters, &record->node);
	return 0;
}

struct adapter_close {
	struct ledger *ledger;
	uint64_t adapter;
};

static void forget_if_on_adapter(void *context, struct keymap_node *node)
{
	struct adapter_close *closing = context;
	struct ledger_device *record = (void *)node;

	if (record->adapter == closing->adapter)
		ledger_device_forget(closing->ledger, node->key);
}

void ledger_adapter_closed(struct ledger *ledger, uint64_t adapter)
{
	struct adapter_close closing = { ledger, adapter };
	struct ledger_adapter *known =
		(void *)keymap_find(&ledger->adapters, adapter);

	if (!known || --known->opens > 0)
		return;
	keymap_each(&ledger->devices, forget_if_on_adapter, &closing);
	keymap_remove(&ledger->adapters, &known->node);
	free(known);
}

void ledger_deinit(struct ledger *ledger)
{
	struct keymap_node *node;

	while ((node = keymap_any(&ledger->devices)))
		ledger_device_forget(ledger, node->key);
	while (ledger->strays)
		group_drop(ledger, ledger->strays);
	while ((node = keymap_any(&ledger->adapters))) {
		keymap_remove(&ledger->adapters, node);
		free(node);
	}
	keymap_deinit(&ledger->allocations);
	keymap_deinit(&ledger->resources);
	keymap_deinit(&ledger->devices);
	keymap_deinit(&ledger->adapters);
	keymap_deinit(&ledger->views);
}
