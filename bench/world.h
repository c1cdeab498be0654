/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core by itself, full of allocations: a broker on the daemon's own
 * pages, with one client, one device and a backend that does nothing.
 */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include "core/broker.h"

/* The largest batch of a create and of a destroy. */
enum { WORLD_BATCH = LIST_ENTRIES_MAX };

enum world_pages {
	WORLD_PAGES_DAEMON, /* as daemon/pages.c gives them */
	WORLD_PAGES_SMALL, /* the same without asking for huge ones */
};

struct world {
	struct broker broker;
	struct pages inner; /* what the pages of the broker come from */
	enum world_pages kind;
	void *start; /* of the region */
	size_t size_bytes;
	uint64_t committed_bytes;
	uint64_t last_id; /* that the backend gave out */
	uint32_t session, owner; /* owner: of the device's slots */
	uint64_t secret, device; /* device: the wire handle */
	uint64_t *handles; /* wire handles of all live allocations */
	size_t n_handles;
	double create_ns; /* what each of them took */
	uint64_t words[WORDS_PER_CLIENT_MAX]; /* the client's, of progress */
	uint64_t random;
	struct release release;
};

/*
 * A world with n live allocations of 4 KiB, made in batches of batch, whose
 * handles are shuffled. Ends the program when there is no memory.
 */
struct world *world_new(size_t n, uint32_t batch, enum world_pages kind);

/* Gives all of it back at once. */
void world_free(struct world *world);

/* Makes count allocations in one create. */
void world_create(struct world *world, uint64_t *ret_handles, uint32_t count);

/* One destroy of count handles, at most WORLD_BATCH. */
void world_free_each(struct world *world, const uint64_t *handles,
		     uint32_t count);
void world_destroy(struct world *world, const uint64_t *handles,
		   uint32_t count);

/*
 * Lets the broker reclaim and carries out its release jobs until they have given
 * back as much as a batch; false when there is nothing left to reclaim.
 */
bool world_reclaim(struct world *world);

/* The next number of a sequence that is the same in every run. */
uint64_t world_random(struct world *world);

/* Puts the handles in random order. */
void world_shuffle(struct world *world);

/* Memory that the region really has, and how much of it in huge pages. */
void world_resident(const struct world *world, uint64_t *ret_bytes,
		    uint64_t *ret_huge_bytes);

/* "thp" or "4k": what most of that memory is. */
const char *world_page_name(const struct world *world);

#endif
