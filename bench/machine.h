/* SPDX-License-Identifier: Apache-2.0 */
/* What a figure was measured on, and with what source. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stddef.h>

/* One line: processor, kernel, governor, huge pages, compiler, load. */
void machine_line(char *buffer, size_t size);

/* The commit of the current directory, "-dirty" if it was changed; or
 * "unknown". */
void machine_commit(char *buffer, size_t size);

#endif
