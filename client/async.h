/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destroys that nobody waits for: the steps that the two-minute layer takes
 * too. The caller has entered the connection. 0, or the status of a dead
 * connection, which has been remembered.
 */
#ifndef CLIENT_ASYNC_H
#define CLIENT_ASYNC_H

#include "client/connection.h"

int free_allocation_locked(struct tenure *connection, uint64_t handle);
int free_resource_locked(struct tenure *connection, uint64_t handle);

#endif
