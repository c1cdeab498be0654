/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool tells the daemon, for the person who looks: see pool_told.c. */
#ifndef CLIENT_POOL_TOLD_H
#define CLIENT_POOL_TOLD_H

#include "client/connection.h"

/* Says that there is a pool; *ret_pool is 0 when the daemon does not want to
 * know. Fails as a request can. */
int pool_told_begin(struct tenure *connection,
		    const struct tenure_pool_options *options,
		    uint64_t *ret_pool);

/* Says how it is, and that it has gone. What comes of it does not matter. */
void pool_told(struct tenure *connection, uint64_t pool,
	       const struct tenure_pool_stat *stat);
void pool_told_end(struct tenure *connection, uint64_t pool);

#endif
