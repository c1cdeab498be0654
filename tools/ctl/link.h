/* SPDX-License-Identifier: Apache-2.0 */
/* The connection of tenurectl: one question, or a list page by page. */
#ifndef TOOLS_CTL_LINK_H
#define TOOLS_CTL_LINK_H

#include "core/wire/msg.h"

enum link_exit {
	LINK_EXIT_NO_DAEMON = 3,
};

struct tenure;

struct link {
	struct tenure *connection;
	bool quiet; /* the exit code is all that is wanted */
	_Alignas(8) uint8_t data[WIRE_DATA_BYTES_MAX];
};

/* Connects to path, or where the library looks when NULL. 0, or the exit code
 * after a line on stderr. */
int link_open(struct link *link, const char *path);
void link_close(struct link *link);

/* Asks for something of size_bytes, which is in link->data afterwards; likewise
 * 0 or an exit code. size_bytes 0: of any length. */
int link_ask(struct link *link, uint8_t opcode, size_t size_bytes,
	     struct wire_reply *ret);

/* Calls row for each row of a list. ret is the last page's reply. */
int link_list(struct link *link, uint8_t opcode, size_t row_bytes,
	      void (*row)(void *context, const void *row), void *context,
	      struct wire_reply *ret);

#endif
