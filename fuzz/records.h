/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inputs that are a head of fixed size and a row of records: reading them,
 * and the mutations that keep them so.
 */
#ifndef FUZZ_RECORDS_H
#define FUZZ_RECORDS_H

#include "core/base.h"
#include "tests/support/random.h"

enum { RECORDS_MAX = 512 };

struct records_format {
	size_t head_bytes;
	/* The size of the record at data, of which left bytes are there (more
	 * than none); at least 1 and at most left. */
	size_t (*measure)(const uint8_t *data, size_t left);
	/* Writes a new record that likely makes sense; its size, at most room,
	 * or 0 when there is too little. */
	size_t (*make)(struct random *random, uint8_t *data, size_t room);
	/* Changes a record without changing its size. */
	void (*tweak)(struct random *random, uint8_t *data, size_t size_bytes);
};

/* One or a few of: insert, remove, repeat, exchange, tweak, any bytes. */
size_t records_mutate(const struct records_format *format, uint8_t *data,
		      size_t size_bytes, size_t max_bytes, uint64_t seed);

/* Reads little-endian numbers; beyond the end everything is 0. */
struct reader {
	const uint8_t *data;
	size_t left;
};

uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);

/* At most size_bytes bytes that lie in the input; *ret_size says how many. */
const uint8_t *read_bytes(struct reader *r, size_t size_bytes,
			  size_t *ret_size);

#endif
