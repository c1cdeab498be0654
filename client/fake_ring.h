/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring for the fake daemon: a thread that serves it with the daemon's own end
 * of a ring. See fake_ring.c.
 */
#ifndef CLIENT_FAKE_RING_H
#define CLIENT_FAKE_RING_H

#include "client/fake_daemon.h"
#include "core/ring/ring_server.h"

/* Gives the fake a ring, before the connection is made; then serves it. */
struct fake_ring *fake_ring_new(struct fake_daemon *fake);

/* The same without a thread: it is served when fake_ring_serve is called, by
 * the thread that calls the library. False: the client has broken the ring. */
struct fake_ring *fake_ring_new_passive(struct fake_daemon *fake);
bool fake_ring_serve(struct fake_ring *ring);

/* Stops serving. The connection has ended. */
void fake_ring_free(struct fake_ring *ring);

/* A descriptor of the ring's memory or of its doorbell. */
int fake_ring_fd(struct fake_ring *ring, uint8_t opcode);

/* From now on nothing is taken from the ring, until let go. */
void fake_ring_hold(struct fake_ring *ring);
void fake_ring_let_go(struct fake_ring *ring);

/* Replies to that opcode are kept back until fake_ring_late sends them, the
 * newest first; 0: none is. */
void fake_ring_delay(struct fake_ring *ring, uint8_t opcode);
void fake_ring_late(struct fake_ring *ring);
unsigned int fake_ring_kept(struct fake_ring *ring);

/* Somebody waits for progress now: returns when the client has been asked to
 * ring for it. */
void fake_ring_await(struct fake_ring *ring);

/* A progress word, as the daemon would read it. */
uint64_t fake_ring_word(const struct fake_ring *ring, uint64_t word);

/* How often the client has rung, as far as that has been looked at. */
uint64_t fake_ring_bells(struct fake_ring *ring);

/* Handles taken from the free queue so far. */
uint64_t fake_ring_frees(struct fake_ring *ring);

/* A completion that nobody asked for. */
void fake_ring_send(struct fake_ring *ring, const struct wire_reply *reply);

/* The ring itself: for a daemon that writes what it must not. */
struct ring *fake_ring_memory(struct fake_ring *ring);
int fake_ring_memory_fd(const struct fake_ring *ring);

#endif
