/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap of ordinary builds: jemalloc takes the place of malloc for the
 * whole process, and counts exactly. Its figures are those of the last epoch,
 * so a new one is begun before they are read.
 */
#include "daemon/heap.h"

#include <jemalloc/jemalloc.h>

static uint64_t read_size(const char *name)
{
	size_t value = 0, size = sizeof(value);

	return mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

void heap_stat(struct heap_stat *ret)
{
	uint64_t epoch = 1;

	mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
	*ret = (struct heap_stat){
		.name = "jemalloc",
		.allocated_bytes = read_size("stats.allocated"),
		.resident_bytes = read_size("stats.resident"),
	};
}
