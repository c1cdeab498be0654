/* SPDX-License-Identifier: Apache-2.0 */
/* How a request ended: the part of a reply that every request has. */
#ifndef CORE_OUTCOME_H
#define CORE_OUTCOME_H

#include "core/base.h"
#include "core/wire/msg.h"
#include "tenure/types.h"

struct outcome {
	int status; /* 0 or a negative errno */
	enum tenure_reason reason;
	uint32_t index; /* first bad entry, or WIRE_NO_INDEX */
	bool kill; /* the client broke the protocol and is to go */
	bool later; /* no reply now: a waiter brings it */
};

static inline struct outcome outcome_ok(void)
{
	return (struct outcome){ .index = WIRE_NO_INDEX };
}

static inline struct outcome refuse(int status, enum tenure_reason reason)
{
	return (struct outcome){ .status = status,
				 .reason = reason,
				 .index = WIRE_NO_INDEX };
}

static inline struct outcome refuse_entry(int status, enum tenure_reason reason,
					  uint32_t index)
{
	return (struct outcome){ .status = status,
				 .reason = reason,
				 .index = index };
}

static inline struct outcome refuse_and_kill(enum tenure_reason reason)
{
	return (struct outcome){ .status = -EPROTO,
				 .reason = reason,
				 .index = WIRE_NO_INDEX,
				 .kill = true };
}

static inline struct outcome refuse_memory(void)
{
	return refuse(-ENOMEM, TENURE_REASON_DAEMON_MEMORY);
}

#endif
