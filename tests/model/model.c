/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The naive model: what there is, and what it costs
 *
 * Everything is a linear search over flat arrays. A sum is made anew each
 * time from the things that live; nothing is kept that could be computed, so
 * there is nothing that could be out of step. model_judge.c says what answers
 * are right, this file what a success changes.
 *
 * Time: when something dies here, the broker may still charge for it until
 * its memory has been given back. The model adds it to the garbage of its
 * client and principal, which is an upper bound of what is still charged and
 * becomes 0 when the test knows that all work has been done. Between living
 * and living + garbage lies the truth.
 */
#include <sys/mman.h>

#include "tests/model/model_work.h"

struct model *model_new(const struct limits *limits)
{
	/* Megabytes, of which little is touched: not from the heap, which a
	 * sanitizer would have to paint. */
	struct model *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert(m != MAP_FAILED);
	m->limits = *limits;
	return m;
}

void model_free(struct model *m)
{
	if (m)
		munmap(m, sizeof(*m));
}

int model_find(const struct model *m, int client, uint64_t handle)
{
	if (handle == 0)
		return MODEL_NOTHING;
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind != MODEL_NONE &&
		    m->things[i].client == client &&
		    m->things[i].handle == handle)
			return i;
	return MODEL_NOTHING;
}

int model_new_thing(struct model *m, struct model_thing thing)
{
	int i = 0;

	while (i < MODEL_THINGS && m->things[i].kind != MODEL_NONE)
		i++;
	assert(i < MODEL_THINGS && "the test made too many things");
	m->things[i] = thing;
	if (i >= m->n_things)
		m->n_things = i + 1;
	return i;
}

void model_forget_thing(struct model *m, int thing)
{
	model_forget_uses(m, thing);
	m->things[thing] = (struct model_thing){ 0 };
	while (m->n_things > 0 && m->things[m->n_things - 1].kind == MODEL_NONE)
		m->n_things--;
}

/* ---- Sums ---- */

/* Whether a thing surely still counts. */
static bool counts(const struct model *m, int thing)
{
	const struct model_thing *t = &m->things[thing];

	return t->kind != MODEL_NONE && !t->dying;
}

uint64_t model_count(const struct model *m, int client, enum model_kind kind)
{
	uint64_t n = 0;

	for (int i = 0; i < m->n_things; i++)
		n += counts(m, i) && !m->things[i].ghost &&
		     (m->things[i].kind == kind ||
		      (kind == MODEL_ALLOCATION &&
		       m->things[i].kind == MODEL_CONTEXT_ALLOCATION)) &&
		     (client == MODEL_NOTHING || m->things[i].client == client);
	return n;
}

/* Everything that has, or had, a handle that is still paid for. */
static uint64_t handles_of(const struct model *m, int client)
{
	uint64_t n = 0;

	for (int i = 0; i < m->n_things; i++)
		n += counts(m, i) && m->things[i].client == client;
	return n;
}

static bool is_memory(const struct model_thing *t)
{
	return t->kind == MODEL_ALLOCATION ||
	       t->kind == MODEL_CONTEXT_ALLOCATION;
}

/*
 * Who holds each object: one bit for each principal. One walk over what there
 * is, for whoever asks about all objects.
 */
struct holders {
	uint8_t of[MODEL_OBJECTS];
};

static_assert(MODEL_PRINCIPALS <= 8, "a bit each");

static void find_holders(const struct model *m, struct holders *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < m->n_things; i++) {
		const struct model_thing *t = &m->things[i];

		if (counts(m, i) && t->kind == MODEL_RESOURCE &&
		    t->object != MODEL_NOTHING)
			ret->of[t->object] |=
				(uint8_t)(1 << m->clients[t->client].principal);
	}
	for (int i = 0; i < MODEL_TOKENS; i++) {
		const struct model_token *t = &m->tokens[i];

		if (t->used && t->object != MODEL_NOTHING)
			ret->of[t->object] |=
				(uint8_t)(1 << m->clients[t->client].principal);
	}
}

bool model_is_held(const struct model *m, int object, int principal)
{
	struct holders holders;

	find_holders(m, &holders);
	return holders.of[object] >> principal & 1;
}

uint64_t model_objects(const struct model *m)
{
	struct holders holders;
	uint64_t n = 0;

	find_holders(m, &holders);
	for (int i = 0; i < MODEL_OBJECTS; i++)
		n += m->objects[i].used && holders.of[i] != 0;
	return n;
}

static uint64_t tokens_of(const struct model *m, int client)
{
	uint64_t n = 0;

	for (int i = 0; i < MODEL_TOKENS; i++)
		n += m->tokens[i].used && m->tokens[i].client == client;
	return n;
}

/* Bytes of the client's allocations; with private_only, of those that no
 * other client can hold. */
static uint64_t bytes_of(const struct model *m, int client, bool private_only)
{
	uint64_t sum = 0;

	for (int i = 0; i < m->n_things; i++)
		if (counts(m, i) && is_memory(&m->things[i]) &&
		    (client == MODEL_NOTHING ||
		     m->things[i].client == client) &&
		    (!private_only || m->things[i].object == MODEL_NOTHING))
			sum += m->things[i].bytes;
	return sum;
}

/* One store for each create of private memory. */
static uint64_t private_stores_of(const struct model *m, int client)
{
	uint64_t n = 0;

	for (int i = 0; i < MODEL_STORES; i++)
		n += m->stores[i] > 0 && m->store_client[i] == client;
	return n;
}

/* Each opening of a shared resource counts as a store of its client. */
static uint64_t stores_of(const struct model *m, int client)
{
	uint64_t n = private_stores_of(m, client);

	for (int i = 0; i < m->n_things; i++)
		n += counts(m, i) && m->things[i].kind == MODEL_RESOURCE &&
		     m->things[i].client == client &&
		     m->things[i].object != MODEL_NOTHING;
	return n;
}

uint64_t model_client_holds(const struct model *m, int client,
			    enum charge_kind kind)
{
	switch (kind) {
	case CHARGE_BYTES:
		return bytes_of(m, client, false);
	case CHARGE_HANDLES:
		return handles_of(m, client);
	case CHARGE_STORES:
		return stores_of(m, client);
	case CHARGE_TOKENS:
		return tokens_of(m, client);
	case CHARGE_WAITS:
		return m->clients[client].waits;
	case CHARGE_CLIENTS:
		return m->clients[client].alive;
	case CHARGE_SEGMENTS: /* it knows of none */
	case CHARGE_KINDS:
		break;
	}
	return 0;
}

/* What the principal's clients hold, without what is paid by object. */
static uint64_t principal_private(const struct model *m, int principal,
				  enum charge_kind kind)
{
	uint64_t sum = 0;

	for (int c = 0; c < MODEL_CLIENTS; c++) {
		if (!m->clients[c].used || m->clients[c].principal != principal)
			continue;
		if (kind == CHARGE_BYTES)
			sum += bytes_of(m, c, true);
		else if (kind == CHARGE_STORES)
			sum += private_stores_of(m, c);
		else
			sum += model_client_holds(m, c, kind);
	}
	return sum;
}

uint64_t model_principal_holds(const struct model *m, int principal,
			       enum charge_kind kind)
{
	uint64_t sum = principal_private(m, principal, kind);
	struct holders holders;

	if (kind != CHARGE_BYTES && kind != CHARGE_STORES)
		return sum;
	find_holders(m, &holders);
	for (int i = 0; i < MODEL_OBJECTS; i++)
		if (m->objects[i].used && (holders.of[i] >> principal & 1))
			sum += kind == CHARGE_BYTES ? m->objects[i].bytes : 1;
	return sum;
}

uint64_t model_bytes(const struct model *m)
{
	uint64_t sum = bytes_of(m, MODEL_NOTHING, true);
	struct holders holders;

	find_holders(m, &holders);
	for (int i = 0; i < MODEL_OBJECTS; i++)
		if (m->objects[i].used && holders.of[i] != 0)
			sum += m->objects[i].bytes;
	return sum;
}

/* ---- Ends ---- */

static void add_garbage(struct model *m, int client, enum charge_kind kind,
			uint64_t amount)
{
	struct model_client *c = &m->clients[client];

	c->garbage[kind] += amount;
	m->principal_garbage[c->principal][kind] += amount;
	if (kind == CHARGE_BYTES)
		m->garbage_bytes += amount;
	if (m->settles)
		m->settles->amount[kind] += amount;
}

static struct model_settling *find_settling(struct model *m, int client,
					    uint64_t id)
{
	for (int i = 0; i < MODEL_DEFERRALS; i++)
		if (m->settling[i].used && m->settling[i].client == client &&
		    m->settling[i].id == id)
			return &m->settling[i];
	return NULL;
}

void model_settles(struct model *m, int client, uint64_t id)
{
	m->settles = id == 0 ? NULL : find_settling(m, client, id);
}

static void begin_settling(struct model *m, int client,
			   const struct wire_request *q)
{
	int i = 0;

	if (!(q->flags & TENURE_DESTROY_SYNCHRONOUS))
		return;
	while (i < MODEL_DEFERRALS && m->settling[i].used)
		i++;
	assert(i < MODEL_DEFERRALS && "the test made too many deferrals");
	m->settling[i] = (struct model_settling){ true, client, q->id, { 0 } };
	m->settles = &m->settling[i];
}

/* A synchronous destroy was answered; with success nothing of it is left. */
static void end_settling(struct model *m, int client, uint64_t id, bool success)
{
	struct model_settling *s = find_settling(m, client, id);
	struct model_client *c = &m->clients[client];

	if (!s)
		return;
	s->used = false;
	for (int k = 0; success && k < CHARGE_KINDS; k++) {
		assert(c->garbage[k] >= s->amount[k]);
		c->garbage[k] -= s->amount[k];
		m->principal_garbage[c->principal][k] -= s->amount[k];
	}
	if (success)
		m->garbage_bytes -= s->amount[CHARGE_BYTES];
}

/* An allocation dies. Those of an opening end with it, in end_resource. */
static void end_allocation(struct model *m, int thing)
{
	struct model_thing *t = &m->things[thing];

	add_garbage(m, t->client, CHARGE_HANDLES, 1);
	add_garbage(m, t->client, CHARGE_BYTES, t->bytes);
	if (t->object == MODEL_NOTHING && --m->stores[t->store] == 0)
		add_garbage(m, t->client, CHARGE_STORES, 1);
}

static void end_resource(struct model *m, int thing)
{
	struct model_thing *t = &m->things[thing];

	add_garbage(m, t->client, CHARGE_HANDLES, 1);
	if (t->object != MODEL_NOTHING)
		add_garbage(m, t->client, CHARGE_STORES, 1);
}

void model_end_thing(struct model *m, int thing)
{
	if (is_memory(&m->things[thing]))
		end_allocation(m, thing);
	else if (m->things[thing].kind == MODEL_RESOURCE)
		end_resource(m, thing);
	else
		add_garbage(m, m->things[thing].client, CHARGE_HANDLES, 1);
}

/* Forgets objects that nobody holds. A token's principal pays as well. */
void model_drop_objects(struct model *m)
{
	struct holders holders;

	find_holders(m, &holders);
	for (int i = 0; i < MODEL_OBJECTS; i++)
		if (m->objects[i].used && holders.of[i] == 0)
			m->objects[i].used = false;
}

/* The shell of a resource stays as long as work uses what was destroyed out of
 * it; nobody waits for that. */
void model_end_shell(struct model *m, int thing)
{
	struct model_settling *settles = m->settles;

	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind == MODEL_ALLOCATION &&
		    m->things[i].ghost && m->things[i].orphan_of == 1 + thing)
			m->settles = NULL;
	model_end_thing(m, thing);
	m->settles = settles;
}

static void destroy_resource(struct model *m, int resource,
			     const struct wire_request *q)
{
	if (model_haunt(m, resource, q))
		return;
	for (int i = 0; i < m->n_things; i++) {
		if (m->things[i].kind != MODEL_ALLOCATION ||
		    m->things[i].resource != resource)
			continue;
		model_end_thing(m, i);
		model_forget_thing(m, i);
	}
	model_end_shell(m, resource);
	model_forget_thing(m, resource);
	model_drop_objects(m);
}

/* What a device owns starts to die; handles fail now or soon. */
static bool is_of_device(const struct model_thing *t, int device)
{
	return (is_memory(t) || t->kind == MODEL_RESOURCE ||
		t->kind == MODEL_CONTEXT || t->kind == MODEL_FENCE) &&
	       t->device == device;
}

static void empty_device(struct model *m, int device)
{
	for (int i = 0; i < m->n_things; i++) {
		struct model_thing *t = &m->things[i];

		if (!is_of_device(t, device) || t->dying)
			continue;
		model_close_fence(m, i, false);
		model_end_thing(m, i);
		t->dying = true;
	}
	model_drop_objects(m);
}

/* The device and whatever it had are no more. */
static void remove_device(struct model *m, int device)
{
	empty_device(m, device);
	for (int i = 0; i < m->n_things; i++)
		if (is_of_device(&m->things[i], device)) {
			model_close_fence(m, i, true);
			model_forget_thing(m, i);
		}
	if (!m->things[device].dying)
		model_end_thing(m, device);
	model_forget_thing(m, device);
}

void model_settle_device(struct model *m, int device)
{
	struct model_thing *t = &m->things[device];

	if (t->state == MODEL_DEVICE_LIVE || model_device_is_working(m, device))
		return;
	empty_device(m, device);
	if (t->state == MODEL_DEVICE_STOPPED || t->dying)
		return;
	model_end_thing(m, device);
	t->dying = true;
}

/* Its contexts end; the rest follows when they have. */
static void start_removal(struct model *m, int device,
			  enum model_device_state state, bool terminate)
{
	m->things[device].state = state;
	for (int i = 0; i < m->n_things; i++) {
		struct model_thing *t = &m->things[i];

		if (t->kind != MODEL_CONTEXT || t->device != device)
			continue;
		t->ending = true;
		if (terminate)
			t->done = t->submitted;
	}
	model_settle_work(m, m->things[device].client);
}

static void end_token(struct model *m, int token)
{
	struct model_token *t = &m->tokens[token];

	add_garbage(m, t->client, CHARGE_TOKENS, 1);
	/* The principal paid for the object; it may still do. */
	if (t->object != MODEL_NOTHING) {
		add_garbage(m, t->client, CHARGE_BYTES,
			    m->objects[t->object].bytes);
		add_garbage(m, t->client, CHARGE_STORES, 1);
	}
	*t = (struct model_token){ 0 };
	model_drop_objects(m);
}

/* ---- Clients and time ---- */

int model_connect(struct model *m, uint32_t id, int principal)
{
	int c = 0;

	while (c < MODEL_CLIENTS && m->clients[c].used)
		c++;
	assert(c < MODEL_CLIENTS);
	m->clients[c] = (struct model_client){
		.used = true,
		.alive = true,
		.id = id,
		.principal = principal,
	};
	return c;
}

void model_die(struct model *m, int client)
{
	/* What it has stored counts. */
	model_ring_bell(m, client);
	for (int i = 0; i < MODEL_TOKENS; i++)
		if (m->tokens[i].used && m->tokens[i].client == client)
			end_token(m, i);
	for (int i = 0; i < m->n_things; i++) {
		if (m->things[i].kind == MODEL_NONE ||
		    m->things[i].client != client)
			continue;
		if (!m->things[i].dying)
			model_end_thing(m, i);
		model_close_fence(m, i, false);
		m->things[i].dying = true;
	}
	for (int i = m->n_things; i-- > 0;)
		if (m->things[i].client == client &&
		    m->things[i].kind != MODEL_NONE)
			model_forget_thing(m, i);
	model_drop_objects(m);
	model_forget_waits(m, client);
	for (int i = 0; i < MODEL_DEFERRALS; i++)
		if (m->settling[i].client == client)
			m->settling[i].used = false;
	add_garbage(m, client, CHARGE_WAITS, m->clients[client].waits);
	add_garbage(m, client, CHARGE_CLIENTS, 1);
	m->clients[client].waits = 0;
	m->clients[client].alive = false;
}

void model_buried(struct model *m, int client)
{
	assert(!m->clients[client].alive);
	model_bury_fences(m, client);
	m->clients[client].used = false;
}

/* What waits for work may wait longer than the model thinks. */
void model_quiet(struct model *m)
{
	bool working[MODEL_PRINCIPALS] = { false };

	for (int c = 0; c < MODEL_CLIENTS; c++) {
		if (m->clients[c].used && model_is_working(m, c))
			working[m->clients[c].principal] = true;
		else
			memset(m->clients[c].garbage, 0,
			       sizeof(m->clients[c].garbage));
	}
	for (int p = 0; p < MODEL_PRINCIPALS; p++)
		if (!working[p])
			memset(m->principal_garbage[p], 0,
			       sizeof(m->principal_garbage[p]));
	if (!model_is_working(m, MODEL_NOTHING))
		m->garbage_bytes = 0;
	/* What was dying on a stopped device is dead, unless work of another
	 * context keeps all of it; a device stays. */
	for (int i = m->n_things; i-- > 0;)
		if (m->things[i].dying && m->things[i].kind != MODEL_DEVICE &&
		    m->things[m->things[i].device].state ==
			    MODEL_DEVICE_STOPPED &&
		    !model_device_is_working(m, m->things[i].device)) {
			model_close_fence(m, i, true);
			model_forget_thing(m, i);
		}
}

void model_acknowledge(struct model *m, int client, uint32_t fds)
{
	assert(m->clients[client].fds_unacknowledged >= fds);
	m->clients[client].fds_unacknowledged -= fds;
}

const char *model_answered(struct model *m, int client,
			   const struct wire_request *request,
			   const struct wire_reply *reply)
{
	int thing = model_find(m, client, request->device);
	int wait = model_find_wait(m, client, request->id);
	uint32_t cost = wait == MODEL_NOTHING ? 1 : m->waits[wait].cost;

	m->clients[client].waits -= cost;
	add_garbage(m, client, CHARGE_WAITS, cost);
	if (wait != MODEL_NOTHING)
		return model_answer_of_wait(m, client, request, reply);
	if (request->opcode == WIRE_OP_DESTROY)
		end_settling(m, client, request->id, reply->status == 0);
	if (request->opcode == WIRE_OP_DESTROY ||
	    request->opcode == WIRE_OP_CONTEXT_DESTROY)
		return model_answer_of_work(m, client, request, reply);
	if (reply->status != 0)
		return "a late reply that is no success";
	if (request->opcode == WIRE_OP_DEVICE_DESTROY) {
		assert(thing != MODEL_NOTHING);
		if (model_device_is_working(m, thing))
			return "a device went before its work was done";
		remove_device(m, thing);
		return NULL;
	}
	if (request->opcode != WIRE_OP_ADAPTER_CLOSE)
		return NULL;
	for (int i = 0; i < m->n_things; i++) {
		if (m->things[i].kind != MODEL_DEVICE ||
		    m->things[i].client != client ||
		    m->things[i].state != MODEL_DEVICE_GOING_OR_GONE ||
		    m->things[i].closed_by != request->id)
			continue;
		if (model_device_is_working(m, i))
			return "a device went before its work was done";
		remove_device(m, i);
	}
	return NULL;
}

/* ---- What a success changes ---- */

static uint64_t pages(uint64_t size_bytes)
{
	uint64_t page = PAGE_BYTES;

	return (size_bytes + page - 1) / page * page;
}

static const char *apply_adapter_open(struct model *m, int client,
				      const struct wire_request *q,
				      const struct wire_reply *reply)
{
	if (model_find(m, client, reply->value[0]) != MODEL_NOTHING ||
	    reply->value[0] == 0)
		return "adapter_open gave a handle that is in use, or 0";
	model_new_thing(m, (struct model_thing){
				   .kind = MODEL_ADAPTER,
				   .client = client,
				   .handle = reply->value[0],
				   .adapter = model_adapter_named(q),
			   });
	return NULL;
}

/* The last close takes the client's devices on that adapter along. */
static const char *apply_adapter_close(struct model *m, int client,
				       const struct wire_request *q,
				       const struct wire_reply *reply)
{
	int closed = model_find(m, client, q->object);
	int adapter;

	assert(closed != MODEL_NOTHING);
	adapter = m->things[closed].adapter;
	model_end_thing(m, closed);
	model_forget_thing(m, closed);
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind == MODEL_ADAPTER &&
		    m->things[i].client == client &&
		    m->things[i].adapter == adapter)
			return reply ? NULL :
				       "waits, though it is not the last";
	for (int i = 0; i < m->n_things; i++) {
		struct model_thing *t = &m->things[i];

		if (t->kind != MODEL_DEVICE || t->client != client ||
		    t->adapter != adapter)
			continue;
		if (reply && (t->state == MODEL_DEVICE_GOING ||
			      model_device_is_working(m, i)))
			return "adapter close answered before a device on it "
			       "has gone";
		if (reply) {
			remove_device(m, i);
			continue;
		}
		/* One that goes already has a reply of its own to come. */
		if (t->state != MODEL_DEVICE_GOING) {
			t->closed_by = q->id;
			start_removal(m, i, MODEL_DEVICE_GOING_OR_GONE, false);
		}
	}
	return NULL;
}

static const char *apply_device_create(struct model *m, int client,
				       const struct wire_request *q,
				       const struct wire_reply *reply)
{
	if (model_find(m, client, reply->value[0]) != MODEL_NOTHING ||
	    reply->value[0] == 0)
		return "device_create gave a handle that is in use, or 0";
	model_new_thing(
		m,
		(struct model_thing){
			.kind = MODEL_DEVICE,
			.client = client,
			.handle = reply->value[0],
			.adapter = m->things[model_find(m, client, q->object)]
					   .adapter,
		});
	return NULL;
}

static const char *apply_device_destroy(struct model *m, int client,
					const struct wire_request *q,
					const struct wire_reply *reply)
{
	int device = model_find(m, client, q->device);

	if (reply)
		remove_device(m, device);
	else
		start_removal(m, device, MODEL_DEVICE_GOING,
			      (q->flags & TENURE_END_TERMINATE) != 0);
	return NULL;
}

static int new_object(struct model *m, int adapter)
{
	int i = 0;

	while (i < MODEL_OBJECTS && m->objects[i].used)
		i++;
	assert(i < MODEL_OBJECTS && "the test made too many objects");
	m->objects[i] =
		(struct model_object){ .used = true, .adapter = adapter };
	return i;
}

int model_new_store(struct model *m, int client, uint32_t count)
{
	int i = 0;

	while (i < MODEL_STORES && m->stores[i] > 0)
		i++;
	assert(i < MODEL_STORES && "the test made too many stores");
	m->stores[i] = count;
	m->store_client[i] = client;
	return i;
}

/* Handles that are new, different and not 0. */
static const char *judge_handles(const struct model *m, int client,
				 const uint64_t *handles, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (handles[i] == 0 ||
		    model_find(m, client, handles[i]) != MODEL_NOTHING)
			return "a handle that is in use, or 0";
	return NULL;
}

static void describe_object(struct model_object *object,
			    const struct wire_request *q, const void *args)
{
	const struct wire_allocation *sizes = args;

	object->count = q->count;
	for (uint32_t i = 0; i < q->count; i++) {
		object->sizes[i] = pages(sizes[i].size_bytes);
		object->bytes += object->sizes[i];
	}
	object->private_bytes = (uint32_t)q->value[0];
	memcpy(object->private_data, sizes + q->count, q->value[0]);
}

static const char *apply_create(struct model *m, int client,
				const struct wire_request *q, const void *args,
				const struct wire_reply *reply,
				const void *data)
{
	const struct wire_allocation *sizes = args;
	const uint64_t *handles = data;
	int device = model_find(m, client, q->device);
	int resource = model_find(m, client, q->object);
	int object = MODEL_NOTHING, store = MODEL_NOTHING;
	uint64_t bytes = 0;
	const char *wrong;

	if (reply->count != q->count ||
	    reply->data_bytes != q->count * sizeof(*handles))
		return "create: wrong number of handles";
	for (uint32_t i = 0; i < q->count; i++)
		bytes += pages(sizes[i].size_bytes);
	if (reply->value[1] != bytes)
		return "create: wrong bytes charged";
	wrong = judge_handles(m, client, handles, q->count);
	if (!wrong && (q->flags & TENURE_CREATE_RESOURCE))
		wrong = judge_handles(m, client, &reply->value[0], 1);
	else if (!wrong && reply->value[0] != 0)
		wrong = "create: a resource, though none was made";
	if (wrong)
		return wrong;
	if (q->flags & TENURE_CREATE_SHARED) {
		object = new_object(m, m->things[device].adapter);
		describe_object(&m->objects[object], q, args);
	} else {
		store = model_new_store(m, client, q->count);
	}
	if (q->flags & TENURE_CREATE_RESOURCE)
		resource = model_new_thing(
			m, (struct model_thing){
				   .kind = MODEL_RESOURCE,
				   .client = client,
				   .handle = reply->value[0],
				   .device = device,
				   .resource = MODEL_NOTHING,
				   .object = object,
				   .sealed = object != MODEL_NOTHING,
				   .rights = TENURE_RIGHT_READ |
					     TENURE_RIGHT_WRITE,
			   });
	for (uint32_t i = 0; i < q->count; i++)
		model_new_thing(m, (struct model_thing){
					   .kind = MODEL_ALLOCATION,
					   .client = client,
					   .handle = handles[i],
					   .device = device,
					   .resource = resource,
					   .object = object,
					   .position = i,
					   .bytes = pages(sizes[i].size_bytes),
					   .store = store,
				   });
	return NULL;
}

static void destroy_named(struct model *m, int client,
			  const struct wire_request *q, const void *args)
{
	const uint64_t *list = args;

	if (q->object != 0) {
		destroy_resource(m, model_find(m, client, q->object), q);
		return;
	}
	if (!(q->form & WIRE_FORM_LIST))
		return;
	for (uint32_t i = 0; i < q->count; i++) {
		int thing = model_find(m, client, list[i]);

		if (model_haunt(m, thing, q))
			continue;
		model_end_thing(m, thing);
		model_forget_thing(m, thing);
	}
}

static void apply_destroy(struct model *m, int client,
			  const struct wire_request *q, const void *args,
			  const struct wire_reply *reply)
{
	begin_settling(m, client, q);
	destroy_named(m, client, q, args);
	m->settles = NULL;
	if (reply)
		end_settling(m, client, q->id, true);
}

const char *model_new_token(struct model *m, int client,
			    const struct wire_request *q,
			    const struct wire_reply *reply)
{
	const struct model_thing *t =
		&m->things[model_find(m, client, q->object)];
	int place = MODEL_NOTHING;

	if (reply->value[0] == 0 && reply->value[1] == 0)
		return "share: the token is 0";
	for (int i = MODEL_TOKENS; i-- > 0;) {
		if (!m->tokens[i].used)
			place = i;
		else if (m->tokens[i].value[0] == reply->value[0] &&
			 m->tokens[i].value[1] == reply->value[1])
			return "share: the token exists";
	}
	assert(place != MODEL_NOTHING && "the test made too many tokens");
	m->tokens[place] = (struct model_token){
		.used = true,
		.client = client,
		.value = { reply->value[0], reply->value[1] },
		.object = t->kind == MODEL_FENCE ? MODEL_NOTHING : t->object,
		.fence = t->kind == MODEL_FENCE ? t->fence : MODEL_NOTHING,
		.rights = q->flags,
	};
	return NULL;
}

int model_token(const struct model *m, const uint64_t value[2])
{
	for (int i = 0; i < MODEL_TOKENS; i++)
		if (m->tokens[i].used && m->tokens[i].value[0] == value[0] &&
		    m->tokens[i].value[1] == value[1])
			return i;
	return MODEL_NOTHING;
}

int model_token_of(const struct model *m, const uint64_t value[2],
		   enum model_kind kind)
{
	int token = model_token(m, value);

	return token != MODEL_NOTHING && (kind == MODEL_FENCE) ==
						 (m->tokens[token].fence !=
						  MODEL_NOTHING) ?
		       token :
		       MODEL_NOTHING;
}

static const char *apply_query(struct model *m, const struct wire_request *q,
			       const struct wire_reply *reply, const void *data)
{
	const struct model_token *token = &m->tokens[model_token(m, q->value)];
	const struct model_object *object = &m->objects[token->object];

	if (reply->count != object->count ||
	    reply->value[0] != object->private_bytes ||
	    reply->value[1] != object->bytes ||
	    reply->value[2] != token->rights)
		return "query: wrong facts";
	if (reply->data_bytes != object->count * sizeof(uint64_t) ||
	    memcmp(data, object->sizes, reply->data_bytes) != 0)
		return "query: wrong sizes";
	return NULL;
}

static const char *apply_open(struct model *m, int client,
			      const struct wire_request *q,
			      const struct wire_reply *reply, const void *data)
{
	const struct model_token *token = &m->tokens[model_token(m, q->value)];
	const struct model_object *object = &m->objects[token->object];
	const uint64_t *handles = data;
	uint32_t rights = q->flags ? q->flags : token->rights;
	int device = model_find(m, client, q->device);
	int resource;

	if (reply->count != object->count || reply->value[1] != rights ||
	    reply->data_bytes !=
		    object->count * sizeof(*handles) + object->private_bytes)
		return "open: wrong facts";
	if (memcmp(handles + object->count, object->private_data,
		   object->private_bytes) != 0)
		return "open: wrong private data";
	if (judge_handles(m, client, handles, object->count) ||
	    judge_handles(m, client, &reply->value[0], 1))
		return "open: a handle that is in use, or 0";
	resource = model_new_thing(m, (struct model_thing){
					      .kind = MODEL_RESOURCE,
					      .client = client,
					      .handle = reply->value[0],
					      .device = device,
					      .resource = MODEL_NOTHING,
					      .object = token->object,
					      .sealed = true,
					      .rights = rights,
				      });
	for (uint32_t i = 0; i < object->count; i++)
		model_new_thing(m, (struct model_thing){
					   .kind = MODEL_ALLOCATION,
					   .client = client,
					   .handle = handles[i],
					   .device = device,
					   .resource = resource,
					   .object = token->object,
					   .position = i,
					   .bytes = object->sizes[i],
				   });
	return NULL;
}

/* Openings of one object lie in one place, at which nothing else lies. */
static const char *judge_place(struct model *m, struct model_thing *t,
			       const struct wire_reply *reply)
{
	struct model_object *object =
		t->object == MODEL_NOTHING ? NULL : &m->objects[t->object];

	if (object && object->placed[t->position] &&
	    (object->place_store != reply->value[0] ||
	     object->place_offset[t->position] != reply->value[1]))
		return "map: two openings of one object lie apart";
	if (t->placed && (t->place_store != reply->value[0] ||
			  t->place_offset != reply->value[1]))
		return "map: the allocation has moved";
	for (int i = 0; i < m->n_things; i++) {
		const struct model_thing *o = &m->things[i];

		if (o == t || o->kind != MODEL_ALLOCATION || !o->placed ||
		    o->place_store != reply->value[0] ||
		    (t->object != MODEL_NOTHING && o->object == t->object &&
		     o->position == t->position))
			continue;
		if (o->place_offset < reply->value[1] + t->bytes &&
		    reply->value[1] < o->place_offset + o->bytes)
			return "map: two allocations overlap";
	}
	return NULL;
}

static const char *apply_map(struct model *m, int client,
			     const struct wire_request *q,
			     const struct wire_reply *reply)
{
	struct model_thing *t = &m->things[model_find(m, client, q->object)];
	bool wants_fd = q->flags & WIRE_MAP_WANT_FD;
	const char *wrong;

	if (reply->value[2] != t->bytes || reply->value[1] % PAGE_BYTES != 0 ||
	    reply->value[3] < reply->value[1] + t->bytes)
		return "map: wrong size or offset";
	if (reply->fds != wants_fd)
		return "map: wrong number of descriptors";
	wrong = judge_place(m, t, reply);
	if (wrong)
		return wrong;
	t->maps++;
	t->placed = true;
	t->place_store = reply->value[0];
	t->place_offset = reply->value[1];
	if (t->object != MODEL_NOTHING) {
		struct model_object *object = &m->objects[t->object];

		object->placed[t->position] = true;
		object->place_store = reply->value[0];
		object->place_offset[t->position] = reply->value[1];
	}
	m->clients[client].fds_unacknowledged += wants_fd;
	return NULL;
}

static void apply_test_event(struct model *m, int client,
			     const struct wire_request *q)
{
	int thing = model_find(m, client, q->object);
	int adapter = thing == MODEL_NOTHING ? 0 : m->things[thing].adapter;

	if (q->flags == WIRE_TEST_ADAPTER_START)
		m->stopped[adapter] = false;
	if (q->flags != WIRE_TEST_ADAPTER_STOP)
		return;
	m->stopped[adapter] = true;
	for (int i = 0; i < m->n_things; i++) {
		struct model_thing *t = &m->things[i];

		if (t->kind != MODEL_DEVICE || t->adapter != adapter ||
		    t->state != MODEL_DEVICE_LIVE)
			continue;
		start_removal(m, i, MODEL_DEVICE_STOPPED, false);
	}
}

/* Every pair of answer and what the client holds must fit. */
static const char *judge_stat(const struct model *m, int client,
			      const struct wire_reply *reply, const void *data)
{
	const struct model_client *c = &m->clients[client];
	struct wire_stat s;
	struct {
		uint64_t said;
		enum charge_kind kind;
		const char *wrong;
	} sums[] = {
		{ 0, CHARGE_BYTES, "stat: wrong bytes" },
		{ 0, CHARGE_HANDLES, "stat: wrong handles" },
		{ 0, CHARGE_TOKENS, "stat: wrong tokens" },
		{ 0, CHARGE_STORES, "stat: wrong stores" },
	};

	if (reply->data_bytes != sizeof(s))
		return "stat: wrong length";
	memcpy(&s, data, sizeof(s));
	sums[0].said = s.bytes;
	sums[1].said = s.handles;
	sums[2].said = s.tokens;
	sums[3].said = s.stores;
	for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
		uint64_t low = model_client_holds(m, client, sums[i].kind);

		if (sums[i].said < low ||
		    sums[i].said > low + c->garbage[sums[i].kind])
			return sums[i].wrong;
	}
	if (s.bytes_limit != m->limits.client[CHARGE_BYTES] ||
	    s.handles_limit != m->limits.client[CHARGE_HANDLES])
		return "stat: wrong limits";
	if (s.resources < model_count(m, client, MODEL_RESOURCE) ||
	    s.allocations < model_count(m, client, MODEL_ALLOCATION) ||
	    s.devices < model_count(m, client, MODEL_DEVICE))
		return "stat: too few";
	if (c->garbage[CHARGE_HANDLES] > 0)
		return NULL;
	if (s.resources != model_count(m, client, MODEL_RESOURCE) ||
	    s.allocations != model_count(m, client, MODEL_ALLOCATION) ||
	    s.devices != model_count(m, client, MODEL_DEVICE))
		return "stat: too many";
	return s.retired == 0 || model_is_working(m, client) ?
		       NULL :
		       "stat: retired, though all is quiet";
}

const char *model_apply(struct model *m, int client,
			const struct wire_request *q, const void *args,
			const struct wire_reply *reply, const void *data)
{
	const char *wrong;

	if (!reply)
		m->clients[client].waits++;
	switch (q->opcode) {
	case WIRE_OP_ADAPTER_OPEN:
		return apply_adapter_open(m, client, q, reply);
	case WIRE_OP_ADAPTER_CLOSE:
		return apply_adapter_close(m, client, q, reply);
	case WIRE_OP_DEVICE_CREATE:
		return apply_device_create(m, client, q, reply);
	case WIRE_OP_DEVICE_DESTROY:
		return apply_device_destroy(m, client, q, reply);
	case WIRE_OP_CREATE:
		return apply_create(m, client, q, args, reply, data);
	case WIRE_OP_DESTROY:
		apply_destroy(m, client, q, args, reply);
		return NULL;
	case WIRE_OP_SHARE:
		return model_new_token(m, client, q, reply);
	case WIRE_OP_TOKEN_REVOKE:
		end_token(m, model_token(m, q->value));
		return NULL;
	case WIRE_OP_QUERY:
		return apply_query(m, q, reply, data);
	case WIRE_OP_OPEN:
		return apply_open(m, client, q, reply, data);
	case WIRE_OP_MAP:
		return apply_map(m, client, q, reply);
	case WIRE_OP_UNMAP:
		m->things[model_find(m, client, q->object)].maps--;
		return NULL;
	case WIRE_OP_STAT:
		return judge_stat(m, client, reply, data);
	case WIRE_OP_TEST_EVENT:
		apply_test_event(m, client, q);
		return NULL;
	}
	if (model_apply_fence(m, client, q, args, reply, &wrong))
		return wrong;
	return model_apply_work(m, client, q, args, reply, data);
}
