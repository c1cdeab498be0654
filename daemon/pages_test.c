/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#define RESERVED (UINT64_C(1) << 40)

static void test_reserve_commit_unreserve(void **state)
{
	struct pages pages;
	unsigned char *start;

	(void)state;
	pages_mmap(&pages);
	start = pages.reserve(pages.context, RESERVED);
	assert_non_null(start);
	assert_int_equal(pages.commit(pages.context, start, 4096), 0);
	assert_int_equal(pages.commit(pages.context, start + 4096, 4 << 20), 0);
	for (size_t i = 0; i < (4 << 20) + 4096; i += 4096)
		assert_int_equal(start[i], 0);
	start[4096] = 1;
	pages.unreserve(pages.context, start, RESERVED);
}

static void test_refusals(void **state)
{
	struct pages pages;
	void *start;

	(void)state;
	pages_mmap(&pages);
	assert_null(pages.reserve(pages.context, UINT64_C(1) << 62));
	start = pages.reserve(pages.context, 4096);
	assert_non_null(start);
	pages.unreserve(pages.context, start, 4096);
	/* Nothing is mapped there any more, so nothing can be committed. */
	assert_int_equal(pages.commit(pages.context, start, 4096), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserve_commit_unreserve),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
