/* SPDX-License-Identifier: Apache-2.0 */
/* The checker's walk over contexts, timelines and words. One thread. */
#ifndef CORE_CHECK_WORK_H
#define CORE_CHECK_WORK_H

#include "core/check_tally.h"

/* Adds up all work; the slots have been walked before. */
void check_work(struct check *c);

/* The same for fences; tokens have been walked, too. */
void check_fences(struct check *c);

#endif
