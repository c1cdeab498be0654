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
 * The first value is kept beside the chunks' numbers: whoever asks whether
 * there is something to move, after each step of a context's progress, would
 * nearly always wait for a line of the first chunk.
 *
 * Chunks are those of the retire streams; core/retire.c reserves for both. A
 * record never crosses chunks, so a full chunk holds at least 67 items.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Items come out once each, in the order in which they went in.
 *  G2  No item comes out before the value that it was appended with.
 *  G3  An empty timeline has no chunk.
 */
#include "core/timeline.h"

#include "core/retire.h"

/* A record: what its items wait for, how many there are, and the items. The
 * count of the last one follows from where the chunk ends: it is written when
 * the next one begins, if it is not one by then. */
enum { VALUE_WORDS = 2, COUNT = VALUE_WORDS, HEAD_WORDS };

static_assert(CHUNK_ITEMS % (HEAD_WORDS + 1) == 0,
	      "a chunk full of short records has no rest");

static uint64_t value_at(const struct chunk *chunk, uint32_t record)
{
	uint64_t value;

	memcpy(&value, &chunk->items[record], sizeof(value));
	return value;
}

/* How many items a record has, and where the records of a chunk end. */
static uint32_t count_at(const struct timeline *timeline,
			 const struct chunk *chunk, uint32_t index,
			 uint32_t record)
{
	if (index == timeline->tail && record == timeline->last)
		return timeline->used - record - HEAD_WORDS;
	return chunk->items[record + COUNT];
}

static uint32_t end_of(const struct timeline *timeline,
		       const struct chunk *chunk, uint32_t index)
{
	return index == timeline->tail ? timeline->used : chunk->used;
}

static struct chunk *add_chunk(struct region *region, struct timeline *timeline,
			       uint64_t value)
{
	uint32_t index = chunk_take(region);

	if (timeline->tail != 0) {
		chunk_at(region, timeline->tail)->used = timeline->used;
		chunk_at(region, timeline->tail)->next = index;
	} else {
		timeline->head = index;
		timeline->first_value = value;
		timeline->read = timeline->taken = 0;
	}
	timeline->tail = index;
	timeline->used = 0;
	return chunk_at(region, index);
}

/* The last record has all its items. */
static void end_record(const struct timeline *timeline, struct chunk *chunk)
{
	uint32_t count = timeline->used - timeline->last - HEAD_WORDS;

	if (count != 1)
		chunk->items[timeline->last + COUNT] = count;
}

static struct chunk *begin_record(struct region *region,
				  struct timeline *timeline, uint64_t value)
{
	struct chunk *chunk = NULL;

	if (timeline->tail != 0) {
		chunk = chunk_at(region, timeline->tail);
		end_record(timeline, chunk);
	}
	if (chunk == NULL || timeline->used + HEAD_WORDS + 1 > CHUNK_ITEMS)
		chunk = add_chunk(region, timeline, value);
	timeline->last = timeline->used;
	timeline->last_value = value;
	memcpy(&chunk->items[timeline->last], &value, sizeof(value));
	chunk->items[timeline->last + COUNT] = 1;
	timeline->used += HEAD_WORDS;
	return chunk;
}

void timeline_append(struct region *region, struct timeline *timeline,
		     uint64_t value, uint32_t item)
{
	struct chunk *chunk;

	if (timeline_is_empty(timeline) || value > timeline->last_value ||
	    timeline->used == CHUNK_ITEMS)
		chunk = begin_record(region, timeline,
				     max_u64(value, timeline->last_value));
	else
		chunk = chunk_at(region, timeline->tail);
	chunk->items[timeline->used++] = item;
	region_state(region)->n_items++;
}

/* The first chunk has been read; an empty timeline keeps none. */
static void drop_chunk(struct region *region, struct timeline *timeline)
{
	uint32_t head = timeline->head;

	if (head == timeline->tail) {
		*timeline = (struct timeline){ 0 };
	} else {
		timeline->head = chunk_at(region, head)->next;
		timeline->read = 0;
	}
	pool_give(region, AREA_CHUNKS, head);
}

/* Items up to one that is marked; a marked one in front alone. */
static uint32_t copy_items(uint32_t *to, const uint32_t *from, uint32_t most,
			   bool is_front)
{
	uint32_t n;

	for (n = 0; n < most && (from[n] & ITEM_AGAIN) == 0; n++)
		to[n] = from[n];
	if (n > 0 || !is_front)
		return n;
	to[0] = from[0];
	return 1;
}

/* So many items of the first record have been taken; whether all were. */
static bool record_taken(struct region *region, struct timeline *timeline,
			 const struct chunk *chunk, uint32_t all, uint32_t n)
{
	timeline->taken = (uint16_t)(timeline->taken + n);
	if (timeline->taken < all)
		return false;
	timeline->read = (uint16_t)(timeline->read + HEAD_WORDS + all);
	timeline->taken = 0;
	if (timeline->read == end_of(timeline, chunk, timeline->head))
		drop_chunk(region, timeline);
	if (!timeline_is_empty(timeline))
		timeline->first_value = value_at(
			chunk_at(region, timeline->head), timeline->read);
	return true;
}

uint32_t timeline_take(struct region *region, struct timeline *timeline,
		       uint64_t done, uint32_t *ret_items, uint32_t most)
{
	bool more = true;
	uint32_t taken = 0;

	while (more && taken < most && timeline_is_reached(timeline, done)) {
		const struct chunk *chunk = chunk_at(region, timeline->head);
		uint32_t first = timeline->read + HEAD_WORDS + timeline->taken;
		uint32_t all = count_at(timeline, chunk, timeline->head,
					timeline->read);
		uint32_t n = copy_items(
			&ret_items[taken], &chunk->items[first],
			(uint32_t)min_u64(most - taken, all - timeline->taken),
			taken == 0);

		taken += n;
		more = record_taken(region, timeline, chunk, all, n) &&
		       (ret_items[0] & ITEM_AGAIN) == 0;
	}
	region_state(region)->n_items -= taken;
	return taken;
}

uint32_t
timeline_walk(const struct region *region, const struct timeline *timeline,
	      void (*visit)(void *context, uint64_t value, uint32_t item),
	      void *context)
{
	uint32_t index = timeline->head, read = timeline->read, chunks = 0;
	uint32_t taken = timeline->taken;

	for (bool more = index != 0; more; chunks++, read = 0) {
		const struct chunk *chunk = chunk_at(region, index);

		while (read < end_of(timeline, chunk, index)) {
			uint32_t n = count_at(timeline, chunk, index, read);

			for (; taken < n; taken++)
				visit(context, value_at(chunk, read),
				      chunk->items[read + HEAD_WORDS + taken]);
			read += HEAD_WORDS + n;
			taken = 0;
		}
		more = index != timeline->tail;
		index = chunk->next;
	}
	return chunks;
}
