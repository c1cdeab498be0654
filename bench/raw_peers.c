/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question: what do two processes pay without any service between them, for a
 * message there and back, and to share 4 KiB of memory?
 *
 *	tenure-raw-peers echo|memfd CPU CPU [ROUNDS [PASSES]]
 *
 * echo: 64 bytes over a SOCK_SEQPACKET socket and 64 bytes back, as long as a
 * request and a reply of Tenure's. memfd: memfd_create, ftruncate, mmap and
 * sendmsg with SCM_RIGHTS in one process; recvmsg and mmap in the other, and
 * one byte back. What is undone between two rounds is not timed.
 *
 * The first CPU is that of the timing process, the second the other's. One
 * JSON object is printed, in nanoseconds. A process of each pair ends with
 * its peer, because its socket does.
 */
#include "bench/affinity.h"
#include "bench/clock.h"
#include "bench/passes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 64, SHARED_BYTES = 4096, USAGE = 64 };

/* What the timing process does in a round, and what its peer does. */
struct game {
	const char *name;
	void (*serve)(int peer);
	void (*round)(int peer);
	void (*undo)(int peer);
};

static void *shared;

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "tenure-raw-peers: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Whole messages; false at the end of the other process. */
static bool receive(int peer, void *bytes, size_t size_bytes)
{
	ssize_t n = recv(peer, bytes, size_bytes, 0);

	return n == (ssize_t)size_bytes;
}

static void send_all(int peer, const void *bytes, size_t size_bytes)
{
	if (send(peer, bytes, size_bytes, MSG_NOSIGNAL) != (ssize_t)size_bytes)
		fail("send");
}

static void echo_serve(int peer)
{
	char message[MESSAGE_BYTES];

	while (receive(peer, message, sizeof(message)))
		send_all(peer, message, sizeof(message));
}

static void echo_round(int peer)
{
	char message[MESSAGE_BYTES] = { 0 };

	send_all(peer, message, sizeof(message));
	if (!receive(peer, message, sizeof(message)))
		fail("recv");
}

static void echo_undo(int peer)
{
	(void)peer;
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_fd(int peer, int fd)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union control control = { 0 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (sendmsg(peer, &message, MSG_NOSIGNAL) != 1)
		fail("sendmsg");
}

/* The descriptor of a message, -1 for one without; -2 at the end. */
static int receive_fd(int peer)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union control control = { 0 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(peer, &message, MSG_CMSG_CLOEXEC) != 1)
		return -2;
	if (message.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

static void *map(int fd)
{
	void *address = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED, fd, 0);

	if (address == MAP_FAILED)
		fail("mmap");
	close(fd);
	return address;
}

/* A message with a descriptor is a round, one without undoes it. */
static void memfd_serve(int peer)
{
	void *mine = NULL;
	int fd;

	while ((fd = receive_fd(peer)) != -2) {
		if (fd >= 0)
			mine = map(fd);
		else
			munmap(mine, SHARED_BYTES);
		send_all(peer, "", 1);
	}
}

static void memfd_round(int peer)
{
	int fd = memfd_create("raw", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char byte;

	if (fd < 0 || ftruncate(fd, SHARED_BYTES) != 0)
		fail("memfd");
	send_fd(peer, fd);
	shared = map(fd);
	if (!receive(peer, &byte, 1))
		fail("recv");
}

static void memfd_undo(int peer)
{
	char byte = 0;

	munmap(shared, SHARED_BYTES);
	send_all(peer, &byte, 1);
	if (!receive(peer, &byte, 1))
		fail("recv");
}

static const struct game games[] = {
	{ "echo", echo_serve, echo_round, echo_undo },
	{ "memfd", memfd_serve, memfd_round, memfd_undo },
};

static void play(const struct game *game, int peer, unsigned int rounds,
		 struct passes *passes, unsigned int n_passes)
{
	static struct histogram histogram;
	uint64_t cost = clock_cost_ns(), timed = 0;

	for (unsigned int pass = 0; pass <= n_passes; pass++, timed = 0) {
		histogram_init(&histogram);
		for (unsigned int i = 0; i < rounds; i++) {
			uint64_t start = now_ns(), elapsed;

			game->round(peer);
			elapsed = without_clock(now_ns() - start, cost);
			histogram_record(&histogram, elapsed * 1000);
			timed += elapsed;
			game->undo(peer);
		}
		if (pass > 0) /* the first one warms up */
			passes_add(passes, &histogram, rounds, timed);
	}
}

static int start_peer(const struct game *game, int cpu)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		fail("socketpair");
	switch (fork()) {
	case -1:
		fail("fork");
	case 0:
		close(pair[0]);
		if (!pin_to(cpu))
			fail("sched_setaffinity");
		game->serve(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	return pair[0];
}

static const struct game *game_named(const char *name)
{
	for (unsigned int i = 0; i < sizeof(games) / sizeof(*games); i++)
		if (strcmp(games[i].name, name) == 0)
			return &games[i];
	return NULL;
}

int main(int argc, char **argv)
{
	static struct passes passes;
	const struct game *game = argc > 3 ? game_named(argv[1]) : NULL;
	int rounds = argc > 4 ? atoi(argv[4]) : 20000;
	int n_passes = argc > 5 ? atoi(argv[5]) : 5;
	struct quantiles q;
	int peer;

	if (!game || rounds < 1 || n_passes < 1 || n_passes > PASSES_MAX) {
		fprintf(stderr, "tenure-raw-peers: bad arguments\n");
		return USAGE;
	}
	peer = start_peer(game, atoi(argv[3]));
	if (!pin_to(atoi(argv[2])))
		fail("sched_setaffinity");
	play(game, peer, (unsigned int)rounds, &passes, (unsigned int)n_passes);
	close(peer);
	wait(NULL);
	q = passes_median(&passes);
	printf("{\"game\":\"%s\",\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,"
	       "\"throughput\":%.0f}\n",
	       game->name, q.p50, q.p99, q.p999, q.throughput);
	return 0;
}
