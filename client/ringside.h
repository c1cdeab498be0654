/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's side of a connection's ring: calls that wait for their
 * completion, and destroys that nobody waits for. See ringside.c. The caller
 * holds the connection's lock; functions that end in _waits give it up while
 * they wait, so that what was looked up before them must be looked up again.
 */
#ifndef CLIENT_RINGSIDE_H
#define CLIENT_RINGSIDE_H

#include "client/flight.h"
#include "client/ringmap.h"
#include "client/spin.h"
#include "core/base.h"

struct tenure;
struct call;
struct ring_waiter;

enum {
	/* How often a sleeper looks whether the daemon still lives. */
	RING_LIVENESS_MS = 100,
	/* Appended destroys after which the daemon is told at once. */
	RING_KICK_EVERY = RING_FQ_ENTRIES / 4,
};

struct ringside {
	struct ringmap map;
	struct ring_client end;
	struct flight flight;
	struct spin spin;
	struct ring_waiter *waiters; /* followers */
	bool led; /* a thread looks for completions */
	uint32_t heads_wanted; /* waits for heads, not only for completions */
	/* How far the free queue was filled when the newest request was sent
	 * that has been answered: so far all is done. */
	uint32_t done_fq_tail;
	/* Entries of the offers that are in use, see client/offer.c; those that
	 * there are not are. */
	uint64_t offers_used[(RING_OFFERS + 63) / 64];
	uint32_t unkicked; /* appended since the daemon was last told */
};

/*
 * Takes the memory and the doorbell, descriptors that stay the caller's when
 * it fails. 0, -ENOMEM, or what ringmap_init says.
 */
int ringside_new(int memory, int doorbell, struct ringside **ret_side);

void ringside_free(struct ringside *side, bool forked);

/*
 * Waits until a call can be put into the ring at once. 0, or the status of a
 * dead connection, which has been remembered.
 */
int ringside_prepare_waits(struct tenure *connection);

/*
 * Sends a request and waits for its completion: fills call->reply, the data
 * is in connection->data. 0, also for a refusal; or the status of a dead
 * connection, which has been remembered.
 */
int ringside_call_waits(struct tenure *connection, struct call *call);

/*
 * Appends the destroy of one handle. Waits only while the queue is full. 0,
 * or the status of a dead connection, which has been remembered.
 */
int ringside_free_waits(struct tenure *connection, uint64_t handle);

/*
 * Waits until the daemon has carried out every destroy appended before the
 * call, and all that it refused of them is in connection->refusals. 0, or the
 * status of a dead connection, which has been remembered.
 */
int ringside_settle_waits(struct tenure *connection);

/* Takes what completions there are, without waiting. */
void ringside_reap(struct tenure *connection);

#endif
