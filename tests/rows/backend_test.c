/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layer L3: B20 to B25, what the backend is asked to do.
 *
 * In process the checking backend asserts the whole contract at every call,
 * in every test of this folder, and its records say here what the calls were.
 * Through the daemon the same scenarios are seen from outside: by the pages
 * of a mapping that outlived its handle, by the daemon's descriptors, and by
 * its totals.
 */
#include "tests/rows/world.h"

#include "tests/support/checking.h"
#include "tests/support/daemon_process.h"
#include "tests/support/inproc.h"

#include <sys/mman.h>
#include <unistd.h>

enum { PAGES = 4, BYTES = PAGES * PAGE };

/* A talker's resource of three allocations, all mapped and filled. */
struct filled {
	struct talker *talker;
	uint64_t device, resource;
	uint64_t handle[3];
	unsigned char *bytes[3];
};

static void fill(struct filled *f, unsigned int i)
{
	struct wire_request head = { .opcode = WIRE_OP_MAP,
				     .flags = WIRE_MAP_WRITE | WIRE_MAP_WANT_FD,
				     .device = f->device,
				     .object = f->handle[i] };
	struct raw_reply reply;
	void *memory;

	assert_int_equal(talker_ask(f->talker, head, NULL, 0, &reply), 0);
	assert_int_equal(reply.head.value[2], BYTES);
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, reply.fd,
		      (off_t)reply.head.value[1]);
	assert_ptr_not_equal(memory, MAP_FAILED);
	close(reply.fd);
	memset(memory, 0x77, BYTES);
	f->bytes[i] = memory;
}

static struct filled filled_new(struct world *world)
{
	struct filled f = { .talker = talker_new(world) };
	struct wire_allocation sizes[3] = { { .size_bytes = BYTES },
					    { .size_bytes = BYTES },
					    { .size_bytes = BYTES } };
	struct wire_request head = { .opcode = WIRE_OP_CREATE,
				     .flags = TENURE_CREATE_RESOURCE,
				     .count = 3,
				     .args_bytes = sizeof(sizes) };
	struct raw_reply reply;
	unsigned int i;

	f.device = talker_device(f.talker, NULL);
	head.device = f.device;
	assert_int_equal(
		talker_ask(f.talker, head, sizes, sizeof(sizes), &reply), 0);
	f.resource = reply.head.value[0];
	memcpy(f.handle, reply.data, sizeof(f.handle));
	for (i = 0; i < 3; i++)
		fill(&f, i);
	return f;
}

static void filled_free(struct filled *f)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		munmap(f->bytes[i], BYTES);
	talker_free(f->talker);
}

static void destroy_child(struct filled *f, unsigned int i, uint32_t flags)
{
	struct wire_request head = { .opcode = WIRE_OP_DESTROY,
				     .form = WIRE_FORM_LIST,
				     .flags = flags,
				     .device = f->device,
				     .count = 1,
				     .args_bytes = sizeof(f->handle[i]) };

	assert_int_equal(talker_ask(f->talker, head, &f->handle[i],
				    sizeof(f->handle[i]), NULL),
			 0);
}

static void destroy_whole(struct filled *f, uint32_t flags)
{
	struct wire_request head = { .opcode = WIRE_OP_DESTROY,
				     .flags = flags,
				     .device = f->device,
				     .object = f->resource };

	assert_int_equal(talker_ask(f->talker, head, NULL, 0, NULL), 0);
}

static bool all_bytes(const unsigned char *bytes, unsigned char value)
{
	unsigned int i;

	for (i = 0; i < BYTES; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/* The destroy call of so many calls ago; false through the daemon. */
static bool record_of(struct world *world, uint32_t back,
		      struct checking_record *ret)
{
	if (!world->inproc)
		return false;
	assert_true(
		checking_record(inproc_backend(world->inproc, 0), back, ret));
	return true;
}

static void b20_released_inside_the_call(void **state)
{
	struct filled f = filled_new(*state);
	struct checking_record first, second;

	destroy_child(&f, 0, TENURE_DESTROY_SYNCHRONOUS);
	if (!((struct world *)*state)->inproc)
		assert_true(all_bytes(f.bytes[0], 0));
	assert_true(all_bytes(f.bytes[1], 0x77));
	assert_true(all_bytes(f.bytes[2], 0x77));
	if (record_of(*state, 0, &first)) {
		assert_int_equal(first.count, 1);
		assert_int_equal(first.flags, 0);
		assert_int_not_equal(first.resource_in, 0);
		assert_int_not_equal(first.resource_in, first.resource_out);
	}
	/* hResource is in/out: the next call brings the value that came back. */
	destroy_child(&f, 2, TENURE_DESTROY_SYNCHRONOUS);
	if (record_of(*state, 0, &second)) {
		assert_int_equal(second.resource_in, first.resource_out);
		assert_int_equal(second.flags, 0);
	} else {
		assert_true(all_bytes(f.bytes[2], 0));
	}
	assert_true(all_bytes(f.bytes[1], 0x77));
	assert_stores(*state, 1);
	filled_free(&f);
	row_proved("B20");
}

static void b21_resource_goes_too(void **state)
{
	struct filled f = filled_new(*state);
	struct checking_record record;
	struct wire_status before, after;

	world_status(*state, &before);
	destroy_child(&f, 1, TENURE_DESTROY_SYNCHRONOUS);
	destroy_whole(&f, TENURE_DESTROY_SYNCHRONOUS);
	world_status(*state, &after);
	assert_int_equal(after.stores, before.stores - 1);
	assert_int_equal(after.released_bytes_total,
			 before.released_bytes_total + 3 * BYTES);
	if (record_of(*state, 0, &record)) {
		assert_int_equal(record.count, 2);
		assert_int_equal(record.flags, BACKEND_DESTROY_RESOURCE);
		assert_int_not_equal(record.resource_in, 0);
		assert_int_equal(checking_resources(inproc_backend(
					 ((struct world *)*state)->inproc, 0)),
				 0);
	}
	filled_free(&f);
	row_proved("B21");
}

static void b22_resource_object_only(void **state)
{
	struct filled f = filled_new(*state);
	struct checking_record record, before;
	unsigned int i;

	for (i = 0; i < 3; i++)
		destroy_child(&f, i, TENURE_DESTROY_SYNCHRONOUS);
	assert_stores(*state, 0);
	record_of(*state, 0, &before);
	destroy_whole(&f, TENURE_DESTROY_SYNCHRONOUS);
	if (record_of(*state, 0, &record)) {
		assert_int_equal(record.count, 0);
		assert_int_equal(record.flags, BACKEND_DESTROY_RESOURCE);
		assert_int_equal(record.resource_in, before.resource_out);
	}
	filled_free(&f);
	row_proved("B22");
}

static uint64_t destroy_calls(struct world *world)
{
	return world->inproc ? checking_calls(inproc_backend(world->inproc, 0),
					      CHECKING_DESTROY) :
			       0;
}

/* Everything that destroys nothing. */
static void b23_never_nothing(void **state)
{
	struct party p = party_new(*state);
	struct party second = party_second_device(&p);
	uint64_t before = destroy_calls(*state);
	struct wire_status status;
	struct tenure_resource opening, original;
	struct tenure_token token;

	assert_ok(destroy(&p, 0, NULL, 0, 0));
	assert_ok(destroy(&p, 0, NULL, 0, TENURE_DESTROY_SYNCHRONOUS));
	assert_ok(tenure_device_destroy(p.t, second.device));
	original = make_resource(&p, TENURE_CREATE_SHARED, 2, NULL);
	token = make_token(&p, original, TENURE_RIGHT_READ);
	opening = open_token(&p, &token, 0, 2, NULL);
	/* An opening that is not the last one takes nothing with it. */
	assert_ok(destroy(&p, opening.value, NULL, 0,
			  TENURE_DESTROY_SYNCHRONOUS));
	assert_ok(destroy(&p, original.value, NULL, 0,
			  TENURE_DESTROY_SYNCHRONOUS));
	party_stat(&p);
	assert_int_equal(destroy_calls(*state), before);
	world_status(*state, &status);
	assert_int_equal(status.released_bytes_total, 0);
	assert_ok(tenure_token_revoke(p.t, &token));
	assert_stores(*state, 0);
	party_end(&p);
	row_proved("B23");
}

/* Flags of a client stay between the client and the broker. */
static void b24_no_reserved_flags(void **state)
{
	struct checking_record record;
	struct wire_status status;
	uint32_t flags;

	for (flags = 0; flags < 4; flags++) {
		struct filled f = filled_new(*state);
		uint32_t back;

		destroy_child(&f, 0, flags);
		destroy_whole(&f, flags);
		assert_stores(*state, 0);
		for (back = 0; back < 2; back++)
			if (record_of(*state, back, &record))
				assert_int_equal(
					record.flags &
						~BACKEND_DESTROY_RESOURCE,
					0);
		filled_free(&f);
	}
	world_status(*state, &status);
	assert_int_equal(status.release_failures_total, 0);
	row_proved("B24");
}

/* Read-only openings keep a descriptor in the daemon as long as they live. */
static void b25_openings_are_closed_first(void **state)
{
	struct world *world = *state;
	struct party p = party_new(world), reader = party_new(world);
	struct tenure_allocation opened[2];
	struct tenure_resource original =
		make_resource(&p, TENURE_CREATE_SHARED, 2, NULL);
	struct tenure_token token = make_token(&p, original, TENURE_RIGHT_READ);
	struct tenure_resource opening[3];
	unsigned int descriptors = 0, i;
	struct wire_status status;

	if (world->daemon)
		descriptors = daemon_descriptors(world->daemon);
	for (i = 0; i < 3; i++)
		opening[i] =
			open_token(i == 2 ? &p : &reader, &token, 0, 2, opened);
	if (world->inproc)
		assert_int_equal(
			checking_openings(inproc_backend(world->inproc, 0)), 4);
	assert_ok(tenure_token_revoke(p.t, &token));
	assert_ok(destroy_resource(&p, original.value));
	assert_ok(destroy_resource(&p, opening[2].value));
	assert_ok(destroy_resource(&reader, opening[0].value));
	assert_stores(world, 1);
	assert_ok(destroy_resource(&reader, opening[1].value));
	assert_stores(world, 0);
	if (world->inproc)
		assert_int_equal(
			checking_openings(inproc_backend(world->inproc, 0)), 0);
	else
		assert_true(daemon_descriptors(world->daemon) < descriptors);
	world_status(world, &status);
	assert_int_equal(status.released_bytes_total, 2 * PAGE);
	row_proved("B25");
}

/* Many releases of one client: one call at a time, each exactly once. */
static void b25_one_call_at_a_time(void **state)
{
	struct world *world = *state;
	struct party p = party_new(world), q = party_new(world);
	enum { ROUNDS = 50 };
	struct tenure_allocation list[3];
	struct wire_status status;
	unsigned int i;

	if (world->inproc)
		inproc_releases(world->inproc, INPROC_RELEASES_HELD);
	for (i = 0; i < ROUNDS; i++) {
		struct tenure_resource r = make_resource(&p, 0, 3, list);

		assert_ok(destroy_list(&p, list, 1));
		assert_ok(destroy_resource(&p, r.value));
		make_allocations(&q, 2, list);
		assert_ok(destroy_list(&q, list, 2));
	}
	if (world->inproc) {
		inproc_pump_all(world->inproc);
		assert_int_equal(inproc_releases_out(world->inproc), 2);
		inproc_releases(world->inproc, INPROC_RELEASES_PROMPT);
	}
	assert_stores(world, 0);
	world_status(world, &status);
	assert_int_equal(status.released_bytes_total, ROUNDS * 5 * PAGE);
	assert_int_equal(status.release_failures_total, 0);
	row_proved("B25");
}

static const struct CMUnitTest tests[] = {
	world_test(b20_released_inside_the_call),
	world_test(b21_resource_goes_too),
	world_test(b22_resource_object_only),
	world_test(b23_never_nothing),
	world_test(b24_no_reserved_flags),
	world_test(b25_openings_are_closed_first),
	world_test(b25_one_call_at_a_time),
};

WORLD_MAIN("backend")
