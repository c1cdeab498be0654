/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues of records of one pool, first in, first out. The link lies in the
 * record, so putting one in needs no memory; who is in which queue, and that it
 * is in each once, the records say elsewhere. One thread.
 */
#ifndef CORE_QUEUE_H
#define CORE_QUEUE_H

#include "core/region.h"

/* Indexes of records, or 0 when it is empty. */
struct queue {
	uint32_t head, tail;
};

/* Whose records, and where in one the index of the next is. */
struct queue_link {
	enum area area;
	uint32_t offset;
};

static ALWAYS_INLINE uint32_t *
queue_next(const struct region *region, struct queue_link link, uint32_t index)
{
	uint8_t *record = pool_at(region, link.area, index);

	return (uint32_t *)(void *)(record + link.offset);
}

/* Puts a record at the end that is not in the queue. */
static ALWAYS_INLINE void queue_put(const struct region *region,
				    struct queue *queue, struct queue_link link,
				    uint32_t index)
{
	*queue_next(region, link, index) = 0;
	if (queue->tail != 0)
		*queue_next(region, link, queue->tail) = index;
	else
		queue->head = index;
	queue->tail = index;
}

/* Takes the first one out; 0 when there is none. Its link stays as it is. */
static ALWAYS_INLINE uint32_t queue_take(const struct region *region,
					 struct queue *queue,
					 struct queue_link link)
{
	uint32_t index = queue->head;

	if (index == 0)
		return 0;
	queue->head = *queue_next(region, link, index);
	if (queue->head == 0)
		queue->tail = 0;
	return index;
}

#endif
