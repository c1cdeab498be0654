/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inspection: rows that say what is, pages that are bounded, and a state that
 * goes on changing between them.
 */
#include "core/inspect.h"

#include "core/broker_inspect.h"
#include "core/ring/ring.h"
#include "tests/support/specimen.h"

enum {
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED,
	ROWS_MAX = 4096,
};

/* A world with two clients of two principals and one who looks. */
struct stage {
	struct inproc *world;
	struct seat one, other, root;
};

static int stage_setup(void **state)
{
	static struct stage stage;
	const struct peer root = { .pid = 1, .cgroup = "", .privileged = true };

	stage = (struct stage){ .world = inproc_new(NULL) };
	seat_take(&stage.one, stage.world);
	seat_take_as(&stage.other, stage.world, 8);
	stage.root = (struct seat){ .world = stage.world };
	assert_int_equal(inproc_connect(stage.world, &root, &stage.root.client,
					NULL),
			 0);
	assert_int_equal(inproc_hello(stage.world, stage.root.client), 0);
	*state = &stage;
	return 0;
}

static int stage_teardown(void **state)
{
	struct stage *stage = *state;

	inproc_check(stage->world);
	inproc_free(stage->world);
	return 0;
}

/* One request of the one who looks; its data is in root.reply. */
static const void *ask(struct stage *stage, uint8_t opcode, uint64_t cursor)
{
	const struct wire_request r = { .opcode = opcode, .value = { cursor } };

	assert_int_equal(seat_ask(&stage->root, r, NULL, 0), 0);
	return stage->root.reply.data;
}

/* A whole list that fits one page. */
static uint32_t ask_all(struct stage *stage, uint8_t opcode, const void **rows)
{
	*rows = ask(stage, opcode, 0);
	assert_int_equal(stage->root.reply.head.value[0], 0);
	return stage->root.reply.head.count;
}

static const struct wire_client *client_row(struct stage *stage,
					    uint32_t client)
{
	const void *rows;
	uint32_t n = ask_all(stage, WIRE_OP_CLIENTS, &rows);
	const struct wire_client *row = rows;

	assert_int_equal(stage->root.reply.head.data_bytes, n * sizeof(*row));
	for (uint32_t i = 0; i < n; i++)
		if (row[i].client == client)
			return &row[i];
	return NULL;
}

/* The n-th resource row of a client, and how many there are. */
static const struct wire_resource *
resource_row(struct stage *stage, uint32_t client, uint32_t nth, uint32_t *ret)
{
	const struct wire_resource *found = NULL;
	const void *rows;
	uint32_t n = ask_all(stage, WIRE_OP_RESOURCES, &rows), hits = 0;
	const struct wire_resource *row = rows;

	for (uint32_t i = 0; i < n; i++)
		if (row[i].client == client && hits++ == nth)
			found = &row[i];
	*ret = hits;
	return found;
}

static void only_the_privileged_may_look(void **state)
{
	struct stage *stage = *state;

	for (uint8_t op = WIRE_OP_STATUS; op <= WIRE_OP_CHECK; op++) {
		const struct wire_request r = { .opcode = op };

		assert_unchanged(&stage->one, seat_ask(&stage->one, r, NULL, 0),
				 -EACCES, TENURE_REASON_NOT_PERMITTED);
	}
}

static void clients_are_shown_as_they_are(void **state)
{
	struct stage *stage = *state;
	const struct wire_client *row;
	uint64_t token[2], resource;

	assert_int_equal(
		seat_create(&stage->other, 0, SHARED, 3, &resource, NULL), 0);
	assert_int_equal(seat_share(&stage->other, resource, 1, token), 0);
	inproc_advance_ns(stage->world, 90 * NS_PER_S);
	row = client_row(stage, stage->other.client);
	assert_non_null(row);
	assert_int_equal(row->pid, 7);
	assert_int_equal(row->uid, 8);
	assert_string_equal(row->cgroup, "/other");
	assert_int_equal(row->phase, WIRE_CLIENT_ACTIVE);
	assert_int_equal(row->privileged, 0);
	assert_int_equal(row->devices, 1);
	assert_int_equal(row->resources, 1);
	assert_int_equal(row->allocations, 3);
	assert_int_equal(row->tokens, 1);
	assert_int_equal(row->retired, 0);
	assert_int_equal(row->bytes, 3 * PAGE_BYTES);
	assert_int_equal(row->ring_bytes, 0);
	assert_int_equal(
		seat_ask(&stage->other,
			 (struct wire_request){ .opcode = WIRE_OP_RING }, NULL,
			 0),
		0);
	row = client_row(stage, stage->other.client);
	assert_int_equal(row->bytes, 3 * PAGE_BYTES);
	assert_int_equal(row->ring_bytes, sizeof(struct ring));
	assert_int_equal(row->handles, 6);
	assert_true(row->age_s >= 90 && row->age_s < 95);
	assert_int_equal(row->ending_s, 0);
	row = client_row(stage, stage->root.client);
	assert_int_equal(row->privileged, 1);
	assert_string_equal(row->cgroup, "");
	row = client_row(stage, stage->one.client);
	assert_int_equal(row->uid, 1000);
	assert_string_equal(row->cgroup, "/test");
}

static void a_client_before_hello_and_one_that_ends(void **state)
{
	struct stage *stage = *state;
	const struct wire_client *row;
	struct seat silent;

	seat_connect(&silent, stage->world);
	row = client_row(stage, silent.client);
	assert_int_equal(row->phase, WIRE_CLIENT_HELLO);
	assert_int_equal(seat_create(&stage->one, 0, 0, 2, NULL, NULL), 0);
	inproc_advance_ns(stage->world, 60 * NS_PER_S);
	inproc_releases(stage->world, INPROC_RELEASES_HELD);
	inproc_kill(stage->world, stage->one.client);
	inproc_pump_all(stage->world);
	inproc_advance_ns(stage->world, 5 * NS_PER_S);
	row = client_row(stage, stage->one.client);
	assert_non_null(row);
	assert_int_equal(row->phase, WIRE_CLIENT_ENDING);
	assert_true(row->age_s >= 65);
	assert_true(row->ending_s >= 5 && row->ending_s < 60);
	assert_int_equal(row->bytes, 2 * PAGE_BYTES);
	inproc_releases(stage->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(stage->world);
	assert_null(client_row(stage, stage->one.client));
}

static void private_and_device_owned(void **state)
{
	struct stage *stage = *state;
	const struct wire_resource *row;
	uint64_t resource, alone;
	uint32_t n;

	assert_int_equal(
		seat_create(&stage->one, 0, RESOURCE, 3, &resource, NULL), 0);
	inproc_advance_ns(stage->world, 10 * NS_PER_S);
	assert_int_equal(seat_create(&stage->one, 0, 0, 1, NULL, &alone), 0);
	inproc_advance_ns(stage->world, 5 * NS_PER_S);
	row = resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 2);
	assert_int_equal(row[0].what, WIRE_WHAT_RESOURCE);
	assert_int_equal(row[0].sharing, WIRE_SHARING_PRIVATE);
	assert_int_equal(row[0].state, WIRE_STATE_LIVE);
	assert_int_equal(row[0].rights, 3);
	assert_int_equal(row[0].allocations, 3);
	assert_int_equal(row[0].holders, 1);
	assert_int_equal(row[0].bytes, 3 * PAGE_BYTES);
	assert_true(row[0].age_s >= 15 && row[0].age_s < 20);
	assert_int_equal(row[0].handle, resource);
	assert_int_equal(row[0].uid, 1000);
	assert_int_equal(row[0].pid, 100);
	assert_true(row[0].device != 0);
	assert_int_equal(row[1].what, WIRE_WHAT_ALLOCATION);
	assert_int_equal(row[1].bytes, PAGE_BYTES);
	assert_int_equal(row[1].handle, alone);
	assert_true(row[1].age_s >= 5 && row[1].age_s < 10);
	assert_int_equal(row[1].device, row[0].device);
}

static void shared_opened_and_kept_by_a_token(void **state)
{
	struct stage *stage = *state;
	const struct wire_resource *row;
	uint64_t resource, opened, token[2];
	uint32_t n;

	assert_int_equal(
		seat_create(&stage->one, 0, SHARED, 2, &resource, NULL), 0);
	assert_int_equal(seat_share(&stage->one, resource, 1, token), 0);
	inproc_advance_ns(stage->world, 100 * NS_PER_S);
	assert_int_equal(seat_open(&stage->other, token, 2, &opened, NULL), 0);
	row = resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 1);
	assert_int_equal(row->sharing, WIRE_SHARING_SHARED);
	assert_int_equal(row->holders, 3);
	assert_int_equal(row->bytes, 2 * PAGE_BYTES);
	assert_true(row->age_s >= 100);
	row = resource_row(stage, stage->other.client, 0, &n);
	assert_int_equal(n, 1);
	assert_int_equal(row->sharing, WIRE_SHARING_OPENED);
	assert_int_equal(row->rights, TENURE_RIGHT_READ);
	assert_int_equal(row->uid, 8);
	assert_int_equal(row->handle, opened);
	assert_true(row->age_s < 5);
	assert_int_equal(seat_destroy(&stage->one, resource, NULL, 0, 0), 0);
	resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 0);
	assert_int_equal(seat_destroy(&stage->other, opened, NULL, 0, 0), 0);
	row = resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 1);
	assert_int_equal(row->what, WIRE_WHAT_TOKEN);
	assert_int_equal(row->device, 0);
	assert_int_equal(row->handle, 0);
	assert_int_equal(row->holders, 1);
	assert_int_equal(row->allocations, 2);
	assert_int_equal(row->bytes, 2 * PAGE_BYTES);
	assert_true(row->age_s >= 100);
	assert_int_equal(seat_revoke(&stage->one, token), 0);
	resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 0);
}

/* What has been destroyed is shown until its memory is back. */
static void retired_things(void **state)
{
	struct stage *stage = *state;
	const struct wire_resource *row;
	uint64_t resource, child[3], shared;
	uint32_t n;

	assert_int_equal(
		seat_create(&stage->one, 0, RESOURCE, 3, &resource, child), 0);
	assert_int_equal(seat_create(&stage->one, 0, SHARED, 1, &shared, NULL),
			 0);
	inproc_releases(stage->world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_destroy(&stage->one, 0, &child[0], 1, 0), 0);
	row = resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 3);
	assert_int_equal(row[0].what, WIRE_WHAT_RESOURCE);
	assert_int_equal(row[0].bytes, 2 * PAGE_BYTES);
	assert_int_equal(row[0].state, WIRE_STATE_LIVE);
	assert_int_equal(row[1].what, WIRE_WHAT_ALLOCATION);
	assert_int_equal(row[1].state, WIRE_STATE_RETIRED);
	assert_int_equal(row[1].bytes, PAGE_BYTES);
	assert_int_equal(row[1].handle, child[0]);
	assert_int_equal(seat_destroy(&stage->one, resource, NULL, 0, 0), 0);
	row = resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 3);
	assert_int_equal(row[0].state, WIRE_STATE_RETIRED);
	assert_int_equal(row[0].bytes, 2 * PAGE_BYTES);
	inproc_releases(stage->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(stage->world);
	resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 1);
	inproc_releases(stage->world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_destroy(&stage->one, shared, NULL, 0, 0), 0);
	row = resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 1);
	assert_int_equal(row->state, WIRE_STATE_RETIRED);
	assert_int_equal(row->bytes, PAGE_BYTES);
	inproc_releases(stage->world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(stage->world);
	resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 0);
}

/* Kept by a pin that was leaked, of the slot itself or of a child. */
static void pinned_things(void **state)
{
	struct stage *stage = *state;
	struct seat *s = &stage->one;
	const struct wire_resource *row;
	struct slot *slots[2];
	uint64_t resource, child[3], handle;
	uint32_t n;

	assert_int_equal(seat_create(s, 0, RESOURCE, 3, &resource, child), 0);
	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &handle), 0);
	for (int i = 0; i < 2; i++)
		slots[i] = seat_pin(s, i == 0 ? handle : child[0]);
	assert_int_equal(seat_destroy(s, resource, NULL, 0, 0), 0);
	assert_int_equal(seat_destroy(s, 0, &handle, 1, 0), 0);
	inproc_pump_all(stage->world);
	row = resource_row(stage, s->client, 0, &n);
	assert_int_equal(n, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(row[i].state, WIRE_STATE_PINNED);
		assert_int_equal(row[i].bytes, 0);
		assert_int_equal(row[i].handle, i == 0 ? resource : handle);
		table_unpin(slots[i]);
	}
	inproc_advance_ns(stage->world, PINNED_PERIOD_NS);
	inproc_pump_all(stage->world);
	resource_row(stage, s->client, 0, &n);
	assert_int_equal(n, 0);
}

/* An opening that others outlive keeps nothing from then on. */
static void an_opening_that_has_let_go(void **state)
{
	struct stage *stage = *state;
	const struct wire_resource *row;
	uint64_t resource, opened, token[2];
	struct slot *slot;
	uint32_t n;

	assert_int_equal(
		seat_create(&stage->one, 0, SHARED, 1, &resource, NULL), 0);
	assert_int_equal(seat_share(&stage->one, resource, 1, token), 0);
	assert_int_equal(seat_open(&stage->other, token, 1, &opened, NULL), 0);
	slot = seat_slot(&stage->other, opened);
	inproc_pump_by_itself(stage->world, false);
	/* Somebody reads the slot, so it stays after it has let go. */
	fetch_add_relaxed_u64(&slot->control, 1);
	assert_int_equal(seat_destroy(&stage->other, opened, NULL, 0, 0), 0);
	broker_tick(inproc_broker(stage->world), 1, 64);
	row = resource_row(stage, stage->other.client, 0, &n);
	assert_int_equal(n, 1);
	assert_int_equal(row->state, WIRE_STATE_RETIRED);
	assert_int_equal(row->bytes, 0);
	assert_int_equal(row->holders, 0);
	table_unpin(slot);
	inproc_pump_by_itself(stage->world, true);
	inproc_pump_all(stage->world);
}

static void what_a_removed_device_holds(void **state)
{
	struct stage *stage = *state;
	const struct wire_resource *row;
	uint64_t adapter;
	uint32_t n;

	assert_int_equal(seat_create(&stage->one, 0, SHARED, 1, NULL, NULL), 0);
	inproc_pump_by_itself(stage->world, false);
	adapter = stage->one.adapter;
	assert_int_equal(
		seat_event(&stage->one, WIRE_TEST_ADAPTER_STOP, 0, adapter), 0);
	row = resource_row(stage, stage->one.client, 0, &n);
	assert_int_equal(n, 1);
	assert_int_equal(row->state, WIRE_STATE_ENDING);
	inproc_pump_by_itself(stage->world, true);
}

static void limits_of_principals_and_clients(void **state)
{
	struct stage *stage = *state;
	const struct limits *limits = &world_env(stage->world)->config.limits;
	const struct wire_limits *row;
	const void *rows;
	uint32_t n;

	assert_int_equal(seat_create(&stage->other, 0, SHARED, 2, NULL, NULL),
			 0);
	n = ask_all(stage, WIRE_OP_LIMITS, &rows);
	row = rows;
	assert_int_equal(n, 6);
	assert_int_equal(stage->root.reply.head.data_bytes, n * sizeof(*row));
	assert_int_equal(stage->root.reply.head.value[1], 3);
	assert_int_equal(stage->root.reply.head.value[2], limits->clients);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(row[i].client == 0, i < 3);
		assert_int_equal(row[i].limit[WIRE_QUOTA_BYTES],
				 (i < 3 ? limits->principal :
					  limits->client)[CHARGE_BYTES]);
		assert_int_equal(row[i].used[WIRE_QUOTA_CLIENTS], 1);
		if (row[i].uid != 8)
			continue;
		assert_string_equal(row[i].cgroup, "/other");
		assert_int_equal(row[i].used[WIRE_QUOTA_BYTES], 2 * PAGE_BYTES);
		assert_int_equal(row[i].used[WIRE_QUOTA_HANDLES], 5);
		assert_int_equal(row[i].used[WIRE_QUOTA_STORES], 1);
		assert_int_equal(row[i].pid, i < 3 ? 0 : 7);
	}
}

static void check_over_the_wire(void **state)
{
	struct stage *stage = *state;
	uint32_t *n_devices = &world_state(stage->world)->n_devices;
	const struct wire_request r = { .opcode = WIRE_OP_CHECK };
	const char *message;

	ask(stage, WIRE_OP_CHECK, 0);
	assert_int_equal(stage->root.reply.head.count, 0);
	assert_int_equal(stage->root.reply.head.data_bytes, 0);
	++*n_devices;
	message = ask(stage, WIRE_OP_CHECK, 0);
	--*n_devices;
	assert_int_equal(stage->root.reply.head.count, 1);
	assert_int_equal(stage->root.reply.head.data_bytes,
			 strlen("devices in all [0]: is 3, should be 2"));
	assert_memory_equal(message, "devices in all [0]: is 3, should be 2",
			    stage->root.reply.head.data_bytes);
	inproc_pages(stage->world)->fail_reserve = 1;
	assert_int_equal(seat_ask(&stage->root, r, NULL, 0), -ENOMEM);
	world_fail_commit(stage->world, 1);
	assert_int_equal(seat_ask(&stage->root, r, NULL, 0), -ENOMEM);
	assert_int_equal(stage->root.reply.head.reason,
			 TENURE_REASON_DAEMON_MEMORY);
}

/* One page with room for so many rows, straight from the module. */
static struct inspected look(struct stage *stage, enum inspect_list list,
			     uint64_t cursor, struct wire_resource *rows,
			     uint32_t n)
{
	const struct inspect_page page = {
		.list = list,
		.cursor = cursor,
		.now_ns = inproc_now_ns(stage->world),
		.rows = rows,
		.room_bytes = n * sizeof(*rows),
	};
	struct inspected done;

	inspect(world_env(stage->world), &page, &done);
	assert_int_equal(done.bytes, done.count * sizeof(*rows));
	assert_true(done.count <= n);
	assert_true(done.cursor == 0 || done.cursor > cursor);
	return done;
}

/* G2: some come and some go between pages of every size. */
static void g2_others_come_and_go_between_the_pages(void **state)
{
	struct stage *stage = *state;
	struct wire_resource rows[8];
	uint64_t stay[20], go[20], came;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(
			seat_create(&stage->one, 0, 0, 1, NULL, &stay[i]), 0);
		assert_int_equal(seat_create(&stage->other, 0, RESOURCE, 2,
					     &go[i], NULL),
				 0);
	}
	for (uint32_t size = 1; size <= 8; size++) {
		uint32_t met[20] = { 0 };
		uint64_t cursor = 0;
		uint32_t page = 0;

		do {
			struct inspected p = look(stage, INSPECT_RESOURCES,
						  cursor, rows, size);

			for (uint32_t i = 0; i < p.count; i++)
				for (int k = 0; k < 20; k++)
					met[k] += rows[i].handle == stay[k];
			cursor = p.cursor;
			if (page++ >= 2)
				continue;
			assert_int_equal(seat_destroy(&stage->other,
						      go[2 * size + page], NULL,
						      0, 0),
					 0);
			assert_int_equal(seat_create(&stage->one, 0, 0, 1, NULL,
						     &came),
					 0);
		} while (cursor != 0);
		for (int k = 0; k < 20; k++)
			assert_int_equal(met[k], 1);
	}
}

/* G1: empty stretches and large resources end a page, too. */
static void g1_a_page_is_bounded(void **state)
{
	static struct wire_resource rows[ROWS_MAX];
	struct stage *stage = *state;
	struct inspected page;
	uint64_t handles[LIST_ENTRIES_MAX];
	uint32_t count = 0, pages = 0;

	for (int i = 0; i < 40; i++)
		assert_int_equal(seat_create(&stage->one, 0, RESOURCE,
					     LIST_ENTRIES_MAX, NULL, NULL),
				 0);
	page.cursor = 0;
	do {
		page = look(stage, INSPECT_RESOURCES, page.cursor, rows,
			    ROWS_MAX);
		/* each resource costs its slot and its children twice: as
		 * slots that are passed, and in its sum */
		assert_true(page.count <=
			    INSPECT_RECORDS_MAX / LIST_ENTRIES_MAX + 1);
		count += page.count;
		pages++;
	} while (page.cursor != 0);
	assert_int_equal(count, 40);
	assert_true(pages >= 40 * 2 * LIST_ENTRIES_MAX / INSPECT_RECORDS_MAX);
	/* slots that are free, many and in a row */
	for (int i = 0; i < 40; i++)
		assert_int_equal(seat_create(&stage->other, 0, 0,
					     LIST_ENTRIES_MAX, NULL, handles),
				 0);
	pages = 0;
	inproc_kill(stage->world, stage->one.client);
	inproc_pump_all(stage->world);
	do {
		page = look(stage, INSPECT_RESOURCES, page.cursor, rows,
			    ROWS_MAX);
		pages++;
	} while (page.cursor != 0);
	assert_true(pages >= 2);
}

/* G3 */
static void g3_any_cursor(void **state)
{
	struct stage *stage = *state;
	struct random random = { 5 };
	_Alignas(8) uint8_t rows[4096];

	assert_int_equal(seat_create(&stage->one, 0, SHARED, 2, NULL, NULL), 0);
	for (uint32_t i = 0; i < 30000; i++) {
		uint64_t cursor = random_next(&random);
		struct inspect_page page = {
			.list = i % 3,
			.cursor = cursor >> random_below(&random, 64),
			.rows = rows,
			.room_bytes = 300 + random_below(&random, 3000),
		};
		struct inspected done;

		if (i % 2 == 0)
			page.cursor = (uint64_t)random_below(&random, 3) << 32 |
				      random_below(&random, 5000);
		inspect(world_env(stage->world), &page, &done);
		assert_true(done.cursor == 0 || done.cursor > page.cursor);
		assert_true(done.bytes <= page.room_bytes);
	}
	ask(stage, WIRE_OP_RESOURCES, UINT64_MAX);
	assert_int_equal(stage->root.reply.head.count, 0);
	assert_int_equal(stage->root.reply.head.value[0], 0);
}

/* G4, and of every kind of thing one: whatever is in an odd phase. */
static void g4_a_look_changes_nothing(void **state)
{
	struct specimen *sp = *state;
	struct image *image = image_take(sp->world);
	_Alignas(8) uint8_t rows[sizeof(struct wire_limits) * 3];

	for (int list = INSPECT_CLIENTS; list <= INSPECT_LIMITS; list++) {
		struct inspect_page page = {
			.list = (enum inspect_list)list,
			.now_ns = 1,
			.rows = rows,
			.room_bytes = sizeof(rows),
		};
		struct inspected done;
		uint32_t n = 0;

		do {
			inspect(world_env(sp->world), &page, &done);
			page.cursor = done.cursor;
			n += done.count;
		} while (done.cursor != 0);
		assert_true(n >= 2);
	}
	image_same(sp->world, image);
}

#define staged(test) \
	cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		staged(only_the_privileged_may_look),
		staged(clients_are_shown_as_they_are),
		staged(a_client_before_hello_and_one_that_ends),
		staged(private_and_device_owned),
		staged(shared_opened_and_kept_by_a_token),
		staged(retired_things),
		staged(pinned_things),
		staged(an_opening_that_has_let_go),
		staged(what_a_removed_device_holds),
		staged(limits_of_principals_and_clients),
		staged(check_over_the_wire),
		staged(g1_a_page_is_bounded),
		staged(g2_others_come_and_go_between_the_pages),
		staged(g3_any_cursor),
		cmocka_unit_test_setup_teardown(g4_a_look_changes_nothing,
						specimen_setup,
						specimen_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
