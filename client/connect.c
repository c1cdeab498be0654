/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect: where the daemon is
 *
 *	path given       -> only there
 *	$TENURE_SOCKET   -> only there
 *	otherwise        -> $XDG_RUNTIME_DIR/tenured/tenured.sock
 *	                    /run/tenured/tenured.sock
 *	                    nobody answers, and TENURE_CONNECT_SPAWN
 *	                 -> a private daemon
 *
 * "Nobody answers" is: no such file, or a socket without a listener. Anything
 * else (no permission, another kind of socket, a daemon that refuses, one that
 * is silent) is the answer and is not searched past: a program must not end up
 * quietly on another daemon than the one that was meant. For the same reason a
 * place that was named and is dead is an error, also for whoever would spawn:
 * the others who were told that name would never meet a private daemon.
 *
 * A daemon that is there answers at once. But behind a socket of a service
 * manager it may have to be started first, perhaps while the machine starts, so
 * the time limit is that of a slow start and not that of an answer.
 *
 * A program that runs with more rights than its user does not let the user's
 * environment choose the daemon (secure_getenv).
 */
#include "client/connect.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/connection.h"
#include "client/socket.h"
#include "client/spawn.h"

static const struct connect_ways standard_ways = {
	.system_socket = "/run/tenured/tenured.sock",
	.timeout_ms = 30000,
};

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
	if (status == -ETIMEDOUT)
		return refusal_set(status, TENURE_REASON_DAEMON_SILENT);
	if (status == -EACCES || status == -EPERM)
		return refusal_set(status, TENURE_REASON_PLACE_FORBIDDEN);
	return refusal_set(status, TENURE_REASON_CONNECT_FAILED);
}

static int connect_path(const struct connect_ways *ways, const char *path,
			struct tenure **ret_connection)
{
	struct transport *transport;
	int status = socket_transport_new(path, ways->timeout_ms, &transport);

	if (status < 0)
		return connect_refused(status);
	status = connection_new(transport, ret_connection);
	if (status < 0) {
		transport->ops->close(transport);
		return status;
	}
	socket_transport_be_patient(transport);
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

/* The place that was named, or NULL: then it is for us to look. */
static const char *named_place(const char *path)
{
	if (!path)
		path = secure_getenv("TENURE_SOCKET");
	return path && path[0] != '\0' ? path : NULL;
}

static int connect_search(const struct connect_ways *ways,
			  struct tenure **ret_connection)
{
	char user[sizeof((*ret_connection)->path)];
	int status;

	if (user_socket(user, sizeof(user))) {
		status = connect_path(ways, user, ret_connection);
		if (!is_nobody(status))
			return status;
	}
	return connect_path(ways, ways->system_socket, ret_connection);
}

static int connect_spawned(const struct connect_ways *ways,
			   struct tenure **ret_connection)
{
	char path[sizeof((*ret_connection)->path)];
	int status = spawn_daemon(path, sizeof(path));

	if (status < 0)
		return refusal_set(status, TENURE_REASON_SPAWN_FAILED);
	return connect_path(ways, path, ret_connection);
}

int connect_by(const struct connect_ways *ways, const char *path,
	       unsigned int flags, struct tenure **ret_connection)
{
	const char *named = named_place(path);
	int status;

	if (!ret_connection || (flags & ~(unsigned int)TENURE_CONNECT_SPAWN) ||
	    (path && path[0] == '\0'))
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	if (named)
		return connect_path(ways, named, ret_connection);
	status = connect_search(ways, ret_connection);
	if (is_nobody(status) && (flags & TENURE_CONNECT_SPAWN))
		status = connect_spawned(ways, ret_connection);
	return status;
}

int tenure_connect(const char *path, unsigned int flags,
		   struct tenure **ret_connection)
{
	return connect_by(&standard_ways, path, flags, ret_connection);
}
