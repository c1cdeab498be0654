/* SPDX-License-Identifier: Apache-2.0 */
/* Memfd: G1 and G2, on this kernel and on one that is too old. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_old_kernel;
static unsigned int calls;

int __real_memfd_create(const char *name, unsigned int flags);
int __wrap_memfd_create(const char *name, unsigned int flags);

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	const unsigned int known = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	calls++;
	if (is_old_kernel && flags & ~known) {
		errno = EINVAL;
		return -1;
	}
	return __real_memfd_create(name, flags);
}

static void test_reopened_g1(void **state)
{
	bool is_old = false;
	int fd = memfd_new("test", &is_old), reader;
	struct stat stat;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(fchmod(fd, 0), 0);
	reader = memfd_reopen_read_only(fd);
	assert_true(reader >= 0);
	assert_int_equal(fstat(fd, &stat), 0);
	assert_int_equal(stat.st_mode & 0777, 0);
	assert_int_equal(stat.st_size, 4096);
	assert_int_equal(write(reader, "x", 1), -1);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			      reader, 0),
			 MAP_FAILED);
	assert_int_equal(fcntl(reader, F_GETFD), FD_CLOEXEC);
	close(reader);
	close(fd);
	assert_int_equal(memfd_reopen_read_only(-1), -EBADF);
}

static void test_an_old_kernel_g2(void **state)
{
	bool is_old = false;

	(void)state;
	is_old_kernel = true;
	calls = 0;
	for (int i = 0; i < 3; i++) {
		int fd = memfd_new("test", &is_old);

		assert_true(fd >= 0);
		assert_true(is_old);
		close(fd);
	}
	assert_int_equal(calls, 4);
	is_old_kernel = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reopened_g1),
		cmocka_unit_test(test_an_old_kernel_g2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
