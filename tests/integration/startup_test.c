/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a daemon starts, or does not: command lines, configurations, and a
 * second one on the same socket. What is fixed here is what scripts and
 * service managers see: exit codes, and where the text goes.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "tenure/tenure.h"
#include "tests/integration/canary.h"
#include "tests/support/daemon_process.h"
#include "tests/support/raw.h"

static char output[16384];

/* Runs tenured with up to three arguments; the exit code. */
static int tenured(const char *first, const char *second, const char *third)
{
	const char *arguments[] = { first, second, third, NULL };

	return run_program("tenured", arguments, output, sizeof(output));
}

static void help_and_version(void **state)
{
	(void)state;
	assert_int_equal(tenured("--help", NULL, NULL), EX_OK);
	assert_non_null(strstr(output, "--socket"));
	assert_non_null(strstr(output, "--check-config"));
	assert_int_equal(tenured("--version", NULL, NULL), EX_OK);
	assert_non_null(strstr(output, "0.1.0"));
}

static void bad_command_lines(void **state)
{
	static const char *const bad[][2] = {
		{ "--no-such-option", NULL },
		{ "-Z", NULL },
		{ "surplus", NULL },
		{ "--socket", NULL },
		{ "--ready-fd", "x" },
		{ "--ready-fd", "-1" },
		{ "--ready-fd", "99999999999999" },
		{ "--help=yes", NULL },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		int code = tenured(bad[i][0], bad[i][1], NULL);

		if (code != EX_USAGE)
			print_error("%s: %d: %s\n", bad[i][0], code, output);
		assert_int_equal(code, EX_USAGE);
		assert_true(strlen(output) > 0);
	}
}

/* ---- Configurations ---- */

static char config_path[64];

static void write_config(const char *text)
{
	FILE *file;
	int fd;

	strcpy(config_path, "/tmp/tenure-config-XXXXXX");
	fd = mkstemp(config_path);
	assert_true(fd >= 0);
	file = fdopen(fd, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int check_config(const char *text)
{
	int code;

	write_config(text);
	code = tenured("--config", config_path, "--check-config");
	unlink(config_path);
	return code;
}

static void bad_configurations(void **state)
{
	static const char *const bad[] = {
		"[daemon]\nno-such-key = 1\n",
		"[no-such-section]\nbytes = 1\n",
		"[client]\nbytes = much\n",
		"[client]\nbytes = -1\n",
		"[client]\nbytes = 99999999999999999999999\n",
		"[client]\nbytes = 1X\n",
		"[client]\nhandles =\n",
		"[daemon]\nlog-level = loud\n",
		"[daemon]\nsocket-mode = 0999\n",
		"[daemon]\nsocket = not/absolute\n",
		"bytes = 1\n",
		"[client\nbytes = 1\n",
		"nonsense\n",
		"\x01\x02\x03\n",
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		int code = check_config(bad[i]);

		if (code != EX_CONFIG)
			print_error("exit %d for:\n%s%s\n", code, bad[i],
				    output);
		assert_int_equal(code, EX_CONFIG);
		/* It says in which file and line. */
		assert_non_null(strstr(output, config_path));
	}
	assert_int_equal(check_config("[client]\nbytes = 64M\n"), EX_OK);
	assert_int_equal(check_config(""), EX_OK);
	assert_int_equal(tenured("--config", "/no/such/file", "--check-config"),
			 EX_CONFIG);
	assert_int_equal(tenured("--config", "/", "--check-config"), EX_CONFIG);
}

static void a_line_too_long_is_an_error(void **state)
{
	static char text[8192] = "[daemon]\nsocket = /";
	size_t at = strlen(text);

	(void)state;
	memset(text + at, 'a', 4000);
	strcpy(text + at + 4000, "\n[client]\nbytes = 1\n");
	assert_int_equal(check_config(text), EX_CONFIG);
}

/* What is printed can be read again, and then prints the same. */
static void print_config_is_a_config(void **state)
{
	static char first[sizeof(output)];

	(void)state;
	write_config("[client]\nbytes = 12M\nhandles = 77\n");
	assert_int_equal(tenured("--config", config_path, "--print-config"),
			 EX_OK);
	assert_non_null(strstr(output, "handles = 77"));
	assert_non_null(strstr(output, config_path)); /* the origin */
	unlink(config_path);
	strcpy(first, output);
	write_config(first);
	assert_int_equal(tenured("--config", config_path, "--print-config"),
			 EX_OK);
	unlink(config_path);
	assert_non_null(strstr(output, "handles = 77"));
}

/* ---- Sockets ---- */

static void second_daemon_on_one_socket(void **state)
{
	struct daemon_process *daemon = daemon_start(NULL);
	struct canary *canary = canary_new(daemon_socket(daemon));

	(void)state;
	assert_int_equal(tenured("--socket", daemon_socket(daemon), NULL),
			 EX_UNAVAILABLE);
	assert_true(strlen(output) > 0);
	/* The first one has not noticed, and is still found. */
	canary_sing(canary, 10);
	canary_free(canary);
	canary = canary_new(daemon_socket(daemon));
	canary_free(canary);
	daemon_stop_clean(daemon);
}

/* A socket file that nobody listens on any more, as a kill -9 leaves it. */
static void make_stale_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	close(fd);
	assert_int_equal(raw_connect(path), -ECONNREFUSED);
}

/* A daemon for one client takes it over, and cleans up when that has gone. */
static void stale_socket_is_replaced(void **state)
{
	char directory[] = "/tmp/tenure-stale-XXXXXX", path[64];
	const char *const arguments[] = { "--private", "--socket", path, NULL };
	int fd = -1, status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	make_stale_socket(path);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run_program("tenured", arguments, output,
				  sizeof(output)));
	while (fd < 0) {
		usleep(2000);
		fd = raw_client(path);
	}
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_not_equal(access(path, F_OK), 0);
	/* The directory has the prefix of one that was made for it. */
	assert_int_not_equal(access(directory, F_OK), 0);
}

/* What is there and is no socket is not ours to remove. */
static void a_file_in_the_place_of_the_socket(void **state)
{
	char path[] = "/tmp/tenure-file-XXXXXX";
	struct stat status;
	int fd = mkstemp(path), code;

	(void)state;
	assert_true(fd >= 0);
	code = tenured("--socket", path, NULL);
	assert_true(code == EX_CANTCREAT || code == EX_UNAVAILABLE);
	assert_int_equal(stat(path, &status), 0);
	assert_true(S_ISREG(status.st_mode));
	close(fd);
	unlink(path);
	assert_int_equal(tenured("--socket", "/no/such/directory/socket", NULL),
			 EX_CANTCREAT);
}

/* ---- Pages ---- */

/* A process may be denied huge pages, and so may what it starts. */
static void a_kernel_without_huge_pages_is_announced(void **state)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/"
				   "enabled";
	struct daemon_process *daemon;

	(void)state;
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0)
		skip();
	daemon = daemon_start(NULL);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	assert_true(daemon_logged(daemon, "the kernel gives no huge pages"));
	/* And what to do. */
	assert_true(daemon_logged(daemon, path));
	daemon_stop_clean(daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_and_version),
		cmocka_unit_test(bad_command_lines),
		cmocka_unit_test(bad_configurations),
		cmocka_unit_test(a_line_too_long_is_an_error),
		cmocka_unit_test(print_config_is_a_config),
		cmocka_unit_test(second_daemon_on_one_socket),
		cmocka_unit_test(stale_socket_is_replaced),
		cmocka_unit_test(a_file_in_the_place_of_the_socket),
		cmocka_unit_test(a_kernel_without_huge_pages_is_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
