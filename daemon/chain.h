/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of ports, in the order in which they came. A port has a node for each
 * kind of chain, and is in at most one chain of a kind. Who calls looks after
 * the threads.
 */
#ifndef DAEMON_CHAIN_H
#define DAEMON_CHAIN_H

#include <stddef.h>
#include <stdint.h>

struct port;

struct chain_node {
	struct port *previous, *next;
};

struct chain {
	struct port *first, *last; /* NULL when it is empty */
	uint32_t count;
	size_t node; /* where in a port its node is */
};

/* An empty chain, of the node of that name. */
#define CHAIN_OF(member) \
	((struct chain){ .node = offsetof(struct port, member) })

/* Puts a port at the end that is in no chain of the kind. */
void chain_put(struct chain *chain, struct port *port);

/* Takes out a port that is in the chain. */
void chain_remove(struct chain *chain, struct port *port);

/* Takes out the first one, or returns NULL. */
struct port *chain_take(struct chain *chain);

/* The order is the same, but in a circle that begins with a port of the chain. */
void chain_begin_with(struct chain *chain, struct port *port);

/* Takes out all of them: they are in the chain that is returned. */
struct chain chain_take_all(struct chain *chain);

#endif
