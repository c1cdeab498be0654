/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: what is judged before anything is sent, and a daemon that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/world_test.h"

static void assert_refused(int result, int status, enum tenure_reason reason)
{
	assert_int_equal(result, status);
	assert_int_equal(world_reason(), reason);
}

static void test_arguments(void **state)
{
	struct world w;
	struct tenure_context context, none = { 0 }, wrong = { 77 };
	struct tenure_allocation list[2];
	struct tenure_refusal refusal;
	struct tenure *t;
	unsigned int n;

	(void)state;
	world_open(&w);
	t = w.connection;
	assert_refused(tenure_context_create(t, w.device, NULL), -EINVAL,
		       TENURE_REASON_ARGUMENT);
	assert_int_equal(tenure_context_create(t, w.device, &context), 0);
	n = w.fake->n_requests;
	assert_refused(tenure_context_use(t, context, NULL, 1), -EINVAL,
		       TENURE_REASON_LIST_MISSING);
	assert_int_equal(tenure_context_use(t, context, NULL, 0), 0);
	assert_refused(tenure_context_use(t, none, NULL, 0), -EINVAL,
		       TENURE_REASON_CONTEXT_INVALID);
	assert_refused(tenure_context_submit(t, wrong, 1), -EINVAL,
		       TENURE_REASON_CONTEXT_INVALID);
	assert_refused(tenure_context_submit(t, context, UINT64_MAX), -EINVAL,
		       TENURE_REASON_ARGUMENT);
	assert_refused(tenure_context_progress(t, wrong, 1), -EINVAL,
		       TENURE_REASON_CONTEXT_INVALID);
	assert_refused(tenure_context_destroy(t, wrong, 0), -EINVAL,
		       TENURE_REASON_CONTEXT_INVALID);
	list[0] = w.allocations[0];
	list[1] = (struct tenure_allocation){ 0 };
	assert_refused(tenure_context_use(t, context, list, 2), -EINVAL,
		       TENURE_REASON_ENTRY_ZERO);
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.index, 1);
	assert_int_equal(w.fake->n_requests, n);
	/* All or nothing: the good entry has not been recorded. */
	assert_int_equal(tenure_context_submit(t, context, 1), 0);
	assert_int_equal(w.fake->request.count, 0);
	assert_refused(tenure_context_create(NULL, w.device, &context), -EINVAL,
		       TENURE_REASON_ARGUMENT);
	world_close(&w);
}

static void test_uses_are_of_the_contexts_device(void **state)
{
	struct world w;
	struct tenure_device device;
	struct tenure_context context;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_device_create(w.connection, w.adapter, &device),
			 0);
	assert_int_equal(tenure_context_create(w.connection, device, &context),
			 0);
	assert_refused(tenure_context_use(w.connection, context, w.allocations,
					  1),
		       -EINVAL, TENURE_REASON_OTHER_DEVICE);
	world_close(&w);
}

static void test_destroy(void **state)
{
	struct world w;
	struct tenure_context context;

	(void)state;
	world_open(&w);
	assert_int_equal(
		tenure_context_create(w.connection, w.device, &context), 0);
	w.fake->refuse_opcode = WIRE_OP_CONTEXT_DESTROY;
	w.fake->refuse_status = -EDQUOT;
	assert_int_equal(tenure_context_destroy(w.connection, context, 0),
			 -EDQUOT);
	assert_int_equal(tenure_context_submit(w.connection, context, 1), 0);
	assert_int_equal(tenure_context_destroy(w.connection, context,
						TENURE_END_TERMINATE),
			 0);
	assert_int_equal(w.fake->request.flags, TENURE_END_TERMINATE);
	assert_int_equal(w.fake->request.device, w.device.value);
	assert_refused(tenure_context_destroy(w.connection, context, 0),
		       -EINVAL, TENURE_REASON_CONTEXT_INVALID);
	world_close(&w);
}

static int zero_handle(void *context, struct exchange *x)
{
	(void)context;
	x->reply.value[0] = 0;
	return 0;
}

static void test_a_daemon_that_lies(void **state)
{
	struct world w;
	struct tenure_context context = { 5 };

	(void)state;
	world_open(&w);
	world_lie(&w, zero_handle);
	assert_refused(tenure_context_create(w.connection, w.device, &context),
		       -EPROTO, TENURE_REASON_DAEMON_PROTOCOL);
	assert_int_equal(context.value, 5);
	assert_int_equal(tenure_flush(w.connection), -EPROTO);
	world_close(&w);
}

struct creator {
	pthread_t thread;
	struct world *world;
	struct tenure_context context;
};

static void *create_context(void *argument)
{
	struct creator *c = argument;

	assert_int_equal(tenure_context_create(c->world->connection,
					       c->world->device, &c->context),
			 0);
	return NULL;
}

/* Its device is destroyed while the answer is on its way: nothing can be
 * recorded in it that no flush could send. */
static void test_create_while_ending(void **state)
{
	struct creator c = { 0 };
	struct world w;

	(void)state;
	world_open_ring(&w);
	c.world = &w;
	fake_ring_delay(w.ring, WIRE_OP_CONTEXT_CREATE);
	assert_int_equal(pthread_create(&c.thread, NULL, create_context, &c),
			 0);
	while (fake_ring_kept(w.ring) == 0)
		usleep(100);
	assert_int_equal(tenure_device_destroy(w.connection, w.device), 0);
	fake_ring_late(w.ring);
	pthread_join(c.thread, NULL);
	assert_int_not_equal(c.context.value, 0);
	assert_int_equal(w.connection->work.contexts.count, 0);
	assert_refused(tenure_context_use(w.connection, c.context,
					  w.allocations, 1),
		       -EINVAL, TENURE_REASON_CONTEXT_INVALID);
	assert_int_equal(tenure_flush(w.connection), 0);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_uses_are_of_the_contexts_device),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_a_daemon_that_lies),
		cmocka_unit_test(test_create_while_ending),
	};

	return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
