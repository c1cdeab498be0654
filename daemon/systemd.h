/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager: sockets that it opened for us, and what we tell it.
 * systemd.c or systemd_none.c is linked, depending on the build.
 */
#ifndef DAEMON_SYSTEMD_H
#define DAEMON_SYSTEMD_H

#include "core/base.h"

/*
 * The listening socket that was passed to us. 0 and *ret_fd (-1 when none was
 * passed), or -EINVAL when what was passed is not exactly one listening
 * SOCK_SEQPACKET unix socket; *ret_why then says what it is.
 */
int systemd_listen_fd(int *ret_fd, const char **ret_why);

/* Sends a state such as "READY=1"; nobody has to listen. */
void systemd_notify(const char *state);

#endif
