/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory between processes: the same bytes on both sides, and what the kernel
 * itself refuses to a client that wants more than it was given.
 *
 * The parts about another user need root, to become nobody.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tenure/tenure.h"
#include "tests/support/daemon_process.h"
#include "tests/support/raw.h"

enum { NOBODY = 65534, BYTES = 3 << 20 };

struct stage {
	struct daemon_process *daemon;
	struct tenure *t;
	struct tenure_memory memory;
};

static int setup(void **state)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	assert_non_null(stage);
	stage->daemon = daemon_start(NULL);
	assert_int_equal(
		tenure_connect(daemon_socket(stage->daemon), 0, &stage->t), 0);
	assert_int_equal(tenure_alloc_shared(stage->t, BYTES, &stage->memory),
			 0);
	memset(stage->memory.pointer, 0x11, BYTES);
	*state = stage;
	return 0;
}

static int teardown(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(tenure_free(stage->t, &stage->memory), 0);
	tenure_disconnect(stage->t);
	daemon_stop_clean(stage->daemon);
	free(stage);
	return 0;
}

/* Runs in a process of its own, perhaps as another user; 0 is success. */
static int in_child(int (*body)(const struct stage *, void *),
		    const struct stage *stage, void *argument, uid_t uid)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (uid && (setgid(uid) || setuid(uid)))
			_exit(99);
		_exit(body(stage, argument));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static int write_from_child(const struct stage *stage, void *argument)
{
	struct tenure_memory memory;
	unsigned char *bytes;
	struct tenure *t;

	if (tenure_connect(daemon_socket(stage->daemon), 0, &t) ||
	    tenure_open_shared(t, argument, &memory))
		return 1;
	bytes = memory.pointer;
	if (memory.size != BYTES || bytes[0] != 0x11 ||
	    bytes[BYTES - 1] != 0x11)
		return 2;
	memset(bytes, 0x22, BYTES);
	tenure_disconnect(t);
	return 0;
}

static void the_same_bytes_in_two_processes(void **state)
{
	struct stage *stage = *state;
	const unsigned char *bytes = stage->memory.pointer;
	struct tenure_token token;

	assert_int_equal(tenure_share(stage->t, &stage->memory,
				      TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
				      &token),
			 0);
	assert_int_equal(in_child(write_from_child, stage, &token, 0), 0);
	assert_int_equal(bytes[0], 0x22);
	assert_int_equal(bytes[BYTES - 1], 0x22);
	if (geteuid() == 0)
		assert_int_equal(in_child(write_from_child, stage, &token,
					  NOBODY),
				 2); /* it saw 0x22 where it expects 0x11 */
}

/* ---- Descriptors, taken by a raw client ---- */

/* Opens the token read-only or not; returns the store's descriptor. */
static int take_descriptor(const struct stage *stage,
			   const struct tenure_token *token, uint32_t rights,
			   int *ret_connection)
{
	struct wire_request head = { .opcode = WIRE_OP_ADAPTER_OPEN };
	int fd = raw_client(daemon_socket(stage->daemon));
	struct raw_reply reply;
	uint64_t device, allocation;

	if (fd < 0)
		return fd;
	memcpy(head.value, "system", 6);
	if (raw_call(fd, &head, NULL, 0, &reply))
		return -1;
	head = (struct wire_request){ .opcode = WIRE_OP_DEVICE_CREATE,
				      .object = reply.head.value[0] };
	if (raw_call(fd, &head, NULL, 0, &reply))
		return -2;
	device = reply.head.value[0];
	head = (struct wire_request){ .opcode = WIRE_OP_OPEN,
				      .flags = rights,
				      .device = device,
				      .count = 1 };
	memcpy(head.value, token->bytes, sizeof(head.value));
	if (raw_call(fd, &head, NULL, 0, &reply))
		return -3;
	memcpy(&allocation, reply.data, sizeof(allocation));
	head = (struct wire_request){ .opcode = WIRE_OP_MAP,
				      .flags = WIRE_MAP_WANT_FD,
				      .device = device,
				      .object = allocation };
	if (raw_call(fd, &head, NULL, 0, &reply))
		return -4;
	*ret_connection = fd;
	return reply.fd;
}

static int reopen(int fd, int flags)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	if (again < 0)
		return -errno;
	close(again);
	return 0;
}

/* What a reader of another user tries with what it was given. */
static int read_only_as_another_user(const struct stage *stage, void *argument)
{
	int connection, fd;
	const unsigned char *bytes;

	fd = take_descriptor(stage, argument, TENURE_RIGHT_READ, &connection);
	if (fd < 0)
		return 1;
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
		return 2;
	bytes = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED || bytes[BYTES - 1] != 0x11)
		return 3;
	if (mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) !=
		    MAP_FAILED ||
	    errno != EACCES)
		return 4;
	if (reopen(fd, O_RDWR) != -EACCES || reopen(fd, O_WRONLY) != -EACCES)
		return 5;
	if (fchmod(fd, 0777) == 0 || fchown(fd, NOBODY, NOBODY) == 0)
		return 6;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      4096) == 0)
		return 7;
	if (mprotect((void *)(uintptr_t)bytes, BYTES, PROT_READ | PROT_WRITE) ==
	    0)
		return 8;
	return 0;
}

static void read_only_holds_against_another_user(void **state)
{
	struct stage *stage = *state;
	struct tenure_token token;

	if (geteuid() != 0)
		skip();
	assert_int_equal(tenure_share(stage->t, &stage->memory,
				      TENURE_RIGHT_READ, &token),
			 0);
	assert_int_equal(
		in_child(read_only_as_another_user, stage, &token, NOBODY), 0);
	assert_int_equal(*(unsigned char *)stage->memory.pointer, 0x11);
}

/* A token with the right to write, opened for reading only. */
static void less_than_the_token_gives(void **state)
{
	struct stage *stage = *state;
	struct tenure_token token;

	if (geteuid() != 0)
		skip();
	assert_int_equal(tenure_share(stage->t, &stage->memory,
				      TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
				      &token),
			 0);
	assert_int_equal(
		in_child(read_only_as_another_user, stage, &token, NOBODY), 0);
}

/* The size of a store is fixed for everybody who holds it. */
static int seals(const struct stage *stage, void *argument)
{
	const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int connection, fd;

	fd = take_descriptor(stage, argument,
			     TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
			     &connection);
	if (fd < 0)
		return 1;
	if ((fcntl(fd, F_GET_SEALS) & wanted) != wanted)
		return 2;
	if (ftruncate(fd, 0) == 0 || errno != EPERM)
		return 3;
	if (ftruncate(fd, 1 << 30) == 0 || errno != EPERM)
		return 4;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 || errno != EPERM)
		return 5;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0 || errno != EPERM)
		return 6;
	return 0;
}

static void seals_are_in_force(void **state)
{
	struct stage *stage = *state;
	struct tenure_token token;

	assert_int_equal(tenure_share(stage->t, &stage->memory,
				      TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
				      &token),
			 0);
	assert_int_equal(in_child(seals, stage, &token, 0), 0);
	if (geteuid() == 0)
		assert_int_equal(in_child(seals, stage, &token, NOBODY), 0);
}

/* A mapping may outlive the handle; the daemon's account does not wait. */
static void mapping_kept_after_the_destroy(void **state)
{
	struct stage *stage = *state;
	struct tenure_token token;
	struct tenure_stat before, after;
	unsigned char *bytes;
	int connection, fd;

	assert_int_equal(tenure_stat(stage->t, &before), 0);
	assert_int_equal(tenure_share(stage->t, &stage->memory,
				      TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
				      &token),
			 0);
	fd = take_descriptor(stage, &token,
			     TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
			     &connection);
	assert_true(fd >= 0);
	bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	close(fd);
	close(connection); /* its opening is gone, its mapping is not */
	bytes[5] = 0x33;
	assert_int_equal(((unsigned char *)stage->memory.pointer)[5], 0x33);
	assert_int_equal(tenure_token_revoke(stage->t, &token), 0);
	assert_int_equal(tenure_stat(stage->t, &after), 0);
	assert_int_equal(after.bytes, before.bytes);
	munmap(bytes, BYTES);
}

/* The connection belongs to the user that made it. */
static int status_as_another_user(const struct stage *stage, void *argument)
{
	struct wire_request head = { .opcode = WIRE_OP_STATUS };
	int fd = raw_client(daemon_socket(stage->daemon));
	struct raw_reply reply;

	(void)argument;
	if (fd < 0)
		return 1;
	if (raw_call(fd, &head, NULL, 0, &reply) != -EACCES ||
	    reply.head.reason != TENURE_REASON_NOT_PERMITTED)
		return 2;
	head.opcode = WIRE_OP_PING;
	return raw_call(fd, &head, NULL, 0, NULL) ? 3 : 0;
}

static void status_is_for_the_privileged(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(status_as_another_user, *state, NULL, NOBODY),
			 0);
}

#define sharing_test(function) \
	cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sharing_test(the_same_bytes_in_two_processes),
		sharing_test(read_only_holds_against_another_user),
		sharing_test(less_than_the_token_gives),
		sharing_test(seals_are_in_force),
		sharing_test(mapping_kept_after_the_destroy),
		sharing_test(status_is_for_the_privileged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
