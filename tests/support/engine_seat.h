/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine on the system's memory with clients that talk to it by hand: what
 * the tests of the daemon's modules above the broker stand on.
 */
#ifndef TESTS_SUPPORT_ENGINE_SEAT_H
#define TESTS_SUPPORT_ENGINE_SEAT_H

#include "daemon/backend_system.h"
#include "daemon/engine.h"

#include <semaphore.h>

struct engine_seat {
	struct backend_system *system;
	struct broker_adapter adapter;
	struct engine engine;
	struct backend_ops ops; /* the system's, to be changed before init */
	sem_t notified; /* once for each notification of the loop */
};

/* The seat must not move, and is zero but for is_quick of its ops. */
void engine_seat_init(struct engine_seat *seat);

/* Asserts that nothing is left. */
void engine_seat_deinit(struct engine_seat *seat);

/* One turn of the pump. */
struct engine_rest engine_seat_pump(struct engine_seat *seat);

/* Turns until nothing can be done any more. */
void engine_seat_settle(struct engine_seat *seat);

/* A message by the socket. */
enum broker_verdict engine_seat_ask(struct engine_seat *seat, uint32_t client,
				    struct wire_request head, const void *args,
				    struct broker_reply *ret);

/* A client with a device. */
uint32_t engine_seat_join(struct engine_seat *seat, uint64_t *ret_device);

/* Ends a client in the engine. */
void engine_seat_leave(struct engine_seat *seat, uint32_t client);

/* Turns until n obituaries have come, and asserts that no other mail does. */
void engine_seat_bury(struct engine_seat *seat, unsigned int n);

/* An allocation of one page. */
uint64_t engine_seat_create(struct engine_seat *seat, uint32_t client,
			    uint64_t device);

/* The head of a destroy of one handle, which are its arguments. */
struct wire_request engine_seat_destroy(uint64_t device, uint32_t flags,
					uint64_t id);

#endif
