/* SPDX-License-Identifier: Apache-2.0 */
/* The checker's walk over the slots of an owner. One thread. */
#ifndef CORE_CHECK_SLOTS_H
#define CORE_CHECK_SLOTS_H

#include "core/check_tally.h"

/* Adds up the slots of a device or of a session itself. */
void check_owner(struct check *c, const struct owner *owner, uint32_t session);

/* The segments of nobody hold nothing. */
void check_depot(struct check *c);

#endif
