/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client with a ring and without the library, so that a test can do what no
 * library would. The fields are there to be abused.
 */
#ifndef TESTS_SUPPORT_RAW_RING_H
#define TESTS_SUPPORT_RAW_RING_H

#include "core/ring/ring_client.h"
#include "tests/support/raw.h"

struct raw_ring {
	int socket, doorbell, memory;
	struct ring *ring;
	struct ring_client end;
	uint64_t ids;
};

/* Connects, says hello, asks for ring and doorbell, and maps; 0 or a negative
 * errno, and then nothing is left. */
int raw_ring_open(const char *path, struct raw_ring *ret);

/* The same on a connection that has said hello. */
int raw_ring_attach(int socket, struct raw_ring *ret);

/* The client's end of a ring without a connection; takes over both
 * descriptors, unless it fails with a negative errno. */
int raw_ring_map(int memory, int doorbell, struct raw_ring *ret);

/* Closes everything; the daemon sees the end of the connection. */
void raw_ring_close(struct raw_ring *ring);

/* Writes to the doorbell. */
void raw_ring_knock(const struct raw_ring *ring);

/*
 * Puts a request with its arguments into the ring and publishes it; the block
 * that it uses, or a negative errno.
 */
int raw_ring_send(struct raw_ring *ring, struct wire_request *head,
		  const void *args, size_t args_bytes);

/* Waits up to 10 s for the next completion; 0 or -ETIMEDOUT, -EPROTO. */
int raw_ring_receive(struct raw_ring *ring, struct wire_reply *ret);

/* Sends, receives, and gives the data of the reply; its status, or -ENOTCONN
 * when none came. ret may be NULL, its fd is -1. */
int raw_ring_call(struct raw_ring *ring, const struct wire_request *head,
		  const void *args, size_t args_bytes, struct raw_reply *ret);

/* Waits up to 10 s until everything published has been done. */
bool raw_ring_drain(struct raw_ring *ring);

#endif
