/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: the thread that looks at rings, does what is in them, and keeps
 * the engine going while it is awake.
 *
 * All functions are for the loop thread.
 */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include "daemon/port.h"

enum {
	/* Doorbells that are heard at once. */
	WORKER_EVENTS = 64,
	/* With up to so many active ports one that has nothing to do is looked
	 * at for as long as others keep the worker awake: a look takes about
	 * 15 ns, to be woken some microseconds. But not one with more progress
	 * words that somebody waits for: of those each has to be looked at. */
	WORKER_COMPANY = 128,
	WORKER_COMPANY_WORDS = 16,
};

struct worker;

struct worker_config {
	struct engine *engine;
	/* Makes the loop thread look after worker_next_event and pump. */
	void (*notify)(void *context);
	void *context;
};

/* Starts the thread; 0 or a negative errno. */
int worker_new(const struct worker_config *config, struct worker **ret);

/* Ends the thread. Every port must have been closed. NULL is allowed. */
void worker_free(struct worker *worker);

/* Hands a new port over; 0, or a negative errno and the port is the caller's
 * as before. */
int worker_add(struct worker *worker, struct port *port);

/* Asks for a port back, after its client's end; WORKER_CLOSED follows. */
void worker_close(struct worker *worker, struct port *port);

enum worker_event {
	/* The client has to be ended, see port->farewell and port->cause. */
	WORKER_FAULTY,
	/* The client is to be told that it has been refused something. */
	WORKER_TELL,
	/* The port is the caller's again, to be freed. */
	WORKER_CLOSED,
};

/* Takes the next event. A port's CLOSED comes after all others of it. */
bool worker_next_event(struct worker *worker, enum worker_event *ret_event,
		       struct port **ret_port);

/* How many ports the worker has or is about to give back. */
uint32_t worker_ports(const struct worker *worker);

#endif
