/* SPDX-License-Identifier: Apache-2.0 */
/* Crowd: against a walk, and what it is for. */
#include "core/crowd.h"

#include "tests/support/random.h"
#include "tests/support/seat.h"

#include <time.h>

enum {
	CLIENTS = 7,
	FENCES = 3,
	ROUNDS = 3000,
	ALL = TENURE_WAIT_ALL,
	/* For the great crowd: fences, of which each client takes so many at most. */
	MANY = FENCES_PER_WAIT_MAX,
	GROUP = 8,
};

struct stage {
	struct inproc *world;
	struct seat seats[CLIENTS];
	uint64_t fences[CLIENTS][FENCES]; /* as each names them */
	uint64_t waits[CLIENTS][FENCES][8]; /* requests that may be open */
};

static uint32_t waits_by_a_walk(const struct stage *s, uint32_t fence,
				uint32_t session, uint32_t principal)
{
	const struct region *region = world_region(s->world);
	uint32_t i = fence_at(region, fence)->first_wait, n = 0;

	for (; i != 0; i = wait_at(region, i)->next) {
		uint32_t who =
			waiter_at(region, wait_at(region, i)->waiter)->session;

		n += session != 0 ?
			     who == session :
			     session_at(region, who)->principal == principal;
	}
	return n;
}

static void compare(const struct stage *s)
{
	const struct region *region = world_region(s->world);

	for (int i = 0; i < CLIENTS; i++) {
		uint32_t principal = seat_session(&s->seats[i])->principal;

		for (int k = 0; k < FENCES; k++) {
			uint32_t fence =
				seat_slot(&s->seats[i], s->fences[i][k])
					->fence.fence;

			assert_int_equal(crowd_of_client(region, fence,
							 s->seats[i].client),
					 waits_by_a_walk(s, fence,
							 s->seats[i].client,
							 0));
			assert_int_equal(
				crowd_of_principal(region, fence, principal),
				waits_by_a_walk(s, fence, 0, principal));
		}
	}
}

/* Fences of the first client, read by all. */
static void set_stage(struct stage *s)
{
	uint64_t token[2];
	uint32_t word;

	*s = (struct stage){ .world = inproc_new(NULL) };
	for (uint32_t i = 0; i < CLIENTS; i++)
		seat_take_as(&s->seats[i], s->world, 10 + i / 2);
	for (int k = 0; k < FENCES; k++) {
		assert_int_equal(seat_fence_create(&s->seats[0], 0,
						   &s->fences[0][k], &word),
				 0);
		assert_int_equal(seat_fence_share(&s->seats[0], s->fences[0][k],
						  TENURE_RIGHT_READ, token),
				 0);
		for (int i = 1; i < CLIENTS; i++)
			assert_int_equal(seat_fence_open(&s->seats[i], token, 0,
							 &s->fences[i][k]),
					 0);
	}
}

/* One more wait, or one fewer. */
static void step(struct stage *s, struct random *random, const uint64_t *values)
{
	uint32_t i = random_below(random, CLIENTS), n = 1;
	uint32_t k = random_below(random, FENCES), w = random_below(random, 8);
	struct wire_fence_wait list[3];
	struct seat *seat = &s->seats[i];

	if (s->waits[i][k][w] != 0 &&
	    seat_fence_wait_cancel(seat, s->waits[i][k][w]) == 0) {
		s->waits[i][k][w] = 0;
		return;
	}
	for (n = 0; n < 1 + w % 3; n++) {
		uint32_t f = (k + n * (w & 1)) % FENCES;

		list[n] = (struct wire_fence_wait){ s->fences[i][f],
						    values[f] + 1 + w };
	}
	assert_int_equal(seat_fence_wait(seat, w < 4 ? ALL : 0, list, n),
			 BROKER_LATER);
	s->waits[i][k][w] = seat->id;
}

static void g1_against_a_walk(void **state)
{
	static struct stage s;
	struct random random = { 5 };
	uint64_t values[FENCES] = { 0 };
	const struct area_head *head;

	(void)state;
	set_stage(&s);
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t k = random_below(&random, FENCES);

		step(&s, &random, values);
		if (random_chance(&random, 5))
			assert_int_equal(seat_fence_signal(&s.seats[0],
							   s.fences[0][k],
							   ++values[k]),
					 0);
		if (round % 500 == 250)
			inproc_move(s.world);
		if (round % 500 == 400)
			inproc_recover(s.world, round % 1000 == 400);
		if (round % 20 == 0) {
			compare(&s);
			inproc_check(s.world);
		}
	}
	for (int k = 0; k < FENCES; k++)
		assert_int_equal(seat_fence_signal(&s.seats[0], s.fences[0][k],
						   values[k] + 100),
				 0);
	compare(&s);
	head = region_area(world_region(s.world), AREA_CROWDS);
	assert_int_equal(head->free_count, head->used - 1);
	inproc_free(s.world);
}

/* Who is in its turn taken by two of a bucket, and found behind others. */
static void g2_no_room_is_lost(void **state)
{
	enum { N = 3 * CROWD_BUCKETS };
	struct inproc *world = inproc_new(NULL);
	struct region *region = world_region(world);
	struct seat seat;
	uint32_t used;

	(void)state;
	seat_take(&seat, world);
	assert_int_equal(crowd_of_client(region, 1, seat.client), 0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(crowd_reserve(region, N), 0);
		for (uint32_t i = 1; i <= N; i++)
			crowd_join(region, i, seat.client);
		used = region_area(region, AREA_CROWDS)->used;
		assert_int_equal(used, 2 * N + 1);
		for (uint32_t i = 1; i <= N; i++) {
			uint32_t fence = (uint32_t)(i * UINT64_C(7919) % N) + 1;

			assert_int_equal(
				crowd_of_client(region, fence, seat.client), 1);
			crowd_leave(region, fence, seat.client);
			assert_int_equal(
				crowd_of_client(region, fence, seat.client), 0);
		}
	}
	inproc_free(world);
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* What a wait for all of those fences, and its end, takes at best. */
static uint64_t cost_of_a_wait(struct seat *seat,
			       const struct wire_fence_wait *list)
{
	uint64_t best_ns = UINT64_MAX;

	for (int i = 0; i < 30; i++) {
		uint64_t began_ns = cpu_ns();

		assert_int_equal(seat_fence_wait(seat, ALL, list, MANY),
				 BROKER_LATER);
		best_ns = min_u64(best_ns, cpu_ns() - began_ns);
		assert_int_equal(seat_fence_wait_cancel(seat, seat->id), 0);
	}
	return best_ns;
}

/* Comes in and takes as much of each fence of a group as one client may. */
static void fill_up(struct inproc *world, uint64_t tokens[MANY][2],
		    uint32_t group, uint32_t uid)
{
	struct wire_fence_wait list[64];
	struct seat seat;
	uint64_t fence;

	seat_take_as(&seat, world, uid);
	for (uint32_t k = group * GROUP; k < (group + 1) * GROUP; k++) {
		assert_int_equal(seat_fence_open(&seat, tokens[k], 0, &fence),
				 0);
		for (int i = 0; i < 64; i++)
			list[i] = (struct wire_fence_wait){ fence, 5 };
		for (int i = 0; i < WAITS_PER_FENCE_CLIENT_MAX / 64; i++)
			assert_int_equal(seat_fence_wait(&seat, ALL, list, 64),
					 BROKER_LATER);
	}
}

/* A walk over all of them takes some thirty times as long: fence_wait G5. */
static void a_crowd_costs_nothing(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct wire_fence_wait list[MANY];
	uint64_t tokens[MANY][2], alone_ns;
	struct seat maker;
	uint32_t word;

	(void)state;
	seat_take(&maker, world);
	for (int k = 0; k < MANY; k++) {
		list[k].value = 5;
		assert_int_equal(
			seat_fence_create(&maker, 0, &list[k].fence, &word), 0);
		assert_int_equal(seat_fence_share(&maker, list[k].fence,
						  TENURE_RIGHT_READ, tokens[k]),
				 0);
	}
	alone_ns = cost_of_a_wait(&maker, list);
	for (uint32_t i = 0; i < 7 * MANY / GROUP; i++)
		fill_up(world, tokens, i % (MANY / GROUP), 100 + i);
	assert_int_equal(seat_session(&maker)->n_fence_waits,
			 MANY * 7 * WAITS_PER_FENCE_CLIENT_MAX);
	assert_true(cost_of_a_wait(&maker, list) < 8 * alone_ns);
	inproc_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_against_a_walk),
		cmocka_unit_test(g2_no_room_is_lost),
		cmocka_unit_test(a_crowd_costs_nothing),
	};

	return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
