/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table A, the first half of the order of checks: flags, shape, device handle
 * and device state. Nothing here gets as far as an entry of a list.
 */
#include "tests/rows/world.h"

#include <sys/mman.h>
#include <unistd.h>

/* A list that must not be read: touching it is a crash. */
static const struct tenure_allocation *unreadable(void)
{
	static void *page;

	if (!page)
		page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	return page;
}

static int destroy_on(const struct party *party, uint64_t device,
		      uint64_t resource, const struct tenure_allocation *list,
		      unsigned int count)
{
	struct party other = *party;

	other.device.value = device;
	return destroy(&other, resource, list, count, 0);
}

/* Every legal shape on a device handle that must be refused. */
static void assert_device_refused(const struct party *party, uint64_t device,
				  int status, enum tenure_reason reason)
{
	struct tenure_allocation own = make_allocation(party, PAGE);
	struct tenure_resource resource = make_resource(party, 0, 1, NULL);

	assert_refused(party, destroy_on(party, device, 0, NULL, 0), status,
		       reason);
	assert_refused(party, destroy_on(party, device, 0, &own, 0), status,
		       reason);
	assert_refused(party, destroy_on(party, device, 0, &own, 1), status,
		       reason);
	assert_refused(party,
		       destroy_on(party, device, resource.value, NULL, 0),
		       status, reason);
	assert_refused(party,
		       destroy_on(party, device, resource.value, NULL, 7),
		       status, reason);
	assert_ok(destroy_list(party, &own, 1));
	assert_ok(destroy_resource(party, resource.value));
}

static void a03_device_zero(void **state)
{
	struct party p = party_new(*state);

	assert_device_refused(&p, 0, -EINVAL, TENURE_REASON_DEVICE_INVALID);
	row_proved("A03");
}

static void a04_device_never_issued_or_stale(void **state)
{
	struct party p = party_new(*state);
	struct party second = party_second_device(&p);
	const uint64_t d = p.device.value;
	const uint64_t garbage[] = {
		1,
		UINT64_MAX,
		d + (UINT64_C(512) << 10), /* an index that nobody has */
		d ^ UINT64_C(1) << 32, /* the next or the previous generation */
		d ^ UINT64_C(7) << 29,
		d ^ UINT64_C(1) << 63,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(garbage); i++)
		assert_device_refused(&p, garbage[i], -EINVAL,
				      TENURE_REASON_DEVICE_INVALID);
	assert_ok(tenure_device_destroy(p.t, second.device));
	assert_device_refused(&p, second.device.value, -EINVAL,
			      TENURE_REASON_DEVICE_INVALID);
	/* The slot may be in use again; the old value still means nothing. */
	second = party_second_device(&p);
	assert_device_refused(&p, d ^ UINT64_C(1) << 32, -EINVAL,
			      TENURE_REASON_DEVICE_INVALID);
	assert_ok(tenure_device_destroy(p.t, second.device));
	row_proved("A04");
}

static void a05_device_of_another_type(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own = make_allocation(&p, PAGE);
	struct tenure_resource resource = make_resource(&p, 0, 1, NULL);
	const uint64_t wrong[] = { p.adapter.value, own.value, resource.value };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_device_refused(&p, wrong[i], -EINVAL,
				      TENURE_REASON_WRONG_TYPE);
	row_proved("A05");
}

/*
 * The secret of each connection makes the other client's value garbage here,
 * so that alone would prove nothing about the owner check. But the secret is
 * an XOR: with a handle of its own a client reaches the native value of any
 * other by flipping bits of the index. Among these values are the native
 * handles of the other client's device.
 */
static void a06_device_of_another_client(void **state)
{
	struct party p = party_new(*state);
	struct party other = party_new(*state);
	struct tenure_stat before = party_stat(&other);
	uint32_t segment, low;

	assert_device_refused(&p, other.device.value, -EINVAL,
			      TENURE_REASON_DEVICE_INVALID);
	for (segment = 0; segment < 16; segment++) {
		for (low = 0; low < 16; low++) {
			uint64_t flip = segment << 10 | low;

			if (flip == 0)
				continue;
			expect_refusal(destroy_on(&p, p.device.value ^ flip, 0,
						  NULL, 0),
				       -EINVAL, TENURE_REASON_DEVICE_INVALID,
				       -1, __FILE__, __LINE__);
		}
	}
	expect_same_stat(&before, &other, __FILE__, __LINE__);
	assert_ok(destroy(&other, 0, NULL, 0, 0));
	row_proved("A06");
}

static void a07_adapter_stopped(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own[2];
	struct tenure_resource resource = make_resource(&p, 0, 2, NULL);

	make_allocations(&p, 2, own);
	party_event(&p, WIRE_TEST_ADAPTER_STOP, p.adapter.value);
	expect_refusal(destroy_list(&p, own, 2), -ENODEV,
		       TENURE_REASON_DEVICE_REMOVED, -1, __FILE__, __LINE__);
	expect_refusal(destroy_resource(&p, resource.value), -ENODEV,
		       TENURE_REASON_DEVICE_REMOVED, -1, __FILE__, __LINE__);
	expect_refusal(destroy(&p, 0, NULL, 0, 0), -ENODEV,
		       TENURE_REASON_DEVICE_REMOVED, -1, __FILE__, __LINE__);
	/* The cascade reclaims what is no longer reachable. */
	assert_stores(p.world, 0);
	assert_int_equal(party_stat(&p).bytes, 0);
	assert_ok(tenure_device_destroy(p.t, p.device));
	party_event(&p, WIRE_TEST_ADAPTER_START, p.adapter.value);
	row_proved("A07");
}

/* Enough memory that giving it back takes a while. */
static uint64_t talker_large_allocation(struct talker *talker, uint64_t device)
{
	struct wire_request head = { .opcode = WIRE_OP_CREATE,
				     .device = device,
				     .count = 1 };
	struct wire_allocation size = { .size_bytes = 32 << 20 };
	struct raw_reply reply;
	uint64_t handle;
	void *memory;

	head.args_bytes = sizeof(size);
	assert_int_equal(talker_ask(talker, head, &size, sizeof(size), &reply),
			 0);
	memcpy(&handle, reply.data, sizeof(handle));
	head = (struct wire_request){ .opcode = WIRE_OP_MAP,
				      .flags = WIRE_MAP_WRITE |
					       WIRE_MAP_WANT_FD,
				      .device = device,
				      .object = handle };
	assert_int_equal(talker_ask(talker, head, NULL, 0, &reply), 0);
	memory = mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_POPULATE, reply.fd,
		      (off_t)reply.head.value[1]);
	assert_ptr_not_equal(memory, MAP_FAILED);
	munmap(memory, 32 << 20);
	close(reply.fd);
	return handle;
}

static void a07_device_in_teardown(void **state)
{
	struct talker *talker = talker_new(*state);
	uint64_t device = talker_device(talker, NULL);
	uint64_t handle = talker_large_allocation(talker, device);
	struct wire_request end = { .opcode = WIRE_OP_DEVICE_DESTROY,
				    .id = 71,
				    .device = device };
	struct wire_request list = { .opcode = WIRE_OP_DESTROY,
				     .id = 72,
				     .form = WIRE_FORM_LIST,
				     .device = device,
				     .count = 1,
				     .args_bytes = sizeof(handle) };
	struct wire_request nothing = { .opcode = WIRE_OP_DESTROY,
					.id = 73,
					.device = device };
	struct raw_reply reply;

	world_freeze(*state);
	talker_say(talker, &end, NULL, 0);
	talker_say(talker, &list, &handle, sizeof(handle));
	talker_say(talker, &nothing, NULL, 0);
	world_thaw(*state);
	talker_hear(talker, 72, &reply);
	assert_int_equal(reply.head.status, -ENODEV);
	assert_int_equal(reply.head.reason, TENURE_REASON_DEVICE_REMOVED);
	talker_hear(talker, 73, &reply);
	assert_int_equal(reply.head.status, -ENODEV);
	talker_hear(talker, 71, &reply);
	assert_int_equal(reply.head.status, 0);
	assert_stores(*state, 0);
	nothing.id = 0;
	assert_int_equal(talker_ask(talker, nothing, NULL, 0, &reply), -EINVAL);
	assert_int_equal(reply.head.reason, TENURE_REASON_DEVICE_INVALID);
	talker_free(talker);
	row_proved("A07");
}

static void a08_device_in_error(void **state)
{
	struct party p = party_new(*state);
	struct tenure_resource resource = make_resource(&p, 0, 3, NULL);
	struct tenure_allocation own[2];

	make_allocations(&p, 2, own);
	party_event(&p, WIRE_TEST_DEVICE_ERROR, p.device.value);
	assert_ok(destroy_list(&p, own, 2));
	assert_allocation_dead(&p, own[0]);
	assert_ok(destroy_resource(&p, resource.value));
	assert_resource_dead(&p, resource);
	assert_stores(p.world, 0);
	assert_ok(tenure_device_destroy(p.t, p.device));
	row_proved("A08");
}

static void a10_nothing(void **state)
{
	struct party p = party_new(*state);
	struct tenure_stat before = party_stat(&p);

	assert_ok(destroy(&p, 0, NULL, 0, 0));
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	row_proved("A10");
}

static void a11_empty_list(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own = make_allocation(&p, PAGE);
	struct tenure_stat before = party_stat(&p);

	assert_ok(destroy_list(&p, &own, 0));
	assert_ok(destroy_list(&p, unreadable(), 0));
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	assert_allocation_alive(&p, own);
	row_proved("A11");
}

static void a12_list_missing(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own = make_allocation(&p, PAGE);

	assert_refused(&p, destroy_list(&p, NULL, 1), -EINVAL,
		       TENURE_REASON_LIST_MISSING);
	assert_refused(&p, destroy_list(&p, NULL, 1024), -EINVAL,
		       TENURE_REASON_LIST_MISSING);
	assert_allocation_alive(&p, own);
	row_proved("A12");
}

/* A raw list: as many handles as there are, and a count that may lie. */
static int raw_list(const struct party *party,
		    const struct tenure_allocation *list, unsigned int there,
		    uint32_t count, enum tenure_reason *ret_reason)
{
	struct wire_request head = {
		.opcode = WIRE_OP_DESTROY,
		.form = WIRE_FORM_LIST,
		.device = party->device.value,
		.count = count,
		.args_bytes = (uint32_t)(there * sizeof(list[0])),
	};
	struct wire_reply reply =
		party_raw(party, &head, list, there * sizeof(list[0]));

	*ret_reason = (enum tenure_reason)reply.reason;
	return reply.status;
}

static void a13_list_truncated(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own[3];
	struct tenure_stat before;
	enum tenure_reason reason;
	unsigned int there;

	make_allocations(&p, 3, own);
	before = party_stat(&p);
	for (there = 0; there < 3; there++) {
		assert_int_equal(raw_list(&p, own, there, 3, &reason), -EINVAL);
		assert_int_equal(reason, TENURE_REASON_LIST_TRUNCATED);
	}
	assert_int_equal(raw_list(&p, own, 3, 1024, &reason), -EINVAL);
	assert_int_equal(reason, TENURE_REASON_LIST_TRUNCATED);
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	/* And one that the caller's own memory does not hold. */
	assert_int_equal(destroy_list(&p, unreadable(), 1), -EINVAL);
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	assert_ok(destroy_list(&p, own, 3));
	row_proved("A13");
}

static void a14_list_too_long(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own[1025];
	struct tenure_stat before;
	enum tenure_reason reason;

	make_allocations(&p, 1024, own);
	make_allocations(&p, 1, &own[1024]);
	assert_refused(&p, destroy_list(&p, own, 1025), -EINVAL,
		       TENURE_REASON_LIST_TOO_LONG);
	assert_refused(&p, destroy_list(&p, unreadable(), 1025), -EINVAL,
		       TENURE_REASON_LIST_TOO_LONG);
	assert_refused(&p, destroy_list(&p, own, UINT32_MAX), -EINVAL,
		       TENURE_REASON_LIST_TOO_LONG);
	before = party_stat(&p);
	assert_int_equal(raw_list(&p, own, 1025, 1025, &reason), -EINVAL);
	assert_int_equal(reason, TENURE_REASON_LIST_TOO_LONG);
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	/* The longest list that there can be is fine. */
	assert_ok(destroy_list(&p, own, 1024));
	assert_int_equal(party_stat(&p).allocations, 1);
	row_proved("A14");
}

static void a19_resource_and_list(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation child[2], own;
	struct tenure_resource resource = make_resource(&p, 0, 2, child);

	own = make_allocation(&p, PAGE);
	assert_refused(&p, destroy(&p, resource.value, child, 2, 0), -EINVAL,
		       TENURE_REASON_RESOURCE_AND_LIST);
	assert_refused(&p, destroy(&p, resource.value, &own, 1, 0), -EINVAL,
		       TENURE_REASON_RESOURCE_AND_LIST);
	assert_refused(&p, destroy(&p, resource.value, child, 5000, 0), -EINVAL,
		       TENURE_REASON_RESOURCE_AND_LIST);
	assert_allocation_alive(&p, child[1]);
	assert_allocation_alive(&p, own);
	assert_ok(destroy_resource(&p, resource.value));
	row_proved("A19");
}

static void a74_reserved_flags(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own = make_allocation(&p, PAGE);
	unsigned int bit;

	for (bit = 2; bit < 31; bit++) {
		assert_refused(&p, destroy(&p, 0, &own, 1, 1u << bit), -EINVAL,
			       TENURE_REASON_FLAGS_RESERVED);
		assert_refused(&p, destroy(&p, 0, &own, 1, 3 | 1u << bit),
			       -EINVAL, TENURE_REASON_FLAGS_RESERVED);
		assert_refused(&p, destroy(&p, 0, NULL, 0, 1u << bit), -EINVAL,
			       TENURE_REASON_FLAGS_RESERVED);
	}
	assert_allocation_alive(&p, own);
	row_proved("A74");
}

static void a75_system_use_only(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own = make_allocation(&p, PAGE);
	struct tenure_resource resource = make_resource(&p, 0, 1, NULL);
	const unsigned int flag = TENURE_DESTROY_SYSTEM_USE_ONLY;

	assert_refused(&p, destroy(&p, 0, &own, 1, flag), -EINVAL,
		       TENURE_REASON_FLAGS_SYSTEM_ONLY);
	assert_refused(&p, destroy(&p, 0, &own, 1, flag | 3), -EINVAL,
		       TENURE_REASON_FLAGS_SYSTEM_ONLY);
	assert_refused(&p, destroy(&p, resource.value, NULL, 0, flag), -EINVAL,
		       TENURE_REASON_FLAGS_SYSTEM_ONLY);
	assert_refused(&p, destroy(&p, 0, NULL, 0, flag), -EINVAL,
		       TENURE_REASON_FLAGS_SYSTEM_ONLY);
	row_proved("A75");
}

static void a76_nothing_with_legal_flags(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own = make_allocation(&p, PAGE);
	struct tenure_stat before = party_stat(&p);
	unsigned int flags;

	for (flags = 0; flags < 4; flags++) {
		assert_ok(destroy(&p, 0, NULL, 0, flags));
		assert_ok(destroy(&p, 0, &own, 0, flags));
	}
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	row_proved("A76");
}

/* Two rules broken at once: the earlier one in the order answers. */
static void order_of_checks(void **state)
{
	struct party p = party_new(*state);
	struct party bad = p;
	struct tenure_allocation entry = { 0 };

	bad.device.value = 0;
	assert_refused(&p, destroy(&bad, 99, &entry, 1, 4), -EINVAL,
		       TENURE_REASON_FLAGS_RESERVED);
	assert_refused(&p, destroy(&bad, 99, &entry, 1, 0), -EINVAL,
		       TENURE_REASON_RESOURCE_AND_LIST);
	assert_refused(&p, destroy(&bad, 0, NULL, 1, 0), -EINVAL,
		       TENURE_REASON_LIST_MISSING);
	assert_refused(&p, destroy(&bad, 0, &entry, 2000, 0), -EINVAL,
		       TENURE_REASON_LIST_TOO_LONG);
	assert_refused(&p, destroy(&bad, 99, NULL, 0, 0), -EINVAL,
		       TENURE_REASON_DEVICE_INVALID);
	assert_refused(&p, destroy(&bad, 0, &entry, 1, 0), -EINVAL,
		       TENURE_REASON_DEVICE_INVALID);
	party_event(&p, WIRE_TEST_ADAPTER_STOP, p.adapter.value);
	assert_refused(&p, destroy(&p, 99, NULL, 0, 0), -ENODEV,
		       TENURE_REASON_DEVICE_REMOVED);
	assert_refused(&p, destroy(&p, 0, &entry, 1, 0), -ENODEV,
		       TENURE_REASON_DEVICE_REMOVED);
	assert_refused(&p, destroy(&p, 99, &entry, 1, 0), -EINVAL,
		       TENURE_REASON_RESOURCE_AND_LIST);
	assert_ok(tenure_device_destroy(p.t, p.device));
}

static const struct CMUnitTest tests[] = {
	world_test(a03_device_zero),
	world_test(a04_device_never_issued_or_stale),
	world_test(a05_device_of_another_type),
	world_test(a06_device_of_another_client),
	world_test(a07_adapter_stopped),
	world_test(a07_device_in_teardown),
	world_test(a08_device_in_error),
	world_test(a10_nothing),
	world_test(a11_empty_list),
	world_test(a12_list_missing),
	world_test(a13_list_truncated),
	world_test(a14_list_too_long),
	world_test(a19_resource_and_list),
	world_test(a74_reserved_flags),
	world_test(a75_system_use_only),
	world_test(a76_nothing_with_legal_flags),
	world_test(order_of_checks),
};

WORLD_MAIN("destroy_shape")
