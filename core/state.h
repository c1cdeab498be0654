/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every record of the state, with its invariants: the file to read first.
 *
 *	principal <---- session ----> device ----> segments of slots
 *	    ^              |  |          |              |
 *	    |              |  +-> tokens |              +-- resource --> run of
 *	 holding           |        |    |              |   children slots
 *	    |              +-> stream of retired slots  +-- allocation
 *	    v                       |                           |
 *	  object <------------------+                           v
 *	    +---- layout, store <--------------------------- store
 *
 * A slot (core/table.h) is what a handle names: an *opening*. A private
 * allocation has its memory to itself and its slot says all there is. A
 * shared resource is an opening of an *object*: counted by openings and
 * tokens, released by whoever lets go last. A *holding* is one principal's
 * hold on one object and carries its charge, once, however often that
 * principal opens it. A *store* is one memfd.
 *
 * A *context* is a queue of work of one device. What a destroy cannot retire
 * at once, because work uses it, is parked on the *timeline* of a context and
 * moves to the session's stream when that context has come far enough.
 *
 * core/check.c proves these invariants and more:
 *
 *	object.refs    == openings that name it + its tokens
 *	object.tokens  == its tokens
 *	holding.refs   == the same, of that principal
 *	account.used   == sum over what that account's objects charge, and a
 *			  session's ring
 *	store_refs()   == allocations in it that have not been released
 *	owner.live     == slots of that owner that are LIVE or RETIRED
 *	stream.count + the counts of the session's timelines + n_pinned
 *	               == RETIRED resources and stand-alone or listed allocations
 */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include "core/account.h"
#include "core/handle.h"
#include "core/limits.h"
#include "core/queue.h"
#include "core/region.h"
#include "core/table.h"
#include "core/wire/msg.h"

enum {
	TOKEN_BUCKETS = 1 << 16,
	CROWD_BUCKETS = 1 << 16,
	BLOCK_UNIT_BYTES = 64,
	BLOCK_UNITS_MAX = 1 << 27,
	CHUNK_ITEMS = 268,
};

/* How far the news of a removal has come. */
enum notice {
	NOTICE_NONE,
	NOTICE_DUE, /* counts in state.n_noticed */
	NOTICE_HANDED, /* the caller has it and has not said that it is sent */
};

enum session_phase {
	SESSION_HELLO, /* connected, has not said hello */
	SESSION_ACTIVE,
	SESSION_ENDING, /* gone; what it held is being given back */
	SESSION_ENDED, /* nothing left; its obituary waits to be taken */
};

/* What a session's progress word is for. */
struct word {
	/* A context, WORD_FENCE | a fence, or WORD_FREE | the next free one. */
	uint32_t what;
	uint32_t incarnation; /* of the word; old uses name older ones */
};

#define WORD_FREE (UINT32_C(1) << 31)
#define WORD_FENCE (UINT32_C(1) << 30)

/* The words of one session: the daemon's side of them. */
struct words {
	uint32_t block; /* of capacity struct word */
	uint32_t capacity;
	uint32_t used; /* word numbers ever given out, 0 included */
	uint32_t first_free; /* or 0 */
	uint32_t live;
};

/* What waits for one context, in the order of its values: core/timeline.c. */
struct timeline {
	uint64_t first_value, last_value; /* of the first and last record */
	uint32_t head, tail; /* chunks, or 0 when empty */
	uint16_t read; /* where the first record begins in head */
	uint16_t taken; /* items of it that are done */
	uint16_t last; /* where the last record begins in tail */
	uint16_t used; /* where it ends */
};

/* A FIFO of retired slots of one session, see core/retire.c. */
struct stream {
	uint32_t head, tail; /* chunks; tail has room or is full */
	uint32_t read; /* items of head that are done */
	uint32_t count; /* items that are not */
};

enum job_kind {
	JOB_NONE,
	JOB_ALLOCATIONS, /* the first items of the stream, one parent */
	JOB_RESOURCE, /* the first item: a private resource, or its shell */
	JOB_CHILDREN, /* the first item: what is in it, but not the shell */
	JOB_OBJECT, /* the first item: the last opening or a token's hold */
	JOB_SWEEP, /* none: allocations that go with their device */
};

enum job_phase {
	JOB_IDLE,
	JOB_READY, /* waits to be handed out */
	JOB_OUT, /* in the hands of the caller */
};

/* The one release job that a session may have. */
struct job {
	uint8_t kind; /* enum job_kind */
	uint8_t phase; /* enum job_phase */
	uint16_t items; /* of the stream that it covers */
	uint32_t object; /* JOB_OBJECT; of JOB_SWEEP the device */
	uint32_t next; /* session behind this one in the queue of jobs */
	uint32_t slots; /* that were looked at to start it */
	uint64_t bytes; /* that it gives back */
};

/* What was refused, for people. */
struct refusal {
	uint32_t opcode;
	int32_t status;
	uint32_t reason; /* enum tenure_reason */
	uint32_t index;
	uint32_t at_s; /* on the caller's clock */
};

struct session {
	struct record record;
	uint8_t phase; /* enum session_phase */
	uint8_t privileged;
	uint16_t fds_unacknowledged;
	uint32_t principal;
	uint64_t secret;
	int32_t pid;
	uint32_t first_device, n_devices;
	uint32_t first_token;
	uint32_t first_waiter;
	uint32_t n_resources, n_allocations, n_tokens, n_retired;
	uint32_t n_parked; /* items on the timelines of its contexts */
	uint32_t n_quiescing; /* contexts that end and still have work */
	uint32_t n_fence_waits; /* on fences that it signals */
	uint32_t n_watches; /* its waiters that are answered by a descriptor */
	uint32_t n_users; /* struct users of its allocations */
	struct words words;
	uint32_t first_pool, n_pools;
	struct queue reached; /* contexts that have items to move */
	struct queue quiet; /* contexts that end and can go */
	struct queue loose; /* waiters with waits that are to go */
	uint32_t adapter_opens[ADAPTERS_MAX];
	struct owner owner; /* adapter and device handles */
	struct account account;
	struct stream stream;
	struct job job;
	uint32_t next_ready; /* in the ring of sessions with work */
	uint8_t is_ready;
	uint32_t next_ended; /* in the queue of obituaries */
	uint64_t connected_ns;
	/* Charged for its ring, and its page of fences; or 0: it has none. */
	uint64_t ring_bytes;
	uint64_t page_serial; /* of that page, or 0; what clients see */
	uint8_t doorbell; /* it has that, too */
	uint8_t wants_notices; /* it has asked to be told of removals */
	uint8_t notice; /* enum notice: of one that it is to be told */
	struct refusal refusals[REFUSALS_KEPT]; /* a ring */
	uint32_t n_refusals; /* ever */
	/* for the obituary */
	uint64_t began_ns, ended_ns, freed_bytes;
	uint64_t held_devices, held_resources, held_allocations;
	uint64_t held_tokens, held_bytes;
	/* A job of it was out when the process that had it died. */
	uint8_t again;
	uint32_t pinned_looks; /* in vain, since one was set aside */
	uint32_t n_pinned; /* items that are set aside: core/pinned.c */
};

enum context_state {
	CONTEXT_LIVE,
	CONTEXT_ENDING, /* takes no more work; goes when it has none */
};

/* A queue of work: what was submitted, and how far it has come. What each
 * destroy of something that it uses asks and writes is one line. */
/*
 * A client may have thousands, each of them at work: what a destroy and a step
 * of progress need lies in the first line. Three lines, not two, so that the
 * first ones do not all share one half of a cache.
 */
struct context {
	struct record record; /* its link: the next in session.reached */
	uint16_t session;
	uint8_t state; /* enum context_state */
	uint8_t is_reached; /* in that queue */
	uint32_t who; /* its word and that word's incarnation */
	uint64_t submitted, done; /* done <= submitted, both only grow */
	struct timeline timeline;

	uint32_t device, slot;
	uint32_t next, previous; /* of the device's contexts */
	uint32_t waiter; /* of context_destroy */
	uint32_t next_quiet; /* in session.quiet */
	uint8_t is_quiet; /* in that queue */
	uint8_t is_awaited; /* counts in session.n_quiescing; only if ENDING */
	uint16_t unused; /* zero */
	uint32_t run, capacity, count; /* its context allocations */
	uint32_t spare[22]; /* zero */
};

static_assert(offsetof(struct context, device) == 64, "one line");
static_assert(sizeof(struct context) == 192, "three lines");
static_assert(SESSIONS_MAX - 1 <= UINT16_MAX, "a session's index fits");

enum { USERS_IN_RECORD = 4 };

/* Who uses one allocation, when there is more than one. */
struct users {
	struct record record;
	uint32_t next;
	uint32_t slot; /* whose, or 0: written last, and what counts */
	uint32_t who[USERS_IN_RECORD]; /* 0: a free place */
	uint64_t value[USERS_IN_RECORD];
};

static_assert(sizeof(struct users) == 64, "one line");

struct principal {
	struct record record;
	uint32_t uid;
	uint32_t refs; /* sessions and holdings */
	uint64_t cgroup_hash; /* of the whole path */
	char cgroup[CGROUP_BYTES]; /* as much of it as fits, for people */
	struct account account;
	uint32_t n_watches, n_users; /* of its sessions */
};

enum device_state {
	DEVICE_LIVE,
	DEVICE_ERROR, /* still works for destroys (A08) */
	DEVICE_REMOVED, /* calls get ENODEV; what it owns is going (A07) */
};

enum device_sweep {
	SWEEP_NONE, /* not removed */
	SWEEP_END, /* its contexts are told that they end */
	SWEEP_QUIESCE, /* waiting for their work */
	SWEEP_ALLOCATIONS, /* those that the device owns itself */
	SWEEP_RESOURCES,
	SWEEP_CONTEXTS, /* with the allocations that belong to them */
	SWEEP_FENCES,
	SWEEP_DRAIN, /* all retired; waiting for the last reclaim */
	SWEEP_DONE, /* empty; the handle goes when it is destroyed */
};

struct device {
	struct record record;
	uint8_t state; /* enum device_state */
	uint8_t sweep; /* enum device_sweep */
	uint8_t closing; /* the handle goes too, at the end */
	uint8_t terminate; /* what its contexts have counts as done */
	uint8_t adapter;
	uint32_t session;
	uint32_t slot;
	uint32_t waiter; /* of device_destroy or the last adapter close */
	uint32_t next, previous; /* of the session's devices */
	uint32_t cursor_segment, cursor_slot; /* where the sweep stands */
	uint32_t first_context;
	/* When removed: those before it have been told, or are quiet. */
	uint32_t unquiet;
	uint32_t n_fences; /* openings of fences among its slots */
	struct owner owner; /* of the handles of all that is made on it */
};

struct store {
	struct record record;
	uint32_t backing; /* the backend's id */
	uint64_t serial; /* what clients see: never used twice */
	uint64_t size_bytes;
	uint8_t adapter;
	uint8_t born; /* the create that made it is past its last step */
};

/* One allocation of a shared object. */
struct layout_entry {
	uint64_t size_bytes, offset;
	uint64_t backing; /* hAllocation */
};

struct object {
	struct record record;
	uint32_t refs;
	uint32_t holdings; /* list through holding.next */
	uint32_t store;
	uint32_t layout; /* block of count layout_entry */
	uint32_t private_block;
	uint16_t count, private_bytes;
	uint64_t size_bytes; /* sum over the layout */
	uint64_t backing; /* hResource */
	uint8_t adapter;
	uint32_t tokens; /* how many of refs are tokens */
	uint32_t born_s; /* on the caller's clock, for people */
	uint32_t payer; /* principal that held it last; 0: memory is back */
};

struct holding {
	struct record record;
	uint32_t object, principal;
	uint32_t refs;
	uint32_t next;
};

struct token {
	struct record record;
	uint64_t value[2];
	uint32_t object, session; /* object 0: of a fence */
	uint32_t fence;
	uint32_t rights;
	uint32_t next_bucket;
	uint32_t next, previous; /* of the session's tokens */
};

enum waiter_phase {
	WAITER_PENDING,
	WAITER_DUE, /* in the queue of answers */
	WAITER_TOLD, /* answered before all had come; goes with the last */
};

/* A request that is answered later. */
struct waiter {
	struct record record;
	uint32_t session;
	uint32_t remaining; /* slots or devices still to go */
	uint64_t id; /* the request's */
	uint8_t opcode;
	uint8_t port; /* enum broker_port */
	uint8_t quiet; /* not to be heard of if it succeeds */
	uint32_t next; /* in the queue of answered ones, or of loose ones */
	uint32_t follower; /* a waiter that waits for this one, too, or 0 */
	uint32_t next_own,
		previous_own; /* of the session's, until it is told */
	uint32_t device; /* whose removal ends the wait early, or 0 */
	uint8_t phase; /* enum waiter_phase */
	int32_t status; /* of the answer */
	uint32_t reason; /* enum tenure_reason */
	uint64_t value; /* of the answer */
	uint32_t first_wait; /* of a wait for fences */
	uint32_t cost; /* that it is charged */
	uint8_t any; /* one of its fences is enough */
	uint8_t decided; /* a wait for fences whose end is certain */
	uint8_t is_loose; /* in its session's queue of that name */
	uint8_t counted; /* its follower is; core/rebuild_waits.c alone */
};

/* A timeline of people's own; it never decides when memory goes. */
struct fence {
	struct record record;
	uint32_t session; /* its maker, as long as it is not dead */
	uint32_t refs; /* openings and tokens */
	uint32_t who; /* its word and that word's incarnation */
	uint32_t first_wait, n_waits;
	uint64_t value; /* the greatest ever seen */
	uint32_t entry; /* in its maker's page, or 0 */
	uint64_t tag; /* there */
	uint8_t dead; /* its maker has destroyed it, or has gone */
};

/* One fence that a waiter waits for. */
struct wait {
	struct record record;
	uint32_t fence, waiter;
	uint32_t slot; /* the opening that it goes through */
	uint32_t position; /* in the request */
	uint64_t value;
	uint32_t next, previous; /* of the fence */
	uint32_t next_own; /* of the waiter */
	uint8_t came; /* one of several that its waiter wants, and is to go */
};

/* The waits of one client or one principal on one fence: core/crowd.c. */
struct crowd {
	struct record record;
	uint32_t fence;
	uint32_t who; /* a session, or CROWD_PRINCIPAL | a principal */
	uint32_t n_waits;
	uint32_t next; /* in its bucket */
};

#define CROWD_PRINCIPAL (UINT32_C(1) << 31)

/* A pool of warm memory, as its client says: core/warm.c. */
struct warm_pool {
	struct record record;
	uint32_t session;
	uint32_t next; /* of the session's pools */
	uint64_t number; /* never used twice */
	uint64_t size_bytes, idle_timeout_ns;
	uint32_t count;
	uint32_t born_s, told_s;
	struct wire_pool_told told;
};

struct chunk {
	struct record record;
	uint32_t next;
	uint32_t used;
	uint32_t items[CHUNK_ITEMS];
};

/* Thousands of contexts come as far in their chunks at a time: with a power of
 * two these lines would all want the same few places in a cache. */
static_assert(sizeof(struct chunk) == 17 * 64, "an odd number of lines");

/* The request that is being carried out, or all zero. */
struct call_at_work {
	uint64_t id;
	uint32_t client;
	uint32_t port; /* enum broker_port */
};

/* A destroyed slot that somebody keeps pinned, for people. */
struct pinned_report {
	uint64_t handle; /* as its client knows it; 0: no report */
	uint32_t client, device, uid;
	int32_t pid;
	uint32_t pins; /* of the slot and its children */
	uint32_t seconds; /* since it was set aside */
};

struct adapter_state {
	uint8_t stopped;
};

struct state {
	struct region_head region;
	uint32_t block_free[BLOCK_CLASSES];
	struct depot depots[DEPOT_KINDS]; /* segments of nobody */
	atomic_u32 depot_count; /* of DEPOT_WARM, for table_trim */
	uint32_t first_generation;
	uint64_t next_store_serial;
	uint64_t last_pool; /* the number given out last */
	uint64_t last_page; /* likewise */
	uint64_t n_items, n_streams; /* of all streams and timelines */
	uint8_t stopping;
	struct call_at_work call;
	struct adapter_state adapters[ADAPTERS_MAX];
	struct queue ready; /* sessions with work, through next_ready */
	struct queue jobs; /* sessions with a job READY, through job.next */
	struct queue answered; /* waiters with nothing remaining */
	struct queue ended; /* sessions, through next_ended */
	/* totals */
	uint32_t n_loose_waits; /* at most, of loose waiters in queues */
	uint64_t loosened_total; /* of them that ever were */
	uint32_t n_sessions, n_ending, n_devices, n_contexts, n_fences;
	uint32_t n_noticed; /* sessions to be told of a removal */
	uint32_t last_noticed; /* where to go on looking for them */
	uint64_t n_resources, n_allocations, n_stores, n_objects, n_tokens;
	uint64_t store_bytes; /* of all allocations not yet given back */
	uint64_t clients_total, created_total, destroyed_total, refused_total;
	uint64_t released_bytes_total, release_failures_total;
	/* Slots that stay pinned, of all sessions; no stream without any. */
	struct stream pinned;
	uint64_t pinned_due_ns; /* when they are looked at; 0: not at all */
	uint64_t pinned_total; /* that were ever set aside */
	struct pinned_report pinned_report;
};

/* The queues of the state: of sessions, of waiters, and of a session's
 * contexts. A waiter is answered when it is not loose any more. */
#define LINK_OF(area, record, field) \
	((struct queue_link){ area, offsetof(struct record, field) })
#define LINK_READY LINK_OF(AREA_SESSIONS, session, next_ready)
#define LINK_JOBS LINK_OF(AREA_SESSIONS, session, job.next)
#define LINK_ENDED LINK_OF(AREA_SESSIONS, session, next_ended)
#define LINK_ANSWERED LINK_OF(AREA_WAITERS, waiter, next)
#define LINK_LOOSE LINK_ANSWERED
#define LINK_REACHED LINK_OF(AREA_CONTEXTS, context, record.link)
#define LINK_QUIET LINK_OF(AREA_CONTEXTS, context, next_quiet)

static inline struct state *region_state(const struct region *region)
{
	return (struct state *)(void *)region->head;
}

static inline struct session *session_at(const struct region *region,
					 uint32_t index)
{
	return pool_at(region, AREA_SESSIONS, index);
}

static inline struct principal *principal_at(const struct region *region,
					     uint32_t index)
{
	return pool_at(region, AREA_PRINCIPALS, index);
}

static inline struct device *device_at(const struct region *region,
				       uint32_t index)
{
	return pool_at(region, AREA_DEVICES, index);
}

static inline struct store *store_at(const struct region *region,
				     uint32_t index)
{
	return pool_at(region, AREA_STORES, index);
}

/* How many allocations are in a store. They lie apart: a release touches
 * nothing else of a store, and sixteen counts fit in a line. */
static inline uint32_t *store_refs(const struct region *region)
{
	return (uint32_t *)region_start(region, AREA_STORE_REFS);
}

static inline struct object *object_at(const struct region *region,
				       uint32_t index)
{
	return pool_at(region, AREA_OBJECTS, index);
}

static inline struct holding *holding_at(const struct region *region,
					 uint32_t index)
{
	return pool_at(region, AREA_HOLDINGS, index);
}

static inline struct token *token_at(const struct region *region,
				     uint32_t index)
{
	return pool_at(region, AREA_TOKENS, index);
}

static inline struct waiter *waiter_at(const struct region *region,
				       uint32_t index)
{
	return pool_at(region, AREA_WAITERS, index);
}

static inline struct chunk *chunk_at(const struct region *region,
				     uint32_t index)
{
	return pool_at(region, AREA_CHUNKS, index);
}

static inline struct context *context_at(const struct region *region,
					 uint32_t index)
{
	return pool_at(region, AREA_CONTEXTS, index);
}

static inline struct fence *fence_at(const struct region *region,
				     uint32_t index)
{
	return pool_at(region, AREA_FENCES, index);
}

static inline struct wait *wait_at(const struct region *region, uint32_t index)
{
	return pool_at(region, AREA_WAITS, index);
}

static inline struct users *users_at(const struct region *region,
				     uint32_t index)
{
	return pool_at(region, AREA_USERS, index);
}

static inline struct crowd *crowd_at(const struct region *region,
				     uint32_t index)
{
	return pool_at(region, AREA_CROWDS, index);
}

static inline struct warm_pool *warm_pool_at(const struct region *region,
					     uint32_t index)
{
	return pool_at(region, AREA_WARM_POOLS, index);
}

#endif
