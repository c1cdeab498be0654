/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls in flight by the ring: which completion belongs to whom. See
 * flight.c. The connection's lock is the caller's.
 */
#ifndef CLIENT_FLIGHT_H
#define CLIENT_FLIGHT_H

#include "core/base.h"
#include "core/wire/msg.h"

/* A power of two, and fewer than a submission queue has entries. */
enum { FLIGHT_CALLS_MAX = 64 };

/* On the caller's stack while it waits. */
struct flight_call {
	uint64_t id; /* of the request */
	uint8_t opcode;
	uint32_t capacity; /* bytes of data that the reply may have */
	uint32_t fq_tail; /* of the free queue, when the call was sent */
	bool done;
	struct wire_reply reply; /* once done */
};

/* All zero is empty. */
struct flight {
	struct flight_call *calls[FLIGHT_CALLS_MAX];
	uint64_t launched;
	uint32_t count;
};

static inline bool flight_is_full(const struct flight *flight)
{
	return flight->count == FLIGHT_CALLS_MAX;
}

/* Enters a call, which needs opcode and capacity, and gives it an id; the
 * table is not full. */
void flight_launch(struct flight *flight, struct flight_call *call);

/* Takes a call out, done or not. */
void flight_remove(struct flight *flight, const struct flight_call *call);

/*
 * Hands a completion to its call. 0, or -EPROTO when it is none that any call
 * waits for.
 */
int flight_land(struct flight *flight, const struct wire_reply *reply);

#endif
