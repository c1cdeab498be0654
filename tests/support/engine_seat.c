/* SPDX-License-Identifier: Apache-2.0 */
/* Engines for tests; time stands still at one nanosecond. */
#include "tests/support/engine_seat.h"

#include "daemon/pages.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* As much as a list of sizes has. */
enum { ARGS_MAX = LIST_ENTRIES_MAX * sizeof(struct wire_allocation) };

static void notify(void *context)
{
	sem_post(context);
}

static void fill(void *context, void *bytes, size_t size_bytes)
{
	unsigned char *at = bytes;

	(void)context;
	while (size_bytes--)
		*at++ = (unsigned char)rand();
}

void engine_seat_init(struct engine_seat *seat)
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
		.adapters = &seat->adapter,
		.n_adapters = 1,
		.notify = notify,
		.context = &seat->notified,
	};

	bool (*is_quick)(void *, const struct backend_destroy *) =
		seat->ops.is_quick;

	seat->ops = backend_system_ops;
	seat->ops.is_quick = is_quick;
	limits_default(&config.limits);
	pages_mmap(&pages);
	assert_int_equal(backend_system_new(&system, &seat->system), 0);
	seat->adapter = (struct broker_adapter){
		.name = "system",
		.backend = { &seat->ops, seat->system },
	};
	assert_int_equal(sem_init(&seat->notified, 0, 0), 0);
	assert_int_equal(engine_init(&seat->engine, &how), 0);
}

void engine_seat_deinit(struct engine_seat *seat)
{
	engine_deinit(&seat->engine);
	backend_system_free(seat->system);
	sem_destroy(&seat->notified);
}

struct engine_rest engine_seat_pump(struct engine_seat *seat)
{
	struct engine_rest rest;

	engine_lock(&seat->engine);
	rest = engine_pump_locked(&seat->engine, 1);
	engine_unlock(&seat->engine);
	return rest;
}

void engine_seat_settle(struct engine_seat *seat)
{
	struct engine_rest rest;

	do {
		rest = engine_seat_pump(seat);
		sched_yield();
	} while (rest.more || rest.jobs);
}

enum broker_verdict engine_seat_ask(struct engine_seat *seat, uint32_t client,
				    struct wire_request head, const void *args,
				    struct broker_reply *ret)
{
	char message[sizeof(head) + ARGS_MAX];
	enum broker_verdict verdict;

	assert_true(head.args_bytes <= ARGS_MAX);
	memcpy(message, &head, sizeof(head));
	if (head.args_bytes)
		memcpy(message + sizeof(head), args, head.args_bytes);
	engine_lock(&seat->engine);
	verdict = broker_receive(&seat->engine.broker, client,
				 BROKER_PORT_SOCKET, message,
				 sizeof(head) + head.args_bytes, 1, ret);
	engine_unlock(&seat->engine);
	return verdict;
}

static uint64_t value_of(struct engine_seat *seat, uint32_t client,
			 struct wire_request head)
{
	struct broker_reply reply;

	assert_int_equal(engine_seat_ask(seat, client, head, NULL, &reply),
			 BROKER_REPLY);
	assert_int_equal(reply.head.status, 0);
	return reply.head.value[0];
}

uint32_t engine_seat_join(struct engine_seat *seat, uint64_t *ret_device)
{
	const struct peer peer = { .uid = 1, .pid = 1, .cgroup = "" };
	struct wire_request adapter_open = { .opcode = WIRE_OP_ADAPTER_OPEN };
	struct wire_request device_create = { .opcode = WIRE_OP_DEVICE_CREATE };
	enum tenure_reason reason;
	uint32_t client;

	engine_lock(&seat->engine);
	assert_int_equal(broker_connect(&seat->engine.broker, &peer, 1, &client,
					&reason),
			 0);
	engine_unlock(&seat->engine);
	value_of(seat, client,
		 (struct wire_request){ .opcode = WIRE_OP_HELLO,
					.object = WIRE_MAGIC,
					.value = { 1, 1 } });
	memcpy(adapter_open.value, "system", 6);
	device_create.object = value_of(seat, client, adapter_open);
	*ret_device = value_of(seat, client, device_create);
	return client;
}

void engine_seat_leave(struct engine_seat *seat, uint32_t client)
{
	struct obituary held;

	engine_lock(&seat->engine);
	engine_disconnect_locked(&seat->engine, client, 2, &held);
	engine_unlock(&seat->engine);
	assert_int_equal(held.client, client);
}

void engine_seat_bury(struct engine_seat *seat, unsigned int n)
{
	struct engine_mail mail;

	while (n) {
		engine_seat_settle(seat);
		while (engine_next_mail(&seat->engine, &mail)) {
			assert_int_equal(mail.kind, ENGINE_OBITUARY);
			n--;
		}
	}
	assert_false(engine_seat_pump(seat).mail);
}

uint64_t engine_seat_create(struct engine_seat *seat, uint32_t client,
			    uint64_t device)
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

	assert_int_equal(engine_seat_ask(seat, client, head, &size, &reply),
			 BROKER_REPLY);
	assert_int_equal(reply.head.status, 0);
	memcpy(&handle, reply.data, sizeof(handle));
	return handle;
}

struct wire_request engine_seat_destroy(uint64_t device, uint32_t flags,
					uint64_t id)
{
	return (struct wire_request){
		.opcode = WIRE_OP_DESTROY,
		.form = WIRE_FORM_LIST,
		.flags = flags,
		.id = id,
		.device = device,
		.count = 1,
		.args_bytes = sizeof(uint64_t),
	};
}
