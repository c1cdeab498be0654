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
	[WIRE_OP_CONTEXT_CREATE] = FIELD_DEVICE,
	[WIRE_OP_CONTEXT_DESTROY] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS,
	[WIRE_OP_CONTEXT_SUBMIT] = FIELD_DEVICE | FIELD_OBJECT | FIELD_COUNT |
				   FIELD_VALUE0 | FIELD_ARGS,
	[WIRE_OP_CONTEXT_PROGRESS] = FIELD_DEVICE | FIELD_OBJECT | FIELD_VALUE0,
	[WIRE_OP_TEST_EVENT] = FIELD_DEVICE | FIELD_OBJECT | FIELD_FLAGS,
};

/* The fields that a request has set. */
static uint16_t fields_set(const struct wire_request *r)
{
	return (uint16_t)((r->form != 0 ? FIELD_FORM : 0) |
			  (r->flags != 0 ? FIELD_FLAGS : 0) |
			  (r->device != 0 ? FIELD_DEVICE : 0) |
			  (r->object != 0 ? FIELD_OBJECT : 0) |
			  (r->count != 0 ? FIELD_COUNT : 0) |
			  (r->args_bytes != 0 ? FIELD_ARGS : 0) |
			  (r->value[0] != 0 ? FIELD_VALUE0 : 0) |
			  (r->value[1] != 0 ? FIELD_VALUES & ~FIELD_VALUE0 :
					      0));
}

enum decode_result decode_request(const void *message, size_t size_bytes,
				  struct wire_request *ret,
				  const void **ret_args)
{
	struct wire_request head;

	if (size_bytes > WIRE_REQUEST_BYTES_MAX)
		return DECODE_TOO_LONG;
	if (size_bytes < sizeof(head))
		return DECODE_MALFORMED;
	memcpy(&head, message, sizeof(head));
	if (head.args_bytes != size_bytes - sizeof(head) ||
	    head.args_offset != 0 || head.data_capacity != 0 ||
	    (head.form & ~(unsigned int)WIRE_FORM_LIST) != 0)
		return DECODE_MALFORMED;
	if (fields[head.opcode] != 0 &&
	    (fields_set(&head) & ~fields[head.opcode]) != 0)
		return DECODE_MALFORMED;
	*ret = head;
	*ret_args = (const char *)message + sizeof(head);
	return fields[head.opcode] == 0 ? DECODE_UNKNOWN : DECODE_OK;
}
