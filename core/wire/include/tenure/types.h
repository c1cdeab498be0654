/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words that library, wire and daemon share: flags, rights and the
 * reasons of a refusal. Applications get this through <tenure/tenure.h>.
 *
 * Values are part of the protocol and of the ABI: they are never renumbered.
 */
#ifndef TENURE_TYPES_H
#define TENURE_TYPES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a destroy treats work in flight (rules A70 to A75). */
enum tenure_destroy_flags {
	/* The caller promises that no pending work of the owning device uses
	 * it; work of that device is not waited for. */
	TENURE_DESTROY_ASSUME_NOT_IN_USE = 1u << 0,
	/* The call completes when the memory has been given back, as far as
	 * this opening decides it; it never waits for foreign openers. */
	TENURE_DESTROY_SYNCHRONOUS = 1u << 1,
};

/* A flag too, but an enumerator of C11 is an int. Reserved for the daemon
 * itself; a client is refused (A75). */
#define TENURE_DESTROY_SYSTEM_USE_ONLY (1u << 31)

/* How a context or a device ends. */
enum tenure_end_flags {
	/* Work that was submitted counts as done now; without it the end waits
	 * for that work. */
	TENURE_END_TERMINATE = 1u << 0,
};

/* Memory that belongs to a context. */
enum tenure_context_allocation_flags {
	/* All contexts of the device use it; it goes with the device. */
	TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS = 1u << 0,
};

/* Which fences a wait is for. */
enum tenure_wait_flags {
	/* All of them; without it the first one is enough. */
	TENURE_WAIT_ALL = 1u << 0,
};

enum tenure_create_flags {
	/* Make a resource that groups the allocations. Without it, and with no
	 * resource given, the allocations belong to the device. */
	TENURE_CREATE_RESOURCE = 1u << 0,
	/* The resource may be shared and opened; it is sealed from birth: no
	 * allocation can be added, none destroyed alone (A54). Needs
	 * TENURE_CREATE_RESOURCE. */
	TENURE_CREATE_SHARED = 1u << 1,
};

/* What the holder of a token, or an opening, may do. */
enum tenure_rights {
	TENURE_RIGHT_READ = 1u << 0,
	TENURE_RIGHT_WRITE = 1u << 1,
};

/*
 * Why a call was refused. tenure_strreason() turns it into a sentence. For a
 * handle that is not the caller's own, "never issued", "stale" and "of another
 * client" are one and the same reason.
 */
enum tenure_reason {
	TENURE_REASON_NONE = 0,

	/* destroy: the shape of the request */
	TENURE_REASON_FLAGS_RESERVED = 1,
	TENURE_REASON_FLAGS_SYSTEM_ONLY = 2,
	TENURE_REASON_RESOURCE_AND_LIST = 3,
	TENURE_REASON_LIST_MISSING = 4,
	TENURE_REASON_LIST_TOO_LONG = 5,
	TENURE_REASON_LIST_TRUNCATED = 6,

	/* handles */
	TENURE_REASON_DEVICE_INVALID = 10,
	TENURE_REASON_DEVICE_REMOVED = 11,
	TENURE_REASON_RESOURCE_INVALID = 12,
	TENURE_REASON_ALLOCATION_INVALID = 13,
	TENURE_REASON_ADAPTER_INVALID = 14,
	TENURE_REASON_OTHER_DEVICE = 15,
	TENURE_REASON_WRONG_TYPE = 16,
	TENURE_REASON_CONTEXT_INVALID = 17,
	TENURE_REASON_FENCE_INVALID = 18,

	/* destroy: entries of the list */
	TENURE_REASON_ENTRY_ZERO = 20,
	TENURE_REASON_ENTRY_INVALID = 21,
	TENURE_REASON_ENTRY_OF_SHARED = 22,
	TENURE_REASON_ENTRY_OTHER_RESOURCE = 23,
	TENURE_REASON_ENTRY_MIXED_OWNERS = 24,
	TENURE_REASON_ENTRY_TWICE = 25,

	/* create */
	TENURE_REASON_COUNT_ZERO = 30,
	TENURE_REASON_COUNT_TOO_LARGE = 31,
	TENURE_REASON_SIZE_ZERO = 32,
	TENURE_REASON_SIZE_TOO_LARGE = 33,
	TENURE_REASON_RESOURCE_SEALED = 34,
	TENURE_REASON_RESOURCE_FULL = 35,
	TENURE_REASON_SHARED_NEEDS_RESOURCE = 36,
	TENURE_REASON_CREATE_FLAGS_CONFLICT = 37,
	TENURE_REASON_PRIVATE_DATA_TOO_LARGE = 38,
	TENURE_REASON_PRIVATE_DATA_NEEDS_NEW = 39,

	/* adapters */
	TENURE_REASON_ADAPTER_UNKNOWN = 45,
	TENURE_REASON_ADAPTER_STOPPED = 46,

	/* share, query, open, map */
	TENURE_REASON_NOT_SHAREABLE = 50,
	TENURE_REASON_TOKEN_UNKNOWN = 51,
	TENURE_REASON_RIGHTS_INVALID = 53,
	TENURE_REASON_RIGHTS_EXCEEDED = 54,
	TENURE_REASON_OPEN_COUNT_MISMATCH = 55,
	TENURE_REASON_OPEN_PRIVATE_MISMATCH = 56,
	TENURE_REASON_NOT_MAPPED = 57,
	TENURE_REASON_MAPPED_TOO_OFTEN = 58,
	TENURE_REASON_FDS_UNACKNOWLEDGED = 59,

	/* contexts and their work */
	TENURE_REASON_CONTEXT_ENDING = 60,
	TENURE_REASON_VALUE_ZERO = 61,
	TENURE_REASON_VALUE_BACKWARDS = 62,
	TENURE_REASON_USERS_TOO_MANY = 63,
	TENURE_REASON_CONTEXT_FULL = 64,

	/* fences */
	TENURE_REASON_FENCE_GONE = 65,
	TENURE_REASON_WAIT_TOO_LONG = 66,
	TENURE_REASON_WAIT_UNKNOWN = 67,
	TENURE_REASON_WAIT_CANCELLED = 68,
	TENURE_REASON_FENCE_WAITS = 69,
	TENURE_REASON_FENCE_ENTRY = 104,
	TENURE_REASON_FENCE_UNPUBLISHED = 105,

	/* limits: of this client, of its principal, of the whole daemon */
	TENURE_REASON_CLIENT_BYTES = 70,
	TENURE_REASON_CLIENT_HANDLES = 71,
	TENURE_REASON_CLIENT_TOKENS = 72,
	TENURE_REASON_CLIENT_STORES = 73,
	TENURE_REASON_CLIENT_WAITS = 74,
	TENURE_REASON_PRINCIPAL_BYTES = 75,
	TENURE_REASON_PRINCIPAL_HANDLES = 76,
	TENURE_REASON_PRINCIPAL_TOKENS = 77,
	TENURE_REASON_PRINCIPAL_STORES = 78,
	TENURE_REASON_PRINCIPAL_CLIENTS = 79,
	TENURE_REASON_DAEMON_CLIENTS = 80,
	TENURE_REASON_DAEMON_MEMORY = 81,
	TENURE_REASON_BACKEND = 82,
	TENURE_REASON_DAEMON_STOPPING = 83,
	TENURE_REASON_DAEMON_BUSY = 84,
	TENURE_REASON_CLIENT_DEVICES = 85,
	TENURE_REASON_PRINCIPAL_WAITS = 86,
	TENURE_REASON_CLIENT_WORDS = 87,
	TENURE_REASON_CLIENT_WATCHES = 88,
	TENURE_REASON_PRINCIPAL_WATCHES = 89,

	/* protocol: the connection ends, except for the first two */
	TENURE_REASON_UNKNOWN_REQUEST = 90,
	TENURE_REASON_NOT_PERMITTED = 91,
	TENURE_REASON_MALFORMED = 92,
	TENURE_REASON_VERSION = 93,
	TENURE_REASON_MAGIC = 94,
	TENURE_REASON_HELLO_EXPECTED = 95,
	TENURE_REASON_HELLO_TWICE = 96,
	TENURE_REASON_HELLO_TIMEOUT = 97,
	TENURE_REASON_DESCRIPTORS_SENT = 98,
	TENURE_REASON_MESSAGE_TOO_LONG = 99,
	TENURE_REASON_ACK_EXCESS = 100,
	TENURE_REASON_RING_CORRUPT = 101,
	TENURE_REASON_RING_TWICE = 102,

	/* limits, like those from 70 on */
	TENURE_REASON_CLIENT_SEGMENTS = 110,
	TENURE_REASON_PRINCIPAL_SEGMENTS = 111,
	TENURE_REASON_CLIENT_USERS = 112,
	TENURE_REASON_PRINCIPAL_USERS = 113,
	TENURE_REASON_CLIENT_FENCE_WAITS = 114,
	TENURE_REASON_PRINCIPAL_FENCE_WAITS = 115,
	TENURE_REASON_CLIENT_ADAPTERS = 116,

	/* found by the library itself */
	TENURE_REASON_ARGUMENT = 120,
	TENURE_REASON_NO_DAEMON = 121,
	TENURE_REASON_CONNECTION_LOST = 122,
	TENURE_REASON_FORKED = 123,
	TENURE_REASON_DAEMON_PROTOCOL = 124,
	TENURE_REASON_MAP_FAILED = 125,
	TENURE_REASON_SPAWN_FAILED = 126,
	TENURE_REASON_PATH_TOO_LONG = 127,
	TENURE_REASON_LIBRARY_MEMORY = 128,
	TENURE_REASON_ROOM_TOO_SMALL = 129,
	TENURE_REASON_DAEMON_SILENT = 130,
	TENURE_REASON_PLACE_FORBIDDEN = 131,
	TENURE_REASON_CONNECT_FAILED = 132,
	TENURE_REASON_NO_DESCRIPTOR = 133,

	/* dispenser and pools, mostly found by the library too */
	TENURE_REASON_HOLDER_INVALID = 140,
	TENURE_REASON_HOLDERS = 141,
	TENURE_REASON_HOLDER_FULL = 142,
	TENURE_REASON_ID_UNKNOWN = 143,
	TENURE_REASON_ID_KIND = 144,
	TENURE_REASON_DRIVER_ID = 145,
	TENURE_REASON_DRIVER_FAILED = 146,
	TENURE_REASON_IN_DRIVER = 147,
	TENURE_REASON_POOL_SIZE = 148,
	TENURE_REASON_POOL_UNKNOWN = 149,
	TENURE_REASON_CLIENT_POOLS = 150,
};

#ifdef __cplusplus
}
#endif

#endif
