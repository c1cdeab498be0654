/* SPDX-License-Identifier: Apache-2.0 */
/* tenurectl run: a program with a daemon of its own. */
#ifndef TOOLS_CTL_RUN_H
#define TOOLS_CTL_RUN_H

#include "core/base.h"

enum run_exit {
	RUN_EXIT_OURS = 125, /* it is us who failed, before the program ran */
	RUN_EXIT_NOT_RUNNABLE = 126,
	RUN_EXIT_NOT_FOUND = 127,
	RUN_EXIT_SIGNAL = 128, /* plus the signal that killed the program */
};

/*
 * Starts a private daemon, runs argv (with a NULL at the end) with its socket
 * in TENURE_SOCKET, forwards signals to it, and ends the daemon afterwards.
 * Returns the exit status of the program, or one of the above. Blocks signals
 * and leaves them blocked: the caller is to exit.
 */
int run_with_daemon(char *const *argv);

#endif
