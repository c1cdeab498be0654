/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a forked child from the process that made the mark. */
#ifndef CLIENT_FORKMARK_H
#define CLIENT_FORKMARK_H

#include "core/base.h"

#include <sys/types.h>

struct forkmark {
	const volatile uint32_t *page; /* NULL: pid is compared instead */
	pid_t pid;
};

/* Marks the calling process. Cannot fail. */
void forkmark_init(struct forkmark *mark);
void forkmark_deinit(struct forkmark *mark);

/* Whether the calling process is not the one that made the mark. MT-Safe. */
bool forkmark_forked(const struct forkmark *mark);

#endif
