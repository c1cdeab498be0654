/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: a talker with a device who says raw requests about work, in both
 * modes. What stays silent is told from what is late by letting the broker
 * come to rest first.
 */
#ifndef TESTS_ROWS_WORK_H
#define TESTS_ROWS_WORK_H

#include "tests/rows/world.h"

struct worker {
	struct world *world;
	struct talker *talker;
	uint64_t adapter, device;
	struct raw_reply reply; /* to the last request that was answered */
	uint64_t next_id;
};

void worker_take(struct worker *worker, struct world *world);
/* The connection ends. */
void worker_leave(struct worker *worker);

/* Asks on the worker's device and waits for the answer: its status. */
int work_ask(struct worker *worker, struct wire_request head, const void *args,
	     size_t args_bytes);
/* Asks and does not wait; the id. */
uint64_t work_say(struct worker *worker, struct wire_request head,
		  const void *args, size_t args_bytes);
/* Waits for the answer to that; its status. */
int work_hear(struct worker *worker, uint64_t id);
/* Asserts that nothing has been answered, though there was time to. */
void work_silent(struct worker *worker, uint64_t id);

uint64_t work_context(struct worker *worker);
int work_submit(struct worker *worker, uint64_t context, uint64_t value,
		const uint64_t *list, uint32_t count);
int work_progress(struct worker *worker, uint64_t context, uint64_t value);
int work_end_context(struct worker *worker, uint64_t context, uint32_t flags);
/* count allocations of one page each; the resource, or 0. */
uint64_t work_create(struct worker *worker, uint32_t flags, uint32_t count,
		     uint64_t *ret_handles);
struct wire_request work_destroy_head(uint64_t resource, uint32_t count,
				      uint32_t flags);
int work_destroy(struct worker *worker, uint64_t resource, const uint64_t *list,
		 uint32_t count, uint32_t flags);
uint64_t work_say_destroy(struct worker *worker, uint64_t resource,
			  const uint64_t *list, uint32_t count, uint32_t flags);
uint64_t work_say_end_device(struct worker *worker, uint32_t flags);
void work_share(struct worker *worker, uint64_t resource, uint64_t ret[2]);
uint64_t work_open(struct worker *worker, const uint64_t token[2],
		   uint32_t count, uint64_t *ret_handles);

/* One request with an object and a value on the device. */
int work_fence(struct worker *worker, uint8_t opcode, uint64_t fence,
	       uint64_t value);
uint64_t work_say_wait(struct worker *worker, uint32_t flags,
		       const struct wire_fence_wait *list, uint32_t count);

/* Waits until the broker is at rest. */
void work_settle(struct world *world);
/* Asserts how many pages the broker holds when it is at rest. */
void assert_pages(struct world *world, uint64_t pages);

#endif
