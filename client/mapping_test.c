/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping: counts on both sides, one view for a store, upgrade in place,
 * failures that leave nothing, and lies about places and descriptors.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/world_test.h"

enum { NO_FAILURE, FAIL_MMAP, FAIL_POPULATE };

static int failure;

void *__real_mmap(void *start, size_t size, int protection, int flags, int fd,
		  off_t offset);
void *__wrap_mmap(void *start, size_t size, int protection, int flags, int fd,
		  off_t offset);
int __real_madvise(void *start, size_t size, int advice);
int __wrap_madvise(void *start, size_t size, int advice);

void *__wrap_mmap(void *start, size_t size, int protection, int flags, int fd,
		  off_t offset)
{
	if (failure == FAIL_MMAP && fd >= 0) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(start, size, protection, flags, fd, offset);
}

int __wrap_madvise(void *start, size_t size, int advice)
{
	if (failure == FAIL_POPULATE &&
	    (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)) {
		errno = ENOSPC;
		return -1;
	}
	return __real_madvise(start, size, advice);
}

static int map(struct world *w, int which, unsigned int flags, void **pointer)
{
	size_t size = 0;
	int status = tenure_map(w->connection, w->device, w->allocations[which],
				flags, pointer, &size);

	if (status == 0)
		assert_int_equal(size, (which + 1) * WORLD_PAGE);
	return status;
}

static int unmap(struct world *w, int which)
{
	return tenure_unmap(w->connection, w->device, w->allocations[which]);
}

/* G1 */
static void test_counts(void **state)
{
	void *first, *again, *second;
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(map(&w, 0, TENURE_MAP_WRITE, &first), 0);
	assert_int_equal(w.fake->request.flags,
			 WIRE_MAP_WRITE | WIRE_MAP_WANT_FD);
	world_check_fds(&w);
	w.fake->n_requests = 0;
	assert_int_equal(map(&w, 0, TENURE_MAP_WRITE, &again), 0);
	assert_int_equal(map(&w, 0, TENURE_MAP_READ, &again), 0);
	assert_ptr_equal(again, first);
	assert_int_equal(w.fake->n_requests, 0);
	assert_int_equal(map(&w, 1, TENURE_MAP_WRITE, &second), 0);
	assert_int_equal(w.fake->request.flags, WIRE_MAP_WRITE);
	assert_ptr_equal(second, (char *)first + WORLD_PAGE);
	assert_int_equal(fake_daemon_maps(w.fake, w.allocations[0]), 1);
	assert_int_equal(unmap(&w, 0), 0);
	assert_int_equal(unmap(&w, 0), 0);
	assert_int_equal(w.fake->n_requests, 1);
	assert_int_equal(unmap(&w, 0), 0);
	assert_int_equal(fake_daemon_maps(w.fake, w.allocations[0]), 0);
	assert_true(world_is_mapped(second));
	assert_int_equal(unmap(&w, 0), -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_NOT_MAPPED);
	assert_int_equal(unmap(&w, 1), 0);
	assert_false(world_is_mapped(second));
	world_close(&w);
}

/* The pointer stays, and the daemon's count returns to 0. */
static void test_upgrade(void **state)
{
	void *first, *again, *second;
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(map(&w, 0, TENURE_MAP_READ, &first), 0);
	assert_int_equal(map(&w, 1, TENURE_MAP_READ, &second), 0);
	assert_int_equal(map(&w, 0, TENURE_MAP_READ | TENURE_MAP_WRITE, &again),
			 0);
	assert_ptr_equal(again, first);
	*(char *)first = 5;
	world_check_fds(&w);
	assert_int_equal(fake_daemon_maps(w.fake, w.allocations[0]), 2);
	assert_int_equal(map(&w, 0, TENURE_MAP_WRITE, &again), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(unmap(&w, 0), 0);
	assert_int_equal(fake_daemon_maps(w.fake, w.allocations[0]), 0);
	assert_int_equal(map(&w, 0, TENURE_MAP_READ, &again), 0);
	assert_ptr_equal(again, first);
	assert_int_equal(*(char *)again, 5);
	assert_int_equal(unmap(&w, 0), 0);
	assert_int_equal(unmap(&w, 1), 0);
	assert_false(world_is_mapped(first));
	world_close(&w);
}

static void test_upgrade_refused(void **state)
{
	struct tenure_allocation allocations[2];
	struct tenure_resource resource;
	char private_data[4];
	struct world w;
	void *pointer;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_resource_open(w.connection, w.device, &w.token,
					      TENURE_RIGHT_READ, 2,
					      private_data, 4, &resource,
					      allocations),
			 0);
	w.allocations[0] = allocations[0];
	assert_int_equal(map(&w, 0, TENURE_MAP_READ, &pointer), 0);
	assert_int_equal(map(&w, 0, TENURE_MAP_WRITE, &pointer), -EACCES);
	assert_int_equal(fake_daemon_maps(w.fake, w.allocations[0]), 1);
	assert_int_equal(unmap(&w, 0), 0);
	assert_false(world_is_mapped(pointer));
	world_close(&w);
}

/* Two openings of one memory share a view; its end is theirs together. */
static void test_two_openings(void **state)
{
	struct tenure_allocation allocations[2];
	struct tenure_resource resource;
	char private_data[4];
	struct world w;
	void *mine, *theirs;
	size_t size;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_resource_open(w.connection, w.device, &w.token,
					      0, 2, private_data, 4, &resource,
					      allocations),
			 0);
	assert_int_equal(map(&w, 0, TENURE_MAP_WRITE, &mine), 0);
	assert_int_equal(tenure_map(w.connection, w.device, allocations[0],
				    TENURE_MAP_WRITE, &theirs, &size),
			 0);
	assert_ptr_equal(mine, theirs);
	world_check_fds(&w);
	assert_int_equal(
		tenure_resource_destroy(w.connection, w.device, w.resource), 0);
	assert_true(world_is_mapped(theirs));
	assert_int_equal(
		tenure_resource_destroy(w.connection, w.device, resource), 0);
	assert_false(world_is_mapped(theirs));
	world_close(&w);
}

/* G2 */
static void test_failures_leave_nothing(void **state)
{
	const struct {
		int failure, status;
	} cases[] = {
		{ FAIL_MMAP, -ENOMEM },
		{ FAIL_POPULATE, -ENOSPC },
	};
	void *pointer, *untouched = NULL;
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		world_open(&w);
		failure = cases[i].failure;
		assert_int_equal(map(&w, 0,
				     TENURE_MAP_WRITE | TENURE_MAP_POPULATE,
				     &untouched),
				 cases[i].status);
		assert_int_equal(world_reason(), TENURE_REASON_MAP_FAILED);
		assert_null(untouched);
		assert_int_equal(fake_daemon_maps(w.fake, w.allocations[0]), 0);
		world_check_fds(&w);
		failure = NO_FAILURE;
		assert_int_equal(map(&w, 0, TENURE_MAP_READ, &pointer), 0);
		failure = cases[i].failure;
		assert_int_equal(map(&w, 0,
				     TENURE_MAP_WRITE | TENURE_MAP_POPULATE,
				     &untouched),
				 cases[i].status);
		failure = NO_FAILURE;
		assert_int_equal(unmap(&w, 0), 0);
		assert_int_equal(fake_daemon_maps(w.fake, w.allocations[0]), 0);
		assert_false(world_is_mapped(pointer));
		world_close(&w);
	}
}

static void test_populate(void **state)
{
	unsigned char resident[2];
	struct world w;
	void *pointer;

	(void)state;
	world_open(&w);
	assert_int_equal(map(&w, 1,
			     TENURE_MAP_READ | TENURE_MAP_WRITE |
				     TENURE_MAP_POPULATE,
			     &pointer),
			 0);
	assert_int_equal(mincore(pointer, 2 * WORLD_PAGE, resident), 0);
	assert_true(resident[0] & resident[1] & 1);
	assert_int_equal(
		map(&w, 0, TENURE_MAP_READ | TENURE_MAP_POPULATE, &pointer), 0);
	world_close(&w);
}

static void test_no_room_for_a_descriptor(void **state)
{
	struct rlimit limit, none;
	struct world w;
	void *pointer;
	int lowest;

	(void)state;
	world_open(&w);
	lowest = dup(STDIN_FILENO);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(map(&w, 0, TENURE_MAP_READ, &pointer), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(fake_daemon_maps(w.fake, w.allocations[0]), 0);
	assert_int_equal(map(&w, 0, TENURE_MAP_READ, &pointer), 0);
	world_close(&w);
}

/* An allocation that the library was not told about (made by a raw request) */
static void test_stray(void **state)
{
	const struct wire_allocation size = { .size_bytes = 1 };
	const struct tenure_device device = { 4711 };
	struct tenure_allocation allocation;
	struct wire_request head = {
		.opcode = WIRE_OP_CREATE,
		.device = device.value,
		.count = 1,
		.args_bytes = sizeof(size),
	};
	struct wire_reply reply;
	size_t mapped_size;
	struct world w;
	void *pointer;

	(void)state;
	world_open(&w);
	assert_int_equal(connection_request(w.connection, &head, &size,
					    sizeof(size), &reply, &allocation,
					    sizeof(allocation)),
			 0);
	assert_int_equal(tenure_map(w.connection, device, allocation,
				    TENURE_MAP_WRITE, &pointer, &mapped_size),
			 0);
	assert_int_equal(tenure_allocation_destroy(w.connection, device,
						   allocation, 0),
			 0);
	assert_false(world_is_mapped(pointer));
	world_close(&w);
}

static void test_arguments(void **state)
{
	struct world w;
	void *pointer;
	size_t size;

	(void)state;
	world_open(&w);
	w.fake->n_requests = 0;
	assert_int_equal(map(&w, 0, 0, &pointer), -EINVAL);
	assert_int_equal(map(&w, 0, TENURE_MAP_POPULATE, &pointer), -EINVAL);
	assert_int_equal(map(&w, 0, TENURE_MAP_READ | 8, &pointer), -EINVAL);
	assert_int_equal(map(&w, 0, TENURE_MAP_READ, NULL), -EINVAL);
	assert_int_equal(tenure_map(w.connection, w.device, w.allocations[0],
				    TENURE_MAP_READ, &pointer, NULL),
			 -EINVAL);
	assert_int_equal(w.fake->n_requests, 0);
	/* Through another device, the daemon is asked although it is mapped;
	 * this one says yes, and is not believed. */
	assert_int_equal(map(&w, 0, TENURE_MAP_READ, &pointer), 0);
	w.device.value++;
	assert_int_equal(tenure_map(w.connection, w.device, w.allocations[0],
				    TENURE_MAP_READ, &pointer, &size),
			 -EPROTO);
	world_check_fds(&w);
	world_close(&w);
}

static void test_mapped_too_often(void **state)
{
	struct world w;
	void *pointer;

	(void)state;
	world_open(&w);
	for (int i = 0; i < MAPS_PER_ALLOCATION_MAX; i++)
		assert_int_equal(map(&w, 0, TENURE_MAP_READ, &pointer), 0);
	assert_int_equal(map(&w, 0, TENURE_MAP_READ, &pointer), -EDQUOT);
	assert_int_equal(world_reason(), TENURE_REASON_MAPPED_TOO_OFTEN);
	assert_int_equal(unmap(&w, 0), 0);
	assert_int_equal(map(&w, 0, TENURE_MAP_READ, &pointer), 0);
	world_close(&w);
}

/* ---- G3: lies about the place; context is one number and its value ---- */

static int lie_value(struct exchange *x, int which, uint64_t value)
{
	x->reply.value[which] = value;
	return 0;
}

static int store_zero(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 0, 0);
}

static int store_huge(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 0, UINT64_MAX);
}

static int offset_beyond(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 1, 3 * WORLD_PAGE);
}

static int offset_wraps(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 1, -(uint64_t)WORLD_PAGE);
}

static int offset_odd(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 1, 8);
}

static int size_zero(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 2, 0);
}

static int size_odd(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 2, 100);
}

static int size_too_large(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 2, 4 * WORLD_PAGE);
}

static int size_wraps(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 2, -(uint64_t)WORLD_PAGE);
}

static int store_bytes_huge(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 3, UINT64_MAX & ~UINT64_C(4095));
}

static int store_bytes_beyond_the_file(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 3, 4 * WORLD_PAGE);
}

static int replace_fd(struct exchange *x, int fd)
{
	assert_true(fd >= 0);
	if (x->fd >= 0)
		close(x->fd);
	x->fd = fd;
	return 0;
}

static int short_memfd(void *context, struct exchange *x)
{
	int fd = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)context;
	assert_int_equal(ftruncate(fd, WORLD_PAGE), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return replace_fd(x, fd);
}

static int unsealed_memfd(void *context, struct exchange *x)
{
	int fd = memfd_create("soft", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)context;
	assert_int_equal(ftruncate(fd, 3 * WORLD_PAGE), 0);
	return replace_fd(x, fd);
}

static int no_memfd(void *context, struct exchange *x)
{
	(void)context;
	return replace_fd(x, open("/dev/zero", O_RDWR | O_CLOEXEC));
}

static int (*const place_lies[])(void *, struct exchange *) = {
	store_zero,    store_huge,
	offset_beyond, offset_wraps,
	offset_odd,    size_zero,
	size_odd,      size_too_large,
	size_wraps,    store_bytes_huge,
	short_memfd,   unsealed_memfd,
	no_memfd,      store_bytes_beyond_the_file,
};

static void test_lies_at_first_map(void **state)
{
	struct world w;
	void *pointer;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(place_lies); i++) {
		world_open(&w);
		world_lie(&w, place_lies[i]);
		assert_int_equal(map(&w, 0, TENURE_MAP_WRITE, &pointer),
				 -EPROTO);
		world_check_fds(&w);
		world_close(&w);
	}
}

static void test_lies_at_upgrade(void **state)
{
	struct world w;
	void *pointer;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(place_lies); i++) {
		world_open(&w);
		assert_int_equal(map(&w, 0, TENURE_MAP_READ, &pointer), 0);
		world_lie(&w, place_lies[i]);
		assert_int_equal(map(&w, 0, TENURE_MAP_WRITE, &pointer),
				 -EPROTO);
		world_check_fds(&w);
		world_close(&w);
	}
}

static int another_store(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 0, 500);
}

static int another_length(void *context, struct exchange *x)
{
	(void)context;
	return lie_value(x, 3, 5 * WORLD_PAGE);
}

/* The second allocation of a store that is mapped already. */
static void test_lies_at_known_store(void **state)
{
	struct world w;
	void *pointer;

	(void)state;
	for (int i = 0; i < 2; i++) {
		world_open(&w);
		assert_int_equal(map(&w, 0, TENURE_MAP_READ, &pointer), 0);
		world_lie(&w, i ? another_store : another_length);
		assert_int_equal(map(&w, 1, TENURE_MAP_READ, &pointer),
				 -EPROTO);
		world_close(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_upgrade_refused),
		cmocka_unit_test(test_two_openings),
		cmocka_unit_test(test_failures_leave_nothing),
		cmocka_unit_test(test_populate),
		cmocka_unit_test(test_no_room_for_a_descriptor),
		cmocka_unit_test(test_stray),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_mapped_too_often),
		cmocka_unit_test(test_lies_at_first_map),
		cmocka_unit_test(test_lies_at_upgrade),
		cmocka_unit_test(test_lies_at_known_store),
	};

	return cmocka_run_group_tests_name("mapping", tests, NULL, NULL);
}
