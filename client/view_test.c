/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views: shared, upgraded in place, and given back; descriptors that break
 * the promise are refused.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/view.h"

enum { PAGE = 4096, PAGES = 4 };

static int make_memfd(size_t size_bytes, int seals)
{
	int fd = memfd_create("view", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size_bytes), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static const struct placement whole = {
	.store = 5,
	.size_bytes = PAGES * PAGE,
	.store_bytes = PAGES * PAGE,
};

static struct view *map(struct keymap *views, bool writable, int fd)
{
	struct view *view = malloc(sizeof(*view));

	assert_non_null(view);
	assert_int_equal(view_map(views, view, &whole, writable, fd), 0);
	view_ref(view);
	return view;
}

/* What /proc/self/maps says of the page at an address: 'w', 'r' or 0. */
static char protection(const void *address)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char line[512], rights[5], found = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3 &&
		    (uintptr_t)address >= from && (uintptr_t)address < to)
			found = rights[1] == 'w' ? 'w' : 'r';
	}
	fclose(maps);
	return found;
}

/* G1, G3 */
static void test_one_for_each_protection(void **state)
{
	int fd = make_memfd(PAGES * PAGE, F_SEAL_SHRINK);
	struct keymap views;
	struct view *reader, *writer;
	uint8_t *base;

	(void)state;
	keymap_init(&views);
	assert_null(view_find(&views, 5, false));
	reader = map(&views, false, fd);
	assert_null(view_find(&views, 5, true));
	writer = map(&views, true, fd);
	close(fd);
	assert_ptr_equal(view_find(&views, 5, false), reader);
	assert_ptr_equal(view_find(&views, 5, true), writer);
	assert_false(view_writable(reader));
	assert_true(view_writable(writer));
	writer->base[PAGE] = 9;
	assert_int_equal(reader->base[PAGE], 9);
	base = reader->base;
	view_ref(reader);
	view_unref(&views, reader);
	assert_int_equal(protection(base), 'r');
	view_unref(&views, reader);
	assert_int_equal(protection(base), 0);
	assert_null(view_find(&views, 5, false));
	view_unref(&views, writer);
	keymap_deinit(&views);
}

static void test_upgrade_in_place(void **state)
{
	const struct placement second = {
		.store = 5,
		.offset = PAGE,
		.size_bytes = PAGE,
		.store_bytes = PAGES * PAGE,
	};
	int fd = make_memfd(PAGES * PAGE, F_SEAL_SHRINK);
	struct keymap views;
	struct view *view;

	(void)state;
	keymap_init(&views);
	view = map(&views, false, fd);
	assert_int_equal(pwrite(fd, "x", 1, PAGE), 1);
	assert_int_equal(view_upgrade(view, &second, fd), 0);
	assert_int_equal(protection(view->base), 'r');
	assert_int_equal(protection(view->base + PAGE), 'w');
	assert_int_equal(protection(view->base + 2 * PAGE), 'r');
	assert_int_equal(view->base[PAGE], 'x');
	view->base[PAGE] = 'y';
	view_downgrade(view, view->base + PAGE, PAGE);
	assert_int_equal(protection(view->base + PAGE), 'r');
	assert_int_equal(view->base[PAGE], 'y');
	view_unref(&views, view);
	keymap_deinit(&views);
	close(fd);
}

static void refuse(int fd)
{
	struct view spare, *view = &spare;
	struct keymap views;

	keymap_init(&views);
	assert_int_equal(view_map(&views, view, &whole, false, fd), -EPROTO);
	assert_int_equal(views.count, 0);
	keymap_deinit(&views);
	close(fd);
}

/* G2 */
static void test_broken_promises(void **state)
{
	int ends[2];

	(void)state;
	refuse(make_memfd(PAGES * PAGE - 1, F_SEAL_SHRINK));
	refuse(make_memfd(0, F_SEAL_SHRINK));
	refuse(make_memfd(PAGES * PAGE, 0));
	refuse(open("/dev/zero", O_RDWR | O_CLOEXEC));
	refuse(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	refuse(open("/", O_RDONLY | O_CLOEXEC));
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	refuse(ends[0]);
	refuse(ends[1]);
	refuse(-1);
}

/* A descriptor without the right is an error of the system, not a lie. */
static void test_errno_of_mmap(void **state)
{
	int fd = make_memfd(PAGES * PAGE, F_SEAL_SHRINK);
	char path[64];
	struct view spare;
	struct keymap views;
	int reader;

	(void)state;
	keymap_init(&views);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_int_equal(view_map(&views, &spare, &whole, true, reader),
			 -EACCES);
	assert_int_equal(views.count, 0);
	close(reader);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_for_each_protection),
		cmocka_unit_test(test_upgrade_in_place),
		cmocka_unit_test(test_broken_promises),
		cmocka_unit_test(test_errno_of_mmap),
	};

	return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
