/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ring/ring_client.h"

#include "tests/support/ring_pair.h"

static const uint32_t firsts[] = { 0, 0xfffffff0, 0xffffffff, 0x7ffffff8 };

static int set_up(void **state)
{
	*state = ring_pair_new(0);
	return 0;
}

static int tear_down(void **state)
{
	ring_pair_free(*state);
	return 0;
}

static void g1_a_full_queue_waits_for_the_daemon(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(firsts); f++) {
		struct ring_pair *p = ring_pair_new(firsts[f]);
		uint64_t in = 0, out = 0;

		while (in < RING_SQ_ENTRIES)
			assert_int_equal(pair_submit(p, in++), 0);
		assert_int_equal(pair_submit(p, in), -EAGAIN);
		ring_client_publish(&p->client);
		assert_int_equal(pair_submit(p, in), -EAGAIN);
		for (int i = 0; i < 3; i++) {
			pair_expect_request(p, out++);
			ring_server_forgo(&p->server);
		}
		assert_int_equal(pair_submit(p, in), -EAGAIN);
		ring_server_publish(&p->server);
		for (int i = 0; i < 3; i++)
			assert_int_equal(pair_submit(p, in++), 0);
		assert_int_equal(pair_submit(p, in), -EAGAIN);
		ring_client_publish(&p->client);
		while (out < in) {
			pair_expect_request(p, out++);
			ring_server_forgo(&p->server);
		}
		ring_pair_free(p);
	}
}

static void g2_every_completion_once_in_order(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(firsts); f++) {
		struct ring_pair *p = ring_pair_new(firsts[f]);
		uint64_t sent = 0, read = 0;

		for (uint32_t run = 1; run < RING_SQ_ENTRIES; run += 9) {
			for (uint32_t i = 0; i < run; i++)
				assert_int_equal(pair_submit(p, sent + i), 0);
			ring_client_publish(&p->client);
			for (uint32_t i = 0; i < run; i++) {
				pair_expect_request(p, sent);
				pair_complete(p, sent++);
			}
			assert_int_equal(pair_reap(p), 0);
			ring_server_publish(&p->server);
			while (read < sent)
				pair_expect_reply(p, read++);
			assert_int_equal(pair_reap(p), 0);
		}
		ring_pair_free(p);
	}
}

static void blocks(void **state)
{
	struct ring_pair *p = *state;
	bool seen[RING_BLOCKS] = { false };

	for (int i = 0; i < RING_BLOCKS; i++) {
		int block = ring_client_block_take(&p->client);

		assert_true(block >= 0 && block < RING_BLOCKS && !seen[block]);
		seen[block] = true;
		assert_int_equal(ring_client_block_offset(block),
				 block * RING_BLOCK_BYTES);
	}
	assert_int_equal(ring_client_block_take(&p->client), -EAGAIN);
	ring_client_block_free(&p->client, 5);
	assert_int_equal(ring_client_block_take(&p->client), 5);
	assert_int_equal(ring_client_block_take(&p->client), -EAGAIN);
}

static void g3_impossible_heads(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(firsts); f++) {
		static const uint32_t bad[] = { 3, 4, 0xffffffff, 1u << 31 };

		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			struct ring_pair *p = ring_pair_new(firsts[f]);

			pair_submit(p, 1);
			pair_submit(p, 2);
			ring_client_publish(&p->client);
			pair_submit(p, 3);
			p->ring->header.sq_head = firsts[f] + bad[i];
			assert_int_equal(ring_client_is_drained(&p->client),
					 -EPROTO);
			while (p->client.sq_tail - p->client.sq_head <
			       RING_SQ_ENTRIES)
				assert_int_equal(pair_submit(p, 4), 0);
			assert_int_equal(pair_submit(p, 5), -EPROTO);
			ring_pair_free(p);

			p = ring_pair_new(firsts[f]);
			pair_free(p, 1, 2);
			p->ring->header.fq_head = firsts[f] + bad[i];
			assert_int_equal(ring_client_is_drained(&p->client),
					 -EPROTO);
			pair_free(p, 3, RING_FQ_ENTRIES - 2);
			p->ring->header.fq_head =
				firsts[f] + RING_FQ_ENTRIES + 1;
			assert_int_equal(ring_client_free(&p->client, 9),
					 -EPROTO);
			ring_pair_free(p);
		}
	}
}

static void g3_impossible_tails(void **state)
{
	static const uint32_t bad[] = { RING_CQ_ENTRIES + 1, 0xffffffff,
					1u << 31 };

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(firsts); f++)
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			struct ring_pair *p = ring_pair_new(firsts[f]);

			p->ring->header.cq_tail = firsts[f] + bad[i];
			assert_int_equal(pair_reap(p), -EPROTO);
			assert_int_equal(pair_reap(p), -EPROTO);
			p->ring->header.cq_tail = firsts[f] + RING_CQ_ENTRIES;
			for (int n = 0; n < RING_CQ_ENTRIES; n++)
				assert_int_equal(pair_reap(p), 1);
			assert_int_equal(pair_reap(p), 0);
			ring_pair_free(p);
		}
}

static void drained_means_done_and_published(void **state)
{
	struct ring_pair *p = *state;

	assert_int_equal(ring_client_is_drained(&p->client), 1);
	pair_submit(p, 1);
	/* Not published, so not waited for. */
	assert_int_equal(ring_client_is_drained(&p->client), 1);
	ring_client_publish(&p->client);
	assert_int_equal(ring_client_is_drained(&p->client), 0);
	pair_expect_request(p, 1);
	assert_int_equal(ring_client_is_drained(&p->client), 0);
	ring_server_forgo(&p->server);
	ring_server_publish(&p->server);
	assert_int_equal(ring_client_is_drained(&p->client), 1);
	pair_free(p, 1, 3);
	assert_int_equal(ring_client_is_drained(&p->client), 0);
	pair_expect_frees(p, 1, 3);
	ring_server_frees_done(&p->server, 3);
	assert_int_equal(ring_client_is_drained(&p->client), 0);
	ring_server_publish(&p->server);
	assert_int_equal(ring_client_is_drained(&p->client), 1);
}

/* Each way in which something may happen between looking and sleeping. */
static void g4_a_wake_up_is_not_lost(void **state)
{
	struct ring_pair *p = *state;
	uint32_t sequence;

	pair_submit(p, 1);
	ring_client_publish(&p->client);
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
	/* Published before the sleeper said so: its second look sees it. */
	pair_complete(p, 1);
	assert_false(ring_server_publish(&p->server));
	sequence = ring_client_sleep_prepare(&p->client);
	assert_int_equal(p->ring->header.wake_sequence, sequence);
	pair_expect_reply(p, 1);
	/* Published after its second look: the word has changed. */
	pair_submit(p, 2);
	ring_client_publish(&p->client);
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
	pair_complete(p, 2);
	assert_true(ring_server_publish(&p->server));
	assert_int_not_equal(p->ring->header.wake_sequence, sequence);
	ring_client_sleep_finish(&p->client);
	assert_int_equal(p->ring->header.client_need, 0);
}

static void g4_sleepers_are_counted(void **state)
{
	struct ring_pair *p = *state;

	ring_client_sleep_prepare(&p->client);
	ring_client_sleep_prepare(&p->client);
	assert_int_equal(p->ring->header.client_need, 2);
	ring_client_sleep_finish(&p->client);
	assert_int_equal(p->ring->header.client_need, 1);
	ring_client_await_heads(&p->client); /* while the other one sleeps */
	assert_int_equal(p->ring->header.client_need, RING_HEADS | 1);
	pair_free(p, 1, 1);
	pair_expect_frees(p, 1, 1);
	ring_server_frees_done(&p->server, 1);
	assert_true(ring_server_publish(&p->server));
	ring_client_sleep_finish(&p->client);
}

/* A flush asks for what the timer would have seen later. */
static void g5_publish_asks_for_frees_now(void **state)
{
	struct ring_pair *p = *state;

	assert_int_equal(pair_free(p, 1, 1), 1);
	pair_expect_frees(p, 1, 1);
	ring_server_frees_done(&p->server, 1);
	assert_true(ring_server_park(&p->server, false));
	assert_int_equal(pair_free(p, 2, 2), 0);
	assert_true(ring_client_publish(&p->client));
	assert_false(ring_client_publish(&p->client));
	ring_server_unpark(&p->server);
	assert_int_equal(pair_free(p, 4, 1), 0);
	assert_false(ring_client_publish(&p->client));
}

/* What a thread without the lock sees: completions always, heads if it asks. */
static void news(void **state)
{
	struct ring_pair *p = *state;
	struct ring_seen replies, heads;

	ring_client_seen(&p->client, false, &replies);
	ring_client_seen(&p->client, true, &heads);
	assert_false(ring_client_has_news(p->ring, &replies));
	assert_false(ring_client_has_news(p->ring, &heads));
	pair_free(p, 1, 1);
	pair_expect_frees(p, 1, 1);
	ring_server_frees_done(&p->server, 1);
	ring_server_publish(&p->server);
	assert_false(ring_client_has_news(p->ring, &replies));
	assert_true(ring_client_has_news(p->ring, &heads));
	assert_int_equal(ring_client_is_drained(&p->client), 1);
	ring_client_seen(&p->client, true, &heads);
	assert_false(ring_client_has_news(p->ring, &heads));
	pair_submit(p, 1);
	ring_client_publish(&p->client);
	pair_expect_request(p, 1);
	pair_complete(p, 1);
	assert_false(ring_client_has_news(p->ring, &replies));
	ring_server_publish(&p->server);
	assert_true(ring_client_has_news(p->ring, &replies));
	assert_true(ring_client_has_news(p->ring, &heads));
	pair_expect_reply(p, 1);
	ring_client_seen(&p->client, false, &replies);
	assert_false(ring_client_has_news(p->ring, &replies));
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_a_full_queue_waits_for_the_daemon),
		cmocka_unit_test(g2_every_completion_once_in_order),
		PAIR_TEST(blocks),
		cmocka_unit_test(g3_impossible_heads),
		cmocka_unit_test(g3_impossible_tails),
		PAIR_TEST(drained_means_done_and_published),
		PAIR_TEST(g4_a_wake_up_is_not_lost),
		PAIR_TEST(g4_sleepers_are_counted),
		PAIR_TEST(g5_publish_asks_for_frees_now),
		PAIR_TEST(news),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
