/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two-minute layer
 *
 * One value for one piece of memory, and nothing to set up: the first call
 * that needs one opens the adapter "system" and makes a device on it, which
 * then lives as long as the connection. Each function is a few steps of the
 * layer below under one lock, so another thread sees all of it or nothing; a
 * step that fails undoes those before it.
 *
 * What tenure_alloc() makes is owned by the device, with no resource round it;
 * it cannot be shared, and saying so needs no daemon.
 */
#include "client/async.h"
#include "client/connection.h"
#include "client/device.h"
#include "client/mapping.h"
#include "client/resource.h"

static int make_device(struct tenure *connection)
{
	struct tenure_adapter adapter;
	struct tenure_refusal refusal;
	int status;

	status = adapter_open_locked(connection, NULL, &adapter);
	if (status < 0)
		return status;
	status = device_create_locked(connection, adapter,
				      &connection->default_device);
	if (status < 0) {
		tenure_last_refusal(&refusal);
		if (connection->dead_status == 0)
			adapter_close_locked(connection, adapter);
		refusal_restore(&refusal);
		return status;
	}
	return 0;
}

/* Makes the default device unless it is there. */
static int need_device(struct tenure *connection)
{
	int status = 0;

	if (connection->default_device.value != 0)
		return 0;
	connection_turn_begin_locked(connection, TURN_DEFAULT_DEVICE);
	if (connection->default_device.value == 0)
		status = make_device(connection);
	connection_turn_end_locked(connection, TURN_DEFAULT_DEVICE);
	return status;
}

static struct tenure_destroy end_of(const struct tenure *connection,
				    const struct tenure_memory *memory)
{
	bool has_resource = memory->resource.value != 0;

	return (struct tenure_destroy){
		.device = connection->default_device,
		.resource = memory->resource,
		.list = has_resource ? NULL : &memory->allocation,
		.count = has_resource ? 0 : 1,
	};
}

/* Maps a newborn; when that fails, it is destroyed again. */
static int map_newborn(struct tenure *connection, bool write,
		       struct tenure_memory *memory)
{
	const struct mapping_request mapping = {
		.device = connection->default_device,
		.allocation = memory->allocation,
		.write = write,
	};
	struct tenure_destroy end = end_of(connection, memory);
	struct tenure_refusal refusal;
	int status = map_locked(connection, &mapping, &memory->pointer,
				&memory->size);

	if (status < 0) {
		tenure_last_refusal(&refusal);
		if (connection->dead_status == 0)
			destroy_locked(connection, &end, true);
		refusal_restore(&refusal);
	}
	return status;
}

static int alloc_locked(struct tenure *connection, size_t size,
			unsigned int flags, struct tenure_memory *ret_memory)
{
	struct tenure_memory memory = { 0 };
	struct creation creation = {
		.flags = flags,
		.sizes = &size,
		.count = 1,
	};
	int status = need_device(connection);

	if (status < 0)
		return status;
	creation.device = connection->default_device;
	status = create_locked(connection, &creation, &memory.resource,
			       &memory.allocation);
	if (status == 0)
		status = map_newborn(connection, true, &memory);
	if (status == 0)
		*ret_memory = memory;
	return status;
}

static int alloc(struct tenure *connection, size_t size, unsigned int flags,
		 struct tenure_memory *ret_memory)
{
	int status;

	if (!ret_memory)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = alloc_locked(connection, size, flags, ret_memory);
	return connection_leave(connection, status);
}

int tenure_alloc(struct tenure *connection, size_t size,
		 struct tenure_memory *ret_memory)
{
	return alloc(connection, size, 0, ret_memory);
}

int tenure_alloc_shared(struct tenure *connection, size_t size,
			struct tenure_memory *ret_memory)
{
	return alloc(connection, size,
		     TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED, ret_memory);
}

int tenure_share(struct tenure *connection, const struct tenure_memory *memory,
		 unsigned int rights, struct tenure_token *ret_token)
{
	int status;

	if (!memory || !ret_token)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	if (memory->resource.value == 0 && memory->allocation.value != 0)
		status = refusal_set(-EINVAL, TENURE_REASON_NOT_SHAREABLE);
	else
		status = share_locked(connection, connection->default_device,
				      memory->resource, rights, ret_token);
	return connection_leave(connection, status);
}

static int open_shared_locked(struct tenure *connection,
			      const struct tenure_token *token,
			      struct tenure_memory *ret_memory)
{
	struct opening_request opening = { .token = token, .count = 1 };
	struct tenure_memory memory = { 0 };
	struct tenure_resource_info info;
	int status = need_device(connection);

	if (status == 0)
		status = query_locked(connection, token, &info);
	if (status < 0)
		return status;
	/* Of a resource with several allocations one pointer is not enough;
	 * the daemon refuses the count of one. */
	opening.device = connection->default_device;
	opening.private_bytes = info.private_bytes;
	status = open_locked(connection, &opening, NULL, &memory.resource,
			     &memory.allocation);
	if (status == 0)
		status = map_newborn(connection,
				     info.rights & TENURE_RIGHT_WRITE, &memory);
	if (status == 0)
		*ret_memory = memory;
	return status;
}

int tenure_open_shared(struct tenure *connection,
		       const struct tenure_token *token,
		       struct tenure_memory *ret_memory)
{
	int status;

	if (!token || !ret_memory)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = open_shared_locked(connection, token, ret_memory);
	return connection_leave(connection, status);
}

int tenure_free(struct tenure *connection, struct tenure_memory *memory)
{
	int status;

	if (!memory)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	if (memory->resource.value == 0 && memory->allocation.value == 0)
		return 0;
	status = connection_enter(connection);
	if (status < 0)
		return status;
	if (memory->resource.value != 0)
		status = free_resource_locked(connection,
					      memory->resource.value);
	else
		status = free_allocation_locked(connection,
						memory->allocation.value);
	if (status == 0)
		*memory = (struct tenure_memory){ 0 };
	return connection_leave(connection, status);
}
