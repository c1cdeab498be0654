/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash sweep: a client is ended at *every* point at which it can end.
 *
 * A victim runs a short life under ptrace: connect, create, share or open,
 * map, store, unmap, destroy, disconnect. The stepper stops it at the entry
 * and at the exit of each system call and, between two marks, at each machine
 * instruction, so also before and after every store to shared memory. At the
 * n-th stop the victim meets its fate; then n + 1, until a life ends by
 * itself, which is when all points have been hit.
 *
 *	connect --- create --- share --- map |store store store| --- destroy
 *	^ ^  ^ ^    ^   ^      ^  ^      ^ ^  ^^^^^^^^^^^^^^^^^       ^   ^
 *
 * After each fate: what the daemon holds and its descriptors are back where
 * they were, and a canary that worked beside it has noticed nothing.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tenure/tenure.h"
#include "tests/integration/canary.h"
#include "tests/support/daemon_process.h"

enum {
	ALLOCATIONS = 3,
	SIZE = 8192,
	STORES = 6,
	POINTS_MAX = 4000,
	RETURN_MS = 10000,
	/* A system call that nobody else makes: here the stores begin, end. */
	MARK = SYS_getppid,
};

enum fate {
	FATE_KILLED,
	FATE_STOPPED, /* for a while, and then it goes on to its end */
	FATE_FORKED, /* killed, while a child keeps what it inherited */
};

struct life {
	const char *socket;
	const struct tenure_token *token; /* to open; NULL: create and share */
	bool forks;
};

struct sweep {
	struct daemon_process *daemon;
	struct canary *canary;
	struct tenure *producer;
	struct tenure_memory shared;
	struct tenure_token token;
	struct wire_status base;
	unsigned int base_descriptors;
	unsigned int orphans; /* fates that a child survived */
};

/* ---- The victim, which must not touch cmocka ---- */

static void must(int result)
{
	if (result != 0)
		_exit(10);
}

static void store(unsigned char *bytes)
{
	volatile unsigned char *at = bytes;

	syscall(MARK);
	for (int i = 0; i < STORES; i++)
		at[i * (SIZE / STORES)] = (unsigned char)(i + 1);
	syscall(MARK);
}

static void use(struct tenure *t, struct tenure_device device,
		struct tenure_allocation allocation)
{
	void *pointer;
	size_t size;

	must(tenure_map(t, device, allocation,
			TENURE_MAP_READ | TENURE_MAP_WRITE, &pointer, &size));
	store(pointer);
	must(tenure_unmap(t, device, allocation));
}

static void produce(struct tenure *t, struct tenure_device device)
{
	static const size_t sizes[ALLOCATIONS] = { SIZE, SIZE, SIZE };
	struct tenure_allocation allocations[ALLOCATIONS], own;
	struct tenure_resource resource;
	struct tenure_token token;

	must(tenure_resource_create(t, device, TENURE_CREATE_SHARED, sizes,
				    ALLOCATIONS, "life", 4, &resource,
				    allocations));
	must(tenure_resource_share(t, device, resource, TENURE_RIGHT_READ,
				   &token));
	must(tenure_allocation_create(t, device, sizes, 1, &own));
	use(t, device, allocations[1]);
	must(tenure_token_revoke(t, &token));
	must(tenure_resource_destroy(t, device, resource));
	must(tenure_allocation_destroy(t, device, own,
				       TENURE_DESTROY_SYNCHRONOUS));
}

static void consume(struct tenure *t, struct tenure_device device,
		    const struct tenure_token *token)
{
	struct tenure_resource_info info;
	struct tenure_resource resource;
	struct tenure_allocation allocation;

	must(tenure_resource_query(t, token, &info, NULL, 0));
	must(tenure_resource_open(t, device, token, 0, info.count, NULL, 0,
				  &resource, &allocation));
	use(t, device, allocation);
	must(tenure_resource_destroy(t, device, resource));
}

/* A child that holds on to all it inherited until its parent is gone. */
static pid_t hold_on(void)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, 0);
		pause();
		_exit(0);
	}
	return child;
}

__attribute__((noreturn)) static void live(const struct life *life)
{
	struct tenure_adapter adapter;
	struct tenure_device device;
	struct tenure *t;
	pid_t child = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	must((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	raise(SIGSTOP);
	must(tenure_connect(life->socket, 0, &t));
	if (life->forks)
		child = hold_on();
	must(tenure_adapter_open(t, NULL, &adapter));
	must(tenure_device_create(t, adapter, &device));
	if (life->token)
		consume(t, device, life->token);
	else
		produce(t, device);
	must(tenure_device_destroy(t, device));
	must(tenure_adapter_close(t, adapter));
	tenure_disconnect(t);
	if (child > 0)
		kill(child, SIGKILL);
	_exit(0);
}

/* ---- The stepper ---- */

struct stepper {
	pid_t pid;
	unsigned int instructions; /* points that were single steps */
	bool in_call; /* stopped at an entry; the next stop is its exit */
	bool stepping; /* between the two marks */
};

static void start(struct stepper *stepper, const struct life *life)
{
	int status;

	*stepper = (struct stepper){ .pid = fork() };
	assert_true(stepper->pid >= 0);
	if (stepper->pid == 0)
		live(life);
	assert_int_equal(waitpid(stepper->pid, &status, 0), stepper->pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, stepper->pid, NULL,
				PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL),
			 0);
}

static long call_number(const struct stepper *stepper)
{
	struct __ptrace_syscall_info info = { 0 };

	if (ptrace(PTRACE_GET_SYSCALL_INFO, stepper->pid, sizeof(info),
		   &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return -1;
	return (long)info.entry.nr;
}

/* What a stop at a system call means for the way to go on. */
static void note_call(struct stepper *stepper)
{
	stepper->in_call = !stepper->in_call;
	if (stepper->in_call && call_number(stepper) == MARK)
		stepper->stepping = !stepper->stepping;
}

/*
 * On to the next point. False when the victim has ended, *ret_status says
 * how. A single step does not stop at the entry of a call, so a mark that
 * ends the stores is seen by the instruction in front of it.
 */
static bool step(struct stepper *stepper, int *ret_status)
{
	enum __ptrace_request way = PTRACE_SYSCALL;

	if (stepper->stepping && !stepper->in_call) {
		struct user_regs_struct regs;
		long word;

		assert_int_equal(
			ptrace(PTRACE_GETREGS, stepper->pid, NULL, &regs), 0);
		errno = 0;
		word = ptrace(PTRACE_PEEKTEXT, stepper->pid,
			      (void *)(uintptr_t)regs.rip, NULL);
		if (errno == 0 && (word & 0xffff) != 0x050f)
			way = PTRACE_SINGLESTEP;
	}
	stepper->instructions += way == PTRACE_SINGLESTEP;
	assert_int_equal(ptrace(way, stepper->pid, NULL, NULL), 0);
	assert_int_equal(waitpid(stepper->pid, ret_status, 0), stepper->pid);
	if (!WIFSTOPPED(*ret_status))
		return false;
	if (WSTOPSIG(*ret_status) == (SIGTRAP | 0x80))
		note_call(stepper);
	return true;
}

static void finish(pid_t pid, bool must_be_well)
{
	int status;

	if (!must_be_well)
		kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (must_be_well)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- What must hold after each fate ---- */

static bool is_back(const struct sweep *sweep)
{
	const struct wire_status *base = &sweep->base;
	struct wire_status now;

	daemon_status(sweep->daemon, &now);
	return now.clients == base->clients && now.clients_ending == 0 &&
	       now.handles == base->handles && now.tokens == base->tokens &&
	       now.objects == base->objects && now.stores == base->stores &&
	       now.bytes == base->bytes && now.releases_pending == 0 &&
	       daemon_descriptors(sweep->daemon) == sweep->base_descriptors;
}

static void require_back(const struct sweep *sweep, unsigned int point)
{
	for (int ms = 0; ms < RETURN_MS; ms++) {
		if (is_back(sweep))
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	fail_msg("point %u: the daemon did not come back to its base", point);
}

static pid_t only_child_of(pid_t pid)
{
	char path[64], text[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	return (pid_t)atoi(text);
}

static void meet(struct sweep *sweep, struct stepper *stepper, enum fate fate,
		 unsigned int point)
{
	pid_t child = fate == FATE_FORKED ? only_child_of(stepper->pid) : 0;

	if (fate == FATE_STOPPED) {
		canary_sing(sweep->canary, 1);
		assert_int_equal(
			ptrace(PTRACE_DETACH, stepper->pid, NULL, NULL), 0);
		finish(stepper->pid, true);
		require_back(sweep, point);
		return;
	}
	finish(stepper->pid, false);
	/* The child lives, with the connection and the mappings: the daemon
	 * must not be fooled. */
	require_back(sweep, point);
	if (child > 0) {
		kill(child, SIGKILL);
		sweep->orphans++;
	}
	canary_sing(sweep->canary, 1);
}

/* All lives, each ended one point later; the number of points. */
static unsigned int sweep_points(struct sweep *sweep, const struct life *life,
				 enum fate fate)
{
	unsigned int point, at;

	for (point = 1; point < POINTS_MAX; point++) {
		struct stepper stepper;
		int status = 0;

		start(&stepper, life);
		for (at = 0; at < point; at++)
			if (!step(&stepper, &status))
				break;
		if (at < point) {
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 0);
			assert_true(stepper.instructions > STORES);
			require_back(sweep, point);
			return point - 1;
		}
		meet(sweep, &stepper, fate, point);
	}
	fail_msg("a life of more than %d points", POINTS_MAX);
	return 0;
}

/* ---- Tests ---- */

/* What the canary has let go of is given back a little later. */
static void await_base(struct sweep *sweep)
{
	for (int ms = 0; ms < RETURN_MS; ms++) {
		daemon_status(sweep->daemon, &sweep->base);
		if (sweep->base.releases_pending == 0)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	fail_msg("the daemon does not come to rest");
}

static int setup(void **state)
{
	struct sweep *sweep = calloc(1, sizeof(*sweep));

	if (!sweep)
		return -1;
	sweep->daemon = daemon_start(NULL);
	sweep->canary = canary_new(daemon_socket(sweep->daemon));
	canary_sing(sweep->canary, 1);
	must(tenure_connect(daemon_socket(sweep->daemon), 0, &sweep->producer));
	must(tenure_alloc_shared(sweep->producer, SIZE, &sweep->shared));
	must(tenure_share(sweep->producer, &sweep->shared,
			  TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
			  &sweep->token));
	await_base(sweep);
	sweep->base_descriptors = daemon_descriptors(sweep->daemon);
	*state = sweep;
	return 0;
}

static int teardown(void **state)
{
	struct sweep *sweep = *state;

	tenure_disconnect(sweep->producer);
	canary_free(sweep->canary);
	daemon_stop_clean(sweep->daemon);
	free(sweep);
	return 0;
}

static void run(void **state, bool consumer, enum fate fate)
{
	struct sweep *sweep = *state;
	const struct life life = {
		.socket = daemon_socket(sweep->daemon),
		.token = consumer ? &sweep->token : NULL,
		.forks = fate == FATE_FORKED,
	};
	unsigned int points = sweep_points(sweep, &life, fate);

	print_message("%u points\n", points);
	/* Fewer would mean that the stepper has lost its way. */
	assert_true(points > 60);
	assert_true((sweep->orphans > 40) == (fate == FATE_FORKED));
}

static void producer_killed(void **state)
{
	run(state, false, FATE_KILLED);
}

static void producer_stopped(void **state)
{
	run(state, false, FATE_STOPPED);
}

static void producer_killed_while_its_child_lives(void **state)
{
	run(state, false, FATE_FORKED);
}

static void consumer_killed_while_the_producer_lives(void **state)
{
	run(state, true, FATE_KILLED);
}

static void consumer_stopped_while_the_producer_lives(void **state)
{
	run(state, true, FATE_STOPPED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(producer_killed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(producer_stopped, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			producer_killed_while_its_child_lives, setup, teardown),
		cmocka_unit_test_setup_teardown(
			consumer_killed_while_the_producer_lives, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			consumer_stopped_while_the_producer_lives, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
