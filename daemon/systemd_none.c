/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No systemd: nobody passes a socket, and nobody wants to be told anything.
 */
#include "daemon/systemd.h"

int systemd_listen_fd(int *ret_fd, const char **ret_why)
{
	(void)ret_why;
	*ret_fd = -1;
	return 0;
}

void systemd_notify(const char *state)
{
	(void)state;
}
