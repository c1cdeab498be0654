/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts of a world, and work that uses its allocations. */
#ifndef BENCH_CONTEXTS_H
#define BENCH_CONTEXTS_H

#include "bench/world.h"

/* As many as one client may have: of its words, number 0 is never used. */
enum { CONTEXTS_MOST = WORDS_PER_CLIENT_MAX - 1 };

struct contexts {
	struct world *world;
	uint32_t count;
	uint32_t per_value; /* handles that one submit of a context uses */
	uint64_t value; /* the last one that was submitted, in all of them */
	uint64_t first; /* the value of the first work of the last deal */
	uint64_t *handles; /* of the contexts */
	uint32_t *words; /* in which they say how far they have come */
	uint32_t *deal; /* the contexts in the order of their turns */
	uint32_t *used; /* how many handles of its list each has */
	uint64_t *lists; /* per_value for each */
};

/* Makes count contexts; ends the program when they are refused. */
void contexts_init(struct contexts *contexts, struct world *world,
		   uint32_t count, uint32_t per_value);
void contexts_deinit(struct contexts *contexts);

/*
 * Work in flight on n allocations: of each count of them in a row every
 * context uses one, in random order, and per_value such rows in a row wait for
 * the same value.
 */
void contexts_use(struct contexts *contexts, const uint64_t *handles, size_t n);

/*
 * All contexts say that the work on the first n allocations of the last deal
 * has ended, as far as their values tell it from the work on later ones.
 */
void contexts_finish(struct contexts *contexts, size_t n);

/* All work has ended. */
void contexts_finish_all(struct contexts *contexts);

#endif
