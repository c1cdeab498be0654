/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fences that this process made, which it signals by a store. See
 * own_fence.c. The connection's lock is the caller's.
 */
#ifndef CLIENT_OWN_FENCE_H
#define CLIENT_OWN_FENCE_H

#include "client/keymap.h"
#include "core/base.h"

struct tenure;
struct work_scope;

/* All that a connection made; does not move. */
struct own_fences {
	struct keymap by_handle;
};

void own_fences_init(struct own_fences *fences);
void own_fences_deinit(struct tenure *connection);

/*
 * Creates a fence: 0 with its handle, or a status that has been remembered.
 * Gives up the lock while it waits.
 */
int own_fence_create_waits(struct tenure *connection, uint64_t device,
			   uint64_t value, uint64_t *ret_handle);

/* Whether the fence could be signalled by a store, and has been. If not, a
 * request does it. */
bool own_fence_try_signal(struct tenure *connection, uint64_t device,
			  uint64_t handle, uint64_t value);

/* Forgets one, or those of a device or adapter, that have been destroyed. */
void own_fence_forget(struct tenure *connection, uint64_t handle);
void own_fences_forget(struct tenure *connection,
		       const struct work_scope *scope);

#endif
