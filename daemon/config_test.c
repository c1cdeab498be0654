/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];
static char errors[8192];
static struct config config;

static void note(void *context, const char *message)
{
	size_t used = strlen(errors);

	(void)context;
	snprintf(errors + used, sizeof(errors) - used, "%s\n", message);
}

static const struct config_report report = { .error = note };

static int load(const struct config_flags *flags)
{
	errors[0] = '\0';
	return config_load(flags, &report, &config);
}

static int load_root(void)
{
	const struct config_flags flags = { .root = root };

	return load(&flags);
}

/* Writes a file below the root, with its directories. */
static void put(const char *path, const char *text)
{
	char command[512], name[256];
	FILE *file;

	snprintf(name, sizeof(name), "%s%s", root, path);
	snprintf(command, sizeof(command), "mkdir -p \"$(dirname '%s')\"",
		 name);
	assert_int_equal(system(command), 0);
	file = fopen(name, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int setup(void **state)
{
	(void)state;
	unsetenv("TENURED_CONFIG");
	unsetenv("TENURED_SOCKET");
	unsetenv("TENURED_CLIENT_BYTES");
	unsetenv("RUNTIME_DIRECTORY");
	strcpy(root, "/tmp/config-test-XXXXXX");
	assert_non_null(mkdtemp(root));
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", root);
	assert_int_equal(system(command), 0);
	return setup(state) || rmdir(root);
}

static void test_built_in(void **state)
{
	struct limits built_in, limits;

	(void)state;
	assert_int_equal(load_root(), 0);
	assert_string_equal(errors, "");
	assert_string_equal(config.origin[CONFIG_LOG_LEVEL], "built-in");
	assert_int_equal(config_log_level(&config), LOG_LEVEL_INFO);
	assert_true(config.socket_is_default);
	limits_default(&built_in);
	config_limits(&config, &limits);
	assert_memory_equal(&built_in, &limits, sizeof(limits));
}

static void test_later_layers_win(void **state)
{
	struct config_flags flags = { .root = root };
	char expected[256];

	(void)state;
	put("/usr/lib/tenured/tenured.conf", "[client]\nbytes = 1G\n");
	assert_int_equal(load_root(), 0);
	assert_true(config.number[CONFIG_CLIENT_BYTES] == 1 << 30);
	put("/etc/tenured/tenured.conf", "[client]\nbytes = 2M\nhandles=5\n");
	assert_int_equal(load_root(), 0);
	assert_true(config.number[CONFIG_CLIENT_BYTES] == 2 << 20);
	put("/etc/tenured/conf.d/20-b.conf", "[client]\nbytes = 20K\n");
	put("/etc/tenured/conf.d/10-a.conf", "[client]\nbytes = 10K\n");
	put("/etc/tenured/conf.d/99-a.confused", "[client]\nbytes = 1K\n");
	assert_int_equal(load_root(), 0);
	assert_true(config.number[CONFIG_CLIENT_BYTES] == 20 << 10);
	put("/run/tenured/tenured.conf", "\n[client]\nbytes = 7K\n");
	assert_int_equal(load_root(), 0);
	assert_true(config.number[CONFIG_CLIENT_BYTES] == 7 << 10);
	snprintf(expected, sizeof(expected), "%s/run/tenured/tenured.conf:3",
		 root);
	assert_string_equal(config.origin[CONFIG_CLIENT_BYTES], expected);
	assert_int_equal(config.number[CONFIG_CLIENT_HANDLES], 5);
	setenv("TENURED_CLIENT_BYTES", "3K", 1);
	assert_int_equal(load_root(), 0);
	assert_true(config.number[CONFIG_CLIENT_BYTES] == 3 << 10);
	assert_string_equal(config.origin[CONFIG_CLIENT_BYTES],
			    "environment TENURED_CLIENT_BYTES");
	setenv("TENURED_SOCKET", "/a", 1);
	flags.socket = "/b";
	flags.log_level = "debug";
	assert_int_equal(load(&flags), 0);
	assert_string_equal(config.socket, "/b");
	assert_false(config.socket_is_default);
	assert_string_equal(config.origin[CONFIG_SOCKET], "option --socket");
	assert_int_equal(config_log_level(&config), LOG_LEVEL_DEBUG);
}

static void test_one_file_instead(void **state)
{
	struct config_flags flags = { .root = root };
	char file[128];

	(void)state;
	put("/etc/tenured/tenured.conf", "[client]\nbytes = 2M\nhandles=5\n");
	put("/mine", "[client]\nbytes = 3M\n");
	snprintf(file, sizeof(file), "%s/mine", root);
	flags.file = file;
	assert_int_equal(load(&flags), 0);
	assert_true(config.number[CONFIG_CLIENT_BYTES] == 3 << 20);
	assert_int_not_equal(config.number[CONFIG_CLIENT_HANDLES], 5);
	setenv("TENURED_CONFIG", file, 1);
	assert_int_equal(load_root(), 0);
	assert_true(config.number[CONFIG_CLIENT_BYTES] == 3 << 20);
	flags.file = "/nonexistent/file";
	assert_int_equal(load(&flags), -EINVAL);
	assert_string_equal(errors,
			    "/nonexistent/file: No such file or directory\n");
}

static void test_every_error_with_its_place(void **state)
{
	static const char *const expected[] = {
		":1: unknown key 'x' in section ''",
		":3: unknown key 'colour' in section 'daemon'",
		":4: daemon.socket-mode must be an octal mode such as 0660, "
		"not '999'",
		":5: daemon.log-level must be error, warning, info or debug, "
		"not 'loud'",
		":6: daemon.hello-timeout-ms must be from 10 to 3600000, "
		"not '0'",
		":7: daemon.socket must be an absolute path, not 'here'",
		":9: client.bytes must be a size such as 4096, 64K, 8M, 2G or "
		"1T, not '64 GB'",
		":10: client.bytes was given in line 9 already",
		":12: unknown key 'bytes' in section 'principle'",
	};

	(void)state;
	put("/etc/tenured/tenured.conf",
	    "x = 1\n[daemon]\ncolour = red\nsocket-mode = 999\n"
	    "log-level = loud\nhello-timeout-ms = 0\nsocket = here\n"
	    "[client]\nbytes = 64 GB\nbytes = 1G\n[principle]\nbytes = 1\n");
	memset(&config, 0xa5, sizeof(config));
	assert_int_equal(load_root(), -EINVAL);
	assert_int_equal(config.number[CONFIG_CLIENTS], 0xa5a5a5a5a5a5a5a5);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_non_null(strstr(errors, expected[i]));
}

static void test_file_that_is_none(void **state)
{
	char path[160], expected[224];
	struct config_flags flags = { .root = root, .file = path };

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", root);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(load(&flags), -EINVAL);
	snprintf(expected, sizeof(expected), "%s: it is no regular file\n",
		 path);
	assert_string_equal(errors, expected);
	unlink(path);
}

static void test_long_socket_path(void **state)
{
	char path[120];
	struct config_flags flags = { .root = root, .socket = path };

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	assert_int_equal(load(&flags), 0);
	path[107] = 'x';
	path[108] = '\0';
	assert_int_equal(load(&flags), -EINVAL);
	assert_string_equal(errors, "option --socket: the socket path is "
				    "longer than 107 bytes\n");
}

/* Or --print-config would print something else. */
static void test_unprintable_socket_paths(void **state)
{
	static const char *const paths[] = { "/a\nbytes=1", "/a ; b", "/a ",
					     "/a\tb" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct config_flags flags = { .root = root,
					      .socket = paths[i] };

		assert_int_equal(load(&flags), -EINVAL);
		assert_string_equal(errors,
				    "option --socket: the socket path has "
				    "bytes in it that cannot stand in an ini "
				    "file\n");
	}
}

static void test_modes(void **state)
{
	struct config_flags flags = { .root = root, .private_use = true };

	(void)state;
	assert_int_equal(load(&flags), 0);
	assert_int_equal(config_socket_mode(&config), 0600);
	flags.private_use = false;
	flags.socket = "/run/tenured/tenured.sock";
	assert_int_equal(load(&flags), 0);
	assert_int_equal(config_socket_mode(&config), 0666);
	put("/etc/tenured/tenured.conf", "[daemon]\nsocket-mode = 0660\n");
	assert_int_equal(load(&flags), 0);
	assert_int_equal(config_socket_mode(&config), 0660);
}

static void test_default_places(void **state)
{
	(void)state;
	setenv("RUNTIME_DIRECTORY", "/run/tenured:/run/other", 1);
	assert_int_equal(load_root(), 0);
	assert_string_equal(config.socket, "/run/tenured/tenured.sock");
	unsetenv("RUNTIME_DIRECTORY");
	if (geteuid() == 0)
		return;
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	assert_int_equal(load_root(), 0);
	assert_string_equal(config.socket, "/run/user/7/tenured/tenured.sock");
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(load_root(), 0);
	assert_string_equal(config.socket, "");
}

static void test_print_can_be_read_back(void **state)
{
	struct config_flags flags = { .root = root };
	struct config before;
	char path[128];
	FILE *file;

	(void)state;
	put("/etc/tenured/tenured.conf",
	    "[daemon]\nsocket = /x/y\nlog-level = debug\n"
	    "[principal]\nbytes = 12345\n");
	assert_int_equal(load_root(), 0);
	before = config;
	snprintf(path, sizeof(path), "%s/printed", root);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(config_print(&config, file), 0);
	fclose(file);
	flags.file = path;
	assert_int_equal(load(&flags), 0);
	assert_string_equal(errors, "");
	assert_string_equal(config.socket, before.socket);
	assert_memory_equal(config.number, before.number,
			    sizeof(config.number));
}

static void test_print_to_a_full_disk(void **state)
{
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	assert_int_equal(load_root(), 0);
	assert_int_equal(config_print(&config, full), -EIO);
	fclose(full);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_built_in),
		TEST(test_later_layers_win),
		TEST(test_one_file_instead),
		TEST(test_every_error_with_its_place),
		TEST(test_file_that_is_none),
		TEST(test_long_socket_path),
		TEST(test_unprintable_socket_paths),
		TEST(test_modes),
		TEST(test_default_places),
		TEST(test_print_can_be_read_back),
		TEST(test_print_to_a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
