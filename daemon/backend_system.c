/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System memory
 *
 * A store is one memfd; its allocations lie in it one behind the other, each
 * at a whole page:
 *
 *	store 7:  | allocation 0 | allocation 1 | allocation 2 |
 *	          0              start[1]       start[2]       length
 *
 * The daemon makes the memfd, gives it its length, seals that length for ever
 * (SHRINK, GROW, and SEAL so that no client adds a seal of his own, which
 * would stop us from punching holes), and takes away every permission, so that
 * whoever receives a descriptor cannot open the file again with other rights
 * through /proc. It never maps, reads or writes a byte of it.
 *
 * A reader gets a descriptor of another kind: the file opened anew, for
 * reading. It is made when the first read-only opening comes, because there
 * failure is still an answer, and kept until the last one goes. While it is
 * being opened the mode is 0400 for a moment, which gives the daemon's own
 * user what it could take anyway, and nobody else anything.
 *
 * Destroying an allocation punches its pages out of the file, so that the
 * memory is back when the call returns (B20), whoever still has the file
 * mapped. When the last allocation of a store has gone, its descriptors are
 * closed. Only punching can fail, and it can be done again; so a call first
 * punches everything and then, when nothing can fail any more, strikes the
 * allocations out. A retry (A84) finds all of them as they were.
 *
 * Allocations that lie one behind the other are one hole, so a client's million
 * of pages takes a few thousand calls when it dies. A store that no client has
 * ever had a descriptor of has no pages, and nothing is punched in it. A call
 * for few such stores takes some microseconds, and is made by whoever has it to
 * make; others are left to the releaser's thread.
 *
 *	value           high 32 bits   low 32 bits
 *	hAllocation     store          index in the store, plus 1
 *	hResource       generation     index in the resource table, plus 1
 *
 * Two threads come here. The mutex guards the tables and is never held across
 * punching; what the releaser reads of a store without it (descriptor, bounds)
 * does not change while one of the store's allocations lives.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A failed create or open leaves nothing behind.
 *  G2  No client can change the length, the seals, or his rights.
 *  G3  Memory is back when destroy_allocation returns, mapped or not.
 *  G4  A descriptor that was acquired stays open until it is released.
 *  G5  An allocation or resource that is destroyed twice, or a resource that
 *      goes before its allocations, is caught by an assert.
 *  G6  What is_quick says yes to has no pages, and is in few stores.
 *  G7  Neighbours are one hole.
 */
#include "daemon/backend_system.h"

#include "daemon/memfd.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* How many files a quick release touches at most. */
enum { QUICK_STORES = 2 };

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct store {
	struct store *next; /* of those that are to be closed */
	int fd, read_only_fd; /* read_only_fd is -1 when there is none */
	uint32_t readers; /* read-only openings and acquisitions */
	uint32_t holds; /* acquisitions */
	uint32_t count, live; /* allocations made, and still there */
	bool lent; /* a descriptor of it has been acquired */
	bool *dead; /* per allocation, behind start */
	uint64_t start[]; /* count + 1 bounds */
};

struct resource {
	uint32_t generation;
	uint32_t allocations;
	bool live;
};

/* A growing array whose free places are chained. */
struct places {
	void *elements;
	uint32_t *next_free; /* index of the next free place, plus 1 */
	uint32_t first_free; /* likewise; 0: none */
	uint32_t size, used;
};

struct backend_system {
	pthread_mutex_t lock;
	struct backend_system_config config;
	bool is_old_kernel; /* see memfd_new() */
	uint64_t descriptors;
	struct places stores; /* of struct store * */
	struct places resources; /* of struct resource */
};

/* Makes sure that one more place can be taken; -ENOMEM changes nothing. */
static int places_reserve(struct places *places, size_t element_bytes)
{
	uint32_t size = places->size ? 2 * places->size : 64;
	uint32_t *next_free;
	void *grown;

	if (places->first_free)
		return 0;
	if (size > STORES_MAX)
		return -ENOMEM;
	grown = reallocarray(places->elements, size, element_bytes);
	if (!grown)
		return -ENOMEM;
	places->elements = grown;
	next_free = reallocarray(places->next_free, size, sizeof(*next_free));
	if (!next_free)
		return -ENOMEM;
	places->next_free = next_free;
	memset((char *)grown + places->size * element_bytes, 0,
	       (size - places->size) * element_bytes);
	for (uint32_t i = size; i-- > places->size;) {
		next_free[i] = places->first_free;
		places->first_free = i + 1;
	}
	places->size = size;
	return 0;
}

static uint32_t places_take(struct places *places)
{
	uint32_t index = places->first_free - 1;

	assert(places->first_free);
	places->first_free = places->next_free[index];
	places->used++;
	return index;
}

static void places_give(struct places *places, uint32_t index)
{
	places->next_free[index] = places->first_free;
	places->first_free = index + 1;
	places->used--;
}

static void places_deinit(struct places *places)
{
	assert(places->used == 0);
	free(places->elements);
	free(places->next_free);
}

static struct store **store_place(struct backend_system *system, uint32_t id)
{
	struct store **stores = system->stores.elements;

	assert(id && id <= system->stores.size);
	return &stores[id - 1];
}

static struct store *store_find(struct backend_system *system, uint32_t id)
{
	struct store *store = *store_place(system, id);

	assert(store);
	return store;
}

static struct resource *resource_find(struct backend_system *system,
				      uint64_t value)
{
	struct resource *resources = system->resources.elements;
	uint32_t index = (uint32_t)value - 1;
	struct resource *resource = &resources[index];

	assert(value && index < system->resources.size);
	assert(resource->live && resource->generation == value >> 32);
	return resource;
}

static uint64_t resource_take(struct backend_system *system)
{
	uint32_t index = places_take(&system->resources);
	struct resource *resources = system->resources.elements;
	struct resource *resource = &resources[index];

	resource->live = true;
	resource->allocations = 0;
	return (uint64_t)resource->generation << 32 | (index + 1);
}

static void resource_give(struct backend_system *system, uint64_t value)
{
	struct resource *resource = resource_find(system, value);

	assert(resource->allocations == 0);
	resource->live = false;
	resource->generation++;
	places_give(&system->resources, (uint32_t)value - 1);
}

/* Lets go of what nobody needs any more. A store that has gone altogether is
 * put before *gone, for stores_close. */
static void store_settle_locked(struct backend_system *system, uint32_t id,
				struct store **gone)
{
	struct store *store = store_find(system, id);

	if (store->readers == 0 && store->read_only_fd >= 0) {
		close(store->read_only_fd);
		store->read_only_fd = -1;
		system->descriptors--;
	}
	if (store->live || store->holds)
		return;
	assert(store->readers == 0);
	*store_place(system, id) = NULL;
	places_give(&system->stores, id - 1);
	store->next = *gone;
	*gone = store;
}

/*
 * A client that writes to pages after they were punched makes the last close
 * give back gigabytes. So it is done without the lock: the loop must not wait.
 */
static void stores_close(struct backend_system *system, struct store *gone)
{
	struct store *next;
	uint32_t n = 0;

	for (; gone; gone = next) {
		next = gone->next;
		close(gone->fd);
		free(gone);
		n++;
	}
	if (n == 0)
		return;
	pthread_mutex_lock(&system->lock);
	system->descriptors -= n;
	pthread_mutex_unlock(&system->lock);
}

/* A memfd of that length that no client can turn against us. */
static int sealed_memfd(struct backend_system *system, uint64_t bytes)
{
	int fd = memfd_new("tenure", &system->is_old_kernel);
	int r;

	if (fd < 0)
		return fd;
	if (bytes <= INT64_MAX && ftruncate(fd, (off_t)bytes) == 0 &&
	    fcntl(fd, F_ADD_SEALS, SEALS) == 0 && fchmod(fd, 0) == 0)
		return fd;
	r = bytes > INT64_MAX || errno == EFBIG ? -ENOSPC : -errno;
	close(fd);
	return r;
}

static struct store *store_new(const struct backend_create *create)
{
	size_t bounds = (size_t)create->count + 1;
	struct store *store;
	uint64_t end = 0;

	store = calloc(1, sizeof(*store) + bounds * sizeof(store->start[0]) +
				  create->count * sizeof(bool));
	if (!store)
		return NULL;
	store->read_only_fd = -1;
	store->count = create->count;
	store->live = create->count;
	store->dead = (bool *)&store->start[bounds];
	for (uint32_t i = 0; i < create->count; i++) {
		assert(create->allocations[i].size_bytes);
		store->start[i] = end;
		end += create->allocations[i].size_bytes;
	}
	store->start[create->count] = end;
	return store;
}

/* Room for one store and, if asked for, one resource. */
static int make_room_locked(struct backend_system *system,
			    const struct backend_create *create)
{
	int r;

	if (system->descriptors >= system->config.descriptors_max)
		return -EMFILE;
	r = places_reserve(&system->stores, sizeof(struct store *));
	if (r < 0 || !create->new_resource)
		return r;
	return places_reserve(&system->resources, sizeof(struct resource));
}

/* Cannot fail: everything was made before. */
static void publish_locked(struct backend_system *system, struct store *store,
			   struct backend_create *create)
{
	create->store = places_take(&system->stores) + 1;
	*store_place(system, create->store) = store;
	system->descriptors++;
	if (create->new_resource)
		create->resource = resource_take(system);
	if (create->resource)
		resource_find(system, create->resource)->allocations +=
			create->count;
	create->store_bytes = store->start[store->count];
	for (uint32_t i = 0; i < create->count; i++) {
		create->allocations[i].offset = store->start[i];
		create->allocations[i].allocation =
			(uint64_t)create->store << 32 | (i + 1);
	}
}

static int create_allocation(void *state, struct backend_create *create)
{
	struct backend_system *system = state;
	struct store *store;
	int r;

	assert(create->count && !(create->new_resource && create->resource));
	pthread_mutex_lock(&system->lock);
	r = make_room_locked(system, create);
	pthread_mutex_unlock(&system->lock);
	if (r < 0)
		return r;
	store = store_new(create);
	if (!store)
		return -ENOMEM;
	store->fd = sealed_memfd(system, store->start[store->count]);
	if (store->fd < 0) {
		r = store->fd;
		free(store);
		return r;
	}
	/* The releaser only gives places, so the room is still there. */
	pthread_mutex_lock(&system->lock);
	publish_locked(system, store, create);
	pthread_mutex_unlock(&system->lock);
	return 0;
}

static int open_allocation(void *state, const struct backend_opening *opening)
{
	struct backend_system *system = state;
	struct store *store;
	int r = 0;

	if (!opening->read_only)
		return 0;
	pthread_mutex_lock(&system->lock);
	store = store_find(system, opening->store);
	if (store->read_only_fd < 0) {
		if (system->descriptors >= system->config.descriptors_max)
			r = -EMFILE;
		else
			r = memfd_reopen_read_only(store->fd);
		if (r >= 0) {
			store->read_only_fd = r;
			system->descriptors++;
		}
	}
	if (r >= 0)
		store->readers++;
	pthread_mutex_unlock(&system->lock);
	return r < 0 ? r : 0;
}

static void close_allocation(void *state, const struct backend_opening *opening)
{
	struct backend_system *system = state;
	struct store *store, *gone = NULL;

	if (!opening->read_only)
		return;
	pthread_mutex_lock(&system->lock);
	store = store_find(system, opening->store);
	assert(store->readers);
	store->readers--;
	store_settle_locked(system, opening->store, &gone);
	pthread_mutex_unlock(&system->lock);
	stores_close(system, gone);
}

static int punch(int fd, uint64_t start, uint64_t end, uint64_t slice_bytes)
{
	while (start < end) {
		uint64_t n = min_u64(end - start, slice_bytes);

		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)start, (off_t)n) == 0)
			start += n;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Pages of one file. */
struct hole {
	int fd;
	uint64_t start, end;
};

/*
 * The hole that the entries from position i on are, as many as lie one behind
 * the other in one store: how many these are. It is none when nobody can have
 * written there.
 */
static uint32_t next_hole(struct backend_system *system,
			  const struct backend_destroy *destroy, uint32_t i,
			  struct hole *ret)
{
	uint64_t first = destroy->allocations[i];
	uint32_t index = (uint32_t)first - 1, n = 0;
	const struct store *store;

	pthread_mutex_lock(&system->lock);
	store = store_find(system, (uint32_t)(first >> 32));
	do
		assert(index + n < store->count && !store->dead[index + n]);
	while (++n < destroy->count - i &&
	       destroy->allocations[i + n] == first + n);
	*ret = (struct hole){ .fd = store->fd,
			      .start = store->start[index],
			      .end = store->start[index + n] };
	if (!store->lent)
		ret->end = ret->start;
	pthread_mutex_unlock(&system->lock);
	return n;
}

static void strike_out_locked(struct backend_system *system, uint64_t value,
			      struct store **gone)
{
	uint32_t id = (uint32_t)(value >> 32), index = (uint32_t)value - 1;
	struct store *store = store_find(system, id);

	assert(index < store->count && !store->dead[index]);
	store->dead[index] = true;
	store->live--;
	store_settle_locked(system, id, gone);
}

static int destroy_allocation(void *state, struct backend_destroy *destroy)
{
	struct backend_system *system = state;
	struct store *gone = NULL;
	struct hole hole;
	int r;

	assert(!(destroy->flags & ~BACKEND_DESTROY_RESOURCE));
	assert(destroy->count || destroy->flags);
	for (uint32_t i = 0; i < destroy->count;) {
		i += next_hole(system, destroy, i, &hole);
		r = punch(hole.fd, hole.start, hole.end,
			  system->config.slice_bytes);
		if (r < 0)
			return r;
	}
	pthread_mutex_lock(&system->lock);
	for (uint32_t i = 0; i < destroy->count; i++)
		strike_out_locked(system, destroy->allocations[i], &gone);
	if (destroy->resource) {
		struct resource *resource =
			resource_find(system, destroy->resource);

		assert(resource->allocations >= destroy->count);
		resource->allocations -= destroy->count;
	}
	if (destroy->flags & BACKEND_DESTROY_RESOURCE) {
		resource_give(system, destroy->resource);
		destroy->resource = 0;
	}
	pthread_mutex_unlock(&system->lock);
	stores_close(system, gone);
	return 0;
}

/*
 * What nobody has ever had a descriptor of has no pages, so all that there is
 * to do is to close the file, and a thread that had to be woken for that would
 * take longer to come. A client that has one may have mapped it sixty thousand
 * times, and then a hole of one page takes milliseconds.
 */
static bool is_quick(void *state, const struct backend_destroy *destroy)
{
	struct backend_system *system = state;
	uint32_t id = 0, stores = 0;
	bool quick = true;

	pthread_mutex_lock(&system->lock);
	for (uint32_t i = 0; quick && i < destroy->count; i++) {
		if (id == destroy->allocations[i] >> 32)
			continue;
		id = (uint32_t)(destroy->allocations[i] >> 32);
		quick = !store_find(system, id)->lent &&
			++stores <= QUICK_STORES;
	}
	pthread_mutex_unlock(&system->lock);
	return quick;
}

const struct backend_ops backend_system_ops = {
	.create_allocation = create_allocation,
	.open_allocation = open_allocation,
	.close_allocation = close_allocation,
	.destroy_allocation = destroy_allocation,
	.is_quick = is_quick,
	.closes_readers_only = true,
};

int backend_system_new(const struct backend_system_config *config,
		       struct backend_system **ret)
{
	struct backend_system *system = calloc(1, sizeof(*system));

	assert(config->slice_bytes >= PAGE_BYTES);
	if (!system)
		return -ENOMEM;
	pthread_mutex_init(&system->lock, NULL);
	system->config = *config;
	*ret = system;
	return 0;
}

void backend_system_free(struct backend_system *system)
{
	if (!system)
		return;
	assert(system->descriptors == 0);
	pthread_mutex_destroy(&system->lock);
	places_deinit(&system->stores);
	places_deinit(&system->resources);
	free(system);
}

int backend_system_acquire(struct backend_system *system, uint32_t id,
			   bool read_only)
{
	struct store *store;
	int fd;

	pthread_mutex_lock(&system->lock);
	store = store_find(system, id);
	fd = read_only ? store->read_only_fd : store->fd;
	assert(fd >= 0);
	store->holds++;
	store->lent = true;
	if (read_only)
		store->readers++;
	pthread_mutex_unlock(&system->lock);
	return fd;
}

void backend_system_release(struct backend_system *system, uint32_t id,
			    bool read_only)
{
	struct store *store, *gone = NULL;

	pthread_mutex_lock(&system->lock);
	store = store_find(system, id);
	assert(store->holds && (!read_only || store->readers));
	store->holds--;
	if (read_only)
		store->readers--;
	store_settle_locked(system, id, &gone);
	pthread_mutex_unlock(&system->lock);
	stores_close(system, gone);
}

void backend_system_stat(struct backend_system *system,
			 struct backend_system_stat *ret)
{
	pthread_mutex_lock(&system->lock);
	*ret = (struct backend_system_stat){
		.stores = system->stores.used,
		.descriptors = system->descriptors,
		.resources = system->resources.used,
	};
	pthread_mutex_unlock(&system->lock);
}
