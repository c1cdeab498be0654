/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's end of a ring. One thread at a time: the caller has a lock. No
 * system call: the caller writes the doorbell and sleeps on the futex. The
 * daemon is not trusted either: what it says is judged before it is used.
 */
#ifndef CORE_RING_RING_CLIENT_H
#define CORE_RING_RING_CLIENT_H

#include "core/base.h"
#include "core/ring/ring.h"

struct ring_client {
	struct ring *ring;
	uint32_t sq_tail, fq_tail, cq_head;
	uint32_t sq_head, fq_head; /* the daemon's, as last read and judged */
	uint32_t free_blocks; /* bit set: the block may be used */
};

void ring_client_init(struct ring_client *client, struct ring *ring);

/* A block of the arena, or -EAGAIN; given back by ring_client_block_free. */
int ring_client_block_take(struct ring_client *client);
void ring_client_block_free(struct ring_client *client, int block);
void ring_client_block_write(struct ring_client *client, int block,
			     const void *bytes, size_t size_bytes);
void ring_client_block_read(const struct ring_client *client, int block,
			    void *ret, size_t size_bytes);

/* Puts a request into the queue, not yet visible; -EAGAIN when it is full,
 * -EPROTO when the daemon's index is impossible. */
int ring_client_submit(struct ring_client *client,
		       const struct wire_request *request);

/* Appends to the free queue, visible at once. 0; 1 when the caller must now
 * ring the doorbell; -EAGAIN when it is full; -EPROTO. */
int ring_client_free(struct ring_client *client, uint64_t handle);

/* Makes submitted requests and frees visible. True: ring the doorbell. */
bool ring_client_publish(struct ring_client *client);

/* True when the daemon has taken every request and free published so far. */
bool ring_client_is_drained(struct ring_client *client);

/* Takes the next completion: true, or false when there is none; -EPROTO. */
int ring_client_reap(struct ring_client *client, struct wire_reply *ret);

/*
 * Sleep: prepare, look again (reap, room), then futex-wait on
 * ring->header.wake_sequence for the value returned, then finish.
 */
uint32_t ring_client_sleep_prepare(struct ring_client *client);
void ring_client_sleep_finish(struct ring_client *client);

/* Stores a progress word; true: ring the doorbell. Any thread. */
bool ring_client_progress(struct ring *ring, uint32_t word, uint64_t value);

#endif
