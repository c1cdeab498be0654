/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND_NS UINT64_C(1000000000)

static uint64_t fake_now_ns;
static int pipe_fds[2];
static char read_back[1 << 16];

static uint64_t fake_clock(void)
{
	return fake_now_ns;
}

static void open_log(enum log_level level, bool priorities)
{
	struct log_setup setup = {
		.fd = pipe_fds[1],
		.level = level,
		.priorities = priorities,
		.now_ns = fake_clock,
	};

	fake_now_ns = 5 * SECOND_NS;
	log_init(&setup);
}

/* Everything written so far, as one string. */
static const char *lines(void)
{
	ssize_t n = read(pipe_fds[0], read_back, sizeof(read_back) - 1);

	read_back[n > 0 ? n : 0] = '\0';
	return read_back;
}

static unsigned int count_lines(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static int setup(void **state)
{
	(void)state;
	return pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC);
}

static int teardown(void **state)
{
	(void)state;
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return 0;
}

static void test_form_of_a_line(void **state)
{
	(void)state;
	open_log(LOG_LEVEL_INFO, false);
	log_write(LOG_LEVEL_INFO, LOG_DAEMON, "listens on %s", "/x");
	log_write(LOG_LEVEL_WARNING, LOG_DAEMON, "odd");
	log_write(LOG_LEVEL_DEBUG, LOG_DAEMON, "not shown");
	assert_string_equal(lines(),
			    "tenured: listens on /x\ntenured: warning: odd\n");
	log_set_level(LOG_LEVEL_DEBUG);
	log_write(LOG_LEVEL_DEBUG, LOG_DAEMON, "shown");
	assert_string_equal(lines(), "tenured: debug: shown\n");
	open_log(LOG_LEVEL_INFO, true);
	log_write(LOG_LEVEL_ERROR, LOG_DAEMON, "bad");
	assert_string_equal(lines(), "<3>bad\n");
}

static void test_client_bytes_are_washed(void **state)
{
	(void)state;
	open_log(LOG_LEVEL_INFO, true);
	log_write(LOG_LEVEL_INFO, LOG_DAEMON, "cgroup %s",
		  "/a\n<3>fake\x1b[2J\xff%n");
	assert_string_equal(lines(),
			    "<6>cgroup /a\\x0a<3>fake\\x1b[2J\\xff%n\n");
}

static void test_g1_length(void **state)
{
	char big[4000];
	const char *out;

	(void)state;
	memset(big, '\x01', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	open_log(LOG_LEVEL_INFO, false);
	log_write(LOG_LEVEL_INFO, LOG_DAEMON, "%s", big);
	out = lines();
	assert_true(strlen(out) <= LOG_LINE_BYTES);
	assert_int_equal(count_lines(out), 1);
	assert_int_equal(out[strlen(out) - 1], '\n');
}

static void test_g2_suppressed_lines_are_told(void **state)
{
	const char *out;

	(void)state;
	open_log(LOG_LEVEL_INFO, false);
	for (int i = 0; i < 1000; i++)
		log_write(LOG_LEVEL_INFO, LOG_CLIENT_ENDED, "line");
	assert_int_equal(count_lines(lines()), LOG_TOPIC_LINES);
	assert_true(log_flush());
	log_write(LOG_LEVEL_INFO, LOG_DAEMON, "never limited");
	assert_string_equal(lines(), "tenured: never limited\n");
	fake_now_ns += 10 * SECOND_NS;
	log_write(LOG_LEVEL_INFO, LOG_CLIENT_ENDED, "line");
	out = lines();
	assert_non_null(strstr(out, "suppressed 975 lines about ended"));
	assert_int_equal(count_lines(out), 2);
	assert_false(log_flush());
}

static void test_g3_sums_per_minute(void **state)
{
	unsigned int per_topic = 0, all = 0;

	(void)state;
	open_log(LOG_LEVEL_INFO, false);
	for (int i = 0; i < 60 * 100; i++) {
		log_write(LOG_LEVEL_INFO, LOG_CLIENT_ENDED, "line");
		per_topic += count_lines(lines());
		fake_now_ns += SECOND_NS / 100;
	}
	assert_in_range(per_topic, LOG_TOPIC_LINES + 1, 2 * LOG_TOPIC_LINES);
	open_log(LOG_LEVEL_INFO, false);
	for (int i = 0; i < 60 * 100; i++) {
		for (enum log_topic t = 1; t < LOG_TOPICS; t++)
			log_write(LOG_LEVEL_INFO, t, "line");
		all += count_lines(lines());
		fake_now_ns += SECOND_NS / 100;
	}
	assert_in_range(all, LOG_TOTAL_LINES + 1, 100);
}

static void test_full_pipe_does_not_block(void **state)
{
	char block[4096] = { 'x' };
	int flags = fcntl(pipe_fds[1], F_GETFL);

	(void)state;
	while (write(pipe_fds[1], block, sizeof(block)) > 0)
		;
	/* Were the log to write now, this test would hang. */
	fcntl(pipe_fds[1], F_SETFL, flags & ~O_NONBLOCK);
	open_log(LOG_LEVEL_INFO, false);
	log_write(LOG_LEVEL_INFO, LOG_DAEMON, "lost");
	while (read(pipe_fds[0], block, sizeof(block)) > 0)
		;
	assert_false(log_flush());
	assert_string_equal(
		lines(),
		"tenured: warning: suppressed 1 lines about the daemon\n");
}

static void test_journal_is_recognized(void **state)
{
	struct log_setup setup_stderr;
	char stream[64];
	struct stat st;

	(void)state;
	unsetenv("TENURED_LOG_PRIORITY");
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_setup_stderr(&setup_stderr);
	assert_false(setup_stderr.priorities);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu",
		 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_setup_stderr(&setup_stderr);
	assert_true(setup_stderr.priorities);
	unsetenv("JOURNAL_STREAM");
	setenv("TENURED_LOG_PRIORITY", "1", 1);
	log_setup_stderr(&setup_stderr);
	assert_true(setup_stderr.priorities);
	unsetenv("TENURED_LOG_PRIORITY");
}

static void test_levels(void **state)
{
	enum log_level level = LOG_LEVEL_DEBUG;

	(void)state;
	assert_int_equal(log_level_parse("warning", &level), 0);
	assert_int_equal(level, LOG_LEVEL_WARNING);
	assert_int_equal(log_level_parse("Warning", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_WARNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_form_of_a_line, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_client_bytes_are_washed,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_g1_length, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_g2_suppressed_lines_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_g3_sums_per_minute, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_full_pipe_does_not_block,
						setup, teardown),
		cmocka_unit_test(test_journal_is_recognized),
		cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
