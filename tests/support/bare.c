/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table without a broker around it: what the tests of core/table.h stand on,
 * and nothing else, so that a mutant of it builds quickly.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/seat.h"

void bare_init(struct bare *bare, uint32_t first_generation)
{
	struct pages pages;

	*bare = (struct bare){ 0 };
	pages = test_pages_interface(&bare->memory);
	assert_int_equal(
		region_init(&bare->region, &pages, sizeof(struct state)), 0);
	assert_int_equal(table_init(&bare->region, first_generation), 0);
}

void bare_deinit(struct bare *bare)
{
	region_deinit(&bare->region);
	assert_null(bare->memory.start);
}

void assert_asserts(void (*function)(void *argument), void *argument)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		function(argument);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}
