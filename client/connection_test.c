/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection: every public function against every lie that any reply can
 * contain (H110), death, fork, acknowledgement, raw requests.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/connection.h"
#include "client/world_test.h"

/* ---- One call of every function that talks to the daemon ---- */

static int call_stat(struct world *w)
{
	struct tenure_stat stat;

	return tenure_stat(w->connection, &stat);
}

static int call_adapter_open(struct world *w)
{
	struct tenure_adapter adapter;

	return tenure_adapter_open(w->connection, "system", &adapter);
}

static int call_adapter_close(struct world *w)
{
	return tenure_adapter_close(w->connection, w->adapter);
}

static int call_device_create(struct world *w)
{
	struct tenure_device device;

	return tenure_device_create(w->connection, w->adapter, &device);
}

static int call_device_destroy(struct world *w)
{
	return tenure_device_destroy(w->connection, w->device);
}

static int call_create(struct world *w)
{
	static const size_t sizes[] = { 1, 1 };
	struct tenure_resource resource;
	struct tenure_allocation allocations[2];

	return tenure_resource_create(w->connection, w->device, 0, sizes, 2,
				      NULL, 0, &resource, allocations);
}

static int call_destroy(struct world *w)
{
	return tenure_resource_destroy(w->connection, w->device, w->resource);
}

static int call_share(struct world *w)
{
	struct tenure_token token;

	return tenure_resource_share(w->connection, w->device, w->resource,
				     TENURE_RIGHT_READ, &token);
}

static int call_revoke(struct world *w)
{
	return tenure_token_revoke(w->connection, &w->token);
}

static int call_query(struct world *w)
{
	struct tenure_resource_info info;
	size_t sizes[2];

	return tenure_resource_query(w->connection, &w->token, &info, sizes, 2);
}

static int call_open(struct world *w)
{
	struct tenure_resource resource;
	struct tenure_allocation allocations[2];
	char private_data[4];

	return tenure_resource_open(w->connection, w->device, &w->token, 0, 2,
				    private_data, sizeof(private_data),
				    &resource, allocations);
}

static int call_map(struct world *w)
{
	void *pointer;
	size_t size;

	return tenure_map(w->connection, w->device, w->allocations[0],
			  TENURE_MAP_READ, &pointer, &size);
}

static int call_unmap(struct world *w)
{
	return tenure_unmap(w->connection, w->device, w->allocations[0]);
}

static int call_alloc(struct world *w)
{
	struct tenure_memory memory;

	return tenure_alloc(w->connection, 1, &memory);
}

static int call_open_shared(struct world *w)
{
	struct tenure_memory memory;

	return tenure_open_shared(w->connection, &w->token, &memory);
}

static int (*const calls[])(struct world *) = {
	call_stat,	    call_adapter_open,	 call_adapter_close,
	call_device_create, call_device_destroy, call_create,
	call_destroy,	    call_share,		 call_revoke,
	call_query,	    call_open,		 call_map,
	call_unmap,	    call_alloc,		 call_open_shared,
};

/* ---- Lies that any reply can contain ---- */

static int lie_id(void *context, struct exchange *x)
{
	(void)context;
	x->reply.id++;
	return 0;
}

static int lie_id_zero(void *context, struct exchange *x)
{
	(void)context;
	x->reply.id = 0;
	return 0;
}

static int lie_opcode(void *context, struct exchange *x)
{
	(void)context;
	x->reply.opcode ^= 1;
	return 0;
}

static int lie_reserved(void *context, struct exchange *x)
{
	(void)context;
	x->reply.reserved = 1;
	return 0;
}

static int lie_surplus_descriptor(void *context, struct exchange *x)
{
	(void)context;
	if (x->fd < 0)
		x->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	x->reply.fds++;
	return 0;
}

static int lie_missing_descriptor(void *context, struct exchange *x)
{
	(void)context;
	if (x->fd >= 0)
		close(x->fd);
	x->fd = -1;
	x->reply.fds = 1;
	return 0;
}

static int lie_unannounced_descriptor(void *context, struct exchange *x)
{
	(void)context;
	if (x->fd < 0)
		x->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	x->reply.fds = 0;
	return 0;
}

static int lie_more_data(void *context, struct exchange *x)
{
	(void)context;
	x->reply.data_bytes++;
	x->data_bytes++;
	return 0;
}

static int lie_less_data(void *context, struct exchange *x)
{
	(void)context;
	x->reply.data_bytes++;
	return 0;
}

static int lie_positive_status(void *context, struct exchange *x)
{
	(void)context;
	x->reply.status = 1;
	return 0;
}

static int lie_absurd_status(void *context, struct exchange *x)
{
	(void)context;
	x->reply.status = INT32_MIN;
	return 0;
}

static int lie_refused_with_descriptor(void *context, struct exchange *x)
{
	(void)context;
	x->reply.status = -EINVAL;
	return lie_surplus_descriptor(context, x);
}

static int lie_truncated(void *context, struct exchange *x)
{
	(void)context;
	if (x->fd >= 0)
		close(x->fd);
	return -EPROTO;
}

static int (*const lies[])(void *, struct exchange *) = {
	lie_id,
	lie_id_zero,
	lie_opcode,
	lie_reserved,
	lie_surplus_descriptor,
	lie_missing_descriptor,
	lie_unannounced_descriptor,
	lie_less_data,
	lie_positive_status,
	lie_absurd_status,
	lie_refused_with_descriptor,
	lie_truncated,
};

/* G1, G2 */
static void check_lie(int (*call)(struct world *),
		      int (*lie)(void *, struct exchange *))
{
	struct world w;

	world_open(&w);
	if (call == call_unmap)
		assert_int_equal(call_map(&w), 0);
	world_lie(&w, lie);
	assert_int_equal(call(&w), -EPROTO);
	assert_int_equal(world_reason(), TENURE_REASON_DAEMON_PROTOCOL);
	world_check_fds(&w);
	w.fake->n_requests = 0;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		assert_int_equal(calls[i](&w), -EPROTO);
	assert_int_equal(world_reason(), TENURE_REASON_DAEMON_PROTOCOL);
	assert_int_equal(w.fake->n_requests, 0);
	world_close(&w);
}

static void test_every_lie_to_every_call(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(lies); j++)
			check_lie(calls[i], lies[j]);
	}
}

/* Too much data is a lie where the request says how much there must be. */
static void test_more_data(void **state)
{
	(void)state;
	check_lie(call_stat, lie_more_data);
	check_lie(call_create, lie_more_data);
	check_lie(call_query, lie_more_data);
	check_lie(call_open, lie_more_data);
	check_lie(call_map, lie_more_data);
}

static int answer_nothing(void *context, struct exchange *x)
{
	(void)context;
	if (x->fd >= 0)
		close(x->fd);
	return -ECONNRESET;
}

/* G2 */
static void test_end_of_daemon(void **state)
{
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		world_open(&w);
		world_lie(&w, answer_nothing);
		assert_int_equal(calls[i](&w), -ECONNRESET);
		assert_int_equal(world_reason(), TENURE_REASON_CONNECTION_LOST);
		assert_int_equal(call_stat(&w), -ECONNRESET);
		world_check_fds(&w);
		world_close(&w);
	}
}

static int farewell(void *context, struct exchange *x)
{
	(void)context;
	x->reply = (struct wire_reply){
		.status = -EDQUOT,
		.reason = TENURE_REASON_PRINCIPAL_CLIENTS,
		.index = WIRE_NO_INDEX,
	};
	x->data_bytes = 0;
	return 0;
}

static void test_farewell(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_lie(&w, farewell);
	assert_int_equal(call_stat(&w), -EDQUOT);
	assert_int_equal(world_reason(), TENURE_REASON_PRINCIPAL_CLIENTS);
	assert_int_equal(call_create(&w), -EDQUOT);
	assert_int_equal(world_reason(), TENURE_REASON_PRINCIPAL_CLIENTS);
	world_close(&w);
}

static int transport_has_no_memory(void *context, struct exchange *x)
{
	(void)context;
	(void)x;
	return -ENOMEM;
}

static void test_send_without_memory(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_lie(&w, transport_has_no_memory);
	assert_int_equal(call_stat(&w), -ENOMEM);
	assert_int_equal(call_stat(&w), 0);
	world_close(&w);
}

static int old_version(void *context, struct exchange *x)
{
	(void)context;
	x->reply.count = WIRE_VERSION_MAX + 1;
	return 0;
}

static int no_version(void *context, struct exchange *x)
{
	(void)context;
	x->reply.status = -EPROTONOSUPPORT;
	x->reply.reason = TENURE_REASON_VERSION;
	x->reply.count = 0;
	return 0;
}

static void check_hello(int (*lie)(void *, struct exchange *), int status)
{
	struct fake_daemon *fake = fake_daemon_new();
	struct tenure *connection = NULL;

	fake->lie = lie;
	fake->lie_at = 1;
	assert_int_equal(connection_new(&fake->transport, &connection), status);
	assert_null(connection);
	assert_false(fake->closed);
	fake_daemon_free(fake);
}

static void test_hello(void **state)
{
	unsigned int fds_before = fake_open_fds();

	(void)state;
	check_hello(old_version, -EPROTO);
	check_hello(no_version, -EPROTONOSUPPORT);
	assert_int_equal(world_reason(), TENURE_REASON_VERSION);
	check_hello(farewell, -EDQUOT);
	check_hello(answer_nothing, -ECONNRESET);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		check_hello(lies[i], -EPROTO);
	assert_int_equal(fake_open_fds(), fds_before);
}

static void test_null(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	tenure_disconnect(w.connection);
	w.connection = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		assert_int_equal(calls[i](&w), -EINVAL);
		assert_int_equal(world_reason(), TENURE_REASON_ARGUMENT);
	}
	assert_string_equal(tenure_socket_path(NULL), "");
	assert_int_equal(tenure_stat(NULL, NULL), -EINVAL);
	world_close(&w);
}

/* G3: what a forked child does is not seen by the daemon. */
static int child_of(struct world *w, void *pointer)
{
	struct tenure_refusal refusal;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i](w) != -EOWNERDEAD)
			return 1;
	}
	tenure_last_refusal(&refusal);
	if (refusal.reason != TENURE_REASON_FORKED || *(char *)pointer != 'p')
		return 2;
	tenure_disconnect(w->connection);
	return w->fake->n_requests == 0 ? 0 : 3;
}

static void test_fork(void **state)
{
	void *pointer;
	size_t size;
	struct world w;
	int exit_status;
	pid_t pid;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_map(w.connection, w.device, w.allocations[0],
				    TENURE_MAP_WRITE, &pointer, &size),
			 0);
	*(char *)pointer = 'p';
	w.fake->n_requests = 0;
	pid = fork();
	if (pid == 0)
		_exit(child_of(&w, pointer));
	assert_int_equal(waitpid(pid, &exit_status, 0), pid);
	assert_int_equal(exit_status, 0);
	assert_int_equal(call_stat(&w), 0);
	assert_int_equal(*(char *)pointer, 'p');
	world_close(&w);
}

/* A child forked while another thread was inside of a call. */
static void test_fork_in_a_call(void **state)
{
	struct world w;
	int exit_status;
	pid_t pid;

	(void)state;
	world_open(&w);
	pthread_mutex_lock(&w.connection->lock);
	pid = fork();
	if (pid == 0) {
		if (call_stat(&w) != -EOWNERDEAD)
			_exit(1);
		tenure_disconnect(w.connection);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &exit_status, 0), pid);
	assert_int_equal(exit_status, 0);
	pthread_mutex_unlock(&w.connection->lock);
	world_close(&w);
}

/* G4 */
static void test_acknowledgement(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(call_map(&w), 0);
	assert_int_equal(w.fake->fds_out, 1);
	assert_int_equal(call_stat(&w), 0);
	assert_int_equal(w.fake->request.fds_acked, 1);
	assert_int_equal(call_stat(&w), 0);
	assert_int_equal(w.fake->request.fds_acked, 0);
	assert_int_equal(w.fake->fds_out, 0);
	world_close(&w);
}

static void test_stat(void **state)
{
	struct tenure_stat stat;
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(tenure_stat(w.connection, &stat), 0);
	assert_int_equal(stat.devices, 1);
	assert_int_equal(stat.resources, 1);
	assert_int_equal(stat.allocations, 2);
	assert_string_equal(tenure_socket_path(w.connection), "");
	assert_string_equal(tenure_version(), "0.1.0");
	world_close(&w);
}

static void test_raw_request(void **state)
{
	struct wire_request head = { .opcode = WIRE_OP_STAT };
	struct wire_stat stat;
	struct wire_reply reply;
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(connection_request(w.connection, &head, NULL, 0,
					    &reply, &stat, sizeof(stat)),
			 0);
	assert_int_equal(reply.status, 0);
	assert_true(reply.id != 0);
	assert_int_equal(stat.allocations, 2);
	head.id = 12345;
	w.fake->refuse_opcode = WIRE_OP_STAT;
	w.fake->refuse_status = -EIO;
	assert_int_equal(connection_request(w.connection, &head, NULL, 0,
					    &reply, &stat, sizeof(stat)),
			 0);
	assert_int_equal(reply.status, -EIO);
	assert_int_equal(reply.id, 12345);
	head.opcode = WIRE_OP_MAP;
	head.object = w.allocations[0].value;
	head.flags = WIRE_MAP_WANT_FD;
	assert_int_equal(connection_request(w.connection, &head, NULL, 0,
					    &reply, NULL, 0),
			 0);
	assert_int_equal(reply.fds, 1);
	world_check_fds(&w);
	assert_int_equal(call_stat(&w), 0);
	assert_int_equal(w.fake->request.fds_acked, 0);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_lie_to_every_call),
		cmocka_unit_test(test_more_data),
		cmocka_unit_test(test_end_of_daemon),
		cmocka_unit_test(test_farewell),
		cmocka_unit_test(test_send_without_memory),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_fork_in_a_call),
		cmocka_unit_test(test_acknowledgement),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_raw_request),
	};

	tenure_disconnect(NULL);
	return cmocka_run_group_tests_name("connection", tests, NULL, NULL);
}
