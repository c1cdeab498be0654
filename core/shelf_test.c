/* SPDX-License-Identifier: Apache-2.0 */
/* Shelf: its guarantees one by one, and against a list that is looked through
 * from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/shelf.h"
#include "tests/support/random.h"

#include <cmocka.h>

enum { NODES = 300 };

static void g2_last_in_is_first_and_demoted_is_last(void **state)
{
	struct shelf_node a = { .key = 5 }, b = { .key = 5 }, c = { .key = 5 };
	struct shelf shelf = { 0 };

	(void)state;
	shelf_push(&shelf, &a);
	shelf_push(&shelf, &b);
	shelf_push(&shelf, &c);
	assert_ptr_equal(shelf_at(&shelf, 5), &c);
	assert_ptr_equal(shelf_behind(&c), &b);
	assert_ptr_equal(shelf_behind(&b), &a);
	assert_null(shelf_behind(&a));
	shelf_demote(&shelf, &c); /* b a c */
	shelf_demote(&shelf, &a); /* b c a */
	shelf_demote(&shelf, &a);
	assert_ptr_equal(shelf_at(&shelf, 5), &b);
	assert_ptr_equal(shelf_behind(&b), &c);
	assert_ptr_equal(shelf_behind(&c), &a);
	shelf_take(&shelf, &b);
	shelf_take(&shelf, &a);
	assert_ptr_equal(shelf_at(&shelf, 5), &c);
	shelf_demote(&shelf, &c);
	assert_ptr_equal(shelf_at(&shelf, 5), &c);
	assert_null(shelf_behind(&c));
	shelf_take(&shelf, &c);
	assert_null(shelf_at(&shelf, 5));
	assert_int_equal(shelf.count, 0);
}

static void g3_nearest_keys(void **state)
{
	struct shelf_node nodes[] = { { .key = 0 },
				      { .key = 7 },
				      { .key = UINT64_MAX } };
	struct shelf shelf = { 0 };

	(void)state;
	assert_null(shelf_above(&shelf, 0));
	assert_null(shelf_below(&shelf, UINT64_MAX));
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		shelf_push(&shelf, &nodes[i]);
	assert_ptr_equal(shelf_above(&shelf, 0), &nodes[1]);
	assert_ptr_equal(shelf_above(&shelf, 7), &nodes[2]);
	assert_null(shelf_above(&shelf, UINT64_MAX));
	assert_ptr_equal(shelf_below(&shelf, UINT64_MAX), &nodes[1]);
	assert_ptr_equal(shelf_below(&shelf, 7), &nodes[0]);
	assert_null(shelf_below(&shelf, 0));
	assert_null(shelf_at(&shelf, 6));
}

/* The same shelf as a list: rank says who is in front. */
struct plain {
	struct shelf_node node;
	bool in;
	int64_t rank;
};

static struct plain plain[NODES];
static int64_t highest, lowest;

/* The front of the nearest bin: side 0 is the key itself, 1 above, -1 below. */
static struct shelf_node *search(uint64_t key, int side)
{
	struct plain *best = NULL;

	for (int i = 0; i < NODES; i++) {
		struct plain *p = &plain[i];
		uint64_t k = p->node.key;

		if (!p->in || (side == 0 ? k != key :
			       side > 0	 ? k <= key :
					   k >= key))
			continue;
		if (!best || (k == best->node.key ? p->rank > best->rank :
			      side > 0		  ? k < best->node.key :
						    k > best->node.key))
			best = p;
	}
	return best ? &best->node : NULL;
}

static uint32_t depth(const struct shelf_node *node)
{
	uint32_t left, right;

	if (!node)
		return 0;
	left = depth(node->child[0]);
	right = depth(node->child[1]);
	assert_true(node->front);
	assert_true(!node->child[0] || node->child[0]->parent == node);
	assert_true(!node->child[1] || node->child[1]->parent == node);
	return 1 + (left > right ? left : right);
}

static void act(struct shelf *shelf, struct random *random, uint32_t keys)
{
	struct plain *p = &plain[random_below(random, NODES)];

	if (!p->in) {
		p->node.key = random_below(random, keys);
		p->rank = ++highest;
		p->in = true;
		shelf_push(shelf, &p->node);
	} else if (random_chance(random, 30)) {
		p->rank = --lowest;
		shelf_demote(shelf, &p->node);
	} else {
		p->in = false;
		shelf_take(shelf, &p->node);
	}
}

static void against_a_list(uint32_t keys, uint64_t seed)
{
	struct random random = { seed };
	struct shelf shelf = { 0 };

	for (int step = 0; step < 30000; step++) {
		uint64_t key = random_below(&random, keys);
		struct shelf_node *node, *next;

		act(&shelf, &random, keys);
		node = shelf_at(&shelf, key);
		assert_ptr_equal(node, search(key, 0));
		assert_ptr_equal(shelf_above(&shelf, key), search(key, 1));
		assert_ptr_equal(shelf_below(&shelf, key), search(key, -1));
		for (; node; node = next) {
			next = shelf_behind(node);
			assert_true(!next ||
				    ((struct plain *)next)->rank <
					    ((struct plain *)node)->rank);
		}
	}
	assert_true(depth(shelf.root) < 40);
	for (int i = 0; i < NODES; i++) {
		if (plain[i].in)
			shelf_take(&shelf, &plain[i].node);
		plain[i].in = false;
	}
	assert_null(shelf.root);
	assert_int_equal(shelf.count, 0);
}

static void g1_against_a_list(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		printf("seed %d\n", (int)seed);
		against_a_list(1, seed);
		against_a_list(10, seed);
		against_a_list(100000, seed);
	}
}

static uint64_t blocks; /* asked for by whoever is in this program */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size)
{
	blocks++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	blocks++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *block, size_t size)
{
	blocks++;
	return __real_realloc(block, size);
}

/* Nodes between words that are nobody's: a shelf has only what stands in it,
 * whatever the order of keys, and takes everything. */
static void g4_nodes_are_all_it_needs(void **state)
{
	static struct {
		uint64_t before;
		struct shelf_node node;
		uint64_t after;
	} rooms[NODES];
	struct random random = { 4 };
	uint64_t blocks_before = blocks;
	struct shelf shelf = { 0 };

	(void)state;
	for (uint32_t i = 0; i < NODES; i++) {
		rooms[i].before = rooms[i].after = ~(uint64_t)i;
		rooms[i].node.key = i < 4 ? UINT64_MAX * (i & 1) :
					    random_below(&random, NODES);
	}
	for (uint32_t turn = 0; turn < 20; turn++) {
		for (uint32_t i = 0; i < NODES; i++)
			shelf_push(&shelf, &rooms[i].node);
		assert_int_equal(shelf.count, NODES);
		for (uint32_t i = 0; i < NODES; i++)
			shelf_demote(&shelf, &rooms[i * 7 % NODES].node);
		for (uint32_t i = 0; i < NODES; i++)
			shelf_take(&shelf, &rooms[i * 11 % NODES].node);
		assert_null(shelf.root);
	}
	for (uint32_t i = 0; i < NODES; i++) {
		assert_true(rooms[i].before == ~(uint64_t)i);
		assert_true(rooms[i].after == ~(uint64_t)i);
	}
	assert_int_equal(blocks, blocks_before);
}

static void sequential_keys_make_no_list(void **state)
{
	static struct shelf_node nodes[1 << 16];
	struct shelf shelf = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		nodes[i].key = i * 4096;
		shelf_push(&shelf, &nodes[i]);
	}
	assert_true(depth(shelf.root) < 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g2_last_in_is_first_and_demoted_is_last),
		cmocka_unit_test(g3_nearest_keys),
		cmocka_unit_test(g1_against_a_list),
		cmocka_unit_test(g4_nodes_are_all_it_needs),
		cmocka_unit_test(sequential_keys_make_no_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
