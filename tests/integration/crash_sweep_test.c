/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash sweep: a client is ended at *every* point at which it can end.
 *
 * A victim has a short life: connect, create, share or open, map, store, unmap,
 * destroy, disconnect. The stepper stops it at the entry and at the exit of
 * each system call and before each store to shared memory. At the n-th point
 * the victim meets its fate; then n + 1, until a life ends by itself, which is
 * when all points have been hit.
 *
 *	connect --- create --- share --- map |store store store| --- destroy
 *	^     ^     ^    ^     ^   ^     ^ ^  ^     ^     ^          ^     ^
 *
 * After each fate: what the daemon holds and its descriptors are back where
 * they were, the daemon's own walk over its state finds nothing wrong, and a
 * canary that worked beside it has noticed nothing. After each sweep all
 * memory is back too.
 */
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
#include "tests/integration/stepper.h"
#include "tests/support/daemon_process.h"

enum {
	ALLOCATIONS = 3,
	/* So large that a leak at each point would be seen in Shmem. */
	SIZE = 4 << 20,
	STORES = 6,
	POINTS_MAX = 4000,
	RETURN_MS = 10000,
};

enum fate {
	FATE_KILLED,
	FATE_STOPPED, /* for a while, and then it goes on to its end */
};

/* When the victim forks a child, which keeps what it inherits. */
enum forks {
	FORKS_NEVER,
	FORKS_CONNECTED,
	FORKS_MAPPED,
};

struct life {
	const char *socket;
	const struct tenure_token *token; /* to open; NULL: create and share */
	enum forks forks;
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
	unsigned int checks;
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

	for (int i = 0; i < STORES; i++)
		at[i * (SIZE / STORES)] = (unsigned char)(i + 1);
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

static void let_go(pid_t child)
{
	if (child <= 0)
		return;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void use(const struct life *life, struct tenure *t,
		struct tenure_device device,
		struct tenure_allocation allocation)
{
	void *pointer;
	size_t size;
	pid_t child = 0;

	must(tenure_map(t, device, allocation,
			TENURE_MAP_READ | TENURE_MAP_WRITE, &pointer, &size));
	/* Memory that was never touched cannot leak. */
	must(madvise(pointer, size, MADV_POPULATE_READ));
	if (life->forks == FORKS_MAPPED)
		child = hold_on();
	store(pointer);
	must(tenure_unmap(t, device, allocation));
	let_go(child);
}

static void produce(const struct life *life, struct tenure *t,
		    struct tenure_device device)
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
	use(life, t, device, allocations[1]);
	must(tenure_token_revoke(t, &token));
	must(tenure_resource_destroy(t, device, resource));
	must(tenure_allocation_destroy(t, device, own,
				       TENURE_DESTROY_SYNCHRONOUS));
}

static void consume(const struct life *life, struct tenure *t,
		    struct tenure_device device)
{
	struct tenure_resource_info info;
	struct tenure_resource resource;
	struct tenure_allocation allocation;

	must(tenure_resource_query(t, life->token, &info, NULL, 0));
	must(tenure_resource_open(t, device, life->token, 0, info.count, NULL,
				  0, &resource, &allocation));
	use(life, t, device, allocation);
	must(tenure_resource_destroy(t, device, resource));
}

static void live(const void *context)
{
	const struct life *life = context;
	struct tenure_adapter adapter;
	struct tenure_device device;
	struct tenure *t;
	pid_t child = 0;

	must(tenure_connect(life->socket, 0, &t));
	if (life->forks == FORKS_CONNECTED)
		child = hold_on();
	must(tenure_adapter_open(t, NULL, &adapter));
	must(tenure_device_create(t, adapter, &device));
	if (life->token)
		consume(life, t, device);
	else
		produce(life, t, device);
	must(tenure_device_destroy(t, device));
	must(tenure_adapter_close(t, adapter));
	tenure_disconnect(t);
	let_go(child);
	_exit(0);
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

static void require_back(struct sweep *sweep, unsigned int point)
{
	for (int ms = 0; ms < RETURN_MS; ms++) {
		if (is_back(sweep)) {
			daemon_check(sweep->daemon);
			sweep->checks++;
			return;
		}
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

static void require_well(int status)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* In the middle of it and as a process that is stopped: nobody waits for it,
 * what it holds makes sense, and afterwards it goes on as if nothing were. */
static void meet_stop(struct sweep *sweep, struct stepper *stepper)
{
	int status;

	canary_sing(sweep->canary, 1);
	daemon_check(sweep->daemon);
	if (stepper_freeze(stepper, &status)) {
		canary_sing(sweep->canary, 1);
		daemon_check(sweep->daemon);
		status = stepper_thaw(stepper);
	}
	require_well(status);
}

/* The child lives on, with the connection and the mappings: the daemon must
 * not be fooled. */
static void meet_death(struct sweep *sweep, struct stepper *stepper,
		       unsigned int point)
{
	pid_t child = only_child_of(stepper->pid);

	stepper_kill(stepper);
	require_back(sweep, point);
	if (child > 0) {
		kill(child, SIGKILL);
		sweep->orphans++;
	}
	canary_sing(sweep->canary, 1);
}

/* Every how many-th point is hit: a sanitizer makes a point a tenth of a
 * second, and then it is a sample. */
static unsigned int stride(void)
{
	const char *text = getenv("TENURE_CRASH_SWEEP_STRIDE");
	long value = text == NULL ? 1 : strtol(text, NULL, 10);

	return value < 1 ? 1 : (unsigned int)value;
}

/* All lives, each ended one stride later; the number of points, and the life
 * that found no more of them. */
static unsigned int sweep_points(struct sweep *sweep, const struct life *life,
				 enum fate fate, struct stepper *ret_last)
{
	unsigned int point, at;

	for (point = 1; point < POINTS_MAX; point += stride()) {
		int status = 0;

		stepper_start(ret_last, live, life);
		for (at = 0; at < point; at++)
			if (!stepper_step(ret_last, &status))
				break;
		if (at < point) {
			require_well(status);
			require_back(sweep, point);
			return at;
		}
		if (fate == FATE_STOPPED)
			meet_stop(sweep, ret_last);
		else
			meet_death(sweep, ret_last, point);
		require_back(sweep, point);
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
	daemon_require_base(sweep->daemon, true);
	daemon_stop_clean(sweep->daemon);
	free(sweep);
	return 0;
}

static void run(void **state, bool consumer, enum fate fate, enum forks forks)
{
	struct sweep *sweep = *state;
	const struct life life = {
		.socket = daemon_socket(sweep->daemon),
		.token = consumer ? &sweep->token : NULL,
		.forks = forks,
	};
	struct stepper last;
	unsigned int points = sweep_points(sweep, &life, fate, &last);

	print_message(
		"each %u. of %u points: %u system calls, %u stores to shared memory; "
		"%u children outlived it\n",
		stride(), points, last.calls, last.stores, sweep->orphans);
	/* Fewer would mean that the stepper has lost its way. */
	assert_true(last.calls > 30);
	assert_true(last.stores >= STORES);
	assert_true(points >= 2 * last.calls - 1 + last.stores);
	assert_true(sweep->checks >= points / stride());
	assert_true((sweep->orphans > 0) == (forks != FORKS_NEVER));
}

static void producer_killed(void **state)
{
	run(state, false, FATE_KILLED, FORKS_NEVER);
}

static void producer_stopped(void **state)
{
	run(state, false, FATE_STOPPED, FORKS_NEVER);
}

static void producer_that_forked_early_killed(void **state)
{
	run(state, false, FATE_KILLED, FORKS_CONNECTED);
}

static void producer_that_forked_with_maps_killed(void **state)
{
	run(state, false, FATE_KILLED, FORKS_MAPPED);
}

static void consumer_killed(void **state)
{
	run(state, true, FATE_KILLED, FORKS_NEVER);
}

static void consumer_stopped(void **state)
{
	run(state, true, FATE_STOPPED, FORKS_NEVER);
}

static void consumer_that_forked_early_killed(void **state)
{
	run(state, true, FATE_KILLED, FORKS_CONNECTED);
}

static void consumer_that_forked_with_maps_killed(void **state)
{
	run(state, true, FATE_KILLED, FORKS_MAPPED);
}

#define SWEEP(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SWEEP(producer_killed),
		SWEEP(producer_stopped),
		SWEEP(producer_that_forked_early_killed),
		SWEEP(producer_that_forked_with_maps_killed),
		/* All of these while the producer lives. */
		SWEEP(consumer_killed),
		SWEEP(consumer_stopped),
		SWEEP(consumer_that_forked_early_killed),
		SWEEP(consumer_that_forked_with_maps_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
