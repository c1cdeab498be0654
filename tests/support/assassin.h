/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Death between any two stores: while it is armed, every store to the pages of
 * a region is a point at which the program might have been killed, and at
 * each of them, or at each n-th, a copy of the process lives on as somebody
 * who finds the region just as it is. x86-64 only.
 */
#ifndef TESTS_SUPPORT_ASSASSIN_H
#define TESTS_SUPPORT_ASSASSIN_H

#include "tests/support/test_pages.h"

struct assassin {
	struct test_pages *pages; /* of which the first range is watched */
	/*
	 * Runs in the copy, which ends with it; the pages can be written. The
	 * interrupted code never goes on there, so nothing of it but the region
	 * may be used: the heap is whole, since core/ has none.
	 */
	void (*afterwards)(void *context, uint64_t point);
	void *context;
	uint64_t stride; /* each n-th point; 0: ever fewer of many */
	uint64_t phase; /* which ones of those that are left out */
	const char *name; /* for messages */
	uint64_t only; /* or this one alone, if not 0 */
	/* out */
	uint64_t points; /* so far */
	uint64_t deaths;
};

/* Whether it works on this machine. */
bool assassin_can(void);

/* One at a time in a process, but for that of a copy. */
void assassin_arm(struct assassin *assassin);
/* Every copy that did not end well ends the program. */
void assassin_disarm(struct assassin *assassin);

#endif
