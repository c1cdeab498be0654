/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptors by which a client learns that its fences have come: our ends
 * of them. See fencefd.c. One for each client; the loop thread only.
 */
#ifndef DAEMON_FENCEFD_H
#define DAEMON_FENCEFD_H

#include "core/wire/msg.h"

struct fencefd;

/* All zero is empty. */
struct fencefds {
	struct fencefd *first;
	uint32_t count;
};

/* Makes a pair and keeps our end under an id, which may be there already. The
 * client's end, which is then the caller's; or a negative errno. */
int fencefds_open(struct fencefds *all, uint64_t id);

/* The same for one that is over: it has been said, and nothing is kept. */
int fencefds_open_said(const struct wire_watch *word);

/* Says it by the descriptor of that id, and forgets it. Nothing if there is
 * none. */
void fencefds_say(struct fencefds *all, uint64_t id,
		  const struct wire_watch *word);

/* Takes out one whose client has closed its end; false when there is none. */
bool fencefds_take_abandoned(struct fencefds *all, uint64_t *ret_id);

/* The client has gone: says nothing any more. */
void fencefds_deinit(struct fencefds *all);

#endif
