/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor by which an application's own loop learns that there is
 * something to be taken from a connection. See events.c. The connection's
 * lock is the caller's.
 */
#ifndef CLIENT_EVENTS_H
#define CLIENT_EVENTS_H

#include "core/base.h"

struct tenure;
struct wire_reply;

struct events {
	int poll; /* what the application has, or -1: it has not asked */
	int wake; /* an eventfd in it: something was found by this process */
	bool is_raised; /* the eventfd can be read */
	bool is_asked; /* the daemon knows that it may send notices */
	bool has_notice; /* one has come, and the ring was not looked at since */
	unsigned int about; /* what the next dispatch reports */
};

void events_init(struct events *events);
void events_deinit(struct events *events);

/* Makes the descriptor readable, if there is one. */
void events_raise(struct events *events);

/* Takes a message of the daemon if it is a notice that may come. */
bool events_try_notice(struct events *events, const struct wire_reply *reply);

#endif
