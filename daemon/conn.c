/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections
 *
 * A client may send anything at any moment, read nothing for ever, half close,
 * or hand its socket to others. What holds in spite of that:
 *
 * Reading. recvmsg() gets no room for control data, so no descriptor that a
 * client attaches is ever installed here; the kernel drops it and says
 * MSG_CTRUNC, which ends the client. A message of zero bytes and the end of
 * file both return 0. They are told apart by asking afterwards: if the peer
 * has not shut down, it was a message; if it has, nothing can be added to the
 * queue any more, and the end has come when the queue holds no bytes.
 *
 * Writing never waits. What the kernel does not take is kept, and as long as
 * anything is kept the client is not read from, so it can make us keep no more
 * than the answers to what it has asked already. When the reason is not that
 * client's slowness but something that the whole system is out of
 * (ETOOMANYREFS: descriptors in flight, perhaps another client's doing), the
 * reply is kept just so and tried again by a timer.
 *
 *	             EOF, replies due            all sent
 *	  open  --------------------> half-closed --------> over(END_OF_FILE)
 *	    \------------------------------------------------^
 *	     EOF, nothing due; or closed on both sides
 *
 * Death. The process that connected owns the connection. Its pidfd tells of
 * its death even if a child keeps the socket open.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  No descriptor of a client is ever installed.
 *  G2  A message of zero bytes does nothing; end of file is never missed.
 *  G3  Replies go out whole and in order, or the connection is over.
 *  G4  The number of kept replies is at most one more than the replies that
 *      were promised for later, and of kept notices there is at most one.
 *  G5  Every attachment is detached exactly once.
 *  G6  A client that has closed its sending side gets all its replies.
 */
#include "daemon/conn.h"

#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define NO_ATTACHMENT ((struct conn_attachment){ .fd = -1 })

/* A reply that is kept. */
struct conn_message {
	struct conn_message *next;
	struct conn_attachment attachment;
	size_t size;
	unsigned char bytes[];
};

static struct conn *conn_of_socket(struct watch *watch)
{
	return (struct conn *)((char *)watch - offsetof(struct conn, socket));
}

static struct conn *conn_of_process(struct watch *watch)
{
	return (struct conn *)((char *)watch - offsetof(struct conn, process));
}

static void detach(struct conn *conn, const struct conn_attachment *attachment)
{
	if (attachment->fd >= 0)
		conn->ops->detach(conn, attachment);
}

static void over(struct conn *conn, enum conn_end end)
{
	conn->ops->over(conn, end);
	assert(!conn_is_open(conn));
}

/* Watches for what can be dealt with now; the kernel tells of HUP anyway. */
static void update_interest(struct conn *conn)
{
	uint32_t events = EPOLLIN | EPOLLRDHUP;

	if (conn->is_blocked)
		events = 0;
	else if (conn->first)
		events = EPOLLOUT;
	else if (conn->half_closed)
		events = 0;
	/* Changing allocates nothing, so it fails only for a bug of ours. */
	if (poller_change(conn->poller, &conn->socket, events) < 0)
		over(conn, CONN_END_OF_FILE);
}

static short peer_state(const struct conn *conn)
{
	struct pollfd ask = { .fd = conn->socket.fd, .events = POLLRDHUP };

	return poll(&ask, 1, 0) == 1 ? ask.revents : 0;
}

/* recvmsg has returned 0. Returns whether there may be more to read. */
static bool nothing_received(struct conn *conn)
{
	short state = peer_state(conn);
	int queued = 0;

	if (!(state & (POLLRDHUP | POLLHUP)))
		return true;
	if (ioctl(conn->socket.fd, SIOCINQ, &queued) == 0 && queued > 0)
		return true;
	if ((state & POLLHUP) || (!conn->expected && !conn->first)) {
		over(conn, CONN_END_OF_FILE);
		return false;
	}
	conn->half_closed = true;
	update_interest(conn);
	return false;
}

static ssize_t receive(struct conn *conn, int *ret_flags)
{
	struct iovec room = {
		.iov_base = conn->buffer->words,
		.iov_len = WIRE_REQUEST_BYTES_MAX,
	};
	struct msghdr message = { .msg_iov = &room, .msg_iovlen = 1 };
	ssize_t n;

	do
		n = recvmsg(conn->socket.fd, &message, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	*ret_flags = message.msg_flags;
	return n < 0 ? -errno : n;
}

/* One message; the bytes that it cost, or 0 when nothing can be read now. */
static size_t read_one(struct conn *conn)
{
	int flags = 0;
	ssize_t n = receive(conn, &flags);

	if (n == -EAGAIN || n == -ENOMEM || n == -ENOBUFS)
		return 0;
	if (n < 0) {
		over(conn, CONN_END_OF_FILE);
		return 0;
	}
	if (flags & (MSG_CTRUNC | MSG_TRUNC)) {
		over(conn, flags & MSG_CTRUNC ? CONN_DESCRIPTORS_SENT :
						CONN_MESSAGE_TOO_LONG);
		return 0;
	}
	if (n == 0)
		return nothing_received(conn) ? 1 : 0;
	conn->ops->message(conn, conn->buffer->words, (size_t)n);
	return (size_t)n;
}

static void read_turn(struct conn *conn)
{
	size_t bytes = 0;

	for (int i = 0; i < CONN_MESSAGES_PER_TURN; i++) {
		size_t n;

		if (!conn_is_open(conn) || conn->first || conn->half_closed)
			break;
		n = read_one(conn);
		bytes += n;
		if (n == 0 || bytes >= CONN_BYTES_PER_TURN)
			break;
	}
}

static int transmit(const struct conn *conn, struct iovec *parts, size_t n,
		    int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = n };
	ssize_t sent;

	if (fd >= 0) {
		struct cmsghdr *rights;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		rights = CMSG_FIRSTHDR(&message);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(rights), &fd, sizeof(int));
	}
	do
		sent = sendmsg(conn->socket.fd, &message,
			       MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Whether an error passes: because the client reads, or by itself. */
static bool passes(int error, bool *ret_by_itself)
{
	*ret_by_itself = error == -ETOOMANYREFS || error == -ENOBUFS ||
			 error == -ENOMEM;
	return error == -EAGAIN || *ret_by_itself;
}

static void block(struct conn *conn, bool by_itself)
{
	if (by_itself && !conn->is_blocked)
		conn->ops->blocked(conn);
	conn->is_blocked = by_itself;
}

static int keep(struct conn *conn, const struct wire_reply *head,
		const void *data, const struct conn_attachment *attachment)
{
	size_t size = sizeof(*head) + head->data_bytes;
	struct conn_message *message = malloc(sizeof(*message) + size);

	if (!message)
		return -ENOMEM;
	message->next = NULL;
	message->attachment = *attachment;
	message->size = size;
	memcpy(message->bytes, head, sizeof(*head));
	if (head->data_bytes)
		memcpy(message->bytes + sizeof(*head), data, head->data_bytes);
	if (conn->last)
		conn->last->next = message;
	else
		conn->first = message;
	conn->last = message;
	return 0;
}

int conn_send(struct conn *conn, const struct wire_reply *head,
	      const void *data, const struct conn_attachment *attachment)
{
	struct conn_attachment attached = attachment ? *attachment :
						       NO_ATTACHMENT;
	struct wire_reply copy = *head;
	struct iovec parts[2] = {
		{ .iov_base = &copy, .iov_len = sizeof(copy) },
		{ .iov_base = (void *)(uintptr_t)data,
		  .iov_len = head->data_bytes },
	};
	bool by_itself = conn->is_blocked;
	int r = -EAGAIN;

	assert(head->data_bytes <= WIRE_DATA_BYTES_MAX);
	if (!conn_is_open(conn))
		r = -EPIPE;
	else if (!conn->first)
		r = transmit(conn, parts, head->data_bytes ? 2 : 1,
			     attached.fd);
	if (r < 0 && (conn->first || passes(r, &by_itself))) {
		r = keep(conn, head, data, &attached);
		if (r == 0) {
			block(conn, by_itself);
			update_interest(conn);
			return 0;
		}
	}
	detach(conn, &attached);
	return r;
}

int conn_notice(struct conn *conn, const struct wire_reply *head)
{
	struct conn_message *last = conn->last;
	struct wire_reply kept;
	int r;

	if (conn->notice) {
		memcpy(&kept, conn->notice->bytes, sizeof(kept));
		kept.value[0] |= head->value[0];
		memcpy(conn->notice->bytes, &kept, sizeof(kept));
		return 0;
	}
	r = conn_send(conn, head, NULL, NULL);
	if (r < 0 || !conn_is_open(conn))
		return r;
	if (conn->last != last)
		conn->notice = conn->last;
	else
		conn->ops->noticed(conn, head->value[0]);
	return 0;
}

/* The first message has been sent. */
static void say_if_notice(struct conn *conn)
{
	struct wire_reply head;

	if (conn->notice != conn->first)
		return;
	memcpy(&head, conn->first->bytes, sizeof(head));
	conn->ops->noticed(conn, head.value[0]);
}

static void drop_first(struct conn *conn)
{
	struct conn_message *message = conn->first;

	conn->first = message->next;
	if (!conn->first)
		conn->last = NULL;
	if (conn->notice == message)
		conn->notice = NULL;
	detach(conn, &message->attachment);
	free(message);
}

static void flush(struct conn *conn)
{
	bool by_itself = false;

	while (conn->first) {
		struct iovec part = {
			.iov_base = conn->first->bytes,
			.iov_len = conn->first->size,
		};
		int r = transmit(conn, &part, 1, conn->first->attachment.fd);

		if (r < 0 && passes(r, &by_itself))
			break;
		if (r < 0) {
			over(conn, CONN_END_OF_FILE);
			return;
		}
		say_if_notice(conn);
		drop_first(conn);
	}
	block(conn, by_itself);
	if (conn->half_closed && !conn->first && !conn->expected)
		over(conn, CONN_END_OF_FILE);
	else
		update_interest(conn);
}

static void socket_ready(struct watch *watch, uint32_t events)
{
	struct conn *conn = conn_of_socket(watch);

	/* Closed on both sides: whatever is kept, nobody will read it. */
	if ((events & (EPOLLHUP | EPOLLERR)) &&
	    (conn->first || conn->half_closed)) {
		over(conn, CONN_END_OF_FILE);
		return;
	}
	if (events & EPOLLOUT)
		flush(conn);
	if (conn_is_open(conn) && (events & ~(uint32_t)EPOLLOUT))
		read_turn(conn);
}

static void process_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	over(conn_of_process(watch), CONN_DIED);
}

int conn_init(struct conn *conn, const struct conn_ops *ops,
	      struct poller *poller, struct conn_buffer *buffer, int socket_fd,
	      int pidfd)
{
	const int send_bytes = CONN_SEND_BYTES;
	int r;

	*conn = (struct conn){
		.ops = ops,
		.poller = poller,
		.buffer = buffer,
		.socket = { .fd = socket_fd, .ready = socket_ready },
		.process = { .fd = pidfd, .ready = process_ready },
	};
	setsockopt(socket_fd, SOL_SOCKET, SO_SNDBUF, &send_bytes,
		   sizeof(send_bytes));
	r = poller_add(poller, &conn->socket, EPOLLIN | EPOLLRDHUP);
	if (r == 0 && pidfd >= 0)
		r = poller_add(poller, &conn->process, EPOLLIN);
	if (r < 0) {
		poller_remove(poller, &conn->socket);
		conn->socket.fd = -1;
		conn->process.fd = -1;
	}
	return r;
}

/*
 * Closing a socket with unread messages makes the peer's next read fail with
 * ECONNRESET before it finds our last words. So it may send no more, and what
 * it has sent is thrown away, as far as one turn allows.
 */
static void close_socket(int fd)
{
	char byte;

	shutdown(fd, SHUT_RD);
	for (int i = 0; i < 1024; i++)
		if (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) <= 0)
			break;
	close(fd);
}

void conn_refuse(int socket_fd, const struct wire_reply *head)
{
	send(socket_fd, head, sizeof(*head), MSG_DONTWAIT | MSG_NOSIGNAL);
	close_socket(socket_fd);
}

void conn_close(struct conn *conn)
{
	if (!conn_is_open(conn))
		return;
	while (conn->first)
		drop_first(conn);
	poller_remove(conn->poller, &conn->socket);
	poller_remove(conn->poller, &conn->process);
	close_socket(conn->socket.fd);
	if (conn->process.fd >= 0)
		close(conn->process.fd);
	conn->socket.fd = -1;
	conn->process.fd = -1;
	conn->is_blocked = false;
}

void conn_expect(struct conn *conn)
{
	conn->expected++;
}

void conn_expected(struct conn *conn)
{
	assert(conn->expected);
	conn->expected--;
	if (conn_is_open(conn) && conn->half_closed && !conn->first &&
	    !conn->expected)
		over(conn, CONN_END_OF_FILE);
}

void conn_retry(struct conn *conn)
{
	if (conn_is_open(conn) && conn->is_blocked)
		flush(conn);
}
