/* SPDX-License-Identifier: Apache-2.0 */
/* The checker: walks all state and proves every invariant. One thread. */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

#include "core/broker.h"

/*
 * 0, or -EUCLEAN with the first broken invariant in message (size bytes, with
 * the NUL). Changes nothing; takes time in proportion to the state, and
 * memory, for as long as the call, from scratch. -ENOMEM: there was none.
 */
int check_state(const struct broker *broker, const struct pages *scratch,
		char *message, size_t size);

#endif
