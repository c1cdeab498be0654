/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that goes from point to point: the entry and the exit of each
 * system call, and the moment before each store to shared memory.
 *
 * A helper that cannot go on fails the running cmocka test.
 */
#ifndef TESTS_INTEGRATION_STEPPER_H
#define TESTS_INTEGRATION_STEPPER_H

#include <stdbool.h>
#include <sys/types.h>

struct stepper {
	pid_t pid;
	unsigned int calls; /* entries of system calls so far */
	unsigned int stores; /* stores to shared memory so far */
	int signal; /* to be delivered when it goes on, or 0 */
	int postponed; /* a signal that came at a bad time, or 0 */
	bool in_call; /* at an entry; the next point is its exit */
	bool before_store;
	bool hides_write; /* of the mmap or mprotect that it is in */
};

/*
 * A child that runs life(context), which must not return; it stands before its
 * first instruction. The kernel kills it when we end.
 */
void stepper_start(struct stepper *stepper, void (*life)(const void *context),
		   const void *context);

/* On to the next point. False when it has ended: *ret_status is what wait()
 * said. */
bool stepper_step(struct stepper *stepper, int *ret_status);

/* Stops it, as SIGSTOP does, after what it is just about to do. False when
 * that is its end: *ret_status is what wait() said. */
bool stepper_freeze(struct stepper *stepper, int *ret_status);

/* Lets it go on again, to its end: what wait() said. */
int stepper_thaw(struct stepper *stepper);

/* Kills it where it stands, with SIGKILL. */
void stepper_kill(struct stepper *stepper);

#endif
