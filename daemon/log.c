/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log
 *
 * One event, one line, on standard error: service managers collect it, people
 * read it, and there is no file to rotate. Three things make it fit for a
 * daemon with hostile clients:
 *
 * A line is composed first and *washed* as a whole: every byte that is not
 * printable ASCII becomes \xNN, wherever it came from, so no caller can forget
 * to escape what a client chose (a cgroup path, a socket name).
 *
 * Every line that a client can cause belongs to a *topic*, and a topic has a
 * token bucket: a burst, then a trickle. A second bucket covers all of them
 * together. What does not fit is counted, and the count is told in a line that
 * pays a token like any other. Per minute therefore:
 *
 *	one topic    <= 2 * LOG_TOPIC_LINES
 *	all topics   <= 2 * LOG_TOTAL_LINES = 100
 *
 * And writing never blocks. O_NONBLOCK would be set for everybody who shares
 * standard error with us, so the log asks poll() whether there is room, and a
 * line for which there is none counts as suppressed.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A line has at most LOG_LINE_BYTES bytes and exactly one newline.
 *  G2  Every suppressed line is counted, and the count is told later.
 *  G3  The sums above hold for every minute.
 *
 * The state is the process's, like standard error itself: one log, one thread.
 */
#include "daemon/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MINUTE_NS UINT64_C(60000000000)

struct bucket {
	uint64_t spent_ns; /* a line costs MINUTE_NS / lines */
	uint64_t seen_ns;
};

static struct {
	struct log_setup setup;
	bool ready;
	struct bucket topic[LOG_TOPICS];
	struct bucket total;
	uint64_t suppressed[LOG_TOPICS];
} the_log;

static const char *const topic_names[LOG_TOPICS] = {
	[LOG_DAEMON] = "the daemon",
	[LOG_CLIENT_CONNECTED] = "connected clients",
	[LOG_CLIENT_ENDED] = "ended clients",
	[LOG_CLIENT_RECLAIMED] = "reclaimed clients",
	[LOG_CLIENT_REFUSED] = "refused clients",
	[LOG_ACCEPT_FAILED] = "failing accepts",
	[LOG_RELEASE_FAILED] = "failing releases",
	[LOG_PINNED] = "slots that stay pinned",
};

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Whether fd is the stream that the journal said it had given us. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return false;
	return fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_setup_stderr(struct log_setup *ret)
{
	const char *wanted = getenv("TENURED_LOG_PRIORITY");

	*ret = (struct log_setup){
		.fd = STDERR_FILENO,
		.level = LOG_LEVEL_INFO,
		.priorities = (wanted && *wanted) || is_journal(STDERR_FILENO),
		.now_ns = monotonic_ns,
	};
}

void log_init(const struct log_setup *setup)
{
	memset(&the_log, 0, sizeof(the_log));
	the_log.setup = *setup;
	the_log.ready = true;
}

void log_set_level(enum log_level level)
{
	the_log.setup.level = level;
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
	static const enum log_level levels[] = {
		LOG_LEVEL_ERROR,
		LOG_LEVEL_WARNING,
		LOG_LEVEL_INFO,
		LOG_LEVEL_DEBUG,
	};

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(text, log_level_name(levels[i])) == 0) {
			*ret_level = levels[i];
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "info";
}

/* Time gives back what was spent, but never more than that. */
static bool bucket_has(struct bucket *bucket, uint64_t lines, uint64_t now_ns,
		       uint64_t wanted)
{
	uint64_t passed = now_ns - bucket->seen_ns;

	bucket->seen_ns = now_ns;
	bucket->spent_ns -= min_u64(bucket->spent_ns, passed);
	return bucket->spent_ns + wanted * (MINUTE_NS / lines) <= MINUTE_NS;
}

static bool tokens_take(enum log_topic topic, uint64_t lines)
{
	uint64_t now_ns = the_log.setup.now_ns();

	if (topic == LOG_DAEMON)
		return true;
	if (!bucket_has(&the_log.topic[topic], LOG_TOPIC_LINES, now_ns, lines))
		return false;
	if (!bucket_has(&the_log.total, LOG_TOTAL_LINES, now_ns, lines))
		return false;
	the_log.topic[topic].spent_ns += lines * (MINUTE_NS / LOG_TOPIC_LINES);
	the_log.total.spent_ns += lines * (MINUTE_NS / LOG_TOTAL_LINES);
	return true;
}

static bool has_room(int fd)
{
	struct pollfd ask = { .fd = fd, .events = POLLOUT };

	return poll(&ask, 1, 0) == 1 && (ask.revents & POLLOUT);
}

/* Appends text, washed; leaves room for the newline. */
static size_t wash(char *line, size_t used, const char *text)
{
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		bool plain = byte >= 0x20 && byte < 0x7f;

		if (used + (plain ? 1 : 4) >= LOG_LINE_BYTES)
			break;
		if (plain)
			line[used++] = *text;
		else
			used += (size_t)sprintf(line + used, "\\x%02x", byte);
	}
	return used;
}

static bool emit(enum log_level level, const char *text)
{
	char line[LOG_LINE_BYTES + 1];
	size_t used;

	if (!has_room(the_log.setup.fd))
		return false;
	if (the_log.setup.priorities)
		used = (size_t)sprintf(line, "<%d>", (int)level);
	else if (level == LOG_LEVEL_INFO)
		used = (size_t)sprintf(line, "tenured: ");
	else
		used = (size_t)sprintf(line,
				       "tenured: %s: ", log_level_name(level));
	used = wash(line, used, text);
	line[used++] = '\n';
	return write(the_log.setup.fd, line, used) == (ssize_t)used;
}

static bool tell_suppressed(enum log_topic topic)
{
	char text[128];

	snprintf(text, sizeof(text), "suppressed %llu lines about %s",
		 (unsigned long long)the_log.suppressed[topic],
		 topic_names[topic]);
	if (!emit(LOG_LEVEL_WARNING, text))
		return false;
	the_log.suppressed[topic] = 0;
	return true;
}

void log_write(enum log_level level, enum log_topic topic, const char *format,
	       ...)
{
	bool behind = the_log.suppressed[topic] > 0;
	char text[LOG_LINE_BYTES];
	va_list args;

	if (!the_log.ready || level > the_log.setup.level)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!tokens_take(topic, behind ? 2 : 1) ||
	    (behind && !tell_suppressed(topic)) || !emit(level, text))
		the_log.suppressed[topic]++;
}

bool log_is_behind(void)
{
	for (enum log_topic topic = 0; topic < LOG_TOPICS; topic++)
		if (the_log.suppressed[topic])
			return true;
	return false;
}

bool log_flush(void)
{
	bool behind = false;

	if (!the_log.ready)
		return false;
	for (enum log_topic topic = 0; topic < LOG_TOPICS; topic++) {
		if (the_log.suppressed[topic] == 0)
			continue;
		if (!tokens_take(topic, 1) || !tell_suppressed(topic))
			behind = true;
	}
	return behind;
}
