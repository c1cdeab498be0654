/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broker: the requests by which a person looks inside.
 *
 * They tell what others hold, so they are for root and for the daemon's own
 * user, and everybody else is refused before anything is read. They change
 * nothing. A listing is bounded work (core/inspect.c); a check is not: it
 * walks all there is while nobody is served, and a person who asks for it has
 * asked for that. Its scratch memory comes through the same door as the state
 * and is given back before the reply.
 */
#include "core/broker_inspect.h"

#include "core/check.h"
#include "core/inspect.h"

static struct outcome may_inspect(const struct broker *broker, uint32_t client)
{
	if (!session_at(&broker->env.region, client)->privileged)
		return refuse(-EACCES, TENURE_REASON_NOT_PERMITTED);
	return outcome_ok();
}

static void answer_status(struct broker *broker, struct wire_reply *reply)
{
	struct wire_status status;

	broker_status(broker, &status);
	memcpy(broker->data, &status, sizeof(status));
	reply->data_bytes = sizeof(status);
}

static void answer_list(struct broker *broker, enum inspect_list list,
			uint64_t cursor, uint64_t now_ns,
			struct wire_reply *reply)
{
	const struct inspect_page page = {
		.list = list,
		.cursor = cursor,
		.now_ns = now_ns,
		.rows = broker->data,
		.room_bytes = sizeof(broker->data),
	};
	struct inspected done;

	inspect(&broker->env, &page, &done);
	reply->count = done.count;
	reply->data_bytes = done.bytes;
	reply->value[0] = done.cursor;
}

static void add_daemon_limits(const struct broker *broker,
			      struct wire_reply *reply)
{
	reply->value[1] = region_state(&broker->env.region)->n_sessions;
	reply->value[2] = broker->env.config.limits.clients;
}

static struct outcome answer_check(struct broker *broker,
				   struct wire_reply *reply)
{
	char *message = (char *)broker->data;
	int result = check_state(broker, &broker->env.region.pages, message,
				 WIRE_CHECK_BYTES_MAX);

	if (result == -ENOMEM)
		return refuse_memory();
	reply->count = result == 0 ? 0 : 1;
	reply->data_bytes = (uint32_t)strlen(message);
	return outcome_ok();
}

struct outcome inspect_request(struct broker *broker, uint32_t client,
			       const struct wire_request *head, uint64_t now_ns,
			       struct wire_reply *reply)
{
	struct outcome outcome = may_inspect(broker, client);
	uint64_t cursor = head->value[0];

	if (outcome.status != 0)
		return outcome;
	switch (head->opcode) {
	case WIRE_OP_CLIENTS:
		answer_list(broker, INSPECT_CLIENTS, cursor, now_ns, reply);
		break;
	case WIRE_OP_RESOURCES:
		answer_list(broker, INSPECT_RESOURCES, cursor, now_ns, reply);
		break;
	case WIRE_OP_LIMITS:
		answer_list(broker, INSPECT_LIMITS, cursor, now_ns, reply);
		add_daemon_limits(broker, reply);
		break;
	case WIRE_OP_EVENTS:
		answer_list(broker, INSPECT_EVENTS, cursor, now_ns, reply);
		break;
	case WIRE_OP_POOLS:
		answer_list(broker, INSPECT_POOLS, cursor, now_ns, reply);
		break;
	case WIRE_OP_CHECK:
		outcome = answer_check(broker, reply);
		break;
	default:
		assert(head->opcode == WIRE_OP_STATUS);
		answer_status(broker, reply);
	}
	return outcome;
}
