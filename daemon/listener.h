/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place where clients connect: a socket that belongs to one daemon only.
 */
#ifndef DAEMON_LISTENER_H
#define DAEMON_LISTENER_H

#include "core/base.h"

#include <sys/stat.h>
#include <sys/un.h>

struct listener {
	int fd;
	int lock_fd; /* -1 when the socket was passed to us */
	int reserve_fd; /* given up to refuse a client politely */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	dev_t device; /* of the socket that we have bound */
	ino_t inode;
};

/*
 * Binds a SOCK_SEQPACKET socket with that mode and listens. make_directory:
 * its directory is made when it is missing. 0 or a negative errno with a
 * sentence in *ret_why: -EADDRINUSE when a daemon lives there, -EEXIST when
 * something that is no socket is in the way.
 */
int listener_open(const char *path, mode_t mode, bool make_directory,
		  struct listener *ret, const char **ret_why);

/* Takes over a listening socket that somebody else has bound, and will
 * remove; 0 or a negative errno. */
int listener_adopt(int fd, struct listener *ret);

/* Removes what listener_open has made and closes; twice is once. */
void listener_close(struct listener *listener);

enum listener_outcome {
	LISTENER_ACCEPTED,
	LISTENER_NOBODY, /* *ret_fd is -1: nobody waits any more */
	/* There was no descriptor left but the reserve: refuse this one,
	 * close it, and call listener_refill. */
	LISTENER_LAST,
};

/* Accepts one client; an outcome, or a negative errno when the caller should
 * try again some time later. */
int listener_accept(struct listener *listener, int *ret_fd);

/* Takes a descriptor into reserve again; 0 or a negative errno. */
int listener_refill(struct listener *listener);

#endif
