/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listener
 *
 * Two daemons on one path must not be: the second would unlink the socket of
 * the first, whose clients would then be alone with him. So whoever binds a
 * path holds a lock on PATH.lock as long as he lives; the kernel drops it when
 * he dies, however he dies. With the lock in hand a socket that is found is
 * stale, unless it belongs to somebody who knows nothing of the lock (a
 * service manager): a connect() tells.
 *
 *	lock PATH.lock --- held --> -EADDRINUSE
 *	     | ours
 *	connect PATH ----- answered --> -EADDRINUSE
 *	     | refused: stale, unlink
 *	bind PATH (umask gives the mode from the first moment), listen
 *
 * A lock file may be unlinked between open() and flock(); then the lock is on
 * a file that nobody else will ever find, and we begin again.
 *
 * When the process is out of descriptors accept() fails and the client stays
 * in the queue, so a level-triggered loop would spin. One descriptor is held in
 * reserve for that: it is given up to accept the client, tell it why, and
 * close. Nobody waits for a daemon that cannot come.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  At most one daemon listens on a path; the second changes nothing.
 *  G2  Only a socket is ever unlinked, and at the end only our own; beside it
 *      only a lock file, which has nothing in it.
 *  G3  The mode of the socket is exact, whatever the umask.
 *  G4  Out of descriptors, clients are taken off the queue all the same.
 */
#include "daemon/listener.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BACKLOG = 1024,
	LOCK_ATTEMPTS = 16,
};

static int fail(const char *why, int error, const char **ret_why)
{
	*ret_why = why;
	return -error;
}

static void lock_path(const char *path, char *ret, size_t size)
{
	snprintf(ret, size, "%s.lock", path);
}

/* Whether the name still leads to the file that is open. */
static bool is_same_file(const struct stat *open_one, const char *path)
{
	struct stat named;

	return lstat(path, &named) == 0 && open_one->st_dev == named.st_dev &&
	       open_one->st_ino == named.st_ino;
}

/* Our locks are empty files. Anything else is somebody's, and unlinking it at
 * the end would be his loss. */
static bool is_lock(const struct stat *file)
{
	return S_ISREG(file->st_mode) && file->st_size == 0;
}

/* 0, or -EAGAIN when the name leads to another file by now. */
static int lock_file(int fd, const char *path, const char **ret_why)
{
	struct stat file;

	if (fstat(fd, &file) < 0 || !is_lock(&file))
		return fail("something that is no lock is in the way of the "
			    "lock file",
			    EEXIST, ret_why);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return fail("another daemon serves this socket",
			    errno == EWOULDBLOCK ? EADDRINUSE : errno, ret_why);
	if (!is_same_file(&file, path))
		return fail("the lock file does not stay", EAGAIN, ret_why);
	return 0;
}

static int take_lock(const char *socket_path, int *ret_fd, const char **ret_why)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 8];
	int r = -EAGAIN;

	lock_path(socket_path, path, sizeof(path));
	for (int i = 0; r == -EAGAIN && i < LOCK_ATTEMPTS; i++) {
		int fd = open(path,
			      O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
				      O_NONBLOCK,
			      0600);

		if (fd < 0)
			return fail("the lock file cannot be opened", errno,
				    ret_why);
		r = lock_file(fd, path, ret_why);
		if (r == 0)
			*ret_fd = fd;
		else
			close(fd);
	}
	return r;
}

static void drop_lock(int fd, const char *socket_path)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 8];

	lock_path(socket_path, path, sizeof(path));
	/* Unlinked while it is held, so whoever waits for it finds out. */
	unlink(path);
	close(fd);
}

static int seqpacket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);

	return fd < 0 ? -errno : fd;
}

/* Whether somebody accepts connections there. */
static bool is_answered(const struct sockaddr_un *address)
{
	int fd = seqpacket();
	bool answered;

	if (fd < 0)
		return true;
	answered = connect(fd, (const struct sockaddr *)address,
			   sizeof(*address)) == 0 ||
		   (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return answered;
}

static int remove_stale(const struct sockaddr_un *address, const char **ret_why)
{
	struct stat st;

	if (lstat(address->sun_path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return fail("the place cannot be looked at", errno, ret_why);
	}
	if (!S_ISSOCK(st.st_mode))
		return fail("something that is no socket is in the way", EEXIST,
			    ret_why);
	if (is_answered(address))
		return fail("somebody else listens there", EADDRINUSE, ret_why);
	if (unlink(address->sun_path) < 0)
		return fail("the stale socket cannot be removed", errno,
			    ret_why);
	return 0;
}

static int bind_and_listen(struct listener *listener,
			   const struct sockaddr_un *address, mode_t mode,
			   const char **ret_why)
{
	mode_t old;
	int r;

	listener->fd = seqpacket();
	if (listener->fd < 0)
		return fail("no socket", -listener->fd, ret_why);
	old = umask(0777 & ~mode);
	r = bind(listener->fd, (const struct sockaddr *)address,
		 sizeof(*address));
	umask(old);
	if (r < 0)
		return fail("the socket cannot be bound", errno, ret_why);
	return 0;
}

/* What only makes sense once the name is ours. */
static int settle(struct listener *listener, const char **ret_why)
{
	struct stat st;

	if (lstat(listener->path, &st) < 0)
		return fail("the socket has vanished", errno, ret_why);
	listener->device = st.st_dev;
	listener->inode = st.st_ino;
	if (listen(listener->fd, BACKLOG) < 0)
		return fail("no listening", errno, ret_why);
	if (listener_refill(listener) < 0)
		return fail("no descriptor for the reserve", EMFILE, ret_why);
	return 0;
}

static int make_parent(const char *path, mode_t socket_mode,
		       const char **ret_why)
{
	char parent[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char *slash;

	strcpy(parent, path);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return 0;
	*slash = '\0';
	/* As open as the socket in it. */
	if (mkdir(parent, socket_mode & 0007 ? 0755 : 0700) < 0 &&
	    errno != EEXIST)
		return fail("its directory cannot be made", errno, ret_why);
	return 0;
}

int listener_open(const char *path, mode_t mode, bool make_directory,
		  struct listener *ret, const char **ret_why)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct listener listener = {
		.fd = -1,
		.lock_fd = -1,
		.reserve_fd = -1,
	};
	int r = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return fail("the path is too long", ENAMETOOLONG, ret_why);
	strcpy(address.sun_path, path);
	strcpy(listener.path, path);
	if (make_directory)
		r = make_parent(path, mode, ret_why);
	if (r == 0)
		r = take_lock(path, &listener.lock_fd, ret_why);
	if (r == 0)
		r = remove_stale(&address, ret_why);
	if (r == 0)
		r = bind_and_listen(&listener, &address, mode, ret_why);
	if (r == 0)
		r = settle(&listener, ret_why);
	if (r < 0) {
		listener_close(&listener);
		return r;
	}
	*ret = listener;
	return 0;
}

int listener_adopt(int fd, struct listener *ret)
{
	static const int options[] = { SO_PASSCRED, SO_PASSSEC };
	struct listener listener = {
		.fd = fd,
		.lock_fd = -1,
		.reserve_fd = -1,
	};
	int off = 0, flags = fcntl(fd, F_GETFL), r;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	/* Inherited by what is accepted, these would put control data on every
	 * message, and a message with control data ends its client. */
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		setsockopt(fd, SOL_SOCKET, options[i], &off, sizeof(off));
	r = listener_refill(&listener);
	if (r < 0)
		return r;
	*ret = listener;
	return 0;
}

/* Removes the socket, if its name still leads to the one that we bound. */
static void remove_own(const struct listener *listener)
{
	struct stat st;

	if (listener->inode && lstat(listener->path, &st) == 0 &&
	    st.st_dev == listener->device && st.st_ino == listener->inode)
		unlink(listener->path);
}

void listener_close(struct listener *listener)
{
	if (listener->lock_fd >= 0) {
		remove_own(listener);
		drop_lock(listener->lock_fd, listener->path);
		listener->lock_fd = -1;
	}
	if (listener->fd >= 0)
		close(listener->fd);
	if (listener->reserve_fd >= 0)
		close(listener->reserve_fd);
	listener->fd = -1;
	listener->reserve_fd = -1;
}

int listener_refill(struct listener *listener)
{
	if (listener->reserve_fd < 0)
		listener->reserve_fd = eventfd(0, EFD_CLOEXEC);
	return listener->reserve_fd < 0 ? -errno : 0;
}

static int accept_one(struct listener *listener)
{
	int fd =
		accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int listener_accept(struct listener *listener, int *ret_fd)
{
	int outcome = LISTENER_ACCEPTED;
	int fd = accept_one(listener);

	if (fd == -EMFILE && listener->reserve_fd >= 0) {
		close(listener->reserve_fd);
		listener->reserve_fd = -1;
		outcome = LISTENER_LAST;
		fd = accept_one(listener);
		if (fd < 0)
			listener_refill(listener);
	}
	switch (fd) {
	case -EAGAIN:
	case -EINTR:
	case -ECONNABORTED:
		*ret_fd = -1;
		return LISTENER_NOBODY;
	}
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return outcome;
}
