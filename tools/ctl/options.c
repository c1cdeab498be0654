/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: getopt_long twice, before and after the command. It stops at the
 * first word that is no option, so that those of the program that is to be
 * run are left alone.
 */
#include "tools/ctl/options.h"

#include <getopt.h>
#include <stdio.h>

enum {
	OPTION_JSON = 256,
	OPTION_BYTES,
	OPTION_VERSION,
	OPTION_HOLDERS,
};

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "bytes", no_argument, NULL, OPTION_BYTES },
	{ "holders", no_argument, NULL, OPTION_HOLDERS },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ 0 },
};

const char options_help[] =
	"Usage: tenurectl [OPTION]... COMMAND [OPTION]...\n"
	"       tenurectl run [--] PROGRAM [ARGUMENT]...\n"
	"Shows what a daemon holds, and for whom.\n"
	"\n"
	"  status     totals\n"
	"  clients    who is connected\n"
	"  resources  who holds what: bytes, age, state; with --holders, which\n"
	"             memory, since when, and whose progress it waits for\n"
	"  limits     who may hold how much\n"
	"  events     what was refused lately, and why\n"
	"  pools      pools of warm memory, as their clients say\n"
	"  check      prove every invariant of the daemon's state; the daemon\n"
	"             serves nobody meanwhile\n"
	"  run        start a private daemon, run PROGRAM with its socket in\n"
	"             $TENURE_SOCKET, and end the daemon afterwards\n"
	"\n"
	"  -s, --socket PATH  the daemon's socket; otherwise $TENURE_SOCKET,\n"
	"                     $XDG_RUNTIME_DIR/tenured/tenured.sock,\n"
	"                     /run/tenured/tenured.sock\n"
	"      --json         JSON, with exact numbers\n"
	"      --bytes        sizes in bytes\n"
	"      --holders      with resources: memory by its holders\n"
	"  -q, --quiet        print nothing; the exit code tells\n"
	"      --version      print the version\n"
	"  -h, --help         print this text\n"
	"\n"
	"Colours are for terminals, and not if NO_COLOR is set.\n"
	"\n"
	"Exit codes: 0 all is well, 1 check has found something broken, 3 no\n"
	"daemon, 64 wrong usage, 69 the daemon cannot answer, 71 no memory, 74\n"
	"the output cannot be written, 76 that is no tenured, 77 not permitted.\n"
	"With run: that of PROGRAM, 128 and the number of the signal that killed\n"
	"it, 125 no daemon could be started, 126 PROGRAM cannot be run, 127 it\n"
	"was not found.\n";

static const struct {
	const char *name;
	enum options_command command;
} commands[] = {
	{ "status", COMMAND_STATUS },	    { "clients", COMMAND_CLIENTS },
	{ "resources", COMMAND_RESOURCES }, { "limits", COMMAND_LIMITS },
	{ "events", COMMAND_EVENTS },	    { "pools", COMMAND_POOLS },
	{ "check", COMMAND_CHECK },	    { "run", COMMAND_RUN },
	{ "help", COMMAND_HELP },
};

static int wrong(const char *what, const char *word)
{
	fprintf(stderr, "tenurectl: %s%s%s (see --help)\n", what,
		word ? ": " : "", word ? word : "");
	return -EINVAL;
}

static int take(int option, char **argv, struct options *options)
{
	switch (option) {
	case 's':
		if (!*optarg)
			return wrong("--socket needs a path", NULL);
		options->socket = optarg;
		return 0;
	case OPTION_JSON:
		options->show.json = true;
		return 0;
	case OPTION_BYTES:
		options->show.exact = true;
		return 0;
	case OPTION_HOLDERS:
		options->show.holders = true;
		return 0;
	case 'q':
		options->show.quiet = true;
		return 0;
	case 'h':
		options->command = COMMAND_HELP;
		return 0;
	case OPTION_VERSION:
		options->command = COMMAND_VERSION;
		return 0;
	default:
		return wrong(option == ':' ? "argument missing" :
					     "unknown option",
			     argv[optind - 1]);
	}
}

/* Options up to the first word that is none. */
static int take_all(int argc, char **argv, struct options *options)
{
	int option;

	while ((option = getopt_long(argc, argv, "+:s:qh", long_options,
				     NULL)) != -1) {
		int r = take(option, argv, options);

		if (r < 0 || options->command == COMMAND_HELP)
			return r;
	}
	return 0;
}

static enum options_command find_command(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(word, commands[i].name) == 0)
			return commands[i].command;
	return COMMAND_NONE;
}

/* The command has been read, and the options behind it. */
static int take_rest(int argc, char **argv, struct options *options)
{
	if (options->show.holders && options->command != COMMAND_RESOURCES)
		return wrong("--holders is for resources", NULL);
	if (options->command != COMMAND_RUN)
		return optind < argc ?
			       wrong("unexpected argument", argv[optind]) :
			       0;
	if (optind >= argc)
		return wrong("run needs a program", NULL);
	if (options->socket || options->show.json)
		return wrong("run has a daemon of its own, and prints nothing",
			     NULL);
	options->program = argv + optind;
	return 0;
}

static bool is_told(const struct options *options)
{
	return options->command == COMMAND_HELP ||
	       options->command == COMMAND_VERSION;
}

int options_parse(int argc, char **argv, struct options *ret)
{
	struct options options = { 0 };

	opterr = 0;
	if (take_all(argc, argv, &options) < 0)
		return -EINVAL;
	if (!is_told(&options)) {
		if (optind >= argc)
			return wrong("a command is missing", NULL);
		options.command = find_command(argv[optind]);
		if (options.command == COMMAND_NONE)
			return wrong("unknown command", argv[optind]);
		optind++;
		if (take_all(argc, argv, &options) < 0)
			return -EINVAL;
	}
	if (!is_told(&options) && take_rest(argc, argv, &options) < 0)
		return -EINVAL;
	*ret = options;
	return 0;
}
