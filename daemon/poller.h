/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll instance on which everything of clients hangs: their sockets and
 * the pidfds of their processes. One thread.
 */
#ifndef DAEMON_POLLER_H
#define DAEMON_POLLER_H

#include "core/base.h"

#include <sys/epoll.h>

enum {
	/* Descriptors served before the loop looks after something else. */
	POLLER_BATCH = 32,
};

/* One watched descriptor; embedded in what owns it. */
struct watch {
	int fd;
	uint32_t events;
	bool added;
	void (*ready)(struct watch *watch, uint32_t events);
};

struct poller {
	int epoll_fd;
	struct epoll_event batch[POLLER_BATCH];
	int batch_next, batch_size;
};

/* 0 or a negative errno. */
int poller_init(struct poller *poller);

/* Every watch must have been removed. */
void poller_deinit(struct poller *poller);

/* Starts watching watch->fd for epoll events (level-triggered); 0 or a
 * negative errno, and then the watch is not added. */
int poller_add(struct poller *poller, struct watch *watch, uint32_t events);

/* Watches for other events; 0 or a negative errno. */
int poller_change(struct poller *poller, struct watch *watch, uint32_t events);

/* Ends the watch: ready is not called again, not even for an event that has
 * been fetched already. Allowed when the watch was never added. */
void poller_remove(struct poller *poller, struct watch *watch);

/* Calls ready for at most POLLER_BATCH descriptors; never waits. */
void poller_dispatch(struct poller *poller);

#endif
