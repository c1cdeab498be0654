/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine with a broker and the system's memory; messages go in by hand.
 */
#include "daemon/engine.h"

#include "daemon/backend_system.h"
#include "daemon/pages.h"

#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* More than the box holds. */
enum { MANY = 2 * ENGINE_MAIL + 10 };

static struct backend_system *backend;
static struct broker_adapter adapter;
static struct engine engine;
static sem_t notified;

static void notify(void *context)
{
	assert_ptr_equal(context, &engine);
	sem_post(&notified);
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
		.descriptors_max = 1000,
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
		.context = &engine,
	};

	(void)state;
	limits_default(&config.limits);
	pages_mmap(&pages);
	assert_int_equal(backend_system_new(&system, &backend), 0);
	adapter = (struct broker_adapter){
		.name = "system",
		.backend = { &backend_system_ops, backend },
	};
	assert_int_equal(sem_init(&notified, 0, 0), 0);
	return engine_init(&engine, &how);
}

static int teardown(void **state)
{
	(void)state;
	engine_deinit(&engine);
	backend_system_free(backend);
	sem_destroy(&notified);
	return 0;
}

static struct engine_rest pump(void)
{
	struct engine_rest rest;

	engine_lock(&engine);
	rest = engine_pump_locked(&engine, 1);
	engine_unlock(&engine);
	return rest;
}

/* Until nothing can be done any more. */
static void settle(void)
{
	while (pump().more || engine.jobs)
		sched_yield();
}

static enum broker_verdict ask(uint32_t client, struct wire_request head,
			       const void *args, struct broker_reply *ret)
{
	char message[sizeof(head) + 64];
	enum broker_verdict verdict;

	assert_true(head.args_bytes <= 64);
	memcpy(message, &head, sizeof(head));
	if (head.args_bytes)
		memcpy(message + sizeof(head), args, head.args_bytes);
	engine_lock(&engine);
	verdict = broker_receive(&engine.broker, client, BROKER_PORT_SOCKET, message,
				 sizeof(head) + head.args_bytes, 1, ret);
	engine_unlock(&engine);
	return verdict;
}

static uint64_t value_of(uint32_t client, struct wire_request head)
{
	struct broker_reply reply;

	assert_int_equal(ask(client, head, NULL, &reply), BROKER_REPLY);
	assert_int_equal(reply.head.status, 0);
	return reply.head.value[0];
}

/* A client with a device. */
static uint32_t join(uint64_t *ret_device)
{
	const struct peer peer = { .uid = 1, .pid = 1, .cgroup = "" };
	struct wire_request adapter_open = { .opcode = WIRE_OP_ADAPTER_OPEN };
	struct wire_request device_create = {
		.opcode = WIRE_OP_DEVICE_CREATE
	};
	enum tenure_reason reason;
	uint32_t client;

	assert_int_equal(broker_connect(&engine.broker, &peer, 1, &client,
					&reason),
			 0);
	value_of(client, (struct wire_request){ .opcode = WIRE_OP_HELLO,
						.object = WIRE_MAGIC,
						.value = { 1, 1 } });
	memcpy(adapter_open.value, "system", 6);
	device_create.object = value_of(client, adapter_open);
	*ret_device = value_of(client, device_create);
	return client;
}

static void leave(uint32_t client)
{
	struct obituary held;

	engine_lock(&engine);
	engine_disconnect_locked(&engine, client, 2, &held);
	engine_unlock(&engine);
	assert_int_equal(held.client, client);
}

static uint64_t create(uint32_t client, uint64_t device)
{
	const struct wire_allocation size = { .size_bytes = 4096 };
	const struct wire_request head = {
		.opcode = WIRE_OP_CREATE,
		.device = device,
		.count = 1,
		.args_bytes = sizeof(size),
	};
	struct broker_reply reply;
	uint64_t handle;

	assert_int_equal(ask(client, head, &size, &reply), BROKER_REPLY);
	assert_int_equal(reply.head.status, 0);
	memcpy(&handle, reply.data, sizeof(handle));
	return handle;
}

/* A destroy that is answered later. */
static void destroy(uint32_t client, uint64_t device, uint64_t id)
{
	const uint64_t handle = create(client, device);
	const struct wire_request head = {
		.opcode = WIRE_OP_DESTROY,
		.form = WIRE_FORM_LIST,
		.flags = TENURE_DESTROY_SYNCHRONOUS,
		.id = id,
		.device = device,
		.count = 1,
		.args_bytes = sizeof(handle),
	};
	struct broker_reply reply;

	assert_int_equal(ask(client, head, &handle, &reply), BROKER_LATER);
}

static void expect_obituaries(unsigned int n)
{
	struct engine_mail mail;

	settle();
	while (n) {
		settle();
		while (engine_next_mail(&engine, &mail)) {
			assert_int_equal(mail.kind, ENGINE_OBITUARY);
			n--;
		}
	}
	assert_false(engine_next_mail(&engine, &mail));
}

static void test_socket_replies_g2(void **state)
{
	uint64_t device, next = 0;
	uint32_t client = join(&device);
	struct engine_mail mail;

	(void)state;
	for (uint64_t id = 0; id < MANY; id++)
		destroy(client, device, id);
	settle();
	assert_int_equal(engine.mail_count, ENGINE_MAIL);
	assert_true(engine.holds);
	while (next < MANY) {
		assert_true(pump().mail);
		while (engine_next_mail(&engine, &mail)) {
			assert_int_equal(mail.kind, ENGINE_REPLY);
			assert_int_equal(mail.reply.client, client);
			assert_int_equal(mail.reply.head.id, next);
			assert_int_equal(mail.reply.head.status, 0);
			next++;
		}
	}
	assert_false(pump().mail);
	leave(client);
	expect_obituaries(1);
}

static void test_nothing_after_the_end_g3(void **state)
{
	uint64_t device, other_device;
	uint32_t client = join(&device), other = join(&other_device);
	struct engine_mail mail;

	(void)state;
	destroy(other, other_device, 1000);
	for (uint64_t id = 0; id < MANY; id++)
		destroy(client, device, id);
	settle();
	assert_true(engine.holds);
	leave(client);
	assert_true(engine_next_mail(&engine, &mail));
	assert_int_equal(mail.kind, ENGINE_REPLY);
	assert_int_equal(mail.reply.client, other);
	assert_int_equal(mail.reply.head.id, 1000);
	expect_obituaries(1);
	leave(other);
	expect_obituaries(1);
}

static void test_many_obituaries_g2(void **state)
{
	uint32_t clients[MANY];
	uint64_t device;

	(void)state;
	for (unsigned int i = 0; i < MANY; i++)
		clients[i] = join(&device);
	for (unsigned int i = 0; i < MANY; i++)
		leave(clients[i]);
	expect_obituaries(MANY);
}

/* Whether somebody was told within a while. */
static bool is_notified(void)
{
	for (int i = 0; i < 1000; i++) {
		if (sem_trywait(&notified) == 0)
			return true;
		sched_yield();
	}
	return false;
}

static void test_watching_g4(void **state)
{
	uint64_t device;
	uint32_t client = join(&device);
	struct engine_mail mail;
	bool left;

	(void)state;
	destroy(client, device, 1);
	pump();
	sem_wait(&notified);
	settle();
	engine_lock(&engine);
	engine_watch_locked(&engine);
	engine_watch_locked(&engine);
	engine_unlock(&engine);
	destroy(client, device, 2);
	settle();
	assert_false(is_notified());
	engine_lock(&engine);
	assert_false(engine_unwatch_locked(&engine));
	assert_false(engine_unwatch_locked(&engine));
	engine_unlock(&engine);
	/* Either the last watcher hears of it, or the loop is notified. */
	for (uint64_t id = 3; id < 100; id++) {
		engine_lock(&engine);
		engine_watch_locked(&engine);
		engine_unlock(&engine);
		destroy(client, device, id);
		pump();
		engine_lock(&engine);
		left = engine_unwatch_locked(&engine);
		engine_unlock(&engine);
		if (!left)
			sem_wait(&notified);
		settle();
	}
	leave(client);
	settle();
	while (engine_next_mail(&engine, &mail))
		pump();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_socket_replies_g2),
		TEST(test_nothing_after_the_end_g3),
		TEST(test_many_obituaries_g2),
		TEST(test_watching_g4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
