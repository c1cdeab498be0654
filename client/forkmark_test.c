/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fork mark: told apart in a child and in a grandchild, with the page and
 * with the process id.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/forkmark.h"

static bool no_wipe;

int __real_madvise(void *start, size_t size, int advice);
int __wrap_madvise(void *start, size_t size, int advice);

int __wrap_madvise(void *start, size_t size, int advice)
{
	if (no_wipe && advice == MADV_WIPEONFORK) {
		errno = EINVAL;
		return -1;
	}
	return __real_madvise(start, size, advice);
}

/* Exit status of a child (or its child) that looks at the mark. */
static int look_in_child(const struct forkmark *mark, int generations)
{
	int state = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(generations > 1 ? look_in_child(mark, generations - 1) :
					forkmark_forked(mark));
	assert_int_equal(waitpid(pid, &state, 0), pid);
	assert_true(WIFEXITED(state));
	return WEXITSTATUS(state);
}

static void check(bool expect_page)
{
	struct forkmark mark;

	forkmark_init(&mark);
	assert_int_equal(mark.page != NULL, expect_page);
	assert_false(forkmark_forked(&mark));
	assert_int_equal(look_in_child(&mark, 1), 1);
	assert_int_equal(look_in_child(&mark, 2), 1);
	assert_false(forkmark_forked(&mark));
	forkmark_deinit(&mark);
}

static void test_page(void **state)
{
	(void)state;
	check(true);
}

static void test_process_id(void **state)
{
	(void)state;
	no_wipe = true;
	check(false);
	no_wipe = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_process_id),
	};

	return cmocka_run_group_tests_name("forkmark", tests, NULL, NULL);
}
