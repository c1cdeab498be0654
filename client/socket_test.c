/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket transport against a peer that does what it likes. Replies are queued
 * on the peer's end before the exchange, so most tests need no thread.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/fake_daemon.h"
#include "client/socket.h"

enum { CAPACITY = 128 };

struct pair {
	struct transport *transport;
	int peer;
	unsigned int fds_before;
	struct wire_request request;
	struct exchange exchange;
	uint8_t data[CAPACITY];
};

/* Of a transport and the other end of its socket. */
static void init_pair(struct pair *pair, struct transport *transport, int peer)
{
	memset(pair, 0, sizeof(*pair));
	pair->transport = transport;
	pair->peer = peer;
	pair->request.opcode = WIRE_OP_PING;
	pair->exchange.request = &pair->request;
	pair->exchange.data = pair->data;
	pair->exchange.capacity = CAPACITY;
	pair->exchange.fd = -1;
	pair->fds_before = fake_open_fds();
}

static void open_pair(struct pair *pair)
{
	struct transport *transport;
	int ends[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(socket_transport_adopt(ends[0], &transport), 0);
	init_pair(pair, transport, ends[1]);
}

static void close_pair(struct pair *pair)
{
	assert_int_equal(fake_open_fds(), pair->fds_before);
	pair->transport->ops->close(pair->transport);
	if (pair->peer >= 0)
		close(pair->peer);
}

static int exchange(struct pair *pair)
{
	return pair->transport->ops->exchange(pair->transport, &pair->exchange);
}

/* The peer sends bytes with that many descriptors. */
static void queue(struct pair *pair, const void *bytes, size_t size_bytes,
		  unsigned int n_fds)
{
	struct iovec piece = { (void *)(uintptr_t)bytes, size_bytes };
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
	int fds[8];

	if (n_fds > 0) {
		for (unsigned int i = 0; i < n_fds; i++)
			fds[i] = STDIN_FILENO;
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(pair->peer, &message, 0), size_bytes);
}

static void test_good_reply(void **state)
{
	uint8_t message[sizeof(struct wire_reply) + 5], args[] = "args";
	uint8_t got[sizeof(struct wire_request) + sizeof(args) + 1];
	struct pair pair;

	(void)state;
	open_pair(&pair);
	memset(message, 7, sizeof(message));
	queue(&pair, message, sizeof(message), 0);
	pair.exchange.args = args;
	pair.exchange.args_bytes = sizeof(args);
	assert_int_equal(exchange(&pair), 0);
	assert_int_equal(pair.exchange.data_bytes, 5);
	assert_memory_equal(&pair.exchange.reply, message,
			    sizeof(struct wire_reply));
	assert_memory_equal(pair.data, message, 5);
	assert_int_equal(pair.exchange.fd, -1);
	assert_false(pair.exchange.fd_lost);
	assert_int_equal(recv(pair.peer, got, sizeof(got), 0), sizeof(got) - 1);
	assert_memory_equal(got, &pair.request, sizeof(pair.request));
	assert_memory_equal(got + sizeof(pair.request), args, sizeof(args));
	close_pair(&pair);
}

static void test_one_descriptor(void **state)
{
	const struct wire_reply reply = { .fds = 1 };
	struct pair pair;

	(void)state;
	open_pair(&pair);
	queue(&pair, &reply, sizeof(reply), 1);
	assert_int_equal(exchange(&pair), 0);
	assert_true(pair.exchange.fd >= 0);
	assert_int_equal(fcntl(pair.exchange.fd, F_GETFD), FD_CLOEXEC);
	close(pair.exchange.fd);
	close_pair(&pair);
}

static void refuse(const void *bytes, size_t size_bytes, unsigned int n_fds,
		   int status)
{
	struct pair pair;

	open_pair(&pair);
	queue(&pair, bytes, size_bytes, n_fds);
	assert_int_equal(exchange(&pair), status);
	assert_int_equal(pair.exchange.fd, -1);
	close_pair(&pair);
}

/* G1 */
static void test_what_is_no_reply(void **state)
{
	const uint8_t bytes[sizeof(struct wire_reply) + CAPACITY + 1] = { 0 };
	const size_t head = sizeof(struct wire_reply);

	(void)state;
	refuse(bytes, 0, 0, -ECONNRESET);
	refuse(bytes, 1, 0, -EPROTO);
	refuse(bytes, head - 1, 0, -EPROTO);
	refuse(bytes, head - 1, 1, -EPROTO);
	refuse(bytes, 1, 3, -EPROTO);
	refuse(bytes, head, 2, -EPROTO);
	refuse(bytes, head, 8, -EPROTO);
	refuse(bytes, head + CAPACITY + 1, 0, -EPROTO);
	refuse(bytes, head + CAPACITY + 1, 1, -EPROTO);
}

/* G2: SIGPIPE would end this program. */
static void test_peer_gone(void **state)
{
	struct pair pair;

	(void)state;
	open_pair(&pair);
	close(pair.peer);
	pair.peer = -1;
	pair.fds_before--;
	assert_int_equal(exchange(&pair), -ECONNRESET);
	assert_int_equal(exchange(&pair), -ECONNRESET);
	close_pair(&pair);
}

/* The last message of a daemon that left something unread. */
static void test_farewell(void **state)
{
	const struct wire_reply reply = { .status = -EDQUOT };
	struct pair pair;

	(void)state;
	open_pair(&pair);
	queue(&pair, &reply, sizeof(reply), 0);
	assert_int_equal(exchange(&pair), 0);
	queue(&pair, &reply, sizeof(reply), 0);
	close(pair.peer);
	pair.peer = -1;
	pair.fds_before--;
	assert_int_equal(exchange(&pair), 0);
	assert_int_equal(pair.exchange.reply.status, -EDQUOT);
	assert_int_equal(exchange(&pair), -ECONNRESET);
	close_pair(&pair);
}

/* G3 */
static void test_unreadable_arguments(void **state)
{
	const struct wire_reply reply = { .id = 1 };
	uint8_t got[1];
	struct pair pair;

	(void)state;
	open_pair(&pair);
	pair.exchange.args = (const void *)8;
	pair.exchange.args_bytes = 64;
	assert_int_equal(exchange(&pair), -EFAULT);
	assert_int_equal(recv(pair.peer, got, 1, MSG_DONTWAIT), -1);
	pair.exchange.args_bytes = 0;
	queue(&pair, &reply, sizeof(reply), 0);
	assert_int_equal(exchange(&pair), 0);
	close_pair(&pair);
}

static void test_no_room_for_a_descriptor(void **state)
{
	const struct wire_reply reply = { .fds = 1 };
	struct rlimit limit, none;
	struct pair pair;
	int lowest;

	(void)state;
	open_pair(&pair);
	queue(&pair, &reply, sizeof(reply), 1);
	lowest = dup(STDIN_FILENO);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(exchange(&pair), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(pair.exchange.fd, -1);
	assert_true(pair.exchange.fd_lost);
	close_pair(&pair);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void *reply_later(void *argument)
{
	struct pair *pair = argument;
	const struct wire_reply reply = { .id = 5 };

	usleep(60 * 1000);
	queue(pair, &reply, sizeof(reply), 0);
	return NULL;
}

/* G2 */
static void test_signals(void **state)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	sigset_t alarms;
	pthread_t thread;
	struct pair pair;

	(void)state;
	open_pair(&pair);
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
	assert_int_equal(pthread_create(&thread, NULL, reply_later, &pair), 0);
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	assert_int_equal(exchange(&pair), 0);
	setitimer(ITIMER_REAL, &never, NULL);
	assert_int_equal(pair.exchange.reply.id, 5);
	pthread_join(thread, NULL);
	close_pair(&pair);
}

static int listen_at(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	return fd;
}

static int connect_to_path(const char *path, struct transport **ret)
{
	return socket_transport_new(path, 10000, ret);
}

static void test_connecting(void **state)
{
	char directory[] = "/tmp/tenure-test-XXXXXX", path[64], long_path[200];
	unsigned int fds_before = fake_open_fds();
	struct transport *transport = NULL;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/s", directory);
	assert_int_equal(connect_to_path(path, &transport), -ENOENT);
	assert_int_equal(connect_to_path("", &transport), -ENOENT);
	memset(long_path, 'x', sizeof(long_path));
	long_path[108] = '\0';
	assert_int_equal(connect_to_path(long_path, &transport), -ENAMETOOLONG);
	fd = listen_at(path, SOCK_STREAM);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(connect_to_path(path, &transport), -EPROTO);
	close(fd);
	unlink(path);
	fd = listen_at(path, SOCK_SEQPACKET);
	assert_int_equal(connect_to_path(path, &transport), -ECONNREFUSED);
	assert_null(transport);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(connect_to_path(path, &transport), 0);
	transport->ops->close(transport);
	close(fd);
	unlink(path);
	rmdir(directory);
	assert_int_equal(fake_open_fds(), fds_before);
}

/* G4: nobody accepts, and the queue of those who wait is full. */
static void test_full_backlog(void **state)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	char directory[] = "/tmp/tenure-test-XXXXXX", path[64];
	unsigned int fds_before = fake_open_fds();
	struct transport *waiting, *transport = NULL;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/s", directory);
	fd = listen_at(path, SOCK_SEQPACKET);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(connect_to_path(path, &waiting), 0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	assert_int_equal(socket_transport_new(path, 100, &transport),
			 -ETIMEDOUT);
	setitimer(ITIMER_REAL, &never, NULL);
	assert_null(transport);
	waiting->ops->close(waiting);
	close(fd);
	unlink(path);
	rmdir(directory);
	assert_int_equal(fake_open_fds(), fds_before);
}

/* G4: the time is over once, and afterwards there is none to keep. */
static void test_silence(void **state)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	char directory[] = "/tmp/tenure-test-XXXXXX", path[64];
	struct transport *transport;
	struct pair pair;
	pthread_t thread;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/s", directory);
	fd = listen_at(path, SOCK_SEQPACKET);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(socket_transport_new(path, 100, &transport), 0);
	init_pair(&pair, transport, accept(fd, NULL, NULL));
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	assert_int_equal(exchange(&pair), -ETIMEDOUT);
	setitimer(ITIMER_REAL, &never, NULL);
	socket_transport_be_patient(pair.transport);
	assert_int_equal(pthread_create(&thread, NULL, reply_later, &pair), 0);
	assert_int_equal(exchange(&pair), 0);
	pthread_join(thread, NULL);
	close_pair(&pair);
	close(fd);
	unlink(path);
	rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_reply),
		cmocka_unit_test(test_one_descriptor),
		cmocka_unit_test(test_what_is_no_reply),
		cmocka_unit_test(test_peer_gone),
		cmocka_unit_test(test_farewell),
		cmocka_unit_test(test_unreadable_arguments),
		cmocka_unit_test(test_no_room_for_a_descriptor),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_connecting),
		cmocka_unit_test(test_full_backlog),
		cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
