/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contexts of a connection: what their next work uses, how far their work
 * has been announced, and how far it has come. See work.c. The connection's
 * lock is the caller's; functions that end in _waits may give it up, so that
 * a record that was found before must be found again.
 */
#ifndef CLIENT_WORK_H
#define CLIENT_WORK_H

#include "client/batch.h"
#include "client/keymap.h"
#include "client/uses.h"
#include "core/base.h"

struct tenure;
struct call;

/* Values that no work ends at, but that what was flushed could be taken for:
 * progress from floor on, and before end, is published as floor. */
struct work_gap {
	uint64_t floor, end;
};

enum { WORK_GAPS = 8 };

struct work_context {
	struct keymap_node node; /* key: the handle */
	struct work_context *next, **link; /* of those with a batch */
	uint64_t device;
	uint64_t announced; /* the last value that the application submitted */
	uint64_t sent; /* to the daemon: announced, or one more */
	uint64_t reported; /* progress as the application says */
	uint64_t published; /* as the daemon was told */
	struct keymap_node word; /* key: its progress word, 0: none */
	struct work_gap gaps[WORK_GAPS]; /* in order, not yet passed */
	uint32_t n_gaps;
	bool ending; /* no submit can follow any more */
	uint32_t pass; /* of the last flush that looked at it */
	struct batch batch;
};

struct work {
	struct keymap contexts;
	struct keymap words; /* contexts and fences that have a word */
	struct keymap watched; /* struct uses, by allocation */
	uint32_t creating; /* requests under way that may be given a word */
	struct work_context *batched; /* those whose batch is not empty */
	uint32_t pass;
};

/* Contexts: one, or all of a device or of an adapter. */
struct work_scope {
	uint64_t context, device, adapter; /* one of them is not 0 */
};

/* Whether that context (0: something else) of that device is among them. */
bool work_scope_has(const struct tenure *connection,
		    const struct work_scope *scope, uint64_t context,
		    uint64_t device);

void work_init(struct work *work);
void work_deinit(struct work *work);

/* A context by its handle, or NULL. */
struct work_context *work_find(const struct work *work, uint64_t handle);

/* Whether the work of a context that was sent as ending at value has ended. */
bool work_reached(const struct work_context *c, uint64_t value);

/* Enters a context in *record, heap memory that is then owned here; word is
 * its progress word, 0 when there is none. -EPROTO for a handle of 0 or one
 * that is already known. */
int work_publish(struct work *work, struct work_context *record,
		 uint64_t handle, uint64_t device, uint32_t word);

/*
 * connection_call_locked for a request that creates something with a progress
 * word, which goes to *ret_word, 0 when there is no ring. Whoever had that
 * word before, and has ended without this process knowing, loses it.
 */
int work_create_waits(struct tenure *connection, struct call *call,
		      uint32_t *ret_word);

/* Forgets what has been destroyed, fences too. */
void work_forget(struct tenure *connection, const struct work_scope *scope);

/* Takes an allocation, or those of a resource, out of all batches: they are
 * about to be forgotten. Costs nothing while no batch holds anything. */
void work_drop_allocation(struct tenure *connection, uint64_t allocation);
void work_drop_resource(struct tenure *connection, uint64_t resource);

/* The steps of the public functions of client/context.c: each returns 0 or a
 * status that has been remembered, and has then changed nothing. */
int work_use_waits(struct tenure *connection, uint64_t context,
		   const uint64_t *list, unsigned int count);
int work_submit_waits(struct tenure *connection, uint64_t context,
		      uint64_t value);
int work_progress_waits(struct tenure *connection, uint64_t context,
			uint64_t value);

/* Sends all batches, or those that use the resource (an opening of the
 * device): it is about to be destroyed by layer L1. One that is refused does
 * not keep the others back; the first such refusal is the status. */
int work_flush_waits(struct tenure *connection);
int work_flush_resource_waits(struct tenure *connection, uint64_t device,
			      uint64_t resource);

/*
 * connection_call_locked for a request that ends contexts: uses whose work was
 * never submitted do not keep it waiting.
 */
int work_end_waits(struct tenure *connection, struct call *call,
		   const struct work_scope *scope);

#endif
