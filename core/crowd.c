/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crowds: who waits for a fence, counted.
 *
 * How many waits one client and one principal may have on a fence is limited
 * (core/fence_wait.c). A wait may name 64 fences with a thousand waits on each,
 * so to count them when a new one comes would be 65,536 steps in one request.
 * So they are counted as they come and go: a *crowd* is a fence and a client,
 * or a fence and a principal, and lives as long as it has a wait.
 *
 *	buckets           crowds
 *	[  ] --> fence 3, client 7: 12 --> fence 9, principal 2: 40
 *	[  ]
 *	[  ] --> fence 3, principal 2: 60
 *
 * A crowd is found by its names, in about one step: there are as many buckets
 * as waits that one principal may have by default.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A count is what a walk over the waits of the fence would find.
 *  G2  After crowd_reserve(n), n joins succeed, and a crowd without waits
 *      takes no room.
 */
#include "core/crowd.h"

static uint32_t *bucket(const struct region *region, uint32_t fence,
			uint32_t who)
{
	uint64_t names = (uint64_t)fence << 32 | who;
	uint64_t hash = (names ^ names >> 29) * UINT64_C(0x9e3779b97f4a7c15);

	static_assert(CROWD_BUCKETS == 1 << 16, "the upper bits of the hash");
	return (uint32_t *)region_start(region, AREA_CROWD_BUCKETS) +
	       (hash >> 48);
}

/* The link that names it, or the one that ends its bucket. */
static uint32_t *link_to(const struct region *region, uint32_t fence,
			 uint32_t who)
{
	uint32_t *link = bucket(region, fence, who);

	while (*link != 0) {
		struct crowd *p = crowd_at(region, *link);

		if (p->fence == fence && p->who == who)
			break;
		link = &p->next;
	}
	return link;
}

static uint32_t principal_of(const struct region *region, uint32_t session)
{
	return session_at(region, session)->principal | CROWD_PRINCIPAL;
}

int crowd_reserve(struct region *region, uint32_t count)
{
	if (region_commit(region, AREA_CROWD_BUCKETS, CROWD_BUCKETS) != 0)
		return -ENOMEM;
	return pool_reserve(region, AREA_CROWDS, 2 * count);
}

static void join(struct region *region, uint32_t fence, uint32_t who)
{
	uint32_t *link = link_to(region, fence, who), index = *link;

	if (index == 0) {
		index = pool_take(region, AREA_CROWDS);
		crowd_at(region, index)->fence = fence;
		crowd_at(region, index)->who = who;
		*link = index;
	}
	crowd_at(region, index)->n_waits++;
}

static void leave(struct region *region, uint32_t fence, uint32_t who)
{
	uint32_t *link = link_to(region, fence, who), index = *link;
	struct crowd *p = crowd_at(region, index);

	assert(p->n_waits > 0);
	if (--p->n_waits > 0)
		return;
	*link = p->next;
	pool_give(region, AREA_CROWDS, index);
}

void crowd_join(struct region *region, uint32_t fence, uint32_t session)
{
	join(region, fence, session);
	join(region, fence, principal_of(region, session));
}

void crowd_leave(struct region *region, uint32_t fence, uint32_t session)
{
	leave(region, fence, session);
	leave(region, fence, principal_of(region, session));
}

uint32_t crowd_find(const struct region *region, uint32_t fence, uint32_t who)
{
	/* Nobody has waited yet. */
	if (region_area(region, AREA_CROWDS)->used == 1)
		return 0;
	return *link_to(region, fence, who);
}

static uint32_t count(const struct region *region, uint32_t fence, uint32_t who)
{
	uint32_t index = crowd_find(region, fence, who);

	return index == 0 ? 0 : crowd_at(region, index)->n_waits;
}

uint32_t crowd_of_client(const struct region *region, uint32_t fence,
			 uint32_t session)
{
	return count(region, fence, session);
}

uint32_t crowd_of_principal(const struct region *region, uint32_t fence,
			    uint32_t principal)
{
	return count(region, fence, principal | CROWD_PRINCIPAL);
}

void crowd_clear(struct region *region)
{
	uint32_t used = region_area(region, AREA_CROWDS)->used;

	if (used == 1)
		return;
	memset(region_start(region, AREA_CROWD_BUCKETS), 0,
	       CROWD_BUCKETS * sizeof(uint32_t));
}
