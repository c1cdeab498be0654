/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences that are read without a request, with a real daemon. That no request
 * is made is shown by a daemon that does not run: signals and values go on.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/ring/fence_page.h"
#include "tenure/tenure.h"
#include "tests/integration/ring_world.h"

struct party {
	struct tenure *t;
	struct tenure_adapter adapter;
	struct tenure_device device;
};

static struct party party_new(void **state)
{
	const struct stage *stage = *state;
	struct party p;

	assert_int_equal(tenure_connect(stage->socket, 0, &p.t), 0);
	assert_int_equal(tenure_adapter_open(p.t, NULL, &p.adapter), 0);
	assert_int_equal(tenure_device_create(p.t, p.adapter, &p.device), 0);
	return p;
}

static struct tenure_fence make_fence(const struct party *p, uint64_t value)
{
	struct tenure_fence fence;

	assert_int_equal(tenure_fence_create(p->t, p->device, value, &fence),
			 0);
	return fence;
}

static struct tenure_fence lend(const struct party *p, struct tenure_fence f,
				const struct party *other, unsigned int rights)
{
	struct tenure_fence opened;
	struct tenure_token token;

	assert_int_equal(tenure_fence_share(p->t, p->device, f, rights, &token),
			 0);
	assert_int_equal(tenure_fence_open(other->t, other->device, &token, 0,
					   &opened),
			 0);
	assert_int_equal(tenure_token_revoke(p->t, &token), 0);
	return opened;
}

static uint64_t value_of(const struct party *p, struct tenure_fence fence)
{
	uint64_t value = 4711;

	assert_int_equal(tenure_fence_value(p->t, p->device, fence, &value), 0);
	return value;
}

static void come_to(const struct party *p, struct tenure_fence f, uint64_t to)
{
	assert_int_equal(tenure_fence_signal(p->t, p->device, f, to), 0);
}

static void while_the_daemon_stands_still(void **state)
{
	const struct stage *stage = *state;
	struct party p = party_new(state), other = party_new(state);
	struct party third = party_new(state);
	struct tenure_fence fence = make_fence(&p, 3);
	struct tenure_fence a = lend(&p, fence, &other, TENURE_RIGHT_READ);
	struct tenure_fence b =
		lend(&p, fence, &third, TENURE_RIGHT_READ | TENURE_RIGHT_WRITE);

	assert_int_equal(value_of(&other, a), 3);
	assert_int_equal(value_of(&third, b), 3);
	daemon_freeze(stage->daemon);
	for (uint64_t i = 4; i < 1000; i++) {
		come_to(&p, fence, i);
		assert_int_equal(value_of(&other, a), i);
		assert_int_equal(value_of(&third, b), i);
		come_to(&p, fence, i - 2);
		assert_int_equal(value_of(&p, fence), i);
	}
	daemon_thaw(stage->daemon);
	/* What others signal, by request, is there as well. */
	come_to(&third, b, 5000);
	assert_int_equal(value_of(&other, a), 5000);
	assert_int_equal(value_of(&p, fence), 5000);
	come_to(&p, fence, 5001);
	assert_int_equal(value_of(&third, b), 5001);
	tenure_disconnect(p.t);
	tenure_disconnect(other.t);
	tenure_disconnect(third.t);
}

/* The daemon has told the page before whoever ended the fence hears of it. */
static void ends_are_seen(void **state)
{
	struct party other = party_new(state);
	uint64_t value;

	for (int death = 0; death < 2; death++) {
		struct party p = party_new(state);
		struct tenure_fence fence = make_fence(&p, 0);
		struct tenure_fence opened =
			lend(&p, fence, &other, TENURE_RIGHT_READ);
		int status = 0;

		assert_int_equal(value_of(&other, opened), 0);
		if (!death) {
			assert_int_equal(
				tenure_fence_destroy(p.t, p.device, fence), 0);
			assert_int_equal(tenure_fence_value(other.t,
							    other.device,
							    opened, &value),
					 -ENODEV);
		}
		tenure_disconnect(p.t);
		for (int i = 0; i < 10000 && status == 0; i++) {
			status = tenure_fence_value(other.t, other.device,
						    opened, &value);
			usleep(100);
		}
		assert_int_equal(status, -ENODEV);
	}
	tenure_disconnect(other.t);
}

/* Entries are used again; no reader takes one fence for another. */
static void one_after_another(void **state)
{
	struct party p = party_new(state), other = party_new(state);
	struct tenure_fence last = { 0 }, opened = { 0 };
	uint64_t value;

	for (uint64_t i = 1; i <= 3000; i++) {
		struct tenure_fence fence = make_fence(&p, i * 100);

		if (opened.value) {
			assert_int_equal(tenure_fence_value(other.t,
							    other.device,
							    opened, &value),
					 -ENODEV);
			assert_int_equal(tenure_fence_destroy(
						 other.t, other.device, opened),
					 0);
		}
		opened = lend(&p, fence, &other, TENURE_RIGHT_READ);
		assert_int_equal(value_of(&other, opened), i * 100);
		come_to(&p, fence, i * 100 + 1);
		assert_int_equal(value_of(&other, opened), i * 100 + 1);
		assert_int_equal(tenure_fence_destroy(p.t, p.device, fence), 0);
		assert_int_not_equal(fence.value, last.value);
		last = fence;
	}
	tenure_disconnect(p.t);
	tenure_disconnect(other.t);
}

/* More than the page has entries: the others are asked for. */
static void more_than_entries(void **state)
{
	static struct tenure_fence fences[FENCE_PAGE_ENTRIES + 10];
	static struct tenure_fence opened[FENCE_PAGE_ENTRIES + 10];
	struct party p = party_new(state), other = party_new(state);

	for (uint64_t i = 0; i < FENCE_PAGE_ENTRIES + 10; i++) {
		fences[i] = make_fence(&p, i);
		opened[i] = lend(&p, fences[i], &other, TENURE_RIGHT_READ);
	}
	for (uint64_t i = 0; i < FENCE_PAGE_ENTRIES + 10; i++) {
		come_to(&p, fences[i], i + 7);
		assert_int_equal(value_of(&other, opened[i]), i + 7);
	}
	tenure_disconnect(p.t);
	tenure_disconnect(other.t);
}

/* ---- Threads ---- */

enum { SIGNALS = 20000 };

struct shared {
	struct party maker, writer;
	struct tenure_fence fence, of_writer;
	atomic_uint_fast64_t signalled; /* at least so far */
	atomic_bool done;
	atomic_uint failures;
};

static void *signal_own(void *context)
{
	struct shared *s = context;

	for (uint64_t i = 1; i <= SIGNALS; i++) {
		if (tenure_fence_signal(s->maker.t, s->maker.device, s->fence,
					2 * i))
			atomic_fetch_add(&s->failures, 1);
		atomic_store(&s->signalled, 2 * i);
	}
	atomic_store(&s->done, true);
	return NULL;
}

static void *signal_other(void *context)
{
	struct shared *s = context;

	while (!atomic_load(&s->done)) {
		uint64_t next = atomic_load(&s->signalled) + 1;

		if (tenure_fence_signal(s->writer.t, s->writer.device,
					s->of_writer, next))
			atomic_fetch_add(&s->failures, 1);
	}
	return NULL;
}

/* What was signalled before a look is seen by it, and nothing goes back; and a
 * wait for what was read succeeds at once. */
static void values_among_threads(void **state)
{
	struct shared s = { .maker = party_new(state),
			    .writer = party_new(state) };
	struct party reader = party_new(state);
	struct tenure_fence opened;
	pthread_t threads[2];
	uint64_t last = 0;

	s.fence = make_fence(&s.maker, 0);
	s.of_writer = lend(&s.maker, s.fence, &s.writer,
			   TENURE_RIGHT_READ | TENURE_RIGHT_WRITE);
	opened = lend(&s.maker, s.fence, &reader, TENURE_RIGHT_READ);
	pthread_create(&threads[0], NULL, signal_own, &s);
	pthread_create(&threads[1], NULL, signal_other, &s);
	for (int i = 0; !atomic_load(&s.done); i++) {
		uint64_t before = atomic_load(&s.signalled), value;

		value = value_of(&reader, opened);
		assert_true(value >= before && value >= last);
		last = value;
		if (i % 16 == 0) {
			const struct tenure_fence_value one = { opened, value };

			assert_int_equal(tenure_fence_wait(reader.t,
							   reader.device, &one,
							   1, 0, 0, NULL),
					 0);
		}
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_int_equal(s.failures, 0);
	assert_true(value_of(&reader, opened) >= 2 * SIGNALS);
	tenure_disconnect(s.maker.t);
	tenure_disconnect(s.writer.t);
	tenure_disconnect(reader.t);
}

/* Sharing for the first time beside signals: none is lost on the way, and who
 * has been told of a signal reads its value (own_fence G4). */
static void *signal_on(void *context)
{
	struct shared *s = context;

	for (uint64_t i = 1; !atomic_load(&s->done); i++) {
		if (tenure_fence_signal(s->maker.t, s->maker.device, s->fence,
					i))
			atomic_fetch_add(&s->failures, 1);
		atomic_store(&s->signalled, i);
	}
	return NULL;
}

static void published_beside_signals(void **state)
{
	struct party reader = party_new(state);
	struct shared s = { .maker = party_new(state) };

	for (int i = 0; i < 200; i++) {
		struct tenure_fence opened;
		pthread_t thread;
		uint64_t before;

		s.fence = make_fence(&s.maker, 0);
		atomic_store(&s.done, false);
		atomic_store(&s.signalled, 0);
		pthread_create(&thread, NULL, signal_on, &s);
		opened = lend(&s.maker, s.fence, &reader, TENURE_RIGHT_READ);
		before = atomic_load(&s.signalled);
		assert_true(value_of(&reader, opened) >= before);
		atomic_store(&s.done, true);
		pthread_join(thread, NULL);
		assert_int_equal(value_of(&reader, opened), s.signalled);
		assert_int_equal(tenure_fence_destroy(s.maker.t, s.maker.device,
						      s.fence),
				 0);
	}
	assert_int_equal(s.failures, 0);
	tenure_disconnect(s.maker.t);
	tenure_disconnect(reader.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ring_test(while_the_daemon_stands_still),
		ring_test(ends_are_seen),
		ring_test(one_after_another),
		ring_test(more_than_entries),
		ring_test(values_among_threads),
		ring_test(published_beside_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
