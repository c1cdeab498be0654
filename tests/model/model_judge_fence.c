/* SPDX-License-Identifier: Apache-2.0 */
/* The naive model: which answers to requests about fences are right. */
#include "tests/model/model_judge.h"

/*
 * An opening of a fence that is not dead. One that is going may be dead: that
 * answer is added, and it is returned all the same.
 */
static int judge_fence(const struct model *m, int client, int device,
		       uint64_t handle, uint32_t index,
		       struct model_answers *ret)
{
	int thing = model_judge_owned(m, client, device, handle, MODEL_FENCE,
				      -EINVAL, TENURE_REASON_FENCE_INVALID,
				      index, ret);
	enum model_fence_state state;

	if (thing == MODEL_NOTHING)
		return MODEL_NOTHING;
	state = m->fences[m->things[thing].fence].state;
	if (state != MODEL_FENCE_LIVE)
		model_may(ret, -ENODEV, TENURE_REASON_FENCE_GONE, index);
	return state == MODEL_FENCE_DEAD ? MODEL_NOTHING : thing;
}

/* The same of a request on a device that lives. */
static int judge_named(const struct model *m, int client,
		       const struct wire_request *q, struct model_answers *ret)
{
	int device = model_judge_device(m, client, q->device, ret);

	return device == MODEL_NOTHING ?
		       MODEL_NOTHING :
		       judge_fence(m, client, device, q->object, WIRE_NO_INDEX,
				   ret);
}

static void judge_create(const struct model *m, int client,
			 const struct wire_request *q,
			 struct model_answers *ret)
{
	struct model_cost cost = model_cost_of(0, 1, 0);

	if (model_judge_device(m, client, q->device, ret) != MODEL_NOTHING)
		model_judge_cost(m, client, &cost, ret);
}

static void judge_destroy(const struct model *m, int client,
			  const struct wire_request *q,
			  struct model_answers *ret)
{
	int device = model_judge_device(m, client, q->device, ret);

	if (device != MODEL_NOTHING &&
	    model_judge_owned(m, client, device, q->object, MODEL_FENCE,
			      -EINVAL, TENURE_REASON_FENCE_INVALID,
			      WIRE_NO_INDEX, ret) != MODEL_NOTHING)
		model_succeed(ret);
}

static void judge_share(const struct model *m, int client,
			const struct wire_request *q, struct model_answers *ret)
{
	struct model_cost cost = { 0 };
	int thing;

	if (!model_rights_are_valid(q->flags)) {
		model_refuse(ret, -EINVAL, TENURE_REASON_RIGHTS_INVALID);
		return;
	}
	thing = judge_named(m, client, q, ret);
	if (thing == MODEL_NOTHING)
		return;
	if (q->flags & ~m->things[thing].rights) {
		model_refuse(ret, -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
		return;
	}
	cost.client[CHARGE_TOKENS] = cost.principal[CHARGE_TOKENS] = 1;
	model_judge_cost(m, client, &cost, ret);
}

static void judge_open(const struct model *m, int client,
		       const struct wire_request *q, struct model_answers *ret)
{
	struct model_cost cost = model_cost_of(0, 1, 0);
	enum model_fence_state state;
	int token;

	if (q->flags != 0 && !model_rights_are_valid(q->flags)) {
		model_refuse(ret, -EINVAL, TENURE_REASON_RIGHTS_INVALID);
		return;
	}
	if (model_judge_device(m, client, q->device, ret) == MODEL_NOTHING)
		return;
	token = model_token_of(m, q->value, MODEL_FENCE);
	if (token == MODEL_NOTHING) {
		model_refuse(ret, -EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
		return;
	}
	if (q->flags & ~m->tokens[token].rights) {
		model_refuse(ret, -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
		return;
	}
	state = m->fences[m->tokens[token].fence].state;
	if (state != MODEL_FENCE_LIVE)
		model_refuse(ret, -ENODEV, TENURE_REASON_FENCE_GONE);
	if (state != MODEL_FENCE_DEAD)
		model_judge_cost(m, client, &cost, ret);
}

static void judge_use(const struct model *m, int client,
		      const struct wire_request *q, struct model_answers *ret)
{
	int thing = judge_named(m, client, q, ret);

	if (thing == MODEL_NOTHING)
		return;
	if (q->opcode == WIRE_OP_FENCE_SIGNAL &&
	    !(m->things[thing].rights & TENURE_RIGHT_WRITE))
		model_refuse(ret, -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	else
		model_succeed(ret);
}

/* ---- Waits ---- */

static void judge_wait_shape(const struct wire_request *q, size_t args_bytes,
			     struct model_answers *ret)
{
	if (q->flags & ~(uint32_t)TENURE_WAIT_ALL)
		model_refuse(ret, -EINVAL, TENURE_REASON_FLAGS_RESERVED);
	else if (q->count == 0)
		model_refuse(ret, -EINVAL, TENURE_REASON_LIST_MISSING);
	else if (q->count > FENCES_PER_WAIT_MAX)
		model_refuse(ret, -EINVAL, TENURE_REASON_WAIT_TOO_LONG);
	else if (args_bytes < q->count * sizeof(struct wire_fence_wait))
		model_refuse(ret, -EINVAL, TENURE_REASON_LIST_TRUNCATED);
}

/* Whose waits on a fence are counted. */
enum whose {
	OF_CLIENT, /* this one's */
	OF_PRINCIPAL, /* its principal's, without the fence's maker */
	OF_OTHERS, /* everybody's, without the fence's maker */
	WHOSE,
};

static bool is_counted(const struct model *m, int who, int fence, int client,
		       enum whose whose)
{
	if (whose == OF_CLIENT)
		return who == client;
	if (who == m->fences[fence].maker)
		return false;
	return whose == OF_OTHERS ||
	       m->clients[who].principal == m->clients[client].principal;
}

/* Waits on a fence: those that are surely there, and those that may be. */
static void count_waits(const struct model *m, int fence, int client,
			enum whose whose, uint32_t *ret_surely,
			uint32_t *ret_perhaps)
{
	*ret_surely = *ret_perhaps = 0;
	for (int i = 0; i < MODEL_WAITS; i++) {
		const struct model_fence_wait *w = &m->waits[i];
		bool unclear = w->may_fail || w->may_succeed;

		if (!w->used || w->is_over ||
		    !is_counted(m, w->client, fence, client, whose))
			continue;
		for (uint32_t k = 0; k < w->n; k++) {
			const struct model_awaited *a = &w->of[k];

			if (a->fence != fence || a->came)
				continue;
			++*ret_perhaps;
			*ret_surely += !unclear && !a->perhaps;
		}
	}
}

/* How many more there would be, if entry i is the first that names it. */
static uint32_t count_more(const struct model *m, int client,
			   const struct wire_request *q,
			   const struct wire_fence_wait *list, uint32_t i)
{
	int fence = m->things[model_find(m, client, list[i].fence)].fence;
	uint32_t more = 0;

	for (uint32_t k = 0; k < q->count; k++) {
		int thing = model_find(m, client, list[k].fence);

		if (m->things[thing].fence != fence)
			continue;
		if (k < i)
			return 0;
		more += model_look_at(m, fence) < list[k].value;
	}
	return more;
}

/* Whether the fence has room for more waits of that client. */
static bool judge_fence_room(const struct model *m, int client, int fence,
			     uint32_t more, uint32_t index,
			     struct model_answers *ret)
{
	static const struct {
		enum tenure_reason reason;
		uint32_t max;
	} limits[WHOSE] = {
		[OF_CLIENT] = { TENURE_REASON_CLIENT_FENCE_WAITS, 128 },
		[OF_PRINCIPAL] = { TENURE_REASON_PRINCIPAL_FENCE_WAITS, 256 },
		[OF_OTHERS] = { TENURE_REASON_FENCE_WAITS, 1024 - 128 },
	};
	uint32_t surely, perhaps;

	for (unsigned int whose = 0; whose < WHOSE; whose++) {
		if (whose != OF_CLIENT && client == m->fences[fence].maker)
			return true;
		count_waits(m, fence, client, whose, &surely, &perhaps);
		if (perhaps + more > limits[whose].max)
			model_may(ret, -EDQUOT, limits[whose].reason, index);
		if (surely + more > limits[whose].max)
			return false;
	}
	return true;
}

/* Whether the wait can be made. */
static bool judge_room(const struct model *m, int client,
		       const struct wire_request *q,
		       const struct wire_fence_wait *list,
		       struct model_answers *ret)
{
	for (uint32_t i = 0; i < q->count; i++) {
		int thing = model_find(m, client, list[i].fence);
		uint32_t more = count_more(m, client, q, list, i);

		if (more > 0 &&
		    !judge_fence_room(m, client, m->things[thing].fence, more,
				      i, ret))
			return false;
	}
	return true;
}

static void judge_wait(const struct model *m, int client,
		       const struct wire_request *q, const void *args,
		       size_t args_bytes, struct model_answers *ret)
{
	const struct wire_fence_wait *list = args;
	struct model_cost cost = { 0 };
	uint32_t missing = 0;
	int device;

	judge_wait_shape(q, args_bytes, ret);
	if (ret->n > 0)
		return;
	device = model_judge_device(m, client, q->device, ret);
	if (device == MODEL_NOTHING)
		return;
	for (uint32_t i = 0; i < q->count; i++) {
		int thing =
			judge_fence(m, client, device, list[i].fence, i, ret);

		if (thing == MODEL_NOTHING)
			return;
		missing += model_look_at(m, m->things[thing].fence) <
			   list[i].value;
	}
	if (missing == 0 || q->value[0] != 0 ||
	    (missing < q->count && !(q->flags & TENURE_WAIT_ALL))) {
		model_succeed(ret);
		return;
	}
	if (!judge_room(m, client, q, list, ret))
		return;
	cost.client[CHARGE_WAITS] = cost.principal[CHARGE_WAITS] = missing;
	model_judge_cost(m, client, &cost, ret);
}

/* One that may have been answered already may have nothing to cancel. */
static void judge_cancel(const struct model *m, int client,
			 const struct wire_request *q,
			 struct model_answers *ret)
{
	int wait = model_find_wait(m, client, q->value[0]);
	const struct model_fence_wait *w = &m->waits[wait < 0 ? 0 : wait];
	bool pending = wait != MODEL_NOTHING && !w->is_over;

	if (!pending || w->may_fail || w->may_succeed)
		model_refuse(ret, -EINVAL, TENURE_REASON_WAIT_UNKNOWN);
	if (pending)
		model_succeed(ret);
}

bool model_judge_fence(const struct model *m, int client,
		       const struct wire_request *q, const void *args,
		       size_t args_bytes, struct model_answers *ret)
{
	switch (q->opcode) {
	case WIRE_OP_FENCE_CREATE:
		judge_create(m, client, q, ret);
		break;
	case WIRE_OP_FENCE_DESTROY:
		judge_destroy(m, client, q, ret);
		break;
	case WIRE_OP_FENCE_SHARE:
		judge_share(m, client, q, ret);
		break;
	case WIRE_OP_FENCE_OPEN:
		judge_open(m, client, q, ret);
		break;
	case WIRE_OP_FENCE_SIGNAL:
	case WIRE_OP_FENCE_VALUE:
		judge_use(m, client, q, ret);
		break;
	case WIRE_OP_FENCE_WAIT:
		judge_wait(m, client, q, args, args_bytes, ret);
		break;
	case WIRE_OP_FENCE_WAIT_CANCEL:
		judge_cancel(m, client, q, ret);
		break;
	default:
		return false;
	}
	return true;
}
