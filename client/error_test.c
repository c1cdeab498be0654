/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: remembered by each thread for itself, and every one has words.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/error.h"
#include "core/wire/msg.h"

static void *in_another_thread(void *argument)
{
	struct tenure_refusal refusal;
	char line[64];

	(void)argument;
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.status, 0);
	assert_int_equal(refusal.reason, TENURE_REASON_NONE);
	assert_int_equal(refusal.index, -1);
	assert_string_equal(tenure_explain(line, sizeof(line)),
			    "no call has failed");
	refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	return NULL;
}

/* G1 */
static void test_each_thread_its_own(void **state)
{
	struct tenure_refusal refusal;
	pthread_t thread;

	(void)state;
	assert_int_equal(refusal_set_at(-EINVAL, TENURE_REASON_ENTRY_TWICE, 3),
			 -EINVAL);
	assert_int_equal(pthread_create(&thread, NULL, in_another_thread, NULL),
			 0);
	pthread_join(thread, NULL);
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.status, -EINVAL);
	assert_int_equal(refusal.reason, TENURE_REASON_ENTRY_TWICE);
	assert_int_equal(refusal.index, 3);
}

static void test_restore(void **state)
{
	struct tenure_refusal refusal, again;

	(void)state;
	refusal_set(-EDQUOT, TENURE_REASON_CLIENT_BYTES);
	tenure_last_refusal(&refusal);
	refusal_set(-EIO, TENURE_REASON_BACKEND);
	refusal_restore(&refusal);
	tenure_last_refusal(&again);
	assert_memory_equal(&again, &refusal, sizeof(again));
}

static void test_no_index(void **state)
{
	struct tenure_refusal refusal;

	(void)state;
	refusal_set_at(-EINVAL, TENURE_REASON_BACKEND, WIRE_NO_INDEX);
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.index, -1);
	refusal_set_at(-EINVAL, TENURE_REASON_BACKEND, UINT32_MAX - 1);
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.index, -1);
}

/* G2 */
static void test_words_for_all(void **state)
{
	(void)state;
	for (int status = 1; status > -200; status--)
		assert_true(strlen(tenure_strerror(status)) > 5);
	for (int reason = -1; reason < 300; reason++)
		assert_non_null(tenure_strreason((enum tenure_reason)reason));
	assert_string_not_equal(tenure_strerror(-EDQUOT),
				tenure_strerror(-EINVAL));
}

/* G3 */
static void test_explain(void **state)
{
	char line[200], small[8] = "1234567";

	(void)state;
	refusal_set_at(-EINVAL, TENURE_REASON_ENTRY_ZERO, 12);
	assert_ptr_equal(tenure_explain(line, sizeof(line)), line);
	assert_memory_equal(line, "entry 12 is", 11);
	refusal_set_at(-EINVAL, TENURE_REASON_SIZE_ZERO, 2);
	tenure_explain(line, sizeof(line));
	assert_memory_equal(line, "entry 2", 7);
	refusal_set(-EDQUOT, TENURE_REASON_CLIENT_BYTES);
	assert_string_equal(tenure_explain(line, sizeof(line)),
			    tenure_strreason(TENURE_REASON_CLIENT_BYTES));
	refusal_set(-EMFILE, TENURE_REASON_BACKEND);
	assert_string_equal(tenure_explain(line, sizeof(line)),
			    "the memory backend could not do it: "
			    "Too many open files");
	refusal_set(-EIO, TENURE_REASON_NONE);
	assert_string_equal(tenure_explain(line, sizeof(line)),
			    tenure_strerror(-EIO));
	tenure_explain(small, 4);
	assert_int_equal(small[3], '\0');
	assert_string_equal(small + 4, "567");
	tenure_explain(small, 0);
	assert_string_equal(small + 4, "567");
	tenure_explain(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_thread_its_own),
		cmocka_unit_test(test_restore),
		cmocka_unit_test(test_no_index),
		cmocka_unit_test(test_words_for_all),
		cmocka_unit_test(test_explain),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
