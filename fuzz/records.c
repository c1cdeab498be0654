/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inputs made of records
 *
 * A mutation of bytes that falls into the middle of a row shifts everything
 * behind it, and the story that the input tells is lost. So the mutator works
 * on whole records: what comes before and after a change means what it meant.
 * Now and then the bytes are left to the fuzzer itself, which knows the
 * dictionary and what comparisons the code has made.
 */
#include "fuzz/records.h"

#include "fuzz/target.h"

struct row {
	const struct records_format *format;
	uint8_t *data;
	size_t size_bytes, max_bytes;
	struct random random;
	size_t starts[RECORDS_MAX + 1]; /* and where the last one ends */
	uint32_t n;
};

static void measure(struct row *row)
{
	size_t at = row->format->head_bytes;

	row->n = 0;
	while (at < row->size_bytes && row->n < RECORDS_MAX) {
		row->starts[row->n++] = at;
		at += row->format->measure(row->data + at,
					   row->size_bytes - at);
	}
	row->starts[row->n] = at;
}

static size_t size_of(const struct row *row, uint32_t i)
{
	return row->starts[i + 1] - row->starts[i];
}

/* Makes a gap of that size; the caller knows that there is room. */
static uint8_t *open_gap(struct row *row, size_t at, size_t size_bytes)
{
	memmove(row->data + at + size_bytes, row->data + at,
		row->size_bytes - at);
	row->size_bytes += size_bytes;
	return row->data + at;
}

static void insert(struct row *row)
{
	uint8_t record[1024];
	size_t room = row->max_bytes - row->size_bytes;
	size_t at = row->starts[random_below(&row->random, row->n + 1)];
	size_t size;

	room = room < sizeof(record) ? room : sizeof(record);
	size = row->format->make(&row->random, record, room);
	if (size > 0)
		memcpy(open_gap(row, at, size), record, size);
}

static void remove_some(struct row *row)
{
	uint32_t first = random_below(&row->random, row->n);
	uint32_t end = first + 1;
	size_t from, to;

	if (random_chance(&row->random, 20))
		end += random_below(&row->random, row->n - first);
	from = row->starts[first];
	to = row->starts[end];
	memmove(row->data + from, row->data + to, row->size_bytes - to);
	row->size_bytes -= to - from;
}

/* Another copy of a record, next to it or anywhere. */
static void repeat(struct row *row)
{
	uint32_t i = random_below(&row->random, row->n);
	uint32_t to = random_chance(&row->random, 50) ?
			      i + 1 :
			      random_below(&row->random, row->n + 1);
	size_t size = size_of(row, i), from = row->starts[i];
	uint8_t *gap;

	if (size > row->max_bytes - row->size_bytes)
		return;
	if (row->starts[to] <= from)
		from += size;
	gap = open_gap(row, row->starts[to], size);
	memcpy(gap, row->data + from, size);
}

/* Two neighbours change places. */
static void exchange(struct row *row)
{
	uint8_t copy[4096];
	uint32_t i;
	size_t first, second;

	if (row->n < 2)
		return;
	i = random_below(&row->random, row->n - 1);
	first = size_of(row, i);
	second = size_of(row, i + 1);
	if (first > sizeof(copy))
		return;
	memcpy(copy, row->data + row->starts[i], first);
	memmove(row->data + row->starts[i], row->data + row->starts[i + 1],
		second);
	memcpy(row->data + row->starts[i] + second, copy, first);
}

static void tweak(struct row *row)
{
	uint32_t i = random_below(&row->random, row->n);
	uint8_t *record = row->data + row->starts[i];

	if (random_chance(&row->random, 70))
		row->format->tweak(&row->random, record, size_of(row, i));
	else /* its size stays, whatever is answered: what follows must not
	      * shift */
		LLVMFuzzerMutate(record, size_of(row, i), size_of(row, i));
}

static void mutate_once(struct row *row)
{
	static void (*const ways[])(struct row *) = {
		insert, insert, remove_some, repeat, exchange, tweak, tweak,
	};

	measure(row);
	if (row->n == 0)
		insert(row);
	else
		ways[random_below(&row->random, ARRAY_SIZE(ways))](row);
}

size_t records_mutate(const struct records_format *format, uint8_t *data,
		      size_t size_bytes, size_t max_bytes, uint64_t seed)
{
	struct row row = {
		.format = format,
		.data = data,
		.size_bytes = size_bytes,
		.max_bytes = max_bytes,
		.random = { seed },
	};
	uint32_t times;

	if (max_bytes < format->head_bytes)
		return LLVMFuzzerMutate(data, size_bytes, max_bytes);
	if (size_bytes < format->head_bytes) {
		memset(data + size_bytes, 0, format->head_bytes - size_bytes);
		row.size_bytes = format->head_bytes;
	}
	if (random_chance(&row.random, 10))
		return LLVMFuzzerMutate(data, row.size_bytes, max_bytes);
	if (format->head_bytes > 0 && random_chance(&row.random, 5))
		data[random_below(&row.random, (uint32_t)format->head_bytes)] =
			(uint8_t)random_next(&row.random);
	times = 1 + random_below(&row.random, 4);
	while (times-- > 0)
		mutate_once(&row);
	return row.size_bytes;
}

uint8_t read_u8(struct reader *r)
{
	if (r->left == 0)
		return 0;
	r->left--;
	return *r->data++;
}

uint16_t read_u16(struct reader *r)
{
	uint16_t low = read_u8(r);

	return (uint16_t)(low | read_u8(r) << 8);
}

const uint8_t *read_bytes(struct reader *r, size_t size_bytes, size_t *ret_size)
{
	const uint8_t *start = r->data;

	*ret_size = size_bytes < r->left ? size_bytes : r->left;
	r->data += *ret_size;
	r->left -= *ret_size;
	return start;
}
