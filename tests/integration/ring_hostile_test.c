/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile clients with rings
 *
 * Each test does one bad thing to its own ring, from processes of their own
 * and at full speed, beside a canary that must not notice more than that the
 * machine is busy; its latency is told and not judged. Afterwards nothing may
 * be left.
 */
#include "tests/integration/ring_world.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/ring/ring_shared.h"
#include "tests/support/idle.h"
#include "tests/support/random.h"

/* How long each goes on, in milliseconds; TENURE_TEST_MS for longer. */
static unsigned int duration_ms(void)
{
	const char *text = getenv("TENURE_TEST_MS");

	return text ? (unsigned int)atoi(text) : 700;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool has_ended(const struct raw_ring *ring)
{
	struct pollfd ask = { .fd = ring->socket, .events = POLLIN };

	return poll(&ask, 1, 0) == 1;
}

/* The canary sings beside children until the time is over. */
static void sing_beside(const struct stage *stage,
			void (*function)(const struct stage *stage),
			unsigned int children, const char *what)
{
	uint64_t end = now_ms() + duration_ms();
	pid_t pids[8];

	assert_true(children <= ARRAY_SIZE(pids));
	for (unsigned int i = 0; i < children; i++)
		pids[i] = ring_child(function, stage);
	while (now_ms() < end)
		canary_sing(stage->canary, 5);
	for (unsigned int i = 0; i < children; i++)
		ring_bury(pids[i]);
	canary_tell(stage->canary, what);
}

static struct raw_ring child_ring(const struct stage *stage)
{
	struct raw_ring ring;

	if (raw_ring_open(stage->socket, &ring) < 0)
		_exit(3);
	return ring;
}

/* ---- Anything, anywhere (H44) ---- */

/* Random words over all of the ring: most of them nonsense, some small. */
static void scribble(const struct stage *stage)
{
	struct random random = { (uint64_t)getpid() };

	for (;;) {
		struct raw_ring ring = child_ring(stage);
		atomic_u64 *words = (atomic_u64 *)ring.ring;
		uint32_t n = sizeof(struct ring) / 8;

		while (!has_ended(&ring)) {
			for (int k = 0; k < 64; k++)
				store_relaxed_u64(
					&words[random_below(&random, n)],
					random_chance(&random, 50) ?
						random_below(&random, 64) :
						random_next(&random));
			raw_ring_knock(&ring);
		}
		raw_ring_close(&ring);
	}
}

/* Everything but the indexes, which lead the daemon through all of it. */
static void scribble_entries(const struct stage *stage)
{
	struct random random = { (uint64_t)getpid() };

	for (;;) {
		struct raw_ring ring = child_ring(stage);
		atomic_u64 *words = (atomic_u64 *)ring.ring;
		uint32_t first = sizeof(struct ring_header) / 8;
		uint32_t n = sizeof(struct ring) / 8 - first;
		struct wire_reply reply;

		while (!has_ended(&ring)) {
			struct wire_request head = {
				.opcode = (uint8_t)random_below(&random, 24),
				.form = (uint8_t)random_below(&random, 4),
			};

			ring_client_submit(&ring.end, &head);
			ring_client_free(&ring.end, random_next(&random));
			for (int k = 0; k < 64; k++)
				store_relaxed_u64(
					&words[first + random_below(&random, n)],
					random_below(&random, 32));
			ring_client_publish(&ring.end);
			raw_ring_knock(&ring);
			while (ring_client_reap(&ring.end, &reply) == 1)
				;
			ring_client_reaped(&ring.end);
		}
		raw_ring_close(&ring);
	}
}

static void scribblers(void **state)
{
	const struct stage *stage = *state;

	sing_beside(stage, scribble, 2, "scribblers");
	sing_beside(stage, scribble_entries, 2, "scribblers of entries");
}

/* ---- Offers of what others have ---- */

/* All entries, always due, with handles that are guessed, small, or of the
 * client's own; it rings for each of them. */
static void offer_everything(const struct stage *stage)
{
	struct random random = { (uint64_t)getpid() };
	struct raw_ring ring = child_ring(stage);
	uint64_t device = ring_device(&ring), own[8], handle;

	ring_allocations(&ring, device, ARRAY_SIZE(own), own);
	for (;;) {
		for (uint32_t i = 0; i < RING_OFFERS; i++) {
			handle = i % 3 == 0 ? random_next(&random) | 1 :
				 i % 3 == 1 ? 1 + random_below(&random, 5000) :
					      own[i % ARRAY_SIZE(own)];
			offers_name(&ring.ring->offers, i, handle);
			offers_make(&ring.ring->offers, i, 1);
			raw_ring_knock(&ring);
		}
	}
}

static void offerers(void **state)
{
	sing_beside(*state, offer_everything, 3, "offers of everything");
}

/* ---- One field, changed while it is read (H45) ---- */

/*
 * Flips a word between two values while its parent keeps the daemon reading
 * it: both are harmless alone.
 */
static pid_t flipper(atomic_u64 *word, uint64_t a, uint64_t b)
{
	pid_t child = ring_fork();

	if (child == 0) {
		for (;;) {
			store_relaxed_u64(word, a);
			store_relaxed_u64(word, b);
		}
	}
	return child;
}

/* The length and place of a list, and the opcode, of requests that are read
 * again and again. */
static void flip_entries(const struct stage *stage)
{
	struct raw_ring ring = child_ring(stage);
	uint64_t device = ring_device(&ring);
	const struct wire_request heads[] = {
		{ .opcode = WIRE_OP_DESTROY,
		  .form = WIRE_FORM_LIST,
		  .device = device,
		  .count = 4,
		  .args_bytes = 32 },
		{ .opcode = WIRE_OP_DESTROY,
		  .form = WIRE_FORM_LIST,
		  .device = device,
		  .count = 4,
		  .args_bytes = 24,
		  .args_offset = RING_BLOCK_BYTES },
	};
	uint64_t words[2][RING_REQUEST_WORDS];
	pid_t children[RING_REQUEST_WORDS];
	struct wire_reply reply;

	memcpy(words[0], &heads[0], sizeof(words[0]));
	memcpy(words[1], &heads[1], sizeof(words[1]));
	/* Entry 0 is flipped; the queue goes round. */
	for (int i = 0; i < RING_REQUEST_WORDS; i++)
		children[i] = words[0][i] == words[1][i] ?
				      0 :
				      flipper(&ring.ring->sq[0].words[i],
					      words[0][i], words[1][i]);
	for (;;) {
		if (ring_client_submit(&ring.end, &heads[0]) == 0)
			continue;
		if (ring_client_publish(&ring.end))
			raw_ring_knock(&ring);
		while (ring_client_reap(&ring.end, &reply) == 1)
			if (reply.status != -EINVAL)
				break;
		if (has_ended(&ring))
			break;
	}
	for (int i = 0; i < RING_REQUEST_WORDS; i++)
		if (children[i])
			ring_bury(children[i]);
	_exit(4);
}

static void flip_tail(const struct stage *stage)
{
	for (;;) {
		struct raw_ring ring = child_ring(stage);
		struct wire_reply reply;

		for (uint32_t i = 1; !has_ended(&ring); i++) {
			ring_sq_tail_publish(ring.ring, i % 512);
			ring_fq_tail_append(ring.ring, i * 7);
			raw_ring_knock(&ring);
			ring_client_reap(&ring.end, &reply);
		}
		raw_ring_close(&ring);
	}
}

static void flippers(void **state)
{
	const struct stage *stage = *state;

	sing_beside(stage, flip_entries, 1, "a flipper of entries");
	sing_beside(stage, flip_tail, 2, "flippers of tails");
}

/* ---- Doorbells ---- */

/* Rings as fast as it can, with nothing to say (H49). */
static void only_ring(const struct stage *stage)
{
	struct raw_ring ring = child_ring(stage);

	for (;;)
		raw_ring_knock(&ring);
}

/* A doorbell that is full and blocks is its owner's loss; what it has
 * published is found by whoever rings next, or never (H50). */
static void spoil_doorbell(const struct stage *stage)
{
	struct raw_ring ring = child_ring(stage);
	const uint64_t most = UINT64_MAX - 1;
	struct wire_request ping = { .opcode = WIRE_OP_PING };

	if (write(ring.doorbell, &most, sizeof(most)) < 0)
		_exit(5);
	fcntl(ring.doorbell, F_SETFL, 0);
	ring_client_submit(&ring.end, &ping);
	ring_client_publish(&ring.end);
	raw_ring_knock(&ring);
	pause();
}

static void doorbells(void **state)
{
	const struct stage *stage = *state;

	sing_beside(stage, only_ring, 2, "ringers");
	sing_beside(stage, spoil_doorbell, 4, "spoilt doorbells");
}

/* ---- Stopped and killed (H51, H78, S14) ---- */

/* All queues are full and nobody reads. */
static void fill_and_stop(const struct stage *stage)
{
	struct raw_ring ring = child_ring(stage);
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	unsigned int stuck = 0;

	while (stuck < 100) {
		bool full = ring_client_submit(&ring.end, &ping) == -EAGAIN;

		full &= ring_client_free(&ring.end, 4711) == -EAGAIN;
		if (ring_client_publish(&ring.end))
			raw_ring_knock(&ring);
		if (full) {
			stuck++;
			usleep(100);
		}
	}
	raise(SIGSTOP);
	_exit(0);
}

static void stopped_with_full_queues(void **state)
{
	const struct stage *stage = *state;
	pid_t children[4];
	int status;

	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		children[i] = ring_child(fill_and_stop, stage);
		assert_int_equal(waitpid(children[i], &status, WUNTRACED),
				 children[i]);
		assert_true(WIFSTOPPED(status));
	}
	/* They cost nothing while they are stopped. */
	expect_idle(daemon_pid(stage->daemon));
	canary_sing(stage->canary, 200);
	canary_tell(stage->canary, "stopped clients");
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		ring_bury(children[i]);
}

/* Works with its ring until it is killed. */
static void work_hard(const struct stage *stage)
{
	struct raw_ring ring = child_ring(stage);
	uint64_t device = ring_device(&ring);
	static uint64_t list[LIST_ENTRIES_MAX];

	for (;;) {
		ring_allocations(&ring, device, 256, list);
		for (int i = 0; i < 256; i++)
			if (ring_client_free(&ring.end, list[i]) == 1)
				raw_ring_knock(&ring);
	}
}

static void killed_at_work(void **state)
{
	const struct stage *stage = *state;
	struct random random = { 7 };

	for (int i = 0; i < 40; i++) {
		pid_t a = ring_child(work_hard, stage);
		pid_t b = ring_child(work_hard, stage);

		usleep((useconds_t)random_below(&random, 20000));
		ring_bury(a);
		canary_sing(stage->canary, 1);
		ring_bury(b);
	}
	canary_tell(stage->canary, "clients that are killed");
}

/* The socket goes while the ring is in use, at once or a little later. */
static void hang_up_at_work(void **state)
{
	const struct stage *stage = *state;

	for (int i = 0; i < 100; i++) {
		struct raw_ring ring = ring_client(stage);
		struct wire_request ping = { .opcode = WIRE_OP_PING };

		for (int k = 0; k < 50 + i; k++)
			if (ring_client_submit(&ring.end, &ping) == 0 &&
			    ring_client_publish(&ring.end))
				raw_ring_knock(&ring);
		if (i % 2)
			usleep((useconds_t)i * 5);
		raw_ring_close(&ring);
	}
}

/* ---- Two processes on one ring ---- */

/* Each has its own idea of what is in it; the daemon has its own, too. */
static void share_a_ring(const struct stage *stage)
{
	struct raw_ring ring = child_ring(stage);
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct wire_reply reply;

	if (ring_fork() < 0)
		_exit(6);
	for (uint64_t i = 0;; i++) {
		ping.id = i;
		ring_client_submit(&ring.end, &ping);
		ring_client_free(&ring.end, i);
		if (ring_client_publish(&ring.end))
			raw_ring_knock(&ring);
		while (ring_client_reap(&ring.end, &reply) == 1)
			;
		if (ring_client_reaped(&ring.end))
			raw_ring_knock(&ring);
		if (has_ended(&ring))
			break;
	}
}

/* Until the daemon has enough of it; then again. */
static void share_rings(const struct stage *stage)
{
	for (;;) {
		pid_t child = ring_fork();

		if (child == 0) {
			share_a_ring(stage);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
}

static void two_processes_on_one_ring(void **state)
{
	const struct stage *stage = *state;

	sing_beside(stage, share_rings, 1, "two processes on one ring");
}

#define both_ways(function)                                    \
	cmocka_unit_test_setup_teardown(function, stage_setup, \
					stage_teardown),       \
		cmocka_unit_test_setup_teardown(               \
			function, stage_setup_two_workers, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		both_ways(scribblers),
		both_ways(offerers),
		both_ways(flippers),
		both_ways(doorbells),
		both_ways(stopped_with_full_queues),
		both_ways(killed_at_work),
		both_ways(hang_up_at_work),
		both_ways(two_processes_on_one_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
