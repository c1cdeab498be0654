/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the library against a hostile daemon
 *
 *	input: records of 12 bytes, each a call of the library and what the
 *	daemon does to it
 *
 * The daemon is the honest one of the library's own tests, in the same thread,
 * by socket and ring; a record says how it lies while its call is under way:
 * one field of one answer is bent, one load of shared memory reads something
 * else (and only that load: the next one reads what is there), one word of the
 * ring is written over, something is said that nobody asked for. Whatever it
 * does, the library must not crash, hang, lose a descriptor or change its mind
 * about why the connection is dead.
 *
 * The library's doorbell and sleep are replaced by turns of the daemon, so
 * everything happens in one thread and the same way each time.
 */
#include <sys/sysinfo.h>
#include <unistd.h>

#include "client/connection.h"
#include "client/fake_ring.h"
#include "fuzz/records.h"
#include "fuzz/target.h"

enum {
	RECORD_BYTES = 12,
	STEPS_MAX = 48,
	SLOTS = 8,
	PATIENCE = 12, /* turns without an answer until the daemon is gone */
	POOL_CALLS = 240, /* calls from here on are those of pools */
	OFFER_WORDS = 200, /* words from here on are those of offers */
};

/* One record. */
struct step {
	uint8_t call, slot, number;
	uint8_t load, load_how; /* the load-th load, from 1 */
	uint8_t field, field_how, answer; /* of the answer-th answer, from 0 */
	uint8_t word, word_how; /* of the ring, from 1 */
	uint8_t said; /* when it is listened to */
	uint8_t spare;
};

static_assert(sizeof(struct step) == RECORD_BYTES, "a record");

static struct {
	struct fake_daemon *fake;
	struct fake_ring *ring;
	struct tenure *connection;
	struct step step;
	unsigned int loads, answers, turns;
	bool broken; /* the ring, as the daemon sees it */
	struct tenure_memory memories[SLOTS];
	struct tenure_device devices[SLOTS];
	struct tenure_adapter adapter;
	struct tenure_resource resources[SLOTS];
	struct tenure_allocation allocations[SLOTS];
	struct tenure_token tokens[SLOTS];
	struct tenure_pool *pool;
	struct tenure_buffer buffers[SLOTS];
} world;

/* ---- Lies ---- */

static uint64_t bend(uint64_t value, uint8_t how)
{
	switch (how % 8) {
	case 0:
		return value + 1;
	case 1:
		return value - 1;
	case 2:
		return value ^ UINT64_C(1) << how / 8;
	case 3:
		return value ^ UINT64_C(0x100000000) << how / 8;
	case 4:
		return 0;
	case 5:
		return UINT64_MAX;
	case 6:
		return value + (UINT64_C(1) << (how / 8 % 16));
	default:
		return value * 0x9e3779b1u + how;
	}
}

uint32_t fresh_u32(const atomic_u32 *word);
uint64_t fresh_u64(const atomic_u64 *word);

uint64_t fresh_u64(const atomic_u64 *word)
{
	uint64_t value = load_relaxed_u64(word);

	return ++world.loads == world.step.load ?
		       bend(value, world.step.load_how) :
		       value;
}

uint32_t fresh_u32(const atomic_u32 *word)
{
	uint32_t value = load_relaxed_u32(word);

	return ++world.loads == world.step.load ?
		       (uint32_t)bend(value, world.step.load_how) :
		       value;
}

#define BEND(what) ((what) = (__typeof__(what))bend((uint64_t)(what), how))

static void bend_data(struct exchange *x, uint8_t at, uint8_t how)
{
	uint64_t *words = x->data;

	if (x->data_bytes >= sizeof(*words))
		BEND(words[at % (x->data_bytes / sizeof(*words))]);
}

/* Changes one thing in an answer. */
static int lie(void *context, struct exchange *x)
{
	uint8_t how = world.step.field_how, field = world.step.field;
	struct wire_reply *reply = &x->reply;

	(void)context;
	/* The next one may be the one. */
	world.fake->lie_at = world.fake->n_requests + 1;
	if (world.answers++ != world.step.answer)
		return 0;
	switch (field % 20) {
	case 1:
		BEND(reply->opcode);
		break;
	case 2:
		BEND(reply->reserved);
		break;
	case 3:
		BEND(reply->fds);
		break;
	case 4:
		BEND(reply->status);
		break;
	case 5:
		BEND(reply->id);
		break;
	case 6:
		BEND(reply->reason);
		break;
	case 7:
		BEND(reply->index);
		break;
	case 8:
		BEND(reply->count);
		break;
	case 9:
		BEND(reply->data_bytes);
		break;
	case 10:
	case 11:
	case 12:
	case 13:
		BEND(reply->value[field % 20 - 10]);
		break;
	case 14:
	case 15:
		bend_data(x, field / 20, how);
		break;
	case 16:
		x->data_bytes = min_u64(bend(x->data_bytes, how), x->capacity);
		break;
	case 17:
		if (x->fd >= 0)
			close(x->fd);
		x->fd = -1;
		return how % 2 ? -ECONNRESET : -EPROTO;
	case 18:
		x->fd_lost = x->fd < 0;
		break;
	case 19:
		if (x->fd < 0)
			x->fd = dup(fake_ring_memory_fd(world.ring));
		break;
	}
	return 0;
}

/* Writes over one word of the ring: those that count, or any. */
static void scribble(void)
{
	atomic_u64 *words = (void *)fake_ring_memory(world.ring);
	size_t at = world.step.word - 1u, i;

	if (world.step.word == 0)
		return;
	if (at < 10)
		i = at * RING_LINE_BYTES / sizeof(*words);
	else if (at >= OFFER_WORDS)
		i = offsetof(struct ring, offers.entries) / sizeof(*words) +
		    at - OFFER_WORDS;
	else
		i = offsetof(struct ring, cq) / sizeof(*words) + at - 10;
	store_relaxed_u64(&words[i], bend(load_relaxed_u64(&words[i]),
					  world.step.word_how));
	world.step.word = 0;
}

static int listen(void *context, struct exchange *x)
{
	(void)context;
	if (world.broken || world.turns > PATIENCE)
		return -ECONNRESET;
	if (world.step.said == 0)
		return -EAGAIN;
	x->reply = (struct wire_reply){
		.status = -(int)world.step.said,
		.reason = TENURE_REASON_DAEMON_STOPPING,
	};
	if (world.step.said % 7 == 0) {
		x->reply.opcode = WIRE_OP_NOTICE;
		x->reply.status = 0;
		x->reply.value[0] = world.step.number;
	}
	x->data_bytes = world.step.said % 3 == 0;
	x->fd = -1;
	return world.step.said % 5 == 0 ? -EPROTO : 0;
}

/* ---- The daemon's turns ---- */

static void take_turn(void)
{
	world.turns++;
	if (!world.broken)
		world.broken = !fake_ring_serve(world.ring);
	scribble();
}

void __wrap_ringmap_bell(const struct ringmap *map);
bool __wrap_ringmap_sleep(void *word, uint32_t sequence, uint32_t timeout_ms);
int __wrap_get_nprocs(void);

void __wrap_ringmap_bell(const struct ringmap *map)
{
	(void)map;
	take_turn();
}

bool __wrap_ringmap_sleep(void *word, uint32_t sequence, uint32_t timeout_ms)
{
	(void)word;
	(void)sequence;
	(void)timeout_ms;
	take_turn();
	return true;
}

/* Nobody looks for long. */
int __wrap_get_nprocs(void)
{
	return 1;
}

/* ---- Calls ---- */

static int call_memory(struct tenure *t, struct tenure_memory *m,
		       unsigned int call, struct tenure_token *token)
{
	size_t size = 1 + world.step.number;
	struct tenure_memory old = *m;
	int r;

	switch (call) {
	case 0:
		r = tenure_alloc(t, size, m);
		break;
	case 1:
		r = tenure_alloc_shared(t, size, m);
		break;
	case 2:
		return tenure_share(t, m, TENURE_RIGHT_READ, token);
	case 3:
		r = tenure_open_shared(t, token, m);
		break;
	default:
		return tenure_free(t, m);
	}
	if (r == 0)
		tenure_free(t, &old);
	return r;
}

static int call_lists(struct tenure *t, unsigned int call)
{
	struct tenure_destroy destroy = {
		.device = world.devices[0],
		.list = world.allocations,
		.count = world.step.number % (SLOTS + 1),
		.flags = world.step.number / 64,
	};
	size_t sizes[SLOTS] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint8_t slot = world.step.slot % SLOTS;

	switch (call) {
	case 0:
		return tenure_allocation_create(t, world.devices[0], sizes,
						SLOTS, world.allocations);
	case 1:
		return tenure_resource_create(
			t, world.devices[0],
			slot % 2 ? TENURE_CREATE_SHARED : 0, sizes, SLOTS,
			"private", world.step.number % 9,
			&world.resources[slot], world.allocations);
	case 2:
		return tenure_destroy(t, &destroy);
	case 3:
		return tenure_allocations_free(t, world.allocations,
					       destroy.count);
	case 4:
		return tenure_resource_free(t, world.resources[slot]);
	default:
		return tenure_resource_destroy(t, world.devices[0],
					       world.resources[slot]);
	}
}

static int call_map(struct tenure *t, unsigned int call)
{
	uint8_t slot = world.step.slot % SLOTS;
	unsigned int flags = world.step.number % 2 ? TENURE_MAP_WRITE :
						     TENURE_MAP_READ;
	void *pointer;
	size_t size;
	int r;

	if (call > 0)
		return tenure_unmap(t, world.devices[0],
				    world.allocations[slot]);
	r = tenure_map(t, world.devices[0], world.allocations[slot], flags,
		       &pointer, &size);
	/* What was promised can be touched. */
	if (r == 0)
		(void)*(volatile char *)pointer;
	return r;
}

static int call_devices(struct tenure *t, unsigned int call)
{
	uint8_t slot = world.step.slot % SLOTS;

	switch (call) {
	case 0:
		return tenure_device_create(t, world.adapter,
					    &world.devices[slot]);
	case 1:
		return tenure_device_destroy(t, world.devices[slot]);
	case 2:
		return tenure_adapter_open(t, NULL, &world.adapter);
	default:
		/* The pool has opened it too, and that is not ours to close. */
		return world.pool ? 0 : tenure_adapter_close(t, world.adapter);
	}
}

static int call_questions(struct tenure *t, unsigned int call)
{
	static struct tenure_async_refusal refusals[3];
	struct tenure_token *token = &world.tokens[world.step.slot % SLOTS];
	uint8_t slot = world.step.slot % SLOTS;
	struct tenure_resource_info info;
	size_t sizes[SLOTS];
	struct tenure_stat stat;
	char private[16];
	int r;

	switch (call) {
	case 0:
		return tenure_stat(t, &stat);
	case 1:
		return tenure_resource_query(t, token, &info, sizes, SLOTS);
	case 2:
		return tenure_resource_open(t, world.devices[0], token, 0,
					    SLOTS, private,
					    world.step.number % 9,
					    &world.resources[slot],
					    world.allocations);
	case 3:
		return tenure_flush(t);
	case 4:
		r = tenure_refusals_take(t, refusals, 3, NULL);
		return r > 3 ? r : r < 0 ? r : 0;
	default:
		return tenure_token_revoke(t, token);
	}
}

static int call_loop(struct tenure *t, bool ask)
{
	int r = ask ? tenure_event_fd(t) : tenure_dispatch(t);

	return r > 0 ? 0 : r;
}

/* The pool is made by the first of them. Its idle buffers are offered through
 * the ring, and none of them for so long that a scan would end it. */
static int call_pool(struct tenure *t, unsigned int call)
{
	const struct tenure_pool_options options = {
		.size = 4 * PAGE_BYTES,
		.count = SLOTS,
		.idle_timeout_ns = 3600 * NS_PER_S,
	};
	struct tenure_buffer *buffer = &world.buffers[world.step.slot % SLOTS];
	int r = world.pool ? 0 : tenure_pool_create(t, &options, &world.pool);

	if (r < 0)
		return r;
	if (call > 1)
		return tenure_pool_trim(world.pool);
	if (buffer->pointer)
		return tenure_pool_free(world.pool, buffer);
	r = tenure_pool_alloc(world.pool, 1 + world.step.number * 64u, buffer);
	if (r == 0)
		memset(buffer->pointer, 1, buffer->size);
	return r;
}

static int make_call(void)
{
	struct tenure *t = world.connection;
	unsigned int call = world.step.call % 27;
	uint8_t slot = world.step.slot % SLOTS;

	if (world.step.call >= POOL_CALLS)
		return call_pool(t, world.step.call % 3);
	if (call < 5)
		return call_memory(t, &world.memories[slot], call,
				   &world.tokens[slot]);
	if (call < 11)
		return call_lists(t, call - 5);
	if (call < 15)
		return call_map(t, (call - 11) % 2);
	if (call < 19)
		return call_devices(t, call - 15);
	if (call < 25)
		return call_questions(t, call - 19);
	if (call == 26)
		return call_loop(t, slot == 0);
	return tenure_resource_share(t, world.devices[0], world.resources[slot],
				     TENURE_RIGHT_READ, &world.tokens[slot]);
}

static void judge(int result, int dead_before)
{
	int dead = world.connection->dead_status;

	if (result > 0 || result < -4095)
		fuzz_found("call %u returned %d", world.step.call, result);
	if (dead_before != 0 && dead != dead_before)
		fuzz_found("dead for %d and then for %d", dead_before, dead);
	if (dead == 0 && result == -EPROTO)
		fuzz_found("call %u: -EPROTO, but the connection lives",
			   world.step.call);
	fuzz_judged++;
}

static void make_step(const uint8_t *data)
{
	int dead_before = world.connection->dead_status;

	memcpy(&world.step, data, sizeof(world.step));
	world.loads = world.answers = world.turns = 0;
	world.fake->lie_at = world.fake->n_requests + 1;
	judge(make_call(), dead_before);
}

/* The first record is that of the connection itself. */
static bool begin(const uint8_t *data)
{
	memset(&world, 0, sizeof(world));
	world.fake = fake_daemon_new();
	world.ring = fake_ring_new_passive(world.fake);
	world.fake->is_hostile = true;
	world.fake->lie = lie;
	world.fake->lie_at = 1;
	world.fake->listen = listen;
	memcpy(&world.step, data, sizeof(world.step));
	if (connection_new(&world.fake->transport, &world.connection) < 0)
		return false;
	memset(&world.step, 0, sizeof(world.step));
	tenure_adapter_open(world.connection, NULL, &world.adapter);
	tenure_device_create(world.connection, world.adapter,
			     &world.devices[0]);
	return true;
}

static void end(void)
{
	tenure_pool_destroy(world.pool);
	tenure_disconnect(world.connection);
	fake_ring_free(world.ring);
	fake_daemon_free(world.fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	bool close_look = fuzz_look_closely(32);
	unsigned int fds = close_look ? fake_open_fds() : 0;
	unsigned int steps = 1;

	if (size_bytes < RECORD_BYTES)
		return 0;
	if (begin(data)) {
		for (; steps < STEPS_MAX &&
		       (steps + 1) * RECORD_BYTES <= size_bytes;
		     steps++)
			make_step(data + steps * RECORD_BYTES);
	}
	end();
	if (close_look && fake_open_fds() != fds)
		fuzz_found("%u descriptors before, %u after", fds,
			   fake_open_fds());
	return 0;
}

/* ---- Inputs ---- */

static size_t measure_record(const uint8_t *data, size_t left)
{
	(void)data;
	return min_u64(RECORD_BYTES, left);
}

/* Most calls are honest, so that the others find something to break. */
static size_t make_record(struct random *random, uint8_t *data, size_t room)
{
	struct step step = {
		.call = (uint8_t)random_below(random, 27),
		.slot = (uint8_t)random_below(random, 3),
		.number = (uint8_t)random_next(random),
	};

	if (room < RECORD_BYTES)
		return 0;
	switch (random_below(random, 8)) {
	case 0:
		step.load = (uint8_t)(1 + random_below(random, 40));
		step.load_how = (uint8_t)random_next(random);
		break;
	case 1:
		step.field = (uint8_t)random_next(random);
		step.field_how = (uint8_t)random_next(random);
		step.answer = (uint8_t)random_below(random, 3);
		break;
	case 2:
		step.word = (uint8_t)(1 + random_below(random, 40));
		step.word_how = (uint8_t)random_next(random);
		break;
	case 3:
		step.said = (uint8_t)random_next(random);
		break;
	}
	if (random_chance(random, 25)) {
		step.call = (uint8_t)(POOL_CALLS +
				      random_below(random, 256 - POOL_CALLS));
		if (step.word)
			step.word = (uint8_t)(OFFER_WORDS + 1 + step.word % 12);
	}
	memcpy(data, &step, sizeof(step));
	return RECORD_BYTES;
}

static void tweak_record(struct random *random, uint8_t *data,
			 size_t size_bytes)
{
	data[random_below(random, (uint32_t)size_bytes)] =
		(uint8_t)random_next(random);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size_bytes,
			       size_t max_bytes, unsigned int seed)
{
	static const struct records_format format = {
		.head_bytes = RECORD_BYTES,
		.measure = measure_record,
		.make = make_record,
		.tweak = tweak_record,
	};

	return records_mutate(&format, data, size_bytes, max_bytes, seed);
}
