/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispenser against the naive one, and its operations mixed under the
 * referee's eyes: tapes from a generator, whose seed is printed.
 *
 *	dispenser_differential [FIRST-SEED [TAPES]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/dispenser/tape.h"
#include "tests/support/random.h"

static uint8_t bytes[TAPE_HEAD_BYTES + TAPE_RECORDS_MAX * TAPE_RECORD_BYTES];
static uint64_t seed;

static void print_seed(const char *what)
{
	fprintf(stderr, "seed %ju: %s\n", (uintmax_t)seed, what);
}

/* More of what fills an inventory than of what empties it. */
static uint8_t draw_verb(struct random *random)
{
	static const uint8_t verbs[] = { 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3,
					 3, 3, 3, 4, 5, 6, 7, 8, 8, 0, 3, 2 };

	if (random_chance(random, 1))
		return 9;
	return verbs[random_below(random, ARRAY_SIZE(verbs))];
}

static size_t draw_tape(struct random *random)
{
	size_t n = random_chance(random, 50) ?
			   TAPE_RECORDS_MAX :
			   random_below(random, TAPE_RECORDS_MAX);
	uint8_t *record = bytes + TAPE_HEAD_BYTES;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)random_next(random);
	if (random_chance(random, 30))
		bytes[2] = 0;
	for (size_t i = 0; i < n; i++, record += TAPE_RECORD_BYTES)
		record[0] = draw_verb(random);
	return TAPE_HEAD_BYTES + n * TAPE_RECORD_BYTES;
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t tapes = argc > 2 ? strtoull(argv[2], NULL, 10) : 2500;
	uint64_t judged = 0;

	tape_found = print_seed;
	printf("seeds %ju to %ju\n", (uintmax_t)first,
	       (uintmax_t)(first + tapes - 1));
	fflush(stdout);
	for (seed = first; seed < first + tapes; seed++) {
		struct random random = { seed };
		size_t size_bytes = draw_tape(&random);

		judged += tape_run(bytes, size_bytes);
	}
	printf("%ju operations judged\n", (uintmax_t)judged);
	return judged > 0 ? 0 : 1;
}
