/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program, from its command line to its exit status.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "core/base.h"

/* Does what main does; test_events: obey requests that only tests make.
 * Returns the exit status, one of sysexits.h. */
int daemon_main(int argc, char **argv, bool test_events);

#endif
