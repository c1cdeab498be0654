/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A holder of the dispenser, written from its rules without regard to speed:
 * one array, looked through from end to end for everything.
 */
#ifndef TESTS_DISPENSER_NAIVE_H
#define TESTS_DISPENSER_NAIVE_H

#include "tests/dispenser/oracle.h"

enum { NAIVE_ITEMS = 1024 };

enum naive_state {
	NAIVE_GONE,
	NAIVE_FREE, /* enlisted or not */
	NAIVE_USED,
	NAIVE_TRACKED,
	NAIVE_BROKEN,
};

struct naive_item {
	enum naive_state state;
	uint64_t id, type, transaction;
	bool not_transactional, doomed;
	uint64_t since_ns, idle_timeout_ns;
	int64_t rank; /* among its type, highest first */
	uint64_t entered; /* the order in which they became free */
	uint64_t joined; /* the order in which they were enlisted */
};

struct naive {
	struct dispenser_options options;
	struct oracle *oracle;
	struct naive_item items[NAIVE_ITEMS];
	size_t n_items;
	int64_t highest, lowest;
	uint64_t last_entered, last_joined;
	uint64_t latest_ns, shortest_ns;
	uint64_t cursor; /* entered of the item where the scan goes on, or 0 */
	struct dispenser_stat totals;
};

void naive_init(struct naive *naive, const struct dispenser_options *options,
		struct oracle *oracle);
int naive_alloc(struct naive *naive, uint64_t type, uint64_t transaction,
		uint64_t now_ns, uint64_t *ret_id);
int naive_free(struct naive *naive, uint64_t id, uint64_t now_ns);
int naive_request(struct naive *naive, uint64_t id);
int naive_track(struct naive *naive, uint64_t id);
int naive_untrack(struct naive *naive, uint64_t id);
void naive_complete(struct naive *naive, uint64_t transaction, uint64_t now_ns);
bool naive_scan(struct naive *naive, uint64_t now_ns, uint64_t budget);
int naive_close(struct naive *naive);
struct dispenser_stat naive_stat(const struct naive *naive);

#endif
