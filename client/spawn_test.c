/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spawn: a shell script plays the daemon and tells what it was given.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/fake_daemon.h"
#include "client/spawn.h"

static char directory[32];

/* Makes $TENURE_DAEMON a script. */
static void make_daemon(const char *script)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tenured", directory);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "#!/bin/sh\n%s\n", script);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0700), 0);
	setenv("TENURE_DAEMON", path, 1);
}

/* Entries of the directory but the script: a failure leaves none. */
static unsigned int left_behind(void)
{
	DIR *d = opendir(directory);
	struct dirent *entry;
	unsigned int n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)))
		n += strncmp(entry->d_name, "tenure-", 7) == 0;
	closedir(d);
	return n;
}

static void fails(const char *script, int status)
{
	unsigned int fds_before = fake_open_fds();
	char path[108] = "untouched";

	if (script)
		make_daemon(script);
	assert_int_equal(spawn_daemon(path, sizeof(path)), status);
	assert_string_equal(path, "untouched");
	assert_int_equal(fake_open_fds(), fds_before);
	assert_int_equal(left_behind(), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* G1 */
static void test_failures(void **state)
{
	(void)state;
	fails("exit 1", -EIO);
	fails("exec 3>&-; sleep 1", -EIO);
	setenv("TENURE_DAEMON", directory, 1);
	fails(NULL, -ENOENT);
	setenv("TENURE_DAEMON", "/nonexistent", 1);
	fails(NULL, -ENOENT);
}

/* G2; the daemon ends by itself, as G1 says. */
static void test_too_slow(void **state)
{
	(void)state;
	fails("exec sleep 7", -ETIMEDOUT);
}

static void read_report(const char *name, char *text, size_t size)
{
	char path[64];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "re");
	assert_non_null(file);
	n = fread(text, 1, size - 1, file);
	text[n] = '\0';
	fclose(file);
	unlink(path);
}

static void remove_spawned(char *path)
{
	*strrchr(path, '/') = '\0';
	assert_int_equal(rmdir(path), 0);
}

/* G3 */
static void test_what_the_daemon_gets(void **state)
{
	char path[108], text[4096], expected[256], script[512];
	sigset_t mask, before;
	struct stat st;
	int fd = fcntl(STDIN_FILENO, F_DUPFD, 77);

	(void)state;
	assert_true(fd >= 77);
	setenv("NOTIFY_SOCKET", "/x", 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTENER", "kept", 1);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &mask, &before);
	signal(SIGINT, SIG_IGN);
	snprintf(script, sizeof(script),
		 "cd %s\necho \"$@\" >args\nenv >env\n"
		 "ls -l /proc/$$/fd >fds\n"
		 /* Without a child: a shell that waits for one blocks all. */
		 "while read -r line; do case $line in\n"
		 "SigBlk*|SigIgn*) echo \"$line\";;\n"
		 "esac; done </proc/$$/status >signals\n"
		 "cut -d' ' -f6 /proc/$$/stat >session\necho $$ >>session\n"
		 "echo >&3",
		 directory);
	make_daemon(script);
	assert_int_equal(spawn_daemon(path, sizeof(path)), 0);
	signal(SIGINT, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(fd);
	unsetenv("NOTIFY_SOCKET");

	read_report("args", text, sizeof(text));
	snprintf(expected, sizeof(expected),
		 "--socket %s --private --ready-fd 3\n", path);
	assert_string_equal(text, expected);
	read_report("env", text, sizeof(text));
	assert_null(strstr(text, "NOTIFY_SOCKET"));
	assert_null(strstr(text, "LISTEN_FDS"));
	assert_non_null(strstr(text, "LISTENER=kept"));
	read_report("fds", text, sizeof(text));
	assert_null(strstr(text, " 77 -> "));
	assert_non_null(strstr(text, " 0 -> /dev/null"));
	assert_non_null(strstr(text, " 3 -> pipe:"));
	read_report("signals", text, sizeof(text));
	assert_string_equal(text, "SigBlk:\t0000000000000000\n"
				  "SigIgn:\t0000000000000000\n");
	read_report("session", text, sizeof(text));
	assert_int_equal(atoi(text), atoi(strchr(text, '\n')));
	assert_int_not_equal(atoi(text), getsid(0));

	remove_spawned(path);
	assert_int_equal(left_behind(), 0);
	assert_int_equal(stat(directory, &st), 0);
}

static void test_directory(void **state)
{
	char path[108];
	struct stat st;

	(void)state;
	make_daemon("umask 0; echo >&3");
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	assert_int_equal(spawn_daemon(path, sizeof(path)), 0);
	assert_memory_equal(path, "/tmp/tenure-", 12);
	*strrchr(path, '/') = '\0';
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(rmdir(path), 0);
	setenv("XDG_RUNTIME_DIR", directory, 1);
	assert_int_equal(spawn_daemon(path, 20), -ENAMETOOLONG);
}

static void test_search(void **state)
{
	char program[256], path[512], expected[64];

	(void)state;
	make_daemon("exit 0");
	snprintf(expected, sizeof(expected), "%s/tenured", directory);
	assert_int_equal(spawn_find_program(program, sizeof(program)), 0);
	assert_string_equal(program, expected);
	assert_int_equal(spawn_find_program(program, 3), -ENAMETOOLONG);
	unsetenv("TENURE_DAEMON");
	if (access(TENURE_SBINDIR "/tenured", F_OK) == 0 ||
	    access(TENURE_BINDIR "/tenured", F_OK) == 0)
		skip();
	snprintf(path, sizeof(path), "/nonexistent::%s:/bin", directory);
	setenv("PATH", path, 1);
	assert_int_equal(spawn_find_program(program, sizeof(program)), 0);
	assert_string_equal(program, expected);
	setenv("PATH", "/nonexistent:", 1);
	assert_int_equal(spawn_find_program(program, sizeof(program)), -ENOENT);
	unsetenv("PATH");
	assert_int_equal(spawn_find_program(program, sizeof(program)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_too_slow),
		cmocka_unit_test(test_what_the_daemon_gets),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_search),
	};
	char path[64];
	int failed;

	strcpy(directory, "/tmp/tspawn-XXXXXX");
	assert(mkdtemp(directory));
	setenv("XDG_RUNTIME_DIR", directory, 1);
	failed = cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
	snprintf(path, sizeof(path), "%s/tenured", directory);
	unlink(path);
	rmdir(directory);
	return failed;
}
