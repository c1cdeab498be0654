/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of fences
 *
 * A page is a memfd of fixed length. Its maker gets a writable descriptor and
 * maps it; we map it too. When the first reader comes it is sealed against
 * writing by anybody who has not mapped it by then (F_SEAL_FUTURE_WRITE), for
 * ever, so that even a process of the maker's own user, or of ours, that gets
 * hold of it anew can only read. A maker that has not mapped its page before
 * somebody has opened a fence of it has no page.
 *
 *	made ---> maker maps ---> first reader: sealed ---> readers map
 *	                             \ fd is reopened for reading
 *
 * That a maker seals its page itself, in another way, does harm to itself: its
 * readers are refused. If only the descriptor for readers cannot be made, the
 * next reader tries again; the seals are there by then.
 *
 * When the maker ends all entries end, so that whoever has the page mapped
 * asks us, who know how the fence ended.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Nobody but the maker and the daemon can ever write the page, from the
 *      first reader on.
 *  G2  Nobody can change its length.
 *  G3  After fencepage_free no entry has a tag.
 *  G4  A failed fencepage_new leaves nothing behind.
 *  G5  A failed fencepage_reader_fd can be asked again.
 */
#include "daemon/fencepage.h"

#include "daemon/memfd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define BYTES sizeof(struct fence_page)

/* The memory of a page that has none; on failure what there is goes with it. */
static int map_memory(struct fencepage *page)
{
	bool is_old = false;
	void *at;

	page->fd = memfd_new("tenure-fences", &is_old);
	if (page->fd < 0)
		return page->fd;
	if (ftruncate(page->fd, BYTES) < 0 ||
	    fcntl(page->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0 ||
	    fchmod(page->fd, 0) < 0)
		return -errno;
	at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, page->fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	madvise(at, BYTES, MADV_DONTFORK);
	page->page = at;
	return 0;
}

int fencepage_new(struct fencepage **ret)
{
	struct fencepage *page = calloc(1, sizeof(*page));
	int r;

	if (!page)
		return -ENOMEM;
	r = map_memory(page);
	if (r < 0) {
		fencepage_free(page);
		return r;
	}
	*ret = page;
	return 0;
}

void fencepage_free(struct fencepage *page)
{
	if (!page)
		return;
	if (page->page) {
		for (uint32_t i = 0; i < FENCE_PAGE_ENTRIES; i++)
			fence_page_end(page->page, i);
		munmap(page->page, BYTES);
	}
	if (page->fd >= 0)
		close(page->fd);
	free(page);
}

static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

int fencepage_maker_fd(const struct fencepage *page)
{
	assert(!page->is_sealed);
	return duplicate(page->fd);
}

static int seal(struct fencepage *page)
{
	int read_only;

	if (!page->has_seals &&
	    fcntl(page->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	page->has_seals = true;
	read_only = memfd_reopen_read_only(page->fd);
	if (read_only < 0)
		return read_only;
	close(page->fd);
	page->fd = read_only;
	page->is_sealed = true;
	return 0;
}

int fencepage_reader_fd(struct fencepage *page)
{
	int r = page->is_sealed ? 0 : seal(page);

	return r < 0 ? r : duplicate(page->fd);
}
