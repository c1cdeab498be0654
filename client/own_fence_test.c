/* SPDX-License-Identifier: Apache-2.0 */
/* Own fences: G1 to G3, with the fake daemon's ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/world_test.h"

struct bench {
	struct world w;
	struct tenure_fence fence;
	uint64_t word;
};

static int set_up(void **state)
{
	static struct bench b;

	world_open_ring(&b.w);
	assert_int_equal(tenure_fence_create(b.w.connection, b.w.device, 3,
					     &b.fence),
			 0);
	pthread_mutex_lock(&b.w.fake->lock);
	b.word = b.w.fake->last_word;
	pthread_mutex_unlock(&b.w.fake->lock);
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	world_close(&b->w);
	return 0;
}

static unsigned int asked_so_far(struct bench *b)
{
	return fake_daemon_count(b->w.fake, &b->w.fake->n_requests);
}

static uint64_t word(const struct bench *b)
{
	return fake_ring_word(b->w.ring, b->word);
}

static int signal_to(struct bench *b, uint64_t value)
{
	return tenure_fence_signal(b->w.connection, b->w.device, b->fence,
				   value);
}

/* The last request was a signal to that value. */
static void assert_requested(struct bench *b, uint64_t value)
{
	pthread_mutex_lock(&b->w.fake->lock);
	assert_int_equal(b->w.fake->request.opcode, WIRE_OP_FENCE_SIGNAL);
	assert_int_equal(b->w.fake->request.value[0], value);
	pthread_mutex_unlock(&b->w.fake->lock);
}

/* The next thing that is created gets that word. */
static void give_again(struct bench *b, uint64_t number)
{
	pthread_mutex_lock(&b->w.fake->lock);
	b->w.fake->last_word = number - 1;
	pthread_mutex_unlock(&b->w.fake->lock);
}

static void g1_g3_a_store(void **state)
{
	struct bench *b = *state;
	unsigned int n = asked_so_far(b);

	assert_int_equal(signal_to(b, 5), 0);
	assert_int_equal(word(b), 5);
	assert_int_equal(signal_to(b, 4), 0);
	assert_int_equal(signal_to(b, 5), 0);
	assert_int_equal(word(b), 5);
	assert_int_equal(signal_to(b, UINT64_MAX), 0);
	assert_int_equal(word(b), UINT64_MAX);
	assert_int_equal(asked_so_far(b), n);
}

static void g3_below_the_first_value(void **state)
{
	struct bench *b = *state;
	unsigned int n = asked_so_far(b);

	assert_int_equal(signal_to(b, 2), 0);
	assert_int_equal(word(b), 0); /* the fake writes no first value */
	assert_int_equal(asked_so_far(b), n);
}

static void g1_rings_if_somebody_waits(void **state)
{
	struct bench *b = *state;
	unsigned int n;
	uint64_t bells;

	fake_ring_await(b->w.ring);
	n = asked_so_far(b);
	bells = fake_ring_bells(b->w.ring);
	assert_int_equal(signal_to(b, 5), 0);
	for (int i = 0; i < 5000 && fake_ring_bells(b->w.ring) == bells; i++)
		usleep(1000);
	assert_true(fake_ring_bells(b->w.ring) > bells);
	assert_int_equal(asked_so_far(b), n);
}

/* Another device, another's fence, no ring, gone: as any request. */
static void what_is_asked_for(void **state)
{
	struct bench *b = *state;
	struct tenure *t = b->w.connection;
	const struct tenure_fence other = { 4711 };
	struct tenure_device device;

	assert_int_equal(tenure_fence_signal(t, b->w.device, other, 8), 0);
	assert_requested(b, 8);
	assert_int_equal(tenure_device_create(t, b->w.adapter, &device), 0);
	assert_int_equal(tenure_fence_signal(t, device, b->fence, 9), 0);
	assert_requested(b, 9);
	assert_int_equal(tenure_device_destroy(t, device), 0);
	assert_int_equal(signal_to(b, 10), 0);
	assert_int_equal(word(b), 10);
	assert_int_equal(tenure_fence_destroy(t, b->w.device, b->fence), 0);
	assert_int_equal(signal_to(b, 11), 0);
	assert_requested(b, 11);
	assert_int_equal(word(b), 10);
	assert_int_equal(b->w.connection->own_fences.by_handle.count, 0);
}

static void ends_forget(void **state)
{
	struct bench *b = *state;
	struct tenure *t = b->w.connection;
	struct keymap *own = &t->own_fences.by_handle;
	struct tenure_device device;
	struct tenure_context context;
	struct tenure_fence fence;

	assert_int_equal(tenure_device_create(t, b->w.adapter, &device), 0);
	assert_int_equal(tenure_context_create(t, device, &context), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(tenure_fence_create(t, device, 0, &fence), 0);
	assert_int_equal(tenure_context_destroy(t, context, 0), 0);
	assert_int_equal(own->count, 6);
	assert_int_equal(tenure_device_terminate(t, device), 0);
	assert_int_equal(own->count, 1);
	assert_int_equal(tenure_adapter_close(t, b->w.adapter), 0);
	assert_int_equal(own->count, 0);
}

/* The daemon has ended the fence, and given its word to another, or to a
 * context. */
static void g2_a_word_has_one_owner(void **state)
{
	struct bench *b = *state;
	struct tenure *t = b->w.connection;
	struct tenure_context context;
	struct tenure_fence other;

	assert_int_equal(signal_to(b, 5), 0);
	give_again(b, b->word);
	assert_int_equal(tenure_fence_create(t, b->w.device, 0, &other), 0);
	assert_int_equal(signal_to(b, 6), 0);
	assert_int_equal(word(b), 5);
	assert_requested(b, 6);
	assert_int_equal(tenure_fence_signal(t, b->w.device, other, 7), 0);
	assert_int_equal(word(b), 7);
	give_again(b, b->word);
	assert_int_equal(tenure_context_create(t, b->w.device, &context), 0);
	assert_int_equal(tenure_fence_signal(t, b->w.device, other, 8), 0);
	assert_int_equal(word(b), 7);
	assert_requested(b, 8);
}

static void *create_context(void *argument)
{
	struct bench *b = argument;
	struct tenure_context context;

	assert_int_equal(tenure_context_create(b->w.connection, b->w.device,
					       &context),
			 0);
	return NULL;
}

static void g2_while_something_is_created(void **state)
{
	struct bench *b = *state;
	pthread_t thread;

	fake_ring_delay(b->w.ring, WIRE_OP_CONTEXT_CREATE);
	pthread_create(&thread, NULL, create_context, b);
	while (fake_ring_kept(b->w.ring) == 0)
		usleep(100);
	assert_int_equal(signal_to(b, 5), 0);
	assert_int_equal(word(b), 0);
	assert_requested(b, 5);
	fake_ring_late(b->w.ring);
	pthread_join(thread, NULL);
	assert_int_equal(signal_to(b, 6), 0);
	assert_int_equal(word(b), 6);
}

static void a_daemon_that_lies(void **state)
{
	struct bench *b = *state;
	struct tenure_fence fence = { 99 };

	pthread_mutex_lock(&b->w.fake->lock);
	b->w.fake->last_handle = b->fence.value - 1;
	pthread_mutex_unlock(&b->w.fake->lock);
	assert_int_equal(tenure_fence_create(b->w.connection, b->w.device, 0,
					     &fence),
			 -EPROTO);
	assert_int_equal(fence.value, 99);
	assert_int_equal(signal_to(b, 5), -EPROTO);
}

static void without_a_ring(void **state)
{
	struct tenure_fence fence;
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_fence_create(w.connection, w.device, 0, &fence),
			 0);
	assert_int_equal(tenure_fence_signal(w.connection, w.device, fence, 1),
			 0);
	assert_int_equal(w.fake->request.opcode, WIRE_OP_FENCE_SIGNAL);
	world_close(&w);
}

#define on_bench(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_bench(g1_g3_a_store),
		on_bench(g3_below_the_first_value),
		on_bench(g1_rings_if_somebody_waits),
		on_bench(what_is_asked_for),
		on_bench(ends_forget),
		on_bench(g2_a_word_has_one_owner),
		on_bench(g2_while_something_is_created),
		on_bench(a_daemon_that_lies),
		cmocka_unit_test(without_a_ring),
	};

	return cmocka_run_group_tests_name("own_fence", tests, NULL, NULL);
}
