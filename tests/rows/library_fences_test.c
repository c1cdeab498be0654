/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences and the memory of contexts, said by the library: B30 to B32, H40 to
 * H45, and what only the library knows, which is time.
 */
#include "tests/rows/world.h"

#include "tests/support/inproc.h"

#include <pthread.h>
#include <time.h>

enum {
	R = TENURE_RIGHT_READ,
	RW = TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
};

#define MS UINT64_C(1000000)

/* Something that is done while somebody waits. */
struct hand {
	struct world *world;
	void (*act)(void *context);
	void *context;
	pthread_t thread;
};

static void *act_soon(void *context)
{
	struct hand *hand = context;

	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	hand->act(hand->context);
	return NULL;
}

static void hand_start(struct hand *hand, struct world *world,
		       void (*act)(void *context), void *context)
{
	*hand = (struct hand){ .world = world, .act = act, .context = context };
	if (world->inproc)
		inproc_while_waiting(world->inproc, act, context);
	else
		pthread_create(&hand->thread, NULL, act_soon, hand);
}

static void hand_end(struct hand *hand)
{
	if (hand->world->inproc)
		inproc_while_waiting(hand->world->inproc, NULL, NULL);
	else
		pthread_join(hand->thread, NULL);
}

static struct tenure_fence make_fence(const struct party *party, uint64_t value)
{
	struct tenure_fence fence;

	assert_ok(tenure_fence_create(party->t, party->device, value, &fence));
	return fence;
}

/* Another party's opening of it. */
static struct tenure_fence lend(const struct party *party,
				struct tenure_fence fence,
				const struct party *other, unsigned int rights)
{
	struct tenure_token token;
	struct tenure_fence opened;

	assert_ok(tenure_fence_share(party->t, party->device, fence, rights,
				     &token));
	assert_ok(
		tenure_fence_open(other->t, other->device, &token, 0, &opened));
	assert_ok(tenure_token_revoke(party->t, &token));
	return opened;
}

static uint64_t value_of(const struct party *party, struct tenure_fence fence)
{
	uint64_t value = 0;

	assert_ok(tenure_fence_value(party->t, party->device, fence, &value));
	return value;
}

static int wait_for(const struct party *party, struct tenure_fence fence,
		    uint64_t value, uint64_t timeout_ns)
{
	const struct tenure_fence_value one = { fence, value };

	return tenure_fence_wait(party->t, party->device, &one, 1, 0,
				 timeout_ns, NULL);
}

struct signal {
	const struct party *party;
	struct tenure_fence fence;
	uint64_t value;
	struct party *leaves; /* behind the signal, or NULL */
};

static void send_signal(void *context)
{
	const struct signal *s = context;

	assert_ok(tenure_fence_signal(s->party->t, s->party->device, s->fence,
				      s->value));
}

static void end_fence(void *context)
{
	const struct signal *s = context;

	assert_ok(
		tenure_fence_destroy(s->party->t, s->party->device, s->fence));
}

static void h40_h42_values_and_rights(void **state)
{
	struct party p = party_new(*state), other = party_new(*state);
	struct tenure_fence fence = make_fence(&p, 3);
	struct tenure_fence reader = lend(&p, fence, &other, R);
	struct tenure_fence writer = lend(&p, fence, &other, RW);

	assert_int_equal(value_of(&other, reader), 3);
	assert_refused(&other,
		       tenure_fence_signal(other.t, other.device, reader, 9),
		       -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	assert_ok(tenure_fence_signal(other.t, other.device, writer, 9));
	assert_ok(tenure_fence_signal(p.t, p.device, fence, 4));
	assert_int_equal(value_of(&p, fence), 9);
	assert_ok(wait_for(&p, fence, 9, 0));
	assert_ok(wait_for(&p, fence, 9, TENURE_FOREVER));
	row_proved("H40");
	row_proved("H42");
}

/* Signalled by another process's right, or by a thread of the waiter, whose
 * calls go on while it waits: client/fence.c G3. */
static void h41_waits(void **state)
{
	struct party p = party_new(*state), other = party_new(*state);
	struct tenure_fence a = make_fence(&p, 0), b = make_fence(&p, 0);
	struct tenure_fence_value both[2] = { { a, 5 }, { b, 5 } };
	struct signal by_other = { &other, lend(&p, b, &other, RW), 5, NULL };
	struct signal by_self = { &p, a, 5, NULL };
	unsigned int index = 9;
	struct hand hand;

	hand_start(&hand, *state, send_signal, &by_other);
	assert_ok(tenure_fence_wait(p.t, p.device, both, 2, 0, TENURE_FOREVER,
				    &index));
	hand_end(&hand);
	assert_int_equal(index, 1);
	assert_int_equal(tenure_fence_wait(p.t, p.device, both, 2,
					   TENURE_WAIT_ALL, 2 * MS, &index),
			 -ETIMEDOUT);
	hand_start(&hand, *state, send_signal, &by_self);
	assert_ok(tenure_fence_wait(p.t, p.device, both, 2, TENURE_WAIT_ALL,
				    TENURE_FOREVER, &index));
	hand_end(&hand);
	assert_int_equal(index, 0);
	row_proved("H41");
}

/* In time is never too late, and nothing is left of what was too late: of
 * client/fence.c G1 and G2. */
static void time_is_over(void **state)
{
	struct party p = party_new(*state);
	struct tenure_fence fence = make_fence(&p, 0);
	struct tenure_fence_value many[65];
	char why[256];

	for (int i = 0; i < 50; i++) {
		assert_int_equal(wait_for(&p, fence, (uint64_t)i + 1, 0),
				 -ETIMEDOUT);
		assert_int_equal(wait_for(&p, fence, (uint64_t)i + 1, MS / 10),
				 -ETIMEDOUT);
		assert_ok(tenure_fence_signal(p.t, p.device, fence,
					      (uint64_t)i + 1));
		assert_ok(wait_for(&p, fence, (uint64_t)i + 1, 0));
	}
	for (int i = 0; i < 65; i++)
		many[i] = (struct tenure_fence_value){ fence, 1 };
	assert_refused(&p,
		       tenure_fence_wait(p.t, p.device, many, 65, 0, 0, NULL),
		       -EINVAL, TENURE_REASON_WAIT_TOO_LONG);
	assert_ok(tenure_fence_wait(p.t, p.device, many, 64, TENURE_WAIT_ALL, 0,
				    NULL));
	/* The wait's limit is far: nothing of the above is charged any more. */
	assert_int_equal(wait_for(&p, fence, UINT64_MAX, 0), -ETIMEDOUT);
	assert_string_equal(tenure_explain(why, sizeof(why)),
			    tenure_strerror(-ETIMEDOUT));
	assert_int_equal(wait_for(&p, fence, UINT64_MAX, MS / 10), -ETIMEDOUT);
	assert_string_equal(tenure_explain(why, sizeof(why)),
			    tenure_strerror(-ETIMEDOUT));
}

/* Signals, while the daemon is awake, and ends it before anybody looks. */
static void signal_and_end(void *context)
{
	const struct signal *s = context;
	struct tenure_stat stat;

	assert_ok(tenure_stat(s->party->t, &stat));
	send_signal(context);
	if (s->leaves)
		party_end(s->leaves);
	else
		end_fence(context);
}

/* What was signalled before the end of the fence was signalled. */
static void signalled_before_the_end(struct world *world, bool leaves)
{
	struct party other = party_new(world);

	for (int i = 0; i < 80; i++) {
		struct party p = party_new(world);
		struct tenure_fence fence = make_fence(&p, 0);
		struct tenure_fence opened = lend(&p, fence, &other, R);
		struct signal last = { &p, fence, 5, leaves ? &p : NULL };
		struct hand hand;

		hand_start(&hand, world, signal_and_end, &last);
		assert_ok(wait_for(&other, opened, 5, TENURE_FOREVER));
		hand_end(&hand);
		assert_int_equal(wait_for(&other, opened, 6, TENURE_FOREVER),
				 -ENODEV);
		if (!leaves)
			party_end(&p);
	}
	party_end(&other);
}

static void h43_destroying_wakes(void **state)
{
	struct party p = party_new(*state), other = party_new(*state);
	struct tenure_fence fence = make_fence(&p, 0);
	struct signal end = { &p, fence, 0, NULL };
	struct tenure_fence opened = lend(&p, fence, &other, R);
	struct hand hand;

	hand_start(&hand, *state, end_fence, &end);
	assert_int_equal(wait_for(&other, opened, 5, TENURE_FOREVER), -ENODEV);
	hand_end(&hand);
	assert_int_equal(wait_for(&other, opened, 0, 0), -ENODEV);
	assert_int_equal(wait_for(&p, fence, 0, 0), -EINVAL);
	assert_ok(tenure_fence_destroy(other.t, other.device, opened));
	signalled_before_the_end(*state, false);
	row_proved("H43");
}

static void end_party(void *context)
{
	party_end(context);
}

static void h44_death_wakes(void **state)
{
	struct party p = party_new(*state), other = party_new(*state);
	struct tenure_fence opened = lend(&p, make_fence(&p, 0), &other, R);
	struct hand hand;

	hand_start(&hand, *state, end_party, &p);
	assert_int_equal(wait_for(&other, opened, UINT64_MAX, TENURE_FOREVER),
			 -ENODEV);
	hand_end(&hand);
	signalled_before_the_end(*state, true);
	row_proved("H44");
}

static struct tenure_context make_context(const struct party *party)
{
	struct tenure_context context;

	assert_ok(tenure_context_create(party->t, party->device, &context));
	return context;
}

static struct tenure_allocation make_scratch(const struct party *party,
					     struct tenure_context context,
					     unsigned int flags)
{
	struct tenure_allocation scratch;
	const size_t size = PAGE;

	assert_ok(tenure_context_allocation_create(party->t, context, flags,
						   &size, 1, &scratch));
	return scratch;
}

static void b30_at_any_time(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_allocation scratch = make_scratch(&p, context, 0);
	struct tenure_allocation idle = make_scratch(&p, context, 0);
	void *pointer;
	size_t size;

	assert_ok(tenure_context_allocation_destroy(p.t, p.adapter, idle));
	assert_stores(*state, 1);
	assert_ok(tenure_map(p.t, p.device, scratch, TENURE_MAP_WRITE, &pointer,
			     &size));
	memset(pointer, 1, size);
	assert_ok(tenure_context_submit(p.t, context, 4));
	assert_ok(tenure_context_allocation_destroy(p.t, p.adapter, scratch));
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	assert_stores(*state, 1);
	assert_ok(tenure_context_submit(p.t, context, 5));
	assert_ok(tenure_context_progress(p.t, context, 4));
	assert_stores(*state, 0);
	assert_ok(tenure_context_progress(p.t, context, 5));
	row_proved("B30");
}

static void b31_refused(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context context = make_context(&p);
	struct tenure_allocation scratch = make_scratch(&p, context, 0);
	struct tenure_allocation ordinary = make_allocation(&p, PAGE);
	const struct tenure_adapter wrong = { p.device.value };

	assert_int_equal(tenure_context_allocation_destroy(p.t, wrong, scratch),
			 -EINVAL);
	assert_int_equal(tenure_context_allocation_destroy(p.t, p.adapter,
							   ordinary),
			 -EINVAL);
	assert_allocation_alive(&p, ordinary);
	assert_ok(tenure_context_allocation_destroy(p.t, p.adapter, scratch));
	assert_int_equal(tenure_context_allocation_destroy(p.t, p.adapter,
							   scratch),
			 -EINVAL);
	row_proved("B31");
}

static void b32_with_their_context(void **state)
{
	struct party p = party_new(*state);
	struct tenure_context context = make_context(&p);
	void *pointer;
	size_t size;

	assert_ok(tenure_map(p.t, p.device, make_scratch(&p, context, 0),
			     TENURE_MAP_WRITE, &pointer, &size));
	make_scratch(&p, context,
		     TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS);
	assert_stores(*state, 2);
	assert_ok(tenure_context_destroy(p.t, context, 0));
	assert_stores(*state, 1);
	assert_ok(tenure_device_destroy(p.t, p.device));
	assert_stores(*state, 0);
	row_proved("B32");
}

static const struct CMUnitTest tests[] = {
	world_test(h40_h42_values_and_rights),
	world_test(h41_waits),
	world_test(time_is_over),
	world_test(h43_destroying_wakes),
	world_test(h44_death_wakes),
	world_test(b30_at_any_time),
	world_test(b31_refused),
	world_test(b32_with_their_context),
};

WORLD_MAIN("library_fences")
