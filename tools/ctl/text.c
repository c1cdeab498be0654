/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text: how tenurectl writes numbers and foreign bytes.
 *
 * A cgroup may be called anything but "/" and NUL, by whoever may make one.
 * Nothing of it reaches a terminal that is not a printable character.
 */
#include "tools/ctl/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

char *text_number(uint64_t number, char text[TEXT_BYTES])
{
	snprintf(text, TEXT_BYTES, "%" PRIu64, number);
	return text;
}

char *text_size(uint64_t bytes, bool exact, char text[TEXT_BYTES])
{
	static const char *const units[] = { "B",   "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	uint64_t whole = bytes, rest = 0;
	size_t unit = 0;

	if (exact)
		return text_number(bytes, text);
	while (whole >= 1024) {
		rest = whole % 1024;
		whole /= 1024;
		unit++;
	}
	if (rest * 10 / 1024 == 0)
		snprintf(text, TEXT_BYTES, "%" PRIu64 "%s", whole, units[unit]);
	else
		snprintf(text, TEXT_BYTES, "%" PRIu64 ".%" PRIu64 "%s", whole,
			 rest * 10 / 1024, units[unit]);
	return text;
}

char *text_age(uint32_t seconds, char text[TEXT_BYTES])
{
	uint32_t minutes = seconds / 60, hours = minutes / 60;

	if (minutes == 0)
		snprintf(text, TEXT_BYTES, "%" PRIu32 "s", seconds);
	else if (hours == 0)
		snprintf(text, TEXT_BYTES, "%" PRIu32 "m", minutes);
	else if (hours < 24)
		snprintf(text, TEXT_BYTES, "%" PRIu32 "h%" PRIu32 "m", hours,
			 minutes % 60);
	else
		snprintf(text, TEXT_BYTES, "%" PRIu32 "d%" PRIu32 "h",
			 hours / 24, hours % 24);
	return text;
}

char *text_escape(const char *bytes, size_t length)
{
	size_t n = strnlen(bytes, length);
	char *text = malloc(n == 0 ? 2 : 4 * n + 1);
	char *at = text;

	if (!text)
		return NULL;
	if (n == 0)
		return strcpy(text, "-");
	for (size_t i = 0; i < n; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte == '\\')
			at += sprintf(at, "\\\\");
		else if (byte >= 0x20 && byte < 0x7f)
			*at++ = (char)byte;
		else
			at += sprintf(at, "\\x%02x", byte);
	}
	*at = '\0';
	return text;
}

/* Bytes that follow a first byte, and the least value that needs so many. */
static int tail_of(unsigned char first, uint32_t *ret_least, uint32_t *ret_bits)
{
	if (first < 0x80) {
		*ret_least = 1;
		*ret_bits = first;
		return 0;
	}
	if ((first & 0xe0) == 0xc0) {
		*ret_least = 0x80;
		*ret_bits = first & 0x1f;
		return 1;
	}
	if ((first & 0xf0) == 0xe0) {
		*ret_least = 0x800;
		*ret_bits = first & 0x0f;
		return 2;
	}
	*ret_least = 0x10000;
	*ret_bits = first & 0x07;
	return (first & 0xf8) == 0xf0 ? 3 : -1;
}

bool text_is_utf8(const char *bytes, size_t length)
{
	size_t i = 0;

	while (i < length) {
		uint32_t least, value;
		int tail = tail_of((unsigned char)bytes[i++], &least, &value);

		if (tail < 0 || (size_t)tail > length - i)
			return false;
		for (; tail > 0; tail--, i++) {
			unsigned char byte = (unsigned char)bytes[i];

			if ((byte & 0xc0) != 0x80)
				return false;
			value = value << 6 | (byte & 0x3f);
		}
		if (value < least || value > 0x10ffff ||
		    (value >= 0xd800 && value <= 0xdfff))
			return false;
	}
	return true;
}
