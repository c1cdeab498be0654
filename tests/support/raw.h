/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client without the library: bytes on the daemon's socket, so that a test
 * can say what no library would.
 */
#ifndef TESTS_SUPPORT_RAW_H
#define TESTS_SUPPORT_RAW_H

#include "core/wire/msg.h"

#include <sys/types.h>

struct raw_reply {
	struct wire_reply head;
	int fd; /* that came with it, or -1; the caller closes it */
	uint8_t data[WIRE_DATA_BYTES_MAX];
};

/* A connected socket, or a negative errno. It waits at most 10 s for any one
 * thing. */
int raw_connect(const char *path);

/* Sends one request as it is: head, and args_bytes bytes behind it. 0 or a
 * negative errno. */
int raw_send(int fd, const struct wire_request *head, const void *args,
	     size_t args_bytes);

/* Any bytes as one datagram, with count descriptors. */
int raw_send_bytes(int fd, const void *bytes, size_t size_bytes, const int *fds,
		   unsigned int count);

/* One reply: its length, 0 at the end of the connection, or a negative errno
 * (-EAGAIN: none came in time). */
ssize_t raw_receive(int fd, struct raw_reply *ret);

/* Sends and receives one; returns the status of the reply, or -ENOTCONN when
 * the connection ended instead. ret may be NULL. */
int raw_call(int fd, const struct wire_request *head, const void *args,
	     size_t args_bytes, struct raw_reply *ret);

/* The hello of a good client. */
struct wire_request raw_hello_request(void);
int raw_hello(int fd);

/* raw_connect and raw_hello. */
int raw_client(const char *path);

/* True when the daemon ends this connection, within 10 s; replies that come
 * first are thrown away, the last one kept in *ret_last if not NULL. */
bool raw_ended(int fd, struct raw_reply *ret_last);

#endif
