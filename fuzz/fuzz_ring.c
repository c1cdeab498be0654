/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a ring that is written while it is read
 *
 * One client has a ring; the daemon's end of it and the port that serves it, as
 * they ship, and a whole broker are behind.
 *
 *	client's end -> ring -> ring_server -> port -> broker
 *	                    ^              ^       ^
 *	                  loads        what is judged
 *
 * The engine is none: its turns are the test world's. The input says what the
 * client does, honestly with the library's end or by scribbling, and what each
 * load of the daemon's end returns while it works: what is there, or something
 * else. So a value may be another one whenever it is read again, as it may be
 * for real.
 *
 *	input: head, then records { op, a, b, c, 8 bytes for loads }
 *
 * A byte for loads is used by one load: 0 to 127 leave the truth.
 *
 * What is judged:
 *
 *  R1  No word of the client is read twice in one call: what is judged is what
 *      is used (ring_server G3).
 *  R2  Nothing outside the ring is touched, and only what is the daemon's is
 *      written (ring_server G3).
 *  R3  The indexes of the daemon's end keep their distances, and no completion
 *      is written over an unread one.
 *  R4  What is taken is legal, and until the client has lied, what is executed
 *      is what was put in, all of it, once and in order.
 *  R5  Each request that is not to wait is answered by the turn that executes
 *      it, in order, where it offered room and in no more than that.
 *  R6  When the client has gone, nothing is left, and the state is whole.
 */
#include <stdlib.h>

#include "core/ring/ring_client.h"
#include "core/wire/codec.h"
#include "daemon/port.h"
#include "fuzz/records.h"
#include "fuzz/target.h"
#include "tests/support/inproc.h"

enum {
	HEAD_BYTES = 1,
	RECORD_BYTES = 12,
	INPUT_STEPS_MAX = 64,
	FREES_MAX = 8 * INPUT_STEPS_MAX,
	KNOWN_MAX = 64,
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

/* Only its gate and its broker, which is the world's. */
static struct engine engine;
static struct port *port;
static struct port_bench bench;
static struct ring *ring;
static struct ring_client client;
static uint32_t session;
static bool alive, lied;
static uint64_t device;
static uint64_t known[KNOWN_MAX];
static uint32_t n_known;
static uint64_t requests_sent, requests_done;
static uint64_t frees[FREES_MAX]; /* that were sent */
static uint32_t frees_sent, frees_done;
/* To be answered by this turn, in order. */
static struct wire_request due[PORT_REQUESTS];
static uint32_t n_due, n_answered;
static uint64_t late[RING_CQ_ENTRIES]; /* answered later */
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
static void judge_server(const struct ring_server *server)
{
	uint32_t unread = server->cq_tail - server->cq_head;

	if (unread > RING_CQ_ENTRIES || server->reserved > RING_CQ_ENTRIES ||
	    unread + server->reserved > RING_CQ_ENTRIES)
		fuzz_found("%u completions unread, %u reserved", unread,
			   server->reserved);
	if (server->sq_tail - server->sq_head > RING_SQ_ENTRIES ||
	    server->fq_tail - server->fq_head > RING_FQ_ENTRIES)
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

/* Two of them are as many children as one free of a queue may cost. */
static void make_families(void)
{
	static struct wire_allocation sizes[RESOURCE_CHILDREN_MAX];
	static struct inproc_reply reply;

	for (uint32_t i = 0; i < RESOURCE_CHILDREN_MAX; i++)
		sizes[i].size_bytes = 4096;
	for (uint32_t i = 0; i < 3; i++)
		learn(ask((struct wire_request){ .opcode = WIRE_OP_CREATE,
						 .device = device,
						 .flags = TENURE_CREATE_RESOURCE,
						 .count = ARRAY_SIZE(sizes) },
			  sizes, sizeof(sizes), &reply));
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
	config.broker = &engine.broker;
	gate_init(&engine.gate, 0);
	world = inproc_new(&config);
	count(quiet);
}

static void ignore(struct port *which)
{
	assert(which == port);
}

static void make_ring(void)
{
	int r = port_new(&engine, session, 0, &port);

	assert(r == 0);
	port->late_came = port->tell = ignore;
	begin_call();
	ring_client_init(&client, ring);
}

static void make_client(uint8_t head)
{
	struct wire_request open = { .opcode = WIRE_OP_ADAPTER_OPEN };
	static struct inproc_reply reply;

	n_known = n_late = 0;
	requests_sent = requests_done = 0;
	frees_sent = frees_done = 0;
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
	if (head & 4)
		make_families();
	tape_left = 0;
	make_ring();
}

static void end_client(void)
{
	if (alive)
		inproc_kill(world, session);
	alive = false;
	port->ended = true;
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

	q.id = requests_sent;
	q.data_capacity = wire_data_max(&q);
	if (c >= 250 && q.data_capacity > 0)
		q.data_capacity -= 1;
	if (q.args_bytes > 0 || q.data_capacity > 0)
		q.args_offset = block * RING_BLOCK_BYTES;
	if (ring_client_submit(&client, &q) != 0)
		return;
	requests_sent++;
	memcpy((void *)&ring->arena[block], args, sizeof(args));
}

static void free_some(uint8_t n, uint8_t which)
{
	for (uint32_t i = 0; i <= n % 8u; i++) {
		uint64_t handle = known_at((uint8_t)(which + i));

		if (ring_client_free(&client, handle) >= 0)
			frees[frees_sent++] = handle;
	}
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

/* ---- The daemon's end ---- */

void __real_ring_server_init(struct ring_server *server, struct ring *made);
void __wrap_ring_server_init(struct ring_server *server, struct ring *made);
enum ring_take __real_ring_server_take(struct ring_server *server,
				       struct ring_work *ret);
enum ring_take __wrap_ring_server_take(struct ring_server *server,
				       struct ring_work *ret);
void __real_ring_server_complete(struct ring_server *server,
				 const struct wire_reply *reply,
				 const void *data, uint32_t args_offset);
void __wrap_ring_server_complete(struct ring_server *server,
				 const struct wire_reply *reply,
				 const void *data, uint32_t args_offset);
bool __real_ring_server_publish(struct ring_server *server);
bool __wrap_ring_server_publish(struct ring_server *server);

void __wrap_ring_server_init(struct ring_server *server, struct ring *made)
{
	ring = made;
	__real_ring_server_init(server, made);
}

/* R4 */
static void judge_work(enum ring_take what, const struct ring_work *work)
{
	const struct wire_request *q = &work->request;

	if (what == RING_TAKE_FREES &&
	    (work->frees == 0 || work->frees > RING_FREES_MAX))
		fuzz_found("%u frees taken at once", work->frees);
	if (what == RING_TAKE_REQUEST &&
	    (q->args_offset % RING_BLOCK_BYTES != 0 ||
	     q->args_offset / RING_BLOCK_BYTES >= RING_BLOCKS ||
	     q->args_bytes > RING_BLOCK_BYTES ||
	     q->data_capacity > RING_BLOCK_BYTES))
		fuzz_found("a request outside the arena was taken");
}

enum ring_take __wrap_ring_server_take(struct ring_server *server,
				       struct ring_work *ret)
{
	enum ring_take what;

	begin_call();
	what = __real_ring_server_take(server, ret);
	judge_server(server);
	judge_work(what, ret);
	return what;
}

/* R5 */
void __wrap_ring_server_complete(struct ring_server *server,
				 const struct wire_reply *reply,
				 const void *data, uint32_t args_offset)
{
	if (n_answered < n_due) {
		const struct wire_request *q = &due[n_answered++];

		if (reply->id != q->id || reply->opcode != q->opcode)
			fuzz_found("the answer to another request");
		if (reply->data_bytes > q->data_capacity ||
		    args_offset != q->args_offset)
			fuzz_found("op %u: %u bytes of data at %u", q->opcode,
				   reply->data_bytes, args_offset);
	} else if (reply->data_bytes > 0) {
		fuzz_found("a late reply with data");
	}
	begin_call();
	__real_ring_server_complete(server, reply, data, args_offset);
}

bool __wrap_ring_server_publish(struct ring_server *server)
{
	bool wake;

	begin_call();
	wake = __real_ring_server_publish(server);
	judge_server(server);
	return wake;
}

/* ---- The broker ---- */

enum broker_verdict __real_broker_receive(struct broker *broker,
					  uint32_t sender, enum broker_port by,
					  const void *bytes, size_t size_bytes,
					  uint64_t now_ns,
					  struct broker_reply *ret);
enum broker_verdict __wrap_broker_receive(struct broker *broker,
					  uint32_t sender, enum broker_port by,
					  const void *bytes, size_t size_bytes,
					  uint64_t now_ns,
					  struct broker_reply *ret);
uint32_t __real_broker_free_some(struct broker *broker, uint32_t sender,
				 const uint64_t *handles, uint32_t n,
				 uint64_t now_ns,
				 struct wire_reply *ret_refusals,
				 uint32_t *ret_done);
uint32_t __wrap_broker_free_some(struct broker *broker, uint32_t sender,
				 const uint64_t *handles, uint32_t n,
				 uint64_t now_ns,
				 struct wire_reply *ret_refusals,
				 uint32_t *ret_done);

static void expect(const struct wire_request *q, enum broker_verdict verdict,
		   const struct broker_reply *reply)
{
	if (verdict == BROKER_LATER) {
		assert(n_late < RING_CQ_ENTRIES);
		late[n_late++] = q->id;
	} else if (verdict == BROKER_REPLY && !reply->quiet) {
		due[n_due++] = *q;
	}
	if (verdict == BROKER_REPLY && q->opcode == WIRE_OP_CREATE &&
	    reply->head.status == 0)
		learn(*(const uint64_t *)(const void *)reply->data);
}

enum broker_verdict __wrap_broker_receive(struct broker *broker,
					  uint32_t sender, enum broker_port by,
					  const void *bytes, size_t size_bytes,
					  uint64_t now_ns,
					  struct broker_reply *ret)
{
	enum broker_verdict verdict;
	struct wire_request q;

	verdict = __real_broker_receive(broker, sender, by, bytes, size_bytes,
					now_ns, ret);
	if (by != BROKER_PORT_RING)
		return verdict;
	memcpy(&q, bytes, sizeof(q));
	if (!lied && q.id != requests_done)
		fuzz_found("request %ju was executed instead of %ju",
			   (uintmax_t)q.id, (uintmax_t)requests_done);
	requests_done++;
	expect(&q, verdict, ret);
	return verdict;
}

uint32_t __wrap_broker_free_some(struct broker *broker, uint32_t sender,
				 const uint64_t *handles, uint32_t n,
				 uint64_t now_ns,
				 struct wire_reply *ret_refusals,
				 uint32_t *ret_done)
{
	uint32_t refused = __real_broker_free_some(
		broker, sender, handles, n, now_ns, ret_refusals, ret_done);

	for (uint32_t i = 0; !lied && i < *ret_done; i++)
		if (frees_done + i >= frees_sent ||
		    handles[i] != frees[frees_done + i])
			fuzz_found("free %u is not what was put in",
				   frees_done + i);
	frees_done += *ret_done;
	return refused;
}

/* ---- The turns ---- */

/* Inside the gate. */
static void hand_over_late(void)
{
	static struct inproc_reply reply;

	for (uint32_t i = 0; i < n_late && port->late_count < PORT_LATE;) {
		if (!inproc_take_reply(world, session, late[i], &reply)) {
			i++;
			continue;
		}
		port->sink.take(&port->sink,
				&(struct broker_reply){ .client = session,
							.port = reply.port,
							.quiet = reply.quiet,
							.head = reply.head });
		late[i] = late[--n_late];
	}
}

/* In place of daemon/engine.c. */
bool engine_try_settle_locked(struct engine *which, uint64_t now_ns,
			      struct engine_rest *ret_rest)
{
	assert(which == &engine);
	(void)now_ns;
	inproc_pump_all(world);
	hand_over_late();
	*ret_rest = (struct engine_rest){ 0 };
	return true;
}

struct engine_rest engine_pump(struct engine *which, uint64_t now_ns)
{
	assert(which == &engine);
	(void)now_ns;
	inproc_pump_all(world);
	return (struct engine_rest){ 0 };
}

static bool serve(void)
{
	enum port_served served;
	uint32_t done = 0;

	n_due = n_answered = 0;
	served = port_serve(port, &bench, inproc_now_ns(world), &done);
	fuzz_judged += done;
	if (served == PORT_FAULT) {
		if (!lied && port->cause)
			fuzz_found("an honest client: %s", port->cause);
		end_client();
		return false;
	}
	if (n_answered < n_due)
		fuzz_found("request %ju was not answered",
			   (uintmax_t)due[n_answered].id);
	inproc_pump_all(world);
	engine_lock(&engine);
	hand_over_late();
	engine_unlock(&engine);
	port_serve_late(port, &bench);
	judge_server(&port->server);
	return served == PORT_BUSY;
}

/* All that is left, and a client that reads its answers. */
static void serve_out(void)
{
	tape_left = 0;
	ring_client_publish(&client);
	do
		reap(UINT8_MAX);
	while (serve());
	if (alive && !lied &&
	    (requests_done != requests_sent || frees_done != frees_sent))
		fuzz_found("%ju requests and %u frees were never executed",
			   (uintmax_t)(requests_sent - requests_done),
			   frees_sent - frees_done);
}

static void park(uint8_t a)
{
	begin_call();
	if (ring_server_park(&port->server, a & 1)) {
		begin_call();
		ring_server_unpark(&port->server);
	}
	judge_server(&port->server);
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
		free_some(r[1], r[2]);
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
		ring_server_fq_expired(&port->server);
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
	if (alive)
		serve_out();
	end_client();
	port_free(port);
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
