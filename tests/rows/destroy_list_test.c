/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table A, destroys that name a list of allocations: A15, A50 to A65.
 */
#include "tests/rows/world.h"

#include "tests/support/random.h"

enum { N = 8 };

static void a15_list_of_all_good(void **state)
{
	struct party p = party_new(*state);
	struct tenure_stat before = party_stat(&p);
	static struct tenure_allocation list[1024];
	const unsigned int counts[] = { 1, 2, 63, 64, 65, 1023, 1024 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		make_allocations(&p, counts[i], list);
		assert_ok(destroy_list(&p, list, counts[i]));
		assert_allocation_dead(&p, list[0]);
		assert_allocation_dead(&p, list[counts[i] / 2]);
		assert_allocation_dead(&p, list[counts[i] - 1]);
		expect_same_stat(&before, &p, __FILE__, __LINE__);
	}
	assert_stores(p.world, 0);
	row_proved("A15");
}

static void a50_device_owned_only(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation first[3], second[3], mixed[4];

	make_allocations(&p, 3, first);
	make_allocations(&p, 3, second);
	mixed[0] = first[2];
	mixed[1] = second[0];
	mixed[2] = first[0];
	mixed[3] = second[1];
	assert_ok(destroy_list(&p, mixed, 4));
	assert_int_equal(party_stat(&p).allocations, 2);
	assert_allocation_dead(&p, first[0]);
	assert_allocation_alive(&p, first[1]);
	assert_allocation_alive(&p, second[2]);
	assert_ok(tenure_allocation_destroy(p.t, p.device, first[1], 0));
	assert_ok(tenure_allocation_destroy(p.t, p.device, second[2], 0));
	assert_stores(p.world, 0);
	row_proved("A50");
}

static void a51_subset_of_a_private_resource(void **state)
{
	struct party p = party_new(*state);
	struct tenure_stat before = party_stat(&p);
	struct tenure_allocation child[N], subset[3];
	struct tenure_resource resource = make_resource(&p, 0, N, child);

	subset[0] = child[6];
	subset[1] = child[0];
	subset[2] = child[3];
	assert_ok(destroy_list(&p, subset, 3));
	assert_allocation_dead(&p, child[3]);
	assert_allocation_alive(&p, child[1]);
	assert_allocation_alive(&p, child[7]);
	assert_int_equal(party_stat(&p).resources, 1);
	assert_int_equal(party_stat(&p).allocations, N - 3);
	/* All the others: the resource survives empty. */
	subset[0] = child[1];
	subset[1] = child[2];
	assert_ok(destroy_list(&p, subset, 2));
	assert_ok(destroy_list(&p, &child[4], 2));
	assert_ok(destroy_list(&p, &child[7], 1));
	assert_int_equal(party_stat(&p).allocations, 0);
	assert_int_equal(party_stat(&p).resources, 1);
	assert_ok(destroy_resource(&p, resource.value));
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	row_proved("A51");
}

static void a52_two_resources(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation list[4];
	struct tenure_resource first = make_resource(&p, 0, 2, list);
	struct tenure_resource second = make_resource(&p, 0, 2, &list[2]);

	assert_refused_at(&p, destroy_list(&p, list, 4), -EINVAL,
			  TENURE_REASON_ENTRY_OTHER_RESOURCE, 2);
	assert_refused_at(&p, destroy_list(&p, &list[1], 2), -EINVAL,
			  TENURE_REASON_ENTRY_OTHER_RESOURCE, 1);
	assert_allocation_alive(&p, list[0]);
	assert_ok(destroy_resource(&p, first.value));
	assert_ok(destroy_resource(&p, second.value));
	row_proved("A52");
}

static void a53_mixed_owners(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation list[3], swapped[2];
	struct tenure_resource resource = make_resource(&p, 0, 2, list);

	list[2] = make_allocation(&p, PAGE);
	assert_refused_at(&p, destroy_list(&p, list, 3), -EINVAL,
			  TENURE_REASON_ENTRY_MIXED_OWNERS, 2);
	swapped[0] = list[2];
	swapped[1] = list[0];
	assert_refused_at(&p, destroy_list(&p, swapped, 2), -EINVAL,
			  TENURE_REASON_ENTRY_MIXED_OWNERS, 1);
	assert_allocation_alive(&p, list[2]);
	assert_ok(destroy_list(&p, &list[2], 1));
	assert_ok(destroy_list(&p, list, 2));
	assert_ok(destroy_resource(&p, resource.value));
	row_proved("A53");
}

static void a54_entry_of_a_shared_resource(void **state)
{
	struct party p = party_new(*state), reader = party_new(*state);
	struct tenure_allocation child[2], opened[2], list[2];
	struct tenure_resource resource =
		make_resource(&p, TENURE_CREATE_SHARED, 2, child);
	struct tenure_token token = make_token(&p, resource, TENURE_RIGHT_READ);
	struct tenure_resource opening =
		open_token(&reader, &token, 0, 2, opened);

	assert_refused_at(&p, destroy_list(&p, child, 2), -EINVAL,
			  TENURE_REASON_ENTRY_OF_SHARED, 0);
	list[0] = make_allocation(&p, PAGE);
	list[1] = child[1];
	assert_refused_at(&p, destroy_list(&p, list, 2), -EINVAL,
			  TENURE_REASON_ENTRY_OF_SHARED, 1);
	assert_refused_at(&reader, destroy_list(&reader, opened, 2), -EINVAL,
			  TENURE_REASON_ENTRY_OF_SHARED, 0);
	assert_refused_at(&reader, destroy_list(&reader, &opened[1], 1),
			  -EINVAL, TENURE_REASON_ENTRY_OF_SHARED, 0);
	assert_allocation_alive(&p, child[1]);
	assert_allocation_alive(&reader, opened[0]);
	assert_ok(destroy_resource(&reader, opening.value));
	assert_ok(destroy_resource(&p, resource.value));
	/* It was never shared with anybody, and that changes nothing. */
	resource = make_resource(&p, TENURE_CREATE_SHARED, 2, child);
	assert_refused_at(&p, destroy_list(&p, child, 1), -EINVAL,
			  TENURE_REASON_ENTRY_OF_SHARED, 0);
	row_proved("A54");
}

static void a55_entry_of_another_device(void **state)
{
	struct party p = party_new(*state);
	struct party second = party_second_device(&p);
	struct tenure_allocation list[3];

	make_allocations(&p, 2, list);
	list[2] = make_allocation(&second, PAGE);
	assert_refused_at(&p, destroy_list(&p, list, 3), -EINVAL,
			  TENURE_REASON_OTHER_DEVICE, 2);
	assert_refused_at(&second, destroy_list(&second, list, 3), -EINVAL,
			  TENURE_REASON_OTHER_DEVICE, 0);
	assert_allocation_alive(&p, list[0]);
	assert_allocation_alive(&second, list[2]);
	assert_ok(destroy_list(&second, &list[2], 1));
	row_proved("A55");
}

/* The bad entry at every position of a list of N, in turn. */
static void assert_bad_entry(const struct party *party,
			     struct tenure_allocation bad,
			     enum tenure_reason reason)
{
	struct tenure_allocation good[N], list[N];
	int i;

	make_allocations(party, N, good);
	for (i = 0; i < N; i++) {
		memcpy(list, good, sizeof(list));
		list[i] = bad;
		assert_refused_at(party, destroy_list(party, list, N), -EINVAL,
				  reason, i);
		assert_refused_at(party, destroy_list(party, list, i + 1),
				  -EINVAL, reason, i);
	}
	for (i = 0; i < N; i++)
		assert_allocation_alive(party, good[i]);
	assert_ok(destroy_list(party, good, N));
}

static void a56_entry_zero(void **state)
{
	struct party p = party_new(*state);

	assert_bad_entry(&p, (struct tenure_allocation){ 0 },
			 TENURE_REASON_ENTRY_ZERO);
	row_proved("A56");
}

static void a57_stale_entry(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation stale = make_allocation(&p, PAGE);

	assert_ok(destroy_list(&p, &stale, 1));
	assert_bad_entry(&p, stale, TENURE_REASON_ENTRY_INVALID);
	/* Never issued is the same. */
	stale.value ^= UINT64_C(5) << 40;
	assert_bad_entry(&p, stale, TENURE_REASON_ENTRY_INVALID);
	stale.value = UINT64_MAX;
	assert_bad_entry(&p, stale, TENURE_REASON_ENTRY_INVALID);
	row_proved("A57");
}

static void a58_entry_of_another_type(void **state)
{
	struct party p = party_new(*state);
	struct tenure_resource resource = make_resource(&p, 0, 1, NULL);
	const uint64_t wrong[] = { resource.value, p.device.value,
				   p.adapter.value };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_bad_entry(&p, (struct tenure_allocation){ wrong[i] },
				 TENURE_REASON_WRONG_TYPE);
	assert_ok(destroy_resource(&p, resource.value));
	row_proved("A58");
}

static void a59_all_or_nothing(void **state)
{
	struct party p = party_new(*state);
	static struct tenure_allocation list[1024];
	const int positions[] = { 0, 1, 511, 512, 1022, 1023 };
	struct tenure_allocation kept;
	unsigned int i;

	make_allocations(&p, 1024, list);
	for (i = 0; i < ARRAY_SIZE(positions); i++) {
		kept = list[positions[i]];
		list[positions[i]].value ^= UINT64_C(9) << 50;
		assert_refused_at(&p, destroy_list(&p, list, 1024), -EINVAL,
				  TENURE_REASON_ENTRY_INVALID, positions[i]);
		list[positions[i]] = kept;
	}
	/* With two bad ones the first is named. */
	kept = list[900];
	list[900].value = 0;
	list[901].value = 1;
	assert_refused_at(&p, destroy_list(&p, list, 1024), -EINVAL,
			  TENURE_REASON_ENTRY_ZERO, 900);
	list[900] = kept;
	assert_refused_at(&p, destroy_list(&p, list, 1024), -EINVAL,
			  TENURE_REASON_ENTRY_INVALID, 901);
	assert_ok(destroy_list(&p, list, 901));
	assert_int_equal(party_stat(&p).allocations, 1024 - 901);
	row_proved("A59");
}

static void a60_the_same_handle_twice(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own[3], list[4], child[2];
	struct tenure_resource resource = make_resource(&p, 0, 2, child);

	make_allocations(&p, 3, own);
	list[0] = list[1] = own[0];
	assert_refused_at(&p, destroy_list(&p, list, 2), -EINVAL,
			  TENURE_REASON_ENTRY_TWICE, 1);
	memcpy(list, own, sizeof(own));
	list[3] = own[0];
	assert_refused_at(&p, destroy_list(&p, list, 4), -EINVAL,
			  TENURE_REASON_ENTRY_TWICE, 3);
	list[2] = own[1];
	list[3].value = 0;
	assert_refused_at(&p, destroy_list(&p, list, 4), -EINVAL,
			  TENURE_REASON_ENTRY_TWICE, 2);
	list[0] = child[1];
	list[1] = child[0];
	list[2] = child[1];
	assert_refused_at(&p, destroy_list(&p, list, 3), -EINVAL,
			  TENURE_REASON_ENTRY_TWICE, 2);
	assert_ok(destroy_list(&p, own, 3));
	assert_ok(destroy_resource(&p, resource.value));
	row_proved("A60");
}

static void a61_entry_currently_mapped(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation own = make_allocation(&p, PAGE), child[2];
	struct tenure_resource resource = make_resource(&p, 0, 2, child);
	void *pointer;
	size_t size;
	int i;

	for (i = 0; i < 3; i++)
		assert_ok(tenure_map(p.t, p.device, own,
				     TENURE_MAP_READ | TENURE_MAP_WRITE,
				     &pointer, &size));
	assert_ok(tenure_map(p.t, p.device, child[0], TENURE_MAP_READ, &pointer,
			     &size));
	assert_ok(destroy_list(&p, &own, 1));
	assert_ok(destroy_list(&p, child, 1));
	assert_allocation_dead(&p, own);
	/* The count of maps has died with it. */
	assert_refused(&p, tenure_unmap(p.t, p.device, own), -EINVAL,
		       TENURE_REASON_ALLOCATION_INVALID);
	assert_ok(tenure_map(p.t, p.device, child[1], TENURE_MAP_READ, &pointer,
			     &size));
	assert_ok(destroy_resource(&p, resource.value));
	assert_stores(p.world, 0);
	row_proved("A61");
}

static void a64_entries_of_a_destroyed_resource(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation child[3];
	struct tenure_resource resource = make_resource(&p, 0, 3, child);

	assert_ok(destroy_resource(&p, resource.value));
	assert_refused_at(&p, destroy_list(&p, child, 3), -EINVAL,
			  TENURE_REASON_ENTRY_INVALID, 0);
	assert_refused_at(&p, destroy_list(&p, &child[2], 1), -EINVAL,
			  TENURE_REASON_ENTRY_INVALID, 0);
	row_proved("A64");
}

static void a65_order_is_irrelevant(void **state)
{
	struct party p = party_new(*state);
	struct tenure_stat before;
	struct random random = { 65 };
	struct tenure_allocation list[N];
	unsigned int round, i;

	before = party_stat(&p);
	for (round = 0; round < 40; round++) {
		struct tenure_resource resource = { 0 };

		if (round & 1)
			resource = make_resource(&p, 0, N, list);
		else
			make_allocations(&p, N, list);
		for (i = N - 1; i > 0; i--) {
			unsigned int j = random_below(&random, i + 1);
			struct tenure_allocation swap = list[i];

			list[i] = list[j];
			list[j] = swap;
		}
		assert_ok(destroy_list(&p, list, N));
		for (i = 0; i < N; i++)
			assert_allocation_dead(&p, list[i]);
		if (resource.value)
			assert_ok(destroy_resource(&p, resource.value));
	}
	expect_same_stat(&before, &p, __FILE__, __LINE__);
	row_proved("A65");
}

/* The legal flags on real lists: the reply comes, the handles are dead. */
static void legal_flags_destroy(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation list[N];
	unsigned int flags;

	for (flags = 0; flags < 4; flags++) {
		struct tenure_resource resource;

		make_allocations(&p, N, list);
		assert_ok(destroy(&p, 0, list, N, flags));
		assert_allocation_dead(&p, list[1]);
		resource = make_resource(&p, 0, N, list);
		assert_ok(destroy(&p, resource.value, NULL, 0, flags));
		assert_resource_dead(&p, resource);
	}
	assert_stores(p.world, 0);
}

static const struct CMUnitTest tests[] = {
	world_test(a15_list_of_all_good),
	world_test(a50_device_owned_only),
	world_test(a51_subset_of_a_private_resource),
	world_test(a52_two_resources),
	world_test(a53_mixed_owners),
	world_test(a54_entry_of_a_shared_resource),
	world_test(a55_entry_of_another_device),
	world_test(a56_entry_zero),
	world_test(a57_stale_entry),
	world_test(a58_entry_of_another_type),
	world_test(a59_all_or_nothing),
	world_test(a60_the_same_handle_twice),
	world_test(a61_entry_currently_mapped),
	world_test(a64_entries_of_a_destroyed_resource),
	world_test(a65_order_is_irrelevant),
	world_test(legal_flags_destroy),
};

WORLD_MAIN("destroy_list")
