/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options
 *
 * getopt_long does the work; what is added is what it leaves open: arguments
 * that are no options are errors, numbers are whole numbers, a descriptor that
 * is promised to us is open, and the reason is one line on the given stream.
 * The parser can run any number of times in one process.
 */
#include "daemon/options.h"

#include "daemon/value.h"

#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

enum {
	OPTION_CHECK_CONFIG = 256,
	OPTION_PRINT_CONFIG,
	OPTION_VERSION,
	OPTION_PRIVATE,
	OPTION_READY_FD,
	OPTION_LOG_LEVEL,
};

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "config", required_argument, NULL, 'c' },
	{ "check-config", no_argument, NULL, OPTION_CHECK_CONFIG },
	{ "print-config", no_argument, NULL, OPTION_PRINT_CONFIG },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ "private", no_argument, NULL, OPTION_PRIVATE },
	{ "ready-fd", required_argument, NULL, OPTION_READY_FD },
	{ "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
	{ 0 },
};

static const char help[] =
	"Usage: tenured [OPTION]...\n"
	"Holds memory on behalf of other processes, in the foreground.\n"
	"\n"
	"  -s, --socket PATH      listen here\n"
	"  -c, --config FILE      read this file instead of the standard ones\n"
	"      --log-level LEVEL  error, warning, info or debug\n"
	"      --private          end when the last client has gone, and remove\n"
	"                         the socket; needs --socket\n"
	"      --ready-fd N       write a newline to this descriptor when clients\n"
	"                         can connect, and close it\n"
	"      --check-config     report every error of the configuration\n"
	"      --print-config     print every value and where it comes from\n"
	"      --version          print the version\n"
	"  -h, --help             print this text\n"
	"\n"
	"Configuration, later ones win: /usr/lib/tenured/tenured.conf,\n"
	"/etc/tenured/tenured.conf, /etc/tenured/conf.d/*.conf,\n"
	"/run/tenured/tenured.conf, the environment (TENURED_SOCKET,\n"
	"TENURED_CONFIG, TENURED_LOG_LEVEL, TENURED_CLIENT_BYTES, ...), options.\n"
	"\n"
	"Signals: TERM and INT end the daemon, HUP reads the configuration again,\n"
	"USR1 writes what is held to the log.\n";

static int ready_fd(const char *text, FILE *errors, int *ret)
{
	uint64_t number;

	if (value_parse_count(text, &number) == 0 && number == STDERR_FILENO) {
		fputs("tenured: --ready-fd: the log goes to descriptor 2\n",
		      errors);
		return -EINVAL;
	}
	if (value_parse_count(text, &number) < 0 || number > INT32_MAX ||
	    fcntl((int)number, F_GETFD) < 0) {
		fprintf(errors,
			"tenured: --ready-fd: '%s' is not an open "
			"descriptor\n",
			text);
		return -EINVAL;
	}
	*ret = (int)number;
	return 0;
}

/* One option; 0 or -EINVAL. */
static int take(int option, char **argv, FILE *errors, struct options *options)
{
	switch (option) {
	case 's':
		options->config.socket = optarg;
		return 0;
	case 'c':
		options->config.file = optarg;
		return 0;
	case 'h':
		options->action = OPTIONS_HELP;
		return 0;
	case OPTION_CHECK_CONFIG:
		options->action = OPTIONS_CHECK_CONFIG;
		return 0;
	case OPTION_PRINT_CONFIG:
		options->action = OPTIONS_PRINT_CONFIG;
		return 0;
	case OPTION_VERSION:
		options->action = OPTIONS_VERSION;
		return 0;
	case OPTION_PRIVATE:
		options->private_use = true;
		options->config.private_use = true;
		return 0;
	case OPTION_LOG_LEVEL:
		options->config.log_level = optarg;
		return 0;
	case OPTION_READY_FD:
		return ready_fd(optarg, errors, &options->ready_fd);
	default:
		fprintf(errors, "tenured: %s: %s (see --help)\n",
			option == ':' ? "argument missing" : "unknown option",
			argv[optind - 1]);
		return -EINVAL;
	}
}

int options_parse(int argc, char **argv, FILE *errors, struct options *ret)
{
	struct options options = { .ready_fd = -1 };
	int option;

	opterr = 0;
	optind = 0;
	for (;;) {
		option = getopt_long(argc, argv, ":s:c:h", long_options, NULL);
		if (option == -1)
			break;
		if (take(option, argv, errors, &options) < 0)
			return -EINVAL;
		if (options.action == OPTIONS_HELP)
			break;
	}
	if (options.action != OPTIONS_HELP && optind < argc) {
		fprintf(errors, "tenured: unexpected argument: %s\n",
			argv[optind]);
		return -EINVAL;
	}
	if (options.private_use && !options.config.socket) {
		fprintf(errors, "tenured: --private needs --socket\n");
		return -EINVAL;
	}
	*ret = options;
	return 0;
}

int options_help(FILE *out)
{
	fputs(help, out);
	return fflush(out) || ferror(out) ? -EIO : 0;
}
