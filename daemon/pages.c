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
 * Small ones do not, or an idle daemon would hold 2 MiB for each table.
 */
#include "daemon/pages.h"

#include <sys/mman.h>

#define HUGE_PAGE_BYTES (UINT64_C(2) << 20)

static void *reserve(void *context, size_t size_bytes)
{
	void *start = mmap(NULL, size_bytes, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)context;
	return start == MAP_FAILED ? NULL : start;
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

static void unreserve(void *context, void *start, size_t size_bytes)
{
	(void)context;
	munmap(start, size_bytes);
}

void pages_mmap(struct pages *ret)
{
	*ret = (struct pages){
		.reserve = reserve,
		.commit = commit,
		.unreserve = unreserve,
	};
}
