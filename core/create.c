/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Create and open: how handles are born.
 *
 *	check --> afford --> reserve --> make (L3) --> fill --> publish
 *	                                  may fail  |  nothing can fail
 *
 * Everything that can fail happens before the first handle is published, and
 * publishing is the last step (A81): a handle that was guessed earlier names
 * a FREE slot. Whatever was reserved and not used stays reserved for the next
 * one; blocks that were carved are given back.
 *
 * One case comes after the memory has been made: the backend may refuse the
 * first opening. Then the new slots are published and retired in one breath,
 * before anyone can know their handles, so that the memory goes the way of
 * all memory. The caller gets the refusal and no handle.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A refused create or open leaves nothing, and no handle works.
 *  G2  Handles are published last (A81).
 *  G3  What is charged is what the objects will give back.
 */
#include "core/create.h"

#include "core/create_birth.h"
#include "core/destroy.h"
#include "core/object.h"
#include "core/retire.h"
#include "core/rules.h"
#include "core/session.h"

#define CREATE_FLAGS_KNOWN (TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED)
#define RIGHTS_ALL ((uint32_t)(TENURE_RIGHT_READ | TENURE_RIGHT_WRITE))

static struct outcome check_flags(const struct create_args *args)
{
	if (args->flags & ~(uint32_t)CREATE_FLAGS_KNOWN)
		return refuse(-EINVAL, TENURE_REASON_FLAGS_RESERVED);
	if ((args->flags & TENURE_CREATE_SHARED) &&
	    !(args->flags & TENURE_CREATE_RESOURCE))
		return refuse(-EINVAL, TENURE_REASON_SHARED_NEEDS_RESOURCE);
	if ((args->flags & TENURE_CREATE_RESOURCE) && args->resource != 0)
		return refuse(-EINVAL, TENURE_REASON_CREATE_FLAGS_CONFLICT);
	if (args->private_bytes > 0 && !(args->flags & TENURE_CREATE_RESOURCE))
		return refuse(-EINVAL, TENURE_REASON_PRIVATE_DATA_NEEDS_NEW);
	return outcome_ok();
}

struct outcome birth_check_counts(const struct create_args *args)
{
	if (args->count == 0)
		return refuse(-EINVAL, TENURE_REASON_COUNT_ZERO);
	if (args->count > LIST_ENTRIES_MAX)
		return refuse(-EINVAL, TENURE_REASON_COUNT_TOO_LARGE);
	if (args->private_bytes > PRIVATE_DATA_MAX)
		return refuse(-EINVAL, TENURE_REASON_PRIVATE_DATA_TOO_LARGE);
	if (args->args_bytes !=
	    args->count * sizeof(args->allocations[0]) + args->private_bytes)
		return refuse_and_kill(TENURE_REASON_MALFORMED);
	return outcome_ok();
}

struct outcome birth_check_sizes(struct birth *b)
{
	for (uint32_t i = 0; i < b->args->count; i++) {
		const struct wire_allocation *a = &b->args->allocations[i];

		if (a->reserved != 0)
			return refuse_and_kill(TENURE_REASON_MALFORMED);
		if (a->size_bytes == 0)
			return refuse_entry(-EINVAL, TENURE_REASON_SIZE_ZERO,
					    i);
		if (a->size_bytes > ALLOCATION_BYTES_MAX)
			return refuse_entry(-EINVAL,
					    TENURE_REASON_SIZE_TOO_LARGE, i);
		b->made[i] = (struct backend_allocation){
			.size_bytes = align_up_u64(a->size_bytes, PAGE_BYTES),
		};
		b->bytes += b->made[i].size_bytes;
	}
	return outcome_ok();
}

static struct outcome check_resource(struct env *env, struct birth *b)
{
	enum tenure_reason reason;
	struct slot *slot;

	if (b->args->resource == 0)
		return outcome_ok();
	slot = rules_find(&env->region, b->session, b->device, KIND_RESOURCE,
			  b->args->resource, TENURE_REASON_RESOURCE_INVALID,
			  &reason);
	if (slot == NULL)
		return refuse(-EBADF, reason);
	if (slot->resource.object != 0)
		return refuse(-EINVAL, TENURE_REASON_RESOURCE_SEALED);
	if (slot->resource.count + b->args->count > RESOURCE_CHILDREN_MAX)
		return refuse(-EINVAL, TENURE_REASON_RESOURCE_FULL);
	b->resource = slot_index(&env->region, slot);
	return outcome_ok();
}

static struct outcome check(struct env *env, struct birth *b)
{
	struct outcome outcome = check_flags(b->args);

	if (outcome.status == 0)
		outcome = birth_check_counts(b->args);
	if (outcome.status == 0)
		b->device = rules_device(&env->region, b->session,
					 b->args->device, &outcome);
	if (outcome.status == 0)
		outcome = check_resource(env, b);
	if (outcome.status == 0)
		outcome = birth_check_sizes(b);
	return outcome;
}

static struct outcome afford(struct env *env, const struct birth *b)
{
	struct bill bill = object_bill(b->bytes);

	bill.amount[CHARGE_HANDLES] = b->args->count + (b->is_new ? 1 : 0);
	return session_afford(env, b->session, &bill, &bill);
}

/* A run holds a whole block class, so that adding seldom moves it. */
static uint32_t run_capacity(uint32_t count)
{
	uint32_t capacity = BLOCK_UNIT_BYTES / sizeof(uint32_t);

	while (capacity < count)
		capacity *= 2;
	return capacity;
}

static void free_blocks(struct env *env, struct birth *b)
{
	block_free(&env->region, b->run,
		   b->run == 0 ? 0 : b->run_capacity * sizeof(uint32_t));
	block_free(&env->region, b->layout,
		   b->layout == 0 ?
			   0 :
			   b->args->count * sizeof(struct layout_entry));
	block_free(&env->region, b->private_block,
		   b->private_block == 0 ? 0 : b->args->private_bytes);
	b->run = b->layout = b->private_block = 0;
}

static int carve_blocks(struct env *env, struct birth *b)
{
	struct region *region = &env->region;
	uint32_t count = b->args->count;

	if (b->resource != 0) {
		const struct slot *r = slot_at(region, b->resource);

		count += r->resource.count;
		if (count <= r->resource.capacity)
			count = 0;
	} else if (b->context != 0) {
		const struct context *c = context_at(region, b->context);

		count += c->count;
		if (count <= c->capacity)
			count = 0;
	} else if (!b->is_new) {
		count = 0;
	}
	b->run_capacity = count == 0 ? 0 : run_capacity(count);
	if (block_new(region, b->run_capacity * sizeof(uint32_t), &b->run) ||
	    block_new(region,
		      b->shared ? b->args->count * sizeof(struct layout_entry) :
				  0,
		      &b->layout) ||
	    block_new(region, b->args->private_bytes, &b->private_block)) {
		free_blocks(env, b);
		return -ENOMEM;
	}
	return 0;
}

static struct outcome reserve(struct env *env, struct birth *b)
{
	struct region *region = &env->region;
	struct outcome outcome = session_reserve_slots(
		env, b->session, &device_at(region, b->device)->owner,
		b->args->count + (b->is_new ? 1 : 0));

	if (outcome.status != 0)
		return outcome;
	if (store_reserve(env) != 0 ||
	    stream_reserve(region, b->args->count) != 0 ||
	    (b->shared && object_reserve(env) != 0) ||
	    carve_blocks(env, b) != 0)
		return refuse_memory();
	return outcome;
}

static int make(struct env *env, struct birth *b)
{
	const struct backend *backend = env_backend(env, b->adapter);

	b->create = (struct backend_create){
		.count = b->args->count,
		.new_resource = b->is_new,
		.allocations = b->made,
	};
	if (b->resource != 0)
		b->create.resource =
			slot_at(&env->region, b->resource)->resource.backing;
	return backend->ops->create_allocation(backend->state, &b->create);
}

static uint32_t fill_object(struct env *env, struct birth *b)
{
	struct region *region = &env->region;
	uint32_t index = object_new(env);
	struct object *o = object_at(region, index);
	struct layout_entry *layout = block_at(region, b->layout);

	for (uint32_t i = 0; i < b->args->count; i++)
		layout[i] = (struct layout_entry){
			.size_bytes = b->made[i].size_bytes,
			.offset = b->made[i].offset,
			.backing = b->made[i].allocation,
		};
	o->store = b->store;
	o->layout = b->layout;
	o->private_block = b->private_block;
	o->count = (uint16_t)b->args->count;
	o->private_bytes = (uint16_t)b->args->private_bytes;
	o->size_bytes = b->bytes;
	o->backing = b->create.resource;
	o->adapter = (uint8_t)b->adapter;
	o->born_s = b->args->now_s;
	return index;
}

static void fill_resource(struct env *env, struct birth *b)
{
	struct region *region = &env->region;
	struct slot_resource *r;

	b->resource = table_take(region, &device_at(region, b->device)->owner);
	r = &slot_at(region, b->resource)->resource;
	r->device = b->device;
	r->rights = TENURE_RIGHT_READ | TENURE_RIGHT_WRITE;
	r->run = b->run;
	r->capacity = (uint16_t)b->run_capacity;
	r->born_s = b->args->now_s;
	if (b->args->private_bytes > 0)
		memcpy(block_at(region, b->private_block),
		       b->args->private_data, b->args->private_bytes);
	if (b->shared) {
		r->object = fill_object(env, b);
		return;
	}
	r->private_block = b->private_block;
	r->private_bytes = (uint16_t)b->args->private_bytes;
	r->backing = b->create.resource;
}

/* An existing private resource moves to a longer run and a new value. */
static void grow_resource(struct env *env, struct birth *b)
{
	struct region *region = &env->region;
	struct slot_resource *r = &slot_at(region, b->resource)->resource;

	r->backing = b->create.resource;
	if (b->run == 0)
		return;
	if (r->count > 0)
		memcpy(block_at(region, b->run), block_at(region, r->run),
		       r->count * sizeof(uint32_t));
	block_free(region, r->run, r->capacity * sizeof(uint32_t));
	r->run = b->run;
	stored();
	r->capacity = (uint16_t)b->run_capacity;
}

/* Takes, fills and enters one allocation slot in its resource's run. */
static uint32_t fill_allocation(struct env *env, uint32_t device,
				uint32_t resource, uint32_t store,
				uint32_t now_s,
				const struct layout_entry *entry)
{
	struct region *region = &env->region;
	uint32_t index = table_take(region, &device_at(region, device)->owner);
	struct slot_allocation *a = &slot_at(region, index)->allocation;

	a->size_bytes = entry->size_bytes;
	a->offset = entry->offset;
	a->backing = entry->backing;
	a->store = store;
	a->born_s = now_s;
	if (resource != 0) {
		struct slot_resource *r = &slot_at(region, resource)->resource;
		uint32_t *run = block_at(region, r->run);

		a->parent = resource;
		a->position = r->count;
		run[r->count++] = index;
	}
	return index;
}

static void count_created(struct env *env, uint32_t session,
			  uint32_t n_resources, uint32_t n_allocations)
{
	struct state *state = region_state(&env->region);
	struct session *s = session_at(&env->region, session);

	s->n_resources += n_resources;
	s->n_allocations += n_allocations;
	state->n_resources += n_resources;
	state->n_allocations += n_allocations;
	state->created_total += n_resources + n_allocations;
}

/* Charges what afford() has asked for. */
static void charge(struct env *env, const struct birth *b)
{
	struct session *s = session_at(&env->region, b->session);

	session_charge(env, b->session, CHARGE_HANDLES,
		       b->args->count + (b->is_new ? 1 : 0));
	if (b->shared) {
		account_charge(&s->account, CHARGE_BYTES, b->bytes);
		account_charge(&s->account, CHARGE_STORES, 1);
		object_hold(env,
			    slot_at(&env->region, b->resource)->resource.object,
			    s->principal);
	} else {
		session_charge(env, b->session, CHARGE_BYTES, b->bytes);
		session_charge(env, b->session, CHARGE_STORES, 1);
	}
}

static uint64_t publish(struct env *env, uint32_t session, uint32_t slot,
			enum kind kind)
{
	return handle_to_wire(table_publish(&env->region, slot, kind),
			      session_at(&env->region, session)->secret);
}

/* From here on nothing can fail. Slots of allocations go to slots[]. */
static void commit(struct env *env, struct birth *b, struct created *ret,
		   uint32_t *slots)
{
	b->store = store_new(env, b->adapter, b->create.store,
			     b->create.store_bytes, b->args->count);
	if (b->is_new)
		fill_resource(env, b);
	else if (b->resource != 0)
		grow_resource(env, b);
	for (uint32_t i = 0; i < b->args->count; i++) {
		struct layout_entry entry = {
			.size_bytes = b->made[i].size_bytes,
			.offset = b->made[i].offset,
			.backing = b->made[i].allocation,
		};

		slots[i] = fill_allocation(env, b->device, b->resource,
					   b->store, b->args->now_s, &entry);
	}
	if (b->kind == KIND_CONTEXT_ALLOCATION)
		birth_join_context(env, b, slots);
	charge(env, b);
	for (uint32_t i = 0; i < b->args->count; i++)
		ret->handles[i] = publish(env, b->session, slots[i], b->kind);
	stored();
	store_at(&env->region, b->store)->born = 1;
	stored();
	ret->resource = b->is_new ? publish(env, b->session, b->resource,
					    KIND_RESOURCE) :
				    0;
	count_created(env, b->session, b->is_new ? 1 : 0, b->args->count);
	region_state(&env->region)->store_bytes += b->bytes;
	ret->bytes = b->bytes;
	ret->count = b->args->count;
	ret->rights = TENURE_RIGHT_READ | TENURE_RIGHT_WRITE;
}

/* Opens what was made; the number of openings that worked. */
static int open_made(struct env *env, const struct birth *b,
		     const uint32_t *slots, uint32_t n, uint32_t *ret_opened)
{
	const struct backend *backend = env_backend(env, b->adapter);
	int r = 0;

	for (*ret_opened = 0; *ret_opened < n; ++*ret_opened) {
		struct backend_opening o =
			opening_of(env, b->session, slots[*ret_opened]);

		r = backend->ops->open_allocation(backend->state, &o);
		if (r != 0)
			break;
	}
	return r;
}

/* The backend would not open: what nobody has heard of dies unheard. */
static void stillbirth(struct env *env, const struct birth *b,
		       const uint32_t *slots, uint32_t n, uint32_t opened)
{
	for (uint32_t i = 0; i < n; i++) {
		if (b->is_new)
			resource_retire_unopened(env, b->session, slots[i]);
		else if (i < opened)
			allocation_retire(env, b->session, slots[i], true);
		else
			allocation_retire_unopened(env, b->session, slots[i]);
	}
}

static struct outcome bear(struct env *env, struct birth *b,
			   struct created *ret)
{
	uint32_t slots[LIST_ENTRIES_MAX], n = 0, opened;
	int r = make(env, b);

	if (r != 0) {
		free_blocks(env, b);
		return refuse(r, TENURE_REASON_BACKEND);
	}
	commit(env, b, ret, slots);
	if (b->is_new) {
		n = 1;
		slots[0] = b->resource;
	} else if (b->resource == 0) {
		n = b->args->count;
	}
	r = open_made(env, b, slots, n, &opened);
	if (r != 0) {
		stillbirth(env, b, slots, n, opened);
		return refuse(r, TENURE_REASON_BACKEND);
	}
	return outcome_ok();
}

struct outcome birth_finish(struct env *env, struct birth *b,
			    struct created *ret)
{
	struct outcome outcome;

	b->adapter = device_at(&env->region, b->device)->adapter;
	outcome = afford(env, b);
	if (outcome.status == 0)
		outcome = reserve(env, b);
	return outcome.status == 0 ? bear(env, b, ret) : outcome;
}

struct outcome create_request(struct env *env, uint32_t session,
			      const struct create_args *args,
			      struct created *ret)
{
	struct backend_allocation made[LIST_ENTRIES_MAX];
	struct birth b = {
		.args = args,
		.made = made,
		.session = session,
		.kind = KIND_ALLOCATION,
		.is_new = (args->flags & TENURE_CREATE_RESOURCE) != 0,
		.shared = (args->flags & TENURE_CREATE_SHARED) != 0,
	};
	struct outcome outcome = check(env, &b);

	return outcome.status != 0 ? outcome : birth_finish(env, &b, ret);
}

static struct outcome check_rights(uint32_t wanted, uint32_t has,
				   uint32_t *ret_rights)
{
	if (wanted == 0)
		wanted = has;
	if ((wanted & ~RIGHTS_ALL) != 0 || (wanted & TENURE_RIGHT_READ) == 0)
		return refuse(-EINVAL, TENURE_REASON_RIGHTS_INVALID);
	if ((wanted & ~has) != 0)
		return refuse(-EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	*ret_rights = wanted;
	return outcome_ok();
}

/* Working values of one open. */
struct opening {
	uint32_t session, device, object, rights;
	uint32_t resource, run, run_capacity;
	uint32_t now_s;
};

static struct outcome check_open(struct env *env, const struct open_args *args,
				 struct opening *o)
{
	struct region *region = &env->region;
	const struct object *object;
	uint32_t token;
	struct outcome outcome =
		check_rights(args->rights, RIGHTS_ALL, &o->rights);

	if (outcome.status != 0)
		return outcome;
	o->device = rules_device(region, o->session, args->device, &outcome);
	if (o->device == 0)
		return outcome;
	token = token_find(env, args->token);
	if (token == 0 || token_at(region, token)->object == 0)
		return refuse(-EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	o->object = token_at(region, token)->object;
	object = object_at(region, o->object);
	if (object->adapter != device_at(region, o->device)->adapter)
		return refuse(-EINVAL, TENURE_REASON_ADAPTER_INVALID);
	outcome = check_rights(args->rights, token_at(region, token)->rights,
			       &o->rights);
	if (outcome.status != 0)
		return outcome;
	if (args->count != object->count)
		return refuse(-EINVAL, TENURE_REASON_OPEN_COUNT_MISMATCH);
	if (args->private_bytes != object->private_bytes)
		return refuse(-EINVAL, TENURE_REASON_OPEN_PRIVATE_MISMATCH);
	return outcome;
}

static struct outcome afford_open(struct env *env, const struct opening *o)
{
	const struct object *object = object_at(&env->region, o->object);
	struct bill client = object_bill(object->size_bytes);
	struct bill principal = object_hold_bill(
		env, o->object,
		session_at(&env->region, o->session)->principal);

	client.amount[CHARGE_HANDLES] = object->count + 1u;
	principal.amount[CHARGE_HANDLES] = object->count + 1u;
	return session_afford(env, o->session, &client, &principal);
}

static struct outcome reserve_open(struct env *env, struct opening *o)
{
	struct region *region = &env->region;
	uint32_t count = object_at(region, o->object)->count;
	struct outcome outcome = session_reserve_slots(
		env, o->session, &device_at(region, o->device)->owner,
		count + 1);

	if (outcome.status != 0)
		return outcome;
	o->run_capacity = run_capacity(count);
	if (object_reserve(env) != 0 ||
	    block_new(region, o->run_capacity * sizeof(uint32_t), &o->run) != 0)
		return refuse_memory();
	return outcome;
}

static int tell_backend(struct env *env, const struct opening *o)
{
	const struct object *object = object_at(&env->region, o->object);
	const struct backend *backend = env_backend(env, object->adapter);
	struct backend_opening opening = {
		.resource = object->backing,
		.store = store_at(&env->region, object->store)->backing,
		.client = o->session,
		.read_only = (o->rights & TENURE_RIGHT_WRITE) == 0,
	};

	return backend->ops->open_allocation(backend->state, &opening);
}

static void charge_open(struct env *env, const struct opening *o)
{
	const struct object *object = object_at(&env->region, o->object);
	struct session *s = session_at(&env->region, o->session);

	session_charge(env, o->session, CHARGE_HANDLES, object->count + 1u);
	account_charge(&s->account, CHARGE_BYTES, object->size_bytes);
	account_charge(&s->account, CHARGE_STORES, 1);
	object_hold(env, o->object, s->principal);
}

static void commit_open(struct env *env, struct opening *o, struct created *ret)
{
	struct region *region = &env->region;
	const struct object *object = object_at(region, o->object);
	const struct layout_entry *layout = block_at(region, object->layout);
	struct slot_resource *r;
	uint32_t *run = block_at(region, o->run);

	o->resource = table_take(region, &device_at(region, o->device)->owner);
	r = &slot_at(region, o->resource)->resource;
	r->device = o->device;
	r->object = o->object;
	r->run = o->run;
	r->capacity = (uint16_t)o->run_capacity;
	r->rights = (uint8_t)o->rights;
	r->opened = 1;
	r->born_s = o->now_s;
	for (uint32_t i = 0; i < object->count; i++)
		fill_allocation(env, o->device, o->resource, object->store,
				o->now_s, &layout[i]);
	charge_open(env, o);
	for (uint32_t i = 0; i < object->count; i++)
		ret->handles[i] =
			publish(env, o->session, run[i], KIND_ALLOCATION);
	ret->resource = publish(env, o->session, o->resource, KIND_RESOURCE);
	count_created(env, o->session, 1, object->count);
	ret->rights = o->rights;
	ret->count = object->count;
	ret->bytes = object->size_bytes;
	if (object->private_bytes > 0)
		memcpy(ret->private_data,
		       block_at(region, object->private_block),
		       object->private_bytes);
}

struct outcome open_request(struct env *env, uint32_t session,
			    const struct open_args *args, struct created *ret)
{
	struct opening o = { .session = session, .now_s = args->now_s };
	struct outcome outcome = check_open(env, args, &o);
	int r;

	if (outcome.status != 0)
		return outcome;
	outcome = afford_open(env, &o);
	if (outcome.status != 0)
		return outcome;
	outcome = reserve_open(env, &o);
	if (outcome.status != 0)
		return outcome;
	r = tell_backend(env, &o);
	if (r != 0) {
		block_free(&env->region, o.run,
			   o.run_capacity * sizeof(uint32_t));
		return refuse(r, TENURE_REASON_BACKEND);
	}
	commit_open(env, &o, ret);
	return outcome;
}
