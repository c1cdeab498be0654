/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deterministic randomness for tests: splitmix64, seeded by a number that
 * every test prints, so that any run can be repeated.
 */
#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include "core/base.h"

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A number in [0, bound); bound is not 0. */
static inline uint32_t random_below(struct random *r, uint32_t bound)
{
	return (uint32_t)(((random_next(r) >> 32) * bound) >> 32);
}

/* True in about percent of 100 calls. */
static inline bool random_chance(struct random *r, uint32_t percent)
{
	return random_below(r, 100) < percent;
}

#endif
