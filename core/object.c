/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory objects: what a shared resource is made of.
 *
 *	opening (slot) --\
 *	opening (slot) ---+--> object --> layout, private data
 *	token -----------/       ^   \--> store (one memfd)
 *	                         |
 *	         holding of principal A: refs 2, pays once
 *	         holding of principal B: refs 1, pays once
 *
 * An object is counted by its openings and its tokens and by nothing else.
 * Destroying an opening lets go of one count; whoever lets go of the last one
 * has the memory released. That is all there is to A38, A39 and A40: the
 * producer destroys, the consumers hold on, and nobody waits for anybody.
 *
 * Who pays: every principal that holds the object pays for all of it, once.
 * When the creator goes nothing is transferred, since the others have been
 * paying all along. The last holder pays until the memory is really back.
 *
 * A token is 128 random bits, found through a hash table of its low bits; it
 * belongs to the session that made it and goes with it.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  object_drop returns true exactly once in the life of an object.
 *  G2  A token that has been freed is never found again.
 *  G3  A refused token_new has changed nothing.
 */
#include "core/object.h"

#include "core/fence.h"
#include "core/session.h"

uint32_t store_new(struct env *env, uint32_t adapter, uint32_t backing,
		   uint64_t size_bytes, uint32_t refs)
{
	struct state *state = region_state(&env->region);
	uint32_t index = pool_take(&env->region, AREA_STORES);
	struct store *store = store_at(&env->region, index);

	store->backing = backing;
	store_refs(&env->region)[index] = refs;
	store->serial = ++state->next_store_serial;
	store->size_bytes = size_bytes;
	store->adapter = (uint8_t)adapter;
	state->n_stores++;
	return index;
}

int store_reserve(struct env *env)
{
	struct region *region = &env->region;

	if (pool_reserve(region, AREA_STORES, 1) != 0)
		return -ENOMEM;
	return region_commit(region, AREA_STORE_REFS,
			     region_area(region, AREA_STORES)->committed);
}

void store_empty(struct env *env, uint32_t store)
{
	region_state(&env->region)->n_stores--;
	pool_give(&env->region, AREA_STORES, store);
}

struct bill object_bill(uint64_t size_bytes)
{
	return (struct bill){
		.amount = { [CHARGE_BYTES] = size_bytes, [CHARGE_STORES] = 1 }
	};
}

int object_reserve(struct env *env)
{
	if (pool_reserve(&env->region, AREA_OBJECTS, 1) != 0 ||
	    pool_reserve(&env->region, AREA_HOLDINGS, 1) != 0)
		return -ENOMEM;
	return 0;
}

uint32_t object_new(struct env *env)
{
	region_state(&env->region)->n_objects++;
	return pool_take(&env->region, AREA_OBJECTS);
}

/* A linear look over the principals that hold it: usually one or two. */
static struct holding *find_holding(const struct env *env, uint32_t object,
				    uint32_t principal)
{
	uint32_t index = object_at(&env->region, object)->holdings;

	while (index != 0) {
		struct holding *h = holding_at(&env->region, index);

		if (h->principal == principal)
			return h;
		index = h->next;
	}
	return NULL;
}

struct bill object_hold_bill(const struct env *env, uint32_t object,
			     uint32_t principal)
{
	if (find_holding(env, object, principal) != NULL)
		return (struct bill){ 0 };
	return object_bill(object_at(&env->region, object)->size_bytes);
}

static struct holding *holding_new(struct env *env, uint32_t object,
				   uint32_t principal)
{
	struct object *o = object_at(&env->region, object);
	struct account *account =
		&principal_at(&env->region, principal)->account;
	struct bill bill = object_bill(o->size_bytes);
	uint32_t index = pool_take(&env->region, AREA_HOLDINGS);
	struct holding *h = holding_at(&env->region, index);

	h->object = object;
	h->principal = principal;
	h->next = o->holdings;
	o->holdings = index;
	principal_ref(env, principal);
	account_charge(account, CHARGE_BYTES, bill.amount[CHARGE_BYTES]);
	account_charge(account, CHARGE_STORES, bill.amount[CHARGE_STORES]);
	return h;
}

static void holding_free(struct env *env, struct holding *h)
{
	struct object *o = object_at(&env->region, h->object);
	struct account *account =
		&principal_at(&env->region, h->principal)->account;
	struct bill bill = object_bill(o->size_bytes);
	uint32_t *link = &o->holdings, index;

	while (holding_at(&env->region, *link) != h)
		link = &holding_at(&env->region, *link)->next;
	index = *link;
	*link = h->next;
	account_release(account, CHARGE_BYTES, bill.amount[CHARGE_BYTES]);
	account_release(account, CHARGE_STORES, bill.amount[CHARGE_STORES]);
	principal_unref(env, h->principal);
	pool_give(&env->region, AREA_HOLDINGS, index);
}

void object_hold(struct env *env, uint32_t object, uint32_t principal)
{
	struct holding *h = find_holding(env, object, principal);

	if (h == NULL)
		h = holding_new(env, object, principal);
	h->refs++;
	object_at(&env->region, object)->refs++;
	object_at(&env->region, object)->payer = principal;
}

bool object_drop(struct env *env, uint32_t object, uint32_t principal)
{
	struct object *o = object_at(&env->region, object);
	struct holding *h = find_holding(env, object, principal);

	assert(h != NULL && h->refs > 0 && o->refs > 0);
	h->refs--;
	o->payer = principal;
	if (--o->refs == 0)
		return true;
	if (h->refs == 0)
		holding_free(env, h);
	return false;
}

void object_free(struct env *env, uint32_t object)
{
	struct region *region = &env->region;
	struct object *o = object_at(region, object);

	assert(o->refs == 0);
	o->payer = 0;
	stored();
	holding_free(env, holding_at(region, o->holdings));
	assert(o->holdings == 0);
	store_drop(env, o->store, o->count);
	block_free(region, o->layout, o->count * sizeof(struct layout_entry));
	block_free(region, o->private_block, o->private_bytes);
	region_state(region)->n_objects--;
	pool_give(region, AREA_OBJECTS, object);
}

static uint32_t *token_bucket(const struct env *env, const uint64_t value[2])
{
	return (uint32_t *)region_start(&env->region, AREA_TOKEN_BUCKETS) +
	       value[0] % TOKEN_BUCKETS;
}

static void token_link(struct env *env, uint32_t token)
{
	struct region *region = &env->region;
	struct token *t = token_at(region, token);
	struct session *s = session_at(region, t->session);
	uint32_t *bucket = token_bucket(env, t->value);

	t->next_bucket = *bucket;
	*bucket = token;
	t->next = s->first_token;
	if (t->next != 0)
		token_at(region, t->next)->previous = token;
	s->first_token = token;
	s->n_tokens++;
	region_state(region)->n_tokens++;
}

static void token_unlink(struct env *env, uint32_t token)
{
	struct region *region = &env->region;
	struct token *t = token_at(region, token);
	struct session *s = session_at(region, t->session);
	uint32_t *link = token_bucket(env, t->value);

	while (*link != token)
		link = &token_at(region, *link)->next_bucket;
	*link = t->next_bucket;
	if (t->next != 0)
		token_at(region, t->next)->previous = t->previous;
	if (t->previous != 0)
		token_at(region, t->previous)->next = t->next;
	else
		s->first_token = t->next;
	s->n_tokens--;
	region_state(region)->n_tokens--;
}

static struct outcome new_token(struct env *env, uint32_t session,
				uint32_t object, uint32_t fence,
				uint32_t rights, uint64_t ret_value[2])
{
	const struct bill one = { .amount = { [CHARGE_TOKENS] = 1 } };
	struct region *region = &env->region;
	struct outcome outcome = session_afford(env, session, &one, &one);
	uint32_t index;
	struct token *t;

	if (outcome.status != 0)
		return outcome;
	if (pool_reserve(region, AREA_TOKENS, 1) != 0 ||
	    object_reserve(env) != 0)
		return refuse_memory();
	index = pool_take(region, AREA_TOKENS);
	t = token_at(region, index);
	do
		env->entropy.fill(env->entropy.context, t->value,
				  sizeof(t->value));
	while (token_find(env, t->value) != 0);
	t->object = object;
	t->fence = fence;
	t->rights = rights;
	stored();
	t->session = session;
	token_link(env, index);
	session_charge(env, session, CHARGE_TOKENS, 1);
	if (object != 0) {
		object_at(region, object)->tokens++;
		object_hold(env, object,
			    session_at(region, session)->principal);
	} else {
		fence_at(region, fence)->refs++;
	}
	memcpy(ret_value, t->value, sizeof(t->value));
	return outcome;
}

struct outcome token_new(struct env *env, uint32_t session, uint32_t object,
			 uint32_t rights, uint64_t ret_value[2])
{
	return new_token(env, session, object, 0, rights, ret_value);
}

struct outcome token_new_of_fence(struct env *env, uint32_t session,
				  uint32_t fence, uint32_t rights,
				  uint64_t ret_value[2])
{
	return new_token(env, session, 0, fence, rights, ret_value);
}

uint32_t token_find(const struct env *env, const uint64_t value[2])
{
	uint32_t index = *token_bucket(env, value);

	while (index != 0) {
		const struct token *t = token_at(&env->region, index);

		/* both halves always: no early way out to measure */
		if (((t->value[0] ^ value[0]) | (t->value[1] ^ value[1])) == 0)
			return index;
		index = t->next_bucket;
	}
	return 0;
}

/* Lets go of what the token holds; true when that was an object's last. */
static bool release_token(struct env *env, const struct token *t)
{
	struct object *o;

	if (t->object == 0) {
		fence_unref(env, t->fence);
		return false;
	}
	o = object_at(&env->region, t->object);
	assert(o->tokens > 0);
	o->tokens--;
	return object_drop(env, t->object,
			   session_at(&env->region, t->session)->principal);
}

bool token_free(struct env *env, uint32_t token)
{
	struct token *t = token_at(&env->region, token);
	uint32_t session = t->session;
	bool last = release_token(env, t);

	token_unlink(env, token);
	session_release(env, session, CHARGE_TOKENS, 1);
	pool_give(&env->region, AREA_TOKENS, token);
	return last;
}
