/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/systemd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FIRST_FD = 3, NOT_CHECKED = 99 };

/* What a process sees that was started with this environment and, when type
 * is not 0, a listening unix socket of that type as descriptor 3. */
static int try_activation(const char *pid_text, const char *fds, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *why = NULL;
	char own[16];
	int fd = -1, r;

	for (int i = FIRST_FD; i < 16; i++)
		close(i);
	if (type && socket(AF_UNIX, type, 0) != FIRST_FD)
		return NOT_CHECKED;
	if (type && (bind(FIRST_FD, (struct sockaddr *)&address,
			  sizeof(sa_family_t)) < 0 ||
		     (type != SOCK_DGRAM && listen(FIRST_FD, 1) < 0)))
		return NOT_CHECKED;
	snprintf(own, sizeof(own), "%d", (int)getpid());
	setenv("LISTEN_PID", pid_text ? pid_text : own, 1);
	setenv("LISTEN_FDS", fds, 1);
	setenv("LISTEN_FDNAMES", "more:names:than:fds", 1);
	r = systemd_listen_fd(&fd, &why);
	if (r < 0)
		return why ? 1 : NOT_CHECKED;
	return fd == FIRST_FD ? 3 : fd == -1 ? 0 : NOT_CHECKED;
}

static int in_child(const char *pid_text, const char *fds, int type)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(try_activation(pid_text, fds, type));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_activation(void **state)
{
	const char *why = NULL;
	int fd = 7;

	(void)state;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	assert_int_equal(systemd_listen_fd(&fd, &why), 0);
	assert_int_equal(fd, -1);
	if (in_child(NULL, "1", SOCK_SEQPACKET) == 0)
		skip(); /* a build without systemd */
	assert_int_equal(in_child(NULL, "1", SOCK_SEQPACKET), 3);
	assert_int_equal(in_child("1", "1", SOCK_SEQPACKET), 0);
	assert_int_equal(in_child("nonsense", "1", SOCK_SEQPACKET), 1);
	assert_int_equal(in_child(NULL, "0", SOCK_SEQPACKET), 1);
	assert_int_equal(in_child(NULL, "many", SOCK_SEQPACKET), 1);
	assert_int_equal(in_child(NULL, "1", SOCK_STREAM), 1);
	assert_int_equal(in_child(NULL, "1", SOCK_DGRAM), 1);
	assert_int_equal(in_child(NULL, "1", 0), 1);
	assert_int_equal(in_child(NULL, "2", SOCK_SEQPACKET), 1);
}

static void test_nobody_to_notify(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	systemd_notify("READY=1");
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	systemd_notify("STOPPING=1");
	unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_activation),
		cmocka_unit_test(test_nobody_to_notify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
