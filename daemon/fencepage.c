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
 * readers are refused.
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
 */
#include "daemon/fencepage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define BYTES sizeof(struct fence_page)

/* Before a kernel knows MFD_NOEXEC_SEAL, it answers EINVAL. */
static int create_memory(void)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("tenure-fences", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("tenure-fences", flags);
	return fd;
}

/* The memory of a page that has none; on failure what there is goes with it. */
static int map_memory(struct fencepage *page)
{
	void *at;

	page->fd = create_memory();
	if (page->fd < 0 || ftruncate(page->fd, BYTES) < 0 ||
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

static int reopen_read_only(int fd)
{
	char path[32];
	int r, read_only;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fchmod(fd, 0400) < 0)
		return -errno;
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	r = read_only < 0 ? -errno : read_only;
	if (r == -ENOENT) /* there is no /proc, and there is no other way */
		r = -ENOTSUP;
	/* What was set a moment ago can be set back. */
	if (fchmod(fd, 0) < 0 && read_only >= 0) {
		r = -errno;
		close(read_only);
	}
	return r;
}

static int seal(struct fencepage *page)
{
	int read_only;

	if (fcntl(page->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	read_only = reopen_read_only(page->fd);
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
