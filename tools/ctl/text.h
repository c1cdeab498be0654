/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and foreign bytes as a person can read them. Pure. */
#ifndef TOOLS_CTL_TEXT_H
#define TOOLS_CTL_TEXT_H

#include "core/base.h"

enum {
	/* Room for any number or age. */
	TEXT_BYTES = 32,
};

/* "1.5GiB", or all digits when exact; without a space, so that it stays one
 * field for awk and sort -h. Returns text. */
char *text_size(uint64_t bytes, bool exact, char text[TEXT_BYTES]);

char *text_number(uint64_t number, char text[TEXT_BYTES]);

/* "42s", "12m", "3h12m", "4d3h". Returns text. */
char *text_age(uint32_t seconds, char text[TEXT_BYTES]);

/*
 * A copy of length bytes (or up to the first NUL) in which only printable
 * ASCII is left as it was: the rest is \xHH, and a backslash is \\. So it is
 * safe on a terminal, and no two texts look the same. "-" when there is
 * nothing. The caller frees it; NULL: no memory.
 */
char *text_escape(const char *bytes, size_t length);

/* Whether length bytes are UTF-8 without a NUL. */
bool text_is_utf8(const char *bytes, size_t length);

#endif
