/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table A a second time: the destroy-argument rules as rows over a list of
 * everything that was ever handed out. Slow and plain on purpose; it shares
 * no line with core.
 */
#ifndef FUZZ_SECOND_RULES_H
#define FUZZ_SECOND_RULES_H

#include "core/base.h"
#include "core/limits.h"
#include "core/wire/msg.h"
#include "tenure/types.h"

enum second_kind {
	SECOND_ADAPTER,
	SECOND_DEVICE,
	SECOND_RESOURCE,
	SECOND_ALLOCATION,
};

enum second_life {
	SECOND_ALIVE,
	/* A device that is removed or in teardown, or what belongs to one:
	 * the cascade may or may not have reached it yet. */
	SECOND_REMOVED,
	SECOND_DEAD,
};

/* One handle that was handed out, to whom, and what has become of it. */
struct second_handle {
	uint64_t wire;
	uint32_t client; /* an index, any numbering */
	enum second_kind kind;
	enum second_life life;
	int device; /* item of its device; -1: belongs to none */
	int resource; /* item of its resource; -1: the device owns it */
	bool sealed; /* a resource created shared, or opened */
};

enum { SECOND_HANDLES_MAX = 512 };

struct second_world {
	struct second_handle items[SECOND_HANDLES_MAX];
	int n;
};

struct second_request {
	uint32_t client;
	uint64_t device, resource;
	uint32_t flags, count;
	bool has_list;
	const uint64_t *list;
	uint32_t list_entries; /* that are really there */
};

/* The rows that speak about one request; several may hold at once. */
enum { SECOND_ROWS_MAX = 8 };

struct second_verdict {
	int status;
	uint32_t index; /* of the first bad entry, or WIRE_NO_INDEX */
	/* Each of these rows refuses with its reason; the order of checks does
	 * not say which comes first, so any of them is right. */
	uint32_t n_rows;
	const char *rows[SECOND_ROWS_MAX];
	enum tenure_reason reasons[SECOND_ROWS_MAX];
};

/* The newest item of a client with that wire value, or -1. */
int second_find(const struct second_world *world, uint32_t client,
		uint64_t wire);

/* Judges a request; changes nothing. */
void second_judge(const struct second_world *world,
		  const struct second_request *request,
		  struct second_verdict *ret);

/* What a request that was granted does: the handles that it kills. */
void second_commit(struct second_world *world,
		   const struct second_request *request);

/* A device goes, with all that belongs to it, to REMOVED or to DEAD. */
void second_device_ends(struct second_world *world, int device,
			enum second_life life);

#endif
