/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping: the steps that the two-minute layer takes too. The caller has
 * entered the connection; failures have been remembered.
 */
#ifndef CLIENT_MAPPING_H
#define CLIENT_MAPPING_H

#include "client/connection.h"

/* What is to be mapped. */
struct mapping_request {
	struct tenure_device device;
	struct tenure_allocation allocation;
	bool write;
};

int map_locked(struct tenure *connection, const struct mapping_request *mapping,
	       void **ret_pointer, size_t *ret_size);

#endif
