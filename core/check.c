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
#include "core/check_slots.h"
#include "core/check_tally.h"
#include "core/check_work.h"
#include "core/retire.h"
#include "core/state.h"

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

void check_expect(struct check *c, const char *what, uint64_t index,
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

/* Every free record is on the free list, once, and none that is in use. */
static void check_pool(struct check *c, enum area area)
{
	const struct area_head *head = region_area(c->region, area);
	uint32_t index = head->free_head, n = 0, unused = 0;

	for (uint32_t i = 1; i < head->used; i++)
		unused += !check_is_used(c, area, i);
	check_expect(c, "free records of pool", area, head->free_count, unused);
	while (index != 0 && n <= head->free_count && c->result == 0) {
		const struct record *record = pool_at(c->region, area, index);

		check_expect(c, "free record in use", index, record->in_use, 0);
		index = record->link;
		n++;
	}
	check_expect(c, "length of free list of pool", area, n,
		     head->free_count);
}

void check_owe(struct check *c, uint32_t session, enum charge_kind kind,
	       uint64_t amount)
{
	uint32_t principal = session_at(c->region, session)->principal;

	c->sessions[session].used[kind] += amount;
	c->principals[principal].used[kind] += amount;
}

static void walk_devices(struct check *c)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < check_used(c, AREA_DEVICES); i++) {
		const struct device *d;

		if (!check_is_used(c, AREA_DEVICES, i))
			continue;
		d = device_at(c->region, i);
		n++;
		c->sessions[d->session].devices++;
		check_tally_waiter(c, d->waiter);
		check_owner(c, &d->owner, d->session);
		check_expect(c, "device of its slot", i,
			     slot_at(c->region, d->slot)->device.device, i);
		check_expect(c, "sweep of a device that is not removed", i,
			     d->state != DEVICE_REMOVED &&
				     d->sweep != SWEEP_NONE,
			     0);
	}
	check_expect(c, "devices in all", 0, c->state->n_devices, n);
}

static void walk_tokens(struct check *c)
{
	uint64_t n = 0;

	for (uint32_t i = 1; i < check_used(c, AREA_TOKENS); i++) {
		const struct token *t;

		if (!check_is_used(c, AREA_TOKENS, i))
			continue;
		t = token_at(c->region, i);
		n++;
		c->sessions[t->session].tokens++;
		check_owe(c, t->session, CHARGE_TOKENS, 1);
		if (t->fence != 0) {
			check_tally_fence(c, t->fence);
			continue;
		}
		if (!check_is_used(c, AREA_OBJECTS, t->object)) {
			check_expect(c, "object of token", i, 0, 1);
			continue;
		}
		c->object_refs[t->object]++;
		c->object_tokens[t->object]++;
	}
	check_expect(c, "tokens in all", 0, c->state->n_tokens, n);
}

/* One that has ended has told its follower already. */
static void tally_followers(struct check *c)
{
	for (uint32_t i = 1; i < check_used(c, AREA_WAITERS); i++)
		if (check_is_used(c, AREA_WAITERS, i) &&
		    waiter_at(c->region, i)->remaining > 0)
			check_tally_waiter(c,
					   waiter_at(c->region, i)->follower);
}

static void walk_waiters(struct check *c)
{
	tally_followers(c);
	for (uint32_t i = 1; i < check_used(c, AREA_WAITERS); i++) {
		const struct waiter *w;

		if (!check_is_used(c, AREA_WAITERS, i))
			continue;
		w = waiter_at(c->region, i);
		if (w->phase != WAITER_TOLD)
			check_owe(c, w->session, CHARGE_WAITS, w->cost);
		if (w->phase != WAITER_TOLD && w->port == BROKER_PORT_WATCH)
			c->sessions[w->session].watches++;
		check_expect(c, "what a waiter waits for", i, w->remaining,
			     c->waiter_refs[i]);
	}
}

static void walk_holdings(struct check *c)
{
	for (uint32_t i = 1; i < check_used(c, AREA_HOLDINGS); i++) {
		const struct holding *h;
		const struct object *o;

		if (!check_is_used(c, AREA_HOLDINGS, i))
			continue;
		h = holding_at(c->region, i);
		if (!check_is_used(c, AREA_OBJECTS, h->object)) {
			check_expect(c, "object of holding", i, 0, 1);
			continue;
		}
		o = object_at(c->region, h->object);
		c->holding_refs[h->object] += h->refs;
		c->principal_refs[h->principal]++;
		c->principals[h->principal].used[CHARGE_BYTES] += o->size_bytes;
		c->principals[h->principal].used[CHARGE_STORES]++;
		check_expect(c, "holding without references", i,
			     h->refs == 0 && o->refs != 0, 0);
	}
}

void check_hold_block(struct check *c, uint32_t block, size_t size_bytes)
{
	uint32_t n = block_units(size_bytes), used = check_used(c, AREA_BLOCKS);

	if (n == 0)
		return;
	if (block == 0 || n > used || block > used - n) {
		check_expect(c, "block, there", block, 0, 1);
		return;
	}
	for (uint32_t i = block; i < block + n; i++) {
		check_expect(c, "holders of block", block,
			     1u + c->held_units[i], 1);
		c->held_units[i] = 1;
	}
	c->block_units += n;
}

static void walk_objects(struct check *c)
{
	uint64_t n = 0;

	for (uint32_t i = 1; i < check_used(c, AREA_OBJECTS); i++) {
		const struct object *o;
		const struct layout_entry *layout;
		uint64_t bytes = 0;

		if (!check_is_used(c, AREA_OBJECTS, i))
			continue;
		o = object_at(c->region, i);
		layout = block_at(c->region, o->layout);
		n++;
		for (uint32_t k = 0; k < o->count; k++)
			bytes += layout[k].size_bytes;
		check_hold_block(c, o->layout, o->count * sizeof(*layout));
		check_hold_block(c, o->private_block, o->private_bytes);
		if (check_is_used(c, AREA_STORES, o->store))
			c->store_refs[o->store] += o->count;
		else
			check_expect(c, "store of object", i, 0, 1);
		c->bytes += o->size_bytes;
		check_expect(c, "references of object", i, o->refs,
			     c->object_refs[i]);
		check_expect(c, "tokens of object", i, o->tokens,
			     c->object_tokens[i]);
		check_expect(c, "references of holdings of object", i,
			     c->holding_refs[i], o->refs);
		check_expect(c, "bytes of object", i, o->size_bytes, bytes);
	}
	check_expect(c, "objects in all", 0, c->state->n_objects, n);
}

static void walk_stores(struct check *c)
{
	uint64_t n = 0;

	for (uint32_t i = 1; i < check_used(c, AREA_STORES); i++) {
		if (!check_is_used(c, AREA_STORES, i))
			continue;
		n++;
		check_expect(c, "references of store", i,
			     store_refs(c->region)[i], c->store_refs[i]);
		if (c->store_session[i] != 0)
			check_owe(c, c->store_session[i], CHARGE_STORES, 1);
	}
	check_expect(c, "stores in all", 0, c->state->n_stores, n);
	check_expect(c, "bytes in all stores", 0, c->state->store_bytes,
		     c->bytes);
}

/*
 * An item is a RETIRED slot, which for a resource stands for its children
 * too, or an object nobody refers to.
 */
void check_tally_item(struct check *c, uint32_t session, uint32_t item)
{
	const struct slot *slot;

	if (item & ITEM_OBJECT) {
		uint32_t object = item & ~ITEM_OBJECT;

		check_expect(c, "use of object in a stream", object,
			     check_is_used(c, AREA_OBJECTS, object), 1);
		return;
	}
	if (item >= check_used(c, AREA_SEGMENTS) << SEGMENT_SLOTS_LOG2) {
		check_expect(c, "slot in a stream", item, 0, 1);
		return;
	}
	slot = slot_at(c->region, item);
	check_expect(c, "state of retired slot", item, slot_state(slot),
		     SLOT_RETIRED);
	c->sessions[session].streamed += slot_kind(slot) == KIND_RESOURCE ?
						 1u + slot->resource.count :
						 1u;
}

/* An item of a stream: of a session, or of all (0) and pinned. */
static void tally_streamed(struct check *c, uint32_t session, uint32_t item)
{
	uint32_t device;

	if (session == 0) {
		item &= ~ITEM_TOLD;
		device = table_device(c->region, item);
		if (!check_is_used(c, AREA_DEVICES, device)) {
			check_expect(c, "device of pinned slot", item, 0, 1);
			return;
		}
		session = device_at(c->region, device)->session;
		c->sessions[session].pinned++;
	}
	check_tally_item(c, session, item);
}

static void walk_stream(struct check *c, uint32_t session,
			const struct stream *stream)
{
	uint32_t chunk = stream->head, read = stream->read, n = 0;

	while (chunk != 0 && c->result == 0) {
		const struct chunk *k = chunk_at(c->region, chunk);

		c->chunks++;
		for (; read < k->used; read++, n++)
			tally_streamed(c, session, k->items[read]);
		if (chunk == stream->tail)
			break;
		chunk = k->next;
		read = 0;
	}
	check_expect(c, "tail of stream of session", session, stream->tail,
		     chunk);
	check_expect(c, "chunk behind a tail of session", session,
		     chunk == 0 ? 0 : chunk_at(c->region, chunk)->next, 0);
	check_expect(c, "items of stream of session", session, stream->count,
		     n);
	c->items += n;
	c->streams++;
}

static void walk_sessions(struct check *c)
{
	for (uint32_t i = 1; i < check_used(c, AREA_SESSIONS); i++) {
		const struct session *s;

		if (!check_is_used(c, AREA_SESSIONS, i))
			continue;
		s = session_at(c->region, i);
		c->principal_refs[s->principal]++;
		if (s->phase == SESSION_ENDED)
			continue;
		check_owe(c, i, CHARGE_CLIENTS, 1);
		check_owe(c, i, CHARGE_BYTES, s->ring_bytes);
		check_owner(c, &s->owner, i);
		walk_stream(c, i, &s->stream);
	}
	if (c->state->pinned.head != 0)
		walk_stream(c, 0, &c->state->pinned);
}

/* How often each adapter is open: the last close ends its devices. */
static void compare_opens(struct check *c, uint32_t session)
{
	const struct session *s = session_at(c->region, session);

	for (int i = 0; i < ADAPTERS_MAX && s->phase != SESSION_ENDED; i++)
		check_expect(c, "opens of an adapter by session", session,
			     s->adapter_opens[i],
			     c->sessions[session].opens[i]);
}

static void compare_sessions(struct check *c)
{
	uint64_t resources = 0, allocations = 0;
	uint32_t n = 0, ending = 0, noticed = 0;

	for (uint32_t i = 1; i < check_used(c, AREA_SESSIONS); i++) {
		const struct session_tally *t = &c->sessions[i];
		const struct session *s;

		if (!check_is_used(c, AREA_SESSIONS, i))
			continue;
		s = session_at(c->region, i);
		n++;
		ending += s->phase == SESSION_ENDING;
		noticed += s->notice == NOTICE_DUE;
		resources += t->resources;
		allocations += t->allocations;
		for (int k = 0; k < CHARGE_KINDS; k++)
			check_expect(c, "account of session, kind", (uint64_t)k,
				     s->account.used[k], t->used[k]);
		check_expect(c, "resources of session", i, s->n_resources,
			     t->resources);
		check_expect(c, "allocations of session", i, s->n_allocations,
			     t->allocations);
		check_expect(c, "retired slots of session", i, s->n_retired,
			     t->retired);
		check_expect(c, "retired slots in stream of session", i,
			     t->streamed, t->retired);
		check_expect(c, "devices of session", i, s->n_devices,
			     t->devices);
		compare_opens(c, i);
		check_expect(c, "pinned items of session", i, s->n_pinned,
			     t->pinned);
		check_expect(c, "parked items of session", i, s->n_parked,
			     t->parked);
		check_expect(c, "waits for fences of session", i,
			     s->n_fence_waits, t->fence_waits);
		check_expect(c, "watches of session", i, s->n_watches,
			     t->watches);
		check_expect(c, "users of session", i, s->n_users, t->users);
		check_expect(c, "quiescing contexts of session", i,
			     s->n_quiescing, t->quiescing);
		check_expect(c, "tokens of session", i, s->n_tokens, t->tokens);
	}
	check_expect(c, "sessions in all", 0, c->state->n_sessions, n);
	check_expect(c, "resources in all", 0, c->state->n_resources,
		     resources);
	check_expect(c, "allocations in all", 0, c->state->n_allocations,
		     allocations);
	check_expect(c, "ending sessions in all", 0, c->state->n_ending,
		     ending);
	check_expect(c, "noticed sessions in all", 0, c->state->n_noticed,
		     noticed);
}

static void compare_principals(struct check *c)
{
	for (uint32_t i = 1; i < check_used(c, AREA_PRINCIPALS); i++) {
		const struct principal *p;

		if (!check_is_used(c, AREA_PRINCIPALS, i))
			continue;
		p = principal_at(c->region, i);
		check_expect(c, "references of principal", i, p->refs,
			     c->principal_refs[i]);
		for (int k = 0; k < CHARGE_KINDS; k++)
			check_expect(c, "account of principal, kind",
				     (uint64_t)k, p->account.used[k],
				     c->principals[i].used[k]);
	}
}

/* Every block belongs to somebody or is on the free list of its class. */
static void compare_blocks(struct check *c)
{
	uint32_t all = check_used(c, AREA_BLOCKS) - 1;

	for (unsigned int class = 0; class < BLOCK_CLASSES; class ++) {
		uint32_t block = c->state->block_free[class];

		while (block != 0 && c->result == 0) {
			check_hold_block(c, block,
					 (size_t)BLOCK_UNIT_BYTES << class);
			if (c->result == 0)
				block = *(const uint32_t *)block_at(c->region,
								    block);
		}
	}
	check_expect(c, "units of blocks", 0, c->block_units, all);
}

/* A stream always has a chunk, and nobody else has any. */
static void compare_chunks(struct check *c)
{
	const struct area_head *head = region_area(c->region, AREA_CHUNKS);

	check_expect(c, "items of all streams", 0, c->state->n_items, c->items);
	check_expect(c, "streams in all", 0, c->state->n_streams, c->streams);
	check_expect(c, "chunks of streams", 0, c->chunks,
		     head->used - 1 - head->free_count);
}

static void compare_lists(struct check *c)
{
	struct broken_list broken;

	if (c->result == 0 && !check_lists(c->region, &broken))
		check_expect(c, broken.what, broken.index, broken.found,
			     broken.expected);
}

static void walk(struct check *c)
{
	static const enum area pools[] = {
		AREA_SESSIONS, AREA_PRINCIPALS, AREA_DEVICES,	 AREA_STORES,
		AREA_OBJECTS,  AREA_HOLDINGS,	AREA_TOKENS,	 AREA_WAITERS,
		AREA_CHUNKS,   AREA_CONTEXTS,	AREA_USERS,	 AREA_FENCES,
		AREA_WAITS,    AREA_CROWDS,	AREA_WARM_POOLS,
	};

	for (size_t i = 0; i < ARRAY_SIZE(pools); i++)
		check_pool(c, pools[i]);
	check_depot(c);
	walk_sessions(c);
	walk_devices(c);
	check_work(c);
	walk_tokens(c);
	check_fences(c);
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

#define CARVE(pointer, area)                                                 \
	do {                                                                 \
		(pointer) = (void *)(base + at);                             \
		at += align_up_u64(sizeof(*(pointer)) * check_used(c, area), \
				   8);                                       \
	} while (0)
	CARVE(c->sessions, AREA_SESSIONS);
	CARVE(c->principals, AREA_PRINCIPALS);
	CARVE(c->principal_refs, AREA_PRINCIPALS);
	CARVE(c->store_refs, AREA_STORES);
	CARVE(c->store_session, AREA_STORES);
	CARVE(c->waiter_refs, AREA_WAITERS);
	CARVE(c->fence_refs, AREA_FENCES);
	CARVE(c->crowd_waits, AREA_CROWDS);
	CARVE(c->object_refs, AREA_OBJECTS);
	CARVE(c->object_tokens, AREA_OBJECTS);
	CARVE(c->holding_refs, AREA_OBJECTS);
	CARVE(c->held_units, AREA_BLOCKS);
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
