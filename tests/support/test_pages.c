/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test pages
 *
 * Reservations without access rights; a commit gives rights to whole pages of
 * one. A byte map remembers which pages were committed, so that committing a
 * page twice, or one outside of every reservation, ends the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/limits.h"
#include "tests/support/test_pages.h"

/* Counts down a failure that a test ordered; true when it is due. */
static bool failure_due(uint64_t *countdown)
{
	return *countdown > 0 && --*countdown == 0;
}

static struct test_range *free_range(struct test_pages *p)
{
	for (int i = 0; i < TEST_RANGES; i++)
		if (!p->ranges[i].start)
			return &p->ranges[i];
	assert(false && "more reservations than anybody needs");
	return NULL;
}

static struct test_range *range_around(struct test_pages *p, uint8_t *start)
{
	for (int i = 0; i < TEST_RANGES; i++) {
		struct test_range *range = &p->ranges[i];

		if (range->start && start >= range->start &&
		    start < range->start + range->size_bytes)
			return range;
	}
	assert(false && "outside of every reservation");
	return NULL;
}

static void *test_reserve(void *context, size_t size_bytes)
{
	struct test_pages *p = context;
	struct test_range *range;
	void *start;

	if (failure_due(&p->fail_reserve))
		return NULL;
	range = free_range(p);
	start = mmap(NULL, size_bytes, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return NULL;
	/* Megabytes, of which next to nothing is touched: not from the heap,
	 * which a sanitizer would have to paint. */
	range->is_committed =
		mmap(NULL, size_bytes / PAGE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert(range->is_committed != MAP_FAILED);
	range->start = start;
	range->size_bytes = size_bytes;
	p->start = p->ranges[0].start;
	return start;
}

static int test_commit(void *context, void *start, size_t size_bytes)
{
	struct test_pages *p = context;
	struct test_range *range = range_around(p, start);
	uintptr_t offset = (uintptr_t)start - (uintptr_t)range->start;

	p->commits++;
	assert(offset % PAGE_BYTES == 0 && size_bytes % PAGE_BYTES == 0);
	assert(size_bytes <= range->size_bytes - offset);
	if (failure_due(&p->fail_commit))
		return -ENOMEM;
	for (uint64_t i = 0; i < size_bytes / PAGE_BYTES; i++) {
		assert(p->recovered ||
		       !range->is_committed[offset / PAGE_BYTES + i]);
		range->is_committed[offset / PAGE_BYTES + i] = 1;
	}
	if (mprotect(start, size_bytes,
		     p->read_only && range == &p->ranges[0] ?
			     PROT_READ :
			     PROT_READ | PROT_WRITE) != 0) {
		perror("test pages: mprotect");
		abort();
	}
	p->committed_bytes += size_bytes;
	range->committed_bytes += size_bytes;
	return 0;
}

static void test_clear(void *context, void *start, size_t size_bytes)
{
	struct test_pages *p = context;
	struct test_range *range = range_around(p, start);
	uintptr_t offset = (uintptr_t)start - (uintptr_t)range->start;

	assert(offset % PAGE_BYTES == 0 && size_bytes % PAGE_BYTES == 0);
	for (uint64_t i = 0; i < size_bytes / PAGE_BYTES; i++)
		assert(range->is_committed[offset / PAGE_BYTES + i]);
	if (p->locked)
		return;
	if (madvise(start, size_bytes, MADV_DONTNEED) != 0) {
		perror("test pages: madvise");
		abort();
	}
	p->cleared_bytes += size_bytes;
}

static void test_merge(void *context, void *start, size_t size_bytes)
{
	struct test_pages *p = context;
	struct test_range *range = range_around(p, start);
	uintptr_t offset = (uintptr_t)start - (uintptr_t)range->start;

	assert(offset % size_bytes == 0);
	for (uint64_t i = 0; i < size_bytes / PAGE_BYTES; i++)
		assert(range->is_committed[offset / PAGE_BYTES + i]);
	p->merges++;
}

static void test_unreserve(void *context, void *start, size_t size_bytes)
{
	struct test_pages *p = context;
	struct test_range *range = range_around(p, start);

	assert(start == range->start && size_bytes == range->size_bytes);
	p->committed_bytes -= range->committed_bytes;
	munmap(start, size_bytes);
	munmap(range->is_committed, size_bytes / PAGE_BYTES);
	*range = (struct test_range){ 0 };
	p->start = p->ranges[0].start;
}

/* The run of committed pages from page i on; 0 when it is not committed. */
static uint64_t run_of(const struct test_range *range, uint64_t i)
{
	uint64_t n = 0, all = range->size_bytes / PAGE_BYTES;

	while (i + n < all && range->is_committed[i + n])
		n++;
	return n;
}

void *test_pages_move(struct test_pages *p, void *start)
{
	struct test_range *range = range_around(p, start);
	uint64_t all = range->size_bytes / PAGE_BYTES;
	uint8_t *from = start;
	uint8_t *to = mmap(NULL, range->size_bytes, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert(start == range->start && to != MAP_FAILED);
	for (uint64_t i = 0; i < all;) {
		uint64_t n = run_of(range, i), at = i * PAGE_BYTES;
		const uint8_t *next;

		if (n > 0) {
			int r = mprotect(to + at, n * PAGE_BYTES,
					 PROT_READ | PROT_WRITE);

			assert(r == 0);
			memcpy(to + at, from + at, n * PAGE_BYTES);
		}
		i += n;
		next = memchr(range->is_committed + i, 1, all - i);
		i = next ? (uint64_t)(next - range->is_committed) : all;
	}
	munmap(from, range->size_bytes);
	range->start = to;
	p->start = p->ranges[0].start;
	return to;
}

struct pages test_pages_interface(struct test_pages *p)
{
	return (struct pages){
		.context = p,
		.page_bytes = PAGE_BYTES,
		.reserve = test_reserve,
		.commit = test_commit,
		.merge = test_merge,
		.clear = test_clear,
		.unreserve = test_unreserve,
	};
}
