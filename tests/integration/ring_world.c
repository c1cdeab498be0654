/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients with rings, and children that misuse theirs. A child has no cmocka:
 * it leaves with an exit status.
 */
#include "tests/integration/ring_world.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int setup_with(void **state, const struct daemon_options *options)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	assert_non_null(stage);
	stage->daemon = daemon_start(options);
	stage->socket = daemon_socket(stage->daemon);
	stage->canary = canary_new(stage->socket);
	*state = stage;
	return 0;
}

int stage_setup(void **state)
{
	return setup_with(state, NULL);
}

int stage_setup_two_workers(void **state)
{
	static const struct daemon_options options = {
		.config = "[daemon]\nworkers = 2\n",
	};

	return setup_with(state, &options);
}

int stage_teardown(void **state)
{
	struct stage *stage = *state;

	canary_sing(stage->canary, 20);
	canary_free(stage->canary);
	daemon_stop_clean(stage->daemon);
	free(stage);
	return 0;
}

struct raw_ring ring_client(const struct stage *stage)
{
	struct raw_ring ring;

	assert_int_equal(raw_ring_open(stage->socket, &ring), 0);
	return ring;
}

uint64_t ring_device(struct raw_ring *ring)
{
	struct wire_request head = { .opcode = WIRE_OP_ADAPTER_OPEN };
	struct raw_reply reply;

	memcpy(head.value, "system", 6);
	assert_int_equal(raw_ring_call(ring, &head, NULL, 0, &reply), 0);
	head = (struct wire_request){ .opcode = WIRE_OP_DEVICE_CREATE,
				      .object = reply.head.value[0] };
	assert_int_equal(raw_ring_call(ring, &head, NULL, 0, &reply), 0);
	return reply.head.value[0];
}

void ring_allocations(struct raw_ring *ring, uint64_t device, uint32_t count,
		      uint64_t *ret)
{
	static struct wire_allocation sizes[LIST_ENTRIES_MAX];
	const struct wire_request head = { .opcode = WIRE_OP_CREATE,
					   .device = device,
					   .count = count };
	struct raw_reply reply;

	for (uint32_t i = 0; i < count; i++)
		sizes[i].size_bytes = 4096;
	assert_int_equal(raw_ring_call(ring, &head, sizes,
				       count * sizeof(sizes[0]), &reply),
			 0);
	assert_int_equal(reply.head.count, count);
	memcpy(ret, reply.data, count * sizeof(*ret));
}

struct wire_stat ring_stat(const struct raw_ring *ring)
{
	const struct wire_request head = { .opcode = WIRE_OP_STAT };
	struct raw_reply reply;
	struct wire_stat stat;

	assert_int_equal(raw_call(ring->socket, &head, NULL, 0, &reply), 0);
	memcpy(&stat, reply.data, sizeof(stat));
	return stat;
}

void ring_thrown_out(const struct stage *stage, struct raw_ring *ring,
		     enum tenure_reason reason, const char *words)
{
	struct raw_reply last = { 0 };
	bool logged;

	assert_true(raw_ended(ring->socket, &last));
	assert_int_equal(last.head.reason, reason);
	raw_ring_close(ring);
	for (int i = 0; i < 1000; i++) {
		logged = daemon_logged(stage->daemon, words);
		if (logged)
			return;
		usleep(2000);
	}
	fail_msg("nobody said: %s", words);
}

pid_t ring_fork(void)
{
	pid_t parent = getpid(), child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* It may have died before. */
		if (getppid() != parent)
			_exit(0);
	}
	return child;
}

pid_t ring_child(void (*function)(const struct stage *stage),
		 const struct stage *stage)
{
	pid_t child = ring_fork();

	assert_true(child >= 0);
	if (child != 0)
		return child;
	function(stage);
	_exit(0);
}

void ring_bury(pid_t child)
{
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}
