/* SPDX-License-Identifier: Apache-2.0 */
/* A table of text cells, printed with aligned columns. */
#ifndef TOOLS_CTL_TABLE_H
#define TOOLS_CTL_TABLE_H

#include "core/base.h"

#include <stdio.h>

enum table_mark {
	TABLE_PLAIN,
	TABLE_NOTICE, /* on its way out */
	TABLE_ALARM, /* near a limit, or broken */
};

struct table_column {
	const char *title;
	bool is_text; /* aligned to the left */
};

struct table_cell {
	char *text;
	enum table_mark mark;
};

struct table {
	const struct table_column *columns;
	size_t n_columns;
	struct table_cell *cells; /* row by row */
	size_t n_cells, capacity;
	int status; /* -ENOMEM once a cell could not be kept */
};

/* A table without rows; columns must outlive it. */
void table_init(struct table *table, const struct table_column *columns,
		size_t n_columns);
void table_deinit(struct table *table);

/* The next cell, copied. A table without memory stays so (table_print). */
void table_add(struct table *table, const char *text);
void table_add_marked(struct table *table, const char *text,
		      enum table_mark mark);

/* Prints the titles and all rows; 0, -ENOMEM or -EIO. */
int table_print(const struct table *table, FILE *out, bool colour);

/* Whether to print colours to a stream: a terminal that knows them, and
 * nobody has said NO_COLOR. */
bool table_wants_colour(FILE *out);

#endif
