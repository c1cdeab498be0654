/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring, the client's end: the library's half of what ring_server.c says.
 *
 * The idea: a request is written where nobody looks yet, and becomes visible
 * with the tail. Requests are published many at a time, since that takes a
 * locked instruction and perhaps a system call; a free is visible at once,
 * since that takes neither: two stores and a glance at one word.
 *
 *	submit submit submit publish -> ring?      free free free -> (ring?)
 *
 * The daemon is believed as little as a client is by it: heads move forward
 * and not beyond what was published, completions are no more than fit. What
 * cannot be is -EPROTO, and the caller gives the connection up.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  An entry is not overwritten before the daemon has taken it.
 *  G2  Every completion is read once, in order, as it was written.
 *  G3  Nothing outside the ring is read or written, whatever the daemon
 *      writes.
 *  G4  Whoever prepares to sleep and then looks again misses no wake-up.
 *  G5  What the caller is told to ring for is seen without it only by luck;
 *      what it is not told to ring for is seen without.
 *  G6  A refusal that comes after a wish is said once by the socket, or found
 *      by the look behind the wish (models/ring_notice.cpp).
 */
#include "core/ring/ring_client.h"

#include "core/ring/ring_shared.h"

void ring_client_init(struct ring_client *client, struct ring *ring)
{
	memset(client, 0, sizeof(*client));
	client->ring = ring;
	client->free_blocks = (UINT32_C(1) << RING_BLOCKS) - 1;
}

int ring_client_block_take(struct ring_client *client)
{
	int block;

	if (client->free_blocks == 0)
		return -EAGAIN;
	block = __builtin_ctz(client->free_blocks);
	client->free_blocks &= client->free_blocks - 1;
	return block;
}

void ring_client_block_free(struct ring_client *client, int block)
{
	assert(block >= 0 && block < RING_BLOCKS);
	assert((client->free_blocks >> block & 1) == 0);
	client->free_blocks |= UINT32_C(1) << block;
}

void ring_client_block_write(struct ring_client *client, int block,
			     const void *bytes, size_t size_bytes)
{
	assert(block >= 0 && block < RING_BLOCKS);
	assert(size_bytes <= RING_BLOCK_BYTES);
	ring_block_write(client->ring, (uint32_t)block, bytes,
			 (uint32_t)size_bytes);
}

void ring_client_block_read(const struct ring_client *client, int block,
			    void *ret, size_t size_bytes)
{
	assert(block >= 0 && block < RING_BLOCKS);
	assert(size_bytes <= RING_BLOCK_BYTES);
	ring_block_read(client->ring, (uint32_t)block, ret,
			(uint32_t)size_bytes);
}

/*
 * Takes over a head of the daemon, if it can be: it moves forward and not
 * beyond what has been published.
 */
static int judge_head(uint32_t head, uint32_t published, uint32_t *known)
{
	if (published - head > published - *known)
		return -EPROTO;
	*known = head;
	return 0;
}

static int look_at_sq_head(struct ring_client *client)
{
	return judge_head(ring_sq_head_look(client->ring),
			  client->published_sq_tail, &client->sq_head);
}

/* Frees are visible, so may be taken, at once. */
static int look_at_fq_head(struct ring_client *client)
{
	return judge_head(ring_fq_head_look(client->ring), client->fq_tail,
			  &client->fq_head);
}

int ring_client_submit(struct ring_client *client,
		       const struct wire_request *request)
{
	uint64_t words[RING_REQUEST_WORDS];

	if (client->sq_tail - client->sq_head == RING_SQ_ENTRIES) {
		if (look_at_sq_head(client) != 0)
			return -EPROTO;
		if (client->sq_tail - client->sq_head == RING_SQ_ENTRIES)
			return -EAGAIN;
	}
	memcpy(words, request, sizeof(words));
	ring_sq_write(client->ring, client->sq_tail, words);
	client->sq_tail++;
	return 0;
}

int ring_client_free(struct ring_client *client, uint64_t handle)
{
	uint32_t need;

	if (UNLIKELY(client->fq_tail - client->fq_head == RING_FQ_ENTRIES)) {
		if (look_at_fq_head(client) != 0)
			return -EPROTO;
		if (client->fq_tail - client->fq_head == RING_FQ_ENTRIES)
			return -EAGAIN;
	}
	ring_fq_write(client->ring, client->fq_tail, handle);
	client->fq_tail++;
	ring_fq_tail_append(client->ring, client->fq_tail);
	need = ring_fq_need_glance(client->ring);
	if (LIKELY(need == 0 || need == client->rung))
		return 0;
	if (look_at_fq_head(client) != 0)
		return -EPROTO;
	/* A ring for nothing would use up the wish. */
	if (client->fq_head == client->fq_tail)
		return 0;
	client->rung = need;
	return 1;
}

bool ring_client_publish(struct ring_client *client)
{
	if (client->sq_tail != client->published_sq_tail)
		ring_sq_tail_publish(client->ring, client->sq_tail);
	else if (client->fq_tail != client->published_fq_tail)
		ring_fq_tail_publish(client->ring, client->fq_tail);
	else
		return false;
	client->published_sq_tail = client->sq_tail;
	client->published_fq_tail = client->fq_tail;
	return (ring_daemon_need_look(client->ring) & RING_NEED_SUBMISSION) !=
	       0;
}

int ring_client_is_drained(struct ring_client *client)
{
	if (look_at_sq_head(client) != 0 || look_at_fq_head(client) != 0)
		return -EPROTO;
	return client->sq_head == client->published_sq_tail &&
	       client->fq_head == client->fq_tail;
}

int ring_client_reap(struct ring_client *client, struct wire_reply *ret)
{
	uint64_t words[RING_REPLY_WORDS];
	uint32_t tail, n;

	if (client->cq_tail == client->cq_head) {
		tail = ring_cq_tail_look(client->ring);
		n = tail - client->cq_head;
		if (n > RING_CQ_ENTRIES)
			return -EPROTO;
		if (n == 0)
			return 0;
		client->cq_tail = tail;
	}
	ring_cq_read(client->ring, client->cq_head, words);
	memcpy(ret, words, sizeof(*ret));
	client->cq_head++;
	ring_cq_head_store(client->ring, client->cq_head);
	return 1;
}

bool ring_client_reaped(struct ring_client *client)
{
	if (client->cq_head == client->published_cq_head)
		return false;
	ring_cq_head_publish(client->ring, client->cq_head);
	client->published_cq_head = client->cq_head;
	return (ring_daemon_need_look(client->ring) & RING_NEED_ROOM) != 0;
}

/* What the daemon is to know of us: see RING_SLEEPERS. */
static uint32_t need_of(const struct ring_client *client)
{
	return client->wish << RING_WISH_SHIFT |
	       (client->head_waits > 0 ? RING_HEADS : 0) | client->sleepers;
}

void ring_client_await_heads(struct ring_client *client)
{
	if (client->head_waits++ == 0 && client->sleepers > 0)
		ring_client_need_set(client->ring, need_of(client));
}

void ring_client_forget_heads(struct ring_client *client)
{
	assert(client->head_waits > 0);
	client->head_waits--;
}

uint32_t ring_client_sleep_prepare(struct ring_client *client)
{
	uint32_t sequence = ring_wake_sequence_load(client->ring);

	assert(client->sleepers < RING_SLEEPERS);
	client->sleepers++;
	ring_client_need_set(client->ring, need_of(client));
	return sequence;
}

void ring_client_sleep_finish(struct ring_client *client)
{
	assert(client->sleepers > 0);
	client->sleepers--;
	ring_client_need_clear(client->ring, need_of(client));
}

void ring_client_wish(struct ring_client *client)
{
	client->wish = client->wish == RING_WISH_LAST ? 1 : client->wish + 1;
	ring_client_need_set(client->ring, need_of(client));
}

void ring_client_seen(const struct ring_client *client, bool heads,
		      struct ring_seen *ret)
{
	*ret = (struct ring_seen){
		.cq_head = client->cq_head,
		.sq_head = client->sq_head,
		.fq_head = client->fq_head,
		.heads = heads,
	};
}

bool ring_client_has_news(const struct ring *ring, const struct ring_seen *seen)
{
	return ring_cq_tail_look(ring) != seen->cq_head ||
	       (seen->heads && (ring_sq_head_look(ring) != seen->sq_head ||
				ring_fq_head_look(ring) != seen->fq_head));
}

void *ring_client_futex(const struct ring_client *client)
{
	return &client->ring->header.wake_sequence;
}

bool ring_client_is_asked(const struct ring *ring)
{
	return (ring_daemon_need_look(ring) & RING_NEED_PROGRESS) != 0;
}

bool ring_client_progress(struct ring *ring, uint32_t word, uint64_t value)
{
	assert(word < RING_WORDS);
	ring_word_publish(ring, word, value);
	return ring_client_is_asked(ring);
}
