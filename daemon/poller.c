/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Poller
 *
 * libuv 1.44 aborts the process when the kernel refuses epoll_ctl(ADD), and a
 * hostile user can make the kernel refuse (max_user_watches, memory). So the
 * descriptors of clients are not libuv's: they hang on an epoll instance of
 * our own, whose one descriptor libuv watches like any other.
 *
 *	libuv's epoll --- poller.epoll_fd --- socket of client 1
 *	              \                  \--- pidfd of client 1
 *	               \-- listener       \-- socket of client 2 ...
 *
 * A refused ADD is then an error code, and costs one client. The kernel hands
 * ready descriptors out in turn, so with a bounded batch everybody is served
 * before anybody is served twice.
 *
 * A handler may remove any watch, also one whose event lies in the batch
 * behind its own; poller_remove strikes those out.
 *
 * Guarantee, cited by the test:
 *
 *  G1  After poller_remove, ready is never called with that watch.
 */
#include "daemon/poller.h"

#include <unistd.h>

int poller_init(struct poller *poller)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	*poller = (struct poller){ .epoll_fd = fd };
	return 0;
}

void poller_deinit(struct poller *poller)
{
	close(poller->epoll_fd);
	poller->epoll_fd = -1;
}

static int control(struct poller *poller, int op, struct watch *watch,
		   uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	return epoll_ctl(poller->epoll_fd, op, watch->fd, &event) < 0 ? -errno :
									0;
}

int poller_add(struct poller *poller, struct watch *watch, uint32_t events)
{
	int r;

	assert(!watch->added);
	r = control(poller, EPOLL_CTL_ADD, watch, events);
	if (r < 0)
		return r;
	watch->added = true;
	watch->events = events;
	return 0;
}

int poller_change(struct poller *poller, struct watch *watch, uint32_t events)
{
	int r;

	assert(watch->added);
	if (watch->events == events)
		return 0;
	r = control(poller, EPOLL_CTL_MOD, watch, events);
	if (r < 0)
		return r;
	watch->events = events;
	return 0;
}

void poller_remove(struct poller *poller, struct watch *watch)
{
	if (!watch->added)
		return;
	/* Must be asked for: a forked client may keep the description open,
	 * and then closing our descriptor would not end the watch. */
	control(poller, EPOLL_CTL_DEL, watch, 0);
	watch->added = false;
	for (int i = poller->batch_next; i < poller->batch_size; i++)
		if (poller->batch[i].data.ptr == watch)
			poller->batch[i].data.ptr = NULL;
}

void poller_dispatch(struct poller *poller)
{
	int n = epoll_wait(poller->epoll_fd, poller->batch, POLLER_BATCH, 0);

	poller->batch_size = n > 0 ? n : 0;
	poller->batch_next = 0;
	while (poller->batch_next < poller->batch_size) {
		struct epoll_event *event = &poller->batch[poller->batch_next];
		struct watch *watch = event->data.ptr;

		poller->batch_next++;
		if (watch)
			watch->ready(watch, event->events);
	}
}
