/* SPDX-License-Identifier: Apache-2.0 */
/* Broker: the requests for a ring and its doorbell. One thread. */
#ifndef CORE_BROKER_RING_H
#define CORE_BROKER_RING_H

#include "core/broker.h"
#include "core/outcome.h"

/* Judges RING or DOORBELL, charges the ring, and fills in the reply. */
struct outcome ring_request(struct broker *broker, uint32_t client,
			    const struct wire_request *head,
			    struct wire_reply *reply);

/* Takes a granted one back: what it asked for could not be made. */
void ring_not_made(struct env *env, const struct broker_reply *reply);

#endif
