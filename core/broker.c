/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broker: the one entrance. Bytes come in, are copied, decoded and judged;
 * a reply, a release job or an obituary comes out.
 *
 *	message --copy--> decode --> handler --> outcome + values --> reply
 *	                                  \--> stream --> job, late reply
 *
 * The message is copied before anything looks at it: what is judged is what
 * is used, even if the sender can still write to the original. Handlers are
 * one small function for each request, found in one table; each only moves
 * fields between the message and the module that knows what they mean.
 *
 * A client that breaks the protocol is refused and to be disconnected; no
 * byte it sends can make an assert fail.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A request is answered once: now, later, or never if its client ends.
 *  G2  Nothing but broker_receive's copy of the message is read.
 *  G3  broker_deinit finds nothing left, or asserts.
 */
#include "core/broker.h"

#include "core/access.h"
#include "core/broker_inspect.h"
#include "core/broker_page.h"
#include "core/broker_ring.h"
#include "core/broker_watch.h"
#include "core/broker_work.h"
#include "core/create.h"
#include "core/destroy.h"
#include "core/device.h"
#include "core/object.h"
#include "core/pinned.h"
#include "core/retire.h"
#include "core/state.h"
#include "core/teardown.h"
#include "core/waiter.h"
#include "core/warm.h"
#include "core/wire/codec.h"

/* Segments that one idle tick gives back: each is a system call. */
enum { TRIM_SEGMENTS = 4 };

/* One request on its way: what came, and the reply that is being made. */
struct request {
	struct broker *broker;
	struct env *env;
	uint32_t client;
	enum broker_port port;
	uint64_t now_ns;
	struct wire_request head;
	const void *args;
	struct broker_reply *reply;
};

/* All of a broker that is not its region; 0 or -EINVAL. */
static int equip(struct broker *broker, const struct entropy *entropy,
		 const struct broker_config *config,
		 const struct broker_adapter *adapters, uint32_t n_adapters)
{
	struct env *env = &broker->env;

	if (n_adapters == 0 || n_adapters > ADAPTERS_MAX ||
	    config->first_generation == 0 ||
	    config->first_generation >= SLOT_GENERATION_MAX - 1)
		return -EINVAL;
	for (uint32_t i = 0; i < n_adapters; i++)
		if (strlen(adapters[i].name) == 0 ||
		    strlen(adapters[i].name) >= ADAPTER_NAME_BYTES)
			return -EINVAL;
	memset(broker, 0, sizeof(*broker));
	env->entropy = *entropy;
	env->config = *config;
	env->n_adapters = n_adapters;
	memcpy(env->adapters, adapters, n_adapters * sizeof(*adapters));
	entropy->fill(entropy->context, &broker->rules.multiplier,
		      sizeof(broker->rules.multiplier));
	return 0;
}

int broker_init(struct broker *broker, const struct pages *pages,
		const struct entropy *entropy,
		const struct broker_config *config,
		const struct broker_adapter *adapters, uint32_t n_adapters)
{
	struct env *env = &broker->env;
	int r = equip(broker, entropy, config, adapters, n_adapters);

	if (r != 0)
		return r;
	if (region_init(&env->region, pages, sizeof(struct state)) != 0)
		return -ENOMEM;
	if (region_commit(&env->region, AREA_TOKEN_BUCKETS, TOKEN_BUCKETS) ||
	    table_init(&env->region, config->first_generation) != 0) {
		region_deinit(&env->region);
		return -ENOMEM;
	}
	return 0;
}

int broker_adopt(struct broker *broker, const struct pages *pages, void *start,
		 uint64_t size_bytes, const struct entropy *entropy,
		 const struct broker_config *config,
		 const struct broker_adapter *adapters, uint32_t n_adapters)
{
	struct env *env = &broker->env;
	int r = equip(broker, entropy, config, adapters, n_adapters);

	if (r != 0)
		return r;
	r = region_adopt(&env->region, pages, start, size_bytes);
	if (r != 0)
		return r;
	table_adopt(&env->region);
	session_recall_notices(env);
	return 0;
}

void broker_deinit(struct broker *broker)
{
	const struct state *state = region_state(&broker->env.region);

	assert(state->n_sessions == 0 && state->n_devices == 0);
	assert(state->n_contexts == 0 && state->n_items == 0);
	assert(state->n_fences == 0);
	assert(state->n_resources == 0 && state->n_allocations == 0);
	assert(state->n_stores == 0 && state->n_objects == 0);
	assert(state->n_tokens == 0 && state->store_bytes == 0);
	region_deinit(&broker->env.region);
}

int broker_connect(struct broker *broker, const struct peer *peer,
		   uint64_t now_ns, uint32_t *ret_client,
		   enum tenure_reason *ret_reason)
{
	struct outcome outcome;
	uint32_t session = session_new(&broker->env, peer, now_ns, &outcome);

	*ret_reason = outcome.reason;
	if (session != 0)
		*ret_client = session;
	return outcome.status;
}

static void fill_identity(const struct env *env, uint32_t client,
			  struct obituary *ret)
{
	const struct session *s = session_at(&env->region, client);
	const struct principal *p = principal_at(&env->region, s->principal);

	*ret = (struct obituary){
		.client = client,
		.uid = p->uid,
		.pid = s->pid,
		.devices = s->held_devices,
		.resources = s->held_resources,
		.allocations = s->held_allocations,
		.tokens = s->held_tokens,
		.bytes = s->held_bytes,
		.began_ns = s->began_ns,
		.ended_ns = s->ended_ns,
		.freed_bytes = s->freed_bytes,
	};
	memcpy(ret->cgroup, p->cgroup, sizeof(ret->cgroup));
}

void broker_disconnect(struct broker *broker, uint32_t client, uint64_t now_ns,
		       struct obituary *ret_held)
{
	struct env *env = &broker->env;
	struct session *s = session_at(&env->region, client);

	s->held_devices = s->n_devices;
	s->held_resources = s->n_resources;
	s->held_allocations = s->n_allocations;
	s->held_tokens = s->n_tokens;
	s->held_bytes = s->account.used[CHARGE_BYTES];
	s->began_ns = now_ns;
	s->freed_bytes = 0;
	teardown_begin(env, client);
	if (ret_held != NULL)
		fill_identity(env, client, ret_held);
}

bool broker_next_obituary(struct broker *broker, struct obituary *ret)
{
	uint32_t session = session_next_ended(&broker->env);

	if (session == 0)
		return false;
	fill_identity(&broker->env, session, ret);
	session_free(&broker->env, session);
	return true;
}

/* What is to be remembered of a request that may be answered later. */
static struct ticket ticket_of(const struct request *r)
{
	return (struct ticket){ .id = r->head.id,
				.port = r->port,
				.quiet = (r->head.form & WIRE_FORM_QUIET) !=
					 0 };
}

static struct outcome on_hello(struct request *r)
{
	struct session *s = session_at(&r->env->region, r->client);
	struct wire_reply *head = &r->reply->head;

	if (r->head.object != WIRE_MAGIC)
		return refuse_and_kill(TENURE_REASON_MAGIC);
	head->value[0] = WIRE_VERSION_MIN;
	head->value[1] = WIRE_VERSION_MAX;
	if (r->head.value[0] > WIRE_VERSION_MAX ||
	    r->head.value[1] < WIRE_VERSION_MIN ||
	    r->head.value[0] > r->head.value[1])
		return refuse(-EPROTONOSUPPORT, TENURE_REASON_VERSION);
	s->phase = SESSION_ACTIVE;
	head->count = (uint32_t)min_u64(r->head.value[1], WIRE_VERSION_MAX);
	head->value[0] = r->client;
	head->value[1] = PAGE_BYTES;
	return outcome_ok();
}

static struct outcome on_ping(struct request *r)
{
	(void)r;
	return outcome_ok();
}

static struct outcome on_adapter_open(struct request *r)
{
	char name[ADAPTER_NAME_BYTES];

	static_assert(sizeof(name) == sizeof(r->head.value), "a name");
	memcpy(name, r->head.value, sizeof(name));
	return adapter_open(r->env, r->client, name, &r->reply->head.value[0]);
}

static struct outcome on_adapter_close(struct request *r)
{
	const struct ticket ticket = ticket_of(r);

	return adapter_close(r->env, r->client, r->head.object, &ticket);
}

static struct outcome on_device_create(struct request *r)
{
	return device_create(r->env, r->client, r->head.object,
			     &r->reply->head.value[0]);
}

static struct outcome on_device_destroy(struct request *r)
{
	const struct ticket ticket = ticket_of(r);

	return device_destroy(r->env, r->client, r->head.device, r->head.flags,
			      &ticket);
}

static struct outcome on_create(struct request *r)
{
	const struct wire_allocation *allocations = r->args;
	struct create_args args = {
		.device = r->head.device,
		.resource = r->head.object,
		.flags = r->head.flags,
		.count = r->head.count,
		.allocations = allocations,
		.private_bytes = r->head.value[0],
		.args_bytes = r->head.args_bytes,
		.now_s = (uint32_t)(r->now_ns / NS_PER_S),
	};
	struct created made = { .handles = r->broker->data };
	struct outcome outcome;

	if (args.count <= LIST_ENTRIES_MAX)
		args.private_data = allocations + args.count;
	outcome = create_request(r->env, r->client, &args, &made);
	if (outcome.status != 0)
		return outcome;
	r->reply->head.value[0] = made.resource;
	r->reply->head.value[1] = made.bytes;
	r->reply->head.count = made.count;
	r->reply->head.data_bytes = made.count * 8;
	return outcome;
}

static struct outcome on_destroy(struct request *r)
{
	const struct ticket ticket = ticket_of(r);
	const struct destroy_args args = {
		.device = r->head.device,
		.resource = r->head.object,
		.list = r->head.form & WIRE_FORM_LIST ? r->args : NULL,
		.list_bytes = r->head.args_bytes,
		.count = r->head.count,
		.flags = r->head.flags,
	};

	return destroy_request(r->env, r->client, &args, &ticket,
			       &r->broker->rules);
}

static struct outcome on_share(struct request *r)
{
	return share_request(r->env, r->client, r->head.device, r->head.object,
			     r->head.flags, r->reply->head.value);
}

static struct outcome on_token_revoke(struct request *r)
{
	return revoke_request(r->env, r->client, r->head.value);
}

static struct outcome on_query(struct request *r)
{
	struct queried q = { .sizes = r->broker->data };
	struct outcome outcome = query_request(r->env, r->head.value, &q);

	if (outcome.status != 0)
		return outcome;
	r->reply->head.count = q.count;
	r->reply->head.data_bytes = q.count * 8;
	r->reply->head.value[0] = q.private_bytes;
	r->reply->head.value[1] = q.bytes;
	r->reply->head.value[2] = q.rights;
	return outcome;
}

static struct outcome on_open(struct request *r)
{
	const struct open_args args = {
		.device = r->head.device,
		.token = { r->head.value[0], r->head.value[1] },
		.rights = r->head.flags,
		.count = r->head.count,
		.private_bytes = r->head.object,
		.now_s = (uint32_t)(r->now_ns / NS_PER_S),
	};
	/* count is only believed once open_request has compared it */
	uint64_t room = min_u64(args.count, LIST_ENTRIES_MAX);
	struct created made = { .handles = r->broker->data,
				.private_data = r->broker->data + room };
	struct outcome outcome = open_request(r->env, r->client, &args, &made);

	if (outcome.status != 0)
		return outcome;
	r->reply->head.value[0] = made.resource;
	r->reply->head.value[1] = made.rights;
	r->reply->head.count = made.count;
	r->reply->head.data_bytes =
		made.count * 8 + (uint32_t)args.private_bytes;
	return outcome;
}

static struct outcome on_map(struct request *r)
{
	struct mapped m;
	struct outcome outcome = map_request(r->env, r->client, r->head.device,
					     r->head.object, r->head.flags, &m);

	if (outcome.status != 0)
		return outcome;
	r->reply->head.value[0] = m.store_serial;
	r->reply->head.value[1] = m.offset;
	r->reply->head.value[2] = m.size_bytes;
	r->reply->head.value[3] = m.store_bytes;
	r->reply->head.fds = m.attach ? 1 : 0;
	r->reply->adapter = m.adapter;
	r->reply->store = m.backing;
	r->reply->read_only = m.read_only;
	return outcome;
}

static struct outcome on_unmap(struct request *r)
{
	return unmap_request(r->env, r->client, r->head.device, r->head.object);
}

static struct outcome on_stat(struct request *r)
{
	const struct session *s = session_at(&r->env->region, r->client);
	const struct limits *limits = &r->env->config.limits;
	const struct wire_stat stat = {
		.bytes = s->account.used[CHARGE_BYTES],
		.bytes_limit = limits->client[CHARGE_BYTES],
		.handles = s->account.used[CHARGE_HANDLES],
		.handles_limit = limits->client[CHARGE_HANDLES],
		.tokens = s->n_tokens,
		.stores = s->account.used[CHARGE_STORES],
		.devices = s->n_devices,
		.resources = s->n_resources,
		.allocations = s->n_allocations,
		.retired = s->n_retired,
	};

	memcpy(r->broker->data, &stat, sizeof(stat));
	r->reply->head.data_bytes = sizeof(stat);
	return outcome_ok();
}

static struct outcome on_inspect(struct request *r)
{
	return inspect_request(r->broker, r->client, &r->head, r->now_ns,
			       &r->reply->head);
}

static struct outcome on_work(struct request *r)
{
	const struct ticket ticket = ticket_of(r);

	return work_request(r->broker, r->client, &ticket, &r->head, r->args,
			    r->now_ns, &r->reply->head);
}

static struct outcome on_ring(struct request *r)
{
	return ring_request(r->broker, r->client, &r->head, &r->reply->head);
}

static struct outcome on_fence_watch(struct request *r)
{
	return watch_request(r->broker, r->client, &r->head, r->args, r->reply);
}

static struct outcome on_fence_page(struct request *r)
{
	return page_request(r->broker, r->client, &r->head, r->reply);
}

static struct outcome on_notices(struct request *r)
{
	session_at(&r->env->region, r->client)->wants_notices = 1;
	return outcome_ok();
}

static struct outcome on_pool_create(struct request *r)
{
	const struct warm_args args = {
		.size_bytes = r->head.value[0],
		.idle_timeout_ns = r->head.value[1],
		.count = r->head.count,
	};

	return warm_create(r->env, r->client, &args, r->now_ns,
			   &r->reply->head.value[0]);
}

static struct outcome on_pool_report(struct request *r)
{
	return warm_report(r->env, r->client, r->head.object, r->args,
			   r->head.args_bytes, r->now_ns);
}

static struct outcome on_pool_destroy(struct request *r)
{
	return warm_destroy(r->env, r->client, r->head.object);
}

static struct outcome on_test_event(struct request *r)
{
	struct outcome outcome =
		refuse(-ENOTSUP, TENURE_REASON_UNKNOWN_REQUEST);
	uint32_t adapter, device;

	if (!r->env->config.test_events)
		return outcome;
	if (r->head.flags == WIRE_TEST_DEVICE_ERROR) {
		device = rules_device(&r->env->region, r->client,
				      r->head.device, &outcome);
		if (device != 0)
			device_at(&r->env->region, device)->state =
				DEVICE_ERROR;
		return outcome;
	}
	outcome = adapter_find(r->env, r->client, r->head.object, &adapter);
	if (outcome.status != 0)
		return outcome;
	if (r->head.flags == WIRE_TEST_ADAPTER_STOP)
		adapter_stop(r->env, adapter);
	else if (r->head.flags == WIRE_TEST_ADAPTER_START)
		adapter_start(r->env, adapter);
	else
		return refuse(-EINVAL, TENURE_REASON_FLAGS_RESERVED);
	return outcome;
}

static struct outcome (*const handlers[UINT8_MAX + 1])(struct request *r) = {
	[WIRE_OP_HELLO] = on_hello,
	[WIRE_OP_PING] = on_ping,
	[WIRE_OP_ADAPTER_OPEN] = on_adapter_open,
	[WIRE_OP_ADAPTER_CLOSE] = on_adapter_close,
	[WIRE_OP_DEVICE_CREATE] = on_device_create,
	[WIRE_OP_DEVICE_DESTROY] = on_device_destroy,
	[WIRE_OP_CREATE] = on_create,
	[WIRE_OP_DESTROY] = on_destroy,
	[WIRE_OP_SHARE] = on_share,
	[WIRE_OP_TOKEN_REVOKE] = on_token_revoke,
	[WIRE_OP_QUERY] = on_query,
	[WIRE_OP_OPEN] = on_open,
	[WIRE_OP_MAP] = on_map,
	[WIRE_OP_UNMAP] = on_unmap,
	[WIRE_OP_STAT] = on_stat,
	[WIRE_OP_STATUS] = on_inspect,
	[WIRE_OP_CLIENTS] = on_inspect,
	[WIRE_OP_RESOURCES] = on_inspect,
	[WIRE_OP_LIMITS] = on_inspect,
	[WIRE_OP_CHECK] = on_inspect,
	[WIRE_OP_EVENTS] = on_inspect,
	[WIRE_OP_CONTEXT_CREATE] = on_work,
	[WIRE_OP_CONTEXT_DESTROY] = on_work,
	[WIRE_OP_CONTEXT_SUBMIT] = on_work,
	[WIRE_OP_CONTEXT_PROGRESS] = on_work,
	[WIRE_OP_CONTEXT_ALLOCATION_CREATE] = on_work,
	[WIRE_OP_CONTEXT_ALLOCATION_DESTROY] = on_work,
	[WIRE_OP_FENCE_CREATE] = on_work,
	[WIRE_OP_FENCE_DESTROY] = on_work,
	[WIRE_OP_FENCE_SHARE] = on_work,
	[WIRE_OP_FENCE_OPEN] = on_work,
	[WIRE_OP_FENCE_SIGNAL] = on_work,
	[WIRE_OP_FENCE_VALUE] = on_work,
	[WIRE_OP_FENCE_WAIT] = on_work,
	[WIRE_OP_FENCE_WAIT_CANCEL] = on_work,
	[WIRE_OP_FENCE_WATCH] = on_fence_watch,
	[WIRE_OP_FENCE_PAGE] = on_fence_page,
	[WIRE_OP_FENCE_PUBLISH] = on_fence_page,
	[WIRE_OP_FENCE_MAP] = on_fence_page,
	[WIRE_OP_RING] = on_ring,
	[WIRE_OP_DOORBELL] = on_ring,
	[WIRE_OP_NOTICES] = on_notices,
	[WIRE_OP_POOL_CREATE] = on_pool_create,
	[WIRE_OP_POOL_REPORT] = on_pool_report,
	[WIRE_OP_POOL_DESTROY] = on_pool_destroy,
	[WIRE_OP_POOLS] = on_inspect,
	[WIRE_OP_TEST_EVENT] = on_test_event,
};

/* Copies and decodes; the outcome is a refusal unless a handler may run. */
static struct outcome decode(struct request *r, const void *bytes,
			     size_t size_bytes)
{
	if (size_bytes > sizeof(r->broker->message))
		return refuse_and_kill(TENURE_REASON_MESSAGE_TOO_LONG);
	memcpy(r->broker->message, bytes, size_bytes);
	switch (decode_request(r->broker->message, size_bytes,
			       r->port == BROKER_PORT_RING, &r->head,
			       &r->args)) {
	case DECODE_OK:
		return outcome_ok();
	case DECODE_UNKNOWN:
		return refuse(-ENOTSUP, TENURE_REASON_UNKNOWN_REQUEST);
	case DECODE_TOO_LONG:
		return refuse_and_kill(TENURE_REASON_MESSAGE_TOO_LONG);
	case DECODE_MALFORMED:
		break;
	}
	return refuse_and_kill(TENURE_REASON_MALFORMED);
}

/* Whether the message may come now: hello first, once; acks in range. */
static struct outcome admit(struct request *r)
{
	struct session *s = session_at(&r->env->region, r->client);
	bool hello = r->head.opcode == WIRE_OP_HELLO;

	if (s->phase == SESSION_HELLO && !hello)
		return refuse_and_kill(TENURE_REASON_HELLO_EXPECTED);
	if (s->phase == SESSION_ACTIVE && hello)
		return refuse_and_kill(TENURE_REASON_HELLO_TWICE);
	if (r->head.fds_acked > s->fds_unacknowledged)
		return refuse_and_kill(TENURE_REASON_ACK_EXCESS);
	s->fds_unacknowledged -= r->head.fds_acked;
	return outcome_ok();
}

static struct outcome handle(struct request *r, const void *bytes,
			     size_t size_bytes)
{
	struct outcome outcome = decode(r, bytes, size_bytes), admitted;

	if (outcome.kill)
		return outcome;
	admitted = admit(r);
	if (admitted.status != 0)
		return admitted;
	if (outcome.status != 0)
		return outcome;
	assert(handlers[r->head.opcode] != NULL);
	region_state(&r->env->region)->call = (struct call_at_work){
		.id = r->head.id,
		.client = r->client,
		.port = (uint32_t)r->port,
	};
	return handlers[r->head.opcode](r);
}

enum broker_verdict broker_receive(struct broker *broker, uint32_t client,
				   enum broker_port port, const void *bytes,
				   size_t size_bytes, uint64_t now_ns,
				   struct broker_reply *ret)
{
	struct request r = {
		.broker = broker,
		.env = &broker->env,
		.client = client,
		.port = port,
		.now_ns = now_ns,
		.reply = ret,
	};
	struct outcome outcome;

	struct call_at_work *call = &region_state(&broker->env.region)->call;

	assert(session_at(&broker->env.region, client)->phase <=
	       SESSION_ACTIVE);
	*ret = (struct broker_reply){ .client = client,
				      .port = port,
				      .data = broker->data };
	outcome = handle(&r, bytes, size_bytes);
	*call = (struct call_at_work){ 0 };
	if (outcome.later)
		return BROKER_LATER;
	ret->head.opcode = r.head.opcode;
	ret->head.id = r.head.id;
	ret->head.status = outcome.status;
	ret->head.reason = outcome.reason;
	ret->head.index = outcome.index;
	ret->quiet = outcome.status == 0 && ticket_of(&r).quiet;
	if (outcome.status != 0)
		session_note_refusal(&broker->env, client, r.head.opcode,
				     &outcome, now_ns);
	return outcome.kill ? BROKER_KILL : BROKER_REPLY;
}

static void not_made(struct env *env, const struct broker_reply *reply)
{
	switch (reply->head.opcode) {
	case WIRE_OP_RING:
	case WIRE_OP_DOORBELL:
		ring_not_made(env, reply);
		break;
	case WIRE_OP_FENCE_WATCH:
		watch_not_made(env, reply);
		break;
	default:
		assert(reply->head.opcode == WIRE_OP_FENCE_PAGE ||
		       reply->head.opcode == WIRE_OP_FENCE_MAP);
		page_not_made(env, reply);
		break;
	}
}

/* Between the grant and this its other requests are served. */
enum broker_verdict broker_descriptor_failed(struct broker *broker,
					     struct broker_reply *reply,
					     int status)
{
	struct env *env = &broker->env;
	struct session *s = session_at(&env->region, reply->client);

	assert(reply->head.status == 0 && reply->head.fds == 1 && status < 0);
	not_made(env, reply);
	region_state(&env->region)->refused_total++;
	reply->head.status = status;
	reply->head.reason = TENURE_REASON_BACKEND;
	reply->head.fds = 0;
	memset(reply->head.value, 0, sizeof(reply->head.value));
	if (s->fds_unacknowledged == 0) {
		reply->head.status = -EPROTO;
		reply->head.reason = TENURE_REASON_ACK_EXCESS;
		return BROKER_KILL;
	}
	s->fds_unacknowledged--;
	return BROKER_REPLY;
}

bool broker_next_notice(struct broker *broker, uint32_t *ret_client)
{
	uint32_t client = session_take_noticed(&broker->env);

	if (client == 0)
		return false;
	*ret_client = client;
	return true;
}

void broker_notice_sent(struct broker *broker, uint32_t client)
{
	session_notice_sent(&broker->env, client);
}

bool broker_next_reply(struct broker *broker, struct broker_reply *ret)
{
	uint32_t waiter = waiter_next_answered(&broker->env);
	const struct waiter *w;

	if (waiter == 0)
		return false;
	w = waiter_at(&broker->env.region, waiter);
	*ret = (struct broker_reply){ .client = w->session,
				      .port = (enum broker_port)w->port,
				      .quiet = w->quiet != 0 };
	ret->head.opcode = w->opcode;
	ret->head.id = w->id;
	ret->head.index = WIRE_NO_INDEX;
	ret->head.status = w->status;
	ret->head.reason = w->reason;
	ret->head.value[0] = w->value;
	waiter_drop(&broker->env, waiter);
	return true;
}

bool broker_next_pinned(struct broker *broker, struct pinned_report *ret)
{
	return pinned_next_report(&broker->env, ret);
}

uint64_t broker_due_ns(const struct broker *broker)
{
	return pinned_due_ns(&broker->env.region);
}

bool broker_tick_budget(struct broker *broker, uint64_t now_ns,
			uint32_t *budget)
{
	bool more = reclaim_tick(&broker->env, now_ns, budget);

	/* Memory of the table goes when nothing else is to be done. */
	return more || table_trim(&broker->env.region, TRIM_SEGMENTS) > 0;
}

bool broker_tick(struct broker *broker, uint64_t now_ns, uint32_t budget)
{
	return broker_tick_budget(broker, now_ns, &budget);
}

bool broker_next_release(struct broker *broker, struct release *ret)
{
	if (!reclaim_next_job(&broker->env, ret))
		return false;
	ret->again = session_at(&broker->env.region, ret->args.client)->again;
	return true;
}

void broker_release_done(struct broker *broker, uint32_t client, int status,
			 uint64_t resource, uint64_t now_ns)
{
	(void)now_ns;
	reclaim_job_done(&broker->env, client, status, resource);
}

void broker_status(const struct broker *broker, struct wire_status *ret)
{
	const struct region *region = &broker->env.region;
	const struct state *state = region_state(region);
	uint32_t used = region_area(region, AREA_SESSIONS)->used;

	*ret = (struct wire_status){
		.clients = state->n_sessions - state->n_ending,
		.clients_ending = state->n_ending,
		.devices = state->n_devices,
		.resources = state->n_resources,
		.allocations = state->n_allocations,
		.objects = state->n_objects,
		.tokens = state->n_tokens,
		.stores = state->n_stores,
		.bytes = state->store_bytes,
		.pinned = state->pinned.count,
		.clients_total = state->clients_total,
		.created_total = state->created_total,
		.destroyed_total = state->destroyed_total,
		.refused_total = state->refused_total,
		.released_bytes_total = state->released_bytes_total,
		.release_failures_total = state->release_failures_total,
		.pinned_total = state->pinned_total,
		.page_bytes = region->pages.page_bytes,
	};
	for (uint32_t i = 1; i < used; i++) {
		const struct session *s = session_at(region, i);

		if (!s->record.in_use)
			continue;
		ret->handles += s->account.used[CHARGE_HANDLES];
		ret->releases_pending += s->stream.count;
	}
}

void broker_stop_accepting(struct broker *broker)
{
	region_state(&broker->env.region)->stopping = 1;
}
