/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/listener.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[32], path[64], lock[80];
static const char *why;

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/listener-test-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/sock", directory);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	return 0;
}

/* Nothing may be left behind. */
static int teardown(void **state)
{
	(void)state;
	return rmdir(directory);
}

static int connect_to(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, name);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static void test_open_and_close(void **state)
{
	struct listener listener;
	struct stat st;
	int client, fd;

	(void)state;
	assert_int_equal(listener_open(path, 0600, false, &listener, &why), 0);
	client = connect_to(path);
	assert_true(client >= 0);
	assert_int_equal(listener_accept(&listener, &fd), LISTENER_ACCEPTED);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	assert_int_equal(listener_accept(&listener, &fd), LISTENER_NOBODY);
	assert_int_equal(fd, -1);
	close(client);
	listener_close(&listener);
	listener_close(&listener);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(stat(lock, &st), -1);
}

static void test_g3_mode(void **state)
{
	static const mode_t modes[] = { 0600, 0660, 0666 };
	struct listener listener;
	struct stat st;
	mode_t old = umask(0077);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(listener_open(path, modes[i], false, &listener,
					       &why),
				 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, modes[i]);
		listener_close(&listener);
	}
	assert_int_equal(umask(old), 0077);
}

static void test_g1_second_refuses(void **state)
{
	struct listener first, second;
	struct stat before, after;
	int client;

	(void)state;
	assert_int_equal(listener_open(path, 0600, false, &first, &why), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(listener_open(path, 0600, false, &second, &why),
			 -EADDRINUSE);
	assert_string_equal(why, "another daemon serves this socket");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	client = connect_to(path);
	assert_true(client >= 0);
	close(client);
	listener_close(&first);
}

static void test_g1_foreign_listener(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct listener listener;
	struct stat st;

	(void)state;
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(listener_open(path, 0600, false, &listener, &why),
			 -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	/* Now it is stale. */
	close(fd);
	assert_int_equal(listener_open(path, 0600, false, &listener, &why), 0);
	listener_close(&listener);
}

static void test_stale_after_a_kill(void **state)
{
	struct listener listener;
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		listener_open(path, 0600, false, &listener, &why);
		_exit(7);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(access(lock, F_OK), 0);
	assert_int_equal(listener_open(path, 0600, false, &listener, &why), 0);
	listener_close(&listener);
}

static void test_g2_no_socket_in_the_way(void **state)
{
	struct listener listener;
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
	assert_int_equal(listener_open(path, 0600, false, &listener, &why),
			 -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/nonexistent", lock), 0);
	assert_int_equal(listener_open(path, 0600, false, &listener, &why),
			 -ELOOP);
	assert_int_equal(unlink(lock), 0);
}

/* Somebody keeps something under the name of our lock. */
static void test_g2_a_lock_file_that_is_none(void **state)
{
	struct listener listener;
	char bytes[9] = "";
	struct stat st;
	int fd = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(write(fd, "precious", 8), 8);
	assert_int_equal(listener_open(path, 0600, false, &listener, &why),
			 -EEXIST);
	assert_string_equal(why, "something that is no lock is in the way of "
				 "the lock file");
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(pread(fd, bytes, 8, 0), 8);
	assert_string_equal(bytes, "precious");
	close(fd);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(mkfifo(lock, 0600), 0);
	assert_int_equal(listener_open(path, 0600, false, &listener, &why),
			 -EEXIST);
	assert_int_equal(stat(lock, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_equal(unlink(lock), 0);
}

static void test_g2_only_our_own_is_removed(void **state)
{
	struct listener listener;
	struct stat st;
	char aside[80];

	(void)state;
	snprintf(aside, sizeof(aside), "%s/aside", directory);
	assert_int_equal(listener_open(path, 0600, false, &listener, &why), 0);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	listener_close(&listener);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(unlink(aside), 0);
}

static void test_directory(void **state)
{
	char nested[80];
	struct listener listener;
	struct stat st;

	(void)state;
	snprintf(nested, sizeof(nested), "%s/new/sock", directory);
	assert_int_equal(listener_open(nested, 0600, false, &listener, &why),
			 -ENOENT);
	assert_int_equal(listener_open(nested, 0600, true, &listener, &why), 0);
	listener_close(&listener);
	assert_int_equal(listener_open(nested, 0600, true, &listener, &why), 0);
	listener_close(&listener);
	snprintf(nested, sizeof(nested), "%s/new", directory);
	assert_int_equal(stat(nested, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(rmdir(nested), 0);
}

static void test_long_path(void **state)
{
	struct listener listener;
	char name[200];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[0] = '/';
	name[108] = '\0';
	assert_int_equal(listener_open(name, 0600, false, &listener, &why),
			 -ENAMETOOLONG);
}

static void test_g4_out_of_descriptors(void **state)
{
	struct rlimit old, few;
	struct listener listener;
	int clients[3], fd, next;

	(void)state;
	assert_int_equal(listener_open(path, 0600, false, &listener, &why), 0);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = connect_to(path);
	next = dup(0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		assert_int_equal(listener_accept(&listener, &fd),
				 LISTENER_LAST);
		close(fd);
		assert_int_equal(listener_refill(&listener), 0);
	}
	assert_int_equal(listener_accept(&listener, &fd), LISTENER_NOBODY);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
	listener_close(&listener);
}

static void test_adopted(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int bound = socket(AF_UNIX, SOCK_SEQPACKET, 0), client, fd, on = 1;
	struct listener listener;
	socklen_t size = sizeof(on);

	(void)state;
	strcpy(address.sun_path, path);
	assert_int_equal(
		bind(bound, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(bound, 1), 0);
	setsockopt(bound, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	assert_int_equal(listener_adopt(bound, &listener), 0);
	client = connect_to(path);
	assert_int_equal(listener_accept(&listener, &fd), LISTENER_ACCEPTED);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, &size),
			 0);
	assert_int_equal(on, 0);
	close(fd);
	assert_int_equal(listener_accept(&listener, &fd), LISTENER_NOBODY);
	close(client);
	listener_close(&listener);
	/* It was somebody else's to bind, and is his to remove. */
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_open_and_close),
		TEST(test_g3_mode),
		TEST(test_g1_second_refuses),
		TEST(test_g1_foreign_listener),
		TEST(test_stale_after_a_kill),
		TEST(test_g2_no_socket_in_the_way),
		TEST(test_g2_only_our_own_is_removed),
		TEST(test_g2_a_lock_file_that_is_none),
		TEST(test_directory),
		TEST(test_long_path),
		TEST(test_g4_out_of_descriptors),
		TEST(test_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
