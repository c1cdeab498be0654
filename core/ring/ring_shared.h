/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only text that may look into a ring (but for its offers: offers.c): one
 * function for each way in which one end touches one field. Each call is one
 * access, so whoever wants a value twice has to keep it; a value of the other
 * end is whatever it likes.
 *
 * The orders are here and nowhere else. docs/MEMORY_MODEL.md says for each tag
 * what breaks without it; models/ breaks each of them.
 *
 * A doorbell needs that of two threads, each of which writes one word and then
 * reads the other's, at least one sees the other. That is what a sequentially
 * consistent exchange followed by a sequentially consistent load gives, and
 * no weaker pair does: BELL, ROOM, WAKE and PROGRESS below.
 */
#ifndef CORE_RING_RING_SHARED_H
#define CORE_RING_RING_SHARED_H

#include "core/ring/ring.h"

static_assert((RING_SQ_ENTRIES & (RING_SQ_ENTRIES - 1)) == 0 &&
		      (RING_CQ_ENTRIES & (RING_CQ_ENTRIES - 1)) == 0 &&
		      (RING_FQ_ENTRIES & (RING_FQ_ENTRIES - 1)) == 0,
	      "lengths of queues are powers of two");

/*
 * Entries and blocks. Nothing hangs on the order of their words: whoever reads
 * them has seen an index that was written after them.
 */
static inline void ring_copy_out(uint64_t *ret, const atomic_u64 *words,
				 uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		ret[i] = load_relaxed_u64(&words[i]);
}

static inline void ring_copy_in(atomic_u64 *words, const uint64_t *from,
				uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		store_relaxed_u64(&words[i], from[i]);
}

static inline void ring_sq_read(const struct ring *ring, uint32_t index,
				uint64_t *ret)
{
	ring_copy_out(ret, ring->sq[index & (RING_SQ_ENTRIES - 1)].words,
		      RING_REQUEST_WORDS);
}

static inline void ring_sq_write(struct ring *ring, uint32_t index,
				 const uint64_t *from)
{
	ring_copy_in(ring->sq[index & (RING_SQ_ENTRIES - 1)].words, from,
		     RING_REQUEST_WORDS);
}

static inline void ring_cq_read(const struct ring *ring, uint32_t index,
				uint64_t *ret)
{
	ring_copy_out(ret, ring->cq[index & (RING_CQ_ENTRIES - 1)].words,
		      RING_REPLY_WORDS);
}

static inline void ring_cq_write(struct ring *ring, uint32_t index,
				 const uint64_t *from)
{
	ring_copy_in(ring->cq[index & (RING_CQ_ENTRIES - 1)].words, from,
		     RING_REPLY_WORDS);
}

static inline uint64_t ring_fq_read(const struct ring *ring, uint32_t index)
{
	return load_relaxed_u64(&ring->fq[index & (RING_FQ_ENTRIES - 1)]);
}

static inline void ring_fq_write(struct ring *ring, uint32_t index,
				 uint64_t handle)
{
	store_relaxed_u64(&ring->fq[index & (RING_FQ_ENTRIES - 1)], handle);
}

/* size_bytes bytes of a block, from its start; not more than it has. */
static inline void ring_block_read(const struct ring *ring, uint32_t block,
				   void *ret, uint32_t size_bytes)
{
	for (uint32_t at = 0; at < size_bytes; at += 8) {
		uint64_t word =
			load_relaxed_u64(&ring->arena[block].words[at / 8]);

		memcpy((char *)ret + at, &word, min_u64(8, size_bytes - at));
	}
}

/* Likewise; the last word is filled up with zeros. */
static inline void ring_block_write(struct ring *ring, uint32_t block,
				    const void *from, uint32_t size_bytes)
{
	for (uint32_t at = 0; at < size_bytes; at += 8) {
		uint64_t word = 0;

		memcpy(&word, (const char *)from + at,
		       min_u64(8, size_bytes - at));
		store_relaxed_u64(&ring->arena[block].words[at / 8], word);
	}
}

/* ---- Indexes that the client writes ---- */

static inline void ring_sq_tail_publish(struct ring *ring, uint32_t tail)
{
	/* order RING-ENTRY: the entries, their arguments and the frees before
	 * them are visible to whoever sees the tail in ring_sq_tail_look();
	 * order RING-BELL: and the tail is, or else the load behind this
	 * finds that the daemon wants to be rung. */
	exchange_seq_cst_u32(&ring->header.sq_tail, tail);
}

static inline uint32_t ring_sq_tail_look(const struct ring *ring)
{
	/* order RING-ENTRY, order RING-BELL: see ring_sq_tail_publish(). */
	return load_seq_cst_u32(&ring->header.sq_tail);
}

static inline void ring_fq_tail_append(struct ring *ring, uint32_t tail)
{
	/* order RING-FREE: the handles are visible to whoever sees the tail in
	 * ring_fq_tail_look(). That it may be seen late, see
	 * core/ring/ring_server.c. */
	store_release_u32(&ring->header.fq_tail, tail);
}

static inline void ring_fq_tail_publish(struct ring *ring, uint32_t tail)
{
	/* order RING-FREE: as above; order RING-BELL: and the daemon sees the
	 * tail, or the load behind this finds that it wants to be rung. */
	exchange_seq_cst_u32(&ring->header.fq_tail, tail);
}

static inline uint32_t ring_fq_tail_look(const struct ring *ring)
{
	/* order RING-FREE, order RING-BELL: see the two functions above. */
	return load_seq_cst_u32(&ring->header.fq_tail);
}

static inline void ring_cq_head_store(struct ring *ring, uint32_t head)
{
	/* order RING-REAPED: what was read of the entries has been read before
	 * the daemon writes into them again. */
	store_release_u32(&ring->header.cq_head, head);
}

static inline void ring_cq_head_publish(struct ring *ring, uint32_t head)
{
	/* order RING-REAPED: as above; order RING-ROOM: and the daemon sees the
	 * room or we see that it waits for some. */
	exchange_seq_cst_u32(&ring->header.cq_head, head);
}

static inline uint32_t ring_cq_head_look(const struct ring *ring)
{
	/* order RING-REAPED, order RING-ROOM: see the two functions above. */
	return load_seq_cst_u32(&ring->header.cq_head);
}

static inline void ring_client_need_set(struct ring *ring, uint32_t need)
{
	/* order RING-WAKE: the daemon sees that we sleep, or want to be told,
	 * or the looks behind this see what it has published. */
	exchange_seq_cst_u32(&ring->header.client_need, need);
}

/* Late is no harm: the daemon wakes somebody who is awake. */
static inline void ring_client_need_clear(struct ring *ring, uint32_t need)
{
	store_relaxed_u32(&ring->header.client_need, need);
}

static inline uint32_t ring_client_need_look(const struct ring *ring)
{
	/* order RING-WAKE: see ring_client_need_set(). */
	return load_seq_cst_u32(&ring->header.client_need);
}

/* ---- Indexes and words that the daemon writes ---- */

static inline void ring_sq_head_publish(struct ring *ring, uint32_t head)
{
	/* order RING-TAKEN: what was read of entries and arguments has been
	 * read before the client writes there again; order RING-WAKE: and the
	 * client sees it or the load behind this sees that it sleeps. */
	exchange_seq_cst_u32(&ring->header.sq_head, head);
}

static inline uint32_t ring_sq_head_look(const struct ring *ring)
{
	/* order RING-TAKEN, order RING-WAKE: see ring_sq_head_publish(). */
	return load_seq_cst_u32(&ring->header.sq_head);
}

static inline void ring_fq_head_publish(struct ring *ring, uint32_t head)
{
	/* order RING-TAKEN, order RING-WAKE: as for the submission queue. */
	exchange_seq_cst_u32(&ring->header.fq_head, head);
}

static inline uint32_t ring_fq_head_look(const struct ring *ring)
{
	/* order RING-TAKEN, order RING-WAKE: see ring_fq_head_publish(). */
	return load_seq_cst_u32(&ring->header.fq_head);
}

static inline void ring_cq_tail_publish(struct ring *ring, uint32_t tail)
{
	/* order RING-REPLY: the completions and their data are visible to
	 * whoever sees the tail; order RING-WAKE: and the client sees it or
	 * the load behind this sees that it sleeps. */
	exchange_seq_cst_u32(&ring->header.cq_tail, tail);
}

static inline uint32_t ring_cq_tail_look(const struct ring *ring)
{
	/* order RING-REPLY, order RING-WAKE: see ring_cq_tail_publish(). */
	return load_seq_cst_u32(&ring->header.cq_tail);
}

static inline void ring_daemon_need_set(struct ring *ring, uint32_t need)
{
	/* order RING-BELL, order RING-ROOM, order RING-PROGRESS,
	 * order PAGE-SIGNAL: the client sees the wish, or the looks behind
	 * this see what it has written. */
	exchange_seq_cst_u32(&ring->header.daemon_need, need);
}

/* Late is no harm: the client rings somebody who is awake. */
static inline void ring_daemon_need_clear(struct ring *ring)
{
	store_relaxed_u32(&ring->header.daemon_need, 0);
}

static inline uint32_t ring_daemon_need_look(const struct ring *ring)
{
	/* order RING-BELL, order RING-ROOM, order RING-PROGRESS,
	 * order PAGE-SIGNAL: see ring_daemon_need_set(). */
	return load_seq_cst_u32(&ring->header.daemon_need);
}

/*
 * A glance may be made before the append in front of it is visible, which is
 * what makes an append cheap; the timer of core/ring/ring_server.c allows for
 * that.
 */
static inline void ring_fq_need_store(struct ring *ring, uint32_t need)
{
	/* order RING-WISH: whoever sees the wish sees in fq_head what had been
	 * taken before. */
	store_release_u32(&ring->header.fq_need, need);
}

static inline uint32_t ring_fq_need_glance(const struct ring *ring)
{
	/* order RING-WISH: see ring_fq_need_store(). */
	return load_acquire_u32(&ring->header.fq_need);
}

/*
 * The sequence orders nothing. It is read before client_need is set and
 * written after that has been seen, and the kernel compares it under a lock.
 */
static inline void ring_wake_sequence_store(struct ring *ring,
					    uint32_t sequence)
{
	store_relaxed_u32(&ring->header.wake_sequence, sequence);
}

static inline uint32_t ring_wake_sequence_load(const struct ring *ring)
{
	return load_relaxed_u32(&ring->header.wake_sequence);
}

/* ---- Progress words ---- */

static inline void ring_word_publish(struct ring *ring, uint32_t word,
				     uint64_t value)
{
	/* order RING-PROGRESS: the daemon sees the value, or the load behind
	 * this sees that somebody waits for it. */
	exchange_seq_cst_u64(&ring->words[word], value);
}

/* Before the client learns that the word is its; the reply that says so orders
 * the two. */
static inline void ring_word_reset(struct ring *ring, uint32_t word,
				   uint64_t value)
{
	store_relaxed_u64(&ring->words[word], value);
}

static inline uint64_t ring_word_look(const struct ring *ring, uint32_t word)
{
	/* order RING-PROGRESS: see ring_word_publish(). */
	return load_seq_cst_u64(&ring->words[word]);
}

#endif
