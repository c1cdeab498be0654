/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warm pools
 *
 * A pool lives in its client: taking a buffer and giving it back must cost
 * nothing, so the daemon is not asked. Its buffers are private allocations of
 * that client like any other; the daemon charges them, and destroys them with
 * the client. What is here is only for the person who looks: that there is a
 * pool, and what its client last said of its inventory, hits and misses.
 *
 *	session --> pool <-> pool <-> pool        (POOLS_PER_CLIENT_MAX)
 *	             | told: counters, when
 *
 * Nothing is decided by these figures, so a client that lies about them fools
 * whoever looks at its row and nobody else. Numbers of pools are given out
 * once, so a report that comes late meets no other pool.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A client sees and changes no pool but its own.
 *  G2  A session that ends leaves no pool behind.
 *  G3  What is refused has changed nothing.
 */
#include "core/warm.h"

struct outcome warm_create(struct env *env, uint32_t session,
			   const struct warm_args *args, uint64_t now_ns,
			   uint64_t *ret_pool)
{
	struct region *region = &env->region;
	struct session *s = session_at(region, session);
	struct warm_pool *pool;
	uint32_t index;

	if (args->size_bytes == 0)
		return refuse(-EINVAL, TENURE_REASON_SIZE_ZERO);
	if (args->size_bytes > ALLOCATION_BYTES_MAX)
		return refuse(-EINVAL, TENURE_REASON_SIZE_TOO_LARGE);
	if (s->n_pools >= POOLS_PER_CLIENT_MAX)
		return refuse(-EDQUOT, TENURE_REASON_CLIENT_POOLS);
	if (pool_reserve(region, AREA_WARM_POOLS, 1) != 0)
		return refuse_memory();
	index = pool_take(region, AREA_WARM_POOLS);
	pool = warm_pool_at(region, index);
	pool->session = session;
	pool->number = ++region_state(region)->last_pool;
	pool->size_bytes = args->size_bytes;
	pool->idle_timeout_ns = args->idle_timeout_ns;
	pool->count = args->count;
	pool->born_s = pool->told_s = (uint32_t)(now_ns / NS_PER_S);
	pool->next = s->first_pool;
	s->first_pool = index;
	s->n_pools++;
	*ret_pool = pool->number;
	return outcome_ok();
}

/* The link that leads to a pool of the session, or NULL. */
static uint32_t *find(struct env *env, uint32_t session, uint64_t number)
{
	uint32_t *link = &session_at(&env->region, session)->first_pool;

	while (*link != 0) {
		struct warm_pool *pool = warm_pool_at(&env->region, *link);

		if (pool->number == number)
			return link;
		link = &pool->next;
	}
	return NULL;
}

struct outcome warm_report(struct env *env, uint32_t session, uint64_t number,
			   const void *told, uint32_t told_bytes,
			   uint64_t now_ns)
{
	uint32_t *link = find(env, session, number);
	struct warm_pool *pool;

	if (!link)
		return refuse(-EINVAL, TENURE_REASON_POOL_UNKNOWN);
	if (told_bytes != sizeof(pool->told))
		return refuse(-EINVAL, TENURE_REASON_ARGUMENT);
	pool = warm_pool_at(&env->region, *link);
	memcpy(&pool->told, told, sizeof(pool->told));
	pool->told_s = (uint32_t)(now_ns / NS_PER_S);
	return outcome_ok();
}

static void unlink_pool(struct env *env, uint32_t session, uint32_t *link)
{
	uint32_t index = *link;

	*link = warm_pool_at(&env->region, index)->next;
	session_at(&env->region, session)->n_pools--;
	pool_give(&env->region, AREA_WARM_POOLS, index);
}

struct outcome warm_destroy(struct env *env, uint32_t session, uint64_t number)
{
	uint32_t *link = find(env, session, number);

	if (!link)
		return refuse(-EINVAL, TENURE_REASON_POOL_UNKNOWN);
	unlink_pool(env, session, link);
	return outcome_ok();
}

void warm_forget(struct env *env, uint32_t session)
{
	struct session *s = session_at(&env->region, session);

	while (s->first_pool != 0)
		unlink_pool(env, session, &s->first_pool);
	assert(s->n_pools == 0);
}
