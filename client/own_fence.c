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
 * Guarantees, cited by the tests:
 *
 *  G1  With a ring the maker's signal is a store: no request, and no system
 *      call but the doorbell when somebody waits.
 *  G2  Nothing is stored into a word that is, or may be by now, that of
 *      something newer.
 *  G3  The word never goes back.
 */
#include "client/own_fence.h"

#include <stdlib.h>

#include "client/connection.h"

struct own_fence {
	struct keymap_node node; /* first; key: the handle */
	struct keymap_node word; /* key: its word, 0: none */
	uint64_t device;
	uint64_t stored;
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

static void drop(struct tenure *connection, struct own_fence *fence)
{
	keymap_remove(&connection->own_fences.by_handle, &fence->node);
	if (fence->word.key != 0)
		keymap_remove(&connection->work.words, &fence->word);
	free(fence);
}

void own_fences_deinit(struct tenure *connection)
{
	struct keymap *all = &connection->own_fences.by_handle;
	struct keymap_node *node;

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

bool own_fence_try_signal(struct tenure *connection, uint64_t device,
			  uint64_t handle, uint64_t value)
{
	const struct ringside *side = connection->ringside;
	struct own_fence *fence = find(connection, handle);

	if (!side || !fence || fence->device != device ||
	    fence->word.key == 0 || connection->work.creating > 0)
		return false;
	if (value <= fence->stored)
		return true;
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
