/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long it is worth looking at a ring in which nothing is, before asking
 * to be rung. Pure arithmetic; times are in nanoseconds.
 */
#ifndef DAEMON_PATIENCE_H
#define DAEMON_PATIENCE_H

#include "core/base.h"

enum {
	/* Failures in a row after which a client is believed to be slow. */
	PATIENCE_CREDIT = 8,
	/* One in so many wake-ups of a slow client is waited for in full. */
	PATIENCE_PROBE = 8,
};

struct patience {
	uint64_t cap_ns; /* 0: never look in vain */
	uint64_t usual_ns; /* recent gap between two pieces of work */
	uint32_t credit, failures;
};

/* cap_ns: about what a wake-up costs. */
void patience_init(struct patience *patience, uint64_t cap_ns);

/* For how long to look, counted from the last work. */
uint64_t patience_window_ns(const struct patience *patience);

/* Work was found that long after the last. */
void patience_found(struct patience *patience, uint64_t gap_ns);

/* The window has passed in vain. */
void patience_lost(struct patience *patience);

#endif
