/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for fences: any or all of several. One thread. */
#ifndef CORE_FENCE_WAIT_H
#define CORE_FENCE_WAIT_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/state.h"
#include "core/waiter.h"
#include "core/wire/msg.h"

enum {
	/* Lines for the end of one: it, its neighbours, fence, two crowds and
	 * their buckets, which lie anywhere. */
	WAIT_VISITS = 32,
	/* And to decide that it will end. */
	WAIT_DECIDE_VISITS = 3,
};

struct wait_args {
	uint64_t device;
	const struct wire_fence_wait *list;
	uint32_t count;
	uint64_t list_bytes;
	uint32_t flags; /* enum tenure_wait_flags */
	bool only_looks; /* is answered now in any case */
};

/* Answers now, with the position of one that is there, or the request later.
 * One that only looks is answered with count if what it asks for is not so. */
struct outcome fence_wait(struct env *env, uint32_t session,
			  const struct wait_args *args,
			  const struct ticket *ticket, uint64_t *ret_position);

/* Ends the wait that was asked for by request id: it is answered ECANCELED. */
struct outcome fence_wait_cancel(struct env *env, uint32_t session,
				 uint64_t id);

/* Ends a wait of port WATCH, if there is one of that id. */
void fence_watch_cancel(struct env *env, uint32_t session, uint64_t id);

/* The fence has come further: what that means to its waits is decided. */
void fence_wait_wake(struct env *env, uint32_t fence);

/* That waits through that opening, or any if 0, end with ENODEV is decided. */
void fence_wait_fail(struct env *env, uint32_t fence, uint32_t slot);

/* Lets the waits of the first loose waiter of a session go for which that is
 * decided, and has it answered if all of them do; takes from *budget what that
 * costs. */
void fence_wait_tidy(struct env *env, uint32_t session, int64_t *budget);

/* The session ends: nobody is there to be told. */
void fence_wait_forget(struct env *env, uint32_t session);

#endif
