/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ring/ring_server.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/ring_pair.h"

static_assert(sizeof(struct ring) % 4096 == 0, "whole pages");
static_assert(offsetof(struct ring_header, wake_sequence) ==
		      9 * RING_LINE_BYTES,
	      "each word of the header has a line pair to itself");
static_assert(offsetof(struct ring_work, args) ==
		      offsetof(struct ring_work, request) +
			      sizeof(struct wire_request),
	      "request and arguments are one message");
static_assert(sizeof(struct ring) == 528384, "the layout is the protocol");

/* Indexes from the beginning, just below the wrap, and on it. */
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

/* Every length of run up to the whole queue, and all of it over the wrap. */
static void g1_every_entry_once_in_order(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(firsts); f++) {
		struct ring_pair *p = ring_pair_new(firsts[f]);
		uint64_t in = 0, out = 0;

		for (uint32_t run = 1; run <= RING_SQ_ENTRIES; run += 5) {
			for (uint32_t i = 0; i < run; i++)
				assert_int_equal(pair_submit(p, in++), 0);
			assert_int_equal(pair_take(p), RING_TAKE_NONE);
			ring_client_publish(&p->client);
			for (uint32_t i = 0; i < run; i++) {
				pair_expect_request(p, out++);
				ring_server_forgo(&p->server);
			}
			assert_int_equal(pair_take(p), RING_TAKE_NONE);
			ring_server_publish(&p->server);
			assert_int_equal(ring_client_is_drained(&p->client), 1);
		}
		ring_pair_free(p);
	}
}

static void g1_every_handle_once_in_order(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(firsts); f++) {
		struct ring_pair *p = ring_pair_new(firsts[f]);
		uint64_t out = 1;

		pair_free(p, 1, RING_FQ_ENTRIES);
		assert_int_equal(ring_client_free(&p->client, 7), -EAGAIN);
		for (uint32_t n = 0; n < RING_FQ_ENTRIES; n += RING_FREES_MAX) {
			pair_expect_frees(p, out, RING_FREES_MAX);
			ring_server_frees_done(&p->server, RING_FREES_MAX);
			out += RING_FREES_MAX;
		}
		assert_int_equal(pair_take(p), RING_TAKE_NONE);
		assert_int_equal(ring_client_free(&p->client, 7), -EAGAIN);
		ring_server_publish(&p->server);
		assert_int_equal(pair_free(p, 3, 3), 0);
		pair_expect_frees(p, 3, 3);
		ring_pair_free(p);
	}
}

static void g2_frees_come_before_the_request_behind_them(void **state)
{
	struct ring_pair *p = *state;

	pair_free(p, 100, 2);
	pair_submit(p, 1);
	pair_free(p, 102, 2);
	pair_submit(p, 2);
	ring_client_publish(&p->client);
	pair_expect_frees(p, 100, 4);
	ring_server_frees_done(&p->server, 4);
	pair_expect_request(p, 1);
	/* Frees that come now do not hold up a request that is known. */
	pair_free(p, 104, 3);
	pair_expect_request(p, 2);
	pair_expect_frees(p, 104, 3);
}

/* Over the wrap, too; and nobody sees that it had been taken. */
static void g1_g2_what_is_put_back_comes_again(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(firsts); f++) {
		struct ring_pair *p = ring_pair_new(firsts[f]);

		pair_free(p, 100, 20);
		pair_submit(p, 1);
		pair_submit(p, 2);
		ring_client_publish(&p->client);
		for (int i = 0; i < 3; i++) {
			pair_expect_frees(p, 100, 20);
			pair_expect_request(p, 1);
			pair_expect_request(p, 2);
			ring_server_put_back(&p->server, 2, 20);
			assert_int_equal(p->server.reserved, 0);
		}
		pair_expect_frees(p, 100, 20);
		ring_server_put_back(&p->server, 0, 19);
		pair_frees_done(p, 1);
		assert_int_equal(p->ring->header.fq_head, firsts[f] + 1);
		pair_expect_frees(p, 101, 19);
		pair_frees_done(p, 19);
		pair_expect_request(p, 1);
		pair_complete(p, 1);
		pair_expect_request(p, 2);
		pair_complete(p, 2);
		ring_server_publish(&p->server);
		pair_expect_reply(p, 1);
		pair_expect_reply(p, 2);
		assert_int_equal(pair_take(p), RING_TAKE_NONE);
		ring_pair_free(p);
	}
}

static void arguments_come_with_their_request(void **state)
{
	struct ring_pair *p = *state;

	for (uint32_t size = 0; size <= RING_BLOCK_BYTES; size += 2731) {
		uint8_t bytes[RING_BLOCK_BYTES];
		int block = ring_client_block_take(&p->client);
		struct wire_request r = {
			.opcode = WIRE_OP_DESTROY,
			.args_bytes = size,
			.args_offset = ring_client_block_offset(block),
			.data_capacity = 1,
		};

		for (uint32_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)(i * 7 + size);
		ring_client_block_write(&p->client, block, bytes, size);
		assert_int_equal(ring_client_submit(&p->client, &r), 0);
		ring_client_publish(&p->client);
		memset(p->work.args, 0xaa, sizeof(p->work.args));
		assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
		assert_memory_equal(&p->work.request, &r, sizeof(r));
		assert_memory_equal(p->work.args, bytes, size);
		if (size < RING_BLOCK_BYTES)
			assert_int_equal(((uint8_t *)p->work.args)[size], 0xaa);
		ring_server_forgo(&p->server);
		ring_server_publish(&p->server);
		if (size % 2 == 0) /* so that all blocks have their turn */
			ring_client_block_free(&p->client, block);
	}
}

static void data_goes_into_the_block_of_the_request(void **state)
{
	struct ring_pair *p = *state;
	uint8_t data[RING_BLOCK_BYTES], got[RING_BLOCK_BYTES];

	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + 1);
	for (int block = 0; block < RING_BLOCKS; block++) {
		uint32_t size = block == 0 ? RING_BLOCK_BYTES :
					     (uint32_t)block * 1000 + 1;
		struct wire_request r = {
			.args_offset = ring_client_block_offset(block),
			.data_capacity = size,
		};
		const struct wire_reply reply = { .id = 4, .data_bytes = size };

		assert_int_equal(ring_client_block_take(&p->client), block);
		assert_int_equal(ring_client_submit(&p->client, &r), 0);
		ring_client_publish(&p->client);
		assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
		ring_server_complete(&p->server, &reply, data,
				     p->work.request.args_offset);
		assert_int_equal(pair_reap(p), 0);
		ring_server_publish(&p->server);
		assert_int_equal(pair_reap(p), 1);
		assert_int_equal(p->reply.data_bytes, size);
		ring_client_block_read(&p->client, block, got, size);
		assert_memory_equal(got, data, size);
	}
	assert_int_equal(ring_client_block_take(&p->client), -EAGAIN);
}

/* A fault is found by take and by park, and it stays. */
static void expect_fault(struct ring_pair *p)
{
	assert_false(ring_server_park(&p->server, false));
	assert_int_equal(pair_take(p), RING_TAKE_FAULT);
	assert_non_null(p->work.fault);
	p->ring->header.sq_tail = p->server.sq_head + 1;
	p->ring->header.fq_tail = p->server.fq_head + 1;
	p->ring->header.cq_head = p->server.published_cq_tail;
	assert_int_equal(pair_take(p), RING_TAKE_FAULT);
	assert_false(ring_server_park(&p->server, true));
	assert_false(ring_server_fq_expired(&p->server));
	assert_false(ring_server_wants_timer(&p->server));
	ring_pair_free(p);
}

static void g4_impossible_tails(void **state)
{
	static const uint32_t beyond[] = { 1, 2, 1u << 30, 0x7fffffff };

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(firsts); f++)
		for (size_t i = 0; i < ARRAY_SIZE(beyond); i++) {
			uint32_t first = firsts[f];
			struct ring_pair *p = ring_pair_new(first);

			p->ring->header.sq_tail =
				first + RING_SQ_ENTRIES + beyond[i];
			expect_fault(p);
			p = ring_pair_new(first);
			p->ring->header.sq_tail = first - beyond[i];
			expect_fault(p);
			p = ring_pair_new(first);
			p->ring->header.fq_tail =
				first + RING_FQ_ENTRIES + beyond[i];
			expect_fault(p);
			p = ring_pair_new(first);
			p->ring->header.fq_tail = first - beyond[i];
			expect_fault(p);
		}
}

/* A tail that had been seen further on; an exactly full queue is none. */
static void g4_tails_that_go_back(void **state)
{
	struct ring_pair *p;

	(void)state;
	for (uint32_t back = 1; back <= 3; back++) {
		p = ring_pair_new(firsts[1]);
		p->ring->header.sq_tail = firsts[1] + 4;
		assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
		p->ring->header.sq_tail = firsts[1] + 4 - back;
		expect_fault(p);
		p = ring_pair_new(firsts[1]);
		p->ring->header.fq_tail = firsts[1] + 4;
		assert_false(ring_server_park(&p->server, false));
		p->ring->header.fq_tail = firsts[1] + 4 - back;
		expect_fault(p);
	}
	p = ring_pair_new(0);
	p->ring->header.sq_tail = RING_SQ_ENTRIES;
	p->ring->header.fq_tail = RING_FQ_ENTRIES;
	assert_int_equal(pair_take(p), RING_TAKE_FREES);
	ring_pair_free(p);
}

/* Three completions published, one of them read; then the head is this. */
static struct ring_pair *pair_with_cq_head(uint32_t first, uint32_t head)
{
	struct ring_pair *p = ring_pair_new(first);

	for (uint32_t i = 0; i < 4; i++)
		pair_submit(p, i);
	ring_client_publish(&p->client);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
		pair_complete(p, i);
	}
	ring_server_publish(&p->server);
	p->ring->header.cq_head = first + 1;
	assert_false(ring_server_park(&p->server, false));
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
	pair_complete(p, 3); /* not published */
	p->ring->header.cq_head = first + head;
	return p;
}

static void g4_impossible_heads(void **state)
{
	static const uint32_t bad[] = { 4,	    5,	      0,
					0xffffffff, 1u << 31, RING_CQ_ENTRIES };

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(firsts); f++) {
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			struct ring_pair *p =
				pair_with_cq_head(firsts[f], bad[i]);

			p->ring->header.sq_tail = p->server.sq_head + 1;
			expect_fault(p);
		}
		for (uint32_t head = 1; head <= 3; head++) {
			struct ring_pair *p =
				pair_with_cq_head(firsts[f], head);

			assert_true(ring_server_park(&p->server, false));
			ring_pair_free(p);
		}
	}
}

static void g4_arguments_outside_the_arena(void **state)
{
	static const struct {
		uint32_t offset, args, capacity;
		bool ok;
	} rows[] = {
		{ 0, 0, 0, true },
		{ 0, 1, 0, true },
		{ 0, 0, 1, true },
		{ RING_BLOCK_BYTES, RING_BLOCK_BYTES, RING_BLOCK_BYTES, true },
		{ 7 * RING_BLOCK_BYTES, 8, 0, true },
		{ RING_BLOCK_BYTES, 0, 0, false },
		{ 8, 0, 0, false },
		{ 8, 8, 0, false },
		{ RING_BLOCK_BYTES - 8, 8, 0, false },
		{ RING_BLOCKS * RING_BLOCK_BYTES, 8, 0, false },
		{ 0x80000000u, 8, 0, false },
		{ 0xffff8000u, 8, 0, false },
		{ 0, RING_BLOCK_BYTES + 1, 0, false },
		{ 0, UINT32_MAX, 0, false },
		{ 0, 0, RING_BLOCK_BYTES + 1, false },
		{ 7 * RING_BLOCK_BYTES, 0, UINT32_MAX, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ring_pair *p = ring_pair_new(0);
		struct wire_request r = { .args_offset = rows[i].offset,
					  .args_bytes = rows[i].args,
					  .data_capacity = rows[i].capacity };

		ring_client_submit(&p->client, &r);
		ring_client_publish(&p->client);
		if (rows[i].ok) {
			assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
			ring_pair_free(p);
			continue;
		}
		assert_int_equal(pair_take(p), RING_TAKE_FAULT);
		expect_fault(p);
	}
}

/* Takes and completes until there is no room; how many. */
static uint32_t fill_completions(struct ring_pair *p)
{
	uint32_t n = 0;

	for (;;) {
		while (pair_submit(p, n) == 0)
			;
		ring_client_publish(&p->client);
		while (pair_take(p) == RING_TAKE_REQUEST)
			pair_complete(p, n++);
		ring_server_publish(&p->server);
		if (pair_take(p) == RING_TAKE_NO_ROOM)
			return n;
	}
}

static void g5_no_room_stops_and_reading_goes_on(void **state)
{
	struct ring_pair *p = *state;

	assert_int_equal(fill_completions(p), RING_CQ_ENTRIES);
	assert_int_equal(pair_take(p), RING_TAKE_NO_ROOM);
	for (uint64_t i = 0; i < 10; i++) {
		pair_expect_reply(p, i);
		assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
		pair_complete(p, RING_CQ_ENTRIES + i);
		assert_int_equal(pair_take(p), RING_TAKE_NO_ROOM);
	}
	ring_server_publish(&p->server);
	for (uint64_t i = 10; i < RING_CQ_ENTRIES + 10; i++)
		pair_expect_reply(p, i);
	assert_int_equal(pair_reap(p), 0);
}

/* Late replies keep their room however long they take. */
static void g5_late_replies_have_room(void **state)
{
	struct ring_pair *p = *state;

	for (uint32_t i = 0; i < 5; i++)
		pair_submit(p, i);
	ring_client_publish(&p->client);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
	assert_int_equal(fill_completions(p), RING_CQ_ENTRIES - 5);
	for (uint64_t i = 0; i < 5; i++) {
		pair_complete(p, 9000 + i);
		assert_int_equal(pair_take(p), RING_TAKE_NO_ROOM);
	}
	ring_server_publish(&p->server);
	for (uint64_t i = 0; i < RING_CQ_ENTRIES - 5; i++)
		pair_expect_reply(p, i);
	for (uint64_t i = 0; i < 5; i++)
		pair_expect_reply(p, 9000 + i);
}

static void g5_silence_gives_room_back(void **state)
{
	struct ring_pair *p = *state;

	for (uint64_t i = 0; i < 3 * RING_CQ_ENTRIES; i++) {
		assert_int_equal(pair_submit(p, i), 0);
		ring_client_publish(&p->client);
		pair_expect_request(p, i);
		ring_server_forgo(&p->server);
		ring_server_publish(&p->server);
	}
	assert_int_equal(pair_reap(p), 0);
}

static void g5_frees_are_taken_as_room_allows(void **state)
{
	struct ring_pair *p = *state;
	struct wire_reply refusal = { .opcode = WIRE_OP_FREE };

	pair_submit(p, 1);
	ring_client_publish(&p->client);
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
	pair_free(p, 1, RING_FREES_MAX + 10);
	pair_expect_frees(p, 1, RING_CQ_ENTRIES - 1);
	assert_int_equal(pair_take(p), RING_TAKE_NO_ROOM);
	for (uint32_t i = 0; i < p->work.frees; i++) {
		refusal.value[0] = p->work.handles[i];
		ring_server_refuse_free(&p->server, &refusal);
	}
	ring_server_frees_done(&p->server, p->work.frees);
	ring_server_publish(&p->server);
	assert_int_equal(pair_take(p), RING_TAKE_NO_ROOM);
	for (uint64_t i = 1; i < RING_CQ_ENTRIES; i++) {
		assert_int_equal(pair_reap(p), 1);
		assert_int_equal(p->reply.opcode, WIRE_OP_FREE);
		assert_int_equal(p->reply.value[0], i);
	}
	pair_expect_frees(p, RING_CQ_ENTRIES, 11);
}

static void g6_parked_it_is_rung(void **state)
{
	struct ring_pair *p = *state;

	/* From its birth on. */
	pair_submit(p, 1);
	assert_true(ring_client_publish(&p->client));
	ring_server_unpark(&p->server);
	pair_expect_request(p, 1);
	ring_server_forgo(&p->server);
	/* Awake: nobody rings. */
	pair_submit(p, 2);
	assert_false(ring_client_publish(&p->client));
	/* What came before it parked is found. */
	assert_false(ring_server_park(&p->server, false));
	pair_submit(p, 3);
	assert_false(ring_client_publish(&p->client));
	pair_expect_request(p, 2);
	ring_server_forgo(&p->server);
	pair_expect_request(p, 3);
	ring_server_forgo(&p->server);
	assert_true(ring_server_park(&p->server, false));
	pair_submit(p, 4);
	assert_true(ring_client_publish(&p->client));
	/* Nothing new: nothing to ring for. */
	assert_false(ring_client_publish(&p->client));
}

static void g6_progress_rings_only_who_waits_for_it(void **state)
{
	struct ring_pair *p = *state;

	assert_false(ring_client_progress(p->ring, 0, 1));
	assert_true(ring_server_park(&p->server, true));
	assert_true(ring_client_progress(p->ring, 5, 2));
	assert_true(ring_client_progress(p->ring, RING_WORDS - 1, 3));
	ring_server_unpark(&p->server);
	assert_false(ring_client_progress(p->ring, 5, 4));
	assert_int_equal(ring_server_word(&p->server, 0), 1);
	assert_int_equal(ring_server_word(&p->server, 5), 4);
	assert_int_equal(ring_server_word(&p->server, RING_WORDS - 1), 3);
}

static void g6_parked_for_room_it_is_rung_for_room_alone(void **state)
{
	struct ring_pair *p = *state;

	fill_completions(p);
	assert_int_equal(pair_reap(p), 1);
	assert_false(ring_client_reaped(&p->client));
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
	pair_complete(p, 1);
	ring_server_publish(&p->server);
	assert_int_equal(pair_take(p), RING_TAKE_NO_ROOM);
	assert_true(ring_server_park(&p->server, false));
	/* More work is nothing to ring for. */
	assert_int_equal(pair_submit(p, 9), 0);
	assert_false(ring_client_publish(&p->client));
	assert_int_equal(pair_free(p, 1, 1), 0);
	assert_false(ring_client_reaped(&p->client));
	assert_int_equal(pair_reap(p), 1);
	assert_true(ring_client_reaped(&p->client));
	assert_false(ring_client_reaped(&p->client));
	ring_server_unpark(&p->server);
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
}

/* Work that comes while it parks, and has no room, is not slept upon. */
static void g6_new_work_without_room(void **state)
{
	struct ring_pair *p = *state;
	uint32_t n = 0;

	while (n < RING_CQ_ENTRIES) {
		assert_int_equal(pair_submit(p, n), 0);
		ring_client_publish(&p->client);
		pair_expect_request(p, n);
		pair_complete(p, n++);
		ring_server_publish(&p->server);
	}
	assert_int_equal(pair_take(p), RING_TAKE_NONE);
	assert_int_equal(pair_submit(p, n), 0);
	ring_client_publish(&p->client);
	assert_false(ring_server_park(&p->server, false));
	assert_int_equal(pair_take(p), RING_TAKE_NO_ROOM);
	assert_true(ring_server_park(&p->server, false));
	/* Room that was made while it parked. */
	ring_server_unpark(&p->server);
	assert_int_equal(pair_reap(p), 1);
	assert_false(ring_client_reaped(&p->client));
	assert_false(ring_server_park(&p->server, false));
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
}

static void expect_timer(struct ring_pair *p, bool on)
{
	assert_int_equal(ring_server_wants_timer(&p->server), on);
}

static void g7_the_timer_runs_while_frees_come(void **state)
{
	struct ring_pair *p = *state;

	expect_timer(p, false);
	assert_int_equal(pair_free(p, 1, 1), 1); /* the first one rings */
	expect_timer(p, false);
	pair_expect_frees(p, 1, 1);
	pair_frees_done(p, 1);
	expect_timer(p, true);
	assert_true(ring_server_park(&p->server, false));
	assert_int_equal(pair_free(p, 2, 50), 0); /* the timer will see them */
	assert_true(ring_server_fq_expired(&p->server));
	pair_expect_frees(p, 2, 50);
	pair_frees_done(p, 50);
	/* They came in this period. */
	assert_true(ring_server_fq_expired(&p->server));
	assert_int_equal(pair_free(p, 52, 1), 0);
	pair_expect_frees(p, 52, 1);
	pair_frees_done(p, 1);
	assert_true(ring_server_fq_expired(&p->server));
	/* Nothing came: appends ring again, and it lingers once. */
	assert_true(ring_server_fq_expired(&p->server));
	expect_timer(p, true);
	assert_false(ring_server_fq_expired(&p->server));
	expect_timer(p, false);
	assert_int_equal(pair_free(p, 53, 1), 1);
}

/*
 * The append whose store was still in the writer's buffer when the daemon
 * looked: the handle is there, the glance said 0, and nobody rings.
 */
static void g7_the_lingering_look_finds_a_late_store(void **state)
{
	struct ring_pair *p = *state;

	pair_free(p, 1, 1);
	pair_expect_frees(p, 1, 1);
	pair_frees_done(p, 1);
	assert_true(ring_server_fq_expired(&p->server));
	p->ring->fq[1] = 77;
	assert_true(ring_server_fq_expired(&p->server)); /* nothing, lingers */
	assert_int_equal(p->ring->header.fq_need, 2);
	p->ring->header.fq_tail = 2;
	assert_true(ring_server_fq_expired(&p->server));
	assert_int_equal(p->ring->header.fq_need, 0);
	pair_expect_frees(p, 77, 1);
	expect_timer(p, true);
}

/* Rung or not, what is there keeps the timer going. */
static void g7_a_free_while_it_lingers(void **state)
{
	struct ring_pair *p = *state;

	pair_free(p, 1, 1);
	pair_expect_frees(p, 1, 1);
	pair_frees_done(p, 1);
	assert_true(ring_server_fq_expired(&p->server));
	assert_true(ring_server_fq_expired(&p->server));
	assert_int_equal(pair_free(p, 2, 1), 1);
	assert_true(ring_server_fq_expired(&p->server));
	assert_int_equal(p->ring->header.fq_need, 0);
	pair_expect_frees(p, 2, 1);
}

/* One ring for each wish, however many appends there are. */
static void g7_one_ring_is_enough(void **state)
{
	struct ring_pair *p = *state;

	for (uint64_t round = 0; round < 5; round++) {
		assert_int_equal(pair_free(p, 1, 100), 1);
		pair_expect_frees(p, 1, 100);
		pair_frees_done(p, 100);
		for (int i = 0; ring_server_fq_expired(&p->server); i++)
			assert_true(i < 2);
		p->ring->header.fq_need = p->server.fq_need =
			round == 2 ? UINT32_MAX : p->server.fq_need;
		p->client.rung = round == 2 ? 0 : p->client.rung;
	}
	assert_int_equal(p->server.fq_need, 2); /* 0 is no wish */
}

/*
 * A client that is held up between its append and its glance finds a wish that
 * was made after its free had been taken: a ring would change nothing.
 */
static void g7_a_wish_is_not_wasted(void **state)
{
	struct ring_pair *p = *state;

	p->ring->header.fq_head = 1; /* as it will be when it glances */
	assert_int_equal(pair_free(p, 1, 1), 0);
	assert_int_equal(pair_free(p, 2, 1), 1);
	assert_int_equal(pair_free(p, 3, 1), 0);
}

/* Nor is one made while it is not known what has been taken. */
static void g7_no_wish_before_heads_are_published(void **state)
{
	struct ring_pair *p = *state;

	pair_free(p, 1, 1);
	pair_expect_frees(p, 1, 1);
	ring_server_frees_done(&p->server, 1);
	for (int i = 0; i < 5; i++)
		assert_true(ring_server_fq_expired(&p->server));
	assert_int_equal(p->ring->header.fq_need, 0);
	ring_server_publish(&p->server);
	assert_true(ring_server_fq_expired(&p->server));
	assert_int_equal(p->ring->header.fq_need, 2);
}

/* Frees that are found by whoever looks anyway end the lingering. */
static void g7_frees_found_while_lingering(void **state)
{
	struct ring_pair *p = *state;

	pair_free(p, 1, 1);
	pair_expect_frees(p, 1, 1);
	pair_frees_done(p, 1);
	assert_true(ring_server_fq_expired(&p->server));
	assert_true(ring_server_fq_expired(&p->server));
	assert_int_equal(pair_free(p, 2, 1), 1);
	pair_expect_frees(p, 2, 1);
	pair_frees_done(p, 1);
	assert_int_equal(pair_free(p, 3, 1), 0);
	assert_true(ring_server_fq_expired(&p->server));
	pair_expect_frees(p, 3, 1);
}

/* A client that frees and does not read its refusals costs no timer. */
static void g7_no_timer_without_room(void **state)
{
	struct ring_pair *p = *state;

	fill_completions(p);
	assert_int_equal(pair_free(p, 1, 100), 0); /* nor any ring */
	expect_timer(p, false);
	assert_false(ring_server_fq_expired(&p->server));
	assert_true(ring_server_park(&p->server, false));
	while (pair_reap(p) == 1)
		;
	assert_true(ring_client_reaped(&p->client));
	while (pair_take(p) == RING_TAKE_REQUEST)
		ring_server_forgo(&p->server);
	assert_int_equal(p->work.frees, 100);
	expect_timer(p, true);
}

static void g8_only_sleepers_are_woken(void **state)
{
	struct ring_pair *p = *state;
	uint32_t sequence = ring_client_sleep_prepare(&p->client);

	assert_false(ring_server_publish(&p->server)); /* nothing new */
	pair_submit(p, 1);
	ring_client_publish(&p->client);
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
	pair_complete(p, 1);
	assert_true(ring_server_publish(&p->server));
	assert_int_not_equal(p->ring->header.wake_sequence, sequence);
	assert_ptr_equal(ring_server_futex(&p->server),
			 &p->ring->header.wake_sequence);
	assert_false(ring_server_publish(&p->server));
	ring_client_sleep_finish(&p->client);
	pair_submit(p, 2);
	ring_client_publish(&p->client);
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
	pair_complete(p, 2);
	assert_false(ring_server_publish(&p->server));
}

/* Those who wait for room in the queues, or for silence, are woken too, and
 * only they. */
static void g8_heads_wake_as_well(void **state)
{
	struct ring_pair *p = *state;

	ring_client_sleep_prepare(&p->client);
	pair_free(p, 7, 1);
	pair_expect_frees(p, 7, 1);
	ring_server_frees_done(&p->server, 1);
	assert_false(ring_server_publish(&p->server));
	ring_client_await_heads(&p->client);
	pair_free(p, 1, 1);
	pair_expect_frees(p, 1, 1);
	ring_server_frees_done(&p->server, 1);
	assert_int_equal(ring_client_is_drained(&p->client), 0);
	assert_true(ring_server_publish(&p->server));
	assert_int_equal(ring_client_is_drained(&p->client), 1);
	pair_submit(p, 1);
	ring_client_publish(&p->client);
	assert_int_equal(ring_client_is_drained(&p->client), 0);
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
	ring_server_forgo(&p->server);
	assert_true(ring_server_publish(&p->server));
	assert_int_equal(ring_client_is_drained(&p->client), 1);
	ring_client_forget_heads(&p->client);
	assert_int_equal(p->ring->header.client_need, RING_HEADS | 1);
	ring_client_sleep_finish(&p->client);
	assert_int_equal(p->ring->header.client_need, 0);
}

/* A free of that number is refused and the refusal published. */
static void refuse_one(struct ring_pair *p, uint64_t number)
{
	const struct wire_reply refusal = { .value[0] = number };

	pair_free(p, number, 1);
	pair_expect_frees(p, number, 1);
	ring_server_refuse_free(&p->server, &refusal);
	ring_server_frees_done(&p->server, 1);
	ring_server_publish(&p->server);
}

static void g9_one_letter_for_each_wish(void **state)
{
	struct ring_pair *p = *state;

	refuse_one(p, 1);
	assert_false(ring_server_tells(&p->server)); /* nobody wishes */
	ring_client_wish(&p->client);
	pair_free(p, 2, 1);
	pair_expect_frees(p, 2, 1);
	ring_server_frees_done(&p->server, 1);
	assert_false(ring_server_publish(&p->server)); /* nobody sleeps */
	assert_false(ring_server_tells(&p->server)); /* nothing refused */
	refuse_one(p, 3);
	assert_true(ring_server_tells(&p->server));
	assert_false(ring_server_tells(&p->server));
	refuse_one(p, 4);
	assert_false(ring_server_tells(&p->server));
	ring_client_wish(&p->client);
	/* What is there is found by the look behind the wish. */
	pair_free(p, 5, 1);
	pair_expect_frees(p, 5, 1);
	ring_server_frees_done(&p->server, 1);
	ring_server_publish(&p->server);
	assert_false(ring_server_tells(&p->server));
	refuse_one(p, 6);
	assert_true(ring_server_tells(&p->server));
}

/* Sleepers and a wish share a word. */
static void g9_a_wish_wakes_nobody(void **state)
{
	struct ring_pair *p = *state;

	p->client.wish = RING_WISH_LAST - 1;
	ring_client_wish(&p->client);
	ring_client_sleep_prepare(&p->client);
	ring_client_wish(&p->client); /* the number after the last is 1 */
	assert_int_equal(p->ring->header.client_need, 1u << 16 | 1);
	refuse_one(p, 1);
	assert_true(ring_server_tells(&p->server));
	ring_client_sleep_finish(&p->client);
	assert_int_equal(p->ring->header.client_need, 1u << 16);
	pair_free(p, 2, 1);
	pair_expect_frees(p, 2, 1);
	ring_server_frees_done(&p->server, 1);
	assert_false(ring_server_publish(&p->server));
}

/* What only the daemon itself could do wrong. */
static void complete_unreserved(void *pair)
{
	pair_complete(pair, 1);
}

static void forgo_unreserved(void *pair)
{
	ring_server_forgo(&((struct ring_pair *)pair)->server);
}

static void too_much_data(void *pair)
{
	struct ring_pair *p = pair;
	const struct wire_reply r = { .data_bytes = RING_BLOCK_BYTES + 1 };
	static uint8_t data[RING_BLOCK_BYTES + 1];

	p->server.reserved = 1;
	ring_server_complete(&p->server, &r, data, 0);
}

static void promises(void **state)
{
	static void (*const broken[])(void *) = { complete_unreserved,
						  forgo_unreserved,
						  too_much_data };

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0) {
			signal(SIGABRT, SIG_DFL);
			close(STDERR_FILENO);
			broken[i](*state);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_every_entry_once_in_order),
		cmocka_unit_test(g1_every_handle_once_in_order),
		PAIR_TEST(g2_frees_come_before_the_request_behind_them),
		cmocka_unit_test(g1_g2_what_is_put_back_comes_again),
		PAIR_TEST(arguments_come_with_their_request),
		PAIR_TEST(data_goes_into_the_block_of_the_request),
		cmocka_unit_test(g4_impossible_tails),
		cmocka_unit_test(g4_tails_that_go_back),
		cmocka_unit_test(g4_impossible_heads),
		cmocka_unit_test(g4_arguments_outside_the_arena),
		PAIR_TEST(g5_no_room_stops_and_reading_goes_on),
		PAIR_TEST(g5_late_replies_have_room),
		PAIR_TEST(g5_silence_gives_room_back),
		PAIR_TEST(g5_frees_are_taken_as_room_allows),
		PAIR_TEST(g6_parked_it_is_rung),
		PAIR_TEST(g6_progress_rings_only_who_waits_for_it),
		PAIR_TEST(g6_parked_for_room_it_is_rung_for_room_alone),
		PAIR_TEST(g6_new_work_without_room),
		PAIR_TEST(g7_the_timer_runs_while_frees_come),
		PAIR_TEST(g7_the_lingering_look_finds_a_late_store),
		PAIR_TEST(g7_a_free_while_it_lingers),
		PAIR_TEST(g7_one_ring_is_enough),
		PAIR_TEST(g7_a_wish_is_not_wasted),
		PAIR_TEST(g7_no_wish_before_heads_are_published),
		PAIR_TEST(g7_frees_found_while_lingering),
		PAIR_TEST(g7_no_timer_without_room),
		PAIR_TEST(g8_only_sleepers_are_woken),
		PAIR_TEST(g8_heads_wake_as_well),
		PAIR_TEST(g9_one_letter_for_each_wish),
		PAIR_TEST(g9_a_wish_wakes_nobody),
		PAIR_TEST(promises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
