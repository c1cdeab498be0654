/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispensers of the application: what core/dispenser_test.c cannot say, which
 * is drivers that are functions, threads, forks, reasons and the clock.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/api.h"
#include "core/base.h"
#include "core/limits.h"

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 3000, IDS = 1 << 17 };

/* Fails once it has counted to 0; negative: never. */
static _Atomic int blocks_left = -1;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_malloc(size_t size)
{
	if (blocks_left >= 0 && blocks_left-- <= 0)
		return NULL;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	if (blocks_left >= 0 && blocks_left-- <= 0)
		return NULL;
	return __real_calloc(n, size);
}

/* What a driver of these tests knows; each id is one resource. */
struct store {
	struct tenure_dispenser *dispenser;
	struct tenure_holder holder;
	pthread_mutex_t lock;
	uint64_t last_id;
	uint64_t idle_timeout_ns;
	_Atomic int live;
	/* 0: none, 1: nobody's, 2: somebody works on it. */
	_Atomic int state[IDS];
	_Atomic int wrong; /* a resource was in two hands */
	int (*inside)(struct store *store); /* called by reset */
	int reset_status, destroy_status, rating;
};

static int make(void *context, uint64_t type, struct tenure_made *ret_made)
{
	struct store *store = context;

	(void)type;
	pthread_mutex_lock(&store->lock);
	ret_made->id = ++store->last_id;
	store->live++;
	pthread_mutex_unlock(&store->lock);
	ret_made->idle_timeout_ns = store->idle_timeout_ns;
	store->state[ret_made->id % IDS] = 1;
	return 0;
}

static int rate(void *context, uint64_t type,
		const struct tenure_resource_id *id, int needs_enlist)
{
	const struct store *store = context;

	(void)type;
	(void)needs_enlist;
	assert(!id->string && id->number != 0);
	return store->rating;
}

static int reset(void *context, const struct tenure_resource_id *id)
{
	struct store *store = context;

	(void)id;
	if (store->inside)
		return store->inside(store);
	return store->reset_status;
}

static int end(void *context, uint64_t id)
{
	struct store *store = context;

	if (store->destroy_status != 0)
		return store->destroy_status;
	pthread_mutex_lock(&store->lock);
	store->live--;
	pthread_mutex_unlock(&store->lock);
	store->state[id % IDS] = 0;
	return 0;
}

static const struct tenure_driver numbers = {
	.create_resource = make,
	.rate_resource = rate,
	.reset_resource = reset,
	.destroy_resource = end,
};

static int make_string(void *context, uint64_t type,
		       struct tenure_made *ret_made)
{
	int status = make(context, type, ret_made);

	snprintf(ret_made->string, sizeof(ret_made->string), "resource %d",
		 (int)ret_made->id);
	return status;
}

static int end_string(void *context, const char *id)
{
	return end(context, strtoull(id + 9, NULL, 10));
}

static const struct tenure_driver strings = {
	.create_resource = make_string,
	.destroy_resource_s = end_string,
};

static int set_up(void **state)
{
	struct store *store = calloc(1, sizeof(*store));

	assert_non_null(store);
	pthread_mutex_init(&store->lock, NULL);
	store->idle_timeout_ns = TENURE_DISPENSER_NEVER;
	store->rating = 100;
	assert_int_equal(tenure_dispenser_create(&store->dispenser), 0);
	assert_int_equal(tenure_dispenser_register(store->dispenser, &numbers,
						   store, NULL, &store->holder),
			 0);
	*state = store;
	return 0;
}

static int tear_down(void **state)
{
	struct store *store = *state;

	assert_int_equal(tenure_dispenser_destroy(store->dispenser), 0);
	assert_int_equal(store->live, 0);
	pthread_mutex_destroy(&store->lock);
	free(store);
	return 0;
}

static uint64_t must_alloc(struct store *store)
{
	uint64_t id = 0;

	assert_int_equal(tenure_dispenser_alloc(store->dispenser, store->holder,
						1, 0, &id),
			 0);
	return id;
}

static struct tenure_dispenser_stat stat_of(struct store *store)
{
	struct tenure_dispenser_stat stat;

	assert_int_equal(tenure_dispenser_stat(store->dispenser, store->holder,
					       &stat),
			 0);
	return stat;
}

static void check_refusal(int got, int status, enum tenure_reason reason)
{
	struct tenure_refusal refusal;

	assert_int_equal(got, status);
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.status, status);
	assert_int_equal(refusal.reason, reason);
}

/* ---- One thread ---- */

static void what_is_freed_is_handed_out_again(void **state)
{
	struct store *store = *state;
	uint64_t id = must_alloc(store);

	assert_int_equal(
		tenure_dispenser_free(store->dispenser, store->holder, id), 0);
	assert_int_equal(must_alloc(store), id);
	assert_int_equal(stat_of(store).hits, 1);
	assert_int_equal(stat_of(store).misses, 1);
	assert_int_equal(stat_of(store).in_use, 1);
}

static void strings_are_ids_too(void **state)
{
	struct store *store = *state;
	struct tenure_dispenser *d = store->dispenser;
	struct tenure_holder holder;
	char id[TENURE_DISPENSER_STRING_BYTES];
	uint64_t number = 7;

	assert_int_equal(tenure_dispenser_register(d, &strings, store, NULL,
						   &holder),
			 0);
	assert_int_equal(tenure_dispenser_alloc_s(d, holder, 1, 0, id), 0);
	assert_string_equal(id, "resource 1");
	/* B41, both ways. */
	check_refusal(tenure_dispenser_alloc(d, holder, 1, 0, &number),
		      -ENOTSUP, TENURE_REASON_ID_KIND);
	check_refusal(tenure_dispenser_alloc_s(d, store->holder, 1, 0, id),
		      -ENOTSUP, TENURE_REASON_ID_KIND);
	check_refusal(tenure_dispenser_request_destroy(d, holder, 1), -ENOTSUP,
		      TENURE_REASON_ID_KIND);
	check_refusal(tenure_dispenser_request_destroy_s(d, store->holder, id),
		      -ENOTSUP, TENURE_REASON_ID_KIND);
	check_refusal(tenure_dispenser_free(d, holder, 1), -ENOTSUP,
		      TENURE_REASON_ID_KIND);
	check_refusal(tenure_dispenser_track(d, holder, 1), -ENOTSUP,
		      TENURE_REASON_ID_KIND);
	check_refusal(tenure_dispenser_untrack(d, holder, 1), -ENOTSUP,
		      TENURE_REASON_ID_KIND);
	assert_int_equal(number, 7);
	check_refusal(tenure_dispenser_free_s(d, holder, NULL), -EINVAL,
		      TENURE_REASON_ID_UNKNOWN);
	check_refusal(tenure_dispenser_free_s(d, holder, "resource 2"), -EINVAL,
		      TENURE_REASON_ID_UNKNOWN);
	assert_int_equal(tenure_dispenser_free_s(d, holder, id), 0);
	assert_int_equal(tenure_dispenser_track_s(d, holder, "resource 9"), 0);
	assert_int_equal(tenure_dispenser_untrack_s(d, holder, "resource 9"),
			 0);
	assert_int_equal(tenure_dispenser_request_destroy_s(d, holder, id), 0);
	assert_int_equal(tenure_dispenser_close(d, holder), 0);
}

static void refusals_say_why(void **state)
{
	struct store *store = *state;
	struct tenure_dispenser *d = store->dispenser;
	const struct tenure_holder none = { 0 }, wrong = { 99 };
	struct tenure_driver driver = numbers;
	struct tenure_dispenser_stat stat;
	struct tenure_holder holder = { 5 };
	uint64_t id = 7;

	check_refusal(tenure_dispenser_create(NULL), -EINVAL,
		      TENURE_REASON_ARGUMENT);
	check_refusal(tenure_dispenser_alloc(NULL, none, 1, 0, &id), -EINVAL,
		      TENURE_REASON_ARGUMENT);
	check_refusal(tenure_dispenser_alloc(d, store->holder, 1, 0, NULL),
		      -EINVAL, TENURE_REASON_ARGUMENT);
	check_refusal(tenure_dispenser_alloc(d, none, 1, 0, &id), -EINVAL,
		      TENURE_REASON_HOLDER_INVALID);
	check_refusal(tenure_dispenser_close(d, wrong), -EINVAL,
		      TENURE_REASON_HOLDER_INVALID);
	check_refusal(tenure_dispenser_complete(d, wrong, 1), -EINVAL,
		      TENURE_REASON_HOLDER_INVALID);
	check_refusal(tenure_dispenser_scan(d, wrong), -EINVAL,
		      TENURE_REASON_HOLDER_INVALID);
	check_refusal(tenure_dispenser_stat(d, wrong, &stat), -EINVAL,
		      TENURE_REASON_HOLDER_INVALID);
	check_refusal(tenure_dispenser_stat(d, wrong, NULL), -EINVAL,
		      TENURE_REASON_ARGUMENT);
	check_refusal(tenure_dispenser_free(d, store->holder, 1), -EINVAL,
		      TENURE_REASON_ID_UNKNOWN);
	/* Neither kind of ids, both, or nothing to create with. */
	driver.destroy_resource = NULL;
	check_refusal(tenure_dispenser_register(d, &driver, NULL, NULL,
						&holder),
		      -EINVAL, TENURE_REASON_ARGUMENT);
	driver.destroy_resource = end;
	driver.destroy_resource_s = end_string;
	check_refusal(tenure_dispenser_register(d, &driver, NULL, NULL,
						&holder),
		      -EINVAL, TENURE_REASON_ARGUMENT);
	driver = numbers;
	driver.create_resource = NULL;
	check_refusal(tenure_dispenser_register(d, &driver, NULL, NULL,
						&holder),
		      -EINVAL, TENURE_REASON_ARGUMENT);
	assert_int_equal(holder.value, 5);
	assert_int_equal(id, 7);
	assert_int_equal(tenure_dispenser_destroy(NULL), 0);
}

static int make_nothing(void *context, uint64_t type,
			struct tenure_made *ret_made)
{
	(void)context;
	(void)ret_made;
	return type == 1 ? 0 : -ENOSPC;
}

static void a_driver_that_cannot_create(void **state)
{
	struct store *store = *state;
	struct tenure_driver driver = numbers;
	struct tenure_holder holder;
	uint64_t id;

	driver.create_resource = make_nothing;
	assert_int_equal(tenure_dispenser_register(store->dispenser, &driver,
						   store, NULL, &holder),
			 0);
	check_refusal(tenure_dispenser_alloc(store->dispenser, holder, 1, 0,
					     &id),
		      -EINVAL, TENURE_REASON_DRIVER_ID);
	check_refusal(tenure_dispenser_alloc(store->dispenser, holder, 2, 0,
					     &id),
		      -ENOSPC, TENURE_REASON_DRIVER_FAILED);
}

static void b42_a_driver_that_cannot_destroy(void **state)
{
	struct store *store = *state;
	uint64_t id = must_alloc(store);

	assert_int_equal(
		tenure_dispenser_free(store->dispenser, store->holder, id), 0);
	store->destroy_status = -EPERM;
	check_refusal(tenure_dispenser_request_destroy(store->dispenser,
						       store->holder, id),
		      -EIO, TENURE_REASON_DRIVER_FAILED);
	assert_int_equal(stat_of(store).broken, 1);
	assert_int_equal(stat_of(store).destroy_failures, 1);
	assert_int_not_equal(must_alloc(store), id);
	check_refusal(tenure_dispenser_close(store->dispenser, store->holder),
		      -EIO, TENURE_REASON_DRIVER_FAILED);
	assert_int_equal(store->live, 2);
	store->live = 0;
}

static void options_are_taken(void **state)
{
	const struct tenure_dispenser_options options = { .resources_max = 1 };
	struct store *store = *state;
	uint64_t id;

	assert_int_equal(
		tenure_dispenser_close(store->dispenser, store->holder), 0);
	assert_int_equal(tenure_dispenser_register(store->dispenser, &numbers,
						   store, &options,
						   &store->holder),
			 0);
	must_alloc(store);
	check_refusal(tenure_dispenser_alloc(store->dispenser, store->holder, 1,
					     0, &id),
		      -EDQUOT, TENURE_REASON_HOLDER_FULL);
}

/* Without rate, enlist and reset: what the header promises. */
static void a_driver_of_two_functions(void **state)
{
	const struct tenure_driver least = { .create_resource = make,
					     .destroy_resource = end };
	struct store *store = *state;
	struct tenure_dispenser *d = store->dispenser;
	struct tenure_holder holder;
	uint64_t a, b, c;

	assert_int_equal(
		tenure_dispenser_register(d, &least, store, NULL, &holder), 0);
	assert_int_equal(tenure_dispenser_alloc(d, holder, 1, 9, &a), 0);
	assert_int_equal(tenure_dispenser_free(d, holder, a), 0);
	assert_int_equal(tenure_dispenser_alloc(d, holder, 2, 0, &b), 0);
	assert_int_not_equal(a, b);
	assert_int_equal(tenure_dispenser_alloc(d, holder, 1, 0, &c), 0);
	assert_int_equal(a, c);
	assert_int_equal(tenure_dispenser_complete(d, holder, 9), 0);
	assert_int_equal(tenure_dispenser_close(d, holder), 0);
	check_refusal(tenure_dispenser_free(d, holder, a), -EINVAL,
		      TENURE_REASON_HOLDER_INVALID);
}

/* ---- The clock ---- */

static void idle_ones_go_by_themselves(void **state)
{
	const struct tenure_dispenser_options options = { .scan_period_ns = 1 };
	const struct timespec moment = { .tv_nsec = 2000000 };
	struct store *store = *state;
	struct tenure_dispenser *d = store->dispenser;
	struct tenure_holder holder;
	uint64_t idle[3], id;

	store->idle_timeout_ns = 1000000;
	assert_int_equal(tenure_dispenser_register(d, &numbers, store, &options,
						   &holder),
			 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			tenure_dispenser_alloc(d, holder, 1, 0, &idle[i]), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(tenure_dispenser_free(d, holder, idle[i]), 0);
	nanosleep(&moment, NULL);
	/* The alloc takes one of them and finds the others too old. */
	assert_int_equal(tenure_dispenser_alloc(d, holder, 1, 0, &id), 0);
	assert_int_equal(id, idle[2]);
	assert_int_equal(store->live, 1);
	assert_int_equal(tenure_dispenser_close(d, holder), 0);
}

static void a_scan_on_request(void **state)
{
	const struct timespec moment = { .tv_nsec = 2000000 };
	struct store *store = *state;

	store->idle_timeout_ns = 1000000;
	for (int i = 0; i < 3; i++)
		must_alloc(store);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(tenure_dispenser_free(store->dispenser,
						       store->holder, id),
				 0);
	nanosleep(&moment, NULL);
	assert_int_equal(tenure_dispenser_scan(store->dispenser, store->holder),
			 0);
	assert_int_equal(store->live, 0);
	assert_int_equal(stat_of(store).destroyed_idle, 3);
}

/* ---- Drivers that call back (G1, G3) ---- */

static int alloc_and_free(struct store *store)
{
	uint64_t id;
	int status;

	store->inside = NULL;
	status = tenure_dispenser_alloc(store->dispenser, store->holder, 1, 0,
					&id);
	if (status == 0)
		status = tenure_dispenser_free(store->dispenser, store->holder,
					       id);
	return status;
}

static void a_driver_may_use_its_own_holder(void **state)
{
	struct store *store = *state;
	uint64_t id = must_alloc(store);

	store->inside = alloc_and_free;
	assert_int_equal(
		tenure_dispenser_free(store->dispenser, store->holder, id), 0);
	assert_int_equal(stat_of(store).free, 2);
}

static int close_own(struct store *store)
{
	store->inside = NULL;
	assert(tenure_dispenser_destroy(store->dispenser) == -EDEADLK);
	return tenure_dispenser_close(store->dispenser, store->holder);
}

static void a_driver_may_close_its_own_holder(void **state)
{
	struct store *store = *state;
	uint64_t id = must_alloc(store);

	must_alloc(store);
	store->inside = close_own;
	assert_int_equal(
		tenure_dispenser_free(store->dispenser, store->holder, id), 0);
	assert_int_equal(store->live, 0);
	check_refusal(tenure_dispenser_free(store->dispenser, store->holder,
					    id),
		      -EINVAL, TENURE_REASON_HOLDER_INVALID);
}

/* ---- Drivers that are wrong (G3) ---- */

enum badness {
	NO_CREATE,
	CREATE_NONSENSE,
	NO_ID,
	SAME_ID,
	RATE_HIGH,
	RATE_LOW,
	NO_ENLIST,
	ENLIST_NONSENSE,
	NO_RESET,
	RESET_NONSENSE,
	NO_DESTROY,
	DESTROY_NONSENSE,
	BADNESSES,
};

struct bad {
	enum badness how;
	uint64_t last_id;
};

static int bad_make(void *context, uint64_t type, struct tenure_made *ret_made)
{
	struct bad *bad = context;

	(void)type;
	ret_made->id = bad->how == NO_ID   ? 0 :
		       bad->how == SAME_ID ? 7 :
					     ++bad->last_id;
	return bad->how == NO_CREATE	   ? -ENOSPC :
	       bad->how == CREATE_NONSENSE ? 5 :
					     0;
}

static int bad_rate(void *context, uint64_t type,
		    const struct tenure_resource_id *id, int needs_enlist)
{
	const struct bad *bad = context;

	(void)type;
	(void)id;
	(void)needs_enlist;
	return bad->how == RATE_HIGH ? 101 : bad->how == RATE_LOW ? -5 : 50;
}

static int bad_enlist(void *context, const struct tenure_resource_id *id,
		      uint64_t transaction)
{
	const struct bad *bad = context;

	(void)id;
	(void)transaction;
	return bad->how == NO_ENLIST	   ? -EIO :
	       bad->how == ENLIST_NONSENSE ? 77 :
					     0;
}

static int bad_reset(void *context, const struct tenure_resource_id *id)
{
	const struct bad *bad = context;

	(void)id;
	return bad->how == NO_RESET ? -EIO : bad->how == RESET_NONSENSE ? 1 : 0;
}

static int bad_end(void *context, uint64_t id)
{
	const struct bad *bad = context;

	(void)id;
	return bad->how == NO_DESTROY	    ? -EBUSY :
	       bad->how == DESTROY_NONSENSE ? 1 :
					      0;
}

/* Uses a holder of such a driver; what its two allocs and its close say. */
static void use_bad(struct tenure_dispenser *dispenser, struct bad *bad,
		    int *ret_status, struct tenure_dispenser_stat *ret_stat)
{
	static const struct tenure_driver driver = {
		.create_resource = bad_make,
		.rate_resource = bad_rate,
		.enlist_resource = bad_enlist,
		.reset_resource = bad_reset,
		.destroy_resource = bad_end,
	};
	struct tenure_holder holder;
	uint64_t ids[2];

	assert_int_equal(tenure_dispenser_register(dispenser, &driver, bad,
						   NULL, &holder),
			 0);
	for (int i = 0; i < 2; i++)
		ret_status[i] = tenure_dispenser_alloc(dispenser, holder, 1, 3,
						       &ids[i]);
	for (int i = 0; i < 2; i++) {
		if (ret_status[i] == 0)
			tenure_dispenser_free(dispenser, holder, ids[i]);
	}
	/* What is free is rated. */
	if (ret_status[0] == 0 &&
	    tenure_dispenser_alloc(dispenser, holder, 1, 3, &ids[0]) == 0)
		tenure_dispenser_free(dispenser, holder, ids[0]);
	assert_int_equal(tenure_dispenser_stat(dispenser, holder, ret_stat), 0);
	ret_status[2] = tenure_dispenser_close(dispenser, holder);
}

static void g3_a_bad_driver_harms_its_own_holder(void **state)
{
	static const struct {
		int first, second, close;
		bool fails, is_nonsense;
	} expected[BADNESSES] = {
		[NO_CREATE] = { -ENOSPC, -ENOSPC, 0, true, false },
		[CREATE_NONSENSE] = { -EIO, -EIO, 0, false, true },
		[NO_ID] = { -EINVAL, -EINVAL, 0, false, true },
		[SAME_ID] = { 0, -EINVAL, 0, false, true },
		[RATE_HIGH] = { 0, 0, 0, false, true },
		[RATE_LOW] = { 0, 0, 0, true, false },
		[NO_ENLIST] = { -EIO, -EIO, 0, true, false },
		[ENLIST_NONSENSE] = { -EIO, -EIO, 0, false, true },
		[NO_RESET] = { 0, 0, 0, true, false },
		[RESET_NONSENSE] = { 0, 0, 0, false, true },
		[NO_DESTROY] = { 0, 0, -EIO, false, false },
		[DESTROY_NONSENSE] = { 0, 0, -EIO, false, false },
	};
	struct tenure_dispenser_stat stat;
	struct store *store = *state;
	uint64_t id = must_alloc(store);
	int status[3];

	for (unsigned int how = 0; how < BADNESSES; how++) {
		struct bad bad = { .how = (enum badness)how };

		use_bad(store->dispenser, &bad, status, &stat);
		assert_int_equal(status[0], expected[how].first);
		assert_int_equal(status[1], expected[how].second);
		assert_int_equal(status[2], expected[how].close);
		assert_int_equal(stat.driver_failures > 0, expected[how].fails);
		assert_int_equal(stat.nonsense > 0, expected[how].is_nonsense);
		/* Here all goes on, with the same resource. */
		assert_int_equal(tenure_dispenser_free(store->dispenser,
						       store->holder, id),
				 0);
		assert_int_equal(must_alloc(store), id);
	}
	stat = stat_of(store);
	assert_int_equal(stat.created, 1);
	assert_int_equal(stat.driver_failures + stat.nonsense +
				 stat.destroy_failures,
			 0);
	assert_int_equal(
		tenure_dispenser_free(store->dispenser, store->holder, id), 0);
}

/* ---- Threads ---- */

/* Two of these meet inside the driver: neither may wait for the other. */
static pthread_barrier_t meeting;

static int meet(struct store *store)
{
	(void)store;
	pthread_barrier_wait(&meeting);
	return 0;
}

static void *free_2(void *context)
{
	struct store *store = context;

	assert(tenure_dispenser_free(store->dispenser, store->holder, 2) == 0);
	return NULL;
}

static void g1_two_threads_in_one_driver(void **state)
{
	struct store *store = *state;
	pthread_t thread;

	must_alloc(store);
	must_alloc(store);
	pthread_barrier_init(&meeting, NULL, 2);
	store->inside = meet;
	assert_int_equal(pthread_create(&thread, NULL, free_2, store), 0);
	assert_int_equal(
		tenure_dispenser_free(store->dispenser, store->holder, 1), 0);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&meeting);
	store->inside = NULL;
	assert_int_equal(stat_of(store).free, 2);
}

static _Atomic bool may_return, was_inside;

static int block(struct store *store)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	was_inside = true;
	while (!may_return)
		nanosleep(&moment, NULL);
	return store->reset_status;
}

static void *close_other(void *context)
{
	struct store *store = context;

	assert(tenure_dispenser_close(store->dispenser, store->holder) == 0);
	/* G2: by now the blocked call is over. */
	assert(may_return);
	return NULL;
}

static void g2_close_waits_for_a_blocked_driver(void **state)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	static struct store other = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct store *store = *state;
	pthread_t blocked, closer;

	may_return = was_inside = false;
	other.dispenser = store->dispenser;
	must_alloc(store);
	must_alloc(store);
	assert_int_equal(tenure_dispenser_register(store->dispenser, &numbers,
						   &other, NULL, &other.holder),
			 0);
	store->inside = block;
	assert_int_equal(pthread_create(&blocked, NULL, free_2, store), 0);
	while (!was_inside)
		nanosleep(&moment, NULL);
	/* G3: for other holders nothing has changed. */
	must_alloc(&other);
	assert_int_equal(pthread_create(&closer, NULL, close_other, store), 0);
	while (tenure_dispenser_free(store->dispenser, store->holder, 9) !=
		       -EINVAL ||
	       store->live > 1)
		nanosleep(&moment, NULL);
	assert_int_equal(tenure_dispenser_close(store->dispenser, other.holder),
			 0);
	may_return = true;
	pthread_join(closer, NULL);
	pthread_join(blocked, NULL);
	assert_int_equal(store->live, 0);
}

/* Takes, uses and gives back; now and then what others do to a holder. */
static void *churn(void *context)
{
	struct store *store = context;
	struct tenure_dispenser *d = store->dispenser;
	uint64_t mine[8] = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t *id = &mine[i * 7 % 8];

		if (*id != 0) {
			int before =
				atomic_exchange(&store->state[*id % IDS], 1);

			if (i % 13 == 0)
				tenure_dispenser_request_destroy(
					d, store->holder, *id);
			/* A close has destroyed it in our hands. */
			if (tenure_dispenser_free(d, store->holder, *id) != 0)
				break;
			store->wrong += before != 2;
			*id = 0;
		} else if (tenure_dispenser_alloc(d, store->holder,
						  (uint64_t)(i % 3),
						  (uint64_t)(i % 5), id) == 0) {
			store->wrong +=
				atomic_exchange(&store->state[*id % IDS], 2) ==
				2;
		} else {
			break;
		}
		if (i % 50 == 0)
			tenure_dispenser_complete(d, store->holder,
						  (uint64_t)(i % 5));
		if (i % 100 == 0)
			tenure_dispenser_scan(d, store->holder);
	}
	return NULL;
}

static void many_threads(struct store *store, bool close_meanwhile)
{
	const struct timespec moment = { .tv_nsec = 3000000 };
	pthread_t threads[THREADS];

	store->rating = 60;
	store->idle_timeout_ns = 100000;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, churn, store), 0);
	if (close_meanwhile) {
		nanosleep(&moment, NULL);
		assert_int_equal(tenure_dispenser_close(store->dispenser,
							store->holder),
				 0);
		assert_int_equal(store->live, 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(store->wrong, 0);
}

static void threads_share_a_holder(void **state)
{
	struct store *store = *state;

	many_threads(store, false);
	assert_true(stat_of(store).hits > 0);
	assert_int_equal(stat_of(store).broken, 0);
}

static void threads_and_a_close(void **state)
{
	many_threads(*state, true);
}

/* ---- Fork and memory ---- */

static void a_forked_child_is_refused(void **state)
{
	struct store *store = *state;
	uint64_t id = must_alloc(store);
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(tenure_dispenser_free(store->dispenser, store->holder,
					    id) == -EOWNERDEAD ?
			      0 :
			      1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int one_of_everything(struct store *store)
{
	struct tenure_dispenser *d;
	struct tenure_holder holder;
	uint64_t id;
	int status = tenure_dispenser_create(&d);

	if (status < 0)
		return status;
	status = tenure_dispenser_register(d, &numbers, store, NULL, &holder);
	if (status == 0)
		status = tenure_dispenser_alloc(d, holder, 1, 9, &id);
	if (status == 0)
		status = tenure_dispenser_free(d, holder, id);
	if (status == 0)
		status = tenure_dispenser_track(d, holder, 1000);
	if (status == 0)
		status = tenure_dispenser_untrack(d, holder, 1000);
	assert(tenure_dispenser_destroy(d) == 0);
	return status;
}

static void g4_the_nth_block_fails(void **state)
{
	struct store *store = *state;
	int n = 0, status;

	do {
		blocks_left = n++;
		status = one_of_everything(store);
		blocks_left = -1;
		if (status < 0)
			check_refusal(status, -ENOMEM,
				      TENURE_REASON_LIBRARY_MEMORY);
		assert_int_equal(store->live, 0);
	} while (status < 0);
	assert_true(n > 5);
}

#define with(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(what_is_freed_is_handed_out_again),
		with(strings_are_ids_too),
		with(refusals_say_why),
		with(a_driver_that_cannot_create),
		with(b42_a_driver_that_cannot_destroy),
		with(options_are_taken),
		with(a_driver_of_two_functions),
		with(idle_ones_go_by_themselves),
		with(a_scan_on_request),
		with(a_driver_may_use_its_own_holder),
		with(a_driver_may_close_its_own_holder),
		with(g3_a_bad_driver_harms_its_own_holder),
		with(g1_two_threads_in_one_driver),
		with(g2_close_waits_for_a_blocked_driver),
		with(threads_share_a_holder),
		with(threads_and_a_close),
		with(a_forked_child_is_refused),
		with(g4_the_nth_block_fails),
	};

	return cmocka_run_group_tests_name("dispenser", tests, NULL, NULL);
}
