/* SPDX-License-Identifier: Apache-2.0 */
/* When a worker looks at whose offers. See agenda.c. One thread. */
#ifndef DAEMON_AGENDA_H
#define DAEMON_AGENDA_H

#include "daemon/port.h"

/* All zero is empty. */
struct agenda {
	struct port *first; /* which is due the earliest */
	uint64_t due_ns; /* of the earliest, or 0 when it is empty */
};

/* Notes a port that is not noted, unless its offers_due_ns is 0. */
void agenda_add(struct agenda *agenda, struct port *port);

/* Takes a port out, if it is noted: its offers_due_ns becomes 0. */
void agenda_remove(struct agenda *agenda, struct port *port);

/* The port that is due the earliest, if that is by now, or NULL. */
struct port *agenda_due(const struct agenda *agenda, uint64_t now_ns);

#endif
