/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process must know about what it holds at the daemon, so that the
 * end of an allocation, a resource, a device or an adapter unmaps what goes
 * with it. See ledger.c. The connection's lock is the caller's.
 */
#ifndef CLIENT_LEDGER_H
#define CLIENT_LEDGER_H

#include "client/keymap.h"
#include "client/view.h"
#include "core/base.h"

struct ledger_group;

struct ledger_allocation {
	struct keymap_node node; /* key: the handle */
	struct ledger_group *group;
	struct view *view; /* NULL while it is not mapped */
	void *pointer;
	size_t size_bytes;
	uint32_t maps; /* as the application counts */
	uint8_t daemon_maps; /* as the daemon counts */
	bool writable;
	bool is_claimed; /* by a pool: nobody else makes it forgotten */
};

/* The allocations of one create or open. The last group of a resource stays
 * without any, until the resource goes. */
struct ledger_group {
	struct keymap_node node; /* key: the resource, or 0 and in no map */
	struct ledger_group *next, **link; /* of the device, or of the strays */
	uint64_t device;
	/* Whose memory it is by layer L4: set before it is published; 0:
	 * ordinary. */
	uint64_t context;
	uint64_t store; /* 0 until one of them is mapped */
	uint32_t count, live;
	struct ledger_allocation allocations[];
};

/* The context of a group that belongs to all contexts of its device. */
#define LEDGER_ALL_CONTEXTS UINT64_MAX

struct ledger_device {
	struct keymap_node node; /* key: the handle */
	uint64_t adapter;
	struct ledger_group *groups;
};

struct ledger_adapter {
	struct keymap_node node; /* key: the handle */
	uint64_t opens;
};

struct ledger {
	struct keymap allocations, resources, devices, adapters, views;
	struct ledger_group *strays; /* of devices that are not known here */
};

void ledger_init(struct ledger *ledger);

/* Forgets everything: unmaps and frees. */
void ledger_deinit(struct ledger *ledger);

/*
 * A group with room for count allocations that nobody knows yet, or NULL. It
 * is made before the daemon is asked, published or freed afterwards.
 */
struct ledger_group *ledger_group_new(uint32_t count);

/*
 * Enters a group with its handles. 0, or -EPROTO when a handle is 0, twice in
 * the list or already known: the daemon lies, and nothing has changed.
 * Otherwise the ledger owns the group.
 */
int ledger_group_publish(struct ledger *ledger, struct ledger_group *group,
			 uint64_t device, uint64_t resource,
			 const uint64_t *handles);

/* Whether an adapter, a device, a resource is known here. One that was known and is not any
 * more has been destroyed. */
bool ledger_knows_adapter(const struct ledger *ledger, uint64_t adapter);
bool ledger_knows_device(const struct ledger *ledger, uint64_t device);
bool ledger_knows_resource(const struct ledger *ledger, uint64_t resource);

/* The device of a resource, or 0 when it is not known. */
uint64_t ledger_device_of_resource(const struct ledger *ledger,
				   uint64_t resource);

/* The adapter of a device, or 0 when it is not known. */
uint64_t ledger_adapter_of_device(const struct ledger *ledger, uint64_t device);

/* Whether one more close of the adapter is the last. */
bool ledger_adapter_opened_once(const struct ledger *ledger, uint64_t adapter);

/* Whether a resource is known here, as one of that device. */
bool ledger_resource_is_of(const struct ledger *ledger, uint64_t resource,
			   uint64_t device);

/* Calls visit for each allocation of a resource; it changes nothing here. */
void ledger_resource_each(const struct ledger *ledger, uint64_t resource,
			  void (*visit)(void *context, uint64_t allocation),
			  void *context);

/* An allocation by its handle, or NULL. */
struct ledger_allocation *ledger_allocation(const struct ledger *ledger,
					    uint64_t handle);

/* Says that an unmapped allocation is now mapped once, at that place of the
 * view. Takes a reference to the view. */
void ledger_attach(struct ledger_allocation *allocation, struct view *view,
		   const struct placement *place, bool writable);

/* Ends all maps of an allocation in this process. */
void ledger_detach(struct ledger *ledger, struct ledger_allocation *allocation);

/*
 * Keeps an allocation that is mapped, and its map, until it is disclaimed,
 * whoever destroys it: false when it is not mapped or is claimed already. It
 * goes with its resource, device or connection all the same.
 */
bool ledger_allocation_claim(struct ledger *ledger, uint64_t handle);
void ledger_allocation_disclaim(struct ledger *ledger, uint64_t handle);

/* These forget what has been destroyed, and unmap it; a handle that is not
 * known is none of ours. */
void ledger_allocation_forget(struct ledger *ledger, uint64_t handle);
void ledger_resource_forget(struct ledger *ledger, uint64_t resource);
void ledger_context_forget(struct ledger *ledger, uint64_t device,
			   uint64_t context);
void ledger_device_forget(struct ledger *ledger, uint64_t device);

/* Enters a device in *record, heap memory that the ledger then owns. -EPROTO
 * for a handle of 0 or one that is already known. */
int ledger_device_publish(struct ledger *ledger, struct ledger_device *record,
			  uint64_t device, uint64_t adapter);

/* Counts one open of an adapter. *record is heap memory; the ledger keeps or
 * frees it. -EPROTO for a handle of 0. */
int ledger_adapter_opened(struct ledger *ledger, struct ledger_adapter *record,
			  uint64_t adapter);

/* Counts one close; the last one forgets the devices on it. */
void ledger_adapter_closed(struct ledger *ledger, uint64_t adapter);

#endif
