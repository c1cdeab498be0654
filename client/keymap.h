/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table of nodes that live in other structures, keyed by 64 bits.
 * Inserting cannot fail. Not thread-safe: the connection's lock is the
 * caller's.
 */
#ifndef CLIENT_KEYMAP_H
#define CLIENT_KEYMAP_H

#include "core/base.h"

struct keymap_node {
	struct keymap_node *next, **link; /* what points to it */
	uint64_t key;
};

enum { KEYMAP_FIRST_BUCKETS = 16 };

/* Does not move: it may point into itself. */
struct keymap {
	struct keymap_node **buckets;
	size_t n_buckets;
	size_t count;
	struct keymap_node *first[KEYMAP_FIRST_BUCKETS];
};

void keymap_init(struct keymap *map);

/* Forgets the nodes, which stay their owners'. */
void keymap_deinit(struct keymap *map);

/* Inserts a node whose key is set. Several may have the same key. */
void keymap_insert(struct keymap *map, struct keymap_node *node);

/* Takes out a node that is in the map. O(1), also of many with one key. */
void keymap_remove(struct keymap *map, struct keymap_node *node);

/* A node with that key (the one inserted last), or NULL. */
struct keymap_node *keymap_find(const struct keymap *map, uint64_t key);

/* Any node, or NULL: for emptying the map. */
struct keymap_node *keymap_any(const struct keymap *map);

/* Calls visit for every node; visit may remove and free the node it is
 * given, and no other. */
void keymap_each(struct keymap *map,
		 void (*visit)(void *context, struct keymap_node *node),
		 void *context);

#endif
