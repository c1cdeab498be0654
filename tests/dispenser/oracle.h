/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver of a tape says: a function of the tape's seed, the operation
 * and what it is asked, so that the dispenser and the naive one hear the same,
 * in whatever order they ask.
 */
#ifndef TESTS_DISPENSER_ORACLE_H
#define TESTS_DISPENSER_ORACLE_H

#include "core/dispenser.h"

struct oracle {
	uint64_t seed;
	uint64_t operation; /* the serial number of the one under way */
	uint32_t faults; /* of 256 answers */
	uint64_t last_id; /* that was ever made */
	bool repeats; /* it may make ids that exist */
};

/* The answer of CREATE; number 0 is an empty id. The same until the operation
 * changes. */
struct dispenser_answer oracle_create(struct oracle *oracle, uint64_t type);

/* A rating of 0 to 100, or nonsense. */
int oracle_rate(const struct oracle *oracle, uint64_t id, uint64_t type,
		bool needs_enlist);

/* The status of ENLIST, RESET and DESTROY. */
int oracle_say(const struct oracle *oracle, enum dispenser_verb verb,
	       uint64_t id);

#endif
