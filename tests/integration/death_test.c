/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How clients end: killed at any moment, in the middle of anything, by the
 * dozen, with children that keep their sockets; and how the daemon ends while
 * clients live.
 *
 * A client here is a process of its own, forked before it connects. It must
 * not touch cmocka: it reports by its exit code.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tenure/tenure.h"
#include "tests/integration/canary.h"
#include "tests/support/daemon_process.h"
#include "tests/support/random.h"
#include "tests/support/raw.h"

enum { CLIENTS = 12, FRAME_BYTES = 1 << 20 };

static int setup(void **state)
{
	*state = daemon_start(NULL);
	return 0;
}

static int teardown(void **state)
{
	daemon_stop_clean(*state);
	return 0;
}

static void sleep_us(unsigned int us)
{
	nanosleep(&(struct timespec){ .tv_nsec = us * 1000L }, NULL);
}

/* ---- Clients that work until they die ---- */

struct board {
	struct tenure_token tokens[CLIENTS]; /* what each one shares */
	bool ready[CLIENTS];
};

static int work_once(struct tenure *t, struct board *board, unsigned int self,
		     struct random *random)
{
	struct tenure_memory mine, theirs;
	unsigned int other = random_below(random, CLIENTS);

	if (tenure_alloc_shared(t, FRAME_BYTES, &mine) ||
	    tenure_share(t, &mine, TENURE_RIGHT_READ, &board->tokens[self]))
		return -1;
	memset(mine.pointer, (int)self + 1, mine.size);
	__atomic_store_n(&board->ready[self], true, __ATOMIC_RELEASE);
	/* The other one may be dead: then there is nothing to open. */
	if (__atomic_load_n(&board->ready[other], __ATOMIC_ACQUIRE) &&
	    tenure_open_shared(t, &board->tokens[other], &theirs) == 0) {
		volatile unsigned char *bytes = theirs.pointer;

		(void)bytes[FRAME_BYTES / 2];
		tenure_free(t, &theirs);
	}
	__atomic_store_n(&board->ready[self], false, __ATOMIC_RELEASE);
	if (random_chance(random, 50) &&
	    tenure_token_revoke(t, &board->tokens[self]))
		return -1;
	return tenure_free(t, &mine);
}

__attribute__((noreturn)) static void client_main(const char *socket,
						  struct board *board,
						  unsigned int self,
						  uint64_t seed)
{
	struct random random = { seed };
	struct tenure *t;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (tenure_connect(socket, 0, &t))
		_exit(10);
	for (;;)
		if (work_once(t, board, self, &random))
			_exit(11);
}

static pid_t start_client(const char *socket, struct board *board,
			  unsigned int self, uint64_t seed)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		client_main(socket, board, self, seed);
	return pid;
}

static void kill_client(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* Not one that gave up before: its calls must have worked. */
	assert_true(WIFSIGNALED(status));
}

static void killed_at_random(void **state)
{
	struct daemon_process *daemon = *state;
	struct canary *canary = canary_new(daemon_socket(daemon));
	const char *rounds_text = getenv("TENURE_TEST_ROUNDS");
	unsigned int rounds = rounds_text ? (unsigned int)atoi(rounds_text) :
					    150;
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct random random = { 9 };
	pid_t pids[CLIENTS];
	unsigned int i;

	print_message("seed 9, %u kills\n", rounds);
	for (i = 0; i < CLIENTS; i++)
		pids[i] = start_client(daemon_socket(daemon), board, i, i);
	for (i = 0; i < rounds; i++) {
		unsigned int victim = random_below(&random, CLIENTS);

		sleep_us(random_below(&random, 8000));
		kill_client(pids[victim]);
		__atomic_store_n(&board->ready[victim], false,
				 __ATOMIC_RELEASE);
		pids[victim] = start_client(daemon_socket(daemon), board,
					    victim, 100 + i);
		if (i % 10 == 0)
			canary_sing(canary, 1);
	}
	for (i = 0; i < CLIENTS; i++)
		kill_client(pids[i]);
	munmap(board, sizeof(*board));
	canary_free(canary);
	daemon_require_base(daemon, true);
}

/* ---- One client that dies holding much ---- */

/* Holds count MiB, touched, half of it shared; says so and waits. */
__attribute__((noreturn)) static void
hold(const char *socket, unsigned int count, int ready, bool fork_a_child)
{
	struct tenure_memory memory[64];
	struct tenure_token token;
	struct tenure *t;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (tenure_connect(socket, 0, &t))
		_exit(10);
	for (i = 0; i < count; i++) {
		int r = i & 1 ? tenure_alloc(t, 1 << 20, &memory[i]) :
				tenure_alloc_shared(t, 1 << 20, &memory[i]);

		if (r || (!(i & 1) && tenure_share(t, &memory[i],
						   TENURE_RIGHT_READ, &token)))
			_exit(11);
		memset(memory[i].pointer, 1, memory[i].size);
	}
	if (fork_a_child && fork() == 0) {
		/* It inherits the socket and outlives its parent, and ends
		 * when the test closes its end of the pipe. */
		struct pollfd wait = { .fd = ready, .events = 0 };

		poll(&wait, 1, 20000);
		_exit(0);
	}
	if (write(ready, "r", 1) != 1)
		_exit(12);
	for (;;)
		pause();
}

static pid_t start_holder(const char *socket, unsigned int count,
			  bool fork_a_child, int *ret_ready)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(ready[0]);
		hold(socket, count, ready[1], fork_a_child);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	*ret_ready = ready[0];
	return pid;
}

static void killed_while_holding(void **state)
{
	struct daemon_process *daemon = *state;
	struct wire_status status;
	unsigned int round;

	for (round = 0; round < 4; round++) {
		int ready;
		pid_t pid =
			start_holder(daemon_socket(daemon), 64, false, &ready);

		daemon_status(daemon, &status);
		assert_int_equal(status.allocations, 64);
		assert_int_equal(status.tokens, 32);
		kill_client(pid);
		close(ready);
		daemon_require_base(daemon, true);
	}
	assert_true(daemon_logged(daemon, "everything reclaimed"));
}

/*
 * A forked child keeps the socket open: the kernel says that the parent has
 * died only through its pidfd. What the child still maps is its own affair.
 */
static void parent_dies_child_keeps_the_socket(void **state)
{
	struct daemon_process *daemon = *state;
	int ready;
	pid_t pid = start_holder(daemon_socket(daemon), 16, true, &ready);

	kill_client(pid);
	daemon_require_base(daemon, false);
	close(ready); /* the child ends */
	daemon_require_base(daemon, true);
}

/* In the child every call says whose connection this is, and does nothing. */
static void forked_child_is_refused(void **state)
{
	struct daemon_process *daemon = *state;
	struct tenure_memory memory;
	struct tenure_stat stat;
	struct tenure *t;
	int status;
	pid_t pid;

	assert_int_equal(tenure_connect(daemon_socket(daemon), 0, &t), 0);
	assert_int_equal(tenure_alloc(t, 4096, &memory), 0);
	*(char *)memory.pointer = 42;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct tenure_refusal refusal;
		struct tenure_memory other;

		if (tenure_stat(t, &stat) != -EOWNERDEAD ||
		    tenure_alloc(t, 4096, &other) != -EOWNERDEAD)
			_exit(1);
		tenure_last_refusal(&refusal);
		if (refusal.reason != TENURE_REASON_FORKED ||
		    *(volatile char *)memory.pointer != 42)
			_exit(2);
		tenure_disconnect(t);
		if (tenure_connect(daemon_socket(daemon), 0, &t) ||
		    tenure_alloc(t, 4096, &other))
			_exit(3);
		tenure_disconnect(t);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(tenure_stat(t, &stat), 0);
	assert_int_equal(stat.allocations, 1);
	assert_int_equal(tenure_free(t, &memory), 0);
	tenure_disconnect(t);
}

/* ---- Many at once ---- */

static void many_clients(void **state)
{
	struct daemon_process *daemon = *state;
	enum { MANY = 100 };
	struct tenure *t[MANY];
	struct tenure_memory memory[MANY];
	struct wire_status status;
	unsigned int i;

	for (i = 0; i < MANY; i++) {
		assert_int_equal(
			tenure_connect(daemon_socket(daemon), 0, &t[i]), 0);
		assert_int_equal(tenure_alloc(t[i], 4096 * (i + 1), &memory[i]),
				 0);
		memset(memory[i].pointer, (int)i, memory[i].size);
	}
	daemon_status(daemon, &status);
	assert_int_equal(status.clients, MANY + 1);
	assert_int_equal(status.allocations, MANY);
	for (i = 0; i < MANY; i++) {
		const unsigned char *bytes = memory[i].pointer;

		assert_int_equal(bytes[0], i);
		assert_int_equal(bytes[memory[i].size - 1], i);
		if (i % 2)
			assert_int_equal(tenure_free(t[i], &memory[i]), 0);
		tenure_disconnect(t[i]);
	}
}

static void all_killed_at_once(void **state)
{
	struct daemon_process *daemon = *state;
	enum { MANY = 40 };
	pid_t pids[MANY];
	int ready[MANY];
	unsigned int i;

	for (i = 0; i < MANY; i++)
		pids[i] = start_holder(daemon_socket(daemon), 2, false,
				       &ready[i]);
	for (i = 0; i < MANY; i++)
		kill(pids[i], SIGKILL);
	daemon_require_base(daemon, true);
	for (i = 0; i < MANY; i++) {
		kill_client(pids[i]);
		close(ready[i]);
	}
}

/* ---- The daemon ends first ---- */

static void sigterm_with_live_clients(void **state)
{
	struct daemon_process *daemon = daemon_start(NULL);
	struct tenure *t[4];
	struct tenure_memory memory[4];
	struct tenure_stat stat;
	unsigned char byte;
	unsigned int i;
	int ready;
	pid_t pid;

	(void)state;
	for (i = 0; i < 4; i++) {
		assert_int_equal(
			tenure_connect(daemon_socket(daemon), 0, &t[i]), 0);
		assert_int_equal(tenure_alloc_shared(t[i], 1 << 20, &memory[i]),
				 0);
		memset(memory[i].pointer, 7, memory[i].size);
	}
	pid = start_holder(daemon_socket(daemon), 32, false, &ready);
	daemon_stop(daemon); /* requires exit 0, and soon */
	for (i = 0; i < 4; i++) {
		/* Told, not hung. The memory was given back with the rest,
		 * but what is mapped stays mapped and does not fault. */
		assert_true(tenure_stat(t[i], &stat) < 0);
		byte = *(volatile unsigned char *)memory[i].pointer;
		assert_true(byte == 7 || byte == 0);
		assert_true(tenure_free(t[i], &memory[i]) < 0);
		tenure_disconnect(t[i]);
	}
	kill_client(pid);
	close(ready);
}

#define death_test(function) \
	cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		death_test(killed_at_random),
		death_test(killed_while_holding),
		death_test(parent_dies_child_keeps_the_socket),
		death_test(forked_child_is_refused),
		death_test(many_clients),
		death_test(all_killed_at_once),
		cmocka_unit_test(sigterm_with_live_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
