/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the state in order that a process left behind which was killed between
 * any two instructions. One thread, and nobody else.
 */
#ifndef CORE_REBUILD_H
#define CORE_REBUILD_H

#include "core/env.h"

/*
 * Rebuilds all that follows from something else; see rebuild.c. Takes time in
 * proportion to the region, and memory from scratch for as long as the call.
 * 0, or -ENOMEM: then it can be called again, like after being killed itself.
 */
int rebuild(struct env *env, const struct pages *scratch);

#endif
