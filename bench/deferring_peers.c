/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question: what does it cost others to destroy an object by its number and to
 * take it back when nobody can be looking at it any more?
 *
 *	tenure-deferring-peers urcu|epoch|mutex [--objects N] [--passes N]
 *
 * Objects of one cache line, N of them, as in the core's own entries; they are
 * destroyed in random order and, at the end of a pass, taken back:
 *
 *	urcu	liburcu (memb): call_rcu for each, rcu_barrier at the end
 *	epoch	Concurrency Kit: ck_epoch_call, ck_epoch_barrier
 *	mutex	a hash table behind a mutex, taken for each: delete the number,
 *		put the object on a free list. Nothing is deferred, so nobody
 *		may look without the mutex
 *
 * None of them checks whose object it is, of which generation, in which list;
 * none can tell a stale number from a new one, the mutex apart. A pass is
 * about a million objects (half of them when N is smaller). All threads run on
 * one CPU. One JSON object is printed, in nanoseconds for each object: medians
 * over the passes. Nothing of Tenure is in here.
 */
#include "bench/affinity.h"
#include "bench/clock.h"
#include "bench/passes.h"

#include <ck_epoch.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <urcu/urcu-memb.h>

enum { PASS = 1 << 20, USAGE = 64, AHEAD = TENURE_PREFETCH_AHEAD };

enum { OBJECT_FREE, OBJECT_LIVE, OBJECT_DYING };

struct object {
	_Alignas(64) uint64_t state;
	union {
		struct rcu_head rcu;
		ck_epoch_entry_t epoch;
		struct object *next;
	};
};

static struct object *objects;
static uint32_t *order;
static size_t n_objects = 10000000;

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "tenure-deferring-peers: %s\n", what);
	exit(1);
}

static uint64_t mixed(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void *huge(size_t size_bytes)
{
	void *start = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED)
		fail("no memory");
	madvise(start, size_bytes, MADV_HUGEPAGE);
	return start;
}

static void lay_out(void)
{
	objects = huge(n_objects * sizeof(*objects));
	order = huge(n_objects * sizeof(*order));
	for (size_t i = 0; i < n_objects; i++) {
		size_t other = mixed(i + 1) % (i + 1);

		objects[i].state = OBJECT_LIVE;
		order[i] = order[other];
		order[other] = (uint32_t)i;
	}
}

/* Marks the object dead, as each of them must; false when it was already. */
static bool kill_object(struct object *o)
{
	return __atomic_exchange_n(&o->state, OBJECT_DYING, __ATOMIC_ACQ_REL) ==
	       OBJECT_LIVE;
}

static void ask_for(size_t i)
{
	__builtin_prefetch(&objects[order[(i + AHEAD) % n_objects]], 1);
}

/* ---- liburcu ---- */

static void rcu_reclaim(struct rcu_head *head)
{
	struct object *o = caa_container_of(head, struct object, rcu);

	__atomic_store_n(&o->state, OBJECT_FREE, __ATOMIC_RELEASE);
}

static void rcu_begin(void)
{
	urcu_memb_register_thread();
}

static void rcu_pass(size_t from, size_t count)
{
	for (size_t i = from; i < from + count; i++) {
		struct object *o = &objects[order[i % n_objects]];

		ask_for(i);
		if (kill_object(o))
			urcu_memb_call_rcu(&o->rcu, rcu_reclaim);
	}
	urcu_memb_barrier();
}

/* ---- Concurrency Kit ---- */

static ck_epoch_t epoch;
static ck_epoch_record_t record;

static void epoch_reclaim(ck_epoch_entry_t *entry)
{
	struct object *o = (struct object *)((char *)entry -
					     offsetof(struct object, epoch));

	__atomic_store_n(&o->state, OBJECT_FREE, __ATOMIC_RELEASE);
}

static void epoch_begin(void)
{
	ck_epoch_init(&epoch);
	ck_epoch_register(&epoch, &record, NULL);
}

static void epoch_pass(size_t from, size_t count)
{
	for (size_t i = from; i < from + count; i++) {
		struct object *o = &objects[order[i % n_objects]];

		ask_for(i);
		if (kill_object(o))
			ck_epoch_call(&record, &o->epoch, epoch_reclaim);
	}
	ck_epoch_barrier(&record);
}

/* ---- A mutex and a hash table with open addresses ---- */

struct cell {
	uint64_t key; /* 0: empty */
	struct object *object;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct cell *cells;
static size_t mask;
static struct object *free_objects;

static size_t home(uint64_t key)
{
	return mixed(key) & mask;
}

static void insert(uint64_t key, struct object *object)
{
	size_t at = home(key);

	while (cells[at].key != 0)
		at = (at + 1) & mask;
	cells[at] = (struct cell){ key, object };
}

static void mutex_begin(void)
{
	size_t n = 2;

	while (n < 2 * n_objects)
		n *= 2;
	mask = n - 1;
	cells = huge(n * sizeof(*cells));
	for (size_t i = 0; i < n_objects; i++)
		insert(i + 1, &objects[i]);
}

/* Takes a key out and closes the gap behind it. */
static struct object *take(uint64_t key)
{
	size_t at = home(key), next;
	struct object *object;

	while (cells[at].key != key) {
		if (cells[at].key == 0)
			return NULL;
		at = (at + 1) & mask;
	}
	object = cells[at].object;
	for (next = (at + 1) & mask; cells[next].key != 0;
	     next = (next + 1) & mask) {
		size_t wants = home(cells[next].key);

		if (((next - wants) & mask) < ((next - at) & mask))
			continue;
		cells[at] = cells[next];
		at = next;
	}
	cells[at].key = 0;
	return object;
}

static void mutex_pass(size_t from, size_t count)
{
	for (size_t i = from; i < from + count; i++) {
		uint64_t ahead = order[(i + AHEAD) % n_objects] + 1;
		struct object *o;

		__builtin_prefetch(&cells[home(ahead)], 1);
		ask_for(i);
		pthread_mutex_lock(&mutex);
		o = take(order[i % n_objects] + 1);
		if (o) {
			o->state = OBJECT_FREE;
			o->next = free_objects;
			free_objects = o;
		}
		pthread_mutex_unlock(&mutex);
	}
}

/* ---- The run ---- */

static const struct peer {
	const char *name;
	void (*begin)(void);
	void (*pass)(size_t from, size_t count);
} peers[] = {
	{ "urcu", rcu_begin, rcu_pass },
	{ "epoch", epoch_begin, epoch_pass },
	{ "mutex", mutex_begin, mutex_pass },
};

/* What a pass destroyed lives again, untimed. */
static void revive(const struct peer *peer, size_t from, size_t count)
{
	for (size_t i = from; i < from + count; i++) {
		uint32_t number = order[i % n_objects];

		objects[number].state = OBJECT_LIVE;
		if (peer->pass == mutex_pass)
			insert(number + 1, &objects[number]);
	}
}

static void run(const struct peer *peer, unsigned int n_passes,
		struct passes *passes)
{
	static struct histogram histogram;
	size_t count = n_objects / 2 < PASS ? n_objects / 2 : PASS, from = 0;

	lay_out();
	peer->begin();
	for (unsigned int pass = 0; pass <= n_passes; pass++, from += count) {
		uint64_t start = now_ns(), elapsed;

		peer->pass(from, count);
		elapsed = now_ns() - start;
		revive(peer, from, count);
		if (pass == 0)
			continue; /* it warms up */
		histogram_init(&histogram);
		histogram_record(&histogram, elapsed * 1000 / count);
		passes_add(passes, &histogram, count, elapsed);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "objects", required_argument, NULL, 'o' },
		{ "passes", required_argument, NULL, 'p' },
		{ 0 },
	};
	static struct passes passes;
	const struct peer *peer = NULL;
	int n_passes = 5, option;
	struct quantiles q;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'o')
			n_objects = (size_t)strtod(optarg, NULL);
		else if (option == 'p')
			n_passes = atoi(optarg);
	}
	for (size_t i = 0; optind < argc && i < 3; i++)
		if (strcmp(peers[i].name, argv[optind]) == 0)
			peer = &peers[i];
	if (!peer || n_objects < 64 || n_objects > UINT32_MAX || n_passes < 1 ||
	    n_passes > PASSES_MAX) {
		fprintf(stderr, "tenure-deferring-peers: bad arguments\n");
		return USAGE;
	}
	run(peer, (unsigned int)n_passes, &passes);
	q = passes_median(&passes);
	printf("{\"peer\":\"%s\",\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,"
	       "\"throughput\":%.0f}\n",
	       peer->name, q.p50, q.p99, q.p999, q.throughput);
	return 0;
}
