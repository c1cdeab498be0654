/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fork mark
 *
 * A connection must not be used by a forked child: two processes would talk on
 * one socket and read each other's replies. Asking getpid() at every call
 * costs a system call, and a counter raised by pthread_atfork() misses clone()
 * and cannot be undone when the library is unloaded. So each connection has a
 * page that the kernel wipes in every child: the parent reads 1 there, a child
 * reads 0, and the check is one load.
 *
 * Where the kernel knows no MADV_WIPEONFORK, or has no page, the process id is
 * compared: slower, and fooled by a grandchild that got the same id again.
 *
 * A child made by vfork() shares the memory and is not told apart; it may only
 * call _exit() and exec anyway.
 */
#include "client/forkmark.h"

#include <sys/mman.h>
#include <unistd.h>

enum { MARK_BYTES = sizeof(uint32_t) };

void forkmark_init(struct forkmark *mark)
{
	uint32_t *page = mmap(NULL, MARK_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mark->page = NULL;
	mark->pid = getpid();
	if (page == MAP_FAILED)
		return;
	if (madvise(page, MARK_BYTES, MADV_WIPEONFORK) < 0) {
		munmap(page, MARK_BYTES);
		return;
	}
	*page = 1;
	mark->page = page;
}

void forkmark_deinit(struct forkmark *mark)
{
	if (mark->page)
		munmap((void *)(uintptr_t)mark->page, MARK_BYTES);
	mark->page = NULL;
}

bool forkmark_forked(const struct forkmark *mark)
{
	if (mark->page)
		return *mark->page == 0;
	return getpid() != mark->pid;
}
