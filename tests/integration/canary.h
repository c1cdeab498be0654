/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canary: a good client beside the bad ones. It holds memory whose
 * contents it knows, and works all the time; whatever the others do, its
 * calls succeed, soon, and its bytes stay.
 */
#ifndef TESTS_INTEGRATION_CANARY_H
#define TESTS_INTEGRATION_CANARY_H

struct canary;

struct canary *canary_new(const char *socket);

/* Rounds of create, map, write, read and destroy; fails the running test if
 * one fails, takes longer than 2 s, or the held bytes have changed. */
void canary_sing(struct canary *canary, unsigned int rounds);

/* The 50th and the 99th of a hundred of the last rounds, in microseconds, as a
 * line of the test's output. It is told, not judged. */
void canary_tell(const struct canary *canary, const char *beside_whom);

/* Sings once more and disconnects. */
void canary_free(struct canary *canary);

#endif
