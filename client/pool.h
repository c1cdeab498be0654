/* SPDX-License-Identifier: Apache-2.0 */
/* How a pool chooses: the arithmetic of pool.c, for its test. */
#ifndef CLIENT_POOL_H
#define CLIENT_POOL_H

#include "core/base.h"

/* The size class of a request of size_bytes, which is not 0: whole pages. */
uint64_t pool_class(uint64_t size_bytes);

/* How well a buffer suits a request of that class: 0 to 100. */
int pool_rating(uint64_t wanted, uint64_t size_bytes, bool cold);

#endif
