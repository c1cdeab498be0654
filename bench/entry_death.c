/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S9: what does it cost when a client dies that holds 10^6 allocations? The
 * core alone: turns as large as the daemon's, and release jobs of a backend
 * that does nothing, divided by the allocations. Thread CPU time, since a sample
 * is so long that it would hold the time slices of others. The floor is a sweep
 * over as many lines in order, on pages of the same size. What a payload costs
 * on the releaser is not in it: there is no arena to give a slice back to.
 *
 * S9-whole: the same through the real daemon, from the kill of a process until
 * the last of its memfds is closed, each with 1024 allocations of which it has
 * never had a descriptor. The floor: to close as many empty memfds.
 *
 * S9-mapped: it has mapped one allocation of each memfd, so that nobody knows
 * what was written. The floor punches as many holes, each of as many pages as
 * one release may give back.
 *
 * S9-other: what another client notices of it: the p99 of a question and its
 * answer in that time, where p50 stands, and then p99.9 and the slowest. The
 * floor is the p99 before.
 *
 * S10: how long is the worker away from everybody for one turn, ticks with the
 * release jobs that come of them? Thread CPU time, the p99.9 where p50 stands, and
 * then the slowest; while a million handles out of 10^7 are reclaimed that were
 * destroyed in random order, (S10-death) in the death of S9, and (S10-contexts)
 * in that of a client with 4095 contexts, from its first moment on. All belong
 * to one client.
 */
#include "bench/bench.h"

#include "bench/child.h"
#include "bench/clock.h"
#include "bench/contexts.h"
#include "bench/world.h"
#include "daemon/turn.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <tenure/tenure.h>
#include <unistd.h>

static const double S9_TARGET = 2, OTHER_TARGET = 2, TICK_TARGET_NS = 100000;

static uint64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Quantiles of what matters at its end: p99.9, and then the worst. */
static struct quantiles tail(const struct histogram *h, double q)
{
	double worst = (double)h->most / 1000;

	return (struct quantiles){
		.p50 = (double)histogram_quantile(h, q) / 1000,
		.p99 = worst,
		.p999 = worst,
	};
}

/* ---- The core: S9 and S10 ---- */

static size_t dying(const struct bench *bench)
{
	return bench->smoke ? 8192 : 1000000;
}

/* Carries out the release jobs that a turn may; whether there was one. */
static bool release_all(struct world *world, struct turn *turn)
{
	struct release *release = &world->release;
	bool any = false;

	while (turn_may_release(turn) &&
	       broker_next_release(&world->broker, release)) {
		broker_release_done(&world->broker, release->args.client, 0,
				    release->args.resource, 0);
		turn_release(turn, release->args.count, release->bytes);
		any = true;
	}
	return any;
}

/* The engine's way to make a turn; whether another one has something to do. */
static bool make_turn(struct world *world, struct pace *pace)
{
	const struct turn_load load = turn_load_of(&world->broker);
	struct turn turn;
	bool more;

	turn_begin(&turn, pace, &load);
	release_all(world, &turn);
	do
		more = broker_tick_budget(&world->broker, 0, &turn.visits);
	while (release_all(world, &turn) && turn_may_release(&turn));
	more |= !turn_may_release(&turn);
	turn_end(&turn, pace, more, turn_load_of(&world->broker).destroyed);
	return more;
}

/* Until nothing is left to do. */
static void run_turns(struct world *world)
{
	struct pace pace = { 0 };

	while (make_turn(world, &pace))
		;
}

/* The same, and each turn is a sample of its CPU time. To read that is a call
 * of the kernel, which would be a good part of what S9 measures. */
static void run_ticks(struct world *world, struct histogram *ticks)
{
	struct pace pace = { 0 };
	bool more = true;

	while (more) {
		uint64_t before = thread_ns();

		more = make_turn(world, &pace);
		histogram_record(ticks, (thread_ns() - before) * 1000);
	}
}

static void add_ticks(struct bench *bench, const char *id, const char *name,
		      const struct histogram *ticks)
{
	struct result result = { .unit = "ns",
				 .floor = NAN,
				 .target_kind = TARGET_VALUE,
				 .target = TICK_TARGET_NS,
				 .q = tail(ticks, 0.999) };

	snprintf(result.id, sizeof(result.id), "%s", id);
	snprintf(result.name, sizeof(result.name), "%s", name);
	report_add(bench->report, &result);
}

/* Another death: how long each turn of it takes. */
static void measure_death_turns(const struct bench *bench,
				struct histogram *ticks)
{
	struct world *world =
		world_new(dying(bench), WORLD_BATCH, WORLD_PAGES_DAEMON);

	histogram_init(ticks);
	broker_disconnect(&world->broker, world->session, 0, NULL);
	run_ticks(world, ticks);
	world_free(world);
}

/* The death of a client with as many contexts as one may have, all with work
 * in flight. That it is told of the death is a sample, too. */
static void measure_context_turns(const struct bench *bench,
				  struct histogram *ticks)
{
	size_t n = bench->smoke ? WORLD_BATCH : 65536;
	struct world *world = world_new(n, WORLD_BATCH, WORLD_PAGES_DAEMON);
	struct contexts users;
	uint64_t start;

	contexts_init(&users, world, WORDS_PER_CLIENT_MAX - 1, 1);
	contexts_use(&users, world->handles, n);
	histogram_init(ticks);
	start = thread_ns();
	broker_disconnect(&world->broker, world->session, 0, NULL);
	histogram_record(ticks, (thread_ns() - start) * 1000);
	run_ticks(world, ticks);
	contexts_deinit(&users);
	world_free(world);
}

/* Each pass has a client of its own that dies. */
static struct quantiles measure_deaths(const struct bench *bench,
				       const char **ret_pages)
{
	static struct histogram one;
	struct passes passes = { 0 };
	size_t n = dying(bench);

	for (unsigned int pass = 0; pass <= bench_passes(bench); pass++) {
		struct world *world =
			world_new(n, WORLD_BATCH, WORLD_PAGES_DAEMON);
		struct obituary obituary;
		uint64_t start;

		*ret_pages = world_page_name(world);
		start = thread_ns();
		broker_disconnect(&world->broker, world->session, 0, NULL);
		run_turns(world);
		histogram_init(&one);
		start = thread_ns() - start;
		histogram_record(&one, start * 1000 / n);
		if (!broker_next_obituary(&world->broker, &obituary))
			fprintf(stderr, "tenure-bench: it is not dead\n");
		if (pass > 0)
			passes_add(&passes, &one, n, start);
		world_free(world);
	}
	return passes_median(&passes);
}

static bool measure_core_death(struct bench *bench)
{
	static struct histogram ticks;
	struct result result = { .id = "S9",
				 .unit = "ns",
				 .doubt = 1,
				 .target_kind = TARGET_RATIO,
				 .target = S9_TARGET };
	struct quantiles sweep[2];
	const char *pages = "thp";
	char live[16];

	if (!measure_visit(bench, dying(bench), pages, "sweep", &sweep[0]))
		return false;
	result.q = measure_deaths(bench, &pages);
	if (!measure_visit(bench, dying(bench), pages, "sweep", &sweep[1]))
		return false;
	result.floor = middle_of(&sweep[0], &sweep[1], &result.doubt);
	snprintf(result.name, sizeof(result.name),
		 "core: a client with %s dies, each, %s pages",
		 bench_count(live, dying(bench)), pages);
	report_add(bench->report, &result);
	measure_death_turns(bench, &ticks);
	add_ticks(bench, "S10-death", "CPU time of a turn then, p99.9, slowest",
		  &ticks);
	measure_context_turns(bench, &ticks);
	add_ticks(bench, "S10-contexts",
		  "the same, one with 4095 contexts at work", &ticks);
	return true;
}

bool entry_tick(struct bench *bench)
{
	static struct histogram ticks;
	size_t n = bench_live(bench);
	struct world *world = world_new(n, WORLD_BATCH, WORLD_PAGES_DAEMON);
	size_t lists = n / 10 / WORLD_BATCH > 0 ? n / 10 / WORLD_BATCH : 1;

	histogram_init(&ticks);
	for (unsigned int pass = 0; pass < bench_passes(bench); pass++) {
		const uint64_t *handles =
			world->handles + pass * lists * WORLD_BATCH;

		for (size_t i = 0; i < lists; i++)
			world_destroy(world, handles + i * WORLD_BATCH,
				      WORLD_BATCH);
		run_ticks(world, &ticks);
	}
	world_free(world);
	add_ticks(bench, "S10",
		  "CPU time of a turn, random reclaim, p99.9, slowest", &ticks);
	return true;
}

/* ---- The daemon: S9-whole and S9-other ---- */

enum {
	LIST = 1024,
	LOOK_EVERY = 64,
	QUIET_QUESTIONS = 20000,
	HOLES = LIST / JOB_SLOTS_MAX, /* in each memfd */
};

struct member {
	struct tenure *connection;
	struct tenure_device device;
};

static bool join(struct member *m, const struct service *service)
{
	struct tenure_adapter adapter;

	return tenure_connect(service->socket, 0, &m->connection) == 0 &&
	       tenure_adapter_open(m->connection, NULL, &adapter) == 0 &&
	       tenure_device_create(m->connection, adapter, &m->device) == 0;
}

/* After it the daemon must suppose that there are pages. */
static bool look_into(const struct member *m, struct tenure_allocation a)
{
	void *pointer;
	size_t size;

	return tenure_map(m->connection, m->device, a, TENURE_MAP_READ,
			  &pointer, &size) == 0 &&
	       tenure_unmap(m->connection, m->device, a) == 0;
}

/* A process that holds n allocations, says so, and waits to be killed. */
static void live(const struct service *service, size_t n, bool mapped,
		 int ready)
{
	static struct tenure_allocation handles[LIST];
	static size_t sizes[LIST];
	struct member m;
	bool good = join(&m, service);

	for (int i = 0; i < LIST; i++)
		sizes[i] = 4096;
	for (size_t made = 0; good && made < n; made += LIST)
		good = tenure_allocation_create(m.connection, m.device, sizes,
						LIST, handles) == 0 &&
		       (!mapped || look_into(&m, handles[0]));
	if (!good || write(ready, "+", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static pid_t start_victim(const struct service *service, size_t n, bool mapped)
{
	int ends[2];
	pid_t pid;
	char byte;
	bool good;

	if (pipe(ends) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		live(service, n, mapped, ends[1]);
	}
	close(ends[1]);
	good = pid > 0 && read(ends[0], &byte, 1) == 1;
	close(ends[0]);
	return good ? pid : -1;
}

static unsigned int descriptors_of(const struct service *service)
{
	char path[64];
	unsigned int n = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)service->pid);
	folder = opendir(path);
	while (folder && readdir(folder))
		n++;
	if (folder)
		closedir(folder);
	return n;
}

static bool ask(const struct bench *bench, struct member *m,
		struct histogram *answers)
{
	struct tenure_stat stat;
	uint64_t start = now_ns();

	if (tenure_stat(m->connection, &stat) != 0)
		return false;
	histogram_record(answers,
			 without_clock(now_ns() - start, bench->clock_cost_ns) *
				 1000);
	return true;
}

static bool ask_quietly(const struct bench *bench, struct member *m,
			struct histogram *answers)
{
	bool good = true;

	for (int i = 0; good && i < (bench->smoke ? 100 : QUIET_QUESTIONS); i++)
		good = ask(bench, m, answers);
	return good;
}

/* Kills the victim and asks until nothing of it is left; the time, or 0. */
static uint64_t ask_beside_death(const struct bench *bench, struct member *m,
				 const struct service *service, pid_t victim,
				 unsigned int before, struct histogram *answers)
{
	uint64_t start = now_ns();

	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	do
		for (int i = 0; i < LOOK_EVERY; i++)
			if (!ask(bench, m, answers))
				return 0;
	while (descriptors_of(service) > before);
	return now_ns() - start;
}

/* What the kernel takes to close the memfds that n allocations are in, and to
 * punch each in holes before; for each allocation. */
static double kernel_floor(size_t n, bool punched)
{
	size_t files = n / LIST, bytes = (size_t)LIST * PAGE_BYTES;
	int *fds = calloc(files, sizeof(*fds));
	uint64_t took = UINT64_MAX;

	for (int round = 0; fds && round < 5; round++) {
		uint64_t start;

		for (size_t i = 0; i < files; i++) {
			fds[i] = memfd_create("floor", MFD_CLOEXEC);
			if (fds[i] < 0 || ftruncate(fds[i], (off_t)bytes) != 0)
				fprintf(stderr, "tenure-bench: no memfd\n");
		}
		start = now_ns();
		for (size_t i = 0; i < files; i++) {
			for (size_t at = 0; punched && at < bytes;
			     at += bytes / HOLES)
				fallocate(fds[i],
					  FALLOC_FL_PUNCH_HOLE |
						  FALLOC_FL_KEEP_SIZE,
					  (off_t)at, (off_t)(bytes / HOLES));
			close(fds[i]);
		}
		took = min_u64(took, now_ns() - start);
	}
	free(fds);
	return (double)took / (double)n;
}

static struct result whole_result(const struct bench *bench, bool mapped)
{
	struct result result = { .unit = "ns",
				 .floor = kernel_floor(dying(bench), mapped) };

	snprintf(result.id, sizeof(result.id), "%s",
		 mapped ? "S9-mapped" : "S9-whole");
	snprintf(result.name, sizeof(result.name), "%s",
		 mapped ? "the same, each memfd had been mapped" :
			  "daemon: from the kill to the last memfd, each");
	return result;
}

static bool measure_beside(struct bench *bench, const struct service *service,
			   struct member *m, bool mapped)
{
	static struct histogram quiet, dying_time, whole;
	struct result other = { .id = "S9-other",
				.name = "another client's question then, p99, "
					"p99.9, slowest",
				.unit = "ns",
				.target_kind = TARGET_RATIO,
				.target = OTHER_TARGET };
	struct result result = whole_result(bench, mapped);
	struct passes passes = { 0 };

	histogram_init(&quiet);
	histogram_init(&dying_time);
	for (unsigned int pass = 0; pass < bench_passes(bench); pass++) {
		unsigned int before = descriptors_of(service);
		pid_t victim = start_victim(service, dying(bench), mapped);
		uint64_t took;

		if (victim < 0 || !ask_quietly(bench, m, &quiet))
			return false;
		took = ask_beside_death(bench, m, service, victim, before,
					&dying_time);
		if (took == 0)
			return false;
		histogram_init(&whole);
		histogram_record(&whole, took * 1000 / dying(bench));
		passes_add(&passes, &whole, dying(bench), took);
	}
	result.q = passes_median(&passes);
	other.q = tail(&dying_time, 0.99);
	other.q.p99 = (double)histogram_quantile(&dying_time, 0.999) / 1000;
	other.floor = (double)histogram_quantile(&quiet, 0.99) / 1000;
	report_add(bench->report, &result);
	if (!mapped)
		report_add(bench->report, &other);
	return true;
}

static bool measure_daemon(struct bench *bench)
{
	struct service service = { 0 };
	struct member m = { 0 };
	bool good = service_start(&service, bench->cpus.far) &&
		    join(&m, &service) &&
		    measure_beside(bench, &service, &m, false) &&
		    measure_beside(bench, &service, &m, true);

	tenure_disconnect(m.connection);
	service_stop(&service);
	return good;
}

bool entry_death(struct bench *bench)
{
	return measure_core_death(bench) && measure_daemon(bench);
}
