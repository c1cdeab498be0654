/* SPDX-License-Identifier: Apache-2.0 */
/* How much one turn of the engine may do. One thread at a time. */
#ifndef DAEMON_TURN_H
#define DAEMON_TURN_H

#include "core/broker.h"

enum {
	/* Visits to slots in one turn: at least, and at most. The four of a
	 * slot that is in no cache take about 100 ns. */
	TURN_VISITS_MIN = 256,
	TURN_VISITS_MAX = 2048,
	/* What a retired slot costs on its way: it is moved, told to a backend,
	 * and visited with its store and its segment when it is freed. */
	TURN_VISITS_EACH = 4,
	/* Of those, when the release has been made. */
	TURN_VISITS_DONE = 2,
	/* In so many turns a backlog has gone, if it does not take more. */
	TURN_BACKLOG = 64,
	/* For each slot that requests have retired so many go. */
	TURN_CATCH_UP = 2,
	/* Releases made within one turn: calls of backends, and the bytes that
	 * all but the last of them give back. */
	TURN_RELEASES_MAX = 8,
	TURN_RELEASE_BYTES_MAX = 256 * 1024,
	/* With so few retired slots any turn is short. */
	TURN_FEW_ITEMS = 64,
};

/* What there is to do. */
struct turn_load {
	uint64_t items; /* in all streams and timelines */
	uint64_t loose; /* waits for fences that are decided and are to go */
	uint64_t destroyed, loosened; /* ever */
	bool ending; /* sessions that end have slots nobody has counted */
};

struct turn_load turn_load_of(const struct broker *broker);

/* Whether a turn could find so little that it need not wait for its time. */
static inline bool turn_is_short(const struct turn_load *load)
{
	return load->items <= TURN_FEW_ITEMS && load->loose == 0 &&
	       !load->ending;
}

/* From turn to turn. */
struct pace {
	uint64_t destroyed; /* ever, when the last turn ended */
	uint64_t loosened; /* ever, when it began */
	uint64_t owed; /* visits, for what requests have retired since */
};

/* What is left of the budgets of one turn. */
struct turn {
	uint32_t budget; /* visits at its begin */
	uint32_t visits;
	uint32_t releases;
	uint64_t release_bytes;
};

/* Opens a turn: its budgets, by what there is to do and what is owed. */
void turn_begin(struct turn *turn, struct pace *pace,
		const struct turn_load *load);

/* Visits that are made. */
void turn_visit(struct turn *turn, uint64_t visits);

/* A release that was made within the turn; its slots are visited, too. */
void turn_release(struct turn *turn, uint32_t slots, uint64_t bytes);

/* Whether anything, or a release as well, may be done before its end. */
static inline bool turn_goes_on(const struct turn *turn)
{
	return turn->visits > 0;
}

static inline bool turn_may_release(const struct turn *turn)
{
	return turn->visits > 0 && turn->releases > 0 &&
	       turn->release_bytes > 0;
}

/*
 * Closes it; more: another turn would find something to do. Returns whether
 * that turn shall come before any new request. destroyed: ever, now; what the
 * turn itself has retired is not owed.
 */
bool turn_end(const struct turn *turn, struct pace *pace, bool more,
	      uint64_t destroyed);

#endif
