/* SPDX-License-Identifier: Apache-2.0 */
/* Timelines: G1 to G3 of core/timeline.c, and what core/retire.c reserves. */
#include "tests/support/seat.h"

#include "core/retire.h"
#include "core/timeline.h"
#include "tests/support/random.h"

enum { LINES = 4 };

struct fixture {
	struct bare bare;
	struct timeline lines[LINES];
};

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){ 0 };
	bare_init(&f.bare, 1);
	region_state(&f.bare.region)->n_streams = LINES;
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	const struct area_head *chunks =
		region_area(&f->bare.region, AREA_CHUNKS);

	/* G3: every chunk is free again. */
	for (int i = 0; i < LINES; i++)
		assert_int_equal(f->lines[i].head, 0);
	assert_int_equal(chunks->free_count, chunks->used - 1);
	assert_int_equal(region_state(&f->bare.region)->n_items, 0);
	bare_deinit(&f->bare);
	return 0;
}

static void append(struct fixture *f, uint64_t value, uint32_t item)
{
	assert_int_equal(stream_reserve(&f->bare.region, 1), 0);
	timeline_append(&f->bare.region, &f->lines[0], value, item);
}

static bool reached(struct fixture *f, uint64_t done)
{
	return timeline_is_reached(&f->lines[0], done);
}

static uint32_t take(struct fixture *f)
{
	uint32_t item;

	assert_int_equal(timeline_take(&f->bare.region, &f->lines[0],
				       UINT64_MAX, &item, 1),
			 1);
	return item;
}

static void g1_runs_and_single_values(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 3000; i++)
		append(f, 1 + (i < 1000 ? i : i / 300), i);
	for (uint32_t i = 0; i < 3000; i++) {
		assert_true(reached(f, 3000));
		assert_int_equal(take(f), i);
	}
	assert_false(reached(f, UINT64_MAX));
}

static void g2_values_round_up(void **state)
{
	struct fixture *f = *state;

	append(f, UINT64_C(1) << 40, 1);
	append(f, 7, 2);
	append(f, UINT64_MAX, 3);
	append(f, 0, 4);
	assert_false(reached(f, (UINT64_C(1) << 40) - 1));
	assert_true(reached(f, UINT64_C(1) << 40));
	assert_int_equal(take(f), 1);
	assert_int_equal(take(f), 2);
	assert_false(reached(f, UINT64_MAX - 1));
	assert_int_equal(take(f), 3);
	assert_int_equal(take(f), 4);
	/* An empty one has forgotten what it had. */
	append(f, 5, 5);
	assert_true(reached(f, 5));
	assert_int_equal(take(f), 5);
}

/* Appending to the record that is being read. */
static void g1_a_record_that_grows(void **state)
{
	struct fixture *f = *state;

	append(f, 5, 1);
	append(f, 5, 2);
	assert_int_equal(take(f), 1);
	append(f, 5, 3);
	assert_int_equal(take(f), 2);
	assert_int_equal(take(f), 3);
	append(f, 5, 4);
	assert_int_equal(take(f), 4);
}

/* Many at once: over records and chunks, and no further than done. */
static void g1_lists(void **state)
{
	struct fixture *f = *state;
	uint32_t items[64], next = 0;

	for (uint32_t i = 0; i < 3000; i++)
		append(f, 1 + (i < 1000 ? i : 1000 + i / 300), i);
	for (uint64_t done = 0; done <= 1015; done += 7) {
		uint32_t n;

		do {
			n = timeline_take(&f->bare.region, &f->lines[0], done,
					  items, 1 + next % 64);
			for (uint32_t i = 0; i < n; i++)
				assert_int_equal(items[i], next++);
		} while (n > 0);
		assert_false(reached(f, done));
		assert_true(next == 3000 || reached(f, done + 2000));
	}
	assert_int_equal(next, 3000);
}

/* One that is to be looked at again ends a list, and comes alone. */
static void g1_marked_items_come_alone(void **state)
{
	static const uint32_t count[] = { 2, 1, 1, 3, 1 };
	const uint32_t again = ITEM_AGAIN;
	struct fixture *f = *state;
	uint32_t items[8], next = 1;

	append(f, 5, 1);
	append(f, 6, 2);
	append(f, 6, 3 | again);
	append(f, 6, 4 | again);
	append(f, 6, 5);
	append(f, 7, 6);
	append(f, 8, 7);
	append(f, 9, 8 | again);
	for (size_t i = 0; i < sizeof(count) / sizeof(count[0]); i++) {
		assert_int_equal(timeline_take(&f->bare.region, &f->lines[0], 9,
					       items, 8),
				 count[i]);
		for (uint32_t k = 0; k < count[i]; k++)
			assert_int_equal(items[k] & ~again, next++);
	}
	assert_int_equal(next, 9);
}

static void g1_g2_against_a_plain_queue(void **state)
{
	static struct {
		uint64_t value;
		uint32_t item;
	} queue[20000];
	struct fixture *f = *state;
	struct random random = { 5 };
	uint32_t in = 0, out = 0;
	uint64_t done = 0, last = 0;

	while (in < 20000) {
		uint64_t value = done + random_below(&random, 40);

		last = out == in || value > last ? value : last;
		append(f, value, in);
		queue[in].value = last;
		queue[in].item = in;
		in++;
		if (random_chance(&random, 30))
			done += random_below(&random, 12);
		while (reached(f, done)) {
			assert_true(queue[out].value <= done);
			assert_int_equal(take(f), queue[out++].item);
		}
		assert_true(out == in || queue[out].value > done);
	}
	while (out < in)
		assert_int_equal(take(f), queue[out++].item);
}

static void count(void *context, uint64_t value, uint32_t item)
{
	uint32_t *next = context;

	assert_int_equal(item, *next);
	assert_int_equal(value, 1 + *next / 3);
	++*next;
}

static void a_walk_sees_what_is_left(void **state)
{
	struct fixture *f = *state;
	uint32_t next;

	for (uint32_t i = 0; i < 500; i++)
		append(f, 1 + i / 3, i);
	for (uint32_t i = 0; i < 500; i++) {
		next = i;
		assert_in_range(timeline_walk(&f->bare.region, &f->lines[0],
					      count, &next),
				1, 4);
		assert_int_equal(next, 500);
		assert_int_equal(take(f), i);
	}
	assert_int_equal(
		timeline_walk(&f->bare.region, &f->lines[0], count, &next), 0);
}

/* Items that have come once can be moved about without memory. */
static void moves_need_no_memory(void **state)
{
	struct fixture *f = *state;
	struct region *region = &f->bare.region;
	struct random random = { 3 };
	uint64_t value = 1;
	uint32_t item;

	for (uint32_t i = 0; i < 5000; i++) {
		assert_int_equal(stream_reserve(region, 1), 0);
		timeline_append(region, &f->lines[i % LINES], 9, i);
	}
	f->bare.memory.fail_commit = 1;
	for (uint32_t i = 0; i < 100000; i++) {
		struct timeline *from = &f->lines[random_below(&random, LINES)];
		struct timeline *to = &f->lines[random_below(&random, LINES)];

		if (timeline_take(region, from, UINT64_MAX, &item, 1) == 1)
			timeline_append(region, to, value++, item);
	}
	assert_int_equal(f->bare.memory.fail_commit, 1);
	f->bare.memory.fail_commit = 0;
	for (int i = 0; i < LINES; i++)
		while (timeline_take(region, &f->lines[i], UINT64_MAX, &item,
				     1) == 1)
			;
}

#define with_lines(test) \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_lines(g1_runs_and_single_values),
		with_lines(g2_values_round_up),
		with_lines(g1_a_record_that_grows),
		with_lines(g1_lists),
		with_lines(g1_marked_items_come_alone),
		with_lines(g1_g2_against_a_plain_queue),
		with_lines(a_walk_sees_what_is_left),
		with_lines(moves_need_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
