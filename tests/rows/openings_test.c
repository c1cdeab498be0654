/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Openings and memory objects: H01 to H18 of docs/DESTROY.md.
 */
#include "tests/rows/world.h"

#define READ_WRITE (TENURE_RIGHT_READ | TENURE_RIGHT_WRITE)

static unsigned char *map_for(const struct party *party,
			      struct tenure_allocation allocation,
			      unsigned int flags)
{
	void *pointer;
	size_t size;

	assert_ok(tenure_map(party->t, party->device, allocation, flags,
			     &pointer, &size));
	return pointer;
}

static int try_open(const struct party *party, const struct tenure_token *token,
		    unsigned int rights, unsigned int count, void *private_data,
		    size_t private_bytes)
{
	struct tenure_allocation list[8];
	struct tenure_resource resource;

	return tenure_resource_open(party->t, party->device, token, rights,
				    count, private_data, private_bytes,
				    &resource, list);
}

static int try_create(const struct party *party, unsigned int flags,
		      unsigned int count, size_t size)
{
	static struct tenure_allocation list[1100];
	static size_t sizes[1100];
	struct tenure_resource resource;
	unsigned int i;

	for (i = 0; i < count; i++)
		sizes[i] = size;
	return tenure_resource_create(party->t, party->device, flags, sizes,
				      count, NULL, 0, &resource, list);
}

static int try_add(const struct party *party, struct tenure_resource resource,
		   unsigned int count)
{
	static struct tenure_allocation list[1100];
	static size_t sizes[1100];
	unsigned int i;

	for (i = 0; i < count; i++)
		sizes[i] = PAGE;
	return tenure_resource_add(party->t, party->device, resource, sizes,
				   count, list);
}

static void h01_another_opening_of_the_same_bytes(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_allocation child[3], opened[3];
	const size_t sizes[3] = { PAGE, 1, 5 * PAGE + 1 };
	struct tenure_resource_info info;
	struct tenure_resource resource, opening;
	struct tenure_token token;
	char private_data[6] = { 0 };
	size_t got[3];
	unsigned int i;

	assert_ok(tenure_resource_create(p.t, p.device, TENURE_CREATE_SHARED,
					 sizes, 3, "frame", 6, &resource,
					 child));
	token = make_token(&p, resource, READ_WRITE);
	assert_ok(tenure_resource_query(reader.t, &token, &info, got, 3));
	assert_int_equal(info.count, 3);
	assert_int_equal(info.rights, READ_WRITE);
	assert_int_equal(info.private_bytes, 6);
	assert_int_equal(info.bytes, 8 * PAGE);
	assert_int_equal(got[0], PAGE);
	assert_int_equal(got[1], PAGE);
	assert_int_equal(got[2], 6 * PAGE);
	assert_ok(tenure_resource_open(reader.t, reader.device, &token, 0, 3,
				       private_data, 6, &opening, opened));
	assert_string_equal(private_data, "frame");
	for (i = 0; i < 3; i++) {
		unsigned char *mine = map_for(
			&p, child[i], TENURE_MAP_READ | TENURE_MAP_WRITE);
		unsigned char *theirs = map_for(
			&reader, opened[i], TENURE_MAP_READ | TENURE_MAP_WRITE);

		assert_ptr_not_equal(mine, theirs);
		mine[7] = (unsigned char)(40 + i);
		assert_int_equal(theirs[7], 40 + i);
		theirs[PAGE - 1] = (unsigned char)(50 + i);
		assert_int_equal(mine[PAGE - 1], 50 + i);
	}
	row_proved("H01");
}

static void h02_the_last_to_let_go_releases(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_resource original =
		make_resource(&p, TENURE_CREATE_SHARED, 2, NULL);
	struct tenure_token first = make_token(&p, original, READ_WRITE);
	struct tenure_resource opening =
		open_token(&reader, &first, 0, 2, NULL);
	struct tenure_token second =
		make_token(&reader, opening, TENURE_RIGHT_READ);
	struct wire_status before, after;

	world_status(*state, &before);
	assert_ok(destroy_resource(&p, original.value));
	assert_stores(*state, 1);
	assert_ok(tenure_token_revoke(p.t, &first));
	assert_stores(*state, 1);
	assert_ok(destroy(&reader, opening.value, NULL, 0,
			  TENURE_DESTROY_SYNCHRONOUS));
	assert_stores(*state, 1);
	world_status(*state, &after);
	assert_int_equal(after.released_bytes_total,
			 before.released_bytes_total);
	assert_ok(tenure_token_revoke(reader.t, &second));
	assert_stores(*state, 0);
	world_status(*state, &after);
	assert_int_equal(after.bytes, 0);
	assert_int_equal(after.objects, 0);
	assert_int_equal(after.released_bytes_total,
			 before.released_bytes_total + 2 * PAGE);
	row_proved("H02");
}

static void h03_nobody_waits_for_a_foreign_opener(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_allocation opened[1];
	struct tenure_resource original =
		make_resource(&p, TENURE_CREATE_SHARED, 1, NULL);
	struct tenure_token token = make_token(&p, original, READ_WRITE);
	struct tenure_stat stat;

	open_token(&reader, &token, 0, 1, opened);
	map_for(&reader, opened[0], TENURE_MAP_READ);
	/* The producer destroys, synchronously, and is done with it. */
	assert_ok(destroy(&p, original.value, NULL, 0,
			  TENURE_DESTROY_SYNCHRONOUS));
	assert_ok(tenure_stat(p.t, &stat));
	assert_int_equal(stat.retired, 0);
	assert_int_equal(stat.resources, 0);
	assert_int_equal(stat.allocations, 0);
	/* A device with nothing else on it goes at once, too. */
	assert_ok(tenure_device_destroy(p.t, p.device));
	assert_allocation_alive(&reader, opened[0]);
	row_proved("H03");
}

static void h04_what_a_client_is_charged(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_stat before = party_stat(&reader);
	struct tenure_resource original =
		make_resource(&p, TENURE_CREATE_SHARED, 3, NULL);
	struct tenure_token token = make_token(&p, original, READ_WRITE);
	struct tenure_resource opening;

	assert_int_equal(party_stat(&p).bytes, 3 * PAGE);
	assert_int_equal(party_stat(&p).tokens, 1);
	opening = open_token(&reader, &token, 0, 3, NULL);
	assert_int_equal(party_stat(&reader).bytes, 3 * PAGE);
	open_token(&reader, &token, 0, 3, NULL);
	assert_int_equal(party_stat(&reader).bytes, 6 * PAGE);
	/* No transfer when the creator goes. */
	party_end(&p);
	assert_int_equal(party_stat(&reader).bytes, 6 * PAGE);
	assert_ok(destroy_resource(&reader, opening.value));
	assert_int_equal(party_stat(&reader).bytes, 3 * PAGE);
	assert_ok(tenure_device_destroy(reader.t, reader.device));
	assert_int_equal(party_stat(&reader).bytes, before.bytes);
	/* Whole pages. */
	assert_ok(
		tenure_device_create(reader.t, reader.adapter, &reader.device));
	make_allocation(&reader, PAGE + 1);
	assert_int_equal(party_stat(&reader).bytes, 2 * PAGE);
	row_proved("H04");
}

/* A principal whose limit is five pages, as three of its clients see it. */
static void h04_a_principal_pays_once(void **state)
{
	struct limits limits;
	struct world *world;
	struct party p, q, r;
	struct tenure_resource original;
	struct tenure_token token;

	(void)state;
	limits_default(&limits);
	limits.principal[CHARGE_BYTES] = 5 * PAGE;
	world = world_new(&limits);
	p = party_new(world);
	q = party_new(world);
	r = party_new(world);
	original = make_resource(&p, TENURE_CREATE_SHARED, 4, NULL);
	token = make_token(&p, original, READ_WRITE);
	open_token(&q, &token, 0, 4, NULL);
	open_token(&r, &token, 0, 4, NULL);
	open_token(&p, &token, 0, 4, NULL);
	make_allocation(&q, PAGE);
	assert_refused(&r, try_create(&r, 0, 1, PAGE), -EDQUOT,
		       TENURE_REASON_PRINCIPAL_BYTES);
	/* The object stays charged to the principal until its last holder. */
	party_end(&p);
	assert_refused(&r, try_create(&r, 0, 1, PAGE), -EDQUOT,
		       TENURE_REASON_PRINCIPAL_BYTES);
	party_end(&q);
	assert_stores(world, 1);
	make_allocation(&r, PAGE);
	assert_refused(&r, try_create(&r, 0, 1, PAGE), -EDQUOT,
		       TENURE_REASON_PRINCIPAL_BYTES);
	world_free(world);
	row_proved("H04");
}

static void h05_opening_twice(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation child[2], first_child[2], second_child[2];
	struct tenure_resource original =
		make_resource(&p, TENURE_CREATE_SHARED, 2, child);
	struct tenure_token token = make_token(&p, original, READ_WRITE);
	struct tenure_resource first =
		open_token(&p, &token, 0, 2, first_child);
	struct tenure_resource second =
		open_token(&p, &token, 0, 2, second_child);

	assert_int_not_equal(first.value, second.value);
	assert_int_not_equal(first.value, original.value);
	assert_int_not_equal(first_child[0].value, second_child[0].value);
	assert_int_not_equal(first_child[0].value, child[0].value);
	assert_ok(destroy_resource(&p, first.value));
	assert_allocation_dead(&p, first_child[1]);
	assert_allocation_alive(&p, second_child[1]);
	assert_allocation_alive(&p, child[1]);
	assert_ok(destroy_resource(&p, original.value));
	assert_allocation_alive(&p, second_child[0]);
	row_proved("H05");
}

static void h06_an_opening_knows_the_shape(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	const size_t sizes[2] = { PAGE, PAGE };
	struct tenure_allocation child[2];
	struct tenure_resource resource;
	struct tenure_token token;
	char data[64];

	assert_ok(tenure_resource_create(p.t, p.device, TENURE_CREATE_SHARED,
					 sizes, 2, "0123456789", 10, &resource,
					 child));
	token = make_token(&p, resource, READ_WRITE);
	assert_refused(&reader, try_open(&reader, &token, 0, 1, data, 10),
		       -EINVAL, TENURE_REASON_OPEN_COUNT_MISMATCH);
	assert_refused(&reader, try_open(&reader, &token, 0, 3, data, 10),
		       -EINVAL, TENURE_REASON_OPEN_COUNT_MISMATCH);
	assert_refused(&reader, try_open(&reader, &token, 0, 0, data, 10),
		       -EINVAL, TENURE_REASON_OPEN_COUNT_MISMATCH);
	assert_refused(&reader, try_open(&reader, &token, 0, 2, data, 9),
		       -EINVAL, TENURE_REASON_OPEN_PRIVATE_MISMATCH);
	assert_refused(&reader, try_open(&reader, &token, 0, 2, data, 11),
		       -EINVAL, TENURE_REASON_OPEN_PRIVATE_MISMATCH);
	assert_refused(&reader, try_open(&reader, &token, 0, 2, NULL, 0),
		       -EINVAL, TENURE_REASON_OPEN_PRIVATE_MISMATCH);
	assert_ok(try_open(&reader, &token, 0, 2, data, 10));
	assert_memory_equal(data, "0123456789", 10);
	row_proved("H06");
}

static void h07_an_opener_that_ended(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_resource original =
		make_resource(&p, TENURE_CREATE_SHARED, 1, NULL);
	struct tenure_token token = make_token(&p, original, READ_WRITE);

	open_token(&reader, &token, 0, 1, NULL);
	open_token(&reader, &token, 0, 1, NULL);
	party_end(&reader);
	assert_ok(tenure_token_revoke(p.t, &token));
	assert_stores(*state, 1);
	assert_ok(destroy_resource(&p, original.value));
	assert_stores(*state, 0);
	row_proved("H07");
}

static void h08_shared_is_sealed(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_resource original =
		make_resource(&p, TENURE_CREATE_SHARED, 1, NULL);
	struct tenure_resource opening;
	struct tenure_token token;

	assert_refused(&p, try_add(&p, original, 1), -EINVAL,
		       TENURE_REASON_RESOURCE_SEALED);
	token = make_token(&p, original, READ_WRITE);
	assert_refused(&p, try_add(&p, original, 1), -EINVAL,
		       TENURE_REASON_RESOURCE_SEALED);
	opening = open_token(&reader, &token, 0, 1, NULL);
	assert_refused(&reader, try_add(&reader, opening, 1), -EINVAL,
		       TENURE_REASON_RESOURCE_SEALED);
	row_proved("H08");
}

static void h09_adding_to_a_private_resource(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation child[1024];
	struct tenure_resource resource = make_resource(&p, 0, 1, child);

	assert_ok(try_add(&p, resource, 1000));
	assert_int_equal(party_stat(&p).allocations, 1001);
	assert_refused(&p, try_add(&p, resource, 24), -EINVAL,
		       TENURE_REASON_RESOURCE_FULL);
	assert_ok(try_add(&p, resource, 23));
	assert_refused(&p, try_add(&p, resource, 1), -EINVAL,
		       TENURE_REASON_RESOURCE_FULL);
	/* 1024 at a time: one that went makes room. */
	assert_ok(destroy_list(&p, child, 1));
	assert_ok(try_add(&p, resource, 1));
	assert_refused(&p, try_add(&p, resource, 1), -EINVAL,
		       TENURE_REASON_RESOURCE_FULL);
	assert_ok(destroy_resource(&p, resource.value));
	assert_stores(*state, 0);
	row_proved("H09");
}

/* The library implies the resource flag, so this is said without it. */
static void h10_shared_needs_a_resource(void **state)
{
	struct party p = party_new(*state);
	struct wire_allocation size = { .size_bytes = PAGE };
	struct wire_request head = { .opcode = WIRE_OP_CREATE,
				     .flags = TENURE_CREATE_SHARED,
				     .device = p.device.value,
				     .count = 1,
				     .args_bytes = sizeof(size) };
	struct tenure_stat before = party_stat(&p);
	struct wire_reply reply = party_raw(&p, &head, &size, sizeof(size));

	assert_int_equal(reply.status, -EINVAL);
	assert_int_equal(reply.reason, TENURE_REASON_SHARED_NEEDS_RESOURCE);
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	row_proved("H10");
}

static void h11_create_of_nothing(void **state)
{
	struct party p = party_new(*state);
	struct tenure_resource resource = make_resource(&p, 0, 1, NULL);
	struct tenure_allocation none[1];
	const size_t size = PAGE;

	assert_refused(&p, try_create(&p, 0, 0, PAGE), -EINVAL,
		       TENURE_REASON_COUNT_ZERO);
	assert_refused(&p, try_create(&p, TENURE_CREATE_SHARED, 0, PAGE),
		       -EINVAL, TENURE_REASON_COUNT_ZERO);
	assert_refused(&p, try_add(&p, resource, 0), -EINVAL,
		       TENURE_REASON_COUNT_ZERO);
	assert_refused(&p,
		       tenure_allocation_create(p.t, p.device, &size, 0, none),
		       -EINVAL, TENURE_REASON_COUNT_ZERO);
	row_proved("H11");
}

static void h12_create_of_too_many(void **state)
{
	struct party p = party_new(*state);
	struct tenure_resource resource = make_resource(&p, 0, 1, NULL);

	assert_refused(&p, try_create(&p, 0, 1025, PAGE), -EINVAL,
		       TENURE_REASON_COUNT_TOO_LARGE);
	assert_refused(&p, try_add(&p, resource, 1025), -EINVAL,
		       TENURE_REASON_COUNT_TOO_LARGE);
	assert_ok(try_create(&p, TENURE_CREATE_SHARED, 1024, PAGE));
	row_proved("H12");
}

static void h13_garbage_resource_at_create(void **state)
{
	struct party p = party_new(*state), other = party_new(*state);
	struct tenure_resource stale = make_resource(&p, 0, 1, NULL);
	struct tenure_resource foreign = make_resource(&other, 0, 1, NULL);
	const uint64_t garbage[] = { 1, UINT64_MAX, stale.value,
				     foreign.value };
	unsigned int i;

	assert_ok(destroy_resource(&p, stale.value));
	for (i = 0; i < ARRAY_SIZE(garbage); i++)
		assert_refused(
			&p,
			try_add(&p, (struct tenure_resource){ garbage[i] }, 1),
			-EBADF, TENURE_REASON_RESOURCE_INVALID);
	row_proved("H13");
}

static void h14_a_failed_create_leaves_nothing(void **state)
{
	struct party p = party_new(*state);
	struct tenure_resource resource = { 77 };
	struct tenure_allocation list[3] = { { 1 }, { 2 }, { 3 } };
	const size_t zero[3] = { PAGE, 0, PAGE };
	const size_t huge[3] = { PAGE, PAGE, SIZE_MAX };

	assert_refused_at(&p,
			  tenure_resource_create(p.t, p.device, 0, zero, 3,
						 NULL, 0, &resource, list),
			  -EINVAL, TENURE_REASON_SIZE_ZERO, 1);
	assert_refused_at(&p,
			  tenure_resource_create(p.t, p.device, 0, huge, 3,
						 NULL, 0, &resource, list),
			  -EINVAL, TENURE_REASON_SIZE_TOO_LARGE, 2);
	assert_refused(&p,
		       tenure_resource_create(p.t, p.device, 0, zero, 1, list,
					      4097, &resource, list),
		       -EINVAL, TENURE_REASON_PRIVATE_DATA_TOO_LARGE);
	/* What was to be returned is as it was. */
	assert_int_equal(resource.value, 77);
	assert_int_equal(list[0].value, 1);
	assert_int_equal(list[2].value, 3);
	assert_stores(*state, 0);
	row_proved("H14");
}

/* A create refused by a limit, at each kind of limit of the client. */
static void h14_limits(void **state)
{
	struct limits limits;
	struct world *world;
	struct party p;
	struct tenure_resource shared;
	struct tenure_token token;

	(void)state;
	limits_default(&limits);
	limits.client[CHARGE_BYTES] = 10 * PAGE;
	limits.client[CHARGE_HANDLES] = 9;
	limits.client[CHARGE_STORES] = 3;
	limits.client[CHARGE_TOKENS] = 1;
	world = world_new(&limits);
	p = party_new(world); /* two handles */
	assert_refused(&p, try_create(&p, 0, 2, 6 * PAGE), -EDQUOT,
		       TENURE_REASON_CLIENT_BYTES);
	assert_ok(try_create(&p, 0, 1, 2 * PAGE));
	assert_refused(&p, try_create(&p, 0, 5, PAGE), -EDQUOT,
		       TENURE_REASON_CLIENT_HANDLES);
	shared = make_resource(&p, TENURE_CREATE_SHARED, 1, NULL);
	token = make_token(&p, shared, TENURE_RIGHT_READ);
	assert_refused(&p,
		       tenure_resource_share(p.t, p.device, shared,
					     TENURE_RIGHT_READ, &token),
		       -EDQUOT, TENURE_REASON_CLIENT_TOKENS);
	make_allocation(&p, PAGE);
	assert_refused(&p, try_create(&p, 0, 1, PAGE), -EDQUOT,
		       TENURE_REASON_CLIENT_STORES);
	/* What goes makes room. */
	assert_ok(tenure_token_revoke(p.t, &token));
	make_token(&p, shared, TENURE_RIGHT_READ);
	world_free(world);
	row_proved("H14");
}

static void h15_only_the_maker_revokes(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_allocation opened[1];
	struct tenure_resource original =
		make_resource(&p, TENURE_CREATE_SHARED, 1, NULL);
	struct tenure_token token = make_token(&p, original, READ_WRITE);
	struct tenure_token unknown = token;

	unknown.bytes[15] ^= 1;
	open_token(&reader, &token, 0, 1, opened);
	assert_refused(&reader, tenure_token_revoke(reader.t, &token), -EINVAL,
		       TENURE_REASON_TOKEN_UNKNOWN);
	assert_refused(&reader, tenure_token_revoke(reader.t, &unknown),
		       -EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	assert_refused(&p, tenure_token_revoke(p.t, &unknown), -EINVAL,
		       TENURE_REASON_TOKEN_UNKNOWN);
	assert_ok(tenure_token_revoke(p.t, &token));
	assert_refused(&p, tenure_token_revoke(p.t, &token), -EINVAL,
		       TENURE_REASON_TOKEN_UNKNOWN);
	assert_allocation_alive(&reader, opened[0]);
	assert_refused(&reader, try_open(&reader, &token, 0, 1, NULL, 0),
		       -EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	row_proved("H15");
}

static void h16_rights(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_allocation opened[1];
	struct tenure_resource original =
		make_resource(&p, TENURE_CREATE_SHARED, 1, NULL);
	struct tenure_token token = make_token(&p, original, TENURE_RIGHT_READ);
	struct tenure_token more;
	const unsigned int invalid[] = { 0, TENURE_RIGHT_WRITE, 4, 5,
					 1u << 31 };
	struct tenure_resource opening;
	void *pointer;
	unsigned int i;
	size_t size;

	for (i = 0; i < ARRAY_SIZE(invalid); i++)
		assert_refused(&p,
			       tenure_resource_share(p.t, p.device, original,
						     invalid[i], &more),
			       -EINVAL, TENURE_REASON_RIGHTS_INVALID);
	for (i = 1; i < ARRAY_SIZE(invalid); i++)
		assert_refused(&reader,
			       try_open(&reader, &token, invalid[i], 1, NULL,
					0),
			       -EINVAL, TENURE_REASON_RIGHTS_INVALID);
	assert_refused(&reader,
		       try_open(&reader, &token, READ_WRITE, 1, NULL, 0),
		       -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	opening = open_token(&reader, &token, 0, 1, opened);
	assert_refused(&reader,
		       tenure_map(reader.t, reader.device, opened[0],
				  TENURE_MAP_READ | TENURE_MAP_WRITE, &pointer,
				  &size),
		       -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	assert_allocation_alive(&reader, opened[0]);
	assert_refused(&reader,
		       tenure_resource_share(reader.t, reader.device, opening,
					     READ_WRITE, &more),
		       -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	make_token(&reader, opening, TENURE_RIGHT_READ);
	row_proved("H16");
}

static void h17_a_private_resource_cannot_be_shared(void **state)
{
	struct party p = party_new(*state);
	struct tenure_resource resource = make_resource(&p, 0, 1, NULL);
	struct tenure_token token;

	assert_refused(&p,
		       tenure_resource_share(p.t, p.device, resource,
					     TENURE_RIGHT_READ, &token),
		       -EINVAL, TENURE_REASON_NOT_SHAREABLE);
	row_proved("H17");
}

static void h18_maps_are_counted(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own = make_allocation(&p, PAGE);
	unsigned char *first, *second;

	assert_refused(&p, tenure_unmap(p.t, p.device, own), -EINVAL,
		       TENURE_REASON_NOT_MAPPED);
	first = map_for(&p, own, TENURE_MAP_READ | TENURE_MAP_WRITE);
	second = map_for(&p, own, TENURE_MAP_READ | TENURE_MAP_WRITE);
	assert_ptr_equal(first, second);
	assert_ok(tenure_unmap(p.t, p.device, own));
	second[3] = 3;
	assert_ok(tenure_unmap(p.t, p.device, own));
	assert_refused(&p, tenure_unmap(p.t, p.device, own), -EINVAL,
		       TENURE_REASON_NOT_MAPPED);
	/* The bytes are the allocation's, not the mapping's. */
	first = map_for(&p, own, TENURE_MAP_READ);
	assert_int_equal(first[3], 3);
	row_proved("H18");
}

static const struct CMUnitTest tests[] = {
	world_test(h01_another_opening_of_the_same_bytes),
	world_test(h02_the_last_to_let_go_releases),
	world_test(h03_nobody_waits_for_a_foreign_opener),
	world_test(h04_what_a_client_is_charged),
	cmocka_unit_test(h04_a_principal_pays_once),
	world_test(h05_opening_twice),
	world_test(h06_an_opening_knows_the_shape),
	world_test(h07_an_opener_that_ended),
	world_test(h08_shared_is_sealed),
	world_test(h09_adding_to_a_private_resource),
	world_test(h10_shared_needs_a_resource),
	world_test(h11_create_of_nothing),
	world_test(h12_create_of_too_many),
	world_test(h13_garbage_resource_at_create),
	world_test(h14_a_failed_create_leaves_nothing),
	cmocka_unit_test(h14_limits),
	world_test(h15_only_the_maker_revokes),
	world_test(h16_rights),
	world_test(h17_a_private_resource_cannot_be_shared),
	world_test(h18_maps_are_counted),
};

WORLD_MAIN("openings")
