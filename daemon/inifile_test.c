/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/inifile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char seen[4096];

static void note_value(void *context, unsigned int line, const char *section,
		       const char *name, const char *value)
{
	size_t used = strlen(seen);

	(void)context;
	snprintf(seen + used, sizeof(seen) - used, "%u:%s.%s=%s|", line,
		 section, name, value);
}

static void note_error(void *context, unsigned int line, const char *message)
{
	size_t used = strlen(seen);

	(void)context;
	snprintf(seen + used, sizeof(seen) - used, "%u!%s|", line, message);
}

static const struct inifile_reader reader = {
	.value = note_value,
	.error = note_error,
};

/* Reads text as a file; what came out of it is in seen. */
static int read_bytes(const char *bytes, size_t size)
{
	char path[] = "/tmp/inifile-test-XXXXXX";
	int fd = mkstemp(path);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
	seen[0] = '\0';
	r = inifile_read(path, &reader);
	unlink(path);
	return r;
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void test_values_with_their_lines(void **state)
{
	(void)state;
	assert_int_equal(read_text("# comment\n\n[a]\nx = 1\r\ny=2 ; why\n"
				   "[b]\n; z\nx: 3"),
			 0);
	assert_string_equal(seen, "4:a.x=1|5:a.y=2|8:b.x=3|");
}

static void test_every_bad_line_is_named(void **state)
{
	(void)state;
	assert_int_equal(read_text("[a\nnonsense\n[b]\nx = 1\n  y = 2\nmore"),
			 0);
	assert_string_equal(seen, "1!']' is missing|"
				  "2!expected [section] or name = value|"
				  "4:b.x=1|"
				  "5!the line begins with a blank|"
				  "6!expected [section] or name = value|");
}

static void test_long_lines(void **state)
{
	char text[2048], fill[301];

	(void)state;
	memset(fill, 'f', sizeof(fill) - 1);
	fill[sizeof(fill) - 1] = '\0';
	snprintf(text, sizeof(text),
		 "#%s\n[a]\nx = %.185s\ny = %.186s\nz = %.187s\nw = %s\n", fill,
		 fill, fill, fill, fill);
	assert_int_equal(read_text(text), 0);
	assert_non_null(strstr(seen, "3:a.x=f"));
	assert_non_null(strstr(seen, "4:a.y=f"));
	assert_non_null(strstr(seen, "5!the line is too long|"));
	assert_non_null(strstr(seen, "6!the line is too long|"));
	assert_null(strstr(seen, "1!"));
}

static void test_nul_bytes(void **state)
{
	static const char bytes[] = "[a]\nx = 1\0junk\ny = 2\n";

	(void)state;
	assert_int_equal(read_bytes(bytes, sizeof(bytes) - 1), 0);
	assert_string_equal(seen, "2!a NUL byte|3:a.y=2|");
}

static void test_what_cannot_be_read(void **state)
{
	char path[] = "/tmp/inifile-test-XXXXXX";

	(void)state;
	assert_int_equal(inifile_read("/nonexistent/x", &reader), -ENOENT);
	assert_int_equal(inifile_read("/tmp", &reader), -EISDIR);
	assert_int_equal(inifile_read("/dev/null", &reader), -EINVAL);
	assert_non_null(mkdtemp(path));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(inifile_read(path, &reader), -EINVAL);
	unlink(path);
	assert_int_equal(read_text(""), 0);
	assert_string_equal(seen, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_with_their_lines),
		cmocka_unit_test(test_every_bad_line_is_named),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_what_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
