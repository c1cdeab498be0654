/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Daemon
 *
 * From the command line to the exit status. The process stays in the
 * foreground and keeps its user: service managers do the rest better. The
 * exit status says whose fault it was:
 *
 *	 0  stopped, as it was told to    73  the socket cannot be made
 *	64  the command line              74  what was asked for is not printed
 *	69  another daemon is there       78  the configuration
 *	71  the kernel refused something
 */
#include "daemon/daemon.h"

#include "daemon/config.h"
#include "daemon/listener.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "daemon/server.h"
#include "daemon/systemd.h"
#include "daemon/value.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

/* The name that libtenure gives to the directory of a private daemon. */
#define PRIVATE_DIRECTORY_PREFIX "tenure-"

static void report_error(void *context, const char *message)
{
	(void)context;
	log_write(LOG_LEVEL_ERROR, LOG_DAEMON, "%s", message);
}

static const struct config_report report = { .error = report_error };

/* Or the first descriptors that we open would be written to by whoever
 * believes in standard output. */
static void hold_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Takes as many descriptors as the process may have; returns their number. */
static uint64_t raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 &&
	    getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	return limit.rlim_cur;
}

static int open_listener(const struct config *config, struct listener *ret)
{
	const char *why = "";
	int fd, r;

	r = systemd_listen_fd(&fd, &why);
	if (r == 0 && fd >= 0)
		r = listener_adopt(fd, ret);
	if (r < 0) {
		log_write(LOG_LEVEL_ERROR, LOG_DAEMON,
			  "the service manager's socket cannot be used: %s",
			  *why ? why : strerror(-r));
		return EX_CONFIG;
	}
	if (fd >= 0)
		return 0;
	if (!config->socket[0]) {
		log_write(LOG_LEVEL_ERROR, LOG_DAEMON,
			  "no place for the socket: XDG_RUNTIME_DIR is not "
			  "set; give --socket");
		return EX_CONFIG;
	}
	r = listener_open(config->socket, config_socket_mode(config),
			  config->socket_is_default, ret, &why);
	if (r == 0)
		return 0;
	log_write(LOG_LEVEL_ERROR, LOG_DAEMON, "%s: %s: %s", config->socket,
		  why, strerror(-r));
	return r == -EADDRINUSE ? EX_UNAVAILABLE : EX_CANTCREAT;
}

static void announce(const struct config *config, const struct listener *l,
		     int ready_fd)
{
	char client_bytes[VALUE_TEXT_BYTES], principal_bytes[VALUE_TEXT_BYTES];

	value_print_bytes(config->number[CONFIG_CLIENT_BYTES], client_bytes);
	value_print_bytes(config->number[CONFIG_PRINCIPAL_BYTES],
			  principal_bytes);
	log_write(LOG_LEVEL_INFO, LOG_DAEMON,
		  "version " TENURE_VERSION " listens on %s; at most %" PRIu64
		  " clients, %s bytes per client, %s bytes per principal",
		  l->path[0] ? l->path : "the service manager's socket",
		  config->number[CONFIG_CLIENTS], client_bytes,
		  principal_bytes);
	systemd_notify("READY=1");
	if (ready_fd < 0)
		return;
	if (write(ready_fd, "\n", 1) < 0)
		log_write(LOG_LEVEL_WARNING, LOG_DAEMON,
			  "nobody listens to --ready-fd");
	close(ready_fd);
	/* It may have been standard output. */
	hold_standard_descriptors();
}

static int reload(void *context, struct config *ret)
{
	const struct options *options = context;

	return config_load(&options->config, &report, ret);
}

/* Removes the directory that was made for this daemon only, if it is empty. */
static void remove_private_directory(const char *socket_path)
{
	char path[CONFIG_SOCKET_BYTES];
	char *slash, *name;

	strcpy(path, socket_path);
	slash = strrchr(path, '/');
	if (!slash)
		return;
	*slash = '\0';
	name = strrchr(path, '/');
	if (name && strncmp(name + 1, PRIVATE_DIRECTORY_PREFIX,
			    strlen(PRIVATE_DIRECTORY_PREFIX)) == 0)
		rmdir(path);
}

/* Runs a server on an open listener. */
static int run(struct server_setup *setup, struct options *options)
{
	struct server *server;
	int r = server_new(setup, &server);

	if (r < 0) {
		log_write(LOG_LEVEL_ERROR, LOG_DAEMON, "cannot start: %s",
			  strerror(-r));
		listener_close(setup->listener);
		return EX_OSERR;
	}
	announce(setup->config, setup->listener, options->ready_fd);
	r = server_run(server);
	if (options->private_use)
		remove_private_directory(setup->config->socket);
	if (r == 0) {
		server_free(server);
		log_write(LOG_LEVEL_INFO, LOG_DAEMON, "stopped");
		return EX_OK;
	}
	/* The releaser is still at work: without waiting for it, nothing can
	 * be taken apart, and ending the process does the same. */
	log_write(LOG_LEVEL_WARNING, LOG_DAEMON,
		  "stopped before everything was given back; the kernel does "
		  "the rest");
	_exit(EX_OK);
}

static int serve(struct options *options, const struct config *config,
		 bool test_events)
{
	struct listener listener;
	struct server_setup setup = {
		.config = config,
		.listener = &listener,
		.private_use = options->private_use,
		.test_events = test_events,
		.reload = reload,
		.context = options,
	};
	int r;

	signal(SIGPIPE, SIG_IGN);
	setup.descriptors = raise_descriptor_limit();
	r = open_listener(config, &listener);
	if (r != 0)
		return r;
	return run(&setup, options);
}

/*
 * A daemon that some program has started for itself must not keep the file
 * system of that program's directory busy. A relative name of a configuration
 * file becomes an absolute one, in file, for a later reload. Where that cannot
 * be, the directory is kept.
 */
static void leave_directory(struct options *options, char file[PATH_MAX])
{
	const char *name = options->config.file;
	char directory[PATH_MAX];

	if (!name)
		name = getenv("TENURED_CONFIG");
	if (name && *name && *name != '/') {
		if (!getcwd(directory, sizeof(directory)) ||
		    snprintf(file, PATH_MAX, "%s/%s", directory, name) >=
			    PATH_MAX)
			return;
		options->config.file = file;
	}
	if (chdir("/") < 0)
		log_write(LOG_LEVEL_WARNING, LOG_DAEMON, "/: %s",
			  strerror(errno));
}

static int print_version(void)
{
	puts("tenured " TENURE_VERSION);
	return fflush(stdout) ? EX_IOERR : EX_OK;
}

int daemon_main(int argc, char **argv, bool test_events)
{
	char config_file[PATH_MAX];
	struct log_setup setup;
	struct options options;
	struct config config;

	hold_standard_descriptors();
	log_setup_stderr(&setup);
	log_init(&setup);
	if (options_parse(argc, argv, stderr, &options) < 0)
		return EX_USAGE;
	if (options.action == OPTIONS_HELP)
		return options_help(stdout) < 0 ? EX_IOERR : EX_OK;
	if (options.action == OPTIONS_VERSION)
		return print_version();
	if (config_load(&options.config, &report, &config) < 0)
		return EX_CONFIG;
	if (options.action == OPTIONS_CHECK_CONFIG)
		return EX_OK;
	if (options.action == OPTIONS_PRINT_CONFIG)
		return config_print(&config, stdout) < 0 ? EX_IOERR : EX_OK;
	log_set_level(config_log_level(&config));
	if (options.private_use)
		leave_directory(&options, config_file);
	return serve(&options, &config, test_events);
}
