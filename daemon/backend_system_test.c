/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/backend_system.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* The allocation with this number, from 1, fails; 0: none does. */
static unsigned int failing;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return failing && --failing == 0 ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
	return failing && --failing == 0 ? NULL :
					   __real_reallocarray(old, n, size);
}

/* Called before each close when it is set. */
static void (*before_close)(void);

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
	if (before_close)
		before_close();
	return __real_close(fd);
}

static unsigned int holes; /* punched */

int __real_fallocate(int fd, int mode, off_t start, off_t length);
int __wrap_fallocate(int fd, int mode, off_t start, off_t length);

int __wrap_fallocate(int fd, int mode, off_t start, off_t length)
{
	holes++;
	return __real_fallocate(fd, mode, start, length);
}

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)

static struct backend_system *backend;
static const struct backend_ops *const ops = &backend_system_ops;

static int setup(void **state)
{
	const struct backend_system_config config = {
		.descriptors_max = 200,
		.slice_bytes = MIB,
	};

	(void)state;
	return backend_system_new(&config, &backend);
}

/* Teardown is the leak test: it asserts that no store is left. */
static int teardown(void **state)
{
	(void)state;
	backend_system_free(backend);
	return 0;
}

static struct backend_create make(struct backend_allocation *allocations,
				  uint32_t count, bool new_resource)
{
	struct backend_create create = {
		.count = count,
		.new_resource = new_resource,
		.allocations = allocations,
	};

	assert_int_equal(ops->create_allocation(backend, &create), 0);
	return create;
}

static void destroy(const uint64_t *values, uint32_t count, uint64_t resource,
		    uint32_t flags)
{
	struct backend_destroy args = {
		.count = count,
		.allocations = values,
		.resource = resource,
		.flags = flags,
		.client = 1,
	};

	assert_int_equal(ops->destroy_allocation(backend, &args), 0);
	assert_int_equal(args.resource,
			 flags & BACKEND_DESTROY_RESOURCE ? 0 : resource);
}

static uint64_t stores(void)
{
	struct backend_system_stat stat;

	backend_system_stat(backend, &stat);
	return stat.stores;
}

static uint64_t descriptors(void)
{
	struct backend_system_stat stat;

	backend_system_stat(backend, &stat);
	return stat.descriptors;
}

/* Pages that a file really has. */
static uint64_t file_bytes(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static int store_fd(uint32_t store, bool read_only)
{
	int fd = backend_system_acquire(backend, store, read_only);

	backend_system_release(backend, store, read_only);
	return fd;
}

static void test_layout(void **state)
{
	struct backend_allocation a[3] = {
		{ .size_bytes = 4 * KIB },
		{ .size_bytes = 16 * MIB },
		{ .size_bytes = 8 * KIB },
	};
	struct backend_create create = make(a, 3, true);
	uint64_t values[3] = { a[2].allocation, a[0].allocation,
			       a[1].allocation };
	struct stat st;

	(void)state;
	assert_int_not_equal(create.store, 0);
	assert_int_not_equal(create.resource, 0);
	assert_true(create.store_bytes == 16 * MIB + 12 * KIB);
	assert_int_equal(a[0].offset, 0);
	assert_int_equal(a[1].offset, 4 * KIB);
	assert_true(a[2].offset == 16 * MIB + 4 * KIB);
	assert_int_equal(fstat(store_fd(create.store, false), &st), 0);
	assert_true((uint64_t)st.st_size == create.store_bytes);
	destroy(values, 3, create.resource, BACKEND_DESTROY_RESOURCE);
	assert_int_equal(stores(), 0);
}

static void test_g2_seals(void **state)
{
	struct backend_allocation a = { .size_bytes = 8 * KIB };
	struct backend_create create = make(&a, 1, false);
	int fd = store_fd(create.store, false);

	(void)state;
	assert_int_equal(create.resource, 0);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
	destroy(&a.allocation, 1, 0, 0);
}

/* Exit status of a child of another user: 0 when open said EACCES. */
static int reopen_as_nobody(int fd, int flags)
{
	pid_t pid = fork();
	char path[32];
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (setresgid(65534, 65534, 65534) < 0 ||
		    setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		_exit(open(path, flags) < 0 && errno == EACCES ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_g2_rights(void **state)
{
	struct backend_allocation a = { .size_bytes = 8 * KIB };
	struct backend_create create = make(&a, 1, true);
	struct backend_opening reader = {
		.resource = create.resource,
		.store = create.store,
		.read_only = true,
	};
	int fd, writable = store_fd(create.store, false);

	(void)state;
	assert_int_equal(ops->open_allocation(backend, &reader), 0);
	fd = store_fd(create.store, true);
	assert_int_not_equal(fd, writable);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			      fd, 0),
			 MAP_FAILED);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(fallocate(fd,
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   0, 4096),
			 -1);
	if (geteuid() == 0) {
		assert_int_equal(reopen_as_nobody(fd, O_RDWR), 0);
		assert_int_equal(reopen_as_nobody(fd, O_RDONLY), 0);
		assert_int_equal(reopen_as_nobody(writable, O_RDWR), 0);
	}
	ops->close_allocation(backend, &reader);
	destroy(&a.allocation, 1, create.resource, BACKEND_DESTROY_RESOURCE);
}

static void test_read_only_descriptor_is_counted(void **state)
{
	struct backend_allocation a = { .size_bytes = 8 * KIB };
	struct backend_create create = make(&a, 1, true);
	struct backend_opening reader = {
		.resource = create.resource,
		.store = create.store,
		.read_only = true,
	};
	int fd;

	(void)state;
	assert_int_equal(descriptors(), 1);
	assert_int_equal(ops->open_allocation(backend, &reader), 0);
	assert_int_equal(ops->open_allocation(backend, &reader), 0);
	assert_int_equal(descriptors(), 2);
	ops->close_allocation(backend, &reader);
	assert_int_equal(descriptors(), 2);
	fd = backend_system_acquire(backend, create.store, true);
	ops->close_allocation(backend, &reader);
	assert_int_equal(descriptors(), 2);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	backend_system_release(backend, create.store, true);
	assert_int_equal(descriptors(), 1);
	destroy(&a.allocation, 1, create.resource, BACKEND_DESTROY_RESOURCE);
	assert_int_equal(descriptors(), 0);
}

static void test_g3_memory_is_back_though_mapped(void **state)
{
	struct backend_allocation a[2] = {
		{ .size_bytes = 3 * MIB + 4 * KIB },
		{ .size_bytes = 2 * MIB },
	};
	struct backend_create create = make(a, 2, true);
	int fd = dup(store_fd(create.store, false));
	unsigned char *map = mmap(NULL, create.store_bytes,
				  PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	unsigned char byte = 1;

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	memset(map, 0x5a, create.store_bytes);
	assert_true(file_bytes(fd) == create.store_bytes);
	/* One of two goes; the other is untouched. */
	destroy(&a[0].allocation, 1, create.resource, 0);
	assert_true(file_bytes(fd) == a[1].size_bytes);
	/* Looking at it through the map would bring a page back. */
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(map[a[1].offset], 0x5a);
	assert_int_equal(map[create.store_bytes - 1], 0x5a);
	assert_int_equal(stores(), 1);
	destroy(&a[1].allocation, 1, create.resource, 0);
	assert_int_equal(file_bytes(fd), 0);
	assert_int_equal(stores(), 0);
	/* B22: the resource alone. */
	destroy(NULL, 0, create.resource, BACKEND_DESTROY_RESOURCE);
	munmap(map, create.store_bytes);
	close(fd);
}

static void test_g4_acquired_descriptor_stays(void **state)
{
	struct backend_allocation a = { .size_bytes = 8 * KIB };
	struct backend_create create = make(&a, 1, false);
	int fd = backend_system_acquire(backend, create.store, false);

	(void)state;
	destroy(&a.allocation, 1, 0, 0);
	assert_int_equal(stores(), 1);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	backend_system_release(backend, create.store, false);
	assert_int_equal(stores(), 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static unsigned int answered;

static void *ask(void *unused)
{
	(void)unused;
	stores();
	return NULL;
}

/* Whether another thread gets an answer meanwhile. */
static void ask_from_elsewhere(void)
{
	struct timespec until;
	pthread_t thread;

	before_close = NULL;
	assert_int_equal(pthread_create(&thread, NULL, ask, NULL), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 2;
	answered += pthread_timedjoin_np(thread, NULL, &until) == 0;
}

/* The last close of a file may take long; nobody is kept waiting by it. */
static void test_close_without_the_lock(void **state)
{
	struct backend_allocation allocation = { .size_bytes = PAGE_BYTES };
	const struct backend_create create = make(&allocation, 1, true);

	(void)state;
	answered = 0;
	before_close = ask_from_elsewhere;
	destroy(&allocation.allocation, 1, create.resource,
		BACKEND_DESTROY_RESOURCE);
	assert_null(before_close);
	assert_int_equal(answered, 1);
}

static void test_adding_to_a_resource(void **state)
{
	struct backend_allocation a = { .size_bytes = 4 * KIB };
	struct backend_allocation b = { .size_bytes = 4 * KIB };
	struct backend_create create = make(&a, 1, true);
	struct backend_create add = {
		.count = 1,
		.allocations = &b,
		.resource = create.resource,
	};
	uint64_t values[2];

	(void)state;
	assert_int_equal(ops->create_allocation(backend, &add), 0);
	assert_true(add.resource == create.resource);
	assert_int_not_equal(add.store, create.store);
	values[0] = a.allocation;
	values[1] = b.allocation;
	destroy(values, 2, create.resource, BACKEND_DESTROY_RESOURCE);
	assert_int_equal(stores(), 0);
}

static void test_g1_refusals_leave_nothing(void **state)
{
	struct backend_allocation a = { .size_bytes = UINT64_C(1) << 62 };
	struct backend_allocation two[2] = {
		{ .size_bytes = UINT64_C(1) << 62 },
		{ .size_bytes = UINT64_C(1) << 62 },
	};
	struct backend_create create = { .count = 1, .allocations = &a };
	struct rlimit old, none;

	(void)state;
	create.count = 2;
	create.allocations = two;
	assert_int_equal(ops->create_allocation(backend, &create), -ENOSPC);
	a.size_bytes = 4 * KIB;
	create = (struct backend_create){
		.count = 1,
		.new_resource = true,
		.allocations = &a,
	};
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(ops->create_allocation(backend, &create), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(stores(), 0);
	assert_int_equal(create.resource, 0);
}

static void test_g1_every_allocation_fails(void **state)
{
	struct backend_allocation a = { .size_bytes = 4 * KIB };
	struct backend_create create;
	unsigned int n = 0;
	int r;

	do {
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
		create = (struct backend_create){
			.count = 1,
			.new_resource = true,
			.allocations = &a,
		};
		failing = ++n;
		r = ops->create_allocation(backend, &create);
		failing = 0;
		if (r < 0) {
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(stores(), 0);
			assert_int_equal(descriptors(), 0);
		}
	} while (r < 0);
	/* Two arrays for stores, two for resources, and the store. */
	assert_int_equal(n, 6);
	destroy(&a.allocation, 1, create.resource, BACKEND_DESTROY_RESOURCE);
}

static void test_refused_reader(void **state)
{
	struct backend_allocation a = { .size_bytes = 4 * KIB };
	struct backend_create create = make(&a, 1, true);
	struct backend_opening reader = {
		.resource = create.resource,
		.store = create.store,
		.read_only = true,
	};
	struct rlimit old, none;
	struct stat st;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(ops->open_allocation(backend, &reader), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(descriptors(), 1);
	assert_int_equal(fstat(store_fd(create.store, false), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0);
	assert_int_equal(ops->open_allocation(backend, &reader), 0);
	ops->close_allocation(backend, &reader);
	destroy(&a.allocation, 1, create.resource, BACKEND_DESTROY_RESOURCE);
}

static void test_descriptors_are_limited(void **state)
{
	struct backend_allocation a[200];
	struct backend_create create = { .count = 1 };

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		a[i].size_bytes = 4 * KIB;
		make(&a[i], 1, false);
	}
	create.allocations = &(struct backend_allocation){ .size_bytes = 4096 };
	assert_int_equal(ops->create_allocation(backend, &create), -EMFILE);
	for (size_t i = 0; i < 200; i++)
		destroy(&a[i].allocation, 1, 0, 0);
	make(&a[0], 1, false);
	destroy(&a[0].allocation, 1, 0, 0);
}

/* Whether a destroy of these values ends in an assert. */
static bool asserts(const struct backend_destroy *args)
{
	struct backend_destroy copy = *args;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit no_core = { 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		ops->destroy_allocation(backend, &copy);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
}

static void test_g5_broken_contracts(void **state)
{
	struct backend_allocation a[2] = {
		{ .size_bytes = 4 * KIB },
		{ .size_bytes = 4 * KIB },
	};
	struct backend_create create = make(a, 2, true);
	uint64_t values[2] = { a[0].allocation, a[1].allocation };
	uint64_t twice[2] = { a[0].allocation, a[0].allocation };
	const struct backend_destroy too_early = {
		.count = 1,
		.allocations = values,
		.resource = create.resource,
		.flags = BACKEND_DESTROY_RESOURCE,
	};
	const struct backend_destroy repeated = {
		.count = 2,
		.allocations = twice,
		.resource = create.resource,
	};
	const struct backend_destroy nothing = { 0 };
	const struct backend_destroy reserved = { .flags = 2 };
	const struct backend_destroy all = {
		.count = 2,
		.allocations = values,
		.resource = create.resource,
		.flags = BACKEND_DESTROY_RESOURCE,
	};

	(void)state;
	assert_true(asserts(&too_early));
	assert_true(asserts(&repeated));
	assert_true(asserts(&nothing));
	assert_true(asserts(&reserved));
	assert_false(asserts(&all));
	destroy(values, 2, create.resource, BACKEND_DESTROY_RESOURCE);
	assert_true(asserts(&all));
}

static bool quick(const uint64_t *values, uint32_t count)
{
	const struct backend_destroy args = {
		.count = count,
		.allocations = values,
		.client = 1,
	};

	return ops->is_quick(backend, &args);
}

static void test_quick_g6(void **state)
{
	struct backend_allocation many[3][2] = { 0 };
	uint64_t values[6];
	uint32_t store = 0;

	(void)state;
	for (int i = 0; i < 6; i++)
		many[i / 2][i % 2].size_bytes = MIB;
	for (int i = 0; i < 3; i++)
		store = make(many[i], 2, false).store;
	for (int i = 0; i < 6; i++)
		values[i] = many[i / 2][i % 2].allocation;
	assert_true(quick(values, 4));
	assert_true(quick(&values[4], 2));
	assert_false(quick(values, 5)); /* the third store */
	assert_true(backend_system_acquire(backend, store, false) >= 0);
	backend_system_release(backend, store, false);
	assert_false(quick(&values[4], 1)); /* it may be mapped for ever */
	assert_false(quick(&values[3], 2));
	assert_true(quick(&values[3], 1));
	destroy(values, 6, 0, 0);
}

/* Allocations of one page each, which is written, in a store of its own. */
static int make_written(uint64_t values[6])
{
	struct backend_allocation a[6] = { 0 };
	uint32_t store;
	int fd;

	for (int i = 0; i < 6; i++)
		a[i].size_bytes = PAGE_BYTES;
	store = make(a, 6, false).store;
	fd = dup(store_fd(store, false));
	for (int i = 0; i < 6; i++) {
		values[i] = a[i].allocation;
		assert_int_equal(pwrite(fd, "x", 1, i * (off_t)PAGE_BYTES), 1);
	}
	assert_int_equal(file_bytes(fd), 6 * PAGE_BYTES);
	return fd;
}

static void test_neighbours_are_one_hole_g7(void **state)
{
	struct backend_allocation unlent[2] = {
		{ .size_bytes = PAGE_BYTES },
		{ .size_bytes = PAGE_BYTES },
	};
	uint64_t v[6], w[6];
	int fds[2] = { make_written(v), make_written(w) };

	(void)state;
	holes = 0;
	destroy((uint64_t[]){ v[1], v[2], v[4], w[4], w[3] }, 5, 0, 0);
	/* 1 and 2; 4; 4 of the other; 3, which does not lie behind it. */
	assert_int_equal(holes, 4);
	assert_int_equal(file_bytes(fds[0]), 3 * PAGE_BYTES);
	assert_int_equal(file_bytes(fds[1]), 4 * PAGE_BYTES);
	destroy((uint64_t[]){ v[5], w[0] }, 2, 0, 0);
	assert_int_equal(file_bytes(fds[0]), 2 * PAGE_BYTES);
	assert_int_equal(file_bytes(fds[1]), 3 * PAGE_BYTES);
	destroy((uint64_t[]){ v[0], v[3], w[1], w[2], w[5] }, 5, 0, 0);
	assert_int_equal(file_bytes(fds[0]) + file_bytes(fds[1]), 0);
	assert_int_equal(stores(), 0);
	close(fds[0]);
	close(fds[1]);
	/* Nobody can have written to it. */
	make(unlent, 2, false);
	holes = 0;
	destroy(&unlent[1].allocation, 1, 0, 0);
	destroy(&unlent[0].allocation, 1, 0, 0);
	assert_int_equal(holes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_layout),
		TEST(test_g2_seals),
		TEST(test_g2_rights),
		TEST(test_read_only_descriptor_is_counted),
		TEST(test_g3_memory_is_back_though_mapped),
		TEST(test_g4_acquired_descriptor_stays),
		TEST(test_close_without_the_lock),
		TEST(test_adding_to_a_resource),
		TEST(test_g1_refusals_leave_nothing),
		TEST(test_g1_every_allocation_fails),
		TEST(test_refused_reader),
		TEST(test_descriptors_are_limited),
		TEST(test_g5_broken_contracts),
		TEST(test_quick_g6),
		TEST(test_neighbours_are_one_hole_g7),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
