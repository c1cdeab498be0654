/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layer L3: what a kind of memory must be able to do.
 *
 * A backend makes and releases memory; it decides nothing. The broker calls
 * create_allocation, open_allocation and close_allocation inside the request
 * that causes them, so they must be quick (about a microsecond) and may be
 * called from the broker's thread only. destroy_allocation is what the broker
 * hands out as a release job: it may be slow, runs on the releaser's thread,
 * and must release the memory inside the call (B20). The two threads may be
 * in the backend at the same time, on different allocations. A backend may say
 * of a destroy that it is quick; then no second thread is needed for it.
 *
 * The contract, asserted by the checking backend that the tests use:
 *
 *  B20  n allocations, no flag: the memory of each is released inside the
 *       call; the resource stays, and the backend may replace its value
 *  B21  n allocations, DESTROY_RESOURCE: the resource goes too
 *  B22  0 allocations, DESTROY_RESOURCE: the resource object only
 *  B23  0 allocations, no flag: never issued
 *  B24  reserved flag bits: never issued
 *  B25  every opening is closed first, a whole resource at once (one that can
 *       write need not be, if the backend says closes_readers_only); an
 *       allocation is destroyed exactly once, and never are two
 *       destroy_allocation calls under way for one client
 *
 * hAllocation and hResource are the backend's own values; 0 means none. The
 * broker keeps them and never looks inside.
 */
#ifndef CORE_BACKEND_H
#define CORE_BACKEND_H

#include "core/base.h"
#include "core/limits.h"

/* One allocation as create_allocation sees it. */
struct backend_allocation {
	uint64_t size_bytes; /* in: whole pages, at least one */
	uint64_t offset; /* out: where it lies in its store */
	uint64_t allocation; /* out: hAllocation, not 0 */
};

/*
 * Makes count allocations, all or none, in one new store (a sealed memfd).
 * resource is in/out: 0 with new_resource set asks for a resource object; a
 * value names the one that the allocations join; 0 without it means none.
 */
struct backend_create {
	uint32_t count;
	bool new_resource;
	struct backend_allocation *allocations;
	uint64_t resource; /* in/out: hResource */
	uint32_t store; /* out: the store's id, not 0, unique while it lives */
	uint64_t store_bytes; /* out: length of the store */
};

/*
 * An opening comes into being (create makes the first one and announces it
 * too), or goes.
 *
 *  resource, allocation 0     a whole resource at once: opened once when it is
 *                             created or opened, closed once; allocations
 *                             that are added later join that opening
 *  resource 0, allocation     one allocation that the device owns itself
 *  resource and allocation    only closed: that allocation alone leaves the
 *                             opening of its resource (a list destroy, A51)
 */
struct backend_opening {
	uint64_t resource; /* hResource, or 0 */
	uint64_t allocation; /* hAllocation, or 0 */
	uint32_t store;
	uint32_t client;
	bool read_only;
};

enum backend_destroy_flags {
	BACKEND_DESTROY_RESOURCE = 1u << 0,
};

/* The argument structure of the document, field by field. */
struct backend_destroy {
	uint32_t count; /* NumAllocations */
	const uint64_t *allocations; /* pAllocationList */
	uint64_t resource; /* hResource, in/out */
	uint32_t flags; /* Flags: enum backend_destroy_flags */
	uint32_t client; /* whose garbage this is */
};

struct backend_ops {
	/* 0, -ENOMEM, -EMFILE, -ENFILE, -ENOSPC; on failure nothing is made. */
	int (*create_allocation)(void *state, struct backend_create *create);
	/* 0 or a negative errno; on failure nothing has changed. */
	int (*open_allocation)(void *state, const struct backend_opening *o);
	void (*close_allocation)(void *state, const struct backend_opening *o);
	/* 0, or a negative errno: the job is retried, entire (A84). */
	int (*destroy_allocation)(void *state, struct backend_destroy *destroy);
	/* Whether that call would be as quick as a request: it is then made
	 * where the job is handed out, inside the engine's gate, and by the
	 * releaser only after one has failed. NULL: never. */
	bool (*is_quick)(void *state, const struct backend_destroy *destroy);
	/* close_allocation does nothing for an opening that can write: it need
	 * not be called for one. */
	bool closes_readers_only;
};

struct backend {
	const struct backend_ops *ops;
	void *state;
};

#endif
