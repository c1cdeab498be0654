/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's end of a ring. One thread at a time, the caller has a lock, but
 * where it says otherwise. No system call: the caller writes the doorbell and
 * sleeps on the futex. The daemon is not trusted either: what it says is
 * judged before it is used, and -EPROTO is for ever.
 *
 * "Ring" below means: write 8 bytes into the doorbell.
 */
#ifndef CORE_RING_RING_CLIENT_H
#define CORE_RING_RING_CLIENT_H

#include "core/base.h"
#include "core/ring/ring.h"

struct ring_client {
	struct ring *ring;
	uint32_t sq_tail, fq_tail, cq_head;
	uint32_t published_sq_tail, published_fq_tail, published_cq_head;
	uint32_t sq_head, fq_head; /* the daemon's, as last read and judged */
	uint32_t cq_tail; /* likewise */
	uint32_t rung; /* the wish that was last rung for, see fq_need */
	uint32_t sleepers, head_waits;
	uint32_t wish; /* to be told of refusals by the socket; 0: none */
	uint32_t free_blocks; /* bit set: the block may be used */
};

/* The ring is fresh: nobody has used it. */
void ring_client_init(struct ring_client *client, struct ring *ring);

/*
 * A block of the arena, or -EAGAIN; given back by ring_client_block_free when
 * the completion of the request that named it has been read, or, for a quiet
 * request, when ring_client_is_drained or its refusal says that it is done.
 */
int ring_client_block_take(struct ring_client *client);
void ring_client_block_free(struct ring_client *client, int block);

/* From and to the start of a block; at most RING_BLOCK_BYTES. */
void ring_client_block_write(struct ring_client *client, int block,
			     const void *bytes, size_t size_bytes);
void ring_client_block_read(const struct ring_client *client, int block,
			    void *ret, size_t size_bytes);

/* Where a block lies, for wire_request.args_offset. */
static inline uint32_t ring_client_block_offset(int block)
{
	return (uint32_t)block * RING_BLOCK_BYTES;
}

/*
 * Puts a request into the queue, not yet visible. 0; -EAGAIN when the queue is
 * full (publish, then wait for completions or for ring_client_is_drained),
 * -EPROTO when the daemon's index is impossible.
 */
int ring_client_submit(struct ring_client *client,
		       const struct wire_request *request);

/*
 * Appends a handle to the free queue, visible at once. 0; 1 when the caller
 * must now ring; -EAGAIN when it is full (publish and wait, see above);
 * -EPROTO.
 */
int ring_client_free(struct ring_client *client, uint64_t handle);

/*
 * Makes submitted requests visible, and asks for what has been appended to the
 * free queue to be taken now. True: ring.
 */
bool ring_client_publish(struct ring_client *client);

/*
 * 1 when the daemon has done every request and free published so far (or
 * keeps it waiting for its late reply), 0, or -EPROTO.
 */
int ring_client_is_drained(struct ring_client *client);

/* Takes the next completion: 1, or 0 when there is none; -EPROTO. */
int ring_client_reap(struct ring_client *client, struct wire_reply *ret);

/*
 * To be called by whoever stops reaping: the daemon may have waited for room.
 * True: ring. Costs nothing when nothing has been reaped.
 */
bool ring_client_reaped(struct ring_client *client);

/*
 * Sleep: prepare, look again (reap, submit, is_drained), then futex-wait on
 * ring_client_futex for the value returned, then finish. Several threads may
 * sleep at a time; prepare and finish want the lock, the wait does not. It
 * may end for no reason.
 */
uint32_t ring_client_sleep_prepare(struct ring_client *client);
void ring_client_sleep_finish(struct ring_client *client);

/*
 * Sleepers are woken by completions, and between these two also by heads, that
 * is by room in a queue and by silence: to be called before the look that comes
 * before the sleep, also when somebody sleeps already.
 */
void ring_client_await_heads(struct ring_client *client);
void ring_client_forget_heads(struct ring_client *client);

/*
 * Asks the daemon to say by the socket, once, that a refusal is among the
 * completions; then look (reap), since what was there before is not said. To be
 * called again when it has been said.
 */
void ring_client_wish(struct ring_client *client);

/* What a thread has seen of the ring, to be compared without the lock. */
struct ring_seen {
	uint32_t cq_head, sq_head, fq_head;
	bool heads; /* the daemon's heads are of interest too */
};

void ring_client_seen(const struct ring_client *client, bool heads,
		      struct ring_seen *ret);

/* Whether there is a completion that had not been reaped, or a head that had
 * not been seen. Any thread, without the lock. */
bool ring_client_has_news(const struct ring *ring,
			  const struct ring_seen *seen);

/* Where to sleep: for FUTEX_WAIT, shared, never to be read. */
void *ring_client_futex(const struct ring_client *client);

/* Whether to ring after a value was stored that somebody may wait for, in a
 * page of fences. Any thread, without the lock. */
bool ring_client_is_asked(const struct ring *ring);

/* Stores a progress word; true: ring. Any thread, without the lock; one
 * thread for each word. */
bool ring_client_progress(struct ring *ring, uint32_t word, uint64_t value);

#endif
