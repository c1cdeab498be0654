/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work in flight: A62, A63, A70 to A73, A82, L4's B30 to B32, and what the
 * hierarchy says about contexts (H30 to H35).
 */
#include "tests/rows/work.h"

#include "tests/support/inproc.h"

#include <sys/mman.h>

enum {
	ASSUME = TENURE_DESTROY_ASSUME_NOT_IN_USE,
	SYNC = TENURE_DESTROY_SYNCHRONOUS,
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED,
	ACROSS = TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS,
};

/* Handles that are dead for every request that takes one. */
static void assert_dead(struct worker *w, uint64_t handle)
{
	const struct wire_request map = { .opcode = WIRE_OP_MAP,
					  .device = w->device,
					  .object = handle };

	assert_int_equal(work_ask(w, map, NULL, 0), -EINVAL);
	assert_int_equal(work_destroy(w, 0, &handle, 1, 0), -EINVAL);
	assert_int_equal(w->reply.head.reason, TENURE_REASON_ENTRY_INVALID);
}

/* In use by the processor's tables, given up, or never touched. */
static void a62_resident_evicted_or_offered(void **state)
{
	struct party p = party_new(*state);
	struct tenure_allocation list[4];
	void *pointer;
	size_t size;

	make_allocations(&p, 4, list);
	for (int i = 0; i < 3; i++) {
		assert_ok(tenure_map(p.t, p.device, list[i], TENURE_MAP_WRITE,
				     &pointer, &size));
		if (i > 0)
			memset(pointer, 7, size);
		if (i == 2)
			madvise(pointer, size, MADV_DONTNEED);
	}
	assert_ok(destroy_list(&p, list, 4));
	for (int i = 0; i < 4; i++)
		assert_allocation_dead(&p, list[i]);
	assert_stores(*state, 0);
	party_end(&p);
	row_proved("A62");
}

static void a63_used_by_queued_work(void **state)
{
	struct worker w;
	uint64_t list[3], context;

	worker_take(&w, *state);
	context = work_context(&w);
	work_create(&w, 0, 3, list);
	assert_int_equal(work_submit(&w, context, 1, &list[0], 1), 0);
	assert_int_equal(work_submit(&w, context, 2, &list[1], 1), 0);
	/* Never busy: success at once, and the handles are dead. */
	assert_int_equal(work_destroy(&w, 0, list, 3, 0), 0);
	for (int i = 0; i < 3; i++)
		assert_dead(&w, list[i]);
	assert_int_equal(work_submit(&w, context, 3, list, 1), -EINVAL);
	assert_pages(*state, 2);
	assert_int_equal(work_progress(&w, context, 1), 0);
	assert_pages(*state, 1);
	assert_int_equal(work_progress(&w, context, 2), 0);
	assert_pages(*state, 0);
	worker_leave(&w);
	row_proved("A63");
}

static void a70_deferred_if_in_use(void **state)
{
	struct worker w;
	uint64_t list[4], resource, context[2];

	worker_take(&w, *state);
	context[0] = work_context(&w);
	context[1] = work_context(&w);
	/* Whichever of the two comes first, the other is waited for. */
	for (uint64_t first = 0; first < 2; first++) {
		uint64_t value = 10 * (first + 1);

		resource = work_create(&w, RESOURCE, 4, list);
		assert_int_equal(
			work_submit(&w, context[0], value, &list[1], 1), 0);
		assert_int_equal(
			work_submit(&w, context[1], value, &list[2], 2), 0);
		assert_int_equal(work_destroy(&w, resource, NULL, 0, 0), 0);
		assert_pages(*state, 4);
		assert_int_equal(work_progress(&w, context[first], value), 0);
		assert_pages(*state, 4);
		assert_int_equal(work_progress(&w, context[1 - first], value),
				 0);
		assert_pages(*state, 0);
	}
	worker_leave(&w);
	row_proved("A70");
}

static void a71_assume_not_in_use(void **state)
{
	struct worker w, other;
	uint64_t list[2], mine[2], theirs, token[2], resource, context, opened;

	worker_take(&w, *state);
	worker_take(&other, *state);
	context = work_context(&w);
	theirs = work_context(&other);
	work_create(&w, 0, 2, list);
	assert_int_equal(work_submit(&w, context, 1, list, 2), 0);
	assert_int_equal(work_destroy(&w, 0, list, 2, ASSUME), 0);
	assert_pages(*state, 0);
	/* Openers on other devices keep the memory. */
	resource = work_create(&w, SHARED, 2, list);
	work_share(&w, resource, token);
	opened = work_open(&other, token, 2, mine);
	assert_int_equal(work_submit(&w, context, 2, list, 2), 0);
	assert_int_equal(work_submit(&other, theirs, 1, mine, 1), 0);
	assert_int_equal(work_destroy(&w, resource, NULL, 0, ASSUME), 0);
	assert_pages(*state, 2);
	worker_leave(&w);
	assert_pages(*state, 2);
	assert_int_equal(work_destroy(&other, opened, NULL, 0, 0), 0);
	assert_pages(*state, 2);
	assert_int_equal(work_progress(&other, theirs, 1), 0);
	assert_pages(*state, 0);
	worker_leave(&other);
	row_proved("A71");
}

static void a72_synchronous(void **state)
{
	struct worker w, other;
	uint64_t list[2], token[2], mine[2], resource, opened, context, theirs;
	uint64_t id;

	worker_take(&w, *state);
	worker_take(&other, *state);
	context = work_context(&w);
	theirs = work_context(&other);
	work_create(&w, 0, 2, list);
	assert_int_equal(work_submit(&w, context, 3, list, 1), 0);
	id = work_say_destroy(&w, 0, list, 2, SYNC);
	work_silent(&w, id);
	assert_dead(&w, list[0]);
	assert_int_equal(work_progress(&w, context, 2), 0);
	work_silent(&w, id);
	assert_int_equal(work_progress(&w, context, 3), 0);
	assert_int_equal(work_hear(&w, id), 0);
	assert_pages(*state, 0);
	/* Its own references only, never those of foreign openers. */
	resource = work_create(&w, SHARED, 2, list);
	work_share(&w, resource, token);
	opened = work_open(&other, token, 2, mine);
	assert_int_equal(work_submit(&other, theirs, 1, mine, 2), 0);
	assert_int_equal(work_destroy(&w, resource, NULL, 0, SYNC), 0);
	id = work_say_destroy(&other, opened, NULL, 0, SYNC);
	work_silent(&other, id);
	worker_leave(&w);
	assert_pages(*state, 2);
	assert_int_equal(work_progress(&other, theirs, 1), 0);
	assert_int_equal(work_hear(&other, id), 0);
	assert_pages(*state, 0);
	worker_leave(&other);
	row_proved("A72");
}

static void a73_both(void **state)
{
	struct worker w;
	uint64_t list[2], context;
	struct wire_status status;

	worker_take(&w, *state);
	context = work_context(&w);
	work_create(&w, 0, 2, list);
	assert_int_equal(work_submit(&w, context, 3, list, 2), 0);
	assert_int_equal(work_destroy(&w, 0, list, 2, ASSUME | SYNC), 0);
	/* The memory is back when the call returns. */
	world_status(*state, &status);
	assert_int_equal(status.bytes, 0);
	assert_int_equal(status.stores, 0);
	worker_leave(&w);
	row_proved("A73");
}

/* The wait of a synchronous destroy ends with its device. */
static void a82_destroy_and_device_destroy(void **state)
{
	for (uint32_t flags = 0; flags < 4; flags++) {
		struct worker w;
		uint64_t list[2], context, id, end;
		int status;

		worker_take(&w, *state);
		context = work_context(&w);
		work_create(&w, 0, 2, list);
		assert_int_equal(work_submit(&w, context, 3, list, 2), 0);
		world_freeze(*state);
		id = work_say_destroy(&w, 0, list, 2, flags);
		end = work_say_end_device(&w, TENURE_END_TERMINATE);
		world_thaw(*state);
		status = work_hear(&w, id);
		assert_int_equal(status, flags == SYNC ? -ENODEV : 0);
		assert_int_equal(work_hear(&w, end), 0);
		assert_pages(*state, 0);
		assert_int_equal(work_destroy(&w, 0, list, 2, 0), -EINVAL);
		worker_leave(&w);
	}
	row_proved("A82");
}

static void a82_device_destroy_first(void **state)
{
	struct worker w;
	uint64_t list[2], context, id, end;

	worker_take(&w, *state);
	context = work_context(&w);
	work_create(&w, 0, 2, list);
	assert_int_equal(work_submit(&w, context, 3, list, 2), 0);
	world_freeze(*state);
	end = work_say_end_device(&w, 0);
	id = work_say_destroy(&w, 0, list, 2, 0);
	world_thaw(*state);
	assert_int_equal(work_hear(&w, id), -ENODEV);
	work_silent(&w, end);
	assert_int_equal(work_progress(&w, context, 3), 0);
	assert_int_equal(work_hear(&w, end), 0);
	assert_pages(*state, 0);
	worker_leave(&w);
	row_proved("A82");
}

static void allocate_of_context(struct worker *w, uint64_t context,
				uint32_t flags, uint32_t count,
				uint64_t *ret_handles)
{
	const struct wire_request head = {
		.opcode = WIRE_OP_CONTEXT_ALLOCATION_CREATE,
		.device = w->device,
		.object = context,
		.flags = flags,
		.count = count,
	};
	struct wire_allocation sizes[4] = { { .size_bytes = PAGE },
					    { .size_bytes = PAGE },
					    { .size_bytes = PAGE },
					    { .size_bytes = PAGE } };

	assert_int_equal(work_ask(w, head, sizes, count * sizeof(sizes[0])), 0);
	memcpy(ret_handles, w->reply.data, count * sizeof(uint64_t));
}

static int free_of_context(struct worker *w, uint64_t adapter, uint64_t handle)
{
	const struct wire_request head = {
		.opcode = WIRE_OP_CONTEXT_ALLOCATION_DESTROY,
		.object = adapter,
		.value = { handle },
	};

	return work_ask(w, head, NULL, 0);
}

static void b30_at_any_time(void **state)
{
	struct worker w;
	uint64_t list[3], context;

	worker_take(&w, *state);
	context = work_context(&w);
	allocate_of_context(&w, context, 0, 3, list);
	assert_int_equal(free_of_context(&w, w.adapter, list[0]), 0);
	assert_pages(*state, 2);
	assert_int_equal(work_submit(&w, context, 5, NULL, 0), 0);
	assert_int_equal(free_of_context(&w, w.adapter, list[1]), 0);
	assert_int_equal(free_of_context(&w, w.adapter, list[1]), -EINVAL);
	assert_pages(*state, 2);
	assert_int_equal(work_submit(&w, context, 9, NULL, 0), 0);
	assert_int_equal(work_progress(&w, context, 5), 0);
	assert_pages(*state, 1);
	worker_leave(&w);
	assert_pages(*state, 0);
	row_proved("B30");
}

static void b31_wrong_adapter_stale_ordinary(void **state)
{
	struct worker w, other;
	struct wire_request open = { .opcode = WIRE_OP_ADAPTER_OPEN };
	uint64_t mine, context, ordinary;

	worker_take(&w, *state);
	worker_take(&other, *state);
	context = work_context(&w);
	allocate_of_context(&w, context, 0, 1, &mine);
	work_create(&w, 0, 1, &ordinary);
	assert_int_equal(free_of_context(&w, w.device, mine), -EINVAL);
	assert_int_equal(free_of_context(&w, 0, mine), -EINVAL);
	assert_int_equal(free_of_context(&w, w.adapter, ordinary), -EINVAL);
	assert_int_equal(free_of_context(&w, w.adapter, context), -EINVAL);
	assert_int_equal(free_of_context(&w, w.adapter, 0), -EINVAL);
	assert_int_equal(free_of_context(&w, w.adapter, ~mine), -EINVAL);
	assert_int_equal(free_of_context(&other, other.adapter, mine), -EINVAL);
	assert_int_equal(w.reply.head.reason, TENURE_REASON_ALLOCATION_INVALID);
	/* The list destroy of L2 does not take it either. */
	assert_int_equal(work_destroy(&w, 0, &mine, 1, 0), -EINVAL);
	memcpy(open.value, "other", 5);
	if (work_ask(&w, open, NULL, 0) == 0)
		assert_int_equal(free_of_context(&w, w.reply.head.value[0],
						 mine),
				 -EINVAL);
	assert_int_equal(free_of_context(&w, w.adapter, mine), 0);
	assert_int_equal(free_of_context(&w, w.adapter, mine), -EINVAL);
	worker_leave(&w);
	worker_leave(&other);
	row_proved("B31");
}

static void b32_with_their_context_or_device(void **state)
{
	struct worker w;
	uint64_t list[2], across, a, b;

	worker_take(&w, *state);
	a = work_context(&w);
	b = work_context(&w);
	allocate_of_context(&w, a, 0, 2, list);
	allocate_of_context(&w, a, ACROSS, 1, &across);
	assert_int_equal(work_end_context(&w, a, 0), 0);
	assert_pages(*state, 1);
	assert_int_equal(free_of_context(&w, w.adapter, list[0]), -EINVAL);
	assert_int_equal(work_end_context(&w, b, 0), 0);
	assert_pages(*state, 1);
	assert_int_equal(work_hear(&w, work_say_end_device(&w, 0)), 0);
	assert_pages(*state, 0);
	worker_leave(&w);
	row_proved("B32");
}

static void h30_progress_of_the_owner_only_grows(void **state)
{
	struct worker w, other;
	uint64_t list[2], context;

	worker_take(&w, *state);
	worker_take(&other, *state);
	context = work_context(&w);
	work_create(&w, 0, 2, list);
	/* Work that was never submitted cannot have ended. */
	assert_int_equal(work_progress(&w, context, 100), 0);
	assert_int_equal(work_submit(&w, context, 5, &list[0], 1), 0);
	assert_int_equal(work_submit(&w, context, 9, &list[1], 1), 0);
	assert_int_equal(work_destroy(&w, 0, list, 2, 0), 0);
	assert_int_equal(work_progress(&other, context, 9), -EINVAL);
	assert_pages(*state, 2);
	assert_int_equal(work_progress(&w, context, 5), 0);
	assert_int_equal(work_progress(&w, context, 0), 0);
	assert_pages(*state, 1);
	assert_int_equal(work_submit(&w, context, 8, NULL, 0), -EINVAL);
	assert_int_equal(work_progress(&w, context, UINT64_MAX), 0);
	assert_pages(*state, 0);
	worker_leave(&w);
	worker_leave(&other);
	row_proved("H30");
}

static void h31_a_submit_is_all_or_nothing(void **state)
{
	struct worker w;
	uint64_t list[3], context;

	worker_take(&w, *state);
	context = work_context(&w);
	work_create(&w, 0, 2, list);
	list[2] = context;
	assert_int_equal(work_submit(&w, context, 5, list, 3), -EINVAL);
	assert_int_equal(w.reply.head.reason, TENURE_REASON_WRONG_TYPE);
	assert_int_equal(w.reply.head.index, 2);
	assert_int_equal(work_submit(&w, context, 0, list, 2), -EINVAL);
	assert_int_equal(w.reply.head.reason, TENURE_REASON_VALUE_ZERO);
	/* Nothing was noted: nothing is waited for. */
	assert_int_equal(work_destroy(&w, 0, list, 2, 0), 0);
	assert_pages(*state, 0);
	worker_leave(&w);
	row_proved("H31");
}

/* One that never makes progress, and one that does not notice. */
static void h32_a_stalled_client_delays_only_itself(void **state)
{
	struct worker stalled, w;
	uint64_t list[64], mine[8], context, own, other;

	worker_take(&stalled, *state);
	worker_take(&w, *state);
	context = work_context(&stalled);
	work_create(&stalled, 0, 64, list);
	assert_int_equal(work_submit(&stalled, context, 1, list, 64), 0);
	assert_int_equal(work_destroy(&stalled, 0, list, 64, 0), 0);
	own = work_context(&w);
	for (uint64_t i = 1; i <= 50; i++) {
		work_create(&w, 0, 8, mine);
		assert_int_equal(work_submit(&w, own, i, mine, 8), 0);
		assert_int_equal(work_progress(&w, own, i), 0);
		assert_int_equal(work_destroy(&w, 0, mine, 8, SYNC), 0);
	}
	/* Nor does another context of the stalled client. */
	other = work_context(&stalled);
	work_create(&stalled, 0, 8, mine);
	assert_int_equal(work_submit(&stalled, other, 1, mine, 8), 0);
	assert_int_equal(work_destroy(&stalled, 0, mine, 8, 0), 0);
	assert_int_equal(work_progress(&stalled, other, 1), 0);
	assert_pages(*state, 64);
	worker_leave(&stalled);
	assert_pages(*state, 0);
	worker_leave(&w);
	row_proved("H32");
}

static void h33_context_destroy_waits_for_its_work(void **state)
{
	struct worker w;
	uint64_t list[2], context, id;
	struct wire_request head = { .opcode = WIRE_OP_CONTEXT_DESTROY };

	worker_take(&w, *state);
	context = work_context(&w);
	work_create(&w, 0, 2, list);
	assert_int_equal(work_submit(&w, context, 5, list, 2), 0);
	assert_int_equal(work_destroy(&w, 0, list, 1, 0), 0);
	head.device = w.device;
	head.object = context;
	id = work_say(&w, head, NULL, 0);
	work_silent(&w, id);
	assert_int_equal(work_submit(&w, context, 6, NULL, 0), -EINVAL);
	assert_int_equal(w.reply.head.reason, TENURE_REASON_CONTEXT_ENDING);
	assert_pages(*state, 2);
	assert_int_equal(work_progress(&w, context, 5), 0);
	assert_int_equal(work_hear(&w, id), 0);
	assert_pages(*state, 1);
	/* Or not, when it is asked to. */
	context = work_context(&w);
	assert_int_equal(work_submit(&w, context, 5, &list[1], 1), 0);
	assert_int_equal(work_end_context(&w, context, TENURE_END_TERMINATE),
			 0);
	assert_int_equal(work_destroy(&w, 0, &list[1], 1, SYNC), 0);
	worker_leave(&w);
	row_proved("H33");
}

static void h34_device_destroy_waits_for_the_work_in_flight(void **state)
{
	struct worker w;
	uint64_t list[4], a, b, end, id;

	worker_take(&w, *state);
	a = work_context(&w);
	b = work_context(&w);
	work_create(&w, 0, 2, list);
	work_create(&w, RESOURCE, 2, &list[2]);
	assert_int_equal(work_submit(&w, a, 5, list, 1), 0);
	assert_int_equal(work_submit(&w, b, 5, &list[2], 1), 0);
	assert_int_equal(work_destroy(&w, 0, list, 1, 0), 0);
	end = work_say_end_device(&w, 0);
	work_silent(&w, end);
	/* Nothing goes, not even what no work uses. */
	assert_pages(*state, 4);
	assert_int_equal(work_submit(&w, a, 6, NULL, 0), -ENODEV);
	assert_int_equal(work_progress(&w, a, 5), 0);
	work_silent(&w, end);
	assert_int_equal(work_progress(&w, b, 5), 0);
	assert_int_equal(work_hear(&w, end), 0);
	assert_pages(*state, 0);
	worker_leave(&w);
	worker_take(&w, *state);
	a = work_context(&w);
	work_create(&w, 0, 2, list);
	assert_int_equal(work_submit(&w, a, 5, list, 2), 0);
	id = work_say_destroy(&w, 0, list, 1, SYNC);
	assert_int_equal(
		work_hear(&w, work_say_end_device(&w, TENURE_END_TERMINATE)),
		0);
	assert_int_equal(work_hear(&w, id), -ENODEV);
	assert_pages(*state, 0);
	worker_leave(&w);
	row_proved("H34");
}

static void h35_the_end_of_a_client_ends_its_work(void **state)
{
	struct worker w, other;
	uint64_t list[4], mine[2], token[2], resource, context, opened;

	worker_take(&w, *state);
	worker_take(&other, *state);
	context = work_context(&w);
	resource = work_create(&w, SHARED, 2, list);
	work_create(&w, 0, 2, &list[2]);
	work_share(&w, resource, token);
	opened = work_open(&other, token, 2, mine);
	assert_int_equal(work_submit(&w, context, 5, list, 4), 0);
	assert_int_equal(work_destroy(&w, 0, &list[2], 1, 0), 0);
	work_say_destroy(&w, resource, NULL, 0, SYNC);
	worker_leave(&w);
	/* What another holds open lives on. */
	assert_pages(*state, 2);
	assert_int_equal(work_destroy(&other, opened, NULL, 0, 0), 0);
	assert_pages(*state, 0);
	worker_leave(&other);
	row_proved("H35");
}

static const struct CMUnitTest tests[] = {
	world_test(a62_resident_evicted_or_offered),
	world_test(a63_used_by_queued_work),
	world_test(a70_deferred_if_in_use),
	world_test(a71_assume_not_in_use),
	world_test(a72_synchronous),
	world_test(a73_both),
	world_test(a82_destroy_and_device_destroy),
	world_test(a82_device_destroy_first),
	world_test(b30_at_any_time),
	world_test(b31_wrong_adapter_stale_ordinary),
	world_test(b32_with_their_context_or_device),
	world_test(h30_progress_of_the_owner_only_grows),
	world_test(h31_a_submit_is_all_or_nothing),
	world_test(h32_a_stalled_client_delays_only_itself),
	world_test(h33_context_destroy_waits_for_its_work),
	world_test(h34_device_destroy_waits_for_the_work_in_flight),
	world_test(h35_the_end_of_a_client_ends_its_work),
};

WORLD_MAIN("work")
