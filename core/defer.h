/* SPDX-License-Identifier: Apache-2.0 */
/* When a retired slot may be reclaimed: now, or after work. One thread. */
#ifndef CORE_DEFER_H
#define CORE_DEFER_H

#include "core/env.h"
#include "core/state.h"

/*
 * Queues a slot that has just been retired: behind the work that uses it, or,
 * with assume, behind none. The caller has reserved one item. Cannot fail.
 */
void defer(struct env *env, uint32_t session, uint32_t slot, bool assume);

/*
 * The same for allocations of one device, each of which is used by one context
 * at most. The caller has reserved count items.
 */
void defer_list(struct env *env, uint32_t session, const uint32_t *slots,
		uint32_t count);

/*
 * Moves items whose work has ended to where they wait next, spending *budget.
 * False when there were none.
 */
bool defer_move(struct env *env, uint32_t session, int64_t *budget);

#endif
