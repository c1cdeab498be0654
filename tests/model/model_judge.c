/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The naive model: which answers are right
 *
 * One function per request, in the order of the rules: flags, shape, device
 * handle, device state, then the resource or the list. Within one of these
 * steps the law orders nothing but the entries of a list; where two rules of
 * one step are broken, each of the two answers is right.
 *
 * A limit that would be exceeded by what surely lives must refuse; one that
 * would be exceeded only together with garbage may refuse, because nobody can
 * say here whether that garbage has been given back yet.
 */
#include "tests/model/model_judge.h"

void model_may(struct model_answers *ret, int status, enum tenure_reason reason,
	       uint32_t index)
{
	assert(ret->n < MODEL_ANSWERS);
	ret->of[ret->n++] = (struct model_answer){ status, reason, index };
}

void model_refuse(struct model_answers *ret, int status,
		  enum tenure_reason reason)
{
	model_may(ret, status, reason, WIRE_NO_INDEX);
}

void model_succeed(struct model_answers *ret)
{
	model_may(ret, 0, TENURE_REASON_NONE, WIRE_NO_INDEX);
}

/* Of the daemon's own account: a fault that the test ordered. */
void model_may_lack_memory(const struct model *m, struct model_answers *ret)
{
	if (m->memory_may_fail)
		model_refuse(ret, -ENOMEM, TENURE_REASON_DAEMON_MEMORY);
}

/* ---- Limits ---- */

static const enum tenure_reason client_reasons[CHARGE_KINDS] = {
	[CHARGE_BYTES] = TENURE_REASON_CLIENT_BYTES,
	[CHARGE_HANDLES] = TENURE_REASON_CLIENT_HANDLES,
	[CHARGE_STORES] = TENURE_REASON_CLIENT_STORES,
	[CHARGE_TOKENS] = TENURE_REASON_CLIENT_TOKENS,
	[CHARGE_WAITS] = TENURE_REASON_CLIENT_WAITS,
};

static const enum tenure_reason principal_reasons[CHARGE_KINDS] = {
	[CHARGE_BYTES] = TENURE_REASON_PRINCIPAL_BYTES,
	[CHARGE_HANDLES] = TENURE_REASON_PRINCIPAL_HANDLES,
	[CHARGE_STORES] = TENURE_REASON_PRINCIPAL_STORES,
	[CHARGE_TOKENS] = TENURE_REASON_PRINCIPAL_TOKENS,
	[CHARGE_WAITS] = TENURE_REASON_PRINCIPAL_WAITS,
	[CHARGE_CLIENTS] = TENURE_REASON_PRINCIPAL_CLIENTS,
};

/* Adds the refusal of one limit; returns whether it must come. */
static bool judge_limit(struct model_answers *ret, uint64_t surely,
			uint64_t perhaps, uint64_t limit,
			enum tenure_reason reason)
{
	if (perhaps > limit)
		model_refuse(ret, -EDQUOT, reason);
	return surely > limit;
}

/* Success, unless a limit must refuse; what may refuse is added. */
void model_judge_cost(const struct model *m, int client,
		      const struct model_cost *cost, struct model_answers *ret)
{
	const struct model_client *c = &m->clients[client];
	bool must = false;

	for (enum charge_kind k = 0; k < CHARGE_CLIENTS; k++) {
		uint64_t own = model_client_holds(m, client, k);
		uint64_t all = model_principal_holds(m, c->principal, k);

		if (cost->client[k] > 0)
			must |= judge_limit(
				ret, own + cost->client[k],
				own + c->garbage[k] + cost->client[k],
				m->limits.client[k], client_reasons[k]);
		if (cost->principal[k] == 0)
			continue;
		must |= judge_limit(
			ret, all + cost->principal[k] - cost->perhaps_less[k],
			all + cost->principal[k] +
				m->principal_garbage[c->principal][k],
			m->limits.principal[k], principal_reasons[k]);
	}
	model_may_lack_memory(m, ret);
	if (!must)
		model_succeed(ret);
}

struct model_cost model_cost_of(uint64_t bytes, uint64_t handles,
				uint64_t stores)
{
	struct model_cost cost = { 0 };

	cost.client[CHARGE_BYTES] = cost.principal[CHARGE_BYTES] = bytes;
	cost.client[CHARGE_HANDLES] = cost.principal[CHARGE_HANDLES] = handles;
	cost.client[CHARGE_STORES] = cost.principal[CHARGE_STORES] = stores;
	return cost;
}

/* Success at once or later. A wait that has to be paid for may be refused. */
static void judge_wait(const struct model *m, int client,
		       struct model_answers *ret)
{
	struct model_cost wait = { 0 };

	wait.client[CHARGE_WAITS] = wait.principal[CHARGE_WAITS] = 1;
	model_judge_cost(m, client, &wait, ret);
	/* Nothing to wait for: nothing to pay. */
	if (ret->n == 0 || ret->of[ret->n - 1].status != 0)
		model_succeed(ret);
}

void model_judge_connect(const struct model *m, int principal,
			 struct model_answers *ret)
{
	uint64_t here = 0, all = 0, dying = 0;
	bool must;

	ret->n = 0;
	for (int c = 0; c < MODEL_CLIENTS; c++) {
		all += m->clients[c].used && m->clients[c].alive;
		dying += m->clients[c].used && !m->clients[c].alive;
		here += m->clients[c].used && m->clients[c].alive &&
			m->clients[c].principal == principal;
	}
	must = judge_limit(
		ret, here + 1,
		here + 1 + m->principal_garbage[principal][CHARGE_CLIENTS],
		m->limits.principal[CHARGE_CLIENTS],
		TENURE_REASON_PRINCIPAL_CLIENTS);
	must |= judge_limit(ret, all + 1, all + dying + 1, m->limits.clients,
			    TENURE_REASON_DAEMON_CLIENTS);
	model_may_lack_memory(m, ret);
	if (!must)
		model_succeed(ret);
}

/* ---- Handles ---- */

/* What a removed device had is hidden at once, and dies later. */
static bool is_hidden(const struct model *m, int thing)
{
	const struct model_thing *t;

	if (thing == MODEL_NOTHING)
		return false;
	t = &m->things[thing];
	return t->kind != MODEL_ADAPTER && t->kind != MODEL_DEVICE &&
	       m->things[t->device].state != MODEL_DEVICE_LIVE;
}

static int find_seen(const struct model *m, int client, uint64_t handle)
{
	int thing = model_find(m, client, handle);

	return is_hidden(m, thing) ? MODEL_NOTHING : thing;
}

/*
 * A handle where a kind is expected. Returns the thing if it is one and
 * nothing has been refused.
 */
int model_judge_device(const struct model *m, int client, uint64_t handle,
		       struct model_answers *ret)
{
	int thing = find_seen(m, client, handle);
	const struct model_thing *t = &m->things[thing < 0 ? 0 : thing];

	if (thing == MODEL_NOTHING || (t->kind != MODEL_DEVICE && t->dying)) {
		model_refuse(ret, -EINVAL, TENURE_REASON_DEVICE_INVALID);
		/* Its device is going, but it may not have died yet. */
		if (thing != MODEL_NOTHING)
			model_refuse(ret, -EINVAL, TENURE_REASON_WRONG_TYPE);
		return MODEL_NOTHING;
	}
	if (t->kind != MODEL_DEVICE) {
		model_refuse(ret, -EINVAL, TENURE_REASON_WRONG_TYPE);
		return MODEL_NOTHING;
	}
	if (t->state == MODEL_DEVICE_GOING_OR_GONE)
		model_refuse(ret, -EINVAL, TENURE_REASON_DEVICE_INVALID);
	if (t->state != MODEL_DEVICE_LIVE) {
		model_refuse(ret, -ENODEV, TENURE_REASON_DEVICE_REMOVED);
		return MODEL_NOTHING;
	}
	return thing;
}

static int judge_adapter(const struct model *m, int client, uint64_t handle,
			 struct model_answers *ret)
{
	int thing = find_seen(m, client, handle);

	if (thing == MODEL_NOTHING || m->things[thing].dying)
		model_refuse(ret, -EINVAL, TENURE_REASON_ADAPTER_INVALID);
	if (thing == MODEL_NOTHING)
		return MODEL_NOTHING;
	if (m->things[thing].kind == MODEL_ADAPTER)
		return thing;
	model_refuse(ret, -EINVAL, TENURE_REASON_WRONG_TYPE);
	return MODEL_NOTHING;
}

/*
 * A thing that must be of a kind and of that device. garbage is what anything
 * but an own handle gets. With an index, an entry of a list.
 */
int model_judge_owned(const struct model *m, int client, int device,
		      uint64_t handle, enum model_kind kind, int status,
		      enum tenure_reason garbage, uint32_t index,
		      struct model_answers *ret)
{
	int thing = find_seen(m, client, handle);
	const struct model_thing *t = &m->things[thing < 0 ? 0 : thing];
	bool owned = thing != MODEL_NOTHING && t->kind != MODEL_ADAPTER &&
		     t->kind != MODEL_DEVICE;

	if (thing == MODEL_NOTHING || t->dying)
		model_may(ret, status, garbage, index);
	if (thing == MODEL_NOTHING)
		return MODEL_NOTHING;
	if (owned && t->device != device) {
		model_may(ret, status, TENURE_REASON_OTHER_DEVICE, index);
		return MODEL_NOTHING;
	}
	if (t->kind != kind) {
		model_may(ret, status, TENURE_REASON_WRONG_TYPE, index);
		return MODEL_NOTHING;
	}
	return t->dying ? MODEL_NOTHING : thing;
}

/* ---- Adapters and devices ---- */

int model_adapter_named(const struct wire_request *q)
{
	static const char *const names[MODEL_ADAPTERS] = { "system", "other" };

	for (int i = 0; i < MODEL_ADAPTERS; i++) {
		char name[ADAPTER_NAME_BYTES] = "";

		memcpy(name, names[i], strlen(names[i]));
		if (memcmp(name, q->value, sizeof(name)) == 0)
			return i;
	}
	return MODEL_NOTHING;
}

static void judge_adapter_open(const struct model *m, int client,
			       const struct wire_request *q,
			       struct model_answers *ret)
{
	int adapter = model_adapter_named(q);
	struct model_cost cost = model_cost_of(0, 1, 0);

	if (adapter == MODEL_NOTHING)
		model_refuse(ret, -ENODEV, TENURE_REASON_ADAPTER_UNKNOWN);
	else if (m->stopped[adapter])
		model_refuse(ret, -ENODEV, TENURE_REASON_ADAPTER_STOPPED);
	else if (model_count(m, client, MODEL_ADAPTER) >=
		 ADAPTER_OPENS_PER_CLIENT_MAX)
		model_refuse(ret, -EDQUOT, TENURE_REASON_CLIENT_ADAPTERS);
	else
		model_judge_cost(m, client, &cost, ret);
}

static void judge_adapter_close(const struct model *m, int client,
				const struct wire_request *q,
				struct model_answers *ret)
{
	int thing = judge_adapter(m, client, q->object, ret);
	int opens = 0;

	if (thing == MODEL_NOTHING)
		return;
	for (int i = 0; i < m->n_things; i++)
		opens += m->things[i].kind == MODEL_ADAPTER &&
			 m->things[i].client == client &&
			 m->things[i].adapter == m->things[thing].adapter;
	if (opens > 1)
		model_succeed(ret);
	else
		judge_wait(m, client, ret);
}

static uint64_t devices_with_going(const struct model *m, int client)
{
	uint64_t n = 0;

	for (int i = 0; i < m->n_things; i++)
		n += m->things[i].kind == MODEL_DEVICE &&
		     m->things[i].client == client;
	return n;
}

static void judge_device_create(const struct model *m, int client,
				const struct wire_request *q,
				struct model_answers *ret)
{
	int adapter = judge_adapter(m, client, q->object, ret);
	struct model_cost cost = model_cost_of(0, 1, 0);

	if (adapter == MODEL_NOTHING)
		return;
	if (m->stopped[m->things[adapter].adapter]) {
		model_refuse(ret, -ENODEV, TENURE_REASON_ADAPTER_STOPPED);
		return;
	}
	/* Those that are going count until they have gone. */
	if (devices_with_going(m, client) >= DEVICES_PER_CLIENT_MAX)
		model_refuse(ret, -EDQUOT, TENURE_REASON_CLIENT_DEVICES);
	if (model_count(m, client, MODEL_DEVICE) < DEVICES_PER_CLIENT_MAX)
		model_judge_cost(m, client, &cost, ret);
}

static void judge_device_destroy(const struct model *m, int client,
				 const struct wire_request *q,
				 struct model_answers *ret)
{
	int thing = model_find(m, client, q->device);

	if (q->flags & ~(uint32_t)TENURE_END_TERMINATE)
		model_refuse(ret, -EINVAL, TENURE_REASON_FLAGS_RESERVED);
	else if (thing != MODEL_NOTHING &&
		 m->things[thing].kind == MODEL_DEVICE &&
		 m->things[thing].state == MODEL_DEVICE_STOPPED)
		judge_wait(m, client, ret);
	else if (model_judge_device(m, client, q->device, ret) != MODEL_NOTHING)
		judge_wait(m, client, ret);
}

/* ---- Create ---- */

static uint64_t pages(uint64_t size_bytes)
{
	uint64_t page = PAGE_BYTES;

	return (size_bytes + page - 1) / page * page;
}

static void judge_create_flags(const struct wire_request *q,
			       struct model_answers *ret)
{
	const uint32_t known = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED;

	if (q->flags & ~known)
		model_refuse(ret, -EINVAL, TENURE_REASON_FLAGS_RESERVED);
	if ((q->flags & TENURE_CREATE_SHARED) &&
	    !(q->flags & TENURE_CREATE_RESOURCE))
		model_refuse(ret, -EINVAL, TENURE_REASON_SHARED_NEEDS_RESOURCE);
	if (q->object != 0 && (q->flags & known))
		model_refuse(ret, -EINVAL, TENURE_REASON_CREATE_FLAGS_CONFLICT);
}

static void judge_create_shape(const struct wire_request *q,
			       struct model_answers *ret)
{
	if (q->count == 0)
		model_refuse(ret, -EINVAL, TENURE_REASON_COUNT_ZERO);
	if (q->count > LIST_ENTRIES_MAX)
		model_refuse(ret, -EINVAL, TENURE_REASON_COUNT_TOO_LARGE);
	if (q->value[0] > PRIVATE_DATA_MAX)
		model_refuse(ret, -EINVAL,
			     TENURE_REASON_PRIVATE_DATA_TOO_LARGE);
	if (q->value[0] > 0 && !(q->flags & TENURE_CREATE_RESOURCE))
		model_refuse(ret, -EINVAL,
			     TENURE_REASON_PRIVATE_DATA_NEEDS_NEW);
}

/* Entries in their order: the first bad one. */
static void judge_create_sizes(const struct wire_request *q, const void *args,
			       struct model_answers *ret)
{
	const struct wire_allocation *sizes = args;

	for (uint32_t i = 0; i < q->count; i++) {
		if (sizes[i].size_bytes == 0)
			model_may(ret, -EINVAL, TENURE_REASON_SIZE_ZERO, i);
		else if (sizes[i].size_bytes > ALLOCATION_BYTES_MAX)
			model_may(ret, -EINVAL, TENURE_REASON_SIZE_TOO_LARGE,
				  i);
		else
			continue;
		return;
	}
}

static uint32_t children(const struct model *m, int resource)
{
	uint32_t n = 0;

	for (int i = 0; i < m->n_things; i++)
		n += m->things[i].kind == MODEL_ALLOCATION &&
		     m->things[i].resource == resource;
	return n;
}

static void judge_create_resource(const struct model *m, int client, int device,
				  const struct wire_request *q,
				  struct model_answers *ret)
{
	int resource = model_judge_owned(m, client, device, q->object,
					 MODEL_RESOURCE, -EBADF,
					 TENURE_REASON_RESOURCE_INVALID,
					 WIRE_NO_INDEX, ret);

	if (resource == MODEL_NOTHING)
		return;
	if (m->things[resource].sealed)
		model_refuse(ret, -EINVAL, TENURE_REASON_RESOURCE_SEALED);
	else if (children(m, resource) + q->count > RESOURCE_CHILDREN_MAX)
		model_refuse(ret, -EINVAL, TENURE_REASON_RESOURCE_FULL);
}

/* The backend may refuse when the test has told it to, and limits do not. */
static void judge_backend(const struct model *m, struct model_answers *ret)
{
	if (m->backend_fails == 0 || ret->n == 0 ||
	    ret->of[ret->n - 1].status != 0)
		return;
	model_refuse(ret, m->backend_fails, TENURE_REASON_BACKEND);
}

static void judge_create(const struct model *m, int client,
			 const struct wire_request *q, const void *args,
			 struct model_answers *ret)
{
	const struct wire_allocation *sizes = args;
	struct model_cost cost;
	uint64_t bytes = 0;
	int device;

	judge_create_flags(q, ret);
	judge_create_shape(q, ret);
	if (ret->n > 0)
		return;
	device = model_judge_device(m, client, q->device, ret);
	if (device == MODEL_NOTHING)
		return;
	if (q->object != 0)
		judge_create_resource(m, client, device, q, ret);
	judge_create_sizes(q, args, ret);
	if (ret->n > 0)
		return;
	for (uint32_t i = 0; i < q->count; i++)
		bytes += pages(sizes[i].size_bytes);
	cost = model_cost_of(
		bytes, q->count + !!(q->flags & TENURE_CREATE_RESOURCE), 1);
	model_judge_cost(m, client, &cost, ret);
	judge_backend(m, ret);
}

/* ---- Destroy: table A ---- */

/* A74, A75. */
static void judge_destroy_flags(const struct wire_request *q,
				struct model_answers *ret)
{
	const uint32_t known = TENURE_DESTROY_ASSUME_NOT_IN_USE |
			       TENURE_DESTROY_SYNCHRONOUS;
	const uint32_t system = TENURE_DESTROY_SYSTEM_USE_ONLY;

	if (q->flags & ~(known | system))
		model_refuse(ret, -EINVAL, TENURE_REASON_FLAGS_RESERVED);
	if (q->flags & system)
		model_refuse(ret, -EINVAL, TENURE_REASON_FLAGS_SYSTEM_ONLY);
}

/* A10 to A19. */
static void judge_destroy_shape(const struct wire_request *q, size_t args_bytes,
				struct model_answers *ret)
{
	bool list = q->form & WIRE_FORM_LIST;

	if (q->object != 0) {
		if (list && q->count > 0)
			model_refuse(ret, -EINVAL,
				     TENURE_REASON_RESOURCE_AND_LIST);
	} else if (!list) {
		if (q->count > 0)
			model_refuse(ret, -EINVAL, TENURE_REASON_LIST_MISSING);
	} else if (q->count > LIST_ENTRIES_MAX) {
		model_refuse(ret, -EINVAL, TENURE_REASON_LIST_TOO_LONG);
	} else if (args_bytes < q->count * sizeof(uint64_t)) {
		model_refuse(ret, -EINVAL, TENURE_REASON_LIST_TRUNCATED);
	}
}

/* A52 to A60 for entry i, given that those before it are good. */
static void judge_entry(const struct model *m, int client, int device,
			const uint64_t *list, uint32_t i,
			struct model_answers *ret)
{
	const struct model_thing *t, *first;
	int entry, first_entry;

	if (list[i] == 0) {
		model_may(ret, -EINVAL, TENURE_REASON_ENTRY_ZERO, i);
		return;
	}
	entry = model_judge_owned(m, client, device, list[i], MODEL_ALLOCATION,
				  -EINVAL, TENURE_REASON_ENTRY_INVALID, i, ret);
	if (entry == MODEL_NOTHING)
		return;
	t = &m->things[entry];
	if (t->resource != MODEL_NOTHING && m->things[t->resource].sealed) {
		model_may(ret, -EINVAL, TENURE_REASON_ENTRY_OF_SHARED, i);
		return;
	}
	first_entry = model_find(m, client, list[0]);
	first = &m->things[first_entry];
	if ((t->resource == MODEL_NOTHING) !=
	    (first->resource == MODEL_NOTHING))
		model_may(ret, -EINVAL, TENURE_REASON_ENTRY_MIXED_OWNERS, i);
	else if (t->resource != first->resource)
		model_may(ret, -EINVAL, TENURE_REASON_ENTRY_OTHER_RESOURCE, i);
	for (uint32_t j = 0; j < i; j++)
		if (list[j] == list[i]) {
			model_may(ret, -EINVAL, TENURE_REASON_ENTRY_TWICE, i);
			return;
		}
}

static void judge_destroy(const struct model *m, int client,
			  const struct wire_request *q, const void *args,
			  size_t args_bytes, struct model_answers *ret)
{
	int device;

	judge_destroy_flags(q, ret);
	if (ret->n == 0)
		judge_destroy_shape(q, args_bytes, ret);
	if (ret->n > 0)
		return;
	device = model_judge_device(m, client, q->device, ret);
	if (device == MODEL_NOTHING)
		return;
	if (q->object != 0)
		model_judge_owned(m, client, device, q->object, MODEL_RESOURCE,
				  -EINVAL, TENURE_REASON_RESOURCE_INVALID,
				  WIRE_NO_INDEX, ret);
	else if (q->form & WIRE_FORM_LIST)
		for (uint32_t i = 0; i < q->count && ret->n == 0; i++)
			judge_entry(m, client, device, args, i, ret);
	if (ret->n > 0)
		return;
	if (q->flags & TENURE_DESTROY_SYNCHRONOUS) {
		judge_wait(m, client, ret);
		return;
	}
	model_may_lack_memory(m, ret);
	model_succeed(ret);
}

/* ---- Sharing ---- */

bool model_rights_are_valid(uint32_t rights)
{
	return rights == TENURE_RIGHT_READ ||
	       rights == (TENURE_RIGHT_READ | TENURE_RIGHT_WRITE);
}

static void judge_share(const struct model *m, int client,
			const struct wire_request *q, struct model_answers *ret)
{
	struct model_cost cost = { 0 };
	int device, resource;

	if (!model_rights_are_valid(q->flags)) {
		model_refuse(ret, -EINVAL, TENURE_REASON_RIGHTS_INVALID);
		return;
	}
	device = model_judge_device(m, client, q->device, ret);
	if (device == MODEL_NOTHING)
		return;
	resource = model_judge_owned(m, client, device, q->object,
				     MODEL_RESOURCE, -EINVAL,
				     TENURE_REASON_RESOURCE_INVALID,
				     WIRE_NO_INDEX, ret);
	if (resource == MODEL_NOTHING)
		return;
	if (m->things[resource].object == MODEL_NOTHING) {
		model_refuse(ret, -EINVAL, TENURE_REASON_NOT_SHAREABLE);
		return;
	}
	if (q->flags & ~m->things[resource].rights) {
		model_refuse(ret, -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
		return;
	}
	cost.client[CHARGE_TOKENS] = cost.principal[CHARGE_TOKENS] = 1;
	model_judge_cost(m, client, &cost, ret);
}

static void judge_revoke(const struct model *m, int client,
			 const struct wire_request *q,
			 struct model_answers *ret)
{
	int token = model_token(m, q->value);

	if (token == MODEL_NOTHING || m->tokens[token].client != client)
		model_refuse(ret, -EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	else
		model_succeed(ret);
	model_may_lack_memory(m, ret);
}

static void judge_query(const struct model *m, const struct wire_request *q,
			struct model_answers *ret)
{
	if (model_token_of(m, q->value, MODEL_RESOURCE) == MODEL_NOTHING)
		model_refuse(ret, -EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	else
		model_succeed(ret);
}

/* The principal pays for an object once. Whether a dying opening of it still
 * pays cannot be known here. */
static struct model_cost cost_of_opening(const struct model *m, int client,
					 int object)
{
	int principal = m->clients[client].principal;
	const struct model_object *o = &m->objects[object];
	struct model_cost cost = model_cost_of(o->bytes, 1 + o->count, 1);

	if (model_is_held(m, object, principal)) {
		cost.principal[CHARGE_BYTES] = 0;
		cost.principal[CHARGE_STORES] = 0;
	} else if (m->principal_garbage[principal][CHARGE_STORES] > 0) {
		cost.perhaps_less[CHARGE_BYTES] = o->bytes;
		cost.perhaps_less[CHARGE_STORES] = 1;
	}
	return cost;
}

static void judge_open(const struct model *m, int client,
		       const struct wire_request *q, struct model_answers *ret)
{
	int token = model_token_of(m, q->value, MODEL_RESOURCE);
	const struct model_token *t = &m->tokens[token < 0 ? 0 : token];
	const struct model_object *object =
		&m->objects[token < 0 ? 0 : t->object];
	struct model_cost cost;
	int device;

	if (q->flags != 0 && !model_rights_are_valid(q->flags)) {
		model_refuse(ret, -EINVAL, TENURE_REASON_RIGHTS_INVALID);
		return;
	}
	device = model_judge_device(m, client, q->device, ret);
	if (device == MODEL_NOTHING)
		return;
	if (token == MODEL_NOTHING) {
		model_refuse(ret, -EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
		return;
	}
	if (object->adapter != m->things[device].adapter)
		model_refuse(ret, -EINVAL, TENURE_REASON_ADAPTER_INVALID);
	if (q->flags & ~t->rights)
		model_refuse(ret, -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	if (q->count != object->count)
		model_refuse(ret, -EINVAL, TENURE_REASON_OPEN_COUNT_MISMATCH);
	if (q->object != object->private_bytes)
		model_refuse(ret, -EINVAL, TENURE_REASON_OPEN_PRIVATE_MISMATCH);
	if (ret->n > 0)
		return;
	cost = cost_of_opening(m, client, t->object);
	model_judge_cost(m, client, &cost, ret);
	judge_backend(m, ret);
}

/* ---- Work ---- */

/* A context of a request on a device that lives. */
static int judge_context(const struct model *m, int client,
			 const struct wire_request *q,
			 struct model_answers *ret)
{
	int device = model_judge_device(m, client, q->device, ret), context;

	if (device == MODEL_NOTHING)
		return MODEL_NOTHING;
	context = model_find(m, client, q->object);
	if (context != MODEL_NOTHING &&
	    m->things[context].kind == MODEL_CONTEXT &&
	    m->things[context].device == device && m->things[context].ending) {
		model_refuse(ret, -EINVAL, TENURE_REASON_CONTEXT_ENDING);
		if (m->things[context].dying)
			model_refuse(ret, -EINVAL,
				     TENURE_REASON_CONTEXT_INVALID);
		return MODEL_NOTHING;
	}
	return model_judge_owned(m, client, device, q->object, MODEL_CONTEXT,
				 -EINVAL, TENURE_REASON_CONTEXT_INVALID,
				 WIRE_NO_INDEX, ret);
}

static void judge_context_create(const struct model *m, int client,
				 const struct wire_request *q,
				 struct model_answers *ret)
{
	struct model_cost cost = model_cost_of(0, 1, 0);

	if (model_judge_device(m, client, q->device, ret) != MODEL_NOTHING)
		model_judge_cost(m, client, &cost, ret);
}

static void judge_context_destroy(const struct model *m, int client,
				  const struct wire_request *q,
				  struct model_answers *ret)
{
	if (q->flags & ~(uint32_t)TENURE_END_TERMINATE)
		model_refuse(ret, -EINVAL, TENURE_REASON_FLAGS_RESERVED);
	else if (judge_context(m, client, q, ret) != MODEL_NOTHING)
		judge_wait(m, client, ret);
}

/* Heard also from a device that is going, while the context is there. */
static void judge_progress(const struct model *m, int client,
			   const struct wire_request *q,
			   struct model_answers *ret)
{
	int device = model_find(m, client, q->device);
	int context = model_find(m, client, q->object);
	const struct model_thing *d = &m->things[device < 0 ? 0 : device];
	const struct model_thing *c = &m->things[context < 0 ? 0 : context];

	if (device == MODEL_NOTHING || d->kind != MODEL_DEVICE ||
	    d->state == MODEL_DEVICE_LIVE) {
		if (model_judge_device(m, client, q->device, ret) ==
		    MODEL_NOTHING)
			return;
		if (context != MODEL_NOTHING && c->dying &&
		    c->kind == MODEL_CONTEXT && c->device == device)
			model_succeed(ret);
		if (model_judge_owned(m, client, device, q->object,
				      MODEL_CONTEXT, -EINVAL,
				      TENURE_REASON_CONTEXT_INVALID,
				      WIRE_NO_INDEX, ret) != MODEL_NOTHING)
			model_succeed(ret);
		return;
	}
	if (d->state == MODEL_DEVICE_GOING_OR_GONE && d->dying)
		model_refuse(ret, -EINVAL, TENURE_REASON_DEVICE_INVALID);
	if (context != MODEL_NOTHING && c->device == device &&
	    c->kind != MODEL_DEVICE && c->kind != MODEL_ADAPTER) {
		if (c->kind == MODEL_CONTEXT)
			model_succeed(ret);
		else
			model_refuse(ret, -EINVAL, TENURE_REASON_WRONG_TYPE);
		if (d->dying || c->dying || d->state == MODEL_DEVICE_STOPPED)
			model_refuse(ret, -EINVAL,
				     TENURE_REASON_CONTEXT_INVALID);
		return;
	}
	model_judge_owned(m, client, device, q->object, MODEL_CONTEXT, -EINVAL,
			  TENURE_REASON_CONTEXT_INVALID, WIRE_NO_INDEX, ret);
}

static void judge_submit(const struct model *m, int client,
			 const struct wire_request *q, const void *args,
			 size_t args_bytes, struct model_answers *ret)
{
	const uint64_t *list = args;
	int context;

	if (q->count > LIST_ENTRIES_MAX)
		model_refuse(ret, -EINVAL, TENURE_REASON_LIST_TOO_LONG);
	else if (args_bytes < q->count * sizeof(*list))
		model_refuse(ret, -EINVAL, TENURE_REASON_LIST_TRUNCATED);
	if (ret->n > 0)
		return;
	context = judge_context(m, client, q, ret);
	if (context == MODEL_NOTHING)
		return;
	if (q->value[0] == 0)
		model_refuse(ret, -EINVAL, TENURE_REASON_VALUE_ZERO);
	else if (q->value[0] < m->things[context].submitted)
		model_refuse(ret, -EINVAL, TENURE_REASON_VALUE_BACKWARDS);
	for (uint32_t i = 0; i < q->count && ret->n == 0; i++) {
		int thing = MODEL_NOTHING;

		if (list[i] == 0)
			model_may(ret, -EINVAL, TENURE_REASON_ENTRY_ZERO, i);
		else
			thing = model_judge_owned(
				m, client, m->things[context].device, list[i],
				MODEL_ALLOCATION, -EINVAL,
				TENURE_REASON_ENTRY_INVALID, i, ret);
		if (thing != MODEL_NOTHING &&
		    model_users(m, thing, context) >= USERS_PER_ALLOCATION_MAX)
			model_may(ret, -EDQUOT, TENURE_REASON_USERS_TOO_MANY,
				  i);
	}
	if (ret->n > 0)
		return;
	model_may_lack_memory(m, ret);
	model_succeed(ret);
}

static uint32_t context_allocations(const struct model *m, int context)
{
	uint32_t n = 0;

	for (int i = 0; i < m->n_things; i++)
		n += m->things[i].kind == MODEL_CONTEXT_ALLOCATION &&
		     m->things[i].context == context && !m->things[i].ghost;
	return n;
}

static void judge_allocate(const struct model *m, int client,
			   const struct wire_request *q, const void *args,
			   struct model_answers *ret)
{
	const struct wire_allocation *sizes = args;
	struct model_cost cost;
	uint64_t bytes = 0;
	int context;

	if (q->flags &
	    ~(uint32_t)TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS)
		model_refuse(ret, -EINVAL, TENURE_REASON_FLAGS_RESERVED);
	else if (q->count == 0)
		model_refuse(ret, -EINVAL, TENURE_REASON_COUNT_ZERO);
	else if (q->count > LIST_ENTRIES_MAX)
		model_refuse(ret, -EINVAL, TENURE_REASON_COUNT_TOO_LARGE);
	if (ret->n > 0)
		return;
	context = judge_context(m, client, q, ret);
	if (context == MODEL_NOTHING)
		return;
	if (q->flags == 0 && context_allocations(m, context) + q->count >
				     CONTEXT_ALLOCATIONS_MAX)
		model_refuse(ret, -EINVAL, TENURE_REASON_CONTEXT_FULL);
	else
		judge_create_sizes(q, args, ret);
	if (ret->n > 0)
		return;
	for (uint32_t i = 0; i < q->count; i++)
		bytes += pages(sizes[i].size_bytes);
	cost = model_cost_of(bytes, q->count, 1);
	model_judge_cost(m, client, &cost, ret);
	judge_backend(m, ret);
}

static void judge_free(const struct model *m, int client,
		       const struct wire_request *q, struct model_answers *ret)
{
	int adapter = judge_adapter(m, client, q->object, ret);
	int thing = model_find(m, client, q->value[0]);
	const struct model_thing *t = &m->things[thing < 0 ? 0 : thing];

	if (adapter == MODEL_NOTHING)
		return;
	if (thing == MODEL_NOTHING || t->dying)
		model_refuse(ret, -EINVAL, TENURE_REASON_ALLOCATION_INVALID);
	if (thing == MODEL_NOTHING)
		return;
	if (t->kind != MODEL_CONTEXT_ALLOCATION)
		model_refuse(ret, -EINVAL, TENURE_REASON_WRONG_TYPE);
	else if (is_hidden(m, thing))
		model_refuse(ret, -ENODEV, TENURE_REASON_DEVICE_REMOVED);
	else if (m->things[t->device].adapter != m->things[adapter].adapter)
		model_refuse(ret, -EINVAL, TENURE_REASON_ADAPTER_INVALID);
	else {
		model_may_lack_memory(m, ret);
		model_succeed(ret);
	}
	if (is_hidden(m, thing))
		model_refuse(ret, -EINVAL, TENURE_REASON_ALLOCATION_INVALID);
}

/* ---- Memory ---- */

static int judge_mappable(const struct model *m, int client,
			  const struct wire_request *q,
			  struct model_answers *ret)
{
	int device = model_judge_device(m, client, q->device, ret), thing;

	if (device == MODEL_NOTHING)
		return MODEL_NOTHING;
	thing = model_find(m, client, q->object);
	/* Its context is going, and it may not have died yet. */
	if (thing != MODEL_NOTHING && m->things[thing].dying &&
	    m->things[thing].kind == MODEL_CONTEXT_ALLOCATION &&
	    m->things[thing].device == device) {
		model_refuse(ret, -EINVAL, TENURE_REASON_ALLOCATION_INVALID);
		return thing;
	}
	return model_judge_owned(
		m, client, device, q->object,
		thing != MODEL_NOTHING && m->things[thing].kind ==
						  MODEL_CONTEXT_ALLOCATION ?
			MODEL_CONTEXT_ALLOCATION :
			MODEL_ALLOCATION,
		-EINVAL, TENURE_REASON_ALLOCATION_INVALID, WIRE_NO_INDEX, ret);
}

static void judge_map(const struct model *m, int client,
		      const struct wire_request *q, struct model_answers *ret)
{
	const uint32_t known = WIRE_MAP_WRITE | WIRE_MAP_WANT_FD;
	uint32_t unacknowledged =
		m->clients[client].fds_unacknowledged - q->fds_acked;
	const struct model_thing *t;
	uint32_t before;
	int thing;

	if (q->flags & ~known) {
		model_refuse(ret, -EINVAL, TENURE_REASON_FLAGS_RESERVED);
		return;
	}
	thing = judge_mappable(m, client, q, ret);
	if (thing == MODEL_NOTHING)
		return;
	t = &m->things[thing];
	before = ret->n;
	if ((q->flags & WIRE_MAP_WRITE) && t->resource != MODEL_NOTHING &&
	    !(m->things[t->resource].rights & TENURE_RIGHT_WRITE))
		model_refuse(ret, -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	if (t->maps == MAPS_PER_ALLOCATION_MAX)
		model_refuse(ret, -EDQUOT, TENURE_REASON_MAPPED_TOO_OFTEN);
	if ((q->flags & WIRE_MAP_WANT_FD) &&
	    unacknowledged >= FDS_UNACKNOWLEDGED_MAX)
		model_refuse(ret, -EDQUOT, TENURE_REASON_FDS_UNACKNOWLEDGED);
	if (ret->n == before)
		model_succeed(ret);
}

static void judge_unmap(const struct model *m, int client,
			const struct wire_request *q, struct model_answers *ret)
{
	int thing = judge_mappable(m, client, q, ret);

	if (thing == MODEL_NOTHING)
		return;
	if (m->things[thing].maps == 0)
		model_refuse(ret, -EINVAL, TENURE_REASON_NOT_MAPPED);
	else
		model_succeed(ret);
}

static void judge_test_event(const struct model *m, int client,
			     const struct wire_request *q,
			     struct model_answers *ret)
{
	if (q->flags == WIRE_TEST_DEVICE_ERROR) {
		if (model_judge_device(m, client, q->device, ret) !=
		    MODEL_NOTHING)
			model_succeed(ret);
	} else if (judge_adapter(m, client, q->object, ret) != MODEL_NOTHING) {
		model_succeed(ret);
	}
}

/* Only a check needs memory, to walk the state. */
static void judge_inspection(const struct model *m, int client,
			     const struct wire_request *q,
			     struct model_answers *ret)
{
	if (!m->clients[client].privileged) {
		model_refuse(ret, -EACCES, TENURE_REASON_NOT_PERMITTED);
		return;
	}
	model_succeed(ret);
	if (q->opcode == WIRE_OP_CHECK)
		model_may_lack_memory(m, ret);
}

/* Whether it is a request about work. */
static bool judge_work(const struct model *m, int client,
		       const struct wire_request *q, const void *args,
		       size_t args_bytes, struct model_answers *ret)
{
	switch (q->opcode) {
	case WIRE_OP_CONTEXT_CREATE:
		judge_context_create(m, client, q, ret);
		break;
	case WIRE_OP_CONTEXT_DESTROY:
		judge_context_destroy(m, client, q, ret);
		break;
	case WIRE_OP_CONTEXT_SUBMIT:
		judge_submit(m, client, q, args, args_bytes, ret);
		break;
	case WIRE_OP_CONTEXT_PROGRESS:
		judge_progress(m, client, q, ret);
		break;
	case WIRE_OP_CONTEXT_ALLOCATION_CREATE:
		judge_allocate(m, client, q, args, ret);
		break;
	case WIRE_OP_CONTEXT_ALLOCATION_DESTROY:
		judge_free(m, client, q, ret);
		break;
	default:
		return false;
	}
	return true;
}

void model_judge(const struct model *m, int client,
		 const struct wire_request *q, const void *args,
		 size_t args_bytes, struct model_answers *ret)
{
	ret->n = 0;
	switch (q->opcode) {
	case WIRE_OP_ADAPTER_OPEN:
		judge_adapter_open(m, client, q, ret);
		break;
	case WIRE_OP_ADAPTER_CLOSE:
		judge_adapter_close(m, client, q, ret);
		break;
	case WIRE_OP_DEVICE_CREATE:
		judge_device_create(m, client, q, ret);
		break;
	case WIRE_OP_DEVICE_DESTROY:
		judge_device_destroy(m, client, q, ret);
		break;
	case WIRE_OP_CREATE:
		judge_create(m, client, q, args, ret);
		break;
	case WIRE_OP_DESTROY:
		judge_destroy(m, client, q, args, args_bytes, ret);
		break;
	case WIRE_OP_SHARE:
		judge_share(m, client, q, ret);
		break;
	case WIRE_OP_TOKEN_REVOKE:
		judge_revoke(m, client, q, ret);
		break;
	case WIRE_OP_QUERY:
		judge_query(m, q, ret);
		break;
	case WIRE_OP_OPEN:
		judge_open(m, client, q, ret);
		break;
	case WIRE_OP_MAP:
		judge_map(m, client, q, ret);
		break;
	case WIRE_OP_UNMAP:
		judge_unmap(m, client, q, ret);
		break;
	case WIRE_OP_TEST_EVENT:
		judge_test_event(m, client, q, ret);
		break;
	case WIRE_OP_STATUS:
	case WIRE_OP_CLIENTS:
	case WIRE_OP_RESOURCES:
	case WIRE_OP_LIMITS:
	case WIRE_OP_CHECK:
	case WIRE_OP_EVENTS:
		judge_inspection(m, client, q, ret);
		break;
	default:
		if (!judge_work(m, client, q, args, args_bytes, ret) &&
		    !model_judge_fence(m, client, q, args, args_bytes, ret))
			model_succeed(ret);
	}
}
