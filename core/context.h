/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: queues of work, and how far each has come. One thread. */
#ifndef CORE_CONTEXT_H
#define CORE_CONTEXT_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/rules.h"
#include "core/state.h"
#include "core/waiter.h"

/* Makes a context on a device; handles are wire values. */
struct outcome context_create(struct env *env, uint32_t session,
			      uint64_t device, uint64_t *ret_context,
			      uint32_t *ret_word);

/*
 * Takes no more work; the request of the ticket is answered when what was queued is done
 * and what belongs to the context has been given back. flags: enum
 * tenure_end_flags.
 */
struct outcome context_destroy(struct env *env, uint32_t session,
			       uint64_t device, uint64_t context,
			       uint32_t flags, const struct ticket *ticket);

struct submit_args {
	uint64_t device, context;
	uint64_t value; /* at which this work ends */
	const uint64_t *list; /* allocations that it uses */
	uint32_t count;
	uint64_t list_bytes;
};

/* Notes work and what it uses, all or nothing. */
struct outcome context_submit(struct env *env, uint32_t session,
			      const struct submit_args *args,
			      struct rules_scratch *scratch);

/* The owner says how far it has come. */
struct outcome context_progress(struct env *env, uint32_t session,
				uint64_t device, uint64_t context,
				uint64_t value);

/* The context of a request; with ending, also one that is being destroyed, on
 * a device that may have been removed. 0 with the outcome otherwise. */
uint32_t context_find(const struct env *env, uint32_t session, uint64_t device,
		      uint64_t context, bool ending, struct outcome *ret);

/* Reads the context's progress word; whether it has come further. */
bool context_look(struct env *env, uint32_t context);

/* Whether all its work is done and nothing waits for it any more. */
bool context_is_quiet(const struct context *context);

/* Items may have left its timeline: sees what that means. */
void context_settle(struct env *env, uint32_t context);

/* It takes no more work; with terminate what it has counts as done. */
void context_end(struct env *env, uint32_t context, bool terminate);

/* It is quiet and owns nothing: handle, word and record go. */
void context_free(struct env *env, uint32_t context);

#endif
