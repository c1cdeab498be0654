/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect: where the library looks, and what it says when nobody is there. A
 * thread plays the daemon; it answers hello, refuses a ring and waits for the
 * end.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connect.h"
#include "client/fake_daemon.h"

static char directory[32];

struct greeter {
	char path[108];
	int fd;
	pthread_t thread;
};

static void *greet(void *argument)
{
	struct greeter *greeter = argument;
	struct wire_request request;
	struct wire_reply reply = { .count = 1 };
	int fd = accept(greeter->fd, NULL, NULL);

	assert(fd >= 0);
	while (recv(fd, &request, sizeof(request), 0) == sizeof(request)) {
		reply.id = request.id;
		reply.opcode = request.opcode;
		reply.status = request.opcode == WIRE_OP_HELLO ? 0 : -EDQUOT;
		send(fd, &reply, sizeof(reply), MSG_NOSIGNAL);
	}
	close(fd);
	return NULL;
}

static void greeter_start(struct greeter *greeter, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(greeter->path, path);
	strcpy(address.sun_path, path);
	greeter->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(greeter->fd, (const struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	assert_int_equal(listen(greeter->fd, 1), 0);
	assert_int_equal(pthread_create(&greeter->thread, NULL, greet, greeter),
			 0);
}

static void greeter_stop(struct greeter *greeter)
{
	pthread_join(greeter->thread, NULL);
	close(greeter->fd);
	unlink(greeter->path);
}

static enum tenure_reason reason(void)
{
	struct tenure_refusal refusal;

	tenure_last_refusal(&refusal);
	return refusal.reason;
}

static void connects(const char *path, const char *expected)
{
	unsigned int fds_before = fake_open_fds();
	struct greeter greeter;
	struct tenure *connection;

	greeter_start(&greeter, expected);
	assert_int_equal(tenure_connect(path, 0, &connection), 0);
	assert_string_equal(tenure_socket_path(connection), expected);
	tenure_disconnect(connection);
	greeter_stop(&greeter);
	assert_int_equal(fake_open_fds(), fds_before);
}

static void test_search(void **state)
{
	char given[64], named[64], user[64];

	(void)state;
	snprintf(given, sizeof(given), "%s/given", directory);
	snprintf(named, sizeof(named), "%s/named", directory);
	snprintf(user, sizeof(user), "%s/tenured", directory);
	assert_int_equal(mkdir(user, 0700), 0);
	strcat(user, "/tenured.sock");
	connects(given, given);
	setenv("TENURE_SOCKET", named, 1);
	connects(NULL, named);
	connects(given, given);
	setenv("XDG_RUNTIME_DIR", directory, 1);
	connects(NULL, named);
	setenv("TENURE_SOCKET", "", 1);
	connects(NULL, user);
	unsetenv("TENURE_SOCKET");
	connects(NULL, user);
	*strrchr(user, '/') = '\0';
	rmdir(user);
}

static void fails(const char *path, int status, enum tenure_reason why)
{
	unsigned int fds_before = fake_open_fds();
	struct tenure *connection = (void *)8;

	assert_int_equal(tenure_connect(path, 0, &connection), status);
	assert_int_equal(reason(), why);
	assert_ptr_equal(connection, (void *)8);
	assert_int_equal(fake_open_fds(), fds_before);
}

static void test_nobody(void **state)
{
	char path[200];

	(void)state;
	snprintf(path, sizeof(path), "%s/nobody", directory);
	fails(path, -ENOENT, TENURE_REASON_NO_DAEMON);
	fails("/dev/null/x", -ENOENT, TENURE_REASON_NO_DAEMON);
	fails("/dev/null", -ECONNREFUSED, TENURE_REASON_NO_DAEMON);
	setenv("TENURE_SOCKET", path, 1);
	fails(NULL, -ENOENT, TENURE_REASON_NO_DAEMON);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	fails(path, -ENAMETOOLONG, TENURE_REASON_PATH_TOO_LONG);
	setenv("TENURE_SOCKET", path, 1);
	fails(NULL, -ENAMETOOLONG, TENURE_REASON_PATH_TOO_LONG);
	unsetenv("TENURE_SOCKET");
	fails("", -EINVAL, TENURE_REASON_ARGUMENT);
	assert_int_equal(tenure_connect(NULL, 0, NULL), -EINVAL);
}

/* Another user's place. Only root can try that, as somebody who is not. */
static void test_forbidden(void **state)
{
	char path[64];
	pid_t pid;
	int result;

	(void)state;
	if (geteuid() != 0)
		skip();
	snprintf(path, sizeof(path), "%s/there", directory);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct tenure *connection;

		if (setuid(65534) < 0 ||
		    tenure_connect(path, 0, &connection) != -EACCES)
			_exit(1);
		_exit(reason() == TENURE_REASON_PLACE_FORBIDDEN ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &result, 0), pid);
	assert_int_equal(result, 0);
}

/* Not a lost connection: there was none. */
static void test_no_descriptor_left(void **state)
{
	struct rlimit limit, none;
	int lowest = dup(STDIN_FILENO);

	(void)state;
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(tenure_connect("/x", 0, &(struct tenure *){ NULL }),
			 -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(reason(), TENURE_REASON_CONNECT_FAILED);
}

static void test_unknown_flags(void **state)
{
	struct tenure *connection;

	(void)state;
	assert_int_equal(tenure_connect("/x", 2, &connection), -EINVAL);
	assert_int_equal(reason(), TENURE_REASON_ARGUMENT);
}

/* Somebody else listens there. */
static void test_no_tenured(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/stream",
		 directory);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	assert_int_equal(listen(fd, 1), 0);
	fails(address.sun_path, -EPROTO, TENURE_REASON_DAEMON_PROTOCOL);
	unlink(address.sun_path);
	close(fd);
}

/* Listens, and takes who comes or lets him wait, but never says anything. */
static void test_silent(void **state)
{
	const struct connect_ways hasty = { "/nonexistent/x", 50 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	unsigned int fds_before = fake_open_fds();
	struct tenure *connection = NULL;
	char why[256];

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/silent",
		 directory);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	assert_int_equal(listen(fd, 1), 0);
	/* The first two are taken into the queue, the third finds it full. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(connect_by(&hasty, address.sun_path,
					    TENURE_CONNECT_SPAWN, &connection),
				 -ETIMEDOUT);
		assert_null(connection);
		assert_int_equal(reason(), TENURE_REASON_DAEMON_SILENT);
	}
	assert_non_null(strstr(tenure_explain(why, sizeof(why)),
			       "has not answered in time"));
	unlink(address.sun_path);
	close(fd);
	assert_int_equal(fake_open_fds(), fds_before - 1);
}

static const struct connect_ways ways = { "/nonexistent/x", 10000 };

static void spawn_fails(const char *daemon, int status)
{
	struct tenure *connection;

	setenv("TENURE_DAEMON", daemon, 1);
	assert_int_equal(connect_by(&ways, NULL, TENURE_CONNECT_SPAWN,
				    &connection),
			 status);
	assert_int_equal(reason(), TENURE_REASON_SPAWN_FAILED);
	unsetenv("TENURE_DAEMON");
}

static void test_spawn_fails(void **state)
{
	unsigned int fds_before = fake_open_fds();

	(void)state;
	spawn_fails("/nonexistent/tenured", -ENOENT);
	spawn_fails("/bin/true", -EIO);
	assert_int_equal(fake_open_fds(), fds_before);
}

static void spawns_nothing(const char *path)
{
	struct tenure *connection;

	assert_int_equal(connect_by(&ways, path, TENURE_CONNECT_SPAWN,
				    &connection),
			 -ENOENT);
	/* Not SPAWN_FAILED, which it would be if that had been tried. */
	assert_int_equal(reason(), TENURE_REASON_NO_DAEMON);
}

/* Whoever names a daemon wants that one and no other. */
static void test_no_stand_in(void **state)
{
	(void)state;
	setenv("TENURE_DAEMON", "/nonexistent/tenured", 1);
	spawns_nothing("/nonexistent/x");
	setenv("TENURE_SOCKET", "/nonexistent/x", 1);
	spawns_nothing(NULL);
	unsetenv("TENURE_SOCKET");
	unsetenv("TENURE_DAEMON");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_no_descriptor_left),
		cmocka_unit_test(test_unknown_flags),
		cmocka_unit_test(test_no_tenured),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_spawn_fails),
		cmocka_unit_test(test_no_stand_in),
	};
	int failed;

	strcpy(directory, "/tmp/tenure-test-XXXXXX");
	assert(mkdtemp(directory));
	failed = cmocka_run_group_tests_name("connect", tests, NULL, NULL);
	rmdir(directory);
	return failed;
}
