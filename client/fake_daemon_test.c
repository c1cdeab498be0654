/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fake daemon: the tests of the library rely on its counts, so they are
 * checked by hand-made requests once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/fake_daemon.h"

static struct exchange ask(struct fake_daemon *fake,
			   const struct wire_request *request, const void *args,
			   size_t args_bytes, void *data, size_t capacity)
{
	struct exchange x = {
		.request = request,
		.args = args,
		.args_bytes = args_bytes,
		.data = data,
		.capacity = capacity,
		.fd = -1,
	};

	assert_int_equal(fake->transport.ops->exchange(&fake->transport, &x),
			 0);
	assert_int_equal(x.reply.opcode, request->opcode);
	assert_int_equal(x.reply.id, request->id);
	return x;
}

static void test_life_of_an_allocation(void **state)
{
	const struct wire_allocation size = { .size_bytes = 5000 };
	struct wire_request request = {
		.opcode = WIRE_OP_CREATE,
		.id = 7,
		.device = 1,
		.count = 1,
	};
	struct fake_daemon *fake = fake_daemon_new();
	struct tenure_allocation handle;
	struct exchange x;

	(void)state;
	ask(fake, &request, &size, sizeof(size), &handle, sizeof(handle));
	assert_int_equal(fake->n_allocations, 1);
	request = (struct wire_request){
		.opcode = WIRE_OP_MAP,
		.object = handle.value,
		.flags = WIRE_MAP_WANT_FD,
	};
	x = ask(fake, &request, NULL, 0, NULL, 0);
	assert_true(x.fd >= 0);
	close(x.fd);
	assert_int_equal(x.reply.value[2], 8192);
	assert_int_equal(fake_daemon_maps(fake, handle), 1);
	assert_int_equal(fake->fds_out, 1);
	request = (struct wire_request){
		.opcode = WIRE_OP_DESTROY,
		.fds_acked = 1,
		.count = 1,
	};
	ask(fake, &request, &handle, sizeof(handle), NULL, 0);
	assert_int_equal(fake->fds_out, 0);
	assert_int_equal(fake->n_allocations, 0);
	fake_daemon_free(fake);
}

static void test_refuses_once(void **state)
{
	const struct wire_request request = { .opcode = WIRE_OP_PING };
	struct fake_daemon *fake = fake_daemon_new();

	(void)state;
	fake->refuse_opcode = WIRE_OP_PING;
	fake->refuse_status = -EIO;
	assert_int_equal(ask(fake, &request, NULL, 0, NULL, 0).reply.status,
			 -EIO);
	assert_int_equal(ask(fake, &request, NULL, 0, NULL, 0).reply.status, 0);
	assert_int_equal(fake->n_requests, 2);
	fake_daemon_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life_of_an_allocation),
		cmocka_unit_test(test_refuses_once),
	};

	return cmocka_run_group_tests_name("fake_daemon", tests, NULL, NULL);
}
