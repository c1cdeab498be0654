/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources: their birth and their death
 *
 * Create, open and destroy are one request each, for a whole group (B03), so
 * all-or-nothing is the daemon's to keep. The library keeps two promises of
 * its own:
 *
 *  - It does not judge. Whatever the caller passes in a destroy (a list and a
 *    resource, a count of 2000, handle 0, reserved flags) goes to the daemon
 *    as it is, so that there is one law and one place that applies it. Only
 *    what cannot be sent is judged here: NULL where an answer must go.
 *  - It cannot fail half-way. The group's record is made before the request;
 *    afterwards there is only a daemon that lies.
 *
 * Layer L1 adds one step: uses of the resource that are recorded and not yet
 * sent are sent first (client/work.c), so that the daemon keeps the memory
 * until that work has ended.
 *
 * A list that is longer than the law allows is announced and not sent: the
 * daemon refuses by the number alone. A list that cannot be read is found by
 * the kernel while it copies it, before anything has been sent: the socket's
 * way of copying does that by itself, and for the ring the kernel is asked.
 */
#include "client/resource.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Lays the arguments out; what breaks a limit is announced, not sent. */
static size_t put_creation(uint8_t *args, const struct creation *creation)
{
	size_t at = 0;

	if (creation->count > LIST_ENTRIES_MAX ||
	    creation->private_bytes > PRIVATE_DATA_MAX)
		return 0;
	for (unsigned int i = 0; i < creation->count; i++) {
		struct wire_allocation a = { creation->sizes[i], 0 };

		memcpy(args + at, &a, sizeof(a));
		at += sizeof(a);
	}
	if (creation->private_bytes > 0)
		memcpy(args + at, creation->private_data,
		       creation->private_bytes);
	return at + creation->private_bytes;
}

/* What is kept for those who are to be born. */
struct cradle {
	struct ledger_group *group; /* NULL: nothing */
	unsigned int count;
	size_t private_bytes;
	bool is_new; /* the resource is born, too */
	/* What they are born into was known when the request was sent. */
	bool device_known, resource_known;
};

/*
 * Makes the record of as many as a daemon can say yes to. What a device owns
 * itself goes alone or with the device, so it need not be known before it is
 * mapped; without a ring it is, because a free then needs its device.
 */
static int cradle_init(struct tenure *connection, struct cradle *cradle,
		       uint64_t device, uint64_t resource)
{
	unsigned int count = cradle->count;

	cradle->device_known = ledger_knows_device(&connection->ledger, device);
	cradle->resource_known =
		resource != 0 &&
		ledger_knows_resource(&connection->ledger, resource);
	if (!cradle->is_new && resource == 0 && connection->ringside)
		return 0;
	cradle->group = ledger_group_new(count <= LIST_ENTRIES_MAX ? count : 0);
	if (!cradle->group)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	return 0;
}

/* Whether another thread's destroy of what they were born into has been noted
 * before their birth: then they are dead already. A resource that has merely
 * been emptied meanwhile is still known. */
static bool is_stillborn(const struct tenure *connection,
			 const struct cradle *cradle, uint64_t device,
			 uint64_t resource)
{
	const struct ledger *ledger = &connection->ledger;

	return (cradle->device_known && !ledger_knows_device(ledger, device)) ||
	       (cradle->resource_known &&
		!ledger_knows_resource(ledger, resource));
}

/*
 * Whether the handles can be those of newborn: with one that the library has
 * already, the end of the one would unmap the other. (Handles of a group are
 * looked at when it is published. One that a device owns is known once it is
 * mapped: nothing can be unmapped before.)
 */
static bool are_new(const struct tenure *connection,
		    const struct cradle *cradle, uint64_t resource,
		    const uint64_t *handles)
{
	const struct ledger *ledger = &connection->ledger;

	for (unsigned int i = 0; !cradle->group && i < cradle->count; i++)
		if (handles[i] == 0 || ledger_allocation(ledger, handles[i]))
			return false;
	return !cradle->is_new ||
	       (resource != 0 && !ledger_knows_resource(ledger, resource));
}

/*
 * Checks what came into being and enters it. The data begins with the handles
 * and continues with private_bytes of private data.
 */
static int note_birth(struct tenure *connection, const struct call *call,
		      struct cradle *cradle, uint64_t resource)
{
	const uint64_t *handles = (const void *)connection->data;
	uint64_t device = call->request.device;
	unsigned int count = cradle->count;

	if (count > LIST_ENTRIES_MAX || call->reply.count != count ||
	    call->reply.data_bytes !=
		    count * sizeof(*handles) + cradle->private_bytes ||
	    !are_new(connection, cradle, resource, handles))
		return connection_distrust_locked(connection);
	if (!cradle->group)
		return 0;
	if (is_stillborn(connection, cradle, device, resource)) {
		free(cradle->group);
		return 0;
	}
	if (ledger_group_publish(&connection->ledger, cradle->group, device,
				 resource, handles) < 0)
		return connection_distrust_locked(connection);
	return 0;
}

int create_locked(struct tenure *connection, const struct creation *creation,
		  struct tenure_resource *ret_resource,
		  struct tenure_allocation *ret_allocations)
{
	bool is_new = creation->flags & TENURE_CREATE_RESOURCE;
	struct call call = {
		.request = {
			.opcode = WIRE_OP_CREATE,
			.flags = creation->flags,
			.device = creation->device.value,
			.object = creation->resource.value,
			.count = creation->count,
			.value[0] = creation->private_bytes,
		},
		.args = connection->args,
	};
	struct cradle cradle = { .count = creation->count, .is_new = is_new };
	uint64_t resource;
	int status;

	status = connection_prepare_locked(connection);
	if (status == 0)
		status = cradle_init(connection, &cradle,
				     creation->device.value,
				     creation->resource.value);
	if (status < 0)
		return status;
	call.args_bytes = put_creation(connection->args, creation);
	status = connection_call_locked(connection, &call);
	resource = is_new ? call.reply.value[0] : creation->resource.value;
	if (status == 0)
		status = note_birth(connection, &call, &cradle, resource);
	if (status < 0) {
		free(cradle.group);
		return status;
	}
	memcpy(ret_allocations, connection->data, call.reply.data_bytes);
	if (is_new)
		ret_resource->value = resource;
	return 0;
}

/* The list is copied first: it may lie in memory that is now unmapped. */
static void forget_destroyed(struct tenure *connection,
			     const struct tenure_destroy *destroy)
{
	const uint64_t *handles = (const void *)connection->args;
	unsigned int count = destroy->count;

	if (destroy->resource.value != 0) {
		work_drop_resource(connection, destroy->resource.value);
		ledger_resource_forget(&connection->ledger,
				       destroy->resource.value);
		return;
	}
	if (count > 0)
		memcpy(connection->args, destroy->list,
		       count * sizeof(*handles));
	for (unsigned int i = 0; i < count; i++) {
		work_drop_allocation(connection, handles[i]);
		ledger_allocation_forget(&connection->ledger, handles[i]);
	}
}

/*
 * Whether 8 bytes can be read, asked of the kernel: it fetches a signal mask
 * from there before it finds that it is told to do nothing with it. Nothing
 * else that costs so little tells unreadable memory without a signal.
 */
static bool word_is_readable(uintptr_t address)
{
	const int nothing = -1;

	return syscall(SYS_rt_sigprocmask, nothing, address, NULL,
		       sizeof(uint64_t)) == 0 ||
	       errno != EFAULT;
}

/* The same of a list, page by page. */
static bool list_is_readable(const struct tenure_allocation *list,
			     size_t size_bytes)
{
	uintptr_t at = (uintptr_t)list;
	uintptr_t last = at + size_bytes - sizeof(*list);

	if (last < at)
		return false;
	for (; at < last; at = (at | (PAGE_BYTES - 1)) + 1) {
		if (!word_is_readable(at))
			return false;
	}
	return word_is_readable(last);
}

/* A ring copies the list here, where an unreadable one would end the process;
 * the socket leaves it to the kernel, and says so. */
static int check_list(const struct tenure *connection, const struct call *call,
		      bool trusted)
{
	if (!connection->ringside || call->args_bytes == 0 || trusted ||
	    list_is_readable(call->args, call->args_bytes))
		return 0;
	return refusal_set(-EINVAL, TENURE_REASON_LIST_TRUNCATED);
}

int destroy_locked(struct tenure *connection,
		   const struct tenure_destroy *destroy, bool list_trusted)
{
	bool readable = destroy->list && destroy->count <= LIST_ENTRIES_MAX;
	struct call call = {
		.request = {
			.opcode = WIRE_OP_DESTROY,
			.form = destroy->list ? WIRE_FORM_LIST : 0,
			.flags = destroy->flags,
			.device = destroy->device.value,
			.object = destroy->resource.value,
			.count = destroy->count,
		},
		.args = destroy->list,
		.args_bytes = readable ? destroy->count * sizeof(uint64_t) : 0,
	};
	int status = connection_prepare_locked(connection);

	if (status == 0)
		status = check_list(connection, &call, list_trusted);
	if (status == 0)
		status = connection_call_locked(connection, &call);
	if (status < 0)
		return status;
	/* A list that was not sent cannot have been destroyed. */
	if (destroy->resource.value == 0 && destroy->count > 0 && !readable)
		return connection_distrust_locked(connection);
	forget_destroyed(connection, destroy);
	return 0;
}

int share_locked(struct tenure *connection, struct tenure_device device,
		 struct tenure_resource resource, unsigned int rights,
		 struct tenure_token *ret_token)
{
	struct call call = {
		.request.opcode = WIRE_OP_SHARE,
		.request.device = device.value,
		.request.object = resource.value,
		.request.flags = rights,
	};
	int status = connection_call_locked(connection, &call);

	if (status < 0)
		return status;
	static_assert(sizeof(ret_token->bytes) == 2 * sizeof(uint64_t),
		      "a token is two words");
	memcpy(ret_token->bytes, call.reply.value, sizeof(ret_token->bytes));
	return 0;
}

static void put_token(struct wire_request *request,
		      const struct tenure_token *token)
{
	memcpy(request->value, token->bytes, sizeof(request->value));
}

int query_locked(struct tenure *connection, const struct tenure_token *token,
		 struct tenure_resource_info *ret_info)
{
	struct call call = { .request.opcode = WIRE_OP_QUERY };
	const struct wire_reply *reply = &call.reply;
	int status;

	put_token(&call.request, token);
	status = connection_call_locked(connection, &call);
	if (status < 0)
		return status;
	if (reply->count > LIST_ENTRIES_MAX ||
	    reply->data_bytes != reply->count * sizeof(uint64_t) ||
	    reply->value[0] > PRIVATE_DATA_MAX || reply->value[2] > UINT32_MAX)
		return connection_distrust_locked(connection);
	*ret_info = (struct tenure_resource_info){
		.count = reply->count,
		.rights = (unsigned int)reply->value[2],
		.private_bytes = reply->value[0],
		.bytes = reply->value[1],
	};
	return 0;
}

int open_locked(struct tenure *connection,
		const struct opening_request *opening, void *ret_private_data,
		struct tenure_resource *ret_resource,
		struct tenure_allocation *ret_allocations)
{
	struct call call = {
		.request = {
			.opcode = WIRE_OP_OPEN,
			.flags = opening->rights,
			.device = opening->device.value,
			.object = opening->private_bytes,
			.count = opening->count,
		},
	};
	struct cradle cradle = {
		.count = opening->count,
		.private_bytes = opening->private_bytes,
		.is_new = true,
	};
	size_t handles_bytes = opening->count * sizeof(uint64_t);
	int status;

	status = cradle_init(connection, &cradle, opening->device.value, 0);
	if (status < 0)
		return status;
	put_token(&call.request, opening->token);
	status = connection_call_locked(connection, &call);
	if (status == 0)
		status = note_birth(connection, &call, &cradle,
				    call.reply.value[0]);
	if (status < 0) {
		free(cradle.group);
		return status;
	}
	memcpy(ret_allocations, connection->data, handles_bytes);
	if (ret_private_data && opening->private_bytes > 0)
		memcpy(ret_private_data, connection->data + handles_bytes,
		       opening->private_bytes);
	ret_resource->value = call.reply.value[0];
	return 0;
}

/* Arguments without which a creation cannot be sent or answered. */
static bool creation_is_complete(const struct creation *creation,
				 const struct tenure_allocation *allocations)
{
	if (creation->count > 0 && (!creation->sizes || !allocations))
		return false;
	return creation->private_data || creation->private_bytes == 0;
}

static int create(struct tenure *connection, const struct creation *creation,
		  struct tenure_resource *ret_resource,
		  struct tenure_allocation *ret_allocations)
{
	int status;

	if (!creation_is_complete(creation, ret_allocations))
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = create_locked(connection, creation, ret_resource,
			       ret_allocations);
	return connection_leave(connection, status);
}

int tenure_resource_create(struct tenure *connection,
			   struct tenure_device device, unsigned int flags,
			   const size_t *sizes, unsigned int count,
			   const void *private_data, size_t private_bytes,
			   struct tenure_resource *ret_resource,
			   struct tenure_allocation *ret_allocations)
{
	const struct creation creation = {
		.device = device,
		.flags = flags | TENURE_CREATE_RESOURCE,
		.sizes = sizes,
		.count = count,
		.private_data = private_data,
		.private_bytes = private_bytes,
	};

	if (!ret_resource)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	return create(connection, &creation, ret_resource, ret_allocations);
}

int tenure_resource_add(struct tenure *connection, struct tenure_device device,
			struct tenure_resource resource, const size_t *sizes,
			unsigned int count,
			struct tenure_allocation *ret_allocations)
{
	const struct creation creation = {
		.device = device,
		.resource = resource,
		.sizes = sizes,
		.count = count,
	};

	/* On the wire, no resource means: of the device itself. */
	if (resource.value == 0)
		return refusal_set(-EBADF, TENURE_REASON_RESOURCE_INVALID);
	return create(connection, &creation, NULL, ret_allocations);
}

int tenure_allocation_create(struct tenure *connection,
			     struct tenure_device device, const size_t *sizes,
			     unsigned int count,
			     struct tenure_allocation *ret_allocations)
{
	const struct creation creation = {
		.device = device,
		.sizes = sizes,
		.count = count,
	};

	return create(connection, &creation, NULL, ret_allocations);
}

static int destroy_any(struct tenure *connection,
		       const struct tenure_destroy *destroy, bool list_trusted)
{
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = destroy_locked(connection, destroy, list_trusted);
	return connection_leave(connection, status);
}

int tenure_destroy(struct tenure *connection,
		   const struct tenure_destroy *destroy)
{
	if (!destroy)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	return destroy_any(connection, destroy, false);
}

int tenure_resource_destroy(struct tenure *connection,
			    struct tenure_device device,
			    struct tenure_resource resource)
{
	const struct tenure_destroy destroy = {
		.device = device,
		.resource = resource,
	};

	int status;

	/* In the general form, no resource and no list mean: nothing to do. */
	if (resource.value == 0)
		return refusal_set(-EINVAL, TENURE_REASON_RESOURCE_INVALID);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	if (ledger_resource_is_of(&connection->ledger, resource.value,
				  device.value))
		status = work_flush_resource_waits(connection, device.value,
						   resource.value);
	if (status == 0)
		status = destroy_locked(connection, &destroy, true);
	return connection_leave(connection, status);
}

int tenure_allocation_destroy(struct tenure *connection,
			      struct tenure_device device,
			      struct tenure_allocation allocation,
			      unsigned int flags)
{
	const struct tenure_destroy destroy = {
		.device = device,
		.list = &allocation,
		.count = 1,
		.flags = flags,
	};

	return destroy_any(connection, &destroy, true);
}

int tenure_resource_share(struct tenure *connection,
			  struct tenure_device device,
			  struct tenure_resource resource, unsigned int rights,
			  struct tenure_token *ret_token)
{
	int status;

	if (!ret_token)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = share_locked(connection, device, resource, rights, ret_token);
	return connection_leave(connection, status);
}

int tenure_token_revoke(struct tenure *connection,
			const struct tenure_token *token)
{
	struct call call = { .request.opcode = WIRE_OP_TOKEN_REVOKE };
	int status;

	if (!token)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	put_token(&call.request, token);
	status = connection_call_locked(connection, &call);
	return connection_leave(connection, status);
}

int tenure_resource_query(struct tenure *connection,
			  const struct tenure_token *token,
			  struct tenure_resource_info *ret_info,
			  size_t *ret_sizes, unsigned int sizes_capacity)
{
	struct tenure_resource_info info;
	int status;

	if (!token || !ret_info)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = query_locked(connection, token, &info);
	if (status < 0)
		return connection_leave(connection, status);
	*ret_info = info;
	if (ret_sizes && sizes_capacity < info.count)
		status = refusal_set(-EOVERFLOW, TENURE_REASON_ROOM_TOO_SMALL);
	else if (ret_sizes)
		memcpy(ret_sizes, connection->data,
		       info.count * sizeof(*ret_sizes));
	return connection_leave(connection, status);
}

int tenure_resource_open(struct tenure *connection, struct tenure_device device,
			 const struct tenure_token *token, unsigned int rights,
			 unsigned int count, void *ret_private_data,
			 size_t private_bytes,
			 struct tenure_resource *ret_resource,
			 struct tenure_allocation *ret_allocations)
{
	const struct opening_request opening = {
		.device = device,
		.token = token,
		.rights = rights,
		.count = count,
		.private_bytes = private_bytes,
	};
	int status;

	if (!token || !ret_resource || (count > 0 && !ret_allocations) ||
	    (private_bytes > 0 && !ret_private_data))
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = open_locked(connection, &opening, ret_private_data,
			     ret_resource, ret_allocations);
	return connection_leave(connection, status);
}
