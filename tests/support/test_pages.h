/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages for a broker under test: real address space, in which everything
 * that was not committed faults, and a commit that can be told to fail.
 */
#ifndef TESTS_SUPPORT_TEST_PAGES_H
#define TESTS_SUPPORT_TEST_PAGES_H

#include "core/mem.h"

/* One reservation. */
struct test_range {
	uint8_t *start; /* or NULL */
	size_t size_bytes;
	uint64_t committed_bytes;
	uint8_t *is_committed; /* one byte a page */
};

/* The region's, and scratch for a walk over it. */
enum { TEST_RANGES = 2 };

struct test_pages {
	struct test_range ranges[TEST_RANGES];
	void *start; /* of the first one, or NULL */
	uint64_t commits; /* calls, failed ones included */
	uint64_t committed_bytes;
	uint64_t cleared_bytes; /* ever */
	uint32_t merges; /* ever */
	uint64_t fail_commit; /* this call from now fails; 0: none */
	uint64_t fail_reserve; /* likewise */
	bool recovered; /* a commit may come that was made before a death */
	bool locked; /* nothing can be cleared */
	bool read_only; /* the first one's new pages cannot be written yet */
};

/*
 * Moves the reservation that begins at start to another address, pages and
 * all; whoever still looks at the old one ends. The new start.
 */
void *test_pages_move(struct test_pages *p, void *start);

/* The interface of p, which must outlive the broker. */
struct pages test_pages_interface(struct test_pages *p);

#endif
