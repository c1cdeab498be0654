/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What producer.c and consumer.c agree on: a frame is one shared resource of
 * three allocations, and its token travels over a socket between the two.
 *
 *	header    struct frame_header
 *	payload   the bytes themselves
 *	index     one checksum for each block of the payload
 *
 * The resource's private data is the number of the frame, which a consumer
 * gets with the opening, before it maps anything.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <tenure/tenure.h>

enum {
	FRAME_PAYLOAD_BYTES = 4 << 20,
	FRAME_BLOCK_BYTES = 64 << 10,
	FRAME_BLOCKS = FRAME_PAYLOAD_BYTES / FRAME_BLOCK_BYTES,
	/* Announced and not yet opened by everybody. */
	FRAMES_IN_FLIGHT = 8,
};

#define FRAME_MAGIC UINT64_C(0x454d415246)

enum frame_part { FRAME_HEADER, FRAME_PAYLOAD, FRAME_INDEX, FRAME_PARTS };

struct frame_header {
	uint64_t magic;
	uint64_t number;
	uint64_t frames; /* of the whole file */
	uint64_t payload_bytes; /* used in this frame */
};

/* From the producer to a consumer, over a SOCK_SEQPACKET socket. */
struct announcement {
	uint64_t number;
	struct tenure_token token;
};

/* And back, when the consumer has opened the frame: the producer may let go
 * of it, the memory lives on as long as somebody has it open. */
struct opened {
	uint64_t number;
};

/* FNV-1a over one block. */
static inline uint64_t frame_checksum(const uint8_t *bytes, size_t size_bytes)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size_bytes; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

/* Bytes of block number block in a frame with that payload. */
static inline size_t frame_block_bytes(size_t payload_bytes, size_t block)
{
	size_t start = block * FRAME_BLOCK_BYTES;

	if (start >= payload_bytes)
		return 0;
	return payload_bytes - start < FRAME_BLOCK_BYTES ?
		       payload_bytes - start :
		       FRAME_BLOCK_BYTES;
}

#endif
