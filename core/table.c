/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handle table: 64-byte slots that never move, in segments with an owner.
 *
 * One atomic word in each slot says everything that decides: generation,
 * kind, state and pins (core/control.h has its life). A handle names an
 * index, a generation and a kind, so a lookup is one load and one compare,
 * wait-free, with no epoch and no hazard pointer. The slot's memory is never
 * anything but a slot, so a late reader finds an answer there ("not mine any
 * more"), never rubbish.
 *
 * Segments of 1024 slots belong to a device (or to a session, for the handles
 * of adapters and devices). The owner is looked up in a small array before
 * the slot is touched: a foreign or garbage handle never reads, moves or
 * faults in a foreign line. Free slots are the bits of a map, taken from the
 * lowest one: what is created together lies together. Maps and counts lie apart,
 * so that a reclaim among 10^7 slots touches one line that is out of the cache
 * besides the slot's own.
 *
 *	            reserve                     abandon
 *	 depot  ---------------> an owner's  --------------> depot
 *	   ^ |                   segments                     |
 *	   | | trim                ^  collect                 +--> nowhere, when
 *	   | v                     |                               all are DEAD
 *	 bare, with a          bits that other
 *	 generation floor;     threads have set
 *	 or worn
 *
 * A segment that nobody owns may lose its memory: its slots then read as zero,
 * which is FREE at generation 0 and matches no handle, or, where the system has
 * not taken it, as before. Before that the segment
 * notes a generation beyond all that its slots have had, and begins there when
 * it is used again. A segment with a DEAD slot keeps its memory: the word of
 * that slot is all that says so. It is worn, and used before all others.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  After table_retire no lookup with that handle succeeds, for ever: the
 *      generation never repeats, and a slot at its last one becomes DEAD.
 *  G2  A lookup touches a slot only if the asking owner owns its segment, and
 *      one that pins finds only his slots, whatever moves (core/owned.h).
 *  G3  While a pin is held the slot is not reclaimed and its fields stay.
 *  G4  A reclaim succeeds exactly once for each table_retire.
 *  G5  A failed table_reserve has changed nothing that can be observed.
 *  G6  When owner.live and table_uncollected are 0, no other thread is on its
 *      way to the owner or its segments.
 *
 * Progress: peek, pin and unpin are wait-free (an undo of a pin that came too
 * late is lock-free), remote frees are wait-free, the depot is lock-free; the
 * rest is single-threaded, as table.h says.
 */
#include "core/table.h"

#include "core/state.h"

/* A walk over the owner's segments is worth it when it finds so many slots in
 * each: it looks at two lines of a segment. */
enum { COLLECT_PER_SEGMENT = 64 };

/*
 * All owner words have memory from the start, and are nobody's until a
 * segment is adopted: a reader of another thread may ask for any index. So
 * have the links of the depot.
 */
int table_init(struct region *region, uint32_t first_generation)
{
	region_state(region)->first_generation = first_generation;
	if (region_commit(region, AREA_SEGMENT_LINKS, SEGMENTS_MAX) != 0)
		return -ENOMEM;
	return region_commit(region, AREA_SEGMENT_OWNERS, SEGMENTS_MAX);
}

/* All slots become FREE at the segment's generation. */
static void init_segment(const struct region *region, uint32_t segment)
{
	struct segment *s = segment_at(region, segment);
	struct free_map *map = free_map_at(region, segment);
	struct slot *slots = slot_at(region, segment << SEGMENT_SLOTS_LOG2);

	s->bare = 0;
	s->mixed = 0;
	s->free = SEGMENT_SLOTS;
	memset(map->bits, 0xff, sizeof(map->bits));
	for (uint32_t i = 0; i < SEGMENT_SLOTS; i++)
		control_init(&slots[i].control, s->generation);
}

/* It has its memory, and is nobody's from here on. */
static void into_depot(const struct region *region, uint32_t segment)
{
	struct state *state = region_state(region);

	/* relaxed: a number to trim by */
	fetch_add_relaxed_u32(&state->depot_count, 1);
	owned_give(segment_owner(region, segment), &state->depots[DEPOT_WARM],
		   segment_links(region), segment);
}

/* One that has its memory; those first that have to keep it anyway. */
static uint32_t out_of_depot(const struct region *region)
{
	struct state *state = region_state(region);
	atomic_u32 *links = segment_links(region);
	uint32_t segment = depot_pop(&state->depots[DEPOT_WORN], links);

	if (segment != 0)
		return segment;
	segment = depot_pop(&state->depots[DEPOT_WARM], links);
	if (segment != 0)
		/* relaxed: as above */
		fetch_add_relaxed_u32(&state->depot_count, UINT32_MAX);
	return segment;
}

/* A segment that has no memory yet or no more, or 0. */
static uint32_t fresh_segment(struct region *region)
{
	struct state *state = region_state(region);
	struct area_head *head = region_area(region, AREA_SEGMENTS);
	uint32_t segment =
		depot_pop(&state->depots[DEPOT_BARE], segment_links(region));

	if (segment != 0) {
		init_segment(region, segment);
		return segment;
	}
	segment = head->used;
	if (region_commit(region, AREA_SEGMENTS, segment + 1) != 0 ||
	    region_commit(region, AREA_FREE_MAPS, segment + 1) != 0 ||
	    region_commit(region, AREA_SLOTS,
			  (uint64_t)(segment + 1) << SEGMENT_SLOTS_LOG2) != 0)
		return 0;
	head->used++;
	segment_at(region, segment)->generation = state->first_generation;
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
	owner->n_segments++;
	owned_adopt(segment_owner(region, segment), owner->id);
}

void owner_reset(struct owner *owner)
{
	owner->segments = owner->roomy = 0;
	owner->live = owner->free = 0;
	owner->n_segments = 0;
	/* relaxed: nobody is on his way to this owner */
	store_relaxed_u32(&owner->freed, 0);
	owner->taken = 0;
}

int32_t table_uncollected(const struct owner *owner)
{
	return (int32_t)(remote_count(&owner->freed) - owner->taken);
}

/* Without it, an owner of many segments would walk them for a few slots. */
static bool collect_pays(const struct owner *owner)
{
	int64_t slots = (int64_t)owner->live + owner->free;
	int64_t uncollected = table_uncollected(owner);

	return uncollected > 0 &&
	       uncollected * SEGMENT_SLOTS >= slots * COLLECT_PER_SEGMENT;
}

int table_reserve_stocked(struct region *region, struct owner *owner,
			  uint32_t count)
{
	if (owner->free < count && collect_pays(owner))
		table_collect(region, owner);
	while (owner->free < count) {
		uint32_t segment = out_of_depot(region);

		if (segment == 0)
			return -ENOMEM;
		adopt_segment(region, owner, segment);
	}
	return 0;
}

int table_reserve(struct region *region, struct owner *owner, uint32_t count)
{
	while (table_reserve_stocked(region, owner, count) != 0) {
		uint32_t segment = fresh_segment(region);

		if (segment == 0)
			return -ENOMEM;
		adopt_segment(region, owner, segment);
	}
	return 0;
}

int table_stock(struct region *region, uint32_t count)
{
	struct state *state = region_state(region);

	/* relaxed: whoever takes some meanwhile asks again */
	while (load_relaxed_u32(&state->depot_count) < count) {
		uint32_t segment = fresh_segment(region);

		if (segment == 0)
			return -ENOMEM;
		into_depot(region, segment);
	}
	return 0;
}

uint32_t table_take(struct region *region, struct owner *owner)
{
	uint32_t segment = owner->roomy, word = 0, index;
	struct segment *s = segment_at(region, segment);
	uint64_t *bits = free_map_at(region, segment)->bits;
	struct slot *slot;

	assert(segment != 0 && s->free > 0);
	while (bits[word] == 0)
		word++;
	index = word * 64 + (uint32_t)__builtin_ctzll(bits[word]);
	bits[word] &= bits[word] - 1;
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

	return handle_make(control_publish(&slot->control, kind), kind, index);
}

void table_has_room(struct owner *owner, struct segment *s, uint32_t segment)
{
	s->next_roomy = owner->roomy;
	s->roomy = 1;
	owner->roomy = segment;
}

/* A slot that has been reclaimed is the owner's again, or nobody's. */
static void regain(struct region *region, struct owner *owner, uint32_t index,
		   bool is_dead)
{
	uint32_t segment = index >> SEGMENT_SLOTS_LOG2;
	struct segment *s = segment_at(region, segment);

	owner->live--;
	s->mixed = 1;
	if (is_dead) {
		s->dead++;
		return;
	}
	table_gain(owner, s, free_map_at(region, segment), index);
	owner->free++;
}

void table_gain_word(struct region *region, struct owner *owner, uint32_t first,
		     const struct gained *gained)
{
	uint32_t segment = first >> SEGMENT_SLOTS_LOG2;
	uint64_t *bits =
		&free_map_at(region, segment)->bits[first % SEGMENT_SLOTS / 64];
	struct segment *s = segment_at(region, segment);

	assert((*bits & gained->bits) == 0);
	*bits |= gained->bits;
	s->free = (uint16_t)(s->free + gained->freed);
	s->dead = (uint16_t)(s->dead + gained->dead);
	s->generation = (uint32_t)max_u64(s->generation, gained->most);
	owner->free += gained->freed;
	owner->live -= gained->freed + gained->dead;
	if (gained->freed > 0 && !s->roomy)
		table_has_room(owner, s, segment);
}

bool table_try_reclaim(struct region *region, struct owner *owner,
		       uint32_t index)
{
	enum reclaimed reclaimed =
		control_try_reclaim(&slot_at(region, index)->control);

	if (reclaimed == RECLAIM_PINNED)
		return false;
	regain(region, owner, index, reclaimed == RECLAIM_DEAD);
	return true;
}

bool table_try_reclaim_remote(const struct region *region, struct owner *owner,
			      uint32_t index)
{
	struct free_map *map = free_map_at(region, index >> SEGMENT_SLOTS_LOG2);

	if (control_try_reclaim(&slot_at(region, index)->control) ==
	    RECLAIM_PINNED)
		return false;
	remote_free(map->freed, index & (SEGMENT_SLOTS - 1), &owner->freed);
	return true;
}

/* The number of slots found. */
static uint32_t collect_word(struct region *region, struct owner *owner,
			     uint32_t segment, uint32_t word)
{
	uint64_t bits = remote_take(&free_map_at(region, segment)->freed[word]);
	uint32_t n = 0;

	for (; bits != 0; bits &= bits - 1, n++) {
		uint32_t index = (segment << SEGMENT_SLOTS_LOG2) + word * 64 +
				 (uint32_t)__builtin_ctzll(bits);

		regain(region, owner, index,
		       slot_state(slot_at(region, index)) == SLOT_DEAD);
	}
	return n;
}

/*
 * The walk may find a bit before its reclaimer has counted it. That is as
 * good as any other, but taken then runs ahead of freed until he has.
 */
void table_collect(struct region *region, struct owner *owner)
{
	uint32_t segment = owner->segments;

	for (; segment != 0; segment = segment_at(region, segment)->next)
		for (uint32_t word = 0; word < SEGMENT_WORDS; word++)
			owner->taken +=
				collect_word(region, owner, segment, word);
}

void table_abandon(struct region *region, struct owner *owner)
{
	uint32_t segment;

	assert(owner->live == 0 && table_uncollected(owner) == 0);
	while ((segment = owner->segments) != 0) {
		struct segment *s = segment_at(region, segment);

		owner->segments = s->next;
		assert(s->free + s->dead == SEGMENT_SLOTS);
		s->next = 0;
		s->roomy = 0;
		s->next_roomy = 0;
		if (s->free > 0)
			into_depot(region, segment);
		else /* all are DEAD: nobody can use it */
			owned_leave(segment_owner(region, segment));
	}
	owner_reset(owner);
}

/* A generation beyond all that the slots of a segment have had, or 0 when
 * there is none left. */
static uint32_t generation_beyond(const struct region *region, uint32_t segment)
{
	const struct slot *slots =
		slot_at(region, segment << SEGMENT_SLOTS_LOG2);
	const struct segment *s = segment_at(region, segment);
	uint32_t most = s->mixed ? 0 : s->generation;

	for (uint32_t i = 0; s->mixed && i < SEGMENT_SLOTS; i++) {
		/* relaxed: it is FREE and nobody's, so it stays */
		uint64_t control = load_relaxed_u64(&slots[i].control);

		most = (uint32_t)max_u64(most, control_generation(control));
	}
	return most + 1 < SLOT_GENERATION_MAX ? most + 1 : 0;
}

/* Segments in a row that are bare, and still have their memory. */
struct bare_run {
	uint32_t first, count;
};

/* Takes their memory away, and then they can be found. */
static void clear_run(struct region *region, struct bare_run *run)
{
	struct state *state = region_state(region);

	if (run->count > 0)
		region->pages.clear(
			region->pages.context,
			slot_at(region, run->first << SEGMENT_SLOTS_LOG2),
			run->count * SEGMENT_SLOTS * sizeof(struct slot));
	for (; run->count > 0; run->count--)
		depot_push(&state->depots[DEPOT_BARE], segment_links(region),
			   run->first + run->count - 1);
}

/* One more: those that lie beside each other lose their memory at once, which
 * splits a huge page once. */
static void add_to_run(struct region *region, struct bare_run *run,
		       uint32_t segment)
{
	if (run->count > 0 && segment == run->first + run->count) {
		run->count++;
		return;
	}
	if (run->count > 0 && segment + 1 == run->first) {
		run->first--;
		run->count++;
		return;
	}
	clear_run(region, run);
	*run = (struct bare_run){ segment, 1 };
}

/* False when the segment has to keep its memory. */
static bool strip(struct region *region, uint32_t segment)
{
	struct segment *s = segment_at(region, segment);
	struct free_map *map = free_map_at(region, segment);
	uint32_t generation = generation_beyond(region, segment);

	if (generation == 0)
		return false;
	/* Who finds it bare begins with that generation. */
	s->generation = generation;
	stored();
	s->bare = 1;
	s->free = 0;
	memset(map->bits, 0, sizeof(map->bits));
	return true;
}

uint32_t table_trim(struct region *region, uint32_t count)
{
	struct state *state = region_state(region);
	atomic_u32 *links = segment_links(region);
	struct bare_run run = { 0 };
	uint32_t n = 0;

	/* relaxed: about so many */
	while (n < count &&
	       load_relaxed_u32(&state->depot_count) > DEPOT_KEEP) {
		uint32_t segment = depot_pop(&state->depots[DEPOT_WARM], links);

		if (segment == 0)
			break;
		/* relaxed: as in into_depot() */
		fetch_add_relaxed_u32(&state->depot_count, UINT32_MAX);
		if (strip(region, segment))
			add_to_run(region, &run, segment);
		else
			depot_push(&state->depots[DEPOT_WORN], links, segment);
		n++;
	}
	clear_run(region, &run);
	return n;
}

uint32_t table_depot_next(const struct region *region, enum depot_kind kind,
			  uint32_t segment)
{
	if (segment == 0)
		return depot_top(&region_state(region)->depots[kind]);
	return depot_below(segment_links(region), segment);
}

uint32_t table_depot_count(const struct region *region)
{
	/* relaxed: nobody is at work */
	return load_relaxed_u32(&region_state(region)->depot_count);
}

bool table_is_freed(const struct region *region, uint32_t index)
{
	const struct free_map *map =
		free_map_at(region, index >> SEGMENT_SLOTS_LOG2);
	uint32_t bit = index & (SEGMENT_SLOTS - 1);

	/* relaxed: as above */
	return load_relaxed_u64(&map->freed[bit / 64]) >> (bit % 64) & 1;
}

void table_adopt(struct region *region)
{
	uint32_t used = region_area(region, AREA_SEGMENTS)->used;

	for (uint32_t segment = 1; segment < used; segment++) {
		struct slot *slots =
			slot_at(region, segment << SEGMENT_SLOTS_LOG2);

		if (segment_at(region, segment)->bare)
			continue;
		for (uint32_t i = 0; i < SEGMENT_SLOTS; i++)
			control_adopt(&slots[i].control);
	}
}

void table_relink_begin(struct region *region)
{
	struct state *state = region_state(region);

	for (int kind = 0; kind < DEPOT_KINDS; kind++)
		state->depots[kind] = (struct depot){ 0 };
	/* relaxed: there is one thread */
	store_relaxed_u32(&state->depot_count, 0);
}

/* Bits and counts from the words. One whose segment was on its way back into
 * use may not have its generation yet. */
static void recount(const struct region *region, uint32_t segment,
		    struct owner *owner)
{
	struct segment *s = segment_at(region, segment);
	struct free_map *map = free_map_at(region, segment);
	struct slot *slots = slot_at(region, segment << SEGMENT_SLOTS_LOG2);

	s->mixed = 1;
	for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
		/* relaxed: there is one thread */
		uint64_t word = load_relaxed_u64(&slots[i].control);
		enum slot_state state = control_state(word);

		if (owner == NULL && state == SLOT_FREE &&
		    control_generation(word) < s->generation)
			control_init(&slots[i].control, s->generation);
		if (state == SLOT_FREE) {
			map->bits[i / 64] |= UINT64_C(1) << (i % 64);
			s->free++;
		} else if (state == SLOT_DEAD) {
			s->dead++;
		} else if (owner != NULL) {
			owner->live++;
		}
	}
}

void table_relink(struct region *region, uint32_t segment, struct owner *owner)
{
	struct segment *s = segment_at(region, segment);
	struct free_map *map = free_map_at(region, segment);

	if (s->generation == 0)
		s->generation = region_state(region)->first_generation;
	s->next = s->next_roomy = 0;
	s->free = s->dead = 0;
	s->roomy = 0;
	memset(map->bits, 0, sizeof(map->bits));
	for (uint32_t word = 0; word < SEGMENT_WORDS; word++)
		remote_take(&map->freed[word]);
	if (owner == NULL)
		owned_leave(segment_owner(region, segment));
	if (s->bare) {
		depot_push(&region_state(region)->depots[DEPOT_BARE],
			   segment_links(region), segment);
		return;
	}
	recount(region, segment, owner);
	if (owner == NULL && s->free > 0)
		into_depot(region, segment);
	if (owner == NULL)
		return;
	s->next = owner->segments;
	owner->segments = segment;
	owner->n_segments++;
	owner->free += s->free;
	if (s->free == 0)
		return;
	s->next_roomy = owner->roomy;
	s->roomy = 1;
	owner->roomy = segment;
}
