/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layer L5: B40 to B42, with a driver whose resources are allocations of the
 * daemon, so that what the driver says and what really is can be compared:
 * destroying a resource is an L2 destroy, and one that fails is a destroy of a
 * handle that is dead already.
 */
#include "tests/rows/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "tenure/dispenser.h"

struct stage {
	struct party party;
	struct tenure_dispenser *dispenser;
	struct tenure_holder numbers, strings;
	unsigned int n_destroys;
};

static int make(void *context, uint64_t type, struct tenure_made *ret_made)
{
	struct stage *stage = context;
	struct tenure_allocation allocation;
	size_t size = type;
	int status = tenure_allocation_create(
		stage->party.t, stage->party.device, &size, 1, &allocation);

	if (status < 0)
		return status;
	ret_made->id = allocation.value;
	snprintf(ret_made->string, sizeof(ret_made->string), "%" PRIu64,
		 allocation.value);
	return 0;
}

static int end(void *context, uint64_t id)
{
	struct stage *stage = context;
	struct tenure_allocation allocation = { id };

	stage->n_destroys++;
	return tenure_allocation_destroy(stage->party.t, stage->party.device,
					 allocation, 0);
}

static int end_string(void *context, const char *id)
{
	return end(context, strtoull(id, NULL, 10));
}

static const struct tenure_driver numbers = { .create_resource = make,
					      .destroy_resource = end };
static const struct tenure_driver strings = {
	.create_resource = make, .destroy_resource_s = end_string
};

static void stage_begin(struct stage *stage, struct world *world)
{
	memset(stage, 0, sizeof(*stage));
	stage->party = party_new(world);
	assert_ok(tenure_dispenser_create(&stage->dispenser));
	assert_ok(tenure_dispenser_register(stage->dispenser, &numbers, stage,
					    NULL, &stage->numbers));
	assert_ok(tenure_dispenser_register(stage->dispenser, &strings, stage,
					    NULL, &stage->strings));
}

/* A resource of each holder, in the inventory. */
static void pool_one(struct stage *stage, struct tenure_allocation *ret_number,
		     char *ret_string)
{
	struct tenure_dispenser *d = stage->dispenser;

	assert_ok(tenure_dispenser_alloc(d, stage->numbers, PAGE, 0,
					 &ret_number->value));
	assert_ok(tenure_dispenser_free(d, stage->numbers, ret_number->value));
	assert_ok(tenure_dispenser_alloc_s(d, stage->strings, PAGE, 0,
					   ret_string));
	assert_ok(tenure_dispenser_free_s(d, stage->strings, ret_string));
}

static struct tenure_allocation named(const char *string)
{
	return (struct tenure_allocation){ strtoull(string, NULL, 10) };
}

static void b40_an_id_of_the_right_kind(void **state)
{
	struct stage s;
	struct tenure_allocation number;
	char string[TENURE_DISPENSER_STRING_BYTES];

	stage_begin(&s, *state);
	pool_one(&s, &number, string);
	assert_allocation_alive(&s.party, number);
	assert_ok(tenure_dispenser_request_destroy(s.dispenser, s.numbers,
						   number.value));
	assert_allocation_dead(&s.party, number);
	assert_allocation_alive(&s.party, named(string));
	assert_ok(tenure_dispenser_request_destroy_s(s.dispenser, s.strings,
						     string));
	assert_allocation_dead(&s.party, named(string));
	assert_refused(&s.party,
		       tenure_dispenser_request_destroy(s.dispenser, s.numbers,
							number.value),
		       -EINVAL, TENURE_REASON_ID_UNKNOWN);
	assert_int_equal(s.n_destroys, 2);
	assert_ok(tenure_dispenser_destroy(s.dispenser));
	row_proved("B40");
}

static void b41_an_id_of_the_other_kind(void **state)
{
	struct stage s;
	struct tenure_allocation number;
	char string[TENURE_DISPENSER_STRING_BYTES];

	stage_begin(&s, *state);
	pool_one(&s, &number, string);
	assert_refused(&s.party,
		       tenure_dispenser_request_destroy(s.dispenser, s.strings,
							named(string).value),
		       -ENOTSUP, TENURE_REASON_ID_KIND);
	assert_refused(&s.party,
		       tenure_dispenser_request_destroy_s(s.dispenser,
							  s.numbers, "1"),
		       -ENOTSUP, TENURE_REASON_ID_KIND);
	assert_int_equal(s.n_destroys, 0);
	assert_allocation_alive(&s.party, number);
	assert_allocation_alive(&s.party, named(string));
	assert_ok(tenure_dispenser_destroy(s.dispenser));
	assert_int_equal(s.n_destroys, 2);
	row_proved("B41");
}

static void b42_the_driver_fails(void **state)
{
	struct stage s;
	struct tenure_allocation number;
	struct tenure_dispenser_stat stat;
	char string[TENURE_DISPENSER_STRING_BYTES];
	uint64_t other;

	stage_begin(&s, *state);
	pool_one(&s, &number, string);
	/* Behind the dispenser's back: its own destroy will be refused. */
	assert_ok(destroy_list(&s.party, &number, 1));
	assert_refused(&s.party,
		       tenure_dispenser_request_destroy(s.dispenser, s.numbers,
							number.value),
		       -EIO, TENURE_REASON_DRIVER_FAILED);
	assert_ok(tenure_dispenser_stat(s.dispenser, s.numbers, &stat));
	assert_int_equal(stat.free, 0);
	assert_int_equal(stat.broken, 1);
	assert_int_equal(stat.destroy_failures, 1);
	assert_int_equal(s.n_destroys, 1);
	assert_ok(tenure_dispenser_alloc(s.dispenser, s.numbers, PAGE, 0,
					 &other));
	assert_int_not_equal(other, number.value);
	/* Retried at close: once more, and again in vain. */
	assert_refused(&s.party,
		       tenure_dispenser_free(s.dispenser, s.numbers,
					     number.value),
		       -EINVAL, TENURE_REASON_ID_UNKNOWN);
	assert_int_equal(tenure_dispenser_close(s.dispenser, s.numbers), -EIO);
	assert_int_equal(s.n_destroys, 3);
	assert_ok(tenure_dispenser_destroy(s.dispenser));
	assert_int_equal(s.n_destroys, 4);
	row_proved("B42");
}

static const struct CMUnitTest tests[] = {
	world_test(b40_an_id_of_the_right_kind),
	world_test(b41_an_id_of_the_other_kind),
	world_test(b42_the_driver_fails),
};

WORLD_MAIN("dispenser")
