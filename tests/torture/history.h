/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What several threads have said of one generation of one slot, and whether a
 * table with one thread could have said it.
 */
#ifndef TESTS_TORTURE_HISTORY_H
#define TESTS_TORTURE_HISTORY_H

#include "core/base.h"

enum { HISTORY_THREADS = 4 };

/* When an operation began and when it had ended, on a clock that all share;
 * no two times of a history are the same. */
struct span {
	uint64_t began, ended;
};

/* A lookup of one thread, and what it said. */
struct lookup {
	struct lookup *next; /* of the same history, in any order */
	struct span span;
	struct span unpin; /* of a pin that found something */
	uint32_t generation;
	uint8_t thread;
	bool is_pin, found;
	bool foreign; /* asked in the name of another owner: finds nothing */
};

/* One generation of one slot. Thread 0 creates and destroys. */
struct history {
	struct span create, destroy;
	struct span reclaim; /* the one that worked */
	uint32_t reclaimer; /* the thread that did it */
	struct lookup *lookups;
};

/*
 * Whether there is an order of all operations in which each lies between its
 * two times and says what it would say if there were one thread:
 *
 *	create, destroy, reclaim	each once, in this order
 *	a lookup			finds it between create and destroy, and
 *					only then, and only for its owner
 *	the reclaim			after every unpin
 */
bool history_has_order(const struct history *h);

/* How many threads took part: changed it, or asked for it in the name of its
 * owner. */
uint32_t history_threads(const struct history *h);

/* Whether a lookup was under way while another thread created, destroyed or
 * reclaimed. */
bool history_meets_change(const struct history *h);
/* Whether two threads looked up at the same time. */
bool history_meets_lookup(const struct history *h);

static inline bool spans_meet(const struct span *a, const struct span *b)
{
	return a->began < b->ended && b->began < a->ended;
}

#endif
