/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keymap
 *
 * Chained buckets of intrusive nodes. The library must never fail after the
 * daemon has said yes, so inserting must not need memory: the node is part of
 * what the caller has already allocated, the first buckets are part of the
 * map, and a map that cannot grow is merely slower.
 *
 *	buckets:  [0] -> node -> node
 *	          [1]
 *	          [2] -> node
 *
 * Keys are handles: a generation, a kind and an index, XORed with a secret.
 * One multiplication spreads them; the daemon that chooses them can only slow
 * down its own client.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  An inserted node is found until it is removed, also across growth.
 *  G2  Of several nodes with one key, the one inserted last is found first.
 *  G3  Nothing here fails; without memory the map keeps its buckets.
 */
#include "client/keymap.h"

#include <stdlib.h>

void keymap_init(struct keymap *map)
{
	memset(map, 0, sizeof(*map));
	map->buckets = map->first;
	map->n_buckets = KEYMAP_FIRST_BUCKETS;
}

void keymap_deinit(struct keymap *map)
{
	if (map->buckets != map->first)
		free(map->buckets);
	keymap_init(map);
}

static size_t bucket_of(uint64_t key, size_t n_buckets)
{
	/* n_buckets is a power of two; the high bits are the mixed ones. */
	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) &
	       (n_buckets - 1);
}

/*
 * Doubles the buckets. A chain is moved from its end so that nodes of one key
 * keep their order (G2): each old bucket feeds two new ones.
 */
static void keymap_grow(struct keymap *map)
{
	size_t n_buckets = map->n_buckets * 2;
	struct keymap_node **buckets = calloc(n_buckets, sizeof(*buckets));

	if (!buckets)
		return;
	for (size_t i = 0; i < map->n_buckets; i++) {
		struct keymap_node **low = &buckets[i];
		struct keymap_node **high = &buckets[i + map->n_buckets];

		for (struct keymap_node *node = map->buckets[i]; node;
		     node = node->next) {
			if (bucket_of(node->key, n_buckets) == i) {
				node->link = low;
				*low = node;
				low = &node->next;
			} else {
				node->link = high;
				*high = node;
				high = &node->next;
			}
		}
		*low = NULL;
		*high = NULL;
	}
	if (map->buckets != map->first)
		free(map->buckets);
	map->buckets = buckets;
	map->n_buckets = n_buckets;
}

void keymap_insert(struct keymap *map, struct keymap_node *node)
{
	struct keymap_node **bucket;

	if (map->count >= map->n_buckets)
		keymap_grow(map);
	bucket = &map->buckets[bucket_of(node->key, map->n_buckets)];
	node->next = *bucket;
	node->link = bucket;
	if (node->next)
		node->next->link = &node->next;
	*bucket = node;
	map->count++;
}

void keymap_remove(struct keymap *map, struct keymap_node *node)
{
	assert(*node->link == node);
	*node->link = node->next;
	if (node->next)
		node->next->link = node->link;
	map->count--;
}

struct keymap_node *keymap_find(const struct keymap *map, uint64_t key)
{
	struct keymap_node *node = map->buckets[bucket_of(key, map->n_buckets)];

	while (node && node->key != key)
		node = node->next;
	return node;
}

struct keymap_node *keymap_any(const struct keymap *map)
{
	for (size_t i = 0; map->count > 0 && i < map->n_buckets; i++) {
		if (map->buckets[i])
			return map->buckets[i];
	}
	return NULL;
}

void keymap_each(struct keymap *map,
		 void (*visit)(void *context, struct keymap_node *node),
		 void *context)
{
	struct keymap_node *next;

	for (size_t i = 0; i < map->n_buckets; i++) {
		for (struct keymap_node *node = map->buckets[i]; node;
		     node = next) {
			next = node->next;
			visit(context, node);
		}
	}
}
