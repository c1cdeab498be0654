/* SPDX-License-Identifier: Apache-2.0 */
/* Fences: people's own timelines. See fence.c. */
#ifndef CLIENT_FENCE_H
#define CLIENT_FENCE_H

#include "client/connection.h"

static_assert(sizeof(struct tenure_fence_value) ==
		      sizeof(struct wire_fence_wait),
	      "a list of fences is sent as it stands");

/* What a wait asks for. */
struct fence_wait {
	struct tenure_device device;
	const struct tenure_fence_value *list;
	unsigned int count;
	unsigned int flags;
	uint64_t deadline_ns; /* of the monotonic clock; 0: none */
	bool only_looks; /* and waits for the answer alone */
};

/* Waits; 0 with the position, or a status that has been remembered. */
int fence_wait_waits(struct tenure *connection, const struct fence_wait *wait,
		     unsigned int *ret_index);

#endif
