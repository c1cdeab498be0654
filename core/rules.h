/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The destroy-argument rules (table A) as a pure function: it looks at the
 * state and the arguments, changes neither, and says what a commit must do.
 */
#ifndef CORE_RULES_H
#define CORE_RULES_H

#include "core/limits.h"
#include "core/outcome.h"
#include "core/region.h"
#include "core/state.h"

/* The arguments, copied field by field. Handles are wire values. */
struct destroy_args {
	uint64_t device, resource;
	const uint64_t *list; /* NULL when none is present */
	uint64_t list_bytes; /* that are really there */
	uint32_t count;
	uint32_t flags; /* enum tenure_destroy_flags */
};

enum destroy_action {
	DESTROY_NOTHING,
	DESTROY_RESOURCE,
	DESTROY_LIST,
};

/* Bits for each entry of a list. */
enum { RULES_SEEN_BITS_LOG2 = 6 };

/*
 * Working memory of one call: which slots the list has named so far. The
 * multiplier of the hash is any number that clients cannot know; it is set
 * once, before the first call.
 */
struct rules_scratch {
	uint32_t multiplier;
	uint32_t seen_log2; /* of the bits of seen that this list uses */
	uint64_t seen[(LIST_ENTRIES_MAX << RULES_SEEN_BITS_LOG2) / 64];
	uint32_t slots[LIST_ENTRIES_MAX];
};

/* What to do; slots are valid until the state changes. */
struct destroy_verdict {
	struct outcome outcome;
	enum destroy_action action;
	uint32_t device; /* record */
	uint32_t resource; /* slot: DESTROY_RESOURCE */
	const uint32_t *slots; /* DESTROY_LIST: in the scratch */
	uint32_t count;
};

/* Judges one destroy of a session. Pure but for the scratch. */
void rules_destroy(const struct region *region, uint32_t session,
		   const struct destroy_args *args,
		   struct rules_scratch *scratch, struct destroy_verdict *ret);

/*
 * Lists of handles are judged in blocks: what the entries of the next block
 * name is put down, and its lines are asked for, while this one is judged.
 * Two small loops, since one that does both has more values than registers.
 * They are one to two blocks ahead: PREFETCH_AHEAD, as a mean.
 */
enum { RULES_BLOCK = (2 * PREFETCH_AHEAD + 2) / 3 };

/*
 * The slots of entries from to to, by their positions; 0 for one that does not
 * look like an allocation of the owner. Pure.
 */
void rules_name(const struct region *region, uint64_t secret, uint32_t owner,
		const uint64_t *entries, uint32_t from, uint32_t to,
		uint32_t *ret_slots);

/*
 * Judges one handle of the free queue: an allocation or a resource of any of
 * the session's devices, destroyed alone as by a destroy of its own on its own
 * device. The slot, or NULL with the outcome. Pure.
 */
struct slot *rules_free(const struct region *region, uint32_t session,
			uint64_t wire, struct outcome *ret);

/*
 * The slot that a wire handle names for a session: in one of its devices, or
 * among its own handles when device is 0. NULL with the reason otherwise:
 * wrong_type and other_device only for handles of the session's own.
 */
struct slot *rules_find(const struct region *region, uint32_t session,
			uint32_t device, enum kind kind, uint64_t wire,
			enum tenure_reason invalid,
			enum tenure_reason *ret_reason);

/*
 * The device of a request: its record index, or 0 with the outcome (A03 to
 * A08): -EINVAL when it is none of the session's, -ENODEV when it is removed.
 */
uint32_t rules_device(const struct region *region, uint32_t session,
		      uint64_t wire, struct outcome *ret);

#endif
