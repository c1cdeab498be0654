/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: the loop that everything else hangs on.
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include "daemon/config.h"
#include "daemon/listener.h"

struct server_setup {
	const struct config *config;
	/* Already open; the server closes it when it stops. */
	struct listener *listener;
	/* Descriptors that the process may have. */
	uint64_t descriptors;
	bool private_use; /* stop when the last client has gone */
	bool test_events; /* obey WIRE_OP_TEST_EVENT */
	/* Reads the configuration again for SIGHUP; 0 or a negative errno,
	 * which it has reported. */
	int (*reload)(void *context, struct config *ret);
	void *context;
};

struct server;

/* Makes a server that is ready to serve; 0 or a negative errno. */
int server_new(const struct server_setup *setup, struct server **ret);

/* Serves until a signal, or the last client's end, stops it. 0, or -ETIMEDOUT
 * when not everything was given back in time: then the server cannot be
 * freed, and the process should end. */
int server_run(struct server *server);

/* NULL is allowed. Asserts that nothing is left. */
void server_free(struct server *server);

#endif
