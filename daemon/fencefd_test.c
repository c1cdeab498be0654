/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fencefd.h"

#include "tenure/types.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct wire_watch gone = { -ENODEV, TENURE_REASON_FENCE_GONE, 0 };
static const struct wire_watch came = { 0, 0, 3 };

/* Whether a socket can be made, and memory be had. */
static bool no_socket, no_memory;

int __real_socketpair(int domain, int type, int protocol, int ret[2]);
int __wrap_socketpair(int domain, int type, int protocol, int ret[2]);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

int __wrap_socketpair(int domain, int type, int protocol, int ret[2])
{
	if (no_socket) {
		errno = EMFILE;
		return -1;
	}
	return __real_socketpair(domain, type, protocol, ret);
}

void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

static bool is_readable(int fd)
{
	struct pollfd ask = { .fd = fd, .events = POLLIN };

	return poll(&ask, 1, 0) == 1;
}

static void expect_word(int fd, const struct wire_watch *expected)
{
	struct wire_watch word;

	assert_true(is_readable(fd));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(recv(fd, &word, sizeof(word), MSG_PEEK),
				 sizeof(word));
		assert_memory_equal(&word, expected, sizeof(word));
	}
	assert_int_equal(recv(fd, &word, sizeof(word), 0), sizeof(word));
	assert_int_equal(recv(fd, &word, sizeof(word), 0), 0);
	assert_true(is_readable(fd));
	close(fd);
}

static void g1_one_word_each(void **state)
{
	struct fencefds all = { 0 };
	int a = fencefds_open(&all, 1), b = fencefds_open(&all, 2), c;

	(void)state;
	assert_true(a >= 0 && b >= 0);
	assert_int_equal(all.count, 2);
	assert_false(is_readable(a));
	assert_int_equal(fcntl(a, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(a, F_GETFL) & O_NONBLOCK);
	fencefds_say(&all, 3, &came);
	assert_false(is_readable(a) || is_readable(b));
	fencefds_say(&all, 1, &gone);
	assert_false(is_readable(b));
	expect_word(a, &gone);
	fencefds_say(&all, 1, &gone);
	fencefds_say(&all, 2, &came);
	expect_word(b, &came);
	assert_int_equal(all.count, 0);
	c = fencefds_open_said(&came);
	assert_true(c >= 0);
	expect_word(c, &came);
}

/* Two of one id, as a strange client may ask for, are said one by one. */
static void g1_the_same_id_twice(void **state)
{
	struct fencefds all = { 0 };
	int a = fencefds_open(&all, 1), b = fencefds_open(&all, 1);

	(void)state;
	fencefds_say(&all, 1, &came);
	assert_true(is_readable(a) != is_readable(b));
	fencefds_say(&all, 1, &came);
	expect_word(a, &came);
	expect_word(b, &came);
}

static void g2_nobody_leaves_anything(void **state)
{
	struct fencefds all = { 0 };
	int a = fencefds_open(&all, 1);

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(send(a, "x", 1, 0), -1);
	assert_int_equal(errno, EPIPE);
	/* One who will not hear. */
	shutdown(a, SHUT_RD);
	fencefds_say(&all, 1, &came);
	assert_int_equal(all.count, 0);
	close(a);
	a = fencefds_open(&all, 2);
	close(a);
	fencefds_say(&all, 2, &came);
	assert_int_equal(all.count, 0);
}

static void g3_every_end_is_closed(void **state)
{
	struct fencefds all = { 0 };
	int fds[8], before = dup(0);
	uint64_t id, sum = 0;
	char byte;

	(void)state;
	close(before);
	for (unsigned int i = 0; i < 8; i++)
		fds[i] = fencefds_open(&all, 1u << i);
	assert_false(fencefds_take_abandoned(&all, &id));
	close(fds[0]);
	close(fds[5]);
	close(fds[7]);
	while (fencefds_take_abandoned(&all, &id))
		sum += id;
	assert_int_equal(sum, 1 << 0 | 1 << 5 | 1 << 7);
	assert_int_equal(all.count, 5);
	fencefds_deinit(&all);
	assert_int_equal(all.count, 0);
	for (unsigned int i = 0; i < 8; i++) {
		if (i == 0 || i == 5 || i == 7)
			continue;
		assert_int_equal(recv(fds[i], &byte, 1, 0), 0);
		close(fds[i]);
	}
	fds[0] = dup(0);
	assert_int_equal(fds[0], before);
	close(fds[0]);
}

static void g3_without_room(void **state)
{
	struct fencefds all = { 0 };

	(void)state;
	no_socket = true;
	assert_int_equal(fencefds_open(&all, 1), -EMFILE);
	assert_int_equal(fencefds_open_said(&came), -EMFILE);
	no_socket = false;
	no_memory = true;
	assert_int_equal(fencefds_open(&all, 1), -ENOMEM);
	no_memory = false;
	assert_int_equal(all.count, 0);
	assert_null(all.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_one_word_each),
		cmocka_unit_test(g1_the_same_id_twice),
		cmocka_unit_test(g2_nobody_leaves_anything),
		cmocka_unit_test(g3_every_end_is_closed),
		cmocka_unit_test(g3_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
