/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions and principals: who is connected, and what he pays with. One
 * thread.
 */
#ifndef CORE_SESSION_H
#define CORE_SESSION_H

#include "core/env.h"
#include "core/outcome.h"
#include "core/state.h"

/* Who connects, from kernel facts only. */
struct peer {
	uint32_t uid;
	int32_t pid; /* in the daemon's namespace; 0 when invisible */
	const char *cgroup; /* path as in /proc/PID/cgroup, "" when none */
	bool privileged; /* may see what the daemon and others hold */
};

/* What a request will cost at one level. */
struct bill {
	uint64_t amount[CHARGE_KINDS];
};

/* Makes a session in phase HELLO; or the outcome says why not. */
uint32_t session_new(struct env *env, const struct peer *peer, uint64_t now_ns,
		     struct outcome *ret);

/* The session is empty: it becomes ENDED and its obituary is queued. */
void session_end(struct env *env, uint32_t session, uint64_t now_ns);

/* The first session that has ended, or 0; session_free forgets it. */
uint32_t session_next_ended(struct env *env);
void session_free(struct env *env, uint32_t session);

/* Counts a refusal, and keeps it for those who ask what was refused. */
void session_note_refusal(struct env *env, uint32_t session, uint8_t opcode,
			  const struct outcome *outcome, uint64_t now_ns);

/* Whether anybody waits for the progress of the session's process. */
bool session_is_awaited(const struct session *session);

/* A device of it was removed: it is told, once, if it has asked for that. */
void session_notice(struct env *env, uint32_t session);
void session_forget_notice(struct env *env, uint32_t session);

/* One that is to be told now, or 0. Goes once round all of them for each
 * removal. */
uint32_t session_take_noticed(struct env *env);

/* It has been told, and then is told no more of what was before. */
void session_notice_sent(struct env *env, uint32_t session);

/* Whoever had notices to send is gone: they are to be told again. */
void session_recall_notices(struct env *env);

/* Somebody is about to wait for it: one of its three counts will rise. */
void session_await(struct env *env, uint32_t session);

/* There may be something to reclaim or to sweep: puts it on the ring. */
void session_wake(struct env *env, uint32_t session);

/*
 * Takes the next session with work off the ring, or 0; its turn lasts until
 * session_served, which puts it back if there is more to do.
 */
uint32_t session_next_ready(struct env *env);
void session_served(struct env *env, uint32_t session, bool more);

/*
 * A session has at most one job. Starting one puts it into the queue, from
 * which the first is taken; one that failed goes back to the end. 0: no job.
 */
void session_start_job(struct env *env, uint32_t session,
		       const struct job *job);
void session_retry_job(struct env *env, uint32_t session);
uint32_t session_next_job(struct env *env);

/*
 * Whether the session can pay client at its own level and principal at that
 * of its principal; the outcome names the first limit that is in the way.
 */
struct outcome session_afford(const struct env *env, uint32_t session,
			      const struct bill *client,
			      const struct bill *principal);

/* Charges an amount at both levels; the caller has asked before. */
void session_charge(struct env *env, uint32_t session, enum charge_kind kind,
		    uint64_t amount);
void session_release(struct env *env, uint32_t session, enum charge_kind kind,
		     uint64_t amount);

/* Counts a reference of a principal; the last one forgets it. */
void principal_ref(struct env *env, uint32_t principal);
void principal_unref(struct env *env, uint32_t principal);

/*
 * Makes sure that an owner, the session or a device of it, has count free
 * slots, and charges each segment that it takes for that: a segment is paid
 * for whole, however few of its slots are used, or 256 devices with one handle
 * each would take as much of the table as a quarter of a million handles. The
 * outcome of a limit or of no memory; segments it got until then stay its own.
 */
struct outcome session_reserve_slots(struct env *env, uint32_t session,
				     struct owner *owner, uint32_t count);

/* Gives all segments of an owner without live slots back. */
void session_abandon_slots(struct env *env, uint32_t session,
			   struct owner *owner);

/*
 * The session's own slots, of adapters and devices: whether it can pay for
 * one more, which is then reserved; publishing one, charged, as a wire
 * handle; and its end, at once.
 */
struct outcome session_slot_afford(struct env *env, uint32_t session);
uint64_t session_slot_publish(struct env *env, uint32_t session, uint32_t slot,
			      enum kind kind);
void session_slot_free(struct env *env, uint32_t session, uint32_t slot);

#endif
