/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of rings share: a daemon, a canary, clients with a ring, and
 * how they are thrown out.
 */
#ifndef TESTS_INTEGRATION_RING_WORLD_H
#define TESTS_INTEGRATION_RING_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tenure/tenure.h"
#include "tests/integration/canary.h"
#include "tests/support/daemon_process.h"
#include "tests/support/raw_ring.h"

#include <sys/types.h>

struct stage {
	struct daemon_process *daemon;
	struct canary *canary;
	const char *socket;
};

/* Before and after each test; afterwards nothing may be left. */
int stage_setup(void **state);
int stage_setup_two_workers(void **state);
int stage_teardown(void **state);

#define ring_test(function) \
	cmocka_unit_test_setup_teardown(function, stage_setup, stage_teardown)

/* A client with a ring. */
struct raw_ring ring_client(const struct stage *stage);

/* A device of the adapter "system", made by the ring. */
uint64_t ring_device(struct raw_ring *ring);

/* count allocations of one page each. */
void ring_allocations(struct raw_ring *ring, uint64_t device, uint32_t count,
		      uint64_t *ret);

/* What STAT answers on the socket. */
struct wire_stat ring_stat(const struct raw_ring *ring);

/* The daemon has ended the client, said this reason on the socket, and words
 * of it in the log. Closes the ring. */
void ring_thrown_out(const struct stage *stage, struct raw_ring *ring,
		     enum tenure_reason reason, const char *words);

/* Forks a process that dies with its parent. */
pid_t ring_fork(void);

/* A child that runs function until it returns or is killed; it dies with us. */
pid_t ring_child(void (*function)(const struct stage *stage),
		 const struct stage *stage);

/* Kills it if need be and buries it. */
void ring_bury(pid_t child);

#endif
