/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources: what goes on the wire for every shape of a destroy, what a
 * destroy unmaps, and the lies of a daemon about births.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/world_test.h"

static const struct tenure_allocation many[2000];

struct shape {
	uint64_t resource;
	const struct tenure_allocation *list;
	unsigned int count, flags;
	/* what the daemon must see */
	uint8_t form;
	uint32_t args_bytes;
};

static int refuse_it(void *context, struct exchange *x)
{
	uint32_t *args_bytes = context;

	*args_bytes = (uint32_t)x->args_bytes;
	x->reply.status = -EINVAL;
	x->reply.reason = TENURE_REASON_ENTRY_ZERO;
	x->reply.index = 1;
	return 0;
}

/* The daemon sees what the caller passed, and judges. */
static void test_shapes_are_not_judged(void **state)
{
	const struct shape shapes[] = {
		{ 0, NULL, 0, 0, 0, 0 },
		{ 0, many, 0, 0, WIRE_FORM_LIST, 0 },
		{ 0, NULL, 5, 0, 0, 0 },
		{ 0, many, 2, 0, WIRE_FORM_LIST, 16 },
		{ 0, many, 1024, 0, WIRE_FORM_LIST, 8192 },
		{ 0, many, 1025, 0, WIRE_FORM_LIST, 0 },
		{ 0, many, 2000, 0, WIRE_FORM_LIST, 0 },
		{ 0, many, UINT32_MAX, 0, WIRE_FORM_LIST, 0 },
		{ 9, NULL, 0, 0, 0, 0 },
		{ 9, NULL, 5, 0, 0, 0 },
		{ 9, many, 0, 0, WIRE_FORM_LIST, 0 },
		{ 9, many, 5, 0, WIRE_FORM_LIST, 40 },
		{ 0, NULL, 0, 0xffffffff, 0, 0 },
		{ 9, NULL, 0, TENURE_DESTROY_SYSTEM_USE_ONLY, 0, 0 },
	};
	struct tenure_refusal refusal;
	uint32_t args_bytes;
	struct world w;

	(void)state;
	world_open(&w);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		const struct shape *s = &shapes[i];
		const struct tenure_destroy destroy = {
			.device = { 77 },
			.resource = { s->resource },
			.list = s->list,
			.count = s->count,
			.flags = s->flags,
		};

		w.fake->refuse_opcode = WIRE_OP_DESTROY;
		world_lie(&w, refuse_it);
		w.fake->lie_context = &args_bytes;
		assert_int_equal(tenure_destroy(w.connection, &destroy),
				 -EINVAL);
		tenure_last_refusal(&refusal);
		assert_int_equal(refusal.reason, TENURE_REASON_ENTRY_ZERO);
		assert_int_equal(refusal.index, 1);
		assert_int_equal(args_bytes, s->args_bytes);
		assert_int_equal(w.fake->request.form, s->form);
		assert_int_equal(w.fake->request.count, s->count);
		assert_int_equal(w.fake->request.flags, s->flags);
		assert_int_equal(w.fake->request.object, s->resource);
		assert_int_equal(w.fake->request.device, 77);
	}
	world_close(&w);
}

/* A list that was not sent cannot have been destroyed. */
static void test_too_long_cannot_succeed(void **state)
{
	const struct tenure_destroy destroy = { .list = many, .count = 1025 };
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_destroy(w.connection, &destroy), -EPROTO);
	world_close(&w);
}

static void *map(struct world *w, int which)
{
	void *pointer = NULL;
	size_t size;

	assert_int_equal(tenure_map(w->connection, w->device,
				    w->allocations[which], TENURE_MAP_WRITE,
				    &pointer, &size),
			 0);
	return pointer;
}

/* A61 */
static void test_resource_destroy_unmaps(void **state)
{
	struct world w;
	void *a, *b;

	(void)state;
	world_open(&w);
	a = map(&w, 0);
	b = map(&w, 1);
	w.fake->refuse_opcode = WIRE_OP_DESTROY;
	w.fake->refuse_status = -EINVAL;
	assert_int_equal(tenure_resource_destroy(w.connection, w.device,
						 w.resource),
			 -EINVAL);
	assert_true(world_is_mapped(a) && world_is_mapped(b));
	assert_int_equal(
		tenure_resource_destroy(w.connection, w.device, w.resource), 0);
	assert_false(world_is_mapped(a) || world_is_mapped(b));
	world_close(&w);
}

/* A61; the list itself lies in the memory that goes. */
static void test_list_destroy_unmaps(void **state)
{
	const size_t sizes[] = { 1, 1, 1 };
	struct tenure_allocation allocations[3], *list;
	struct tenure_destroy destroy = { .count = 2 };
	struct world w;
	size_t size;
	void *last;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_allocation_create(w.connection, w.device, sizes,
						  3, allocations),
			 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(tenure_map(w.connection, w.device,
					    allocations[i], TENURE_MAP_WRITE,
					    i ? &last : (void **)&list, &size),
				 0);
	memcpy(list, allocations, sizeof(allocations));
	destroy.device = w.device;
	destroy.list = list;
	assert_int_equal(tenure_destroy(w.connection, &destroy), 0);
	assert_true(world_is_mapped(last));
	assert_int_equal(tenure_allocation_destroy(w.connection, w.device,
						   allocations[2], 0),
			 0);
	assert_false(world_is_mapped(last) || world_is_mapped(list));
	world_close(&w);
}

/* What was added goes with the resource. */
static void test_added(void **state)
{
	const size_t size = 1;
	struct tenure_allocation allocation;
	struct tenure_resource resource;
	size_t mapped_size;
	struct world w;
	void *pointer;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_resource_create(w.connection, w.device, 0,
						&size, 1, NULL, 0, &resource,
						&allocation),
			 0);
	assert_int_equal(w.fake->request.flags, TENURE_CREATE_RESOURCE);
	assert_int_equal(tenure_resource_add(w.connection, w.device, resource,
					     &size, 1, &allocation),
			 0);
	assert_int_equal(w.fake->request.object, resource.value);
	assert_int_equal(w.fake->request.flags, 0);
	assert_int_equal(tenure_map(w.connection, w.device, allocation,
				    TENURE_MAP_READ, &pointer, &mapped_size),
			 0);
	assert_int_equal(
		tenure_resource_destroy(w.connection, w.device, resource), 0);
	assert_false(world_is_mapped(pointer));
	world_close(&w);
}

struct adder {
	pthread_t thread;
	struct world *world;
	struct tenure_allocation allocation;
	int status;
};

static void *add(void *argument)
{
	struct adder *adder = argument;
	struct world *w = adder->world;
	const size_t size = 1;

	adder->status = tenure_resource_add(w->connection, w->device,
					    w->resource, &size, 1,
					    &adder->allocation);
	return NULL;
}

/* Another thread adds, and the daemon's yes is on its way until adder_join. */
static void adder_start(struct adder *adder, struct world *w)
{
	*adder = (struct adder){ .world = w, .status = 1 };
	world_open_ring(w);
	fake_ring_delay(w->ring, WIRE_OP_CREATE);
	assert_int_equal(pthread_create(&adder->thread, NULL, add, adder), 0);
	while (fake_ring_kept(w->ring) == 0)
		usleep(100);
}

static void adder_join(struct adder *adder)
{
	fake_ring_delay(adder->world->ring, 0);
	fake_ring_late(adder->world->ring);
	pthread_join(adder->thread, NULL);
	assert_int_equal(adder->status, 0);
}

/*
 * The last allocations of a resource go while another is being added: that one
 * lives, and goes with the resource, its work known to the daemon (A61, B01).
 */
static void test_added_while_emptied(void **state)
{
	struct tenure_context context;
	struct adder adder;
	struct world w;
	void *pointer;
	size_t size;

	(void)state;
	adder_start(&adder, &w);
	for (int i = 0; i < 2; i++)
		assert_int_equal(tenure_allocation_destroy(w.connection,
							   w.device,
							   w.allocations[i], 0),
				 0);
	adder_join(&adder);
	assert_int_equal(
		tenure_context_create(w.connection, w.device, &context), 0);
	assert_int_equal(tenure_map(w.connection, w.device, adder.allocation,
				    TENURE_MAP_READ, &pointer, &size),
			 0);
	assert_int_equal(tenure_context_use(w.connection, context,
					    &adder.allocation, 1),
			 0);
	pthread_mutex_lock(&w.fake->lock);
	w.fake->n_requests = 0;
	pthread_mutex_unlock(&w.fake->lock);
	assert_int_equal(
		tenure_resource_destroy(w.connection, w.device, w.resource), 0);
	assert_false(world_is_mapped(pointer));
	pthread_mutex_lock(&w.fake->lock);
	assert_int_equal(w.fake->n_requests, 2);
	assert_int_equal(w.fake->heads[1].opcode, WIRE_OP_CONTEXT_SUBMIT);
	assert_int_equal(w.fake->uses[0], adder.allocation.value);
	assert_int_equal(w.fake->heads[2].opcode, WIRE_OP_DESTROY);
	pthread_mutex_unlock(&w.fake->lock);
	world_close(&w);
}

/* The resource itself goes meanwhile: what was added is dead at birth. */
static void test_added_while_destroyed(void **state)
{
	struct adder adder;
	struct world w;

	(void)state;
	adder_start(&adder, &w);
	assert_int_equal(
		tenure_resource_destroy(w.connection, w.device, w.resource), 0);
	adder_join(&adder);
	assert_int_equal(w.connection->ledger.allocations.count, 0);
	assert_int_equal(w.connection->ledger.resources.count, 0);
	world_close(&w);
}

static void test_open_and_query(void **state)
{
	struct tenure_resource_info info = { .count = 99 };
	struct tenure_allocation allocations[2];
	struct tenure_resource resource;
	char private_data[4] = "";
	size_t sizes[3] = { 5, 5, 5 };
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_resource_query(w.connection, &w.token, &info,
					       sizes, 3),
			 0);
	assert_int_equal(info.count, 2);
	assert_int_equal(info.private_bytes, 4);
	assert_int_equal(info.bytes, 3 * WORLD_PAGE);
	assert_int_equal(info.rights, TENURE_RIGHT_READ | TENURE_RIGHT_WRITE);
	assert_int_equal(sizes[0], WORLD_PAGE);
	assert_int_equal(sizes[1], 2 * WORLD_PAGE);
	assert_int_equal(sizes[2], 5);
	assert_int_equal(tenure_resource_open(w.connection, w.device, &w.token,
					      0, 2, private_data, 4, &resource,
					      allocations),
			 0);
	assert_string_equal(private_data, "abc");
	assert_true(resource.value != w.resource.value);
	world_close(&w);
}

static void test_query_overflow(void **state)
{
	struct tenure_resource_info info = { .count = 99 };
	struct tenure_refusal refusal;
	size_t sizes[1] = { 5 };
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_resource_query(w.connection, &w.token, &info,
					       sizes, 1),
			 -EOVERFLOW);
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.reason, TENURE_REASON_ROOM_TOO_SMALL);
	assert_int_equal(info.count, 2);
	assert_int_equal(sizes[0], 5);
	assert_int_equal(tenure_resource_query(w.connection, &w.token, &info,
					       NULL, 0),
			 0);
	world_close(&w);
}

/* Counts and sizes beyond the limits are announced, not sent. */
static void test_beyond_limits(void **state)
{
	static size_t sizes[2000];
	static struct tenure_allocation allocations[2000];
	static char private_data[PRIVATE_DATA_MAX + 1];
	struct tenure_resource resource;
	struct world w;

	(void)state;
	world_open(&w);
	w.fake->refuse_status = -EINVAL;
	w.fake->refuse_opcode = WIRE_OP_CREATE;
	assert_int_equal(tenure_allocation_create(w.connection, w.device, sizes,
						  2000, allocations),
			 -EINVAL);
	assert_int_equal(w.fake->request.count, 2000);
	assert_int_equal(w.fake->request.args_bytes, 0);
	w.fake->refuse_opcode = WIRE_OP_CREATE;
	assert_int_equal(tenure_resource_create(w.connection, w.device, 0,
						sizes, 1, private_data,
						sizeof(private_data), &resource,
						allocations),
			 -EINVAL);
	assert_int_equal(w.fake->request.value[0], sizeof(private_data));
	assert_int_equal(w.fake->request.args_bytes, 0);
	w.fake->refuse_opcode = WIRE_OP_CREATE;
	assert_int_equal(tenure_allocation_create(w.connection, w.device, NULL,
						  0, NULL),
			 -EINVAL);
	w.fake->refuse_opcode = WIRE_OP_OPEN;
	assert_int_equal(tenure_resource_open(w.connection, w.device, &w.token,
					      0, 2000, NULL, 0, &resource,
					      allocations),
			 -EINVAL);
	world_close(&w);
}

static int says_yes(void *context, struct exchange *x)
{
	(void)context;
	x->reply.status = 0;
	x->reply.reason = 0;
	x->reply.value[0] = 5;
	x->reply.count = x->request->count;
	return 0;
}

static void test_yes_to_the_impossible(void **state)
{
	static size_t sizes[2000];
	static struct tenure_allocation allocations[2000];
	struct world w;

	(void)state;
	world_open(&w);
	w.fake->refuse_opcode = WIRE_OP_CREATE;
	world_lie(&w, says_yes);
	assert_int_equal(tenure_allocation_create(w.connection, w.device, sizes,
						  2000, allocations),
			 -EPROTO);
	world_close(&w);
}

static int no_resource(void *context, struct exchange *x)
{
	(void)context;
	x->reply.value[0] = 0;
	return 0;
}

static int fewer(void *context, struct exchange *x)
{
	(void)context;
	x->reply.count--;
	return 0;
}

static int fewer_bytes(void *context, struct exchange *x)
{
	(void)context;
	x->reply.data_bytes -= 8;
	x->data_bytes -= 8;
	return 0;
}

static int handle_zero(void *context, struct exchange *x)
{
	(void)context;
	((uint64_t *)x->data)[1] = 0;
	return 0;
}

static int handle_twice(void *context, struct exchange *x)
{
	uint64_t *handles = x->data;

	(void)context;
	handles[1] = handles[0];
	return 0;
}

static int handle_known(void *context, struct exchange *x)
{
	const struct world *w = context;

	((uint64_t *)x->data)[0] = w->allocations[1].value;
	return 0;
}

static int (*const birth_lies[])(void *, struct exchange *) = {
	no_resource, fewer,	   fewer_bytes,
	handle_zero, handle_twice, handle_known,
};

static void test_birth_lies(void **state)
{
	const size_t sizes[] = { 1, 1 };
	struct tenure_allocation allocations[2];
	struct tenure_resource resource;
	char private_data[4];
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(birth_lies); i++) {
		allocations[0].value = 55;
		world_open(&w);
		world_lie(&w, birth_lies[i]);
		assert_int_equal(tenure_resource_create(w.connection, w.device,
							0, sizes, 2, NULL, 0,
							&resource, allocations),
				 -EPROTO);
		assert_int_equal(allocations[0].value, 55);
		world_close(&w);
		world_open(&w);
		world_lie(&w, birth_lies[i]);
		assert_int_equal(tenure_resource_open(w.connection, w.device,
						      &w.token, 0, 2,
						      private_data, 4,
						      &resource, allocations),
				 -EPROTO);
		assert_int_equal(allocations[0].value, 55);
		world_close(&w);
	}
}

static int too_many(void *context, struct exchange *x)
{
	(void)context;
	x->reply.count = UINT32_MAX;
	return 0;
}

static int too_private(void *context, struct exchange *x)
{
	(void)context;
	x->reply.value[0] = UINT64_MAX;
	return 0;
}

static int strange_rights(void *context, struct exchange *x)
{
	(void)context;
	x->reply.value[2] = UINT64_MAX;
	return 0;
}

static int (*const query_lies[])(void *, struct exchange *) = {
	too_many, fewer, fewer_bytes, too_private, strange_rights,
};

static void test_query_lies(void **state)
{
	struct tenure_resource_info info;
	struct tenure_memory memory;
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(query_lies); i++) {
		world_open(&w);
		world_lie(&w, query_lies[i]);
		assert_int_equal(tenure_resource_query(w.connection, &w.token,
						       &info, NULL, 0),
				 -EPROTO);
		world_close(&w);
		world_open(&w);
		world_lie(&w, query_lies[i]);
		w.fake->lie_at += 2; /* behind adapter_open, device_create */
		assert_int_equal(tenure_open_shared(w.connection, &w.token,
						    &memory),
				 -EPROTO);
		world_close(&w);
	}
}

static void test_judged_here(void **state)
{
	const struct tenure_resource none = { 0 };
	struct tenure_allocation allocation;
	struct tenure_resource resource;
	const size_t size = 1;
	struct world w;
	struct tenure *t;

	(void)state;
	world_open(&w);
	t = w.connection;
	w.fake->n_requests = 0;
	assert_int_equal(tenure_destroy(t, NULL), -EINVAL);
	assert_int_equal(tenure_resource_destroy(t, w.device, none), -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_RESOURCE_INVALID);
	assert_int_equal(tenure_resource_add(t, w.device, none, &size, 1,
					     &allocation),
			 -EBADF);
	assert_int_equal(tenure_resource_create(t, w.device, 0, &size, 1, NULL,
						0, NULL, &allocation),
			 -EINVAL);
	assert_int_equal(tenure_resource_create(t, w.device, 0, &size, 1, NULL,
						0, &resource, NULL),
			 -EINVAL);
	assert_int_equal(tenure_resource_create(t, w.device, 0, NULL, 1, NULL,
						0, &resource, &allocation),
			 -EINVAL);
	assert_int_equal(tenure_resource_create(t, w.device, 0, &size, 1, NULL,
						1, &resource, &allocation),
			 -EINVAL);
	assert_int_equal(world_reason(), TENURE_REASON_ARGUMENT);
	assert_int_equal(tenure_resource_share(t, w.device, w.resource, 1,
					       NULL),
			 -EINVAL);
	assert_int_equal(tenure_token_revoke(t, NULL), -EINVAL);
	assert_int_equal(tenure_resource_query(t, &w.token, NULL, NULL, 0),
			 -EINVAL);
	assert_int_equal(tenure_resource_open(t, w.device, NULL, 0, 1, NULL, 0,
					      &resource, &allocation),
			 -EINVAL);
	assert_int_equal(tenure_resource_open(t, w.device, &w.token, 0, 1, NULL,
					      1, &resource, &allocation),
			 -EINVAL);
	assert_int_equal(w.fake->n_requests, 0);
	assert_int_equal(tenure_token_revoke(t, &w.token), 0);
	assert_memory_equal(w.fake->request.value, w.token.bytes, 16);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes_are_not_judged),
		cmocka_unit_test(test_too_long_cannot_succeed),
		cmocka_unit_test(test_resource_destroy_unmaps),
		cmocka_unit_test(test_list_destroy_unmaps),
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_added_while_emptied),
		cmocka_unit_test(test_added_while_destroyed),
		cmocka_unit_test(test_open_and_query),
		cmocka_unit_test(test_query_overflow),
		cmocka_unit_test(test_beyond_limits),
		cmocka_unit_test(test_yes_to_the_impossible),
		cmocka_unit_test(test_birth_lies),
		cmocka_unit_test(test_query_lies),
		cmocka_unit_test(test_judged_here),
	};

	return cmocka_run_group_tests_name("resource", tests, NULL, NULL);
}
