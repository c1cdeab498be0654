/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping
 *
 * The application counts maps of an allocation; the daemon is told only of the
 * first and of the last. In between a map is a look-up: no message, no system
 * call.
 *
 *	maps here:      0 --map--> 1 --map--> 2 --unmap--> 1 --unmap--> 0
 *	at the daemon:      MAP                                UNMAP
 *
 * A map for writing of what is mapped only for reading asks the daemon again,
 * since it needs the right and a writable descriptor; the pages are then made
 * writable in place, and the daemon counts two.
 *
 * The descriptor is asked for only when the store has no view with that
 * protection yet. It is closed as soon as it has been mapped: views need none,
 * and a process with a hundred stores does not have a hundred descriptors.
 *
 * A map of what is not mapped yet may wait for the daemon without the lock. One
 * thread at a time maps or unmaps (TURN_MAPPING), so the counts stay in step;
 * but a destroy by another thread may overtake the answer, so the allocation
 * is looked up again after it. One that the library did not know is entered
 * before the question, for the destroy to find.
 *
 * Populating happens without the lock, because it may take seconds and the
 * lock would keep other threads from the daemon. The application must not
 * destroy what it is mapping, so the address cannot go away meanwhile.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  The daemon's count ends at 0 when the application's does.
 *  G2  A map that fails, for whatever reason, has changed no count on either
 *      side, and left no descriptor and no address space.
 *  G3  What the daemon says about a place is believed only when it fits in the
 *      store, and the store in the descriptor.
 */
#include "client/mapping.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void undo_map(struct tenure *connection,
		     const struct mapping_request *mapping)
{
	struct call call = {
		.request.opcode = WIRE_OP_UNMAP,
		.request.device = mapping->device.value,
		.request.object = mapping->allocation.value,
	};

	connection_undo_locked(connection, &call);
}

static bool place_is_sound(const struct placement *place)
{
	return place->store != 0 && place->store <= UINT64_MAX >> 1 &&
	       place->size_bytes > 0 && place->size_bytes % PAGE_BYTES == 0 &&
	       place->offset % PAGE_BYTES == 0 &&
	       place->store_bytes <= INT64_MAX &&
	       place->offset <= place->store_bytes &&
	       place->size_bytes <= place->store_bytes - place->offset;
}

/* Sends MAP; 0 with a sound place, and with a descriptor if it was wanted. */
static int ask(struct tenure *connection, const struct mapping_request *mapping,
	       bool want_fd, struct placement *ret_place, int *ret_fd)
{
	struct call call = {
		.request = {
			.opcode = WIRE_OP_MAP,
			.flags = (mapping->write ? WIRE_MAP_WRITE : 0) |
				 (want_fd ? WIRE_MAP_WANT_FD : 0),
			.device = mapping->device.value,
			.object = mapping->allocation.value,
		},
	};
	int status = connection_call_locked(connection, &call);

	if (status < 0)
		return status;
	*ret_place = (struct placement){
		.store = call.reply.value[0],
		.offset = call.reply.value[1],
		.size_bytes = call.reply.value[2],
		.store_bytes = call.reply.value[3],
	};
	if (call.reply.data_bytes != 0 || !place_is_sound(ret_place)) {
		if (call.fd >= 0)
			close(call.fd);
		return connection_distrust_locked(connection);
	}
	if (call.fd_lost) {
		undo_map(connection, mapping);
		return refusal_set(-EMFILE, TENURE_REASON_MAP_FAILED);
	}
	*ret_fd = call.fd;
	return 0;
}

/* A failure of the mapping itself: the daemon lied, or the system is short. */
static int map_failed(struct tenure *connection,
		      const struct mapping_request *mapping, int status)
{
	if (status == -EPROTO)
		return connection_distrust_locked(connection);
	undo_map(connection, mapping);
	return refusal_set(status, TENURE_REASON_MAP_FAILED);
}

/* Makes a mapped allocation writable where it is. */
static int upgrade(struct tenure *connection,
		   const struct mapping_request *mapping,
		   struct ledger_allocation *allocation)
{
	struct view *view = allocation->view;
	struct placement place;
	int fd, status;

	status = ask(connection, mapping, true, &place, &fd);
	if (status < 0)
		return status;
	if (place.store != allocation->group->store ||
	    place.store_bytes != view->size_bytes ||
	    place.size_bytes != allocation->size_bytes ||
	    view->base + place.offset != (uint8_t *)allocation->pointer)
		status = -EPROTO;
	else
		status = view_upgrade(view, &place, fd);
	close(fd);
	if (status < 0)
		return map_failed(connection, mapping, status);
	allocation->writable = true;
	allocation->daemon_maps++;
	allocation->maps++;
	return 0;
}

/* What a first map needs besides the daemon's answer. */
struct first_map {
	struct view *view; /* of the store, if there is one; a reference */
	struct view *spare; /* memory for a new one */
	bool is_stray; /* entered by this map */
};

/* The allocation to be mapped, as it is known now, or NULL. */
static struct ledger_allocation *
find_allocation(const struct tenure *connection,
		const struct mapping_request *mapping)
{
	return ledger_allocation(&connection->ledger,
				 mapping->allocation.value);
}

/* The view that it lies in, if that is known and exists. */
static struct view *known_view(const struct tenure *connection,
			       const struct mapping_request *mapping)
{
	struct ledger_allocation *allocation =
		find_allocation(connection, mapping);

	if (!allocation || allocation->group->store == 0)
		return NULL;
	return view_find(&connection->ledger.views, allocation->group->store,
			 mapping->write);
}

/*
 * Enters an allocation that the library was not told about, before the daemon
 * is asked: so a destroy that overtakes the answer finds it here.
 */
static int adopt_stray(struct tenure *connection,
		       const struct mapping_request *mapping)
{
	uint64_t handle = mapping->allocation.value;
	struct ledger_group *stray = ledger_group_new(1);
	int status;

	if (!stray)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	status = ledger_group_publish(&connection->ledger, stray,
				      mapping->device.value, 0, &handle);
	/* Its handle is not 0 and not known. */
	assert(status == 0);
	return 0;
}

/* Afterwards the lock is kept until a request by the socket. */
static int first_map_reserve(struct tenure *connection,
			     const struct mapping_request *mapping,
			     struct first_map *first)
{
	int status = 0;

	*first = (struct first_map){ 0 };
	if (!known_view(connection, mapping))
		status = connection_settle_locked(connection);
	if (status < 0)
		return status;
	first->spare = malloc(sizeof(*first->spare));
	if (!first->spare)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	if (mapping->allocation.value != 0 &&
	    !find_allocation(connection, mapping)) {
		status = adopt_stray(connection, mapping);
		if (status < 0)
			return status;
		first->is_stray = true;
	}
	first->view = known_view(connection, mapping);
	if (first->view)
		view_ref(first->view);
	return 0;
}

static void first_map_release(struct tenure *connection,
			      const struct mapping_request *mapping,
			      struct first_map *first)
{
	const struct ledger_allocation *allocation =
		find_allocation(connection, mapping);

	if (first->view)
		view_unref(&connection->ledger.views, first->view);
	if (first->is_stray && allocation && !allocation->view)
		ledger_allocation_forget(&connection->ledger,
					 mapping->allocation.value);
	free(first->spare);
}

/* The view that the allocation lies in, made if need be. */
static int first_map_view(struct tenure *connection, struct first_map *first,
			  const struct mapping_request *mapping,
			  const struct placement *place, int fd)
{
	struct keymap *views = &connection->ledger.views;
	struct view *view = first->view;
	int status;

	if (!view)
		view = view_find(views, place->store, mapping->write);
	if (!view && fd < 0)
		return -EPROTO;
	if (!view) {
		status = view_map(views, first->spare, place, mapping->write,
				  fd);
		if (status < 0)
			return status;
		view = first->spare;
		first->spare = NULL;
	}
	if (!first->view)
		view_ref(view);
	first->view = view;
	return view->size_bytes == place->store_bytes ? 0 : -EPROTO;
}

/* Whether the daemon mapped what cannot be: an allocation through another
 * device, one that is mapped already, or one in two stores. */
static bool is_contradiction(const struct mapping_request *mapping,
			     const struct ledger_allocation *allocation,
			     const struct placement *place)
{
	return allocation->view ||
	       allocation->group->device != mapping->device.value ||
	       (allocation->group->store != 0 &&
		allocation->group->store != place->store);
}

static int map_first(struct tenure *connection,
		     const struct mapping_request *mapping,
		     struct first_map *first)
{
	struct ledger_allocation *allocation;
	struct placement place;
	int fd, status;

	status = ask(connection, mapping, !first->view, &place, &fd);
	if (status < 0)
		return status;
	allocation = find_allocation(connection, mapping);
	if (mapping->allocation.value == 0 ||
	    (allocation && is_contradiction(mapping, allocation, &place)))
		status = -EPROTO;
	else if (allocation)
		status = first_map_view(connection, first, mapping, &place, fd);
	if (fd >= 0)
		close(fd);
	if (status < 0)
		return map_failed(connection, mapping, status);
	/* It was destroyed after it had been mapped: then so was the map. */
	if (!allocation)
		return refusal_set(-EINVAL, TENURE_REASON_ALLOCATION_INVALID);
	allocation->group->store = place.store;
	ledger_attach(allocation, first->view, &place, mapping->write);
	return 0;
}

/* A map of what is mapped already, on the device that it belongs to. */
static int map_again(struct tenure *connection,
		     const struct mapping_request *mapping,
		     struct ledger_allocation *allocation)
{
	if (allocation->maps >= MAPS_PER_ALLOCATION_MAX)
		return refusal_set(-EDQUOT, TENURE_REASON_MAPPED_TOO_OFTEN);
	if (mapping->write && !allocation->writable)
		return upgrade(connection, mapping, allocation);
	allocation->maps++;
	return 0;
}

/* An allocation that is mapped, through the device that it belongs to. */
static struct ledger_allocation *
find_mapped(const struct tenure *connection,
	    const struct mapping_request *mapping)
{
	struct ledger_allocation *allocation =
		find_allocation(connection, mapping);

	if (!allocation || !allocation->view ||
	    allocation->group->device != mapping->device.value)
		return NULL;
	return allocation;
}

/* The upgrade of a map asks by the socket; before it everything that the ring
 * carries must be over, and with it perhaps the allocation. */
static int map_known(struct tenure *connection,
		     const struct mapping_request *mapping)
{
	struct ledger_allocation *allocation = find_mapped(connection, mapping);
	int status;

	if (mapping->write && !allocation->writable) {
		status = connection_settle_locked(connection);
		if (status < 0)
			return status;
		allocation = find_mapped(connection, mapping);
		if (!allocation)
			return refusal_set(-EINVAL,
					   TENURE_REASON_ALLOCATION_INVALID);
	}
	return map_again(connection, mapping, allocation);
}

static int map_unknown(struct tenure *connection,
		       const struct mapping_request *mapping)
{
	struct first_map first;
	int status = first_map_reserve(connection, mapping, &first);

	if (status == 0)
		status = map_first(connection, mapping, &first);
	first_map_release(connection, mapping, &first);
	return status;
}

int map_locked(struct tenure *connection, const struct mapping_request *mapping,
	       void **ret_pointer, size_t *ret_size)
{
	const struct ledger_allocation *allocation;
	int status;

	connection_turn_begin_locked(connection, TURN_MAPPING);
	if (find_mapped(connection, mapping))
		status = map_known(connection, mapping);
	else
		status = map_unknown(connection, mapping);
	connection_turn_end_locked(connection, TURN_MAPPING);
	if (status < 0)
		return status;
	allocation = find_allocation(connection, mapping);
	*ret_pointer = allocation->pointer;
	*ret_size = allocation->size_bytes;
	return 0;
}

/* The last unmap: the daemon's count goes to 0 with the one here. */
static int unmap_last(struct tenure *connection,
		      const struct mapping_request *mapping)
{
	struct ledger_allocation *allocation = find_mapped(connection, mapping);
	struct call call = {
		.request.opcode = WIRE_OP_UNMAP,
		.request.device = mapping->device.value,
		.request.object = mapping->allocation.value,
	};
	unsigned int extra = allocation ? allocation->daemon_maps - 1 : 0;
	int status = connection_call_locked(connection, &call);

	if (status < 0)
		return status;
	while (extra-- > 0)
		undo_map(connection, mapping);
	/* It may have been destroyed meanwhile. */
	allocation = find_mapped(connection, mapping);
	if (allocation)
		ledger_detach(&connection->ledger, allocation);
	return 0;
}

static int unmap_locked(struct tenure *connection,
			const struct mapping_request *mapping)
{
	struct ledger_allocation *allocation;
	int status = 0;

	connection_turn_begin_locked(connection, TURN_MAPPING);
	allocation = find_mapped(connection, mapping);
	if (allocation && allocation->maps > 1)
		allocation->maps--;
	else if (allocation && allocation->is_claimed)
		status = refusal_set(-EINVAL, TENURE_REASON_ALLOCATION_INVALID);
	else
		status = unmap_last(connection, mapping);
	connection_turn_end_locked(connection, TURN_MAPPING);
	return status;
}

static int populate(const struct mapping_request *mapping, void *pointer,
		    size_t size_bytes)
{
	int advice = mapping->write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;

	return madvise(pointer, size_bytes, advice) < 0 ? -errno : 0;
}

/* Takes a map back whose pages could not be had; returns status. */
static int unpopulated(struct tenure *connection,
		       const struct mapping_request *mapping, int status)
{
	if (connection_enter(connection) == 0) {
		unmap_locked(connection, mapping);
		connection_leave(connection, 0);
	}
	return refusal_set(status, TENURE_REASON_MAP_FAILED);
}

int tenure_map(struct tenure *connection, struct tenure_device device,
	       struct tenure_allocation allocation, unsigned int flags,
	       void **ret_pointer, size_t *ret_size)
{
	const unsigned int access = TENURE_MAP_READ | TENURE_MAP_WRITE;
	const struct mapping_request mapping = {
		.device = device,
		.allocation = allocation,
		.write = flags & TENURE_MAP_WRITE,
	};
	void *pointer;
	size_t size_bytes;
	int status;

	if (!ret_pointer || !ret_size || !(flags & access) ||
	    (flags & ~(access | TENURE_MAP_POPULATE)))
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = map_locked(connection, &mapping, &pointer, &size_bytes);
	connection_leave(connection, status);
	if (status == 0 && (flags & TENURE_MAP_POPULATE))
		status = populate(&mapping, pointer, size_bytes);
	else if (status < 0)
		return status;
	if (status < 0)
		return unpopulated(connection, &mapping, status);
	*ret_pointer = pointer;
	*ret_size = size_bytes;
	return 0;
}

int tenure_unmap(struct tenure *connection, struct tenure_device device,
		 struct tenure_allocation allocation)
{
	const struct mapping_request mapping = {
		.device = device,
		.allocation = allocation,
	};
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = unmap_locked(connection, &mapping);
	return connection_leave(connection, status);
}
