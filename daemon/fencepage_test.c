/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fencepage.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BYTES sizeof(struct fence_page)

/* The n-th of these calls fails, counted together; 0: none. */
static unsigned int fail_at, calls;

static bool fails(void)
{
	return ++calls == fail_at;
}

int __real_memfd_create(const char *name, unsigned int flags);
int __wrap_memfd_create(const char *name, unsigned int flags);
int __real_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length);
void *__real_mmap(void *at, size_t n, int p, int f, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t n, int p, int f, int fd, off_t offset);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	if (!fails())
		return __real_memfd_create(name, flags);
	errno = EMFILE;
	return -1;
}

int __wrap_ftruncate(int fd, off_t length)
{
	if (!fails())
		return __real_ftruncate(fd, length);
	errno = EMFILE;
	return -1;
}

void *__wrap_mmap(void *at, size_t n, int p, int f, int fd, off_t offset)
{
	if (fd < 0 || !fails())
		return __real_mmap(at, n, p, f, fd, offset);
	errno = EMFILE;
	return MAP_FAILED;
}

int __wrap_fchmod(int fd, mode_t mode)
{
	if (!fails())
		return __real_fchmod(fd, mode);
	errno = EMFILE;
	return -1;
}

static struct fence_page *map(int fd, int protection)
{
	void *at = mmap(NULL, BYTES, protection, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void g1_who_can_write(void **state)
{
	struct fence_page *maker, *reader;
	struct fencepage *page;
	int maker_fd, fd, again;
	uint64_t value;
	char path[32];

	(void)state;
	assert_int_equal(fencepage_new(&page), 0);
	maker_fd = fencepage_maker_fd(page);
	maker = map(maker_fd, PROT_READ | PROT_WRITE);
	assert_non_null(maker);
	fence_page_begin(maker, 5, 7);
	fence_page_publish(maker, 5, 99);
	fd = fencepage_reader_fd(page);
	assert_true(fd >= 0);
	reader = map(fd, PROT_READ);
	assert_non_null(reader);
	assert_true(fence_page_read(reader, 5, 99, &value));
	assert_int_equal(value, 7);
	/* By nobody's descriptor, not even the maker's, or one opened anew. */
	assert_null(map(fd, PROT_READ | PROT_WRITE));
	assert_null(map(maker_fd, PROT_READ | PROT_WRITE));
	assert_int_equal(mprotect(reader, BYTES, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(pwrite(maker_fd, "x", 1, 0), -1);
	fchmod(maker_fd, 0600);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) {
		assert_null(map(again, PROT_READ | PROT_WRITE));
		close(again);
	}
	/* The maker still can, and the daemon. */
	assert_true(fence_page_raise(maker, 5, 8));
	assert_true(fence_page_raise(page->page, 5, 9));
	assert_false(fence_page_raise(maker, 5, 9));
	assert_int_equal(fence_page_look(page->page, 5), 9);
	assert_true(fence_page_read(reader, 5, 99, &value));
	assert_int_equal(value, 9);
	assert_false(fence_page_read(reader, 5, 98, &value));
	/* G3 */
	fencepage_free(page);
	assert_false(fence_page_read(reader, 5, 99, &value));
	munmap(maker, BYTES);
	munmap(reader, BYTES);
	close(fd);
	close(maker_fd);
}

static void g2_its_length(void **state)
{
	struct fencepage *page;
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(fencepage_new(&page), 0);
	fd = fencepage_maker_fd(page);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0);
	assert_int_equal(st.st_size, BYTES);
	close(fd);
	fencepage_free(page);
	fencepage_free(NULL);
}

/* Its maker has sealed it: it has no readers, and nobody else is harmed. */
static void a_maker_that_seals(void **state)
{
	struct fencepage *page;
	int fd;

	(void)state;
	assert_int_equal(fencepage_new(&page), 0);
	fd = fencepage_maker_fd(page);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
	assert_int_equal(fencepage_reader_fd(page), -EPERM);
	close(fd);
	fencepage_free(page);
}

/* Whatever fails for the first reader, the next one is served. */
static void g5_the_next_reader(void **state)
{
	struct fencepage *page;
	struct stat st;
	int fd = -1, failed = 0;

	(void)state;
	for (unsigned int n = 1; fd < 0; n++) {
		assert_int_equal(fencepage_new(&page), 0);
		calls = 0;
		fail_at = n;
		fd = fencepage_reader_fd(page);
		fail_at = 0;
		if (fd < 0) {
			failed++;
			assert_int_equal(fd, -EMFILE);
			fd = fencepage_reader_fd(page);
			assert_true(fd >= 0);
			assert_null(map(fd, PROT_READ | PROT_WRITE));
			assert_int_equal(fstat(fd, &st), 0);
			assert_int_equal(st.st_mode & 07777, 0);
			close(fd);
			fd = -1;
		}
		fencepage_free(page);
		assert_true(n < 10);
	}
	close(fd);
	/* Before and after the opening for reading. */
	assert_int_equal(failed, 2);
}

static void g4_nothing_is_left(void **state)
{
	int before = dup(0), after, made = 1;
	struct fencepage *page;

	(void)state;
	close(before);
	for (unsigned int n = 1; made; n++) {
		calls = 0;
		fail_at = n;
		page = NULL;
		made = fencepage_new(&page);
		fail_at = 0;
		if (made < 0)
			assert_null(page);
		else
			fencepage_free(page);
		after = dup(0);
		assert_int_equal(after, before);
		close(after);
		assert_true(n < 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_who_can_write),
		cmocka_unit_test(g2_its_length),
		cmocka_unit_test(a_maker_that_seals),
		cmocka_unit_test(g4_nothing_is_left),
		cmocka_unit_test(g5_the_next_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
