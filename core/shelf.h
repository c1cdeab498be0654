/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered shelf: nodes that live in other structures, in bins by a 64-bit
 * key, the one put in last in front. See shelf.c. Nothing here fails or takes
 * memory; not thread-safe.
 */
#ifndef CORE_SHELF_H
#define CORE_SHELF_H

#include "core/base.h"

/* Set key before the node is put in; the rest is the shelf's. */
struct shelf_node {
	uint64_t key;
	struct shelf_node *next, *prev; /* the ring of its bin */
	struct shelf_node *parent, *child[2]; /* of the front of a bin */
	bool front;
};

/* All zero is an empty shelf. */
struct shelf {
	struct shelf_node *root;
	uint64_t count; /* nodes in it */
};

/* Puts a node into the bin of its key, in front. O(log bins). */
void shelf_push(struct shelf *shelf, struct shelf_node *node);

/* Takes out a node that is in this shelf. O(log bins). */
void shelf_take(struct shelf *shelf, struct shelf_node *node);

/* Moves a node that is in this shelf behind all others of its bin.
 * O(log bins). */
void shelf_demote(struct shelf *shelf, struct shelf_node *node);

/* The front of the bin with that key, or NULL. O(log bins). */
struct shelf_node *shelf_at(const struct shelf *shelf, uint64_t key);

/* The front of the bin with the least greater key, or NULL. O(log bins). */
struct shelf_node *shelf_above(const struct shelf *shelf, uint64_t key);

/* The front of the bin with the greatest smaller key, or NULL. */
struct shelf_node *shelf_below(const struct shelf *shelf, uint64_t key);

/* What stands behind a node in its bin, or NULL at the end. O(1). */
struct shelf_node *shelf_behind(const struct shelf_node *node);

#endif
