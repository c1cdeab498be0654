/* SPDX-License-Identifier: Apache-2.0 */
/* What the demo sees of the daemon from outside. */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/wire/msg.h"
#include "tenure/tenure.h"

struct sight {
	struct wire_status status; /* as the daemon counts */
	unsigned int fds; /* of the daemon, as /proc counts */
	uint64_t shmem_bytes; /* of the whole machine */
};

/* Looks; false, with a sentence on standard error, when it cannot. */
bool watch_look(struct tenure *connection, pid_t daemon, struct sight *ret);

/* Whether the daemon holds nothing more than it did at base. */
bool watch_is_back(const struct sight *base, const struct sight *now);

/* What the daemon's log says about a client that ended. */
struct end_of_client {
	char ended[512]; /* "client 7 (pid ...) ended: ..." */
	char reclaimed[256]; /* "client 7 (pid ...): everything reclaimed ..." */
	unsigned long long resources, allocations, tokens, bytes; /* held */
};

/* Reads the log; true when both lines about that process are there. */
bool watch_end_of(const char *log_path, pid_t pid, struct end_of_client *ret);

#endif
