/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's requests about work: contexts, fences, progress. One thread. */
#ifndef CORE_BROKER_WORK_H
#define CORE_BROKER_WORK_H

#include "core/broker.h"
#include "core/outcome.h"
#include "core/waiter.h"

/* One of the requests from CONTEXT_CREATE on; what it tells goes to *reply. */
struct outcome work_request(struct broker *broker, uint32_t client,
			    const struct ticket *ticket,
			    const struct wire_request *head, const void *args,
			    uint64_t now_ns, struct wire_reply *reply);

#endif
