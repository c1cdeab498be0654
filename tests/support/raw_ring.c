/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw client's ring. It sleeps as a client should, in the kernel, and a
 * timeout turns a lost wake-up into a failure instead of a hang.
 */
#include "tests/support/raw_ring.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 10000 };

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Asks for something with a descriptor. */
static int ask_for(int socket, uint8_t opcode, unsigned int acked,
		   struct raw_reply *ret)
{
	const struct wire_request head = {
		.opcode = opcode,
		.fds_acked = (uint16_t)acked,
	};
	int status = raw_call(socket, &head, NULL, 0, ret);

	if (status == 0 && ret->fd < 0)
		return -EPROTO;
	return status;
}

int raw_ring_map(int memory, int doorbell, struct raw_ring *ret)
{
	void *at = mmap(NULL, sizeof(struct ring), PROT_READ | PROT_WRITE,
			MAP_SHARED, memory, 0);

	if (at == MAP_FAILED)
		return -errno;
	*ret = (struct raw_ring){
		.socket = -1,
		.doorbell = doorbell,
		.memory = memory,
		.ring = at,
	};
	ring_client_init(&ret->end, ret->ring);
	return 0;
}

int raw_ring_attach(int socket, struct raw_ring *ret)
{
	struct raw_reply reply;
	int r, memory;

	r = ask_for(socket, WIRE_OP_RING, 0, &reply);
	if (r < 0)
		return r;
	memory = reply.fd;
	r = reply.head.value[0] == sizeof(struct ring) ? 0 : -EPROTO;
	if (r == 0)
		r = ask_for(socket, WIRE_OP_DOORBELL, 1, &reply);
	if (r < 0) {
		close(memory);
		return r;
	}
	r = raw_ring_map(memory, reply.fd, ret);
	if (r < 0) {
		close(memory);
		close(reply.fd);
		return r;
	}
	ret->socket = socket;
	return 0;
}

int raw_ring_open(const char *path, struct raw_ring *ret)
{
	int socket = raw_client(path), r;

	if (socket < 0)
		return socket;
	r = raw_ring_attach(socket, ret);
	if (r < 0)
		close(socket);
	return r;
}

void raw_ring_close(struct raw_ring *ring)
{
	if (ring->socket >= 0)
		close(ring->socket);
	close(ring->doorbell);
	close(ring->memory);
	munmap(ring->ring, sizeof(struct ring));
}

void raw_ring_knock(const struct raw_ring *ring)
{
	const uint64_t one = 1;
	ssize_t n = write(ring->doorbell, &one, sizeof(one));

	/* Full means rung. */
	(void)n;
}

static void sleep_once(struct raw_ring *ring, uint32_t value)
{
	const struct timespec limit = { .tv_nsec = 100000000 };

	syscall(SYS_futex, ring_client_futex(&ring->end), FUTEX_WAIT, value,
		&limit, NULL, 0);
}

static bool needs_data(uint8_t opcode)
{
	switch ((enum wire_op)opcode) {
	case WIRE_OP_CREATE:
	case WIRE_OP_QUERY:
	case WIRE_OP_OPEN:
	case WIRE_OP_STAT:
	case WIRE_OP_STATUS:
	case WIRE_OP_CLIENTS:
	case WIRE_OP_RESOURCES:
	case WIRE_OP_LIMITS:
	case WIRE_OP_CHECK:
		return true;
	default:
		return false;
	}
}

int raw_ring_send(struct raw_ring *ring, struct wire_request *head,
		  const void *args, size_t args_bytes)
{
	int block = 0, r;

	head->id = ++ring->ids;
	if (args_bytes || needs_data(head->opcode)) {
		block = ring_client_block_take(&ring->end);
		if (block < 0)
			return block;
		ring_client_block_write(&ring->end, block, args, args_bytes);
		head->args_offset = ring_client_block_offset(block);
		head->args_bytes = (uint32_t)args_bytes;
		if (needs_data(head->opcode))
			head->data_capacity = RING_BLOCK_BYTES;
	}
	r = ring_client_submit(&ring->end, head);
	if (r < 0)
		return r;
	if (ring_client_publish(&ring->end))
		raw_ring_knock(ring);
	return block;
}

int raw_ring_receive(struct raw_ring *ring, struct wire_reply *ret)
{
	uint64_t end = now_ms() + WAIT_MS;
	int r;

	for (int i = 0; i < 2000; i++) {
		r = ring_client_reap(&ring->end, ret);
		if (r != 0)
			goto out;
	}
	while ((r = ring_client_reap(&ring->end, ret)) == 0) {
		uint32_t value = ring_client_sleep_prepare(&ring->end);

		r = ring_client_reap(&ring->end, ret);
		if (r == 0)
			sleep_once(ring, value);
		ring_client_sleep_finish(&ring->end);
		if (r != 0)
			break;
		if (now_ms() > end)
			return -ETIMEDOUT;
	}
out:
	if (ring_client_reaped(&ring->end))
		raw_ring_knock(ring);
	return r < 0 ? r : 0;
}

int raw_ring_call(struct raw_ring *ring, const struct wire_request *head,
		  const void *args, size_t args_bytes, struct raw_reply *ret)
{
	struct wire_request request = *head;
	int block = raw_ring_send(ring, &request, args, args_bytes);
	struct raw_reply ignored;

	if (!ret)
		ret = &ignored;
	ret->fd = -1;
	if (block < 0 || raw_ring_receive(ring, &ret->head) < 0)
		return -ENOTCONN;
	if (request.args_bytes || request.data_capacity) {
		ring_client_block_read(&ring->end, block, ret->data,
				       ret->head.data_bytes);
		ring_client_block_free(&ring->end, block);
	}
	return ret->head.status;
}

bool raw_ring_drain(struct raw_ring *ring)
{
	uint64_t end = now_ms() + WAIT_MS;
	int r;

	if (ring_client_publish(&ring->end))
		raw_ring_knock(ring);
	ring_client_await_heads(&ring->end);
	while ((r = ring_client_is_drained(&ring->end)) == 0) {
		uint32_t value = ring_client_sleep_prepare(&ring->end);

		r = ring_client_is_drained(&ring->end);
		if (r == 0)
			sleep_once(ring, value);
		ring_client_sleep_finish(&ring->end);
		if (r != 0 || now_ms() > end)
			break;
	}
	ring_client_forget_heads(&ring->end);
	return r == 1;
}
