/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that gives memory back.
 *
 * All functions are for one thread at a time, whoever is inside the engine's
 * gate; the notification is called by the releaser's own thread.
 */
#ifndef DAEMON_RELEASER_H
#define DAEMON_RELEASER_H

#include "core/broker.h"

enum {
	/* Jobs under way, waiting or resting. */
	RELEASER_JOBS = 64,
	/* A job that failed is not reported before this has passed. */
	RELEASER_REST_MS = 100,
};

struct releaser;

struct releaser_config {
	const struct broker_adapter *adapters;
	uint32_t n_adapters;
	/* Called when releaser_next_done may have something to say, unless
	 * somebody watches. */
	void (*notify)(void *context);
	void *context;
};

/* Starts the thread; 0 or a negative errno. */
int releaser_new(const struct releaser_config *config, struct releaser **ret);

/* Waits for the job under way and ends the thread; jobs that wait are
 * dropped. NULL is allowed. */
void releaser_free(struct releaser *releaser);

/* Room for one more job, to be filled in and submitted or left alone; NULL
 * when RELEASER_JOBS are out. */
struct release *releaser_room(struct releaser *releaser);

/* Hands the filled room to the thread. */
void releaser_submit(struct releaser *releaser);

struct releaser_result {
	uint32_t client;
	int status;
	uint64_t resource;
	uint64_t bytes;
	uint32_t count; /* of allocations */
};

/* Takes the result of a job that is done, and has rested if it failed. */
bool releaser_next_done(struct releaser *releaser, uint64_t now_ns,
			struct releaser_result *ret);

/* From now on the caller asks releaser_next_done by himself: no notification
 * until releaser_unwatch, which returns whether there is something to take. */
void releaser_watch(struct releaser *releaser);
bool releaser_unwatch(struct releaser *releaser);

/* When the next resting job has rested; 0 when none rests. */
uint64_t releaser_rest_until(const struct releaser *releaser);

#endif
