/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handle table: slots, segments, and the life of a slot. The reasoning is
 * in table.c; docs/MEMORY_MODEL.md has the orders.
 *
 * Threads: table_peek, table_pin and table_unpin may be called by any thread
 * at any time. Everything else belongs to the one thread that owns the
 * owner's objects.
 */
#ifndef CORE_TABLE_H
#define CORE_TABLE_H

#include "core/atomic.h"
#include "core/handle.h"
#include "core/region.h"

enum {
	SLOT_PIN_BITS = 20,
	SLOT_STATE_BITS = 3,
	SLOT_SPARE_BITS = 5,
	SEGMENT_SLOTS_LOG2 = 10,
	SEGMENT_SLOTS = 1 << SEGMENT_SLOTS_LOG2,
	SEGMENT_WORDS = SEGMENT_SLOTS / 64,
	SEGMENTS_MAX = 1 << (HANDLE_INDEX_BITS - SEGMENT_SLOTS_LOG2),
	/* How many slots ahead of the one at work whoever goes through a list
	 * asks for. Measured: 16 to 32 are alike, 8 and 64 are slower. */
	PREFETCH_AHEAD = 24,
};

static_assert(SLOT_PIN_BITS + SLOT_STATE_BITS + SLOT_SPARE_BITS +
			      HANDLE_KIND_BITS + HANDLE_GENERATION_BITS ==
		      64,
	      "the control word is one word");

enum slot_state {
	SLOT_FREE = 0,
	SLOT_LIVE = 1,
	SLOT_RETIRED = 2,
	SLOT_DEAD = 3,
};

#define SLOT_STATE_SHIFT SLOT_PIN_BITS
#define SLOT_KIND_SHIFT (SLOT_PIN_BITS + SLOT_STATE_BITS + SLOT_SPARE_BITS)
#define SLOT_GENERATION_SHIFT (SLOT_KIND_SHIFT + HANDLE_KIND_BITS)
#define SLOT_PIN_MASK ((UINT64_C(1) << SLOT_PIN_BITS) - 1)
#define SLOT_GENERATION_MAX UINT32_MAX

static_assert(SLOT_GENERATION_SHIFT == 32, "generation is the high half");

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

/* One line: lookup, pin, retire and reclaim touch nothing else. */
struct slot {
	atomic_u64 control;
	uint32_t waiter; /* who waits for the reclaim, or 0 */
	/* Which work uses it, of allocations only: core/uses.c. */
	uint32_t use_who;
	uint64_t use_value;
	union {
		struct slot_adapter adapter;
		struct slot_device device;
		struct slot_resource resource;
		struct slot_allocation allocation;
		struct slot_context context;
	};
};

static_assert(sizeof(struct slot) == 64, "a slot is one cache line");

/* Whose slots a segment holds: a session or a device. 0 is nobody. */
struct owner {
	uint32_t id;
	uint32_t segments; /* list of all, through segment.next */
	uint32_t roomy; /* list of those with free slots, or 0 */
	uint32_t live; /* slots taken and not yet reclaimed */
	uint32_t free; /* slots that table_take can hand out */
};

struct segment {
	uint32_t next; /* of the owner's segments, or in the depot */
	uint32_t next_roomy;
	uint16_t free; /* bits set below */
	uint16_t dead; /* slots that are used up for ever */
	uint8_t roomy; /* is on the owner's roomy list */
	uint8_t spare[3]; /* zero */
	uint64_t free_bits[SEGMENT_WORDS];
};

static inline struct slot *slot_at(const struct region *region, uint32_t index)
{
	return (struct slot *)region_start(region, AREA_SLOTS) + index;
}

static inline struct segment *segment_at(const struct region *region,
					 uint32_t segment)
{
	return (struct segment *)region_start(region, AREA_SEGMENTS) + segment;
}

static inline enum slot_state control_state(uint64_t control)
{
	return (enum slot_state)((control >> SLOT_STATE_SHIFT) &
				 ((1u << SLOT_STATE_BITS) - 1));
}

static inline enum kind control_kind(uint64_t control)
{
	return (enum kind)((control >> SLOT_KIND_SHIFT) &
			   ((1u << HANDLE_KIND_BITS) - 1));
}

static inline uint32_t control_generation(uint64_t control)
{
	return (uint32_t)(control >> SLOT_GENERATION_SHIFT);
}

static inline uint32_t control_pins(uint64_t control)
{
	return (uint32_t)(control & SLOT_PIN_MASK);
}

/* State, kind and pins of a slot as its owner sees them. */
enum slot_state slot_state(const struct slot *slot);
enum kind slot_kind(const struct slot *slot);
uint32_t slot_pins(const struct slot *slot);

/* The handle that names a slot in use, or named it until it was retired. */
struct handle slot_handle(const struct slot *slot, uint32_t index);

/* Asks for the line of a slot that will be written soon. */
static inline void slot_prefetch(const struct region *region, uint32_t index)
{
	__builtin_prefetch(slot_at(region, index), 1);
}

/* The segment owner of an index: G2's check, before any slot is touched. */
uint32_t table_owner(const struct region *region, struct handle handle);

/* Asks for the slot that a handle names, if it lies in the owner's segments:
 * G2 holds for a prefetch, too. */
void table_prefetch(const struct region *region, uint32_t owner,
		    struct handle handle);

/* The device that a slot in use belongs to; the caller knows that one does. */
uint32_t table_device(const struct region *region, uint32_t index);

/*
 * The slot that a handle names, if it is LIVE, of that owner and of the kind
 * in the handle; else NULL. Wait-free: one load of the small owner array, one
 * of the slot.
 */
struct slot *table_peek(const struct region *region, uint32_t owner,
			struct handle handle);

/* The same, and the slot cannot be reclaimed until table_unpin. */
struct slot *table_pin(const struct region *region, uint32_t owner,
		       struct handle handle);
void table_unpin(struct slot *slot);

/* Prepares the table of a fresh region; 0 or -ENOMEM. */
int table_init(struct region *region, uint32_t first_generation);

/*
 * Makes sure that the owner has count free slots: segments from the depot or
 * fresh ones. 0 or -ENOMEM.
 */
int table_reserve(struct region *region, struct owner *owner, uint32_t count);

/* Takes a reserved slot: its fields are zero and nobody can see it yet. */
uint32_t table_take(struct region *region, struct owner *owner);

/* Makes a taken slot LIVE: the last step of a create (A81). */
struct handle table_publish(struct region *region, uint32_t index,
			    enum kind kind);

/* LIVE to RETIRED: from here on no lookup succeeds (G1). Asserts LIVE. */
void table_retire(struct slot *slot);

/*
 * RETIRED to FREE with the next generation, or to DEAD after the last one.
 * False when somebody holds a pin: try again later.
 */
bool table_try_reclaim(struct region *region, struct owner *owner,
		       uint32_t index);

/* Gives all segments of an owner without live slots back to the depot. */
void table_abandon(struct region *region, struct owner *owner);

static inline uint32_t slot_index(const struct region *region,
				  const struct slot *slot)
{
	return (uint32_t)(slot -
			  (struct slot *)region_start(region, AREA_SLOTS));
}

#endif
