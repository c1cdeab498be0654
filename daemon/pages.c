/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages from mmap
 *
 * The broker reserves one range of addresses and commits it piece by piece. A
 * reservation is PROT_NONE and not accounted, so it costs nothing even when
 * memory is strictly accounted (vm.overcommit_memory=2); a commit is where the
 * kernel may say no, and -ENOMEM is then an answer to one client and not the
 * end of the daemon.
 *
 * Large commits ask for huge pages: a table of millions of slots is looked up
 * at random, and there most of the cost of a lookup is the miss in the TLB.
 * Small ones do not, or an idle daemon would hold 2 MiB for each table; they
 * are merged when the table is large after all. A
 * reservation begins at a multiple of a huge page, because that is all that
 * the kernel can make one of.
 *
 * Whether the kernel gives them is the administrator's choice. What it was is
 * in pages.page_bytes, so that whoever runs the daemon can be told.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A reservation is aligned to HUGE_PAGE_BYTES.
 *  G2  A failed commit has changed nothing.
 *  G3  Without an answer from the kernel, pages are small.
 */
#include "daemon/pages.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SMALL_PAGE_BYTES UINT64_C(4096)
#define HUGE_PAGE_BYTES (UINT64_C(2) << 20)

static void *reserve(void *context, size_t size_bytes)
{
	size_t with_slack = size_bytes + HUGE_PAGE_BYTES;
	uint8_t *start, *aligned;
	size_t before;

	(void)context;
	start = mmap(NULL, with_slack, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)start % HUGE_PAGE_BYTES;
	aligned = start + before;
	if (before > 0)
		munmap(start, before);
	munmap(aligned + size_bytes, HUGE_PAGE_BYTES - before);
	return aligned;
}

static int commit(void *context, void *start, size_t size_bytes)
{
	(void)context;
	if (mprotect(start, size_bytes, PROT_READ | PROT_WRITE) < 0)
		return -ENOMEM;
	if (size_bytes >= HUGE_PAGE_BYTES)
		madvise(start, size_bytes, MADV_HUGEPAGE);
	return 0;
}

/* Kernels before 6.1 do not know it: theirs do so when they have time. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static void merge(void *context, void *start, size_t size_bytes)
{
	(void)context;
	madvise(start, size_bytes, MADV_HUGEPAGE);
	madvise(start, size_bytes, MADV_COLLAPSE);
}

/* Private pages read as zero after it, and there is no file behind them in
 * which a hole would have to be punched; a huge page that is cleared in part
 * is split when the kernel needs the memory. It refuses locked pages, which
 * then stay as they are: a thread that is late may still count its pin there. */
static void clear(void *context, void *start, size_t size_bytes)
{
	(void)context;
	madvise(start, size_bytes, MADV_DONTNEED);
}

static void unreserve(void *context, void *start, size_t size_bytes)
{
	(void)context;
	munmap(start, size_bytes);
}

/* Whether the word in brackets of a file in a directory is that one. */
static bool is_chosen(const char *directory, const char *file, const char *word)
{
	char path[256], text[64] = "", chosen[16] = "";
	const char *bracket;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	bracket = n < 0 ? NULL : strchr(text, '[');
	return bracket != NULL && sscanf(bracket, "[%15[a-z]]", chosen) == 1 &&
	       strcmp(chosen, word) == 0;
}

/* Newer kernels have a file for each size, which may defer to the old one. */
uint64_t pages_size_given(const char *directory)
{
	static const char of_size[] = "hugepages-2048kB/enabled";
	bool given = is_chosen(directory, "enabled", "always") ||
		     is_chosen(directory, "enabled", "madvise");

	if (is_chosen(directory, of_size, "always") ||
	    is_chosen(directory, of_size, "madvise"))
		given = true;
	else if (is_chosen(directory, of_size, "never"))
		given = false;
	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1)
		given = false;
	return given ? HUGE_PAGE_BYTES : SMALL_PAGE_BYTES;
}

void pages_mmap(struct pages *ret)
{
	*ret = (struct pages){
		.page_bytes =
			pages_size_given("/sys/kernel/mm/transparent_hugepage"),
		.reserve = reserve,
		.commit = commit,
		.merge = merge,
		.clear = clear,
		.unreserve = unreserve,
	};
}
