/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rebuild, the waits: who is still to be answered.
 *
 *	slot RETIRED, device closing, context ENDING, wait --names--> waiter
 *
 * A waiter waits for what names it. When nothing does any more, all that it
 * waited for has happened, and its answer is due. That of the request that was
 * being carried out is another matter: whether it was begun or finished, its
 * client has heard nothing and its connection is gone, so it is forgotten, and
 * what it has done by then stays.
 *
 * A wait for fences that was decided, one way or the other, has its outcome in
 * the waiter before its first wait goes, so what is left of it goes, too.
 */
#include "core/rebuild_part.h"

#include "core/crowd.h"
#include "core/session.h"
#include "core/waiter.h"

/* Whether it answers the request that was cut short. */
static bool is_cut_short(const struct rebuild *r, const struct waiter *w)
{
	const struct call_at_work *call = &r->state->call;

	return call->client != 0 && w->session == call->client &&
	       w->id == call->id &&
	       (w->port == call->port || w->port == BROKER_PORT_WATCH) &&
	       w->phase == WAITER_PENDING;
}

static void find_waiters(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_WAITERS)->used;

	for (uint32_t i = 1; i < used; i++) {
		struct waiter *w = waiter_at(r->region, i);

		if (!w->record.in_use)
			continue;
		if (w->cost == 0 || !rebuild_is_session(r, w->session) ||
		    is_cut_short(r, w)) {
			w->record.in_use = 0;
			continue;
		}
		/* It was about to fail, and was not told so. */
		if (w->phase == WAITER_PENDING && !w->decided) {
			w->status = 0;
			w->reason = TENURE_REASON_NONE;
		}
		w->remaining = 0;
		w->counted = w->is_loose = 0;
		w->first_wait = w->next = 0;
		w->next_own = w->previous_own = 0;
	}
}

/* Counts what a name stands for; a name of nobody is taken away. */
static void expect(struct rebuild *r, uint32_t *waiter)
{
	if (rebuild_is_used(r, AREA_WAITERS, *waiter))
		waiter_at(r->region, *waiter)->remaining++;
	else
		*waiter = 0;
}

static void visit_waiter(struct rebuild *r, uint32_t session, uint32_t index,
			 struct slot *slot)
{
	(void)session;
	(void)index;
	expect(r, &slot->waiter);
}

static void expect_ends(struct rebuild *r)
{
	uint32_t devices = region_area(r->region, AREA_DEVICES)->used;
	uint32_t contexts = region_area(r->region, AREA_CONTEXTS)->used;

	for (uint32_t i = 1; i < devices; i++) {
		struct device *d = device_at(r->region, i);

		if (!d->record.in_use)
			continue;
		if (!d->closing)
			d->waiter = 0;
		expect(r, &d->waiter);
	}
	for (uint32_t i = 1; i < contexts; i++)
		if (rebuild_is_used(r, AREA_CONTEXTS, i))
			expect(r, &context_at(r->region, i)->waiter);
}

/* ---- Waits for fences ---- */

static bool is_open(const struct rebuild *r, const struct wait *w)
{
	const struct waiter *waiter;
	const struct slot *slot;

	if (!rebuild_is_used(r, AREA_WAITERS, w->waiter) ||
	    !rebuild_is_used(r, AREA_FENCES, w->fence))
		return false;
	waiter = waiter_at(r->region, w->waiter);
	slot = slot_at(r->region, w->slot);
	return waiter->opcode == WIRE_OP_FENCE_WAIT &&
	       waiter->phase == WAITER_PENDING && !waiter->decided &&
	       slot_state(slot) == SLOT_LIVE && slot_kind(slot) == KIND_FENCE &&
	       slot->fence.fence == w->fence;
}

/* The fence died, or its opening went, under a wait that was not told yet. */
static void lose(struct rebuild *r, const struct wait *w)
{
	struct waiter *waiter;

	if (!rebuild_is_used(r, AREA_WAITERS, w->waiter))
		return;
	waiter = waiter_at(r->region, w->waiter);
	if (waiter->opcode != WIRE_OP_FENCE_WAIT ||
	    waiter->phase != WAITER_PENDING || waiter->decided)
		return;
	waiter->status = -ENODEV;
	waiter->reason = TENURE_REASON_FENCE_GONE;
	stored();
	waiter->decided = 1;
}

/* One that has come and was not told: one of any ends them all. */
static void arrive(struct rebuild *r, const struct wait *w)
{
	struct waiter *waiter = waiter_at(r->region, w->waiter);

	if (!waiter->any)
		return;
	waiter->value = w->position;
	stored();
	waiter->decided = 1;
}

static void decide_waits(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_WAITS)->used;

	for (uint32_t i = 1; i < used; i++) {
		const struct wait *w = wait_at(r->region, i);

		if (!w->record.in_use || w->came)
			continue;
		if (!is_open(r, w))
			lose(r, w);
		else if (fence_at(r->region, w->fence)->value >= w->value)
			arrive(r, w);
		else if (fence_at(r->region, w->fence)->dead)
			lose(r, w);
	}
}

/* Now that nobody waits for them, dead ones are as those that died in peace. */
static void bury_fences(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_FENCES)->used;

	for (uint32_t i = 1; i < used; i++)
		if (fence_at(r->region, i)->dead)
			fence_at(r->region, i)->value = UINT64_MAX;
}

static void link_wait(struct rebuild *r, uint32_t index)
{
	struct wait *w = wait_at(r->region, index);
	struct fence *f = fence_at(r->region, w->fence);
	struct waiter *waiter = waiter_at(r->region, w->waiter);

	w->previous = 0;
	w->next = f->first_wait;
	if (w->next != 0)
		wait_at(r->region, w->next)->previous = index;
	f->first_wait = index;
	f->n_waits++;
	crowd_join(r->region, w->fence, waiter->session);
	session_at(r->region, f->session)->n_fence_waits++;
	w->next_own = waiter->first_wait;
	waiter->first_wait = index;
	waiter->remaining++;
}

static void find_waits(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_WAITS)->used;

	decide_waits(r);
	crowd_clear(r->region);
	rebuild_clear(r, AREA_CROWDS);
	rebuild_free_list(r, AREA_CROWDS);
	for (uint32_t i = 1; i < used; i++) {
		struct wait *w = wait_at(r->region, i);

		if (!w->record.in_use)
			continue;
		if (!w->came && is_open(r, w) &&
		    fence_at(r->region, w->fence)->value < w->value)
			link_wait(r, i);
		else
			w->record.in_use = 0;
	}
	bury_fences(r);
	rebuild_free_list(r, AREA_WAITS);
}

/* ---- Followers and answers ---- */

/* Whoever follows one that still waits, waits: until nobody new is found. */
static void follow(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_WAITERS)->used;
	bool more;

	do {
		more = false;
		for (uint32_t i = 1; i < used; i++) {
			struct waiter *w = waiter_at(r->region, i);

			if (!w->record.in_use || w->counted ||
			    w->remaining == 0 || w->follower == 0)
				continue;
			w->counted = 1;
			expect(r, &w->follower);
			more = true;
		}
	} while (more);
}

static void link_waiter(struct rebuild *r, uint32_t index)
{
	struct waiter *w = waiter_at(r->region, index);
	struct session *s = session_at(r->region, w->session);

	w->next_own = s->first_waiter;
	if (w->next_own != 0)
		waiter_at(r->region, w->next_own)->previous_own = index;
	s->first_waiter = index;
	session_charge(r->env, w->session, CHARGE_WAITS, w->cost);
	if (w->port != BROKER_PORT_WATCH)
		return;
	s->n_watches++;
	principal_at(r->region, s->principal)->n_watches++;
}

static void queue_answer(struct rebuild *r, uint32_t index)
{
	waiter_at(r->region, index)->phase = WAITER_DUE;
	queue_put(r->region, &r->state->answered, LINK_ANSWERED, index);
}

/* One that has an answer or nobody who reads it. */
static void settle_waiter(struct rebuild *r, uint32_t index)
{
	struct waiter *w = waiter_at(r->region, index);
	bool heard = session_at(r->region, w->session)->phase == SESSION_ACTIVE;

	if (w->phase == WAITER_DUE && !heard)
		w->phase = WAITER_TOLD;
	if (w->remaining == 0 && (w->phase == WAITER_TOLD || !heard)) {
		w->record.in_use = 0;
		return;
	}
	if (w->phase != WAITER_TOLD)
		link_waiter(r, index);
	if (w->phase == WAITER_DUE ||
	    (w->phase == WAITER_PENDING && w->remaining == 0))
		queue_answer(r, index);
}

void rebuild_waits(struct rebuild *r)
{
	uint32_t used = region_area(r->region, AREA_WAITERS)->used;

	find_waiters(r);
	rebuild_each_slot(r, visit_waiter);
	expect_ends(r);
	find_waits(r);
	follow(r);
	for (uint32_t i = 1; i < used; i++)
		if (rebuild_is_used(r, AREA_WAITERS, i))
			settle_waiter(r, i);
	rebuild_free_list(r, AREA_WAITERS);
}
