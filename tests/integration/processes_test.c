/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes with the library, and what each does to the other: the rows
 * A80 to A84, B03 and H45 where both sides are real.
 *
 * The other process is a child with a connection of its own. Both share one
 * page: the parent begins a round, both act at once, and the child says how it
 * went. A child asserts nothing: its results are judged by the parent.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "tenure/tenure.h"
#include "tests/support/daemon_process.h"
#include "tests/support/rows.h"

enum {
	ROUNDS = 200,
	GROUP = 4,
	BYTES = 3 * 4096,
	FAILURES = 3,
	OVER = 1 << 30
};

/* What a child says when something happened that never may. */
enum { WRONG = 1000 };

struct page {
	atomic_uint begun, ended; /* rounds; OVER is the end of them */
	atomic_int result;
	uint64_t values[GROUP];
	struct tenure_token token;
};

struct side {
	struct tenure *t;
	struct tenure_adapter adapter;
	struct tenure_device device;
	struct page *page;
};

struct stage {
	struct daemon_process *daemon;
	struct side side;
	pid_t child;
};

static int join(struct side *s, const struct daemon_process *daemon)
{
	int status = tenure_connect(daemon_socket(daemon), 0, &s->t);

	if (status == 0)
		status = tenure_adapter_open(s->t, NULL, &s->adapter);
	if (status == 0)
		status = tenure_device_create(s->t, s->adapter, &s->device);
	return status;
}

static unsigned int await(atomic_uint *counter, unsigned int least)
{
	unsigned int now;

	while ((now = atomic_load(counter)) < least)
		sched_yield();
	return now;
}

/* ---- Rounds ---- */

typedef int act_in_child(struct side *side);

/* Acts once in each round, and once more when it is over. */
static void live(struct side *s, const struct daemon_process *daemon,
		 act_in_child *act)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (join(s, daemon) != 0)
		_exit(1);
	for (unsigned int round = 1;; round++) {
		if (await(&s->page->begun, round) >= OVER)
			break;
		atomic_store(&s->page->result, act(s));
		atomic_store(&s->page->ended, round);
	}
	tenure_disconnect(s->t);
	_exit(0);
}

static struct stage *begin(act_in_child *act)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct page *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_non_null(stage);
	assert_ptr_not_equal(page, MAP_FAILED);
	stage->daemon = daemon_start(NULL);
	stage->child = fork();
	assert_true(stage->child >= 0);
	stage->side.page = page;
	if (stage->child == 0)
		live(&stage->side, stage->daemon, act);
	assert_int_equal(join(&stage->side, stage->daemon), 0);
	return stage;
}

static void end(struct stage *stage)
{
	int status;

	atomic_store(&stage->side.page->begun, OVER);
	assert_int_equal(waitpid(stage->child, &status, 0), stage->child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	tenure_disconnect(stage->side.t);
	daemon_stop_clean(stage->daemon);
	munmap(stage->side.page, sizeof(*stage->side.page));
	free(stage);
}

static void begin_round(struct side *s)
{
	atomic_fetch_add(&s->page->begun, 1);
}

/* What the child says of it. */
static int end_round(struct side *s)
{
	await(&s->page->ended, atomic_load(&s->page->begun));
	return atomic_load(&s->page->result);
}

/* ---- Things ---- */

static struct tenure_resource make_shared(struct side *s, unsigned char pattern)
{
	static const size_t sizes[2] = { BYTES, BYTES };
	struct tenure_allocation list[2];
	struct tenure_resource resource;
	void *bytes;
	size_t size;

	assert_int_equal(tenure_resource_create(s->t, s->device,
						TENURE_CREATE_SHARED, sizes, 2,
						NULL, 0, &resource, list),
			 0);
	assert_int_equal(tenure_map(s->t, s->device, list[0],
				    TENURE_MAP_READ | TENURE_MAP_WRITE, &bytes,
				    &size),
			 0);
	memset(bytes, pattern, size);
	assert_int_equal(tenure_resource_share(s->t, s->device, resource,
					       TENURE_RIGHT_READ,
					       &s->page->token),
			 0);
	s->page->values[0] = pattern;
	return resource;
}

/* Opens what the page's token names and reads it: 0 when all of it is there,
 * the refusal when nothing is. */
static int open_and_read(struct side *s, struct tenure_resource *ret_resource,
			 const unsigned char **ret_bytes)
{
	struct tenure_allocation list[2];
	void *bytes;
	size_t size;
	int status = tenure_resource_open(s->t, s->device, &s->page->token, 0,
					  2, NULL, 0, ret_resource, list);

	if (status != 0)
		return status;
	if (tenure_map(s->t, s->device, list[0], TENURE_MAP_READ, &bytes,
		       &size) != 0 ||
	    size != BYTES)
		return WRONG;
	*ret_bytes = bytes;
	return (*ret_bytes)[0] == s->page->values[0] &&
			       (*ret_bytes)[BYTES - 1] == s->page->values[0] ?
		       0 :
		       WRONG + 1;
}

static uint64_t bytes_held(struct stage *stage)
{
	struct wire_status status;

	daemon_status(stage->daemon, &status);
	return status.bytes;
}

/* ---- A80, A81: a handle is good in one process ---- */

/* Destroys what it was told, and what will be in the same slots next. */
static int destroy_foreign(struct side *s)
{
	for (int i = 0; i < GROUP; i++)
		for (uint64_t flip = 0; flip < 4; flip++) {
			struct tenure_allocation a = { s->page->values[i] ^
						       flip << 32 };

			if (tenure_allocation_destroy(s->t, s->device, a, 0) !=
			    -EINVAL)
				return WRONG;
		}
	return 0;
}

static void a80_a81_handles_of_another_process(void **state)
{
	static const size_t sizes[GROUP] = { 4096, 4096, 4096, 4096 };
	struct stage *stage = begin(destroy_foreign);
	struct side *s = &stage->side;
	struct tenure_allocation list[GROUP], next[GROUP];

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		assert_int_equal(tenure_allocation_create(s->t, s->device,
							  sizes, GROUP, list),
				 0);
		memcpy(s->page->values, list, sizeof(list));
		begin_round(s);
		for (int i = 0; i < GROUP; i++) {
			assert_int_equal(tenure_allocation_destroy(
						 s->t, s->device, list[i], 0),
					 0);
			assert_int_equal(tenure_allocation_destroy(
						 s->t, s->device, list[i], 0),
					 -EINVAL);
		}
		assert_int_equal(tenure_allocation_create(s->t, s->device,
							  sizes, GROUP, next),
				 0);
		assert_int_equal(end_round(s), 0);
		for (int i = 0; i < GROUP; i++)
			assert_int_equal(tenure_allocation_destroy(
						 s->t, s->device, next[i], 0),
					 0);
	}
	end(stage);
}

/* ---- A82: a destroy, the end of the device, and a reader elsewhere ---- */

/* Reads until the other side has gone, and then once more. */
static int read_meanwhile(struct side *s)
{
	const unsigned char *bytes = NULL;
	struct tenure_resource resource;
	int status = open_and_read(s, &resource, &bytes);

	if (status != 0)
		return status;
	s->page->values[1]++; /* it is open */
	for (int i = 0; i < 200; i++)
		if (bytes[i * 61 % BYTES] != s->page->values[0])
			return WRONG + 2;
	return tenure_resource_destroy(s->t, s->device, resource);
}

struct ending {
	struct side *side;
	struct tenure_device device;
	struct tenure_resource resource;
	int status;
};

static void *destroy_in_thread(void *argument)
{
	struct ending *e = argument;

	e->status = tenure_resource_destroy(e->side->t, e->device, e->resource);
	return NULL;
}

static void a82_device_destroy_beside_a_reader(void **state)
{
	struct stage *stage = begin(read_meanwhile);
	struct side *s = &stage->side;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct ending e = { .side = s };
		pthread_t thread;
		int result;

		e.resource = make_shared(s, (unsigned char)(round + 1));
		e.device = s->device;
		assert_int_equal(pthread_create(&thread, NULL,
						destroy_in_thread, &e),
				 0);
		begin_round(s);
		assert_int_equal(tenure_device_destroy(s->t, s->device), 0);
		pthread_join(thread, NULL);
		assert_true(e.status == 0 || e.status == -ENODEV ||
			    e.status == -EINVAL);
		/* The token is the client's: the memory can still be opened. */
		result = end_round(s);
		assert_int_equal(result, 0);
		assert_int_equal(s->page->values[1], round + 1);
		assert_int_equal(tenure_token_revoke(s->t, &s->page->token), 0);
		assert_int_equal(
			tenure_device_create(s->t, s->adapter, &s->device), 0);
	}
	end(stage);
}

/* ---- A83, A84: destroys racing an open, and releases that fail ---- */

static int open_or_fail(struct side *s)
{
	const unsigned char *bytes = NULL;
	struct tenure_resource resource;
	int status = open_and_read(s, &resource, &bytes);

	return status != 0 ? status :
			     tenure_resource_destroy(s->t, s->device, resource);
}

/* How often the open came in time. */
static int race_opens(struct stage *stage)
{
	struct side *s = &stage->side;
	int opened = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct tenure_resource r =
			make_shared(s, (unsigned char)(round + 1));
		bool revoke_first = round % 2;
		int result;

		begin_round(s);
		for (int i = 0; i < round % 7; i++)
			sched_yield();
		if (revoke_first)
			assert_int_equal(
				tenure_token_revoke(s->t, &s->page->token), 0);
		assert_int_equal(tenure_resource_destroy(s->t, s->device, r),
				 0);
		if (!revoke_first)
			assert_int_equal(
				tenure_token_revoke(s->t, &s->page->token), 0);
		result = end_round(s);
		assert_true(result == 0 || result == -EINVAL);
		opened += result == 0;
	}
	return opened;
}

static void a83_destroy_racing_open(void **state)
{
	struct stage *stage = begin(open_or_fail);
	int opened = race_opens(stage);

	(void)state;
	print_message("%d of %d opens came in time\n", opened, ROUNDS);
	end(stage);
}

static void a84_releases_fail_meanwhile(void **state)
{
	struct wire_status status;
	struct stage *stage;

	(void)state;
	assert_int_equal(setenv("TENURE_TEST_RELEASES_FAIL", "3", 1), 0);
	stage = begin(open_or_fail);
	assert_int_equal(unsetenv("TENURE_TEST_RELEASES_FAIL"), 0);
	race_opens(stage);
	/* Each is tried again a little later. */
	do
		daemon_status(stage->daemon, &status);
	while (status.release_failures_total < FAILURES);
	assert_int_equal(status.release_failures_total, FAILURES);
	end(stage);
}

/* ---- H45 ---- */

/* Says that all is done, of a fence that is not its own. */
static int signal_to_the_end(struct side *s)
{
	struct tenure_fence fence;
	int status =
		tenure_fence_open(s->t, s->device, &s->page->token, 0, &fence);

	if (status == 0)
		status =
			tenure_fence_signal(s->t, s->device, fence, UINT64_MAX);
	if (status == 0)
		status = tenure_fence_destroy(s->t, s->device, fence);
	return status;
}

static void h45_a_fence_of_another_process_drives_no_reclaim(void **state)
{
	static const size_t size = BYTES;
	struct stage *stage = begin(signal_to_the_end);
	struct side *s = &stage->side;
	struct tenure_allocation a;
	struct tenure_context context;
	struct tenure_fence fence;
	uint64_t value;

	(void)state;
	assert_int_equal(tenure_fence_create(s->t, s->device, 0, &fence), 0);
	assert_int_equal(tenure_fence_share(s->t, s->device, fence,
					    TENURE_RIGHT_READ |
						    TENURE_RIGHT_WRITE,
					    &s->page->token),
			 0);
	assert_int_equal(
		tenure_allocation_create(s->t, s->device, &size, 1, &a), 0);
	assert_int_equal(tenure_context_create(s->t, s->device, &context), 0);
	assert_int_equal(tenure_context_use(s->t, context, &a, 1), 0);
	assert_int_equal(tenure_context_submit(s->t, context, 5), 0);
	assert_int_equal(tenure_allocation_destroy(s->t, s->device, a, 0), 0);
	begin_round(s);
	assert_int_equal(end_round(s), 0);
	assert_int_equal(tenure_fence_value(s->t, s->device, fence, &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(tenure_fence_destroy(s->t, s->device, fence), 0);
	assert_int_equal(bytes_held(stage), BYTES);
	assert_int_equal(tenure_context_progress(s->t, context, 5), 0);
	assert_int_equal(tenure_context_destroy(s->t, context, 0), 0);
	while (bytes_held(stage) > 0)
		sched_yield();
	end(stage);
}

/* ---- B03: one call for a group, of each layer ---- */

static unsigned int requests; /* of this process */

int __real_connection_call_locked(struct tenure *connection, struct call *call);
int __wrap_connection_call_locked(struct tenure *connection, struct call *call);

int __wrap_connection_call_locked(struct tenure *connection, struct call *call)
{
	requests++;
	return __real_connection_call_locked(connection, call);
}

/* What the daemon writes, as daemon/main_testing.c says. */
struct calls {
	_Atomic uint64_t creates, destroys;
};

/* Makes the daemons to come count there. */
static struct calls *count_calls(void)
{
	char path[] = "/tmp/tenure-calls-XXXXXX";
	int fd = mkstemp(path);
	struct calls *calls;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(*calls)), 0);
	calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, 0);
	assert_ptr_not_equal(calls, MAP_FAILED);
	close(fd);
	assert_int_equal(setenv("TENURE_TEST_CALLS", path, 1), 0);
	return calls;
}

static void count_no_more(struct calls *calls)
{
	assert_int_equal(unlink(getenv("TENURE_TEST_CALLS")), 0);
	assert_int_equal(unsetenv("TENURE_TEST_CALLS"), 0);
	munmap(calls, sizeof(*calls));
}

static void expect_calls(const struct calls *calls, uint64_t creates,
			 uint64_t destroys)
{
	assert_int_equal(atomic_load(&calls->creates), creates);
	assert_int_equal(atomic_load(&calls->destroys), destroys);
}

/* Opens the group in one round and destroys what it opened in the next. */
static int open_then_destroy(struct side *s)
{
	static struct tenure_resource resource;
	struct tenure_allocation list[GROUP];
	int status;

	requests = 0;
	if (atomic_load(&s->page->begun) == 1)
		status = tenure_resource_open(s->t, s->device, &s->page->token,
					      0, GROUP, NULL, 0, &resource,
					      list);
	else
		status = tenure_resource_destroy(s->t, s->device, resource);
	return status == 0 && requests != 1 ? WRONG : status;
}

static struct tenure_resource make_group(struct side *s)
{
	static const size_t sizes[GROUP] = { BYTES, BYTES, BYTES, BYTES };
	struct tenure_allocation list[GROUP];
	struct tenure_resource resource;

	assert_int_equal(
		tenure_resource_create(s->t, s->device, TENURE_CREATE_SHARED,
				       sizes, GROUP, NULL, 0, &resource, list),
		0);
	return resource;
}

static void await_bytes(struct stage *stage, uint64_t bytes)
{
	while (bytes_held(stage) != bytes)
		sched_yield();
}

/* A group that both processes hold is made once and given back once. */
static void share_a_group(struct stage *stage, const struct calls *calls)
{
	struct side *s = &stage->side;
	struct tenure_resource resource;

	requests = 0;
	resource = make_group(s);
	assert_int_equal(requests, 1);
	assert_int_equal(tenure_resource_share(s->t, s->device, resource,
					       TENURE_RIGHT_READ,
					       &s->page->token),
			 0);
	begin_round(s);
	assert_int_equal(end_round(s), 0);
	expect_calls(calls, 1, 0);
	requests = 0;
	assert_int_equal(tenure_resource_destroy(s->t, s->device, resource), 0);
	assert_int_equal(requests, 1);
	assert_int_equal(tenure_token_revoke(s->t, &s->page->token), 0);
	assert_int_equal(bytes_held(stage), GROUP * BYTES);
	expect_calls(calls, 1, 0);
	begin_round(s);
	assert_int_equal(end_round(s), 0);
	await_bytes(stage, 0);
	expect_calls(calls, 1, 1);
}

/* Those that one process destroys together go by one call. */
static void destroy_a_list(struct stage *stage, const struct calls *calls)
{
	static const size_t sizes[GROUP] = { BYTES, BYTES, BYTES, BYTES };
	struct side *s = &stage->side;
	struct tenure_allocation list[GROUP];
	const struct tenure_destroy destroy = { .device = s->device,
						.list = list,
						.count = GROUP };

	requests = 0;
	assert_int_equal(tenure_allocation_create(s->t, s->device, sizes, GROUP,
						  list),
			 0);
	assert_int_equal(requests, 1);
	expect_calls(calls, 2, 1);
	requests = 0;
	assert_int_equal(tenure_destroy(s->t, &destroy), 0);
	assert_int_equal(requests, 1);
	await_bytes(stage, 0);
	expect_calls(calls, 2, 2);
}

static void b03_one_call_for_a_group_of_two(void **state)
{
	struct calls *calls = count_calls();
	struct stage *stage = begin(open_then_destroy);

	(void)state;
	share_a_group(stage, calls);
	destroy_a_list(stage, calls);
	end(stage);
	count_no_more(calls);
	row_proved("B03");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a80_a81_handles_of_another_process),
		cmocka_unit_test(a82_device_destroy_beside_a_reader),
		cmocka_unit_test(a83_destroy_racing_open),
		cmocka_unit_test(a84_releases_fail_meanwhile),
		cmocka_unit_test(b03_one_call_for_a_group_of_two),
		cmocka_unit_test(
			h45_a_fence_of_another_process_drives_no_reclaim),
	};

	rows_set_mode(ROWS_DAEMON);
	return cmocka_run_group_tests_name("processes", tests, NULL, NULL);
}
