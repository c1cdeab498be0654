/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds what: pages of rows for people, read from the state. One thread.
 */
#ifndef CORE_INSPECT_H
#define CORE_INSPECT_H

#include "core/env.h"
#include "core/state.h"
#include "core/wire/msg.h"

enum {
	/* Records that one page looks at, and the children of one resource
	 * more. */
	INSPECT_RECORDS_MAX = 16384,
};

enum inspect_list {
	INSPECT_CLIENTS, /* struct wire_client */
	INSPECT_RESOURCES, /* struct wire_resource */
	INSPECT_LIMITS, /* struct wire_limits */
	INSPECT_EVENTS, /* struct wire_event */
	INSPECT_POOLS, /* struct wire_pool */
};

struct inspect_page {
	enum inspect_list list;
	uint64_t cursor; /* any value: 0, or what the last page gave */
	uint64_t now_ns;
	void *rows; /* room for at least one */
	size_t room_bytes;
};

struct inspected {
	uint32_t count;
	uint32_t bytes; /* that the rows take */
	uint64_t cursor; /* of the next page, or 0 after the last */
};

/* Fills in one page of a list; changes nothing and cannot fail. */
void inspect(const struct env *env, const struct inspect_page *page,
	     struct inspected *ret);

#endif
