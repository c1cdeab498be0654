/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every limit that is fixed at compile time, in one place. What an operator
 * may change is in struct limits (core/account.h); these are the bounds that
 * shape memory and messages. Hitting one is an outcome with a reason and a
 * test, never an assert.
 */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H

enum {
	/* Entries of one destroy list, allocations of one create (A14). */
	LIST_ENTRIES_MAX = 1024,
	/* Allocations that one resource may hold at a time. */
	RESOURCE_CHILDREN_MAX = 1024,
	/* Those of freed resources after which others have their turn. */
	FREES_CHILDREN_MAX = 2048,
	/* Bytes of private data that a resource may carry. */
	PRIVATE_DATA_MAX = 4096,

	/* Adapters that a broker can know (configured, not created). */
	ADAPTERS_MAX = 8,
	ADAPTER_NAME_BYTES = 16,
	/* Bytes of a principal's cgroup path that are kept for display. */
	CGROUP_BYTES = 168,

	/* Devices that one client may have at a time. */
	DEVICES_PER_CLIENT_MAX = 256,
	/* Adapter opens that one client may hold at a time. */
	ADAPTER_OPENS_PER_CLIENT_MAX = 1024,
	/* Progress words of one client: its contexts and fences at a time. */
	WORDS_PER_CLIENT_MAX = 4096,
	/* Contexts that may have work queued on one allocation at a time. */
	USERS_PER_ALLOCATION_MAX = 16,
	/* Allocations that belong to one context. */
	CONTEXT_ALLOCATIONS_MAX = 1024,
	/* Fences that one wait may name. */
	FENCES_PER_WAIT_MAX = 64,
	/* Waits on one fence: of everybody, of one client, and of the clients of
	 * one principal. WAITS_PER_FENCE_CLIENT_MAX are its maker's alone. */
	WAITS_PER_FENCE_MAX = 1024,
	WAITS_PER_FENCE_CLIENT_MAX = 128,
	WAITS_PER_FENCE_PRINCIPAL_MAX = 256,
	/* Descriptors of fences that have not come yet: of one client, and of
	 * one principal. The daemon keeps one for each. */
	WATCHES_PER_CLIENT_MAX = 64,
	WATCHES_PER_PRINCIPAL_MAX = 512,
	/* Records of allocations that several contexts use (struct users): of
	 * one client, and of one principal. There are USERS_MAX for all. */
	USERS_PER_CLIENT_MAX = 1 << 18,
	USERS_PER_PRINCIPAL_MAX = 1 << 20,
	/* The last refusals of each client that are kept for people. */
	REFUSALS_KEPT = 8,
	/* Descriptors a client may leave unacknowledged (H28). */
	FDS_UNACKNOWLEDGED_MAX = 16,
	/* Nested maps of one allocation that the daemon counts. */
	MAPS_PER_ALLOCATION_MAX = 65535,

	/* Records of each kind that one region can address. */
	SESSIONS_MAX = 1 << 16,
	PRINCIPALS_MAX = 1 << 14,
	DEVICES_MAX = 1 << 20,
	OBJECTS_MAX = 1 << 24,
	HOLDINGS_MAX = 1 << 24,
	TOKENS_MAX = 1 << 22,
	WAITERS_MAX = 1 << 20,
	STORES_MAX = 1 << 24,
	CHUNKS_MAX = 1 << 22,
	WARM_POOLS_MAX = SESSIONS_MAX * 64,
	CONTEXTS_MAX = 1 << 22,
	USERS_MAX = 1 << 22,
	FENCES_MAX = 1 << 22,
	WAITS_MAX = 1 << 22,
	CROWDS_MAX = 2 * WAITS_MAX, /* each wait is of two */

	/* Pools of warm memory that one client may have. */
	POOLS_PER_CLIENT_MAX = 64,
	/* Holders that one dispenser can have at a time. */
	DISPENSER_HOLDERS_MAX = 4096,
	/* Resources that one holder can have, unless it asks for fewer. */
	DISPENSER_RESOURCES_MAX = 1 << 26,
	/* Bytes of a string id with its NUL. */
	DISPENSER_STRING_BYTES = 256,
	/* Candidates that one search looks at, and those of one type. */
	DISPENSER_WINDOW = 64,
	DISPENSER_DEPTH = 32,
	/* Resources that one step of an operation moves or passes. */
	DISPENSER_STEP_ITEMS = 256,
};

/* One allocation is at most 2^46 bytes, so that 1024 of them cannot overflow. */
#define ALLOCATION_BYTES_MAX (UINT64_C(1) << 46)
#define PAGE_BYTES UINT64_C(4096)

/*
 * Destroyed slots that stay pinned: looks in vain at the front of a session's
 * stream after which one is set aside, how many of them are looked at in a
 * row, and the seconds after which people are told.
 */
enum { PINNED_LOOKS = 256, PINNED_AT_ONCE = 64, PINNED_TOLD_S = 1 };
#define PINNED_PERIOD_NS UINT64_C(100000000)

/*
 * What one release job of allocations gives back. Slots: some twenty
 * microseconds of cache misses, which is what a turn cannot divide. Bytes,
 * but for one allocation that has more: some milliseconds, so that whoever
 * releases, one job of each client after the other, does not keep anybody
 * waiting for the gigabytes of another.
 */
enum { JOB_SLOTS_MAX = 256 };
#define JOB_BYTES_MAX (UINT64_C(64) << 20)

#endif
