/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the destroy rules against a second implementation
 *
 * Two clients with memory of every sort, some of it destroyed, and destroy
 * requests with arguments drawn from it. second_rules.c, which was written
 * from table A alone and keeps its own list of what was handed out, says
 * which answers are right.
 *
 *	input: records { u8 step, u8 a, u8 b, u8 c, and for a destroy: u8
 *	       flags, u8 shape, u8 n, n * { u8 how, u8 which } }
 *
 *  R1  Status, reason and index of every destroy are those of table A.
 *  R2  A refused destroy has changed nothing.
 *  R3  After a granted one exactly the handles are dead that it names: all
 *      handles that there ever were are tried at the end.
 *
 * The world outlives the input, and so do its two clients when all that they
 * made can be taken back one by one, which is ten times as fast as their
 * death. They begin with two devices and one.
 */
#include <stdlib.h>

#include "core/region.h"
#include "core/state.h"
#include "core/wire/reason.h"
#include "fuzz/records.h"
#include "fuzz/second_rules.h"
#include "fuzz/target.h"
#include "tests/support/inproc.h"

enum {
	CLIENTS = 2,
	STEPS_MAX = 64,
	RECORD_BYTES = 4,
	ENTRIES_MAX = 48,
	LIST_MAX = 1032,
	COUNTERS = offsetof(struct wire_status, clients_total) / 8,
	CHECK_PERIOD = 64,
	IMAGE_PERIOD = 512,
};

enum step {
	STEP_DESTROY = 0, /* and every number above STEP_MAP */
	STEP_ADAPTER,
	STEP_DEVICE,
	STEP_PRIVATE,
	STEP_SHARED,
	STEP_OWNED, /* by the device */
	STEP_ADD,
	STEP_OPEN,
	STEP_DEVICE_DESTROY,
	STEP_PUMP,
	STEP_STOP,
	STEP_ERROR,
	STEP_MAP,
	STEPS,
};

/* How a handle is chosen. */
enum how {
	HOW_RIGHT, /* alive, of this client and of the kind that is asked for */
	HOW_KIND, /* of that kind, of anybody, dead or alive */
	HOW_ANY, /* of any kind, of anybody */
	HOW_ZERO,
	HOW_NEIGHBOUR, /* one bit of a right one is turned over */
	HOW_TOKEN, /* half of a token's value */
	HOW_ODD,
	/* What another client's handle would be if it were of this one: the
	 * guess that nobody can make. */
	HOW_GUESS,
	HOWS,
};

static struct inproc *world;
static uint32_t keeper; /* opens both adapters, to start them again */
static uint64_t keeper_adapters[INPROC_ADAPTERS];
static uint32_t clients[CLIENTS];
static bool connected, any_stopped;
/* Something was done to devices that cannot be taken back. */
static bool untidy;
static struct wire_stat stats_at_first[CLIENTS];
static uint64_t n_late; /* requests that may be answered later */
static int n_at_first; /* items of every world */
static struct second_world second;
static int adapters_of[SECOND_HANDLES_MAX]; /* of adapters and devices */
static uint64_t token[2]; /* the last one */
static uint64_t tokens[STEPS_MAX + SECOND_HANDLES_MAX][2];
static uint32_t token_makers[STEPS_MAX + SECOND_HANDLES_MAX], n_tokens;
static uint64_t quiet[COUNTERS];
static struct inproc_reply reply;

/* ---- The world ---- */

static void count(uint64_t ret[COUNTERS])
{
	struct wire_status status;

	broker_status(inproc_broker(world), &status);
	memcpy(ret, &status, COUNTERS * sizeof(*ret));
}

/* 0 or the status of the refusal; the answer is in reply. */
static int ask(uint32_t client, struct wire_request q, const void *args,
	       size_t args_bytes)
{
	q.args_bytes = (uint32_t)args_bytes;
	reply.head = (struct wire_reply){ 0 };
	if (inproc_send(world, client, &q, args, args_bytes, &reply) ==
	    BROKER_KILL)
		fuzz_found("op %u killed for reason %u", q.opcode,
			   reply.head.reason);
	return reply.head.status;
}

static void read_stat(uint32_t client, struct wire_stat *ret)
{
	struct wire_request stat = { .opcode = WIRE_OP_STAT };

	ask(clients[client], stat, NULL, 0);
	memcpy(ret, reply.data, sizeof(*ret));
}

static int ask_adapter(uint32_t client, uint32_t adapter)
{
	struct wire_request q = { .opcode = WIRE_OP_ADAPTER_OPEN };

	memcpy(q.value, adapter ? "other\0" : "system", 6);
	return ask(client, q, NULL, 0);
}

static void ask_event(uint64_t adapter, uint32_t event)
{
	struct wire_request q = {
		.opcode = WIRE_OP_TEST_EVENT,
		.flags = event,
		.object = adapter,
	};

	ask(keeper, q, NULL, 0);
}

static void make_world(void)
{
	struct inproc_config config;

	inproc_config_default(&config);
	config.memfds = false;
	config.tick_budget = 4096;
	world = inproc_new(&config);
	inproc_connect(world, NULL, &keeper, NULL);
	inproc_hello(world, keeper);
	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++) {
		ask_adapter(keeper, i);
		keeper_adapters[i] = reply.head.value[0];
	}
	inproc_pump_by_itself(world, false);
	count(quiet);
}

/* ---- Choosing handles ---- */

static int note(uint64_t wire, uint32_t client, enum second_kind kind,
		int device, int resource, bool sealed)
{
	if (second.n == SECOND_HANDLES_MAX)
		return -1;
	second.items[second.n] = (struct second_handle){
		.wire = wire,
		.client = client,
		.kind = kind,
		.device = device,
		.resource = resource,
		.sealed = sealed,
	};
	return second.n++;
}

static bool has_room(void)
{
	return second.n <= SECOND_HANDLES_MAX - 8;
}

/* The which-th item that fits, counting round; -1 when none does. */
static int choose(uint32_t client, enum second_kind kind, enum how how,
		  uint32_t which)
{
	int fitting[SECOND_HANDLES_MAX];
	uint32_t n = 0;

	for (int i = 0; i < second.n; i++) {
		const struct second_handle *h = &second.items[i];

		if ((how == HOW_ANY || h->kind == kind) &&
		    (how != HOW_RIGHT ||
		     (h->client == client && h->life == SECOND_ALIVE)))
			fitting[n++] = i;
	}
	return n == 0 ? -1 : fitting[which % n];
}

static uint64_t secret_of(uint32_t client)
{
	const struct region *region = &inproc_broker(world)->env.region;

	return session_at(region, clients[client])->secret;
}

static uint64_t guess(uint32_t client, enum second_kind kind, uint8_t which)
{
	uint32_t other = (client + 1) % CLIENTS;
	int item = choose(other, kind, HOW_RIGHT, which);

	return item < 0 ? 0 :
			  second.items[item].wire ^ secret_of(other) ^
				  secret_of(client);
}

static uint64_t choose_handle(uint32_t client, enum second_kind kind,
			      uint8_t how, uint8_t which)
{
	static const uint64_t odd[] = { 1, UINT32_MAX, UINT64_MAX,
					UINT64_C(1) << 63, UINT64_C(1) << 32 };
	int item;

	how = how < 128 ? how % HOWS : HOW_RIGHT;
	if (how == HOW_ZERO)
		return 0;
	if (how == HOW_TOKEN)
		return token[which % 2];
	if (how == HOW_ODD)
		return odd[which % ARRAY_SIZE(odd)];
	if (how == HOW_GUESS)
		return guess(client, kind, which);
	item = choose(client, kind, how == HOW_NEIGHBOUR ? HOW_RIGHT : how,
		      how == HOW_NEIGHBOUR ? which / 64 : which);
	if (item < 0)
		return 0;
	if (how == HOW_NEIGHBOUR)
		return second.items[item].wire ^ UINT64_C(1) << which % 64;
	return second.items[item].wire;
}

/* ---- Building ---- */

static void step_adapter(uint32_t client, uint8_t which)
{
	int item;

	untidy = true;
	if (ask_adapter(clients[client], which % 2) != 0)
		return;
	item = note(reply.head.value[0], client, SECOND_ADAPTER, -1, -1, false);
	adapters_of[item] = which % 2;
}

static void step_device(uint32_t client, uint8_t which)
{
	struct wire_request q = { .opcode = WIRE_OP_DEVICE_CREATE };
	int adapter = choose(client, SECOND_ADAPTER, HOW_RIGHT, which), item;

	untidy = true;
	if (adapter < 0) {
		step_adapter(client, which);
		adapter = choose(client, SECOND_ADAPTER, HOW_RIGHT, which);
	}
	if (adapter < 0)
		return;
	q.object = second.items[adapter].wire;
	if (ask(clients[client], q, NULL, 0) != 0)
		return;
	item = note(reply.head.value[0], client, SECOND_DEVICE, -1, -1, false);
	adapters_of[item] = adapters_of[adapter];
}

static void note_made(uint32_t client, int device, int resource, bool sealed)
{
	uint64_t handle;

	if (reply.head.value[0] != 0 && resource < 0)
		resource = note(reply.head.value[0], client, SECOND_RESOURCE,
				device, -1, sealed);
	for (uint32_t i = 0; i < reply.head.count; i++) {
		memcpy(&handle, reply.data + i * 8, sizeof(handle));
		note(handle, client, SECOND_ALLOCATION, device, resource,
		     false);
	}
}

/* A device to work on, made when there is none. */
static int some_device(uint32_t client, uint8_t which)
{
	int device = choose(client, SECOND_DEVICE, HOW_RIGHT, which);

	if (device < 0)
		step_device(client, which);
	return choose(client, SECOND_DEVICE, HOW_RIGHT, which);
}

static void create(uint32_t client, int device, int resource, uint32_t flags,
		   uint8_t count)
{
	struct wire_allocation sizes[4] = {
		{ .size_bytes = 1 },
		{ .size_bytes = 1 },
		{ .size_bytes = 1 },
		{ .size_bytes = 1 },
	};
	struct wire_request q = {
		.opcode = WIRE_OP_CREATE,
		.flags = flags,
		.count = 1 + count % 4,
	};

	if (device < 0)
		return;
	q.device = second.items[device].wire;
	if (resource >= 0)
		q.object = second.items[resource].wire;
	if (ask(clients[client], q, sizes, q.count * sizeof(sizes[0])) == 0)
		note_made(client, device, resource,
			  flags & TENURE_CREATE_SHARED);
}

static void step_add(uint32_t client, uint8_t which, uint8_t count)
{
	int resource = choose(client, SECOND_RESOURCE, HOW_RIGHT, which);

	if (resource >= 0)
		create(client, second.items[resource].device, resource, 0,
		       count);
}

static void note_token(uint32_t maker)
{
	assert(n_tokens < ARRAY_SIZE(tokens));
	memcpy(tokens[n_tokens], reply.head.value, sizeof(tokens[n_tokens]));
	token_makers[n_tokens++] = maker;
}

/* Shares a resource of anybody, and opens it on a device. */
static void step_open(uint32_t client, uint8_t which, uint8_t device_which)
{
	struct wire_request q = { .opcode = WIRE_OP_SHARE,
				  .flags = TENURE_RIGHT_READ };
	int resource = choose(0, SECOND_RESOURCE, HOW_KIND, which);
	int device = some_device(client, device_which);
	const struct second_handle *h;

	if (resource < 0 || device < 0)
		return;
	h = &second.items[resource];
	if (h->life != SECOND_ALIVE)
		return;
	q.device = second.items[h->device].wire;
	q.object = h->wire;
	if (ask(clients[h->client], q, NULL, 0) != 0)
		return;
	memcpy(token, reply.head.value, sizeof(token));
	note_token(h->client);
	q = (struct wire_request){
		.opcode = WIRE_OP_QUERY,
		.value = { token[0], token[1] },
	};
	if (ask(clients[client], q, NULL, 0) != 0)
		return;
	q.opcode = WIRE_OP_OPEN;
	q.device = second.items[device].wire;
	q.count = reply.head.count;
	if (ask(clients[client], q, NULL, 0) == 0)
		note_made(client, device, -1, true);
}

static void step_device_destroy(uint32_t client, uint8_t which)
{
	struct wire_request q = { .opcode = WIRE_OP_DEVICE_DESTROY };
	int device = choose(client, SECOND_DEVICE, HOW_KIND, which);

	if (device < 0 || second.items[device].life == SECOND_DEAD ||
	    second.items[device].client != client)
		return;
	untidy = true;
	q.device = second.items[device].wire;
	if (ask(clients[client], q, NULL, 0) != 0)
		return;
	second_device_ends(&second, device, SECOND_REMOVED);
	/* Marks it as one that goes when there is time. */
	adapters_of[device] = -1;
}

static void step_pump(void)
{
	inproc_pump_all(world);
	for (int i = 0; i < second.n; i++)
		if (second.items[i].kind == SECOND_DEVICE &&
		    second.items[i].life == SECOND_REMOVED &&
		    adapters_of[i] == -1)
			second_device_ends(&second, i, SECOND_DEAD);
}

static void step_stop(uint8_t which)
{
	untidy = any_stopped = true;
	ask_event(keeper_adapters[which % 2], WIRE_TEST_ADAPTER_STOP);
	for (int i = 0; i < second.n; i++)
		if (second.items[i].kind == SECOND_DEVICE &&
		    second.items[i].life == SECOND_ALIVE &&
		    adapters_of[i] == which % 2)
			second_device_ends(&second, i, SECOND_REMOVED);
}

static void step_error(uint32_t client, uint8_t which)
{
	struct wire_request q = { .opcode = WIRE_OP_TEST_EVENT,
				  .flags = WIRE_TEST_DEVICE_ERROR };
	int device = choose(client, SECOND_DEVICE, HOW_RIGHT, which);

	if (device < 0)
		return;
	untidy = true;
	q.device = second.items[device].wire;
	ask(clients[client], q, NULL, 0);
}

static void step_map(uint32_t client, uint8_t which)
{
	struct wire_request q = { .opcode = WIRE_OP_MAP };
	int allocation = choose(client, SECOND_ALLOCATION, HOW_RIGHT, which);

	if (allocation < 0)
		return;
	q.device = second.items[second.items[allocation].device].wire;
	q.object = second.items[allocation].wire;
	ask(clients[client], q, NULL, 0);
}

/* ---- What a refusal must not change ---- */

struct image {
	uint64_t counters[COUNTERS];
	uint64_t calls;
	/* When looking closely, these too: */
	struct wire_stat stats[CLIENTS];
	uint8_t *areas; /* of the whole region */
	size_t areas_bytes;
};

static size_t copy_areas(uint8_t *to)
{
	const struct region *region = &inproc_broker(world)->env.region;
	size_t sum = 0;

	for (int i = 0; i < AREAS; i++) {
		const struct area_head *head = region_area(region, i);
		size_t size = (size_t)head->committed * head->record_bytes;

		if (to)
			memcpy(to + sum, region_start(region, i), size);
		sum += size;
	}
	return sum;
}

/* What a refusal may change: it is noted for people. */
static void forget_refusals(void)
{
	const struct region *region = &inproc_broker(world)->env.region;

	for (uint32_t i = 1; i < region_area(region, AREA_SESSIONS)->used;
	     i++) {
		struct session *s = session_at(region, i);

		memset(s->refusals, 0, sizeof(s->refusals));
		s->n_refusals = 0;
	}
}

static void take_image(struct image *ret, bool closely)
{
	memset(ret, 0, sizeof(*ret));
	forget_refusals();
	count(ret->counters);
	for (uint32_t a = 0; a < INPROC_ADAPTERS; a++)
		for (int call = 0; call < CHECKING_CALLS; call++)
			ret->calls +=
				checking_calls(inproc_backend(world, a), call);
	if (!closely)
		return;
	for (uint32_t i = 0; i < CLIENTS; i++)
		read_stat(i, &ret->stats[i]);
	ret->areas_bytes = copy_areas(NULL);
	ret->areas = malloc(ret->areas_bytes);
	assert(ret->areas);
	copy_areas(ret->areas);
}

/* R2. */
static void compare_images(const struct image *a, const struct image *b)
{
	if (memcmp(a->counters, b->counters, sizeof(a->counters)) != 0 ||
	    memcmp(a->stats, b->stats, sizeof(a->stats)) != 0 ||
	    a->calls != b->calls || a->areas_bytes != b->areas_bytes ||
	    (a->areas && memcmp(a->areas, b->areas, a->areas_bytes) != 0))
		fuzz_found("a refused destroy has changed something");
}

/* ---- The destroy ---- */

static bool is_allowed(const struct second_verdict *right,
		       const struct wire_reply *got)
{
	if (got->status != right->status || got->index != right->index)
		return false;
	if (right->n_rows == 0)
		return got->reason == TENURE_REASON_NONE;
	for (uint32_t i = 0; i < right->n_rows; i++)
		if ((uint32_t)right->reasons[i] == got->reason)
			return true;
	return false;
}

static void judge(const struct second_request *request,
		  const struct wire_reply *got)
{
	struct second_verdict right;

	second_judge(&second, request, &right);
	if (is_allowed(&right, got))
		return;
	fuzz_found("destroy of %u entries, flags %#x: status %d, index %d, "
		   "\"%s\"; row %s says %d, index %d, \"%s\"",
		   request->count, request->flags, got->status, (int)got->index,
		   reason_sentence(got->reason),
		   right.n_rows ? right.rows[0] : "A15 to A18", right.status,
		   (int)right.index, reason_sentence(right.reasons[0]));
}

static void send_destroy(struct second_request *request)
{
	struct wire_request q = {
		.opcode = WIRE_OP_DESTROY,
		.form = request->has_list ? WIRE_FORM_LIST : 0,
		.flags = request->flags,
		.device = request->device,
		.object = request->resource,
		.count = request->count,
	};
	bool closely = fuzz_look_closely(IMAGE_PERIOD);
	struct image before, after;
	struct wire_reply got;

	if (request->flags & TENURE_DESTROY_SYNCHRONOUS)
		q.id = ++n_late;
	take_image(&before, closely);
	if (ask(clients[request->client], q, request->list,
		request->list_entries * sizeof(uint64_t)) == 0)
		reply.head.index = WIRE_NO_INDEX; /* also when it comes later */
	got = reply.head;
	judge(request, &got);
	fuzz_judged++;
	if (got.status == 0) {
		second_commit(&second, request);
	} else {
		take_image(&after, closely);
		compare_images(&before, &after);
		free(after.areas);
	}
	free(before.areas);
}

static uint32_t choose_flags(uint8_t byte)
{
	if (byte < 128)
		return 0;
	return byte < 192 ? byte % 4 : UINT32_C(1) << byte % 32;
}

/* The list and its count, as the shape says. */
static void shape_list(struct second_request *request, uint8_t shape,
		       uint64_t *list)
{
	static const uint32_t counts[] = { 1024, 1025, 1026, UINT32_MAX };

	request->has_list = request->resource == 0;
	request->count = request->list_entries;
	switch (shape % 16) {
	case 1: /* one is missing */
		request->count++;
		break;
	case 2:
		request->count = 0;
		break;
	case 3: /* there is none, and perhaps it is there */
		request->has_list = !request->has_list;
		break;
	case 4:
		request->has_list = !request->has_list;
		request->list_entries = 0;
		break;
	case 5:
		request->count = counts[shape / 16 % 4];
		break;
	case 6: /* a list of zeros that is as long as its count says */
		request->count = counts[shape / 16 % 3];
		memset(list + request->list_entries, 0,
		       (LIST_MAX - request->list_entries) * sizeof(*list));
		request->list_entries = request->count;
		break;
	case 7: /* more than are counted */
		request->count -= request->count > 0;
	}
}

static void step_destroy(uint32_t client, const uint8_t *record, size_t size)
{
	static uint64_t list[LIST_MAX];
	struct reader r = { record + 2, size - 2 };
	struct second_request request = { .client = client, .list = list };
	uint8_t how = read_u8(&r), which = read_u8(&r), shape, n;

	/* The two bytes say both device and resource. */
	request.device = choose_handle(client, SECOND_DEVICE, how, which);
	request.flags = choose_flags(read_u8(&r));
	shape = read_u8(&r);
	n = read_u8(&r) % ENTRIES_MAX;
	how = read_u8(&r);
	which = read_u8(&r);
	if (shape & 128)
		request.resource =
			choose_handle(client, SECOND_RESOURCE, how, which);
	for (uint32_t i = 0; i < n && r.left > 0; i++) {
		how = read_u8(&r);
		list[request.list_entries++] = choose_handle(
			client, SECOND_ALLOCATION, how, read_u8(&r));
	}
	shape_list(&request, shape & 127, list);
	send_destroy(&request);
}

/* ---- What is alive at the end ---- */

/* R3: asks for something that no handle gets, or that does not matter now. */
static void try_handle(int item)
{
	const struct second_handle *h = &second.items[item];
	bool is_resource = h->kind == SECOND_RESOURCE, is_dead;
	struct wire_request q = {
		.opcode = is_resource ? WIRE_OP_SHARE : WIRE_OP_UNMAP,
		.flags = is_resource ? TENURE_RIGHT_READ : 0,
		.object = h->wire,
	};

	if (h->device < 0 || second.items[h->device].life != SECOND_ALIVE)
		return;
	q.device = second.items[h->device].wire;
	ask(clients[h->client], q, NULL, 0);
	if (is_resource && reply.head.status == 0)
		note_token(h->client);
	is_dead = reply.head.reason == TENURE_REASON_RESOURCE_INVALID ||
		  reply.head.reason == TENURE_REASON_ALLOCATION_INVALID;
	if (is_dead != (h->life == SECOND_DEAD))
		fuzz_found("handle %d should be %s", item,
			   is_dead ? "alive" : "dead");
}

static void make_step(const uint8_t *record, size_t size)
{
	uint32_t client = record[1] % CLIENTS;
	uint8_t b = record[2], c = record[3];

	switch (record[0] < STEPS ? (enum step)record[0] : STEP_DESTROY) {
	case STEP_ADAPTER:
		step_adapter(client, b);
		break;
	case STEP_DEVICE:
		step_device(client, b);
		break;
	case STEP_PRIVATE:
		create(client, some_device(client, b), -1,
		       TENURE_CREATE_RESOURCE, c);
		break;
	case STEP_SHARED:
		create(client, some_device(client, b), -1,
		       TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED, c);
		break;
	case STEP_OWNED:
		create(client, some_device(client, b), -1, 0, c);
		break;
	case STEP_ADD:
		step_add(client, b, c);
		break;
	case STEP_OPEN:
		step_open(client, b, c);
		break;
	case STEP_DEVICE_DESTROY:
		step_device_destroy(client, b);
		break;
	case STEP_PUMP:
		step_pump();
		break;
	case STEP_STOP:
		step_stop(b);
		break;
	case STEP_ERROR:
		step_error(client, b);
		break;
	case STEP_MAP:
		step_map(client, b);
		break;
	case STEP_DESTROY:
	case STEPS:
		step_destroy(client, record, size);
	}
}

/* ---- Begin and end ---- */

static void connect_clients(void)
{
	second.n = 0;
	for (uint32_t i = 0; i < CLIENTS; i++) {
		const struct peer peer = {
			.uid = 1000 + i,
			.pid = 100,
			.cgroup = "/test",
		};

		inproc_connect(world, &peer, &clients[i], NULL);
		inproc_hello(world, clients[i]);
		step_adapter(i, 0);
		step_device(i, 0);
	}
	step_device(0, 0);
	n_at_first = second.n;
	for (uint32_t i = 0; i < CLIENTS; i++)
		read_stat(i, &stats_at_first[i]);
	connected = true;
}

static void begin(void)
{
	if (!connected)
		connect_clients();
	second.n = n_at_first;
	token[0] = token[1] = 0;
	n_tokens = 0;
	untidy = false;
	n_late = 0;
}

/* Everybody dies, and nothing may be left. */
static void end_untidily(void)
{
	uint64_t now[COUNTERS];

	for (int i = 0; i < CLIENTS; i++)
		inproc_kill(world, clients[i]);
	connected = false;
	for (uint32_t i = 0; any_stopped && i < INPROC_ADAPTERS; i++)
		ask_event(keeper_adapters[i], WIRE_TEST_ADAPTER_START);
	any_stopped = false;
	inproc_pump_all(world);
	count(now);
	if (memcmp(now, quiet, sizeof(now)) != 0)
		fuzz_found("both clients have gone and left something");
}

static void take_back(const struct second_handle *h)
{
	struct wire_request q = {
		.opcode = WIRE_OP_DESTROY,
		.device = second.items[h->device].wire,
	};

	if (h->kind == SECOND_RESOURCE) {
		q.object = h->wire;
		ask(clients[h->client], q, NULL, 0);
	} else if (h->resource < 0) {
		q.form = WIRE_FORM_LIST;
		q.count = 1;
		ask(clients[h->client], q, &h->wire, sizeof(h->wire));
	}
	if (reply.head.status != 0)
		fuzz_found("what was made cannot be taken back: \"%s\"",
			   reason_sentence(reply.head.reason));
}

static void take_all_back(void)
{
	struct wire_request revoke = { .opcode = WIRE_OP_TOKEN_REVOKE };
	struct wire_stat stat;

	for (int i = n_at_first; i < second.n; i++)
		if (second.items[i].life == SECOND_ALIVE)
			take_back(&second.items[i]);
	for (uint32_t i = 0; i < n_tokens; i++) {
		memcpy(revoke.value, tokens[i], sizeof(tokens[i]));
		ask(clients[token_makers[i]], revoke, NULL, 0);
	}
	inproc_pump_all(world);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		read_stat(i, &stat);
		if (memcmp(&stat, &stats_at_first[i], sizeof(stat)) != 0)
			fuzz_found("a client took all back and still has "
				   "something, or too little");
	}
}

static void end(void)
{
	struct inproc_reply late;

	for (uint64_t id = 1; id <= n_late; id++)
		for (int i = 0; i < CLIENTS; i++)
			inproc_take_reply(world, clients[i], id, &late);
	if (untidy)
		end_untidily();
	else
		take_all_back();
}

/* ---- Input and mutation ---- */

static size_t measure_record(const uint8_t *data, size_t left)
{
	size_t size = RECORD_BYTES;

	if (data[0] == STEP_DESTROY || data[0] >= STEPS)
		size = left < 7 ? left :
				  9 + 2 * (size_t)(data[6] % ENTRIES_MAX);
	return min_u64(size, left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	if (!world)
		make_world();
	begin();
	for (int i = 0; i < STEPS_MAX && size_bytes >= RECORD_BYTES; i++) {
		size_t size = measure_record(data, size_bytes);

		if (has_room())
			make_step(data, size);
		data += size;
		size_bytes -= size;
	}
	for (int i = 0; i < second.n; i++)
		try_handle(i);
	if (fuzz_look_closely(CHECK_PERIOD))
		inproc_check(world);
	end();
	return 0;
}

static uint8_t draw_how(struct random *random)
{
	return random_chance(random, 75) ? HOW_RIGHT :
					   (uint8_t)random_below(random, HOWS);
}

static size_t make_record(struct random *random, uint8_t *data, size_t room)
{
	static const uint8_t usual[] = {
		STEP_DESTROY, STEP_DESTROY, STEP_DESTROY, STEP_DESTROY,
		STEP_PRIVATE, STEP_SHARED,  STEP_OWNED,	  STEP_OPEN,
		STEP_ADD,     STEP_DEVICE,
	};
	uint8_t n = (uint8_t)random_below(random, 6);
	size_t size = RECORD_BYTES;

	if (room < 9 + 2 * (size_t)n)
		return 0;
	for (size_t i = 0; i < 9; i++)
		data[i] = (uint8_t)random_below(random, 8);
	data[0] = random_chance(random, 90) ?
			  usual[random_below(random, ARRAY_SIZE(usual))] :
			  (uint8_t)random_below(random, STEPS);
	if (data[0] == STEP_DESTROY) {
		data[2] = draw_how(random);
		data[4] = random_chance(random, 80) ?
				  0 :
				  (uint8_t)random_next(random);
		data[5] = random_chance(random, 60) ?
				  (uint8_t)(random_below(random, 2) * 128) :
				  (uint8_t)random_next(random);
		data[6] = n;
		data[7] = draw_how(random);
		for (size_t i = 0; i < n; i++) {
			data[9 + 2 * i] = draw_how(random);
			data[10 + 2 * i] = (uint8_t)random_below(random, 10);
		}
		size = 9 + 2 * (size_t)n;
	}
	return size;
}

/* Never the number of entries, nor whether it is a destroy. */
static void tweak_record(struct random *random, uint8_t *data,
			 size_t size_bytes)
{
	size_t at = random_below(random, (uint32_t)size_bytes);

	if (at == 6 && size_bytes > RECORD_BYTES)
		return;
	if (at > 0)
		data[at] = (uint8_t)random_next(random);
	else if (size_bytes == RECORD_BYTES)
		data[0] = (uint8_t)(1 + random_below(random, STEPS - 1));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size_bytes,
			       size_t max_bytes, unsigned int seed)
{
	static const struct records_format format = {
		.measure = measure_record,
		.make = make_record,
		.tweak = tweak_record,
	};

	return records_mutate(&format, data, size_bytes, max_bytes, seed);
}
