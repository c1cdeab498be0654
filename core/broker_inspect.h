/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's answers to people who look: STATUS to CHECK. One thread. */
#ifndef CORE_BROKER_INSPECT_H
#define CORE_BROKER_INSPECT_H

#include "core/broker.h"
#include "core/outcome.h"

/*
 * STATUS, CLIENTS, RESOURCES, LIMITS, POOLS or CHECK: data goes to broker->data, the
 * rest into *reply. Refused unless the client is privileged.
 */
struct outcome inspect_request(struct broker *broker, uint32_t client,
			       const struct wire_request *head, uint64_t now_ns,
			       struct wire_reply *reply);

#endif
