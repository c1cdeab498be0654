/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checker: every invariant of core/state.h, recomputed from nothing.
 *
 * The idea: the state keeps counters so that it need not count; the checker
 * counts. One walk over all slots adds up what each object refers to and what
 * each account must hold, in arrays of its own; then every record is compared
 * with its sum. A counter that is one off, a list that lost an element, a
 * slot that is free and used: each shows as a difference, and the first one
 * is reported in words.
 *
 *	slots, tokens, waiters --add--> tally --compare--> records
 *	                                          \--> lists (check_lists.c)
 *
 * It shares no arithmetic with the code it checks: that code never sums.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  The state is the same before and after.
 *  G2  Each invariant, broken by hand, is reported (the test breaks them).
 */
#include "core/check.h"

#include "core/check_lists.h"
#include "core/retire.h"
#include "core/state.h"

struct session_tally {
	uint64_t used[CHARGE_KINDS];
	uint64_t resources, allocations, retired, devices, tokens;
	uint64_t streamed; /* slots that the items of its stream stand for */
};

struct check {
	const struct region *region;
	const struct state *state;
	struct session_tally *sessions;
	struct account *principals;
	uint32_t *principal_refs;
	uint32_t *store_refs, *object_refs, *object_tokens, *holding_refs;
	uint32_t *store_session; /* who pays for a private store */
	uint32_t *waiter_refs; /* slots and devices that tell a waiter */
	uint64_t block_units, chunks;
	uint64_t bytes; /* of memory not yet given back */
	char *message;
	size_t size;
	int result;
};

static void append(struct check *c, const char *text)
{
	size_t used = strlen(c->message), n = strlen(text);

	n = min_u64(n, c->size - used - 1);
	memcpy(c->message + used, text, n);
	c->message[used + n] = '\0';
}

static void append_number(struct check *c, uint64_t value)
{
	char digits[24];
	char *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do
		*--at = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	append(c, at);
}

/* Reports "what [index]: is found, should be expected", once. */
static void expect(struct check *c, const char *what, uint64_t index,
		   uint64_t found, uint64_t expected)
{
	if (found == expected || c->result != 0)
		return;
	c->result = -EUCLEAN;
	append(c, what);
	append(c, " [");
	append_number(c, index);
	append(c, "]: is ");
	append_number(c, found);
	append(c, ", should be ");
	append_number(c, expected);
}

static uint32_t used_of(const struct check *c, enum area area)
{
	return region_area(c->region, area)->used;
}

static bool is_used(const struct check *c, enum area area, uint32_t index)
{
	const struct record *record;

	if (index == 0 || index >= used_of(c, area))
		return false;
	record = pool_at(c->region, area, index);
	return record->in_use != 0;
}

/* Every free record is on the free list, once, and none that is in use. */
static void check_pool(struct check *c, enum area area)
{
	const struct area_head *head = region_area(c->region, area);
	uint32_t index = head->free_head, n = 0, unused = 0;

	for (uint32_t i = 1; i < head->used; i++)
		unused += !is_used(c, area, i);
	expect(c, "free records of pool", area, head->free_count, unused);
	while (index != 0 && n <= head->free_count && c->result == 0) {
		const struct record *record = pool_at(c->region, area, index);

		expect(c, "free record in use", index, record->in_use, 0);
		index = record->next_free;
		n++;
	}
	expect(c, "length of free list of pool", area, n, head->free_count);
}

/* What an account of a session and of its principal must hold. */
static void owe(struct check *c, uint32_t session, enum charge_kind kind,
		uint64_t amount)
{
	uint32_t principal = session_at(c->region, session)->principal;

	c->sessions[session].used[kind] += amount;
	c->principals[principal].used[kind] += amount;
}

static void tally_private(struct check *c, uint32_t session,
			  const struct slot *slot)
{
	uint32_t store = slot->allocation.store;

	if (!is_used(c, AREA_STORES, store)) {
		expect(c, "store of allocation", store, 0, 1);
		return;
	}
	c->store_refs[store]++;
	c->store_session[store] = session;
	c->bytes += slot->allocation.size_bytes;
	owe(c, session, CHARGE_BYTES, slot->allocation.size_bytes);
}

static bool is_private(const struct check *c, const struct slot *slot)
{
	uint32_t parent = slot->allocation.parent;

	return parent == 0 || slot_at(c->region, parent)->resource.object == 0;
}

static void tally_allocation(struct check *c, uint32_t session, uint32_t index)
{
	const struct slot *slot = slot_at(c->region, index);
	bool live = slot_state(slot) == SLOT_LIVE;
	const struct slot *parent;
	const uint32_t *run;

	c->sessions[session].allocations += live;
	if (is_private(c, slot) && !slot->released)
		tally_private(c, session, slot);
	if (slot->allocation.parent == 0 || !live)
		return;
	parent = slot_at(c->region, slot->allocation.parent);
	expect(c, "parent's state of allocation", index, slot_state(parent),
	       SLOT_LIVE);
	if (slot->allocation.position >= parent->resource.count) {
		expect(c, "position of allocation in its run", index, 0, 1);
		return;
	}
	run = block_at(c->region, parent->resource.run);
	expect(c, "back-position of allocation", index,
	       run[slot->allocation.position], index);
}

static void tally_opening(struct check *c, uint32_t session,
			  const struct slot *slot)
{
	uint32_t object = slot->resource.object;

	if (slot->released)
		return;
	if (!is_used(c, AREA_OBJECTS, object)) {
		expect(c, "object of opening", object, 0, 1);
		return;
	}
	c->object_refs[object]++;
	c->sessions[session].used[CHARGE_BYTES] +=
		object_at(c->region, object)->size_bytes;
	c->sessions[session].used[CHARGE_STORES]++;
}

static void tally_resource(struct check *c, uint32_t session, uint32_t index)
{
	const struct slot *slot = slot_at(c->region, index);
	const struct slot_resource *r = &slot->resource;
	const uint32_t *run = r->count == 0 ? NULL :
					      block_at(c->region, r->run);

	c->sessions[session].resources += slot_state(slot) == SLOT_LIVE;
	c->block_units += block_units(r->capacity * sizeof(uint32_t)) +
			  block_units(r->private_bytes);
	if (r->object != 0)
		tally_opening(c, session, slot);
	for (uint32_t i = 0; i < r->count; i++) {
		const struct slot *child = slot_at(c->region, run[i]);

		expect(c, "kind of child", run[i], slot_kind(child),
		       KIND_ALLOCATION);
		expect(c, "parent of child", run[i], child->allocation.parent,
		       index);
		expect(c, "state of child", run[i], slot_state(child),
		       slot_state(slot));
	}
}

static void tally_waiter(struct check *c, uint32_t waiter)
{
	if (waiter == 0)
		return;
	if (is_used(c, AREA_WAITERS, waiter))
		c->waiter_refs[waiter]++;
	else
		expect(c, "waiter of a slot or device", waiter, 0, 1);
}

/* One slot that is LIVE or RETIRED. */
static void tally_slot(struct check *c, uint32_t session, uint32_t index)
{
	const struct slot *slot = slot_at(c->region, index);

	owe(c, session, CHARGE_HANDLES, 1);
	c->sessions[session].retired += slot_state(slot) == SLOT_RETIRED;
	expect(c, "pins of slot", index, slot_pins(slot), 0);
	tally_waiter(c, slot->waiter);
	if (slot_kind(slot) == KIND_ALLOCATION)
		tally_allocation(c, session, index);
	else if (slot_kind(slot) == KIND_RESOURCE)
		tally_resource(c, session, index);
}

/* Adds one segment's slots to a session; its free and taken slots. */
static void walk_segment(struct check *c, uint32_t session, uint32_t segment,
			 uint32_t *live, uint32_t *free)
{
	const struct segment *s = segment_at(c->region, segment);
	uint32_t n_free = 0, n_dead = 0;

	for (uint32_t i = 0; i < SEGMENT_SLOTS; i++) {
		uint32_t index = (segment << SEGMENT_SLOTS_LOG2) + i;
		const struct slot *slot = slot_at(c->region, index);
		bool bit = s->free_bits[i / 64] >> (i % 64) & 1;

		expect(c, "free bit of slot", index, bit,
		       slot_state(slot) == SLOT_FREE);
		n_free += bit;
		n_dead += slot_state(slot) == SLOT_DEAD;
		if (slot_state(slot) != SLOT_LIVE &&
		    slot_state(slot) != SLOT_RETIRED)
			continue;
		expect(c, "owner of a slot in use", index, session != 0, 1);
		if (session == 0)
			return;
		tally_slot(c, session, index);
		++*live;
	}
	expect(c, "free slots of segment", segment, s->free, n_free);
	expect(c, "dead slots of segment", segment, s->dead, n_dead);
	*free += n_free;
}

static void walk_owner(struct check *c, const struct owner *owner,
		       uint32_t session)
{
	uint32_t segment = owner->segments, live = 0, free = 0, n = 0;

	while (segment != 0 && n++ < SEGMENTS_MAX && c->result == 0) {
		struct handle any = { (uint64_t)segment << SEGMENT_SLOTS_LOG2 };

		expect(c, "owner of segment", segment,
		       table_owner(c->region, any), owner->id);
		walk_segment(c, session, segment, &live, &free);
		segment = segment_at(c->region, segment)->next;
	}
	expect(c, "live slots of owner", owner->id, owner->live, live);
	expect(c, "free slots of owner", owner->id, owner->free, free);
}

static void walk_depot(struct check *c)
{
	uint32_t segment = c->state->depot, live = 0, free = 0, n = 0;

	while (segment != 0 && n++ < SEGMENTS_MAX && c->result == 0) {
		struct handle any = { (uint64_t)segment << SEGMENT_SLOTS_LOG2 };

		expect(c, "owner of segment in depot", segment,
		       table_owner(c->region, any), 0);
		walk_segment(c, 0, segment, &live, &free);
		segment = segment_at(c->region, segment)->next;
	}
}

static void walk_devices(struct check *c)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < used_of(c, AREA_DEVICES); i++) {
		const struct device *d;

		if (!is_used(c, AREA_DEVICES, i))
			continue;
		d = device_at(c->region, i);
		n++;
		c->sessions[d->session].devices++;
		tally_waiter(c, d->waiter);
		walk_owner(c, &d->owner, d->session);
		expect(c, "device of its slot", i,
		       slot_at(c->region, d->slot)->device.device, i);
		expect(c, "sweep of a device that is not removed", i,
		       d->state != DEVICE_REMOVED && d->sweep != SWEEP_NONE, 0);
	}
	expect(c, "devices in all", 0, c->state->n_devices, n);
}

static void walk_tokens(struct check *c)
{
	uint64_t n = 0;

	for (uint32_t i = 1; i < used_of(c, AREA_TOKENS); i++) {
		const struct token *t;

		if (!is_used(c, AREA_TOKENS, i))
			continue;
		t = token_at(c->region, i);
		n++;
		c->sessions[t->session].tokens++;
		owe(c, t->session, CHARGE_TOKENS, 1);
		if (!is_used(c, AREA_OBJECTS, t->object)) {
			expect(c, "object of token", i, 0, 1);
			continue;
		}
		c->object_refs[t->object]++;
		c->object_tokens[t->object]++;
	}
	expect(c, "tokens in all", 0, c->state->n_tokens, n);
}

/* One that has ended has told its follower already. */
static void tally_followers(struct check *c)
{
	for (uint32_t i = 1; i < used_of(c, AREA_WAITERS); i++)
		if (is_used(c, AREA_WAITERS, i) &&
		    waiter_at(c->region, i)->remaining > 0)
			tally_waiter(c, waiter_at(c->region, i)->follower);
}

static void walk_waiters(struct check *c)
{
	tally_followers(c);
	for (uint32_t i = 1; i < used_of(c, AREA_WAITERS); i++) {
		const struct waiter *w;

		if (!is_used(c, AREA_WAITERS, i))
			continue;
		w = waiter_at(c->region, i);
		owe(c, w->session, CHARGE_WAITS, 1);
		expect(c, "what a waiter waits for", i, w->remaining,
		       c->waiter_refs[i]);
	}
}

static void walk_holdings(struct check *c)
{
	for (uint32_t i = 1; i < used_of(c, AREA_HOLDINGS); i++) {
		const struct holding *h;
		const struct object *o;

		if (!is_used(c, AREA_HOLDINGS, i))
			continue;
		h = holding_at(c->region, i);
		if (!is_used(c, AREA_OBJECTS, h->object)) {
			expect(c, "object of holding", i, 0, 1);
			continue;
		}
		o = object_at(c->region, h->object);
		c->holding_refs[h->object] += h->refs;
		c->principal_refs[h->principal]++;
		c->principals[h->principal].used[CHARGE_BYTES] += o->size_bytes;
		c->principals[h->principal].used[CHARGE_STORES]++;
		expect(c, "holding without references", i,
		       h->refs == 0 && o->refs != 0, 0);
	}
}

static void walk_objects(struct check *c)
{
	uint64_t n = 0;

	for (uint32_t i = 1; i < used_of(c, AREA_OBJECTS); i++) {
		const struct object *o;
		const struct layout_entry *layout;
		uint64_t bytes = 0;

		if (!is_used(c, AREA_OBJECTS, i))
			continue;
		o = object_at(c->region, i);
		layout = block_at(c->region, o->layout);
		n++;
		for (uint32_t k = 0; k < o->count; k++)
			bytes += layout[k].size_bytes;
		c->block_units += block_units(o->count * sizeof(*layout)) +
				  block_units(o->private_bytes);
		if (is_used(c, AREA_STORES, o->store))
			c->store_refs[o->store] += o->count;
		else
			expect(c, "store of object", i, 0, 1);
		c->bytes += o->size_bytes;
		expect(c, "references of object", i, o->refs,
		       c->object_refs[i]);
		expect(c, "tokens of object", i, o->tokens,
		       c->object_tokens[i]);
		expect(c, "references of holdings of object", i,
		       c->holding_refs[i], o->refs);
		expect(c, "bytes of object", i, o->size_bytes, bytes);
	}
	expect(c, "objects in all", 0, c->state->n_objects, n);
}

static void walk_stores(struct check *c)
{
	uint64_t n = 0;

	for (uint32_t i = 1; i < used_of(c, AREA_STORES); i++) {
		const struct store *s;

		if (!is_used(c, AREA_STORES, i))
			continue;
		s = store_at(c->region, i);
		n++;
		expect(c, "references of store", i, s->refs, c->store_refs[i]);
		if (c->store_session[i] != 0)
			owe(c, c->store_session[i], CHARGE_STORES, 1);
	}
	expect(c, "stores in all", 0, c->state->n_stores, n);
	expect(c, "bytes in all stores", 0, c->state->store_bytes, c->bytes);
}

/*
 * An item is a RETIRED slot, which for a resource stands for its children
 * too, or an object nobody refers to.
 */
static void walk_item(struct check *c, uint32_t session, uint32_t item)
{
	const struct slot *slot;

	if (item & ITEM_OBJECT) {
		uint32_t object = item & ~ITEM_OBJECT;

		expect(c, "use of object in a stream", object,
		       is_used(c, AREA_OBJECTS, object), 1);
		return;
	}
	slot = slot_at(c->region, item);
	expect(c, "state of retired slot", item, slot_state(slot),
	       SLOT_RETIRED);
	c->sessions[session].streamed += slot_kind(slot) == KIND_RESOURCE ?
						 1u + slot->resource.count :
						 1u;
}

static void walk_stream(struct check *c, uint32_t session)
{
	const struct stream *stream = &session_at(c->region, session)->stream;
	uint32_t chunk = stream->head, read = stream->read, n = 0;

	while (chunk != 0 && c->result == 0) {
		const struct chunk *k = chunk_at(c->region, chunk);

		c->chunks++;
		for (; read < k->used; read++, n++)
			walk_item(c, session, k->items[read]);
		if (chunk == stream->tail)
			break;
		chunk = k->next;
		read = 0;
	}
	expect(c, "items of stream of session", session, stream->count, n);
}

static void walk_sessions(struct check *c)
{
	for (uint32_t i = 1; i < used_of(c, AREA_SESSIONS); i++) {
		const struct session *s;

		if (!is_used(c, AREA_SESSIONS, i))
			continue;
		s = session_at(c->region, i);
		c->principal_refs[s->principal]++;
		if (s->phase == SESSION_ENDED)
			continue;
		owe(c, i, CHARGE_CLIENTS, 1);
		walk_owner(c, &s->owner, i);
		walk_stream(c, i);
	}
}

static void compare_sessions(struct check *c)
{
	uint64_t resources = 0, allocations = 0;
	uint32_t n = 0, ending = 0;

	for (uint32_t i = 1; i < used_of(c, AREA_SESSIONS); i++) {
		const struct session_tally *t = &c->sessions[i];
		const struct session *s;

		if (!is_used(c, AREA_SESSIONS, i))
			continue;
		s = session_at(c->region, i);
		n++;
		ending += s->phase == SESSION_ENDING;
		resources += t->resources;
		allocations += t->allocations;
		for (int k = 0; k < CHARGE_KINDS; k++)
			expect(c, "account of session, kind", (uint64_t)k,
			       s->account.used[k], t->used[k]);
		expect(c, "resources of session", i, s->n_resources,
		       t->resources);
		expect(c, "allocations of session", i, s->n_allocations,
		       t->allocations);
		expect(c, "retired slots of session", i, s->n_retired,
		       t->retired);
		expect(c, "retired slots in stream of session", i, t->streamed,
		       t->retired);
		expect(c, "devices of session", i, s->n_devices, t->devices);
		expect(c, "tokens of session", i, s->n_tokens, t->tokens);
	}
	expect(c, "sessions in all", 0, c->state->n_sessions, n);
	expect(c, "resources in all", 0, c->state->n_resources, resources);
	expect(c, "allocations in all", 0, c->state->n_allocations,
	       allocations);
	expect(c, "ending sessions in all", 0, c->state->n_ending, ending);
}

static void compare_principals(struct check *c)
{
	for (uint32_t i = 1; i < used_of(c, AREA_PRINCIPALS); i++) {
		const struct principal *p;

		if (!is_used(c, AREA_PRINCIPALS, i))
			continue;
		p = principal_at(c->region, i);
		expect(c, "references of principal", i, p->refs,
		       c->principal_refs[i]);
		for (int k = 0; k < CHARGE_KINDS; k++)
			expect(c, "account of principal, kind", (uint64_t)k,
			       p->account.used[k], c->principals[i].used[k]);
	}
}

/* Every block belongs to somebody or is on the free list of its class. */
static void compare_blocks(struct check *c)
{
	uint32_t all = used_of(c, AREA_BLOCKS) - 1;
	uint64_t free = 0;

	for (unsigned int class = 0; class < BLOCK_CLASSES; class ++) {
		uint32_t block = c->state->block_free[class];

		while (block != 0 && free <= all) {
			free += 1u << class;
			block = *(const uint32_t *)block_at(c->region, block);
		}
	}
	expect(c, "units of blocks", 0, c->block_units + free, all);
}

/* A stream always has a chunk, and nobody else has any. */
static void compare_chunks(struct check *c)
{
	const struct area_head *head = region_area(c->region, AREA_CHUNKS);

	expect(c, "chunks of streams", 0, c->chunks,
	       head->used - 1 - head->free_count);
}

static void compare_lists(struct check *c)
{
	struct broken_list broken;

	if (c->result == 0 && !check_lists(c->region, &broken))
		expect(c, broken.what, broken.index, broken.found,
		       broken.expected);
}

static void walk(struct check *c)
{
	static const enum area pools[] = {
		AREA_SESSIONS, AREA_PRINCIPALS, AREA_DEVICES,
		AREA_STORES,   AREA_OBJECTS,	AREA_HOLDINGS,
		AREA_TOKENS,   AREA_WAITERS,	AREA_CHUNKS,
	};

	for (size_t i = 0; i < ARRAY_SIZE(pools); i++)
		check_pool(c, pools[i]);
	walk_depot(c);
	walk_sessions(c);
	walk_devices(c);
	walk_tokens(c);
	walk_waiters(c);
	walk_holdings(c);
	walk_objects(c);
	walk_stores(c);
	compare_sessions(c);
	compare_principals(c);
	compare_blocks(c);
	compare_chunks(c);
	compare_lists(c);
}

/* The arrays of the walk, one behind the other; the bytes they take. */
static size_t lay_out(struct check *c, uintptr_t base)
{
	size_t at = 0;

#define CARVE(pointer, area)                                                  \
	do {                                                                  \
		(pointer) = (void *)(base + at);                              \
		at += align_up_u64(sizeof(*(pointer)) * used_of(c, area), 8); \
	} while (0)
	CARVE(c->sessions, AREA_SESSIONS);
	CARVE(c->principals, AREA_PRINCIPALS);
	CARVE(c->principal_refs, AREA_PRINCIPALS);
	CARVE(c->store_refs, AREA_STORES);
	CARVE(c->store_session, AREA_STORES);
	CARVE(c->waiter_refs, AREA_WAITERS);
	CARVE(c->object_refs, AREA_OBJECTS);
	CARVE(c->object_tokens, AREA_OBJECTS);
	CARVE(c->holding_refs, AREA_OBJECTS);
#undef CARVE
	return align_up_u64(at, 65536);
}

int check_state(const struct broker *broker, const struct pages *scratch,
		char *message, size_t size)
{
	struct check c = {
		.region = &broker->env.region,
		.state = region_state(&broker->env.region),
		.message = message,
		.size = size,
	};
	uint8_t *base;
	size_t bytes;

	assert(size > 0);
	message[0] = '\0';
	bytes = lay_out(&c, 0);
	base = scratch->reserve(scratch->context, bytes);
	if (base == NULL)
		return -ENOMEM;
	if (scratch->commit(scratch->context, base, bytes) != 0) {
		c.result = -ENOMEM;
	} else {
		lay_out(&c, (uintptr_t)base);
		walk(&c);
	}
	scratch->unreserve(scratch->context, base, bytes);
	return c.result;
}
