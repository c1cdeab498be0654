/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of warm memory
 *
 * A dispenser whose driver makes private allocations, mapped and populated.
 * The daemon is asked when a buffer is made and when it goes; in between a
 * buffer is taken and given back without a message, a system call or a page
 * fault. So the daemon needs to trust nobody: a buffer that is free in a pool
 * is a live allocation of this client like any other, charged to it, and dies
 * with it.
 *
 *	alloc --> dispenser: rate by size and warmth --> buffer
 *	free  --> dispenser: reset (keep, zero, drop) --> inventory
 *	free, while work uses it --> queue --(its work has ended)--> free
 *	free_after ----------------> queue --(progress reached too)--> free
 *
 * A type of the dispenser is a size class: whole pages, from four pages on
 * four classes for each power of two, so that sizes that are nearly alike
 * share buffers and less than a quarter is wasted.
 *
 * Memory is used again only within one process. A forked child must not see
 * what its parent does with a buffer later, so each buffer is taken out of
 * what fork copies (MADV_DONTFORK) before it is handed out for the first time;
 * one for which that failed is never used a second time.
 *
 * A buffer that the application named to contexts (tenure_context_use) is given
 * back when all of that work has ended: client/uses.c knows. The queue of
 * buffers in flight is looked through a few at a time, each time from where the
 * last look ended, so that one whose work never ends holds up none of the
 * others.
 *
 * A buffer that is free for longer than the idle timeout goes: by a scan when
 * something is called, and else by the daemon, to which every free buffer is
 * offered for that time (client/offer.c). What it has taken is found when the
 * buffer is rated, handed out or destroyed, and is then forgotten.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A buffer is in one hand at a time, and after its free in none before
 *      the work of contexts that uses it has ended and, after free_after,
 *      progress was reached.
 *  G2  In the steady state neither alloc nor free makes a system call on
 *      behalf of memory, or a page fault; a message to the daemon at most
 *      once in a second, for the person who looks, and about one doorbell in
 *      an idle timeout.
 *  G3  A child of fork has no mapping of a buffer.
 *  G4  Whatever fails, the pool has what it had, and nothing leaks.
 *  G5  What the daemon takes is never handed out; what is handed out it does
 *      not take.
 *  G6  The memory of a buffer is mapped as long as the pool has it, whoever
 *      else destroys or unmaps the allocation.
 */
#include "client/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "client/api.h"
#include "client/connection.h"
#include "client/error.h"
#include "client/forkmark.h"
#include "client/keymap.h"
#include "client/offer.h"
#include "client/pool_told.h"
#include "client/uses.h"
#include "client/word.h"
#include "core/limits.h"

enum {
	COUNT_DEFAULT = 64,
	/* Buffers in flight that an alloc or a free looks at. */
	LOOKS = 8,
	RATING_BEST = 100,
	RATING_COLD = 30, /* subtracted from what is not populated */
};

enum whose { POOLS, IN_HAND, IN_FLIGHT };

struct buffer {
	struct keymap_node node; /* in pool->buffers; the allocation */
	void *pointer;
	size_t size_bytes;
	bool cold; /* its pages have been given back */
	bool inherited; /* a child of fork may have it */
	enum whose whose;
	struct uses uses; /* by contexts */
	struct offer offer; /* to the daemon, while it is free */
	bool lost; /* the daemon has taken that */
	/* In flight, until these are over and *progress, if there is one, has
	 * reached value. */
	struct buffer *next;
	const uint64_t *progress;
	uint64_t value;
};

struct tenure_pool {
	struct tenure *connection;
	struct forkmark mark;
	struct tenure_adapter adapter; /* 0: the device is not the pool's */
	struct tenure_device device;
	struct tenure_dispenser *dispenser;
	struct tenure_holder holder;
	size_t size_bytes;
	enum tenure_pool_reset reset;
	uint64_t idle_timeout_ns;
	pthread_mutex_t lock; /* of all that follows; a leaf */
	struct keymap buffers;
	struct buffer *first, **last; /* in flight */
	uint64_t n_in_flight, bytes;
	uint64_t n_found_lost; /* by an alloc */
	uint64_t number; /* that the daemon gave it */
	uint64_t next_told_ns;
};

/* Why the driver's last create in this thread failed. */
static _Thread_local struct tenure_refusal create_refusal;

static struct buffer *find_locked(struct tenure_pool *pool, uint64_t id)
{
	return (struct buffer *)keymap_find(&pool->buffers, id);
}

/* Neither moves nor ends while its resource is claimed or in use. */
static struct buffer *find(struct tenure_pool *pool, uint64_t id)
{
	struct buffer *buffer;

	pthread_mutex_lock(&pool->lock);
	buffer = find_locked(pool, id);
	pthread_mutex_unlock(&pool->lock);
	return buffer;
}

/* ---- The driver ---- */

uint64_t pool_class(uint64_t size_bytes)
{
	uint64_t pages = (size_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	unsigned int log2 = 63 - (unsigned int)__builtin_clzll(pages | 1);
	uint64_t step = log2 > 2 ? UINT64_C(1) << (log2 - 2) : 1;

	return align_up_u64(pages, step) * PAGE_BYTES;
}

int pool_rating(uint64_t wanted, uint64_t size_bytes, bool cold)
{
	int rating;

	if (size_bytes < wanted || size_bytes / 2 > wanted)
		return 0;
	rating = RATING_BEST -
		 (int)((size_bytes - wanted) * (RATING_BEST / 2) / wanted);
	return cold ? rating - RATING_COLD : rating;
}

static int rate(void *context, uint64_t type,
		const struct tenure_resource_id *id, int needs_enlist)
{
	struct tenure_pool *pool = context;
	const struct buffer *buffer = find(pool, id->number);

	(void)needs_enlist;
	if (offer_is_lost(&buffer->offer))
		return 0;
	return pool_rating(type, buffer->size_bytes, buffer->cold);
}

/* Makes an allocation, mapped and populated, or nothing. */
static int make_memory(struct tenure_pool *pool, struct buffer *buffer,
		       struct tenure_allocation *ret_allocation)
{
	const unsigned int flags = TENURE_MAP_READ | TENURE_MAP_WRITE |
				   TENURE_MAP_POPULATE;
	struct tenure_allocation allocation;
	int status = tenure_allocation_create(pool->connection, pool->device,
					      &buffer->size_bytes, 1,
					      &allocation);

	if (status < 0)
		return status;
	status = tenure_map(pool->connection, pool->device, allocation, flags,
			    &buffer->pointer, &buffer->size_bytes);
	if (status < 0) {
		tenure_last_refusal(&create_refusal);
		tenure_allocation_destroy(pool->connection, pool->device,
					  allocation, 0);
		refusal_restore(&create_refusal);
		return status;
	}
	buffer->inherited =
		madvise(buffer->pointer, buffer->size_bytes, MADV_DONTFORK) < 0;
	*ret_allocation = allocation;
	return 0;
}

/* From here on its map goes with the buffer, and not when somebody else destroys
 * the allocation: whoever has the buffer writes to it. */
static bool claim(struct tenure_pool *pool, uint64_t allocation)
{
	bool good;

	pthread_mutex_lock(&pool->connection->lock);
	good = ledger_allocation_claim(&pool->connection->ledger, allocation);
	pthread_mutex_unlock(&pool->connection->lock);
	return good;
}

static void disclaim(struct tenure_pool *pool, uint64_t allocation)
{
	pthread_mutex_lock(&pool->connection->lock);
	ledger_allocation_disclaim(&pool->connection->ledger, allocation);
	pthread_mutex_unlock(&pool->connection->lock);
}

/* False: the daemon has given the handle of a buffer that there is. */
static bool enter_buffer(struct tenure_pool *pool, struct buffer *buffer)
{
	bool is_new;

	if (!claim(pool, buffer->node.key))
		return false;

	pthread_mutex_lock(&pool->lock);
	is_new = !find_locked(pool, buffer->node.key);
	if (is_new) {
		keymap_insert(&pool->buffers, &buffer->node);
		pool->bytes += buffer->size_bytes;
	}
	pthread_mutex_unlock(&pool->lock);
	return is_new;
}

static int distrust(struct tenure_pool *pool)
{
	int status;

	pthread_mutex_lock(&pool->connection->lock);
	status = connection_distrust_locked(pool->connection);
	pthread_mutex_unlock(&pool->connection->lock);
	return status;
}

static int create(void *context, uint64_t type, struct tenure_made *ret_made)
{
	struct tenure_pool *pool = context;
	struct buffer *buffer = calloc(1, sizeof(*buffer));
	struct tenure_allocation allocation = { 0 };
	int status;

	if (!buffer) {
		status = refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	} else {
		buffer->size_bytes = type;
		status = make_memory(pool, buffer, &allocation);
		buffer->node.key = allocation.value;
		if (status == 0 && !enter_buffer(pool, buffer))
			status = distrust(pool);
	}
	if (status < 0) {
		tenure_last_refusal(&create_refusal);
		free(buffer);
		return status;
	}
	/* Nobody knows of it yet. */
	uses_watch(pool->connection, &buffer->uses, allocation.value);
	if (pool->idle_timeout_ns != TENURE_DISPENSER_NEVER)
		offer_begin(pool->connection, &buffer->offer, allocation.value);
	ret_made->id = allocation.value;
	ret_made->idle_timeout_ns = pool->idle_timeout_ns;
	return 0;
}

static int reset(void *context, const struct tenure_resource_id *id)
{
	struct tenure_pool *pool = context;
	struct buffer *buffer = find(pool, id->number);

	if (buffer->inherited || buffer->lost)
		return -EPERM;
	switch (pool->reset) {
	case TENURE_POOL_KEEP:
		break;
	case TENURE_POOL_ZERO:
		memset(buffer->pointer, 0, buffer->size_bytes);
		break;
	case TENURE_POOL_DROP:
		if (madvise(buffer->pointer, buffer->size_bytes, MADV_REMOVE) <
		    0)
			return -errno;
		buffer->cold = true;
		break;
	}
	/* From here on it is free, or on its way to its end. */
	offer_make(&buffer->offer, pool->idle_timeout_ns);
	return 0;
}

static void free_buffer(void *context, struct keymap_node *node)
{
	struct tenure_pool *pool = context;
	struct buffer *buffer = (struct buffer *)node;

	uses_unwatch(pool->connection, &buffer->uses);
	offer_end(pool->connection, &buffer->offer);
	free(buffer);
}

static int destroy(void *context, uint64_t id)
{
	struct tenure_pool *pool = context;
	struct tenure_allocation allocation = { id };
	struct buffer *buffer = find(pool, id);
	int status = 0;

	disclaim(pool, id);
	buffer->lost |= !offer_withdraw(&buffer->offer);
	if (buffer->lost)
		offer_forget(pool->connection, id);
	else
		status = tenure_allocation_destroy(pool->connection,
						   pool->device, allocation, 0);
	if (status < 0)
		return status;
	pthread_mutex_lock(&pool->lock);
	keymap_remove(&pool->buffers, &buffer->node);
	pool->bytes -= buffer->size_bytes;
	pthread_mutex_unlock(&pool->lock);
	free_buffer(pool, &buffer->node);
	return 0;
}

static const struct tenure_driver driver = {
	.create_resource = create,
	.rate_resource = rate,
	.reset_resource = reset,
	.destroy_resource = destroy,
};

/* ---- Birth and end of a pool ---- */

/* A device of the pool's own, unless it was given one. */
static int need_device(struct tenure_pool *pool)
{
	struct tenure_refusal refusal;
	int status;

	if (pool->device.value != 0)
		return 0;
	status = tenure_adapter_open(pool->connection, NULL, &pool->adapter);
	if (status < 0)
		return status;
	status = tenure_device_create(pool->connection, pool->adapter,
				      &pool->device);
	if (status == 0)
		return 0;
	tenure_last_refusal(&refusal);
	tenure_adapter_close(pool->connection, pool->adapter);
	refusal_restore(&refusal);
	return status;
}

static void drop_device(struct tenure_pool *pool)
{
	if (pool->adapter.value == 0)
		return;
	tenure_device_destroy(pool->connection, pool->device);
	tenure_adapter_close(pool->connection, pool->adapter);
}

static void undo_device(struct tenure_pool *pool)
{
	struct tenure_refusal refusal;

	tenure_last_refusal(&refusal);
	drop_device(pool);
	refusal_restore(&refusal);
}

static int pool_init(struct tenure_pool *pool,
		     const struct tenure_pool_options *options)
{
	struct tenure_dispenser_options inventory = {
		.resources_max = options->count ? options->count :
						  COUNT_DEFAULT,
		.scan_period_ns = options->idle_timeout_ns / 2,
	};
	int status = tenure_dispenser_create(&pool->dispenser);

	if (status < 0)
		return status;
	status = tenure_dispenser_register(pool->dispenser, &driver, pool,
					   &inventory, &pool->holder);
	if (status == 0)
		status = need_device(pool);
	if (status == 0) {
		status = pool_told_begin(pool->connection, options,
					 &pool->number);
		if (status < 0)
			undo_device(pool);
	}
	if (status < 0)
		tenure_dispenser_destroy(pool->dispenser);
	return status;
}

int tenure_pool_create(struct tenure *connection,
		       const struct tenure_pool_options *options,
		       struct tenure_pool **ret_pool)
{
	struct tenure_pool *pool;
	int status;

	if (!connection || !options || !ret_pool || options->size == 0 ||
	    options->size > ALLOCATION_BYTES_MAX ||
	    options->reset > TENURE_POOL_DROP)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	pool->connection = connection;
	pool->device = options->device;
	pool->size_bytes = options->size;
	pool->reset = (enum tenure_pool_reset)options->reset;
	pool->idle_timeout_ns = options->idle_timeout_ns ?
					options->idle_timeout_ns :
					TENURE_DISPENSER_NEVER;
	status = pool_init(pool, options);
	if (status < 0) {
		free(pool);
		return status;
	}
	forkmark_init(&pool->mark);
	pthread_mutex_init(&pool->lock, NULL);
	keymap_init(&pool->buffers);
	pool->last = &pool->first;
	*ret_pool = pool;
	return 0;
}

int tenure_pool_destroy(struct tenure_pool *pool)
{
	int status;

	if (!pool)
		return 0;
	if (forkmark_forked(&pool->mark))
		return refusal_set(-EOWNERDEAD, TENURE_REASON_FORKED);
	status = tenure_dispenser_destroy(pool->dispenser);
	pool_told_end(pool->connection, pool->number);
	drop_device(pool);
	keymap_each(&pool->buffers, free_buffer, pool);
	keymap_deinit(&pool->buffers);
	pthread_mutex_destroy(&pool->lock);
	forkmark_deinit(&pool->mark);
	free(pool);
	return status;
}

/* ---- In flight ---- */

static bool is_in_flight(const struct tenure_pool *pool, struct buffer *buffer)
{
	if (buffer->progress && !word_reached(buffer->progress, buffer->value))
		return true;
	return uses_any(&buffer->uses) &&
	       !uses_over(pool->connection, &buffer->uses);
}

static void enqueue_locked(struct tenure_pool *pool, struct buffer *buffer)
{
	buffer->next = NULL;
	*pool->last = buffer;
	pool->last = &buffer->next;
}

/* Takes up to looks buffers off the queue; they still count as in flight. */
static struct buffer *dequeue(struct tenure_pool *pool, unsigned int looks)
{
	struct buffer *first, **end = &first;

	pthread_mutex_lock(&pool->lock);
	first = pool->first;
	while (looks-- > 0 && *end)
		end = &(*end)->next;
	pool->first = *end;
	if (!pool->first)
		pool->last = &pool->first;
	*end = NULL;
	pthread_mutex_unlock(&pool->lock);
	return first;
}

/*
 * Looks at the next few in the queue, and returns those whose work has ended.
 * Whoever is looked at in vain goes behind the others. Contexts have a lock of
 * their own, so all this is without ours.
 */
static struct buffer *landed(struct tenure_pool *pool, unsigned int looks)
{
	struct buffer *buffer = dequeue(pool, looks), *next;
	struct buffer *done = NULL, *others = NULL;

	for (; buffer; buffer = next) {
		struct buffer **list = is_in_flight(pool, buffer) ? &others :
								    &done;

		next = buffer->next;
		buffer->next = *list;
		*list = buffer;
	}
	if (!done && !others)
		return NULL;
	pthread_mutex_lock(&pool->lock);
	for (buffer = others; buffer; buffer = next) {
		next = buffer->next;
		enqueue_locked(pool, buffer);
	}
	for (buffer = done; buffer; buffer = buffer->next) {
		buffer->whose = POOLS;
		pool->n_in_flight--;
	}
	pthread_mutex_unlock(&pool->lock);
	return done;
}

/* Goes on for as long as there is something to be had. */
static void collect(struct tenure_pool *pool, unsigned int looks)
{
	struct tenure_refusal refusal;
	struct buffer *buffer, *next;

	tenure_last_refusal(&refusal);
	while ((buffer = landed(pool, looks))) {
		for (; buffer; buffer = next) {
			next = buffer->next;
			tenure_dispenser_free(pool->dispenser, pool->holder,
					      buffer->node.key);
		}
	}
	refusal_restore(&refusal);
}

/* ---- What the daemon is told ---- */

/* At most so often: the figures are for a person to look at. */
#define TOLD_PERIOD_NS NS_PER_S

static void tell(struct tenure_pool *pool)
{
	struct tenure_pool_stat stat;
	struct timespec time;
	uint64_t now;
	bool due;

	if (pool->number == 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &time);
	now = (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
	pthread_mutex_lock(&pool->lock);
	due = now >= pool->next_told_ns;
	if (due)
		pool->next_told_ns = now + TOLD_PERIOD_NS;
	pthread_mutex_unlock(&pool->lock);
	if (due && tenure_pool_stat(pool, &stat) == 0)
		pool_told(pool->connection, pool->number, &stat);
}

/* ---- Use ---- */

static int refuse_alloc(int status)
{
	/* The daemon's reason says more than that the driver failed. */
	if (create_refusal.status == status)
		refusal_restore(&create_refusal);
	return status;
}

/* One that the daemon has taken meanwhile ends here, and another is tried; of
 * those there is a limited number. */
static int take_one(struct tenure_pool *pool, uint64_t type,
		    struct buffer **ret_buffer)
{
	struct buffer *buffer;
	uint64_t id;
	int status;

	for (;;) {
		status = tenure_dispenser_alloc(pool->dispenser, pool->holder,
						type, 0, &id);
		if (status < 0)
			return status;
		buffer = find(pool, id);
		if (offer_withdraw(&buffer->offer))
			break;
		buffer->lost = true;
		pthread_mutex_lock(&pool->lock);
		pool->n_found_lost++;
		pthread_mutex_unlock(&pool->lock);
		tenure_dispenser_free(pool->dispenser, pool->holder, id);
	}
	*ret_buffer = buffer;
	return 0;
}

int tenure_pool_alloc(struct tenure_pool *pool, size_t size,
		      struct tenure_buffer *ret_buffer)
{
	struct buffer *buffer;
	uint64_t type;
	int status;

	if (!pool || !ret_buffer)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	if (size == 0 || size > pool->size_bytes)
		return refusal_set(-EINVAL, TENURE_REASON_POOL_SIZE);
	if (forkmark_forked(&pool->mark))
		return refusal_set(-EOWNERDEAD, TENURE_REASON_FORKED);
	type = min_u64(pool_class(size),
		       align_up_u64(pool->size_bytes, PAGE_BYTES));
	collect(pool, LOOKS);
	create_refusal.status = 0;
	status = take_one(pool, type, &buffer);
	if (status < 0)
		return refuse_alloc(status);
	pthread_mutex_lock(&pool->lock);
	buffer->cold = false;
	buffer->whose = IN_HAND;
	pthread_mutex_unlock(&pool->lock);
	*ret_buffer = (struct tenure_buffer){
		.pointer = buffer->pointer,
		.size = buffer->size_bytes,
		.device = pool->device,
		.allocation = { buffer->node.key },
	};
	return 0;
}

static bool is_nothing(const struct tenure_buffer *buffer)
{
	return !buffer->pointer && buffer->allocation.value == 0;
}

/* Takes a buffer out of its user's hand; NULL when it was in none. */
static struct buffer *take(struct tenure_pool *pool,
			   const struct tenure_buffer *buffer)
{
	struct buffer *own;

	pthread_mutex_lock(&pool->lock);
	own = find_locked(pool, buffer->allocation.value);
	if (own && own->whose == IN_HAND)
		own->whose = POOLS;
	else
		own = NULL;
	pthread_mutex_unlock(&pool->lock);
	return own;
}

static void put_in_flight(struct tenure_pool *pool, struct buffer *own)
{
	pthread_mutex_lock(&pool->lock);
	own->whose = IN_FLIGHT;
	pool->n_in_flight++;
	enqueue_locked(pool, own);
	pthread_mutex_unlock(&pool->lock);
}

/* Gives a buffer back when the work that uses it has ended, and progress has
 * reached value. */
static int give_back(struct tenure_pool *pool, struct tenure_buffer *buffer,
		     const uint64_t *progress, uint64_t value)
{
	struct buffer *own;
	int status;

	if (is_nothing(buffer))
		return 0;
	if (forkmark_forked(&pool->mark))
		return refusal_set(-EOWNERDEAD, TENURE_REASON_FORKED);
	own = take(pool, buffer);
	if (!own)
		return refusal_set(-EINVAL, TENURE_REASON_ID_UNKNOWN);
	own->progress = progress;
	own->value = value;
	if (is_in_flight(pool, own)) {
		put_in_flight(pool, own);
	} else {
		status = tenure_dispenser_free(pool->dispenser, pool->holder,
					       buffer->allocation.value);
		/* It was in use, so all that can fail is its destruction,
		 * which is counted; it has been given back all the same. */
		assert(status == 0 || status == -EIO);
	}
	*buffer = (struct tenure_buffer){ 0 };
	collect(pool, LOOKS);
	tell(pool);
	return 0;
}

int tenure_pool_free(struct tenure_pool *pool, struct tenure_buffer *buffer)
{
	if (!pool || !buffer)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	return give_back(pool, buffer, NULL, 0);
}

int tenure_pool_free_after(struct tenure_pool *pool,
			   struct tenure_buffer *buffer,
			   const uint64_t *progress, uint64_t value)
{
	if (!pool || !buffer || !progress)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	return give_back(pool, buffer, progress, value);
}

int tenure_pool_trim(struct tenure_pool *pool)
{
	int status;

	if (!pool)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	if (forkmark_forked(&pool->mark))
		return refusal_set(-EOWNERDEAD, TENURE_REASON_FORKED);
	collect(pool, UINT32_MAX);
	status = tenure_dispenser_scan(pool->dispenser, pool->holder);
	pthread_mutex_lock(&pool->lock);
	pool->next_told_ns = 0;
	pthread_mutex_unlock(&pool->lock);
	tell(pool);
	return status;
}

int tenure_pool_stat(struct tenure_pool *pool,
		     struct tenure_pool_stat *ret_stat)
{
	struct tenure_dispenser_stat stat;
	int status;

	if (!pool || !ret_stat)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = tenure_dispenser_stat(pool->dispenser, pool->holder, &stat);
	if (status < 0)
		return status;
	pthread_mutex_lock(&pool->lock);
	*ret_stat = (struct tenure_pool_stat){
		.free = stat.free,
		/* A buffer may be landing between the two looks. */
		.in_use = stat.in_use - min_u64(stat.in_use, pool->n_in_flight),
		.in_flight = pool->n_in_flight,
		.bytes = pool->bytes,
		.hits = stat.hits,
		.misses = stat.misses,
		.created = stat.created,
		.destroyed_idle = stat.destroyed_idle + pool->n_found_lost,
		.destroyed_for_room = stat.destroyed_for_room,
		/* To the dispenser, those too could not be reset. */
		.destroyed_unfit =
			stat.destroyed_unreset -
			min_u64(stat.destroyed_unreset, pool->n_found_lost),
		.destroy_failures = stat.destroy_failures,
	};
	pthread_mutex_unlock(&pool->lock);
	return 0;
}
