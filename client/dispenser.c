/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispensers of the application
 *
 * The state machine of core/dispenser under one lock, with a clock, and with
 * drivers that are functions of the application. Each public function begins
 * an operation and runs it:
 *
 *	lock; begin; step -> ask; unlock; the driver; lock; tell; step -> ...
 *
 * so a driver may do what it likes: block, call the dispenser again, call it
 * for another holder, or answer nonsense. It holds up its own caller only.
 *
 * A holder's entry has the driver and the list of *visits*, one for each call
 * that is on its way, in the frame of that call. Closing runs the core's close
 * and then waits until the other visits are over, so that whoever closes may
 * take the driver away afterwards. A thread that is in a driver of the same
 * dispenser does not wait: it might be waited for. Each thread knows which
 * drivers it is in by its *frames*.
 *
 *	entry --> visit (thread 1, in alloc) --> visit (thread 2, in free)
 *	thread 1's frames --> driver of this dispenser --> driver of another
 *
 * Guarantees, cited by the tests:
 *
 *  G1  No lock is held while a driver is called.
 *  G2  After a close that was not called by a driver has returned, the
 *      driver is not called any more.
 *  G3  What a driver does changes nothing for other holders.
 *  G4  A call that is refused has changed nothing, and says why.
 */
#include "core/dispenser.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "client/api.h"
#include "client/error.h"
#include "client/forkmark.h"
#include "client/keymap.h"

#define SCAN_PERIOD_NS (10 * NS_PER_S)

enum {
	/* Resources that an alloc or a free looks at when a scan is due. */
	SCAN_BUDGET = 16,
	RATING_PERFECT = 100,
};

static_assert(TENURE_DISPENSER_STRING_BYTES == DISPENSER_STRING_BYTES,
	      "one limit");
static_assert(TENURE_DISPENSER_NEVER == DISPENSER_NEVER, "one value");

/* A call on its way. */
struct visit {
	struct visit *next;
};

/* A driver's function that a thread is in. */
struct frame {
	const struct tenure_dispenser *dispenser;
	struct frame *outer;
};

static _Thread_local struct frame *frames;

struct entry {
	struct keymap_node node; /* in dispenser->entries; the holder */
	struct tenure_driver driver;
	void *context;
	struct visit *visits;
	uint64_t scan_period_ns, next_scan_ns;
	bool scanning, closed;
};

struct tenure_dispenser {
	pthread_mutex_t lock; /* of all that follows but mark */
	pthread_cond_t left; /* a visit has ended */
	struct forkmark mark;
	struct dispenser core;
	struct keymap entries;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- Dispensers ---- */

static void *heap_alloc(void *context, size_t size_bytes)
{
	(void)context;
	return malloc(size_bytes);
}

static void heap_free(void *context, void *block)
{
	(void)context;
	free(block);
}

int tenure_dispenser_create(struct tenure_dispenser **ret_dispenser)
{
	static const struct heap heap = { NULL, heap_alloc, heap_free };
	struct tenure_dispenser *dispenser;

	if (!ret_dispenser)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	dispenser = malloc(sizeof(*dispenser));
	if (!dispenser)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	pthread_mutex_init(&dispenser->lock, NULL);
	pthread_cond_init(&dispenser->left, NULL);
	forkmark_init(&dispenser->mark);
	dispenser_init(&dispenser->core, &heap);
	keymap_init(&dispenser->entries);
	*ret_dispenser = dispenser;
	return 0;
}

/* Refuses NULL and a forked child; else takes the lock. */
static int enter(struct tenure_dispenser *dispenser)
{
	if (!dispenser)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	if (forkmark_forked(&dispenser->mark))
		return refusal_set(-EOWNERDEAD, TENURE_REASON_FORKED);
	pthread_mutex_lock(&dispenser->lock);
	return 0;
}

static int leave(struct tenure_dispenser *dispenser, int status)
{
	pthread_mutex_unlock(&dispenser->lock);
	return status;
}

/* Enters, and finds the holder's entry. */
static int enter_holder(struct tenure_dispenser *dispenser,
			struct tenure_holder holder, struct entry **ret_entry)
{
	struct entry *entry;
	int status = enter(dispenser);

	if (status < 0)
		return status;
	entry = (struct entry *)keymap_find(&dispenser->entries, holder.value);
	if (!entry || entry->closed)
		return leave(dispenser,
			     refusal_set(-EINVAL,
					 TENURE_REASON_HOLDER_INVALID));
	*ret_entry = entry;
	return 0;
}

/* ---- The driver ---- */

static int rate(const struct entry *entry, const struct dispenser_ask *ask,
		const struct tenure_resource_id *id)
{
	if (!entry->driver.rate_resource)
		return ask->item_type == ask->type ? RATING_PERFECT : 0;
	return entry->driver.rate_resource(entry->context, ask->type, id,
					   ask->needs_enlist);
}

static int destroy(const struct entry *entry,
		   const struct tenure_resource_id *id)
{
	if (id->string)
		return entry->driver.destroy_resource_s(entry->context,
							id->string);
	return entry->driver.destroy_resource(entry->context, id->number);
}

static void create(const struct entry *entry, const struct dispenser_ask *ask,
		   struct dispenser_answer *answer)
{
	struct tenure_made made = {
		.type = ask->type,
		.idle_timeout_ns = TENURE_DISPENSER_NEVER,
	};

	answer->status =
		entry->driver.create_resource(entry->context, ask->type, &made);
	answer->number = made.id;
	answer->type = made.type;
	answer->idle_timeout_ns = made.idle_timeout_ns;
	if (ask->ret_string)
		memcpy(ask->ret_string, made.string, sizeof(made.string));
}

static struct dispenser_answer call_driver(const struct entry *entry,
					   const struct dispenser_ask *ask)
{
	const struct tenure_driver *driver = &entry->driver;
	const struct tenure_resource_id id = { ask->id.number, ask->id.string };
	struct dispenser_answer answer = { 0 };

	switch (ask->verb) {
	case DISPENSER_CREATE:
		create(entry, ask, &answer);
		break;
	case DISPENSER_RATE:
		answer.status = rate(entry, ask, &id);
		break;
	case DISPENSER_ENLIST:
		answer.status = TENURE_NOT_TRANSACTIONAL;
		if (driver->enlist_resource)
			answer.status = driver->enlist_resource(
				entry->context, &id, ask->transaction);
		break;
	case DISPENSER_RESET:
		if (driver->reset_resource)
			answer.status =
				driver->reset_resource(entry->context, &id);
		break;
	case DISPENSER_DESTROY:
		answer.status = destroy(entry, &id);
		break;
	}
	return answer;
}

/* ---- Running operations ---- */

static void visit_begin(struct entry *entry, struct visit *visit)
{
	visit->next = entry->visits;
	entry->visits = visit;
}

static void visit_end(struct tenure_dispenser *dispenser, struct entry *entry,
		      struct visit *visit)
{
	struct visit **link = &entry->visits;

	while (*link != visit)
		link = &(*link)->next;
	*link = visit->next;
	if (!entry->closed)
		return;
	pthread_cond_broadcast(&dispenser->left);
	if (!entry->visits)
		free(entry);
}

/* Whether the calling thread is in a driver of that dispenser. */
static bool is_inside(const struct tenure_dispenser *dispenser)
{
	const struct frame *frame = frames;

	while (frame && frame->dispenser != dispenser)
		frame = frame->outer;
	return frame != NULL;
}

/* Runs an operation; the lock is held before and after, and not while the
 * driver works. The visit keeps the entry. */
static int run(struct tenure_dispenser *dispenser, struct entry *entry,
	       struct dispenser_op *op)
{
	struct frame frame = { dispenser, frames };
	struct dispenser_answer answer;
	struct dispenser_ask ask;
	enum dispenser_turn turn;

	while ((turn = dispenser_step(op, &ask)) != DISPENSER_DONE) {
		pthread_mutex_unlock(&dispenser->lock);
		frames = &frame;
		if (turn == DISPENSER_ASK)
			answer = call_driver(entry, &ask);
		frames = frame.outer;
		pthread_mutex_lock(&dispenser->lock);
		if (turn == DISPENSER_ASK)
			dispenser_tell(op, &answer);
	}
	return op->status;
}

/* A little of the inventory scan, when it is due; one thread at a time. */
static void scan_when_due(struct tenure_dispenser *dispenser,
			  struct entry *entry, uint64_t now)
{
	struct dispenser_op op;

	if (entry->closed || entry->scanning || now < entry->next_scan_ns)
		return;
	if (dispenser_scan(&dispenser->core, &op, entry->node.key, now,
			   SCAN_BUDGET) < 0)
		return;
	entry->scanning = true;
	run(dispenser, entry, &op);
	entry->scanning = false;
	if (!op.more)
		entry->next_scan_ns = now + entry->scan_period_ns;
}

static enum tenure_reason reason_of(int status)
{
	switch (status) {
	case -EINVAL:
		return TENURE_REASON_ID_UNKNOWN;
	case -ENOTSUP:
		return TENURE_REASON_ID_KIND;
	case -EDQUOT:
		return TENURE_REASON_HOLDER_FULL;
	case -ENOMEM:
		return TENURE_REASON_LIBRARY_MEMORY;
	}
	return TENURE_REASON_DRIVER_FAILED;
}

static int refused(int status)
{
	return status < 0 ? refusal_set(status, reason_of(status)) : status;
}

/* ---- Holders ---- */

static bool is_complete(const struct tenure_driver *driver)
{
	return driver && driver->create_resource &&
	       !driver->destroy_resource != !driver->destroy_resource_s;
}

static struct entry *entry_new(const struct tenure_driver *driver,
			       void *context,
			       const struct tenure_dispenser_options *options)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->driver = *driver;
	entry->context = context;
	entry->scan_period_ns = SCAN_PERIOD_NS;
	if (options && options->scan_period_ns != 0)
		entry->scan_period_ns = options->scan_period_ns;
	return entry;
}

int tenure_dispenser_register(struct tenure_dispenser *dispenser,
			      const struct tenure_driver *driver, void *context,
			      const struct tenure_dispenser_options *options,
			      struct tenure_holder *ret_holder)
{
	struct dispenser_options core = { 0 };
	struct entry *entry;
	int status;

	if (!is_complete(driver) || !ret_holder)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	core.string_ids = driver->destroy_resource_s != NULL;
	if (options) {
		core.resources_max = min_u64(options->resources_max,
					     DISPENSER_RESOURCES_MAX);
		core.window = options->search_max;
		core.depth = options->search_type_max;
	}
	status = enter(dispenser);
	if (status < 0)
		return status;
	entry = entry_new(driver, context, options);
	status = entry ? dispenser_register(&dispenser->core, &core,
					    &entry->node.key) :
			 -ENOMEM;
	if (status < 0) {
		free(entry);
		return leave(dispenser,
			     refusal_set(status,
					 status == -EDQUOT ?
						 TENURE_REASON_HOLDERS :
						 TENURE_REASON_LIBRARY_MEMORY));
	}
	keymap_insert(&dispenser->entries, &entry->node);
	ret_holder->value = entry->node.key;
	return leave(dispenser, 0);
}

static int close_locked(struct tenure_dispenser *dispenser, struct entry *entry)
{
	struct dispenser_op op;
	struct visit visit;
	int status = dispenser_close(&dispenser->core, &op, entry->node.key);

	assert(status == 0);
	keymap_remove(&dispenser->entries, &entry->node);
	entry->closed = true;
	visit_begin(entry, &visit);
	status = run(dispenser, entry, &op);
	/* No visit begins after the close; the others end one by one. */
	while (!is_inside(dispenser) && (entry->visits != &visit || visit.next))
		pthread_cond_wait(&dispenser->left, &dispenser->lock);
	visit_end(dispenser, entry, &visit);
	return refused(status);
}

int tenure_dispenser_close(struct tenure_dispenser *dispenser,
			   struct tenure_holder holder)
{
	struct entry *entry;
	int status = enter_holder(dispenser, holder, &entry);

	if (status < 0)
		return status;
	return leave(dispenser, close_locked(dispenser, entry));
}

int tenure_dispenser_destroy(struct tenure_dispenser *dispenser)
{
	struct keymap_node *node;
	int status;

	if (!dispenser)
		return 0;
	if (is_inside(dispenser))
		return refusal_set(-EDEADLK, TENURE_REASON_IN_DRIVER);
	status = enter(dispenser);
	if (status < 0)
		return status;
	while ((node = keymap_any(&dispenser->entries))) {
		if (close_locked(dispenser, (struct entry *)node) < 0)
			status = -EIO;
	}
	pthread_mutex_unlock(&dispenser->lock);
	dispenser_deinit(&dispenser->core);
	keymap_deinit(&dispenser->entries);
	forkmark_deinit(&dispenser->mark);
	pthread_cond_destroy(&dispenser->left);
	pthread_mutex_destroy(&dispenser->lock);
	free(dispenser);
	return status;
}

/* ---- Alloc ---- */

/* An id of one of the two kinds; which, says string. */
struct room {
	uint64_t *number;
	char *string;
};

static void put_id(const struct room *room, const struct dispenser_id *id)
{
	if (room->string)
		memcpy(room->string, id->string, strlen(id->string) + 1);
	else
		*room->number = id->number;
}

static enum tenure_reason alloc_reason(const struct entry *entry, int status)
{
	if (status == -EINVAL)
		return entry->closed ? TENURE_REASON_HOLDER_INVALID :
				       TENURE_REASON_DRIVER_ID;
	return reason_of(status);
}

static int alloc_locked(struct tenure_dispenser *dispenser, struct entry *entry,
			uint64_t type, uint64_t transaction,
			const struct room *room)
{
	struct dispenser_op op;
	struct visit visit;
	uint64_t now = now_ns();
	int status;

	if (!entry->driver.destroy_resource_s != !room->string)
		return refused(-ENOTSUP);
	status = dispenser_alloc(&dispenser->core, &op, entry->node.key, type,
				 transaction, now);
	if (status < 0)
		return refused(status);
	visit_begin(entry, &visit);
	status = run(dispenser, entry, &op);
	/* The string is the resource's, which is in use: it is copied before
	 * the lock can be let go of. */
	if (status == 0)
		put_id(room, &op.id);
	else
		refusal_set(status, alloc_reason(entry, status));
	scan_when_due(dispenser, entry, now);
	visit_end(dispenser, entry, &visit);
	return status;
}

static int alloc(struct tenure_dispenser *dispenser,
		 struct tenure_holder holder, uint64_t type,
		 uint64_t transaction, const struct room *room)
{
	struct entry *entry;
	int status;

	if (!room->number && !room->string)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = enter_holder(dispenser, holder, &entry);
	if (status < 0)
		return status;
	return leave(dispenser,
		     alloc_locked(dispenser, entry, type, transaction, room));
}

int tenure_dispenser_alloc(struct tenure_dispenser *dispenser,
			   struct tenure_holder holder, uint64_t type,
			   uint64_t transaction, uint64_t *ret_id)
{
	const struct room room = { .number = ret_id };

	return alloc(dispenser, holder, type, transaction, &room);
}

int tenure_dispenser_alloc_s(struct tenure_dispenser *dispenser,
			     struct tenure_holder holder, uint64_t type,
			     uint64_t transaction, char *ret_id)
{
	const struct room room = { .string = ret_id };

	return alloc(dispenser, holder, type, transaction, &room);
}

/* ---- What is done to one resource ---- */

enum deed { DEED_FREE, DEED_REQUEST, DEED_TRACK, DEED_UNTRACK };

/* Begins what may need the driver; true with status 0 if it is under way. */
static bool deed_begin(struct tenure_dispenser *dispenser,
		       const struct entry *entry, enum deed deed,
		       struct dispenser_id id, struct dispenser_op *op,
		       uint64_t now, int *ret_status)
{
	struct dispenser *core = &dispenser->core;
	uint64_t holder = entry->node.key;

	switch (deed) {
	case DEED_FREE:
		*ret_status = dispenser_free(core, op, holder, id, now);
		return *ret_status == 0;
	case DEED_REQUEST:
		*ret_status = dispenser_request_destroy(core, op, holder, id);
		return *ret_status == 0;
	case DEED_TRACK:
		*ret_status = dispenser_track(core, holder, id);
		return false;
	case DEED_UNTRACK:
		*ret_status = dispenser_untrack(core, holder, id);
		return false;
	}
	return false;
}

static int carry_out(struct tenure_dispenser *dispenser,
		     struct tenure_holder holder, enum deed deed,
		     struct dispenser_id id)
{
	uint64_t now = deed == DEED_FREE ? now_ns() : 0;
	struct dispenser_op op;
	struct entry *entry;
	struct visit visit;
	int status = enter_holder(dispenser, holder, &entry);

	if (status < 0)
		return status;
	if (deed_begin(dispenser, entry, deed, id, &op, now, &status)) {
		visit_begin(entry, &visit);
		status = run(dispenser, entry, &op);
		if (deed == DEED_FREE)
			scan_when_due(dispenser, entry, now);
		visit_end(dispenser, entry, &visit);
	}
	return leave(dispenser, refused(status));
}

static struct dispenser_id number(uint64_t id)
{
	return (struct dispenser_id){ .number = id };
}

/* NULL is as empty as "". */
static struct dispenser_id string(const char *id)
{
	return (struct dispenser_id){ .string = id ? id : "" };
}

int tenure_dispenser_free(struct tenure_dispenser *dispenser,
			  struct tenure_holder holder, uint64_t id)
{
	return carry_out(dispenser, holder, DEED_FREE, number(id));
}

int tenure_dispenser_free_s(struct tenure_dispenser *dispenser,
			    struct tenure_holder holder, const char *id)
{
	return carry_out(dispenser, holder, DEED_FREE, string(id));
}

int tenure_dispenser_track(struct tenure_dispenser *dispenser,
			   struct tenure_holder holder, uint64_t id)
{
	return carry_out(dispenser, holder, DEED_TRACK, number(id));
}

int tenure_dispenser_track_s(struct tenure_dispenser *dispenser,
			     struct tenure_holder holder, const char *id)
{
	return carry_out(dispenser, holder, DEED_TRACK, string(id));
}

int tenure_dispenser_untrack(struct tenure_dispenser *dispenser,
			     struct tenure_holder holder, uint64_t id)
{
	return carry_out(dispenser, holder, DEED_UNTRACK, number(id));
}

int tenure_dispenser_untrack_s(struct tenure_dispenser *dispenser,
			       struct tenure_holder holder, const char *id)
{
	return carry_out(dispenser, holder, DEED_UNTRACK, string(id));
}

int tenure_dispenser_request_destroy(struct tenure_dispenser *dispenser,
				     struct tenure_holder holder, uint64_t id)
{
	return carry_out(dispenser, holder, DEED_REQUEST, number(id));
}

int tenure_dispenser_request_destroy_s(struct tenure_dispenser *dispenser,
				       struct tenure_holder holder,
				       const char *id)
{
	return carry_out(dispenser, holder, DEED_REQUEST, string(id));
}

/* ---- What is done to a whole holder ---- */

int tenure_dispenser_complete(struct tenure_dispenser *dispenser,
			      struct tenure_holder holder, uint64_t transaction)
{
	struct dispenser_op op;
	struct entry *entry;
	struct visit visit;
	int status = enter_holder(dispenser, holder, &entry);

	if (status < 0)
		return status;
	status = dispenser_complete(&dispenser->core, &op, holder.value,
				    transaction, now_ns());
	assert(status == 0);
	visit_begin(entry, &visit);
	status = run(dispenser, entry, &op);
	visit_end(dispenser, entry, &visit);
	return leave(dispenser, refused(status));
}

int tenure_dispenser_scan(struct tenure_dispenser *dispenser,
			  struct tenure_holder holder)
{
	struct dispenser_op op;
	struct entry *entry;
	struct visit visit;
	int status = enter_holder(dispenser, holder, &entry);

	if (status < 0)
		return status;
	visit_begin(entry, &visit);
	/* The first pass ends where an earlier one had begun. */
	for (int pass = 0; pass < 2 && status == 0; pass++) {
		uint64_t now = now_ns();

		status = dispenser_scan(&dispenser->core, &op, holder.value,
					now, UINT64_MAX);
		if (status == 0)
			run(dispenser, entry, &op);
		entry->next_scan_ns = now + entry->scan_period_ns;
	}
	/* A holder that was closed meanwhile has nothing to scan. */
	visit_end(dispenser, entry, &visit);
	return leave(dispenser, 0);
}

int tenure_dispenser_stat(struct tenure_dispenser *dispenser,
			  struct tenure_holder holder,
			  struct tenure_dispenser_stat *ret_stat)
{
	struct dispenser_stat stat;
	struct entry *entry;
	int status;

	if (!ret_stat)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = enter_holder(dispenser, holder, &entry);
	if (status < 0)
		return status;
	status = dispenser_stat(&dispenser->core, holder.value, &stat);
	assert(status == 0);
	*ret_stat = (struct tenure_dispenser_stat){
		.free = stat.free,
		.in_use = stat.in_use,
		.enlisted = stat.enlisted,
		.tracked = stat.tracked,
		.broken = stat.broken,
		.hits = stat.hits,
		.misses = stat.misses,
		.created = stat.created,
		.destroyed_idle = stat.destroyed[DISPENSER_END_IDLE],
		.destroyed_on_request = stat.destroyed[DISPENSER_END_REQUEST],
		.destroyed_unreset = stat.destroyed[DISPENSER_END_RESET],
		.destroyed_for_room = stat.destroyed[DISPENSER_END_ROOM],
		.destroy_failures = stat.destroy_failures,
		.driver_failures = stat.driver_failures,
		.nonsense = stat.nonsense,
	};
	return leave(dispenser, 0);
}
