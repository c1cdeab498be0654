/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port: the daemon's side of one client's ring. The loop thread makes it,
 * hands it to a worker, and frees it when the worker has let go of it.
 */
#ifndef DAEMON_PORT_H
#define DAEMON_PORT_H

#include "core/ring/ring_server.h"
#include "daemon/chain.h"
#include "daemon/engine.h"
#include "daemon/fencepage.h"
#include "daemon/patience.h"

enum {
	/* What one client may have done before the others have their turn. */
	PORT_REQUESTS = 8,
	PORT_FREES = RING_FREES_MAX,
	/* Bytes of lists and the like in all but the last of its requests. */
	PORT_ARGS_BYTES = LIST_ENTRIES_MAX * 8,
	/* Looks at progress words, of about 20 ns each, in a row. */
	PORT_LOOKS = 1024,
	/* Late replies that wait for the worker. */
	PORT_LATE = 32,
};

/* Where a port is among those whose offers will be looked at: agenda.c. */
struct agenda_node {
	struct port *parent, *left, *right;
	unsigned int rank;
};

/* A late reply. */
struct port_late {
	struct wire_reply head;
	bool quiet; /* the client does not want to hear it */
};

struct port {
	struct engine_sink sink; /* late replies, progress, its page */
	struct engine *engine;
	uint32_t client; /* the broker's name for it */
	/* The ring's file, until port_take_memory; -1 afterwards. */
	int memory_fd;
	/* What the client writes to, to wake the worker; never read. */
	int doorbell_fd;
	/* Called inside the gate when late replies have come or the port is
	 * to be looked at, by any thread; not again before port_serve_late. */
	void (*late_came)(struct port *port);
	/* The client is to be told by the socket that it has been refused
	 * something that it does not wait for. The worker only. */
	void (*tell)(struct port *port);

	/* Inside the gate. */
	bool ended; /* the session has gone: execute nothing more */
	bool late_told;
	bool is_settling; /* who fetches the late replies is inside himself */
	bool asks; /* its client rings after progress, or the worker knows */
	struct fencepage *page; /* of its client's fences, or NULL */
	uint32_t late_count;
	struct port_late late[PORT_LATE];

	/* The worker's. */
	struct ring_server server;
	struct patience patience;
	uint64_t worked_ns; /* when it last had work */
	uint64_t timer_ns; /* when the timer expires */
	bool is_active, has_timer, is_faulty;
	bool has_rung; /* its progress words are to be looked at */
	uint32_t next_word; /* to be looked at; 0: all have been */
	uint32_t words; /* what these looks cost first; 0: nobody waited */
	bool has_called; /* its offers are to be looked at */
	uint64_t offers_due_ns; /* when they are next; 0: not */
	uint64_t *left; /* of RING_OFFERS handles; NULL: there are none */
	uint32_t n_left; /* that were offered, and taken, and are to be freed */
	struct agenda_node offers; /* while that is not 0 */
	/* The last reply of a client that is to be ended, and why. */
	struct wire_reply farewell;
	const char *cause;
	struct chain_node active_node, timer_node;

	/* Between the threads, under the worker's lock. */
	struct worker *worker;
	struct chain_node late_node, closing_node, faulty_node, telling_node;
	bool is_telling;

	/* The loop's. */
	void *owner; /* the client, or NULL when it has gone */
};

/* Makes a ring and its doorbell: 0 or a negative errno. poll_ns: how long to
 * look at it at most before asking to be rung, see patience_init. */
int port_new(struct engine *engine, uint32_t client, uint64_t poll_ns,
	     struct port **ret);

/* No worker has it any more. NULL is allowed. */
void port_free(struct port *port);

/* The descriptor of the ring's memory, which is now the caller's. */
int port_take_memory(struct port *port);

/* Makes the client's page of fences: 0 or a negative errno. The loop. */
int port_make_page(struct port *port);

/* Its client has ended: nobody has to believe the page any more. The loop,
 * outside of the gate. */
void port_drop_page(struct port *port);

#define PORT_BYTES sizeof(struct ring)

/* Where a worker works; nothing in it outlives a call. */
struct port_job {
	enum ring_take take;
	enum broker_verdict verdict;
	bool executed;
	struct broker_reply reply;
	struct ring_work work;
	/* What the broker answers: data, or to frees. */
	union {
		uint64_t data[WIRE_DATA_BYTES_MAX / 8];
		struct wire_reply refusals[LIST_ENTRIES_MAX];
	};
	uint32_t n_refusals;
	uint32_t left; /* frees that are for the next turn */
};

struct port_bench {
	struct port_job jobs[PORT_REQUESTS];
	struct port_late late[PORT_LATE];
	uint32_t n_late;
	/* Set when a request is to be answered later: a turn of the engine may
	 * be all that it waits for. */
	bool any_later;
	/* That turn, or another one, has been made: this is what it has left. */
	bool has_settled;
	struct engine_rest rest;
};

enum port_served {
	PORT_IDLE, /* there was nothing that could be done */
	PORT_BUSY, /* there was, and there may be more */
	PORT_FAULT, /* the client is to be ended: farewell, cause */
};

/* One bounded turn: takes, executes, completes, wakes. *ret_done is raised by
 * the requests and frees that were executed. The worker only. */
enum port_served port_serve(struct port *port, struct port_bench *bench,
			    uint64_t now_ns, uint32_t *ret_done);

/* Makes the worker look at the port, which may be parked. */
void port_poke_locked(struct port *port);

/* It is about to be parked: whether its client is to ring when it stores
 * progress, since somebody waits for that. When not, and somebody comes to
 * wait, the worker will be made to look at the port. */
bool port_asks_locked(struct port *port);

/* Looks at its progress words, if somebody waits, from next_word on, some at a
 * time. What that has cost, 0: nobody waits. The worker only. */
uint32_t port_progressed_locked(struct port *port);

/* Takes the offers whose time has come and destroys what they name; sets
 * offers_due_ns. Resources with many children are left for the next look, which
 * is then due at once, and turns of the engine are made for those that went.
 * *ret_done is raised by their number. The worker only. */
void port_take_offers(struct port *port, struct port_bench *bench,
		      uint64_t now_ns, uint32_t *ret_done);

/* Writes the late replies that have come; then there may be room for work
 * that waited for it. The worker only. */
void port_serve_late(struct port *port, struct port_bench *bench);

#endif
