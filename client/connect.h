/* SPDX-License-Identifier: Apache-2.0 */
/* tenure_connect() with its two constants as parameters, for tests. */
#ifndef CLIENT_CONNECT_H
#define CLIENT_CONNECT_H

#include "client/api.h"

struct connect_ways {
	const char *system_socket; /* the last place that is looked at */
	unsigned int timeout_ms; /* for whoever listens there, each time */
};

/* As tenure_connect(). */
int connect_by(const struct connect_ways *ways, const char *path,
	       unsigned int flags, struct tenure **ret_connection);

#endif
