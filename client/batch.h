/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded set of allocation handles: what the next work of a context uses.
 * See batch.c. The connection's lock is the caller's.
 */
#ifndef CLIENT_BATCH_H
#define CLIENT_BATCH_H

#include "core/base.h"
#include "core/limits.h"

enum { BATCH_MAX = LIST_ENTRIES_MAX };

struct batch_room;

/* All zero is empty and has no memory yet. */
struct batch {
	struct batch_room *room;
	uint32_t count;
};

void batch_deinit(struct batch *batch);

/* Makes sure that handles can be added: 0 or -ENOMEM. */
int batch_reserve(struct batch *batch);

/* Adds a handle other than 0, unless it is there. There is room: fewer than
 * BATCH_MAX are in it. */
void batch_add(struct batch *batch, uint64_t handle);

bool batch_has(const struct batch *batch, uint64_t handle);

/* Takes a handle out, if it is there. */
void batch_remove(struct batch *batch, uint64_t handle);

void batch_clear(struct batch *batch);

/* The handles, batch->count of them, in no order; NULL when there are none. */
const uint64_t *batch_handles(const struct batch *batch);

#endif
