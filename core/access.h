/* SPDX-License-Identifier: Apache-2.0 */
/* Share, revoke, query, map and unmap: use of what exists. One thread. */
#ifndef CORE_ACCESS_H
#define CORE_ACCESS_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/state.h"

/* Makes a token for a resource of the session; handles are wire values. */
struct outcome share_request(struct env *env, uint32_t session, uint64_t device,
			     uint64_t resource, uint32_t rights,
			     uint64_t ret_token[2]);

/* Takes a token of the session back. */
struct outcome revoke_request(struct env *env, uint32_t session,
			      const uint64_t token[2]);

struct queried {
	uint32_t count, rights;
	uint64_t private_bytes, bytes;
	uint64_t *sizes; /* in: room for LIST_ENTRIES_MAX; out */
};

/* What a token names. */
struct outcome query_request(struct env *env, const uint64_t token[2],
			     struct queried *ret);

struct mapped {
	uint64_t store_serial, offset, size_bytes, store_bytes;
	bool attach; /* the descriptor of backing is to be sent */
	uint32_t adapter, backing;
	bool read_only;
};

/* Counts a map of an allocation and says where it lies. */
struct outcome map_request(struct env *env, uint32_t session, uint64_t device,
			   uint64_t allocation, uint32_t flags,
			   struct mapped *ret);

/* Undoes one map. */
struct outcome unmap_request(struct env *env, uint32_t session, uint64_t device,
			     uint64_t allocation);

#endif
