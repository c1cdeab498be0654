/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: tapes of operations on the dispenser
 *
 *	input: a head of 8 bytes, records of 6 bytes (tests/dispenser/tape.c)
 *
 * One after the other, every operation is judged by a naive dispenser; mixed,
 * a referee judges what the driver is asked for. Which of the two a tape is,
 * its first bit says.
 */
#include "fuzz/records.h"
#include "fuzz/target.h"
#include "tests/dispenser/tape.h"

static void found(const char *what)
{
	fuzz_found("%s", what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	tape_found = found;
	fuzz_judged += tape_run(data, size_bytes);
	return 0;
}

static size_t measure_record(const uint8_t *data, size_t left)
{
	(void)data;
	return min_u64(TAPE_RECORD_BYTES, left);
}

/* More of what fills an inventory, small numbers, and little time. */
static size_t make_record(struct random *random, uint8_t *data, size_t room)
{
	static const uint8_t verbs[] = { 0, 0, 0, 1, 1, 2, 2, 3, 3,
					 3, 4, 5, 6, 7, 8, 8, 9 };

	if (room < TAPE_RECORD_BYTES)
		return 0;
	for (int i = 0; i < TAPE_RECORD_BYTES; i++)
		data[i] = (uint8_t)random_next(random);
	data[0] = verbs[random_below(random, ARRAY_SIZE(verbs))];
	if (random_chance(random, 50))
		data[2] = 0;
	if (random_chance(random, 50))
		data[3] %= 8;
	return TAPE_RECORD_BYTES;
}

static void tweak_record(struct random *random, uint8_t *data,
			 size_t size_bytes)
{
	size_t at = random_below(random, (uint32_t)size_bytes);

	data[at] = at == 0 ? (uint8_t)random_below(random, TAPE_VERBS) :
			     (uint8_t)random_next(random);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size_bytes,
			       size_t max_bytes, unsigned int seed)
{
	static const struct records_format format = {
		.head_bytes = TAPE_HEAD_BYTES,
		.measure = measure_record,
		.make = make_record,
		.tweak = tweak_record,
	};

	return records_mutate(&format, data, size_bytes, max_bytes, seed);
}
