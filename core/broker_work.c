/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broker: the requests about work, and the progress that comes without one.
 *
 * Each request only moves fields between the message and core/context.c. The
 * other way in is a word that a client stores: whoever runs the broker asks
 * whether anybody waits for a client's progress, and only then has that
 * client ring a bell when it stores. So a client whose memory nobody waits
 * for makes progress without a call of anything.
 *
 *	store word --> (armed?) --bell--> broker_progressed --> look at words
 *	                                                          | advance
 *	                             ring of sessions <-----------+
 */
#include "core/broker_work.h"

#include "core/context.h"
#include "core/words.h"

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

struct outcome work_request(struct broker *broker, uint32_t client,
			    const struct ticket *ticket,
			    const struct wire_request *head, const void *args,
			    struct wire_reply *reply)
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
	default:
		assert(head->opcode == WIRE_OP_CONTEXT_PROGRESS);
		return context_progress(env, client, head->device, head->object,
					head->value[0]);
	}
}

bool broker_waits_for_progress(const struct broker *broker, uint32_t client)
{
	const struct session *s = session_at(&broker->env.region, client);

	return s->n_parked > 0 || s->n_quiescing > 0;
}

void broker_progressed(struct broker *broker, uint32_t client)
{
	struct env *env = &broker->env;
	const struct words *words = &session_at(&env->region, client)->words;

	for (uint32_t i = 1; i < words->used; i++) {
		uint32_t what = words_holder(&env->region, words, i);

		if (what != 0)
			context_look(env, what);
	}
}
