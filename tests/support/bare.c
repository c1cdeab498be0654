/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table without a broker around it: what the tests of core/table.h stand on,
 * and nothing else, so that a mutant of it builds quickly.
 */
#include "tests/support/seat.h"

void bare_init(struct bare *bare, uint32_t first_generation)
{
	struct pages pages;

	*bare = (struct bare){ 0 };
	pages = test_pages_interface(&bare->memory);
	assert_int_equal(
		region_init(&bare->region, &pages, sizeof(struct state)), 0);
	assert_int_equal(table_init(&bare->region, first_generation), 0);
}

void bare_deinit(struct bare *bare)
{
	region_deinit(&bare->region);
	assert_null(bare->memory.start);
}
