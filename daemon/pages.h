/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages that the broker's state lives in: address space from mmap.
 */
#ifndef DAEMON_PAGES_H
#define DAEMON_PAGES_H

#include "core/mem.h"

/* Fills in a door to anonymous memory; there is no state behind it. */
void pages_mmap(struct pages *ret);

/* The size of page that a large commit gets, as the kernel's settings in that
 * directory have it. */
uint64_t pages_size_given(const char *directory);

#endif
