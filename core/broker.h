/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker, seen from outside: bytes in, effects out, time is a parameter.
 *
 * The daemon, the tests and the fuzzers are callers of these few functions.
 * A caller connects a client, feeds it whole request messages, and after
 * every call *pumps*: run broker_tick while it wants to, take release jobs,
 * take late replies, take obituaries. Nothing here blocks, logs, reads a
 * clock or makes a system call; one thread calls.
 *
 * A client is named by a uint32_t that is never 0; it may be reused after its
 * obituary has been taken.
 */
#ifndef CORE_BROKER_H
#define CORE_BROKER_H

#include "core/base.h"
#include "core/env.h"
#include "core/reclaim.h"
#include "core/rules.h"
#include "core/session.h"
#include "core/waiter.h"
#include "core/wire/msg.h"
#include "tenure/types.h"

struct broker {
	struct env env;
	/* Scratch of one call; nothing in it outlives the call. */
	uint64_t message[(WIRE_REQUEST_BYTES_MAX + 7) / 8];
	uint64_t data[(WIRE_DATA_BYTES_MAX + 7) / 8];
	struct rules_scratch rules;
};

/*
 * 0, -ENOMEM, or -EINVAL for a configuration that cannot be. Adapters are
 * copied; their backends and the names must outlive the broker.
 */
int broker_init(struct broker *broker, const struct pages *pages,
		const struct entropy *entropy,
		const struct broker_config *config,
		const struct broker_adapter *adapters, uint32_t n_adapters);

/*
 * A broker for a region that another one left between two calls, perhaps in a
 * process that has ended, and that now lies at start: the adapters must be the
 * same ones in the same order. A release job that was out is still out: its
 * holder answers here. 0, or -EINVAL; then the region is as it was.
 *
 * When the process that had it was killed, at whatever instruction, the next
 * call must be broker_recover (core/broker_recover.h).
 */
int broker_adopt(struct broker *broker, const struct pages *pages, void *start,
		 uint64_t size_bytes, const struct entropy *entropy,
		 const struct broker_config *config,
		 const struct broker_adapter *adapters, uint32_t n_adapters);

/* Asserts that every client has gone: teardown is the leak test. */
void broker_deinit(struct broker *broker);

/* 0, or -EDQUOT or -ENOMEM with the reason of the refusal. */
int broker_connect(struct broker *broker, const struct peer *peer,
		   uint64_t now_ns, uint32_t *ret_client,
		   enum tenure_reason *ret_reason);

/* What a client held at the moment it ended. */
struct obituary {
	uint32_t client;
	uint32_t uid;
	int32_t pid;
	char cgroup[CGROUP_BYTES];
	uint64_t devices, resources, allocations, tokens, bytes;
	uint64_t began_ns, ended_ns; /* end of the client, end of reclaim */
	uint64_t freed_bytes; /* given back, because nobody else held it */
};

/*
 * The client has ended: by end of file, by its death, or thrown out. From
 * now on no request of it is taken; what it held goes in bounded steps, and
 * an obituary follows. ret_held may be NULL.
 *
 * What it stored into its words before its end counts; so the caller looks at
 * them before (broker_progressed_some), if anybody waits. Nobody does here, and
 * they are not looked at afterwards.
 */
void broker_disconnect(struct broker *broker, uint32_t client, uint64_t now_ns,
		       struct obituary *ret_held);

/* True, once, for each client of which nothing is left. */
bool broker_next_obituary(struct broker *broker, struct obituary *ret);

enum broker_verdict {
	BROKER_REPLY, /* *ret is to be sent now */
	BROKER_LATER, /* broker_next_reply will bring it */
	/* *ret is to be sent if it has a head, then the client is to be
	 * disconnected for ret->head.reason */
	BROKER_KILL,
};

struct broker_reply {
	uint32_t client;
	enum broker_port port; /* on which the request came */
	/* It succeeded and the client wants no reply: only what was reserved
	 * for one is to be given back. */
	bool quiet;
	struct wire_reply head;
	const void *data; /* head.data_bytes bytes, until the next call */
	/* When head.fds is 1: whose descriptor to attach. Only MAP has one of a
	 * store: the caller makes what the others ask for. */
	uint32_t adapter;
	uint32_t store;
	bool read_only;
	/* Of a granted FENCE_WATCH: there is nothing to wait for, it is as
	 * if the late reply had come with this position. */
	bool over;
	uint64_t position;
	/* Of a granted FENCE_MAP with a descriptor: whose page. */
	uint32_t page_of;
};

/*
 * Takes one whole message of a connected client, which came by that port. The
 * bytes are copied before they are judged; they may change under us.
 */
enum broker_verdict broker_receive(struct broker *broker, uint32_t client,
				   enum broker_port port, const void *bytes,
				   size_t size_bytes, uint64_t now_ns,
				   struct broker_reply *ret);

/*
 * Destroys each of count handles (at most LIST_ENTRIES_MAX) alone, as its own
 * DESTROY with flags 0 would. Success is silent; each refusal is one reply of
 * WIRE_OP_FREE in ret_refusals, which has room for count. Returns how many.
 *
 * A resource takes as long as it has children: this stops behind the one with
 * which they are FREES_CHILDREN_MAX; *ret_done handles are dealt with.
 */
uint32_t broker_free_some(struct broker *broker, uint32_t client,
			  const uint64_t *handles, uint32_t count,
			  uint64_t now_ns, struct wire_reply *ret_refusals,
			  uint32_t *ret_done);

/*
 * The descriptor that a granted RING, DOORBELL, FENCE_WATCH, FENCE_PAGE or
 * FENCE_MAP asked for could not be made, status says why. What was granted is
 * taken back, nothing stays charged, and *reply becomes the refusal that is to
 * be sent. BROKER_KILL: by its ring the client has meanwhile acknowledged a
 * descriptor that it never had.
 */
enum broker_verdict broker_descriptor_failed(struct broker *broker,
					     struct broker_reply *reply,
					     int status);

/* A client that is to be told, by a NOTICE, that a device of it was removed.
 * Whoever adopts the state tells it again unless it has been said to be sent. */
bool broker_next_notice(struct broker *broker, uint32_t *ret_client);
void broker_notice_sent(struct broker *broker, uint32_t client);

/* Nobody reads the descriptor of that FENCE_WATCH any more. Its late reply is
 * still to come, for nobody. */
void broker_watch_cancel(struct broker *broker, uint32_t client, uint64_t id);

/* Replies that had to wait: synchronous destroys, ended devices and contexts,
 * waits for fences. Those of port WATCH are for the descriptor of the request
 * with that id. */
bool broker_next_reply(struct broker *broker, struct broker_reply *ret);

/* A destroyed slot that has stayed pinned for too long, each once: a defect of
 * the daemon, for its log. */
bool broker_next_pinned(struct broker *broker, struct pinned_report *ret);

/* When broker_tick has to be called although it has said that there is no more
 * to do; 0: it need not. */
uint64_t broker_due_ns(const struct broker *broker);

/*
 * Does at most about budget slots of teardown and reclaim. Returns whether
 * more can be done at once.
 */
bool broker_tick(struct broker *broker, uint64_t now_ns, uint32_t budget);

/* The same; what it has spent is taken from *budget. */
bool broker_tick_budget(struct broker *broker, uint64_t now_ns,
			uint32_t *budget);

/*
 * True with the next job. At most one is out for each client at a time, so
 * args.client names it; every job must come back through broker_release_done.
 */
bool broker_next_release(struct broker *broker, struct release *ret);

/*
 * The job of that client has been carried out: status 0 and the resource
 * value that came back, or a negative errno; then the same job is handed out
 * again later, and the failure is counted (A84).
 */
void broker_release_done(struct broker *broker, uint32_t client, int status,
			 uint64_t resource, uint64_t now_ns);

/*
 * Whether somebody waits for the progress of that client, so that its progress
 * words are to be looked at when they change. A caller that arms a doorbell
 * because of this must call broker_progressed once after arming: what was
 * stored before is not announced.
 */
bool broker_waits_for_progress(const struct broker *broker, uint32_t client);

/*
 * The doorbell of a connected client has rung: looks at its progress words, at
 * most WORDS_PER_CLIENT_MAX of them. What that sets free goes in ticks.
 *
 * broker_progressed_some begins at *word, or at the first when that is 0, and
 * stops when it has cost as much as so many looks; *word is where to go on, 0:
 * all have been looked at. Returns what it has cost.
 */
uint32_t broker_progressed_some(struct broker *broker, uint32_t client,
				uint32_t looks, uint32_t *word);
void broker_progressed(struct broker *broker, uint32_t client);

/* Totals, as WIRE_OP_STATUS answers them. */
void broker_status(const struct broker *broker, struct wire_status *ret);

/* No new clients; requests of those that are there still work. */
void broker_stop_accepting(struct broker *broker);

#endif
