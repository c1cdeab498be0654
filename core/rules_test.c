/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rules.h"

#include <sys/mman.h>

#include "tests/support/random.h"
#include "tests/support/seat.h"

/* Alice with two devices and one of everything; Bob with a device. */
struct stage {
	struct inproc *world;
	struct seat alice, bob;
	uint64_t second; /* Alice's other device */
	uint64_t removed; /* and one whose adapter has stopped */
	uint64_t own[8]; /* of the device */
	uint64_t private, child[8];
	uint64_t other, other_child[2]; /* another private resource */
	uint64_t shared, shared_child[2];
	uint64_t opened, opened_child[2]; /* the same, opened by herself */
	uint64_t token[2];
	uint64_t foreign[2]; /* of the second device */
	uint64_t foreign_resource;
	uint64_t bobs, bobs_resource;
	uint64_t stale, stale_resource, stale_device;
	struct rules_scratch scratch;
	struct destroy_verdict verdict;
};

static void fill_devices(struct stage *s)
{
	struct seat *a = &s->alice;
	uint64_t other_adapter, first = a->device;

	assert_int_equal(seat_device_create(a, a->adapter, &s->second), 0);
	assert_int_equal(seat_device_create(a, a->adapter, &s->stale_device),
			 0);
	assert_int_equal(seat_device_destroy(a, s->stale_device), 0);
	assert_int_equal(seat_adapter_open(a, "other", &other_adapter), 0);
	assert_int_equal(seat_device_create(a, other_adapter, &s->removed), 0);
	assert_int_equal(
		seat_event(a, WIRE_TEST_ADAPTER_STOP, 0, other_adapter), 0);
	a->device = s->second;
	assert_int_equal(seat_create(a, 0, 0, 2, NULL, s->foreign), 0);
	assert_int_equal(seat_create(a, 0, TENURE_CREATE_RESOURCE, 1,
				     &s->foreign_resource, NULL),
			 0);
	a->device = first;
}

static void fill_first_device(struct stage *s)
{
	const uint32_t shared = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED;
	struct seat *a = &s->alice;

	assert_int_equal(seat_create(a, 0, 0, 8, NULL, s->own), 0);
	assert_int_equal(seat_create(a, 0, TENURE_CREATE_RESOURCE, 8,
				     &s->private, s->child),
			 0);
	assert_int_equal(seat_create(a, 0, TENURE_CREATE_RESOURCE, 2, &s->other,
				     s->other_child),
			 0);
	assert_int_equal(
		seat_create(a, 0, shared, 2, &s->shared, s->shared_child), 0);
	assert_int_equal(seat_share(a, s->shared, TENURE_RIGHT_READ, s->token),
			 0);
	assert_int_equal(seat_open(a, s->token, 2, &s->opened, s->opened_child),
			 0);
	assert_int_equal(seat_create(a, 0, TENURE_CREATE_RESOURCE, 1,
				     &s->stale_resource, &s->stale),
			 0);
	assert_int_equal(seat_destroy(a, s->stale_resource, NULL, 0, 0), 0);
}

static int set_up(void **state)
{
	static struct stage s;

	memset(&s, 0, sizeof(s));
	s.world = inproc_new(NULL);
	seat_take(&s.alice, s.world);
	seat_take(&s.bob, s.world);
	fill_devices(&s);
	fill_first_device(&s);
	assert_int_equal(seat_create(&s.bob, 0, TENURE_CREATE_RESOURCE, 1,
				     &s.bobs_resource, &s.bobs),
			 0);
	s.scratch.multiplier = 2654435769u;
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *s = *state;

	inproc_free(s->world);
	return 0;
}

/* Judges, and asserts G1: nothing but the scratch has changed. */
static const struct outcome *judge(struct stage *s,
				   const struct destroy_args *args)
{
	struct image *image = image_take(s->world);

	rules_destroy(world_region(s->world), s->alice.client, args,
		      &s->scratch, &s->verdict);
	image_same(s->world, image);
	return &s->verdict.outcome;
}

static void expect_refusal(struct stage *s, const struct destroy_args *args,
			   int status, enum tenure_reason reason,
			   uint32_t index, const char *what)
{
	const struct outcome *o = judge(s, args);

	if (o->status != status || o->reason != reason || o->index != index)
		fail_msg("%s: status %d, reason %d, entry %d", what, o->status,
			 (int)o->reason, (int)o->index);
	assert_false(o->kill);
	assert_false(o->later);
}

static struct destroy_args no_list(uint64_t device, uint64_t resource,
				   uint32_t count)
{
	return (struct destroy_args){ .device = device,
				      .resource = resource,
				      .count = count };
}

static struct destroy_args with_list(uint64_t device, const uint64_t *list,
				     uint32_t count)
{
	return (struct destroy_args){ .device = device,
				      .list = list,
				      .list_bytes = count * sizeof(*list),
				      .count = count };
}

static void g1_a03_to_a07_the_device(void **state)
{
	struct stage *s = *state;
	const struct {
		const char *what;
		uint64_t device;
		int status;
		enum tenure_reason reason;
	} rows[] = {
		{ "A03", 0, -EINVAL, TENURE_REASON_DEVICE_INVALID },
		{ "A04 never issued", 0x123456789, -EINVAL,
		  TENURE_REASON_DEVICE_INVALID },
		{ "A04 destroyed", s->stale_device, -EINVAL,
		  TENURE_REASON_DEVICE_INVALID },
		{ "A05 adapter", s->alice.adapter, -EINVAL,
		  TENURE_REASON_WRONG_TYPE },
		{ "A05 resource", s->private, -EINVAL,
		  TENURE_REASON_WRONG_TYPE },
		{ "A05 allocation", s->own[0], -EINVAL,
		  TENURE_REASON_WRONG_TYPE },
		{ "A06", s->bob.device, -EINVAL, TENURE_REASON_DEVICE_INVALID },
		{ "A06 no oracle", s->bobs_resource, -EINVAL,
		  TENURE_REASON_DEVICE_INVALID },
		{ "A07", s->removed, -ENODEV, TENURE_REASON_DEVICE_REMOVED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct destroy_args shapes[] = {
			no_list(rows[i].device, 0, 0),
			no_list(rows[i].device, s->private, 0),
			with_list(rows[i].device, s->own, 8),
			with_list(rows[i].device, s->own, 0),
		};

		for (size_t k = 0; k < ARRAY_SIZE(shapes); k++)
			expect_refusal(s, &shapes[k], rows[i].status,
				       rows[i].reason, WIRE_NO_INDEX,
				       rows[i].what);
	}
}

static void g1_a08_a_device_in_error(void **state)
{
	struct destroy_args args;
	struct stage *s = *state;

	assert_int_equal(seat_event(&s->alice, WIRE_TEST_DEVICE_ERROR,
				    s->alice.device, 0),
			 0);
	args = with_list(s->alice.device, s->own, 8);
	assert_int_equal(judge(s, &args)->status, 0);
	assert_int_equal(s->verdict.action, DESTROY_LIST);
}

static void g1_a10_to_a19_the_shape(void **state)
{
	struct stage *s = *state;
	uint64_t device = s->alice.device;
	struct destroy_args a10 = no_list(device, 0, 0);
	struct destroy_args a11 = with_list(device, s->own, 0);
	struct destroy_args a12 = no_list(device, 0, 1);
	struct destroy_args a13 = with_list(device, s->own, 8);
	struct destroy_args a14 = with_list(device, s->own, 1025);
	struct destroy_args a19 = with_list(device, s->own, 1);
	struct destroy_args a17 = no_list(device, s->private, UINT32_MAX);

	for (uint32_t flags = 0; flags < 4; flags++) {
		a10.flags = a11.flags = flags; /* A76 */
		assert_int_equal(judge(s, &a10)->status, 0);
		assert_int_equal(s->verdict.action, DESTROY_NOTHING);
		assert_int_equal(judge(s, &a11)->status, 0);
		assert_int_equal(s->verdict.action, DESTROY_NOTHING);
	}
	expect_refusal(s, &a12, -EINVAL, TENURE_REASON_LIST_MISSING,
		       WIRE_NO_INDEX, "A12");
	for (a13.list_bytes = 0; a13.list_bytes < 64; a13.list_bytes++)
		expect_refusal(s, &a13, -EINVAL, TENURE_REASON_LIST_TRUNCATED,
			       WIRE_NO_INDEX, "A13");
	expect_refusal(s, &a14, -EINVAL, TENURE_REASON_LIST_TOO_LONG,
		       WIRE_NO_INDEX, "A14");
	a14.count = UINT32_MAX;
	expect_refusal(s, &a14, -EINVAL, TENURE_REASON_LIST_TOO_LONG,
		       WIRE_NO_INDEX, "A14, any number");
	a19.resource = s->private;
	expect_refusal(s, &a19, -EINVAL, TENURE_REASON_RESOURCE_AND_LIST,
		       WIRE_NO_INDEX, "A19");
	a19.count = 0;
	assert_int_equal(judge(s, &a19)->status, 0); /* A18 */
	assert_int_equal(s->verdict.action, DESTROY_RESOURCE);
	assert_int_equal(judge(s, &a17)->status, 0);
	assert_int_equal(s->verdict.resource,
			 seat_slot_index(&s->alice, s->private));
}

static void g1_a30_to_a40_the_resource(void **state)
{
	struct stage *s = *state;
	const struct {
		const char *what;
		uint64_t resource;
		enum tenure_reason reason;
	} bad[] = {
		{ "A30", s->stale_resource, TENURE_REASON_RESOURCE_INVALID },
		{ "A31", 0xdeadbeef, TENURE_REASON_RESOURCE_INVALID },
		{ "A31 all ones", UINT64_MAX, TENURE_REASON_RESOURCE_INVALID },
		{ "A32", s->foreign_resource, TENURE_REASON_OTHER_DEVICE },
		{ "A33", s->bobs_resource, TENURE_REASON_RESOURCE_INVALID },
		{ "A34 allocation", s->child[0], TENURE_REASON_WRONG_TYPE },
		{ "A34 device", s->alice.device, TENURE_REASON_WRONG_TYPE },
		{ "A34 adapter", s->alice.adapter, TENURE_REASON_WRONG_TYPE },
		{ "A35", s->token[0], TENURE_REASON_RESOURCE_INVALID },
		{ "A35 other half", s->token[1],
		  TENURE_REASON_RESOURCE_INVALID },
	};
	const uint64_t good[] = { s->private, s->other, s->shared, s->opened };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct destroy_args args =
			no_list(s->alice.device, bad[i].resource, 0);

		expect_refusal(s, &args, -EINVAL, bad[i].reason, WIRE_NO_INDEX,
			       bad[i].what);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct destroy_args args = no_list(s->alice.device, good[i], 0);

		assert_int_equal(judge(s, &args)->status, 0);
		assert_int_equal(s->verdict.action, DESTROY_RESOURCE);
		assert_int_equal(s->verdict.resource,
				 seat_slot_index(&s->alice, good[i]));
	}
}

static void g1_a52_to_a58_each_bad_entry_at_each_place(void **state)
{
	enum { N = 6 };
	struct stage *s = *state;
	const struct {
		const char *what;
		uint64_t entry;
		enum tenure_reason reason;
	} bad[] = {
		{ "A53", s->child[0], TENURE_REASON_ENTRY_MIXED_OWNERS },
		{ "A54 shared", s->shared_child[0],
		  TENURE_REASON_ENTRY_OF_SHARED },
		{ "A54 opened", s->opened_child[1],
		  TENURE_REASON_ENTRY_OF_SHARED },
		{ "A55", s->foreign[0], TENURE_REASON_OTHER_DEVICE },
		{ "A56", 0, TENURE_REASON_ENTRY_ZERO },
		{ "A57", s->stale, TENURE_REASON_ENTRY_INVALID },
		{ "A57 garbage", 0x1122334455667788,
		  TENURE_REASON_ENTRY_INVALID },
		{ "A57 foreign", s->bobs, TENURE_REASON_ENTRY_INVALID },
		{ "A58 resource", s->private, TENURE_REASON_WRONG_TYPE },
		{ "A58 device", s->alice.device, TENURE_REASON_WRONG_TYPE },
		{ "A58 adapter", s->alice.adapter, TENURE_REASON_WRONG_TYPE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (uint32_t at = 0; at < N; at++) {
			struct destroy_args args =
				with_list(s->alice.device, s->own, N);
			uint64_t saved = s->own[at];
			/* Whoever comes first decides which owner it is. */
			bool mixed = bad[i].reason ==
				     TENURE_REASON_ENTRY_MIXED_OWNERS;

			s->own[at] = bad[i].entry;
			expect_refusal(s, &args, -EINVAL, bad[i].reason,
				       mixed && at == 0 ? 1 : at, bad[i].what);
			s->own[at] = saved;
		}
}

static void g1_a52_two_resources(void **state)
{
	struct stage *s = *state;
	uint64_t list[] = { s->child[0], s->child[1], s->other_child[0] };
	struct destroy_args args = with_list(s->alice.device, list, 3);

	expect_refusal(s, &args, -EINVAL, TENURE_REASON_ENTRY_OTHER_RESOURCE, 2,
		       "A52");
	list[1] = s->own[0];
	expect_refusal(s, &args, -EINVAL, TENURE_REASON_ENTRY_MIXED_OWNERS, 1,
		       "A53 before A52");
}

static void g2_a60_the_same_handle_twice(void **state)
{
	enum { N = 40 };
	struct stage *s = *state;
	struct destroy_args args;
	uint64_t list[N];

	assert_int_equal(seat_create(&s->alice, 0, 0, N, NULL, list), 0);
	args = with_list(s->alice.device, list, N);
	for (uint32_t i = 0; i < N; i++)
		for (uint32_t k = i + 1; k < N; k++) {
			uint64_t saved = list[k];

			list[k] = list[i];
			rules_destroy(world_region(s->world), s->alice.client,
				      &args, &s->scratch, &s->verdict);
			assert_int_equal(s->verdict.outcome.reason,
					 TENURE_REASON_ENTRY_TWICE);
			assert_int_equal(s->verdict.outcome.index, k);
			list[k] = saved;
		}
	assert_int_equal(judge(s, &args)->status, 0);
}

/* A G2 verdict: every slot LIVE, named once, of the device and one parent. */
static void expect_good_list(struct stage *s, const uint64_t *list, uint32_t n)
{
	struct region *region = world_region(s->world);
	uint32_t parent;

	assert_int_equal(s->verdict.outcome.status, 0);
	assert_int_equal(s->verdict.action, DESTROY_LIST);
	assert_int_equal(s->verdict.count, n);
	parent = slot_at(region, s->verdict.slots[0])->allocation.parent;
	for (uint32_t i = 0; i < n; i++) {
		struct slot *slot = slot_at(region, s->verdict.slots[i]);

		assert_int_equal(s->verdict.slots[i],
				 seat_slot_index(&s->alice, list[i]));
		assert_int_equal(slot_state(slot), SLOT_LIVE);
		assert_int_equal(slot_kind(slot), KIND_ALLOCATION);
		assert_int_equal(table_device(region, s->verdict.slots[i]),
				 s->verdict.device);
		assert_int_equal(slot->allocation.parent, parent);
	}
}

static void g2_a15_lists_of_the_longest_kind(void **state)
{
	static uint64_t list[LIST_ENTRIES_MAX];
	struct stage *s = *state;
	struct destroy_args args;
	/* The last multiplier puts every slot into one place of the table. */
	const uint32_t multipliers[] = { 2654435769u, 0x9e3779b1u, 3, 0 };

	assert_int_equal(
		seat_create(&s->alice, 0, 0, LIST_ENTRIES_MAX, NULL, list), 0);
	args = with_list(s->alice.device, list, LIST_ENTRIES_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(multipliers); i++) {
		uint64_t last = list[LIST_ENTRIES_MAX - 1];

		s->scratch.multiplier = multipliers[i];
		judge(s, &args);
		expect_good_list(s, list, LIST_ENTRIES_MAX);
		list[LIST_ENTRIES_MAX - 1] = list[i];
		expect_refusal(s, &args, -EINVAL, TENURE_REASON_ENTRY_TWICE,
			       LIST_ENTRIES_MAX - 1, "A60 at the end");
		list[LIST_ENTRIES_MAX - 1] = last;
	}
}

static void g2_a51_any_subset_of_a_private_resource(void **state)
{
	struct stage *s = *state;

	for (uint32_t set = 1; set < 1u << 8; set++) {
		uint64_t list[8];
		uint32_t n = 0;
		struct destroy_args args;

		for (uint32_t i = 0; i < 8; i++) {
			/* A65: forwards and backwards */
			uint32_t at = set % 2 ? i : 7 - i;

			if (set >> at & 1)
				list[n++] = s->child[at];
		}
		args = with_list(s->alice.device, list, n);
		rules_destroy(world_region(s->world), s->alice.client, &args,
			      &s->scratch, &s->verdict);
		expect_good_list(s, list, n);
	}
}

static void g3_a_list_that_is_not_read(void **state)
{
	struct stage *s = *state;
	uint64_t *nowhere =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct destroy_args a11 = with_list(s->alice.device, nowhere, 0);
	struct destroy_args a14 = with_list(s->alice.device, nowhere, 1025);
	struct destroy_args a18 = with_list(s->alice.device, nowhere, 0);
	struct destroy_args a13 = with_list(s->alice.device, nowhere, 8);
	struct destroy_args device = with_list(0, nowhere, 8);

	assert_ptr_not_equal(nowhere, MAP_FAILED);
	a18.resource = s->private;
	a13.list_bytes--;
	assert_int_equal(judge(s, &a11)->status, 0);
	assert_int_equal(judge(s, &a18)->status, 0);
	assert_int_equal(judge(s, &a14)->status, -EINVAL);
	assert_int_equal(judge(s, &a13)->status, -EINVAL);
	assert_int_equal(judge(s, &device)->status, -EINVAL);
	munmap(nowhere, 4096);
}

static void a74_a75_every_flag(void **state)
{
	struct stage *s = *state;
	struct destroy_args args = with_list(s->alice.device, s->own, 8);

	for (uint32_t bit = 0; bit < 32; bit++) {
		args.flags = UINT32_C(1) << bit;
		if (bit < 2)
			assert_int_equal(judge(s, &args)->status, 0);
		else
			expect_refusal(s, &args, -EINVAL,
				       bit == 31 ?
					       TENURE_REASON_FLAGS_SYSTEM_ONLY :
					       TENURE_REASON_FLAGS_RESERVED,
				       WIRE_NO_INDEX, "A74, A75");
	}
	args.flags = 3; /* A73 */
	assert_int_equal(judge(s, &args)->status, 0);
}

/* Steps of the order of checks, each broken by one change of good arguments. */
enum step { FLAGS, SHAPE, DEVICE, STATE, ENTRY_FIRST, ENTRY_LAST, STEPS };

static const enum tenure_reason step_reason[STEPS] = {
	[FLAGS] = TENURE_REASON_FLAGS_RESERVED,
	[SHAPE] = TENURE_REASON_LIST_TRUNCATED,
	[DEVICE] = TENURE_REASON_DEVICE_INVALID,
	[STATE] = TENURE_REASON_DEVICE_REMOVED,
	[ENTRY_FIRST] = TENURE_REASON_ENTRY_INVALID,
	[ENTRY_LAST] = TENURE_REASON_ENTRY_ZERO,
};

static void when_rules_are_broken_the_first_one_speaks(void **state)
{
	struct stage *s = *state;

	for (uint32_t broken = 1; broken < 1u << STEPS; broken++) {
		uint64_t list[3] = { s->own[0], s->own[1], s->own[2] };
		struct destroy_args args = with_list(s->alice.device, list, 3);
		uint32_t first = (uint32_t)__builtin_ctz(broken);

		if (broken >> FLAGS & 1)
			args.flags = 4;
		if (broken >> SHAPE & 1)
			args.list_bytes--;
		if (broken >> STATE & 1)
			args.device = s->removed;
		if (broken >> DEVICE & 1)
			args.device = s->bob.device;
		if (broken >> ENTRY_FIRST & 1)
			list[1] = s->stale;
		if (broken >> ENTRY_LAST & 1)
			list[2] = 0;
		rules_destroy(world_region(s->world), s->alice.client, &args,
			      &s->scratch, &s->verdict);
		assert_int_equal(s->verdict.outcome.reason, step_reason[first]);
	}
}

static void the_shape_before_device_and_resource(void **state)
{
	struct stage *s = *state;
	struct destroy_args args = with_list(s->bob.device, s->own, 1);

	args.resource = s->bobs_resource;
	expect_refusal(s, &args, -EINVAL, TENURE_REASON_RESOURCE_AND_LIST,
		       WIRE_NO_INDEX, "A19 before A06 and A33");
	args.count = 0;
	expect_refusal(s, &args, -EINVAL, TENURE_REASON_DEVICE_INVALID,
		       WIRE_NO_INDEX, "A06 before A33");
}

/* Every handle of Bob's and every wrong value is one and the same to Alice. */
static void no_oracle_about_others(void **state)
{
	struct stage *s = *state;
	uint64_t secret = seat_session(&s->alice)->secret;
	uint64_t theirs = seat_session(&s->bob)->secret;
	const uint64_t bobs[] = { s->bobs, s->bobs_resource, s->bob.device,
				  s->bob.adapter };

	for (size_t i = 0; i < ARRAY_SIZE(bobs); i++) {
		/* As Bob says it, and as Alice would if she had it. */
		uint64_t list[] = { bobs[i], bobs[i] ^ theirs ^ secret };

		for (size_t k = 0; k < 2; k++) {
			struct destroy_args args =
				with_list(s->alice.device, &list[k], 1);

			expect_refusal(s, &args, -EINVAL,
				       TENURE_REASON_ENTRY_INVALID, 0, "list");
			args = no_list(s->alice.device, list[k], 0);
			expect_refusal(s, &args, -EINVAL,
				       TENURE_REASON_RESOURCE_INVALID,
				       WIRE_NO_INDEX, "resource");
			args = no_list(list[k], 0, 0);
			expect_refusal(s, &args, -EINVAL,
				       TENURE_REASON_DEVICE_INVALID,
				       WIRE_NO_INDEX, "device");
		}
	}
}

#define on_stage(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_stage(g1_a03_to_a07_the_device),
		on_stage(g1_a08_a_device_in_error),
		on_stage(g1_a10_to_a19_the_shape),
		on_stage(g1_a30_to_a40_the_resource),
		on_stage(g1_a52_to_a58_each_bad_entry_at_each_place),
		on_stage(g1_a52_two_resources),
		on_stage(g2_a60_the_same_handle_twice),
		on_stage(g2_a15_lists_of_the_longest_kind),
		on_stage(g2_a51_any_subset_of_a_private_resource),
		on_stage(g3_a_list_that_is_not_read),
		on_stage(a74_a75_every_flag),
		on_stage(when_rules_are_broken_the_first_one_speaks),
		on_stage(the_shape_before_device_and_resource),
		on_stage(no_oracle_about_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
