/* SPDX-License-Identifier: Apache-2.0 */
/* How sessions and devices end, in bounded steps. One thread. */
#ifndef CORE_TEARDOWN_H
#define CORE_TEARDOWN_H

#include "core/env.h"
#include "core/state.h"

/* The client has gone: nothing of it works any more, and teardown begins. */
void teardown_begin(struct env *env, uint32_t session);

/* Whether every context of a device is quiet. */
bool teardown_is_quiet(const struct region *region, const struct device *d);

/* Whether a drained device has to wait: not all of its slots are free, and
 * some of its session's are set aside, since somebody pins them. */
bool teardown_waits_for_pins(const struct region *region,
			     const struct device *d);

/*
 * One step for a session whose stream is empty and which has no job: sweeps
 * its removed devices and, if it is ENDING, the rest. Spends *budget; returns
 * whether it did anything.
 */
bool teardown_step(struct env *env, uint32_t session, uint64_t now_ns,
		   int64_t *budget);

#endif
