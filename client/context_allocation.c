/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Context allocations
 *
 * Layer L4: scratch memory of a queue of work. Nobody lists it in a submit,
 * because all work of its context may use it; it can be destroyed at any time,
 * by its adapter and its handle, and its memory goes when the work that the
 * context has by then is done.
 *
 *	create(device, context, sizes) --> handles --> map, as any allocation
 *	destroy(adapter, handle)       --> unmapped, dead; memory a little later
 *
 * The ledger knows them as a group that belongs to a context, so that they are
 * unmapped when the context goes, and are not taken for what a use may name.
 * Those that are shared across contexts belong to none of them, and go with the
 * device.
 */
#include "client/context_allocation.h"

#include <stdlib.h>

/* Lays the sizes out; a count that breaks the limit is announced, not sent. */
static size_t put_sizes(uint8_t *args, const struct context_creation *creation)
{
	size_t at = 0;

	if (creation->count > LIST_ENTRIES_MAX)
		return 0;
	for (unsigned int i = 0; i < creation->count; i++) {
		const struct wire_allocation a = { creation->sizes[i], 0 };

		memcpy(args + at, &a, sizeof(a));
		at += sizeof(a);
	}
	return at;
}

/* Checks what came into being and enters it. */
static int note_birth(struct tenure *connection, const struct call *call,
		      const struct context_creation *creation,
		      struct ledger_group *group)
{
	const uint64_t *handles = (const void *)connection->data;
	bool shared = creation->flags &
		      TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS;

	if (group->count != creation->count ||
	    call->reply.count != creation->count ||
	    call->reply.data_bytes != creation->count * sizeof(*handles))
		return connection_distrust_locked(connection);
	/* Both may have been destroyed while this thread waited. */
	if (!ledger_knows_device(&connection->ledger, creation->device) ||
	    !work_find(&connection->work, creation->context))
		return refusal_set(-ENODEV, TENURE_REASON_DEVICE_REMOVED);
	group->context = shared ? LEDGER_ALL_CONTEXTS : creation->context;
	if (ledger_group_publish(&connection->ledger, group, creation->device,
				 0, handles) < 0)
		return connection_distrust_locked(connection);
	return 0;
}

int context_allocation_create_locked(struct tenure *connection,
				     const struct context_creation *creation,
				     struct tenure_allocation *ret_allocations)
{
	struct call call = {
		.request = {
			.opcode = WIRE_OP_CONTEXT_ALLOCATION_CREATE,
			.flags = creation->flags,
			.device = creation->device,
			.object = creation->context,
			.count = creation->count,
		},
		.args = connection->args,
	};
	bool fits = creation->count <= LIST_ENTRIES_MAX;
	struct ledger_group *group =
		ledger_group_new(fits ? creation->count : 0);
	int status;

	if (!group)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	status = connection_prepare_locked(connection);
	if (status == 0) {
		call.args_bytes = put_sizes(connection->args, creation);
		status = connection_call_locked(connection, &call);
	}
	if (status == 0)
		status = note_birth(connection, &call, creation, group);
	if (status < 0) {
		free(group);
		return status;
	}
	memcpy(ret_allocations, connection->data, call.reply.data_bytes);
	return 0;
}

int tenure_context_allocation_create(struct tenure *connection,
				     struct tenure_context context,
				     unsigned int flags, const size_t *sizes,
				     unsigned int count,
				     struct tenure_allocation *ret_allocations)
{
	struct context_creation creation = {
		.context = context.value,
		.flags = flags,
		.sizes = sizes,
		.count = count,
	};
	const struct work_context *record;
	int status;

	if (count > 0 && (!sizes || !ret_allocations))
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	record = work_find(&connection->work, context.value);
	if (!record)
		return connection_leave(
			connection,
			refusal_set(-EINVAL, TENURE_REASON_CONTEXT_INVALID));
	creation.device = record->device;
	status = context_allocation_create_locked(connection, &creation,
						  ret_allocations);
	return connection_leave(connection, status);
}

int tenure_context_allocation_destroy(struct tenure *connection,
				      struct tenure_adapter adapter,
				      struct tenure_allocation allocation)
{
	struct call call = {
		.request.opcode = WIRE_OP_CONTEXT_ALLOCATION_DESTROY,
		.request.object = adapter.value,
		.request.value[0] = allocation.value,
	};
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = connection_call_locked(connection, &call);
	if (status == 0)
		ledger_allocation_forget(&connection->ledger, allocation.value);
	return connection_leave(connection, status);
}
