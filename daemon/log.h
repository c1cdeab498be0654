/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log: one line per event on standard error. Only the loop
 * thread may call these functions.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include "core/base.h"

/* The values are those of syslog, so that the journal understands them. */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* What a line is about. All but the first can be caused by a client at will
 * and are therefore limited, each by itself and all of them together. */
enum log_topic {
	LOG_DAEMON,
	LOG_CLIENT_CONNECTED,
	LOG_CLIENT_ENDED,
	LOG_CLIENT_RECLAIMED,
	LOG_CLIENT_REFUSED,
	LOG_ACCEPT_FAILED,
	LOG_RELEASE_FAILED,
	LOG_PINNED,
	LOG_TOPICS,
};

enum {
	/* Longest line, with its end; smaller than PIPE_BUF, so it is one
	 * piece in a pipe. */
	LOG_LINE_BYTES = 1024,
	/* Lines of one limited topic: at once, and then per minute. */
	LOG_TOPIC_LINES = 25,
	/* Lines of all limited topics: at once, and then per minute. */
	LOG_TOTAL_LINES = 50,
};

struct log_setup {
	int fd;
	enum log_level level;
	bool priorities; /* lines begin with "<N>" instead of a name */
	uint64_t (*now_ns)(void); /* monotonic */
};

/* The setup for standard error: priorities when it is the journal's socket or
 * TENURED_LOG_PRIORITY is set. */
void log_setup_stderr(struct log_setup *ret);

/* Starts the log afresh; before that, log_write is silent. */
void log_init(const struct log_setup *setup);

/* Lines above this level are not written from now on. */
void log_set_level(enum log_level level);

/* Writes one line, or counts it as suppressed; never blocks, never fails. */
void log_write(enum log_level level, enum log_topic topic, const char *format,
	       ...) __attribute__((format(printf, 3, 4)));

/* Whether lines were suppressed of which nothing has been said yet. */
bool log_is_behind(void);

/* Says how many lines were suppressed, as far as the limits allow; returns
 * whether some still wait to be told. */
bool log_flush(void);

/* Parses "error", "warning", "info" or "debug"; 0 or -EINVAL. */
int log_level_parse(const char *text, enum log_level *ret_level);

/* The name of a level; static storage. */
const char *log_level_name(enum log_level level);

#endif
