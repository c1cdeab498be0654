/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the other end of a connection, according to the kernel.
 */
#ifndef DAEMON_PEER_H
#define DAEMON_PEER_H

#include "core/base.h"

#include <limits.h>

struct peer_facts {
	uint32_t uid;
	int32_t pid; /* 0: not visible from here */
	int pidfd; /* the caller's; readable when the process has died; -1 */
	char cgroup[PATH_MAX]; /* "" when there is none to see */
};

/*
 * Asks the kernel about the process that connected. 0; -ESRCH when it is dead
 * already; or another negative errno, -EMFILE among them.
 */
int peer_read(int socket_fd, struct peer_facts *ret);

/* Whether the process of a pidfd has died; false for -1. */
bool peer_is_dead(int pidfd);

/* Whether a process is on its way out: its descriptors may be closed though
 * the pidfd does not tell yet. Only for telling people; false when unsure. */
bool peer_is_exiting(int32_t pid);

/* Picks the path out of the text of /proc/PID/cgroup; "" when there is none. */
void peer_parse_cgroup(char *text, char *ret, size_t size);

#endif
