/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of a ring: one memfd for each client, made, sized and sealed by
 * the daemon and mapped writable by both. docs/PROTOCOL.md says the same in
 * prose; ring_server.c and ring_client.c are the two ends, and only
 * ring_shared.h may look into it, or offers.c into the offers.
 *
 *	header | submission queue | completion queue | free queue |
 *	progress words | arena of RING_BLOCKS blocks | offers
 *
 * Nothing here is trusted by the daemon: it keeps its own copies of every
 * index, reads every shared field once, judges the copy and uses the copy.
 * Indexes run freely and wrap at 2^32; a queue's length is a power of two.
 */
#ifndef CORE_RING_RING_H
#define CORE_RING_RING_H

#include <stdalign.h>

#include "core/atomic.h"
#include "core/base.h"
#include "core/ring/offers.h"
#include "core/ring/ring_sizes.h"
#include "core/wire/msg.h"

enum {
	RING_LINE_BYTES = 128, /* two lines: neighbours are fetched in pairs */
	RING_REQUEST_WORDS = sizeof(struct wire_request) / 8,
	RING_REPLY_WORDS = sizeof(struct wire_reply) / 8,
	RING_BLOCK_WORDS = RING_BLOCK_BYTES / 8,
};

/* Bits of ring_header.daemon_need. */
enum ring_need {
	RING_NEED_SUBMISSION = 1u << 0, /* nobody looks at the queues */
	RING_NEED_PROGRESS = 1u << 1, /* somebody waits for a progress word */
	RING_NEED_ROOM = 1u << 2, /* work waits for room in the completions */
};

/*
 * ring_header.client_need: how many sleep; whether heads that move wake them,
 * too, or completions only; and above that the number of the client's wish to
 * be told of refusals by the socket; 0 is none. Each wish is good for one
 * message.
 */
enum {
	RING_SLEEPERS = 0x7fff,
	RING_HEADS = 0x8000,
	RING_WISH_SHIFT = 16,
	RING_WISH_LAST = 0xffff,
};

/* Each word has one writer and a line to itself. */
struct ring_header {
	/* written by the client */
	alignas(RING_LINE_BYTES) atomic_u32 sq_tail;
	alignas(RING_LINE_BYTES) atomic_u32 fq_tail;
	alignas(RING_LINE_BYTES) atomic_u32 cq_head;
	alignas(RING_LINE_BYTES) atomic_u32 client_need; /* see above */
	/* written by the daemon */
	alignas(RING_LINE_BYTES) atomic_u32 sq_head;
	alignas(RING_LINE_BYTES) atomic_u32 fq_head;
	alignas(RING_LINE_BYTES) atomic_u32 cq_tail;
	alignas(RING_LINE_BYTES) atomic_u32 daemon_need; /* enum ring_need */
	/* 0: the daemon has a timer running and looks at the free queue by
	 * itself. Else one append must ring the doorbell, and another one only
	 * when this has changed. */
	alignas(RING_LINE_BYTES) atomic_u32 fq_need;
	/* Changes whenever the daemon wakes the client, which sleeps on it. */
	alignas(RING_LINE_BYTES) atomic_u32 wake_sequence;
};

struct ring_entry {
	atomic_u64 words[RING_REQUEST_WORDS];
};

struct ring_block {
	alignas(RING_LINE_BYTES) atomic_u64 words[RING_BLOCK_WORDS];
};

struct ring {
	alignas(PAGE_BYTES) struct ring_header header;
	alignas(PAGE_BYTES) struct ring_entry sq[RING_SQ_ENTRIES];
	alignas(PAGE_BYTES) struct ring_entry cq[RING_CQ_ENTRIES];
	alignas(PAGE_BYTES) atomic_u64 fq[RING_FQ_ENTRIES]; /* wire handles */
	alignas(PAGE_BYTES) atomic_u64 words[RING_WORDS];
	alignas(PAGE_BYTES) struct ring_block arena[RING_BLOCKS];
	alignas(PAGE_BYTES) struct ring_offers offers;
};

static_assert(RING_REQUEST_WORDS == RING_REPLY_WORDS,
	      "both queues have entries of one kind");

#endif
