/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of a ring: one memfd for each client, made, sized and sealed by
 * the daemon and mapped writable by both. docs/PROTOCOL.md says the same in
 * prose; ring_server.c and ring_client.c are the two ends, and only
 * ring_shared.h may look into it.
 *
 *	header | submission queue | completion queue | free queue |
 *	progress words | arena of RING_BLOCKS blocks
 *
 * Nothing here is trusted by the daemon: it keeps its own copies of every
 * index, reads every shared field once, judges the copy and uses the copy.
 * Indexes run freely and wrap at 2^32; a queue's length is a power of two.
 */
#ifndef CORE_RING_RING_H
#define CORE_RING_RING_H

#include "core/atomic.h"
#include "core/base.h"
#include "core/wire/msg.h"

enum {
	RING_SQ_ENTRIES = 256,
	RING_CQ_ENTRIES = 1024,
	RING_FQ_ENTRIES = 16384,
	/* Progress words, one for each context that a client may have. */
	RING_WORDS = 4096,
	RING_BLOCKS = 8,
	RING_BLOCK_BYTES = 32768,
	RING_LINE_BYTES = 128, /* two lines: neighbours are fetched in pairs */
};

static_assert(RING_BLOCK_BYTES >= WIRE_ARGS_BYTES_MAX &&
		      RING_BLOCK_BYTES >= WIRE_DATA_BYTES_MAX,
	      "a block holds the largest arguments and the largest data");

/* Bits of ring_header.daemon_need. */
enum ring_need {
	RING_NEED_SUBMISSION = 1u << 0, /* nobody looks at the queues */
	RING_NEED_PROGRESS = 1u << 1, /* somebody waits for a progress word */
};

/* Each word has one writer and a line to itself. */
struct ring_header {
	/* written by the client */
	_Alignas(RING_LINE_BYTES) atomic_u32 sq_tail;
	_Alignas(RING_LINE_BYTES) atomic_u32 fq_tail;
	_Alignas(RING_LINE_BYTES) atomic_u32 cq_head;
	_Alignas(RING_LINE_BYTES) atomic_u32 client_need; /* sleepers */
	/* written by the daemon */
	_Alignas(RING_LINE_BYTES) atomic_u32 sq_head;
	_Alignas(RING_LINE_BYTES) atomic_u32 fq_head;
	_Alignas(RING_LINE_BYTES) atomic_u32 cq_tail;
	_Alignas(RING_LINE_BYTES) atomic_u32 daemon_need; /* enum ring_need */
	/* 1: an append to the free queue must ring the doorbell; 0: the daemon
	 * has a timer running and will look by itself. */
	_Alignas(RING_LINE_BYTES) atomic_u32 fq_need;
	/* Changes whenever the daemon wakes the client, which sleeps on it. */
	_Alignas(RING_LINE_BYTES) atomic_u32 wake_sequence;
};

struct ring_block {
	_Alignas(RING_LINE_BYTES) atomic_u64 words[RING_BLOCK_BYTES / 8];
};

struct ring {
	_Alignas(4096) struct ring_header header;
	_Alignas(4096) atomic_u64 sq[RING_SQ_ENTRIES]
				    [sizeof(struct wire_request) / 8];
	_Alignas(4096) atomic_u64 cq[RING_CQ_ENTRIES]
				    [sizeof(struct wire_reply) / 8];
	_Alignas(4096) atomic_u64 fq[RING_FQ_ENTRIES]; /* wire handles */
	_Alignas(4096) atomic_u64 words[RING_WORDS];
	_Alignas(4096) struct ring_block arena[RING_BLOCKS];
};

static_assert(sizeof(struct ring) % 4096 == 0, "whole pages");
static_assert(offsetof(struct ring_header, wake_sequence) ==
		      9 * RING_LINE_BYTES,
	      "layout");

#endif
