/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator can configure, where each value came from, and how the
 * layers of configuration lie upon one another.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "core/account.h"
#include "core/base.h"
#include "core/limits.h"
#include "daemon/log.h"

#include <stdio.h>
#include <sys/stat.h>

enum config_key {
	CONFIG_SOCKET,
	CONFIG_SOCKET_MODE,
	CONFIG_LOG_LEVEL,
	CONFIG_HELLO_TIMEOUT,
	CONFIG_CLIENTS,
	CONFIG_WORKERS,
	CONFIG_RELEASE_SLICE,
	CONFIG_CLIENT_BYTES,
	CONFIG_CLIENT_HANDLES,
	CONFIG_CLIENT_STORES,
	CONFIG_CLIENT_TOKENS,
	CONFIG_CLIENT_WAITS,
	CONFIG_CLIENT_SEGMENTS,
	CONFIG_PRINCIPAL_BYTES,
	CONFIG_PRINCIPAL_HANDLES,
	CONFIG_PRINCIPAL_STORES,
	CONFIG_PRINCIPAL_TOKENS,
	CONFIG_PRINCIPAL_WAITS,
	CONFIG_PRINCIPAL_SEGMENTS,
	CONFIG_PRINCIPAL_CLIENTS,
	CONFIG_KEYS,
};

enum {
	/* As much as fits a unix address, with its NUL. */
	CONFIG_SOCKET_BYTES = 108,
	CONFIG_ORIGIN_BYTES = 192,
	/* Worker threads that may be asked for. */
	WORKERS_MAX = 64,
};

/* All values; CONFIG_SOCKET is a text, the others are numbers. */
struct config {
	char socket[CONFIG_SOCKET_BYTES]; /* "" when there is no default */
	uint64_t number[CONFIG_KEYS];
	char origin[CONFIG_KEYS][CONFIG_ORIGIN_BYTES];
	bool socket_is_default; /* nobody has chosen the place */
};

/* What the command line says about the configuration; NULL: nothing. */
struct config_flags {
	const char *file; /* read instead of the standard files */
	const char *socket;
	const char *log_level;
	bool private_use; /* the socket is for its owner only */
	const char *root; /* put before the standard paths, for tests */
};

/* Hears about everything that is wrong, each with its place. */
struct config_report {
	void *context;
	void (*error)(void *context, const char *message);
};

/*
 * Reads all layers into *ret. 0, or -EINVAL after every error has been
 * reported; *ret is then as it was.
 */
int config_load(const struct config_flags *flags,
		const struct config_report *report, struct config *ret);

/* Prints every value and its origin, as an ini file; 0 or -EIO. */
int config_print(const struct config *config, FILE *out);

/* The limits in the form that the broker takes. */
void config_limits(const struct config *config, struct limits *ret);

static inline enum log_level config_log_level(const struct config *config)
{
	return (enum log_level)config->number[CONFIG_LOG_LEVEL];
}

static inline mode_t config_socket_mode(const struct config *config)
{
	return (mode_t)config->number[CONFIG_SOCKET_MODE];
}

#endif
