/* SPDX-License-Identifier: Apache-2.0 */
/* The inventory of a state with one of everything, against the backends. */
#include "core/inventory.h"

#include "tests/support/specimen.h"

struct sum {
	uint64_t resources, allocations, retired, bytes, openings, alone;
};

static void add_resource(void *context, const struct inventory_resource *r)
{
	struct sum *sum = context;

	assert_int_not_equal(r->resource, 0);
	sum->resources++;
}

static void add_allocation(void *context, const struct inventory_allocation *a)
{
	struct sum *sum = context;

	sum->allocations++;
	sum->retired += a->retired;
	sum->alone += a->closed_alone;
	sum->bytes += a->size_bytes;
}

static void add_opening(void *context, uint32_t adapter,
			const struct backend_opening *o)
{
	struct sum *sum = context;

	assert_true(adapter < INPROC_ADAPTERS && o->client != 0);
	sum->openings++;
}

static struct sum sum_up(struct inproc *world)
{
	struct sum sum = { 0 };
	const struct inventory_visitor visitor = { &sum, add_resource,
						   add_allocation,
						   add_opening };

	inventory(world_env(world), &visitor);
	return sum;
}

static void expect_backends(struct inproc *world, const struct sum *sum)
{
	struct sum all = { 0 };

	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++) {
		const struct checking *c = inproc_backend(world, i);

		all.resources += checking_resources(c);
		all.allocations += checking_allocations(c);
		all.bytes += checking_bytes(c);
		all.openings += checking_openings(c);
	}
	assert_int_equal(sum->resources, all.resources);
	assert_int_equal(sum->allocations, all.allocations);
	assert_int_equal(sum->bytes, all.bytes);
	assert_int_equal(sum->openings, all.openings);
}

static void g1_is_what_the_backends_have(void **state)
{
	struct specimen *sp = *state;
	struct sum sum = sum_up(sp->world);

	expect_backends(sp->world, &sum);
	assert_true(sum.retired >= 3);
}

static void g1_orphans_have_left_their_opening(void **state)
{
	struct specimen *sp = *state;
	struct sum sum;

	inproc_releases(sp->world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_destroy(&sp->maker, 0, sp->child, 2, 0), 0);
	sum = sum_up(sp->world);
	expect_backends(sp->world, &sum);
	assert_int_equal(sum.alone, 2);
	/* The backend asserts that it is so. */
	inproc_recover(sp->world, false);
	sum = sum_up(sp->world);
	expect_backends(sp->world, &sum);
}

#define WITH_SPECIMEN(test) \
	cmocka_unit_test_setup_teardown(test, specimen_setup, specimen_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SPECIMEN(g1_is_what_the_backends_have),
		WITH_SPECIMEN(g1_orphans_have_left_their_opening),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
