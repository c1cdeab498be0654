/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table of nodes that live in other structures. Inserting cannot fail
 * and never stops to rebuild. See idmap.c. Not thread-safe.
 */
#ifndef CORE_IDMAP_H
#define CORE_IDMAP_H

#include "core/base.h"
#include "core/mem.h"

enum { IDMAP_FIRST_BUCKETS = 16, IDMAP_SEGMENTS = 29 };

struct idmap_node {
	struct idmap_node *next;
	uint64_t hash;
};

/* Does not move: it may point into itself. */
struct idmap {
	struct heap heap;
	uint64_t n_buckets, count;
	struct idmap_node **segments[IDMAP_SEGMENTS];
	struct idmap_node *first[IDMAP_FIRST_BUCKETS];
};

/* A well-mixed hash of a number; no two numbers have the same. */
uint64_t idmap_hash_number(uint64_t number);

/* A hash of a string up to its NUL. */
uint64_t idmap_hash_string(const char *string);

void idmap_init(struct idmap *map, const struct heap *heap);

/* Gives the buckets back; the map is empty. */
void idmap_deinit(struct idmap *map);

/* Inserts a node whose hash is set. O(1). */
void idmap_insert(struct idmap *map, struct idmap_node *node);

/* Takes out a node that is in the map. O(1) expected. */
void idmap_remove(struct idmap *map, struct idmap_node *node);

/* The first node with that hash, or NULL. O(1) expected. */
struct idmap_node *idmap_find(const struct idmap *map, uint64_t hash);

/* The next node with the hash of this one, or NULL. */
struct idmap_node *idmap_next(const struct idmap_node *node);

/* Any node, or NULL: for tests and for emptying the map. O(buckets). */
struct idmap_node *idmap_any(const struct idmap *map);

#endif
