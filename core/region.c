/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Region: one reserved range of addresses that holds all broker state.
 *
 *	| head | slots ......... | owners | segments | sessions ... | blocks .. |
 *	       ^ areas: fixed offset, fixed room, grown from the left
 *
 * The idea: address space costs nothing, moving costs everything. Each kind
 * of record gets an area with room for the most there can ever be, and memory
 * is committed from the left as it is needed. Nothing moves, so an index is
 * an address by one multiplication, and growth needs no copy and no pause.
 * Because the state refers to itself by index only, the region can lie at
 * another address in the next process and mean the same.
 *
 * Pools hand out records of one size: freed ones first, then fresh ones.
 * Blocks are pools of byte runs, one size class for each power of two, carved
 * from one area and never merged: a run's size is known to who holds it, so
 * there is no header, and freed runs are linked through their first word.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  After pool_reserve(n), n calls of pool_take succeed.
 *  G2  A failed reserve or commit has changed nothing.
 *  G3  A record that is taken is all zero but for its header.
 *  G4  Nothing that was committed ever moves.
 */
#include "core/region.h"

#include "core/limits.h"
#include "core/state.h"

/*
 * A small area grows in small steps, a large one by what the system can give
 * as one huge page: a million slots at random cost more in page walks than in
 * anything else. Areas begin at a multiple of the large step, and what an area
 * had before it was large is merged then: the counts of 10^7 slots nearly all
 * lie there.
 */
enum {
	COMMIT_STEP_BYTES = 64 * 1024,
	COMMIT_LARGE_BYTES = 2 * 1024 * 1024,
};

#define REGION_MAGIC UINT64_C(0x6e6f696765720001)

static const struct {
	uint32_t record_bytes;
	uint32_t capacity;
} layout[AREAS] = {
	[AREA_SLOTS] = { sizeof(struct slot), 1u << HANDLE_INDEX_BITS },
	[AREA_SEGMENT_OWNERS] = { sizeof(atomic_u32), SEGMENTS_MAX },
	[AREA_SEGMENT_LINKS] = { sizeof(atomic_u32), SEGMENTS_MAX },
	[AREA_SEGMENTS] = { sizeof(struct segment), SEGMENTS_MAX },
	[AREA_FREE_MAPS] = { sizeof(struct free_map), SEGMENTS_MAX },
	[AREA_SESSIONS] = { sizeof(struct session), SESSIONS_MAX },
	[AREA_PRINCIPALS] = { sizeof(struct principal), PRINCIPALS_MAX },
	[AREA_DEVICES] = { sizeof(struct device), DEVICES_MAX },
	[AREA_STORES] = { sizeof(struct store), STORES_MAX },
	[AREA_STORE_REFS] = { sizeof(uint32_t), STORES_MAX },
	[AREA_OBJECTS] = { sizeof(struct object), OBJECTS_MAX },
	[AREA_HOLDINGS] = { sizeof(struct holding), HOLDINGS_MAX },
	[AREA_TOKENS] = { sizeof(struct token), TOKENS_MAX },
	[AREA_TOKEN_BUCKETS] = { sizeof(uint32_t), TOKEN_BUCKETS },
	[AREA_WAITERS] = { sizeof(struct waiter), WAITERS_MAX },
	[AREA_CHUNKS] = { sizeof(struct chunk), CHUNKS_MAX },
	[AREA_CONTEXTS] = { sizeof(struct context), CONTEXTS_MAX },
	[AREA_USERS] = { sizeof(struct users), USERS_MAX },
	[AREA_FENCES] = { sizeof(struct fence), FENCES_MAX },
	[AREA_WAITS] = { sizeof(struct wait), WAITS_MAX },
	[AREA_CROWDS] = { sizeof(struct crowd), CROWDS_MAX },
	[AREA_CROWD_BUCKETS] = { sizeof(uint32_t), CROWD_BUCKETS },
	[AREA_WARM_POOLS] = { sizeof(struct warm_pool), WARM_POOLS_MAX },
	[AREA_BLOCKS] = { BLOCK_UNIT_BYTES, BLOCK_UNITS_MAX },
};

/* How far an area is committed that has so many bytes in use. */
static uint64_t whole_steps(uint64_t size_bytes)
{
	return align_up_u64(size_bytes, size_bytes <= COMMIT_LARGE_BYTES ?
						COMMIT_STEP_BYTES :
						COMMIT_LARGE_BYTES);
}

static uint64_t area_bytes(enum area area)
{
	return align_up_u64((uint64_t)layout[area].record_bytes *
				    layout[area].capacity,
			    COMMIT_LARGE_BYTES);
}

/* An area has grown out of its small steps. */
static void merge_steps(const struct region *region, enum area area)
{
	if (region->pages.merge != NULL)
		region->pages.merge(region->pages.context,
				    region_start(region, area),
				    COMMIT_LARGE_BYTES);
}

static void lay_out(struct region_head *head, uint64_t offset)
{
	for (int a = 0; a < AREAS; a++) {
		head->areas[a] = (struct area_head){
			.offset = offset,
			.record_bytes = layout[a].record_bytes,
			.capacity = layout[a].capacity,
			.used = 1,
		};
		offset += area_bytes((enum area)a);
	}
	assert(offset == head->size_bytes);
}

static void view(struct region *region, const struct pages *pages,
		 struct region_head *head)
{
	*region = (struct region){ .head = head, .pages = *pages };
	region->slots = region_start(region, AREA_SLOTS);
	region->owners = region_start(region, AREA_SEGMENT_OWNERS);
}

int region_init(struct region *region, const struct pages *pages,
		size_t head_bytes)
{
	uint64_t head_steps = whole_steps(head_bytes);
	uint64_t first = align_up_u64(head_bytes, COMMIT_LARGE_BYTES);
	uint64_t size = first;
	struct region_head *head;

	for (int a = 0; a < AREAS; a++)
		size += area_bytes((enum area)a);
	head = pages->reserve(pages->context, size);
	if (head == NULL)
		return -ENOMEM;
	if (pages->commit(pages->context, head, head_steps) != 0) {
		pages->unreserve(pages->context, head, size);
		return -ENOMEM;
	}
	head->magic = REGION_MAGIC;
	head->size_bytes = size;
	lay_out(head, first);
	view(region, pages, head);
	return 0;
}

/* Whether the areas of a region lie where this program would lay them. */
static bool is_laid_out(const struct region_head *head)
{
	uint64_t offset = head->areas[0].offset;

	for (int a = 0; a < AREAS; a++) {
		const struct area_head *area = &head->areas[a];

		if (area->offset != offset ||
		    area->record_bytes != layout[a].record_bytes ||
		    area->capacity != layout[a].capacity ||
		    area->committed > area->capacity ||
		    area->used > max_u64(area->committed, 1))
			return false;
		offset += area_bytes((enum area)a);
	}
	return offset == head->size_bytes;
}

int region_adopt(struct region *region, const struct pages *pages, void *start,
		 uint64_t size_bytes)
{
	struct region_head *head = start;

	if (size_bytes < sizeof(*head) || head->magic != REGION_MAGIC ||
	    head->size_bytes != size_bytes || !is_laid_out(head))
		return -EINVAL;
	view(region, pages, head);
	return 0;
}

void region_deinit(struct region *region)
{
	if (region->head == NULL)
		return;
	assert(region->head->magic == REGION_MAGIC);
	region->pages.unreserve(region->pages.context, region->head,
				region->head->size_bytes);
	*region = (struct region){ 0 };
}

/* Apart from region_commit, which nearly always has nothing to do. */
__attribute__((noinline)) static int grow(struct region *region, enum area area,
					  uint64_t count)
{
	struct area_head *head = region_area(region, area);
	uint64_t from, to;

	if (count > head->capacity)
		return -ENOMEM;
	from = whole_steps((uint64_t)head->committed * head->record_bytes);
	to = whole_steps(count * head->record_bytes);
	if (to > from &&
	    region->pages.commit(region->pages.context,
				 (uint8_t *)region_start(region, area) + from,
				 to - from) != 0)
		return -ENOMEM;
	if (from > 0 && from <= COMMIT_LARGE_BYTES && to > COMMIT_LARGE_BYTES)
		merge_steps(region, area);
	head->committed =
		(uint32_t)min_u64(to / head->record_bytes, head->capacity);
	return 0;
}

int region_commit(struct region *region, enum area area, uint64_t count)
{
	if (LIKELY(count <= region_area(region, area)->committed))
		return 0;
	return grow(region, area, count);
}

int pool_reserve(struct region *region, enum area area, uint32_t count)
{
	struct area_head *head = region_area(region, area);

	if (count <= head->free_count)
		return 0;
	return region_commit(region, area,
			     (uint64_t)head->used + count - head->free_count);
}

uint32_t pool_take_head(struct region *region, enum area area, size_t bytes)
{
	struct area_head *head = region_area(region, area);
	uint32_t index = head->free_head;
	struct record *record;

	if (index != 0) {
		record = pool_at(region, area, index);
		head->free_head = record->link;
		head->free_count--;
	} else {
		assert(head->used < head->committed);
		index = head->used++;
		record = pool_at(region, area, index);
	}
	memset(record, 0, bytes);
	record->in_use = 1;
	return index;
}

uint32_t pool_take(struct region *region, enum area area)
{
	return pool_take_head(region, area,
			      region_area(region, area)->record_bytes);
}

void pool_give(struct region *region, enum area area, uint32_t index)
{
	struct area_head *head = region_area(region, area);
	struct record *record = pool_at(region, area, index);

	assert(record->in_use == 1);
	record->in_use = 0;
	record->link = head->free_head;
	head->free_head = index;
	head->free_count++;
}

static unsigned int block_class(size_t size_bytes)
{
	size_t units = (size_bytes + BLOCK_UNIT_BYTES - 1) / BLOCK_UNIT_BYTES;

	assert(size_bytes > 0 && size_bytes <= BLOCK_BYTES_MAX);
	return units == 1 ? 0 : 64 - (unsigned int)__builtin_clzll(units - 1);
}

uint32_t block_units(size_t size_bytes)
{
	return size_bytes == 0 ? 0 : 1u << block_class(size_bytes);
}

void *block_at(const struct region *region, uint32_t block)
{
	assert(block > 0 && block < region_area(region, AREA_BLOCKS)->used);
	return (uint8_t *)region_start(region, AREA_BLOCKS) +
	       (uint64_t)block * BLOCK_UNIT_BYTES;
}

int block_new(struct region *region, size_t size_bytes, uint32_t *ret_block)
{
	struct area_head *head = region_area(region, AREA_BLOCKS);
	unsigned int class;
	uint32_t *free_head;

	if (size_bytes == 0) {
		*ret_block = 0;
		return 0;
	}
	class = block_class(size_bytes);
	free_head = &region_state(region)->block_free[class];
	if (*free_head != 0) {
		*ret_block = *free_head;
		*free_head = *(uint32_t *)block_at(region, *free_head);
		return 0;
	}
	if (region_commit(region, AREA_BLOCKS,
			  (uint64_t)head->used + (1u << class)) != 0)
		return -ENOMEM;
	*ret_block = head->used;
	head->used += 1u << class;
	return 0;
}

void block_free(struct region *region, uint32_t block, size_t size_bytes)
{
	uint32_t *free_head;

	if (size_bytes == 0)
		return;
	free_head = &region_state(region)->block_free[block_class(size_bytes)];
	*(uint32_t *)block_at(region, block) = *free_head;
	*free_head = block;
}
