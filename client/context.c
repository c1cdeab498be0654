/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts
 *
 * The public face of client/work.c. A context is a queue of work that this
 * process does itself, by its own threads or by a device that it drives; the
 * daemon only hears which allocations a piece of work uses, and how far the
 * work has come.
 *
 *	create --> use* --> submit(1) --> use* --> submit(2) --> ... destroy
 *	                        \ progress(1) \ progress(2)
 *
 * The library knows the contexts that it created, so the calls on them name no
 * device. What it does not know is refused here, with the one reason that the
 * daemon has for every handle that is not the caller's own.
 *
 * With a ring the device may be destroyed by another thread while the answer
 * to a create is on its way: then the context is dead when it is noted, and it
 * is not entered. Uses could be recorded in it that no flush can send.
 *
 * Destroying a context waits for its work, and the thread that does that work
 * reports its progress by the same connection: so the wait is without the
 * lock (client/late.c), and the record stays until the daemon has answered.
 */
#include "client/context.h"

#include <stdlib.h>

/* Enters a context, unless its device was known and has gone since. The record
 * is in work, or freed. */
static int note_context(struct tenure *connection, struct work_context *record,
			const struct call *call, uint32_t word,
			bool device_known)
{
	uint64_t device = call->request.device;

	if (device_known && !ledger_knows_device(&connection->ledger, device)) {
		free(record);
		return 0;
	}
	if (work_publish(&connection->work, record, call->reply.value[0],
			 device, word) == 0)
		return 0;
	free(record);
	return connection_distrust_locked(connection);
}

int context_create_locked(struct tenure *connection,
			  struct tenure_device device,
			  struct tenure_context *ret_context)
{
	struct work_context *record = malloc(sizeof(*record));
	struct call call = {
		.request.opcode = WIRE_OP_CONTEXT_CREATE,
		.request.device = device.value,
	};
	bool device_known =
		ledger_knows_device(&connection->ledger, device.value);
	uint32_t word = 0;
	int status;

	if (!record)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	status = work_create_waits(connection, &call, &word);
	if (status < 0) {
		free(record);
		return status;
	}
	status = note_context(connection, record, &call, word, device_known);
	if (status < 0)
		return status;
	ret_context->value = call.reply.value[0];
	return 0;
}

int tenure_context_create(struct tenure *connection,
			  struct tenure_device device,
			  struct tenure_context *ret_context)
{
	int status;

	if (!ret_context)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = context_create_locked(connection, device, ret_context);
	return connection_leave(connection, status);
}

static int context_end(struct tenure *connection, struct tenure_context context,
		       unsigned int flags)
{
	const struct work_context *record =
		work_find(&connection->work, context.value);
	const struct work_scope scope = { .context = context.value };
	struct call call = {
		.request.opcode = WIRE_OP_CONTEXT_DESTROY,
		.request.flags = flags,
		.request.object = context.value,
	};
	int status;

	if (!record)
		return refusal_set(-EINVAL, TENURE_REASON_CONTEXT_INVALID);
	call.request.device = record->device;
	status = work_end_waits(connection, &call, &scope);
	if (status == 0)
		work_forget(connection, &scope);
	return status;
}

int tenure_context_destroy(struct tenure *connection,
			   struct tenure_context context, unsigned int flags)
{
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = context_end(connection, context, flags);
	return connection_leave(connection, status);
}

int tenure_context_use(struct tenure *connection, struct tenure_context context,
		       const struct tenure_allocation *allocations,
		       unsigned int count)
{
	int status;

	if (count > 0 && !allocations)
		return refusal_set(-EINVAL, TENURE_REASON_LIST_MISSING);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = work_use_waits(connection, context.value,
				(const uint64_t *)(const void *)allocations,
				count);
	return connection_leave(connection, status);
}

int tenure_context_submit(struct tenure *connection,
			  struct tenure_context context, uint64_t value)
{
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = work_submit_waits(connection, context.value, value);
	return connection_leave(connection, status);
}

int tenure_context_progress(struct tenure *connection,
			    struct tenure_context context, uint64_t value)
{
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = work_progress_waits(connection, context.value, value);
	return connection_leave(connection, status);
}
