/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: whole messages in, whole messages out, and the end of it.
 */
#ifndef DAEMON_CONN_H
#define DAEMON_CONN_H

#include "core/wire/msg.h"
#include "daemon/poller.h"

enum {
	/* What one connection may do before the others have their turn. */
	CONN_MESSAGES_PER_TURN = 16,
	CONN_BYTES_PER_TURN = 2 * WIRE_REQUEST_BYTES_MAX,
	/* Bytes of replies that the kernel keeps for a client that does not
	 * read; then the daemon stops reading from it. */
	CONN_SEND_BYTES = 32768,
	/* Between two attempts to send what the kernel had no room for. */
	CONN_RETRY_MS = 20,
};

/* Where a message is received; one for all connections of a thread. */
struct conn_buffer {
	uint64_t words[(WIRE_REQUEST_BYTES_MAX + 7) / 8];
};

/* Why a connection is over. */
enum conn_end {
	CONN_END_OF_FILE, /* the client has closed it */
	CONN_DIED, /* the process that connected is dead */
	CONN_DESCRIPTORS_SENT, /* it has sent what it may not */
	CONN_MESSAGE_TOO_LONG,
};

/* Whose a descriptor is that goes with a reply. */
enum conn_source {
	CONN_FROM_STORE, /* acquired: store, read_only */
	CONN_FROM_US, /* to be closed when it has been sent */
	CONN_FROM_PORT, /* stays open as long as the connection */
};

/* A descriptor that goes with a reply. */
struct conn_attachment {
	int fd;
	enum conn_source source;
	uint32_t store;
	bool read_only;
};

struct conn;

struct conn_ops {
	/* One message, with at least one byte. */
	void (*message)(struct conn *conn, const void *bytes, size_t size);
	/* Nothing more will come; the owner closes the connection now. */
	void (*over)(struct conn *conn, enum conn_end end);
	/* The attachment has been sent, or never will be: let go of it. */
	void (*detach)(struct conn *conn, const struct conn_attachment *a);
	/* The NOTICE that says this is in the socket, where it is the client's. */
	void (*noticed)(struct conn *conn, uint64_t about);
	/* conn_retry is wanted in CONN_RETRY_MS. */
	void (*blocked)(struct conn *conn);
};

struct conn {
	const struct conn_ops *ops;
	struct poller *poller;
	struct conn_buffer *buffer;
	struct watch socket, process;
	struct conn_message *first, *last; /* replies that wait */
	struct conn_message *notice; /* one of those that wait, or NULL */
	unsigned int expected; /* replies that will come later */
	bool half_closed; /* the client sends nothing more */
	bool is_blocked; /* for want of something that is not the client's */
};

/*
 * Takes over a connected socket and a pidfd (-1: none) and starts to read. 0,
 * or a negative errno: then both are still the caller's.
 */
int conn_init(struct conn *conn, const struct conn_ops *ops,
	      struct poller *poller, struct conn_buffer *buffer, int socket_fd,
	      int pidfd);

/* Closes everything; allowed at any time, also within an op, and twice. The
 * struct must stay until that op has returned. */
void conn_close(struct conn *conn);

static inline bool conn_is_open(const struct conn *conn)
{
	return conn->socket.fd >= 0;
}

/*
 * Sends a reply, or keeps it until the client reads; attachment may be NULL
 * and will be detached. 0, or a negative errno when it is lost: -EPIPE when
 * the client reads nothing more, -ENOMEM.
 */
int conn_send(struct conn *conn, const struct wire_reply *head,
	      const void *data, const struct conn_attachment *attachment);

/*
 * The same for a NOTICE: while an earlier one waits, what this one says is added
 * to it. Losing it is no harm, since then the connection is over.
 */
int conn_notice(struct conn *conn, const struct wire_reply *head);

/* A reply to a request of now will be sent later: a half-closed connection
 * stays for it. Then conn_expected, once for each, after it was sent. */
void conn_expect(struct conn *conn);
void conn_expected(struct conn *conn);

/* Sends a reply without data to a socket that is no connection yet, if the
 * kernel takes it, and closes the socket. */
void conn_refuse(int socket_fd, const struct wire_reply *head);

/* Tries again, if the connection is blocked. */
void conn_retry(struct conn *conn);

#endif
