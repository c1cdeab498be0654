/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of the differential test: a broker and the naive model side by
 * side, and the steps that are made on both.
 */
#ifndef TESTS_DIFFERENTIAL_DIFFERENTIAL_H
#define TESTS_DIFFERENTIAL_DIFFERENTIAL_H

#include "tests/model/model.h"
#include "tests/support/inproc.h"

enum {
	PENDING_MAX = 256,
	STALE_MAX = 64,
	ISSUED_LOG2 = 18,
	ISSUED_BYTES = (1 << ISSUED_LOG2) * 8,
	ARGS_MAX = WIRE_ARGS_BYTES_MAX,
	CHECK_PERIOD = 32, /* operations between two region checks */
	MOVE_PERIOD = 600, /* and between two brokers on one region */
};

/* A request that will be answered later. */
struct pending {
	int client;
	struct wire_request request;
};

/* What an obituary may say, noted when the client died. */
struct last_will {
	uint64_t devices[2], resources[2], allocations[2], tokens, bytes[2];
};

struct run {
	uint64_t seed; /* of the whole program, printed with a divergence */
	uint32_t index; /* of this run */
	uint64_t op, ops; /* operations made, and to make, in this run */
	bool trace;
	struct random random;
	/* Decisions are taken from these bytes while there are any, and then
	 * from random. */
	const uint8_t *bytes;
	size_t n_bytes;
	uint32_t bad_percent; /* how often a handle is a wrong one */
	uint32_t acknowledge_percent; /* of descriptors, with a request */
	struct inproc *world;
	struct model *model;
	uint64_t next_id;
	struct pending pending[PENDING_MAX];
	uint32_t n_pending;
	struct last_will wills[MODEL_CLIENTS];
	uint64_t stale[MODEL_CLIENTS][STALE_MAX];
	uint32_t incarnations; /* clients connected so far */
	uint32_t incarnation[MODEL_CLIENTS];
	uint64_t *issued; /* set of handles ever given out */
	enum inproc_releases mode;
	bool fault; /* something was told to fail in the next request */
	uint64_t requests, refused; /* for the summary */
};

/* Ends the program with a sentence and what is needed to repeat the run. */
__attribute__((noreturn, format(printf, 2, 3))) void
diverge(const struct run *run, const char *format, ...);

/* A world and an empty model, with limits and pace drawn from the seed. */
void run_begin(struct run *run, uint64_t seed, uint32_t index, bool trace);

/* The same for a run that was zeroed and whose source of decisions is set. */
void run_begin_drawn(struct run *run);

/* Decisions: any number, one below a bound that is not 0, and true in about
 * percent of 100 calls. */
uint64_t run_draw(struct run *run);
uint32_t run_below(struct run *run, uint32_t bound);
bool run_chance(struct run *run, uint32_t percent);

/* Everybody goes; nothing may be left. */
void run_end(struct run *run);

/* One request on both sides. The id is filled in. */
void run_request(struct run *run, int client, struct wire_request *request,
		 const void *args, size_t args_bytes);

/* So many handles in its free queue at once. */
void run_free(struct run *run, int client, const uint64_t *handles,
	      uint32_t count);

/* A client connects and says hello, or is rightly refused. */
void run_connect(struct run *run);
void run_die(struct run *run, int client);

/* One round of work, and whatever it brought. */
void run_pump(struct run *run);

/* All the work that there is; then the totals must agree. */
void run_settle(struct run *run);

/* A request that no good client sends: it must end the client. */
void run_violate(struct run *run, int client);

#endif
