/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retire stream: what has died and has not been given back yet.
 *
 *	head                          tail
 *	[ . . x x x x ] -> [ x x x x ] -> [ x x _ _ ]
 *	    ^ read                            ^ used
 *
 * The idea: a destroy writes four bytes into a chunk and is done; whoever
 * reclaims reads the chunks in order, knows the next addresses in advance and
 * touches each slot once. Lists threaded through the slots would make every
 * step wait for the line before it.
 *
 * A stream belongs to one session, so a session's garbage delays only itself.
 * It always keeps one chunk: teardown, which must never need memory, appends
 * no more than fits.
 *
 * Items move: from the timeline of a context (core/timeline.c) to that of
 * another, and in the end to the stream. No move may fail, so memory is
 * reserved for all of them when an item first comes, by counting: wherever n
 * items stand, in any order, in s streams and timelines, they fill at most
 * n / 67 chunks, a chunk of the shortest records, and leave each stream one
 * that is partly read, one that is partly filled and one of teardown's.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Items come out once each, in the order in which they went in.
 *  G2  After stream_reserve(n), n appends succeed.
 *  G3  stream_room appends succeed at any time, even without memory.
 */
#include "core/retire.h"

/* Items in the worst chunk: a record of one item is four words. */
enum { CHUNK_ITEMS_MIN = CHUNK_ITEMS / 4, CHUNKS_EXTRA = 3 };

static int reserve(struct region *region, uint64_t items, uint64_t streams)
{
	return region_commit(
		region, AREA_CHUNKS,
		1 + (items + CHUNK_ITEMS_MIN - 1) / CHUNK_ITEMS_MIN +
			CHUNKS_EXTRA * streams);
}

int stream_reserve(struct region *region, uint32_t count)
{
	const struct state *state = region_state(region);

	return reserve(region, state->n_items + count, state->n_streams);
}

int stream_reserve_another(struct region *region)
{
	const struct state *state = region_state(region);

	return reserve(region, state->n_items, state->n_streams + 1);
}

int stream_init(struct region *region, struct stream *stream)
{
	if (stream_reserve_another(region) != 0)
		return -ENOMEM;
	*stream = (struct stream){ 0 };
	stream->head = stream->tail = chunk_take(region);
	region_state(region)->n_streams++;
	return 0;
}

void stream_deinit(struct region *region, struct stream *stream)
{
	assert(stream->count == 0 && stream->head == stream->tail);
	pool_give(region, AREA_CHUNKS, stream->head);
	region_state(region)->n_streams--;
	*stream = (struct stream){ 0 };
}

uint32_t stream_room(const struct region *region, const struct stream *stream)
{
	return CHUNK_ITEMS - chunk_at(region, stream->tail)->used;
}

static struct chunk *tail_with_room(struct region *region,
				    struct stream *stream)
{
	struct chunk *tail = chunk_at(region, stream->tail);

	if (LIKELY(tail->used < CHUNK_ITEMS))
		return tail;
	tail->next = chunk_take(region);
	stream->tail = tail->next;
	return chunk_at(region, stream->tail);
}

void stream_append(struct region *region, struct stream *stream, uint32_t item)
{
	struct chunk *tail = tail_with_room(region, stream);

	tail->items[tail->used++] = item;
	stream->count++;
	region_state(region)->n_items++;
}

void stream_append_list(struct region *region, struct stream *stream,
			const uint32_t *items, uint32_t count)
{
	stream->count += count;
	region_state(region)->n_items += count;
	while (count > 0) {
		struct chunk *tail = tail_with_room(region, stream);
		uint32_t n = (uint32_t)min_u64(count, CHUNK_ITEMS - tail->used);

		memcpy(&tail->items[tail->used], items, n * sizeof(*items));
		tail->used += n;
		items += n;
		count -= n;
	}
}

uint32_t stream_peek(const struct region *region, const struct stream *stream,
		     uint32_t *ret_items, uint32_t count)
{
	const struct chunk *chunk = chunk_at(region, stream->head);
	uint32_t read = stream->read, done = 0;

	count = (uint32_t)min_u64(count, stream->count);
	while (done < count) {
		uint32_t n =
			(uint32_t)min_u64(count - done, chunk->used - read);

		memcpy(&ret_items[done], &chunk->items[read],
		       n * sizeof(*ret_items));
		done += n;
		if (done == count)
			break;
		chunk = chunk_at(region, chunk->next);
		read = 0;
	}
	return count;
}

void stream_pop(struct region *region, struct stream *stream, uint32_t count)
{
	assert(count <= stream->count);
	stream->count -= count;
	region_state(region)->n_items -= count;
	while (count > 0) {
		struct chunk *head = chunk_at(region, stream->head);
		uint32_t next = head->next;
		uint32_t n =
			(uint32_t)min_u64(count, head->used - stream->read);

		stream->read += n;
		count -= n;
		if (stream->read < head->used)
			continue;
		stream->read = 0;
		if (next == 0) {
			head->used = 0;
		} else {
			pool_give(region, AREA_CHUNKS, stream->head);
			stream->head = next;
		}
	}
}
