/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory as a descriptor: what the daemon makes in the same way for stores,
 * rings and pages of fences. Any thread.
 */
#ifndef DAEMON_MEMFD_H
#define DAEMON_MEMFD_H

#include "core/base.h"

/*
 * A memfd of no length that can be sealed and never be executed. *is_old says
 * that the kernel is too old to be asked for the latter, and is set when it
 * turns out to be; false to begin with. The descriptor or a negative errno.
 */
int memfd_new(const char *name, bool *is_old);

/*
 * The same file opened anew, for reading. Nobody may do so afterwards: its mode
 * is 0 again. The descriptor, or a negative errno: -ENOTSUP without /proc.
 */
int memfd_reopen_read_only(int fd);

#endif
