/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of configured values: numbers, sizes, modes. Parsing is exact:
 * what is not wholly understood is -EINVAL, what is too large is -ERANGE.
 */
#ifndef DAEMON_VALUE_H
#define DAEMON_VALUE_H

#include "core/base.h"

enum {
	/* Room for any printed value. */
	VALUE_TEXT_BYTES = 32,
};

/* "1000": a plain decimal number. */
int value_parse_count(const char *text, uint64_t *ret);

/* "4096", "64K", "8M", "2G", "1T": a size in powers of 1024. */
int value_parse_bytes(const char *text, uint64_t *ret_bytes);

/* "0660": an octal file mode with nothing but permissions. */
int value_parse_mode(const char *text, uint64_t *ret_mode);

/* Each prints what its parser reads back as the same value. */
void value_print_count(uint64_t value, char ret[VALUE_TEXT_BYTES]);
void value_print_bytes(uint64_t bytes, char ret[VALUE_TEXT_BYTES]);
void value_print_mode(uint64_t mode, char ret[VALUE_TEXT_BYTES]);

#endif
