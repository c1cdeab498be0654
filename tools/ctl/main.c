/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenurectl: a person's window on the daemon.
 */
#include "tools/ctl/link.h"
#include "tools/ctl/options.h"
#include "tools/ctl/run.h"

#include <stdio.h>
#include <sysexits.h>

static int say(const char *text)
{
	fputs(text, stdout);
	return fflush(stdout) ? EX_IOERR : EX_OK;
}

static int show(const struct options *options)
{
	static struct link link;
	int code;

	link.quiet = options->show.quiet;
	code = link_open(&link, options->socket);
	if (code != 0)
		return code;
	switch (options->command) {
	case COMMAND_CLIENTS:
		code = show_clients(&link, &options->show);
		break;
	case COMMAND_RESOURCES:
		code = show_resources(&link, &options->show);
		break;
	case COMMAND_LIMITS:
		code = show_limits(&link, &options->show);
		break;
	case COMMAND_EVENTS:
		code = show_events(&link, &options->show);
		break;
	case COMMAND_POOLS:
		code = show_pools(&link, &options->show);
		break;
	case COMMAND_CHECK:
		code = show_check(&link, &options->show);
		break;
	default:
		code = show_status(&link, &options->show);
	}
	link_close(&link);
	return code;
}

int main(int argc, char **argv)
{
	struct options options;

	if (options_parse(argc, argv, &options) < 0)
		return EX_USAGE;
	if (options.command == COMMAND_HELP)
		return say(options_help);
	if (options.command == COMMAND_VERSION)
		return say("tenurectl " TENURE_VERSION "\n");
	if (options.command == COMMAND_RUN)
		return run_with_daemon(options.program);
	return show(&options);
}
