/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rows of docs/DESTROY.md a test run has proved.
 *
 * A test that proves a row says so at its end, when everything it asserted
 * has held. With TENURE_ROWS_FILE set, one line "<mode> <row> <test>" is
 * appended to that file; `./run test --rows` makes its table of them.
 */
#ifndef TESTS_SUPPORT_ROWS_H
#define TESTS_SUPPORT_ROWS_H

enum row_mode {
	ROWS_INPROC, /* library and broker in this process */
	ROWS_DAEMON, /* library here, the real daemon there */
};

/* Which of the two the rest of this program runs in. */
void rows_set_mode(enum row_mode mode);
enum row_mode rows_mode(void);

void row_proved_by(const char *row, const char *test);

#define row_proved(row) row_proved_by(row, __func__)

#endif
