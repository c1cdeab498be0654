/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of fences: what one client lets others read of the fences that it
 * made. Its maker and the daemon map it writable, everybody else only for
 * reading; and this is the only text that looks into it.
 *
 *	entry:  [ tag | value ]     tag 0: nobody's, ask the daemon
 *
 * A tag is never used twice in a page. Who knows the tag of a fence reads it,
 * the value, and the tag again: if both are the tag, the value is that of the
 * fence. Both writers only raise the value. The maker publishes a tag behind
 * the first value; the daemon takes it away when the fence ends, before the
 * maker hears of the end and can use the entry again.
 *
 * docs/MEMORY_MODEL.md says for each tag of an order what breaks without it.
 */
#ifndef CORE_RING_FENCE_PAGE_H
#define CORE_RING_FENCE_PAGE_H

#include "core/atomic.h"
#include "core/base.h"

enum {
#ifdef TENURE_MODEL /* in which every word costs time */
	FENCE_PAGE_ENTRIES = 2,
#else
	FENCE_PAGE_ENTRIES = 1024, /* entry 0 is not used */
#endif
	/* A writer whose rival changes the value all the time gives up: only
	 * one who spoils his own page does. */
	FENCE_PAGE_TRIES = 1000,
};

struct fence_entry {
	atomic_u64 tag, value;
};

struct fence_page {
	struct fence_entry entries[FENCE_PAGE_ENTRIES];
};

/* The first value of an entry that is nobody's. */
static inline void fence_page_begin(struct fence_page *page, uint32_t entry,
				    uint64_t value)
{
	/* order PAGE-VALUE: whoever reads this sees that the tag of the
	 * former fence has been taken away. */
	store_release_u64(&page->entries[entry].value, value);
}

static inline void fence_page_publish(struct fence_page *page, uint32_t entry,
				      uint64_t tag)
{
	/* order PAGE-TAG: the value is that of the fence for whoever sees the
	 * tag. */
	store_release_u64(&page->entries[entry].tag, tag);
}

/* From now on one has to ask. Nothing is read behind it. */
static inline void fence_page_end(struct fence_page *page, uint32_t entry)
{
	store_relaxed_u64(&page->entries[entry].tag, 0);
}

/* Raises the value; whether it was lower. */
static inline bool fence_page_raise(struct fence_page *page, uint32_t entry,
				    uint64_t value)
{
	atomic_u64 *word = &page->entries[entry].value;
	uint64_t found = load_relaxed_u64(word);

	for (int i = 0; i < FENCE_PAGE_TRIES && found < value; i++) {
		/* order PAGE-VALUE: what was written before the signal is
		 * visible to whoever reads the value; order PAGE-SIGNAL: and
		 * the daemon sees the value, or the load behind this sees that
		 * somebody waits for it. */
		if (cas_strong_seq_cst_u64(word, &found, value))
			return true;
	}
	return false;
}

/* The daemon's look, once. */
static inline uint64_t fence_page_look(const struct fence_page *page,
				       uint32_t entry)
{
	/* order PAGE-VALUE, order PAGE-SIGNAL: see fence_page_raise(). */
	return load_seq_cst_u64(&page->entries[entry].value);
}

/* The value of the fence with that tag; false: one has to ask. */
static inline bool fence_page_read(const struct fence_page *page,
				   uint32_t entry, uint64_t tag,
				   uint64_t *ret_value)
{
	uint64_t value;

	/* order PAGE-TAG: see fence_page_publish(). */
	if (load_acquire_u64(&page->entries[entry].tag) != tag)
		return false;
	/* order PAGE-VALUE: a value of the next fence comes with the end of
	 * this one, which the second look then sees. */
	value = load_acquire_u64(&page->entries[entry].value);
	if (load_relaxed_u64(&page->entries[entry].tag) != tag)
		return false;
	*ret_value = value;
	return true;
}

#endif
