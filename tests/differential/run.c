/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of the differential test
 *
 * Every step is made on the broker and judged by the model: the model says
 * which answers are right before the broker is asked, and follows when the
 * answer is success. On top of the answers these are compared: what each
 * client is charged, totals of the daemon, obituaries, places of memory, and
 * whether a handle was ever issued twice.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/differential/differential.h"
#include "tests/model/model_judge.h"

static void print_request(const struct wire_request *q)
{
	fprintf(stderr,
		"  op %u form %u flags %#x device %#jx object %#jx count %u "
		"args %u value %#jx %#jx\n",
		q->opcode, q->form, q->flags, (uintmax_t)q->device,
		(uintmax_t)q->object, q->count, q->args_bytes,
		(uintmax_t)q->value[0], (uintmax_t)q->value[1]);
}

void diverge(const struct run *run, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	fprintf(stderr, "DIVERGENCE in operation %ju: ", (uintmax_t)run->op);
	vfprintf(stderr, format, list);
	if (run->bytes)
		fprintf(stderr, "\nthe decisions came from an input\n");
	else
		fprintf(stderr,
			"\nrepeat with: --seed %ju --run %u --run-ops %ju\n",
			(uintmax_t)run->seed, run->index, (uintmax_t)run->ops);
	va_end(list);
	abort();
}

/* ---- Decisions ---- */

/* Little-endian, of as many bytes as the bound needs. */
static bool take_bytes(struct run *run, uint64_t bound, uint64_t *ret)
{
	uint64_t value = 0;

	if (run->n_bytes == 0)
		return false;
	for (uint32_t shift = 0; bound > 0 && run->n_bytes > 0;
	     bound >>= 8, shift += 8) {
		value |= (uint64_t)*run->bytes++ << shift;
		run->n_bytes--;
	}
	*ret = value;
	return true;
}

uint64_t run_draw(struct run *run)
{
	uint64_t value;

	return take_bytes(run, UINT64_MAX, &value) ? value :
						     random_next(&run->random);
}

uint32_t run_below(struct run *run, uint32_t bound)
{
	uint64_t value;

	if (bound == 1)
		return 0;
	return take_bytes(run, bound - 1, &value) ?
		       (uint32_t)(value % bound) :
		       random_below(&run->random, bound);
}

/* A byte of 0 is the usual case: what has few percent does not happen. */
bool run_chance(struct run *run, uint32_t percent)
{
	uint64_t value;

	return take_bytes(run, 99, &value) ?
		       value % 100 >= 100 - percent :
		       random_chance(&run->random, percent);
}

/* ---- Begin and end ---- */

static const struct peer principals[MODEL_PRINCIPALS] = {
	{ .uid = 1000, .pid = 10, .cgroup = "/a" },
	{ .uid = 1000, .pid = 11, .cgroup = "/b" },
	{ .uid = 1001, .pid = 12, .cgroup = "/b", .privileged = true },
};

/* Half of the runs have limits that hurt. */
static void draw_limits(struct run *run, struct limits *limits)
{
	if (run_chance(run, 50))
		return;
	limits->client[CHARGE_BYTES] = (8 + run_below(run, 200)) * PAGE_BYTES;
	limits->client[CHARGE_HANDLES] = 12 + run_below(run, 200);
	limits->client[CHARGE_STORES] = 2 + run_below(run, 40);
	limits->client[CHARGE_TOKENS] = 1 + run_below(run, 8);
	limits->client[CHARGE_WAITS] = 1 + run_below(run, 4);
	limits->principal[CHARGE_BYTES] =
		limits->client[CHARGE_BYTES] + run_below(run, 100) * PAGE_BYTES;
	limits->principal[CHARGE_HANDLES] =
		limits->client[CHARGE_HANDLES] + run_below(run, 100);
	limits->principal[CHARGE_STORES] =
		limits->client[CHARGE_STORES] + run_below(run, 20);
	limits->principal[CHARGE_TOKENS] = 1 + run_below(run, 10);
	limits->principal[CHARGE_WAITS] = 1 + run_below(run, 6);
	limits->principal[CHARGE_CLIENTS] = 1 + run_below(run, 4);
	limits->clients = 2 + run_below(run, 6);
}

void run_begin(struct run *run, uint64_t seed, uint32_t index, bool trace)
{
	memset(run, 0, sizeof(*run));
	run->seed = seed;
	run->index = index;
	run->trace = trace;
	run->random.state = seed + index * UINT64_C(0xd1342543de82ef95);
	run_begin_drawn(run);
}

void run_begin_drawn(struct run *run)
{
	static const uint32_t budgets[] = { 1, 3, 16, 256 };
	static const uint32_t bad[] = { 1, 5, 20, 50 };
	static const uint32_t acknowledge[] = { 0, 5, 30 };
	struct inproc_config config;

	run->next_id = 1;
	inproc_config_default(&config);
	config.seed = run_draw(run);
	config.memfds = false;
	config.tick_budget = budgets[run_below(run, 4)];
	run->bad_percent = bad[run_below(run, 4)];
	run->acknowledge_percent = acknowledge[run_below(run, 3)];
	if (run_chance(run, 25))
		config.first_generation = UINT32_MAX - 2 - run_below(run, 4);
	draw_limits(run, &config.limits);
	run->world = inproc_new(&config);
	inproc_pump_by_itself(run->world, false);
	run->model = model_new(&config.limits);
	/* Not from the heap, which a sanitizer would have to paint. */
	run->issued = mmap(NULL, ISSUED_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(run->issued != MAP_FAILED);
}

void run_end(struct run *run)
{
	for (int c = 0; c < MODEL_CLIENTS; c++)
		if (run->model->clients[c].alive)
			run_die(run, c);
	run->mode = INPROC_RELEASES_PROMPT;
	inproc_releases(run->world, run->mode);
	run_settle(run);
	inproc_free(run->world);
	model_free(run->model);
	munmap(run->issued, ISSUED_BYTES);
}

/* ---- Handles ---- */

/* G1 of the handle table: no value is issued twice. */
static void note_issued(struct run *run, int client, uint64_t handle)
{
	const size_t mask = ((size_t)1 << ISSUED_LOG2) - 1;
	uint64_t key = handle ^ (run->incarnation[client] *
				 UINT64_C(0x9e3779b97f4a7c15));
	size_t at;

	key = (key ^ key >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
	key |= 1;
	for (at = (size_t)(key >> 20) & mask; run->issued[at] != 0;
	     at = (at + 1) & mask)
		if (run->issued[at] == key)
			diverge(run, "handle %#jx issued twice",
				(uintmax_t)handle);
	run->issued[at] = key;
}

static void note_stale(struct run *run, int client, uint64_t handle)
{
	if (handle != 0)
		run->stale[client][run_below(run, STALE_MAX)] = handle;
}

static void note_handles(struct run *run, int client,
			 const struct wire_request *q,
			 const struct inproc_reply *reply)
{
	uint64_t handle;

	switch (q->opcode) {
	case WIRE_OP_CREATE:
	case WIRE_OP_OPEN:
	case WIRE_OP_CONTEXT_ALLOCATION_CREATE:
		for (uint32_t i = 0; i < reply->head.count; i++) {
			memcpy(&handle, reply->data + i * sizeof(handle),
			       sizeof(handle));
			note_issued(run, client, handle);
			note_stale(run, client, handle);
		}
		if (reply->head.value[0] == 0)
			break;
		/* fall through */
	case WIRE_OP_ADAPTER_OPEN:
	case WIRE_OP_DEVICE_CREATE:
	case WIRE_OP_CONTEXT_CREATE:
	case WIRE_OP_FENCE_CREATE:
	case WIRE_OP_FENCE_OPEN:
		note_issued(run, client, reply->head.value[0]);
		note_stale(run, client, reply->head.value[0]);
	}
}

/* ---- Requests ---- */

static void explain(const struct run *run, const struct wire_request *q,
		    const struct model_answers *right, const char *got,
		    const struct wire_reply *reply)
{
	print_request(q);
	for (uint32_t i = 0; i < right->n; i++)
		fprintf(stderr, "  right: status %d reason %d index %d\n",
			right->of[i].status, (int)right->of[i].reason,
			(int)right->of[i].index);
	diverge(run, "%s: status %d reason %u index %d", got, reply->status,
		reply->reason, (int)reply->index);
}

static bool is_right(const struct model_answers *right,
		     const struct wire_reply *reply)
{
	for (uint32_t i = 0; i < right->n; i++)
		if (right->of[i].status == reply->status &&
		    (uint32_t)right->of[i].reason == reply->reason &&
		    right->of[i].index == reply->index)
			return true;
	return false;
}

static bool may_wait(const struct wire_request *q)
{
	return q->opcode == WIRE_OP_DEVICE_DESTROY ||
	       q->opcode == WIRE_OP_ADAPTER_CLOSE ||
	       q->opcode == WIRE_OP_CONTEXT_DESTROY ||
	       q->opcode == WIRE_OP_FENCE_WAIT ||
	       (q->opcode == WIRE_OP_DESTROY &&
		(q->flags & TENURE_DESTROY_SYNCHRONOUS));
}

static void accept(struct run *run, int client, const struct wire_request *q,
		   const void *args, const struct inproc_reply *reply)
{
	const char *wrong;

	if (reply)
		note_handles(run, client, q, reply);
	wrong = model_apply(run->model, client, q, args,
			    reply ? &reply->head : NULL,
			    reply ? reply->data : NULL);
	if (!wrong)
		return;
	print_request(q);
	diverge(run, "%s", wrong);
}

static void accept_later(struct run *run, int client,
			 const struct wire_request *q, const void *args)
{
	assert(run->n_pending < PENDING_MAX);
	run->pending[run->n_pending++] =
		(struct pending){ .client = client, .request = *q };
	accept(run, client, q, args, NULL);
}

static void trace_request(const struct run *run, int client,
			  const struct wire_request *q)
{
	if (!run->trace)
		return;
	fprintf(stderr, "%ju: client %d", (uintmax_t)run->op, client);
	print_request(q);
}

/* Faults are for one request; what they left behind must go away. */
static void end_fault(struct run *run)
{
	if (!run->fault)
		return;
	run->fault = false;
	run->model->backend_fails = 0;
	run->model->memory_may_fail = false;
	inproc_pages(run->world)->fail_commit = 0;
	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++) {
		checking_fail(inproc_backend(run->world, i), CHECKING_CREATE, 0,
			      0);
		checking_fail(inproc_backend(run->world, i), CHECKING_OPEN, 0,
			      0);
	}
	run_settle(run);
}

void run_request(struct run *run, int client, struct wire_request *q,
		 const void *args, size_t args_bytes)
{
	uint32_t unacknowledged =
		run->model->clients[client].fds_unacknowledged;
	struct model_answers right;
	struct inproc_reply reply;
	enum broker_verdict verdict;

	q->id = run->next_id++;
	q->args_bytes = (uint32_t)args_bytes;
	if (unacknowledged > 0 && run_chance(run, run->acknowledge_percent))
		q->fds_acked = (uint16_t)(1 + random_below(&run->random,
							   unacknowledged));
	trace_request(run, client, q);
	model_judge(run->model, client, q, args, args_bytes, &right);
	memset(&reply.head, 0, sizeof(reply.head));
	verdict = inproc_send(run->world, run->model->clients[client].id, q,
			      args, args_bytes, &reply);
	run->requests++;
	if (run->trace)
		fprintf(stderr, "    verdict %d status %d reason %u index %d\n",
			(int)verdict, reply.head.status, reply.head.reason,
			(int)reply.head.index);
	if (verdict == BROKER_KILL)
		explain(run, q, &right, "killed", &reply.head);
	model_acknowledge(run->model, client, q->fds_acked);
	if (verdict == BROKER_LATER) {
		reply.head = (struct wire_reply){ .index = WIRE_NO_INDEX };
		if (!may_wait(q) || !is_right(&right, &reply.head))
			explain(run, q, &right, "later", &reply.head);
		accept_later(run, client, q, args);
	} else {
		if (reply.head.id != q->id || reply.head.opcode != q->opcode)
			diverge(run, "a reply to another request");
		if (!is_right(&right, &reply.head))
			explain(run, q, &right, "answered", &reply.head);
		if (reply.head.status == 0)
			accept(run, client, q, args, &reply);
		else
			run->refused++;
		/* The words behind a refusal are empty. */
		if (reply.head.status != 0 && reply.head.data_bytes != 0)
			diverge(run, "a refusal with data");
	}
	end_fault(run);
}

/* ---- The free queue ---- */

/* A DESTROY on its own device says the same as a free of the handle. */
static bool destroy_of(const struct model *m, int thing, uint64_t handle,
		       struct wire_request *ret)
{
	const struct model_thing *t = &m->things[thing];

	*ret = (struct wire_request){ .opcode = WIRE_OP_DESTROY };
	if (t->kind == MODEL_RESOURCE) {
		ret->object = handle;
	} else if (t->kind == MODEL_ALLOCATION) {
		ret->form = WIRE_FORM_LIST;
		ret->count = 1;
		ret->args_bytes = sizeof(handle);
	} else {
		return false;
	}
	ret->device = m->things[t->device].handle;
	return true;
}

/* Of what a device that goes has had, nothing can be said until it has gone. */
static bool loses_a_device(const struct model *m, int client)
{
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind == MODEL_DEVICE &&
		    m->things[i].client == client &&
		    m->things[i].state != MODEL_DEVICE_LIVE)
			return true;
	return false;
}

static void judge_free(const struct run *run, int client, uint64_t handle,
		       struct model_answers *ret)
{
	const struct model *m = run->model;
	int thing = handle == 0 ? MODEL_NOTHING : model_find(m, client, handle);
	bool unsure = loses_a_device(m, client);
	struct wire_request q;

	ret->n = 0;
	if (thing != MODEL_NOTHING && destroy_of(m, thing, handle, &q)) {
		model_judge(m, client, &q, &handle, sizeof(handle), ret);
		unsure = m->things[m->things[thing].device].state !=
			 MODEL_DEVICE_LIVE;
	} else if (thing != MODEL_NOTHING) {
		unsure |= m->things[thing].dying;
		model_refuse(ret, -EINVAL, TENURE_REASON_WRONG_TYPE);
	}
	if (m->memory_may_fail)
		model_refuse(ret, -ENOMEM, TENURE_REASON_DAEMON_MEMORY);
	if (thing != MODEL_NOTHING && !unsure)
		return;
	if (handle == 0) {
		model_refuse(ret, -EINVAL, TENURE_REASON_ENTRY_ZERO);
		return;
	}
	model_refuse(ret, -EINVAL, TENURE_REASON_ENTRY_INVALID);
	model_refuse(ret, -EINVAL, TENURE_REASON_RESOURCE_INVALID);
	if (unsure)
		model_refuse(ret, -ENODEV, TENURE_REASON_DEVICE_REMOVED);
}

static bool may_be(const struct model_answers *right, int status,
		   uint32_t reason)
{
	for (uint32_t i = 0; i < right->n; i++)
		if (right->of[i].status == status &&
		    (uint32_t)right->of[i].reason == reason)
			return true;
	return false;
}

/* One handle, and the refusal that comes next, or NULL; whether that was its
 * own. */
static bool follow_free(struct run *run, int client, uint64_t handle,
			const struct wire_reply *refusal)
{
	struct model_answers right;
	struct wire_request q;
	int thing;

	judge_free(run, client, handle, &right);
	run->requests++;
	if (refusal && refusal->value[0] == handle &&
	    may_be(&right, refusal->status, refusal->reason)) {
		run->refused++;
		return true;
	}
	if (!may_be(&right, 0, TENURE_REASON_NONE))
		explain(run,
			&(struct wire_request){ .opcode = WIRE_OP_FREE,
						.value = { handle } },
			&right, refusal ? "the next refusal" : "not refused",
			refusal ? refusal : &(struct wire_reply){ 0 });
	thing = model_find(run->model, client, handle);
	destroy_of(run->model, thing, handle, &q);
	accept(run, client, &q, &handle,
	       &(struct inproc_reply){ .head = { .opcode = q.opcode,
						 .index = WIRE_NO_INDEX } });
	return false;
}

void run_free(struct run *run, int client, const uint64_t *handles,
	      uint32_t count)
{
	static struct wire_reply refusals[LIST_ENTRIES_MAX];
	uint32_t refused, next = 0;

	if (run->trace)
		fprintf(stderr, "%ju: client %d frees %u\n", (uintmax_t)run->op,
			client, count);
	refused = inproc_free_each(run->world, run->model->clients[client].id,
				   handles, count, refusals);
	for (uint32_t i = 0; i < count; i++)
		next += follow_free(run, client, handles[i],
				    next < refused ? &refusals[next] : NULL);
	if (next != refused)
		diverge(run, "%u refusals of frees that were none",
			refused - next);
	end_fault(run);
}

/* ---- Clients ---- */

void run_connect(struct run *run)
{
	int principal = (int)run_below(run, MODEL_PRINCIPALS);
	struct model_answers right;
	struct wire_reply got = { .index = WIRE_NO_INDEX };
	enum tenure_reason reason;
	uint32_t id;
	int c;

	model_judge_connect(run->model, principal, &right);
	got.status = inproc_connect(run->world, &principals[principal], &id,
				    &reason);
	got.reason = (uint32_t)reason;
	if (run->trace)
		fprintf(stderr, "%ju: connect: %d\n", (uintmax_t)run->op,
			got.status);
	if (!is_right(&right, &got))
		explain(run, &(struct wire_request){ 0 }, &right, "connect",
			&got);
	if (got.status == 0) {
		c = model_connect(run->model, id, principal);
		run->model->clients[c].privileged =
			principals[principal].privileged;
		run->incarnation[c] = ++run->incarnations;
		memset(run->stale[c], 0, sizeof(run->stale[c]));
		if (inproc_hello(run->world, id) != 0)
			diverge(run, "hello was refused");
	}
	end_fault(run);
}

static void collect_answers(struct run *run);

static void note_will(struct run *run, int client)
{
	const struct model *m = run->model;
	struct last_will *w = &run->wills[client];
	uint64_t slack = m->clients[client].garbage[CHARGE_HANDLES];

	*w = (struct last_will){
		.devices = { model_count(m, client, MODEL_DEVICE) },
		.resources = { model_count(m, client, MODEL_RESOURCE) },
		.allocations = { model_count(m, client, MODEL_ALLOCATION) },
		.tokens = model_client_holds(m, client, CHARGE_TOKENS),
		.bytes = { model_client_holds(m, client, CHARGE_BYTES) },
	};
	w->devices[1] = w->devices[0] + slack;
	w->resources[1] = w->resources[0] + slack;
	w->allocations[1] = w->allocations[0] + slack;
	w->bytes[1] = w->bytes[0] + m->clients[client].garbage[CHARGE_BYTES];
}

static void forget_client(struct run *run, int client)
{
	note_will(run, client);
	for (uint32_t i = run->n_pending; i-- > 0;)
		if (run->pending[i].client == client)
			run->pending[i] = run->pending[--run->n_pending];
	model_die(run->model, client);
}

void run_die(struct run *run, int client)
{
	if (run->trace)
		fprintf(stderr, "%ju: client %d dies\n", (uintmax_t)run->op,
			client);
	forget_client(run, client);
	inproc_kill(run->world, run->model->clients[client].id);
	collect_answers(run);
}

static bool between(const uint64_t range[2], uint64_t value)
{
	return range[0] <= value && value <= range[1];
}

static void judge_obituary(struct run *run, int client,
			   const struct obituary *o)
{
	const struct last_will *w = &run->wills[client];
	const struct peer *peer =
		&principals[run->model->clients[client].principal];

	if (o->uid != peer->uid || o->pid != peer->pid ||
	    strcmp(o->cgroup, peer->cgroup) != 0)
		diverge(run, "an obituary with a wrong name");
	if (!between(w->devices, o->devices) ||
	    !between(w->resources, o->resources) ||
	    !between(w->allocations, o->allocations) ||
	    !between(w->bytes, o->bytes) || o->tokens != w->tokens)
		diverge(run,
			"obituary: %ju devices, %ju resources, %ju "
			"allocations, %ju tokens, %ju bytes; right: %ju, %ju, "
			"%ju, %ju, %ju (at least)",
			(uintmax_t)o->devices, (uintmax_t)o->resources,
			(uintmax_t)o->allocations, (uintmax_t)o->tokens,
			(uintmax_t)o->bytes, (uintmax_t)w->devices[0],
			(uintmax_t)w->resources[0],
			(uintmax_t)w->allocations[0], (uintmax_t)w->tokens,
			(uintmax_t)w->bytes[0]);
}

/* ---- Work ---- */

static void collect_answers(struct run *run)
{
	struct inproc_reply reply;
	const char *wrong;

	for (uint32_t i = run->n_pending; i-- > 0;) {
		struct pending p = run->pending[i];

		if (!inproc_take_reply(run->world,
				       run->model->clients[p.client].id,
				       p.request.id, &reply))
			continue;
		if (reply.head.opcode != p.request.opcode) {
			print_request(&p.request);
			diverge(run, "a late reply to op %u",
				reply.head.opcode);
		}
		run->pending[i] = run->pending[--run->n_pending];
		if (run->trace)
			fprintf(stderr, "    client %d: late reply to op %u\n",
				p.client, p.request.opcode);
		wrong = model_answered(run->model, p.client, &p.request,
				       &reply.head);
		if (wrong) {
			print_request(&p.request);
			diverge(run, "%s", wrong);
		}
	}
}

static void collect_obituaries(struct run *run)
{
	struct obituary obituary;

	for (int c = 0; c < MODEL_CLIENTS; c++) {
		const struct model_client *client = &run->model->clients[c];

		if (!client->used || client->alive ||
		    !inproc_take_obituary(run->world, client->id, &obituary))
			continue;
		judge_obituary(run, c, &obituary);
		model_buried(run->model, c);
	}
}

static void judge_range(const struct run *run, const char *what, uint64_t said,
			uint64_t low, uint64_t slack)
{
	if (said < low || said > low + slack)
		diverge(run, "%ju %s, %ju to %ju are right", (uintmax_t)said,
			what, (uintmax_t)low, (uintmax_t)(low + slack));
}

static uint64_t bytes_in_backends(struct run *run)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++)
		sum += checking_bytes(inproc_backend(run->world, i));
	return sum;
}

/* What is held lies between what lives and that plus all garbage. */
static void judge_bytes(struct run *run)
{
	const struct model *m = run->model;
	struct wire_status s;

	broker_status(inproc_broker(run->world), &s);
	judge_range(run, "bytes", s.bytes, model_bytes(m), m->garbage_bytes);
	judge_range(run, "bytes in the backends", bytes_in_backends(run),
		    model_bytes(m), m->garbage_bytes);
}

void run_pump(struct run *run)
{
	inproc_pump(run->world);
	collect_answers(run);
	collect_obituaries(run);
	judge_bytes(run);
}

/* While work goes on, what waits for it may wait longer than it must. */
static void judge_total(const struct run *run, const char *what, uint64_t said,
			uint64_t right)
{
	if (said > right && model_is_working(run->model, MODEL_NOTHING))
		return;
	if (said != right)
		diverge(run, "all is quiet: %ju %s, %ju is right",
			(uintmax_t)said, what, (uintmax_t)right);
}

static void judge_totals(struct run *run)
{
	const struct model *m = run->model;
	struct wire_status s;
	uint64_t clients = 0, tokens = 0;

	for (int c = 0; c < MODEL_CLIENTS; c++) {
		clients += m->clients[c].used;
		if (m->clients[c].used)
			tokens += model_client_holds(m, c, CHARGE_TOKENS);
	}
	broker_status(inproc_broker(run->world), &s);
	judge_total(run, "clients", s.clients, clients);
	judge_total(run, "clients ending", s.clients_ending, 0);
	judge_total(run, "devices", s.devices,
		    model_count(m, MODEL_NOTHING, MODEL_DEVICE));
	judge_total(run, "resources", s.resources,
		    model_count(m, MODEL_NOTHING, MODEL_RESOURCE));
	judge_total(run, "allocations", s.allocations,
		    model_count(m, MODEL_NOTHING, MODEL_ALLOCATION));
	judge_total(run, "objects", s.objects, model_objects(m));
	judge_total(run, "tokens", s.tokens, tokens);
	judge_total(run, "bytes", s.bytes, model_bytes(m));
	judge_total(run, "bytes in the backends", bytes_in_backends(run),
		    model_bytes(m));
	judge_total(run, "releases pending", s.releases_pending, 0);
}

static void judge_stats(struct run *run)
{
	for (int c = 0; c < MODEL_CLIENTS; c++) {
		struct wire_request stat = { .opcode = WIRE_OP_STAT };

		if (run->model->clients[c].alive)
			run_request(run, c, &stat, NULL, 0);
	}
}

void run_settle(struct run *run)
{
	inproc_pump_all(run->world);
	collect_answers(run);
	collect_obituaries(run);
	if (inproc_releases_out(run->world) > 0) {
		judge_bytes(run);
		return;
	}
	for (uint32_t i = 0; i < run->n_pending; i++) {
		const struct pending *p = &run->pending[i];

		if (model_may_still_wait(run->model, p->client, &p->request))
			continue;
		print_request(&p->request);
		diverge(run, "all is quiet, but this waits for an answer");
	}
	model_quiet(run->model);
	judge_totals(run);
	judge_stats(run);
}

/* ---- Violations ---- */

static void draw_violation(struct run *run, int client, struct wire_request *q)
{
	switch (run_below(run, 5)) {
	case 0: /* hello twice */
		*q = (struct wire_request){ .opcode = WIRE_OP_HELLO,
					    .object = WIRE_MAGIC,
					    .value = { 1, 1 } };
		break;
	case 1: /* a field that must be 0 */
		*q = (struct wire_request){ .opcode = WIRE_OP_PING,
					    .data_capacity = 1 };
		break;
	case 2: /* descriptors that were never sent */
		*q = (struct wire_request){ .opcode = WIRE_OP_PING };
		q->fds_acked = (uint16_t)(run->model->clients[client]
						  .fds_unacknowledged +
					  1);
		break;
	case 3: /* a length that is not true */
		*q = (struct wire_request){ .opcode = WIRE_OP_PING,
					    .args_bytes = 8 };
		break;
	case 4: /* an argument that the request does not have */
		*q = (struct wire_request){ .opcode = WIRE_OP_STAT,
					    .value = { 0, 7 } };
		break;
	}
}

void run_violate(struct run *run, int client)
{
	struct wire_request q;
	struct inproc_reply reply;

	draw_violation(run, client, &q);
	q.id = run->next_id++;
	trace_request(run, client, &q);
	memset(&reply.head, 0, sizeof(reply.head));
	forget_client(run, client);
	if (inproc_send(run->world, run->model->clients[client].id, &q, NULL, 0,
			&reply) != BROKER_KILL) {
		print_request(&q);
		diverge(run, "a violation was not punished");
	}
	if (reply.head.reason < TENURE_REASON_MALFORMED)
		diverge(run, "a violation punished for reason %u",
			reply.head.reason);
	collect_answers(run);
}
