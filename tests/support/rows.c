/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of proved rows: one short line appended by one write(2), so that
 * tests that run at the same time cannot mix their lines. A record that was
 * asked for and cannot be written ends the program: a missing line would look
 * like a row without a test.
 */
#include "tests/support/rows.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum row_mode mode_now = ROWS_INPROC;

void rows_set_mode(enum row_mode mode)
{
	mode_now = mode;
}

enum row_mode rows_mode(void)
{
	return mode_now;
}

void row_proved_by(const char *row, const char *test)
{
	const char *path = getenv("TENURE_ROWS_FILE");
	char line[160];
	int length, fd;

	if (!path)
		return;
	length = snprintf(line, sizeof(line), "%s %s %s\n",
			  mode_now == ROWS_INPROC ? "inproc" : "daemon", row,
			  test);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0 || length >= (int)sizeof(line) ||
	    write(fd, line, (size_t)length) != length) {
		perror(path);
		abort();
	}
	close(fd);
}
