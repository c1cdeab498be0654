/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fence: a 64-bit value that only grows, for people to order their work by.
 *
 *	maker's opening --\             /--> waits, of anybody
 *	other openings ----+--> fence --+
 *	tokens -----------/             \--> word of the maker
 *
 * It is shared like a resource, by token, with rights: READ to look and wait,
 * WRITE to signal. The maker may also store the value into a word of its own,
 * which is read whenever somebody asks or its bell rings; what counts is the
 * greatest value ever seen, and a signal that goes backwards is ignored.
 *
 * A fence is its maker's promise. When the maker destroys it, or its device
 * or the maker itself goes, nobody else can keep that promise: the fence is
 * dead, whoever waits is told so (ENODEV) and never that it was signalled,
 * and the other openings are good for nothing but to be destroyed. Closing one
 * of those ends the waits through it and nothing else.
 *
 * A fence never decides when memory goes: that is what contexts are for. A
 * jump to the maximum, by malice or at the end, wakes waiters and no more.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  The value never goes back.
 *  G2  A wait through an opening that is closed, or on a fence that dies, ends
 *      with ENODEV.
 *  G3  A fence goes with its last opening and token, once.
 *  G4  A wait for what the maker stored before it destroyed the fence, or
 *      ended, succeeds.
 */
#include "core/fence.h"

#include "core/fence_wait.h"
#include "core/object.h"
#include "core/rules.h"
#include "core/session.h"
#include "core/words.h"

#define RIGHTS_ALL ((uint32_t)(TENURE_RIGHT_READ | TENURE_RIGHT_WRITE))

static bool rights_are_valid(uint32_t rights)
{
	return (rights & ~RIGHTS_ALL) == 0 && (rights & TENURE_RIGHT_READ) != 0;
}

/* The opening behind a handle, whatever has become of its fence. */
static struct slot *find_opening(const struct env *env, uint32_t session,
				 uint32_t device, uint64_t fence,
				 struct outcome *ret)
{
	enum tenure_reason reason;
	struct slot *slot = rules_find(&env->region, session, device,
				       KIND_FENCE, fence,
				       TENURE_REASON_FENCE_INVALID, &reason);

	*ret = slot == NULL ? refuse(-EINVAL, reason) : outcome_ok();
	return slot;
}

struct slot *fence_find(const struct env *env, uint32_t session,
			uint32_t device, uint64_t fence, struct outcome *ret)
{
	struct slot *slot = find_opening(env, session, device, fence, ret);

	if (slot == NULL || !fence_at(&env->region, slot->fence.fence)->dead)
		return slot;
	*ret = refuse(-ENODEV, TENURE_REASON_FENCE_GONE);
	return NULL;
}

/* One handle on a device: afforded and reserved, or the outcome. */
static struct outcome afford_opening(struct env *env, uint32_t session,
				     uint32_t device)
{
	const struct bill bill = { .amount = { [CHARGE_HANDLES] = 1 } };
	struct outcome outcome = session_afford(env, session, &bill, &bill);

	if (outcome.status != 0)
		return outcome;
	return session_reserve_slots(
		env, session, &device_at(&env->region, device)->owner, 1);
}

static uint64_t publish_opening(struct env *env, uint32_t session,
				uint32_t device, uint32_t fence,
				uint32_t rights, bool own)
{
	struct region *region = &env->region;
	struct device *d = device_at(region, device);
	uint32_t slot = table_take(region, &d->owner);

	slot_at(region, slot)->fence =
		(struct slot_fence){ fence, rights, own };
	d->n_fences++;
	fence_at(region, fence)->refs++;
	return session_slot_publish(env, session, slot, KIND_FENCE);
}

struct outcome fence_create(struct env *env, uint32_t session, uint64_t device,
			    uint64_t value, uint64_t *ret_fence,
			    uint32_t *ret_word)
{
	const struct progress *progress = &env->config.progress;
	struct region *region = &env->region;
	struct words *words = &session_at(region, session)->words;
	struct outcome outcome;
	uint32_t d = rules_device(region, session, device, &outcome), index;
	struct fence *f;
	int r;

	if (d == 0)
		return outcome;
	outcome = afford_opening(env, session, d);
	if (outcome.status != 0)
		return outcome;
	r = words_reserve(region, words);
	if (r == -EDQUOT)
		return refuse(-EDQUOT, TENURE_REASON_CLIENT_WORDS);
	if (r != 0 || pool_reserve(region, AREA_FENCES, 1) != 0)
		return refuse_memory();
	index = pool_take(region, AREA_FENCES);
	region_state(region)->n_fences++;
	f = fence_at(region, index);
	f->session = session;
	f->value = value;
	f->who = words_take(region, words, WORD_FENCE | index);
	*ret_word = f->who & WORD_MASK;
	if (progress->reset != NULL)
		progress->reset(progress->context, session, *ret_word, value);
	*ret_fence = publish_opening(env, session, d, index, RIGHTS_ALL, true);
	return outcome;
}

/* Waits that are decided and have not gone yet keep the record, too. */
static void try_give(struct env *env, uint32_t fence)
{
	const struct fence *f = fence_at(&env->region, fence);

	if (f->refs > 0 || f->n_waits > 0)
		return;
	assert(f->dead && f->first_wait == 0);
	region_state(&env->region)->n_fences--;
	pool_give(&env->region, AREA_FENCES, fence);
}

void fence_unref(struct env *env, uint32_t fence)
{
	struct fence *f = fence_at(&env->region, fence);

	assert(f->refs > 0);
	f->refs--;
	try_give(env, fence);
}

void fence_unwait(struct env *env, uint32_t fence)
{
	struct fence *f = fence_at(&env->region, fence);

	f->n_waits--;
	if (f->session != 0)
		session_at(&env->region, f->session)->n_fence_waits--;
	try_give(env, fence);
}

/* The maker's promise is void: whoever waits is told. */
static void die(struct env *env, uint32_t fence)
{
	struct fence *f = fence_at(&env->region, fence);
	struct session *maker = session_at(&env->region, f->session);

	fence_wait_fail(env, fence, 0);
	if (f->entry != 0 && env->config.progress.end_entry != NULL)
		env->config.progress.end_entry(env->config.progress.context,
					       f->session, f->entry);
	words_give(&env->region, &maker->words, f->who);
	maker->n_fence_waits -= f->n_waits;
	f->dead = 1;
	f->session = 0;
	f->value = UINT64_MAX;
}

/* Nobody pins a fence, so the slot is free at once. */
void fence_close(struct env *env, uint32_t session, uint32_t slot)
{
	struct region *region = &env->region;
	struct device *d = device_at(region, table_device(region, slot));
	struct slot_fence opening = slot_at(region, slot)->fence;
	bool reclaimed;

	table_retire(slot_at(region, slot));
	if (opening.own) {
		/* What was signalled before the end has been. */
		fence_look(env, opening.fence);
		die(env, opening.fence);
	} else {
		fence_wait_fail(env, opening.fence, slot);
	}
	reclaimed = table_try_reclaim(region, &d->owner, slot);
	assert(reclaimed);
	d->n_fences--;
	session_release(env, session, CHARGE_HANDLES, 1);
	fence_unref(env, opening.fence);
}

struct outcome fence_destroy(struct env *env, uint32_t session, uint64_t device,
			     uint64_t fence)
{
	struct outcome outcome;
	uint32_t d = rules_device(&env->region, session, device, &outcome);
	struct slot *slot;

	if (d == 0)
		return outcome;
	slot = find_opening(env, session, d, fence, &outcome);
	if (slot != NULL)
		fence_close(env, session, slot_index(&env->region, slot));
	return outcome;
}

struct outcome fence_share(struct env *env, uint32_t session, uint64_t device,
			   uint64_t fence, uint32_t rights,
			   uint64_t ret_token[2])
{
	struct outcome outcome;
	struct slot *slot;
	uint32_t d;

	if (!rights_are_valid(rights))
		return refuse(-EINVAL, TENURE_REASON_RIGHTS_INVALID);
	d = rules_device(&env->region, session, device, &outcome);
	if (d == 0)
		return outcome;
	slot = fence_find(env, session, d, fence, &outcome);
	if (slot == NULL)
		return outcome;
	if ((rights & ~slot->fence.rights) != 0)
		return refuse(-EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	return token_new_of_fence(env, session, slot->fence.fence, rights,
				  ret_token);
}

struct outcome fence_open(struct env *env, uint32_t session, uint64_t device,
			  const uint64_t token[2], uint32_t rights,
			  uint64_t *ret_fence, uint32_t *ret_rights)
{
	struct region *region = &env->region;
	struct outcome outcome;
	const struct token *t;
	uint32_t d, index;

	if (rights != 0 && !rights_are_valid(rights))
		return refuse(-EINVAL, TENURE_REASON_RIGHTS_INVALID);
	d = rules_device(region, session, device, &outcome);
	if (d == 0)
		return outcome;
	index = token_find(env, token);
	if (index == 0 || token_at(region, index)->fence == 0)
		return refuse(-EINVAL, TENURE_REASON_TOKEN_UNKNOWN);
	t = token_at(region, index);
	if ((rights & ~t->rights) != 0)
		return refuse(-EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	if (fence_at(region, t->fence)->dead)
		return refuse(-ENODEV, TENURE_REASON_FENCE_GONE);
	outcome = afford_opening(env, session, d);
	if (outcome.status != 0)
		return outcome;
	*ret_rights = rights == 0 ? t->rights : rights;
	*ret_fence =
		publish_opening(env, session, d, t->fence, *ret_rights, false);
	return outcome;
}

/* How many waits were gone through. */
static uint32_t raise_value(struct env *env, uint32_t fence, uint64_t value)
{
	struct fence *f = fence_at(&env->region, fence);
	uint32_t waits;

	if (value <= f->value)
		return 0;
	f->value = value;
	waits = f->n_waits;
	fence_wait_wake(env, fence);
	return waits;
}

uint32_t fence_look(struct env *env, uint32_t fence)
{
	const struct progress *progress = &env->config.progress;
	const struct fence *f = fence_at(&env->region, fence);
	uint32_t waits = 0;

	if (progress->read != NULL && !f->dead)
		waits += raise_value(env, fence,
				     progress->read(progress->context,
						    f->session,
						    f->who & WORD_MASK));
	if (f->entry != 0 && progress->read_entry != NULL && !f->dead)
		waits +=
			raise_value(env, fence,
				    progress->read_entry(progress->context,
							 f->session, f->entry));
	return waits;
}

void fence_tell(struct env *env, uint32_t fence)
{
	const struct progress *progress = &env->config.progress;
	const struct fence *f = fence_at(&env->region, fence);

	if (f->entry != 0 && progress->raise_entry != NULL)
		progress->raise_entry(progress->context, f->session, f->entry,
				      f->value);
}

struct outcome fence_signal(struct env *env, uint32_t session, uint64_t device,
			    uint64_t fence, uint64_t value)
{
	struct outcome outcome;
	uint32_t d = rules_device(&env->region, session, device, &outcome);
	struct slot *slot;

	if (d == 0)
		return outcome;
	slot = fence_find(env, session, d, fence, &outcome);
	if (slot == NULL)
		return outcome;
	if ((slot->fence.rights & TENURE_RIGHT_WRITE) == 0)
		return refuse(-EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	raise_value(env, slot->fence.fence, value);
	fence_tell(env, slot->fence.fence);
	return outcome;
}

struct outcome fence_value(struct env *env, uint32_t session, uint64_t device,
			   uint64_t fence, uint64_t *ret_value)
{
	struct outcome outcome;
	uint32_t d = rules_device(&env->region, session, device, &outcome);
	struct slot *slot;

	if (d == 0)
		return outcome;
	slot = fence_find(env, session, d, fence, &outcome);
	if (slot == NULL)
		return outcome;
	fence_look(env, slot->fence.fence);
	*ret_value = fence_at(&env->region, slot->fence.fence)->value;
	return outcome;
}
