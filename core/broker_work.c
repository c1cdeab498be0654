/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broker: the requests about work, and the progress that comes without one.
 *
 * Each request only moves fields between the message and the module that
 * knows what they mean. The other way in is a word that a client stores:
 * whoever runs the broker asks whether anybody waits for a client's progress,
 * and only then has that client ring a bell when it stores. So a client whose
 * memory nobody waits for makes progress without a call of anything.
 *
 *	store word --> (armed?) --bell--> broker_progressed --> look at words
 *	                                                          | advance
 *	                             ring of sessions <-----------+
 */
#include "core/broker_work.h"

#include "core/context.h"
#include "core/create.h"
#include "core/fence.h"
#include "core/fence_wait.h"
#include "core/session.h"
#include "core/words.h"

enum {
	HOLDERS_AHEAD = 12,
	/* To go through a wait takes as long as so many looks at words, and
	 * to let one go as long as so many more. */
	WAIT_LOOKS = 8,
	GONE_LOOKS = 24,
};

static struct outcome on_create(struct env *env, uint32_t client,
				const struct wire_request *head,
				struct wire_reply *reply)
{
	uint64_t context = 0;
	uint32_t word = 0;
	struct outcome outcome =
		context_create(env, client, head->device, &context, &word);

	if (outcome.status == 0) {
		reply->value[0] = context;
		reply->value[1] = word;
	}
	return outcome;
}

static struct outcome on_submit(struct broker *broker, uint32_t client,
				const struct wire_request *head,
				const void *args)
{
	const struct submit_args submit = {
		.device = head->device,
		.context = head->object,
		.value = head->value[0],
		.list = args,
		.count = head->count,
		.list_bytes = head->args_bytes,
	};

	return context_submit(&broker->env, client, &submit, &broker->rules);
}

static struct outcome on_allocation_create(struct broker *broker,
					   uint32_t client,
					   const struct wire_request *head,
					   const void *args, uint64_t now_ns,
					   struct wire_reply *reply)
{
	const struct create_args create = {
		.device = head->device,
		.resource = head->object,
		.flags = head->flags,
		.count = head->count,
		.allocations = args,
		.args_bytes = head->args_bytes,
		.now_s = (uint32_t)(now_ns / NS_PER_S),
	};
	struct created made = { .handles = broker->data };
	struct outcome outcome =
		context_allocation_create(&broker->env, client, &create, &made);

	if (outcome.status != 0)
		return outcome;
	reply->value[1] = made.bytes;
	reply->count = made.count;
	reply->data_bytes = made.count * 8;
	return outcome;
}

static struct outcome on_fence_create(struct env *env, uint32_t client,
				      const struct wire_request *head,
				      struct wire_reply *reply)
{
	uint64_t fence = 0;
	uint32_t word = 0;
	struct outcome outcome = fence_create(env, client, head->device,
					      head->value[0], &fence, &word);

	if (outcome.status == 0) {
		reply->value[0] = fence;
		reply->value[1] = word;
	}
	return outcome;
}

static struct outcome on_fence_open(struct env *env, uint32_t client,
				    const struct wire_request *head,
				    struct wire_reply *reply)
{
	uint32_t rights = 0;
	uint64_t fence = 0;
	struct outcome outcome = fence_open(env, client, head->device,
					    head->value, head->flags, &fence,
					    &rights);

	if (outcome.status == 0) {
		reply->value[0] = fence;
		reply->value[1] = rights;
	}
	return outcome;
}

static struct outcome on_fence_wait(struct env *env, uint32_t client,
				    const struct wire_request *head,
				    const void *args,
				    const struct ticket *ticket,
				    struct wire_reply *reply)
{
	const struct wait_args wait = {
		.device = head->device,
		.list = args,
		.count = head->count,
		.list_bytes = head->args_bytes,
		.flags = head->flags,
		.only_looks = head->value[0] != 0,
	};

	return fence_wait(env, client, &wait, ticket, &reply->value[0]);
}

static struct outcome on_fence(struct env *env, uint32_t client,
			       const struct wire_request *head,
			       const void *args, const struct ticket *ticket,
			       struct wire_reply *reply)
{
	switch (head->opcode) {
	case WIRE_OP_FENCE_CREATE:
		return on_fence_create(env, client, head, reply);
	case WIRE_OP_FENCE_DESTROY:
		return fence_destroy(env, client, head->device, head->object);
	case WIRE_OP_FENCE_SHARE:
		return fence_share(env, client, head->device, head->object,
				   head->flags, reply->value);
	case WIRE_OP_FENCE_OPEN:
		return on_fence_open(env, client, head, reply);
	case WIRE_OP_FENCE_SIGNAL:
		return fence_signal(env, client, head->device, head->object,
				    head->value[0]);
	case WIRE_OP_FENCE_VALUE:
		return fence_value(env, client, head->device, head->object,
				   &reply->value[0]);
	case WIRE_OP_FENCE_WAIT:
		return on_fence_wait(env, client, head, args, ticket, reply);
	default:
		assert(head->opcode == WIRE_OP_FENCE_WAIT_CANCEL);
		return fence_wait_cancel(env, client, head->value[0]);
	}
}

struct outcome work_request(struct broker *broker, uint32_t client,
			    const struct ticket *ticket,
			    const struct wire_request *head, const void *args,
			    uint64_t now_ns, struct wire_reply *reply)
{
	struct env *env = &broker->env;

	switch (head->opcode) {
	case WIRE_OP_CONTEXT_CREATE:
		return on_create(env, client, head, reply);
	case WIRE_OP_CONTEXT_DESTROY:
		return context_destroy(env, client, head->device, head->object,
				       head->flags, ticket);
	case WIRE_OP_CONTEXT_SUBMIT:
		return on_submit(broker, client, head, args);
	case WIRE_OP_CONTEXT_PROGRESS:
		return context_progress(env, client, head->device, head->object,
					head->value[0]);
	case WIRE_OP_CONTEXT_ALLOCATION_CREATE:
		return on_allocation_create(broker, client, head, args, now_ns,
					    reply);
	case WIRE_OP_CONTEXT_ALLOCATION_DESTROY:
		return context_allocation_destroy(env, client, head->object,
						  head->value[0]);
	default:
		return on_fence(env, client, head, args, ticket, reply);
	}
}

bool broker_waits_for_progress(const struct broker *broker, uint32_t client)
{
	return session_is_awaited(session_at(&broker->env.region, client));
}

/* A client may have thousands of words. */
static void ask_for_holder(const struct region *region,
			   const struct words *words, uint32_t number)
{
	uint32_t what = words_holder(region, words, number);

	if (what & WORD_FENCE)
		__builtin_prefetch(fence_at(region, what & ~WORD_FENCE));
	else if (what != 0)
		__builtin_prefetch(context_at(region, what), 1);
}

/* Looks at the word of a fence; what the waits that hear of it cost. */
static uint32_t look_at_fence(struct env *env, uint32_t fence)
{
	const struct area_head *waits = region_area(&env->region, AREA_WAITS);
	uint32_t before = waits->free_count;
	uint32_t cost = WAIT_LOOKS * fence_look(env, fence);

	return cost + GONE_LOOKS * (waits->free_count - before);
}

uint32_t broker_progressed_some(struct broker *broker, uint32_t client,
				uint32_t looks, uint32_t *word)
{
	struct env *env = &broker->env;
	const struct words *words = &session_at(&env->region, client)->words;
	uint32_t i = *word == 0 ? 1 : *word, cost = 0;

	for (; i < words->used && cost < looks; i++, cost++) {
		uint32_t what = words_holder(&env->region, words, i);

		if (i + HOLDERS_AHEAD < words->used)
			ask_for_holder(&env->region, words, i + HOLDERS_AHEAD);
		if (what & WORD_FENCE)
			cost += look_at_fence(env, what & ~WORD_FENCE);
		else if (what != 0)
			context_look(env, what);
	}
	*word = i < words->used ? i : 0;
	return cost;
}

void broker_progressed(struct broker *broker, uint32_t client)
{
	uint32_t word = 0;

	broker_progressed_some(broker, client, UINT32_MAX, &word);
}
