/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: G1 to G4 of core/context.c. */
#include "tests/support/seat.h"

#include "core/context.h"

struct stage {
	struct seat seat;
	uint64_t context;
	uint32_t word;
	uint64_t list[3];
};

static int set_up(void **state)
{
	static struct stage s;

	seat_take(&s.seat, inproc_new(NULL));
	assert_int_equal(seat_context_create(&s.seat, &s.context, &s.word), 0);
	assert_int_equal(seat_create(&s.seat, 0, 0, 3, NULL, s.list), 0);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *s = *state;

	inproc_check(s->seat.world);
	inproc_free(s->seat.world);
	return 0;
}

static struct context *its(struct stage *s)
{
	return seat_context(&s->seat, s->context);
}

static uint64_t allocations(struct stage *s)
{
	return checking_allocations(inproc_backend(s->seat.world, 0));
}

static void g1_progress_only_grows_up_to_what_was_submitted(void **state)
{
	struct stage *s = *state;

	assert_int_equal(seat_progress(&s->seat, s->context, 5), 0);
	assert_int_equal(its(s)->done, 0);
	assert_int_equal(seat_submit(&s->seat, s->context, 5, s->list, 1), 0);
	assert_int_equal(its(s)->done, 0);
	assert_int_equal(seat_progress(&s->seat, s->context, 3), 0);
	assert_int_equal(its(s)->done, 3);
	assert_int_equal(seat_progress(&s->seat, s->context, 2), 0);
	assert_int_equal(its(s)->done, 3);
	assert_int_equal(seat_progress(&s->seat, s->context, UINT64_MAX), 0);
	assert_int_equal(its(s)->done, 5);
	assert_int_equal(seat_submit(&s->seat, s->context, UINT64_MAX, NULL, 0),
			 0);
	assert_int_equal(its(s)->done, 5);
}

static void g1_the_word_and_the_message_count_alike(void **state)
{
	struct stage *s = *state;
	struct inproc *w = s->seat.world;
	uint32_t client = s->seat.client;

	assert_false(broker_waits_for_progress(inproc_broker(w), client));
	assert_int_equal(seat_submit(&s->seat, s->context, 9, s->list, 3), 0);
	assert_int_equal(seat_destroy(&s->seat, 0, s->list, 3, 0), 0);
	assert_true(broker_waits_for_progress(inproc_broker(w), client));
	inproc_store_word(w, client, s->word, 4);
	inproc_ring_bell(w, client);
	assert_int_equal(its(s)->done, 4);
	assert_int_equal(seat_progress(&s->seat, s->context, 6), 0);
	inproc_store_word(w, client, s->word, 5);
	inproc_ring_bell(w, client);
	assert_int_equal(its(s)->done, 6);
	assert_int_equal(allocations(s), 3);
	inproc_store_word(w, client, s->word, UINT64_MAX);
	inproc_ring_bell(w, client);
	assert_int_equal(its(s)->done, 9);
	assert_int_equal(allocations(s), 0);
	assert_false(broker_waits_for_progress(inproc_broker(w), client));
}

/* A look at many words comes to all of them, a few at a time. */
static void words_are_looked_at_in_pieces(void **state)
{
	enum { MANY = 25, LOOKS = 10 };
	struct stage *s = *state;
	struct seat *q = &s->seat;
	uint32_t word[MANY], at = 0, pieces = 0, cost = 0;
	uint64_t context[MANY];

	for (int i = 0; i < MANY; i++) {
		assert_int_equal(seat_context_create(q, &context[i], &word[i]),
				 0);
		assert_int_equal(seat_submit(q, context[i], 9, s->list, 0), 0);
		inproc_store_word(q->world, q->client, word[i], 5);
	}
	do {
		uint32_t one = broker_progressed_some(inproc_broker(q->world),
						      q->client, LOOKS, &at);

		assert_in_range(one, 1, LOOKS);
		cost += one;
		pieces++;
	} while (at);
	assert_int_equal(pieces, 3);
	assert_int_equal(cost, MANY + 1);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(seat_context(q, context[i])->done, 5);
}

/* Whoever destroys looks at the word himself: no bell is needed. */
static void a_destroy_looks_at_the_word(void **state)
{
	struct stage *s = *state;

	assert_int_equal(seat_submit(&s->seat, s->context, 9, s->list, 3), 0);
	inproc_store_word(s->seat.world, s->seat.client, s->word, 9);
	assert_int_equal(seat_destroy(&s->seat, 0, s->list, 3, 0), 0);
	assert_int_equal(allocations(s), 0);
}

/* The next context with that word does not begin where the last one ended. */
static void a_word_begins_at_zero(void **state)
{
	struct stage *s = *state;
	uint32_t word;

	inproc_store_word(s->seat.world, s->seat.client, s->word, 99);
	assert_int_equal(seat_context_destroy(&s->seat, s->context, 0), 0);
	assert_int_equal(seat_context_create(&s->seat, &s->context, &word), 0);
	assert_int_equal(word, s->word);
	assert_int_equal(seat_submit(&s->seat, s->context, 5, s->list, 1), 0);
	inproc_ring_bell(s->seat.world, s->seat.client);
	assert_int_equal(its(s)->done, 0);
}

static void g2_a_refused_submit_notes_nothing(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;
	uint64_t list[3] = { s->list[0], s->list[1], 0 };
	uint64_t second, first = q->device, other;

	assert_int_equal(seat_submit(q, s->context, 5, s->list, 3), 0);
	assert_unchanged(q, seat_submit(q, s->context, 0, s->list, 3), -EINVAL,
			 TENURE_REASON_VALUE_ZERO);
	assert_unchanged(q, seat_submit(q, s->context, 4, s->list, 3), -EINVAL,
			 TENURE_REASON_VALUE_BACKWARDS);
	assert_unchanged(q, seat_submit(q, s->context, 6, list, 3), -EINVAL,
			 TENURE_REASON_ENTRY_ZERO);
	list[2] = s->context;
	assert_unchanged(q, seat_submit(q, s->context, 6, list, 3), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	assert_int_equal(q->reply.head.index, 2);
	list[2] = ~s->context;
	assert_unchanged(q, seat_submit(q, s->context, 6, list, 3), -EINVAL,
			 TENURE_REASON_ENTRY_INVALID);
	assert_unchanged(q, seat_submit(q, s->list[0], 6, s->list, 3), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	assert_unchanged(q, seat_submit(q, 0, 6, s->list, 3), -EINVAL,
			 TENURE_REASON_CONTEXT_INVALID);
	assert_int_equal(seat_device_create(q, q->adapter, &second), 0);
	q->device = second;
	assert_unchanged(q, seat_submit(q, s->context, 6, s->list, 3), -EINVAL,
			 TENURE_REASON_OTHER_DEVICE);
	assert_int_equal(seat_create(q, 0, 0, 1, NULL, &other), 0);
	q->device = first;
	list[2] = other;
	assert_unchanged(q, seat_submit(q, s->context, 6, list, 3), -EINVAL,
			 TENURE_REASON_OTHER_DEVICE);
	/* The same value again: more of the same work. */
	assert_int_equal(seat_submit(q, s->context, 5, s->list, 3), 0);
}

static void g2_lists_that_are_too_long_or_too_short(void **state)
{
	struct stage *s = *state;
	struct wire_request r = {
		.opcode = WIRE_OP_CONTEXT_SUBMIT,
		.device = s->seat.device,
		.object = s->context,
		.count = 2,
		.value = { 1 },
	};

	assert_unchanged(&s->seat, seat_ask(&s->seat, r, s->list, 8), -EINVAL,
			 TENURE_REASON_LIST_TRUNCATED);
	r.count = LIST_ENTRIES_MAX + 1;
	assert_unchanged(&s->seat, seat_ask(&s->seat, r, s->list, 8), -EINVAL,
			 TENURE_REASON_LIST_TOO_LONG);
	assert_int_equal(seat_submit(&s->seat, s->context, 1, NULL, 0), 0);
}

static void g3_destroy_waits_for_the_queued_work(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;
	uint64_t id;

	assert_int_equal(seat_submit(q, s->context, 5, s->list, 3), 0);
	assert_unchanged(q, seat_context_destroy(q, s->context, 2), -EINVAL,
			 TENURE_REASON_FLAGS_RESERVED);
	assert_int_equal(seat_send_context_destroy(q, s->context, 0),
			 BROKER_LATER);
	id = q->id;
	assert_true(
		broker_waits_for_progress(inproc_broker(q->world), q->client));
	assert_int_equal(seat_submit(q, s->context, 6, s->list, 3), -EINVAL);
	assert_int_equal(q->reply.head.reason, TENURE_REASON_CONTEXT_ENDING);
	assert_int_equal(seat_context_destroy(q, s->context, 0), -EINVAL);
	assert_int_equal(seat_progress(q, s->context, 4), 0);
	assert_false(seat_heard(q, id));
	inproc_check(q->world);
	assert_int_equal(seat_progress(q, s->context, 5), 0);
	assert_true(seat_heard(q, id));
	assert_int_equal(q->reply.head.status, 0);
	assert_int_equal(seat_progress(q, s->context, 5), -EINVAL);
	assert_int_equal(q->reply.head.reason, TENURE_REASON_CONTEXT_INVALID);
	assert_int_equal(allocations(s), 3);
}

static void g3_destroy_can_terminate_the_work(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;

	assert_int_equal(seat_submit(q, s->context, 5, s->list, 3), 0);
	assert_int_equal(seat_destroy(q, 0, s->list, 2, 0), 0);
	assert_int_equal(allocations(s), 3);
	assert_int_equal(
		seat_context_destroy(q, s->context, TENURE_END_TERMINATE), 0);
	assert_int_equal(allocations(s), 1);
}

static void g3_an_idle_one_goes_at_once(void **state)
{
	struct stage *s = *state;

	assert_int_equal(seat_send_context_destroy(&s->seat, s->context, 0),
			 BROKER_REPLY);
	assert_int_equal(s->seat.reply.head.status, 0);
}

/* It ends with work, and what is parked there goes before the answer. */
static void g3_g4_what_is_parked_goes_first(void **state)
{
	struct stage *s = *state;
	struct seat *q = &s->seat;
	uint64_t id;

	assert_int_equal(seat_submit(q, s->context, 5, s->list, 3), 0);
	assert_int_equal(seat_destroy(q, 0, s->list, 3, 0), 0);
	assert_int_equal(seat_send_context_destroy(q, s->context, 0),
			 BROKER_LATER);
	id = q->id;
	inproc_pump_by_itself(q->world, false);
	assert_int_equal(seat_progress(q, s->context, 5), 0);
	inproc_check(q->world);
	assert_int_equal(its(s)->is_reached, 1);
	while (!seat_heard(q, id)) {
		assert_true(inproc_pump(q->world));
		inproc_check(q->world);
	}
	inproc_pump_by_itself(q->world, true);
	inproc_pump_all(q->world);
	assert_int_equal(allocations(s), 0);
}

static void creation_can_be_refused(void **state)
{
	struct inproc_config config;
	struct seat q;
	uint64_t context;

	(void)state;
	inproc_config_default(&config);
	config.limits.client[CHARGE_HANDLES] = 3;
	seat_take(&q, inproc_new(&config));
	assert_int_equal(seat_context_create(&q, &context, NULL), 0);
	assert_unchanged(&q, seat_context_create(&q, &context, NULL), -EDQUOT,
			 TENURE_REASON_CLIENT_HANDLES);
	assert_int_equal(seat_context_destroy(&q, context, 0), 0);
	assert_int_equal(seat_context_create(&q, &context, NULL), 0);
	q.device = 0;
	assert_unchanged(&q, seat_context_create(&q, &context, NULL), -EINVAL,
			 TENURE_REASON_DEVICE_INVALID);
	inproc_free(q.world);
}

static void as_many_as_there_are_words(void **state)
{
	struct stage *s = *state;
	uint64_t context;

	for (int i = 2; i < WORDS_PER_CLIENT_MAX; i++)
		assert_int_equal(seat_context_create(&s->seat, &context, NULL),
				 0);
	assert_unchanged(&s->seat,
			 seat_context_create(&s->seat, &context, NULL), -EDQUOT,
			 TENURE_REASON_CLIENT_WORDS);
	assert_int_equal(seat_context_destroy(&s->seat, context, 0), 0);
	assert_int_equal(seat_context_create(&s->seat, &context, NULL), 0);
}

#define on_stage(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_stage(g1_progress_only_grows_up_to_what_was_submitted),
		on_stage(g1_the_word_and_the_message_count_alike),
		on_stage(a_destroy_looks_at_the_word),
		on_stage(words_are_looked_at_in_pieces),
		on_stage(a_word_begins_at_zero),
		on_stage(g2_a_refused_submit_notes_nothing),
		on_stage(g2_lists_that_are_too_long_or_too_short),
		on_stage(g3_destroy_waits_for_the_queued_work),
		on_stage(g3_destroy_can_terminate_the_work),
		on_stage(g3_an_idle_one_goes_at_once),
		on_stage(g3_g4_what_is_parked_goes_first),
		cmocka_unit_test(creation_can_be_refused),
		on_stage(as_many_as_there_are_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
