/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define RESERVED (UINT64_C(1) << 40)

static void test_reserve_commit_unreserve(void **state)
{
	struct pages pages;
	unsigned char *start;

	(void)state;
	pages_mmap(&pages);
	start = pages.reserve(pages.context, RESERVED);
	assert_non_null(start);
	assert_int_equal(pages.commit(pages.context, start, 4096), 0);
	assert_int_equal(pages.commit(pages.context, start + 4096, 4 << 20), 0);
	for (size_t i = 0; i < (4 << 20) + 4096; i += 4096)
		assert_int_equal(start[i], 0);
	start[4096] = 1;
	pages.clear(pages.context, start + 4096, 4096);
	assert_int_equal(start[4096], 0);
	pages.unreserve(pages.context, start, RESERVED);
}

/* Locked ones do not go; what is in them stays. */
static void test_clear_locked(void **state)
{
	struct pages pages;
	unsigned char *start;

	(void)state;
	pages_mmap(&pages);
	start = pages.reserve(pages.context, RESERVED);
	assert_int_equal(pages.commit(pages.context, start, 4096), 0);
	/* Not mlock(): under ASan that does nothing. */
	if (syscall(SYS_mlock, start, 4096) != 0)
		skip();
	start[0] = 1;
	pages.clear(pages.context, start, 4096);
	assert_int_equal(start[0], 1);
	pages.unreserve(pages.context, start, RESERVED);
}

/* Pages that were committed one by one keep what is in them. */
static void test_merge(void **state)
{
	struct pages pages;
	unsigned char *start;

	(void)state;
	pages_mmap(&pages);
	start = pages.reserve(pages.context, RESERVED);
	for (size_t i = 0; i < 2 << 20; i += 4096) {
		assert_int_equal(pages.commit(pages.context, start + i, 4096),
				 0);
		start[i] = (unsigned char)(i >> 12);
	}
	pages.merge(pages.context, start, 2 << 20);
	for (size_t i = 0; i < 2 << 20; i += 4096)
		assert_int_equal(start[i], (unsigned char)(i >> 12));
	pages.unreserve(pages.context, start, RESERVED);
}

static void test_refusals(void **state)
{
	struct pages pages;
	void *start;

	(void)state;
	pages_mmap(&pages);
	assert_null(pages.reserve(pages.context, UINT64_C(1) << 62));
	start = pages.reserve(pages.context, 4096);
	assert_non_null(start);
	pages.unreserve(pages.context, start, 4096);
	/* Nothing is mapped there any more, so nothing can be committed. */
	assert_int_equal(pages.commit(pages.context, start, 4096), -ENOMEM);
}

/* Whether the kernel would read a byte there. */
static bool is_committed(const void *address)
{
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	n = write(fds[1], address, 1);
	assert_true(n == 1 || errno == EFAULT);
	close(fds[0]);
	close(fds[1]);
	return n == 1;
}

/* The limit counts what can be written, as strict accounting does. */
static void test_g2_no_more_memory(void **state)
{
	struct rlimit before;
	struct pages pages;
	uint8_t *start;

	(void)state;
	pages_mmap(&pages);
	start = pages.reserve(pages.context, RESERVED);
	assert_int_equal(pages.commit(pages.context, start, 8192), 0);
	memset(start, 7, 8192);
	assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_DATA,
				   &(struct rlimit){ 4096, before.rlim_max }),
			 0);
	assert_int_equal(pages.commit(pages.context, start + 8192, 4096),
			 -ENOMEM);
	assert_int_equal(pages.commit(pages.context, start + 8192, 4 << 20),
			 -ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
	for (size_t i = 0; i < 8192; i++)
		assert_int_equal(start[i], 7);
	assert_true(is_committed(start + 8191));
	for (size_t i = 8192; i < 8192 + (4 << 20); i += 4096)
		assert_false(is_committed(start + i));
	assert_int_equal(pages.commit(pages.context, start + 8192, 4 << 20), 0);
	assert_int_equal(start[8192], 0);
	pages.unreserve(pages.context, start, RESERVED);
}

/* G1 */
static void test_aligned(void **state)
{
	struct pages pages;

	(void)state;
	pages_mmap(&pages);
	for (size_t size = 4096; size < (64 << 20); size *= 3) {
		void *start = pages.reserve(pages.context, size & ~4095u);

		assert_int_equal((uintptr_t)start % (2 << 20), 0);
		pages.unreserve(pages.context, start, size & ~4095u);
	}
}

static void write_file(const char *directory, const char *name,
		       const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* G3, and what the kernel's two files say together */
static void test_size_given(void **state)
{
	static const struct {
		const char *all, *of_size;
		uint64_t expected;
	} cases[] = {
		{ "always madvise [never]\n", NULL, 4096 },
		{ "always [madvise] never\n", NULL, 2 << 20 },
		{ "[always] madvise never\n", NULL, 2 << 20 },
		{ "[always] madvise never\n", "[never]\n", 4096 },
		{ "[always] madvise never\n", "[inherit] never\n", 2 << 20 },
		{ "always madvise [never]\n", "[madvise]\n", 2 << 20 },
		{ "always madvise [never]\n", "[inherit]\n", 4096 },
		{ "nothing in brackets\n", "", 4096 },
	};
	char directory[] = "/tmp/tenure-pages-XXXXXX", inner[64], path[96];

	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(pages_size_given(directory), 4096);
	snprintf(inner, sizeof(inner), "%s/hugepages-2048kB", directory);
	assert_int_equal(mkdir(inner, 0700), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_file(directory, "enabled", cases[i].all);
		if (cases[i].of_size)
			write_file(inner, "enabled", cases[i].of_size);
		assert_int_equal(pages_size_given(directory),
				 cases[i].expected);
	}
	snprintf(path, sizeof(path), "%s/enabled", inner);
	unlink(path);
	rmdir(inner);
	snprintf(path, sizeof(path), "%s/enabled", directory);
	unlink(path);
	rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_size_given),
		cmocka_unit_test(test_reserve_commit_unreserve),
		cmocka_unit_test(test_clear_locked),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_g2_no_more_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
