/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes of a message to a request that has a legal form. Pure. */
#ifndef CORE_WIRE_CODEC_H
#define CORE_WIRE_CODEC_H

#include "core/base.h"
#include "core/wire/msg.h"
#include "tenure/types.h"

enum decode_result {
	DECODE_OK,
	DECODE_MALFORMED, /* the peer breaks the protocol */
	DECODE_TOO_LONG,
	DECODE_UNKNOWN, /* the form is legal, the request is not known */
};

/*
 * Looks at a whole message, 8-byte aligned and private to the caller, that
 * came by the ring or by the socket. On DECODE_OK and DECODE_UNKNOWN *ret is
 * its head and *ret_args its arguments (ret->args_bytes of them).
 */
enum decode_result decode_request(const void *message, size_t size_bytes,
				  bool by_ring, struct wire_request *ret,
				  const void **ret_args);

/* The most data that the reply to a request can have. */
uint32_t wire_data_max(const struct wire_request *request);

#endif
