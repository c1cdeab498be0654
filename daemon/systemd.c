/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd
 *
 * sd_listen_fds() believes the environment only when LISTEN_PID is ours, and
 * marks the descriptors close-on-exec, which finds those that are not open. We
 * add that there must be one, and that it must be a socket on which our
 * protocol can be spoken: a wrong unit file is told at once, not by the first
 * client. The variables are removed, so that nothing we might start believes
 * in them.
 */
#include "daemon/systemd.h"

#include <sys/socket.h>
#include <systemd/sd-daemon.h>

int systemd_listen_fd(int *ret_fd, const char **ret_why)
{
	int n = sd_listen_fds(1);

	if (n == 0) {
		*ret_fd = -1;
		return 0;
	}
	if (n < 0)
		*ret_why = "LISTEN_PID and LISTEN_FDS make no sense, or what "
			   "was passed is not open";
	else if (n > 1)
		*ret_why = "more than one socket was passed";
	else if (sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_SEQPACKET, 1, NULL,
				   0) <= 0)
		*ret_why = "what was passed is no listening SOCK_SEQPACKET "
			   "unix socket (ListenSequentialPacket=)";
	else {
		*ret_fd = SD_LISTEN_FDS_START;
		return 0;
	}
	return -EINVAL;
}

void systemd_notify(const char *state)
{
	sd_notify(0, state);
}
