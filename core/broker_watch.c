/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broker: waits whose answer is a descriptor that can be read.
 *
 * To the broker it is a wait as any other (core/fence_wait.c) that is answered
 * twice: at once, with the promise of a descriptor, and when it is over, by
 * that descriptor. What is said there is what the late reply would have said.
 *
 *	FENCE_WATCH --> reply, 1 descriptor        made by whoever called
 *	                   |
 *	                 wait ......................> late reply, port WATCH
 *	                                               \--> the descriptor
 *
 * Whoever called the broker makes the descriptor after the request has been
 * granted, keeps the other end under the client and the request's id, and
 * closes it when it has said its word. If it cannot make one, it says so, and
 * the request was refused. It may find that the client has closed its end:
 * then it cancels the wait. What is said for a descriptor that is not there
 * any more is for nobody.
 *
 * The other end costs a descriptor of the daemon, so it is limited for each
 * client and for each principal.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A watch is over once: by what it waits for, by the death of a fence or
 *      by being cancelled, and never if its client ends.
 *  G2  A watch that is over costs nothing.
 *  G3  A refused watch, and one that could not be made, has changed nothing.
 */
#include "core/broker_watch.h"

#include "core/fence_wait.h"
#include "core/state.h"

static struct outcome may_watch(const struct env *env, uint32_t client)
{
	const struct session *s = session_at(&env->region, client);
	const struct principal *p = principal_at(&env->region, s->principal);

	if (s->fds_unacknowledged >= FDS_UNACKNOWLEDGED_MAX)
		return refuse(-EDQUOT, TENURE_REASON_FDS_UNACKNOWLEDGED);
	if (s->n_watches >= WATCHES_PER_CLIENT_MAX)
		return refuse(-EDQUOT, TENURE_REASON_CLIENT_WATCHES);
	if (p->n_watches >= WATCHES_PER_PRINCIPAL_MAX)
		return refuse(-EDQUOT, TENURE_REASON_PRINCIPAL_WATCHES);
	return outcome_ok();
}

struct outcome watch_request(struct broker *broker, uint32_t client,
			     const struct wire_request *head, const void *args,
			     struct broker_reply *reply)
{
	const struct wait_args wait = {
		.device = head->device,
		.list = args,
		.count = head->count,
		.list_bytes = head->args_bytes,
		.flags = head->flags,
	};
	const struct ticket ticket = { .id = head->id,
				       .port = BROKER_PORT_WATCH };
	struct env *env = &broker->env;
	struct outcome outcome = may_watch(env, client);

	if (outcome.status == 0)
		outcome = fence_wait(env, client, &wait, &ticket,
				     &reply->position);
	if (outcome.status != 0)
		return outcome;
	reply->over = !outcome.later;
	outcome.later = false;
	session_at(&env->region, client)->fds_unacknowledged++;
	reply->head.fds = 1;
	return outcome;
}

void broker_watch_cancel(struct broker *broker, uint32_t client, uint64_t id)
{
	fence_watch_cancel(&broker->env, client, id);
}

void watch_not_made(struct env *env, const struct broker_reply *reply)
{
	if (!reply->over)
		fence_watch_cancel(env, reply->client, reply->head.id);
}
