/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: the broker and all that several threads share with it.
 *
 * A function whose name ends in _locked is called inside the gate, all others
 * outside of it.
 */
#ifndef DAEMON_ENGINE_H
#define DAEMON_ENGINE_H

#include "core/broker.h"
#include "daemon/gate.h"
#include "daemon/releaser.h"
#include "daemon/turn.h"

enum {
	/* What waits for the loop thread. */
	ENGINE_MAIL = 64,
	/* Looks at words of one that ends, in one hold of the gate. */
	ENGINE_LOOKS = 1024,
};

/* A client's ring, as the engine sees it. All inside the gate. */
struct engine_sink {
	/* Takes a late reply; false: there is no room now. */
	bool (*take)(struct engine_sink *sink,
		     const struct broker_reply *reply);
	/* A progress word: as it is, or as it shall be. */
	uint64_t (*read)(struct engine_sink *sink, uint32_t word);
	void (*reset)(struct engine_sink *sink, uint32_t word, uint64_t value);
	/* An entry of its page of fences; none of them: it never has one. */
	uint64_t (*read_entry)(struct engine_sink *sink, uint32_t entry);
	void (*raise_entry)(struct engine_sink *sink, uint32_t entry,
			    uint64_t value);
	void (*end_entry)(struct engine_sink *sink, uint32_t entry);
	/* Somebody waits now for what the words will say. */
	void (*awaited)(struct engine_sink *sink);
};

enum engine_mail_kind {
	ENGINE_REPLY, /* a late reply, to be sent by the socket */
	ENGINE_OBITUARY,
	ENGINE_FAILURE, /* of a release, which will be tried again */
	ENGINE_NOTICE, /* a device of that client was removed */
	ENGINE_PINNED, /* a destroyed slot stays pinned */
};

/* What only the loop thread can deal with. */
struct engine_mail {
	enum engine_mail_kind kind;
	union {
		struct broker_reply reply; /* without data */
		struct obituary obituary;
		struct releaser_result failure;
		uint32_t noticed; /* a client */
		struct pinned_report pinned;
	};
};

struct engine_config {
	const struct pages *pages;
	const struct entropy *entropy;
	const struct broker_config *broker;
	const struct broker_adapter *adapters; /* must outlive the engine */
	uint32_t n_adapters;
	unsigned int spins; /* see gate_init */
	/* Makes the loop thread pump soon. Called by any thread. */
	void (*notify)(void *context);
	void *context;
};

struct engine {
	struct gate gate;
	struct broker broker;
	struct releaser *releaser;
	void (*notify)(void *context);
	void *context;
	struct engine_sink **sinks; /* by client */
	struct engine_mail mail[ENGINE_MAIL];
	uint32_t mail_first, mail_count;
	/* A late reply for a ring that had no room for it. */
	struct broker_reply held;
	bool holds;
	uint32_t jobs; /* that the releaser has */
	bool release_failed; /* the last one that came back */
	unsigned int watchers;
	struct pace pace;
};

/* 0, or -ENOMEM or -EINVAL as broker_init, or what refuses a thread. */
int engine_init(struct engine *engine, const struct engine_config *config);

/* Asserts that every client has gone and nothing is left of it. */
void engine_deinit(struct engine *engine);

static inline void engine_lock(struct engine *engine)
{
	gate_lock(&engine->gate);
}

static inline void engine_unlock(struct engine *engine)
{
	gate_unlock(&engine->gate);
}

/* What the pump has left to be done. */
struct engine_rest {
	bool more; /* another turn can be made at once */
	bool behind; /* ... and shall be, before any new request */
	bool mail; /* engine_next_mail has something */
	bool jobs; /* the releaser is at work */
	/* 0, or when to pump again although there is no more: a failed release
	 * is to be retried, or a pinned slot to be looked at. */
	uint64_t due_ns;
};

/* One bounded turn (daemon/turn.h): takes results, tears down, reclaims, issues
 * releases, sorts late replies and obituaries. Any thread. */
struct engine_rest engine_pump_locked(struct engine *engine, uint64_t now_ns);

/*
 * The same for a request that was just executed and is to be answered later, if
 * there is little else to do: it may be done at once. False: there is more, the
 * turn is for the pump.
 */
bool engine_try_settle_locked(struct engine *engine, uint64_t now_ns,
			      struct engine_rest *ret_rest);

/* Turns, with the gate open in between, until none is to come before the next
 * request: what there is left to be done. Outside the gate. */
struct engine_rest engine_pump(struct engine *engine, uint64_t now_ns);

/* Takes what waits for the loop thread; the loop thread only. */
bool engine_next_mail(struct engine *engine, struct engine_mail *ret);

/* That client has a ring: from now until its end late replies go there, and its
 * progress words are there. */
void engine_attach_locked(struct engine *engine, uint32_t client,
			  struct engine_sink *sink);

/* Takes that back, before anything has come by the ring. */
void engine_detach_locked(struct engine *engine, uint32_t client);

/* That client has ended: what it stored before counts. Looks at its words, with
 * the gate open in between, since many may wait for many. Outside the gate, and
 * then engine_disconnect_locked. */
void engine_hear_out(struct engine *engine, uint32_t client);

/* broker_disconnect, after which nothing more is said to that client. */
void engine_disconnect_locked(struct engine *engine, uint32_t client,
			      uint64_t now_ns, struct obituary *ret_held);

/*
 * A thread that pumps by itself, again and again, says so: while there is
 * one, finished releases do not notify the loop. Returns, when the last one
 * ends, whether there is something left to take.
 */
void engine_watch_locked(struct engine *engine);
bool engine_unwatch_locked(struct engine *engine);

#endif
