/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views
 *
 * A store is one memfd of the daemon that holds the allocations of one create
 * call. It is mapped whole, once for each protection, by the first of its
 * allocations that is mapped so; the others only add an offset. The last one
 * to go unmaps it.
 *
 *	store 7   [ allocation 0 | allocation 1 | allocation 2 ]
 *	            ^ base         ^ mapped       ^ mapped
 *	view (7, read): base, refs 2
 *
 * An allocation that is mapped for reading and then for writing must keep its
 * pointer. So the pages of that allocation alone are mapped again, writable,
 * and moved over the old ones in one step: readers on other threads notice
 * nothing.
 *
 * The daemon is not trusted. A descriptor must be a regular file, as long as
 * was said, and sealed against shrinking: otherwise a daemon that cuts it off
 * later would kill this process with a bus error.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  At most one view for each store and protection.
 *  G2  A descriptor that breaks the promise is refused, and nothing is mapped.
 *  G3  When the last reference goes, the address space is given back.
 */
#include "client/view.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

static uint64_t view_key(uint64_t store, bool writable)
{
	return store << 1 | writable;
}

struct view *view_find(const struct keymap *views, uint64_t store,
		       bool writable)
{
	/* The node is the first member. */
	return (struct view *)(void *)keymap_find(views,
						  view_key(store, writable));
}

int view_check_descriptor(int fd, uint64_t size_bytes)
{
	struct stat st;
	int seals;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0 ||
	    (uint64_t)st.st_size < size_bytes)
		return -EPROTO;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPROTO;
	return 0;
}

int view_map(struct keymap *views, struct view *spare,
	     const struct placement *place, bool writable, int fd)
{
	int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	int status = view_check_descriptor(fd, place->store_bytes);
	void *base;

	if (status < 0)
		return status;
	base = mmap(NULL, place->store_bytes, protection, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	*spare = (struct view){
		.node.key = view_key(place->store, writable),
		.base = base,
		.size_bytes = place->store_bytes,
	};
	keymap_insert(views, &spare->node);
	return 0;
}

bool view_writable(const struct view *view)
{
	return view->node.key & 1;
}

void view_ref(struct view *view)
{
	view->refs++;
}

void view_unref(struct keymap *views, struct view *view)
{
	assert(view->refs > 0);
	if (--view->refs > 0)
		return;
	keymap_remove(views, &view->node);
	munmap(view->base, view->size_bytes);
	free(view);
}

/*
 * The writable pages are made beside the readable ones and then take their
 * place in one step, so that a thread that reads meanwhile sees the same bytes
 * throughout, and a mapping that cannot be made leaves the old one as it was.
 */
int view_upgrade(struct view *view, const struct placement *place, int fd)
{
	int status = view_check_descriptor(fd, place->store_bytes);
	void *pages;

	if (status < 0)
		return status;
	pages = mmap(NULL, place->size_bytes, PROT_READ | PROT_WRITE,
		     MAP_SHARED, fd, (off_t)place->offset);
	if (pages == MAP_FAILED)
		return -errno;
	if (mremap(pages, place->size_bytes, place->size_bytes,
		   MREMAP_MAYMOVE | MREMAP_FIXED,
		   view->base + place->offset) == MAP_FAILED) {
		status = -errno;
		munmap(pages, place->size_bytes);
		return status;
	}
	return 0;
}

void view_downgrade(struct view *view, void *pointer, size_t size_bytes)
{
	assert((uint8_t *)pointer >= view->base);
	/* When it fails, the pages stay writable, as they were a moment ago. */
	(void)mprotect(pointer, size_bytes, PROT_READ);
}
