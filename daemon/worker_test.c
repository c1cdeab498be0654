/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker with ports whose clients are threads of this program; the main
 * thread is the loop.
 */
#include "daemon/worker.h"

#include "core/ring/ring_shared.h"
#include "tests/support/engine_seat.h"
#include "tests/support/raw_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { POLL_NS = 50000, CLIENTS = 6 };

static struct engine_seat seat;
static struct worker *worker;
static sem_t notified;

/* One client: its name, its port, its end of the ring. */
struct member {
	uint32_t client;
	uint64_t device;
	struct port *port;
	struct raw_ring ring;
	pthread_t thread;
	unsigned int rounds;
};

static void notify(void *context)
{
	sem_post(context);
}

static int setup(void **state)
{
	const struct worker_config config = {
		.engine = &seat.engine,
		.notify = notify,
		.context = &notified,
	};

	(void)state;
	sem_init(&notified, 0, 0);
	engine_seat_init(&seat);
	return worker_new(&config, &worker);
}

static int teardown(void **state)
{
	(void)state;
	worker_free(worker);
	engine_seat_deinit(&seat);
	sem_destroy(&notified);
	return 0;
}

static void join(struct member *member, uint64_t poll_ns)
{
	struct port *port;

	memset(member, 0, sizeof(*member));
	member->client = engine_seat_join(&seat, &member->device);
	assert_int_equal(port_new(&seat.engine, member->client, poll_ns, &port),
			 0);
	member->port = port;
	port->owner = member;
	engine_lock(&seat.engine);
	engine_attach_locked(&seat.engine, member->client, &port->sink);
	engine_unlock(&seat.engine);
	assert_int_equal(raw_ring_map(port_take_memory(port),
				      dup(port->doorbell_fd), &member->ring),
			 0);
	assert_int_equal(worker_add(worker, port), 0);
}

/* Waits for an event that is due. */
static enum worker_event next_event(struct port **ret)
{
	enum worker_event event;
	struct engine_mail mail;

	while (!worker_next_event(worker, &event, ret)) {
		while (engine_next_mail(&seat.engine, &mail))
			;
		sem_wait(&notified);
	}
	return event;
}

/* Ends a client, and waits until nothing of it is left. */
static void leave(struct member *member)
{
	struct engine_mail mail;
	struct port *port;

	engine_lock(&seat.engine);
	engine_disconnect_locked(&seat.engine, member->client, 2, NULL);
	member->port->ended = true;
	engine_unlock(&seat.engine);
	worker_close(worker, member->port);
	assert_int_equal(next_event(&port), WORKER_CLOSED);
	assert_ptr_equal(port, member->port);
	port_free(port);
	raw_ring_close(&member->ring);
	engine_seat_settle(&seat);
	while (engine_next_mail(&seat.engine, &mail))
		;
}

/* Asks, with pauses in which the worker falls asleep. */
static void *ping(void *argument)
{
	const struct wire_request head = { .opcode = WIRE_OP_PING };
	struct member *member = argument;

	for (unsigned int i = 0; i < member->rounds; i++) {
		assert_int_equal(
			raw_ring_call(&member->ring, &head, NULL, 0, NULL), 0);
		if (i % 64 == 0)
			usleep(100 + i % 1000);
	}
	return NULL;
}

static void several(uint64_t poll_ns)
{
	struct member members[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		join(&members[i], poll_ns);
		members[i].rounds = 1500;
		assert_int_equal(pthread_create(&members[i].thread, NULL, ping,
						&members[i]),
				 0);
	}
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(members[i].thread, NULL);
	assert_int_equal(worker_ports(worker), CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		leave(&members[i]);
	assert_int_equal(worker_ports(worker), 0);
}

static void test_everybody_is_served_g1(void **state)
{
	(void)state;
	several(POLL_NS);
	/* As on a machine with one processor: nobody looks in vain. */
	several(0);
}

static void *flood(void *argument)
{
	const struct wire_request head = { .opcode = WIRE_OP_PING };
	struct member *member = argument;
	struct ring_client *end = &member->ring.end;
	struct wire_reply reply;

	while (member->rounds) {
		while (member->rounds && ring_client_submit(end, &head) == 0)
			member->rounds--;
		if (ring_client_publish(end))
			raw_ring_knock(&member->ring);
		while (ring_client_reap(end, &reply) == 1)
			;
		if (ring_client_reaped(end))
			raw_ring_knock(&member->ring);
	}
	return NULL;
}

/* One that always has work does not keep the other from being served. */
static void test_turns_g2(void **state)
{
	struct member busy, other;

	(void)state;
	join(&busy, POLL_NS);
	join(&other, POLL_NS);
	busy.rounds = 200000;
	other.rounds = 1000;
	pthread_create(&busy.thread, NULL, flood, &busy);
	pthread_create(&other.thread, NULL, ping, &other);
	pthread_join(other.thread, NULL);
	pthread_join(busy.thread, NULL);
	leave(&busy);
	leave(&other);
}

/* Clients end at any moment of their work. */
static void test_closing_at_work_g3(void **state)
{
	const struct wire_request head = { .opcode = WIRE_OP_PING };

	(void)state;
	for (int i = 0; i < 300; i++) {
		struct member member;

		join(&member, i % 2 ? POLL_NS : 0);
		for (int k = 0; k < 200; k++) {
			struct wire_request copy = head;

			if (raw_ring_send(&member.ring, &copy, NULL, 0) < 0)
				break;
			if (ring_client_free(&member.ring.end, 4711) == 1)
				raw_ring_knock(&member.ring);
		}
		if (i % 3 == 0)
			usleep((useconds_t)i);
		leave(&member);
	}
}

static void test_faulty_before_closed_g3(void **state)
{
	struct member member;
	struct port *port;

	(void)state;
	for (int i = 0; i < 100; i++) {
		join(&member, POLL_NS);
		ring_sq_tail_publish(member.ring.ring, 100000);
		raw_ring_knock(&member.ring);
		if (i % 2) {
			assert_int_equal(next_event(&port), WORKER_FAULTY);
			assert_ptr_equal(port->owner, &member);
			assert_int_equal(port->farewell.reason,
					 TENURE_REASON_RING_CORRUPT);
			leave(&member);
			continue;
		}
		/* The client goes by itself, perhaps before that is noticed. */
		engine_seat_leave(&seat, member.client);
		engine_lock(&seat.engine);
		member.port->ended = true;
		engine_unlock(&seat.engine);
		worker_close(worker, member.port);
		while (next_event(&port) != WORKER_CLOSED)
			assert_ptr_equal(port, member.port);
		port_free(port);
		raw_ring_close(&member.ring);
		engine_seat_settle(&seat);
	}
}

/* The loop's part, when the worker is asleep: what has been released. */
static void *pump_when_notified(void *stop)
{
	for (;;) {
		sem_wait(&seat.notified);
		if (sem_trywait(stop) == 0)
			return NULL;
		engine_seat_pump(&seat);
	}
}

static void test_late_replies_g1(void **state)
{
	struct wire_request head;
	struct member member;
	pthread_t loop;
	sem_t stop;

	(void)state;
	sem_init(&stop, 0, 0);
	pthread_create(&loop, NULL, pump_when_notified, &stop);
	join(&member, POLL_NS);
	head = engine_seat_destroy(member.device, TENURE_DESTROY_SYNCHRONOUS,
				   0);
	for (int i = 0; i < 500; i++) {
		uint64_t handle =
			engine_seat_create(&seat, member.client, member.device);

		assert_int_equal(raw_ring_call(&member.ring, &head, &handle,
					       sizeof(handle), NULL),
				 0);
		if (i % 10 == 0)
			usleep(300);
	}
	sem_post(&stop);
	sem_post(&seat.notified);
	pthread_join(loop, NULL);
	sem_destroy(&stop);
	leave(&member);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t allocations(struct member *member)
{
	const struct wire_request head = { .opcode = WIRE_OP_STAT };
	struct broker_reply reply;
	struct wire_stat stat;

	assert_int_equal(engine_seat_ask(&seat, member->client, head, NULL,
					 &reply),
			 BROKER_REPLY);
	memcpy(&stat, reply.data, sizeof(stat));
	return stat.allocations;
}

bool __real_ring_server_fq_expired(struct ring_server *server);
bool __wrap_ring_server_fq_expired(struct ring_server *server);

/* The shortest time between two looks of one port; the worker's thread. */
static uint64_t shortest_ns = UINT64_MAX;
static unsigned int looks;

/* Such looks between two turns of that port while it is active. */
static struct port *_Atomic timer_looks_port;
static _Atomic unsigned int timer_looks, most_timer_looks;

static void timer_looks_beside(struct port *port)
{
	timer_looks = 0;
	timer_looks_port = port;
}

/* A look that takes long. */
bool __wrap_ring_server_fq_expired(struct ring_server *server)
{
	const struct port *beside = timer_looks_port;
	static struct ring_server *before;
	static uint64_t ended_ns;
	bool again;

	if (beside && beside->is_active && ++timer_looks > most_timer_looks)
		most_timer_looks = timer_looks;
	if (before == server && ended_ns != 0) {
		shortest_ns = min_u64(shortest_ns, now_ns() - ended_ns);
		looks++;
	}
	again = __real_ring_server_fq_expired(server);
	before = server;
	usleep(300);
	ended_ns = again ? now_ns() : 0;
	return again;
}

static void test_whole_periods_g8(void **state)
{
	struct member member;

	(void)state;
	looks = 0;
	shortest_ns = UINT64_MAX;
	join(&member, POLL_NS);
	for (int i = 0; i < 20; i++) {
		uint64_t handle =
			engine_seat_create(&seat, member.client, member.device);

		if (ring_client_free(&member.ring.end, handle) == 1)
			raw_ring_knock(&member.ring);
		usleep(5000);
	}
	/* The worker has ended. */
	leave(&member);
	assert_true(looks > 0);
	assert_true(shortest_ns >= RING_FREES_PERIOD_NS);
}

/* Only the append, and nothing after it. The bound of the test is wide enough
 * for a busy machine. */
static void test_frees_in_time_g5(void **state)
{
	struct member member;

	(void)state;
	join(&member, POLL_NS);
	for (unsigned int i = 0; i < 100; i++) {
		uint64_t handle =
			engine_seat_create(&seat, member.client, member.device);
		uint64_t began;

		usleep(i * 37 % 3500);
		if (ring_client_free(&member.ring.end, handle) == 1)
			raw_ring_knock(&member.ring);
		began = now_ns();
		while (allocations(&member) != 0) {
			assert_true(now_ns() - began < 2 * NS_PER_S);
			usleep(50);
		}
	}
	leave(&member);
}

/* All that can be reaped now; every one of them is a refusal. */
static unsigned int reap_refusals(struct member *member)
{
	struct wire_reply reply;
	unsigned int n = 0;

	for (; ring_client_reap(&member->ring.end, &reply) == 1; n++)
		assert_int_equal(reply.status, -EINVAL);
	if (ring_client_reaped(&member->ring.end))
		raw_ring_knock(&member->ring);
	return n;
}

/* More refusals than there is room for, of frees that nobody flushes; the
 * client comes late to read them, at every stage of the timer. */
static void test_refusals_without_room_g5(void **state)
{
	enum { FREES = 2 * RING_CQ_ENTRIES + 100, TURNS = 30 };
	struct member member;

	(void)state;
	join(&member, POLL_NS);
	for (unsigned int turn = 0; turn < TURNS; turn++) {
		unsigned int refused = 0;
		uint64_t began;

		for (uint64_t i = 1; i <= FREES; i++) {
			if (ring_client_free(&member.ring.end, i) == 1)
				raw_ring_knock(&member.ring);
			if (i % 700 == 0)
				usleep(turn * 271 % 4000);
		}
		usleep(turn * 517 % 9000);
		began = now_ns();
		while (refused < FREES) {
			assert_true(now_ns() - began < 5 * NS_PER_S);
			refused += reap_refusals(&member);
			usleep(turn * 101 % 700);
		}
		assert_int_equal(refused, FREES);
		assert_int_equal(ring_client_is_drained(&member.ring.end), 1);
	}
	leave(&member);
}

static uint64_t retired(struct member *member)
{
	const struct wire_request head = { .opcode = WIRE_OP_STAT };
	struct broker_reply reply;
	struct wire_stat stat;

	assert_int_equal(engine_seat_ask(&seat, member->client, head, NULL,
					 &reply),
			 BROKER_REPLY);
	memcpy(&stat, reply.data, sizeof(stat));
	return stat.retired;
}

/* Work that uses an allocation ends by a store into shared memory. */
static void test_progress_g6(void **state)
{
	struct wire_request head = { .opcode = WIRE_OP_CONTEXT_CREATE };
	struct raw_reply reply;
	struct member member;
	uint64_t context, word;

	(void)state;
	join(&member, POLL_NS);
	head.device = member.device;
	assert_int_equal(raw_ring_call(&member.ring, &head, NULL, 0, &reply),
			 0);
	context = reply.head.value[0];
	word = reply.head.value[1];
	for (uint64_t i = 1; i <= 200; i++) {
		uint64_t began = now_ns(),
			 handle = engine_seat_create(&seat, member.client,
						     member.device);

		head = (struct wire_request){
			.opcode = WIRE_OP_CONTEXT_SUBMIT,
			.device = member.device,
			.object = context,
			.count = 1,
			.value = { i },
		};
		assert_int_equal(raw_ring_call(&member.ring, &head, &handle,
					       sizeof(handle), NULL),
				 0);
		head = engine_seat_destroy(member.device, 0, 0);
		assert_int_equal(raw_ring_call(&member.ring, &head, &handle,
					       sizeof(handle), NULL),
				 0);
		/* The worker is still awake, or has gone to sleep. */
		if (i % 3)
			usleep(i % 3 == 1 ? 20 : 1000);
		engine_seat_settle(&seat);
		assert_int_equal(retired(&member), 1);
		if (ring_client_progress(member.ring.ring, (uint32_t)word, i))
			raw_ring_knock(&member.ring);
		while (retired(&member)) {
			assert_true(now_ns() - began < 5 * NS_PER_S);
			/* The loop's part, for what has been released. */
			engine_seat_pump(&seat);
			usleep(20);
		}
	}
	leave(&member);
}

/* A fence that its maker signals by a store, while its port sleeps and the one
 * who waits has nothing to do with that port. */
static void test_progress_of_the_parked_g6(void **state)
{
	struct wire_request head = { .opcode = WIRE_OP_FENCE_CREATE };
	struct broker_reply said;
	struct raw_reply reply;
	struct member member;
	uint32_t other;
	uint64_t device, fence, word;

	(void)state;
	join(&member, POLL_NS);
	other = engine_seat_join(&seat, &device);
	head.device = member.device;
	assert_int_equal(raw_ring_call(&member.ring, &head, NULL, 0, &reply),
			 0);
	fence = reply.head.value[0];
	word = reply.head.value[1];
	head.opcode = WIRE_OP_FENCE_SHARE;
	head.object = fence;
	head.flags = TENURE_RIGHT_READ;
	assert_int_equal(raw_ring_call(&member.ring, &head, NULL, 0, &reply),
			 0);
	head = (struct wire_request){
		.opcode = WIRE_OP_FENCE_OPEN,
		.device = device,
		.value = { reply.head.value[0], reply.head.value[1] },
	};
	assert_int_equal(engine_seat_ask(&seat, other, head, NULL, &said),
			 BROKER_REPLY);
	assert_int_equal(said.head.status, 0);
	fence = said.head.value[0];
	for (uint64_t i = 1; i <= 100; i++) {
		const uint64_t until[2] = { fence, i };
		struct engine_mail mail;
		uint64_t began = now_ns();

		usleep(i % 2 ? 3000 : 20);
		head = (struct wire_request){
			.opcode = WIRE_OP_FENCE_WAIT,
			.id = i,
			.device = device,
			.count = 1,
			.args_bytes = sizeof(until),
		};
		assert_int_equal(engine_seat_ask(&seat, other, head, until,
						 &said),
				 BROKER_LATER);
		usleep(i % 4 < 2 ? 3000 : 20);
		if (ring_client_progress(member.ring.ring, (uint32_t)word, i))
			raw_ring_knock(&member.ring);
		while (!engine_next_mail(&seat.engine, &mail)) {
			assert_true(now_ns() - began < 5 * NS_PER_S);
			engine_seat_pump(&seat);
			usleep(20);
		}
		assert_int_equal(mail.kind, ENGINE_REPLY);
	}
	engine_seat_leave(&seat, other);
	engine_seat_bury(&seat, 1);
	leave(&member);
}

/* What the process has been: on a processor, and asleep. */
struct usage {
	uint64_t cpu_us, sleeps;
};

static struct usage used(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (struct usage){
		.cpu_us = (uint64_t)(usage.ru_utime.tv_sec +
				     usage.ru_stime.tv_sec) *
				  1000000 +
			  (uint64_t)(usage.ru_utime.tv_usec +
				     usage.ru_stime.tv_usec),
		.sleeps = (uint64_t)usage.ru_nvcsw,
	};
}

/* Whether for 300 ms nobody was woken more often than ThreadSanitizer's own thread,
 * which looks round ten times a second, and nobody looked in vain. */
static bool is_idle(void)
{
	struct usage before = used(), after;

	usleep(300000);
	after = used();
	return after.sleeps <= before.sleeps + 10 &&
	       after.cpu_us < before.cpu_us + 5000;
}

static void test_idle_g4(void **state)
{
	struct member members[CLIENTS];
	int windows = 0;

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		join(&members[i], POLL_NS);
		members[i].rounds = 100;
		ping(&members[i]);
		if (ring_client_free(&members[i].ring.end, 4711) == 1)
			raw_ring_knock(&members[i].ring);
	}
	/* Others may keep it from ever coming to that at once. */
	while (!is_idle())
		assert_true(++windows < 100);
	for (int i = 0; i < CLIENTS; i++)
		leave(&members[i]);
}

/* Makes an offer as the library does. */
static void ping_once(struct member *member)
{
	const struct wire_request head = { .opcode = WIRE_OP_PING };

	assert_int_equal(raw_ring_call(&member->ring, &head, NULL, 0, NULL), 0);
}

static bool is_parked(const struct member *member)
{
	return (ring_daemon_need_look(member->ring.end.ring) &
		RING_NEED_SUBMISSION) != 0;
}

static void wait_until_parked(const struct member *member)
{
	while (!is_parked(member))
		usleep(1000);
}

/* One that is soon lost patience with, and the worker awake for another. */
static void test_company_g9(void **state)
{
	const uint64_t long_ns = 100 * NS_PER_S;
	struct member others[WORKER_COMPANY], one;

	(void)state;
	join(&one, 1000);
	join(&others[0], long_ns);
	ping_once(&others[0]);
	ping_once(&one);
	usleep(20000);
	assert_false(is_parked(&one));
	for (int i = 1; i < WORKER_COMPANY; i++) {
		join(&others[i], long_ns);
		ping_once(&others[i]);
	}
	ping_once(&one);
	wait_until_parked(&one);
	leave(&others[0]);
	ping_once(&others[1]);
	ping_once(&one);
	usleep(20000);
	assert_false(is_parked(&one));
	for (int i = 1; i < WORKER_COMPANY; i++)
		leave(&others[i]);
	/* Nobody is left for whom it was awake. */
	wait_until_parked(&one);
	leave(&one);
}

/* n contexts, and an allocation that is destroyed and waits for the last one to
 * come to 1: its word. */
static uint32_t wait_behind(struct member *member, unsigned int n)
{
	struct wire_request head = { .opcode = WIRE_OP_CONTEXT_CREATE,
				     .device = member->device };
	uint64_t handle =
		engine_seat_create(&seat, member->client, member->device);
	struct raw_reply reply;
	uint32_t word;

	while (n-- > 0)
		assert_int_equal(raw_ring_call(&member->ring, &head, NULL, 0,
					       &reply),
				 0);
	word = (uint32_t)reply.head.value[1];
	head = (struct wire_request){
		.opcode = WIRE_OP_CONTEXT_SUBMIT,
		.device = member->device,
		.object = reply.head.value[0],
		.count = 1,
		.value = { 1 },
	};
	assert_int_equal(raw_ring_call(&member->ring, &head, &handle,
				       sizeof(handle), NULL),
			 0);
	head = engine_seat_destroy(member->device, 0, 0);
	assert_int_equal(raw_ring_call(&member->ring, &head, &handle,
				       sizeof(handle), NULL),
			 0);
	return word;
}

/* Whose words are many sleeps as soon as it has nothing to do. */
static void test_no_company_for_many_words_g9(void **state)
{
	struct member awake, few, many;
	uint64_t began = now_ns();

	(void)state;
	join(&awake, 100 * NS_PER_S);
	join(&few, 1000);
	join(&many, 1000);
	ping_once(&awake);
	wait_behind(&few, 8);
	wait_behind(&many, 2 * WORKER_COMPANY_WORDS);
	while (!is_parked(&many)) {
		assert_true(now_ns() - began < 10 * NS_PER_S);
		usleep(1000);
	}
	assert_false(is_parked(&few));
	leave(&awake);
	leave(&few);
	leave(&many);
}

/* All awake, each with more words than are looked at in a row. */
static void test_many_words_g10(void **state)
{
	enum { EACH = PORT_LOOKS + PORT_LOOKS / 2 };
	struct member members[CLIENTS];
	uint32_t words[CLIENTS];
	uint64_t began;

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		join(&members[i], 100 * NS_PER_S);
		words[i] = wait_behind(&members[i], EACH);
	}
	for (int i = 0; i < CLIENTS; i++) {
		began = now_ns();
		assert_int_equal(retired(&members[i]), 1);
		assert_false(is_parked(&members[i]));
		ring_client_progress(members[i].ring.ring, words[i], 1);
		while (retired(&members[i])) {
			assert_true(now_ns() - began < 5 * NS_PER_S);
			engine_seat_pump(&seat);
			usleep(20);
		}
	}
	for (int i = 0; i < CLIENTS; i++)
		leave(&members[i]);
}

static void offer(struct member *member, uint32_t entry, uint64_t handle,
		  uint64_t until_ns)
{
	struct ring_offers *offers = &member->ring.ring->offers;

	offers_name(offers, entry, handle);
	if (offers_make(offers, entry, until_ns))
		raw_ring_knock(&member->ring);
}

/* Waits until the client has no more allocations than that; when. */
static uint64_t wait_for_allocations(struct member *member, uint64_t left)
{
	uint64_t began = now_ns();

	while (allocations(member) > left) {
		assert_true(now_ns() - began < 20 * NS_PER_S);
		usleep(500);
	}
	return now_ns();
}

/* Offers of clients that then do nothing more, asleep and awake. */
static void test_offers_g7(void **state)
{
	enum { OFFERS = 20 };
	struct member members[2];
	uint64_t handles[2], until_ns;

	(void)state;
	for (int k = 0; k < 2; k++)
		join(&members[k], k ? POLL_NS : 0);
	for (unsigned int i = 0; i < OFFERS; i++) {
		until_ns = now_ns() + (i % 5) * 4000000 + 100000;
		for (int k = 0; k < 2; k++) {
			handles[k] = engine_seat_create(
				&seat, members[k].client, members[k].device);
			offer(&members[k], i, handles[k],
			      until_ns + (uint64_t)k * 1000000);
		}
		for (int k = 0; k < 2; k++)
			assert_true(wait_for_allocations(&members[k], 0) >=
				    until_ns + (uint64_t)k * 1000000);
		assert_false(offers_withdraw(&members[0].ring.ring->offers, i,
					     until_ns));
	}
	/* One that ends before the look that is due, and one withdrawn. */
	for (int k = 0; k < 2; k++)
		handles[k] = engine_seat_create(&seat, members[0].client,
						members[0].device);
	until_ns = now_ns() + 3600 * NS_PER_S;
	offer(&members[0], 0, handles[0], until_ns);
	usleep(2000);
	offer(&members[0], 1, handles[1], now_ns() + 5000000);
	wait_for_allocations(&members[0], 1);
	assert_true(
		offers_withdraw(&members[0].ring.ring->offers, 0, until_ns));
	/* Whoever offers what is not his, or goes before its time. */
	offer(&members[1], 2, handles[0], 1);
	offer(&members[1], 3, 4711, 1);
	offer(&members[1], 4, handles[0], now_ns() + NS_PER_S);
	usleep(5000);
	assert_int_equal(allocations(&members[0]), 1);
	for (int k = 0; k < 2; k++)
		leave(&members[k]);
}

enum port_served __real_port_serve(struct port *port, struct port_bench *bench,
				   uint64_t now_ns, uint32_t *ret_done);
enum port_served __wrap_port_serve(struct port *port, struct port_bench *bench,
				   uint64_t now_ns, uint32_t *ret_done);
void __real_port_take_offers(struct port *port, struct port_bench *bench,
			     uint64_t now_ns, uint32_t *ret_done);
void __wrap_port_take_offers(struct port *port, struct port_bench *bench,
			     uint64_t now_ns, uint32_t *ret_done);

/* Looks at offers since a port was served; the worker's thread, and read when
 * it has ended. */
static unsigned int offer_looks, most_offer_looks;
/* Frees that came of them, where there were too many for one, likewise. */
static uint32_t offer_frees, most_offer_frees;

enum port_served __wrap_port_serve(struct port *port, struct port_bench *bench,
				   uint64_t now_ns, uint32_t *ret_done)
{
	offer_looks = offer_frees = 0;
	if (port == timer_looks_port)
		timer_looks = 0;
	return __real_port_serve(port, bench, now_ns, ret_done);
}

void __wrap_port_take_offers(struct port *port, struct port_bench *bench,
			     uint64_t now_ns, uint32_t *ret_done)
{
	uint32_t before = *ret_done;

	__real_port_take_offers(port, bench, now_ns, ret_done);
	if (bench->has_settled)
		offer_frees += *ret_done - before;
	if (offer_frees > most_offer_frees)
		most_offer_frees = offer_frees;
	if (++offer_looks > most_offer_looks)
		most_offer_looks = offer_looks;
}

/* Offers of many clients that are due at once do not keep from its turns one
 * that is active all the time. */
static void test_many_offers_g7(void **state)
{
	enum { CROWD = 60, LOOKS = 8 };
	struct member busy, members[CROWD];
	uint64_t until_ns;

	(void)state;
	/* It is never parked. */
	join(&busy, 3600 * NS_PER_S);
	busy.rounds = 1;
	ping(&busy);
	for (int i = 0; i < CROWD; i++)
		join(&members[i], 0);
	until_ns = now_ns() + 300000000;
	for (int i = 0; i < CROWD; i++)
		offer(&members[i], 0,
		      engine_seat_create(&seat, members[i].client,
					 members[i].device),
		      until_ns);
	for (int i = 0; i < CROWD; i++)
		wait_for_allocations(&members[i], 0);
	assert_true(now_ns() >= until_ns);
	leave(&busy);
	for (int i = 0; i < CROWD; i++)
		leave(&members[i]);
	assert_in_range(most_offer_looks, 1, LOOKS);
}

/* Nor do offers of one client that are resources with many children. */
static void test_offers_with_children_g7(void **state)
{
	enum { RESOURCES = 24, EACH = LIST_ENTRIES_MAX };
	static struct wire_allocation sizes[EACH];
	uint64_t until_ns, resources[RESOURCES];
	struct wire_request create = { .opcode = WIRE_OP_CREATE,
				       .flags = TENURE_CREATE_RESOURCE,
				       .count = EACH,
				       .args_bytes = sizeof(sizes) };
	struct broker_reply reply;
	struct member busy, member;

	(void)state;
	join(&member, 0);
	create.device = member.device;
	for (int i = 0; i < EACH; i++)
		sizes[i].size_bytes = PAGE_BYTES;
	for (uint32_t i = 0; i < RESOURCES; i++) {
		assert_int_equal(engine_seat_ask(&seat, member.client, create,
						 sizes, &reply),
				 BROKER_REPLY);
		assert_int_equal(reply.head.status, 0);
		resources[i] = reply.head.value[0];
	}
	join(&busy, 3600 * NS_PER_S);
	busy.rounds = 1;
	ping(&busy);
	until_ns = now_ns() + 50000000;
	for (uint32_t i = 0; i < RESOURCES; i++)
		offer(&member, i, resources[i], until_ns);
	wait_for_allocations(&member, 0);
	leave(&busy);
	leave(&member);
	assert_in_range(most_offer_frees, 1, 2 * FREES_CHILDREN_MAX / EACH);
}

/* Nor do timers of many clients that expire at once, each of which takes 300 us
 * here. A port is parked, with a timer, only while no other is active, so the
 * active one comes when the timers run. */
static void test_many_timers_g7(void **state)
{
	enum { CROWD = 60, LOOKS = 8 };
	struct member busy, members[CROWD];

	(void)state;
	most_timer_looks = 0;
	for (int i = 0; i < CROWD; i++)
		join(&members[i], 0);
	for (int round = 0; round < 50 && most_timer_looks < 2; round++) {
		join(&busy, 3600 * NS_PER_S);
		busy.rounds = 1;
		for (int i = 0; i < CROWD; i++) {
			uint64_t handle = engine_seat_create(
				&seat, members[i].client, members[i].device);

			if (ring_client_free(&members[i].ring.end, handle) == 1)
				raw_ring_knock(&members[i].ring);
		}
		timer_looks_beside(busy.port);
		ping(&busy);
		for (int i = 0; i < CROWD; i++)
			wait_for_allocations(&members[i], 0);
		usleep(30000);
		timer_looks_beside(NULL);
		leave(&busy);
	}
	for (int i = 0; i < CROWD; i++)
		leave(&members[i]);
	assert_in_range(most_timer_looks, 2, LOOKS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_everybody_is_served_g1),
		TEST(test_turns_g2),
		TEST(test_closing_at_work_g3),
		TEST(test_faulty_before_closed_g3),
		TEST(test_late_replies_g1),
		TEST(test_whole_periods_g8),
		TEST(test_frees_in_time_g5),
		TEST(test_refusals_without_room_g5),
		TEST(test_progress_g6),
		TEST(test_progress_of_the_parked_g6),
		TEST(test_offers_g7),
		TEST(test_many_offers_g7),
		TEST(test_offers_with_children_g7),
		TEST(test_many_timers_g7),
		TEST(test_company_g9),
		TEST(test_no_company_for_many_words_g9),
		TEST(test_many_words_g10),
		TEST(test_idle_g4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
