/* SPDX-License-Identifier: Apache-2.0 */
/* The transport that applications get: a SOCK_SEQPACKET unix socket. */
#ifndef CLIENT_SOCKET_H
#define CLIENT_SOCKET_H

#include "client/transport.h"

/*
 * Connects to the socket at a path. 0, or the negative errno of connect();
 * -ENAMETOOLONG for a path that no socket can have, -EPROTO for a socket of
 * another type, -ETIMEDOUT, -ENOMEM. The caller owns *ret_transport. Until
 * socket_transport_be_patient, connecting and all exchanges together take
 * timeout_ms at most, and a reply that does not come in time is -ETIMEDOUT.
 */
int socket_transport_new(const char *path, unsigned int timeout_ms,
			 struct transport **ret_transport);

/* From now on an exchange takes as long as it takes. */
void socket_transport_be_patient(struct transport *transport);

/* The same for a socket that is connected already; on success the transport
 * owns the descriptor. 0 or -ENOMEM. */
int socket_transport_adopt(int fd, struct transport **ret_transport);

#endif
