/* SPDX-License-Identifier: Apache-2.0 */
#include "core/region.h"

#include "core/limits.h"
#include "tests/support/seat.h"

static void g1_what_is_reserved_can_be_taken(void **state)
{
	struct bare b;
	uint32_t last = 0;

	(void)state;
	bare_init(&b, 1);
	for (uint32_t n = 1; n < 5000; n = n * 3 + 1) {
		assert_int_equal(pool_reserve(&b.region, AREA_DEVICES, n), 0);
		b.memory.fail_commit = 1;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t index = pool_take(&b.region, AREA_DEVICES);

			assert_true(index > last);
			last = index;
		}
		assert_int_equal(b.memory.fail_commit, 1);
		b.memory.fail_commit = 0;
	}
	bare_deinit(&b);
}

static void g1_freed_records_count(void **state)
{
	struct region_head before;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(pool_reserve(&b.region, AREA_TOKENS, 10), 0);
	for (uint32_t i = 1; i <= 10; i++)
		assert_int_equal(pool_take(&b.region, AREA_TOKENS), i);
	for (uint32_t i = 1; i <= 10; i++)
		pool_give(&b.region, AREA_TOKENS, i);
	before = *b.region.head;
	b.memory.fail_commit = 1;
	assert_int_equal(pool_reserve(&b.region, AREA_TOKENS, 10), 0);
	assert_memory_equal(&before, b.region.head, sizeof(before));
	for (uint32_t i = 0; i < 10; i++)
		assert_in_range(pool_take(&b.region, AREA_TOKENS), 1, 10);
	bare_deinit(&b);
}

static void g2_a_failed_reserve_changes_nothing(void **state)
{
	struct region_head before;
	uint32_t block = 77;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	before = *b.region.head;
	for (int area = 0; area < AREAS; area++) {
		if (area == AREA_SEGMENT_OWNERS || area == AREA_SEGMENT_LINKS)
			continue; /* has all its memory from the start */
		b.memory.fail_commit = 1;
		assert_int_equal(pool_reserve(&b.region, (enum area)area, 1),
				 -ENOMEM);
		assert_memory_equal(&before, b.region.head, sizeof(before));
	}
	b.memory.fail_commit = 1;
	assert_int_equal(block_new(&b.region, 100, &block), -ENOMEM);
	assert_int_equal(block, 77);
	assert_memory_equal(&before, b.region.head, sizeof(before));
	bare_deinit(&b);
}

static void g2_more_than_there_is_room_for(void **state)
{
	struct region_head before;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(pool_reserve(&b.region, AREA_PRINCIPALS,
				      PRINCIPALS_MAX - 1),
			 0);
	before = *b.region.head;
	assert_int_equal(pool_reserve(&b.region, AREA_PRINCIPALS,
				      PRINCIPALS_MAX),
			 -ENOMEM);
	assert_int_equal(pool_reserve(&b.region, AREA_PRINCIPALS, UINT32_MAX),
			 -ENOMEM);
	assert_int_equal(region_commit(&b.region, AREA_SLOTS, UINT64_MAX),
			 -ENOMEM);
	assert_memory_equal(&before, b.region.head, sizeof(before));
	for (uint32_t i = 1; i < PRINCIPALS_MAX; i++)
		assert_int_equal(pool_take(&b.region, AREA_PRINCIPALS), i);
	assert_int_equal(pool_reserve(&b.region, AREA_PRINCIPALS, 1), -ENOMEM);
	bare_deinit(&b);
}

static void g3_a_taken_record_is_zero(void **state)
{
	static const struct token zero;
	struct token *t;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(pool_reserve(&b.region, AREA_TOKENS, 1), 0);
		assert_int_equal(pool_take(&b.region, AREA_TOKENS), 1);
		t = token_at(&b.region, 1);
		assert_int_equal(t->record.in_use, 1);
		assert_int_equal(t->record.link, 0);
		assert_memory_equal((const char *)t + sizeof(t->record),
				    (const char *)&zero + sizeof(t->record),
				    sizeof(*t) - sizeof(t->record));
		memset((char *)t + sizeof(t->record), 0xa5,
		       sizeof(*t) - sizeof(t->record));
		pool_give(&b.region, AREA_TOKENS, 1);
	}
	bare_deinit(&b);
}

static void g4_nothing_moves(void **state)
{
	struct principal *first;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(pool_reserve(&b.region, AREA_PRINCIPALS, 1), 0);
	first = principal_at(&b.region, pool_take(&b.region, AREA_PRINCIPALS));
	first->uid = 4711;
	assert_int_equal(pool_reserve(&b.region, AREA_PRINCIPALS, 10000), 0);
	for (int i = 0; i < 10000; i++)
		pool_take(&b.region, AREA_PRINCIPALS);
	assert_ptr_equal(first, principal_at(&b.region, 1));
	assert_int_equal(first->uid, 4711);
	bare_deinit(&b);
}

/* What was committed in small steps is merged once, when there is a large one;
 * an area that is large from the start has nothing to merge. */
static void an_area_that_becomes_large(void **state)
{
	struct token *first;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(pool_reserve(&b.region, AREA_TOKENS, 1), 0);
	first = token_at(&b.region, pool_take(&b.region, AREA_TOKENS));
	first->value[1] = 4711;
	assert_int_equal(pool_reserve(&b.region, AREA_TOKENS, 5000), 0);
	assert_int_equal(b.memory.merges, 0);
	assert_int_equal(pool_reserve(&b.region, AREA_TOKENS, 200000), 0);
	assert_int_equal(b.memory.merges, 1);
	assert_int_equal(pool_reserve(&b.region, AREA_TOKENS, 600000), 0);
	assert_int_equal(pool_reserve(&b.region, AREA_OBJECTS, 200000), 0);
	assert_int_equal(b.memory.merges, 1);
	assert_int_equal(first->value[1], 4711);
	b.region.pages.merge = NULL; /* nobody need have one */
	assert_int_equal(pool_reserve(&b.region, AREA_USERS, 1), 0);
	assert_int_equal(pool_reserve(&b.region, AREA_USERS, 200000), 0);
	bare_deinit(&b);
}

static void areas_do_not_overlap(void **state)
{
	uint64_t end = sizeof(struct state);
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	for (int area = 0; area < AREAS; area++) {
		const struct area_head *h =
			region_area(&b.region, (enum area)area);

		assert_true(h->offset >= end);
		assert_int_equal(h->offset % 64, 0);
		end = h->offset + (uint64_t)h->record_bytes * h->capacity;
	}
	assert_true(end <= b.region.head->size_bytes);
	bare_deinit(&b);
}

static void blocks_of_every_size(void **state)
{
	uint32_t blocks[64], n = 0;
	size_t sizes[64];
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(block_new(&b.region, 0, &blocks[0]), 0);
	assert_int_equal(blocks[0], 0);
	block_free(&b.region, 0, 0);
	for (size_t size = 1; size <= BLOCK_BYTES_MAX; size *= 2)
		for (int d = -1; d <= 1; d++) {
			if (size + d == 0 || size + d > BLOCK_BYTES_MAX)
				continue;
			sizes[n] = size + d;
			assert_int_equal(
				block_new(&b.region, sizes[n], &blocks[n]), 0);
			assert_true(block_units(sizes[n]) * 64 >= sizes[n]);
			memset(block_at(&b.region, blocks[n]), (int)n + 1,
			       sizes[n]);
			n++;
		}
	/* Nobody has written to anybody else's. */
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *bytes = block_at(&b.region, blocks[i]);

		assert_int_equal(bytes[0], i + 1);
		assert_int_equal(bytes[sizes[i] - 1], i + 1);
	}
	bare_deinit(&b);
}

static void a_freed_block_is_used_again(void **state)
{
	uint32_t first, second, third;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(block_new(&b.region, 200, &first), 0);
	assert_int_equal(block_new(&b.region, 200, &second), 0);
	block_free(&b.region, first, 200);
	block_free(&b.region, second, 200);
	b.memory.fail_commit = 1;
	assert_int_equal(block_new(&b.region, 256, &third), 0);
	assert_int_equal(third, second);
	assert_int_equal(block_new(&b.region, 129, &third), 0);
	assert_int_equal(third, first);
	/* The list of another class is another one. */
	block_free(&b.region, third, 129);
	assert_int_equal(block_new(&b.region, 64, &third), 0);
	assert_int_not_equal(third, first);
	bare_deinit(&b);
}

static void units_of_a_block(void **state)
{
	(void)state;
	assert_int_equal(block_units(0), 0);
	assert_int_equal(block_units(1), 1);
	assert_int_equal(block_units(64), 1);
	assert_int_equal(block_units(65), 2);
	assert_int_equal(block_units(129), 4);
	assert_int_equal(block_units(BLOCK_BYTES_MAX), 512);
}

static void init_that_fails(void **state)
{
	struct test_pages memory = { .fail_reserve = 1 };
	struct pages pages = test_pages_interface(&memory);
	struct region region = { 0 };

	(void)state;
	assert_int_equal(region_init(&region, &pages, sizeof(struct state)),
			 -ENOMEM);
	memory.fail_commit = 1;
	assert_int_equal(region_init(&region, &pages, sizeof(struct state)),
			 -ENOMEM);
	assert_null(memory.start);
	region_deinit(&region);
}

static void give_twice(void *argument)
{
	struct bare *b = argument;

	pool_give(&b->region, AREA_TOKENS, 1);
	pool_give(&b->region, AREA_TOKENS, 1);
}

static void promises_of_the_caller(void **state)
{
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(pool_reserve(&b.region, AREA_TOKENS, 1), 0);
	pool_take(&b.region, AREA_TOKENS);
	assert_asserts(give_twice, &b);
	bare_deinit(&b);
}

static void adopt_what_is_none(void **state)
{
	struct region_head *head, before;
	struct region adopted = { 0 };
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	head = b.region.head;
	before = *head;
	assert_int_equal(region_adopt(&adopted, &b.region.pages, head,
				      head->size_bytes),
			 0);
	assert_ptr_equal(adopted.head, head);
	assert_ptr_equal(adopted.slots, b.region.slots);
	assert_ptr_equal(adopted.owners, b.region.owners);
	assert_int_equal(region_adopt(&adopted, &b.region.pages, head, 100),
			 -EINVAL);
	assert_int_equal(region_adopt(&adopted, &b.region.pages, head,
				      head->size_bytes - 4096),
			 -EINVAL);
#define SPOIL(field)                                                           \
	do {                                                                   \
		head->field++;                                                 \
		assert_int_equal(region_adopt(&adopted, &b.region.pages, head, \
					      before.size_bytes),              \
				 -EINVAL);                                     \
		*head = before;                                                \
	} while (0)
	SPOIL(magic);
	SPOIL(size_bytes);
	SPOIL(areas[AREA_SLOTS].offset);
	SPOIL(areas[AREA_SESSIONS].record_bytes);
	SPOIL(areas[AREA_TOKENS].capacity);
	SPOIL(areas[AREA_SEGMENT_OWNERS].committed);
	head->areas[AREA_CHUNKS].used = 5;
	assert_int_equal(region_adopt(&adopted, &b.region.pages, head,
				      before.size_bytes),
			 -EINVAL);
	*head = before;
	assert_int_equal(region_adopt(&adopted, &b.region.pages, head,
				      before.size_bytes),
			 0);
	bare_deinit(&b);
}

static void g4_a_region_at_another_address(void **state)
{
	struct region_head *old;
	uint64_t size_bytes;
	uint32_t token, block;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(pool_reserve(&b.region, AREA_TOKENS, 1), 0);
	token = pool_take(&b.region, AREA_TOKENS);
	token_at(&b.region, token)->value[1] = 4711;
	assert_int_equal(block_new(&b.region, 100, &block), 0);
	memset(block_at(&b.region, block), 0x5a, 100);
	old = b.region.head;
	size_bytes = old->size_bytes;
	assert_int_equal(region_adopt(&b.region, &b.region.pages,
				      test_pages_move(&b.memory, old),
				      size_bytes),
			 0);
	assert_ptr_not_equal(b.region.head, old);
	assert_int_equal(token_at(&b.region, token)->value[1], 4711);
	assert_int_equal(((uint8_t *)block_at(&b.region, block))[99], 0x5a);
	pool_give(&b.region, AREA_TOKENS, token);
	assert_int_equal(pool_take(&b.region, AREA_TOKENS), token);
	assert_int_equal(pool_reserve(&b.region, AREA_TOKENS, 100000), 0);
	bare_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adopt_what_is_none),
		cmocka_unit_test(g4_a_region_at_another_address),
		cmocka_unit_test(g1_what_is_reserved_can_be_taken),
		cmocka_unit_test(g1_freed_records_count),
		cmocka_unit_test(g2_a_failed_reserve_changes_nothing),
		cmocka_unit_test(g2_more_than_there_is_room_for),
		cmocka_unit_test(g3_a_taken_record_is_zero),
		cmocka_unit_test(g4_nothing_moves),
		cmocka_unit_test(an_area_that_becomes_large),
		cmocka_unit_test(areas_do_not_overlap),
		cmocka_unit_test(blocks_of_every_size),
		cmocka_unit_test(a_freed_block_is_used_again),
		cmocka_unit_test(units_of_a_block),
		cmocka_unit_test(init_that_fails),
		cmocka_unit_test(promises_of_the_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
