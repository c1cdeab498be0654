/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a ring that is written while it is read
 *
 * One client has a ring; the daemon's end of it, as it ships, and a whole
 * broker are behind. The input says what the client does, honestly with the
 * library's end or by scribbling, and what each load of the daemon's end
 * returns while it works: what is there, or something else. So a value may be
 * another one whenever it is read again, as it may be for real.
 *
 *	input: head, then records { op, a, b, c, 8 bytes for loads }
 *
 * A byte for loads is used by one load: 0 to 127 leave the truth.
 *
 * What is judged:
 *
 *  R1  No word of the client is read twice in one call: what is judged is what
 *      is used.
 *  R2  Nothing outside the ring is touched, and only what is the daemon's is
 *      written.
 *  R3  The indexes of the daemon's end keep their distances, and no completion
 *      is written over an unread one.
 *  R4  What is taken is legal, and until the client has lied, it is what was
 *      put in, in order.
 *  R5  A reply fits the room that its request offered.
 *  R6  When the client has gone, nothing is left, and the state is whole.
 */
#include <stdlib.h>

#include "core/ring/ring_client.h"
#include "core/ring/ring_server.h"
#include "core/wire/codec.h"
#include "fuzz/records.h"
#include "fuzz/target.h"
#include "tests/support/inproc.h"

enum {
	HEAD_BYTES = 1,
	RECORD_BYTES = 12,
	INPUT_STEPS_MAX = 64,
	KNOWN_MAX = 64,
	LATE_MAX = 64,
	PIECES_MAX = 8,
	CHECK_PERIOD = 64,
};

enum step {
	STEP_SUBMIT,
	STEP_FREE,
	STEP_PUBLISH,
	STEP_REAP,
	STEP_SERVE,
	STEP_PARK,
	STEP_EXPIRE,
	STEP_INDEX, /* scribbles over an index */
	STEP_ENTRY, /* over an entry */
	STEP_ARENA, /* over arguments */
	STEPS,
};

enum { COUNTERS = offsetof(struct wire_status, clients_total) / 8 };

/* As in fuzz/fresh.h, which takes the place of core/atomic.h. */
uint64_t fresh_load(const void *word, uint32_t word_bytes);
void fresh_store(void *word, uint32_t word_bytes, uint64_t value);

static struct inproc *world;
static uint64_t quiet[COUNTERS];

static struct ring *ring;
static struct ring_server server;
static struct ring_client client;
static uint32_t session;
static bool alive, lied;
static uint64_t device;
static uint64_t known[KNOWN_MAX];
static uint32_t n_known;
static uint64_t next_sent, next_taken, frees_sent, frees_taken;
static struct wire_request late[LATE_MAX]; /* answered later */
static uint32_t n_late;

/* What the loads of one call see. */
static const uint8_t *tape;
static uint32_t tape_left;
static uint32_t seen[sizeof(struct ring) / 4];
static uint32_t call; /* number of the call under way */

static size_t place_of(const void *word, uint32_t word_bytes)
{
	uintptr_t at = (uintptr_t)word - (uintptr_t)ring;

	if (at >= sizeof(*ring) || at % word_bytes != 0)
		fuzz_found("a word outside the ring is touched");
	return at;
}

static uint64_t lie(uint64_t truth, uint8_t how)
{
	static const uint64_t odd[] = {
		0,	  1,	    UINT32_MAX, UINT64_MAX, UINT64_MAX / 2,
		1u << 15, 1u << 18, 0xfffffff0
	};

	if (how < 160)
		return truth + (how - 127u);
	if (how < 192)
		return truth - (how - 159u);
	if (how < 200)
		return odd[how - 192];
	return truth ^ (UINT64_C(1) << (how % 64));
}

uint64_t fresh_load(const void *word, uint32_t word_bytes)
{
	size_t at = place_of(word, word_bytes);
	uint64_t truth = 0, value;

	if (seen[at / 4] == call)
		fuzz_found("the word at %zu is read twice in one call", at);
	seen[at / 4] = call;
	memcpy(&truth, word, word_bytes);
	if (tape_left == 0)
		return truth;
	tape_left--;
	if (*tape++ < 128)
		return truth;
	value = lie(truth, tape[-1]);
	lied |= value != truth;
	return value;
}

void fresh_store(void *word, uint32_t word_bytes, uint64_t value)
{
	size_t at = place_of(word, word_bytes);

	if (at < offsetof(struct ring_header, sq_head) ||
	    (at >= offsetof(struct ring, sq) &&
	     at < offsetof(struct ring, cq)) ||
	    (at >= offsetof(struct ring, fq) &&
	     at < offsetof(struct ring, arena)))
		fuzz_found("the client's word at %zu is written", at);
	memcpy(word, &value, word_bytes);
}

/* A call of the daemon's end begins. */
static void begin_call(void)
{
	call++;
	assert(call != 0);
}

/* R3 */
static void judge_server(void)
{
	uint32_t unread = server.cq_tail - server.cq_head;

	if (unread > RING_CQ_ENTRIES || server.reserved > RING_CQ_ENTRIES ||
	    unread + server.reserved > RING_CQ_ENTRIES)
		fuzz_found("%u completions unread, %u reserved", unread,
			   server.reserved);
	if (server.sq_tail - server.sq_head > RING_SQ_ENTRIES ||
	    server.fq_tail - server.fq_head > RING_FQ_ENTRIES)
		fuzz_found("an index is impossible and was believed");
}

/* ---- The world ---- */

static void count(uint64_t ret[COUNTERS])
{
	struct wire_status status;

	broker_status(inproc_broker(world), &status);
	memcpy(ret, &status, COUNTERS * sizeof(*ret));
}

static uint64_t ask(struct wire_request q, const void *args, uint32_t bytes,
		    struct inproc_reply *ret)
{
	q.args_bytes = bytes;
	if (inproc_call(world, session, &q, args, bytes, ret) != 0)
		fuzz_found("the world refuses op %u", q.opcode);
	return ret->head.value[0];
}

static void learn(uint64_t handle)
{
	if (handle != 0 && n_known < KNOWN_MAX)
		known[n_known++] = handle;
}

static void make_memory(uint32_t flags, uint32_t n)
{
	struct wire_allocation sizes[8] = { { 0, 0 } };
	static struct inproc_reply reply;
	uint64_t handles[8];

	for (uint32_t i = 0; i < n; i++)
		sizes[i].size_bytes = 4096;
	learn(ask((struct wire_request){ .opcode = WIRE_OP_CREATE,
					 .device = device,
					 .flags = flags,
					 .count = n },
		  sizes, n * 16, &reply));
	memcpy(handles, reply.data, n * 8);
	for (uint32_t i = 0; i < n; i++)
		learn(handles[i]);
}

/* What a device owns besides memory. The queues of a ring have no business
 * with it. */
static void make_work(void)
{
	const struct wire_allocation size = { 4096, 0 };
	static struct inproc_reply reply;
	uint64_t context;

	context = ask((struct wire_request){ .opcode = WIRE_OP_CONTEXT_CREATE,
					     .device = device },
		      NULL, 0, &reply);
	learn(context);
	learn(ask((struct wire_request){ .opcode = WIRE_OP_FENCE_CREATE,
					 .device = device },
		  NULL, 0, &reply));
	ask((struct wire_request){ .opcode = WIRE_OP_CONTEXT_ALLOCATION_CREATE,
				   .device = device,
				   .object = context,
				   .count = 1 },
	    &size, sizeof(size), &reply);
	learn(*(const uint64_t *)(const void *)reply.data);
}

static void make_world(void)
{
	struct inproc_config config;

	inproc_config_default(&config);
	config.memfds = false;
	config.tick_budget = 4096;
	config.no_test_events = true;
	world = inproc_new(&config);
	ring = aligned_alloc(4096, sizeof(*ring));
	assert(ring);
	count(quiet);
}

static void make_client(uint8_t head)
{
	struct wire_request open = { .opcode = WIRE_OP_ADAPTER_OPEN };
	static struct inproc_reply reply;

	n_known = n_late = 0;
	next_sent = next_taken = frees_sent = frees_taken = 0;
	alive = true;
	lied = false;
	inproc_connect(world, NULL, &session, NULL);
	inproc_hello(world, session);
	memcpy(open.value, "system", 6);
	ask(open, NULL, 0, &reply);
	device = ask((struct wire_request){ .opcode = WIRE_OP_DEVICE_CREATE,
					    .object = reply.head.value[0] },
		     NULL, 0, &reply);
	learn(device);
	make_memory(0, 8);
	make_memory(TENURE_CREATE_RESOURCE, 4);
	if (head & 1)
		make_memory(TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED, 2);
	if (head & 2)
		make_work();
	memset(ring, 0, sizeof(*ring));
	tape_left = 0;
	begin_call();
	ring_server_init(&server, ring);
	ring_client_init(&client, ring);
}

static void end_client(void)
{
	if (alive)
		inproc_kill(world, session);
	alive = false;
}

/* R6 */
static void judge_world(void)
{
	uint64_t now[COUNTERS];

	inproc_pump_all(world);
	count(now);
	for (int i = 0; i < COUNTERS; i++)
		if (now[i] != quiet[i])
			fuzz_found("something is left: counter %d is %ju", i,
				   (uintmax_t)now[i]);
	if (fuzz_look_closely(CHECK_PERIOD))
		inproc_check(world);
}

/* ---- The client ---- */

static uint64_t known_at(uint8_t which)
{
	uint64_t value = known[which % n_known];

	/* Now and then one that has never been. */
	return which >= 240 ? value ^ (UINT64_C(1) << (which % 64)) : value;
}

static struct wire_request draw_request(uint8_t a, uint8_t b, uint64_t *args)
{
	static const uint8_t opcodes[] = {
		WIRE_OP_PING,  WIRE_OP_DESTROY, WIRE_OP_CREATE,
		WIRE_OP_STAT,  WIRE_OP_MAP,	WIRE_OP_UNMAP,
		WIRE_OP_SHARE, WIRE_OP_DESTROY, WIRE_OP_DEVICE_DESTROY,
		WIRE_OP_RING,  WIRE_OP_QUERY,	WIRE_OP_CLIENTS,
	};
	struct wire_request q = { .device = device };

	q.opcode = opcodes[(a & 15) % ARRAY_SIZE(opcodes)];
	q.form = a & 64 ? WIRE_FORM_QUIET : 0;
	args[0] = 4096;
	args[1] = 0;
	if (q.opcode == WIRE_OP_DESTROY && (a & 16)) {
		q.form |= WIRE_FORM_LIST;
		q.count = 1;
		q.args_bytes = 8;
		args[0] = known_at(b);
	} else if (q.opcode == WIRE_OP_CREATE) {
		q.count = 1;
		q.args_bytes = 16;
	} else if (q.opcode != WIRE_OP_PING && q.opcode != WIRE_OP_STAT &&
		   q.opcode != WIRE_OP_DEVICE_DESTROY &&
		   q.opcode != WIRE_OP_QUERY) {
		q.object = known_at(b);
	}
	if (q.opcode == WIRE_OP_DESTROY && (a & 32))
		q.flags = TENURE_DESTROY_SYNCHRONOUS;
	if (q.opcode == WIRE_OP_SHARE)
		q.flags = TENURE_RIGHT_READ;
	if (q.opcode == WIRE_OP_PING || q.opcode == WIRE_OP_STAT ||
	    q.opcode == WIRE_OP_QUERY)
		q.device = 0;
	return q;
}

static void submit(uint8_t a, uint8_t b, uint8_t c)
{
	uint64_t args[2];
	struct wire_request q = draw_request(a, b, args);
	uint32_t block = c % RING_BLOCKS;

	q.id = next_sent;
	q.data_capacity = wire_data_max(&q);
	if (c >= 250 && q.data_capacity > 0)
		q.data_capacity -= 1;
	if (q.args_bytes > 0 || q.data_capacity > 0)
		q.args_offset = block * RING_BLOCK_BYTES;
	if (ring_client_submit(&client, &q) != 0)
		return;
	next_sent++;
	memcpy((void *)&ring->arena[block], args, sizeof(args));
}

static void scribble(void *at, uint8_t b, uint8_t c)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	value = c < 128 ? (uint32_t)lie(value, (uint8_t)(128 + c)) :
			  value + b * 257u;
	memcpy(at, &value, sizeof(value));
	lied = true;
}

static void scribble_index(uint8_t a, uint8_t b, uint8_t c)
{
	void *const indexes[] = { &ring->header.sq_tail, &ring->header.fq_tail,
				  &ring->header.cq_head,
				  &ring->header.client_need };

	scribble(indexes[a % ARRAY_SIZE(indexes)], b, c);
}

static void reap(uint8_t n)
{
	struct wire_reply reply;

	for (uint32_t i = 0; i <= n; i++)
		if (ring_client_reap(&client, &reply) != 1)
			break;
	ring_client_reaped(&client);
}

/* ---- The daemon ---- */

static void answer(const struct wire_request *q,
		   const struct inproc_reply *reply, bool is_late)
{
	if (reply->head.data_bytes > (is_late ? 0 : q->data_capacity))
		fuzz_found("op %u: %u bytes of data", q->opcode,
			   reply->head.data_bytes);
	begin_call();
	if (reply->quiet)
		ring_server_forgo(&server);
	else
		ring_server_complete(&server, &reply->head, reply->data,
				     q->args_offset);
}

/* R4 */
static void judge_request(const struct wire_request *q)
{
	if (q->args_offset % RING_BLOCK_BYTES != 0 ||
	    q->args_offset / RING_BLOCK_BYTES >= RING_BLOCKS ||
	    q->args_bytes > RING_BLOCK_BYTES ||
	    q->data_capacity > RING_BLOCK_BYTES)
		fuzz_found("a request outside the arena was taken");
	if (!lied && q->id != next_taken)
		fuzz_found("request %ju was taken instead of %ju",
			   (uintmax_t)q->id, (uintmax_t)next_taken);
	next_taken++;
}

static void serve_request(const struct ring_work *work)
{
	static struct inproc_reply reply;
	const struct wire_request q = work->request;
	enum broker_verdict verdict;

	judge_request(&q);
	inproc_by_ring(world, true);
	verdict = inproc_send_bytes(world, session, &work->request,
				    sizeof(q) + q.args_bytes, &reply);
	inproc_by_ring(world, false);
	fuzz_judged++;
	if (verdict == BROKER_KILL) {
		alive = false;
	} else if (verdict == BROKER_REPLY) {
		answer(&q, &reply, false);
		if (q.opcode == WIRE_OP_CREATE && reply.head.status == 0)
			learn(*(const uint64_t *)(const void *)reply.data);
	} else {
		assert(n_late < LATE_MAX);
		late[n_late++] = q;
	}
}

static void serve_frees(const struct ring_work *work)
{
	static struct wire_reply refusals[RING_FREES_MAX];
	uint32_t n;

	if (work->frees == 0 || work->frees > RING_FREES_MAX)
		fuzz_found("%u frees taken at once", work->frees);
	frees_taken += work->frees;
	if (!lied && frees_taken > frees_sent)
		fuzz_found("more frees were taken than there are");
	n = broker_free(inproc_broker(world), session, work->handles,
			work->frees, inproc_now_ns(world), refusals);
	fuzz_judged += work->frees;
	begin_call();
	for (uint32_t i = 0; i < n; i++)
		ring_server_refuse_free(&server, &refusals[i]);
	ring_server_frees_done(&server, work->frees);
	inproc_pump_all(world);
}

static void serve_late(void)
{
	static struct inproc_reply reply;

	for (uint32_t i = 0; i < n_late;) {
		if (!inproc_take_reply(world, session, late[i].id, &reply)) {
			i++;
			continue;
		}
		answer(&late[i], &reply, true);
		late[i] = late[--n_late];
	}
}

/* One piece of work; false: there is none, or the client has ended. */
static bool serve_one(void)
{
	static struct ring_work work;
	enum ring_take what;

	begin_call();
	what = n_late < LATE_MAX ? ring_server_take(&server, &work) :
				   RING_TAKE_NONE;
	judge_server();
	switch (what) {
	case RING_TAKE_REQUEST:
		serve_request(&work);
		return alive;
	case RING_TAKE_FREES:
		serve_frees(&work);
		return true;
	case RING_TAKE_FAULT:
		if (!lied)
			fuzz_found("an honest client: %s", work.fault);
		end_client();
		return false;
	case RING_TAKE_NONE:
	case RING_TAKE_NO_ROOM:
		break;
	}
	return false;
}

static void serve(void)
{
	for (int i = 0; i < PIECES_MAX && serve_one(); i++)
		;
	if (!alive)
		return;
	serve_late();
	begin_call();
	ring_server_publish(&server);
	judge_server();
}

static void park(uint8_t a)
{
	begin_call();
	if (ring_server_park(&server, a & 1)) {
		begin_call();
		ring_server_unpark(&server);
	}
	judge_server();
}

/* ---- Steps ---- */

static void do_step(const uint8_t *r)
{
	tape_left = 0;
	switch ((enum step)(r[0] % STEPS)) {
	case STEP_SUBMIT:
		submit(r[1], r[2], r[3]);
		return;
	case STEP_FREE:
		for (uint32_t i = 0; i <= r[1] % 8u; i++)
			frees_sent += ring_client_free(
					      &client,
					      known_at((uint8_t)(r[2] + i))) >=
				      0;
		return;
	case STEP_PUBLISH:
		ring_client_publish(&client);
		return;
	case STEP_REAP:
		reap(r[1]);
		return;
	case STEP_INDEX:
		scribble_index(r[1], r[2], r[3]);
		return;
	case STEP_ENTRY:
		scribble((uint8_t *)(void *)&ring->sq[r[1]] + (r[2] & 60), r[2],
			 r[3]);
		return;
	case STEP_ARENA:
		scribble((uint8_t *)(void *)&ring->arena[r[1] % RING_BLOCKS] +
				 (r[2] & 28),
			 r[2], r[3]);
		return;
	case STEP_SERVE:
	case STEP_PARK:
	case STEP_EXPIRE:
	case STEPS:
		break;
	}
	tape = r + 4;
	tape_left = 8;
	if (r[0] % STEPS == STEP_SERVE)
		serve();
	else if (r[0] % STEPS == STEP_PARK)
		park(r[1]);
	else {
		begin_call();
		ring_server_fq_expired(&server);
	}
	tape_left = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader input = { data, size_bytes };
	uint8_t head = read_u8(&input), record[RECORD_BYTES];

	if (!world)
		make_world();
	make_client(head);
	for (int i = 0; alive && input.left > 0 && i < INPUT_STEPS_MAX; i++) {
		for (int k = 0; k < RECORD_BYTES; k++)
			record[k] = read_u8(&input);
		do_step(record);
	}
	if (alive) {
		tape_left = 0;
		serve();
	}
	end_client();
	judge_world();
	return 0;
}

/* ---- Mutation ---- */

static size_t make_record(struct random *random, uint8_t *data, size_t room)
{
	if (room < RECORD_BYTES)
		return 0;
	for (int i = 0; i < RECORD_BYTES; i++)
		data[i] = (uint8_t)random_below(random, i < 4 ? 256 : 128);
	data[0] = (uint8_t)random_below(random, STEPS);
	/* Honest most of the time, or nothing gets far. */
	if (data[0] >= STEP_INDEX && random_chance(random, 80))
		data[0] = STEP_SERVE;
	if (random_chance(random, 20))
		data[4 + random_below(random, 8)] |= 128;
	return RECORD_BYTES;
}

static size_t measure_record(const uint8_t *data, size_t left)
{
	(void)data;
	return min_u64(left, RECORD_BYTES);
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
		.head_bytes = HEAD_BYTES,
		.measure = measure_record,
		.make = make_record,
		.tweak = tweak_record,
	};

	return records_mutate(&format, data, size_bytes, max_bytes, seed);
}
