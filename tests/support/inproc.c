/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole Tenure in one thread
 *
 * The caller of core/broker.h that the tests use. It keeps what the daemon
 * keeps (clients, release jobs that are out, replies that came late) and on
 * top of that distrusts the broker: a second release job of one client, a
 * reply to a client that has gone, an obituary of a client that still has
 * openings or garbage, a broker that never comes to rest - each of these ends
 * the program.
 *
 * A release job has three steps, so that time can pass between them: taken
 * from the broker, begun in the backend (the memory is gone), and reported
 * back. Randomly timed jobs rest after each of them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/broker_recover.h"
#include "core/check.h"
#include "tests/support/inproc.h"

enum {
	ROUNDS_MAX = 1 << 20,
	/* How likely a randomly timed job goes one step on in a round. */
	STEP_PERCENT = 30,
};

struct errand {
	struct release *release;
	bool begun;
	int status; /* of the backend */
};

struct late {
	uint32_t client;
	struct inproc_reply reply;
};

struct client {
	uint32_t id;
	uint64_t serial;
	bool alive;
	bool ended; /* the obituary has come */
	struct obituary obituary;
};

/* The words that one client of the broker can store. */
struct word_page {
	uint32_t client;
	uint64_t words[WORDS_PER_CLIENT_MAX];
	struct fence_page page; /* of its fences */
};

struct inproc {
	struct broker *broker; /* own, unless the configuration names one */
	struct broker own;
	struct test_pages pages;
	struct random entropy;
	struct random random; /* of order and delays */
	struct checking *backends[INPROC_ADAPTERS];
	struct inproc_config config;
	enum inproc_releases mode;
	bool by_itself;
	enum broker_port port; /* by which requests come */
	uint64_t now_ns;
	struct errand *jobs;
	uint32_t n_jobs, jobs_capacity;
	struct release *spare; /* room for the next job, or NULL */
	struct late **late;
	uint32_t n_late, late_capacity;
	struct word_page **pages_of_words;
	uint32_t n_pages, pages_capacity;
	struct client *clients;
	uint32_t n_clients, clients_capacity;
	uint64_t serials; /* clients connected so far */
	uint64_t known_serials; /* of them, before the last recovery */
	/* Allocations that were released before the last recovery and that the
	 * broker, who did not hear of it, still has. */
	uint64_t unheard;
	void (*turn)(void *context);
	void *turn_context;
};

__attribute__((noreturn, format(printf, 1, 2))) static void
broken(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	fputs("in-process harness: ", stderr);
	vfprintf(stderr, format, list);
	fputc('\n', stderr);
	va_end(list);
	abort();
}

/* Room for one more item of an array that grows. */
static void *grown(void *items, uint32_t n, uint32_t *capacity,
		   size_t item_bytes)
{
	if (n < *capacity)
		return items;
	*capacity = *capacity ? *capacity * 2 : 16;
	items = realloc(items, *capacity * item_bytes);
	assert(items);
	return items;
}

static void fill_entropy(void *context, void *bytes, size_t size_bytes)
{
	struct random *r = context;
	uint8_t *out = bytes;

	for (size_t i = 0; i < size_bytes; i++)
		out[i] = (uint8_t)random_next(r);
}

/* ---- Progress words ---- */

static struct word_page *page_of(struct inproc *world, uint32_t client)
{
	uint32_t i = 0;

	while (i < world->n_pages && world->pages_of_words[i]->client != client)
		i++;
	if (i == world->n_pages) {
		world->pages_of_words = grown(world->pages_of_words,
					      world->n_pages,
					      &world->pages_capacity,
					      sizeof(*world->pages_of_words));
		world->pages_of_words[i] =
			calloc(1, sizeof(*world->pages_of_words[i]));
		assert(world->pages_of_words[i]);
		world->pages_of_words[i]->client = client;
		world->n_pages++;
	}
	return world->pages_of_words[i];
}

static uint64_t *word_of(struct inproc *world, uint32_t client, uint32_t word)
{
	if (word == 0 || word >= WORDS_PER_CLIENT_MAX)
		broken("progress word %u", word);
	return &page_of(world, client)->words[word];
}

struct fence_page *inproc_page(struct inproc *world, uint32_t client)
{
	return &page_of(world, client)->page;
}

static uint64_t read_word(void *context, uint32_t client, uint32_t word)
{
	return *word_of(context, client, word);
}

static void reset_word(void *context, uint32_t client, uint32_t word,
		       uint64_t value)
{
	*word_of(context, client, word) = value;
}

static uint64_t read_entry(void *context, uint32_t client, uint32_t entry)
{
	return fence_page_look(inproc_page(context, client), entry);
}

static void raise_entry(void *context, uint32_t client, uint32_t entry,
			uint64_t value)
{
	fence_page_raise(inproc_page(context, client), entry, value);
}

static void end_entry(void *context, uint32_t client, uint32_t entry)
{
	fence_page_end(inproc_page(context, client), entry);
}

void inproc_store_word(struct inproc *world, uint32_t client, uint32_t word,
		       uint64_t value)
{
	*word_of(world, client, word) = value;
}

void inproc_ring_bell(struct inproc *world, uint32_t client)
{
	broker_progressed(world->broker, client);
	if (world->by_itself)
		inproc_pump_all(world);
}

/* ---- Life ---- */

void inproc_config_default(struct inproc_config *ret)
{
	*ret = (struct inproc_config){
		.seed = 1,
		.first_generation = 1,
		.tick_budget = 64,
		.memfds = true,
	};
	limits_default(&ret->limits);
}

/* Starts a broker, or one for the region that lies at start. */
static int start_broker(struct inproc *world, void *start, uint64_t size_bytes)
{
	static const char *const names[INPROC_ADAPTERS] = { "system", "other" };
	struct broker_adapter adapters[INPROC_ADAPTERS];
	struct pages pages = test_pages_interface(&world->pages);
	struct entropy entropy = { fill_entropy, &world->entropy };
	struct broker_config config = {
		.limits = world->config.limits,
		.test_events = !world->config.no_test_events,
		.first_generation = world->config.first_generation,
		.progress = { .context = world,
			      .read = read_word,
			      .reset = reset_word,
			      .read_entry = read_entry,
			      .raise_entry = raise_entry,
			      .end_entry = end_entry },
	};

	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++)
		adapters[i] = (struct broker_adapter){
			.name = names[i],
			.backend = checking_backend(world->backends[i]),
		};
	if (start)
		return broker_adopt(world->broker, &pages, start, size_bytes,
				    &entropy, &config, adapters,
				    INPROC_ADAPTERS);
	return broker_init(world->broker, &pages, &entropy, &config, adapters,
			   INPROC_ADAPTERS);
}

void inproc_move(struct inproc *world)
{
	uint64_t size_bytes = world->broker->env.region.head->size_bytes;
	void *start = test_pages_move(&world->pages, world->pages.start);
	int r;

	memset(world->broker, 0xa5, sizeof(*world->broker));
	r = start_broker(world, start, size_bytes);
	if (r != 0)
		broken("broker_adopt: %s", strerror(-r));
}

int inproc_take_over(struct inproc *world)
{
	struct region_head *head = world->pages.start;
	struct test_pages scratch_pages = { 0 };
	struct pages scratch = test_pages_interface(&scratch_pages);
	int r;

	world->pages.recovered = true;
	memset(world->broker, 0xa5, sizeof(*world->broker));
	r = start_broker(world, head, head->size_bytes);
	if (r != 0)
		broken("broker_adopt: %s", strerror(-r));
	return broker_recover(world->broker, &scratch);
}

static void remember_client(struct inproc *world, uint32_t id);

static void named_resource(void *context, const struct inventory_resource *r)
{
	struct inproc *world = context;

	checking_reconcile_resource(world->backends[r->adapter], r);
}

static void named_allocation(void *context,
			     const struct inventory_allocation *a)
{
	struct inproc *world = context;

	checking_reconcile_allocation(world->backends[a->adapter], a);
}

static void named_opening(void *context, uint32_t adapter,
			  const struct backend_opening *o)
{
	struct inproc *world = context;

	checking_reconcile_opening(world->backends[adapter], o);
}

static void take_inventory(struct inproc *world)
{
	const struct inventory_visitor visitor = { world, named_resource,
						   named_allocation,
						   named_opening };

	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++)
		checking_reconcile_begin(world->backends[i]);
	broker_inventory(world->broker, &visitor);
	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++)
		checking_reconcile_end(world->backends[i]);
}

/* What the broker still has, and its backends have not. */
struct unheard {
	struct inproc *world;
	uint64_t allocations, bytes;
};

static void ignore_resource(void *context, const struct inventory_resource *r)
{
	(void)context;
	(void)r;
}

static void count_unheard(void *context, const struct inventory_allocation *a)
{
	struct unheard *u = context;

	if (checking_has(u->world->backends[a->adapter], a->allocation))
		return;
	if (!a->retired)
		broken("a living allocation has no memory");
	u->allocations++;
	u->bytes += a->size_bytes;
}

static void ignore_opening(void *context, uint32_t adapter,
			   const struct backend_opening *o)
{
	(void)context;
	(void)adapter;
	(void)o;
}

static struct unheard find_unheard(struct inproc *world)
{
	struct unheard unheard = { .world = world };
	const struct inventory_visitor visitor = { &unheard, ignore_resource,
						   count_unheard,
						   ignore_opening };

	broker_inventory(world->broker, &visitor);
	return unheard;
}

/* What it stored before its end counts. */
static void disconnect(struct inproc *world, uint32_t id)
{
	if (broker_waits_for_progress(world->broker, id))
		broker_progressed(world->broker, id);
	broker_disconnect(world->broker, id, world->now_ns, NULL);
}

/* Those that the broker has and nobody else does, and the other way round. */
static void compare_clients(struct inproc *world)
{
	const struct region *region = &world->broker->env.region;
	uint32_t id = 0, i;

	while ((id = broker_next_client(world->broker, id)) != 0) {
		for (i = 0; i < world->n_clients; i++)
			if (world->clients[i].id == id)
				break;
		if (i == world->n_clients || world->clients[i].ended)
			remember_client(world, id);
		for (i = 0; world->clients[i].id != id;)
			i++;
		if (world->clients[i].alive &&
		    world->clients[i].serial <= world->known_serials)
			continue;
		world->clients[i].alive = false;
		disconnect(world, id);
	}
	for (i = 0; i < world->n_clients; i++) {
		struct client *client = &world->clients[i];
		bool there = client->id <
			     region_area(region, AREA_SESSIONS)->used;

		if (there)
			there = session_at(region, client->id)->record.in_use;
		if (client->alive && !there)
			broken("client %u is lost", client->id);
		if (!there)
			client->ended = true;
	}
}

void inproc_recover(struct inproc *world, bool move)
{
	int r;

	while (world->n_jobs > 0)
		free(world->jobs[--world->n_jobs].release);
	if (move)
		test_pages_move(&world->pages, world->pages.start);
	r = inproc_take_over(world);
	if (r != 0)
		broken("broker_recover: %s", strerror(-r));
	world->known_serials = world->serials;
	take_inventory(world);
	world->unheard = find_unheard(world).allocations;
	compare_clients(world);
	inproc_check(world);
}

static void free_parts(struct inproc *world)
{
	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++)
		checking_free(world->backends[i]);
	if (world->pages.start)
		broken("the broker kept its reservation");
	free(world->jobs);
	free(world->spare);
	free(world->late);
	free(world->clients);
	for (uint32_t i = 0; i < world->n_pages; i++)
		free(world->pages_of_words[i]);
	free(world->pages_of_words);
	free(world);
}

struct inproc *inproc_try_new(const struct inproc_config *config,
			      int *ret_status)
{
	struct inproc *world = calloc(1, sizeof(*world));
	int r;

	assert(world);
	if (config)
		world->config = *config;
	else
		inproc_config_default(&world->config);
	world->broker = world->config.broker ? world->config.broker :
					       &world->own;
	world->random.state = world->config.seed;
	world->entropy.state = ~world->config.seed;
	world->by_itself = true;
	world->now_ns = 1000000000;
	world->pages.fail_commit = world->config.fail_init_commit;
	world->pages.fail_reserve = world->config.fail_init_reserve;
	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++)
		world->backends[i] = checking_new(world->config.seed * 2 + i,
						  world->config.memfds);
	/* Both kinds of backends that there are. */
	checking_hear_readers_only(world->backends[1]);
	r = start_broker(world, NULL, 0);
	world->pages.fail_commit = 0;
	world->pages.fail_reserve = 0;
	if (r < 0 && !ret_status)
		broken("broker_init: %s", strerror(-r));
	if (ret_status)
		*ret_status = r;
	if (r < 0) {
		free_parts(world);
		return NULL;
	}
	return world;
}

struct inproc *inproc_new(const struct inproc_config *config)
{
	return inproc_try_new(config, NULL);
}

static void require_empty(struct inproc *world)
{
	struct wire_status s;

	broker_status(world->broker, &s);
	if (s.clients || s.clients_ending || s.devices || s.resources ||
	    s.allocations || s.handles || s.objects || s.tokens || s.stores ||
	    s.bytes || s.releases_pending)
		broken("left behind: %ju clients, %ju ending, %ju devices, "
		       "%ju resources, %ju allocations, %ju handles, "
		       "%ju objects, %ju tokens, %ju stores, %ju bytes, "
		       "%ju releases",
		       (uintmax_t)s.clients, (uintmax_t)s.clients_ending,
		       (uintmax_t)s.devices, (uintmax_t)s.resources,
		       (uintmax_t)s.allocations, (uintmax_t)s.handles,
		       (uintmax_t)s.objects, (uintmax_t)s.tokens,
		       (uintmax_t)s.stores, (uintmax_t)s.bytes,
		       (uintmax_t)s.releases_pending);
}

void inproc_free(struct inproc *world)
{
	if (!world)
		return;
	for (uint32_t i = 0; i < world->n_clients; i++)
		if (world->clients[i].alive)
			inproc_kill(world, world->clients[i].id);
	world->mode = INPROC_RELEASES_PROMPT;
	inproc_pump_all(world);
	inproc_check(world);
	for (uint32_t i = 0; i < world->n_clients; i++)
		if (!world->clients[i].ended)
			broken("client %u never ended", world->clients[i].id);
	require_empty(world);
	for (uint32_t i = 0; i < world->n_late; i++)
		free(world->late[i]);
	broker_deinit(world->broker);
	free_parts(world);
}

struct broker *inproc_broker(struct inproc *world)
{
	return world->broker;
}

struct test_pages *inproc_pages(struct inproc *world)
{
	return &world->pages;
}

struct checking *inproc_backend(struct inproc *world, uint32_t adapter)
{
	assert(adapter < INPROC_ADAPTERS);
	return world->backends[adapter];
}

/*
 * What the broker says it holds is what the backends know they hold. After a
 * recovery that is less by what was released and not heard of. It is released
 * again; but some of it may wait for work before that, which it did not wait
 * for the first time.
 */
static void compare_totals(struct inproc *world)
{
	struct unheard unheard = { 0 };
	uint64_t stores = 0, bytes = 0;
	struct wire_status status;

	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++) {
		stores += checking_stores(world->backends[i]);
		bytes += checking_bytes(world->backends[i]);
	}
	/* A job that was begun has released what the broker still counts. */
	for (uint32_t i = 0; i < world->n_jobs; i++)
		if (world->jobs[i].begun)
			return;
	if (world->unheard > 0)
		unheard = find_unheard(world);
	if (unheard.allocations > world->unheard)
		broken("%ju allocations without memory; there were %ju",
		       (uintmax_t)unheard.allocations,
		       (uintmax_t)world->unheard);
	world->unheard = unheard.allocations;
	broker_status(world->broker, &status);
	if (status.stores < stores ||
	    status.stores > stores + unheard.allocations ||
	    status.bytes != bytes + unheard.bytes)
		broken("status says %ju stores, %ju bytes; the backends hold "
		       "%ju and %ju, %ju bytes are to be released again",
		       (uintmax_t)status.stores, (uintmax_t)status.bytes,
		       (uintmax_t)stores, (uintmax_t)bytes,
		       (uintmax_t)unheard.bytes);
}

void inproc_check(struct inproc *world)
{
	struct test_pages scratch_pages = { 0 };
	struct pages scratch = test_pages_interface(&scratch_pages);
	char message[512] = "";

	if (check_state(world->broker, &scratch, message, sizeof(message)) != 0)
		broken("region check: %s", message);
	compare_totals(world);
}

/* ---- Clients ---- */

static struct client *find_client(const struct inproc *world, uint32_t id)
{
	for (uint32_t i = world->n_clients; i-- > 0;)
		if (world->clients[i].id == id)
			return &world->clients[i];
	broken("there never was a client %u", id);
}

static void remember_client(struct inproc *world, uint32_t id)
{
	uint32_t i = 0;

	if (id == 0)
		broken("broker_connect gave client 0");
	while (i < world->n_clients && world->clients[i].id != id)
		i++;
	if (i < world->n_clients && !world->clients[i].ended)
		broken("client %u given out before its obituary", id);
	if (i == world->n_clients) {
		world->clients = grown(world->clients, world->n_clients,
				       &world->clients_capacity,
				       sizeof(*world->clients));
		world->n_clients++;
	}
	world->clients[i] = (struct client){
		.id = id,
		.serial = ++world->serials,
		.alive = true,
	};
}

int inproc_connect(struct inproc *world, const struct peer *peer,
		   uint32_t *ret_client, enum tenure_reason *ret_reason)
{
	static const struct peer usual = {
		.uid = 1000,
		.pid = 100,
		.cgroup = "/test",
	};
	enum tenure_reason reason = TENURE_REASON_NONE;
	uint32_t id = 0;
	int r;

	r = broker_connect(world->broker, peer ? peer : &usual, world->now_ns,
			   &id, &reason);
	if (ret_reason)
		*ret_reason = reason;
	if (r < 0)
		return r;
	remember_client(world, id);
	*ret_client = id;
	return 0;
}

static bool step_jobs(struct inproc *world);
static bool collect_replies(struct inproc *world);

static void forget_late(struct inproc *world, uint32_t at)
{
	world->late[at] = world->late[--world->n_late];
}

void inproc_kill(struct inproc *world, uint32_t id)
{
	struct client *client = find_client(world, id);

	if (!client->alive)
		broken("client %u killed twice", id);
	/* Death may come between the end of a wait and its reply. */
	if (world->mode == INPROC_RELEASES_RANDOM) {
		step_jobs(world);
		broker_tick(world->broker, world->now_ns,
			    world->config.tick_budget);
	}
	client->alive = false;
	for (uint32_t i = world->n_late; i-- > 0;) {
		if (world->late[i]->client != id)
			continue;
		free(world->late[i]);
		forget_late(world, i);
	}
	disconnect(world, id);
	collect_replies(world);
	if (world->by_itself)
		inproc_pump_all(world);
}

bool inproc_alive(const struct inproc *world, uint32_t client)
{
	return find_client(world, client)->alive;
}

uint64_t inproc_serial(const struct inproc *world, uint32_t client)
{
	return find_client(world, client)->serial;
}

bool inproc_take_obituary(struct inproc *world, uint32_t id,
			  struct obituary *ret)
{
	struct client *client = find_client(world, id);

	if (!client->ended)
		return false;
	*ret = client->obituary;
	return true;
}

/* ---- Time and work ---- */

void inproc_releases(struct inproc *world, enum inproc_releases mode)
{
	world->mode = mode;
}

uint32_t inproc_releases_out(const struct inproc *world)
{
	return world->n_jobs;
}

void inproc_pump_by_itself(struct inproc *world, bool on)
{
	world->by_itself = on;
}

uint64_t inproc_now_ns(const struct inproc *world)
{
	return world->now_ns;
}

void inproc_advance_ns(struct inproc *world, uint64_t by_ns)
{
	world->now_ns += by_ns;
}

static struct release *spare_release(struct inproc *world)
{
	if (!world->spare)
		world->spare = malloc(sizeof(*world->spare));
	assert(world->spare);
	return world->spare;
}

static bool take_jobs(struct inproc *world)
{
	bool any = false;

	while (broker_next_release(world->broker, spare_release(world))) {
		struct release *next = world->spare;

		world->spare = NULL;
		for (uint32_t i = 0; i < world->n_jobs; i++)
			if (world->jobs[i].release->args.client ==
			    next->args.client)
				broken("two jobs out for client %u",
				       next->args.client);
		if (next->adapter >= INPROC_ADAPTERS)
			broken("job of adapter %u", next->adapter);
		world->jobs = grown(world->jobs, world->n_jobs,
				    &world->jobs_capacity,
				    sizeof(*world->jobs));
		world->jobs[world->n_jobs++] =
			(struct errand){ .release = next };
		any = true;
	}
	return any;
}

static void begin_job(struct inproc *world, struct errand *job)
{
	struct release *release = job->release;

	checking_forgive(world->backends[release->adapter], release->again);
	job->status = checking_destroy_begin(world->backends[release->adapter],
					     &release->args);
	job->begun = true;
}

static void end_job(struct inproc *world, uint32_t at)
{
	struct errand job = world->jobs[at];
	struct backend_destroy *args = &job.release->args;

	world->jobs[at] = world->jobs[--world->n_jobs];
	checking_destroy_end(world->backends[job.release->adapter],
			     args->client);
	broker_release_done(world->broker, args->client, job.status,
			    args->resource, world->now_ns);
	free(job.release);
}

static bool step_jobs(struct inproc *world)
{
	bool any = world->n_jobs > 0 && world->mode != INPROC_RELEASES_HELD;
	bool prompt = world->mode == INPROC_RELEASES_PROMPT;

	if (!any)
		return false;
	for (uint32_t i = world->n_jobs; i-- > 0;) {
		struct errand *job = &world->jobs[i];

		if (!prompt && !random_chance(&world->random, STEP_PERCENT))
			continue;
		if (!job->begun)
			begin_job(world, job);
		else if (!prompt)
			end_job(world, i);
		if (prompt)
			end_job(world, i);
	}
	return true;
}

/* A descriptor for a reply that promises one, or -1; also without memfds. */
static int reply_fd(struct inproc *world, const struct broker_reply *reply)
{
	if (reply->head.fds == 0)
		return -1;
	if (reply->head.opcode == WIRE_OP_RING ||
	    reply->head.opcode == WIRE_OP_DOORBELL ||
	    reply->head.opcode == WIRE_OP_FENCE_WATCH ||
	    reply->head.opcode == WIRE_OP_FENCE_PAGE ||
	    reply->head.opcode == WIRE_OP_FENCE_MAP)
		return -1;
	if (reply->head.fds != 1 || reply->adapter >= INPROC_ADAPTERS)
		broken("reply with %u descriptors of adapter %u",
		       reply->head.fds, reply->adapter);
	if (!world->config.memfds)
		return -1;
	return checking_store_fd(world->backends[reply->adapter], reply->store,
				 reply->read_only);
}

static void copy_reply(struct inproc *world, const struct broker_reply *reply,
		       struct inproc_reply *ret)
{
	if (reply->head.data_bytes > WIRE_DATA_BYTES_MAX)
		broken("reply with %u bytes of data", reply->head.data_bytes);
	ret->head = reply->head;
	ret->port = reply->port;
	ret->quiet = reply->quiet;
	ret->fd = reply_fd(world, reply);
	if (reply->head.data_bytes > 0)
		memcpy(ret->data, reply->data, reply->head.data_bytes);
}

static bool collect_replies(struct inproc *world)
{
	struct broker_reply reply;
	bool any = false;

	while (broker_next_reply(world->broker, &reply)) {
		struct late *late = malloc(sizeof(*late));

		assert(late);
		if (!find_client(world, reply.client)->alive)
			broken("reply to client %u, which has gone",
			       reply.client);
		late->client = reply.client;
		copy_reply(world, &reply, &late->reply);
		world->late = grown(world->late, world->n_late,
				    &world->late_capacity,
				    sizeof(*world->late));
		world->late[world->n_late++] = late;
		any = true;
	}
	return any;
}

static void judge_obituary(struct inproc *world, const struct client *client)
{
	uint32_t id = client->id;

	if (client->alive || client->ended)
		broken("obituary of client %u, which %s", id,
		       client->alive ? "lives" : "had one");
	for (uint32_t i = 0; i < world->n_jobs; i++)
		if (world->jobs[i].release->args.client == id)
			broken("obituary of client %u with a job out", id);
	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++)
		if (checking_openings_of(world->backends[i], id) > 0)
			broken("obituary of client %u with openings", id);
}

static bool collect_obituaries(struct inproc *world)
{
	struct obituary obituary;
	bool any = false;

	while (broker_next_obituary(world->broker, &obituary)) {
		struct client *client = find_client(world, obituary.client);

		judge_obituary(world, client);
		client->ended = true;
		client->obituary = obituary;
		any = true;
	}
	return any;
}

bool inproc_pump(struct inproc *world)
{
	bool any;

	world->now_ns += 1000;
	any = broker_tick(world->broker, world->now_ns,
			  world->config.tick_budget);
	any |= take_jobs(world);
	any |= step_jobs(world);
	any |= collect_replies(world);
	any |= collect_obituaries(world);
	return any;
}

void inproc_pump_all(struct inproc *world)
{
	for (uint32_t i = 0; inproc_pump(world); i++)
		if (i == ROUNDS_MAX)
			broken("the broker never comes to rest");
}

/* ---- Requests ---- */

enum broker_verdict inproc_send_bytes(struct inproc *world, uint32_t id,
				      const void *bytes, size_t size_bytes,
				      struct inproc_reply *ret)
{
	struct broker_reply reply = { 0 };
	struct inproc_reply copy;
	enum broker_verdict verdict;

	if (!inproc_alive(world, id))
		broken("request of client %u, which has gone", id);
	verdict = broker_receive(world->broker, id, world->port, bytes,
				 size_bytes, world->now_ns, &reply);
	if (verdict != BROKER_LATER) {
		copy_reply(world, &reply, ret ? ret : &copy);
		if (!ret && copy.fd >= 0)
			broken("nobody to take the descriptor");
	}
	if (verdict == BROKER_REPLY && reply.client != id)
		broken("reply to client %u for %u", reply.client, id);
	if (verdict == BROKER_KILL)
		inproc_kill(world, id);
	else if (world->by_itself)
		inproc_pump_all(world);
	return verdict;
}

void inproc_by_ring(struct inproc *world, bool on)
{
	world->port = on ? BROKER_PORT_RING : BROKER_PORT_SOCKET;
}

enum broker_verdict inproc_send(struct inproc *world, uint32_t client,
				const struct wire_request *head,
				const void *args, size_t args_bytes,
				struct inproc_reply *ret)
{
	size_t size_bytes = sizeof(*head) + args_bytes;
	/* A block of its own, so that a sanitizer sees a read beyond it. */
	uint8_t *bytes = malloc(size_bytes);
	enum broker_verdict verdict;

	assert(bytes);
	memcpy(bytes, head, sizeof(*head));
	if (args_bytes > 0)
		memcpy(bytes + sizeof(*head), args, args_bytes);
	verdict = inproc_send_bytes(world, client, bytes, size_bytes, ret);
	free(bytes);
	return verdict;
}

bool inproc_take_reply(struct inproc *world, uint32_t client, uint64_t id,
		       struct inproc_reply *ret)
{
	for (uint32_t i = 0; i < world->n_late; i++) {
		struct late *late = world->late[i];

		if (late->client != client || late->reply.head.id != id)
			continue;
		*ret = late->reply;
		free(late);
		forget_late(world, i);
		return true;
	}
	return false;
}

int inproc_call(struct inproc *world, uint32_t client,
		const struct wire_request *head, const void *args,
		size_t args_bytes, struct inproc_reply *ret)
{
	struct inproc_reply unused;
	struct inproc_reply *reply = ret ? ret : &unused;

	if (inproc_send(world, client, head, args, args_bytes, reply) ==
	    BROKER_LATER) {
		while (!inproc_take_reply(world, client, head->id, reply))
			if (!inproc_pump(world))
				broken("the reply to request %u never comes",
				       head->opcode);
	}
	return reply->head.status;
}

uint32_t inproc_free_each(struct inproc *world, uint32_t client,
			  const uint64_t *handles, uint32_t count,
			  struct wire_reply *ret_refusals)
{
	uint32_t refused = 0, done;

	for (; count > 0; handles += done, count -= done)
		refused += broker_free_some(world->broker, client, handles,
					    count, world->now_ns,
					    &ret_refusals[refused], &done);
	return refused;
}

void inproc_while_waiting(struct inproc *world, void (*turn)(void *context),
			  void *context)
{
	world->turn = turn;
	world->turn_context = context;
}

void inproc_wait_turn(struct inproc *world)
{
	if (!world->turn)
		broken("the library waits for what never comes");
	world->turn(world->turn_context);
}

int inproc_hello(struct inproc *world, uint32_t client)
{
	struct wire_request hello = {
		.opcode = WIRE_OP_HELLO,
		.object = WIRE_MAGIC,
		.value = { WIRE_VERSION_MIN, WIRE_VERSION_MAX },
	};

	return inproc_call(world, client, &hello, NULL, 0, NULL);
}
