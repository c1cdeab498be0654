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

/*
 * An instruction of this program that stores to watched pages; a store in
 * another object (memcpy) is that of who called it.
 */
struct assassin_place {
	uintptr_t address; /* from the start of the program on; 0: none */
	uint64_t points, deaths;
	uint64_t armed, often; /* points since it was armed */
};

enum { ASSASSIN_PLACES_MAX = 1 << 14 };

struct assassin {
	struct test_pages *pages; /* of which the first range is watched */
	/*
	 * Runs in the copy, which ends with it; the pages can be written. The
	 * interrupted code never goes on there, so nothing of it but the region
	 * may be used: the heap is whole, since core/ has none.
	 */
	void (*afterwards)(void *context, uint64_t point);
	void *context;
	/* Each n-th point, 0: ever fewer of many; and at each place once. */
	uint64_t stride;
	uint64_t phase; /* which ones of those that are left out */
	const char *name; /* for messages */
	uint64_t only; /* or this one alone, if not 0 */
	/* A place that has stored so often may store more before it is looked
	 * at again; 0: never. */
	uint64_t often;
	/* out */
	uint64_t points; /* so far */
	uint64_t deaths;
	uint64_t firsts; /* of these at a new place */
	bool is_first; /* the last one was */
	uint64_t armed; /* its own */
};

/* Whether it works on this machine. */
bool assassin_can(void);

/* One at a time in a process, but for that of a copy. */
void assassin_arm(struct assassin *assassin);
/* Every copy that did not end well ends the program. */
void assassin_disarm(struct assassin *assassin);

/* The places so far, of all assassins, those in copies among them; some of
 * the ASSASSIN_PLACES_MAX are none. NULL before the first was armed. */
const struct assassin_place *assassin_places(void);

#endif
