/* SPDX-License-Identifier: Apache-2.0 */
/*
 * World
 *
 * The core calls nobody but the three interfaces that it was given, so it can
 * be measured alone: pages of the daemon's own making, numbers that are the
 * same in every run, and a backend that only counts. What is left is the
 * core's own work and the memory that it touches.
 */
#include "bench/world.h"

#include "bench/clock.h"
#include "core/create.h"
#include "core/destroy.h"
#include "core/device.h"
#include "daemon/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "tenure-bench: %s\n", what);
	exit(1);
}

static void require(bool is_true, const char *what)
{
	if (!is_true)
		fail(what);
}

uint64_t world_random(struct world *world)
{
	uint64_t z = world->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* ---- What the core is given ---- */

static void *reserve(void *context, size_t size_bytes)
{
	struct world *world = context;
	void *start = world->inner.reserve(world->inner.context, size_bytes);

	if (!start)
		return NULL;
	world->start = start;
	world->size_bytes = size_bytes;
	return start;
}

static int commit(void *context, void *start, size_t size_bytes)
{
	struct world *world = context;

	world->committed_bytes += size_bytes;
	if (world->kind == WORLD_PAGES_SMALL)
		return mprotect(start, size_bytes, PROT_READ | PROT_WRITE);
	return world->inner.commit(world->inner.context, start, size_bytes);
}

static void merge(void *context, void *start, size_t size_bytes)
{
	struct world *world = context;

	if (world->kind != WORLD_PAGES_SMALL)
		world->inner.merge(world->inner.context, start, size_bytes);
}

static void clear(void *context, void *start, size_t size_bytes)
{
	struct world *world = context;

	world->inner.clear(world->inner.context, start, size_bytes);
}

static void unreserve(void *context, void *start, size_t size_bytes)
{
	struct world *world = context;

	world->inner.unreserve(world->inner.context, start, size_bytes);
}

static void fill_random(void *context, void *bytes, size_t size_bytes)
{
	uint8_t *to = bytes;

	for (size_t i = 0; i < size_bytes; i++)
		to[i] = (uint8_t)(world_random(context) >> 56);
}

static int null_create(void *state, struct backend_create *create)
{
	struct world *world = state;

	create->store = (uint32_t)++world->last_id;
	if (create->new_resource)
		create->resource = ++world->last_id;
	create->store_bytes = 0;
	for (uint32_t i = 0; i < create->count; i++) {
		create->allocations[i].offset = create->store_bytes;
		create->allocations[i].allocation = ++world->last_id;
		create->store_bytes += create->allocations[i].size_bytes;
	}
	return 0;
}

static int null_open(void *state, const struct backend_opening *o)
{
	(void)state;
	(void)o;
	return 0;
}

static void null_close(void *state, const struct backend_opening *o)
{
	(void)state;
	(void)o;
}

static int null_destroy(void *state, struct backend_destroy *destroy)
{
	(void)state;
	(void)destroy;
	return 0;
}

static const struct backend_ops null_ops = {
	.create_allocation = null_create,
	.open_allocation = null_open,
	.close_allocation = null_close,
	.destroy_allocation = null_destroy,
	.closes_readers_only = true,
};

static uint64_t read_word(void *context, uint32_t client, uint32_t word)
{
	const struct world *world = context;

	(void)client;
	return world->words[word];
}

static void reset_word(void *context, uint32_t client, uint32_t word,
		       uint64_t value)
{
	struct world *world = context;

	(void)client;
	world->words[word] = value;
}

/* ---- A client with a device ---- */

static void start_broker(struct world *world)
{
	struct pages pages = { .context = world,
			       .reserve = reserve,
			       .commit = commit,
			       .merge = merge,
			       .clear = clear,
			       .unreserve = unreserve };
	struct entropy entropy = { fill_random, world };
	struct broker_adapter adapter = { "null", { &null_ops, world } };
	struct broker_config config = {
		.first_generation = 1,
		.progress = { .context = world,
			      .read = read_word,
			      .reset = reset_word },
	};

	for (int i = 0; i < CHARGE_KINDS; i++)
		config.limits.client[i] = config.limits.principal[i] =
			INT64_MAX;
	config.limits.clients = 2;
	require(broker_init(&world->broker, &pages, &entropy, &config, &adapter,
			    1) == 0,
		"no memory for a broker");
}

static void connect_client(struct world *world)
{
	struct env *env = &world->broker.env;
	struct peer peer = { .cgroup = "" };
	struct wire_request hello = {
		.opcode = WIRE_OP_HELLO,
		.object = WIRE_MAGIC,
		.value = { WIRE_VERSION_MIN, WIRE_VERSION_MAX },
	};
	char name[ADAPTER_NAME_BYTES] = "null";
	struct broker_reply reply = { 0 };
	enum tenure_reason reason;
	struct outcome outcome;
	uint64_t adapter;

	require(broker_connect(&world->broker, &peer, 0, &world->session,
			       &reason) == 0 &&
			broker_receive(&world->broker, world->session,
				       BROKER_PORT_SOCKET, &hello,
				       sizeof(hello), 0,
				       &reply) == BROKER_REPLY &&
			reply.head.status == 0,
		"the broker refuses a client");
	require(adapter_open(env, world->session, name, &adapter).status == 0 &&
			device_create(env, world->session, adapter,
				      &world->device)
					.status == 0,
		"the broker refuses a device");
	world->secret = session_at(&env->region, world->session)->secret;
	world->owner = owner_of_device(rules_device(
		&env->region, world->session, world->device, &outcome));
}

struct world *world_new(size_t n, uint32_t batch, enum world_pages kind)
{
	struct world *world = calloc(1, sizeof(*world));
	uint64_t start;

	require(world != NULL, "no memory");
	world->kind = kind;
	pages_mmap(&world->inner);
	start_broker(world);
	connect_client(world);
	world->handles = malloc(n * sizeof(*world->handles));
	require(world->handles != NULL, "no memory");
	start = now_ns();
	while (world->n_handles < n) {
		uint32_t count = (uint32_t)min_u64(batch, n - world->n_handles);

		world_create(world, world->handles + world->n_handles, count);
		world->n_handles += count;
	}
	world->create_ns = (double)(now_ns() - start) / (double)n;
	world_shuffle(world);
	return world;
}

void world_free(struct world *world)
{
	region_deinit(&world->broker.env.region);
	free(world->handles);
	free(world);
}

void world_create(struct world *world, uint64_t *ret_handles, uint32_t count)
{
	struct wire_allocation sizes[LIST_ENTRIES_MAX];
	struct create_args args = {
		.device = world->device,
		.count = count,
		.allocations = sizes,
		.args_bytes = count * sizeof(*sizes),
	};
	struct created created = { .handles = ret_handles };

	for (uint32_t i = 0; i < count; i++)
		sizes[i] = (struct wire_allocation){ .size_bytes = PAGE_BYTES };
	require(create_request(&world->broker.env, world->session, &args,
			       &created)
				.status == 0,
		"a create is refused");
}

void world_destroy(struct world *world, const uint64_t *handles, uint32_t count)
{
	struct destroy_args args = {
		.device = world->device,
		.list = handles,
		.list_bytes = count * sizeof(*handles),
		.count = count,
	};

	require(destroy_request(&world->broker.env, world->session, &args,
				&(struct ticket){ 0 }, &world->broker.rules)
				.status == 0,
		"a destroy is refused");
}

void world_free_each(struct world *world, const uint64_t *handles,
		     uint32_t count)
{
	static struct wire_reply refusals[LIST_ENTRIES_MAX];
	uint32_t done;

	require(broker_free_some(&world->broker, world->session, handles, count,
				 0, refusals, &done) == 0,
		"a free is refused");
	require(done == count, "a free is left");
}

/* One job; how many it has given back. */
static uint32_t reclaim_job(struct world *world)
{
	struct release *release = &world->release;
	bool more = true;

	/* A tick may only have moved what has become free. */
	while (more) {
		more = broker_tick(&world->broker, 0, 4 * WORLD_BATCH);
		if (broker_next_release(&world->broker, release))
			break;
		if (!more)
			return 0;
	}
	null_destroy(world, &release->args);
	broker_release_done(&world->broker, release->args.client, 0,
			    release->args.resource, 0);
	return release->args.count;
}

bool world_reclaim(struct world *world)
{
	uint32_t total = 0, n;

	do
		total += n = reclaim_job(world);
	while (n > 0 && total < WORLD_BATCH);
	return n > 0;
}

void world_shuffle(struct world *world)
{
	for (size_t i = world->n_handles; i > 1; i--) {
		size_t other = world_random(world) % i;
		uint64_t handle = world->handles[i - 1];

		world->handles[i - 1] = world->handles[other];
		world->handles[other] = handle;
	}
}

/* ---- Its memory ---- */

/* Whether a line of smaps begins a mapping, and whether that is the world's. */
static bool begins_mapping(const struct world *world, const char *line,
			   bool *ret_inside)
{
	unsigned long from, to;

	if (sscanf(line, "%lx-%lx ", &from, &to) != 2)
		return false;
	*ret_inside = from >= (uintptr_t)world->start &&
		      to <= (uintptr_t)world->start + world->size_bytes;
	return true;
}

void world_resident(const struct world *world, uint64_t *ret_bytes,
		    uint64_t *ret_huge_bytes)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long long kib;
	bool inside = false;
	char line[512];

	*ret_bytes = *ret_huge_bytes = 0;
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (begins_mapping(world, line, &inside) || !inside)
			continue;
		if (sscanf(line, "Rss: %llu", &kib) == 1)
			*ret_bytes += kib * 1024;
		else if (sscanf(line, "AnonHugePages: %llu", &kib) == 1)
			*ret_huge_bytes += kib * 1024;
	}
	fclose(file);
}

const char *world_page_name(const struct world *world)
{
	uint64_t bytes, huge;

	world_resident(world, &bytes, &huge);
	return huge > bytes / 2 ? "thp" : "4k";
}
