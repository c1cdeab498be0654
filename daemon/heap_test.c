/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_our_blocks_are_counted(void **state)
{
	const size_t block_bytes = 1 << 20;
	struct heap_stat before, after;
	char *block;

	(void)state;
	heap_stat(&before);
	assert_non_null(before.name);
	block = (malloc)(block_bytes);
	assert_non_null(block);
	memset(block, 1, block_bytes);
	heap_stat(&after);
	/* Proof that malloc is jemalloc's, and not only its library linked. */
	if (strcmp(after.name, "jemalloc") == 0) {
		assert_true(after.allocated_bytes >=
			    before.allocated_bytes + block_bytes);
		assert_true(after.resident_bytes >= after.allocated_bytes);
	}
	free(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_our_blocks_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
