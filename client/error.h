/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the calling thread's last failed call failed. Every failure of the
 * library passes through here exactly once.
 */
#ifndef CLIENT_ERROR_H
#define CLIENT_ERROR_H

#include "client/api.h"
#include "core/base.h"

/* Remembers a refusal without an index; returns status, so that a function
 * can end with it. */
int refusal_set(int status, enum tenure_reason reason);

/* The same with the index of a reply, which may be WIRE_NO_INDEX. */
int refusal_set_at(int status, enum tenure_reason reason, uint32_t index);

/* Puts an earlier refusal back, after an undo that may have failed itself. */
void refusal_restore(const struct tenure_refusal *refusal);

#endif
