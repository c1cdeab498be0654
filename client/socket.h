/* SPDX-License-Identifier: Apache-2.0 */
/* The transport that applications get: a SOCK_SEQPACKET unix socket. */
#ifndef CLIENT_SOCKET_H
#define CLIENT_SOCKET_H

#include "client/transport.h"

/*
 * Connects to the socket at a path. 0, or the negative errno of connect();
 * -ENAMETOOLONG for a path that no socket can have, -EPROTO for a socket of
 * another type, -ENOMEM. The caller owns *ret_transport.
 */
int socket_transport_new(const char *path, struct transport **ret_transport);

/* The same for a socket that is connected already; on success the transport
 * owns the descriptor. 0 or -ENOMEM. */
int socket_transport_adopt(int fd, struct transport **ret_transport);

#endif
