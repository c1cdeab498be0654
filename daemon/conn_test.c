/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/conn.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The next sends fail with this, as the kernel would not let them here. */
static int send_error;

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (send_error) {
		errno = send_error;
		return -1;
	}
	return __real_sendmsg(fd, message, flags);
}

/* Memory for a reply that must wait is refused. */
static bool no_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

static struct poller poller;
static struct conn_buffer buffer;
static struct conn conn;
static int peer; /* the client's end */
static unsigned int messages, overs, detached, blocked;
static size_t last_size;
static enum conn_end last_end;
/* What to do with a message: answer it, or promise an answer. */
static bool answers, promises;

static int answer(uint64_t id, const struct conn_attachment *attachment)
{
	const struct wire_reply head = { .opcode = WIRE_OP_PING, .id = id };

	return conn_send(&conn, &head, NULL, attachment);
}

static void on_message(struct conn *c, const void *bytes, size_t size)
{
	assert_ptr_equal(c, &conn);
	assert_non_null(bytes);
	last_size = size;
	messages++;
	if (answers)
		answer(messages, NULL);
	if (promises)
		conn_expect(&conn);
}

static void on_over(struct conn *c, enum conn_end end)
{
	last_end = end;
	overs++;
	conn_close(c);
}

static void on_detach(struct conn *c, const struct conn_attachment *a)
{
	assert_ptr_equal(c, &conn);
	assert_int_equal(a->store, 77);
	detached++;
}

static void on_blocked(struct conn *c)
{
	assert_ptr_equal(c, &conn);
	blocked++;
}

/* Notices that have been sent, and what all of them said. */
static unsigned int noticed;
static uint64_t noticed_about;

static void on_noticed(struct conn *c, uint64_t about)
{
	assert_ptr_equal(c, &conn);
	noticed++;
	noticed_about |= about;
}

static const struct conn_ops ops = {
	.noticed = on_noticed,
	.message = on_message,
	.over = on_over,
	.detach = on_detach,
	.blocked = on_blocked,
};

static int setup(void **state)
{
	int ends[2];

	(void)state;
	messages = overs = detached = blocked = 0;
	send_error = 0;
	answers = promises = false;
	assert_int_equal(poller_init(&poller), 0);
	assert_int_equal(socketpair(AF_UNIX,
				    SOCK_SEQPACKET | SOCK_NONBLOCK |
					    SOCK_CLOEXEC,
				    0, ends),
			 0);
	peer = ends[1];
	return conn_init(&conn, &ops, &poller, &buffer, ends[0], -1);
}

static int teardown(void **state)
{
	(void)state;
	conn_close(&conn);
	conn_close(&conn);
	if (peer >= 0)
		close(peer);
	poller_deinit(&poller);
	return 0;
}

static void turns(int n)
{
	while (n--)
		poller_dispatch(&poller);
}

static unsigned int descriptors(void)
{
	DIR *all = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(all))
		n++;
	closedir(all);
	return n;
}

static void say(const char *text)
{
	assert_int_equal(send(peer, text, strlen(text), 0), strlen(text));
}

/* Sends with a descriptor attached. */
static void say_with_fd(const void *bytes, size_t size, int fd)
{
	struct iovec part = { (void *)(uintptr_t)bytes, size };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &fd, sizeof(int));
	assert_int_equal(sendmsg(peer, &message, 0), size);
}

/* The id of the next reply, or a negative errno; 0 is the end of file. */
static int64_t hear(int *ret_fd)
{
	struct wire_reply head;
	struct iovec part = { &head, sizeof(head) };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(peer, &message, MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	if (ret_fd)
		*ret_fd = -1;
	if (message.msg_controllen && ret_fd)
		memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return n ? (int64_t)head.id : 0;
}

static void test_messages_come_whole(void **state)
{
	(void)state;
	say("abc");
	say("defgh");
	turns(1);
	assert_int_equal(messages, 2);
	assert_int_equal(last_size, 5);
	assert_int_equal(overs, 0);
}

static void test_g1_descriptors_are_not_installed(void **state)
{
	unsigned int before = descriptors();

	(void)state;
	say_with_fd("hello", 5, peer);
	turns(2);
	assert_int_equal(overs, 1);
	assert_int_equal(last_end, CONN_DESCRIPTORS_SENT);
	assert_int_equal(messages, 0);
	assert_int_equal(descriptors(), before - 1); /* the connection's */
}

static void test_g1_not_even_on_an_empty_message(void **state)
{
	(void)state;
	say_with_fd("", 0, 0);
	turns(2);
	assert_int_equal(overs, 1);
	assert_int_equal(last_end, CONN_DESCRIPTORS_SENT);
}

static void test_long_message(void **state)
{
	static char big[WIRE_REQUEST_BYTES_MAX + 1];

	(void)state;
	assert_int_equal(send(peer, big, sizeof(big) - 1, 0), sizeof(big) - 1);
	turns(1);
	assert_int_equal(messages, 1);
	assert_int_equal(send(peer, big, sizeof(big), 0), sizeof(big));
	turns(1);
	assert_int_equal(messages, 1);
	assert_int_equal(last_end, CONN_MESSAGE_TOO_LONG);
}

static void test_g2_empty_messages(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(send(peer, "", 0, 0), 0);
	turns(3);
	assert_int_equal(overs, 0);
	say("x");
	assert_int_equal(send(peer, "", 0, 0), 0);
	say("y");
	assert_int_equal(send(peer, "", 0, 0), 0);
	turns(3);
	assert_int_equal(messages, 2);
	assert_int_equal(overs, 0);
	/* With the end of file right behind them. */
	assert_int_equal(send(peer, "", 0, 0), 0);
	say("z");
	assert_int_equal(send(peer, "", 0, 0), 0);
	close(peer);
	peer = -1;
	turns(3);
	assert_int_equal(messages, 3);
	assert_int_equal(overs, 1);
	assert_int_equal(last_end, CONN_END_OF_FILE);
}

static void test_out_of_band_data(void **state)
{
	(void)state;
	assert_int_equal(send(peer, "!", 1, MSG_OOB), -1);
	say("x");
	turns(2);
	assert_int_equal(messages, 1);
	assert_int_equal(overs, 0);
}

static void test_turns_are_bounded(void **state)
{
	(void)state;
	for (int i = 0; i < CONN_MESSAGES_PER_TURN + 5; i++)
		say("x");
	turns(1);
	assert_int_equal(messages, CONN_MESSAGES_PER_TURN);
	turns(1);
	assert_int_equal(messages, CONN_MESSAGES_PER_TURN + 5);
}

static void test_g3_g4_client_that_does_not_read(void **state)
{
	unsigned int sent = 0, before;
	int64_t id;

	(void)state;
	answers = true;
	/* It asks and asks, until the daemon stops to read. */
	for (int round = 0; round < 10000; round++) {
		before = messages;
		while (send(peer, "x", 1, 0) == 1)
			sent++;
		turns(2);
		if (messages == before)
			break;
	}
	assert_true(sent > messages);
	assert_int_equal(overs, 0);
	assert_non_null(conn.first);
	assert_ptr_equal(conn.first, conn.last); /* one, and no more */
	/* Now it reads: everything comes, in order. */
	for (uint64_t expected = 1; expected <= sent;) {
		id = hear(NULL);
		if (id == -EAGAIN) {
			turns(1);
			continue;
		}
		assert_int_equal(id, expected);
		expected++;
	}
	assert_int_equal(messages, sent);
	assert_null(conn.first);
}

static int notify(uint64_t about)
{
	const struct wire_reply head = { .opcode = WIRE_OP_NOTICE,
					 .value[0] = about };

	return conn_notice(&conn, &head);
}

/* Of those that wait there is one, which says it all. */
static void test_g4_notices(void **state)
{
	const struct conn_message *kept;
	struct wire_reply head;
	unsigned int n = 0, sent;

	(void)state;
	for (int round = 0; round < 2; round++) {
		noticed = 0;
		noticed_about = 0;
		while (!conn.first) {
			assert_int_equal(noticed, n);
			assert_int_equal(notify(1), 0);
			n++;
		}
		/* The one that is kept has not been sent. */
		assert_int_equal(noticed, n - 1);
		sent = n;
		kept = conn.last;
		assert_int_equal(answer(9, NULL), 0);
		for (int i = 0; i < 1000; i++)
			assert_int_equal(notify(i == 500 ? 2 : 1), 0);
		assert_ptr_equal(conn.notice, kept);
		assert_int_equal(noticed_about, 1);
		for (; n > 0; n--) {
			assert_int_equal(recv(peer, &head, sizeof(head), 0),
					 sizeof(head));
			assert_int_equal(head.value[0],
					 conn.first || n > 1 ? 1 : 3);
			turns(1);
		}
		assert_int_equal(hear(NULL), 9);
		assert_null(conn.first);
		assert_null(conn.notice);
		assert_int_equal(noticed, sent);
		assert_int_equal(noticed_about, 3);
	}
	/* The last word of one who does not read. */
	while (!conn.first)
		assert_int_equal(notify(1), 0);
	conn_close(&conn);
	assert_int_equal(notify(1), -EPIPE);
}

static void test_blocked_by_others(void **state)
{
	static const int errors[] = { ETOOMANYREFS, ENOBUFS, ENOMEM };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		messages = blocked = 0;
		answers = true;
		send_error = errors[i];
		say("x");
		say("y");
		turns(3);
		assert_int_equal(messages, 1); /* not read from meanwhile */
		assert_int_equal(blocked, 1);
		conn_retry(&conn);
		assert_int_equal(blocked, 1);
		assert_int_equal(overs, 0);
		send_error = 0;
		conn_retry(&conn);
		assert_int_equal(hear(NULL), 1);
		turns(1);
		assert_int_equal(hear(NULL), 2);
	}
}

static void test_blocked_client_dies(void **state)
{
	(void)state;
	answers = true;
	send_error = ETOOMANYREFS;
	say("x");
	turns(1);
	close(peer);
	peer = -1;
	turns(1);
	assert_int_equal(overs, 1);
	conn_retry(&conn);
	assert_int_equal(overs, 1);
}

static void test_g5_attachments(void **state)
{
	struct conn_attachment attachment = { .store = 77 };
	int fd = -1, sent = eventfd(5, EFD_CLOEXEC);
	uint64_t value = 0;

	(void)state;
	attachment.fd = sent;
	assert_int_equal(answer(1, &attachment), 0);
	assert_int_equal(detached, 1);
	assert_int_equal(hear(&fd), 1);
	assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
	assert_int_equal(value, 5);
	close(fd);
	send_error = ETOOMANYREFS;
	assert_int_equal(answer(2, &attachment), 0);
	assert_int_equal(answer(3, &attachment), 0);
	assert_int_equal(detached, 1);
	send_error = 0;
	conn_retry(&conn);
	assert_int_equal(detached, 3);
	assert_int_equal(hear(&fd), 2);
	close(fd);
	send_error = EPIPE;
	assert_int_equal(answer(4, &attachment), -EPIPE);
	assert_int_equal(detached, 4);
	send_error = EAGAIN;
	assert_int_equal(answer(5, &attachment), 0);
	conn_close(&conn);
	assert_int_equal(detached, 5);
	assert_int_equal(answer(6, &attachment), -EPIPE);
	assert_int_equal(detached, 6);
	close(sent);
}

static void test_no_memory_for_a_waiting_reply(void **state)
{
	struct conn_attachment attachment = { .fd = 0, .store = 77 };
	int r;

	(void)state;
	send_error = EAGAIN;
	no_memory = true;
	r = answer(1, &attachment);
	no_memory = false;
	assert_int_equal(r, -ENOMEM);
	assert_int_equal(detached, 1);
	assert_null(conn.first);
	assert_true(conn_is_open(&conn));
}

static void test_g6_half_close(void **state)
{
	(void)state;
	answers = true;
	say("x");
	say("y");
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	turns(2);
	assert_int_equal(hear(NULL), 1);
	assert_int_equal(hear(NULL), 2);
	assert_int_equal(hear(NULL), 0);
	assert_int_equal(overs, 1);
	assert_int_equal(last_end, CONN_END_OF_FILE);
}

static void test_g6_half_close_with_a_promise(void **state)
{
	(void)state;
	promises = true;
	say("x");
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	turns(5);
	assert_int_equal(overs, 0);
	assert_int_equal(answer(9, NULL), 0);
	conn_expected(&conn);
	assert_int_equal(hear(NULL), 9);
	assert_int_equal(overs, 1);
}

static void test_promise_to_one_who_goes(void **state)
{
	(void)state;
	promises = true;
	say("x");
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	turns(2);
	close(peer);
	peer = -1;
	turns(1);
	assert_int_equal(overs, 1);
	assert_int_equal(answer(9, NULL), -EPIPE);
	conn_expected(&conn);
	assert_int_equal(overs, 1);
}

static void test_death_behind_a_living_socket(void **state)
{
	int ends[2], pidfd;
	pid_t pid;

	(void)state;
	conn_close(&conn);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_int_equal(
		conn_init(&conn, &ops, &poller, &buffer, ends[0], pidfd), 0);
	turns(2);
	assert_int_equal(overs, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* Our copy of the other end is what a forked child would hold. */
	turns(1);
	assert_int_equal(overs, 1);
	assert_int_equal(last_end, CONN_DIED);
	close(ends[1]);
}

static void test_last_words_arrive(void **state)
{
	const struct wire_reply word = { .id = 42 };
	int ends[2];

	(void)state;
	/* Though there was more to read. */
	say("x");
	say("y");
	assert_int_equal(answer(3, NULL), 0);
	conn_close(&conn);
	assert_int_equal(hear(NULL), 3);
	assert_int_equal(hear(NULL), 0);
	close(peer);
	assert_int_equal(socketpair(AF_UNIX,
				    SOCK_SEQPACKET | SOCK_NONBLOCK |
					    SOCK_CLOEXEC,
				    0, ends),
			 0);
	peer = ends[1];
	say("hello?");
	conn_refuse(ends[0], &word);
	assert_int_equal(hear(NULL), 42);
	assert_int_equal(hear(NULL), 0);
}

static void test_refused_watch(void **state)
{
	struct poller broken = { .epoll_fd = -1 };
	struct conn other;
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(conn_init(&other, &ops, &broken, &buffer, fd, -1),
			 -EBADF);
	assert_false(conn_is_open(&other));
	assert_int_equal(close(fd), 0); /* still ours */
	/* The second of two watches is refused: the first goes as well. */
	fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(conn_init(&other, &ops, &poller, &buffer, fd, 9999),
			 -EBADF);
	assert_int_equal(close(fd), 0);
	turns(1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_messages_come_whole),
		TEST(test_g1_descriptors_are_not_installed),
		TEST(test_g1_not_even_on_an_empty_message),
		TEST(test_long_message),
		TEST(test_g2_empty_messages),
		TEST(test_out_of_band_data),
		TEST(test_turns_are_bounded),
		TEST(test_g3_g4_client_that_does_not_read),
		TEST(test_g4_notices),
		TEST(test_blocked_by_others),
		TEST(test_blocked_client_dies),
		TEST(test_g5_attachments),
		TEST(test_no_memory_for_a_waiting_reply),
		TEST(test_g6_half_close),
		TEST(test_g6_half_close_with_a_promise),
		TEST(test_promise_to_one_who_goes),
		TEST(test_death_behind_a_living_socket),
		TEST(test_last_words_arrive),
		TEST(test_refused_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
