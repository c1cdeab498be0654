/* SPDX-License-Identifier: Apache-2.0 */
#include "core/object.h"

#include "core/session.h"
#include "tests/support/random.h"
#include "tests/support/seat.h"

enum { SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED };

/* An object of no resource, made by hand. */
static uint32_t make_object(struct inproc *world, uint64_t size_bytes)
{
	struct env *env = world_env(world);
	uint32_t object;

	assert_int_equal(object_reserve(env), 0);
	assert_int_equal(store_reserve(env), 0);
	object = object_new(env);
	object_at(&env->region, object)->size_bytes = size_bytes;
	object_at(&env->region, object)->store =
		store_new(env, 0, 1, size_bytes, 0);
	return object;
}

static uint32_t principal_of(const struct seat *seat)
{
	return seat_session(seat)->principal;
}

static const struct account *purse_of(const struct seat *seat)
{
	return &principal_at(world_region(seat->world), principal_of(seat))
			->account;
}

/* Holds come and go in any order; only the very last one says so. */
static void g1_the_last_one_to_let_go(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct env *env = world_env(world);
	struct random random = { 31 };
	struct seat seats[3];

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		seat_take_as(&seats[i], world, 100 + i);
	for (int round = 0; round < 50; round++) {
		uint32_t object = make_object(world, PAGE_BYTES);
		uint32_t holds[3] = { 0 }, n = 0, lasts = 0;

		while (n < 20) {
			uint32_t i = random_below(&random, 3);

			assert_int_equal(object_reserve(env), 0);
			object_hold(env, object, principal_of(&seats[i]));
			holds[i]++;
			n++;
		}
		while (n > 0) {
			uint32_t i = random_below(&random, 3);

			if (holds[i] == 0)
				continue;
			holds[i]--;
			n--;
			lasts += object_drop(env, object,
					     principal_of(&seats[i]));
			assert_int_equal(lasts, n == 0);
			/* Whoever has nothing left pays nothing, but for the
			 * last one, until the memory is back. */
			assert_int_equal(
				purse_of(&seats[i])->used[CHARGE_BYTES],
				holds[i] > 0 || n == 0 ? PAGE_BYTES : 0);
		}
		object_free(env, object);
		for (uint32_t i = 0; i < 3; i++)
			assert_int_equal(
				purse_of(&seats[i])->used[CHARGE_BYTES], 0);
	}
	/* What make_object() gave to the totals by hand. */
	inproc_check(world);
	inproc_free(world);
}

static void drop_too_often(void *argument)
{
	struct seat *seat = argument;
	struct env *env = world_env(seat->world);
	uint32_t object = make_object(seat->world, PAGE_BYTES);

	object_hold(env, object, principal_of(seat));
	object_drop(env, object, principal_of(seat));
	object_drop(env, object, principal_of(seat));
}

static void g1_and_no_further(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	assert_asserts(drop_too_often, &seat);
	inproc_free(world);
}

/* Every principal pays once, every client for each of its openings. */
static void who_pays_for_what(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct seat a, b, c; /* a and b are one principal */
	uint64_t resource, token[2], opened[3];

	(void)state;
	seat_take(&a, world);
	seat_take(&b, world);
	seat_take_as(&c, world, 7);
	assert_int_equal(seat_create(&a, 0, SHARED, 3, &resource, NULL), 0);
	assert_int_equal(seat_share(&a, resource, 3, token), 0);
	assert_int_equal(seat_open(&b, token, 3, &opened[0], NULL), 0);
	assert_int_equal(seat_open(&b, token, 3, &opened[1], NULL), 0);
	assert_int_equal(seat_open(&c, token, 3, &opened[2], NULL), 0);
	assert_int_equal(seat_session(&a)->account.used[CHARGE_BYTES],
			 3 * PAGE_BYTES);
	assert_int_equal(seat_session(&b)->account.used[CHARGE_BYTES],
			 6 * PAGE_BYTES);
	assert_int_equal(purse_of(&a)->used[CHARGE_BYTES], 3 * PAGE_BYTES);
	assert_int_equal(purse_of(&a)->used[CHARGE_STORES], 1);
	assert_int_equal(purse_of(&c)->used[CHARGE_BYTES], 3 * PAGE_BYTES);
	/* The token alone keeps its maker's principal paying. */
	assert_int_equal(seat_destroy(&a, resource, NULL, 0, 0), 0);
	assert_int_equal(seat_destroy(&b, opened[0], NULL, 0, 0), 0);
	assert_int_equal(seat_destroy(&b, opened[1], NULL, 0, 0), 0);
	assert_int_equal(seat_session(&b)->account.used[CHARGE_BYTES], 0);
	assert_int_equal(purse_of(&a)->used[CHARGE_BYTES], 3 * PAGE_BYTES);
	assert_int_equal(seat_revoke(&a, token), 0);
	assert_int_equal(purse_of(&a)->used[CHARGE_BYTES], 0);
	/* The last holder pays until the memory is really back. */
	inproc_releases(world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_destroy(&c, opened[2], NULL, 0, 0), 0);
	assert_int_equal(purse_of(&c)->used[CHARGE_BYTES], 3 * PAGE_BYTES);
	inproc_check(world);
	inproc_releases(world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(world);
	assert_int_equal(purse_of(&c)->used[CHARGE_BYTES], 0);
	assert_int_equal(world_state(world)->n_objects, 0);
	inproc_free(world);
}

static void g2_a_freed_token_is_never_found(void **state)
{
	enum { N = 500 };
	struct inproc *world = inproc_new(NULL);
	struct env *env = world_env(world);
	struct random random = { 32 };
	static uint64_t tokens[N][2];
	static bool alive[N];
	uint64_t resource;
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	assert_int_equal(seat_create(&seat, 0, SHARED, 1, &resource, NULL), 0);
	for (uint32_t i = 0; i < N; i++) {
		assert_int_equal(seat_share(&seat, resource, 1, tokens[i]), 0);
		alive[i] = true;
	}
	inproc_check(world);
	for (uint32_t n = 0; n < N / 2; n++) {
		uint32_t i = random_below(&random, N);

		assert_int_equal(seat_revoke(&seat, tokens[i]),
				 alive[i] ? 0 : -EINVAL);
		alive[i] = false;
	}
	for (uint32_t i = 0; i < N; i++) {
		uint64_t half[2] = { tokens[i][0], tokens[i][1] ^ 1 };

		assert_int_equal(token_find(env, tokens[i]) != 0, alive[i]);
		assert_int_equal(token_find(env, half), 0);
		half[0] ^= UINT64_C(1) << 63;
		half[1] ^= 1;
		assert_int_equal(token_find(env, half), 0);
	}
	inproc_check(world);
	inproc_free(world);
}

/* Randomness that says everything three times. */
static void stutter(void *context, void *bytes, size_t size_bytes)
{
	uint64_t *calls = context, value[2] = { *calls / 3 * 65536, 1 };

	assert_int_equal(size_bytes, sizeof(value));
	memcpy(bytes, value, sizeof(value));
	++*calls;
}

static void g2_no_two_tokens_have_one_value(void **state)
{
	struct inproc *world = inproc_new(NULL);
	struct env *env = world_env(world);
	struct entropy before = env->entropy;
	uint64_t resource, tokens[10][2], calls = 0;
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	assert_int_equal(seat_create(&seat, 0, SHARED, 1, &resource, NULL), 0);
	env->entropy = (struct entropy){ stutter, &calls };
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(seat_share(&seat, resource, 1, tokens[i]), 0);
	env->entropy = before;
	/* All in one bucket, and each another one. */
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(tokens[i][0], i * 65536);
	inproc_check(world);
	for (uint32_t i = 0; i < 10; i += 3)
		assert_int_equal(seat_revoke(&seat, tokens[i]), 0);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(token_find(env, tokens[i]) != 0, i % 3 != 0);
	inproc_check(world);
	inproc_free(world);
}

static void g3_tokens_are_limited(void **state)
{
	struct inproc_config config;
	struct inproc *world;
	uint64_t resource, token[2];
	struct seat seat, twin;

	(void)state;
	inproc_config_default(&config);
	config.limits.client[CHARGE_TOKENS] = 2;
	config.limits.principal[CHARGE_TOKENS] = 3;
	world = inproc_new(&config);
	seat_take(&seat, world);
	seat_take(&twin, world);
	assert_int_equal(seat_create(&seat, 0, SHARED, 1, &resource, NULL), 0);
	assert_int_equal(seat_share(&seat, resource, 1, token), 0);
	assert_int_equal(seat_share(&seat, resource, 1, token), 0);
	assert_unchanged(&seat, seat_share(&seat, resource, 1, token), -EDQUOT,
			 TENURE_REASON_CLIENT_TOKENS);
	assert_int_equal(seat_create(&twin, 0, SHARED, 1, &resource, NULL), 0);
	assert_int_equal(seat_share(&twin, resource, 1, token), 0);
	assert_unchanged(&twin, seat_share(&twin, resource, 1, token), -EDQUOT,
			 TENURE_REASON_PRINCIPAL_TOKENS);
	inproc_free(world);
}

static void g3_a_token_without_memory(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct inproc *world = inproc_new(NULL);
		uint64_t resource, token[2] = { 5, 6 };
		struct seat seat;
		int r;

		seat_take(&seat, world);
		assert_int_equal(
			seat_create(&seat, 0, SHARED, 1, &resource, NULL), 0);
		world_fail_commit(world, n);
		r = seat_share(&seat, resource, 1, token);
		world_fail_commit(world, 0);
		inproc_check(world);
		if (r == 0) {
			assert_true(n > 1);
			inproc_free(world);
			return;
		}
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(world_state(world)->n_tokens, 0);
		assert_int_equal(token[0], 5);
		inproc_free(world);
	}
}

static void serials_of_stores_are_never_used_twice(void **state)
{
	struct inproc *world = inproc_new(NULL);
	uint64_t last = 0, handle;
	struct seat seat;

	(void)state;
	seat_take(&seat, world);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(seat_create(&seat, 0, 0, 1, NULL, &handle), 0);
		assert_int_equal(seat_map(&seat, handle, 0), 0);
		assert_true(seat.reply.head.value[0] > last);
		last = seat.reply.head.value[0];
		assert_int_equal(seat_destroy(&seat, 0, &handle, 1, 0), 0);
	}
	inproc_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_the_last_one_to_let_go),
		cmocka_unit_test(g1_and_no_further),
		cmocka_unit_test(who_pays_for_what),
		cmocka_unit_test(g2_a_freed_token_is_never_found),
		cmocka_unit_test(g2_no_two_tokens_have_one_value),
		cmocka_unit_test(g3_tokens_are_limited),
		cmocka_unit_test(g3_a_token_without_memory),
		cmocka_unit_test(serials_of_stores_are_never_used_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
