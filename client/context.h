/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts as applications know them: see context.c. */
#ifndef CLIENT_CONTEXT_H
#define CLIENT_CONTEXT_H

#include "client/connection.h"

/* Creates a context on a device and enters it. */
int context_create_locked(struct tenure *connection,
			  struct tenure_device device,
			  struct tenure_context *ret_context);

#endif
