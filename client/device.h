/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adapters and devices: the steps that the two-minute layer takes too. The
 * caller has entered the connection; failures have been remembered.
 */
#ifndef CLIENT_DEVICE_H
#define CLIENT_DEVICE_H

#include "client/connection.h"

/* NULL means "system". */
int adapter_open_locked(struct tenure *connection, const char *name,
			struct tenure_adapter *ret_adapter);

int adapter_close_locked(struct tenure *connection,
			 struct tenure_adapter adapter);

int device_create_locked(struct tenure *connection,
			 struct tenure_adapter adapter,
			 struct tenure_device *ret_device);

#endif
