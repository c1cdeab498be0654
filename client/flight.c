/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flight
 *
 * Several threads wait for answers by one ring, and answers may come in any
 * order: a synchronous destroy is answered when its memory is back. So each
 * request carries the place of its call in a table, and a number that is never
 * used again:
 *
 *	id:   [ launched ....................... 58 | place 6 ]
 *
 * and whoever reads the completion finds the waiter with one look. What the
 * daemon sends is judged here as far as the head goes: an answer to nobody, a
 * second answer, one of another opcode, a descriptor that a ring cannot carry,
 * or more data than there was room for ends the connection.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A call is done by the completion with its id, and by no other.
 *  G2  What is no answer to a waiting call changes nothing.
 */
#include "client/flight.h"

enum { ERRNO_MAX = 4095 };

static_assert((FLIGHT_CALLS_MAX & (FLIGHT_CALLS_MAX - 1)) == 0, "a mask");

static uint32_t place_of(uint64_t id)
{
	return (uint32_t)(id % FLIGHT_CALLS_MAX);
}

void flight_launch(struct flight *flight, struct flight_call *call)
{
	uint64_t launched = ++flight->launched;
	uint32_t place = place_of(launched);

	assert(!flight_is_full(flight));
	while (flight->calls[place])
		place = place_of(place + 1);
	call->id = launched * FLIGHT_CALLS_MAX + place;
	call->done = false;
	flight->calls[place] = call;
	flight->count++;
}

void flight_remove(struct flight *flight, const struct flight_call *call)
{
	uint32_t place = place_of(call->id);

	assert(flight->calls[place] == call);
	flight->calls[place] = NULL;
	flight->count--;
}

int flight_land(struct flight *flight, const struct wire_reply *reply)
{
	struct flight_call *call = flight->calls[place_of(reply->id)];

	if (!call || call->done || call->id != reply->id ||
	    call->opcode != reply->opcode || reply->reserved != 0 ||
	    reply->fds != 0 || reply->data_bytes > call->capacity ||
	    reply->status > 0 || reply->status < -ERRNO_MAX)
		return -EPROTO;
	call->reply = *reply;
	call->done = true;
	return 0;
}
