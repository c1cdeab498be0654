/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timeline: what has died and waits for work to end.
 *
 *	head                               tail
 *	[ v=5 n=3 x x x | v=9 n=1 x ] -> [ v=12 n=2 x x _ _ ]
 *	    ^ read                         ^ last
 *
 * The idea: work of a context ends in order, so what waits for it can stand
 * in one line. A record is a value and the run of items that wait for it; a
 * destroy writes four bytes, or sixteen when the value is a new one. There is
 * no heap and no list through the slots: whoever moves items on reads them in
 * the order in which they lie.
 *
 * Two destroys need not come in the order of the values they wait for. One
 * that comes with an earlier value than the last is rounded up to it: it
 * waits longer than it had to, which is always safe, and a context's owner
 * who mixes near and far values delays nothing but his own.
 *
 * Chunks are those of the retire streams; core/retire.c reserves for both. A
 * record never crosses chunks, so a full chunk holds at least 63 items.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Items come out once each, in the order in which they went in.
 *  G2  No item comes out before the value that it was appended with.
 *  G3  An empty timeline has no chunk.
 */
#include "core/timeline.h"

enum { VALUE_LOW, VALUE_HIGH, COUNT, HEAD_WORDS };

static_assert(CHUNK_ITEMS % (HEAD_WORDS + 1) == 0,
	      "a chunk full of short records has no rest");

static uint64_t value_at(const struct chunk *chunk, uint32_t record)
{
	return chunk->items[record + VALUE_LOW] |
	       (uint64_t)chunk->items[record + VALUE_HIGH] << 32;
}

static struct chunk *add_chunk(struct region *region, struct timeline *timeline)
{
	uint32_t index = pool_take(region, AREA_CHUNKS);

	if (timeline->tail != 0) {
		chunk_at(region, timeline->tail)->next = index;
	} else {
		timeline->head = index;
		timeline->read = timeline->taken = 0;
	}
	timeline->tail = index;
	return chunk_at(region, index);
}

static void begin_record(struct region *region, struct timeline *timeline,
			 uint64_t value)
{
	struct chunk *chunk =
		timeline->tail == 0 ? NULL : chunk_at(region, timeline->tail);

	if (chunk == NULL || chunk->used + HEAD_WORDS + 1 > CHUNK_ITEMS)
		chunk = add_chunk(region, timeline);
	timeline->last = chunk->used;
	timeline->last_value = value;
	chunk->items[chunk->used + VALUE_LOW] = (uint32_t)value;
	chunk->items[chunk->used + VALUE_HIGH] = (uint32_t)(value >> 32);
	chunk->items[chunk->used + COUNT] = 0;
	chunk->used += HEAD_WORDS;
}

void timeline_append(struct region *region, struct timeline *timeline,
		     uint64_t value, uint32_t item)
{
	struct chunk *chunk;

	if (timeline->count > 0 && value < timeline->last_value)
		value = timeline->last_value;
	if (timeline->count == 0 || value != timeline->last_value ||
	    chunk_at(region, timeline->tail)->used == CHUNK_ITEMS)
		begin_record(region, timeline, value);
	chunk = chunk_at(region, timeline->tail);
	chunk->items[chunk->used++] = item;
	chunk->items[timeline->last + COUNT]++;
	timeline->count++;
	region_state(region)->n_items++;
}

bool timeline_is_reached(const struct region *region,
			 const struct timeline *timeline, uint64_t done)
{
	return timeline->count > 0 && value_at(chunk_at(region, timeline->head),
					       timeline->read) <= done;
}

/* The first chunk has been read; an empty timeline keeps none. */
static void drop_chunk(struct region *region, struct timeline *timeline)
{
	uint32_t head = timeline->head;

	timeline->head = chunk_at(region, head)->next;
	timeline->read = 0;
	if (timeline->count == 0)
		*timeline = (struct timeline){ 0 };
	pool_give(region, AREA_CHUNKS, head);
}

uint32_t timeline_take(struct region *region, struct timeline *timeline)
{
	const struct chunk *chunk = chunk_at(region, timeline->head);
	uint32_t item;

	assert(timeline->count > 0);
	item = chunk->items[timeline->read + HEAD_WORDS + timeline->taken++];
	timeline->count--;
	region_state(region)->n_items--;
	if (timeline->taken < chunk->items[timeline->read + COUNT])
		return item;
	timeline->read += HEAD_WORDS + timeline->taken;
	timeline->taken = 0;
	if (timeline->count == 0 || timeline->read == chunk->used)
		drop_chunk(region, timeline);
	return item;
}

uint32_t
timeline_walk(const struct region *region, const struct timeline *timeline,
	      void (*visit)(void *context, uint64_t value, uint32_t item),
	      void *context)
{
	uint32_t index = timeline->head, read = timeline->read, chunks = 0;
	uint32_t taken = timeline->taken, seen = 0;

	for (; index != 0 && seen < timeline->count; chunks++, read = 0) {
		const struct chunk *chunk = chunk_at(region, index);

		while (read < chunk->used && seen < timeline->count) {
			uint32_t n = chunk->items[read + COUNT];

			for (; taken < n; taken++, seen++)
				visit(context, value_at(chunk, read),
				      chunk->items[read + HEAD_WORDS + taken]);
			read += HEAD_WORDS + n;
			taken = 0;
		}
		index = chunk->next;
	}
	return chunks;
}
