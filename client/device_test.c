/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adapters and devices: names on the wire, and the end of a device or an
 * adapter unmaps what was on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/world_test.h"

static void *map_first(struct world *w)
{
	void *pointer = NULL;
	size_t size;

	assert_int_equal(tenure_map(w->connection, w->device, w->allocations[0],
				    TENURE_MAP_READ, &pointer, &size),
			 0);
	assert_true(world_is_mapped(pointer));
	return pointer;
}

static void open_named(struct world *w, const char *name, const char *sent)
{
	struct tenure_adapter adapter;
	char bytes[16] = { 0 };

	memcpy(bytes, sent, strlen(sent));
	assert_int_equal(tenure_adapter_open(w->connection, name, &adapter), 0);
	assert_memory_equal(w->fake->request.value, bytes, sizeof(bytes));
}

static void test_names(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	open_named(&w, NULL, "system");
	open_named(&w, "other", "other");
	open_named(&w, "123456789012345", "123456789012345");
	open_named(&w, "1234567890123456", "");
	open_named(&w, "", "");
	world_close(&w);
}

static void test_device_destroy_unmaps(void **state)
{
	struct world w;
	void *pointer;

	(void)state;
	world_open(&w);
	pointer = map_first(&w);
	w.fake->refuse_opcode = WIRE_OP_DEVICE_DESTROY;
	w.fake->refuse_status = -ENODEV;
	assert_int_equal(tenure_device_destroy(w.connection, w.device),
			 -ENODEV);
	assert_true(world_is_mapped(pointer));
	assert_int_equal(tenure_device_destroy(w.connection, w.device), 0);
	assert_false(world_is_mapped(pointer));
	world_close(&w);
}

static void test_last_close_unmaps(void **state)
{
	struct tenure_adapter again;
	struct world w;
	void *pointer;

	(void)state;
	world_open(&w);
	pointer = map_first(&w);
	assert_int_equal(tenure_adapter_open(w.connection, "system", &again),
			 0);
	assert_int_equal(again.value, w.adapter.value);
	assert_int_equal(tenure_adapter_close(w.connection, again), 0);
	assert_true(world_is_mapped(pointer));
	assert_int_equal(tenure_adapter_close(w.connection, w.adapter), 0);
	assert_false(world_is_mapped(pointer));
	world_close(&w);
}

static int handle_is_zero(void *context, struct exchange *x)
{
	(void)context;
	x->reply.value[0] = 0;
	return 0;
}

static int handle_is_known(void *context, struct exchange *x)
{
	struct world *w = context;

	x->reply.value[0] = w->device.value;
	return 0;
}

static void create_device(int (*lie)(void *, struct exchange *))
{
	struct tenure_device device = { 7 };
	struct world w;

	world_open(&w);
	world_lie(&w, lie);
	assert_int_equal(tenure_device_create(w.connection, w.adapter, &device),
			 -EPROTO);
	assert_int_equal(device.value, 7);
	world_close(&w);
}

static void test_lies(void **state)
{
	struct tenure_adapter adapter = { 7 };
	struct world w;

	(void)state;
	create_device(handle_is_zero);
	create_device(handle_is_known);
	world_open(&w);
	world_lie(&w, handle_is_zero);
	assert_int_equal(tenure_adapter_open(w.connection, NULL, &adapter),
			 -EPROTO);
	assert_int_equal(adapter.value, 7);
	world_close(&w);
}

static void test_null(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	w.fake->n_requests = 0;
	assert_int_equal(tenure_adapter_open(w.connection, NULL, NULL),
			 -EINVAL);
	assert_int_equal(tenure_device_create(w.connection, w.adapter, NULL),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_ARGUMENT);
	assert_int_equal(w.fake->n_requests, 0);
	world_close(&w);
}

static void *create_one(void *argument)
{
	struct world *w = argument;
	struct tenure_device device = { 0 };

	assert_int_equal(
		tenure_device_create(w->connection, w->adapter, &device), 0);
	assert_int_not_equal(device.value, 0);
	return NULL;
}

/* Its adapter is closed while the answer is on its way: it is not entered,
 * unless others have the adapter open. */
static void create_while_closing(unsigned int opens)
{
	struct tenure_adapter again;
	struct world w;
	pthread_t thread;

	world_open_ring(&w);
	for (unsigned int i = 1; i < opens; i++)
		assert_int_equal(
			tenure_adapter_open(w.connection, NULL, &again), 0);
	fake_ring_delay(w.ring, WIRE_OP_DEVICE_CREATE);
	assert_int_equal(pthread_create(&thread, NULL, create_one, &w), 0);
	while (fake_ring_kept(w.ring) == 0)
		usleep(100);
	assert_int_equal(tenure_adapter_close(w.connection, w.adapter), 0);
	fake_ring_late(w.ring);
	pthread_join(thread, NULL);
	assert_int_equal(w.connection->ledger.devices.count, opens > 1 ? 2 : 0);
	world_close(&w);
}

static void test_create_while_closing(void **state)
{
	(void)state;
	create_while_closing(1);
	create_while_closing(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_device_destroy_unmaps),
		cmocka_unit_test(test_last_close_unmaps),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_create_while_closing),
	};

	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
