/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many waits one client, or the clients of one principal, have on a fence.
 * See crowd.c. One thread.
 */
#ifndef CORE_CROWD_H
#define CORE_CROWD_H

#include "core/env.h"
#include "core/state.h"

/* Makes sure that count more waits can be counted; 0 or -ENOMEM. */
int crowd_reserve(struct region *region, uint32_t count);

/* A wait of that client comes to a fence, or leaves it. */
void crowd_join(struct region *region, uint32_t fence, uint32_t session);
void crowd_leave(struct region *region, uint32_t fence, uint32_t session);

/* The waits of a client, or of all clients of a principal, on a fence. */
uint32_t crowd_of_client(const struct region *region, uint32_t fence,
			 uint32_t session);
uint32_t crowd_of_principal(const struct region *region, uint32_t fence,
			    uint32_t principal);

/* The record of a client or principal (CROWD_PRINCIPAL | its number), or 0;
 * for the checker. */
uint32_t crowd_find(const struct region *region, uint32_t fence, uint32_t who);

/* Forgets all of them, for core/rebuild.c. */
void crowd_clear(struct region *region);

#endif
