/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers, ages, foreign bytes and tables: what a person gets to see.
 */
#include "tests/support/random.h"
#include "tools/ctl/table.h"
#include "tools/ctl/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0B" },
		{ 1023, "1023B" },
		{ 1024, "1KiB" },
		{ 1535, "1.4KiB" },
		{ 1536, "1.5KiB" },
		{ (1 << 20) - 1, "1023.9KiB" },
		{ UINT64_C(5) << 30, "5GiB" },
		{ UINT64_C(1) << 62, "4EiB" },
		{ UINT64_MAX, "15.9EiB" },
	};
	char text[TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(text_size(rows[i].bytes, false, text),
				    rows[i].text);
	assert_string_equal(text_size(1536, true, text), "1536");
	assert_string_equal(text_size(UINT64_MAX, true, text),
			    "18446744073709551615");
}

static void ages(void **state)
{
	char text[TEXT_BYTES];

	(void)state;
	assert_string_equal(text_age(0, text), "0s");
	assert_string_equal(text_age(59, text), "59s");
	assert_string_equal(text_age(60, text), "1m");
	assert_string_equal(text_age(3599, text), "59m");
	assert_string_equal(text_age(3600, text), "1h0m");
	assert_string_equal(text_age(86399, text), "23h59m");
	assert_string_equal(text_age(86400, text), "1d0h");
	assert_string_equal(text_age(UINT32_MAX, text), "49710d6h");
}

static void check_escape(const char *bytes, size_t length, const char *text)
{
	char *escaped = text_escape(bytes, length);

	assert_string_equal(escaped, text);
	free(escaped);
}

static void escapes(void **state)
{
	(void)state;
	check_escape("", 0, "-");
	check_escape("\0abc", 4, "-");
	check_escape("/a b", 4, "/a b");
	check_escape("/ab", 2, "/a");
	check_escape("/a\0b", 4, "/a");
	check_escape("\033[2J", 4, "\\x1b[2J");
	check_escape("a\n\tb\x7f", 5, "a\\x0a\\x09b\\x7f");
	check_escape("\\x1b", 4, "\\\\x1b");
	check_escape("\xc2\x9b", 2, "\\xc2\\x9b");
	check_escape("%s%n", 4, "%s%n");
}

static void nothing_but_printable_comes_out(void **state)
{
	struct random random = { 3 };

	(void)state;
	for (int round = 0; round < 2000; round++) {
		char bytes[64], *escaped;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)random_next(&random);
		escaped = text_escape(bytes, sizeof(bytes));
		for (const char *at = escaped; *at; at++)
			assert_in_range(*at, 0x20, 0x7e);
		free(escaped);
	}
}

static void utf8(void **state)
{
	static const char *const good[] = {
		"",
		"abc",
		"\xc3\xa4",
		"\xe2\x82\xac",
		"\xf0\x9f\x98\x80",
		"\xf4\x8f\xbf\xbf",
	};
	static const char *const bad[] = {
		"\x80",
		"\xc3",
		"\xc3(",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf8\x88\x80",
		"\xff",
		"a\xe2\x82",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(text_is_utf8(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(text_is_utf8(bad[i], strlen(bad[i])));
	assert_false(text_is_utf8("a\0b", 3));
}

static void print(const struct table *table, bool colour, char *ret,
		  size_t size)
{
	FILE *out = fmemopen(ret, size, "w");

	assert_non_null(out);
	assert_int_equal(table_print(table, out, colour), 0);
	fclose(out);
}

static void tables_are_aligned(void **state)
{
	static const struct table_column columns[] = { { "NAME", true },
						       { "N", false },
						       { "LAST", true } };
	struct table table;
	char text[512];

	(void)state;
	table_init(&table, columns, ARRAY_SIZE(columns));
	print(&table, false, text, sizeof(text));
	assert_string_equal(text, "NAME  N  LAST\n");
	table_add(&table, "a");
	table_add_marked(&table, "1000", TABLE_ALARM);
	table_add(&table, "x");
	table_add_marked(&table, "longer", TABLE_NOTICE);
	table_add(&table, "1");
	table_add(&table, "y");
	print(&table, false, text, sizeof(text));
	assert_string_equal(text, "NAME       N  LAST\n"
				  "a       1000  x\n"
				  "longer     1  y\n");
	print(&table, true, text, sizeof(text));
	assert_non_null(strstr(text, "\033[1mNAME  \033[0m"));
	assert_non_null(strstr(text, "\033[33mlonger\033[0m"));
	assert_non_null(strstr(text, "\033[31;1m1000\033[0m  x\n"));
	table_deinit(&table);
}

static void tables_grow_and_fail(void **state)
{
	static const struct table_column columns[] = { { "N", false } };
	struct table table;
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	table_init(&table, columns, 1);
	for (int i = 0; i < 3000; i++)
		table_add(&table, "text");
	assert_int_equal(table.n_cells, 3000);
	assert_non_null(full);
	assert_int_equal(table_print(&table, full, false), -EIO);
	fclose(full);
	table_add(&table, NULL);
	assert_int_equal(table_print(&table, stdout, false), -ENOMEM);
	table_deinit(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(ages),
		cmocka_unit_test(escapes),
		cmocka_unit_test(nothing_but_printable_comes_out),
		cmocka_unit_test(utf8),
		cmocka_unit_test(tables_are_aligned),
		cmocka_unit_test(tables_grow_and_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
