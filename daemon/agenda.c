/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agenda
 *
 * Which clients' offers (core/ring/offers.c) a worker will look at, and when
 * the first of these looks is due. A client comes here when its first offer
 * rings, and leaves when a look has found none. There may be thousands, all
 * due at the same time and again a millisecond later, while other clients
 * wait for the worker: so the earliest is found at once, and to note and to
 * take out are a few steps each.
 *
 * It is a leftist heap, made of the ports themselves, so that nothing can
 * fail. Each is due no earlier than its parent, and has a rank: how many steps
 * down on the right lead to nothing. The rank on the right is never the greater
 * one, so a path on the right has at most log2(n + 1) ports, and that is where
 * two heaps are joined:
 *
 *	        3, rank 2                  3, rank 2
 *	       /         \                /         \
 *	  7, rank 1   4, rank 1    +   7, rank 1   4, rank 2
 *	             /                            /         \
 *	         9, rank 1                   9, rank 1   5, rank 1
 *
 * Guarantees, cited by the tests:
 *
 *  G1  due_ns is the earliest time of those noted, 0 without any, and that one
 *      comes first.
 *  G2  To note or take out one of n ports looks at no more than about
 *      3 * log2(n) others.
 */
#include "daemon/agenda.h"

static unsigned int rank(const struct port *port)
{
	return port ? port->offers.rank : 0;
}

static void hang(struct port *parent, struct port *right)
{
	parent->offers.right = right;
	if (right)
		right->offers.parent = parent;
}

/* The lesser rank to the right; whether the port's own has changed. */
static bool lean(struct port *port)
{
	struct agenda_node *node = &port->offers;
	unsigned int before = node->rank;

	if (rank(node->left) < rank(node->right)) {
		struct port *right = node->right;

		node->right = node->left;
		node->left = right;
	}
	node->rank = rank(node->right) + 1;
	return node->rank != before;
}

/* Two heaps become one: down their right sides, and back up. */
static struct port *join(struct port *a, struct port *b)
{
	struct port *above = NULL, *top;

	while (a && b) {
		struct port *later = b;

		if (b->offers_due_ns < a->offers_due_ns) {
			later = a;
			a = b;
		}
		a->offers.parent = above;
		if (above)
			above->offers.right = a;
		above = a;
		b = later;
		a = a->offers.right;
	}
	top = a ? a : b;
	if (above)
		hang(above, top);
	for (; above; above = above->offers.parent) {
		lean(above);
		top = above;
	}
	return top;
}

/* A new heap in the place of another one below a parent, or NULL. */
static void replace(struct agenda *agenda, struct port *old, struct port *new)
{
	struct port *parent = old->offers.parent;

	if (new)
		new->offers.parent = parent;
	if (!parent)
		agenda->first = new;
	else if (parent->offers.left == old)
		parent->offers.left = new;
	else
		parent->offers.right = new;
	while (parent && lean(parent))
		parent = parent->offers.parent;
	agenda->due_ns = agenda->first ? agenda->first->offers_due_ns : 0;
}

void agenda_add(struct agenda *agenda, struct port *port)
{
	if (port->offers_due_ns == 0)
		return;
	port->offers = (struct agenda_node){ .rank = 1 };
	agenda->first = join(agenda->first, port);
	agenda->due_ns = agenda->first->offers_due_ns;
}

void agenda_remove(struct agenda *agenda, struct port *port)
{
	struct agenda_node node = port->offers;

	if (port->offers_due_ns == 0)
		return;
	if (node.left)
		node.left->offers.parent = NULL;
	if (node.right)
		node.right->offers.parent = NULL;
	replace(agenda, port, join(node.left, node.right));
	port->offers_due_ns = 0;
	port->offers = (struct agenda_node){ 0 };
}

struct port *agenda_due(const struct agenda *agenda, uint64_t now_ns)
{
	if (agenda->due_ns == 0 || agenda->due_ns > now_ns)
		return NULL;
	return agenda->first;
}
