/* SPDX-License-Identifier: Apache-2.0 */
/* Uses: G1 to G3, against a daemon that notes what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/uses.h"
#include "client/world_test.h"

enum { CONTEXTS = 9 };

static bool no_memory;
static unsigned int n_blocks;

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_realloc(void *block, size_t size)
{
	n_blocks++;
	return no_memory ? NULL : __real_realloc(block, size);
}

struct bench {
	struct world w; /* first */
	struct tenure_context contexts[CONTEXTS];
	struct uses uses; /* of the first allocation */
};

static int set_up(void **state)
{
	static struct bench b;

	memset(&b, 0, sizeof(b));
	no_memory = false;
	world_open(&b.w);
	for (int i = 0; i < CONTEXTS; i++)
		assert_int_equal(tenure_context_create(b.w.connection,
						       b.w.device,
						       &b.contexts[i]),
				 0);
	uses_watch(b.w.connection, &b.uses, b.w.allocations[0].value);
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	uses_unwatch(b->w.connection, &b->uses);
	world_close(&b->w);
	return 0;
}

static int try_use(struct bench *b, int context)
{
	return tenure_context_use(b->w.connection, b->contexts[context],
				  &b->w.allocations[0], 1);
}

static void use(struct bench *b, int context)
{
	assert_int_equal(try_use(b, context), 0);
}

static void submit(struct bench *b, int context, uint64_t value)
{
	assert_int_equal(tenure_context_submit(b->w.connection,
					       b->contexts[context], value),
			 0);
}

static void progress(struct bench *b, int context, uint64_t value)
{
	assert_int_equal(tenure_context_progress(b->w.connection,
						 b->contexts[context], value),
			 0);
}

static bool over(struct bench *b)
{
	return uses_over(b->w.connection, &b->uses);
}

static void g2_what_was_never_used(void **state)
{
	struct bench *b = *state;

	assert_false(uses_any(&b->uses));
	assert_true(over(b));
	/* Another allocation is none of its concern. */
	assert_int_equal(tenure_context_use(b->w.connection, b->contexts[0],
					    &b->w.allocations[1], 1),
			 0);
	submit(b, 0, 1);
	assert_false(uses_any(&b->uses));
	assert_true(over(b));
}

static void g1_from_the_use_to_its_progress(void **state)
{
	struct bench *b = *state;

	use(b, 0);
	assert_true(uses_any(&b->uses));
	assert_false(over(b));
	submit(b, 0, 7);
	assert_false(over(b));
	progress(b, 0, 6);
	assert_false(over(b));
	assert_true(uses_any(&b->uses));
	progress(b, 0, 7);
	assert_true(over(b));
	assert_false(uses_any(&b->uses));
	/* And a second time. */
	use(b, 0);
	assert_false(over(b));
	submit(b, 0, 8);
	progress(b, 0, 8);
	assert_true(over(b));
}

static void g1_progress_before_its_submit(void **state)
{
	struct bench *b = *state;

	use(b, 0);
	progress(b, 0, 9);
	assert_false(over(b));
	submit(b, 0, 9);
	assert_true(over(b));
}

static void g1_the_last_of_several_contexts(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < CONTEXTS; i++) {
		use(b, i);
		submit(b, i, 3);
	}
	for (int i = 0; i < CONTEXTS; i++) {
		assert_false(over(b));
		progress(b, i, 3);
	}
	assert_true(over(b));
}

static void g1_the_last_of_several_submits(void **state)
{
	struct bench *b = *state;

	use(b, 0);
	submit(b, 0, 1);
	use(b, 0);
	progress(b, 0, 1);
	assert_false(over(b));
	submit(b, 0, 2);
	assert_false(over(b));
	progress(b, 0, 2);
	assert_true(over(b));
	/* Work that does not use it holds nobody up. */
	submit(b, 0, 3);
	assert_true(over(b));
}

/* A flush sends what ends with the next submit, wherever that will be. */
static void g1_what_was_flushed_ends_with_its_submit(void **state)
{
	struct bench *b = *state;

	submit(b, 0, 10);
	use(b, 0);
	assert_int_equal(tenure_flush(b->w.connection), 0);
	assert_false(over(b));
	progress(b, 0, 15);
	assert_false(over(b));
	submit(b, 0, 20);
	assert_false(over(b));
	progress(b, 0, 20);
	assert_true(over(b));
}

static int refuse_entry(void *context, struct exchange *x)
{
	(void)context;
	x->reply.status = -EINVAL;
	x->reply.reason = TENURE_REASON_ENTRY_INVALID;
	x->reply.index = 0;
	return 0;
}

/* What leaves a batch is used by nobody. */
static void g2_a_use_that_the_daemon_refused(void **state)
{
	struct bench *b = *state;

	use(b, 0);
	world_lie(&b->w, refuse_entry);
	assert_int_equal(tenure_context_submit(b->w.connection, b->contexts[0],
					       1),
			 -EINVAL);
	assert_true(over(b));
	submit(b, 0, 1);
	assert_true(over(b));
}

static void g2_the_end_of_a_context(void **state)
{
	struct bench *b = *state;

	use(b, 0);
	submit(b, 0, 5);
	use(b, 1);
	assert_int_equal(tenure_context_destroy(b->w.connection, b->contexts[0],
						TENURE_END_TERMINATE),
			 0);
	assert_false(over(b));
	assert_int_equal(
		tenure_context_destroy(b->w.connection, b->contexts[1], 0), 0);
	assert_true(over(b));
}

static void g3_no_memory(void **state)
{
	struct bench *b = *state;

	no_memory = true;
	assert_int_equal(try_use(b, 0), -ENOMEM);
	assert_int_equal(world_reason(), TENURE_REASON_LIBRARY_MEMORY);
	assert_false(uses_any(&b->uses));
	assert_true(over(b));
	no_memory = false;
	use(b, 0);
	submit(b, 0, 1);
	use(b, 1);
	submit(b, 1, 1);
	/* Full: a third needs memory while both are under way. */
	no_memory = true;
	assert_int_equal(try_use(b, 2), -ENOMEM);
	assert_false(over(b));
	progress(b, 0, 1);
	use(b, 2);
	progress(b, 1, 1);
	assert_false(over(b));
	submit(b, 2, 1);
	progress(b, 2, 1);
	assert_true(over(b));
}

static void g3_the_steady_state_needs_none(void **state)
{
	struct bench *b = *state;
	unsigned int before;

	use(b, 0);
	submit(b, 0, 1);
	before = n_blocks;
	for (uint64_t value = 2; value < 100; value++) {
		use(b, (int)value % 2);
		submit(b, (int)value % 2, value);
		progress(b, (int)value % 2, value);
	}
	assert_int_equal(n_blocks, before);
}

#define test(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(g2_what_was_never_used),
		test(g1_from_the_use_to_its_progress),
		test(g1_progress_before_its_submit),
		test(g1_the_last_of_several_contexts),
		test(g1_the_last_of_several_submits),
		test(g1_what_was_flushed_ends_with_its_submit),
		test(g2_a_use_that_the_daemon_refused),
		test(g2_the_end_of_a_context),
		test(g3_no_memory),
		test(g3_the_steady_state_needs_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
