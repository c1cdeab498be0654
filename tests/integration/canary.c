/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canary. The bound on a round is wide, because the machine that runs the
 * tests may be busy: it tells "served" from "forgotten", not fast from slow.
 */
#include "tests/integration/canary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tenure/tenure.h"

enum {
	HELD_BYTES = 256 << 10,
	ROUND_BYTES = 64 << 10,
	BOUND_MS = 2000,
	SAMPLES = 4096,
};

struct canary {
	struct tenure *t;
	struct tenure_memory held;
	uint32_t rounds;
	uint32_t us[SAMPLES]; /* of the last rounds */
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static unsigned char expected_byte(size_t at)
{
	return (unsigned char)(at * 31 + (at >> 12));
}

struct canary *canary_new(const char *socket)
{
	struct canary *canary = calloc(1, sizeof(*canary));
	unsigned char *bytes;
	size_t i;

	assert_non_null(canary);
	assert_int_equal(tenure_connect(socket, 0, &canary->t), 0);
	assert_int_equal(
		tenure_alloc_shared(canary->t, HELD_BYTES, &canary->held), 0);
	bytes = canary->held.pointer;
	for (i = 0; i < HELD_BYTES; i++)
		bytes[i] = expected_byte(i);
	return canary;
}

static void sing_once(struct canary *canary)
{
	struct tenure_memory memory;
	uint64_t began = now_us(), took;
	unsigned char *bytes;

	assert_int_equal(tenure_alloc(canary->t, ROUND_BYTES, &memory), 0);
	bytes = memory.pointer;
	assert_int_equal(bytes[0], 0);
	assert_int_equal(bytes[ROUND_BYTES - 1], 0);
	memset(bytes, 0x42, ROUND_BYTES);
	assert_int_equal(bytes[ROUND_BYTES / 2], 0x42);
	assert_int_equal(tenure_free(canary->t, &memory), 0);
	took = now_us() - began;
	assert_true(took <= BOUND_MS * 1000);
	canary->us[canary->rounds++ % SAMPLES] = (uint32_t)took;
}

void canary_sing(struct canary *canary, unsigned int rounds)
{
	const unsigned char *bytes = canary->held.pointer;
	size_t i;

	while (rounds-- > 0)
		sing_once(canary);
	for (i = 0; i < HELD_BYTES; i++)
		if (bytes[i] != expected_byte(i))
			fail_msg("byte %zu of the canary has changed", i);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void canary_tell(const struct canary *canary, const char *beside_whom)
{
	uint32_t n = canary->rounds < SAMPLES ? canary->rounds : SAMPLES;
	uint32_t sorted[SAMPLES];

	if (n == 0)
		return;
	memcpy(sorted, canary->us, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), compare);
	print_message("canary beside %s: median %u us, p99 %u us, of %u\n",
		      beside_whom, sorted[n / 2], sorted[n * 99 / 100], n);
}

void canary_free(struct canary *canary)
{
	canary_sing(canary, 1);
	assert_int_equal(tenure_free(canary->t, &canary->held), 0);
	tenure_disconnect(canary->t);
	free(canary);
}
