/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the leak oracle sees: memory that is held by this process, by a child of
 * it, by a mapping alone, by a descriptor in flight alone, and by others.
 */
#include "tests/support/shmem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/raw.h"

enum { LEAK_BYTES = 384 << 20, NOISE_BYTES = 256 << 20 };

/* A memfd with that much in it, every page. */
static int fill(size_t size_bytes)
{
	int fd = memfd_create("leak", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)size_bytes), 0);
	return fd;
}

static uint64_t own(void)
{
	struct shmem now;

	shmem_look(&now);
	return now.own_bytes;
}

static uint64_t rest(void)
{
	struct shmem now;

	shmem_look(&now);
	return now.rest_bytes;
}

/* Others may be at work just now; what is asserted holds in the end. */
static void assert_rest(uint64_t least, uint64_t most)
{
	uint64_t now = rest();

	for (int i = 0; i < 100 && (now < least || now > most); i++) {
		usleep(50000);
		now = rest();
	}
	assert_in_range(now, least, most);
}

static void test_open_and_mapped(void **state)
{
	uint64_t base = own();
	int fd = fill(LEAK_BYTES), again = dup(fd);
	void *mapped;

	(void)state;
	assert_int_equal(own() - base, LEAK_BYTES);
	mapped = mmap(NULL, LEAK_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(mapped, MAP_FAILED);
	assert_int_equal(own() - base, LEAK_BYTES);
	close(fd);
	close(again);
	assert_int_equal(own() - base, LEAK_BYTES);
	munmap(mapped, LEAK_BYTES);
	assert_int_equal(own(), base);
}

/* A child that sleeps with one open; orphan: of a process that is gone. */
static pid_t child_with(size_t size_bytes, bool orphan)
{
	int ready[2];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (orphan && fork() != 0)
			_exit(0);
		prctl(PR_SET_PDEATHSIG, orphan ? 0 : SIGKILL);
		alarm(60);
		fill(size_bytes);
		pid = getpid();
		_exit(write(ready[1], &pid, sizeof(pid)) < 0 || pause());
	}
	if (orphan)
		waitpid(pid, NULL, 0);
	assert_int_equal(read(ready[0], &pid, sizeof(pid)), sizeof(pid));
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void test_a_child_is_ours(void **state)
{
	uint64_t base = own();
	pid_t pid = child_with(LEAK_BYTES, false);

	(void)state;
	assert_int_equal(own() - base, LEAK_BYTES);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(own(), base);
}

/* Whoever is no child of ours changes neither number. */
static void test_others_are_not(void **state)
{
	uint64_t base = own(), rest_base = rest();
	pid_t pid = child_with(LEAK_BYTES, true);

	(void)state;
	assert_int_equal(own(), base);
	assert_rest(0, rest_base + NOISE_BYTES);
	/* What it had is nobody's while it goes. */
	kill(pid, SIGKILL);
	while (kill(pid, 0) == 0)
		usleep(1000);
	assert_rest(0, rest_base + NOISE_BYTES);
}

static void test_in_flight(void **state)
{
	uint64_t base = own(), rest_base = rest();
	int ends[2], fd = fill(LEAK_BYTES);

	(void)state;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(raw_send_bytes(ends[0], "x", 1, &fd, 1), 0);
	close(fd);
	assert_int_equal(own(), base);
	assert_rest(rest_base + LEAK_BYTES - NOISE_BYTES, UINT64_MAX);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_and_mapped),
		cmocka_unit_test(test_a_child_is_ours),
		cmocka_unit_test(test_others_are_not),
		cmocka_unit_test(test_in_flight),
	};

	return cmocka_run_group_tests_name("shmem", tests, NULL, NULL);
}
