/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table A a second time
 *
 * Written from the table alone (docs/DESTROY.md), before its author had read
 * core/rules.c, so that the two can only agree where both read the table
 * right. The one idea: every row is a predicate with the stage at which it is
 * looked at, and nothing else decides.
 *
 *	flags -> shape -> device handle -> device state -> resource
 *	                                                -> entry 0, 1, 2, ...
 *
 * The first stage at which any row refuses is the answer. Within one stage
 * the table gives no order: an entry can be of a shared resource and of
 * another resource than the first at the same time. All rows that hold are
 * then right, and the verdict names them all.
 *
 * What the table leaves open is left open here too: what belongs to a removed
 * device may be dead already or not, so that seen through another device it
 * is either "of another device" or "no handle".
 *
 * It never looks at bits of a handle. A handle is what was handed out, to
 * that client, and has not died.
 */
#include "fuzz/second_rules.h"

#define FLAGS_KNOWN                                   \
	((uint32_t)TENURE_DESTROY_ASSUME_NOT_IN_USE | \
	 (uint32_t)TENURE_DESTROY_SYNCHRONOUS |       \
	 (uint32_t)TENURE_DESTROY_SYSTEM_USE_ONLY)

/* What the rows of one stage look at. */
struct view {
	const struct second_world *world;
	const struct second_request *request;
	uint64_t wire; /* the handle in question */
	int item; /* its item, or -1 */
	int device; /* item of the request's device, or -1 */
	uint32_t entry; /* position in the list */
};

struct row {
	const char *id;
	bool (*holds)(const struct view *v);
	int status;
	enum tenure_reason reason;
};

int second_find(const struct second_world *world, uint32_t client,
		uint64_t wire)
{
	for (int i = world->n; i-- > 0;)
		if (world->items[i].client == client &&
		    world->items[i].wire == wire)
			return i;
	return -1;
}

static const struct second_handle *item_of(const struct view *v)
{
	return v->item < 0 ? NULL : &v->world->items[v->item];
}

/* ---- Flags ---- */

static bool reserved_bit(const struct view *v)
{
	return (v->request->flags & ~FLAGS_KNOWN) != 0;
}

static bool system_only(const struct view *v)
{
	return (v->request->flags & TENURE_DESTROY_SYSTEM_USE_ONLY) != 0;
}

static const struct row flag_rows[] = {
	{ "A74", reserved_bit, -EINVAL, TENURE_REASON_FLAGS_RESERVED },
	{ "A75", system_only, -EINVAL, TENURE_REASON_FLAGS_SYSTEM_ONLY },
	{ 0 },
};

/* ---- Shape ---- */

static bool count_without_list(const struct view *v)
{
	const struct second_request *r = v->request;

	return r->resource == 0 && !r->has_list && r->count > 0;
}

static bool too_long(const struct view *v)
{
	const struct second_request *r = v->request;

	return r->resource == 0 && r->has_list && r->count > 1024;
}

/* A list that is too long is not read, so its end is not missed. */
static bool truncated(const struct view *v)
{
	const struct second_request *r = v->request;

	return r->resource == 0 && r->has_list && r->count > 0 &&
	       r->count <= 1024 && r->list_entries < r->count;
}

static bool resource_and_list(const struct view *v)
{
	const struct second_request *r = v->request;

	return r->resource != 0 && r->has_list && r->count > 0;
}

static const struct row shape_rows[] = {
	{ "A12", count_without_list, -EINVAL, TENURE_REASON_LIST_MISSING },
	{ "A13", truncated, -EINVAL, TENURE_REASON_LIST_TRUNCATED },
	{ "A14", too_long, -EINVAL, TENURE_REASON_LIST_TOO_LONG },
	{ "A19", resource_and_list, -EINVAL, TENURE_REASON_RESOURCE_AND_LIST },
	{ 0 },
};

/* ---- Any handle ---- */

static bool is_zero(const struct view *v)
{
	return v->wire == 0;
}

/* Never issued, stale, or another client's: one and the same to a client. */
static bool is_nothing(const struct view *v)
{
	return v->wire != 0 && (!item_of(v) || item_of(v)->life == SECOND_DEAD);
}

/* The cascade may have been there already. */
static bool may_be_nothing(const struct view *v)
{
	return item_of(v) && item_of(v)->life == SECOND_REMOVED;
}

static bool is_live(const struct view *v)
{
	return item_of(v) && item_of(v)->life != SECOND_DEAD;
}

static bool is_no_device(const struct view *v)
{
	return is_live(v) && item_of(v)->kind != SECOND_DEVICE;
}

static bool is_no_resource(const struct view *v)
{
	return is_live(v) && item_of(v)->kind != SECOND_RESOURCE;
}

static bool is_no_allocation(const struct view *v)
{
	return is_live(v) && item_of(v)->kind != SECOND_ALLOCATION;
}

static bool is_elsewhere(const struct view *v)
{
	return is_live(v) && item_of(v)->device >= 0 &&
	       item_of(v)->device != v->device;
}

/* ---- Device ---- */

/* What was of a device that is removed may still be told as wrong type. */
static const struct row device_rows[] = {
	{ "A03", is_zero, -EINVAL, TENURE_REASON_DEVICE_INVALID },
	{ "A04, A06", is_nothing, -EINVAL, TENURE_REASON_DEVICE_INVALID },
	{ "A05", is_no_device, -EINVAL, TENURE_REASON_WRONG_TYPE },
	{ 0 },
};

static const struct row device_limbo_rows[] = {
	{ "A04", may_be_nothing, -EINVAL, TENURE_REASON_DEVICE_INVALID },
	{ 0 },
};

/* A08 is the absence of a row: a device in error destroys as any other. */
static bool is_removed(const struct view *v)
{
	return item_of(v)->life == SECOND_REMOVED;
}

static const struct row state_rows[] = {
	{ "A07", is_removed, -ENODEV, TENURE_REASON_DEVICE_REMOVED },
	{ 0 },
};

/* ---- Resource ---- */

/* A token's value (A35) is no handle, so it is nothing. */
static const struct row resource_rows[] = {
	{ "A30, A31, A33, A35", is_nothing, -EINVAL,
	  TENURE_REASON_RESOURCE_INVALID },
	{ "A32", is_elsewhere, -EINVAL, TENURE_REASON_OTHER_DEVICE },
	{ "A34", is_no_resource, -EINVAL, TENURE_REASON_WRONG_TYPE },
	{ "A32 in teardown", may_be_nothing, -EINVAL,
	  TENURE_REASON_RESOURCE_INVALID },
	{ 0 },
};

/* ---- Entries ---- */

static bool is_good_allocation(const struct view *v)
{
	return is_live(v) && !is_no_allocation(v);
}

static bool is_of_sealed(const struct view *v)
{
	return is_good_allocation(v) && item_of(v)->resource >= 0 &&
	       v->world->items[item_of(v)->resource].sealed;
}

/* The first entry has been judged before, so it is an allocation. */
static int owner_of_first(const struct view *v)
{
	int first =
		second_find(v->world, v->request->client, v->request->list[0]);

	return v->world->items[first].resource;
}

static bool mixes_owners(const struct view *v)
{
	return v->entry > 0 && is_good_allocation(v) &&
	       (owner_of_first(v) < 0) != (item_of(v)->resource < 0);
}

static bool is_of_another(const struct view *v)
{
	return v->entry > 0 && is_good_allocation(v) &&
	       owner_of_first(v) >= 0 && item_of(v)->resource >= 0 &&
	       owner_of_first(v) != item_of(v)->resource;
}

static bool is_again(const struct view *v)
{
	for (uint32_t i = 0; i < v->entry; i++)
		if (v->request->list[i] == v->wire)
			return true;
	return false;
}

static const struct row entry_rows[] = {
	{ "A52", is_of_another, -EINVAL, TENURE_REASON_ENTRY_OTHER_RESOURCE },
	{ "A53", mixes_owners, -EINVAL, TENURE_REASON_ENTRY_MIXED_OWNERS },
	{ "A54", is_of_sealed, -EINVAL, TENURE_REASON_ENTRY_OF_SHARED },
	{ "A55", is_elsewhere, -EINVAL, TENURE_REASON_OTHER_DEVICE },
	{ "A56", is_zero, -EINVAL, TENURE_REASON_ENTRY_ZERO },
	{ "A57, A64", is_nothing, -EINVAL, TENURE_REASON_ENTRY_INVALID },
	{ "A58", is_no_allocation, -EINVAL, TENURE_REASON_WRONG_TYPE },
	{ "A60", is_again, -EINVAL, TENURE_REASON_ENTRY_TWICE },
	{ "A55 in teardown", may_be_nothing, -EINVAL,
	  TENURE_REASON_ENTRY_INVALID },
	{ 0 },
};

/* ---- The order of checks ---- */

/* Adds every row that holds; true when one did. */
static bool refuse_by(const struct row *rows, const struct view *v,
		      uint32_t index, struct second_verdict *ret)
{
	for (; rows->id; rows++) {
		if (!rows->holds(v))
			continue;
		assert(ret->n_rows < SECOND_ROWS_MAX);
		ret->rows[ret->n_rows] = rows->id;
		ret->reasons[ret->n_rows++] = rows->reason;
		ret->status = rows->status;
		ret->index = index;
	}
	return ret->n_rows > 0;
}

static struct view look_at(const struct view *base, uint64_t wire)
{
	struct view v = *base;

	v.wire = wire;
	v.item = second_find(base->world, base->request->client, wire);
	return v;
}

static bool refuse_device(struct view *v, struct second_verdict *ret)
{
	*v = look_at(v, v->request->device);
	if (refuse_by(device_rows, v, WIRE_NO_INDEX, ret)) {
		refuse_by(device_limbo_rows, v, WIRE_NO_INDEX, ret);
		return true;
	}
	v->device = v->item;
	return refuse_by(state_rows, v, WIRE_NO_INDEX, ret);
}

void second_judge(const struct second_world *world,
		  const struct second_request *request,
		  struct second_verdict *ret)
{
	struct view v = { .world = world, .request = request, .device = -1 };

	*ret = (struct second_verdict){ .index = WIRE_NO_INDEX };
	if (refuse_by(flag_rows, &v, WIRE_NO_INDEX, ret) ||
	    refuse_by(shape_rows, &v, WIRE_NO_INDEX, ret) ||
	    refuse_device(&v, ret))
		return;
	if (request->resource != 0) {
		v = look_at(&v, request->resource);
		refuse_by(resource_rows, &v, WIRE_NO_INDEX, ret);
		return;
	}
	for (uint32_t i = 0; i < request->count; i++) {
		v = look_at(&v, request->list[i]);
		v.entry = i;
		if (refuse_by(entry_rows, &v, i, ret))
			return;
	}
}

/* ---- What a granted request does ---- */

void second_commit(struct second_world *world,
		   const struct second_request *request)
{
	int resource;

	if (request->resource == 0) {
		for (uint32_t i = 0; i < request->count; i++)
			world->items[second_find(world, request->client,
						 request->list[i])]
				.life = SECOND_DEAD;
		return;
	}
	resource = second_find(world, request->client, request->resource);
	for (int i = 0; i < world->n; i++)
		if (i == resource || world->items[i].resource == resource)
			world->items[i].life = SECOND_DEAD;
}

void second_device_ends(struct second_world *world, int device,
			enum second_life life)
{
	for (int i = 0; i < world->n; i++)
		if ((i == device || world->items[i].device == device) &&
		    world->items[i].life != SECOND_DEAD)
			world->items[i].life = life;
}
