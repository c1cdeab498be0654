/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destroyed slots that somebody keeps pinned: set aside, and looked at again
 * from time to time. See pinned.c. One thread.
 */
#ifndef CORE_PINNED_H
#define CORE_PINNED_H

#include "core/env.h"
#include "core/state.h"

/*
 * The slot at the front of that session's stream was found pinned once more.
 * False: try again at once. True: it has been set aside, and the stream goes
 * on without it.
 */
bool pinned_set_aside(struct env *env, uint32_t session, uint64_t now_ns);

/* Looks at some of those that were set aside, if it is time, and takes what
 * that costs from *budget. Those that nobody pins any more go back. */
void pinned_look(struct env *env, uint64_t now_ns, int64_t *budget);

/* When the next such look is due; 0: nothing is set aside. */
uint64_t pinned_due_ns(const struct region *region);

/* Whether somebody pins a slot, or a child of it. */
bool pinned_is(const struct region *region, uint32_t slot);

/* One that has been pinned for PINNED_TOLD_S, for people; each once. */
bool pinned_next_report(struct env *env, struct pinned_report *ret);

#endif
