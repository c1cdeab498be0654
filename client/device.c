/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adapters and devices
 *
 * The first two steps of every program. Both are small requests; what makes
 * them more than that is their end: the last close of an adapter, and the
 * destruction of a device, unmap everything that went with them, here and in
 * this order: first the daemon agrees, then the addresses go.
 *
 * With a ring another thread may close the adapter while the answer to a create
 * of a device is on its way. The device is then dead when it is noted, and it
 * is not entered: nothing would take it out again.
 *
 * An adapter's name is sent in 16 bytes. A longer one is no adapter, so it is
 * sent as the empty name, which none has: the daemon judges, not the library.
 */
#include "client/device.h"

#include <stdlib.h>

static void put_name(struct wire_request *request, const char *name)
{
	char bytes[ADAPTER_NAME_BYTES] = { 0 };

	static_assert(sizeof(bytes) == sizeof(request->value), "layout");
	if (strlen(name) < sizeof(bytes))
		memcpy(bytes, name, strlen(name));
	memcpy(request->value, bytes, sizeof(bytes));
}

int adapter_open_locked(struct tenure *connection, const char *name,
			struct tenure_adapter *ret_adapter)
{
	struct ledger_adapter *record = malloc(sizeof(*record));
	struct call call = { .request.opcode = WIRE_OP_ADAPTER_OPEN };
	int status;

	if (!record)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	put_name(&call.request, name ? name : "system");
	connection_turn_begin_locked(connection, TURN_ADAPTERS);
	status = connection_call_locked(connection, &call);
	connection_turn_end_locked(connection, TURN_ADAPTERS);
	if (status < 0) {
		free(record);
		return status;
	}
	status = ledger_adapter_opened(&connection->ledger, record,
				       call.reply.value[0]);
	if (status < 0)
		return connection_distrust_locked(connection);
	ret_adapter->value = call.reply.value[0];
	return 0;
}

int adapter_close_locked(struct tenure *connection,
			 struct tenure_adapter adapter)
{
	struct call call = {
		.request.opcode = WIRE_OP_ADAPTER_CLOSE,
		.request.object = adapter.value,
	};
	const struct work_scope scope = { .adapter = adapter.value };
	bool last;
	int status;

	connection_turn_begin_locked(connection, TURN_ADAPTERS);
	last = ledger_adapter_opened_once(&connection->ledger, adapter.value);
	if (last)
		status = work_end_waits(connection, &call, &scope);
	else
		status = connection_call_locked(connection, &call);
	if (status == 0 && last)
		work_forget(connection, &scope);
	if (status == 0)
		ledger_adapter_closed(&connection->ledger, adapter.value);
	connection_turn_end_locked(connection, TURN_ADAPTERS);
	return status;
}

/* Enters a device, unless its adapter was known and has been closed for the
 * last time since. The record is the ledger's, or freed. */
static int note_device(struct tenure *connection, struct ledger_device *record,
		       uint64_t device, uint64_t adapter, bool adapter_known)
{
	struct ledger *ledger = &connection->ledger;

	if (adapter_known && !ledger_knows_adapter(ledger, adapter)) {
		free(record);
		return 0;
	}
	if (ledger_device_publish(ledger, record, device, adapter) == 0)
		return 0;
	free(record);
	return connection_distrust_locked(connection);
}

int device_create_locked(struct tenure *connection,
			 struct tenure_adapter adapter,
			 struct tenure_device *ret_device)
{
	struct ledger_device *record = malloc(sizeof(*record));
	struct call call = {
		.request.opcode = WIRE_OP_DEVICE_CREATE,
		.request.object = adapter.value,
	};
	bool adapter_known =
		ledger_knows_adapter(&connection->ledger, adapter.value);
	int status;

	if (!record)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	status = connection_call_locked(connection, &call);
	if (status < 0) {
		free(record);
		return status;
	}
	status = note_device(connection, record, call.reply.value[0],
			     adapter.value, adapter_known);
	if (status < 0)
		return status;
	ret_device->value = call.reply.value[0];
	return 0;
}

int tenure_adapter_open(struct tenure *connection, const char *name,
			struct tenure_adapter *ret_adapter)
{
	int status;

	if (!ret_adapter)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = adapter_open_locked(connection, name, ret_adapter);
	return connection_leave(connection, status);
}

int tenure_adapter_close(struct tenure *connection,
			 struct tenure_adapter adapter)
{
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = adapter_close_locked(connection, adapter);
	return connection_leave(connection, status);
}

int tenure_device_create(struct tenure *connection,
			 struct tenure_adapter adapter,
			 struct tenure_device *ret_device)
{
	int status;

	if (!ret_device)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = device_create_locked(connection, adapter, ret_device);
	return connection_leave(connection, status);
}

static int device_end(struct tenure *connection, struct tenure_device device,
		      unsigned int flags)
{
	struct call call = {
		.request.opcode = WIRE_OP_DEVICE_DESTROY,
		.request.flags = flags,
		.request.device = device.value,
	};
	const struct work_scope scope = { .device = device.value };
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	/* Device 0 is no scope, and nobody's. */
	if (device.value != 0)
		status = work_end_waits(connection, &call, &scope);
	else
		status = connection_call_locked(connection, &call);
	if (status == 0) {
		work_forget(connection, &scope);
		ledger_device_forget(&connection->ledger, device.value);
	}
	return connection_leave(connection, status);
}

int tenure_device_destroy(struct tenure *connection,
			  struct tenure_device device)
{
	return device_end(connection, device, 0);
}

int tenure_device_terminate(struct tenure *connection,
			    struct tenure_device device)
{
	return device_end(connection, device, TENURE_END_TERMINATE);
}
