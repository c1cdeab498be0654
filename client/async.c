/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Async: destroys that nobody waits for
 *
 * A handle is unmapped here and written into the ring's free queue, eight
 * bytes; that is all that the caller pays. The daemon destroys each handle
 * alone, in the order in which they were appended, as if by a destroy of its
 * own with flags 0 on its own device, and says nothing unless it refuses.
 *
 *	tenure_free --> unmap --> queue ==(at most 2 ms)==> destroyed
 *	                                            \-----> refused: kept
 *
 * A request that follows by the ring is carried out after them, one by the
 * socket waits for them, so nothing that this connection asks can tell them
 * from destroys that were waited for.
 *
 * Without a ring each is a destroy that is waited for, on the device that the
 * ledger knows; what the daemon refuses goes into the same queue.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A handle is unmapped before the daemon hears of it, and never by one
 *      that has not been asked to go.
 *  G2  A refusal is never silent: it is in the queue, or counted as lost.
 *  G3  With or without a ring the application sees the same.
 */
#include "client/async.h"

/* Keeps what a destroy that was waited for has been refused with. */
static int keep_refusal(struct tenure *connection, uint64_t handle, int status)
{
	struct tenure_async_refusal refusal = { .handle = handle };
	struct tenure_refusal last;

	if (status == 0)
		return 0;
	tenure_last_refusal(&last);
	if (connection->dead_status != 0)
		return status;
	refusal.status = last.status;
	refusal.reason = last.reason;
	connection_keep_refusal_locked(connection, &refusal);
	return 0;
}

/* The same by the socket. A device of 0 is refused as any other. */
static int destroy_by_socket(struct tenure *connection, uint64_t device,
			     uint64_t resource, uint64_t allocation)
{
	struct call call = {
		.request = {
			.opcode = WIRE_OP_DESTROY,
			.form = resource ? 0 : WIRE_FORM_LIST,
			.device = device,
			.object = resource,
			.count = resource ? 0 : 1,
		},
		.args = &allocation,
		.args_bytes = resource ? 0 : sizeof(allocation),
	};
	struct tenure_refusal before;
	int status;

	tenure_last_refusal(&before);
	status = connection_call_locked(connection, &call);
	status = keep_refusal(connection, resource ? resource : allocation,
			      status);
	if (status == 0)
		refusal_restore(&before);
	return status;
}

int free_allocation_locked(struct tenure *connection, uint64_t handle)
{
	struct ledger *ledger = &connection->ledger;
	struct ledger_allocation *allocation =
		ledger_allocation(ledger, handle);
	uint64_t device = allocation ? allocation->group->device : 0;

	if (connection->work.batched)
		work_drop_allocation(connection, handle);
	if (allocation)
		ledger_allocation_forget(ledger, handle);
	if (connection->ringside)
		return ringside_free_waits(connection, handle);
	return destroy_by_socket(connection, device, 0, handle);
}

int free_resource_locked(struct tenure *connection, uint64_t handle)
{
	struct ledger *ledger = &connection->ledger;
	uint64_t device = ledger_device_of_resource(ledger, handle);
	int status = work_flush_resource_waits(connection, device, handle);

	if (status < 0)
		return status;
	work_drop_resource(connection, handle);
	ledger_resource_forget(ledger, handle);
	if (connection->ringside)
		return ringside_free_waits(connection, handle);
	return destroy_by_socket(connection, device, handle, 0);
}

int tenure_allocations_free(struct tenure *connection,
			    const struct tenure_allocation *allocations,
			    unsigned int count)
{
	int status;

	if (count > 0 && !allocations)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	for (unsigned int i = 0; i < count && status == 0; i++)
		status = free_allocation_locked(connection,
						allocations[i].value);
	return connection_leave(connection, status);
}

int tenure_resource_free(struct tenure *connection,
			 struct tenure_resource resource)
{
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = free_resource_locked(connection, resource.value);
	return connection_leave(connection, status);
}

int tenure_flush(struct tenure *connection)
{
	struct tenure_refusal refused;
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = work_flush_waits(connection);
	if (status == 0) {
		status = connection_settle_locked(connection);
	} else if (connection->dead_status == 0) {
		tenure_last_refusal(&refused);
		if (connection_settle_locked(connection) == 0)
			refusal_restore(&refused);
	}
	return connection_leave(connection, status);
}

int tenure_refusals_take(struct tenure *connection,
			 struct tenure_async_refusal *ret_refusals,
			 unsigned int capacity, uint64_t *ret_lost)
{
	unsigned int n;

	if (!connection || (capacity > 0 && !ret_refusals) ||
	    capacity > INT32_MAX)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	if (forkmark_forked(&connection->mark))
		return refusal_set(-EOWNERDEAD, TENURE_REASON_FORKED);
	/* On a dead connection too: what was refused before is still true. */
	pthread_mutex_lock(&connection->lock);
	if (connection->ringside && connection->dead_status == 0)
		ringside_reap(connection);
	n = refusals_take(&connection->refusals, ret_refusals, capacity);
	if (ret_lost) {
		*ret_lost = connection->refusals.lost;
		connection->refusals.lost = 0;
	}
	pthread_mutex_unlock(&connection->lock);
	return (int)n;
}
