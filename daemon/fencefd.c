/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of fences
 *
 * For each wait that a descriptor is to answer there is a pair of sockets. The
 * client gets one end; ours says one word when the wait is over and is closed:
 *
 *	waiting          the client's end cannot be read
 *	word, closed     it can: the word, however often it is looked at, then
 *	                 the end of file
 *	closed           it can: the end of file; the daemon or the session has
 *	                 gone before the wait was over
 *
 * An eventfd would be smaller, but its flags and its counter are shared, so its
 * client could make our write wait. A socket's send has MSG_DONTWAIT, and ours
 * reads nothing: its receiving side is shut, so nobody can leave anything in it.
 *
 * We do not watch our ends, since that would cost an entry in an epoll instance
 * for each. Whoever opens many is looked after when he opens more: what he has
 * closed is found by one poll.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  The client's end says one word, once, and then the end of file.
 *  G2  No client makes us wait, or keep what it sends.
 *  G3  Every end of ours is closed: said, abandoned, or with its client.
 */
#include "daemon/fencefd.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct fencefd {
	struct fencefd *next;
	uint64_t id;
	int fd;
};

/* ret[0] is ours. */
static int make_pair(int ret[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0, ret) < 0)
		return -errno;
	shutdown(ret[0], SHUT_RD);
	return 0;
}

/* It fits into any buffer; if the client has gone, nobody misses it. */
static void say_and_close(int fd, const struct wire_watch *word)
{
	send(fd, word, sizeof(*word), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

int fencefds_open_said(const struct wire_watch *word)
{
	int ends[2];
	int r = make_pair(ends);

	if (r < 0)
		return r;
	say_and_close(ends[0], word);
	return ends[1];
}

int fencefds_open(struct fencefds *all, uint64_t id)
{
	struct fencefd *one = malloc(sizeof(*one));
	int ends[2], r;

	if (!one)
		return -ENOMEM;
	r = make_pair(ends);
	if (r < 0) {
		free(one);
		return r;
	}
	*one = (struct fencefd){ all->first, id, ends[0] };
	all->first = one;
	all->count++;
	return ends[1];
}

/* Takes it out of the list; its descriptor is the caller's. */
static int take(struct fencefds *all, struct fencefd **link)
{
	struct fencefd *one = *link;
	int fd = one->fd;

	*link = one->next;
	all->count--;
	free(one);
	return fd;
}

void fencefds_say(struct fencefds *all, uint64_t id,
		  const struct wire_watch *word)
{
	struct fencefd **link = &all->first;

	while (*link && (*link)->id != id)
		link = &(*link)->next;
	if (*link)
		say_and_close(take(all, link), word);
}

static bool is_abandoned(int fd)
{
	struct pollfd ask = { .fd = fd };

	return poll(&ask, 1, 0) == 1 && (ask.revents & (POLLHUP | POLLERR));
}

bool fencefds_take_abandoned(struct fencefds *all, uint64_t *ret_id)
{
	struct fencefd **link = &all->first;

	while (*link && !is_abandoned((*link)->fd))
		link = &(*link)->next;
	if (!*link)
		return false;
	*ret_id = (*link)->id;
	close(take(all, link));
	return true;
}

void fencefds_deinit(struct fencefds *all)
{
	while (all->first)
		close(take(all, &all->first));
}
