/* SPDX-License-Identifier: Apache-2.0 */
/* What a reason means, in words. Pure. */
#ifndef CORE_WIRE_REASON_H
#define CORE_WIRE_REASON_H

#include "core/base.h"
#include "tenure/types.h"

/* One sentence that a person can act on; static, never NULL. */
const char *reason_sentence(enum tenure_reason reason);

/* Whether the errno that comes with it says why, and should be shown too. */
bool reason_is_of_errno(enum tenure_reason reason);

/*
 * The rules of docs/DESTROY.md that refuse for this reason, such as "A74" or
 * "A04 A06", or "" where it is no rule but a limit or a fault; static.
 */
const char *reason_rules(enum tenure_reason reason);

#endif
