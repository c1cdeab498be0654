/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port
 *
 * The daemon makes the memory of a ring, gives it its length and seals that,
 * so no client can take a page away from under the worker; a hole that it
 * punches reads as zeros and is judged like anything else it might have
 * written. Both ends map it. The daemon's descriptor goes to the client, who
 * needs it, and is not kept.
 *
 * A turn has three parts, and only the second is inside the gate:
 *
 *	take      copy requests out of the ring, at most PORT_REQUESTS and
 *	          not many full lists of them, or frees, at most one and a
 *	          half list's full; what is too much because resources have
 *	          many children is put back
 *	execute   the broker judges and does them, from the copies
 *	complete  write what it answered, publish, wake who sleeps
 *
 * A page of the ring may have been swapped out, because of its client; whoever
 * then waits for it does not hold anything that others need.
 *
 * Between take and execute the client may have gone: the loop thread has then
 * raised `ended` inside the gate, in the same step in which the broker heard
 * of it, and what was taken is dropped.
 *
 * Progress words are the exception: the broker reads them when it has to know,
 * inside the gate, one load for each context that somebody waits for.
 *
 * Late replies come from whichever thread made the broker say them. They wait
 * in a small box inside the gate and the worker, the only one to touch the
 * ring, fetches them. Completions were reserved for all of them. A request that
 * is to be answered late may wait for no more than a turn of the engine, which
 * is then made before the gate is left, if it is a short one; its reply goes
 * with the others.
 *
 * Offers (core/ring/offers.c) whose time has come are taken like frees, in
 * turns of their own: what is too much for one is kept for the next.
 *
 * The doorbell is an eventfd that both have. Its flags and its counter are the
 * client's to spoil, so the daemon neither reads nor writes it; that somebody
 * wrote is all it wants to know.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A turn is bounded, whatever is in the ring.
 *  G2  Nothing of a client is executed after its end.
 *  G3  Each request is answered once in the ring, or the client ends.
 *  G4  No client can change the length of its ring.
 *  G5  A failed port_new leaves nothing behind.
 *  G6  What a short turn of the engine finishes is answered by the turn that
 *      executed it, and nobody is woken for that.
 */
#include "daemon/port.h"

#include "daemon/memfd.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static struct port *port_of(struct engine_sink *sink)
{
	return (struct port *)((char *)sink - offsetof(struct port, sink));
}

static int map_ring(struct port *port)
{
	int fd = port->memory_fd;
	void *at;

	if (ftruncate(fd, PORT_BYTES) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	/* Nobody can open it again with what he finds in /proc. */
	if (fchmod(fd, 0) < 0)
		return -errno;
	at = mmap(NULL, PORT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	/* A forked child of ours has no business there. */
	madvise(at, PORT_BYTES, MADV_DONTFORK);
	ring_server_init(&port->server, at);
	return 0;
}

void port_poke_locked(struct port *port)
{
	if (port->late_told)
		return;
	port->late_told = true;
	port->late_came(port);
}

static bool take_late(struct engine_sink *sink,
		      const struct broker_reply *reply)
{
	struct port *port = port_of(sink);

	if (port->late_count == PORT_LATE)
		return false;
	port->late[port->late_count++] = (struct port_late){
		.head = reply->head,
		.quiet = reply->quiet,
	};
	if (!port->is_settling)
		port_poke_locked(port);
	return true;
}

static uint64_t read_word(struct engine_sink *sink, uint32_t word)
{
	return ring_server_word(&port_of(sink)->server, word);
}

static void reset_word(struct engine_sink *sink, uint32_t word, uint64_t value)
{
	ring_server_word_reset(&port_of(sink)->server, word, value);
}

static uint64_t read_entry(struct engine_sink *sink, uint32_t entry)
{
	const struct fencepage *page = port_of(sink)->page;

	return page ? fence_page_look(page->page, entry) : 0;
}

static void raise_entry(struct engine_sink *sink, uint32_t entry,
			uint64_t value)
{
	const struct fencepage *page = port_of(sink)->page;

	if (page)
		fence_page_raise(page->page, entry, value);
}

static void end_entry(struct engine_sink *sink, uint32_t entry)
{
	const struct fencepage *page = port_of(sink)->page;

	if (page)
		fence_page_end(page->page, entry);
}

int port_make_page(struct port *port)
{
	struct fencepage *page;
	int r = fencepage_new(&page);

	if (r < 0)
		return r;
	engine_lock(port->engine);
	assert(!port->page);
	port->page = page;
	engine_unlock(port->engine);
	return 0;
}

void port_drop_page(struct port *port)
{
	struct fencepage *page;

	engine_lock(port->engine);
	page = port->page;
	port->page = NULL;
	engine_unlock(port->engine);
	fencepage_free(page);
}

static bool waits(const struct port *port)
{
	return !port->ended &&
	       broker_waits_for_progress(&port->engine->broker, port->client);
}

bool port_asks_locked(struct port *port)
{
	port->asks = waits(port);
	return port->asks;
}

/* A parked one has to be parked again, and to ask this time. One that is active
 * may be poked for nothing, once. */
static void awaited(struct engine_sink *sink)
{
	struct port *port = port_of(sink);

	if (port->asks)
		return;
	port->asks = true;
	port_poke_locked(port);
}

uint32_t port_progressed_locked(struct port *port)
{
	bool is_first = port->next_word == 0;
	uint32_t cost;

	if (!waits(port)) {
		port->next_word = port->words = 0;
		return 0;
	}
	cost = broker_progressed_some(&port->engine->broker, port->client,
				      PORT_LOOKS, &port->next_word);
	if (is_first)
		port->words = cost;
	return cost;
}

/* Memory and doorbell of a port that has neither. */
static int open_port(struct port *port)
{
	bool is_old = false;

	port->memory_fd = memfd_new("tenure-ring", &is_old);
	if (port->memory_fd < 0)
		return port->memory_fd;
	port->doorbell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (port->doorbell_fd < 0)
		return -errno;
	return map_ring(port);
}

int port_new(struct engine *engine, uint32_t client, uint64_t poll_ns,
	     struct port **ret)
{
	struct port *port = calloc(1, sizeof(*port));
	int r;

	if (!port)
		return -ENOMEM;
	port->sink.take = take_late;
	port->sink.read = read_word;
	port->sink.reset = reset_word;
	port->sink.read_entry = read_entry;
	port->sink.raise_entry = raise_entry;
	port->sink.end_entry = end_entry;
	port->sink.awaited = awaited;
	port->engine = engine;
	port->client = client;
	port->memory_fd = -1;
	port->doorbell_fd = -1;
	port->asks = true; /* until a worker has it */
	patience_init(&port->patience, poll_ns);
	r = open_port(port);
	if (r < 0) {
		port_free(port);
		return r;
	}
	*ret = port;
	return 0;
}

void port_free(struct port *port)
{
	if (!port)
		return;
	assert(!port->is_active && !port->has_timer && !port->offers_due_ns);
	fencepage_free(port->page);
	free(port->left);
	if (port->server.ring)
		munmap(port->server.ring, PORT_BYTES);
	if (port->memory_fd >= 0)
		close(port->memory_fd);
	if (port->doorbell_fd >= 0)
		close(port->doorbell_fd);
	free(port);
}

int port_take_memory(struct port *port)
{
	int fd = port->memory_fd;

	port->memory_fd = -1;
	return fd;
}

/* Makes visible what has been done, and says so to whoever wants to know. */
static void publish(struct port *port)
{
	bool wake = ring_server_publish(&port->server);

	if (ring_server_tells(&port->server))
		port->tell(port);
	if (!wake)
		return;
	syscall(SYS_futex, ring_server_futex(&port->server), FUTEX_WAKE,
		INT_MAX, NULL, NULL, 0);
}

/* Takes as much as a turn may have; the jobs taken. */
static uint32_t take(struct port *port, struct port_bench *bench)
{
	uint32_t n = 0, frees = 0, args_bytes = 0;

	while (n < PORT_REQUESTS && frees < PORT_FREES / 2 &&
	       args_bytes < PORT_ARGS_BYTES) {
		struct port_job *job = &bench->jobs[n];

		job->take = ring_server_take(&port->server, &job->work);
		job->executed = false;
		if (job->take == RING_TAKE_NONE ||
		    job->take == RING_TAKE_NO_ROOM)
			break;
		n++;
		if (job->take == RING_TAKE_FAULT)
			break;
		if (job->take == RING_TAKE_FREES)
			frees += job->work.frees;
		else
			args_bytes += job->work.request.args_bytes;
	}
	return n;
}

static void execute_request_locked(struct port *port, struct port_job *job,
				   uint64_t now_ns)
{
	const struct wire_request *request = &job->work.request;
	struct broker_reply *reply = &job->reply;

	job->verdict = broker_receive(&port->engine->broker, port->client,
				      BROKER_PORT_RING, request,
				      sizeof(*request) + request->args_bytes,
				      now_ns, reply);
	if (job->verdict == BROKER_REPLY && reply->head.data_bytes)
		memcpy(job->data, reply->data, reply->head.data_bytes);
}

/* Resources with many children may leave some for the next turn. Returns what
 * that has cost, in plain frees. */
static uint32_t execute_frees_locked(struct port *port, struct port_job *job,
				     uint64_t now_ns)
{
	uint32_t done, all = job->work.frees;

	job->n_refusals = broker_free_some(&port->engine->broker, port->client,
					   job->work.handles, all, now_ns,
					   job->refusals, &done);
	job->work.frees = done;
	job->left = all - done;
	return job->left ? done + FREES_CHILDREN_MAX : done;
}

/* What is left of a job, and all that was taken behind it. */
static void put_back(struct port *port, const struct port_bench *bench,
		     uint32_t i, uint32_t n)
{
	uint32_t requests = 0, frees = bench->jobs[i].left;

	while (++i < n) {
		const struct port_job *job = &bench->jobs[i];

		if (job->take == RING_TAKE_REQUEST)
			requests++;
		else if (job->take == RING_TAKE_FREES)
			frees += job->work.frees;
	}
	ring_server_put_back(&port->server, requests, frees);
}

/* Until one of them ends the client, or what is left is for the next turn.
 * Returns how many were executed. */
static uint32_t execute_locked(struct port *port, struct port_bench *bench,
			       uint32_t n, uint64_t now_ns)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < n && !port->ended; i++) {
		struct port_job *job = &bench->jobs[i];

		if (job->take == RING_TAKE_FAULT)
			break;
		job->executed = true;
		if (job->take == RING_TAKE_FREES) {
			done += execute_frees_locked(port, job, now_ns);
			if (job->left) {
				put_back(port, bench, i, n);
				break;
			}
			continue;
		}
		execute_request_locked(port, job, now_ns);
		done++;
		bench->any_later |= job->verdict == BROKER_LATER;
		if (job->verdict == BROKER_KILL)
			break;
	}
	return done;
}

static void complete_request(struct port *port, const struct port_job *job)
{
	if (job->verdict == BROKER_LATER)
		return;
	if (job->reply.quiet)
		ring_server_forgo(&port->server);
	else
		ring_server_complete(&port->server, &job->reply.head, job->data,
				     job->work.request.args_offset);
}

static void complete_frees(struct port *port, const struct port_job *job)
{
	for (uint32_t i = 0; i < job->n_refusals; i++)
		ring_server_refuse_free(&port->server, &job->refusals[i]);
	ring_server_frees_done(&port->server, job->work.frees);
}

/* Remembers what ends the client. */
static void find_fault(struct port *port, const struct port_job *job)
{
	if (job->take == RING_TAKE_FAULT) {
		port->is_faulty = true;
		port->cause = job->work.fault;
		port->farewell = (struct wire_reply){
			.opcode = WIRE_OP_INVALID,
			.status = -EPROTO,
			.reason = TENURE_REASON_RING_CORRUPT,
			.index = WIRE_NO_INDEX,
		};
	} else if (job->executed && job->take == RING_TAKE_REQUEST &&
		   job->verdict == BROKER_KILL) {
		port->is_faulty = true;
		port->cause = NULL;
		port->farewell = job->reply.head;
	}
}

static void complete_late(struct port *port, const struct port_bench *bench)
{
	if (port->is_faulty)
		return;
	for (uint32_t i = 0; i < bench->n_late; i++) {
		if (bench->late[i].quiet)
			ring_server_forgo(&port->server);
		else
			ring_server_complete(&port->server,
					     &bench->late[i].head, NULL, 0);
	}
}

static void complete(struct port *port, struct port_bench *bench, uint32_t n)
{
	for (uint32_t i = 0; i < n && !port->is_faulty; i++) {
		struct port_job *job = &bench->jobs[i];

		find_fault(port, job);
		if (port->is_faulty || !job->executed)
			break;
		if (job->take == RING_TAKE_REQUEST)
			complete_request(port, job);
		else
			complete_frees(port, job);
	}
	complete_late(port, bench);
	publish(port);
}

/* Empties the box. */
static void fetch_late_locked(struct port *port, struct port_bench *bench)
{
	bench->n_late = port->ended ? 0 : port->late_count;
	memcpy(bench->late, port->late, bench->n_late * sizeof(port->late[0]));
	port->late_count = 0;
}

/* A turn of the engine for what was executed just now, if it is a short one. */
static void settle_locked(struct port *port, struct port_bench *bench,
			  uint64_t now_ns)
{
	port->is_settling = true;
	bench->has_settled =
		engine_try_settle_locked(port->engine, now_ns, &bench->rest);
	port->is_settling = false;
	if (!bench->has_settled)
		return;
	fetch_late_locked(port, bench);
	/* The engine may have held one back for want of room. */
	bench->rest.more |= bench->n_late == PORT_LATE;
}

enum port_served port_serve(struct port *port, struct port_bench *bench,
			    uint64_t now_ns, uint32_t *ret_done)
{
	uint32_t n = take(port, bench);

	bench->any_later = bench->has_settled = false;
	bench->n_late = 0;
	if (n == 0)
		return PORT_IDLE;
	engine_lock(port->engine);
	*ret_done += execute_locked(port, bench, n, now_ns);
	if (bench->any_later)
		settle_locked(port, bench, now_ns);
	engine_unlock(port->engine);
	complete(port, bench, n);
	return port->is_faulty ? PORT_FAULT : PORT_BUSY;
}

/* As many as may be at once: how many of them are dealt with. */
static uint32_t free_offered(struct port *port, struct port_job *job,
			     const uint64_t *handles, uint32_t n,
			     uint64_t now_ns)
{
	uint32_t done = n;

	engine_lock(port->engine);
	if (!port->ended)
		broker_free_some(&port->engine->broker, port->client, handles,
				 n, now_ns, job->refusals, &done);
	engine_unlock(port->engine);
	return done;
}

/* What is left is for the next look, which is due at once; false without
 * memory. */
static bool keep_offered(struct port *port, const uint64_t *handles, uint32_t n,
			 uint64_t now_ns)
{
	port->n_left = 0;
	port->offers_due_ns = now_ns;
	if (n == 0) {
		free(port->left);
		port->left = NULL;
		return true;
	}
	if (!port->left)
		port->left = calloc(RING_OFFERS, sizeof(*port->left));
	if (!port->left)
		return false;
	memmove(port->left, handles, n * sizeof(*handles));
	port->n_left = n;
	return true;
}

/* As if the client had put them into its free queue just now, but that nobody
 * hears of what is refused: who offers what is not his has lost nothing. What
 * many children cost is paid before it goes on. */
void port_take_offers(struct port *port, struct port_bench *bench,
		      uint64_t now_ns, uint32_t *ret_done)
{
	static_assert(RING_OFFERS <= RING_FREES_MAX, "one call of the broker");
	bool kept = port->n_left > 0;
	const uint64_t *handles = kept ? port->left :
					 bench->jobs[0].work.handles;
	uint32_t n = port->n_left;

	port->has_called = false;
	bench->has_settled = false;
	if (!kept)
		n = offers_take(&port->server.ring->offers, now_ns,
				bench->jobs[0].work.handles,
				&port->offers_due_ns);
	while (n > 0) {
		uint32_t done =
			free_offered(port, &bench->jobs[0], handles, n, now_ns);

		*ret_done += done;
		handles += done;
		n -= done;
		if (n > 0) {
			bench->rest = engine_pump(port->engine, now_ns);
			bench->has_settled = true;
		}
		if ((n > 0 || kept) && keep_offered(port, handles, n, now_ns))
			return;
	}
}

void port_serve_late(struct port *port, struct port_bench *bench)
{
	engine_lock(port->engine);
	fetch_late_locked(port, bench);
	/* The next one is told again. */
	port->late_told = false;
	engine_unlock(port->engine);
	complete_late(port, bench);
	if (bench->n_late && !port->is_faulty)
		publish(port);
}
