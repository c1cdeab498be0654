/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: tapes of operations over the broker and the naive model
 *
 *	input: head of 32 bytes (limits, pace), records of 16 bytes
 *
 * Each record is one step of tests/differential: its first byte says which,
 * the others are the decisions that the step makes, the client first. A step
 * that needs more decisions takes them from a generator that the record seeds,
 * so that a record means the same wherever it stands, as far as what is there
 * to be chosen from is the same. The model says which answers are right; the
 * checker walks the state every CHECK_PERIOD steps; at the end everybody goes
 * and nothing may be left.
 */
#include "fuzz/records.h"
#include "fuzz/target.h"
#include "tests/differential/draw.h"

enum {
	HEAD_BYTES = 32,
	RECORD_BYTES = 16,
	/* Fewer than PENDING_MAX: each may leave one that waits. */
	TAPE_STEPS_MAX = 240,
};

static struct run run;

static uint64_t hash(const uint8_t *data, size_t size_bytes)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size_bytes; i++)
		h = (h ^ data[i]) * UINT64_C(0x100000001b3);
	return h;
}

static void decide_from(const uint8_t *data, size_t size_bytes)
{
	run.bytes = data;
	run.n_bytes = size_bytes;
	run.random.state = hash(data, size_bytes);
}

static void make_step(const uint8_t *record, size_t size_bytes)
{
	const struct step *step = &steps[record[0] % n_steps];
	int client;

	decide_from(record + 1, size_bytes - 1);
	client = draw_client(&run);
	if (client != MODEL_NOTHING || step->any_client)
		step->make(&run, client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	if (size_bytes < HEAD_BYTES)
		return 0;
	memset(&run, 0, sizeof(run));
	decide_from(data, HEAD_BYTES);
	run_begin_drawn(&run);
	data += HEAD_BYTES;
	size_bytes -= HEAD_BYTES;
	for (run.op = 0; size_bytes > 0 && run.op < TAPE_STEPS_MAX; run.op++) {
		size_t size = min_u64(RECORD_BYTES, size_bytes);

		make_step(data, size);
		if (run.op % CHECK_PERIOD == CHECK_PERIOD - 1)
			inproc_check(run.world);
		data += size;
		size_bytes -= size;
	}
	run_end(&run);
	fuzz_judged += run.requests;
	return 0;
}

/* ---- Mutation ---- */

static size_t measure_record(const uint8_t *data, size_t left)
{
	(void)data;
	return min_u64(RECORD_BYTES, left);
}

/* A step, as often as the differential test makes it. */
static uint8_t draw_step(struct random *random)
{
	uint32_t sum = 0, at, i = 0;

	for (uint32_t k = 0; k < n_steps; k++)
		sum += steps[k].weight;
	at = random_below(random, sum);
	while (at >= steps[i].weight)
		at -= steps[i++].weight;
	return (uint8_t)i;
}

/* Half of the decisions are the usual ones. */
static size_t make_record(struct random *random, uint8_t *data, size_t room)
{
	if (room < RECORD_BYTES)
		return 0;
	data[0] = draw_step(random);
	for (int i = 1; i < RECORD_BYTES; i++)
		data[i] = random_chance(random, 50) ?
				  0 :
				  (uint8_t)random_next(random);
	return RECORD_BYTES;
}

static void tweak_record(struct random *random, uint8_t *data,
			 size_t size_bytes)
{
	size_t at = random_below(random, (uint32_t)size_bytes);

	data[at] = at == 0		     ? draw_step(random) :
		   random_chance(random, 30) ? 0 :
					       (uint8_t)random_next(random);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size_bytes,
			       size_t max_bytes, unsigned int seed)
{
	static const struct records_format format = {
		.head_bytes = HEAD_BYTES,
		.measure = measure_record,
		.make = make_record,
		.tweak = tweak_record,
	};

	return records_mutate(&format, data, size_bytes, max_bytes, seed);
}
