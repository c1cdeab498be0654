/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fences that this process made, which it signals by a store. See
 * own_fence.c. The connection's lock is the caller's.
 */
#ifndef CLIENT_OWN_FENCE_H
#define CLIENT_OWN_FENCE_H

#include "client/keymap.h"
#include "core/base.h"
#include "core/ring/fence_page.h"

struct tenure;
struct work_scope;

/* All that a connection made; does not move. */
struct own_fences {
	struct keymap by_handle;
	struct fence_page *page; /* in which others read them, or NULL */
	bool page_is_asked;
	uint64_t last_tag;
	uint64_t used[FENCE_PAGE_ENTRIES / 64]; /* entries; bit set: taken */
};

void own_fences_init(struct own_fences *fences);
/* forked: in a child, which has not inherited the page. */
void own_fences_deinit(struct tenure *connection, bool forked);

/*
 * Creates a fence: 0 with its handle, or a status that has been remembered.
 * Gives up the lock while it waits.
 */
int own_fence_create_waits(struct tenure *connection, uint64_t device,
			   uint64_t value, uint64_t *ret_handle);

/* Lets others read it without asking, if that can be done: before it is shared.
 * Gives up the lock while it waits. */
void own_fence_publish_waits(struct tenure *connection, uint64_t device,
			     uint64_t handle);

/* Its value, if that is to be had without asking. */
bool own_fence_try_value(const struct tenure *connection, uint64_t device,
			 uint64_t handle, uint64_t *ret_value);

/* Whether the fence could be signalled by a store, and has been. If not, a
 * request does it. */
bool own_fence_try_signal(struct tenure *connection, uint64_t device,
			  uint64_t handle, uint64_t value);

/* Forgets one, or those of a device or adapter, that have been destroyed. */
void own_fence_forget(struct tenure *connection, uint64_t handle);
void own_fences_forget(struct tenure *connection,
		       const struct work_scope *scope);

#endif
