/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inspection: the state as rows for a person to read.
 *
 * A list is a walk over one or two areas of the region, record by record. A
 * page is a stretch of that walk: it ends when there is no room for a row, or
 * when enough records have been looked at, so that a person who looks never
 * delays those who work. The cursor is where the walk stands, and all there
 * is: nothing is kept between two pages, so nothing can go stale.
 *
 *	clients     sessions
 *	resources   slots, tokens
 *	limits      principals, sessions
 *	events      sessions, eight steps each
 *	pools       pools, as their clients told
 *
 *	cursor      63        32 31         0
 *	           [ which area | next index ]
 *
 * Records never move. So what lives from the first page to the last is met
 * exactly once, and what is born or dies meanwhile at most once in any one
 * place.
 *
 * Segments of slots that belong to nobody, or to a session and not to a
 * device, hold no memory and are passed over whole.
 *
 * A row shows what keeps memory: a resource, an allocation that stands for
 * itself, a token whose object nobody has open. It shows a token's maker,
 * never its value, which would open the object. An object whose last token
 * has just been revoked has no row any more: it is nobody's, and its release
 * is under way.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A page looks at INSPECT_RECORDS_MAX records and one resource's children
 *      at most.
 *  G2  What lives all the time is listed exactly once, whatever else changes
 *      between the pages.
 *  G3  No cursor does harm, and every walk ends.
 *  G4  The state is the same before and after.
 */
#include "core/inspect.h"

#include "core/pinned.h"
#include "core/retire.h"
#include "core/uses.h"

enum { AREAS_PER_LIST_MAX = 2 };

struct walk {
	const struct env *env;
	const struct region *region;
	uint32_t now_s;
	uint32_t budget; /* records */
	uint8_t *row; /* room for the next one */
	uint32_t rows;
};

/* Looks at one record; the index of the next one to look at. */
typedef uint32_t visit_function(struct walk *w, uint32_t index);

static uint32_t seconds_since(const struct walk *w, uint32_t then_s)
{
	return w->now_s > then_s ? w->now_s - then_s : 0;
}

static uint32_t seconds_since_ns(const struct walk *w, uint64_t then_ns)
{
	return seconds_since(w, (uint32_t)(then_ns / NS_PER_S));
}

static void spend(struct walk *w, uint32_t records)
{
	w->budget -= (uint32_t)min_u64(w->budget, records);
}

static void add_row(struct walk *w, const void *row, size_t size_bytes)
{
	memcpy(w->row, row, size_bytes);
	w->row += size_bytes;
	w->rows++;
}

static uint8_t client_phase(const struct session *s)
{
	if (s->phase == SESSION_HELLO)
		return WIRE_CLIENT_HELLO;
	return s->phase == SESSION_ACTIVE ? WIRE_CLIENT_ACTIVE :
					    WIRE_CLIENT_ENDING;
}

/* Whether a session is one that people would call a client. */
static bool is_client(const struct session *s)
{
	return s->record.in_use && s->phase != SESSION_ENDED;
}

static uint32_t visit_client(struct walk *w, uint32_t index)
{
	const struct session *s = session_at(w->region, index);
	const struct principal *p;
	struct wire_client row;

	spend(w, 1);
	if (!is_client(s))
		return index + 1;
	p = principal_at(w->region, s->principal);
	row = (struct wire_client){
		.client = index,
		.pid = s->pid,
		.uid = p->uid,
		.principal = s->principal,
		.age_s = seconds_since_ns(w, s->connected_ns),
		.phase = client_phase(s),
		.privileged = s->privileged,
		.devices = s->n_devices,
		.resources = s->n_resources,
		.allocations = s->n_allocations,
		.tokens = s->n_tokens,
		.retired = s->n_retired,
		.bytes = s->account.used[CHARGE_BYTES] - s->ring_bytes,
		.ring_bytes = s->ring_bytes,
		.handles = s->account.used[CHARGE_HANDLES],
	};
	if (s->phase == SESSION_ENDING)
		row.ending_s = seconds_since_ns(w, s->began_ns);
	memcpy(row.cgroup, p->cgroup, sizeof(row.cgroup));
	add_row(w, &row, sizeof(row));
	return index + 1;
}

/* What every row of RESOURCES says about its client. */
static struct wire_resource row_of(const struct walk *w, uint32_t session)
{
	const struct session *s = session_at(w->region, session);

	return (struct wire_resource){
		.client = session,
		.pid = s->pid,
		.uid = principal_at(w->region, s->principal)->uid,
		.principal = s->principal,
		.state = s->phase == SESSION_ENDING ? WIRE_STATE_ENDING :
						      WIRE_STATE_LIVE,
	};
}

/*
 * The object that an opening keeps, or 0. One that has let go of it, and was
 * the last, keeps the memory until the release is done.
 */
static uint32_t object_behind(const struct walk *w, const struct session *s,
			      uint32_t index)
{
	const struct slot *slot = slot_at(w->region, index);
	uint32_t front;

	if (!slot->resource.released)
		return slot->resource.object;
	if (s->job.kind == JOB_OBJECT &&
	    stream_peek(w->region, &s->stream, &front, 1) == 1 &&
	    front == index)
		return s->job.object;
	return 0;
}

static uint64_t bytes_of_children(struct walk *w, const struct slot *slot)
{
	const uint32_t *run;
	uint64_t bytes = 0;

	if (slot->resource.count == 0 || slot->resource.released)
		return 0;
	run = block_at(w->region, slot->resource.run);
	spend(w, slot->resource.count);
	for (uint32_t i = 0; i < slot->resource.count; i++)
		bytes += slot_at(w->region, run[i])->allocation.size_bytes;
	return bytes;
}

static void fill_resource(struct walk *w, uint32_t index,
			  struct wire_resource *row)
{
	const struct slot *slot = slot_at(w->region, index);
	const struct slot_resource *r = &slot->resource;

	row->what = WIRE_WHAT_RESOURCE;
	row->age_s = seconds_since(w, r->born_s);
	row->allocations = r->count;
	row->rights = r->rights;
	if (r->object == 0) {
		row->sharing = WIRE_SHARING_PRIVATE;
		row->bytes = bytes_of_children(w, slot);
		row->holders = 1;
	} else {
		uint32_t object = object_behind(
			w, session_at(w->region, row->client), index);

		row->sharing = r->opened ? WIRE_SHARING_OPENED :
					   WIRE_SHARING_SHARED;
		if (object == 0)
			return;
		row->memory = object;
		row->bytes = object_at(w->region, object)->size_bytes;
		row->holders = object_at(w->region, object)->refs;
	}
}

static void fill_allocation(struct walk *w, const struct slot *slot,
			    struct wire_resource *row)
{
	row->what = WIRE_WHAT_ALLOCATION;
	row->sharing = WIRE_SHARING_PRIVATE;
	row->rights = TENURE_RIGHT_READ | TENURE_RIGHT_WRITE;
	row->age_s = seconds_since(w, slot->allocation.born_s);
	row->allocations = 1;
	row->holders = 1;
	row->bytes = slot->allocation.store == 0 ? 0 :
						   slot->allocation.size_bytes;
}

static bool is_released(const struct slot *slot)
{
	return slot_kind(slot) == KIND_RESOURCE ? slot->resource.released :
						  slot->allocation.store == 0;
}

/* Whether an allocation's memory is part of its resource's row. */
static bool is_child(const struct walk *w, uint32_t index)
{
	const struct slot *slot = slot_at(w->region, index);
	const struct slot *parent;
	const uint32_t *run;

	if (slot->allocation.parent == 0)
		return false;
	parent = slot_at(w->region, slot->allocation.parent);
	if (slot_kind(parent) != KIND_RESOURCE ||
	    slot->allocation.position >= parent->resource.count)
		return false;
	run = block_at(w->region, parent->resource.run);
	return run[slot->allocation.position] == index;
}

/* Which work a retired one waits for: the first, as far as it is known. */
static void fill_wait(struct walk *w, uint32_t session, uint32_t index,
		      struct wire_resource *row)
{
	struct pending p = uses_pending(w->region, session, index, 0);
	const struct context *c;

	if (p.context == 0)
		return;
	c = context_at(w->region, p.context);
	row->context = handle_to_wire(slot_handle(slot_at(w->region, c->slot),
						  c->slot),
				      session_at(w->region, session)->secret);
	row->value = p.value;
	row->done = c->done;
	spend(w, row->allocations);
}

/* Of one that is retired: whether it is being kept by a pin. */
static uint8_t retired_state(struct walk *w, uint32_t session, uint32_t index)
{
	const struct slot *slot = slot_at(w->region, index);

	if (session_at(w->region, session)->n_pinned == 0)
		return WIRE_STATE_RETIRED;
	if (slot_kind(slot) == KIND_RESOURCE)
		spend(w, slot->resource.count);
	return pinned_is(w->region, index) ? WIRE_STATE_PINNED :
					     WIRE_STATE_RETIRED;
}

static void list_slot(struct walk *w, uint32_t device, uint32_t index)
{
	const struct slot *slot = slot_at(w->region, index);
	const struct device *d = device_at(w->region, device);
	enum slot_state state = slot_state(slot);
	enum kind kind = slot_kind(slot);
	struct wire_resource row;

	if (state != SLOT_LIVE && state != SLOT_RETIRED)
		return;
	if (kind != KIND_RESOURCE && kind != KIND_ALLOCATION &&
	    kind != KIND_CONTEXT_ALLOCATION)
		return;
	if (kind == KIND_ALLOCATION && is_child(w, index))
		return;
	row = row_of(w, d->session);
	row.device = device;
	row.handle = handle_to_wire(slot_handle(slot, index),
				    session_at(w->region, d->session)->secret);
	if (d->state == DEVICE_REMOVED)
		row.state = WIRE_STATE_ENDING;
	if (state == SLOT_RETIRED)
		row.state = retired_state(w, d->session, index);
	if (kind == KIND_RESOURCE)
		fill_resource(w, index, &row);
	else
		fill_allocation(w, slot, &row);
	if (state == SLOT_RETIRED && !is_released(slot))
		fill_wait(w, d->session, index, &row);
	add_row(w, &row, sizeof(row));
}

static uint32_t visit_slot(struct walk *w, uint32_t index)
{
	struct handle any = { index };
	uint32_t owner = table_owner(w->region, any);

	spend(w, 1);
	if (!owner_is_device(owner))
		return (index | (SEGMENT_SLOTS - 1)) + 1;
	list_slot(w, owner_device(owner), index);
	return index + 1;
}

static uint32_t visit_token(struct walk *w, uint32_t index)
{
	const struct token *t = token_at(w->region, index);
	const struct object *o;
	struct wire_resource row;

	spend(w, 1);
	if (!t->record.in_use || t->object == 0)
		return index + 1;
	o = object_at(w->region, t->object);
	if (o->refs != o->tokens)
		return index + 1;
	row = row_of(w, t->session);
	row.what = WIRE_WHAT_TOKEN;
	row.sharing = WIRE_SHARING_SHARED;
	row.rights = (uint8_t)t->rights;
	row.age_s = seconds_since(w, o->born_s);
	row.allocations = o->count;
	row.memory = t->object;
	row.holders = o->refs;
	row.bytes = o->size_bytes;
	add_row(w, &row, sizeof(row));
	return index + 1;
}

/* In the order of enum wire_quota, which no later version may change. */
static const enum charge_kind quota_charge[WIRE_QUOTAS] = {
	[WIRE_QUOTA_BYTES] = CHARGE_BYTES,
	[WIRE_QUOTA_HANDLES] = CHARGE_HANDLES,
	[WIRE_QUOTA_STORES] = CHARGE_STORES,
	[WIRE_QUOTA_TOKENS] = CHARGE_TOKENS,
	[WIRE_QUOTA_WAITS] = CHARGE_WAITS,
	[WIRE_QUOTA_CLIENTS] = CHARGE_CLIENTS,
	[WIRE_QUOTA_SEGMENTS] = CHARGE_SEGMENTS,
};

static void add_limits(struct walk *w, uint32_t principal,
		       struct wire_limits *row, const struct account *account,
		       const uint64_t limit[CHARGE_KINDS])
{
	const struct principal *p = principal_at(w->region, principal);

	row->uid = p->uid;
	row->principal = principal;
	memcpy(row->cgroup, p->cgroup, sizeof(row->cgroup));
	for (int i = 0; i < WIRE_QUOTAS; i++) {
		row->used[i] = account->used[quota_charge[i]];
		row->limit[i] = limit[quota_charge[i]];
	}
	add_row(w, row, sizeof(*row));
}

static uint32_t visit_principal(struct walk *w, uint32_t index)
{
	const struct principal *p = principal_at(w->region, index);
	struct wire_limits row = { 0 };

	spend(w, 1);
	if (p->record.in_use)
		add_limits(w, index, &row, &p->account,
			   w->env->config.limits.principal);
	return index + 1;
}

static uint32_t visit_client_limits(struct walk *w, uint32_t index)
{
	const struct session *s = session_at(w->region, index);
	struct wire_limits row = { .client = index };

	spend(w, 1);
	if (!is_client(s))
		return index + 1;
	row.pid = s->pid;
	add_limits(w, s->principal, &row, &s->account,
		   w->env->config.limits.client);
	return index + 1;
}

static uint32_t visit_pool(struct walk *w, uint32_t index)
{
	const struct warm_pool *pool = warm_pool_at(w->region, index);
	const struct session *s;
	struct wire_pool row;

	spend(w, 1);
	if (!pool->record.in_use)
		return index + 1;
	s = session_at(w->region, pool->session);
	row = (struct wire_pool){
		.client = pool->session,
		.pid = s->pid,
		.uid = principal_at(w->region, s->principal)->uid,
		.principal = s->principal,
		.age_s = seconds_since(w, pool->born_s),
		.told_s = seconds_since(w, pool->told_s),
		.count = pool->count,
		.pool = pool->number,
		.size_bytes = pool->size_bytes,
		.idle_timeout_ns = pool->idle_timeout_ns,
		.told = pool->told,
	};
	add_row(w, &row, sizeof(row));
	return index + 1;
}

/* Number of a session and of one of its refusals, the newest first. */
static uint32_t visit_event(struct walk *w, uint32_t index)
{
	uint32_t session = index / REFUSALS_KEPT, k = index % REFUSALS_KEPT;
	const struct session *s = session_at(w->region, session);
	const struct refusal *r;
	struct wire_event row;

	spend(w, 1);
	if (!is_client(s) || k >= s->n_refusals)
		return (session + 1) * REFUSALS_KEPT;
	r = &s->refusals[(s->n_refusals - 1 - k) % REFUSALS_KEPT];
	row = (struct wire_event){
		.client = session,
		.pid = s->pid,
		.uid = principal_at(w->region, s->principal)->uid,
		.principal = s->principal,
		.age_s = seconds_since(w, r->at_s),
		.opcode = r->opcode,
		.status = r->status,
		.reason = r->reason,
		.index = r->index,
	};
	add_row(w, &row, sizeof(row));
	return index + 1;
}

static const struct list {
	size_t row_bytes;
	struct {
		enum area area;
		visit_function *visit; /* NULL after the last one */
		uint32_t each; /* steps for one record */
	} parts[AREAS_PER_LIST_MAX];
} lists[] = {
	[INSPECT_CLIENTS] = { sizeof(struct wire_client),
			      { { AREA_SESSIONS, visit_client, 1 } } },
	[INSPECT_RESOURCES] = { sizeof(struct wire_resource),
				{ { AREA_SLOTS, visit_slot, 1 },
				  { AREA_TOKENS, visit_token, 1 } } },
	[INSPECT_LIMITS] = { sizeof(struct wire_limits),
			     { { AREA_PRINCIPALS, visit_principal, 1 },
			       { AREA_SESSIONS, visit_client_limits, 1 } } },
	[INSPECT_POOLS] = { sizeof(struct wire_pool),
			    { { AREA_WARM_POOLS, visit_pool, 1 } } },
	[INSPECT_EVENTS] = { sizeof(struct wire_event),
			     { { AREA_SESSIONS, visit_event, REFUSALS_KEPT } } },
};

/* Slots are handed out by the segment: their area does not count them. */
static uint32_t end_of(const struct walk *w, enum area area)
{
	if (area == AREA_SLOTS)
		return region_area(w->region, AREA_SEGMENTS)->used
		       << SEGMENT_SLOTS_LOG2;
	return region_area(w->region, area)->used;
}

/* Where the first record is; index 0 is nobody. */
static uint32_t start_of(enum area area)
{
	return area == AREA_SLOTS ? SEGMENT_SLOTS : 1;
}

/* Walks on from a cursor; the cursor where it stopped, 0 at the end. */
static uint64_t walk_on(struct walk *w, const struct list *list,
			uint64_t cursor, uint32_t rows_max)
{
	uint32_t index = (uint32_t)cursor;

	for (uint64_t part = cursor >> 32;
	     part < AREAS_PER_LIST_MAX && list->parts[part].visit != NULL;
	     part++, index = 0) {
		enum area area = list->parts[part].area;
		uint32_t each = list->parts[part].each;
		uint32_t end = end_of(w, area) * each;

		index = (uint32_t)max_u64(index, start_of(area) * each);
		while (index < end) {
			if (w->rows == rows_max || w->budget == 0)
				return part << 32 | index;
			index = list->parts[part].visit(w, index);
		}
	}
	return 0;
}

void inspect(const struct env *env, const struct inspect_page *page,
	     struct inspected *ret)
{
	const struct list *list = &lists[page->list];
	struct walk w = {
		.env = env,
		.region = &env->region,
		.now_s = (uint32_t)(page->now_ns / NS_PER_S),
		.budget = INSPECT_RECORDS_MAX,
		.row = page->rows,
	};

	assert(page->room_bytes >= list->row_bytes);
	ret->cursor =
		walk_on(&w, list, page->cursor,
			(uint32_t)min_u64(page->room_bytes / list->row_bytes,
					  UINT32_MAX));
	ret->count = w.rows;
	ret->bytes = w.rows * (uint32_t)list->row_bytes;
}
