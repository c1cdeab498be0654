/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that the harness runs: floors, peers and the daemon. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include "bench/passes.h"

#include <stdbool.h>
#include <sys/types.h>

enum { CHILD_PATH_BYTES = 512 };

/* The path of a file beside this program. */
void child_beside(const char *name, char ret[CHILD_PATH_BYTES]);

/*
 * Runs a program, pinned to a CPU unless that is -1, and reads the one JSON
 * object that it prints. False, with a line on stderr, when it failed or
 * printed something else; then ret is untouched. argv[0] is its path.
 */
bool child_quantiles(const char *const argv[], int cpu, struct quantiles *ret);

/* Runs a program without its output; whether it ended with 0. */
bool child_run(const char *const argv[]);

/* A daemon of this build, alone on a CPU. */
struct service {
	bool is_null; /* one without memory, and with hardly a limit */
	pid_t pid;
	char directory[64];
	char socket[96];
	char config[96];
};

/* Starts one and waits until it listens; false with a line on stderr. A CPU of
 * -1 is any. */
bool service_start(struct service *service, int cpu);

/* Ends it and removes what it left. The zero value is allowed. */
void service_stop(struct service *service);

/* Anonymous memory that it has, and how much of that are huge pages. */
void service_resident(const struct service *service, uint64_t *ret_bytes,
		      uint64_t *ret_huge_bytes);

#endif
