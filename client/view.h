/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views: stores of the daemon mapped into this process, each at most once for
 * reading and once for writing. See view.c. The connection's lock is the
 * caller's.
 */
#ifndef CLIENT_VIEW_H
#define CLIENT_VIEW_H

#include "client/keymap.h"
#include "core/base.h"

struct view {
	struct keymap_node node; /* store and protection */
	uint8_t *base;
	size_t size_bytes;
	uint32_t refs; /* mapped allocations in it */
};

/* Where one allocation lies, as the daemon says. */
struct placement {
	uint64_t store; /* never that of another one */
	uint64_t offset;
	uint64_t size_bytes;
	uint64_t store_bytes;
};

/* A view of that store with that protection, or NULL. */
struct view *view_find(const struct keymap *views, uint64_t store,
		       bool writable);

/* 0 when the descriptor is a regular file of at least that length that cannot
 * shrink, otherwise -EPROTO. */
int view_check_descriptor(int fd, uint64_t size_bytes);

/*
 * Maps a store by its descriptor, which stays the caller's, into *spare,
 * which is heap memory of the caller and becomes the view with no refs. 0;
 * -EPROTO when the descriptor is not the sealed memory that was promised; or
 * the errno of mmap. A view without refs ends by view_ref and view_unref.
 */
int view_map(struct keymap *views, struct view *spare,
	     const struct placement *place, bool writable, int fd);

/* Whether all of the view was mapped for writing. */
bool view_writable(const struct view *view);

void view_ref(struct view *view);

/* The last one unmaps and frees the view. */
void view_unref(struct keymap *views, struct view *view);

/* Makes one allocation of a read-only view writable where it is; 0, -EPROTO
 * or the errno of mmap. */
int view_upgrade(struct view *view, const struct placement *place, int fd);

/* Takes that back, as far as the system lets us. */
void view_downgrade(struct view *view, void *pointer, size_t size_bytes);

#endif
