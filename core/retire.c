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
 * Guarantees, cited by the tests:
 *
 *  G1  Items come out once each, in the order in which they went in.
 *  G2  After stream_reserve(n), n appends succeed.
 *  G3  stream_room appends succeed at any time, even without memory.
 */
#include "core/retire.h"

int stream_init(struct region *region, struct stream *stream)
{
	if (pool_reserve(region, AREA_CHUNKS, 1) != 0)
		return -ENOMEM;
	*stream = (struct stream){ 0 };
	stream->head = stream->tail = pool_take(region, AREA_CHUNKS);
	return 0;
}

void stream_deinit(struct region *region, struct stream *stream)
{
	assert(stream->count == 0 && stream->head == stream->tail);
	pool_give(region, AREA_CHUNKS, stream->head);
	*stream = (struct stream){ 0 };
}

uint32_t stream_room(const struct region *region, const struct stream *stream)
{
	return CHUNK_ITEMS - chunk_at(region, stream->tail)->used;
}

int stream_reserve(struct region *region, struct stream *stream, uint32_t count)
{
	uint32_t room = stream_room(region, stream);

	if (count <= room)
		return 0;
	return pool_reserve(region, AREA_CHUNKS,
			    (count - room + CHUNK_ITEMS - 1) / CHUNK_ITEMS);
}

void stream_append(struct region *region, struct stream *stream, uint32_t item)
{
	struct chunk *tail = chunk_at(region, stream->tail);

	if (tail->used == CHUNK_ITEMS) {
		tail->next = pool_take(region, AREA_CHUNKS);
		stream->tail = tail->next;
		tail = chunk_at(region, stream->tail);
	}
	tail->items[tail->used++] = item;
	stream->count++;
}

uint32_t stream_peek(const struct region *region, const struct stream *stream,
		     uint32_t *ret_items, uint32_t count)
{
	const struct chunk *chunk = chunk_at(region, stream->head);
	uint32_t read = stream->read, n;

	count = (uint32_t)min_u64(count, stream->count);
	for (n = 0; n < count; n++) {
		if (read == chunk->used) {
			chunk = chunk_at(region, chunk->next);
			read = 0;
		}
		ret_items[n] = chunk->items[read++];
	}
	return count;
}

void stream_pop(struct region *region, struct stream *stream, uint32_t count)
{
	assert(count <= stream->count);
	stream->count -= count;
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
