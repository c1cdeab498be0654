/* SPDX-License-Identifier: Apache-2.0 */
#include "core/table.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "tests/support/random.h"
#include "tests/support/seat.h"

static struct handle create(struct bare *b, struct owner *owner, enum kind kind)
{
	assert_int_equal(table_reserve(&b->region, owner, 1), 0);
	return table_publish(&b->region, table_take(&b->region, owner), kind);
}

static void end(struct bare *b, struct owner *owner, struct handle handle)
{
	table_retire(slot_at(&b->region, handle_index(handle)));
	assert_true(table_try_reclaim(&b->region, owner, handle_index(handle)));
}

static bool found(const struct bare *b, uint32_t owner, struct handle handle)
{
	struct slot *slot = table_pin(&b->region, owner, handle);

	assert_ptr_equal(slot, table_peek(&b->region, owner, handle));
	if (slot != NULL)
		table_unpin(slot);
	return slot != NULL;
}

static void handles_and_wire_values(void **state)
{
	struct random random = { 21 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint32_t generation = (uint32_t)random_next(&random) | 1;
		uint32_t index = random_below(&random, 1u << 28);
		uint64_t secret = secret_make(random_next(&random));
		struct handle h = handle_make(generation, KIND_RESOURCE, index);
		uint64_t wire = handle_to_wire(h, secret);

		assert_int_equal(handle_generation(h), generation);
		assert_int_equal(handle_kind(h), KIND_RESOURCE);
		assert_int_equal(handle_index(h), index);
		assert_int_equal(handle_from_wire(wire, secret).value, h.value);
		/* The secret's kind is one that no handle has. */
		for (int kind = 1; kind <= KIND_ALLOCATION; kind++)
			assert_int_not_equal(
				handle_to_wire(handle_make(generation,
							   (enum kind)kind,
							   index),
					       secret),
				0);
	}
	assert_int_equal(handle_from_wire(0, secret_make(5)).value, 0);
}

static void g1_a_retired_handle_is_never_found(void **state)
{
	struct owner owner = { .id = 5 };
	struct handle dead[200], live = { 0 };
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	/* The lowest free slot is used again each time: one slot, all along. */
	for (uint32_t i = 0; i < ARRAY_SIZE(dead); i++) {
		dead[i] = create(&b, &owner, KIND_ALLOCATION);
		assert_int_equal(handle_index(dead[i]), handle_index(dead[0]));
		assert_int_equal(handle_generation(dead[i]), i + 1);
		assert_true(found(&b, 5, dead[i]));
		table_retire(slot_at(&b.region, handle_index(dead[i])));
		assert_false(found(&b, 5, dead[i]));
		assert_true(table_try_reclaim(&b.region, &owner,
					      handle_index(dead[i])));
		assert_false(found(&b, 5, dead[i]));
	}
	live = create(&b, &owner, KIND_ALLOCATION);
	for (uint32_t i = 0; i < ARRAY_SIZE(dead); i++)
		assert_false(found(&b, 5, dead[i]));
	assert_true(found(&b, 5, live));
	end(&b, &owner, live);
	bare_deinit(&b);
}

static void g1_the_last_generation_is_the_last(void **state)
{
	struct owner owner = { .id = 5 };
	struct handle first, second, third;
	struct segment *segment;
	struct slot *slot;
	struct bare b;

	(void)state;
	bare_init(&b, SLOT_GENERATION_MAX - 2);
	first = create(&b, &owner, KIND_DEVICE);
	slot = slot_at(&b.region, handle_index(first));
	segment = segment_at(&b.region,
			     handle_index(first) >> SEGMENT_SLOTS_LOG2);
	end(&b, &owner, first);
	second = create(&b, &owner, KIND_DEVICE);
	assert_int_equal(handle_index(second), handle_index(first));
	assert_int_equal(handle_generation(second), SLOT_GENERATION_MAX - 1);
	end(&b, &owner, second);
	assert_int_equal(slot_state(slot), SLOT_DEAD);
	assert_int_equal(segment->dead, 1);
	assert_int_equal(segment->free, SEGMENT_SLOTS - 1);
	assert_int_equal(owner.free, SEGMENT_SLOTS - 1);
	assert_int_equal(owner.live, 0);
	third = create(&b, &owner, KIND_DEVICE);
	assert_int_not_equal(handle_index(third), handle_index(first));
	assert_false(found(&b, 5, first));
	assert_false(found(&b, 5, second));
	end(&b, &owner, third);
	bare_deinit(&b);
}

static void use_up(struct bare *b, struct owner *owner)
{
	struct handle handles[SEGMENT_SLOTS];

	for (uint32_t i = 0; i < SEGMENT_SLOTS; i++)
		handles[i] = create(b, owner, KIND_RESOURCE);
	for (uint32_t i = 0; i < SEGMENT_SLOTS; i++)
		end(b, owner, handles[i]);
}

static void g1_a_segment_that_is_used_up(void **state)
{
	struct owner owner = { .id = 5 }, next = { .id = 6 };
	struct handle handle;
	struct bare b;

	(void)state;
	bare_init(&b, SLOT_GENERATION_MAX - 2);
	use_up(&b, &owner);
	use_up(&b, &owner);
	assert_int_equal(segment_at(&b.region, 1)->dead, SEGMENT_SLOTS);
	assert_int_equal(owner.free, 0);
	assert_int_equal(owner.roomy, 0);
	table_abandon(&b.region, &owner);
	assert_int_equal(table_depot_next(&b.region, DEPOT_WARM, 0), 0);
	handle = create(&b, &next, KIND_RESOURCE);
	assert_int_equal(handle_index(handle) >> SEGMENT_SLOTS_LOG2, 2);
	end(&b, &next, handle);
	/* Segment 1 is nobody's. */
	assert_int_equal(
		table_owner(&b.region, handle_make(1, KIND_RESOURCE, 1024)), 0);
	bare_deinit(&b);
}

static void g1_another_owner_goes_on_counting(void **state)
{
	struct owner first = { .id = 5 }, second = { .id = 6 };
	struct handle old[3], fresh;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	for (int i = 0; i < 3; i++) {
		old[i] = create(&b, &first, KIND_ALLOCATION);
		end(&b, &first, old[i]);
	}
	table_abandon(&b.region, &first);
	assert_int_equal(first.id, 5);
	assert_int_equal(first.segments, 0);
	assert_int_equal(first.free, 0);
	assert_int_equal(table_depot_next(&b.region, DEPOT_WARM, 0), 1);
	fresh = create(&b, &second, KIND_ALLOCATION);
	assert_int_equal(handle_index(fresh), handle_index(old[0]));
	assert_int_equal(handle_generation(fresh), 4);
	for (int i = 0; i < 3; i++) {
		assert_false(found(&b, 5, old[i]));
		assert_false(found(&b, 6, old[i]));
	}
	assert_false(found(&b, 5, fresh));
	assert_true(found(&b, 6, fresh));
	end(&b, &second, fresh);
	bare_deinit(&b);
}

static void g1_a_guess_of_what_is_not_published(void **state)
{
	struct owner owner = { .id = 5 };
	struct handle guess, handle;
	uint32_t index;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(table_reserve(&b.region, &owner, 1), 0);
	index = table_take(&b.region, &owner);
	guess = handle_make(1, KIND_ALLOCATION, index);
	assert_false(found(&b, 5, guess));
	handle = table_publish(&b.region, index, KIND_ALLOCATION);
	assert_int_equal(handle.value, guess.value);
	assert_true(found(&b, 5, guess));
	/* Right in all but one thing. */
	assert_false(found(&b, 5, handle_make(1, KIND_RESOURCE, index)));
	assert_false(found(&b, 5, handle_make(2, KIND_ALLOCATION, index)));
	assert_false(found(&b, 5, handle_make(1, KIND_ALLOCATION, index + 1)));
	assert_false(found(&b, 5, handle_make(1, KIND_NONE, index)));
	assert_false(found(&b, 5, handle_make(1, KIND_NEVER, index)));
	end(&b, &owner, handle);
	bare_deinit(&b);
}

static void g2_only_the_owner_touches_a_slot(void **state)
{
	struct owner owner = { .id = 5 };
	struct random random = { 22 };
	struct handle handle;
	struct bare b;
	void *slots;

	(void)state;
	bare_init(&b, 1);
	handle = create(&b, &owner, KIND_ALLOCATION);
	slots = slot_at(&b.region, 1 << SEGMENT_SLOTS_LOG2);
	assert_int_equal(mprotect(slots, SEGMENT_SLOTS * sizeof(struct slot),
				  PROT_NONE),
			 0);
	/* A look at the slot would be the end of this program: owned G2. */
	assert_false(found(&b, 6, handle));
	assert_false(found(&b, 0, handle));
	assert_false(found(&b, UINT32_MAX, handle));
	assert_false(found(&b, 0, (struct handle){ 0 }));
	for (int i = 0; i < 100000; i++) {
		struct handle any = { random_next(&random) };

		if (table_owner(&b.region, any) != 5)
			assert_false(found(&b, 5, any));
		assert_false(found(&b, 6, any));
		assert_false(found(&b, 0, any)); /* who is nobody's owner */
	}
	assert_int_equal(mprotect(slots, SEGMENT_SLOTS * sizeof(struct slot),
				  PROT_READ | PROT_WRITE),
			 0);
	end(&b, &owner, handle);
	bare_deinit(&b);
}

/*
 * What happens between an asker's look at the owner and his look at the slot:
 * the slot's page cannot be read, and whoever tries comes by here first.
 */
static struct {
	struct bare *bare;
	struct owner *before, *after;
	struct handle made;
} meanwhile;

static void segment_moves(int signal_number)
{
	struct bare *b = meanwhile.bare;

	(void)signal_number;
	assert_int_equal(mprotect(slot_at(&b->region, 1 << SEGMENT_SLOTS_LOG2),
				  SEGMENT_SLOTS * sizeof(struct slot),
				  PROT_READ | PROT_WRITE),
			 0);
	table_abandon(&b->region, meanwhile.before);
	meanwhile.made = create(b, meanwhile.after, KIND_ALLOCATION);
}

/* owned G1: what was the asker's is another's when he comes to the slot, and
 * he has guessed the generation. */
static void g2_a_guess_while_the_segment_moves(void **state)
{
	struct owner owner = { .id = 5 }, next = { .id = 6 };
	struct sigaction action = { .sa_handler = segment_moves }, former;
	struct handle handle, guess;
	struct slot *slot;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	handle = create(&b, &owner, KIND_ALLOCATION);
	end(&b, &owner, handle);
	guess = handle_make(handle_generation(handle) + 1, KIND_ALLOCATION,
			    handle_index(handle));
	slot = slot_at(&b.region, handle_index(handle));
	meanwhile = (typeof(meanwhile)){ .bare = &b,
					 .before = &owner,
					 .after = &next };
	assert_int_equal(sigaction(SIGSEGV, &action, &former), 0);
	assert_int_equal(mprotect(slot_at(&b.region, 1 << SEGMENT_SLOTS_LOG2),
				  SEGMENT_SLOTS * sizeof(struct slot),
				  PROT_NONE),
			 0);
	assert_null(table_pin(&b.region, 5, guess));
	assert_int_equal(sigaction(SIGSEGV, &former, NULL), 0);
	assert_int_equal(meanwhile.made.value, guess.value);
	assert_int_equal(slot_pins(slot), 0);
	assert_true(found(&b, 6, guess));
	end(&b, &next, guess);
	bare_deinit(&b);
}

static void what_its_owner_sees_of_a_slot(void **state)
{
	struct owner owner = { .id = 5 };
	struct handle handle;
	struct slot *slot;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	handle = create(&b, &owner, KIND_RESOURCE);
	slot = slot_at(&b.region, handle_index(handle));
	assert_ptr_equal(table_pin(&b.region, 5, handle), slot);
	assert_true(slot_is(slot, SLOT_LIVE, KIND_RESOURCE));
	assert_false(slot_is(slot, SLOT_LIVE, KIND_DEVICE));
	table_unpin(slot);
	table_retire(slot);
	assert_false(slot_is(slot, SLOT_LIVE, KIND_RESOURCE));
	assert_true(slot_is(slot, SLOT_RETIRED, KIND_RESOURCE));
	assert_true(table_try_reclaim(&b.region, &owner, handle_index(handle)));
	bare_deinit(&b);
}

static void g3_a_pin_keeps_the_slot(void **state)
{
	struct owner owner = { .id = 5 };
	struct handle handle;
	struct slot *slot;
	uint32_t index;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	handle = create(&b, &owner, KIND_ALLOCATION);
	index = handle_index(handle);
	slot = slot_at(&b.region, index);
	slot->allocation.size_bytes = 4711;
	assert_ptr_equal(table_pin(&b.region, 5, handle), slot);
	assert_ptr_equal(table_pin(&b.region, 5, handle), slot);
	assert_int_equal(slot_pins(slot), 2);
	table_retire(slot);
	assert_false(table_try_reclaim(&b.region, &owner, index));
	table_unpin(slot);
	assert_false(table_try_reclaim(&b.region, &owner, index));
	assert_int_equal(slot->allocation.size_bytes, 4711);
	assert_int_equal(owner.live, 1);
	/* A pin that comes too late leaves no trace. */
	assert_null(table_pin(&b.region, 5, handle));
	assert_int_equal(slot_pins(slot), 1);
	table_unpin(slot);
	assert_true(table_try_reclaim(&b.region, &owner, index));
	assert_int_equal(owner.live, 0);
	bare_deinit(&b);
}

static void reclaim_twice(void *argument)
{
	struct bare *b = argument;
	struct owner owner = { .id = 5 };
	struct handle handle = create(b, &owner, KIND_ALLOCATION);

	end(b, &owner, handle);
	table_try_reclaim(&b->region, &owner, handle_index(handle));
}

static void reclaim_live(void *argument)
{
	struct bare *b = argument;
	struct owner owner = { .id = 5 };
	struct handle handle = create(b, &owner, KIND_ALLOCATION);

	table_try_reclaim(&b->region, &owner, handle_index(handle));
}

static void publish_twice(void *argument)
{
	struct bare *b = argument;
	struct owner owner = { .id = 5 };
	struct handle handle = create(b, &owner, KIND_ALLOCATION);

	table_publish(&b->region, handle_index(handle), KIND_ALLOCATION);
}

static void retire_twice(void *argument)
{
	struct bare *b = argument;
	struct owner owner = { .id = 5 };
	struct handle handle = create(b, &owner, KIND_ALLOCATION);

	table_retire(slot_at(&b->region, handle_index(handle)));
	table_retire(slot_at(&b->region, handle_index(handle)));
}

static void unpin_twice(void *argument)
{
	struct bare *b = argument;
	struct owner owner = { .id = 5 };
	struct handle handle = create(b, &owner, KIND_ALLOCATION);
	struct slot *slot = table_pin(&b->region, 5, handle);

	table_unpin(slot);
	table_unpin(slot);
}

static void abandon_in_use(void *argument)
{
	struct bare *b = argument;
	struct owner owner = { .id = 5 };

	create(b, &owner, KIND_ALLOCATION);
	table_abandon(&b->region, &owner);
}

static void g4_each_step_exactly_once(void **state)
{
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_asserts(reclaim_twice, &b);
	assert_asserts(reclaim_live, &b);
	assert_asserts(publish_twice, &b);
	assert_asserts(retire_twice, &b);
	assert_asserts(unpin_twice, &b);
	assert_asserts(abandon_in_use, &b);
	bare_deinit(&b);
}

static void g5_a_failed_reserve(void **state)
{
	struct bare b;

	(void)state;
	/* Three segments at once: fail at each of the commits on the way. */
	for (uint64_t n = 1;; n++) {
		struct owner owner = { .id = 5 };
		struct handle handle;
		uint64_t commits;

		bare_init(&b, 1);
		handle = create(&b, &owner, KIND_DEVICE);
		commits = b.memory.commits;
		b.memory.fail_commit = n;
		if (table_reserve(&b.region, &owner, 3000) == 0) {
			assert_true(n > 1);
			assert_int_equal(b.memory.commits, commits + n - 1);
			bare_deinit(&b);
			return;
		}
		b.memory.fail_commit = 0;
		assert_int_equal(owner.live, 1);
		assert_true(found(&b, 5, handle));
		assert_int_equal(table_reserve(&b.region, &owner, 3000), 0);
		for (int i = 0; i < 3000; i++)
			create(&b, &owner, KIND_ALLOCATION);
		assert_int_equal(owner.live, 3001);
		bare_deinit(&b);
	}
}

static void init_without_memory(void **state)
{
	struct test_pages memory = { 0 };
	struct pages pages = test_pages_interface(&memory);
	struct region region;

	(void)state;
	assert_int_equal(region_init(&region, &pages, sizeof(struct state)), 0);
	memory.fail_commit = 1;
	assert_int_equal(table_init(&region, 1), -ENOMEM);
	region_deinit(&region);
}

/* The bitmaps against a plain array of flags, over some segments. */
static void slots_come_and_go_in_any_order(void **state)
{
	enum { MAX = 5000 };
	static struct handle handles[MAX];
	struct owner owner = { .id = 5 };
	struct random random = { 23 };
	uint32_t n = 0, most = 0;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	for (int i = 0; i < 60000; i++) {
		bool grow = random_chance(&random, i % 20000 < 10000 ? 70 : 30);

		if (grow && n < MAX) {
			handles[n++] = create(&b, &owner, KIND_ALLOCATION);
		} else if (!grow && n > 0) {
			uint32_t at = random_below(&random, n);

			end(&b, &owner, handles[at]);
			assert_false(found(&b, 5, handles[at]));
			handles[at] = handles[--n];
		}
		assert_int_equal(owner.live, n);
		most = (uint32_t)max_u64(most, n);
	}
	assert_true(most > 2 * SEGMENT_SLOTS);
	for (uint32_t i = 0; i < n; i++)
		assert_true(found(&b, 5, handles[i]));
	while (n > 0)
		end(&b, &owner, handles[--n]);
	/* Never more segments than were needed at once. */
	assert_true(region_area(&b.region, AREA_SEGMENTS)->used - 1 <=
		    most / SEGMENT_SLOTS + 1);
	table_abandon(&b.region, &owner);
	bare_deinit(&b);
}

static void a_taken_slot_is_zero(void **state)
{
	static const struct slot zero;
	struct owner owner = { .id = 5 };
	struct handle handle;
	struct slot *slot;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	handle = create(&b, &owner, KIND_ALLOCATION);
	slot = slot_at(&b.region, handle_index(handle));
	memset((char *)slot + sizeof(slot->control), 0xff,
	       sizeof(*slot) - sizeof(slot->control));
	end(&b, &owner, handle);
	handle = create(&b, &owner, KIND_ALLOCATION);
	assert_ptr_equal(slot, slot_at(&b.region, handle_index(handle)));
	assert_memory_equal((char *)slot + sizeof(slot->control),
			    (const char *)&zero + sizeof(slot->control),
			    sizeof(*slot) - sizeof(slot->control));
	bare_deinit(&b);
}

/* Several devices' worth of segments, each used once, and given back. */
static void fill_depot(struct bare *b, uint32_t segments)
{
	struct owner owner = { .id = 9 };

	assert_int_equal(
		table_reserve(&b->region, &owner, segments * SEGMENT_SLOTS), 0);
	table_abandon(&b->region, &owner);
	assert_int_equal(table_depot_count(&b->region), segments);
}

/* Whether it has really gone, or the system keeps it: nobody sees that. */
static void memory_goes_and_comes_back(bool locked)
{
	struct owner owner = { .id = 5 }, next = { .id = 6 };
	struct handle old[3], fresh;
	uint32_t segment;
	struct bare b;

	bare_init(&b, 1);
	b.memory.locked = locked;
	fill_depot(&b, DEPOT_KEEP);
	assert_int_equal(table_trim(&b.region, 9), 0);
	/* One more, whose first slot has had three generations. */
	assert_int_equal(
		table_reserve(&b.region, &next, DEPOT_KEEP * SEGMENT_SLOTS), 0);
	for (int i = 0; i < 3; i++) {
		old[i] = create(&b, &owner, KIND_ALLOCATION);
		end(&b, &owner, old[i]);
	}
	segment = handle_index(old[0]) >> SEGMENT_SLOTS_LOG2;
	table_abandon(&b.region, &next);
	table_abandon(&b.region, &owner);
	assert_int_equal(table_trim(&b.region, 9), 1);
	assert_int_equal(table_trim(&b.region, 9), 0);
	assert_int_equal(b.memory.cleared_bytes,
			 locked ? 0 : SEGMENT_SLOTS * sizeof(struct slot));
	assert_int_equal(table_depot_next(&b.region, DEPOT_BARE, 0), segment);
	assert_int_equal(table_depot_count(&b.region), DEPOT_KEEP);
	/* All that have memory are used before the one that has none. */
	assert_int_equal(
		table_reserve(&b.region, &next, DEPOT_KEEP * SEGMENT_SLOTS), 0);
	assert_int_equal(table_depot_next(&b.region, DEPOT_BARE, 0), segment);
	fresh = create(&b, &owner, KIND_ALLOCATION);
	assert_int_equal(handle_index(fresh), handle_index(old[0]));
	assert_int_equal(handle_generation(fresh), 5);
	for (int i = 0; i < 3; i++)
		assert_false(found(&b, 5, old[i]));
	assert_true(found(&b, 5, fresh));
	end(&b, &owner, fresh);
	bare_deinit(&b);
}

static void g1_memory_that_went_and_came_back(void **state)
{
	(void)state;
	memory_goes_and_comes_back(false);
}

static void g1_memory_that_could_not_go(void **state)
{
	(void)state;
	memory_goes_and_comes_back(true);
}

static void g1_memory_with_a_dead_slot_stays(void **state)
{
	struct owner owner = { .id = 5 };
	uint32_t segment;
	struct bare b;

	(void)state;
	bare_init(&b, SLOT_GENERATION_MAX - 2);
	fill_depot(&b, DEPOT_KEEP + 1);
	for (int i = 0; i < 2; i++)
		end(&b, &owner, create(&b, &owner, KIND_ALLOCATION));
	segment = owner.segments;
	assert_int_equal(segment_at(&b.region, segment)->dead, 1);
	table_abandon(&b.region, &owner);
	assert_int_equal(table_trim(&b.region, 9), 1);
	assert_int_equal(table_depot_count(&b.region), DEPOT_KEEP);
	assert_int_equal(table_depot_next(&b.region, DEPOT_WORN, 0), segment);
	/* It is used before the others. */
	assert_int_equal(table_reserve(&b.region, &owner, 1), 0);
	assert_int_equal(owner.segments, segment);
	assert_int_equal(b.memory.cleared_bytes, 0);
	bare_deinit(&b);
}

static void g1_a_pin_from_before_the_memory_went(void **state)
{
	struct owner owner = { .id = 5 };
	uint32_t index, generation = 1;
	struct slot *slot;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(table_reserve(&b.region, &owner, 1), 0);
	index = table_take(&b.region, &owner);
	slot = slot_at(&b.region, index);
	/* A pinner was late: it added its pin, and then the word was cleared
	 * and made anew before it could undo. */
	fetch_add_relaxed_u64(&slot->control, 1);
	control_init(&slot->control, 7);
	control_undo(&slot->control, generation);
	assert_int_equal(slot_pins(slot), 0);
	assert_int_equal(slot_handle(slot, index).value >> 32, 7);
	fetch_add_relaxed_u64(&slot->control, 1);
	control_undo(&slot->control, 7);
	assert_int_equal(slot_pins(slot), 0);
	bare_deinit(&b);
}

static void g4_frees_of_another_thread(void **state)
{
	enum { N = 3 * SEGMENT_SLOTS };
	static struct handle handles[N];
	struct owner owner = { .id = 5 };
	uint32_t segments;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	for (uint32_t i = 0; i < N; i++)
		handles[i] = create(&b, &owner, KIND_ALLOCATION);
	segments = region_area(&b.region, AREA_SEGMENTS)->used;
	for (uint32_t i = 0; i < N; i++) {
		uint32_t index = handle_index(handles[i]);

		table_retire(slot_at(&b.region, index));
		assert_true(table_try_reclaim_remote(&b.region, &owner, index));
		assert_true(table_is_freed(&b.region, index));
		assert_int_equal(table_uncollected(&owner), i + 1);
		assert_false(found(&b, 5, handles[i]));
	}
	assert_int_equal(owner.live, N);
	assert_int_equal(owner.free, 0);
	/* What is needed is collected before the table grows. */
	assert_int_equal(table_reserve(&b.region, &owner, N), 0);
	assert_int_equal(region_area(&b.region, AREA_SEGMENTS)->used, segments);
	assert_int_equal(table_uncollected(&owner), 0);
	assert_int_equal(owner.live, 0);
	assert_int_equal(owner.free, N);
	for (uint32_t i = 0; i < N; i++)
		assert_false(table_is_freed(&b.region, i));
	table_abandon(&b.region, &owner);
	bare_deinit(&b);
}

static void g4_a_few_frees_are_not_worth_a_walk(void **state)
{
	struct owner owner = { .id = 5 };
	struct handle handle;
	uint32_t index;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	for (uint32_t i = 0; i < 2 * SEGMENT_SLOTS; i++)
		handle = create(&b, &owner, KIND_ALLOCATION);
	index = handle_index(handle);
	table_retire(slot_at(&b.region, index));
	assert_true(table_try_reclaim_remote(&b.region, &owner, index));
	assert_int_equal(table_reserve(&b.region, &owner, 1), 0);
	assert_int_equal(owner.free, SEGMENT_SLOTS);
	assert_int_equal(table_uncollected(&owner), 1);
	table_collect(&b.region, &owner);
	assert_int_equal(table_uncollected(&owner), 0);
	assert_int_equal(owner.free, SEGMENT_SLOTS + 1);
	bare_deinit(&b);
}

static void g4_a_remote_free_of_the_last_generation(void **state)
{
	struct owner owner = { .id = 5 };
	struct handle handle;
	uint32_t index;
	struct bare b;

	(void)state;
	bare_init(&b, SLOT_GENERATION_MAX - 1);
	handle = create(&b, &owner, KIND_ALLOCATION);
	index = handle_index(handle);
	assert_ptr_equal(table_pin(&b.region, 5, handle),
			 slot_at(&b.region, index));
	table_retire(slot_at(&b.region, index));
	assert_false(table_try_reclaim_remote(&b.region, &owner, index));
	table_unpin(slot_at(&b.region, index));
	assert_true(table_try_reclaim_remote(&b.region, &owner, index));
	table_collect(&b.region, &owner);
	assert_int_equal(owner.live, 0);
	assert_int_equal(
		segment_at(&b.region, index >> SEGMENT_SLOTS_LOG2)->dead, 1);
	assert_int_equal(owner.free, SEGMENT_SLOTS - 1);
	table_abandon(&b.region, &owner);
	bare_deinit(&b);
}

static void g3_pins_end_with_their_process(void **state)
{
	struct owner owner = { .id = 5 };
	struct handle handle;
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	handle = create(&b, &owner, KIND_ALLOCATION);
	assert_non_null(table_pin(&b.region, 5, handle));
	table_retire(slot_at(&b.region, handle_index(handle)));
	assert_false(
		table_try_reclaim(&b.region, &owner, handle_index(handle)));
	table_adopt(&b.region);
	assert_int_equal(slot_pins(slot_at(&b.region, handle_index(handle))),
			 0);
	assert_true(table_try_reclaim(&b.region, &owner, handle_index(handle)));
	bare_deinit(&b);
}

static void abandon_uncollected(void *argument)
{
	struct bare *b = argument;
	struct owner owner = { .id = 5 };
	uint32_t index = handle_index(create(b, &owner, KIND_ALLOCATION));

	table_retire(slot_at(&b->region, index));
	table_try_reclaim_remote(&b->region, &owner, index);
	table_abandon(&b->region, &owner);
}

static void free_remotely_twice(void *argument)
{
	struct bare *b = argument;
	struct owner owner = { .id = 5 };

	create(b, &owner, KIND_ALLOCATION);
	remote_free(free_map_at(&b->region, 1)->freed, 3, &owner.freed);
	remote_free(free_map_at(&b->region, 1)->freed, 3, &owner.freed);
}

static void g6_nobody_leaves_too_early(void **state)
{
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_asserts(abandon_uncollected, &b);
	assert_asserts(free_remotely_twice, &b);
	bare_deinit(&b);
}

static void stocked_segments_are_enough_or_not(void **state)
{
	struct owner owner = { .id = 5 };
	struct bare b;

	(void)state;
	bare_init(&b, 1);
	assert_int_equal(table_reserve_stocked(&b.region, &owner, 1), -ENOMEM);
	assert_int_equal(table_stock(&b.region, 2), 0);
	assert_int_equal(table_depot_count(&b.region), 2);
	assert_int_equal(table_reserve_stocked(&b.region, &owner, 1500), 0);
	assert_int_equal(table_reserve_stocked(&b.region, &owner, 2049),
			 -ENOMEM);
	assert_int_equal(owner.free, 2048);
	b.memory.fail_commit = 1;
	assert_int_equal(table_stock(&b.region, 100), -ENOMEM);
	b.memory.fail_commit = 0;
	assert_int_equal(table_stock(&b.region, 3), 0);
	assert_int_equal(table_depot_count(&b.region), 3);
	bare_deinit(&b);
}

/*
 * Threads: one owner thread that takes, publishes, retires and reclaims for
 * two owners, gives all segments of one of them back now and then and lets
 * the table grow; readers that look up and pin live, stale and foreign
 * handles, and guesses. What a pinned slot says must belong to the handle's
 * generation, and to the owner that asked (owned G1).
 */
enum { PLACES = 4, READERS = 3, CYCLES = 200000, OWNERS = 2 };

struct board {
	struct bare bare;
	/* handle and its owner's number, by place */
	_Atomic uint64_t handles[OWNERS][PLACES];
	atomic_bool stop;
	atomic_uint pinned, wrong;
};

static uint64_t stamp_of(struct handle handle)
{
	struct random random = { handle.value };

	return random_next(&random);
}

/* One that somebody has told, or a guess at one that comes soon. */
static struct handle draw_handle(const struct board *board,
				 struct random *random)
{
	uint32_t o = random_below(random, OWNERS);
	struct handle told = { atomic_load(
		&board->handles[o][random_below(random, PLACES)]) };

	if (random_chance(random, 50))
		return told;
	return handle_make(handle_generation(told) + random_below(random, 4),
			   KIND_ALLOCATION, handle_index(told));
}

static void look(struct board *board, struct random *random)
{
	uint32_t asker = random_below(random, OWNERS);
	struct handle handle = draw_handle(board, random);
	struct slot *slot = table_pin(&board->bare.region, asker + 1, handle);
	uint64_t stamp = stamp_of(handle);

	if (slot == NULL)
		return;
	atomic_fetch_add_explicit(&board->pinned, 1, memory_order_relaxed);
	if (slot->allocation.store != asker + 1 ||
	    slot->allocation.size_bytes != stamp ||
	    slot->allocation.backing != ~stamp)
		atomic_fetch_add(&board->wrong, 1);
	table_unpin(slot);
}

static void *reader(void *argument)
{
	struct board *board = argument;
	struct random random = { (uintptr_t)&random };

	while (!atomic_load(&board->stop)) {
		struct handle any = { random_next(&random) };

		table_peek(&board->bare.region, 1, any);
		look(board, &random);
	}
	return NULL;
}

static struct handle create_stamped(struct board *board, struct owner *owner)
{
	struct region *region = &board->bare.region;
	uint32_t index;
	struct handle handle;
	struct slot *slot;

	assert_int_equal(table_reserve(region, owner, 1), 0);
	index = table_take(region, owner);
	slot = slot_at(region, index);
	handle = handle_make(control_generation(atomic_load(&slot->control)),
			     KIND_ALLOCATION, index);
	slot->allocation.size_bytes = stamp_of(handle);
	slot->allocation.backing = ~stamp_of(handle);
	slot->allocation.store = owner->id;
	assert_int_equal(table_publish(region, index, KIND_ALLOCATION).value,
			 handle.value);
	return handle;
}

static void end_stamped(struct board *board, struct owner *owner,
			uint64_t handle)
{
	struct region *region = &board->bare.region;
	uint32_t index = handle_index((struct handle){ handle });

	table_retire(slot_at(region, index));
	while (!table_try_reclaim(region, owner, index))
		;
}

/* Everything of one owner goes, handles stay where readers find them. */
static void empty(struct board *board, struct owner *owner, uint32_t o,
		  bool *is_live)
{
	for (uint32_t i = 0; i < PLACES; i++) {
		if (is_live[i])
			end_stamped(board, owner, board->handles[o][i]);
		is_live[i] = false;
	}
	table_abandon(&board->bare.region, owner);
}

static void own(struct board *board, struct owner owners[OWNERS])
{
	static bool is_live[OWNERS][PLACES];
	struct random random = { 24 };

	for (uint32_t cycle = 0; cycle < CYCLES; cycle++) {
		uint32_t o = random_below(&random, OWNERS);
		uint32_t i = random_below(&random, PLACES);

		if (is_live[o][i])
			end_stamped(board, &owners[o], board->handles[o][i]);
		atomic_store(&board->handles[o][i],
			     create_stamped(board, &owners[o]).value);
		is_live[o][i] = true;
		if (cycle % 16 == 15)
			empty(board, &owners[o], o, is_live[o]);
		if (cycle % 1500 == 1499)
			assert_int_equal(table_reserve(&board->bare.region,
						       &owners[1],
						       owners[1].free + 1),
					 0);
	}
	for (uint32_t o = 0; o < OWNERS; o++)
		empty(board, &owners[o], o, is_live[o]);
}

static void g1_g3_threads(void **state)
{
	static struct board board;
	struct owner owners[OWNERS] = { { .id = 1 }, { .id = 2 } };
	pthread_t readers[READERS];

	(void)state;
	bare_init(&board.bare, 1);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(
			pthread_create(&readers[i], NULL, reader, &board), 0);
	own(&board, owners);
	atomic_store(&board.stop, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	print_message("%u lookups held a pin\n", board.pinned);
	assert_int_equal(board.wrong, 0);
	bare_deinit(&board.bare);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handles_and_wire_values),
		cmocka_unit_test(g1_a_retired_handle_is_never_found),
		cmocka_unit_test(g1_the_last_generation_is_the_last),
		cmocka_unit_test(g1_a_segment_that_is_used_up),
		cmocka_unit_test(g1_another_owner_goes_on_counting),
		cmocka_unit_test(g1_a_guess_of_what_is_not_published),
		cmocka_unit_test(g2_only_the_owner_touches_a_slot),
		cmocka_unit_test(g2_a_guess_while_the_segment_moves),
		cmocka_unit_test(what_its_owner_sees_of_a_slot),
		cmocka_unit_test(g3_a_pin_keeps_the_slot),
		cmocka_unit_test(g4_each_step_exactly_once),
		cmocka_unit_test(g5_a_failed_reserve),
		cmocka_unit_test(init_without_memory),
		cmocka_unit_test(slots_come_and_go_in_any_order),
		cmocka_unit_test(a_taken_slot_is_zero),
		cmocka_unit_test(g1_memory_that_went_and_came_back),
		cmocka_unit_test(g1_memory_that_could_not_go),
		cmocka_unit_test(g1_memory_with_a_dead_slot_stays),
		cmocka_unit_test(g1_a_pin_from_before_the_memory_went),
		cmocka_unit_test(g4_frees_of_another_thread),
		cmocka_unit_test(g4_a_few_frees_are_not_worth_a_walk),
		cmocka_unit_test(g4_a_remote_free_of_the_last_generation),
		cmocka_unit_test(g3_pins_end_with_their_process),
		cmocka_unit_test(g6_nobody_leaves_too_early),
		cmocka_unit_test(stocked_segments_are_enough_or_not),
		cmocka_unit_test(g1_g3_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
