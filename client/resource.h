/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources: the steps that the two-minute layer takes too. The caller has
 * entered the connection; failures have been remembered.
 */
#ifndef CLIENT_RESOURCE_H
#define CLIENT_RESOURCE_H

#include "client/connection.h"

/* What is to be born; resource is the one to add to, or 0. */
struct creation {
	struct tenure_device device;
	struct tenure_resource resource;
	unsigned int flags; /* enum tenure_create_flags */
	const size_t *sizes;
	unsigned int count;
	const void *private_data;
	size_t private_bytes;
};

/* ret_resource may be NULL when no resource is made. */
int create_locked(struct tenure *connection, const struct creation *creation,
		  struct tenure_resource *ret_resource,
		  struct tenure_allocation *ret_allocations);

/* list_trusted: the list can be read, whatever the caller may have said. */
int destroy_locked(struct tenure *connection,
		   const struct tenure_destroy *destroy, bool list_trusted);

int share_locked(struct tenure *connection, struct tenure_device device,
		 struct tenure_resource resource, unsigned int rights,
		 struct tenure_token *ret_token);

/* The sizes stay in connection->data. */
int query_locked(struct tenure *connection, const struct tenure_token *token,
		 struct tenure_resource_info *ret_info);

/* What is to be opened. */
struct opening_request {
	struct tenure_device device;
	const struct tenure_token *token;
	unsigned int rights;
	unsigned int count;
	size_t private_bytes;
};

/* ret_private_data may be NULL when nobody wants it. */
int open_locked(struct tenure *connection,
		const struct opening_request *opening, void *ret_private_data,
		struct tenure_resource *ret_resource,
		struct tenure_allocation *ret_allocations);

#endif
