/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The naive model: work in flight
 *
 * A flat list says which context uses what until which value. What is
 * destroyed while an entry of that list is not done becomes a ghost: it has no
 * handle any more, but everything else of it stays, until the last such entry
 * is done. Then it dies like any other thing.
 *
 * The broker may keep a ghost longer: it rounds up the value that something
 * waits for. So while a client has unfinished work, its garbage is not known
 * to be gone when all is quiet; when all its work is done it is.
 */
#include "tests/model/model_work.h"

static bool is_unfinished(const struct model *m, int context)
{
	return m->things[context].done < m->things[context].submitted;
}

bool model_is_working(const struct model *m, int client)
{
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind == MODEL_CONTEXT &&
		    (client == MODEL_NOTHING ||
		     m->things[i].client == client) &&
		    is_unfinished(m, i))
			return true;
	return false;
}

bool model_device_is_working(const struct model *m, int device)
{
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind == MODEL_CONTEXT &&
		    m->things[i].device == device && is_unfinished(m, i))
			return true;
	return false;
}

uint32_t model_users(const struct model *m, int thing, int but)
{
	uint32_t n = 0;

	for (int i = 0; i < m->n_uses; i++) {
		const struct model_use *u = &m->uses[i];

		n += u->used && u->thing == thing && u->context != but &&
		     u->value > m->things[u->context].done;
	}
	return n;
}

/* Of the thing or one that belongs to it. */
static bool is_in_use(const struct model *m, int thing)
{
	if (model_users(m, thing, MODEL_NOTHING) > 0)
		return true;
	if (m->things[thing].kind != MODEL_RESOURCE)
		return false;
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind == MODEL_ALLOCATION &&
		    m->things[i].resource == thing &&
		    model_users(m, i, MODEL_NOTHING) > 0)
			return true;
	return false;
}

/* One entry for each pair. */
static void note_use(struct model *m, int thing, int context, uint64_t value)
{
	int place = MODEL_NOTHING;

	for (int i = 0; i < m->n_uses; i++) {
		struct model_use *u = &m->uses[i];

		if (!u->used) {
			place = i;
		} else if (u->thing == thing && u->context == context) {
			u->value = value;
			return;
		}
	}
	if (place == MODEL_NOTHING)
		place = m->n_uses++;
	assert(place < MODEL_USES && "the test made too many uses");
	m->uses[place] = (struct model_use){ true, thing, context, value };
}

void model_forget_uses(struct model *m, int thing)
{
	for (int i = 0; i < m->n_uses; i++)
		if (m->uses[i].thing == thing || m->uses[i].context == thing)
			m->uses[i].used = false;
	while (m->n_uses > 0 && !m->uses[m->n_uses - 1].used)
		m->n_uses--;
}

static void note_deferral(struct model *m, int client,
			  const struct wire_request *q)
{
	if (q->opcode != WIRE_OP_DESTROY ||
	    !(q->flags & TENURE_DESTROY_SYNCHRONOUS))
		return;
	for (int i = 0; i < MODEL_DEFERRALS; i++) {
		struct model_deferral *d = &m->deferrals[i];

		if (d->used && d->client == client && d->id == q->id)
			return;
		if (!d->used) {
			*d = (struct model_deferral){ true, client, q->id,
						      q->device };
			return;
		}
	}
	assert(false && "the test made too many deferrals");
}

bool model_was_deferred(const struct model *m, int client, uint64_t id)
{
	for (int i = 0; i < MODEL_DEFERRALS; i++)
		if (m->deferrals[i].used && m->deferrals[i].client == client &&
		    m->deferrals[i].id == id)
			return true;
	return false;
}

static void make_ghost(struct model *m, int thing, uint64_t id)
{
	m->things[thing].ghost = true;
	m->things[thing].handle = 0;
	m->things[thing].closed_by = id;
}

bool model_haunt(struct model *m, int thing, const struct wire_request *q)
{
	int client = m->things[thing].client;

	if ((q->opcode == WIRE_OP_DESTROY &&
	     (q->flags & TENURE_DESTROY_ASSUME_NOT_IN_USE)) ||
	    !is_in_use(m, thing))
		return false;
	note_deferral(m, client, q);
	make_ghost(m, thing, q->id);
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind == MODEL_ALLOCATION &&
		    m->things[i].resource == thing)
			make_ghost(m, i, q->id);
	if (m->things[thing].kind == MODEL_ALLOCATION) {
		m->things[thing].orphan_of = 1 + m->things[thing].resource;
		m->things[thing].resource = MODEL_NOTHING;
	}
	return true;
}

static void end_ghost(struct model *m, int thing)
{
	model_settles(m, m->things[thing].client, m->things[thing].closed_by);
	for (int i = 0; i < m->n_things; i++) {
		if (m->things[i].kind != MODEL_ALLOCATION ||
		    m->things[i].resource != thing ||
		    m->things[thing].kind != MODEL_RESOURCE)
			continue;
		model_end_thing(m, i);
		model_forget_thing(m, i);
	}
	model_end_shell(m, thing);
	model_forget_thing(m, thing);
	model_drop_objects(m);
	model_settles(m, MODEL_NOTHING, 0);
}

/* One that is being destroyed and has no work left dies with what it has. */
static void settle_context(struct model *m, int context)
{
	if (!m->things[context].ending || is_unfinished(m, context) ||
	    m->things[context].dying)
		return;
	for (int i = 0; i < m->n_things; i++) {
		struct model_thing *t = &m->things[i];

		if (t->kind != MODEL_CONTEXT_ALLOCATION ||
		    t->context != context || t->ghost || t->dying)
			continue;
		model_end_thing(m, i);
		t->dying = true;
	}
	model_end_thing(m, context);
	m->things[context].dying = true;
}

void model_settle_work(struct model *m, int client)
{
	for (int i = 0; i < m->n_things; i++) {
		const struct model_thing *t = &m->things[i];

		if (t->kind == MODEL_NONE || t->client != client)
			continue;
		/* Children of a ghost go with it. */
		if (t->ghost && !t->dying &&
		    (t->kind != MODEL_ALLOCATION ||
		     t->resource == MODEL_NOTHING) &&
		    !is_in_use(m, i))
			end_ghost(m, i);
		else if (t->kind == MODEL_CONTEXT)
			settle_context(m, i);
		else if (t->kind == MODEL_DEVICE)
			model_settle_device(m, i);
	}
}

/* ---- What a success changes ---- */

/* That of a context, or of a fence that the client made. */
bool model_word_is_free(const struct model *m, int client, uint64_t word)
{
	if (word == 0 || word >= WORDS_PER_CLIENT_MAX)
		return false;
	for (int i = 0; i < m->n_things; i++) {
		const struct model_thing *t = &m->things[i];

		if (t->client == client && !t->dying && t->position == word &&
		    (t->kind == MODEL_CONTEXT ||
		     (t->kind == MODEL_FENCE && t->own)))
			return false;
	}
	return true;
}

static const char *apply_context_create(struct model *m, int client,
					const struct wire_request *q,
					const struct wire_reply *reply)
{
	if (reply->value[0] == 0 ||
	    model_find(m, client, reply->value[0]) != MODEL_NOTHING)
		return "context_create gave a handle that is in use, or 0";
	if (!model_word_is_free(m, client, reply->value[1]))
		return "context_create gave a word that is in use, or none";
	model_new_thing(m, (struct model_thing){
				   .kind = MODEL_CONTEXT,
				   .client = client,
				   .handle = reply->value[0],
				   .device = model_find(m, client, q->device),
				   .position = (uint32_t)reply->value[1],
			   });
	return NULL;
}

/* The context and what belongs to it are no more. */
static void remove_context(struct model *m, int context)
{
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind == MODEL_CONTEXT_ALLOCATION &&
		    m->things[i].context == context) {
			if (m->things[i].ghost)
				m->things[i].context = MODEL_NOTHING;
			else
				model_forget_thing(m, i);
		}
	model_forget_thing(m, context);
}

static const char *apply_context_destroy(struct model *m, int client,
					 const struct wire_request *q,
					 const struct wire_reply *reply)
{
	int context = model_find(m, client, q->object);
	struct model_thing *t = &m->things[context];

	if (reply && is_unfinished(m, context))
		return "context_destroy answered before its work was done";
	t->ending = true;
	t->closed_by = q->id;
	if (q->flags & TENURE_END_TERMINATE)
		t->done = t->submitted;
	model_settle_work(m, client);
	if (reply)
		remove_context(m, context);
	return NULL;
}

static void apply_submit(struct model *m, int client,
			 const struct wire_request *q, const void *args)
{
	const uint64_t *list = args;
	int context = model_find(m, client, q->object);

	m->things[context].submitted = q->value[0];
	for (uint32_t i = 0; i < q->count; i++)
		note_use(m, model_find(m, client, list[i]), context,
			 q->value[0]);
}

static void apply_progress(struct model *m, int client,
			   const struct wire_request *q)
{
	int context = model_find(m, client, q->object);
	struct model_thing *t = &m->things[context < 0 ? 0 : context];
	uint64_t value;

	if (context == MODEL_NOTHING)
		return;
	value = q->value[0] < t->submitted ? q->value[0] : t->submitted;
	if (value <= t->done)
		return;
	t->done = value;
	model_settle_work(m, client);
}

static const char *apply_allocate(struct model *m, int client,
				  const struct wire_request *q,
				  const void *args,
				  const struct wire_reply *reply,
				  const void *data)
{
	const struct wire_allocation *sizes = args;
	const uint64_t *handles = data;
	int context = model_find(m, client, q->object);
	int device = m->things[context].device;
	int store = model_new_store(m, client, q->count);

	if (reply->count != q->count ||
	    reply->data_bytes != q->count * sizeof(*handles))
		return "context allocation: wrong number of handles";
	for (uint32_t i = 0; i < q->count; i++) {
		if (handles[i] == 0 ||
		    model_find(m, client, handles[i]) != MODEL_NOTHING)
			return "a handle that is in use, or 0";
		model_new_thing(m, (struct model_thing){
					   .kind = MODEL_CONTEXT_ALLOCATION,
					   .client = client,
					   .handle = handles[i],
					   .device = device,
					   .resource = MODEL_NOTHING,
					   .object = MODEL_NOTHING,
					   .context = q->flags ? MODEL_NOTHING :
								 context,
					   .bytes = (sizes[i].size_bytes +
						     PAGE_BYTES - 1) /
						    PAGE_BYTES * PAGE_BYTES,
					   .store = store,
				   });
	}
	return NULL;
}

/* It waits for what its context, or each of the device, has been given. */
static void apply_free(struct model *m, int client,
		       const struct wire_request *q)
{
	int thing = model_find(m, client, q->value[0]);
	const struct model_thing *t = &m->things[thing];

	if (t->dying) {
		model_forget_thing(m, thing);
		return;
	}
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind == MODEL_CONTEXT &&
		    m->things[i].device == t->device &&
		    (t->context == MODEL_NOTHING || t->context == i) &&
		    is_unfinished(m, i))
			note_use(m, thing, i, m->things[i].submitted);
	if (model_haunt(m, thing, q))
		return;
	model_end_thing(m, thing);
	model_forget_thing(m, thing);
}

const char *model_apply_work(struct model *m, int client,
			     const struct wire_request *q, const void *args,
			     const struct wire_reply *reply, const void *data)
{
	switch (q->opcode) {
	case WIRE_OP_CONTEXT_CREATE:
		return apply_context_create(m, client, q, reply);
	case WIRE_OP_CONTEXT_DESTROY:
		return apply_context_destroy(m, client, q, reply);
	case WIRE_OP_CONTEXT_SUBMIT:
		apply_submit(m, client, q, args);
		return NULL;
	case WIRE_OP_CONTEXT_PROGRESS:
		apply_progress(m, client, q);
		return NULL;
	case WIRE_OP_CONTEXT_ALLOCATION_CREATE:
		return apply_allocate(m, client, q, args, reply, data);
	case WIRE_OP_CONTEXT_ALLOCATION_DESTROY:
		apply_free(m, client, q);
		return NULL;
	}
	return NULL;
}

/* ---- Late answers ---- */

static void forget_deferral(struct model *m, int client, uint64_t id)
{
	for (int i = 0; i < MODEL_DEFERRALS; i++)
		if (m->deferrals[i].used && m->deferrals[i].client == client &&
		    m->deferrals[i].id == id)
			m->deferrals[i].used = false;
}

static bool has_ghosts(const struct model *m, int client, uint64_t id)
{
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind != MODEL_NONE && m->things[i].ghost &&
		    m->things[i].client == client &&
		    m->things[i].closed_by == id)
			return true;
	return false;
}

const char *model_answer_of_work(struct model *m, int client,
				 const struct wire_request *q,
				 const struct wire_reply *reply)
{
	int device = model_find(m, client, q->device);
	bool deferred = model_was_deferred(m, client, q->id);

	if (q->opcode == WIRE_OP_CONTEXT_DESTROY) {
		int context = model_find(m, client, q->object);

		if (reply->status != 0)
			return "the destroy of a context failed late";
		if (context == MODEL_NOTHING)
			return NULL;
		if (is_unfinished(m, context))
			return "a context went before its work was done";
		remove_context(m, context);
		return NULL;
	}
	forget_deferral(m, client, q->id);
	if (reply->status == 0)
		return has_ghosts(m, client, q->id) ?
			       "a synchronous destroy did not wait for work" :
			       NULL;
	if (reply->status != -ENODEV ||
	    reply->reason != TENURE_REASON_DEVICE_REMOVED || !deferred)
		return "a late reply with a status of its own";
	if (device != MODEL_NOTHING &&
	    m->things[device].state == MODEL_DEVICE_LIVE)
		return "a wait ended with a device that lives";
	return NULL;
}

bool model_may_still_wait(const struct model *m, int client,
			  const struct wire_request *q)
{
	int device = model_find(m, client, q->device);
	int context = model_find(m, client, q->object);

	switch (q->opcode) {
	case WIRE_OP_FENCE_WAIT:
		return !m->waits[model_find_wait(m, client, q->id)].is_over;
	case WIRE_OP_DEVICE_DESTROY:
		return device != MODEL_NOTHING &&
		       model_device_is_working(m, device);
	case WIRE_OP_ADAPTER_CLOSE:
		return model_is_working(m, client);
	case WIRE_OP_CONTEXT_DESTROY:
		/* Those of a removed device go with it, in its order. */
		return (context != MODEL_NOTHING &&
			is_unfinished(m, context)) ||
		       (device != MODEL_NOTHING &&
			m->things[device].state != MODEL_DEVICE_LIVE &&
			model_device_is_working(m, device));
	case WIRE_OP_DESTROY:
		return device != MODEL_NOTHING &&
		       m->things[device].state == MODEL_DEVICE_LIVE &&
		       model_is_working(m, client);
	}
	return false;
}
