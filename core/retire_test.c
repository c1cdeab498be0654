/* SPDX-License-Identifier: Apache-2.0 */
#include "core/retire.h"

#include "tests/support/random.h"
#include "tests/support/seat.h"

struct fixture {
	struct bare bare;
	struct stream stream;
};

static int set_up(void **state)
{
	static struct fixture f;

	bare_init(&f.bare, 1);
	assert_int_equal(stream_init(&f.bare.region, &f.stream), 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	const struct area_head *chunks =
		region_area(&f->bare.region, AREA_CHUNKS);

	f->bare.memory.fail_commit = 0;
	stream_deinit(&f->bare.region, &f->stream);
	/* Every chunk that was ever used is free again. */
	assert_int_equal(chunks->free_count, chunks->used - 1);
	bare_deinit(&f->bare);
	return 0;
}

static void append(struct fixture *f, uint32_t from, uint32_t count)
{
	assert_int_equal(stream_reserve(&f->bare.region, count), 0);
	for (uint32_t i = 0; i < count; i++)
		stream_append(&f->bare.region, &f->stream, from + i);
}

/* Peeks and pops, expecting consecutive numbers. */
static void take(struct fixture *f, uint32_t from, uint32_t count)
{
	uint32_t items[2048];

	assert_true(count <= ARRAY_SIZE(items));
	assert_int_equal(stream_peek(&f->bare.region, &f->stream, items, count),
			 count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(items[i], from + i);
	stream_pop(&f->bare.region, &f->stream, count);
}

static void g1_once_each_and_in_order(void **state)
{
	const uint32_t sizes[] = { 1,
				   2,
				   CHUNK_ITEMS - 1,
				   CHUNK_ITEMS,
				   CHUNK_ITEMS + 1,
				   2 * CHUNK_ITEMS - 1,
				   2 * CHUNK_ITEMS,
				   2 * CHUNK_ITEMS + 1,
				   1024,
				   2000 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		append(f, 1000, sizes[i]);
		assert_int_equal(f->stream.count, sizes[i]);
		take(f, 1000, sizes[i]);
		assert_int_equal(f->stream.count, 0);
	}
}

static void g1_against_a_counter(void **state)
{
	struct random random = { 11 };
	struct fixture *f = *state;
	uint32_t in = 0, out = 0;

	for (int round = 0; round < 3000; round++) {
		uint32_t n = random_below(&random, 600);

		if (random_chance(&random, 50)) {
			append(f, in, n);
			in += n;
		} else {
			n = (uint32_t)min_u64(n, in - out);
			take(f, out, n);
			out += n;
		}
		assert_int_equal(f->stream.count, in - out);
	}
	while (out < in) {
		uint32_t n = (uint32_t)min_u64(2000, in - out);

		take(f, out, n);
		out += n;
	}
}

static void g1_a_peek_takes_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t items[8];

	assert_int_equal(stream_peek(&f->bare.region, &f->stream, items, 8), 0);
	append(f, 5, 3);
	assert_int_equal(stream_peek(&f->bare.region, &f->stream, items, 8), 3);
	assert_int_equal(stream_peek(&f->bare.region, &f->stream, items, 2), 2);
	take(f, 5, 3);
}

static void g2_what_is_reserved_can_be_appended(void **state)
{
	struct fixture *f = *state;
	struct random random = { 12 };
	uint32_t in = 0, out = 0;

	for (int round = 0; round < 200; round++) {
		uint32_t n = random_below(&random, 1025);

		assert_int_equal(stream_reserve(&f->bare.region, n), 0);
		f->bare.memory.fail_commit = 1;
		for (uint32_t i = 0; i < n; i++)
			stream_append(&f->bare.region, &f->stream, in++);
		assert_int_equal(f->bare.memory.fail_commit, 1);
		f->bare.memory.fail_commit = 0;
		n = random_below(&random, 1025);
		n = (uint32_t)min_u64(n, in - out);
		take(f, out, n);
		out += n;
	}
	while (out < in) {
		take(f, out, 1);
		out++;
	}
}

static void g2_a_reserve_that_fails(void **state)
{
	struct fixture *f = *state;
	struct stream before;

	append(f, 0, 10);
	before = f->stream;
	f->bare.memory.fail_commit = 1;
	assert_int_equal(stream_reserve(&f->bare.region, 100000), -ENOMEM);
	assert_memory_equal(&before, &f->stream, sizeof(before));
	take(f, 0, 10);
}

static void g3_an_empty_stream_has_a_whole_chunk(void **state)
{
	struct fixture *f = *state;
	uint32_t room;

	for (uint32_t used = 0; used < 1000; used += 37) {
		append(f, 0, used);
		take(f, 0, used);
		room = stream_room(&f->bare.region, &f->stream);
		assert_int_equal(room, CHUNK_ITEMS);
		f->bare.memory.fail_commit = 1;
		for (uint32_t i = 0; i < room; i++)
			stream_append(&f->bare.region, &f->stream, i);
		assert_int_equal(stream_room(&f->bare.region, &f->stream), 0);
		f->bare.memory.fail_commit = 0;
		take(f, 0, room);
	}
}

static void init_without_memory(void **state)
{
	struct stream stream = { 1, 2, 3, 4 };
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	b.memory.fail_commit = 1;
	assert_int_equal(stream_init(&b.region, &stream), -ENOMEM);
	assert_int_equal(stream.head, 1);
	bare_deinit(&b);
}

#define with_stream(test) \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_stream(g1_once_each_and_in_order),
		with_stream(g1_against_a_counter),
		with_stream(g1_a_peek_takes_nothing),
		with_stream(g2_what_is_reserved_can_be_appended),
		with_stream(g2_a_reserve_that_fails),
		with_stream(g3_an_empty_stream_has_a_whole_chunk),
		cmocka_unit_test(init_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
