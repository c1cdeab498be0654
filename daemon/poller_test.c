/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/poller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { WATCHES = 3 * POLLER_BATCH };

static struct poller poller;
static struct watch watches[WATCHES];
static unsigned int calls[WATCHES];

static void count(struct watch *watch, uint32_t events)
{
	assert_true(events & EPOLLIN);
	assert_true(watch->added);
	calls[watch - watches]++;
}

static void remove_all_others(struct watch *watch, uint32_t events)
{
	count(watch, events);
	for (size_t i = 0; i < WATCHES; i++)
		if (&watches[i] != watch)
			poller_remove(&poller, &watches[i]);
}

static int setup(void **state)
{
	(void)state;
	memset(calls, 0, sizeof(calls));
	assert_int_equal(poller_init(&poller), 0);
	for (size_t i = 0; i < WATCHES; i++) {
		watches[i] = (struct watch){
			.fd = eventfd(1, EFD_CLOEXEC),
			.ready = count,
		};
		assert_true(watches[i].fd >= 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < WATCHES; i++) {
		poller_remove(&poller, &watches[i]);
		close(watches[i].fd);
	}
	poller_deinit(&poller);
	return 0;
}

static void add_all(void)
{
	for (size_t i = 0; i < WATCHES; i++)
		assert_int_equal(poller_add(&poller, &watches[i], EPOLLIN), 0);
}

static void test_everybody_before_anybody_twice(void **state)
{
	(void)state;
	add_all();
	for (int turn = 0; turn < WATCHES / POLLER_BATCH; turn++)
		poller_dispatch(&poller);
	for (size_t i = 0; i < WATCHES; i++)
		assert_int_equal(calls[i], 1);
}

static void test_g1_removed_within_a_batch(void **state)
{
	unsigned int sum = 0;

	(void)state;
	for (size_t i = 0; i < WATCHES; i++)
		watches[i].ready = remove_all_others;
	add_all();
	poller_dispatch(&poller);
	for (size_t i = 0; i < WATCHES; i++)
		sum += calls[i];
	assert_int_equal(sum, 1);
}

static void test_change(void **state)
{
	(void)state;
	assert_int_equal(poller_add(&poller, &watches[0], EPOLLIN), 0);
	assert_int_equal(poller_change(&poller, &watches[0], 0), 0);
	poller_dispatch(&poller);
	assert_int_equal(calls[0], 0);
	assert_int_equal(poller_change(&poller, &watches[0], EPOLLIN), 0);
	poller_dispatch(&poller);
	assert_int_equal(calls[0], 1);
}

static void test_refused_add(void **state)
{
	struct watch bad = { .fd = -1, .ready = count };

	(void)state;
	assert_int_equal(poller_add(&poller, &bad, EPOLLIN), -EBADF);
	assert_false(bad.added);
	poller_remove(&poller, &bad);
}

static void test_init_without_descriptors(void **state)
{
	struct poller other;
	struct rlimit old, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(poller_init(&other), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_everybody_before_anybody_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_g1_removed_within_a_batch,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_add, setup,
						teardown),
		cmocka_unit_test(test_init_without_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
