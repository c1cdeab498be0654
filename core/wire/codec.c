/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codec: is this message a request at all?
 *
 * The head must be whole, the arguments exactly as long as it says, the
 * reserved fields zero, and every field that the request has no use for zero
 * too: one table says which fields each request uses, so that a later version
 * can give the others a meaning. What the fields mean is not judged here.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Nothing outside message[0 .. size) is read.
 *  G2  An accepted request has no bit set that its table row does not allow.
 *  G3  What came by a ring needs no descriptor, and its reply fits the room
 *      that it offers.
 */
#include "core/wire/codec.h"

enum field {
	FIELD_FORM = 1 << 0,
	FIELD_FLAGS = 1 << 1,
	FIELD_DEVICE = 1 << 2,
	FIELD_OBJECT = 1 << 3,
	FIELD_COUNT = 1 << 4,
	FIELD_ARGS = 1 << 5,
	FIELD_VALUE0 = 1 << 6,
	FIELD_VALUES = 1 << 7 | FIELD_VALUE0,
	FIELD_NONE = 1 << 9, /* known, but has no fields */
};

static const uint16_t fields[UINT8_MAX + 1] = {
	[WIRE_OP_HELLO] = FIELD_OBJECT | FIELD_VALUES,
	[WIRE_OP_PING] = FIELD_NONE,
	[WIRE_OP_ADAPTER_OPEN] = FIELD_VALUES,
	[WIRE_OP_ADAPTER_CLOSE] = FIELD_OBJECT,
	[WIRE_OP_DEVICE_CREATE] = FIELD_OBJECT,
	[WIRE_OP_DEVICE_DESTROY] = FIELD_DEVICE | FIELD_FLAGS,
	[WIRE_OP_CREATE] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS |
			   FIELD_COUNT | FIELD_VALUE0 | FIELD_ARGS,
	[WIRE_OP_DESTROY] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS |
			    FIELD_FORM | FIELD_COUNT | FIELD_ARGS,
	[WIRE_OP_SHARE] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS,
	[WIRE_OP_TOKEN_REVOKE] = FIELD_VALUES,
	[WIRE_OP_QUERY] = FIELD_VALUES,
	[WIRE_OP_OPEN] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS |
			 FIELD_COUNT | FIELD_VALUES,
	[WIRE_OP_MAP] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS,
	[WIRE_OP_UNMAP] = FIELD_DEVICE | FIELD_OBJECT,
	[WIRE_OP_STAT] = FIELD_NONE,
	[WIRE_OP_STATUS] = FIELD_NONE,
	[WIRE_OP_CLIENTS] = FIELD_VALUE0,
	[WIRE_OP_RESOURCES] = FIELD_VALUE0,
	[WIRE_OP_LIMITS] = FIELD_VALUE0,
	[WIRE_OP_CHECK] = FIELD_NONE,
	[WIRE_OP_RING] = FIELD_NONE,
	[WIRE_OP_DOORBELL] = FIELD_NONE,
	[WIRE_OP_NOTICES] = FIELD_NONE,
	[WIRE_OP_CONTEXT_CREATE] = FIELD_DEVICE,
	[WIRE_OP_CONTEXT_DESTROY] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS,
	[WIRE_OP_CONTEXT_SUBMIT] = FIELD_DEVICE | FIELD_OBJECT | FIELD_COUNT |
				   FIELD_VALUE0 | FIELD_ARGS,
	[WIRE_OP_CONTEXT_PROGRESS] = FIELD_DEVICE | FIELD_OBJECT | FIELD_VALUE0,
	[WIRE_OP_CONTEXT_ALLOCATION_CREATE] = FIELD_DEVICE | FIELD_OBJECT |
					      FIELD_FLAGS | FIELD_COUNT |
					      FIELD_ARGS,
	[WIRE_OP_CONTEXT_ALLOCATION_DESTROY] = FIELD_OBJECT | FIELD_VALUE0,
	[WIRE_OP_FENCE_CREATE] = FIELD_DEVICE | FIELD_VALUE0,
	[WIRE_OP_FENCE_DESTROY] = FIELD_DEVICE | FIELD_OBJECT,
	[WIRE_OP_FENCE_SHARE] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS,
	[WIRE_OP_FENCE_OPEN] = FIELD_DEVICE | FIELD_FLAGS | FIELD_VALUES,
	[WIRE_OP_FENCE_SIGNAL] = FIELD_DEVICE | FIELD_OBJECT | FIELD_VALUE0,
	[WIRE_OP_FENCE_VALUE] = FIELD_DEVICE | FIELD_OBJECT,
	[WIRE_OP_FENCE_WAIT] = FIELD_DEVICE | FIELD_FLAGS | FIELD_COUNT |
			       FIELD_VALUE0 | FIELD_ARGS,
	[WIRE_OP_FENCE_WAIT_CANCEL] = FIELD_VALUE0,
	[WIRE_OP_EVENTS] = FIELD_VALUE0,
	[WIRE_OP_FENCE_WATCH] = FIELD_DEVICE | FIELD_FLAGS | FIELD_COUNT |
				FIELD_ARGS,
	[WIRE_OP_POOL_CREATE] = FIELD_COUNT | FIELD_VALUES,
	[WIRE_OP_POOL_REPORT] = FIELD_OBJECT | FIELD_ARGS,
	[WIRE_OP_POOL_DESTROY] = FIELD_OBJECT,
	[WIRE_OP_POOLS] = FIELD_VALUE0,
	[WIRE_OP_FENCE_PAGE] = FIELD_NONE,
	[WIRE_OP_FENCE_PUBLISH] = FIELD_DEVICE | FIELD_OBJECT | FIELD_VALUES,
	[WIRE_OP_FENCE_MAP] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS,
	[WIRE_OP_TEST_EVENT] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS,
};

/* The fields that a request has set. */
static uint16_t fields_set(const struct wire_request *r)
{
	return (uint16_t)((r->form & WIRE_FORM_LIST ? FIELD_FORM : 0) |
			  (r->flags != 0 ? FIELD_FLAGS : 0) |
			  (r->device != 0 ? FIELD_DEVICE : 0) |
			  (r->object != 0 ? FIELD_OBJECT : 0) |
			  (r->count != 0 ? FIELD_COUNT : 0) |
			  (r->args_bytes != 0 ? FIELD_ARGS : 0) |
			  (r->value[0] != 0 ? FIELD_VALUE0 : 0) |
			  (r->value[1] != 0 ? FIELD_VALUES & ~FIELD_VALUE0 :
					      0));
}

uint32_t wire_data_max(const struct wire_request *r)
{
	uint64_t list = 8 * min_u64(r->count, LIST_ENTRIES_MAX);

	switch ((unsigned int)r->opcode) {
	case WIRE_OP_CREATE:
	case WIRE_OP_CONTEXT_ALLOCATION_CREATE:
		return (uint32_t)list;
	case WIRE_OP_OPEN:
		return (uint32_t)(list + min_u64(r->object, PRIVATE_DATA_MAX));
	case WIRE_OP_QUERY:
		return 8 * LIST_ENTRIES_MAX;
	case WIRE_OP_STAT:
		return sizeof(struct wire_stat);
	case WIRE_OP_STATUS:
		return sizeof(struct wire_status);
	case WIRE_OP_CLIENTS:
	case WIRE_OP_RESOURCES:
	case WIRE_OP_LIMITS:
	case WIRE_OP_EVENTS:
	case WIRE_OP_POOLS:
		return WIRE_DATA_BYTES_MAX;
	case WIRE_OP_CHECK:
		return WIRE_CHECK_BYTES_MAX;
	}
	return 0;
}

/* What has to do with descriptors, or comes before there is a ring. */
static bool needs_socket(const struct wire_request *r)
{
	return r->opcode == WIRE_OP_HELLO || r->opcode == WIRE_OP_RING ||
	       r->opcode == WIRE_OP_DOORBELL ||
	       r->opcode == WIRE_OP_FENCE_WATCH ||
	       r->opcode == WIRE_OP_FENCE_PAGE ||
	       ((r->opcode == WIRE_OP_MAP || r->opcode == WIRE_OP_FENCE_MAP) &&
		(r->flags & WIRE_MAP_WANT_FD) != 0);
}

/* The form, and the fields that say where arguments and data lie. */
static bool fits_port(const struct wire_request *r, bool by_ring)
{
	unsigned int forms = WIRE_FORM_LIST | (by_ring ? WIRE_FORM_QUIET : 0);

	if ((r->form & ~forms) != 0)
		return false;
	if (!by_ring)
		return r->args_offset == 0 && r->data_capacity == 0;
	return !needs_socket(r) && r->data_capacity >= wire_data_max(r);
}

enum decode_result decode_request(const void *message, size_t size_bytes,
				  bool by_ring, struct wire_request *ret,
				  const void **ret_args)
{
	struct wire_request head;

	if (size_bytes > WIRE_REQUEST_BYTES_MAX)
		return DECODE_TOO_LONG;
	if (size_bytes < sizeof(head))
		return DECODE_MALFORMED;
	memcpy(&head, message, sizeof(head));
	if (head.args_bytes != size_bytes - sizeof(head) ||
	    !fits_port(&head, by_ring))
		return DECODE_MALFORMED;
	if (fields[head.opcode] != 0 &&
	    (fields_set(&head) & ~fields[head.opcode]) != 0)
		return DECODE_MALFORMED;
	*ret = head;
	*ret_args = (const char *)message + sizeof(head);
	return fields[head.opcode] == 0 ? DECODE_UNKNOWN : DECODE_OK;
}
