/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that has nothing to do: it must not look whether it has.
 */
#ifndef TESTS_SUPPORT_IDLE_H
#define TESTS_SUPPORT_IDLE_H

#include <sys/types.h>

/*
 * Waits until a process has taken next to none of the processor for 300 ms.
 * Fails the test when it does not come to that within half a minute: others may
 * keep it from its work for a while, but one that spins never does.
 */
void expect_idle(pid_t pid);

#endif
