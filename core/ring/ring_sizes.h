/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the queues of a ring are. Apart from ring.h, so that a model, in
 * which every word costs time, can be compiled with smaller ones.
 */
#ifndef CORE_RING_RING_SIZES_H
#define CORE_RING_RING_SIZES_H

#include "core/wire/msg.h"

enum {
	/* Lengths of queues are powers of two. */
	RING_SQ_ENTRIES = 256,
	RING_CQ_ENTRIES = 1024,
	RING_FQ_ENTRIES = 16384,
	/* Progress words, one for each context that a client may have. */
	RING_WORDS = 4096,
	RING_BLOCKS = 8,
	/* Allocations that a client may have offered, see offers.h; with their
	 * head they fill four pages. */
	RING_OFFERS = 1008,
	RING_BLOCK_BYTES = 32768,
	/* Frees that are taken at once. */
	RING_FREES_MAX = LIST_ENTRIES_MAX,
};

static_assert(RING_BLOCK_BYTES >= (int)WIRE_ARGS_BYTES_MAX &&
		      RING_BLOCK_BYTES >= (int)WIRE_DATA_BYTES_MAX,
	      "a block holds the largest arguments and the largest data");

/* The period of the free queue's timer: a free is taken at the latest after
 * two of them, see core/ring/ring_server.c. */
#define RING_FREES_PERIOD_NS UINT64_C(1000000)

/* The shortest time between two looks at the offers of a ring. */
#define RING_OFFERS_PERIOD_NS UINT64_C(1000000)

#endif
