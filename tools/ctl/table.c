/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table: cells are kept until the last one is there, because only then the
 * widths are known. Every cell is printable ASCII (text.c), so a byte is a
 * column. Colours are put round the padding and never count.
 */
#include "tools/ctl/table.h"

#include <stdlib.h>
#include <unistd.h>

static const char *const mark_on[] = {
	[TABLE_PLAIN] = "",
	[TABLE_NOTICE] = "\033[33m",
	[TABLE_ALARM] = "\033[31;1m",
};
#define TITLE_ON "\033[1m"
#define MARK_OFF "\033[0m"

void table_init(struct table *table, const struct table_column *columns,
		size_t n_columns)
{
	*table = (struct table){ .columns = columns, .n_columns = n_columns };
}

void table_deinit(struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i].text);
	free(table->cells);
}

static bool make_room(struct table *table)
{
	size_t capacity = table->capacity ? 2 * table->capacity : 256;
	struct table_cell *cells;

	if (table->n_cells < table->capacity)
		return true;
	cells = reallocarray(table->cells, capacity, sizeof(*cells));
	if (!cells)
		return false;
	table->cells = cells;
	table->capacity = capacity;
	return true;
}

void table_add_marked(struct table *table, const char *text,
		      enum table_mark mark)
{
	char *copy = text ? strdup(text) : NULL;

	if (!copy || !make_room(table)) {
		free(copy);
		table->status = -ENOMEM;
		return;
	}
	table->cells[table->n_cells++] =
		(struct table_cell){ .text = copy, .mark = mark };
}

void table_add(struct table *table, const char *text)
{
	table_add_marked(table, text, TABLE_PLAIN);
}

static int width_of(const struct table *table, size_t column)
{
	size_t width = strlen(table->columns[column].title);

	for (size_t i = column; i < table->n_cells; i += table->n_columns) {
		size_t n = strlen(table->cells[i].text);

		width = n > width ? n : width;
	}
	return (int)width;
}

/* The last column is not padded: nothing stands behind it. */
static void print_cell(const struct table *table, size_t column, int width,
		       const char *text, const char *on, FILE *out)
{
	bool is_last = column + 1 == table->n_columns;

	if (table->columns[column].is_text)
		width = is_last ? 0 : -width;
	fprintf(out, "%s%*s%s%s", on, width, text, *on ? MARK_OFF : "",
		is_last ? "\n" : "  ");
}

int table_print(const struct table *table, FILE *out, bool colour)
{
	int *width = calloc(table->n_columns, sizeof(*width));

	if (!width || table->status < 0) {
		free(width);
		return -ENOMEM;
	}
	assert(table->n_cells % table->n_columns == 0);
	for (size_t i = 0; i < table->n_columns; i++) {
		width[i] = width_of(table, i);
		print_cell(table, i, width[i], table->columns[i].title,
			   colour ? TITLE_ON : "", out);
	}
	for (size_t i = 0; i < table->n_cells; i++) {
		const struct table_cell *cell = &table->cells[i];
		size_t column = i % table->n_columns;

		print_cell(table, column, width[column], cell->text,
			   colour ? mark_on[cell->mark] : "", out);
	}
	free(width);
	return fflush(out) || ferror(out) ? -EIO : 0;
}

bool table_wants_colour(FILE *out)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(out)) && !(no_color && *no_color) && term &&
	       strcmp(term, "dumb") != 0;
}
