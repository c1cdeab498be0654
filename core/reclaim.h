/* SPDX-License-Identifier: Apache-2.0 */
/* From retired slots to released memory and free slots. One thread. */
#ifndef CORE_RECLAIM_H
#define CORE_RECLAIM_H

#include "core/env.h"
#include "core/state.h"

/*
 * A release job: one destroy_allocation call, with everything it needs
 * copied, so that another thread can make it while the broker goes on.
 */
struct release {
	uint32_t adapter; /* index into the broker's adapters */
	struct backend_destroy args; /* args.allocations points below */
	uint64_t bytes; /* that it will give back */
	/* After broker_recover: it may have been carried out, entirely or in
	 * part, by a process that died. What is gone already is done. */
	bool again;
	uint64_t allocations[LIST_ENTRIES_MAX];
};

/*
 * Visits about *budget slots, and takes from it what it has spent, those that
 * handing out the jobs will visit included. Whether more can be done at once.
 */
bool reclaim_tick(struct env *env, uint64_t now_ns, uint32_t *budget);

/* Hands out the next job, if any. */
bool reclaim_next_job(struct env *env, struct release *ret);

/* The job of that session came back. */
void reclaim_job_done(struct env *env, uint32_t session, int status,
		      uint64_t resource);

#endif
