/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reasons: one sentence for each, the same in the library, the daemon's log
 * and the tools. A sentence says what was wrong with the call and, where the
 * cure is not obvious, what to do; it says nothing about other clients. A few
 * say no more than where it failed, and the errno says why
 * (reason_is_of_errno()).
 *
 * A reason without a sentence fails the unit test, which asks for all of them.
 */
#include "core/wire/reason.h"

#include "core/base.h"

static const char *destroy_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_FLAGS_RESERVED:
		return "a reserved flag bit is set";
	case TENURE_REASON_FLAGS_SYSTEM_ONLY:
		return "SYSTEM_USE_ONLY is for the daemon itself";
	case TENURE_REASON_RESOURCE_AND_LIST:
		return "both a resource and a list were given: name the "
		       "resource alone to destroy all of it";
	case TENURE_REASON_LIST_MISSING:
		return "a count was given without a list, or a wait without "
		       "fences";
	case TENURE_REASON_LIST_TOO_LONG:
		return "the list has more than 1024 entries: split it";
	case TENURE_REASON_LIST_TRUNCATED:
		return "the list is shorter than its count says";
	case TENURE_REASON_ENTRY_ZERO:
		return "the entry is the handle 0";
	case TENURE_REASON_ENTRY_INVALID:
		return "the entry names no allocation of this client";
	case TENURE_REASON_ENTRY_OF_SHARED:
		return "the entry belongs to a shared or opened resource: "
		       "destroy the resource instead";
	case TENURE_REASON_ENTRY_OTHER_RESOURCE:
		return "the entry belongs to another resource than the first";
	case TENURE_REASON_ENTRY_MIXED_OWNERS:
		return "the list mixes allocations of a resource with "
		       "allocations of the device";
	case TENURE_REASON_ENTRY_TWICE:
		return "the entry stands in the list twice";
	}
	return NULL;
}

static const char *handle_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_DEVICE_INVALID:
		return "the handle names no device of this client";
	case TENURE_REASON_DEVICE_REMOVED:
		return "the device has been removed, or is being destroyed";
	case TENURE_REASON_RESOURCE_INVALID:
		return "the handle names no resource of this client";
	case TENURE_REASON_ALLOCATION_INVALID:
		return "the handle names no allocation of this client";
	case TENURE_REASON_ADAPTER_INVALID:
		return "the handle names no adapter of this client, or not "
		       "the one that the memory lives on";
	case TENURE_REASON_OTHER_DEVICE:
		return "the handle belongs to another device of this client";
	case TENURE_REASON_WRONG_TYPE:
		return "the handle names an object of another type";
	case TENURE_REASON_CONTEXT_INVALID:
		return "the handle names no context of this client";
	case TENURE_REASON_FENCE_INVALID:
		return "the handle names no fence of this client";
	case TENURE_REASON_ADAPTER_UNKNOWN:
		return "there is no adapter of that name";
	case TENURE_REASON_ADAPTER_STOPPED:
		return "the adapter has stopped";
	}
	return NULL;
}

static const char *create_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_COUNT_ZERO:
		return "at least one allocation must be asked for";
	case TENURE_REASON_COUNT_TOO_LARGE:
		return "at most 1024 allocations can be created at once";
	case TENURE_REASON_SIZE_ZERO:
		return "the size of the allocation is 0";
	case TENURE_REASON_SIZE_TOO_LARGE:
		return "the size of the allocation is above 64 TiB";
	case TENURE_REASON_RESOURCE_SEALED:
		return "a shared or opened resource is sealed: nothing can "
		       "be added to it";
	case TENURE_REASON_RESOURCE_FULL:
		return "the resource would hold more than 1024 allocations";
	case TENURE_REASON_SHARED_NEEDS_RESOURCE:
		return "CREATE_SHARED needs CREATE_RESOURCE";
	case TENURE_REASON_CREATE_FLAGS_CONFLICT:
		return "CREATE_RESOURCE and an existing resource exclude each "
		       "other";
	case TENURE_REASON_PRIVATE_DATA_TOO_LARGE:
		return "private data is limited to 4096 bytes";
	case TENURE_REASON_PRIVATE_DATA_NEEDS_NEW:
		return "private data can only be given to a new resource";
	}
	return NULL;
}

static const char *access_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_NOT_SHAREABLE:
		return "the resource is private: create it with CREATE_SHARED";
	case TENURE_REASON_TOKEN_UNKNOWN:
		return "the token names nothing: it was never made, was "
		       "revoked, or its maker has ended";
	case TENURE_REASON_RIGHTS_INVALID:
		return "rights must be READ, perhaps with WRITE";
	case TENURE_REASON_RIGHTS_EXCEEDED:
		return "more rights were asked for than the opening or token "
		       "gives";
	case TENURE_REASON_OPEN_COUNT_MISMATCH:
		return "the number of allocations is not that of the resource";
	case TENURE_REASON_OPEN_PRIVATE_MISMATCH:
		return "the size of the private data is not that of the "
		       "resource";
	case TENURE_REASON_NOT_MAPPED:
		return "the allocation is not mapped";
	case TENURE_REASON_MAPPED_TOO_OFTEN:
		return "the allocation is mapped 65535 times, the most there "
		       "can be: unmap it as often as it was mapped";
	case TENURE_REASON_FDS_UNACKNOWLEDGED:
		return "too many descriptors were sent that this client has "
		       "not acknowledged";
	}
	return NULL;
}

static const char *work_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_CONTEXT_ENDING:
		return "the context is being destroyed: it takes no more work";
	case TENURE_REASON_VALUE_ZERO:
		return "work cannot end at progress value 0";
	case TENURE_REASON_VALUE_BACKWARDS:
		return "the progress value is below that of work submitted "
		       "before";
	case TENURE_REASON_USERS_TOO_MANY:
		return "the entry is used by unfinished work of 16 other "
		       "contexts";
	case TENURE_REASON_CONTEXT_FULL:
		return "the context would have more than 1024 allocations of "
		       "its own";
	case TENURE_REASON_FENCE_GONE:
		return "the fence was destroyed, or its device or its maker "
		       "has gone";
	case TENURE_REASON_WAIT_TOO_LONG:
		return "a wait can name at most 64 fences";
	case TENURE_REASON_WAIT_UNKNOWN:
		return "no wait with that id is open: it was answered, or "
		       "never asked for";
	case TENURE_REASON_WAIT_CANCELLED:
		return "the wait was cancelled";
	case TENURE_REASON_FENCE_ENTRY:
		return "the fence is published already, or not in an entry of "
		       "its maker's page";
	case TENURE_REASON_FENCE_UNPUBLISHED:
		return "the fence is not published: its value has to be asked "
		       "for";
	case TENURE_REASON_FENCE_WAITS:
		return "too many waits for this fence are open";
	}
	return NULL;
}

static const char *client_limit_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_CLIENT_BYTES:
		return "this client's limit on bytes is reached ([client] "
		       "bytes of tenured.conf)";
	case TENURE_REASON_CLIENT_HANDLES:
		return "this client's limit on handles is reached ([client] "
		       "handles of tenured.conf)";
	case TENURE_REASON_CLIENT_TOKENS:
		return "this client's limit on share tokens is reached "
		       "([client] tokens of tenured.conf)";
	case TENURE_REASON_CLIENT_STORES:
		return "this client's limit on stores (descriptors) is reached "
		       "([client] stores of tenured.conf)";
	case TENURE_REASON_CLIENT_WAITS:
		return "this client has too many requests waiting ([client] "
		       "waits of tenured.conf)";
	case TENURE_REASON_CLIENT_WORDS:
		return "this client has 4095 contexts and fences, the most "
		       "there can be: destroy some";
	case TENURE_REASON_CLIENT_WATCHES:
		return "this client has 64 descriptors of fences whose wait is "
		       "not over, the most there can be";
	case TENURE_REASON_CLIENT_SEGMENTS:
		return "this client's devices have taken as much room for "
		       "handles as it may have ([client] segments of "
		       "tenured.conf); fewer devices use it better";
	case TENURE_REASON_CLIENT_USERS:
		return "too many allocations of this client are used by "
		       "several contexts at a time";
	case TENURE_REASON_CLIENT_FENCE_WAITS:
		return "this client has too many waits for one fence open";
	case TENURE_REASON_CLIENT_ADAPTERS:
		return "this client has 1024 opens of adapters, the most there "
		       "can be: close each as often as it was opened";
	case TENURE_REASON_CLIENT_DEVICES:
		return "this client has 256 devices, the most there can be: "
		       "destroy some";
	}
	return NULL;
}

static const char *principal_limit_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_PRINCIPAL_WATCHES:
		return "this user or container has too many descriptors of "
		       "fences open";
	case TENURE_REASON_PRINCIPAL_USERS:
		return "too many allocations of this user or container are "
		       "used by several contexts at a time";
	case TENURE_REASON_PRINCIPAL_FENCE_WAITS:
		return "this user or container has too many waits for one "
		       "fence open";
	case TENURE_REASON_PRINCIPAL_BYTES:
		return "the limit on bytes of this user or container is "
		       "reached ([principal] bytes of tenured.conf)";
	case TENURE_REASON_PRINCIPAL_HANDLES:
		return "the limit on handles of this user or container is "
		       "reached ([principal] handles of tenured.conf)";
	case TENURE_REASON_PRINCIPAL_TOKENS:
		return "the limit on share tokens of this user or container is "
		       "reached ([principal] tokens of tenured.conf)";
	case TENURE_REASON_PRINCIPAL_STORES:
		return "the limit on stores (descriptors) of this user or "
		       "container is reached ([principal] stores of "
		       "tenured.conf)";
	case TENURE_REASON_PRINCIPAL_CLIENTS:
		return "this user or container has too many connections "
		       "([principal] clients of tenured.conf)";
	case TENURE_REASON_PRINCIPAL_WAITS:
		return "this user or container has too many requests waiting "
		       "([principal] waits of tenured.conf)";
	case TENURE_REASON_PRINCIPAL_SEGMENTS:
		return "the devices of this user or container have taken as "
		       "much room for handles as they may have ([principal] "
		       "segments of tenured.conf)";
	}
	return NULL;
}

static const char *daemon_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_DAEMON_CLIENTS:
		return "the daemon has reached its limit on clients ([daemon] "
		       "clients of tenured.conf)";
	case TENURE_REASON_DAEMON_MEMORY:
		return "the daemon has no memory for this; nothing was "
		       "changed";
	case TENURE_REASON_BACKEND:
		return "the memory backend could not do it";
	case TENURE_REASON_DAEMON_STOPPING:
		return "the daemon is stopping";
	case TENURE_REASON_DAEMON_BUSY:
		return "the daemon cannot take this now: try again";
	}
	return NULL;
}

static const char *protocol_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_UNKNOWN_REQUEST:
		return "the daemon does not know this request";
	case TENURE_REASON_NOT_PERMITTED:
		return "only root and the daemon's own user may ask this";
	case TENURE_REASON_MALFORMED:
		return "the message breaks the protocol";
	case TENURE_REASON_VERSION:
		return "no protocol version is spoken by both sides";
	case TENURE_REASON_MAGIC:
		return "the first message is not a hello of this protocol";
	case TENURE_REASON_HELLO_EXPECTED:
		return "a request came before the hello";
	case TENURE_REASON_HELLO_TWICE:
		return "a second hello came";
	case TENURE_REASON_HELLO_TIMEOUT:
		return "no hello came in time";
	case TENURE_REASON_DESCRIPTORS_SENT:
		return "a client may not send descriptors";
	case TENURE_REASON_MESSAGE_TOO_LONG:
		return "the message is longer than any request can be";
	case TENURE_REASON_ACK_EXCESS:
		return "more descriptors were acknowledged than were sent";
	case TENURE_REASON_RING_CORRUPT:
		return "the shared ring holds what no client may write";
	case TENURE_REASON_RING_TWICE:
		return "a ring, its doorbell and its page of fences are given "
		       "once each, the ring first";
	}
	return NULL;
}

static const char *library_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_ARGUMENT:
		return "an argument is NULL or out of range";
	case TENURE_REASON_NO_DAEMON:
		return "no daemon answers there: is tenured running?";
	case TENURE_REASON_CONNECTION_LOST:
		return "the connection to the daemon is lost";
	case TENURE_REASON_FORKED:
		return "the connection belongs to the process before fork: "
		       "connect again";
	case TENURE_REASON_DAEMON_PROTOCOL:
		return "the peer does not follow the protocol: is it "
		       "tenured?";
	case TENURE_REASON_MAP_FAILED:
		return "the memory could not be mapped";
	case TENURE_REASON_SPAWN_FAILED:
		return "no private daemon could be started: is tenured "
		       "installed, or named by TENURE_DAEMON?";
	case TENURE_REASON_PATH_TOO_LONG:
		return "the socket path is too long for a unix socket";
	case TENURE_REASON_LIBRARY_MEMORY:
		return "this process has no memory for the library";
	case TENURE_REASON_ROOM_TOO_SMALL:
		return "the room given for the sizes is too small: the answer "
		       "says how many there are";
	case TENURE_REASON_PLACE_FORBIDDEN:
		return "this user may not connect to a socket there";
	case TENURE_REASON_CONNECT_FAILED:
		return "the connection could not be made";
	case TENURE_REASON_NO_DESCRIPTOR:
		return "this process has no room for another descriptor";
	case TENURE_REASON_DAEMON_SILENT:
		return "somebody listens there but has not answered in time: "
		       "is the daemon stopped, or is it another program?";
	}
	return NULL;
}

static const char *dispenser_sentence(enum tenure_reason reason)
{
	switch ((unsigned int)reason) {
	case TENURE_REASON_HOLDER_INVALID:
		return "the handle names no holder of this dispenser that is "
		       "open";
	case TENURE_REASON_HOLDERS:
		return "the dispenser has too many holders";
	case TENURE_REASON_HOLDER_FULL:
		return "the holder has as many resources as it may have";
	case TENURE_REASON_ID_UNKNOWN:
		return "the id names no resource that this can be done to "
		       "now";
	case TENURE_REASON_ID_KIND:
		return "the driver uses ids of the other kind (numbers or "
		       "strings)";
	case TENURE_REASON_DRIVER_ID:
		return "the driver made an id that is empty or not new";
	case TENURE_REASON_DRIVER_FAILED:
		return "the driver of the resource failed";
	case TENURE_REASON_IN_DRIVER:
		return "a driver cannot destroy the dispenser that called it";
	case TENURE_REASON_POOL_UNKNOWN:
		return "the number names no pool of this client";
	case TENURE_REASON_CLIENT_POOLS:
		return "this client has 64 pools, the most there can be: "
		       "destroy some";
	case TENURE_REASON_POOL_SIZE:
		return "the size is 0, or above that of the pool's largest "
		       "buffer";
	}
	return NULL;
}

const char *reason_sentence(enum tenure_reason reason)
{
	const char *(*const groups[])(enum tenure_reason) = {
		destroy_sentence,
		handle_sentence,
		create_sentence,
		access_sentence,
		work_sentence,
		client_limit_sentence,
		principal_limit_sentence,
		daemon_sentence,
		protocol_sentence,
		library_sentence,
		dispenser_sentence,
	};

	if (reason == TENURE_REASON_NONE)
		return "no reason was recorded";
	for (unsigned int i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		const char *sentence = groups[i](reason);

		if (sentence != NULL)
			return sentence;
	}
	return "a reason that this version does not know";
}

bool reason_is_of_errno(enum tenure_reason reason)
{
	return reason == TENURE_REASON_BACKEND ||
	       reason == TENURE_REASON_MAP_FAILED ||
	       reason == TENURE_REASON_CONNECT_FAILED ||
	       reason == TENURE_REASON_DRIVER_FAILED;
}

const char *reason_rules(enum tenure_reason reason)
{
	static const struct {
		enum tenure_reason reason;
		const char *rules;
	} rules[] = {
		{ TENURE_REASON_FLAGS_RESERVED, "A74" },
		{ TENURE_REASON_FLAGS_SYSTEM_ONLY, "A75" },
		{ TENURE_REASON_RESOURCE_AND_LIST, "A19" },
		{ TENURE_REASON_LIST_MISSING, "A12" },
		{ TENURE_REASON_LIST_TOO_LONG, "A14" },
		{ TENURE_REASON_LIST_TRUNCATED, "A13" },
		{ TENURE_REASON_DEVICE_INVALID, "A03 A04 A06" },
		{ TENURE_REASON_DEVICE_REMOVED, "A07 H22" },
		{ TENURE_REASON_RESOURCE_INVALID, "A30 A31 A33 A35 H13" },
		{ TENURE_REASON_ALLOCATION_INVALID, "B31" },
		{ TENURE_REASON_OTHER_DEVICE, "A32 A55" },
		{ TENURE_REASON_WRONG_TYPE, "A05 A34 A58 B31" },
		{ TENURE_REASON_ADAPTER_INVALID, "H26 B31" },
		{ TENURE_REASON_ENTRY_ZERO, "A56" },
		{ TENURE_REASON_ENTRY_INVALID, "A57 A64" },
		{ TENURE_REASON_ENTRY_OF_SHARED, "A54" },
		{ TENURE_REASON_ENTRY_OTHER_RESOURCE, "A52" },
		{ TENURE_REASON_ENTRY_MIXED_OWNERS, "A53" },
		{ TENURE_REASON_ENTRY_TWICE, "A60" },
		{ TENURE_REASON_COUNT_ZERO, "H11" },
		{ TENURE_REASON_COUNT_TOO_LARGE, "H12" },
		{ TENURE_REASON_RESOURCE_SEALED, "H08" },
		{ TENURE_REASON_RESOURCE_FULL, "H09" },
		{ TENURE_REASON_SHARED_NEEDS_RESOURCE, "H10" },
		{ TENURE_REASON_NOT_SHAREABLE, "H17" },
		{ TENURE_REASON_TOKEN_UNKNOWN, "H15" },
		{ TENURE_REASON_RIGHTS_INVALID, "H16" },
		{ TENURE_REASON_RIGHTS_EXCEEDED, "H16 H42" },
		{ TENURE_REASON_OPEN_COUNT_MISMATCH, "H06" },
		{ TENURE_REASON_OPEN_PRIVATE_MISMATCH, "H06" },
		{ TENURE_REASON_NOT_MAPPED, "H18" },
		{ TENURE_REASON_ADAPTER_STOPPED, "H28" },
		{ TENURE_REASON_CONTEXT_ENDING, "H33" },
		{ TENURE_REASON_VALUE_ZERO, "H31" },
		{ TENURE_REASON_VALUE_BACKWARDS, "H31" },
		{ TENURE_REASON_FENCE_GONE, "H43 H44" },
		{ TENURE_REASON_WAIT_TOO_LONG, "H41" },
		{ TENURE_REASON_WAIT_UNKNOWN, "H41" },
		{ TENURE_REASON_WAIT_CANCELLED, "H41" },
		{ TENURE_REASON_FENCE_WAITS, "H41" },
		{ TENURE_REASON_CLIENT_FENCE_WAITS, "H41" },
		{ TENURE_REASON_PRINCIPAL_FENCE_WAITS, "H41" },
	};

	for (unsigned int i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].reason == reason)
			return rules[i].rules;
	return "";
}
