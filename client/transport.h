/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection needs from whatever carries its messages, and the two
 * internal entry points that programs linked with the library's objects may
 * use. client/socket.c is the transport that applications get; a test plugs
 * in another one, such as a broker in its own process.
 */
#ifndef CLIENT_TRANSPORT_H
#define CLIENT_TRANSPORT_H

#include "client/api.h"
#include "core/base.h"
#include "core/wire/msg.h"

/* One request and its reply. */
struct exchange {
	/* In: what is sent. args_bytes bytes follow the head, whatever the head
	 * says about their number. */
	const struct wire_request *request;
	const void *args;
	size_t args_bytes;
	/* In: room for the data of the reply. */
	void *data;
	size_t capacity;
	/* Out: what came. data_bytes is the number of bytes behind the head,
	 * whatever the head says; fd is -1 or the caller's to close. fd_lost: a
	 * descriptor came, but this process had no room for it. */
	struct wire_reply reply;
	size_t data_bytes;
	int fd;
	bool fd_lost;
};

struct transport;

struct transport_ops {
	/*
	 * Sends one request and waits for one message. 0: a message came, with
	 * a whole head and at most capacity bytes behind it, and the out fields
	 * are filled. -EFAULT, the arguments are unreadable, and -ENOMEM:
	 * nothing was sent, the transport still works. Any other negative
	 * errno: the transport is dead; -EPROTO when what came is no reply,
	 * -ECONNRESET when the peer has gone. On failure no descriptor is left
	 * with the caller. Whether the reply answers the request, and makes
	 * sense, is judged by the connection. One thread at a time calls.
	 */
	int (*exchange)(struct transport *transport, struct exchange *exchange);
	/*
	 * The two halves of exchange, each with its errors: send sends a
	 * request, receive waits for one message and fills the out fields.
	 * NULL: there is only the whole.
	 */
	int (*send)(struct transport *transport, struct exchange *exchange);
	int (*receive)(struct transport *transport, struct exchange *exchange);
	/*
	 * Looks, without waiting, whether the daemon has said something that
	 * nobody asked for. -EAGAIN: it has not, and it lives. Otherwise as
	 * exchange, of which only the out fields are filled. NULL: never.
	 */
	int (*listen)(struct transport *transport, struct exchange *exchange);
	/*
	 * Waits until listen has something to tell, the descriptor wake (or
	 * -1) can be read, or the time is over; -1: for ever. May end for no
	 * reason. Any thread, without the lock. With send and receive.
	 */
	void (*wait)(struct transport *transport, int wake, int timeout_ms);
	/*
	 * What can be read when listen has something to tell, for epoll; it
	 * stays the transport's. NULL: there is nothing to wait on.
	 */
	int (*descriptor)(const struct transport *transport);
	/* Ends the transport and frees it. Called once, by the last caller. */
	void (*close)(struct transport *transport);
};

/* The first member of every transport. */
struct transport {
	const struct transport_ops *ops;
};

/*
 * Greets the daemon over a transport and makes a connection of it. On success
 * the connection owns the transport, and tenure_disconnect() closes it; on
 * failure the caller keeps it. tenure_socket_path() of it is "".
 */
int connection_new(struct transport *transport, struct tenure **ret_connection);

/*
 * Sends one request as it stands and brings the reply: 0 when a well-formed
 * reply came, also a refusal (see ret_reply->status); otherwise a negative
 * errno, as any call on the connection. An id of 0 is replaced by a fresh one.
 * ret_reply->data_bytes bytes are written to data. Nothing is remembered about
 * what the request did, and a descriptor that came with the reply is closed
 * and is the caller's to acknowledge (head->fds_acked): for tests.
 */
int connection_request(struct tenure *connection,
		       const struct wire_request *head, const void *args,
		       size_t args_bytes, struct wire_reply *ret_reply,
		       void *data, size_t capacity);

#endif
