/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's end of a ring. One thread at a time; no system call: the caller
 * owns the mapping, the doorbell, the timer and the futex. The idea is in
 * ring_server.c.
 */
#ifndef CORE_RING_RING_SERVER_H
#define CORE_RING_RING_SERVER_H

#include "core/base.h"
#include "core/ring/ring.h"

enum ring_take {
	RING_TAKE_NONE, /* nothing to do */
	RING_TAKE_REQUEST, /* ret->request and its arguments */
	RING_TAKE_FREES, /* ret->frees handles to be destroyed, each alone */
	RING_TAKE_NO_ROOM, /* work waits until the client reads completions */
	RING_TAKE_FAULT, /* the client broke the protocol: end it */
};

/* One piece of work, copied out: nothing in it is shared with the client. */
struct ring_work {
	uint32_t frees;
	const char *fault; /* in words, for the log; RING_TAKE_FAULT */
	union {
		/* A whole message for broker_receive: request.args_bytes bytes
		 * of arguments lie behind the head. */
		struct {
			struct wire_request request;
			uint64_t args[RING_BLOCK_WORDS];
		};
		uint64_t handles[RING_FREES_MAX];
	};
};

/* Who looks after what is appended to the free queue, see ring_server.c. */
enum ring_frees {
	RING_FREES_BELL, /* the client rings */
	RING_FREES_TIMER, /* the timer looks */
	RING_FREES_LINGER, /* the client rings, and the timer looks once more */
};

struct ring_server {
	struct ring *ring;
	/* Ours; what is in the ring are copies for the client. */
	uint32_t sq_head, fq_head, cq_tail;
	uint32_t published_sq_head, published_fq_head, published_cq_tail;
	uint32_t wake_sequence;
	/* The client's, as last read and judged. */
	uint32_t sq_tail, fq_tail, cq_head;
	uint32_t reserved; /* completions promised to work under way */
	enum ring_frees frees;
	uint32_t fq_need; /* the last wish to be rung: another each time */
	bool came; /* frees were taken since the timer last expired */
	bool no_room; /* the last take had to wait for room */
	bool has_refused; /* a free, since the last publish */
	bool tells; /* the client has wished to be told, and is to be now */
	uint32_t told; /* the wish for which it was told last */
	const char *fault; /* once one is found, there is nothing else */
};

/* ring is zero and no client has it yet. The server starts parked. */
void ring_server_init(struct ring_server *server, struct ring *ring);

/*
 * Takes the next piece of work. What was in the free queue when a request was
 * submitted is taken before that request. For REQUEST one completion is
 * reserved; every request taken ends with exactly one ring_server_complete or
 * ring_server_forgo, now or later. For FREES as many are reserved as frees;
 * ring_server_refuse_free and then ring_server_frees_done end it. ret is
 * changed only by REQUEST, FREES and FAULT.
 */
enum ring_take ring_server_take(struct ring_server *server,
				struct ring_work *ret);

/*
 * Writes the completion of a request, with reply->data_bytes bytes of data
 * into the block at args_offset, that of the request (a late reply has no
 * data). Asserts that they fit a block: the codec has refused requests that
 * offer less than their reply may need.
 */
void ring_server_complete(struct ring_server *server,
			  const struct wire_reply *reply, const void *data,
			  uint32_t args_offset);

/*
 * The request succeeded and asked for silence. Its room may be what other work
 * waited for: a late one wants a look at the ring.
 */
void ring_server_forgo(struct ring_server *server);

/* What was taken last and has not been begun: it is taken again. So many
 * requests, and of the frees so many. */
void ring_server_put_back(struct ring_server *server, uint32_t requests,
			  uint32_t frees);

/* One handle of the frees was refused; reply->value[0] is that handle. */
void ring_server_refuse_free(struct ring_server *server,
			     const struct wire_reply *reply);
void ring_server_frees_done(struct ring_server *server, uint32_t frees);

/*
 * Makes heads and completions visible. True: wake the client, that is all who
 * sleep on the futex ring_server_futex. The heads tell the client that what it
 * submitted has been done, so all work taken must have been executed (or be
 * waiting for its late reply).
 */
bool ring_server_publish(struct ring_server *server);

/* After a publish: whether the client is to be told by the socket that there is
 * a refusal. True once for each of its wishes. */
bool ring_server_tells(struct ring_server *server);

/*
 * The caller is about to stop looking: asks the client to ring, for progress
 * too if wanted, and looks once more. True: it may sleep until the doorbell or
 * the timer, after it has looked at the progress words that it waits for.
 * False: there is work, go on as if it had never parked.
 */
bool ring_server_park(struct ring_server *server, bool want_progress);
void ring_server_unpark(struct ring_server *server);

/*
 * The free queue's timer. While ring_server_wants_timer says so and nobody
 * takes all the time, a timer of RING_FREES_PERIOD_NS must run, and
 * ring_server_fq_expired be called when a *whole* period has passed since it was
 * started; it returns whether the timer is to be started again. Then take:
 * what made it go on is still to be taken.
 */
bool ring_server_wants_timer(const struct ring_server *server);
bool ring_server_fq_expired(struct ring_server *server);

/* A progress word, read once. Any thread. */
uint64_t ring_server_word(const struct ring_server *server, uint32_t word);

/* Writes one, before the client is told that it has it. Any thread. */
void ring_server_word_reset(const struct ring_server *server, uint32_t word,
			    uint64_t value);

/* Where the client sleeps: for FUTEX_WAKE, shared, never to be read. */
void *ring_server_futex(const struct ring_server *server);

#endif
