/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients: connections on one side, the broker on the other.
 */
#ifndef DAEMON_CLIENTS_H
#define DAEMON_CLIENTS_H

#include "daemon/backend_system.h"
#include "daemon/conn.h"
#include "daemon/engine.h"
#include "daemon/worker.h"

enum {
	CLIENTS_BUCKETS = 4096,
	/* Refused clients whose hello is waited for, to be answered. */
	CLIENTS_REFUSED_MAX = 64,
	/* Descriptors of fences of one client, from which on those that it has
	 * closed are looked for when it asks for one more. */
	CLIENTS_FENCEFDS_SWEEP = WATCHES_PER_CLIENT_MAX / 2,
};

struct client;

/* In the order in which they were put there. */
struct client_list {
	struct client *first, *last;
};

/* What has happened since the start. */
struct clients_counters {
	uint64_t connected, refused, killed, timed_out;
};

/* Everything pointed to must outlive the clients. */
struct clients_config {
	struct engine *engine;
	struct backend_system *system;
	struct poller *poller;
	struct worker *const *workers;
	unsigned int n_workers;
	/* For how long a ring is looked at, at most, before its client is asked
	 * to ring: see patience_init. */
	uint64_t poll_ns;
	uint64_t hello_timeout_ns;
	/* Descriptors of fences, of all clients together. */
	uint32_t fencefds_max;
	uint64_t (*now_ns)(void);
};

struct clients {
	struct clients_config config;
	struct conn_buffer buffer;
	/* The data of the reply that is being sent. */
	uint64_t data[WIRE_DATA_BYTES_MAX / 8];
	struct client *bucket[CLIENTS_BUCKETS];
	struct client_list waiting; /* for a hello */
	struct client_list greeted;
	struct client *buried; /* closed, to be freed at the end of the turn */
	uint32_t count, refused;
	uint32_t ports; /* that workers have, or are about to give back */
	uint32_t fencefds; /* that clients wait for */
	unsigned int next_worker;
	bool is_blocked; /* clients_retry is wanted in CONN_RETRY_MS */
	struct clients_counters counters;
};

void clients_init(struct clients *clients, const struct clients_config *config);

/* Every client must have ended, and every port come back. */
void clients_deinit(struct clients *clients);

/* Takes an accepted socket; whatever becomes of it is settled inside. */
void clients_admit(struct clients *clients, int socket_fd);

/* Tells an accepted socket why it is not wanted, and closes it. */
void clients_refuse(struct clients *clients, int socket_fd,
		    enum tenure_reason reason);

/* Hears the workers, reads the engine's mail: sends late replies, logs the
 * rest. Frees what has been closed; to be called when no connection is being
 * served. */
void clients_settle(struct clients *clients);

/* Ends those who have not said hello in time. Returns when to call again, or
 * 0 when nobody is waited for. */
uint64_t clients_expire(struct clients *clients);

/* Lets the blocked connections try again. */
void clients_retry(struct clients *clients);

/* Ends all of them, and tells them why. */
void clients_end_all(struct clients *clients, int status,
		     enum tenure_reason reason);

#endif
