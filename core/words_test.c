/* SPDX-License-Identifier: Apache-2.0 */
/* Words: G1 to G3 of core/words.c. */
#include "tests/support/seat.h"

#include "core/words.h"

struct fixture {
	struct bare bare;
	struct words words;
};

static int set_up(void **state)
{
	static struct fixture f;

	f.words = (struct words){ 0 };
	bare_init(&f.bare, 1);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	words_deinit(&f->bare.region, &f->words);
	bare_deinit(&f->bare);
	return 0;
}

static uint32_t take(struct fixture *f, uint32_t what)
{
	assert_int_equal(words_reserve(&f->bare.region, &f->words), 0);
	return words_take(&f->bare.region, &f->words, what);
}

static void g1_no_name_twice(void **state)
{
	struct fixture *f = *state;
	uint32_t a = take(f, 7), b = take(f, 8), last = a;

	assert_int_not_equal(a, b);
	assert_true(a >= 1 << WORD_BITS && b >= 1 << WORD_BITS);
	for (int i = 0; i < 1000; i++) {
		words_give(&f->bare.region, &f->words, last);
		a = take(f, 7);
		assert_int_equal(a & WORD_MASK, last & WORD_MASK);
		assert_true(a > last);
		last = a;
	}
	words_give(&f->bare.region, &f->words, a);
	words_give(&f->bare.region, &f->words, b);
}

/* A number at its last incarnation is never given out again. */
static void g1_a_number_wears_out(void **state)
{
	struct fixture *f = *state;
	uint32_t a = take(f, 7), b;
	struct word *word =
		(struct word *)block_at(&f->bare.region, f->words.block) +
		(a & WORD_MASK);

	word->incarnation = WORD_INCARNATION_LAST;
	a = (uint32_t)WORD_INCARNATION_LAST << WORD_BITS | (a & WORD_MASK);
	assert_int_equal(words_find(&f->bare.region, &f->words, a), 7);
	words_give(&f->bare.region, &f->words, a);
	assert_int_equal(words_find(&f->bare.region, &f->words, a), 0);
	b = take(f, 7);
	assert_int_not_equal(b & WORD_MASK, a & WORD_MASK);
	words_give(&f->bare.region, &f->words, b);
}

static void g2_only_names_that_are_held(void **state)
{
	struct fixture *f = *state;
	struct region *region = &f->bare.region;
	uint32_t a = take(f, 7);

	assert_int_equal(words_find(region, &f->words, a), 7);
	assert_int_equal(words_holder(region, &f->words, a & WORD_MASK), 7);
	for (uint32_t name = 0; name < 3; name++)
		assert_int_equal(words_find(region, &f->words, name), 0);
	assert_int_equal(words_find(region, &f->words, a + (1 << WORD_BITS)),
			 0);
	assert_int_equal(words_find(region, &f->words, a + 1), 0);
	assert_int_equal(words_find(region, &f->words, UINT32_MAX), 0);
	words_give(region, &f->words, a);
	assert_int_equal(words_find(region, &f->words, a), 0);
	assert_int_equal(words_holder(region, &f->words, a & WORD_MASK), 0);
	assert_int_equal(words_holder(region, &f->words, 0), 0);
	assert_int_equal(words_holder(region, &f->words, 4095), 0);
}

static void as_many_as_there_can_be(void **state)
{
	static uint32_t names[WORDS_PER_CLIENT_MAX];
	struct fixture *f = *state;

	for (uint32_t i = 1; i < WORDS_PER_CLIENT_MAX; i++)
		names[i] = take(f, i);
	assert_int_equal(words_reserve(&f->bare.region, &f->words), -EDQUOT);
	for (uint32_t i = 1; i < WORDS_PER_CLIENT_MAX; i++) {
		assert_int_equal(
			words_find(&f->bare.region, &f->words, names[i]), i);
		words_give(&f->bare.region, &f->words, names[i]);
	}
	words_give(&f->bare.region, &f->words, take(f, 1));
}

static void g3_without_memory(void **state)
{
	struct fixture *f = *state;
	struct words before = f->words;

	f->bare.memory.fail_commit = 1;
	assert_int_equal(words_reserve(&f->bare.region, &f->words), -ENOMEM);
	f->bare.memory.fail_commit = 0;
	assert_memory_equal(&before, &f->words, sizeof(before));
}

#define with_words(test) \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_words(g1_no_name_twice),
		with_words(g1_a_number_wears_out),
		with_words(g2_only_names_that_are_held),
		with_words(as_many_as_there_can_be),
		with_words(g3_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
