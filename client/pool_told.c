/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool tells the daemon
 *
 * A pool lives in its client, so `tenurectl pools` can show only what the
 * client says: that there is one, and now and then its figures. These requests
 * change nothing that anybody decides by. So a daemon that does not know them
 * is no error, a report that fails is forgotten, and the caller's last refusal
 * stays what it was.
 */
#include "client/pool_told.h"

#include "client/error.h"

int pool_told_begin(struct tenure *connection,
		    const struct tenure_pool_options *options,
		    uint64_t *ret_pool)
{
	struct call call = {
		.request = {
			.opcode = WIRE_OP_POOL_CREATE,
			.count = options->count,
			.value = { options->size, options->idle_timeout_ns },
		},
	};
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = connection_call_locked(connection, &call);
	connection_leave(connection, status);
	if (status == -ENOTSUP)
		*ret_pool = 0;
	else if (status == 0)
		*ret_pool = call.reply.value[0];
	return status == -ENOTSUP ? 0 : status;
}

static void tell(struct tenure *connection, struct call *call)
{
	if (call->request.object == 0 || connection_enter(connection) < 0)
		return;
	connection_undo_locked(connection, call);
	connection_leave(connection, 0);
}

void pool_told(struct tenure *connection, uint64_t pool,
	       const struct tenure_pool_stat *stat)
{
	const struct wire_pool_told told = {
		.free = stat->free,
		.in_use = stat->in_use,
		.in_flight = stat->in_flight,
		.bytes = stat->bytes,
		.hits = stat->hits,
		.misses = stat->misses,
		.created = stat->created,
		.destroyed_idle = stat->destroyed_idle,
		.destroyed_for_room = stat->destroyed_for_room,
		.destroyed_unfit = stat->destroyed_unfit,
		.destroy_failures = stat->destroy_failures,
	};
	struct call call = {
		.request = { .opcode = WIRE_OP_POOL_REPORT, .object = pool },
		.args = &told,
		.args_bytes = sizeof(told),
	};

	tell(connection, &call);
}

void pool_told_end(struct tenure *connection, uint64_t pool)
{
	struct call call = {
		.request = { .opcode = WIRE_OP_POOL_DESTROY, .object = pool },
	};

	tell(connection, &call);
}
