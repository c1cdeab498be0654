/* SPDX-License-Identifier: Apache-2.0 */
#include "core/check_lists.h"

#include "tests/support/specimen.h"

static void expect_report(struct specimen *sp, const char *what, int line)
{
	struct broken_list broken = { .what = "" };

	if (check_lists(world_region(sp->world), &broken))
		fail_msg("line %d: nothing is reported", line);
	if (strcmp(broken.what, what) != 0)
		fail_msg("line %d: \"%s\"", line, broken.what);
	assert_int_not_equal(broken.found, broken.expected);
}

static void expect_whole(struct specimen *sp, int line)
{
	struct broken_list broken = { .what = "" };

	if (!check_lists(world_region(sp->world), &broken))
		fail_msg("line %d, restored: \"%s\"", line, broken.what);
	assert_string_equal(broken.what, "");
}

/* Sets a link or flag, wants that reported, and puts it back. */
#define CUT(sp, field, value, what)                   \
	do {                                          \
		__typeof__(field) saved_ = (field);   \
		(field) = (__typeof__(field))(value); \
		expect_report(sp, what, __LINE__);    \
		(field) = saved_;                     \
		expect_whole(sp, __LINE__);           \
	} while (0)

enum { NOWHERE = 1 << 20 };

/* A queue of one session, in each way in which it can be wrong. */
static void cut_queue(struct specimen *sp, struct queue *queue, uint32_t *next,
		      uint32_t stranger, const char *what)
{
	uint32_t member = queue->head;

	assert_int_not_equal(member, 0);
	CUT(sp, queue->head, 0, what);
	CUT(sp, queue->head, stranger, what);
	CUT(sp, queue->head, NOWHERE, what);
	CUT(sp, queue->tail, 0, what);
	CUT(sp, queue->tail, stranger, what);
	CUT(sp, *next, member, what); /* a ring has no end: G2 */
	CUT(sp, *next, stranger, what);
	CUT(sp, *next, NOWHERE, what);
}

static void g1_g2_the_ring_of_sessions(void **state)
{
	static const char what[] = "ring of sessions with work";
	struct specimen *sp = *state;
	struct session *s = seat_session(&sp->opener);

	cut_queue(sp, &world_state(sp->world)->ready, &s->next_ready,
		  sp->maker.client, what);
	CUT(sp, s->is_ready, 0, what);
	CUT(sp, seat_session(&sp->maker)->is_ready, 1, what);
}

static void g1_g2_the_queue_of_jobs(void **state)
{
	static const char what[] = "queue of jobs";
	struct specimen *sp = *state;
	struct session *s = seat_session(&sp->maker);

	cut_queue(sp, &world_state(sp->world)->jobs, &s->job.next,
		  sp->opener.client, what);
	CUT(sp, s->job.phase, JOB_OUT, what);
	CUT(sp, seat_session(&sp->opener)->job.phase, JOB_READY, what);
}

static void g1_g2_the_queue_of_the_ended(void **state)
{
	static const char what[] = "queue of ended sessions";
	struct specimen *sp = *state;
	struct session *s = session_at(world_region(sp->world), sp->ended);

	cut_queue(sp, &world_state(sp->world)->ended, &s->next_ended,
		  sp->opener.client, what);
	CUT(sp, s->phase, SESSION_ACTIVE, what);
}

static void g1_g2_the_queue_of_answers(void **state)
{
	static const char what[] = "queue of answers";
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	uint32_t waiting = seat_slot(&sp->maker, sp->dying[0])->waiter;
	struct waiter *w = waiter_at(region, sp->answered);

	cut_queue(sp, &world_state(sp->world)->answered, &w->next, waiting,
		  what);
	CUT(sp, w->phase, WAITER_PENDING, what);
	CUT(sp, waiter_at(region, waiting)->phase, WAITER_DUE, what);
}

static void g1_g2_the_queue_of_loose_waiters(void **state)
{
	static const char what[] = "queue of loose waiters of session";
	struct specimen *sp = *state;
	struct session *s = seat_session(&sp->opener);
	uint32_t waiting = seat_slot(&sp->maker, sp->dying[0])->waiter;
	const struct wire_fence_wait wait = { sp->fence_opened, 5 };
	struct state *st = world_state(sp->world);
	struct waiter *w;

	/* More than the signal lets go by itself. */
	for (int i = 0; i < 17; i++)
		assert_int_equal(seat_fence_wait(&sp->opener, 0, &wait, 1),
				 BROKER_LATER);
	assert_int_equal(seat_fence_signal(&sp->maker, sp->fence, 5), 0);
	expect_whole(sp, __LINE__);
	w = waiter_at(world_region(sp->world), s->loose.head);
	cut_queue(sp, &s->loose, &w->next, waiting, what);
	CUT(sp, w->is_loose, 0, what);
	CUT(sp, st->n_loose_waits, 1, "waits of loose waiters");
	CUT(sp, w->phase, WAITER_TOLD, "waiters of session");
}

static void g1_g2_devices(void **state)
{
	static const char what[] = "devices of session";
	struct specimen *sp = *state;
	struct session *s = seat_session(&sp->maker);
	struct device *d = seat_device(&sp->maker, sp->maker.device);
	uint32_t other = seat_session(&sp->opener)->first_device;

	CUT(sp, s->first_device, 0, what);
	CUT(sp, s->first_device, other, what);
	CUT(sp, s->first_device, NOWHERE, what);
	CUT(sp, s->n_devices, 2, what);
	CUT(sp, d->next, s->first_device, "device before device");
	CUT(sp, d->next, other, what);
	CUT(sp, d->previous, other, "device before device");
	CUT(sp, d->session, sp->opener.client, what);
}

static void g1_g2_tokens(void **state)
{
	static const char what[] = "tokens of session";
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct session *s = seat_session(&sp->maker);
	struct token *first = token_at(region, s->first_token);
	struct token *second = token_at(region, first->next);
	uint32_t *bucket =
		(uint32_t *)region_start(region, AREA_TOKEN_BUCKETS) +
		first->value[0] % TOKEN_BUCKETS;

	CUT(sp, s->first_token, 0, what);
	CUT(sp, s->first_token, first->next, "token before token");
	CUT(sp, first->next, 0, what);
	CUT(sp, first->next, s->first_token, "token before token");
	CUT(sp, second->previous, 0, "token before token");
	CUT(sp, second->next, NOWHERE, what);
	CUT(sp, second->session, sp->opener.client, what);
	CUT(sp, *bucket, 0, "bucket of token");
	CUT(sp, *bucket, NOWHERE, "bucket of token");
	CUT(sp, *bucket, first->next, "bucket of token");
	CUT(sp, first->value[0], first->value[0] + 1, "bucket of token");
}

static void g1_g2_holdings(void **state)
{
	static const char what[] = "holdings of object";
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct object *o = object_at(
		region, seat_slot(&sp->maker, sp->shared)->resource.object);
	struct holding *h = holding_at(region, o->holdings);

	assert_int_not_equal(h->next, 0);
	CUT(sp, o->holdings, 0, "holdings on the lists of objects");
	CUT(sp, o->holdings, h->next, "holdings on the lists of objects");
	CUT(sp, o->holdings, NOWHERE, what);
	CUT(sp, h->next, 0, "holdings on the lists of objects");
	CUT(sp, h->next, o->holdings, "holdings on the lists of objects");
	CUT(sp, h->object, h->object + 1, what);
}

static void g1_segments_with_room(void **state)
{
	static const char what[] = "segments with free slots of owner";
	static const char flag[] = "free slots of segment on the list";
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct owner *owner = &seat_device(&sp->maker, sp->maker.device)->owner;
	struct segment *s = segment_at(region, owner->roomy);

	CUT(sp, owner->roomy, 0, what);
	CUT(sp, s->next_roomy, owner->roomy, what);
	CUT(sp, s->roomy, 0, flag);
	CUT(sp, s->free, 0, flag);
	CUT(sp, seat_session(&sp->maker)->owner.roomy, 0, what);
}

/* All numbers right, and nobody will ever come to the session. */
static void g1_a_session_that_nobody_wakes(void **state)
{
	static const char what[] = "session with work on the ring";
	struct specimen *sp = *state;
	struct state *s = world_state(sp->world);
	struct queue saved = s->ready;
	struct session *opener = seat_session(&sp->opener);
	struct device *d = seat_device(&sp->opener, sp->opener.device);
	uint32_t count = opener->stream.count;

	s->ready = (struct queue){ 0 };
	opener->is_ready = 0;
	expect_report(sp, what, __LINE__);
	opener->stream.count = 0;
	expect_whole(sp, __LINE__);
	CUT(sp, opener->phase, SESSION_ENDING, what);
	d->state = DEVICE_REMOVED;
	d->sweep = SWEEP_DONE;
	CUT(sp, d->sweep, SWEEP_RESOURCES, what);
	CUT(sp, d->closing, 1, what);
	expect_whole(sp, __LINE__);
	d->sweep = SWEEP_NONE;
	d->state = DEVICE_LIVE;
	opener->stream.count = count;
	opener->is_ready = 1;
	s->ready = saved;
	expect_whole(sp, __LINE__);
}

/* A removed device never comes back to a context that it has passed. */
static void g1_contexts_left_behind(void **state)
{
	static const char what[] = "context that its device has left behind";
	struct specimen *sp = *state;
	struct device *d = seat_device(&sp->maker, sp->maker.device);

	d->unquiet = d->first_context;
	d->sweep = SWEEP_END;
	CUT(sp, d->unquiet, 0, what);
	d->sweep = SWEEP_QUIESCE;
	CUT(sp, d->unquiet, 0, what);
	d->sweep = SWEEP_NONE;
	d->unquiet = 0;
	expect_whole(sp, __LINE__);
}

#define on_specimen(test) \
	cmocka_unit_test_setup_teardown(test, specimen_setup, specimen_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_specimen(g1_g2_the_ring_of_sessions),
		on_specimen(g1_g2_the_queue_of_jobs),
		on_specimen(g1_g2_the_queue_of_the_ended),
		on_specimen(g1_g2_the_queue_of_answers),
		on_specimen(g1_g2_the_queue_of_loose_waiters),
		on_specimen(g1_g2_devices),
		on_specimen(g1_g2_tokens),
		on_specimen(g1_g2_holdings),
		on_specimen(g1_segments_with_room),
		on_specimen(g1_a_session_that_nobody_wakes),
		on_specimen(g1_contexts_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
