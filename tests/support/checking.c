/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checking backend
 *
 * Every value that it hands out is a random upper half over a slot number, so
 * that finding it is one comparison and a value that was not handed out, or
 * has been replaced, matches nothing.
 *
 * An allocation is covered either by an opening of its own (when it has no
 * resource) or by those of its resource. "Closed first" therefore means: it
 * has no opening of its own, and its resource has none, or (A51) it was closed
 * alone and so has left the one opening of its private resource.
 *
 * A destroy that keeps its resource replaces the value of hResource. The new
 * value counts from the return of the call on; until then, which may be a
 * while later and on another thread, the old one does.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/checking.h"

enum { RECORDS = 64, NOWHERE = UINT32_MAX };

struct store {
	uint32_t id; /* 0: free slot */
	uint32_t live; /* allocations in it */
	uint64_t size_bytes;
	int fd;
};

struct resource {
	uint64_t value; /* 0: free slot */
	uint64_t previous; /* the value before, which an answer may lack */
	uint64_t next_value; /* from the return of a destroy under way */
	uint32_t live; /* allocations in it */
	uint32_t openings;
	bool opened_again;
	bool named; /* by the inventory */
};

struct allocation {
	uint64_t value; /* 0: free slot */
	uint64_t size_bytes;
	uint32_t resource; /* slot, or NOWHERE */
	uint32_t store; /* slot */
	uint32_t openings;
	bool left; /* closed alone: it is no longer in its resource's opening */
	bool in_destroy;
	bool named; /* by the inventory */
};

struct opening {
	uint32_t resource; /* slot, or NOWHERE */
	uint32_t allocation; /* slot, when resource is NOWHERE */
	uint32_t store; /* id */
	uint32_t client;
	bool read_only;
};

/* A destroy that was begun and has not returned. */
struct under_way {
	uint32_t client;
	uint32_t resource; /* slot whose value changes, or NOWHERE */
};

/* An array that grows, and the slots of it that can be used again. */
struct array {
	void *items;
	uint32_t *spare;
	uint32_t n, n_spare, capacity, live;
};

struct checking {
	struct random random;
	bool memfds;
	struct backend_ops ops;
	bool forgiving;
	struct array stores, resources, allocations, openings, under_way;
	uint64_t bytes;
	uint64_t calls[CHECKING_CALLS];
	uint64_t fail_in[CHECKING_CALLS];
	int fail_status[CHECKING_CALLS];
	struct checking_record records[RECORDS];
	uint64_t n_records;
};

__attribute__((noreturn, format(printf, 1, 2))) static void
broken(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	fputs("backend contract broken: ", stderr);
	vfprintf(stderr, format, list);
	fputc('\n', stderr);
	va_end(list);
	abort();
}

#define REQUIRE(condition, ...)              \
	do {                                 \
		if (!(condition))            \
			broken(__VA_ARGS__); \
	} while (0)

static void *array_add(struct array *a, size_t item_bytes, uint32_t *ret_slot)
{
	if (a->n == a->capacity) {
		a->capacity = a->capacity ? a->capacity * 2 : 64;
		a->items = realloc(a->items, a->capacity * item_bytes);
		a->spare = realloc(a->spare, a->capacity * sizeof(uint32_t));
		assert(a->items && a->spare);
	}
	*ret_slot = a->n_spare > 0 ? a->spare[--a->n_spare] : a->n++;
	a->live++;
	memset((char *)a->items + *ret_slot * item_bytes, 0, item_bytes);
	return (char *)a->items + *ret_slot * item_bytes;
}

/* The caller has zeroed what is there. */
static void array_give_back(struct array *a, uint32_t slot)
{
	a->spare[a->n_spare++] = slot;
	a->live--;
}

static void array_free(struct array *a)
{
	free(a->items);
	free(a->spare);
}

/* Removes by moving the last one into the gap: for arrays without slots. */
static void array_remove(struct array *a, size_t item_bytes, uint32_t at)
{
	memcpy((char *)a->items + at * item_bytes,
	       (char *)a->items + (a->n - 1) * item_bytes, item_bytes);
	a->n--;
	a->live--;
}

static struct store *store_at(const struct checking *c, uint32_t slot)
{
	return (struct store *)c->stores.items + slot;
}

static struct resource *resource_at(const struct checking *c, uint32_t slot)
{
	return (struct resource *)c->resources.items + slot;
}

static struct allocation *allocation_at(const struct checking *c, uint32_t slot)
{
	return (struct allocation *)c->allocations.items + slot;
}

static uint64_t new_value(struct checking *c, uint32_t slot)
{
	return (random_next(&c->random) << 32) | (slot + 1);
}

static uint32_t find_resource(const struct checking *c, uint64_t value)
{
	uint32_t slot = (uint32_t)value - 1;

	if (value == 0 || slot >= c->resources.n ||
	    resource_at(c, slot)->value != value)
		broken("hResource %#jx is no resource of this backend, or not "
		       "its newest value",
		       (uintmax_t)value);
	return slot;
}

bool checking_has(const struct checking *c, uint64_t allocation)
{
	uint32_t slot = (uint32_t)allocation - 1;

	return allocation != 0 && slot < c->allocations.n &&
	       allocation_at(c, slot)->value == allocation;
}

static uint32_t find_allocation(const struct checking *c, uint64_t value)
{
	if (!checking_has(c, value))
		broken("hAllocation %#jx is no allocation of this backend, or "
		       "was destroyed before",
		       (uintmax_t)value);
	return (uint32_t)value - 1;
}

static const struct store *find_store(const struct checking *c, uint32_t id)
{
	for (uint32_t i = c->stores.n; i-- > 0;)
		if (store_at(c, i)->id == id)
			return store_at(c, i);
	broken("there is no store %u", id);
}

/* Counts a call; the status to answer when a test ordered its failure. */
static int count_call(struct checking *c, enum checking_call call)
{
	c->calls[call]++;
	if (c->fail_in[call] > 0 && --c->fail_in[call] == 0)
		return c->fail_status[call];
	return 0;
}

static uint32_t make_store(struct checking *c, uint64_t size_bytes)
{
	uint32_t slot;
	struct store *s = array_add(&c->stores, sizeof(*s), &slot);

	*s = (struct store){ .size_bytes = size_bytes, .fd = -1 };
	/* Unlike slots and small numbers, so that it cannot be mixed up. */
	s->id = 0x40000000u + (uint32_t)c->calls[CHECKING_CREATE];
	if (!c->memfds)
		return slot;
	s->fd = memfd_create("checking", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (s->fd < 0 || ftruncate(s->fd, (off_t)size_bytes) != 0 ||
	    fcntl(s->fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		perror("checking backend: memfd");
		abort();
	}
	return slot;
}

static uint32_t make_resource(struct checking *c)
{
	uint32_t slot;
	struct resource *r = array_add(&c->resources, sizeof(*r), &slot);

	*r = (struct resource){ .value = new_value(c, slot) };
	return slot;
}

static int checking_create(void *state, struct backend_create *create)
{
	struct checking *c = state;
	uint32_t resource = NOWHERE, store, slot;
	uint64_t total = 0;
	int r;

	r = count_call(c, CHECKING_CREATE);
	REQUIRE(create->count >= 1 && create->count <= LIST_ENTRIES_MAX,
		"create of %u allocations", create->count);
	REQUIRE(!create->new_resource || create->resource == 0,
		"create with new_resource and a resource");
	if (create->resource != 0)
		resource = find_resource(c, create->resource);
	for (uint32_t i = 0; i < create->count; i++) {
		uint64_t size = create->allocations[i].size_bytes;

		REQUIRE(size > 0 && size % PAGE_BYTES == 0 &&
				size <= ALLOCATION_BYTES_MAX,
			"create of %ju bytes", (uintmax_t)size);
		total += size;
	}
	if (r < 0)
		return r;
	store = make_store(c, total);
	if (create->new_resource)
		resource = make_resource(c);
	total = 0;
	for (uint32_t i = 0; i < create->count; i++) {
		struct allocation *a =
			array_add(&c->allocations, sizeof(*a), &slot);

		a->value = new_value(c, slot);
		a->size_bytes = create->allocations[i].size_bytes;
		a->resource = resource;
		a->store = store;
		create->allocations[i].offset = total;
		create->allocations[i].allocation = a->value;
		total += a->size_bytes;
	}
	c->bytes += total;
	store_at(c, store)->live = create->count;
	if (resource != NOWHERE) {
		resource_at(c, resource)->live += create->count;
		create->resource = resource_at(c, resource)->value;
	}
	create->store = store_at(c, store)->id;
	create->store_bytes = total;
	return 0;
}

static struct opening name_opening(const struct checking *c,
				   const struct backend_opening *o)
{
	struct opening named = {
		.resource = NOWHERE,
		.allocation = NOWHERE,
		.store = o->store,
		.client = o->client,
		.read_only = o->read_only,
	};

	REQUIRE(o->client != 0, "opening of no client");
	REQUIRE(o->resource != 0 || o->allocation != 0, "opening of nothing");
	if (o->resource != 0)
		named.resource = find_resource(c, o->resource);
	if (o->allocation == 0)
		return named;
	named.allocation = find_allocation(c, o->allocation);
	REQUIRE(allocation_at(c, named.allocation)->resource == named.resource,
		"an opening names an allocation of another resource, or of "
		"none");
	REQUIRE(find_store(c, o->store) ==
			store_at(c, allocation_at(c, named.allocation)->store),
		"an opening names the wrong store");
	return named;
}

static bool same_opening(const struct opening *a, const struct opening *b)
{
	return a->resource == b->resource && a->allocation == b->allocation &&
	       a->store == b->store && a->client == b->client &&
	       a->read_only == b->read_only;
}

static int checking_open(void *state, const struct backend_opening *o)
{
	struct checking *c = state;
	struct opening named = name_opening(c, o);
	int r = count_call(c, CHECKING_OPEN);
	uint32_t slot;

	REQUIRE(o->resource == 0 || o->allocation == 0,
		"an allocation of a resource opened alone");
	if (r < 0)
		return r;
	if (named.resource != NOWHERE) {
		struct resource *resource = resource_at(c, named.resource);

		REQUIRE(resource->live > 0, "opening of an empty resource");
		if (resource->openings++ > 0)
			resource->opened_again = true;
	} else {
		struct allocation *a = allocation_at(c, named.allocation);

		REQUIRE(a->openings == 0, "a lone allocation opened twice");
		a->openings++;
	}
	*(struct opening *)array_add(&c->openings, sizeof(named), &slot) =
		named;
	return 0;
}

/* A51: one allocation leaves the opening of its private resource. */
static void close_alone(struct checking *c, const struct opening *named)
{
	const struct resource *r = resource_at(c, named->resource);
	struct allocation *a = allocation_at(c, named->allocation);

	REQUIRE(r->openings == 1 && !r->opened_again,
		"an allocation closed alone, but its resource is shared or "
		"closed");
	REQUIRE(!a->left, "an allocation closed twice");
	a->left = true;
}

static void checking_close(void *state, const struct backend_opening *o)
{
	struct checking *c = state;
	struct opening named = name_opening(c, o);
	const struct opening *all = c->openings.items;
	uint32_t i = c->openings.n;

	count_call(c, CHECKING_CLOSE);
	if (o->resource != 0 && o->allocation != 0) {
		close_alone(c, &named);
		return;
	}
	while (i > 0 && !same_opening(&all[i - 1], &named))
		i--;
	REQUIRE(i > 0,
		"close of an opening that was never opened, or closed "
		"before (client %u)",
		o->client);
	array_remove(&c->openings, sizeof(named), i - 1);
	if (named.resource != NOWHERE)
		resource_at(c, named.resource)->openings--;
	else
		allocation_at(c, named.allocation)->openings--;
}

static void judge_shape(const struct backend_destroy *d)
{
	REQUIRE((d->flags & ~(uint32_t)BACKEND_DESTROY_RESOURCE) == 0,
		"B24: reserved flags %#x", d->flags);
	REQUIRE(d->count > 0 || (d->flags & BACKEND_DESTROY_RESOURCE),
		"B23: destroy of nothing");
	REQUIRE(d->count <= LIST_ENTRIES_MAX, "destroy of %u", d->count);
	REQUIRE(d->resource != 0 || !(d->flags & BACKEND_DESTROY_RESOURCE),
		"DestroyResource without a resource");
	REQUIRE(d->client != 0, "destroy for no client");
}

/* A lone allocation, whose end nobody has to hear of before this. */
static void close_unheard(struct checking *c, uint32_t slot)
{
	const struct opening *all = c->openings.items;
	uint32_t i = c->openings.n;

	while (i > 0 && all[i - 1].allocation != slot)
		i--;
	REQUIRE(i > 0 && !all[i - 1].read_only,
		"B25: a reader whose close was not heard of");
	array_remove(&c->openings, sizeof(*all), i - 1);
	allocation_at(c, slot)->openings--;
}

static void judge_entry(struct checking *c, uint64_t value, uint32_t resource)
{
	uint32_t slot = find_allocation(c, value);
	struct allocation *a = allocation_at(c, slot);

	REQUIRE(a->resource == resource,
		"B20: an allocation that is not of hResource");
	REQUIRE(!a->in_destroy, "B25: an allocation destroyed twice");
	if (c->ops.closes_readers_only && a->openings > 0)
		close_unheard(c, slot);
	REQUIRE(a->openings == 0, "B25: destroyed before it was closed");
	REQUIRE(resource == NOWHERE || a->left ||
			resource_at(c, resource)->openings == 0,
		"B25: destroyed before its resource was closed");
	a->in_destroy = true;
}

/* Refuses what breaks B20 to B25; returns the slot of hResource. */
static uint32_t judge_destroy(struct checking *c,
			      const struct backend_destroy *d)
{
	const struct under_way *out = c->under_way.items;
	uint32_t slot = NOWHERE;

	judge_shape(d);
	for (uint32_t i = 0; i < c->under_way.n; i++)
		REQUIRE(out[i].client != d->client,
			"B25: two destroys under way for client %u", d->client);
	if (d->resource != 0)
		slot = find_resource(c, d->resource);
	for (uint32_t i = 0; i < d->count; i++)
		judge_entry(c, d->allocations[i], slot);
	if (slot == NOWHERE)
		return slot;
	if (!(d->flags & BACKEND_DESTROY_RESOURCE))
		return slot;
	REQUIRE(resource_at(c, slot)->live == d->count,
		"B21: the resource still has allocations");
	REQUIRE(resource_at(c, slot)->openings == 0,
		"B25: a resource destroyed before it was closed");
	return slot;
}

static void release_store(struct checking *c, uint32_t slot)
{
	struct store *s = store_at(c, slot);

	if (--s->live > 0)
		return;
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct store){ .fd = -1 };
	array_give_back(&c->stores, slot);
}

static void release_entry(struct checking *c, uint64_t value)
{
	struct allocation *a = allocation_at(c, find_allocation(c, value));

	c->bytes -= a->size_bytes;
	if (a->resource != NOWHERE)
		resource_at(c, a->resource)->live--;
	release_store(c, a->store);
	*a = (struct allocation){ 0 };
	array_give_back(&c->allocations, (uint32_t)value - 1);
}

static void forgive_entries(struct checking *c, const struct backend_destroy *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		allocation_at(c, find_allocation(c, d->allocations[i]))
			->in_destroy = false;
}

/* Releases, and says whose value changes when the call returns. */
static uint32_t carry_out(struct checking *c, struct backend_destroy *d,
			  uint32_t slot)
{
	for (uint32_t i = 0; i < d->count; i++)
		release_entry(c, d->allocations[i]);
	if (slot == NOWHERE)
		return NOWHERE;
	if (d->flags & BACKEND_DESTROY_RESOURCE) {
		*resource_at(c, slot) = (struct resource){ 0 };
		array_give_back(&c->resources, slot);
		d->resource = 0;
		return NOWHERE;
	}
	d->resource = new_value(c, slot);
	resource_at(c, slot)->next_value = d->resource;
	return slot;
}

/* What of a destroy is still to be done; false when nothing is. */
static bool still_to_do(const struct checking *c, struct backend_destroy *d,
			uint64_t *list)
{
	uint32_t resource = (uint32_t)d->resource - 1, n = 0;

	for (uint32_t i = 0; i < d->count; i++)
		if (checking_has(c, d->allocations[i]))
			list[n++] = d->allocations[i];
	d->count = n;
	d->allocations = list;
	if (d->resource != 0 &&
	    (resource >= c->resources.n ||
	     resource_at(c, resource)->value != d->resource)) {
		d->resource = 0;
		d->flags &= ~(uint32_t)BACKEND_DESTROY_RESOURCE;
	}
	return d->count > 0 || (d->flags & BACKEND_DESTROY_RESOURCE);
}

static int destroy_begin(struct checking *c, struct backend_destroy *d);

int checking_destroy_begin(struct checking *c, struct backend_destroy *d)
{
	uint64_t list[LIST_ENTRIES_MAX];
	struct backend_destroy rest = *d;
	struct under_way *out;
	uint32_t unused;
	int r = 0;

	if (!c->forgiving)
		return destroy_begin(c, d);
	if (still_to_do(c, &rest, list)) {
		r = destroy_begin(c, &rest);
		d->resource = rest.resource;
		return r;
	}
	out = array_add(&c->under_way, sizeof(*out), &unused);
	*out = (struct under_way){ .client = d->client, .resource = NOWHERE };
	d->resource = rest.resource;
	return 0;
}

static int destroy_begin(struct checking *c, struct backend_destroy *d)
{
	uint32_t slot = judge_destroy(c, d), unused;
	struct under_way *out = array_add(&c->under_way, sizeof(*out), &unused);
	struct checking_record *record = &c->records[c->n_records % RECORDS];
	int r = count_call(c, CHECKING_DESTROY);

	*out = (struct under_way){ .client = d->client, .resource = NOWHERE };
	if (r < 0) {
		forgive_entries(c, d);
		return r;
	}
	*record = (struct checking_record){
		.count = d->count,
		.flags = d->flags,
		.client = d->client,
		.resource_in = d->resource,
		.first_allocation = d->count ? d->allocations[0] : 0,
	};
	out->resource = carry_out(c, d, slot);
	record->resource_out = d->resource;
	c->n_records++;
	return 0;
}

void checking_destroy_end(struct checking *c, uint32_t client)
{
	struct under_way *out = c->under_way.items;
	uint32_t i = 0;

	while (i < c->under_way.n && out[i].client != client)
		i++;
	assert(i < c->under_way.n);
	if (out[i].resource != NOWHERE) {
		struct resource *r = resource_at(c, out[i].resource);

		r->previous = r->value;
		r->value = r->next_value;
		r->next_value = 0;
	}
	array_remove(&c->under_way, sizeof(*out), i);
}

static int checking_destroy(void *state, struct backend_destroy *d)
{
	int r = checking_destroy_begin(state, d);

	checking_destroy_end(state, d->client);
	return r;
}

static const struct backend_ops checking_ops = {
	.create_allocation = checking_create,
	.open_allocation = checking_open,
	.close_allocation = checking_close,
	.destroy_allocation = checking_destroy,
};

struct checking *checking_new(uint64_t seed, bool memfds)
{
	struct checking *c = calloc(1, sizeof(*c));

	assert(c);
	c->ops = checking_ops;
	c->random.state = seed;
	c->memfds = memfds;
	return c;
}

void checking_free(struct checking *c)
{
	if (!c)
		return;
	REQUIRE(c->stores.live == 0 && c->resources.live == 0 &&
			c->allocations.live == 0 && c->openings.live == 0 &&
			c->under_way.live == 0,
		"left behind: %u stores, %u resources, %u allocations, "
		"%u openings, %u destroys under way",
		c->stores.live, c->resources.live, c->allocations.live,
		c->openings.live, c->under_way.live);
	array_free(&c->stores);
	array_free(&c->resources);
	array_free(&c->allocations);
	array_free(&c->openings);
	array_free(&c->under_way);
	free(c);
}

struct backend checking_backend(struct checking *c)
{
	return (struct backend){ .ops = &c->ops, .state = c };
}

void checking_hear_readers_only(struct checking *c)
{
	c->ops.closes_readers_only = true;
}

void checking_fail(struct checking *c, enum checking_call call, uint64_t n,
		   int status)
{
	assert(call != CHECKING_CLOSE && (n == 0 || status < 0));
	c->fail_in[call] = n;
	c->fail_status[call] = status;
}

uint64_t checking_calls(const struct checking *c, enum checking_call call)
{
	return c->calls[call];
}

bool checking_record(const struct checking *c, uint32_t back,
		     struct checking_record *ret)
{
	if (back >= RECORDS || back >= c->n_records)
		return false;
	*ret = c->records[(c->n_records - 1 - back) % RECORDS];
	return true;
}

void checking_forgive(struct checking *c, bool on)
{
	c->forgiving = on;
}

void checking_reconcile_begin(struct checking *c)
{
	c->openings.n = c->openings.live = 0;
	c->under_way.n = c->under_way.live = 0;
	for (uint32_t i = 0; i < c->resources.n; i++) {
		struct resource *r = resource_at(c, i);

		r->next_value = 0;
		r->openings = 0;
		r->opened_again = r->named = false;
	}
	for (uint32_t i = 0; i < c->allocations.n; i++) {
		struct allocation *a = allocation_at(c, i);

		a->openings = 0;
		a->left = a->in_destroy = a->named = false;
	}
}

/* The value may be older than the one that a lost answer brought. */
void checking_reconcile_resource(struct checking *c,
				 const struct inventory_resource *named)
{
	uint32_t slot = (uint32_t)named->resource - 1;

	if (slot >= c->resources.n ||
	    (resource_at(c, slot)->value != named->resource &&
	     resource_at(c, slot)->previous != named->resource)) {
		REQUIRE(named->retired, "a living resource is not there");
		return;
	}
	REQUIRE(!resource_at(c, slot)->named, "a resource named twice");
	resource_at(c, slot)->value = named->resource;
	resource_at(c, slot)->named = true;
}

void checking_reconcile_allocation(struct checking *c,
				   const struct inventory_allocation *named)
{
	struct allocation *a;

	if (!checking_has(c, named->allocation)) {
		REQUIRE(named->retired, "a living allocation is not there");
		return;
	}
	a = allocation_at(c, find_allocation(c, named->allocation));
	REQUIRE(!a->named, "an allocation named twice");
	REQUIRE(a->size_bytes == named->size_bytes &&
			store_at(c, a->store)->id == named->store,
		"an allocation of another size or store");
	a->named = true;
	a->left = named->closed_alone;
}

void checking_reconcile_opening(struct checking *c,
				const struct backend_opening *o)
{
	struct opening named = name_opening(c, o);
	uint32_t slot;

	if (named.resource == NOWHERE)
		allocation_at(c, named.allocation)->openings++;
	else if (resource_at(c, named.resource)->openings++ > 0)
		resource_at(c, named.resource)->opened_again = true;
	*(struct opening *)array_add(&c->openings, sizeof(named), &slot) =
		named;
}

void checking_reconcile_end(struct checking *c)
{
	for (uint32_t i = 0; i < c->allocations.n; i++) {
		const struct allocation *a = allocation_at(c, i);

		if (a->value != 0 && !a->named)
			release_entry(c, a->value);
	}
	for (uint32_t i = 0; i < c->resources.n; i++) {
		struct resource *r = resource_at(c, i);

		if (r->value == 0 || r->named)
			continue;
		REQUIRE(r->live == 0, "a resource forgotten with allocations");
		*r = (struct resource){ 0 };
		array_give_back(&c->resources, i);
	}
}

uint64_t checking_stores(const struct checking *c)
{
	return c->stores.live;
}

uint64_t checking_bytes(const struct checking *c)
{
	return c->bytes;
}

uint64_t checking_allocations(const struct checking *c)
{
	return c->allocations.live;
}

uint64_t checking_resources(const struct checking *c)
{
	return c->resources.live;
}

uint64_t checking_openings(const struct checking *c)
{
	return c->openings.live;
}

uint64_t checking_openings_of(const struct checking *c, uint32_t client)
{
	const struct opening *all = c->openings.items;
	uint64_t n = 0;

	for (uint32_t i = 0; i < c->openings.n; i++)
		n += all[i].client == client;
	return n;
}

int checking_store_fd(const struct checking *c, uint32_t store, bool read_only)
{
	const struct store *s = find_store(c, store);
	char path[64];
	int fd;

	assert(s->fd >= 0 && "the test asked for no memfds");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
	fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	assert(fd >= 0);
	return fd;
}
