/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity map
 *
 * A table that doubles stops everybody while it copies: with a million nodes
 * that is tens of milliseconds under somebody's lock. So this one grows by
 * linear hashing: each insertion that finds the table full adds one bucket and
 * splits one old bucket into it. Buckets lie in segments, each as large as all
 * before it, so nothing that exists is ever moved.
 *
 *	segments:  [16 in the map] [16] [32] [64] ...
 *	buckets:   0 .. split | .. level-1 | level .. n_buckets-1
 *	           already split into the right part, bucket by bucket
 *
 * A node with hash h is in bucket h mod 2*level if that exists, else in h mod
 * level, where level is the largest power of two not above n_buckets. Without
 * memory for a segment the map keeps its buckets and is merely slower, so
 * inserting never fails. It never shrinks: what held a million may again.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  An inserted node is found until it is removed, also across growth.
 *  G2  One insertion splits at most one bucket.
 *  G3  Nothing here fails; without memory the map keeps its buckets.
 */
#include "core/idmap.h"

uint64_t idmap_hash_number(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* FNV-1a, whose low bits are poor, mixed. */
uint64_t idmap_hash_string(const char *string)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *string; string++)
		hash = (hash ^ (uint8_t)*string) * UINT64_C(0x100000001b3);
	return idmap_hash_number(hash);
}

void idmap_init(struct idmap *map, const struct heap *heap)
{
	memset(map, 0, sizeof(*map));
	map->heap = *heap;
	map->segments[0] = map->first;
	map->n_buckets = IDMAP_FIRST_BUCKETS;
}

void idmap_deinit(struct idmap *map)
{
	struct heap heap = map->heap;

	for (int i = 1; i < IDMAP_SEGMENTS; i++) {
		if (map->segments[i])
			heap.free(heap.context, map->segments[i]);
	}
	idmap_init(map, &heap);
}

static unsigned int log2_of(uint64_t n)
{
	return 63 - (unsigned int)__builtin_clzll(n);
}

/* Where bucket i lies: its segment, and how many buckets that has. */
static unsigned int segment_of(uint64_t i, uint64_t *ret_size)
{
	unsigned int segment;

	if (i < IDMAP_FIRST_BUCKETS) {
		*ret_size = IDMAP_FIRST_BUCKETS;
		return 0;
	}
	segment = log2_of(i / IDMAP_FIRST_BUCKETS) + 1;
	*ret_size = (uint64_t)IDMAP_FIRST_BUCKETS << (segment - 1);
	return segment;
}

static struct idmap_node **bucket_at(const struct idmap *map, uint64_t i)
{
	uint64_t size;
	unsigned int segment = segment_of(i, &size);

	return &map->segments[segment][segment == 0 ? i : i - size];
}

static uint64_t bucket_of(const struct idmap *map, uint64_t hash)
{
	uint64_t level = UINT64_C(1) << log2_of(map->n_buckets);
	uint64_t i = hash & (2 * level - 1);

	return i < map->n_buckets ? i : hash & (level - 1);
}

/* Adds one bucket and splits into it the one that has had its nodes. */
static void grow(struct idmap *map)
{
	uint64_t size, from, new = map->n_buckets;
	unsigned int segment = segment_of(new, &size);
	struct idmap_node **link, **target;

	if (segment >= IDMAP_SEGMENTS)
		return;
	if (!map->segments[segment])
		map->segments[segment] = map->heap.alloc(
			map->heap.context, size * sizeof(struct idmap_node *));
	if (!map->segments[segment])
		return;
	from = new - (UINT64_C(1) << log2_of(new));
	target = bucket_at(map, new);
	*target = NULL;
	map->n_buckets++;
	link = bucket_at(map, from);
	while (*link) {
		struct idmap_node *node = *link;

		if (bucket_of(map, node->hash) == from) {
			link = &node->next;
			continue;
		}
		*link = node->next;
		node->next = *target;
		*target = node;
	}
}

void idmap_insert(struct idmap *map, struct idmap_node *node)
{
	struct idmap_node **bucket;

	if (map->count >= map->n_buckets)
		grow(map);
	bucket = bucket_at(map, bucket_of(map, node->hash));
	node->next = *bucket;
	*bucket = node;
	map->count++;
}

void idmap_remove(struct idmap *map, struct idmap_node *node)
{
	struct idmap_node **link = bucket_at(map, bucket_of(map, node->hash));

	while (*link != node) {
		assert(*link);
		link = &(*link)->next;
	}
	*link = node->next;
	map->count--;
}

static struct idmap_node *same_hash(struct idmap_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct idmap_node *idmap_find(const struct idmap *map, uint64_t hash)
{
	return same_hash(*bucket_at(map, bucket_of(map, hash)), hash);
}

struct idmap_node *idmap_next(const struct idmap_node *node)
{
	return same_hash(node->next, node->hash);
}

struct idmap_node *idmap_any(const struct idmap *map)
{
	for (uint64_t i = 0; map->count > 0 && i < map->n_buckets; i++) {
		if (*bucket_at(map, i))
			return *bucket_at(map, i);
	}
	return NULL;
}
