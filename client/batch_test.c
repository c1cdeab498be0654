/* SPDX-License-Identifier: Apache-2.0 */
/* Batch: G1 to G3 against an array that is searched from end to end. */
#include "client/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* The naive set. */
struct naive {
	uint64_t handles[BATCH_MAX];
	uint32_t count;
};

static uint32_t naive_find(const struct naive *naive, uint64_t handle)
{
	uint32_t i = 0;

	while (i < naive->count && naive->handles[i] != handle)
		i++;
	return i;
}

static void naive_add(struct naive *naive, uint64_t handle)
{
	if (naive_find(naive, handle) == naive->count)
		naive->handles[naive->count++] = handle;
}

static void naive_remove(struct naive *naive, uint64_t handle)
{
	uint32_t i = naive_find(naive, handle);

	if (i < naive->count)
		naive->handles[i] = naive->handles[--naive->count];
}

static void compare(const struct batch *batch, const struct naive *naive)
{
	const uint64_t *handles = batch_handles(batch);

	assert_int_equal(batch->count, naive->count);
	for (uint32_t i = 0; i < batch->count; i++) {
		assert_true(naive_find(naive, handles[i]) < naive->count);
		assert_true(batch_has(batch, naive->handles[i]));
	}
}

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return *seed >> 33;
}

/* Few handles, so that they come again; close together, so that they share
 * their places in the table. */
static void g1_against_naive(void **state)
{
	static struct naive naive;
	struct batch batch = { 0 };
	uint64_t seed = 1;

	(void)state;
	assert_int_equal(batch_reserve(&batch), 0);
	naive.count = 0;
	for (int step = 0; step < 40000; step++) {
		uint64_t handle = 1 + next(&seed) % 700;

		if (next(&seed) % 5 < 3) {
			batch_add(&batch, handle);
			naive_add(&naive, handle);
		} else {
			batch_remove(&batch, handle);
			naive_remove(&naive, handle);
		}
		assert_int_equal(batch_has(&batch, handle),
				 naive_find(&naive, handle) < naive.count);
		if (step % 500 == 0)
			compare(&batch, &naive);
		if (step % 9000 == 8999) {
			batch_clear(&batch);
			naive.count = 0;
		}
	}
	compare(&batch, &naive);
	batch_deinit(&batch);
}

static bool no_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

static void g2_without_memory(void **state)
{
	struct batch batch = { 0 };

	(void)state;
	no_memory = true;
	assert_int_equal(batch_reserve(&batch), -ENOMEM);
	no_memory = false;
	assert_int_equal(batch_reserve(&batch), 0);
	no_memory = true;
	for (int turn = 0; turn < 2; turn++) {
		assert_int_equal(batch_reserve(&batch), 0);
		for (uint64_t i = 1; i <= BATCH_MAX; i++)
			batch_add(&batch, i);
		assert_int_equal(batch.count, BATCH_MAX);
		batch_remove(&batch, 7);
		batch_add(&batch, BATCH_MAX + 1);
		assert_true(batch_has(&batch, BATCH_MAX + 1));
		batch_clear(&batch);
	}
	no_memory = false;
	batch_deinit(&batch);
}

static void g3_full(void **state)
{
	struct batch batch = { 0 };

	(void)state;
	assert_int_equal(batch_reserve(&batch), 0);
	for (uint64_t i = 1; i <= BATCH_MAX; i++)
		batch_add(&batch, i * 4096);
	assert_int_equal(batch.count, BATCH_MAX);
	/* What is there may be added again. */
	batch_add(&batch, 4096);
	assert_int_equal(batch.count, BATCH_MAX);
	assert_false(batch_has(&batch, 4097));
	for (uint64_t i = BATCH_MAX; i >= 1; i--) {
		assert_true(batch_has(&batch, i * 4096));
		batch_remove(&batch, i * 4096);
		assert_false(batch_has(&batch, i * 4096));
	}
	assert_int_equal(batch.count, 0);
	batch_add(&batch, 5);
	batch_clear(&batch);
	assert_false(batch_has(&batch, 5));
	batch_deinit(&batch);
}

static void test_empty(void **state)
{
	struct batch batch = { 0 };

	(void)state;
	assert_false(batch_has(&batch, 1));
	assert_null(batch_handles(&batch));
	batch_remove(&batch, 1);
	batch_clear(&batch);
	batch_deinit(&batch);
	batch_deinit(&batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_against_naive),
		cmocka_unit_test(g2_without_memory),
		cmocka_unit_test(g3_full),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
