/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/releaser.h"

#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define REST_NS (RELEASER_REST_MS * UINT64_C(1000000))

/* A backend whose destroy waits for leave to go on. */
static struct {
	sem_t entered, leave, told;
	int status;
	unsigned int calls; /* the releaser's, between entered and told */
} world;

static int destroy_allocation(void *state, struct backend_destroy *destroy)
{
	assert_ptr_equal(state, &world);
	sem_post(&world.entered);
	sem_wait(&world.leave);
	world.calls++;
	if (world.status == 0)
		destroy->resource += 1000;
	return world.status;
}

static void notify(void *context)
{
	assert_ptr_equal(context, &world);
	sem_post(&world.told);
}

static const struct backend_ops ops = {
	.destroy_allocation = destroy_allocation,
};

static struct broker_adapter adapter = {
	.name = "test",
	.backend = { &ops, &world },
};

static struct releaser *releaser;

static int setup(void **state)
{
	const struct releaser_config config = {
		.adapters = &adapter,
		.n_adapters = 1,
		.notify = notify,
		.context = &world,
	};

	(void)state;
	memset(&world, 0, sizeof(world));
	sem_init(&world.entered, 0, 0);
	sem_init(&world.leave, 0, 0);
	sem_init(&world.told, 0, 0);
	return releaser_new(&config, &releaser);
}

static int teardown(void **state)
{
	(void)state;
	releaser_free(releaser);
	sem_destroy(&world.entered);
	sem_destroy(&world.leave);
	sem_destroy(&world.told);
	return 0;
}

static bool submit(uint32_t client)
{
	struct release *room = releaser_room(releaser);

	if (!room)
		return false;
	*room = (struct release){
		.adapter = 0,
		.args = { .client = client, .resource = client },
		.bytes = client * UINT64_C(4096),
	};
	releaser_submit(releaser);
	return true;
}

static void test_g1_each_once(void **state)
{
	struct releaser_result result;
	bool seen[RELEASER_JOBS + 1] = { false };

	(void)state;
	for (uint32_t client = 1; client <= RELEASER_JOBS; client++)
		assert_true(submit(client));
	assert_false(submit(999));
	assert_false(releaser_next_done(releaser, 1, &result));
	for (uint32_t i = 0; i < RELEASER_JOBS; i++)
		sem_post(&world.leave);
	for (uint32_t i = 0; i < RELEASER_JOBS; i++)
		sem_wait(&world.told);
	while (releaser_next_done(releaser, 1, &result)) {
		assert_int_equal(result.status, 0);
		assert_int_equal(result.resource, result.client + 1000);
		assert_int_equal(result.bytes, result.client * 4096);
		assert_false(seen[result.client]);
		seen[result.client] = true;
	}
	for (uint32_t client = 1; client <= RELEASER_JOBS; client++)
		assert_true(seen[client]);
	assert_int_equal(world.calls, RELEASER_JOBS);
	assert_true(submit(1));
	sem_post(&world.leave);
}

static void test_g2_failures_rest(void **state)
{
	struct releaser_result result;
	uint64_t until;

	(void)state;
	world.status = -EIO;
	assert_true(submit(7));
	sem_post(&world.leave);
	sem_wait(&world.told);
	assert_int_equal(releaser_rest_until(releaser), 0);
	assert_false(releaser_next_done(releaser, 50, &result));
	until = releaser_rest_until(releaser);
	assert_true(until == 50 + REST_NS);
	assert_false(releaser_next_done(releaser, until - 1, &result));
	assert_true(releaser_next_done(releaser, until, &result));
	assert_int_equal(result.client, 7);
	assert_int_equal(result.status, -EIO);
	assert_int_equal(result.resource, 7);
	assert_int_equal(releaser_rest_until(releaser), 0);
}

static void test_others_pass_a_resting_job(void **state)
{
	struct releaser_result result;

	(void)state;
	world.status = -EIO;
	assert_true(submit(1));
	sem_post(&world.leave);
	sem_wait(&world.told);
	assert_false(releaser_next_done(releaser, 1, &result));
	world.status = 0;
	assert_true(submit(2));
	sem_post(&world.leave);
	sem_wait(&world.told);
	assert_true(releaser_next_done(releaser, 2, &result));
	assert_int_equal(result.client, 2);
}

static void test_g3_free_waits(void **state)
{
	(void)state;
	assert_true(submit(1));
	assert_true(submit(2));
	sem_wait(&world.entered);
	/* One is under way, and the other will be dropped. */
	sem_post(&world.leave);
	sem_wait(&world.told);
	sem_post(&world.leave);
	releaser_free(releaser);
	assert_in_range(world.calls, 1, 2);
	assert_int_equal(setup(state), 0);
}

static void test_g4_watching(void **state)
{
	struct releaser_result result;

	(void)state;
	releaser_watch(releaser);
	assert_true(submit(1));
	sem_post(&world.leave);
	while (!releaser_next_done(releaser, 1, &result))
		sched_yield();
	assert_false(releaser_unwatch(releaser));
	/* One that is finished while nobody asks, is there in the end. */
	releaser_watch(releaser);
	assert_true(submit(2));
	sem_post(&world.leave);
	while (!releaser_unwatch(releaser))
		releaser_watch(releaser);
	assert_true(releaser_next_done(releaser, 1, &result));
	assert_int_equal(result.client, 2);
	/* And of the next one somebody is told, perhaps after he was told of
	 * the one before. */
	assert_true(submit(3));
	sem_post(&world.leave);
	do
		sem_wait(&world.told);
	while (!releaser_next_done(releaser, 1, &result));
	assert_int_equal(result.client, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_g1_each_once),
		TEST(test_g2_failures_rest),
		TEST(test_others_pass_a_resting_job),
		TEST(test_g3_free_waits),
		TEST(test_g4_watching),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
