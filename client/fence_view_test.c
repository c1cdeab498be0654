/* SPDX-License-Identifier: Apache-2.0 */
/* Fence views: G1 to G4, with a fake daemon that has one page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/world_test.h"

enum { ENTRY = 9, TAG = 77 };

struct bench {
	struct world w;
	struct fence_page *page; /* as its maker has it */
	struct tenure_fence fence; /* opened */
};

/* A fence of another client, published at ENTRY with TAG. */
static int set_up(void **state)
{
	static struct bench b;
	const struct wire_request make = { .opcode = WIRE_OP_FENCE_PAGE };
	struct exchange x = { .request = &make };
	struct tenure_token token = { { 1 } };

	world_open_ring(&b.w);
	pthread_mutex_lock(&b.w.fake->lock);
	fake_daemon_answer(b.w.fake, &x);
	b.w.fake->fds_out = 0;
	b.w.fake->published = 1;
	b.w.fake->entry = ENTRY;
	b.w.fake->tag = TAG;
	pthread_mutex_unlock(&b.w.fake->lock);
	b.page = mmap(NULL, sizeof(*b.page), PROT_READ | PROT_WRITE, MAP_SHARED,
		      x.fd, 0);
	assert_ptr_not_equal(b.page, MAP_FAILED);
	close(x.fd);
	fence_page_begin(b.page, ENTRY, 3);
	fence_page_publish(b.page, ENTRY, TAG);
	assert_int_equal(tenure_fence_open(b.w.connection, b.w.device, &token,
					   0, &b.fence),
			 0);
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	munmap(b->page, sizeof(*b->page));
	world_close(&b->w);
	return 0;
}

static unsigned int asked_so_far(struct bench *b)
{
	return fake_daemon_count(b->w.fake, &b->w.fake->n_requests);
}

static int value(struct bench *b, uint64_t *ret)
{
	return tenure_fence_value(b->w.connection, b->w.device, b->fence, ret);
}

static uint64_t value_of(struct bench *b)
{
	uint64_t v = 1234;

	assert_int_equal(value(b, &v), 0);
	return v;
}

/* The last request was for the value itself; the fake says 0. */
static void assert_asks(struct bench *b)
{
	assert_int_equal(value_of(b), 0);
	pthread_mutex_lock(&b->w.fake->lock);
	assert_int_equal(b->w.fake->request.opcode, WIRE_OP_FENCE_VALUE);
	pthread_mutex_unlock(&b->w.fake->lock);
}

static void g1_g2_read(void **state)
{
	struct bench *b = *state;
	unsigned int n;

	assert_int_equal(value_of(b), 3);
	n = asked_so_far(b);
	assert_int_equal(value_of(b), 3);
	fence_page_raise(b->page, ENTRY, 10);
	assert_int_equal(value_of(b), 10);
	/* A maker that goes back. */
	fence_page_begin(b->page, ENTRY, 4);
	assert_int_equal(value_of(b), 10);
	fence_page_raise(b->page, ENTRY, UINT64_MAX);
	assert_int_equal(value_of(b), UINT64_MAX);
	assert_int_equal(asked_so_far(b), n);
	/* It has ended: the daemon knows how. */
	fence_page_end(b->page, ENTRY);
	assert_asks(b);
	fence_page_publish(b->page, ENTRY, TAG + 1);
	assert_asks(b);
}

static void g1_not_published(void **state)
{
	struct bench *b = *state;
	unsigned int n;

	pthread_mutex_lock(&b->w.fake->lock);
	b->w.fake->published = 0;
	pthread_mutex_unlock(&b->w.fake->lock);
	n = asked_so_far(b);
	for (int i = 0; i < 5; i++)
		assert_asks(b);
	assert_int_equal(asked_so_far(b), n + 6); /* where, once */
}

static void g3_one_mapping(void **state)
{
	struct bench *b = *state;
	struct tenure *t = b->w.connection;
	const struct keymap *pages = &t->fence_views.pages;
	struct tenure_token token = { { 1 } };
	struct tenure_fence more[5];
	unsigned int fds = fake_open_fds();
	uint64_t v;

	assert_int_equal(value_of(b), 3);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(tenure_fence_open(t, b->w.device, &token, 0,
						   &more[i]),
				 0);
		assert_int_equal(
			tenure_fence_value(t, b->w.device, more[i], &v), 0);
		assert_int_equal(v, 3);
	}
	assert_int_equal(pages->count, 1);
	assert_int_equal(fake_open_fds(), fds);
	for (int i = 0; i < 5; i++)
		assert_int_equal(tenure_fence_destroy(t, b->w.device, more[i]),
				 0);
	assert_int_equal(pages->count, 1);
	assert_int_equal(tenure_device_terminate(t, b->w.device), 0);
	assert_int_equal(pages->count, 0);
	assert_int_equal(t->fence_views.fences.count, 0);
}

/* With the device of another, it is as any handle that is none. */
static void another_device(void **state)
{
	struct bench *b = *state;
	const struct tenure_device other = { 4711 };
	uint64_t v;

	assert_int_equal(value_of(b), 3);
	assert_int_equal(
		tenure_fence_value(b->w.connection, other, b->fence, &v), 0);
	assert_int_equal(v, 0);
}

static void expect_distrust(struct bench *b)
{
	uint64_t v = 55;

	assert_int_equal(value(b, &v), -EPROTO);
	assert_int_equal(v, 55);
	assert_int_equal(b->w.connection->fence_views.pages.count, 0);
}

static void g4_entry_outside(void **state)
{
	struct bench *b = *state;

	b->w.fake->entry = FENCE_PAGE_ENTRIES;
	expect_distrust(b);
}

static void g4_entry_zero(void **state)
{
	struct bench *b = *state;

	b->w.fake->entry = 0;
	expect_distrust(b);
}

static void g4_other_length(void **state)
{
	struct bench *b = *state;

	b->w.fake->page_bytes++;
	expect_distrust(b);
}

/* The memory is not what was promised: the value is asked for. */
static void g4_short_memory(void **state)
{
	struct bench *b = *state;

	pthread_mutex_lock(&b->w.fake->lock);
	close(b->w.fake->page);
	b->w.fake->page = memfd_create("short", MFD_CLOEXEC);
	pthread_mutex_unlock(&b->w.fake->lock);
	assert_asks(b);
	assert_asks(b);
	assert_int_equal(b->w.connection->fence_views.pages.count, 0);
}

#define on_bench(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_bench(g1_g2_read),	    on_bench(g1_not_published),
		on_bench(g3_one_mapping),   on_bench(another_device),
		on_bench(g4_entry_outside), on_bench(g4_entry_zero),
		on_bench(g4_other_length),  on_bench(g4_short_memory),
	};

	return cmocka_run_group_tests_name("fence_view", tests, NULL, NULL);
}
