/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of a history, found without a search.
 *
 * Operations of many objects have an order if and only if those of each object
 * have one (linearizability is a local property: Herlihy and Wing, 1990), and
 * each generation of a slot is an object of its own. It is
 *
 *	created   at c, between begin and end of its create
 *	destroyed at d, likewise
 *	found     needs a moment in (c, d)
 *	missed    needs one before c or after d
 *
 * so c is best chosen as late as its own end and the first end of a "found"
 * allow, d as early as its own begin and the last begin of a "found" allow: no
 * other choice satisfies more of the "missed". The reclaim may be as late as
 * its end, each unpin as early as its begin.
 */
#include "tests/torture/history.h"

static bool is_possible(const struct history *h, const struct lookup *l,
			const struct span *life)
{
	if (!l->found)
		return l->foreign || l->span.began < life->began ||
		       l->span.ended > life->ended;
	return !l->foreign && (!l->is_pin || l->unpin.began < h->reclaim.ended);
}

bool history_has_order(const struct history *h)
{
	struct span life = { h->create.ended, h->destroy.began };
	const struct lookup *l;

	for (l = h->lookups; l != NULL; l = l->next)
		if (l->found) {
			life.began = min_u64(life.began, l->span.ended);
			life.ended = max_u64(life.ended, l->span.began);
		}
	if (life.began < h->create.began || life.ended > h->destroy.ended)
		return false;
	for (l = h->lookups; l != NULL; l = l->next)
		if (!is_possible(h, l, &life))
			return false;
	return true;
}

uint32_t history_threads(const struct history *h)
{
	uint32_t threads = 1u | 1u << h->reclaimer;

	for (const struct lookup *l = h->lookups; l != NULL; l = l->next)
		if (!l->foreign)
			threads |= 1u << l->thread;
	return (uint32_t)__builtin_popcount(threads);
}

bool history_meets_change(const struct history *h)
{
	for (const struct lookup *l = h->lookups; l != NULL; l = l->next)
		if (!l->foreign && (spans_meet(&l->span, &h->create) ||
				    spans_meet(&l->span, &h->destroy) ||
				    (l->thread != h->reclaimer &&
				     spans_meet(&l->span, &h->reclaim))))
			return true;
	return false;
}

static bool meets_another(const struct lookup *l)
{
	for (const struct lookup *m = l->next; m != NULL; m = m->next)
		if (!m->foreign && m->thread != l->thread &&
		    spans_meet(&l->span, &m->span))
			return true;
	return false;
}

bool history_meets_lookup(const struct history *h)
{
	for (const struct lookup *l = h->lookups; l != NULL; l = l->next)
		if (!l->foreign && meets_another(l))
			return true;
	return false;
}
