/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of warm memory, as far as the daemon knows them: what their clients
 * have said about them. See warm.c. One thread.
 */
#ifndef CORE_WARM_H
#define CORE_WARM_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/state.h"
#include "core/wire/msg.h"

/* What a client says when it makes a pool. */
struct warm_args {
	uint64_t size_bytes; /* of its largest buffer */
	uint64_t idle_timeout_ns;
	uint32_t count; /* buffers at a time */
};

/* Notes a pool of the session; *ret_pool is its number, never used twice. */
struct outcome warm_create(struct env *env, uint32_t session,
			   const struct warm_args *args, uint64_t now_ns,
			   uint64_t *ret_pool);

/* Takes what the client says about a pool: a struct wire_pool_told. */
struct outcome warm_report(struct env *env, uint32_t session, uint64_t pool,
			   const void *told, uint32_t told_bytes,
			   uint64_t now_ns);

/* Forgets a pool, and all of a session that ends. */
struct outcome warm_destroy(struct env *env, uint32_t session, uint64_t pool);
void warm_forget(struct env *env, uint32_t session);

#endif
