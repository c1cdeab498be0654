/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of tenurectl. */
#ifndef TOOLS_CTL_OPTIONS_H
#define TOOLS_CTL_OPTIONS_H

#include "tools/ctl/show.h"

enum options_command {
	COMMAND_NONE,
	COMMAND_HELP,
	COMMAND_VERSION,
	COMMAND_STATUS,
	COMMAND_CLIENTS,
	COMMAND_RESOURCES,
	COMMAND_LIMITS,
	COMMAND_EVENTS,
	COMMAND_POOLS,
	COMMAND_CHECK,
	COMMAND_RUN,
};

struct options {
	enum options_command command;
	const char *socket; /* or NULL */
	struct show_options show;
	char **program; /* of COMMAND_RUN, with a NULL at the end */
};

/* 0, or -EINVAL after one line on stderr has said why. */
int options_parse(int argc, char **argv, struct options *ret);

extern const char options_help[];

#endif
