/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mapping of a ring with its doorbell, and the three system calls that go
 * with it. See ringmap.c.
 */
#ifndef CLIENT_RINGMAP_H
#define CLIENT_RINGMAP_H

#include "core/base.h"
#include "core/ring/ring_client.h"

struct ringmap {
	struct ring *ring;
	int doorbell;
};

/*
 * Maps the ring in memory, a descriptor that stays the caller's. 0; -EPROTO
 * when it is not the sealed memory that was promised; or the errno of mmap or
 * madvise. On success the map owns the doorbell.
 */
int ringmap_init(struct ringmap *map, int memory, int doorbell);

/* forked: in a child, where the ring is not mapped. */
void ringmap_deinit(struct ringmap *map, bool forked);

/* Rings the doorbell; any thread. */
void ringmap_bell(const struct ringmap *map);

/*
 * Sleeps until the word, that of ring_client_futex, is no longer that
 * sequence, at most that long; may return early. True when the time is over.
 */
bool ringmap_sleep(void *word, uint32_t sequence, uint32_t timeout_ms);

#endif
