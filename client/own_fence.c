/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own fences
 *
 * A fence has a word in its maker's ring, as a context has. Its maker signals
 * by storing the value there, and rings only if somebody waits for it and the
 * daemon sleeps:
 *
 *	maker: store word --> (asked to ring?) --> doorbell
 *	daemon:  looks when it is rung, asked for the value, asked to wait, and
 *	         before the fence ends: a store is never lost
 *
 * What counts is the greatest value that the daemon has ever seen, by word or
 * by message, so the order of a store and of a request does not matter, and
 * nothing that is stored twice or too low does harm.
 *
 * The daemon may end a fence of its own accord, with its adapter, and give the
 * word to something newer. So nothing is stored while a create is under way
 * that may be given the word, and the reply to it takes the word away from
 * whoever had it here (client/work.c).
 *
 * Others than the maker signal by a request, whatever their rights: the word
 * is in memory that only the maker can write.
 *
 * Before a fence is shared for the first time it is published: it gets an entry
 * of a page that its openers map for reading (core/ring/fence_page.h). From then
 * on its value is there, for the daemon too, and a signal raises it there. The
 * entries are ours to give, and one is used again only when its fence has been
 * destroyed here, so G2 needs nothing more for them. While the daemon is being
 * told, a signal does both.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  With a ring the maker's signal is a store: no request, and no system
 *      call but the doorbell when somebody waits.
 *  G2  Nothing is stored into a word that is, or may be by now, that of
 *      something newer.
 *  G3  The word never goes back.
 *  G4  A published fence's value is in its entry before the signal returns
 *      (tests/integration/fence_page_test.c).
 */
#include "client/own_fence.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/connection.h"
#include "client/view.h"

struct own_fence {
	struct keymap_node node; /* first; key: the handle */
	struct keymap_node word; /* key: its word, 0: none */
	uint64_t device;
	uint64_t stored;
	uint32_t entry; /* of the page, or 0 */
	bool is_publishing; /* the daemon may not know the entry yet */
	uint64_t tag;
};

void own_fences_init(struct own_fences *fences)
{
	keymap_init(&fences->by_handle);
}

static struct own_fence *find(const struct tenure *connection, uint64_t handle)
{
	return (struct own_fence *)(void *)keymap_find(
		&connection->own_fences.by_handle, handle);
}

/* A free entry of the page, now taken; 0: there is none. */
static uint32_t take_entry(struct own_fences *fences)
{
	for (uint32_t i = 1; i < FENCE_PAGE_ENTRIES; i++) {
		if (fences->used[i / 64] >> i % 64 & 1)
			continue;
		fences->used[i / 64] |= UINT64_C(1) << i % 64;
		return i;
	}
	return 0;
}

/* Nobody finds the fence there any more. */
static void give_entry(struct own_fences *fences, uint32_t entry)
{
	if (entry == 0)
		return;
	if (fences->page)
		fence_page_end(fences->page, entry);
	fences->used[entry / 64] &= ~(UINT64_C(1) << entry % 64);
}

static void drop(struct tenure *connection, struct own_fence *fence)
{
	give_entry(&connection->own_fences, fence->entry);
	keymap_remove(&connection->own_fences.by_handle, &fence->node);
	if (fence->word.key != 0)
		keymap_remove(&connection->work.words, &fence->word);
	free(fence);
}

void own_fences_deinit(struct tenure *connection, bool forked)
{
	struct own_fences *fences = &connection->own_fences;
	struct keymap *all = &fences->by_handle;
	struct keymap_node *node;

	/* It is not mapped in a child, and something else may be there. */
	if (fences->page && !forked)
		munmap(fences->page, sizeof(*fences->page));
	fences->page = NULL;
	while ((node = keymap_any(all)))
		drop(connection, (struct own_fence *)(void *)node);
	keymap_deinit(all);
}

static void enter(struct tenure *connection, struct own_fence *fence)
{
	keymap_insert(&connection->own_fences.by_handle, &fence->node);
	if (fence->word.key != 0)
		keymap_insert(&connection->work.words, &fence->word);
}

int own_fence_create_waits(struct tenure *connection, uint64_t device,
			   uint64_t value, uint64_t *ret_handle)
{
	struct own_fence *fence = calloc(1, sizeof(*fence));
	struct call call = {
		.request = {
			.opcode = WIRE_OP_FENCE_CREATE,
			.device = device,
			.value[0] = value,
		},
	};
	uint32_t word = 0;
	int status;

	if (!fence)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	status = work_create_waits(connection, &call, &word);
	/* A handle that is none, or is known, is no answer. */
	if (status == 0 &&
	    (call.reply.value[0] == 0 || find(connection, call.reply.value[0])))
		status = connection_distrust_locked(connection);
	if (status < 0) {
		free(fence);
		return status;
	}
	fence->node.key = call.reply.value[0];
	fence->word.key = word;
	fence->device = device;
	fence->stored = value;
	enter(connection, fence);
	*ret_handle = fence->node.key;
	return 0;
}

/* Maps the page that the daemon has sent, and closes its descriptor. */
static struct fence_page *map_page(int fd)
{
	const size_t bytes = sizeof(struct fence_page);
	void *at = MAP_FAILED;

	if (view_check_descriptor(fd, bytes) == 0)
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0);
	close(fd);
	if (at == MAP_FAILED)
		return NULL;
	if (madvise(at, bytes, MADV_DONTFORK) == 0)
		return at;
	munmap(at, bytes);
	return NULL;
}

/* Asks for the page, once; by the socket, which keeps the lock. */
static struct fence_page *get_page(struct tenure *connection)
{
	struct own_fences *fences = &connection->own_fences;
	struct call call = { .request.opcode = WIRE_OP_FENCE_PAGE };

	if (fences->page_is_asked)
		return fences->page;
	fences->page_is_asked = true;
	if (connection_call_locked(connection, &call) == 0 && call.fd >= 0)
		fences->page = map_page(call.fd);
	return fences->page;
}

/* The daemon is told of an entry that others can read by now; they learn its
 * tag from the daemon only. */
static void tell_waits(struct tenure *connection, struct own_fence *fence)
{
	struct own_fences *fences = &connection->own_fences;
	uint64_t handle = fence->node.key;
	struct call call = {
		.request = {
			.opcode = WIRE_OP_FENCE_PUBLISH,
			.device = fence->device,
			.object = handle,
			.value = { fence->entry, fence->tag },
		},
	};
	int status;

	fence->is_publishing = true;
	status = connection_call_locked(connection, &call);
	fence = find(connection, handle);
	if (!fence)
		return;
	fence->is_publishing = false;
	if (status == 0)
		return;
	give_entry(fences, fence->entry);
	fence->entry = 0;
}

void own_fence_publish_waits(struct tenure *connection, uint64_t device,
			     uint64_t handle)
{
	struct own_fences *fences = &connection->own_fences;
	struct own_fence *fence = find(connection, handle);
	struct tenure_refusal before;

	if (!connection->ringside || !fence || fence->device != device ||
	    fence->entry != 0)
		return;
	/* A refusal means that its value has to be asked for, no more. */
	tenure_last_refusal(&before);
	if (get_page(connection))
		fence->entry = take_entry(fences);
	if (fence->entry != 0) {
		fence->tag = ++fences->last_tag;
		fence_page_begin(fences->page, fence->entry, fence->stored);
		fence_page_publish(fences->page, fence->entry, fence->tag);
		tell_waits(connection, fence);
	}
	if (connection->dead_status == 0)
		refusal_restore(&before);
}

bool own_fence_try_value(const struct tenure *connection, uint64_t device,
			 uint64_t handle, uint64_t *ret_value)
{
	const struct own_fences *fences = &connection->own_fences;
	const struct own_fence *fence = find(connection, handle);

	return fence && fence->device == device && fence->entry != 0 &&
	       !fence->is_publishing &&
	       fence_page_read(fences->page, fence->entry, fence->tag,
			       ret_value);
}

/* Raises it where others read it; whether that is all there is to do. */
static bool try_raise(const struct own_fences *fences, struct own_fence *fence,
		      uint64_t value)
{
	if (fence->entry == 0)
		return false;
	fence_page_raise(fences->page, fence->entry, value);
	return !fence->is_publishing;
}

bool own_fence_try_signal(struct tenure *connection, uint64_t device,
			  uint64_t handle, uint64_t value)
{
	const struct ringside *side = connection->ringside;
	struct own_fence *fence = find(connection, handle);

	if (!side || !fence || fence->device != device)
		return false;
	if (value <= fence->stored)
		return true;
	if (try_raise(&connection->own_fences, fence, value)) {
		fence->stored = value;
		if (ring_client_is_asked(side->map.ring))
			ringmap_bell(&side->map);
		return true;
	}
	if (fence->word.key == 0 || connection->work.creating > 0)
		return false;
	fence->stored = value;
	if (ring_client_progress(side->map.ring, (uint32_t)fence->word.key,
				 value))
		ringmap_bell(&side->map);
	return true;
}

void own_fence_forget(struct tenure *connection, uint64_t handle)
{
	struct own_fence *fence = find(connection, handle);

	if (fence)
		drop(connection, fence);
}

struct sweep {
	struct tenure *connection;
	const struct work_scope *scope;
};

static void forget_one(void *context, struct keymap_node *node)
{
	const struct sweep *s = context;
	struct own_fence *fence = (struct own_fence *)(void *)node;

	if (work_scope_has(s->connection, s->scope, 0, fence->device))
		drop(s->connection, fence);
}

void own_fences_forget(struct tenure *connection,
		       const struct work_scope *scope)
{
	struct sweep s = { connection, scope };

	keymap_each(&connection->own_fences.by_handle, forget_one, &s);
}
