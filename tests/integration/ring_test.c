/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings between a real daemon and raw clients: that everything works by them,
 * in which order, and what ends a client that breaks the protocol there.
 */
#include "tests/integration/ring_world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/ring/ring_shared.h"
#include "tests/support/idle.h"

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct wire_request destroy_head(uint64_t device, uint32_t count,
					uint32_t flags)
{
	return (struct wire_request){ .opcode = WIRE_OP_DESTROY,
				      .form = WIRE_FORM_LIST,
				      .flags = flags,
				      .device = device,
				      .count = count };
}

static void life_by_ring(void **state)
{
	struct raw_ring ring = ring_client(*state);
	uint64_t device = ring_device(&ring), list[64];
	struct wire_request head = { .opcode = WIRE_OP_CREATE,
				     .flags = TENURE_CREATE_SHARED |
					      TENURE_CREATE_RESOURCE,
				     .device = device,
				     .count = 1 };
	const struct wire_allocation size = { .size_bytes = 4096 };
	struct raw_reply reply;

	ring_allocations(&ring, device, 64, list);
	assert_int_equal(ring_stat(&ring).allocations, 64);
	head.opcode = WIRE_OP_CREATE;
	assert_int_equal(
		raw_ring_call(&ring, &head, &size, sizeof(size), &reply), 0);
	head = (struct wire_request){ .opcode = WIRE_OP_SHARE,
				      .device = device,
				      .object = reply.head.value[0],
				      .flags = TENURE_RIGHT_READ };
	assert_int_equal(raw_ring_call(&ring, &head, NULL, 0, &reply), 0);
	head = (struct wire_request){ .opcode = WIRE_OP_QUERY };
	memcpy(head.value, reply.head.value, sizeof(head.value));
	assert_int_equal(raw_ring_call(&ring, &head, NULL, 0, &reply), 0);
	assert_int_equal(reply.head.count, 1);
	assert_int_equal(reply.head.data_bytes, 8);
	head = destroy_head(device, 64, 0);
	assert_int_equal(
		raw_ring_call(&ring, &head, list, sizeof(list), &reply), 0);
	assert_int_equal(raw_ring_call(&ring, &head, list, sizeof(list),
				       &reply),
			 -EINVAL);
	assert_int_equal(reply.head.index, 0);
	raw_ring_close(&ring);
}

/* The answer to a synchronous destroy comes late, and by the ring. */
static void late_replies(void **state)
{
	struct raw_ring ring = ring_client(*state);
	uint64_t device = ring_device(&ring), list[200];
	struct wire_request head;
	struct wire_reply reply;

	ring_allocations(&ring, device, 200, list);
	for (int i = 0; i < 200; i++) {
		int block;

		head = destroy_head(device, 1, TENURE_DESTROY_SYNCHRONOUS);
		/* Some want to hear of it, the last one among them. */
		if (i % 2 == 0)
			head.form |= WIRE_FORM_QUIET;
		block = raw_ring_send(&ring, &head, &list[i], sizeof(list[i]));
		assert_true(block >= 0);
		assert_true(raw_ring_drain(&ring));
		ring_client_block_free(&ring.end, block);
	}
	for (int i = 1; i < 200; i += 2) {
		assert_int_equal(raw_ring_receive(&ring, &reply), 0);
		assert_int_equal(reply.status, 0);
		assert_int_equal(reply.opcode, WIRE_OP_DESTROY);
		assert_int_equal(reply.id, head.id - 199 + (uint64_t)i);
	}
	assert_int_equal(ring_client_reap(&ring.end, &reply), 0);
	assert_int_equal(ring_stat(&ring).allocations, 0);
	assert_int_equal(ring_stat(&ring).retired, 0);
	raw_ring_close(&ring);
}

static void frees_before_requests(void **state)
{
	struct raw_ring ring = ring_client(*state);
	uint64_t device = ring_device(&ring), list[LIST_ENTRIES_MAX];
	const struct wire_request stat_head = { .opcode = WIRE_OP_STAT };
	struct raw_reply reply;
	struct wire_stat stat;

	for (int round = 0; round < 20; round++) {
		ring_allocations(&ring, device, LIST_ENTRIES_MAX, list);
		for (int i = 0; i < LIST_ENTRIES_MAX; i++) {
			int r = ring_client_free(&ring.end, list[i]);

			assert_true(r >= 0);
			if (r == 1)
				raw_ring_knock(&ring);
			if (i % 100)
				continue;
			assert_int_equal(raw_ring_call(&ring, &stat_head, NULL,
						       0, &reply),
					 0);
			memcpy(&stat, reply.data, sizeof(stat));
			assert_int_equal(stat.allocations,
					 LIST_ENTRIES_MAX - 1 - i);
		}
		assert_true(raw_ring_drain(&ring));
		assert_int_equal(ring_stat(&ring).allocations, 0);
	}
	raw_ring_close(&ring);
}

/* Each free that is refused is told, with the handle; the others are done. */
static void refused_frees(void **state)
{
	struct raw_ring ring = ring_client(*state);
	uint64_t device = ring_device(&ring), list[100];
	struct wire_reply reply;

	ring_allocations(&ring, device, 100, list);
	for (int i = 0; i < 100; i++) {
		if (ring_client_free(&ring.end, list[i]) == 1)
			raw_ring_knock(&ring);
		if (i % 10 == 0 &&
		    ring_client_free(&ring.end, list[i] ^ 1u << 30) == 1)
			raw_ring_knock(&ring);
	}
	assert_true(raw_ring_drain(&ring));
	for (int i = 0; i < 100; i += 10) {
		assert_int_equal(raw_ring_receive(&ring, &reply), 0);
		assert_int_equal(reply.opcode, WIRE_OP_FREE);
		assert_int_equal(reply.id, 0);
		assert_int_equal(reply.status, -EINVAL);
		assert_true(reply.value[0] == (list[i] ^ 1u << 30));
	}
	assert_int_equal(ring_stat(&ring).allocations, 0);
	raw_ring_close(&ring);
}

/* Nobody publishes, nobody flushes: the timer takes it. The bound is that of
 * a busy machine; docs/PROTOCOL.md states the real one. */
static void frees_in_time(void **state)
{
	struct raw_ring ring = ring_client(*state);
	uint64_t device = ring_device(&ring), list[50];
	uint64_t worst = 0;

	ring_allocations(&ring, device, 50, list);
	for (int i = 0; i < 50; i++) {
		uint64_t began;

		/* In all phases of the timer. */
		usleep((useconds_t)(rand() % 4000));
		if (ring_client_free(&ring.end, list[i]) == 1)
			raw_ring_knock(&ring);
		began = now_ms();
		while (ring_stat(&ring).allocations != 49u - (unsigned int)i) {
			assert_true(now_ms() - began < 2000);
			usleep(100);
		}
		if (now_ms() - began > worst)
			worst = now_ms() - began;
	}
	print_message("the longest wait for a free: %u ms\n",
		      (unsigned int)worst);
	raw_ring_close(&ring);
}

/* Completions that are not read stop their client, and only him, for as long
 * as it lasts (H51). */
static void back_pressure(void **state)
{
	struct stage *stage = *state;
	struct raw_ring ring = ring_client(stage);
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	uint64_t sent = 0;
	struct wire_reply reply;

	for (uint64_t end = now_ms() + 5000; now_ms() < end;) {
		ping.id = sent + 1;
		if (ring_client_submit(&ring.end, &ping) == 0) {
			sent++;
			continue;
		}
		if (ring_client_publish(&ring.end))
			raw_ring_knock(&ring);
		if (sent >= RING_CQ_ENTRIES + RING_SQ_ENTRIES)
			break;
		usleep(100);
	}
	assert_int_equal(sent, RING_CQ_ENTRIES + RING_SQ_ENTRIES);
	expect_idle(daemon_pid(stage->daemon));
	canary_sing(stage->canary, 10);
	for (uint64_t i = 1; i <= sent; i++) {
		assert_int_equal(raw_ring_receive(&ring, &reply), 0);
		assert_int_equal(reply.id, i);
	}
	raw_ring_close(&ring);
}

/* ---- What ends a client ---- */

static void impossible_indexes(void **state)
{
	struct stage *stage = *state;
	static const uint32_t wrong[] = { RING_FQ_ENTRIES + 1, UINT32_MAX,
					  1u << 31 };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct raw_ring ring = ring_client(stage);

		ring_sq_tail_publish(ring.ring, wrong[i]);
		raw_ring_knock(&ring);
		ring_thrown_out(stage, &ring, TENURE_REASON_RING_CORRUPT,
				"tail of the requests");
		ring = ring_client(stage);
		ring_fq_tail_publish(ring.ring, wrong[i]);
		raw_ring_knock(&ring);
		ring_thrown_out(stage, &ring, TENURE_REASON_RING_CORRUPT,
				"tail of the frees");
		ring = ring_client(stage);
		ring_cq_head_publish(ring.ring, wrong[i]);
		ring_sq_tail_publish(ring.ring, 1);
		raw_ring_knock(&ring);
		ring_thrown_out(stage, &ring, TENURE_REASON_RING_CORRUPT,
				"head of the replies");
	}
}

/* A request of its own making, outside of the library's or our own sense. */
static void submit(struct raw_ring *ring, struct wire_request head)
{
	assert_int_equal(ring_client_submit(&ring->end, &head), 0);
	if (ring_client_publish(&ring->end))
		raw_ring_knock(ring);
}

static void impossible_arguments(void **state)
{
	static const struct wire_request wrong[] = {
		{ .opcode = WIRE_OP_DESTROY, .args_offset = 8, .args_bytes = 8 },
		{ .opcode = WIRE_OP_DESTROY,
		  .args_offset = UINT32_MAX,
		  .args_bytes = 8 },
		{ .opcode = WIRE_OP_DESTROY,
		  .args_offset = RING_BLOCKS * RING_BLOCK_BYTES,
		  .args_bytes = 8 },
		{ .opcode = WIRE_OP_DESTROY,
		  .args_bytes = RING_BLOCK_BYTES + 1 },
		{ .opcode = WIRE_OP_DESTROY, .args_bytes = UINT32_MAX },
		{ .opcode = WIRE_OP_STAT,
		  .data_capacity = RING_BLOCK_BYTES + 1 },
		{ .opcode = WIRE_OP_PING, .args_offset = RING_BLOCK_BYTES },
	};
	struct stage *stage = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct raw_ring ring = ring_client(stage);

		submit(&ring, wrong[i]);
		ring_thrown_out(stage, &ring, TENURE_REASON_RING_CORRUPT,
				"outside the arena");
	}
}

static void what_needs_the_socket(void **state)
{
	static const struct wire_request wrong[] = {
		{ .opcode = WIRE_OP_HELLO,
		  .object = WIRE_MAGIC,
		  .value = { 1, 1 } },
		{ .opcode = WIRE_OP_RING },
		{ .opcode = WIRE_OP_DOORBELL },
		{ .opcode = WIRE_OP_MAP, .flags = WIRE_MAP_WANT_FD },
		/* And a reply that might not fit. */
		{ .opcode = WIRE_OP_STAT },
		{ .opcode = WIRE_OP_STAT,
		  .data_capacity = sizeof(struct wire_stat) - 1 },
	};
	struct stage *stage = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct raw_ring ring = ring_client(stage);

		submit(&ring, wrong[i]);
		ring_thrown_out(stage, &ring, TENURE_REASON_MALFORMED,
				tenure_strreason(TENURE_REASON_MALFORMED));
	}
}

/* Who has no room for a ring in his quota works without. */
static void no_quota(void **state)
{
	static const struct daemon_options options = {
		.config = "[client]\nbytes = 64K\n",
	};
	const struct wire_request ask = { .opcode = WIRE_OP_RING };
	struct daemon_process *daemon = daemon_start(&options);
	int fd = raw_client(daemon_socket(daemon));
	struct raw_reply reply;

	(void)state;
	assert_int_equal(raw_call(fd, &ask, NULL, 0, &reply), -EDQUOT);
	assert_int_equal(reply.fd, -1);
	assert_int_equal(
		raw_call(fd, &(struct wire_request){ .opcode = WIRE_OP_PING },
			 NULL, 0, &reply),
		0);
	close(fd);
	daemon_stop_clean(daemon);
}

/* The length of a ring is for ever, and nobody opens it anew (G4 of a port);
 * a hole in it reads as zeros. */
static void the_memory_of_a_ring(void **state)
{
	struct stage *stage = *state;
	struct raw_ring ring = ring_client(stage);
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct stat st;

	assert_int_equal(ftruncate(ring.memory, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(ring.memory, 1 << 30), -1);
	assert_int_equal(fcntl(ring.memory, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fstat(ring.memory, &st), 0);
	assert_int_equal(st.st_size, sizeof(struct ring));
	assert_int_equal(st.st_mode & 07777, 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(raw_ring_call(&ring, &ping, NULL, 0, NULL), 0);
	assert_int_equal(fallocate(ring.memory,
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   0, sizeof(struct ring)),
			 0);
	raw_ring_knock(&ring);
	ring_thrown_out(stage, &ring, TENURE_REASON_RING_CORRUPT,
			"the shared ring holds");
}

/* Rings come and go; descriptors and memory with them (H54). */
static void many_rings(void **state)
{
	struct stage *stage = *state;
	struct raw_ring rings[64];

	for (int round = 0; round < 10; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
			uint64_t device;

			rings[i] = ring_client(stage);
			device = ring_device(&rings[i]);
			ring_allocations(&rings[i], device, 1,
					 (uint64_t[1]){ 0 });
		}
		for (size_t i = 0; i < ARRAY_SIZE(rings); i++)
			raw_ring_close(&rings[i]);
	}
	canary_sing(stage->canary, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ring_test(life_by_ring),
		ring_test(late_replies),
		ring_test(frees_before_requests),
		ring_test(refused_frees),
		ring_test(frees_in_time),
		ring_test(back_pressure),
		ring_test(impossible_indexes),
		ring_test(impossible_arguments),
		ring_test(what_needs_the_socket),
		cmocka_unit_test(no_quota),
		ring_test(the_memory_of_a_ring),
		ring_test(many_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
