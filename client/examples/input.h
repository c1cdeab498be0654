/* SPDX-License-Identifier: Apache-2.0 */
/* The file that the demo passes through the daemon. */
#ifndef INPUT_H
#define INPUT_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a file can be used; if not, says why on standard error. */
bool input_check(const char *path, uint64_t *ret_bytes);

/*
 * Makes a file from programs and libraries that are installed here, always in
 * the same order, of at least INPUT_LEAST_BYTES. Says why when it cannot.
 */
bool input_assemble(const char *path, uint64_t *ret_bytes);

#endif
