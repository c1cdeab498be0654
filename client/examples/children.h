/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's child processes: real programs, their output read line by line. */
#ifndef CHILDREN_H
#define CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

enum { CHILDREN_MAX = 16, LINE_BYTES = 256 };

struct child {
	const char *name;
	pid_t pid;
	int out; /* its standard output, or -1 at its end */
	bool ended;
	int state; /* as waitpid gave it */
	char line[LINE_BYTES]; /* last whole line that it printed */
	size_t filled;
	char buffer[LINE_BYTES];
};

/*
 * Starts argv[0]. keep lists n_keep descriptors that it inherits under their
 * own numbers; all others must be close-on-exec. Its standard error goes to
 * err unless that is -1. It dies with this process. Ends the program when it
 * cannot.
 */
struct child *child_start(const char *name, const char *const *argv,
			  const int *keep, size_t n_keep, int err);

/* Waits up to timeout_ms for output or ends of children; false on a signal
 * that asks the demo to end. New lines are in child->line. */
bool children_pump(int timeout_ms);

/* Sends a signal to a child that has not been waited for. */
void child_kill(struct child *child, int signal);

/* Whether it ended with exit status 0. */
bool child_succeeded(const struct child *child);

/* Kills and reaps all that are left. */
void children_end(void);

/* Handles SIGINT, SIGTERM and SIGHUP so that pump reports them. */
void children_watch_signals(void);

#endif
