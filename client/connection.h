/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: one transport, one lock, and what is remembered. Every public
 * function is one connection_enter, some _locked steps and one
 * connection_leave. See connection.c.
 */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include "client/api.h"
#include "client/error.h"
#include "client/events.h"
#include "client/fence_view.h"
#include "client/forkmark.h"
#include "client/late.h"
#include "client/ledger.h"
#include "client/own_fence.h"
#include "client/refusals.h"
#include "client/ringside.h"
#include "client/transport.h"
#include "client/work.h"
#include "core/base.h"
#include "core/wire/msg.h"

#include <pthread.h>
#include <sys/un.h>

static_assert(sizeof(size_t) == 8, "stores are larger than 4 GiB");
static_assert(sizeof(struct tenure_allocation) == sizeof(uint64_t),
	      "a list of handles is sent as it stands");

/*
 * What only one thread at a time may be doing, although the lock is given up
 * while it waits for the daemon.
 */
enum turn {
	/* Map and unmap: what the daemon counts must be what is counted here. */
	TURN_MAPPING,
	/* Opens and closes of adapters, for the same reason. */
	TURN_ADAPTERS,
	/* Making the default device. Before TURN_ADAPTERS. */
	TURN_DEFAULT_DEVICE,
	/* Recording uses and sending them. */
	TURN_BATCHES,
	TURNS,
};

struct tenure {
	pthread_mutex_t lock; /* of everything but mark and path */
	struct forkmark mark;
	struct transport *transport;
	/* Once not 0, every call fails with it. */
	int dead_status;
	enum tenure_reason dead_reason;
	uint64_t last_id;
	uint16_t fds_received; /* not yet acknowledged */
	struct ringside *ringside; /* NULL: the socket carries everything */
	struct refusals refusals;
	struct events events;
	bool turns[TURNS];
	pthread_cond_t turn_over;
	struct late late;
	struct ledger ledger;
	struct work work;
	struct own_fences own_fences;
	struct fence_views fence_views;
	/* Of the two-minute layer; 0 until it is needed. */
	struct tenure_device default_device;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	/* One request's arguments and one reply's data. */
	_Alignas(8) uint8_t args[WIRE_ARGS_BYTES_MAX];
	_Alignas(8) uint8_t data[WIRE_DATA_BYTES_MAX];
};

/* One request on its way, and what came of it. */
struct call {
	struct wire_request request; /* id, args_bytes, fds_acked are filled */
	const void *args;
	size_t args_bytes;
	bool by_socket; /* which keeps the lock; nothing before it matters */
	struct wire_reply reply; /* its data is in connection->data */
	/* The caller's to close, after a map that asked for it; or -1. */
	int fd;
	bool fd_lost; /* one came, but this process had no room for it */
};

/*
 * Begins a public function: refuses NULL, a forked child and a dead
 * connection; otherwise takes the lock and returns 0.
 */
int connection_enter(struct tenure *connection);

/* Ends it; returns status. */
int connection_leave(struct tenure *connection, int status);

/*
 * Sends a request and judges the reply: 0, or the status of a refusal, which
 * has been remembered. A reply that is none kills the connection. The lock is
 * given up while the ring carries it, or while the answer may wait for
 * somebody's work (late_may_be), so what was looked up before must be
 * looked up again; connection->data holds the reply's data until the next
 * call. A request that brings a descriptor goes by the socket, and keeps the
 * lock.
 */
int connection_call_locked(struct tenure *connection, struct call *call);

/*
 * Waits until the next call can be sent at once: what is put into
 * connection->args afterwards stays there until that call. 0, or the status
 * of a dead connection, which has been remembered. May give up the lock.
 */
int connection_prepare_locked(struct tenure *connection);

/*
 * Waits until the destroys that nobody waits for have been carried out: before
 * a request that goes by the socket. As connection_prepare_locked.
 */
int connection_settle_locked(struct tenure *connection);

/* Takes a turn, waiting for it without the lock; gives it back. */
void connection_turn_begin_locked(struct tenure *connection, enum turn turn);
void connection_turn_end_locked(struct tenure *connection, enum turn turn);

/* Hears what the daemon has to say that no thread is receiving, if anything:
 * replies to late calls, notices, a farewell. */
void connection_listen_locked(struct tenure *connection);

/* The same; whether there was a message, so that there may be more. */
bool connection_try_listen_locked(struct tenure *connection);

/* A destroy that nobody waits for was refused. */
void connection_keep_refusal_locked(struct tenure *connection,
				    const struct tenure_async_refusal *refusal);

/* A transport has failed: what that means. -EFAULT and -ENOMEM mean that
 * nothing was sent, anything else kills the connection. Returns the status,
 * which has been remembered. */
int connection_failed_locked(struct tenure *connection, int status);

/* The same to undo an earlier call: the caller's refusal stays the last. */
void connection_undo_locked(struct tenure *connection, struct call *call);

/* The daemon broke a promise: the connection is dead. Returns -EPROTO, which
 * has been remembered. */
int connection_distrust_locked(struct tenure *connection);

#endif
