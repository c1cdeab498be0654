/* SPDX-License-Identifier: Apache-2.0 */
/* Work: G1 to G7, against a daemon that notes what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/work.h"
#include "client/world_test.h"

#include <unistd.h>

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

static const struct wire_request *last(struct bench *b)
{
	return &b->w.fake->request;
}

static unsigned int asked(struct bench *b)
{
	return b->w.fake->n_requests;
}

static int use(struct bench *b, unsigned int first, unsigned int count)
{
	return tenure_context_use(b->w.connection, b->context,
				  &b->w.allocations[first], count);
}

static int submit(struct bench *b, uint64_t value)
{
	return tenure_context_submit(b->w.connection, b->context, value);
}

static int progress(struct bench *b, uint64_t value)
{
	return tenure_context_progress(b->w.connection, b->context, value);
}

static void assert_said(struct bench *b, uint8_t opcode, uint64_t value,
			uint32_t count)
{
	assert_int_equal(last(b)->opcode, opcode);
	assert_int_equal(last(b)->object, b->context.value);
	assert_int_equal(last(b)->device, b->w.device.value);
	assert_int_equal(last(b)->value[0], value);
	assert_int_equal(last(b)->count, count);
}

static void g1_submit_sends_what_was_recorded(void **state)
{
	struct bench *b = *state;
	unsigned int n = asked(b);

	assert_int_equal(use(b, 0, 2), 0);
	assert_int_equal(use(b, 1, 1), 0);
	assert_int_equal(asked(b), n);
	assert_int_equal(submit(b, 5), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 5, 2);
	assert_memory_equal(b->w.fake->uses, b->w.allocations, 16);
	/* The batch is empty now. */
	assert_int_equal(submit(b, 6), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 6, 0);
	assert_int_equal(asked(b), n + 2);
}

static void g1_a_refused_submit_keeps_the_batch(void **state)
{
	struct bench *b = *state;

	assert_int_equal(use(b, 0, 2), 0);
	b->w.fake->refuse_opcode = WIRE_OP_CONTEXT_SUBMIT;
	b->w.fake->refuse_status = -ENOMEM;
	assert_int_equal(submit(b, 5), -ENOMEM);
	assert_int_equal(submit(b, 5), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 5, 2);
}

static void g1_flush_sends_as_the_next_work(void **state)
{
	struct bench *b = *state;
	unsigned int n;

	assert_int_equal(submit(b, 10), 0);
	assert_int_equal(use(b, 0, 1), 0);
	assert_int_equal(tenure_flush(b->w.connection), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 11, 1);
	n = asked(b);
	assert_int_equal(tenure_flush(b->w.connection), 0);
	assert_int_equal(asked(b), n);
	/* More that ends at 10 is noted with what was flushed. */
	assert_int_equal(submit(b, 10), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 11, 0);
	assert_int_equal(submit(b, 20), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 20, 0);
}

static void g1_a_full_batch_is_sent(void **state)
{
	struct bench *b = *state;
	static struct tenure_allocation many[BATCH_MAX];
	static size_t sizes[BATCH_MAX];
	unsigned int i, n;

	for (i = 0; i < BATCH_MAX; i++)
		sizes[i] = 1;
	assert_int_equal(tenure_allocation_create(b->w.connection, b->w.device,
						  sizes, BATCH_MAX, many),
			 0);
	n = asked(b);
	assert_int_equal(tenure_context_use(b->w.connection, b->context, many,
					    BATCH_MAX),
			 0);
	assert_int_equal(asked(b), n);
	assert_int_equal(use(b, 0, 1), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 1, BATCH_MAX);
	assert_int_equal(submit(b, 7), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 7, 1);
	assert_int_equal(tenure_context_use(b->w.connection, b->context, many,
					    BATCH_MAX + 1),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_LIST_TOO_LONG);
	/* A flush that is refused leaves both what was and what was to be. */
	assert_int_equal(tenure_context_use(b->w.connection, b->context, many,
					    BATCH_MAX),
			 0);
	b->w.fake->refuse_opcode = WIRE_OP_CONTEXT_SUBMIT;
	b->w.fake->refuse_status = -ENOMEM;
	assert_int_equal(use(b, 0, 1), -ENOMEM);
	assert_int_equal(submit(b, 8), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 8, BATCH_MAX);
}

static int refuse_for_memory(void *context, struct exchange *x)
{
	(void)context;
	x->reply.status = -ENOMEM;
	x->reply.reason = TENURE_REASON_DAEMON_MEMORY;
	return 0;
}

/* One context that is refused keeps none of the others back, and the first
 * refusal is the one that is heard of. */
static void g1_a_refused_flush_sends_all_others(void **state)
{
	struct bench *b = *state;
	struct tenure *t = b->w.connection;
	struct tenure_context others[3];
	unsigned int n;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			tenure_context_create(t, b->w.device, &others[i]), 0);
		assert_int_equal(tenure_context_use(t, others[i],
						    &b->w.allocations[0], 1),
				 0);
	}
	assert_int_equal(use(b, 0, 1), 0);
	n = asked(b);
	b->w.fake->refuse_opcode = WIRE_OP_CONTEXT_SUBMIT;
	b->w.fake->refuse_status = -ENODEV;
	world_lie(&b->w, refuse_for_memory);
	b->w.fake->lie_at++;
	assert_int_equal(tenure_flush(t), -ENODEV);
	assert_int_equal(world_reason(), TENURE_REASON_BACKEND);
	assert_int_equal(asked(b), n + 4);
	/* Those two that were refused, and no other. */
	assert_int_equal(tenure_flush(t), 0);
	assert_int_equal(asked(b), n + 6);
	assert_int_equal(last(b)->opcode, WIRE_OP_CONTEXT_SUBMIT);
	assert_int_equal(last(b)->count, 1);
}

static void g2_nothing_beyond_what_was_announced(void **state)
{
	struct bench *b = *state;
	unsigned int n;

	assert_int_equal(submit(b, 10), 0);
	assert_int_equal(use(b, 0, 1), 0);
	assert_int_equal(tenure_flush(b->w.connection), 0);
	assert_int_equal(progress(b, 15), 0);
	assert_said(b, WIRE_OP_CONTEXT_PROGRESS, 10, 0);
	n = asked(b);
	assert_int_equal(progress(b, 16), 0);
	assert_int_equal(progress(b, 3), 0);
	assert_int_equal(asked(b), n);
	/* The flushed use ends at 20, and not at 16. */
	assert_int_equal(submit(b, 20), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 20, 0);
	assert_int_equal(progress(b, 19), 0);
	assert_int_equal(asked(b), n + 1);
	assert_int_equal(progress(b, 20), 0);
	assert_said(b, WIRE_OP_CONTEXT_PROGRESS, 20, 0);
}

/* A flush before each of many submits that run ahead of the work: what is
 * published is what a list of all of them would say, or less. */
static void g2_many_gaps(void **state)
{
	struct bench *b = *state;
	uint64_t told = 0;

	for (uint64_t i = 1; i <= 20; i++) {
		assert_int_equal(use(b, 0, 1), 0);
		assert_int_equal(tenure_flush(b->w.connection), 0);
		assert_int_equal(submit(b, 10 * i), 0);
	}
	for (uint64_t i = 1; i <= 200; i++) {
		assert_int_equal(progress(b, i), 0);
		if (last(b)->opcode == WIRE_OP_CONTEXT_PROGRESS)
			told = last(b)->value[0];
		assert_true(told <= i - i % 10);
		if (i < 80)
			assert_int_equal(told, i - i % 10);
	}
	assert_int_equal(told, 200);
	assert_int_equal(submit(b, 205), 0);
	assert_int_equal(progress(b, 203), 0);
	assert_said(b, WIRE_OP_CONTEXT_PROGRESS, 203, 0);
}

static void g3_early_progress_is_not_lost(void **state)
{
	struct bench *b = *state;
	unsigned int n = asked(b);

	assert_int_equal(progress(b, 4), 0);
	assert_int_equal(asked(b), n);
	assert_int_equal(submit(b, 4), 0);
	assert_said(b, WIRE_OP_CONTEXT_PROGRESS, 4, 0);
	assert_int_equal(asked(b), n + 2);
}

static void g3_refused_progress_is_reported_again(void **state)
{
	struct bench *b = *state;

	assert_int_equal(submit(b, 4), 0);
	b->w.fake->refuse_opcode = WIRE_OP_CONTEXT_PROGRESS;
	b->w.fake->refuse_status = -ENODEV;
	assert_int_equal(progress(b, 4), -ENODEV);
	assert_int_equal(progress(b, 4), 0);
	assert_said(b, WIRE_OP_CONTEXT_PROGRESS, 4, 0);
	/* In a submit it is no failure of the submit, and comes later. */
	assert_int_equal(progress(b, 5), 0);
	b->w.fake->refuse_opcode = WIRE_OP_CONTEXT_PROGRESS;
	assert_int_equal(submit(b, 5), 0);
	assert_int_equal(submit(b, 6), 0);
	assert_said(b, WIRE_OP_CONTEXT_PROGRESS, 5, 0);
}

static void g4_destroy_sends_the_batches_that_name_it(void **state)
{
	struct bench *b = *state;
	struct tenure_context other;
	struct tenure_allocation mine;
	struct tenure *t = b->w.connection;
	const size_t size = 1;
	unsigned int n;

	assert_int_equal(tenure_context_create(t, b->w.device, &other), 0);
	assert_int_equal(
		tenure_allocation_create(t, b->w.device, &size, 1, &mine), 0);
	assert_int_equal(tenure_context_use(t, other, &mine, 1), 0);
	assert_int_equal(tenure_context_use(t, b->context, &mine, 1), 0);
	assert_int_equal(use(b, 1, 1), 0);
	n = asked(b);
	assert_int_equal(tenure_resource_destroy(t, b->w.device, b->w.resource),
			 0);
	/* One flush, of the batch that names it, and the destroy. */
	assert_int_equal(asked(b), n + 2);
	assert_int_equal(last(b)->opcode, WIRE_OP_DESTROY);
	assert_int_equal(b->w.fake->heads[(n + 1) % 64].opcode,
			 WIRE_OP_CONTEXT_SUBMIT);
	assert_int_equal(b->w.fake->heads[(n + 1) % 64].object,
			 b->context.value);
	assert_int_equal(b->w.fake->heads[(n + 1) % 64].count, 2);
	assert_int_equal(tenure_context_submit(t, other, 1), 0);
	assert_int_equal(last(b)->count, 1);
}

static void g4_a_refused_flush_refuses_the_destroy(void **state)
{
	struct bench *b = *state;

	assert_int_equal(use(b, 1, 1), 0);
	b->w.fake->refuse_opcode = WIRE_OP_CONTEXT_SUBMIT;
	b->w.fake->refuse_status = -ENOMEM;
	assert_int_equal(tenure_resource_destroy(b->w.connection, b->w.device,
						 b->w.resource),
			 -ENOMEM);
	assert_int_equal(last(b)->opcode, WIRE_OP_CONTEXT_SUBMIT);
	assert_int_equal(use(b, 0, 1), 0);
}

static int refuse_as_ending(void *context, struct exchange *x)
{
	(void)context;
	x->reply.status = -EINVAL;
	x->reply.reason = TENURE_REASON_CONTEXT_ENDING;
	return 0;
}

static void g4_a_context_that_ends_stands_in_nobodys_way(void **state)
{
	struct bench *b = *state;

	assert_int_equal(use(b, 1, 1), 0);
	world_lie(&b->w, refuse_as_ending);
	assert_int_equal(tenure_resource_destroy(b->w.connection, b->w.device,
						 b->w.resource),
			 0);
	assert_int_equal(last(b)->opcode, WIRE_OP_DESTROY);
}

static void g5_the_dead_leave_the_batch(void **state)
{
	struct bench *b = *state;
	struct tenure *t = b->w.connection;
	const size_t sizes[2] = { 1, 1 };
	struct tenure_allocation two[2];
	const struct tenure_destroy whole = {
		.device = b->w.device,
		.resource = b->w.resource,
	};

	assert_int_equal(
		tenure_allocation_create(t, b->w.device, sizes, 2, two), 0);
	assert_int_equal(use(b, 0, 2), 0);
	assert_int_equal(tenure_context_use(t, b->context, two, 2), 0);
	assert_int_equal(tenure_allocation_destroy(t, b->w.device, two[0], 0),
			 0);
	assert_int_equal(tenure_destroy(t, &whole), 0);
	assert_int_equal(submit(b, 1), 0);
	assert_said(b, WIRE_OP_CONTEXT_SUBMIT, 1, 1);
	assert_int_equal(b->w.fake->uses[0], two[1].value);
}

static int refuse_entry_1(void *context, struct exchange *x)
{
	(void)context;
	x->reply.status = -EINVAL;
	x->reply.reason = TENURE_REASON_ENTRY_INVALID;
	x->reply.index = 1;
	return 0;
}

/* A stale handle is told of once, and is no obstacle for ever. */
static void g1_a_bad_entry_leaves(void **state)
{
	struct bench *b = *state;
	const struct tenure_allocation stale = { 12345 };

	assert_int_equal(use(b, 0, 1), 0);
	assert_int_equal(
		tenure_context_use(b->w.connection, b->context, &stale, 1), 0);
	assert_int_equal(use(b, 1, 1), 0);
	world_lie(&b->w, refuse_entry_1);
	assert_int_equal(submit(b, 1), -EINVAL);
	assert_int_equal(last(b)->count, 3);
	assert_int_equal(submit(b, 1), 0);
	assert_int_equal(last(b)->count, 2);
	assert_memory_equal(b->w.fake->uses, b->w.allocations, 16);
}

static void test_ends_forget(void **state)
{
	struct bench *b = *state;
	struct tenure *t = b->w.connection;
	struct tenure_device device;
	struct tenure_context other;

	assert_int_equal(use(b, 0, 2), 0);
	assert_int_equal(tenure_device_create(t, b->w.adapter, &device), 0);
	assert_int_equal(tenure_context_create(t, device, &other), 0);
	assert_int_equal(tenure_device_terminate(t, device), 0);
	assert_int_equal(last(b)->flags, TENURE_END_TERMINATE);
	assert_int_equal(tenure_context_submit(t, other, 1), -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_CONTEXT_INVALID);
	assert_int_equal(submit(b, 1), 0);
	/* Not the last close of the adapter, then the last. */
	assert_int_equal(tenure_adapter_open(t, NULL, &b->w.adapter), 0);
	assert_int_equal(tenure_adapter_close(t, b->w.adapter), 0);
	assert_int_equal(submit(b, 2), 0);
	assert_int_equal(tenure_adapter_close(t, b->w.adapter), 0);
	assert_int_equal(submit(b, 3), -EINVAL);
	assert_int_equal(use(b, 0, 1), -EINVAL);
	assert_int_equal(progress(b, 3), -EINVAL);
}

/* ---- With a ring ---- */

static int set_up_ring(void **state)
{
	static struct bench b;

	world_open_ring(&b.w);
	assert_int_equal(tenure_context_create(b.w.connection, b.w.device,
					       &b.context),
			 0);
	*state = &b;
	return 0;
}

static uint64_t word(const struct bench *b, uint64_t number)
{
	return fake_ring_word(b->w.ring, number);
}

static unsigned int asked_so_far(struct bench *b)
{
	return fake_daemon_count(b->w.fake, &b->w.fake->n_requests);
}

/* The fake serves by a thread of its own. */
static uint64_t last_word(struct bench *b)
{
	uint64_t number;

	pthread_mutex_lock(&b->w.fake->lock);
	number = b->w.fake->last_word;
	pthread_mutex_unlock(&b->w.fake->lock);
	return number;
}

/* The next that is created is given that word. */
static void give_again(struct bench *b, uint64_t number)
{
	pthread_mutex_lock(&b->w.fake->lock);
	b->w.fake->last_word = number - 1;
	pthread_mutex_unlock(&b->w.fake->lock);
}

static void assert_requested(struct bench *b, uint64_t value)
{
	pthread_mutex_lock(&b->w.fake->lock);
	assert_said(b, WIRE_OP_CONTEXT_PROGRESS, value, 0);
	pthread_mutex_unlock(&b->w.fake->lock);
}

/* Neither a request nor a bell, however often; what a flush holds back is held
 * back from the word too. */
static void g6_progress_is_a_store(void **state)
{
	struct bench *b = *state;
	uint64_t number = last_word(b), bells;
	unsigned int n;

	assert_int_equal(submit(b, 1000), 0);
	assert_int_equal(use(b, 0, 1), 0);
	assert_int_equal(tenure_flush(b->w.connection), 0);
	usleep(60000);
	n = asked_so_far(b);
	bells = fake_ring_bells(b->w.ring);
	for (uint64_t i = 1; i <= 1000; i++) {
		assert_int_equal(progress(b, i), 0);
		assert_int_equal(word(b, number), i);
	}
	assert_int_equal(progress(b, 3), 0);
	assert_int_equal(word(b, number), 1000);
	assert_int_equal(progress(b, 1015), 0);
	assert_int_equal(word(b, number), 1000);
	usleep(60000);
	assert_int_equal(asked_so_far(b), n);
	assert_int_equal(fake_ring_bells(b->w.ring), bells);
	assert_int_equal(submit(b, 1010), 0);
	assert_int_equal(word(b, number), 1010);
	assert_int_equal(asked_so_far(b), n + 1);
}

static void g6_who_waits_is_told(void **state)
{
	struct bench *b = *state;
	uint64_t bells;
	unsigned int n;

	assert_int_equal(submit(b, 1), 0);
	fake_ring_await(b->w.ring);
	n = asked_so_far(b);
	bells = fake_ring_bells(b->w.ring);
	assert_int_equal(progress(b, 1), 0);
	for (int i = 0; i < 5000 && fake_ring_bells(b->w.ring) == bells; i++)
		usleep(1000);
	assert_true(fake_ring_bells(b->w.ring) > bells);
	assert_int_equal(asked_so_far(b), n);
}

/* The daemon has ended the context, and given its word to a fence, or to
 * another context. */
static void g7_a_word_has_one_owner(void **state)
{
	struct bench *b = *state;
	struct tenure *t = b->w.connection;
	uint64_t number = last_word(b);
	struct tenure_context other;
	struct tenure_fence fence;

	assert_int_equal(submit(b, 10), 0);
	assert_int_equal(progress(b, 4), 0);
	give_again(b, number);
	assert_int_equal(tenure_fence_create(t, b->w.device, 0, &fence), 0);
	assert_int_equal(progress(b, 5), 0);
	assert_int_equal(word(b, number), 4);
	assert_requested(b, 5);
	give_again(b, number);
	assert_int_equal(tenure_context_create(t, b->w.device, &other), 0);
	assert_int_equal(tenure_context_submit(t, other, 7), 0);
	assert_int_equal(tenure_context_progress(t, other, 7), 0);
	assert_int_equal(word(b, number), 7);
	assert_int_equal(progress(b, 6), 0);
	assert_int_equal(word(b, number), 7);
	assert_requested(b, 6);
	/* Without a word of its own: by requests, as without a ring. */
	assert_int_equal(tenure_context_destroy(t, b->context, 0), 0);
	assert_int_equal(tenure_context_progress(t, other, 8), 0);
}

static void g7_no_such_word(void **state)
{
	struct bench *b = *state;
	struct tenure_context other;

	give_again(b, RING_WORDS);
	assert_int_equal(tenure_context_create(b->w.connection, b->w.device,
					       &other),
			 -EPROTO);
	assert_int_equal(world_reason(), TENURE_REASON_DAEMON_PROTOCOL);
}

static void *create_fence(void *context)
{
	struct bench *b = context;
	struct tenure_fence fence;

	assert_int_equal(tenure_fence_create(b->w.connection, b->w.device, 0,
					     &fence),
			 0);
	return NULL;
}

/* While nobody knows whose word it will be, nobody stores into it. */
static void g7_while_something_is_created(void **state)
{
	struct bench *b = *state;
	uint64_t number = last_word(b);
	pthread_t thread;

	assert_int_equal(submit(b, 10), 0);
	fake_ring_delay(b->w.ring, WIRE_OP_FENCE_CREATE);
	pthread_create(&thread, NULL, create_fence, b);
	while (fake_ring_kept(b->w.ring) == 0)
		usleep(100);
	assert_int_equal(progress(b, 5), 0);
	assert_int_equal(word(b, number), 0);
	assert_requested(b, 5);
	fake_ring_late(b->w.ring);
	pthread_join(thread, NULL);
	assert_int_equal(progress(b, 6), 0);
	assert_int_equal(word(b, number), 6);
}

#define ring_test(f) cmocka_unit_test_setup_teardown(f, set_up_ring, tear_down)
#define work_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		work_test(g1_submit_sends_what_was_recorded),
		work_test(g1_a_refused_submit_keeps_the_batch),
		work_test(g1_flush_sends_as_the_next_work),
		work_test(g1_a_full_batch_is_sent),
		work_test(g1_a_refused_flush_sends_all_others),
		work_test(g2_nothing_beyond_what_was_announced),
		work_test(g2_many_gaps),
		work_test(g3_early_progress_is_not_lost),
		work_test(g3_refused_progress_is_reported_again),
		work_test(g4_destroy_sends_the_batches_that_name_it),
		work_test(g4_a_refused_flush_refuses_the_destroy),
		work_test(g4_a_context_that_ends_stands_in_nobodys_way),
		work_test(g5_the_dead_leave_the_batch),
		work_test(g1_a_bad_entry_leaves),
		work_test(test_ends_forget),
		ring_test(g6_progress_is_a_store),
		ring_test(g6_who_waits_is_told),
		ring_test(g7_a_word_has_one_owner),
		ring_test(g7_no_such_word),
		ring_test(g7_while_something_is_created),
	};

	return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
