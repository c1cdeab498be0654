/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect: where the daemon is
 *
 *	path given       -> only there
 *	$TENURE_SOCKET   -> only there
 *	otherwise        -> $XDG_RUNTIME_DIR/tenured/tenured.sock
 *	                    /run/tenured/tenured.sock
 *	nobody answers, and TENURE_CONNECT_SPAWN -> a private daemon
 *
 * "Nobody answers" is: no such file, or a socket without a listener. Anything
 * else (no permission, another kind of socket, a daemon that refuses) is the
 * answer and is not searched past: a program must not end up quietly on
 * another daemon than the one that was meant.
 *
 * A program that runs with more rights than its user does not let the user's
 * environment choose the daemon (secure_getenv).
 */
#include <stdio.h>
#include <stdlib.h>

#include "client/connection.h"
#include "client/socket.h"
#include "client/spawn.h"

#define SYSTEM_SOCKET "/run/tenured/tenured.sock"

static bool is_nobody(int status)
{
	return status == -ENOENT || status == -ECONNREFUSED ||
	       status == -ENOTDIR;
}

static int connect_refused(int status)
{
	if (is_nobody(status))
		return refusal_set(status == -ENOTDIR ? -ENOENT : status,
				   TENURE_REASON_NO_DAEMON);
	if (status == -ENAMETOOLONG)
		return refusal_set(status, TENURE_REASON_PATH_TOO_LONG);
	if (status == -EPROTO)
		return refusal_set(status, TENURE_REASON_DAEMON_PROTOCOL);
	if (status == -ENOMEM)
		return refusal_set(status, TENURE_REASON_LIBRARY_MEMORY);
	return refusal_set(status, TENURE_REASON_CONNECTION_LOST);
}

static int connect_path(const char *path, struct tenure **ret_connection)
{
	struct transport *transport;
	int status = socket_transport_new(path, &transport);

	if (status < 0)
		return connect_refused(status);
	status = connection_new(transport, ret_connection);
	if (status < 0) {
		transport->ops->close(transport);
		return status;
	}
	/* It fits: socket_transport_new has measured it. */
	strcpy((*ret_connection)->path, path);
	return 0;
}

/* The path of the user's own daemon; false when there can be none. */
static bool user_socket(char *ret_path, size_t size)
{
	const char *directory = secure_getenv("XDG_RUNTIME_DIR");
	int n;

	if (!directory || directory[0] != '/')
		return false;
	n = snprintf(ret_path, size, "%s/tenured/tenured.sock", directory);
	return n > 0 && (size_t)n < size;
}

static int connect_search(const char *path, struct tenure **ret_connection)
{
	char user[sizeof((*ret_connection)->path)];
	int status;

	if (!path) {
		path = secure_getenv("TENURE_SOCKET");
		if (path && path[0] == '\0')
			path = NULL;
	}
	if (path)
		return connect_path(path, ret_connection);
	if (user_socket(user, sizeof(user))) {
		status = connect_path(user, ret_connection);
		if (!is_nobody(status))
			return status;
	}
	return connect_path(SYSTEM_SOCKET, ret_connection);
}

static int connect_spawned(struct tenure **ret_connection)
{
	char path[sizeof((*ret_connection)->path)];
	int status = spawn_daemon(path, sizeof(path));

	if (status < 0)
		return refusal_set(status, TENURE_REASON_SPAWN_FAILED);
	return connect_path(path, ret_connection);
}

int tenure_connect(const char *path, unsigned int flags,
		   struct tenure **ret_connection)
{
	int status;

	if (!ret_connection || (flags & ~(unsigned int)TENURE_CONNECT_SPAWN) ||
	    (path && path[0] == '\0'))
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connect_search(path, ret_connection);
	if (is_nobody(status) && (flags & TENURE_CONNECT_SPAWN))
		status = connect_spawned(ret_connection);
	return status;
}
