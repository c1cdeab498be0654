/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control word of a slot: the whole of its life in one atomic word.
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
 * What a removed device has may also go in one step, end: from LIVE to FREE or
 * DEAD, if nobody pins it (core/sweep.c).
 *
 * Rules. Every change of the word is a read-modify-write, so that a transient
 * pin is never lost. The pin field is only added to and subtracted from. Only
 * the owner's thread publishes, retires and ends. An unpinner never reclaims:
 * only the holder of the retire record does, so reclaim happens exactly once by
 * construction.
 *
 * One thing may happen to a word from outside: the memory of a segment that
 * nobody owns is given back, and reads as zero, and later the word is made
 * anew with a generation beyond all that it ever had. A pinner that looked up
 * a slot long ago may add its pin before that and undo it after. So an undo
 * takes its pin back only while the generation is the one that the pin was
 * added to: no generation comes twice, and while a pin is there none goes.
 *
 * This is the text that models/ checks, with fewer bits and other atomics: so
 * it must compile as C++, too. docs/MEMORY_MODEL.md has the orders.
 */
#ifndef CORE_CONTROL_H
#define CORE_CONTROL_H

#include "core/atomic.h"
#include "core/handle.h"

#ifdef TENURE_MODEL
enum { SLOT_PIN_BITS = 2, SLOT_GENERATION_BITS = 3 };
#else
enum { SLOT_PIN_BITS = 20, SLOT_GENERATION_BITS = 32 };
#endif

enum {
	SLOT_STATE_BITS = 3,
	SLOT_STATE_SHIFT = SLOT_PIN_BITS,
	SLOT_KIND_SHIFT = HANDLE_INDEX_BITS,
	SLOT_GENERATION_SHIFT = SLOT_KIND_SHIFT + HANDLE_KIND_BITS,
};

static_assert((int)SLOT_STATE_SHIFT + (int)SLOT_STATE_BITS <=
		      (int)SLOT_KIND_SHIFT,
	      "pins and state lie below the kind");
static_assert((int)SLOT_GENERATION_SHIFT + (int)SLOT_GENERATION_BITS <= 64,
	      "the control word is one word");

#define SLOT_PIN_MASK ((UINT64_C(1) << SLOT_PIN_BITS) - 1)
#define SLOT_GENERATION_MAX (UINT32_MAX >> (32 - SLOT_GENERATION_BITS))

enum slot_state {
	SLOT_FREE = 0,
	SLOT_LIVE = 1,
	SLOT_RETIRED = 2,
	SLOT_DEAD = 3,
};

/* What control_try_reclaim has done. */
enum reclaimed {
	RECLAIM_PINNED, /* nothing: try again later */
	RECLAIM_FREE, /* the next generation may be published */
	RECLAIM_DEAD, /* the slot is used up */
};

static inline uint64_t control_make(uint32_t generation, enum slot_state state)
{
	return (uint64_t)generation << SLOT_GENERATION_SHIFT |
	       (uint64_t)state << SLOT_STATE_SHIFT;
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

/* Whether a word is of that state and kind, whatever else it says. */
static inline bool control_is(uint64_t control, enum slot_state state,
			      enum kind kind)
{
	uint64_t wanted = control_make(0, state) | (uint64_t)kind
							   << SLOT_KIND_SHIFT;
	uint64_t mask = ((UINT64_C(1) << SLOT_GENERATION_SHIFT) - 1) &
			~SLOT_PIN_MASK;

	return (control & mask) == wanted;
}

/* LIVE, of the handle's generation and kind, whatever the pins. */
static inline bool control_matches(uint64_t control, struct handle handle)
{
	uint64_t wanted = control_make(handle_generation(handle), SLOT_LIVE) |
			  (uint64_t)handle_kind(handle) << SLOT_KIND_SHIFT;

	return (control & ~SLOT_PIN_MASK) == wanted;
}

/* Whether a handle names what is LIVE there. Any thread; wait-free. */
static inline bool control_peek(const atomic_u64 *word, struct handle handle)
{
	/* order PUBLISH: pairs with the release in control_publish(): the
	 * fields of a LIVE slot are visible */
	return control_matches(load_acquire_u64(word), handle);
}

/* Takes back a pin that was added to a word of that generation. */
static inline void control_undo(atomic_u64 *word, uint32_t generation)
{
	/* relaxed: nothing was read under this pin */
	uint64_t control = load_relaxed_u64(word);

	while (control_generation(control) == generation) {
		/* relaxed: as above */
		if (cas_weak_relaxed_u64(word, &control, control - 1))
			return;
	}
}

/*
 * The same as control_peek, and until control_unpin no reclaim succeeds. Any
 * thread; wait-free but for an undo against other pins.
 */
static inline bool control_pin(atomic_u64 *word, struct handle handle)
{
	uint64_t before;

	if (!control_peek(word, handle))
		return false;
	/* relaxed: the peek has acquired this very generation, and it is
	 * published once */
	before = fetch_add_relaxed_u64(word, 1);
	if (control_matches(before, handle))
		return true;
	control_undo(word, control_generation(before));
	return false;
}

static inline void control_unpin(atomic_u64 *word)
{
	/* order UNPIN: pairs with the acquire in control_try_reclaim(): what
	 * was read under the pin was read before the slot is written again */
	uint64_t before = fetch_sub_release_u64(word, 1);

	assert(control_pins(before) > 0);
	(void)before;
}

/* A word of a segment that nobody owns; see above for who may still look. */
static inline void control_init(atomic_u64 *word, uint32_t generation)
{
	/* relaxed: nothing can be found here before it is published */
	store_relaxed_u64(word, control_make(generation, SLOT_FREE));
}

/* Whoever pinned it is gone with its process; nobody else looks yet. */
static inline void control_adopt(atomic_u64 *word)
{
	/* relaxed: there is one thread */
	uint64_t control = load_relaxed_u64(word);

	if (control_pins(control) != 0)
		/* relaxed: as above */
		store_relaxed_u64(word, control & ~SLOT_PIN_MASK);
}

/* FREE to LIVE, after the fields have been written: the handle's generation.
 * The owner's thread only. */
static inline uint32_t control_publish(atomic_u64 *word, enum kind kind)
{
	/* order PUBLISH: pairs with the acquire in control_peek(): the fields
	 * before the LIVE that announces them */
	uint64_t before = fetch_add_release_u64(
		word,
		control_make(0, SLOT_LIVE) | (uint64_t)kind << SLOT_KIND_SHIFT);

	assert(control_state(before) == SLOT_FREE);
	return control_generation(before);
}

/* LIVE to RETIRED: no later lookup succeeds. The owner's thread only. */
static inline void control_retire(atomic_u64 *word)
{
	/* relaxed: the word alone decides every later lookup, and one word
	 * has one order for everybody */
	uint64_t before =
		fetch_add_relaxed_u64(word, control_make(0, SLOT_RETIRED) -
						    control_make(0, SLOT_LIVE));

	assert(control_state(before) == SLOT_LIVE);
	(void)before;
}

/* From a state to FREE with the next generation, or to DEAD after the last. */
static inline enum reclaimed control_leave(atomic_u64 *word,
					   enum slot_state from)
{
	/* relaxed: the compare-and-swap below decides */
	uint64_t control = load_relaxed_u64(word);
	uint32_t next = control_generation(control) + 1;
	bool last = next == SLOT_GENERATION_MAX;

	assert(control_state(control) == from);
	(void)from;
	if (control_pins(control) != 0)
		return RECLAIM_PINNED;
	/* order UNPIN: pairs with the release in control_unpin() */
	if (!cas_strong_acquire_u64(word, &control,
				    control_make(next,
						 last ? SLOT_DEAD : SLOT_FREE)))
		return RECLAIM_PINNED;
	return last ? RECLAIM_DEAD : RECLAIM_FREE;
}

/* RETIRED to FREE or DEAD. Whoever holds the retire record, and nobody else. */
static inline enum reclaimed control_try_reclaim(atomic_u64 *word)
{
	return control_leave(word, SLOT_RETIRED);
}

/* LIVE to FREE or DEAD, for what needs no reclaim of its own: the retire and
 * the reclaim in one. The owner's thread only. */
static inline enum reclaimed control_try_end(atomic_u64 *word)
{
	return control_leave(word, SLOT_LIVE);
}

#endif
