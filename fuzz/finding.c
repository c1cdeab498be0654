/* SPDX-License-Identifier: Apache-2.0 */
/* How a target says that it found something, and how closely it looks. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/target.h"

static bool replaying;
static uint32_t looks;
uint64_t fuzz_judged;

__attribute__((destructor)) static void print_judged(void)
{
	fprintf(stderr, "%ju requests judged\n", (uintmax_t)fuzz_judged);
}

void fuzz_replaying(bool on)
{
	replaying = on;
}

bool fuzz_look_closely(uint32_t period)
{
	return replaying || looks++ % period == 0;
}

void fuzz_found(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	fputs("FOUND: ", stderr);
	vfprintf(stderr, format, list);
	fputc('\n', stderr);
	va_end(list);
	abort();
}
