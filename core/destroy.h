/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit of a destroy: handles die here, memory later. One thread.
 */
#ifndef CORE_DESTROY_H
#define CORE_DESTROY_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/rules.h"
#include "core/state.h"
#include "core/waiter.h"

/*
 * Layer L2: judges and commits. With TENURE_DESTROY_SYNCHRONOUS the outcome
 * says later, and the request is answered when the memory is back as far as
 * this opening decides it (A72).
 */
struct outcome destroy_request(struct env *env, uint32_t session,
			       const struct destroy_args *args,
			       const struct ticket *ticket,
			       struct rules_scratch *scratch);

/*
 * Closes and retires an opening with its children, and queues it behind the
 * work that uses it, or, with assume, behind none; the caller has reserved one
 * item. Cannot fail.
 */
void resource_retire(struct env *env, uint32_t session, uint32_t slot,
		     bool assume);

/*
 * The same for one allocation: of the device, of a context, or of a private
 * resource, which it leaves.
 */
void allocation_retire(struct env *env, uint32_t session, uint32_t slot,
		       bool assume);

/* The same for what the backend has never opened and nobody has used. */
void resource_retire_unopened(struct env *env, uint32_t session, uint32_t slot);
void allocation_retire_unopened(struct env *env, uint32_t session,
				uint32_t slot);

/*
 * Whether allocations that no resource holds, and that one context uses at
 * most, can be retired by table_retire alone, all of one device: nobody has to
 * hear of them.
 */
bool device_retires_plainly(const struct env *env, uint32_t device);

/* Of so many at a time the slots are in the first-level cache from the first
 * touch until they are queued. */
enum { RETIRED_BLOCK = 128 };

/*
 * Counts such allocations after they have been retired, and queues them: behind
 * the work that uses them, if used. The caller has reserved.
 */
void allocations_retired(struct env *env, uint32_t session,
			 const uint32_t *slots, uint32_t count, bool used);

/* How the backend knows an opening. */
struct backend_opening opening_of(const struct env *env, uint32_t session,
				  uint32_t slot);

#endif
