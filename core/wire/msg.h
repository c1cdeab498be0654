/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole protocol: every message, every layout, every limit of a message.
 * docs/PROTOCOL.md says the same in prose.
 *
 * A message is one datagram on a SOCK_SEQPACKET unix socket: a fixed head of
 * 64 bytes and, for some requests and replies, a block of arguments behind
 * it. The same head is an entry of a ring (core/ring/ring.h); its arguments
 * then lie in the ring's arena at args_offset, and the data of the reply will.
 *
 * All integers are in the byte order of the host (a socket never leaves it);
 * a peer of another order fails the magic. Reserved fields must be zero.
 * Handles on the wire are the native handle XOR the connection's secret; 0 is
 * never valid.
 *
 * Clients send no descriptors, ever. The daemon sends at most one with a
 * reply, and at most FDS_UNACKNOWLEDGED_MAX before the client says, in
 * fds_acked of any request, how many it has received.
 */
#ifndef CORE_WIRE_MSG_H
#define CORE_WIRE_MSG_H

#include "core/base.h"
#include "core/limits.h"

#define WIRE_MAGIC UINT64_C(0x00314552554e4554) /* "TENURE1", little endian */

enum { WIRE_VERSION_MIN = 1, WIRE_VERSION_MAX = 1 };

enum wire_op {
	WIRE_OP_INVALID = 0,
	WIRE_OP_HELLO = 1,
	WIRE_OP_PING = 2,
	WIRE_OP_ADAPTER_OPEN = 3,
	WIRE_OP_ADAPTER_CLOSE = 4,
	WIRE_OP_DEVICE_CREATE = 5,
	WIRE_OP_DEVICE_DESTROY = 6,
	WIRE_OP_CREATE = 7,
	WIRE_OP_DESTROY = 8,
	WIRE_OP_SHARE = 9,
	WIRE_OP_TOKEN_REVOKE = 10,
	WIRE_OP_QUERY = 11,
	WIRE_OP_OPEN = 12,
	WIRE_OP_MAP = 13,
	WIRE_OP_UNMAP = 14,
	WIRE_OP_STAT = 15,
	WIRE_OP_STATUS = 16,
	/* The person's window on the daemon, see "Inspection" below. */
	WIRE_OP_CLIENTS = 17,
	WIRE_OP_RESOURCES = 18,
	WIRE_OP_LIMITS = 19,
	WIRE_OP_CHECK = 20,
	/* The ring and its doorbell, by the socket only, see core/ring/ring.h. */
	WIRE_OP_RING = 21,
	WIRE_OP_DOORBELL = 22,
	/* No request: a handle of the free queue that was refused. */
	WIRE_OP_FREE = 23,
	/* No request: something is there for the client to take, see "Notices"
	 * of docs/PROTOCOL.md; and the request that asks to be told. */
	WIRE_OP_NOTICE = 24,
	WIRE_OP_NOTICES = 25,
	/* Work, see "Work" below. */
	WIRE_OP_CONTEXT_CREATE = 32,
	WIRE_OP_CONTEXT_DESTROY = 33,
	WIRE_OP_CONTEXT_SUBMIT = 34,
	WIRE_OP_CONTEXT_PROGRESS = 35,
	WIRE_OP_CONTEXT_ALLOCATION_CREATE = 36,
	WIRE_OP_CONTEXT_ALLOCATION_DESTROY = 37,
	WIRE_OP_FENCE_CREATE = 38,
	WIRE_OP_FENCE_DESTROY = 39,
	WIRE_OP_FENCE_SHARE = 40,
	WIRE_OP_FENCE_OPEN = 41,
	WIRE_OP_FENCE_SIGNAL = 42,
	WIRE_OP_FENCE_VALUE = 43,
	WIRE_OP_FENCE_WAIT = 44,
	WIRE_OP_FENCE_WAIT_CANCEL = 45,
	/* Inspection: what was refused lately. */
	WIRE_OP_EVENTS = 46,
	/* A wait whose answer comes by a descriptor of its own. */
	WIRE_OP_FENCE_WATCH = 47,
	/* What a client says about its pools of warm memory, and the list of
	 * them, which is one of those for people. */
	WIRE_OP_POOL_CREATE = 48,
	WIRE_OP_POOL_REPORT = 49,
	WIRE_OP_POOL_DESTROY = 50,
	WIRE_OP_POOLS = 51,
	/* Fences that are read without a request: core/ring/fence_page.h. */
	WIRE_OP_FENCE_PAGE = 52,
	WIRE_OP_FENCE_PUBLISH = 53,
	WIRE_OP_FENCE_MAP = 54,
	/* Answered only by a broker configured for tests. */
	WIRE_OP_TEST_EVENT = 240,
};

enum wire_form {
	/* A list is present, even if its count is 0 (A11, A12, A18). */
	WIRE_FORM_LIST = 1u << 0,
	/* By the ring only: no completion if the status is 0. */
	WIRE_FORM_QUIET = 1u << 1,
};

enum wire_map_flags {
	WIRE_MAP_WRITE = 1u << 0,
	/* Send the descriptor of the store with the reply. */
	WIRE_MAP_WANT_FD = 1u << 1,
};

/* What a NOTICE is about. */
enum wire_notice {
	WIRE_NOTICE_REFUSALS = 1u << 0, /* of frees, among the completions */
	WIRE_NOTICE_REMOVED = 1u << 1, /* a device of the client */
};

enum wire_test_event {
	WIRE_TEST_ADAPTER_STOP = 1, /* object: an adapter handle */
	WIRE_TEST_ADAPTER_START = 2, /* object: an adapter handle */
	WIRE_TEST_DEVICE_ERROR = 3, /* device */
};

/*
 * Fields by request; what is not named must be 0.
 *
 *  HELLO           object = WIRE_MAGIC, value[0] = oldest version spoken,
 *                  value[1] = newest
 *  PING            -
 *  ADAPTER_OPEN    value[0..1] = name, NUL padded
 *  ADAPTER_CLOSE   object = adapter
 *  DEVICE_CREATE   object = adapter
 *  DEVICE_DESTROY  device, flags = tenure_end_flags
 *  CREATE          device, object = resource to add to or 0, flags =
 *                  tenure_create_flags, count, value[0] = private data bytes;
 *                  args: count * struct wire_allocation, private data
 *  DESTROY         device, object = resource or 0, flags =
 *                  tenure_destroy_flags, form, count; args: count * handle
 *  SHARE           device, object = resource, flags = tenure_rights
 *  TOKEN_REVOKE    value[0..1] = token
 *  QUERY           value[0..1] = token
 *  OPEN            device, value[0..1] = token, count, object = private data
 *                  bytes, flags = rights wanted (0: all that the token gives)
 *  MAP             device, object = allocation, flags = wire_map_flags
 *  UNMAP           device, object = allocation
 *  STAT, STATUS    -
 *  CLIENTS, RESOURCES, LIMITS, EVENTS, POOLS
 *                  value[0] = cursor: 0, or what the last page gave
 *  CHECK           -
 *  RING, DOORBELL  - (by the socket)
 *  NOTICES         -
 *  CONTEXT_CREATE  device
 *  CONTEXT_DESTROY device, object = context, flags = tenure_end_flags
 *  CONTEXT_SUBMIT  device, object = context, value[0] = progress value that
 *                  ends the work, count; args: count * handle of allocations
 *  CONTEXT_PROGRESS
 *                  device, object = context, value[0] = progress value
 *  CONTEXT_ALLOCATION_CREATE
 *                  device, object = context, count, flags =
 *                  tenure_context_allocation_flags; args: count * struct
 *                  wire_allocation
 *  CONTEXT_ALLOCATION_DESTROY
 *                  object = adapter, value[0] = allocation
 *  FENCE_CREATE    device, value[0] = its first value
 *  FENCE_DESTROY   device, object = fence
 *  FENCE_SHARE     device, object = fence, flags = tenure_rights
 *  FENCE_OPEN      device, value[0..1] = token, flags = rights wanted (0: all
 *                  that the token gives)
 *  FENCE_SIGNAL    device, object = fence, value[0]
 *  FENCE_VALUE     device, object = fence
 *  FENCE_WAIT      device, flags = tenure_wait_flags, count, value[0] = 0, or
 *                  anything else: only looks; args: count * struct
 *                  wire_fence_wait
 *  FENCE_WAIT_CANCEL
 *                  value[0] = id of the FENCE_WAIT or FENCE_WATCH
 *  FENCE_WATCH     as FENCE_WAIT, without value[0] (by the socket)
 *  POOL_CREATE     value[0] = bytes of the largest buffer, value[1] = idle
 *                  timeout in ns, count = buffers at a time
 *  POOL_REPORT     object = pool; args: struct wire_pool_told
 *  POOL_DESTROY    object = pool
 *  FENCE_PAGE      - (by the socket, once, with a ring)
 *  FENCE_PUBLISH   device, object = own fence, value[0] = entry of the page,
 *                  value[1] = tag
 *  FENCE_MAP       device, object = fence, flags = 0 or WIRE_MAP_WANT_FD (then
 *                  by the socket)
 *  TEST_EVENT      flags = wire_test_event, device or object
 */
struct wire_request {
	uint8_t opcode;
	uint8_t form;
	uint16_t fds_acked; /* descriptors received since the last request */
	uint32_t flags;
	uint64_t id; /* chosen by the client, echoed in the reply */
	uint64_t device;
	uint64_t object;
	uint32_t count;
	uint32_t args_bytes; /* length of the block behind this head */
	/* By the ring: where in the arena the arguments lie, the start of a
	 * block, and how many bytes from there the data of the reply may take:
	 * at least wire_data_max(). 0 when there are neither, and on the
	 * socket. */
	uint32_t args_offset;
	uint32_t data_capacity;
	uint64_t value[2];
};

static_assert(sizeof(struct wire_request) == 64, "a request is one line");
static_assert(offsetof(struct wire_request, device) == 16, "layout");
static_assert(offsetof(struct wire_request, count) == 32, "layout");
static_assert(offsetof(struct wire_request, value) == 48, "layout");

/*
 * Fields by reply; what is not named is 0.
 *
 *  HELLO           count = version chosen, value[0] = client id, value[1] =
 *                  page size; refused: value[0..1] = versions supported
 *  ADAPTER_OPEN    value[0] = adapter
 *  DEVICE_CREATE   value[0] = device
 *  CREATE          value[0] = resource or 0, value[1] = bytes charged, count;
 *                  data: count * handle
 *  SHARE           value[0..1] = token
 *  QUERY           count, value[0] = private data bytes, value[1] = bytes,
 *                  value[2] = rights; data: count * size
 *  OPEN            value[0] = resource, value[1] = rights, count; data: count
 *                  * handle, private data
 *  MAP             value[0] = store, value[1] = offset, value[2] = size,
 *                  value[3] = bytes of the whole store; perhaps a descriptor
 *  STAT            data: struct wire_stat
 *  STATUS          data: struct wire_status
 *  CLIENTS         count, value[0] = cursor of the next page, 0 after the
 *                  last; data: count * struct wire_client
 *  RESOURCES       likewise, struct wire_resource
 *  EVENTS          likewise, struct wire_event
 *  LIMITS          likewise, struct wire_limits; value[1] = clients of the
 *                  daemon, value[2] = its limit of them
 *  CONTEXT_CREATE  value[0] = context, value[1] = its progress word
 *  CONTEXT_ALLOCATION_CREATE
 *                  value[1] = bytes charged, count; data: count * handle
 *  FENCE_CREATE    value[0] = fence, value[1] = its progress word
 *  FENCE_SHARE     value[0..1] = token
 *  FENCE_OPEN      value[0] = fence, value[1] = rights
 *  FENCE_VALUE     value[0]
 *  FENCE_WAIT      value[0] = position of the fence that was enough, if not
 *                  all had to come
 *  FENCE_WATCH     a descriptor, which says struct wire_watch when it is over
 *  FENCE_PAGE      value[0] = bytes of the page; its descriptor
 *  FENCE_MAP       value[0] = number of the page, value[1] = entry, value[2] =
 *                  tag, value[3] = bytes of the page; perhaps a descriptor
 *  POOL_CREATE     value[0] = pool
 *  POOLS           as CLIENTS, struct wire_pool
 *  CHECK           count = broken invariants found, 0 or 1; data: the first
 *                  one in words, without a NUL
 *  RING            value[0] = bytes of the ring; its descriptor
 *  DOORBELL        the descriptor of an eventfd
 *  NOTICE          (by the socket, unasked, id 0) value[0] = wire_notice
 *  FREE            (by the ring, unasked, id 0) status and reason of the
 *                  refusal, value[0] = the handle that was appended
 */
struct wire_reply {
	uint8_t opcode;
	uint8_t reserved;
	uint16_t fds; /* descriptors attached: 0 or 1 */
	int32_t status; /* 0 or a negative errno */
	uint64_t id;
	uint32_t reason; /* enum tenure_reason */
	uint32_t index; /* first bad entry, or WIRE_NO_INDEX */
	uint32_t count;
	uint32_t data_bytes;
	uint64_t value[4];
};

static_assert(sizeof(struct wire_reply) == 64, "a reply is one line");
static_assert(offsetof(struct wire_reply, reason) == 16, "layout");
static_assert(offsetof(struct wire_reply, value) == 32, "layout");

#define WIRE_NO_INDEX UINT32_MAX

struct wire_allocation {
	uint64_t size_bytes; /* rounded up to whole pages by the daemon */
	uint64_t reserved;
};

static_assert(sizeof(struct wire_allocation) == 16, "layout");

/* A fence and the value that it is to come to. */
struct wire_fence_wait {
	uint64_t fence, value;
};

static_assert(sizeof(struct wire_fence_wait) == 16, "layout");

/* What the descriptor of a FENCE_WATCH says, once, before it is closed: what
 * the reply to the FENCE_WAIT would have said. */
struct wire_watch {
	int32_t status;
	uint32_t reason;
	uint64_t position;
};

static_assert(sizeof(struct wire_watch) == 16, "layout");

/* What the asking client holds. */
struct wire_stat {
	uint64_t bytes, bytes_limit;
	uint64_t handles, handles_limit;
	uint64_t tokens, stores;
	uint64_t devices, resources, allocations;
	uint64_t retired; /* handles dead, memory not yet given back */
};

static_assert(sizeof(struct wire_stat) == 80, "layout");

/* What the daemon holds; answered to root and to the daemon's own user. */
struct wire_status {
	uint64_t clients, clients_ending;
	uint64_t devices, resources, allocations, handles;
	uint64_t objects, tokens, stores;
	uint64_t bytes; /* of all allocations not yet given back */
	uint64_t releases_pending;
	uint64_t pinned; /* destroyed, and kept by a pin: a defect of tenured */
	uint64_t clients_total, created_total, destroyed_total;
	uint64_t refused_total, released_bytes_total, release_failures_total;
	uint64_t pinned_total;
	uint64_t page_bytes; /* of the daemon's table of handles, when large */
};

static_assert(sizeof(struct wire_status) == 160, "layout");

/*
 * Inspection. All of it is answered to root and to the daemon's own user
 * only; to others it is NOT_PERMITTED.
 *
 * Listings come in pages. A page may hold no rows and still not be the last
 * one: the work for each is bounded, and what was looked at may have been
 * empty. Between two pages the world goes on; what lives all the time is
 * listed once, what is born or dies meanwhile may be or may not. A cursor
 * means nothing but where to go on, only grows, and any value is safe.
 *
 * Ages are in whole seconds. Numbers of clients, devices and principals are
 * the daemon's own, unique among those that exist, and used again later.
 */
enum wire_client_phase {
	WIRE_CLIENT_HELLO = 1, /* connected, has not said hello */
	WIRE_CLIENT_ACTIVE = 2,
	WIRE_CLIENT_ENDING = 3, /* gone; what it held is being given back */
};

struct wire_client {
	uint32_t client;
	int32_t pid; /* as the daemon sees it; 0 when it cannot */
	uint32_t uid;
	uint32_t principal;
	uint32_t age_s; /* since it connected */
	uint32_t ending_s; /* since it has gone, in phase ENDING */
	uint8_t phase; /* enum wire_client_phase */
	uint8_t privileged;
	uint8_t reserved[2];
	uint32_t devices, resources, allocations, tokens;
	uint32_t retired; /* handles dead, memory not yet given back */
	uint64_t bytes; /* of the memory that it holds */
	uint64_t handles;
	uint64_t ring_bytes; /* charged on top, for its ring and its page */
	char cgroup[CGROUP_BYTES]; /* as much as fits, NUL padded; any bytes */
};

static_assert(sizeof(struct wire_client) == 240, "layout");
static_assert(offsetof(struct wire_client, bytes) == 48, "layout");

enum wire_what {
	WIRE_WHAT_RESOURCE = 1,
	/* One that belongs to a device itself, or that was destroyed alone
	 * while its resource lives on. */
	WIRE_WHAT_ALLOCATION = 2,
	/* A token that keeps memory which nobody has open. */
	WIRE_WHAT_TOKEN = 3,
};

enum wire_sharing {
	WIRE_SHARING_PRIVATE = 1,
	WIRE_SHARING_SHARED = 2, /* made by this client */
	WIRE_SHARING_OPENED = 3, /* opened by a token */
};

enum wire_resource_state {
	WIRE_STATE_LIVE = 1,
	WIRE_STATE_RETIRED = 2, /* destroyed, not yet given back */
	WIRE_STATE_ENDING = 3, /* its device or client has gone, it follows */
	/* Destroyed, its memory is back, and something in the daemon keeps the
	 * handle's place; the age says for how long. */
	WIRE_STATE_PINNED = 4,
};

/*
 * One thing that keeps memory. bytes is what it keeps: the whole object for
 * each of its openings, so a sum over all rows counts shared memory once for
 * each holder.
 */
struct wire_resource {
	uint32_t client;
	int32_t pid;
	uint32_t uid;
	uint32_t principal;
	uint32_t device; /* 0: none, a token */
	uint32_t age_s; /* of the opening; of the memory for a token */
	uint32_t allocations;
	uint32_t holders; /* openings and tokens of the memory */
	uint64_t handle; /* as its client knows it; 0 for a token */
	uint64_t bytes;
	uint8_t what; /* enum wire_what */
	uint8_t sharing; /* enum wire_sharing */
	uint8_t state; /* enum wire_resource_state */
	uint8_t rights; /* enum tenure_rights */
	uint8_t reserved[4];
	/* Rows with the same number keep the same memory; 0 is private. */
	uint32_t memory;
	uint32_t spare;
	/* What a retired one waits for: a context as its client knows it, the
	 * value that it has to come to, and how far it is. 0: nothing. */
	uint64_t context, value, done;
};

static_assert(sizeof(struct wire_resource) == 88, "layout");

/* A request of a client that was refused: the last few of each. */
struct wire_event {
	uint32_t client;
	int32_t pid;
	uint32_t uid;
	uint32_t principal;
	uint32_t age_s;
	uint32_t opcode; /* enum wire_op */
	int32_t status;
	uint32_t reason; /* enum tenure_reason */
	uint32_t index; /* or WIRE_NO_INDEX */
	uint32_t spare;
};

static_assert(sizeof(struct wire_event) == 40, "layout");

/* What is limited, for each client and for each principal. */
enum wire_quota {
	WIRE_QUOTA_BYTES,
	WIRE_QUOTA_HANDLES,
	WIRE_QUOTA_STORES,
	WIRE_QUOTA_TOKENS,
	WIRE_QUOTA_WAITS, /* requests that wait for an answer */
	WIRE_QUOTA_CLIENTS, /* connections */
	WIRE_QUOTA_SEGMENTS, /* of 1024 handles, full or not */
	WIRE_QUOTAS,
};

/* A client's row has its own number, a principal's has client 0. */
struct wire_limits {
	uint32_t client;
	int32_t pid;
	uint32_t uid;
	uint32_t principal;
	uint64_t used[WIRE_QUOTAS], limit[WIRE_QUOTAS];
	char cgroup[CGROUP_BYTES]; /* as in struct wire_client */
};

static_assert(sizeof(struct wire_limits) == 296, "layout");

/*
 * A pool of warm memory lives in its client, and its buffers are allocations
 * like any other; what is told of it is what its client last said.
 */
struct wire_pool_told {
	uint64_t free, in_use, in_flight, bytes; /* of its buffers */
	uint64_t hits, misses, created;
	uint64_t destroyed_idle, destroyed_for_room, destroyed_unfit;
	uint64_t destroy_failures;
};

static_assert(sizeof(struct wire_pool_told) == 88, "layout");

struct wire_pool {
	uint32_t client;
	int32_t pid;
	uint32_t uid;
	uint32_t principal;
	uint32_t age_s;
	uint32_t told_s; /* since the client said this */
	uint32_t count; /* buffers at a time */
	uint32_t reserved;
	uint64_t pool; /* its number */
	uint64_t size_bytes; /* of its largest buffer */
	uint64_t idle_timeout_ns; /* UINT64_MAX: never */
	struct wire_pool_told told;
};

static_assert(sizeof(struct wire_pool) == 144, "layout");

/* Room for the words of CHECK, with the NUL that is not sent. The check stops
 * the daemon for as long as the walk over all that it holds takes. */
enum { WIRE_CHECK_BYTES_MAX = 256 };

enum {
	WIRE_ARGS_BYTES_MAX =
		LIST_ENTRIES_MAX * (int)sizeof(struct wire_allocation) +
		PRIVATE_DATA_MAX,
	WIRE_REQUEST_BYTES_MAX =
		(int)sizeof(struct wire_request) + WIRE_ARGS_BYTES_MAX,
	WIRE_DATA_BYTES_MAX =
		LIST_ENTRIES_MAX * (int)sizeof(uint64_t) + PRIVATE_DATA_MAX,
	WIRE_REPLY_BYTES_MAX =
		(int)sizeof(struct wire_reply) + WIRE_DATA_BYTES_MAX,
};

#endif
