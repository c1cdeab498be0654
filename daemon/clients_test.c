/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients between real sockets and a real broker, turned by hand: no loop, no
 * second thread but the releaser's, and a clock that stands still.
 */
#include "daemon/clients.h"

#include "core/device.h"
#include "core/ring/ring_shared.h"
#include "daemon/pages.h"
#include "tests/support/raw_ring.h"

#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TIMEOUT_NS UINT64_C(1000)

enum { FIRST_CLIENT = 1 };

/* Memory for a client is refused. */
static bool no_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

/* What happens once this thread has left the gate the next time: a turn of a
 * worker. */
static _Thread_local void (*between)(void);

void __real_gate_unlock(struct gate *gate);
void __wrap_gate_unlock(struct gate *gate);

void __wrap_gate_unlock(struct gate *gate)
{
	void (*now)(void) = between;

	__real_gate_unlock(gate);
	between = NULL;
	if (now)
		now();
}

static struct poller poller;
static struct backend_system *backend;
static struct engine engine;
/* The engine looks at it when the releaser fails. */
static struct broker_adapter adapter;
static struct clients clients;
static uint64_t clock_ns;

static struct worker *worker;
static sem_t notified; /* once for each release or event */

static void notify(void *context)
{
	(void)context;
	sem_post(&notified);
}

static uint64_t fake_now(void)
{
	return clock_ns;
}

static void fill(void *context, void *bytes, size_t size_bytes)
{
	unsigned char *at = bytes;

	(void)context;
	while (size_bytes--)
		*at++ = (unsigned char)rand();
}

static int setup(void **state)
{
	const struct backend_system_config system = {
		.descriptors_max = 100,
		.slice_bytes = 1 << 20,
	};
	const struct entropy entropy = { .fill = fill };
	struct broker_config config = { .first_generation = 1 };
	struct pages pages;
	const struct engine_config how = {
		.pages = &pages,
		.entropy = &entropy,
		.broker = &config,
		.adapters = &adapter,
		.n_adapters = 1,
		.notify = notify,
	};
	const struct worker_config how_worker = {
		.engine = &engine,
		.notify = notify,
	};
	const struct clients_config how_clients = {
		.engine = &engine,
		.poller = &poller,
		.workers = &worker,
		.n_workers = 1,
		.hello_timeout_ns = TIMEOUT_NS,
		.fencefds_max = 8,
		.now_ns = fake_now,
	};

	(void)state;
	clock_ns = 1;
	limits_default(&config.limits);
	config.limits.clients = 2;
	pages_mmap(&pages);
	assert_int_equal(poller_init(&poller), 0);
	assert_int_equal(backend_system_new(&system, &backend), 0);
	adapter = (struct broker_adapter){
		.name = "system",
		.backend = { &backend_system_ops, backend },
	};
	assert_int_equal(sem_init(&notified, 0, 0), 0);
	assert_int_equal(engine_init(&engine, &how), 0);
	assert_int_equal(worker_new(&how_worker, &worker), 0);
	clients_init(&clients, &how_clients);
	clients.config.system = backend;
	return 0;
}

/* Everything that is to be done, done at once. */
static void turn(void)
{
	struct engine_rest rest;

	poller_dispatch(&poller);
	do {
		if (engine.jobs)
			sem_wait(&notified);
		rest = engine_pump_locked(&engine, clock_ns);
		clients_settle(&clients);
	} while (rest.more || rest.mail || engine.jobs);
}

/* Asserts that nothing is left of anybody (G1). */
static int teardown(void **state)
{
	(void)state;
	clients_end_all(&clients, -ESHUTDOWN, TENURE_REASON_DAEMON_STOPPING);
	turn();
	turn();
	/* Ports come back from the worker. */
	while (clients.ports) {
		sem_wait(&notified);
		clients_settle(&clients);
	}
	clients_deinit(&clients);
	worker_free(worker);
	engine_deinit(&engine);
	sem_destroy(&notified);
	backend_system_free(backend);
	poller_deinit(&poller);
	return 0;
}

/* A new client's end of its connection. */
static int join(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX,
				    SOCK_SEQPACKET | SOCK_NONBLOCK |
					    SOCK_CLOEXEC,
				    0, ends),
			 0);
	clients_admit(&clients, ends[0]);
	return ends[1];
}

static void ask(int fd, struct wire_request head, const void *args)
{
	char message[sizeof(head) + 64];

	assert_true(head.args_bytes <= 64);
	memcpy(message, &head, sizeof(head));
	if (head.args_bytes)
		memcpy(message + sizeof(head), args, head.args_bytes);
	assert_int_equal(send(fd, message, sizeof(head) + head.args_bytes, 0),
			 sizeof(head) + head.args_bytes);
}

static uint64_t reply_data[WIRE_DATA_BYTES_MAX / 8];

/* 1: a reply; 0: the end; or a negative errno. */
static int hear(int fd, struct wire_reply *ret)
{
	struct iovec parts[2] = {
		{ ret, sizeof(*ret) },
		{ reply_data, sizeof(reply_data) },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n = recvmsg(fd, &message, 0);

	return n < 0 ? -errno : n > 0;
}

static struct wire_reply call(int fd, struct wire_request head,
			      const void *args)
{
	struct wire_reply reply;

	ask(fd, head, args);
	turn();
	assert_int_equal(hear(fd, &reply), 1);
	return reply;
}

static const struct wire_request hello = {
	.opcode = WIRE_OP_HELLO,
	.id = 11,
	.object = WIRE_MAGIC,
	.value = { 1, 1 },
};

static uint64_t device_of(int fd)
{
	struct wire_request open = { .opcode = WIRE_OP_ADAPTER_OPEN };
	struct wire_request device = { .opcode = WIRE_OP_DEVICE_CREATE };

	memcpy(open.value, "system", 6);
	device.object = call(fd, open, NULL).value[0];
	return call(fd, device, NULL).value[0];
}

static uint64_t create(int fd, uint64_t device)
{
	const struct wire_allocation allocation = { .size_bytes = 4096 };

	return call(fd,
		    (struct wire_request){
			    .opcode = WIRE_OP_CREATE,
			    .device = device,
			    .flags = TENURE_CREATE_RESOURCE,
			    .count = 1,
			    .args_bytes = sizeof(allocation),
		    },
		    &allocation)
		.value[0];
}

/* Asks for the descriptor of an allocation, and is granted it. */
static void map(int fd, uint64_t device, uint64_t allocation)
{
	const struct wire_request head = {
		.opcode = WIRE_OP_MAP,
		.device = device,
		.object = allocation,
		.flags = WIRE_MAP_WANT_FD,
	};
	struct wire_reply reply = call(fd, head, NULL);

	assert_int_equal(reply.status, 0);
	assert_int_equal(reply.fds, 1);
}

static void test_a_whole_life(void **state)
{
	struct backend_system_stat stat;
	struct wire_reply reply;
	uint64_t device;
	int fd = join();

	(void)state;
	assert_int_equal(clients.count, 1);
	reply = call(fd, hello, NULL);
	assert_int_equal(reply.status, 0);
	assert_int_equal(reply.id, 11);
	device = device_of(fd);
	assert_int_not_equal(create(fd, device), 0);
	map(fd, device, reply_data[0]);
	backend_system_stat(backend, &stat);
	assert_int_equal(stat.stores, 1);
	close(fd);
	turn();
	turn();
	assert_int_equal(clients.count, 0);
	backend_system_stat(backend, &stat);
	assert_int_equal(stat.stores, 0);
}

static uint64_t victim;

/* As by a ring: the allocation is freed, and its memory released. */
static void free_the_victim(void)
{
	struct engine_rest rest;
	struct wire_reply refusal;
	uint32_t done;

	engine_lock(&engine);
	assert_int_equal(broker_free_some(&engine.broker, FIRST_CLIENT, &victim,
					  1, clock_ns, &refusal, &done),
			 0);
	do {
		if (engine.jobs)
			sem_wait(&notified);
		rest = engine_pump_locked(&engine, clock_ns);
	} while (rest.more || engine.jobs);
	engine_unlock(&engine);
}

/* P1: the descriptor would be that of whoever has the place by then. */
static void test_g4_freed_while_it_is_sent(void **state)
{
	const struct wire_allocation allocation = { .size_bytes = 4096 };
	struct backend_system_stat stat;
	int fd = join();
	uint64_t device;

	(void)state;
	call(fd, hello, NULL);
	device = device_of(fd);
	call(fd,
	     (struct wire_request){
		     .opcode = WIRE_OP_CREATE,
		     .device = device,
		     .count = 1,
		     .args_bytes = sizeof(allocation),
	     },
	     &allocation);
	victim = reply_data[0];
	between = free_the_victim;
	map(fd, device, victim);
	assert_null(between);
	backend_system_stat(backend, &stat);
	assert_int_equal(stat.stores, 0);
	close(fd);
	turn();
	turn();
}

/* The broker keeps a notice until it is in the client's socket. */
static void test_notice_is_sent(void **state)
{
	const struct wire_request ask_to_be_told = {
		.opcode = WIRE_OP_NOTICES,
	};
	const struct session *session;
	struct wire_reply reply;
	int fd = join();

	(void)state;
	call(fd, hello, NULL);
	device_of(fd);
	assert_int_equal(call(fd, ask_to_be_told, NULL).status, 0);
	session = session_at(&engine.broker.env.region, FIRST_CLIENT);
	adapter_stop(&engine.broker.env, 0);
	assert_int_equal(session->notice, NOTICE_DUE);
	engine_pump_locked(&engine, clock_ns);
	assert_int_equal(session->notice, NOTICE_HANDED);
	assert_int_equal(hear(fd, &reply), -EAGAIN);
	clients_settle(&clients);
	assert_int_equal(session->notice, NOTICE_NONE);
	assert_int_equal(hear(fd, &reply), 1);
	assert_int_equal(reply.opcode, WIRE_OP_NOTICE);
	assert_int_equal(reply.value[0], WIRE_NOTICE_REMOVED);
	close(fd);
	turn();
	turn();
}

static void test_late_reply(void **state)
{
	struct wire_request destroy = {
		.opcode = WIRE_OP_DESTROY,
		.id = 5,
		.flags = TENURE_DESTROY_SYNCHRONOUS,
	};
	struct wire_reply reply;
	int fd = join();

	(void)state;
	call(fd, hello, NULL);
	destroy.device = device_of(fd);
	destroy.object = create(fd, destroy.device);
	ask(fd, destroy, NULL);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	poller_dispatch(&poller);
	clients_settle(&clients);
	assert_int_equal(hear(fd, &reply), -EAGAIN);
	turn();
	turn();
	assert_int_equal(hear(fd, &reply), 1);
	assert_int_equal(reply.id, 5);
	assert_int_equal(reply.status, 0);
	assert_int_equal(hear(fd, &reply), 0);
	assert_int_equal(clients.count, 0);
	close(fd);
}

/* A reply with its descriptor, or -1. */
static int call_for_fd(int fd, uint8_t opcode, uint16_t acked,
		       struct wire_reply *ret)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { ret, sizeof(*ret) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	int got = -1;

	ask(fd, (struct wire_request){ .opcode = opcode, .fds_acked = acked },
	    NULL);
	turn();
	assert_int_equal(recvmsg(fd, &message, MSG_CMSG_CLOEXEC), sizeof(*ret));
	if (CMSG_FIRSTHDR(&message))
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(got));
	assert_int_equal(got >= 0, ret->fds);
	return got;
}

static void test_a_ring_and_its_fault(void **state)
{
	const struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct raw_ring ring;
	struct wire_reply reply;
	int fd = join(), memory, doorbell;

	(void)state;
	call(fd, hello, NULL);
	memory = call_for_fd(fd, WIRE_OP_RING, 0, &reply);
	assert_int_equal(reply.status, 0);
	assert_int_equal(reply.value[0], sizeof(struct ring));
	doorbell = call_for_fd(fd, WIRE_OP_DOORBELL, 1, &reply);
	assert_int_equal(clients.ports, 1);
	assert_int_equal(raw_ring_map(memory, doorbell, &ring), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(raw_ring_call(&ring, &ping, NULL, 0, NULL), 0);
	ring_sq_tail_publish(ring.ring, 4711);
	raw_ring_knock(&ring);
	while (clients.count) {
		sem_wait(&notified);
		turn();
	}
	assert_int_equal(hear(fd, &reply), 1);
	assert_int_equal(reply.status, -EPROTO);
	assert_int_equal(reply.reason, TENURE_REASON_RING_CORRUPT);
	assert_int_equal(hear(fd, &reply), 0);
	assert_int_equal(clients.counters.killed, 1);
	raw_ring_close(&ring);
	close(fd);
}

static void test_g3_no_descriptor_for_a_ring(void **state)
{
	struct rlimit before, tight;
	struct wire_reply reply;
	int fd = join(), probe, got;

	(void)state;
	call(fd, hello, NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	probe = dup(0);
	close(probe);
	/* None for the memory; then one for that, and none for the bell. */
	for (int more = 0; more < 2; more++) {
		tight = before;
		tight.rlim_cur = (rlim_t)(probe + more);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
		got = call_for_fd(fd, WIRE_OP_RING, 0, &reply);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_int_equal(got, -1);
		assert_int_equal(reply.status, -EMFILE);
		assert_int_equal(clients.ports, 0);
	}
	got = call_for_fd(fd, WIRE_OP_RING, 0, &reply);
	assert_true(got >= 0);
	assert_int_equal(reply.status, 0);
	close(got);
	close(fd);
	turn();
	turn();
}

static void acknowledge(void)
{
	const struct wire_request ping = { .opcode = WIRE_OP_PING,
					   .fds_acked = 1 };
	struct broker_reply pong;

	engine_lock(&engine);
	assert_int_equal(broker_receive(&engine.broker, FIRST_CLIENT,
					BROKER_PORT_RING, &ping, sizeof(ping),
					clock_ns, &pong),
			 BROKER_REPLY);
	engine_unlock(&engine);
}

/* P4: it ends who says that he has what was never made, and nobody else. */
static void test_acknowledged_and_never_made(void **state)
{
	struct rlimit before, tight;
	struct wire_reply reply;
	int fd = join(), probe;

	(void)state;
	call(fd, hello, NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	probe = dup(0);
	close(probe);
	tight = before;
	tight.rlim_cur = (rlim_t)probe;
	ask(fd, (struct wire_request){ .opcode = WIRE_OP_RING }, NULL);
	between = acknowledge;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	turn();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_null(between);
	assert_int_equal(hear(fd, &reply), 1);
	assert_int_equal(reply.status, -EPROTO);
	assert_int_equal(reply.reason, TENURE_REASON_ACK_EXCESS);
	assert_int_equal(hear(fd, &reply), 0);
	assert_int_equal(clients.counters.killed, 1);
	close(fd);
	turn();
}

/* The descriptors are still in the connection when it ends. */
static void test_ring_that_is_never_received(void **state)
{
	const struct wire_request ask_ring = { .opcode = WIRE_OP_RING };
	const struct wire_request ask_bell = { .opcode = WIRE_OP_DOORBELL };
	const struct wire_request ping = { .opcode = WIRE_OP_PING };
	int fd = join();

	(void)state;
	call(fd, hello, NULL);
	/* Until the kernel keeps no more replies. */
	for (int i = 0; i < 2000; i++) {
		if (send(fd, &ping, sizeof(ping), MSG_DONTWAIT) < 0)
			break;
		poller_dispatch(&poller);
	}
	send(fd, &ask_ring, sizeof(ask_ring), MSG_DONTWAIT);
	send(fd, &ask_bell, sizeof(ask_bell), MSG_DONTWAIT);
	turn();
	turn();
	close(fd);
	turn();
	turn();
	assert_int_equal(clients.count, 0);
}

static void test_g2_refused_at_hello(void **state)
{
	struct wire_reply reply;
	int first = join(), second = join(), third = join();

	(void)state;
	assert_int_equal(clients.count, 2);
	assert_int_equal(clients.refused, 1);
	assert_int_equal(hear(third, &reply), -EAGAIN);
	reply = call(third, hello, NULL);
	assert_int_equal(reply.id, 11);
	assert_int_equal(reply.opcode, WIRE_OP_HELLO);
	assert_int_equal(reply.status, -EDQUOT);
	assert_int_equal(reply.reason, TENURE_REASON_DAEMON_CLIENTS);
	assert_int_equal(hear(third, &reply), 0);
	assert_int_equal(clients.refused, 0);
	close(third);
	close(second);
	turn();
	turn();
	third = join();
	assert_int_equal(call(third, hello, NULL).status, 0);
	close(third);
	close(first);
}

static void test_g2_many_refusals(void **state)
{
	enum { MORE = 10, MANY = 2 + CLIENTS_REFUSED_MAX + MORE };
	struct wire_reply reply;
	int fds[MANY];

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		fds[i] = join();
	assert_int_equal(clients.count, 2);
	assert_int_equal(clients.refused, CLIENTS_REFUSED_MAX);
	for (size_t i = MANY - MORE; i < MANY; i++) {
		assert_int_equal(hear(fds[i], &reply), 1);
		assert_int_equal(reply.reason, TENURE_REASON_DAEMON_CLIENTS);
		assert_int_equal(hear(fds[i], &reply), 0);
	}
	/* Those who wait for nothing are not waited for. */
	clock_ns += TIMEOUT_NS;
	assert_int_equal(clients_expire(&clients), 0);
	assert_int_equal(clients.refused, 0);
	assert_int_equal(clients.count, 0);
	for (size_t i = 0; i < MANY; i++)
		close(fds[i]);
}

static void test_g3_out_of_descriptors(void **state)
{
	struct rlimit old, none;
	struct wire_reply reply;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX,
				    SOCK_SEQPACKET | SOCK_NONBLOCK |
					    SOCK_CLOEXEC,
				    0, ends),
			 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	clients_admit(&clients, ends[0]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(clients.count, 0);
	assert_int_equal(hear(ends[1], &reply), 1);
	assert_int_equal(reply.reason, TENURE_REASON_DAEMON_BUSY);
	assert_int_equal(hear(ends[1], &reply), 0);
	assert_int_equal(clients.counters.refused, 1);
	close(ends[1]);
}

static void test_g3_out_of_memory(void **state)
{
	struct wire_reply reply;
	int fd;

	(void)state;
	no_memory = true;
	fd = join();
	no_memory = false;
	assert_int_equal(clients.count, 0);
	assert_int_equal(hear(fd, &reply), 1);
	assert_int_equal(reply.reason, TENURE_REASON_DAEMON_BUSY);
	assert_int_equal(hear(fd, &reply), 0);
	close(fd);
}

static void test_hello_timeouts(void **state)
{
	struct wire_reply reply;
	int early = join(), late;

	(void)state;
	clock_ns += 400;
	late = join();
	assert_true(clients_expire(&clients) == 1 + TIMEOUT_NS);
	call(early, hello, NULL);
	/* Whoever is greeted has all the time in the world. */
	assert_true(clients_expire(&clients) == 401 + TIMEOUT_NS);
	clock_ns = 401 + TIMEOUT_NS;
	assert_int_equal(clients_expire(&clients), 0);
	turn();
	assert_int_equal(clients.count, 1);
	assert_int_equal(clients.counters.timed_out, 1);
	assert_int_equal(hear(late, &reply), 1);
	assert_int_equal(reply.opcode, WIRE_OP_INVALID);
	assert_int_equal(reply.reason, TENURE_REASON_HELLO_TIMEOUT);
	assert_int_equal(hear(late, &reply), 0);
	close(early);
	close(late);
}

static void test_violations_are_told(void **state)
{
	static const char big[WIRE_REQUEST_BYTES_MAX + 1];
	struct wire_reply reply;
	int fd = join();

	(void)state;
	call(fd, hello, NULL);
	assert_int_equal(send(fd, big, sizeof(big), 0), sizeof(big));
	turn();
	assert_int_equal(hear(fd, &reply), 1);
	assert_int_equal(reply.reason, TENURE_REASON_MESSAGE_TOO_LONG);
	assert_int_equal(hear(fd, &reply), 0);
	close(fd);
	fd = join();
	reply = call(fd, (struct wire_request){ .opcode = WIRE_OP_PING }, NULL);
	assert_int_equal(reply.reason, TENURE_REASON_HELLO_EXPECTED);
	assert_int_equal(hear(fd, &reply), 0);
	assert_int_equal(clients.counters.killed, 2);
	assert_int_equal(clients.count, 0);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_whole_life),
		TEST(test_g4_freed_while_it_is_sent),
		TEST(test_notice_is_sent),
		TEST(test_late_reply),
		TEST(test_a_ring_and_its_fault),
		TEST(test_g3_no_descriptor_for_a_ring),
		TEST(test_acknowledged_and_never_made),
		TEST(test_ring_that_is_never_received),
		TEST(test_g2_refused_at_hello),
		TEST(test_g2_many_refusals),
		TEST(test_g3_out_of_descriptors),
		TEST(test_g3_out_of_memory),
		TEST(test_hello_timeouts),
		TEST(test_violations_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
