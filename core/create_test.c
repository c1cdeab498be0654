/* SPDX-License-Identifier: Apache-2.0 */
#include "core/create.h"

#include "tests/support/random.h"
#include "tests/support/seat.h"

enum {
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED
};

/* Everything that a create is made of. */
struct order {
	struct wire_request head;
	struct wire_allocation sizes[LIST_ENTRIES_MAX + 1];
	uint8_t private_data[PRIVATE_DATA_MAX + 8];
	uint32_t n_sizes;
	size_t private_bytes;
};

static struct order *new_order(const struct seat *seat, uint32_t flags,
			       uint32_t count)
{
	static struct order o;

	o = (struct order){
		.head = { .opcode = WIRE_OP_CREATE,
			  .device = seat->device,
			  .flags = flags,
			  .count = count },
		.n_sizes = count,
	};
	for (uint32_t i = 0; i < ARRAY_SIZE(o.sizes); i++)
		o.sizes[i].size_bytes = PAGE_BYTES;
	for (size_t i = 0; i < sizeof(o.private_data); i++)
		o.private_data[i] = (uint8_t)(i * 7 + 1);
	return &o;
}

static size_t order_args(const struct order *o, uint8_t *args)
{
	size_t sizes = o->n_sizes * sizeof(o->sizes[0]);

	memcpy(args, o->sizes, sizes);
	memcpy(args + sizes, o->private_data, o->private_bytes);
	return sizes + o->private_bytes;
}

static int place(struct seat *seat, const struct order *o)
{
	static uint8_t args[sizeof(*o)];
	size_t n = order_args(o, args);

	return seat_ask(seat, o->head, args, n);
}

static void g1_what_is_refused(void **state)
{
	struct seat *s = *state;
	struct order *o;
	uint64_t shared, private;

	assert_int_equal(seat_create(s, 0, SHARED, 1, &shared, NULL), 0);
	assert_int_equal(seat_create(s, 0, RESOURCE, 1, &private, NULL), 0);
	o = new_order(s, 4, 1);
	assert_unchanged(s, place(s, o), -EINVAL, TENURE_REASON_FLAGS_RESERVED);
	o = new_order(s, TENURE_CREATE_SHARED, 1);
	assert_unchanged(s, place(s, o), -EINVAL,
			 TENURE_REASON_SHARED_NEEDS_RESOURCE);
	o = new_order(s, RESOURCE, 1);
	o->head.object = private;
	assert_unchanged(s, place(s, o), -EINVAL,
			 TENURE_REASON_CREATE_FLAGS_CONFLICT);
	o = new_order(s, 0, 1);
	o->private_bytes = o->head.value[0] = 1;
	assert_unchanged(s, place(s, o), -EINVAL,
			 TENURE_REASON_PRIVATE_DATA_NEEDS_NEW);
	o = new_order(s, RESOURCE, 0);
	assert_unchanged(s, place(s, o), -EINVAL, TENURE_REASON_COUNT_ZERO);
	o = new_order(s, RESOURCE, 1025);
	assert_unchanged(s, place(s, o), -EINVAL,
			 TENURE_REASON_COUNT_TOO_LARGE);
	o = new_order(s, 0, 1);
	o->head.object = shared;
	assert_unchanged(s, place(s, o), -EINVAL,
			 TENURE_REASON_RESOURCE_SEALED);
	o->head.object = private ^ 1;
	assert_unchanged(s, place(s, o), -EBADF,
			 TENURE_REASON_RESOURCE_INVALID);
	o->head.object = s->device;
	assert_unchanged(s, place(s, o), -EBADF, TENURE_REASON_WRONG_TYPE);
	o->head.device = private;
	assert_unchanged(s, place(s, o), -EINVAL, TENURE_REASON_WRONG_TYPE);
}

static void g1_too_much_private_data(void **state)
{
	struct seat *s = *state;
	struct order *o = new_order(s, RESOURCE, 1);
	const uint64_t sizes[] = { PRIVATE_DATA_MAX + 1, UINT32_MAX, UINT64_MAX,
				   UINT64_MAX - 15 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		o->head.value[0] = sizes[i];
		assert_unchanged(s, place(s, o), -EINVAL,
				 TENURE_REASON_PRIVATE_DATA_TOO_LARGE);
	}
}

static void g1_sizes_at_every_place(void **state)
{
	struct seat *s = *state;

	for (uint32_t at = 0; at < 5; at++) {
		struct order *o = new_order(s, 0, 5);

		o->sizes[at].size_bytes = 0;
		assert_unchanged(s, place(s, o), -EINVAL,
				 TENURE_REASON_SIZE_ZERO);
		assert_int_equal(s->reply.head.index, at);
		o->sizes[at].size_bytes = ALLOCATION_BYTES_MAX + 1;
		assert_unchanged(s, place(s, o), -EINVAL,
				 TENURE_REASON_SIZE_TOO_LARGE);
		assert_int_equal(s->reply.head.index, at);
		o->sizes[at].size_bytes = UINT64_MAX;
		assert_unchanged(s, place(s, o), -EINVAL,
				 TENURE_REASON_SIZE_TOO_LARGE);
	}
}

/* 1024 times the largest size is a number, and far beyond every limit. */
static void g1_the_most_that_can_be_asked(void **state)
{
	struct seat *s = *state;
	struct order *o = new_order(s, 0, LIST_ENTRIES_MAX);

	for (uint32_t i = 0; i < LIST_ENTRIES_MAX; i++)
		o->sizes[i].size_bytes = ALLOCATION_BYTES_MAX;
	assert_unchanged(s, place(s, o), -EDQUOT, TENURE_REASON_CLIENT_BYTES);
}

/* A message whose arguments do not add up ends the connection. */
static void g1_arguments_of_another_length(void **state)
{
	struct seat *stage = *state;

	for (int i = 0; i < 6; i++) {
		struct order *o;
		struct seat s;
		uint8_t args[8192];
		size_t n;

		seat_take(&s, stage->world);
		o = new_order(&s, RESOURCE, 4);
		o->head.value[0] = o->private_bytes = 10;
		n = order_args(o, args);
		if (i == 0)
			n--;
		if (i == 1)
			n++;
		if (i == 2)
			o->head.count = 3;
		if (i == 3)
			o->head.count = 1024;
		if (i == 4)
			o->head.value[0] = 11;
		if (i == 5)
			((struct wire_allocation *)(void *)args)[2].reserved =
				1;
		assert_int_equal(seat_send(&s, o->head, args, n), BROKER_KILL);
		assert_int_equal(s.reply.head.reason, TENURE_REASON_MALFORMED);
		assert_false(inproc_alive(s.world, s.client));
		inproc_check(stage->world);
	}
}

static void g1_limits(void **state)
{
	static const struct {
		enum charge_kind kind;
		uint64_t limit;
		enum tenure_reason client, principal;
	} rows[] = {
		{ CHARGE_BYTES, 3 * PAGE_BYTES, TENURE_REASON_CLIENT_BYTES,
		  TENURE_REASON_PRINCIPAL_BYTES },
		/* An adapter, a device, a resource, three allocations. */
		{ CHARGE_HANDLES, 6, TENURE_REASON_CLIENT_HANDLES,
		  TENURE_REASON_PRINCIPAL_HANDLES },
		{ CHARGE_STORES, 1, TENURE_REASON_CLIENT_STORES,
		  TENURE_REASON_PRINCIPAL_STORES },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		struct inproc_config config;
		bool principal = i % 2;
		uint64_t resource;
		struct seat s;

		inproc_config_default(&config);
		if (principal)
			config.limits.principal[rows[i / 2].kind] =
				rows[i / 2].limit;
		else
			config.limits.client[rows[i / 2].kind] =
				rows[i / 2].limit;
		seat_take(&s, inproc_new(&config));
		if (rows[i / 2].kind != CHARGE_STORES)
			assert_unchanged(
				&s, seat_create(&s, 0, RESOURCE, 4, NULL, NULL),
				-EDQUOT,
				principal ? rows[i / 2].principal :
					    rows[i / 2].client);
		assert_int_equal(
			seat_create(&s, 0, RESOURCE, 3, &resource, NULL), 0);
		assert_unchanged(
			&s, seat_create(&s, 0, 0, 1, NULL, NULL), -EDQUOT,
			principal ? rows[i / 2].principal : rows[i / 2].client);
		assert_int_equal(seat_destroy(&s, resource, NULL, 0, 0), 0);
		assert_int_equal(seat_create(&s, 0, RESOURCE, 3, NULL, NULL),
				 0);
		inproc_free(s.world);
	}
}

/* What holds all of it must have nothing left when all has been given back. */
static void expect_nothing_held(struct seat *s)
{
	const struct session *session = seat_session(s);

	inproc_pump_all(s->world);
	inproc_check(s->world);
	assert_int_equal(session->account.used[CHARGE_BYTES], 0);
	assert_int_equal(session->account.used[CHARGE_STORES], 0);
	assert_int_equal(session->account.used[CHARGE_HANDLES], 2);
	assert_int_equal(checking_stores(inproc_backend(s->world, 0)), 0);
	assert_int_equal(checking_resources(inproc_backend(s->world, 0)), 0);
	assert_int_equal(checking_openings(inproc_backend(s->world, 0)), 0);
}

static void g1_a_backend_that_cannot(void **state)
{
	static const uint32_t flags[] = { 0, RESOURCE, SHARED };
	static const int statuses[] = { -ENOMEM, -EMFILE, -ENFILE, -ENOSPC };
	struct seat *s = *state;
	struct checking *backend = inproc_backend(s->world, 0);

	for (size_t f = 0; f < ARRAY_SIZE(flags); f++)
		for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
			struct order *o = new_order(s, flags[f], 3);

			if (flags[f] != 0)
				o->head.value[0] = o->private_bytes = 100;
			checking_fail(backend, CHECKING_CREATE, 1, statuses[i]);
			assert_int_equal(place(s, o), statuses[i]);
			assert_int_equal(s->reply.head.reason,
					 TENURE_REASON_BACKEND);
			expect_nothing_held(s);
		}
}

static void g1_a_backend_that_makes_and_does_not_open(void **state)
{
	static const uint32_t flags[] = { 0, RESOURCE, SHARED };
	struct seat *s = *state;
	struct checking *backend = inproc_backend(s->world, 0);

	for (size_t f = 0; f < ARRAY_SIZE(flags); f++)
		/* Without a resource each allocation is opened by itself. */
		for (uint64_t n = 1; n <= (flags[f] ? 1 : 3); n++) {
			struct order *o = new_order(s, flags[f], 3);

			if (flags[f] != 0)
				o->head.value[0] = o->private_bytes = 100;
			checking_fail(backend, CHECKING_OPEN, n, -ENOMEM);
			assert_int_equal(place(s, o), -ENOMEM);
			assert_int_equal(s->reply.head.reason,
					 TENURE_REASON_BACKEND);
			assert_int_equal(s->reply.head.data_bytes, 0);
			assert_int_equal(s->reply.head.value[0], 0);
			expect_nothing_held(s);
		}
}

/* A create of each kind, with the n-th commit failing, for every n. */
static int create_kind(struct seat *s, int kind, uint64_t add_to)
{
	static const uint32_t flags[] = { 0, RESOURCE, SHARED, 0 };
	struct order *o = new_order(s, flags[kind], 1023);

	o->head.object = kind == 3 ? add_to : 0;
	if (flags[kind] != 0)
		o->head.value[0] = o->private_bytes = 3000;
	return place(s, o);
}

/* Leaves so many blocks of private data in use that the next ones need memory
 * at another place in the create. */
static void fill_blocks(struct seat *s, uint32_t n)
{
	while (n-- > 0) {
		struct order *o = new_order(s, RESOURCE, 1);

		o->head.value[0] = o->private_bytes = PRIVATE_DATA_MAX;
		assert_int_equal(place(s, o), 0);
	}
}

/* False when there was no n-th commit to fail. */
static bool fail_nth(int kind, uint32_t fill, uint64_t n)
{
	uint64_t resource;
	struct seat s;
	int r;

	seat_take(&s, inproc_new(NULL));
	fill_blocks(&s, fill);
	assert_int_equal(seat_create(&s, 0, RESOURCE, 1, &resource, NULL), 0);
	world_fail_commit(s.world, n);
	r = create_kind(&s, kind, resource);
	world_fail_commit(s.world, 0);
	inproc_check(s.world);
	if (r != 0) {
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(s.reply.head.reason,
				 TENURE_REASON_DAEMON_MEMORY);
		assert_int_equal(seat_session(&s)->n_allocations, fill + 1);
		assert_int_equal(create_kind(&s, kind, resource), 0);
	}
	inproc_free(s.world);
	return r != 0;
}

static void g1_without_memory(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++)
		for (uint32_t fill = 0; fill < 16; fill += 3) {
			uint64_t n = 1;

			while (fail_nth(kind, fill, n))
				n++;
			assert_true(n > 1);
		}
}

static void g1_an_open_without_memory(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		uint64_t resource, token[2];
		struct seat maker, s;
		int r;

		seat_take(&maker, inproc_new(NULL));
		seat_take_as(&s, maker.world, 8);
		assert_int_equal(seat_create(&maker, 0, SHARED, 900, &resource,
					     NULL),
				 0);
		assert_int_equal(seat_share(&maker, resource, 3, token), 0);
		world_fail_commit(s.world, n);
		r = seat_open(&s, token, 900, NULL, NULL);
		world_fail_commit(s.world, 0);
		inproc_check(s.world);
		if (r != 0) {
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(seat_session(&s)->n_resources, 0);
			assert_int_equal(seat_open(&s, token, 900, NULL, NULL),
					 0);
		}
		inproc_free(s.world);
		if (r == 0) {
			assert_true(n > 1);
			return;
		}
	}
}

static void g1_an_open_that_is_refused(void **state)
{
	struct seat *maker = *state, s;
	uint64_t resource, token[2], other_adapter, other_device;
	struct wire_request r = { .opcode = WIRE_OP_OPEN, .count = 3 };
	struct order *o;

	seat_take_as(&s, maker->world, 8);
	o = new_order(maker, SHARED, 3);
	o->head.value[0] = o->private_bytes = 20;
	assert_int_equal(place(maker, o), 0);
	resource = maker->reply.head.value[0];
	assert_int_equal(seat_share(maker, resource, TENURE_RIGHT_READ, token),
			 0);
	r.device = s.device;
	r.value[0] = token[0];
	r.value[1] = token[1];
	r.object = 20;
	r.flags = TENURE_RIGHT_WRITE;
	assert_unchanged(&s, seat_ask(&s, r, NULL, 0), -EINVAL,
			 TENURE_REASON_RIGHTS_INVALID);
	r.flags = 4 | TENURE_RIGHT_READ;
	assert_unchanged(&s, seat_ask(&s, r, NULL, 0), -EINVAL,
			 TENURE_REASON_RIGHTS_INVALID);
	r.flags = TENURE_RIGHT_READ | TENURE_RIGHT_WRITE;
	assert_unchanged(&s, seat_ask(&s, r, NULL, 0), -EACCES,
			 TENURE_REASON_RIGHTS_EXCEEDED);
	r.flags = 0;
	for (uint32_t i = 0; i < 40; i++) {
		r.object = i;
		if (i != 20)
			assert_unchanged(&s, seat_ask(&s, r, NULL, 0), -EINVAL,
					 TENURE_REASON_OPEN_PRIVATE_MISMATCH);
	}
	r.object = 20;
	for (r.count = 0; r.count < 1030; r.count++)
		if (r.count != 3)
			assert_int_equal(seat_ask(&s, r, NULL, 0), -EINVAL);
	r.count = UINT32_MAX;
	assert_unchanged(&s, seat_ask(&s, r, NULL, 0), -EINVAL,
			 TENURE_REASON_OPEN_COUNT_MISMATCH);
	r.count = 3;
	r.value[1] ^= 1;
	assert_unchanged(&s, seat_ask(&s, r, NULL, 0), -EINVAL,
			 TENURE_REASON_TOKEN_UNKNOWN);
	r.value[1] ^= 1;
	assert_int_equal(seat_adapter_open(&s, "other", &other_adapter), 0);
	assert_int_equal(seat_device_create(&s, other_adapter, &other_device),
			 0);
	r.device = other_device;
	assert_unchanged(&s, seat_ask(&s, r, NULL, 0), -EINVAL,
			 TENURE_REASON_ADAPTER_INVALID);
	r.device = s.device;
	checking_fail(inproc_backend(s.world, 0), CHECKING_OPEN, 1, -EMFILE);
	assert_int_equal(seat_ask(&s, r, NULL, 0), -EMFILE);
	inproc_check(s.world);
	assert_int_equal(seat_session(&s)->n_resources, 0);
	assert_int_equal(seat_ask(&s, r, NULL, 0), 0);
	assert_int_equal(s.reply.head.value[1], TENURE_RIGHT_READ);
	assert_int_equal(s.reply.head.data_bytes, 3 * 8 + 20);
	assert_memory_equal(s.reply.data + 24, o->private_data, 20);
}

static void g1_an_open_is_paid_for(void **state)
{
	struct inproc_config config;
	uint64_t resource, token[2];
	struct seat maker, s;

	(void)state;
	inproc_config_default(&config);
	config.limits.client[CHARGE_BYTES] = 5 * PAGE_BYTES;
	seat_take(&maker, inproc_new(&config));
	seat_take_as(&s, maker.world, 8);
	assert_int_equal(seat_create(&maker, 0, SHARED, 3, &resource, NULL), 0);
	assert_int_equal(seat_share(&maker, resource, 3, token), 0);
	assert_int_equal(seat_open(&s, token, 3, &resource, NULL), 0);
	assert_unchanged(&s, seat_open(&s, token, 3, NULL, NULL), -EDQUOT,
			 TENURE_REASON_CLIENT_BYTES);
	assert_int_equal(seat_destroy(&s, resource, NULL, 0, 0), 0);
	assert_int_equal(seat_open(&s, token, 3, NULL, NULL), 0);
	inproc_free(maker.world);
}

/* G2, A81: a handle guessed in advance names nothing until it is told. */
static void g2_a_guess_of_the_next_handle(void **state)
{
	struct seat *s = *state;
	uint64_t handle, guess;

	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &handle), 0);
	/* The lowest free slot is next: one index further, generation 1. */
	guess = handle_to_wire(handle_make(1, KIND_ALLOCATION,
					   seat_slot_index(s, handle) + 1),
			       seat_session(s)->secret);
	assert_int_equal(seat_destroy(s, 0, &guess, 1, 0), -EINVAL);
	assert_int_equal(s->reply.head.reason, TENURE_REASON_ENTRY_INVALID);
	assert_int_equal(seat_create(s, 0, 0, 1, NULL, &handle), 0);
	assert_int_equal(handle, guess);
	assert_int_equal(seat_destroy(s, 0, &guess, 1, 0), 0);
}

static void g3_sizes_are_whole_pages(void **state)
{
	struct seat *s = *state;
	struct order *o = new_order(s, 0, 4);

	o->sizes[0].size_bytes = 1;
	o->sizes[1].size_bytes = PAGE_BYTES - 1;
	o->sizes[2].size_bytes = PAGE_BYTES + 1;
	o->sizes[3].size_bytes = 3 * PAGE_BYTES;
	assert_int_equal(place(s, o), 0);
	assert_int_equal(s->reply.head.value[1], 7 * PAGE_BYTES);
	assert_int_equal(seat_session(s)->account.used[CHARGE_BYTES],
			 7 * PAGE_BYTES);
	assert_int_equal(checking_bytes(inproc_backend(s->world, 0)),
			 7 * PAGE_BYTES);
	inproc_check(s->world);
}

/* A resource that grows, shrinks and grows, against a list of its children. */
static void g3_a_resource_that_changes(void **state)
{
	static uint64_t children[RESOURCE_CHILDREN_MAX];
	struct seat *s = *state;
	struct random random = { 41 };
	uint64_t resource;
	uint32_t n = 1;

	assert_int_equal(seat_create(s, 0, RESOURCE, 1, &resource, children),
			 0);
	for (int round = 0; round < 300; round++) {
		uint32_t k = 1 + random_below(&random, 40);

		if (random_chance(&random, round < 200 ? 70 : 20)) {
			int r = seat_create(s, resource, 0, k, NULL,
					    n + k <= RESOURCE_CHILDREN_MAX ?
						    &children[n] :
						    NULL);

			if (n + k > RESOURCE_CHILDREN_MAX) {
				assert_int_equal(r, -EINVAL);
				assert_int_equal(s->reply.head.reason,
						 TENURE_REASON_RESOURCE_FULL);
				continue;
			}
			assert_int_equal(r, 0);
			n += k;
		} else if (k <= n) {
			for (uint32_t i = 0; i < k; i++) {
				uint32_t at = random_below(&random, n - i);
				uint64_t last = children[n - 1 - i];

				children[n - 1 - i] = children[at];
				children[at] = last;
			}
			n -= k;
			assert_int_equal(seat_destroy(s, 0, &children[n], k, 0),
					 0);
		}
		assert_int_equal(seat_slot(s, resource)->resource.count, n);
		inproc_check(s->world);
	}
	assert_int_equal(seat_destroy(s, resource, NULL, 0, 0), 0);
	expect_nothing_held(s);
}

/* Exactly full, and not one more; the widths of the counts hold. */
static void g3_the_largest_of_everything(void **state)
{
	struct seat *s = *state, reader;
	struct order *o = new_order(s, SHARED, LIST_ENTRIES_MAX);
	uint64_t resource, token[2];
	struct wire_request r = { .opcode = WIRE_OP_OPEN,
				  .count = LIST_ENTRIES_MAX,
				  .object = PRIVATE_DATA_MAX };

	o->head.value[0] = o->private_bytes = PRIVATE_DATA_MAX;
	assert_int_equal(place(s, o), 0);
	assert_int_equal(s->reply.head.count, LIST_ENTRIES_MAX);
	resource = s->reply.head.value[0];
	assert_int_equal(seat_share(s, resource, 3, token), 0);
	seat_take_as(&reader, s->world, 8);
	r.device = reader.device;
	r.value[0] = token[0];
	r.value[1] = token[1];
	assert_int_equal(seat_ask(&reader, r, NULL, 0), 0);
	assert_int_equal(reader.reply.head.data_bytes, WIRE_DATA_BYTES_MAX);
	assert_memory_equal(reader.reply.data + 8 * LIST_ENTRIES_MAX,
			    o->private_data, PRIVATE_DATA_MAX);
	inproc_check(s->world);
	o = new_order(s, RESOURCE, LIST_ENTRIES_MAX);
	o->head.value[0] = o->private_bytes = PRIVATE_DATA_MAX;
	assert_int_equal(place(s, o), 0);
	resource = s->reply.head.value[0];
	assert_unchanged(s, seat_create(s, resource, 0, 1, NULL, NULL), -EINVAL,
			 TENURE_REASON_RESOURCE_FULL);
	assert_int_equal(seat_destroy(s, resource, NULL, 0, 0), 0);
	inproc_check(s->world);
}

#define seated(test) \
	cmocka_unit_test_setup_teardown(test, seat_set_up, seat_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		seated(g1_what_is_refused),
		seated(g1_too_much_private_data),
		seated(g1_sizes_at_every_place),
		seated(g1_the_most_that_can_be_asked),
		seated(g1_arguments_of_another_length),
		cmocka_unit_test(g1_limits),
		seated(g1_a_backend_that_cannot),
		seated(g1_a_backend_that_makes_and_does_not_open),
		cmocka_unit_test(g1_without_memory),
		cmocka_unit_test(g1_an_open_without_memory),
		seated(g1_an_open_that_is_refused),
		cmocka_unit_test(g1_an_open_is_paid_for),
		seated(g2_a_guess_of_the_next_handle),
		seated(g3_sizes_are_whole_pages),
		seated(g3_a_resource_that_changes),
		seated(g3_the_largest_of_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
