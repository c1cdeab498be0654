/* SPDX-License-Identifier: Apache-2.0 */
/* Identity map: its guarantees across growth, with and without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "core/idmap.h"
#include "tests/support/random.h"

#include <cmocka.h>

enum { NODES = 20000 };

static uint64_t n_blocks, fail_after;

static void *block_alloc(void *context, size_t size_bytes)
{
	(void)context;
	if (fail_after == 0)
		return NULL;
	fail_after--;
	n_blocks++;
	return malloc(size_bytes);
}

static void block_free(void *context, void *block)
{
	(void)context;
	n_blocks -= block != NULL;
	free(block);
}

static const struct heap heap = { NULL, block_alloc, block_free };
static struct idmap_node nodes[NODES];
static bool in[NODES];

static bool finds(const struct idmap *map, size_t i)
{
	struct idmap_node *node = idmap_find(map, nodes[i].hash);

	while (node && node != &nodes[i])
		node = idmap_next(node);
	return node != NULL;
}

static void g1_found_until_removed(uint64_t blocks)
{
	struct random random = { 5 };
	struct idmap map;

	fail_after = blocks;
	idmap_init(&map, &heap);
	memset(in, 0, sizeof(in));
	for (int step = 0; step < 60000; step++) {
		size_t i = random_below(&random, NODES);

		if (in[i]) {
			idmap_remove(&map, &nodes[i]);
		} else {
			/* Every third hash is shared by several nodes. */
			nodes[i].hash = idmap_hash_number(i % 3 ? i : i % 30);
			idmap_insert(&map, &nodes[i]);
		}
		in[i] = !in[i];
		i = random_below(&random, NODES);
		assert_int_equal(finds(&map, i), in[i]);
	}
	for (size_t i = 0; i < NODES; i++) {
		assert_int_equal(finds(&map, i), in[i]);
		if (in[i])
			idmap_remove(&map, &nodes[i]);
	}
	assert_int_equal(map.count, 0);
	assert_null(idmap_any(&map));
	idmap_deinit(&map);
	assert_int_equal(n_blocks, 0);
}

static void g1_with_memory(void **state)
{
	(void)state;
	g1_found_until_removed(UINT64_MAX);
}

static void g3_without_memory(void **state)
{
	(void)state;
	g1_found_until_removed(0);
	g1_found_until_removed(3);
}

static void g2_one_bucket_at_a_time(void **state)
{
	struct idmap map;

	(void)state;
	fail_after = UINT64_MAX;
	idmap_init(&map, &heap);
	for (size_t i = 0; i < NODES; i++) {
		uint64_t before = map.n_buckets;

		nodes[i].hash = idmap_hash_number(i);
		idmap_insert(&map, &nodes[i]);
		assert_true(map.n_buckets - before <= 1);
	}
	assert_true(map.n_buckets >= NODES);
	assert_non_null(idmap_any(&map));
	idmap_deinit(&map);
}

static void hashes(void **state)
{
	(void)state;
	assert_true(idmap_hash_number(1) != idmap_hash_number(2));
	assert_true(idmap_hash_string("a") != idmap_hash_string("b"));
	assert_true(idmap_hash_string("") != idmap_hash_string("a"));
	assert_true(idmap_hash_string("ab") == idmap_hash_string("ab"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_with_memory),
		cmocka_unit_test(g3_without_memory),
		cmocka_unit_test(g2_one_bucket_at_a_time),
		cmocka_unit_test(hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
