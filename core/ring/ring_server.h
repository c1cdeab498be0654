/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's end of a ring. One thread at a time; no system call: the caller
 * owns the mapping, the doorbell, the timer and the futex.
 */
#ifndef CORE_RING_RING_SERVER_H
#define CORE_RING_RING_SERVER_H

#include "core/base.h"
#include "core/ring/ring.h"

enum { RING_FREES_MAX = LIST_ENTRIES_MAX };

enum ring_take {
	RING_TAKE_NONE, /* nothing to do */
	RING_TAKE_REQUEST, /* ret->request and its arguments */
	RING_TAKE_FREES, /* ret->frees handles to be destroyed, each alone */
	RING_TAKE_NO_ROOM, /* work waits until the client reads completions */
	RING_TAKE_FAULT, /* the client broke the protocol: end it */
};

/* One piece of work, copied out: nothing in it is shared with the client. */
struct ring_work {
	struct wire_request request; /* args_offset, data_capacity as sent */
	uint32_t frees;
	const char *fault; /* in words, for the log; RING_TAKE_FAULT */
	union {
		uint64_t args[RING_BLOCK_BYTES / 8];
		uint64_t handles[RING_FREES_MAX];
	};
};

struct ring_server {
	struct ring *ring;
	uint32_t sq_head, fq_head, cq_tail; /* ours; the shared ones are copies */
	uint32_t cq_head; /* the client's, as last read and judged */
	uint32_t reserved; /* completions promised to requests under way */
	uint32_t published_sq_head, published_fq_head, published_cq_tail;
};

void ring_server_init(struct ring_server *server, struct ring *ring);

/*
 * Takes the next piece of work: what lies in the free queue goes before the
 * next request, so that a request sees every free that was appended before it
 * was submitted. For REQUEST one completion is reserved; every request taken
 * ends with exactly one ring_server_complete or ring_server_forgo. For FREES
 * as many are reserved as frees; ring_server_refuse_free and then
 * ring_server_frees_done end it.
 */
enum ring_take ring_server_take(struct ring_server *server,
				struct ring_work *ret);

/*
 * Writes a completion, with data at the request's block: args_offset and
 * data_capacity are those of the request (0 and 0 for a late reply, which has
 * no data). Asserts that the data fits: ring_server_take has refused requests
 * whose reply might not.
 */
void ring_server_complete(struct ring_server *server,
			  const struct wire_reply *reply, const void *data,
			  uint32_t args_offset);

/* The request succeeded and asked for silence. */
void ring_server_forgo(struct ring_server *server);

/* One handle of the frees was refused; reply->value[0] is that handle. */
void ring_server_refuse_free(struct ring_server *server,
			     const struct wire_reply *reply);
void ring_server_frees_done(struct ring_server *server, uint32_t frees);

/* Makes heads and completions visible. True: wake the client (futex). */
bool ring_server_publish(struct ring_server *server);

/*
 * The caller is about to stop looking: asks the client to ring, for progress
 * too if wanted, and looks once more. False: work is there, go on.
 */
bool ring_server_park(struct ring_server *server, bool want_progress);
void ring_server_unpark(struct ring_server *server);

/*
 * The free queue's timer, see ring_server.c: called when it expires, and when
 * the doorbell rings while it is off. Returns whether it should run (on) for
 * one more period.
 */
bool ring_server_fq_expired(struct ring_server *server);

/* A progress word, read once. */
uint64_t ring_server_word(const struct ring_server *server, uint32_t word);

#endif
