/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for fences that a descriptor answers: one request of the broker. */
#ifndef CORE_BROKER_WATCH_H
#define CORE_BROKER_WATCH_H

#include "core/broker.h"
#include "core/outcome.h"

/* Begins one, or finds that it is over; the reply promises the descriptor. */
struct outcome watch_request(struct broker *broker, uint32_t client,
			     const struct wire_request *head, const void *args,
			     struct broker_reply *reply);

/* Gives a granted one up: its descriptor could not be made. */
void watch_not_made(struct env *env, const struct broker_reply *reply);

#endif
