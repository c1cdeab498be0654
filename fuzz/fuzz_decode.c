/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what a client may send
 *
 * One attacker sends messages of any bytes to a whole broker; next to it
 * lives a canary, another user's client that holds some of everything.
 *
 *	input: head, then records { u16 bytes here, u16 zeros, bytes }
 *
 * The world outlives the input. When the input is over, the attacker gives
 * back what it made; if then it holds what it held before, it stays and plays
 * the attacker of the next input too, which is what makes this fast, else it
 * dies. Either way nothing may be left. Handles differ from run to
 * run, so an input names them by what they are: a 64-bit word of a message
 * whose upper 16 bits are REFERENCE stands for the n-th value that the
 * attacker got so far or knows of the canary, with one bit turned over when it
 * says so. That, and nothing else, is replaced.
 *
 * What is expected of the answer is said here again, from the comments of
 * core/wire/msg.h alone:
 *
 *  D1  A message that breaks the protocol ends the client, with a reason of
 *      the protocol; one that does not never ends it.
 *  D2  A reply names its request; status, reason and data agree.
 *  D3  The canary has what it had, and nobody else has anything when the
 *      attacker has gone.
 *  D4  Every structure of the broker and of the backends is whole.
 */
#include <stdlib.h>

#include "core/wire/msg.h"
#include "core/wire/reason.h"
#include "fuzz/records.h"
#include "fuzz/target.h"
#include "tests/support/inproc.h"

enum {
	HEAD_BYTES = 1,
	RECORD_HEAD_BYTES = 4,
	MESSAGES_MAX = 24,
	KNOWN_MAX = 256,
	MADE_MAX = 32,
	ZEROS_MAX = 1 << 15,
	CHECK_PERIOD = 64,
	/* Bits of the first head byte. */
	HEAD_SILENT = 1, /* do not say hello */
	HEAD_PRIVILEGED = 2,
	HEAD_GROUND = 4, /* with an adapter and a device to start from */
	HEAD_RING = 8, /* messages come by the ring, for all the broker knows */
	HEADS = 16,
};

/* The counters of struct wire_status that say what there is now. */
enum { COUNTERS = offsetof(struct wire_status, clients_total) / 8 };

#define REFERENCE UINT64_C(0x7265000000000000) /* "re" */

static const struct wire_allocation two_pages[2] = {
	{ .size_bytes = 4096 },
	{ .size_bytes = 4096 },
};

/* What is told to the attacker: values it got, and those of the canary. */
struct known {
	uint64_t values[KNOWN_MAX];
	uint32_t n;
};

/* What the attacker made in this input and can give back. */
struct made {
	uint8_t opcode; /* of the request that takes it away */
	uint64_t device;
	uint64_t value[2]; /* a handle, or a token */
	bool in_list;
};

struct attack {
	bool alive, by_ring;
	uint32_t client;
	struct known known, known_at_first;
	bool said_hello, has_ring, has_doorbell, has_page;
	uint32_t fds_unacknowledged;
	struct wire_stat stat_at_first;
	struct made made[MADE_MAX];
	uint32_t n_made;
	bool untidy; /* it made what it cannot give back, or waits */
	uint64_t counters[COUNTERS]; /* what there is because of it */
};

static struct inproc *world;
static uint32_t canary;
static uint64_t canary_device, canary_allocation;
static struct known canary_known;
static struct wire_stat canary_stat;
static struct attack attackers[HEADS];
static uint64_t quiet[COUNTERS]; /* of the canary and attackers at first */

static void learn(struct known *known, uint64_t value)
{
	if (value != 0 && known->n < KNOWN_MAX)
		known->values[known->n++] = value;
}

/* ---- The world ---- */

static void count(uint64_t ret[COUNTERS])
{
	struct wire_status status;

	broker_status(inproc_broker(world), &status);
	memcpy(ret, &status, COUNTERS * sizeof(*ret));
}

static uint64_t ask(uint32_t client, const struct wire_request *request,
		    const void *args, size_t args_bytes,
		    struct inproc_reply *ret)
{
	struct wire_request q = *request;

	q.args_bytes = (uint32_t)args_bytes;
	if (inproc_call(world, client, &q, args, args_bytes, ret) != 0)
		fuzz_found("the world refuses op %u for reason %u", q.opcode,
			   ret->head.reason);
	return ret->head.value[0];
}

static uint64_t make_device(uint32_t client, struct known *known)
{
	struct wire_request open = { .opcode = WIRE_OP_ADAPTER_OPEN };
	struct wire_request create = { .opcode = WIRE_OP_DEVICE_CREATE };
	struct inproc_reply reply;
	uint64_t device;

	memcpy(open.value, "system", 6);
	create.object = ask(client, &open, NULL, 0, &reply);
	learn(known, create.object);
	device = ask(client, &create, NULL, 0, &reply);
	learn(known, device);
	return device;
}

/* Returns the resource, if flags ask for one; *ret_first is an allocation. */
static uint64_t make_memory(uint32_t client, uint64_t device, uint32_t flags,
			    struct known *known, uint64_t *ret_first)
{
	struct wire_request create = {
		.opcode = WIRE_OP_CREATE,
		.device = device,
		.flags = flags,
		.count = ARRAY_SIZE(two_pages),
	};
	struct inproc_reply reply;
	uint64_t handles[2];

	ask(client, &create, two_pages, sizeof(two_pages), &reply);
	memcpy(handles, reply.data, sizeof(handles));
	learn(known, handles[0]);
	learn(known, handles[1]);
	learn(known, reply.head.value[0]);
	*ret_first = handles[0];
	return reply.head.value[0];
}

static void read_stat(uint32_t client, struct wire_stat *ret)
{
	const struct wire_request stat = { .opcode = WIRE_OP_STAT };
	static struct inproc_reply reply;

	ask(client, &stat, NULL, 0, &reply);
	memcpy(ret, reply.data, sizeof(*ret));
}

static void make_canary(void)
{
	struct wire_request share = {
		.opcode = WIRE_OP_SHARE,
		.flags = TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
	};
	struct inproc_reply reply;

	inproc_connect(world, NULL, &canary, NULL);
	inproc_hello(world, canary);
	canary_device = make_device(canary, &canary_known);
	share.device = canary_device;
	share.object =
		make_memory(canary, canary_device,
			    TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED,
			    &canary_known, &canary_allocation);
	ask(canary, &share, NULL, 0, &reply);
	learn(&canary_known, reply.head.value[0]);
	learn(&canary_known, reply.head.value[1]);
	make_memory(canary, canary_device, 0, &canary_known,
		    &canary_allocation);
	read_stat(canary, &canary_stat);
	count(quiet);
}

static void make_world(void)
{
	struct inproc_config config;

	inproc_config_default(&config);
	config.memfds = false;
	config.tick_budget = 4096;
	/* As in every daemon that is not built for tests. */
	config.no_test_events = true;
	world = inproc_new(&config);
	make_canary();
}

/* D3, D4. */
static void judge_world(void)
{
	struct wire_request unmap = {
		.opcode = WIRE_OP_UNMAP,
		.device = canary_device,
		.object = canary_allocation,
	};
	static struct inproc_reply reply;
	uint64_t now[COUNTERS];
	struct wire_stat stat;

	read_stat(canary, &stat);
	if (memcmp(&stat, &canary_stat, sizeof(stat)) != 0)
		fuzz_found("the canary has lost or won something");
	inproc_call(world, canary, &unmap, NULL, 0, &reply);
	if (reply.head.reason != TENURE_REASON_NOT_MAPPED)
		fuzz_found("the canary's allocation: %s",
			   reason_sentence(reply.head.reason));
	count(now);
	for (int i = 0; i < COUNTERS; i++)
		if (now[i] != quiet[i])
			fuzz_found("something is left: counter %d is %ju, "
				   "%ju is right",
				   i, (uintmax_t)now[i], (uintmax_t)quiet[i]);
	if (fuzz_look_closely(CHECK_PERIOD))
		inproc_check(world);
}

/* ---- Messages ---- */

/* The fields of a request that msg.h names, in its order. */
struct uses {
	uint8_t opcode;
	const char *fields; /* o(bject) d(evice) f(lags) F(orm) c(ount)
			     * a(rgs) v(alue[0]) V(alue[1]) */
};

static const struct uses uses[] = {
	{ WIRE_OP_HELLO, "ovV" },
	{ WIRE_OP_PING, "" },
	{ WIRE_OP_ADAPTER_OPEN, "vV" },
	{ WIRE_OP_ADAPTER_CLOSE, "o" },
	{ WIRE_OP_DEVICE_CREATE, "o" },
	{ WIRE_OP_DEVICE_DESTROY, "df" },
	{ WIRE_OP_CREATE, "dofcva" },
	{ WIRE_OP_DESTROY, "dofFca" },
	{ WIRE_OP_SHARE, "dof" },
	{ WIRE_OP_TOKEN_REVOKE, "vV" },
	{ WIRE_OP_QUERY, "vV" },
	{ WIRE_OP_OPEN, "dvVcof" },
	{ WIRE_OP_MAP, "dof" },
	{ WIRE_OP_UNMAP, "do" },
	{ WIRE_OP_STAT, "" },
	{ WIRE_OP_STATUS, "" },
	{ WIRE_OP_CLIENTS, "v" },
	{ WIRE_OP_RESOURCES, "v" },
	{ WIRE_OP_LIMITS, "v" },
	{ WIRE_OP_CHECK, "" },
	{ WIRE_OP_RING, "" },
	{ WIRE_OP_DOORBELL, "" },
	{ WIRE_OP_NOTICES, "" },
	{ WIRE_OP_CONTEXT_CREATE, "d" },
	{ WIRE_OP_CONTEXT_DESTROY, "dof" },
	{ WIRE_OP_CONTEXT_SUBMIT, "dovca" },
	{ WIRE_OP_CONTEXT_PROGRESS, "dov" },
	{ WIRE_OP_CONTEXT_ALLOCATION_CREATE, "dofca" },
	{ WIRE_OP_CONTEXT_ALLOCATION_DESTROY, "ov" },
	{ WIRE_OP_FENCE_CREATE, "dv" },
	{ WIRE_OP_FENCE_DESTROY, "do" },
	{ WIRE_OP_FENCE_SHARE, "dof" },
	{ WIRE_OP_FENCE_OPEN, "dvVf" },
	{ WIRE_OP_FENCE_SIGNAL, "dov" },
	{ WIRE_OP_FENCE_VALUE, "do" },
	{ WIRE_OP_FENCE_WAIT, "dvfca" },
	{ WIRE_OP_FENCE_WATCH, "dfca" },
	{ WIRE_OP_FENCE_WAIT_CANCEL, "v" },
	{ WIRE_OP_EVENTS, "v" },
	{ WIRE_OP_POOL_CREATE, "cvV" },
	{ WIRE_OP_POOL_REPORT, "oa" },
	{ WIRE_OP_POOL_DESTROY, "o" },
	{ WIRE_OP_POOLS, "v" },
	{ WIRE_OP_FENCE_PAGE, "" },
	{ WIRE_OP_FENCE_PUBLISH, "dovV" },
	{ WIRE_OP_FENCE_MAP, "dof" },
	{ WIRE_OP_TEST_EVENT, "fdo" },
};

static const struct uses *uses_of(uint8_t opcode)
{
	for (size_t i = 0; i < ARRAY_SIZE(uses); i++)
		if (uses[i].opcode == opcode)
			return &uses[i];
	return NULL;
}

static bool sets_unnamed_field(const struct wire_request *q)
{
	const struct uses *u = uses_of(q->opcode);
	const struct {
		char field;
		uint64_t value;
	} set[] = {
		{ 'o', q->object },   { 'd', q->device },
		{ 'f', q->flags },    { 'F', q->form & 1 },
		{ 'c', q->count },    { 'a', q->args_bytes },
		{ 'v', q->value[0] }, { 'V', q->value[1] },
	};

	for (size_t i = 0; u && i < ARRAY_SIZE(set); i++)
		if (set[i].value != 0 && !strchr(u->fields, set[i].field))
			return true;
	return false;
}

/* What a ring cannot carry, and replies that have no room in it. */
static bool is_not_for_rings(const struct wire_request *q)
{
	uint64_t data = 0, list = q->count < 1024 ? q->count * 8 : 8192;

	switch (q->opcode) {
	case WIRE_OP_HELLO:
	case WIRE_OP_RING:
	case WIRE_OP_DOORBELL:
	case WIRE_OP_FENCE_WATCH:
	case WIRE_OP_FENCE_PAGE:
		return true;
	case WIRE_OP_FENCE_MAP:
	case WIRE_OP_MAP:
		return q->flags & WIRE_MAP_WANT_FD;
	case WIRE_OP_CREATE:
	case WIRE_OP_CONTEXT_ALLOCATION_CREATE:
		data = list;
		break;
	case WIRE_OP_OPEN:
		data = list + (q->object < 4096 ? q->object : 4096);
		break;
	case WIRE_OP_QUERY:
		data = 8192;
		break;
	case WIRE_OP_STAT:
		data = sizeof(struct wire_stat);
		break;
	case WIRE_OP_STATUS:
		data = sizeof(struct wire_status);
		break;
	case WIRE_OP_CLIENTS:
	case WIRE_OP_RESOURCES:
	case WIRE_OP_LIMITS:
	case WIRE_OP_EVENTS:
	case WIRE_OP_POOLS:
		data = WIRE_DATA_BYTES_MAX;
		break;
	case WIRE_OP_CHECK:
		data = WIRE_CHECK_BYTES_MAX;
	}
	return q->data_capacity < data;
}

/* D1: the head is not one, whatever the state of the session. */
static bool is_malformed(const struct wire_request *q, size_t size_bytes,
			 bool by_ring)
{
	if (size_bytes < 64 || size_bytes > WIRE_REQUEST_BYTES_MAX ||
	    q->args_bytes != size_bytes - 64 || sets_unnamed_field(q))
		return true;
	if (by_ring)
		return q->form > 3 || is_not_for_rings(q);
	return q->args_offset != 0 || q->data_capacity != 0 || q->form > 1;
}

/* The ring once, then the doorbell once. */
static bool is_out_of_turn(const struct attack *a, uint8_t opcode)
{
	return (opcode == WIRE_OP_RING && a->has_ring) ||
	       (opcode == WIRE_OP_FENCE_PAGE &&
		(!a->has_ring || a->has_page)) ||
	       (opcode == WIRE_OP_DOORBELL &&
		(!a->has_ring || a->has_doorbell));
}

/* The arguments of a create have one length and form that is right; they are
 * not looked at when it is refused for another cause before. */
static bool has_wrong_args(const struct wire_request *q, const uint8_t *args)
{
	struct wire_allocation allocation;

	if (q->opcode != WIRE_OP_CREATE &&
	    q->opcode != WIRE_OP_CONTEXT_ALLOCATION_CREATE)
		return false;
	if (q->value[0] > PRIVATE_DATA_MAX ||
	    q->args_bytes != q->count * UINT64_C(16) + q->value[0])
		return true;
	for (uint32_t i = 0; i < q->count; i++) {
		memcpy(&allocation, args + i * 16, sizeof(allocation));
		if (allocation.reserved != 0)
			return true;
	}
	return false;
}

enum expected { MUST_LIVE, MAY_DIE, MUST_DIE };

static enum expected expect(const struct attack *a,
			    const struct wire_request *q,
			    const uint8_t *message, size_t size_bytes)
{
	bool is_hello = q->opcode == WIRE_OP_HELLO;

	if (is_malformed(q, size_bytes, a->by_ring) ||
	    is_hello == a->said_hello || q->fds_acked > a->fds_unacknowledged ||
	    is_out_of_turn(a, q->opcode))
		return MUST_DIE;
	if (is_hello)
		return q->object == WIRE_MAGIC && q->value[0] == 1 &&
				       q->value[1] == 1 ?
			       MUST_LIVE :
		       q->object != WIRE_MAGIC ? MUST_DIE :
						 MAY_DIE;
	return has_wrong_args(q, message + 64) ? MAY_DIE : MUST_LIVE;
}

static bool is_of_protocol(uint32_t reason)
{
	return reason >= TENURE_REASON_MALFORMED &&
	       reason <= TENURE_REASON_RING_TWICE &&
	       reason != TENURE_REASON_RING_CORRUPT &&
	       reason != TENURE_REASON_HELLO_TIMEOUT &&
	       reason != TENURE_REASON_DESCRIPTORS_SENT;
}

/* D2. */
static void judge_reply(const struct wire_request *q,
			const struct wire_reply *reply)
{
	if (reply->id != q->id || reply->opcode != q->opcode)
		fuzz_found("a reply to another request");
	if (reply->status > 0 ||
	    (reply->status == 0) != (reply->reason == TENURE_REASON_NONE))
		fuzz_found("status %d with reason %u", reply->status,
			   reply->reason);
	if (reply->status == 0)
		return;
	if (strcmp(reason_sentence(reply->reason), reason_sentence(9999)) == 0)
		fuzz_found("a reason without a sentence: %u", reply->reason);
	if (reply->data_bytes != 0 || reply->fds != 0)
		fuzz_found("a refusal with data");
}

static void note_made(struct attack *a, struct made made)
{
	if (a->n_made < MADE_MAX)
		a->made[a->n_made++] = made;
	else
		a->untidy = true;
}

/* What a create or an open has made. */
static void follow_handles(struct attack *a, const struct wire_request *q,
			   const struct inproc_reply *reply)
{
	struct made made = { .opcode = WIRE_OP_DESTROY, .device = q->device };
	uint64_t resource = reply->head.value[0];

	learn(&a->known, resource);
	for (uint32_t i = 0; i < reply->head.count; i++) {
		memcpy(&made.value[0], reply->data + i * 8, 8);
		if (i < 8)
			learn(&a->known, made.value[0]);
		made.in_list = true;
		if (resource == 0)
			note_made(a, made);
	}
	made.in_list = false;
	made.value[0] = resource;
	if (resource != 0)
		note_made(a, made);
}

static void follow(struct attack *a, const struct wire_request *q,
		   const struct inproc_reply *reply)
{
	struct made token = { .opcode = WIRE_OP_TOKEN_REVOKE };

	a->said_hello |= q->opcode == WIRE_OP_HELLO && reply->head.status == 0;
	a->fds_unacknowledged -= q->fds_acked;
	a->fds_unacknowledged += reply->head.fds;
	if (reply->head.status != 0)
		return;
	switch (q->opcode) {
	case WIRE_OP_SHARE:
		memcpy(token.value, reply->head.value, sizeof(token.value));
		learn(&a->known, token.value[0]);
		learn(&a->known, token.value[1]);
		note_made(a, token);
		break;
	case WIRE_OP_RING:
		a->has_ring = true;
		a->untidy = true;
		break;
	case WIRE_OP_DOORBELL:
		a->has_doorbell = true;
		break;
	case WIRE_OP_FENCE_PAGE:
		a->has_page = true;
		break;
	case WIRE_OP_ADAPTER_OPEN:
	case WIRE_OP_DEVICE_CREATE:
		learn(&a->known, reply->head.value[0]);
		a->untidy = true;
		break;
	case WIRE_OP_CREATE:
	case WIRE_OP_OPEN:
		follow_handles(a, q, reply);
	}
}

static void resolve(const struct known *known, uint8_t *word)
{
	uint64_t value;
	uint32_t bit;

	memcpy(&value, word, sizeof(value));
	if (value >> 48 != REFERENCE >> 48 || known->n == 0)
		return;
	bit = (uint32_t)(value >> 16 & 0xff);
	value = known->values[(value & 0xffff) % known->n];
	if (bit > 0)
		value ^= UINT64_C(1) << (bit - 1) % 64;
	memcpy(word, &value, sizeof(value));
}

static void judge_verdict(const struct wire_request *q,
			  const struct wire_reply *reply,
			  enum broker_verdict verdict, enum expected expected)
{
	if (verdict == BROKER_KILL &&
	    (expected == MUST_LIVE || !is_of_protocol(reply->reason)))
		fuzz_found("op %u killed for reason %u", q->opcode,
			   reply->reason);
	if (verdict != BROKER_KILL && expected == MUST_DIE)
		fuzz_found("op %u, status %d: should have been killed",
			   q->opcode, reply->status);
	/* A message that is no request has nothing to be echoed. */
	if (verdict == BROKER_REPLY ||
	    (verdict == BROKER_KILL && reply->opcode != 0))
		judge_reply(q, reply);
}

/* By the ring, whoever says nothing of the reply's room has enough of it. */
static void make_room(const struct attack *a, uint8_t *message,
		      size_t size_bytes)
{
	struct wire_request q;

	if (!a->by_ring || size_bytes < sizeof(q))
		return;
	memcpy(&q, message, sizeof(q));
	if (q.data_capacity == 0)
		q.data_capacity = WIRE_DATA_BYTES_MAX;
	memcpy(message, &q, sizeof(q));
}

static void send(struct attack *a, uint8_t *message, size_t size_bytes)
{
	static struct inproc_reply reply;
	struct wire_request q = { 0 };
	enum broker_verdict verdict;
	enum expected expected;

	for (size_t at = 16; at + 8 <= size_bytes; at += 8)
		if (at != 32 && at != 40)
			resolve(&a->known, message + at);
	make_room(a, message, size_bytes);
	memcpy(&q, message, size_bytes < sizeof(q) ? size_bytes : sizeof(q));
	expected = expect(a, &q, message, size_bytes);
	memset(&reply.head, 0, sizeof(reply.head));
	inproc_by_ring(world, a->by_ring);
	verdict = inproc_send_bytes(world, a->client, message, size_bytes,
				    &reply);
	inproc_by_ring(world, false);
	judge_verdict(&q, &reply.head, verdict, expected);
	fuzz_judged++;
	a->alive = verdict != BROKER_KILL;
	if (verdict == BROKER_LATER &&
	    !inproc_take_reply(world, a->client, q.id, &reply))
		fuzz_found("op %u waits, though nothing is held", q.opcode);
	follow(a, &q, &reply);
}

/* ---- The life of an attacker ---- */

static void begin(struct attack *a, uint8_t head)
{
	struct peer peer = {
		.uid = 2000,
		.pid = 200,
		.cgroup = "/attacker",
		.privileged = head & HEAD_PRIVILEGED,
	};
	uint64_t now[COUNTERS], device, first;

	*a = (struct attack){ .alive = true,
			      .by_ring = head & HEAD_RING,
			      .known = canary_known };
	if (inproc_connect(world, &peer, &a->client, NULL) != 0)
		fuzz_found("nobody can connect any more");
	if (!(head & HEAD_SILENT)) {
		inproc_hello(world, a->client);
		a->said_hello = true;
		if (head & HEAD_GROUND) {
			device = make_device(a->client, &a->known);
			make_memory(a->client, device, TENURE_CREATE_RESOURCE,
				    &a->known, &first);
		}
		read_stat(a->client, &a->stat_at_first);
	}
	a->known_at_first = a->known;
	count(now);
	for (int i = 0; i < COUNTERS; i++) {
		a->counters[i] = now[i] - quiet[i];
		quiet[i] = now[i];
	}
}

/* Refusals are no matter: it may have been taken away before. */
static void give_back(const struct attack *a, const struct made *made)
{
	struct wire_request q = {
		.opcode = made->opcode,
		.device = made->device,
	};
	static struct inproc_reply reply;

	if (made->opcode == WIRE_OP_TOKEN_REVOKE) {
		memcpy(q.value, made->value, sizeof(q.value));
		inproc_call(world, a->client, &q, NULL, 0, &reply);
	} else if (made->in_list) {
		q.form = WIRE_FORM_LIST;
		q.count = 1;
		q.args_bytes = 8;
		inproc_call(world, a->client, &q, made->value, 8, &reply);
	} else {
		q.object = made->value[0];
		inproc_call(world, a->client, &q, NULL, 0, &reply);
	}
}

/* Whether the attacker is as it was at first, once it has given all back. */
static bool is_as_new(struct attack *a)
{
	struct wire_request ack = {
		.opcode = WIRE_OP_PING,
		.fds_acked = (uint16_t)a->fds_unacknowledged,
	};
	static struct inproc_reply reply;
	struct wire_stat stat;

	if (!a->alive || !a->said_hello || a->untidy)
		return false;
	if (a->fds_unacknowledged > 0)
		inproc_call(world, a->client, &ack, NULL, 0, &reply);
	for (uint32_t i = 0; i < a->n_made; i++)
		give_back(a, &a->made[i]);
	a->n_made = 0;
	a->fds_unacknowledged = 0;
	a->known = a->known_at_first;
	read_stat(a->client, &stat);
	return memcmp(&stat, &a->stat_at_first, sizeof(stat)) == 0;
}

static void end(struct attack *a, uint8_t head)
{
	if (!(head & HEAD_SILENT) && is_as_new(a))
		return;
	if (a->alive)
		inproc_kill(world, a->client);
	a->alive = false;
	for (int i = 0; i < COUNTERS; i++)
		quiet[i] -= a->counters[i];
}

/* One record of the input. */
static void send_record(struct attack *a, struct reader *input)
{
	size_t here = read_u16(input), zeros = read_u16(input);
	const uint8_t *bytes = read_bytes(input, here, &here);
	uint8_t *message;

	zeros = min_u64(zeros, ZEROS_MAX);
	/* A block of its own, so that a sanitizer sees a read beyond it. */
	message = malloc(here + zeros + 1);
	assert(message);
	memcpy(message, bytes, here);
	memset(message + here, 0, zeros);
	send(a, message, here + zeros);
	free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader input = { data, size_bytes };
	uint8_t head = read_u8(&input) % HEADS;
	struct attack *a = &attackers[head];

	if (!world)
		make_world();
	if (!a->alive)
		begin(a, head);
	for (int i = 0; a->alive && input.left > 0 && i < MESSAGES_MAX; i++)
		send_record(a, &input);
	end(a, head);
	judge_world();
	return 0;
}

/* ---- Mutation ---- */

static uint64_t draw_reference(struct random *random)
{
	uint64_t n = random_below(random, 24);

	/* What the attacker got comes behind what it knows. */
	if (random_chance(random, 70))
		n = canary_known.n + random_below(random, 8);
	if (random_chance(random, 10))
		n |= (uint64_t)(1 + random_below(random, 64)) << 16;
	return REFERENCE | n;
}

static uint64_t draw_word(struct random *random)
{
	static const uint64_t odd[] = { 0,    1,    2,		1023,	   1024,
					1025, 4096, UINT32_MAX, UINT64_MAX };

	if (random_chance(random, 70))
		return draw_reference(random);
	return odd[random_below(random, ARRAY_SIZE(odd))];
}

static uint32_t draw_flags(struct random *random)
{
	return random_chance(random, 80) ?
		       random_below(random, 4) :
		       UINT32_C(1) << random_below(random, 32);
}

/* The fields that the request has, with values that may be right. */
static void fill_fields(struct random *random, struct wire_request *q)
{
	const struct uses *u = uses_of(q->opcode);

	for (const char *f = u ? u->fields : ""; *f; f++) {
		if (*f == 'o' && random_chance(random, 70))
			q->object = draw_word(random);
		if (*f == 'd')
			q->device = draw_reference(random);
		if (*f == 'f')
			q->flags = draw_flags(random);
		if (*f == 'F')
			q->form = (uint8_t)random_below(random, 2);
		if (*f == 'c')
			q->count = random_below(random, 5);
		if (*f == 'v' && q->opcode >= WIRE_OP_CONTEXT_CREATE &&
		    random_chance(random, 80))
			q->value[0] = random_below(random, 16);
	}
	if (q->opcode == WIRE_OP_ADAPTER_OPEN)
		memcpy(q->value, random_chance(random, 80) ? "system" : "other",
		       6);
	else if (u && strchr(u->fields, 'V')) /* a token: two in a row */
		for (uint64_t n = random_below(random, 24), i = 0; i < 2; i++)
			q->value[i] = REFERENCE | (n + i);
}

static uint32_t make_args(struct random *random, const struct wire_request *q,
			  uint64_t *args)
{
	uint32_t words = 0;

	if ((q->opcode == WIRE_OP_DESTROY && q->form == WIRE_FORM_LIST) ||
	    q->opcode == WIRE_OP_CONTEXT_SUBMIT)
		for (uint32_t i = 0; i < q->count; i++)
			args[words++] = draw_reference(random);
	if (q->opcode == WIRE_OP_POOL_REPORT)
		for (uint32_t i = 0; i < 11; i++)
			args[words++] = random_below(random, 100);
	if (q->opcode == WIRE_OP_CREATE ||
	    q->opcode == WIRE_OP_CONTEXT_ALLOCATION_CREATE)
		for (uint32_t i = 0; i < q->count; i++) {
			args[words++] = 1 + random_below(random, 20000);
			args[words++] = 0;
		}
	return words * 8;
}

/* What costs much (a second hello, a device, a check) comes seldom. */
static uint8_t draw_opcode(struct random *random)
{
	uint8_t opcode = uses[random_below(random, ARRAY_SIZE(uses))].opcode;

	if (random_chance(random, 2))
		return (uint8_t)random_next(random);
	if ((opcode <= WIRE_OP_DEVICE_DESTROY || opcode == WIRE_OP_CHECK) &&
	    random_chance(random, 80))
		return random_chance(random, 50) ? WIRE_OP_CREATE :
						   WIRE_OP_DESTROY;
	return opcode;
}

static void put_u16(uint8_t *to, size_t value)
{
	to[0] = (uint8_t)value;
	to[1] = (uint8_t)(value >> 8);
}

static size_t make_record(struct random *random, uint8_t *data, size_t room)
{
	uint64_t args[16];
	struct wire_request q = { .id = random_below(random, 1000) };
	size_t size;

	q.opcode = draw_opcode(random);
	fill_fields(random, &q);
	q.args_bytes = make_args(random, &q, args);
	size = sizeof(q) + q.args_bytes;
	if (size + RECORD_HEAD_BYTES > room)
		return 0;
	put_u16(data, size);
	put_u16(data + 2, 0);
	memcpy(data + RECORD_HEAD_BYTES, &q, sizeof(q));
	memcpy(data + RECORD_HEAD_BYTES + sizeof(q), args, q.args_bytes);
	return RECORD_HEAD_BYTES + size;
}

static size_t measure_record(const uint8_t *data, size_t left)
{
	struct reader r = { data, left };
	size_t here = read_u16(&r);

	return min_u64(left, RECORD_HEAD_BYTES + here);
}

static void tweak_field(struct random *random, struct wire_request *q)
{
	switch (random_below(random, 8)) {
	case 0:
		q->opcode = draw_opcode(random);
		break;
	case 1:
		q->device = draw_word(random);
		break;
	case 2:
		q->object = draw_word(random);
		break;
	case 3:
		q->flags = draw_flags(random);
		break;
	case 4:
		q->count = (uint32_t)draw_word(random);
		break;
	case 5:
		q->form = (uint8_t)random_below(random, 5);
		break;
	case 6:
		q->value[random_below(random, 2)] = draw_word(random);
		break;
	case 7: /* what is seldom set */
		if (random_chance(random, 50))
			q->fds_acked = (uint16_t)random_below(random, 3);
		else if (random_chance(random, 20))
			q->data_capacity = random_below(random, 9000);
		else
			q->args_bytes ^= 1u << random_below(random, 16);
	}
}

/* Now and then a message grows by as many zeros as a list of zeros has. */
static void tweak_record(struct random *random, uint8_t *data,
			 size_t size_bytes)
{
	static const uint16_t zeros[] = { 0, 8, 8192, 8200, 20480, 20488 };
	uint8_t *message = data + RECORD_HEAD_BYTES;
	struct wire_request q;
	size_t words;

	if (size_bytes < RECORD_HEAD_BYTES + sizeof(q))
		return;
	words = (size_bytes - RECORD_HEAD_BYTES - sizeof(q)) / 8;
	memcpy(&q, message, sizeof(q));
	if (words > 0 && random_chance(random, 30)) {
		uint64_t word = draw_word(random);

		memcpy(message + sizeof(q) +
			       8 * random_below(random, (uint32_t)words),
		       &word, sizeof(word));
	} else if (random_chance(random, 10)) {
		uint16_t n = zeros[random_below(random, ARRAY_SIZE(zeros))];

		put_u16(data + 2, n);
		q.args_bytes = (uint32_t)(words * 8 + n);
		q.count = q.args_bytes / 8;
	} else {
		tweak_field(random, &q);
	}
	memcpy(message, &q, sizeof(q));
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
