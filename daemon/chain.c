/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chain
 *
 * The links lie in the ports themselves, so putting one in cannot fail, and
 * taking one out takes no search:
 *
 *	chain:  first ---------> port <----> port <----> port <--- last
 *	                         node        node        node
 *
 * A port is in many chains of different kinds at a time: that of those who are
 * looked at, that of the timers, and the boxes in which two threads pass it to
 * each other. So a chain says where in a port its nodes are.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Ports come out in the order in which they were put in, once each.
 *  G2  A port that has been taken out has an empty node.
 */
#include "daemon/chain.h"

static struct chain_node *node_of(const struct chain *chain, struct port *port)
{
	return (struct chain_node *)((char *)port + chain->node);
}

void chain_put(struct chain *chain, struct port *port)
{
	*node_of(chain, port) = (struct chain_node){ .previous = chain->last };
	if (chain->last)
		node_of(chain, chain->last)->next = port;
	else
		chain->first = port;
	chain->last = port;
	chain->count++;
}

void chain_remove(struct chain *chain, struct port *port)
{
	const struct chain_node node = *node_of(chain, port);

	if (node.previous)
		node_of(chain, node.previous)->next = node.next;
	else
		chain->first = node.next;
	if (node.next)
		node_of(chain, node.next)->previous = node.previous;
	else
		chain->last = node.previous;
	chain->count--;
	*node_of(chain, port) = (struct chain_node){ NULL, NULL };
}

struct port *chain_take(struct chain *chain)
{
	struct port *first = chain->first;

	if (first)
		chain_remove(chain, first);
	return first;
}

void chain_begin_with(struct chain *chain, struct port *port)
{
	struct port *first = chain->first, *last = chain->last;

	if (port == first)
		return;
	node_of(chain, last)->next = first;
	node_of(chain, first)->previous = last;
	chain->first = port;
	chain->last = node_of(chain, port)->previous;
	node_of(chain, chain->last)->next = NULL;
	node_of(chain, port)->previous = NULL;
}

struct chain chain_take_all(struct chain *chain)
{
	struct chain all = *chain;

	*chain = (struct chain){ .node = chain->node };
	return all;
}
