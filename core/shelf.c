/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shelf
 *
 * A search for a resource wants the bin of one key, then the bins around it,
 * and within a bin the one that was used last. So a shelf is a search tree of
 * bins, and a bin is a ring of nodes. The one idea: there is no such thing as
 * a bin in memory. The front node of a ring *is* the tree's node, and when it
 * goes, or another one comes in front, the links of the tree are handed over.
 * So whatever can stand in a shelf brings all the memory that it needs.
 *
 *	            [40]                 tree of fronts, ordered by key
 *	           /    \
 *	        [16]    [64]
 *	         |        |
 *	         c -> b   x              rings: the front is the warmest
 *
 * The tree is a treap whose priority is a mixed key: two keys have different
 * priorities, so the shape depends on the keys alone, and is as deep as that
 * of a random tree. Whoever picks keys so that it is deeper slows down his own
 * searches and nobody else's.
 *
 * Invariants: keys grow from left to right; a child's priority is lower than
 * its parent's; each ring has one front; all of a ring have its key.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A node that was put in is found until it is taken out.
 *  G2  Within a bin the last one put in is the first one found; demoted ones
 *      stand behind, in the order of their demotion.
 *  G3  above and below find the nearest key, never the key itself.
 *  G4  Nothing fails and nothing needs memory.
 */
#include "core/shelf.h"

/* A bijection, so that no two keys have one priority (splitmix64). */
static uint64_t priority(const struct shelf_node *node)
{
	uint64_t z = node->key + UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static struct shelf_node **link_to(struct shelf *shelf, struct shelf_node *node)
{
	struct shelf_node *parent = node->parent;

	return parent ? &parent->child[parent->child[1] == node] : &shelf->root;
}

/* Lifts a node over its parent; the order of keys stays. */
static void rotate_up(struct shelf *shelf, struct shelf_node *node)
{
	struct shelf_node *parent = node->parent;
	int side = parent->child[1] == node;
	struct shelf_node *between = node->child[!side];

	*link_to(shelf, parent) = node;
	node->parent = parent->parent;
	node->child[!side] = parent;
	parent->parent = node;
	parent->child[side] = between;
	if (between)
		between->parent = parent;
}

/* Gives the place of one front in the tree to another node. */
static void hand_over(struct shelf *shelf, struct shelf_node *from,
		      struct shelf_node *to)
{
	*link_to(shelf, from) = to;
	to->parent = from->parent;
	for (int side = 0; side < 2; side++) {
		to->child[side] = from->child[side];
		if (to->child[side])
			to->child[side]->parent = to;
	}
	from->front = false;
	to->front = true;
}

static void tree_remove(struct shelf *shelf, struct shelf_node *node)
{
	struct shelf_node *only;

	while (node->child[0] && node->child[1]) {
		int side = priority(node->child[1]) > priority(node->child[0]);

		rotate_up(shelf, node->child[side]);
	}
	only = node->child[0] ? node->child[0] : node->child[1];
	*link_to(shelf, node) = only;
	if (only)
		only->parent = node->parent;
	node->front = false;
}

void shelf_push(struct shelf *shelf, struct shelf_node *node)
{
	struct shelf_node **link = &shelf->root, *parent = NULL;

	node->next = node->prev = node;
	node->parent = node->child[0] = node->child[1] = NULL;
	shelf->count++;
	while (*link && (*link)->key != node->key) {
		parent = *link;
		link = &parent->child[node->key > parent->key];
	}
	if (*link) {
		node->next = *link;
		node->prev = (*link)->prev;
		node->prev->next = node;
		node->next->prev = node;
		hand_over(shelf, *link, node);
		return;
	}
	*link = node;
	node->parent = parent;
	node->front = true;
	while (node->parent && priority(node) > priority(node->parent))
		rotate_up(shelf, node);
}

void shelf_take(struct shelf *shelf, struct shelf_node *node)
{
	assert(shelf->count > 0);
	shelf->count--;
	if (node->front && node->next != node)
		hand_over(shelf, node, node->next);
	else if (node->front)
		tree_remove(shelf, node);
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = node->prev = NULL;
}

void shelf_demote(struct shelf *shelf, struct shelf_node *node)
{
	struct shelf_node *front;

	if (node->next->front && !node->front)
		return;
	if (node->front) {
		/* Of a ring, what was in front of the second is the last. */
		if (node->next != node)
			hand_over(shelf, node, node->next);
		return;
	}
	front = shelf_at(shelf, node->key);
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = front;
	node->prev = front->prev;
	node->prev->next = node;
	front->prev = node;
}

struct shelf_node *shelf_at(const struct shelf *shelf, uint64_t key)
{
	struct shelf_node *node = shelf->root;

	while (node && node->key != key)
		node = node->child[key > node->key];
	return node;
}

struct shelf_node *shelf_above(const struct shelf *shelf, uint64_t key)
{
	struct shelf_node *node = shelf->root, *found = NULL;

	while (node) {
		if (node->key > key)
			found = node;
		node = node->child[node->key <= key];
	}
	return found;
}

struct shelf_node *shelf_below(const struct shelf *shelf, uint64_t key)
{
	struct shelf_node *node = shelf->root, *found = NULL;

	while (node) {
		if (node->key < key)
			found = node;
		node = node->child[node->key < key];
	}
	return found;
}

struct shelf_node *shelf_behind(const struct shelf_node *node)
{
	return node->next->front ? NULL : node->next;
}
