/* SPDX-License-Identifier: Apache-2.0 */
#include "core/wire/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* The fields of a request, by the text of core/wire/msg.h. */
enum {
	FORM = 1 << 0,
	FLAGS = 1 << 1,
	DEVICE = 1 << 2,
	OBJECT = 1 << 3,
	COUNT = 1 << 4,
	ARGS = 1 << 5,
	VALUE0 = 1 << 6,
	VALUE1 = 1 << 7,
	FIELDS = 8,
};

static const struct {
	uint8_t opcode;
	unsigned int fields;
} requests[] = {
	{ WIRE_OP_HELLO, OBJECT | VALUE0 | VALUE1 },
	{ WIRE_OP_PING, 0 },
	{ WIRE_OP_ADAPTER_OPEN, VALUE0 | VALUE1 },
	{ WIRE_OP_ADAPTER_CLOSE, OBJECT },
	{ WIRE_OP_DEVICE_CREATE, OBJECT },
	{ WIRE_OP_DEVICE_DESTROY, DEVICE | FLAGS },
	{ WIRE_OP_CREATE, DEVICE | OBJECT | FLAGS | COUNT | VALUE0 | ARGS },
	{ WIRE_OP_DESTROY, DEVICE | OBJECT | FLAGS | FORM | COUNT | ARGS },
	{ WIRE_OP_SHARE, DEVICE | OBJECT | FLAGS },
	{ WIRE_OP_TOKEN_REVOKE, VALUE0 | VALUE1 },
	{ WIRE_OP_QUERY, VALUE0 | VALUE1 },
	{ WIRE_OP_OPEN, DEVICE | VALUE0 | VALUE1 | COUNT | OBJECT | FLAGS },
	{ WIRE_OP_MAP, DEVICE | OBJECT | FLAGS },
	{ WIRE_OP_UNMAP, DEVICE | OBJECT },
	{ WIRE_OP_STAT, 0 },
	{ WIRE_OP_STATUS, 0 },
	{ WIRE_OP_CLIENTS, VALUE0 },
	{ WIRE_OP_RESOURCES, VALUE0 },
	{ WIRE_OP_LIMITS, VALUE0 },
	{ WIRE_OP_CHECK, 0 },
	{ WIRE_OP_RING, 0 },
	{ WIRE_OP_DOORBELL, 0 },
	{ WIRE_OP_NOTICES, 0 },
	{ WIRE_OP_FENCE_PAGE, 0 },
	{ WIRE_OP_FENCE_PUBLISH, DEVICE | OBJECT | VALUE0 | VALUE1 },
	{ WIRE_OP_FENCE_MAP, DEVICE | OBJECT | FLAGS },
	{ WIRE_OP_CONTEXT_CREATE, DEVICE },
	{ WIRE_OP_CONTEXT_DESTROY, DEVICE | OBJECT | FLAGS },
	{ WIRE_OP_CONTEXT_SUBMIT, DEVICE | OBJECT | VALUE0 | COUNT | ARGS },
	{ WIRE_OP_CONTEXT_PROGRESS, DEVICE | OBJECT | VALUE0 },
	{ WIRE_OP_CONTEXT_ALLOCATION_CREATE,
	  DEVICE | OBJECT | FLAGS | COUNT | ARGS },
	{ WIRE_OP_CONTEXT_ALLOCATION_DESTROY, OBJECT | VALUE0 },
	{ WIRE_OP_FENCE_CREATE, DEVICE | VALUE0 },
	{ WIRE_OP_FENCE_DESTROY, DEVICE | OBJECT },
	{ WIRE_OP_FENCE_SHARE, DEVICE | OBJECT | FLAGS },
	{ WIRE_OP_FENCE_OPEN, DEVICE | FLAGS | VALUE0 | VALUE1 },
	{ WIRE_OP_FENCE_SIGNAL, DEVICE | OBJECT | VALUE0 },
	{ WIRE_OP_FENCE_VALUE, DEVICE | OBJECT },
	{ WIRE_OP_FENCE_WAIT, DEVICE | FLAGS | COUNT | VALUE0 | ARGS },
	{ WIRE_OP_FENCE_WATCH, DEVICE | FLAGS | COUNT | ARGS },
	{ WIRE_OP_FENCE_WAIT_CANCEL, VALUE0 },
	{ WIRE_OP_EVENTS, VALUE0 },
	{ WIRE_OP_POOL_CREATE, COUNT | VALUE0 | VALUE1 },
	{ WIRE_OP_POOL_REPORT, OBJECT | ARGS },
	{ WIRE_OP_POOL_DESTROY, OBJECT },
	{ WIRE_OP_POOLS, VALUE0 },
	{ WIRE_OP_TEST_EVENT, DEVICE | OBJECT | FLAGS },
};

/* Decodes from a block that ends where the message ends. */
static enum decode_result decode(const void *bytes, size_t size,
				 struct wire_request *ret)
{
	uint64_t *copy = malloc(size == 0 ? 1 : size);
	const void *args = NULL;
	enum decode_result result;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	memset(ret, 0x5a, sizeof(*ret));
	result = decode_request(copy, size, false, ret, &args);
	if (result == DECODE_OK || result == DECODE_UNKNOWN) {
		assert_ptr_equal(args, (const char *)copy + sizeof(*ret));
		assert_int_equal(ret->args_bytes, size - sizeof(*ret));
		assert_memory_equal(ret, copy, sizeof(*ret));
	} else {
		assert_null(args);
		assert_int_equal(ret->opcode, 0x5a);
	}
	free(copy);
	return result;
}

/* A message of that size whose head says so. */
static enum decode_result decode_head(struct wire_request head, size_t args)
{
	static uint64_t message[WIRE_REQUEST_BYTES_MAX / 8 + 8];
	struct wire_request unused;

	memset(message, 0, sizeof(message));
	head.args_bytes = (uint32_t)args;
	memcpy(message, &head, sizeof(head));
	return decode(message, sizeof(head) + args, &unused);
}

static struct wire_request with_field(uint8_t opcode, unsigned int field)
{
	struct wire_request r = { .opcode = opcode };

	r.form = field & FORM ? WIRE_FORM_LIST : 0;
	r.flags = field & FLAGS ? 1u << 31 : 0;
	r.device = field & DEVICE ? UINT64_C(1) << 63 : 0;
	r.object = field & OBJECT ? 1 : 0;
	r.count = field & COUNT ? 1u << 31 : 0;
	r.value[0] = field & VALUE0 ? UINT64_C(1) << 40 : 0;
	r.value[1] = field & VALUE1 ? 1 : 0;
	return r;
}

static void g2_a_field_without_use_must_be_zero(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		for (unsigned int f = 0; f < FIELDS; f++) {
			bool ok = (requests[i].fields >> f & 1) != 0;
			enum decode_result result = decode_head(
				with_field(requests[i].opcode, 1u << f),
				1u << f == ARGS ? 8 : 0);

			if (result != (ok ? DECODE_OK : DECODE_MALFORMED))
				fail_msg("opcode %u, field %u: %d",
					 requests[i].opcode, f, result);
		}
}

static void g2_all_fields_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		unsigned int all = requests[i].fields;

		assert_int_equal(
			decode_head(with_field(requests[i].opcode, all),
				    all & ARGS ? 24 : 0),
			DECODE_OK);
		assert_int_equal(decode_head(with_field(requests[i].opcode, 0),
					     0),
				 DECODE_OK);
	}
}

static void g2_reserved_bits(void **state)
{
	(void)state;
	for (unsigned int op = 0; op <= UINT8_MAX; op++) {
		struct wire_request r = { .opcode = (uint8_t)op };

		r.data_capacity = 1;
		assert_int_equal(decode_head(r, 0), DECODE_MALFORMED);
		r.data_capacity = 0;
		r.args_offset = 8;
		assert_int_equal(decode_head(r, 0), DECODE_MALFORMED);
		r.args_offset = 0;
		for (unsigned int bit = 1; bit < 8; bit++) {
			r.form = (uint8_t)(1u << bit);
			assert_int_equal(decode_head(r, 0), DECODE_MALFORMED);
		}
	}
}

static void unknown_opcodes(void **state)
{
	bool known[UINT8_MAX + 1] = { false };

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		known[requests[i].opcode] = true;
	for (unsigned int op = 0; op <= UINT8_MAX; op++) {
		struct wire_request r = { .opcode = (uint8_t)op };

		assert_int_equal(decode_head(r, 0),
				 known[op] ? DECODE_OK : DECODE_UNKNOWN);
		if (known[op])
			continue;
		/* Its fields may have a meaning in a later version. */
		r = with_field((uint8_t)op, 0xff);
		assert_int_equal(decode_head(r, 64), DECODE_UNKNOWN);
	}
}

static void acks_are_for_every_request(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct wire_request r = { .opcode = requests[i].opcode,
					  .fds_acked = UINT16_MAX,
					  .id = UINT64_MAX };

		assert_int_equal(decode_head(r, 0), DECODE_OK);
	}
}

static void g1_every_length(void **state)
{
	static uint64_t message[WIRE_REQUEST_BYTES_MAX / 8 + 64];
	struct wire_request head = { .opcode = WIRE_OP_DESTROY }, unused;
	size_t size = 0;

	(void)state;
	while (size < sizeof(message)) {
		enum decode_result expected =
			size < sizeof(head)	       ? DECODE_MALFORMED :
			size <= WIRE_REQUEST_BYTES_MAX ? DECODE_OK :
							 DECODE_TOO_LONG;

		head.args_bytes = (uint32_t)(size - sizeof(head));
		memcpy(message, &head, sizeof(head));
		assert_int_equal(decode(message, size, &unused), expected);
		/* A head that lies about what is behind it. */
		for (int lie = -1; lie <= 1; lie += 2) {
			if (expected != DECODE_OK)
				break;
			head.args_bytes =
				(uint32_t)(size - sizeof(head)) + (uint32_t)lie;
			memcpy(message, &head, sizeof(head));
			assert_int_equal(decode(message, size, &unused),
					 DECODE_MALFORMED);
		}
		size = size == 200 ? WIRE_REQUEST_BYTES_MAX - 20 : size + 1;
	}
	head.args_bytes = UINT32_MAX;
	memcpy(message, &head, sizeof(head));
	assert_int_equal(decode(message, sizeof(head), &unused),
			 DECODE_MALFORMED);
}

/* Each byte of a good message takes each value. */
static void g2_every_single_byte(void **state)
{
	uint8_t message[sizeof(struct wire_request) + 16] = { 0 };
	struct wire_request head = with_field(
		WIRE_OP_DESTROY, FORM | FLAGS | DEVICE | OBJECT | COUNT);
	struct wire_request got;
	unsigned int results[4] = { 0 };

	(void)state;
	head.args_bytes = 16;
	memcpy(message, &head, sizeof(head));
	for (size_t at = 0; at < sizeof(message); at++) {
		uint8_t saved = message[at];

		for (unsigned int value = 0; value <= UINT8_MAX; value++) {
			enum decode_result result;

			message[at] = (uint8_t)value;
			result = decode(message, sizeof(message), &got);
			results[result]++;
			/* What is accepted is without reserved bits. */
			if (result != DECODE_OK)
				continue;
			assert_int_equal(got.data_capacity, 0);
			assert_int_equal(got.args_offset, 0);
			assert_true(got.form <= WIRE_FORM_LIST);
		}
		message[at] = saved;
	}
	assert_true(results[DECODE_OK] > 0);
	assert_true(results[DECODE_MALFORMED] > 0);
	assert_true(results[DECODE_UNKNOWN] > 0);
	assert_int_equal(results[DECODE_TOO_LONG], 0);
}

static enum decode_result decode_by_ring(const struct wire_request *r)
{
	struct wire_request unused;
	const void *args;

	return decode_request(r, sizeof(*r), true, &unused, &args);
}

static void g3_what_needs_the_socket(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		uint8_t op = requests[i].opcode;
		bool socket = op == WIRE_OP_HELLO || op == WIRE_OP_RING ||
			      op == WIRE_OP_DOORBELL ||
			      op == WIRE_OP_FENCE_WATCH ||
			      op == WIRE_OP_FENCE_PAGE;
		struct wire_request r = { .opcode = op,
					  .form = WIRE_FORM_QUIET,
					  .data_capacity =
						  WIRE_DATA_BYTES_MAX };

		assert_int_equal(decode_by_ring(&r),
				 socket ? DECODE_MALFORMED : DECODE_OK);
		assert_int_equal(decode_head(r, 0), DECODE_MALFORMED);
	}
	for (uint32_t flags = 0; flags < 4; flags++) {
		struct wire_request r = { .opcode = WIRE_OP_MAP,
					  .flags = flags };

		assert_int_equal(decode_by_ring(&r), flags & WIRE_MAP_WANT_FD ?
							     DECODE_MALFORMED :
							     DECODE_OK);
		assert_int_equal(decode_head(r, 0), DECODE_OK);
	}
}

static void g3_room_for_the_data(void **state)
{
	static const struct {
		struct wire_request request;
		uint32_t bytes;
	} rows[] = {
		{ { .opcode = WIRE_OP_PING }, 0 },
		{ { .opcode = WIRE_OP_CREATE }, 0 },
		{ { .opcode = WIRE_OP_CREATE, .count = 3 }, 24 },
		{ { .opcode = WIRE_OP_CREATE, .count = 1024 }, 8192 },
		{ { .opcode = WIRE_OP_CREATE, .count = UINT32_MAX }, 8192 },
		{ { .opcode = WIRE_OP_OPEN, .count = 2, .object = 5 }, 21 },
		{ { .opcode = WIRE_OP_OPEN,
		    .count = UINT32_MAX,
		    .object = UINT64_MAX },
		  WIRE_DATA_BYTES_MAX },
		{ { .opcode = WIRE_OP_QUERY }, 8192 },
		{ { .opcode = WIRE_OP_STAT }, sizeof(struct wire_stat) },
		{ { .opcode = WIRE_OP_STATUS }, sizeof(struct wire_status) },
		{ { .opcode = WIRE_OP_CLIENTS }, WIRE_DATA_BYTES_MAX },
		{ { .opcode = WIRE_OP_RESOURCES }, WIRE_DATA_BYTES_MAX },
		{ { .opcode = WIRE_OP_LIMITS }, WIRE_DATA_BYTES_MAX },
		{ { .opcode = WIRE_OP_CHECK }, WIRE_CHECK_BYTES_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_request r = rows[i].request;

		assert_int_equal(wire_data_max(&r), rows[i].bytes);
		r.data_capacity = rows[i].bytes;
		assert_int_equal(decode_by_ring(&r), DECODE_OK);
		if (rows[i].bytes == 0)
			continue;
		r.data_capacity--;
		assert_int_equal(decode_by_ring(&r), DECODE_MALFORMED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g2_a_field_without_use_must_be_zero),
		cmocka_unit_test(g2_all_fields_at_once),
		cmocka_unit_test(g2_reserved_bits),
		cmocka_unit_test(unknown_opcodes),
		cmocka_unit_test(acks_are_for_every_request),
		cmocka_unit_test(g1_every_length),
		cmocka_unit_test(g2_every_single_byte),
		cmocka_unit_test(g3_what_needs_the_socket),
		cmocka_unit_test(g3_room_for_the_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
