/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handle table: 64-byte slots that never move, in segments with an owner.
 *
 * One atomic word in each slot says everything that decides: generation,
 * kind, state and pins. A handle names an index, a generation and a kind, so
 * a lookup is one load and one compare, wait-free, with no epoch and no
 * hazard pointer. The slot's memory is never anything but a slot, so a late
 * reader finds an answer there ("not mine any more"), never rubbish.
 *
 *	 63         32 31  28 27   23 22   20 19      0
 *	[ generation  | kind | spare | state | pins   ]
 *
 *	        publish           retire            reclaim, pins == 0
 *	 FREE ----------> LIVE ----------> RETIRED ----------> FREE, gen + 1
 *	   ^                                   |                  |
 *	   |                                   +--> DEAD at the   |
 *	   +--------------- next owner ------------ last gen <----+
 *
 * Rules. Every change of the word is a read-modify-write, so that a transient
 * pin is never lost. The pin field is only added to and subtracted from. Only
 * the owner changes state. An unpinner never reclaims: only the holder of the
 * retire record does, so reclaim happens exactly once by construction.
 *
 * Segments of 1024 slots belong to a device (or to a session, for the handles
 * of adapters and devices). The owner is looked up in a small array before
 * the slot is touched: a foreign or garbage handle never reads, moves or
 * faults in a foreign line. Free slots are a bitmap in the segment, taken
 * from the lowest bit: what is created together lies together.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  After table_retire no lookup with that handle succeeds, for ever: the
 *      generation never repeats, and a slot at its last one becomes DEAD.
 *  G2  A lookup touches a slot only if the asking owner owns its segment.
 *  G3  While a pin is held the slot is not reclaimed and its fields stay.
 *  G4  table_try_reclaim succeeds exactly once for each table_retire.
 *  G5  A failed table_reserve has changed nothing that can be observed.
 *
 * Progress: peek, pin and unpin are wait-free; the rest is single-threaded.
 * Not here: handing segments between threads, and frees by other threads.
 */
#include "core/table.h"

#include "core/state.h"

static uint64_t control_make(uint32_t generation, enum slot_state state)
{
	return (uint64_t)generation << SLOT_GENERATION_SHIFT |
	       (uint64_t)state << SLOT_STATE_SHIFT;
}

/* LIVE, of the handle's generation and kind, whatever the pins. */
static bool control_matches(uint64_t control, struct handle handle)
{
	uint64_t wanted = control_make(handle_generation(handle), SLOT_LIVE) |
			  (uint64_t)handle_kind(handle) << SLOT_KIND_SHIFT;

	return (control & ~SLOT_PIN_MASK) == wanted;
}

static atomic_u32 *segment_owner(const struct region *region, uint32_t segment)
{
	return (atomic_u32 *)region_start(region, AREA_SEGMENT_OWNERS) +
	       segment;
}

enum slot_state slot_state(const struct slot *slot)
{
	/* relaxed: only the owner, who asks, changes the state */
	return control_state(load_relaxed_u64(&slot->control));
}

enum kind slot_kind(const struct slot *slot)
{
	/* relaxed: as above */
	return control_kind(load_relaxed_u64(&slot->control));
}

uint32_t slot_pins(const struct slot *slot)
{
	/* relaxed: a number for people and for the checker */
	return control_pins(load_relaxed_u64(&slot->control));
}

struct handle slot_handle(const struct slot *slot, uint32_t index)
{
	/* relaxed: as for the state */
	uint64_t control = load_relaxed_u64(&slot->control);

	return handle_make(control_generation(control), control_kind(control),
			   index);
}

uint32_t table_owner(const struct region *region, struct handle handle)
{
	uint32_t segment = handle_index(handle) >> SEGMENT_SLOTS_LOG2;

	static_assert(HANDLE_INDEX_MASK >> SEGMENT_SLOTS_LOG2 < SEGMENTS_MAX,
		      "every index has an owner word");
	/* order SEGMENT: pairs with the release in adopt_segment(): whoever
	 * sees the owner also sees the slots initialised */
	return load_acquire_u32(segment_owner(region, segment));
}

void table_prefetch(const struct region *region, uint32_t owner,
		    struct handle handle)
{
	if (table_owner(region, handle) == owner)
		slot_prefetch(region, handle_index(handle));
}

uint32_t table_device(const struct region *region, uint32_t index)
{
	return owner_device(table_owner(region, (struct handle){ index }));
}

struct slot *table_peek(const struct region *region, uint32_t owner,
			struct handle handle)
{
	struct slot *slot;

	if (table_owner(region, handle) != owner || owner == 0)
		return NULL;
	slot = slot_at(region, handle_index(handle));
	/* order PUBLISH: pairs with the release in table_publish(): the fields
	 * of a LIVE slot are visible */
	if (!control_matches(load_acquire_u64(&slot->control), handle))
		return NULL;
	return slot;
}

struct slot *table_pin(const struct region *region, uint32_t owner,
		       struct handle handle)
{
	struct slot *slot = table_peek(region, owner, handle);

	if (slot == NULL)
		return NULL;
	/* order PUBLISH: the pin may be the first to see a newer LIVE */
	if (control_matches(fetch_add_acquire_u64(&slot->control, 1), handle))
		return slot;
	/* relaxed: nothing was read under this pin */
	fetch_sub_relaxed_u64(&slot->control, 1);
	return NULL;
}

void table_unpin(struct slot *slot)
{
	/* order UNPIN: pairs with the acquire in table_try_reclaim(): what was
	 * read under the pin was read before the slot is written again */
	uint64_t before = fetch_sub_release_u64(&slot->control, 1);

	assert(control_pins(before) > 0);
}

/*
 * All owner words have memory from the start, and are nobody's until a
 * segment is adopted: a reader of another thread may ask for any index.
 */
int table_init(struct region *region, uint32_t first_generation)
{
	region_state(region)->first_generation = first_generation;
	return region_commit(region, AREA_SEGMENT_OWNERS, SEGMENTS_MAX);
}

/* Slots [first, first + 1024) become FREE at their first generation. */
static void init_segment(const struct region *region, uint32_t segment)
{
	uint32_t generation = region_state(region)->first_generation;
	struct segment *s = segment_at(region, segment);
	struct slot *slots = slot_at(region, segment << SEGMENT_SLOTS_LOG2);

	*s = (struct segment){ .free = SEGMENT_SLOTS };
	memset(s->free_bits, 0xff, sizeof(s->free_bits));
	for (uint32_t i = 0; i < SEGMENT_SLOTS; i++)
		/* relaxed: published by the segment's owner word */
		store_relaxed_u64(&slots[i].control,
				  control_make(generation, SLOT_FREE));
}

/* A segment from the depot or a fresh one, or 0. */
static uint32_t find_segment(struct region *region)
{
	struct state *state = region_state(region);
	struct area_head *head = region_area(region, AREA_SEGMENTS);
	uint32_t segment = state->depot;

	if (segment != 0) {
		state->depot = segment_at(region, segment)->next;
		return segment;
	}
	segment = head->used;
	if (region_commit(region, AREA_SEGMENTS, segment + 1) != 0 ||
	    region_commit(region, AREA_SLOTS,
			  (uint64_t)(segment + 1) << SEGMENT_SLOTS_LOG2) != 0)
		return 0;
	head->used++;
	init_segment(region, segment);
	return segment;
}

static void adopt_segment(struct region *region, struct owner *owner,
			  uint32_t segment)
{
	struct segment *s = segment_at(region, segment);

	s->next = owner->segments;
	owner->segments = segment;
	s->next_roomy = owner->roomy;
	s->roomy = 1;
	owner->roomy = segment;
	owner->free += s->free;
	/* order SEGMENT: pairs with the acquire in table_owner() */
	store_release_u32(segment_owner(region, segment), owner->id);
}

int table_reserve(struct region *region, struct owner *owner, uint32_t count)
{
	while (owner->free < count) {
		uint32_t segment = find_segment(region);

		if (segment == 0)
			return -ENOMEM;
		adopt_segment(region, owner, segment);
	}
	return 0;
}

uint32_t table_take(struct region *region, struct owner *owner)
{
	uint32_t segment = owner->roomy, word = 0, index;
	struct segment *s = segment_at(region, segment);
	struct slot *slot;

	assert(segment != 0 && s->free > 0);
	while (s->free_bits[word] == 0)
		word++;
	index = word * 64 + (uint32_t)__builtin_ctzll(s->free_bits[word]);
	s->free_bits[word] &= s->free_bits[word] - 1;
	if (--s->free == 0) {
		owner->roomy = s->next_roomy;
		s->roomy = 0;
	}
	owner->free--;
	owner->live++;
	index |= segment << SEGMENT_SLOTS_LOG2;
	slot = slot_at(region, index);
	memset((char *)slot + sizeof(slot->control), 0,
	       sizeof(*slot) - sizeof(slot->control));
	return index;
}

struct handle table_publish(struct region *region, uint32_t index,
			    enum kind kind)
{
	struct slot *slot = slot_at(region, index);
	/* order PUBLISH: pairs with the acquire in table_peek() and
	 * table_pin(): the fields before the LIVE that announces them */
	uint64_t before = fetch_add_release_u64(
		&slot->control,
		control_make(0, SLOT_LIVE) | (uint64_t)kind << SLOT_KIND_SHIFT);

	assert(control_state(before) == SLOT_FREE);
	return handle_make(control_generation(before), kind, index);
}

void table_retire(struct slot *slot)
{
	/* relaxed: the word alone decides every later lookup, and one word
	 * has one order for everybody */
	uint64_t before = fetch_add_relaxed_u64(
		&slot->control,
		control_make(0, SLOT_RETIRED) - control_make(0, SLOT_LIVE));

	assert(control_state(before) == SLOT_LIVE);
}

static void free_slot(struct region *region, struct owner *owner,
		      uint32_t index)
{
	uint32_t segment = index >> SEGMENT_SLOTS_LOG2;
	uint32_t bit = index & (SEGMENT_SLOTS - 1);
	struct segment *s = segment_at(region, segment);

	assert((s->free_bits[bit / 64] >> (bit % 64) & 1) == 0);
	s->free_bits[bit / 64] |= UINT64_C(1) << (bit % 64);
	s->free++;
	owner->free++;
	if (!s->roomy) {
		s->next_roomy = owner->roomy;
		s->roomy = 1;
		owner->roomy = segment;
	}
}

bool table_try_reclaim(struct region *region, struct owner *owner,
		       uint32_t index)
{
	struct slot *slot = slot_at(region, index);
	/* relaxed: the compare-and-swap below decides */
	uint64_t control = load_relaxed_u64(&slot->control);
	uint32_t generation = control_generation(control);
	bool last = generation + 1 == SLOT_GENERATION_MAX;

	assert(control_state(control) == SLOT_RETIRED);
	if (control_pins(control) != 0)
		return false;
	/* order UNPIN: pairs with the release in table_unpin() */
	if (!cas_strong_acquire_u64(&slot->control, &control,
				    control_make(generation + 1,
						 last ? SLOT_DEAD : SLOT_FREE)))
		return false;
	owner->live--;
	if (last)
		segment_at(region, index >> SEGMENT_SLOTS_LOG2)->dead++;
	else
		free_slot(region, owner, index);
	return true;
}

void table_abandon(struct region *region, struct owner *owner)
{
	struct state *state = region_state(region);
	uint32_t segment;

	assert(owner->live == 0);
	while ((segment = owner->segments) != 0) {
		struct segment *s = segment_at(region, segment);

		owner->segments = s->next;
		assert(s->free + s->dead == SEGMENT_SLOTS);
		/* order SEGMENT: the next owner's slots are the same ones,
		 * all FREE by now */
		store_release_u32(segment_owner(region, segment), 0);
		s->roomy = 0;
		s->next_roomy = 0;
		if (s->free == 0)
			continue; /* all DEAD: nobody can use it again */
		s->next = state->depot;
		state->depot = segment;
	}
	*owner = (struct owner){ .id = owner->id };
}
