/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/value.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_counts(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_int_equal(value_parse_count("0", &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(value_parse_count("18446744073709551615", &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(value_parse_count("18446744073709551616", &value),
			 -ERANGE);
	assert_int_equal(value_parse_count("", &value), -EINVAL);
	assert_int_equal(value_parse_count("-1", &value), -EINVAL);
	assert_int_equal(value_parse_count(" 1", &value), -EINVAL);
	assert_int_equal(value_parse_count("1 ", &value), -EINVAL);
	assert_int_equal(value_parse_count("1K", &value), -EINVAL);
	assert_int_equal(value_parse_count("0x10", &value), -EINVAL);
	assert_true(value == UINT64_MAX);
}

static void test_sizes(void **state)
{
	uint64_t bytes = 7;

	(void)state;
	assert_int_equal(value_parse_bytes("4096", &bytes), 0);
	assert_int_equal(bytes, 4096);
	assert_int_equal(value_parse_bytes("64K", &bytes), 0);
	assert_int_equal(bytes, 65536);
	assert_int_equal(value_parse_bytes("1T", &bytes), 0);
	assert_true(bytes == UINT64_C(1) << 40);
	assert_int_equal(value_parse_bytes("16777216T", &bytes), -ERANGE);
	assert_int_equal(value_parse_bytes("64 K", &bytes), -EINVAL);
	assert_int_equal(value_parse_bytes("64KB", &bytes), -EINVAL);
	assert_int_equal(value_parse_bytes("64k", &bytes), -EINVAL);
	assert_int_equal(value_parse_bytes("G", &bytes), -EINVAL);
}

static void test_modes(void **state)
{
	uint64_t mode = 7;

	(void)state;
	assert_int_equal(value_parse_mode("0666", &mode), 0);
	assert_int_equal(mode, 0666);
	assert_int_equal(value_parse_mode("600", &mode), 0);
	assert_int_equal(mode, 0600);
	assert_int_equal(value_parse_mode("0888", &mode), -EINVAL);
	assert_int_equal(value_parse_mode("01777", &mode), -ERANGE);
}

static void test_g1_print_and_parse(void **state)
{
	char text[VALUE_TEXT_BYTES];

	(void)state;
	for (unsigned int shift = 0; shift < 64; shift++) {
		for (uint64_t delta = 0; delta < 3; delta++) {
			uint64_t value = (UINT64_C(1) << shift) - 1 + delta;
			uint64_t back = ~value;

			value_print_bytes(value, text);
			assert_int_equal(value_parse_bytes(text, &back), 0);
			assert_true(back == value);
			value_print_count(value, text);
			assert_int_equal(value_parse_count(text, &back), 0);
			assert_true(back == value);
		}
	}
	for (uint64_t mode = 0; mode <= 0777; mode++) {
		uint64_t back = ~mode;

		value_print_mode(mode, text);
		assert_int_equal(value_parse_mode(text, &back), 0);
		assert_true(back == mode);
	}
	value_print_bytes(UINT64_C(8) << 20, text);
	assert_string_equal(text, "8M");
	value_print_bytes(0, text);
	assert_string_equal(text, "0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_g1_print_and_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
