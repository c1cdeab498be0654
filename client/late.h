/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls by the socket whose answer may take as long as people's work takes.
 * See late.c. The connection's lock is the caller's; functions that end in
 * _waits give it up while they wait.
 */
#ifndef CLIENT_LATE_H
#define CLIENT_LATE_H

#include "core/base.h"
#include "core/wire/msg.h"

#include <pthread.h>

struct tenure;
struct call;
struct exchange;

/* One call that is waited for; it does not move while it is in the list. */
struct late_call {
	struct late_call *next;
	uint64_t id;
	uint8_t opcode;
	bool done;
	struct wire_reply reply; /* once done */
};

/* All zero but for the condition is empty. */
struct late {
	struct late_call *calls;
	pthread_cond_t landed;
	bool led; /* a thread waits on the socket, without the lock */
	int wake; /* an eventfd that ends its wait, or -1 */
};

void late_init(struct late *late);
/* forked: others may have been asleep in it. */
void late_deinit(struct late *late, bool forked);

/* Whether the answer to a request may wait for somebody's work. By a ring it is
 * waited for as any other. */
bool late_may_be(const struct wire_request *request);

/*
 * Sends a request and enters it. 0; a status that has been remembered: nothing
 * was sent, or the connection is dead.
 */
int late_send_locked(struct tenure *connection, struct call *call,
		     struct late_call *ret_late);

/*
 * Waits for the answer until deadline_ns of the monotonic clock; 0: for ever.
 * Once there is one, or the connection is dead, the call has left the list:
 * 0, also for a refusal, with call->reply filled; or the status of the dead
 * connection, which has been remembered. 1: the time is over, and the call
 * is still in the list.
 */
int late_finish_waits(struct tenure *connection, struct call *call,
		      struct late_call *late, uint64_t deadline_ns);

/* late_send_locked and late_finish_waits, for ever. */
int late_call_waits(struct tenure *connection, struct call *call);

/* Hands a message to the call that it answers; false when there is none, or
 * when it makes no sense as an answer. */
bool late_try_land(struct tenure *connection, const struct exchange *exchange);

/* The connection has died: whoever waits must see it. */
void late_wake_all(struct late *late);

#endif
