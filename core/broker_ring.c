/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broker: who gets a ring, and who pays for it.
 *
 *	RING --> afford --> charged --> made by the caller --> sent
 *	            | no                    | cannot            |
 *	            v                       v                   v
 *	         refused <----- given back, nothing was    the session's end
 *	                                                   gives it back
 *
 * A ring is memory of the daemon that a client can write, so it is charged in
 * full, to the client and to its principal, before it is handed out, and given
 * back when the session ends. There is one for each client, and one doorbell
 * for each ring: with a second one no client could do anything that it cannot
 * do with the first, but a hostile one could collect them.
 *
 * Whoever called the broker makes the memfd and the eventfd, after the request
 * has been granted. If it cannot, it says so, and the request was refused.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A session pays for its ring from the moment the request is granted to
 *      its end, and nothing after that.
 *  G2  A client has at most one ring and one doorbell.
 *  G3  A ring that could not be made has changed nothing.
 */
#include "core/broker_ring.h"

#include "core/ring/ring.h"
#include "core/state.h"

/* Whether the client may be sent one descriptor more. */
static struct outcome may_attach(const struct session *s)
{
	if (s->fds_unacknowledged >= FDS_UNACKNOWLEDGED_MAX)
		return refuse(-EDQUOT, TENURE_REASON_FDS_UNACKNOWLEDGED);
	return outcome_ok();
}

static struct outcome ring_make(struct broker *broker, uint32_t client,
				struct wire_reply *reply)
{
	struct env *env = &broker->env;
	struct session *s = session_at(&env->region, client);
	const struct bill bill = { .amount = {
					   [CHARGE_BYTES] = sizeof(struct ring),
				   } };
	struct outcome outcome = may_attach(s);

	if (s->ring_bytes != 0)
		return refuse_and_kill(TENURE_REASON_RING_TWICE);
	if (outcome.status == 0)
		outcome = session_afford(env, client, &bill, &bill);
	if (outcome.status != 0)
		return outcome;
	session_charge(env, client, CHARGE_BYTES, sizeof(struct ring));
	s->ring_bytes = sizeof(struct ring);
	s->fds_unacknowledged++;
	reply->fds = 1;
	reply->value[0] = sizeof(struct ring);
	return outcome;
}

static struct outcome doorbell_make(struct broker *broker, uint32_t client,
				    struct wire_reply *reply)
{
	struct session *s = session_at(&broker->env.region, client);
	struct outcome outcome = may_attach(s);

	if (s->ring_bytes == 0 || s->doorbell)
		return refuse_and_kill(TENURE_REASON_RING_TWICE);
	if (outcome.status != 0)
		return outcome;
	s->doorbell = 1;
	s->fds_unacknowledged++;
	reply->fds = 1;
	return outcome;
}

struct outcome ring_request(struct broker *broker, uint32_t client,
			    const struct wire_request *head,
			    struct wire_reply *reply)
{
	if (head->opcode == WIRE_OP_RING)
		return ring_make(broker, client, reply);
	assert(head->opcode == WIRE_OP_DOORBELL);
	return doorbell_make(broker, client, reply);
}

void ring_not_made(struct env *env, const struct broker_reply *reply)
{
	struct session *s = session_at(&env->region, reply->client);

	if (reply->head.opcode == WIRE_OP_RING) {
		session_release(env, reply->client, CHARGE_BYTES,
				s->ring_bytes);
		s->ring_bytes = 0;
	} else {
		assert(s->doorbell);
		s->doorbell = 0;
	}
}
