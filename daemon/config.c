/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration
 *
 * One table says everything about every key: section, name, kind, bounds. A
 * layer is a source of texts for keys, and a later layer wins:
 *
 *	built-in
 *	/usr/lib/tenured/tenured.conf	\
 *	/etc/tenured/tenured.conf	 |  or, with --config or
 *	/etc/tenured/conf.d/[name].conf |  TENURED_CONFIG, that one file
 *	/run/tenured/tenured.conf	/
 *	environment (TENURED_SOCKET, TENURED_CLIENT_BYTES ...)
 *	command line
 *
 * Every value remembers where it came from, and every error is reported with
 * its place, not only the first. Unknown sections and keys are errors: a
 * limit with a misspelt name is a limit that does not hold. What one file may
 * not do is name a key twice; what two files say about one key is the point of
 * having layers.
 *
 * A configuration is built aside and handed over whole, so a reload that
 * fails leaves the old one as it was.
 */
#include "daemon/config.h"

#include "daemon/inifile.h"
#include "daemon/value.h"

#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

enum kind {
	KIND_SOCKET,
	KIND_MODE,
	KIND_LEVEL,
	KIND_COUNT,
	KIND_BYTES,
};

static const struct key {
	const char *section, *name;
	enum kind kind;
	uint64_t least, most;
} keys[CONFIG_KEYS] = {
	[CONFIG_SOCKET] = { "daemon", "socket", KIND_SOCKET, 0, 0 },
	[CONFIG_SOCKET_MODE] = { "daemon", "socket-mode", KIND_MODE, 0, 0777 },
	[CONFIG_LOG_LEVEL] = { "daemon", "log-level", KIND_LEVEL, 0,
			       LOG_LEVEL_DEBUG },
	[CONFIG_HELLO_TIMEOUT] = { "daemon", "hello-timeout-ms", KIND_COUNT, 10,
				   3600000 },
	[CONFIG_CLIENTS] = { "daemon", "clients", KIND_COUNT, 1,
			     SESSIONS_MAX - 1 },
	[CONFIG_WORKERS] = { "daemon", "workers", KIND_COUNT, 1, WORKERS_MAX },
	[CONFIG_RELEASE_SLICE] = { "daemon", "release-slice", KIND_BYTES,
				   PAGE_BYTES, UINT64_C(1) << 30 },
#define LIMIT(key, section, name, kind, most) \
	[key] = { section, name, kind, 1, most }
	LIMIT(CONFIG_CLIENT_BYTES, "client", "bytes", KIND_BYTES, INT64_MAX),
	LIMIT(CONFIG_CLIENT_HANDLES, "client", "handles", KIND_COUNT,
	      INT64_MAX),
	LIMIT(CONFIG_CLIENT_STORES, "client", "stores", KIND_COUNT, INT64_MAX),
	LIMIT(CONFIG_CLIENT_TOKENS, "client", "tokens", KIND_COUNT, INT64_MAX),
	LIMIT(CONFIG_CLIENT_WAITS, "client", "waits", KIND_COUNT, INT64_MAX),
	LIMIT(CONFIG_CLIENT_SEGMENTS, "client", "segments", KIND_COUNT,
	      INT64_MAX),
	LIMIT(CONFIG_PRINCIPAL_BYTES, "principal", "bytes", KIND_BYTES,
	      INT64_MAX),
	LIMIT(CONFIG_PRINCIPAL_HANDLES, "principal", "handles", KIND_COUNT,
	      INT64_MAX),
	LIMIT(CONFIG_PRINCIPAL_STORES, "principal", "stores", KIND_COUNT,
	      INT64_MAX),
	LIMIT(CONFIG_PRINCIPAL_TOKENS, "principal", "tokens", KIND_COUNT,
	      INT64_MAX),
	LIMIT(CONFIG_PRINCIPAL_WAITS, "principal", "waits", KIND_COUNT,
	      INT64_MAX),
	LIMIT(CONFIG_PRINCIPAL_SEGMENTS, "principal", "segments", KIND_COUNT,
	      INT64_MAX),
	LIMIT(CONFIG_PRINCIPAL_CLIENTS, "principal", "clients", KIND_COUNT,
	      INT64_MAX),
#undef LIMIT
};

static const char *const standard_files[] = {
	"/usr/lib/tenured/tenured.conf",
	"/etc/tenured/tenured.conf",
	"/etc/tenured/conf.d/*.conf",
	"/run/tenured/tenured.conf",
};

/* A load under way. */
struct load {
	struct config *config;
	const struct config_report *report;
	const char *file; /* of the file layer that is being read */
	unsigned int seen_at[CONFIG_KEYS]; /* line in that file, or 0 */
	int errors;
};

__attribute__((format(printf, 2, 3))) static void
complain(struct load *load, const char *format, ...)
{
	char message[PATH_MAX + 512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	load->report->error(load->report->context, message);
	load->errors++;
}

static int parse_number(const struct key *key, const char *text, uint64_t *ret)
{
	enum log_level level;
	uint64_t number;
	int r = -EINVAL;

	switch (key->kind) {
	case KIND_LEVEL:
		r = log_level_parse(text, &level);
		if (r < 0)
			return r;
		*ret = level;
		return 0;
	case KIND_MODE:
		r = value_parse_mode(text, &number);
		break;
	case KIND_BYTES:
		r = value_parse_bytes(text, &number);
		break;
	case KIND_COUNT:
	case KIND_SOCKET:
		r = value_parse_count(text, &number);
		break;
	}
	if (r < 0)
		return r;
	if (number < key->least || number > key->most)
		return -ERANGE;
	*ret = number;
	return 0;
}

static void print_number(enum kind kind, uint64_t number,
			 char ret[VALUE_TEXT_BYTES])
{
	switch (kind) {
	case KIND_LEVEL:
		strcpy(ret, log_level_name((enum log_level)number));
		break;
	case KIND_MODE:
		value_print_mode(number, ret);
		break;
	case KIND_BYTES:
		value_print_bytes(number, ret);
		break;
	case KIND_COUNT:
	case KIND_SOCKET:
		value_print_count(number, ret);
		break;
	}
}

static void wrong_number(struct load *load, const char *origin,
			 const struct key *key, const char *text, int r)
{
	static const char *const wanted[] = {
		[KIND_SOCKET] = "an absolute path",
		[KIND_MODE] = "an octal mode such as 0660",
		[KIND_LEVEL] = "error, warning, info or debug",
		[KIND_COUNT] = "a number",
		[KIND_BYTES] = "a size such as 4096, 64K, 8M, 2G or 1T",
	};
	char least[VALUE_TEXT_BYTES], most[VALUE_TEXT_BYTES];

	if (r == -ERANGE) {
		print_number(key->kind, key->least, least);
		print_number(key->kind, key->most, most);
		complain(load, "%s: %s.%s must be from %s to %s, not '%s'",
			 origin, key->section, key->name, least, most, text);
	} else {
		complain(load, "%s: %s.%s must be %s, not '%s'", origin,
			 key->section, key->name, wanted[key->kind], text);
	}
}

/* What an ini file cannot hold would be printed as something else: control
 * bytes, a blank at the end, and what follows " ;" there. */
static bool is_printable_path(const char *text)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] < ' ' ||
		    (text[i] == ' ' && (i + 1 == length || text[i + 1] == ';')))
			return false;
	}
	return true;
}

static void set_socket(struct load *load, const char *origin, const char *text)
{
	struct config *config = load->config;

	if (text[0] != '/') {
		wrong_number(load, origin, &keys[CONFIG_SOCKET], text, -EINVAL);
	} else if (strlen(text) >= sizeof(config->socket)) {
		complain(load, "%s: the socket path is longer than %d bytes",
			 origin, CONFIG_SOCKET_BYTES - 1);
	} else if (!is_printable_path(text)) {
		complain(load,
			 "%s: the socket path has bytes in it that cannot "
			 "stand in an ini file",
			 origin);
	} else {
		strcpy(config->socket, text);
		config->socket_is_default = false;
	}
}

/* One value of one layer. */
static void set(struct load *load, enum config_key key, const char *text,
		const char *origin)
{
	struct config *config = load->config;
	int r = 0;

	if (key == CONFIG_SOCKET)
		set_socket(load, origin, text);
	else
		r = parse_number(&keys[key], text, &config->number[key]);
	if (r < 0)
		wrong_number(load, origin, &keys[key], text, r);
	snprintf(config->origin[key], CONFIG_ORIGIN_BYTES, "%s", origin);
}

static void file_value(void *context, unsigned int line, const char *section,
		       const char *name, const char *value)
{
	struct load *load = context;
	char origin[PATH_MAX + 16];

	snprintf(origin, sizeof(origin), "%s:%u", load->file, line);
	for (enum config_key key = 0; key < CONFIG_KEYS; key++) {
		if (strcmp(keys[key].section, section) != 0 ||
		    strcmp(keys[key].name, name) != 0)
			continue;
		if (load->seen_at[key])
			complain(load, "%s: %s.%s was given in line %u already",
				 origin, section, name, load->seen_at[key]);
		load->seen_at[key] = line;
		set(load, key, value, origin);
		return;
	}
	complain(load, "%s: unknown key '%s' in section '%s'", origin, name,
		 section);
}

static void file_error(void *context, unsigned int line, const char *message)
{
	struct load *load = context;

	complain(load, "%s:%u: %s", load->file, line, message);
}

static void load_file(struct load *load, const char *path, bool required)
{
	const struct inifile_reader reader = {
		.context = load,
		.value = file_value,
		.error = file_error,
	};
	int r;

	load->file = path;
	memset(load->seen_at, 0, sizeof(load->seen_at));
	r = inifile_read(path, &reader);
	if (r < 0 && (required || (r != -ENOENT && r != -ENOTDIR)))
		complain(load, "%s: %s", path,
			 r == -EINVAL ? "it is no regular file" : strerror(-r));
}

static void load_standard_files(struct load *load, const char *root)
{
	char pattern[PATH_MAX];
	glob_t found;

	for (size_t i = 0; i < ARRAY_SIZE(standard_files); i++) {
		snprintf(pattern, sizeof(pattern), "%s%s", root ? root : "",
			 standard_files[i]);
		/* glob sorts; it also finds the names without a star. */
		switch (glob(pattern, 0, NULL, &found)) {
		case 0:
			for (size_t k = 0; k < found.gl_pathc; k++)
				load_file(load, found.gl_pathv[k], false);
			globfree(&found);
			break;
		case GLOB_NOMATCH:
			break;
		default:
			complain(load, "%s: cannot be searched", pattern);
			break;
		}
	}
}

/* TENURED_LOG_LEVEL, TENURED_CLIENT_BYTES: the section daemon is not named. */
static void environment_name(const struct key *key, char *ret, size_t size)
{
	bool plain = strcmp(key->section, "daemon") == 0;

	snprintf(ret, size, "TENURED_%s%s%s", plain ? "" : key->section,
		 plain ? "" : "_", key->name);
	for (; *ret; ret++) {
		if (*ret >= 'a' && *ret <= 'z')
			*ret = (char)(*ret - 'a' + 'A');
		else if (*ret == '-')
			*ret = '_';
	}
}

static void load_environment(struct load *load)
{
	char name[64], origin[96];

	for (enum config_key key = 0; key < CONFIG_KEYS; key++) {
		const char *text;

		environment_name(&keys[key], name, sizeof(name));
		text = getenv(name);
		if (!text || !*text)
			continue;
		snprintf(origin, sizeof(origin), "environment %s", name);
		set(load, key, text, origin);
	}
}

static void load_flags(struct load *load, const struct config_flags *flags)
{
	if (flags->socket)
		set(load, CONFIG_SOCKET, flags->socket, "option --socket");
	if (flags->log_level)
		set(load, CONFIG_LOG_LEVEL, flags->log_level,
		    "option --log-level");
}

/* Where the library looks too: the service's own directory, the system's when
 * we are root, otherwise the session's. */
static void default_socket(struct config *config)
{
	const char *service = getenv("RUNTIME_DIRECTORY");
	const char *session = getenv("XDG_RUNTIME_DIR");
	int n = 0;

	if (service && service[0] == '/')
		n = snprintf(config->socket, sizeof(config->socket),
			     "%.*s/tenured.sock", (int)strcspn(service, ":"),
			     service);
	else if (geteuid() == 0)
		strcpy(config->socket, "/run/tenured/tenured.sock");
	else if (session && session[0] == '/')
		n = snprintf(config->socket, sizeof(config->socket),
			     "%s/tenured/tenured.sock", session);
	if (n >= (int)sizeof(config->socket))
		config->socket[0] = '\0';
	config->socket_is_default = true;
}

static void load_built_in(struct config *config)
{
	struct limits limits;

	limits_default(&limits);
	*config = (struct config){
		.number = {
			[CONFIG_LOG_LEVEL] = LOG_LEVEL_INFO,
			[CONFIG_HELLO_TIMEOUT] = 5000,
			[CONFIG_CLIENTS] = limits.clients,
			[CONFIG_WORKERS] = 1,
			[CONFIG_RELEASE_SLICE] = 8 << 20,
			[CONFIG_CLIENT_BYTES] = limits.client[CHARGE_BYTES],
			[CONFIG_CLIENT_HANDLES] = limits.client[CHARGE_HANDLES],
			[CONFIG_CLIENT_STORES] = limits.client[CHARGE_STORES],
			[CONFIG_CLIENT_TOKENS] = limits.client[CHARGE_TOKENS],
			[CONFIG_CLIENT_WAITS] = limits.client[CHARGE_WAITS],
			[CONFIG_CLIENT_SEGMENTS] =
				limits.client[CHARGE_SEGMENTS],
			[CONFIG_PRINCIPAL_BYTES] =
				limits.principal[CHARGE_BYTES],
			[CONFIG_PRINCIPAL_HANDLES] =
				limits.principal[CHARGE_HANDLES],
			[CONFIG_PRINCIPAL_STORES] =
				limits.principal[CHARGE_STORES],
			[CONFIG_PRINCIPAL_TOKENS] =
				limits.principal[CHARGE_TOKENS],
			[CONFIG_PRINCIPAL_WAITS] =
				limits.principal[CHARGE_WAITS],
			[CONFIG_PRINCIPAL_SEGMENTS] =
				limits.principal[CHARGE_SEGMENTS],
			[CONFIG_PRINCIPAL_CLIENTS] =
				limits.principal[CHARGE_CLIENTS],
		},
	};
	default_socket(config);
	for (enum config_key key = 0; key < CONFIG_KEYS; key++)
		strcpy(config->origin[key], "built-in");
}

/* The default mode depends on the place: everybody may talk to the system's
 * daemon, and only its owner to any other. */
static void default_mode(struct config *config, bool private_use)
{
	bool system = geteuid() == 0 ||
		      strncmp(config->socket, "/run/tenured/", 13) == 0;

	config->number[CONFIG_SOCKET_MODE] = system && !private_use ? 0666 :
								      0600;
}

int config_load(const struct config_flags *flags,
		const struct config_report *report, struct config *ret)
{
	const uint64_t unset = UINT64_MAX;
	struct config config;
	struct load load = { .config = &config, .report = report };
	const char *file = flags->file;

	load_built_in(&config);
	config.number[CONFIG_SOCKET_MODE] = unset;
	if (!file)
		file = getenv("TENURED_CONFIG");
	if (file && *file)
		load_file(&load, file, true);
	else
		load_standard_files(&load, flags->root);
	load_environment(&load);
	load_flags(&load, flags);
	if (config.number[CONFIG_SOCKET_MODE] == unset)
		default_mode(&config, flags->private_use);
	if (load.errors)
		return -EINVAL;
	*ret = config;
	return 0;
}

int config_print(const struct config *config, FILE *out)
{
	const char *section = "";
	char text[VALUE_TEXT_BYTES];

	for (enum config_key key = 0; key < CONFIG_KEYS; key++) {
		if (strcmp(section, keys[key].section) != 0) {
			fprintf(out, "%s[%s]\n", *section ? "\n" : "",
				keys[key].section);
			section = keys[key].section;
		}
		fprintf(out, "# %s\n", config->origin[key]);
		if (key != CONFIG_SOCKET) {
			print_number(keys[key].kind, config->number[key], text);
			fprintf(out, "%s = %s\n", keys[key].name, text);
		} else if (config->socket[0]) {
			fprintf(out, "socket = %s\n", config->socket);
		} else {
			fputs("# socket: no default here\n", out);
		}
	}
	return fflush(out) || ferror(out) ? -EIO : 0;
}

void config_limits(const struct config *config, struct limits *ret)
{
	const uint64_t *number = config->number;

	*ret = (struct limits){
		.client = {
			[CHARGE_BYTES] = number[CONFIG_CLIENT_BYTES],
			[CHARGE_HANDLES] = number[CONFIG_CLIENT_HANDLES],
			[CHARGE_STORES] = number[CONFIG_CLIENT_STORES],
			[CHARGE_TOKENS] = number[CONFIG_CLIENT_TOKENS],
			[CHARGE_WAITS] = number[CONFIG_CLIENT_WAITS],
			[CHARGE_SEGMENTS] = number[CONFIG_CLIENT_SEGMENTS],
			[CHARGE_CLIENTS] = 1,
		},
		.principal = {
			[CHARGE_BYTES] = number[CONFIG_PRINCIPAL_BYTES],
			[CHARGE_HANDLES] = number[CONFIG_PRINCIPAL_HANDLES],
			[CHARGE_STORES] = number[CONFIG_PRINCIPAL_STORES],
			[CHARGE_TOKENS] = number[CONFIG_PRINCIPAL_TOKENS],
			[CHARGE_WAITS] = number[CONFIG_PRINCIPAL_WAITS],
			[CHARGE_SEGMENTS] = number[CONFIG_PRINCIPAL_SEGMENTS],
			[CHARGE_CLIENTS] = number[CONFIG_PRINCIPAL_CLIENTS],
		},
		.clients = number[CONFIG_CLIENTS],
	};
}
