/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A specimen: a state at rest with at least one of everything in it, so that
 * the tests of the checker have something of each kind to break.
 */
#ifndef TESTS_SUPPORT_SPECIMEN_H
#define TESTS_SUPPORT_SPECIMEN_H

#include "tests/support/seat.h"

struct specimen {
	struct inproc *world;
	struct seat maker; /* has a job READY, with a waiter behind it */
	struct seat opener; /* of another principal; on the ring */
	uint32_t ended; /* a session whose obituary waits */
	uint32_t answered; /* a waiter whose answer is due */
	uint64_t own[3];
	uint64_t private, child[3];
	uint64_t shared, token[2];
	uint64_t opened;
	uint64_t dying[2]; /* destroyed by maker, in its stream */
	uint64_t context, idle; /* of maker */
	uint64_t used[2]; /* of maker: parked on context, and used by both */
	uint64_t scratch[2]; /* allocations of context */
	uint64_t fence; /* of maker, with a wait of opener */
	uint64_t fence_opened; /* by opener */
};

void specimen_make(struct specimen *specimen);
void specimen_free(struct specimen *specimen);

/* cmocka fixtures: *state is a struct specimen. */
int specimen_setup(void **state);
int specimen_teardown(void **state);

#endif
