/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a private daemon for a program that found none. */
#ifndef CLIENT_SPAWN_H
#define CLIENT_SPAWN_H

#include "core/base.h"

/*
 * Starts a daemon that ends with its last client, waits until it listens and
 * writes the path of its socket (with the NUL, at most size bytes). 0;
 * -ENOENT, there is no daemon program; -ETIMEDOUT, it does not get ready; -EIO,
 * it ended at once; or another negative errno, and nothing is left behind.
 */
int spawn_daemon(char *ret_path, size_t size);

/*
 * Finds the daemon's program: $TENURE_DAEMON, or else the one installed with
 * this library, or else where one is usually installed, or else in $PATH. 0,
 * -ENOENT or -ENAMETOOLONG.
 */
int spawn_find_program(char *ret_program, size_t size);

#endif
