/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket transport
 *
 * One message, one datagram: a request is one sendmsg of two pieces (head,
 * arguments), a reply is one recvmsg into two (head, data), so nothing is ever
 * assembled and nothing is copied twice.
 *
 * What can come is bounded before it comes: the head's 64 bytes, the data's
 * capacity, and one descriptor. The control buffer is exactly as long as one
 * descriptor needs (CMSG_LEN, not CMSG_SPACE, whose padding has room for a
 * second), so of a surplus at most one is installed; it is closed, and the
 * transport is dead. A descriptor for which this process has no room is the
 * process's trouble and not the daemon's fault: that is told apart, since then
 * none is installed.
 *
 * When the daemon closes a socket on which it had left something unread, the
 * kernel reports ECONNRESET once, even if a last message of it waits behind.
 * So a receive that fails so is tried again, and a send that finds nobody is
 * still followed by a receive: the daemon's reason is worth having.
 *
 * A peer that never answers must not keep a program that only wants to know
 * whether there is a daemon. So there is a time limit at first, over all that
 * can wait: for a place among those who want to be accepted, and for replies.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Whatever comes, no descriptor is left over.
 *  G2  A signal never fails a call; a dead peer never raises one (SIGPIPE).
 *  G3  Arguments that cannot be read are found before anything is sent.
 *  G4  Within the time limit there is an outcome, whatever the peer does and
 *      however often signals come.
 */
#include "client/socket.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct socket_transport {
	struct transport transport; /* first, see struct transport */
	int fd;
	int64_t deadline_ms; /* of the monotonic clock; 0: none */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The writable pieces of an iovec are never written through when sending. */
static void *unconst(const void *pointer)
{
	return (void *)(uintptr_t)pointer;
}

static int send_request(int fd, const struct exchange *exchange)
{
	struct iovec pieces[2] = {
		{ unconst(exchange->request), sizeof(*exchange->request) },
		{ unconst(exchange->args), exchange->args_bytes },
	};
	const struct msghdr message = {
		.msg_iov = pieces,
		.msg_iovlen = exchange->args_bytes > 0 ? 2 : 1,
	};
	ssize_t n;

	do {
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ENOBUFS ? -ENOMEM : -errno;
	/* A datagram is sent whole or not at all. */
	return 0;
}

/* Takes what descriptor there is out of a message; -1 when there is none. */
static int take_fd(struct msghdr *message)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(message);
	int fd = -1;

	if (cmsg && cmsg->cmsg_level == SOL_SOCKET &&
	    cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len >= CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

static ssize_t receive(int fd, struct msghdr *message, int flags)
{
	bool again = true;
	ssize_t n;

	for (;;) {
		n = recvmsg(fd, message, MSG_CMSG_CLOEXEC | flags);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ECONNRESET && again) {
			again = false;
			continue;
		}
		return n < 0 ? -errno : n;
	}
}

static int receive_reply(int fd, struct exchange *exchange, int flags)
{
	struct iovec pieces[2] = {
		{ &exchange->reply, sizeof(exchange->reply) },
		{ exchange->data, exchange->capacity },
	};
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = pieces,
		.msg_iovlen = ARRAY_SIZE(pieces),
		.msg_control = control.bytes,
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	ssize_t n = receive(fd, &message, flags);
	bool cut;

	if (n < 0)
		return (int)n;
	exchange->fd = take_fd(&message);
	cut = message.msg_flags & MSG_CTRUNC;
	exchange->fd_lost = cut && exchange->fd < 0;
	if (n >= (ssize_t)sizeof(exchange->reply) &&
	    !(message.msg_flags & MSG_TRUNC) && !(cut && exchange->fd >= 0)) {
		exchange->data_bytes = (size_t)n - sizeof(exchange->reply);
		return 0;
	}
	if (exchange->fd >= 0)
		close(exchange->fd);
	exchange->fd = -1;
	return n == 0 ? -ECONNRESET : -EPROTO;
}

/* Waits until something has come, the peer has gone, or the time is over. */
static int await_reply(const struct socket_transport *s)
{
	struct pollfd poll_fd = { .fd = s->fd, .events = POLLIN };
	int64_t left_ms;
	int n;

	if (s->deadline_ms == 0)
		return 0;
	do {
		left_ms = s->deadline_ms - now_ms();
		n = poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}

static int socket_send(struct transport *transport, struct exchange *exchange)
{
	struct socket_transport *s = (struct socket_transport *)transport;
	int status = send_request(s->fd, exchange);

	return status == -EPIPE || status == -ECONNRESET ? 0 : status;
}

static int socket_receive(struct transport *transport,
			  struct exchange *exchange)
{
	struct socket_transport *s = (struct socket_transport *)transport;
	int status = await_reply(s);

	if (status < 0)
		return status;
	status = receive_reply(s->fd, exchange, 0);
	return status == -ENOMEM ? -EIO : status;
}

static int socket_exchange(struct transport *transport,
			   struct exchange *exchange)
{
	int status = socket_send(transport, exchange);

	return status < 0 ? status : socket_receive(transport, exchange);
}

static int socket_listen(struct transport *transport, struct exchange *exchange)
{
	struct socket_transport *s = (struct socket_transport *)transport;
	int status = receive_reply(s->fd, exchange, MSG_DONTWAIT);

	return status == -ENOMEM ? -EIO : status;
}

static void socket_wait(struct transport *transport, int wake, int timeout_ms)
{
	struct socket_transport *s = (struct socket_transport *)transport;
	struct pollfd fds[2] = {
		{ .fd = s->fd, .events = POLLIN },
		{ .fd = wake, .events = POLLIN },
	};

	/* A signal ends the wait for no reason, which is allowed. */
	poll(fds, ARRAY_SIZE(fds), timeout_ms);
}

static int socket_descriptor(const struct transport *transport)
{
	return ((const struct socket_transport *)transport)->fd;
}

static void socket_close(struct transport *transport)
{
	struct socket_transport *s = (struct socket_transport *)transport;

	close(s->fd);
	free(s);
}

static const struct transport_ops socket_ops = {
	.exchange = socket_exchange,
	.send = socket_send,
	.receive = socket_receive,
	.listen = socket_listen,
	.wait = socket_wait,
	.descriptor = socket_descriptor,
	.close = socket_close,
};

int socket_transport_adopt(int fd, struct transport **ret_transport)
{
	struct socket_transport *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct socket_transport){
		.transport.ops = &socket_ops,
		.fd = fd,
	};
	*ret_transport = &s->transport;
	return 0;
}

/* As long as a listener has too many who wait for it, connect() waits too. */
static int limit_connect(int fd, int64_t deadline_ms)
{
	int64_t left_ms = deadline_ms - now_ms();
	const struct timeval limit = {
		.tv_sec = left_ms / 1000,
		.tv_usec = left_ms % 1000 * 1000,
	};

	/* Zero would mean for ever. */
	if (left_ms <= 0)
		return -ETIMEDOUT;
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) <
			       0 ?
		       -errno :
		       0;
}

static int connect_within(int fd, const struct sockaddr_un *address,
			  int64_t deadline_ms)
{
	const struct timeval no_limit = { 0 };
	int status;

	do {
		status = limit_connect(fd, deadline_ms);
		if (status == 0 && connect(fd, (const struct sockaddr *)address,
					   sizeof(*address)) < 0)
			status = -errno;
	} while (status == -EINTR);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &no_limit, sizeof(no_limit));
	if (status == -EAGAIN)
		return -ETIMEDOUT;
	return status == -EPROTOTYPE ? -EPROTO : status;
}

static int connect_to(const struct sockaddr_un *address, int64_t deadline_ms,
		      int *ret_fd)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int status;

	if (fd < 0)
		return -errno;
	status = connect_within(fd, address, deadline_ms);
	if (status < 0) {
		close(fd);
		return status;
	}
	*ret_fd = fd;
	return 0;
}

void socket_transport_be_patient(struct transport *transport)
{
	((struct socket_transport *)transport)->deadline_ms = 0;
}

int socket_transport_new(const char *path, unsigned int timeout_ms,
			 struct transport **ret_transport)
{
	int64_t deadline_ms = now_ms() + timeout_ms;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	int fd = -1, status;

	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	/* An empty path would be a name that nobody can bind by accident. */
	if (length == 0)
		return -ENOENT;
	memcpy(address.sun_path, path, length);
	status = connect_to(&address, deadline_ms, &fd);
	if (status < 0)
		return status;
	status = socket_transport_adopt(fd, ret_transport);
	if (status < 0) {
		close(fd);
		return status;
	}
	((struct socket_transport *)*ret_transport)->deadline_ms = deadline_ms;
	return 0;
}
