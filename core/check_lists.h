/* SPDX-License-Identifier: Apache-2.0 */
/* The checker's second half: every list of the state. One thread. */
#ifndef CORE_CHECK_LISTS_H
#define CORE_CHECK_LISTS_H

#include "core/region.h"

struct broken_list {
	const char *what;
	uint64_t index, found, expected;
};

/*
 * True when every list is whole; else false with the first one that is not.
 * Changes nothing and needs no memory; the counts of the records have been
 * checked before (core/check.c), since they bound the walks.
 */
bool check_lists(const struct region *region, struct broken_list *ret);

#endif
