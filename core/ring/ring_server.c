/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring, the daemon's end: how work is taken from memory that a stranger can
 * write at any moment, and how to stop looking without missing any.
 *
 *	            sq_head            sq_tail
 *	 sq:  . . . [ x x x x x x x x ] . . .      requests, in order
 *	            fq_head                 fq_tail
 *	 fq:  . . . [ h h h h h h h h h h h ] . .  handles to be destroyed
 *	            cq_head     cq_tail
 *	 cq:  . . . [ r r r r r ] _ _ _ . . .      completions not yet read
 *	                        |<--->| reserved
 *
 * The idea: the daemon has its own copy of every index and of everything that
 * it uses. A field of the client is read once, the copy is judged, the copy is
 * used. An index that cannot be (a tail further on than the queue is long, or
 * one that went back) is a fault; so is an entry whose arguments lie outside
 * the arena. A fault is final: nothing is taken after it.
 *
 * A completion has its room before the work is taken, so a client that does
 * not read completions stops its own work and nothing else.
 *
 * Order. The tail of the requests is read first and that of the frees after
 * it, so the frees that were appended before a request was submitted are
 * among those that are taken before it. While requests are known no new tails
 * are read, so a stream of frees cannot keep requests waiting.
 *
 * Parking. Whoever stops looking sets daemon_need and looks once more; the
 * client publishes and then looks at daemon_need. Both are exchange first,
 * load then, sequentially consistent: one of them sees the other. Parked for
 * lack of room it asks for ROOM alone, so nobody rings for work that cannot be
 * taken, and no timer runs.
 *
 * The timer of the free queue. An append must cost next to nothing, so it does
 * not publish as a request does (that is a locked instruction): it stores the
 * handle and the tail, and glances at fq_need. That glance may have been made
 * while the tail was still in the writer's store buffer. So:
 *
 *	              frees taken           nothing came for a period
 *	 BELL -----------------------> TIMER ------------------> LINGER
 *	 fq_need n                     fq_need 0                 fq_need n + 1
 *	  ^                              ^       frees taken         |   |
 *	  |                              +---------------------------+   |
 *	  +---------------------------------------------------------------+
 *	              nothing came for one whole period more
 *
 * A client that finds a new wish, and that not all it has appended has been
 * taken, rings, once. One that finds 0 made its glance before fq_need became
 * n + 1, so its tail is visible at the end of the lingering period: that needs
 * only that a store becomes visible within half a period, 500 us, and it takes
 * less than one. One ring for each wish is enough: what a client rings for had
 * not been taken when the wish was made, so it is taken after that, and then
 * the timer runs. So a free is taken at the latest two periods after it was
 * appended, with neither a locked instruction nor a second thread, and while
 * nothing is freed no timer runs. One model checks this text, another a machine
 * with store buffers.
 *
 * Invariants:
 *
 *	0 <= sq_tail - sq_head <= RING_SQ_ENTRIES, and fq likewise
 *	cq_tail - cq_head + reserved <= RING_CQ_ENTRIES, but while frees that
 *	were refused are counted twice until ring_server_frees_done
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Every entry and handle is taken once, in order, as it was written.
 *  G2  Frees that were appended before a request was submitted come before it.
 *  G3  Nothing outside the ring is read or written, whatever the client
 *      writes, and no shared word is read twice for one use (fuzz/fuzz_ring.c).
 *  G4  What cannot be is a fault, and nothing is taken after a fault.
 *  G5  Every completion that is due has room; none overwrites an unread one.
 *  G6  Parked, it misses nothing: what is published rings (or the timer sees
 *      it), and while parked for room, what makes room rings.
 *  G7  A free is taken at most two periods after it was appended.
 *  G8  A client that sleeps is woken by what it could wait for.
 *  G9  A client is told of refusals at most once for each of its wishes.
 */
#include "core/ring/ring_server.h"

#include "core/ring/ring_shared.h"

/* From now on an append must ring; each wish is another, and none is 0. */
static void want_bell(struct ring_server *server)
{
	server->fq_need += server->fq_need == UINT32_MAX ? 2 : 1;
	ring_fq_need_store(server->ring, server->fq_need);
}

void ring_server_init(struct ring_server *server, struct ring *ring)
{
	memset(server, 0, sizeof(*server));
	server->ring = ring;
	server->frees = RING_FREES_BELL;
	want_bell(server);
	ring_daemon_need_set(ring, RING_NEED_SUBMISSION);
}

static bool found_fault(struct ring_server *server, const char *fault)
{
	if (server->fault == NULL)
		server->fault = fault;
	return false;
}

/*
 * Reads both tails, that of the requests first, and judges them. False: fault.
 */
static bool look_at_tails(struct ring_server *server)
{
	uint32_t sq_tail = ring_sq_tail_look(server->ring);
	uint32_t fq_tail = ring_fq_tail_look(server->ring);
	uint32_t requests = sq_tail - server->sq_head;
	uint32_t frees = fq_tail - server->fq_head;

	if (server->fault != NULL)
		return false;
	if (requests > RING_SQ_ENTRIES ||
	    requests < server->sq_tail - server->sq_head)
		return found_fault(server, "impossible tail of the requests");
	if (frees > RING_FQ_ENTRIES ||
	    frees < server->fq_tail - server->fq_head)
		return found_fault(server, "impossible tail of the frees");
	server->sq_tail = sq_tail;
	server->fq_tail = fq_tail;
	return true;
}

/* Reads how far the client has read, and judges it. False: fault. */
static bool look_at_cq_head(struct ring_server *server)
{
	uint32_t head = ring_cq_head_look(server->ring);
	uint32_t published = server->published_cq_tail;

	if (published - head > published - server->cq_head)
		return found_fault(server, "impossible head of the replies");
	server->cq_head = head;
	return true;
}

/* Completions that could be promised now, as far as we know. */
static uint32_t room_known(const struct ring_server *server)
{
	uint32_t used = server->cq_tail - server->cq_head + server->reserved;

	return used >= RING_CQ_ENTRIES ? 0 : RING_CQ_ENTRIES - used;
}

static bool has_frees(const struct ring_server *server)
{
	return server->fq_tail != server->fq_head;
}

static bool has_work(const struct ring_server *server)
{
	return has_frees(server) || server->sq_tail != server->sq_head;
}

/* From now on the timer looks, and the client need not ring. */
static void use_timer(struct ring_server *server)
{
	if (server->frees != RING_FREES_TIMER)
		ring_fq_need_store(server->ring, 0);
	server->frees = RING_FREES_TIMER;
}

static enum ring_take take_frees(struct ring_server *server, uint32_t room,
				 struct ring_work *ret)
{
	uint32_t n = server->fq_tail - server->fq_head;

	n = (uint32_t)min_u64(n, min_u64(room, RING_FREES_MAX));
	for (uint32_t i = 0; i < n; i++)
		ret->handles[i] =
			ring_fq_read(server->ring, server->fq_head + i);
	ret->frees = n;
	server->fq_head += n;
	server->reserved += n;
	server->came = true;
	return RING_TAKE_FREES;
}

/* Whether arguments and data of a request lie in one block of the arena. */
static bool block_is_legal(const struct wire_request *request)
{
	if (request->args_bytes == 0 && request->data_capacity == 0)
		return request->args_offset == 0;
	return request->args_offset % RING_BLOCK_BYTES == 0 &&
	       request->args_offset / RING_BLOCK_BYTES < RING_BLOCKS &&
	       request->args_bytes <= RING_BLOCK_BYTES &&
	       request->data_capacity <= RING_BLOCK_BYTES;
}

static enum ring_take take_request(struct ring_server *server,
				   struct ring_work *ret)
{
	uint64_t words[RING_REQUEST_WORDS];

	ring_sq_read(server->ring, server->sq_head, words);
	memcpy(&ret->request, words, sizeof(ret->request));
	if (!block_is_legal(&ret->request)) {
		found_fault(server, "arguments outside the arena");
		ret->fault = server->fault;
		return RING_TAKE_FAULT;
	}
	ring_block_read(server->ring,
			ret->request.args_offset / RING_BLOCK_BYTES, ret->args,
			ret->request.args_bytes);
	server->sq_head++;
	server->reserved++;
	return RING_TAKE_REQUEST;
}

enum ring_take ring_server_take(struct ring_server *server,
				struct ring_work *ret)
{
	uint32_t wanted;

	if (server->sq_tail == server->sq_head)
		look_at_tails(server);
	if (server->fault == NULL && !has_work(server))
		return RING_TAKE_NONE;
	if (has_frees(server))
		use_timer(server);
	wanted = (uint32_t)min_u64(server->fq_tail - server->fq_head,
				   RING_FREES_MAX);
	if (room_known(server) < max_u64(wanted, 1))
		look_at_cq_head(server);
	if (server->fault != NULL) {
		ret->fault = server->fault;
		return RING_TAKE_FAULT;
	}
	server->no_room = room_known(server) == 0;
	if (server->no_room) {
		/* Nor need anybody ring for what is appended meanwhile. */
		use_timer(server);
		return RING_TAKE_NO_ROOM;
	}
	if (has_frees(server))
		return take_frees(server, room_known(server), ret);
	return take_request(server, ret);
}

static void write_completion(struct ring_server *server,
			     const struct wire_reply *reply)
{
	uint64_t words[RING_REPLY_WORDS];

	assert(server->cq_tail - server->cq_head < RING_CQ_ENTRIES);
	memcpy(words, reply, sizeof(words));
	ring_cq_write(server->ring, server->cq_tail, words);
	server->cq_tail++;
}

void ring_server_complete(struct ring_server *server,
			  const struct wire_reply *reply, const void *data,
			  uint32_t args_offset)
{
	assert(server->reserved > 0);
	assert(args_offset / RING_BLOCK_BYTES < RING_BLOCKS);
	assert(reply->data_bytes <= RING_BLOCK_BYTES);
	ring_block_write(server->ring, args_offset / RING_BLOCK_BYTES, data,
			 reply->data_bytes);
	server->reserved--;
	write_completion(server, reply);
}

void ring_server_forgo(struct ring_server *server)
{
	assert(server->reserved > 0);
	server->reserved--;
}

void ring_server_refuse_free(struct ring_server *server,
			     const struct wire_reply *reply)
{
	assert(server->reserved > 0);
	write_completion(server, reply);
	server->has_refused = true;
}

void ring_server_put_back(struct ring_server *server, uint32_t requests,
			  uint32_t frees)
{
	assert(server->reserved >= requests + frees);
	assert(server->sq_head - server->published_sq_head >= requests);
	assert(server->fq_head - server->published_fq_head >= frees);
	server->reserved -= requests + frees;
	server->sq_head -= requests;
	server->fq_head -= frees;
}

void ring_server_frees_done(struct ring_server *server, uint32_t frees)
{
	assert(server->reserved >= frees);
	server->reserved -= frees;
}

/* Changes the word on which the client sleeps. */
static void change_sequence(struct ring_server *server)
{
	server->wake_sequence++;
	ring_wake_sequence_store(server->ring, server->wake_sequence);
}

/* Refusals have become visible. Who has not wished yet will look behind the
 * wish, so nothing is kept for later. */
static void grant_wish(struct ring_server *server, uint32_t wish)
{
	/* None, 0, is what was told first. */
	if (server->has_refused && wish != server->told) {
		server->told = wish;
		server->tells = true;
	}
	server->has_refused = false;
}

bool ring_server_publish(struct ring_server *server)
{
	bool heads = false, tail = false;
	uint32_t need;

	/* Heads first: whoever has a reply finds its request done. */
	if (server->sq_head != server->published_sq_head) {
		ring_sq_head_publish(server->ring, server->sq_head);
		heads = true;
	}
	if (server->fq_head != server->published_fq_head) {
		ring_fq_head_publish(server->ring, server->fq_head);
		heads = true;
	}
	if (server->cq_tail != server->published_cq_tail) {
		ring_cq_tail_publish(server->ring, server->cq_tail);
		tail = true;
	}
	server->published_cq_tail = server->cq_tail;
	server->published_sq_head = server->sq_head;
	server->published_fq_head = server->fq_head;
	if (!heads && !tail)
		return false;
	need = ring_client_need_look(server->ring);
	grant_wish(server, need >> RING_WISH_SHIFT);
	if ((need & RING_SLEEPERS) == 0 || (!tail && !(need & RING_HEADS)))
		return false;
	change_sequence(server);
	return true;
}

bool ring_server_tells(struct ring_server *server)
{
	bool tells = server->tells;

	server->tells = false;
	return tells;
}

bool ring_server_park(struct ring_server *server, bool want_progress)
{
	uint32_t need = server->no_room ? RING_NEED_ROOM : RING_NEED_SUBMISSION;
	bool possible;

	if (want_progress)
		need |= RING_NEED_PROGRESS;
	ring_daemon_need_set(server->ring, need);
	look_at_tails(server);
	look_at_cq_head(server);
	/* Work without room is new to us unless we have asked for room. */
	possible = has_work(server) &&
		   (room_known(server) > 0 || !server->no_room);
	if (server->fault == NULL && !possible)
		return true;
	ring_daemon_need_clear(server->ring);
	return false;
}

void ring_server_unpark(struct ring_server *server)
{
	ring_daemon_need_clear(server->ring);
}

bool ring_server_wants_timer(const struct ring_server *server)
{
	return server->frees != RING_FREES_BELL && !server->no_room &&
	       server->fault == NULL;
}

/* Whether anything was appended since the timer last expired. */
static bool frees_came(struct ring_server *server)
{
	/* What has been taken is published before a wish, see RING-WISH. */
	bool came = server->came ||
		    server->published_fq_head != server->fq_head;

	server->came = false;
	return look_at_tails(server) && (came || has_frees(server));
}

bool ring_server_fq_expired(struct ring_server *server)
{
	bool came = frees_came(server);

	if (!ring_server_wants_timer(server))
		return false;
	if (came) {
		use_timer(server);
		return true;
	}
	if (server->frees == RING_FREES_LINGER) {
		server->frees = RING_FREES_BELL;
		return false;
	}
	server->frees = RING_FREES_LINGER;
	want_bell(server);
	return true;
}

uint64_t ring_server_word(const struct ring_server *server, uint32_t word)
{
	assert(word < RING_WORDS);
	return ring_word_look(server->ring, word);
}

void ring_server_word_reset(const struct ring_server *server, uint32_t word,
			    uint64_t value)
{
	assert(word < RING_WORDS);
	ring_word_reset(server->ring, word, value);
}

void *ring_server_futex(const struct ring_server *server)
{
	return &server->ring->header.wake_sequence;
}
