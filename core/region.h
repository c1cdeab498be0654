/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one region that holds all broker state, and the pools in it.
 *
 * See region.c for the idea. Everything refers to everything by index; 0 is
 * the index of nothing.
 */
#ifndef CORE_REGION_H
#define CORE_REGION_H

#include "core/base.h"
#include "core/mem.h"

enum area {
	AREA_SLOTS,
	AREA_SEGMENT_OWNERS,
	AREA_SEGMENT_LINKS,
	AREA_SEGMENTS,
	AREA_FREE_MAPS,
	AREA_SESSIONS,
	AREA_PRINCIPALS,
	AREA_DEVICES,
	AREA_STORES,
	AREA_STORE_REFS,
	AREA_OBJECTS,
	AREA_HOLDINGS,
	AREA_TOKENS,
	AREA_TOKEN_BUCKETS,
	AREA_WAITERS,
	AREA_CHUNKS,
	AREA_CONTEXTS,
	AREA_USERS,
	AREA_FENCES,
	AREA_WAITS,
	AREA_CROWDS,
	AREA_CROWD_BUCKETS,
	AREA_WARM_POOLS,
	AREA_BLOCKS,
	AREAS,
};

/* Where one area lies and how it is used; part of the state. */
struct area_head {
	uint64_t offset; /* from the start of the region */
	uint32_t record_bytes;
	uint32_t capacity; /* records that the reservation has room for */
	uint32_t committed; /* records that have memory */
	uint32_t used; /* records ever handed out, index 0 included */
	uint32_t free_head; /* first free record, or 0 */
	uint32_t free_count;
};

/* Every record of a pool begins with this. */
struct record {
	uint32_t link; /* the next free one; in use, its user's */
	uint32_t in_use;
};

/* How a region begins; core/state.h has the rest. */
struct region_head {
	uint64_t magic;
	uint64_t size_bytes;
	struct area_head areas[AREAS];
};

/* A view of the state: valid in this process only. */
struct region {
	struct region_head *head; /* start of the reservation, or NULL */
	void *slots, *owners; /* where these two areas start */
	struct pages pages;
};

/* Reserves, lays out and commits the head_bytes of state; 0 or -ENOMEM. */
int region_init(struct region *region, const struct pages *pages,
		size_t head_bytes);

/*
 * A view of a region that somebody has made, perhaps in another process, and
 * that now lies at start, of which size_bytes are there: 0, or -EINVAL when
 * it is none or was laid out by another version.
 */
int region_adopt(struct region *region, const struct pages *pages, void *start,
		 uint64_t size_bytes);

/* Gives the address space back; the zero value is allowed. */
void region_deinit(struct region *region);

static inline struct area_head *region_area(const struct region *region,
					    enum area area)
{
	return &region->head->areas[area];
}

/* Where an area starts. */
static inline void *region_start(const struct region *region, enum area area)
{
	return (uint8_t *)region->head + region_area(region, area)->offset;
}

/*
 * Makes sure that records [0, count) of an area have memory. 0 or -ENOMEM,
 * and then nothing has changed.
 */
int region_commit(struct region *region, enum area area, uint64_t count);

/* Makes sure that the next count pool_take of an area succeed; 0, -ENOMEM. */
int pool_reserve(struct region *region, enum area area, uint32_t count);

/* Takes a zeroed record; the caller has reserved it. Returns its index. */
uint32_t pool_take(struct region *region, enum area area);

/* The same for large ones: only so many bytes at their beginning are zero. */
uint32_t pool_take_head(struct region *region, enum area area, size_t bytes);

/* Gives a record back. */
void pool_give(struct region *region, enum area area, uint32_t index);

/* The record at an index; asserts that it was ever handed out. */
static inline void *pool_at(const struct region *region, enum area area,
			    uint32_t index)
{
	const struct area_head *head = region_area(region, area);

	assert(index > 0 && index < head->used);
	return (uint8_t *)region->head + head->offset +
	       (uint64_t)index * head->record_bytes;
}

/*
 * Blocks: byte runs of 1 to BLOCK_BYTES_MAX bytes, for lists whose length is
 * fixed when they are made. A reference is an index of 64-byte units, 0 none.
 */
enum { BLOCK_BYTES_MAX = 32768, BLOCK_CLASSES = 10 };

/* 0 with a block in *ret_block (0 for size 0), or -ENOMEM. Not zeroed. */
int block_new(struct region *region, size_t size_bytes, uint32_t *ret_block);

/* Gives a block of that size back; 0 is allowed. */
void block_free(struct region *region, uint32_t block, size_t size_bytes);

void *block_at(const struct region *region, uint32_t block);

/* The 64-byte units that a block of that size takes; 0 for 0. */
uint32_t block_units(size_t size_bytes);

#endif
