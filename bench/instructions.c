/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question: how many instructions does the core take for a lookup, a create,
 * a destroy and a reclaim?
 *
 * Times depend on what else the machine does; the number of instructions of a
 * deterministic path does not, so a change of it is a change of the program.
 * callgrind counts them, in one function only: that function has a name, this
 * program is run again under valgrind as `--path NAME`, and --toggle-collect
 * counts between entering and leaving it.
 *
 * The counts depend on the compiler and its flags. They say nothing about
 * cache misses, of which the time mostly consists (see S0).
 */
#include "bench/bench.h"

#include "bench/child.h"
#include "bench/contexts.h"
#include "bench/world.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

enum { LIVE = 65536, LISTS = 32, HANDLES = LISTS * WORLD_BATCH };

/* More instructions than in the baseline by this factor are a regression. */
static const double TOLERANCE = 1.02;

static uint64_t created[HANDLES];
static volatile size_t sink;

__attribute__((noinline)) static void measured_lookup(struct world *world)
{
	const struct region *region = &world->broker.env.region;
	size_t found = 0;

	for (size_t i = 0; i < HANDLES; i++) {
		struct handle handle =
			handle_from_wire(world->handles[i], world->secret);

		found += table_peek(region, world->owner, handle) != NULL;
	}
	sink = found;
}

__attribute__((noinline)) static void measured_create(struct world *world)
{
	for (size_t i = 0; i < HANDLES; i += 64)
		world_create(world, created + i, 64);
}

__attribute__((noinline)) static void measured_create_one(struct world *world)
{
	for (size_t i = 0; i < HANDLES; i++)
		world_create(world, created + i, 1);
}

__attribute__((noinline)) static void measured_destroy(struct world *world)
{
	for (size_t i = 0; i < HANDLES; i += WORLD_BATCH)
		world_destroy(world, world->handles + i, WORLD_BATCH);
}

__attribute__((noinline)) static void measured_destroy_one(struct world *world)
{
	for (size_t i = 0; i < HANDLES; i++)
		world_destroy(world, world->handles + i, 1);
}

__attribute__((noinline)) static void measured_reclaim(struct world *world)
{
	while (world_reclaim(world))
		;
}

/* What is destroyed was used by 64 contexts, 64 of it until each value. */
static struct contexts users;

static void use(struct world *world)
{
	contexts_init(&users, world, 64, 64);
	contexts_use(&users, world->handles, HANDLES);
}

__attribute__((noinline)) static void measured_destroy_used(struct world *world)
{
	measured_destroy(world);
}

static void destroy_used(struct world *world)
{
	use(world);
	measured_destroy(world);
}

__attribute__((noinline)) static void measured_reclaim_used(struct world *world)
{
	contexts_finish_all(&users);
	measured_reclaim(world);
}

static const struct path {
	const char *name, *what;
	void (*before)(struct world *world); /* not counted */
	void (*measured)(struct world *world);
} paths[] = {
	{ "lookup", "decode and look up a handle", NULL, measured_lookup },
	{ "create", "create, 64 at once, for each", NULL, measured_create },
	{ "create_one", "create one", NULL, measured_create_one },
	{ "destroy", "destroy, 1024 at once, for each", NULL,
	  measured_destroy },
	{ "destroy_one", "destroy one", NULL, measured_destroy_one },
	{ "reclaim", "reclaim, for each", measured_destroy, measured_reclaim },
	{ "destroy_used", "destroy, 1024 at once, work of 64 contexts", use,
	  measured_destroy_used },
	{ "reclaim_used", "reclaim when that work has ended", destroy_used,
	  measured_reclaim_used },
};

int instructions_path(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(paths); i++) {
		struct world *world;

		if (strcmp(paths[i].name, name) != 0)
			continue;
		world = world_new(LIVE, WORLD_BATCH, WORLD_PAGES_DAEMON);
		if (paths[i].before)
			paths[i].before(world);
		paths[i].measured(world);
		world_free(world);
		return 0;
	}
	return 64;
}

/* What the output of callgrind says that it counted; 0 when it says nothing. */
static unsigned long long read_totals(const char *path)
{
	unsigned long long count = 0;
	char line[1024];
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "totals: %llu", &count) == 1)
			break;
	if (file)
		fclose(file);
	return count;
}

static unsigned long long count_path(const char *name)
{
	char self[CHILD_PATH_BYTES], toggle[64], option[64];
	char out[] = "/tmp/tenure-bench-XXXXXX";
	const char *argv[] = { "/usr/bin/valgrind",
			       "-q",
			       "--tool=callgrind",
			       toggle,
			       option,
			       self,
			       "--path",
			       name,
			       NULL };
	unsigned long long count = 0;
	int fd = mkstemp(out);

	child_beside("tenure-bench", self);
	snprintf(toggle, sizeof(toggle), "--toggle-collect=measured_%s", name);
	snprintf(option, sizeof(option), "--callgrind-out-file=%s", out);
	if (fd < 0)
		return 0;
	close(fd);
	if (child_run(argv))
		count = read_totals(out);
	unlink(out);
	return count;
}

/* p50 of the element with that id in a file of the JSON form, or NAN. */
static double baseline_of(const char *path, const char *id)
{
	json_t *list = json_load_file(path, 0, NULL), *element;
	double found = NAN;
	size_t i;

	json_array_foreach(list, i, element)
	{
		const char *name = "";
		double value;

		if (json_unpack(element, "{s:s, s:F}", "id", &name, "p50",
				&value) == 0 &&
		    strcmp(name, id) == 0)
			found = value;
	}
	json_decref(list);
	return found;
}

int instructions_run(struct report *report, const char *baseline)
{
	int status = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(paths); i++) {
		struct result result = { .unit = "instr",
					 .target_kind = TARGET_RATIO,
					 .target = TOLERANCE };
		unsigned long long count = count_path(paths[i].name);
		double each = (double)count / (double)HANDLES;

		if (count == 0) {
			fprintf(stderr,
				"tenure-bench: callgrind has not "
				"counted %s\n",
				paths[i].name);
			return 1;
		}
		snprintf(result.id, sizeof(result.id), "I-%s", paths[i].name);
		snprintf(result.name, sizeof(result.name), "%s", paths[i].what);
		result.q = (struct quantiles){ each, each, each, 0 };
		result.floor = baseline_of(baseline, result.id);
		if (result_ratio(&result) > TOLERANCE)
			status = 1;
		report_add(report, &result);
	}
	return status;
}
