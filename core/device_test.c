/* SPDX-License-Identifier: Apache-2.0 */
#include "core/device.h"

#include "tests/support/seat.h"

enum { RESOURCE = TENURE_CREATE_RESOURCE };

static struct wire_request device_request(enum wire_op opcode, uint64_t device,
					  uint64_t object)
{
	return (struct wire_request){ .opcode = (uint8_t)opcode,
				      .device = device,
				      .object = object };
}

/* A device with some of everything. */
static void furnish(struct seat *s)
{
	uint64_t resource, token[2], shared;

	assert_int_equal(seat_create(s, 0, 0, 300, NULL, NULL), 0);
	assert_int_equal(seat_create(s, 0, RESOURCE, 300, &resource, NULL), 0);
	assert_int_equal(seat_create(s, 0, RESOURCE | TENURE_CREATE_SHARED, 300,
				     &shared, NULL),
			 0);
	assert_int_equal(seat_share(s, shared, 1, token), 0);
	assert_int_equal(seat_open(s, token, 300, NULL, NULL), 0);
	assert_int_equal(seat_revoke(s, token), 0);
}

static void names_of_adapters(void **state)
{
	static const char *const bad[] = { "", "syste", "systemd", "SYSTEM",
					   "0123456789abcdef" };
	struct seat *s = *state;
	struct wire_request r = { .opcode = WIRE_OP_ADAPTER_OPEN };
	uint64_t adapter;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_unchanged(s, seat_adapter_open(s, bad[i], &adapter),
				 -ENODEV, TENURE_REASON_ADAPTER_UNKNOWN);
	/* Sixteen bytes that have no end. */
	memset(r.value, 's', sizeof(r.value));
	assert_unchanged(s, seat_ask(s, r, NULL, 0), -ENODEV,
			 TENURE_REASON_ADAPTER_UNKNOWN);
	assert_int_equal(seat_adapter_open(s, "other", &adapter), 0);
}

static void opens_and_devices_are_limited(void **state)
{
	struct seat *s = *state;
	uint64_t adapter, device;

	for (int i = 1; i < ADAPTER_OPENS_PER_CLIENT_MAX; i++)
		assert_int_equal(seat_adapter_open(s,
						   i % 2 ? "other" : "system",
						   &adapter),
				 0);
	assert_unchanged(s, seat_adapter_open(s, "other", &adapter), -EDQUOT,
			 TENURE_REASON_CLIENT_ADAPTERS);
	for (int i = 1; i < DEVICES_PER_CLIENT_MAX; i++)
		assert_int_equal(seat_device_create(s, adapter, &device), 0);
	assert_unchanged(s, seat_device_create(s, adapter, &device), -EDQUOT,
			 TENURE_REASON_CLIENT_DEVICES);
	inproc_check(s->world);
	assert_int_equal(seat_device_destroy(s, s->device), 0);
	assert_int_equal(seat_device_create(s, adapter, &device), 0);
	inproc_check(s->world);
}

static void handles_of_the_session_are_paid_for(void **state)
{
	struct inproc_config config;
	uint64_t adapter, device;
	struct seat s;

	(void)state;
	inproc_config_default(&config);
	config.limits.client[CHARGE_HANDLES] = 3;
	seat_take(&s, inproc_new(&config));
	assert_int_equal(seat_adapter_open(&s, "other", &adapter), 0);
	assert_unchanged(&s, seat_device_create(&s, adapter, &device), -EDQUOT,
			 TENURE_REASON_CLIENT_HANDLES);
	assert_unchanged(&s, seat_adapter_open(&s, "other", &device), -EDQUOT,
			 TENURE_REASON_CLIENT_HANDLES);
	assert_int_equal(seat_adapter_close(&s, adapter), 0);
	assert_int_equal(seat_device_create(&s, s.adapter, &device), 0);
	inproc_free(s.world);
}

static void a_device_without_memory(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		uint64_t adapter;
		struct seat s;
		int r;

		seat_connect(&s, inproc_new(NULL));
		assert_int_equal(inproc_hello(s.world, s.client), 0);
		world_fail_commit(s.world, n);
		r = seat_adapter_open(&s, "system", &adapter);
		if (r == 0)
			r = seat_device_create(&s, adapter, &s.device);
		world_fail_commit(s.world, 0);
		inproc_check(s.world);
		assert_int_equal(seat_session(&s)->n_devices, r == 0);
		inproc_free(s.world);
		if (r == 0) {
			assert_true(n > 2);
			return;
		}
		assert_int_equal(r, -ENOMEM);
	}
}

static void g1_nothing_is_left_when_destroy_answers(void **state)
{
	struct seat *s = *state;
	uint64_t device = s->device, id;

	furnish(s);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	assert_int_equal(
		seat_send(s, device_request(WIRE_OP_DEVICE_DESTROY, device, 0),
			  NULL, 0),
		BROKER_LATER);
	id = s->id;
	inproc_pump_all(s->world);
	assert_false(seat_heard(s, id));
	inproc_check(s->world);
	/* A07: removed for every request, this one included. */
	assert_unchanged(s, seat_create(s, 0, 0, 1, NULL, NULL), -ENODEV,
			 TENURE_REASON_DEVICE_REMOVED);
	assert_unchanged(s, seat_device_destroy(s, device), -ENODEV,
			 TENURE_REASON_DEVICE_REMOVED);
	inproc_releases(s->world, INPROC_RELEASES_RANDOM);
	while (!seat_heard(s, id))
		assert_true(inproc_pump(s->world));
	assert_int_equal(s->reply.head.status, 0);
	assert_int_equal(s->reply.head.opcode, WIRE_OP_DEVICE_DESTROY);
	assert_int_equal(checking_stores(inproc_backend(s->world, 0)), 0);
	assert_int_equal(checking_openings(inproc_backend(s->world, 0)), 0);
	assert_int_equal(seat_session(s)->n_devices, 0);
	assert_int_equal(seat_session(s)->n_retired, 0);
	assert_int_equal(seat_session(s)->account.used[CHARGE_HANDLES], 1);
	/* The handle is dead by now. */
	assert_unchanged(s, seat_device_destroy(s, device), -EINVAL,
			 TENURE_REASON_DEVICE_INVALID);
	assert_unchanged(s, seat_destroy(s, 0, NULL, 0, 0), -EINVAL,
			 TENURE_REASON_DEVICE_INVALID);
	inproc_check(s->world);
}

static void g1_the_last_close_waits_for_its_devices(void **state)
{
	struct seat *s = *state;
	uint64_t second, other, kept, id;

	assert_int_equal(seat_adapter_open(s, "system", &second), 0);
	assert_int_equal(seat_adapter_open(s, "other", &other), 0);
	assert_int_equal(seat_device_create(s, other, &kept), 0);
	furnish(s);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	/* Not the last one: an answer at once, and nothing happens. */
	assert_int_equal(seat_adapter_close(s, s->adapter), 0);
	assert_int_equal(seat_create(s, 0, 0, 1, NULL, NULL), 0);
	assert_int_equal(
		seat_send(s, device_request(WIRE_OP_ADAPTER_CLOSE, 0, second),
			  NULL, 0),
		BROKER_LATER);
	id = s->id;
	assert_unchanged(s, seat_device_create(s, second, &second), -EINVAL,
			 TENURE_REASON_ADAPTER_INVALID);
	inproc_pump_all(s->world);
	assert_false(seat_heard(s, id));
	inproc_check(s->world);
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(s->world);
	assert_true(seat_heard(s, id));
	assert_int_equal(s->reply.head.opcode, WIRE_OP_ADAPTER_CLOSE);
	assert_int_equal(seat_session(s)->n_devices, 1);
	s->device = kept;
	assert_int_equal(seat_create(s, 0, 0, 1, NULL, NULL), 0);
	inproc_check(s->world);
}

/* Device destroy, close, open and close again, all before anything is gone. */
static void g2_closed_by_everybody_at_once(void **state)
{
	struct seat *s = *state;
	uint64_t ids[4], second, again;

	assert_int_equal(seat_device_create(s, s->adapter, &second), 0);
	furnish(s);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	inproc_pump_by_itself(s->world, false);
	assert_int_equal(
		seat_send(s,
			  device_request(WIRE_OP_DEVICE_DESTROY, s->device, 0),
			  NULL, 0),
		BROKER_LATER);
	ids[0] = s->id;
	assert_int_equal(
		seat_send(s,
			  device_request(WIRE_OP_ADAPTER_CLOSE, 0, s->adapter),
			  NULL, 0),
		BROKER_LATER);
	ids[1] = s->id;
	inproc_check(s->world);
	for (int i = 2; i < 4; i++) {
		assert_int_equal(seat_adapter_open(s, "system", &again), 0);
		assert_int_equal(seat_send(s,
					   device_request(WIRE_OP_ADAPTER_CLOSE,
							  0, again),
					   NULL, 0),
				 BROKER_LATER);
		ids[i] = s->id;
		inproc_check(s->world);
	}
	inproc_pump_all(s->world);
	for (int i = 0; i < 4; i++)
		assert_false(seat_heard(s, ids[i]));
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(s->world);
	for (int i = 0; i < 4; i++) {
		assert_true(seat_heard(s, ids[i]));
		assert_int_equal(s->reply.head.status, 0);
		assert_false(seat_heard(s, ids[i]));
	}
	assert_int_equal(seat_session(s)->account.used[CHARGE_HANDLES], 0);
	inproc_check(s->world);
}

static void g2_a_stop_leaves_the_handle(void **state)
{
	struct seat *s = *state;
	uint64_t adapter;

	furnish(s);
	assert_int_equal(seat_event(s, WIRE_TEST_ADAPTER_STOP, 0, s->adapter),
			 0);
	/* The cascade has reclaimed, and the handle waits for its owner. */
	assert_int_equal(checking_stores(inproc_backend(s->world, 0)), 0);
	assert_int_equal(seat_session(s)->n_devices, 1);
	inproc_check(s->world);
	assert_unchanged(s, seat_create(s, 0, 0, 1, NULL, NULL), -ENODEV,
			 TENURE_REASON_DEVICE_REMOVED);
	assert_unchanged(s, seat_adapter_open(s, "system", &adapter), -ENODEV,
			 TENURE_REASON_ADAPTER_STOPPED);
	assert_unchanged(s, seat_device_create(s, s->adapter, &adapter),
			 -ENODEV, TENURE_REASON_ADAPTER_STOPPED);
	assert_int_equal(seat_event(s, WIRE_TEST_ADAPTER_START, 0, s->adapter),
			 0);
	/* Removed is removed. */
	assert_unchanged(s, seat_create(s, 0, 0, 1, NULL, NULL), -ENODEV,
			 TENURE_REASON_DEVICE_REMOVED);
	assert_int_equal(seat_device_destroy(s, s->device), 0);
	assert_int_equal(seat_session(s)->n_devices, 0);
	assert_int_equal(seat_device_create(s, s->adapter, &s->device), 0);
	assert_int_equal(seat_create(s, 0, 0, 1, NULL, NULL), 0);
}

static void g2_a_stop_while_it_is_being_destroyed(void **state)
{
	struct seat *s = *state;
	uint64_t id;

	furnish(s);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	assert_int_equal(
		seat_send(s,
			  device_request(WIRE_OP_DEVICE_DESTROY, s->device, 0),
			  NULL, 0),
		BROKER_LATER);
	id = s->id;
	assert_int_equal(seat_event(s, WIRE_TEST_ADAPTER_STOP, 0, s->adapter),
			 0);
	inproc_pump_all(s->world);
	inproc_releases(s->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(s->world);
	assert_true(seat_heard(s, id));
	assert_int_equal(seat_session(s)->n_devices, 0);
	inproc_check(s->world);
}

static void g2_death_in_the_middle(void **state)
{
	struct seat *s = *state, other;

	seat_take(&other, s->world);
	furnish(s);
	inproc_releases(s->world, INPROC_RELEASES_HELD);
	assert_int_equal(
		seat_send(s,
			  device_request(WIRE_OP_DEVICE_DESTROY, s->device, 0),
			  NULL, 0),
		BROKER_LATER);
	assert_int_equal(
		seat_send(s,
			  device_request(WIRE_OP_ADAPTER_CLOSE, 0, s->adapter),
			  NULL, 0),
		BROKER_LATER);
	inproc_kill(s->world, s->client);
	inproc_check(s->world);
	assert_int_equal(seat_event(&other, WIRE_TEST_ADAPTER_STOP, 0,
				    other.adapter),
			 0);
	inproc_check(s->world);
}

static void errors_and_wrong_handles(void **state)
{
	struct seat *s = *state;
	uint64_t resource;

	assert_int_equal(seat_create(s, 0, RESOURCE, 1, &resource, NULL), 0);
	assert_unchanged(s, seat_device_destroy(s, 0), -EINVAL,
			 TENURE_REASON_DEVICE_INVALID);
	assert_unchanged(s, seat_device_destroy(s, s->adapter), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	assert_unchanged(s, seat_device_destroy(s, resource), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	assert_unchanged(s, seat_adapter_close(s, 0), -EINVAL,
			 TENURE_REASON_ADAPTER_INVALID);
	assert_unchanged(s, seat_adapter_close(s, s->device), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	/* A device in error can still be destroyed, and be put into error
	 * only while it is there. */
	assert_int_equal(seat_event(s, WIRE_TEST_DEVICE_ERROR, s->device, 0),
			 0);
	assert_int_equal(seat_device(s, s->device)->state, DEVICE_ERROR);
	assert_int_equal(seat_device_destroy(s, s->device), 0);
	assert_unchanged(s, seat_event(s, WIRE_TEST_DEVICE_ERROR, s->device, 0),
			 -EINVAL, TENURE_REASON_DEVICE_INVALID);
	assert_unchanged(s, seat_event(s, 77, 0, s->adapter), -EINVAL,
			 TENURE_REASON_FLAGS_RESERVED);
}

#define seated(test) \
	cmocka_unit_test_setup_teardown(test, seat_set_up, seat_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		seated(names_of_adapters),
		seated(opens_and_devices_are_limited),
		cmocka_unit_test(handles_of_the_session_are_paid_for),
		cmocka_unit_test(a_device_without_memory),
		seated(g1_nothing_is_left_when_destroy_answers),
		seated(g1_the_last_close_waits_for_its_devices),
		seated(g2_closed_by_everybody_at_once),
		seated(g2_a_stop_leaves_the_handle),
		seated(g2_a_stop_while_it_is_being_destroyed),
		seated(g2_death_in_the_middle),
		seated(errors_and_wrong_handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
