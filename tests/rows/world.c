/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage of the row scenarios. A scenario never asks in which mode it
 * runs: what differs (how a client connects, how one waits for the releaser,
 * where the totals come from) is here, and only here.
 *
 * Every helper asserts by itself, so that a scenario reads as the sentence of
 * its row. A refusal is always checked three ways: status, reason and index,
 * and that the client holds exactly what it held before (law 1).
 */
#include "tests/rows/world.h"

#include "client/transport.h"
#include "tests/support/daemon_process.h"
#include "tests/support/inproc.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 5000 };

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* ---- Worlds ---- */

static const char *limit_names[CHARGE_KINDS] = {
	[CHARGE_BYTES] = "bytes",	[CHARGE_HANDLES] = "handles",
	[CHARGE_STORES] = "stores",	[CHARGE_TOKENS] = "tokens",
	[CHARGE_WAITS] = "waits",	[CHARGE_CLIENTS] = "clients",
	[CHARGE_SEGMENTS] = "segments",
};

static void append_section(char *text, size_t size, const char *name,
			   const uint64_t *values)
{
	size_t at = strlen(text);
	unsigned int kind;

	at += (size_t)snprintf(text + at, size - at, "[%s]\n", name);
	for (kind = 0; kind < CHARGE_KINDS; kind++) {
		if (kind == CHARGE_CLIENTS && strcmp(name, "client") == 0)
			continue;
		at += (size_t)snprintf(text + at, size - at, "%s = %llu\n",
				       limit_names[kind],
				       (unsigned long long)values[kind]);
	}
}

static struct daemon_process *start_with(const struct limits *limits)
{
	struct daemon_options options = { 0 };
	char text[1024] = "";

	if (limits) {
		append_section(text, sizeof(text), "client", limits->client);
		append_section(text, sizeof(text), "principal",
			       limits->principal);
		options.config = text;
	}
	return daemon_start(&options);
}

struct world *world_new(const struct limits *limits)
{
	struct world *world = calloc(1, sizeof(*world));
	struct inproc_config config;

	assert_non_null(world);
	if (rows_mode() == ROWS_DAEMON) {
		world->daemon = start_with(limits);
		return world;
	}
	inproc_config_default(&config);
	if (limits)
		config.limits = *limits;
	world->inproc = inproc_new(&config);
	return world;
}

void world_free(struct world *world)
{
	unsigned int i;

	for (i = 0; i < PARTIES_MAX; i++)
		tenure_disconnect(world->connections[i]);
	if (world->inproc) {
		inproc_pump_all(world->inproc);
		inproc_check(world->inproc);
		inproc_free(world->inproc);
	} else {
		daemon_stop_clean(world->daemon);
	}
	free(world);
}

int world_setup(void **state)
{
	*state = world_new(NULL);
	return 0;
}

int world_teardown(void **state)
{
	world_free(*state);
	return 0;
}

int world_main(int argc, char **argv, const char *group,
	       const struct CMUnitTest *tests, size_t n)
{
	if (argc != 2 || (strcmp(argv[1], "inproc") != 0 &&
			  strcmp(argv[1], "daemon") != 0)) {
		fprintf(stderr, "usage: %s inproc|daemon\n", argv[0]);
		return 64;
	}
	rows_set_mode(strcmp(argv[1], "daemon") == 0 ? ROWS_DAEMON :
						       ROWS_INPROC);
	return _cmocka_run_group_tests(group, tests, n, NULL, NULL);
}

void world_status(struct world *world, struct wire_status *ret)
{
	if (!world->inproc) {
		daemon_status(world->daemon, ret);
		return;
	}
	inproc_pump_all(world->inproc);
	broker_status(inproc_broker(world->inproc), ret);
}

void assert_stores(struct world *world, uint64_t count)
{
	struct wire_status status;
	unsigned int try;

	for (try = 0; try < TRIES; try++) {
		world_status(world, &status);
		if (status.stores == count)
			return;
		nap();
	}
	fail_msg("%llu stores, expected %llu",
		 (unsigned long long)status.stores, (unsigned long long)count);
}

/* In process nothing moves between two calls anyway. */
void world_freeze(struct world *world)
{
	if (world->daemon)
		daemon_freeze(world->daemon);
}

void world_thaw(struct world *world)
{
	if (world->daemon)
		daemon_thaw(world->daemon);
}

/* ---- Parties ---- */

static struct tenure *connect_library(struct world *world)
{
	struct tenure *t = NULL;

	if (world->inproc)
		assert_ok(inproc_attach(world->inproc, NULL, &t, NULL));
	else
		assert_ok(tenure_connect(daemon_socket(world->daemon), 0, &t));
	return t;
}

struct party party_new(struct world *world)
{
	struct party party = { .world = world };
	struct tenure_stat fresh;
	unsigned int i;

	party.t = connect_library(world);
	assert_ok(tenure_stat(party.t, &fresh));
	party.ring_bytes = fresh.bytes;
	for (i = 0; world->connections[i]; i++)
		assert_true(i + 1 < PARTIES_MAX);
	world->connections[i] = party.t;
	assert_ok(tenure_adapter_open(party.t, NULL, &party.adapter));
	assert_ok(tenure_device_create(party.t, party.adapter, &party.device));
	return party;
}

struct party party_second_device(const struct party *party)
{
	struct party second = *party;

	assert_ok(
		tenure_device_create(party->t, party->adapter, &second.device));
	return second;
}

void party_end(struct party *party)
{
	unsigned int i;

	for (i = 0; party->world->connections[i] != party->t; i++)
		;
	party->world->connections[i] = NULL;
	tenure_disconnect(party->t);
	party->t = NULL;
}

struct tenure_stat party_stat(const struct party *party)
{
	struct tenure_stat stat;
	unsigned int try;

	for (try = 0; try < TRIES; try++) {
		if (party->world->inproc) {
			inproc_pump_all(party->world->inproc);
			inproc_check(party->world->inproc);
		}
		assert_ok(tenure_stat(party->t, &stat));
		stat.bytes -= party->ring_bytes;
		if (stat.retired == 0)
			return stat;
		nap();
	}
	fail_msg("%llu handles are dead and never given back",
		 (unsigned long long)stat.retired);
	return stat;
}

struct wire_reply party_raw(const struct party *party,
			    const struct wire_request *head, const void *args,
			    size_t args_bytes)
{
	static uint8_t data[WIRE_DATA_BYTES_MAX];
	struct wire_reply reply;

	assert_ok(connection_request(party->t, head, args, args_bytes, &reply,
				     data, sizeof(data)));
	return reply;
}

void party_event(const struct party *party, enum wire_test_event event,
		 uint64_t handle)
{
	struct wire_request head = { .opcode = WIRE_OP_TEST_EVENT,
				     .flags = event };

	if (event == WIRE_TEST_DEVICE_ERROR)
		head.device = handle;
	else
		head.object = handle;
	assert_ok(party_raw(party, &head, NULL, 0).status);
}

struct tenure_allocation make_allocation(const struct party *party, size_t size)
{
	struct tenure_allocation allocation;

	assert_ok(tenure_allocation_create(party->t, party->device, &size, 1,
					   &allocation));
	return allocation;
}

static const size_t *pages(unsigned int count)
{
	static size_t sizes[LIST_ENTRIES_MAX];
	unsigned int i;

	for (i = 0; i < count; i++)
		sizes[i] = PAGE;
	return sizes;
}

void make_allocations(const struct party *party, unsigned int count,
		      struct tenure_allocation *ret)
{
	assert_ok(tenure_allocation_create(party->t, party->device,
					   pages(count), count, ret));
}

struct tenure_resource make_resource(const struct party *party,
				     unsigned int flags, unsigned int count,
				     struct tenure_allocation *ret)
{
	static struct tenure_allocation ignored[LIST_ENTRIES_MAX];
	struct tenure_resource resource;

	assert_ok(tenure_resource_create(party->t, party->device, flags,
					 pages(count), count, NULL, 0,
					 &resource, ret ? ret : ignored));
	return resource;
}

struct tenure_token make_token(const struct party *party,
			       struct tenure_resource resource,
			       unsigned int rights)
{
	struct tenure_token token;

	assert_ok(tenure_resource_share(party->t, party->device, resource,
					rights, &token));
	return token;
}

struct tenure_resource open_token(const struct party *party,
				  const struct tenure_token *token,
				  unsigned int rights, unsigned int count,
				  struct tenure_allocation *ret)
{
	static struct tenure_allocation ignored[LIST_ENTRIES_MAX];
	struct tenure_resource resource;

	assert_ok(tenure_resource_open(party->t, party->device, token, rights,
				       count, NULL, 0, &resource,
				       ret ? ret : ignored));
	return resource;
}

int destroy(const struct party *party, uint64_t resource,
	    const struct tenure_allocation *list, unsigned int count,
	    unsigned int flags)
{
	return tenure_destroy(party->t, &(struct tenure_destroy){
						.device = party->device,
						.resource = { resource },
						.list = list,
						.count = count,
						.flags = flags,
					});
}

int destroy_list(const struct party *party,
		 const struct tenure_allocation *list, unsigned int count)
{
	return destroy(party, 0, list, count, 0);
}

int destroy_resource(const struct party *party, uint64_t resource)
{
	return destroy(party, resource, NULL, 0, 0);
}

/* ---- Assertions ---- */

static void describe(char *text, size_t size, int status, unsigned int reason,
		     int index)
{
	snprintf(text, size, "%d (%s), reason %u \"%s\", index %d", status,
		 status ? strerror(-status) : "success", reason,
		 tenure_strreason((enum tenure_reason)reason), index);
}

void expect_ok(int result, const char *call, const char *file, int line)
{
	char text[256];

	if (result == 0)
		return;
	print_error("%s: %s\n", call, tenure_explain(text, sizeof(text)));
	_assert_int_equal((LargestIntegralType)result, 0, file, line);
}

void expect_refusal(int result, int status, enum tenure_reason reason,
		    int index, const char *file, int line)
{
	struct tenure_refusal got = { 0 };
	char text[256];

	if (result)
		tenure_last_refusal(&got);
	if (result == status && got.status == status && got.reason == reason &&
	    got.index == index)
		return;
	describe(text, sizeof(text), status, reason, index);
	print_error("expected %s\n", text);
	describe(text, sizeof(text), result, got.reason, got.index);
	print_error("but got  %s\n", text);
	_fail(file, line);
}

void expect_same_stat(const struct tenure_stat *before,
		      const struct party *party, const char *file, int line)
{
	struct tenure_stat after = party_stat(party);

	if (memcmp(before, &after, sizeof(after)) == 0)
		return;
	print_error("a refused call has changed something: handles %llu to "
		    "%llu, bytes %llu to %llu, tokens %llu to %llu\n",
		    (unsigned long long)before->handles,
		    (unsigned long long)after.handles,
		    (unsigned long long)before->bytes,
		    (unsigned long long)after.bytes,
		    (unsigned long long)before->tokens,
		    (unsigned long long)after.tokens);
	_fail(file, line);
}

void assert_allocation_alive(const struct party *party,
			     struct tenure_allocation allocation)
{
	void *pointer;
	size_t size;

	assert_ok(tenure_map(party->t, party->device, allocation,
			     TENURE_MAP_READ, &pointer, &size));
	assert_int_equal(size % PAGE, 0);
	assert_ok(tenure_unmap(party->t, party->device, allocation));
}

void assert_allocation_dead(const struct party *party,
			    struct tenure_allocation allocation)
{
	void *pointer;
	size_t size;

	assert_refused(party,
		       tenure_map(party->t, party->device, allocation,
				  TENURE_MAP_READ, &pointer, &size),
		       -EINVAL, TENURE_REASON_ALLOCATION_INVALID);
	assert_refused_at(party, destroy_list(party, &allocation, 1), -EINVAL,
			  TENURE_REASON_ENTRY_INVALID, 0);
}

void assert_resource_dead(const struct party *party,
			  struct tenure_resource resource)
{
	struct tenure_token token;

	assert_refused(party, destroy_resource(party, resource.value), -EINVAL,
		       TENURE_REASON_RESOURCE_INVALID);
	assert_refused(party,
		       tenure_resource_share(party->t, party->device, resource,
					     TENURE_RIGHT_READ, &token),
		       -EINVAL, TENURE_REASON_RESOURCE_INVALID);
}

/* ---- Talkers ---- */

struct talker *talker_new(struct world *world)
{
	struct talker *talker = calloc(1, sizeof(*talker));

	assert_non_null(talker);
	talker->world = world;
	talker->fd = -1;
	if (world->inproc) {
		assert_int_equal(inproc_connect(world->inproc, NULL,
						&talker->client, NULL),
				 0);
		assert_int_equal(inproc_hello(world->inproc, talker->client),
				 0);
	} else {
		talker->fd = raw_client(daemon_socket(world->daemon));
		assert_true(talker->fd >= 0);
	}
	return talker;
}

void talker_free(struct talker *talker)
{
	if (talker->world->inproc)
		inproc_kill(talker->world->inproc, talker->client);
	else
		close(talker->fd);
	free(talker);
}

static void keep(struct talker *talker, const struct raw_reply *reply)
{
	assert_true(talker->n_kept < ARRAY_SIZE(talker->kept));
	talker->kept[talker->n_kept++] = *reply;
}

static void from_inproc(const struct inproc_reply *reply, struct raw_reply *ret)
{
	ret->head = reply->head;
	ret->fd = reply->fd;
	memcpy(ret->data, reply->data, reply->head.data_bytes);
}

void talker_say(struct talker *talker, const struct wire_request *head,
		const void *args, size_t args_bytes)
{
	struct inproc_reply reply = { .fd = -1 };
	struct raw_reply raw;

	assert_true(head->id != 0);
	if (!talker->world->inproc) {
		assert_int_equal(raw_send(talker->fd, head, args, args_bytes),
				 0);
		return;
	}
	inproc_pump_by_itself(talker->world->inproc, false);
	if (inproc_send(talker->world->inproc, talker->client, head, args,
			args_bytes, &reply) == BROKER_REPLY) {
		from_inproc(&reply, &raw);
		keep(talker, &raw);
	}
	inproc_pump_by_itself(talker->world->inproc, true);
}

/* One more reply into the kept ones. */
static void listen_for(struct talker *talker, uint64_t id)
{
	struct inproc_reply reply;
	struct raw_reply raw;

	if (talker->world->inproc) {
		inproc_pump_all(talker->world->inproc);
		assert_true(inproc_take_reply(talker->world->inproc,
					      talker->client, id, &reply));
		from_inproc(&reply, &raw);
	} else {
		assert_true(raw_receive(talker->fd, &raw) > 0);
	}
	keep(talker, &raw);
}

void talker_hear(struct talker *talker, uint64_t id, struct raw_reply *ret)
{
	unsigned int i;

	for (;;) {
		for (i = 0; i < talker->n_kept; i++) {
			if (talker->kept[i].head.id != id)
				continue;
			*ret = talker->kept[i];
			talker->kept[i] = talker->kept[--talker->n_kept];
			return;
		}
		listen_for(talker, id);
	}
}

int talker_ask(struct talker *talker, struct wire_request head,
	       const void *args, size_t args_bytes, struct raw_reply *ret)
{
	static uint64_t next_id = UINT64_C(1) << 40;
	struct raw_reply reply;

	head.id = next_id++;
	talker_say(talker, &head, args, args_bytes);
	talker_hear(talker, head.id, ret ? ret : &reply);
	return ret ? ret->head.status : reply.head.status;
}

uint64_t talker_device(struct talker *talker, uint64_t *ret_adapter)
{
	struct wire_request head = { .opcode = WIRE_OP_ADAPTER_OPEN };
	struct raw_reply reply;

	memcpy(head.value, "system", 6);
	assert_int_equal(talker_ask(talker, head, NULL, 0, &reply), 0);
	if (ret_adapter)
		*ret_adapter = reply.head.value[0];
	head = (struct wire_request){ .opcode = WIRE_OP_DEVICE_CREATE,
				      .object = reply.head.value[0] };
	assert_int_equal(talker_ask(talker, head, NULL, 0, &reply), 0);
	return reply.head.value[0];
}
