/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fences of others that this process has opened, which it reads in their
 * makers' pages. See fence_view.c. The connection's lock is the caller's.
 */
#ifndef CLIENT_FENCE_VIEW_H
#define CLIENT_FENCE_VIEW_H

#include "client/keymap.h"
#include "core/base.h"

struct tenure;
struct work_scope;
struct fence_view;

struct fence_views {
	struct keymap fences; /* by handle */
	struct keymap pages; /* by the daemon's number */
};

void fence_views_init(struct fence_views *views);
void fence_views_deinit(struct tenure *connection);

/* Memory for one, or NULL; then enter it, for which nothing can fail, or
 * free() it. */
struct fence_view *fence_view_new(void);
void fence_view_enter(struct tenure *connection, struct fence_view *view,
		      uint64_t device, uint64_t handle);

/* Reads a fence, if that can be done without asking; the first time it asks
 * where. Gives up the lock then. */
bool fence_view_try_value_waits(struct tenure *connection, uint64_t device,
				uint64_t handle, uint64_t *ret_value);

/* Forgets one, or those of a device or adapter, that have been closed. */
void fence_view_forget(struct tenure *connection, uint64_t handle);
void fence_views_forget(struct tenure *connection,
			const struct work_scope *scope);

#endif
