/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory without a name in a file system (memfds): how much of it who holds.
 */
#ifndef TESTS_SUPPORT_SHMEM_H
#define TESTS_SUPPORT_SHMEM_H

#include <stdbool.h>
#include <stdint.h>

struct shmem {
	/* Of the memfds that this process and its descendants have open or
	 * mapped, each counted once. */
	uint64_t own_bytes;
	/* Shmem of the whole machine without the memfds that somebody else has:
	 * it has also what only a descriptor in flight holds, and what others
	 * have in other ways. */
	uint64_t rest_bytes;
	/* Nobody's descriptors were hidden from us, so rest_bytes is true. */
	bool all_seen;
};

void shmem_look(struct shmem *ret);

#endif
