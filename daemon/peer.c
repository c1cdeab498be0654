/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers
 *
 * Everything is asked once, when the connection comes, and from the kernel:
 * what a process does later to its uid or its cgroup does not change whose
 * account it lives on.
 *
 * The pidfd comes with the socket where the kernel can do that (SO_PEERPIDFD,
 * Linux 6.5); before, it is opened by number, which may name another process
 * by then: good enough to notice a death, and used for nothing else. The
 * cgroup must be read by number. That is made safe by asking the pidfd
 * afterwards: if the process is still alive, the number was its own all the
 * time.
 *
 *	SO_PEERCRED --> SO_PEERPIDFD --> read /proc/PID/cgroup --> still alive?
 *
 * A process that ends closes its socket a little before its pidfd tells, so at
 * the end of a file the kernel is also asked whether the process is on its way
 * out: for the log, where that and a mere "end of file" differ.
 *
 * Without /proc the principal is the plain uid.
 */
#include "daemon/peer.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* As much of /proc/PID/cgroup as is read: a dozen hierarchies. */
enum { CGROUP_TEXT_BYTES = 4 * PATH_MAX };

static int open_by_pid(int32_t pid, int *ret_fd)
{
	if (pid <= 0)
		return 0;
	*ret_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* Kernels before 5.3 have none; then the socket alone tells. */
	return *ret_fd < 0 && errno != ENOSYS ? -errno : 0;
}

/* 0 and the pidfd, -1 when there is none to have; or a negative errno. */
static int peer_pidfd(int socket_fd, int32_t pid, int *ret_fd)
{
	socklen_t size = sizeof(*ret_fd);

	*ret_fd = -1;
	if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERPIDFD, ret_fd, &size) == 0)
		return 0;
	switch (errno) {
	case ENOPROTOOPT:
		return open_by_pid(pid, ret_fd);
	case EINVAL: /* what kernels before 6.16 say of the dead */
		return -ESRCH;
	case ENODATA: /* a socket that nobody has connected */
		return 0;
	default:
		return -errno;
	}
}

bool peer_is_dead(int pidfd)
{
	struct pollfd ask = { .fd = pidfd, .events = POLLIN };

	return pidfd >= 0 && poll(&ask, 1, 0) == 1;
}

bool peer_is_exiting(int32_t pid)
{
	const unsigned int exiting = 0x4; /* PF_EXITING of the kernel */
	char path[32], text[256];
	unsigned int flags;
	const char *name_end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	/* The name may hold anything, also blanks and brackets. */
	name_end = strrchr(text, ')');
	return name_end &&
	       sscanf(name_end, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
	       (flags & exiting);
}

/* "0::" is the unified hierarchy; of the older ones memory is the nearest. */
static int rank(const char *line)
{
	const char *controllers = strchr(line, ':');

	if (strncmp(line, "0::", 3) == 0)
		return 3;
	if (!controllers)
		return 0;
	if (strncmp(controllers, ":memory:", 8) == 0)
		return 2;
	return strncmp(controllers, ":name=systemd:", 14) == 0 ? 1 : 0;
}

void peer_parse_cgroup(char *text, char *ret, size_t size)
{
	int best = 0;
	char *line, *rest = text;

	ret[0] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		int r = rank(line);
		char *path = strchr(line, '/');

		if (r <= best || !path)
			continue;
		best = r;
		snprintf(ret, size, "%s", path);
	}
}

static void read_cgroup(int32_t pid, char *ret, size_t size)
{
	char path[32], text[CGROUP_TEXT_BYTES];
	size_t used = 0;
	ssize_t n;
	int fd;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	while ((n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	close(fd);
	text[used] = '\0';
	peer_parse_cgroup(text, ret, size);
}

int peer_read(int socket_fd, struct peer_facts *ret)
{
	struct ucred ucred;
	socklen_t size = sizeof(ucred);
	int pidfd, r;

	if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0)
		return -errno;
	r = peer_pidfd(socket_fd, ucred.pid, &pidfd);
	if (r < 0)
		return r;
	ret->uid = ucred.uid;
	ret->pid = ucred.pid;
	ret->pidfd = pidfd;
	read_cgroup(ucred.pid, ret->cgroup, sizeof(ret->cgroup));
	if (peer_is_dead(pidfd)) {
		close(pidfd);
		return -ESRCH;
	}
	return 0;
}
