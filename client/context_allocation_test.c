/* SPDX-License-Identifier: Apache-2.0 */
/* Context allocations: what is entered, what is judged, a daemon that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/world_test.h"

struct bench {
	struct world w; /* first */
	struct tenure_context context;
};

static int set_up(void **state)
{
	static struct bench b;

	world_open(&b.w);
	assert_int_equal(tenure_context_create(b.w.connection, b.w.device,
					       &b.context),
			 0);
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	world_close(*state);
	return 0;
}

/* Answers as a daemon that made two. */
static int make_two(void *context, struct exchange *x)
{
	static const uint64_t handles[2] = { 501, 502 };

	(void)context;
	memcpy(x->data, handles, sizeof(handles));
	x->reply.count = 2;
	x->reply.data_bytes = sizeof(handles);
	x->data_bytes = sizeof(handles);
	return 0;
}

static int create_two(struct bench *b, unsigned int flags,
		      struct tenure_allocation *ret)
{
	static const size_t sizes[2] = { 1, 5000 };

	world_lie(&b->w, make_two);
	return tenure_context_allocation_create(b->w.connection, b->context,
						flags, sizes, 2, ret);
}

static void test_create_and_destroy(void **state)
{
	struct bench *b = *state;
	struct tenure_allocation two[2];
	struct wire_request *said = &b->w.fake->request;

	assert_int_equal(create_two(b, 0, two), 0);
	assert_int_equal(two[0].value, 501);
	assert_int_equal(two[1].value, 502);
	assert_int_equal(said->opcode, WIRE_OP_CONTEXT_ALLOCATION_CREATE);
	assert_int_equal(said->device, b->w.device.value);
	assert_int_equal(said->object, b->context.value);
	assert_int_equal(said->count, 2);
	/* They are nothing that a use may name. */
	assert_int_equal(tenure_context_use(b->w.connection, b->context, two,
					    1),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_WRONG_TYPE);
	assert_int_equal(tenure_context_allocation_destroy(
				 b->w.connection, b->w.adapter, two[0]),
			 0);
	assert_int_equal(said->object, b->w.adapter.value);
	assert_int_equal(said->value[0], 501);
	/* Forgotten: what it is now, the daemon would say. */
	assert_int_equal(
		tenure_context_use(b->w.connection, b->context, two, 1), 0);
}

/* B32: with the context, or with the device. */
static void test_ends(void **state)
{
	struct bench *b = *state;
	struct tenure *t = b->w.connection;
	struct tenure_allocation two[2];
	unsigned int shared = TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS;
	struct tenure_context other;

	assert_int_equal(tenure_context_create(t, b->w.device, &other), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(create_two(b, i ? shared : 0, two), 0);
		assert_int_equal(tenure_context_destroy(t, b->context, 0), 0);
		/* Only what has been forgotten is not known to be wrong. */
		assert_int_equal(tenure_context_use(t, other, two, 1),
				 i ? -EINVAL : 0);
		assert_int_equal(
			tenure_context_create(t, b->w.device, &b->context), 0);
	}
}

static void test_arguments(void **state)
{
	struct bench *b = *state;
	struct tenure *t = b->w.connection;
	const struct tenure_context wrong = { 4 };
	struct tenure_allocation two[2];
	const size_t size = 1;

	assert_int_equal(tenure_context_allocation_create(t, b->context, 0,
							  NULL, 1, two),
			 -EINVAL);
	assert_int_equal(tenure_context_allocation_create(t, b->context, 0,
							  &size, 1, NULL),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_ARGUMENT);
	assert_int_equal(tenure_context_allocation_create(t, wrong, 0, &size, 1,
							  two),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_CONTEXT_INVALID);
}

/* The honest fake makes none: a count that is not what was asked for. */
static void test_a_daemon_that_lies(void **state)
{
	struct bench *b = *state;
	struct tenure_allocation two[2];
	const size_t size = 1;

	assert_int_equal(tenure_context_allocation_create(
				 b->w.connection, b->context, 0, &size, 1, two),
			 -EPROTO);
	assert_int_equal(tenure_flush(b->w.connection), -EPROTO);
}

#define bench_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		bench_test(test_create_and_destroy),
		bench_test(test_ends),
		bench_test(test_arguments),
		bench_test(test_a_daemon_that_lies),
	};

	return cmocka_run_group_tests_name("context_allocation", tests, NULL,
					   NULL);
}
