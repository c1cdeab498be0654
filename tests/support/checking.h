/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checking backend: carries out the contract of core/backend.h and ends
 * the test program, with a sentence, at the first call that breaks it.
 *
 * What it asserts: B20 to B24 shapes of a destroy; every allocation destroyed
 * exactly once and only after every opening of it was closed (B25); opened
 * before closed; never two destroys under way for one client; a resource
 * value always the newest one, because each destroy that keeps a resource
 * replaces its value. Values are random, never reused, and differ between
 * adapters, so that a mixed-up one is found at once.
 */
#ifndef TESTS_SUPPORT_CHECKING_H
#define TESTS_SUPPORT_CHECKING_H

#include "core/backend.h"
#include "core/inventory.h"
#include "tests/support/random.h"

enum checking_call {
	CHECKING_CREATE,
	CHECKING_OPEN,
	CHECKING_CLOSE,
	CHECKING_DESTROY,
	CHECKING_CALLS,
};

/* One destroy_allocation call that succeeded, for tests of B20 to B22. */
struct checking_record {
	uint32_t count;
	uint32_t flags;
	uint32_t client;
	uint64_t resource_in, resource_out;
	uint64_t first_allocation; /* 0 when count is 0 */
};

struct checking;

/* memfds: whether stores have real memory behind them, for mapping. */
struct checking *checking_new(uint64_t seed, bool memfds);

/* Ends the program if anything that was made is still there. */
void checking_free(struct checking *checking);

struct backend checking_backend(struct checking *checking);

/* The n-th such call from now answers status; n 0 takes that back. close
 * cannot fail. */
void checking_fail(struct checking *checking, enum checking_call call,
		   uint64_t n, int status);

/* Calls so far, failed ones included. */
uint64_t checking_calls(const struct checking *checking,
			enum checking_call call);

/* The most recent successful destroy calls: 0 is the last one, up to 63.
 * False when there were fewer. */
bool checking_record(const struct checking *checking, uint32_t back,
		     struct checking_record *ret);

/* What exists now. */
uint64_t checking_stores(const struct checking *checking);
uint64_t checking_bytes(const struct checking *checking);
uint64_t checking_allocations(const struct checking *checking);
uint64_t checking_resources(const struct checking *checking);
bool checking_has(const struct checking *checking, uint64_t allocation);

/* From now on closes of openings that can write need not be heard of. */
void checking_hear_readers_only(struct checking *checking);

uint64_t checking_openings(const struct checking *checking);
uint64_t checking_openings_of(const struct checking *checking, uint32_t client);

/*
 * The process that the broker's calls came from has died, and another goes by
 * an inventory: begin, each resource, allocation and opening that it names,
 * end. What is not named is let go of; what is named and not there must be one
 * that is to be released.
 */
void checking_reconcile_begin(struct checking *checking);
void checking_reconcile_resource(struct checking *checking,
				 const struct inventory_resource *named);
void checking_reconcile_allocation(struct checking *checking,
				   const struct inventory_allocation *named);
void checking_reconcile_opening(struct checking *checking,
				const struct backend_opening *named);
void checking_reconcile_end(struct checking *checking);

/* Whether the next destroy may name what has been released already. */
void checking_forgive(struct checking *checking, bool on);

/* A new descriptor of a store, close-on-exec; needs memfds. */
int checking_store_fd(const struct checking *checking, uint32_t store,
		      bool read_only);

/*
 * A destroy in two steps, so that time may pass and other calls may be made
 * while it is under way. checking_destroy_begin is the call, _end its return.
 */
int checking_destroy_begin(struct checking *checking,
			   struct backend_destroy *destroy);
void checking_destroy_end(struct checking *checking, uint32_t client);

#endif
