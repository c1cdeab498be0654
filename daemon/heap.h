/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon's own heap uses. heap_jemalloc.c or heap_libc.c is linked,
 * depending on the build.
 */
#ifndef DAEMON_HEAP_H
#define DAEMON_HEAP_H

#include "core/base.h"

struct heap_stat {
	const char *name; /* of the allocator */
	uint64_t allocated_bytes; /* asked for and not freed */
	uint64_t resident_bytes; /* what that costs; 0: not known */
};

/* Cannot fail; what the allocator does not tell is 0. */
void heap_stat(struct heap_stat *ret);

#endif
