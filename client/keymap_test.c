/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keymap: the guarantees of keymap.c, also across growth and without memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/keymap.h"

enum { NODES = 5000 };

static bool no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return no_memory ? NULL : __real_calloc(count, size);
}

static void fill(struct keymap *map, struct keymap_node *nodes)
{
	keymap_init(map);
	for (uint64_t i = 0; i < NODES; i++) {
		nodes[i].key = i << 28 | i;
		keymap_insert(map, &nodes[i]);
	}
	assert_int_equal(map->count, NODES);
}

static void check_all_found_and_removed(struct keymap *map,
					struct keymap_node *nodes)
{
	for (size_t i = 0; i < NODES; i++)
		assert_ptr_equal(keymap_find(map, nodes[i].key), &nodes[i]);
	for (size_t i = 0; i < NODES; i += 2)
		keymap_remove(map, &nodes[i]);
	for (size_t i = 0; i < NODES; i++)
		assert_ptr_equal(keymap_find(map, nodes[i].key),
				 i % 2 ? &nodes[i] : NULL);
	for (size_t i = 1; i < NODES; i += 2)
		keymap_remove(map, &nodes[i]);
	assert_int_equal(map->count, 0);
	assert_null(keymap_any(map));
	keymap_deinit(map);
}

/* G1 */
static void test_found_until_removed(void **state)
{
	static struct keymap_node nodes[NODES];
	struct keymap map;

	(void)state;
	fill(&map, nodes);
	assert_true(map.n_buckets > KEYMAP_FIRST_BUCKETS);
	check_all_found_and_removed(&map, nodes);
}

/* G3 */
static void test_without_memory(void **state)
{
	static struct keymap_node nodes[NODES];
	struct keymap map;

	(void)state;
	no_memory = true;
	fill(&map, nodes);
	no_memory = false;
	assert_int_equal(map.n_buckets, KEYMAP_FIRST_BUCKETS);
	check_all_found_and_removed(&map, nodes);
}

/* G2 */
static void test_last_inserted_first(void **state)
{
	static struct keymap_node others[100];
	struct keymap_node same[3] = { { .key = 7 },
				       { .key = 7 },
				       { .key = 7 } };
	struct keymap map;

	(void)state;
	keymap_init(&map);
	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		keymap_insert(&map, &same[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		others[i].key = 1000 + i;
		keymap_insert(&map, &others[i]);
	}
	for (size_t i = ARRAY_SIZE(same); i-- > 0;) {
		assert_ptr_equal(keymap_find(&map, 7), &same[i]);
		keymap_remove(&map, &same[i]);
	}
	assert_null(keymap_find(&map, 7));
	keymap_deinit(&map);
}

struct walk {
	struct keymap *map;
	size_t visits;
};

static void remove_it(void *context, struct keymap_node *node)
{
	struct walk *walk = context;

	walk->visits++;
	keymap_remove(walk->map, node);
}

static void test_each_may_remove(void **state)
{
	static struct keymap_node nodes[NODES];
	struct keymap map;
	struct walk walk = { &map, 0 };

	(void)state;
	fill(&map, nodes);
	keymap_each(&map, remove_it, &walk);
	assert_int_equal(walk.visits, NODES);
	assert_int_equal(map.count, 0);
	keymap_deinit(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_until_removed),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_last_inserted_first),
		cmocka_unit_test(test_each_may_remove),
	};

	return cmocka_run_group_tests_name("keymap", tests, NULL, NULL);
}
