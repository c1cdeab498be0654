/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broker: fences that are read without a request.
 *
 * A client that makes fences may ask for a page (core/ring/fence_page.h), which
 * it and the daemon can write, and say of a fence of its own in which entry of
 * it the fence lies and by which tag it is known there. Whoever has opened the
 * fence, to read it, may map the page.
 *
 *	maker:  FENCE_PAGE     ---> the page, once
 *	        FENCE_PUBLISH  ---> entry and tag of a fence, once
 *	opener: FENCE_MAP      ---> entry, tag, and the page, for reading only
 *
 * From the publication on the value of the fence is the greatest of what the
 * broker knows, the maker's word in the ring, and the entry; and what others
 * signal by request is raised in the entry too, so the entry alone is the
 * value. The broker believes a maker's entry as much as its word: going back
 * is ignored, and two fences in one entry are their maker's own affair.
 *
 * A page shows all that its maker has published to whoever may read one fence
 * of it. Rights of memory go by pages; who wants them apart uses two
 * connections.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A session has at most one page, and pays for it as for its ring.
 *  G2  Only a fence's maker publishes it, once, in its own page.
 *  G3  Only an opening with the right READ, of a fence that lives, maps it.
 *  G4  When a fence ends its entry is told, before the maker is.
 *  G5  A page or descriptor that could not be made has changed nothing.
 */
#include "core/broker_page.h"

#include "core/fence.h"
#include "core/ring/fence_page.h"
#include "core/rules.h"
#include "core/state.h"

static struct outcome may_attach(const struct session *s)
{
	if (s->fds_unacknowledged >= FDS_UNACKNOWLEDGED_MAX)
		return refuse(-EDQUOT, TENURE_REASON_FDS_UNACKNOWLEDGED);
	return outcome_ok();
}

static struct outcome page_make(struct broker *broker, uint32_t client,
				struct wire_reply *reply)
{
	struct env *env = &broker->env;
	struct session *s = session_at(&env->region, client);
	const struct bill bill = { .amount = {
					   [CHARGE_BYTES] =
						   sizeof(struct fence_page),
				   } };
	struct outcome outcome = may_attach(s);

	if (s->ring_bytes == 0 || s->page_serial != 0)
		return refuse_and_kill(TENURE_REASON_RING_TWICE);
	if (outcome.status == 0)
		outcome = session_afford(env, client, &bill, &bill);
	if (outcome.status != 0)
		return outcome;
	session_charge(env, client, CHARGE_BYTES, sizeof(struct fence_page));
	s->ring_bytes += sizeof(struct fence_page);
	region_state(&env->region)->last_page++;
	stored();
	s->page_serial = region_state(&env->region)->last_page;
	s->fds_unacknowledged++;
	reply->fds = 1;
	reply->value[0] = sizeof(struct fence_page);
	return outcome;
}

/* The opening that a request names. */
static struct slot *find(const struct env *env, uint32_t client,
			 const struct wire_request *head, struct outcome *ret)
{
	uint32_t device = rules_device(&env->region, client, head->device, ret);

	return device == 0 ? NULL :
			     fence_find(env, client, device, head->object, ret);
}

static struct outcome publish(struct broker *broker, uint32_t client,
			      const struct wire_request *head)
{
	struct env *env = &broker->env;
	struct outcome outcome;
	const struct slot *slot = find(env, client, head, &outcome);
	struct fence *f;

	if (slot == NULL)
		return outcome;
	f = fence_at(&env->region, slot->fence.fence);
	if (!slot->fence.own ||
	    session_at(&env->region, client)->page_serial == 0)
		return refuse(-EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	if (f->entry != 0 || head->value[0] == 0 ||
	    head->value[0] >= FENCE_PAGE_ENTRIES || head->value[1] == 0)
		return refuse(-EINVAL, TENURE_REASON_FENCE_ENTRY);
	f->tag = head->value[1];
	stored();
	f->entry = (uint32_t)head->value[0];
	fence_look(env, slot->fence.fence);
	fence_tell(env, slot->fence.fence);
	return outcome;
}

static struct outcome map(struct broker *broker, uint32_t client,
			  const struct wire_request *head,
			  struct broker_reply *reply)
{
	struct env *env = &broker->env;
	struct session *s = session_at(&env->region, client);
	struct outcome outcome;
	const struct slot *slot = find(env, client, head, &outcome);
	const struct fence *f;

	if (slot == NULL)
		return outcome;
	f = fence_at(&env->region, slot->fence.fence);
	if (head->flags & ~(uint32_t)WIRE_MAP_WANT_FD)
		return refuse(-EINVAL, TENURE_REASON_FLAGS_RESERVED);
	if (f->entry == 0)
		return refuse(-ENOTSUP, TENURE_REASON_FENCE_UNPUBLISHED);
	if (head->flags & WIRE_MAP_WANT_FD) {
		outcome = may_attach(s);
		if (outcome.status != 0)
			return outcome;
		s->fds_unacknowledged++;
		reply->head.fds = 1;
		reply->page_of = f->session;
	}
	reply->head.value[0] =
		session_at(&env->region, f->session)->page_serial;
	reply->head.value[1] = f->entry;
	reply->head.value[2] = f->tag;
	reply->head.value[3] = sizeof(struct fence_page);
	return outcome;
}

struct outcome page_request(struct broker *broker, uint32_t client,
			    const struct wire_request *head,
			    struct broker_reply *reply)
{
	switch (head->opcode) {
	case WIRE_OP_FENCE_PAGE:
		return page_make(broker, client, &reply->head);
	case WIRE_OP_FENCE_PUBLISH:
		return publish(broker, client, head);
	default:
		assert(head->opcode == WIRE_OP_FENCE_MAP);
		return map(broker, client, head, reply);
	}
}

void page_not_made(struct env *env, const struct broker_reply *reply)
{
	struct session *s = session_at(&env->region, reply->client);

	if (reply->head.opcode != WIRE_OP_FENCE_PAGE)
		return;
	session_release(env, reply->client, CHARGE_BYTES,
			sizeof(struct fence_page));
	s->ring_bytes -= sizeof(struct fence_page);
	s->page_serial = 0;
}
