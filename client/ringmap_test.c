/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/ringmap.h"

static int make_memory(off_t size, int seals)
{
	int fd = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static bool is_mapped(const void *page)
{
	unsigned char resident;

	return mincore((void *)(uintptr_t)page, 4096, &resident) == 0;
}

static void test_refused(void **state)
{
	const off_t size = sizeof(struct ring);
	struct ringmap map = { NULL, -5 };
	int ends[2];
	int fd;

	(void)state;
	fd = make_memory(size - 1, F_SEAL_SHRINK);
	assert_int_equal(ringmap_init(&map, fd, 7), -EPROTO); /* G1 */
	close(fd);
	fd = make_memory(size, F_SEAL_GROW);
	assert_int_equal(ringmap_init(&map, fd, 7), -EPROTO);
	close(fd);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(ringmap_init(&map, ends[0], 7), -EPROTO);
	close(ends[0]);
	close(ends[1]);
	assert_null(map.ring);
	assert_int_equal(map.doorbell, -5);
}

static void open_map(struct ringmap *map)
{
	int fd = make_memory(sizeof(struct ring), F_SEAL_SHRINK);
	int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(bell >= 0);
	assert_int_equal(ringmap_init(map, fd, bell), 0);
	close(fd);
}

static void test_bell(void **state)
{
	struct ringmap map;
	uint64_t count = UINT64_MAX - 1;

	(void)state;
	open_map(&map);
	ringmap_bell(&map);
	ringmap_bell(&map);
	assert_int_equal(read(map.doorbell, &count, sizeof(count)), 8);
	assert_int_equal(count, 2);
	/* Saturated: it has been rung, and nobody waits. */
	count = UINT64_MAX - 1;
	assert_int_equal(write(map.doorbell, &count, sizeof(count)), 8);
	ringmap_bell(&map);
	ringmap_deinit(&map, false);
}

static void test_sleep(void **state)
{
	struct timespec before, after;
	struct ring_client end;
	struct ringmap map;

	(void)state;
	open_map(&map);
	ring_client_init(&end, map.ring);
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_true(ringmap_sleep(ring_client_futex(&end), 0, 20));
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true((after.tv_sec - before.tv_sec) * 1000000000 +
			    after.tv_nsec - before.tv_nsec >=
		    20000000);
	/* The sequence is not the one that was seen: no sleep. */
	assert_false(ringmap_sleep(ring_client_futex(&end), 1, 60000));
	ringmap_deinit(&map, false);
}

/* What the child puts where the ring was in the parent is its own. */
static int child(struct ringmap *map)
{
	void *mine;

	if (is_mapped(map->ring))
		return 1;
	mine = mmap(map->ring, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (mine != (void *)map->ring)
		return 2;
	ringmap_deinit(map, true);
	if (!is_mapped(mine))
		return 3;
	return fcntl(map->doorbell, F_GETFD) == -1 ? 0 : 4;
}

static void test_fork(void **state)
{
	struct ringmap map;
	int exit_status;
	pid_t pid;

	(void)state;
	open_map(&map);
	pid = fork();
	if (pid == 0)
		_exit(child(&map)); /* G2 */
	assert_int_equal(waitpid(pid, &exit_status, 0), pid);
	assert_int_equal(exit_status, 0);
	assert_true(is_mapped(map.ring));
	ringmap_deinit(&map, false);
	assert_false(is_mapped(map.ring));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bell),
		cmocka_unit_test(test_sleep),
		cmocka_unit_test(test_fork),
	};

	return cmocka_run_group_tests_name("ringmap", tests, NULL, NULL);
}
