/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hierarchy and cascade: H20 to H29 of docs/DESTROY.md.
 */
#include "tests/rows/world.h"

#include "tests/support/inproc.h"

static int map_read(const struct party *party,
		    struct tenure_allocation allocation)
{
	void *pointer;
	size_t size;

	return tenure_map(party->t, party->device, allocation, TENURE_MAP_READ,
			  &pointer, &size);
}

static void h20_memory_outlives_its_device(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_allocation child[1], opened[1];
	struct tenure_resource resource =
		make_resource(&p, TENURE_CREATE_SHARED, 1, child);
	struct tenure_token token = make_token(&p, resource, TENURE_RIGHT_READ);

	open_token(&reader, &token, 0, 1, opened);
	assert_ok(tenure_device_destroy(p.t, p.device));
	assert_allocation_alive(&reader, opened[0]);
	assert_stores(*state, 1);
	/* The token is the client's, not the device's. */
	open_token(&reader, &token, 0, 1, opened);
	assert_ok(tenure_token_revoke(p.t, &token));
	assert_ok(tenure_device_destroy(reader.t, reader.device));
	assert_stores(*state, 0);
	row_proved("H20");
}

static void h21_device_owned_allocations(void **state)
{
	struct party p = party_new(*state);
	struct party second = party_second_device(&p);
	struct tenure_stat before = party_stat(&p);
	struct tenure_allocation list[3], other = make_allocation(&second, 1);

	make_allocations(&p, 3, list);
	assert_int_equal(party_stat(&p).resources, before.resources);
	assert_int_equal(party_stat(&p).allocations, 4);
	assert_ok(tenure_device_destroy(p.t, p.device));
	assert_int_equal(party_stat(&p).allocations, 1);
	assert_allocation_alive(&second, other);
	assert_stores(*state, 1);
	row_proved("H21");
}

/* Every call on a device, all refused with the same words. */
static void assert_every_call(const struct party *p, int status,
			      enum tenure_reason reason,
			      struct tenure_resource resource,
			      struct tenure_allocation allocation,
			      const struct tenure_token *token)
{
	struct tenure_allocation made[1];
	struct tenure_resource opened;
	struct tenure_token fresh;
	size_t size = PAGE;
	int line = __LINE__;

	expect_refusal(tenure_allocation_create(p->t, p->device, &size, 1,
						made),
		       status, reason, -1, __FILE__, line);
	expect_refusal(tenure_resource_create(p->t, p->device, 0, &size, 1,
					      NULL, 0, &opened, made),
		       status, reason, -1, __FILE__, line + 1);
	expect_refusal(tenure_resource_add(p->t, p->device, resource, &size, 1,
					   made),
		       status, reason, -1, __FILE__, line + 2);
	expect_refusal(destroy_list(p, &allocation, 1), status, reason, -1,
		       __FILE__, line + 3);
	expect_refusal(tenure_resource_destroy(p->t, p->device, resource),
		       status, reason, -1, __FILE__, line + 4);
	expect_refusal(tenure_resource_share(p->t, p->device, resource,
					     TENURE_RIGHT_READ, &fresh),
		       status, reason, -1, __FILE__, line + 5);
	expect_refusal(tenure_resource_open(p->t, p->device, token, 0, 1, NULL,
					    0, &opened, made),
		       status, reason, -1, __FILE__, line + 6);
	expect_refusal(map_read(p, allocation), status, reason, -1, __FILE__,
		       line + 7);
	expect_refusal(tenure_unmap(p->t, p->device, allocation), status,
		       reason, -1, __FILE__, line + 8);
}

static void h22_removed_then_gone(void **state)
{
	struct party p = party_new(*state), other = party_new(*state);
	struct tenure_allocation own = make_allocation(&p, PAGE);
	struct tenure_resource resource = make_resource(&p, 0, 1, NULL);
	struct tenure_resource shared =
		make_resource(&other, TENURE_CREATE_SHARED, 1, NULL);
	struct tenure_token token =
		make_token(&other, shared, TENURE_RIGHT_READ);

	party_event(&p, WIRE_TEST_ADAPTER_STOP, p.adapter.value);
	assert_every_call(&p, -ENODEV, TENURE_REASON_DEVICE_REMOVED, resource,
			  own, &token);
	assert_ok(tenure_device_destroy(p.t, p.device));
	assert_every_call(&p, -EINVAL, TENURE_REASON_DEVICE_INVALID, resource,
			  own, &token);
	assert_refused(&p, tenure_device_destroy(p.t, p.device), -EINVAL,
		       TENURE_REASON_DEVICE_INVALID);
	row_proved("H22");
}

/* Two requests in flight: the destroy of the device and a create on it. */
static void h22_create_during_teardown(void **state)
{
	struct talker *talker = talker_new(*state);
	uint64_t device = talker_device(talker, NULL);
	struct wire_allocation sizes[512];
	struct wire_request create = { .opcode = WIRE_OP_CREATE,
				       .device = device,
				       .count = 512,
				       .args_bytes = sizeof(sizes) };
	struct wire_request end = { .opcode = WIRE_OP_DEVICE_DESTROY,
				    .id = 1,
				    .device = device };
	struct raw_reply reply;
	unsigned int i;

	for (i = 0; i < 512; i++)
		sizes[i] = (struct wire_allocation){ .size_bytes = PAGE };
	for (i = 0; i < 16; i++)
		assert_int_equal(talker_ask(talker, create, sizes,
					    sizeof(sizes), NULL),
				 0);
	create.id = 2;
	world_freeze(*state);
	talker_say(talker, &end, NULL, 0);
	talker_say(talker, &create, sizes, sizeof(sizes));
	world_thaw(*state);
	talker_hear(talker, 2, &reply);
	assert_int_equal(reply.head.status, -ENODEV);
	assert_int_equal(reply.head.reason, TENURE_REASON_DEVICE_REMOVED);
	talker_hear(talker, 1, &reply);
	assert_int_equal(reply.head.status, 0);
	assert_stores(*state, 0);
	talker_free(talker);
	row_proved("H22");
}

static void h23_device_destroy_returns_when_all_is_gone(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own[4], child[4];
	struct wire_status status;
	struct tenure_stat stat;
	void *pointer;
	size_t size;

	make_allocations(&p, 4, own);
	make_resource(&p, 0, 4, child);
	make_resource(&p, TENURE_CREATE_SHARED, 4, NULL);
	assert_ok(tenure_map(p.t, p.device, own[1], TENURE_MAP_READ, &pointer,
			     &size));
	assert_ok(tenure_map(p.t, p.device, child[1], TENURE_MAP_READ, &pointer,
			     &size));
	assert_ok(destroy_list(&p, own, 1));
	/* No waiting here: it is gone when the call returns. In process
	 * nothing goes on then that the call does not wait for. */
	if (p.world->inproc)
		inproc_pump_by_itself(p.world->inproc, false);
	assert_ok(tenure_device_destroy(p.t, p.device));
	assert_ok(tenure_stat(p.t, &stat));
	assert_int_equal(stat.retired, 0);
	assert_int_equal(stat.bytes, p.ring_bytes);
	assert_int_equal(stat.allocations, 0);
	assert_int_equal(stat.resources, 0);
	assert_int_equal(stat.devices, 0);
	world_status(p.world, &status);
	assert_int_equal(status.stores, 0);
	assert_int_equal(status.bytes, 0);
	if (p.world->inproc)
		inproc_pump_by_itself(p.world->inproc, true);
	row_proved("H23");
	row_proved("B04");
}

static void h24_end_of_a_client(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_allocation child[1], opened[1], ignored[1];
	struct tenure_resource resource =
		make_resource(&p, TENURE_CREATE_SHARED, 1, child);
	struct tenure_token token = make_token(&p, resource, TENURE_RIGHT_READ);
	struct tenure_resource again;

	party_second_device(&p);
	make_resource(&p, 0, 7, NULL);
	make_allocation(&p, 10 * PAGE);
	open_token(&reader, &token, 0, 1, opened);
	party_end(&p);
	assert_stores(*state, 1);
	assert_allocation_alive(&reader, opened[0]);
	assert_refused(&reader,
		       tenure_resource_open(reader.t, reader.device, &token, 0,
					    1, NULL, 0, &again, ignored),
		       -EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	party_end(&reader);
	assert_stores(*state, 0);
	row_proved("H24");
}

static void h25_last_adapter_close(void **state)
{
	struct party p = party_new(*state);
	struct party second = party_second_device(&p);
	struct tenure_allocation own = make_allocation(&p, PAGE);
	struct tenure_adapter again;
	struct tenure_stat stat;

	make_resource(&second, 0, 3, NULL);
	assert_ok(tenure_adapter_open(p.t, "system", &again));
	assert_ok(tenure_adapter_close(p.t, p.adapter));
	assert_allocation_alive(&p, own);
	assert_ok(tenure_adapter_close(p.t, again));
	assert_ok(tenure_stat(p.t, &stat));
	assert_int_equal(stat.devices, 0);
	assert_int_equal(stat.handles, 0);
	assert_int_equal(stat.bytes, p.ring_bytes);
	expect_refusal(destroy_list(&p, &own, 1), -EINVAL,
		       TENURE_REASON_DEVICE_INVALID, -1, __FILE__, __LINE__);
	expect_refusal(tenure_device_destroy(p.t, second.device), -EINVAL,
		       TENURE_REASON_DEVICE_INVALID, -1, __FILE__, __LINE__);
	expect_refusal(tenure_device_create(p.t, p.adapter, &p.device), -EINVAL,
		       TENURE_REASON_ADAPTER_INVALID, -1, __FILE__, __LINE__);
	row_proved("H25");
}

static void h26_closing_what_is_no_open_adapter(void **state)
{
	struct party p = party_new(*state);
	const uint64_t wrong[] = { 0, 1, UINT64_MAX,
				   p.adapter.value ^ UINT64_C(1) << 32 };
	struct tenure_adapter again;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_refused(&p,
			       tenure_adapter_close(
				       p.t,
				       (struct tenure_adapter){ wrong[i] }),
			       -EINVAL, TENURE_REASON_ADAPTER_INVALID);
	assert_ok(tenure_adapter_open(p.t, NULL, &again));
	assert_ok(tenure_adapter_close(p.t, again));
	assert_ok(tenure_adapter_close(p.t, p.adapter));
	assert_refused(&p, tenure_adapter_close(p.t, p.adapter), -EINVAL,
		       TENURE_REASON_ADAPTER_INVALID);
	row_proved("H26");
}

/* Where a handle can stand in a request. */
enum place {
	PLACE_DEVICE,
	PLACE_RESOURCE,
	PLACE_ENTRY,
	PLACE_MAP,
	PLACE_ADAPTER,
	PLACES,
};

static struct wire_reply probe(const struct party *p, enum place place,
			       uint64_t value)
{
	struct wire_request head = { .id = 77 };

	head.opcode = place == PLACE_MAP     ? WIRE_OP_MAP :
		      place == PLACE_ADAPTER ? WIRE_OP_DEVICE_CREATE :
					       WIRE_OP_DESTROY;
	if (place == PLACE_DEVICE)
		head.device = value;
	else if (place != PLACE_ADAPTER)
		head.device = p->device.value;
	if (place == PLACE_ENTRY) {
		head.form = WIRE_FORM_LIST;
		head.count = 1;
		head.args_bytes = sizeof(value);
	} else if (place != PLACE_DEVICE) {
		head.object = value;
	}
	return party_raw(p, &head, &value, head.args_bytes);
}

static void h27_no_oracle(void **state)
{
	struct party p = party_new(*state), other = party_new(*state);
	struct party gone = party_second_device(&p);
	struct tenure_allocation stale = make_allocation(&p, PAGE);
	struct tenure_resource live = make_resource(&p, 0, 1, NULL);
	uint64_t values[128];
	unsigned int n = 0, i, place;

	assert_ok(tenure_device_destroy(p.t, gone.device));
	assert_ok(destroy_list(&p, &stale, 1));
	party_stat(&p);
	values[n++] = gone.device.value; /* stale */
	values[n++] = stale.value;
	values[n++] = other.device.value; /* foreign, by an accomplice */
	values[n++] = make_allocation(&other, PAGE).value;
	values[n++] = make_resource(&other, 0, 1, NULL).value;
	values[n++] = 1; /* garbage */
	values[n++] = UINT64_MAX;
	/* Foreign ones by their native handles, see A06. */
	for (i = 0; i < 96; i++)
		values[n++] = live.value ^ ((2 + i / 8) << 10 | i % 8);
	for (place = 0; place < PLACES; place++) {
		struct wire_reply first = probe(&p, place, values[0]);

		assert_int_equal(first.status, -EINVAL);
		for (i = 1; i < n; i++) {
			struct wire_reply reply = probe(&p, place, values[i]);

			assert_memory_equal(&first, &reply, sizeof(reply));
		}
	}
	row_proved("H27");
}

static void h28_stopped_adapter(void **state)
{
	struct party p = party_new(*state), late = party_new(*state);
	struct tenure_adapter adapter;
	struct tenure_device device;

	make_allocation(&p, PAGE);
	assert_refused(&p, tenure_adapter_open(p.t, "no such", &adapter),
		       -ENODEV, TENURE_REASON_ADAPTER_UNKNOWN);
	assert_refused(&p, tenure_adapter_open(p.t, "", &adapter), -ENODEV,
		       TENURE_REASON_ADAPTER_UNKNOWN);
	party_event(&p, WIRE_TEST_ADAPTER_STOP, p.adapter.value);
	assert_refused(&late, tenure_adapter_open(late.t, NULL, &adapter),
		       -ENODEV, TENURE_REASON_ADAPTER_STOPPED);
	assert_refused(&late,
		       tenure_device_create(late.t, late.adapter, &device),
		       -ENODEV, TENURE_REASON_ADAPTER_STOPPED);
	assert_stores(*state, 0);
	/* Its memory has gone; the device stays ENODEV until destroyed. */
	assert_refused(&p, destroy(&p, 0, NULL, 0, 0), -ENODEV,
		       TENURE_REASON_DEVICE_REMOVED);
	party_event(&p, WIRE_TEST_ADAPTER_START, p.adapter.value);
	assert_refused(&p, destroy(&p, 0, NULL, 0, 0), -ENODEV,
		       TENURE_REASON_DEVICE_REMOVED);
	assert_ok(tenure_device_destroy(p.t, p.device));
	assert_refused(&p, destroy(&p, 0, NULL, 0, 0), -EINVAL,
		       TENURE_REASON_DEVICE_INVALID);
	assert_ok(tenure_device_create(p.t, p.adapter, &p.device));
	assert_allocation_alive(&p, make_allocation(&p, PAGE));
	row_proved("H28");
}

/* Fills memory, has it given back in some way, and looks at new memory. */
static void assert_fresh_memory_is_zero(const struct party *p)
{
	struct tenure_allocation own = make_allocation(p, 16 * PAGE);
	const unsigned char *bytes;
	void *pointer;
	size_t size, i;

	assert_ok(tenure_map(p->t, p->device, own,
			     TENURE_MAP_READ | TENURE_MAP_WRITE, &pointer,
			     &size));
	bytes = pointer;
	for (i = 0; i < size; i++)
		assert_int_equal(bytes[i], 0);
	memset(pointer, 0xee, size);
}

static void h29_memory_is_zero(void **state)
{
	struct party p = party_new(*state), second;
	unsigned int i;

	for (i = 0; i < 3; i++)
		assert_fresh_memory_is_zero(&p);
	assert_ok(tenure_device_destroy(p.t, p.device));
	assert_ok(tenure_device_create(p.t, p.adapter, &p.device));
	assert_fresh_memory_is_zero(&p);
	party_end(&p);
	assert_stores(*state, 0);
	second = party_new(*state);
	assert_fresh_memory_is_zero(&second);
	row_proved("H29");
}

static const struct CMUnitTest tests[] = {
	world_test(h20_memory_outlives_its_device),
	world_test(h21_device_owned_allocations),
	world_test(h22_removed_then_gone),
	world_test(h22_create_during_teardown),
	world_test(h23_device_destroy_returns_when_all_is_gone),
	world_test(h24_end_of_a_client),
	world_test(h25_last_adapter_close),
	world_test(h26_closing_what_is_no_open_adapter),
	world_test(h27_no_oracle),
	world_test(h28_stopped_adapter),
	world_test(h29_memory_is_zero),
};

WORLD_MAIN("hierarchy")
