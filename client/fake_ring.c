/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fake ring
 *
 * The daemon's worker, as small as it can be: one thread, one client. It takes
 * what the ring holds with ring_server.c, lets the fake daemon answer, parks
 * when there is nothing, and waits on the doorbell, or for the timer of the
 * free queue while that runs. A test may make it stand still, or keep replies
 * back and send them in another order.
 */
#include "client/fake_ring.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KEPT_MAX = 64, KEPT_DATA_MAX = 64, IDLE_MS = 50 };

/* A reply that is kept back. */
struct kept_reply {
	struct wire_reply reply;
	uint32_t data_offset;
	uint8_t data[KEPT_DATA_MAX];
};

struct fake_ring {
	struct fake_daemon *fake; /* its lock is that of everything here */
	pthread_t thread;
	int memory, doorbell;
	struct ring_server server;
	struct ring_work work;
	uint64_t data[(WIRE_DATA_BYTES_MAX + 7) / 8];
	bool stop, held, has_thread;
	bool awaits; /* asks to be rung for progress when it parks */
	bool asked;
	uint64_t bells;
	uint8_t delayed;
	unsigned int kept;
	struct kept_reply late[KEPT_MAX];
	uint64_t frees;
};

static void wake_client(struct fake_ring *r)
{
	if (ring_server_publish(&r->server))
		syscall(SYS_futex, ring_server_futex(&r->server), FUTEX_WAKE,
			INT32_MAX, NULL, NULL, 0);
}

static void keep_back(struct fake_ring *r, const struct wire_reply *reply)
{
	struct kept_reply *late = &r->late[r->kept++];

	late->reply = *reply;
	/* What a fuzzer has made of it may be longer than any that is kept. */
	late->reply.data_bytes =
		(uint32_t)min_u64(reply->data_bytes, sizeof(late->data));
	late->data_offset = r->work.request.args_offset;
	memcpy(late->data, r->data, late->reply.data_bytes);
}

static void serve_request(struct fake_ring *r)
{
	const struct wire_request *request = &r->work.request;
	struct exchange x = {
		.request = request,
		.args = r->work.args,
		.args_bytes = request->args_bytes,
		.data = r->data,
		.capacity = request->data_capacity,
		.fd = -1,
	};

	fake_daemon_answer(r->fake, &x);
	if (x.fd >= 0)
		close(x.fd);
	if (x.reply.data_bytes > sizeof(r->data))
		x.reply.data_bytes = sizeof(r->data);
	if (r->delayed == request->opcode && r->kept < KEPT_MAX) {
		keep_back(r, &x.reply);
		return;
	}
	ring_server_complete(&r->server, &x.reply, r->data,
			     request->args_offset);
}

static void serve_frees(struct fake_ring *r)
{
	for (uint32_t i = 0; i < r->work.frees; i++) {
		const struct wire_reply refusal = {
			.opcode = WIRE_OP_FREE,
			.status = -EINVAL,
			.reason = TENURE_REASON_ENTRY_INVALID,
			.index = WIRE_NO_INDEX,
			.value[0] = r->work.handles[i],
		};

		if (!fake_daemon_destroy(r->fake, r->work.handles[i]))
			ring_server_refuse_free(&r->server, &refusal);
	}
	r->frees += r->work.frees;
	ring_server_frees_done(&r->server, r->work.frees);
}

/* One piece of work; false when there is none that can be done. */
static bool serve_one(struct fake_ring *r)
{
	if (r->held)
		return false;
	switch (ring_server_take(&r->server, &r->work)) {
	case RING_TAKE_REQUEST:
		serve_request(r);
		return true;
	case RING_TAKE_FREES:
		serve_frees(r);
		return true;
	case RING_TAKE_NONE:
	case RING_TAKE_NO_ROOM:
	case RING_TAKE_FAULT:
		break;
	}
	return false;
}

/* Waits for the bell, or for the timer. Without the lock. */
static void rest(struct fake_ring *r, int timeout_ms)
{
	struct pollfd bell = { .fd = r->doorbell, .events = POLLIN };
	uint64_t count = 0;

	pthread_mutex_unlock(&r->fake->lock);
	if (poll(&bell, 1, timeout_ms) == 1 &&
	    read(r->doorbell, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN);
	pthread_mutex_lock(&r->fake->lock);
	r->bells += count;
}

static void *serve(void *argument)
{
	struct fake_ring *r = argument;

	pthread_mutex_lock(&r->fake->lock);
	while (!r->stop) {
		while (serve_one(r))
			wake_client(r);
		if (r->held) {
			rest(r, 1);
		} else if (ring_server_wants_timer(&r->server)) {
			rest(r, 1);
			ring_server_fq_expired(&r->server);
		} else if (ring_server_park(&r->server, r->awaits)) {
			r->asked = r->awaits;
			rest(r, IDLE_MS);
			r->asked = false;
			ring_server_unpark(&r->server);
		}
	}
	pthread_mutex_unlock(&r->fake->lock);
	return NULL;
}

struct fake_ring *fake_ring_new_passive(struct fake_daemon *fake)
{
	struct fake_ring *r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ring *ring;

	/* Not from the heap, as the fake itself. */
	assert(r != MAP_FAILED);
	r->fake = fake;
	r->memory = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	r->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert(r->memory >= 0 && r->doorbell >= 0);
	assert(ftruncate(r->memory, sizeof(*ring)) == 0);
	assert(fcntl(r->memory, F_ADD_SEALS,
		     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_SHARED,
		    r->memory, 0);
	assert(ring != MAP_FAILED);
	ring_server_init(&r->server, ring);
	fake->ring = r;
	return r;
}

struct fake_ring *fake_ring_new(struct fake_daemon *fake)
{
	struct fake_ring *r = fake_ring_new_passive(fake);

	assert(pthread_create(&r->thread, NULL, serve, r) == 0);
	r->has_thread = true;
	return r;
}

bool fake_ring_serve(struct fake_ring *r)
{
	while (serve_one(r))
		wake_client(r);
	wake_client(r);
	return !r->server.fault;
}

void fake_ring_free(struct fake_ring *r)
{
	pthread_mutex_lock(&r->fake->lock);
	r->stop = true;
	r->fake->ring = NULL;
	pthread_mutex_unlock(&r->fake->lock);
	if (r->has_thread)
		pthread_join(r->thread, NULL);
	munmap(r->server.ring, sizeof(*r->server.ring));
	close(r->memory);
	close(r->doorbell);
	munmap(r, sizeof(*r));
}

int fake_ring_fd(struct fake_ring *r, uint8_t opcode)
{
	return fcntl(opcode == WIRE_OP_RING ? r->memory : r->doorbell,
		     F_DUPFD_CLOEXEC, 0);
}

static void set_held(struct fake_ring *r, bool held)
{
	pthread_mutex_lock(&r->fake->lock);
	r->held = held;
	pthread_mutex_unlock(&r->fake->lock);
}

void fake_ring_hold(struct fake_ring *r)
{
	set_held(r, true);
}

void fake_ring_let_go(struct fake_ring *r)
{
	set_held(r, false);
}

void fake_ring_delay(struct fake_ring *r, uint8_t opcode)
{
	pthread_mutex_lock(&r->fake->lock);
	r->delayed = opcode;
	pthread_mutex_unlock(&r->fake->lock);
}

void fake_ring_late(struct fake_ring *r)
{
	pthread_mutex_lock(&r->fake->lock);
	while (r->kept > 0) {
		const struct kept_reply *late = &r->late[--r->kept];

		ring_server_complete(&r->server, &late->reply, late->data,
				     late->data_offset);
	}
	wake_client(r);
	pthread_mutex_unlock(&r->fake->lock);
}

unsigned int fake_ring_kept(struct fake_ring *r)
{
	unsigned int kept;

	pthread_mutex_lock(&r->fake->lock);
	kept = r->kept;
	pthread_mutex_unlock(&r->fake->lock);
	return kept;
}

void fake_ring_await(struct fake_ring *r)
{
	bool asked = false;

	while (!asked) {
		pthread_mutex_lock(&r->fake->lock);
		r->awaits = true;
		asked = r->asked;
		pthread_mutex_unlock(&r->fake->lock);
		usleep(100);
	}
}

uint64_t fake_ring_word(const struct fake_ring *r, uint64_t word)
{
	return ring_server_word(&r->server, (uint32_t)word);
}

uint64_t fake_ring_bells(struct fake_ring *r)
{
	uint64_t bells;

	pthread_mutex_lock(&r->fake->lock);
	bells = r->bells;
	pthread_mutex_unlock(&r->fake->lock);
	return bells;
}

uint64_t fake_ring_frees(struct fake_ring *r)
{
	uint64_t frees;

	pthread_mutex_lock(&r->fake->lock);
	frees = r->frees;
	pthread_mutex_unlock(&r->fake->lock);
	return frees;
}

void fake_ring_send(struct fake_ring *r, const struct wire_reply *reply)
{
	pthread_mutex_lock(&r->fake->lock);
	/* As if a request had been taken. */
	r->server.reserved++;
	ring_server_complete(&r->server, reply, NULL, 0);
	wake_client(r);
	pthread_mutex_unlock(&r->fake->lock);
}

struct ring *fake_ring_memory(struct fake_ring *r)
{
	return r->server.ring;
}

int fake_ring_memory_fd(const struct fake_ring *r)
{
	return r->memory;
}
