/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two-minute layer: works, shares one device, and undoes what it began.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/world_test.h"

static void test_alloc_and_free(void **state)
{
	struct tenure_memory a = { 0 }, b;
	struct world w;
	void *pointer;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_alloc(w.connection, 5000, &a), 0);
	assert_int_equal(a.size, 2 * WORLD_PAGE);
	assert_int_equal(a.resource.value, 0);
	memset(a.pointer, 1, a.size);
	assert_int_equal(tenure_alloc(w.connection, 1, &b), 0);
	assert_int_equal(w.fake->n_devices, 2);
	pointer = a.pointer;
	assert_int_equal(tenure_free(w.connection, &a), 0);
	assert_false(world_is_mapped(pointer));
	assert_null(a.pointer);
	assert_int_equal(a.allocation.value, 0);
	assert_int_equal(tenure_free(w.connection, &a), 0);
	assert_int_equal(tenure_free(w.connection, &b), 0);
	assert_int_equal(w.fake->n_allocations, 2);
	world_close(&w);
}

static void test_share_and_open(void **state)
{
	struct tenure_memory mine, theirs;
	struct tenure_token token;
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_alloc_shared(w.connection, 1, &mine), 0);
	assert_true(mine.resource.value != 0);
	assert_int_equal(tenure_share(w.connection, &mine, TENURE_RIGHT_READ,
				      &token),
			 0);
	strcpy(mine.pointer, "hello");
	assert_int_equal(tenure_open_shared(w.connection, &token, &theirs), 0);
	assert_string_equal(theirs.pointer, "hello");
	assert_int_equal(tenure_free(w.connection, &mine), 0);
	assert_string_equal(theirs.pointer, "hello");
	assert_int_equal(tenure_free(w.connection, &theirs), 0);
	assert_int_equal(w.fake->n_resources, 1);
	world_close(&w);
}

static void test_private_is_not_shared(void **state)
{
	struct tenure_memory memory;
	struct tenure_token token;
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_alloc(w.connection, 1, &memory), 0);
	assert_int_equal(tenure_share(w.connection, &memory, TENURE_RIGHT_READ,
				      &token),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_NOT_SHAREABLE);
	assert_int_equal(tenure_free(w.connection, &memory), 0);
	world_close(&w);
}

/* Whichever step is refused, nothing is left; it works the next time. */
static void test_refusals_are_undone(void **state)
{
	const uint8_t steps[] = { WIRE_OP_ADAPTER_OPEN, WIRE_OP_DEVICE_CREATE,
				  WIRE_OP_CREATE, WIRE_OP_MAP };
	const uint8_t open_steps[] = { WIRE_OP_QUERY, WIRE_OP_OPEN,
				       WIRE_OP_MAP };
	struct tenure_memory memory = { .size = 7 }, shared;
	struct tenure_async_refusal refusal;
	uint64_t handle;
	struct tenure_token token;
	struct world w;

	(void)state;
	world_open(&w);
	w.fake->refuse_status = -EDQUOT;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		w.fake->refuse_opcode = steps[i];
		assert_int_equal(tenure_alloc_shared(w.connection, 1, &memory),
				 -EDQUOT);
		assert_int_equal(world_reason(), TENURE_REASON_BACKEND);
		assert_int_equal(memory.size, 7);
		assert_int_equal(w.fake->n_adapters, i < 2 ? 1 : 2);
		assert_int_equal(w.fake->n_devices, i < 2 ? 1 : 2);
		assert_int_equal(w.fake->n_resources, 1);
		assert_int_equal(w.fake->n_allocations, 2);
	}
	assert_int_equal(tenure_alloc_shared(w.connection, 1, &shared), 0);
	assert_int_equal(tenure_share(w.connection, &shared, TENURE_RIGHT_READ,
				      &token),
			 0);
	for (size_t i = 0; i < ARRAY_SIZE(open_steps); i++) {
		w.fake->refuse_opcode = open_steps[i];
		assert_int_equal(tenure_open_shared(w.connection, &token,
						    &memory),
				 -EDQUOT);
		assert_int_equal(w.fake->n_resources, 2);
	}
	handle = shared.resource.value;
	w.fake->refuse_opcode = WIRE_OP_DESTROY;
	assert_int_equal(tenure_free(w.connection, &shared), 0);
	assert_int_equal(tenure_refusals_take(w.connection, &refusal, 1, NULL),
			 1);
	assert_int_equal(refusal.handle, handle);
	assert_int_equal(refusal.status, -EDQUOT);
	assert_int_equal(refusal.reason, TENURE_REASON_BACKEND);
	world_close(&w);
}

static int allocation_again(void *context, struct exchange *x)
{
	const struct tenure_memory *first = context;

	*(uint64_t *)x->data = first->allocation.value;
	return 0;
}

static int resource_again(void *context, struct exchange *x)
{
	const struct tenure_memory *first = context;

	x->reply.value[0] = first->resource.value;
	return 0;
}

/* In the answer to the next request, or to one behind it. */
static void lie_about(struct world *w, struct tenure_memory *first,
		      unsigned int behind,
		      int (*lie)(void *context, struct exchange *x))
{
	pthread_mutex_lock(&w->fake->lock);
	world_lie(w, lie);
	w->fake->lie_context = first;
	w->fake->lie_at += behind;
	pthread_mutex_unlock(&w->fake->lock);
}

/* What the connection has can be used until it is closed. */
static void expect_distrust(struct world *w, struct tenure_memory *first,
			    int status)
{
	assert_int_equal(status, -EPROTO);
	assert_int_equal(world_reason(), TENURE_REASON_DAEMON_PROTOCOL);
	memset(first->pointer, 1, first->size);
	world_close(w);
}

static void open_world(struct world *w, bool ring)
{
	if (ring)
		world_open_ring(w);
	else
		world_open(w);
}

/* A free of the one would unmap the other. */
static void check_handles_given_twice(bool ring)
{
	struct tenure_memory first, second;
	struct tenure_token token;
	struct world w;

	open_world(&w, ring);
	assert_int_equal(tenure_alloc(w.connection, 1, &first), 0);
	lie_about(&w, &first, 0, allocation_again);
	expect_distrust(&w, &first, tenure_alloc(w.connection, 1, &second));

	open_world(&w, ring);
	assert_int_equal(tenure_alloc_shared(w.connection, 1, &first), 0);
	lie_about(&w, &first, 0, resource_again);
	expect_distrust(&w, &first,
			tenure_alloc_shared(w.connection, 1, &second));

	open_world(&w, ring);
	assert_int_equal(tenure_alloc_shared(w.connection, 1, &first), 0);
	assert_int_equal(tenure_share(w.connection, &first, TENURE_RIGHT_READ,
				      &token),
			 0);
	lie_about(&w, &first, 1, resource_again); /* behind the query */
	expect_distrust(&w, &first,
			tenure_open_shared(w.connection, &token, &second));
}

static void test_handles_given_twice(void **state)
{
	(void)state;
	check_handles_given_twice(false);
	check_handles_given_twice(true);
}

static void test_arguments(void **state)
{
	struct tenure_memory memory = { 0 };
	struct tenure_token token;
	struct world w;
	struct tenure *t;

	(void)state;
	world_open(&w);
	t = w.connection;
	w.fake->n_requests = 0;
	assert_int_equal(tenure_alloc(t, 1, NULL), -EINVAL);
	assert_int_equal(tenure_alloc_shared(t, 1, NULL), -EINVAL);
	assert_int_equal(tenure_share(t, NULL, 1, &token), -EINVAL);
	assert_int_equal(tenure_share(t, &memory, 1, NULL), -EINVAL);
	assert_int_equal(tenure_open_shared(t, NULL, &memory), -EINVAL);
	assert_int_equal(tenure_open_shared(t, &w.token, NULL), -EINVAL);
	assert_int_equal(tenure_free(t, NULL), -EINVAL);
	assert_int_equal(tenure_free(t, &memory), 0);
	assert_int_equal(w.fake->n_requests, 0);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc_and_free),
		cmocka_unit_test(test_share_and_open),
		cmocka_unit_test(test_private_is_not_shared),
		cmocka_unit_test(test_refusals_are_undone),
		cmocka_unit_test(test_handles_given_twice),
		cmocka_unit_test(test_arguments),
	};

	return cmocka_run_group_tests_name("simple", tests, NULL, NULL);
}
