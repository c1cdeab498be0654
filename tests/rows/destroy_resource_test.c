/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table A, destroys that name a resource: A16 to A18, A30 to A40.
 */
#include "tests/rows/world.h"

static void a16_resource_with_all_its_allocations(void **state)
{
	struct party p = party_new(*state);
	struct tenure_stat before = party_stat(&p);
	struct tenure_allocation child[5];
	struct tenure_resource resource = make_resource(&p, 0, 5, child);
	unsigned int i;

	assert_ok(destroy(&p, resource.value, NULL, 0, 0));
	assert_resource_dead(&p, resource);
	for (i = 0; i < 5; i++)
		assert_allocation_dead(&p, child[i]);
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	assert_stores(p.world, 0);
	row_proved("A16");
}

static void a17_count_ignored(void **state)
{
	struct party p = party_new(*state);
	struct tenure_stat before = party_stat(&p);
	const unsigned int counts[] = { 1, 2, 1024, 1025, UINT32_MAX };
	struct tenure_allocation child[2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct tenure_resource r = make_resource(&p, 0, 2, child);

		assert_ok(destroy(&p, r.value, NULL, counts[i], 0));
		assert_allocation_dead(&p, child[0]);
		assert_allocation_dead(&p, child[1]);
	}
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	row_proved("A17");
}

static void a18_empty_list_beside_a_resource(void **state)
{
	struct party p = party_new(*state);
	struct tenure_stat before;
	struct tenure_allocation own = make_allocation(&p, PAGE), child[2];
	struct tenure_resource resource;

	before = party_stat(&p);
	resource = make_resource(&p, 0, 2, child);
	assert_ok(destroy(&p, resource.value, &own, 0, 0));
	assert_resource_dead(&p, resource);
	assert_allocation_dead(&p, child[0]);
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	assert_allocation_alive(&p, own);
	row_proved("A18");
}

static void a30_resource_stale(void **state)
{
	struct party p = party_new(*state);
	struct tenure_resource first = make_resource(&p, 0, 1, NULL), second;

	assert_ok(destroy_resource(&p, first.value));
	assert_refused(&p, destroy_resource(&p, first.value), -EINVAL,
		       TENURE_REASON_RESOURCE_INVALID);
	/* Also when the slot has been given out again. */
	second = make_resource(&p, 0, 1, NULL);
	assert_int_not_equal(first.value, second.value);
	assert_refused(&p, destroy_resource(&p, first.value), -EINVAL,
		       TENURE_REASON_RESOURCE_INVALID);
	assert_ok(destroy_resource(&p, second.value));
	row_proved("A30");
}

static void a31_resource_garbage(void **state)
{
	struct party p = party_new(*state);
	struct tenure_resource resource = make_resource(&p, 0, 1, NULL);
	const uint64_t r = resource.value;
	const uint64_t garbage[] = {
		1,
		UINT64_MAX,
		r ^ UINT64_C(1) << 32,
		r ^ UINT64_C(3) << 32,
		r ^ UINT64_C(1) << 27,
		r ^ UINT64_C(1) << 63,
		r ^ UINT64_C(0x3ff),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(garbage); i++)
		assert_refused(&p, destroy_resource(&p, garbage[i]), -EINVAL,
			       TENURE_REASON_RESOURCE_INVALID);
	assert_ok(destroy_resource(&p, r));
	row_proved("A31");
}

static void a32_resource_of_another_device(void **state)
{
	struct party p = party_new(*state);
	struct party second = party_second_device(&p);
	struct tenure_resource resource = make_resource(&second, 0, 1, NULL);

	assert_refused(&p, destroy_resource(&p, resource.value), -EINVAL,
		       TENURE_REASON_OTHER_DEVICE);
	assert_ok(destroy_resource(&second, resource.value));
	row_proved("A32");
}

/* See a06_device_of_another_client for why bits are flipped. */
static void a33_resource_of_another_client(void **state)
{
	struct party p = party_new(*state);
	struct party other = party_new(*state);
	struct tenure_resource own = make_resource(&p, 0, 1, NULL);
	struct tenure_resource foreign = make_resource(&other, 0, 1, NULL);
	struct tenure_stat before = party_stat(&other);
	uint32_t segment, low;

	assert_refused(&p, destroy_resource(&p, foreign.value), -EINVAL,
		       TENURE_REASON_RESOURCE_INVALID);
	for (segment = 0; segment < 16; segment++) {
		for (low = 0; low < 16; low++) {
			uint64_t flip = segment << 10 | low;

			if (flip == 0)
				continue;
			expect_refusal(destroy_resource(&p, own.value ^ flip),
				       -EINVAL, TENURE_REASON_RESOURCE_INVALID,
				       -1, __FILE__, __LINE__);
		}
	}
	expect_same_stat(&before, &other, __FILE__, __LINE__);
	assert_ok(destroy_resource(&other, foreign.value));
	row_proved("A33");
}

static void a34_resource_of_another_type(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own = make_allocation(&p, PAGE), child[1];
	struct tenure_resource resource = make_resource(&p, 0, 1, child);
	const uint64_t wrong[] = { own.value, child[0].value, p.device.value,
				   p.adapter.value };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_refused(&p, destroy_resource(&p, wrong[i]), -EINVAL,
			       TENURE_REASON_WRONG_TYPE);
	assert_ok(destroy_resource(&p, resource.value));
	row_proved("A34");
}

static void a35_share_token_as_resource(void **state)
{
	struct party p = party_new(*state);
	struct tenure_resource resource =
		make_resource(&p, TENURE_CREATE_SHARED, 1, NULL);
	struct tenure_token token = make_token(&p, resource, TENURE_RIGHT_READ);
	uint64_t half[2];
	unsigned int i;

	memcpy(half, token.bytes, sizeof(half));
	for (i = 0; i < 2; i++)
		assert_refused(&p, destroy_resource(&p, half[i]), -EINVAL,
			       TENURE_REASON_RESOURCE_INVALID);
	/* The token itself is as good as before. */
	open_token(&p, &token, 0, 1, NULL);
	row_proved("A35");
}

static void a37_emptied_resource(void **state)
{
	struct party p = party_new(*state);
	struct tenure_stat before = party_stat(&p);
	struct tenure_allocation child[3];
	struct tenure_resource resource = make_resource(&p, 0, 3, child);
	const size_t size = PAGE;

	assert_ok(destroy_list(&p, child, 2));
	assert_ok(destroy_list(&p, &child[2], 1));
	assert_stores(p.world, 0);
	assert_int_equal(party_stat(&p).resources, 1);
	assert_ok(destroy_resource(&p, resource.value));
	assert_resource_dead(&p, resource);
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	/* Empty is not dead: another one is emptied, filled, and destroyed. */
	resource = make_resource(&p, 0, 1, child);
	assert_ok(destroy_list(&p, child, 1));
	assert_ok(
		tenure_resource_add(p.t, p.device, resource, &size, 1, child));
	assert_allocation_alive(&p, child[0]);
	assert_ok(destroy_resource(&p, resource.value));
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	row_proved("A37");
}

/* A shared resource of two allocations, open at a second client too. */
struct shared {
	struct party owner, reader;
	struct tenure_resource original, opening;
	struct tenure_allocation original_child[2], opening_child[2];
	struct tenure_token token;
};

static struct shared make_shared(struct world *world)
{
	struct shared s;
	unsigned char *bytes;
	void *pointer;
	size_t size;

	s.owner = party_new(world);
	s.reader = party_new(world);
	s.original = make_resource(&s.owner, TENURE_CREATE_SHARED, 2,
				   s.original_child);
	s.token = make_token(&s.owner, s.original,
			     TENURE_RIGHT_READ | TENURE_RIGHT_WRITE);
	s.opening = open_token(&s.reader, &s.token, 0, 2, s.opening_child);
	assert_ok(tenure_map(s.owner.t, s.owner.device, s.original_child[1],
			     TENURE_MAP_READ | TENURE_MAP_WRITE, &pointer,
			     &size));
	bytes = pointer;
	bytes[0] = 0x5a;
	bytes[size - 1] = 0xa5;
	return s;
}

static void assert_payload(const struct party *party,
			   struct tenure_allocation allocation)
{
	const unsigned char *bytes;
	void *pointer;
	size_t size;

	assert_ok(tenure_map(party->t, party->device, allocation,
			     TENURE_MAP_READ, &pointer, &size));
	bytes = pointer;
	assert_int_equal(bytes[0], 0x5a);
	assert_int_equal(bytes[size - 1], 0xa5);
	assert_ok(tenure_unmap(party->t, party->device, allocation));
}

static void a38_only_this_opening_dies(void **state)
{
	struct shared s = make_shared(*state);
	struct tenure_stat before = party_stat(&s.owner);

	assert_payload(&s.reader, s.opening_child[1]);
	assert_ok(destroy_resource(&s.reader, s.opening.value));
	assert_resource_dead(&s.reader, s.opening);
	assert_allocation_dead(&s.reader, s.opening_child[0]);
	assert_int_equal(party_stat(&s.reader).bytes, 0);
	expect_same_stat(&before, &s.owner, __FILE__, __LINE__);
	assert_payload(&s.owner, s.original_child[1]);
	assert_stores(*state, 1);
	row_proved("A38");
}

static void a39_openings_outlive_the_original(void **state)
{
	struct shared s = make_shared(*state);
	struct tenure_stat before = party_stat(&s.reader);

	assert_ok(tenure_token_revoke(s.owner.t, &s.token));
	assert_ok(destroy_resource(&s.owner, s.original.value));
	assert_resource_dead(&s.owner, s.original);
	assert_allocation_dead(&s.owner, s.original_child[1]);
	assert_int_equal(party_stat(&s.owner).bytes, 0);
	expect_same_stat(&before, &s.reader, __FILE__, __LINE__);
	assert_payload(&s.reader, s.opening_child[1]);
	assert_stores(*state, 1);
	assert_ok(destroy_resource(&s.reader, s.opening.value));
	assert_stores(*state, 0);
	row_proved("A39");
}

static void a40_token_outlives_the_original(void **state)
{
	struct shared s = make_shared(*state);
	struct tenure_resource again;
	struct tenure_allocation child[2];

	assert_ok(destroy_resource(&s.reader, s.opening.value));
	assert_ok(destroy_resource(&s.owner, s.original.value));
	assert_resource_dead(&s.owner, s.original);
	assert_stores(*state, 1);
	again = open_token(&s.reader, &s.token, 0, 2, child);
	assert_payload(&s.reader, child[1]);
	assert_ok(destroy_resource(&s.reader, again.value));
	assert_stores(*state, 1);
	assert_ok(tenure_token_revoke(s.owner.t, &s.token));
	assert_stores(*state, 0);
	assert_refused(&s.reader,
		       tenure_resource_open(s.reader.t, s.reader.device,
					    &s.token, 0, 2, NULL, 0, &again,
					    child),
		       -EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	row_proved("A40");
}

static void a40_token_ends_with_its_holder(void **state)
{
	struct shared s = make_shared(*state);
	struct tenure_resource again;
	struct tenure_allocation child[2];

	assert_ok(destroy_resource(&s.reader, s.opening.value));
	assert_ok(destroy_resource(&s.owner, s.original.value));
	assert_stores(*state, 1);
	party_end(&s.owner);
	assert_stores(*state, 0);
	assert_refused(&s.reader,
		       tenure_resource_open(s.reader.t, s.reader.device,
					    &s.token, 0, 2, NULL, 0, &again,
					    child),
		       -EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	row_proved("A40");
}

static const struct CMUnitTest tests[] = {
	world_test(a16_resource_with_all_its_allocations),
	world_test(a17_count_ignored),
	world_test(a18_empty_list_beside_a_resource),
	world_test(a30_resource_stale),
	world_test(a31_resource_garbage),
	world_test(a32_resource_of_another_device),
	world_test(a33_resource_of_another_client),
	world_test(a34_resource_of_another_type),
	world_test(a35_share_token_as_resource),
	world_test(a37_emptied_resource),
	world_test(a38_only_this_opening_dies),
	world_test(a39_openings_outlive_the_original),
	world_test(a40_token_outlives_the_original),
	world_test(a40_token_ends_with_its_holder),
};

WORLD_MAIN("destroy_resource")
