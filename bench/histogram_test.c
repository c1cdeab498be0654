/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { VALUES = 20000 };

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The naive one: sort, and take the value at the rank. */
static uint64_t exact(const uint64_t *sorted, uint64_t count, double q)
{
	double wanted = q * (double)count;
	uint64_t rank = (uint64_t)wanted;

	if ((double)rank < wanted)
		rank++;
	return sorted[rank == 0 ? 0 : rank - 1];
}

static void require_quantiles(uint64_t *values, uint64_t count)
{
	static const double shares[] = { 0,   0.001, 0.25,  0.5,
					 0.9, 0.99,  0.999, 1 };
	static struct histogram histogram;

	histogram_init(&histogram);
	for (uint64_t i = 0; i < count; i++)
		histogram_record(&histogram, values[i]);
	assert_int_equal(histogram.count, count);
	qsort(values, count, sizeof(*values), by_value);
	for (unsigned int i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
		uint64_t want = exact(values, count, shares[i]);
		uint64_t got = histogram_quantile(&histogram, shares[i]);
		uint64_t off = got > want ? got - want : want - got;

		assert_true(off <= want / HISTOGRAM_CUTS); /* G1 */
		if (want < 2 * HISTOGRAM_CUTS)
			assert_int_equal(got, want); /* G2 */
		assert_in_range(got, values[0], values[count - 1]); /* G3 */
	}
}

/* G1 to G3 on values of every magnitude, and of one only. */
static void test_against_sorting(void **state)
{
	static uint64_t values[VALUES];
	uint64_t random = 7;

	(void)state;
	for (unsigned int bits = 1; bits <= 64; bits++) {
		for (unsigned int i = 0; i < VALUES; i++)
			values[i] = next_random(&random) >> (64 - bits);
		require_quantiles(values, bits % 8 == 0 ? VALUES : 997);
	}
	for (unsigned int i = 0; i < VALUES; i++)
		values[i] = next_random(&random) >> (next_random(&random) % 64);
	require_quantiles(values, VALUES);
}

/* The places where the width of a bucket changes. */
static void test_edges(void **state)
{
	static struct histogram histogram;

	(void)state;
	for (unsigned int shift = 0; shift < 64; shift++) {
		uint64_t power = UINT64_C(1) << shift;
		uint64_t edges[] = { power - 1, power, power + 1 };

		for (unsigned int i = 0; i < 3; i++) {
			histogram_init(&histogram);
			histogram_record(&histogram, edges[i]);
			assert_int_equal(histogram_quantile(&histogram, 0.5),
					 edges[i]);
			require_quantiles(&edges[i], 1);
		}
	}
	histogram_init(&histogram);
	histogram_record(&histogram, UINT64_MAX);
	assert_int_equal(histogram_quantile(&histogram, 1), UINT64_MAX);
}

static void test_empty(void **state)
{
	static struct histogram histogram;

	(void)state;
	histogram_init(&histogram);
	assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_sorting),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
