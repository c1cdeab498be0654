/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ini files
 *
 * inih does the parsing; this module stands between it and the file and sees
 * each line before inih does. That mends what inih does not tell: which line a
 * value stands in, that a line was longer than its buffer (it would go on with
 * the rest as if that were a line of its own), that a line began with a blank
 * (it would be a continuation of the value before), which lines, besides the
 * first, were no ini at all.
 *
 *	file --getline--> next_line: judge, count --> inih --> on_value --> caller
 *	                        \--- a bad line becomes an error and an empty line
 */
#include "daemon/inifile.h"

#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct reading {
	const struct inifile_reader *reader;
	FILE *file;
	char *buffer;
	size_t capacity;
	unsigned int line;
	bool value_expected; /* the last line must have had a value in it */
	int status;
};

static void report(struct reading *reading, const char *message)
{
	reading->reader->error(reading->reader->context, reading->line,
			       message);
}

/* What is wrong with a line, or NULL. */
static const char *objection(const char *text, size_t length)
{
	size_t blank = strspn(text, " \t");

	if (strlen(text) != length)
		return "a NUL byte";
	if (text[blank] == '\0' || text[blank] == ';' || text[blank] == '#')
		return NULL;
	if (length > INIFILE_LINE_BYTES)
		return "the line is too long";
	if (blank > 0)
		return "the line begins with a blank";
	if (text[0] == '[' && !strchr(text, ']'))
		return "']' is missing";
	return NULL;
}

static void value_missing(struct reading *reading)
{
	if (reading->value_expected)
		report(reading, "expected [section] or name = value");
	reading->value_expected = false;
}

/* Lets inih see one line; its kind of fgets. */
static char *next_line(char *out, int out_bytes, void *context)
{
	struct reading *reading = context;
	const char *wrong;
	ssize_t n;
	size_t length;

	value_missing(reading);
	errno = 0;
	n = getline(&reading->buffer, &reading->capacity, reading->file);
	if (n < 0) {
		reading->status = errno ? -errno : 0;
		return NULL;
	}
	length = (size_t)n;
	while (length && strchr("\r\n", reading->buffer[length - 1]))
		reading->buffer[--length] = '\0';
	reading->line++;
	wrong = objection(reading->buffer, length);
	if (wrong)
		report(reading, wrong);
	if (wrong || length + 3 > (size_t)out_bytes)
		length = 0; /* bad, or a long comment */
	snprintf(out, (size_t)out_bytes, "%.*s\n", (int)length,
		 reading->buffer);
	reading->value_expected = !strchr("[;#\n", out[strspn(out, " \t")]);
	return out;
}

static int on_value(void *context, const char *section, const char *name,
		    const char *value)
{
	struct reading *reading = context;

	reading->value_expected = false;
	reading->reader->value(reading->reader->context, reading->line, section,
			       name, value);
	return 1;
}

int inifile_read(const char *path, const struct inifile_reader *reader)
{
	struct reading reading = { .reader = reader };
	struct stat st;
	/* Without O_NONBLOCK a FIFO would keep us here. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	reading.file = fdopen(fd, "re");
	if (!reading.file) {
		close(fd);
		return -ENOMEM;
	}
	if (ini_parse_stream(next_line, &reading, on_value, &reading) == -2)
		reading.status = -ENOMEM;
	free(reading.buffer);
	fclose(reading.file);
	return reading.status;
}
