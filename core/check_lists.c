/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List checker: whatever is linked by index is on its list, once.
 *
 * A record says that it is on a list, by a phase or a flag, and a list has a
 * head, a tail or a length. The idea: walk each list, count, and compare with
 * the number of records that say so; and require of each record on the way
 * that it does say so. A list that was cut, crossed with another or closed to
 * a ring then has the wrong length or a member that does not belong.
 *
 *	ready     sessions that are is_ready           singly linked, tail
 *	jobs      sessions whose job is READY          singly linked, tail
 *	ended     sessions that are ENDED              singly linked, tail
 *	answered  waiters that are DUE                 singly linked, tail
 *	reached   contexts of a session, flagged       singly linked, tail
 *	quiet     contexts of a session, flagged       singly linked, tail
 *	contexts  of a device                          doubly linked
 *	loose     waiters of a session, flagged        singly linked, tail
 *	waiters   of a session, until TOLD             doubly linked
 *	devices, tokens of a session                   doubly linked, counted
 *	pools of a session                             singly linked, counted
 *	buckets   all tokens, by value                 singly linked
 *	holdings  of an object                         singly linked
 *	roomy     segments with free slots             singly linked, flagged
 *
 * And one promise that no list can show by itself: a session with work to do
 * is on the ring, or has a job whose return will put it there. Without it
 * garbage would stay for ever, in a state in which every number is right.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Each list, cut by hand, is reported (the test cuts them).
 *  G2  The walk ends, whatever the lists look like.
 */
#include "core/check_lists.h"

#include "core/context.h"
#include "core/state.h"
#include "core/teardown.h"

struct lists {
	const struct region *region;
	const struct state *state;
	uint64_t loose_waits;
	struct broken_list broken;
	bool is_broken;
};

static void expect(struct lists *l, const char *what, uint64_t index,
		   uint64_t found, uint64_t expected)
{
	if (found == expected || l->is_broken)
		return;
	l->is_broken = true;
	l->broken = (struct broken_list){ what, index, found, expected };
}

/* Whether a link leads to a record in use; what leads elsewhere is broken. */
static bool leads(struct lists *l, const char *what, enum area area,
		  uint32_t index)
{
	const struct record *record;

	if (l->is_broken || index == 0)
		return false;
	if (index >= region_area(l->region, area)->used) {
		expect(l, what, index, 0, 1);
		return false;
	}
	record = pool_at(l->region, area, index);
	expect(l, what, index, record->in_use, 1);
	return record->in_use == 1;
}

/* The queues of sessions: which of them, whether on it, and the next. */
enum session_queue {
	QUEUE_READY,
	QUEUE_JOBS,
	QUEUE_ENDED,
};

static const char *const queue_names[] = {
	[QUEUE_READY] = "ring of sessions with work",
	[QUEUE_JOBS] = "queue of jobs",
	[QUEUE_ENDED] = "queue of ended sessions",
};

static bool says_on(const struct session *s, enum session_queue which)
{
	switch (which) {
	case QUEUE_READY:
		return s->is_ready;
	case QUEUE_JOBS:
		return s->job.phase == JOB_READY;
	case QUEUE_ENDED:
		return s->phase == SESSION_ENDED;
	}
	return false;
}

static uint32_t next_on(const struct session *s, enum session_queue which)
{
	switch (which) {
	case QUEUE_READY:
		return s->next_ready;
	case QUEUE_JOBS:
		return s->job.next;
	case QUEUE_ENDED:
		return s->next_ended;
	}
	return 0;
}

static void check_queue(struct lists *l, enum session_queue which,
			const struct queue *queue)
{
	const char *what = queue_names[which];
	uint32_t used = region_area(l->region, AREA_SESSIONS)->used;
	uint32_t index = queue->head, last = 0, n = 0, expected = 0;

	for (uint32_t i = 1; i < used; i++) {
		const struct session *s = session_at(l->region, i);

		expected += s->record.in_use && says_on(s, which);
	}
	while (n <= expected && leads(l, what, AREA_SESSIONS, index)) {
		const struct session *s = session_at(l->region, index);

		expect(l, what, index, says_on(s, which), 1);
		last = index;
		index = next_on(s, which);
		n++;
	}
	expect(l, what, 0, n, expected);
	expect(l, what, last, queue->tail, last);
}

static void check_answered(struct lists *l)
{
	static const char what[] = "queue of answers";
	const struct queue *queue = &l->state->answered;
	uint32_t used = region_area(l->region, AREA_WAITERS)->used;
	uint32_t index = queue->head, last = 0, n = 0, expected = 0;

	for (uint32_t i = 1; i < used; i++) {
		const struct waiter *w = waiter_at(l->region, i);

		expected += w->record.in_use && w->phase == WAITER_DUE;
	}
	while (n <= expected && leads(l, what, AREA_WAITERS, index)) {
		const struct waiter *w = waiter_at(l->region, index);

		expect(l, what, index, w->phase, WAITER_DUE);
		last = index;
		index = w->next;
		n++;
	}
	expect(l, what, 0, n, expected);
	expect(l, what, last, queue->tail, last);
}

static void check_devices(struct lists *l, uint32_t session)
{
	static const char what[] = "devices of session";
	const struct session *s = session_at(l->region, session);
	uint32_t index = s->first_device, previous = 0, n = 0;

	while (n <= s->n_devices && leads(l, what, AREA_DEVICES, index)) {
		const struct device *d = device_at(l->region, index);

		expect(l, what, index, d->session, session);
		expect(l, "device before device", index, d->previous, previous);
		previous = index;
		index = d->next;
		n++;
	}
	expect(l, what, session, n, s->n_devices);
}

static void check_tokens(struct lists *l, uint32_t session)
{
	static const char what[] = "tokens of session";
	const struct session *s = session_at(l->region, session);
	uint32_t index = s->first_token, previous = 0, n = 0;

	while (n <= s->n_tokens && leads(l, what, AREA_TOKENS, index)) {
		const struct token *t = token_at(l->region, index);

		expect(l, what, index, t->session, session);
		expect(l, "token before token", index, t->previous, previous);
		previous = index;
		index = t->next;
		n++;
	}
	expect(l, what, session, n, s->n_tokens);
}

static void check_pools(struct lists *l, uint32_t session)
{
	static const char what[] = "pools of session";
	const struct session *s = session_at(l->region, session);
	uint32_t used = region_area(l->region, AREA_WARM_POOLS)->used;
	uint32_t index = s->first_pool, n = 0, expected = 0;

	for (uint32_t i = 1; i < used; i++) {
		const struct warm_pool *pool = warm_pool_at(l->region, i);

		expected += pool->record.in_use && pool->session == session;
	}
	while (n <= expected && leads(l, what, AREA_WARM_POOLS, index)) {
		const struct warm_pool *pool = warm_pool_at(l->region, index);

		expect(l, what, index, pool->session, session);
		index = pool->next;
		n++;
	}
	expect(l, what, session, n, expected);
	expect(l, "number of pools of session", session, s->n_pools, expected);
}

/* Each token is found where its value says. */
static void check_buckets(struct lists *l)
{
	static const char what[] = "bucket of token";
	const uint32_t *buckets = region_start(l->region, AREA_TOKEN_BUCKETS);
	uint32_t used = region_area(l->region, AREA_TOKENS)->used;

	for (uint32_t i = 1; i < used && !l->is_broken; i++) {
		const struct token *t = token_at(l->region, i);
		uint32_t index = buckets[t->value[0] % TOKEN_BUCKETS], n = 0;

		if (!t->record.in_use)
			continue;
		while (index != i && n++ < l->state->n_tokens &&
		       leads(l, what, AREA_TOKENS, index))
			index = token_at(l->region, index)->next_bucket;
		expect(l, what, i, index, i);
	}
}

static void check_holdings(struct lists *l)
{
	static const char what[] = "holdings of object";
	const struct area_head *head = region_area(l->region, AREA_HOLDINGS);
	uint32_t used = region_area(l->region, AREA_OBJECTS)->used;
	uint32_t all = head->used - 1 - head->free_count, n = 0;

	for (uint32_t i = 1; i < used; i++) {
		const struct object *o = object_at(l->region, i);
		uint32_t index = o->record.in_use ? o->holdings : 0;

		while (n <= all && leads(l, what, AREA_HOLDINGS, index)) {
			const struct holding *h = holding_at(l->region, index);

			expect(l, what, index, h->object, i);
			index = h->next;
			n++;
		}
	}
	expect(l, "holdings on the lists of objects", 0, n, all);
}

static void check_roomy(struct lists *l, const struct owner *owner)
{
	static const char what[] = "segments with free slots of owner";
	uint32_t index, n = 0, expected = 0;

	for (index = owner->segments; index != 0;
	     index = segment_at(l->region, index)->next) {
		const struct segment *s = segment_at(l->region, index);

		expect(l, "free slots of segment on the list", index,
		       s->roomy != 0, s->free != 0);
		expected += s->free != 0;
	}
	for (index = owner->roomy; index != 0 && n <= expected; n++) {
		const struct segment *s = segment_at(l->region, index);

		expect(l, what, index, s->roomy, 1);
		index = s->next_roomy;
	}
	expect(l, what, owner->id, n, expected);
}

/* Those before the one at which a removed device stands are done with. */
static bool is_behind(const struct device *d, const struct context *c)
{
	if (d->sweep == SWEEP_END)
		return c->state == CONTEXT_ENDING;
	return d->sweep != SWEEP_QUIESCE || context_is_quiet(c);
}

static void check_contexts(struct lists *l, uint32_t device)
{
	static const char what[] = "contexts of device";
	const struct device *d = device_at(l->region, device);
	uint32_t index = d->first_context, previous = 0, n = 0, expected = 0;
	uint32_t used = region_area(l->region, AREA_CONTEXTS)->used;
	bool behind = true;

	for (uint32_t i = 1; i < used; i++) {
		const struct context *c = context_at(l->region, i);

		expected += c->record.in_use && c->device == device;
	}
	while (n <= expected && leads(l, what, AREA_CONTEXTS, index)) {
		const struct context *c = context_at(l->region, index);

		expect(l, what, index, c->device, device);
		expect(l, "context before context", index, c->previous,
		       previous);
		behind &= index != d->unquiet;
		expect(l, "context that its device has left behind", index,
		       behind && !is_behind(d, c), 0);
		previous = index;
		index = c->next;
		n++;
	}
	expect(l, what, device, n, expected);
}

/* A session's queue of contexts: those that are reached, or quiet. */
static void check_context_queue(struct lists *l, uint32_t session, bool quiet)
{
	const char *what = quiet ? "queue of quiet contexts of session" :
				   "queue of reached contexts of session";
	const struct session *s = session_at(l->region, session);
	const struct queue *queue = quiet ? &s->quiet : &s->reached;
	uint32_t used = region_area(l->region, AREA_CONTEXTS)->used;
	uint32_t index = queue->head, last = 0, n = 0, expected = 0;

	for (uint32_t i = 1; i < used; i++) {
		const struct context *c = context_at(l->region, i);

		expected += c->record.in_use && c->session == session &&
			    (quiet ? c->is_quiet : c->is_reached);
	}
	while (n <= expected && leads(l, what, AREA_CONTEXTS, index)) {
		const struct context *c = context_at(l->region, index);

		expect(l, what, index, c->session, session);
		last = index;
		index = quiet ? c->next_quiet : c->record.link;
		n++;
	}
	expect(l, what, session, n, expected);
	expect(l, what, session, queue->tail, last);
}

/* Its waiters with waits that are to go. */
static void check_loose(struct lists *l, uint32_t session)
{
	static const char what[] = "queue of loose waiters of session";
	const struct queue *queue = &session_at(l->region, session)->loose;
	uint32_t used = region_area(l->region, AREA_WAITERS)->used;
	uint32_t index = queue->head, last = 0, n = 0, expected = 0;

	for (uint32_t i = 1; i < used; i++) {
		const struct waiter *w = waiter_at(l->region, i);

		expected += w->record.in_use && w->session == session &&
			    w->is_loose;
	}
	while (n <= expected && leads(l, what, AREA_WAITERS, index)) {
		const struct waiter *w = waiter_at(l->region, index);

		expect(l, what, index, w->session, session);
		expect(l, "phase of loose waiter", index, w->phase,
		       WAITER_PENDING);
		l->loose_waits += w->cost;
		last = index;
		index = w->next;
		n++;
	}
	expect(l, what, session, n, expected);
	expect(l, what, session, queue->tail, last);
}

static void check_waiters(struct lists *l, uint32_t session)
{
	static const char what[] = "waiters of session";
	uint32_t used = region_area(l->region, AREA_WAITERS)->used;
	uint32_t index = session_at(l->region, session)->first_waiter;
	uint32_t previous = 0, n = 0, expected = 0;

	for (uint32_t i = 1; i < used; i++) {
		const struct waiter *w = waiter_at(l->region, i);

		expected += w->record.in_use && w->session == session &&
			    w->phase != WAITER_TOLD;
	}
	while (n <= expected && leads(l, what, AREA_WAITERS, index)) {
		const struct waiter *w = waiter_at(l->region, index);

		expect(l, what, index, w->session, session);
		expect(l, "waiter before waiter", index, w->previous_own,
		       previous);
		previous = index;
		index = w->next_own;
		n++;
	}
	expect(l, what, session, n, expected);
}

static bool device_has_work(const struct region *region, const struct device *d)
{
	if (d->state != DEVICE_REMOVED)
		return false;
	if (d->sweep == SWEEP_QUIESCE)
		return teardown_is_quiet(region, d);
	if (d->sweep == SWEEP_DRAIN && teardown_waits_for_pins(region, d))
		return false;
	return d->closing || d->sweep != SWEEP_DONE;
}

/* Whoever has work is on the ring, or a job of his is on its way. */
static void check_woken(struct lists *l, uint32_t session)
{
	const struct session *s = session_at(l->region, session);
	bool ending = s->phase == SESSION_ENDING;
	bool work = s->stream.count > 0 || s->quiet.head != 0 ||
		    (ending && (s->n_devices == 0 || s->n_pinned == 0));

	for (uint32_t d = s->first_device; d != 0;
	     d = device_at(l->region, d)->next)
		work |= device_has_work(l->region, device_at(l->region, d));
	if ((work && s->job.kind == JOB_NONE) || s->reached.head != 0 ||
	    s->loose.head != 0)
		expect(l, "session with work on the ring", session, s->is_ready,
		       1);
}

static void check_session(struct lists *l, uint32_t session)
{
	const struct session *s = session_at(l->region, session);

	check_devices(l, session);
	check_tokens(l, session);
	check_pools(l, session);
	if (l->is_broken)
		return;
	check_roomy(l, &s->owner);
	check_waiters(l, session);
	check_loose(l, session);
	check_context_queue(l, session, false);
	check_context_queue(l, session, true);
	for (uint32_t d = s->first_device; d != 0;
	     d = device_at(l->region, d)->next) {
		check_contexts(l, d);
		check_roomy(l, &device_at(l->region, d)->owner);
	}
	if (l->is_broken)
		return;
	check_woken(l, session);
}

bool check_lists(const struct region *region, struct broken_list *ret)
{
	struct lists l = { .region = region, .state = region_state(region) };
	uint32_t used = region_area(region, AREA_SESSIONS)->used;

	check_queue(&l, QUEUE_READY, &l.state->ready);
	check_queue(&l, QUEUE_JOBS, &l.state->jobs);
	check_queue(&l, QUEUE_ENDED, &l.state->ended);
	check_answered(&l);
	check_buckets(&l);
	check_holdings(&l);
	for (uint32_t i = 1; i < used; i++)
		if (session_at(region, i)->record.in_use && !l.is_broken)
			check_session(&l, i);
	expect(&l, "waits of loose waiters", 0, l.state->n_loose_waits,
	       l.loose_waits);
	if (l.is_broken)
		*ret = l.broken;
	return !l.is_broken;
}
