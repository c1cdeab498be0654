/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of retired slots of one session: append-only at one end, taken
 * at the other. One thread.
 */
#ifndef CORE_RETIRE_H
#define CORE_RETIRE_H

#include "core/state.h"

/* An item is a slot, or an object whose last token has gone. */
#define ITEM_OBJECT (UINT32_C(1) << 31)
/* On a timeline: look again when it is reached, others may use it, too. */
#define ITEM_AGAIN (UINT32_C(1) << 30)
/* Among those set aside (core/pinned.c): it has been reported. */
#define ITEM_TOLD (UINT32_C(1) << 30)

static_assert(HANDLE_INDEX_BITS < 30, "an item has room for its marks");

/* A chunk without items; the caller has reserved it. */
static inline uint32_t chunk_take(struct region *region)
{
	return pool_take_head(region, AREA_CHUNKS,
			      offsetof(struct chunk, items));
}

/* Takes the one chunk that a stream always has; 0 or -ENOMEM. */
int stream_init(struct region *region, struct stream *stream);

/* Gives that chunk back; asserts that the stream is empty. */
void stream_deinit(struct region *region, struct stream *stream);

/*
 * Makes sure that count more items find room, in whatever streams and
 * timelines they and all others come to stand later; 0 or -ENOMEM.
 */
int stream_reserve(struct region *region, uint32_t count);

/* The same for a stream or timeline more. */
int stream_reserve_another(struct region *region);

/* How many appends succeed without any reservation. */
uint32_t stream_room(const struct region *region, const struct stream *stream);

/* Appends; the caller has reserved. */
void stream_append(struct region *region, struct stream *stream, uint32_t item);

/* Appends count items in their order; the caller has reserved. */
void stream_append_list(struct region *region, struct stream *stream,
			const uint32_t *items, uint32_t count);

/* Copies up to count items from the front without taking them. */
uint32_t stream_peek(const struct region *region, const struct stream *stream,
		     uint32_t *ret_items, uint32_t count);

/* Takes count items off the front. */
void stream_pop(struct region *region, struct stream *stream, uint32_t count);

#endif
