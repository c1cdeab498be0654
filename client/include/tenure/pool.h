/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of warm memory: buffers that are mapped and populated already, and
 * stay so between two uses. The first touch of fresh memory costs far more
 * than anything that is done with a buffer of a frame; a pool pays it once.
 *
 *	tenure_pool_create(t, &(struct tenure_pool_options){
 *		.size = 1 << 20, .count = 8 }, &pool);
 *	for (;;) {
 *		tenure_pool_alloc(pool, 1 << 20, &buffer);
 *		...
 *		tenure_pool_free(pool, &buffer);
 *	}
 *
 * A pool belongs to one connection. Its buffers are private allocations of the
 * daemon, charged to this client for as long as they exist, free or in use;
 * they are never handed to anybody else. They are not inherited by fork: in a
 * child their addresses are empty, so that what a pool hands out again is seen
 * by nobody but its process. (A child made by another thread within the call
 * that makes a new buffer may get that one.)
 *
 * All functions are MT-Safe but tenure_pool_destroy(), which must be the last
 * one, and come before tenure_disconnect(). Results are 0 or a negative errno.
 */
#ifndef TENURE_POOL_H
#define TENURE_POOL_H

#include <stddef.h>
#include <stdint.h>
#include <tenure/tenure.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pool. Opaque. */
struct tenure_pool;

/* What happens to a buffer between two uses. */
enum tenure_pool_reset {
	/* Nothing: the next user finds what the last one left. */
	TENURE_POOL_KEEP = 0,
	/* It is overwritten with zeros, and stays warm. */
	TENURE_POOL_ZERO = 1,
	/* Its pages are given back: it is zero, costs no memory while it is
	 * free, and is warm no longer. */
	TENURE_POOL_DROP = 2,
};

/* size must be given; any other field that is 0 has its default. */
struct tenure_pool_options {
	size_t size; /* bytes of the largest buffer */
	unsigned int count; /* buffers at a time; 0: 64 */
	unsigned int reset; /* enum tenure_pool_reset; 0: TENURE_POOL_KEEP */
	/* Free for longer, a buffer goes, also when the process calls nothing:
	 * then the daemon takes it, if the connection has a ring, and at most
	 * 1008 in all pools of a connection. 0: never. */
	uint64_t idle_timeout_ns;
	/* Whose the allocations are. It must outlive the pool, or the buffers go
	 * before it. 0: a device of the pool's own. */
	struct tenure_device device;
};

/* A buffer in use. The members may be read; allocation and device name it in
 * other calls, but only the pool may destroy it. */
struct tenure_buffer {
	void *pointer;
	size_t size; /* at least what was asked for */
	struct tenure_device device;
	struct tenure_allocation allocation;
};

/*
 * Makes a pool without buffers. -EINVAL: size is 0 or above 2^46, or reset is
 * unknown; -EDQUOT: 64 pools of one connection, or 256 devices where each has
 * one of its own; -ENOMEM. The caller owns *ret_pool.
 */
int tenure_pool_create(struct tenure *connection,
		       const struct tenure_pool_options *options,
		       struct tenure_pool **ret_pool);

/*
 * Hands out a buffer of at least size bytes: a free one that is at most twice
 * as large, the closest in size and the warmest first, else a new one, which
 * is zero, mapped for reading and writing and populated. -EINVAL: size is 0 or
 * above the pool's; -EDQUOT: count buffers are in use, or a limit of the
 * daemon; -ENOMEM.
 */
int tenure_pool_alloc(struct tenure_pool *pool, size_t size,
		      struct tenure_buffer *ret_buffer);

/*
 * Gives a buffer back, and *buffer becomes all zero. One that is all zero is
 * allowed and does nothing. When work of contexts uses it, recorded by
 * tenure_context_use() or submitted, it is handed out again only when that
 * work has ended, as what is destroyed keeps its memory until then; later calls
 * on the pool look. -EINVAL: the pool has not handed that out.
 */
int tenure_pool_free(struct tenure_pool *pool, struct tenure_buffer *buffer);

/*
 * Gives a buffer back that work in flight still uses of which no context knows:
 * it is handed out again only when, besides, *progress has reached value. That
 * is a word that whoever does the work stores to (with release order) and never
 * sets back. The word must live until then, or until the pool is destroyed.
 * Looked at by later calls on the pool.
 */
int tenure_pool_free_after(struct tenure_pool *pool,
			   struct tenure_buffer *buffer,
			   const uint64_t *progress, uint64_t value);

/* Destroys now what has been free for longer than the idle timeout, and takes
 * note of what the daemon has taken; without it, alloc and free do so a little
 * at a time. */
int tenure_pool_trim(struct tenure_pool *pool);

struct tenure_pool_stat {
	/* Buffers; in_flight: given back, but work still uses them. */
	uint64_t free, in_use, in_flight;
	uint64_t bytes; /* of all of them */
	uint64_t hits, misses; /* allocs served by the inventory, or not */
	uint64_t created;
	uint64_t destroyed_idle; /* free for too long, as far as noted */
	uint64_t destroyed_for_room; /* for one of another size */
	uint64_t destroyed_unfit; /* could not be used again */
	uint64_t destroy_failures;
};

/* Figures of this moment; the daemon is not asked. */
int tenure_pool_stat(struct tenure_pool *pool,
		     struct tenure_pool_stat *ret_stat);

/*
 * Destroys all buffers, in use or not, as by tenure_allocation_destroy(), and
 * frees the pool. The memory of what submitted work uses goes when that has
 * ended. NULL is allowed. -EIO: done, but not all could be destroyed; the rest
 * goes with the connection.
 */
int tenure_pool_destroy(struct tenure_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
