/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ringside
 *
 * Threads of one connection share one ring. Putting something in is a few
 * stores under the connection's lock; waiting for what comes out happens
 * without it, so a thread that waits for a synchronous destroy holds up
 * nobody. Of all that wait, one is the leader: it looks at the ring, sleeps on
 * the daemon's word, takes completions and hands them to their callers. The
 * others sleep on a condition of their own. A leader that has what it waited
 * for goes, and wakes one of the others to lead.
 *
 *	append/submit --lock--> ring ===> daemon
 *	                                     |
 *	leader:  look, look again, sleep <===+  completions, heads, wake word
 *	   | under the lock
 *	   +--> done: calls in the flight table, refusals in their queue
 *	   +--> wakes the followers whose wait is over
 *
 * Each wait is a predicate over what the lock protects: my call is done, there
 * is room for a call, there is room for a free. Nothing that a predicate reads
 * changes without a completion or a head of the daemon's, and both wake the
 * leader.
 *
 * The daemon may die while a thread sleeps on a word that only the daemon
 * changes. So a sleeper looks at the socket every RING_LIVENESS_MS: the socket
 * knows about death. What waits there is the daemon's farewell or the end.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Every call gets its own completion, in whatever order they come.
 *  G2  While a call waits, calls of other threads go on.
 *  G3  A daemon that dies or throws the client out ends every wait within
 *      RING_LIVENESS_MS and the time a thread takes to wake up.
 *  G4  After settle every destroy that was appended before has been carried
 *      out, and its refusal has been taken in if there was one
 *      (client/async_test.c).
 *  G5  No completion of a daemon makes this process crash, or wait on a lock.
 */
#include "client/ringside.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "client/connection.h"

enum {
	ERRNO_MAX = 4095,
	/* Looks at the ring for one look at the clock: about a microsecond. */
	LOOKS = 64,
};

/* What a thread waits for. */
struct wait {
	bool (*is_over)(const struct ringside *side, const void *context);
	const void *context;
};

/* One that waits while another leads, on its stack. */
struct ring_waiter {
	struct ring_waiter *next, **link;
	pthread_cond_t wake;
	const struct wait *wait;
	bool woken;
};

int ringside_new(int memory, int doorbell, struct ringside **ret_side)
{
	struct ringside *side = calloc(1, sizeof(*side));
	int status;

	if (!side)
		return -ENOMEM;
	status = ringmap_init(&side->map, memory, doorbell);
	if (status < 0) {
		free(side);
		return status;
	}
	ring_client_init(&side->end, side->map.ring);
	for (uint32_t i = RING_OFFERS; i % 64 != 0; i++)
		side->offers_used[i / 64] |= UINT64_C(1) << i % 64;
	spin_init(&side->spin, (unsigned int)get_nprocs());
	*ret_side = side;
	return 0;
}

void ringside_free(struct ringside *side, bool forked)
{
	if (!side)
		return;
	ringmap_deinit(&side->map, forked);
	free(side);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- What comes out ---- */

/* A destroy that nobody waits for was refused. */
static int note_refusal(struct tenure *connection,
			const struct wire_reply *reply)
{
	const struct tenure_async_refusal refusal = {
		.handle = reply->value[0],
		.status = reply->status,
		.reason = (enum tenure_reason)reply->reason,
	};

	if (reply->id != 0 || reply->reserved != 0 || reply->status >= 0 ||
	    reply->status < -ERRNO_MAX || reply->fds != 0 ||
	    reply->data_bytes != 0)
		return -EPROTO;
	connection_keep_refusal_locked(connection, &refusal);
	return 0;
}

/*
 * The daemon may wait for room among the completions; then it wants to be
 * rung. Room is short only when all but those of the calls in flight are
 * unread, so after fewer than a quarter of them there is nothing to tell.
 */
static void offer_room(struct ringside *side)
{
	static_assert(RING_CQ_ENTRIES - FLIGHT_CALLS_MAX > RING_CQ_ENTRIES / 4,
		      "a quarter is less than what must be unread");
	if (side->end.cq_head - side->end.published_cq_head >=
		    RING_CQ_ENTRIES / 4 &&
	    ring_client_reaped(&side->end))
		ringmap_bell(&side->map);
}

/* Takes what there is. A daemon that never stops is cut short, since the lock
 * is held. */
static void reap(struct tenure *connection)
{
	struct ringside *side = connection->ringside;
	struct wire_reply reply;
	uint32_t n = 0;
	int status = 0;

	while (status >= 0 && n < RING_CQ_ENTRIES) {
		status = ring_client_reap(&side->end, &reply);
		if (status == 0)
			break;
		if (status > 0)
			status = reply.opcode == WIRE_OP_FREE ?
					 note_refusal(connection, &reply) :
					 flight_land(&side->flight, &reply);
		n++;
	}
	if (status >= 0 && side->heads_wanted > 0)
		status = ring_client_is_drained(&side->end);
	if (status < 0)
		connection_distrust_locked(connection);
	else
		offer_room(side);
}

void ringside_reap(struct tenure *connection)
{
	reap(connection);
}

/* ---- Waiting ---- */

static bool wait_is_over(const struct tenure *connection,
			 const struct wait *wait)
{
	return connection->dead_status != 0 ||
	       wait->is_over(connection->ringside, wait->context);
}

static void wake(struct ring_waiter *waiter)
{
	waiter->woken = true;
	pthread_cond_signal(&waiter->wake);
}

/* Those whose wait is over; if nobody leads, at least one. */
static void wake_followers(struct tenure *connection)
{
	struct ringside *side = connection->ringside;

	if (LIKELY(!side->waiters))
		return;
	for (struct ring_waiter *w = side->waiters; w; w = w->next) {
		if (!w->woken && wait_is_over(connection, w->wait))
			wake(w);
	}
	if (!side->led && !side->waiters->woken)
		wake(side->waiters);
}

static void follow(struct tenure *connection, const struct wait *wait)
{
	struct ringside *side = connection->ringside;
	struct ring_waiter waiter = {
		.next = side->waiters,
		.link = &side->waiters,
		.wake = PTHREAD_COND_INITIALIZER,
		.wait = wait,
	};

	if (waiter.next)
		waiter.next->link = &waiter.next;
	side->waiters = &waiter;
	while (!waiter.woken)
		pthread_cond_wait(&waiter.wake, &connection->lock);
	*waiter.link = waiter.next;
	if (waiter.next)
		waiter.next->link = waiter.link;
	pthread_cond_destroy(&waiter.wake);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* How long a wait has looked, and may. */
struct pace {
	uint32_t budget_ns;
	uint64_t began_ns; /* 0: so short a time that nobody looked at a clock */
};

/*
 * Looks for news without the lock, while the budget lasts. The clock is read
 * only now and then: a worker that is looking answers before the first time.
 */
static bool look(const struct ring *ring, const struct ring_seen *seen,
		 struct pace *pace)
{
	for (;;) {
		for (int i = 0; i < LOOKS; i++) {
			if (ring_client_has_news(ring, seen))
				return true;
			if (pace->budget_ns == 0)
				return false;
			relax();
		}
		if (pace->began_ns == 0)
			pace->began_ns = now_ns();
		else if (now_ns() - pace->began_ns >= pace->budget_ns)
			return false;
	}
}

/* Sleeps until the daemon has done something, or is gone. */
static void doze(struct tenure *connection)
{
	struct ringside *side = connection->ringside;
	uint32_t sequence = ring_client_sleep_prepare(&side->end);
	struct ring_seen seen;
	bool late = false;

	ring_client_seen(&side->end, side->heads_wanted > 0, &seen);
	if (!ring_client_has_news(side->map.ring, &seen)) {
		pthread_mutex_unlock(&connection->lock);
		late = ringmap_sleep(ring_client_futex(&side->end), sequence,
				     RING_LIVENESS_MS);
		pthread_mutex_lock(&connection->lock);
	}
	ring_client_sleep_finish(&side->end);
	if (late && connection->dead_status == 0)
		connection_listen_locked(connection);
}

/* One round of looking after the ring for everybody. */
static void lead(struct tenure *connection, struct pace *pace)
{
	struct ringside *side = connection->ringside;
	struct ring_seen seen;
	bool found;

	ring_client_seen(&side->end, side->heads_wanted > 0, &seen);

	side->led = true;
	pthread_mutex_unlock(&connection->lock);
	found = look(side->map.ring, &seen, pace);
	pthread_mutex_lock(&connection->lock);
	if (!found && connection->dead_status == 0) {
		if (pace->began_ns == 0)
			pace->began_ns = now_ns();
		doze(connection);
	}
	if (connection->dead_status == 0)
		reap(connection);
	wake_followers(connection);
}

/* Gives up the lead, if this thread had it. */
static void step_down(struct tenure *connection)
{
	connection->ringside->led = false;
	wake_followers(connection);
}

/* Leads or follows until the wait is over. */
static void wait_out(struct tenure *connection, const struct wait *wait)
{
	struct ringside *side = connection->ringside;
	struct pace pace = { .budget_ns = spin_budget_ns(&side->spin) };

	while (!wait_is_over(connection, wait)) {
		if (side->led) {
			follow(connection, wait);
			continue;
		}
		while (!wait_is_over(connection, wait))
			lead(connection, &pace);
		spin_learn(&side->spin, pace.budget_ns,
			   pace.began_ns ? now_ns() - pace.began_ns : 0);
		step_down(connection);
	}
}

/* Waits until is_over; 0, or the status of a dead connection. */
static int wait_until(struct tenure *connection,
		      bool (*is_over)(const struct ringside *, const void *),
		      const void *context)
{
	const struct wait wait = { is_over, context };

	if (!wait_is_over(connection, &wait))
		wait_out(connection, &wait);
	if (LIKELY(connection->dead_status == 0))
		return 0;
	return refusal_set(connection->dead_status, connection->dead_reason);
}

/* ---- What goes in ---- */

static void publish(struct ringside *side)
{
	side->unkicked = 0;
	if (ring_client_publish(&side->end))
		ringmap_bell(&side->map);
}

static bool has_room(const struct ringside *side, const void *context)
{
	(void)context;
	return !flight_is_full(&side->flight) && side->end.free_blocks != 0;
}

int ringside_prepare_waits(struct tenure *connection)
{
	if (LIKELY(connection->dead_status == 0 &&
		   has_room(connection->ringside, NULL)))
		return 0;
	return wait_until(connection, has_room, NULL);
}

/* Only these are answered with data; the others need no room for it. */
static bool has_data(uint8_t opcode)
{
	return opcode == WIRE_OP_CREATE || opcode == WIRE_OP_OPEN ||
	       opcode == WIRE_OP_CONTEXT_ALLOCATION_CREATE ||
	       opcode == WIRE_OP_QUERY || opcode == WIRE_OP_STAT;
}

/* Puts a request in and makes it visible. The block is -1 when it has none;
 * there is room in the queue, since every entry has its place in flight. */
static int submit(struct tenure *connection, const struct call *call,
		  const struct flight_call *flying, int block)
{
	struct ringside *side = connection->ringside;
	struct wire_request request = call->request;

	request.id = flying->id;
	request.fds_acked = connection->fds_received;
	connection->fds_received = 0;
	if (block >= 0) {
		ring_client_block_write(&side->end, block, call->args,
					call->args_bytes);
		request.args_offset = ring_client_block_offset(block);
		request.data_capacity = flying->capacity;
	}
	if (ring_client_submit(&side->end, &request) < 0)
		return -EPROTO;
	publish(side);
	return 0;
}

static bool is_done(const struct ringside *side, const void *context)
{
	const struct flight_call *call = context;

	(void)side;
	return call->done;
}

/* Waits for the completion of what was submitted and takes its data. */
static int complete(struct tenure *connection, struct call *call,
		    const struct flight_call *flying, int block)
{
	struct ringside *side = connection->ringside;
	int status = wait_until(connection, is_done, flying);

	/* A completion that came is worth having, whatever came after it. */
	if (!flying->done)
		return status;
	call->reply = flying->reply;
	if ((int32_t)(flying->fq_tail - side->done_fq_tail) > 0)
		side->done_fq_tail = flying->fq_tail;
	if (call->reply.data_bytes > 0)
		ring_client_block_read(&side->end, block, connection->data,
				       call->reply.data_bytes);
	return 0;
}

int ringside_call_waits(struct tenure *connection, struct call *call)
{
	struct ringside *side = connection->ringside;
	bool needs_data = has_data(call->request.opcode);
	struct flight_call flying = {
		.opcode = call->request.opcode,
		.capacity = needs_data ? sizeof(connection->data) : 0,
	};
	int block = -1, status;

	static_assert(sizeof(connection->data) <= RING_BLOCK_BYTES &&
			      sizeof(connection->args) <= RING_BLOCK_BYTES,
		      "any arguments and any data fit into a block");
	status = ringside_prepare_waits(connection);
	if (status < 0)
		return status;
	if (needs_data || call->args_bytes > 0)
		block = ring_client_block_take(&side->end);
	flying.fq_tail = side->end.fq_tail;
	flight_launch(&side->flight, &flying);
	if (submit(connection, call, &flying, block) < 0)
		status = connection_distrust_locked(connection);
	else
		status = complete(connection, call, &flying, block);
	flight_remove(&side->flight, &flying);
	if (block >= 0)
		ring_client_block_free(&side->end, block);
	wake_followers(connection);
	return status;
}

static bool has_free_room(const struct ringside *side, const void *context)
{
	(void)context;
	return side->end.fq_tail - side->end.fq_head < RING_FQ_ENTRIES;
}

/* The queue is full: tells the daemon, and waits. */
static int make_room(struct tenure *connection)
{
	struct ringside *side = connection->ringside;
	int status;

	publish(side);
	side->heads_wanted++;
	ring_client_await_heads(&side->end);
	status = ring_client_is_drained(&side->end);
	status = status < 0 ? connection_distrust_locked(connection) :
			      wait_until(connection, has_free_room, NULL);
	ring_client_forget_heads(&side->end);
	side->heads_wanted--;
	return status;
}

int ringside_free_waits(struct tenure *connection, uint64_t handle)
{
	struct ringside *side = connection->ringside;
	int status = ring_client_free(&side->end, handle);

	while (status == -EAGAIN) {
		status = make_room(connection);
		if (status < 0)
			return status;
		status = ring_client_free(&side->end, handle);
	}
	if (status < 0)
		return connection_distrust_locked(connection);
	if (status > 0)
		ringmap_bell(&side->map);
	if (++side->unkicked >= RING_KICK_EVERY) {
		publish(side);
		reap(connection);
	}
	return 0;
}

/*
 * A question with nothing in it: the daemon answers it after all destroys that
 * were appended before, and completions come in order, so their refusals have
 * been taken in when the answer has.
 */
int ringside_settle_waits(struct tenure *connection)
{
	struct call call = { .request.opcode = WIRE_OP_PING };
	const struct ringside *side = connection->ringside;

	if (side->end.fq_tail == side->done_fq_tail)
		return 0;
	return ringside_call_waits(connection, &call);
}
