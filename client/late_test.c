/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Late: G1 to G4, with the socket transport and a daemon in this process that
 * answers what and when the test says. Once with the eventfd, once without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/socket.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static bool no_eventfd;

int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);

int __wrap_eventfd(unsigned int count, int flags)
{
	if (no_eventfd) {
		errno = EMFILE;
		return -1;
	}
	return __real_eventfd(count, flags);
}

struct stage {
	int daemon; /* its end of the socket */
	struct tenure *t;
};

static void answer(int fd, uint8_t opcode, uint64_t id, int status,
		   uint32_t count)
{
	const struct wire_reply reply = {
		.opcode = opcode,
		.id = id,
		.status = status,
		.reason = status < 0 ? TENURE_REASON_DEVICE_INVALID : 0,
		.index = WIRE_NO_INDEX,
		.count = count,
	};

	assert_int_equal(send(fd, &reply, sizeof(reply), 0), sizeof(reply));
}

/* The next request, waited for; its id and what it is. */
static struct wire_request heard(const struct stage *stage)
{
	struct wire_request request;

	assert_true(recv(stage->daemon, &request, sizeof(request), 0) >=
		    (ssize_t)sizeof(request));
	return request;
}

static void *greet(void *context)
{
	struct stage *stage = context;
	struct wire_request hello = heard(stage);

	answer(stage->daemon, WIRE_OP_HELLO, hello.id, 0, WIRE_VERSION_MAX);
	/* No ring: the socket carries everything. */
	answer(stage->daemon, WIRE_OP_RING, heard(stage).id, -EDQUOT, 0);
	return NULL;
}

static void stage_open(struct stage *stage)
{
	struct transport *transport;
	pthread_t thread;
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	stage->daemon = fds[1];
	assert_int_equal(socket_transport_adopt(fds[0], &transport), 0);
	pthread_create(&thread, NULL, greet, stage);
	assert_int_equal(connection_new(transport, &stage->t), 0);
	pthread_join(thread, NULL);
}

static void stage_close(struct stage *stage)
{
	tenure_disconnect(stage->t);
	if (stage->daemon >= 0)
		close(stage->daemon);
}

/* One thread that destroys a device, which takes long. */
struct ender {
	struct stage *stage;
	uint64_t device;
	int result;
	pthread_t thread;
};

static void *end_device(void *context)
{
	struct ender *e = context;
	const struct tenure_device device = { e->device };

	e->result = tenure_device_destroy(e->stage->t, device);
	return NULL;
}

static void ender_start(struct ender *e, struct stage *stage, uint64_t device)
{
	*e = (struct ender){ .stage = stage, .device = device, .result = 1 };
	pthread_create(&e->thread, NULL, end_device, e);
}

static int ender_result(struct ender *e)
{
	pthread_join(e->thread, NULL);
	return e->result;
}

/* The daemon answers one stat, which a thread of the test asks for. */
static void *answer_stat(void *context)
{
	struct stage *stage = context;
	struct wire_request request = heard(stage);
	struct {
		struct wire_reply head;
		struct wire_stat stat;
	} reply = { .head = { .opcode = WIRE_OP_STAT,
			      .id = request.id,
			      .index = WIRE_NO_INDEX,
			      .data_bytes = sizeof(reply.stat) },
		    .stat.devices = 3 };

	assert_int_equal(request.opcode, WIRE_OP_STAT);
	assert_int_equal(send(stage->daemon, &reply, sizeof(reply), 0),
			 sizeof(reply));
	return NULL;
}

static void ask_stat(struct stage *stage)
{
	struct tenure_stat stat;
	pthread_t thread;

	pthread_create(&thread, NULL, answer_stat, stage);
	assert_int_equal(tenure_stat(stage->t, &stat), 0);
	assert_int_equal(stat.devices, 3);
	pthread_join(thread, NULL);
}

static void three_waits(void)
{
	struct stage stage;
	struct ender enders[3];
	uint64_t ids[3];

	stage_open(&stage);
	for (unsigned int i = 0; i < 3; i++) {
		struct wire_request request;

		ender_start(&enders[i], &stage, i + 1);
		request = heard(&stage);
		assert_int_equal(request.opcode, WIRE_OP_DEVICE_DESTROY);
		assert_int_equal(request.device, i + 1);
		ids[i] = request.id;
	}
	/* G2: while they wait, others go on. */
	ask_stat(&stage);
	/* G1: each its own, the last one first. */
	answer(stage.daemon, WIRE_OP_DEVICE_DESTROY, ids[2], -EINVAL, 0);
	assert_int_equal(ender_result(&enders[2]), -EINVAL);
	ask_stat(&stage);
	/* One is handed over by a thread that waits for something else. */
	answer(stage.daemon, WIRE_OP_DEVICE_DESTROY, ids[0], 0, 0);
	ask_stat(&stage);
	assert_int_equal(ender_result(&enders[0]), 0);
	answer(stage.daemon, WIRE_OP_DEVICE_DESTROY, ids[1], -ENODEV, 0);
	assert_int_equal(ender_result(&enders[1]), -ENODEV);
	stage_close(&stage);
}

static void g1_g2_in_any_order(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		three_waits();
}

static void g1_g2_without_an_eventfd(void **state)
{
	(void)state;
	no_eventfd = true;
	three_waits();
	no_eventfd = false;
}

/* The daemon goes; all who wait hear of it, and all who come later. */
static void g3_death_ends_every_wait(void **state)
{
	struct stage stage;
	struct ender enders[3];

	(void)state;
	stage_open(&stage);
	for (unsigned int i = 0; i < 3; i++) {
		ender_start(&enders[i], &stage, i + 1);
		heard(&stage);
	}
	close(stage.daemon);
	stage.daemon = -1;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(ender_result(&enders[i]), -ECONNRESET);
	assert_int_equal(tenure_flush(stage.t), -ECONNRESET);
	stage_close(&stage);
}

static void g3_nonsense_ends_every_wait(void **state)
{
	struct stage stage;
	struct ender enders[2];

	(void)state;
	stage_open(&stage);
	for (unsigned int i = 0; i < 2; i++) {
		ender_start(&enders[i], &stage, i + 1);
		heard(&stage);
	}
	answer(stage.daemon, WIRE_OP_DEVICE_DESTROY, 4711, 0, 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(ender_result(&enders[i]), -EPROTO);
	stage_close(&stage);
}

/* A reply to the right call, with the opcode of another. */
static void g3_a_wrong_answer_is_nonsense(void **state)
{
	struct stage stage;
	struct ender ender;

	(void)state;
	stage_open(&stage);
	ender_start(&ender, &stage, 1);
	answer(stage.daemon, WIRE_OP_DESTROY, heard(&stage).id, 0, 0);
	assert_int_equal(ender_result(&ender), -EPROTO);
	stage_close(&stage);
}

static void g3_a_farewell_ends_every_wait(void **state)
{
	struct stage stage;
	struct ender ender;

	(void)state;
	stage_open(&stage);
	ender_start(&ender, &stage, 1);
	heard(&stage);
	answer(stage.daemon, 0, 0, -ESHUTDOWN, 0);
	assert_int_equal(ender_result(&ender), -ESHUTDOWN);
	stage_close(&stage);
}

static uint64_t in_ms(unsigned int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec +
	       ms * UINT64_C(1000000);
}

static void g4_the_time_is_over(void **state)
{
	struct stage stage;
	struct call call = { .request.opcode = WIRE_OP_CONTEXT_DESTROY };
	struct late_call late;
	uint64_t id;

	(void)state;
	stage_open(&stage);
	assert_int_equal(connection_enter(stage.t), 0);
	assert_int_equal(late_send_locked(stage.t, &call, &late), 0);
	assert_int_equal(late_finish_waits(stage.t, &call, &late, in_ms(5)), 1);
	assert_int_equal(late_finish_waits(stage.t, &call, &late, 1), 1);
	id = heard(&stage).id;
	answer(stage.daemon, WIRE_OP_CONTEXT_DESTROY, id, -EINVAL, 0);
	connection_leave(stage.t, 0);
	ask_stat(&stage);
	assert_int_equal(connection_enter(stage.t), 0);
	assert_int_equal(late_finish_waits(stage.t, &call, &late, 0), 0);
	assert_int_equal(call.reply.status, -EINVAL);
	assert_null(stage.t->late.calls);
	connection_leave(stage.t, 0);
	stage_close(&stage);
}

static void test_which_may_be_late(void **state)
{
	struct wire_request request = { .opcode = WIRE_OP_DESTROY };

	(void)state;
	assert_false(late_may_be(&request));
	request.flags = TENURE_DESTROY_SYNCHRONOUS;
	assert_true(late_may_be(&request));
	request.opcode = WIRE_OP_CREATE;
	assert_false(late_may_be(&request));
	request.opcode = WIRE_OP_ADAPTER_CLOSE;
	assert_true(late_may_be(&request));
	request.opcode = WIRE_OP_CONTEXT_DESTROY;
	assert_true(late_may_be(&request));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_g2_in_any_order),
		cmocka_unit_test(g1_g2_without_an_eventfd),
		cmocka_unit_test(g3_death_ends_every_wait),
		cmocka_unit_test(g3_nonsense_ends_every_wait),
		cmocka_unit_test(g3_a_wrong_answer_is_nonsense),
		cmocka_unit_test(g3_a_farewell_ends_every_wait),
		cmocka_unit_test(g4_the_time_is_over),
		cmocka_unit_test(test_which_may_be_late),
	};

	return cmocka_run_group_tests_name("late", tests, NULL, NULL);
}
