/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session: one connected client, as the broker knows it.
 *
 *	HELLO --hello--> ACTIVE --\
 *	  \------------------------+--> ENDING --empty--> ENDED --taken--> gone
 *
 * A session belongs to a principal, uid plus cgroup, found or made when it
 * connects. Both have an account and every charge is made at both levels,
 * except for what a principal pays once for a shared object (core/object.c).
 *
 * ENDING is a phase with bounded work in it: core/teardown.c ends what the
 * session held, core/reclaim.c gives it back, and when nothing is left the
 * session ends with an obituary for the log. Its number is used again only
 * when that has been taken, so a caller never confuses two clients.
 *
 * The ring of sessions with work is how work is shared fairly: whoever has
 * had its quantum goes to the back.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A refused session_new has changed nothing.
 *  G2  session_end asserts that every account of the session is at zero.
 *  G3  Who has asked to be told of removals is told after each, and once of
 *      those that come before it is told; nobody else is. What was handed out
 *      to be told and has not been sent when the process dies is told by the
 *      next one.
 */
#include "core/session.h"

#include "core/retire.h"
#include "core/words.h"

static const enum tenure_reason client_reason[CHARGE_KINDS] = {
	[CHARGE_BYTES] = TENURE_REASON_CLIENT_BYTES,
	[CHARGE_HANDLES] = TENURE_REASON_CLIENT_HANDLES,
	[CHARGE_STORES] = TENURE_REASON_CLIENT_STORES,
	[CHARGE_TOKENS] = TENURE_REASON_CLIENT_TOKENS,
	[CHARGE_WAITS] = TENURE_REASON_CLIENT_WAITS,
	[CHARGE_SEGMENTS] = TENURE_REASON_CLIENT_SEGMENTS,
	[CHARGE_CLIENTS] = TENURE_REASON_PRINCIPAL_CLIENTS,
};

static const enum tenure_reason principal_reason[CHARGE_KINDS] = {
	[CHARGE_BYTES] = TENURE_REASON_PRINCIPAL_BYTES,
	[CHARGE_HANDLES] = TENURE_REASON_PRINCIPAL_HANDLES,
	[CHARGE_STORES] = TENURE_REASON_PRINCIPAL_STORES,
	[CHARGE_TOKENS] = TENURE_REASON_PRINCIPAL_TOKENS,
	[CHARGE_WAITS] = TENURE_REASON_PRINCIPAL_WAITS,
	[CHARGE_SEGMENTS] = TENURE_REASON_PRINCIPAL_SEGMENTS,
	[CHARGE_CLIENTS] = TENURE_REASON_PRINCIPAL_CLIENTS,
};

static uint64_t hash_path(const char *path)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *path != '\0'; path++)
		hash = (hash ^ (uint8_t)*path) * UINT64_C(0x100000001b3);
	return hash;
}

/* A linear look: once for each connection, over those that are connected. */
static uint32_t principal_find(const struct env *env, const struct peer *peer,
			       uint64_t hash)
{
	uint32_t used = region_area(&env->region, AREA_PRINCIPALS)->used;

	for (uint32_t i = 1; i < used; i++) {
		const struct principal *p = principal_at(&env->region, i);

		if (p->record.in_use && p->uid == peer->uid &&
		    p->cgroup_hash == hash &&
		    strncmp(p->cgroup, peer->cgroup, CGROUP_BYTES - 1) == 0)
			return i;
	}
	return 0;
}

static uint32_t principal_new(struct env *env, const struct peer *peer,
			      uint64_t hash)
{
	uint32_t index = pool_take(&env->region, AREA_PRINCIPALS);
	struct principal *p = principal_at(&env->region, index);
	size_t n = min_u64(strlen(peer->cgroup), CGROUP_BYTES - 1);

	p->uid = peer->uid;
	p->cgroup_hash = hash;
	memcpy(p->cgroup, peer->cgroup, n);
	return index;
}

void principal_ref(struct env *env, uint32_t principal)
{
	principal_at(&env->region, principal)->refs++;
}

void principal_unref(struct env *env, uint32_t principal)
{
	struct principal *p = principal_at(&env->region, principal);

	assert(p->refs > 0);
	if (--p->refs > 0)
		return;
	for (int kind = 0; kind < CHARGE_KINDS; kind++)
		assert(p->account.used[kind] == 0);
	pool_give(&env->region, AREA_PRINCIPALS, principal);
}

static struct outcome may_connect(const struct env *env, uint32_t principal)
{
	const struct state *state = region_state(&env->region);
	const struct limits *limits = &env->config.limits;

	if (state->stopping)
		return refuse(-ESHUTDOWN, TENURE_REASON_DAEMON_STOPPING);
	if (state->n_sessions >= limits->clients)
		return refuse(-EDQUOT, TENURE_REASON_DAEMON_CLIENTS);
	if (principal != 0 &&
	    !account_fits(&principal_at(&env->region, principal)->account,
			  CHARGE_CLIENTS, 1, limits->principal[CHARGE_CLIENTS]))
		return refuse(-EDQUOT, TENURE_REASON_PRINCIPAL_CLIENTS);
	if (principal == 0 && limits->principal[CHARGE_CLIENTS] == 0)
		return refuse(-EDQUOT, TENURE_REASON_PRINCIPAL_CLIENTS);
	return outcome_ok();
}

uint32_t session_new(struct env *env, const struct peer *peer, uint64_t now_ns,
		     struct outcome *ret)
{
	struct region *region = &env->region;
	uint64_t hash = hash_path(peer->cgroup), random;
	uint32_t principal = principal_find(env, peer, hash), index;
	struct stream stream;
	struct session *s;

	*ret = may_connect(env, principal);
	if (ret->status != 0)
		return 0;
	if (pool_reserve(region, AREA_SESSIONS, 1) != 0 ||
	    (principal == 0 && pool_reserve(region, AREA_PRINCIPALS, 1) != 0) ||
	    stream_init(region, &stream) != 0) {
		*ret = refuse_memory();
		return 0;
	}
	if (principal == 0)
		principal = principal_new(env, peer, hash);
	principal_ref(env, principal);
	index = pool_take(region, AREA_SESSIONS);
	s = session_at(region, index);
	s->phase = SESSION_HELLO;
	s->privileged = peer->privileged;
	s->principal = principal;
	s->pid = peer->pid;
	s->connected_ns = now_ns;
	s->began_ns = now_ns;
	s->stream = stream;
	env->entropy.fill(env->entropy.context, &random, sizeof(random));
	s->secret = secret_make(random);
	stored();
	s->owner.id = owner_of_session(index);
	session_charge(env, index, CHARGE_CLIENTS, 1);
	region_state(region)->n_sessions++;
	region_state(region)->clients_total++;
	return index;
}

void session_end(struct env *env, uint32_t session, uint64_t now_ns)
{
	struct region *region = &env->region;
	struct state *state = region_state(region);
	struct session *s = session_at(region, session);

	assert(s->phase == SESSION_ENDING);
	session_release(env, session, CHARGE_CLIENTS, 1);
	session_release(env, session, CHARGE_BYTES, s->ring_bytes);
	session_abandon_slots(env, session, &s->owner);
	s->freed_bytes += s->ring_bytes;
	s->ring_bytes = 0;
	for (int kind = 0; kind < CHARGE_KINDS; kind++)
		assert(s->account.used[kind] == 0);
	assert(s->first_waiter == 0 && s->n_parked == 0);
	assert(s->n_quiescing == 0 && s->n_fence_waits == 0);
	assert(s->n_pinned == 0);
	words_deinit(region, &s->words);
	stream_deinit(region, &s->stream);
	s->phase = SESSION_ENDED;
	s->ended_ns = now_ns;
	queue_put(region, &state->ended, LINK_ENDED, session);
	state->n_ending--;
}

uint32_t session_next_ended(struct env *env)
{
	return region_state(&env->region)->ended.head;
}

void session_free(struct env *env, uint32_t session)
{
	struct state *state = region_state(&env->region);
	const struct session *s = session_at(&env->region, session);
	uint32_t first = queue_take(&env->region, &state->ended, LINK_ENDED);

	assert(s->phase == SESSION_ENDED && first == session);
	principal_unref(env, s->principal);
	pool_give(&env->region, AREA_SESSIONS, session);
	state->n_sessions--;
}

void session_notice(struct env *env, uint32_t session)
{
	struct session *s = session_at(&env->region, session);

	if (!s->wants_notices || s->notice == NOTICE_DUE ||
	    s->phase != SESSION_ACTIVE)
		return;
	s->notice = NOTICE_DUE;
	region_state(&env->region)->n_noticed++;
}

void session_forget_notice(struct env *env, uint32_t session)
{
	struct session *s = session_at(&env->region, session);

	region_state(&env->region)->n_noticed -= s->notice == NOTICE_DUE;
	s->notice = NOTICE_NONE;
}

void session_notice_sent(struct env *env, uint32_t session)
{
	struct session *s = session_at(&env->region, session);

	/* After another removal it is due again. */
	if (s->notice == NOTICE_HANDED)
		s->notice = NOTICE_NONE;
}

void session_recall_notices(struct env *env)
{
	uint32_t used = region_area(&env->region, AREA_SESSIONS)->used;

	for (uint32_t i = 1; i < used; i++) {
		struct session *s = session_at(&env->region, i);

		if (s->record.in_use && s->notice == NOTICE_HANDED)
			session_notice(env, i);
	}
}

uint32_t session_take_noticed(struct env *env)
{
	uint32_t used = region_area(&env->region, AREA_SESSIONS)->used;
	struct state *state = region_state(&env->region);
	uint32_t session = state->last_noticed;

	if (state->n_noticed == 0)
		return 0;
	do
		session = session + 1 < used ? session + 1 : 1;
	while (session_at(&env->region, session)->notice != NOTICE_DUE);
	state->last_noticed = session;
	session_at(&env->region, session)->notice = NOTICE_HANDED;
	state->n_noticed--;
	return session;
}

void session_note_refusal(struct env *env, uint32_t session, uint8_t opcode,
			  const struct outcome *outcome, uint64_t now_ns)
{
	struct session *s = session_at(&env->region, session);

	region_state(&env->region)->refused_total++;
	s->refusals[s->n_refusals++ % REFUSALS_KEPT] = (struct refusal){
		.opcode = opcode,
		.status = outcome->status,
		.reason = outcome->reason,
		.index = outcome->index,
		.at_s = (uint32_t)(now_ns / NS_PER_S),
	};
}

bool session_is_awaited(const struct session *session)
{
	return session->n_parked > 0 || session->n_quiescing > 0 ||
	       session->n_fence_waits > 0;
}

void session_await(struct env *env, uint32_t session)
{
	const struct progress *progress = &env->config.progress;

	if (progress->awaited != NULL &&
	    !session_is_awaited(session_at(&env->region, session)))
		progress->awaited(progress->context, session);
}

void session_wake(struct env *env, uint32_t session)
{
	struct state *state = region_state(&env->region);
	struct session *s = session_at(&env->region, session);

	if (s->is_ready)
		return;
	s->is_ready = 1;
	queue_put(&env->region, &state->ready, LINK_READY, session);
}

uint32_t session_next_ready(struct env *env)
{
	return queue_take(&env->region, &region_state(&env->region)->ready,
			  LINK_READY);
}

/*
 * Until here is_ready has kept the session off the ring, so that one that
 * ended in its own turn, and may be forgotten any moment, is not on it.
 */
void session_served(struct env *env, uint32_t session, bool more)
{
	session_at(&env->region, session)->is_ready = 0;
	if (more)
		session_wake(env, session);
}

void session_retry_job(struct env *env, uint32_t session)
{
	struct state *state = region_state(&env->region);
	struct session *s = session_at(&env->region, session);

	s->job.phase = JOB_READY;
	queue_put(&env->region, &state->jobs, LINK_JOBS, session);
}

void session_start_job(struct env *env, uint32_t session, const struct job *job)
{
	struct session *s = session_at(&env->region, session);

	assert(s->job.kind == JOB_NONE);
	s->job = *job;
	session_retry_job(env, session);
}

uint32_t session_next_job(struct env *env)
{
	struct state *state = region_state(&env->region);
	uint32_t session = queue_take(&env->region, &state->jobs, LINK_JOBS);
	struct session *s;

	if (session == 0)
		return 0;
	s = session_at(&env->region, session);
	assert(s->job.phase == JOB_READY);
	s->job.phase = JOB_OUT;
	return session;
}

struct outcome session_afford(const struct env *env, uint32_t session,
			      const struct bill *client,
			      const struct bill *principal)
{
	const struct limits *limits = &env->config.limits;
	const struct session *s = session_at(&env->region, session);
	const struct principal *p = principal_at(&env->region, s->principal);

	for (int kind = 0; kind < CHARGE_KINDS; kind++) {
		enum charge_kind k = (enum charge_kind)kind;

		if (client->amount[k] > 0 &&
		    !account_fits(&s->account, k, client->amount[k],
				  limits->client[k]))
			return refuse(-EDQUOT, client_reason[k]);
		if (principal->amount[k] > 0 &&
		    !account_fits(&p->account, k, principal->amount[k],
				  limits->principal[k]))
			return refuse(-EDQUOT, principal_reason[k]);
	}
	return outcome_ok();
}

void session_charge(struct env *env, uint32_t session, enum charge_kind kind,
		    uint64_t amount)
{
	struct session *s = session_at(&env->region, session);

	account_charge(&s->account, kind, amount);
	account_charge(&principal_at(&env->region, s->principal)->account, kind,
		       amount);
}

void session_release(struct env *env, uint32_t session, enum charge_kind kind,
		     uint64_t amount)
{
	struct session *s = session_at(&env->region, session);

	account_release(&s->account, kind, amount);
	account_release(&principal_at(&env->region, s->principal)->account,
			kind, amount);
}

struct outcome session_slot_afford(struct env *env, uint32_t session)
{
	const struct bill bill = { .amount = { [CHARGE_HANDLES] = 1 } };
	struct session *s = session_at(&env->region, session);
	struct outcome outcome = session_afford(env, session, &bill, &bill);

	if (outcome.status != 0)
		return outcome;
	return session_reserve_slots(env, session, &s->owner, 1);
}

struct outcome session_reserve_slots(struct env *env, uint32_t session,
				     struct owner *owner, uint32_t count)
{
	struct outcome outcome = outcome_ok();

	while (owner->free < count && outcome.status == 0) {
		uint32_t before = owner->n_segments;
		uint32_t missing = (count - owner->free + SEGMENT_SLOTS - 1) /
				   SEGMENT_SLOTS;
		const struct bill bill = { .amount = { [CHARGE_SEGMENTS] =
							       missing } };

		outcome = session_afford(env, session, &bill, &bill);
		if (outcome.status == 0 &&
		    table_reserve(&env->region, owner, owner->free + 1) != 0)
			outcome = refuse_memory();
		session_charge(env, session, CHARGE_SEGMENTS,
			       owner->n_segments - before);
	}
	return outcome;
}

void session_abandon_slots(struct env *env, uint32_t session,
			   struct owner *owner)
{
	session_release(env, session, CHARGE_SEGMENTS, owner->n_segments);
	table_abandon(&env->region, owner);
}

uint64_t session_slot_publish(struct env *env, uint32_t session, uint32_t slot,
			      enum kind kind)
{
	session_charge(env, session, CHARGE_HANDLES, 1);
	return handle_to_wire(table_publish(&env->region, slot, kind),
			      session_at(&env->region, session)->secret);
}

/* A session's own slot dies at once: no memory hangs on it, nobody pins it. */
void session_slot_free(struct env *env, uint32_t session, uint32_t slot)
{
	struct session *s = session_at(&env->region, session);
	bool reclaimed;

	table_retire(slot_at(&env->region, slot));
	reclaimed = table_try_reclaim(&env->region, &s->owner, slot);
	assert(reclaimed);
	session_release(env, session, CHARGE_HANDLES, 1);
}
