/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: G1 to G4 with the fake daemon, whose transport has nothing to wait
 * on; with real sockets, deaths and rings in tests/integration/loop_test.c.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/socket.h"
#include "client/world_test.h"

enum { NOTICES_MAX = 1000 }; /* in one dispatch */

static bool no_eventfd, no_epoll;
static int notices;

int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);

int __wrap_eventfd(unsigned int count, int flags)
{
	if (no_eventfd) {
		errno = EMFILE;
		return -1;
	}
	return __real_eventfd(count, flags);
}

int __wrap_epoll_create1(int flags)
{
	if (no_epoll) {
		errno = ENFILE;
		return -1;
	}
	return __real_epoll_create1(flags);
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

/* Two frees of a handle that does not exist. */
static void be_refused(struct world *w)
{
	const struct tenure_allocation wrong[2] = { { 7 }, { 7 } };

	assert_int_equal(tenure_allocations_free(w->connection, wrong, 2), 0);
}

static unsigned int take_all(struct world *w)
{
	struct tenure_async_refusal refusals[16];

	return (unsigned int)tenure_refusals_take(w->connection, refusals, 16,
						  NULL);
}

static void g1_g2_refusals(void **state)
{
	struct world w;
	int fd;

	(void)state;
	world_open(&w);
	fd = tenure_event_fd(w.connection);
	assert_true(fd >= 0);
	assert_int_equal(w.fake->request.opcode, WIRE_OP_NOTICES);
	assert_int_equal(tenure_event_fd(w.connection), fd);
	assert_false(is_readable(fd));
	assert_int_equal(tenure_dispatch(w.connection), 0);
	be_refused(&w);
	assert_true(is_readable(fd));
	assert_int_equal(tenure_dispatch(w.connection), TENURE_EVENT_REFUSALS);
	assert_false(is_readable(fd));
	/* Still there, and reported to whoever asks. */
	assert_int_equal(tenure_dispatch(w.connection), TENURE_EVENT_REFUSALS);
	assert_false(is_readable(fd));
	be_refused(&w);
	assert_true(is_readable(fd));
	assert_int_equal(take_all(&w), 4);
	assert_int_equal(tenure_dispatch(w.connection), 0);
	assert_false(is_readable(fd));
	world_close(&w);
}

/* What was refused before anybody asked. */
static void g1_asked_late(void **state)
{
	struct world w;
	int fd;

	(void)state;
	world_open(&w);
	be_refused(&w);
	assert_int_equal(tenure_dispatch(w.connection), TENURE_EVENT_REFUSALS);
	fd = tenure_event_fd(w.connection);
	assert_true(is_readable(fd));
	assert_int_equal(tenure_dispatch(w.connection), TENURE_EVENT_REFUSALS);
	assert_false(is_readable(fd));
	world_close(&w);
}

/* One notice, and then nothing. */
static int notice_once(void *context, struct exchange *x)
{
	struct fake_daemon *fake = context;

	fake->listen = NULL;
	x->reply = (struct wire_reply){
		.opcode = WIRE_OP_NOTICE,
		.index = WIRE_NO_INDEX,
		.value[0] = WIRE_NOTICE_REMOVED | 1u << 30,
	};
	x->data_bytes = 0;
	return 0;
}

static void expect_notice(struct world *w)
{
	w->fake->listen = notice_once;
	w->fake->listen_context = w->fake;
}

static void g1_removals(void **state)
{
	struct world w;
	int fd;

	(void)state;
	world_open(&w);
	fd = tenure_event_fd(w.connection);
	expect_notice(&w);
	assert_int_equal(tenure_dispatch(w.connection), TENURE_EVENT_REMOVED);
	assert_int_equal(tenure_dispatch(w.connection), 0);
	/* Another thread of the library finds it first. */
	expect_notice(&w);
	assert_int_equal(connection_enter(w.connection), 0);
	connection_listen_locked(w.connection);
	connection_leave(w.connection, 0);
	assert_true(is_readable(fd));
	assert_int_equal(tenure_dispatch(w.connection), TENURE_EVENT_REMOVED);
	assert_false(is_readable(fd));
	world_close(&w);
}

static int nonsense(void *context, struct exchange *x)
{
	notice_once(context, x);
	x->reply.value[0] = 0;
	x->reply.status = -EINVAL;
	x->reply.data_bytes = 8;
	return 0;
}

/* A daemon that always has one more. */
static int notice_for_ever(void *context, struct exchange *x)
{
	struct fake_daemon *fake = context;
	int status = notice_once(context, x);

	fake->listen = notice_for_ever;
	if (++notices > NOTICES_MAX)
		fail_msg("a dispatch goes on as long as there is more");
	return status;
}

static void g3_a_flood(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	assert_true(tenure_event_fd(w.connection) >= 0);
	w.fake->listen = notice_for_ever;
	w.fake->listen_context = w.fake;
	for (int i = 0; i < 3; i++) {
		notices = 0;
		assert_int_equal(tenure_dispatch(w.connection),
				 TENURE_EVENT_REMOVED);
		assert_true(notices > 0);
	}
	w.fake->listen = NULL;
	world_close(&w);
}

/* Answers hello, and that there is no ring and that notices will come. */
static void *say_yes(void *context)
{
	int fd = *(int *)context;
	struct wire_request request;

	for (int i = 0; i < 3; i++) {
		struct wire_reply reply = { .index = WIRE_NO_INDEX };

		if (recv(fd, &request, sizeof(request), 0) <
		    (ssize_t)sizeof(request))
			break;
		reply.opcode = request.opcode;
		reply.id = request.id;
		if (request.opcode == WIRE_OP_HELLO)
			reply.count = WIRE_VERSION_MAX;
		if (request.opcode == WIRE_OP_RING)
			reply.status = -EDQUOT;
		if (send(fd, &reply, sizeof(reply), 0) < 0)
			break;
	}
	return NULL;
}

/* A real socket whose other end is silent; the alarm ends who waits there. */
static void g3_a_silent_daemon(void **state)
{
	struct transport *transport;
	struct tenure *connection;
	pthread_t thread;
	int fds[2];

	(void)state;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(socket_transport_adopt(fds[0], &transport), 0);
	assert_int_equal(pthread_create(&thread, NULL, say_yes, &fds[1]), 0);
	assert_int_equal(connection_new(transport, &connection), 0);
	assert_true(tenure_event_fd(connection) >= 0);
	pthread_join(thread, NULL);
	alarm(20);
	for (int i = 0; i < 100; i++)
		assert_int_equal(tenure_dispatch(connection), 0);
	alarm(0);
	tenure_disconnect(connection);
	close(fds[1]);
}

static void g4_nobody_has_asked(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	expect_notice(&w);
	assert_int_equal(tenure_dispatch(w.connection), -EPROTO);
	assert_int_equal(world_reason(), TENURE_REASON_DAEMON_PROTOCOL);
	assert_int_equal(tenure_event_fd(w.connection), -EPROTO);
	world_close(&w);
	world_open(&w);
	assert_true(tenure_event_fd(w.connection) >= 0);
	w.fake->listen = nonsense;
	w.fake->listen_context = w.fake;
	assert_int_equal(tenure_dispatch(w.connection), -EPROTO);
	world_close(&w);
}

static int end_of_file(void *context, struct exchange *x)
{
	(void)context;
	(void)x;
	return -ECONNRESET;
}

static void g2_death(void **state)
{
	struct world w;
	int fd;

	(void)state;
	world_open(&w);
	fd = tenure_event_fd(w.connection);
	be_refused(&w);
	w.fake->listen = end_of_file;
	assert_int_equal(connection_enter(w.connection), 0);
	connection_listen_locked(w.connection);
	connection_leave(w.connection, 0);
	assert_true(is_readable(fd));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(tenure_dispatch(w.connection), -ECONNRESET);
		assert_int_equal(world_reason(), TENURE_REASON_CONNECTION_LOST);
		assert_false(is_readable(fd));
	}
	assert_int_equal(take_all(&w), 2);
	world_close(&w);
}

static void test_no_room(void **state)
{
	unsigned int before;
	struct world w;

	(void)state;
	world_open(&w);
	before = fake_open_fds();
	no_eventfd = true;
	assert_int_equal(tenure_event_fd(w.connection), -EMFILE);
	assert_int_equal(world_reason(), TENURE_REASON_NO_DESCRIPTOR);
	no_eventfd = false;
	no_epoll = true;
	assert_true(tenure_event_fd(w.connection) < 0);
	no_epoll = false;
	assert_int_equal(fake_open_fds(), before);
	/* The daemon says no: the next call asks again. */
	w.fake->refuse_opcode = WIRE_OP_NOTICES;
	w.fake->refuse_status = -ENOTSUP;
	assert_int_equal(tenure_event_fd(w.connection), -ENOTSUP);
	assert_true(tenure_event_fd(w.connection) >= 0);
	assert_int_equal(fake_open_fds(), before + 2);
	tenure_disconnect(w.connection);
	assert_int_equal(fake_open_fds(), before);
	fake_daemon_free(w.fake);
}

static void test_arguments(void **state)
{
	(void)state;
	assert_int_equal(tenure_event_fd(NULL), -EINVAL);
	assert_int_equal(tenure_dispatch(NULL), -EINVAL);
}

/* By the ring: refusals that lie there are found by a dispatch. */
static void g1_by_the_ring(void **state)
{
	struct world w;
	int fd, reported = 0;

	(void)state;
	world_open_ring(&w);
	fd = tenure_event_fd(w.connection);
	assert_true(fd >= 0);
	be_refused(&w);
	for (int i = 0; i < 5000 && reported == 0; i++) {
		reported = tenure_dispatch(w.connection);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	assert_int_equal(reported, TENURE_EVENT_REFUSALS);
	/* And by any call that reaps. */
	take_all(&w);
	assert_int_equal(tenure_flush(w.connection), 0);
	take_all(&w);
	assert_int_equal(tenure_dispatch(w.connection), 0);
	be_refused(&w);
	assert_int_equal(tenure_flush(w.connection), 0);
	assert_true(is_readable(fd));
	assert_int_equal(tenure_dispatch(w.connection), TENURE_EVENT_REFUSALS);
	assert_false(is_readable(fd));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_g2_refusals),
		cmocka_unit_test(g1_asked_late),
		cmocka_unit_test(g1_removals),
		cmocka_unit_test(g1_by_the_ring),
		cmocka_unit_test(g2_death),
		cmocka_unit_test(g3_a_flood),
		cmocka_unit_test(g3_a_silent_daemon),
		cmocka_unit_test(g4_nobody_has_asked),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_arguments),
	};

	return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
