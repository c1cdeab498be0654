/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tapes of operations on one dispenser: a head, then records of a few bytes.
 * Any bytes are a tape. The differential test draws them, the fuzzer grows
 * them.
 */
#ifndef TESTS_DISPENSER_TAPE_H
#define TESTS_DISPENSER_TAPE_H

#include "core/base.h"

enum {
	TAPE_HEAD_BYTES = 8, /* mode, window, faults, limit, seed */
	TAPE_RECORD_BYTES = 6, /* verb, holder, four arguments */
	TAPE_RECORDS_MAX = 600,
	TAPE_VERBS = 10,
};

/* Runs one, and ends the program at the first thing that is wrong. Returns
 * how many operations were judged. */
uint64_t tape_run(const uint8_t *data, size_t size_bytes);

/* Called with a sentence before the program ends. */
extern void (*tape_found)(const char *what);

#endif
