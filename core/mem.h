/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only doors through which core reaches memory. The broker's is a range
 * of address space that never moves; core commits pages of it as it grows and
 * releases them when it shrinks. The dispenser's is a heap.
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include "core/base.h"

struct pages {
	void *context;
	/* What a large commit consists of, or 0 when nobody knows. */
	uint64_t page_bytes;
	/* Address space without memory behind it, page aligned, or NULL. */
	void *(*reserve)(void *context, size_t size_bytes);
	/* Makes whole pages usable and zero; 0 or -ENOMEM, and then nothing
	 * has changed. After a process was killed here it may be asked for the
	 * same pages again, of which nothing was used. */
	int (*commit)(void *context, void *start, size_t size_bytes);
	/* Large pages in place of small ones, where pages were committed a few
	 * at a time; what is in them stays. May do nothing, or be NULL. */
	void (*merge)(void *context, void *start, size_t size_bytes);
	/* Gives the memory of committed pages back; they stay usable and read
	 * as zero. May do nothing, and then what is in them stays. */
	void (*clear)(void *context, void *start, size_t size_bytes);
	/* Gives a whole reservation back. */
	void (*unreserve)(void *context, void *start, size_t size_bytes);
};

/* Blocks of memory, as malloc and free give them. */
struct heap {
	void *context;
	/* Aligned for anything, contents unknown, or NULL. */
	void *(*alloc)(void *context, size_t size_bytes);
	void (*free)(void *context, void *block); /* NULL is allowed */
};

#endif
