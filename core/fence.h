/* SPDX-License-Identifier: Apache-2.0 */
/* Fences: people's own timelines, shared by token. One thread. */
#ifndef CORE_FENCE_H
#define CORE_FENCE_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/state.h"

/* Makes a fence that begins at value; handles are wire values. */
struct outcome fence_create(struct env *env, uint32_t session, uint64_t device,
			    uint64_t value, uint64_t *ret_fence,
			    uint32_t *ret_word);

/* Closes an opening. That of the maker ends the fence for everybody. */
struct outcome fence_destroy(struct env *env, uint32_t session, uint64_t device,
			     uint64_t fence);

/* Makes a token; rights are READ to wait, perhaps with WRITE to signal. */
struct outcome fence_share(struct env *env, uint32_t session, uint64_t device,
			   uint64_t fence, uint32_t rights,
			   uint64_t ret_token[2]);

/* Opens the fence that a token names. rights 0: all that it gives. */
struct outcome fence_open(struct env *env, uint32_t session, uint64_t device,
			  const uint64_t token[2], uint32_t rights,
			  uint64_t *ret_fence, uint32_t *ret_rights);

/* Raises the value; going back is ignored. */
struct outcome fence_signal(struct env *env, uint32_t session, uint64_t device,
			    uint64_t fence, uint64_t value);

/* The greatest value that it has come to. */
struct outcome fence_value(struct env *env, uint32_t session, uint64_t device,
			   uint64_t fence, uint64_t *ret_value);

/* The opening behind a handle, whose fence is not dead, or NULL. */
struct slot *fence_find(const struct env *env, uint32_t session,
			uint32_t device, uint64_t fence, struct outcome *ret);

/* Reads the maker's word and wakes whoever waited for what it says. Returns how
 * many waits were gone through for that. */
uint32_t fence_look(struct env *env, uint32_t fence);

/* What it has come to is to be seen in its maker's page, if it is there. */
void fence_tell(struct env *env, uint32_t fence);

/* An opening goes, with the waits through it. */
void fence_close(struct env *env, uint32_t session, uint32_t slot);

/* One opening or token less; the last takes the record. */
void fence_unref(struct env *env, uint32_t fence);

/* One wait less, which may have kept the record of a dead one. */
void fence_unwait(struct env *env, uint32_t fence);

#endif
