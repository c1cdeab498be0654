/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw client: a SOCK_SEQPACKET socket and nothing else. It keeps no state but
 * the descriptor, so a test can break the protocol at any point and in any
 * way. Every wait has an end: a daemon that hangs fails a test and does not
 * stop it.
 */
#include "tests/support/raw.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

int raw_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 10 };
	int fd, status;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		status = -errno;
		close(fd);
		return status;
	}
	return fd;
}

static int send_parts(int fd, struct iovec *parts, size_t n_parts,
		      const int *fds, unsigned int count)
{
	char control[CMSG_SPACE(253 * sizeof(int))] = { 0 };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = n_parts };

	assert(count <= 253);
	if (count) {
		struct cmsghdr *cmsg;

		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&message);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int raw_send(int fd, const struct wire_request *head, const void *args,
	     size_t args_bytes)
{
	struct wire_request copy = *head;
	struct iovec parts[2] = {
		{ .iov_base = &copy, .iov_len = sizeof(copy) },
		{ .iov_base = (void *)(uintptr_t)args, .iov_len = args_bytes },
	};

	return send_parts(fd, parts, args_bytes ? 2 : 1, NULL, 0);
}

int raw_send_bytes(int fd, const void *bytes, size_t size_bytes, const int *fds,
		   unsigned int count)
{
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes,
			      .iov_len = size_bytes };

	return send_parts(fd, &part, 1, fds, count);
}

ssize_t raw_receive(int fd, struct raw_reply *ret)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = { 0 };
	struct iovec parts[2] = {
		{ .iov_base = &ret->head, .iov_len = sizeof(ret->head) },
		{ .iov_base = ret->data, .iov_len = sizeof(ret->data) },
	};
	struct msghdr message = { .msg_iov = parts,
				  .msg_iovlen = 2,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg;
	ssize_t n;

	ret->fd = -1;
	do {
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	cmsg = CMSG_FIRSTHDR(&message);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS) {
		assert(cmsg->cmsg_len == CMSG_LEN(sizeof(int)));
		memcpy(&ret->fd, CMSG_DATA(cmsg), sizeof(int));
	}
	return n;
}

int raw_call(int fd, const struct wire_request *head, const void *args,
	     size_t args_bytes, struct raw_reply *ret)
{
	struct raw_reply reply;
	ssize_t n;
	int status;

	if (!ret)
		ret = &reply;
	status = raw_send(fd, head, args, args_bytes);
	if (status < 0)
		return status == -EPIPE ? -ENOTCONN : status;
	n = raw_receive(fd, ret);
	if (n <= 0)
		return n ? (int)n : -ENOTCONN;
	assert((size_t)n == sizeof(ret->head) + ret->head.data_bytes);
	if (ret == &reply && reply.fd >= 0)
		close(reply.fd);
	return ret->head.status;
}

struct wire_request raw_hello_request(void)
{
	return (struct wire_request){
		.opcode = WIRE_OP_HELLO,
		.object = WIRE_MAGIC,
		.value = { WIRE_VERSION_MIN, WIRE_VERSION_MAX },
	};
}

int raw_hello(int fd)
{
	struct wire_request head = raw_hello_request();

	return raw_call(fd, &head, NULL, 0, NULL);
}

int raw_client(const char *path)
{
	int fd = raw_connect(path);
	int status;

	if (fd < 0)
		return fd;
	status = raw_hello(fd);
	if (status < 0) {
		close(fd);
		return status;
	}
	return fd;
}

bool raw_ended(int fd, struct raw_reply *ret_last)
{
	struct raw_reply reply;
	ssize_t n;

	while ((n = raw_receive(fd, &reply)) > 0) {
		if (reply.fd >= 0)
			close(reply.fd);
		if (ret_last)
			*ret_last = reply;
	}
	return n == 0;
}
