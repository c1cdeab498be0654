/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of tenured.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include "core/base.h"
#include "daemon/config.h"

#include <stdio.h>

enum options_action {
	OPTIONS_SERVE,
	OPTIONS_CHECK_CONFIG,
	OPTIONS_PRINT_CONFIG,
	OPTIONS_VERSION,
	OPTIONS_HELP,
};

struct options {
	enum options_action action;
	struct config_flags config; /* points into argv */
	bool private_use; /* end with the last client */
	int ready_fd; /* told when clients can connect; -1: nobody */
};

/* 0, or -EINVAL after one line on errors has said why. */
int options_parse(int argc, char **argv, FILE *errors, struct options *ret);

/* Prints the usage; 0 or -EIO. */
int options_help(FILE *out);

#endif
