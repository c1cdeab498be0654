/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are answered when something has come. One thread. */
#ifndef CORE_WAITER_H
#define CORE_WAITER_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/state.h"

/* The way on which a request came; its reply goes the same way. */
enum broker_port {
	BROKER_PORT_SOCKET,
	BROKER_PORT_RING,
	/* Of its own: the request was answered, what it waits for is said by
	 * the descriptor that went with the reply. */
	BROKER_PORT_WATCH,
};

/* What a late answer must know of the request that it answers. */
struct ticket {
	uint64_t id;
	enum broker_port port;
	bool quiet; /* nobody wants to hear of success */
};

/*
 * A waiter answers a request of a session when waiter_done has been called as
 * often as waiter_expect has asked for; a session that has gone is not
 * answered. The caller has charged nothing: waiter_new does, and refuses with
 * an outcome.
 */
uint32_t waiter_new(struct env *env, uint32_t session,
		    const struct ticket *ticket, uint8_t opcode,
		    struct outcome *ret);
/* The same for a request that waits for cost things at a time. */
uint32_t waiter_new_for(struct env *env, uint32_t session,
			const struct ticket *ticket, uint8_t opcode,
			uint32_t cost, struct outcome *ret);
void waiter_expect(struct env *env, uint32_t waiter, uint32_t more);
void waiter_done(struct env *env, uint32_t waiter);

/* One waiter more for what leader waits for: it expects leader's end. */
void waiter_follow(struct env *env, uint32_t waiter, uint32_t leader);

/* Gives up a waiter that nothing has been told to. */
void waiter_drop(struct env *env, uint32_t waiter);

/* Answers those of a session now that wait for work of a device and have no
 * answer yet, with a failure. */
void waiter_fail_all(struct env *env, uint32_t session, uint32_t device,
		     int status, enum tenure_reason reason);

/* Takes the next waiter whose answer is due, or 0; then waiter_drop it. */
uint32_t waiter_next_answered(struct env *env);

/* Forgets the answers of a session that nobody will read. */
void waiter_purge(struct env *env, uint32_t session);

#endif
