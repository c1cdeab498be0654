/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of one client's page of fences: see core/ring/fence_page.h for
 * what is in it, and fencepage.c.
 */
#ifndef DAEMON_FENCEPAGE_H
#define DAEMON_FENCEPAGE_H

#include "core/ring/fence_page.h"

struct fencepage {
	struct fence_page *page;
	int fd; /* writable until the first reader, from then on not */
	bool has_seals; /* against writing; the last seals that it gets */
	bool is_sealed; /* and fd cannot write any more */
};

/* Makes one: 0 or a negative errno. */
int fencepage_new(struct fencepage **ret);

/* Ends every entry, and lets go of the memory; who has it mapped keeps it.
 * NULL is allowed. */
void fencepage_free(struct fencepage *page);

/* Descriptors for the maker, before there are readers, and for a reader; each
 * is the caller's. Or a negative errno. */
int fencepage_maker_fd(const struct fencepage *page);
int fencepage_reader_fd(struct fencepage *page);

#endif
