/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The naive model: fences, and who waits for them
 *
 * Almost everything about a fence is exact: what is signalled is seen by the
 * very next request, and whoever waited has then been answered, though the
 * reply may still be on its way. Two things are not, and each is an interval:
 *
 *	stored		The maker may store into its word and tell nobody. The
 *			broker sees it when it next has a reason to look, and
 *			a wait may be answered from now on.
 *	going		The maker or its device ends. The fence dies when that
 *			has come to it, and until then it may still be used.
 *
 * So a wait has answers that may come, and is over when one must.
 */
#include "tests/model/model_work.h"

/* ---- Waits ---- */

/* What may have come, and what surely has. */
static void weigh(struct model_fence_wait *w)
{
	bool any_came = false, all_came = true, any_may = false, all_may = true;

	for (uint32_t i = 0; i < w->n; i++) {
		any_came |= w->of[i].came;
		all_came &= w->of[i].came;
		any_may |= w->of[i].came || w->of[i].perhaps;
		all_may &= w->of[i].came || w->of[i].perhaps;
	}
	w->may_succeed |= w->all ? all_may : any_may;
	w->is_over |= w->all ? all_came : any_came;
}

static void note_value(struct model *m, int fence, uint64_t value, bool surely)
{
	for (int i = 0; i < MODEL_WAITS; i++) {
		struct model_fence_wait *w = &m->waits[i];

		if (!w->used || w->is_over)
			continue;
		for (uint32_t k = 0; k < w->n; k++) {
			if (w->of[k].fence != fence || w->of[k].value > value)
				continue;
			w->of[k].perhaps = true;
			w->of[k].came |= surely;
		}
		weigh(w);
	}
}

static void raise_value(struct model *m, int fence, uint64_t value)
{
	if (value <= m->fences[fence].value)
		return;
	m->fences[fence].value = value;
	note_value(m, fence, value, true);
}

uint64_t model_look_at(const struct model *m, int fence)
{
	const struct model_fence *f = &m->fences[fence];

	return f->stored > f->value ? f->stored : f->value;
}

static void look(struct model *m, int fence)
{
	raise_value(m, fence, model_look_at(m, fence));
}

/* A fence, or one opening of it, cannot come any more. */
static void break_waits(struct model *m, int fence, int opening, bool surely)
{
	for (int i = 0; i < MODEL_WAITS; i++) {
		struct model_fence_wait *w = &m->waits[i];

		if (!w->used || w->is_over)
			continue;
		for (uint32_t k = 0; k < w->n; k++) {
			struct model_awaited *a = &w->of[k];

			if (a->came ||
			    (opening == MODEL_NOTHING ? a->fence != fence :
							a->opening != opening))
				continue;
			/* What was stored before the end is seen at the end. */
			if (opening == MODEL_NOTHING && a->perhaps)
				continue;
			w->may_fail = true;
			if (!surely)
				continue;
			/* If it did not fail here, then it had come. */
			if (a->perhaps)
				a->came = true;
			else
				w->is_over = true;
			a->opening = MODEL_NOTHING;
		}
		if (!w->is_over)
			weigh(w);
	}
}

static struct model_fence_wait *find_wait(struct model *m, int client,
					  uint64_t id)
{
	for (int i = 0; i < MODEL_WAITS; i++)
		if (m->waits[i].used && m->waits[i].client == client &&
		    m->waits[i].id == id)
			return &m->waits[i];
	return NULL;
}

int model_find_wait(const struct model *m, int client, uint64_t id)
{
	for (int i = 0; i < MODEL_WAITS; i++)
		if (m->waits[i].used && m->waits[i].client == client &&
		    m->waits[i].id == id)
			return i;
	return MODEL_NOTHING;
}

void model_forget_waits(struct model *m, int client)
{
	for (int i = 0; i < MODEL_WAITS; i++)
		if (m->waits[i].client == client)
			m->waits[i].used = false;
}

const char *model_answer_of_wait(struct model *m, int client,
				 const struct wire_request *q,
				 const struct wire_reply *reply)
{
	struct model_fence_wait *w = find_wait(m, client, q->id);
	uint64_t position = reply->value[0];

	assert(w);
	w->used = false;
	if (reply->status == -ECANCELED)
		return w->cancelled && reply->reason ==
					       TENURE_REASON_WAIT_CANCELLED ?
			       NULL :
			       "a wait ended though nobody cancelled it";
	if (reply->status == -ENODEV)
		return w->may_fail && reply->reason ==
					       TENURE_REASON_FENCE_GONE ?
			       NULL :
			       "a wait failed, though its fences live";
	if (reply->status != 0)
		return "a wait ended with a status of its own";
	if (!w->may_succeed)
		return "a wait succeeded before what it waits for";
	if (w->all)
		return position == 0 ? NULL : "a wait for all has a position";
	return position < w->n && (w->of[position].came ||
				   w->of[position].perhaps) ?
		       NULL :
		       "a wait was answered with a fence that has not come";
}

/* ---- Ends ---- */

static void die(struct model *m, int fence)
{
	if (m->fences[fence].state == MODEL_FENCE_DEAD)
		return;
	look(m, fence);
	m->fences[fence].state = MODEL_FENCE_DEAD;
	break_waits(m, fence, MODEL_NOTHING, true);
}

void model_close_fence(struct model *m, int thing, bool surely)
{
	const struct model_thing *t = &m->things[thing];

	if (t->kind != MODEL_FENCE)
		return;
	if (!t->own) {
		break_waits(m, MODEL_NOTHING, thing, surely);
	} else if (surely) {
		die(m, t->fence);
	} else if (m->fences[t->fence].state == MODEL_FENCE_LIVE) {
		m->fences[t->fence].state = MODEL_FENCE_GOING;
		break_waits(m, t->fence, MODEL_NOTHING, false);
	}
}

void model_bury_fences(struct model *m, int client)
{
	for (int i = 0; i < MODEL_FENCES; i++)
		if (m->fences[i].state == MODEL_FENCE_GOING &&
		    m->fences[i].maker == client)
			die(m, i);
}

/* ---- What a success changes ---- */

static bool is_named(const struct model *m, int fence)
{
	for (int i = 0; i < m->n_things; i++)
		if (m->things[i].kind == MODEL_FENCE &&
		    m->things[i].fence == fence)
			return true;
	for (int i = 0; i < MODEL_TOKENS; i++)
		if (m->tokens[i].used && m->tokens[i].fence == fence)
			return true;
	for (int i = 0; i < MODEL_WAITS; i++)
		for (uint32_t k = 0; k < m->waits[i].n; k++)
			if (m->waits[i].used &&
			    m->waits[i].of[k].fence == fence)
				return true;
	return false;
}

/* Dead ones stay until their place is wanted. */
static int new_fence(struct model *m)
{
	for (int i = 0; i < MODEL_FENCES; i++)
		if (m->fences[i].state == MODEL_FENCE_NONE)
			return i;
	for (int i = 0; i < MODEL_FENCES; i++)
		if (!is_named(m, i))
			return i;
	assert(false && "the test made too many fences");
	return MODEL_NOTHING;
}

static const char *apply_create(struct model *m, int client,
				const struct wire_request *q,
				const struct wire_reply *reply)
{
	int fence = new_fence(m);

	if (reply->value[0] == 0 ||
	    model_find(m, client, reply->value[0]) != MODEL_NOTHING)
		return "fence_create gave a handle that is in use, or 0";
	if (!model_word_is_free(m, client, reply->value[1]))
		return "fence_create gave a word that is in use, or none";
	m->fences[fence] = (struct model_fence){
		.state = MODEL_FENCE_LIVE,
		.maker = client,
		.value = q->value[0],
		.stored = q->value[0],
	};
	model_new_thing(m, (struct model_thing){
				   .kind = MODEL_FENCE,
				   .client = client,
				   .handle = reply->value[0],
				   .device = model_find(m, client, q->device),
				   .position = (uint32_t)reply->value[1],
				   .rights = TENURE_RIGHT_READ |
					     TENURE_RIGHT_WRITE,
				   .fence = fence,
				   .own = true,
			   });
	return NULL;
}

static void apply_destroy(struct model *m, int client,
			  const struct wire_request *q)
{
	int thing = model_find(m, client, q->object);

	model_close_fence(m, thing, true);
	model_end_thing(m, thing);
	model_forget_thing(m, thing);
}

static const char *apply_open(struct model *m, int client,
			      const struct wire_request *q,
			      const struct wire_reply *reply)
{
	int token = model_token_of(m, q->value, MODEL_FENCE);
	uint32_t rights = q->flags ? q->flags : m->tokens[token].rights;

	if (reply->value[0] == 0 ||
	    model_find(m, client, reply->value[0]) != MODEL_NOTHING)
		return "fence_open gave a handle that is in use, or 0";
	if (reply->value[1] != rights)
		return "fence_open gave wrong rights";
	model_new_thing(m, (struct model_thing){
				   .kind = MODEL_FENCE,
				   .client = client,
				   .handle = reply->value[0],
				   .device = model_find(m, client, q->device),
				   .rights = rights,
				   .fence = m->tokens[token].fence,
			   });
	return NULL;
}

static const char *apply_value(struct model *m, int client,
			       const struct wire_request *q,
			       const struct wire_reply *reply)
{
	int fence = m->things[model_find(m, client, q->object)].fence;

	look(m, fence);
	return reply->value[0] == m->fences[fence].value ?
		       NULL :
		       "fence_value: not its value";
}

/* How far it is now, and what one that waits will wait for. */
static void begin_wait(struct model *m, int client,
		       const struct wire_request *q,
		       const struct wire_fence_wait *list,
		       struct model_fence_wait *ret)
{
	*ret = (struct model_fence_wait){ .client = client, .id = q->id };
	ret->all = q->flags & TENURE_WAIT_ALL;
	ret->n = q->count;
	for (uint32_t i = 0; i < q->count; i++) {
		int opening = model_find(m, client, list[i].fence);
		int fence = m->things[opening].fence;

		look(m, fence);
		ret->of[i] = (struct model_awaited){
			.fence = fence,
			.opening = opening,
			.value = list[i].value,
			.came = m->fences[fence].value >= list[i].value,
		};
		ret->may_fail |= m->fences[fence].state == MODEL_FENCE_GOING &&
				 !ret->of[i].came;
		ret->cost += !ret->of[i].came;
	}
	weigh(ret);
}

static const char *apply_wait(struct model *m, int client,
			      const struct wire_request *q, const void *args,
			      const struct wire_reply *reply)
{
	struct model_fence_wait w;
	int i = 0;

	begin_wait(m, client, q, args, &w);
	if (q->value[0] != 0 && !w.is_over)
		return reply && reply->value[0] == w.n ?
			       NULL :
			       "a look that found nothing was answered otherwise";
	if (!reply && w.is_over)
		return "waits for what has come";
	if (reply && !w.is_over)
		return "a wait was answered before what it waits for";
	if (reply &&
	    (w.all ? reply->value[0] != 0 :
		     reply->value[0] >= w.n || !w.of[reply->value[0]].came))
		return "a wait was answered with a wrong position";
	if (reply)
		return NULL;
	while (i < MODEL_WAITS && m->waits[i].used)
		i++;
	assert(i < MODEL_WAITS && "the test made too many waits");
	w.used = true;
	m->waits[i] = w;
	/* One has been counted, as for everything that is answered later. */
	m->clients[client].waits += w.cost - 1;
	return NULL;
}

static void apply_cancel(struct model *m, int client,
			 const struct wire_request *q)
{
	struct model_fence_wait *w = find_wait(m, client, q->value[0]);

	w->may_succeed = w->may_fail = false;
	w->cancelled = w->is_over = true;
}

/* Whether it is a request about fences; the sentence is *ret_wrong. */
bool model_apply_fence(struct model *m, int client,
		       const struct wire_request *q, const void *args,
		       const struct wire_reply *reply, const char **ret_wrong)
{
	*ret_wrong = NULL;
	switch (q->opcode) {
	case WIRE_OP_FENCE_CREATE:
		*ret_wrong = apply_create(m, client, q, reply);
		return true;
	case WIRE_OP_FENCE_DESTROY:
		apply_destroy(m, client, q);
		return true;
	case WIRE_OP_FENCE_SHARE:
		*ret_wrong = model_new_token(m, client, q, reply);
		return true;
	case WIRE_OP_FENCE_OPEN:
		*ret_wrong = apply_open(m, client, q, reply);
		return true;
	case WIRE_OP_FENCE_SIGNAL:
		raise_value(m,
			    m->things[model_find(m, client, q->object)].fence,
			    q->value[0]);
		return true;
	case WIRE_OP_FENCE_VALUE:
		*ret_wrong = apply_value(m, client, q, reply);
		return true;
	case WIRE_OP_FENCE_WAIT:
		*ret_wrong = apply_wait(m, client, q, args, reply);
		return true;
	case WIRE_OP_FENCE_WAIT_CANCEL:
		apply_cancel(m, client, q);
		return true;
	}
	return false;
}

/* ---- Words and bells ---- */

void model_store_word(struct model *m, int thing, uint64_t value)
{
	int fence = m->things[thing].fence;

	m->fences[fence].stored = value;
	if (value > m->fences[fence].value)
		note_value(m, fence, value, false);
}

void model_ring_bell(struct model *m, int client)
{
	for (int i = 0; i < MODEL_FENCES; i++)
		if (m->fences[i].state == MODEL_FENCE_LIVE &&
		    m->fences[i].maker == client)
			look(m, i);
}
