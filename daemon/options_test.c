/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct options options;
static char *said;

/* Parses arguments given as one array that ends with NULL. */
static int parse(const char *const *args)
{
	char *argv[16] = { (char *)(uintptr_t) "tenured" };
	int argc = 1;
	size_t size;
	FILE *errors;
	int r;

	while (args[argc - 1]) {
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
		argc++;
	}
	free(said);
	errors = open_memstream(&said, &size);
	r = options_parse(argc, argv, errors, &options);
	fclose(errors);
	return r;
}

#define PARSE(...) parse((const char *const[]){ __VA_ARGS__, NULL })

static void test_all_options(void **state)
{
	(void)state;
	assert_int_equal(parse((const char *const[]){ NULL }), 0);
	assert_int_equal(options.action, OPTIONS_SERVE);
	assert_int_equal(options.ready_fd, -1);
	assert_int_equal(PARSE("--socket", "/a", "-c", "/b", "--log-level=info",
			       "--private", "--ready-fd", "1"),
			 0);
	assert_string_equal(options.config.socket, "/a");
	assert_string_equal(options.config.file, "/b");
	assert_string_equal(options.config.log_level, "info");
	assert_true(options.private_use);
	assert_true(options.config.private_use);
	assert_int_equal(options.ready_fd, 1);
	assert_int_equal(PARSE("--check-config"), 0);
	assert_int_equal(options.action, OPTIONS_CHECK_CONFIG);
	assert_int_equal(PARSE("--print-config", "-s", "/x"), 0);
	assert_int_equal(options.action, OPTIONS_PRINT_CONFIG);
	assert_int_equal(PARSE("--version"), 0);
	assert_int_equal(options.action, OPTIONS_VERSION);
	assert_int_equal(PARSE("--help", "--nonsense"), 0);
	assert_int_equal(options.action, OPTIONS_HELP);
	assert_string_equal(said, "");
}

static void refused(int r, const char *why)
{
	assert_int_equal(r, -EINVAL);
	assert_string_equal(said, why);
	assert_int_equal(options.ready_fd, -7);
}

static void test_refusals(void **state)
{
	(void)state;
	options.ready_fd = -7;
	refused(PARSE("--sock-it"),
		"tenured: unknown option: --sock-it (see --help)\n");
	refused(PARSE("-x"), "tenured: unknown option: -x (see --help)\n");
	refused(PARSE("--config"),
		"tenured: argument missing: --config (see --help)\n");
	refused(PARSE("--private=1", "-s", "/x"),
		"tenured: unknown option: --private=1 (see --help)\n");
	refused(PARSE("extra"), "tenured: unexpected argument: extra\n");
	refused(PARSE("--private"), "tenured: --private needs --socket\n");
	refused(PARSE("--ready-fd", "x"),
		"tenured: --ready-fd: 'x' is not an open descriptor\n");
	refused(PARSE("--ready-fd", "2"),
		"tenured: --ready-fd: the log goes to descriptor 2\n");
	refused(PARSE("--ready-fd", "999999"),
		"tenured: --ready-fd: '999999' is not an open descriptor\n");
	refused(PARSE("--ready-fd", "99999999999"),
		"tenured: --ready-fd: '99999999999' is not an open "
		"descriptor\n");
}

static void test_help(void **state)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_int_equal(options_help(out), 0);
	fclose(out);
	assert_non_null(strstr(text, "--socket PATH"));
	free(text);
	assert_int_equal(options_help(full), -EIO);
	fclose(full);
	free(said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_options),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
