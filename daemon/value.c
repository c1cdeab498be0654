/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values
 *
 * strtoull() takes blanks, signs, and stops where it likes; an operator who
 * wrote "64 GB" or "-1" wants to hear about it. So digits are read by hand,
 * which also makes overflow one comparison.
 *
 * Guarantee, cited by the test:
 *
 *  G1  parse(print(v)) == v for every v that parse can return.
 */
#include "daemon/value.h"

#include <inttypes.h>
#include <stdio.h>

/* Reads digits up to *ret_end; at least one. */
static int parse_digits(const char *text, unsigned int base, uint64_t *ret,
			const char **ret_end)
{
	const char *at = text;
	uint64_t value = 0;

	for (; *at >= '0' && *at < (char)('0' + base); at++) {
		unsigned int digit = (unsigned int)(*at - '0');

		if (value > (UINT64_MAX - digit) / base)
			return -ERANGE;
		value = value * base + digit;
	}
	if (at == text)
		return -EINVAL;
	*ret = value;
	*ret_end = at;
	return 0;
}

int value_parse_count(const char *text, uint64_t *ret)
{
	const char *end;
	uint64_t value;
	int r = parse_digits(text, 10, &value, &end);

	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	*ret = value;
	return 0;
}

int value_parse_bytes(const char *text, uint64_t *ret_bytes)
{
	unsigned int shift = 0;
	static const char suffixes[] = "KMGT";
	const char *end, *suffix;
	uint64_t value;
	int r = parse_digits(text, 10, &value, &end);

	if (r < 0)
		return r;
	if (*end) {
		suffix = strchr(suffixes, *end);
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = value << shift;
	return 0;
}

int value_parse_mode(const char *text, uint64_t *ret_mode)
{
	const char *end;
	uint64_t value;
	int r = parse_digits(text, 8, &value, &end);

	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	if (value > 0777)
		return -ERANGE;
	*ret_mode = value;
	return 0;
}

void value_print_count(uint64_t value, char ret[VALUE_TEXT_BYTES])
{
	snprintf(ret, VALUE_TEXT_BYTES, "%" PRIu64, value);
}

void value_print_bytes(uint64_t bytes, char ret[VALUE_TEXT_BYTES])
{
	static const char *const suffix_texts[] = { "", "K", "M", "G", "T" };
	size_t steps = 0;

	while (bytes && bytes % 1024 == 0 &&
	       steps + 1 < ARRAY_SIZE(suffix_texts)) {
		bytes /= 1024;
		steps++;
	}
	snprintf(ret, VALUE_TEXT_BYTES, "%" PRIu64 "%s", bytes,
		 suffix_texts[steps]);
}

void value_print_mode(uint64_t mode, char ret[VALUE_TEXT_BYTES])
{
	snprintf(ret, VALUE_TEXT_BYTES, "%04" PRIo64, mode);
}
