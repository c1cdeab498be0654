/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters and devices: opens, creation, removal. One thread. */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/state.h"
#include "core/waiter.h"

/* Opens an adapter by its NUL padded name; counted. */
struct outcome adapter_open(struct env *env, uint32_t session,
			    const char name[ADAPTER_NAME_BYTES],
			    uint64_t *ret_adapter);

/*
 * Closes one open. The last one of an adapter removes the session's devices
 * on it, and request id is answered when those are gone; a device that was
 * being destroyed already is awaited by the request that destroys it.
 */
struct outcome adapter_close(struct env *env, uint32_t session,
			     uint64_t adapter, const struct ticket *ticket);

/* The adapter behind a wire handle: its index, or the outcome. */
struct outcome adapter_find(struct env *env, uint32_t session, uint64_t adapter,
			    uint32_t *ret_adapter);

/* The adapter stops: every device on it, of everybody, is removed (A07). */
void adapter_stop(struct env *env, uint32_t adapter);
void adapter_start(struct env *env, uint32_t adapter);

struct outcome device_create(struct env *env, uint32_t session,
			     uint64_t adapter, uint64_t *ret_device);

/*
 * Removes a device; request id is answered when all of it is gone (B04), after
 * the work in flight, or with that terminated. flags: enum tenure_end_flags.
 */
struct outcome device_destroy(struct env *env, uint32_t session,
			      uint64_t device, uint32_t flags,
			      const struct ticket *ticket);

/*
 * Removes a device and, when it is empty, its handle: no answer. Work in
 * flight is waited for, or with terminate counts as done.
 */
void device_close(struct env *env, uint32_t device, bool terminate);

/* An empty device that is closing goes: handle, record, answer. */
void device_free(struct env *env, uint32_t device);

#endif
