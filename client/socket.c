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
 * Guarantees, cited by the tests:
 *
 *  G1  Whatever comes, no descriptor is left over.
 *  G2  A signal never fails a call; a dead peer never raises one (SIGPIPE).
 *  G3  Arguments that cannot be read are found before anything is sent.
 */
#include "client/socket.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct socket_transport {
	struct transport transport; /* first, see struct transport */
	int fd;
};

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

static ssize_t receive(int fd, struct msghdr *message)
{
	bool again = true;
	ssize_t n;

	for (;;) {
		n = recvmsg(fd, message, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ECONNRESET && again) {
			again = false;
			continue;
		}
		return n < 0 ? -errno : n;
	}
}

static int receive_reply(int fd, struct exchange *exchange)
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
	ssize_t n = receive(fd, &message);
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

static int socket_exchange(struct transport *transport,
			   struct exchange *exchange)
{
	struct socket_transport *s = (struct socket_transport *)transport;
	int status = send_request(s->fd, exchange);

	if (status < 0 && status != -EPIPE && status != -ECONNRESET)
		return status;
	status = receive_reply(s->fd, exchange);
	return status == -ENOMEM ? -EIO : status;
}

static void socket_close(struct transport *transport)
{
	struct socket_transport *s = (struct socket_transport *)transport;

	close(s->fd);
	free(s);
}

static const struct transport_ops socket_ops = {
	.exchange = socket_exchange,
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

static int connect_to(const struct sockaddr_un *address, int *ret_fd)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int status;

	if (fd < 0)
		return -errno;
	do {
		status = connect(fd, (const struct sockaddr *)address,
				 sizeof(*address));
	} while (status < 0 && errno == EINTR);
	if (status < 0) {
		status = errno == EPROTOTYPE ? -EPROTO : -errno;
		close(fd);
		return status;
	}
	*ret_fd = fd;
	return 0;
}

int socket_transport_new(const char *path, struct transport **ret_transport)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	int fd = -1, status;

	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	/* An empty path would be a name that nobody can bind by accident. */
	if (length == 0)
		return -ENOENT;
	memcpy(address.sun_path, path, length);
	status = connect_to(&address, &fd);
	if (status < 0)
		return status;
	status = socket_transport_adopt(fd, ret_transport);
	if (status < 0)
		close(fd);
	return status;
}
