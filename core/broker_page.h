/* SPDX-License-Identifier: Apache-2.0 */
/* Broker: the requests about pages of fences. One thread. */
#ifndef CORE_BROKER_PAGE_H
#define CORE_BROKER_PAGE_H

#include "core/broker.h"
#include "core/outcome.h"

/* Judges FENCE_PAGE, FENCE_PUBLISH or FENCE_MAP and fills in the reply. */
struct outcome page_request(struct broker *broker, uint32_t client,
			    const struct wire_request *head,
			    struct broker_reply *reply);

/* Takes a granted page back: it could not be made. */
void page_not_made(struct env *env, const struct broker_reply *reply);

#endif
