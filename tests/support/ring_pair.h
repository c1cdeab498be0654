/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a ring in one process, and the short calls that the tests of
 * either end share.
 */
#ifndef TESTS_SUPPORT_RING_PAIR_H
#define TESTS_SUPPORT_RING_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/ring/ring_client.h"
#include "core/ring/ring_server.h"

struct ring_pair {
	struct ring *ring;
	struct ring_server server;
	struct ring_client client;
	struct ring_work work;
	struct wire_reply reply;
};

/* A fresh ring whose indexes all stand at first, as after so many uses. */
static inline struct ring_pair *ring_pair_new(uint32_t first)
{
	struct ring_pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->ring = aligned_alloc(4096, sizeof(*p->ring));
	assert_non_null(p->ring);
	memset(p->ring, 0, sizeof(*p->ring));
	ring_server_init(&p->server, p->ring);
	ring_client_init(&p->client, p->ring);
	p->ring->header.sq_tail = p->ring->header.sq_head = first;
	p->ring->header.fq_tail = p->ring->header.fq_head = first;
	p->ring->header.cq_tail = p->ring->header.cq_head = first;
	p->server.sq_head = p->server.fq_head = p->server.cq_tail = first;
	p->server.sq_tail = p->server.fq_tail = p->server.cq_head = first;
	p->server.published_sq_head = p->server.published_fq_head = first;
	p->server.published_cq_tail = first;
	p->client.sq_tail = p->client.fq_tail = p->client.cq_head = first;
	p->client.sq_head = p->client.fq_head = p->client.cq_tail = first;
	p->client.published_sq_tail = p->client.published_fq_tail = first;
	p->client.published_cq_head = first;
	return p;
}

static inline void ring_pair_free(struct ring_pair *p)
{
	free(p->ring);
	free(p);
}

/* Submits a request whose every field follows from its number. */
static inline int pair_submit(struct ring_pair *p, uint64_t number)
{
	const struct wire_request request = {
		.opcode = WIRE_OP_PING,
		.form = WIRE_FORM_QUIET,
		.fds_acked = (uint16_t)number,
		.flags = (uint32_t)number,
		.id = number,
		.device = ~number,
		.object = number * 3,
		.count = (uint32_t)number + 1,
		.value = { number << 7, number ^ 0x55 },
	};

	return ring_client_submit(&p->client, &request);
}

static inline enum ring_take pair_take(struct ring_pair *p)
{
	return ring_server_take(&p->server, &p->work);
}

static inline void pair_expect_request(struct ring_pair *p, uint64_t number)
{
	assert_int_equal(pair_take(p), RING_TAKE_REQUEST);
	assert_int_equal(p->work.request.opcode, WIRE_OP_PING);
	assert_int_equal(p->work.request.id, number);
	assert_int_equal(p->work.request.device, ~number);
	assert_int_equal(p->work.request.object, number * 3);
	assert_int_equal(p->work.request.value[1], number ^ 0x55);
}

static inline void pair_complete(struct ring_pair *p, uint64_t id)
{
	const struct wire_reply reply = { .opcode = WIRE_OP_PING,
					  .id = id,
					  .value = { id + 1, 2, 3, ~id } };

	ring_server_complete(&p->server, &reply, NULL, 0);
}

static inline int pair_reap(struct ring_pair *p)
{
	return ring_client_reap(&p->client, &p->reply);
}

static inline void pair_expect_reply(struct ring_pair *p, uint64_t id)
{
	assert_int_equal(pair_reap(p), 1);
	assert_int_equal(p->reply.id, id);
	assert_int_equal(p->reply.value[0], id + 1);
	assert_int_equal(p->reply.value[3], ~id);
}

/* Appends count handles from first on; how many of them wanted the bell. */
static inline uint32_t pair_free(struct ring_pair *p, uint64_t first,
				 uint32_t count)
{
	uint32_t bells = 0;

	for (uint32_t i = 0; i < count; i++) {
		int r = ring_client_free(&p->client, first + i);

		assert_true(r == 0 || r == 1);
		bells += (uint32_t)r;
	}
	return bells;
}

static inline void pair_frees_done(struct ring_pair *p, uint32_t frees)
{
	ring_server_frees_done(&p->server, frees);
	ring_server_publish(&p->server);
}

static inline void pair_expect_frees(struct ring_pair *p, uint64_t first,
				     uint32_t count)
{
	assert_int_equal(pair_take(p), RING_TAKE_FREES);
	assert_int_equal(p->work.frees, count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(p->work.handles[i], first + i);
}

#endif
