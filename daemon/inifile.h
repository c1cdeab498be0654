/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads one ini file, line by line and without mercy.
 */
#ifndef DAEMON_INIFILE_H
#define DAEMON_INIFILE_H

#include "core/base.h"

enum {
	/* Longest line that is not a comment; inih would split a longer one
	 * without a word. */
	INIFILE_LINE_BYTES = 190,
};

struct inifile_reader {
	void *context;
	/* One "name = value" of a section, at a line (from 1). */
	void (*value)(void *context, unsigned int line, const char *section,
		      const char *name, const char *value);
	/* A line that makes no sense. */
	void (*error)(void *context, unsigned int line, const char *message);
};

/*
 * Reads the file and reports what is in it; 0, or a negative errno when it
 * cannot be opened or read (-ENOENT, -EACCES, -EISDIR ...); -EINVAL: it is no
 * regular file.
 */
int inifile_read(const char *path, const struct inifile_reader *reader);

#endif
