/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];
static int listening;

static int setup(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)state;
	snprintf(path, sizeof(path), "/tmp/peer-test-%d", (int)getpid());
	strcpy(address.sun_path, path);
	listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	unlink(path);
	return bind(listening, (struct sockaddr *)&address, sizeof(address)) ||
	       listen(listening, 4);
}

static int teardown(void **state)
{
	(void)state;
	close(listening);
	return unlink(path);
}

/* A child that connects and lives until its line is closed. */
static pid_t connect_child(int *ret_line)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int line[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(line), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		close(line[1]);
		strcpy(address.sun_path, path);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
			_exit(1);
		_exit(read(line[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(line[0]);
	*ret_line = line[1];
	return pid;
}

static void test_living_peer(void **state)
{
	struct peer_facts facts;
	struct pollfd death;
	int line, fd;
	pid_t pid = connect_child(&line);

	(void)state;
	fd = accept(listening, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(peer_read(fd, &facts), 0);
	assert_int_equal(facts.uid, geteuid());
	assert_int_equal(facts.pid, pid);
	assert_true(facts.pidfd >= 0);
	assert_false(peer_is_dead(facts.pidfd));
	if (access("/proc/self/cgroup", R_OK) == 0)
		assert_true(facts.cgroup[0] == '/' || facts.cgroup[0] == '\0');
	kill(pid, SIGKILL);
	death = (struct pollfd){ .fd = facts.pidfd, .events = POLLIN };
	assert_int_equal(poll(&death, 1, 5000), 1);
	assert_true(peer_is_dead(facts.pidfd));
	waitpid(pid, NULL, 0);
	close(facts.pidfd);
	close(fd);
	close(line);
}

static void test_peer_that_has_died(void **state)
{
	struct peer_facts facts;
	int line, fd, status;
	pid_t pid = connect_child(&line);

	(void)state;
	fd = accept(listening, NULL, NULL);
	assert_true(fd >= 0);
	close(line);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(peer_read(fd, &facts), -ESRCH);
	close(fd);
}

static void test_no_descriptor_left(void **state)
{
	struct rlimit old, none;
	struct peer_facts facts;
	int line, fd;
	pid_t pid = connect_child(&line);

	(void)state;
	fd = accept(listening, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(peer_read(fd, &facts), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(fd);
	close(line);
	waitpid(pid, NULL, 0);
}

static void test_exiting(void **state)
{
	siginfo_t info;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_false(peer_is_exiting(pid));
	kill(pid, SIGKILL);
	/* Dead, but not forgotten. */
	assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(peer_is_exiting(pid));
	waitpid(pid, NULL, 0);
	assert_false(peer_is_exiting(pid));
	assert_false(peer_is_exiting(0));
}

static void test_no_pidfd(void **state)
{
	(void)state;
	assert_false(peer_is_dead(-1));
}

static const char *parse(const char *text)
{
	static char copy[512], path_out[64];

	snprintf(copy, sizeof(copy), "%s", text);
	peer_parse_cgroup(copy, path_out, sizeof(path_out));
	return path_out;
}

static void test_cgroup_texts(void **state)
{
	(void)state;
	assert_string_equal(parse(""), "");
	assert_string_equal(parse("0::/a/b\n"), "/a/b");
	assert_string_equal(parse("0::/\n"), "/");
	assert_string_equal(parse("3:cpu:/x\n2:memory:/m\n1:name=systemd:/s\n"),
			    "/m");
	assert_string_equal(parse("2:memory:/m\n0::/u\n1:name=systemd:/s\n"),
			    "/u");
	assert_string_equal(parse("1:name=systemd:/s\n3:cpu:/x\n"), "/s");
	assert_string_equal(parse("nonsense\n:::\n0::\n"), "");
	assert_string_equal(parse("0::/a:b/c"), "/a:b/c");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_living_peer),
		TEST(test_peer_that_has_died),
		TEST(test_no_descriptor_left),
		cmocka_unit_test(test_exiting),
		cmocka_unit_test(test_no_pidfd),
		cmocka_unit_test(test_cgroup_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
