/* SPDX-License-Identifier: Apache-2.0 */
#include "core/queue.h"

#include "core/state.h"
#include "tests/support/seat.h"

enum { RECORDS = 6 };

struct fixture {
	struct bare bare;
	uint32_t index[RECORDS]; /* of sessions */
};

static int set_up(void **state)
{
	static struct fixture f;

	bare_init(&f.bare, 1);
	if (pool_reserve(&f.bare.region, AREA_SESSIONS, RECORDS) != 0)
		return -1;
	for (int i = 0; i < RECORDS; i++)
		f.index[i] = pool_take(&f.bare.region, AREA_SESSIONS);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	bare_deinit(&f->bare);
	return 0;
}

static void first_in_first_out(void **state)
{
	struct fixture *f = *state;
	const struct region *region = &f->bare.region;
	struct queue queue = { 0 };

	assert_int_equal(queue_take(region, &queue, LINK_READY), 0);
	for (int i = 0; i < RECORDS; i++)
		queue_put(region, &queue, LINK_READY, f->index[i]);
	assert_int_equal(queue.head, f->index[0]);
	assert_int_equal(queue.tail, f->index[RECORDS - 1]);
	for (int i = 0; i < RECORDS; i++)
		assert_int_equal(queue_take(region, &queue, LINK_READY),
				 f->index[i]);
	assert_int_equal(queue_take(region, &queue, LINK_READY), 0);
	assert_int_equal(queue.head | queue.tail, 0);
}

/* One that was taken keeps its link, which must not matter. */
static void comes_again(void **state)
{
	struct fixture *f = *state;
	const struct region *region = &f->bare.region;
	struct queue queue = { 0 };

	queue_put(region, &queue, LINK_READY, f->index[0]);
	queue_put(region, &queue, LINK_READY, f->index[1]);
	assert_int_equal(queue_take(region, &queue, LINK_READY), f->index[0]);
	queue_put(region, &queue, LINK_READY, f->index[0]);
	assert_int_equal(queue_take(region, &queue, LINK_READY), f->index[1]);
	assert_int_equal(queue_take(region, &queue, LINK_READY), f->index[0]);
	assert_int_equal(queue_take(region, &queue, LINK_READY), 0);
}

/* A record in two queues, by two links. */
static void two_links(void **state)
{
	struct fixture *f = *state;
	const struct region *region = &f->bare.region;
	struct queue ready = { 0 }, ended = { 0 };

	for (int i = 0; i < 2; i++) {
		queue_put(region, &ready, LINK_READY, f->index[i]);
		queue_put(region, &ended, LINK_ENDED, f->index[1 - i]);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(queue_take(region, &ready, LINK_READY),
				 f->index[i]);
		assert_int_equal(queue_take(region, &ended, LINK_ENDED),
				 f->index[1 - i]);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(first_in_first_out),
		TEST(comes_again),
		TEST(two_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
