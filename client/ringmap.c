/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring map
 *
 * The daemon makes the memory of a ring and the doorbell, and sends both. The
 * memory is believed only as far as it is sealed: a regular file of at least
 * the ring's length that can never shrink, so that no daemon can turn a load
 * into a bus error later.
 *
 * The mapping is not inherited by a forked child. The library refuses calls in
 * a child anyway; without the pages even a program that goes round the library
 * cannot write into its parent's queues, and the child of a server does not
 * keep a megabyte that is not its own. In the child the addresses may since
 * have been given to something else, so there they are left alone.
 *
 * The bell is an eventfd whose count nobody reads: a write that finds it
 * saturated has rung long ago, so errors are of no interest. The sleep is a
 * futex shared between processes.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A descriptor that breaks the promise is refused, and nothing is mapped.
 *  G2  A child of fork() has none of the ring's pages, and ending its copy of
 *      the connection unmaps nothing of its own.
 */
#include "client/ringmap.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "client/view.h"

int ringmap_init(struct ringmap *map, int memory, int doorbell)
{
	int status = view_check_descriptor(memory, sizeof(struct ring));
	void *pages;

	if (status < 0)
		return status;
	pages = mmap(NULL, sizeof(struct ring), PROT_READ | PROT_WRITE,
		     MAP_SHARED, memory, 0);
	if (pages == MAP_FAILED)
		return -errno;
	if (madvise(pages, sizeof(struct ring), MADV_DONTFORK) < 0) {
		status = -errno;
		munmap(pages, sizeof(struct ring));
		return status;
	}
	*map = (struct ringmap){ .ring = pages, .doorbell = doorbell };
	return 0;
}

void ringmap_deinit(struct ringmap *map, bool forked)
{
	if (!forked)
		munmap(map->ring, sizeof(struct ring));
	close(map->doorbell);
}

void ringmap_bell(const struct ringmap *map)
{
	const uint64_t one = 1;
	ssize_t n;

	do {
		n = write(map->doorbell, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
}

bool ringmap_sleep(void *word, uint32_t sequence, uint32_t timeout_ms)
{
	const struct timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long)(timeout_ms % 1000) * 1000000,
	};

	return syscall(SYS_futex, word, FUTEX_WAIT, sequence, &timeout, NULL,
		       0) < 0 &&
	       errno == ETIMEDOUT;
}
