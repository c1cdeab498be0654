/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handle table: slots, segments, and the life of a slot. The reasoning is
 * in table.c; docs/MEMORY_MODEL.md has the orders.
 *
 * Threads. Any thread, at any time: table_owner, table_prefetch, table_peek,
 * table_pin, table_unpin, and table_try_reclaim_remote by whoever holds the
 * retire record. One thread alone makes fresh segments and takes memory away:
 * table_init, table_stock, table_reserve, table_trim. Everything else, and
 * table_reserve_stocked, belongs to the thread of the owner that it names.
 */
#ifndef CORE_TABLE_H
#define CORE_TABLE_H

#include "core/atomic.h"
#include "core/control.h"
#include "core/depot.h"
#include "core/handle.h"
#include "core/owned.h"
#include "core/region.h"
#include "core/remote.h"

enum depot_kind {
	DEPOT_WARM, /* have their memory */
	DEPOT_BARE, /* have given it back */
	DEPOT_WORN, /* cannot: there is no generation to go on from */
	DEPOT_KINDS,
};

/* Of the build; 24 if it does not say. */
#ifndef TENURE_PREFETCH_AHEAD
#define TENURE_PREFETCH_AHEAD 24
#endif

enum {
	SEGMENT_SLOTS_LOG2 = 10,
	SEGMENT_SLOTS = 1 << SEGMENT_SLOTS_LOG2,
	SEGMENT_WORDS = SEGMENT_SLOTS / 64,
	SEGMENTS_MAX = 1 << (HANDLE_INDEX_BITS - SEGMENT_SLOTS_LOG2),
	/* How many slots ahead of the one at work whoever goes through a list
	 * asks for. Measured: 16 to 32 are alike, 8 and 64 are slower. */
	PREFETCH_AHEAD = TENURE_PREFETCH_AHEAD,
	/* Segments that stay in the depot with their memory: 16 MiB. */
	DEPOT_KEEP = 256,
};

static_assert(PREFETCH_AHEAD >= 1 && PREFETCH_AHEAD <= 256,
	      "a distance within a list");

/* What a slot says about its object, by kind. */
struct slot_adapter {
	uint32_t adapter;
};

struct slot_device {
	uint32_t device;
};

struct slot_resource {
	uint32_t device;
	uint32_t object; /* of a shared or opened one; 0 when private */
	uint32_t run; /* block of child slot indices */
	uint16_t count, capacity; /* children, and room in the run */
	uint32_t private_block;
	uint16_t private_bytes;
	uint8_t rights; /* enum tenure_rights */
	uint8_t opened; /* not the creator's own */
	uint64_t backing; /* hResource of a private one */
	uint32_t born_s; /* on the caller's clock, for people */
	uint8_t released; /* RETIRED, and its memory is back already */
};

/* The device is that of the segment, see table_device(). */
struct slot_allocation {
	uint32_t parent; /* resource slot, 0 when it belongs to none */
	uint16_t position; /* in the parent's run, or in the context's */
	uint16_t maps;
	uint64_t size_bytes;
	uint64_t offset; /* in the store */
	uint64_t backing; /* hAllocation */
	uint32_t store; /* 0 when its memory is back already */
	uint32_t born_s; /* on the caller's clock, for people */
};

struct slot_context {
	uint32_t context;
};

struct slot_fence {
	uint32_t fence;
	uint32_t rights; /* enum tenure_rights */
	uint32_t own; /* the creator's: the fence dies with it */
};

/* One line: lookup, pin, retire and reclaim touch nothing else. */
struct slot {
	atomic_u64 control;
	uint32_t waiter; /* who waits for the reclaim, or 0 */
	/* Which work uses it, of allocations: core/uses.c. Of a private
	 * resource: whether it is set aside, and how many that were destroyed
	 * out of it have not been released: core/reclaim.c. */
	uint32_t use_who;
	uint64_t use_value;
	union {
		struct slot_adapter adapter;
		struct slot_device device;
		struct slot_resource resource;
		struct slot_allocation allocation;
		struct slot_context context;
		struct slot_fence fence;
	};
};

static_assert(sizeof(struct slot) == 64, "a slot is one cache line");

/* Whose slots a segment holds: a session or a device. 0 is nobody. */
struct owner {
	uint32_t id;
	uint32_t segments; /* list of all, through segment.next */
	uint32_t roomy; /* list of those with free slots, or 0 */
	uint32_t live; /* slots taken and not yet known to be reclaimed */
	uint32_t free; /* slots that table_take can hand out */
	uint32_t n_segments;
	atomic_u32 freed; /* by other threads, ever (core/remote.h) */
	uint32_t taken; /* of these, known to the owner */
};

/* Nobody's segments are his any more; who he is stays, at every moment. */
void owner_reset(struct owner *owner);

struct segment {
	uint32_t next; /* of the owner's segments */
	uint32_t next_roomy;
	uint32_t generation; /* unless it is mixed: no slot's is beyond it */
	uint16_t free; /* bits set in its free map */
	uint16_t dead; /* slots that are used up for ever */
	uint8_t roomy; /* is on the owner's roomy list */
	uint8_t bare; /* its slots' memory has been given back */
	uint8_t mixed; /* its generation may not be beyond all of its slots' */
	uint8_t spare; /* zero */
};

static_assert(sizeof(struct segment) == 20, "three in a line");

/* Which slots of a segment can be taken. It lies apart from the segment: a
 * reclaim of one of 10^7 slots touches one line of these, out of the cache,
 * and the counts of all their segments stay in it. */
struct free_map {
	uint64_t bits[SEGMENT_WORDS];
	atomic_u64 freed[SEGMENT_WORDS]; /* by others: core/remote.h */
};

static_assert(sizeof(struct free_map) == 256, "two lines for each writer");

/* Owner ids: sessions and devices share one number space. */
static inline uint32_t owner_of_session(uint32_t session)
{
	return session;
}

static inline uint32_t owner_of_device(uint32_t device)
{
	return device | UINT32_C(1) << 31;
}

static inline bool owner_is_device(uint32_t owner)
{
	return owner >> 31 != 0;
}

static inline uint32_t owner_device(uint32_t owner)
{
	return owner & ~(UINT32_C(1) << 31);
}

static inline struct slot *slot_at(const struct region *region, uint32_t index)
{
	return (struct slot *)region->slots + index;
}

static inline struct segment *segment_at(const struct region *region,
					 uint32_t segment)
{
	return (struct segment *)region_start(region, AREA_SEGMENTS) + segment;
}

static inline struct free_map *free_map_at(const struct region *region,
					   uint32_t segment)
{
	return (struct free_map *)region_start(region, AREA_FREE_MAPS) +
	       segment;
}

/* The links of the depots, by segment. */
static inline atomic_u32 *segment_links(const struct region *region)
{
	return (atomic_u32 *)region_start(region, AREA_SEGMENT_LINKS);
}

/* State, kind and pins of a slot as its owner sees them. */
static inline enum slot_state slot_state(const struct slot *slot)
{
	/* relaxed: only the owner, who asks, changes the state */
	return control_state(load_relaxed_u64(&slot->control));
}

static inline uint32_t slot_generation(const struct slot *slot)
{
	/* relaxed: as above */
	return control_generation(load_relaxed_u64(&slot->control));
}

static inline enum kind slot_kind(const struct slot *slot)
{
	/* relaxed: as above */
	return control_kind(load_relaxed_u64(&slot->control));
}

/* Both at once. */
static ALWAYS_INLINE bool slot_is(const struct slot *slot,
				  enum slot_state state, enum kind kind)
{
	/* relaxed: as above */
	return control_is(load_relaxed_u64(&slot->control), state, kind);
}

static inline uint32_t slot_pins(const struct slot *slot)
{
	/* relaxed: a number for people and for the checker */
	return control_pins(load_relaxed_u64(&slot->control));
}

/* The handle that names a slot in use, or named it until it was retired. */
static inline struct handle slot_handle(const struct slot *slot, uint32_t index)
{
	/* relaxed: as for the state */
	uint64_t control = load_relaxed_u64(&slot->control);

	return handle_make(control_generation(control), control_kind(control),
			   index);
}

/* Asks for the line of a slot that will be written soon. */
static ALWAYS_INLINE void slot_prefetch(const struct region *region,
					uint32_t index)
{
	__builtin_prefetch(slot_at(region, index), 1);
}

/* The word that says whose a segment is. */
static inline atomic_u32 *segment_owner(const struct region *region,
					uint32_t segment)
{
	return (atomic_u32 *)region->owners + segment;
}

static inline atomic_u32 *handle_owner(const struct region *region,
				       struct handle handle)
{
	static_assert(HANDLE_INDEX_MASK >> SEGMENT_SLOTS_LOG2 < SEGMENTS_MAX,
		      "every index has an owner word");
	return segment_owner(region,
			     handle_index(handle) >> SEGMENT_SLOTS_LOG2);
}

/* The segment owner of an index: G2's check, before any slot is touched. */
static inline uint32_t table_owner(const struct region *region,
				   struct handle handle)
{
	return owned_by(handle_owner(region, handle));
}

/* Asks for the slot that a handle names, if it lies in the owner's segments:
 * G2 holds for a prefetch, too. */
static ALWAYS_INLINE void table_prefetch(const struct region *region,
					 uint32_t owner, struct handle handle)
{
	if (table_owner(region, handle) == owner)
		slot_prefetch(region, handle_index(handle));
}

/* The device that a slot in use belongs to; the caller knows that one does. */
static inline uint32_t table_device(const struct region *region, uint32_t index)
{
	return owner_device(table_owner(region, (struct handle){ index }));
}

/*
 * The slot that a handle names, if it is LIVE, of that owner and of the kind
 * in the handle; else NULL. Wait-free: one load of the small owner array, one
 * of the slot. Who decides by it about a handle that may be a guess has to
 * keep segments from changing owners: core/owned.h.
 */
static inline struct slot *table_peek(const struct region *region,
				      uint32_t owner, struct handle handle)
{
	struct slot *slot = slot_at(region, handle_index(handle));

	if (!owned_peek(handle_owner(region, handle), owner, &slot->control,
			handle))
		return NULL;
	return slot;
}

/* The same for certain, whoever does what meanwhile, and the slot cannot be
 * reclaimed until table_unpin. */
static inline struct slot *table_pin(const struct region *region,
				     uint32_t owner, struct handle handle)
{
	struct slot *slot = slot_at(region, handle_index(handle));

	if (!owned_pin(handle_owner(region, handle), owner, &slot->control,
		       handle))
		return NULL;
	return slot;
}

static inline void table_unpin(struct slot *slot)
{
	control_unpin(&slot->control);
}

/* Prepares the table of a fresh region; 0 or -ENOMEM. */
int table_init(struct region *region, uint32_t first_generation);

/* Takes over a region whose threads are gone: forgets their pins. */
void table_adopt(struct region *region);

/*
 * Makes new what the table knows besides the words of its slots, after a
 * process was killed at whatever it did: begin, then each segment once, with
 * its owner, who has been reset, or NULL for nobody. No slot may be pinned.
 */
void table_relink_begin(struct region *region);
void table_relink(struct region *region, uint32_t segment, struct owner *owner);

/*
 * Makes sure that the owner has count free slots: segments from the depot or
 * fresh ones. 0 or -ENOMEM.
 */
int table_reserve(struct region *region, struct owner *owner, uint32_t count);

/*
 * The same from the depot alone: for owners of other threads than the one
 * that grows the table.
 */
int table_reserve_stocked(struct region *region, struct owner *owner,
			  uint32_t count);

/* Makes sure that the depot has count segments; 0 or -ENOMEM. */
int table_stock(struct region *region, uint32_t count);

/* Takes a reserved slot: its fields are zero and nobody can see it yet. */
uint32_t table_take(struct region *region, struct owner *owner);

/* Makes a taken slot LIVE: the last step of a create (A81). */
struct handle table_publish(struct region *region, uint32_t index,
			    enum kind kind);

/* LIVE to RETIRED: from here on no lookup succeeds (G1). Asserts LIVE. */
static inline void table_retire(struct slot *slot)
{
	control_retire(&slot->control);
}

/* Asks for the lines that the reclaim of a slot writes, but for its own. */
static ALWAYS_INLINE void table_prefetch_free(const struct region *region,
					      uint32_t index)
{
	uint32_t segment = index >> SEGMENT_SLOTS_LOG2;

	__builtin_prefetch(segment_at(region, segment), 1);
	__builtin_prefetch(
		&free_map_at(region, segment)->bits[index % SEGMENT_SLOTS / 64],
		1);
}

/*
 * RETIRED to FREE with the next generation, or to DEAD after the last one.
 * False when somebody holds a pin: try again later.
 */
bool table_try_reclaim(struct region *region, struct owner *owner,
		       uint32_t index);

/*
 * Reclaims of many slots of one owner, one after another: what they change of
 * him is added up in registers and told at the end. Nothing else may happen to
 * his slots between begin and end.
 */
struct reclaimer {
	struct slot *slots;
	struct segment *segments;
	struct free_map *maps;
	struct owner *owner;
	uint32_t freed, dead;
};

static inline struct reclaimer table_reclaim_begin(const struct region *region,
						   struct owner *owner)
{
	return (struct reclaimer){
		.slots = slot_at(region, 0),
		.segments = segment_at(region, 0),
		.maps = free_map_at(region, 0),
		.owner = owner,
	};
}

/* A segment that had no free slot has one. */
void table_has_room(struct owner *owner, struct segment *s, uint32_t segment);

/* A slot can be taken again: all but the owner's count of such. */
static ALWAYS_INLINE void table_gain(struct owner *owner, struct segment *s,
				     struct free_map *map, uint32_t index)
{
	uint64_t *bits = &map->bits[index % SEGMENT_SLOTS / 64];
	uint64_t bit = UINT64_C(1) << (index % 64);

	assert((*bits & bit) == 0);
	*bits |= bit;
	s->free++;
	s->mixed = 1;
	if (UNLIKELY(!s->roomy))
		table_has_room(owner, s, index >> SEGMENT_SLOTS_LOG2);
}

/* Like table_try_reclaim. */
static ALWAYS_INLINE bool table_reclaim(struct reclaimer *r, uint32_t index)
{
	enum reclaimed reclaimed =
		control_try_reclaim(&r->slots[index].control);
	uint32_t segment = index >> SEGMENT_SLOTS_LOG2;
	struct segment *s = r->segments + segment;

	if (UNLIKELY(reclaimed != RECLAIM_FREE)) {
		if (reclaimed == RECLAIM_PINNED)
			return false;
		s->dead++;
		s->mixed = 1;
		r->dead++;
		return true;
	}
	table_gain(r->owner, s, &r->maps[segment], index);
	r->freed++;
	return true;
}

/* The slots of one word of a free map, from an index on, that may be in use:
 * a bit for each, as they lie in the word. */
static ALWAYS_INLINE uint64_t table_taken(const struct region *region,
					  uint32_t index)
{
	const struct free_map *map =
		free_map_at(region, index >> SEGMENT_SLOTS_LOG2);

	return ~map->bits[index % SEGMENT_SLOTS / 64] & UINT64_MAX
								<< (index % 64);
}

/* Slots of one word that have gone straight from LIVE to FREE, a bit for each,
 * or to DEAD. */
struct gained {
	uint64_t bits;
	uint32_t freed, dead;
	uint32_t most; /* no generation of theirs is beyond it */
};

/* Their owner has them back; first is the first slot of the word. */
void table_gain_word(struct region *region, struct owner *owner, uint32_t first,
		     const struct gained *gained);

static inline void table_reclaim_end(struct reclaimer *r)
{
	r->owner->live -= r->freed + r->dead;
	r->owner->free += r->freed;
}

/*
 * The same from another thread than the owner's, which holds the slot's
 * retire record. The owner finds the slot with table_collect. After the call
 * the owner may be gone.
 */
bool table_try_reclaim_remote(const struct region *region, struct owner *owner,
			      uint32_t index);

/*
 * How many slots other threads have reclaimed that table_collect will find;
 * negative while somebody whose slot was found has not counted it yet.
 */
int32_t table_uncollected(const struct owner *owner);

/* Makes what other threads have reclaimed free for table_take: a walk over
 * all segments of the owner. table_reserve does it when it pays. */
void table_collect(struct region *region, struct owner *owner);

/* Gives all segments of an owner without live slots back to the depot; asserts
 * that nothing is uncollected. */
void table_abandon(struct region *region, struct owner *owner);

/*
 * Looks at up to count segments of the depot while it has more than DEPOT_KEEP,
 * and gives the memory of those back that need not keep it. How many were
 * looked at: 0 when there is nothing to do.
 */
uint32_t table_trim(struct region *region, uint32_t count);

/* For the checker, while nobody is at work: the segment behind another one in
 * a depot; the first one behind 0. */
uint32_t table_depot_next(const struct region *region, enum depot_kind kind,
			  uint32_t segment);
uint32_t table_depot_count(const struct region *region);

/* Whether another thread has reclaimed a slot and its owner does not know. */
bool table_is_freed(const struct region *region, uint32_t index);

static inline uint32_t slot_index(const struct region *region,
				  const struct slot *slot)
{
	return (uint32_t)(slot - (struct slot *)region->slots);
}

#endif
