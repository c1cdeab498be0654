/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test pages
 *
 * One reservation without access rights; a commit gives rights to whole pages
 * of it. A byte map remembers which pages were committed, so that committing
 * a page twice, or one outside the reservation, ends the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/limits.h"
#include "tests/support/test_pages.h"

/* Counts down a failure that a test ordered; true when it is due. */
static bool failure_due(uint64_t *countdown)
{
	return *countdown > 0 && --*countdown == 0;
}

static void *test_reserve(void *context, size_t size_bytes)
{
	struct test_pages *p = context;
	void *start;

	if (failure_due(&p->fail_reserve))
		return NULL;
	assert(!p->start && "one reservation at a time");
	start = mmap(NULL, size_bytes, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return NULL;
	p->is_committed = calloc(size_bytes / PAGE_BYTES + 1, 1);
	assert(p->is_committed);
	p->start = start;
	p->size_bytes = size_bytes;
	return start;
}

static int test_commit(void *context, void *start, size_t size_bytes)
{
	struct test_pages *p = context;
	uintptr_t offset = (uintptr_t)start - (uintptr_t)p->start;

	p->commits++;
	assert(offset % PAGE_BYTES == 0 && size_bytes % PAGE_BYTES == 0);
	assert(offset < p->size_bytes && size_bytes <= p->size_bytes - offset);
	if (failure_due(&p->fail_commit))
		return -ENOMEM;
	for (uint64_t i = 0; i < size_bytes / PAGE_BYTES; i++) {
		assert(!p->is_committed[offset / PAGE_BYTES + i]);
		p->is_committed[offset / PAGE_BYTES + i] = 1;
	}
	if (mprotect(start, size_bytes, PROT_READ | PROT_WRITE) != 0) {
		perror("test pages: mprotect");
		abort();
	}
	p->committed_bytes += size_bytes;
	return 0;
}

static void test_unreserve(void *context, void *start, size_t size_bytes)
{
	struct test_pages *p = context;

	assert(start == p->start && size_bytes == p->size_bytes);
	munmap(start, size_bytes);
	free(p->is_committed);
	p->is_committed = NULL;
	p->start = NULL;
	p->size_bytes = 0;
	p->committed_bytes = 0;
}

struct pages test_pages_interface(struct test_pages *p)
{
	return (struct pages){
		.context = p,
		.reserve = test_reserve,
		.commit = test_commit,
		.unreserve = test_unreserve,
	};
}
